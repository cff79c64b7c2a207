/* All vectors of a corpus, in blocks, through the store. */
#include "features/features.h"

#include <string.h>

#define BLOCK 8192

static akin_status corpus_object(void *user, int64_t i, akin_arena *arena, akin_object *object,
                                 akin_error *error)
{
    return ak_corpus_get(user, i, arena, object, error);
}

static akin_status send_blocks(const ak_features *features, ak_way way, int64_t count,
                               akin_vectors_function *function, void *user, akin_error *error)
{
    const akin_model *model = features->model;
    int64_t dim = ak_model_way_dim(model, way);
    int64_t most = count < BLOCK ? count : BLOCK;
    float *block = ak_calloc((size_t)(most * dim) + 1, sizeof *block);
    akin_status status = block ? AKIN_OK : ak_fail_memory(error);
    for (int64_t i = 0; i < count && !status; i += BLOCK) {
        int64_t n = count - i < BLOCK ? count - i : BLOCK;
        status = ak_check_interrupt(model->context, error);
        if (!status)
            status = ak_features_embed(features, way, i, ak_matrix(block, n, dim), error);
        if (!status)
            status = function(user, i, n, block, error);
    }
    ak_free(block);
    return status;
}

static akin_status encode(const akin_model *model, ak_way way, const ak_contents *contents,
                          ak_hash *keys, akin_vectors_function *function, void *user,
                          akin_error *error)
{
    ak_features *features = NULL;
    AK_TRY(ak_contents_make_keys(contents, model, keys, error));
    AK_TRY(ak_features_collect(&features, model, contents, false, error));
    akin_status status = send_blocks(features, way, contents->count, function, user, error);
    ak_features_free(features);
    return status;
}

akin_status akin_encode_corpus(const akin_model *model, akin_space space, const akin_corpus *corpus,
                               akin_vectors_function *function, void *user, akin_error *error)
{
    ak_way way;
    AK_TRY(ak_model_way(model, space, &way, error));
    size_t count = (size_t)akin_corpus_count(corpus);
    ak_hash *keys = ak_calloc(count + 1, (size_t)model->encoder_count * sizeof *keys);
    uint8_t *sides = ak_alloc(count + 1);
    ak_contents contents = {.count = (int64_t)count,
                            .keys = keys,
                            .sides = sides,
                            .object = corpus_object,
                            .user = (void *)corpus};
    if (sides)
        memset(sides, way.tower == AK_DOCUMENT_TOWER ? AK_ON_DOCUMENTS : AK_ON_QUERIES, count);
    akin_status status = keys && sides ? encode(model, way, &contents, keys, function, user, error)
                                       : ak_fail_memory(error);
    if (!status && ak_corpus_replaced(corpus))
        ak_warn(model->context, "%lld byte sequences were not UTF-8 and were replaced",
                (long long)ak_corpus_replaced(corpus));
    ak_free(sides);
    ak_free(keys);
    return status;
}
