/* The grid of a search: every key of the recipe's section "tune" with the values to try,

     tune: {head.type: [skip_connection, gated], optimizer.lr: [1e-3, 3e-4]}

   also nested, as `--set tune.optimizer.lr=[1e-3,3e-4]` makes it. A point is one value of each; the
   last key changes fastest. */
#include "train/tune.h"

#include <string.h>

#define MAX_AXES 16
#define MAX_DEPTH 8
#define MAX_POINTS 100000

typedef struct axis {
    const char *key; /* "optimizer.lr" */
    const ak_value *values;
} axis;

typedef struct grid {
    const akin_recipe *recipe;
    akin_arena *arena;
    axis axes[MAX_AXES];
    int count;
} grid;

/* What is worth trying first: the head, how fast it learns and (for groups) the loss. */
static const char usual_pairs[] =
    "{head: [{type: skip_connection}, {type: linear, rank: 16}, {type: gated}], "
    "train.batch_size: [128, 512], optimizer.lr: [3e-4, 1e-3, 3e-3]}";
static const char usual_groups[] =
    "{head: [{type: skip_connection}, {type: linear, rank: 16}], "
    "loss: [{type: triplet}, {type: supcon}], optimizer.lr: [3e-4, 1e-3, 3e-3]}";

static akin_status add_axis(grid *g, const char *key, const ak_value *values, akin_error *error)
{
    static const char *const fixed[] = {"data", "metrics", "tune"};
    const char *name = g->recipe->name;
    if (values->kind != AK_LIST || !values->first)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, name, values->line,
                          "\"tune\": \"%s\" is %s, expected a list of values to try", key,
                          values->kind == AK_LIST ? "empty" : ak_value_kind_name(values->kind));
    for (int i = 0; i < g->count; i++)
        if (strcmp(g->axes[i].key, key) == 0) { /* a recipe's "optimizer.lr", then --set's */
            g->axes[i].values = values;
            return AKIN_OK;
        }
    if (g->count == MAX_AXES)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, name, values->line,
                          "\"tune\" has more than %d keys", MAX_AXES);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        size_t size = strlen(fixed[i]);
        if (strncmp(key, fixed[i], size) == 0 && (!key[size] || key[size] == '.'))
            return ak_fail_at(error, AKIN_ERR_ARGUMENT, name, values->line,
                              "\"tune\": \"%s\" must be the same in all trials", key);
    }
    g->axes[g->count++] = (axis){key, values};
    return AKIN_OK;
}

/* Maps are walked into, depth first; what is no map must be a list of values. */
static akin_status find_axes(grid *g, const ak_value *tune, akin_error *error)
{
    struct {
        const ak_value *next;
        const char *key; /* of the map, NULL at the top */
    } stack[MAX_DEPTH] = {{tune->first, NULL}};
    for (int depth = 0; depth >= 0;) {
        const ak_value *v = stack[depth].next;
        const char *above = stack[depth].key;
        if (!v) {
            depth--;
            continue;
        }
        stack[depth].next = v->next;
        const char *key = above ? ak_arena_format(g->arena, "%s.%s", above, v->key) : v->key;
        if (!key)
            return ak_fail_memory(error);
        if (v->kind != AK_MAP) {
            AK_TRY(add_axis(g, key, v, error));
            continue;
        }
        if (++depth == MAX_DEPTH)
            return ak_fail_at(error, AKIN_ERR_ARGUMENT, g->recipe->name, v->line,
                              "\"tune\": \"%s\" is nested too deeply", key);
        stack[depth].next = v->first;
        stack[depth].key = key;
    }
    return AKIN_OK;
}

static akin_status open_grid(grid *g, akin_error *error)
{
    const ak_value *given = ak_value_get(g->recipe->root, "tune");
    bool pairs = g->recipe->data.samples == AKIN_PAIRS;
    const char *text = pairs ? usual_pairs : usual_groups;
    ak_value *usual = NULL;
    if (!given || given->kind == AK_NULL)
        AK_TRY(ak_yaml_parse(&usual, g->arena, text, strlen(text), NULL, error));
    AK_TRY(find_axes(g, usual ? usual : given, error));
    return g->count ? AKIN_OK
                    : ak_fail_at(error, AKIN_ERR_ARGUMENT, g->recipe->name, given->line,
                                 "\"tune\" names nothing to try");
}

