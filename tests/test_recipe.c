/* Recipes: what one says is what runs, and every mistake is told with its line and, where a word is
   near, what was meant, before any data is read. */
#include "data_files.h"
#include "numbers_encoder.h"

#include "train/recipe.h"

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

#define GOOD "data: {train: d.jsonl}\nencoders: {n: {type: numbers}}\n"

static const struct {
    const char *text;
    int64_t line;
    akin_status status;
    const char *told;
} mistakes[] = {
    {"", 0, AKIN_ERR_FORMAT, "expected a map"},
    {"- a\n- b\n", 1, AKIN_ERR_FORMAT, "expected a map"},
    {"encoders: {n: {type: numbers}}\n", 0, AKIN_ERR_ARGUMENT, "\"data.train\" is missing"},
    {"data: {samples: pairs}\nencoders: {n: {type: numbers}}\n", 1, AKIN_ERR_ARGUMENT,
     "\"data.train\" is missing"},
    {"data: {train: d.jsonl}\n", 0, AKIN_ERR_ARGUMENT, "\"encoders\" is missing"},
    {"data: {train: d.jsonl}\nencoders: {}\n", 2, AKIN_ERR_ARGUMENT, "\"encoders\" is missing"},
    {"data: {train: d.jsonl}\nencoders: text\n", 2, AKIN_ERR_ARGUMENT, "\"encoders\" is text"},
    {"data: {train: d.jsonl}\nencoders:\n  n: numbers\n", 3, AKIN_ERR_ARGUMENT,
     "the encoder \"n\" is text"},
    {"data: {train: d.jsonl}\nencoders:\n  n:\n    type: numbres\n", 4, AKIN_ERR_ARGUMENT,
     "did you mean \"numbers\""},
    {"data: {train: d.jsonl}\nencoders:\n  n:\n    type: numbers\n    dimm: 3\n", 5,
     AKIN_ERR_ARGUMENT, "did you mean \"dim\""},
    {GOOD "optimiser: {lr: 1}\n", 3, AKIN_ERR_ARGUMENT, "did you mean \"optimizer\""},
    {GOOD "cache: maybe\n", 3, AKIN_ERR_ARGUMENT, "cache"},
    {GOOD "train:\n  epoch: 3\n", 4, AKIN_ERR_ARGUMENT, "did you mean \"epochs\""},
    {GOOD "train:\n  epochs: many\n", 4, AKIN_ERR_ARGUMENT, "epochs"},
    {GOOD "train:\n  epochs: 0\n", 4, AKIN_ERR_ARGUMENT, "epochs"},
    {GOOD "train:\n  epochs: 2.5\n", 4, AKIN_ERR_ARGUMENT, "epochs"},
    {GOOD "train:\n  batch_size: 1\n", 4, AKIN_ERR_ARGUMENT, "batch_size"},
    {GOOD "train:\n  precision: f16\n", 4, AKIN_ERR_ARGUMENT, "f32"},
    {GOOD "train:\n  early_stopping:\n    patients: 3\n", 5, AKIN_ERR_ARGUMENT,
     "did you mean \"patience\""},
    {GOOD "train:\n  early_stopping: 3\n", 4, AKIN_ERR_ARGUMENT, "expected a map"},
    {GOOD "train: 5\n", 3, AKIN_ERR_ARGUMENT, "\"train\" is a whole number"},
    {"data:\n  train: d.jsonl\n  sample: pairs\nencoders: {n: {type: numbers}}\n", 3,
     AKIN_ERR_ARGUMENT, "did you mean \"samples\""},
    {"data:\n  train: d.jsonl\n  samples: triples\nencoders: {n: {type: numbers}}\n", 3,
     AKIN_ERR_ARGUMENT, "pairs"},
    {"data:\n  train: d.jsonl\n  fields: {aa: q}\nencoders: {n: {type: numbers}}\n", 3,
     AKIN_ERR_ARGUMENT, "\"aa\" is not known"},
    {"data:\n  train: d.jsonl\n  fields: a\nencoders: {n: {type: numbers}}\n", 3, AKIN_ERR_ARGUMENT,
     "expected a map"},
    {"data:\n  train: 3\nencoders: {n: {type: numbers}}\n", 2, AKIN_ERR_ARGUMENT,
     "\"data.train\" is a whole number, expected a file or a list"},
    {"data:\n  train: []\nencoders: {n: {type: numbers}}\n", 2, AKIN_ERR_ARGUMENT, "an empty list"},
    {"data:\n  train:\n    - a.jsonl\n    - {weight: 2}\nencoders: {n: {type: numbers}}\n", 4,
     AKIN_ERR_ARGUMENT, "has no \"path\""},
    {"data:\n  train:\n    - a.jsonl\n    - {path: b.jsonl, weigth: 2}\n", 4, AKIN_ERR_ARGUMENT,
     "did you mean \"weight\""},
    {"data:\n  train:\n    - {path: b.jsonl, weight: 0}\n", 3, AKIN_ERR_ARGUMENT, "weight"},
    {"data:\n  train:\n    - [a.jsonl]\n", 3, AKIN_ERR_ARGUMENT, "is a list, expected a file"},
    {GOOD "train:\n  sampler: nodup\n", 4, AKIN_ERR_ARGUMENT, "no sampler \"nodup\""},
    {GOOD "train:\n  sampler: {type: groups}\n", 0, AKIN_ERR_MISMATCH,
     "the sampler groups is for groups"},
    {GOOD "optimizer:\n  type: adem\n", 4, AKIN_ERR_ARGUMENT, "adam"},
    {GOOD "optimizer:\n  lr: -1\n", 4, AKIN_ERR_ARGUMENT, "lr"},
    {GOOD "optimizer:\n  lr: 1\n  schedule: step\n", 3, AKIN_ERR_ARGUMENT, "needs \"period\""},
    {GOOD "optimizer:\n  groups: 3\n", 4, AKIN_ERR_ARGUMENT, "expected a list of maps"},
    {GOOD "optimizer:\n  groups:\n    - {mach: x}\n", 5, AKIN_ERR_ARGUMENT,
     "did you mean \"match\""},
    {GOOD "optimizer:\n  groups:\n    - {lr_factor: 1}\n", 5, AKIN_ERR_ARGUMENT, "needs \"match\""},
    {GOOD "optimizer:\n  groups:\n    - {match: x, lr_factor: -1}\n", 5, AKIN_ERR_ARGUMENT,
     "lr_factor"},
    {GOOD "train:\n  accumulate: 0\n", 4, AKIN_ERR_ARGUMENT, "accumulate"},
    {GOOD "train:\n  average: 1\n", 4, AKIN_ERR_ARGUMENT, "average"},
    {GOOD "train:\n  checkpoint: {second: 1}\n", 4, AKIN_ERR_ARGUMENT, "did you mean \"seconds\""},
    {GOOD "train:\n  epoch: 1\n", 4, AKIN_ERR_ARGUMENT, "did you mean \"epochs\""},
    {GOOD "optimizer:\n  learning_rate: 1\n", 4, AKIN_ERR_ARGUMENT, "learning_rate"},
    {GOOD "head:\n  type: skip_conection\n", 4, AKIN_ERR_ARGUMENT,
     "did you mean \"skip_connection\""},
    {GOOD "head:\n  type: skip_connection\n  dropuot: 0.1\n", 5, AKIN_ERR_ARGUMENT,
     "did you mean \"dropout\""},
    {GOOD "head: skip_conection\n", 3, AKIN_ERR_ARGUMENT, "did you mean \"skip_connection\""},
    {GOOD "loss: sum\n", 3, AKIN_ERR_ARGUMENT, "\"losses\" is empty"},
    {GOOD "optimizer: adamm\n", 3, AKIN_ERR_ARGUMENT, "must be sgd, adam or adamw"},
    {GOOD "head: [linear]\n", 3, AKIN_ERR_ARGUMENT, "\"head\" is a list"},
    {GOOD "head:\n  type: sequential\n  layers:\n    - type: linear\n    - gaited\n", 7,
     AKIN_ERR_ARGUMENT, "did you mean \"gated\""},
    {GOOD "head:\n  type: sequential\n  layers:\n    - type: linear\n      rnk: 3\n", 7,
     AKIN_ERR_ARGUMENT, "did you mean \"rank\""},
    {GOOD "head:\n  type: sequential\n  layers: 4\n", 5, AKIN_ERR_ARGUMENT, "\"layers\" is"},
    {"data: {train: d.jsonl}\nencoders:\n  n: {type: numbers}\n  n: {type: numbers}\n", 4,
     AKIN_ERR_FORMAT, "\"n\" is given twice, first in line 3"},
    {GOOD "loss:\n  type: tripplet\n", 4, AKIN_ERR_ARGUMENT, "did you mean \"triplet\""},
    {GOOD "loss:\n  scales: 3\n", 4, AKIN_ERR_ARGUMENT, "did you mean \"scale\""},
    {GOOD "loss: {type: triplet}\n", 3, AKIN_ERR_MISMATCH,
     "learns from groups, but \"data.samples\" is pairs"},
    {GOOD "metrics: reciprocal_rank\n", 3, AKIN_ERR_ARGUMENT, "\"metrics\" is text"},
    {GOOD "metrics:\n  - reciprocal_rank\n  - reciprocal_rink\n", 5, AKIN_ERR_ARGUMENT,
     "did you mean \"reciprocal_rank\""},
    {GOOD "metrics:\n  - {type: precision, kk: 1}\n", 4, AKIN_ERR_ARGUMENT, "kk"},
    {GOOD "metrics:\n  - 5\n", 4, AKIN_ERR_ARGUMENT, "is a whole number"},
    {GOOD "train:\n  epochs: 3\n  epochs: 4\n", 5, AKIN_ERR_FORMAT, "epochs"},
    {GOOD "train: {epochs: 3\n", 0, AKIN_ERR_FORMAT, "r.yaml"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        akin_recipe *recipe;
        akin_error error = {0};
        write_text("r.yaml", mistakes[i].text);
        akin_status status =
            akin_recipe_open(&recipe, context, test_path("r.yaml"), NULL, 0, &error);
        bool line = !mistakes[i].line || error.line == mistakes[i].line;
        if (status != mistakes[i].status || !line || !strstr(error.message, mistakes[i].told) ||
            !strstr(error.message, "r.yaml") || recipe)
            fail_msg("row %d: %s, line %d: %s\n%s", (int)i, akin_status_name(status),
                     (int)error.line, error.message, mistakes[i].text);
    }
    akin_recipe *recipe;
    akin_error error;
    assert_int_equal(akin_recipe_open(&recipe, context, test_path("none.yaml"), NULL, 0, &error),
                     AKIN_ERR_IO);
    assert_null(recipe);
}

