/* One or two vectors of n floats. See reduce.h for the order of sums. */
#include "kernels/elementary.h"
#include "kernels/reduce.h"

#include <math.h>

#define PRODUCT(x, y) ((x) * (y))
#define FIRST(x, y) (x)

#define SQUARED_DIFFERENCE(x, y) (((x) - (y)) * ((x) - (y)))
#define ABSOLUTE_DIFFERENCE(x, y) ((ak_v16)((ak_v16i)((x) - (y)) & INT32_MAX)) /* no sign bit */

AK_KERNEL float ak_dot(const float *x, const float *y, int64_t n)
{
    return AK_REDUCE_SUM(PRODUCT, x, y, n);
}

AK_KERNEL float ak_squared_distance(const float *x, const float *y, int64_t n)
{
    return AK_REDUCE_SUM(SQUARED_DIFFERENCE, x, y, n);
}

AK_KERNEL float ak_manhattan_distance(const float *x, const float *y, int64_t n)
{
    return AK_REDUCE_SUM(ABSOLUTE_DIFFERENCE, x, y, n);
}

AK_KERNEL float ak_sum(const float *x, int64_t n)
{
    return AK_REDUCE_SUM(FIRST, x, x, n);
}

AK_KERNEL float ak_maximum(const float *x, int64_t n)
{
    float lanes[16], largest = -INFINITY;
    for (int l = 0; l < 16; l++)
        lanes[l] = -INFINITY;
    int64_t whole = n & ~(int64_t)15;
    for (int64_t i = 0; i < whole; i += 16)
        for (int l = 0; l < 16; l++)
            lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (int l = 0; l < 16; l++)
        largest = lanes[l] > largest ? lanes[l] : largest;
    for (int64_t i = whole; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

AK_KERNEL void ak_add_scaled(float alpha, const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

AK_KERNEL void ak_scale(float alpha, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= alpha;
}

AK_KERNEL void ak_exp(const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = ak_elementary_exp(x[i]);
}

AK_KERNEL float ak_log_sum_exp(const float *x, int64_t n)
{
    float largest = ak_maximum(x, n), part[64];
    if (isinf(largest)) /* all -inf, none, or one +inf */
        return largest;
    double sum = 0;
    for (int64_t i = 0; i < n; i += 64) {
        int64_t count = n - i < 64 ? n - i : 64;
        for (int64_t j = 0; j < count; j++)
            part[j] = ak_elementary_weight(x[i + j] - largest);
        sum += (double)ak_sum(part, count);
    }
    return largest + (float)log(sum);
}

AK_KERNEL void ak_activate(ak_activation activation, const float *x, float *y, int64_t n)
{
#define AK_EACH(VALUE)                                                                             \
    for (int64_t i = 0; i < n; i++)                                                                \
        y[i] = (VALUE);                                                                            \
    break
    switch (activation) {
    case AK_NO_ACTIVATION:
        AK_EACH(x[i]);
    case AK_GELU:
        AK_EACH(ak_elementary_gelu(x[i]));
    case AK_GELU_TANH:
        AK_EACH(ak_elementary_gelu_tanh(x[i]));
    case AK_RELU:
        AK_EACH(x[i] < 0 ? 0 : x[i]);
    case AK_SILU:
        AK_EACH(x[i] * ak_elementary_sigmoid(x[i]));
    case AK_TANH:
        AK_EACH(ak_elementary_tanh(x[i]));
    case AK_SIGMOID:
        AK_EACH(ak_elementary_sigmoid(x[i]));
    }
#undef AK_EACH
}

AK_ELEMENTARY gelu_slope(float x)
{
    float density = 0.39894228f * ak_elementary_exp(-0.5f * x * x);
    return 0.5f * (1.0f + ak_elementary_erf(x * 0.70710678f)) + x * density;
}

/* Beyond 5.2 the slope is 0 or 1; there the last bit of t would be multiplied by the cube of x. */
AK_ELEMENTARY gelu_tanh_slope(float x)
{
    x = ak_clamp(x, -5.2f, 5.2f);
    float t = ak_elementary_tanh(ak_gelu_tanh_argument(x));
    float slope = 0.79788456f * (1.0f + 0.134145f * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * slope;
}

AK_ELEMENTARY silu_slope(float x)
{
    float s = ak_elementary_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

AK_ELEMENTARY tanh_slope(float x)
{
    float t = ak_elementary_tanh(x);
    return 1.0f - t * t;
}

AK_ELEMENTARY sigmoid_slope(float x)
{
    float s = ak_elementary_sigmoid(x);
    return s * (1.0f - s);
}

AK_KERNEL void ak_activate_backward(ak_activation activation, const float *x, const float *dy,
                                    float *dx, int64_t n)
{
#define AK_EACH(SLOPE)                                                                             \
    for (int64_t i = 0; i < n; i++)                                                                \
        dx[i] = dy[i] * (SLOPE);                                                                   \
    break
    switch (activation) {
    case AK_NO_ACTIVATION:
        AK_EACH(1.0f);
    case AK_GELU:
        AK_EACH(gelu_slope(x[i]));
    case AK_GELU_TANH:
        AK_EACH(gelu_tanh_slope(x[i]));
    case AK_RELU:
        AK_EACH(x[i] > 0 ? 1.0f : 0.0f);
    case AK_SILU:
        AK_EACH(silu_slope(x[i]));
    case AK_TANH:
        AK_EACH(tanh_slope(x[i]));
    case AK_SIGMOID:
        AK_EACH(sigmoid_slope(x[i]));
    }
#undef AK_EACH
}
