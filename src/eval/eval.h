/* The door of eval: metrics, rankings by tiles, bootstrap, reports. */
#ifndef AK_EVAL_EVAL_H
#define AK_EVAL_EVAL_H

#include "kernels/kernels.h"
#include "nn/nn.h"

extern const akin_metric_class *const ak_metrics[]; /* NULL-terminated */

/* A metric and its options, made from text: "reciprocal_rank", "precision@1",
   "{type: precision, k: 1}". `find` looks a class up (the registry's). */
typedef struct ak_metric {
    const akin_metric_class *type;
    void *options;
    const char *name; /* "precision@1" */
} ak_metric;

/* ---- rankings.c: exact ranks of the relevant candidates, by tiles: memory is O(queries' relevant)
   and one tile, never queries x candidates ---- */

typedef struct ak_relevance {
    int64_t queries;
    const int64_t *start;     /* queries + 1 */
    const int64_t *candidate; /* relevant candidates of query q: start[q] .. start[q + 1] */
    const float *gain;        /* of the same; NULL: all 1 */
    const int64_t *exclude_start, *exclude; /* candidates that do not take part (itself, duplicates);
                                               NULL: none */
} ak_relevance;

/* Cosine similarity. queries, candidates: rows, not yet normalised. *rankings (queries of them) live
   in the arena. */
akin_status ak_rank(akin_matrix queries, akin_matrix candidates, const ak_relevance *relevance,
                    akin_arena *arena, akin_ranking **rankings, akin_error *error);

/* values[q] of one ranking metric (NaN: the query does not count). */
void ak_metric_values(const ak_metric *metric, const akin_ranking *rankings, int64_t queries,
                      double *values);
double ak_mean(const double *values, int64_t n); /* without the NaNs; 0 if nothing counts */

/* 95 % percentile interval of the mean difference tuned - base, resampling queries. */
void ak_bootstrap(const double *tuned, const double *base, int64_t n, int64_t resamples,
                  uint64_t seed, double *difference, double *low, double *high);

#endif
