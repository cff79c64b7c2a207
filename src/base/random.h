/* Counter-based random numbers: a value is a pure function of (seed, stream, counter), so that a
   resumed run, or another thread, draws the same numbers (Salmon et al., 2011: Philox 2x64-10 idea;
   here the SplitMix64 finaliser over the mixed words, Steele et al., 2014). */
#ifndef AK_BASE_RANDOM_H
#define AK_BASE_RANDOM_H

#include "base/error.h"

uint64_t ak_random(uint64_t seed, uint64_t stream, uint64_t counter);
double ak_random_uniform(uint64_t seed, uint64_t stream, uint64_t counter); /* [0, 1) */
double ak_random_normal(uint64_t seed, uint64_t stream, uint64_t counter);  /* mean 0, sd 1 */
uint64_t ak_random_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t limit);

/* Fisher-Yates: fills order[0..n) with a permutation of 0..n-1. */
void ak_random_permutation(uint64_t seed, uint64_t stream, int64_t *order, int64_t n);

#endif
