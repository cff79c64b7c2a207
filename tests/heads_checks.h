/* What every head's table of cases goes through: included by a test program below its table, `cases`
   with its number CASES. */
#ifndef AKIN_TEST_HEADS_CHECKS_H
#define AKIN_TEST_HEADS_CHECKS_H

static double dropout_of(const head_case *t, const char *name)
{
    for (const setting *s = t->settings; s->name; s++)
        if (strcmp(s->name, name) == 0)
            return atof(s->text);
    return 0;
}

static const float *mask_of(const fixture *f, int64_t n, double p, uint64_t stream)
{
    akin_matrix ones = ak_matrix_new(f->arena, n, f->in);
    assert_non_null(ones.data);
    for (int64_t i = 0; i < n * f->in; i++)
        ones.data[i] = 1;
    akin_pass pass = pass_of(f, true);
    ak_dropout(ones, ones, p, &pass, stream);
    return ones.data;
}

static reference reference_of(const fixture *f, const head_case *t)
{
    reference r = {.n = t->n, .in = f->in, .out = f->out, .layers = t->layers, .rank = t->rank};
    r.masks[0] = mask_of(f, t->n, dropout_of(t, "dropout"), AK_STREAM_HEAD_INPUT);
    for (int l = 0; l < 3; l++)
        r.masks[1 + l] =
            mask_of(f, t->n, dropout_of(t, "skip_dropout"), AK_STREAM_HEAD_LAYER + (uint64_t)l);
    return r;
}

/* inputs: x (n x in), then the parameters; y: n x out. */
static void reference_run(reference *r, row_function *row, const double *inputs, double *y)
{
    double dropped[64];
    r->p = inputs + r->n * r->in;
    for (int64_t i = 0; i < r->n; i++) {
        for (int64_t j = 0; j < r->in; j++)
            dropped[j] = inputs[i * r->in + j] * r->masks[0][i * r->in + j];
        row(r, i, dropped, y + i * r->out);
    }
}

static void assert_close(const char *title, const char *what, int64_t i, double got,
                         double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%s, %s %lld: got %.9g, expected %.9g", title, what, (long long)i, got, expected);
}

static int64_t gather(const fixture *f, akin_matrix x, bool grads, double *to)
{
    double *start = to;
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.columns; j++)
            *to++ = x.data[i * x.stride + j];
    for (int p = 0; p < ak_parameters_count(f->parameters); p++) {
        const akin_parameter *one = akin_parameters_get(f->parameters, p);
        for (int64_t i = 0; i < one->rows * one->columns; i++)
            *to++ = grads ? one->grad[i] : one->value[i];
    }
    return to - start;
}

static double weigh(akin_matrix c, const double *y)
{
    double value = 0;
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.columns; j++)
            value += c.data[i * c.stride + j] * y[i * c.columns + j];
    return value;
}

static void check_case(const head_case *t)
{
    fixture f;
    must_open(&f, t->type, t->settings, t->in);
    shake(&f);
    akin_pass pass = pass_of(&f, true);
    akin_matrix x = new_matrix(f.arena, 1, t->n, f.in), y = new_matrix(f.arena, 2, t->n, f.out);
    akin_matrix c = new_matrix(f.arena, 3, t->n, f.out), dx = new_matrix(f.arena, 4, t->n, f.in);
    void *record;
    assert_int_equal(f.type->forward(f.self, &pass, x, y, &record, &error), 0);
    assert_int_equal(f.type->backward(f.self, &pass, record, x, c, dx, &error), 0);

    double inputs[2000], grads[2000], expected[200];
    int64_t count = gather(&f, x, false, inputs);
    gather(&f, dx, true, grads);
    reference r = reference_of(&f, t);
    reference_run(&r, t->row, inputs, expected);
    for (int64_t i = 0; i < t->n * f.out; i++)
        assert_close(t->title, "output", i, y.data[i / f.out * y.stride + i % f.out], expected[i],
                     2e-6);
    for (int64_t i = 0; i < count; i++) {
        const double step = 1e-5, kept = inputs[i];
        inputs[i] = kept + step;
        reference_run(&r, t->row, inputs, expected);
        double up = weigh(c, expected);
        inputs[i] = kept - step;
        reference_run(&r, t->row, inputs, expected);
        inputs[i] = kept;
        assert_close(t->title, "gradient", i, grads[i], (up - weigh(c, expected)) / (2 * step),
                     1e-5);
    }
    fixture_close(&f);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int c = 0; c < CASES; c++)
        check_case(&cases[c]);
}

