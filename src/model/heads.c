/* The built-in heads by name. */
#include "model/heads.h"

const akin_head_class *const ak_heads[] = {
    &ak_head_empty,
    &ak_head_gated,
    &ak_head_linear,
    &ak_head_normalize,
    &ak_head_sequential,
    &ak_head_skip_connection,
    &ak_head_softmax_embeddings,
    &ak_head_stacked_projection,
    &ak_head_widening,
    NULL,
};

bool ak_head_confidence(const akin_head_class *type, const void *self, akin_matrix y, float *out)
{
    bool has = type->size >= offsetof(akin_head_class, confidence) + sizeof(void *);
    return has && type->confidence && type->confidence(self, y, out);
}
