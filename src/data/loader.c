/* The loader: samples in the order of an epoch become batches, made ahead by worker threads. The
   order is a function of (seed, epoch) alone; batches come out in order whatever the number of
   workers. Batches and their arenas are reused, so that a steady state allocates nothing. */
#include "data/data.h"
#include "data/pipeline.h"
#include "data/sampler.h"
#include "data/stream.h"

#include <string.h>

#define MAX_WORKERS 256
#define MAX_BUFFER (INT64_C(1) << 30)
#define SPARE 3 /* batches besides one per worker: two that may be held, one that is ready */

struct akin_loader {
    const akin_dataset *dataset; /* a stream's shell, where there is a stream */
    akin_stream *stream;         /* NULL: none */
    akin_loader_options options;
    akin_arena *arena;
    ak_sampler sampler;
    int64_t batches; /* per epoch; a sampler's when it is prepared; 0: a stream ends when it ends */
    /* From prepare on: */
    const ak_table *table;
    bool read_objects;
    ak_collate_function *collate;
    void *user;
    ak_planner *planner; /* NULL: the data set's own order */
    ak_drawer *drawer;   /* with planner */
    ak_key_rule rule;    /* with stream; keys NULL: the objects' bytes */
    ak_stream_reader *reader;
    ak_batch *slots;
    void **slot_pointers;
    int slot_count;
    ak_pipeline *pipeline;
};

akin_loader_options akin_loader_defaults(void)
{
    return (akin_loader_options){.size = sizeof(akin_loader_options),
                                 .batch_size = 128,
                                 .shuffle = true,
                                 .seed = 42,
                                 .drop_last = false,
                                 .workers = 1,
                                 .shuffle_buffer = 10000};
}

/* ---- creating ---- */

static akin_status read_options(akin_loader_options *out, const akin_loader_options *given,
                                akin_error *error)
{
    *out = akin_loader_defaults();
    if (!given)
        return AKIN_OK;
    if (given->size < sizeof *out)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "loader options must come from akin_loader_defaults()");
    *out = *given;
    if (out->batch_size < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "batch_size is %lld, must be at least 1",
                       (long long)out->batch_size);
    if (out->workers < 0 || out->workers > MAX_WORKERS)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "workers is %d, must be between 0 and %d",
                       out->workers, MAX_WORKERS);
    if (out->shuffle_buffer < 1 || out->shuffle_buffer > MAX_BUFFER)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "shuffle_buffer is %lld, must be between 1 and %lld",
                       (long long)out->shuffle_buffer, (long long)MAX_BUFFER);
    if (out->epoch_steps < 0)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "epoch_steps is %lld, must not be negative",
                       (long long)out->epoch_steps);
    if (out->sampler && !out->shuffle)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a sampler draws at random: with one \"shuffle\" must be true");
    return AKIN_OK;
}

static akin_status check_kind(const akin_dataset *dataset, akin_sample_kind kind, akin_error *error)
{
    if (akin_dataset_kind(dataset) == kind)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   kind == AKIN_PAIRS
                       ? "%s: holds groups (object, group), which a pair loader cannot read: use "
                         "akin_group_loader_create and a loss on groups, or open it as pairs"
                       : "%s: holds pairs (a, b), which a group loader cannot read: use "
                         "akin_pair_loader_create and a loss on pairs, or open it as groups",
                   ak_dataset_name(dataset));
}

static akin_status read_sampler(akin_loader *loader, akin_sample_kind kind, akin_error *error)
{
    AK_TRY(ak_arena_create(&loader->arena, error));
    AK_TRY(ak_sampler_read(&loader->sampler, loader->options.sampler, loader->arena, error));
    loader->options.sampler = loader->sampler.text; /* the caller's text need not live on */
    return ak_sampler_check(&loader->sampler, kind, ak_dataset_name(loader->dataset), error);
}

static akin_status create(akin_loader **out, const akin_dataset *dataset, akin_sample_kind kind,
                          const akin_loader_options *options, akin_error *error)
{
    akin_loader_options read;
    *out = NULL;
    AK_TRY(check_kind(dataset, kind, error));
    AK_TRY(read_options(&read, options, error));
    if (read.epoch_steps)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: epoch_steps is for streams; an epoch of a data set draws its samples",
                       ak_dataset_name(dataset));
    int64_t count = akin_dataset_count(dataset);
    if (read.batch_size > count && read.drop_last)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: holds %lld samples, fewer than one batch of %lld, and drop_last leaves "
                       "no smaller one",
                       ak_dataset_name(dataset), (long long)count, (long long)read.batch_size);
    akin_loader *loader = ak_calloc(1, sizeof *loader);
    if (!loader)
        return ak_fail_memory(error);
    loader->dataset = dataset;
    loader->options = read;
    loader->batches = count / read.batch_size + (!read.drop_last && count % read.batch_size != 0);
    akin_status status = read_sampler(loader, kind, error);
    if (status)
        akin_loader_free(loader);
    else
        *out = loader;
    return status;
}

