/* Samplers by name, and the plan of an epoch. */
#include "data/sampler.h"

#include <string.h>

#define SAMPLE_STREAM UINT64_C(0x73616d706c650000) /* "sample", then the epoch */

static const ak_sampler_class shuffle = {.name = "shuffle",
                                         .summary =
                                             "samples in random order, cut at every batch_size",
                                         .pairs = true,
                                         .groups = true};

static const ak_sampler_class *const classes[] = {&shuffle, &ak_sampler_groups,
                                                  &ak_sampler_no_duplicates, &ak_sampler_subgroups,
                                                  &ak_sampler_length_buckets};
#define CLASSES (int64_t)(sizeof classes / sizeof *classes)

const ak_sampler_class *ak_sampler_default(void)
{
    return &shuffle;
}

bool ak_sampler_at(int64_t number, akin_class_info *info)
{
    if (number < 0 || number >= CLASSES)
        return false;
    *info = (akin_class_info){classes[number]->name, classes[number]->summary,
                              classes[number]->options};
    return true;
}

int64_t ak_draw_below(ak_draws *draws, int64_t limit)
{
    return (int64_t)ak_random_below(draws->seed, draws->stream, draws->count++, (uint64_t)limit);
}

void ak_draw_shuffle(ak_draws *draws, int64_t *items, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = ak_draw_below(draws, i + 1), swap = items[i];
        items[i] = items[j];
        items[j] = swap;
    }
}

/* ---- by name ---- */

