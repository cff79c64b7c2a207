/* Which groups are near: for every group those that stand most often among the hard negatives of
   its samples; of equally many the one with the lower number. */
#include "train/mining.h"

#include <string.h>

typedef struct tally {
    int64_t *count;   /* per group, 0 between two groups */
    int64_t *touched; /* groups with a count */
    int64_t touched_count;
} tally;

static void add(tally *t, int64_t group)
{
    if (!t->count[group]++)
        t->touched[t->touched_count++] = group;
}

static bool comes_before(const tally *t, int64_t a, int64_t b)
{
    return t->count[a] != t->count[b] ? t->count[a] > t->count[b] : a < b;
}

/* The k groups with most, in order; the tally is empty again. */
static void take(tally *t, int64_t *near, int64_t k)
{
    int64_t n = 0;
    for (int64_t i = 0; i < t->touched_count; i++) {
        int64_t group = t->touched[i], at = n < k ? n++ : k;
        for (; at > 0 && comes_before(t, group, near[at - 1]); at--)
            if (at < k)
                near[at] = near[at - 1];
        if (at < k)
            near[at] = group;
    }
    while (n < k)
        near[n++] = -1;
    for (int64_t i = 0; i < t->touched_count; i++)
        t->count[t->touched[i]] = 0;
    t->touched_count = 0;
}

/* Samples in the order of their groups: start[g] .. start[g + 1]. */
static void sort_by_group(const ak_table *table, int64_t *start, int64_t *samples)
{
    memset(start, 0, ((size_t)table->groups + 2) * sizeof *start);
    for (int64_t i = 0; i < table->count; i++)
        start[table->group[i] + 2]++;
    for (int64_t g = 0; g < table->groups; g++)
        start[g + 2] += start[g + 1];
    for (int64_t i = 0; i < table->count; i++)
        samples[start[table->group[i] + 1]++] = i;
}

akin_status ak_near_groups(int64_t *near, int64_t k, const ak_table *table,
                           const int64_t *negatives, akin_error *error)
{
    int64_t *start = ak_calloc((size_t)table->groups + 2, sizeof *start);
    int64_t *samples = ak_calloc((size_t)table->count, sizeof *samples), *place = NULL;
    tally t = {.count = ak_calloc((size_t)table->groups, sizeof *t.count),
               .touched = ak_calloc((size_t)table->groups, sizeof *t.touched)};
    bool room = start && samples && t.count && t.touched;
    akin_status status = room ? ak_mining_places(&place, table, error) : ak_fail_memory(error);
    if (!status) {
        sort_by_group(table, start, samples);
        for (int64_t g = 0; g < table->groups; g++) {
            for (int64_t i = start[g]; i < start[g + 1]; i++) {
                const int64_t *list = negatives + samples[i] * k;
                for (int64_t j = 0; j < k && list[j] >= 0; j++)
                    add(&t, table->group[place[list[j]]]);
            }
            take(&t, near + g * k, k);
        }
    }
    ak_free(start);
    ak_free(samples);
    ak_free(place);
    ak_free(t.count);
    ak_free(t.touched);
    return status;
}
