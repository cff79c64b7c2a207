#include "features/row.h"

#include "base/dispatch.h"

#include <math.h>
#include <string.h>

#define LEVELS 127

static const char *const names[] = {"f32", "bf16", "int8"};

const char *ak_row_name(akin_cache_precision precision)
{
    return names[precision];
}

bool ak_row_parse(const char *name, akin_cache_precision *precision)
{
    for (int p = AKIN_CACHE_F32; p <= AKIN_CACHE_INT8; p++)
        if (strcmp(name, names[p]) == 0) {
            *precision = (akin_cache_precision)p;
            return true;
        }
    return false;
}

size_t ak_row_size(akin_cache_precision precision, int64_t dim)
{
    size_t n = (size_t)dim;
    if (precision == AKIN_CACHE_F32)
        return n * sizeof(float);
    return precision == AKIN_CACHE_BF16 ? n * sizeof(uint16_t)
                                        : sizeof(float) + (n + sizeof(float) - 1) / 4 * 4;
}

/* NaN where a number is not finite. */
static float largest(const float *x, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return NAN;
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    }
    return most;
}

AK_KERNEL static void quantize(const float *x, int64_t n, float inverse, int8_t *q)
{
    for (int64_t i = 0; i < n; i++)
        q[i] = (int8_t)(int32_t)rintf(x[i] * inverse);
}

AK_KERNEL static void dequantize(const int8_t *q, int64_t n, float scale, float *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * (float)q[i];
}

static void encode_int8(const float *x, int64_t dim, char *row)
{
    float most = largest(x, dim), scale = most / LEVELS;
    memset(row, 0, ak_row_size(AKIN_CACHE_INT8, dim));
    memcpy(row, &scale, sizeof scale);
    if (scale > 0) /* most / scale might round to 127.5 where scale is subnormal */
        quantize(x, dim, scale >= 0x1p-126f ? LEVELS / most : 0, (int8_t *)(row + sizeof scale));
}

void ak_row_encode(akin_cache_precision precision, const float *x, int64_t dim, void *row)
{
    if (precision == AKIN_CACHE_F32)
        memcpy(row, x, (size_t)dim * sizeof *x);
    else if (precision == AKIN_CACHE_BF16)
        ak_bf16_from(x, row, dim);
    else
        encode_int8(x, dim, row);
}

void ak_row_decode(akin_cache_precision precision, const void *row, int64_t dim, float *x)
{
    float scale;
    if (precision == AKIN_CACHE_F32) {
        memcpy(x, row, (size_t)dim * sizeof *x);
    } else if (precision == AKIN_CACHE_BF16) {
        ak_bf16_to(row, x, dim);
    } else {
        memcpy(&scale, row, sizeof scale);
        dequantize((const int8_t *)row + sizeof scale, dim, scale, x);
    }
}
