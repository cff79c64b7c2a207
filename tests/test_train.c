/* Runs of training: that they learn, what callbacks and logs see, what goes wrong, memory. */
#include "training_scene.h"

/* ---- learning ---- */

static void test_learns(void **state)
{
    (void)state;
    static const plan plans[] = {
        {.lr = 0.05},
        {.lr = 0.05, .workers = 2, .uncached = true},
        {.lr = 0.05, .encoder = "{dim: 6, trainable: true}", .head = "empty"},
        {.lr = 0.05, .encoder = "{dim: 6, trainable: true}", .second = "{dim: 4}", .workers = 1},
        {.lr = 0.05, .head = "linear", .head_options = "{output_dim: 4}", .optimizer = AKIN_ADAMW},
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        plan p = plans[i];
        akin_model *model;
        akin_fit_summary s;
        akin_trainer trainer = trainer_of(15);
        if (p.optimizer == AKIN_SGD)
            p.optimizer = AKIN_ADAM;
        assert_ok(fit(&model, &p, &trainer, &s, told));
        if (!(s.best_epoch > 0 && s.best_value < 0.8 * s.base_value))
            fail_msg("plan %d: %g after %g", (int)i, s.best_value, s.base_value);
        assert_int_equal(s.epochs, 15);
        assert_int_equal(s.steps, 15 * STEPS);
        assert_int_equal(p.train_results, 15 * STEPS);
        assert_int_equal(p.validation_results, 16 * 2);
        assert_non_null(strstr(model->metrics_json, "validation_loss"));
        akin_model_free(model);
    }
}

static void test_never_worse_than_the_base(void **state)
{
    (void)state;
    static float tuned[VALIDATION * DIM], base[VALIDATION * DIM], loaded[VALIDATION * DIM];
    akin_model *model, *bare;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(50);
    trainer.patience = 3;
    plan p = {.lr = 500, .optimizer = AKIN_ADAM, .head_options = "{init: pytorch}"};
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.best_epoch, 0);
    assert_int_equal(s.epochs, 3);
    assert_true(s.stopped_early && s.best_value == s.base_value);
    akin_named_encoder named = {"n", NULL};
    assert_ok(akin_encoder_create(&named.encoder, context, "numbers", "{dim: 6}", told));
    assert_ok(akin_model_create(&bare, context, &named, 1, NULL, told));
    vectors_of(model, tuned);
    vectors_of(bare, base);
    assert_memory_equal(tuned, base, sizeof base);
    akin_hash a, b;
    assert_ok(akin_model_fingerprint(model, &a, told));
    assert_ok(akin_model_fingerprint(bare, &b, told));
    assert_memory_equal(&a, &b, sizeof a);
    assert_ok(akin_model_save(model, test_path("model"), false, told));
    akin_model_free(model);
    assert_ok(akin_model_load(&model, context, test_path("model"), AKIN_AS_SAVED, told));
    vectors_of(model, loaded);
    assert_memory_equal(loaded, base, sizeof base);
    akin_model_free(model);
    akin_model_free(bare);
    /* an encoder that learned goes back too */
    p = (plan){
        .lr = 500, .optimizer = AKIN_ADAM, .head = "empty", .encoder = "{dim: 6, trainable: true}"};
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.best_epoch, 0);
    vectors_of(model, tuned);
    assert_memory_equal(tuned, base, sizeof base);
    akin_model_free(model);
}

static void test_without_validation(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(6);
    trainer.patience = 1;
    plan p = {.lr = 500, .optimizer = AKIN_ADAM, .no_validation = true};
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.epochs, 6);
    assert_int_equal(s.best_epoch, 6); /* the last one, whatever its loss */
    assert_int_equal(p.validation_results, 0);
    assert_string_equal(model->head->type->name, "skip_connection");
    akin_model_free(model);
}

