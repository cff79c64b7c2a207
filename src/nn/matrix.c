/* Matrix views: a pointer, a shape and a stride. They own nothing. */
#include "nn/nn.h"

akin_matrix ak_matrix(float *data, int64_t rows, int64_t columns)
{
    return (akin_matrix){.data = data, .rows = rows, .columns = columns, .stride = columns};
}

akin_matrix ak_matrix_rows(akin_matrix x, int64_t first, int64_t count)
{
    if (x.data)
        x.data += first * x.stride;
    x.rows = count;
    return x;
}

akin_matrix ak_matrix_columns(akin_matrix x, int64_t first, int64_t count)
{
    if (x.data)
        x.data += first;
    x.columns = count;
    return x;
}

akin_matrix ak_matrix_new(akin_arena *arena, int64_t rows, int64_t columns)
{
    int64_t size;
    if (rows < 0 || columns < 0 || __builtin_mul_overflow(rows, columns, &size))
        return ak_matrix(NULL, rows, columns);
    return ak_matrix(ak_arena_new(arena, float, size), rows, columns);
}
