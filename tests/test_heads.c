/* heads: against float64 references, all gradients by central differences, dropout included. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "model/heads.h"

static akin_error error;

static float noise(uint64_t stream, int64_t i)
{
    return (float)(2 * ak_random_uniform(11, stream, (uint64_t)i) - 1);
}

/* ---- a head with its options and parameters ---- */

typedef struct setting {
    const char *name, *text;
} setting;

typedef struct fixture {
    const akin_head_class *type;
    void *self, *options;
    akin_parameters *parameters;
    akin_arena *arena;
    int64_t in, out;
} fixture;

static void fixture_close(fixture *f)
{
    if (f->self)
        f->type->free(f->self);
    ak_parameters_free(f->parameters);
    ak_free(f->options);
    ak_arena_free(f->arena);
    memset(f, 0, sizeof *f);
}

static akin_status fixture_open(fixture *f, const char *name, const setting *settings, int64_t in)
{
    memset(f, 0, sizeof *f);
    for (int i = 0; ak_heads[i]; i++)
        if (strcmp(ak_heads[i]->name, name) == 0)
            f->type = ak_heads[i];
    assert_non_null(f->type);
    f->in = in;
    AK_TRY(ak_arena_create(&f->arena, &error));
    if (!(f->options = ak_calloc(1, f->type->options_size)))
        return AKIN_ERR_MEMORY;
    AK_TRY(ak_options_defaults(f->type->options, f->options, f->arena, &error));
    for (; settings && settings->name; settings++)
        for (const akin_option *row = f->type->options; row->name; row++)
            if (strcmp(row->name, settings->name) == 0)
                AK_TRY(ak_option_set(row, f->options, settings->text, f->arena, &error));
    AK_TRY(ak_parameters_create(&f->parameters, &error));
    AK_TRY(f->type->create(&f->self, f->options, in, f->parameters, &f->out, &error));
    AK_TRY(ak_parameters_seal(f->parameters, 42, &error));
    return ak_parameters_train(f->parameters, &error);
}

static void must_open(fixture *f, const char *name, const setting *settings, int64_t in)
{
    assert_int_equal(fixture_open(f, name, settings, in), AKIN_OK);
}

/* Away from the special values that heads start with. */
static void shake(fixture *f)
{
    for (int p = 0; p < ak_parameters_count(f->parameters); p++) {
        akin_parameter *one = akin_parameters_get(f->parameters, p);
        for (int64_t i = 0; i < one->rows * one->columns; i++)
            one->value[i] = noise(100 + (uint64_t)p, i);
    }
}

static akin_matrix new_matrix(akin_arena *arena, uint64_t stream, int64_t rows, int64_t columns)
{
    akin_matrix x = ak_matrix_columns(ak_matrix_new(arena, rows, columns + 5), 0, columns);
    assert_non_null(x.data);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            x.data[i * x.stride + j] = noise(stream, i * columns + j);
    return x;
}

static const akin_pass training = {
    .size = sizeof(akin_pass), .training = true, .seed = 9, .step = 4};

static akin_pass pass_of(const fixture *f, bool is_training)
{
    akin_pass pass = training;
    pass.arena = f->arena;
    pass.training = is_training;
    return pass;
}

static akin_matrix serve(const fixture *f, akin_matrix x)
{
    akin_pass pass = pass_of(f, false);
    void *record = &pass;
    akin_matrix y = new_matrix(f->arena, 77, x.rows, f->out);
    assert_int_equal(f->type->forward(f->self, &pass, x, y, &record, &error), AKIN_OK);
    assert_null(record);
    return y;
}

/* ---- references in float64: a row at a time, from the formulas of maths.md ---- */

typedef struct reference {
    int64_t n, in, out;
    int layers;            /* skip_connection */
    int rank;              /* linear */
    const float *masks[4]; /* of the input, then of the layers: n x in, what ones become */
    const double *p;       /* parameters, one after the other as they were added */
} reference;

typedef void row_function(const reference *r, int64_t i, double *x, double *y);

static void row_empty(const reference *r, int64_t i, double *x, double *y)
{
    (void)i;
    memcpy(y, x, (size_t)r->in * sizeof *y);
}

static void row_normalize(const reference *r, int64_t i, double *x, double *y)
{
    double squares = 0;
    (void)i;
    for (int64_t j = 0; j < r->in; j++)
        squares += x[j] * x[j];
    for (int64_t j = 0; j < r->in; j++)
        y[j] = x[j] / sqrt(squares);
}

static void row_gated(const reference *r, int64_t i, double *x, double *y)
{
    (void)i;
    for (int64_t j = 0; j < r->in; j++)
        y[j] = x[j] * tanh(r->p[j]);
}

static void row_linear(const reference *r, int64_t i, double *x, double *y)
{
    const double *bias = r->p + r->in * r->out;
    (void)i;
    for (int64_t o = 0; o < r->out; o++) {
        y[o] = bias[o];
        for (int64_t j = 0; j < r->in; j++)
            y[o] += r->p[o * r->in + j] * x[j];
    }
}