static akin_recipe *open_recipe(const char *text, const char *const *sets, int count)
{
    akin_recipe *recipe;
    if (text)
        write_text("r.yaml", text);
    assert_ok(
        akin_recipe_open(&recipe, context, text ? test_path("r.yaml") : NULL, sets, count, told));
    return recipe;
}

static void test_says_what_runs(void **state)
{
    (void)state;
    akin_recipe *recipe = open_recipe(
        GOOD "optimizer: {type: adamw, lr: 0.5, schedule: cosine, warmup_steps: 7,\n"
             "            groups: [{match: 'n/*', lr_factor: 0.5},\n"
             "                     {match: head/w, weight_decay: 0.25}]}\n"
             "train: {accumulate: 3, average: 0.75,\n"
             "        checkpoint: {seconds: 0, steps: 8, epochs: 2},\n"
             "        batch_size: 7, epochs: 9, min_epochs: 2, max_steps: 11, seed: 5,\n"
             "        precision: bf16, metrics_per_step: true,\n"
             "        early_stopping: {metric: precision@1, patience: 6, min_delta: 0.25}}\n"
             "metrics: [reciprocal_rank, {type: precision, k: 1}, recall@5]\n"
             "cache: false\n",
        NULL, 0);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    assert_true(trainer.max_epochs == 9 && trainer.min_epochs == 2 && trainer.max_steps == 11);
    assert_true(trainer.seed == 5 && trainer.precision == AKIN_BF16 && trainer.metrics_per_step);
    assert_true(trainer.patience == 6 && trainer.min_delta == 0.25);
    assert_true(trainer.accumulate == 3 && trainer.average == 0.75);
    assert_true(trainer.checkpoint_seconds == 0 && trainer.checkpoint_steps == 8 &&
                trainer.checkpoint_epochs == 2);
    assert_string_equal(trainer.monitor, "precision@1");
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_optimizer_options optimizer;
    akin_metric_list metrics = {0};
    akin_cache_options cache = {.enabled = true};
    assert_ok(trainable.configure_optimizer(trainable.user, &optimizer, told));
    assert_true(optimizer.type == AKIN_ADAMW && optimizer.lr == 0.5 &&
                optimizer.schedule == AKIN_COSINE && optimizer.warmup_steps == 7 &&
                optimizer.beta2 == 0.999 && optimizer.weight_decay == 0.01);
    assert_int_equal(optimizer.group_count, 2);
    assert_string_equal(optimizer.groups[0].match, "n/*");
    assert_true(optimizer.groups[0].lr_factor == 0.5 && optimizer.groups[0].weight_decay == 0.01);
    assert_true(optimizer.groups[1].lr_factor == 1 && optimizer.groups[1].weight_decay == 0.25);
    assert_non_null(strstr(akin_recipe_json(recipe), "\"weight_decay\": 0.01"));
    assert_non_null(strstr(akin_recipe_json(recipe), "{\"match\": \"n/*\", \"lr_factor\": 0.5,"));
    assert_ok(trainable.configure_metrics(trainable.user, &metrics, told));
    assert_int_equal(metrics.count, 3);
    assert_string_equal(metrics.metrics[2], "recall@5");
    assert_ok(trainable.configure_cache(trainable.user, &cache, told));
    assert_false(cache.enabled);
    akin_recipe_free(recipe);
    recipe = open_recipe(GOOD "train: {early_stopping: false}\nmetrics: []\n", NULL, 0);
    assert_int_equal(akin_recipe_trainer(recipe).patience, 0);
    trainable = akin_recipe_trainable(recipe);
    assert_ok(trainable.configure_metrics(trainable.user, &metrics, told));
    assert_int_equal(metrics.count, 0);
    akin_recipe_free(recipe);
}

