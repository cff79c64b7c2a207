/* Scored pairs: what correlations and thresholds are measured on. */
#ifndef AK_EVAL_PAIRS_H
#define AK_EVAL_PAIRS_H

#include "eval/trial.h"

typedef struct ak_scored_pairs {
    int64_t count;
    const int64_t *a, *b; /* rows of the embeddings */
    const float *score;
} ak_scored_pairs;

/* Embeddings are a row per content of the table. sample_size > 0: so many pairs, drawn by `seed`. */
akin_status ak_pairs_of_table(ak_scored_pairs *out, const ak_table *table, int64_t sample_size,
                              uint64_t seed, akin_arena *arena, akin_error *error);
/* The same of one batch; embeddings are a row per object of the batch. */
akin_status ak_pairs_of_labels(ak_scored_pairs *out, const akin_labels *labels, akin_arena *arena,
                               akin_error *error);
/* Cosine similarities of the pairs. */
akin_status ak_pairs_similarities(float **out, const ak_scored_pairs *pairs, const ak_sides *x,
                                  akin_arena *arena, akin_error *error);

#endif
