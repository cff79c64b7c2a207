/* Data sets, whatever they are made of. */
#include "data/dataset.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

akin_status ak_dataset_new(akin_dataset **out, const akin_dataset_class *type,
                           const ak_dataset_extra *extra, void *self, akin_error *error)
{
    *out = NULL;
    int64_t count = 0;
    AK_TRY(type->count(self, &count, error));
    if (count < 0)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: says it holds %lld samples", type->name,
                       (long long)count);
    if (count == 0)
        return ak_fail(error, AKIN_ERR_FORMAT, "%s: holds no samples", type->name);
    akin_dataset *dataset = ak_alloc(sizeof *dataset);
    if (!dataset)
        return ak_fail_memory(error);
    *dataset = (akin_dataset){.type = *type, .extra = extra, .self = self, .count = count};
    *out = dataset;
    return AKIN_OK;
}

akin_status akin_dataset_create(akin_dataset **out, const akin_dataset_class *type, void *self,
                                akin_error *error)
{
    *out = NULL;
    if (!type || type->size < sizeof(akin_dataset_class))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a data set's class must give its size as sizeof(akin_dataset_class)");
    if (!type->count || !type->get)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a data set's class needs `count` and `get`");
    if (type->kind != AKIN_PAIRS && type->kind != AKIN_GROUPS)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a data set's kind must be AKIN_PAIRS or AKIN_GROUPS");
    akin_dataset_class named = *type;
    if (!named.name)
        named.name = "data set";
    return ak_dataset_new(out, &named, NULL, self, error);
}

void akin_dataset_free(akin_dataset *dataset)
{
    if (!dataset)
        return;
    if (dataset->type.free)
        dataset->type.free(dataset->self);
    ak_free(dataset);
}

akin_sample_kind akin_dataset_kind(const akin_dataset *dataset)
{
    return dataset->type.kind;
}

int64_t akin_dataset_count(const akin_dataset *dataset)
{
    return dataset->count;
}

/* Our own readers have looked at what they give; a user's callback is believed after this only. */
static akin_status check_sample(const akin_dataset *dataset, int64_t index,
                                const akin_sample *sample, akin_error *error)
{
    const akin_object none = {0};
    bool pairs = dataset->type.kind == AKIN_PAIRS;
    akin_object first = pairs ? sample->pair.a : sample->group.object;
    akin_object second = pairs ? sample->pair.b : none;
    if ((first.size && !first.data) || (second.size && !second.data))
        return ak_dataset_fail(dataset, index, error, AKIN_ERR_ARGUMENT,
                               "an object has a size but no data");
    if (pairs && !isfinite(sample->pair.score))
        return ak_dataset_fail(dataset, index, error, AKIN_ERR_FORMAT,
                               "the score is %f, expected a finite number",
                               (double)sample->pair.score);
    return AKIN_OK;
}

akin_status akin_dataset_get(const akin_dataset *dataset, int64_t index, akin_arena *arena,
                             akin_sample *sample, akin_error *error)
{
    *sample = (akin_sample){0};
    if (dataset->type.kind == AKIN_PAIRS)
        sample->pair.score = 1; /* what a callback that knows no scores leaves as it is */
    if (index < 0 || index >= dataset->count)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: no sample %lld, it holds %lld",
                       dataset->type.name, (long long)index, (long long)dataset->count);
    if (dataset->extra)
        return dataset->type.get(dataset->self, index, arena, sample, error);
    if (error)
        *error = (akin_error){0};
    akin_status status = dataset->type.get(dataset->self, index, arena, sample, error);
    if (!status)
        return check_sample(dataset, index, sample, error);
    if (error && !error->status) /* a callback that gives no reason */
        (void)ak_dataset_fail(dataset, index, error, status, "%s", akin_status_name(status));
    return status;
}

akin_status ak_dataset_label(const akin_dataset *dataset, int64_t index, akin_arena *arena,
                             ak_value *label, akin_error *error)
{
    akin_sample sample;
    if (dataset->extra && dataset->extra->label)
        return dataset->extra->label(dataset->self, index, arena, label, error);
    AK_TRY(akin_dataset_get(dataset, index, arena, &sample, error));
    *label = (ak_value){
        .kind = AK_INT, .integer = sample.group.group, .number = (double)sample.group.group};
    return AKIN_OK;
}

bool ak_dataset_fingerprint(const akin_dataset *dataset, ak_hash *fingerprint)
{
    return dataset->extra && dataset->extra->fingerprint(dataset->self, fingerprint);
}