/* backward adds to the parameters' gradients; dx is optional and changes nothing else. */
static void test_backward_adds(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        const head_case *t = &cases[k];
        fixture f;
        must_open(&f, t->type, t->settings, t->in);
        shake(&f);
        akin_pass pass = pass_of(&f, true);
        akin_matrix x = new_matrix(f.arena, 1, t->n, f.in), y = new_matrix(f.arena, 2, t->n, f.out);
        akin_matrix dx = new_matrix(f.arena, 4, t->n, f.in);
        void *record;
        assert_int_equal(f.type->forward(f.self, &pass, x, y, &record, &error), 0);
        assert_int_equal(f.type->backward(f.self, &pass, record, x, y, dx, &error), 0);
        double once[2000], twice[2000];
        int64_t count = gather(&f, ak_matrix_rows(x, 0, 0), true, once);
        assert_int_equal(f.type->backward(f.self, &pass, record, x, y, (akin_matrix){0}, &error),
                         0);
        gather(&f, ak_matrix_rows(x, 0, 0), true, twice);
        for (int64_t i = 0; i < count; i++)
            assert_close(t->title, "sum", i, twice[i], 2 * once[i], 1e-6);
        fixture_close(&f);
    }
}

/* ---- bits ---- */

/* A row's vector does not depend on the rows beside it. */
static void test_rows_are_independent(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        fixture f;
        must_open(&f, cases[k].type, cases[k].settings, 96);
        shake(&f);
        akin_matrix x = new_matrix(f.arena, 1, 67, 96), all = serve(&f, x);
        for (int64_t i = 0; i < 67; i += 11) {
            akin_matrix one = serve(&f, ak_matrix_rows(x, i, 1));
            assert_memory_equal(one.data, all.data + i * all.stride, (size_t)f.out * sizeof(float));
        }
        fixture_close(&f);
    }
}

static ak_hash train_steps(fixture *f, int64_t n, int steps)
{
    ak_optimizer *optimizer;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    options.clip_norm = 1;
    assert_int_equal(ak_optimizer_create(&optimizer, &options, f->parameters, &error), 0);
    for (int step = 0; step < steps; step++) {
        akin_pass pass = pass_of(f, true);
        pass.step = (uint64_t)step;
        void *record;
        akin_matrix x = new_matrix(f->arena, 1, n, f->in), y = new_matrix(f->arena, 2, n, f->out);
        akin_matrix dx = new_matrix(f->arena, 3, n, f->in);
        assert_int_equal(f->type->forward(f->self, &pass, x, y, &record, &error), 0);
        assert_int_equal(f->type->backward(f->self, &pass, record, x, y, dx, &error), 0);
        ak_optimizer_step(optimizer, step, steps);
        ak_arena_reset(f->arena);
    }
    ak_optimizer_free(optimizer);
    return ak_hash_bytes(ak_parameters_values(f->parameters),
                         (size_t)ak_parameters_size(f->parameters) * sizeof(float));
}

static void check_threads(const char *type, const setting *settings, int64_t n, int64_t d)
{
    ak_hash first = {0};
    const int threads[] = {1, 2, 3, 7};
    for (int t = 0; t < 4; t++) {
        fixture f;
        omp_set_num_threads(threads[t]);
        must_open(&f, type, settings, d);
        shake(&f);
        ak_hash hash = train_steps(&f, n, 2);
        if (t == 0)
            first = hash;
        if (!ak_hash_equal(first, hash))
            fail_msg("%s: other bits with %d threads", type, threads[t]);
        fixture_close(&f);
    }
    omp_set_num_threads(2);
}

