/* Checkpoints: when they are written, and that a run resumed from one ends in the same bits. */
#include "training_scene.h"

#include <time.h>

/* ---- interrupted and resumed ---- */

static int64_t interrupt_at;

static void raise_flag(void *user, akin_training *t)
{
    (void)user;
    if (akin_training_step(t) == interrupt_at)
        interrupt = 1;
}

static void keep_checkpoint(void *user, akin_training *t)
{
    (void)user;
    if (akin_training_epoch(t) != 3)
        return; /* as if the process had died after two epochs */
    assert_ok(ak_copy_file(test_path("run/checkpoint.safetensors"),
                           test_path("kept/checkpoint.safetensors"), told));
}

static const plan resumed_plan = {
    .lr = 0.02, .optimizer = AKIN_ADAM, .schedule = AKIN_COSINE, .head_options = "{dropout: 0.2}"};

/* Everything that has a state of its own: what a callback set, the plateau, the average. */
static const akin_optimizer_options stateful_options = {.type = AKIN_ADAM, .lr = 0.05, .beta1 = 0.9,
                                                        .beta2 = 0.99, .epsilon = 1e-8,
                                                        .schedule = AKIN_PLATEAU,
                                                        .gamma = 0.5, .clip_norm = 1};

static void set_rate(void *user, akin_training *t)
{
    (void)user;
    if (akin_training_step(t) == 3)
        akin_training_set_lr(t, 0.04);
}

static void resume(plan *p, akin_trainer trainer, const float *expected,
                   const akin_fit_summary *whole)
{
    akin_model *model;
    akin_fit_summary s;
    static float out[VALIDATION * DIM];
    trainer.resume = true;
    interrupt_at = 0;
    interrupt = 0;
    assert_ok(fit(&model, p, &trainer, &s, told));
    vectors_of(model, out);
    assert_memory_equal(out, expected, sizeof out);
    assert_int_equal(s.steps, whole->steps);
    assert_int_equal(s.best_epoch, whole->best_epoch);
    assert_true(s.best_value == whole->best_value && s.base_value == whole->base_value);
    akin_model_free(model);
}

static void test_resume(void **state)
{
    (void)state;
    static float expected[VALIDATION * DIM];
    static const int64_t steps[] = {1, 6, 8, 19}; /* of 20; 8: the last of an epoch */
    akin_model *model;
    akin_fit_summary whole;
    akin_error error;
    plan p = resumed_plan;
    akin_trainer trainer = trainer_of(5);
    assert_ok(fit(&model, &p, &trainer, &whole, told));
    assert_true(whole.best_epoch > 0);
    vectors_of(model, expected);
    akin_model_free(model);
    for (int i = 0; i < 4; i++)
        for (int workers = 0; workers < 4; workers += workers + 1) {
            akin_trainer cut = trainer_of(5);
            cut.checkpoint = test_path("run");
            akin_callback callback = {.size = sizeof callback, .on_step_end = raise_flag};
            assert_ok(akin_trainer_add_callback(&cut, callback, told));
            interrupt_at = steps[i];
            p.workers = workers;
            ak_remove_tree(test_path("run"));
            assert_int_equal(fit(&model, &p, &cut, NULL, &error), AKIN_ERR_INTERRUPTED);
            assert_non_null(model); /* the best so far */
            akin_model_free(model);
            resume(&p, cut, expected, &whole);
        }
    /* between epochs, from the checkpoint that each of them leaves */
    trainer.checkpoint = test_path("run");
    trainer.checkpoint_epochs = 1;
    ak_remove_tree(trainer.checkpoint);
    assert_ok(ak_make_folders(test_path("kept"), told));
    akin_callback callback = {.size = sizeof callback, .on_epoch_start = keep_checkpoint};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    trainer.checkpoint = test_path("kept");
    trainer.callback_count = 0;
    resume(&p, trainer, expected, &whole);
    resume(&p, trainer, expected, &whole); /* a run that has ended ends again */
}

static void test_resume_of_what_has_state(void **state)
{
    (void)state;
    static float expected[VALIDATION * DIM];
    static const int64_t steps[] = {2, 4, 7};
    akin_model *model;
    akin_fit_summary whole;
    akin_error error;
    plan p = {.options = &stateful_options, .encoder = "{dim: 6, trainable: true}"};
    akin_trainer trainer = trainer_of(6);
    akin_callback callbacks[] = {{.size = sizeof *callbacks, .on_step_end = set_rate},
                                 {.size = sizeof *callbacks, .on_step_end = raise_flag}};
    for (int i = 0; i < 2; i++)
        assert_ok(akin_trainer_add_callback(&trainer, callbacks[i], told));
    trainer.average = 0.9;
    trainer.accumulate = 3; /* two steps an epoch, the second of one batch */
    trainer.min_delta = 1e-3;
    interrupt_at = 0;
    assert_ok(fit(&model, &p, &trainer, &whole, told));
    assert_int_equal(whole.steps, 12);
    vectors_of(model, expected);
    akin_model_free(model);
    for (int i = 0; i < 3; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s", test_path("run"));
        trainer.checkpoint = folder;
        interrupt_at = steps[i];
        ak_remove_tree(folder);
        assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_INTERRUPTED);
        akin_model_free(model);
        resume(&p, trainer, expected, &whole);
    }
}

