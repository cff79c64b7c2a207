/* BERT's weights: looked up by name in a safetensors file, matrices packed for the kernels. */
#include "model/bert_internal.h"

#include <stdlib.h>
#include <string.h>

/* Where tensors come from, and how they are named there. */
typedef struct source {
    const ak_safetensors *file;
    const char *prefix; /* see ak_bert_prefix */
    akin_arena *arena;  /* for tensors that are not float32 */
    char *place;        /* of the next packed matrix */
} source;

const char *ak_bert_prefix(const ak_safetensors *weights)
{
    static const char *const prefixes[] = {"bert.", "roberta."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char name[64];
        snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", prefixes[i]);
        if (ak_safetensors_find(weights, name))
            return prefixes[i];
    }
    return "";
}

/* The tensor prefix + stem + "." + end as floats, rows x columns (columns 0: a vector). */
static akin_status find_floats(const float **out, const source *from, const char *stem,
                               const char *end, int64_t rows, int64_t columns, akin_error *error)
{
    const int64_t shape[] = {rows, columns};
    char *name = ak_format("%s%s.%s", from->prefix, stem, end);
    if (!name)
        return ak_fail_memory(error);
    const ak_tensor *tensor;
    akin_status status =
        ak_safetensors_expect(&tensor, from->file, name, columns ? 2 : 1, shape, error);
    if (status == AKIN_OK)
        status = ak_tensor_floats(out, from->file, tensor, from->arena, error);
    ak_free(name);
    return status;
}

static akin_status find_norm(ak_bert_norm *norm, const source *from, const char *stem, int64_t d,
                             akin_error *error)
{
    AK_TRY(find_floats(&norm->gain, from, stem, "weight", d, 0, error));
    return find_floats(&norm->shift, from, stem, "bias", d, 0, error);
}

static akin_status find_linear(ak_packed **out, source *from, const char *stem, int64_t out_dim,
                               int64_t in_dim, ak_activation activation, akin_precision precision,
                               akin_error *error)
{
    const float *weight, *bias;
    AK_TRY(find_floats(&weight, from, stem, "weight", out_dim, in_dim, error));
    AK_TRY(find_floats(&bias, from, stem, "bias", out_dim, 0, error));
    void *place = from->place;
    from->place += ak_packed_size(out_dim, in_dim, precision);
    return ak_packed_create(out, out_dim, in_dim, weight, bias, activation, precision, place,
                            error);
}

static akin_status load_layer(ak_bert *bert, int number, source *from, akin_error *error)
{
    ak_bert_layer *layer = &bert->layers[number];
    int64_t d = bert->config.hidden, wide = bert->config.intermediate;
    const struct {
        ak_packed **out;
        const char *stem;
        int64_t out_dim, in_dim;
        ak_activation activation;
    } linears[] = {
        {&layer->query, "attention.self.query", d, d, AK_NO_ACTIVATION},
        {&layer->key, "attention.self.key", d, d, AK_NO_ACTIVATION},
        {&layer->value, "attention.self.value", d, d, AK_NO_ACTIVATION},
        {&layer->mix, "attention.output.dense", d, d, AK_NO_ACTIVATION},
        {&layer->up, "intermediate.dense", wide, d, bert->config.activation},
        {&layer->down, "output.dense", d, wide, AK_NO_ACTIVATION},
    };
    char stem[96];
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
        snprintf(stem, sizeof stem, "encoder.layer.%d.%s", number, linears[i].stem);
        AK_TRY(find_linear(linears[i].out, from, stem, linears[i].out_dim, linears[i].in_dim,
                           linears[i].activation, bert->precision, error));
    }
    snprintf(stem, sizeof stem, "encoder.layer.%d.attention.output.LayerNorm", number);
    AK_TRY(find_norm(&layer->mix_norm, from, stem, d, error));
    snprintf(stem, sizeof stem, "encoder.layer.%d.output.LayerNorm", number);
    return find_norm(&layer->down_norm, from, stem, d, error);
}

