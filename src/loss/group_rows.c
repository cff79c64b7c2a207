/* Group losses row by row. A row of similarities is split in two: the positives, few or many, move
   to an array of their own, and their places, the query's and those of equal contents become minus
   infinity, which exponentials, maxima and hinges pass over by themselves. So a loss is a few
   vectorised passes over a row that lies in the cache. Afterwards the positives move back and the
   other places become zero: the row is the gradient by its similarities. */
#include "loss/group_rows.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static int64_t group_size(const ak_group_rows *rows, int64_t i)
{
    const int64_t *start = rows->members.start + rows->group[i];
    return start[1] - start[0];
}

static int64_t count_negatives(const ak_group_rows *rows, int64_t i)
{
    const ak_exclusions *e = &rows->exclusions;
    int64_t count = rows->space.rows.rows - group_size(rows, i);
    for (int64_t k = e->start[i]; k < e->start[i + 1]; k++)
        count -= rows->group[e->columns[k]] != rows->group[i];
    return count;
}

static AK_KERNEL void negate(const float *x, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = -x[j];
}

static akin_status fill_similarities(ak_group_rows *rows, akin_error *error)
{
    const ak_space *space = &rows->space;
    akin_matrix x = space->rows, s = rows->similarity = ak_square_new(space->arena, x.rows);
    if (!s.data)
        return ak_fail_memory(error);
    if (space->distance == AK_COSINE || space->distance == AK_DOT_PRODUCT) {
        ak_gemm(space->precision, AK_PLAIN, AK_TRANSPOSED, x.rows, x.rows, x.columns, 1, x.data,
                x.stride, x.data, x.stride, 0, s.data, s.stride);
        return AKIN_OK;
    }
    rows->distance = ak_square_new(space->arena, x.rows);
    if (!rows->distance.data)
        return ak_fail_memory(error);
    AK_TRY(ak_space_distances(space, 0, x.rows, rows->distance, error));
    for (int64_t i = 0; i < x.rows; i++)
        negate(rows->distance.data + i * rows->distance.stride, s.data + i * s.stride, x.rows);
    return AKIN_OK;
}

akin_status ak_group_rows_init(ak_group_rows *rows, ak_distance distance, const akin_pass *pass,
                               const akin_labels *labels, akin_matrix x, akin_error *error)
{
    int64_t n = labels->count, threads = omp_get_max_threads();
    *rows = (ak_group_rows){.group = ak_arena_new(pass->arena, int32_t, n),
                            .values = ak_arena_new(pass->arena, double, n),
                            .scratch = ak_arena_new(pass->arena, float, 3 * n * threads)};
    if (!rows->group || !rows->values || !rows->scratch)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&rows->space, distance, pass, x, error));
    if (!rows->space.finite)
        return AKIN_OK;
    AK_TRY(ak_renumber(rows->group, labels->group, n, pass->arena, error));
    AK_TRY(ak_exclude_objects(&rows->exclusions, labels, n, false, pass->arena, error));
    AK_TRY(ak_list_members(&rows->members, rows->group, n, n, pass->arena, error));
    for (int64_t i = 0; i < n; i++) {
        bool anchor = group_size(rows, i) > 1;
        rows->anchors += anchor;
        rows->lonely += anchor && count_negatives(rows, i) == 0;
    }
    return rows->anchors ? fill_similarities(rows, error) : AKIN_OK;
}

double ak_group_row_nothing(const ak_group_row *row)
{
    memset(row->negative, 0, (size_t)row->n * sizeof(float));
    memset(row->positive, 0, (size_t)row->positives * sizeof(float));
    return 0;
}

static double run_row(ak_group_rows *rows, int64_t i, ak_group_row_function *function, void *loss)
{
    const int64_t *start = rows->members.start + rows->group[i],
                  *excluded = rows->exclusions.start + i;
    int64_t n = rows->similarity.rows, count = 0;
    float *s = rows->similarity.data + i * rows->similarity.stride;
    float *positive = rows->scratch + 3 * n * omp_get_thread_num();
    ak_group_row row = {.query = i,
                        .n = n,
                        .negative = s,
                        .negatives = count_negatives(rows, i),
                        .positive = positive,
                        .positives = start[1] - start[0] - 1,
                        .scratch = positive + n};
    for (int64_t k = excluded[0]; k < excluded[1]; k++)
        if (rows->group[rows->exclusions.columns[k]] != rows->group[i])
            s[rows->exclusions.columns[k]] = -INFINITY;
    for (int64_t m = start[0]; m < start[1]; m++) {
        int32_t j = rows->members.list[m];
        if (j != i)
            positive[count++] = s[j];
        s[j] = -INFINITY;
    }
    double value = function(loss, &row);
    for (int64_t k = excluded[0]; k < excluded[1]; k++)
        s[rows->exclusions.columns[k]] = 0;
    count = 0;
    for (int64_t m = start[0]; m < start[1]; m++)
        s[rows->members.list[m]] = rows->members.list[m] == i ? 0 : positive[count++];
    return value;
}

double ak_group_rows_run(ak_group_rows *rows, ak_group_row_function *function, void *loss)
{
    int64_t n = rows->similarity.rows;
    double sum = 0;
#pragma omp parallel for schedule(static) if (n * n >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        rows->values[i] = run_row(rows, i, function, loss);
    for (int64_t i = 0; i < n; i++)
        sum += rows->values[i];
    return sum;
}

akin_status ak_group_rows_backward(ak_group_rows *rows, float factor, akin_matrix dx,
                                   akin_error *error)
{
    if (!dx.data)
        return AKIN_OK;
    return ak_space_backward(&rows->space, rows->distance, rows->similarity, -factor, dx, error);
}
