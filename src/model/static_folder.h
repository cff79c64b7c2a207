/* Folders of static embeddings: a table with a row a token, and a tokenizer.

   sentence-transformers: modules.json names a StaticEmbedding, and perhaps a Normalize after it; the
   module's folder has tokenizer.json and model.safetensors with "embedding.weight" (or Model2Vec's
   tensors). Model2Vec alone: model.safetensors with "embeddings", and where there are "mapping" and
   "weights", token t's row is embeddings[mapping[t]] * weights[t]; config.json says "normalize". */
#ifndef AK_MODEL_STATIC_FOLDER_H
#define AK_MODEL_STATIC_FOLDER_H

#include "base/safetensors.h"

typedef struct ak_static_folder {
    char *module; /* the folder of tokenizer.json and model.safetensors */
    bool normalize;
} ak_static_folder;

/* An object that failed to read is freed. */
akin_status ak_static_folder_read(ak_static_folder *out, const char *folder, akin_error *error);
void ak_static_folder_free(ak_static_folder *folder);

/* Is the first module in folder/modules.json a StaticEmbedding? */
bool ak_is_static_folder(const char *folder);

/* The table of a model.safetensors: how large it is, and then its rows. */
akin_status ak_static_table_shape(const ak_safetensors *file, int64_t *rows, int64_t *columns,
                                  akin_error *error);
akin_status ak_static_table_copy(const ak_safetensors *file, float *table, akin_error *error);

/* modules.json and the folders it names, which every release of sentence-transformers reads; the
   tokenizer is copied from `from`, model.safetensors is the caller's to write into *module. */
akin_status ak_static_folder_write(const ak_static_folder *from, const char *folder, char **module,
                                   akin_error *error);

#endif
