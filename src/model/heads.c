/* The built-in heads by name. */
#include "model/heads.h"

const akin_head_class *const ak_heads[] = {
    &ak_head_empty,
    &ak_head_gated,
    &ak_head_linear,
    &ak_head_normalize,
    &ak_head_skip_connection,
    &ak_head_softmax_embeddings,
    &ak_head_stacked_projection,
    &ak_head_widening,
    NULL,
};
