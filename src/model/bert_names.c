/* See bert_names.h. A name is prefix, place of the layer if it is of one, module, and "weight" or
   "bias": "bert." "encoder.layer.0." "attention.self.query" ".weight". */
#include "model/bert_names.h"

#include <stdio.h>
#include <string.h>

typedef enum module {
    WORD_TABLE,
    PLACE_TABLE,
    TYPE_TABLE,
    EMBED_NORM,
    DISTANCE_TABLE,
    QUERIES,
    KEYS,
    VALUES,
    MIXING,
    MIX_NORM,
    WIDENING,
    NARROWING,
    DOWN_NORM,
    MODULES
} module;

typedef enum extent {
    ONE,
    HIDDEN,
    INTERMEDIATE,
    VOCABULARY,
    POSITIONS,
    KINDS,
    BUCKETS,
    HEADS
} extent;

typedef struct tensor_part {
    module module;
    const char *end;
    extent rows, columns; /* ONE rows: a vector of `columns` */
} tensor_part;

static const tensor_part tables[TABLE_TENSORS] = {
    [WORDS] = {WORD_TABLE, "weight", VOCABULARY, HIDDEN},
    [PLACES] = {PLACE_TABLE, "weight", POSITIONS, HIDDEN},
    [TYPES] = {TYPE_TABLE, "weight", KINDS, HIDDEN},
    [EMBED_GAIN] = {EMBED_NORM, "weight", ONE, HIDDEN},
    [EMBED_SHIFT] = {EMBED_NORM, "bias", ONE, HIDDEN},
    [DISTANCES] = {DISTANCE_TABLE, "weight", BUCKETS, HEADS},
};

static const tensor_part layer_parts[LAYER_TENSORS] = {
    [QUERY] = {QUERIES, "weight", HIDDEN, HIDDEN},
    [KEY] = {KEYS, "weight", HIDDEN, HIDDEN},
    [VALUE] = {VALUES, "weight", HIDDEN, HIDDEN},
    [QUERY_BIAS] = {QUERIES, "bias", ONE, HIDDEN},
    [KEY_BIAS] = {KEYS, "bias", ONE, HIDDEN},
    [VALUE_BIAS] = {VALUES, "bias", ONE, HIDDEN},
    [MIX] = {MIXING, "weight", HIDDEN, HIDDEN},
    [MIX_BIAS] = {MIXING, "bias", ONE, HIDDEN},
    [MIX_GAIN] = {MIX_NORM, "weight", ONE, HIDDEN},
    [MIX_SHIFT] = {MIX_NORM, "bias", ONE, HIDDEN},
    [UP] = {WIDENING, "weight", INTERMEDIATE, HIDDEN},
    [UP_BIAS] = {WIDENING, "bias", ONE, INTERMEDIATE},
    [DOWN] = {NARROWING, "weight", HIDDEN, INTERMEDIATE},
    [DOWN_BIAS] = {NARROWING, "bias", ONE, HIDDEN},
    [DOWN_GAIN] = {DOWN_NORM, "weight", ONE, HIDDEN},
    [DOWN_SHIFT] = {DOWN_NORM, "bias", ONE, HIDDEN},
};

/* How an architecture names them. */
typedef struct architecture {
    const char *name;
    const char *prefixes[3]; /* "" first, the others of checkpoints with a head */
    const char *layers;
    const char *modules[MODULES]; /* NULL: it has none */
} architecture;

