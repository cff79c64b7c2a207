/* Bags of table rows, as torch.nn.EmbeddingBag with mode mean: of few rows out of many. Forward
   goes bag by bag; backward goes row by row over the same list turned round, so that every sum has
   one order and one thread, and a row's gradient is written once. */
#include "nn/nn.h"

#include <string.h>

enum { AHEAD = 8, LINE = 16 };

/* Wants all lines of a row, which is read once and from far away. */
static inline void fetch(const float *row, int64_t d)
{
    for (int64_t j = 0; j < d; j += LINE)
        __builtin_prefetch(row + j, 0, 3);
}

AK_KERNEL static void add_four(const float *restrict a, const float *restrict b,
                               const float *restrict c, const float *restrict e, float *restrict y,
                               int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] += (a[j] + b[j]) + (c[j] + e[j]);
}

AK_KERNEL static void add_one(const float *restrict a, float *restrict y, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] += a[j];
}

AK_KERNEL static void scale(float *y, float factor, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] *= factor;
}

AK_KERNEL static void set_scaled(const float *restrict x, float factor, float *restrict y,
                                 int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] = x[j] * factor;
}

AK_KERNEL static void add_scaled(const float *restrict x, float factor, float *restrict y,
                                 int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] += x[j] * factor;
}

void ak_bag_mean(const float *table, const int32_t *rows, int64_t count, float *y, int64_t d)
{
    int64_t i = 0;
    memset(y, 0, (size_t)d * sizeof *y);
    for (int64_t k = 0; k < AHEAD && k < count; k++)
        fetch(table + rows[k] * d, d);
    for (; i + 4 <= count; i += 4) {
        for (int64_t k = i + AHEAD; k < i + AHEAD + 4 && k < count; k++)
            fetch(table + rows[k] * d, d);
        add_four(table + rows[i] * d, table + rows[i + 1] * d, table + rows[i + 2] * d,
                 table + rows[i + 3] * d, y, d);
    }
    for (; i < count; i++)
        add_one(table + rows[i] * d, y, d);
    if (count)
        scale(y, 1 / (float)count, d);
}

void ak_bags_forward(const ak_bags *bags, const float *table, akin_matrix y)
{
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < y.rows; i++) {
        int64_t first = bags->start[i], count = bags->start[i + 1] - first;
        ak_bag_mean(table, bags->rows + first, count, y.data + i * y.stride, y.columns);
    }
}

akin_status ak_bags_turn(ak_bags *bags, int64_t table_rows, akin_arena *arena, akin_error *error)
{
    int64_t uses = bags->start[bags->count];
    int32_t *number = ak_arena_new(arena, int32_t, table_rows); /* of a row among the distinct */
    int32_t *row = ak_arena_new(arena, int32_t, uses + 1);
    int64_t *use_start = ak_arena_new(arena, int64_t, uses + 2);
    int32_t *use = ak_arena_new(arena, int32_t, uses + 1);
    if (!number || !row || !use_start || !use)
        return ak_fail_memory(error);
    int32_t distinct = 0;
    memset(number, -1, (size_t)table_rows * sizeof *number);
    for (int64_t i = 0; i < uses; i++) {
        int32_t *n = &number[bags->rows[i]];
        if (*n < 0) {
            use_start[distinct + 1] = 0;
            row[distinct] = bags->rows[i];
            *n = distinct++;
        }
        use_start[*n + 1]++;
    }
    use_start[0] = 0;
    for (int32_t n = 0; n < distinct; n++)
        use_start[n + 1] += use_start[n];
    for (int64_t b = bags->count - 1, i = uses - 1; b >= 0; b--) /* from the end: in place */
        for (; i >= bags->start[b]; i--)
            use[--use_start[number[bags->rows[i]] + 1]] = (int32_t)b;
    for (int32_t n = 0; n < distinct; n++) /* every start has moved to the one before */
        use_start[n] = use_start[n + 1];
    use_start[distinct] = uses;
    bags->distinct = distinct;
    bags->row = row;
    bags->use_start = use_start;
    bags->use = use;
    return AKIN_OK;
}

akin_status ak_bags_backward(const ak_bags *bags, akin_matrix dy, akin_parameters *parameters,
                             int number, akin_arena *arena, akin_error *error)
{
    float **grads = ak_arena_new(arena, float *, bags->distinct);
    bool *fresh = ak_arena_new(arena, bool, bags->distinct);
    if (!grads || !fresh)
        return ak_fail_memory(error);
    ak_parameters_touch(parameters, number, bags->row, bags->distinct, grads, fresh);
#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t n = 0; n < bags->distinct; n++)
        for (int64_t u = bags->use_start[n]; u < bags->use_start[n + 1]; u++) {
            int64_t b = bags->use[u];
            float factor = 1 / (float)(bags->start[b + 1] - bags->start[b]);
            const float *d = dy.data + b * dy.stride;
            if (fresh[n] && u == bags->use_start[n])
                set_scaled(d, factor, grads[n], dy.columns);
            else
                add_scaled(d, factor, grads[n], dy.columns);
        }
    return AKIN_OK;
}
