/* Validation splits. Samples that share an equal object are tied, and what is tied stays on one
   side: a component of a union-find forest (Tarjan 1975, with path halving) over contents is the
   unit that moves.

     pairs             components by both objects of a pair
     groups, by group  components by group and by equal objects in different groups
     groups, by sample components by equal objects; each group gives its share (stratified), but
                       no sample alone where two can be had: alone it has nothing it is like

   Units are tried in a random order and taken while they fit. "Near `fraction`" means: the held-out
   part is at least half and at most one and a half times what was asked for. */
#include "data/dataset.h"

#include <math.h>
#include <string.h>

typedef struct splitter {
    const akin_dataset *dataset;
    const ak_table *table;
    akin_split_by by;
    double fraction;
    uint64_t seed;
    int64_t nodes;   /* contents, then groups */
    int64_t *parent; /* nodes: the forest; after find_units a node's root */
    int64_t *size;   /* nodes: samples of the component, at its root */
    int64_t *order;  /* units (roots) in the order of trying */
    int64_t units;
    bool *held; /* nodes: the component of this root is held out */
    int64_t held_samples, target;
} splitter;

/* ---- units ---- */

static int64_t find(int64_t *parent, int64_t node)
{
    while (parent[node] != node)
        node = parent[node] = parent[parent[node]];
    return node;
}

static void join(int64_t *parent, int64_t a, int64_t b)
{
    a = find(parent, a);
    b = find(parent, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

static int64_t node_of(const splitter *s, int64_t sample)
{
    return s->table->content[sample * s->table->objects];
}

static akin_status allocate(splitter *s, akin_error *error)
{
    const ak_table *t = s->table;
    s->nodes = t->contents + t->groups;
    s->parent = ak_calloc((size_t)s->nodes, sizeof *s->parent);
    s->size = ak_calloc((size_t)s->nodes, sizeof *s->size);
    s->order = ak_calloc((size_t)s->nodes, sizeof *s->order);
    s->held = ak_calloc((size_t)s->nodes, sizeof *s->held);
    return s->parent && s->size && s->order && s->held ? AKIN_OK : ak_fail_memory(error);
}

static void release(splitter *s)
{
    ak_free(s->parent);
    ak_free(s->size);
    ak_free(s->order);
    ak_free(s->held);
}

static void find_units(splitter *s)
{
    const ak_table *t = s->table;
    for (int64_t i = 0; i < s->nodes; i++)
        s->parent[i] = i;
    for (int64_t i = 0; i < t->count; i++) {
        if (t->kind == AKIN_PAIRS)
            join(s->parent, t->content[2 * i], t->content[2 * i + 1]);
        else if (s->by == AKIN_SPLIT_BY_GROUP)
            join(s->parent, t->content[i], t->contents + t->group[i]);
    }
    for (int64_t i = 0; i < s->nodes; i++)
        s->parent[i] = find(s->parent, i);
    for (int64_t i = 0; i < t->count; i++) {
        int64_t root = s->parent[node_of(s, i)];
        if (s->size[root]++ == 0)
            s->order[s->units++] = root;
    }
}

static void shuffle(splitter *s)
{
    for (int64_t i = s->units - 1; i > 0; i--) {
        int64_t j = (int64_t)ak_random_below(s->seed, 0, (uint64_t)i, (uint64_t)i + 1);
        int64_t swap = s->order[i];
        s->order[i] = s->order[j];
        s->order[j] = swap;
    }
}

/* ---- choosing ---- */

static void hold(splitter *s, int64_t unit)
{
    s->held[unit] = true;
    s->held_samples += s->size[unit];
}

static bool too_few(const splitter *s)
{
    return s->held_samples == 0 || 2 * s->held_samples < s->target;
}

/* Takes what fits; if that is far too little, the smallest unit that overshoots by half at most. */
static void choose_whole(splitter *s)
{
    int64_t smallest = -1;
    for (int64_t i = 0; i < s->units; i++) {
        int64_t unit = s->order[i];
        if (s->held_samples + s->size[unit] <= s->target)
            hold(s, unit);
        else if (smallest < 0 || s->size[unit] < s->size[smallest])
            smallest = unit;
    }
    if (too_few(s) && smallest >= 0 && 2 * (s->held_samples + s->size[smallest]) <= 3 * s->target)
        hold(s, smallest);
}

/* Of a group's units (those of numbers from .. to - 1) what fits below `wanted`; of several one
   stays for training. A lone sample is like nothing else that is held out, and tells of no
   neighbour: a group that could give two waits until the groups before it leave it two. */
static void hold_share(splitter *s, const int64_t *units, int64_t from, int64_t to, int64_t wanted)
{
    int64_t end = to - from > 1 ? to - 1 : to;
    if (end - from >= 2 && wanted - s->held_samples < 2)
        return;
    for (int64_t u = from; u < end; u++)
        if (s->held_samples + s->size[units[u]] <= wanted)
            hold(s, units[u]);
}

/* Stratified: a group's share is what the groups up to it ask for together, less what was taken, so
   that small groups, whose shares round to nothing alone, add up. A unit (a content) counts for the
   group of its first sample. */
static akin_status choose_stratified(splitter *s, akin_error *error)
{
    const ak_table *t = s->table;
    int64_t *start = ak_calloc((size_t)t->groups + 2, sizeof *start);
    int64_t *units = ak_calloc((size_t)s->units, sizeof *units);
    int64_t *groups = ak_calloc((size_t)t->groups, sizeof *groups);
    akin_status status = start && units && groups ? AKIN_OK : ak_fail_memory(error);
    if (status)
        goto done;
    /* Units by group, in the order of trying: start[g + 1] is first the place to write. */
    for (int64_t i = 0; i < s->units; i++)
        start[t->group[t->first_sample[s->order[i]]] + 2]++;
    for (int64_t g = 0; g < t->groups; g++)
        start[g + 2] += start[g + 1];
    for (int64_t i = 0; i < s->units; i++)
        units[start[t->group[t->first_sample[s->order[i]]] + 1]++] = s->order[i];
    ak_random_permutation(s->seed, 1, groups, t->groups);
    int64_t seen = 0;
    for (int64_t i = 0; i < t->groups; i++) {
        int64_t from = start[groups[i]], to = start[groups[i] + 1];
        for (int64_t u = from; u < to; u++)
            seen += s->size[units[u]];
        hold_share(s, units, from, to, llround(s->fraction * (double)seen));
    }
done:
    ak_free(start);
    ak_free(units);
    ak_free(groups);
    return status;
}

/* Every group is too small, or equal objects tie too many samples. */
static akin_status impossible(const splitter *s, akin_error *error)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < s->units; i++)
        if (s->size[s->order[i]] > largest)
            largest = s->size[s->order[i]];
    if (s->table->kind == AKIN_GROUPS && s->by == AKIN_SPLIT_BY_SAMPLE && largest == 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: %lld of %lld samples cannot be held out: a group gives two samples at "
                       "least, each the other's answer, and keeps one to train on; give a "
                       "validation file, a larger fraction, or train without validation",
                       ak_dataset_name(s->dataset), (long long)s->target,
                       (long long)s->table->count);
    return ak_fail(error, AKIN_ERR_ARGUMENT,
                   "%s: %lld of %lld samples cannot be held out: equal objects must stay on one "
                   "side, and %s tie the samples into %lld part%s, the largest of %lld samples; "
                   "give a validation file, another fraction, or train without validation",
                   ak_dataset_name(s->dataset), (long long)s->target, (long long)s->table->count,
                   s->by == AKIN_SPLIT_BY_GROUP ? "whole groups and equal objects"
                                                : "equal objects",
                   (long long)s->units, s->units == 1 ? "" : "s", (long long)largest);
}

