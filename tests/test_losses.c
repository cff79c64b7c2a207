/* Losses: golden values, central differences of an independent double implementation, and what must
   hold for every loss whatever its formula. */
#include "losses_batches.h"

#include "loss/exclusions.h"
#include "loss/triplet_rows.h"

#include <omp.h>

/* ---- golden values ---- */

typedef struct golden {
    const char *name;
    const akin_loss_class *loss;
    const char *options[4][2];
    int64_t content[8], group[8];
    float score[4];
    bool has_subgroup, stretched;
    int64_t subgroup[4], known[4][2], known_count;
    double value, gradient[2]; /* d / d x[0][0] and d / d x[5][2] */
} golden;

static const golden goldens[] = {
#include "data/losses_golden.inc"
};

static const double eight[8 * 4] = {.9,  .1, -.3, .2, .7,  .4, -.1, .3,  -.2, .8, .5,
                                    .1,  .1, .9,  .3, -.4, .8, -.2, -.4, .5,  .3, .6,
                                    -.5, .2, -.5, .7, .6,  .3, .2,  .5,  .9,  -.6};

/* By column, for distances that would tie among vectors of round numbers. */
static const double stretch[4] = {1.01, .97, 1.03, .94};

static void golden_values_are_met(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof goldens / sizeof *goldens; c++) {
        const golden *g = &goldens[c];
        problem *p = calloc(1, sizeof *p);
        p->loss = g->loss;
        p->known_count = g->known_count;
        memcpy(p->content, g->content, sizeof g->content);
        memcpy(p->known, g->known, sizeof g->known);
        labelled *l = calloc(1, sizeof *l);
        label(l, p);
        l->labels.count = g->loss->kind == AKIN_PAIRS ? 4 : 8;
        l->labels.group = g->group;
        l->labels.score = g->score;
        l->labels.subgroup = g->has_subgroup ? g->subgroup : NULL;

        float x[32], dx[32];
        for (int i = 0; i < 32; i++)
            x[i] = (float)(eight[i] * (g->stretched ? stretch[i % 4] : 1));
        void *self;
        akin_pass pass = {.size = sizeof pass};
        double value;
        assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
        assert_int_equal(create(&self, g->loss, g->options, 4, NULL), AKIN_OK);
        akin_matrix mx = {x, 8, 4, 4}, mdx = {dx, 8, 4, 4};
        assert_int_equal(g->loss->compute(self, &pass, &l->labels, mx, mdx, &value, NULL), AKIN_OK);
        check_near(value, g->value, 2e-6, g->name);
        check_near(dx[0], g->gradient[0], 5e-6, g->name);
        check_near(dx[5 * 4 + 2], g->gradient[1], 5e-6, g->name);
        free(self);
        ak_arena_free(pass.arena);
        free(l);
        free(p);
    }
}

static void check_gradient(const problem *p, double *x, const char *name, uint64_t *counter)
{
    run r = {.padding = 3};
    run_loss(&r, p, x);
    assert_int_equal(r.status, AKIN_OK);
    check_near(r.value, ref_loss(p, x), 2e-6, name);
    int64_t stride = p->width + r.padding;
    for (int64_t i = 0; i < p->objects * stride; i++)
        if (i % stride >= p->width)
            assert_true(r.dx[i] == 77);
    for (int64_t probe = 0; probe < 12; probe++) {
        int64_t i = below(counter, (uint64_t)p->objects), k = below(counter, (uint64_t)p->width);
        double *place = &x[i * p->width + k], old = *place, h = 1e-6;
        *place = old + h;
        double up = ref_loss(p, x);
        *place = old - h;
        double down = ref_loss(p, x);
        *place = old;
        check_near(r.dx[i * stride + k], (up - down) / (2 * h), 2e-5, name);
    }
    run_free(&r);
}

static void gradients_are_central_differences(void **state)
{
    (void)state;
    for_every_problem(4, 3, check_gradient);
    for_every_problem(38, 5, check_gradient);
}

