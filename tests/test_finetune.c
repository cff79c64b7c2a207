/* Fine-tuning a whole encoder from a recipe: what is saved serves the vectors that were trained,
   the base is exactly the base where it wins, a run that was stopped goes on in the same bits, and
   mistakes are told. */
#include "support.h"

#include "recipe_run.h"

#include "model/model.h"
#include "tiny_model.h"
#include "train/recipe.h"

#include <math.h>

enum { PAIRS = 40, QUERIES = 12 };

/* Pairs that share a word, which a random model cannot tell. */
static void write_pairs(const char *path)
{
    static const char *const things[] = {"cat",  "dog",  "bird", "fish",  "horse",
                                         "pear", "plum", "road", "river", "house"};
    static const char *const kinds[] = {"red", "blue", "green", "white"};
    char text[PAIRS * 80] = "";
    size_t used = 0;
    for (int i = 0; i < PAIRS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "{\"a\": \"the %s %s\", \"b\": \"%s of a %s\"}\n", kinds[i % 4],
                                 things[i / 4], things[i / 4], kinds[i % 4]);
    write_text(path, text);
}

/* extra: lines of YAML under "encoders.text"; train: under "train". */
static const char *write_recipe(const char *extra, const char *lr, const char *train)
{
    char text[2048];
    snprintf(text, sizeof text,
             "data: {train: pairs.jsonl, validation: 0.2, samples: pairs}\n"
             "encoders:\n"
             "  text: {type: transformer, path: tiny, trainable: true%s}\n"
             "head: {type: empty}\n"
             "optimizer: {type: adamw, lr: %s}\n"
             "train: {batch_size: 8%s}\n",
             extra, lr, train);
    const char *path = scratch_path("recipe.yaml");
    write_text(path, text);
    return path;
}

static void encode(const akin_model *model, float *out)
{
    static const char *const texts[QUERIES] = {"",
                                               "a",
                                               "the red cat",
                                               "cat of a red",
                                               "one two three four five six",
                                               "run and walk",
                                               "swim",
                                               "old hill",
                                               "new sea",
                                               "apple cherry tree",
                                               "eat the small fish",
                                               "fly to the sea"};
    akin_object objects[QUERIES];
    for (int i = 0; i < QUERIES; i++)
        objects[i] = akin_text(texts[i]);
    assert_ok(akin_model_encode(model, objects, QUERIES, out, told));
}

static void assert_same_files(const char *a, const char *b)
{
    ak_map x, y;
    assert_ok(ak_map_open(&x, a, told));
    assert_ok(ak_map_open(&y, b, told));
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    ak_map_close(&x);
    ak_map_close(&y);
}

static bool same_spaces(const akin_model *a, const akin_model *b)
{
    akin_hash x, y;
    assert_ok(akin_model_fingerprint(a, &x, told));
    assert_ok(akin_model_fingerprint(b, &y, told));
    return ak_hash_equal(x, y);
}

/* A model that was trained, saved and loaded again. */
static void check_saved(const akin_model *model, const char *folder)
{
    akin_model *loaded;
    float a[QUERIES * TINY_HIDDEN], b[QUERIES * TINY_HIDDEN];
    size_t count = (size_t)(QUERIES * akin_model_dim(model));
    assert_ok(akin_model_save(model, folder, true, told));
    assert_ok(akin_model_load(&loaded, context, folder, AKIN_AS_SAVED, told));
    assert_true(same_spaces(model, loaded));
    encode(model, a);
    encode(loaded, b);
    for (size_t i = 0; i < count; i++)
        assert_true(fabsf(a[i] - b[i]) < 1e-5f);
    assert_false(ak_encoder_trainable(loaded->encoders[0].encoder)); /* it serves */
    akin_model_free(loaded);
}

static void test_a_tuned_model(void **state)
{
    (void)state;
    akin_model *model, *base;
    akin_fit_summary summary;
    assert_ok(train(&model, write_recipe("", "1e-3", ", epochs: 4"), (plan){0}, &summary, told));
    assert_true(summary.best_epoch > 0 && summary.best_value < summary.base_value);
    check_saved(model, scratch_path("tuned"));
    assert_ok(akin_model_load(&base, context, scratch_path("tiny"), AKIN_F32, told));
    assert_false(same_spaces(model, base));
    akin_hash space;
    assert_ok(akin_model_fingerprint(base, &space, told));
    assert_true(ak_hash_equal(space, model->base)); /* what akin.json calls the base */
    akin_model_free(base);
    akin_model_free(model);
}