akin_status akin_pair_loader_create(akin_loader **out, const akin_dataset *dataset,
                                    const akin_loader_options *options, akin_error *error)
{
    return create(out, dataset, AKIN_PAIRS, options, error);
}

akin_status akin_group_loader_create(akin_loader **out, const akin_dataset *dataset,
                                     const akin_loader_options *options, akin_error *error)
{
    return create(out, dataset, AKIN_GROUPS, options, error);
}

akin_status akin_stream_loader_create(akin_loader **out, akin_stream *stream,
                                      const akin_loader_options *options, akin_error *error)
{
    akin_loader_options read;
    *out = NULL;
    if (!stream)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the stream of a loader is NULL");
    AK_TRY(read_options(&read, options, error));
    akin_loader *loader = ak_calloc(1, sizeof *loader);
    if (!loader)
        return ak_fail_memory(error);
    loader->dataset = &stream->shell;
    loader->stream = stream;
    loader->options = read;
    loader->batches = read.epoch_steps;
    akin_status status = read_sampler(loader, stream->type.kind, error);
    if (!status && loader->sampler.type != ak_sampler_default())
        status = ak_fail(error, AKIN_ERR_ARGUMENT,
                         "%s: the sampler %s needs the whole data set, which a stream is not",
                         stream->shell.type.name, loader->sampler.type->name);
    if (status)
        akin_loader_free(loader);
    else
        *out = loader;
    return status;
}

static void free_prepared(akin_loader *loader)
{
    ak_pipeline_free(loader->pipeline);
    ak_stream_reader_free(loader->reader);
    for (int i = 0; loader->slots && i < loader->slot_count; i++)
        ak_arena_free(loader->slots[i].arena);
    ak_free(loader->slots);
    ak_free(loader->slot_pointers);
    ak_planner_free(loader->planner);
    ak_drawer_free(loader->drawer);
    loader->pipeline = NULL;
    loader->slots = NULL;
    loader->slot_pointers = NULL;
    loader->planner = NULL;
    loader->drawer = NULL;
    loader->reader = NULL;
}

void akin_loader_free(akin_loader *loader)
{
    if (!loader)
        return;
    free_prepared(loader);
    ak_arena_free(loader->arena);
    ak_free(loader);
}

const akin_dataset *akin_loader_dataset(const akin_loader *loader)
{
    return loader->dataset;
}

const akin_loader_options *ak_loader_options_of(const akin_loader *loader)
{
    return &loader->options;
}

akin_status ak_loader_set_near(akin_loader *loader, const int64_t *near, int64_t count,
                               akin_error *error)
{
    if (!loader->planner || loader->sampler.type != &ak_sampler_groups)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: near groups meet in batches of the sampler \"groups\", not of \"%s\"",
                       ak_dataset_name(loader->dataset),
                       loader->planner ? loader->sampler.type->name : "no shuffle");
    ak_plan *plan = ak_planner_plan(loader->planner);
    plan->near = near;
    plan->near_count = count;
    return AKIN_OK;
}

const char *ak_loader_sampler(const akin_loader *loader)
{
    return loader->options.shuffle ? loader->sampler.text : "";
}

int64_t ak_loader_batches(const akin_loader *loader)
{
    return loader->batches;
}

bool ak_loader_is_stream(const akin_loader *loader)
{
    return loader->stream != NULL;
}

bool ak_loader_exhausted(const akin_loader *loader)
{
    return loader->reader && ak_stream_reader_exhausted(loader->reader);
}

int64_t ak_loader_left_out(const akin_loader *loader)
{
    return loader->planner ? ak_planner_plan(loader->planner)->left_out : 0;
}

/* ---- making a batch: any thread ---- */

static akin_status allocate_batch(ak_batch *b, const akin_loader *loader, int64_t **content,
                                  int64_t **group, float **score, akin_error *error)
{
    bool pairs = loader->table->kind == AKIN_PAIRS;
    *content = ak_arena_new(b->arena, int64_t, b->object_count);
    *group = ak_arena_new(b->arena, int64_t, b->count); /* groups, or subgroups of pairs */
    *score = pairs ? ak_arena_new(b->arena, float, b->count) : NULL;
    b->samples = ak_arena_new(b->arena, int64_t, b->count);
    if (loader->read_objects)
        b->objects = ak_arena_new(b->arena, akin_object, b->object_count);
    bool whole = *content && *group && b->samples && (*score || !pairs) &&
                 (b->objects || !loader->read_objects);
    return whole ? AKIN_OK : ak_fail_memory(error);
}

