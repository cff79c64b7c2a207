/* A trainable BERT: the checkpoint's tensors become parameters, but for those that stay as they
   are. Frozen ones are read where the checkpoint is mapped. */
#include "model/bert_train.h"

#include <fnmatch.h>
#include <string.h>

/* ---- reading ---- */

static akin_status find_weight(ak_bert_train *bert, const ak_bert_source *from, int number,
                               akin_error *error)
{
    ak_bert_tensor found;
    AK_TRY(ak_bert_find(&found, from, number, error));
    if (number < EMBED_GAIN)
        AK_TRY(ak_tensor_check_finite(ak_safetensors_path(from->file), found.name, found.data,
                                      found.rows * found.columns, error));
    bert->weights[number] = (ak_bert_weight){.name = found.name,
                                             .value = found.data,
                                             .base = found.data,
                                             .rows = found.rows,
                                             .columns = found.columns,
                                             .adapted = found.adapted,
                                             .number = -1,
                                             .lora_a = -1,
                                             .lora_b = -1};
    return AKIN_OK;
}

static akin_status check_extra(const ak_bert_train *bert, const ak_bert_source *from,
                               akin_error *error)
{
    for (int64_t i = 0; i < ak_safetensors_count(from->file); i++) {
        const char *name = ak_safetensors_at(from->file, i)->name;
        bool known = ak_bert_is_beside(from, name);
        for (int w = 0; w < bert->count && !known; w++)
            known = strcmp(bert->weights[w].name, name) == 0;
        if (!known)
            return ak_fail_at(error, AKIN_ERR_MISMATCH, ak_safetensors_path(from->file), 0,
                              "the tensor \"%.100s\" is no part of %s with %d layers", name,
                              ak_bert_architecture(&bert->config), bert->config.layers);
    }
    return AKIN_OK;
}

static akin_status find_weights(ak_bert_train *bert, akin_error *error)
{
    ak_bert_source from;
    akin_status status =
        ak_bert_source_open(&from, &bert->config, bert->mapping, bert->arena, error);
    for (int i = 0; i < bert->count && !status; i++)
        status = find_weight(bert, &from, i, error);
    if (!status)
        status = check_extra(bert, &from, error);
    bert->prefix = from.prefix;
    return ak_bert_source_close(&from, status, error);
}

static akin_status number_distances(ak_bert_train *bert, akin_error *error)
{
    int64_t n = bert->config.positions;
    if (!bert->weights[DISTANCES].value)
        return AKIN_OK;
    bert->buckets = ak_arena_new(bert->arena, int32_t, 2 * n - 1);
    if (!bert->buckets)
        return ak_fail_memory(error);
    ak_bert_buckets(n, bert->buckets);
    return AKIN_OK;
}

/* ---- what is trained ---- */

bool ak_bert_matches(const char *patterns, const char *name)
{
    char pattern[128];
    while (patterns && *patterns) {
        size_t length = strcspn(patterns, ",");
        while (length && *patterns == ' ')
            patterns++, length--;
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, patterns);
        if (fnmatch(pattern, name, 0) == 0)
            return true;
        patterns += length + (patterns[length] == ',');
    }
    return false;
}

bool ak_bert_train_has(const ak_bert_train *bert, const char *patterns)
{
    for (int i = 0; i < bert->count; i++)
        if (bert->weights[i].value && ak_bert_matches(patterns, bert->weights[i].name))
            return true;
    return false;
}

/* Without patterns: the projections to queries and values (Hu et al., 2021). */
static bool is_lora_target(const ak_bert_train *bert, int number, int layer)
{
    const char *patterns = bert->options.lora_targets;
    const ak_bert_weight *w = &bert->weights[number];
    if (layer < 0 || w->rows == 1)
        return false;
    int part = number - ak_bert_number(layer, 0);
    if (!patterns && bert->adapter)
        return ak_bert_lora_has(bert, w);
    return patterns ? ak_bert_matches(patterns, w->name) : part == QUERY || part == VALUE;
}

static bool trained(const ak_bert_train *bert, int number, int layer)
{
    const ak_bert_train_options *o = &bert->options;
    const ak_bert_weight *w = &bert->weights[number];
    int lowest = o->layers < 0 ? -1 : bert->config.layers - o->layers;
    if (!w->value || layer < lowest || (number < EMBED_GAIN && !o->tables))
        return false;
    return !ak_bert_matches(o->freeze, w->name) &&
           (!o->lora_rank || is_lora_target(bert, number, layer));
}

/* Biases, distances' too, and what norms have are not pulled to zero. */
static bool decays(const ak_bert_train *bert, int number)
{
    return bert->weights[number].rows > 1 && number != DISTANCES;
}

static akin_status add_parameter(ak_bert_train *bert, int number, int layer, akin_error *error)
{
    ak_bert_weight *w = &bert->weights[number];
    double factor = bert->options.lr_factor;
    for (int above = layer + 1; above < bert->config.layers; above++)
        factor *= bert->options.layer_decay;
    if (bert->options.lora_rank) {
        AK_TRY(ak_bert_lora_add(bert, w, factor, error));
    } else {
        AK_TRY(akin_parameters_add(bert->parameters, &w->number, w->name, w->rows, w->columns,
                                   AKIN_INIT_ZERO, 0, decays(bert, number), error));
        akin_parameters_get(bert->parameters, w->number)->lr_factor = factor;
    }
    if (layer < 0)
        bert->embeddings = true;
    else if (layer < bert->first_layer)
        bert->first_layer = layer;
    return AKIN_OK;
}

