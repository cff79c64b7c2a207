/* The evaluator: base, tuned, their difference and its interval, a row per metric. */
#include "eval/evaluator.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

akin_evaluator_options akin_evaluator_defaults(void)
{
    return (akin_evaluator_options){.size = sizeof(akin_evaluator_options),
                                    .distinguish = true,
                                    .resamples = 1000,
                                    .seed = 42,
                                    .repeats = 1,
                                    .run_depth = 1000};
}

/* ---- options ---- */

static akin_status check_file(const char *path, bool replace, akin_error *error)
{
    if (!path || replace || ak_path_what(path) == AK_PATH_NONE)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_EXISTS, "%s exists already", path);
}

/* Members that the caller's version of the struct does not have keep their defaults. */
static akin_status take_options(ak_evaluator *e, const akin_evaluator_options *given,
                                akin_error *error)
{
    akin_evaluator_options *o = &e->options;
    *o = akin_evaluator_defaults();
    if (given)
        memcpy(o, given, given->size < sizeof *o ? given->size : sizeof *o);
    if (o->sample_size < 0 || o->resamples < 0 || o->run_depth < 0 || o->repeats < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "an evaluator's sample_size, resamples and run_depth must be at least 0, "
                       "repeats at least 1");
    if (o->repeats > 1 && !o->sample_size)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%" PRId64 " passes over everything would be equal: with repeats give a "
                       "sample_size",
                       o->repeats);
    if (o->repeats > 1 && (o->run || o->qrels))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "run and qrels are files of one pass: no repeats");
    AK_TRY(check_file(o->run, o->replace, error));
    return check_file(o->qrels, o->replace, error);
}

/* ---- result ---- */

typedef struct evaluation {
    akin_evaluation public; /* first: what the user sees is the whole */
    akin_arena *arena;
} evaluation;

