#include "model/bert_config.h"

#include <string.h>

akin_status ak_config_count(int64_t *out, const ak_value *config, const char *key,
                            const char *folder, akin_error *error)
{
    *out = ak_value_get_int(config, key, 0);
    if (*out < 1 || *out > 1 << 24)
        return ak_fail(error, AKIN_ERR_FORMAT,
                       "%s/config.json: \"%s\" must be a positive number, found %lld", folder, key,
                       (long long)*out);
    return AKIN_OK;
}

akin_status ak_config_activation(ak_activation *out, const char *name, const char *folder,
                                 akin_error *error)
{
    static const struct {
        const char *name;
        ak_activation activation;
    } known[] = {
        {"gelu", AK_GELU},       {"gelu_new", AK_GELU_TANH}, {"gelu_pytorch_tanh", AK_GELU_TANH},
        {"relu", AK_RELU},       {"silu", AK_SILU},          {"swish", AK_SILU},
        {"tanh", AK_TANH},       {"Tanh", AK_TANH},          {"Identity", AK_NO_ACTIVATION},
        {"ReLU", AK_RELU},       {"GELU", AK_GELU},          {"SiLU", AK_SILU},
        {"Sigmoid", AK_SIGMOID},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].activation;
            return AKIN_OK;
        }
    return ak_fail(error, AKIN_ERR_UNSUPPORTED, "%s: the activation \"%s\" is not supported",
                   folder, name);
}

/* What an architecture calls its numbers. */
typedef struct key_names {
    const char *hidden, *intermediate, *layers, *heads, *activation;
    const char *hidden_dropout, *attention_dropout;
} key_names;

static const key_names keys_of_bert = {
    .hidden = "hidden_size",
    .intermediate = "intermediate_size",
    .layers = "num_hidden_layers",
    .heads = "num_attention_heads",
    .activation = "hidden_act",
    .hidden_dropout = "hidden_dropout_prob",
    .attention_dropout = "attention_probs_dropout_prob",
};

static const key_names keys_of_distilbert = {
    .hidden = "dim",
    .intermediate = "hidden_dim",
    .layers = "n_layers",
    .heads = "n_heads",
    .activation = "activation",
    .hidden_dropout = "dropout",
    .attention_dropout = "attention_dropout",
};

typedef struct model_type {
    const char *name;
    ak_architecture architecture;
    const key_names *keys;
    bool behind_padding; /* positions begin behind the padding's (RoBERTa: Liu et al., 2019) */
} model_type;

static const model_type model_types[] = {
    {"bert", AK_BERT, &keys_of_bert, false},
    {"roberta", AK_BERT, &keys_of_bert, true},
    {"xlm-roberta", AK_BERT, &keys_of_bert, true},
    {"camembert", AK_BERT, &keys_of_bert, true},
    {"distilbert", AK_DISTILBERT, &keys_of_distilbert, false},
    {"mpnet", AK_MPNET, &keys_of_bert, true},
};
#define MODEL_TYPES (sizeof model_types / sizeof *model_types)

static akin_status fail_model_type(const char *name, const char *folder, akin_error *error)
{
    char known[160] = "";
    for (size_t i = 0; i < MODEL_TYPES; i++) {
        strcat(known, i ? ", " : "");
        strcat(known, model_types[i].name);
    }
    return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                   "%s/config.json: model_type \"%.60s\" is not read, expected one of %s", folder,
                   name, known);
}

static akin_status find_model_type(const model_type **out, const ak_value *config,
                                   const char *folder, akin_error *error)
{
    const char *name = ak_value_get_string(config, "model_type", "bert");
    const char *position = ak_value_get_string(config, "position_embedding_type", "absolute");
    *out = NULL;
    for (size_t i = 0; i < MODEL_TYPES; i++)
        if (strcmp(model_types[i].name, name) == 0)
            *out = &model_types[i];
    if (!*out)
        return fail_model_type(name, folder, error);
    if (strcmp(position, "absolute") != 0)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "%s/config.json: position_embedding_type \"%s\" is not supported, expected "
                       "\"absolute\"",
                       folder, position);
    return AKIN_OK;
}

static akin_status read_positions(ak_bert_config *out, const ak_value *config, bool behind_padding,
                                  const char *folder, akin_error *error)
{
    int64_t rows;
    AK_TRY(ak_config_count(&rows, config, "max_position_embeddings", folder, error));
    out->first_position = behind_padding ? ak_value_get_int(config, "pad_token_id", 1) + 1 : 0;
    if (out->first_position < 0 || out->first_position >= rows)
        return ak_fail(error, AKIN_ERR_FORMAT,
                       "%s/config.json: pad_token_id %lld, expected less than "
                       "max_position_embeddings, %lld",
                       folder, (long long)out->first_position - 1, (long long)rows);
    out->positions = rows - out->first_position;
    return AKIN_OK;
}

static akin_status read_widths(ak_bert_config *out, const ak_value *config, const key_names *keys,
                               const char *folder, akin_error *error)
{
    int64_t layers, heads;
    AK_TRY(ak_config_count(&out->vocabulary, config, "vocab_size", folder, error));
    AK_TRY(ak_config_count(&out->hidden, config, keys->hidden, folder, error));
    AK_TRY(ak_config_count(&out->intermediate, config, keys->intermediate, folder, error));
    AK_TRY(ak_config_count(&layers, config, keys->layers, folder, error));
    AK_TRY(ak_config_count(&heads, config, keys->heads, folder, error));
    if (out->hidden % heads)
        return ak_fail(error, AKIN_ERR_FORMAT, "%s/config.json: %s %lld is no multiple of %s %lld",
                       folder, keys->hidden, (long long)out->hidden, keys->heads, (long long)heads);
    out->layers = (int)layers;
    out->heads = (int)heads;
    return AKIN_OK;
}

akin_status ak_bert_config_read(ak_bert_config *out, const ak_value *config, const char *folder,
                                akin_error *error)
{
    const model_type *type;
    AK_TRY(find_model_type(&type, config, folder, error));
    const key_names *keys = type->keys;
    *out = (ak_bert_config){.architecture = type->architecture};
    AK_TRY(read_widths(out, config, keys, folder, error));
    AK_TRY(read_positions(out, config, type->behind_padding, folder, error));
    out->types = ak_value_get_int(config, "type_vocab_size", 2);
    out->hidden_dropout = ak_value_get_number(config, keys->hidden_dropout, 0.1);
    out->attention_dropout = ak_value_get_number(config, keys->attention_dropout, 0.1);
    out->layer_norm_epsilon = ak_value_get_number(config, "layer_norm_eps", 1e-12);
    return ak_config_activation(
        &out->activation, ak_value_get_string(config, keys->activation, "gelu"), folder, error);
}
