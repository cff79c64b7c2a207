/* The transformer encoder's options, and how they and a folder become one. */
#include "model/transformer_internal.h"

#include <string.h>

#define ROW(member, type, otherwise, help)                                                         \
#member, type, offsetof(transformer_options, member), otherwise, help
const akin_option ak_transformer_options[] = {
    {ROW(path, AKIN_OPTION_STRING, NULL, "the sentence-transformers folder")},
    {ROW(max_length, AKIN_OPTION_INT, "0", "tokens of a text that are read; 0: as the folder says"),
     .minimum = 0, .maximum = 1 << 20},
    {ROW(field, AKIN_OPTION_STRING, NULL, "the member of a JSON record that holds the text")},
    {ROW(prompt, AKIN_OPTION_STRING, NULL, "text put before every text")},
    {ROW(prompt_name, AKIN_OPTION_STRING, NULL, "which of the folder's prompts to use")},
    {ROW(query_prompt, AKIN_OPTION_STRING, NULL,
         "text put before every query, in place of the folder's prompt \"query\"")},
    {ROW(document_prompt, AKIN_OPTION_STRING, NULL,
         "text put before every document, in place of the folder's \"document\" or \"passage\"")},
    {ROW(trainable, AKIN_OPTION_BOOL, "false",
         "train its weights too; frozen encoders are computed once and cached")},
    {ROW(trainable_layers, AKIN_OPTION_INT, "-1",
         "trainable: only so many layers, the last ones; -1: all and what is before them"),
     .minimum = -1, .maximum = 1000},
    {ROW(train_embeddings, AKIN_OPTION_BOOL, "false",
         "trainable: the tables of words, positions and types too")},
    {ROW(freeze, AKIN_OPTION_STRING, NULL,
         "trainable: patterns of tensor names to leave alone, such as \"*.bias,*LayerNorm*\"")},
    {ROW(dropout, AKIN_OPTION_FLOAT, "-1",
         "trainable: of hidden states and attention; -1: as the folder says"),
     .minimum = -1, .maximum = 0.95},
    {ROW(lr_factor, AKIN_OPTION_FLOAT, "1", "trainable: times the learning rate"), .maximum = 1e6},
    {ROW(layer_decay, AKIN_OPTION_FLOAT, "1",
         "trainable: times the learning rate, once for every layer above"),
     .maximum = 1},
    {ROW(lora, AKIN_OPTION_STRING, NULL,
         "the folder of a LoRA adapter, as PEFT writes it: it is added to the weights, or with "
         "lora_rank trained on")},
    {ROW(lora_rank, AKIN_OPTION_INT, "0",
         "trainable: matrices change by products of this rank, and nothing else does; 0: without"),
     .maximum = 1024},
    {ROW(lora_alpha, AKIN_OPTION_FLOAT, "16", "the products are multiplied by this over the rank"),
     .minimum = 1e-6, .maximum = 1e6},
    {ROW(lora_targets, AKIN_OPTION_STRING, NULL,
         "patterns of the matrices' names; without: those of queries and values")},
    {ROW(recompute, AKIN_OPTION_BOOL, "false",
         "trainable: less memory and more time, activations are computed again")},
    {NULL}};

void ak_transformer_free(void *self)
{
    transformer *t = self;
    if (t->document)
        ak_free(t->document->prompt);
    ak_free(t->document);
    for (int i = 0; i < AK_MAX_DENSE; i++) {
        ak_free(t->dense[i].weight);
        ak_free(t->dense[i].bias);
    }
    ak_transformer_train_free(t->train);
    ak_bert_free(t->bert);
    ak_tokenizer_free(t->tokenizer);
    ak_sentence_folder_free(&t->folder);
    ak_free(t->path);
    ak_free(t->cache_folder);
    ak_free(t->lora);
    ak_free(t->field);
    ak_free(t->prompt);
    ak_free(t);
}

static akin_status copy_tensor(float **out, const ak_safetensors *file, const char *name, int rank,
                               const int64_t *shape, akin_error *error)
{
    const ak_tensor *tensor;
    AK_TRY(ak_safetensors_expect(&tensor, file, name, rank, shape, error));
    *out = ak_alloc((size_t)tensor->count * sizeof(float));
    if (!*out)
        return ak_fail_memory(error);
    if (!ak_tensor_convert(tensor, *out))
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                          "\"%s\" is %s, expected a float type", name,
                          ak_dtype_name(tensor->dtype));
    return ak_tensor_check_finite(ak_safetensors_path(file), name, *out, tensor->count, error);
}

