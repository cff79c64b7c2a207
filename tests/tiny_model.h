/* A sentence-transformers folder small enough for tests: a random BERT (or another of its family)
   of two layers and 32 numbers, with a vocabulary of some sixty words. Needs cmocka's header before
   it. */
#ifndef AKIN_TEST_TINY_MODEL_H
#define AKIN_TEST_TINY_MODEL_H

#include "base/base.h"
#include "base/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TINY_HIDDEN = 32,
    TINY_WIDE = 48,
    TINY_POSITIONS = 24,
    TINY_LAYERS = 2,
    TINY_HEADS = 2,
    TINY_BUCKETS = 32,
    TINY_DENSE = 20,
    TINY_TENSORS = 5 + 16 * TINY_LAYERS,
};

/* All members may be left 0. */
typedef struct tiny_options {
    uint64_t seed;         /* of the weights */
    const char *family;    /* "bert" (also NULL), "distilbert" or "mpnet" */
    const char *pooling;   /* 1_Pooling/config.json; NULL: the mean */
    bool dense, normalize; /* 2_Dense, 32 -> 20 with tanh; 3_Normalize */
    const char *prompts;   /* config_sentence_transformers.json; NULL: no such file */
    int fewer_embeddings;  /* rows that the weights have less than the vocabulary has words */
} tiny_options;

static const char *const tiny_words[] = {
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a",     "b",     "c",    "d",     "e",    "##a",
    "##b",   "##c",   "##d",   "##e",   "##s",    "##ing", "##ed",  "the",  "of",    "and",  "in",
    "to",    "is",    "red",   "blue",  "green",  "white", "black", "cat",  "dog",   "bird", "fish",
    "horse", "apple", "pear",  "plum",  "cherry", "house", "tree",  "road", "river", "sea",  "hill",
    "one",   "two",   "three", "four",  "five",   "six",   "run",   "walk", "swim",  "fly",  "eat",
    "small", "large", "old",   "new",   "query",  ":",     "0",     "1",    "2",     "3",    "4",
    "5",     "6",     "7",     "8",     "9",
};
enum { TINY_WORDS = sizeof tiny_words / sizeof *tiny_words };

/* How a checkpoint of an architecture names its parts. */
typedef struct tiny_family {
    const char *model_type;
    const char *keys[4]; /* of config.json: widths, layers, heads */
    const char *layers;
    const char *parts[8]; /* as in tiny_layer */
} tiny_family;

