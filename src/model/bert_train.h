/* What bert_train.c makes and bert_train_forward.c and bert_train_backward.c run. Shapes in
   comments: t tokens, d hidden, w intermediate, h heads. */
#ifndef AK_MODEL_BERT_TRAIN_H
#define AK_MODEL_BERT_TRAIN_H

#include "model/bert_internal.h"
#include "model/bert_names.h"
#include "nn/nn.h"

#include <pthread.h>

typedef struct ak_bert_weight {
    const char *name;   /* in the checkpoint; "": the architecture has none, value is NULL */
    const float *value; /* in the parameters, or where the checkpoint is mapped */
    const float *base;  /* the checkpoint's */
    int64_t rows, columns;
    int number;         /* of its parameter; -1: frozen, or LoRA's: */
    int lora_a, lora_b; /* parameters of bert_lora.c; -1: none */
    float *sum;         /* LoRA's, what `value` is; NULL: none */
    const float *start_a, *start_b; /* an adapter's; NULL: A is drawn, B is zero */
    bool adapted;       /* `base` is not the checkpoint's, but with an adapter added */
} ak_bert_weight;

struct ak_bert_train {
    ak_bert_config config;
    ak_bert_train_options options;
    ak_safetensors *mapping;
    akin_arena *arena;
    akin_parameters *parameters;
    ak_adapter *adapter; /* that LoRA's parameters start as; NULL: none */
    const char *prefix;  /* of the checkpoint's names */
    ak_bert_weight *weights; /* TABLE_TENSORS, then LAYER_TENSORS for each layer */
    int count;
    int first_layer;      /* the lowest one with a trained tensor; config.layers: none */
    pthread_mutex_t lock; /* of the sums */
    ak_hash factors;      /* that the sums were made from */
    bool embeddings;      /* a tensor before the layers is trained */
    int32_t *buckets;     /* of 2 positions - 1 distances; NULL: the architecture has none */
};

static inline const ak_bert_weight *ak_bert_layer_weights(const ak_bert_train *bert, int layer)
{
    return bert->weights + ak_bert_number(layer, 0);
}

/* NULL: frozen. */
static inline float *ak_bert_gradient(const ak_bert_train *bert, const ak_bert_weight *weight)
{
    return weight->number < 0 ? NULL : akin_parameters_get(bert->parameters, weight->number)->grad;
}

/* A product that backward reads again: in float32, or (a pass in bfloat16) in half the memory. */
typedef struct ak_bert_kept {
    float *floats;
    uint16_t *halves;
} ak_bert_kept;

/* What backward reads of a layer. */
typedef struct ak_bert_layer_record {
    ak_bert_kept qkv;          /* t x 3 d */
    float *mixed;              /* t x d: attention's result */
    float *lse;                /* h x t, see ak_attention_train */
    ak_bert_kept up;           /* t x w: before the activation */
    float *normal1, *factors1; /* t x d and t, see ak_layer_norm_train: after attention */
    float *normal2, *factors2; /* after the wide part */
} ak_bert_layer_record;

/* One forward: its memory, and the scratch memory of forward and backward. */
typedef struct ak_bert_record {
    int64_t texts; /* of a training pass */
    int64_t tokens, longest;
    int threads;
    ak_bert_layer_record *layers;
    float *normal, *factors; /* of the embeddings */
    float *positions;        /* h x distances, see ak_bert_head_positions; NULL: none */
    float *dpositions;       /* texts x h x buckets: a layer's part of the gradient; NULL: frozen */
    float *entry;            /* t x d: what enters the first trained layer */
    float *x, *z;            /* t x d: the hidden state; a product */
    float *slope, *dropped;  /* t x d: the gradient of x; the same after dropout */
    float *wide;             /* t x w; where halves are made and read, t x 3 d if that is more */
    float *dwide;            /* t x w */
    float *dweight;          /* the gradient of a sum of bert_lora.c */
    float *dqkv;             /* t x 3 d */
    uint64_t *places;        /* t, of a training pass: which text of the step, which token of it */
    float *scratch;          /* threads x scratch_size: attention's */
    int64_t scratch_size;
} ak_bert_record;

