/* Sampler "no_duplicates": no content twice in a batch, save as the two objects of one pair (as
   sentence-transformers' NO_DUPLICATES, 2019). Equal contents are never taken for negatives, but
   each one that stands twice is a negative the others lack.

   First fit in the order of drawing: a sample goes to the first batch with room after the
   batches its contents were in. Full batches are passed by a union-find forest with path halving
   (Tarjan, 1975), so an epoch takes linear time, whatever is there how often. A sample whose
   contents were in the last batch already waits for another epoch: the number of batches is the
   same in each. */
#include "data/sampler.h"

#include <string.h>

typedef struct sampler {
    int32_t *next;  /* per content: the first batch it may be in */
    int32_t *room;  /* per batch */
    int32_t *after; /* batches + 1, the forest: where to look for room */
} sampler;

static void free_sampler(void *self)
{
    sampler *s = self;
    ak_free(s->next);
    ak_free(s->room);
    ak_free(s->after);
    ak_free(s);
}

static akin_status open_sampler(void **self, const void *options, ak_plan *plan, akin_error *error)
{
    (void)options;
    if (plan->batches >= INT32_MAX || plan->batch_size > INT32_MAX)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "%s: too large for the sampler no_duplicates",
                       plan->name);
    sampler *s = ak_calloc(1, sizeof *s);
    if (!s)
        return ak_fail_memory(error);
    s->next = ak_calloc((size_t)plan->table->contents, sizeof *s->next);
    s->room = ak_calloc((size_t)plan->batches, sizeof *s->room);
    s->after = ak_calloc((size_t)plan->batches + 1, sizeof *s->after);
    if (s->next && s->room && s->after) {
        *self = s;
        return AKIN_OK;
    }
    free_sampler(s);
    return ak_fail_memory(error);
}

static int32_t with_room(sampler *s, int32_t batch)
{
    while (s->after[batch] != batch)
        batch = s->after[batch] = s->after[s->after[batch]];
    return batch;
}

static void assign(void *self, ak_plan *plan, ak_draws *draws)
{
    sampler *s = self;
    const ak_table *t = plan->table;
    (void)draws;
    memset(s->next, 0, (size_t)t->contents * sizeof *s->next);
    for (int32_t b = 0; b <= plan->batches; b++)
        s->after[b] = b;
    for (int32_t b = 0; b < plan->batches; b++)
        s->room[b] = (int32_t)plan->batch_size;
    for (int64_t i = 0; i < plan->drawn; i++) {
        const int64_t *content = t->content + plan->drawing[i] * t->objects;
        int64_t last = content[t->objects - 1];
        int32_t first = s->next[content[0]];
        int32_t batch = with_room(s, first > s->next[last] ? first : s->next[last]);
        plan->batch_of[i] = batch < plan->batches ? batch : -1;
        if (batch == plan->batches)
            continue;
        s->next[content[0]] = s->next[last] = batch + 1;
        if (--s->room[batch] == 0)
            s->after[batch] = batch + 1;
    }
}

const ak_sampler_class ak_sampler_no_duplicates = {.name = "no_duplicates",
                                                   .summary = "no object twice in a batch",
                                                   .pairs = true,
                                                   .groups = true,
                                                   .open = open_sampler,
                                                   .assign = assign,
                                                   .free = free_sampler};
