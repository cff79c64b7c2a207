/* The evaluator: base, tuned, their difference and its interval, a row per metric. */
#include "eval/evaluator.h"

#include <math.h>
#include <string.h>

akin_evaluator_options akin_evaluator_defaults(void)
{
    return (akin_evaluator_options){.size = sizeof(akin_evaluator_options),
                                    .distinguish = true,
                                    .resamples = 1000,
                                    .seed = 42};
}

/* ---- result ---- */

typedef struct evaluation {
    akin_evaluation public; /* first: what the user sees is the whole */
    akin_arena *arena;
} evaluation;

akin_status ak_evaluation_begin(ak_evaluator *e, const akin_model *model, const akin_model *base,
                                const akin_evaluator_options *options, akin_error *error)
{
    static const akin_evaluator_options usual = {.distinguish = true, .resamples = 1000, .seed = 42};
    *e = (ak_evaluator){.model = model,
                        .base_model = base,
                        .options = options ? options : &usual};
    AK_TRY(ak_arena_create(&e->arena, error));
    e->rows = ak_arena_new(e->arena, akin_evaluation_row, AK_MAX_EVALUATED + 2);
    return e->rows ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_evaluation_end(akin_evaluation **out, ak_evaluator *e, int64_t queries,
                              int64_t candidates, akin_status status, akin_error *error)
{
    evaluation *result = status ? NULL : ak_alloc(sizeof *result);
    if (!status && !result)
        status = ak_fail_memory(error);
    if (status) {
        ak_arena_free(e->arena);
        return status;
    }
    *result = (evaluation){.public = {.queries = queries,
                                      .candidates = candidates,
                                      .count = e->row_count,
                                      .rows = e->rows},
                           .arena = e->arena};
    *out = &result->public;
    return AKIN_OK;
}

void akin_evaluation_free(akin_evaluation *public)
{
    if (!public)
        return;
    evaluation *result = (evaluation *)public;
    ak_arena_free(result->arena);
    ak_free(result);
}

/* ---- metrics ---- */

akin_status ak_evaluator_metrics(ak_evaluator *e, const char *const *usual, int usual_count,
                                 akin_metric_kind kind, akin_error *error)
{
    bool given = e->options->metrics.count > 0;
    const char *const *names = given ? e->options->metrics.metrics : usual;
    int count = given ? e->options->metrics.count : usual_count;
    if (count > AK_MAX_EVALUATED)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "more than %d metrics", AK_MAX_EVALUATED);
    for (int i = 0; i < count; i++) {
        ak_metric *metric = &e->metrics[e->metric_count];
        AK_TRY(ak_metric_make(metric, e->model->context, names[i], e->arena, error));
        if (metric->type->kind != kind)
            return ak_fail(error, AKIN_ERR_MISMATCH, "the metric \"%s\" is for %s", metric->name,
                           kind == AKIN_METRIC_RANKING ? "scored pairs (--samples scored)"
                                                       : "retrieval (pairs, groups or beir)");
        e->metric_count++;
    }
    return AKIN_OK;
}

/* ---- embeddings ---- */

static akin_status embed(const akin_model *model, bool without_head, const ak_contents *contents,
                         akin_arena *arena, akin_matrix *y, akin_error *error)
{
    ak_features *features;
    *y = ak_matrix_new(arena, contents->count, without_head ? model->input_dim : model->dim);
    if (!y->data)
        return ak_fail_memory(error);
    AK_TRY(ak_features_collect(&features, model, contents, false, error));
    akin_status status = ak_features_embed(features, without_head, 0, *y, error);
    ak_features_free(features);
    return status;
}

/* The base model may read other parts of the objects: its keys are its own. */
static akin_status embed_base_model(ak_evaluator *e, const ak_contents *contents,
                                    akin_error *error)
{
    ak_contents own = *contents;
    ak_hash *keys = ak_arena_new(e->arena, ak_hash, contents->count);
    akin_arena *arena;
    if (!keys)
        return ak_fail_memory(error);
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < contents->count && !status; i++) {
        akin_object object;
        ak_arena_reset(arena);
        status = contents->object(contents->user, i, arena, &object, error);
        if (!status)
            status = ak_model_key(e->base_model, object, &keys[i], error);
    }
    ak_arena_free(arena);
    own.keys = keys;
    return status ? status
                  : embed(e->base_model, false, &own, e->arena, &e->base, error);
}

akin_status ak_evaluator_embed(ak_evaluator *e, const ak_contents *contents, akin_error *error)
{
    AK_TRY(embed(e->model, false, contents, e->arena, &e->tuned, error));
    if (e->base_model)
        return embed_base_model(e, contents, error);
    bool has_head = e->model->head && strcmp(e->model->head->type->name, "empty") != 0;
    return has_head ? embed(e->model, true, contents, e->arena, &e->base, error) : AKIN_OK;
}

