/* Samplers: which samples of an epoch stand together in a batch. A sampler is a file, a row in
   sampler.c's table and a test; what it does is a function of (seed, epoch) alone, takes O(n)
   memory and linear time, and allocates nothing once it is open. */
#ifndef AK_DATA_SAMPLER_H
#define AK_DATA_SAMPLER_H

#include "data/data.h"

/* Numbers in a row: the n-th is a function of (seed, stream, n). */
typedef struct ak_draws {
    uint64_t seed, stream, count;
} ak_draws;
int64_t ak_draw_below(ak_draws *draws, int64_t limit);
void ak_draw_shuffle(ak_draws *draws, int64_t *items, int64_t n);

/* The batches of an epoch. Batch b holds the samples order[start[b]] .. order[start[b + 1] - 1]. */
typedef struct ak_plan {
    const ak_table *table;
    const char *name; /* of the data set, for messages */
    int64_t batch_size;
    bool drop_last;
    int64_t drawn;     /* samples of an epoch; one may be drawn more than once */
    int64_t batches;   /* the same in every epoch */
    int64_t left_out;  /* of the drawn samples, in no batch of this epoch */
    int64_t *drawing;  /* drawn: the samples in the order of drawing */
    int64_t *batch_of; /* drawn: the batch of drawing[i], -1 for none; NULL: cut by batch_size */
    int64_t *order, *start;
    const int64_t *near; /* groups x near_count: those near to each, the nearest first, -1 behind the
                            last; NULL: not known */
    int64_t near_count;
} ak_plan;

typedef struct ak_sampler_class {
    const char *name, *summary;
    bool pairs, groups;         /* the kinds of samples it can sample */
    const akin_option *options; /* may be NULL */
    size_t options_size;
    /* Sets plan->batches (and may set batch_size). NULL: batches are cut from the drawing. */
    akin_status (*open)(void **self, const void *options, ak_plan *plan, akin_error *error);
    /* Fills plan->batch_of; may bring plan->drawing into another order. */
    void (*assign)(void *self, ak_plan *plan, ak_draws *draws);
    void (*free)(void *self);
} ak_sampler_class;

const ak_sampler_class *ak_sampler_default(void); /* shuffle */
extern const ak_sampler_class ak_sampler_groups, ak_sampler_length_buckets,
    ak_sampler_no_duplicates, ak_sampler_subgroups;

/* An epoch's plan, for `drawn` samples of the table. */
typedef struct ak_planner ak_planner;
akin_status ak_planner_create(ak_planner **out, const ak_sampler *sampler, const ak_table *table,
                              const char *name, int64_t batch_size, bool drop_last,
                              int64_t drawn, akin_error *error);
/* The caller fills plan->drawing, then the batches are made. */
ak_plan *ak_planner_plan(ak_planner *planner);
void ak_planner_fill(ak_planner *planner, uint64_t seed, int64_t epoch);
void ak_planner_free(ak_planner *planner);

/* draw.c: the samples of an epoch, before a sampler sees them. */
typedef struct ak_drawer ak_drawer;
akin_status ak_drawer_create(ak_drawer **out, const akin_dataset *dataset, akin_error *error);
void ak_drawer_free(ak_drawer *drawer);
int64_t ak_drawer_count(const ak_drawer *drawer); /* the same in every epoch */
void ak_drawer_draw(ak_drawer *drawer, uint64_t seed, int64_t epoch, int64_t *drawing);

/* deal.c: samples dealt like cards, so that a label's stand in different batches. */
typedef struct ak_dealer ak_dealer;
/* labels: how many there are; label_of[sample]. */
akin_status ak_dealer_create(ak_dealer **out, const ak_plan *plan, const int64_t *label_of,
                             int64_t labels, akin_error *error);
void ak_dealer_free(ak_dealer *dealer);
/* Brings plan->drawing into the order of labels, those of one label in the order of drawing. Gives
   where each label's samples start, labels + 1 numbers. */
const int64_t *ak_dealer_sort(ak_dealer *dealer, ak_plan *plan);
/* Sorts, then serves the labels in random order: up to `together` samples of a label make a
   hand, as evenly as its count divides, and a hand goes to a batch, which gets at most `places`
   of them. once: no batch gets two hands of a label; hands that find no batch are left out. */
void ak_deal(ak_dealer *dealer, ak_plan *plan, int64_t together, int64_t places, bool once,
             ak_draws *draws);

/* near.c: hands as ak_deal's, near groups together in a batch. */
typedef struct ak_near ak_near;
akin_status ak_near_create(ak_near **out, int64_t labels, akin_error *error);
void ak_near_free(ak_near *near);
void ak_near_deal(ak_near *near, ak_dealer *dealer, ak_plan *plan, int64_t together,
                  int64_t places, ak_draws *draws);

#endif
