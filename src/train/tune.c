/* akin_tune: the search of settings. The data is split twice:

     recipe's training data  ->  inner training | inner validation   trains and chooses among trials
     recipe's validation data                                        tells what the choice is worth

   The best of many trials is partly the luckiest, so its value on the inner validation flatters it;
   the recipe's validation data chose nothing, and the bootstrap interval there decides whether the
   base is left. Trials run one after the other on the cached features. */
#include "train/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tuning {
    akin_tune_result public; /* first: what the user sees is the whole */
    akin_arena *arena;       /* of the trials' texts */
} tuning;

typedef struct tuner {
    akin_context *context;
    const char *path;
    const char *const *sets;
    int set_count;
    akin_tune_options options;
    akin_arena *arena;   /* the result's */
    akin_recipe *recipe; /* as given: data, metrics, base */
    const akin_dataset *train;
    akin_dataset *inner_train, *inner_validation;
    akin_model *base;
    ak_tune_points points;
    ak_tune_log *log;
    ak_hash ground; /* what every trial stands on: data, encoders, version */
    akin_metric_list metrics;
    akin_tune_trial *trials;
    int64_t *point_of; /* of each trial, after they are sorted */
} tuner;

akin_tune_options akin_tune_defaults(void)
{
    return (akin_tune_options){.size = sizeof(akin_tune_options), .inner = 0.2, .resamples = 1000};
}

/* ---- one model ---- */

static akin_status open_recipe(const tuner *t, const ak_tune_point *point, akin_recipe **out,
                               akin_error *error)
{
    int count = t->set_count + point->count;
    const char **sets = ak_calloc((size_t)count + 1, sizeof *sets);
    akin_error why = {0};
    *out = NULL;
    if (!sets)
        return ak_fail_memory(error);
    for (int i = 0; i < count; i++)
        sets[i] = i < t->set_count ? t->sets[i] : point->sets[i - t->set_count];
    akin_status status = akin_recipe_open(out, t->context, t->path, sets, count, &why);
    ak_free(sets);
    return status ? ak_fail(error, status, "%.200s: %.280s", point->text, why.message) : AKIN_OK;
}

static void stop_at(void *user, akin_training *training)
{
    if (akin_training_epoch(training) >= *(const int64_t *)user)
        akin_training_stop(training);
}

/* validation NULL: exactly `epochs` epochs, and the last one's model. */
static akin_status fit(const tuner *t, akin_recipe *recipe, const akin_dataset *train,
                       const akin_dataset *validation, int64_t epochs, akin_model **model,
                       akin_fit_summary *summary, akin_error *error)
{
    akin_loader *loaders[2] = {NULL, NULL};
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    akin_callback stop = {.size = sizeof stop, .user = &epochs, .on_epoch_end = stop_at};
    trainer.summary = trainer.progress = false;
    trainer.log_folder = NULL;
    trainer.tensorboard = false;
    akin_status status = validation ? AKIN_OK : akin_trainer_add_callback(&trainer, stop, error);
    if (!status)
        status = ak_recipe_make_loader(recipe, train, true, &loaders[0], error);
    if (!status && validation)
        status = ak_recipe_make_loader(recipe, validation, false, &loaders[1], error);
    if (!status)
        status = akin_fit(model, t->context, &trainable, &trainer, loaders[0], loaders[1], summary,
                          error);
    akin_loader_free(loaders[0]);
    akin_loader_free(loaders[1]);
    return status;
}

static akin_status evaluate(const tuner *t, const akin_model *model, const akin_dataset *dataset,
                            int64_t resamples, akin_evaluation **out, akin_error *error)
{
    akin_evaluator_options options = akin_evaluator_defaults();
    bool pairs = akin_dataset_kind(dataset) == AKIN_PAIRS;
    options.metrics = t->metrics;
    options.resamples = resamples;
    return akin_evaluate(out, model, t->base, pairs ? AKIN_EVALUATE_PAIRS : AKIN_EVALUATE_GROUPS,
                         dataset, &options, error);
}

/* ---- trials ---- */

static akin_status inner_value(const tuner *t, const akin_model *model, double *value,
                               int64_t *queries, akin_error *error)
{
    akin_evaluation *e;
    AK_TRY(evaluate(t, model, t->inner_validation, 1, &e, error));
    *value = e->rows[0].value;
    if (queries)
        *queries = e->queries;
    akin_evaluation_free(e);
    return AKIN_OK;
}

static akin_status run_trial(const tuner *t, akin_recipe *recipe, akin_tune_trial *trial,
                             akin_error *error)
{
    akin_model *model = NULL;
    akin_fit_summary summary = {0};
    akin_error why = {0};
    double start = ak_seconds();
    akin_status status =
        fit(t, recipe, t->inner_train, t->inner_validation, 0, &model, &summary, &why);
    trial->value = NAN;
    trial->best_epoch = summary.best_epoch;
    trial->epochs = summary.epochs;
    if (status == AKIN_OK)
        status = inner_value(t, model, &trial->value, NULL, &why);
    trial->seconds = ak_seconds() - start;
    akin_model_free(model);
    if (status && status != AKIN_ERR_DIVERGED)
        return ak_fail(error, status, "%.200s: %.280s", trial->settings, why.message);
    return AKIN_OK;
}

