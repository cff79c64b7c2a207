/* Sums in a fixed order: lane l of 16 takes the elements l, l + 16, ...; four such groups of lanes
   in turn hide the latency of the addition; a tree adds the lanes. Every instruction set does the
   same additions. */
#ifndef AK_KERNELS_REDUCE_H
#define AK_KERNELS_REDUCE_H

#include "kernels/tile.h"

#include <string.h>

#define AK_REDUCE static inline __attribute__((always_inline))

/* The last n < 16 elements, the rest zero. */
AK_REDUCE ak_v16 ak_load_tail(const float *x, int64_t n)
{
    float lanes[16] = {0};
    memcpy(lanes, x, (size_t)n * sizeof *x);
    return *(const ak_v16 *)lanes;
}

AK_REDUCE float ak_add_lanes(const ak_v16 *sum) /* by address: see tile.h's pragma */
{
    float lanes[16];
    *(ak_v16 *)lanes = *sum;
    for (int width = 8; width; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

#define AK_LOAD(x) (*(const ak_v16 *)(x))

/* TERM(x, y) of two vectors, summed over n elements of a and b. */
#define AK_REDUCE_SUM(TERM, a, b, n)                                                               \
    ({                                                                                             \
        ak_v16 sum_[4] = {0};                                                                      \
        int64_t i_ = 0;                                                                            \
        for (; i_ + 64 <= (n); i_ += 64)                                                           \
            for (int g_ = 0; g_ < 4; g_++)                                                         \
                sum_[g_] += TERM(AK_LOAD((a) + i_ + 16 * g_), AK_LOAD((b) + i_ + 16 * g_));        \
        for (; i_ + 16 <= (n); i_ += 16)                                                           \
            sum_[0] += TERM(AK_LOAD((a) + i_), AK_LOAD((b) + i_));                                 \
        if (i_ < (n))                                                                              \
            sum_[1] += TERM(ak_load_tail((a) + i_, (n)-i_), ak_load_tail((b) + i_, (n)-i_));       \
        sum_[0] = (sum_[0] + sum_[1]) + (sum_[2] + sum_[3]);                                       \
        ak_add_lanes(sum_);                                                                        \
    })

#endif
