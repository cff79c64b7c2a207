/* An index as a file: safetensors with

     vectors           F32 [count, dim]   unit rows
     document_offsets  I64 [count + 1]    document i: documents[offset i .. offset i + 1)
     documents         U8  [bytes]

   and __metadata__ {format: "akin index", version: "1", fingerprint, dim, count, model}. */
#include "search/index.h"

#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FORMAT "akin index"
#define VERSION "1"

static akin_status bad(const char *path, akin_error *error, const char *what)
{
    return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "%s", what);
}

/* ---- saving ---- */

static void describe(const akin_index *index, ak_tensor tensors[3])
{
    int64_t bytes = index->starts[index->count];
    tensors[0] = (ak_tensor){.name = "vectors",
                             .dtype = AK_DTYPE_F32,
                             .rank = 2,
                             .shape = {index->count, index->dim},
                             .data = index->vectors};
    tensors[1] = (ak_tensor){.name = "document_offsets",
                             .dtype = AK_DTYPE_I64,
                             .rank = 1,
                             .shape = {index->count + 1},
                             .data = index->starts};
    tensors[2] = (ak_tensor){.name = "documents",
                             .dtype = AK_DTYPE_U8,
                             .rank = 1,
                             .shape = {bytes},
                             .data = index->documents};
}

akin_status akin_index_save(const akin_index *index, const char *path, bool replace,
                            akin_error *error)
{
    ak_path_kind kind = ak_path_what(path);
    if (kind == AK_PATH_FOLDER || (kind == AK_PATH_FILE && !replace))
        return ak_fail_at(error, AKIN_ERR_EXISTS, path, 0, "exists already%s",
                          kind == AK_PATH_FOLDER ? " and is a folder" : "");
    char dim[24], count[24], fingerprint[AK_HASH_HEX];
    snprintf(dim, sizeof dim, "%" PRId64, index->dim);
    snprintf(count, sizeof count, "%" PRId64, index->count);
    ak_hash_to_hex(index->fingerprint, fingerprint);
    const char *metadata[] = {"format",
                              FORMAT,
                              "version",
                              VERSION,
                              "fingerprint",
                              fingerprint,
                              "dim",
                              dim,
                              "count",
                              count,
                              index->model ? "model" : NULL,
                              index->model,
                              NULL};
    ak_tensor tensors[3];
    describe(index, tensors);
    return ak_safetensors_write(path, tensors, 3, metadata, error);
}

/* ---- opening ---- */

static akin_status check_format(const ak_safetensors *file, akin_hash *fingerprint,
                                akin_error *error)
{
    const char *path = ak_safetensors_path(file);
    const char *format = ak_safetensors_metadata(file, "format");
    const char *version = ak_safetensors_metadata(file, "version");
    const char *hex = ak_safetensors_metadata(file, "fingerprint");
    if (!format || strcmp(format, FORMAT))
        return bad(path, error, "a safetensors file, but not an index of akin");
    if (!version || strcmp(version, VERSION))
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, path, 0,
                          "index format version \"%.20s\", this akin reads " VERSION,
                          version ? version : "");
    if (!hex || !ak_hash_from_hex(hex, fingerprint))
        return bad(path, error, "\"fingerprint\" must be 32 hexadecimal digits");
    return AKIN_OK;
}

static akin_status check_number(const ak_safetensors *file, const char *key, int64_t expected,
                                akin_error *error)
{
    const char *text = ak_safetensors_metadata(file, key);
    int64_t number;
    if (!text || !ak_text_to_int(text, &number) || number != expected)
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                          "\"%s\" is \"%.24s\", but the vectors have %" PRId64, key,
                          text ? text : "", expected);
    return AKIN_OK;
}

static akin_status check_starts(const akin_index *index, int64_t bytes, akin_error *error)
{
    const int64_t *starts = index->starts;
    bool fits = starts[0] == 0 && starts[index->count] == bytes;
    for (int64_t i = 0; i < index->count; i++)
        fits &= starts[i] <= starts[i + 1];
    return fits ? AKIN_OK
                : bad(ak_safetensors_path(index->file), error,
                      "\"document_offsets\" do not cut \"documents\" from beginning to end");
}

static akin_status read_index(akin_index *index, akin_error *error)
{
    const ak_safetensors *file = index->file;
    const ak_tensor *vectors, *documents;
    const void *data;
    AK_TRY(check_format(file, &index->fingerprint, error));
    AK_TRY(ak_safetensors_view(&data, &vectors, file, "vectors", AK_DTYPE_F32, 2,
                               (int64_t[]){-1, -1}, error));
    index->vectors = data;
    index->count = vectors->shape[0];
    index->dim = vectors->shape[1];
    if (index->dim < 1)
        return bad(ak_safetensors_path(file), error, "\"vectors\" have no columns");
    AK_TRY(check_number(file, "dim", index->dim, error));
    AK_TRY(check_number(file, "count", index->count, error));
    AK_TRY(ak_safetensors_view(&data, NULL, file, "document_offsets", AK_DTYPE_I64, 1,
                               (int64_t[]){index->count + 1}, error));
    index->starts = data;
    AK_TRY(ak_safetensors_view(&data, &documents, file, "documents", AK_DTYPE_U8, 1,
                               (int64_t[]){-1}, error));
    index->documents = data;
    AK_TRY(check_starts(index, documents->count, error));
    return akin_index_set_model(index, ak_safetensors_metadata(file, "model"), error);
}

akin_status akin_index_open(akin_index **out, const char *path, akin_error *error)
{
    *out = NULL;
    akin_index *index = ak_calloc(1, sizeof *index);
    if (!index)
        return ak_fail_memory(error);
    akin_status status = ak_safetensors_open(&index->file, path, error);
    if (!status)
        status = read_index(index, error);
    if (status)
        akin_index_free(index);
    else
        *out = index;
    return status;
}