static void tell_trial(const tuner *t, int64_t number, const akin_tune_trial *trial)
{
    char value[48] = "diverged";
    if (!isnan(trial->value))
        snprintf(value, sizeof value, "%s %.4f", t->metrics.metrics[0], trial->value);
    ak_note(t->context, "trial %lld of %lld: %s, best epoch %lld of %lld%s: %s",
            (long long)number + 1, (long long)t->points.count, value, (long long)trial->best_epoch,
            (long long)trial->epochs, trial->reused ? ", kept" : "", trial->settings);
}

static akin_status find_or_run(tuner *t, int64_t number, akin_error *error)
{
    const ak_tune_point *point = &t->points.items[number];
    akin_tune_trial *trial = &t->trials[number];
    akin_recipe *recipe;
    *trial = (akin_tune_trial){.settings = point->text};
    AK_TRY(ak_check_interrupt(t->context, error));
    AK_TRY(open_recipe(t, point, &recipe, error));
    ak_hash key = ak_hash_combine(t->ground, ak_hash_text(akin_recipe_json(recipe)));
    akin_status status = AKIN_OK;
    if (!ak_tune_log_find(t->log, key, trial)) {
        ak_progress(t->context, (double)number / (double)t->points.count, "trial %lld of %lld: %s",
                    (long long)number + 1, (long long)t->points.count, point->text);
        status = run_trial(t, recipe, trial, error);
        if (!status)
            status = ak_tune_log_add(t->log, key, trial, error);
    }
    if (!status)
        tell_trial(t, number, trial);
    akin_recipe_free(recipe);
    return status;
}

static int by_value(const void *a, const void *b, void *trials)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    double u = ((const akin_tune_trial *)trials)[x].value;
    double v = ((const akin_tune_trial *)trials)[y].value;
    if (isnan(u) != isnan(v))
        return isnan(u) ? 1 : -1;
    return u > v ? -1 : u < v ? 1 : (x > y) - (x < y);
}

static akin_status run_trials(tuner *t, akin_error *error)
{
    int64_t n = t->points.count;
    akin_tune_trial *sorted = ak_arena_new(t->arena, akin_tune_trial, n);
    t->trials = ak_arena_new(t->arena, akin_tune_trial, n);
    t->point_of = ak_arena_new(t->arena, int64_t, n);
    if (!sorted || !t->trials || !t->point_of)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++) {
        t->point_of[i] = i;
        AK_TRY(find_or_run(t, i, error));
    }
    qsort_r(t->point_of, (size_t)n, sizeof *t->point_of, by_value, t->trials);
    for (int64_t i = 0; i < n; i++)
        sorted[i] = t->trials[t->point_of[i]];
    t->trials = sorted;
    return AKIN_OK;
}

/* ---- before and after the trials ---- */

/* Every setting is read before anything is trained. */
static akin_status check_points(const tuner *t, akin_error *error)
{
    for (int64_t i = 0; i < t->points.count; i++) {
        akin_recipe *recipe;
        AK_TRY(open_recipe(t, &t->points.items[i], &recipe, error));
        akin_recipe_free(recipe);
    }
    return AKIN_OK;
}

static akin_status choose_metrics(tuner *t, akin_error *error)
{
    static const char *const usual[] = {"reciprocal_rank"};
    const akin_recipe *recipe = t->recipe;
    if (recipe->metric_count == 0)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: \"metrics\" is empty; the first one tells trials apart", recipe->name);
    t->metrics = recipe->metric_count < 0
                     ? (akin_metric_list){usual, 1}
                     : (akin_metric_list){recipe->metrics, recipe->metric_count};
    return AKIN_OK;
}

static akin_status open_data(tuner *t, akin_error *error)
{
    akin_recipe *recipe = t->recipe;
    ak_hash data = {0}, encoders;
    if (recipe->data.streaming)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: \"data.streaming\" is true, but a search divides the training data",
                       recipe->name);
    AK_TRY(ak_recipe_open_data(recipe, error));
    if (!recipe->validation_set)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: \"data.validation\" is false, but without validation data nothing "
                       "tells what the best settings are worth",
                       recipe->name);
    t->train = ak_recipe_train_set(recipe);
    AK_TRY(akin_dataset_split(&t->inner_train, &t->inner_validation, t->train, t->options.inner,
                              (akin_split_by)recipe->data.by, recipe->trainer.seed + 1, error));
    AK_TRY(ak_recipe_base(&t->base, recipe, error));
    AK_TRY(ak_model_encoders_hash(t->base, &encoders, error));
    (void)ak_dataset_fingerprint(t->inner_train, &data);
    char inner[32];
    ak_double_to_text(t->options.inner, inner);
    t->ground = ak_hash_combine(ak_hash_combine(data, encoders),
                                ak_hash_combine(ak_hash_text(AKIN_VERSION), ak_hash_text(inner)));
    return AKIN_OK;
}