static void test_loss_with_parameters(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(1);
    plan p = {.lr = 0.1, .optimizer = AKIN_SGD, .loss = "shifted", .no_validation = true};
    trainer.max_steps = 1;
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.steps, 1);
    assert_non_null(shift);
    akin_model_free(model); /* 9 is the parameter's share of the first loss */
    trainer.max_steps = 0;
    trainer.max_epochs = 30;
    double first = p.first_loss;
    p.lr = 0.01;
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_true(first > 9 && s.best_value < first - 8);
    akin_model_free(model);
}

/* One step of plain descent with rate 1 moves a weight by its gradient. */
static void test_gradient_reaches_the_encoder(void **state)
{
    (void)state;
    akin_trainer trainer = trainer_of(1);
    akin_model *model;
    plan p = {.lr = 1,
              .optimizer = AKIN_SGD,
              .head = "empty",
              .batch = TRAIN,
              .no_shuffle = true,
              .no_validation = true,
              .encoder = "{dim: 6, trainable: true}"};
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    float moved[DIM * DIM];
    memcpy(moved, ak_parameters_values(ak_encoder_parameters(model->encoders[0].encoder)),
           sizeof moved);
    akin_model_free(model);
    for (int i = 0; i < DIM * DIM; i += 5) {
        double side[2];
        for (int k = 0; k < 2; k++) {
            plan q = p;
            q.nudged = i + 1;
            q.nudge = k ? 0.01f : -0.01f;
            assert_ok(fit(&model, &q, &trainer, NULL, told));
            side[k] = q.first_loss;
            akin_model_free(model);
        }
        double slope = (side[1] - side[0]) / 0.02;
        double step = (double)moved[i] - (i % (DIM + 1) == 0);
        if (fabs(slope + step) > 2e-3 * (1 + fabs(slope)))
            fail_msg("weight %d: slope %g, moved by %g", i, slope, step);
    }
}

/* ---- callbacks, logs ---- */

typedef struct journal {
    char text[512];
    int64_t stop_at;
} journal;

static void note(journal *j, char what)
{
    size_t length = strlen(j->text);
    assert_true(length + 1 < sizeof j->text);
    j->text[length] = what;
}

static void fit_start(void *user, akin_training *t)
{
    assert_int_equal(akin_training_step(t), 0);
    note(user, '<');
}
static void epoch_start(void *user, akin_training *t)
{
    (void)t;
    note(user, '(');
}
static void step_end(void *user, akin_training *t)
{
    journal *j = user;
    note(j, '.');
    assert_true(isfinite(akin_training_loss(t)) && akin_training_lr(t) > 0);
    if (j->stop_at && akin_training_step(t) == j->stop_at)
        akin_training_stop(t);
}
static void epoch_end(void *user, akin_training *t)
{
    note(user, ')');
    assert_true(isfinite(akin_training_metric(t, "train_loss")));
    assert_true(isfinite(akin_training_metric(t, "validation_loss")));
    assert_true(akin_training_metric(t, "reciprocal_rank") > 0);
    assert_true(isnan(akin_training_metric(t, "absent")));
}
static void fit_end(void *user, akin_training *t)
{
    (void)t;
    note(user, '>');
}

static akin_callback journal_callback(journal *j)
{
    return (akin_callback){
        sizeof(akin_callback), j, fit_start, epoch_start, step_end, epoch_end, fit_end};
}

static void test_callbacks(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(2);
    journal all = {{0}, 0}, stopping = {{0}, 6};
    plan p = {.lr = 0.01};
    assert_ok(akin_trainer_add_callback(&trainer, journal_callback(&all), told));
    assert_ok(fit(&model, &p, &trainer, &s, told));
    akin_model_free(model);
    assert_string_equal(all.text, "<(....)(....)>");
    assert_ok(akin_trainer_add_callback(&trainer, journal_callback(&stopping), told));
    trainer.max_epochs = 9;
    assert_ok(fit(&model, &p, &trainer, &s, told));
    akin_model_free(model);
    assert_string_equal(stopping.text, "<(....)(..)>");
    assert_int_equal(s.steps, 6);
    assert_false(s.stopped_early);
    trainer.callback_count = 0;
    for (int i = 0; i < AKIN_MAX_CALLBACKS; i++)
        assert_ok(akin_trainer_add_callback(&trainer, journal_callback(&all), told));
    assert_int_equal(akin_trainer_add_callback(&trainer, journal_callback(&all), NULL),
                     AKIN_ERR_ARGUMENT);
}

