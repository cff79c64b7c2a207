/* What bert.c loads and bert_forward.c runs, and what training shares with them. */
#ifndef AK_MODEL_BERT_INTERNAL_H
#define AK_MODEL_BERT_INTERNAL_H

#include "model/bert.h"

#include <stdatomic.h>
#include <stdio.h>

typedef struct ak_bert_norm {
    const float *gain, *shift;
} ak_bert_norm;

typedef struct ak_bert_layer {
    ak_packed *query, *key, *value, *mix, *up, *down;
    ak_bert_norm mix_norm, down_norm;
} ak_bert_layer;

typedef struct ak_bert_workspace ak_bert_workspace;

struct ak_bert {
    ak_bert_config config;
    akin_precision precision;
    ak_safetensors *mapping;
    akin_arena *arena;
    const float *words, *places; /* vocabulary, positions x hidden */
    const float *types;          /* types x hidden; NULL: it has none */
    float *distances;            /* heads x (2 positions - 1), for ak_attention; NULL: none */
    ak_bert_norm norm;
    ak_bert_layer *layers;
    void *packed; /* all layers' matrices, in the order of their use */
    _Atomic(ak_bert_workspace *) spare; /* the last forward's memory, for the next */
};

/* Every text has a token that takes part in pooling, and none has more than there are positions.
   *longest: the most tokens of a text. */
akin_status ak_bert_check_tokens(const ak_bert_config *config, const ak_tokens *tokens,
                                 int64_t *longest, akin_error *error);

/* ---- bert_pooling.c: the rows of one text (n x d) become its vector ---- */

/* kinds: bits of ak_pooling. The first `skip` rows do not take part. y: d floats a kind. */
void ak_bert_pool(int kinds, const float *x, int64_t n, int64_t skip, int64_t d, float *y);
/* dx (n x d) is written. x: what was pooled, read for the maximum only. */
void ak_bert_pool_backward(int kinds, const float *x, const float *dy, int64_t n, int64_t skip,
                           int64_t d, float *dx);

/* ---- bert_distances.c: numbers of buckets of distances ---- */

/* The buckets of the distances 1 - n .. n - 1 of a key from its query. */
void ak_bert_buckets(int64_t n, int32_t *buckets);
/* positions (heads x count): the number of each distance's bucket, from table (buckets x heads). */
void ak_bert_spread_buckets(const float *table, const int32_t *buckets, int64_t count, int heads,
                            float *positions);
/* sums (buckets): those of the numbers of each bucket's distances. */
void ak_bert_sum_buckets(const float *positions, const int32_t *buckets, int64_t count,
                         float *sums);
/* A head's row, where distance 0 is: what ak_attention takes. NULL: of none. */
static inline const float *ak_bert_head_positions(const float *positions, const ak_bert_config *c,
                                                  int64_t head)
{
    return positions ? positions + head * (2 * c->positions - 1) + c->positions - 1 : NULL;
}

#endif
