/* Fast scores: float32 products of queries with many rows that are read once, from memory. Queries
   are packed, 32 to a panel that stays in the cache; rows of base are used where they lie. */
#ifndef AK_KERNELS_SCORE_H
#define AK_KERNELS_SCORE_H

#include "kernels/kernels.h"

enum {
    AK_SCORE_QUERIES = 32, /* of one panel */
    AK_SCORE_ROWS = 112,   /* most rows of base in one call */
};

/* Panels for ak_score: (count + 31) / 32 of dim x 32 floats, 64-byte aligned. */
void ak_score_pack(const float *queries, int64_t count, int64_t dim, float *panels);

/* scores[j * 32 + i] = query i . base row j, about, i < count <= 32, j < rows; the other columns
   are not defined. queries: the rows that `panel` was made of. Meanwhile `ahead` rows from `next`
   on are fetched into the cache. On the calling thread. */
void ak_score(const float *queries, int64_t count, const float *panel, const float *base,
              int64_t rows, int64_t dim, float *scores);

/* The first row >= `row` (and < rows, else `rows`) in which some score is not below its column's
   threshold; NaN is not below. */
int64_t ak_score_next(const float *scores, int64_t row, int64_t rows, const float *thresholds);

#endif