/* Every kind of training and a folder with all modules. */
static void test_options_and_modules(void **state)
{
    (void)state;
    static const char *const extras[] = {
        ", train_embeddings: true, dropout: 0",
        ", trainable_layers: 1",
        ", freeze: '*.bias,*LayerNorm*', recompute: true, layer_decay: 0.9, lr_factor: 2",
        ", lora_rank: 4, lora_targets: '*.weight', lr_factor: 20",
        ", precision: bf16",
    };
    const tiny_options all = {.seed = 3, .dense = true, .normalize = true};
    tiny_model(scratch_path("tiny"), &all);
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        akin_model *model;
        akin_fit_summary summary;
        assert_ok(train(&model, write_recipe(extras[i], "1e-3", ", epochs: 2"), (plan){0}, &summary,
                        told));
        assert_true(summary.best_epoch > 0);
        if (i < 4) /* bf16 rounds in another order when it serves */
            check_saved(model, scratch_path("tuned"));
        akin_model_free(model);
    }
    const tiny_options plain = {.seed = 1, .normalize = true};
    tiny_model(scratch_path("tiny"), &plain);
}

/* Maximum length and prompt are the recipe's: the folder alone gives the same vectors. */
static void test_the_folder_alone(void **state)
{
    (void)state;
    akin_model *model, *plain;
    akin_fit_summary summary;
    float a[QUERIES * TINY_HIDDEN], b[QUERIES * TINY_HIDDEN];
    assert_ok(train(&model,
                    write_recipe(", max_length: 6, prompt: 'query : '", "1e-3", ", epochs: 2"),
                    (plan){0}, &summary, told));
    assert_ok(akin_model_save(model, scratch_path("tuned"), true, told));
    assert_ok(
        akin_model_load(&plain, context, scratch_path("tuned/encoders/text"), AKIN_F32, told));
    encode(model, a);
    encode(plain, b);
    for (size_t i = 0; i < sizeof a / sizeof *a; i++)
        if (fabsf(a[i] - b[i]) > 1e-5f)
            fail_msg("number %zu: %g, alone %g", i, (double)a[i], (double)b[i]);
    assert_true(same_spaces(model, plain));
    akin_model_free(plain);
    akin_model_free(model);
}

/* An encoder, a step and what is saved. */
static akin_status a_step(void *user, akin_error *error)
{
    akin_encoder *encoder = NULL;
    akin_arena *arena = NULL;
    akin_object texts[2] = {akin_text("the red cat"), akin_text("a dog")};
    float y[2 * TINY_HIDDEN];
    void *batch, *record;
    akin_status status = ak_arena_create(&arena, error);
    if (!status)
        status = akin_encoder_create(&encoder, context, "transformer", user, error);
    if (!status)
        status = ak_parameters_train(ak_encoder_parameters(encoder), error);
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true};
    akin_matrix out = ak_matrix(y, 2, TINY_DENSE);
    if (!status)
        status = encoder->type->collate(encoder->self, texts, 2, arena, &batch, error);
    if (!status)
        status = encoder->type->forward(encoder->self, &pass, batch, out, &record, error);
    if (!status)
        status = encoder->type->backward(encoder->self, &pass, batch, record, out, error);
    if (!status) {
        akin_parameters_get(ak_encoder_parameters(encoder), 0)->value[0] += 1;
        status = encoder->type->save(encoder->self, scratch_path("saved"), error);
    }
    ak_arena_free(arena);
    akin_encoder_free(encoder);
    return status;
}

static void test_without_memory(void **state)
{
    (void)state;
    char options[400];
    const tiny_options all = {.seed = 3, .dense = true, .normalize = true};
    tiny_model(scratch_path("dense"), &all);
    snprintf(options, sizeof options, "{path: '%s', trainable: true, max_length: 7, prompt: 'a '}",
             scratch_path("dense"));
    ak_json_route_allocations(true);
    assert_true(fail_each_allocation(a_step, options) > 100);
    ak_json_route_allocations(false);
}

/* From the recipe to the saved model. */
static akin_status a_run(akin_error *error)
{
    akin_model *model;
    akin_fit_summary summary;
    AK_TRY(train(&model, scratch_path("recipe.yaml"), (plan){0}, &summary, error));
    akin_status status = akin_model_save(model, scratch_path("run"), true, error);
    akin_model_free(model);
    return status;
}

/* One allocation of a run fails: every `stride`-th of them, from the first on. */
static void fail_some_allocations(int64_t first, int64_t stride)
{
    for (int64_t n = first;; n += stride) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = a_run(&error);
        ak_memory_fail_at(0);
        if (!status) {
            assert_true(n > 300);
            return;
        }
        if (status != AKIN_ERR_MEMORY || error.status != status)
            fail_msg("allocation %lld failing gave \"%s\" (%s)", (long long)n,
                     akin_status_name(status), error.message);
    }
}