const char *ak_dataset_name(const akin_dataset *dataset)
{
    return dataset->type.name;
}

int64_t ak_dataset_parts(const akin_dataset *dataset, const ak_data_part **parts)
{
    const ak_dataset_extra *extra = dataset->extra;
    *parts = NULL;
    return extra && extra->parts ? extra->parts(dataset->self, parts) : 0;
}

int64_t ak_dataset_replaced(const akin_dataset *dataset)
{
    const ak_dataset_extra *extra = dataset->extra;
    return extra && extra->replaced ? extra->replaced(dataset->self) : 0;
}

akin_status ak_dataset_fail(const akin_dataset *dataset, int64_t index, akin_error *error,
                            akin_status status, const char *format, ...)
{
    char text[sizeof(((akin_error *)0)->message)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *file = NULL;
    int64_t line = 0;
    if (dataset->extra && dataset->extra->place)
        dataset->extra->place(dataset->self, index, &file, &line);
    if (file)
        return ak_fail_at(error, status, file, line, "%s", text);
    return ak_fail(error, status, "%s: sample %lld: %s", dataset->type.name, (long long)index,
                   text);
}

/* ---- views ---- */

typedef struct view {
    const akin_dataset *parent;
    int64_t *index;
    int64_t count;
    ak_data_part *parts; /* the parent's, as far as they are seen */
    int64_t part_count;
} view;

static akin_status view_count(void *self, int64_t *count, akin_error *error)
{
    (void)error;
    *count = ((view *)self)->count;
    return AKIN_OK;
}

static akin_status view_get(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                            akin_error *error)
{
    view *v = self;
    return akin_dataset_get(v->parent, v->index[index], arena, sample, error);
}

static void view_free(void *self)
{
    view *v = self;
    ak_free(v->index);
    ak_free(v->parts);
    ak_free(v);
}

static bool view_fingerprint(const void *self, ak_hash *fingerprint)
{
    const view *v = self;
    ak_hash parent;
    if (!ak_dataset_fingerprint(v->parent, &parent))
        return false;
    ak_hash own = ak_hash_bytes(v->index, (size_t)v->count * sizeof *v->index);
    *fingerprint = ak_hash_combine(parent, own);
    return true;
}

static int64_t view_replaced(const void *self)
{
    return ak_dataset_replaced(((const view *)self)->parent);
}

static void view_place(const void *self, int64_t index, const char **file, int64_t *line)
{
    const view *v = self;
    const ak_dataset_extra *extra = v->parent->extra;
    if (extra && extra->place)
        extra->place(v->parent->self, v->index[index], file, line);
}

static akin_status view_label(void *self, int64_t index, akin_arena *arena, ak_value *label,
                              akin_error *error)
{
    const view *v = self;
    return ak_dataset_label(v->parent, v->index[index], arena, label, error);
}

static int64_t view_parts(const void *self, const ak_data_part **parts)
{
    const view *v = self;
    *parts = v->parts;
    return v->part_count;
}

/* Both the parts and the index ascend. */
static akin_status find_parts(view *v, akin_error *error)
{
    const ak_data_part *whole;
    int64_t at = 0;
    v->part_count = ak_dataset_parts(v->parent, &whole);
    v->parts = v->part_count ? ak_calloc((size_t)v->part_count, sizeof *v->parts) : NULL;
    if (v->part_count && !v->parts)
        return ak_fail_memory(error);
    for (int64_t p = 0; p < v->part_count; p++) {
        int64_t first = at, end = whole[p].first + whole[p].count;
        while (at < v->count && v->index[at] < end)
            at++;
        v->parts[p] = (ak_data_part){first, at - first, whole[p].weight};
    }
    return AKIN_OK;
}

akin_status ak_dataset_view(akin_dataset **out, const akin_dataset *parent, int64_t *index,
                            int64_t count, akin_error *error)
{
    static const ak_dataset_extra extra = {view_fingerprint, view_replaced, view_place, view_label,
                                           view_parts};
    *out = NULL;
    view *v = ak_alloc(sizeof *v);
    if (!v)
        return ak_fail_memory(error);
    *v = (view){.parent = parent, .index = index, .count = count};
    akin_dataset_class type = {.size = sizeof type,
                               .name = parent->type.name,
                               .kind = parent->type.kind,
                               .count = view_count,
                               .get = view_get,
                               .free = view_free};
    akin_status status = find_parts(v, error);
    if (!status)
        status = ak_dataset_new(out, &type, &extra, v, error);
    if (status) {
        ak_free(v->parts);
        ak_free(v);
    }
    return status;
}