static akin_status check_options(const akin_tune_options *o, akin_error *error)
{
    if (o->trials < 0)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "trials is %lld, must be at least 0 (all)",
                       (long long)o->trials);
    if (!(o->inner > 0 && o->inner < 1))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "inner must be a share between 0 and 1");
    if (o->resamples < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "resamples is %lld, must be at least 1",
                       (long long)o->resamples);
    return AKIN_OK;
}

static akin_status open_tuner(tuner *t, akin_error *error)
{
    AK_TRY(check_options(&t->options, error));
    AK_TRY(akin_recipe_open(&t->recipe, t->context, t->path, t->sets, t->set_count, error));
    AK_TRY(choose_metrics(t, error));
    AK_TRY(ak_tune_grid(&t->points, t->recipe, t->options.trials, t->recipe->trainer.seed, t->arena,
                        error));
    AK_TRY(check_points(t, error));
    AK_TRY(open_data(t, error));
    return ak_tune_log_open(&t->log, t->options.folder, error);
}

static void close_tuner(tuner *t)
{
    akin_model_free(t->base);
    akin_dataset_free(t->inner_train);
    akin_dataset_free(t->inner_validation);
    akin_recipe_free(t->recipe);
    ak_tune_log_close(t->log);
}

/* ---- the result ---- */

/* {"base": {NAME: value}, "tuned": {...}} of the outer validation, for the model directory. */
static akin_status record(akin_model *model, const akin_evaluation *e, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *root = ak_value_new_map(arena);
    ak_value *base = ak_value_add(arena, root, "base", AK_MAP);
    ak_value *tuned = ak_value_add(arena, root, "tuned", AK_MAP);
    bool made = tuned != NULL;
    for (int64_t i = 0; i < e->count && made; i++)
        made = ak_value_add_number(arena, base, e->rows[i].name, e->rows[i].base) &&
               ak_value_add_number(arena, tuned, e->rows[i].name, e->rows[i].value);
    char *text = made ? ak_json_write(root, 0) : NULL;
    akin_status status =
        text ? ak_model_set_record(model, NULL, NULL, text, error) : ak_fail_memory(error);
    ak_free(text);
    ak_arena_free(arena);
    return status;
}

/* Trains the first trial's settings on all training data, and measures. */
static akin_status train_again(tuner *t, akin_tune_result *result, akin_model **model,
                               akin_error *error)
{
    akin_recipe *recipe;
    akin_evaluation *e = NULL;
    akin_fit_summary summary;
    AK_TRY(open_recipe(t, &t->points.items[t->point_of[0]], &recipe, error));
    ak_progress(t->context, 1, "training the best settings on all training data");
    akin_status status =
        fit(t, recipe, t->train, NULL, t->trials[0].best_epoch, model, &summary, error);
    akin_recipe_free(recipe);
    if (!status)
        status = evaluate(t, *model, t->recipe->validation_set, t->options.resamples, &e, error);
    if (!status)
        status = record(*model, e, error);
    result->outer = e;
    result->better = !status && e->rows[0].low > 0;
    return status;
}

static akin_status take_base(tuner *t, akin_model **model, akin_error *error)
{
    akin_model_free(*model);
    *model = t->base;
    t->base = NULL;
    return ak_model_name_base(*model, error);
}

static akin_status tune(tuner *t, akin_tune_result *result, akin_model **model, akin_error *error)
{
    AK_TRY(open_tuner(t, error));
    AK_TRY(inner_value(t, t->base, &result->base, &result->queries, error));
    AK_TRY(run_trials(t, error));
    result->metric = ak_arena_copy(t->arena, t->metrics.metrics[0], strlen(t->metrics.metrics[0]));
    if (!result->metric)
        return ak_fail_memory(error);
    result->trials = t->trials;
    result->count = t->points.count;
    if (t->trials[0].value > result->base && t->trials[0].best_epoch > 0)
        AK_TRY(train_again(t, result, model, error));
    return result->better ? AKIN_OK : take_base(t, model, error);
}

akin_status akin_tune(akin_tune_result **out, akin_model **model, akin_context *context,
                      const char *path, const char *const *sets, int set_count,
                      const akin_tune_options *options, akin_error *error)
{
    *out = NULL;
    *model = NULL;
    tuning *result = ak_calloc(1, sizeof *result);
    if (!result)
        return ak_fail_memory(error);
    tuner t = {.context = context,
               .path = path,
               .sets = sets,
               .set_count = set_count,
               .options = options ? *options : akin_tune_defaults()};
    akin_status status = ak_arena_create(&result->arena, error);
    t.arena = result->arena;
    if (!status)
        status = tune(&t, &result->public, model, error);
    close_tuner(&t);
    if (status) {
        akin_model_free(*model);
        *model = NULL;
        akin_tune_result_free(&result->public);
        return status;
    }
    *out = &result->public;
    return AKIN_OK;
}

void akin_tune_result_free(akin_tune_result *public)
{
    if (!public)
        return;
    tuning *result = (tuning *)public;
    akin_evaluation_free((akin_evaluation *)public->outer);
    ak_arena_free(result->arena);
    ak_free(result);
}