static akin_status choose(splitter *s, akin_error *error)
{
    int64_t n = s->table->count;
    s->target = llround(s->fraction * (double)n);
    s->target = s->target < 1 ? 1 : s->target > n - 1 ? n - 1 : s->target;
    find_units(s);
    shuffle(s);
    if (s->table->kind == AKIN_GROUPS && s->by == AKIN_SPLIT_BY_SAMPLE)
        AK_TRY(choose_stratified(s, error));
    else
        choose_whole(s);
    if (too_few(s) || s->held_samples >= n)
        return impossible(s, error);
    return AKIN_OK;
}

/* ---- views ---- */

static akin_status make_view(akin_dataset **out, const splitter *s, bool held, akin_error *error)
{
    int64_t n = s->table->count, count = held ? s->held_samples : n - s->held_samples, used = 0;
    int64_t *index = ak_calloc((size_t)count, sizeof *index);
    *out = NULL;
    if (!index)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++)
        if (s->held[s->parent[node_of(s, i)]] == held)
            index[used++] = i;
    akin_status status = ak_dataset_view(out, s->dataset, index, count, error);
    if (status)
        ak_free(index);
    return status;
}

static akin_status check(const akin_dataset *dataset, double fraction, akin_split_by by,
                         akin_error *error)
{
    char text[32];
    if (!(fraction > 0 && fraction < 1)) {
        ak_double_to_text(fraction, text);
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a validation fraction of %s must lie between 0 and 1", text);
    }
    if (by != AKIN_SPLIT_BY_SAMPLE && by != AKIN_SPLIT_BY_GROUP)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a split is by AKIN_SPLIT_BY_SAMPLE or AKIN_SPLIT_BY_GROUP");
    if (by == AKIN_SPLIT_BY_GROUP && akin_dataset_kind(dataset) == AKIN_PAIRS)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: pairs have no groups to split by: split by sample",
                       ak_dataset_name(dataset));
    if (akin_dataset_count(dataset) < 2)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: one sample cannot be split; give a validation file, or train without "
                       "validation",
                       ak_dataset_name(dataset));
    return AKIN_OK;
}

akin_status ak_dataset_split(akin_dataset **train, akin_dataset **validation,
                             const akin_dataset *dataset, const ak_table *table, double fraction,
                             akin_split_by by, uint64_t seed, akin_error *error)
{
    *train = *validation = NULL;
    AK_TRY(check(dataset, fraction, by, error));
    if (table->count != akin_dataset_count(dataset))
        return ak_fail(error, AKIN_ERR_MISMATCH, "%s: the table is of another data set",
                       ak_dataset_name(dataset));
    splitter s = {.dataset = dataset, .table = table, .by = by, .fraction = fraction, .seed = seed};
    akin_status status = allocate(&s, error);
    if (!status)
        status = choose(&s, error);
    if (!status)
        status = make_view(train, &s, false, error);
    if (!status)
        status = make_view(validation, &s, true, error);
    release(&s);
    if (status) {
        akin_dataset_free(*train);
        *train = NULL;
    }
    return status;
}

akin_status akin_dataset_split(akin_dataset **train, akin_dataset **validation,
                               const akin_dataset *dataset, double fraction, akin_split_by by,
                               uint64_t seed, akin_error *error)
{
    ak_table *table;
    *train = *validation = NULL;
    AK_TRY(check(dataset, fraction, by, error));
    AK_TRY(ak_table_build(&table, dataset, NULL, NULL, NULL, error));
    akin_status status =
        ak_dataset_split(train, validation, dataset, table, fraction, by, seed, error);
    ak_table_free(table);
    return status;
}
