/* Checkpoint: one safetensors file, FOLDER/checkpoint.safetensors, written by rename. Tensors
   "part.N.values", "part.N.best", "part.N.MOMENT"; the metadata "state" and "settings" are JSON. A
   run resumed from it ends in the same bits as one that was never stopped: the order of batches and
   all random numbers are functions of (seed, epoch, step). */
#include "train/train.h"

#include "base/safetensors.h"

#include <math.h>
#include <string.h>

#define MAX_TENSORS (AK_MAX_PARTS * 8)

/* ---- what a run is: must be the same to go on ---- */

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
    size_t count = (size_t)table->count;
    ak_hash hash = ak_hash_bytes(table->keys, (size_t)table->contents * sizeof *table->keys);
    hash = ak_hash_combine(hash, ak_hash_bytes(table->content, count * (size_t)table->objects *
                                                                   sizeof *table->content));
    if (table->score)
        hash = ak_hash_combine(hash, ak_hash_bytes(table->score, count * sizeof *table->score));
    if (table->subgroup)
        hash = ak_hash_combine(hash,
                               ak_hash_bytes(table->subgroup, count * sizeof *table->subgroup));
    if (table->group)
        hash = ak_hash_combine(hash, ak_hash_bytes(table->group, count * sizeof *table->group));
    return add_hash(arena, map, key, hash);
}

/* What decides the order of the batches. */
static bool add_order(const akin_training *t, akin_arena *arena, ak_value *map)
{
    const akin_loader_options *order = ak_loader_options_of(t->train.loader);
    return ak_value_add_int(arena, map, "batch_size", order->batch_size) &&
           ak_value_add_bool(arena, map, "shuffle", order->shuffle) &&
           ak_value_add_int(arena, map, "order_seed", (int64_t)order->seed) &&
           ak_value_add_bool(arena, map, "drop_last", order->drop_last);
}

static akin_status settings_json(const akin_training *t, char **out, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *root = ak_value_new_map(arena);
    ak_value *optimizer = ak_value_add(arena, root, "optimizer", AK_MAP);
    bool made = ak_value_attach(arena, root, "head", t->model->head->given) &&
                ak_value_attach(arena, root, "loss", t->loss->given) &&
                ak_value_add_int(arena, root, "seed", (int64_t)t->trainer.seed) &&
                ak_value_add_int(arena, root, "precision", t->trainer.precision) &&
                add_order(t, arena, root) &&
                ak_value_add_int(arena, root, "samples", t->train.table->count) &&
                ak_value_add_int(arena, root, "total_steps", t->total_steps) &&
                ak_value_add_string(arena, root, "monitor", t->trainer.monitor) &&
                add_hash(arena, root, "encoders", t->base) &&
                add_data(arena, root, "data", &t->train) &&
                add_data(arena, root, "validation", &t->validation);
    akin_status status = made ? ak_options_write(ak_optimizer_options, &t->optimizer_options,
                                                 optimizer, arena, error)
                              : ak_fail_memory(error);
    if (!status && !(*out = ak_json_write(root, 0)))
        status = ak_fail_memory(error);
    ak_arena_free(arena);
    return status;
}

/* Names the first member that differs. */
static akin_status compare_settings(const char *ours, const char *theirs, const char *path,
                                    akin_arena *arena, akin_error *error)
{
    ak_value *a, *b;
    if (strcmp(ours, theirs) == 0)
        return AKIN_OK;
    AK_TRY(ak_json_parse(&a, arena, ours, strlen(ours), "settings", error));
    AK_TRY(ak_json_parse(&b, arena, theirs, strlen(theirs), path, error));
    for (const ak_value *one = a->first; one; one = one->next) {
        const ak_value *other = ak_value_get(b, one->key);
        char *mine = ak_json_write(one, 0), *his = other ? ak_json_write(other, 0) : NULL;
        bool same = mine && his && strcmp(mine, his) == 0;
        if (!same)
            ak_fail(error, AKIN_ERR_MISMATCH,
                    "%s: cannot resume: its \"%s\" was %s, this run's is %s", path, one->key,
                    his ? his : "absent", mine ? mine : "?");
        ak_free(mine);
        ak_free(his);
        if (!same)
            return AKIN_ERR_MISMATCH;
    }
    return ak_fail(error, AKIN_ERR_MISMATCH, "%s: made by a run with other settings", path);
}