/* Labels of the batch, copied out of the table. */
static akin_status fill_labels(ak_batch *b, const akin_loader *loader, int64_t first,
                               akin_error *error)
{
    const ak_table *t = loader->table;
    int64_t *content, *group;
    const int64_t *group_of = t->kind == AKIN_PAIRS ? t->subgroup : t->group;
    float *score;
    const int64_t *order = loader->planner ? ak_planner_plan(loader->planner)->order + first : NULL;
    AK_TRY(allocate_batch(b, loader, &content, &group, &score, error));
    for (int64_t i = 0; i < b->count; i++) {
        int64_t sample = loader->planner ? order[i] : first + i;
        b->samples[i] = sample;
        for (int64_t o = 0; o < t->objects; o++)
            content[o * b->count + i] = t->content[sample * t->objects + o];
        if (score)
            score[i] = t->score[sample];
        if (group_of)
            group[i] = group_of[sample];
    }
    b->labels = (akin_labels){.size = sizeof(akin_labels),
                              .kind = t->kind,
                              .count = b->count,
                              .content = content,
                              .group = t->kind == AKIN_GROUPS ? group : NULL,
                              .groups = t->groups,
                              .score = score,
                              .subgroup = t->subgroup ? group : NULL,
                              .positive_start = t->positive_start,
                              .positives = t->positives};
    return AKIN_OK;
}

static akin_status read_objects(ak_batch *b, const akin_loader *loader, akin_error *error)
{
    akin_sample sample;
    for (int64_t i = 0; i < b->count; i++) {
        AK_TRY(akin_dataset_get(loader->dataset, b->samples[i], b->arena, &sample, error));
        if (b->labels.kind == AKIN_PAIRS) {
            b->objects[i] = sample.pair.a;
            b->objects[b->count + i] = sample.pair.b;
        } else {
            b->objects[i] = sample.group.object;
        }
    }
    return AKIN_OK;
}

/* Where the batch starts in the order of the epoch, and how many samples it has. */
static int64_t find_batch(const akin_loader *loader, int64_t number, int64_t *count)
{
    if (loader->planner) {
        const int64_t *start = ak_planner_plan(loader->planner)->start + number;
        *count = start[1] - start[0];
        return start[0];
    }
    int64_t size = loader->options.batch_size, left = loader->table->count - number * size;
    *count = left < size ? left : size;
    return number * size;
}

static akin_status make_batch(void *user, int64_t number, void *slot, akin_error *error)
{
    const akin_loader *loader = user;
    ak_batch *b = slot;
    akin_arena *arena = b->arena;
    ak_arena_reset(arena);
    *b = (ak_batch){.number = number, .arena = arena};
    int64_t first = find_batch(loader, number, &b->count);
    b->object_count = b->count * loader->table->objects;
    AK_TRY(fill_labels(b, loader, first, error));
    if (loader->read_objects)
        AK_TRY(read_objects(b, loader, error));
    return loader->collate ? loader->collate(loader->user, b, error) : AKIN_OK;
}

static akin_status make_stream_batch(void *user, int64_t number, void *slot, akin_error *error)
{
    const akin_loader *loader = user;
    ak_batch *b = slot;
    akin_arena *arena = b->arena;
    akin_sample *samples;
    ak_arena_reset(arena);
    *b = (ak_batch){.number = number, .arena = arena};
    AK_TRY(ak_stream_reader_read(loader->reader, number, arena, &samples, &b->count, error));
    if (!b->count)
        return AKIN_OK;
    AK_TRY(ak_stream_labels(b, loader->stream->type.kind, samples,
                            loader->rule.keys ? &loader->rule : NULL, error));
    return loader->collate ? loader->collate(loader->user, b, error) : AKIN_OK;
}

/* ---- epochs ---- */

