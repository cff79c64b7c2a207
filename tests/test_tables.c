/* Tables: where their rows and gradients are, sparse updates against PyTorch's SparseAdam and
   against dense ones, bags of rows against float64 for every number of threads. */
#include "support.h"

#include <math.h>
#include <omp.h>

#include "nn/nn.h"

#include "data/sparse_adam_golden.h"

enum { ROWS = 40, COLUMNS = 21 };

static akin_arena *arena;
static akin_error error;

static int open_arena(void **state)
{
    (void)state;
    return ak_arena_create(&arena, NULL);
}

static int close_arena(void **state)
{
    (void)state;
    ak_arena_free(arena);
    return 0;
}

static void assert_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("got %.9g, expected %.9g", got, expected);
}

/* A bias, a table, a weight, another table: dense ones come first whatever the order of adding. */
static akin_parameters *make(int numbers[4])
{
    akin_parameters *p;
    assert_int_equal(akin_parameters_create(&p, &error), AKIN_OK);
    assert_int_equal(
        akin_parameters_add(p, &numbers[0], "bias", 1, 3, AKIN_INIT_CONSTANT, 0.5, false, &error),
        AKIN_OK);
    assert_int_equal(ak_parameters_add_table(p, &numbers[1], "first", ROWS, COLUMNS,
                                             AKIN_INIT_NORMAL, 1, &error),
                     AKIN_OK);
    assert_int_equal(
        akin_parameters_add(p, &numbers[2], "weight", 2, 9, AKIN_INIT_UNIFORM, 1, true, &error),
        AKIN_OK);
    assert_int_equal(
        ak_parameters_add_table(p, &numbers[3], "second", 5, 2, AKIN_INIT_UNIFORM, 1, &error),
        AKIN_OK);
    assert_int_equal(akin_parameters_seal(p, 3, &error), AKIN_OK);
    assert_int_equal(ak_parameters_train(p, &error), AKIN_OK);
    return p;
}

static void test_places(void **state)
{
    (void)state;
    int n[4];
    akin_parameters *p = make(n);
    const float *values = ak_parameters_values(p);
    int64_t dense = ak_parameters_dense(p);
    assert_true(akin_parameters_get(p, n[0])->value - values < dense);
    assert_true(akin_parameters_get(p, n[2])->value - values < dense);
    assert_true(akin_parameters_get(p, n[1])->value - values >= dense);
    assert_true(akin_parameters_get(p, n[3])->value - values >= dense);
    assert_null(akin_parameters_get(p, n[1])->grad);
    assert_ptr_equal(akin_parameters_get(p, n[2])->grad - ak_parameters_grads(p),
                     akin_parameters_get(p, n[2])->value - values);
    assert_int_equal(ak_parameters_grad_size(p), dense);

    /* Fresh values are what a parameter of that name gets anywhere. */
    akin_parameters *other;
    int number;
    assert_int_equal(akin_parameters_create(&other, &error), AKIN_OK);
    assert_int_equal(akin_parameters_add(other, &number, "first", ROWS, COLUMNS, AKIN_INIT_NORMAL,
                                         1, false, &error),
                     AKIN_OK);
    assert_int_equal(akin_parameters_seal(other, 3, &error), AKIN_OK);
    assert_memory_equal(akin_parameters_get(other, number)->value,
                        akin_parameters_get(p, n[1])->value, ROWS * COLUMNS * sizeof(float));
    akin_parameters_free(other);
    akin_parameters_free(p);
}

