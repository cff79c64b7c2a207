/* The sections of a recipe and their option rows. */
#include "train/recipe.h"

#include <string.h>

/* clang-format off */
#define DATA(member) #member, .offset = offsetof(ak_data_options, member)
const akin_option ak_data_rows[] = {
    {.name = DATA(samples), .type = AKIN_OPTION_CHOICE, .default_text = "pairs",
     .choices = "pairs|groups", .help = "what a line of the data is"},
    {.name = DATA(by), .type = AKIN_OPTION_CHOICE, .default_text = "sample",
     .choices = "sample|group", .help = "what a validation fraction draws: samples or whole groups"},
    {.name = DATA(streaming), .type = AKIN_OPTION_BOOL, .default_text = "false",
     .help = "read the training data as it comes: a file, a pipe or - (standard input)"},
    {.name = DATA(shuffle_buffer), .type = AKIN_OPTION_INT, .default_text = "10000", .minimum = 1,
     .maximum = 1 << 30, .help = "streaming: samples in memory, of which one is drawn at random"},
    {NULL}};

#define FIELD(member) #member, .offset = offsetof(akin_fields, member), .type = AKIN_OPTION_STRING
const akin_option ak_field_rows[] = {
    {.name = FIELD(a), .help = "pairs: the member or column with the first object"},
    {.name = FIELD(b), .help = "pairs: the second object"},
    {.name = FIELD(score), .help = "pairs: 1 alike, 0 not alike"},
    {.name = FIELD(subgroup), .help = "pairs: pairs of other subgroups are negatives"},
    {.name = FIELD(object), .help = "groups: the object; without it the whole record"},
    {.name = FIELD(group), .help = "groups: the label"},
    {.name = "no_header", .offset = offsetof(akin_fields, no_header), .type = AKIN_OPTION_BOOL,
     .default_text = "false", .help = "CSV, TSV: columns are named by number, from 1"},
    {NULL}};

#define BATCH(member) #member, .offset = offsetof(ak_batch_options, member)
const akin_option ak_batch_rows[] = {
    {.name = BATCH(batch_size), .type = AKIN_OPTION_INT, .default_text = "128", .minimum = 2,
     .maximum = 1 << 20, .help = "samples a step"},
    {.name = BATCH(seed), .type = AKIN_OPTION_INT, .default_text = "42", .minimum = 0,
     .maximum = 9e15, .help = "of the split, the order of samples, dropout and fresh parameters"},
    {.name = BATCH(workers), .type = AKIN_OPTION_INT, .default_text = "1", .minimum = 0,
     .maximum = 64, .help = "threads that read and collate while the model computes"},
    {.name = BATCH(epoch_steps), .type = AKIN_OPTION_INT, .default_text = "0", .minimum = 0,
     .maximum = 1e15, .help = "streaming: steps of an epoch; 0: a pass over the data"},
    {.name = BATCH(drop_last), .type = AKIN_OPTION_BOOL, .default_text = "false",
     .help = "leave out the last, smaller batch of an epoch"},
    {NULL}};
/* clang-format on */

static akin_status section(const akin_recipe *recipe, const char *key, const ak_value **out,
                           akin_error *error)
{
    const ak_value *value = ak_value_get(recipe->root, key);
    *out = value && value->kind != AK_NULL ? value : NULL;
    if (*out && value->kind != AK_MAP)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, value->line,
                          "\"%s\" is %s, expected a map of options", key,
                          ak_value_kind_name(value->kind));
    return AKIN_OK;
}

/* What a stream cannot do is refused before it is read. */
static akin_status check_streaming(const akin_recipe *recipe, const ak_value *data,
                                   akin_error *error)
{
    const ak_value *validation = ak_value_get(data, "validation");
    bool file = validation && validation->kind == AK_STRING;
    bool none = validation && validation->kind == AK_BOOL && !validation->boolean;
    if (!file && !none)
        return ak_fail_at(
            error, AKIN_ERR_ARGUMENT, recipe->name, validation ? validation->line : data->line,
            "no validation set can be drawn from a stream: set \"data.validation\" to "
            "a file, or to false");
    if (recipe->file_count > 1 || recipe->files[0].weight != 1)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, ak_value_get(data, "train")->line,
                          "\"data.streaming\" reads one file; several files are mixed without it");
    return AKIN_OK;
}