static const architecture architectures[] = {
    [AK_BERT] = {.name = "BERT",
                 .prefixes = {"", "bert.", "roberta."},
                 .layers = "encoder.layer.",
                 .modules = {[WORD_TABLE] = "embeddings.word_embeddings",
                             [PLACE_TABLE] = "embeddings.position_embeddings",
                             [TYPE_TABLE] = "embeddings.token_type_embeddings",
                             [EMBED_NORM] = "embeddings.LayerNorm",
                             [QUERIES] = "attention.self.query",
                             [KEYS] = "attention.self.key",
                             [VALUES] = "attention.self.value",
                             [MIXING] = "attention.output.dense",
                             [MIX_NORM] = "attention.output.LayerNorm",
                             [WIDENING] = "intermediate.dense",
                             [NARROWING] = "output.dense",
                             [DOWN_NORM] = "output.LayerNorm"}},
    [AK_DISTILBERT] = {.name = "DistilBERT",
                       .prefixes = {"", "distilbert."},
                       .layers = "transformer.layer.",
                       .modules = {[WORD_TABLE] = "embeddings.word_embeddings",
                                   [PLACE_TABLE] = "embeddings.position_embeddings",
                                   [EMBED_NORM] = "embeddings.LayerNorm",
                                   [QUERIES] = "attention.q_lin",
                                   [KEYS] = "attention.k_lin",
                                   [VALUES] = "attention.v_lin",
                                   [MIXING] = "attention.out_lin",
                                   [MIX_NORM] = "sa_layer_norm",
                                   [WIDENING] = "ffn.lin1",
                                   [NARROWING] = "ffn.lin2",
                                   [DOWN_NORM] = "output_layer_norm"}},
    [AK_MPNET] = {.name = "MPNet",
                  .prefixes = {"", "mpnet."},
                  .layers = "encoder.layer.",
                  .modules = {[WORD_TABLE] = "embeddings.word_embeddings",
                              [PLACE_TABLE] = "embeddings.position_embeddings",
                              [EMBED_NORM] = "embeddings.LayerNorm",
                              [DISTANCE_TABLE] = "encoder.relative_attention_bias",
                              [QUERIES] = "attention.attn.q",
                              [KEYS] = "attention.attn.k",
                              [VALUES] = "attention.attn.v",
                              [MIXING] = "attention.attn.o",
                              [MIX_NORM] = "attention.LayerNorm",
                              [WIDENING] = "intermediate.dense",
                              [NARROWING] = "output.dense",
                              [DOWN_NORM] = "output.LayerNorm"}},
};
#define ARCHITECTURES (sizeof architectures / sizeof *architectures)

const char *ak_bert_architecture(const ak_bert_config *config)
{
    return architectures[config->architecture].name;
}

