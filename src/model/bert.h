/* The BERT transformer (Devlin et al., 2019) over packed sequences: the tokens of many texts end to
   end, no padding, so that a text's vector does not depend on its neighbours. Compute only: folders,
   tokenizers and options are transformer.c's business. */
#ifndef AK_MODEL_BERT_H
#define AK_MODEL_BERT_H

#include "base/base.h"
#include "base/safetensors.h"
#include "kernels/kernels.h"

typedef struct ak_bert_config {
    int64_t vocabulary, hidden, intermediate, positions, types;
    int layers, heads;
    double layer_norm_epsilon;
    ak_activation activation;
} ak_bert_config;

typedef enum ak_pooling {
    AK_POOLING_CLS = 1 << 0,
    AK_POOLING_MAX = 1 << 1,
    AK_POOLING_MEAN = 1 << 2,
    AK_POOLING_MEAN_SQRT_LENGTH = 1 << 3,
    AK_POOLING_WEIGHTED_MEAN = 1 << 4,
    AK_POOLING_LAST_TOKEN = 1 << 5,
} ak_pooling;

/* Text i is ids[start[i] .. start[i + 1]); its first skip[i] tokens (a prompt) do not take part in
   pooling; skip NULL: none. Every text has at least one token that does. */
typedef struct ak_tokens {
    int64_t texts;
    const int32_t *ids;
    const int64_t *start;
    const int32_t *skip;
} ak_tokens;

typedef struct ak_bert ak_bert;

/* Packs the weights. `name` is what messages call the file; tensors are looked up as they are and
   with the prefix "bert."; missing tensors and wrong shapes are named. */
akin_status ak_bert_create(ak_bert **out, const ak_bert_config *config,
                           const ak_safetensors *weights, const char *name,
                           akin_precision precision, akin_error *error);
void ak_bert_free(ak_bert *bert);

/* y: texts x (hidden times the number of poolings set in `pooling`, concatenated in the order of the
   bits, which is sentence-transformers' order). Threads: yes. All cores. */
akin_status ak_bert_forward(const ak_bert *bert, const ak_tokens *tokens, int pooling,
                            akin_matrix y, akin_error *error);

#endif
