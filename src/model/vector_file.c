#include "model/vector_file.h"

#include "base/npy.h"
#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct row_name {
    ak_hash hash;
    int64_t row;
} row_name;

struct ak_vector_file {
    char *path;
    ak_map map;              /* .npy */
    ak_safetensors *tensors; /* .safetensors */
    float *values;           /* .jsonl */
    ak_tensor rows;          /* n x d, wherever its numbers are */
    row_name *names;         /* by hash; NULL: rows have numbers only */
    ak_hash hash;
};

void ak_vector_file_free(ak_vector_file *file)
{
    if (!file)
        return;
    if (file->map.data)
        ak_map_close(&file->map);
    ak_safetensors_free(file->tensors);
    ak_free(file->values);
    ak_free(file->names);
    ak_free(file->path);
    ak_free(file);
}

int64_t ak_vector_file_count(const ak_vector_file *file)
{
    return file->rows.shape[0];
}

int64_t ak_vector_file_dim(const ak_vector_file *file)
{
    return file->rows.shape[1];
}

ak_hash ak_vector_file_hash(const ak_vector_file *file)
{
    return file->hash;
}

/* ---- names ---- */

static int by_hash(const void *a, const void *b)
{
    const row_name *x = a, *y = b;
    int order = ak_hash_compare(x->hash, y->hash);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static akin_status hash_names(ak_vector_file *file, const akin_corpus *corpus, const char *path,
                              akin_error *error)
{
    int64_t n = ak_vector_file_count(file);
    akin_arena *arena;
    if (akin_corpus_count(corpus) != n)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, path, 0,
                          "%lld names for the %lld vectors of %s",
                          (long long)akin_corpus_count(corpus), (long long)n, file->path);
    AK_TRY(ak_arena_create(&arena, error));
    file->names = ak_calloc((size_t)n, sizeof *file->names);
    akin_status status = file->names ? AKIN_OK : ak_fail_memory(error);
    for (int64_t i = 0; i < n && !status; i++) {
        akin_object id;
        ak_arena_reset(arena);
        status = ak_corpus_get(corpus, i, arena, &id, error);
        if (!status)
            file->names[i] = (row_name){ak_hash_bytes(id.data, id.size), i};
    }
    ak_arena_free(arena);
    return status;
}

static akin_status read_names(ak_vector_file *file, const char *path,
                              const ak_vector_file_options *o, akin_error *error)
{
    const char *fields[] = {o->id, NULL};
    akin_corpus *corpus;
    AK_TRY(ak_corpus_open(&corpus, path, ak_corpus_is_lines(path) ? NULL : fields, NULL,
                          o->cache_folder, error));
    akin_status status = hash_names(file, corpus, path, error);
    akin_corpus_free(corpus);
    AK_TRY(status);
    int64_t n = ak_vector_file_count(file);
    qsort(file->names, (size_t)n, sizeof *file->names, by_hash);
    for (int64_t i = 1; i < n; i++)
        if (ak_hash_equal(file->names[i - 1].hash, file->names[i].hash))
            return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0,
                              "vectors %lld and %lld (from 0) have the same name",
                              (long long)file->names[i - 1].row, (long long)file->names[i].row);
    return AKIN_OK;
}

/* ---- .npy and .safetensors ---- */

static akin_status open_npy(ak_vector_file *file, akin_error *error)
{
    AK_TRY(ak_map_open(&file->map, file->path, error));
    return ak_npy_parse(&file->rows, file->map.data, file->map.size, file->path, error);
}

/* NULL unless there is exactly one. */
static const ak_tensor *only_matrix(const ak_safetensors *tensors)
{
    const ak_tensor *found = NULL;
    for (int64_t i = 0; i < ak_safetensors_count(tensors); i++) {
        const ak_tensor *tensor = ak_safetensors_at(tensors, i);
        if (tensor->rank == 2 && found)
            return NULL;
        if (tensor->rank == 2)
            found = tensor;
    }
    return found;
}

