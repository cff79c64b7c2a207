/* All vectors of a corpus, in blocks, through the store. */
#include "features/features.h"

#define BLOCK 8192

static akin_status corpus_object(void *user, int64_t i, akin_arena *arena, akin_object *object,
                                 akin_error *error)
{
    return ak_corpus_get(user, i, arena, object, error);
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

akin_status akin_encode_corpus(const akin_model *model, akin_space space,
                               const akin_corpus *corpus, akin_vectors_function *function,
                               void *user, akin_error *error)
{
    bool base;
    AK_TRY(ak_model_space_is_base(model, space, &base, error));
    int64_t count = akin_corpus_count(corpus);
    ak_features *features = NULL;
    ak_hash *keys = ak_calloc((size_t)count + 1, (size_t)model->encoder_count * sizeof *keys);
    if (!keys)
        return ak_fail_memory(error);
    ak_contents contents = {.count = count, .keys = keys, .object = corpus_object,
                            .user = (void *)corpus};
    akin_status status = ak_contents_make_keys(&contents, model, keys, error);
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
