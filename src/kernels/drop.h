/* What becomes of one element under dropout: no mask is stored, an element's fate is a hash of its
   row's 64 random bits and its column, which backward computes again. The columns are counters into
   a 32-bit finaliser (Wellons' lowbias32, 2018), which is four cheap vector instructions, with half
   of the row's bits added before and half mixed in between its multiplications, so that two rows'
   masks are not shifted copies of each other. */
#ifndef AK_KERNELS_DROP_H
#define AK_KERNELS_DROP_H

#include <stdint.h>

static inline __attribute__((always_inline)) uint32_t ak_drop_hash(uint32_t column, uint32_t before,
                                                                   uint32_t within)
{
    uint32_t h = column * 0x9e3779b9u + before;
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= within;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
}

#endif
