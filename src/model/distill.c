/* A static model out of any encoder of texts, Model2Vec's way (Tulkens and van Dongen, "Model2Vec:
   fast state-of-the-art static embeddings", 2024): every token of the vocabulary is encoded alone,
   its vector is turned to the principal axes, and shortened there, and weighted by how rare the
   token is. What a text gets is the mean of its tokens' rows, of unit length. */
#include "model/distill.h"

#include "model/encoder_static.h"
#include "model/heads.h"

#include <math.h>

enum { BLOCK = 1024, USUAL_DIM = 256 };

typedef struct distillation {
    const akin_model *model;
    const akin_encoder *encoder;
    akin_distill_options options;
    ak_token_reader reader;
    ak_token_list tokens;
    akin_matrix vectors; /* of the tokens, as the model gives them */
    float *weights;
    ak_axes axes;
    akin_arena *arena, *scratch; /* of everything, of a block */
} distillation;

akin_distill_options akin_distill_defaults(void)
{
    return (akin_distill_options){.size = sizeof(akin_distill_options), .sif = 1e-4};
}

/* ---- what there is ---- */

static akin_status find_reader(distillation *d, akin_error *error)
{
    const akin_model *model = d->model;
    d->encoder = model->encoders[0].encoder;
    if (model->encoder_count != 1)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "the model has %d encoders, one can be distilled: a static model has one "
                       "table of tokens",
                       model->encoder_count);
    if (ak_encoder_is_two(d->encoder) || (model->head && ak_head_has_sides(model->head->type)))
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "the model has a query and a document side, which one table of tokens "
                       "cannot be");
    if (!ak_encoder_token_reader(d->encoder, &d->reader))
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "the encoder \"%s\" is of type %s, which has no tokens to distil; a "
                       "transformer or a static one has",
                       model->encoders[0].name, d->encoder->type->name);
    return AKIN_OK;
}

static akin_status list_tokens(distillation *d, akin_error *error)
{
    int32_t all = ak_tokenizer_vocabulary(d->reader.tokenizer);
    int32_t *ids = ak_arena_new(d->arena, int32_t, all);
    if (!ids)
        return ak_fail_memory(error);
    d->tokens.ids = ids;
    for (int32_t id = 0; id < all; id++)
        if (ak_tokenizer_is_text(d->reader.tokenizer, id))
            ids[d->tokens.count++] = id;
    return AKIN_OK;
}

static akin_status check_dim(distillation *d, akin_error *error)
{
    int64_t *dim = &d->options.dim, width = d->model->dim;
    if (*dim == 0)
        *dim = width < USUAL_DIM ? width : USUAL_DIM;
    if (*dim < 1 || *dim > width)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%lld numbers a vector were asked for, but the model gives %lld",
                       (long long)*dim, (long long)width);
    if (d->tokens.count <= *dim)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "the vocabulary has %lld tokens that stand for text; %lld numbers a vector "
                       "want more tokens than that",
                       (long long)d->tokens.count, (long long)*dim);
    return AKIN_OK;
}

static akin_status check_options(const akin_distill_options *o, akin_error *error)
{
    if (o->size < sizeof *o)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "the options must come from akin_distill_defaults()");
    if (!(o->sif >= 0 && o->sif < 1))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "\"sif\" is %g, must be at least 0 and below 1",
                       o->sif);
    return AKIN_OK;
}

/* ---- vectors of tokens ---- */

static akin_status check_finite(const distillation *d, int64_t first, akin_matrix y,
                                akin_error *error)
{
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t j = 0; j < y.columns; j++)
            if (!isfinite(y.data[i * y.stride + j]))
                return ak_fail(error, AKIN_ERR_MISMATCH,
                               "the model's vector of the token \"%.60s\" is not finite",
                               ak_tokenizer_token(d->reader.tokenizer, d->tokens.ids[first + i]));
    return AKIN_OK;
}

static akin_status encode_block(const distillation *d, int64_t first, akin_matrix y,
                                akin_error *error)
{
    const akin_encoder *encoder = d->encoder;
    akin_pass pass = {.size = sizeof pass, .arena = d->scratch};
    akin_matrix features = ak_matrix_new(d->scratch, y.rows, d->model->input_dim);
    void *batch, *record;
    if (!features.data)
        return ak_fail_memory(error);
    AK_TRY(
        d->reader.collate(encoder->self, d->tokens.ids + first, y.rows, d->scratch, &batch, error));
    if (d->model->head) { /* it was trained on what the encoder gives */
        AK_TRY(encoder->type->forward(encoder->self, &pass, batch, features, &record, error));
        AK_TRY(ak_model_head_forward(d->model, &pass, features, y, error));
    } else {
        AK_TRY(d->reader.forward(encoder->self, &pass, batch, y, error));
    }
    return check_finite(d, first, y, error);
}

