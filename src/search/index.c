/* The exact index: unit vectors in one array, documents end to end in another; a search is
   ak_topk. */
#include "search/index.h"

#include "kernels/similarity.h"
#include "kernels/topk.h"

#include <inttypes.h>
#include <string.h>

akin_status akin_index_create(akin_index **out, int64_t dim, akin_hash fingerprint,
                              akin_error *error)
{
    *out = NULL;
    if (dim < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "an index needs dim >= 1, not %" PRId64, dim);
    akin_index *index = ak_calloc(1, sizeof *index);
    int64_t *starts = ak_calloc(1, sizeof *starts);
    if (!index || !starts) {
        ak_free(index);
        ak_free(starts);
        return ak_fail_memory(error);
    }
    *index = (akin_index){.dim = dim, .fingerprint = fingerprint, .starts = starts};
    *out = index;
    return AKIN_OK;
}

/* The arrays, which are the file's or our own. */
static void release(akin_index *index)
{
    if (index->file) {
        ak_safetensors_free(index->file);
        index->file = NULL;
        return;
    }
    ak_free((void *)index->vectors);
    ak_free((void *)index->starts);
    ak_free((void *)index->documents);
}

void akin_index_free(akin_index *index)
{
    if (!index)
        return;
    release(index);
    ak_free(index->model);
    ak_free(index);
}

/* ---- adding ---- */

/* The three arrays, copied into room for `rows` and `bytes`. */
static akin_status move_to(akin_index *index, int64_t rows, size_t bytes, akin_error *error)
{
    size_t row = (size_t)index->dim * sizeof(float), size;
    if (__builtin_mul_overflow((size_t)rows, row, &size))
        return ak_fail_memory(error);
    float *vectors = ak_alloc(size);
    int64_t *starts = ak_alloc(((size_t)rows + 1) * sizeof *starts);
    char *documents = ak_alloc(bytes);
    if (!vectors || !starts || !documents) {
        ak_free(vectors);
        ak_free(starts);
        ak_free(documents);
        return ak_fail_memory(error);
    }
    if (index->count)
        memcpy(vectors, index->vectors, (size_t)index->count * row);
    memcpy(starts, index->starts, ((size_t)index->count + 1) * sizeof *starts);
    if (starts[index->count])
        memcpy(documents, index->documents, (size_t)starts[index->count]);
    release(index);
    index->vectors = vectors;
    index->starts = starts;
    index->documents = documents;
    index->capacity = rows;
    index->text_capacity = bytes;
    return AKIN_OK;
}

/* Room for more rows and bytes, doubling; an opened index (capacities 0) always moves. */
static akin_status make_room(akin_index *index, int64_t rows, size_t bytes, akin_error *error)
{
    int64_t capacity = index->capacity;
    size_t text_capacity = index->text_capacity;
    if (!index->file && rows <= capacity && bytes <= text_capacity)
        return AKIN_OK;
    if (rows > capacity)
        capacity = rows > 2 * capacity ? rows : 2 * capacity;
    if (bytes > text_capacity)
        text_capacity = bytes > 2 * text_capacity ? bytes : 2 * text_capacity;
    return move_to(index, capacity, text_capacity, error);
}

/* Bytes of the documents that are there and of `count` more; false when that is beyond int64_t. */
static bool text_size(const akin_index *index, const akin_object *documents, int64_t count,
                      size_t *size)
{
    *size = (size_t)index->starts[index->count];
    for (int64_t i = 0; documents && i < count; i++)
        if (__builtin_add_overflow(*size, documents[i].size, size) || *size > INT64_MAX)
            return false;
    return true;
}

/* A NaN would be nearest to nothing and to everything, by the order of comparisons. */
static akin_status check_finite(const float *vectors, int64_t count, int64_t dim, akin_error *error)
{
    for (int64_t i = 0; i < count; i++) {
        const float *row = vectors + i * dim;
        float zero = 0;
        for (int64_t j = 0; j < dim; j++)
            zero += row[j] - row[j];
        if (zero != 0)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "vector %" PRId64 " of %" PRId64 " has a number that is not finite",
                           i + 1, count);
    }
    return AKIN_OK;
}

akin_status akin_index_add(akin_index *index, const float *vectors, const akin_object *documents,
                           int64_t count, akin_error *error)
{
    size_t bytes;
    if (count < 0)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "cannot add %" PRId64 " vectors", count);
    if (count == 0)
        return AKIN_OK;
    AK_TRY(check_finite(vectors, count, index->dim, error));
    if (!text_size(index, documents, count, &bytes) || count > INT64_MAX / 8 - index->count)
        return ak_fail_memory(error);
    AK_TRY(make_room(index, index->count + count, bytes, error));
    float *rows = (float *)index->vectors + index->count * index->dim;
    int64_t *starts = (int64_t *)index->starts + index->count;
    char *text = (char *)index->documents;
#pragma omp parallel for if (count > 1024)
    for (int64_t i = 0; i < count; i++)
        ak_unit_rows(vectors + i * index->dim, 1, index->dim, index->dim, rows + i * index->dim);
    for (int64_t i = 0; i < count; i++) {
        size_t size = documents ? documents[i].size : 0;
        if (size)
            memcpy(text + starts[i], documents[i].data, size);
        starts[i + 1] = starts[i] + (int64_t)size;
    }
    index->count += count;
    return AKIN_OK;
}

/* ---- reading ---- */

int64_t akin_index_count(const akin_index *index)
{
    return index->count;
}

int64_t akin_index_dim(const akin_index *index)
{
    return index->dim;
}

akin_hash akin_index_fingerprint(const akin_index *index)
{
    return index->fingerprint;
}

akin_object akin_index_document(const akin_index *index, int64_t id)
{
    if (id < 0 || id >= index->count)
        return (akin_object){NULL, 0};
    int64_t start = index->starts[id];
    size_t size = (size_t)(index->starts[id + 1] - start);
    return (akin_object){size ? index->documents + start : "", size};
}

akin_status akin_index_set_model(akin_index *index, const char *path, akin_error *error)
{
    char *copy = path ? ak_strdup(path) : NULL;
    if (path && !copy)
        return ak_fail_memory(error);
    ak_free(index->model);
    index->model = copy;
    return AKIN_OK;
}

const char *akin_index_model(const akin_index *index)
{
    return index->model;
}

akin_status akin_index_search(const akin_index *index, const float *queries, int64_t count,
                              int64_t k, akin_hit *hits, akin_error *error)
{
    if (count < 0 || k < 0)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%" PRId64 " queries and k %" PRId64 ": both must be >= 0", count, k);
    AK_TRY(check_finite(queries, count, index->dim, error));
    enum { AT_ONCE = 4096 }; /* so that a million queries are not copied */
    int64_t most = count < AT_ONCE ? count : AT_ONCE;
    float *units = ak_calloc((size_t)most, (size_t)index->dim * sizeof *units);
    akin_status status = units ? AKIN_OK : ak_fail_memory(error);
    for (int64_t first = 0; !status && first < count; first += AT_ONCE) {
        int64_t rows = count - first < AT_ONCE ? count - first : AT_ONCE;
        ak_unit_rows(queries + first * index->dim, rows, index->dim, index->dim, units);
        status = ak_topk(hits + first * k, units, rows, index->vectors, index->count, index->dim, k,
                         1, error);
    }
    ak_free(units);
    return status;
}