static int64_t size_of(const ak_bert_config *c, extent which)
{
    const int64_t sizes[] = {[ONE] = 1,
                             [HIDDEN] = c->hidden,
                             [INTERMEDIATE] = c->intermediate,
                             [VOCABULARY] = c->vocabulary,
                             [POSITIONS] = c->first_position + c->positions,
                             [KINDS] = c->types,
                             [BUCKETS] = AK_BUCKETS,
                             [HEADS] = c->heads};
    return sizes[which];
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- looking up ---- */

/* What stands before the names, if the file has `stem` behind the architecture's `place`; else
 * NULL.
 */
static const char *find_prefix(const architecture *a, const ak_safetensors *file, const char *place,
                               const char *stem)
{
    for (int i = 0; i < 3 && a->prefixes[i]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s%s.weight", a->prefixes[i], place, stem);
        if (ak_safetensors_find(file, name))
            return a->prefixes[i];
    }
    return NULL;
}

/* They agree on the tables' names: the first layer tells them apart. */
static bool has_first_layer(const architecture *a, const ak_safetensors *file)
{
    char place[32];
    snprintf(place, sizeof place, "%s0.", a->layers);
    return find_prefix(a, file, place, a->modules[QUERIES]) != NULL;
}

akin_status ak_bert_source_open(ak_bert_source *out, const ak_bert_config *config,
                                const ak_safetensors *file, akin_arena *arena, akin_error *error)
{
    const architecture *own = &architectures[config->architecture];
    const char *prefix = find_prefix(own, file, "", own->modules[WORD_TABLE]);
    *out = (ak_bert_source){
        .config = config, .file = file, .arena = arena, .prefix = prefix ? prefix : ""};
    if (config->adapter)
        AK_TRY(ak_adapter_open(&out->adapter, config->adapter, error));
    for (size_t i = 0; i < ARCHITECTURES && !has_first_layer(own, file); i++)
        if (has_first_layer(&architectures[i], file))
            return ak_fail_at(error, AKIN_ERR_MISMATCH, ak_safetensors_path(file), 0,
                              "the tensors are those of %s, but config.json describes %s",
                              architectures[i].name, own->name);
    return AKIN_OK;
}

/* What an adapter does to a pooler or a head changes nothing here. */
static akin_status pass_beside(const ak_bert_source *from, akin_error *error)
{
    for (int64_t i = 0; i < ak_safetensors_count(from->file); i++) {
        const ak_tensor *t = ak_safetensors_at(from->file, i);
        ak_adapter_pair pair;
        if (t->rank == 2 && ak_bert_is_beside(from, t->name))
            AK_TRY(ak_adapter_find(&pair, from->adapter, t->name, t->shape[0], t->shape[1], error));
    }
    AK_TRY(ak_adapter_check_used(from->adapter, error));
    return ak_adapter_check_base(from->adapter, error);
}

akin_status ak_bert_source_close(ak_bert_source *source, akin_status status, akin_error *error)
{
    if (!status && source->adapter)
        status = pass_beside(source, error);
    ak_adapter_free(source->adapter);
    source->adapter = NULL;
    return status;
}

static akin_status adapt(ak_bert_tensor *tensor, const ak_bert_source *from, akin_error *error)
{
    ak_adapter_pair pair;
    AK_TRY(
        ak_adapter_find(&pair, from->adapter, tensor->name, tensor->rows, tensor->columns, error));
    if (!pair.a)
        return AKIN_OK;
    tensor->adapted = true;
    ak_adapter_saw(from->adapter, tensor->data, tensor->rows * tensor->columns);
    return ak_adapter_add(&tensor->data, &pair, tensor->data, tensor->rows, tensor->columns,
                          from->arena, error);
}

/* NULL when out of memory. */
static const char *name_of(const ak_bert_source *from, int layer, const tensor_part *part)
{
    const architecture *a = &architectures[from->config->architecture];
    const char *stem = a->modules[part->module];
    if (!stem)
        return "";
    if (layer < 0)
        return ak_arena_format(from->arena, "%s%s.%s", from->prefix, stem, part->end);
    return ak_arena_format(from->arena, "%s%s%d.%s.%s", from->prefix, a->layers, layer, stem,
                           part->end);
}

akin_status ak_bert_find(ak_bert_tensor *out, const ak_bert_source *from, int number,
                         akin_error *error)
{
    int layer = ak_bert_layer_of(number);
    const tensor_part *part =
        layer < 0 ? &tables[number] : &layer_parts[(number - TABLE_TENSORS) % LAYER_TENSORS];
    const ak_tensor *tensor;
    bool vector = part->rows == ONE;
    int64_t rows = size_of(from->config, part->rows),
            columns = size_of(from->config, part->columns);
    const int64_t shape[] = {vector ? columns : rows, columns};
    *out = (ak_bert_tensor){.name = name_of(from, layer, part)};
    if (!out->name)
        return ak_fail_memory(error);
    if (!*out->name)
        return AKIN_OK;
    out->rows = rows;
    out->columns = columns;
    AK_TRY(ak_safetensors_expect(&tensor, from->file, out->name, vector ? 1 : 2, shape, error));
    AK_TRY(ak_tensor_floats(&out->data, from->file, tensor, from->arena, error));
    if (from->adapter && !vector)
        AK_TRY(adapt(out, from, error));
    if (number < EMBED_GAIN) /* serving reads few rows of a table, and would wait for all of them */
        return AKIN_OK;
    return ak_tensor_check_finite(ak_safetensors_path(from->file), out->name, out->data,
                                  rows * columns, error);
}

bool ak_bert_is_beside(const ak_bert_source *from, const char *name)
{
    static const char *const parts[] = {"pooler.",          "cls.",
                                        "lm_head.",         "embeddings.position_ids",
                                        "vocab_transform.", "vocab_layer_norm.",
                                        "vocab_projector."};
    const char *stem = has_prefix(name, from->prefix) ? name + strlen(from->prefix) : name;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (has_prefix(stem, parts[i]))
            return true;
    return false;
}