static inline const tiny_family *tiny_find_family(const char *name)
{
    static const tiny_family families[] = {
        {"bert",
         {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"},
         "encoder.layer",
         {"attention.self.query", "attention.self.key", "attention.self.value",
          "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
          "output.dense", "output.LayerNorm"}},
        {"distilbert",
         {"dim", "hidden_dim", "n_layers", "n_heads"},
         "transformer.layer",
         {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
          "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"}},
        {"mpnet",
         {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"},
         "encoder.layer",
         {"attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o",
          "attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"}},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!name || strcmp(families[i].model_type, name) == 0)
            return &families[i];
    fail_msg("there is no family %s", name);
    return NULL;
}

/* Positions begin behind the padding's. */
static inline int tiny_first_position(const char *family)
{
    return family && strcmp(family, "mpnet") == 0 ? 2 : 0;
}

static inline void tiny_write(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(ak_file_write(path, text, strlen(text), NULL), AKIN_OK);
}

static inline void tiny_folder(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(ak_make_folders(path, NULL), AKIN_OK);
}

typedef struct tiny_tensors {
    uint64_t seed;
    ak_tensor tensors[TINY_TENSORS + 2];
    char names[TINY_TENSORS + 2][96];
    int count;
} tiny_tensors;

static inline void tiny_add(tiny_tensors *t, const char *name, int64_t rows, int64_t columns)
{
    int number = t->count++;
    snprintf(t->names[number], sizeof t->names[number], "%s", name);
    ak_tensor *tensor = &t->tensors[number];
    *tensor = (ak_tensor){.name = t->names[number],
                          .dtype = AK_DTYPE_F32,
                          .rank = columns ? 2 : 1,
                          .shape = {rows, columns},
                          .count = rows * (columns ? columns : 1)};
    float *data = malloc((size_t)tensor->count * sizeof *data);
    assert_non_null(data);
    bool gain = strstr(name, "LayerNorm.weight") || strstr(name, "layer_norm.weight");
    for (int64_t i = 0; i < tensor->count; i++)
        data[i] =
            (gain ? 1 : 0) + 0.3f * (float)ak_random_normal(t->seed, (uint64_t)number, (uint64_t)i);
    tensor->data = data;
    tensor->size = (size_t)tensor->count * sizeof *data;
}

static inline void tiny_add_pair(tiny_tensors *t, const char *stem, int64_t rows, int64_t columns)
{
    char name[96];
    snprintf(name, sizeof name, "%s.weight", stem);
    tiny_add(t, name, rows, columns);
    snprintf(name, sizeof name, "%s.bias", stem);
    tiny_add(t, name, rows, 0);
}

static inline void tiny_save(tiny_tensors *t, const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(ak_safetensors_write(path, t->tensors, t->count, NULL, NULL), AKIN_OK);
    for (int i = 0; i < t->count; i++)
        free((void *)t->tensors[i].data);
    t->count = 0;
}

static inline void tiny_layer(tiny_tensors *t, const tiny_family *family, int layer)
{
    static const int64_t shapes[8][2] = {
        {TINY_HIDDEN, TINY_HIDDEN}, {TINY_HIDDEN, TINY_HIDDEN}, {TINY_HIDDEN, TINY_HIDDEN},
        {TINY_HIDDEN, TINY_HIDDEN}, {TINY_HIDDEN, 0},           {TINY_WIDE, TINY_HIDDEN},
        {TINY_HIDDEN, TINY_WIDE},   {TINY_HIDDEN, 0}};
    for (int i = 0; i < 8; i++) {
        char stem[80];
        snprintf(stem, sizeof stem, "%s.%d.%s", family->layers, layer, family->parts[i]);
        tiny_add_pair(t, stem, shapes[i][0], shapes[i][1]);
    }
}

static inline void tiny_weights(const char *folder, const tiny_options *o)
{
    const tiny_family *family = tiny_find_family(o->family);
    tiny_tensors *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->seed = o->seed;
    tiny_add(t, "embeddings.word_embeddings.weight", TINY_WORDS - o->fewer_embeddings, TINY_HIDDEN);
    tiny_add(t, "embeddings.position_embeddings.weight",
             TINY_POSITIONS + tiny_first_position(o->family), TINY_HIDDEN);
    if (strcmp(family->model_type, "bert") == 0)
        tiny_add(t, "embeddings.token_type_embeddings.weight", 2, TINY_HIDDEN);
    if (strcmp(family->model_type, "mpnet") == 0)
        tiny_add(t, "encoder.relative_attention_bias.weight", TINY_BUCKETS, TINY_HEADS);
    tiny_add_pair(t, "embeddings.LayerNorm", TINY_HIDDEN, 0);
    for (int layer = 0; layer < TINY_LAYERS; layer++)
        tiny_layer(t, family, layer);
    tiny_save(t, folder, "model.safetensors");
    if (o->dense) {
        t->seed = o->seed + 1;
        tiny_add_pair(t, "linear", TINY_DENSE, TINY_HIDDEN);
        tiny_save(t, folder, "2_Dense/model.safetensors");
    }
    free(t);
}

static inline void tiny_configs(const char *folder, const tiny_options *o)
{
    const tiny_family *family = tiny_find_family(o->family);
    char text[1024];
    snprintf(text, sizeof text,
             "{\"model_type\": \"%s\", \"vocab_size\": %d, \"%s\": %d,\n"
             " \"%s\": %d, \"max_position_embeddings\": %d,\n"
             " \"%s\": %d, \"%s\": %d, \"type_vocab_size\": 2,\n"
             " \"layer_norm_eps\": 1e-12, \"hidden_act\": \"gelu\"}\n",
             family->model_type, TINY_WORDS - o->fewer_embeddings, family->keys[0], TINY_HIDDEN,
             family->keys[1], TINY_WIDE, TINY_POSITIONS + tiny_first_position(o->family),
             family->keys[2], TINY_LAYERS, family->keys[3], TINY_HEADS);
    tiny_write(folder, "config.json", text);
    tiny_write(folder, "sentence_bert_config.json", "{\"max_seq_length\": 16}");
    tiny_write(folder, "tokenizer_config.json",
               "{\"do_lower_case\": true, \"tokenizer_class\": \"BertTokenizer\"}");
    snprintf(text, sizeof text,
             "{\"word_embedding_dimension\": %d, \"pooling_mode_mean_tokens\": true}", TINY_HIDDEN);
    tiny_write(folder, "1_Pooling/config.json", o->pooling ? o->pooling : text);
    if (o->dense) {
        snprintf(text, sizeof text,
                 "{\"in_features\": %d, \"out_features\": %d, \"bias\": true,\n"
                 " \"activation_function\": \"torch.nn.modules.activation.Tanh\"}",
                 TINY_HIDDEN, TINY_DENSE);
        tiny_write(folder, "2_Dense/config.json", text);
    }
    if (o->prompts)
        tiny_write(folder, "config_sentence_transformers.json", o->prompts);
}

static inline void tiny_modules(const char *folder, const tiny_options *o)
{
    char text[1024];
    const char *type = "\"type\": \"sentence_transformers.models";
    int used = snprintf(text, sizeof text,
                        "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", %s.Transformer\"},\n"
                        " {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Pooling\", %s.Pooling\"}",
                        type, type);
    if (o->dense)
        used +=
            snprintf(text + used, sizeof text - (size_t)used,
                     ",\n {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Dense\", %s.Dense\"}", type);
    if (o->normalize)
        used += snprintf(
            text + used, sizeof text - (size_t)used,
            ",\n {\"idx\": 3, \"name\": \"3\", \"path\": \"3_Normalize\", %s.Normalize\"}", type);
    snprintf(text + used, sizeof text - (size_t)used, "]\n");
    tiny_write(folder, "modules.json", text);
}

/* Makes `folder` (and its parents) a model; `options` may be NULL. */
static inline void tiny_model(const char *folder, const tiny_options *options)
{
    static const tiny_options none = {0};
    const tiny_options *o = options ? options : &none;
    char vocabulary[1024] = "";
    for (int i = 0; i < TINY_WORDS; i++) {
        strcat(vocabulary, tiny_words[i]);
        strcat(vocabulary, "\n");
    }
    tiny_folder(folder, "1_Pooling");
    if (o->dense)
        tiny_folder(folder, "2_Dense");
    tiny_write(folder, "vocab.txt", vocabulary);
    tiny_configs(folder, o);
    tiny_modules(folder, o);
    tiny_weights(folder, o);
}

#endif
