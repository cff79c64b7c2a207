/* Gradients of distances.c, added to da and db:

     cosine       d/da = -(b̂ - â (â·b̂)) / |a|      0 for a zero row
     euclidean    d/da = (a - b) / |a - b|          0 where a = b
     manhattan    d/da = sign(a - b)
     dot_product  d/da = -b

   and the same with a and b exchanged. Of a matrix of distances the sums over rows are products:
   for euclidean with w = dd / d, da_i = (sum_j w_ij) a_i - (w b)_i. */
#include "nn/distances.h"

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { PARALLEL_FROM = 1 << 14, BLOCK = 16 };

static float *row_of(akin_matrix x, int64_t i)
{
    return x.data + i * x.stride;
}

/* out += factor (a - b): the difference first, so that near rows keep their digits. */
AK_KERNEL static void add_difference(float factor, const float *a, const float *b, float *out,
                                     int64_t d)
{
    for (int64_t k = 0; k < d; k++)
        out[k] += factor * (a[k] - b[k]);
}

AK_KERNEL static void add_sign(float factor, const float *a, const float *b, float *out, int64_t d)
{
    for (int64_t k = 0; k < d; k++)
        out[k] += a[k] > b[k] ? factor : a[k] < b[k] ? -factor : 0;
}

/* The row of a that cosine pulls, for one pair. */
static void add_cosine(float factor, const float *a, const float *b, float *out, int64_t d)
{
    double norm_a = ak_row_norm(a, d), norm_b = ak_row_norm(b, d);
    if (norm_a == 0 || norm_b == 0)
        return;
    double product = ak_dot(a, b, d) / (norm_a * norm_b);
    ak_add_scaled((float)(-factor / (norm_a * norm_b)), b, out, d);
    ak_add_scaled((float)(factor * product / (norm_a * norm_a)), a, out, d);
}

static void add_pair(ak_distance distance, float factor, const float *a, const float *b, float *out,
                     int64_t d)
{
    float length;
    switch (distance) {
    case AK_COSINE:
        add_cosine(factor, a, b, out, d);
        break;
    case AK_EUCLIDEAN:
        length = sqrtf(ak_squared_distance(a, b, d));
        if (length != 0)
            add_difference(factor / length, a, b, out, d);
        break;
    case AK_MANHATTAN:
        add_sign(factor, a, b, out, d);
        break;
    case AK_DOT_PRODUCT:
        ak_add_scaled(-factor, b, out, d);
        break;
    }
}

void ak_distance_rows_backward(ak_distance distance, akin_matrix a, akin_matrix b, const float *dd,
                               akin_matrix da, akin_matrix db)
{
#pragma omp parallel for schedule(static) if (a.rows * a.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < a.rows; i++) {
        const float *x = row_of(a, i), *y = row_of(b, i);
        if (da.data)
            add_pair(distance, dd[i], x, y, row_of(da, i), a.columns);
        if (db.data)
            add_pair(distance, dd[i], y, x, row_of(db, i), a.columns);
    }
}

/* da -= w b, db -= w^T a */
static void subtract_products(akin_matrix w, akin_matrix a, akin_matrix b, akin_matrix da,
                              akin_matrix db)
{
    if (da.data)
        ak_gemm(AKIN_F32, AK_PLAIN, AK_PLAIN, w.rows, b.columns, w.columns, -1, w.data, w.stride,
                b.data, b.stride, 1, da.data, da.stride);
    if (db.data)
        ak_gemm(AKIN_F32, AK_TRANSPOSED, AK_PLAIN, w.columns, a.columns, w.rows, -1, w.data,
                w.stride, a.data, a.stride, 1, db.data, db.stride);
}

static akin_status zeros_like(akin_matrix *out, akin_matrix x, akin_arena *arena, akin_error *error)
{
    *out = ak_matrix_new(arena, x.rows, x.columns);
    if (!out->data)
        return ak_fail_memory(error);
    memset(out->data, 0, (size_t)(x.rows * x.columns) * sizeof(float));
    return AKIN_OK;
}

static akin_status cosine_backward(akin_matrix a, akin_matrix b, akin_matrix dd, akin_matrix da,
                                   akin_matrix db, akin_arena *arena, akin_error *error)
{
    ak_units ua, ub;
    akin_matrix dua = {0}, dub = {0};
    AK_TRY(ak_units_new(&ua, a, arena, error));
    AK_TRY(ak_units_new(&ub, b, arena, error));
    if (da.data)
        AK_TRY(zeros_like(&dua, a, arena, error));
    if (db.data)
        AK_TRY(zeros_like(&dub, b, arena, error));
    subtract_products(dd, ua.rows, ub.rows, dua, dub);
    if (da.data)
        ak_normalize_backward(ua.rows, ua.norms, dua, da);
    if (db.data)
        ak_normalize_backward(ub.rows, ub.norms, dub, db);
    return AKIN_OK;
}

