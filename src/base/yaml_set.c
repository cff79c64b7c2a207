/* "train.epochs=5": changes a tree as if the recipe had said so. */
#include "base/value.h"

#include <string.h>

/* The member `key` of `map`, made if there is none; NULL when out of memory. */
static ak_value *member(ak_value *map, akin_arena *arena, const char *key)
{
    for (ak_value *v = map->first; v; v = v->next)
        if (strcmp(v->key, key) == 0)
            return v;
    return ak_value_add(arena, map, key, AK_NULL);
}

/* Walks to the member that `path` (which is cut at its dots) names. */
static akin_status walk(ak_value **out, ak_value *root, akin_arena *arena, char *path,
                        const char *assignment, akin_error *error)
{
    ak_value *v = root;
    for (char *dot; path; path = dot) {
        dot = strchr(path, '.');
        if (dot)
            *dot++ = 0;
        if (!*path)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "\"%.200s\" has an empty name, expected NAME.NAME=VALUE", assignment);
        if (v->kind == AK_NULL)
            v->kind = AK_MAP;
        if (v->kind != AK_MAP)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "\"%.200s\": \"%.80s\" would be a member of %s, expected a map",
                           assignment, path, ak_value_kind_name(v->kind));
        v = member(v, arena, path);
        if (!v)
            return ak_fail_memory(error);
    }
    *out = v;
    return AKIN_OK;
}

static akin_status parse_right_side(ak_value **out, akin_arena *arena, const char *assignment,
                                    const char *text, akin_error *error)
{
    akin_error inner = {0};
    if (strcmp(text, "-") == 0)
        text = "'-'"; /* standard input; YAML would read a list of nothing */
    akin_status status = ak_yaml_parse(out, arena, text, strlen(text), NULL, &inner);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    return status
               ? ak_fail(error, AKIN_ERR_ARGUMENT, "\"%.200s\": %.200s", assignment, inner.message)
               : AKIN_OK;
}

akin_status ak_yaml_set(ak_value *root, akin_arena *arena, const char *assignment,
                        akin_error *error)
{
    const char *equals = strchr(assignment, '=');
    if (!equals)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "\"%.200s\" has no \"=\", expected NAME=VALUE",
                       assignment);
    char *path = ak_arena_copy(arena, assignment, (size_t)(equals - assignment));
    if (!path)
        return ak_fail_memory(error);
    ak_value *value, *place = NULL;
    AK_TRY(parse_right_side(&value, arena, assignment, equals + 1, error));
    AK_TRY(walk(&place, root, arena, path, assignment, error));
    value->key = place->key;
    value->next = place->next;
    *place = *value;
    return AKIN_OK;
}
