/* akin_evaluate: labelled pairs, groups and scored pairs. */
#include "eval/evaluator.h"

static akin_status check_kind(akin_evaluation_kind kind, const akin_dataset *dataset,
                              akin_error *error)
{
    akin_sample_kind wanted = kind == AKIN_EVALUATE_GROUPS ? AKIN_GROUPS : AKIN_PAIRS;
    if (kind == AKIN_EVALUATE_BEIR)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a BEIR folder is evaluated by akin_evaluate_beir");
    if (akin_dataset_kind(dataset) == wanted)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH, "%s holds %s, but the evaluation is of %s",
                   ak_dataset_name(dataset), wanted == AKIN_PAIRS ? "groups" : "pairs",
                   wanted == AKIN_PAIRS ? "pairs" : "groups");
}

static akin_status choose_metrics(ak_evaluator *e, akin_evaluation_kind kind,
                                  const ak_table *table, akin_error *error)
{
    static const char *const pairs[] = {"precision@1", "recall@10", "ndcg@10", "reciprocal_rank"};
    static const char *const groups[] = {"precision@1", "r_precision", "map", "reciprocal_rank"};
    static const char *const scored[] = {"spearman", "pearson", "accuracy", "threshold", "f1",
                                         "average_precision"};
    if (kind == AKIN_EVALUATE_PAIRS)
        return ak_evaluator_metrics(e, pairs, 4, AKIN_METRIC_RANKING, error);
    if (kind == AKIN_EVALUATE_GROUPS)
        return ak_evaluator_metrics(e, groups, 4, AKIN_METRIC_RANKING, error);
    bool binary = true; /* alike or not: the figures of a classifier make sense too */
    for (int64_t i = 0; i < table->count; i++)
        binary &= table->score[i] == 0 || table->score[i] == 1;
    return ak_evaluator_metrics(e, scored, binary ? 6 : 2, AKIN_METRIC_SCORED, error);
}

static akin_status evaluate(ak_evaluator *e, akin_evaluation_kind kind, const ak_table *table,
                            const akin_dataset *dataset, int64_t *queries, int64_t *candidates,
                            akin_error *error)
{
    ak_table_source source = {table, dataset};
    ak_contents contents = ak_table_contents(&source);
    AK_TRY(choose_metrics(e, kind, table, error));
    AK_TRY(ak_evaluator_embed(e, &contents, error));
    if (kind == AKIN_EVALUATE_SCORED) {
        *queries = *candidates = table->count;
        return ak_evaluator_score(e, table->content, table->content + 1, 2, table->score,
                                  table->count, error);
    }
    ak_trial trial;
    AK_TRY(ak_trial_of_table(&trial, table, e->options->distinguish, e->options->sample_size,
                             e->options->seed, e->arena, error));
    *queries = trial.relevance.queries;
    *candidates = trial.candidates;
    return ak_evaluator_rank(e, &trial, error);
}

akin_status akin_evaluate(akin_evaluation **out, const akin_model *model, const akin_model *base,
                          akin_evaluation_kind kind, const akin_dataset *dataset,
                          const akin_evaluator_options *options, akin_error *error)
{
    ak_evaluator e;
    ak_table *table = NULL;
    bool reused;
    int64_t queries = 0, candidates = 0;
    *out = NULL;
    AK_TRY(check_kind(kind, dataset, error));
    akin_status status = ak_evaluation_begin(&e, model, base, options, error);
    if (!status)
        status = ak_labels_table(&table, model, dataset, &reused, error);
    if (!status)
        status = evaluate(&e, kind, table, dataset, &queries, &candidates, error);
    ak_table_free(table);
    return ak_evaluation_end(out, &e, queries, candidates, status, error);
}