static void many_rows_too(void **state)
{
    (void)state;
    uint64_t counter = 1;
    for (int s = 0; s < SETTINGS; s++) {
        problem *p = random_problem(&every_mask[s % 2 ? 2 : 5], 150, 16, &counter);
        apply(p, &every_setting[s], 0);
        double *x = random_vectors(p, &counter);
        check_gradient(p, x, every_setting[s].name, &counter);
        free(x);
        free(p);
    }
}

/* Logits far apart, in more than one block of rows: no shift but a row's and a column's own does.
 */
static void large_scales_neither_overflow_nor_vanish(void **state)
{
    (void)state;
    uint64_t counter = 5;
    for (int symmetric = 0; symmetric < 2; symmetric++) {
        problem *p = random_problem(&every_mask[1], 200, 3, &counter);
        apply(p, &every_setting[3], 0);
        p->scale = 500;
        p->symmetric = symmetric;
        double *x = random_vectors(p, &counter);
        for (int64_t i = 0; i < p->objects; i++) /* the first 64 a's look away from all b's */
            x[i * p->width] = i < 64 ? -1.5 : 1.5;
        run r = {0};
        run_loss(&r, p, x);
        check_near(r.value, ref_loss(p, x), 1e-5, "ranking, 500");
        for (int64_t i = 0; i < p->objects * p->width; i++)
            assert_true(isfinite(r.dx[i]));
        run_free(&r);
        free(x);
        free(p);
    }
}

/* ---- what holds for every loss ---- */

static void check_permutation(const problem *p, double *x, const char *name, uint64_t *counter)
{
    problem *q = malloc(sizeof *q);
    int64_t order[MAX_OBJECTS], n = p->objects, half = p->loss->kind == AKIN_PAIRS ? n / 2 : n;
    double *y = malloc((size_t)(n * p->width) * sizeof *y);
    *q = *p;
    ak_random_permutation(5, (*counter)++, order, half);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = order[i % half] + i / half * half;
        q->content[i] = p->content[from];
        memcpy(y + i * p->width, x + from * p->width, (size_t)p->width * sizeof *y);
    }
    for (int64_t i = 0; i < half; i++) {
        q->group[i] = p->group[order[i]];
        q->score[i] = p->score[order[i]];
        q->subgroup[i] = p->subgroup[order[i]];
    }
    run a = {0}, b = {0};
    run_loss(&a, p, x);
    run_loss(&b, q, y);
    check_near(b.value, a.value, 1e-6, name);
    for (int64_t i = 0; i < n * p->width; i++) {
        int64_t row = i / p->width, from = order[row % half] + row / half * half;
        check_near(b.dx[i], a.dx[from * p->width + i % p->width], 5e-6, name);
    }
    run_free(&a);
    run_free(&b);
    free(y);
    free(q);
}

static void order_of_the_batch_is_no_matter(void **state)
{
    (void)state;
    for_every_problem(38, 5, check_permutation);
}

static void check_threads(const problem *p, double *x, const char *name)
{
    run one = {0};
    omp_set_num_threads(1);
    run_loss(&one, p, x);
    for (int threads = 2; threads < 5; threads++) {
        run more = {0};
        omp_set_num_threads(threads);
        run_loss(&more, p, x);
        size_t bytes = (size_t)(p->objects * p->width) * sizeof(float);
        if (memcmp(&one.value, &more.value, sizeof one.value) || memcmp(one.dx, more.dx, bytes))
            fail_msg("%s: %d threads give other bits", name, threads);
        run_free(&more);
    }
    run_free(&one);
    omp_set_num_threads(1);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    uint64_t counter = 3;
    for (int s = 0; s < SETTINGS; s++)
        for (int d = 0; d < DISTANCES; d++) {
            problem *p = random_problem(&every_mask[5], 200, 24, &counter);
            if (apply(p, &every_setting[s], d)) {
                double *x = random_vectors(p, &counter);
                check_threads(p, x, every_setting[s].name);
                free(x);
            }
            free(p);
        }
}