static akin_status make_slots(akin_loader *loader, akin_error *error)
{
    int64_t workers = loader->options.workers;
    if (workers > loader->batches && !loader->stream)
        workers = loader->batches;
    loader->slot_count = (int)workers + SPARE;
    loader->slots = ak_calloc((size_t)loader->slot_count, sizeof *loader->slots);
    loader->slot_pointers = ak_calloc((size_t)loader->slot_count, sizeof *loader->slot_pointers);
    if (!loader->slots || !loader->slot_pointers)
        return ak_fail_memory(error);
    for (int i = 0; i < loader->slot_count; i++) {
        loader->slot_pointers[i] = &loader->slots[i];
        AK_TRY(ak_arena_create(&loader->slots[i].arena, error));
    }
    return ak_pipeline_create(&loader->pipeline, (int)workers, loader->slot_pointers,
                              loader->slot_count, loader->stream ? make_stream_batch : make_batch,
                              loader, error);
}

static akin_status make_planner(akin_loader *loader, akin_error *error)
{
    AK_TRY(ak_drawer_create(&loader->drawer, loader->dataset, error));
    AK_TRY(ak_planner_create(&loader->planner, &loader->sampler, loader->table,
                             ak_dataset_name(loader->dataset), loader->options.batch_size,
                             loader->options.drop_last, ak_drawer_count(loader->drawer), error));
    loader->batches = ak_planner_plan(loader->planner)->batches;
    return AKIN_OK;
}

/* A function of (seed, epoch). */
static void plan_epoch(akin_loader *loader, int64_t epoch)
{
    uint64_t seed = loader->options.seed;
    ak_drawer_draw(loader->drawer, seed, epoch, ak_planner_plan(loader->planner)->drawing);
    ak_planner_fill(loader->planner, seed, epoch);
}

akin_status ak_loader_prepare(akin_loader *loader, const ak_table *table, bool read,
                              ak_collate_function *collate, void *user, akin_error *error)
{
    free_prepared(loader);
    if (loader->stream || table->kind != akin_dataset_kind(loader->dataset) ||
        table->count != akin_dataset_count(loader->dataset))
        return ak_fail(error, AKIN_ERR_MISMATCH, "%s: the table is of another data set",
                       ak_dataset_name(loader->dataset));
    loader->table = table;
    loader->read_objects = read;
    loader->collate = collate;
    loader->user = user;
    akin_status status = loader->options.shuffle ? make_planner(loader, error) : AKIN_OK;
    if (!status)
        status = make_slots(loader, error);
    if (status)
        free_prepared(loader);
    return status;
}

akin_status ak_loader_prepare_stream(akin_loader *loader, const ak_key_rule *rule,
                                     ak_collate_function *collate, void *user, akin_error *error)
{
    free_prepared(loader);
    if (!loader->stream)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: is no stream",
                       ak_dataset_name(loader->dataset));
    loader->rule = rule ? *rule : (ak_key_rule){0};
    loader->collate = collate;
    loader->user = user;
    akin_status status =
        ak_stream_reader_create(&loader->reader, loader->stream, &loader->options, error);
    if (!status)
        status = make_slots(loader, error);
    if (status)
        free_prepared(loader);
    return status;
}

akin_status ak_loader_start(akin_loader *loader, int64_t epoch, int64_t first, akin_error *error)
{
    if (!loader->pipeline)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: the loader was not prepared",
                       ak_dataset_name(loader->dataset));
    bool endless = loader->stream && !loader->batches;
    if (first < 0 || (first > loader->batches && !endless))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: no batch %lld, an epoch has %lld",
                       ak_dataset_name(loader->dataset), (long long)first,
                       (long long)loader->batches);
    ak_pipeline_stop(loader->pipeline); /* before the order changes under a worker */
    if (loader->planner)
        plan_epoch(loader, epoch);
    if (loader->reader)
        AK_TRY(ak_stream_reader_seek(loader->reader, epoch, first, error));
    ak_pipeline_start(loader->pipeline, first, endless ? INT64_MAX : loader->batches);
    return AKIN_OK;
}

akin_status ak_loader_next(akin_loader *loader, ak_batch **batch, akin_error *error)
{
    void *slot;
    *batch = NULL;
    if (!loader->pipeline)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: the loader was not prepared",
                       ak_dataset_name(loader->dataset));
    AK_TRY(ak_pipeline_next(loader->pipeline, &slot, error));
    *batch = slot;
    if (*batch && (*batch)->count == 0) { /* a stream's end */
        ak_pipeline_release(loader->pipeline, slot);
        ak_pipeline_stop(loader->pipeline);
        *batch = NULL;
    }
    return AKIN_OK;
}

void ak_loader_release(akin_loader *loader, ak_batch *batch)
{
    if (batch)
        ak_pipeline_release(loader->pipeline, batch);
}

void ak_loader_stop(akin_loader *loader)
{
    if (loader->pipeline)
        ak_pipeline_stop(loader->pipeline);
}