/* ---- ranking metrics ---- */

static akin_evaluation_row *add_row(ak_evaluator *e, const char *name, double value, double base)
{
    akin_evaluation_row *row = &e->rows[e->row_count++];
    *row = (akin_evaluation_row){.name = name,
                                 .value = value,
                                 .base = base,
                                 .difference = value - base,
                                 .low = NAN,
                                 .high = NAN};
    return row;
}

static akin_status rank_row(ak_evaluator *e, const ak_metric *metric, const akin_ranking *tuned,
                            const akin_ranking *base, int64_t queries, akin_error *error)
{
    double *t = ak_arena_new(e->arena, double, queries);
    double *b = base ? ak_arena_new(e->arena, double, queries) : NULL;
    if (!t || (base && !b))
        return ak_fail_memory(error);
    ak_metric_values(metric, tuned, queries, t);
    if (base)
        ak_metric_values(metric, base, queries, b);
    akin_evaluation_row *row = add_row(e, metric->name, ak_mean(t, queries),
                                       base ? ak_mean(b, queries) : NAN);
    if (!base)
        return AKIN_OK;
    ak_interval interval;
    AK_TRY(ak_bootstrap(&interval, t, b, queries, e->options->resamples, e->options->seed, error));
    row->difference = interval.difference;
    row->low = interval.low;
    row->high = interval.high;
    return AKIN_OK;
}

akin_status ak_evaluator_rank(ak_evaluator *e, const ak_trial *trial, akin_error *error)
{
    akin_ranking *tuned, *base = NULL;
    int64_t queries = trial->relevance.queries;
    AK_TRY(ak_trial_rank(trial, e->tuned, e->arena, &tuned, error));
    if (e->base.data)
        AK_TRY(ak_trial_rank(trial, e->base, e->arena, &base, error));
    for (int i = 0; i < e->metric_count; i++)
        AK_TRY(rank_row(e, &e->metrics[i], tuned, base, queries, error));
    if (e->options->micro) {
        add_row(e, "micro_r_precision", ak_micro_r_precision(tuned, queries),
                base ? ak_micro_r_precision(base, queries) : NAN);
        add_row(e, "micro_reciprocal_rank", ak_micro_reciprocal_rank(tuned, queries),
                base ? ak_micro_reciprocal_rank(base, queries) : NAN);
    }
    return AKIN_OK;
}

/* ---- scored metrics ---- */

static akin_status similarities(const ak_evaluator *e, akin_matrix x, const int64_t *a,
                                const int64_t *b, int64_t stride, int64_t n, float **out,
                                akin_error *error)
{
    *out = ak_arena_new(e->arena, float, n);
    if (!*out)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++) {
        akin_matrix first = ak_matrix_rows(x, a[i * stride], 1);
        akin_matrix second = ak_matrix_rows(x, b[i * stride], 1);
        float distance;
        ak_distance_rows(AK_COSINE, first, second, &distance);
        (*out)[i] = 1 - distance;
    }
    return AKIN_OK;
}

static akin_status score_row(ak_evaluator *e, const ak_metric *metric, const float *tuned,
                             const float *base, const float *label, int64_t n, akin_error *error)
{
    double value, base_value = NAN;
    AK_TRY(ak_metric_score(metric, tuned, label, n, e->arena, &value, error));
    if (base)
        AK_TRY(ak_metric_score(metric, base, label, n, e->arena, &base_value, error));
    akin_evaluation_row *row = add_row(e, metric->name, value, base_value);
    if (!base)
        return AKIN_OK;
    ak_interval interval;
    AK_TRY(ak_bootstrap_scored(&interval, metric, tuned, base, label, n, e->options->resamples,
                               e->options->seed, error));
    row->difference = interval.difference;
    row->low = interval.low;
    row->high = interval.high;
    return AKIN_OK;
}

akin_status ak_evaluator_score(ak_evaluator *e, const int64_t *a, const int64_t *b, int64_t stride,
                               const float *label, int64_t n, akin_error *error)
{
    float *tuned, *base = NULL;
    AK_TRY(similarities(e, e->tuned, a, b, stride, n, &tuned, error));
    if (e->base.data)
        AK_TRY(similarities(e, e->base, a, b, stride, n, &base, error));
    for (int i = 0; i < e->metric_count; i++)
        AK_TRY(score_row(e, &e->metrics[i], tuned, base, label, n, error));
    return AKIN_OK;
}
