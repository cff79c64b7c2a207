/* What an epoch draws: every sample once, or as often as the weights of its data set's parts
   say. Of n samples of weight w it draws round(w n), at least one: every sample floor(w) times,
   and for the rest as many different ones, others in every epoch. The order is a function of
   (seed, epoch). */
#include "data/sampler.h"

#include <math.h>

#define SHUFFLE_STREAM UINT64_C(0x73687566666c6500) /* "shuffle", then the epoch */
#define PART_STREAM UINT64_C(0x7061727400000000)    /* "part", the part, then the epoch */

struct ak_drawer {
    int64_t count; /* drawn */
    int64_t parts; /* 0: every sample once */
    const ak_data_part *part;
    int64_t *scratch; /* an order of the largest part */
};

static int64_t draws_of(const ak_data_part *part)
{
    int64_t draws = llround(part->weight * (double)part->count);
    return draws || !part->count ? draws : 1;
}

akin_status ak_drawer_create(ak_drawer **out, const akin_dataset *dataset, akin_error *error)
{
    const ak_data_part *part;
    int64_t parts = ak_dataset_parts(dataset, &part), largest = 0;
    bool weighted = false;
    *out = NULL;
    ak_drawer *d = ak_calloc(1, sizeof *d);
    if (!d)
        return ak_fail_memory(error);
    for (int64_t p = 0; p < parts; p++) {
        weighted = weighted || draws_of(&part[p]) != part[p].count;
        largest = part[p].count > largest ? part[p].count : largest;
        d->count += draws_of(&part[p]);
    }
    if (weighted) {
        d->parts = parts;
        d->part = part;
        d->scratch = ak_calloc((size_t)largest, sizeof *d->scratch);
    } else {
        d->count = akin_dataset_count(dataset);
    }
    if (!weighted || d->scratch) {
        *out = d;
        return AKIN_OK;
    }
    ak_drawer_free(d);
    return ak_fail_memory(error);
}

void ak_drawer_free(ak_drawer *d)
{
    if (!d)
        return;
    ak_free(d->scratch);
    ak_free(d);
}

int64_t ak_drawer_count(const ak_drawer *d)
{
    return d->count;
}

/* The part's samples: all of them as often as they go into its draws, then some of them. */
static int64_t *draw_part(ak_drawer *d, const ak_data_part *part, uint64_t seed, uint64_t stream,
                          int64_t *out)
{
    int64_t left = draws_of(part);
    for (; left >= part->count && left; left -= part->count)
        for (int64_t i = 0; i < part->count; i++)
            *out++ = part->first + i;
    if (left)
        ak_random_permutation(seed, stream, d->scratch, part->count);
    for (int64_t i = 0; i < left; i++)
        *out++ = part->first + d->scratch[i];
    return out;
}

void ak_drawer_draw(ak_drawer *d, uint64_t seed, int64_t epoch, int64_t *drawing)
{
    uint64_t shuffle = SHUFFLE_STREAM + (uint64_t)epoch;
    if (!d->parts) {
        ak_random_permutation(seed, shuffle, drawing, d->count);
        return;
    }
    int64_t *out = drawing;
    for (int64_t p = 0; p < d->parts; p++)
        out = draw_part(d, &d->part[p], seed, PART_STREAM + ((uint64_t)p << 48) + (uint64_t)epoch,
                        out);
    ak_draws draws = {.seed = seed, .stream = shuffle};
    ak_draw_shuffle(&draws, drawing, d->count);
}
