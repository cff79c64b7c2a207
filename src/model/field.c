/* What an encoder of texts reads of an object: all of it, or a member of the record that it is. */
#include "model/encoders.h"

akin_status ak_copy_option(char **out, const char *text, akin_error *error)
{
    *out = text ? ak_strdup(text) : NULL;
    return *out || !text ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_field_text(const char *field, akin_object object, akin_arena *arena,
                          akin_object *text, akin_error *error)
{
    *text = object;
    if (!object.size)
        text->data = ""; /* an empty object may have no address */
    if (!field)
        return AKIN_OK;
    const char *fields[] = {field};
    ak_value found;
    AK_TRY(ak_json_fields(object.data, object.size, fields, 1, &found, arena, "record", 0, error));
    if (found.kind != AK_STRING)
        return ak_fail(error, AKIN_ERR_FORMAT,
                       "record %.*s: the member \"%s\" is %s, expected text",
                       object.size < 80 ? (int)object.size : 80, (const char *)object.data, field,
                       found.kind == AK_NULL ? "missing" : ak_value_kind_name(found.kind));
    *text = (akin_object){.data = found.string, .size = found.size};
    return AKIN_OK;
}

akin_status ak_field_texts(const char *field, const akin_object *objects, int64_t count,
                           akin_arena *arena, akin_object **texts, akin_error *error)
{
    *texts = ak_arena_new(arena, akin_object, count);
    if (!*texts)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++)
        AK_TRY(ak_field_text(field, objects[i], arena, &(*texts)[i], error));
    return AKIN_OK;
}

akin_status ak_field_key(const char *field, akin_object object, ak_hash *key, akin_error *error)
{
    if (!field) {
        *key = ak_hash_bytes(object.data, object.size);
        return AKIN_OK;
    }
    akin_arena *arena;
    akin_object text;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_field_text(field, object, arena, &text, error);
    if (!status)
        *key = ak_hash_bytes(text.data, text.size);
    ak_arena_free(arena);
    return status;
}
