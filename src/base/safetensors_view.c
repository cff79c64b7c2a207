/* Tensors as the caller expects them: by name, shape and type, with errors that tell both sides. */
#include "base/safetensors.h"

#include "base/dispatch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* "[384, *]"; a size of -1 prints as *. */
static void shape_text(char *out, size_t size, int rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < rank && used < size; i++) {
        const char *comma = i ? ", " : "";
        if (shape[i] < 0)
            used += (size_t)snprintf(out + used, size - used, "%s*", comma);
        else
            used += (size_t)snprintf(out + used, size - used, "%s%" PRId64, comma, shape[i]);
    }
    if (used < size)
        snprintf(out + used, size - used, "]");
}

static bool shape_fits(const ak_tensor *tensor, int rank, const int64_t *shape)
{
    if (tensor->rank != rank)
        return false;
    for (int i = 0; i < rank; i++) {
        if (shape[i] >= 0 && shape[i] != tensor->shape[i])
            return false;
    }
    return true;
}

akin_status ak_safetensors_expect(const ak_tensor **out, const ak_safetensors *file,
                                  const char *name, int rank, const int64_t *shape,
                                  akin_error *error)
{
    *out = NULL;
    const ak_tensor *tensor = ak_safetensors_find(file, name);
    if (!tensor)
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                          "has no tensor \"%.80s\"", name);
    if (!shape_fits(tensor, rank, shape)) {
        char expected[128], found[128];
        shape_text(expected, sizeof expected, rank, shape);
        shape_text(found, sizeof found, tensor->rank, tensor->shape);
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                          "tensor \"%.80s\" has shape %s, expected %s", name, found, expected);
    }
    *out = tensor;
    return AKIN_OK;
}

static bool aligned(const ak_tensor *tensor)
{
    return (uintptr_t)tensor->data % ak_dtype_size(tensor->dtype) == 0;
}

akin_status ak_safetensors_view(const void **data, const ak_tensor **tensor,
                                const ak_safetensors *file, const char *name, ak_dtype dtype,
                                int rank, const int64_t *shape, akin_error *error)
{
    *data = NULL;
    const ak_tensor *found;
    AK_TRY(ak_safetensors_expect(&found, file, name, rank, shape, error));
    if (found->dtype != dtype)
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                          "tensor \"%.80s\" has dtype %s, expected %s", name,
                          ak_dtype_name(found->dtype), ak_dtype_name(dtype));
    if (!aligned(found))
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                          "tensor \"%.80s\" does not start at a multiple of its %zu-byte elements",
                          name, ak_dtype_size(dtype));
    *data = found->data;
    if (tensor)
        *tensor = found;
    return AKIN_OK;
}

akin_status ak_tensor_floats(const float **out, const ak_safetensors *file, const ak_tensor *tensor,
                             akin_arena *arena, akin_error *error)
{
    *out = NULL;
    if (tensor->dtype == AK_DTYPE_F32 && aligned(tensor)) {
        *out = tensor->data;
        return AKIN_OK;
    }
    if (tensor->dtype > AK_DTYPE_BF16)
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                          "tensor \"%.80s\" has dtype %s, expected F32, F16, BF16 or F64",
                          tensor->name, ak_dtype_name(tensor->dtype));
    float *copy = ak_arena_new(arena, float, tensor->count);
    if (!copy)
        return ak_fail_memory(error);
    ak_tensor_convert(tensor, copy);
    *out = copy;
    return AKIN_OK;
}

/* Exponents of ones only. */
AK_KERNEL static uint32_t any_not_finite(const float *values, int64_t n)
{
    uint32_t any = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        any |= (bits & 0x7F800000) == 0x7F800000;
    }
    return any;
}

akin_status ak_tensor_check_finite(const char *path, const char *name, const float *values,
                                   int64_t count, akin_error *error)
{
    int64_t i = 0;
    if (!any_not_finite(values, count))
        return AKIN_OK;
    while (isfinite(values[i]))
        i++;
    return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0,
                      "tensor \"%.80s\" holds %s (its number %" PRId64 "): the file is damaged, or "
                      "what was saved had diverged",
                      name, isnan(values[i]) ? "nan" : "an infinity", i);
}
