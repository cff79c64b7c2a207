/* The data of a recipe: files or a split of one, and their loaders. */
#include "train/recipe.h"

#include <string.h>

static akin_status open_set(const akin_recipe *recipe, const char *path, const akin_fields *fields,
                            akin_dataset **out, akin_error *error)
{
    char *full = ak_path_join(recipe->folder, path);
    if (!full)
        return ak_fail_memory(error);
    akin_status status = akin_dataset_open(out, recipe->context, full,
                                           (akin_sample_kind)recipe->data.samples, fields, error);
    ak_free(full);
    return status;
}

/* What is trained on, as long as nothing is held out of it. */
static const akin_dataset *whole(const akin_recipe *recipe)
{
    return recipe->mixed ? recipe->mixed : recipe->files[0].dataset;
}

static akin_status open_files(akin_recipe *recipe, akin_error *error)
{
    int64_t n = recipe->file_count;
    const akin_dataset **sets = ak_arena_new(recipe->arena, const akin_dataset *, n);
    double *weights = ak_arena_new(recipe->arena, double, n);
    if (!sets || !weights)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++) {
        ak_data_file *file = &recipe->files[i];
        AK_TRY(open_set(recipe, file->path, &file->fields, &file->dataset, error));
        sets[i] = file->dataset;
        weights[i] = file->weight;
    }
    bool mixed = n > 1 || weights[0] != 1;
    return mixed ? akin_dataset_mix(&recipe->mixed, sets, weights, (int)n, error) : AKIN_OK;
}

static akin_status split(akin_recipe *recipe, double fraction, const ak_value *at,
                         akin_error *error)
{
    if (!(fraction > 0 && fraction < 1))
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, at ? at->line : 0,
                          "\"data.validation\" must be a file or a fraction between 0 and 1");
    return akin_dataset_split(&recipe->train_set, &recipe->validation_set, whole(recipe), fraction,
                              (akin_split_by)recipe->data.by, (uint64_t)recipe->batch.seed, error);
}

/* validation: a file, a fraction (the default is 0.1), or false. */
static akin_status open_sets(akin_recipe *recipe, akin_error *error)
{
    const ak_value *validation = ak_value_get(ak_value_get(recipe->root, "data"), "validation");
    if (!recipe->data.streaming)
        AK_TRY(open_files(recipe, error));
    if (!validation)
        return split(recipe, 0.1, NULL, error);
    if (validation->kind == AK_FLOAT || validation->kind == AK_INT)
        return split(recipe, validation->number, validation, error);
    if (validation->kind == AK_STRING)
        return open_set(recipe, validation->string, &recipe->fields, &recipe->validation_set,
                        error);
    if (validation->kind == AK_BOOL && !validation->boolean)
        return AKIN_OK;
    return split(recipe, -1, validation, error);
}

static akin_loader_options loader_options(const akin_recipe *recipe, bool training)
{
    akin_loader_options options = akin_loader_defaults();
    options.batch_size = recipe->batch.batch_size;
    options.seed = (uint64_t)recipe->batch.seed;
    options.workers = (int)recipe->batch.workers;
    options.shuffle = training;
    options.sampler = training ? recipe->sampler.text : NULL;
    options.drop_last = training && recipe->batch.drop_last;
    options.shuffle_buffer = recipe->data.shuffle_buffer;
    options.epoch_steps = training ? recipe->batch.epoch_steps : 0;
    return options;
}

/* "-" is standard input. */
static akin_status open_stream(akin_recipe *recipe, akin_error *error)
{
    const ak_data_file *file = &recipe->files[0];
    akin_loader_options options = loader_options(recipe, true);
    bool input = strcmp(file->path, "-") == 0;
    char *full = input ? ak_strdup("-") : ak_path_join(recipe->folder, file->path);
    if (!full)
        return ak_fail_memory(error);
    akin_status status = akin_stream_open(
        &recipe->stream, full, (akin_sample_kind)recipe->data.samples, &file->fields, error);
    ak_free(full);
    AK_TRY(status);
    return akin_stream_loader_create(&recipe->train_loader, recipe->stream, &options, error);
}

const akin_dataset *ak_recipe_train_set(const akin_recipe *recipe)
{
    return recipe->train_set ? recipe->train_set : whole(recipe);
}

akin_status ak_recipe_make_loader(const akin_recipe *recipe, const akin_dataset *dataset,
                                  bool training, akin_loader **out, akin_error *error)
{
    akin_loader_options options = loader_options(recipe, training);
    if (recipe->data.samples == AKIN_PAIRS)
        return akin_pair_loader_create(out, dataset, &options, error);
    return akin_group_loader_create(out, dataset, &options, error);
}

static akin_status open_data(akin_recipe *recipe, akin_error *error)
{
    AK_TRY(open_sets(recipe, error));
    if (recipe->data.streaming)
        AK_TRY(open_stream(recipe, error));
    else
        AK_TRY(ak_recipe_make_loader(recipe, ak_recipe_train_set(recipe), true,
                                     &recipe->train_loader, error));
    if (recipe->validation_set)
        AK_TRY(ak_recipe_make_loader(recipe, recipe->validation_set, false,
                                     &recipe->validation_loader, error));
    return AKIN_OK;
}

/* A file that was changed since is split in another way: what was trained on may be held out now.
 */
static void check_same(const akin_recipe *recipe)
{
    ak_hash hash;
    char hex[AK_HASH_HEX];
    if (!recipe->validation_hash || !recipe->validation_set ||
        !ak_dataset_fingerprint(recipe->validation_set, &hash))
        return;
    ak_hash_to_hex(hash, hex);
    if (strcmp(hex, recipe->validation_hash) != 0)
        ak_warn(recipe->context,
                "%s was changed since the model was trained: its validation data is another",
                ak_dataset_name(recipe->validation_set));
}

akin_status ak_recipe_open_data(akin_recipe *recipe, akin_error *error)
{
    if (recipe->train_loader)
        return AKIN_OK;
    akin_status status = open_data(recipe, error);
    if (!status)
        check_same(recipe);
    if (status)
        ak_recipe_close_data(recipe); /* it may be tried again */
    return status;
}

void ak_recipe_close_data(akin_recipe *recipe)
{
    akin_loader_free(recipe->train_loader);
    akin_loader_free(recipe->validation_loader);
    akin_stream_free(recipe->stream);
    akin_dataset_free(recipe->train_set);
    akin_dataset_free(recipe->validation_set);
    akin_dataset_free(recipe->mixed);
    for (int64_t i = 0; i < recipe->file_count; i++) {
        akin_dataset_free(recipe->files[i].dataset);
        recipe->files[i].dataset = NULL;
    }
    recipe->stream = NULL;
    recipe->train_loader = recipe->validation_loader = NULL;
    recipe->train_set = recipe->validation_set = recipe->mixed = NULL;
}
