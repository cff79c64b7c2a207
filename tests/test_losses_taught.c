/* Losses that learn from a teacher (mse, margin_mse, kl): PyTorch's values and gradients, central
   differences of independent formulas in float64 on batches with repeated contents, and what holds
   for every loss. */
#include "support.h"

#include "base/random.h"
#include "loss/loss.h"
#include "train/train.h"

#include <math.h>
#include <omp.h>

typedef struct taught_golden {
    const char *loss, *options;
    const float *teacher;
    akin_sample_kind kind;
    const char *scores; /* of the four pairs; "repeated": the last two are negatives of the first */
    double value, gradient[32];
} taught_golden;

#include "data/taught_golden.h"

enum { MOST = 400, WIDTH = 5, TEACHER = 7 };

static akin_context *context;

static int set_up(void **state)
{
    (void)state;
    ak_memory_fail_at(0);
    return akin_context_create(&context, NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    akin_context_free(context);
    return 0;
}

/* ---- a loss on a batch ---- */

typedef struct batch {
    akin_labels labels;
    int64_t content[MOST];
    float score[MOST], teacher[MOST * TEACHER], x[MOST * WIDTH], dx[MOST * WIDTH];
    int64_t width;
    double value;
} batch;

static akin_loss *open_loss(const char *type, const char *options, int64_t width)
{
    akin_loss *loss;
    akin_error error = {0};
    if (akin_loss_create(&loss, context, type, options, &error) ||
        ak_loss_open(loss, width, 0, 1, &error))
        fail_msg("%s %s: %s", type, options, error.message);
    assert_true(loss->traits.teacher);
    return loss;
}

static akin_status compute(const akin_loss *loss, batch *b, akin_arena *arena, bool gradient,
                           akin_error *error)
{
    int64_t rows = b->labels.teacher.rows;
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = gradient};
    akin_matrix x = ak_matrix(b->x, rows, b->width), dx = ak_matrix(b->dx, rows, b->width);
    return loss->type->compute(loss->self, &pass, &b->labels, x, gradient ? dx : (akin_matrix){0},
                               &b->value, error);
}

static void run(const akin_loss *loss, batch *b, bool gradient)
{
    akin_arena *arena;
    akin_error error = {0};
    assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
    memset(b->dx, 0x7f, sizeof b->dx);
    if (compute(loss, b, arena, gradient, &error))
        fail_msg("%s: %s", loss->type->name, error.message);
    ak_arena_free(arena);
}

static void near(double got, double wanted, double tolerance, const char *name)
{
    if (!(fabs(got - wanted) <= tolerance * (1 + fabs(wanted))))
        fail_msg("%s: %.9g, expected %.9g", name, got, wanted);
}

/* ---- golden values ---- */

static void golden_values_are_met(void **state)
{
    (void)state;
    batch *b = calloc(1, sizeof *b);
    for (size_t g = 0; g < sizeof taught_goldens / sizeof *taught_goldens; g++) {
        const taught_golden *golden = &taught_goldens[g];
        bool repeated = strcmp(golden->scores, "repeated") == 0,
             wide = golden->teacher != taught_same;
        akin_loss *loss = open_loss(golden->loss, golden->options, 4);
        bool pairs = golden->kind == AKIN_PAIRS;
        memcpy(b->x, taught_x, sizeof taught_x);
        memcpy(b->teacher, golden->teacher, 8 * (size_t)(wide ? 5 : 4) * sizeof(float));
        for (int i = 0; i < 8; i++)
            b->content[i] = i;
        for (int i = 0; i < 4; i++)
            b->score[i] = repeated ? i < 2 : golden->scores[i] == '1';
        if (repeated) {
            memcpy(b->x + 2 * 4, b->x, 2 * 4 * sizeof(float));
            memcpy(b->teacher + 2 * 5, b->teacher, 2 * 5 * sizeof(float));
            b->content[2] = 0;
            b->content[3] = 1;
        }
        b->width = 4;
        b->labels = (akin_labels){.size = sizeof b->labels,
                                  .kind = golden->kind,
                                  .count = pairs ? 4 : 8,
                                  .content = b->content,
                                  .group = pairs ? NULL : b->content,
                                  .score = pairs ? b->score : NULL,
                                  .teacher = ak_matrix(b->teacher, 8, wide ? 5 : 4)};
        run(loss, b, true);
        near(b->value, golden->value, 3e-6, golden->loss);
        for (int i = 0; i < 32; i++)
            near((double)b->dx[i], golden->gradient[i], 2e-5, golden->loss);
        run(loss, b, false);
        near(b->value, golden->value, 3e-6, golden->loss);
        akin_loss_free(loss);
    }
    free(b);
}

