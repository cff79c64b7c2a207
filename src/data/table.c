/* The sample table: one parallel pass over a data set. Blocks of samples are read and hashed by
   several threads and come here in order, where contents, groups and subgroups get their numbers:
   the table is the same for every number of threads. */
#include "data/table.h"

#include "data/intern.h"
#include "data/pipeline.h"

#include <omp.h>
#include <string.h>

#define BLOCK 1024
#define MAX_WORKERS 64
#define AHEAD 8 /* keys between a prefetch and its use */

typedef struct block {
    int64_t first, count;
    ak_hash keys[2 * BLOCK];
    ak_hash *part_keys; /* 2 * BLOCK x parts; NULL when parts is 1 */
    uint32_t bytes[2 * BLOCK];
    int64_t label[BLOCK]; /* pairs: subgroup, groups: group */
    float score[BLOCK];
    akin_arena *arena;
} block;

typedef struct builder {
    const akin_dataset *dataset;
    const ak_key_rule *rule; /* NULL: the object's bytes */
    ak_table *table;
    ak_intern contents, labels;
    int64_t first_capacity, part_capacity, bytes_capacity;
    ak_pipeline *pipeline;
    block *blocks;
    void *slots[MAX_WORKERS + 2];
    int block_count;
} builder;

/* ---- producing: any thread ---- */

/* Of the block's i-th object. */
static akin_status find_key(const builder *b, block *k, int64_t i, akin_object object,
                            akin_error *error)
{
    bool document = b->table->kind == AKIN_PAIRS && i % 2;
    int64_t parts = b->table->parts;
    ak_hash *keys = k->part_keys ? k->part_keys + i * parts : &k->keys[i];
    k->bytes[i] = object.size < UINT32_MAX ? (uint32_t)object.size : UINT32_MAX;
    if (!b->rule) {
        k->keys[i] = ak_hash_bytes(object.data, object.size);
        return AKIN_OK;
    }
    AK_TRY(b->rule->keys(b->rule->user, object, document, keys, error));
    k->keys[i] = ak_hash_combine_all(keys, parts);
    return AKIN_OK;
}

static akin_status read_sample(const builder *b, block *k, int64_t i, akin_error *error)
{
    akin_sample sample;
    ak_arena_reset(k->arena);
    AK_TRY(akin_dataset_get(b->dataset, k->first + i, k->arena, &sample, error));
    if (b->table->kind == AKIN_GROUPS) {
        k->label[i] = sample.group.group;
        return find_key(b, k, i, sample.group.object, error);
    }
    k->label[i] = sample.pair.subgroup;
    k->score[i] = sample.pair.score;
    AK_TRY(find_key(b, k, 2 * i, sample.pair.a, error));
    return find_key(b, k, 2 * i + 1, sample.pair.b, error);
}

static akin_status read_block(void *user, int64_t number, void *slot, akin_error *error)
{
    const builder *b = user;
    block *k = slot;
    int64_t left = b->table->count - number * BLOCK;
    k->first = number * BLOCK;
    k->count = left < BLOCK ? left : BLOCK;
    for (int64_t i = 0; i < k->count; i++) {
        akin_error found = {0};
        akin_status status = read_sample(b, k, i, &found);
        if (status && !found.status) /* a key function that gives no reason */
            return ak_dataset_fail(b->dataset, k->first + i, error, status, "%s",
                                   akin_status_name(status));
        if (status) {
            *error = found;
            return status;
        }
    }
    return AKIN_OK;
}

/* ---- taking in: the calling thread, in order ---- */

/* What the table keeps of a content that is seen for the first time: the block's i-th object. */
static akin_status take_content(builder *b, const block *k, int64_t i, akin_error *error)
{
    ak_table *t = b->table;
    size_t size = (size_t)t->parts * sizeof *t->part_keys;
    AK_TRY(
        ak_grow(&t->first_sample, t->contents, &b->first_capacity, sizeof *t->first_sample, error));
    AK_TRY(ak_grow(&t->bytes, t->contents, &b->bytes_capacity, sizeof *t->bytes, error));
    t->bytes[t->contents] = k->bytes[i];
    if (k->part_keys) {
        AK_TRY(ak_grow(&t->part_keys, t->contents, &b->part_capacity, size, error));
        memcpy(t->part_keys + t->contents * t->parts, k->part_keys + i * t->parts, size);
    }
    t->first_sample[t->contents++] = k->first + i / t->objects;
    return AKIN_OK;
}

