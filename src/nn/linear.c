/* Linear layer: y = x W^T + b, W out x in as in PyTorch; and the residual that closes a layer. */
#include "nn/nn.h"

#include "kernels/kernels.h"

#include <string.h>

enum { PARALLEL_FROM = 1 << 15 };

AK_KERNEL static void add_row(const float *x, float *y, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] += x[j];
}

static void add_bias(akin_matrix y, const float *bias)
{
#pragma omp parallel for schedule(static) if (y.rows * y.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < y.rows; i++)
        add_row(bias, y.data + i * y.stride, y.columns);
}

void ak_linear_forward(akin_matrix x, const float *weight, const float *bias, akin_matrix y,
                       akin_precision precision)
{
    if (!x.rows)
        return;
    ak_gemm(precision, AK_PLAIN, AK_TRANSPOSED, x.rows, y.columns, x.columns, 1, x.data, x.stride,
            weight, x.columns, 0, y.data, y.stride);
    if (bias)
        add_bias(y, bias);
}

void ak_linear_backward(akin_matrix x, const float *weight, akin_matrix dy, float *dweight,
                        float *dbias, akin_matrix dx, akin_precision precision)
{
    int64_t n = x.rows, in = x.columns, out = dy.columns;
    if (!n)
        return;
    if (dweight)
        ak_gemm(precision, AK_TRANSPOSED, AK_PLAIN, out, in, n, 1, dy.data, dy.stride, x.data,
                x.stride, 1, dweight, in);
    if (dbias)
        ak_column_sums(dy, dbias);
    if (dx.data)
        ak_gemm(precision, AK_PLAIN, AK_PLAIN, n, in, out, 1, dy.data, dy.stride, weight, in, 0,
                dx.data, dx.stride);
}

AK_KERNEL static void residual_row(const float *bias, const float *gate, const float *x, float *y,
                                   int64_t d)
{
    if (bias && gate)
        for (int64_t j = 0; j < d; j++)
            y[j] = (y[j] + bias[j]) * gate[j] + x[j];
    else if (bias)
        for (int64_t j = 0; j < d; j++)
            y[j] = (y[j] + bias[j]) + x[j];
    else
        for (int64_t j = 0; j < d; j++)
            y[j] += x[j];
}

void ak_residual(akin_matrix y, const float *bias, const float *gate, akin_matrix x)
{
#pragma omp parallel for schedule(static) if (y.rows * y.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < y.rows; i++)
        residual_row(bias, gate, x.data + i * x.stride, y.data + i * y.stride, y.columns);
}

void ak_matrix_copy(akin_matrix x, akin_matrix y)
{
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < x.rows; i++)
        memcpy(y.data + i * y.stride, x.data + i * x.stride, (size_t)x.columns * sizeof(float));
}