static akin_status open_tensors(ak_vector_file *file, const ak_vector_file_options *o,
                                akin_error *error)
{
    const char *wanted = o->tensor ? o->tensor : "vectors";
    AK_TRY(ak_safetensors_open(&file->tensors, file->path, error));
    const ak_tensor *tensor = ak_safetensors_find(file->tensors, wanted);
    if (!tensor && !o->tensor)
        tensor = only_matrix(file->tensors);
    if (!tensor)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0, "there is no tensor \"%s\"%s",
                          wanted, o->tensor ? "" : "; \"tensor\" names the one with the vectors");
    file->rows = *tensor;
    return AKIN_OK;
}

/* ---- .jsonl ---- */

static akin_status read_list(ak_vector_file *file, const akin_corpus *corpus, int64_t i,
                             akin_arena *arena, int64_t *dim, akin_error *error)
{
    akin_object line;
    int64_t count;
    ak_arena_reset(arena);
    AK_TRY(ak_corpus_get(corpus, i, arena, &line, error));
    float *row = file->values ? file->values + i * *dim : NULL;
    if (!ak_number_list(line.data, line.size, row, row ? *dim : 0, &count))
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, ak_corpus_line(corpus, i),
                          "expected a list of finite numbers");
    if (!row)
        *dim = count;
    if (count != *dim)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, ak_corpus_line(corpus, i),
                          "a list of %lld numbers, those before it have %lld", (long long)count,
                          (long long)*dim);
    return AKIN_OK;
}

static akin_status read_lists(ak_vector_file *file, const akin_corpus *corpus, akin_error *error)
{
    int64_t n = akin_corpus_count(corpus), dim = 0;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = read_list(file, corpus, 0, arena, &dim, error); /* its width only */
    if (!status && !(file->values = ak_calloc((size_t)n, (size_t)dim * sizeof(float))))
        status = ak_fail_memory(error);
    for (int64_t i = 0; i < n && !status; i++)
        status = read_list(file, corpus, i, arena, &dim, error);
    ak_arena_free(arena);
    file->rows = (ak_tensor){.dtype = AK_DTYPE_F32,
                             .rank = 2,
                             .shape = {n, dim},
                             .count = n * dim,
                             .size = (size_t)(n * dim) * sizeof(float),
                             .data = file->values};
    return status;
}

/* Does the first line hold a record, and one with a name? */
static akin_status look_at(const akin_corpus *corpus, const ak_vector_file_options *o,
                           bool *records, bool *named, akin_error *error)
{
    akin_arena *arena;
    akin_object line;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_corpus_get(corpus, 0, arena, &line, error);
    const char *start = status ? NULL : memchr(line.data, '{', line.size);
    const char *list = status ? NULL : memchr(line.data, '[', line.size);
    *records = start && (!list || start < list);
    *named = false;
    if (!status && *records) {
        const char *fields[] = {o->id};
        ak_value found;
        status = ak_json_fields(line.data, line.size, fields, 1, &found, arena, o->path,
                                ak_corpus_line(corpus, 0), error);
        *named = !status && found.kind != AK_NULL;
    }
    ak_arena_free(arena);
    return status;
}

static akin_status open_lines(ak_vector_file *file, const ak_vector_file_options *o, bool *named,
                              akin_error *error)
{
    const char *fields[] = {o->vector, NULL};
    bool records;
    akin_corpus *corpus;
    AK_TRY(ak_corpus_open(&corpus, file->path, NULL, NULL, o->cache_folder, error));
    akin_status status = look_at(corpus, o, &records, named, error);
    if (!status && records) {
        akin_corpus_free(corpus);
        AK_TRY(ak_corpus_open(&corpus, file->path, fields, NULL, o->cache_folder, error));
    }
    if (!status)
        status = read_lists(file, corpus, error);
    akin_corpus_free(corpus);
    return status;
}

/* ---- opening ---- */

static akin_status open_rows(ak_vector_file *file, const ak_vector_file_options *o, bool *named,
                             akin_error *error)
{
    *named = false;
    if (ak_path_has_suffix(file->path, ".npy"))
        return open_npy(file, error);
    if (ak_path_has_suffix(file->path, ".safetensors"))
        return open_tensors(file, o, error);
    if (ak_path_has_suffix(file->path, ".jsonl") || ak_path_has_suffix(file->path, ".jsonl.gz"))
        return open_lines(file, o, named, error);
    return ak_fail_at(error, AKIN_ERR_ARGUMENT, file->path, 0,
                      "vectors are read from .npy, .safetensors or .jsonl");
}

