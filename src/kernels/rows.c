/* Rows of d floats, one after the other. See reduce.h for the order of sums. */
#include "kernels/reduce.h"

#include "kernels/elementary.h"

#include <math.h>

#define FIRST(x, y) (x)
#define PRODUCT(x, y) ((x) * (y))

static inline __attribute__((always_inline)) void norm_row(const float *x, const float *residual,
                                                           const float *gain, const float *shift,
                                                           float eps, int64_t d, float *y)
{
    for (int64_t j = 0; residual && j < d; j++)
        y[j] = x[j] + residual[j];
    const float *sum = residual ? y : x;
    float mean = AK_REDUCE_SUM(FIRST, sum, sum, d) / (float)d;
    for (int64_t j = 0; j < d; j++)
        y[j] = sum[j] - mean;
    float variance = AK_REDUCE_SUM(PRODUCT, y, y, d) / (float)d;
    float factor = 1.0f / sqrtf(variance + eps);
    if (shift)
        for (int64_t j = 0; j < d; j++)
            y[j] = y[j] * factor * gain[j] + shift[j];
    else
        for (int64_t j = 0; j < d; j++)
            y[j] = y[j] * factor * gain[j];
}

AK_KERNEL void ak_layer_norm(const float *x, const float *residual, const float *gain,
                             const float *shift, float eps, int64_t n, int64_t d, float *y)
{
    for (int64_t i = 0; i < n; i++) {
        const float *other = residual ? residual + i * d : NULL;
        norm_row(x + i * d, other, gain, shift, eps, d, y + i * d);
    }
}

AK_KERNEL void ak_layer_norm_train(const float *x, const float *residual, const float *gain,
                                   const float *shift, float eps, int64_t n, int64_t d,
                                   float *normal, float *factors, float *y)
{
    for (int64_t i = 0; i < n; i++, x += d, normal += d, y += d) {
        for (int64_t j = 0; j < d; j++)
            normal[j] = residual ? x[j] + residual[i * d + j] : x[j];
        float mean = AK_REDUCE_SUM(FIRST, normal, normal, d) / (float)d;
        for (int64_t j = 0; j < d; j++)
            normal[j] -= mean;
        float variance = AK_REDUCE_SUM(PRODUCT, normal, normal, d) / (float)d;
        float factor = factors[i] = 1.0f / sqrtf(variance + eps);
        for (int64_t j = 0; j < d; j++) {
            normal[j] *= factor;
            y[j] = normal[j] * gain[j] + shift[j];
        }
    }
}

AK_KERNEL void ak_layer_norm_backward(const float *normal, const float *factors, const float *gain,
                                      const float *dy, int64_t n, int64_t d, float *dx)
{
    for (int64_t i = 0; i < n; i++, normal += d, dy += d, dx += d) {
        for (int64_t j = 0; j < d; j++)
            dx[j] = dy[j] * gain[j];
        float mean = AK_REDUCE_SUM(FIRST, dx, dx, d) / (float)d;
        float slope = AK_REDUCE_SUM(PRODUCT, dx, normal, d) / (float)d;
        for (int64_t j = 0; j < d; j++)
            dx[j] = factors[i] * (dx[j] - mean - normal[j] * slope);
    }
}

AK_KERNEL void ak_layer_norm_output(const float *normal, const float *gain, const float *shift,
                                    int64_t n, int64_t d, float *y)
{
    for (int64_t i = 0; i < n; i++, normal += d, y += d)
        for (int64_t j = 0; j < d; j++)
            y[j] = normal[j] * gain[j] + shift[j];
}

AK_KERNEL void ak_embed_rows(const float *words, const int32_t *ids, const float *positions,
                             const int32_t *places, const float *type, int64_t n, int64_t d,
                             float *y)
{
    for (int64_t i = 0; i < n; i++, y += d) {
        const float *word = words + (int64_t)ids[i] * d;
        const float *position = positions ? positions + (places ? places[i] : i) * d : NULL;
        memcpy(y, word, (size_t)d * sizeof *y);
        for (int64_t j = 0; type && j < d; j++)
            y[j] += type[j];
        for (int64_t j = 0; position && j < d; j++)
            y[j] += position[j];
    }
}

AK_KERNEL void ak_softmax_rows(float *x, int64_t n, int64_t d, int64_t ld)
{
    for (int64_t i = 0; i < n; i++, x += ld) {
        float largest = ak_maximum(x, d);
        for (int64_t j = 0; j < d; j++)
            x[j] = ak_elementary_weight(x[j] - largest);
        float factor = 1.0f / AK_REDUCE_SUM(FIRST, x, x, d);
        for (int64_t j = 0; j < d; j++)
            x[j] *= factor;
    }
}

AK_KERNEL void ak_normalize_rows(const float *x, int64_t n, int64_t d, float *y)
{
    for (int64_t i = 0; i < n; i++, x += d, y += d) {
        float norm = sqrtf(AK_REDUCE_SUM(PRODUCT, x, x, d));
        float factor = norm == 0 ? 0 : 1.0f / norm;
        for (int64_t j = 0; j < d; j++)
            y[j] = x[j] * factor;
    }
}

AK_KERNEL void ak_mean_rows(const float *x, int64_t n, int64_t d, int64_t ld, float *y)
{
    memset(y, 0, (size_t)d * sizeof *y);
    for (int64_t i = 0; i < n; i++, x += ld)
        for (int64_t j = 0; j < d; j++)
            y[j] += x[j];
    for (int64_t j = 0; j < d; j++)
        y[j] /= (float)n;
}

AK_KERNEL void ak_max_rows(const float *x, int64_t n, int64_t d, int64_t ld, float *y)
{
    memcpy(y, x, (size_t)d * sizeof *y);
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = 0; j < d; j++)
            y[j] = x[i * ld + j] > y[j] ? x[i * ld + j] : y[j];
}
