/* An encoder: a class by name, made from options or loaded from what it saved. */
#include "model/model.h"

#include <string.h>

static const char *const shared_options[] = {"type", "precision", NULL};

static akin_status parse_precision(const ak_value *map, const char *name, akin_precision otherwise,
                                   akin_precision *out, akin_error *error)
{
    const ak_value *value = ak_value_get(map, "precision");
    const char *text = ak_value_get_string(map, "precision", NULL);
    *out = otherwise == AKIN_AS_SAVED ? AKIN_F32 : otherwise;
    if (!value || (otherwise != AKIN_AS_SAVED && otherwise != AKIN_F32))
        return AKIN_OK;
    if (text && strcmp(text, "f32") == 0)
        *out = AKIN_F32;
    else if (text && strcmp(text, "bf16") == 0)
        *out = AKIN_BF16;
    else
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, name, value->line,
                          "\"precision\" must be f32 or bf16");
    return AKIN_OK;
}

akin_status ak_encoder_find(const void *context, const char *name, ak_found_class *out,
                            akin_error *error)
{
    const void *type;
    AK_TRY(ak_class_find(&type, context, AK_ENCODER_CLASS, (const void *const *)ak_encoders,
                         "encoder", name, error));
    const akin_encoder_class *class = type;
    *out = (ak_found_class){class, class->name, class->options, class->options_size};
    return AKIN_OK;
}

static akin_status open_object(akin_encoder *encoder, akin_context *context, const ak_value *map,
                               const char *name, const char *folder, bool load,
                               akin_error *error)
{
    const akin_encoder_class *type = encoder->type;
    akin_place place = {.size = sizeof place,
                        .context = context,
                        .folder = folder,
                        .precision = encoder->precision};
    if (type->options_size) {
        encoder->options = ak_calloc(1, type->options_size);
        if (!encoder->options)
            return ak_fail_memory(error);
    }
    static const akin_option none[] = {{NULL}};
    const ak_option_reader reader = {.name = name,
                                     .also = shared_options,
                                     .arena = encoder->arena,
                                     .find = ak_encoder_find,
                                     .user = context};
    AK_TRY(ak_options_read(&reader, type->options ? type->options : none, encoder->options, map,
                           error));
    if (!load)
        return type->create(&encoder->self, encoder->options, &place, error);
    if (!type->load)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "%s: the encoder class \"%s\" cannot load",
                       name, type->name);
    return type->load(&encoder->self, encoder->options, &place, error);
}

/* Copies the top level of `map` (values are scalars) into the encoder's own arena. */
static akin_status keep_options(akin_arena *arena, const ak_value *map, const ak_value **out,
                                akin_error *error)
{
    char *text = ak_json_write(map, 0);
    if (!text)
        return ak_fail_memory(error);
    ak_value *copy;
    akin_status status = ak_json_parse(&copy, arena, text, strlen(text), "options", error);
    ak_free(text);
    *out = copy;
    return status;
}

akin_status ak_encoder_make(akin_encoder **out, akin_context *context, const ak_value *map,
                            const char *name, const char *folder, akin_precision precision,
                            bool load, akin_error *error)
{
    *out = NULL;
    ak_found_class found;
    AK_TRY(ak_encoder_find(context, ak_value_get_string(map, "type", "transformer"), &found,
                           error));
    akin_encoder *encoder = ak_calloc(1, sizeof *encoder);
    if (!encoder)
        return ak_fail_memory(error);
    encoder->type = found.type;
    akin_status status = ak_arena_create(&encoder->arena, error);
    if (!status)
        status = parse_precision(map, name, precision, &encoder->precision, error);
    if (!status && map)
        status = keep_options(encoder->arena, map, &encoder->given, error);
    if (!status)
        status = open_object(encoder, context, map, name, folder, load, error);
    if (status) {
        akin_encoder_free(encoder);
        return status;
    }
    *out = encoder;
    return AKIN_OK;
}

akin_status akin_encoder_create(akin_encoder **out, akin_context *context, const char *type,
                                const char *options, akin_error *error)
{
    *out = NULL;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *map;
    akin_status status = ak_class_options(&map, arena, type, options, "encoder options", error);
    if (!status)
        status = ak_encoder_make(out, context, map, "encoder options", ".", AKIN_AS_SAVED, false,
                                 error);
    ak_arena_free(arena);
    return status;
}

void akin_encoder_free(akin_encoder *encoder)
{
    if (!encoder)
        return;
    if (encoder->self && encoder->type->free)
        encoder->type->free(encoder->self);
    ak_free(encoder->options);
    ak_arena_free(encoder->arena);
    ak_free(encoder);
}

int64_t akin_encoder_dim(const akin_encoder *encoder)
{
    return encoder->type->dim(encoder->self);
}

const akin_encoder_class *akin_encoder_type(const akin_encoder *encoder)
{
    return encoder->type;
}

void *akin_encoder_self(const akin_encoder *encoder)
{
    return encoder->self;
}

bool ak_encoder_trainable(const akin_encoder *encoder)
{
    return encoder->type->trainable && encoder->type->trainable(encoder->self);
}

akin_parameters *ak_encoder_parameters(const akin_encoder *encoder)
{
    return encoder->type->parameters ? encoder->type->parameters(encoder->self) : NULL;
}

akin_status ak_encoder_fingerprint(const akin_encoder *encoder, bool *has, ak_hash *fingerprint,
                                   akin_error *error)
{
    *has = encoder->type->fingerprint != NULL;
    *fingerprint = ak_hash_text(encoder->type->name);
    return *has ? encoder->type->fingerprint(encoder->self, fingerprint, error) : AKIN_OK;
}

akin_status ak_encoder_key(const akin_encoder *encoder, akin_object object, ak_hash *key,
                           akin_error *error)
{
    if (encoder->type->key)
        return encoder->type->key(encoder->self, object, key, error);
    *key = ak_hash_bytes(object.data, object.size);
    return AKIN_OK;
}

akin_status akin_register_encoder(akin_context *context, const akin_encoder_class *type,
                                  akin_error *error)
{
    return ak_class_register(context, AK_ENCODER_CLASS, (const void *const *)ak_encoders,
                             "encoder", type, error);
}
