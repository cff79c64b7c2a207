/* A head: a class by name, its options and its parameters. */
#include "model/model.h"

#include "model/heads.h"

#include <string.h>

static const char *const shared_options[] = {"type", NULL};

akin_status ak_head_find(const void *context, const char *name, ak_found_class *out,
                         akin_error *error)
{
    const void *type;
    AK_TRY(ak_class_find(&type, context, AK_HEAD_CLASS, (const void *const *)ak_heads, "head", name,
                         error));
    const akin_head_class *class = type;
    *out = (ak_found_class){class, class->name, class->options, class->options_size};
    return AKIN_OK;
}

static akin_status open_object(akin_head *head, akin_context *context, const ak_value *map,
                               const char *name, akin_error *error)
{
    const akin_head_class *type = head->type;
    if (type->options_size) {
        head->options = ak_calloc(1, type->options_size);
        if (!head->options)
            return ak_fail_memory(error);
    }
    static const akin_option none[] = {{NULL}};
    const ak_option_reader reader = {.name = name,
                                     .also = shared_options,
                                     .arena = head->arena,
                                     .find = ak_head_find,
                                     .user = context};
    AK_TRY(
        ak_options_read(&reader, type->options ? type->options : none, head->options, map, error));
    AK_TRY(akin_parameters_create(&head->parameters, error));
    AK_TRY(type->create(&head->self, head->options, head->input_dim, head->parameters,
                        &head->output_dim, error));
    AK_TRY(akin_parameters_seal(head->parameters, context ? context->seed : 42, error));
    ak_value *given = ak_value_new_map(head->arena);
    if (!ak_value_add_string(head->arena, given, "type", type->name))
        return ak_fail_memory(error);
    head->given = given;
    return type->options ? ak_options_write(type->options, head->options, given, head->arena, error)
                         : AKIN_OK;
}

akin_status ak_head_make(akin_head **out, akin_context *context, const ak_value *map,
                         const char *name, int64_t input_dim, akin_error *error)
{
    *out = NULL;
    ak_found_class found;
    AK_TRY(
        ak_head_find(context, ak_value_get_string(map, "type", "skip_connection"), &found, error));
    akin_head *head = ak_calloc(1, sizeof *head);
    if (!head)
        return ak_fail_memory(error);
    head->type = found.type;
    head->input_dim = input_dim;
    akin_status status = ak_arena_create(&head->arena, error);
    if (!status)
        status = open_object(head, context, map, name, error);
    if (status) {
        akin_head_free(head);
        return status;
    }
    *out = head;
    return AKIN_OK;
}

akin_status akin_head_create(akin_head **out, akin_context *context, const char *type,
                             const char *options, int64_t input_dim, akin_error *error)
{
    *out = NULL;
    if (input_dim < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a head's input width must be at least 1, not %lld", (long long)input_dim);
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *map;
    akin_status status = ak_class_options(&map, arena, type, options, "head options", error);
    if (!status)
        status = ak_head_make(out, context, map, "head options", input_dim, error);
    ak_arena_free(arena);
    return status;
}

void akin_head_free(akin_head *head)
{
    if (!head)
        return;
    if (head->self && head->type->free)
        head->type->free(head->self);
    akin_parameters_free(head->parameters);
    ak_free(head->options);
    ak_arena_free(head->arena);
    ak_free(head);
}

akin_status akin_register_head(akin_context *context, const akin_head_class *type,
                               akin_error *error)
{
    static const ak_member needed[] = {AK_MEMBER(akin_head_class, create),
                                       AK_MEMBER(akin_head_class, forward),
                                       AK_MEMBER(akin_head_class, backward),
                                       {NULL}};
    return ak_class_register(context, AK_HEAD_CLASS, (const void *const *)ak_heads, "head", type,
                             needed, error);
}
