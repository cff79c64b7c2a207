/* Checkpoint: one safetensors file, FOLDER/checkpoint.safetensors, written by rename. Tensors
   "part.N.values", "part.N.best", "part.N.average", "part.N.MOMENT", "negatives", and
   "loss.NAME" (bytes) for what a loss remembers; the metadata "state", "settings" and "recipe" are
   JSON. A run resumed from it ends in the same bits as one that was never stopped: the order of
   batches and all random numbers are functions of (seed, epoch, step). */
#include "train/train.h"

#include "base/safetensors.h"

#include <math.h>
#include <string.h>

/* ---- tensors ---- */

typedef struct block {
    char *name;
    void *data;
    ak_dtype dtype;
    int64_t count;
} block;

typedef struct block_list {
    block *items;
    int64_t count, capacity;
} block_list;

/* Takes the name, which is NULL when there was no memory for it. */
static akin_status add_block(block_list *list, char *name, void *data, ak_dtype dtype,
                             int64_t count, akin_error *error)
{
    akin_status status =
        name ? ak_grow(&list->items, list->count, &list->capacity, sizeof *list->items, error)
             : ak_fail_memory(error);
    if (status) {
        ak_free(name);
        return status;
    }
    list->items[list->count++] = (block){name, data, dtype, count};
    return AKIN_OK;
}

static akin_status add_floats(block_list *list, int part, const char *what, float *data,
                              int64_t count, akin_error *error)
{
    return add_block(list, ak_format("part.%d.%s", part, what), data, AK_DTYPE_F32, count, error);
}

static akin_status add_loss_state(void *user, const char *name, void *data, size_t size,
                                  akin_error *error)
{
    return add_block(user, ak_format("loss.%s", name), data, AK_DTYPE_U8, (int64_t)size, error);
}

/* Every number of the run's state, the widest first: they are aligned in the file. */
static akin_status list_blocks(const akin_training *t, block_list *list, akin_error *error)
{
    const akin_loss *loss = t->loss;
    if (t->negatives.numbers)
        AK_TRY(add_block(list, ak_strdup("negatives"), t->negatives.numbers, AK_DTYPE_I64,
                         t->negatives.count, error));
    for (int i = 0; i < t->part_count; i++) {
        const ak_part *part = &t->parts[i];
        int64_t size = ak_parameters_size(part->parameters);
        AK_TRY(add_floats(list, i, "values", ak_parameters_values(part->parameters), size, error));
        if (part->best)
            AK_TRY(add_floats(list, i, "best", part->best, size, error));
        if (part->average)
            AK_TRY(add_floats(list, i, "average", part->average, size, error));
        for (int s = 0; s < ak_optimizer_state_count(part->optimizer); s++)
            AK_TRY(add_floats(list, i, ak_optimizer_state_name(part->optimizer, s),
                              ak_optimizer_state(part->optimizer, s), size, error));
    }
    return AK_CLASS_HAS(loss->type, state)
               ? loss->type->state(loss->self, add_loss_state, list, error)
               : AKIN_OK;
}

static size_t block_size(const block *b)
{
    return (size_t)b->count * ak_dtype_size(b->dtype);
}

static void free_blocks(block_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        ak_free(list->items[i].name);
    ak_free(list->items);
}

/* Of all tensors, in whatever order they stand, and the state: bits of a run that goes on must be
   those of the run that stopped. */
static void checksum(const ak_tensor *tensors, int64_t count, const char *state,
                     char hex[AK_HASH_HEX])
{
    ak_hash sum = ak_hash_text(state);
    for (int64_t i = 0; i < count; i++) {
        ak_hash one = ak_hash_combine(ak_hash_text(tensors[i].name),
                                      ak_hash_bytes(tensors[i].data, tensors[i].size));
        sum.low += one.low;
        sum.high += one.high;
    }
    ak_hash_to_hex(sum, hex);
}

