/* nn: parameters; every layer and distance against float64, every gradient against central
   differences in float64. Optimizers: test_optimizer.c. */
#include "nn_scene.h"

#include "kernels/kernels.h"

#include <omp.h>

/* A matrix with a stride wider than its rows, to catch code that forgets it. */
static akin_matrix random_matrix(uint64_t stream, int64_t rows, int64_t columns)
{
    akin_matrix x = ak_matrix_columns(ak_matrix_new(arena, rows, columns + 3), 0, columns);
    for (int64_t i = 0; i < rows * (columns + 3); i++)
        x.data[i] = noise(stream, i);
    return x;
}

static float at(akin_matrix x, int64_t i, int64_t j)
{
    return x.data[i * x.stride + j];
}

/* ---- parameters ---- */

static void test_parameters_block(void **state)
{
    (void)state;
    akin_parameters *p;
    int w, b, e, u;
    assert_int_equal(akin_parameters_create(&p, &error), AKIN_OK);
    assert_int_equal(akin_parameters_add(p, &w, "w", 3, 5, AKIN_INIT_IDENTITY, 0, true, &error), 0);
    assert_int_equal(akin_parameters_add(p, &b, "b", 1, 5, AKIN_INIT_CONSTANT, 2, false, &error),
                     0);
    assert_int_equal(akin_parameters_add(p, &e, "e", 100, 40, AKIN_INIT_NORMAL, .5, true, &error),
                     0);
    assert_int_equal(akin_parameters_add(p, &u, "u", 100, 40, AKIN_INIT_UNIFORM, .5, true, &error),
                     0);
    assert_int_equal(akin_parameters_seal(p, 42, &error), 0);
    assert_null(akin_parameters_get(p, w)->grad);
    assert_int_equal(ak_parameters_train(p, &error), 0);
    assert_int_equal(ak_parameters_count(p), 4);
    assert_int_equal(ak_parameters_size(p), 16 + 16 + 4000 + 4000);
    for (int n = 0; n < 4; n++) {
        akin_parameter *one = akin_parameters_get(p, n);
        assert_int_equal((uintptr_t)one->value % 64, 0);
        assert_true(one->value - ak_parameters_values(p) == one->grad - ak_parameters_grads(p));
        assert_true(one->lr_factor == 1);
    }
    for (int i = 0; i < 15; i++)
        assert_true(akin_parameters_get(p, w)->value[i] == (i % 6 == 0));
    assert_true(akin_parameters_get(p, b)->value[4] == 2);
    assert_false(akin_parameters_get(p, b)->decay);
    double sum = 0, squares = 0, largest = 0;
    for (int i = 0; i < 4000; i++) {
        double x = akin_parameters_get(p, e)->value[i];
        sum += x;
        squares += x * x;
        largest = fmax(largest, fabs(akin_parameters_get(p, u)->value[i]));
    }
    assert_true(fabs(sum / 4000) < .03 && fabs(sqrt(squares / 4000) - .5) < .03);
    assert_true(largest > .49 && largest <= .5);
    akin_parameters_free(p);
}

static void test_parameters_fresh_values(void **state)
{
    (void)state;
    float first[2][10];
    for (int round = 0; round < 2; round++) { /* another parameter before it changes nothing */
        akin_parameters *p;
        int number;
        assert_int_equal(akin_parameters_create(&p, &error), 0);
        if (round)
            akin_parameters_add(p, &number, "other", 2, 2, AKIN_INIT_NORMAL, 1, true, &error);
        akin_parameters_add(p, &number, "w", 1, 10, AKIN_INIT_NORMAL, 1, true, &error);
        assert_int_equal(akin_parameters_seal(p, 5, &error), 0);
        memcpy(first[round], akin_parameters_get(p, number)->value, sizeof first[0]);
        akin_parameters_free(p);
    }
    assert_memory_equal(first[0], first[1], sizeof first[0]);
}

