/* One data set of a run: its labels, its cached features, and how the loader's threads make the
   input of a step from them. */
#include "train/train.h"

const ak_hash *ak_side_keys(const ak_side *side)
{
    return side->table->part_keys ? side->table->part_keys : side->table->keys;
}

/* The rows of a chunk that go through a tower. */
static void choose_rows(ak_step_run *run, bool sides, const ak_batch *batch, const ak_chunk *chunk)
{
    int64_t documents = sides ? batch->count : 0, queries = batch->object_count - documents;
    int64_t first = run->tower == AK_DOCUMENT_TOWER ? queries : 0;
    int64_t end = run->tower == AK_DOCUMENT_TOWER ? batch->object_count : queries;
    if (first < chunk->first)
        first = chunk->first;
    if (end > chunk->first + chunk->count)
        end = chunk->first + chunk->count;
    run->first = first;
    run->count = first < end ? end - first : 0;
}

static akin_status collate_run(const ak_side *side, ak_step_run *run, const ak_batch *batch,
                               akin_error *error)
{
    const akin_encoder *encoder = run->encoder;
    AK_TRY(encoder->type->collate(encoder->self, batch->objects + run->first, run->count,
                                  batch->arena, &run->batch, error));
    return ak_stems_give(side->stems, run->number, run->tower, ak_side_keys(side),
                         batch->labels.content + run->first, run->count, run->batch, batch->arena,
                         error);
}

static akin_status collate_encoder(const ak_side *side, int e, const ak_batch *batch,
                                   akin_matrix features, ak_chunk *chunk, akin_error *error)
{
    const akin_encoder *encoder = side->model->encoders[e].encoder;
    bool sides = ak_encoder_has_sides(encoder);
    for (int t = 0; t < (sides ? AK_TOWERS : 1); t++) {
        ak_step_run run = {
            .encoder = ak_encoder_tower(encoder, (ak_tower)t), .number = e, .tower = (ak_tower)t};
        if (side->features && ak_features_have(side->features, e, run.tower))
            continue;
        choose_rows(&run, sides, batch, chunk);
        if (!run.count)
            continue;
        AK_TRY(collate_run(side, &run, batch, error));
        ak_model_pad(side->model, e, run.tower, ak_matrix_rows(features, run.first, run.count));
        chunk->runs[chunk->run_count++] = run;
    }
    return AKIN_OK;
}

/* The objects for encoders that are not cached, chunk by chunk. */
static akin_status collate_chunks(const ak_side *side, const ak_batch *batch, ak_step_input *input,
                                  akin_error *error)
{
    int encoders = side->model->encoder_count;
    int64_t n = batch->object_count, size = side->chunk_size ? side->chunk_size : n;
    input->chunk_count = (n + size - 1) / size;
    input->chunks = ak_arena_new(batch->arena, ak_chunk, input->chunk_count);
    if (!input->chunks)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < input->chunk_count; i++) {
        ak_chunk *chunk = &input->chunks[i];
        *chunk = (ak_chunk){.first = i * size,
                            .count = n - i * size < size ? n - i * size : size,
                            .runs = ak_arena_new(batch->arena, ak_step_run, AK_TOWERS * encoders)};
        if (!chunk->runs)
            return ak_fail_memory(error);
        for (int e = 0; e < encoders; e++)
            AK_TRY(collate_encoder(side, e, batch, input->features, chunk, error));
    }
    return AKIN_OK;
}

/* Cached columns. */
static void gather(const ak_side *side, const ak_batch *batch, akin_matrix features)
{
    bool sides = akin_model_base_has_sides(side->model);
    int64_t documents = sides ? batch->count : 0, queries = batch->object_count - documents;
    const int64_t *content = batch->labels.content;
    ak_features_gather(side->features, AK_QUERY_TOWER, content, queries,
                       ak_matrix_rows(features, 0, queries));
    if (documents)
        ak_features_gather(side->features, AK_DOCUMENT_TOWER, content + queries, documents,
                           ak_matrix_rows(features, queries, documents));
}

