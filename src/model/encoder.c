/* An encoder: a class by name, made from options or loaded from what it saved. */
#include "model/model.h"

#include "model/encoder_static.h"
#include "model/transformer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const ak_encoder_shared[] = {"type",      "precision",       "cache",
                                         "cache_key", "cache_precision", NULL};

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

/* ---- how its outputs are kept ---- */

typedef struct cache_words {
    bool enabled;
    int precision; /* akin_cache_precision */
    const char *key;
} cache_words;

const akin_option ak_encoder_cache_rows[] = {
    {.name = "cache",
     .type = AKIN_OPTION_BOOL,
     .offset = offsetof(cache_words, enabled),
     .default_text = "true",
     .help = "keep the outputs while the encoder is frozen"},
    {.name = "cache_precision",
     .type = AKIN_OPTION_CHOICE,
     .offset = offsetof(cache_words, precision),
     .default_text = "f32",
     .choices = "f32|bf16|int8",
     .help = "in which they are kept"},
    {.name = "cache_key",
     .type = AKIN_OPTION_STRING,
     .offset = offsetof(cache_words, key),
     .help = "the member of a record that identifies it; without one, what the encoder reads"},
    {NULL}};

akin_cache_options akin_cache_defaults(void)
{
    return (akin_cache_options){
        .size = sizeof(akin_cache_options), .enabled = true, .precision = AKIN_CACHE_F32};
}

/* The three words among an encoder's options; the rest is the class's. */
static akin_status parse_cache(akin_encoder *encoder, const ak_value *map, const char *name,
                               akin_error *error)
{
    cache_words words;
    ak_value *ours = ak_value_new_map(encoder->arena);
    if (!ours)
        return ak_fail_memory(error);
    for (const akin_option *row = ak_encoder_cache_rows; row->name; row++) {
        const ak_value *value = ak_value_get(map, row->name);
        if (value && !ak_value_attach(encoder->arena, ours, row->name, value))
            return ak_fail_memory(error);
    }
    AK_TRY(
        ak_options_parse(ak_encoder_cache_rows, &words, ours, NULL, encoder->arena, name, error));
    encoder->cache.enabled = words.enabled;
    encoder->cache.precision = (akin_cache_precision)words.precision;
    encoder->cache_is_set = ours->count > 0;
    encoder->key_field =
        words.key ? ak_arena_copy(encoder->arena, words.key, strlen(words.key)) : NULL;
    return words.key && !encoder->key_field ? ak_fail_memory(error) : AKIN_OK;
}

void ak_encoder_cache_as(akin_encoder *encoder, const akin_cache_options *options)
{
    encoder->cache = *options;
    for (int t = 0; t < AK_TOWERS && ak_encoder_has_sides(encoder); t++)
        encoder->towers[t]->cache = *options;
}

akin_status akin_encoder_set_cache(akin_encoder *encoder, const akin_cache_options *options,
                                   akin_error *error)
{
    if (options->size < sizeof *options || options->precision < AKIN_CACHE_F32 ||
        options->precision > AKIN_CACHE_INT8)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "cache options must come from akin_cache_defaults(), with a precision of "
                       "akin_cache_precision");
    ak_encoder_cache_as(encoder, options);
    encoder->cache_is_set = true;
    return AKIN_OK;
}

/* The key that a record names: the text of its member, a number's too. *found false: it has none.
 */
static akin_status field_key(const akin_encoder *encoder, akin_object object, bool *found,
                             ak_hash *key, akin_error *error)
{
    const char *fields[] = {encoder->key_field};
    char number[32];
    ak_value value = {0};
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status =
        ak_json_fields(object.data, object.size, fields, 1, &value, arena, "record", 0, NULL);
    *found = !status && (value.kind == AK_STRING || value.kind == AK_INT);
    if (*found && value.kind == AK_INT) {
        value.size = (size_t)snprintf(number, sizeof number, "%lld", (long long)value.integer);
        value.string = number;
    }
    if (*found)
        *key = ak_hash_combine(ak_hash_text("cache_key"), ak_hash_bytes(value.string, value.size));
    ak_arena_free(arena);
    return status == AKIN_ERR_MEMORY ? ak_fail_memory(error) : AKIN_OK;
}

