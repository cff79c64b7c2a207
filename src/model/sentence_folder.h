/* What a sentence-transformers folder says: the transformer's shape and the modules after it. Reads
   the old names (pooling_mode_mean_tokens, word_embedding_dimension, max_seq_length) and those of
   release 6 (pooling_mode, embedding_dimension, model_max_length). */
#ifndef AK_MODEL_SENTENCE_FOLDER_H
#define AK_MODEL_SENTENCE_FOLDER_H

#include "model/bert.h"

#define AK_MAX_DENSE 4

typedef struct ak_dense_config {
    char *module; /* "2_Dense" */
    char *folder; /* of its model.safetensors */
    int64_t in, out;
    bool bias;
    ak_activation activation;
} ak_dense_config;

typedef struct ak_sentence_folder {
    char *module;      /* of the transformer: "0_Transformer", or "" where it lies in the folder */
    char *transformer; /* the folder of config.json, tokenizer and weights */
    ak_bert_config bert;
    int pooling; /* bits of ak_pooling */
    bool include_prompt, normalize;
    int32_t max_length; /* tokens, [CLS] and [SEP] included */
    ak_dense_config dense[AK_MAX_DENSE];
    int dense_count;
    char *prompt; /* the default prompt, "" if none */
    char *query_prompt, *document_prompt; /* NULL: there is none of that name */
} ak_sentence_folder;

/* prompt_name: which of the folder's prompts, NULL: the default one. An object that failed to read
   is freed. */
akin_status ak_sentence_folder_read(ak_sentence_folder *out, const char *folder,
                                    const char *prompt_name, akin_error *error);
void ak_sentence_folder_free(ak_sentence_folder *folder);

/* The weights of a module's folder: its model.safetensors. */
akin_status ak_weights_open(ak_safetensors **out, const char *folder, akin_error *error);

/* Is there such a folder at `path` (modules.json or config.json in it)? */
akin_status ak_is_sentence_folder(bool *is, const char *path, akin_error *error);

/* ---- sentence_folder_write.c ---- */

/* Copies the files that loading needs, and the card; weights false: all but the weights. */
akin_status ak_sentence_folder_copy(const char *from, const char *to, bool weights,
                                    akin_error *error);
/* What texts begin with; the same text twice: one prompt for all. */
typedef struct ak_prompts {
    const char *query, *document;
} ak_prompts;
/* What sentence-transformers' encode_query and encode_document put before texts; where neither has a
   prompt, what encode does. (Release 6 adds an empty "document" of its own and so never comes to
   "passage" and "corpus", which its documentation promises.) */
ak_prompts ak_sentence_folder_prompts(const ak_sentence_folder *folder);
/* Makes the copy `to` say what was read otherwise than the folder `was` says. */
akin_status ak_sentence_folder_adapt(const ak_sentence_folder *was, const char *to,
                                     int32_t max_length, ak_prompts prompts, akin_error *error);

#endif