static akin_status take_keys(builder *b, const block *k, akin_error *error)
{
    ak_table *t = b->table;
    int64_t n = k->count * t->objects;
    int64_t *content = t->content + k->first * t->objects;
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            ak_intern_prefetch(&b->contents, k->keys[i + AHEAD]);
        AK_TRY(ak_intern_add(&b->contents, k->keys[i], &content[i], error));
        if (content[i] == t->contents)
            AK_TRY(take_content(b, k, i, error));
    }
    return AKIN_OK;
}

static akin_status number_label(builder *b, int64_t label, int64_t *number, akin_error *error)
{
    return ak_intern_add(&b->labels, ak_hash_bytes(&label, sizeof label), number, error);
}

static akin_status take_subgroups(builder *b, const block *k, akin_error *error)
{
    ak_table *t = b->table;
    for (int64_t i = 0; i < k->count; i++) {
        int64_t index = k->first + i;
        bool given = k->label[i] != 0;
        if (index == 0 && given) {
            t->subgroup = ak_calloc((size_t)t->count, sizeof *t->subgroup);
            if (!t->subgroup)
                return ak_fail_memory(error);
        }
        if (given != (t->subgroup != NULL))
            return ak_dataset_fail(b->dataset, index, error, AKIN_ERR_FORMAT,
                                   "%s subgroup, but the samples before it have %s; give every "
                                   "sample a subgroup or none",
                                   given ? "a" : "no", given ? "none" : "one");
        if (given)
            AK_TRY(number_label(b, k->label[i], &t->subgroup[index], error));
    }
    t->subgroups = t->subgroup ? b->labels.count : 0;
    return AKIN_OK;
}

static akin_status take_block(builder *b, const block *k, akin_error *error)
{
    ak_table *t = b->table;
    if (t->kind == AKIN_PAIRS) {
        memcpy(t->score + k->first, k->score, (size_t)k->count * sizeof *k->score);
        AK_TRY(take_subgroups(b, k, error));
    } else {
        for (int64_t i = 0; i < k->count; i++)
            AK_TRY(number_label(b, k->label[i], &t->group[k->first + i], error));
        t->groups = b->labels.count;
    }
    return take_keys(b, k, error);
}

/* ---- the whole ---- */

static akin_status new_table(ak_table **out, akin_sample_kind kind, int64_t count, int64_t parts,
                             akin_error *error)
{
    *out = NULL;
    ak_owned_table *owned = ak_calloc(1, sizeof *owned);
    if (!owned)
        return ak_fail_memory(error);
    ak_table *t = &owned->table;
    *t = (ak_table){
        .kind = kind, .count = count, .objects = kind == AKIN_PAIRS ? 2 : 1, .parts = parts};
    t->content = ak_calloc((size_t)count, (size_t)t->objects * sizeof *t->content);
    if (kind == AKIN_PAIRS)
        t->score = ak_calloc((size_t)count, sizeof *t->score);
    else
        t->group = ak_calloc((size_t)count, sizeof *t->group);
    if (t->content && (t->score || t->group)) {
        *out = t;
        return AKIN_OK;
    }
    ak_table_free(t);
    return ak_fail_memory(error);
}

static akin_status prepare(builder *b, akin_error *error)
{
    int workers = omp_get_max_threads();
    if (b->table->count <= 2 * BLOCK)
        workers = 0; /* starting threads would take longer than the work */
    workers = workers < MAX_WORKERS ? workers : MAX_WORKERS;
    b->block_count = workers + 2;
    b->blocks = ak_calloc((size_t)b->block_count, sizeof *b->blocks);
    if (!b->blocks)
        return ak_fail_memory(error);
    for (int i = 0; i < b->block_count; i++) {
        b->slots[i] = &b->blocks[i];
        AK_TRY(ak_arena_create(&b->blocks[i].arena, error));
        if (b->table->parts == 1)
            continue;
        b->blocks[i].part_keys = ak_calloc(2 * BLOCK, (size_t)b->table->parts * sizeof(ak_hash));
        if (!b->blocks[i].part_keys)
            return ak_fail_memory(error);
    }
    return ak_pipeline_create(&b->pipeline, workers, b->slots, b->block_count, read_block, b,
                              error);
}