static void test_runs_without_memory(void **state)
{
    (void)state;
    static const char *const ways[] = {", max_length: 9", ", trainable_layers: 1, recompute: true",
                                       ", lora_rank: 2"};
    for (int i = 0; i < 3; i++) {
        write_recipe(ways[i], "1e-3", ", epochs: 1, workers: 0");
        fail_some_allocations(1 + 10 * i, 31);
    }
}

static void test_the_base_wins(void **state)
{
    (void)state;
    akin_model *model, *base;
    akin_fit_summary summary;
    assert_ok(train(&model,
                    write_recipe("", "0.3", ", epochs: 1, early_stopping: {min_delta: 100}"),
                    (plan){0}, &summary, told)); /* nothing is that much better */
    assert_int_equal(summary.best_epoch, 0);
    check_saved(model, scratch_path("kept"));
    assert_ok(akin_model_load(&base, context, scratch_path("tiny"), AKIN_F32, told));
    assert_true(same_spaces(model, base));
    assert_same_files(scratch_path("kept/encoders/text/model.safetensors"),
                      scratch_path("tiny/model.safetensors"));
    akin_model_free(base);
    akin_model_free(model);
}

static double base_figure(const akin_model *model, const akin_model *base)
{
    const char *metric = "reciprocal_rank@40";
    akin_dataset *dataset;
    akin_evaluation *evaluation;
    akin_evaluator_options options = akin_evaluator_defaults();
    options.metrics = (akin_metric_list){&metric, 1};
    assert_ok(
        akin_dataset_open(&dataset, context, scratch_path("pairs.jsonl"), AKIN_PAIRS, NULL, told));
    assert_ok(
        akin_evaluate(&evaluation, model, base, AKIN_EVALUATE_PAIRS, dataset, &options, told));
    double figure = evaluation->rows[0].base;
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
    return figure;
}

/* Trains on from the adapter of "first", into "second". */
static akin_model *train_on(const char *extra)
{
    akin_model *model;
    assert_ok(train(&model, write_recipe(extra, "1e-3", ", epochs: 1"), (plan){0}, NULL, told));
    assert_ok(akin_model_save(model, scratch_path("second"), true, told));
    akin_model_free(model);
    assert_ok(akin_model_load(&model, context, scratch_path("second"), AKIN_AS_SAVED, told));
    return model;
}

/* An adapter that training starts from is part of the base, whether or not it is trained on. */
static void test_a_base_with_an_adapter(void **state)
{
    (void)state;
    static const char *const ways[] = {
        ", lora: first/encoders/text/lora",
        ", lora: first/encoders/text/lora, lora_rank: 4, lora_alpha: 16",
        ", lora: first/encoders/text/lora, trainable_layers: 1, freeze: '*.bias', recompute: true"};
    akin_model *model, *plain;
    akin_named_encoder named = {"text", NULL};
    char options[600];
    assert_ok(train(&model, write_recipe(", lora_rank: 4", "1e-2", ", epochs: 4"), (plan){0}, NULL,
                    told));
    assert_ok(akin_model_save(model, scratch_path("first"), true, told));
    akin_model_free(model);
    snprintf(options, sizeof options, "{path: '%s', lora: '%s'}", scratch_path("tiny"),
             scratch_path("first/encoders/text/lora"));
    assert_ok(akin_encoder_create(&named.encoder, context, "transformer", options, told));
    akin_model *base;
    assert_ok(akin_model_create(&base, context, &named, 1, NULL, told));
    assert_ok(akin_model_load(&plain, context, scratch_path("tiny"), AKIN_F32, told));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        akin_hash space;
        model = train_on(ways[i]);
        double expected = base_figure(model, base);
        assert_true(fabs(expected - base_figure(model, plain)) > 1e-4);
        assert_float_equal(base_figure(model, NULL), expected, 1e-12);
        assert_ok(akin_model_fingerprint(base, &space, told));
        assert_true(ak_hash_equal(space, model->base)); /* what akin.json calls the base */
        akin_model_free(model);
    }
    akin_model_free(plain);
    akin_model_free(base);
}

