/* What bert.c loads and bert_forward.c runs. */
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

#endif
