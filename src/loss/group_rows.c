/* Group losses row by row. A row of similarities is split in two: the positives, few or many, move
   to an array of their own, and their places, the query's and those of equal contents ("holes")
   become minus infinity, which exponentials, maxima and hinges pass over by themselves. So a loss
   is a few vectorised passes over a row that lies in the cache. Afterwards the positives move back
   and the other places become zero: the row is the gradient by its similarities. */
#include "loss/group_rows.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static int64_t group_size(const ak_group_rows *rows, int64_t i)
{
    const int64_t *start = rows->members.start + rows->group[i];
    return start[1] - start[0];
}

static int64_t count_holes(const ak_group_rows *rows, int64_t i, bool own_group)
{
    const ak_exclusions *e = &rows->exclusions;
    int64_t count = 0;
    for (int64_t k = e->start[i]; k < e->start[i + 1]; k++)
        count += (rows->column_group[e->columns[k]] == rows->group[i]) == own_group;
    return count;
}

static int64_t count_positives(const ak_group_rows *rows, int64_t i)
{
    return group_size(rows, i) - count_holes(rows, i, true);
}

static int64_t count_negatives(const ak_group_rows *rows, int64_t i)
{
    return rows->columns - group_size(rows, i) - count_holes(rows, i, false);
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

/* Other objects of the query's group are positives, their contents equal or not. */
static void drop_own_group(ak_group_rows *rows)
{
    ak_exclusions *e = &rows->exclusions;
    int64_t used = 0, from = 0;
    for (int64_t i = 0; i < rows->columns; i++) {
        int64_t to = e->start[i + 1];
        e->start[i] = used;
        for (int64_t k = from; k < to; k++)
            if (e->columns[k] == i || rows->group[e->columns[k]] != rows->group[i])
                e->columns[used++] = e->columns[k];
        from = to;
    }
    e->start[rows->columns] = used;
}

static akin_status allocate(ak_group_rows *rows, int64_t n, int64_t columns, akin_arena *arena,
                            akin_error *error)
{
    int64_t threads = omp_get_max_threads();
    *rows = (ak_group_rows){.columns = columns,
                            .group = ak_arena_new(arena, int32_t, n),
                            .values = ak_arena_new(arena, double, n),
                            .scratch = ak_arena_new(arena, float, 3 * columns * threads)};
    return rows->group && rows->values && rows->scratch ? AKIN_OK : ak_fail_memory(error);
}

static akin_status count_anchors(ak_group_rows *rows, int64_t n, akin_error *error)
{
    akin_arena *arena = rows->space.arena;
    AK_TRY(ak_list_members(&rows->members, rows->column_group, rows->columns, n, arena, error));
    for (int64_t i = 0; i < n; i++) {
        bool anchor = count_positives(rows, i) > 0;
        rows->anchors += anchor;
        bool lonely = anchor && count_negatives(rows, i) == 0;
        rows->lonely += lonely;
        rows->pairs += anchor && !lonely ? count_positives(rows, i) : 0;
    }
    return AKIN_OK;
}

akin_status ak_group_rows_init(ak_group_rows *rows, ak_distance distance, const akin_pass *pass,
                               const akin_labels *labels, akin_matrix x, akin_error *error)
{
    int64_t n = labels->count;
    AK_TRY(allocate(rows, n, n, pass->arena, error));
    rows->column_group = rows->group;
    AK_TRY(ak_space_init(&rows->space, distance, pass, x, error));
    if (!rows->space.finite)
        return AKIN_OK;
    AK_TRY(ak_renumber(rows->group, labels->group, n, pass->arena, error));
    AK_TRY(ak_exclude_objects(&rows->exclusions, labels, n, false, pass->arena, error));
    drop_own_group(rows);
    AK_TRY(count_anchors(rows, n, error));
    return rows->anchors ? fill_similarities(rows, error) : AKIN_OK;
}

double ak_group_row_nothing(const ak_group_row *row)
{
    memset(row->negative, 0, (size_t)row->n * sizeof(float));
    memset(row->positive, 0, (size_t)row->positives * sizeof(float));
    return 0;
}

akin_status ak_group_rows_mine(ak_group_rows *rows, ak_mining mining, const akin_pass *pass,
                               akin_error *error)
{
    int threads = omp_get_max_threads();
    if (mining == AK_MINE_ALL)
        return AKIN_OK;
    rows->miner = ak_miner_for(mining, pass, rows->space.rows.columns);
    rows->mined = ak_arena_new(pass->arena, ak_mined, threads);
    rows->mined_scratch = ak_arena_new(pass->arena, float, 2 * rows->columns * threads);
    if (!rows->mined || !rows->mined_scratch)
        return ak_fail_memory(error);
    for (int t = 0; t < threads; t++)
        AK_TRY(ak_mined_init(&rows->mined[t], rows->columns, pass->arena, error));
    return AKIN_OK;
}

/* The loss sees a row of what was chosen; all other derivatives are zero. A row from which nothing
   can be chosen has nothing to say. */
static double run_mined(const ak_group_rows *rows, const ak_group_row *row,
                        ak_group_row_function *function, void *loss)
{
    ak_mined *m = &rows->mined[omp_get_thread_num()];
    ak_miner_choose(&rows->miner, row->query, row->negative, row->n, row->positive, row->positives,
                    m);
    float *negative = row->scratch, *positive = negative + m->negatives;
    ak_group_row small = {.query = row->query,
                          .n = m->negatives,
                          .negative = negative,
                          .negatives = m->negatives,
                          .positive = positive,
                          .positives = m->positives,
                          .scratch = rows->mined_scratch + 2 * row->n * omp_get_thread_num(),
                          .partner = m->partner};
    for (int64_t k = 0; k < m->negatives; k++)
        negative[k] = row->negative[m->negative[k]];
    for (int64_t k = 0; k < m->positives; k++)
        positive[k] = row->positive[m->positive[k]];
    double value = m->positives ? function(loss, &small) : 0;
    (void)ak_group_row_nothing(row);
    for (int64_t k = 0; k < m->negatives; k++)
        row->negative[m->negative[k]] = negative[k];
    for (int64_t k = 0; k < m->positives; k++)
        row->positive[m->positive[k]] = positive[k];
    return value;
}

/* A hole among the positives while they are gathered and put back. */
static const float HOLE = INFINITY;

static void mark_holes(const ak_group_rows *rows, int64_t i, float mark, float *s)
{
    const ak_exclusions *e = &rows->exclusions;
    for (int64_t k = e->start[i]; k < e->start[i + 1]; k++)
        s[e->columns[k]] = mark;
}

/* s: row i's similarities, which become derivatives. */
static double run_row(const ak_group_rows *rows, int64_t i, float *s,
                      ak_group_row_function *function, void *loss)
{
    const int64_t *start = rows->members.start + rows->group[i];
    const int32_t *same = rows->members.list;
    int64_t count = 0;
    float *positive = rows->scratch + 3 * rows->columns * omp_get_thread_num();
    mark_holes(rows, i, HOLE, s);
    for (int64_t m = start[0]; m < start[1]; m++) {
        if (s[same[m]] != HOLE)
            positive[count++] = s[same[m]];
        s[same[m]] = -INFINITY;
    }
    mark_holes(rows, i, -INFINITY, s);
    ak_group_row row = {.query = i,
                        .n = rows->columns,
                        .negative = s,
                        .negatives = count_negatives(rows, i),
                        .positive = positive,
                        .positives = count,
                        .scratch = positive + rows->columns};
    double value = rows->mined ? run_mined(rows, &row, function, loss) : function(loss, &row);
    mark_holes(rows, i, HOLE, s);
    count = 0;
    for (int64_t m = start[0]; m < start[1]; m++)
        if (s[same[m]] != HOLE)
            s[same[m]] = positive[count++];
    mark_holes(rows, i, 0, s);
    return value;
}

static double sum_values(const ak_group_rows *rows, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += rows->values[i];
    return sum;
}

double ak_group_rows_run(ak_group_rows *rows, ak_group_row_function *function, void *loss)
{
    int64_t n = rows->similarity.rows;
#pragma omp parallel for schedule(static) if (n * n >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        rows->values[i] =
            run_row(rows, i, rows->similarity.data + i * rows->similarity.stride, function, loss);
    return sum_values(rows, n);
}

/* ---- against a memory ---- */

akin_status ak_group_rows_init_memory(ak_group_rows *rows, const akin_pass *pass,
                                      const akin_labels *labels, akin_matrix x,
                                      const akin_memory *memory, akin_error *error)
{
    ak_value_index groups;
    int64_t n = labels->count, columns = memory->units.rows;
    AK_TRY(allocate(rows, n, columns, pass->arena, error));
    rows->memory = memory;
    rows->column_group = ak_arena_new(pass->arena, int32_t, columns);
    if (!rows->column_group)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&rows->space, AK_COSINE, pass, x, error));
    if (!rows->space.finite)
        return AKIN_OK;
    AK_TRY(ak_value_index_build(&groups, labels->group, n, pass->arena, error));
    for (int64_t i = 0; i < n; i++)
        rows->group[i] = ak_value_index_find(&groups, labels->group[i]);
    for (int64_t j = 0; j < columns; j++)
        rows->column_group[j] = ak_value_index_find(&groups, memory->group[j]);
    AK_TRY(ak_exclude_memory(&rows->exclusions, labels, memory, pass->arena, error));
    return count_anchors(rows, n, error);
}

