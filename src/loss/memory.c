/* Products of a batch with a memory. A block of rows of cosines fits into the second-level caches
   between the product that makes it, the loss that turns it into derivatives, and the product that
   takes it back to the embeddings; all rows of a batch of 1024 with a memory of 10,000 would be 41
   MB that go to main memory and back several times. */
#include "loss/memory.h"

enum { BLOCK = 64 };

akin_status ak_memory_products(const ak_space *space, int64_t rows, const akin_memory *memory,
                               ak_memory_row_function *function, void *user, float factor,
                               akin_matrix drows, akin_error *error)
{
    akin_matrix m = memory->units, x = space->rows;
    int64_t block = rows < BLOCK ? rows : BLOCK;
    akin_matrix s = ak_matrix_new(space->arena, block, m.rows);
    if (!s.data)
        return ak_fail_memory(error);
    for (int64_t first = 0; first < rows; first += block) {
        int64_t count = rows - first < block ? rows - first : block;
        ak_gemm(space->precision, AK_PLAIN, AK_TRANSPOSED, count, m.rows, m.columns, 1,
                x.data + first * x.stride, x.stride, m.data, m.stride, 0, s.data, s.stride);
#pragma omp parallel for schedule(static) if (count * m.rows >= AK_PARALLEL_FROM)
        for (int64_t i = 0; i < count; i++)
            function(user, first + i, s.data + i * s.stride);
        if (drows.data)
            ak_gemm(space->precision, AK_PLAIN, AK_PLAIN, count, m.columns, m.rows, factor, s.data,
                    s.stride, m.data, m.stride, 0, drows.data + first * drows.stride, drows.stride);
    }
    return AKIN_OK;
}
