/* Attached metrics: over the whole validation set after an epoch, over a training batch after a
   step. Those of rankings are measured on a trial, those of scored pairs on similarities and
   scores. */
#include "train/train.h"

#include "eval/pairs.h"

#include <math.h>
#include <string.h>

static bool has_metric(const akin_training *t, akin_metric_kind kind)
{
    for (int i = 0; i < t->metric_count; i++)
        if (t->metrics[i].type->kind == kind)
            return true;
    return false;
}

/* values: of every metric of that kind, in its place. */
static akin_status measure_ranking(const akin_training *t, const ak_trial *trial, const ak_sides *x,
                                   akin_arena *arena, double *values, akin_error *error)
{
    akin_ranking *rankings;
    int64_t queries = trial->relevance.queries;
    AK_TRY(ak_trial_rank(trial, x, arena, &rankings, error));
    double *of_queries = ak_arena_new(arena, double, queries);
    if (!of_queries)
        return ak_fail_memory(error);
    for (int i = 0; i < t->metric_count; i++) {
        if (t->metrics[i].type->kind != AKIN_METRIC_RANKING)
            continue;
        ak_metric_values(&t->metrics[i], rankings, queries, of_queries);
        values[i] = ak_mean(of_queries, queries);
    }
    return AKIN_OK;
}

static akin_status measure_pairs(const akin_training *t, const ak_scored_pairs *pairs,
                                 const ak_sides *x, akin_arena *arena, double *values,
                                 akin_error *error)
{
    float *similarity;
    AK_TRY(ak_pairs_similarities(&similarity, pairs, x, arena, error));
    for (int i = 0; i < t->metric_count; i++)
        if (t->metrics[i].type->kind == AKIN_METRIC_SCORED)
            AK_TRY(ak_metric_score(&t->metrics[i], similarity, pairs->score, pairs->count, arena,
                                   &values[i], error));
    return AKIN_OK;
}

static akin_status check_monitored(const akin_training *t, const ak_metric *metric,
                                   akin_error *error)
{
    if (strcmp(metric->name, t->trainer.monitor) != 0)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "%s: on the validation data \"%s\" is not defined (%s) and cannot tell the best "
                   "epoch",
                   ak_dataset_name(t->validation.dataset), metric->name,
                   metric->type->kind == AKIN_METRIC_RANKING ? "no query has a relevant candidate"
                                                             : "as of scores that are all equal");
}

/* limit_validation_batches means: as many queries as the batches of the loss have samples. */
static int64_t sample_size_of(const akin_training *t)
{
    int64_t limit = t->trainer.limit_validation_batches *
                    ak_loader_options_of(t->validation.loader)->batch_size;
    int64_t size = t->trainer.metrics_sample_size;
    return limit && (!size || limit < size) ? limit : size;
}

akin_status ak_table_metrics(akin_training *t, const ak_sides *x, akin_arena *arena,
                             akin_error *error)
{
    const ak_table *table = t->validation.table;
    int64_t sample_size = sample_size_of(t);
    double values[AK_MAX_METRICS];
    ak_trial trial;
    ak_scored_pairs pairs;
    if (has_metric(t, AKIN_METRIC_RANKING)) {
        AK_TRY(ak_trial_of_table(&trial, table, t->trainer.metrics_distinguish, sample_size,
                                 t->trainer.seed, arena, error));
        AK_TRY(measure_ranking(t, &trial, x, arena, values, error));
    }
    if (has_metric(t, AKIN_METRIC_SCORED)) {
        AK_TRY(ak_pairs_of_table(&pairs, table, sample_size, t->trainer.seed, arena, error));
        AK_TRY(measure_pairs(t, &pairs, x, arena, values, error));
    }
    for (int i = 0; i < t->metric_count; i++) {
        ak_run_figure(t, t->metrics[i].name)->value = values[i];
        if (isnan(values[i]))
            AK_TRY(check_monitored(t, &t->metrics[i], error));
    }
    return AKIN_OK;
}

/* A content on both sides of a batch has the row of its first a; as a candidate it is the b. */
static akin_status take_documents(ak_trial *trial, const akin_labels *labels, akin_arena *arena,
                                  akin_error *error)
{
    int64_t *row = ak_arena_new(arena, int64_t, trial->candidates);
    if (!row)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < trial->candidates; i++) {
        int64_t first = trial->candidate_row[i], other = labels->count;
        while (first < labels->count && labels->content[other] != labels->content[first])
            other++;
        row[i] = first < labels->count ? other : first;
    }
    trial->candidate_row = row;
    return AKIN_OK;
}

akin_status ak_step_metrics(akin_training *t, const ak_batch *batch, akin_error *error)
{
    double values[AK_MAX_METRICS];
    ak_trial trial;
    ak_scored_pairs pairs;
    ak_sides sides = {t->embeddings, t->embeddings};
    if (has_metric(t, AKIN_METRIC_RANKING)) {
        AK_TRY(ak_trial_of_labels(&trial, &batch->labels, t->arena, error));
        if (akin_model_has_sides(t->model))
            AK_TRY(take_documents(&trial, &batch->labels, t->arena, error));
        AK_TRY(measure_ranking(t, &trial, &sides, t->arena, values, error));
    }
    if (has_metric(t, AKIN_METRIC_SCORED)) {
        AK_TRY(ak_pairs_of_labels(&pairs, &batch->labels, t->arena, error));
        AK_TRY(measure_pairs(t, &pairs, &sides, t->arena, values, error));
    }
    for (int i = 0; i < t->metric_count; i++)
        t->step_figures[i]->value = values[i];
    return AKIN_OK;
}
