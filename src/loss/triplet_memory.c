/* Triplets of a batch's objects with positives and negatives of a memory: hard and semi-hard as in
   triplet.c, over cosine distances. The products give cosines s; distances less their offset of 1
   are -s, and what is wanted back is the derivative by s. */
#include "loss/group_rows.h"
#include "loss/triplet.h"
#include "loss/triplet_rows.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct search {
    const ak_group_rows *rows;
    ak_hardest *hardest; /* per row; mining hard */
    double margin;
    ak_triplet_scratch *scratch; /* per thread; mining semi-hard */
    int32_t **positives;         /* per thread: room for the columns that are positives of a row */
    ak_triplet_sum *sums;        /* per row */
} search;

static AK_KERNEL void negate(float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        x[j] = -x[j];
}

/* ---- hard: few derivatives, added one by one ---- */

static void hardest_row(void *user, int64_t i, float *s)
{
    const search *f = user;
    const ak_group_rows *rows = f->rows;
    const int64_t *hole = rows->exclusions.start + i;
    negate(s, rows->columns);
    f->hardest[i] =
        ak_mine_row(s, rows->columns, rows->column_group, rows->group[i],
                    rows->exclusions.columns + hole[0], hole[1] - hole[0], rows->space.offset);
}

static akin_status hard_backward(const ak_group_rows *rows, const ak_edge *edges, int64_t count,
                                 akin_matrix dx, akin_error *error)
{
    akin_matrix units = rows->memory->units, drows = ak_space_gradient(&rows->space, dx);
    if (!drows.data)
        return ak_fail_memory(error);
    ak_matrix_zero(drows);
    for (int64_t e = 0; e < count; e++)
        ak_add_scaled(-edges[e].weight, units.data + edges[e].b * units.stride,
                      drows.data + edges[e].a * drows.stride, drows.columns);
    ak_space_finish(&rows->space, drows, dx);
    return AKIN_OK;
}

static akin_status compute_hard(const ak_triplet_options *o, search *f, akin_matrix dx,
                                double *value, akin_error *error)
{
    const ak_space *space = &f->rows->space;
    int64_t n = space->rows.rows;
    const akin_matrix none = {0};
    f->hardest = ak_arena_new(space->arena, ak_hardest, n);
    ak_edge *edges = ak_arena_new(space->arena, ak_edge, 2 * n);
    if (!f->hardest || !edges)
        return ak_fail_memory(error);
    AK_TRY(ak_memory_products(space, n, f->rows->memory, hardest_row, f, 0, none, error));
    int64_t anchors = ak_triplet_hard_edges(f->hardest, n, edges);
    if (!anchors)
        return ak_loss_nothing(space, dx, value);
    *value = ak_triplet_hard_loss(o, edges, anchors);
    return dx.data ? hard_backward(f->rows, edges, 2 * anchors, dx, error) : AKIN_OK;
}

/* ---- semi-hard ---- */

static akin_status search_init(search *f, akin_error *error)
{
    akin_arena *arena = f->rows->space.arena;
    int64_t columns = f->rows->columns;
    int threads = omp_get_max_threads();
    f->sums = ak_arena_new(arena, ak_triplet_sum, f->rows->space.rows.rows);
    f->scratch = ak_arena_new(arena, ak_triplet_scratch, threads);
    f->positives = ak_arena_new(arena, int32_t *, threads);
    if (!f->sums || !f->scratch || !f->positives)
        return ak_fail_memory(error);
    for (int t = 0; t < threads; t++) {
        AK_TRY(ak_triplet_scratch_init(&f->scratch[t], columns, arena, error));
        if (!(f->positives[t] = ak_arena_new(arena, int32_t, columns)))
            return ak_fail_memory(error);
    }
    return AKIN_OK;
}

/* The members of the row's group that are no holes; d is infinite at holes. */
static int64_t list_positives(const ak_group_rows *rows, int64_t i, const float *d, int32_t *out)
{
    const int64_t *start = rows->members.start + rows->group[i];
    int64_t count = 0;
    for (int64_t m = start[0]; m < start[1]; m++)
        if (d[rows->members.list[m]] < INFINITY)
            out[count++] = rows->members.list[m];
    return count;
}

static void semi_hard_row(void *user, int64_t i, float *s)
{
    const search *f = user;
    const ak_group_rows *rows = f->rows;
    const ak_exclusions *e = &rows->exclusions;
    int32_t *positives = f->positives[omp_get_thread_num()];
    negate(s, rows->columns);
    for (int64_t k = e->start[i]; k < e->start[i + 1]; k++)
        s[e->columns[k]] = INFINITY;
    const ak_triplet_row row = {.distance = s,
                                .n = rows->columns,
                                .anchor = -1, /* not among the columns */
                                .group = positives,
                                .group_size = list_positives(rows, i, s, positives),
                                .excluded = e->columns + e->start[i],
                                .excluded_count = e->start[i + 1] - e->start[i]};
    f->sums[i] = ak_triplet_row_semi_hard(&row, f->margin, &f->scratch[omp_get_thread_num()], s);
}

static akin_status compute_semi_hard(search *f, akin_matrix dx, double *value, akin_error *error)
{
    const ak_space *space = &f->rows->space;
    int64_t n = space->rows.rows;
    double loss = 0, count = 0;
    akin_matrix drows = dx.data ? ak_space_gradient(space, dx) : dx;
    if (dx.data && !drows.data)
        return ak_fail_memory(error);
    AK_TRY(search_init(f, error));
    AK_TRY(ak_memory_products(space, n, f->rows->memory, semi_hard_row, f, -1, drows, error));
    for (int64_t i = 0; i < n; i++) {
        loss += f->sums[i].loss;
        count += f->sums[i].count;
    }
    if (count == 0)
        return ak_loss_nothing(space, dx, value);
    *value = loss / count;
    for (int64_t i = 0; i < n && dx.data; i++)
        ak_scale((float)(1 / count), drows.data + i * drows.stride, drows.columns);
    if (dx.data)
        ak_space_finish(space, drows, dx);
    return AKIN_OK;
}

akin_status ak_triplet_compute_memory(void *self, const akin_pass *pass, const akin_labels *labels,
                                      akin_matrix x, const akin_memory *memory, akin_matrix dx,
                                      double *value, akin_error *error)
{
    const ak_triplet_options *o = self;
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init_memory(&rows, pass, labels, x, memory, error));
    if (!rows.space.finite || !rows.anchors)
        return ak_loss_nothing(&rows.space, dx, value);
    search f = {.rows = &rows, .margin = o->margin};
    return o->mining == AK_TRIPLET_HARD ? compute_hard(o, &f, dx, value, error)
                                        : compute_semi_hard(&f, dx, value, error);
}
