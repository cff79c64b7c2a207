#include "train/recipe.h"

#include <string.h>

/* ---- open ---- */

static akin_status read_root(akin_recipe *recipe, const char *path, const char *const *sets,
                             int set_count, akin_error *error)
{
    recipe->name = path ? ak_arena_copy(recipe->arena, path, strlen(path)) : "options";
    recipe->folder = path ? ak_path_parent(path) : ak_strdup(".");
    if (!recipe->name || !recipe->folder)
        return ak_fail_memory(error);
    if (path)
        AK_TRY(ak_yaml_read(&recipe->root, recipe->arena, path, error));
    else if (!(recipe->root = ak_value_new_map(recipe->arena)))
        return ak_fail_memory(error);
    for (int i = 0; i < set_count; i++)
        AK_TRY(ak_yaml_set(recipe->root, recipe->arena, sets[i], error));
    return AKIN_OK;
}

static akin_status make(akin_recipe **out, akin_context *context, akin_error *error)
{
    *out = ak_calloc(1, sizeof **out);
    if (!*out)
        return ak_fail_memory(error);
    (*out)->context = context;
    akin_status status = ak_arena_create(&(*out)->arena, error);
    if (status)
        akin_recipe_free(*out);
    return status;
}

static akin_status hand_over(akin_recipe **out, akin_recipe *recipe, akin_status status)
{
    if (status)
        akin_recipe_free(recipe);
    else
        *out = recipe;
    return status;
}

akin_status akin_recipe_open(akin_recipe **out, akin_context *context, const char *path,
                             const char *const *sets, int set_count, akin_error *error)
{
    akin_recipe *recipe;
    *out = NULL;
    AK_TRY(make(&recipe, context, error));
    akin_status status = read_root(recipe, path, sets, set_count, error);
    if (!status)
        status = ak_recipe_parse(recipe, error);
    if (!status)
        status = ak_recipe_check(recipe, error);
    return hand_over(out, recipe, status);
}

/* Of the record only what tells where the data is and how it is split: what else a recipe says has
   been done. */
static akin_status read_record(akin_recipe *recipe, const char *json, akin_error *error)
{
    static const char *const kept[] = {"data", "encoders", "train"};
    ak_value *record;
    recipe->name = "the model's recipe";
    AK_TRY(ak_json_parse(&record, recipe->arena, json, strlen(json), recipe->name, error));
    const ak_value *whole = ak_value_get(record, "recipe");
    recipe->validation_hash = ak_value_get_string(record, "validation_hash", NULL);
    recipe->folder = ak_strdup(ak_value_get_string(record, "recipe_folder", "."));
    recipe->root = ak_value_new_map(recipe->arena);
    if (!recipe->folder || !recipe->root)
        return ak_fail_memory(error);
    if (!whole)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "the model keeps no recipe");
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const ak_value *section = ak_value_get(whole, kept[i]);
        if (section && !ak_value_attach(recipe->arena, recipe->root, kept[i], section))
            return ak_fail_memory(error);
    }
    return ak_recipe_parse(recipe, error);
}

akin_status akin_recipe_of_model(akin_recipe **out, akin_context *context, const akin_model *model,
                                 akin_error *error)
{
    *out = NULL;
    if (!model->training_json)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "the model keeps no recipe: it was not trained");
    akin_recipe *recipe;
    AK_TRY(make(&recipe, context, error));
    return hand_over(out, recipe, read_record(recipe, model->training_json, error));
}

void akin_recipe_free(akin_recipe *recipe)
{
    if (!recipe)
        return;
    ak_recipe_close_data(recipe);
    ak_free(recipe->folder);
    ak_free(recipe->json);
    ak_arena_free(recipe->arena);
    ak_free(recipe);
}

const char *akin_recipe_json(const akin_recipe *recipe)
{
    return recipe->json;
}

akin_status akin_recipe_loaders(akin_recipe *recipe, akin_loader **train, akin_loader **validation,
                                akin_error *error)
{
    *train = *validation = NULL;
    AK_TRY(ak_recipe_open_data(recipe, error));
    *train = recipe->train_loader;
    *validation = recipe->validation_loader;
    return AKIN_OK;
}

/* ---- the trainable model ---- */

static akin_status configure_encoders(void *user, akin_context *context,
                                      akin_named_encoder *encoders, int capacity, int *count,
                                      akin_error *error)
{
    const akin_recipe *recipe = user;
    const ak_value *map = ak_value_get(recipe->root, "encoders");
    *count = 0;
    if (map->count > capacity)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, map->line,
                          "more than %d encoders", capacity);
    akin_precision precision = recipe->trainer.precision == AKIN_BF16 ? AKIN_BF16 : AKIN_AS_SAVED;
    for (const ak_value *one = map->first; one; one = one->next) {
        encoders[*count].name = one->key;
        AK_TRY(ak_encoder_make(&encoders[*count].encoder, context, one, recipe->name,
                               recipe->folder, precision, false, error));
        (*count)++;
    }
    return AKIN_OK;
}

static akin_status configure_head(void *user, akin_context *context, int64_t input_dim,
                                  akin_head **head, akin_error *error)
{
    const akin_recipe *recipe = user;
    return ak_head_make(head, context, ak_value_get(recipe->root, "head"), recipe->name, input_dim,
                        error);
}

static akin_status configure_loss(void *user, akin_context *context, akin_loss **loss,
                                  akin_error *error)
{
    (void)context; /* the recipe's own */
    return ak_recipe_make_loss(loss, user, error);
}

static akin_status configure_optimizer(void *user, akin_optimizer_options *options,
                                       akin_error *error)
{
    (void)error;
    *options = ((const akin_recipe *)user)->optimizer;
    return AKIN_OK;
}

static akin_status configure_metrics(void *user, akin_metric_list *metrics, akin_error *error)
{
    const akin_recipe *recipe = user;
    (void)error;
    if (recipe->metric_count >= 0)
        *metrics = (akin_metric_list){recipe->metrics, recipe->metric_count};
    return AKIN_OK;
}

static akin_status configure_cache(void *user, akin_cache_options *options, akin_error *error)
{
    (void)error;
    options->enabled = ((const akin_recipe *)user)->cache;
    return AKIN_OK;
}

akin_trainable akin_recipe_trainable(akin_recipe *recipe)
{
    return (akin_trainable){.size = sizeof(akin_trainable),
                            .user = recipe,
                            .configure_encoders = configure_encoders,
                            .configure_head = configure_head,
                            .configure_loss = configure_loss,
                            .configure_optimizer = configure_optimizer,
                            .configure_metrics = configure_metrics,
                            .configure_cache = configure_cache,
                            .recipe = recipe->json,
                            .recipe_folder = recipe->folder};
}

akin_status ak_recipe_base(akin_model **out, akin_recipe *recipe, akin_error *error)
{
    akin_context *context = recipe->context;
    akin_named_encoder encoders[AK_MAX_ENCODERS] = {{NULL, NULL}};
    int count;
    uint64_t seed = context->seed;
    *out = NULL;
    context->seed = recipe->trainer.seed; /* as a run does */
    akin_status status =
        configure_encoders(recipe, context, encoders, AK_MAX_ENCODERS, &count, error);
    context->seed = seed;
    if (!status)
        status = akin_model_create(out, context, encoders, count, NULL, error);
    for (int i = 0; i < AK_MAX_ENCODERS && status; i++)
        akin_encoder_free(encoders[i].encoder);
    return status;
}

akin_trainer akin_recipe_trainer(const akin_recipe *recipe)
{
    return recipe->trainer;
}
