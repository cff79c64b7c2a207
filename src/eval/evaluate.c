/* akin_evaluate: labelled pairs, groups and scored pairs. */
#include "eval/evaluator.h"

akin_status ak_check_evaluation(akin_evaluation_kind kind, const akin_dataset *dataset,
                                akin_error *error)
{
    akin_sample_kind wanted = kind == AKIN_EVALUATE_GROUPS ? AKIN_GROUPS : AKIN_PAIRS;
    if (kind < AKIN_EVALUATE_PAIRS || kind > AKIN_EVALUATE_BEIR)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "the kind of evaluation is %d, must be AKIN_EVALUATE_PAIRS, _GROUPS or "
                       "_SCORED",
                       (int)kind);
    if (kind == AKIN_EVALUATE_BEIR)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a BEIR folder is evaluated by akin_evaluate_beir");
    if (akin_dataset_kind(dataset) == wanted)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH, "%s holds %s, but the evaluation is of %s",
                   ak_dataset_name(dataset), wanted == AKIN_PAIRS ? "groups" : "pairs",
                   wanted == AKIN_PAIRS ? "pairs" : "groups");
}

static akin_status choose_metrics(ak_evaluator *e, akin_evaluation_kind kind, const ak_table *table,
                                  akin_error *error)
{
    static const char *const pairs[] = {"precision@1", "recall@10", "ndcg@10", "reciprocal_rank"};
    static const char *const groups[] = {"precision@1", "r_precision", "map", "reciprocal_rank"};
    static const char *const scored[] = {"spearman",  "pearson", "accuracy",
                                         "threshold", "f1",      "average_precision"};
    if (kind == AKIN_EVALUATE_PAIRS)
        return ak_evaluator_metrics(e, pairs, 4, AKIN_METRIC_RANKING, error);
    if (kind == AKIN_EVALUATE_GROUPS)
        return ak_evaluator_metrics(e, groups, 4, AKIN_METRIC_RANKING, error);
    bool binary = true; /* alike or not: the figures of a classifier make sense too */
    for (int64_t i = 0; i < table->count; i++)
        binary &= table->score[i] == 0 || table->score[i] == 1;
    return ak_evaluator_metrics(e, scored, binary ? 6 : 2, AKIN_METRIC_SCORED, error);
}

typedef struct labelled {
    akin_evaluation_kind kind;
    const ak_table *table;
    const akin_dataset *dataset;
} labelled;

/* A content's place in the data: "a17" is the a of sample 17, "17" a group's. From 1 on, like a
   file's lines. */
static const char *place_name(const void *user, int64_t content, akin_arena *arena)
{
    const ak_table *table = user;
    int64_t sample = table->first_sample[content];
    const char *side = table->kind == AKIN_GROUPS              ? ""
                       : table->content[2 * sample] == content ? "a"
                                                               : "b";
    return ak_arena_format(arena, "%s%lld", side, (long long)sample + 1);
}

static akin_status pass(ak_evaluator *e, void *user, uint64_t seed, akin_error *error)
{
    const labelled *data = user;
    ak_ids ids = {place_name, data->table};
    ak_scored_pairs pairs;
    if (data->kind == AKIN_EVALUATE_SCORED) {
        AK_TRY(ak_pairs_of_table(&pairs, data->table, e->options.sample_size, seed, e->scratch,
                                 error));
        return ak_evaluator_score(e, &pairs, error);
    }
    AK_TRY(ak_trial_of_table(&e->trial, data->table, e->options.distinguish, e->options.sample_size,
                             seed, e->scratch, error));
    return ak_evaluator_rank(e, ak_dataset_name(data->dataset), &ids, error);
}

/* Where encoders read queries otherwise than documents, an object must be one of the two. */
static akin_status check_sides(const ak_evaluator *e, akin_evaluation_kind kind, akin_error *error)
{
    bool sides = akin_model_base_has_sides(e->model) ||
                 (e->base_model && akin_model_base_has_sides(e->base_model));
    if (!sides || kind == AKIN_EVALUATE_SCORED ||
        (kind == AKIN_EVALUATE_PAIRS && e->options.distinguish))
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "the encoders have a query and a document side, but %s: such a model is "
                   "evaluated on pairs, whose a is the query and whose b the document",
                   kind == AKIN_EVALUATE_GROUPS ? "objects of groups are neither"
                                                : "without distinguish every object is both");
}

akin_status ak_evaluate_table(ak_evaluator *e, akin_evaluation_kind kind, const ak_table *table,
                              const akin_dataset *dataset, akin_error *error)
{
    labelled data = {kind, table, dataset};
    ak_table_source source = {table, dataset};
    ak_contents contents = ak_table_contents(&source);
    if (kind == AKIN_EVALUATE_SCORED && (e->options.run || e->options.qrels))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "scored pairs have no rankings to be written to a run or qrels file");
    AK_TRY(check_sides(e, kind, error));
    AK_TRY(choose_metrics(e, kind, table, error));
    AK_TRY(ak_evaluator_embed(e, &contents, error));
    return ak_evaluator_run(e, pass, &data, error);
}

akin_status akin_evaluate(akin_evaluation **out, const akin_model *model, const akin_model *base,
                          akin_evaluation_kind kind, const akin_dataset *dataset,
                          const akin_evaluator_options *options, akin_error *error)
{
    ak_evaluator e;
    ak_table *table = NULL;
    bool reused;
    *out = NULL;
    AK_TRY(ak_check_evaluation(kind, dataset, error));
    akin_status status = ak_evaluation_begin(&e, model, base, options, error);
    if (!status)
        status = ak_labels_table(&table, model, dataset, &reused, error);
    if (!status)
        status = ak_evaluate_table(&e, kind, table, dataset, error);
    ak_table_free(table);
    return ak_evaluation_end(out, &e, status, error);
}