/* ---- random batches ---- */

/* Pairs or objects with contents that repeat, hard negatives at the end. */
static void fill(batch *b, akin_sample_kind kind, int64_t rows, uint64_t seed)
{
    bool pairs = kind == AKIN_PAIRS;
    int64_t n = pairs ? rows / 2 : rows, repeated = pairs ? n / 5 : 0;
    for (int64_t i = 0; i < rows; i++)
        b->content[i] =
            (int64_t)ak_random_below(seed, 1, (uint64_t)i, (uint64_t)(rows * 3 / 4 + 1));
    for (int64_t i = 0; i < n && pairs; i++)
        b->score[i] = i < n - repeated && ak_random_below(seed, 2, (uint64_t)i, 5) > 0;
    for (int64_t i = 0; i < rows * TEACHER; i++)
        b->teacher[i] = (float)ak_random_normal(seed, 3, (uint64_t)i);
    for (int64_t i = 0; i < rows * WIDTH; i++)
        b->x[i] = (float)ak_random_normal(seed, 4, (uint64_t)i);
    for (int64_t i = 0; i < repeated; i++) { /* of pair i % 3 */
        b->content[n - repeated + i] = b->content[i % 3];
        memcpy(b->x + (n - repeated + i) * WIDTH, b->x + i % 3 * WIDTH, WIDTH * sizeof(float));
        memcpy(b->teacher + (n - repeated + i) * TEACHER, b->teacher + i % 3 * TEACHER,
               TEACHER * sizeof(float));
    }
    b->width = WIDTH;
    b->labels = (akin_labels){.size = sizeof b->labels,
                              .kind = kind,
                              .count = n,
                              .content = b->content,
                              .group = pairs ? NULL : b->content,
                              .score = pairs ? b->score : NULL,
                              .repeated = repeated,
                              .teacher = ak_matrix(b->teacher, rows, TEACHER)};
}

static double distance(const char *name, const double *a, const double *b, int64_t d)
{
    double dot = 0, aa = 0, bb = 0, square = 0, sum = 0;
    for (int64_t k = 0; k < d; k++) {
        dot += a[k] * b[k];
        aa += a[k] * a[k];
        bb += b[k] * b[k];
        square += (a[k] - b[k]) * (a[k] - b[k]);
        sum += fabs(a[k] - b[k]);
    }
    if (strstr(name, "dot"))
        return -dot;
    if (strstr(name, "euclid"))
        return sqrt(square);
    return strstr(name, "manhattan") ? sum : 1 - dot / sqrt(aa * bb);
}

/* Of the student (x) or, with x NULL, of the teacher. */
static double between(const batch *b, const char *name, const double *x, int64_t i, int64_t j)
{
    double p[TEACHER], q[TEACHER];
    if (x)
        return distance(name, x + i * b->width, x + j * b->width, b->width);
    for (int64_t k = 0; k < TEACHER; k++) {
        p[k] = (double)b->teacher[i * TEACHER + k];
        q[k] = (double)b->teacher[j * TEACHER + k];
    }
    return distance(name, p, q, TEACHER);
}

static double reference_margin(const batch *b, const char *options, const double *x)
{
    double sum = 0;
    int64_t n = b->labels.count, count = 0;
    for (int64_t i = 0; i < n - b->labels.repeated; i++)
        for (int64_t j = 0; j < n && b->score[i] > 0.5f; j++) {
            bool given = b->score[j] <= 0.5f && b->content[i] == b->content[j];
            if (b->content[n + j] == b->content[n + i] || b->content[n + j] == b->content[i] ||
                (strstr(options, "given") && !given))
                continue;
            double own = between(b, options, x, i, n + j) - between(b, options, x, i, n + i);
            double teacher =
                between(b, options, NULL, i, n + j) - between(b, options, NULL, i, n + i);
            sum += (own - teacher) * (own - teacher);
            count++;
        }
    return count ? sum / (double)count : 0;
}

static double log_sum(const batch *b, const char *options, const double *x, int64_t i, double t)
{
    double sum = 0;
    int64_t first = b->labels.kind == AKIN_PAIRS ? b->labels.count : 0;
    for (int64_t j = first; j < b->labels.teacher.rows; j++)
        if (b->content[i] != b->content[j])
            sum += exp(-between(b, options, x, i, j) / t);
    return log(sum);
}