akin_status ak_evaluation_begin(ak_evaluator *e, const akin_model *model, const akin_model *base,
                                const akin_evaluator_options *options, akin_error *error)
{
    *e = (ak_evaluator){.model = model, .base_model = base};
    AK_TRY(take_options(e, options, error));
    if (!base) {
        AK_TRY(akin_model_base(&e->own_base, &e->without_head, model, error));
        e->base_model = e->own_base;
    }
    AK_TRY(ak_arena_create(&e->arena, error));
    AK_TRY(ak_arena_create(&e->scratch, error));
    e->rows = ak_arena_new(e->arena, akin_evaluation_row, AK_MAX_ROWS);
    e->figures = ak_arena_new(e->arena, ak_pass_figure, e->options.repeats * AK_MAX_ROWS);
    return e->rows && e->figures ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_evaluation_end(akin_evaluation **out, ak_evaluator *e, akin_status status,
                              akin_error *error)
{
    evaluation *result = status ? NULL : ak_alloc(sizeof *result);
    if (!status && !result)
        status = ak_fail_memory(error);
    ak_arena_free(e->scratch);
    akin_model_free(e->own_base);
    if (status) {
        ak_arena_free(e->arena);
        return status;
    }
    *result = (evaluation){.public = {.queries = e->queries,
                                      .candidates = e->candidates,
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
    bool given = e->options.metrics.count > 0;
    const char *const *names = given ? e->options.metrics.metrics : usual;
    int count = given ? e->options.metrics.count : usual_count;
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

static akin_status embed_side(const ak_features *features, ak_way way, akin_arena *arena,
                              akin_matrix *y, akin_error *error)
{
    *y = ak_matrix_new(arena, features->count, ak_model_way_dim(features->model, way));
    return y->data ? ak_features_embed(features, way, 0, *y, error) : ak_fail_memory(error);
}

akin_status ak_embed_sides(const akin_model *model, bool base, const ak_contents *contents,
                           akin_arena *arena, ak_sides *y, akin_error *error)
{
    ak_features *features;
    ak_way queries = ak_model_side_way(model, base, AK_QUERY_TOWER);
    ak_way documents = ak_model_side_way(model, base, AK_DOCUMENT_TOWER);
    AK_TRY(ak_features_collect(&features, model, contents, false, error));
    akin_status status = embed_side(features, queries, arena, &y->queries, error);
    y->documents = y->queries;
    if (!status && ak_model_two_ways(model, base))
        status = embed_side(features, documents, arena, &y->documents, error);
    ak_features_free(features);
    return status;
}

/* The base model may read other parts of the objects: its keys are its own. */
static akin_status embed_base_model(ak_evaluator *e, const ak_contents *contents, akin_error *error)
{
    ak_contents own = *contents;
    ak_hash *keys = ak_arena_new(e->arena, ak_hash, contents->count * e->base_model->encoder_count);
    if (!keys)
        return ak_fail_memory(error);
    own.keys = keys;
    AK_TRY(ak_contents_make_keys(contents, e->base_model, keys, error));
    return ak_embed_sides(e->base_model, false, &own, e->arena, &e->base, error);
}

akin_status ak_evaluator_embed(ak_evaluator *e, const ak_contents *contents, akin_error *error)
{
    AK_TRY(ak_embed_sides(e->model, false, contents, e->arena, &e->tuned, error));
    if (e->base_model)
        return embed_base_model(e, contents, error);
    return e->without_head ? ak_embed_sides(e->model, true, contents, e->arena, &e->base, error)
                           : AKIN_OK;
}

/* ---- passes ---- */

/* The figure of this pass; the row is made by the first. */
static akin_evaluation_row *add_figure(ak_evaluator *e, const char *name, double value, double base)
{
    akin_evaluation_row *row = &e->rows[e->row_count];
    e->figures[e->pass * AK_MAX_ROWS + e->row_count++] =
        (ak_pass_figure){value, base, value - base};
    *row = (akin_evaluation_row){.name = name,
                                 .value = value,
                                 .base = base,
                                 .difference = value - base,
                                 .low = NAN,
                                 .high = NAN,
                                 .deviation = NAN,
                                 .base_deviation = NAN,
                                 .difference_deviation = NAN};
    return row;
}

static void set_interval(akin_evaluation_row *row, const ak_interval *interval)
{
    row->difference = interval->difference;
    row->low = interval->low;
    row->high = interval->high;
}

/* Mean and sample standard deviation of n numbers that lie `stride` bytes apart. */
static void spread(const double *first, size_t stride, int64_t n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += *(const double *)((const char *)first + (size_t)i * stride);
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = *(const double *)((const char *)first + (size_t)i * stride) - *mean;
        squares += d * d;
    }
    *deviation = sqrt(squares / (double)(n - 1));
}

static void summarize_passes(ak_evaluator *e)
{
    size_t stride = AK_MAX_ROWS * sizeof *e->figures;
    int64_t n = e->options.repeats;
    for (int64_t i = 0; i < e->row_count; i++) {
        const ak_pass_figure *first = &e->figures[i];
        akin_evaluation_row *row = &e->rows[i];
        spread(&first->value, stride, n, &row->value, &row->deviation);
        spread(&first->base, stride, n, &row->base, &row->base_deviation);
        spread(&first->difference, stride, n, &row->difference, &row->difference_deviation);
    }
}

akin_status ak_evaluator_run(ak_evaluator *e, ak_pass_function *pass, void *user, akin_error *error)
{
    for (e->pass = 0; e->pass < e->options.repeats; e->pass++) {
        ak_arena_reset(e->scratch);
        e->row_count = 0;
        AK_TRY(ak_check_interrupt(e->model->context, error));
        AK_TRY(pass(e, user, e->options.seed + (uint64_t)e->pass, error));
    }
    if (e->options.repeats > 1)
        summarize_passes(e);
    return AKIN_OK;
}

/* ---- ranking metrics ---- */

static akin_status rank_row(ak_evaluator *e, const ak_metric *metric, const akin_ranking *tuned,
                            const akin_ranking *base, int64_t queries, akin_error *error)
{
    double *t = ak_arena_new(e->scratch, double, queries);
    double *b = base ? ak_arena_new(e->scratch, double, queries) : NULL;
    if (!t || (base && !b))
        return ak_fail_memory(error);
    ak_metric_values(metric, tuned, queries, t);
    if (base)
        ak_metric_values(metric, base, queries, b);
    akin_evaluation_row *row =
        add_figure(e, metric->name, ak_mean(t, queries), base ? ak_mean(b, queries) : NAN);
    if (!base || e->options.repeats > 1)
        return AKIN_OK;
    ak_interval interval;
    AK_TRY(ak_bootstrap(&interval, t, b, queries, e->options.resamples, e->options.seed, error));
    set_interval(row, &interval);
    return AKIN_OK;
}

static akin_status check_relevant(const akin_ranking *rankings, int64_t queries, const char *name,
                                  akin_error *error)
{
    for (int64_t q = 0; q < queries; q++)
        if (rankings[q].relevant)
            return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "%s: none of the %" PRId64 " queries has a relevant candidate (pairs: a b of "
                   "score > 0.5; groups: another object of the group; BEIR: a judgement > 0)",
                   name, queries);
}

static akin_status write_files(const ak_evaluator *e, const ak_ids *ids, akin_error *error)
{
    const akin_evaluator_options *o = &e->options;
    if (o->run)
        AK_TRY(
            ak_trec_write_run(o->run, &e->trial, &e->tuned, o->run_depth, ids, e->scratch, error));
    return o->qrels ? ak_trec_write_qrels(o->qrels, &e->trial, ids, error) : AKIN_OK;
}

akin_status ak_evaluator_rank(ak_evaluator *e, const char *name, const ak_ids *ids,
                              akin_error *error)
{
    int64_t queries = e->queries = e->trial.relevance.queries;
    e->candidates = e->trial.candidates;
    AK_TRY(ak_trial_rank(&e->trial, &e->tuned, e->scratch, &e->tuned_rankings, error));
    AK_TRY(check_relevant(e->tuned_rankings, queries, name, error));
    if (e->candidates == 1 && !e->pass)
        ak_warn(e->model->context, "%s: there is one candidate, which every model ranks first",
                name);
    e->base_rankings = NULL;
    if (e->base.queries.data)
        AK_TRY(ak_trial_rank(&e->trial, &e->base, e->scratch, &e->base_rankings, error));
    const akin_ranking *tuned = e->tuned_rankings, *base = e->base_rankings;
    for (int i = 0; i < e->metric_count; i++)
        AK_TRY(rank_row(e, &e->metrics[i], tuned, base, queries, error));
    if (e->options.micro) {
        add_figure(e, "micro_r_precision", ak_micro_r_precision(tuned, queries),
                   base ? ak_micro_r_precision(base, queries) : NAN);
        add_figure(e, "micro_reciprocal_rank", ak_micro_reciprocal_rank(tuned, queries),
                   base ? ak_micro_reciprocal_rank(base, queries) : NAN);
    }
    return write_files(e, ids, error);
}

/* ---- scored metrics ---- */

static akin_status score_row(ak_evaluator *e, const ak_metric *metric, const float *tuned,
                             const float *base, const ak_scored_pairs *pairs, akin_error *error)
{
    double value, base_value = NAN;
    const float *score = pairs->score;
    int64_t n = pairs->count;
    AK_TRY(ak_metric_score(metric, tuned, score, n, e->scratch, &value, error));
    if (base)
        AK_TRY(ak_metric_score(metric, base, score, n, e->scratch, &base_value, error));
    akin_evaluation_row *row = add_figure(e, metric->name, value, base_value);
    if (!base || e->options.repeats > 1)
        return AKIN_OK;
    ak_interval interval;
    AK_TRY(ak_bootstrap_scored(&interval, metric, tuned, base, score, n, e->options.resamples,
                               e->options.seed, error));
    set_interval(row, &interval);
    return AKIN_OK;
}

akin_status ak_evaluator_score(ak_evaluator *e, const ak_scored_pairs *pairs, akin_error *error)
{
    float *tuned, *base = NULL;
    e->queries = e->candidates = pairs->count;
    AK_TRY(ak_pairs_similarities(&tuned, pairs, &e->tuned, e->scratch, error));
    if (e->base.queries.data)
        AK_TRY(ak_pairs_similarities(&base, pairs, &e->base, e->scratch, error));
    for (int i = 0; i < e->metric_count; i++)
        AK_TRY(score_row(e, &e->metrics[i], tuned, base, pairs, error));
    return AKIN_OK;
}
