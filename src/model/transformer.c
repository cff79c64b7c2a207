/* The transformer encoder: a sentence-transformers folder of the BERT family. Texts are tokenised
   by collate; forward runs the transformer, pooling, Dense modules and normalisation. */
#include "model/transformer_internal.h"

#include "model/adapter.h"

#include <stdio.h>
#include <string.h>

/* ---- saving ---- */

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

static akin_status transformer_key(const void *self, akin_object object, akin_hash *key,
                                   akin_error *error)
{
    return ak_field_key(((const transformer *)self)->field, object, key, error);
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
                                .collate = ak_transformer_collate_tokens,
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
    .options = ak_transformer_options,
    .options_size = sizeof(transformer_options),
    .create = ak_transformer_create,
    .load = ak_transformer_load,
    .save = transformer_save,
    .free = ak_transformer_free,
    .dim = transformer_dim,
    .key = transformer_key,
    .fingerprint = transformer_fingerprint,
    .collate = ak_transformer_collate,
    .forward = transformer_forward,
    .backward = transformer_backward,
    .parameters = transformer_parameters,
    .trainable = transformer_trainable,
    .notes = transformer_notes,
    .side = transformer_side,
};
