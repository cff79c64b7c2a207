/* What attention adds to a score for the distance of key and query, as MPNet (Song et al., 2020)
   took it from T5 (Raffel et al., 2020): each head has a number for each of 32 buckets of
   distances, which all layers share. Half of the buckets are for keys behind the query; of 16,
   eight are for the distances 0 to 7, and eight, each half an octave wide, for those up to 128 and
   beyond. */
#include "model/bert_internal.h"

#include <string.h>

enum { SIDE = AK_BUCKETS / 2, EXACT = SIDE / 2 };

/* 8 + floor(2 log2(n / 8)) without rounding: n^2 / 64 is taken apart into octaves. */
static int bucket_of(int64_t distance)
{
    int64_t n = distance < 0 ? -distance : distance, square = n * n;
    int bucket = EXACT;
    if (n < EXACT)
        bucket = (int)n;
    else
        while (bucket < SIDE - 1 && square >= 2 * EXACT * EXACT) {
            square /= 2;
            bucket++;
        }
    return distance > 0 ? SIDE + bucket : bucket;
}

void ak_bert_buckets(int64_t n, int32_t *buckets)
{
    for (int64_t distance = 1 - n; distance < n; distance++)
        buckets[distance + n - 1] = bucket_of(distance);
}

void ak_bert_spread_buckets(const float *table, const int32_t *buckets, int64_t count, int heads,
                            float *positions)
{
    for (int head = 0; head < heads; head++)
        for (int64_t i = 0; i < count; i++)
            positions[head * count + i] = table[buckets[i] * heads + head];
}

void ak_bert_sum_buckets(const float *positions, const int32_t *buckets, int64_t count, float *sums)
{
    memset(sums, 0, AK_BUCKETS * sizeof *sums);
    for (int64_t i = 0; i < count; i++)
        sums[buckets[i]] += positions[i];
}
