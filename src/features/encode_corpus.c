/* All vectors of a corpus, in blocks, through the store. */
#include "features/features.h"

#define BLOCK 8192

typedef struct corpus_source {
    const akin_corpus *corpus;
    const akin_model *model;
} corpus_source;

static akin_status corpus_object(void *user, int64_t i, akin_arena *arena, akin_object *object,
                                 akin_error *error)
{
    const corpus_source *source = user;
    return ak_corpus_get(source->corpus, i, arena, object, error);
}

static akin_status make_keys(const corpus_source *source, ak_hash *keys, int64_t count,
                             akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        akin_object object;
        ak_arena_reset(arena);
        status = ak_corpus_get(source->corpus, i, arena, &object, error);
        if (!status)
            status = ak_model_key(source->model, object, &keys[i], error);
    }
    ak_arena_free(arena);
    return status;
}

static akin_status send_blocks(const ak_features *features, bool base, int64_t count,
                               akin_vectors_function *function, void *user, akin_error *error)
{
    const akin_model *model = features->model;
    int64_t dim = base ? model->input_dim : model->dim;
    int64_t most = count < BLOCK ? count : BLOCK;
    float *block = ak_calloc((size_t)(most * dim) + 1, sizeof *block);
    akin_status status = block ? AKIN_OK : ak_fail_memory(error);
    for (int64_t i = 0; i < count && !status; i += BLOCK) {
        int64_t n = count - i < BLOCK ? count - i : BLOCK;
        status = ak_check_interrupt(model->context, error);
        if (!status)
            status = ak_features_embed(features, base, i, ak_matrix(block, n, dim), error);
        if (!status)
            status = function(user, i, n, block, error);
    }
    ak_free(block);
    return status;
}

akin_status akin_encode_corpus(const akin_model *model, bool base, const akin_corpus *corpus,
                               akin_vectors_function *function, void *user, akin_error *error)
{
    int64_t count = akin_corpus_count(corpus);
    corpus_source source = {corpus, model};
    ak_features *features = NULL;
    ak_hash *keys = ak_calloc((size_t)count + 1, sizeof *keys);
    if (!keys)
        return ak_fail_memory(error);
    ak_contents contents = {.count = count, .keys = keys, .object = corpus_object, .user = &source};
    akin_status status = make_keys(&source, keys, count, error);
    if (!status)
        status = ak_features_collect(&features, model, &contents, false, error);
    if (!status)
        status = send_blocks(features, base, count, function, user, error);
    if (!status && ak_corpus_replaced(corpus))
        ak_warn(model->context, "%lld byte sequences were not UTF-8 and were replaced",
                (long long)ak_corpus_replaced(corpus));
    ak_features_free(features);
    ak_free(keys);
    return status;
}
