/* Stems: the frozen lower layers of an encoder whose upper ones are trained are computed once for
   each content and kept as vectors are, a row a token ("layer recycling"). Row r of a content has
   the key hash(content's key, r), so that a content may have any number of rows and a store is like
   any other; its folder is the stem's fingerprint. */
#include "features/features.h"

#define BLOCK 256 /* contents computed at once */

static ak_hash key_of_row(ak_hash content, int64_t row)
{
    return ak_hash_combine(content, (ak_hash){.low = (uint64_t)row});
}

void ak_stems_free(ak_stems *stems)
{
    if (!stems)
        return;
    for (int p = 0; p < AK_TOWERS * stems->model->encoder_count; p++)
        ak_store_close(stems->stores[p]);
    ak_free(stems->stores);
    ak_free(stems);
}

/* ---- computing what is missing ---- */

typedef struct stem_work {
    const ak_stems *stems;
    const akin_encoder *encoder; /* a tower, where it has sides */
    ak_stem stem;
    ak_store *store;
    const ak_contents *contents;
    int number; /* of the encoder */
    ak_tower tower;
    bool sides;
    akin_arena *arena;
} stem_work;

static ak_hash key_of(const stem_work *w, int64_t i)
{
    return w->contents->keys[i * w->stems->model->encoder_count + w->number];
}

static bool wanted(const stem_work *w, int64_t i)
{
    return !w->sides || ak_content_is_on(w->contents, i, w->tower);
}

/* Up to BLOCK contents from *next on that the store has not. */
static int64_t next_missing(const stem_work *w, int64_t *next, int64_t *numbers)
{
    int64_t n = 0;
    for (; *next < w->contents->count && n < BLOCK; ++*next)
        if (wanted(w, *next) && !ak_store_find(w->store, key_of_row(key_of(w, *next), 0)))
            numbers[n++] = *next;
    return n;
}

static akin_status compute_block(const stem_work *w, const int64_t *numbers, int64_t n,
                                 akin_error *error)
{
    akin_object *objects = ak_arena_new(w->arena, akin_object, n);
    akin_pass pass = {.size = sizeof pass, .arena = w->arena};
    void *batch;
    if (!objects)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++)
        AK_TRY(w->contents->object(w->contents->user, numbers[i], w->arena, &objects[i], error));
    AK_TRY(w->encoder->type->collate(w->encoder->self, objects, n, w->arena, &batch, error));
    const int64_t *starts = w->stem.starts(batch);
    float *rows = ak_arena_new(w->arena, float, starts[n] * w->stem.dim);
    ak_hash *keys = ak_arena_new(w->arena, ak_hash, starts[n]);
    if (!rows || !keys)
        return ak_fail_memory(error);
    AK_TRY(w->stem.compute(w->encoder->self, &pass, batch, rows, error));
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = starts[i]; r < starts[i + 1]; r++)
            keys[r] = key_of_row(key_of(w, numbers[i]), r - starts[i]);
    return ak_store_put(w->store, keys, rows, starts[n], error);
}

static akin_status compute_missing(stem_work *w, ak_stems *stems, akin_error *error)
{
    const akin_context *context = stems->model->context;
    int64_t numbers[BLOCK], next = 0, n;
    while ((n = next_missing(w, &next, numbers)) > 0) {
        AK_TRY(ak_check_interrupt(context, error));
        AK_TRY(compute_block(w, numbers, n, error));
        ak_arena_reset(w->arena);
        stems->computed += n;
        ak_progress(context, (double)next / (double)w->contents->count,
                    "frozen layers (%s): %lld of %lld objects",
                    stems->model->encoders[w->number].name, (long long)next,
                    (long long)w->contents->count);
    }
    return AKIN_OK;
}

static akin_status fill(stem_work *w, ak_stems *stems, akin_error *error)
{
    int64_t numbers[BLOCK], next = 0;
    if (!next_missing(w, &next, numbers))
        return AKIN_OK;
    AK_TRY(ak_store_begin(w->store, error));
    akin_status status = compute_missing(w, stems, error);
    akin_status end = ak_store_end(w->store, status ? NULL : error);
    return status ? status : end;
}

