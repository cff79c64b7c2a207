/* A LoRA adapter (Hu et al., 2021) in a folder as PEFT writes it: adapter_config.json ("r",
   "lora_alpha", ...) and adapter_model.safetensors, which holds A (rank x in) and B (out x rank) of
   every matrix W (out x in) that becomes W + factor B A. Those that akin saves say in the metadata
   of the weights, which PEFT passes over, which values of W they were trained on. */
#ifndef AK_MODEL_ADAPTER_H
#define AK_MODEL_ADAPTER_H

#include "base/base.h"
#include "base/safetensors.h"

typedef struct ak_adapter ak_adapter;

/* Kinds that are not plain LoRA (DoRA, biases or whole modules trained beside, ranks by pattern)
   are AKIN_ERR_UNSUPPORTED and named. */
akin_status ak_adapter_open(ak_adapter **out, const char *folder, akin_error *error);
void ak_adapter_free(ak_adapter *adapter);

typedef struct ak_adapter_pair {
    const float *a, *b; /* NULL: the adapter leaves this matrix alone */
    int64_t rank;
    float factor; /* alpha / rank; rank-stabilised: alpha / sqrt(rank) */
} ak_adapter_pair;

/* What the adapter has for the checkpoint's matrix `name` ("encoder.layer.0....query.weight"; what
   PEFT or the checkpoint put before the names does not count). Wrong shapes are errors. */
akin_status ak_adapter_find(ak_adapter_pair *out, ak_adapter *adapter, const char *name,
                            int64_t rows, int64_t columns, akin_error *error);
/* AKIN_ERR_MISMATCH if something in it was not looked up by anyone. */
akin_status ak_adapter_check_used(const ak_adapter *adapter, akin_error *error);

/* The key of the sum, in hex, of the hashes of all W. */
#define AK_ADAPTER_BASE "akin_base_weights"
/* Adds the hash of a W, in whatever order they come. */
void ak_adapter_add_base(ak_hash *sum, const float *base, int64_t count);
/* A W that was found, for ak_adapter_check_base: AKIN_ERR_MISMATCH if the adapter was trained on
   other weights, such as those that its sums are in already. */
void ak_adapter_saw(ak_adapter *adapter, const float *base, int64_t count);
akin_status ak_adapter_check_base(const ak_adapter *adapter, akin_error *error);

/* *sum: base + factor B A, in the arena. */
akin_status ak_adapter_add(const float **sum, const ak_adapter_pair *pair, const float *base,
                           int64_t rows, int64_t columns, akin_arena *arena, akin_error *error);

/* The checkpoint `from` with the adapter of `folder` in it, as the file `to`; NULL: *hash, which
   that file would have. */
akin_status ak_adapter_merge(const char *folder, const char *from, const char *to, ak_hash *hash,
                             akin_error *error);

#endif
