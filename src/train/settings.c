/* What makes a run what it is: a checkpoint remembers it, and another run may not go on from there.
 */
#include "train/train.h"

#include <string.h>

static bool add_hash(akin_arena *arena, ak_value *map, const char *key, ak_hash hash)
{
    char hex[AK_HASH_HEX];
    ak_hash_to_hex(hash, hex);
    return ak_value_add_string(arena, map, key, hex) != NULL;
}

/* Contents and labels of a data set, as the run sees them. */
static bool add_data(akin_arena *arena, ak_value *map, const char *key, const ak_side *side)
{
    const ak_table *table = side->table;
    if (!table)
        return ak_value_add(arena, map, key, AK_NULL) != NULL;
    if (ak_loader_is_stream(side->loader)) /* what will come is not known */
        return ak_value_add_string(arena, map, key, ak_dataset_name(side->dataset)) != NULL;
    size_t count = (size_t)table->count;
    ak_hash hash = ak_hash_bytes(table->keys, (size_t)table->contents * sizeof *table->keys);
    hash = ak_hash_combine(hash, ak_hash_bytes(table->content, count * (size_t)table->objects *
                                                                   sizeof *table->content));
    if (table->score)
        hash = ak_hash_combine(hash, ak_hash_bytes(table->score, count * sizeof *table->score));
    if (table->subgroup)
        hash =
            ak_hash_combine(hash, ak_hash_bytes(table->subgroup, count * sizeof *table->subgroup));
    if (table->group)
        hash = ak_hash_combine(hash, ak_hash_bytes(table->group, count * sizeof *table->group));
    return add_hash(arena, map, key, hash);
}

static bool add_weights(const akin_training *t, akin_arena *arena, ak_value *map)
{
    const ak_data_part *parts;
    int64_t count = ak_dataset_parts(t->train.dataset, &parts);
    ak_value *weights = ak_value_add(arena, map, "weights", AK_LIST);
    bool added = weights != NULL;
    for (int64_t p = 0; p < count && added; p++)
        added = ak_value_add_number(arena, weights, NULL, parts[p].weight) != NULL;
    return added;
}

static bool add_stream(const akin_training *t, akin_arena *arena, ak_value *map)
{
    const akin_loader_options *order = ak_loader_options_of(t->train.loader);
    if (!ak_loader_is_stream(t->train.loader))
        return true;
    return ak_value_add_int(arena, map, "shuffle_buffer", order->shuffle_buffer) &&
           ak_value_add_int(arena, map, "epoch_steps", order->epoch_steps);
}

/* What decides the order of the batches. */
static bool add_order(const akin_training *t, akin_arena *arena, ak_value *map)
{
    const akin_loader_options *order = ak_loader_options_of(t->train.loader);
    return ak_value_add_int(arena, map, "batch_size", order->batch_size) &&
           ak_value_add_bool(arena, map, "shuffle", order->shuffle) &&
           ak_value_add_int(arena, map, "order_seed", (int64_t)order->seed) &&
           ak_value_add_string(arena, map, "sampler", ak_loader_sampler(t->train.loader)) &&
           add_weights(t, arena, map) && add_stream(t, arena, map) &&
           ak_value_add_bool(arena, map, "drop_last", order->drop_last);
}

/* Absent where there are none. */
static akin_status add_hard_negatives(const akin_training *t, akin_arena *arena, ak_value *root,
                                      akin_error *error)
{
    if (!t->trainer.hard_negatives_every)
        return AKIN_OK;
    ak_value *map = ak_value_add(arena, root, "hard_negatives", AK_MAP);
    if (!map)
        return ak_fail_memory(error);
    AK_TRY(ak_options_write(ak_hard_rows, &t->trainer, map, arena, error));
    return ak_options_write(ak_mining_rows, &t->trainer.hard_negatives, map, arena, error);
}

/* Options that may differ when a run goes on: they do not change what its steps compute (the
   teacher counts by its space). */