static akin_status parse_data(akin_recipe *recipe, akin_error *error)
{
    static const char *const also[] = {"train", "validation", "fields", NULL};
    const ak_value *data, *train;
    AK_TRY(section(recipe, "data", &data, error));
    AK_TRY(ak_options_parse(ak_data_rows, &recipe->data, data, also, recipe->arena, recipe->name,
                            error));
    AK_TRY(ak_options_parse(ak_field_rows, &recipe->fields, ak_value_get(data, "fields"), NULL,
                            recipe->arena, recipe->name, error));
    train = ak_value_get(data, "train");
    if (!train || train->kind == AK_NULL)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, data ? data->line : 0,
                          "\"data.train\" is missing: the file with the training samples");
    AK_TRY(ak_recipe_parse_files(recipe, train, error));
    return recipe->data.streaming ? check_streaming(recipe, data, error) : AKIN_OK;
}

/* A path of the trainer's starts from the recipe's folder. */
static akin_status place(akin_recipe *recipe, const char **member, akin_error *error)
{
    if (!*member)
        return AKIN_OK;
    char *path = ak_path_join(recipe->folder, *member);
    *member = path ? ak_arena_copy(recipe->arena, path, strlen(path)) : NULL;
    ak_free(path);
    return *member ? AKIN_OK : ak_fail_memory(error);
}

/* Names of rows that share a map with others, and of the maps in it. */
static const char *const *names_of(const akin_option *rows, const char *const *maps,
                                   akin_arena *arena)
{
    int64_t count = 0, n = 0;
    while (rows[count].name)
        count++;
    for (n = 0; maps[n]; n++)
        ;
    const char **names = ak_arena_new(arena, const char *, count + n + 1);
    for (int64_t i = 0; names && i < count; i++)
        names[i] = rows[i].name;
    for (int64_t i = 0; names && i <= n; i++)
        names[count + i] = maps[i];
    return names;
}

static akin_status parse_stopping(akin_recipe *recipe, const ak_value *stopping, akin_error *error)
{
    bool off = stopping && stopping->kind == AK_BOOL && !stopping->boolean;
    AK_TRY(ak_options_parse(ak_stopping_rows, &recipe->trainer, off ? NULL : stopping, NULL,
                            recipe->arena, recipe->name, error));
    if (off)
        recipe->trainer.patience = 0;
    return AKIN_OK;
}

static akin_status parse_sampler(akin_recipe *recipe, const ak_value *value, akin_error *error)
{
    AK_TRY(ak_sampler_parse(&recipe->sampler, value, recipe->name, recipe->arena, error));
    return ak_sampler_check(&recipe->sampler, (akin_sample_kind)recipe->data.samples, recipe->name,
                            error);
}

/* A map of options, true (all defaults) or false; absent: false. */
static akin_status parse_hard_negatives(akin_recipe *recipe, const ak_value *value,
                                        akin_error *error)
{
    static const char *const every[] = {"every", NULL}, *const none[] = {NULL};
    akin_arena *arena = recipe->arena;
    const char *const *mining = names_of(ak_mining_rows, none, arena);
    if (!mining)
        return ak_fail_memory(error);
    if (!value || value->kind == AK_NULL || (value->kind == AK_BOOL && !value->boolean))
        return AKIN_OK;
    if (value->kind == AK_BOOL)
        value = NULL;
    AK_TRY(ak_options_parse(ak_hard_rows, &recipe->trainer, value, mining, arena, recipe->name,
                            error));
    return ak_options_parse(ak_mining_rows, &recipe->trainer.hard_negatives, value, every, arena,
                            recipe->name, error);
}

