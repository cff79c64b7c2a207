#include "base/random.h"

#include <math.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t ak_random(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint64_t key = mix(seed + 0x9e3779b97f4a7c15u) ^ mix(stream * 0xd1342543de82ef95u + 1);
    return mix(key + counter * 0x9e3779b97f4a7c15u);
}

double ak_random_uniform(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return (double)(ak_random(seed, stream, counter) >> 11) * 0x1p-53;
}

/* Box-Muller on two draws of the same counter. */
double ak_random_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
    double u = 1.0 - ak_random_uniform(seed, stream, 2 * counter);
    double v = ak_random_uniform(seed, stream, 2 * counter + 1);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

uint64_t ak_random_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)ak_random(seed, stream, counter) * limit) >> 64);
}

void ak_random_permutation(uint64_t seed, uint64_t stream, int64_t *order, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)ak_random_below(seed, stream, (uint64_t)i, (uint64_t)i + 1);
        int64_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}