/* Whatever is trained and read, an untouched base is known again. */
static void test_a_base_that_did_not_change(void **state)
{
    (void)state;
    static const char *const ways[] = {", max_length: 5, prompt: 'find '", ", precision: bf16",
                                       ", query_prompt: 'q ', document_prompt: 'd '",
                                       ", lora_rank: 2", ", trainable_layers: 1"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        akin_model *model;
        assert_ok(
            train(&model, write_recipe(ways[i], "1e-3", ", epochs: 1"), (plan){0}, NULL, told));
        assert_true(isfinite(base_figure(model, NULL)));
        assert_ok(akin_model_save(model, scratch_path("tuned"), true, told));
        akin_model_free(model);
        assert_ok(akin_model_load(&model, context, scratch_path("tuned"), AKIN_AS_SAVED, told));
        assert_true(isfinite(base_figure(model, NULL)));
        akin_model_free(model);
    }
}

static void keep_message(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)fraction;
    if (kind == AKIN_MESSAGE_NOTE)
        snprintf(user, 600, "%s", text);
}

/* Other weights where the base was: no comparison, and it is told. */
static void test_a_base_that_changed(void **state)
{
    (void)state;
    static const akin_precision precisions[] = {AKIN_AS_SAVED, AKIN_BF16};
    akin_model *model;
    char message[600] = "";
    const tiny_options before = {.seed = 1, .normalize = true}, after = {.seed = 2};
    assert_ok(train(&model, write_recipe("", "1e-3", ", epochs: 1"), (plan){0}, NULL, told));
    assert_true(isfinite(base_figure(model, NULL)));
    assert_ok(akin_model_save(model, scratch_path("tuned"), true, told));
    akin_model_free(model);
    akin_context_on_message(context, keep_message, message);
    for (int i = 0; i < 2; i++) {
        assert_ok(akin_model_load(&model, context, scratch_path("tuned"), precisions[i], told));
        assert_true(isfinite(base_figure(model, NULL)));
        tiny_model(scratch_path("tiny"), &after);
        assert_true(isnan(base_figure(model, NULL)));
        assert_non_null(strstr(message, "no base: it has changed since the training: it was "));
        tiny_model(scratch_path("tiny"), &before);
        akin_model_free(model);
    }
    akin_context_on_message(context, NULL, NULL);
}

static void test_divergence(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error = {0};
    akin_fit_summary summary;
    assert_int_equal(train(&model,
                           write_recipe("", "1e6", ", epochs: 4, early_stopping: {patience: 0}"),
                           (plan){0}, &summary, &error),
                     AKIN_ERR_DIVERGED);
    assert_says(&error, "step ");
    assert_non_null(model); /* the best so far: the base */
    assert_int_equal(summary.best_epoch, 0);
    akin_model_free(model);
    /* a step an epoch, and what comes after it is nan: */
    static const char blind[] =
        "data: {train: pairs.jsonl, validation: %s, samples: pairs}\n"
        "encoders: {text: {type: transformer, path: tiny, trainable: true}}\n"
        "head: {type: empty}\n"
        "optimizer: {type: sgd, lr: 1e6}\n"
        "train: {batch_size: 40, epochs: 9%s}\n";
    char text[1024];
    /* ranks would be as good as any */
    snprintf(text, sizeof text, blind, "0.2", ", early_stopping: {metric: reciprocal_rank}");
    write_text(scratch_path("blind.yaml"), text);
    assert_int_equal(train(&model, scratch_path("blind.yaml"), (plan){0}, &summary, &error),
                     AKIN_ERR_DIVERGED);
    assert_says(&error, "vectors are not finite after step ");
    assert_non_null(model);
    akin_model_free(model);
    /* without validation the last epoch is kept, and it is what fails next */
    snprintf(text, sizeof text, blind, "false", "");
    write_text(scratch_path("blind.yaml"), text);
    assert_int_equal(train(&model, scratch_path("blind.yaml"), (plan){0}, &summary, &error),
                     AKIN_ERR_DIVERGED);
    assert_true(summary.best_epoch > 0);
    assert_null(model);
}

static void test_resumed_bits(void **state)
{
    (void)state;
    akin_model *whole, *half, *resumed;
    akin_fit_summary summary;
    float a[QUERIES * TINY_HIDDEN], b[QUERIES * TINY_HIDDEN];
    const char *recipe = write_recipe("", "1e-3", ", epochs: 3");
    const char *folder = scratch_path("run");
    assert_ok(train(&whole, recipe, (plan){0}, &summary, told));
    assert_int_equal(train(&half, recipe, (plan){.checkpoint = folder, .steps = 6}, &summary, NULL),
                     AKIN_ERR_INTERRUPTED);
    assert_ok(
        train(&resumed, recipe, (plan){.checkpoint = folder, .resume = true}, &summary, told));
    encode(whole, a);
    encode(resumed, b);
    assert_memory_equal(a, b, sizeof a);
    akin_model_free(whole);
    akin_model_free(half);
    akin_model_free(resumed);
}