/* ---- points ---- */

static akin_status count_points(const grid *g, int64_t *count, akin_error *error)
{
    *count = 1;
    for (int i = 0; i < g->count; i++)
        if ((*count *= g->axes[i].values->count) > MAX_POINTS)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "%s: \"tune\" has more than %d combinations of values", g->recipe->name,
                           MAX_POINTS);
    return AKIN_OK;
}

static const ak_value *value_at(const axis *a, int64_t number)
{
    const ak_value *v = a->values->first;
    while (number-- > 0)
        v = v->next;
    return v;
}

static void add_without_quotes(ak_text *text, const char *json)
{
    for (; *json; json++)
        if (*json != '"')
            ak_text_add(text, json, 1);
}

/* "key=VALUE", in JSON, and for people without quotes. */
static akin_status add_setting(const axis *a, const ak_value *v, ak_tune_point *point,
                               ak_text *text, akin_arena *arena, akin_error *error)
{
    char *json = ak_json_write(v, 0);
    const char *set = json ? ak_arena_format(arena, "%s=%s", a->key, json) : NULL;
    ak_text_printf(text, "%s%s=", point->count ? " " : "", a->key);
    add_without_quotes(text, v->string ? v->string : json ? json : "");
    ak_free(json);
    if (!set || text->failed)
        return ak_fail_memory(error);
    point->sets[point->count++] = set;
    return AKIN_OK;
}

static akin_status make_point(const grid *g, int64_t number, ak_tune_point *point,
                              akin_error *error)
{
    int64_t digit[MAX_AXES];
    ak_text text = {0};
    for (int i = g->count - 1; i >= 0; i--) {
        digit[i] = number % g->axes[i].values->count;
        number /= g->axes[i].values->count;
    }
    *point = (ak_tune_point){.sets = ak_arena_new(g->arena, const char *, g->count)};
    akin_status status = point->sets ? AKIN_OK : ak_fail_memory(error);
    for (int i = 0; i < g->count && !status; i++)
        status = add_setting(&g->axes[i], value_at(&g->axes[i], digit[i]), point, &text, g->arena,
                             error);
    point->text = status ? NULL : ak_arena_copy(g->arena, text.data, text.size);
    ak_free(text.data);
    return status ? status : point->text ? AKIN_OK : ak_fail_memory(error);
}

/* Marks `trials` of `count` numbers. */
static akin_status draw(bool *chosen, int64_t count, int64_t trials, uint64_t seed,
                        akin_arena *arena, akin_error *error)
{
    enum { STREAM = 0x74756e65 };
    int64_t *order = ak_arena_new(arena, int64_t, count);
    if (!order)
        return ak_fail_memory(error);
    ak_random_permutation(seed, STREAM, order, count);
    for (int64_t i = 0; i < count; i++)
        chosen[order[i]] = i < trials;
    return AKIN_OK;
}

akin_status ak_tune_grid(ak_tune_points *out, const akin_recipe *recipe, int64_t trials,
                         uint64_t seed, akin_arena *arena, akin_error *error)
{
    grid g = {.recipe = recipe, .arena = arena};
    int64_t count, kept = 0;
    AK_TRY(open_grid(&g, error));
    AK_TRY(count_points(&g, &count, error));
    int64_t wanted = trials > 0 && trials < count ? trials : count;
    bool *chosen = ak_arena_new(arena, bool, count);
    ak_tune_point *points = ak_arena_new(arena, ak_tune_point, wanted);
    if (!chosen || !points)
        return ak_fail_memory(error);
    AK_TRY(draw(chosen, count, wanted, seed, arena, error));
    for (int64_t i = 0; i < count; i++)
        if (chosen[i])
            AK_TRY(make_point(&g, i, &points[kept++], error));
    *out = (ak_tune_points){points, kept};
    return AKIN_OK;
}