/* Streams have no table, and give every batch its objects. */
static akin_status collate_tags(const ak_side *side, const ak_batch *batch, ak_step_input *input,
                                akin_error *error)
{
    if (side->table && ak_side_keys(side))
        return ak_model_key_tags(side->model, ak_side_keys(side), batch->labels.content,
                                 batch->object_count, batch->arena, &input->tags, error);
    return ak_model_tags(side->model, batch->objects, batch->object_count, batch->arena,
                         &input->tags, error);
}

/* A validation set numbers its groups by itself; a loss knows the training set's numbers. */
static akin_status renumber_groups(const ak_side *side, ak_batch *batch, akin_error *error)
{
    int64_t *group = ak_arena_new(batch->arena, int64_t, batch->count);
    if (!group)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < batch->count; i++)
        group[i] = side->group_map[batch->labels.group[i]];
    batch->labels.group = group;
    batch->labels.groups = side->groups;
    return AKIN_OK;
}

/* Runs on loader threads: gathers cached columns, collates the objects for the other encoders. */
static akin_status collate(void *user, ak_batch *batch, akin_error *error)
{
    const ak_side *side = user;
    if (side->negatives)
        AK_TRY(ak_negatives_extend(side, batch, error));
    ak_step_input *input = ak_arena_new(batch->arena, ak_step_input, 1);
    if (!input)
        return ak_fail_memory(error);
    input->features = ak_matrix_new(batch->arena, batch->object_count, side->model->input_dim);
    if (!input->features.data)
        return ak_fail_memory(error);
    if (side->features)
        gather(side, batch, input->features);
    AK_TRY(collate_chunks(side, batch, input, error));
    AK_TRY(collate_tags(side, batch, input, error));
    if (side->teacher)
        AK_TRY(ak_teacher_gather(side, batch, error));
    batch->collated = input;
    return side->group_map ? renumber_groups(side, batch, error) : AKIN_OK;
}

static bool all_cached(const akin_model *model)
{
    for (int e = 0; e < model->encoder_count; e++)
        if (ak_encoder_trainable(model->encoders[e].encoder) ||
            !model->encoders[e].encoder->cache.enabled)
            return false;
    return true;
}

/* A stream has no table to look into beforehand, and its vectors are not kept: whoever streams has
   more than a cache should hold, and what fits into one can be read as a data set. */
static akin_status open_stream(ak_side *side, akin_error *error)
{
    const ak_key_rule rule = {ak_model_rule_keys, (void *)side->model, side->model->encoder_count};
    side->reads_objects = true;
    AK_TRY(ak_table_empty(&side->table, akin_dataset_kind(side->dataset), error));
    return ak_loader_prepare_stream(side->loader, &rule, collate, side, error);
}

akin_status ak_side_open(ak_side *side, const akin_model *model, akin_loader *loader, bool cache,
                         int64_t chunk_size, const ak_table *training, akin_error *error)
{
    *side = (ak_side){.model = model, .loader = loader, .chunk_size = chunk_size};
    if (!loader)
        return AKIN_OK;
    bool reused;
    side->dataset = akin_loader_dataset(loader);
    if (ak_loader_is_stream(loader))
        return open_stream(side, error);
    AK_TRY(ak_labels_table(&side->table, model, side->dataset, &reused, error));
    if (training && side->table->kind == AKIN_GROUPS) {
        AK_TRY(ak_table_match_groups(&side->group_map, side->table, training, error));
        side->groups = training->groups;
        for (int64_t g = 0; g < side->table->groups; g++)
            if (side->group_map[g] >= side->groups) /* a label the training set has not */
                side->groups = side->group_map[g] + 1;
    }
    if (cache) {
        ak_table_source source = {side->table, side->dataset};
        ak_contents contents = ak_table_contents(&source);
        AK_TRY(ak_features_collect(&side->features, model, &contents, true, error));
        AK_TRY(ak_stems_collect(&side->stems, model, &contents, error));
    }
    side->reads_objects = !cache || !all_cached(model);
    return ak_loader_prepare(loader, side->table, side->reads_objects, collate, side, error);
}

void ak_side_close(ak_side *side)
{
    if (side->loader)
        ak_loader_stop(side->loader);
    ak_features_free(side->features);
    ak_stems_free(side->stems);
    ak_features_free(side->teacher_features);
    ak_free(side->teacher_keys);
    ak_table_free(side->table);
    ak_free(side->group_map);
    *side = (ak_side){0};
}