static void test_sets(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.epochs=5", "head.type=gated", "optimizer.lr=2e-3",
                                       "train.early_stopping.patience=8", "data.train=other.jsonl"};
    akin_recipe *recipe = open_recipe(GOOD "train: {epochs: 3}\n", sets, 5);
    assert_int_equal(akin_recipe_trainer(recipe).max_epochs, 5);
    assert_int_equal(akin_recipe_trainer(recipe).patience, 8);
    assert_true(recipe->optimizer.lr == 2e-3);
    assert_string_equal(recipe->files[0].path, "other.jsonl");
    assert_non_null(strstr(akin_recipe_json(recipe), "gated"));
    akin_recipe_free(recipe);
    static const char *const only[] = {"data.train=d.jsonl", "encoders.n.type=numbers"};
    recipe = open_recipe(NULL, only, 2);
    akin_recipe_free(recipe);
    static const struct {
        const char *set, *told;
    } bad[] = {{"train.epochs", "has no \"=\""},   {"train.epoch=5", "did you mean \"epochs\""},
               {"train..epochs=5", "empty name"},  {"cache.x=5", "would be a member of"},
               {"train.epochs=[", "train.epochs"}, {"=5", "empty name"},
               {"train=5", "expected a map"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        akin_error error = {0};
        write_text("r.yaml", GOOD "cache: true\n");
        akin_status status =
            akin_recipe_open(&recipe, context, test_path("r.yaml"), &bad[i].set, 1, &error);
        if (status != AKIN_ERR_ARGUMENT || !strstr(error.message, bad[i].told))
            fail_msg("%s: %s: %s", bad[i].set, akin_status_name(status), error.message);
    }
}

