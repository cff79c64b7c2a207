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
static const akin_optimizer_options stateful_options = {.type = AKIN_ADAM,
                                                        .lr = 0.05,
                                                        .beta1 = 0.9,
                                                        .beta2 = 0.99,
                                                        .epsilon = 1e-8,
                                                        .schedule = AKIN_PLATEAU,
                                                        .gamma = 0.5,
                                                        .clip_norm = 1};

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
    if (!whole) {
        assert_int_equal(s.steps, trainer.max_steps);
        akin_model_free(model);
        return;
    }
    assert_memory_equal(out, expected, sizeof out);
    assert_int_equal(s.steps, whole->steps);
    assert_int_equal(s.best_epoch, whole->best_epoch);
    assert_true(s.best_value == whole->best_value);
    assert_true(s.base_value == whole->base_value || isnan(whole->base_value));
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
    trainer.validation_epochs = 0.5;
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

/* More epochs than the run was made for, where no schedule leads to its end. */
static void test_resume_with_more_epochs(void **state)
{
    (void)state;
    static float expected[VALIDATION * DIM];
    akin_model *model;
    akin_fit_summary whole;
    akin_error error;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", test_path("run"));
    plan p = {.lr = 0.02, .optimizer = AKIN_ADAM};
    akin_trainer trainer = trainer_of(5);
    assert_ok(fit(&model, &p, &trainer, &whole, told));
    vectors_of(model, expected);
    akin_model_free(model);
    trainer.max_epochs = 2;
    trainer.checkpoint = folder;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    trainer.max_epochs = 5;
    resume(&p, trainer, expected, &whole);
    trainer.resume = false; /* more steps, from within an epoch, the last parameters kept */
    p.no_validation = true;
    trainer.checkpoint = NULL;
    assert_ok(fit(&model, &p, &trainer, &whole, told));
    vectors_of(model, expected);
    akin_model_free(model);
    trainer.checkpoint = folder;
    trainer.max_steps = 6;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    resume(&p, trainer, NULL, NULL); /* it has ended */
    trainer.max_steps = 0;
    resume(&p, trainer, expected, &whole);
    p.no_validation = false;
    trainer.resume = false;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    trainer.max_epochs = 6;
    trainer.resume = true;
    p.schedule = AKIN_LINEAR;
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_MISMATCH);
    assert_non_null(strstr(error.message, "total_steps was 0, this run's is 24"));
    assert_non_null(strstr(error.message, "optimizer.schedule was \"constant\""));
}

/* A log has each row once, also of a run that was killed after it had written more of them. */
static void test_resumed_logs(void **state)
{
    (void)state;
    static const char *const names[] = {"log.csv", "log.jsonl",
                                        "events.out.tfevents.0000000000.akin"};
    akin_model *model;
    char folder[2][512], log[512];
    snprintf(folder[0], sizeof folder[0], "%s", test_path("run"));
    snprintf(folder[1], sizeof folder[1], "%s", test_path("kept"));
    snprintf(log, sizeof log, "%s", test_path("log"));
    assert_ok(ak_make_folders(folder[1], told));
    plan p = resumed_plan;
    akin_trainer trainer = trainer_of(4);
    akin_callback callback = {.size = sizeof callback, .on_epoch_start = keep_checkpoint};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    trainer.checkpoint = folder[0];
    trainer.checkpoint_epochs = 1;
    trainer.log_folder = log;
    trainer.tensorboard = trainer.metrics_per_step = true;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    ak_map whole[3], again[3];
    char path[3][600];
    for (int i = 0; i < 3; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", log, names[i]);
        assert_ok(ak_map_open(&whole[i], path[i], told));
    }
    char *csv = ak_alloc(whole[0].size), *jsonl = ak_alloc(whole[1].size);
    memcpy(csv, whole[0].data, whole[0].size);
    memcpy(jsonl, whole[1].data, whole[1].size);
    size_t sizes[3] = {whole[0].size, whole[1].size, whole[2].size};
    for (int i = 0; i < 3; i++)
        ak_map_close(&whole[i]);
    trainer.checkpoint = folder[1]; /* of after the second epoch */
    trainer.callback_count = 0;
    trainer.resume = true;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    for (int i = 0; i < 3; i++)
        assert_ok(ak_map_open(&again[i], path[i], told));
    assert_int_equal(again[1].size, sizes[1]);
    assert_memory_equal(again[1].data, jsonl, sizes[1]);
    assert_int_equal(again[2].size, sizes[2]);
    int rows[2] = {0, 0}; /* seconds differ from run to run */
    for (size_t i = 0; i < sizes[0]; i++)
        rows[0] += csv[i] == '\n';
    for (size_t i = 0; i < again[0].size; i++)
        rows[1] += again[0].data[i] == '\n';
    assert_int_equal(rows[0], 1 + 1 + 4);
    assert_int_equal(rows[1], rows[0]);
    for (int i = 0; i < 3; i++)
        ak_map_close(&again[i]);
    ak_free(csv);
    ak_free(jsonl);
}

static void assert_copies(const char *expected)
{
    char **names, all[512] = "";
    int64_t count;
    assert_ok(ak_list_folder(&names, &count, test_path("run"), told));
    for (int64_t i = 0; i < count; i++)
        if (strcmp(names[i], "checkpoint.safetensors") != 0)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s ", names[i]);
    ak_names_free(names, count);
    assert_string_equal(all, expected);
}