static void test_touch(void **state)
{
    (void)state;
    int n[4];
    akin_parameters *p = make(n);
    const int32_t rows[] = {7, 39, 0}, again[] = {0, 8}, second[] = {0};
    float *grads[3], *more[2], *other[1];
    bool fresh[3];
    int64_t count, dense = ak_parameters_dense(p);
    ak_parameters_touch(p, n[1], rows, 3, grads, fresh);
    assert_true(fresh[0] && fresh[1] && fresh[2]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < COLUMNS; j++)
            grads[i][j] = 2;
    ak_parameters_touch(p, n[1], again, 2, more, fresh);
    assert_true(!fresh[0] && fresh[1] && more[0] == grads[2]);
    for (int j = 0; j < COLUMNS; j++)
        more[1][j] = 1;
    ak_parameters_touch(p, n[3], second, 1, other, fresh);
    other[0][0] = 3, other[0][1] = -4;
    akin_parameters_get(p, n[0])->grad[1] = 5;
    const ak_touched *touched = ak_parameters_touched(p, &count);
    assert_int_equal(count, 5);
    assert_true(touched[0].row == 7 && touched[3].row == 8 && touched[4].parameter == n[3]);
    assert_int_equal(ak_parameters_grad_size(p), dense + 4 * 32 + 16);
    assert_near(ak_parameters_grad_norm(p), sqrt(3 * COLUMNS * 4 + COLUMNS + 25 + 25), 1e-12);
    ak_parameters_scale_grads(p, 0.5f);
    assert_true(grads[0][3] == 1 && other[0][1] == -2);
    akin_parameters *const all[] = {p};
    ak_clip_grads(all, 1, 0.75, 0);
    assert_true(grads[0][3] == 0.75f && other[0][1] == -0.75f && more[1][0] == 0.5f);

    ak_parameters_zero_grads(p);
    (void)ak_parameters_touched(p, &count);
    assert_true(count == 0 && ak_parameters_grad_size(p) == dense);
    assert_true(ak_parameters_grad_norm(p) == 0);
    ak_parameters_touch(p, n[1], rows, 3, grads, fresh);
    assert_true(fresh[0] && fresh[2]);
    akin_parameters_free(p);
}

/* ---- bags ---- */

/* `text` as sparse_bags: -1 ends a bag, -2 the list. */
static const int *next_bags(const int *text, ak_bags *bags)
{
    int64_t *start = ak_arena_new(arena, int64_t, 64);
    int32_t *rows = ak_arena_new(arena, int32_t, 256);
    *bags = (ak_bags){.start = start, .rows = rows};
    start[0] = 0;
    int64_t used = 0;
    for (; *text != -2; text++) {
        if (*text >= 0)
            rows[used++] = *text;
        else
            start[++bags->count] = used;
    }
    return text + 1;
}

static void test_sparse_adam(void **state)
{
    (void)state;
    akin_parameters *p;
    ak_optimizer *optimizer;
    int table;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    options.lr = 0.125;
    assert_int_equal(akin_parameters_create(&p, &error), AKIN_OK);
    assert_int_equal(ak_parameters_add_table(p, &table, "t", SPARSE_ROWS, SPARSE_COLUMNS,
                                             AKIN_INIT_ZERO, 0, &error),
                     AKIN_OK);
    assert_int_equal(akin_parameters_seal(p, 1, &error), AKIN_OK);
    assert_int_equal(ak_optimizer_create(&optimizer, &options, p, &error), AKIN_OK);
    float *value = akin_parameters_get(p, table)->value;
    for (int i = 0; i < SPARSE_ROWS; i++)
        for (int j = 0; j < SPARSE_COLUMNS; j++)
            value[i * SPARSE_COLUMNS + j] = (float)((i * 5 + j * 3) % 13 - 6) / 16;
    const int *text = sparse_bags;
    for (int step = 0; step < SPARSE_STEPS; step++) {
        ak_bags bags;
        ak_arena_reset(arena);
        text = next_bags(text, &bags);
        akin_matrix dy = ak_matrix_new(arena, bags.count, SPARSE_COLUMNS);
        for (int64_t b = 0; b < bags.count; b++)
            for (int j = 0; j < SPARSE_COLUMNS; j++)
                dy.data[b * dy.stride + j] = (float)(b + 1) * (float)(j - 1) / 8;
        assert_int_equal(ak_bags_turn(&bags, SPARSE_ROWS, arena, &error), AKIN_OK);
        assert_int_equal(ak_bags_backward(&bags, dy, p, table, arena, &error), AKIN_OK);
        ak_optimizer_step(optimizer, step, 0);
    }
    for (int i = 0; i < SPARSE_ROWS * SPARSE_COLUMNS; i++)
        assert_near((double)value[i], (double)sparse_table[i], 2e-6);
    ak_optimizer_free(optimizer);
    akin_parameters_free(p);
}

