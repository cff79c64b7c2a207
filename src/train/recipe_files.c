/* The files of a recipe's training data: `train: a.jsonl`, or several, mixed:

     train: [a.jsonl, {path: b.csv, weight: 0.5, fields: {a: question, b: answer}}] */
#include "train/recipe.h"

#include <string.h>

typedef struct file_options {
    const char *path;
    double weight;
} file_options;

#define FILE_ROW(member) #member, .offset = offsetof(file_options, member)
const akin_option ak_file_rows[] = {
    {.name = FILE_ROW(path), .type = AKIN_OPTION_STRING, .help = "the file"},
    {.name = FILE_ROW(weight),
     .type = AKIN_OPTION_FLOAT,
     .default_text = "1",
     .minimum = 1e-9,
     .maximum = AK_MAX_WEIGHT,
     .help = "how often an epoch draws each of its samples"},
    {NULL}};

static akin_status parse_file(akin_recipe *recipe, const ak_value *value, ak_data_file *file,
                              akin_error *error)
{
    static const char *const also[] = {"fields", NULL};
    file_options options = {.path = value->string, .weight = 1};
    file->fields = recipe->fields;
    if (value->kind == AK_MAP) {
        const ak_value *fields = ak_value_get(value, "fields");
        AK_TRY(ak_options_parse(ak_file_rows, &options, value, also, recipe->arena, recipe->name,
                                error));
        if (fields)
            AK_TRY(ak_options_parse(ak_field_rows, &file->fields, fields, NULL, recipe->arena,
                                    recipe->name, error));
    } else if (value->kind != AK_STRING) {
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, value->line,
                          "\"data.train\" is %s, expected a file or a list of files and maps such "
                          "as {path: a.jsonl, weight: 2}",
                          ak_value_kind_name(value->kind));
    }
    if (!options.path || !*options.path)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, value->line,
                          "a file of \"data.train\" has no \"path\"");
    file->path = options.path;
    file->weight = options.weight;
    return AKIN_OK;
}

akin_status ak_recipe_parse_files(akin_recipe *recipe, const ak_value *train, akin_error *error)
{
    bool several = train->kind == AK_LIST;
    int64_t count = several ? train->count : 1;
    const ak_value *one = several ? train->first : train;
    if (!count)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, train->line,
                          "\"data.train\" is an empty list");
    recipe->files = ak_arena_new(recipe->arena, ak_data_file, count);
    if (!recipe->files)
        return ak_fail_memory(error);
    memset(recipe->files, 0, (size_t)count * sizeof *recipe->files);
    recipe->file_count = count;
    for (int64_t i = 0; i < count; i++, one = one->next)
        AK_TRY(parse_file(recipe, one, &recipe->files[i], error));
    return AKIN_OK;
}

static akin_status write_file(const akin_recipe *recipe, const ak_data_file *file, ak_value *list,
                              akin_error *error)
{
    akin_arena *arena = recipe->arena;
    const file_options options = {file->path, file->weight};
    ak_value *one = ak_value_add(arena, list, NULL, AK_MAP);
    if (!one)
        return ak_fail_memory(error);
    AK_TRY(ak_options_write(ak_file_rows, &options, one, arena, error));
    ak_value *fields = ak_value_add(arena, one, "fields", AK_MAP);
    return fields ? ak_options_write(ak_field_rows, &file->fields, fields, arena, error)
                  : ak_fail_memory(error);
}

akin_status ak_recipe_write_files(const akin_recipe *recipe, ak_value *data, akin_error *error)
{
    const ak_value *train = ak_value_get(ak_value_get(recipe->root, "data"), "train");
    if (train->kind == AK_STRING)
        return ak_value_add_string(recipe->arena, data, "train", train->string)
                   ? AKIN_OK
                   : ak_fail_memory(error);
    ak_value *list = ak_value_add(recipe->arena, data, "train", AK_LIST);
    if (!list)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < recipe->file_count; i++)
        AK_TRY(write_file(recipe, &recipe->files[i], list, error));
    return AKIN_OK;
}
