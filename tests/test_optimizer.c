/* Optimizers and schedules against PyTorch's definitions, groups of parameters, clipping. */
#include "nn_scene.h"

/* ---- steps ---- */

enum { GOLDEN_VALUES = 28 };

typedef struct golden_case {
    akin_optimizer_options options;
    int64_t total_steps;
    double values[GOLDEN_VALUES];
} golden_case;

#include "data/optimizer_golden.h"

static const int golden_sizes[] = {20, 3, 5};

static akin_parameters *golden_parameters(void)
{
    akin_parameters *p;
    int number;
    assert_int_equal(akin_parameters_create(&p, &error), 0);
    akin_parameters_add(p, &number, "w", 4, 5, AKIN_INIT_ZERO, 0, true, &error);
    akin_parameters_add(p, &number, "b", 1, 3, AKIN_INIT_ZERO, 0, false, &error);
    akin_parameters_add(p, &number, "v", 1, 5, AKIN_INIT_ZERO, 0, true, &error);
    akin_parameters_get(p, number)->lr_factor = .5;
    assert_int_equal(akin_parameters_seal(p, 1, &error), 0);
    for (int n = 0; n < 3; n++)
        for (int i = 0; i < golden_sizes[n]; i++)
            akin_parameters_get(p, n)->value[i] = (float)((i * 5 + n * 3) % 13 - 6) / 16;
    return p;
}

static void test_optimizers(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof golden_cases / sizeof *golden_cases; c++) {
        const golden_case *t = &golden_cases[c];
        akin_parameters *p = golden_parameters();
        ak_optimizer *o;
        assert_int_equal(ak_optimizer_create(&o, &t->options, p, &error), 0);
        for (int step = 0; step < 10; step++) {
            for (int n = 0; n < 3; n++)
                for (int i = 0; i < golden_sizes[n]; i++)
                    akin_parameters_get(p, n)->grad[i] =
                        (float)((i * 7 + n * 11 + step * 13) % 17 - 8) / 16;
            double lr = ak_optimizer_step(o, step, t->total_steps);
            assert_true(lr == ak_schedule_lr(&t->options, step, t->total_steps));
        }
        for (int n = 0, k = 0; n < 3; n++)
            for (int i = 0; i < golden_sizes[n]; i++, k++) {
                assert_near(akin_parameters_get(p, n)->value[i], t->values[k], 1e-6);
                assert_true(akin_parameters_get(p, n)->grad[i] == 0);
            }
        ak_optimizer_free(o);
        akin_parameters_free(p);
    }
    ak_optimizer_free(NULL);
}

/* clip_grad_norm_ divides by the norm + 1e-6, which shows where gradients are as small. */
static void test_clip_of_small_gradients(void **state)
{
    (void)state;
    akin_optimizer_options options = {.type = AKIN_SGD, .lr = 1, .clip_norm = 1e-6};
    akin_parameters *p = golden_parameters();
    ak_optimizer *o;
    assert_int_equal(ak_optimizer_create(&o, &options, p, &error), 0);
    ak_parameters_values(p)[0] = 0;
    ak_parameters_grads(p)[0] = 3e-6f;
    ak_optimizer_step(o, 0, 0);
    assert_true(fabs(ak_parameters_values(p)[0] / -3e-6 - 1. / 4) < 1e-5);
    ak_optimizer_free(o);
    akin_parameters_free(p);
}

/* What a checkpoint holds continues in the same bits. */
static void test_optimizer_resume(void **state)
{
    (void)state;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAMW);
    akin_parameters *p[2] = {golden_parameters(), golden_parameters()};
    ak_optimizer *o[2];
    for (int k = 0; k < 2; k++)
        assert_int_equal(ak_optimizer_create(&o[k], &options, p[k], &error), 0);
    for (int step = 0; step < 6; step++) {
        size_t bytes = (size_t)ak_parameters_size(p[0]) * sizeof(float);
        if (step == 3) {
            memcpy(ak_parameters_values(p[1]), ak_parameters_values(p[0]), bytes);
            for (int s = 0; s < ak_optimizer_state_count(o[0]); s++)
                memcpy(ak_optimizer_state(o[1], s), ak_optimizer_state(o[0], s), bytes);
        }
        for (int k = step < 3 ? 0 : 1; k >= 0; k--) {
            for (int i = 0; i < 20; i++)
                ak_parameters_grads(p[k])[i] = noise((uint64_t)step, i);
            ak_optimizer_step(o[k], step, 0);
        }
    }
    assert_memory_equal(ak_parameters_values(p[0]), ak_parameters_values(p[1]), 20 * sizeof(float));
    assert_string_equal(ak_optimizer_state_name(o[0], 0), "first_moment");
    assert_string_equal(ak_optimizer_state_name(o[0], 1), "second_moment");
    for (int k = 0; k < 2; k++) {
        ak_optimizer_free(o[k]);
        akin_parameters_free(p[k]);
    }
}

