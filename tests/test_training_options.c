/* Options of a run: what they do to the steps, the parameters and the learning rate. */
#include "training_scene.h"

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
    double decay = fmin(0.5, ((double)akin_training_step(t)) / (9. + (double)akin_training_step(t)));
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