static akin_status parse_train(akin_recipe *recipe, akin_error *error)
{
    static const char *const maps[] = {"early_stopping", "checkpoint", "sampler", "hard_negatives",
                                       NULL};
    akin_arena *arena = recipe->arena;
    const char *const *trainer_keys = names_of(ak_trainer_rows, maps, arena);
    const char *const *batch_keys = names_of(ak_batch_rows, maps, arena);
    const ak_value *train;
    if (!trainer_keys || !batch_keys)
        return ak_fail_memory(error);
    AK_TRY(section(recipe, "train", &train, error));
    recipe->trainer = akin_trainer_defaults();
    AK_TRY(ak_options_parse(ak_batch_rows, &recipe->batch, train, trainer_keys, arena, recipe->name,
                            error));
    AK_TRY(ak_options_parse(ak_trainer_rows, &recipe->trainer, train, batch_keys, arena,
                            recipe->name, error));
    recipe->trainer.seed = (uint64_t)recipe->batch.seed;
    AK_TRY(place(recipe, &recipe->trainer.log_folder, error));
    AK_TRY(place(recipe, &recipe->trainer.teacher, error));
    AK_TRY(parse_sampler(recipe, ak_value_get(train, "sampler"), error));
    AK_TRY(ak_options_parse(ak_checkpoint_rows, &recipe->trainer, ak_value_get(train, "checkpoint"),
                            NULL, arena, recipe->name, error));
    AK_TRY(parse_hard_negatives(recipe, ak_value_get(train, "hard_negatives"), error));
    return parse_stopping(recipe, ak_value_get(train, "early_stopping"), error);
}

/* "groups": a list of maps; what one does not say is as the optimizer says. */
static akin_status parse_groups(akin_recipe *recipe, const ak_value *list, akin_error *error)
{
    akin_optimizer_options *optimizer = &recipe->optimizer;
    if (list->kind != AK_LIST)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, list->line,
                          "\"groups\" is %s, expected a list of maps",
                          ak_value_kind_name(list->kind));
    akin_parameter_group *groups =
        ak_arena_new(recipe->arena, akin_parameter_group, list->count + 1);
    if (!groups)
        return ak_fail_memory(error);
    for (const ak_value *one = list->first; one; one = one->next) {
        akin_parameter_group *group = &groups[optimizer->group_count];
        AK_TRY(ak_options_parse(ak_group_options, group, one, NULL, recipe->arena, recipe->name,
                                error));
        if (!group->match)
            return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, one->line,
                              "a group of parameters needs \"match\", as head/*");
        if (!ak_value_get(one, "weight_decay"))
            group->weight_decay = optimizer->weight_decay;
        optimizer->group_count++;
    }
    optimizer->groups = groups;
    return AKIN_OK;
}

static akin_status parse_optimizer(akin_recipe *recipe, akin_error *error)
{
    static const char *const also[] = {"groups", NULL};
    akin_optimizer_options *options = &recipe->optimizer;
    akin_error why;
    const ak_value *given;
    AK_TRY(section(recipe, "optimizer", &given, error));
    AK_TRY(ak_options_parse(ak_optimizer_options, options, given, also, recipe->arena, recipe->name,
                            error));
    options->size = sizeof *options;
    if (!ak_value_get(given, "weight_decay"))
        options->weight_decay =
            akin_optimizer_defaults((akin_optimizer_type)options->type).weight_decay;
    const ak_value *groups = ak_value_get(given, "groups");
    if (groups && groups->kind != AK_NULL)
        AK_TRY(parse_groups(recipe, groups, error));
    return ak_optimizer_check(options, &why)
               ? ak_fail_at(error, why.status, recipe->name, given->line, "%s", why.message)
               : AKIN_OK;
}