static void check_memory(const problem *p, double *x, const char *name, uint64_t *counter)
{
    (void)counter;
    labelled *l = calloc(1, sizeof *l);
    float *fx = calloc((size_t)(p->objects * p->width), sizeof *fx), *dx = calloc(1, 1);
    label(l, p);
    dx = realloc(dx, (size_t)(p->objects * p->width) * sizeof *dx);
    for (int64_t i = 0; i < p->objects * p->width; i++)
        fx[i] = (float)x[i];
    akin_matrix mx = ak_matrix(fx, p->objects, p->width), mdx = ak_matrix(dx, mx.rows, mx.columns);
    void *self = create_for(p);
    double value;
    int64_t n = 1;
    for (akin_status status = AKIN_ERR_MEMORY; status; n++) {
        akin_pass pass = {.size = sizeof pass};
        akin_error error = {0};
        assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
        ak_memory_fail_at(n);
        status = p->loss->compute(self, &pass, &l->labels, mx, mdx, &value, &error);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
        assert_int_equal(error.status, status);
        if (!status) { /* a steady state allocates nothing */
            ak_arena_reset(pass.arena);
            ak_memory_fail_at(1);
            status = p->loss->compute(self, &pass, &l->labels, mx, mdx, &value, &error);
            ak_memory_fail_at(0);
            if (status)
                fail_msg("%s: allocates in the second step", name);
        }
        ak_arena_free(pass.arena);
    }
    assert_true(n > 2);
    free(self);
    free(l);
    free(fx);
    free(dx);
}

static void failing_allocations_come_out(void **state)
{
    (void)state;
    for_every_problem(38, 5, check_memory);
}

static void check_silence(const problem *given, double *x, const char *name, uint64_t *counter)
{
    problem *p = malloc(sizeof *p);
    run r = {0}, bad = {0};
    *p = *given;
    p->has_subgroup = false;
    for (int64_t i = 0; i < p->objects; i++) {
        p->group[i] = i;
        p->score[i] = 0;
        p->content[i] = i;
    }
    p->margin = p->loss == &ak_loss_contrastive ? 0 : p->margin;
    p->distance = p->loss == &ak_loss_contrastive ? AK_EUCLIDEAN : p->distance;
    run_loss(&r, p, x);
    if (r.value != 0)
        fail_msg("%s: %g without a positive", name, r.value);
    for (int64_t i = 0; i < p->objects * p->width; i++)
        assert_true(r.dx[i] == 0);

    double *place = &x[below(counter, (uint64_t)(p->objects * p->width))];
    *place = below(counter, 2) ? (double)NAN : (double)INFINITY;
    run_loss(&bad, given, x);
    assert_int_equal(bad.status, AKIN_OK);
    if (!isnan(bad.value))
        fail_msg("%s: %g for embeddings that are not finite", name, bad.value);
    run_free(&r);
    run_free(&bad);
    free(p);
}

static void nothing_to_learn_is_zero_and_nan_is_nan(void **state)
{
    (void)state;
    for_every_problem(22, 5, check_silence);
}

/* Two of each group, all at one point and one elsewhere: no division by zero, no NaN. */
static void check_degenerate(const problem *p, double *x, const char *name, uint64_t *counter)
{
    run r = {0};
    (void)counter;
    for (int64_t i = p->width; i < p->objects * p->width; i++)
        x[i] = i < 3 * p->width ? 0 : x[i % p->width];
    run_loss(&r, p, x);
    bool finite = isfinite(r.value);
    for (int64_t i = 0; i < p->objects * p->width; i++)
        finite = finite && isfinite(r.dx[i]);
    if (!finite)
        fail_msg("%s: not finite", name);
    run_free(&r);
}

static void equal_and_zero_rows_are_finite(void **state)
{
    (void)state;
    for_every_problem(22, 5, check_degenerate);
    for_every_problem(2, 3, check_degenerate);
}

static void check_bf16(const problem *p, double *x, const char *name, uint64_t *counter)
{
    run exact = {0}, rounded = {.precision = AKIN_BF16};
    (void)counter;
    run_loss(&exact, p, x);
    run_loss(&rounded, p, x);
    check_near(rounded.value, exact.value, 0.05, name);
    run_free(&exact);
    run_free(&rounded);
}

