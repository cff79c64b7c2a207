/* The built-in heads by name. */
#include "model/heads.h"

const akin_head_class *const ak_heads[] = {
    &ak_head_empty,
    &ak_head_gated,
    &ak_head_linear,
    &ak_head_normalize,
    &ak_head_query_adapter,
    &ak_head_sequential,
    &ak_head_skip_connection,
    &ak_head_softmax_embeddings,
    &ak_head_stacked_projection,
    &ak_head_switch,
    &ak_head_two_towers,
    &ak_head_widening,
    NULL,
};

/* A class of a plug-in may be from before a member was added. */
#define HAS(type, member) ((type)->size >= offsetof(akin_head_class, member) + sizeof(type)->member)

bool ak_head_has_sides(const akin_head_class *type)
{
    return HAS(type, sides) && type->sides;
}

bool ak_head_has_both_sides(const akin_head_class *type)
{
    return ak_head_has_sides(type) && HAS(type, both_sides) && type->both_sides;
}

const char *const *ak_head_class_tags(const akin_head_class *type, const void *self, int64_t *count)
{
    return HAS(type, tags) && type->tags ? type->tags(self, count) : NULL;
}

bool ak_head_confidence(const akin_head_class *type, const void *self, akin_matrix y, float *out)
{
    return HAS(type, confidence) && type->confidence && type->confidence(self, y, out);
}
