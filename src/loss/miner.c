/* Miners, on the row of an anchor's similarities s:

     hard               the farthest positive and the nearest negative (Hermans, Beyer, Leibe, 2017)
     semi_hard          every positive with the nearest negative that is farther than it, or where
   there is none the farthest (Schroff et al., 2015) distance_weighted  every positive with a
   negative drawn with a probability that falls as the density of distances on the unit sphere grows
   (Wu et al., 2017),

                            q(D)^-1 = D^(2 - d) (1 - D^2 / 4)^((3 - d) / 2),     D = sqrt(2 - 2 s),

                        D taken as at least 0.5 (nearer ones have noisy gradients) and negatives
   at 1.4 or farther left out (their loss is zero), as published; all of them farther: one is drawn
   at random. What is drawn is a function of (seed, step, anchor, positive); while validating the
   step is 0, so that the losses of two epochs compare.

   No gradient goes through the choice. */
#include "loss/miner.h"

#include <math.h>
#include <string.h>

static const uint64_t STREAM = 0x6d696e6572; /* "miner" */
static const double NEAREST = 0.5, FARTHEST = 1.4;

ak_miner ak_miner_for(ak_mining mining, const akin_pass *pass, int64_t dim)
{
    return (ak_miner){.mining = mining,
                      .dim = dim,
                      .seed = ak_random(pass->seed, STREAM, pass->training ? pass->step : 0)};
}

akin_status ak_mined_init(ak_mined *mined, int64_t columns, akin_arena *arena, akin_error *error)
{
    *mined = (ak_mined){.positive = ak_arena_new(arena, int32_t, columns),
                        .negative = ak_arena_new(arena, int32_t, columns),
                        .partner = ak_arena_new(arena, int32_t, columns),
                        .place = ak_arena_new(arena, int32_t, columns),
                        .sums = ak_arena_new(arena, double, columns),
                        .sorted = ak_arena_new(arena, ak_keyed, columns),
                        .spare = ak_arena_new(arena, ak_keyed, columns)};
    bool all = mined->positive && mined->negative && mined->partner && mined->place &&
               mined->sums && mined->sorted && mined->spare;
    return all ? AKIN_OK : ak_fail_memory(error);
}

/* The columns that are negatives, in ascending order of similarity where `sort`. */
static int64_t list_negatives(const float *s, int64_t n, bool sort, ak_mined *mined)
{
    int64_t count = 0;
    for (int64_t j = 0; j < n; j++)
        if (s[j] > -INFINITY)
            mined->sorted[count++] = (ak_keyed){ak_sort_key(s[j]), (int32_t)j};
    if (sort)
        ak_sort_keyed(mined->sorted, mined->spare, count);
    return count;
}

/* The place of the sorted negative that is nearest among those farther than p; else of the
 * farthest. */
static int64_t nearest_farther(const ak_mined *mined, int64_t count, float p)
{
    uint32_t key = ak_sort_key(p);
    int64_t low = 0;
    while (count > 0) { /* the first whose key is not below */
        int64_t half = count / 2;
        bool below = mined->sorted[low + half].key < key;
        low += below ? half + 1 : 0;
        count = below ? count - half - 1 : half;
    }
    return low ? low - 1 : 0;
}

/* sums[k]: the weights of the listed negatives 0 .. k. Weights are divided by the largest. */
static double sum_weights(const ak_miner *miner, const float *s, int64_t count, ak_mined *mined)
{
    double d = (double)miner->dim, most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < count; k++) {
        double square = fmax(2 - 2 * (double)s[mined->sorted[k].at], NEAREST * NEAREST);
        bool counts = square < FARTHEST * FARTHEST;
        mined->sums[k] =
            counts ? (2 - d) / 2 * log(square) - (d - 3) / 2 * log(1 - square / 4) : -INFINITY;
        most = fmax(most, mined->sums[k]);
    }
    for (int64_t k = 0; k < count; k++) {
        sum += most > -INFINITY ? exp(mined->sums[k] - most) : 1;
        mined->sums[k] = sum;
    }
    return sum;
}

static int64_t draw(const double *sums, int64_t count, double at)
{
    int64_t low = 0, last = count - 1;
    while (count > 0) { /* the first whose sum is above */
        int64_t half = count / 2;
        bool above = sums[low + half] > at;
        low += above ? 0 : half + 1;
        count = above ? half : count - half - 1;
    }
    return low < last ? low : last;
}

static int64_t least(const float *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        if (x[j] < x[best])
            best = j;
    return best;
}

/* chosen: a place among the listed negatives, put into `negative` once. */
static void add_pair(ak_mined *mined, int64_t positive, int64_t chosen)
{
    if (mined->place[chosen] < 0) {
        mined->place[chosen] = (int32_t)mined->negatives;
        mined->negative[mined->negatives++] = mined->sorted[chosen].at;
    }
    mined->positive[mined->positives] = (int32_t)positive;
    mined->partner[mined->positives++] = mined->place[chosen];
}

void ak_miner_choose(const ak_miner *miner, int64_t query, const float *negative, int64_t n,
                     const float *positive, int64_t positives, ak_mined *mined)
{
    bool weighted = miner->mining == AK_MINE_WEIGHTED;
    mined->positives = mined->negatives = 0;
    int64_t count = list_negatives(negative, n, !weighted, mined);
    if (!count || !positives)
        return;
    memset(mined->place, -1, (size_t)count * sizeof *mined->place);
    if (miner->mining == AK_MINE_HARD) {
        add_pair(mined, least(positive, positives), count - 1);
        return;
    }
    double sum = weighted ? sum_weights(miner, negative, count, mined) : 0;
    for (int64_t p = 0; p < positives; p++) {
        double at = sum * ak_random_uniform(miner->seed, (uint64_t)query, (uint64_t)p);
        add_pair(mined, p,
                 weighted ? draw(mined->sums, count, at)
                          : nearest_farther(mined, count, positive[p]));
    }
}
