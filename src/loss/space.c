/* The space a loss measures in. Distances as in nn/distances.c; cosine and dot product take a short
   cut here: their matrices are one product, which honours the pass's precision, and the gradient of
   a matrix of distances of rows among themselves is one product too, because
   d/dx_i sum_kl W_kl D(x_k, x_l) = sum_j (W_ij + W_ji) dD(x_i, x_j)/dx_i. */
#include "loss/space.h"

#include <float.h>
#include <math.h>
#include <string.h>

static bool is_product(ak_distance distance)
{
    return distance == AK_COSINE || distance == AK_DOT_PRODUCT;
}

void ak_matrix_zero(akin_matrix x)
{
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < x.rows; i++)
        memset(x.data + i * x.stride, 0, (size_t)x.columns * sizeof(float));
}

static AK_KERNEL bool row_is_finite(const float *x, int64_t n)
{
    int32_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= !(fabsf(x[i]) <= FLT_MAX); /* of a NaN every comparison is false */
    return !bad;
}

static bool matrix_is_finite(akin_matrix x)
{
    for (int64_t i = 0; i < x.rows; i++)
        if (!row_is_finite(x.data + i * x.stride, x.columns))
            return false;
    return true;
}

akin_status ak_space_init(ak_space *space, ak_distance distance, const akin_pass *pass,
                          akin_matrix x, akin_error *error)
{
    *space = (ak_space){.distance = distance,
                        .precision = pass->precision,
                        .arena = pass->arena,
                        .x = x,
                        .rows = x,
                        .offset = distance == AK_COSINE ? 1.0f : 0.0f};
    if (distance != AK_COSINE) {
        space->finite = matrix_is_finite(x);
        return AKIN_OK;
    }
    space->rows = ak_matrix_new(pass->arena, x.rows, x.columns);
    space->norms = ak_arena_new(pass->arena, float, x.rows);
    if (!space->rows.data || !space->norms)
        return ak_fail_memory(error);
    ak_normalize_forward(x, space->rows, space->norms);
    space->finite = row_is_finite(space->norms, x.rows);
    return AKIN_OK;
}

float ak_space_distance(const ak_space *space, int64_t i, int64_t j)
{
    akin_matrix a = ak_matrix_rows(space->rows, i, 1), b = ak_matrix_rows(space->rows, j, 1);
    if (is_product(space->distance))
        return space->offset - ak_dot(a.data, b.data, a.columns);
    float d;
    ak_distance_rows(space->distance, a, b, &d);
    return d;
}

akin_status ak_space_distances(const ak_space *space, int64_t first, int64_t count, akin_matrix d,
                               akin_error *error)
{
    akin_matrix a = ak_matrix_rows(space->rows, first, count), b = space->rows;
    if (!is_product(space->distance))
        return ak_distance_matrix(space->distance, a, b, d, space->arena, error);
    ak_gemm(space->precision, AK_PLAIN, AK_TRANSPOSED, count, b.rows, b.columns, -1.0f, a.data,
            a.stride, b.data, b.stride, 0.0f, d.data, d.stride);
    return AKIN_OK;
}

akin_matrix ak_space_gradient(const ak_space *space, akin_matrix dx)
{
    return space->distance == AK_COSINE ? ak_matrix_new(space->arena, dx.rows, dx.columns) : dx;
}

void ak_space_finish(const ak_space *space, akin_matrix drows, akin_matrix dx)
{
    if (space->distance != AK_COSINE)
        return;
    ak_matrix_zero(dx);
    ak_normalize_backward(space->rows, space->norms, drows, dx);
}

enum { BLOCK = 32 };

static AK_KERNEL void add_transposed_block(float *w, int64_t stride, int64_t i0, int64_t i1,
                                           int64_t j0, int64_t j1)
{
    for (int64_t i = i0; i < i1; i++) {
        int64_t last = i0 == j0 ? i + 1 : j1;
        for (int64_t j = j0; j < last; j++) {
            float sum = w[i * stride + j] + w[j * stride + i];
            w[i * stride + j] = sum;
            w[j * stride + i] = sum;
        }
    }
}

/* w = w + w transposed. The diagonal, a row's distance to itself, is doubled as it should. */
static void add_transposed(akin_matrix w)
{
    int64_t n = w.rows, blocks = (n + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(dynamic) if (n * n >= AK_PARALLEL_FROM)
    for (int64_t bi = 0; bi < blocks; bi++)
        for (int64_t bj = 0; bj <= bi; bj++) {
            int64_t i1 = bi * BLOCK + BLOCK, j1 = bj * BLOCK + BLOCK;
            add_transposed_block(w.data, w.stride, bi * BLOCK, i1 < n ? i1 : n, bj * BLOCK,
                                 j1 < n ? j1 : n);
        }
}

static akin_status backward_by_product(const ak_space *space, akin_matrix dd, float factor,
                                       akin_matrix dx, akin_error *error)
{
    akin_matrix rows = space->rows, drows = ak_space_gradient(space, dx);
    if (!drows.data)
        return ak_fail_memory(error);
    add_transposed(dd);
    ak_gemm(space->precision, AK_PLAIN, AK_PLAIN, rows.rows, rows.columns, rows.rows, -factor,
            dd.data, dd.stride, rows.data, rows.stride, 0.0f, drows.data, drows.stride);
    ak_space_finish(space, drows, dx);
    return AKIN_OK;
}

akin_status ak_space_backward(const ak_space *space, akin_matrix d, akin_matrix dd, float factor,
                              akin_matrix dx, akin_error *error)
{
    if (is_product(space->distance))
        return backward_by_product(space, dd, factor, dx, error);
    ak_matrix_zero(dx);
    for (int64_t i = 0; i < dd.rows; i++)
        ak_scale(factor, dd.data + i * dd.stride, dd.columns);
    return ak_distance_matrix_backward(space->distance, space->x, space->x, d, dd, dx, dx,
                                       space->arena, error);
}
