/* Heads: what turns the encoders' concatenated output into an embedding. One file each; the class
   struct is in akin.h. Every head drops some of its input first (option `dropout`). */
#ifndef AK_MODEL_HEADS_H
#define AK_MODEL_HEADS_H

#include "nn/nn.h"

extern const akin_head_class ak_head_empty;
extern const akin_head_class ak_head_gated;
extern const akin_head_class ak_head_linear;
extern const akin_head_class ak_head_normalize;
extern const akin_head_class ak_head_query_adapter;
extern const akin_head_class ak_head_sequential;
extern const akin_head_class ak_head_skip_connection;
extern const akin_head_class ak_head_softmax_embeddings;
extern const akin_head_class ak_head_stacked_projection;
extern const akin_head_class ak_head_switch;
extern const akin_head_class ak_head_two_towers;
extern const akin_head_class ak_head_widening;

/* NULL-terminated: what the registry starts with. */
extern const akin_head_class *const ak_heads[];

/* The streams of the heads' random numbers; layer l of a head uses AK_STREAM_HEAD_LAYER + l. */
enum { AK_STREAM_HEAD_INPUT = 0x10000, AK_STREAM_HEAD_LAYER, AK_STREAM_HEAD_INNER = 0x20000 };

/* False: the class has none, or this head cannot tell. */
bool ak_head_confidence(const akin_head_class *type, const void *self, akin_matrix y, float *out);

/* The tags it goes by; NULL: none. */
const char *const *ak_head_class_tags(const akin_head_class *type, const void *self,
                                      int64_t *count);

/* Do queries and documents go different ways? And if so: do documents go through it at all? */
bool ak_head_has_sides(const akin_head_class *type);
bool ak_head_has_both_sides(const akin_head_class *type);

/* The option row that every head but those made of heads starts with. */
#define AK_HEAD_DROPOUT(options_type)                                                              \
    {                                                                                              \
        "dropout", AKIN_OPTION_FLOAT, offsetof(options_type, dropout), "0",                        \
            "share of the input that is dropped while training", .maximum = 1                      \
    }

#endif