static double reference_kl(const batch *b, const char *options, const double *x)
{
    double sum = 0, t = strstr(options, "0.4") ? 0.4 : 0.05;
    int64_t first = b->labels.kind == AKIN_PAIRS ? b->labels.count : 0;
    int64_t anchors = b->labels.count - b->labels.repeated;
    for (int64_t i = 0; i < anchors; i++) {
        double p = log_sum(b, options, x, i, t), q = log_sum(b, options, NULL, i, t);
        for (int64_t j = first; j < b->labels.teacher.rows; j++) {
            if (b->content[i] == b->content[j])
                continue;
            double log_q = -between(b, options, NULL, i, j) / t - q;
            sum += exp(log_q) * (log_q + between(b, options, x, i, j) / t + p);
        }
    }
    return sum / (double)anchors;
}

static const struct {
    const char *loss, *options;
    akin_sample_kind kind;
} settings[] = {
    {"margin_mse", "{}", AKIN_PAIRS},
    {"margin_mse", "{distance: euclidean}", AKIN_PAIRS},
    {"margin_mse", "{distance: manhattan}", AKIN_PAIRS},
    {"margin_mse", "{distance: dot_product, negatives: given}", AKIN_PAIRS},
    {"kl", "{}", AKIN_PAIRS},
    {"kl", "{temperature: 0.4, distance: euclidean}", AKIN_PAIRS},
    {"kl", "{temperature: 0.4}", AKIN_GROUPS},
    {"kl", "{temperature: 0.4, distance: dot_product}", AKIN_GROUPS},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static void gradients_are_central_differences(void **state)
{
    (void)state;
    batch *b = calloc(1, sizeof *b);
    static double x[MOST * WIDTH];
    for (int s = 0; s < SETTINGS; s++)
        for (int64_t rows = 2; rows <= 60; rows += 29) {
            akin_loss *loss = open_loss(settings[s].loss, settings[s].options, WIDTH);
            double (*reference)(const batch *, const char *, const double *) =
                settings[s].loss[0] == 'k' ? reference_kl : reference_margin;
            int64_t even = rows / 2 * 2;
            fill(b, settings[s].kind, even, (uint64_t)(rows + s));
            for (int64_t i = 0; i < even * WIDTH; i++)
                x[i] = (double)b->x[i];
            run(loss, b, true);
            double value = reference(b, settings[s].options, x);
            if (even == 2) /* alone, there may be no candidate */
                value = isfinite(value) ? value : 0;
            near(b->value, value, 2e-5, settings[s].options);
            for (int64_t i = 0; i < even * WIDTH && even > 2; i += 3) {
                double old = x[i], h = 1e-6;
                x[i] = old + h;
                double up = reference(b, settings[s].options, x);
                x[i] = old - h;
                double down = reference(b, settings[s].options, x);
                x[i] = old;
                near((double)b->dx[i], (up - down) / (2 * h), 1e-4, settings[s].options);
            }
            akin_loss_free(loss);
        }
    free(b);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    batch *one = calloc(1, sizeof *one), *more = calloc(1, sizeof *more);
    for (int s = 0; s < SETTINGS; s++) {
        akin_loss *loss = open_loss(settings[s].loss, settings[s].options, WIDTH);
        fill(one, settings[s].kind, MOST, 3);
        *more = *one;
        more->labels.content = more->content;
        omp_set_num_threads(1);
        run(loss, one, true);
        omp_set_num_threads(3);
        run(loss, more, true);
        omp_set_num_threads(1);
        assert_memory_equal(&one->value, &more->value, sizeof one->value);
        assert_memory_equal(one->dx, more->dx, MOST * WIDTH * sizeof(float));
        akin_loss_free(loss);
    }
    free(one);
    free(more);
}

static const char *const names[] = {"mse", "margin_mse", "kl"};

/* Equal to the teacher: nothing to learn. */
static void a_perfect_student_has_no_loss(void **state)
{
    (void)state;
    batch *b = calloc(1, sizeof *b);
    for (int i = 0; i < 3; i++) {
        akin_loss *loss = open_loss(names[i], "{}", WIDTH);
        fill(b, AKIN_PAIRS, 40, 8);
        b->labels.teacher = ak_matrix(b->teacher, 40, WIDTH);
        memcpy(b->teacher, b->x, 40 * WIDTH * sizeof(float));
        run(loss, b, true);
        near(b->value, 0, 1e-6, names[i]);
        for (int k = 0; k < 40 * WIDTH; k++)
            near((double)b->dx[k], 0, 1e-5, names[i]);
        b->x[7] = i % 2 ? NAN : INFINITY;
        run(loss, b, true);
        assert_true(isnan(b->value));
        for (int k = 0; k < 40 * WIDTH; k++)
            assert_true(b->dx[k] == 0);
        memset(b->x, 0, sizeof b->x);
        run(loss, b, true);
        assert_true(isfinite(b->value));
        for (int k = 0; k < 40 * WIDTH; k++)
            assert_true(isfinite(b->dx[k]));
        akin_loss_free(loss);
    }
    free(b);
}

static void failing_allocations_come_out(void **state)
{
    (void)state;
    batch *b = calloc(1, sizeof *b);
    for (int i = 0; i < 3; i++) {
        akin_loss *loss = open_loss(names[i], "{}", WIDTH);
        akin_status status = AKIN_ERR_MEMORY;
        fill(b, AKIN_PAIRS, 40, 8);
        b->labels.teacher = ak_matrix(b->teacher, 40, WIDTH);
        for (int64_t n = 1; status; n++) {
            akin_arena *arena;
            assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
            ak_memory_fail_at(n);
            status = compute(loss, b, arena, true, NULL);
            ak_memory_fail_at(0);
            assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
            ak_arena_free(arena);
        }
        akin_loss_free(loss);
    }
    free(b);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    batch *b = calloc(1, sizeof *b);
    akin_arena *arena;
    akin_error error = {0};
    assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
    for (int i = 0; i < 3; i++) {
        akin_loss *loss = open_loss(names[i], "{}", WIDTH);
        fill(b, AKIN_PAIRS, 8, 1);
        b->labels.teacher.data = NULL;
        assert_int_equal(compute(loss, b, arena, true, &error), AKIN_ERR_ARGUMENT);
        assert_says(&error, "train.teacher");
        b->labels.teacher = ak_matrix(b->teacher, 8, TEACHER);
        b->labels.size = offsetof(akin_labels, teacher); /* of an older program */
        assert_int_equal(compute(loss, b, arena, true, &error), AKIN_ERR_ARGUMENT);
        akin_loss_free(loss);
    }
    akin_loss *mse = open_loss("mse", "{}", WIDTH), *none;
    fill(b, AKIN_PAIRS, 8, 1);
    assert_int_equal(compute(mse, b, arena, true, &error), AKIN_ERR_MISMATCH);
    assert_says(&error, "the model gives 5, the teacher 7");
    assert_int_equal(compute(mse, b, arena, false, &error), AKIN_OK); /* the base, perhaps */
    assert_true(isnan(b->value));
    akin_loss_free(mse);
    static const char *const refused[][3] = {
        {"kl", "{temperature: 0}", "temperature"},
        {"kl", "{scale: 20}", "\"scale\" is not known"},
        {"margin_mse", "{negatives: some}", "negatives"},
        {"sum", "{losses: [kl, cosent, triplet]}", "learns from groups, but \"cosent\" from pairs"},
        {"xbm", "{loss: kl}", "xbm"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (!akin_loss_create(&none, context, refused[i][0], refused[i][1], &error))
            fail_msg("%s %s was taken", refused[i][0], refused[i][1]);
        assert_says(&error, refused[i][2]);
    }
    ak_arena_free(arena);
    free(b);
}

/* Alone they learn from either kind; beside a loss of one kind the sum is of that. */
static void sums_have_the_kind_of_the_others(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        bool any;
        akin_sample_kind kind;
    } rows[] = {{"{losses: [kl, mse]}", true, AKIN_GROUPS},
                {"{losses: [kl, cosent]}", false, AKIN_PAIRS},
                {"{losses: [supcon, mse]}", false, AKIN_GROUPS},
                {"{losses: [margin_mse, mse]}", false, AKIN_PAIRS}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_loss *loss;
        assert_int_equal(akin_loss_create(&loss, context, "sum", rows[i].options, NULL), AKIN_OK);
        assert_true(loss->traits.teacher && loss->traits.any_kind == rows[i].any);
        assert_true(rows[i].any || loss->traits.kind == rows[i].kind);
        akin_loss_free(loss);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_values_are_met),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(a_perfect_student_has_no_loss),
        cmocka_unit_test(failing_allocations_come_out),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(sums_have_the_kind_of_the_others),
    };
    omp_set_num_threads(1);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