/* The recipe as it is kept says what was left out, too, and runs again as it is. */
static void test_json(void **state)
{
    (void)state;
    static const char *const expected[] = {"\"batch_size\": 128",
                                           "\"type\": \"adam\"",
                                           "\"lr\": 0.001",
                                           "\"patience\": 3",
                                           "\"dim\": 2",
                                           "\"dropout\": 0",
                                           "\"cache\": true",
                                           "\"samples\": \"pairs\"",
                                           "\"k\": 1",
                                           "\"symmetric\": true",
                                           "\"epochs\": 7",
                                           "\"seed\": 42",
                                           "\"validation\": 0.1",
                                           "skip_connection",
                                           "\"a\": \"question\""};
    akin_recipe *recipe = open_recipe("data: {train: d.jsonl, fields: {a: question}}\n"
                                      "encoders: {n: {type: numbers}}\ntrain: {epochs: 7}\n"
                                      "metrics: [{type: precision, k: 1}]\n",
                                      NULL, 0);
    const char *json = akin_recipe_json(recipe);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(json, expected[i]))
            fail_msg("%s is not in %s", expected[i], json);
    write_text("again.yaml", json);
    akin_recipe *again;
    assert_ok(akin_recipe_open(&again, context, test_path("again.yaml"), NULL, 0, told));
    assert_string_equal(akin_recipe_json(again), json);
    akin_recipe_free(again);
    akin_recipe_free(recipe);
}