static const char *const free_options[] = {"epochs",           "max_steps",   "max_seconds",
                                           "log_folder",       "tensorboard", "profile",
                                           "progress_metrics", "teacher",     NULL};

static akin_status add_options(const akin_training *t, const akin_option *rows, akin_arena *arena,
                               ak_value *map, akin_error *error)
{
    for (; rows->name; rows++) {
        const akin_option one[] = {*rows, {NULL}};
        bool free = false;
        for (const char *const *name = free_options; *name && !free; name++)
            free = strcmp(*name, rows->name) == 0;
        if (!free)
            AK_TRY(ak_options_write(one, &t->trainer, map, arena, error));
    }
    return AKIN_OK;
}

/* Where the schedule leads to the end of the run, the end must stay where it is. */
static bool schedule_ends(const akin_training *t)
{
    int schedule = t->optimizer_options.schedule;
    return schedule == AKIN_LINEAR || schedule == AKIN_COSINE || schedule == AKIN_ONE_CYCLE;
}

static akin_status add_all(const akin_training *t, akin_arena *arena, ak_value *root,
                           akin_error *error)
{
    ak_value *optimizer = ak_value_add(arena, root, "optimizer", AK_MAP);
    ak_value *train = ak_value_add(arena, root, "train", AK_MAP);
    ak_value *stopping = ak_value_add(arena, train, "early_stopping", AK_MAP);
    if (!ak_value_attach(arena, root, "head", t->model->head->given) ||
        !ak_value_attach(arena, root, "loss", t->loss->given) || !stopping ||
        !ak_value_add_int(arena, train, "seed", (int64_t)t->trainer.seed) ||
        !add_order(t, arena, train) ||
        !ak_value_add_int(arena, root, "samples", t->train.table->count) ||
        !ak_value_add_int(arena, root, "total_steps", schedule_ends(t) ? t->total_steps : 0) ||
        !add_hash(arena, root, "encoders", t->base) || !add_data(arena, root, "data", &t->train) ||
        !add_data(arena, root, "validation", &t->validation))
        return ak_fail_memory(error);
    AK_TRY(add_options(t, ak_trainer_rows, arena, train, error));
    AK_TRY(add_options(t, ak_stopping_rows, arena, stopping, error));
    AK_TRY(add_hard_negatives(t, arena, train, error));
    if (t->teacher && !add_hash(arena, root, "teacher", t->teacher_space))
        return ak_fail_memory(error);
    return ak_optimizer_write(&t->optimizer_options, optimizer, arena, error);
}

akin_status ak_settings_json(const akin_training *t, char **out, akin_error *error)
{
    akin_arena *arena;
    *out = NULL;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *root = ak_value_new_map(arena);
    akin_status status = root ? add_all(t, arena, root, error) : ak_fail_memory(error);
    if (!status && !(*out = ak_json_write(root, 0)))
        status = ak_fail_memory(error);
    ak_arena_free(arena);
    return status;
}

const char *ak_settings_recipe(const akin_training *t)
{
    const akin_trainable *made = t->trainable;
    bool has = made->size >= offsetof(akin_trainable, recipe_folder) + sizeof(char *);
    return has ? made->recipe : NULL;
}

/* ---- what differs ---- */

/* A value that is no map, by its path: "optimizer.lr", and as JSON. */
typedef struct leaf {
    const char *path, *text;
} leaf;

typedef struct leaves {
    leaf *items;
    int64_t count, capacity;
} leaves;

static akin_status add_leaf(leaves *list, const char *path, const ak_value *value,
                            akin_arena *arena, akin_error *error)
{
    char *json = ak_json_write(value, 0);
    const char *text = json ? ak_arena_copy(arena, json, strlen(json)) : NULL;
    ak_free(json);
    if (!text)
        return ak_fail_memory(error);
    AK_TRY(ak_grow(&list->items, list->count, &list->capacity, sizeof(leaf), error));
    list->items[list->count++] = (leaf){path, text};
    return AKIN_OK;
}

#define DEEPEST 16

