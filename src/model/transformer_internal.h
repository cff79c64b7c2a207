/* What transformer_open.c makes, transformer_tokens.c feeds and transformer.c runs. */
#ifndef AK_MODEL_TRANSFORMER_INTERNAL_H
#define AK_MODEL_TRANSFORMER_INTERNAL_H

#include "model/sentence_folder.h"
#include "model/transformer.h"
#include "model/transformer_train.h"
#include "text/tokenizer.h"

#include <stdatomic.h>

typedef struct transformer_options {
    const char *path;
    int64_t max_length;
    const char *field, *prompt, *prompt_name, *query_prompt, *document_prompt;
    bool trainable, train_embeddings, recompute;
    int64_t trainable_layers;
    int64_t lora_rank;
    const char *freeze, *lora_targets, *lora;
    double dropout, lr_factor, layer_decay, lora_alpha;
} transformer_options;

/* A frozen Dense module. */
typedef struct ak_transformer_dense {
    float *weight, *bias; /* bias NULL: none */
} ak_transformer_dense;

typedef struct transformer transformer;
struct transformer {
    /* This one with the documents' prompt, all else shared; NULL: one prompt for all. */
    transformer *document;
    char *path;
    char *cache_folder;
    char *lora; /* NULL: no adapter */
    ak_sentence_folder folder;
    ak_tokenizer *tokenizer;
    ak_transformer_train *train; /* NULL: frozen */
    ak_bert *bert;               /* frozen only, as are the Dense modules */
    ak_transformer_dense dense[AK_MAX_DENSE];
    char *field, *prompt;  /* field NULL: the object is the text; with `document`: of queries */
    int32_t prompt_tokens; /* to leave out of pooling; 0: none */
    int32_t max_length;
    akin_precision precision;
    atomic_llong cut; /* texts longer than max_length */
};

/* ---- transformer_open.c ---- */

extern const akin_option ak_transformer_options[];
akin_status ak_transformer_create(void **self, const void *given, const akin_place *place,
                                  akin_error *error);
akin_status ak_transformer_load(void **self, const void *given, const akin_place *place,
                                akin_error *error);
void ak_transformer_free(void *self);

/* ---- transformer_tokens.c ---- */

akin_status ak_transformer_collate(const void *self, const akin_object *objects, int64_t count,
                                   akin_arena *arena, void **batch, akin_error *error);
/* Every text is a token between the special ones. */
akin_status ak_transformer_collate_tokens(const void *self, const int32_t *ids, int64_t count,
                                          akin_arena *arena, void **batch, akin_error *error);

#endif
