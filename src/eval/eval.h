/* The door of eval: metrics, rankings by tiles, bootstrap, reports. */
#ifndef AK_EVAL_EVAL_H
#define AK_EVAL_EVAL_H

#include "kernels/kernels.h"
#include "nn/nn.h"

/* ---- ranked.c, scored.c, binary.c: the metrics (maths.md) ---- */

/* Over rankings; those with a cut k have it in their name ("precision@1"), k 0 is no cut. */
extern const akin_metric_class ak_metric_reciprocal_rank, ak_metric_precision, ak_metric_recall,
    ak_metric_map, ak_metric_ndcg, ak_metric_hit_rate, ak_metric_r_precision;
/* Over scored pairs; NaN where undefined (no variance, no positive pair, a NaN similarity). */
extern const akin_metric_class ak_metric_spearman, ak_metric_pearson;
/* Over scored pairs, score > 0.5 being alike. */
extern const akin_metric_class ak_metric_accuracy, ak_metric_threshold, ak_metric_f1,
    ak_metric_average_precision;

extern const akin_metric_class *const ak_metrics[]; /* all of them, NULL-terminated */

/* Pooled over queries, as Quaterion prints them: of all first-R slots of all queries, how many hold
   a relevant candidate; the mean of 1/rank over all relevant candidates. NaN if there are none. */
double ak_micro_r_precision(const akin_ranking *rankings, int64_t queries);
double ak_micro_reciprocal_rank(const akin_ranking *rankings, int64_t queries);

/* ---- metric.c: a metric and its options ---- */

typedef struct ak_metric {
    const akin_metric_class *type;
    const void *options;
    const char *name; /* "precision@1" */
} ak_metric;

/* From text: "reciprocal_rank", "precision@1", "{type: precision, k: 1}". classes: where to look,
   NULL-terminated (ak_metrics, or the registry's). Everything lives in the arena. */
akin_status ak_metric_create(ak_metric *out, const char *text,
                             const akin_metric_class *const *classes, akin_arena *arena,
                             akin_error *error);
/* The same from a recipe's node; `source` is the recipe's name for messages. */
akin_status ak_metric_parse(ak_metric *out, const ak_value *value, const char *source,
                            const akin_metric_class *const *classes, akin_arena *arena,
                            akin_error *error);

/* values[q] of one ranking metric (NaN: the query does not count). */
void ak_metric_values(const ak_metric *metric, const akin_ranking *rankings, int64_t queries,
                      double *values);
/* The value of one scored metric. */
akin_status ak_metric_score(const ak_metric *metric, const float *similarity, const float *label,
                            int64_t n, akin_arena *arena, double *value, akin_error *error);
double ak_mean(const double *values, int64_t n); /* without the NaNs; NaN if nothing counts */

/* ---- rankings.c: exact ranks of the relevant candidates, by tiles: memory is O(queries' relevant)
   and one tile, never queries x candidates ---- */

typedef struct ak_relevance {
    int64_t queries;
    const int64_t *start;     /* queries + 1 */
    const int64_t *candidate; /* relevant candidates of query q: start[q] .. start[q + 1] */
    const float *gain;        /* of the same; NULL: all 1. One of gain <= 0 is not relevant. */
    const int64_t *exclude_start,
        *exclude; /* candidates that do not take part (itself, duplicates);
                     NULL: none. Also takes relevant ones out. */
} ak_relevance;

/* Cosine similarity as ak_similarity of unit rows: the order that a search would give, bit for bit,
   for any tile and thread count. queries, candidates: rows, not yet normalised. *rankings (queries
   of them) live in the arena. */
akin_status ak_rank(akin_matrix queries, akin_matrix candidates, const ak_relevance *relevance,
                    akin_arena *arena, akin_ranking **rankings, akin_error *error);

/* ---- bootstrap.c ---- */

typedef struct ak_interval {
    double difference, low, high;
} ak_interval;

/* The mean of tuned - base (base NULL: of tuned) over the queries where both count, and its 95 %
   percentile interval from resampling queries; all NaN when no query counts. */
akin_status ak_bootstrap(ak_interval *out, const double *tuned, const double *base, int64_t n,
                         int64_t resamples, uint64_t seed, akin_error *error);
/* The same for a scored metric, resampling pairs. */
akin_status ak_bootstrap_scored(ak_interval *out, const ak_metric *metric, const float *tuned,
                                const float *base, const float *label, int64_t n, int64_t resamples,
                                uint64_t seed, akin_error *error);

#endif