static void test_parameters_errors(void **state)
{
    (void)state;
    akin_parameters *p;
    int number;
    assert_int_equal(akin_parameters_create(&p, &error), 0);
    assert_int_equal(akin_parameters_add(p, &number, "w", 0, 5, AKIN_INIT_ZERO, 0, true, &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "shape 0 x 5"));
    assert_int_equal(
        akin_parameters_add(p, &number, "w", INT64_MAX / 2, 4, AKIN_INIT_ZERO, 0, true, &error),
        AKIN_ERR_MEMORY);
    assert_int_equal(akin_parameters_add(p, &number, "w", 1, 5, AKIN_INIT_ZERO, 0, true, &error),
                     0);
    assert_int_equal(akin_parameters_add(p, &number, "w", 1, 5, AKIN_INIT_ZERO, 0, true, &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "two parameters \"w\""));
    assert_int_equal(akin_parameters_seal(p, 1, &error), 0);
    assert_int_equal(akin_parameters_add(p, &number, "v", 1, 5, AKIN_INIT_ZERO, 0, true, &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "too late"));
    assert_int_equal(akin_parameters_seal(p, 1, &error), AKIN_ERR_ARGUMENT);
    akin_parameters_free(p);
    akin_parameters_free(NULL);
}

static void test_parameters_norm(void **state)
{
    (void)state;
    akin_parameters *p;
    int number;
    assert_int_equal(akin_parameters_create(&p, &error), 0);
    akin_parameters_add(p, &number, "w", 321, 137, AKIN_INIT_ZERO, 0, true, &error);
    assert_int_equal(akin_parameters_seal(p, 1, &error), 0);
    assert_int_equal(ak_parameters_train(p, &error), 0);
    float *grad = akin_parameters_get(p, number)->grad;
    double squares = 0;
    for (int i = 0; i < 321 * 137; i++) {
        grad[i] = noise(1, i);
        squares += (double)grad[i] * grad[i];
    }
    double norms[2];
    for (int threads = 1; threads <= 2; threads++) {
        omp_set_num_threads(threads * 3 - 2);
        norms[threads - 1] = ak_parameters_grad_norm(p);
    }
    omp_set_num_threads(2);
    assert_true(fabs(norms[0] / sqrt(squares) - 1) < 1e-12);
    assert_true(norms[0] == norms[1]);
    ak_parameters_scale_grads(p, .5f);
    assert_true(fabs(ak_parameters_grad_norm(p) / sqrt(squares) - .5) < 1e-12);
    ak_parameters_zero_grads(p);
    assert_true(ak_parameters_grad_norm(p) == 0);
    akin_parameters_free(p);
}

/* ---- columns ---- */

static void test_columns(void **state)
{
    (void)state;
    for (int64_t d = 1; d <= 70; d++) {
        int64_t n = d == 70 ? 700 : 1 + d * 3 % 150;
        akin_matrix x = random_matrix(1, n, d), y = random_matrix(2, n, d);
        akin_matrix z = random_matrix(3, n, d);
        float sums[70], dots[70], factors[70];
        for (int64_t j = 0; j < d; j++) {
            sums[j] = dots[j] = 1;
            factors[j] = noise(4, j);
        }
        ak_column_sums(x, sums);
        ak_column_dots(x, y, dots);
        ak_scale_columns(x, factors, z);
        for (int64_t j = 0; j < d; j++) {
            double sum = 1, dot = 1;
            for (int64_t i = 0; i < n; i++) {
                sum += at(x, i, j);
                dot += (double)at(x, i, j) * at(y, i, j);
                assert_true(at(z, i, j) == at(x, i, j) * factors[j]);
            }
            assert_near(sums[j], sum, 1e-5);
            assert_near(dots[j], dot, 1e-5);
        }
        assert_true(at(z, n - 1, d + 1) == noise(3, (n - 1) * (d + 3) + d + 1));
        ak_arena_reset(arena);
    }
}

/* ---- gradients: value = sum_ij c_ij f(inputs)_ij, in float64 ---- */

typedef double objective(const double *inputs, const void *user);

/* Every input in turn; `grads` is what the code under test says. */
static void check_gradient(objective *f, const void *user, const double *inputs, int64_t count,
                           const float *grads, double tolerance)
{
    double *moved = malloc((size_t)count * sizeof *moved);
    memcpy(moved, inputs, (size_t)count * sizeof *moved);
    for (int64_t i = 0; i < count; i++) {
        const double step = 1e-5;
        moved[i] = inputs[i] + step;
        double up = f(moved, user);
        moved[i] = inputs[i] - step;
        double down = f(moved, user);
        moved[i] = inputs[i];
        assert_near(grads[i], (up - down) / (2 * step), tolerance);
    }
    free(moved);
}

static int64_t put(double *to, akin_matrix x)
{
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.columns; j++)
            to[i * x.columns + j] = at(x, i, j);
    return x.rows * x.columns;
}

