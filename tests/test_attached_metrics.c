/* Metrics that are computed while training: those of an epoch are what akin_evaluate says of the
   same model and data. */
#include "data_files.h"
#include "numbers_encoder.h"

#include <math.h>

enum { SIGNAL = 3, DIM = 6, TRAIN = 60, VALIDATION = 30 };

static akin_context *context;

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return remove_test_folder(state);
}

/* Pairs of six numbers each; the first three tell the score. */
static const char *write_pairs(const char *name, int count, uint64_t seed, const char *fixed_score)
{
    ak_text text = {0};
    for (int i = 0; i < count; i++) {
        double score = ak_random_uniform(seed, 3, (uint64_t)i);
        for (int side = 0; side < 2; side++) {
            ak_text_printf(&text, side ? "\", \"b\": \"" : "{\"a\": \"");
            for (int c = 0; c < DIM; c++) {
                double shared = ak_random_normal(seed, 1, (uint64_t)(i * DIM + c));
                double own = ak_random_normal(seed, 2, (uint64_t)((2 * i + side) * DIM + c));
                double x = c < SIGNAL ? score * shared + (1 - score) * own : 1.5 * own;
                ak_text_printf(&text, "%.4f ", x);
            }
        }
        ak_text_printf(&text, "\", \"score\": ");
        if (fixed_score)
            ak_text_printf(&text, "%s}\n", fixed_score);
        else
            ak_text_printf(&text, "%.2f}\n", score);
    }
    const char *path = write_text(name, text.data);
    ak_free(text.data);
    return path;
}

