/* Data sets in memory: the user's arrays, copied into one block of bytes. */
#include "data/dataset.h"

#include <math.h>
#include <string.h>

typedef struct arrays {
    akin_sample_kind kind;
    int64_t count;
    akin_sample *samples;
    char *bytes; /* what their objects point into */
} arrays;

static akin_status arrays_count(void *self, int64_t *count, akin_error *error)
{
    (void)error;
    *count = ((arrays *)self)->count;
    return AKIN_OK;
}

static akin_status arrays_get(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                              akin_error *error)
{
    (void)arena;
    (void)error;
    *sample = ((arrays *)self)->samples[index];
    return AKIN_OK;
}

static void arrays_free(void *self)
{
    arrays *set = self;
    ak_free(set->samples);
    ak_free(set->bytes);
    ak_free(set);
}

static ak_hash hash_object(ak_hash hash, akin_object object)
{
    return ak_hash_combine(hash, ak_hash_bytes(object.data, object.size));
}

static bool arrays_fingerprint(const void *self, ak_hash *fingerprint)
{
    const arrays *set = self;
    ak_hash hash = ak_hash_text(set->kind == AKIN_PAIRS ? "pairs" : "groups");
    for (int64_t i = 0; i < set->count; i++) {
        const akin_sample *s = &set->samples[i];
        if (set->kind == AKIN_PAIRS) {
            uint64_t words[2] = {(uint64_t)s->pair.subgroup, 0};
            memcpy(&words[1], &s->pair.score, sizeof s->pair.score);
            hash = hash_object(hash_object(hash, s->pair.a), s->pair.b);
            hash = ak_hash_combine(hash, ak_hash_bytes(words, sizeof words));
        } else {
            hash = hash_object(hash, s->group.object);
            hash = ak_hash_combine(hash, ak_hash_bytes(&s->group.group, sizeof s->group.group));
        }
    }
    *fingerprint = hash;
    return true;
}

/* Copies an object's bytes to *bytes and moves on; an empty one points at a valid address too. */
static akin_object take(akin_object object, char **bytes)
{
    akin_object copy = {.data = *bytes, .size = object.size};
    if (object.size)
        memcpy(*bytes, object.data, object.size);
    *bytes += object.size;
    return copy;
}

static akin_status add_size(akin_object object, int64_t index, size_t *total, akin_error *error)
{
    if (object.size && !object.data)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "sample %lld: an object has a size but no data",
                       (long long)index);
    if (__builtin_add_overflow(*total, object.size, total))
        return ak_fail_memory(error);
    return AKIN_OK;
}

static akin_status create(akin_dataset **out, arrays *set, akin_error *error)
{
    static const ak_dataset_extra extra = {arrays_fingerprint, NULL, NULL, NULL, NULL};
    akin_dataset_class type = {.size = sizeof type,
                               .name = "arrays in memory",
                               .kind = set->kind,
                               .count = arrays_count,
                               .get = arrays_get,
                               .free = arrays_free};
    return ak_dataset_new(out, &type, &extra, set, error);
}

/* A set with room for `count` samples and `bytes` bytes. */
static akin_status new_set(arrays **out, akin_sample_kind kind, int64_t count, size_t bytes,
                           akin_error *error)
{
    arrays *set = ak_calloc(1, sizeof *set);
    *out = set;
    if (!set)
        return ak_fail_memory(error);
    *set = (arrays){.kind = kind, .count = count};
    set->samples = ak_calloc((size_t)count, sizeof *set->samples);
    set->bytes = ak_alloc(bytes);
    if (set->samples && set->bytes)
        return AKIN_OK;
    arrays_free(set);
    *out = NULL;
    return ak_fail_memory(error);
}

static akin_status check_array(const void *samples, int64_t count, akin_error *error)
{
    if (count < 0 || (count > 0 && !samples))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%lld samples cannot be read from an array%s",
                       (long long)count, samples ? "" : " that is NULL");
    return AKIN_OK;
}

akin_status akin_dataset_from_pairs(akin_dataset **out, const akin_pair *pairs, int64_t count,
                                    akin_error *error)
{
    *out = NULL;
    size_t total = 0;
    AK_TRY(check_array(pairs, count, error));
    for (int64_t i = 0; i < count; i++) {
        AK_TRY(add_size(pairs[i].a, i, &total, error));
        AK_TRY(add_size(pairs[i].b, i, &total, error));
        if (!isfinite(pairs[i].score))
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "sample %lld: the score is %f, expected a finite number", (long long)i,
                           (double)pairs[i].score);
    }
    arrays *set;
    AK_TRY(new_set(&set, AKIN_PAIRS, count, total, error));
    char *bytes = set->bytes;
    for (int64_t i = 0; i < count; i++) {
        akin_pair *pair = &set->samples[i].pair;
        *pair = pairs[i];
        pair->a = take(pairs[i].a, &bytes);
        pair->b = take(pairs[i].b, &bytes);
    }
    akin_status status = create(out, set, error);
    if (status)
        arrays_free(set);
    return status;
}

akin_status akin_dataset_from_groups(akin_dataset **out, const akin_group *groups, int64_t count,
                                     akin_error *error)
{
    *out = NULL;
    size_t total = 0;
    AK_TRY(check_array(groups, count, error));
    for (int64_t i = 0; i < count; i++)
        AK_TRY(add_size(groups[i].object, i, &total, error));
    arrays *set;
    AK_TRY(new_set(&set, AKIN_GROUPS, count, total, error));
    char *bytes = set->bytes;
    for (int64_t i = 0; i < count; i++) {
        set->samples[i].group.group = groups[i].group;
        set->samples[i].group.object = take(groups[i].object, &bytes);
    }
    akin_status status = create(out, set, error);
    if (status)
        arrays_free(set);
    return status;
}