/* The frozen layers of every text are kept, once, and change nothing. */
static void test_kept_layers(void **state)
{
    (void)state;
    static const char *const extras[] = {", trainable_layers: 1, cache: false",
                                         ", trainable_layers: 1", ", trainable_layers: 1"};
    float first[QUERIES * TINY_HIDDEN], other[QUERIES * TINY_HIDDEN];
    const char *folder = scratch_path("cache");
    char *kept = ak_path_join(folder, "features");
    assert_ok(akin_context_set_cache(context, folder, told));
    for (int i = 0; i < 3; i++) {
        akin_model *model;
        akin_fit_summary summary;
        assert_ok(train(&model, write_recipe(extras[i], "1e-3", ", epochs: 2"), (plan){0}, &summary,
                        told));
        encode(model, i ? other : first);
        if (i)
            assert_memory_equal(first, other, sizeof first);
        assert_int_equal(ak_path_what(kept), i ? AK_PATH_FOLDER : AK_PATH_NONE);
        akin_model_free(model);
    }
    ak_free(kept);
    assert_ok(akin_context_set_cache(context, NULL, told));
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *extra;
        const char *part;
    } cases[] = {
        {", trainable_layers: 5", "\"trainable_layers\" is 5, but the checkpoint has 2 layers"},
        {", freeze: '*'", "nothing is left to train"},
        {", trainable_layers: 0", "nothing is left to train"},
        {", trainable_layers: 1, train_embeddings: true",
         "\"train_embeddings\" trains the tables, which \"trainable_layers\" leaves alone"},
        {", lora_rank: 2, train_embeddings: true", "which \"lora_rank\" leaves alone"},
        {", lora_rank: 2, lora_alpha: 0", "lora_alpha"},
        {", lora_rank: 33", "\"lora_rank\" is 33, but \""},
        {", freeze: '*.bias,*.biass, *LayerNorm*'", "\"freeze\": \"*.biass\" fits no tensor of "},
        {", freeze: 'nothing'", "\"freeze\": \"nothing\" fits no tensor of "},
        {", dropout: 1", "dropout"},
        {", layer_decay: 2", "layer_decay"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        akin_model *model;
        akin_error error = {0};
        assert_int_equal(
            train(&model, write_recipe(cases[i].extra, "1e-3", ""), (plan){0}, NULL, &error),
            AKIN_ERR_ARGUMENT);
        assert_says(&error, cases[i].part);
        assert_null(model);
    }
}

static void test_frozen_options(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"trainable_layers", "0"},
                                           {"train_embeddings", "true"},
                                           {"lora_rank", "2"},
                                           {"freeze", "'*.bias'"},
                                           {"recompute", "true"}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        char set[160], says[64];
        akin_recipe *recipe;
        akin_model *model;
        akin_error error = {0};
        snprintf(set, sizeof set, "encoders.text={type: transformer, path: tiny%s, %s: %s}",
                 i % 2 ? ", trainable: false" : "", cases[i / 2][0], cases[i / 2][1]);
        snprintf(says, sizeof says, "\"%s\" needs \"trainable: true\"", cases[i / 2][0]);
        const char *sets[] = {set};
        assert_ok(akin_recipe_open(&recipe, context, write_recipe("", "1e-3", ""), sets, 1, told));
        assert_int_equal(ak_recipe_base(&model, recipe, &error), AKIN_ERR_ARGUMENT);
        assert_says(&error, says);
        akin_recipe_free(recipe);
    }
}

static int set_up(void **state)
{
    const tiny_options options = {.seed = 1, .normalize = true};
    if (scratch_make(state))
        return -1;
    tiny_model(scratch_path("tiny"), &options);
    write_pairs(scratch_path("pairs.jsonl"));
    assert_ok(akin_context_create(&context, told));
    akin_context_on_interrupt(context, &interrupt);
    assert_ok(akin_context_set_cache(context, NULL, told));
    return 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return scratch_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tuned_model),
        cmocka_unit_test(test_options_and_modules),
        cmocka_unit_test(test_the_folder_alone),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_runs_without_memory),
        cmocka_unit_test(test_the_base_wins),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_resumed_bits),
        cmocka_unit_test(test_kept_layers),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_a_base_with_an_adapter),
        cmocka_unit_test(test_a_base_that_did_not_change),
        cmocka_unit_test(test_a_base_that_changed),
        cmocka_unit_test(test_frozen_options),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
