/* What makes a run what it is: a checkpoint remembers it, and another run may not go on from there. */
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

/* What decides the order of the batches. */
static bool add_order(const akin_training *t, akin_arena *arena, ak_value *map)
{
    const akin_loader_options *order = ak_loader_options_of(t->train.loader);
    return ak_value_add_int(arena, map, "batch_size", order->batch_size) &&
           ak_value_add_bool(arena, map, "shuffle", order->shuffle) &&
           ak_value_add_int(arena, map, "order_seed", (int64_t)order->seed) &&
           ak_value_add_string(arena, map, "sampler", ak_loader_sampler(t->train.loader)) &&
           add_weights(t, arena, map) &&
           ak_value_add_bool(arena, map, "drop_last", order->drop_last);
}

akin_status ak_settings_json(const akin_training *t, char **out, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *root = ak_value_new_map(arena);
    ak_value *optimizer = ak_value_add(arena, root, "optimizer", AK_MAP);
    bool made = ak_value_attach(arena, root, "head", t->model->head->given) &&
                ak_value_attach(arena, root, "loss", t->loss->given) &&
                ak_value_add_int(arena, root, "seed", (int64_t)t->trainer.seed) &&
                ak_value_add_int(arena, root, "precision", t->trainer.precision) &&
                ak_value_add_int(arena, root, "accumulate", t->trainer.accumulate) &&
                ak_value_add_number(arena, root, "average", t->trainer.average) &&
                add_order(t, arena, root) &&
                ak_value_add_int(arena, root, "samples", t->train.table->count) &&
                ak_value_add_int(arena, root, "total_steps", t->total_steps) &&
                ak_value_add_string(arena, root, "monitor", t->trainer.monitor) &&
                add_hash(arena, root, "encoders", t->base) &&
                add_data(arena, root, "data", &t->train) &&
                add_data(arena, root, "validation", &t->validation);
    akin_status status = made ? ak_optimizer_write(&t->optimizer_options, optimizer, arena,
                                                   error)
                              : ak_fail_memory(error);
    if (!status && !(*out = ak_json_write(root, 0)))
        status = ak_fail_memory(error);
    ak_arena_free(arena);
    return status;
}

/* Names the first member that differs. */
akin_status ak_settings_compare(const char *ours, const char *theirs, const char *path,
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