static akin_status write_file(const char *path, const block_list *list, const char *state,
                              ak_settings s, akin_error *error)
{
    ak_tensor *tensors = ak_calloc((size_t)list->count, sizeof *tensors);
    if (!tensors)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < list->count; i++) {
        const block *b = &list->items[i];
        tensors[i] = (ak_tensor){.name = b->name,
                                 .dtype = b->dtype,
                                 .rank = 1,
                                 .shape = {b->count},
                                 .count = b->count,
                                 .size = block_size(b),
                                 .data = b->data};
    }
    char sum[AK_HASH_HEX];
    checksum(tensors, list->count, state, sum);
    const char *const metadata[] = {
        "format",   "akin-checkpoint",          "checksum", sum, "state", state, "settings",
        s.settings, s.recipe ? "recipe" : NULL, s.recipe,   NULL};
    akin_status status = ak_safetensors_write(path, tensors, list->count, metadata, error);
    ak_free(tensors);
    return status;
}

/* ---- copies ---- */

/* The copy to do without: the oldest, or the one whose value is worst, of equal ones the newest (no
   value is worse than any). */
static int worst_kept(const akin_training *t)
{
    bool larger = ak_larger_is_better(t->trainer.monitor);
    int worst = 0;
    for (int i = 1; i < t->kept_count && t->trainer.checkpoint_keep_by == AKIN_KEEP_BEST; i++) {
        double a = t->kept[i].value, b = t->kept[worst].value;
        if (!isnan(b) && (isnan(a) || (larger ? a <= b : a >= b)))
            worst = i;
    }
    return worst;
}

/* Puts this step on the list and takes one off if there are too many; false: nothing to copy. */
static bool choose_kept(akin_training *t, ak_kept *gone)
{
    bool there = t->kept_count && t->kept[t->kept_count - 1].step == t->step;
    if (!t->trainer.checkpoint_keep || there)
        return false;
    double value = ak_run_figure(t, t->trainer.monitor)->value;
    t->kept[t->kept_count++] = (ak_kept){t->step, value};
    if (t->kept_count <= t->trainer.checkpoint_keep)
        return true;
    int worst = worst_kept(t);
    *gone = t->kept[worst];
    memmove(&t->kept[worst], &t->kept[worst + 1],
            (size_t)(--t->kept_count - worst) * sizeof *t->kept);
    return gone->step != t->step;
}

static char *kept_path(const char *folder, int64_t step)
{
    char *name = ak_format("checkpoint-%lld.safetensors", (long long)step);
    char *path = name ? ak_path_join(folder, name) : NULL;
    ak_free(name);
    return path;
}

/* gone: the step of a copy to remove, -1: none. */
static akin_status copy_kept(const char *folder, const char *path, int64_t step, int64_t gone,
                             akin_error *error)
{
    char *copy = kept_path(folder, step), *old = kept_path(folder, gone);
    akin_status status = copy && old ? ak_copy_file(path, copy, error) : ak_fail_memory(error);
    if (!status && gone >= 0)
        status = ak_file_remove(old, error);
    ak_free(copy);
    ak_free(old);
    return status;
}

/* ---- writing ---- */

static char *path_in(const char *folder)
{
    return ak_path_join(folder, "checkpoint.safetensors");
}

static akin_status write_state(akin_training *t, const char *path, akin_error *error)
{
    block_list blocks = {NULL};
    char *state = NULL, *settings = NULL;
    akin_status status = ak_state_json(t, &state, error);
    if (!status)
        status = ak_settings_json(t, &settings, error);
    if (!status)
        status = list_blocks(t, &blocks, error);
    if (!status)
        status =
            write_file(path, &blocks, state, (ak_settings){settings, ak_settings_recipe(t)}, error);
    free_blocks(&blocks);
    ak_free(state);
    ak_free(settings);
    return status;
}

akin_status ak_checkpoint_write(akin_training *t, akin_error *error)
{
    double start = ak_seconds();
    ak_stage before = ak_enter(t, AK_STAGE_CHECKPOINT);
    const char *folder = t->trainer.checkpoint;
    char *path = path_in(folder);
    akin_status status = path ? ak_make_folders(folder, error) : ak_fail_memory(error);
    ak_kept gone = {-1, NAN};
    bool kept = !status && choose_kept(t, &gone);
    if (!status)
        status = write_state(t, path, error);
    if (!status && kept)
        status = copy_kept(folder, path, t->step, gone.step, error);
    ak_free(path);
    t->checkpointed = ak_seconds();
    t->checkpoint_cost = t->checkpointed - start;
    ak_enter(t, before);
    return status;
}