static int64_t count_lines(const char *path, const char *first, bool json)
{
    ak_map map;
    akin_arena *arena;
    int64_t lines = 0;
    assert_ok(ak_map_open(&map, path, told));
    assert_ok(ak_arena_create(&arena, told));
    assert_true(map.size > strlen(first) && memcmp(map.data, first, strlen(first)) == 0);
    const char *at = map.data, *end = at + map.size;
    for (; at < end; lines++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        ak_value *value;
        assert_non_null(stop);
        if (json)
            assert_ok(ak_json_parse(&value, arena, at, (size_t)(stop - at), "line", told));
        at = stop + 1;
    }
    ak_arena_free(arena);
    ak_map_close(&map);
    return lines;
}

static void test_logs(void **state)
{
    (void)state;
    akin_model *model;
    akin_trainer trainer = trainer_of(3);
    plan p = {.lr = 0.01};
    trainer.log_folder = test_path("logs/deep");
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    const char *header = "epoch,step,seconds,lr,train_loss,validation_loss,reciprocal_rank\n0,0,";
    assert_int_equal(count_lines(test_path("logs/deep/log.csv"), header, false), 5);
    assert_int_equal(count_lines(test_path("logs/deep/log.jsonl"), "{\"epoch\": 0", true), 4);
    trainer.metrics_per_step = true;
    akin_error error;
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_EXISTS);
    assert_non_null(strstr(error.message, "\"log_folder\" has the logs of another run"));
    assert_int_equal(count_lines(test_path("logs/deep/log.csv"), header, false), 5);
    trainer.replace_logs = true; /* a new run starts its log anew */
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    assert_int_equal(count_lines(test_path("logs/deep/log.csv"), "epoch,", false), 5);
    assert_int_equal(count_lines(test_path("logs/deep/log.jsonl"), "{\"epoch\": 0", true), 16);
}

/* ---- what goes wrong ---- */