static void test_optimizer_errors(void **state)
{
    (void)state;
    const struct {
        akin_optimizer_options options;
        const char *message;
    } cases[] = {
        {{.lr = NAN}, "\"lr\" is nan, must be a finite number"},
        {{.lr = -1}, "\"lr\" is -1, must be between 0 and"},
        {{.type = 7}, "\"type\" is 7, must be between 0 and 2 (sgd|adam|adamw)"},
        {{.schedule = -1}, "\"schedule\" is -1"},
        {{.momentum = 1.5}, "\"momentum\" is 1.5"},
        {{.type = AKIN_ADAM, .beta1 = 1}, "\"beta1\" is 1"},
        {{.beta2 = -.1}, "\"beta2\" is -0.1"},
        {{.epsilon = INFINITY}, "\"epsilon\" is inf"},
        {{.weight_decay = -2}, "\"weight_decay\" is -2"},
        {{.warmup_steps = -1}, "\"warmup_steps\" is -1"},
        {{.clip_norm = NAN}, "\"clip_norm\" is nan"},
        {{.clip_value = -1}, "\"clip_value\" is -1"},
        {{.schedule = AKIN_STEP}, "\"step\" needs \"period\""},
        {{.schedule = AKIN_COSINE_RESTARTS}, "\"cosine_restarts\" needs \"period\""},
        {{.schedule = AKIN_ONE_CYCLE, .warmup_steps = 3}, "a rise of its own"},
        {{.lr = .1, .min_lr = .2}, "\"min_lr\" is 0.2, above"},
        {{.groups = (akin_parameter_group[]){{NULL, 1, 0}}, .group_count = 1}, "no \"match\""},
        {{.groups = (akin_parameter_group[]){{"*", -1, 0}}, .group_count = 1},
         "\"lr_factor\" is -1"},
    };
    akin_parameters *p = golden_parameters();
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        ak_optimizer *o = (ak_optimizer *)p;
        assert_int_equal(ak_optimizer_create(&o, &cases[c].options, p, &error), AKIN_ERR_ARGUMENT);
        assert_null(o);
        if (!strstr(error.message, cases[c].message))
            fail_msg("\"%s\" lacks \"%s\"", error.message, cases[c].message);
    }
    akin_parameters_free(p);
}

static void test_optimizer_defaults(void **state)
{
    (void)state;
    akin_optimizer_options parsed = {0};
    assert_int_equal(ak_options_defaults(ak_optimizer_options, &parsed, arena, &error), 0);
    akin_optimizer_options adam = akin_optimizer_defaults(AKIN_ADAM);
    assert_int_equal(parsed.type, AKIN_ADAM);
    assert_true(parsed.lr == adam.lr && parsed.beta1 == adam.beta1 && parsed.beta2 == adam.beta2);
    assert_true(parsed.epsilon == adam.epsilon && parsed.clip_norm == adam.clip_norm);
    assert_true(parsed.momentum == adam.momentum && parsed.schedule == adam.schedule);
    assert_true(parsed.warmup_steps == adam.warmup_steps && parsed.gamma == .1);
    assert_true(adam.weight_decay == 0 && adam.size == sizeof adam);
    assert_true(akin_optimizer_defaults(AKIN_ADAMW).weight_decay == .01);
}

/* Two groups over three parameters: the last one that fits counts. */
static void test_parameter_groups(void **state)
{
    (void)state;
    const akin_parameter_group groups[] = {{"head/*", .5, 0}, {"head/[bv]", 0, .1}};
    akin_optimizer_options options = {.type = AKIN_SGD, .lr = .1, .weight_decay = .2};
    akin_parameters *p = golden_parameters();
    ak_optimizer *o;
    int fitting[2] = {0}, nothing = 0;
    assert_int_equal(ak_optimizer_create(&o, &options, p, &error), 0);
    for (int g = 0; g < 2; g++)
        assert_int_equal(ak_optimizer_apply(o, "head", &groups[g], &fitting[g], &error), 0);
    assert_int_equal(ak_optimizer_apply(o, "loss", &groups[0], &nothing, &error), 0);
    assert_true(fitting[0] == 3 && fitting[1] == 2 && nothing == 0);
    float before[3];
    for (int n = 0; n < 3; n++) {
        before[n] = *akin_parameters_get(p, n)->value;
        *akin_parameters_get(p, n)->grad = 1;
    }
    ak_optimizer_step(o, 0, 0);
    assert_near(*akin_parameters_get(p, 0)->value, before[0] - .1 * .5 * 1, 1e-7);
    assert_true(*akin_parameters_get(p, 1)->value == before[1]);
    assert_true(*akin_parameters_get(p, 2)->value == before[2]);
    ak_optimizer_set_lr(o, .01);
    *akin_parameters_get(p, 0)->grad = 1;
    before[0] = *akin_parameters_get(p, 0)->value;
    assert_true(ak_optimizer_step(o, 1, 0) == .01);
    assert_near(*akin_parameters_get(p, 0)->value, before[0] - .01 * .5 * 1, 1e-7);
    ak_optimizer_free(o);
    akin_parameters_free(p);
}

