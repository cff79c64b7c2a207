/* Principal axes (Pearson, 1901): the directions in which vectors vary most around their mean, the
   eigenvectors of their covariance. Differences from the mean are multiplied in float32, a block of
   rows at a time, and added up in float64. */
#include "nn/nn.h"

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#define BLOCK 1024 /* rows multiplied at once */

static void mean_of(akin_matrix x, double *mean)
{
    memset(mean, 0, (size_t)x.columns * sizeof *mean);
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t c = 0; c < x.columns; c++)
            mean[c] += (double)x.data[i * x.stride + c];
    for (int64_t c = 0; c < x.columns; c++)
        mean[c] /= (double)x.rows;
}

static void add_block(akin_matrix x, const double *mean, float *centred, float *products,
                      double *covariance)
{
    int64_t d = x.columns;
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t c = 0; c < d; c++)
            centred[i * d + c] = (float)((double)x.data[i * x.stride + c] - mean[c]);
    ak_gemm(AKIN_F32, AK_TRANSPOSED, AK_PLAIN, d, d, x.rows, 1, centred, d, centred, d, 0, products,
            d);
    for (int64_t i = 0; i < d * d; i++)
        covariance[i] += (double)products[i];
}

static akin_status covariance_of(akin_matrix x, const double *mean, double *covariance,
                                 akin_arena *arena, akin_error *error)
{
    int64_t d = x.columns, block = (x.rows < BLOCK ? x.rows : BLOCK) * d, square = d * d;
    float *centred = ak_arena_new(arena, float, block);
    float *products = ak_arena_new(arena, float, square);
    if (!centred || !products)
        return ak_fail_memory(error);
    memset(covariance, 0, (size_t)square * sizeof *covariance);
    for (int64_t i = 0; i < x.rows; i += BLOCK)
        add_block(ak_matrix_rows(x, i, x.rows - i < BLOCK ? x.rows - i : BLOCK), mean, centred,
                  products, covariance);
    for (int64_t i = 0; i < square; i++)
        covariance[i] /= (double)x.rows;
    return AKIN_OK;
}

double ak_axis_sign(const double *direction, int64_t d)
{
    double largest = 0;
    for (int64_t c = 0; c < d; c++)
        if (fabs(direction[c]) > fabs(largest) * (1 + 1e-9))
            largest = direction[c];
    return largest < 0 ? -1 : 1;
}

/* axes = the first rows of `vectors`; offsets: what takes the mean to 0. */
static void keep_axes(ak_axes *out, const double *vectors, const double *values, const double *mean)
{
    double all = 0, kept = 0;
    for (int64_t k = 0; k < out->dim; k++) {
        const double *v = vectors + k * out->width;
        double sign = ak_axis_sign(v, out->width);
        for (int64_t c = 0; c < out->width; c++)
            out->weight[k * out->width + c] = (float)(sign * v[c]);
        out->bias[k] = (float)(-sign * ak_dot_double(v, mean, out->width));
        kept += fmax(0, values[k]);
    }
    for (int64_t k = 0; k < out->width; k++)
        all += fmax(0, values[k]);
    out->share = all > 0 ? kept / all : 0;
}

akin_status ak_axes_find(ak_axes *out, akin_matrix x, int64_t dim, akin_arena *arena,
                         akin_error *error)
{
    int64_t d = x.columns, square = d * d, numbers = dim * d;
    double *mean = ak_arena_new(arena, double, d), *values = ak_arena_new(arena, double, d);
    double *covariance = ak_arena_new(arena, double, square);
    double *vectors = ak_arena_new(arena, double, square);
    double *scratch = ak_arena_new(arena, double, 4 * d);
    *out = (ak_axes){.width = d,
                     .dim = dim,
                     .weight = ak_arena_new(arena, float, numbers),
                     .bias = ak_arena_new(arena, float, dim)};
    if (!mean || !values || !covariance || !vectors || !scratch || !out->weight || !out->bias)
        return ak_fail_memory(error);
    mean_of(x, mean);
    AK_TRY(covariance_of(x, mean, covariance, arena, error));
    ak_eigen(covariance, d, values, vectors, scratch);
    keep_axes(out, vectors, values, mean);
    return AKIN_OK;
}
