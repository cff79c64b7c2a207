/* BERT's weights: looked up by name in a safetensors file, matrices packed for the kernels. */
#include "model/bert_internal.h"
#include "model/bert_names.h"

/* Where tensors come from, and the place of the next packed matrix. */
typedef struct loader {
    ak_bert_source from;
    char *place;
} loader;

static akin_status find_norm(ak_bert_norm *norm, const ak_bert_source *from, int gain,
                             akin_error *error)
{
    ak_bert_tensor found;
    AK_TRY(ak_bert_find(&found, from, gain, error));
    norm->gain = found.data;
    AK_TRY(ak_bert_find(&found, from, gain + 1, error));
    norm->shift = found.data;
    return AKIN_OK;
}

static akin_status find_table(const float **out, const ak_bert_source *from, int number,
                              akin_error *error)
{
    ak_bert_tensor found;
    AK_TRY(ak_bert_find(&found, from, number, error));
    *out = found.data;
    return AKIN_OK;
}

static akin_status find_linear(ak_packed **out, loader *l, int weight, int bias,
                               ak_activation activation, akin_precision precision,
                               akin_error *error)
{
    ak_bert_tensor w, b;
    AK_TRY(ak_bert_find(&w, &l->from, weight, error));
    AK_TRY(ak_bert_find(&b, &l->from, bias, error));
    void *place = l->place;
    l->place += ak_packed_size(w.rows, w.columns, precision);
    return ak_packed_create(out, w.rows, w.columns, w.data, b.data, activation, precision, place,
                            error);
}

static akin_status load_layer(ak_bert *bert, int number, loader *l, akin_error *error)
{
    ak_bert_layer *layer = &bert->layers[number];
    const struct {
        ak_packed **out;
        int weight, bias;
        ak_activation activation;
    } linears[] = {
        {&layer->query, QUERY, QUERY_BIAS, AK_NO_ACTIVATION},
        {&layer->key, KEY, KEY_BIAS, AK_NO_ACTIVATION},
        {&layer->value, VALUE, VALUE_BIAS, AK_NO_ACTIVATION},
        {&layer->mix, MIX, MIX_BIAS, AK_NO_ACTIVATION},
        {&layer->up, UP, UP_BIAS, bert->config.activation},
        {&layer->down, DOWN, DOWN_BIAS, AK_NO_ACTIVATION},
    };
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++)
        AK_TRY(find_linear(linears[i].out, l, ak_bert_number(number, linears[i].weight),
                           ak_bert_number(number, linears[i].bias), linears[i].activation,
                           bert->precision, error));
    AK_TRY(find_norm(&layer->mix_norm, &l->from, ak_bert_number(number, MIX_GAIN), error));
    return find_norm(&layer->down_norm, &l->from, ak_bert_number(number, DOWN_GAIN), error);
}

/* The table of distances as attention reads it, for texts of any length. */
static akin_status load_distances(ak_bert *bert, const ak_bert_source *from, akin_error *error)
{
    const float *table;
    int64_t n = bert->config.positions, count = 2 * n - 1;
    AK_TRY(find_table(&table, from, DISTANCES, error));
    if (!table)
        return AKIN_OK;
    int32_t *buckets = ak_arena_new(bert->arena, int32_t, count);
    bert->distances = ak_arena_new(bert->arena, float, bert->config.heads *count);
    if (!buckets || !bert->distances)
        return ak_fail_memory(error);
    ak_bert_buckets(n, buckets);
    ak_bert_spread_buckets(table, buckets, count, bert->config.heads, bert->distances);
    return AKIN_OK;
}

static akin_status load_embeddings(ak_bert *bert, const ak_bert_source *from, akin_error *error)
{
    AK_TRY(find_table(&bert->words, from, WORDS, error));
    AK_TRY(find_table(&bert->places, from, PLACES, error));
    AK_TRY(find_table(&bert->types, from, TYPES, error));
    return find_norm(&bert->norm, from, EMBED_GAIN, error);
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

static akin_status load_all(ak_bert *bert, loader *l, akin_error *error)
{
    AK_TRY(load_embeddings(bert, &l->from, error));
    AK_TRY(load_distances(bert, &l->from, error));
    int64_t d = bert->config.hidden, wide = bert->config.intermediate;
    size_t square = ak_packed_size(d, d, bert->precision);
    size_t size = 4 * square + ak_packed_size(wide, d, bert->precision) +
                  ak_packed_size(d, wide, bert->precision);
    bert->packed = l->place = ak_alloc_large((size_t)bert->config.layers * size + 1);
    if (!bert->packed)
        return ak_fail_memory(error);
    for (int i = 0; i < bert->config.layers; i++)
        AK_TRY(load_layer(bert, i, l, error));
    return AKIN_OK;
}

static akin_status load(ak_bert *bert, const ak_safetensors *weights, akin_error *error)
{
    loader l = {0};
    akin_status status = ak_bert_source_open(&l.from, &bert->config, weights, bert->arena, error);
    if (!status)
        status = load_all(bert, &l, error);
    return ak_bert_source_close(&l.from, status, error);
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