static void bf16_is_near(void **state)
{
    (void)state;
    for_every_problem(38, 16, check_bf16);
}

/* ---- ties ---- */

/* Whole numbers: distances and margins tie everywhere, and both sides compute them exactly. */
static void ties_are_decided_as_defined(void **state)
{
    (void)state;
    uint64_t counter = 77;
    for (int round = 0; round < 40; round++)
        for (int s = 0; s < SETTINGS; s++)
            for (int d = AK_MANHATTAN; d <= AK_DOT_PRODUCT; d++) {
                problem *p = random_problem(&every_mask[round % MASKS], 38, 3, &counter);
                if (apply(p, &every_setting[s], d)) {
                    double *x = random_vectors(p, &counter);
                    for (int64_t i = 0; i < p->objects * p->width; i++)
                        x[i] = (double)below(&counter, 4);
                    p->margin = 1;
                    run r = {0};
                    run_loss(&r, p, x);
                    check_near(r.value, ref_loss(p, x), 1e-6, every_setting[s].name);
                    run_free(&r);
                    free(x);
                }
                free(p);
            }
}

/* ---- exclusions ---- */

static bool excludes(const ak_exclusions *e, int64_t row, int32_t column)
{
    int count = 0;
    for (int64_t k = e->start[row]; k < e->start[row + 1]; k++)
        count += e->columns[k] == column;
    assert_in_range(count, 0, 1); /* each once */
    return count;
}

/* A content with far more known positives than the batch has rows. */
static void many_known_positives(void **state)
{
    (void)state;
    enum { LIST = 5000 };
    static const int64_t content[6] = {0, 1, 9, 7, 7 * (LIST - 9), 7 * LIST + 1};
    static const float score[3] = {1, 1, 1};
    int64_t *start = calloc(7 * LIST + 3, sizeof *start), *list = calloc(LIST, sizeof *list);
    for (int64_t k = 0; k < LIST; k++)
        list[k] = 7 * k + 7; /* of content 0: 7, 14, 21, ... */
    for (int64_t c = 1; c < 7 * LIST + 3; c++)
        start[c] = LIST;
    akin_labels labels = {.size = sizeof labels,
                          .kind = AKIN_PAIRS,
                          .count = 3,
                          .content = content,
                          .score = score,
                          .positive_start = start,
                          .positives = list};
    akin_arena *arena;
    ak_exclusions pairs, objects;
    assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
    assert_int_equal(ak_exclude_pairs(&pairs, &labels, arena, NULL), AKIN_OK);
    assert_int_equal(ak_exclude_objects(&objects, &labels, 6, true, arena, NULL), AKIN_OK);
    for (int64_t i = 0; i < 3; i++)
        for (int32_t j = 0; j < 3; j++)
            assert_int_equal(excludes(&pairs, i, j), i == 0 && j == 1); /* 7 is on the diagonal */
    for (int64_t i = 0; i < 6; i++)
        for (int32_t j = 0; j < 6; j++)
            assert_int_equal(excludes(&objects, i, j), i == j || (i == 0 && (j == 3 || j == 4)));
    ak_arena_free(arena);
    free(start);
    free(list);
}

/* ---- one by one ---- */