static akin_status encode_tokens(distillation *d, akin_error *error)
{
    const akin_context *context = d->model->context;
    int64_t count = d->tokens.count;
    d->vectors = ak_matrix_new(d->arena, count, d->model->dim);
    if (!d->vectors.data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i += BLOCK) {
        int64_t n = count - i < BLOCK ? count - i : BLOCK;
        AK_TRY(ak_check_interrupt(context, error));
        ak_arena_reset(d->scratch);
        AK_TRY(encode_block(d, i, ak_matrix_rows(d->vectors, i, n), error));
        ak_progress(context, (double)(i + n) / (double)count, "distilling: %lld of %lld tokens",
                    (long long)(i + n), (long long)count);
    }
    return AKIN_OK;
}

/* ---- the model ---- */

/* Rows of the table: what the axes and the weights make of the vectors. */
static akin_status fill_table(const distillation *d, float *table, akin_error *error)
{
    int64_t dim = d->options.dim;
    for (int64_t i = 0; i < d->tokens.count; i += BLOCK) {
        int64_t n = d->tokens.count - i < BLOCK ? d->tokens.count - i : BLOCK;
        ak_arena_reset(d->scratch);
        akin_matrix y = ak_matrix_new(d->scratch, n, dim);
        if (!y.data)
            return ak_fail_memory(error);
        ak_linear_forward(ak_matrix_rows(d->vectors, i, n), d->axes.weight, d->axes.bias, y,
                          AKIN_F32);
        for (int64_t r = 0; r < n; r++)
            for (int64_t j = 0; j < dim; j++)
                table[d->tokens.ids[i + r] * dim + j] =
                    d->weights[i + r] * y.data[r * y.stride + j];
    }
    return AKIN_OK;
}

static akin_status make_encoder(akin_encoder **out, const distillation *d, akin_error *error)
{
    void *self;
    float *table;
    ak_value *map = ak_value_new_map(d->arena);
    bool whole = ak_value_add_string(d->arena, map, "type", ak_encoder_static.name);
    if (d->reader.field)
        whole = ak_value_add_string(d->arena, map, "field", d->reader.field) && whole;
    if (!whole)
        return ak_fail_memory(error);
    AK_TRY(ak_static_make(&self, &table, d->reader.folder, d->options.dim, d->reader.field, error));
    akin_status status = fill_table(d, table, error);
    if (!status)
        status = ak_encoder_around(out, d->model->context, map, self, error);
    if (status)
        ak_encoder_static.free(self);
    return status;
}

/* "how it was made": {"distilled_from": ..., "tokens": ...} */
static akin_status keep_record(akin_model *model, const distillation *d, akin_error *error)
{
    const char *path = d->model->path ? d->model->path : ak_model_encoder_path(d->model);
    ak_value *root = ak_value_new_map(d->arena);
    ak_value *from = path ? ak_value_add_string(d->arena, root, "distilled_from", path) : root;
    ak_value *tokens = ak_value_add_int(d->arena, root, "tokens", d->tokens.count);
    ak_value *sif = ak_value_add_number(d->arena, root, "sif", d->options.sif);
    ak_value *counted =
        ak_value_add_bool(d->arena, root, "counted_in_corpus", d->options.corpus != NULL);
    char *text = from && tokens && sif && counted ? ak_json_write(root, 0) : NULL;
    if (!text)
        return ak_fail_memory(error);
    akin_status status = akin_model_fingerprint(d->model, &model->base, error);
    if (!status)
        status = ak_model_set_record(model, path, text, NULL, error);
    ak_free(text);
    return status;
}

static akin_status make_model(akin_model **out, const distillation *d, akin_error *error)
{
    akin_named_encoder named = {d->model->encoders[0].name, NULL};
    AK_TRY(make_encoder(&named.encoder, d, error));
    akin_status status = akin_model_create(out, d->model->context, &named, 1, NULL, error);
    if (status) {
        akin_encoder_free(named.encoder);
        return status;
    }
    status = keep_record(*out, d, error);
    if (status) {
        akin_model_free(*out);
        *out = NULL;
    }
    return status;
}

static akin_status distill(akin_model **out, distillation *d, akin_error *error)
{
    AK_TRY(check_options(&d->options, error));
    AK_TRY(find_reader(d, error));
    AK_TRY(ak_arena_create(&d->arena, error));
    AK_TRY(ak_arena_create(&d->scratch, error));
    AK_TRY(list_tokens(d, error));
    AK_TRY(check_dim(d, error));
    d->weights = ak_arena_new(d->arena, float, d->tokens.count);
    if (!d->weights)
        return ak_fail_memory(error);
    AK_TRY(ak_distill_weights(d->weights, d->model->context, &d->reader, d->tokens, d->options.sif,
                              d->options.corpus, error));
    AK_TRY(encode_tokens(d, error));
    AK_TRY(ak_axes_find(&d->axes, d->vectors, d->options.dim, d->arena, error));
    return make_model(out, d, error);
}

akin_status akin_distill(akin_model **out, akin_distill_report *report, const akin_model *model,
                         const akin_distill_options *options, akin_error *error)
{
    distillation d = {.model = model, .options = options ? *options : akin_distill_defaults()};
    *out = NULL;
    akin_status status = distill(out, &d, error);
    if (!status && report)
        *report = (akin_distill_report){.tokens = d.tokens.count,
                                        .width = model->dim,
                                        .dim = d.options.dim,
                                        .variance = d.axes.share};
    ak_arena_free(d.scratch);
    ak_arena_free(d.arena);
    return status;
}