static int64_t put_floats(float *to, akin_matrix x)
{
    for (int64_t i = 0; i < x.rows; i++)
        memcpy(to + i * x.columns, x.data + i * x.stride, (size_t)x.columns * sizeof *to);
    return x.rows * x.columns;
}

typedef struct linear_case {
    int64_t n, in, out;
    akin_matrix c;
} linear_case;

/* inputs: x, W, b */
static double linear_reference(const double *inputs, const void *user)
{
    const linear_case *t = user;
    const double *w = inputs + t->n * t->in, *b = w + t->out * t->in;
    double value = 0;
    for (int64_t i = 0; i < t->n; i++)
        for (int64_t o = 0; o < t->out; o++) {
            double y = b[o];
            for (int64_t k = 0; k < t->in; k++)
                y += inputs[i * t->in + k] * w[o * t->in + k];
            value += at(t->c, i, o) * y;
        }
    return value;
}

static void test_linear(void **state)
{
    (void)state;
    linear_case t = {.n = 9, .in = 19, .out = 34};
    t.c = random_matrix(4, t.n, t.out);
    akin_matrix x = random_matrix(1, t.n, t.in), y = random_matrix(5, t.n, t.out);
    akin_matrix w = ak_matrix_new(arena, t.out, t.in), b = ak_matrix_new(arena, 1, t.out);
    for (int64_t i = 0; i < t.out * t.in; i++)
        w.data[i] = noise(2, i);
    for (int64_t i = 0; i < t.out; i++)
        b.data[i] = noise(3, i);
    double inputs[2000];
    float grads[2000] = {0};
    int64_t at_w = put(inputs, x), at_b = at_w + put(inputs + at_w, w);
    int64_t count = at_b + put(inputs + at_b, b);

    ak_linear_forward(x, w.data, b.data, y, AKIN_F32);
    double value = 0;
    for (int64_t i = 0; i < t.n; i++)
        for (int64_t o = 0; o < t.out; o++)
            value += (double)at(t.c, i, o) * at(y, i, o);
    assert_near(value, linear_reference(inputs, &t), 1e-5);

    akin_matrix dx = random_matrix(6, t.n, t.in);
    for (int round = 0; round < 2; round++) /* dweight and dbias are added to, dx is written */
        ak_linear_backward(x, w.data, t.c, grads + at_w, grads + at_b, dx, AKIN_F32);
    for (int64_t i = at_w; i < count; i++)
        grads[i] /= 2;
    put_floats(grads, dx);
    check_gradient(linear_reference, &t, inputs, count, grads, 1e-5);
    ak_linear_backward(x, w.data, t.c, grads + at_w, NULL, (akin_matrix){0}, AKIN_F32);
    ak_linear_forward(ak_matrix_rows(x, 0, 0), w.data, NULL, ak_matrix_rows(y, 0, 0), AKIN_F32);
}

static void test_residual(void **state)
{
    (void)state;
    akin_matrix x = random_matrix(1, 5, 37), y[3];
    float bias[37], gate[37];
    for (int j = 0; j < 37; j++) {
        bias[j] = noise(2, j);
        gate[j] = noise(3, j);
    }
    for (int k = 0; k < 3; k++)
        y[k] = random_matrix(4, 5, 37);
    ak_residual(y[0], bias, gate, x);
    ak_residual(y[1], bias, NULL, x);
    ak_residual(y[2], NULL, NULL, x);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 37; j++) {
            double z = noise(4, i * 40 + j);
            assert_near(at(y[0], i, j), (z + bias[j]) * gate[j] + at(x, i, j), 1e-6);
            assert_near(at(y[1], i, j), z + bias[j] + at(x, i, j), 1e-6);
            assert_near(at(y[2], i, j), z + at(x, i, j), 1e-6);
        }
}

/* ---- normalize ---- */

typedef struct rows_case {
    int64_t n, m, d;
    ak_distance distance;
    akin_matrix c;
} rows_case;

static double normalize_reference(const double *x, const void *user)
{
    const rows_case *t = user;
    double value = 0;
    for (int64_t i = 0; i < t->n; i++, x += t->d) {
        double squares = 0;
        for (int64_t k = 0; k < t->d; k++)
            squares += x[k] * x[k];
        for (int64_t k = 0; k < t->d; k++)
            value += at(t->c, i, k) * x[k] / sqrt(squares);
    }
    return value;
}