/* ---- when ---- */

#define COST_SHARE 20 /* writing by time takes at most one part in so many of the run */

static bool is_time(const akin_training *t)
{
    double interval = t->trainer.checkpoint_seconds;
    if (interval < COST_SHARE * t->checkpoint_cost)
        interval = COST_SHARE * t->checkpoint_cost;
    return t->trainer.checkpoint_seconds > 0 && ak_seconds() - t->checkpointed >= interval;
}

static akin_status write_every(akin_training *t, int64_t every, int64_t number, akin_error *error)
{
    bool due = every && number % every == 0;
    return t->trainer.checkpoint && (due || is_time(t)) ? ak_checkpoint_write(t, error) : AKIN_OK;
}

akin_status ak_checkpoint_at_step(akin_training *t, akin_error *error)
{
    return write_every(t, t->trainer.checkpoint_steps, t->step, error);
}

akin_status ak_checkpoint_at_epoch(akin_training *t, akin_error *error)
{
    return write_every(t, t->trainer.checkpoint_epochs, t->epoch, error);
}

/* ---- reading ---- */

static akin_status read_blocks(akin_training *t, const ak_safetensors *file, akin_error *error)
{
    block_list list = {NULL};
    akin_status status = list_blocks(t, &list, error);
    for (int64_t i = 0; i < list.count && !status; i++) {
        const block *b = &list.items[i];
        const void *data;
        status = ak_safetensors_view(&data, NULL, file, b->name, b->dtype, 1, &b->count, error);
        if (!status)
            memcpy(b->data, data, block_size(b));
    }
    free_blocks(&list);
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

static akin_status check_sum(const ak_safetensors *file, const char *state, const char *path,
                             akin_arena *arena, akin_error *error)
{
    int64_t count = ak_safetensors_count(file);
    ak_tensor *tensors = ak_arena_new(arena, ak_tensor, count + 1);
    const char *told = ak_safetensors_metadata(file, "checksum");
    char hex[AK_HASH_HEX];
    if (!tensors)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++)
        tensors[i] = *ak_safetensors_at(file, i);
    checksum(tensors, count, state, hex);
    if (told && strcmp(told, hex) == 0)
        return AKIN_OK;
    return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0,
                      "the checkpoint is damaged: its checksum is %s, expected %s", hex,
                      told ? told : "one");
}

static akin_status restore(akin_training *t, const ak_safetensors *file, const char *path,
                           akin_arena *arena, akin_error *error)
{
    const char *state = ak_safetensors_metadata(file, "state");
    const ak_settings theirs = {ak_safetensors_metadata(file, "settings"),
                                ak_safetensors_metadata(file, "recipe")};
    char *settings;
    ak_value *root;
    if (!state || !theirs.settings)
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "not a checkpoint");
    AK_TRY(check_sum(file, state, path, arena, error));
    AK_TRY(ak_settings_json(t, &settings, error));
    akin_status status = ak_settings_compare((ak_settings){settings, ak_settings_recipe(t)}, theirs,
                                             path, arena, error);
    ak_free(settings);
    AK_TRY(status);
    AK_TRY(ak_json_parse(&root, arena, state, strlen(state), path, error));
    AK_TRY(ak_state_read(t, root, error));
    AK_TRY(make_best(t, error));
    return read_blocks(t, file, error);
}

/* A folder has one checkpoint, but any number of copies, which are named by their files. */
static char *path_to_read(const akin_training *t)
{
    const char *from = t->trainer.resume_from ? t->trainer.resume_from : t->trainer.checkpoint;
    return ak_path_has_suffix(from, ".safetensors") ? ak_strdup(from) : path_in(from);
}

akin_status ak_checkpoint_read(akin_training *t, akin_error *error)
{
    akin_arena *arena = NULL;
    ak_safetensors *file = NULL;
    char *path = path_to_read(t);
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