/* Rows that are touched in every step move as a dense parameter of these rows alone, bit by bit. */
static void check_as_dense(akin_optimizer_type type, double momentum)
{
    enum { TOUCHED = 3, STEPS = 5 };
    static const int32_t rows[TOUCHED] = {31, 2, 17};
    akin_optimizer_options options = akin_optimizer_defaults(type);
    options.momentum = momentum;
    options.lr = 0.01;
    options.weight_decay = 0.1; /* does not reach tables */
    akin_parameters *p[2];
    ak_optimizer *optimizer[2];
    int number[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(akin_parameters_create(&p[i], &error), AKIN_OK);
        assert_int_equal(i ? akin_parameters_add(p[1], &number[1], "d", TOUCHED, COLUMNS,
                                                 AKIN_INIT_ZERO, 0, false, &error)
                           : ak_parameters_add_table(p[0], &number[0], "t", ROWS, COLUMNS,
                                                     AKIN_INIT_NORMAL, 1, &error),
                         AKIN_OK);
        assert_int_equal(akin_parameters_seal(p[i], 9, &error), AKIN_OK);
        assert_int_equal(ak_optimizer_create(&optimizer[i], &options, p[i], &error), AKIN_OK);
    }
    float *table = akin_parameters_get(p[0], number[0])->value, before[ROWS * COLUMNS];
    akin_parameter *dense = akin_parameters_get(p[1], number[1]);
    memcpy(before, table, sizeof before);
    for (int i = 0; i < TOUCHED; i++)
        memcpy(dense->value + i * COLUMNS, table + rows[i] * COLUMNS, COLUMNS * sizeof(float));
    for (int step = 0; step < STEPS; step++) {
        float *grads[TOUCHED];
        bool fresh[TOUCHED];
        ak_parameters_touch(p[0], number[0], rows, TOUCHED, grads, fresh);
        for (int i = 0; i < TOUCHED * COLUMNS; i++)
            grads[i / COLUMNS][i % COLUMNS] = dense->grad[i] =
                (float)ak_random_normal(4, (uint64_t)step, (uint64_t)i);
        ak_optimizer_step(optimizer[0], step, 0);
        ak_optimizer_step(optimizer[1], step, 0);
    }
    for (int i = 0; i < TOUCHED; i++) {
        assert_memory_equal(table + rows[i] * COLUMNS, dense->value + i * COLUMNS,
                            COLUMNS * sizeof(float));
        assert_memory_not_equal(table + rows[i] * COLUMNS, before + rows[i] * COLUMNS,
                                COLUMNS * sizeof(float));
        memcpy(table + rows[i] * COLUMNS, before + rows[i] * COLUMNS, COLUMNS * sizeof(float));
    }
    assert_memory_equal(table, before, sizeof before); /* all others stayed */
    for (int i = 0; i < 2; i++) {
        ak_optimizer_free(optimizer[i]);
        akin_parameters_free(p[i]);
    }
}

static void test_as_dense(void **state)
{
    (void)state;
    check_as_dense(AKIN_SGD, 0);
    check_as_dense(AKIN_SGD, 0.9);
    check_as_dense(AKIN_ADAM, 0);
    check_as_dense(AKIN_ADAMW, 0);
}

/* Bags of 0 to 30 rows. */
static void random_bags(ak_bags *bags, int64_t count, int64_t table_rows)
{
    int64_t *start = ak_arena_new(arena, int64_t, count + 1);
    int32_t *rows = ak_arena_new(arena, int32_t, count * 30);
    start[0] = 0;
    for (int64_t b = 0; b < count; b++) {
        start[b + 1] = start[b] + (int64_t)ak_random_below(1, 1, (uint64_t)b, 31);
        for (int64_t i = start[b]; i < start[b + 1]; i++)
            rows[i] = (int32_t)ak_random_below(1, 2, (uint64_t)i, (uint64_t)table_rows);
    }
    *bags = (ak_bags){.count = count, .start = start, .rows = rows};
}

static void check_forward(const ak_bags *bags, const float *table, akin_matrix y)
{
    for (int64_t b = 0; b < bags->count; b++)
        for (int64_t j = 0; j < y.columns; j++) {
            double sum = 0;
            for (int64_t i = bags->start[b]; i < bags->start[b + 1]; i++)
                sum += (double)table[bags->rows[i] * y.columns + j];
            int64_t n = bags->start[b + 1] - bags->start[b];
            assert_near((double)y.data[b * y.stride + j], n ? sum / (double)n : 0, 1e-6);
        }
}

static void check_backward(const ak_bags *bags, const akin_parameters *p, akin_matrix dy,
                           double times)
{
    int64_t count;
    const ak_touched *touched = ak_parameters_touched(p, &count);
    assert_int_equal(count, bags->distinct);
    for (int64_t t = 0; t < count; t++)
        for (int64_t j = 0; j < dy.columns; j++) {
            double sum = 0;
            for (int64_t b = 0; b < bags->count; b++)
                for (int64_t i = bags->start[b]; i < bags->start[b + 1]; i++)
                    if (bags->rows[i] == touched[t].row)
                        sum += (double)dy.data[b * dy.stride + j] /
                               (double)(bags->start[b + 1] - bags->start[b]);
            assert_near((double)ak_parameters_grads(p)[touched[t].grad + j], times * sum, 2e-6);
        }
}

