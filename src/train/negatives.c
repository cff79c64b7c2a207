/* Hard negatives in training: mined by the model as it is, before every so many epochs. Pairs: they
   go into the batches of their samples as pairs (a, negative) of score 0. Groups: the sampler is
   told which groups are near. What was mined is part of the checkpoint, since the parameters that
   found it have changed when a run is resumed. */
#include "kernels/similarity.h"
#include "train/mining.h"
#include "train/train.h"

#include <string.h>

#define HARD(name, member) #name, .offset = offsetof(akin_trainer, member)
const akin_option ak_hard_rows[] = {
    {.name = HARD(every, hard_negatives_every),
     .type = AKIN_OPTION_INT,
     .default_text = "1",
     .maximum = 1 << 30,
     .help = "mine hard negatives anew before every so many epochs; 0: never"},
    {NULL}};

akin_status ak_negatives_open(akin_training *t, akin_error *error)
{
    const ak_table *table = t->train.table;
    ak_negatives *n = &t->negatives;
    if (!t->trainer.hard_negatives_every)
        return AKIN_OK;
    if (ak_loader_is_stream(t->train.loader))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: hard_negatives are searched in a whole data set, which a stream is not",
                       ak_dataset_name(t->train.dataset));
    bool pairs = table->kind == AKIN_PAIRS;
    n->k = t->trainer.hard_negatives.k;
    n->count = (pairs ? table->count : table->groups) * n->k;
    n->numbers = ak_calloc((size_t)n->count, sizeof *n->numbers);
    if (!n->numbers)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n->count; i++)
        n->numbers[i] = -1;
    if (!pairs)
        return ak_loader_set_near(t->train.loader, n->numbers, n->k, error);
    t->train.negatives = n;
    return table->subgroup ? ak_mining_places(&n->place, table, error) : AKIN_OK;
}

void ak_negatives_close(ak_negatives *n)
{
    ak_free(n->numbers);
    ak_free(n->place);
    *n = (ak_negatives){0};
}

/* ---- mining ---- */

/* Unit vectors by the model or (base) its encoders. */
static akin_status embed(akin_training *t, bool base, akin_arena *arena, ak_sides *y,
                         akin_error *error)
{
    AK_TRY(ak_side_embed(t, &t->train, base, arena, y, error));
    ak_unit_sides(y);
    return AKIN_OK;
}

static void tell(const akin_training *t, const akin_mining_report *r)
{
    if (t->epoch)
        return;
    ak_note(t->context,
            "hard negatives: %lld for %lld samples, of %lld candidates; left out %lld known "
            "positives, %lld of the same group, %lld by the margin",
            (long long)r->mined, (long long)r->samples, (long long)r->candidates,
            (long long)r->masked_positive, (long long)r->masked_label, (long long)r->masked_margin);
}

/* Groups: what is kept of every sample's negatives is which groups they are of. */
static akin_status mine_groups(akin_training *t, const ak_mining *mining,
                               akin_mining_report *report, akin_error *error)
{
    const ak_table *table = mining->table;
    int64_t k = t->negatives.k, *found = ak_calloc((size_t)(table->count * k), sizeof *found);
    if (!found)
        return ak_fail_memory(error);
    akin_status status = ak_mine(mining, found, NULL, report, error);
    if (!status)
        status = ak_near_groups(t->negatives.numbers, k, table, found, error);
    ak_free(found);
    return status;
}

akin_status ak_negatives_mine(akin_training *t, akin_error *error)
{
    int64_t every = t->trainer.hard_negatives_every;
    ak_mining mining = {.table = t->train.table, .options = &t->trainer.hard_negatives};
    akin_mining_report report;
    akin_arena *arena;
    if (!every || t->epoch % every != 0)
        return AKIN_OK;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = embed(t, false, arena, &mining.tuned, error);
    if (!status)
        status = embed(t, true, arena, &mining.base, error);
    if (!status)
        status = mining.table->kind == AKIN_GROUPS
                     ? mine_groups(t, &mining, &report, error)
                     : ak_mine(&mining, t->negatives.numbers, NULL, &report, error);
    if (!status)
        tell(t, &report);
    ak_arena_free(arena);
    return status;
}

