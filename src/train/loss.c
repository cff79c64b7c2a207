/* A loss: a class by name and its options; its object is made when widths and groups are known. */
#include "train/train.h"

#include <string.h>

static const char *const shared_options[] = {"type", NULL};

akin_status ak_loss_find(const void *context, const char *name, ak_found_class *out,
                         akin_error *error)
{
    const void *type;
    AK_TRY(ak_class_find(&type, context, AK_LOSS_CLASS, (const void *const *)ak_losses, "loss",
                         name, error));
    const akin_loss_class *class = type;
    *out = (ak_found_class){class, class->name, class->options, class->options_size};
    return AKIN_OK;
}

static akin_status parse(akin_loss *loss, const akin_context *context, const ak_value *map,
                         const char *name, akin_error *error)
{
    const akin_loss_class *type = loss->type;
    static const akin_option none[] = {{NULL}};
    const akin_option *rows = type->options ? type->options : none;
    if (type->options_size && !(loss->options = ak_calloc(1, type->options_size)))
        return ak_fail_memory(error);
    const ak_option_reader reader = {.name = name,
                                     .also = shared_options,
                                     .arena = loss->arena,
                                     .find = ak_loss_find,
                                     .user = context};
    AK_TRY(ak_options_read(&reader, rows, loss->options, map, error));
    ak_value *given = ak_value_new_map(loss->arena);
    if (!ak_value_add_string(loss->arena, given, "type", type->name))
        return ak_fail_memory(error);
    loss->given = given;
    return ak_options_write(rows, loss->options, given, loss->arena, error);
}

/* `why` told where the loss stands in its source. */
static akin_status fail_at(const ak_value *at, const char *name, akin_status status,
                           const akin_error *why, akin_error *error)
{
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    return status ? ak_fail_at(error, status, name, at ? at->line : 0, "%s", why->message)
                  : AKIN_OK;
}

static akin_status describe(akin_loss *loss, const ak_value *map, const char *name,
                            akin_error *error)
{
    akin_error why = {0};
    akin_status status = ak_loss_describe(loss->type, loss->options, &loss->traits, &why);
    return fail_at(map, name, status, &why, error);
}

akin_status ak_loss_make(akin_loss **out, akin_context *context, const ak_value *map,
                         const char *name, akin_error *error)
{
    *out = NULL;
    akin_error why = {0};
    ak_found_class found = {NULL};
    akin_status status = ak_loss_find(
        context, ak_value_get_string(map, "type", "multiple_negatives_ranking"), &found, &why);
    AK_TRY(fail_at(ak_value_get(map, "type"), name, status, &why, error));
    akin_loss *loss = ak_calloc(1, sizeof *loss);
    if (!loss)
        return ak_fail_memory(error);
    loss->type = found.type;
    status = ak_arena_create(&loss->arena, error);
    if (!status)
        status = parse(loss, context, map, name, error);
    if (!status)
        status = describe(loss, map, name, error);
    if (status) {
        akin_loss_free(loss);
        return status;
    }
    *out = loss;
    return AKIN_OK;
}

akin_status akin_loss_create(akin_loss **out, akin_context *context, const char *type,
                             const char *options, akin_error *error)
{
    *out = NULL;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *map;
    akin_status status = ak_class_options(&map, arena, type, options, "loss options", error);
    if (!status)
        status = ak_loss_make(out, context, map, "loss options", error);
    ak_arena_free(arena);
    return status;
}

akin_status ak_loss_open(akin_loss *loss, int64_t dim, int64_t groups, uint64_t seed,
                         akin_error *error)
{
    AK_TRY(akin_parameters_create(&loss->parameters, error));
    AK_TRY(ak_loss_object(&loss->self, loss->type, loss->options, dim, groups, loss->parameters,
                          error));
    return akin_parameters_seal(loss->parameters, seed, error);
}

void akin_loss_free(akin_loss *loss)
{
    if (!loss)
        return;
    ak_loss_object_free(loss->self, loss->type);
    akin_parameters_free(loss->parameters);
    ak_free(loss->options);
    ak_arena_free(loss->arena);
    ak_free(loss);
}

akin_status akin_register_loss(akin_context *context, const akin_loss_class *type,
                               akin_error *error)
{
    static const ak_member needed[] = {AK_MEMBER(akin_loss_class, compute), {NULL}};
    return ak_class_register(context, AK_LOSS_CLASS, (const void *const *)ak_losses, "loss", type,
                             needed, error);
}