/* What is known of the object, but for its tag. */
static akin_status content_key(const akin_encoder *encoder, akin_object object, ak_hash *key,
                               akin_error *error)
{
    bool found = false;
    if (encoder->cache.key)
        return encoder->cache.key(encoder->cache.user, object, key, error);
    if (encoder->key_field) {
        AK_TRY(field_key(encoder, object, &found, key, error));
        if (found)
            return AKIN_OK;
        atomic_fetch_add_explicit(&((akin_encoder *)encoder)->keyless, 1, memory_order_relaxed);
    }
    *key = ak_hash_bytes(object.data, object.size);
    if (encoder->type->key)
        AK_TRY(encoder->type->key(encoder->self, object, key, error));
    if (encoder->keys_apart)
        *key = ak_hash_combine(ak_hash_text("document"), *key);
    return AKIN_OK;
}

akin_status ak_encoder_key(const akin_encoder *encoder, akin_object object, ak_hash *key,
                           akin_error *error)
{
    AK_TRY(content_key(encoder, object, key, error));
    return ak_encoder_tag_key(encoder, object, key, error);
}

/* ---- making one ---- */

static akin_status read_options(akin_encoder *encoder, akin_context *context, const ak_value *map,
                                const char *name, akin_error *error)
{
    const akin_encoder_class *type = encoder->type;
    if (type->options_size) {
        encoder->options = ak_calloc(1, type->options_size);
        if (!encoder->options)
            return ak_fail_memory(error);
    }
    static const akin_option none[] = {{NULL}};
    const ak_option_reader reader = {.name = name,
                                     .also = ak_encoder_shared,
                                     .arena = encoder->arena,
                                     .find = ak_encoder_find,
                                     .user = context};
    return ak_options_read(&reader, type->options ? type->options : none, encoder->options, map,
                           error);
}

