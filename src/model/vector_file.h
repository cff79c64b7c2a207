/* Vectors made elsewhere, by row number or by name.

     .npy            one array, n x d (base/npy.h); mapped
     .safetensors    the tensor `tensor`, or "vectors", or the only one of two dimensions; mapped
     .jsonl (.gz)    a list of numbers a line, or a record a line with the list as member `vector` and,
                     where there are names, the name as member `id`; read into memory

   Names of the rows of the first two are in a file of their own: .txt (a name a line), or records
   with a member `id`. */
#ifndef AK_MODEL_VECTOR_FILE_H
#define AK_MODEL_VECTOR_FILE_H

#include "base/base.h"

typedef struct ak_vector_file_options {
    const char *path, *ids; /* ids NULL: none but a .jsonl's own */
    const char *tensor;     /* NULL: as above */
    const char *id, *vector;
    const char *cache_folder; /* for the hash of the content; may be NULL */
} ak_vector_file_options;

typedef struct ak_vector_file ak_vector_file;

akin_status ak_vector_file_open(ak_vector_file **out, const ak_vector_file_options *options,
                                akin_error *error);
void ak_vector_file_free(ak_vector_file *file);
int64_t ak_vector_file_count(const ak_vector_file *file);
int64_t ak_vector_file_dim(const ak_vector_file *file);
ak_hash ak_vector_file_hash(const ak_vector_file *file); /* of vectors and names */

/* The vector of that name; without names `name` is a row number, counted from 0. Unknown names and
   numbers that are not finite are errors. Threads: yes. */
akin_status ak_vector_file_read(const ak_vector_file *file, akin_object name, float *out,
                                akin_error *error);

/* "[1, 2.5]" to numbers: *count of them, at most `capacity` written. false: not a list of finite
   float32 numbers. */
bool ak_number_list(const char *text, size_t size, float *out, int64_t capacity, int64_t *count);

#endif