/* ---- when checkpoints are written ---- */

typedef struct watched {
    char path[512];
    char text[64]; /* 'w' where the checkpoint is another file than before, '.' where it is not */
    int64_t time;
} watched;

static void watch(void *user, akin_training *t)
{
    watched *w = user;
    int64_t size = 0, time = 0;
    if (ak_file_stamp(w->path, &size, &time, NULL))
        time = 0;
    size_t at = strlen(w->text);
    assert_true(at + 1 < sizeof w->text);
    w->text[at] = time != w->time ? 'w' : '.';
    w->time = time;
    (void)t;
}

static void slow_down(void *user, akin_training *t)
{
    const struct timespec tick = {0, 3000000}; /* so that files have times of their own */
    (void)user;
    (void)t;
    nanosleep(&tick, NULL);
}

static void test_when_checkpoints_are_written(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        int64_t steps, epochs;
        const char *expected; /* before each of 8 steps and 2 epoch's ends */
    } rows[] = {
        {10, 0, 0, ".........."}, /* short runs are not held up by the disk */
        {0, 3, 0, "...w...w.."},
        {0, 0, 1, ".....w...."},
        {0, 1, 0, ".wwww.wwww"},
        {1e-9, 0, 0, "wwww"}, /* by time: the clock decides how many */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_model *model;
        watched w = {0};
        plan p = {.lr = 0.01};
        akin_trainer trainer = trainer_of(2);
        akin_callback callback = {.size = sizeof callback, .user = &w, .on_step_end = watch,
                                  .on_epoch_end = watch};
        akin_callback slow = {.size = sizeof callback, .on_step_end = slow_down};
        assert_ok(akin_trainer_add_callback(&trainer, callback, told));
        assert_ok(akin_trainer_add_callback(&trainer, slow, told));
        char folder[512];
        snprintf(folder, sizeof folder, "%s", test_path("run"));
        snprintf(w.path, sizeof w.path, "%s", test_path("run/checkpoint.safetensors"));
        trainer.checkpoint = folder;
        trainer.checkpoint_seconds = rows[i].seconds;
        trainer.checkpoint_steps = rows[i].steps;
        trainer.checkpoint_epochs = rows[i].epochs;
        ak_remove_tree(trainer.checkpoint);
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        akin_model_free(model);
        assert_int_equal(ak_path_what(w.path), AK_PATH_FILE);
        if (rows[i].seconds == 1e-9 ? !strchr(w.text, 'w') : strcmp(w.text, rows[i].expected) != 0)
            fail_msg("row %d: %s", (int)i, w.text);
    }
}

static void test_resume_of_another_run(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error;
    plan p = resumed_plan;
    akin_trainer trainer = trainer_of(5);
    trainer.checkpoint = test_path("run");
    akin_callback callback = {.size = sizeof callback, .on_step_end = raise_flag};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    interrupt_at = 6;
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_INTERRUPTED);
    akin_model_free(model);
    static const struct {
        const char *what, *encoder, *head, *told;
        double lr;
        int batch;
        uint64_t seed;
        bool in_order, no_validation;
        const char *monitor;
    } rows[] = {
        {.what = "lr", .lr = 0.03, .told = "optimizer"},
        {.what = "head", .head = "{dropout: 0.3}", .told = "\"head\" was"},
        {.what = "batch size", .batch = 20, .told = "\"batch_size\" was 16, this run's is 20"},
        {.what = "seed", .seed = 7, .told = "\"seed\" was 42, this run's is 7"},
        {.what = "encoder", .encoder = "{dim: 6, version: 2}", .told = "\"encoders\""},
        {.what = "order", .in_order = true, .told = "\"shuffle\" was true"},
        {.what = "monitor", .monitor = "reciprocal_rank", .told = "\"monitor\" was"},
        {.what = "no validation", .no_validation = true, .told = "was"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        plan other = p;
        akin_trainer again = trainer_of(5);
        again.checkpoint = trainer.checkpoint;
        again.resume = true;
        again.seed = rows[i].seed ? rows[i].seed : 42;
        other.lr = rows[i].lr ? rows[i].lr : p.lr;
        other.head_options = rows[i].head ? rows[i].head : p.head_options;
        other.encoder = rows[i].encoder;
        other.batch = rows[i].batch;
        other.no_shuffle = rows[i].in_order;
        other.no_validation = rows[i].no_validation;
        if (rows[i].monitor)
            again.monitor = rows[i].monitor;
        interrupt = 0;
        error.message[0] = 0;
        akin_status status = fit(&model, &other, &again, NULL, &error);
        if (status != AKIN_ERR_MISMATCH || !strstr(error.message, rows[i].told) || model)
            fail_msg("%s: %s: %s", rows[i].what, akin_status_name(status), error.message);
    }
    akin_trainer none = trainer_of(5);
    none.checkpoint = test_path("nowhere");
    none.resume = true;
    interrupt = 0;
    assert_int_equal(fit(&model, &p, &none, NULL, &error), AKIN_ERR_IO);
    assert_non_null(strstr(error.message, "nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_resume),
        TEST(test_resume_of_what_has_state),
        TEST(test_when_checkpoints_are_written),
        TEST(test_resume_of_another_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
