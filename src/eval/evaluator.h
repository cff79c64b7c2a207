/* What the evaluators of labelled data sets and of BEIR folders share. */
#ifndef AK_EVAL_EVALUATOR_H
#define AK_EVAL_EVALUATOR_H

#include "eval/registry.h"
#include "eval/trial.h"
#include "features/features.h"

#define AK_MAX_EVALUATED 32

/* An evaluation under way. `tuned` and `base` have a row per content; base.data NULL: no base. */
typedef struct ak_evaluator {
    const akin_model *model, *base_model; /* base_model NULL: the model without its head */
    const akin_evaluator_options *options;
    akin_arena *arena; /* of the result */
    ak_metric metrics[AK_MAX_EVALUATED];
    int metric_count;
    akin_matrix tuned, base;
    akin_evaluation_row *rows;
    int64_t row_count;
} ak_evaluator;

/* The metrics asked for, or `usual`; all of one kind. */
akin_status ak_evaluator_metrics(ak_evaluator *e, const char *const *usual, int usual_count,
                                 akin_metric_kind kind, akin_error *error);
/* tuned and base of the contents; keys of base_model's own are made where it differs. */
akin_status ak_evaluator_embed(ak_evaluator *e, const ak_contents *contents, akin_error *error);
/* Rows of ranking metrics. */
akin_status ak_evaluator_rank(ak_evaluator *e, const ak_trial *trial, akin_error *error);
/* Rows of scored metrics: pair i is contents a[i * stride], b[i * stride]. */
akin_status ak_evaluator_score(ak_evaluator *e, const int64_t *a, const int64_t *b, int64_t stride,
                               const float *label, int64_t n, akin_error *error);

/* The result owns the arena. */
akin_status ak_evaluation_begin(ak_evaluator *e, const akin_model *model, const akin_model *base,
                                const akin_evaluator_options *options, akin_error *error);
akin_status ak_evaluation_end(akin_evaluation **out, ak_evaluator *e, int64_t queries,
                              int64_t candidates, akin_status status, akin_error *error);

#endif
