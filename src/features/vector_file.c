/* Files of vectors, written as a stream: .npy (NumPy format 1.0: magic, header length, a Python
   dictionary padded to 64 bytes, little-endian float32 in rows), .safetensors (tensor "vectors" and
   the fingerprint), .jsonl (a list a line). */
#include "features/features.h"

#include "base/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum vector_format { NPY, SAFETENSORS, JSONL } vector_format;

struct akin_vector_writer {
    vector_format format;
    ak_writer *file;
    ak_safetensors_writer *tensors;
    char *path;
    int64_t count, dim, written;
};

static akin_status choose_format(vector_format *out, const char *path, akin_error *error)
{
    static const char *const suffixes[] = {".npy", ".safetensors", ".jsonl"};
    for (int i = 0; i < 3; i++)
        if (ak_path_has_suffix(path, suffixes[i])) {
            *out = (vector_format)i;
            return AKIN_OK;
        }
    return ak_fail(error, AKIN_ERR_ARGUMENT,
                   "%s: vectors are written as .npy, .safetensors or .jsonl", path);
}

static akin_status start_npy(akin_vector_writer *w, akin_error *error)
{
    char header[256];
    int length = snprintf(header + 10, sizeof header - 10,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                          (long long)w->count, (long long)w->dim);
    int total = (10 + length + 1 + 63) / 64 * 64;
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((total - 10) & 0xff);
    header[9] = (char)((total - 10) >> 8);
    memset(header + 10 + length, ' ', (size_t)(total - 10 - length));
    header[total - 1] = '\n';
    return ak_writer_put(w->file, header, (size_t)total, error);
}

static akin_status start_tensors(akin_vector_writer *w, akin_hash fingerprint, akin_error *error)
{
    char hex[AK_HASH_HEX];
    ak_hash_to_hex(fingerprint, hex);
    const char *const metadata[] = {"format", "akin-vectors", "fingerprint", hex, NULL};
    ak_tensor tensor = {
        .name = "vectors", .dtype = AK_DTYPE_F32, .rank = 2, .shape = {w->count, w->dim}};
    return ak_safetensors_create(&w->tensors, w->path, &tensor, 1, metadata, error);
}

static akin_status start(akin_vector_writer *w, akin_hash fingerprint, akin_error *error)
{
    if (w->format == SAFETENSORS)
        return start_tensors(w, fingerprint, error);
    AK_TRY(ak_writer_open(&w->file, w->path, error));
    return w->format == NPY ? start_npy(w, error) : AKIN_OK;
}

akin_status akin_vector_writer_open(akin_vector_writer **out, const char *path, int64_t count,
                                    int64_t dim, akin_hash fingerprint, bool replace,
                                    akin_error *error)
{
    vector_format format = NPY;
    *out = NULL;
    AK_TRY(choose_format(&format, path, error));
    if (!replace && ak_path_what(path) != AK_PATH_NONE)
        return ak_fail(error, AKIN_ERR_EXISTS, "%s exists already", path);
    akin_vector_writer *w = ak_calloc(1, sizeof *w);
    if (!w)
        return ak_fail_memory(error);
    *w =
        (akin_vector_writer){.format = format, .count = count, .dim = dim, .path = ak_strdup(path)};
    akin_status status = w->path ? start(w, fingerprint, error) : ak_fail_memory(error);
    if (status) {
        akin_vector_writer_abort(w);
        return status;
    }
    *out = w;
    return AKIN_OK;
}

static akin_status put_line(akin_vector_writer *w, const float *vector, ak_text *line,
                            akin_error *error)
{
    line->size = 0;
    for (int64_t j = 0; j < w->dim; j++) {
        char number[32] = "null";
        if (isfinite(vector[j]))
            ak_float_to_text(vector[j], number);
        ak_text_printf(line, "%s%s", j ? ", " : "[", number);
    }
    ak_text_add(line, "]\n", 2);
    return line->failed ? ak_fail_memory(error)
                        : ak_writer_put(w->file, line->data, line->size, error);
}

akin_status akin_vector_writer_put(akin_vector_writer *w, const float *vectors, int64_t count,
                                   akin_error *error)
{
    size_t bytes = (size_t)(count * w->dim) * sizeof(float);
    if (w->written + count > w->count)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: more vectors than the %lld announced",
                       w->path, (long long)w->count);
    w->written += count;
    if (w->format == SAFETENSORS)
        return ak_safetensors_put(w->tensors, vectors, bytes, error);
    if (w->format == NPY)
        return ak_writer_put(w->file, vectors, bytes, error);
    ak_text line = {0};
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++)
        status = put_line(w, vectors + i * w->dim, &line, error);
    ak_free(line.data);
    return status;
}

static void drop(akin_vector_writer *w)
{
    ak_free(w->path);
    ak_free(w);
}

akin_status akin_vector_writer_commit(akin_vector_writer *w, akin_error *error)
{
    if (w->written != w->count) {
        ak_fail(error, AKIN_ERR_ARGUMENT, "%s: %lld vectors of %lld announced", w->path,
                (long long)w->written, (long long)w->count);
        akin_vector_writer_abort(w);
        return AKIN_ERR_ARGUMENT;
    }
    akin_status status =
        w->tensors ? ak_safetensors_commit(w->tensors, error) : ak_writer_commit(w->file, error);
    drop(w);
    return status;
}

void akin_vector_writer_abort(akin_vector_writer *w)
{
    if (!w)
        return;
    ak_safetensors_abort(w->tensors);
    if (w->file)
        ak_writer_abort(w->file);
    drop(w);
}
