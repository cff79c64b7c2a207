/* Losses over whole batches of groups, losses with class rows, and losses on scored pairs: golden
   values, central differences of an independent double implementation, and what holds for all. */
#include "losses_more_batches.h"

#include <omp.h>

/* ---- tests ---- */

static void golden_values_are_met(void **state)
{
    (void)state;
    for (int i = 0; i < SETTINGS; i++) {
        const setting *s = &all_settings[i];
        scene p = scene_of_eight(s);
        run r;
        run_loss(&r, s, &p, eight, three);
        check_near(r.value, s->reference(&p, &s->values, eight, three), 2e-6, s->name);
        if (s->golden != 0) {
            check_near(r.value, s->golden, 2e-6, s->name);
            check_near(r.dx[0], s->gradient[0], 2e-5, s->name);
            check_near(r.dx[5 * r.stride + 2], s->gradient[1], 2e-5, s->name);
        }
        close_run(&r);
    }
}

static double slope_at(const setting *s, const stage *t, double *place)
{
    double old = *place, h = 1e-6;
    *place = old + h;
    double up = s->reference(&t->p, &s->values, t->x, t->w);
    *place = old - h;
    double down = s->reference(&t->p, &s->values, t->x, t->w);
    *place = old;
    return (up - down) / (2 * h);
}

static void check_gradient(const setting *s, stage *t, const char *name)
{
    run r;
    double *fixed = malloc((size_t)(t->p.objects * t->p.width) * sizeof *fixed), largest = 1;
    memcpy(fixed, t->x, (size_t)(t->p.objects * t->p.width) * sizeof *fixed);
    t->p.detached = fixed;
    run_loss(&r, s, &t->p, t->x, t->w);
    check_near(r.value, s->reference(&t->p, &s->values, t->x, t->w), 3e-6, name);
    for (int64_t i = 0; i < t->p.objects * t->p.width; i++)
        largest = fmax(largest, fabs((double)r.dx[i / t->p.width * r.stride + i % t->p.width]));
    for (uint64_t probe = 0; probe < 8; probe++) {
        int64_t i = (int64_t)ak_random_below(1, 9, probe, (uint64_t)t->p.objects);
        int64_t k = (int64_t)ak_random_below(2, 9, probe, (uint64_t)t->p.width);
        check_near(r.dx[i * r.stride + k], slope_at(s, t, &t->x[i * t->p.width + k]),
                   3e-5 * largest, name);
        if (!s->classes)
            continue;
        int64_t at = (int64_t)ak_random_below(3, 9, probe, (uint64_t)(t->p.groups * t->p.width));
        check_near(r.dw[at], slope_at(s, t, &t->w[at]), 3e-5 * largest, name);
    }
    free(fixed);
    close_run(&r);
}

static void gradients_are_central_differences(void **state)
{
    (void)state;
    for_every_stage(4, 3, check_gradient);
    for_every_stage(38, 5, check_gradient);
    for_every_stage(150, 8, check_gradient);
}

static void check_permutation(const setting *s, stage *t, const char *name)
{
    stage u = *t;
    int64_t n = t->p.objects, half = t->p.samples, width = t->p.width, order[MAX_ROWS];
    run a, b;
    u.x = malloc((size_t)(n * width) * sizeof *u.x);
    ak_random_permutation(5, 1, order, half);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = order[i % half] + i / half * half;
        u.p.content[i] = t->p.content[from];
        u.p.group[i] = t->p.group[from];
        u.p.score[i] = t->p.score[from];
        memcpy(u.x + i * width, t->x + from * width, (size_t)width * sizeof *u.x);
    }
    run_loss(&a, s, &t->p, t->x, t->w);
    run_loss(&b, s, &u.p, u.x, u.w);
    check_near(b.value, a.value, 2e-6, name);
    for (int64_t i = 0; i < n * width; i++) {
        int64_t row = i / width, from = order[row % half] + row / half * half;
        check_near(b.dx[row * b.stride + i % width], a.dx[from * a.stride + i % width], 3e-5, name);
    }
    for (int64_t i = 0; s->classes && i < t->p.groups * width; i++)
        check_near(b.dw[i], a.dw[i], 3e-5, name);
    close_run(&a);
    close_run(&b);
    free(u.x);
}

static void order_of_the_batch_is_no_matter(void **state)
{
    (void)state;
    for_every_stage(38, 5, check_permutation);
}

static void check_threads(const setting *s, stage *t, const char *name)
{
    run one, more;
    size_t bytes = (size_t)(t->p.objects * (t->p.width + 3)) * sizeof(float);
    size_t class_bytes = s->classes ? (size_t)(t->p.groups * t->p.width) * sizeof(float) : 0;
    run_loss(&one, s, &t->p, t->x, t->w);
    for (int threads = 2; threads < 5; threads++) {
        omp_set_num_threads(threads);
        run_loss(&more, s, &t->p, t->x, t->w);
        if (memcmp(&one.value, &more.value, sizeof one.value) || memcmp(one.dx, more.dx, bytes) ||
            (class_bytes && memcmp(one.dw, more.dw, class_bytes)))
            fail_msg("%s: %d threads give other bits", name, threads);
        close_run(&more);
    }
    omp_set_num_threads(1);
    close_run(&one);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    for_every_stage(200, 24, check_threads);
}

