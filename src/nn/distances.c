/* Distances of aligned rows and of all rows of two matrices:

     cosine       1 - â·b̂          0 .. 2; a zero row is at distance 1 from everything
     euclidean    |a - b|
     manhattan    sum of |a_k - b_k|
     dot_product  -a·b             negative when alike

   Matrices of all but manhattan are one matrix product. Gradients are in distances_backward.c. */
#include "nn/distances.h"

#include "kernels/kernels.h"

#include <math.h>

enum { PARALLEL_FROM = 1 << 14, TILE = 8 };

static const float *row_of(akin_matrix x, int64_t i)
{
    return x.data + i * x.stride;
}

static float row_cosine(const float *a, const float *b, int64_t d)
{
    double norms = (double)ak_row_norm(a, d) * ak_row_norm(b, d);
    return norms == 0 ? 1 : (float)(1 - ak_dot(a, b, d) / norms);
}

void ak_distance_rows(ak_distance distance, akin_matrix a, akin_matrix b, float *d)
{
    int64_t width = a.columns;
#pragma omp parallel for schedule(static) if (a.rows * width >= PARALLEL_FROM)
    for (int64_t i = 0; i < a.rows; i++) {
        const float *x = row_of(a, i), *y = row_of(b, i);
        if (distance == AK_COSINE)
            d[i] = row_cosine(x, y, width);
        else if (distance == AK_EUCLIDEAN)
            d[i] = sqrtf(ak_squared_distance(x, y, width));
        else if (distance == AK_MANHATTAN)
            d[i] = ak_manhattan_distance(x, y, width);
        else
            d[i] = -ak_dot(x, y, width);
    }
}

akin_status ak_units_new(ak_units *out, akin_matrix x, akin_arena *arena, akin_error *error)
{
    out->rows = ak_matrix_new(arena, x.rows, x.columns);
    out->norms = ak_arena_new(arena, float, x.rows);
    if (!out->rows.data || !out->norms)
        return ak_fail_memory(error);
    ak_normalize_forward(x, out->rows, out->norms);
    return AKIN_OK;
}

float *ak_squared_norms(akin_matrix x, akin_arena *arena)
{
    float *squares = ak_arena_new(arena, float, x.rows);
    for (int64_t i = 0; squares && i < x.rows; i++)
        squares[i] = ak_dot(row_of(x, i), row_of(x, i), x.columns);
    return squares;
}

/* d = -a b^T */
static void negative_products(akin_matrix a, akin_matrix b, akin_matrix d)
{
    ak_gemm(AKIN_F32, AK_PLAIN, AK_TRANSPOSED, a.rows, b.rows, a.columns, -1, a.data, a.stride,
            b.data, b.stride, 0, d.data, d.stride);
}

AK_KERNEL static void add_one(float *d, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        d[j] += 1;
}

static akin_status cosine_matrix(akin_matrix a, akin_matrix b, akin_matrix d, akin_arena *arena,
                                 akin_error *error)
{
    ak_units ua, ub;
    bool same = a.data == b.data && a.rows == b.rows && a.stride == b.stride;
    AK_TRY(ak_units_new(&ua, a, arena, error));
    if (same)
        ub = ua;
    else
        AK_TRY(ak_units_new(&ub, b, arena, error));
    negative_products(ua.rows, ub.rows, d);
#pragma omp parallel for schedule(static) if (d.rows * d.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < d.rows; i++)
        add_one(d.data + i * d.stride, d.columns);
    return AKIN_OK;
}

/* d[j] = -a·b_j becomes |a - b_j|; negative where too much cancelled. */
AK_KERNEL static void euclidean_row(float *d, float a2, const float *b2, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float sum = a2 + b2[j], square = sum + 2 * d[j];
        d[j] = square > AK_CANCELLED * sum ? sqrtf(square) : -1;
    }
}

static akin_status euclidean_matrix(akin_matrix a, akin_matrix b, akin_matrix d, akin_arena *arena,
                                    akin_error *error)
{
    const float *a2 = ak_squared_norms(a, arena), *b2 = ak_squared_norms(b, arena);
    if (!a2 || !b2)
        return ak_fail_memory(error);
    negative_products(a, b, d);
#pragma omp parallel for schedule(static) if (d.rows * d.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < d.rows; i++) {
        float *row = d.data + i * d.stride;
        euclidean_row(row, a2[i], b2, d.columns);
        for (int64_t j = 0; j < d.columns; j++)
            if (row[j] < 0)
                row[j] = sqrtf(ak_squared_distance(row_of(a, i), row_of(b, j), a.columns));
    }
    return AKIN_OK;
}

/* A row of b is used for TILE rows of a while it is in the first-level cache. */
static void manhattan_matrix(akin_matrix a, akin_matrix b, akin_matrix d)
{
#pragma omp parallel for schedule(static) if (a.rows * b.rows * a.columns >= PARALLEL_FROM)
    for (int64_t first = 0; first < a.rows; first += TILE)
        for (int64_t j = 0; j < b.rows; j++)
            for (int64_t i = first; i < first + TILE && i < a.rows; i++)
                d.data[i * d.stride + j] =
                    ak_manhattan_distance(row_of(a, i), row_of(b, j), a.columns);
}

akin_status ak_distance_matrix(ak_distance distance, akin_matrix a, akin_matrix b, akin_matrix d,
                               akin_arena *arena, akin_error *error)
{
    if (!a.rows || !b.rows)
        return AKIN_OK;
    switch (distance) {
    case AK_COSINE:
        return cosine_matrix(a, b, d, arena, error);
    case AK_EUCLIDEAN:
        return euclidean_matrix(a, b, d, arena, error);
    case AK_MANHATTAN:
        manhattan_matrix(a, b, d);
        return AKIN_OK;
    case AK_DOT_PRODUCT:
        negative_products(a, b, d);
        return AKIN_OK;
    }
    return AKIN_OK;
}