static void test_normalize(void **state)
{
    (void)state;
    for (int64_t d = 1; d < 80; d += 13) {
        rows_case t = {.n = 6, .d = d, .c = random_matrix(2, 6, d)};
        akin_matrix x = random_matrix(1, 6, d), y = random_matrix(3, 6, d);
        akin_matrix dx = ak_matrix_new(arena, 6, d);
        double inputs[480];
        float norms[6], grads[480];
        put(inputs, x);
        ak_normalize_forward(x, y, norms);
        double value = 0;
        for (int64_t i = 0; i < 6 * d; i++) {
            value += (double)at(t.c, i / d, i % d) * at(y, i / d, i % d);
            dx.data[i] = 1; /* added to */
        }
        assert_near(value, normalize_reference(inputs, &t), 1e-6);
        ak_normalize_backward(y, norms, t.c, dx);
        for (int64_t i = 0; i < 6 * d; i++)
            grads[i] = dx.data[i] - 1;
        check_gradient(normalize_reference, &t, inputs, 6 * d, grads, 2e-5);
    }
}

static void test_normalize_extremes(void **state)
{
    (void)state;
    const float scales[] = {0, 1e-42f, 1e-30f, 1e-21f, 1e-18f, 1, 1e18f, 1e30f, 1e38f};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        float x[20], norm, dx[20] = {0}, ones[20];
        for (int j = 0; j < 20; j++) {
            x[j] = (j % 2 ? .5f : -.25f) * scales[s];
            ones[j] = 1;
        }
        akin_matrix m = ak_matrix(x, 1, 20);
        ak_normalize_forward(m, m, &norm);
        double squares = 0;
        for (int j = 0; j < 20; j++)
            squares += (double)x[j] * x[j];
        assert_near(squares, scales[s] != 0, s == 1 ? .05 : 1e-6);
        ak_normalize_backward(m, &norm, ak_matrix(ones, 1, 20), ak_matrix(dx, 1, 20));
        assert_false(isnan(dx[0]));
        if (s == 0)
            assert_true(dx[0] == 0);
    }
    float bad[2] = {NAN, 1}, norm;
    ak_normalize_forward(ak_matrix(bad, 1, 2), ak_matrix(bad, 1, 2), &norm);
    assert_true(isnan(norm) && isnan(bad[1])); /* shown, not hidden */
}

/* ---- dropout ---- */

static int64_t differences(akin_matrix x, akin_matrix y)
{
    int64_t count = 0;
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.columns; j++)
            count += at(x, i, j) != at(y, i, j);
    return count;
}

static akin_matrix dropped_ones(double p, const akin_pass *pass, uint64_t stream)
{
    akin_matrix y = ak_matrix_new(arena, 200, 300);
    for (int64_t i = 0; i < 60000; i++)
        y.data[i] = 1;
    ak_dropout(y, y, p, pass, stream);
    return y;
}

static void test_dropout(void **state)
{
    (void)state;
    akin_pass pass = {.training = true, .seed = 3, .step = 17};
    akin_pass next = {.training = true, .seed = 3, .step = 18};
    akin_pass seed = {.training = true, .seed = 4, .step = 17};
    akin_pass serving = {.seed = 3, .step = 17};
    akin_matrix mask = dropped_ones(.25, &pass, 1);
    int64_t kept = 0;
    for (int64_t i = 0; i < 60000; i++) {
        assert_true(mask.data[i] == 0 || mask.data[i] == (float)(1 / .75));
        kept += mask.data[i] != 0;
    }
    assert_true(labs(kept - 45000) < 5 * 106); /* five standard deviations */
    assert_int_equal(differences(mask, dropped_ones(.25, &pass, 1)), 0);
    /* Independent masks differ in 2 p (1 - p) of the elements. */
    akin_matrix others[] = {dropped_ones(.25, &next, 1), dropped_ones(.25, &seed, 1),
                            dropped_ones(.25, &pass, 2)};
    for (int k = 0; k < 3; k++)
        assert_true(labs(differences(mask, others[k]) - 22500) < 600);
    for (int64_t shift = 0; shift < 8; shift++) /* rows are not shifted copies of each other */
        for (int64_t i = 1; i < 200; i++) {
            int64_t same = 0;
            for (int64_t j = 0; j < 290; j++)
                same += at(mask, i, j + shift) == at(mask, i - 1, j);
            assert_true(same > 130 && same < 235);
        }
    assert_int_equal(differences(dropped_ones(.25, &serving, 1), dropped_ones(0, &pass, 1)), 0);
    assert_true(dropped_ones(1, &pass, 1).data[59999] == 0);
}