static void test_threads(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++)
        check_threads(cases[k].type, cases[k].settings, 500, 96);
}

static void test_bf16(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        fixture f;
        must_open(&f, cases[k].type, cases[k].settings, 64);
        shake(&f);
        akin_pass pass = pass_of(&f, false);
        akin_matrix x = new_matrix(f.arena, 1, 20, 64), y = serve(&f, x);
        akin_matrix z = new_matrix(f.arena, 2, 20, f.out);
        void *record;
        pass.precision = AKIN_BF16;
        assert_int_equal(f.type->forward(f.self, &pass, x, z, &record, &error), 0);
        double dot = 0, yy = 0, zz = 0;
        for (int64_t i = 0; i < 20; i++)
            for (int64_t j = 0; j < f.out; j++) {
                double a = y.data[i * y.stride + j], b = z.data[i * z.stride + j];
                dot += a * b;
                yy += a * a;
                zz += b * b;
            }
        assert_close(cases[k].title, "cosine", 0, dot / sqrt(yy * zz), 1, 2e-5);
        fixture_close(&f);
    }
}

/* ---- memory ---- */

static akin_status whole_life(const head_case *t)
{
    fixture f;
    akin_status status = fixture_open(&f, t->type, t->settings, t->in);
    if (!status) {
        float x[200], y[200], dx[200];
        for (int i = 0; i < 200; i++)
            x[i] = noise(1, i);
        akin_matrix mx = ak_matrix(x, t->n, f.in), my = ak_matrix(y, t->n, f.out);
        akin_pass pass = pass_of(&f, true);
        void *record;
        status = f.type->forward(f.self, &pass, mx, my, &record, &error);
        if (!status)
            status =
                f.type->backward(f.self, &pass, record, mx, my, ak_matrix(dx, t->n, f.in), &error);
    }
    fixture_close(&f);
    return status;
}

static void test_memory_fails(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        ak_memory_fail_at(0);
        assert_int_equal(whole_life(&cases[k]), AKIN_OK);
        int64_t count = ak_memory_fail_at(0);
        assert_true(count >= 5);
        for (int64_t n = 1; n <= count; n++) {
            ak_memory_fail_at(n);
            assert_int_equal(whole_life(&cases[k]), AKIN_ERR_MEMORY);
        }
        ak_memory_fail_at(0);
    }
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        fixture f;
        must_open(&f, cases[k].type, cases[k].settings, 96);
        shake(&f);
        ak_optimizer *optimizer;
        akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
        assert_int_equal(ak_optimizer_create(&optimizer, &options, f.parameters, &error), 0);
        for (int step = 0; step < 4; step++) {
            akin_pass pass = pass_of(&f, true);
            void *record;
            akin_matrix x = new_matrix(f.arena, 1, 300, f.in);
            akin_matrix y = new_matrix(f.arena, 2, 300, f.out);
            akin_matrix dx = new_matrix(f.arena, 3, 300, f.in);
            assert_int_equal(f.type->forward(f.self, &pass, x, y, &record, &error), 0);
            assert_int_equal(f.type->backward(f.self, &pass, record, x, y, dx, &error), 0);
            ak_optimizer_step(optimizer, step, 0);
            ak_arena_reset(f.arena);
            int64_t allocations = ak_memory_fail_at(0);
            if (step)
                assert_int_equal(allocations, 0);
        }
        ak_optimizer_free(optimizer);
        fixture_close(&f);
    }
}

static void test_no_rows(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        fixture f;
        must_open(&f, cases[k].type, cases[k].settings, 16);
        akin_pass pass = pass_of(&f, true);
        akin_matrix x = new_matrix(f.arena, 1, 0, 16), y = new_matrix(f.arena, 2, 0, f.out);
        void *record;
        assert_int_equal(f.type->forward(f.self, &pass, x, y, &record, &error), 0);
        assert_int_equal(f.type->backward(f.self, &pass, record, x, y, x, &error), 0);
        assert_true(ak_parameters_grad_norm(f.parameters) == 0);
        fixture_close(&f);
    }
}

#endif
