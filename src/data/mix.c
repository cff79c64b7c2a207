/* Several data sets as one: their samples one set after the other. Contents, groups and known
   positives are those of all of them, for a label is its text and a content its bytes whichever
   file they come from. A weight says how often an epoch of a shuffled loader draws a set's
   samples. */
#include "data/dataset.h"

#include <math.h>

typedef struct mix {
    const akin_dataset **sets;
    ak_data_part *parts;
    int64_t count;
    char *name; /* "a.jsonl, b.jsonl" */
} mix;

static akin_status mix_count(void *self, int64_t *count, akin_error *error)
{
    const mix *m = self;
    (void)error;
    *count = m->parts[m->count - 1].first + m->parts[m->count - 1].count;
    return AKIN_OK;
}

/* The set that holds sample `index`, which becomes a number in that set. */
static const akin_dataset *find_set(const mix *m, int64_t *index)
{
    int64_t low = 0, high = m->count - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (m->parts[middle].first <= *index)
            low = middle;
        else
            high = middle - 1;
    }
    *index -= m->parts[low].first;
    return m->sets[low];
}

static akin_status mix_get(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                           akin_error *error)
{
    const akin_dataset *set = find_set(self, &index);
    return akin_dataset_get(set, index, arena, sample, error);
}

static void mix_free(void *self)
{
    mix *m = self;
    ak_free(m->sets);
    ak_free(m->parts);
    ak_free(m->name);
    ak_free(m);
}

/* Weights are no part of it: they change no label. */
static bool mix_fingerprint(const void *self, ak_hash *fingerprint)
{
    const mix *m = self;
    *fingerprint = ak_hash_text("mix");
    for (int64_t i = 0; i < m->count; i++) {
        ak_hash one;
        if (!ak_dataset_fingerprint(m->sets[i], &one))
            return false;
        *fingerprint = ak_hash_combine(*fingerprint, one);
    }
    return true;
}

static int64_t mix_replaced(const void *self)
{
    const mix *m = self;
    int64_t replaced = 0;
    for (int64_t i = 0; i < m->count; i++)
        replaced += ak_dataset_replaced(m->sets[i]);
    return replaced;
}

static void mix_place(const void *self, int64_t index, const char **file, int64_t *line)
{
    const akin_dataset *set = find_set(self, &index);
    if (set->extra && set->extra->place)
        set->extra->place(set->self, index, file, line);
}

static akin_status mix_label(void *self, int64_t index, akin_arena *arena, ak_value *label,
                             akin_error *error)
{
    const akin_dataset *set = find_set(self, &index);
    return ak_dataset_label(set, index, arena, label, error);
}

static int64_t mix_parts(const void *self, const ak_data_part **parts)
{
    const mix *m = self;
    *parts = m->parts;
    return m->count;
}

/* ---- creating ---- */

static akin_status check(const akin_dataset *const *sets, const double *weights, int count,
                         akin_error *error)
{
    char text[32];
    if (count < 1 || !sets)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a mix needs at least one data set");
    for (int i = 0; i < count; i++) {
        if (!sets[i])
            return ak_fail(error, AKIN_ERR_ARGUMENT, "data set %d of a mix is NULL", i);
        if (sets[i]->type.kind != sets[0]->type.kind)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "%s and %s cannot be mixed: one holds pairs, the other groups",
                           ak_dataset_name(sets[0]), ak_dataset_name(sets[i]));
        if (!weights || (weights[i] > 0 && weights[i] <= AK_MAX_WEIGHT))
            continue;
        ak_double_to_text(weights[i], text);
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: a weight of %s must lie above 0, up to %d",
                       ak_dataset_name(sets[i]), text, AK_MAX_WEIGHT);
    }
    return AKIN_OK;
}

static akin_status fill(mix *m, const akin_dataset *const *sets, const double *weights,
                        akin_error *error)
{
    ak_text name = {0};
    int64_t first = 0;
    m->sets = ak_calloc((size_t)m->count, sizeof *m->sets);
    m->parts = ak_calloc((size_t)m->count, sizeof *m->parts);
    if (!m->sets || !m->parts)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < m->count; i++) {
        m->sets[i] = sets[i];
        m->parts[i] = (ak_data_part){first, akin_dataset_count(sets[i]), weights ? weights[i] : 1};
        first += m->parts[i].count;
        ak_text_printf(&name, "%s%s", i ? ", " : "", ak_dataset_name(sets[i]));
    }
    m->name = name.data;
    return name.failed ? ak_fail_memory(error) : AKIN_OK;
}

akin_status akin_dataset_mix(akin_dataset **out, const akin_dataset *const *sets,
                             const double *weights, int count, akin_error *error)
{
    static const ak_dataset_extra extra = {mix_fingerprint, mix_replaced, mix_place, mix_label,
                                           mix_parts};
    *out = NULL;
    AK_TRY(check(sets, weights, count, error));
    mix *m = ak_calloc(1, sizeof *m);
    if (!m)
        return ak_fail_memory(error);
    m->count = count;
    akin_status status = fill(m, sets, weights, error);
    if (!status) {
        akin_dataset_class type = {.size = sizeof type,
                                   .name = m->name,
                                   .kind = sets[0]->type.kind,
                                   .count = mix_count,
                                   .get = mix_get,
                                   .free = mix_free};
        status = ak_dataset_new(out, &type, &extra, m, error);
    }
    if (status)
        mix_free(m);
    return status;
}
