/* Element types of safetensors, and their conversion to float32. */
#include "base/dispatch.h"
#include "base/safetensors.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is mapped as it lies in the file: little-endian processors only"
#endif

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [AK_DTYPE_F64] = {"F64", 8},   [AK_DTYPE_F32] = {"F32", 4}, [AK_DTYPE_F16] = {"F16", 2},
    [AK_DTYPE_BF16] = {"BF16", 2}, [AK_DTYPE_I64] = {"I64", 8}, [AK_DTYPE_I32] = {"I32", 4},
    [AK_DTYPE_I8] = {"I8", 1},     [AK_DTYPE_U64] = {"U64", 8}, [AK_DTYPE_U8] = {"U8", 1},
    [AK_DTYPE_BOOL] = {"BOOL", 1},
};

const char *ak_dtype_name(ak_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t ak_dtype_size(ak_dtype dtype)
{
    return dtypes[dtype].size;
}

/* IEEE half to single: exponent and mantissa are shifted into place and the exponent's bias is put
   right by one multiplication, which is exact for subnormal halves too; infinity and NaN (exponent
   all ones) keep all ones. (F. Giesen, half_to_float_fast5.) */
static inline float half_to_float(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float magnitude;
    memcpy(&magnitude, &bits, sizeof magnitude);
    magnitude *= 0x1p112f;
    memcpy(&bits, &magnitude, sizeof bits);
    bits |= (half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0;
    bits |= (uint32_t)(half & 0x8000) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Elements are read by memcpy: a tensor may start at any byte. */
AK_KERNEL static void from_f16(const char *data, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * i, sizeof half);
        out[i] = half_to_float(half);
    }
}

AK_KERNEL static void from_bf16(const char *data, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t high;
        memcpy(&high, data + 2 * i, sizeof high);
        uint32_t bits = (uint32_t)high << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

AK_KERNEL static void from_f64(const char *data, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double number;
        memcpy(&number, data + 8 * i, sizeof number);
        out[i] = (float)number;
    }
}

bool ak_tensor_convert(const ak_tensor *tensor, float *out)
{
    switch (tensor->dtype) {
    case AK_DTYPE_F32:
        memcpy(out, tensor->data, tensor->size);
        return true;
    case AK_DTYPE_F16:
        from_f16(tensor->data, out, tensor->count);
        return true;
    case AK_DTYPE_BF16:
        from_bf16(tensor->data, out, tensor->count);
        return true;
    case AK_DTYPE_F64:
        from_f64(tensor->data, out, tensor->count);
        return true;
    default:
        return false;
    }
}

void ak_tensor_replace(ak_tensor *tensor, const float *values)
{
    tensor->dtype = AK_DTYPE_F32;
    tensor->size = (size_t)tensor->count * sizeof *values;
    tensor->data = values;
}

bool ak_tensor_holds(const ak_tensor *tensor, const float *values)
{
    float part[1024];
    const size_t width = ak_dtype_size(tensor->dtype);
    for (int64_t i = 0; i < tensor->count; i += 1024) {
        ak_tensor piece = {.dtype = tensor->dtype,
                           .count = tensor->count - i < 1024 ? tensor->count - i : 1024,
                           .data = (const char *)tensor->data + (size_t)i * width};
        piece.size = (size_t)piece.count * width;
        if (!ak_tensor_convert(&piece, part) ||
            memcmp(part, values + i, (size_t)piece.count * sizeof *part) != 0)
            return false;
    }
    return true;
}