/* ---- data ---- */

static void write_data(const char *name, int count)
{
    FILE *file = fopen(test_path(name), "w");
    assert_non_null(file);
    for (int i = 0; i < count; i++)
        fprintf(file, "{\"q\": \"%d 1\", \"b\": \"%d 2\"}\n", i, i);
    fclose(file);
}

static void test_data(void **state)
{
    (void)state;
    static const struct {
        const char *validation;
        int64_t train, validated;
    } rows[] = {{"", 36, 4},
                {", validation: 0.25", 30, 10},
                {", validation: other.jsonl", 40, 5},
                {", validation: false", 40, -1}};
    write_data("d.jsonl", 40);
    write_data("other.jsonl", 5);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        akin_loader *train, *validation;
        snprintf(text, sizeof text,
                 "data: {train: d.jsonl, fields: {a: q}%s}\nencoders: {n: {type: numbers}}\n",
                 rows[i].validation);
        akin_recipe *recipe = open_recipe(text, NULL, 0);
        assert_ok(akin_recipe_loaders(recipe, &train, &validation, told));
        assert_int_equal(akin_dataset_count(akin_loader_dataset(train)), rows[i].train);
        assert_int_equal(validation ? akin_dataset_count(akin_loader_dataset(validation)) : -1,
                         rows[i].validated);
        assert_int_equal(ak_loader_options_of(train)->shuffle, 1);
        akin_recipe_free(recipe);
    }
    static const struct {
        const char *data;
        akin_status status;
        const char *told;
    } bad[] = {{"{train: none.jsonl}", AKIN_ERR_IO, "none.jsonl"},
               {"{train: d.jsonl, fields: {a: q}, validation: 1.5}", AKIN_ERR_ARGUMENT,
                "\"data.validation\" must be"},
               {"{train: d.jsonl, fields: {a: q}, validation: true}", AKIN_ERR_ARGUMENT,
                "\"data.validation\" must be"},
               {"{train: d.jsonl, fields: {a: q}, validation: [1]}", AKIN_ERR_ARGUMENT,
                "\"data.validation\" must be"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        akin_loader *train, *validation;
        akin_error error = {0};
        snprintf(text, sizeof text, "data: %s\nencoders: {n: {type: numbers}}\n", bad[i].data);
        akin_recipe *recipe = open_recipe(text, NULL, 0);
        akin_status status = akin_recipe_loaders(recipe, &train, &validation, &error);
        if (status != bad[i].status || !strstr(error.message, bad[i].told))
            fail_msg("%s: %s: %s", bad[i].data, akin_status_name(status), error.message);
        assert_true(!train && !validation);
        /* a second try tells the same and leaks nothing */
        assert_int_equal(akin_recipe_loaders(recipe, &train, &validation, NULL), status);
        akin_recipe_free(recipe);
    }
}

static void test_trains(void **state)
{
    (void)state;
    akin_loader *train, *validation;
    akin_model *model;
    akin_fit_summary summary;
    write_data("d.jsonl", 40);
    akin_recipe *recipe = open_recipe("data: {train: d.jsonl, fields: {a: q}}\n"
                                      "encoders: {n: {type: numbers, dim: 2}}\n"
                                      "train: {batch_size: 8, epochs: 3, workers: 0}\n"
                                      "metrics: [reciprocal_rank, {type: precision, k: 1}]\n",
                                      NULL, 0);
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    assert_ok(akin_recipe_loaders(recipe, &train, &validation, told));
    assert_ok(akin_fit(&model, context, &trainable, &trainer, train, validation, &summary, told));
    assert_true(summary.epochs >= 1 && summary.best_value <= summary.base_value);
    assert_non_null(strstr(model->metrics_json, "precision@1"));
    akin_model_free(model);
    akin_recipe_free(recipe);
}