/* ---- distances ---- */

static double one_distance(ak_distance distance, const double *a, const double *b, int64_t d)
{
    double aa = 0, bb = 0, ab = 0, squares = 0, sum = 0;
    for (int64_t k = 0; k < d; k++) {
        aa += a[k] * a[k];
        bb += b[k] * b[k];
        ab += a[k] * b[k];
        squares += (a[k] - b[k]) * (a[k] - b[k]);
        sum += fabs(a[k] - b[k]);
    }
    switch (distance) {
    case AK_COSINE:
        return 1 - ab / sqrt(aa * bb);
    case AK_EUCLIDEAN:
        return sqrt(squares);
    case AK_MANHATTAN:
        return sum;
    case AK_DOT_PRODUCT:
        return -ab;
    }
    return NAN;
}

/* inputs: a (n x d), b (n x d); c: 1 x n */
static double distance_rows_reference(const double *inputs, const void *user)
{
    const rows_case *t = user;
    double value = 0;
    for (int64_t i = 0; i < t->n; i++)
        value += t->c.data[i] *
                 one_distance(t->distance, inputs + i * t->d, inputs + (t->n + i) * t->d, t->d);
    return value;
}

/* inputs: a (n x d), b (m x d); c: n x m */
static double distance_matrix_reference(const double *inputs, const void *user)
{
    const rows_case *t = user;
    double value = 0;
    for (int64_t i = 0; i < t->n; i++)
        for (int64_t j = 0; j < t->m; j++)
            value += at(t->c, i, j) *
                     one_distance(t->distance, inputs + i * t->d, inputs + (t->n + j) * t->d, t->d);
    return value;
}

static void test_distance_rows(void **state)
{
    (void)state;
    for (int distance = AK_COSINE; distance <= AK_DOT_PRODUCT; distance++) {
        rows_case t = {.n = 7, .d = 21, .distance = (ak_distance)distance};
        t.c = ak_matrix(random_matrix(1, 1, t.n).data, 1, t.n);
        akin_matrix a = random_matrix(2, t.n, t.d), b = random_matrix(3, t.n, t.d);
        double inputs[294], value = 0;
        float d[7], grads[294] = {0};
        int64_t at_b = put(inputs, a);
        put(inputs + at_b, b);
        ak_distance_rows(t.distance, a, b, d);
        for (int i = 0; i < 7; i++)
            value += (double)t.c.data[i] * d[i];
        assert_near(value, distance_rows_reference(inputs, &t), 1e-6);
        ak_distance_rows_backward(t.distance, a, b, t.c.data, ak_matrix(grads, 7, 21),
                                  ak_matrix(grads + at_b, 7, 21));
        check_gradient(distance_rows_reference, &t, inputs, 294, grads, 1e-5);
        ak_distance_rows_backward(t.distance, a, b, t.c.data, (akin_matrix){0}, (akin_matrix){0});
    }
}

static void test_distance_matrix(void **state)
{
    (void)state;
    for (int distance = AK_COSINE; distance <= AK_DOT_PRODUCT; distance++) {
        rows_case t = {.n = 7, .m = 37, .d = 21, .distance = (ak_distance)distance};
        t.c = random_matrix(1, t.n, t.m);
        akin_matrix a = random_matrix(2, t.n, t.d), b = random_matrix(3, t.m, t.d);
        for (int64_t k = 0; k < t.d; k++) /* a pair whose squares cancel */
            b.data[k] = a.data[k] + (k % 2 ? .003f : -.004f);
        akin_matrix d = random_matrix(4, t.n, t.m);
        double inputs[924], value = 0;
        float grads[924] = {0};
        int64_t at_b = put(inputs, a);
        put(inputs + at_b, b);
        assert_int_equal(ak_distance_matrix(t.distance, a, b, d, arena, &error), 0);
        for (int64_t i = 0; i < t.n * t.m; i++)
            value += (double)at(t.c, i / t.m, i % t.m) * at(d, i / t.m, i % t.m);
        assert_near(value, distance_matrix_reference(inputs, &t), 2e-6);
        akin_matrix da = ak_matrix(grads, t.n, t.d), db = ak_matrix(grads + at_b, t.m, t.d);
        for (int round = 0; round < 2; round++) /* added to */
            assert_int_equal(
                ak_distance_matrix_backward(t.distance, a, b, d, t.c, da, db, arena, &error), 0);
        for (int i = 0; i < 924; i++)
            grads[i] /= 2;
        check_gradient(distance_matrix_reference, &t, inputs, 924, grads, 3e-5);
    }
}