static void test_copies_are_kept(void **state)
{
    (void)state;
    static float expected[VALIDATION * DIM];
    akin_model *model;
    akin_fit_summary whole;
    char folder[512], copy[600];
    snprintf(folder, sizeof folder, "%s", test_path("run"));
    plan p = {.lr = 0.05, .optimizer = AKIN_ADAM};
    akin_trainer trainer = trainer_of(5);
    trainer.checkpoint = folder;
    trainer.checkpoint_epochs = 1;
    trainer.checkpoint_keep = 2;
    assert_ok(fit(&model, &p, &trainer, &whole, told));
    vectors_of(model, expected);
    akin_model_free(model);
    assert_copies("checkpoint-16.safetensors checkpoint-20.safetensors ");
    /* a run may go on from a copy, and goes on with the list of copies */
    snprintf(copy, sizeof copy, "%s/checkpoint-16.safetensors", folder);
    trainer.resume_from = copy;
    trainer.checkpoint_keep = 3;
    resume(&p, trainer, expected, &whole);
    assert_copies("checkpoint-16.safetensors checkpoint-20.safetensors ");
    /* by value */
    char best[64];
    trainer.resume_from = NULL;
    trainer.checkpoint_keep = 1;
    trainer.checkpoint_keep_by = AKIN_KEEP_BEST;
    trainer.max_epochs = 40;
    trainer.monitor = "reciprocal_rank"; /* it reaches its top early */
    ak_remove_tree(folder);
    assert_ok(fit(&model, &p, &trainer, &whole, told));
    akin_model_free(model);
    snprintf(best, sizeof best, "checkpoint-%d.safetensors ", (int)whole.best_step);
    assert_copies(best);
    assert_true(whole.best_epoch > 0 && whole.best_epoch < 40); /* else it says nothing */
}

static void assert_same_file(const char *path, const char *data, size_t size)
{
    ak_map map;
    assert_ok(ak_map_open(&map, path, told));
    assert_int_equal(map.size, size);
    assert_memory_equal(map.data, data, size);
    ak_map_close(&map);
}

/* What the user names is read only, and the logs of another run are not cut to the checkpoint's. */
static void test_what_is_the_users_stays(void **state)
{
    (void)state;
    akin_model *model;
    char backup[512], file[600];
    snprintf(backup, sizeof backup, "%s", test_path("backup"));
    snprintf(file, sizeof file, "%s/checkpoint.safetensors", backup);
    plan p = {.lr = 0.05};
    akin_trainer trainer = trainer_of(2);
    trainer.checkpoint = backup;
    trainer.log_folder = test_path("first");
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    ak_map before;
    assert_ok(ak_map_open(&before, file, told));
    assert_ok(ak_make_folders(test_path("second"), told));
    assert_ok(ak_file_write(test_path("second/log.csv"), "what it told\n", 13, told));
    trainer.resume = true;
    trainer.resume_from = backup;
    trainer.checkpoint = test_path("own");
    trainer.log_folder = test_path("second");
    trainer.max_epochs = 3;
    assert_int_equal(fit(&model, &p, &trainer, NULL, NULL), AKIN_ERR_EXISTS);
    assert_same_file(test_path("second/log.csv"), "what it told\n", 13);
    trainer.log_folder = test_path("first");
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    assert_int_equal(ak_path_what(test_path("own/checkpoint.safetensors")), AK_PATH_FILE);
    assert_same_file(file, before.data, before.size);
    ak_map_close(&before);
}

static void test_two_runs_of_one_place(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error;
    int lock;
    plan p = {.lr = 0.05};
    akin_trainer trainer = trainer_of(2);
    trainer.checkpoint = test_path("run");
    assert_ok(ak_make_folders(trainer.checkpoint, told));
    assert_ok(ak_lock_folder(&lock, trainer.checkpoint, told)); /* as a run does */
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_EXISTS);
    assert_non_null(strstr(error.message, "another run writes its checkpoint there"));
    ak_unlock(lock);
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
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
        {0, 3, 0, "...w...w.."},  {0, 0, 1, ".....w...."},
        {0, 1, 0, ".wwww.wwww"},  {1e-9, 0, 0, "wwww"}, /* by time: the clock decides how many */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_model *model;
        watched w = {0};
        plan p = {.lr = 0.01};
        akin_trainer trainer = trainer_of(2);
        akin_callback callback = {
            .size = sizeof callback, .user = &w, .on_step_end = watch, .on_epoch_end = watch};
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
        {.what = "lr", .lr = 0.03, .told = "optimizer.lr was 0.02, this run's is 0.03"},
        {.what = "head",
         .head = "{dropout: 0.3}",
         .told = "head.dropout was 0.2, this run's is 0.3"},
        {.what = "batch size", .batch = 20, .told = "train.batch_size was 16, this run's is 20"},
        {.what = "seed", .seed = 7, .told = "train.seed was 42, this run's is 7"},
        {.what = "encoder", .encoder = "{dim: 6, version: 2}", .told = "encoders was \""},
        {.what = "order", .in_order = true, .told = "train.shuffle was true"},
        {.what = "monitor",
         .monitor = "reciprocal_rank",
         .told = "train.early_stopping.metric was"},
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
        TEST(test_resume_with_more_epochs),
        TEST(test_resumed_logs),
        TEST(test_copies_are_kept),
        TEST(test_what_is_the_users_stays),
        TEST(test_two_runs_of_one_place),
        TEST(test_when_checkpoints_are_written),
        TEST(test_resume_of_another_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