/* A run of a recipe, from a checkpoint or into it. */
static akin_status run_recipe(const char *text, bool resume, akin_error *error)
{
    akin_loader *train, *validation;
    akin_model *model;
    akin_recipe *recipe = open_recipe(text, NULL, 0);
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    char folder[512];
    snprintf(folder, sizeof folder, "%s", test_path("run"));
    trainer.checkpoint = folder;
    trainer.resume = resume;
    trainer.summary = trainer.progress = false;
    assert_ok(akin_recipe_loaders(recipe, &train, &validation, told));
    akin_status status =
        akin_fit(&model, context, &trainable, &trainer, train, validation, NULL, error);
    if (model) { /* it says how it was made, with every default */
        ak_value *record;
        akin_arena *arena;
        assert_ok(ak_arena_create(&arena, told));
        const char *json = model->training_json;
        assert_ok(ak_json_parse(&record, arena, json, strlen(json), "record", told));
        char *kept = ak_json_write(ak_value_get(record, "recipe"), 0);
        assert_string_equal(kept, akin_recipe_json(recipe));
        assert_null(strstr(kept, "-1"));
        ak_free(kept);
        ak_arena_free(arena);
    }
    akin_model_free(model);
    akin_recipe_free(recipe);
    return status;
}

static void test_resume_with_another_recipe(void **state)
{
    (void)state;
    static const char first[] = "data: {train: d.jsonl, fields: {a: q}}\n"
                                "encoders: {n: {type: numbers, dim: 2}}\n"
                                "optimizer: {type: adamw}\n"
                                "train: {batch_size: 8, epochs: 2}\n";
    static const struct {
        const char *recipe, *told; /* NULL: it may go on */
    } rows[] = {
        {"data: {train: d.jsonl, fields: {a: q}}\nencoders: {n: {type: numbers, dim: 2}}\n"
         "optimizer: {type: adamw}\n"
         "train: {batch_size: 8, epochs: 3, workers: 0, profile: true, checkpoint: {steps: 1}}\n",
         NULL},
        {"data: {train: d.jsonl, fields: {a: q}}\nencoders: {n: {type: numbers, dim: 1}}\n"
         "optimizer: {type: adamw}\ntrain: {batch_size: 8, epochs: 2}\n",
         "encoders.n.dim was 2, this run's is 1"},
        {"data: {train: d.jsonl, fields: {a: q}}\nencoders: {n: {type: numbers, dim: 2}}\n"
         "optimizer: {type: adamw}\nhead: {dropout: 0.1}\ntrain: {batch_size: 8, epochs: 2}\n",
         "head.dropout was 0.0, this run's is 0.1"},
        {"data: {train: d.jsonl, fields: {a: q}}\nencoders: {n: {type: numbers, dim: 2}}\n"
         "train: {batch_size: 8, epochs: 2, validation_epochs: 0.5}\n",
         "optimizer.type was \"adamw\", this run's is \"adam\"; optimizer.weight_decay was 0.01, "
         "this run's is 0.0; train.validation_epochs was 1.0, this run's is 0.5"},
        {"data: {train: other.jsonl, fields: {a: q}}\nencoders: {n: {type: numbers, dim: 2}}\n"
         "optimizer: {type: adamw}\ntrain: {batch_size: 8, epochs: 2}\n",
         "data.train was \"d.jsonl\", this run's is \"other.jsonl\""},
    };
    write_data("d.jsonl", 40);
    write_data("other.jsonl", 30);
    assert_ok(run_recipe(first, false, told));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_error error = {0};
        akin_status status = run_recipe(rows[i].recipe, true, &error);
        if (rows[i].told ? status != AKIN_ERR_MISMATCH || !strstr(error.message, rows[i].told)
                         : status != AKIN_OK)
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
}

static akin_status open_again(akin_error *error)
{
    akin_recipe *recipe;
    static const char *const set = "train.epochs=5";
    akin_status status = akin_recipe_open(&recipe, context, test_path("r.yaml"), &set, 1, error);
    akin_recipe_free(recipe);
    return status;
}

static void test_without_memory(void **state)
{
    (void)state;
    write_text("r.yaml", GOOD "head: {dropout: 0.1}\nloss: {scale: 3}\nmetrics: [recall@5]\n"
                              "optimizer: {groups: [{match: 'head/*', lr_factor: 2}]}\n"
                              "train: {checkpoint: {keep: 2}, early_stopping: {patience: 4}}\n");
    ak_memory_fail_at(0);
    assert_ok(open_again(told));
    int64_t count = ak_memory_fail_at(0);
    for (int64_t n = 1; n <= count; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = open_again(&error);
        ak_memory_fail_at(0);
        if (status != AKIN_ERR_MEMORY)
            fail_msg("allocation %lld of %lld: %s: %s", (long long)n, (long long)count,
                     akin_status_name(status), error.message);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mistakes),
        TEST(test_says_what_runs),
        TEST(test_sets),
        TEST(test_json),
        TEST(test_data),
        TEST(test_trains),
        TEST(test_resume_with_another_recipe),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