static akin_status check_rows(const ak_vector_file *file, akin_error *error)
{
    const ak_tensor *rows = &file->rows;
    if (rows->rank != 2 || rows->shape[0] < 1 || rows->shape[1] < 1)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0,
                          "an array of %d dimensions%s, expected rows of numbers", rows->rank,
                          rows->rank == 2 ? ", one of them 0" : "");
    if (rows->dtype > AK_DTYPE_BF16)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0, "\"%s\" is %s, expected floats",
                          rows->name ? rows->name : "the array", ak_dtype_name(rows->dtype));
    return AKIN_OK;
}

/* What is read, and how: two files that give the same names the same vectors in another format are
   different. */
static akin_status make_hash(ak_vector_file *file, const ak_vector_file_options *o, const char *ids,
                             akin_error *error)
{
    ak_hash next;
    AK_TRY(ak_file_hash(&file->hash, file->path, o->cache_folder, error));
    const char *words[] = {file->rows.name ? file->rows.name : "", ids ? o->id : "", o->vector};
    for (int i = 0; i < 3; i++)
        file->hash = ak_hash_combine(file->hash, ak_hash_text(words[i]));
    if (!ids || ids == file->path)
        return AKIN_OK;
    AK_TRY(ak_file_hash(&next, ids, o->cache_folder, error));
    file->hash = ak_hash_combine(file->hash, next);
    return AKIN_OK;
}

akin_status ak_vector_file_open(ak_vector_file **out, const ak_vector_file_options *options,
                                akin_error *error)
{
    *out = NULL;
    ak_vector_file *file = ak_calloc(1, sizeof *file);
    if (!file)
        return ak_fail_memory(error);
    bool named;
    akin_status status = (file->path = ak_strdup(options->path)) ? AKIN_OK : ak_fail_memory(error);
    if (!status)
        status = open_rows(file, options, &named, error);
    if (!status)
        status = check_rows(file, error);
    const char *ids = status ? NULL : options->ids ? options->ids : named ? file->path : NULL;
    if (ids)
        status = read_names(file, ids, options, error);
    if (!status)
        status = make_hash(file, options, ids, error);
    if (status) {
        ak_vector_file_free(file);
        return status;
    }
    *out = file;
    return AKIN_OK;
}

/* ---- reading ---- */

static akin_status find_row(const ak_vector_file *file, akin_object object, int64_t *row,
                            akin_error *error)
{
    int64_t low = 0, high = ak_vector_file_count(file), n = high;
    char digits[24];
    if (file->names) {
        ak_hash hash = ak_hash_bytes(object.data, object.size);
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (ak_hash_compare(file->names[middle].hash, hash) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        *row = low < n && ak_hash_equal(file->names[low].hash, hash) ? file->names[low].row : -1;
    } else {
        bool fits = object.size < sizeof digits;
        memcpy(digits, object.data, fits ? object.size : 0);
        digits[fits ? object.size : 0] = 0;
        if (!ak_text_to_int(digits, row) || *row >= n)
            *row = -1;
    }
    if (*row >= 0)
        return AKIN_OK;
    int shown = object.size < 60 ? (int)object.size : 60;
    if (file->names)
        return ak_fail(error, AKIN_ERR_FORMAT, "%s has no vector named \"%.*s\"", file->path, shown,
                       (const char *)object.data);
    return ak_fail(error, AKIN_ERR_FORMAT,
                   "\"%.*s\" is no row of %s, whose %lld rows are counted from 0", shown,
                   (const char *)object.data, file->path, (long long)n);
}

akin_status ak_vector_file_read(const ak_vector_file *file, akin_object name, float *out,
                                akin_error *error)
{
    int64_t row, dim = ak_vector_file_dim(file);
    AK_TRY(find_row(file, name, &row, error));
    ak_tensor one = file->rows;
    one.count = dim;
    one.size = (size_t)dim * ak_dtype_size(one.dtype);
    one.data = (const char *)file->rows.data + (size_t)row * one.size;
    ak_tensor_convert(&one, out);
    for (int64_t j = 0; j < dim; j++)
        if (!isfinite(out[j]))
            return ak_fail(error, AKIN_ERR_FORMAT, "%s: row %lld: number %lld is not finite",
                           file->path, (long long)row, (long long)j);
    return AKIN_OK;
}