/* ---- batches ---- */

/* The batch's negatives as (position of the sample, content); returns their number. */
static int64_t list_negatives(const ak_negatives *n, const ak_batch *batch, int64_t *position,
                              int64_t *content)
{
    int64_t count = 0;
    for (int64_t i = 0; i < batch->count; i++) {
        const int64_t *list = n->numbers + batch->samples[i] * n->k;
        for (int64_t j = 0; j < n->k && list[j] >= 0; j++) {
            position[count] = i;
            content[count++] = list[j];
        }
    }
    return count;
}

/* Objects a_0 .. a_n-1, b_0 .. b_n-1 make room: a's are repeated, negatives are read. */
static akin_status extend_objects(const ak_side *side, ak_batch *batch, const int64_t *position,
                                  const int64_t *content, int64_t more, akin_error *error)
{
    int64_t n = batch->count, total = n + more;
    akin_object *objects = ak_arena_new(batch->arena, akin_object, 2 * total);
    ak_table_source source = {side->table, side->dataset};
    ak_contents contents = ak_table_contents(&source);
    if (!objects)
        return ak_fail_memory(error);
    memcpy(objects, batch->objects, (size_t)n * sizeof *objects);
    memcpy(objects + total, batch->objects + n, (size_t)n * sizeof *objects);
    for (int64_t i = 0; i < more; i++) {
        objects[n + i] = objects[position[i]];
        AK_TRY(contents.object(contents.user, content[i], batch->arena, &objects[total + n + i],
                               error));
    }
    batch->objects = objects;
    return AKIN_OK;
}

/* A negative keeps the subgroup in which it is a b: to the others of that it stays no negative. */
static akin_status extend_labels(const ak_side *side, ak_batch *batch, const int64_t *position,
                                 const int64_t *negative, int64_t more, akin_error *error)
{
    int64_t n = batch->count, total = n + more;
    akin_labels *labels = &batch->labels;
    int64_t *content = ak_arena_new(batch->arena, int64_t, 2 * total);
    float *score = ak_arena_new(batch->arena, float, total);
    int64_t *subgroup = ak_arena_new(batch->arena, int64_t, total);
    if (!content || !score || !subgroup)
        return ak_fail_memory(error);
    memcpy(content, labels->content, (size_t)n * sizeof *content);
    memcpy(content + total, labels->content + n, (size_t)n * sizeof *content);
    memcpy(score, labels->score, (size_t)n * sizeof *score);
    if (labels->subgroup)
        memcpy(subgroup, labels->subgroup, (size_t)n * sizeof *subgroup);
    for (int64_t i = 0; i < more; i++) {
        content[n + i] = content[position[i]];
        content[total + n + i] = negative[i];
        score[n + i] = 0;
        if (labels->subgroup)
            subgroup[n + i] = side->table->subgroup[side->negatives->place[negative[i]]];
    }
    labels->content = content;
    labels->score = score;
    labels->subgroup = labels->subgroup ? subgroup : NULL;
    return AKIN_OK;
}

akin_status ak_negatives_extend(const ak_side *side, ak_batch *batch, akin_error *error)
{
    const ak_negatives *n = side->negatives;
    int64_t *position = ak_arena_new(batch->arena, int64_t, batch->count * n->k);
    int64_t *content = ak_arena_new(batch->arena, int64_t, batch->count * n->k);
    if (!position || !content)
        return ak_fail_memory(error);
    int64_t more = list_negatives(n, batch, position, content);
    if (batch->objects)
        AK_TRY(extend_objects(side, batch, position, content, more, error));
    AK_TRY(extend_labels(side, batch, position, content, more, error));
    batch->count += more;
    batch->object_count += 2 * more;
    batch->labels.count = batch->count;
    batch->labels.repeated = more;
    return AKIN_OK;
}