static void row_linear_plain(const reference *r, int64_t i, double *x, double *y)
{
    (void)i;
    for (int64_t o = 0; o < r->out; o++) {
        y[o] = 0;
        for (int64_t j = 0; j < r->in; j++)
            y[o] += r->p[o * r->in + j] * x[j];
    }
}

static void row_low_rank(const reference *r, int64_t i, double *x, double *y)
{
    const double *down = r->p, *up = down + r->rank * r->in, *bias = up + r->out * r->rank;
    (void)i;
    for (int64_t o = 0; o < r->out; o++)
        y[o] = x[o] + bias[o];
    for (int64_t k = 0; k < r->rank; k++) {
        double low = 0;
        for (int64_t j = 0; j < r->in; j++)
            low += down[k * r->in + j] * x[j];
        for (int64_t o = 0; o < r->out; o++)
            y[o] += up[o * r->rank + k] * low;
    }
}

static void row_skip(const reference *r, int64_t i, double *x, double *y)
{
    int64_t d = r->in;
    const double *w = r->p;
    for (int l = 0; l < r->layers; l++) {
        const double *b = w + d * d, *g = b + d;
        for (int64_t o = 0; o < d; o++) {
            double z = b[o];
            for (int64_t j = 0; j < d; j++)
                z += w[o * d + j] * x[j] * r->masks[1 + l][i * d + j];
            y[o] = z / (1 + exp(-g[o])) + x[o];
        }
        memcpy(x, y, (size_t)d * sizeof *x);
        w = g + d;
    }
}

typedef struct head_case {
    const char *title, *type;
    setting settings[5];
    int64_t n, in;
    row_function *row;
    int layers, rank;
} head_case;

static const head_case cases[] = {
    {"empty", "empty", {{0}}, 5, 9, row_empty, 0, 0},
    {"empty, dropout", "empty", {{"dropout", "0.3"}}, 5, 9, row_empty, 0, 0},
    {"normalize", "normalize", {{0}}, 5, 9, row_normalize, 0, 0},
    {"normalize, dropout", "normalize", {{"dropout", "0.3"}}, 5, 19, row_normalize, 0, 0},
    {"gated", "gated", {{0}}, 5, 37, row_gated, 0, 0},
    {"gated, dropout", "gated", {{"dropout", "0.3"}}, 5, 37, row_gated, 0, 0},
    {"linear", "linear", {{0}}, 5, 12, row_linear, 0, 0},
    {"linear, dropout", "linear", {{"dropout", "0.5"}}, 5, 12, row_linear, 0, 0},
    {"linear, narrower",
     "linear",
     {{"output_dim", "7"}, {"bias", "true"}},
     6,
     12,
     row_linear,
     0,
     0},
    {"linear, wider, no bias",
     "linear",
     {{"output_dim", "20"}, {"bias", "false"}},
     6,
     12,
     row_linear_plain,
     0,
     0},
    {"linear, rank", "linear", {{"rank", "3"}, {"dropout", "0.2"}}, 6, 12, row_low_rank, 0, 3},
    {"skip_connection", "skip_connection", {{0}}, 6, 13, row_skip, 1, 0},
    {"skip_connection, dropout", "skip_connection", {{"dropout", "0.3"}}, 6, 13, row_skip, 1, 0},
    {"skip_connection, skip_dropout",
     "skip_connection",
     {{"skip_dropout", "0.3"}},
     6,
     13,
     row_skip,
     1,
     0},
    {"skip_connection, 3 layers",
     "skip_connection",
     {{"n_layers", "3"}, {"skip_dropout", "0.2"}, {"dropout", "0.1"}, {"init", "pytorch"}},
     6,
     9,
     row_skip,
     3,
     0},
};
enum { CASES = sizeof cases / sizeof *cases };

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

/* ---- initialisation ---- */

static void test_starts_at_identity(void **state)
{
    (void)state;
    const struct {
        const char *type;
        setting settings[3];
    } same[] = {
        {"empty", {{0}}},
        {"linear", {{0}}},
        {"linear", {{"rank", "4"}}},
        {"skip_connection", {{0}}},
        {"skip_connection", {{"n_layers", "4"}, {"init", "zero"}}},
    };
    for (size_t k = 0; k < sizeof same / sizeof *same; k++) {
        fixture f;
        must_open(&f, same[k].type, same[k].settings, 50);
        assert_int_equal(f.out, 50);
        akin_matrix x = new_matrix(f.arena, 1, 40, 50), y = serve(&f, x);
        for (int64_t i = 0; i < 40; i++)
            assert_memory_equal(x.data + i * x.stride, y.data + i * y.stride, 50 * sizeof(float));
        fixture_close(&f);
    }
}