/* ---- stores ---- */

static akin_status open_store(stem_work *w, ak_store **out, akin_error *error)
{
    const akin_context *context = w->stems->model->context;
    ak_store_kind kind = {.dim = w->stem.dim, .precision = w->encoder->cache.precision};
    AK_TRY(w->stem.fingerprint(w->encoder->self, &kind.fingerprint, error));
    char *description = ak_encoder_describe(w->encoder);
    if (!description)
        return ak_fail_memory(error);
    kind.encoder = description;
    akin_status status =
        ak_store_open(out, context, context ? context->cache_folder : NULL, &kind, error);
    ak_free(description);
    w->store = *out;
    return status;
}

static akin_status collect_tower(ak_stems *stems, stem_work *w, akin_error *error)
{
    const akin_encoder *whole = stems->model->encoders[w->number].encoder;
    w->encoder = ak_encoder_tower(whole, w->tower);
    w->sides = ak_encoder_has_sides(whole);
    if (!w->encoder->cache.enabled || !ak_encoder_stem(w->encoder, &w->stem))
        return AKIN_OK;
    AK_TRY(open_store(w, &stems->stores[ak_tower_place(whole, w->number, w->tower)], error));
    AK_TRY(fill(w, stems, error));
    stems->count++;
    return AKIN_OK;
}

static akin_status collect(ak_stems *stems, const ak_contents *contents, akin_arena *arena,
                           akin_error *error)
{
    for (int e = 0; e < stems->model->encoder_count; e++) {
        bool sides = ak_encoder_has_sides(stems->model->encoders[e].encoder);
        for (int t = 0; t < (sides ? AK_TOWERS : 1); t++) {
            stem_work w = {.stems = stems,
                           .contents = contents,
                           .number = e,
                           .tower = (ak_tower)t,
                           .arena = arena};
            AK_TRY(collect_tower(stems, &w, error));
        }
    }
    return AKIN_OK;
}

akin_status ak_stems_collect(ak_stems **out, const akin_model *model, const ak_contents *contents,
                             akin_error *error)
{
    *out = NULL;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_stems *stems = ak_calloc(1, sizeof *stems);
    akin_status status = stems ? AKIN_OK : ak_fail_memory(error);
    if (!status) {
        stems->model = model;
        stems->stores =
            ak_calloc((size_t)(AK_TOWERS * model->encoder_count), sizeof *stems->stores);
        status = stems->stores ? collect(stems, contents, arena, error) : ak_fail_memory(error);
    }
    ak_arena_free(arena);
    if (!status && stems->count) {
        *out = stems;
        return AKIN_OK;
    }
    if (stems && !stems->stores)
        ak_free(stems);
    else
        ak_stems_free(stems);
    return status;
}

/* ---- giving ---- */

akin_status ak_stems_give(const ak_stems *stems, int encoder, ak_tower tower, const ak_hash *keys,
                          const int64_t *content, int64_t n, void *batch, akin_arena *arena,
                          akin_error *error)
{
    if (!stems)
        return AKIN_OK;
    const akin_encoder *whole = stems->model->encoders[encoder].encoder;
    const ak_store *store = stems->stores[ak_tower_place(whole, encoder, tower)];
    int encoders = stems->model->encoder_count;
    ak_stem stem;
    if (!store || !ak_encoder_stem(ak_encoder_tower(whole, tower), &stem))
        return AKIN_OK;
    const int64_t *starts = stem.starts(batch);
    float *rows = ak_arena_new(arena, float, starts[n] * stem.dim);
    if (!rows)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = starts[i]; r < starts[i + 1]; r++) {
            ak_hash key = keys[content[i] * encoders + encoder];
            const void *row = ak_store_find(store, key_of_row(key, r - starts[i]));
            if (!row) /* the store lost some: the batch computes its own */
                return AKIN_OK;
            ak_store_read(store, row, rows + r * stem.dim);
        }
    stem.give(batch, rows);
    return AKIN_OK;
}
