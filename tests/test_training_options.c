/* Options of a run: what they do to the steps, the parameters and the learning rate. */
#include "training_scene.h"

#include "data/events_golden.h"

/* ---- gradients to parameters ---- */

static void parameters_after(float *out, plan p, const akin_trainer *trainer, akin_fit_summary *s)
{
    akin_model *model;
    p.encoder = "{dim: 6, trainable: true}";
    p.head = "empty";
    p.loss = "shifted"; /* a mean over pairs, so batches of one size add up to the whole */
    assert_ok(fit(&model, &p, trainer, s, told));
    memcpy(out, ak_parameters_values(ak_encoder_parameters(model->encoders[0].encoder)),
           DIM * DIM * sizeof *out);
    akin_model_free(model);
}

static double largest_difference(const float *a, const float *b, int n)
{
    double largest = 0;
    for (int i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

/* Four batches of 15 make the step of one batch of 60. */
static void test_accumulated_batches_are_one(void **state)
{
    (void)state;
    float whole[DIM * DIM], parts[DIM * DIM], single[DIM * DIM];
    akin_fit_summary s;
    plan p = {.lr = 0.05, .optimizer = AKIN_SGD, .no_shuffle = true, .no_validation = true};
    akin_trainer trainer = trainer_of(3);
    p.batch = TRAIN;
    parameters_after(whole, p, &trainer, &s);
    assert_int_equal(s.steps, 3);
    p.batch = TRAIN / 4;
    parameters_after(single, p, &trainer, &s);
    assert_int_equal(s.steps, 12);
    trainer.accumulate = 4;
    parameters_after(parts, p, &trainer, &s);
    assert_int_equal(s.steps, 3);
    assert_true(largest_difference(whole, parts, DIM * DIM) < 1e-6);
    assert_true(largest_difference(whole, single, DIM * DIM) > 1e-3);
}

/* 60 pairs in batches of 16 are 4; the fourth waits for nobody. */
static void test_left_over_batches_are_a_step(void **state)
{
    (void)state;
    float out[DIM * DIM];
    akin_fit_summary s;
    plan p = {.lr = 0.05, .optimizer = AKIN_SGD};
    akin_trainer trainer = trainer_of(2);
    trainer.accumulate = 3;
    parameters_after(out, p, &trainer, &s);
    assert_int_equal(s.steps, 4);
    trainer.accumulate = 100;
    parameters_after(out, p, &trainer, &s);
    assert_int_equal(s.steps, 2);
}

static void test_clipped_runs(void **state)
{
    (void)state;
    float start[DIM * DIM], out[DIM * DIM];
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_SGD);
    akin_trainer trainer = trainer_of(1);
    plan p = {.options = &options, .batch = TRAIN, .no_validation = true};
    options.lr = 0;
    parameters_after(start, p, &trainer, NULL);
    options.lr = 1;
    options.clip_value = 1e-3;
    parameters_after(out, p, &trainer, NULL);
    double moved = largest_difference(start, out, DIM * DIM);
    assert_true(moved > 0.9e-3 && moved < 1.1e-3);
    options.clip_value = 0;
    options.clip_norm = 1e-2; /* nearly all of it is the loss's own gradient, of 6 */
    parameters_after(out, p, &trainer, NULL);
    double length = 0;
    for (int i = 0; i < DIM * DIM; i++)
        length += pow((double)out[i] - (double)start[i], 2);
    length = sqrt(length);
    assert_true(length > 1e-4 && length < 1e-2);
}

static void test_groups_of_parameters(void **state)
{
    (void)state;
    float out[DIM * DIM], start[DIM * DIM];
    akin_error error;
    akin_model *model;
    akin_parameter_group groups[] = {{"n/*", 0, 0}, {"lass/*", 1, 0}};
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    akin_trainer trainer = trainer_of(1);
    plan p = {.options = &options, .no_validation = true};
    options.lr = 0;
    parameters_after(start, p, &trainer, NULL);
    options.lr = 0.1;
    options.groups = groups;
    options.group_count = 1;
    parameters_after(out, p, &trainer, NULL);
    assert_memory_equal(out, start, sizeof out);
    options.groups = groups + 1;
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "no trained parameter fits \"lass/*\"; one of them is"));
}

/* ---- the learning rate ---- */

typedef struct rates {
    double lr[64];
    int count;
    int64_t change_at;
} rates;