static void test_initial_values(void **state)
{
    (void)state;
    fixture f;
    must_open(&f, "gated", NULL, 8);
    akin_parameter *gate = akin_parameters_get(f.parameters, 0);
    assert_string_equal(gate->name, "gate");
    assert_true(gate->value[7] == 2 && !gate->decay);
    fixture_close(&f);

    setting random[] = {{"init", "pytorch"}, {"n_layers", "2"}, {0}};
    must_open(&f, "skip_connection", random, 100);
    assert_int_equal(ak_parameters_count(f.parameters), 6);
    const char *names[] = {"layers.0.weight", "layers.0.bias", "layers.0.gate",
                           "layers.1.weight", "layers.1.bias", "layers.1.gate"};
    for (int p = 0; p < 6; p++) {
        akin_parameter *one = akin_parameters_get(f.parameters, p);
        assert_string_equal(one->name, names[p]);
        assert_int_equal(one->decay, p % 3 == 0);
        double largest = 0, smallest = 0;
        for (int64_t i = 0; i < one->rows * one->columns; i++) {
            largest = fmax(largest, one->value[i]);
            smallest = fmin(smallest, one->value[i]);
        }
        if (p % 3 == 2)
            assert_true(smallest == -4 && one->value[0] == -4);
        else /* uniform in +-1/sqrt(100) */
            assert_true(largest <= .1 && smallest >= -.1 && largest > .09 && smallest < -.09);
    }
    fixture_close(&f);

    setting narrow[] = {{"output_dim", "16"}, {0}};
    must_open(&f, "linear", narrow, 64);
    assert_int_equal(f.out, 16);
    akin_parameter *w = akin_parameters_get(f.parameters, 0);
    assert_true(w->rows == 16 && w->columns == 64 && fabsf(w->value[5]) <= .125f);
    fixture_close(&f);
}

static void test_create_errors(void **state)
{
    (void)state;
    const struct {
        setting settings[3];
        const char *message;
    } bad[] = {
        {{{"rank", "4"}, {"output_dim", "7"}}, "as wide as the input, 8, but output_dim is 7"},
        {{{"rank", "9"}}, "rank is 9, must be at most the input's width, 8"},
    };
    for (int k = 0; k < 2; k++) {
        fixture f;
        assert_int_equal(fixture_open(&f, "linear", bad[k].settings, 8), AKIN_ERR_ARGUMENT);
        assert_null(f.self);
        if (!strstr(error.message, bad[k].message))
            fail_msg("\"%s\" lacks \"%s\"", error.message, bad[k].message);
        fixture_close(&f);
    }
}

/* What a recipe may not say. */
static void test_option_ranges(void **state)
{
    (void)state;
    const struct {
        const char *type, *name, *text;
    } bad[] = {
        {"empty", "dropout", "1.5"},
        {"gated", "dropout", "-0.1"},
        {"normalize", "dropout", "nan"},
        {"linear", "output_dim", "-1"},
        {"linear", "rank", "-1"},
        {"linear", "bias", "maybe"},
        {"skip_connection", "n_layers", "0"},
        {"skip_connection", "n_layers", "65"},
        {"skip_connection", "skip_dropout", "2"},
        {"skip_connection", "init", "one"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        fixture f;
        setting settings[] = {{bad[k].name, bad[k].text}, {0}};
        if (fixture_open(&f, bad[k].type, settings, 8) != AKIN_ERR_ARGUMENT)
            fail_msg("%s: %s: %s is accepted", bad[k].type, bad[k].name, bad[k].text);
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
    check_threads("skip_connection", NULL, 2048, 384);
}

/* One head, many forwards at once. */
static void test_concurrent_forward(void **state)
{
    (void)state;
    enum { CALLS = 16, N = 30, D = 64 };
    setting settings[] = {{"n_layers", "2"}, {0}};
    fixture f;
    must_open(&f, "skip_connection", settings, D);
    shake(&f);
    akin_matrix x = new_matrix(f.arena, 1, N, D), expected = serve(&f, x);
    int bad = 0;
#pragma omp parallel for num_threads(4) reduction(+ : bad)
    for (int call = 0; call < CALLS; call++) {
        akin_arena *arena;
        float y[N * D];
        void *record;
        akin_pass pass = {.size = sizeof pass};
        bad += ak_arena_create(&arena, NULL) != AKIN_OK;
        pass.arena = arena;
        bad += f.type->forward(f.self, &pass, x, ak_matrix(y, N, D), &record, NULL) != AKIN_OK;
        for (int i = 0; i < N; i++)
            bad += memcmp(y + i * D, expected.data + i * expected.stride, D * sizeof *y) != 0;
        ak_arena_free(arena);
    }
    assert_int_equal(bad, 0);
    fixture_close(&f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_backward_adds),
        cmocka_unit_test(test_starts_at_identity),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_create_errors),
        cmocka_unit_test(test_option_ranges),
        cmocka_unit_test(test_rows_are_independent),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_concurrent_forward),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_memory_fails),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