/* Rows among themselves, gradients into one matrix: twice the gradient of either side. */
static void test_distance_self(void **state)
{
    (void)state;
    for (int distance = AK_COSINE; distance <= AK_DOT_PRODUCT; distance++) {
        akin_matrix x = random_matrix(1, 9, 33), dd = random_matrix(2, 9, 9);
        akin_matrix d = ak_matrix_new(arena, 9, 9);
        float both[297] = {0}, one[297] = {0}, other[297] = {0};
        akin_matrix dx = ak_matrix(both, 9, 33), da = ak_matrix(one, 9, 33);
        akin_matrix db = ak_matrix(other, 9, 33);
        assert_int_equal(ak_distance_matrix((ak_distance)distance, x, x, d, arena, &error), 0);
        for (int i = 0; i < 9; i++)
            if (distance != AK_DOT_PRODUCT)
                assert_near(at(d, i, i), 0, distance == AK_COSINE ? 1e-6 : 0);
        assert_int_equal(
            ak_distance_matrix_backward((ak_distance)distance, x, x, d, dd, dx, dx, arena, &error),
            0);
        assert_int_equal(
            ak_distance_matrix_backward((ak_distance)distance, x, x, d, dd, da, db, arena, &error),
            0);
        for (int i = 0; i < 297; i++)
            assert_near(both[i], (double)one[i] + other[i], 2e-6);
    }
}

/* Far from the origin and near each other: |a|² + |b|² - 2ab alone would have no digit right. */
static void test_euclidean_cancellation(void **state)
{
    (void)state;
    akin_matrix a = random_matrix(1, 20, 64), b = random_matrix(1, 20, 64);
    for (int64_t i = 0; i < 20; i++)
        for (int64_t k = 0; k < 64; k++) {
            a.data[i * a.stride + k] = 100 + (float)(k == 0) / 2 + (float)k * 5 / 64;
            b.data[i * b.stride + k] = 100 + (float)(i == k) / 2 + (float)k * 5 / 64;
        }
    akin_matrix d = ak_matrix_new(arena, 20, 20), dd = ak_matrix_new(arena, 20, 20);
    float da[20 * 64] = {0}, db[20 * 64] = {0};
    for (int i = 0; i < 400; i++)
        dd.data[i] = 1;
    assert_int_equal(ak_distance_matrix(AK_EUCLIDEAN, a, b, d, arena, &error), 0);
    for (int j = 0; j < 20; j++)
        assert_near(at(d, 5, j), j == 0 ? 0 : sqrt(.5), 1e-6);
    assert_int_equal(ak_distance_matrix_backward(AK_EUCLIDEAN, a, b, d, dd, ak_matrix(da, 20, 64),
                                                 ak_matrix(db, 20, 64), arena, &error),
                     0);
    assert_near(da[0], 19 / sqrt(2), 1e-5);
    assert_near(da[3], -1 / sqrt(2), 1e-5);
    assert_near(db[3 * 64], -20 / sqrt(2), 1e-5);
    assert_near(db[3 * 64 + 3], 20 / sqrt(2), 1e-5);
    assert_true(db[0] == 0);
}

static void test_distance_zero_rows(void **state)
{
    (void)state;
    float zero[8] = {0}, x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, d, da[8] = {0}, db[8] = {0}, dd = 1;
    akin_matrix a = ak_matrix(zero, 1, 8), b = ak_matrix(x, 1, 8);
    ak_distance_rows(AK_COSINE, a, b, &d);
    assert_true(d == 1);
    ak_distance_rows_backward(AK_COSINE, a, b, &dd, ak_matrix(da, 1, 8), ak_matrix(db, 1, 8));
    assert_true(da[0] == 0 && db[0] == 0);
    assert_int_equal(ak_distance_matrix(AK_COSINE, a, b, ak_matrix(&d, 1, 1), arena, &error), 0);
    assert_true(d == 1);
}

/* ---- threads and memory ---- */

