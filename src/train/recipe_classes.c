/* A recipe's classes: found by name, their options parsed, before any data is read; and the recipe
   as JSON, with every default filled in. */
#include "train/recipe.h"

#include <string.h>

/* The class that `map` names, its mistakes told with their line. */
static akin_status find(ak_found_class *out, const akin_recipe *recipe, ak_class_finder *finder,
                        const ak_value *map, const char *otherwise, akin_error *error)
{
    akin_error why = {0};
    const ak_value *type = ak_value_get(map, "type");
    const char *name = ak_value_get_string(map, "type", otherwise);
    akin_status status = finder(recipe->context, name, out, &why);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    return status
               ? ak_fail_at(error, status, recipe->name, type ? type->line : 0, "%s", why.message)
               : AKIN_OK;
}

/* {type: NAME, every option}, as a member of `parent`. */
static akin_status write_class(const akin_recipe *recipe, const ak_found_class *class,
                               ak_class_finder *finder, const ak_value *given, const char *key,
                               ak_value *parent, akin_error *error)
{
    static const char *const type_only[] = {"type", NULL};
    static const akin_option none[] = {{NULL}};
    const char *const *shared = finder == ak_encoder_find ? ak_encoder_shared : type_only;
    const akin_option *rows = class->rows ? class->rows : none;
    const ak_option_reader reader = {.name = recipe->name,
                                     .also = shared,
                                     .arena = recipe->arena,
                                     .find = finder,
                                     .user = recipe->context};
    void *options = akin_arena_alloc(recipe->arena, class->options_size + 1);
    ak_value *map = ak_value_add(recipe->arena, parent, key, AK_MAP);
    if (!options || !ak_value_add_string(recipe->arena, map, "type", class->name))
        return ak_fail_memory(error);
    AK_TRY(ak_options_read(&reader, rows, options, given, error));
    for (const char *const *name = shared + 1; *name; name++) { /* the type is there */
        const ak_value *value = ak_value_get(given, *name);
        if (value && !ak_value_attach(recipe->arena, map, *name, value))
            return ak_fail_memory(error);
    }
    return ak_options_write(rows, options, map, recipe->arena, error);
}

static akin_status write_encoders(const akin_recipe *recipe, ak_value *root, akin_error *error)
{
    ak_value *map = ak_value_add(recipe->arena, root, "encoders", AK_MAP);
    const ak_value *one = ak_value_get(recipe->root, "encoders")->first;
    for (; one; one = one->next) {
        ak_found_class class;
        AK_TRY(find(&class, recipe, ak_encoder_find, one, "transformer", error));
        AK_TRY(write_class(recipe, &class, ak_encoder_find, one, one->key, map, error));
    }
    return map ? AKIN_OK : ak_fail_memory(error);
}

/* The map of classes that a switch of that kind has, NULL: this is none. */
static const ak_value *switch_map(const ak_value *class, const char *key)
{
    const char *type = ak_value_get_string(class, "type", "");
    const ak_value *map = strcmp(type, "switch") == 0 ? ak_value_get(class, key) : NULL;
    return map && map->kind == AK_MAP ? map : NULL;
}

/* A head for a tag that no encoder gives is told here, where the line is known; of a plug-in's
   encoder that gives tags only the model knows which. */
static akin_status check_tags(const akin_recipe *recipe, akin_error *error)
{
    const ak_value *heads = switch_map(ak_value_get(recipe->root, "head"), "heads");
    const ak_value *encoder = ak_value_get(recipe->root, "encoders")->first, *given = NULL;
    bool others = false;
    for (; heads && encoder && !given; encoder = encoder->next) {
        ak_found_class class;
        AK_TRY(find(&class, recipe, ak_encoder_find, encoder, "transformer", error));
        given = switch_map(encoder, "encoders");
        others |= !given && ak_encoder_class_has_tags(class.type);
    }
    for (const ak_value *tag = heads ? heads->first : NULL; tag && !others; tag = tag->next)
        if (!ak_value_get(given, tag->key))
            return ak_fail_at(error, AKIN_ERR_MISMATCH, recipe->name, tag->line,
                              "the head of the tag \"%s\": %s", tag->key,
                              given ? "the switch encoder has no encoder of that name"
                                    : "no encoder gives tags (type: switch)");
    return AKIN_OK;
}

static akin_status write_head(const akin_recipe *recipe, ak_value *root, akin_error *error)
{
    const ak_value *map = ak_value_get(recipe->root, "head");
    ak_found_class class;
    AK_TRY(find(&class, recipe, ak_head_find, map, "skip_connection", error));
    AK_TRY(check_tags(recipe, error));
    return write_class(recipe, &class, ak_head_find, map, "head", root, error);
}

static const char *kind_name(akin_sample_kind kind)
{
    return kind == AKIN_PAIRS ? "pairs" : "groups";
}

akin_status ak_recipe_make_loss(akin_loss **out, const akin_recipe *recipe, akin_error *error)
{
    const ak_value *map = ak_value_get(recipe->root, "loss");
    if (map && map->kind == AK_MAP)
        return ak_loss_make(out, recipe->context, map, recipe->name, error);
    bool pairs = recipe->data.samples == AKIN_PAIRS;
    return akin_loss_create(out, recipe->context, pairs ? "multiple_negatives_ranking" : "triplet",
                            pairs ? "symmetric: true" : NULL, error);
}

