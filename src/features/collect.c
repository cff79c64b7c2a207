/* Features of many contents: look up what the store has, read and encode only the rest. */
#include "features/features.h"

#include <string.h>
#include <time.h>

#define BLOCK 1024 /* contents encoded at once */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ak_features_free(ak_features *features)
{
    if (!features)
        return;
    for (int p = 0; p < AK_TOWERS * features->model->encoder_count; p++) {
        if (features->stores)
            ak_store_close(features->stores[p]);
        if (features->rows)
            ak_free(features->rows[p]);
    }
    ak_free(features->stores);
    ak_free(features->rows);
    ak_free(features);
}

bool ak_content_is_on(const ak_contents *contents, int64_t i, ak_tower tower)
{
    return !contents->sides ||
           contents->sides[i] & (tower == AK_DOCUMENT_TOWER ? AK_ON_DOCUMENTS : AK_ON_QUERIES);
}

akin_status ak_contents_make_keys(const ak_contents *contents, const akin_model *model,
                                  ak_hash *keys, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < contents->count && !status; i++) {
        akin_object object;
        bool query = ak_content_is_on(contents, i, AK_QUERY_TOWER);
        ak_tower tower = query ? AK_QUERY_TOWER : AK_DOCUMENT_TOWER;
        ak_arena_reset(arena);
        status = contents->object(contents->user, i, arena, &object, error);
        if (!status)
            status = ak_model_keys(model, tower, object, keys + i * model->encoder_count, error);
    }
    ak_arena_free(arena);
    return status;
}

/* What is computed once: everything while a model is used, what is frozen and kept in a run. */
static akin_status open_store(ak_features *features, const akin_encoder *encoder, int place,
                              bool training, akin_error *error)
{
    const akin_model *model = features->model;
    const char *folder = model->context ? model->context->cache_folder : NULL;
    bool has = false;
    ak_store_kind kind = {.dim = akin_encoder_dim(encoder), .precision = encoder->cache.precision};
    if (training && (ak_encoder_trainable(encoder) || !encoder->cache.enabled))
        return AKIN_OK;
    if (folder && encoder->cache.enabled) /* it reads all weights: only where they are needed */
        AK_TRY(ak_encoder_fingerprint(encoder, &has, &kind.fingerprint, error));
    char *description = has ? ak_encoder_describe(encoder) : NULL;
    if (has && !description)
        return ak_fail_memory(error);
    kind.encoder = description;
    akin_status status =
        ak_store_open(&features->stores[place], model->context, has ? folder : NULL, &kind, error);
    ak_free(description);
    AK_TRY(status);
    features->rows[place] = ak_calloc((size_t)features->count + 1, sizeof *features->rows[place]);
    return features->rows[place] ? AKIN_OK : ak_fail_memory(error);
}

typedef struct encoding {
    const akin_encoder *encoder; /* a tower, where it has sides */
    const char *name;
    ak_store *store;
    const ak_contents *contents;
    int number, encoders; /* of this encoder, of all */
    ak_tower tower;
    bool sides; /* only contents that stand on the tower's */
    akin_arena *arena;
    ak_hash *keys; /* BLOCK */
} encoding;

/* By what the encoder at work knows content i. */
static ak_hash key_of(const encoding *work, int64_t i)
{
    return work->contents->keys[i * work->encoders + work->number];
}

static bool wanted(const encoding *work, int64_t i)
{
    return !work->sides || ak_content_is_on(work->contents, i, work->tower);
}

/* Leaves the first of equal keys. */
static akin_status drop_equal(const encoding *work, int64_t *numbers, int64_t *count,
                              akin_error *error)
{
    int64_t slots = 16, kept = 0;
    while (slots < 2 * *count)
        slots *= 2;
    int64_t *seen = ak_calloc((size_t)slots, sizeof *seen); /* 1 + a content; 0: free */
    if (!seen)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < *count; i++) {
        ak_hash key = key_of(work, numbers[i]);
        int64_t at = (int64_t)(key.low & (uint64_t)(slots - 1));
        while (seen[at] && !ak_hash_equal(key_of(work, seen[at] - 1), key))
            at = (at + 1) & (slots - 1);
        if (seen[at])
            continue;
        seen[at] = numbers[i] + 1;
        numbers[kept++] = numbers[i];
    }
    ak_free(seen);
    *count = kept;
    return AKIN_OK;
}