static akin_status load_embeddings(ak_bert *bert, const source *from, akin_error *error)
{
    const ak_bert_config *c = &bert->config;
    AK_TRY(find_floats(&bert->words, from, "embeddings.word_embeddings", "weight", c->vocabulary,
                       c->hidden, error));
    AK_TRY(find_floats(&bert->places, from, "embeddings.position_embeddings", "weight",
                       c->first_position + c->positions, c->hidden, error));
    AK_TRY(find_floats(&bert->types, from, "embeddings.token_type_embeddings", "weight", c->types,
                       c->hidden, error));
    return find_norm(&bert->norm, from, "embeddings.LayerNorm", c->hidden, error);
}

static akin_status check_config(const ak_bert_config *c, const char *name, akin_error *error)
{
    if (c->hidden < 1 || c->heads < 1 || c->hidden % c->heads || c->layers < 0 ||
        c->intermediate < 1 || c->vocabulary < 1 || c->positions < 1 || c->types < 1)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0,
                          "%lld wide with %d heads and %d layers is no BERT", (long long)c->hidden,
                          c->heads, c->layers);
    return AKIN_OK;
}

static akin_status load(ak_bert *bert, const ak_safetensors *weights, akin_error *error)
{
    source from = {.file = weights, .prefix = ak_bert_prefix(weights), .arena = bert->arena};
    AK_TRY(load_embeddings(bert, &from, error));
    int64_t d = bert->config.hidden, wide = bert->config.intermediate;
    size_t square = ak_packed_size(d, d, bert->precision);
    size_t size = 4 * square + ak_packed_size(wide, d, bert->precision) +
                  ak_packed_size(d, wide, bert->precision);
    bert->packed = from.place = ak_alloc_large((size_t)bert->config.layers * size + 1);
    if (!bert->packed)
        return ak_fail_memory(error);
    for (int i = 0; i < bert->config.layers; i++)
        AK_TRY(load_layer(bert, i, &from, error));
    return AKIN_OK;
}

akin_status ak_bert_create(ak_bert **out, const ak_bert_config *config,
                           const ak_safetensors *weights, const char *name,
                           akin_precision precision, akin_error *error)
{
    *out = NULL;
    AK_TRY(check_config(config, name, error));
    ak_bert *bert = ak_calloc(1, sizeof *bert);
    if (!bert)
        return ak_fail_memory(error);
    bert->config = *config;
    bert->precision = precision;
    bert->layers = ak_calloc((size_t)config->layers + 1, sizeof *bert->layers);
    akin_status status = bert->layers ? AKIN_OK : ak_fail_memory(error);
    if (status == AKIN_OK)
        status = ak_arena_create(&bert->arena, error);
    /* Embedding tables and norms are read where they are mapped: a copy of 47 MB would be most of
       the time to the first vector. The mapping is our own, since the caller's may be closed. */
    if (status == AKIN_OK)
        status = ak_safetensors_open(&bert->mapping, ak_safetensors_path(weights), error);
    if (status == AKIN_OK)
        status = load(bert, bert->mapping, error);
    if (status != AKIN_OK) {
        ak_bert_free(bert);
        return status;
    }
    *out = bert;
    return AKIN_OK;
}

void ak_bert_free(ak_bert *bert)
{
    if (!bert)
        return;
    for (int i = 0; bert->layers && i < bert->config.layers; i++) {
        ak_bert_layer *layer = &bert->layers[i];
        ak_packed *packed[] = {layer->query, layer->key, layer->value,
                               layer->mix,   layer->up,  layer->down};
        for (size_t j = 0; j < sizeof packed / sizeof *packed; j++)
            ak_packed_free(packed[j]);
    }
    ak_free(bert->layers);
    ak_free(bert->packed);
    ak_free(atomic_load(&bert->spare));
    ak_safetensors_free(bert->mapping);
    ak_arena_free(bert->arena);
    ak_free(bert);
}