static akin_status load_dense(ak_transformer_dense *out, const ak_dense_config *config,
                              akin_error *error)
{
    int64_t shape[2] = {config->out, config->in};
    ak_safetensors *file;
    AK_TRY(ak_weights_open(&file, config->folder, error));
    akin_status status = copy_tensor(&out->weight, file, "linear.weight", 2, shape, error);
    if (!status && config->bias)
        status = copy_tensor(&out->bias, file, "linear.bias", 1, shape, error);
    ak_safetensors_free(file);
    return status;
}

static akin_status load_bert(transformer *t, akin_error *error)
{
    ak_safetensors *file;
    AK_TRY(ak_weights_open(&file, t->folder.transformer, error));
    akin_status status = ak_bert_create(&t->bert, &t->folder.bert, file, ak_safetensors_path(file),
                                        t->precision, error);
    ak_safetensors_free(file);
    return status;
}

static akin_status load_frozen(transformer *t, akin_error *error)
{
    for (int i = 0; i < t->folder.dense_count; i++)
        AK_TRY(load_dense(&t->dense[i], &t->folder.dense[i], error));
    return load_bert(t, error);
}

static akin_status load_trainable(transformer *t, const transformer_options *o, uint64_t seed,
                                  akin_error *error)
{
    const ak_bert_train_options chosen = {.tables = o->train_embeddings,
                                          .layers = (int)o->trainable_layers,
                                          .freeze = o->freeze,
                                          .dropout = o->dropout,
                                          .lr_factor = o->lr_factor,
                                          .layer_decay = o->layer_decay,
                                          .lora_rank = (int)o->lora_rank,
                                          .lora_alpha = o->lora_alpha,
                                          .lora_targets = o->lora_targets,
                                          .recompute = o->recompute};
    return ak_transformer_train_create(&t->train, &t->folder, &chosen, seed, error);
}

static akin_status load_tokenizer(transformer *t, akin_error *error)
{
    AK_TRY(ak_tokenizer_load(&t->tokenizer, t->folder.transformer, error));
    int64_t ids = ak_tokenizer_vocabulary(t->tokenizer);
    if (ids > t->folder.bert.vocabulary)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "%s: the tokenizer has %lld tokens, but the weights hold %lld embeddings",
                       t->folder.transformer, (long long)ids, (long long)t->folder.bert.vocabulary);
    return AKIN_OK;
}

/* The prompt's own tokens, [CLS] included and [SEP] not: what pooling leaves out. */
static akin_status measure_prompt(transformer *t, akin_error *error)
{
    if (t->folder.include_prompt || !*t->prompt)
        return AKIN_OK;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    int32_t *ids, count = 0;
    bool cut;
    akin_status status = ak_tokenizer_encode(t->tokenizer, t->prompt, strlen(t->prompt),
                                             t->max_length, arena, &ids, &count, &cut, error);
    t->prompt_tokens = count - 1;
    ak_arena_free(arena);
    return status;
}

/* Of the options, or else of the folder. */
static akin_status choose_prompts(ak_prompts *out, const transformer_options *o,
                                  const transformer *t, const akin_place *place, akin_error *error)
{
    *out = ak_sentence_folder_prompts(&t->folder);
    if ((o->prompt || o->prompt_name) && (o->query_prompt || o->document_prompt))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"%s\" is of all texts, and \"%s\" of some: give one or the other",
                       o->prompt ? "prompt" : "prompt_name",
                       o->query_prompt ? "query_prompt" : "document_prompt");
    if (o->prompt || o->prompt_name)
        out->query = out->document = o->prompt ? o->prompt : t->folder.prompt;
    if (o->query_prompt)
        out->query = o->query_prompt;
    if (o->document_prompt)
        out->document = o->document_prompt;
    if (!o->query_prompt && !o->document_prompt && strcmp(out->query, out->document) != 0)
        ak_note(place->context,
                "%s: queries begin with \"%s\", documents with \"%s\", as its "
                "config_sentence_transformers.json says",
                t->path, out->query, out->document);
    return AKIN_OK;
}

