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
    const float *words, *places, *types; /* vocabulary, positions, types x hidden */
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

#endif
