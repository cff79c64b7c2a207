/* Labels of a stream's batch. Without a table of the whole set contents, groups and subgroups get
   numbers within the batch, and the known positives are those of the batch itself. */
#include "data/intern.h"
#include "data/stream.h"
#include "data/table.h"

#include <string.h>

typedef struct labelling {
    const akin_sample *samples;
    const ak_key_rule *rule;
    ak_table table; /* of the batch: content, score and what follows from them */
    ak_hash *parts;
} labelling;

static akin_status find_key(labelling *l, akin_object object, bool document, ak_hash *key,
                            akin_error *error)
{
    if (!l->rule) {
        *key = ak_hash_bytes(object.data, object.size);
        return AKIN_OK;
    }
    AK_TRY(l->rule->keys(l->rule->user, object, document, l->parts, error));
    *key = ak_hash_combine_all(l->parts, l->rule->parts);
    return AKIN_OK;
}

static akin_status number_contents(labelling *l, ak_intern *contents, akin_error *error)
{
    ak_table *t = &l->table;
    for (int64_t i = 0; i < t->count * t->objects; i++) {
        const akin_sample *s = &l->samples[i / t->objects];
        bool document = t->kind == AKIN_PAIRS && i % 2;
        akin_object object = t->kind == AKIN_GROUPS ? s->group.object
                             : document             ? s->pair.b
                                                    : s->pair.a;
        ak_hash key;
        AK_TRY(find_key(l, object, document, &key, error));
        AK_TRY(ak_intern_add(contents, key, &t->content[i], error));
    }
    t->contents = contents->count;
    return AKIN_OK;
}

static akin_status number_labels(labelling *l, ak_intern *labels, int64_t *number,
                                 akin_error *error)
{
    bool pairs = l->table.kind == AKIN_PAIRS;
    for (int64_t i = 0; i < l->table.count; i++) {
        int64_t label = pairs ? l->samples[i].pair.subgroup : l->samples[i].group.group;
        AK_TRY(ak_intern_add(labels, ak_hash_bytes(&label, sizeof label), &number[i], error));
    }
    return AKIN_OK;
}

static void *keep(akin_arena *arena, const void *data, size_t size)
{
    void *copy = akin_arena_alloc(arena, size);
    return copy ? memcpy(copy, data, size) : NULL;
}

/* The batch's known positives, moved into its arena. */
static akin_status add_positives(labelling *l, ak_batch *batch, akin_error *error)
{
    ak_table *t = &l->table;
    akin_labels *labels = &batch->labels;
    AK_TRY(ak_table_find_positives(t, error));
    if (!t->positive_start)
        return AKIN_OK;
    size_t edges = (size_t)t->positive_start[t->contents];
    labels->positive_start = keep(batch->arena, t->positive_start,
                                  ((size_t)t->contents + 1) * sizeof *t->positive_start);
    labels->positives = keep(batch->arena, t->positives, edges * sizeof *t->positives);
    ak_free(t->positive_start);
    ak_free(t->positives);
    return labels->positive_start && labels->positives ? AKIN_OK : ak_fail_memory(error);
}

static akin_status allocate(labelling *l, ak_batch *batch, int64_t **content, int64_t **number,
                            akin_error *error)
{
    akin_arena *arena = batch->arena;
    ak_table *t = &l->table;
    *content = ak_arena_new(arena, int64_t, batch->object_count);
    *number = ak_arena_new(arena, int64_t, batch->count);
    t->content = ak_arena_new(arena, int64_t, batch->object_count);
    t->score = ak_arena_new(arena, float, batch->count);
    l->parts = ak_arena_new(arena, ak_hash, l->rule ? l->rule->parts : 1);
    batch->samples = ak_arena_new(arena, int64_t, batch->count);
    batch->objects = ak_arena_new(arena, akin_object, batch->object_count);
    bool whole = *content && *number && t->content && t->score && l->parts && batch->samples &&
                 batch->objects;
    return whole ? AKIN_OK : ak_fail_memory(error);
}

/* From a_0, b_0, a_1, b_1, ... to a_0, a_1, ..., b_0, b_1, ... */
static void place_objects(const labelling *l, ak_batch *batch, int64_t *content)
{
    const ak_table *t = &l->table;
    for (int64_t i = 0; i < batch->count; i++) {
        batch->samples[i] = -1;
        for (int64_t o = 0; o < t->objects; o++)
            content[o * batch->count + i] = t->content[i * t->objects + o];
        if (t->kind == AKIN_GROUPS) {
            batch->objects[i] = l->samples[i].group.object;
            continue;
        }
        batch->objects[i] = l->samples[i].pair.a;
        batch->objects[batch->count + i] = l->samples[i].pair.b;
        t->score[i] = l->samples[i].pair.score;
    }
}

static akin_status fill(labelling *l, ak_batch *batch, ak_intern *contents, ak_intern *labels,
                        akin_error *error)
{
    int64_t *content, *number;
    bool pairs = l->table.kind == AKIN_PAIRS;
    AK_TRY(allocate(l, batch, &content, &number, error));
    AK_TRY(number_contents(l, contents, error));
    AK_TRY(number_labels(l, labels, number, error));
    place_objects(l, batch, content);
    batch->labels = (akin_labels){.size = sizeof(akin_labels),
                                  .kind = l->table.kind,
                                  .count = batch->count,
                                  .content = content,
                                  .group = pairs ? NULL : number,
                                  .groups = pairs ? 0 : labels->count,
                                  .score = pairs ? l->table.score : NULL};
    if (!pairs)
        return AKIN_OK;
    if (l->samples[0].pair.subgroup) /* given: by all of them */
        batch->labels.subgroup = number;
    return add_positives(l, batch, error);
}

akin_status ak_stream_labels(ak_batch *batch, akin_sample_kind kind, const akin_sample *samples,
                             const ak_key_rule *rule, akin_error *error)
{
    labelling l = {
        .samples = samples,
        .rule = rule,
        .table = {.kind = kind, .count = batch->count, .objects = kind == AKIN_PAIRS ? 2 : 1}};
    ak_intern contents = {0}, labels = {0};
    batch->object_count = batch->count * l.table.objects;
    akin_status status = fill(&l, batch, &contents, &labels, error);
    ak_intern_free(&contents);
    ak_intern_free(&labels);
    return status;
}
