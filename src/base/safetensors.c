/* Reading safetensors files (format: safetensors.h). Nothing of the header is believed: every
   offset is checked against the file, every shape against its bytes. */
#include "base/safetensors.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The reference implementation's limit, against headers that are really something else. */
#define HEADER_LIMIT 100000000u

struct ak_safetensors {
    char *path;
    ak_map map; /* data NULL when parsed from memory */
    akin_arena *arena;
    int64_t count;
    ak_tensor *tensors;       /* by offset */
    const ak_tensor **named;  /* by name */
    const ak_value *metadata; /* of texts, or NULL */
};

void ak_safetensors_forget(const ak_safetensors *file)
{
    ak_map_forget(&file->map);
}

void ak_safetensors_free(ak_safetensors *file)
{
    if (!file)
        return;
    if (file->map.data)
        ak_map_close(&file->map);
    ak_arena_free(file->arena);
    ak_free(file->path);
    ak_free(file);
}

static akin_status bad(const ak_safetensors *file, akin_error *error, const char *name,
                       const char *what)
{
    return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0, "tensor \"%.80s\": %s", name, what);
}

static bool parse_dtype(const ak_value *value, ak_dtype *out)
{
    for (int d = 0; value && value->kind == AK_STRING && d <= AK_DTYPE_BOOL; d++) {
        if (!strcmp(value->string, ak_dtype_name((ak_dtype)d))) {
            *out = (ak_dtype)d;
            return true;
        }
    }
    return false;
}

/* Fills rank, shape, count and size; the products must not overflow. */
static akin_status parse_shape(const ak_safetensors *file, const ak_value *value, ak_tensor *tensor,
                               akin_error *error)
{
    if (!value || value->kind != AK_LIST)
        return bad(file, error, tensor->name, "\"shape\" must be a list of numbers");
    if (value->count > AK_TENSOR_RANK)
        return bad(file, error, tensor->name, "\"shape\" has more than 8 dimensions");
    tensor->count = 1;
    for (const ak_value *v = value->first; v; v = v->next) {
        if (v->kind != AK_INT || v->integer < 0)
            return bad(file, error, tensor->name, "\"shape\" must hold whole numbers >= 0");
        tensor->shape[tensor->rank++] = v->integer;
        if (__builtin_mul_overflow(tensor->count, v->integer, &tensor->count))
            return bad(file, error, tensor->name, "\"shape\" overflows 63 bits");
    }
    if (__builtin_mul_overflow((size_t)tensor->count, ak_dtype_size(tensor->dtype), &tensor->size))
        return bad(file, error, tensor->name, "\"shape\" overflows 64 bits of bytes");
    return AKIN_OK;
}

static akin_status parse_offsets(const ak_safetensors *file, const ak_value *value,
                                 const char *data, size_t size, ak_tensor *tensor,
                                 akin_error *error)
{
    if (!value || value->kind != AK_LIST || value->count != 2 || value->first->kind != AK_INT ||
        value->last->kind != AK_INT)
        return bad(file, error, tensor->name, "\"data_offsets\" must be two whole numbers");
    int64_t begin = value->first->integer, end = value->last->integer;
    if (begin < 0 || end < begin || (uint64_t)end > size)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0,
                          "tensor \"%.80s\": data_offsets [%" PRId64 ", %" PRId64
                          "] must lie in the %zu bytes of data: the file is damaged or truncated",
                          tensor->name, begin, end, size);
    if ((size_t)(end - begin) != tensor->size)
        return ak_fail_at(
            error, AKIN_ERR_FORMAT, file->path, 0,
            "tensor \"%.80s\": shape and type need %zu bytes, data_offsets hold %" PRId64,
            tensor->name, tensor->size, end - begin);
    tensor->data = data + begin;
    return AKIN_OK;
}

static akin_status parse_tensor(const ak_safetensors *file, const ak_value *value, const char *data,
                                size_t size, ak_tensor *tensor, akin_error *error)
{
    *tensor = (ak_tensor){.name = value->key};
    if (value->kind != AK_MAP)
        return bad(file, error, tensor->name, "must be {\"dtype\", \"shape\", \"data_offsets\"}");
    const ak_value *dtype = ak_value_get(value, "dtype");
    if (!parse_dtype(dtype, &tensor->dtype))
        return ak_fail_at(
            error, AKIN_ERR_FORMAT, file->path, 0,
            "tensor \"%.80s\": dtype \"%.20s\" is not one of F64, F32, F16, BF16, I64, "
            "I32, I8, U64, U8, BOOL",
            tensor->name, dtype && dtype->kind == AK_STRING ? dtype->string : "");
    AK_TRY(parse_shape(file, ak_value_get(value, "shape"), tensor, error));
    return parse_offsets(file, ak_value_get(value, "data_offsets"), data, size, tensor, error);
}

static akin_status parse_metadata(ak_safetensors *file, const ak_value *map, akin_error *error)
{
    if (map->kind != AK_MAP)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0, "__metadata__ must be a map");
    for (const ak_value *v = map->first; v; v = v->next) {
        if (v->kind != AK_STRING)
            return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0,
                              "__metadata__: \"%.80s\" must be a text, is %s", v->key,
                              ak_value_kind_name(v->kind));
    }
    file->metadata = map;
    return AKIN_OK;
}

/* Empty tensors share their offset with a neighbour: the one that ends first comes first. */
static int by_offset(const void *a, const void *b)
{
    const ak_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ak_tensor *const *)a)->name, (*(const ak_tensor *const *)b)->name);
}

