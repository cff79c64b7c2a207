/* Rows to unit length: x̂ = x / |x|, and dx = (dy - x̂ (x̂ · dy)) / |x|, the part of the gradient
   that is tangent to the sphere. A zero row stays zero and has a zero gradient (PyTorch divides by
   at least 1e-12 there, which makes a gradient of 1e12). */
#include "nn/nn.h"

#include "kernels/kernels.h"

#include <math.h>

enum { PARALLEL_FROM = 1 << 14 };

/* Outside of these a float32 sum of squares has lost digits, or is about to. */
#define SMALL 1e-25f
#define LARGE 1e35f

float ak_row_norm(const float *x, int64_t d)
{
    float sum = ak_dot(x, x, d);
    if (sum > SMALL && sum < LARGE)
        return sqrtf(sum);
    double exact = 0;
    for (int64_t j = 0; j < d; j++)
        exact += (double)x[j] * (double)x[j];
    return (float)sqrt(exact);
}

AK_KERNEL static void divide_row(const float *x, float *y, float norm, int64_t d)
{
    /* The reciprocal of a subnormal norm is infinite. */
    float factor = 1 / norm;
    if (isinf(factor))
        for (int64_t j = 0; j < d; j++)
            y[j] = x[j] / norm;
    else
        for (int64_t j = 0; j < d; j++)
            y[j] = x[j] * factor;
}

void ak_normalize_forward(akin_matrix x, akin_matrix y, float *norms)
{
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < x.rows; i++) {
        const float *row = x.data + i * x.stride;
        float norm = ak_row_norm(row, x.columns);
        if (norms)
            norms[i] = norm;
        divide_row(row, y.data + i * y.stride, norm != 0 ? norm : 1, x.columns);
    }
}

AK_KERNEL static void tangent_row(const float *y, const float *dy, float along, float factor,
                                  float *dx, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        dx[j] += (dy[j] - y[j] * along) * factor;
}

void ak_normalize_backward(akin_matrix y, const float *norms, akin_matrix dy, akin_matrix dx)
{
#pragma omp parallel for schedule(static) if (y.rows * y.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < y.rows; i++) {
        const float *row = y.data + i * y.stride, *drow = dy.data + i * dy.stride;
        if (norms[i] != 0)
            tangent_row(row, drow, ak_dot(row, drow, y.columns), 1 / norms[i],
                        dx.data + i * dx.stride, y.columns);
    }
}