static void note_rate(void *user, akin_training *t)
{
    rates *r = user;
    assert_true(r->count < 64);
    r->lr[r->count++] = akin_training_lr(t);
    if (akin_training_step(t) == r->change_at) {
        akin_training_set_lr(t, NAN);
        akin_training_set_lr(t, -1);
        akin_training_set_lr(t, 0.001);
    }
}

static rates rates_of(const akin_optimizer_options *options, int64_t epochs, int64_t change_at,
                      double min_delta)
{
    rates r = {.change_at = change_at};
    akin_model *model;
    plan p = {.options = options};
    akin_trainer trainer = trainer_of(epochs);
    trainer.min_delta = min_delta;
    akin_callback callback = {.size = sizeof callback, .user = &r, .on_step_end = note_rate};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    return r;
}

static void test_schedules_reach_the_steps(void **state)
{
    (void)state;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    options.lr = 0.01;
    options.schedule = AKIN_ONE_CYCLE;
    rates r = rates_of(&options, 3, 0, 0);
    assert_int_equal(r.count, 3 * STEPS);
    for (int i = 0; i < r.count; i++)
        assert_true(r.lr[i] == ak_schedule_lr(&options, i, 3 * STEPS));
    options.schedule = AKIN_LINEAR;
    r = rates_of(&options, 3, 6, 0);
    assert_true(r.lr[5] == 0.01 * (12. - 5) / 12);
    assert_true(r.lr[6] == 0.001 * (12. - 6) / 12);
}

/* Nothing counts as better than the first epoch: one bad validation is borne, the next drops. */
static void test_plateau(void **state)
{
    (void)state;
    static const double expected[] = {1, 1, 1, .5, .5, .3, .3, .3};
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    options.lr = 1;
    options.schedule = AKIN_PLATEAU;
    options.gamma = 0.5;
    options.min_lr = 0.3;
    rates r = rates_of(&options, 8, 0, 1e9);
    assert_int_equal(r.count, 8 * STEPS);
    for (int i = 0; i < r.count; i++)
        if (r.lr[i] != expected[i / STEPS])
            fail_msg("step %d: %g, not %g", i, r.lr[i], expected[i / STEPS]);
}

/* ---- moving average ---- */

static void no_average(void *user, akin_training *t)
{
    float *sum = user;
    const float *values = ak_parameters_values(t->parts[t->part_count - 1].parameters);
    double decay =
        fmin(0.5, ((double)akin_training_step(t)) / (9. + (double)akin_training_step(t)));
    for (int i = 0; i < DIM * DIM; i++)
        sum[i] += (float)(1 - decay) * (values[i] - sum[i]);
}

static void test_average_is_what_is_kept(void **state)
{
    (void)state;
    float expected[DIM * DIM] = {0}, last[DIM * DIM], kept[DIM * DIM];
    akin_trainer trainer = trainer_of(3);
    plan p = {.lr = 0.05, .optimizer = AKIN_ADAM, .no_validation = true, .options = NULL};
    parameters_after(last, p, &trainer, NULL);
    trainer.average = 0.5;
    for (int i = 0; i < DIM * DIM; i++)
        expected[i] = i % (DIM + 1) == 0;
    akin_callback callback = {.size = sizeof callback, .user = expected, .on_step_end = no_average};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    p.encoder = "{dim: 6, trainable: true}";
    p.head = "empty";
    p.loss = "shifted";
    akin_model *model;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    memcpy(kept, ak_parameters_values(ak_encoder_parameters(model->encoders[0].encoder)),
           sizeof kept);
    akin_model_free(model);
    assert_true(largest_difference(kept, expected, DIM * DIM) < 1e-6);
    assert_true(largest_difference(kept, last, DIM * DIM) > 1e-4);
}

/* ---- how much, and when it is validated ---- */

/* 's' a step, 'v' a validation (by its first batch), 'e' the end of an epoch. */
typedef struct course {
    char text[256];
    int64_t results; /* of validation, until now */
    const plan *plan;
} course;

static void add_event(course *c, char what)
{
    size_t length = strlen(c->text);
    if (c->plan->validation_results > c->results) {
        c->results = c->plan->validation_results;
        c->text[length++] = 'v';
    }
    assert_true(length + 1 < sizeof c->text);
    c->text[length] = what;
}