static akin_status open_object(akin_encoder *encoder, akin_context *context, const char *name,
                               const char *folder, bool load, akin_error *error)
{
    const akin_encoder_class *type = encoder->type;
    akin_place place = {.size = sizeof place,
                        .context = context,
                        .folder = folder,
                        .precision = encoder->precision};
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

/* An encoder of the class that `map` names, with its options and no object yet. */
static akin_status begin(akin_encoder **out, akin_context *context, const ak_value *map,
                         const char *name, akin_precision precision, akin_error *error)
{
    *out = NULL;
    ak_found_class found;
    AK_TRY(
        ak_encoder_find(context, ak_value_get_string(map, "type", "transformer"), &found, error));
    akin_encoder *encoder = ak_calloc(1, sizeof *encoder);
    if (!encoder)
        return ak_fail_memory(error);
    encoder->type = found.type;
    encoder->cache = akin_cache_defaults();
    akin_status status = ak_arena_create(&encoder->arena, error);
    if (!status)
        status = parse_precision(map, name, precision, &encoder->precision, error);
    if (!status && map)
        status = keep_options(encoder->arena, map, &encoder->given, error);
    if (!status)
        status = parse_cache(encoder, map, name, error);
    if (!status)
        status = read_options(encoder, context, map, name, error);
    if (status)
        akin_encoder_free(encoder);
    else
        *out = encoder;
    return status;
}

akin_status ak_encoder_make(akin_encoder **out, akin_context *context, const ak_value *map,
                            const char *name, const char *folder, akin_precision precision,
                            bool load, akin_error *error)
{
    AK_TRY(begin(out, context, map, name, precision, error));
    akin_status status = open_object(*out, context, name, folder, load, error);
    if (!status)
        status = ak_encoder_open_towers(*out, error);
    if (status) {
        akin_encoder_free(*out);
        *out = NULL;
    }
    return status;
}

akin_status ak_encoder_around(akin_encoder **out, akin_context *context, const ak_value *map,
                              void *self, akin_error *error)
{
    AK_TRY(begin(out, context, map, "encoder options", AKIN_AS_SAVED, error));
    (*out)->self = self;
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
        status =
            ak_encoder_make(out, context, map, "encoder options", ".", AKIN_AS_SAVED, false, error);
    ak_arena_free(arena);
    return status;
}

void akin_encoder_free(akin_encoder *encoder)
{
    if (!encoder)
        return;
    ak_encoder_free_towers(encoder);
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

static bool is_trainable(const akin_encoder *encoder)
{
    return encoder->type->trainable && encoder->type->trainable(encoder->self);
}

bool ak_encoder_trainable(const akin_encoder *encoder)
{
    return is_trainable(ak_encoder_tower(encoder, AK_QUERY_TOWER)) ||
           is_trainable(ak_encoder_tower(encoder, AK_DOCUMENT_TOWER));
}

bool ak_encoder_token_reader(const akin_encoder *encoder, ak_token_reader *reader)
{
    if (encoder->type == &ak_encoder_transformer)
        ak_transformer_token_reader(encoder->self, reader);
    else if (encoder->type == &ak_encoder_static)
        ak_static_token_reader(encoder->self, reader);
    else
        return false;
    return true;
}

bool ak_encoder_stem(const akin_encoder *encoder, ak_stem *stem)
{
    return encoder->type == &ak_encoder_transformer && ak_transformer_stem(encoder->self, stem);
}

akin_parameters *ak_encoder_parameters(const akin_encoder *encoder)
{
    return encoder->type->parameters ? encoder->type->parameters(encoder->self) : NULL;
}

akin_parameters *ak_encoder_part(const akin_encoder *encoder, int number, const char **name)
{
    *name = NULL;
    if (AK_CLASS_HAS(encoder->type, parts))
        return encoder->type->parts(encoder->self, number, name);
    return number ? NULL : ak_encoder_parameters(encoder);
}

akin_status ak_encoder_fingerprint(const akin_encoder *encoder, bool *has, ak_hash *fingerprint,
                                   akin_error *error)
{
    *has = encoder->type->fingerprint != NULL;
    *fingerprint = ak_hash_text(encoder->type->name);
    return *has ? encoder->type->fingerprint(encoder->self, fingerprint, error) : AKIN_OK;
}

static akin_status check_rows(const char *name, const akin_object *objects, akin_matrix y,
                              akin_error *error)
{
    enum { SHOWN = 60 };
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t j = 0; j < y.columns; j++)
            if (!isfinite(y.data[i * y.stride + j]))
                return ak_fail(error, AKIN_ERR_FORMAT,
                               "the encoder \"%s\" gave a vector that is not finite for \"%.*s\": "
                               "its weights are damaged, or had diverged",
                               name, (int)(objects[i].size < SHOWN ? objects[i].size : SHOWN),
                               (const char *)objects[i].data);
    return AKIN_OK;
}

akin_status ak_encoder_run(const akin_encoder *encoder, const char *name, const akin_pass *pass,
                           const akin_object *objects, akin_matrix y, akin_error *error)
{
    void *batch, *record;
    AK_TRY(encoder->type->collate(encoder->self, objects, y.rows, pass->arena, &batch, error));
    AK_TRY(encoder->type->forward(encoder->self, pass, batch, y, &record, error));
    return check_rows(name, objects, y, error);
}

char *ak_encoder_describe(const akin_encoder *encoder)
{
    akin_arena *arena;
    char *text = NULL;
    if (ak_arena_create(&arena, NULL))
        return NULL;
    bool transformer = encoder->type == &ak_encoder_transformer;
    ak_value *map = ak_value_new_map(arena);
    bool whole = ak_value_add_string(arena, map, "type", encoder->type->name) &&
                 (!transformer ||
                  ak_value_add_string(arena, map, "path", ak_transformer_path(encoder->self)));
    const ak_value *option = encoder->given ? encoder->given->first : NULL;
    for (; whole && option; option = option->next)
        if (!ak_value_get(map, option->key) && strncmp(option->key, "cache", 5) != 0)
            whole = ak_value_attach(arena, map, option->key, option) != NULL;
    if (whole)
        text = ak_json_write(map, 0);
    ak_arena_free(arena);
    return text;
}

akin_status akin_register_encoder(akin_context *context, const akin_encoder_class *type,
                                  akin_error *error)
{
    static const ak_member needed[] = {AK_MEMBER(akin_encoder_class, create),
                                       AK_MEMBER(akin_encoder_class, dim),
                                       AK_MEMBER(akin_encoder_class, collate),
                                       AK_MEMBER(akin_encoder_class, forward),
                                       {NULL}};
    static const ak_member of_sides[] = {
        AK_MEMBER(akin_encoder_class, create), AK_MEMBER(akin_encoder_class, dim), {NULL}};
    static const ak_member learning[] = {
        AK_MEMBER(akin_encoder_class, backward), AK_MEMBER(akin_encoder_class, parameters), {NULL}};
    static const ak_member of_parts[] = {AK_MEMBER(akin_encoder_class, backward), {NULL}};
    if (type && type->size > offsetof(akin_encoder_class, trainable) && type->trainable)
        AK_TRY(ak_class_check(type, "encoder", AK_CLASS_HAS(type, parts) ? of_parts : learning,
                              error));
    return ak_class_register(context, AK_ENCODER_CLASS, (const void *const *)ak_encoders, "encoder",
                             type, type && AK_CLASS_HAS(type, side) ? of_sides : needed, error);
}
