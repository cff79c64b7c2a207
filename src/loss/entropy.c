/* Cross-entropy with the diagonal as target, along rows and columns of one matrix.

   Sums of exponentials need a shift, so that exp neither overflows nor loses everything. Cosines
   are bounded: with l = scale * s in +-scale, the one shift `scale` serves every row and every
   column as long as exp(-2 scale) is far from underflow. Then a single matrix of exponentials gives
   both directions: one pass forward, one backward. Larger scales take the maximum of each row and
   of each column as shifts, and pay with further exponentials.

   Column sums: blocks of rows are summed on their own and added up in the order of the blocks,
   which depends on nothing but the shape. */
#include "loss/entropy.h"

#include "kernels/kernels.h"
#include "loss/space.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 };

/* 2 scale below this: the smallest exponential, e^-60 = 1e-26, keeps all its bits. */
static const double SHARED_LIMIT = 60;

typedef struct tally {
    ak_entropy *e;
    int64_t rows, columns, blocks;
    double *target;      /* rows: l_ii */
    float *row_sum;      /* rows: sums of exp(l_ij - shift) */
    float *block_column; /* blocks x rows: a block's maxima or sums of the first `rows` columns */
    double *column_sum;  /* rows */
} tally;

static akin_status tally_init(tally *t, ak_entropy *e, akin_error *error)
{
    int64_t rows = e->s.rows, columns = e->s.columns, blocks = (rows + BLOCK - 1) / BLOCK;
    *t = (tally){.e = e, .rows = rows, .columns = columns, .blocks = blocks};
    e->shared = 2 * e->scale < SHARED_LIMIT;
    e->row_shift = ak_arena_new(e->arena, float, rows);
    e->column_shift = ak_arena_new(e->arena, float, rows);
    e->row_factor = ak_arena_new(e->arena, float, rows);
    e->column_factor = ak_arena_new(e->arena, float, columns);
    t->target = ak_arena_new(e->arena, double, rows);
    t->row_sum = ak_arena_new(e->arena, float, rows);
    t->column_sum = ak_arena_new(e->arena, double, rows);
    t->block_column = ak_arena_new(e->arena, float, blocks *rows);
    e->scratch = ak_arena_new(e->arena, float, e->shared ? 0 : blocks * 2 * columns);
    bool all = e->row_shift && e->column_shift && e->row_factor && e->column_factor && t->target &&
               t->row_sum && t->column_sum && t->block_column && e->scratch;
    return all ? AKIN_OK : ak_fail_memory(error);
}

static AK_KERNEL void scale_and_shift(const float *x, float scale, float shift, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = x[j] * scale - shift;
}

static AK_KERNEL void subtract(const float *x, const float *shift, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = x[j] - shift[j];
}

static AK_KERNEL void keep_larger(const float *x, float *largest, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        largest[j] = x[j] > largest[j] ? x[j] : largest[j];
}

/* s row i becomes scale * s - shift, with minus infinity where it is excluded: exp makes that 0. */
static float *prepare_row(tally *t, int64_t i, float shift)
{
    const ak_exclusions *exclusions = t->e->exclusions;
    float *row = t->e->s.data + i * t->e->s.stride, scale = (float)t->e->scale;
    for (int64_t x = exclusions->start[i]; x < exclusions->start[i + 1]; x++)
        row[exclusions->columns[x]] = -INFINITY;
    scale_and_shift(row, scale, shift, row, t->columns);
    t->target[i] = (double)row[i] + (double)shift; /* the number that exp sees, rounded as it is */
    return row;
}

static void for_rows(tally *t, int64_t block, void (*what)(tally *, int64_t i, int64_t block))
{
    int64_t last = block * BLOCK + BLOCK < t->rows ? block * BLOCK + BLOCK : t->rows;
    for (int64_t i = block * BLOCK; i < last; i++)
        what(t, i, block);
}

static void for_blocks(tally *t, void (*what)(tally *, int64_t i, int64_t block))
{
#pragma omp parallel for schedule(static) if (t->rows * t->columns >= AK_PARALLEL_FROM)
    for (int64_t block = 0; block < t->blocks; block++)
        for_rows(t, block, what);
}

/* ---- one shift for all ---- */

static void exponentials(tally *t, int64_t i, int64_t block)
{
    float *row = prepare_row(t, i, (float)t->e->scale),
          *columns = t->block_column + block * t->rows;
    ak_exp(row, row, t->columns);
    t->row_sum[i] = ak_sum(row, t->columns);
    if (t->e->symmetric)
        ak_add_scaled(1.0f, row, columns, t->rows);
}

/* ---- a shift for each row and column ---- */

static void logits(tally *t, int64_t i, int64_t block)
{
    float *row = prepare_row(t, i, 0), *scratch = t->e->scratch + block * 2 * t->columns;
    float shift = ak_maximum(row, t->columns);
    scale_and_shift(row, 1.0f, shift, scratch, t->columns);
    ak_exp(scratch, scratch, t->columns);
    t->e->row_shift[i] = shift;
    t->row_sum[i] = ak_sum(scratch, t->columns);
    if (t->e->symmetric)
        keep_larger(row, t->block_column + block * t->rows, t->rows);
}

