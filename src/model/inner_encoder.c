/* An encoder inside another, see inner_encoder.h. */
#include "model/inner_encoder.h"

#include <stdio.h>

static akin_status create_or_load(ak_inner_encoder *out, const akin_class_given *given,
                                  const akin_place *place, bool load, akin_error *error)
{
    akin_place own = *place;
    if (!load)
        return out->type->create(&out->self, given->options, &own, error);
    if (!out->type->load)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "the encoder class \"%s\" cannot load",
                       out->type->name);
    char *folder = ak_path_join(place->folder, out->name);
    if (!folder)
        return ak_fail_memory(error);
    own.folder = folder;
    akin_status status = out->type->load(&out->self, given->options, &own, error);
    ak_free(folder);
    return status;
}

static bool has_sides(const ak_inner_encoder *encoder)
{
    const akin_encoder_class *type;
    void *self;
    return AK_CLASS_HAS(encoder->type, side) &&
           encoder->type->side(encoder->self, false, &type, &self);
}

akin_status ak_inner_encoder_open(ak_inner_encoder *out, const akin_class_given *given,
                                  const char *name, const char *outer, const akin_place *place,
                                  bool load, akin_error *error)
{
    *out = (ak_inner_encoder){.name = name, .type = given->type};
    if (!out->type->fingerprint || ak_encoder_class_has_tags(out->type))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s encoder: \"%s\" is a %s, which cannot be inside another", outer, name,
                       out->type->name);
    AK_TRY(create_or_load(out, given, place, load, error));
    if (!has_sides(out))
        return AKIN_OK;
    ak_inner_encoder_free(out);
    return ak_fail(
        error, AKIN_ERR_ARGUMENT,
        "%s encoder: \"%s\" has a prompt for queries and one for documents, which cannot "
        "be inside another: give it one \"prompt\"",
        outer, name);
}

void ak_inner_encoder_free(ak_inner_encoder *encoder)
{
    if (encoder->self && encoder->type->free)
        encoder->type->free(encoder->self);
    encoder->self = NULL;
}

akin_status ak_inner_encoder_save(const ak_inner_encoder *encoder, const char *folder,
                                  akin_error *error)
{
    if (!encoder->type->save)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "the encoder class \"%s\" cannot be saved",
                       encoder->type->name);
    char *own = ak_path_join(folder, encoder->name);
    if (!own)
        return ak_fail_memory(error);
    akin_status status = ak_make_folders(own, error);
    if (!status)
        status = encoder->type->save(encoder->self, own, error);
    ak_free(own);
    return status;
}

int64_t ak_inner_encoder_dim(const ak_inner_encoder *encoder)
{
    return encoder->type->dim(encoder->self);
}

bool ak_inner_encoder_trainable(const ak_inner_encoder *encoder)
{
    return encoder->type->trainable && encoder->type->trainable(encoder->self);
}

void ak_inner_encoder_notes(const ak_inner_encoder *encoders, int64_t count, char *out, size_t size)
{
    size_t used = 0;
    *out = 0;
    for (int64_t k = 0; k < count; k++) {
        char note[256] = "";
        if (encoders[k].type->notes)
            encoders[k].type->notes(encoders[k].self, note, sizeof note);
        if (*note && used < size)
            used += (size_t)snprintf(out + used, size - used, used ? "\n%s" : "%s", note);
    }
}