static void test_divergence(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_error error;
    akin_trainer trainer = trainer_of(9);
    plan p = {.lr = 0.01, .loss = "shifted"};
    broken_step = 2 * STEPS + 2;
    assert_int_equal(fit(&model, &p, &trainer, &s, &error), AKIN_ERR_DIVERGED);
    assert_non_null(strstr(error.message, "step 10 of epoch 3"));
    assert_non_null(model); /* the last good one */
    assert_int_equal(s.best_epoch, 2);
    static float vectors[VALIDATION * DIM];
    vectors_of(model, vectors);
    for (int i = 0; i < VALIDATION * DIM; i++)
        assert_true(isfinite(vectors[i]));
    akin_model_free(model);
    broken_step = 1;
    p.no_validation = true;
    assert_int_equal(fit(&model, &p, &trainer, &s, &error), AKIN_ERR_DIVERGED);
    assert_null(model);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        plan plan;
        const char *monitor;
        akin_status status;
        const char *told;
    } rows[] = {
        {{.loss = "triplet"}, NULL, AKIN_ERR_MISMATCH, "learns from groups, but the training data"},
        {{.head = "empty"}, NULL, AKIN_ERR_ARGUMENT, "nothing to train"},
        {{.lr = -1}, NULL, AKIN_ERR_ARGUMENT, "lr"},
        {{.lr = 1}, "validation_los", AKIN_ERR_ARGUMENT, "did you mean \"validation_loss\""},
        {{.encoder = "{dim: 9}"}, NULL, AKIN_ERR_FORMAT, "too few numbers"},
        {{.encoder = "{dim: 9}", .uncached = true, .workers = 2},
         NULL,
         AKIN_ERR_FORMAT,
         "too few numbers"},
        {{.head = "hed"}, NULL, AKIN_ERR_ARGUMENT, "hed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        plan p = rows[i].plan;
        akin_model *model;
        akin_error error = {0};
        akin_trainer trainer = trainer_of(2);
        if (rows[i].monitor)
            trainer.monitor = rows[i].monitor;
        if (!p.lr)
            p.lr = 0.1;
        akin_status status = fit(&model, &p, &trainer, NULL, &error);
        if (status != rows[i].status || !strstr(error.message, rows[i].told) || model)
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
}

/* A caller who was built when a trainer had fewer options gets the defaults of the others. */
static void test_a_shorter_trainer(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    plan p = {.lr = 0.01};
    akin_trainer trainer = trainer_of(2);
    trainer.size = offsetof(akin_trainer, checkpoint_seconds);
    trainer.limit_batches = 1;
    trainer.validation_epochs = NAN;
    assert_ok(fit(&model, &p, &trainer, &s, told));
    akin_model_free(model);
    assert_int_equal(s.steps, 2 * STEPS);
}

/* A trainer filled by hand, and no loader. */
static void test_bad_calls(void **state)
{
    (void)state;
    static const char *const told_of[] = {"checkpoint",
                                          "monitor",
                                          "17 callbacks",
                                          "\"epochs\" is -4, must be between 1 and",
                                          "\"max_steps\" is -1",
                                          "\"patience\" is -1",
                                          "\"min_delta\" is nan",
                                          "\"precision\" is 7",
                                          "\"steps\" is -1",
                                          "\"validation_epochs\" is 1.5",
                                          "needs \"log_folder\"",
                                          "must be a folder",
                                          "size is 0",
                                          "loader"};
    const int last = sizeof told_of / sizeof *told_of - 1;
    for (int i = 0; i <= last; i++) {
        plan p = {.lr = 0.1};
        akin_model *model;
        akin_error error = {0};
        akin_trainer trainer = trainer_of(2);
        akin_trainable nothing = {.size = sizeof nothing};
        trainer.resume = i == 0;
        if (i == 1)
            trainer.monitor = NULL;
        if (i == 2)
            trainer.callback_count = AKIN_MAX_CALLBACKS + 1;
        trainer.max_epochs = i == 3 ? -4 : 2;
        trainer.max_steps = -(i == 4);
        trainer.patience = -(i == 5);
        trainer.min_delta = i == 6 ? NAN : 0;
        trainer.precision = i == 7 ? 7 : AKIN_F32;
        trainer.checkpoint_steps = -(i == 8);
        trainer.validation_epochs = i == 9 ? 1.5 : 1;
        trainer.tensorboard = i == 10;
        trainer.size = i == 12 ? 0 : sizeof trainer;
        trainer.checkpoint = i == 11 ? "a/checkpoint-3.safetensors" : NULL;
        akin_status status =
            i < last ? fit(&model, &p, &trainer, NULL, &error)
                     : akin_fit(&model, context, &nothing, &trainer, NULL, NULL, NULL, &error);
        if (status != AKIN_ERR_ARGUMENT || !strstr(error.message, told_of[i]) || model)
            fail_msg("call %d: %s: %s", i, akin_status_name(status), error.message);
    }
}

/* ---- memory ---- */

static int64_t allocated;

static void count_allocations(void *user, akin_training *t)
{
    (void)user;
    int64_t count = ak_memory_fail_at(0);
    if (akin_training_epoch(t) > 2 && akin_training_step(t) % STEPS != 1)
        allocated += count; /* the first step of an epoch follows a validation */
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    static const plan plans[] = {
        {.lr = 0.01, .head_options = "{dropout: 0.1}"},
        {.lr = 0.01, .workers = 2},
        {.lr = 0.01, .uncached = true, .encoder = "{dim: 6, trainable: true}"},
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        plan p = plans[i];
        akin_model *model;
        akin_trainer trainer = trainer_of(6);
        akin_callback callback = {.size = sizeof callback, .on_step_end = count_allocations};
        assert_ok(akin_trainer_add_callback(&trainer, callback, told));
        allocated = 0;
        ak_memory_fail_at(0);
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        akin_model_free(model);
        if (allocated)
            fail_msg("plan %d: %lld allocations", (int)i, (long long)allocated);
    }
}

static void test_without_memory(void **state)
{
    (void)state;
    akin_trainer trainer = trainer_of(2);
    trainer.checkpoint = test_path("run");
    trainer.checkpoint_epochs = trainer.checkpoint_keep = 1;
    trainer.log_folder = test_path("log");
    trainer.replace_logs = true;
    trainer.tensorboard = trainer.profile = true;
    trainer.average = 0.9;
    const akin_parameter_group group = {"head/*", 0.5, 0};
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    options.groups = &group;
    options.group_count = 1;
    for (int i = 0; i < 2; i++) {
        plan p = {.options = i ? NULL : &options,
                  .lr = 0.01,
                  .workers = i,
                  .uncached = i == 1,
                  .second = i ? "{dim: 2}" : NULL,
                  .encoder = i ? "{dim: 6, trainable: true}" : NULL};
        akin_model *model;
        if (i)
            trainer.checkpoint = trainer.log_folder = NULL, trainer.tensorboard = false;
        ak_memory_fail_at(0);
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        int64_t count = ak_memory_fail_at(0);
        akin_model_free(model);
        assert_true(count > 100);
        for (int64_t n = 1; n <= count; n += n < 250 || i ? 1 : 17) {
            akin_error error = {0};
            ak_memory_fail_at(n);
            akin_status status = fit(&model, &p, &trainer, NULL, &error);
            int64_t made = ak_memory_fail_at(0);
            akin_model_free(model);
            if (status != AKIN_ERR_MEMORY && made >= n)
                fail_msg("run %d, allocation %lld of %lld: %s: %s", i, (long long)n,
                         (long long)count, akin_status_name(status), error.message);
            if (status)
                assert_null(model);
        }
    }
}

/* ---- the loader's threads ---- */

enum { OBJECTS = 2 * TRAIN, PATIENCE = 20 }; /* seconds */

/* In a step, before the trainer asks for the next batch: are that batch's objects collated? */
static void await_next_batch(void *user, akin_training *training)
{
    int64_t *ahead = user, end = 2 * BATCH * (akin_training_step(training) + 1);
    double start = ak_seconds();
    end = end < OBJECTS ? end : OBJECTS;
    while (*ahead >= 0 && numbers_encoded < end && ak_seconds() < start + PATIENCE)
        usleep(100);
    *ahead += numbers_encoded >= end;
}

static void test_the_next_batch_is_collated_meanwhile(void **state)
{
    (void)state;
    for (int workers = 0; workers < 3; workers++) {
        plan p = {.lr = 0.01,
                  .encoder = "{dim: 6, trainable: true}",
                  .workers = workers,
                  .no_validation = true};
        akin_trainer trainer = trainer_of(1);
        int64_t ahead = workers ? 0 : -STEPS; /* nobody to wait for */
        const akin_callback callback = {
            .size = sizeof callback, .user = &ahead, .on_step_end = await_next_batch};
        akin_model *model;
        numbers_encoded = 0;
        assert_ok(akin_trainer_add_callback(&trainer, callback, told));
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        assert_int_equal(ahead, workers ? STEPS : 1 - STEPS); /* after the last step all are */
        akin_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_learns),
        TEST(test_never_worse_than_the_base),
        TEST(test_without_validation),
        TEST(test_loss_with_parameters),
        TEST(test_gradient_reaches_the_encoder),
        TEST(test_callbacks),
        TEST(test_logs),
        TEST(test_divergence),
        TEST(test_mistakes),
        TEST(test_bad_calls),
        TEST(test_a_shorter_trainer),
        TEST(test_the_next_batch_is_collated_meanwhile),
        TEST(test_steady_state_allocates_nothing),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