static void check_memory(const setting *s, stage *t, const char *name)
{
    run r;
    int64_t n = 1;
    open_run(&r, s, &t->p, t->x, t->w, 0);
    for (akin_status status = AKIN_ERR_MEMORY; status; n++) {
        ak_arena_free(r.pass.arena);
        assert_int_equal(ak_arena_create(&r.pass.arena, NULL), AKIN_OK);
        ak_memory_fail_at(n);
        status = compute(&r, &t->p, true);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
    }
    assert_true(n > 2);
    ak_arena_reset(r.pass.arena);
    ak_memory_fail_at(1);
    if (compute(&r, &t->p, true))
        fail_msg("%s: allocates in the second step", name);
    ak_memory_fail_at(0);
    close_run(&r);
}

static void failing_allocations_come_out(void **state)
{
    (void)state;
    for_every_stage(38, 5, check_memory);
}

/* Groups of one, scores alike, groups that are no classes: nothing to learn. */
static void check_silence(const setting *s, stage *t, const char *name)
{
    run r, bad;
    for (int64_t i = 0; i < t->p.objects; i++) {
        t->p.group[i] = s->classes ? t->p.groups + i : i;
        t->p.score[i] = 0;
    }
    bool regression = !strcmp(s->loss->name, "cosine_similarity");
    for (int64_t i = 0; regression && i < t->p.objects * t->p.width; i++) /* right angles: 0 */
        t->x[i] = i % t->p.width == i / t->p.width / t->p.samples;
    run_loss(&r, s, &t->p, t->x, t->w);
    bool zero = r.value == 0;
    for (int64_t i = 0; i < t->p.objects * r.stride; i++)
        zero = zero && (r.dx[i] == 0 || i % r.stride >= t->p.width);
    if (!zero)
        fail_msg("%s: %g without a positive", name, r.value);
    close_run(&r);
    t->x[7] = strlen(name) % 2 ? (double)NAN : (double)INFINITY;
    run_loss(&bad, s, &t->p, t->x, t->w);
    if (!isnan(bad.value))
        fail_msg("%s: %g for embeddings that are not finite", name, bad.value);
    close_run(&bad);
}

static void nothing_to_learn_is_zero_and_nan_is_nan(void **state)
{
    (void)state;
    for_every_stage(22, 5, check_silence);
}

/* Rows of zeros, many of one point, and its opposite; class rows of zeros and of that point. */
static void check_degenerate(const setting *s, stage *t, const char *name)
{
    run r;
    int64_t width = t->p.width;
    for (int64_t i = width; i < t->p.objects * width; i++)
        t->x[i] = i < 3 * width ? 0 : t->x[i % width] * (i / width % 7 ? 1 : -1);
    for (int64_t i = 0; i < t->p.groups * width; i++)
        t->w[i] = i < width ? 0 : t->x[i % width];
    run_loss(&r, s, &t->p, t->x, t->w);
    bool finite = isfinite(r.value);
    for (int64_t i = 0; i < t->p.objects * r.stride; i++)
        finite = finite && isfinite(r.dx[i]);
    for (int64_t i = 0; s->classes && i < t->p.groups * width; i++)
        finite = finite && isfinite(r.dw[i]);
    if (!finite)
        fail_msg("%s: not finite", name);
    close_run(&r);
}

static void equal_and_zero_rows_are_finite(void **state)
{
    (void)state;
    for_every_stage(22, 5, check_degenerate);
}

static void vectors_of_another_width_have_no_value(void **state)
{
    (void)state;
    for (int i = 0; i < SETTINGS; i++) {
        stage t;
        run r;
        if (!all_settings[i].classes)
            continue;
        fill_stage(&t, &all_settings[i], &every_mask[0], 22, 5, 1);
        open_run(&r, &all_settings[i], &t.p, t.x, t.w, 0);
        t.p.width = 4;
        assert_int_equal(compute(&r, &t.p, false), AKIN_OK);
        assert_true(isnan(r.value));
        close_run(&r);
        clear_stage(&t);
    }
}

static void class_rows_need_groups_and_learn_at_their_own_rate(void **state)
{
    (void)state;
    for (int i = 0; i < SETTINGS; i++) {
        setting s = all_settings[i];
        akin_error error = {0};
        akin_parameters *parameters;
        void *self = &self;
        if (!s.classes)
            continue;
        memset(s.options, 0, sizeof s.options);
        s.options[0][0] = "lr_factor";
        s.options[0][1] = "7.5";
        void *options = options_of(&s);
        assert_int_equal(akin_parameters_create(&parameters, NULL), AKIN_OK);
        assert_int_equal(s.loss->create(&self, options, 4, 0, parameters, &error),
                         AKIN_ERR_ARGUMENT);
        assert_null(self);
        assert_non_null(strstr(error.message, "no groups"));
        ak_memory_fail_at(1); /* its own allocation */
        assert_int_equal(s.loss->create(&self, options, 4, 3, parameters, &error), AKIN_ERR_MEMORY);
        ak_memory_fail_at(0);
        assert_null(self);
        assert_int_equal(s.loss->create(&self, options, 4, 3, parameters, NULL), AKIN_OK);
        const akin_parameter *classes = akin_parameters_get(parameters, 0);
        assert_true(classes->rows == 3 && classes->columns == 4 && !classes->decay);
        check_near(classes->lr_factor, 7.5, 0, s.name);
        s.loss->free(self);
        akin_parameters_free(parameters);
        free(options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_values_are_met),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(order_of_the_batch_is_no_matter),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(failing_allocations_come_out),
        cmocka_unit_test(nothing_to_learn_is_zero_and_nan_is_nan),
        cmocka_unit_test(equal_and_zero_rows_are_finite),
        cmocka_unit_test(vectors_of_another_width_have_no_value),
        cmocka_unit_test(class_rows_need_groups_and_learn_at_their_own_rate),
    };
    omp_set_num_threads(1); /* thousands of tiny steps: threads would only wait for each other */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