/* ---- state ---- */

static bool add_figures(const akin_training *t, akin_arena *arena, ak_value *root)
{
    ak_value *figures = ak_value_add(arena, root, "figures", AK_MAP);
    for (int i = 0; i < t->figure_count; i++) {
        const ak_figure *f = &t->figures[i];
        ak_value *one = ak_value_add(arena, figures, f->name, AK_MAP);
        if (!ak_value_add_number(arena, one, "value", f->value) ||
            !ak_value_add_number(arena, one, "base", f->base) ||
            !ak_value_add_number(arena, one, "best", f->best))
            return false;
    }
    return true;
}

static akin_status state_json(const akin_training *t, char **out, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *root = ak_value_new_map(arena);
    bool made = ak_value_add_int(arena, root, "epoch", t->epoch) &&
                ak_value_add_int(arena, root, "step", t->step) &&
                ak_value_add_int(arena, root, "batch", t->batch) &&
                ak_value_add_number(arena, root, "loss_sum", t->loss_sum) &&
                ak_value_add_int(arena, root, "loss_samples", t->loss_samples) &&
                ak_value_add_int(arena, root, "best_epoch", t->best_epoch) &&
                ak_value_add_number(arena, root, "best_value", t->best_value) &&
                ak_value_add_int(arena, root, "since_best", t->since_best) &&
                ak_value_add_bool(arena, root, "stop", t->stop) && add_figures(t, arena, root);
    akin_status status = made ? AKIN_OK : ak_fail_memory(error);
    if (!status && !(*out = ak_json_write(root, 0)))
        status = ak_fail_memory(error);
    ak_arena_free(arena);
    return status;
}

static void read_state(akin_training *t, const ak_value *root)
{
    t->epoch = ak_value_get_int(root, "epoch", 0);
    t->step = ak_value_get_int(root, "step", 0);
    t->batch = ak_value_get_int(root, "batch", 0);
    t->loss_sum = ak_value_get_number(root, "loss_sum", 0);
    t->loss_samples = ak_value_get_int(root, "loss_samples", 0);
    t->best_epoch = ak_value_get_int(root, "best_epoch", -1);
    t->best_value = ak_value_get_number(root, "best_value", NAN);
    t->since_best = ak_value_get_int(root, "since_best", 0);
    t->stop = ak_value_get_bool(root, "stop", false);
    for (int i = 0; i < t->figure_count; i++) {
        const ak_value *one = ak_value_get(ak_value_get(root, "figures"), t->figures[i].name);
        t->figures[i].value = ak_value_get_number(one, "value", NAN);
        t->figures[i].base = ak_value_get_number(one, "base", NAN);
        t->figures[i].best = ak_value_get_number(one, "best", NAN);
    }
}

/* ---- tensors ---- */

typedef struct block {
    char *name;
    float *data;
    int64_t count;
} block;

static bool add_block(block *blocks, int *n, int part, const char *what, float *data,
                      int64_t count)
{
    blocks[*n] = (block){ak_format("part.%d.%s", part, what), data, count};
    return blocks[(*n)++].name != NULL;
}

/* Every float of the run's state. */
static akin_status list_blocks(const akin_training *t, block *blocks, int *n, akin_error *error)
{
    *n = 0;
    for (int i = 0; i < t->part_count; i++) {
        const ak_part *part = &t->parts[i];
        int64_t size = ak_parameters_size(part->parameters);
        if (!add_block(blocks, n, i, "values", ak_parameters_values(part->parameters), size))
            return ak_fail_memory(error);
        if (part->best && !add_block(blocks, n, i, "best", part->best, size))
            return ak_fail_memory(error);
        for (int s = 0; s < ak_optimizer_state_count(part->optimizer); s++)
            if (!add_block(blocks, n, i, ak_optimizer_state_name(part->optimizer, s),
                           ak_optimizer_state(part->optimizer, s), size))
                return ak_fail_memory(error);
    }
    return AKIN_OK;
}

