/* Writing safetensors files: the header first, then the data as a stream, so that a file larger
   than memory can be written; the file appears whole at commit. */
#include "base/file.h"
#include "base/safetensors.h"

#include <inttypes.h>
#include <string.h>

#define DATA_ALIGNMENT 64

struct ak_safetensors_writer {
    ak_writer *file;
    char *path;
    size_t size, written; /* of the data */
};

void ak_safetensors_abort(ak_safetensors_writer *writer)
{
    if (!writer)
        return;
    if (writer->file)
        ak_writer_abort(writer->file);
    ak_free(writer->path);
    ak_free(writer);
}

static bool tensor_bytes(const ak_tensor *tensor, size_t *size)
{
    *size = ak_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0 || __builtin_mul_overflow(*size, (size_t)tensor->shape[i], size) ||
            *size > INT64_MAX)
            return false;
    }
    return true;
}

static void add_tensor(akin_arena *arena, ak_value *header, const ak_tensor *tensor, size_t begin,
                       size_t end, bool *failed)
{
    ak_value *row = ak_value_add(arena, header, tensor->name, AK_MAP);
    ak_value *last = ak_value_add_string(arena, row, "dtype", ak_dtype_name(tensor->dtype));
    ak_value *shape = ak_value_add(arena, row, "shape", AK_LIST);
    *failed |= !last || !shape;
    for (int i = 0; i < tensor->rank; i++)
        *failed |= !ak_value_add_int(arena, shape, NULL, tensor->shape[i]);
    ak_value *offsets = ak_value_add(arena, row, "data_offsets", AK_LIST);
    *failed |= !ak_value_add_int(arena, offsets, NULL, (int64_t)begin);
    *failed |= !ak_value_add_int(arena, offsets, NULL, (int64_t)end);
}

/* The header's tree; *size becomes the bytes of data that follow. */
static akin_status build_header(ak_value **out, akin_arena *arena, const char *path,
                                const ak_tensor *tensors, int64_t count,
                                const char *const *metadata, size_t *size, akin_error *error)
{
    ak_value *header = ak_value_new_map(arena);
    bool failed = !header;
    if (metadata && *metadata) {
        ak_value *map = ak_value_add(arena, header, "__metadata__", AK_MAP);
        for (; *metadata; metadata += 2)
            failed |= !ak_value_add_string(arena, map, metadata[0], metadata[1]);
    }
    *size = 0;
    for (int64_t i = 0; i < count; i++) {
        size_t bytes, end;
        if (!tensor_bytes(tensors + i, &bytes) || __builtin_add_overflow(*size, bytes, &end))
            return ak_fail_at(error, AKIN_ERR_ARGUMENT, path, 0,
                              "the shape of tensor \"%.80s\" is negative or overflows",
                              tensors[i].name);
        add_tensor(arena, header, tensors + i, *size, end, &failed);
        *size = end;
    }
    *out = header;
    return failed ? ak_fail_memory(error) : AKIN_OK;
}

/* What stands before the data: length, JSON, spaces up to the alignment. Free *out. */
static akin_status header_bytes(char **out, size_t *size, const ak_value *header, akin_error *error)
{
    char *text = ak_json_write(header, 0);
    if (!text)
        return ak_fail_memory(error);
    size_t length = strlen(text);
    *size = (8 + length + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    uint64_t total = *size - 8;
    *out = ak_alloc(*size);
    if (*out) {
        memcpy(*out, &total, sizeof total);
        memcpy(*out + 8, text, length);
        memset(*out + 8 + length, ' ', *size - 8 - length);
    }
    ak_free(text);
    return *out ? AKIN_OK : ak_fail_memory(error);
}

static akin_status put_header(ak_writer *file, const ak_value *header, akin_error *error)
{
    char *bytes;
    size_t size;
    AK_TRY(header_bytes(&bytes, &size, header, error));
    akin_status status = ak_writer_put(file, bytes, size, error);
    ak_free(bytes);
    return status;
}

akin_status ak_safetensors_create(ak_safetensors_writer **out, const char *path,
                                  const ak_tensor *tensors, int64_t count,
                                  const char *const *metadata, akin_error *error)
{
    *out = NULL;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_safetensors_writer *writer = ak_calloc(1, sizeof *writer);
    if (writer)
        writer->path = ak_strdup(path);
    akin_status status = writer && writer->path ? AKIN_OK : ak_fail_memory(error);
    ak_value *header = NULL;
    if (!status)
        status = build_header(&header, arena, path, tensors, count, metadata, &writer->size, error);
    if (!status)
        status = ak_writer_open(&writer->file, path, error);
    if (!status)
        status = put_header(writer->file, header, error);
    ak_arena_free(arena);
    if (status)
        ak_safetensors_abort(writer);
    else
        *out = writer;
    return status;
}

akin_status ak_safetensors_put(ak_safetensors_writer *writer, const void *data, size_t size,
                               akin_error *error)
{
    if (size > writer->size - writer->written)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, writer->path, 0,
                          "more bytes than the %zu of the declared tensors", writer->size);
    AK_TRY(ak_writer_put(writer->file, data, size, error));
    writer->written += size;
    return AKIN_OK;
}

akin_status ak_safetensors_commit(ak_safetensors_writer *writer, akin_error *error)
{
    akin_status status = AKIN_OK;
    if (writer->written != writer->size) {
        status = ak_fail_at(error, AKIN_ERR_ARGUMENT, writer->path, 0,
                            "%zu bytes written, the declared tensors have %zu", writer->written,
                            writer->size);
    } else {
        status = ak_writer_commit(writer->file, error);
        writer->file = NULL;
    }
    ak_safetensors_abort(writer);
    return status;
}

akin_status ak_safetensors_write(const char *path, const ak_tensor *tensors, int64_t count,
                                 const char *const *metadata, akin_error *error)
{
    ak_safetensors_writer *writer;
    AK_TRY(ak_safetensors_create(&writer, path, tensors, count, metadata, error));
    for (int64_t i = 0; i < count; i++) {
        size_t size;
        tensor_bytes(tensors + i, &size);
        akin_status status = ak_safetensors_put(writer, tensors[i].data, size, error);
        if (status) {
            ak_safetensors_abort(writer);
            return status;
        }
    }
    return ak_safetensors_commit(writer, error);
}

akin_status ak_safetensors_hash(ak_hash *out, const ak_tensor *tensors, int64_t count,
                                const char *const *metadata, akin_error *error)
{
    akin_arena *arena;
    ak_value *header = NULL;
    ak_hasher *hasher = NULL;
    char *bytes = NULL;
    size_t size;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status =
        build_header(&header, arena, "tensors", tensors, count, metadata, &size, error);
    if (!status)
        status = header_bytes(&bytes, &size, header, error);
    if (!status)
        status = ak_hasher_create(&hasher, error);
    if (!status)
        ak_hasher_put(hasher, bytes, size);
    for (int64_t i = 0; i < count && !status; i++) {
        tensor_bytes(tensors + i, &size);
        ak_hasher_put(hasher, tensors[i].data, size);
    }
    *out = ak_hasher_end(hasher);
    ak_free(bytes);
    ak_arena_free(arena);
    return status;
}