static void test_bags(void **state)
{
    (void)state;
    int n[4];
    akin_parameters *p = make(n);
    ak_bags bags;
    random_bags(&bags, 150, ROWS);
    const float *table = akin_parameters_get(p, n[1])->value;
    akin_matrix y = ak_matrix_columns(ak_matrix_new(arena, bags.count, COLUMNS + 3), 2, COLUMNS);
    akin_matrix dy = ak_matrix_columns(ak_matrix_new(arena, bags.count, COLUMNS + 5), 1, COLUMNS);
    for (int64_t i = 0; i < bags.count * dy.stride; i++)
        (dy.data - 1)[i] = (float)ak_random_normal(1, 3, (uint64_t)i);
    ak_bags_forward(&bags, table, y);
    check_forward(&bags, table, y);
    assert_int_equal(ak_bags_turn(&bags, ROWS, arena, &error), AKIN_OK);
    assert_int_equal(ak_bags_backward(&bags, dy, p, n[1], arena, &error), AKIN_OK);
    check_backward(&bags, p, dy, 1);
    assert_int_equal(ak_bags_backward(&bags, dy, p, n[1], arena, &error), AKIN_OK);
    check_backward(&bags, p, dy, 2);
    akin_parameters_free(p);
}

static void test_threads(void **state)
{
    (void)state;
    ak_bags bags;
    int threads = omp_get_max_threads();
    random_bags(&bags, 3000, 2000);
    assert_int_equal(ak_bags_turn(&bags, 2000, arena, &error), AKIN_OK);
    akin_matrix y = ak_matrix_new(arena, bags.count, 64);
    ak_hash sums[3];
    for (int k = 0; k < 3; k++) {
        akin_parameters *p;
        ak_optimizer *optimizer;
        int table;
        akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
        options.clip_norm = 0.001;
        omp_set_num_threads(k + 1);
        assert_int_equal(akin_parameters_create(&p, &error), AKIN_OK);
        assert_int_equal(
            ak_parameters_add_table(p, &table, "t", 2000, 64, AKIN_INIT_NORMAL, 1, &error),
            AKIN_OK);
        assert_int_equal(akin_parameters_seal(p, 1, &error), AKIN_OK);
        assert_int_equal(ak_optimizer_create(&optimizer, &options, p, &error), AKIN_OK);
        for (int step = 0; step < 3; step++) {
            ak_bags_forward(&bags, akin_parameters_get(p, table)->value, y);
            assert_int_equal(ak_bags_backward(&bags, y, p, table, arena, &error), AKIN_OK);
            ak_optimizer_step(optimizer, step, 0);
        }
        sums[k] = ak_hash_bytes(ak_parameters_values(p), 2000 * 64 * sizeof(float));
        ak_optimizer_free(optimizer);
        akin_parameters_free(p);
    }
    omp_set_num_threads(threads);
    assert_true(ak_hash_equal(sums[0], sums[1]) && ak_hash_equal(sums[0], sums[2]));
}

/* ---- mistakes and memory ---- */

static void test_too_many_rows(void **state)
{
    (void)state;
    akin_parameters *p;
    int number;
    assert_int_equal(akin_parameters_create(&p, &error), AKIN_OK);
    assert_int_equal(ak_parameters_add_table(p, &number, "t", (int64_t)INT32_MAX + 1, 1,
                                             AKIN_INIT_ZERO, 0, &error),
                     AKIN_ERR_ARGUMENT);
    assert_says(&error, "2147483648 rows");
    assert_int_equal(ak_parameters_add_table(p, &number, "t", 0, 1, AKIN_INIT_ZERO, 0, &error),
                     AKIN_ERR_ARGUMENT);
    akin_parameters_free(p);
}

static akin_status make_trained(void *user, akin_error *why)
{
    akin_parameters *p = NULL;
    ak_optimizer *optimizer = NULL;
    int table;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAM);
    (void)user;
    akin_status status = akin_parameters_create(&p, why);
    if (!status)
        status = ak_parameters_add_table(p, &table, "t", 9, 4, AKIN_INIT_ZERO, 0, why);
    if (!status)
        status = akin_parameters_seal(p, 1, why);
    if (!status)
        status = ak_optimizer_create(&optimizer, &options, p, why);
    ak_optimizer_free(optimizer);
    akin_parameters_free(p);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(make_trained, NULL) > 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_touch, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_sparse_adam, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_as_dense, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_bags, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(test_threads, open_arena, close_arena),
        cmocka_unit_test(test_too_many_rows),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
