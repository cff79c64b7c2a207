/* Inverted dropout (Srivastava et al., 2014): y = x / (1 - p) with probability 1 - p, else 0. An
   element's fate is a hash of (seed, step, stream, row, column); a row's 64 bits come from
   base/random.h, the rest is in kernels/drop.h. */
#include "nn/nn.h"

#include "kernels/kernels.h"

#include <string.h>

enum { PARALLEL_FROM = 1 << 14 };

static void drop_all(akin_matrix y)
{
    for (int64_t i = 0; i < y.rows; i++)
        memset(y.data + i * y.stride, 0, (size_t)y.columns * sizeof(float));
}

void ak_dropout(akin_matrix x, akin_matrix y, double p, const akin_pass *pass, uint64_t stream)
{
    if (!pass->training || p <= 0) {
        if (x.data != y.data)
            ak_matrix_copy(x, y);
        return;
    }
    if (p >= 1) {
        drop_all(y);
        return;
    }
    uint64_t key = ak_random(pass->seed, stream, pass->step);
    uint32_t threshold = (uint32_t)(p * 0x1p32);
    float scale = (float)(1 / (1 - p));
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < x.rows; i++) {
        uint64_t bits = ak_random(key, stream, (uint64_t)i);
        ak_drop_row(x.data + i * x.stride, y.data + i * y.stride, x.columns, bits, threshold,
                    scale);
    }
}

akin_status ak_dropout_new(akin_matrix *y, akin_matrix x, double p, const akin_pass *pass,
                           uint64_t stream, akin_error *error)
{
    *y = x;
    if (!pass->training || p <= 0)
        return AKIN_OK;
    akin_matrix fresh = ak_matrix_new(pass->arena, x.rows, x.columns);
    if (!fresh.data)
        return ak_fail_memory(error);
    ak_dropout(x, fresh, p, pass, stream);
    *y = fresh;
    return AKIN_OK;
}
