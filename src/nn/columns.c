/* Sums down the columns of a matrix (gradients of biases and gates) and products with a row.

   Blocks of 32 columns are what threads share, so a column's sum has one order for any number of
   threads: runs of 64 rows in registers, then the runs. The runs also keep the rounding error of a
   float32 sum over thousands of rows small. */
#include "nn/nn.h"

enum { BLOCK = 32, RUN = 64, PARALLEL_FROM = 1 << 15 };

typedef float block_row __attribute__((vector_size(BLOCK * 4), aligned(4), may_alias));

AK_KERNEL static void sum_block(akin_matrix x, float *sums)
{
    block_row total = {0};
    for (int64_t first = 0; first < x.rows; first += RUN) {
        int64_t end = first + RUN < x.rows ? first + RUN : x.rows;
        block_row run = {0};
        for (int64_t i = first; i < end; i++)
            run += *(const block_row *)(x.data + i * x.stride);
        total += run;
    }
    *(block_row *)sums += total;
}

AK_KERNEL static void dot_block(akin_matrix x, akin_matrix y, float *dots)
{
    block_row total = {0};
    for (int64_t first = 0; first < x.rows; first += RUN) {
        int64_t end = first + RUN < x.rows ? first + RUN : x.rows;
        block_row run = {0};
        for (int64_t i = first; i < end; i++)
            run += *(const block_row *)(x.data + i * x.stride) *
                   *(const block_row *)(y.data + i * y.stride);
        total += run;
    }
    *(block_row *)dots += total;
}

/* The last columns, fewer than a block: `y.data` NULL sums, else multiplies. */
AK_KERNEL static void narrow_block(akin_matrix x, akin_matrix y, float *sums)
{
    float total[BLOCK] = {0};
    for (int64_t first = 0; first < x.rows; first += RUN) {
        int64_t end = first + RUN < x.rows ? first + RUN : x.rows;
        float run[BLOCK] = {0};
        for (int64_t i = first; i < end; i++) {
            const float *row = x.data + i * x.stride;
            const float *other = y.data ? y.data + i * y.stride : NULL;
            for (int64_t j = 0; j < x.columns; j++)
                run[j] += other ? row[j] * other[j] : row[j];
        }
        for (int64_t j = 0; j < x.columns; j++)
            total[j] += run[j];
    }
    for (int64_t j = 0; j < x.columns; j++)
        sums[j] += total[j];
}

static void reduce_columns(akin_matrix x, akin_matrix y, float *sums)
{
    int64_t blocks = (x.columns + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= PARALLEL_FROM)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t first = b * BLOCK;
        int64_t width = first + BLOCK < x.columns ? BLOCK : x.columns - first;
        akin_matrix part = ak_matrix_columns(x, first, width);
        akin_matrix other = ak_matrix_columns(y, first, width);
        if (width < BLOCK)
            narrow_block(part, other, sums + first);
        else if (y.data)
            dot_block(part, other, sums + first);
        else
            sum_block(part, sums + first);
    }
}

void ak_column_sums(akin_matrix x, float *sums)
{
    reduce_columns(x, (akin_matrix){.columns = x.columns}, sums);
}

void ak_column_dots(akin_matrix x, akin_matrix y, float *dots)
{
    reduce_columns(x, y, dots);
}

AK_KERNEL static void scale_row(const float *x, const float *factors, float *y, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] = x[j] * factors[j];
}

void ak_scale_columns(akin_matrix x, const float *factors, akin_matrix y)
{
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < x.rows; i++)
        scale_row(x.data + i * x.stride, factors, y.data + i * y.stride, x.columns);
}
