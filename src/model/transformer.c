/* The transformer encoder: a sentence-transformers folder of the BERT family. Texts are tokenised
   by collate; forward runs the transformer, pooling, Dense modules and normalisation. */
#include "model/model.h"

#include "model/adapter.h"
#include "model/sentence_folder.h"
#include "model/transformer.h"
#include "model/transformer_train.h"
#include "text/tokenizer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef struct transformer_options {
    const char *path;
    int64_t max_length;
    const char *field, *prompt, *prompt_name, *query_prompt, *document_prompt;
    bool trainable, train_embeddings, recompute;
    int64_t trainable_layers;
    int64_t lora_rank;
    const char *freeze, *lora_targets, *lora;
    double dropout, lr_factor, layer_decay, lora_alpha;
} transformer_options;

#define ROW(member, type, otherwise, help)                                                         \
#member, type, offsetof(transformer_options, member), otherwise, help
static const akin_option options[] = {
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

typedef struct dense {
    float *weight, *bias; /* bias NULL: none */
} dense;

typedef struct transformer transformer;
struct transformer {
    /* This one with the documents' prompt, all else shared; NULL: one prompt for all. */
    transformer *document;
    char *path;
    char *cache_folder;
    char *lora; /* NULL: no adapter */
    ak_sentence_folder folder;
    ak_tokenizer *tokenizer;
    ak_transformer_train *train; /* NULL: frozen */
    ak_bert *bert;               /* frozen only, as are the Dense modules */
    dense dense[AK_MAX_DENSE];
    char *field, *prompt;  /* field NULL: the object is the text; with `document`: of queries */
    int32_t prompt_tokens; /* to leave out of pooling; 0: none */
    int32_t max_length;
    akin_precision precision;
    atomic_llong cut; /* texts longer than max_length */
};

static void transformer_free(void *self)
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

/* ---- opening ---- */

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

static akin_status load_dense(dense *out, const ak_dense_config *config, akin_error *error)
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
        transformer_free(t);
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

static akin_status transformer_create(void **self, const void *given, const akin_place *place,
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
static akin_status transformer_load(void **self, const void *given, const akin_place *place,
                                    akin_error *error)
{
    return open_transformer(self, given, place->folder, NULL, place, false, error);
}

static bool tuned(const transformer *t)
{
    return t->train && (t->lora || !ak_transformer_train_is_base(t->train));
}

/* The transformer's file of weights in a folder. NULL when out of memory. */
static char *weights_path(const transformer *t, const char *folder)
{
    const char *module = t->folder.module;
    return ak_format("%s/%s%smodel.safetensors", folder, module, *module ? "/" : "");
}

static akin_status save_merged(const transformer *t, const char *folder, akin_error *error)
{
    char *from = weights_path(t, t->path), *to = weights_path(t, folder);
    akin_status status =
        from && to ? ak_adapter_merge(t->lora, from, to, NULL, error) : ak_fail_memory(error);
    ak_free(from);
    ak_free(to);
    return status;
}

static akin_status transformer_save(const void *self, const char *folder, akin_error *error)
{
    const transformer *t = self;
    bool changed = tuned(t);
    ak_prompts prompts = {t->prompt, t->document ? t->document->prompt : t->prompt};
    AK_TRY(ak_sentence_folder_copy(t->path, folder, !changed, error));
    AK_TRY(ak_sentence_folder_adapt(&t->folder, folder, t->max_length, prompts, error));
    if (changed)
        return ak_transformer_train_save(t->train, folder, error);
    return t->lora ? save_merged(t, folder, error) : AKIN_OK;
}

const char *ak_transformer_path(const void *self)
{
    return ((const transformer *)self)->path;
}

const char *ak_transformer_lora(const void *self)
{
    return ((const transformer *)self)->lora;
}

const char *ak_transformer_prompt(const void *self)
{
    return ((const transformer *)self)->prompt;
}

/* ---- what it is ---- */

static int64_t transformer_dim(const void *self)
{
    const ak_sentence_folder *folder = &((const transformer *)self)->folder;
    if (folder->dense_count)
        return folder->dense[folder->dense_count - 1].out;
    return folder->bert.hidden * __builtin_popcount((unsigned)folder->pooling);
}

/* The weights of module -1 (the transformer) or of Dense module i. */
static akin_status add_weights(ak_hash *hash, const transformer *t, int module, akin_error *error)
{
    const char *folder = module < 0 ? t->folder.transformer : t->folder.dense[module].folder;
    ak_hash file;
    if (tuned(t)) {
        AK_TRY(ak_transformer_train_hash(t->train, module, &file, error));
        *hash = ak_hash_combine(*hash, file);
        return AKIN_OK;
    }
    char *path = ak_path_join(folder, "model.safetensors");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = t->lora && module < 0 ? ak_adapter_merge(t->lora, path, NULL, &file, error)
                                               : ak_file_hash(&file, path, t->cache_folder, error);
    ak_free(path);
    *hash = ak_hash_combine(*hash, file);
    return status;
}

/* What is not weights. */
static akin_status hash_settings(ak_hash *hash, const transformer *t, akin_error *error)
{
    const ak_sentence_folder *f = &t->folder;
    char epsilon[32];
    ak_double_to_text(f->bert.layer_norm_epsilon, epsilon);
    char *settings =
        ak_format("transformer|%d|%d|%d|%d|%d|%d|%d|%d|%s|%s", (int)t->precision, f->bert.layers,
                  f->bert.heads, (int)t->max_length, f->pooling, f->include_prompt, f->normalize,
                  (int)f->bert.activation, epsilon, t->prompt);
    if (!settings)
        return ak_fail_memory(error);
    *hash = ak_hash_combine(ak_hash_text(settings), ak_tokenizer_fingerprint(t->tokenizer));
    ak_free(settings);
    return AKIN_OK;
}

static akin_status transformer_fingerprint(const void *self, akin_hash *fingerprint,
                                           akin_error *error)
{
    const transformer *t = self;
    const ak_sentence_folder *f = &t->folder;
    AK_TRY(hash_settings(fingerprint, t, error));
    AK_TRY(add_weights(fingerprint, t, -1, error));
    for (int i = 0; i < f->dense_count; i++) {
        char activation[16];
        snprintf(activation, sizeof activation, "%d", (int)f->dense[i].activation);
        *fingerprint = ak_hash_combine(*fingerprint, ak_hash_text(activation));
        AK_TRY(add_weights(fingerprint, t, i, error));
    }
    return AKIN_OK;
}

/* ---- objects to tokens ---- */

static akin_status transformer_key(const void *self, akin_object object, akin_hash *key,
                                   akin_error *error)
{
    return ak_field_key(((const transformer *)self)->field, object, key, error);
}

static akin_status with_prompt(const transformer *t, akin_arena *arena, akin_object *text,
                               akin_error *error)
{
    size_t length = strlen(t->prompt);
    if (!length)
        return AKIN_OK;
    char *joined = akin_arena_alloc(arena, length + text->size);
    if (!joined)
        return ak_fail_memory(error);
    memcpy(joined, t->prompt, length);
    memcpy(joined + length, text->data, text->size);
    *text = (akin_object){.data = joined, .size = length + text->size};
    return AKIN_OK;
}

/* One text's ids, into the arena. */
static akin_status tokenize(const transformer *t, akin_object object, akin_arena *arena,
                            int32_t **ids, int32_t *count, akin_error *error)
{
    akin_object text;
    bool cut;
    AK_TRY(ak_field_text(t->field, object, arena, &text, error));
    AK_TRY(with_prompt(t, arena, &text, error));
    AK_TRY(ak_tokenizer_encode(t->tokenizer, text.data, text.size, t->max_length, arena, ids, count,
                               &cut, error));
    if (cut)
        atomic_fetch_add_explicit(&((transformer *)t)->cut, 1, memory_order_relaxed);
    return AKIN_OK;
}

static akin_status join_tokens(const transformer *t, akin_arena *arena, int32_t **parts,
                               int64_t count, int64_t *start, ak_tokens **out, akin_error *error)
{
    ak_tokens *tokens = ak_arena_new(arena, ak_tokens, 1);
    int32_t *ids = ak_arena_new(arena, int32_t, start[count]);
    int32_t *skip = t->prompt_tokens ? ak_arena_new(arena, int32_t, count) : NULL;
    if (!tokens || !ids || (t->prompt_tokens && !skip))
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++) {
        int64_t length = start[i + 1] - start[i];
        memcpy(ids + start[i], parts[i], (size_t)length * sizeof *ids);
        if (skip) /* a text cut down to its prompt keeps its last token for pooling */
            skip[i] = t->prompt_tokens < length ? t->prompt_tokens : (int32_t)length - 1;
    }
    *tokens = (ak_tokens){.texts = count, .ids = ids, .start = start, .skip = skip};
    *out = tokens;
    return AKIN_OK;
}

static akin_status transformer_collate(const void *self, const akin_object *objects, int64_t count,
                                       akin_arena *arena, void **batch, akin_error *error)
{
    const transformer *t = self;
    int32_t **parts = ak_arena_new(arena, int32_t *, count);
    int64_t *start = ak_arena_new(arena, int64_t, count + 1);
    if (!parts || !start)
        return ak_fail_memory(error);
    start[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t length;
        AK_TRY(tokenize(t, objects[i], arena, &parts[i], &length, error));
        start[i + 1] = start[i] + length;
    }
    ak_tokens *tokens = NULL;
    AK_TRY(join_tokens(t, arena, parts, count, start, &tokens, error));
    *batch = tokens;
    return AKIN_OK;
}

/* Every text is a token between the special ones. */
static akin_status collate_tokens(const void *self, const int32_t *ids, int64_t count,
                                  akin_arena *arena, void **batch, akin_error *error)
{
    const transformer *t = self;
    ak_tokens *tokens = ak_arena_new(arena, ak_tokens, 1);
    int64_t *start = ak_arena_new(arena, int64_t, count + 1);
    int32_t *around, special, before, after;
    bool cut;
    AK_TRY(ak_tokenizer_encode(t->tokenizer, "", 0, t->max_length, arena, &around, &special, &cut,
                               error));
    ak_tokenizer_special(t->tokenizer, &before, &after);
    int32_t *all = ak_arena_new(arena, int32_t, count * (special + 1));
    if (!tokens || !start || !all)
        return ak_fail_memory(error);
    start[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t *own = all + start[i];
        memcpy(own, around, (size_t)before * sizeof *own);
        own[before] = ids[i];
        memcpy(own + before + 1, around + before, (size_t)after * sizeof *own);
        start[i + 1] = start[i] + special + 1;
    }
    *tokens = (ak_tokens){.texts = count, .ids = all, .start = start};
    *batch = tokens;
    return AKIN_OK;
}

/* ---- forward ---- */

static akin_status run_dense(const transformer *t, const akin_pass *pass, akin_matrix x,
                             akin_matrix y, akin_error *error)
{
    for (int i = 0; i < t->folder.dense_count; i++) {
        const ak_dense_config *config = &t->folder.dense[i];
        bool last = i == t->folder.dense_count - 1;
        akin_matrix out = last ? y : ak_matrix_new(pass->arena, x.rows, config->out);
        if (!out.data)
            return ak_fail_memory(error);
        ak_linear_forward(x, t->dense[i].weight, t->dense[i].bias, out, t->precision);
        for (int64_t r = 0; r < out.rows; r++)
            ak_activate(config->activation, out.data + r * out.stride, out.data + r * out.stride,
                        out.columns);
        x = out;
    }
    return AKIN_OK;
}

/* Products are bfloat16's if the run or the encoder says so. */
static akin_pass own_pass(const transformer *t, const akin_pass *pass)
{
    akin_pass own = *pass;
    if (t->precision == AKIN_BF16)
        own.precision = AKIN_BF16;
    return own;
}

/* The whole of a frozen one, but for unit length. */
static akin_status forward_frozen(const transformer *t, const akin_pass *pass,
                                  const ak_tokens *tokens, akin_matrix y, akin_error *error)
{
    const ak_sentence_folder *folder = &t->folder;
    int64_t width = folder->bert.hidden * __builtin_popcount((unsigned)folder->pooling);
    akin_matrix pooled = folder->dense_count ? ak_matrix_new(pass->arena, y.rows, width) : y;
    if (!pooled.data)
        return ak_fail_memory(error);
    AK_TRY(ak_bert_forward(t->bert, tokens, folder->pooling, pooled, error));
    return run_dense(t, pass, pooled, y, error);
}

static akin_status transformer_forward(const void *self, const akin_pass *pass, const void *batch,
                                       akin_matrix y, void **record, akin_error *error)
{
    const transformer *t = self;
    if (t->train) {
        akin_pass own = own_pass(t, pass);
        return ak_transformer_train_forward(t->train, &own, batch, y, record, error);
    }
    *record = NULL;
    AK_TRY(forward_frozen(t, pass, batch, y, error));
    if (t->folder.normalize)
        for (int64_t r = 0; r < y.rows; r++)
            ak_normalize_rows(y.data + r * y.stride, 1, y.columns, y.data + r * y.stride);
    return AKIN_OK;
}

static akin_status forward_tokens(const void *self, const akin_pass *pass, const void *batch,
                                  akin_matrix y, akin_error *error)
{
    const transformer *t = self;
    void *record;
    return t->train ? transformer_forward(self, pass, batch, y, &record, error)
                    : forward_frozen(t, pass, batch, y, error);
}

void ak_transformer_token_reader(const void *self, ak_token_reader *reader)
{
    const transformer *t = self;
    *reader = (ak_token_reader){.tokenizer = t->tokenizer,
                                .folder = t->folder.transformer,
                                .field = t->field,
                                .collate = collate_tokens,
                                .forward = forward_tokens};
}

static akin_status transformer_backward(void *self, const akin_pass *pass, const void *batch,
                                        const void *record, akin_matrix dy, akin_error *error)
{
    transformer *t = self;
    akin_pass own = own_pass(t, pass);
    return ak_transformer_train_backward(t->train, &own, batch, record, dy, error);
}

static bool transformer_side(const void *self, bool document, const akin_encoder_class **type,
                             void **inner)
{
    const transformer *t = self;
    *type = &ak_encoder_transformer;
    *inner = document ? t->document : (transformer *)t;
    return t->document != NULL;
}

static bool transformer_trainable(const void *self)
{
    return ((const transformer *)self)->train != NULL;
}

static akin_parameters *transformer_parameters(void *self)
{
    transformer *t = self;
    return t->train ? ak_transformer_train_parameters(t->train) : NULL;
}

/* ---- stem ---- */

static akin_status stem_fingerprint(const void *self, ak_hash *fingerprint, akin_error *error)
{
    const transformer *t = self;
    const ak_bert_train *bert = ak_transformer_train_stem(t->train);
    AK_TRY(hash_settings(fingerprint, t, error));
    *fingerprint = ak_hash_combine(*fingerprint, ak_bert_train_stem_hash(bert));
    return AKIN_OK;
}

static const int64_t *stem_starts(const void *batch)
{
    return ((const ak_tokens *)batch)->start;
}

static akin_status stem_compute(const void *self, const akin_pass *pass, const void *batch,
                                float *rows, akin_error *error)
{
    const transformer *t = self;
    akin_pass own = own_pass(t, pass);
    return ak_bert_train_stem(ak_transformer_train_stem(t->train), &own, batch, rows, error);
}

static void stem_give(void *batch, const float *rows)
{
    ((ak_tokens *)batch)->entry = rows;
}

bool ak_transformer_stem(const void *self, ak_stem *stem)
{
    const transformer *t = self;
    *stem = (ak_stem){.dim = t->folder.bert.hidden,
                      .fingerprint = stem_fingerprint,
                      .starts = stem_starts,
                      .compute = stem_compute,
                      .give = stem_give};
    return t->train && ak_transformer_train_stem(t->train);
}

static void transformer_notes(const void *self, char *out, size_t size)
{
    const transformer *t = self;
    long long cut = atomic_load(&t->cut) + (t->document ? atomic_load(&t->document->cut) : 0);
    *out = 0;
    if (cut)
        snprintf(out, size, "%lld text%s longer than %d tokens and cut there", cut,
                 cut == 1 ? " was" : "s were", (int)t->max_length);
}

const akin_encoder_class ak_encoder_transformer = {
    .size = sizeof(akin_encoder_class),
    .name = "transformer",
    .summary = "a sentence-transformers folder of the BERT family (Devlin et al., 2019)",
    .options = options,
    .options_size = sizeof(transformer_options),
    .create = transformer_create,
    .load = transformer_load,
    .save = transformer_save,
    .free = transformer_free,
    .dim = transformer_dim,
    .key = transformer_key,
    .fingerprint = transformer_fingerprint,
    .collate = transformer_collate,
    .forward = transformer_forward,
    .backward = transformer_backward,
    .parameters = transformer_parameters,
    .trainable = transformer_trainable,
    .notes = transformer_notes,
    .side = transformer_side,
};