static akin_status train(akin_model **model, const char *const *sets, int count, akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *training, *validation;
    const char *all[16] = {"encoders={n: {type: numbers, dim: 6}}", "loss={type: cosent}",
                           "train.epochs=4", "train.batch_size=16", "optimizer.lr=0.01"};
    char data[2][256];
    snprintf(data[0], sizeof data[0], "data.train=%s", test_path("train.jsonl"));
    snprintf(data[1], sizeof data[1], "data.validation=%s", test_path("validation.jsonl"));
    all[5] = data[0];
    all[6] = data[1];
    for (int i = 0; i < count; i++)
        all[7 + i] = sets[i];
    *model = NULL;
    AK_TRY(akin_recipe_open(&recipe, context, NULL, all, 7 + count, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    trainer.summary = trainer.progress = false;
    akin_status status = akin_recipe_loaders(recipe, &training, &validation, error);
    if (!status)
        status = akin_fit(model, context, &trainable, &trainer, training, validation, NULL, error);
    akin_recipe_free(recipe);
    return status;
}

static double recorded(const akin_model *model, const char *side, const char *name)
{
    akin_arena *arena;
    ak_value *metrics;
    assert_ok(ak_arena_create(&arena, told));
    assert_ok(ak_json_parse(&metrics, arena, model->metrics_json, strlen(model->metrics_json),
                            "metrics", told));
    double value = ak_value_get_number(ak_value_get(metrics, side), name, NAN);
    ak_arena_free(arena);
    return value;
}

/* What the run recorded of the named metric is what an evaluation says. */
static void assert_recorded(const akin_model *model, akin_evaluation_kind kind,
                            const akin_evaluator_options *options)
{
    akin_evaluation *evaluation;
    akin_dataset *validation;
    assert_ok(akin_dataset_open(&validation, context, test_path("validation.jsonl"), AKIN_PAIRS,
                                NULL, told));
    assert_ok(akin_evaluate(&evaluation, model, NULL, kind, validation, options, told));
    for (int64_t i = 0; i < evaluation->count; i++) {
        const akin_evaluation_row *row = &evaluation->rows[i];
        assert_float_equal(recorded(model, "tuned", row->name), row->value, 1e-9);
        assert_float_equal(recorded(model, "base", row->name), row->base, 1e-9);
    }
    akin_evaluation_free(evaluation);
    akin_dataset_free(validation);
}

static void test_scored_metrics(void **state)
{
    (void)state;
    static const char *const sets[] = {"metrics=[spearman, accuracy, reciprocal_rank]",
                                       "train.early_stopping={metric: spearman, patience: 0}",
                                       "train.metrics_per_step=true"};
    static const char *const names[] = {"spearman", "accuracy"};
    akin_model *model;
    akin_evaluator_options options = akin_evaluator_defaults();
    write_pairs("train.jsonl", TRAIN, 1, NULL);
    write_pairs("validation.jsonl", VALIDATION, 2, NULL);
    assert_ok(train(&model, sets, 3, told));
    options.metrics = (akin_metric_list){names, 2};
    assert_recorded(model, AKIN_EVALUATE_SCORED, &options);
    assert_true(recorded(model, "tuned", "spearman") > recorded(model, "base", "spearman"));
    assert_non_null(strstr(model->training_json, "\"step_spearman\": "));
    akin_model_free(model);
}

static void test_samplers(void **state)
{
    (void)state;
    static const char *const sets[] = {"metrics=[reciprocal_rank]", "train.metrics_sample_size=7",
                                       "train.metrics_distinguish=false", "train.seed=9"};
    static const char *const names[] = {"reciprocal_rank"};
    akin_model *model;
    akin_evaluator_options options = akin_evaluator_defaults();
    write_pairs("train.jsonl", TRAIN, 1, "1");
    write_pairs("validation.jsonl", VALIDATION, 2, "1");
    assert_ok(train(&model, sets, 4, told));
    options.metrics = (akin_metric_list){names, 1};
    options.sample_size = 7;
    options.distinguish = false;
    options.seed = 9;
    assert_recorded(model, AKIN_EVALUATE_PAIRS, &options);
    akin_model_free(model);
}

static void test_undefined(void **state)
{
    (void)state;
    static const struct {
        const char *score, *sets[2];
        akin_status status;
        const char *told;
    } rows[] = {
        {"1",
         {"metrics=[spearman]", "train.early_stopping={metric: spearman}"},
         AKIN_ERR_MISMATCH,
         "scores that are all equal"},
        {"0",
         {"metrics=[reciprocal_rank@5]", "train.early_stopping={metric: reciprocal_rank@5}"},
         AKIN_OK,
         NULL}, /* 0 by definition */
        {"0",
         {"metrics=[map]", "train.early_stopping={metric: map}"},
         AKIN_ERR_MISMATCH,
         "no query has a relevant candidate"},
        {"0", {"metrics=[map]", "train.early_stopping={metric: validation_loss}"}, AKIN_OK, NULL},
        {"1",
         {"metrics=[spearman]", "data.samples=groups"},
         AKIN_ERR_MISMATCH,
         "learns from pairs"},
    };
    write_pairs("train.jsonl", TRAIN, 1, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_model *model;
        akin_error error = {0};
        write_pairs("validation.jsonl", VALIDATION, 2, rows[i].score);
        akin_status status = train(&model, rows[i].sets, 2, &error);
        if (status != rows[i].status || (rows[i].told && !strstr(error.message, rows[i].told)))
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
        akin_model_free(model);
    }
}

/* ---- the recipe of a model: its data again ---- */

static akin_status open_again(void *user, akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *training, *validation;
    AK_TRY(akin_recipe_of_model(&recipe, context, user, error));
    akin_status status = akin_recipe_loaders(recipe, &training, &validation, error);
    if (!status) {
        assert_int_equal(akin_dataset_count(akin_loader_dataset(training)), 48);
        assert_int_equal(akin_dataset_count(akin_loader_dataset(validation)), 12);
    }
    akin_recipe_free(recipe);
    return status;
}

static void test_recipe_of_model(void **state)
{
    (void)state;
    static const char *const sets[] = {"data.validation=0.2", "train.early_stopping=false"};
    static const struct {
        const char *record, *told;
        akin_status status;
    } rows[] = {
        {"{}", "keeps no recipe", AKIN_ERR_UNSUPPORTED},
        {"{\"recipe\": {\"data\": {}}}", "\"data.train\" is missing", AKIN_ERR_ARGUMENT},
        {"{\"recipe\": 5}", "\"data.train\" is missing", AKIN_ERR_ARGUMENT},
    };
    akin_model *model;
    akin_error error = {0};
    write_pairs("train.jsonl", TRAIN, 1, NULL);
    assert_ok(train(&model, sets, 2, told));
    assert_ok(open_again(model, told));
    for (int64_t n = 1;; n++) {
        ak_memory_fail_at(n);
        akin_status status = open_again(model, &error);
        ak_memory_fail_at(0);
        if (!status)
            break;
        assert_int_equal(status, AKIN_ERR_MEMORY);
        assert_true(n < 5000);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(ak_model_set_record(model, NULL, rows[i].record, NULL, told));
        if (open_again(model, &error) != rows[i].status || !strstr(error.message, rows[i].told))
            fail_msg("row %d: %s", (int)i, error.message);
    }
    akin_model_free(model);
}

/* The message of a recipe names the line. */
static void test_groups_have_no_scores(void **state)
{
    (void)state;
    akin_recipe *recipe;
    akin_error error;
    const char *path =
        write_text("recipe.yaml", "data: {train: x.jsonl, samples: groups}\n"
                                  "encoders: {n: {type: numbers}}\nmetrics:\n- spearman\n");
    assert_int_equal(akin_recipe_open(&recipe, context, path, NULL, 0, &error), AKIN_ERR_ARGUMENT);
    assert_int_equal(error.line, 4);
    assert_non_null(strstr(error.message, "\"spearman\" is of scored pairs"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_scored_metrics),
        TEST(test_samplers),
        TEST(test_undefined),
        TEST(test_recipe_of_model),
        TEST(test_groups_have_no_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