typedef struct memory_run {
    const ak_group_rows *rows;
    ak_group_row_function *function;
    void *loss;
} memory_run;

static void memory_row(void *user, int64_t i, float *s)
{
    const memory_run *run = user;
    run->rows->values[i] = run_row(run->rows, i, s, run->function, run->loss);
}

akin_status ak_group_rows_run_memory(ak_group_rows *rows, ak_group_row_function *function,
                                     void *loss, double part, akin_matrix dx, double *value,
                                     akin_error *error)
{
    const ak_space *space = &rows->space;
    int64_t n = space->rows.rows;
    akin_matrix drows = dx.data ? ak_space_gradient(space, dx) : dx;
    memory_run run = {rows, function, loss};
    if (!rows->anchors)
        return ak_loss_nothing(space, dx, value);
    if (dx.data && !drows.data)
        return ak_fail_memory(error);
    AK_TRY(ak_memory_products(space, n, rows->memory, memory_row, &run, (float)part, drows, error));
    *value = sum_values(rows, n) * part;
    if (dx.data)
        ak_space_finish(space, drows, dx);
    return AKIN_OK;
}

akin_status ak_group_rows_backward(ak_group_rows *rows, float factor, akin_matrix dx,
                                   akin_error *error)
{
    if (!dx.data)
        return AKIN_OK;
    return ak_space_backward(&rows->space, rows->distance, rows->similarity, -factor, dx, error);
}