static void column_exponentials(tally *t, int64_t i, int64_t block)
{
    float *row = t->e->s.data + i * t->e->s.stride,
          *scratch = t->e->scratch + block * 2 * t->columns;
    subtract(row, t->e->column_shift, scratch, t->rows);
    ak_exp(scratch, scratch, t->rows);
    ak_add_scaled(1.0f, scratch, t->block_column + block * t->rows, t->rows);
}

static void fill(float *x, float value, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        x[j] = value;
}

static void column_shifts(tally *t)
{
    memcpy(t->e->column_shift, t->block_column, (size_t)t->rows * sizeof(float));
    for (int64_t block = 1; block < t->blocks; block++)
        keep_larger(t->block_column + block * t->rows, t->e->column_shift, t->rows);
}

/* ---- value and gradient ---- */

static AK_KERNEL void add_to_double(const float *x, double *sum, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        sum[j] += (double)x[j];
}

static void sum_columns(tally *t)
{
    memset(t->column_sum, 0, (size_t)t->rows * sizeof(double));
    for (int64_t block = 0; block < t->blocks; block++)
        add_to_double(t->block_column + block * t->rows, t->column_sum, t->rows);
}

/* log sum exp - target, never below 0 but for rounding. */
static double surprise(double sum, float shift, double target)
{
    double value = log(sum) + (double)shift - target;
    return value < 0 ? 0 : value;
}

/* Rows of weight 0 may be without a single term: their logarithm is not taken. */
static double finish(tally *t)
{
    ak_entropy *e = t->e;
    double value = 0, part = e->symmetric ? 0.5 : 1.0;
    fill(e->column_factor, 0, t->columns);
    for (int64_t i = 0; i < t->rows; i++) {
        double weight = part * (double)e->weight[i];
        e->row_factor[i] = 0;
        if (weight == 0)
            continue;
        double sum = (double)t->row_sum[i];
        value += weight * surprise(sum, e->row_shift[i], t->target[i]);
        e->row_factor[i] = (float)(e->scale * weight / sum);
        if (!e->symmetric)
            continue;
        sum = t->column_sum[i];
        value += weight * surprise(sum, e->column_shift[i], t->target[i]);
        e->column_factor[i] = (float)(e->scale * weight / sum);
    }
    return value;
}

akin_status ak_entropy_forward(ak_entropy *entropy, double *value, akin_error *error)
{
    tally t;
    AK_TRY(tally_init(&t, entropy, error));
    if (entropy->shared) {
        fill(entropy->row_shift, (float)entropy->scale, t.rows);
        fill(entropy->column_shift, (float)entropy->scale, t.rows);
        fill(t.block_column, 0, t.blocks * t.rows);
        for_blocks(&t, exponentials);
    } else {
        fill(t.block_column, -INFINITY, t.blocks * t.rows);
        for_blocks(&t, logits);
        if (entropy->symmetric) {
            column_shifts(&t);
            fill(t.block_column, 0, t.blocks * t.rows);
            for_blocks(&t, column_exponentials);
        }
    }
    if (entropy->symmetric)
        sum_columns(&t);
    *value = finish(&t);
    return AKIN_OK;
}

/* e = e * (a + b) of the exponentials of a row; beyond `rows` columns b is 0. */
static AK_KERNEL void combine(float *e, float row, const float *column, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        e[j] *= row + column[j];
}

static AK_KERNEL void combine_split(const float *by_row, float row, const float *by_column,
                                    const float *column, float *out, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        out[j] = by_row[j] * row + by_column[j] * column[j];
}

/* The columns beyond `rows` belong to no column sum; by_column is set to 0 there. */
static void backward_split(const ak_entropy *e, float *row, int64_t i, float *by_row,
                           float *by_column)
{
    int64_t rows = e->s.rows, columns = e->s.columns;
    scale_and_shift(row, 1.0f, e->row_shift[i], by_row, columns);
    ak_exp(by_row, by_row, columns);
    fill(by_column, 0, columns);
    if (e->symmetric) {
        subtract(row, e->column_shift, by_column, rows);
        ak_exp(by_column, by_column, rows);
    }
    combine_split(by_row, e->row_factor[i], by_column, e->column_factor, row, columns);
}

void ak_entropy_backward(ak_entropy *e)
{
    int64_t rows = e->s.rows, columns = e->s.columns, blocks = (rows + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (rows * columns >= AK_PARALLEL_FROM)
    for (int64_t block = 0; block < blocks; block++) {
        float *scratch = e->scratch + block * 2 * columns;
        int64_t last = block * BLOCK + BLOCK < rows ? block * BLOCK + BLOCK : rows;
        for (int64_t i = block * BLOCK; i < last; i++) {
            float *row = e->s.data + i * e->s.stride;
            if (e->shared)
                combine(row, e->row_factor[i], e->column_factor, columns);
            else
                backward_split(e, row, i, scratch, scratch + columns);
            row[i] -= (float)e->scale * e->weight[i];
        }
    }
}