typedef struct euclidean {
    akin_matrix a, b, d, dd, da, db;
    akin_matrix w; /* dd / d, 0 where a and b are near each other */
    const float *a2, *b2;
} euclidean;

/* Pairs so near that w a - w b would cancel: they are added one by one. */
static bool is_near(const euclidean *e, int64_t i, int64_t j)
{
    float d = row_of(e->d, i)[j];
    return d != 0 && d * d <= AK_CANCELLED * (e->a2[i] + e->b2[j]);
}

AK_KERNEL static void weigh_row(const float *d, const float *dd, float *w, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        w[j] = d[j] != 0 ? dd[j] / d[j] : 0;
}

/* Fills w and adds the near pairs to da; returns how many there are. */
static int64_t weigh(const euclidean *e)
{
    int64_t count = 0;
#pragma omp parallel for schedule(static) reduction(+ : count)
    for (int64_t i = 0; i < e->d.rows; i++) {
        float *w = row_of(e->w, i);
        weigh_row(row_of(e->d, i), row_of(e->dd, i), w, e->d.columns);
        for (int64_t j = 0; j < e->d.columns; j++) {
            if (!is_near(e, i, j))
                continue;
            if (e->da.data)
                add_difference(w[j], row_of(e->a, i), row_of(e->b, j), row_of(e->da, i),
                               e->a.columns);
            w[j] = 0;
            count++;
        }
    }
    return count;
}

/* The near pairs' part of db. A thread owns a cache line's worth of columns. */
static void add_near_columns(const euclidean *e)
{
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < e->d.columns; first += BLOCK)
        for (int64_t i = 0; i < e->d.rows; i++)
            for (int64_t j = first; j < first + BLOCK && j < e->d.columns; j++)
                if (is_near(e, i, j))
                    add_difference(row_of(e->dd, i)[j] / row_of(e->d, i)[j], row_of(e->b, j),
                                   row_of(e->a, i), row_of(e->db, j), e->b.columns);
}

static void add_scaled_rows(const float *factors, akin_matrix x, akin_matrix out)
{
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < x.rows; i++)
        ak_add_scaled(factors[i], row_of(x, i), row_of(out, i), x.columns);
}

static akin_status euclidean_backward(euclidean *e, akin_arena *arena, akin_error *error)
{
    e->a2 = ak_squared_norms(e->a, arena);
    e->b2 = ak_squared_norms(e->b, arena);
    e->w = ak_matrix_new(arena, e->d.rows, e->d.columns);
    float *row_sums = ak_arena_new(arena, float, e->d.rows);
    float *column_sums = ak_arena_new(arena, float, e->d.columns);
    if (!e->a2 || !e->b2 || !e->w.data || !row_sums || !column_sums)
        return ak_fail_memory(error);
    if (weigh(e) && e->db.data)
        add_near_columns(e);
    subtract_products(e->w, e->a, e->b, e->da, e->db);
    if (e->da.data) {
        for (int64_t i = 0; i < e->d.rows; i++)
            row_sums[i] = ak_sum(row_of(e->w, i), e->d.columns);
        add_scaled_rows(row_sums, e->a, e->da);
    }
    if (e->db.data) {
        memset(column_sums, 0, (size_t)e->d.columns * sizeof *column_sums);
        ak_column_sums(e->w, column_sums);
        add_scaled_rows(column_sums, e->b, e->db);
    }
    return AKIN_OK;
}

/* da_i += sum_j g_ij sign(a_i - b_j) with g_ij = dd[i * row + j * step]: dd or its transpose. */
static void add_signs(akin_matrix a, akin_matrix b, const float *dd, int64_t row, int64_t step,
                      akin_matrix da)
{
#pragma omp parallel for schedule(static) if (a.rows * b.rows * a.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < a.rows; i++)
        for (int64_t j = 0; j < b.rows; j++)
            if (dd[i * row + j * step] != 0)
                add_sign(dd[i * row + j * step], row_of(a, i), row_of(b, j), row_of(da, i),
                         a.columns);
}

akin_status ak_distance_matrix_backward(ak_distance distance, akin_matrix a, akin_matrix b,
                                        akin_matrix d, akin_matrix dd, akin_matrix da,
                                        akin_matrix db, akin_arena *arena, akin_error *error)
{
    if (!a.rows || !b.rows)
        return AKIN_OK;
    switch (distance) {
    case AK_COSINE:
        return cosine_backward(a, b, dd, da, db, arena, error);
    case AK_EUCLIDEAN:
        return euclidean_backward(
            &(euclidean){.a = a, .b = b, .d = d, .dd = dd, .da = da, .db = db}, arena, error);
    case AK_MANHATTAN:
        if (da.data)
            add_signs(a, b, dd.data, dd.stride, 1, da);
        if (db.data)
            add_signs(b, a, dd.data, 1, dd.stride, db);
        return AKIN_OK;
    case AK_DOT_PRODUCT:
        subtract_products(dd, a, b, da, db);
        return AKIN_OK;
    }
    return AKIN_OK;
}