static akin_status open_document(transformer *t, const char *prompt, akin_error *error)
{
    if (strcmp(t->prompt, prompt) == 0)
        return AKIN_OK;
    transformer *d = ak_alloc(sizeof *d);
    if (!d)
        return ak_fail_memory(error);
    memcpy(d, t, sizeof *d);
    t->document = d;
    d->prompt_tokens = 0;
    if (!(d->prompt = ak_strdup(prompt)))
        return ak_fail_memory(error);
    return measure_prompt(d, error);
}

static akin_status open_folder(transformer *t, const transformer_options *o, const char *folder,
                               const akin_place *place, bool trainable, akin_error *error)
{
    ak_prompts prompts;
    t->precision = place->precision;
    t->path = ak_path_absolute(folder);
    if (!t->path)
        return ak_fail_memory(error);
    AK_TRY(ak_copy_option(&t->cache_folder, place->context ? place->context->cache_folder : NULL,
                          error));
    AK_TRY(ak_copy_option(&t->field, o->field, error));
    AK_TRY(ak_sentence_folder_read(&t->folder, folder, o->prompt_name, error));
    t->folder.bert.adapter = t->lora;
    AK_TRY(choose_prompts(&prompts, o, t, place, error));
    AK_TRY(ak_copy_option(&t->prompt, prompts.query, error));
    t->max_length = o->max_length ? (int32_t)o->max_length : t->folder.max_length;
    if (t->max_length < 2 || t->max_length > t->folder.bert.positions)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"max_length\" is %d, must be between 2 and %lld, the positions of %s",
                       (int)t->max_length, (long long)t->folder.bert.positions, folder);
    AK_TRY(load_tokenizer(t, error));
    AK_TRY(measure_prompt(t, error));
    uint64_t seed = place->context ? place->context->seed : 0;
    AK_TRY(trainable ? load_trainable(t, o, seed, error) : load_frozen(t, error));
    return open_document(t, prompts.document, error);
}

/* lora: it is no longer the caller's. */
static akin_status open_transformer(void **self, const transformer_options *o, const char *folder,
                                    char *lora, const akin_place *place, bool trainable,
                                    akin_error *error)
{
    *self = NULL;
    transformer *t = ak_calloc(1, sizeof *t);
    if (!t) {
        ak_free(lora);
        return ak_fail_memory(error);
    }
    t->lora = lora;
    akin_status status = open_folder(t, o, folder, place, trainable, error);
    if (status) {
        ak_transformer_free(t);
        return status;
    }
    *self = t;
    return AKIN_OK;
}

/* What would have no effect is a mistake. */
static akin_status check_options(const transformer_options *o, akin_error *error)
{
    const struct {
        const char *name;
        bool given;
    } trained[] = {{"trainable_layers", o->trainable_layers >= 0},
                   {"train_embeddings", o->train_embeddings},
                   {"lora_rank", o->lora_rank > 0},
                   {"freeze", o->freeze != NULL},
                   {"recompute", o->recompute}};
    for (size_t i = 0; i < sizeof trained / sizeof *trained && !o->trainable; i++)
        if (trained[i].given)
            return ak_fail(error, AKIN_ERR_ARGUMENT, "\"%s\" needs \"trainable: true\"",
                           trained[i].name);
    if (o->train_embeddings && (o->trainable_layers >= 0 || o->lora_rank))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"train_embeddings\" trains the tables, which \"%s\" leaves alone: give "
                       "one or the other",
                       o->lora_rank ? "lora_rank" : "trainable_layers");
    return AKIN_OK;
}

akin_status ak_transformer_create(void **self, const void *given, const akin_place *place,
                                  akin_error *error)
{
    const transformer_options *o = given;
    *self = NULL;
    if (!o->path)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a transformer encoder needs \"path\", a sentence-transformers folder");
    AK_TRY(check_options(o, error));
    char *folder = ak_path_join(place->folder, o->path);
    if (!folder)
        return ak_fail_memory(error);
    char *lora = o->lora ? ak_path_join(place->folder, o->lora) : NULL;
    akin_status status = o->lora && !lora
                             ? ak_fail_memory(error)
                             : open_transformer(self, o, folder, lora, place, o->trainable, error);
    ak_free(folder);
    return status;
}

/* What was tuned, or has an adapter in it, serves, and is as fast as any frozen encoder. */
akin_status ak_transformer_load(void **self, const void *given, const akin_place *place,
                                akin_error *error)
{
    return open_transformer(self, given, place->folder, NULL, place, false, error);
}
