/* What distilling a model into a static one is made of. */
#ifndef AK_MODEL_DISTILL_H
#define AK_MODEL_DISTILL_H

#include "model/model.h"

/* The tokens that get vectors, in the order of their ids. */
typedef struct ak_token_list {
    const int32_t *ids;
    int64_t count;
} ak_token_list;

/* distill_weights.c: weights[i] of token i, sif / (sif + p), where p is how often it stands in a
   text: as it was counted in `corpus`, or (NULL) as Zipf's law has it. sif 0: 1. */
akin_status ak_distill_weights(float *weights, const akin_context *context,
                               const ak_token_reader *reader, ak_token_list tokens, double sif,
                               const akin_corpus *corpus, akin_error *error);

#endif