static akin_status check_layout(const ak_safetensors *file, const char *data, size_t size,
                                akin_error *error)
{
    const char *end = data;
    for (int64_t i = 0; i < file->count; i++) {
        const ak_tensor *tensor = file->tensors + i;
        if ((const char *)tensor->data < end)
            return bad(file, error, tensor->name, "data_offsets overlap another tensor's");
        if ((const char *)tensor->data > end)
            return bad(file, error, tensor->name, "data_offsets leave a hole before it");
        end += tensor->size;
    }
    size_t left = size - (size_t)(end - data);
    if (left)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0,
                          "%zu bytes after the last tensor belong to none", left);
    return AKIN_OK;
}

static akin_status index_names(ak_safetensors *file, akin_error *error)
{
    file->named = ak_arena_new(file->arena, const ak_tensor *, file->count);
    if (!file->named)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < file->count; i++)
        file->named[i] = file->tensors + i;
    if (file->count)
        qsort(file->named, (size_t)file->count, sizeof *file->named, by_name);
    for (int64_t i = 1; i < file->count; i++) {
        if (!strcmp(file->named[i - 1]->name, file->named[i]->name))
            return bad(file, error, file->named[i]->name, "occurs twice");
    }
    return AKIN_OK;
}

static akin_status parse_header(ak_safetensors *file, const char *text, size_t length,
                                const char *data, size_t size, akin_error *error)
{
    const char *place = ak_arena_format(file->arena, "%s: header", file->path);
    if (!place)
        return ak_fail_memory(error);
    ak_value *header;
    AK_TRY(ak_json_parse(&header, file->arena, text, length, place, error));
    if (header->kind != AK_MAP)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0, "header must be a map, is %s",
                          ak_value_kind_name(header->kind));
    file->tensors = ak_arena_new(file->arena, ak_tensor, header->count);
    if (!file->tensors)
        return ak_fail_memory(error);
    for (const ak_value *v = header->first; v; v = v->next) {
        if (!strcmp(v->key, "__metadata__"))
            AK_TRY(parse_metadata(file, v, error));
        else
            AK_TRY(parse_tensor(file, v, data, size, file->tensors + file->count++, error));
    }
    if (file->count)
        qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, by_offset);
    AK_TRY(check_layout(file, data, size, error));
    return index_names(file, error);
}

static akin_status parse_bytes(ak_safetensors *file, const char *bytes, size_t size,
                               akin_error *error)
{
    if (size < 8)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0,
                          "%zu bytes are too few for a safetensors file", size);
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    if (length > size - 8)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0,
                          "header of %" PRIu64
                          " bytes goes beyond the file's %zu: not a safetensors "
                          "file, or truncated",
                          length, size);
    if (length > HEADER_LIMIT)
        return ak_fail_at(error, AKIN_ERR_FORMAT, file->path, 0,
                          "header of %" PRIu64 " bytes is above the limit of %u", length,
                          HEADER_LIMIT);
    const char *data = bytes + 8 + length;
    return parse_header(file, bytes + 8, (size_t)length, data, size - 8 - (size_t)length, error);
}

static akin_status new_file(ak_safetensors **out, const char *path, akin_error *error)
{
    ak_safetensors *file = ak_calloc(1, sizeof *file);
    if (!file)
        return ak_fail_memory(error);
    file->path = ak_strdup(path);
    if (!file->path || ak_arena_create(&file->arena, error)) {
        ak_safetensors_free(file);
        return ak_fail_memory(error);
    }
    *out = file;
    return AKIN_OK;
}

akin_status ak_safetensors_parse(ak_safetensors **out, const void *data, size_t size,
                                 const char *name, akin_error *error)
{
    *out = NULL;
    ak_safetensors *file = NULL;
    AK_TRY(new_file(&file, name, error));
    akin_status status = parse_bytes(file, data, size, error);
    if (status)
        ak_safetensors_free(file);
    else
        *out = file;
    return status;
}

akin_status ak_safetensors_open(ak_safetensors **out, const char *path, akin_error *error)
{
    *out = NULL;
    ak_safetensors *file = NULL;
    AK_TRY(new_file(&file, path, error));
    akin_status status = ak_map_open(&file->map, path, error);
    if (status)
        file->map = (ak_map){NULL, 0};
    else
        status = parse_bytes(file, file->map.data, file->map.size, error);
    if (status)
        ak_safetensors_free(file);
    else
        *out = file;
    return status;
}

const char *ak_safetensors_path(const ak_safetensors *file)
{
    return file->path;
}

int64_t ak_safetensors_count(const ak_safetensors *file)
{
    return file->count;
}

const ak_tensor *ak_safetensors_at(const ak_safetensors *file, int64_t number)
{
    return file->tensors + number;
}

const ak_tensor *ak_safetensors_find(const ak_safetensors *file, const char *name)
{
    if (!file->count)
        return NULL;
    ak_tensor probe = {.name = name};
    const ak_tensor *key = &probe;
    const ak_tensor **found =
        bsearch(&key, file->named, (size_t)file->count, sizeof *file->named, by_name);
    return found ? *found : NULL;
}

const char *ak_safetensors_metadata(const ak_safetensors *file, const char *key)
{
    return ak_value_get_string(file->metadata, key, NULL);
}

const ak_value *ak_safetensors_metadata_map(const ak_safetensors *file)
{
    return file->metadata;
}
