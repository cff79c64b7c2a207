/* The BERT transformer (Devlin et al., 2019) over packed sequences: the tokens of many texts end to
   end, no padding, so that a text's vector does not depend on its neighbours. Compute only: folders,
   tokenizers and options are transformer.c's business. */
#ifndef AK_MODEL_BERT_H
#define AK_MODEL_BERT_H

#include "base/base.h"
#include "base/safetensors.h"
#include "kernels/kernels.h"

typedef enum ak_architecture {
    AK_BERT, /* and RoBERTa, which has the same parts */
    AK_DISTILBERT,
    AK_MPNET,
} ak_architecture;

#define AK_BUCKETS 32 /* of distances of tokens (MPNet) */

typedef struct ak_bert_config {
    ak_architecture architecture;
    int64_t vocabulary, hidden, intermediate, positions;
    int64_t types; /* of tokens, where the architecture has them */
    int64_t first_position; /* row of a text's first token in the table: 0; RoBERTa: behind padding */
    int layers, heads;
    double layer_norm_epsilon;
    ak_activation activation;
    double hidden_dropout, attention_dropout; /* while training */
    const char *adapter; /* a folder of adapter.h that is added to the weights; NULL: none */
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
    const float *entry; /* training: what ak_bert_train_stem gave for them; NULL: it is computed */
} ak_tokens;

typedef struct ak_bert ak_bert;

/* Packs the weights. `name` is what messages call the file; missing tensors and wrong shapes are
   named. */
akin_status ak_bert_create(ak_bert **out, const ak_bert_config *config,
                           const ak_safetensors *weights, const char *name,
                           akin_precision precision, akin_error *error);
void ak_bert_free(ak_bert *bert);

/* y: texts x (hidden times the number of poolings set in `pooling`, concatenated in the order of the
   bits, which is sentence-transformers' order). Threads: yes. All cores. */
akin_status ak_bert_forward(const ak_bert *bert, const ak_tokens *tokens, int pooling,
                            akin_matrix y, akin_error *error);

/* ---- bert_train.c: a BERT whose weights are parameters ----

   Forward and backward go over all tokens of a batch at once; products are ak_gemm's. All results
   have the same bits for any number of threads. */

typedef struct ak_bert_train_options {
    bool tables;          /* train the tables of words, positions and types too */
    int layers;           /* the last so many layers are trained and nothing below; -1: all */
    const char *freeze;   /* patterns (fnmatch) of tensors to leave alone, with commas, or NULL */
    double dropout;       /* of hidden states and attention; -1: the config's */
    double lr_factor;     /* of every parameter, see akin_parameter */
    double layer_decay;   /* times lr_factor, once for every layer above */
    int lora_rank;        /* 0: none; else matrices change by B A of this rank, see bert_lora.c;
                             the config's adapter is where A and B start */
    double lora_alpha;    /* B A is multiplied by lora_alpha / lora_rank */
    const char *lora_targets; /* patterns of the matrices, with commas; NULL: queries and values */
    bool recompute;       /* activations are computed again: half the memory, a third more time */
} ak_bert_train_options;

typedef struct ak_bert_train ak_bert_train;

/* Adds the trained tensors to `parameters` (not sealed yet) under the checkpoint's names; `start`
   gives them the checkpoint's values after the seal. Tensors that a BERT of this config has not are
   AKIN_ERR_MISMATCH. Parameters must outlive *out; `weights` need not. */
akin_status ak_bert_train_create(ak_bert_train **out, const ak_bert_config *config,
                                 const ak_safetensors *weights,
                                 const ak_bert_train_options *options, akin_parameters *parameters,
                                 akin_error *error);
void ak_bert_train_start(ak_bert_train *bert);
void ak_bert_train_free(ak_bert_train *bert);

/* The stem: what lies below the lowest trained tensor, if that is a whole layer or more. Nothing in
   it changes or is dropped, so that its output, `hidden` numbers a token, may be kept. */
bool ak_bert_train_has_stem(const ak_bert_train *bert);
/* rows: tokens x hidden, contiguous; what enters the first trained layer. */
akin_status ak_bert_train_stem(const ak_bert_train *bert, const akin_pass *pass,
                               const ak_tokens *tokens, float *rows, akin_error *error);
/* The hash of the stem's weights. */
ak_hash ak_bert_train_stem_hash(const ak_bert_train *bert);

/* As ak_bert_forward; of a training pass *record is what backward needs, in the pass's arena, and
   NULL of others. Threads: yes, while no values are changed. */
akin_status ak_bert_train_forward(const ak_bert_train *bert, const akin_pass *pass,
                                  const ak_tokens *tokens, int pooling, akin_matrix y,
                                  void **record, akin_error *error);
/* Adds to the gradients of the parameters. Once a record: it is written over. */
void ak_bert_train_backward(ak_bert_train *bert, const akin_pass *pass, const ak_tokens *tokens,
                            int pooling, void *record, akin_matrix dy);

/* Does a tensor of it match one of the patterns? */
bool ak_bert_train_has(const ak_bert_train *bert, const char *patterns);
/* Does one of the comma-separated patterns (fnmatch) match? patterns NULL: none. */
bool ak_bert_matches(const char *patterns, const char *name);

/* bert_lora.c: writes A and B of every matrix into `folder`, as PEFT reads them. */
akin_status ak_bert_lora_save(const ak_bert_train *bert, const char *folder, akin_error *error);

/* Are the values still the checkpoint's? */
bool ak_bert_train_is_base(const ak_bert_train *bert);
/* The checkpoint's tensors (others than a BERT's too, in its order) with the values of the
   parameters: what a file of the tuned model holds. They live as long as *bert, the list as long as
   the arena. */
akin_status ak_bert_train_tensors(const ak_bert_train *bert, akin_arena *arena, ak_tensor **tensors,
                                  int64_t *count, akin_error *error);

#endif