static void course_step(void *user, akin_training *t)
{
    (void)t;
    add_event(user, 's');
}

static void course_epoch(void *user, akin_training *t)
{
    (void)t;
    add_event(user, 'e');
}

static const char *course_of(akin_trainer trainer, akin_fit_summary *s)
{
    static course c;
    akin_model *model;
    plan p = {.lr = 0.01};
    c = (course){.plan = &p};
    akin_callback callback = {.size = sizeof callback,
                              .user = &c,
                              .on_step_end = course_step,
                              .on_epoch_end = course_epoch};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    assert_ok(fit(&model, &p, &trainer, s, told));
    akin_model_free(model);
    return c.text;
}

static void test_course_of_a_run(void **state)
{
    (void)state;
    const akin_trainer base = trainer_of(2);
    struct {
        const char *expected; /* 4 batches an epoch; the first v is the base */
        akin_trainer trainer;
    } rows[11] = {{"vssssvessssve", base},
                  {"vssvssvessvssve", base},
                  {"vsvsvsvsvesvsvsvsve", base},
                  {"vsssvsessvssve", base},
                  {"vssssessssve", base},
                  {"vssvessve", base},
                  {"vsvesve", base},
                  {"vssvessve", base},
                  {"vssssvesve", base},
                  {"vssvessve", base},
                  {"vsve", base}};
    rows[1].trainer.validation_epochs = 0.5;
    rows[2].trainer.validation_epochs = 0.1;
    rows[3].trainer.validation_steps = 3;
    rows[4].trainer.validation_epochs = 2;
    rows[5].trainer.limit_batches = 2;
    rows[6].trainer.overfit_batches = 1;
    rows[7].trainer.accumulate = 2;
    rows[8].trainer.max_steps = 5;
    rows[9].trainer.accumulate = 3; /* a step of three batches, one of what is left over */
    rows[10].trainer.max_seconds = 1e-9;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = course_of(rows[i].trainer, NULL);
        if (strcmp(text, rows[i].expected) != 0)
            fail_msg("row %d: %s, not %s", (int)i, text, rows[i].expected);
    }
}

static void test_early_stopping_waits(void **state)
{
    (void)state;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(9);
    trainer.patience = 1;
    trainer.min_delta = 1e9; /* only the base counts as good */
    course_of(trainer, &s);
    assert_int_equal(s.steps, STEPS);
    trainer.min_steps = 2 * STEPS + 1;
    course_of(trainer, &s);
    assert_int_equal(s.steps, 3 * STEPS);
    trainer.min_steps = 0;
    trainer.validation_steps = 1; /* an epoch that is not over does not count */
    course_of(trainer, &s);
    assert_int_equal(s.steps, STEPS);
    assert_true(s.stopped_early && s.best_epoch == 0 && s.best_step == 0);
}

/* The same batches every epoch: with a rate of 0 every epoch has the same losses in order. */
static double losses[64];
static int loss_count;

static void note_loss(void *user, akin_training *t)
{
    (void)user;
    assert_true(loss_count < 64);
    losses[loss_count++] = akin_training_loss(t);
}

static void test_overfitted_batches_are_the_same(void **state)
{
    (void)state;
    for (int overfit = 0; overfit < 2; overfit++) {
        akin_model *model;
        plan p = {.lr = 0};
        akin_trainer trainer = trainer_of(3);
        akin_callback callback = {.size = sizeof callback, .on_step_end = note_loss};
        assert_ok(akin_trainer_add_callback(&trainer, callback, told));
        trainer.overfit_batches = overfit ? 2 : 0;
        trainer.limit_batches = 2;
        loss_count = 0;
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        akin_model_free(model);
        assert_int_equal(loss_count, 6);
        assert_true((losses[0] == losses[2] && losses[3] == losses[5]) == (overfit == 1));
    }
}

static void test_limited_validation(void **state)
{
    (void)state;
    akin_model *model;
    plan p = {.lr = 0.01};
    akin_trainer trainer = trainer_of(2);
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    assert_int_equal(p.validation_results, 3 * 2);
    trainer.limit_validation_batches = 1;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    assert_int_equal(p.validation_results, 3 * 1);
}

/* ---- what a run tells ---- */

static char told_tables[4096], told_progress[4096];