static akin_status read_all(builder *b, ak_progress_function *progress, void *progress_user,
                            akin_error *error)
{
    int64_t count = b->table->count;
    void *slot;
    ak_pipeline_start(b->pipeline, 0, (count + BLOCK - 1) / BLOCK);
    for (;;) {
        AK_TRY(ak_pipeline_next(b->pipeline, &slot, error));
        if (!slot)
            return AKIN_OK;
        block *k = slot;
        AK_TRY(take_block(b, k, error));
        if (progress)
            progress(progress_user, k->first + k->count, count);
        ak_pipeline_release(b->pipeline, slot);
    }
}

static void free_builder(builder *b)
{
    ak_pipeline_free(b->pipeline);
    for (int i = 0; b->blocks && i < b->block_count; i++) {
        ak_arena_free(b->blocks[i].arena);
        ak_free(b->blocks[i].part_keys);
    }
    ak_free(b->blocks);
    ak_intern_free(&b->contents);
    ak_intern_free(&b->labels);
}

akin_status ak_table_find_sides(ak_table *table, akin_error *error)
{
    if (table->kind != AKIN_PAIRS)
        return AKIN_OK;
    table->sides = ak_calloc((size_t)table->contents + 1, sizeof *table->sides);
    if (!table->sides)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < 2 * table->count; i++)
        table->sides[table->content[i]] |= i % 2 ? AK_ON_DOCUMENTS : AK_ON_QUERIES;
    return AKIN_OK;
}

akin_status ak_table_build(ak_table **out, const akin_dataset *dataset, const ak_key_rule *rule,
                           ak_progress_function *progress, void *progress_user, akin_error *error)
{
    *out = NULL;
    builder b = {.dataset = dataset, .rule = rule};
    AK_TRY(new_table(&b.table, akin_dataset_kind(dataset), akin_dataset_count(dataset),
                     rule ? rule->parts : 1, error));
    akin_status status = prepare(&b, error);
    if (!status)
        status = read_all(&b, progress, progress_user, error);
    if (!status) {
        b.table->keys = b.contents.keys; /* the map's array becomes the table's */
        b.contents.keys = NULL;
        if (b.table->kind == AKIN_GROUPS) {
            b.table->group_keys = b.labels.keys;
            b.labels.keys = NULL;
        }
        status = ak_table_find_positives(b.table, error);
    }
    if (!status)
        status = ak_table_find_sides(b.table, error);
    free_builder(&b);
    if (status)
        ak_table_free(b.table);
    else
        *out = b.table;
    return status;
}

akin_status ak_table_empty(ak_table **out, akin_sample_kind kind, akin_error *error)
{
    return new_table(out, kind, 0, 1, error);
}

void ak_table_free(ak_table *table)
{
    if (!table)
        return;
    ak_owned_table *owned = (ak_owned_table *)table;
    ak_free(table->sides);
    if (owned->map.data) {
        ak_map_close(&owned->map);
    } else {
        ak_free(table->content);
        ak_free(table->keys);
        ak_free(table->part_keys);
        ak_free(table->first_sample);
        ak_free(table->bytes);
        ak_free(table->score);
        ak_free(table->subgroup);
        ak_free(table->group);
        ak_free(table->group_keys);
        ak_free(table->positive_start);
        ak_free(table->positives);
    }
    ak_free(owned);
}

int64_t ak_table_lonely_groups(const ak_table *table)
{
    int64_t lonely = 0;
    unsigned char *seen = ak_calloc((size_t)table->groups + 1, 1); /* once, more than once */
    for (int64_t i = 0; seen && table->group && i < table->count; i++)
        seen[table->group[i]] += seen[table->group[i]] < 2;
    for (int64_t g = 0; seen && g < table->groups; g++)
        lonely += seen[g] == 1;
    ak_free(seen);
    return lonely;
}

akin_status ak_table_match_groups(int64_t **map, const ak_table *table, const ak_table *other,
                                  akin_error *error)
{
    ak_intern labels = {0};
    int64_t number;
    akin_status status = AKIN_OK;
    *map = ak_calloc((size_t)table->groups + 1, sizeof **map);
    if (!*map)
        return ak_fail_memory(error);
    for (int64_t g = 0; g < other->groups && !status; g++)
        status = ak_intern_add(&labels, other->group_keys[g], &number, error);
    for (int64_t g = 0; g < table->groups && !status; g++)
        status = ak_intern_add(&labels, table->group_keys[g], &(*map)[g], error);
    ak_intern_free(&labels);
    if (status) {
        ak_free(*map);
        *map = NULL;
    }
    return status;
}