/* The contents without a vector, each once, in order; *missing has room for all of them. */
static akin_status find_missing(const encoding *work, int64_t *missing, int64_t *count,
                                akin_error *error)
{
    *count = 0;
    for (int64_t i = 0; i < work->contents->count; i++)
        if (wanted(work, i) && !ak_store_find(work->store, key_of(work, i)))
            missing[(*count)++] = i;
    return *count ? drop_equal(work, missing, count, error) : AKIN_OK;
}

static akin_status encode_block(encoding *work, const int64_t *numbers, int64_t n,
                                akin_error *error)
{
    const akin_encoder *encoder = work->encoder;
    akin_object *objects = ak_arena_new(work->arena, akin_object, n);
    akin_matrix y = ak_matrix_new(work->arena, n, akin_encoder_dim(encoder));
    if (!objects || !y.data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++) {
        AK_TRY(work->contents->object(work->contents->user, numbers[i], work->arena, &objects[i],
                                      error));
        work->keys[i] = key_of(work, numbers[i]);
    }
    akin_pass pass = {.size = sizeof pass, .arena = work->arena};
    AK_TRY(ak_encoder_run(encoder, work->name, &pass, objects, y, error));
    return ak_store_put(work->store, work->keys, y.data, n, error);
}

static akin_status encode_missing(ak_features *features, encoding *work, const int64_t *missing,
                                  int64_t count, akin_error *error)
{
    const akin_context *context = features->model->context;
    double start = now();
    for (int64_t i = 0; i < count; i += BLOCK) {
        int64_t n = count - i < BLOCK ? count - i : BLOCK;
        AK_TRY(ak_check_interrupt(context, error));
        AK_TRY(encode_block(work, missing + i, n, error));
        ak_arena_reset(work->arena);
        features->encoded += n;
        double seconds = now() - start;
        ak_progress(context, (double)(i + n) / (double)count,
                    "encoding (%s): %lld of %lld objects, %.0f a second", work->name,
                    (long long)(i + n), (long long)count, (double)(i + n) / (seconds + 1e-9));
    }
    return AKIN_OK;
}

static akin_status fill_store(ak_features *features, encoding *work, int64_t *missing,
                              akin_error *error)
{
    int64_t count;
    AK_TRY(find_missing(work, missing, &count, error));
    if (!count)
        return AKIN_OK;
    AK_TRY(ak_store_begin(work->store, error));
    /* again: another process may have written them */
    akin_status status = find_missing(work, missing, &count, error);
    if (!status)
        status = encode_missing(features, work, missing, count, error);
    akin_status end = ak_store_end(work->store, status ? NULL : error);
    return status ? status : end;
}

static akin_status collect_tower(ak_features *features, bool training, encoding *work,
                                 int64_t *missing, akin_error *error)
{
    const akin_encoder *whole = features->model->encoders[work->number].encoder;
    int place = ak_tower_place(whole, work->number, work->tower);
    int64_t before = features->encoded, count = 0;
    work->encoder = ak_encoder_tower(whole, work->tower);
    work->name = features->model->encoders[work->number].name;
    work->sides = ak_encoder_has_sides(whole);
    for (int64_t i = 0; i < work->contents->count; i++)
        count += wanted(work, i);
    if (!count && work->contents->count) /* reading the weights for a fingerprint is not free */
        return AKIN_OK;
    AK_TRY(open_store(features, work->encoder, place, training, error));
    work->store = features->stores[place];
    if (!work->store)
        return AKIN_OK;
    AK_TRY(fill_store(features, work, missing, error));
    features->reused += count - (features->encoded - before);
    for (int64_t i = 0; i < work->contents->count; i++)
        if (wanted(work, i))
            features->rows[place][i] = ak_store_find(work->store, key_of(work, i));
    return AKIN_OK;
}

static akin_status collect(ak_features *features, bool training, encoding *work, int64_t *missing,
                           akin_error *error)
{
    double start = now();
    for (work->number = 0; work->number < features->model->encoder_count; work->number++) {
        bool sides = ak_encoder_has_sides(features->model->encoders[work->number].encoder);
        for (int t = 0; t < (sides ? AK_TOWERS : 1); t++) {
            work->tower = (ak_tower)t;
            AK_TRY(collect_tower(features, training, work, missing, error));
        }
    }
    features->seconds = now() - start;
    return AKIN_OK;
}