/* Depth first, by a stack of where each map stands; what is deeper than that counts as a leaf. */
static akin_status find_leaves(leaves *list, const char *json, const char *name, akin_arena *arena,
                               akin_error *error)
{
    const ak_value *next[DEEPEST];
    const char *prefix[DEEPEST] = {""};
    int depth = 1;
    ak_value *root;
    AK_TRY(ak_json_parse(&root, arena, json, strlen(json), name, error));
    next[0] = root->first;
    while (depth) {
        const ak_value *value = next[depth - 1];
        if (!value) {
            depth--;
            continue;
        }
        next[depth - 1] = value->next;
        const char *path = ak_arena_format(arena, "%s%s%s", prefix[depth - 1],
                                           *prefix[depth - 1] ? "." : "", value->key);
        if (!path)
            return ak_fail_memory(error);
        if (value->kind != AK_MAP || !value->first || depth == DEEPEST) {
            AK_TRY(add_leaf(list, path, value, arena, error));
            continue;
        }
        prefix[depth] = path;
        next[depth++] = value->first;
    }
    return AKIN_OK;
}

static const char *text_of(const leaves *list, const char *path)
{
    for (int64_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].path, path) == 0)
            return list->items[i].text;
    return "absent";
}

#define SHOWN 4 /* differences that a message has room for */

/* What the two runs do not share, as text. */
typedef struct differences {
    ak_text text;
    int count;
} differences;

static void add_difference(differences *out, const char *path, const char *was, const char *is)
{
    if (strcmp(was, is) == 0 || ++out->count > SHOWN)
        return;
    ak_text_printf(&out->text, "%s%s was %.60s, this run's is %.60s", out->count > 1 ? "; " : "",
                   path, was, is);
}

/* prefix: only paths that start so. */
static akin_status compare(differences *out, const char *ours, const char *theirs,
                           const char *prefix, const char *path, akin_arena *arena,
                           akin_error *error)
{
    leaves a = {0}, b = {0};
    size_t length = strlen(prefix);
    akin_status status = find_leaves(&a, ours, "settings", arena, error);
    if (!status)
        status = find_leaves(&b, theirs, path, arena, error);
    for (int64_t i = 0; i < b.count && !status; i++)
        if (strncmp(b.items[i].path, prefix, length) == 0)
            add_difference(out, b.items[i].path, b.items[i].text, text_of(&a, b.items[i].path));
    for (int64_t i = 0; i < a.count && !status; i++)
        if (strncmp(a.items[i].path, prefix, length) == 0 &&
            strcmp(text_of(&b, a.items[i].path), "absent") == 0)
            add_difference(out, a.items[i].path, "absent", a.items[i].text);
    ak_free(a.items);
    ak_free(b.items);
    return status ? status : out->text.failed ? ak_fail_memory(error) : AKIN_OK;
}

/* Of encoders and data the settings have hashes only: the recipes say in words what differs. */
akin_status ak_settings_compare(ak_settings ours, ak_settings theirs, const char *path,
                                akin_arena *arena, akin_error *error)
{
    static const char *const told_by_recipe[] = {"encoders.", "data."};
    differences all = {{0}, 0};
    akin_status status = AKIN_OK;
    if (strcmp(ours.settings, theirs.settings) == 0)
        return AKIN_OK;
    for (int i = 0; i < 2 && ours.recipe && theirs.recipe && !status; i++)
        status = compare(&all, ours.recipe, theirs.recipe, told_by_recipe[i], path, arena, error);
    if (!status)
        status = compare(&all, ours.settings, theirs.settings, "", path, arena, error);
    if (all.count > SHOWN)
        ak_text_printf(&all.text, "; and %d more", all.count - SHOWN);
    if (!status)
        status = all.text.failed
                     ? ak_fail_memory(error)
                     : ak_fail(error, AKIN_ERR_MISMATCH, "%s: cannot resume: %s", path,
                               all.count ? all.text.data : "made by a run with other settings");
    ak_free(all.text.data);
    return status;
}