/* A pass over some texts. */
typedef struct ak_bert_run {
    const ak_bert_train *bert;
    const akin_pass *pass;
    const ak_tokens *tokens;
    ak_bert_record *record;
} ak_bert_run;

/* Where the floats of something kept are made, and are after they were read again. */
static inline float *ak_bert_kept_floats(const ak_bert_run *run, ak_bert_kept kept)
{
    return kept.halves ? run->record->wide : kept.floats;
}

/* Keeps `count` floats from number `at` on; they become what is kept. */
static inline void ak_bert_keep(const ak_bert_run *run, ak_bert_kept kept, int64_t at,
                                int64_t count)
{
    if (!kept.halves)
        return;
    ak_bf16_from(run->record->wide + at, kept.halves + at, count);
    ak_bf16_to(kept.halves + at, run->record->wide + at, count);
}

/* The same floats again. */
static inline const float *ak_bert_recall(const ak_bert_run *run, ak_bert_kept kept, int64_t at,
                                          int64_t count)
{
    if (!kept.halves)
        return kept.floats + at;
    ak_bf16_to(kept.halves + at, run->record->wide + at, count);
    return run->record->wide + at;
}

/* Floats of a thread's scratch for the gradients of a text's distances. */
static inline int64_t ak_bert_diagonals_size(const ak_bert_train *bert,
                                             const ak_bert_record *record)
{
    return bert->weights[DISTANCES].number < 0 ? 0 : (2 * record->longest + 15) / 16 * 16;
}

/* Streams of random numbers. */
enum { DROP_EMBEDDINGS = 0, DROP_ATTENTION = 1, DROP_MIX, DROP_DOWN, DROPS_OF_A_LAYER };
#define AK_BERT_STREAM 0x626572740000u /* "bert": apart from the heads' */

/* Dropout of a pass: which rows' bits, and how. threshold 0: none. A row's bits are a function of its
   place, so that a step that is run in parts drops what it drops as a whole. */
typedef struct ak_bert_drop {
    uint64_t key;
    const uint64_t *places;
    uint32_t threshold;
    float scale;
} ak_bert_drop;

ak_bert_drop ak_bert_drop_of(const ak_bert_run *run, int layer, int which);
/* x == y is allowed. */
void ak_bert_drop_row(const ak_bert_drop *drop, int64_t row, const float *x, float *y, int64_t d);

/* Floats of a thread's scratch that hold 64 bits for each token of a text, and these bits for the
   attention weights of a head. */
static inline int64_t ak_bert_bits_size(const ak_bert_record *record)
{
    return 2 * ((record->longest + 7) / 8 * 8);
}
const uint64_t *ak_bert_drop_bits(const ak_bert_run *run, const ak_bert_drop *drop, int64_t text,
                                  int64_t head, float *scratch);

/* ---- bert_lora.c ---- */

/* Is it one of the adapter's matrices? */
bool ak_bert_lora_has(const ak_bert_train *bert, const ak_bert_weight *w);
/* A and B as the adapter has them, after the seal. */
void ak_bert_lora_start(ak_bert_train *bert, ak_bert_weight *w);

akin_status ak_bert_lora_add(ak_bert_train *bert, ak_bert_weight *w, double lr_factor,
                             akin_error *error);
/* Makes the sums again if their parameters changed. Threads: yes, while nobody changes them. */
void ak_bert_lora_update(const ak_bert_train *bert);
/* grad: of the sum; adds to those of the parameters. */
void ak_bert_lora_gradient(const ak_bert_train *bert, const ak_bert_weight *w, const float *grad);

/* The hidden state run->record->x goes through the layer. */
void ak_bert_train_layer(const ak_bert_run *run, int layer);
/* 3: projections apart; 1: they are one matrix of 3 d rows. */
int ak_bert_projections(const ak_bert_run *run, int layer);

#endif