static akin_status find_class(const ak_sampler_class **out, const char *name, const char *source,
                              int64_t line, akin_error *error)
{
    const char *names[CLASSES + 1] = {NULL};
    for (int64_t i = 0; i < CLASSES; i++) {
        names[i] = classes[i]->name;
        if (strcmp(names[i], name) == 0) {
            *out = classes[i];
            return AKIN_OK;
        }
    }
    const char *near = ak_nearest_name(name, names);
    return ak_fail_at(error, AKIN_ERR_ARGUMENT, source, line, "no sampler \"%s\"%s%s%s", name,
                      near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static akin_status write_text(ak_sampler *sampler, akin_arena *arena, akin_error *error)
{
    ak_value *map = ak_value_new_map(arena);
    if (!ak_value_add_string(arena, map, "type", sampler->type->name))
        return ak_fail_memory(error);
    if (sampler->type->options)
        AK_TRY(ak_options_write(sampler->type->options, sampler->options, map, arena, error));
    char *text = ak_json_write(map, 0);
    sampler->text = text ? ak_arena_copy(arena, text, strlen(text)) : NULL;
    ak_free(text);
    return sampler->text ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_sampler_parse(ak_sampler *out, const ak_value *value, const char *source,
                             akin_arena *arena, akin_error *error)
{
    static const char *const also[] = {"type", NULL};
    static const akin_option none[] = {{NULL}};
    bool named = value && value->kind == AK_STRING, map = value && value->kind == AK_MAP;
    const char *name = named ? value->string : ak_value_get_string(value, "type", NULL);
    if (value && value->kind != AK_NULL && !named && !(map && name))
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, source, value->line,
                          "a sampler is %s%s, expected a name or a map such as {type: groups, "
                          "samples_per_group: 4}",
                          ak_value_kind_name(value->kind), map ? " without a \"type\"" : "");
    *out = (ak_sampler){.type = &shuffle};
    if (name)
        AK_TRY(find_class(&out->type, name, source, value->line, error));
    out->options = akin_arena_alloc(arena, out->type->options_size + 1);
    if (!out->options)
        return ak_fail_memory(error);
    AK_TRY(ak_options_parse(out->type->options ? out->type->options : none, out->options,
                            map ? value : NULL, also, arena, source, error));
    return write_text(out, arena, error);
}

akin_status ak_sampler_read(ak_sampler *out, const char *text, akin_arena *arena, akin_error *error)
{
    ak_value *value = NULL;
    if (text)
        AK_TRY(ak_yaml_parse(&value, arena, text, strlen(text), NULL, error));
    return ak_sampler_parse(out, value, "sampler", arena, error);
}

akin_status ak_sampler_check(const ak_sampler *sampler, akin_sample_kind kind, const char *name,
                             akin_error *error)
{
    if (kind == AKIN_PAIRS ? sampler->type->pairs : sampler->type->groups)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH, "%s: the sampler %s is for %s, not for %s", name,
                   sampler->type->name, kind == AKIN_PAIRS ? "groups" : "pairs",
                   kind == AKIN_PAIRS ? "pairs" : "groups");
}

/* ---- the plan of an epoch ---- */

struct ak_planner {
    ak_plan plan;
    const ak_sampler_class *type;
    void *self;
};

static akin_status open_plan(ak_planner *p, const void *options, akin_error *error)
{
    ak_plan *plan = &p->plan;
    int64_t n = plan->drawn;
    plan->batches = n / plan->batch_size + (!plan->drop_last && n % plan->batch_size != 0);
    if (plan->batches < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: an epoch draws %lld samples, fewer than one batch of %lld, and "
                       "drop_last leaves no smaller one",
                       plan->name, (long long)n, (long long)plan->batch_size);
    if (p->type->open)
        AK_TRY(p->type->open(&p->self, options, plan, error));
    plan->start = ak_calloc((size_t)plan->batches + 1, sizeof *plan->start);
    plan->drawing = ak_calloc((size_t)n, sizeof *plan->drawing);
    if (!plan->start || !plan->drawing)
        return ak_fail_memory(error);
    if (!p->type->assign) {
        plan->order = plan->drawing;
        return AKIN_OK;
    }
    plan->order = ak_calloc((size_t)n, sizeof *plan->order);
    plan->batch_of = ak_calloc((size_t)n, sizeof *plan->batch_of);
    return plan->order && plan->batch_of ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_planner_create(ak_planner **out, const ak_sampler *sampler, const ak_table *table,
                              const char *name, int64_t batch_size, bool drop_last, int64_t drawn,
                              akin_error *error)
{
    *out = NULL;
    ak_planner *p = ak_calloc(1, sizeof *p);
    if (!p)
        return ak_fail_memory(error);
    p->type = sampler->type;
    p->plan = (ak_plan){.table = table,
                        .name = name,
                        .batch_size = batch_size,
                        .drop_last = drop_last,
                        .drawn = drawn};
    akin_status status = open_plan(p, sampler->options, error);
    if (status)
        ak_planner_free(p);
    else
        *out = p;
    return status;
}

void ak_planner_free(ak_planner *p)
{
    if (!p)
        return;
    if (p->self)
        p->type->free(p->self);
    if (p->plan.order != p->plan.drawing)
        ak_free(p->plan.order);
    ak_free(p->plan.drawing);
    ak_free(p->plan.batch_of);
    ak_free(p->plan.start);
    ak_free(p);
}

ak_plan *ak_planner_plan(ak_planner *planner)
{
    return &planner->plan;
}

static void cut(ak_plan *plan)
{
    for (int64_t b = 0; b <= plan->batches; b++) {
        int64_t start = b * plan->batch_size;
        plan->start[b] = start < plan->drawn ? start : plan->drawn;
    }
}

/* Counting sort by batch; within a batch the order of the drawing. */
static void gather(ak_plan *plan)
{
    int64_t *start = plan->start;
    memset(start, 0, ((size_t)plan->batches + 1) * sizeof *start);
    for (int64_t i = 0; i < plan->drawn; i++)
        if (plan->batch_of[i] >= 0)
            start[plan->batch_of[i] + 1]++;
    for (int64_t b = 0; b < plan->batches; b++)
        start[b + 1] += start[b];
    for (int64_t i = 0; i < plan->drawn; i++)
        if (plan->batch_of[i] >= 0)
            plan->order[start[plan->batch_of[i]]++] = plan->drawing[i];
    memmove(start + 1, start, (size_t)plan->batches * sizeof *start);
    start[0] = 0;
}

void ak_planner_fill(ak_planner *p, uint64_t seed, int64_t epoch)
{
    ak_draws draws = {.seed = seed, .stream = SAMPLE_STREAM + (uint64_t)epoch};
    if (p->type->assign) {
        p->type->assign(p->self, &p->plan, &draws);
        gather(&p->plan);
    } else {
        cut(&p->plan);
    }
    p->plan.left_out = p->plan.drawn - p->plan.start[p->plan.batches];
}