/* What is written is the loss's own: it must outlive `root`. */
static akin_status write_loss(const akin_recipe *recipe, const akin_loss *loss, ak_value *root,
                              akin_error *error)
{
    akin_sample_kind samples = (akin_sample_kind)recipe->data.samples, kind = loss->traits.kind;
    const ak_value *map = ak_value_get(recipe->root, "loss");
    if (kind != samples && !loss->traits.any_kind)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, recipe->name, map ? map->line : 0,
                          "the loss \"%s\" learns from %s, but \"data.samples\" is %s",
                          loss->type->name, kind_name(kind), kind_name(samples));
    return ak_value_attach(recipe->arena, root, "loss", loss->given) ? AKIN_OK
                                                                     : ak_fail_memory(error);
}

static akin_status check_metric(const akin_recipe *recipe, const ak_value *one, akin_error *error)
{
    ak_metric metric;
    AK_TRY(
        ak_metric_make_parsed(&metric, recipe->context, one, recipe->name, recipe->arena, error));
    if (metric.type->kind == AKIN_METRIC_RANKING || recipe->data.samples == AKIN_PAIRS)
        return AKIN_OK;
    return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, one->line,
                      "the metric \"%s\" is of scored pairs, but \"data.samples\" is groups",
                      metric.name);
}

static akin_status write_metrics(const akin_recipe *recipe, ak_value *root, akin_error *error)
{
    ak_value *kept = ak_value_add(recipe->arena, root, "metrics", AK_LIST);
    if (!kept)
        return ak_fail_memory(error);
    if (recipe->metric_count < 0)
        return ak_value_add_string(recipe->arena, kept, NULL, "reciprocal_rank")
                   ? AKIN_OK
                   : ak_fail_memory(error);
    const ak_value *one = ak_value_get(recipe->root, "metrics")->first;
    for (; one; one = one->next) {
        AK_TRY(check_metric(recipe, one, error));
        if (!ak_value_attach(recipe->arena, kept, NULL, one))
            return ak_fail_memory(error);
    }
    return AKIN_OK;
}

static akin_status write_data(const akin_recipe *recipe, ak_value *root, akin_error *error)
{
    akin_arena *arena = recipe->arena;
    const ak_value *validation = ak_value_get(ak_value_get(recipe->root, "data"), "validation");
    ak_value *data = ak_value_add(arena, root, "data", AK_MAP);
    if (!data)
        return ak_fail_memory(error);
    AK_TRY(ak_recipe_write_files(recipe, data, error));
    AK_TRY(ak_options_write(ak_data_rows, &recipe->data, data, arena, error));
    ak_value *kept = validation ? ak_value_attach(arena, data, "validation", validation)
                                : ak_value_add_number(arena, data, "validation", 0.1);
    ak_value *fields = kept ? ak_value_add(arena, data, "fields", AK_MAP) : NULL;
    if (!fields)
        return ak_fail_memory(error);
    return ak_options_write(ak_field_rows, &recipe->fields, fields, arena, error);
}

static akin_status write_hard_negatives(const akin_recipe *recipe, ak_value *train,
                                        akin_error *error)
{
    const akin_trainer *trainer = &recipe->trainer;
    ak_value *map = ak_value_add(recipe->arena, train, "hard_negatives", AK_MAP);
    if (!map)
        return ak_fail_memory(error);
    AK_TRY(ak_options_write(ak_hard_rows, trainer, map, recipe->arena, error));
    return ak_options_write(ak_mining_rows, &trainer->hard_negatives, map, recipe->arena, error);
}

static akin_status write_training(const akin_recipe *recipe, ak_value *root, akin_error *error)
{
    akin_arena *arena = recipe->arena;
    ak_value *optimizer = ak_value_add(arena, root, "optimizer", AK_MAP);
    ak_value *train = ak_value_add(arena, root, "train", AK_MAP);
    if (!optimizer || !train)
        return ak_fail_memory(error);
    AK_TRY(ak_optimizer_write(&recipe->optimizer, optimizer, arena, error));
    AK_TRY(ak_options_write(ak_batch_rows, &recipe->batch, train, arena, error));
    AK_TRY(ak_options_write(ak_trainer_rows, &recipe->trainer, train, arena, error));
    ak_value *stopping = ak_value_add(arena, train, "early_stopping", AK_MAP);
    ak_value *checkpoint = ak_value_add(arena, train, "checkpoint", AK_MAP);
    const char *sampler = recipe->sampler.text;
    ak_value *kept;
    AK_TRY(ak_json_parse(&kept, arena, sampler, strlen(sampler), recipe->name, error));
    if (!stopping || !checkpoint || !ak_value_attach(arena, train, "sampler", kept) ||
        !ak_value_add_bool(arena, root, "cache", recipe->cache))
        return ak_fail_memory(error);
    AK_TRY(ak_options_write(ak_stopping_rows, &recipe->trainer, stopping, arena, error));
    AK_TRY(write_hard_negatives(recipe, train, error));
    return ak_options_write(ak_checkpoint_rows, &recipe->trainer, checkpoint, arena, error);
}

static akin_status write_all(akin_recipe *recipe, const akin_loss *loss, akin_error *error)
{
    ak_value *root = ak_value_new_map(recipe->arena);
    if (!root)
        return ak_fail_memory(error);
    AK_TRY(write_data(recipe, root, error));
    AK_TRY(write_encoders(recipe, root, error));
    AK_TRY(write_head(recipe, root, error));
    AK_TRY(write_loss(recipe, loss, root, error));
    AK_TRY(write_training(recipe, root, error));
    AK_TRY(write_metrics(recipe, root, error));
    recipe->json = ak_json_write(root, 0);
    return recipe->json ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_recipe_check(akin_recipe *recipe, akin_error *error)
{
    akin_loss *loss;
    AK_TRY(ak_recipe_make_loss(&loss, recipe, error));
    akin_status status = write_all(recipe, loss, error);
    akin_loss_free(loss);
    return status;
}