static void a_batch_of_one_pair_many_times(void **state)
{
    (void)state;
    enum { PAIRS = 3000, COLUMNS = 8 };
    int64_t *content = malloc(2 * PAIRS * sizeof *content);
    float *score = malloc(PAIRS * sizeof *score), *x = malloc(2 * PAIRS * COLUMNS * sizeof *x);
    for (int i = 0; i < PAIRS; i++) {
        content[i] = 5;
        content[PAIRS + i] = 6;
        score[i] = 1;
    }
    for (int i = 0; i < 2 * PAIRS * COLUMNS; i++)
        x[i] = (float)(i % 7 - 3);
    akin_labels labels = {.size = sizeof labels,
                          .kind = AKIN_PAIRS,
                          .count = PAIRS,
                          .content = content,
                          .score = score};
    akin_pass pass = {.size = sizeof pass};
    void *self;
    double value = 1;
    assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
    assert_int_equal(create(&self, &ak_loss_multiple_negatives_ranking, NULL, 0, NULL), AKIN_OK);
    assert_int_equal(ak_loss_multiple_negatives_ranking.compute(self, &pass, &labels,
                                                                ak_matrix(x, 2 * PAIRS, COLUMNS),
                                                                (akin_matrix){0}, &value, NULL),
                     AKIN_OK);
    check_near(value, 0, 1e-6, "nothing but known positives"); /* and it takes no cubic time */
    free(self);
    ak_arena_free(pass.arena);
    free(content);
    free(score);
    free(x);
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *options[3][2];
        const char *part; /* NULL: accepted */
    } rows[] = {
        {{{"distance", "dot_product"}}, "dot_product"},
        {{{"distance", "dot_product"}, {"mining", "semi_hard"}}, NULL},
        {{{"distance", "dot_product"}, {"soft", "true"}}, NULL},
        {{{"soft", "true"}, {"mining", "all"}}, "not with all"},
        {{{"soft", "true"}, {"mining", "semi_hard"}}, "not with semi_hard"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *self = &self;
        akin_error error = {0};
        akin_status status = create(&self, &ak_loss_triplet, rows[i].options, 3, &error);
        assert_int_equal(status, rows[i].part ? AKIN_ERR_ARGUMENT : AKIN_OK);
        if (rows[i].part) {
            assert_null(self);
            assert_non_null(strstr(error.message, rows[i].part));
        } else {
            free(self);
        }
    }
}

static void every_listed_loss_is_whole(void **state)
{
    (void)state;
    for (int count = 0; ak_losses[count]; count++) {
        const akin_loss_class *loss = ak_losses[count];
        akin_parameters *parameters;
        void *self = &self, *options = options_of(loss);
        assert_int_equal(loss->size, sizeof *loss);
        assert_true(loss->name && loss->summary && loss->compute);
        assert_int_equal(!loss->create, !loss->free);
        if (count)
            assert_true(strcmp(ak_losses[count - 1]->name, loss->name) < 0);
        assert_int_equal(akin_parameters_create(&parameters, NULL), AKIN_OK);
        ak_memory_fail_at(1);
        akin_status status = ak_loss_object(&self, loss, options, 4, 2, parameters, NULL);
        ak_memory_fail_at(0);
        assert_int_equal(status, loss->create ? AKIN_ERR_MEMORY : AKIN_OK);
        assert_ptr_equal(self, loss->create ? NULL : options);
        akin_parameters_free(parameters);
        free(options);
    }
}

static void sorting_is_stable_and_right(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 47, 48, 49, 300, 1000};
    ak_keyed items[1000], scratch[1000];
    uint64_t counter = 99;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int64_t i = 0; i < sizes[s]; i++) {
            uint32_t key = (uint32_t)below(&counter, i % 3 ? 1ull << 32 : 10);
            items[i] = (ak_keyed){key, (int32_t)i};
        }
        ak_sort_keyed(items, scratch, sizes[s]);
        for (int64_t i = 1; i < sizes[s]; i++)
            assert_true(items[i - 1].key < items[i].key ||
                        (items[i - 1].key == items[i].key && items[i - 1].at < items[i].at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_values_are_met),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(many_rows_too),
        cmocka_unit_test(large_scales_neither_overflow_nor_vanish),
        cmocka_unit_test(order_of_the_batch_is_no_matter),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(failing_allocations_come_out),
        cmocka_unit_test(nothing_to_learn_is_zero_and_nan_is_nan),
        cmocka_unit_test(equal_and_zero_rows_are_finite),
        cmocka_unit_test(bf16_is_near),
        cmocka_unit_test(ties_are_decided_as_defined),
        cmocka_unit_test(many_known_positives),
        cmocka_unit_test(a_batch_of_one_pair_many_times),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(every_listed_loss_is_whole),
        cmocka_unit_test(sorting_is_stable_and_right),
    };
    omp_set_num_threads(1); /* thousands of tiny steps: threads would only wait for each other */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
