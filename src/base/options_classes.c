/* Options that hold classes: the layers of a sequential head, the losses of a sum. A class's
   options may hold classes again; the depth is limited, so these few functions may call each other.

     gated                                one class
     {type: gated, dropout: 0.1}          one class with options
     [{type: linear}, gated]              a list
     {image: {type: linear}, text: gated} a map by names, none of them "type" */
#include "base/options.h"

#include <string.h>

#define MAX_DEPTH 8
#define MAX_CLASSES 64

static akin_status fail(const ak_option_reader *reader, const ak_value *v, akin_status status,
                        akin_error *error, const char *text, const char *name)
{
    return ak_fail_place(error, status, reader->name, v->line, v->column, text, name);
}

static akin_status find_class(const ak_option_reader *reader, const ak_value *v, const char *name,
                              ak_found_class *out, akin_error *error)
{
    akin_error why = {0};
    akin_status status = reader->find(reader->user, name, out, &why);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    return status ? fail(reader, v, status, error, "%s", why.message) : AKIN_OK;
}

static akin_status read_options(const ak_option_reader *reader, const ak_found_class *found,
                                akin_class_given *out, const ak_value *map, akin_error *error)
{
    static const char *const also[] = {"type", NULL};
    static const akin_option none[] = {{NULL}};
    ak_option_reader inner = *reader;
    inner.also = also;
    inner.depth++;
    void *options = akin_arena_alloc(reader->arena, found->options_size + 1);
    if (!options)
        return ak_fail_memory(error);
    memset(options, 0, found->options_size + 1);
    *out = (akin_class_given){.name = out->name,
                              .type_name = found->name,
                              .type = found->type,
                              .options = found->options_size ? options : NULL,
                              .rows = found->rows};
    return ak_options_read(&inner, found->rows ? found->rows : none, options, map, error);
}

/* out->name is set already. */
static akin_status read_one(const ak_option_reader *reader, const akin_option *row,
                            akin_class_given *out, const ak_value *v, akin_error *error)
{
    bool name = v->kind == AK_STRING;
    const ak_value *type = v->kind == AK_MAP ? ak_value_get(v, "type") : NULL;
    ak_found_class found;
    if (!name && v->kind != AK_MAP)
        return ak_fail_place(error, AKIN_ERR_ARGUMENT, reader->name, v->line, v->column,
                             "\"%s\" holds %s, expected a class: a name or a map with \"type\"",
                             row->name, ak_value_kind_name(v->kind));
    if (!name && (!type || type->kind != AK_STRING))
        return fail(reader, v, AKIN_ERR_ARGUMENT, error,
                    "a class in \"%s\" does not say its \"type\"", row->name);
    AK_TRY(find_class(reader, type ? type : v, type ? type->string : v->string, &found, error));
    return read_options(reader, &found, out, name ? NULL : v, error);
}

static bool is_one(const ak_value *v)
{
    return v->kind == AK_STRING || (v->kind == AK_MAP && ak_value_get(v, "type"));
}

akin_status ak_option_classes_read(const ak_option_reader *reader, const akin_option *row,
                                   akin_classes *out, const ak_value *v, akin_error *error)
{
    bool one = is_one(v);
    *out = (akin_classes){0};
    if (v->kind == AK_NULL)
        return AKIN_OK;
    if (!one && v->kind != AK_LIST && v->kind != AK_MAP)
        return ak_fail_place(error, AKIN_ERR_ARGUMENT, reader->name, v->line, v->column,
                             "\"%s\" is %s, must be a class, a list or a map of classes", row->name,
                             ak_value_kind_name(v->kind));
    if (reader->depth == MAX_DEPTH)
        return fail(reader, v, AKIN_ERR_ARGUMENT, error,
                    "\"%s\": classes in classes, deeper than 8 levels", row->name);
    int64_t count = one ? 1 : v->count, i = 0;
    if (count > MAX_CLASSES)
        return fail(reader, v, AKIN_ERR_ARGUMENT, error, "\"%s\" has more than 64 classes",
                    row->name);
    akin_class_given *items = ak_arena_new(reader->arena, akin_class_given, count);
    if (!items)
        return ak_fail_memory(error);
    for (const ak_value *item = one ? v : v->first; item; item = one ? NULL : item->next, i++) {
        const char *key = v->kind == AK_MAP && !one ? item->key : NULL;
        items[i] =
            (akin_class_given){.name = key ? ak_arena_copy(reader->arena, key, strlen(key)) : NULL};
        if (key && !items[i].name)
            return ak_fail_memory(error);
        AK_TRY(read_one(reader, row, &items[i], item, error));
    }
    *out = (akin_classes){count ? items : NULL, count};
    return AKIN_OK;
}

akin_status ak_option_classes_write(const char *key, const akin_classes *classes, ak_value *map,
                                    akin_arena *arena, akin_error *error)
{
    bool named = classes->count && classes->items[0].name;
    ak_value *list = ak_value_add(arena, map, key, named ? AK_MAP : AK_LIST);
    if (!list)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < classes->count; i++) {
        const akin_class_given *class = &classes->items[i];
        ak_value *one = ak_value_add(arena, list, class->name, AK_MAP);
        if (!ak_value_add_string(arena, one, "type", class->type_name))
            return ak_fail_memory(error);
        if (class->options)
            AK_TRY(ak_options_write(class->rows, class->options, one, arena, error));
    }
    return AKIN_OK;
}
