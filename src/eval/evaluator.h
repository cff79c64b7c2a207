/* What the evaluators of labelled data sets and of BEIR folders share. */
#ifndef AK_EVAL_EVALUATOR_H
#define AK_EVAL_EVALUATOR_H

#include "eval/pairs.h"
#include "eval/registry.h"
#include "eval/trec.h"
#include "features/features.h"

#define AK_MAX_EVALUATED 32
#define AK_MAX_ROWS (AK_MAX_EVALUATED + 2) /* and the two pooled figures */

/* One figure of one pass. */
typedef struct ak_pass_figure {
    double value, base, difference;
} ak_pass_figure;

/* An evaluation under way. base.queries.data NULL: no base. */
typedef struct ak_evaluator {
    const akin_model *model, *base_model; /* base_model NULL: none but, perhaps, `without_head` */
    akin_model *own_base;                 /* loaded for this evaluation, else NULL */
    bool without_head;                    /* the base is the model's encoders alone */
    akin_evaluator_options options;
    akin_arena *arena;   /* of the result */
    akin_arena *scratch; /* of a pass */
    ak_metric metrics[AK_MAX_EVALUATED];
    int metric_count;
    ak_sides tuned, base;
    ak_trial trial; /* of the last pass, and what was found in it */
    akin_ranking *tuned_rankings, *base_rankings;
    int64_t queries, candidates; /* of a pass */
    int64_t pass;                /* 0 .. repeats - 1 */
    ak_pass_figure *figures;     /* repeats x AK_MAX_ROWS */
    akin_evaluation_row *rows;
    int64_t row_count;
} ak_evaluator;

/* Options are checked; a base is looked for: see base.c. */
akin_status ak_evaluation_begin(ak_evaluator *e, const akin_model *model, const akin_model *base,
                                const akin_evaluator_options *options, akin_error *error);
/* The metrics asked for, or `usual`; all of one kind. */
akin_status ak_evaluator_metrics(ak_evaluator *e, const char *const *usual, int usual_count,
                                 akin_metric_kind kind, akin_error *error);
/* tuned and base of the contents; keys of base_model's own are made where it differs. */
akin_status ak_evaluator_embed(ak_evaluator *e, const ak_contents *contents, akin_error *error);

/* Of the model or (base) its encoders alone, a row per content, in the arena. */
akin_status ak_embed_sides(const akin_model *model, bool base, const ak_contents *contents,
                           akin_arena *arena, ak_sides *y, akin_error *error);

/* One pass over the data, whose samples are drawn by `seed`: calls one of the two below. */
typedef akin_status ak_pass_function(ak_evaluator *e, void *user, uint64_t seed,
                                     akin_error *error);
/* All passes, and what comes of them. */
akin_status ak_evaluator_run(ak_evaluator *e, ak_pass_function *pass, void *user,
                             akin_error *error);
/* Ranking metrics of e->trial, and TREC files if they are asked for. `name`: of the data, for messages. */
akin_status ak_evaluator_rank(ak_evaluator *e, const char *name, const ak_ids *ids,
                              akin_error *error);
/* Scored metrics. */
akin_status ak_evaluator_score(ak_evaluator *e, const ak_scored_pairs *pairs, akin_error *error);

/* ---- evaluate.c ---- */

/* Everything between begin and end, of a labelled data set. */
akin_status ak_evaluate_table(ak_evaluator *e, akin_evaluation_kind kind, const ak_table *table,
                              const akin_dataset *dataset, akin_error *error);
akin_status ak_check_evaluation(akin_evaluation_kind kind, const akin_dataset *dataset,
                                akin_error *error);

/* The result owns the arena. */
akin_status ak_evaluation_end(akin_evaluation **out, ak_evaluator *e, akin_status status,
                              akin_error *error);

#endif