/* A list of names and maps, each kept as text. */
static akin_status parse_metrics(akin_recipe *recipe, akin_error *error)
{
    const ak_value *list = ak_value_get(recipe->root, "metrics");
    recipe->metric_count = list ? 0 : -1;
    if (!list || list->kind == AK_NULL)
        return AKIN_OK;
    if (list->kind != AK_LIST)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, list->line,
                          "\"metrics\" is %s, expected a list", ak_value_kind_name(list->kind));
    recipe->metrics = ak_arena_new(recipe->arena, const char *, list->count);
    if (!recipe->metrics)
        return ak_fail_memory(error);
    for (const ak_value *one = list->first; one; one = one->next) {
        char *text = one->kind == AK_STRING ? ak_strdup(one->string) : ak_json_write(one, 0);
        const char *kept = text ? ak_arena_copy(recipe->arena, text, strlen(text)) : NULL;
        ak_free(text);
        if (!kept)
            return ak_fail_memory(error);
        recipe->metrics[recipe->metric_count++] = kept;
    }
    return AKIN_OK;
}

/* "loss: supcon" is short for "loss: {type: supcon}". */
static akin_status expand_name(akin_recipe *recipe, const char *key, akin_error *error)
{
    ak_value *v = recipe->root->first;
    while (v && strcmp(v->key, key) != 0)
        v = v->next;
    if (!v || v->kind != AK_STRING)
        return AKIN_OK;
    const char *name = v->string;
    v->kind = AK_MAP;
    v->first = v->last = NULL;
    v->count = 0;
    ak_value *type = ak_value_add_string(recipe->arena, v, "type", name);
    if (!type)
        return ak_fail_memory(error);
    type->line = v->line;
    type->column = v->column;
    return AKIN_OK;
}

static akin_status check_encoders(const akin_recipe *recipe, akin_error *error)
{
    const ak_value *encoders;
    AK_TRY(section(recipe, "encoders", &encoders, error));
    if (!encoders || !encoders->first)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, encoders ? encoders->line : 0,
                          "\"encoders\" is missing: for example "
                          "{text: {type: transformer, path: minilm/}}");
    for (const ak_value *one = encoders->first; one; one = one->next)
        if (one->kind != AK_MAP)
            return ak_fail_at(error, AKIN_ERR_ARGUMENT, recipe->name, one->line,
                              "the encoder \"%s\" is %s, expected a map of options, for example "
                              "{type: transformer, path: minilm/}",
                              one->key, ak_value_kind_name(one->kind));
    return AKIN_OK;
}

typedef struct sections {
    bool cache;
} sections;

static const akin_option section_rows[] = {{"cache", AKIN_OPTION_BOOL, offsetof(sections, cache),
                                            "true",
                                            "compute frozen encoders once and keep their outputs"},
                                           {NULL}};

akin_status ak_recipe_parse(akin_recipe *recipe, akin_error *error)
{
    static const char *const also[] = {"data",  "encoders", "head", "loss", "optimizer",
                                       "train", "metrics",  "tune", NULL};
    sections top;
    const ak_value *unused;
    if (recipe->root->kind != AK_MAP)
        return ak_fail_at(error, AKIN_ERR_FORMAT, recipe->name, recipe->root->line,
                          "expected a map with \"data\", \"encoders\", \"head\", \"loss\", ...");
    AK_TRY(ak_options_parse(section_rows, &top, recipe->root, also, recipe->arena, recipe->name,
                            error));
    recipe->cache = top.cache;
    AK_TRY(expand_name(recipe, "head", error));
    AK_TRY(expand_name(recipe, "loss", error));
    AK_TRY(expand_name(recipe, "optimizer", error));
    AK_TRY(parse_data(recipe, error));
    AK_TRY(parse_train(recipe, error));
    AK_TRY(parse_optimizer(recipe, error));
    AK_TRY(parse_metrics(recipe, error));
    AK_TRY(check_encoders(recipe, error));
    AK_TRY(section(recipe, "head", &unused, error));
    AK_TRY(section(recipe, "tune", &unused, error));
    return section(recipe, "loss", &unused, error);
}