/* Everything that is parallel, on matrices large enough to be so; returns a hash of all results. */
static ak_hash run_everything(void)
{
    int64_t n = 700, d = 99;
    akin_matrix x = random_matrix(1, n, d), y = random_matrix(2, n, d), z = random_matrix(3, n, d);
    akin_matrix w = ak_matrix_new(arena, d, d), dd = ak_matrix_new(arena, n, n);
    akin_matrix distances = ak_matrix_new(arena, n, n);
    akin_pass pass = {.training = true, .seed = 1};
    float sums[99] = {0}, dweight[99 * 99] = {0}, norms[700];
    for (int64_t i = 0; i < d * d; i++)
        w.data[i] = noise(4, i);
    for (int64_t i = 0; i < n * n; i++)
        dd.data[i] = noise(5, i);
    ak_linear_forward(x, w.data, sums, y, AKIN_F32);
    ak_linear_backward(x, w.data, y, dweight, sums, z, AKIN_F32);
    ak_column_dots(x, y, sums);
    ak_dropout(z, z, .3, &pass, 1);
    ak_normalize_forward(z, y, norms);
    ak_normalize_backward(y, norms, x, z);
    for (int distance = AK_COSINE; distance <= AK_DOT_PRODUCT; distance++) {
        ak_distance_rows((ak_distance)distance, x, z, norms);
        assert_int_equal(ak_distance_matrix((ak_distance)distance, x, z, distances, arena, &error),
                         0);
        assert_int_equal(ak_distance_matrix_backward((ak_distance)distance, x, z, distances, dd, y,
                                                     z, arena, &error),
                         0);
    }
    ak_hash hash = ak_hash_bytes(sums, sizeof sums);
    hash = ak_hash_combine(hash, ak_hash_bytes(dweight, sizeof dweight));
    hash = ak_hash_combine(hash, ak_hash_bytes(norms, sizeof norms));
    hash = ak_hash_combine(hash, ak_hash_bytes(distances.data, (size_t)(n * n) * sizeof(float)));
    for (int64_t i = 0; i < n; i++) {
        hash = ak_hash_combine(hash, ak_hash_bytes(y.data + i * y.stride, 99 * sizeof(float)));
        hash = ak_hash_combine(hash, ak_hash_bytes(z.data + i * z.stride, 99 * sizeof(float)));
    }
    ak_arena_reset(arena);
    return hash;
}

static void test_threads(void **state)
{
    (void)state;
    ak_hash first = run_everything();
    const int threads[] = {1, 2, 3, 7};
    for (int t = 0; t < 4; t++) {
        omp_set_num_threads(threads[t]);
        assert_true(ak_hash_equal(first, run_everything()));
    }
    omp_set_num_threads(2);
}

static akin_status all_distances(void)
{
    akin_arena *scratch;
    float x[40], y[100], d[40], dx[40] = {0}, dy[100] = {0};
    for (int i = 0; i < 100; i++)
        x[i % 40] = y[i] = noise(1, i);
    akin_matrix a = ak_matrix(x, 4, 10), b = ak_matrix(y, 10, 10), m = ak_matrix(d, 4, 10);
    akin_status status = ak_arena_create(&scratch, &error);
    for (int k = AK_COSINE; k <= AK_DOT_PRODUCT && !status; k++) {
        status = ak_distance_matrix((ak_distance)k, a, b, m, scratch, &error);
        if (!status)
            status = ak_distance_matrix_backward((ak_distance)k, a, b, m, m, ak_matrix(dx, 4, 10),
                                                 ak_matrix(dy, 10, 10), scratch, &error);
    }
    ak_arena_free(scratch);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    ak_memory_fail_at(0);
    assert_int_equal(all_distances(), AKIN_OK);
    int64_t count = ak_memory_fail_at(0);
    assert_true(count >= 2);
    for (int64_t n = 1; n <= count; n++) {
        ak_memory_fail_at(n);
        assert_int_equal(all_distances(), AKIN_ERR_MEMORY);
    }
    ak_memory_fail_at(0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        TEST(test_parameters_block),
        TEST(test_parameters_fresh_values),
        TEST(test_parameters_errors),
        TEST(test_parameters_norm),
        TEST(test_columns),
        TEST(test_linear),
        TEST(test_residual),
        TEST(test_normalize),
        TEST(test_normalize_extremes),
        TEST(test_dropout),
        TEST(test_distance_rows),
        TEST(test_distance_matrix),
        TEST(test_distance_self),
        TEST(test_euclidean_cancellation),
        TEST(test_distance_zero_rows),
        TEST(test_threads),
        TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
