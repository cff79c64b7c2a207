/* Batches of near groups, for the sampler "groups" when it is told which groups are near: a batch
   is made of clusters, each a group and its nearest ones, so that what is easily confused is told
   apart side by side. A cluster begins with the group that has most hands left (hands: see deal.c),
   which is why the hands of groups that are near to none are not left over at the end. No batch
   gets two hands of a group. Source: Smirnov et al., 2017 ("Doppelganger Mining for Face
   Representation Learning"). */
#include "data/sampler.h"

#include <string.h>

struct ak_near {
    int64_t labels;
    int64_t *order; /* labels: in random order */
    int64_t *left;  /* hands of each that are not dealt yet */
    int64_t *hands; /* of each */
    int64_t *in;    /* 1 + the batch that had its last hand; 0: none */
    int64_t level;  /* no group has more hands left */
};

akin_status ak_near_create(ak_near **out, int64_t labels, akin_error *error)
{
    ak_near *n = ak_calloc(1, sizeof *n);
    *out = n;
    if (!n)
        return ak_fail_memory(error);
    n->labels = labels;
    n->order = ak_calloc((size_t)labels, sizeof *n->order);
    n->left = ak_calloc((size_t)labels, sizeof *n->left);
    n->hands = ak_calloc((size_t)labels, sizeof *n->hands);
    n->in = ak_calloc((size_t)labels, sizeof *n->in);
    if (n->order && n->left && n->hands && n->in)
        return AKIN_OK;
    ak_near_free(n);
    *out = NULL;
    return ak_fail_memory(error);
}

void ak_near_free(ak_near *n)
{
    if (!n)
        return;
    ak_free(n->order);
    ak_free(n->left);
    ak_free(n->hands);
    ak_free(n->in);
    ak_free(n);
}

static void begin(ak_near *n, const int64_t *start, int64_t together, ak_draws *draws)
{
    n->level = 0;
    for (int64_t l = 0; l < n->labels; l++) {
        n->order[l] = l;
        n->hands[l] = (start[l + 1] - start[l] + together - 1) / together;
        n->left[l] = n->hands[l];
        n->in[l] = 0;
        n->level = n->left[l] > n->level ? n->left[l] : n->level;
    }
    ak_draw_shuffle(draws, n->order, n->labels);
}

/* The group with most hands left that is not in the batch yet; -1: there is none. */
static int64_t most_left(ak_near *n, int64_t batch)
{
    bool lower = true; /* no group of this level or above is left */
    for (int64_t level = n->level; level > 0; level--) {
        for (int64_t i = 0; i < n->labels; i++) {
            int64_t label = n->order[i];
            if (n->left[label] < level)
                continue;
            if (n->in[label] != batch + 1)
                return label;
            lower = false;
        }
        n->level -= lower;
    }
    return -1;
}

/* The next hand of a label, of samples that stand together in the sorted drawing, to a batch. */
static void deal_hand(ak_near *n, ak_plan *plan, const int64_t *start, int64_t label, int64_t batch)
{
    int64_t hands = n->hands[label], hand = hands - n->left[label]--;
    int64_t size = start[label + 1] - start[label];
    int64_t first =
        start[label] + hand * (size / hands) + (hand < size % hands ? hand : size % hands);
    int64_t count = size / hands + (hand < size % hands);
    for (int64_t i = first; i < first + count; i++)
        plan->batch_of[i] = batch;
    n->in[label] = batch + 1;
}

void ak_near_deal(ak_near *n, ak_dealer *dealer, ak_plan *plan, int64_t together, int64_t places,
                  ak_draws *draws)
{
    const int64_t *start = ak_dealer_sort(dealer, plan);
    begin(n, start, together, draws);
    for (int64_t i = 0; i < plan->drawn; i++)
        plan->batch_of[i] = -1;
    for (int64_t b = 0; b < plan->batches; b++)
        for (int64_t place = 0, seed; place < places && (seed = most_left(n, b)) >= 0;) {
            const int64_t *near = plan->near + seed * plan->near_count;
            deal_hand(n, plan, start, seed, b);
            place++;
            for (int64_t j = 0; j < plan->near_count && near[j] >= 0 && place < places; j++)
                if (n->left[near[j]] && n->in[near[j]] != b + 1) {
                    deal_hand(n, plan, start, near[j], b);
                    place++;
                }
        }
}
