/* Tags: what an encoder that chooses by the record (switch) says of each object, and what a head
   that goes by it (switch) wants to know. A content's key holds the tag in its last byte, so that a
   run over cached features knows it without reading an object. */
#include "model/model.h"

#include "model/heads.h"

#include <string.h>

bool ak_encoder_class_has_tags(const akin_encoder_class *type)
{
    bool knows = type->size >= offsetof(akin_encoder_class, tag) + sizeof type->tag;
    return knows && type->tags && type->tag; /* a plug-in's may be from before there were any */
}

bool ak_encoder_has_tags(const akin_encoder *encoder)
{
    return ak_encoder_class_has_tags(encoder->type) &&
           encoder->type->tags(encoder->self, &(int64_t){0});
}

akin_status ak_encoder_tag_key(const akin_encoder *encoder, akin_object object, ak_hash *key,
                               akin_error *error)
{
    int64_t tag;
    if (!ak_encoder_has_tags(encoder))
        return AKIN_OK;
    AK_TRY(encoder->type->tag(encoder->self, object, &tag, error));
    key->high = (key->high & ~(uint64_t)0xff) | (uint64_t)tag;
    return AKIN_OK;
}

/* ---- a model's encoder and head must know the same tags ---- */

static int64_t find(const char *const *names, int64_t count, const char *name)
{
    for (int64_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static akin_status choose_encoder(akin_model *model, const char *first_tag, akin_error *error)
{
    model->tag_encoder = -1;
    for (int e = 0; e < model->encoder_count; e++) {
        if (!ak_encoder_has_tags(model->encoders[e].encoder))
            continue;
        if (model->tag_encoder >= 0)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "the encoders \"%s\" and \"%s\" both give tags, the head goes by one",
                           model->encoders[model->tag_encoder].name, model->encoders[e].name);
        model->tag_encoder = e;
    }
    if (model->tag_encoder >= 0)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "the head %s goes by tags (\"%s\", ...), but no encoder gives any: a switch "
                   "encoder does",
                   model->head->type->name, first_tag);
}

akin_status ak_model_match_tags(akin_model *model, akin_error *error)
{
    int64_t wanted, given;
    const akin_head *head = model->head;
    const char *const *names = head ? ak_head_class_tags(head->type, head->self, &wanted) : NULL;
    if (!names)
        return AKIN_OK;
    AK_TRY(choose_encoder(model, names[0], error));
    const akin_encoder *encoder = model->encoders[model->tag_encoder].encoder;
    const char *const *ours = encoder->type->tags(encoder->self, &given);
    for (int64_t i = 0; i < wanted; i++)
        if (find(ours, given, names[i]) < 0)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "the head %s knows a tag \"%s\" that the encoder \"%s\" never gives",
                           model->head->type->name, names[i],
                           model->encoders[model->tag_encoder].name);
    if (!(model->tag_map = ak_calloc((size_t)given, sizeof *model->tag_map)))
        return ak_fail_memory(error);
    for (int64_t i = 0; i < given; i++) {
        int64_t place = find(names, wanted, ours[i]);
        if (place < 0)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "the encoder \"%s\" gives the tag \"%s\", which the head %s does not "
                           "know",
                           model->encoders[model->tag_encoder].name, ours[i],
                           model->head->type->name);
        model->tag_map[i] = (int32_t)place;
    }
    return AKIN_OK;
}

/* ---- the tags of many objects ---- */

static akin_status new_tags(const akin_model *model, int64_t n, akin_arena *arena, int32_t **out,
                            akin_error *error)
{
    *out = NULL;
    if (!model->tag_map)
        return AKIN_OK;
    *out = ak_arena_new(arena, int32_t, n);
    return *out ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_model_tags(const akin_model *model, const akin_object *objects, int64_t n,
                          akin_arena *arena, const int32_t **out, akin_error *error)
{
    int32_t *tags;
    AK_TRY(new_tags(model, n, arena, &tags, error));
    for (int64_t i = 0; i < n && tags; i++) {
        const akin_encoder *encoder = model->encoders[model->tag_encoder].encoder;
        int64_t tag;
        AK_TRY(encoder->type->tag(encoder->self, objects[i], &tag, error));
        tags[i] = model->tag_map[tag];
    }
    *out = tags;
    return AKIN_OK;
}

akin_status ak_model_key_tags(const akin_model *model, const ak_hash *keys, const int64_t *content,
                              int64_t n, akin_arena *arena, const int32_t **out, akin_error *error)
{
    int32_t *tags;
    AK_TRY(new_tags(model, n, arena, &tags, error));
    for (int64_t i = 0; i < n && tags; i++) {
        ak_hash key = keys[content[i] * model->encoder_count + model->tag_encoder];
        tags[i] = model->tag_map[key.high & 0xff];
    }
    *out = tags;
    return AKIN_OK;
}