static void note_message(void *user, akin_message_kind kind, double fraction, const char *text)
{
    char *out = kind == AKIN_MESSAGE_TABLE ? told_tables : told_progress;
    (void)user;
    (void)fraction;
    if (kind == AKIN_MESSAGE_TABLE || kind == AKIN_MESSAGE_PROGRESS)
        snprintf(out, sizeof told_tables, "%s", text);
}

static void test_profile_and_progress(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error;
    plan p = {.lr = 0.01};
    akin_trainer trainer = trainer_of(2);
    trainer.progress = true;
    trainer.profile = true;
    trainer.progress_metrics = "lr,validation_loss";
    told_tables[0] = told_progress[0] = 0;
    akin_context_on_message(context, note_message, NULL);
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    static const char *const stages[] = {
        "preparation",    "waiting for data",   "encoders",  "head",       "loss",
        "head, backward", "encoders, backward", "optimizer", "validation", "checkpoint",
        "other"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (!strstr(told_tables, stages[i]))
            fail_msg("no %s in\n%s", stages[i], told_tables);
    if (!strstr(told_progress, "lr 1.00e-02, validation_loss ") || strstr(told_progress, ", loss "))
        fail_msg("%s", told_progress);
    told_tables[0] = 0;
    trainer.profile = false;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    assert_string_equal(told_tables, "");
    trainer.progress_metrics = "loss,validation_los";
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "has \"validation_los\", which is none of loss, lr,"));
}

static void test_event_records(void **state)
{
    (void)state;
    ak_text out = {0};
    ak_event event = {.step = 300,
                      .count = 2,
                      .tags = {"validation_loss", "precision@1"},
                      .values = {0.25f, -1e-3f}};
    ak_event_write(&out, NULL, 1.5e9);
    ak_event_write(&out, &event, 1.5e9 + 0.5);
    assert_false(out.failed);
    assert_int_equal(out.size, sizeof events_golden);
    assert_memory_equal(out.data, events_golden, sizeof events_golden);
    ak_free(out.data);
    for (int64_t n = 1;; n++) {
        ak_text small = {0};
        ak_memory_fail_at(n);
        ak_event_write(&small, &event, 0);
        bool made = ak_memory_fail_at(0) >= n;
        ak_free(small.data);
        if (!made)
            break;
        assert_true(small.failed);
    }
}

/* ---- callbacks that save ---- */

static void save_now(void *user, akin_training *t)
{
    akin_error error;
    if (akin_training_step(t) != 6)
        return;
    assert_ok(akin_training_save(t, user, false, told));
    assert_int_equal(akin_training_save(t, user, false, &error), AKIN_ERR_EXISTS);
    assert_ok(akin_training_save(t, user, true, told));
}

static void test_a_callback_saves(void **state)
{
    (void)state;
    static float expected[VALIDATION * DIM], saved[VALIDATION * DIM];
    akin_model *model;
    char path[512];
    plan p = {.lr = 0.05, .optimizer = AKIN_ADAM, .no_validation = true};
    snprintf(path, sizeof path, "%s", test_path("now"));
    for (int average = 0; average < 2; average++) {
        akin_trainer trainer = trainer_of(3);
        akin_callback callback = {.size = sizeof callback, .user = path, .on_step_end = save_now};
        trainer.average = average ? 0.9 : 0;
        trainer.max_steps = 6; /* without validation the last parameters are kept */
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        vectors_of(model, expected);
        akin_model_free(model);
        trainer.max_steps = 0;
        ak_remove_tree(path);
        assert_ok(akin_trainer_add_callback(&trainer, callback, told));
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        akin_model_free(model);
        assert_ok(akin_model_load(&model, context, path, AKIN_AS_SAVED, told));
        vectors_of(model, saved);
        akin_model_free(model);
        assert_memory_equal(saved, expected, sizeof saved);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_accumulated_batches_are_one),
        TEST(test_left_over_batches_are_a_step),
        TEST(test_clipped_runs),
        TEST(test_groups_of_parameters),
        TEST(test_schedules_reach_the_steps),
        TEST(test_plateau),
        TEST(test_average_is_what_is_kept),
        TEST(test_course_of_a_run),
        TEST(test_early_stopping_waits),
        TEST(test_overfitted_batches_are_the_same),
        TEST(test_limited_validation),
        TEST(test_profile_and_progress),
        TEST(test_event_records),
        TEST(test_a_callback_saves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
