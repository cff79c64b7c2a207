/* Dealing: batches are a deck of cards that is shuffled whenever it has been gone through. A
   label (group, subgroup) takes the next cards for its hands of samples, so that its hands go to
   different batches and all batches get equally many, give or take one. A label that is being
   served when the deck is shuffled takes the cards it has not had first. Time and memory are
   O(samples + labels). */
#include "data/sampler.h"

#include <string.h>

struct ak_dealer {
    const int64_t *label_of; /* per sample */
    int64_t labels, batches;
    int64_t *start;  /* labels + 1: where a label's samples start in the sorted drawing */
    int64_t *order;  /* labels: in which they are served */
    int64_t *sorted; /* drawn */
    int64_t *deck;   /* batches */
    int64_t *had_by; /* batches: the label that took it last, -1: none */
    int64_t at, round;
};

akin_status ak_dealer_create(ak_dealer **out, const ak_plan *plan, const int64_t *label_of,
                             int64_t labels, akin_error *error)
{
    ak_dealer *d = ak_calloc(1, sizeof *d);
    *out = d;
    if (!d)
        return ak_fail_memory(error);
    *d = (ak_dealer){.label_of = label_of, .labels = labels, .batches = plan->batches};
    d->start = ak_calloc((size_t)labels + 1, sizeof *d->start);
    d->order = ak_calloc((size_t)labels, sizeof *d->order);
    d->sorted = ak_calloc((size_t)plan->drawn, sizeof *d->sorted);
    d->deck = ak_calloc((size_t)plan->batches, sizeof *d->deck);
    d->had_by = ak_calloc((size_t)plan->batches, sizeof *d->had_by);
    if (d->start && d->order && d->sorted && d->deck && d->had_by)
        return AKIN_OK;
    ak_dealer_free(d);
    *out = NULL;
    return ak_fail_memory(error);
}

void ak_dealer_free(ak_dealer *d)
{
    if (!d)
        return;
    ak_free(d->start);
    ak_free(d->order);
    ak_free(d->sorted);
    ak_free(d->deck);
    ak_free(d->had_by);
    ak_free(d);
}

/* Counting sort, stable; start[l] ends as where label l begins. */
const int64_t *ak_dealer_sort(ak_dealer *d, ak_plan *plan)
{
    memset(d->start, 0, ((size_t)d->labels + 1) * sizeof *d->start);
    for (int64_t i = 0; i < plan->drawn; i++)
        d->start[d->label_of[plan->drawing[i]] + 1]++;
    for (int64_t l = 0; l < d->labels; l++)
        d->start[l + 1] += d->start[l];
    for (int64_t i = 0; i < plan->drawn; i++)
        d->sorted[d->start[d->label_of[plan->drawing[i]]]++] = plan->drawing[i];
    memmove(d->start + 1, d->start, (size_t)d->labels * sizeof *d->start);
    d->start[0] = 0;
    memcpy(plan->drawing, d->sorted, (size_t)plan->drawn * sizeof *plan->drawing);
    return d->start;
}

static void shuffle_deck(ak_dealer *d, ak_draws *draws)
{
    for (int64_t b = 0; b < d->batches; b++)
        d->deck[b] = b;
    ak_draw_shuffle(draws, d->deck, d->batches);
    d->at = 0;
}

/* Cards that `label` has had go to the end. */
static void put_aside(ak_dealer *d, int64_t label)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < d->batches; i++) {
        int64_t batch = d->deck[i];
        if (d->had_by[batch] == label)
            continue;
        d->deck[i] = d->deck[kept];
        d->deck[kept++] = batch;
    }
}

/* The batch of the label's next hand, -1: there is none. */
static int64_t take_card(ak_dealer *d, int64_t label, int64_t places, bool once, ak_draws *draws)
{
    if (d->at == d->batches) {
        if (d->round + 1 == places)
            return -1;
        d->round++;
        shuffle_deck(d, draws);
        put_aside(d, label);
    }
    int64_t batch = d->deck[d->at];
    if (once && d->had_by[batch] == label)
        return -1;
    d->had_by[batch] = label;
    d->at++;
    return batch;
}

void ak_deal(ak_dealer *d, ak_plan *plan, int64_t together, int64_t places, bool once,
             ak_draws *draws)
{
    ak_dealer_sort(d, plan);
    for (int64_t l = 0; l < d->labels; l++)
        d->order[l] = l;
    ak_draw_shuffle(draws, d->order, d->labels);
    for (int64_t b = 0; b < d->batches; b++)
        d->had_by[b] = -1;
    d->round = 0;
    shuffle_deck(d, draws);
    for (int64_t i = 0; i < d->labels; i++) {
        int64_t label = d->order[i], at = d->start[label], n = d->start[label + 1] - at;
        int64_t hands = (n + together - 1) / together;
        for (int64_t hand = 0; hand < hands; hand++) {
            int64_t size = n / hands + (hand < n % hands);
            int64_t batch = take_card(d, label, places, once, draws);
            while (size--)
                plan->batch_of[at++] = batch;
        }
    }
}
