/* safetensors: named tensors in one file, read by mmap, written as a stream.

   Format: 8 bytes header length (little-endian), a JSON header {"__metadata__": {text: text},
   NAME: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}}, then the data; offsets
   count from the end of the header, cover the data without overlap or hole.
   Source: https://github.com/huggingface/safetensors (format description of the README). */
#ifndef AK_BASE_SAFETENSORS_H
#define AK_BASE_SAFETENSORS_H

#include "base/hash.h"
#include "base/memory.h"
#include "base/value.h"

typedef enum ak_dtype {
    AK_DTYPE_F64,
    AK_DTYPE_F32,
    AK_DTYPE_F16,
    AK_DTYPE_BF16,
    AK_DTYPE_I64,
    AK_DTYPE_I32,
    AK_DTYPE_I8,
    AK_DTYPE_U64,
    AK_DTYPE_U8,
    AK_DTYPE_BOOL,
} ak_dtype;

const char *ak_dtype_name(ak_dtype dtype); /* "F32" */
size_t ak_dtype_size(ak_dtype dtype);

#define AK_TENSOR_RANK 8

typedef struct ak_tensor {
    const char *name;
    ak_dtype dtype;
    int rank;
    int64_t shape[AK_TENSOR_RANK];
    int64_t count;    /* elements: the product of the shape; 1 when rank is 0 */
    size_t size;      /* bytes */
    const void *data; /* in the mapping, not always aligned to the type: see ak_tensor_floats */
} ak_tensor;

typedef struct ak_safetensors ak_safetensors;

/* Maps and checks the whole header: what the accessors give afterwards lies inside the file.
   Anything else is AKIN_ERR_FORMAT with the file and the tensor. Threads: all accessors. */
akin_status ak_safetensors_open(ak_safetensors **out, const char *path, akin_error *error);
/* The same from memory that outlives *out; `name` is what messages call it. */
akin_status ak_safetensors_parse(ak_safetensors **out, const void *data, size_t size,
                                 const char *name, akin_error *error);
/* What was read of the file leaves memory until it is read again. */
void ak_safetensors_forget(const ak_safetensors *file);
void ak_safetensors_free(ak_safetensors *file);

const char *ak_safetensors_path(const ak_safetensors *file);
int64_t ak_safetensors_count(const ak_safetensors *file);
const ak_tensor *ak_safetensors_at(const ak_safetensors *file, int64_t number);     /* by offset */
const ak_tensor *ak_safetensors_find(const ak_safetensors *file, const char *name); /* or NULL */
/* The text of a member of __metadata__, NULL if absent; the whole map, NULL if there is none. */
const char *ak_safetensors_metadata(const ak_safetensors *file, const char *key);
const ak_value *ak_safetensors_metadata_map(const ak_safetensors *file);

/* The tensor `name` if it is there and has this shape (-1: any size), else an error that says what
   was expected and what the file has. */
akin_status ak_safetensors_expect(const ak_tensor **out, const ak_safetensors *file,
                                  const char *name, int rank, const int64_t *shape,
                                  akin_error *error);
/* The same for numbers of one exact type, aligned to it (an error otherwise): *data points into the
   mapping. *tensor may be NULL. */
akin_status ak_safetensors_view(const void **data, const ak_tensor **tensor,
                                const ak_safetensors *file, const char *name, ak_dtype dtype,
                                int rank, const int64_t *shape, akin_error *error);

/* Any float tensor as float32: into the mapping where it is float32 and aligned, else converted
   into the arena. `file` is for messages. */
akin_status ak_tensor_floats(const float **out, const ak_safetensors *file, const ak_tensor *tensor,
                             akin_arena *arena, akin_error *error);
/* F32, F64, F16 and BF16 to float32, rounded to nearest; false for other types. */
bool ak_tensor_convert(const ak_tensor *tensor, float *out);

/* AKIN_ERR_FORMAT if one of the values read from the tensor `name` of the file at `path` is nan or
   infinite. */
akin_status ak_tensor_check_finite(const char *path, const char *name, const float *values,
                                   int64_t count, akin_error *error);

/* The tensor with other values, as float32; they are not copied. */
void ak_tensor_replace(ak_tensor *tensor, const float *values);
/* Are these the tensor's values (of any float type)? */
bool ak_tensor_holds(const ak_tensor *tensor, const float *values);

/* Writing, atomic as every file (base/file.h): declare the tensors (name, dtype, rank, shape; the
   other members are not read), put their bytes in that order in pieces of any size, commit. The
   data starts at a multiple of 64 bytes, and tensors follow each other without a gap: declare the
   wide types first to keep all of them aligned. metadata: key, value, key, value, NULL; or NULL. */
typedef struct ak_safetensors_writer ak_safetensors_writer;
akin_status ak_safetensors_create(ak_safetensors_writer **out, const char *path,
                                  const ak_tensor *tensors, int64_t count,
                                  const char *const *metadata, akin_error *error);
akin_status ak_safetensors_put(ak_safetensors_writer *writer, const void *data, size_t size,
                               akin_error *error);
akin_status ak_safetensors_commit(ak_safetensors_writer *writer, akin_error *error); /* frees */
void ak_safetensors_abort(ak_safetensors_writer *writer); /* accepts NULL */
/* All at once, from tensors[i].data. */
akin_status ak_safetensors_write(const char *path, const ak_tensor *tensors, int64_t count,
                                 const char *const *metadata, akin_error *error);
/* ak_hash_bytes of the file that ak_safetensors_write would write. */
akin_status ak_safetensors_hash(ak_hash *out, const ak_tensor *tensors, int64_t count,
                                const char *const *metadata, akin_error *error);

#endif
