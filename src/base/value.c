/* The value tree: lookups and builders. Children are a linked list, in the order of the source. */
#include "base/value.h"

#include <string.h>

const char *ak_value_kind_name(ak_value_kind kind)
{
    static const char *const names[] = {
        [AK_NULL] = "nothing (null)", [AK_BOOL] = "true or false", [AK_INT] = "a whole number",
        [AK_FLOAT] = "a number",      [AK_STRING] = "text",        [AK_LIST] = "a list",
        [AK_MAP] = "a map",
    };
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "an unknown value";
}

const ak_value *ak_value_get(const ak_value *map, const char *key)
{
    if (!map || map->kind != AK_MAP)
        return NULL;
    for (const ak_value *v = map->first; v; v = v->next)
        if (strcmp(v->key, key) == 0)
            return v;
    return NULL;
}

const char *ak_value_get_string(const ak_value *map, const char *key, const char *otherwise)
{
    const ak_value *v = ak_value_get(map, key);
    return v && v->kind == AK_STRING ? v->string : otherwise;
}

int64_t ak_value_get_int(const ak_value *map, const char *key, int64_t otherwise)
{
    const ak_value *v = ak_value_get(map, key);
    return v && v->kind == AK_INT ? v->integer : otherwise;
}

double ak_value_get_number(const ak_value *map, const char *key, double otherwise)
{
    const ak_value *v = ak_value_get(map, key);
    return v && (v->kind == AK_INT || v->kind == AK_FLOAT) ? v->number : otherwise;
}

bool ak_value_get_bool(const ak_value *map, const char *key, bool otherwise)
{
    const ak_value *v = ak_value_get(map, key);
    return v && v->kind == AK_BOOL ? v->boolean : otherwise;
}

static ak_value *new_node(akin_arena *arena, ak_value_kind kind)
{
    ak_value *v = ak_arena_small(arena, sizeof *v);
    if (v)
        *v = (ak_value){.kind = kind};
    return v;
}

ak_value *ak_value_new_map(akin_arena *arena)
{
    return new_node(arena, AK_MAP);
}

ak_value *ak_value_new_list(akin_arena *arena)
{
    return new_node(arena, AK_LIST);
}

ak_value *ak_value_add(akin_arena *arena, ak_value *parent, const char *key, ak_value_kind kind)
{
    ak_value *v = parent ? new_node(arena, kind) : NULL;
    if (!v)
        return NULL;
    if (key && !(v->key = ak_arena_copy(arena, key, strlen(key))))
        return NULL;
    if (parent->last)
        parent->last->next = v;
    else
        parent->first = v;
    parent->last = v;
    parent->count++;
    return v;
}

ak_value *ak_value_add_string(akin_arena *arena, ak_value *parent, const char *key,
                              const char *text)
{
    if (!text)
        return ak_value_add(arena, parent, key, AK_NULL);
    const char *copy = ak_arena_copy(arena, text, strlen(text));
    ak_value *v = copy ? ak_value_add(arena, parent, key, AK_STRING) : NULL;
    if (v) {
        v->string = copy;
        v->size = strlen(copy);
    }
    return v;
}

ak_value *ak_value_add_int(akin_arena *arena, ak_value *parent, const char *key, int64_t number)
{
    ak_value *v = ak_value_add(arena, parent, key, AK_INT);
    if (v) {
        v->integer = number;
        v->number = (double)number;
    }
    return v;
}

ak_value *ak_value_add_number(akin_arena *arena, ak_value *parent, const char *key, double number)
{
    ak_value *v = ak_value_add(arena, parent, key, AK_FLOAT);
    if (v)
        v->number = number;
    return v;
}

ak_value *ak_value_add_bool(akin_arena *arena, ak_value *parent, const char *key, bool boolean)
{
    ak_value *v = ak_value_add(arena, parent, key, AK_BOOL);
    if (v)
        v->boolean = boolean;
    return v;
}

ak_value *ak_value_attach(akin_arena *arena, ak_value *parent, const char *key,
                          const ak_value *tree)
{
    ak_value *v = tree ? ak_value_add(arena, parent, key, tree->kind) : NULL;
    if (v) {
        ak_value kept = *v;
        *v = *tree;
        v->key = kept.key;
        v->next = NULL;
    }
    return v;
}