static akin_status add_parameters(ak_bert_train *bert, akin_error *error)
{
    bert->first_layer = bert->config.layers;
    for (int i = 0; i < bert->count; i++) {
        int layer = ak_bert_layer_of(i);
        if (trained(bert, i, layer))
            AK_TRY(add_parameter(bert, i, layer, error));
    }
    if (bert->embeddings)
        bert->first_layer = 0;
    return AKIN_OK;
}

/* ---- life ---- */

static akin_status check_options(const ak_bert_train *bert, akin_error *error)
{
    const ak_bert_train_options *o = &bert->options;
    if (o->layers > bert->config.layers)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"trainable_layers\" is %d, but the checkpoint has %d layers", o->layers,
                       bert->config.layers);
    return AKIN_OK;
}

/* adapter: where A and B start, NULL: there is none. */
static akin_status open_bert(ak_bert_train *bert, const char *path, const char *adapter,
                             akin_error *error)
{
    AK_TRY(check_options(bert, error));
    AK_TRY(ak_arena_create(&bert->arena, error));
    AK_TRY(ak_safetensors_open(&bert->mapping, path, error));
    bert->count = ak_bert_number(bert->config.layers, 0);
    bert->weights = ak_arena_new(bert->arena, ak_bert_weight, bert->count);
    if (!bert->weights)
        return ak_fail_memory(error);
    AK_TRY(find_weights(bert, error));
    AK_TRY(number_distances(bert, error));
    if (adapter)
        AK_TRY(ak_adapter_open(&bert->adapter, adapter, error));
    AK_TRY(add_parameters(bert, error));
    if (!adapter)
        return AKIN_OK;
    AK_TRY(ak_adapter_check_used(bert->adapter, error));
    return ak_adapter_check_base(bert->adapter, error);
}

akin_status ak_bert_train_create(ak_bert_train **out, const ak_bert_config *config,
                                 const ak_safetensors *weights,
                                 const ak_bert_train_options *options, akin_parameters *parameters,
                                 akin_error *error)
{
    *out = NULL;
    ak_bert_train *bert = ak_calloc(1, sizeof *bert);
    if (!bert)
        return ak_fail_memory(error);
    *bert = (ak_bert_train){.config = *config, .options = *options, .parameters = parameters};
    pthread_mutex_init(&bert->lock, NULL);
    if (options->dropout >= 0)
        bert->config.hidden_dropout = bert->config.attention_dropout = options->dropout;
    if (options->lora_rank)
        bert->config.adapter = NULL; /* it is trained on, not added to the base */
    akin_status status = open_bert(bert, ak_safetensors_path(weights),
                                   options->lora_rank ? config->adapter : NULL, error);
    if (status) {
        ak_bert_train_free(bert);
        return status;
    }
    *out = bert;
    return AKIN_OK;
}

void ak_bert_train_start(ak_bert_train *bert)
{
    for (int i = 0; i < bert->count; i++) {
        ak_bert_weight *w = &bert->weights[i];
        ak_bert_lora_start(bert, w);
        if (w->number < 0)
            continue;
        akin_parameter *parameter = akin_parameters_get(bert->parameters, w->number);
        memcpy(parameter->value, w->base, (size_t)(w->rows * w->columns) * sizeof(float));
        w->value = parameter->value;
    }
    ak_safetensors_forget(bert->mapping); /* as large as the parameters, and read no more */
}

void ak_bert_train_free(ak_bert_train *bert)
{
    if (!bert)
        return;
    pthread_mutex_destroy(&bert->lock);
    ak_adapter_free(bert->adapter);
    ak_safetensors_free(bert->mapping);
    ak_arena_free(bert->arena);
    ak_free(bert);
}

/* ---- the stem ---- */

bool ak_bert_train_has_stem(const ak_bert_train *bert)
{
    return bert->first_layer > 0;
}

ak_hash ak_bert_train_stem_hash(const ak_bert_train *bert)
{
    ak_hash hash = ak_hash_text("stem");
    for (int i = 0; i < ak_bert_number(bert->first_layer, 0); i++) {
        const ak_bert_weight *w = &bert->weights[i];
        size_t size = (size_t)(w->rows * w->columns) * sizeof(float);
        if (size)
            hash = ak_hash_combine(hash, ak_hash_bytes(w->value, size));
    }
    return hash;
}

/* ---- the tuned checkpoint ---- */

bool ak_bert_train_is_base(const ak_bert_train *bert)
{
    bool base = true;
    ak_bert_lora_update(bert);
    for (int i = 0; i < bert->count && base; i++) {
        const ak_bert_weight *w = &bert->weights[i];
        base = w->value == w->base ||
               memcmp(w->value, w->base, (size_t)(w->rows * w->columns) * sizeof(float)) == 0;
    }
    ak_safetensors_forget(bert->mapping);
    return base;
}

akin_status ak_bert_train_tensors(const ak_bert_train *bert, akin_arena *arena, ak_tensor **tensors,
                                  int64_t *count, akin_error *error)
{
    ak_bert_lora_update(bert);
    *count = ak_safetensors_count(bert->mapping);
    *tensors = ak_arena_new(arena, ak_tensor, *count);
    if (!*tensors)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < *count; i++) {
        ak_tensor *tensor = *tensors + i;
        *tensor = *ak_safetensors_at(bert->mapping, i);
        for (int w = 0; w < bert->count; w++)
            if ((bert->weights[w].value != bert->weights[w].base || bert->weights[w].adapted) &&
                strcmp(bert->weights[w].name, tensor->name) == 0)
                ak_tensor_replace(tensor, bert->weights[w].value);
    }
    return AKIN_OK;
}