/* As one vector over two blocks: values first, then the length. */
static void test_clip_over_blocks(void **state)
{
    (void)state;
    akin_parameters *p[2] = {golden_parameters(), golden_parameters()};
    for (int k = 0; k < 2; k++)
        assert_int_equal(ak_parameters_train(p[k], &error), 0);
    float *a = ak_parameters_grads(p[0]), *b = ak_parameters_grads(p[1]);
    a[0] = 9, a[1] = -9, a[2] = .5f, b[0] = 4;
    ak_clip_grads(p, 2, 0, 0);
    assert_true(a[0] == 9 && b[0] == 4);
    ak_clip_grads(p, 2, 4, 0);
    assert_true(a[0] == 4 && a[1] == -4 && a[2] == .5f && b[0] == 4);
    double norm = sqrt(3 * 16 + .25);
    ak_clip_grads(p, 2, 4, norm + 1);
    assert_true(a[0] == 4);
    ak_clip_grads(p, 2, 4, 1);
    assert_near(a[0], 4 / norm, 1e-6);
    assert_near(b[0], 4 / norm, 1e-6);
    assert_near(a[2], .5 / norm, 1e-6);
    a[0] = NAN;
    ak_clip_grads(p, 2, 4, 1);
    assert_true(isnan(a[0]) && isnan(b[0]));
    for (int k = 0; k < 2; k++)
        akin_parameters_free(p[k]);
}

#include "data/schedule_golden.h"

/* As PyTorch's schedulers give them. */
static void test_schedules_golden(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof schedule_cases / sizeof *schedule_cases; c++) {
        const schedule_case *s = &schedule_cases[c];
        assert_int_equal(ak_optimizer_check(&s->options, &error), 0);
        for (int step = 0; step < 24; step++)
            if (fabs(ak_schedule_lr(&s->options, step, 24) - s->lr[step]) > 1e-12)
                fail_msg("case %d, step %d: %.15g, not %.15g", (int)c, step,
                         ak_schedule_lr(&s->options, step, 24), s->lr[step]);
    }
}

static void test_schedule(void **state)
{
    (void)state;
    const struct {
        int schedule;
        int64_t warmup, step, total;
        double lr;
    } cases[] = {
        {AKIN_CONSTANT, 0, 0, 10, 2},   {AKIN_CONSTANT, 4, 0, 10, 0},
        {AKIN_CONSTANT, 4, 3, 10, 1.5}, {AKIN_CONSTANT, 4, 400, 10, 2},
        {AKIN_LINEAR, 0, 0, 10, 2},     {AKIN_LINEAR, 0, 5, 10, 1},
        {AKIN_LINEAR, 5, 5, 10, 2},     {AKIN_LINEAR, 5, 9, 10, .4},
        {AKIN_LINEAR, 5, 10, 10, 0},    {AKIN_LINEAR, 5, 11, 10, 0},
        {AKIN_LINEAR, 5, 100, 0, 2},    {AKIN_LINEAR, 20, 15, 10, 1.5},
        {AKIN_LINEAR, 20, 20, 20, 0},   {AKIN_COSINE, 0, 0, 10, 2},
        {AKIN_COSINE, 0, 5, 10, 1},     {AKIN_COSINE, 2, 4, 10, 1 + 0.70710678118654752},
        {AKIN_COSINE, 2, 10, 10, 0},    {AKIN_COSINE, 2, 15, 10, 0},
        {AKIN_PLATEAU, 4, 3, 10, 1.5},  {AKIN_PLATEAU, 4, 30, 10, 2},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        akin_optimizer_options o = {
            .lr = 2, .schedule = cases[c].schedule, .warmup_steps = cases[c].warmup};
        assert_near(ak_schedule_lr(&o, cases[c].step, cases[c].total), cases[c].lr, 1e-15);
    }
}

/* ---- memory ---- */

static akin_status whole_life(void)
{
    akin_parameters *p = NULL;
    ak_optimizer *o = NULL;
    int number;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    akin_status status = akin_parameters_create(&p, &error);
    if (!status)
        status = akin_parameters_add(p, &number, "w", 3, 4, AKIN_INIT_NORMAL, 1, true, &error);
    if (!status)
        status = akin_parameters_seal(p, 1, &error);
    if (!status)
        status = ak_optimizer_create(&o, &options, p, &error);
    if (!status)
        ak_optimizer_step(o, 0, 0);
    ak_optimizer_free(o);
    akin_parameters_free(p);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    ak_memory_fail_at(0);
    assert_int_equal(whole_life(), AKIN_OK);
    int64_t count = ak_memory_fail_at(0);
    assert_true(count >= 2);
    for (int64_t n = 1; n <= count; n++) {
        ak_memory_fail_at(n);
        assert_int_equal(whole_life(), AKIN_ERR_MEMORY);
    }
    ak_memory_fail_at(0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        TEST(test_optimizers),         TEST(test_clip_of_small_gradients),
        TEST(test_optimizer_resume),   TEST(test_optimizer_errors),
        TEST(test_optimizer_defaults), TEST(test_parameter_groups),
        TEST(test_clip_over_blocks),   TEST(test_schedule),
        TEST(test_schedules_golden),   TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