static void free_blocks(block *blocks, int n)
{
    for (int i = 0; i < n; i++)
        ak_free(blocks[i].name);
}

static akin_status write_file(const char *path, const block *blocks, int n, const char *state,
                              const char *settings, akin_error *error)
{
    ak_tensor tensors[MAX_TENSORS];
    for (int i = 0; i < n; i++)
        tensors[i] = (ak_tensor){.name = blocks[i].name,
                                 .dtype = AK_DTYPE_F32,
                                 .rank = 1,
                                 .shape = {blocks[i].count},
                                 .count = blocks[i].count,
                                 .size = (size_t)blocks[i].count * sizeof(float),
                                 .data = blocks[i].data};
    const char *const metadata[] = {"format", "akin-checkpoint", "state", state,
                                    "settings", settings, NULL};
    return ak_safetensors_write(path, tensors, n, metadata, error);
}

static char *checkpoint_path(const akin_training *t)
{
    return ak_path_join(t->trainer.checkpoint, "checkpoint.safetensors");
}

akin_status ak_checkpoint_write(const akin_training *t, akin_error *error)
{
    block blocks[MAX_TENSORS];
    int n = 0;
    char *state = NULL, *settings = NULL, *path = checkpoint_path(t);
    akin_status status = path ? ak_make_folders(t->trainer.checkpoint, error)
                              : ak_fail_memory(error);
    if (!status)
        status = state_json(t, &state, error);
    if (!status)
        status = settings_json(t, &settings, error);
    if (!status)
        status = list_blocks(t, blocks, &n, error);
    if (!status)
        status = write_file(path, blocks, n, state, settings, error);
    free_blocks(blocks, n);
    ak_free(state);
    ak_free(settings);
    ak_free(path);
    return status;
}

static akin_status read_blocks(akin_training *t, const ak_safetensors *file, akin_error *error)
{
    block blocks[MAX_TENSORS];
    int n = 0;
    akin_status status = list_blocks(t, blocks, &n, error);
    for (int i = 0; i < n && !status; i++) {
        const void *data;
        status = ak_safetensors_view(&data, NULL, file, blocks[i].name, AK_DTYPE_F32, 1,
                                     &blocks[i].count, error);
        if (!status)
            memcpy(blocks[i].data, data, (size_t)blocks[i].count * sizeof(float));
    }
    free_blocks(blocks, n);
    return status;
}

/* The best values are in the file if an epoch was the best: they need room. */
static akin_status make_best(akin_training *t, akin_error *error)
{
    for (int i = 0; i < t->part_count && t->best_epoch >= 0; i++) {
        ak_part *part = &t->parts[i];
        size_t bytes = (size_t)ak_parameters_size(part->parameters) * sizeof(float);
        if (!part->best && !(part->best = ak_alloc(bytes)))
            return ak_fail_memory(error);
    }
    return AKIN_OK;
}

static akin_status restore(akin_training *t, const ak_safetensors *file, const char *path,
                           akin_arena *arena, akin_error *error)
{
    const char *state = ak_safetensors_metadata(file, "state");
    const char *theirs = ak_safetensors_metadata(file, "settings");
    char *ours;
    ak_value *root;
    if (!state || !theirs)
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "not a checkpoint");
    AK_TRY(settings_json(t, &ours, error));
    akin_status status = compare_settings(ours, theirs, path, arena, error);
    ak_free(ours);
    AK_TRY(status);
    AK_TRY(ak_json_parse(&root, arena, state, strlen(state), path, error));
    read_state(t, root);
    AK_TRY(make_best(t, error));
    return read_blocks(t, file, error);
}

akin_status ak_checkpoint_read(akin_training *t, akin_error *error)
{
    akin_arena *arena = NULL;
    ak_safetensors *file = NULL;
    char *path = checkpoint_path(t);
    akin_status status = path ? ak_arena_create(&arena, error) : ak_fail_memory(error);
    if (!status)
        status = ak_safetensors_open(&file, path, error);
    if (!status)
        status = restore(t, file, path, arena, error);
    ak_safetensors_free(file);
    ak_arena_free(arena);
    ak_free(path);
    return status;
}
