#include "kernels/drop.h"

#include "kernels/kernels.h"

AK_KERNEL void ak_drop_row(const float *x, float *y, int64_t d, uint64_t bits, uint32_t threshold,
                           float scale)
{
    uint32_t before = (uint32_t)bits, within = (uint32_t)(bits >> 32);
    for (int64_t j = 0; j < d; j++)
        y[j] = ak_drop_hash((uint32_t)j, before, within) >= threshold ? x[j] * scale : 0;
}
