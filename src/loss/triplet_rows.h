/* All triplets of one anchor by sorting and counting, never one by one. */
#ifndef AK_LOSS_TRIPLET_ROWS_H
#define AK_LOSS_TRIPLET_ROWS_H

#include "base/base.h"

typedef struct ak_keyed {
    uint32_t key;
    int32_t at;
} ak_keyed;

/* Unsigned numbers in the order of the floats. */
uint32_t ak_sort_key(float x);
/* Ascending by key, stable. scratch: n places. */
void ak_sort_keyed(ak_keyed *items, ak_keyed *scratch, int64_t n);

typedef struct ak_triplet_scratch { /* for one thread; n rows in the batch */
    float *distance;                /* n */
    float *table;                   /* a power of two above n */
    double *threshold;              /* n */
    int32_t *rank;                  /* n */
    int32_t *bucket;                /* n + 1 */
    ak_keyed *positives, *spare;    /* n each */
} ak_triplet_scratch;

akin_status ak_triplet_scratch_init(ak_triplet_scratch *scratch, int64_t n, akin_arena *arena,
                                    akin_error *error);

typedef struct ak_triplet_row {
    const float *distance; /* n: to the anchor, in any shift: only differences count */
    int64_t n;
    int64_t anchor;
    const int32_t *group; /* rows of the anchor's group, the anchor too */
    int64_t group_size;
    const int32_t *excluded; /* further rows that are no negatives */
    int64_t excluded_count;
} ak_triplet_row;

typedef struct ak_triplet_sum {
    double loss;
    double count;
} ak_triplet_sum;

/* Both write weight (n, may be the row's distances): d loss / d distance, whole numbers.

   all: every [D_ap - D_an + margin]+ that is positive; count: how many those are. */
ak_triplet_sum ak_triplet_row_all(const ak_triplet_row *row, double margin,
                                  ak_triplet_scratch *scratch, float *weight);
/* semi-hard: [D_ap - D_an + margin]+ for every p, with the nearest n that is farther than p, or the
   farthest n where none is; count: the p's of an anchor that has negatives. */
ak_triplet_sum ak_triplet_row_semi_hard(const ak_triplet_row *row, double margin,
                                        ak_triplet_scratch *scratch, float *weight);

#endif