akin_status ak_features_collect(ak_features **out, const akin_model *model,
                                const ak_contents *contents, bool training, akin_error *error)
{
    *out = NULL;
    ak_features *features = ak_calloc(1, sizeof *features);
    int64_t *missing = ak_calloc((size_t)contents->count + 1, sizeof *missing);
    encoding work = {.contents = contents,
                     .encoders = model->encoder_count,
                     .keys = ak_calloc(BLOCK, sizeof *work.keys)};
    akin_status status = features && missing && work.keys ? AKIN_OK : ak_fail_memory(error);
    if (!status)
        status = ak_arena_create(&work.arena, error);
    if (!status) {
        size_t towers = (size_t)(AK_TOWERS * model->encoder_count);
        *features = (ak_features){.count = contents->count, .model = model, .keys = contents->keys};
        features->stores = ak_calloc(towers, sizeof *features->stores);
        features->rows = ak_calloc(towers, sizeof *features->rows);
        status = features->stores && features->rows
                     ? collect(features, training, &work, missing, error)
                     : ak_fail_memory(error);
    }
    ak_arena_free(work.arena);
    ak_free(work.keys);
    ak_free(missing);
    if (status && features && features->model)
        ak_features_free(features);
    else if (status)
        ak_free(features);
    else
        *out = features;
    return status;
}

bool ak_features_have(const ak_features *features, int e, ak_tower tower)
{
    return features->rows[ak_tower_place(features->model->encoders[e].encoder, e, tower)] != NULL;
}

void ak_features_gather(const ak_features *features, ak_tower tower, const int64_t *content,
                        int64_t n, akin_matrix y)
{
    const akin_model *model = features->model;
    for (int e = 0; e < model->encoder_count; e++) {
        int place = ak_tower_place(model->encoders[e].encoder, e, tower);
        const void *const *rows = features->rows[place];
        akin_matrix own = ak_model_columns(model, e, tower, y);
        for (int64_t i = 0; i < n && rows; i++) {
            float *row = own.data + i * own.stride;
            if (rows[content[i]])
                ak_store_read(features->stores[place], rows[content[i]], row);
            else
                memset(row, 0, (size_t)own.columns * sizeof *row);
        }
        if (rows)
            ak_model_pad(model, e, tower, y);
    }
}

#define CHUNK 4096 /* rows that go through the head at once */

akin_status ak_features_embed_some(const ak_features *features, ak_way way, const int64_t *content,
                                   akin_arena *arena, akin_matrix y, akin_error *error)
{
    const akin_model *model = features->model;
    akin_pass pass = {.size = sizeof pass,
                      .arena = arena,
                      .documents = way.tower == AK_DOCUMENT_TOWER ? y.rows : 0};
    akin_matrix x = way.head ? ak_matrix_new(arena, y.rows, model->input_dim) : y;
    if (!x.data)
        return ak_fail_memory(error);
    ak_features_gather(features, way.tower, content, y.rows, x);
    if (!way.head)
        return AKIN_OK;
    AK_TRY(ak_model_key_tags(model, features->keys, content, y.rows, arena, &pass.tags, error));
    return ak_model_head_forward(model, &pass, x, y, error);
}

static akin_status embed_chunk(const ak_features *features, ak_way way, int64_t first,
                               akin_arena *arena, akin_matrix y, akin_error *error)
{
    int64_t *content = ak_arena_new(arena, int64_t, y.rows);
    if (!content)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < y.rows; i++)
        content[i] = first + i;
    return ak_features_embed_some(features, way, content, arena, y, error);
}

akin_status ak_features_embed(const ak_features *features, ak_way way, int64_t first, akin_matrix y,
                              akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < y.rows && !status; i += CHUNK) {
        int64_t n = y.rows - i < CHUNK ? y.rows - i : CHUNK;
        ak_arena_reset(arena);
        status = embed_chunk(features, way, first + i, arena, ak_matrix_rows(y, i, n), error);
    }
    ak_arena_free(arena);
    return status;
}
