/* heads: against float64 references, all gradients by central differences, dropout included. */
#include "heads_scene.h"

/* ---- references in float64: a row at a time ---- */

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

#include "heads_checks.h"

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

/* The size that runs have. */
static void test_threads_at_size(void **state)
{
    (void)state;
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
        cmocka_unit_test(test_threads_at_size),
        cmocka_unit_test(test_concurrent_forward),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_memory_fails),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
