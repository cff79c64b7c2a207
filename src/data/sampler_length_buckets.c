/* Sampler "length_buckets": samples of similar length in a batch (as Transformers' group_by_length,
   2020). For encoders that pad a batch to its longest object.

   The epoch's drawing is cut into windows of `window` batches. A window's samples, sorted by
   length, equal ones as they were drawn, are cut into its batches, whose numbers are dealt over the
   whole epoch: a batch's samples are of a window at random, and batches come in no order of length.
   What is left for a smaller batch is the end of the drawing, which is of any length.

   All windows are sorted at once: by length, byte after byte from the lowest (a radix sort, linear
   time), then each sample takes the next place of its window. */
#include "data/sampler.h"

#include <string.h>

typedef struct options {
    int64_t window;
} options;

static const akin_option rows[] = {{"window", AKIN_OPTION_INT, offsetof(options, window), "50",
                                    "batches whose samples are sorted together; 0: all of an epoch",
                                    .maximum = 1e15},
                                   {NULL}};

typedef struct sampler {
    int64_t window;             /* batches */
    int64_t batches;            /* full ones */
    int64_t *number;            /* batches: of the i-th in the order of windows */
    int64_t *filled;            /* windows: places taken */
    int64_t *by_length, *spare; /* places in the drawing of what full batches hold */
} sampler;

static void free_sampler(void *self)
{
    sampler *s = self;
    ak_free(s->number);
    ak_free(s->filled);
    ak_free(s->by_length);
    ak_free(s->spare);
    ak_free(s);
}

static akin_status open_sampler(void **self, const void *given, ak_plan *plan, akin_error *error)
{
    const options *o = given;
    sampler *s = ak_calloc(1, sizeof *s);
    if (!s)
        return ak_fail_memory(error);
    s->batches = plan->drawn / plan->batch_size;
    s->window = o->window && o->window < s->batches ? o->window : s->batches;
    size_t most = (size_t)(s->batches * plan->batch_size);
    s->number = ak_calloc((size_t)s->batches, sizeof *s->number);
    s->filled = ak_calloc((size_t)s->batches, sizeof *s->filled);
    s->by_length = ak_calloc(most, sizeof *s->by_length);
    s->spare = ak_calloc(most, sizeof *s->spare);
    if (s->number && s->filled && s->by_length && s->spare) {
        *self = s;
        return AKIN_OK;
    }
    free_sampler(s);
    return ak_fail_memory(error);
}

/* Bytes of the objects of the sample at a place of the drawing. */
static uint64_t length_of(const ak_plan *plan, int64_t place)
{
    const ak_table *t = plan->table;
    const int64_t *content = t->content + plan->drawing[place] * t->objects;
    return (uint64_t)t->bytes[content[0]] + (t->objects > 1 ? t->bytes[content[1]] : 0);
}

/* Brings by_length into the order of the byte at `shift`, equal ones as they stand. */
static void sort_by_byte(sampler *s, const ak_plan *plan, int64_t n, int shift)
{
    int64_t start[257] = {0};
    for (int64_t i = 0; i < n; i++)
        start[1 + (length_of(plan, s->by_length[i]) >> shift & 255)]++;
    for (int b = 0; b < 256; b++)
        start[b + 1] += start[b];
    for (int64_t i = 0; i < n; i++)
        s->spare[start[length_of(plan, s->by_length[i]) >> shift & 255]++] = s->by_length[i];
    int64_t *swap = s->by_length;
    s->by_length = s->spare;
    s->spare = swap;
}

static void sort_by_length(sampler *s, const ak_plan *plan, int64_t n)
{
    uint64_t longest = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t length = length_of(plan, i);
        longest = length > longest ? length : longest;
        s->by_length[i] = i;
    }
    for (int shift = 0; longest >> shift; shift += 8)
        sort_by_byte(s, plan, n, shift);
}

static void assign(void *self, ak_plan *plan, ak_draws *draws)
{
    sampler *s = self;
    int64_t full = s->batches * plan->batch_size;
    for (int64_t b = 0; b < s->batches; b++)
        s->number[b] = b;
    ak_draw_shuffle(draws, s->number, s->batches);
    memset(s->filled, 0, (size_t)s->batches * sizeof *s->filled);
    sort_by_length(s, plan, full);
    for (int64_t i = 0; i < full; i++) {
        int64_t place = s->by_length[i], window = place / (s->window * plan->batch_size);
        int64_t batch = s->window * window + s->filled[window]++ / plan->batch_size;
        plan->batch_of[place] = s->number[batch];
    }
    for (int64_t place = full; place < plan->drawn; place++)
        plan->batch_of[place] = plan->drop_last ? -1 : s->batches;
}

const ak_sampler_class ak_sampler_length_buckets = {.name = "length_buckets",
                                                    .summary = "samples of similar length",
                                                    .pairs = true,
                                                    .groups = true,
                                                    .options = rows,
                                                    .options_size = sizeof(options),
                                                    .open = open_sampler,
                                                    .assign = assign,
                                                    .free = free_sampler};
