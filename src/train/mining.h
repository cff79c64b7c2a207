/* Hard negatives: objects that a model takes for alike although nothing in the data says so.

   For an anchor a the candidates are ranked by the model, exactly and over the whole data set; what
   is known to be alike takes no rank: a itself, its known positives, the members of its group, and
   pairs of its subgroup. Of the ranks first_rank .. last_rank the k nearest are taken that pass the
   margin: a candidate c with

       base(a, c) > base(a, p) - margin         p: the sample's positive, base: cosine of the
   encoders

   is more likely an unlabelled positive than a negative and is left out (the rule "TopK-MarginPos"
   of NV-Retriever: Moreira et al., 2024). The base judges, and not the model, because a model in
   training has pushed away what it was told to. */
#ifndef AK_TRAIN_MINING_H
#define AK_TRAIN_MINING_H

#include "data/data.h"
#include "eval/trial.h"
#include "kernels/kernels.h"

extern const akin_option ak_mining_rows[];
akin_status ak_mining_check(const akin_mining_options *options, akin_error *error);

typedef struct ak_mining {
    const ak_table *table;
    const akin_mining_options *options;
    /* Unit rows of all contents: anchors are queries, candidates documents. Near is who is similar in
       tuned; base tells who may be a negative. */
    ak_sides tuned, base;
} ak_mining;
/* In place. */
void ak_unit_sides(ak_sides *y);

/* place[c]: the first sample whose b (groups: whose object) content c is, -1: none. ak_free. */
akin_status ak_mining_places(int64_t **place, const ak_table *table, akin_error *error);

/* near: groups x k, -1 behind the last: near_groups.c. negatives: ak_mine's of a table of groups. */
akin_status ak_near_groups(int64_t *near, int64_t k, const ak_table *table,
                           const int64_t *negatives, akin_error *error);

/* negatives: count x k contents, the nearest first, -1 behind the last. positives (may be NULL):
   the content p of each sample, -1 where none was asked for: pairs of score <= .5, members of a
   group that stand alone. The bits depend on no number of threads. */
akin_status ak_mine(const ak_mining *mining, int64_t *negatives, int64_t *positives,
                    akin_mining_report *report, akin_error *error);

#endif
