/* Cross-batch memory: losses against one, by a plain double reference and its central differences;
   the ring that keeps it; who may have one. */
#include "support.h"

#include "train/train.h"

#include <math.h>
#include <omp.h>

enum { N = 14, M = 40, D = 5, MOST = 2 * N };

static akin_context *context;
static akin_arena *arena;
static akin_error error;

/* A batch and a memory with every kind of label. Groups: some equal contents on both sides, a group
   that only one side has. Pairs: known positives, subgroups, pairs that are not alike. */
static int64_t content[MOST], group[N], subgroup[N], memory_content[M], memory_group[M];
static int64_t start[100], positives[100];
static float score[N];
static double x[MOST * D], units[M * D];

static void make_scene(bool with_subgroups)
{
    int64_t used = 0;
    for (int64_t i = 0; i < MOST; i++)
        content[i] = i + i % 5 * (i < N ? 0 : 1);
    for (int64_t i = 0; i < N; i++) {
        group[i] = i < 3 ? 9 : i % 4;
        subgroup[i] = i % 3;
        score[i] = i % 5 == 4 ? 0.2f : 1;
    }
    for (int64_t j = 0; j < M; j++) {
        memory_content[j] = j * 7 % 60;
        memory_group[j] = with_subgroups ? j % 3 : j % 6;
    }
    for (int64_t c = 0; c < 99; c++) { /* content c goes with c + 14 and c + 21 */
        start[c] = used;
        for (int64_t other = c - 21; other <= c + 21; other += 7)
            if (other != c && other != c - 7 && other != c + 7 && other >= 0 && used < 100)
                positives[used++] = other;
        start[c + 1] = used;
    }
    for (int64_t i = 0; i < MOST * D; i++)
        x[i] = ak_random_normal(1, 1, (uint64_t)i);
    for (int64_t j = 0; j < M; j++) {
        double square = 0;
        for (int64_t k = 0; k < D; k++) {
            units[j * D + k] = ak_random_normal(1, 2, (uint64_t)(j * D + k));
            square += units[j * D + k] * units[j * D + k];
        }
        for (int64_t k = 0; k < D; k++)
            units[j * D + k] = (double)(float)(units[j * D + k] / sqrt(square));
    }
}

/* ---- the reference ---- */

static double cosine(const double *a, const double *b)
{
    double dot = 0, aa = 0, bb = 0;
    for (int k = 0; k < D; k++) {
        dot += a[k] * b[k];
        aa += a[k] * a[k];
        bb += b[k] * b[k];
    }
    return dot / sqrt(aa * bb);
}

static bool is_positive(int64_t i, int64_t j)
{
    return group[i] == memory_group[j] && content[i] != memory_content[j];
}

static bool is_negative(int64_t i, int64_t j)
{
    return group[i] != memory_group[j] && content[i] != memory_content[j];
}

static int64_t count(int64_t i, bool (*is)(int64_t, int64_t))
{
    int64_t n = 0;
    for (int64_t j = 0; j < M; j++)
        n += is(i, j);
    return n;
}

static double supcon(const double *at)
{
    double value = 0, anchors = 0;
    for (int64_t i = 0; i < N; i++) {
        double sum = 0, mean = 0, p = (double)count(i, is_positive);
        for (int64_t j = 0; j < M && p > 0; j++) {
            double l = cosine(at + i * D, units + j * D) / 0.1;
            sum += is_positive(i, j) || is_negative(i, j) ? exp(l) : 0;
            mean += is_positive(i, j) ? l / p : 0;
        }
        anchors += p > 0;
        value += p > 0 ? log(sum) - mean : 0;
    }
    return value / anchors;
}

static double multi_similarity(const double *at)
{
    double value = 0;
    for (int64_t i = 0; i < N; i++) {
        double near = 1, far = 1;
        for (int64_t j = 0; j < M; j++) {
            double s = cosine(at + i * D, units + j * D);
            near += is_positive(i, j) ? exp(-2 * (s - 0.5)) : 0;
            far += is_negative(i, j) ? exp(50 * (s - 0.5)) : 0;
        }
        value += log(near) / 2 + log(far) / 50;
    }
    return value / N;
}

/* Farthest positive and nearest negative distances of the anchors that have both. */
static int64_t extremes(const double *at, double *far, double *near)
{
    int64_t anchors = 0;
    for (int64_t i = 0; i < N; i++) {
        if (!count(i, is_positive) || !count(i, is_negative))
            continue;
        far[anchors] = -INFINITY;
        near[anchors] = INFINITY;
        for (int64_t j = 0; j < M; j++) {
            double d = 1 - cosine(at + i * D, units + j * D);
            if (is_positive(i, j))
                far[anchors] = fmax(far[anchors], d);
            if (is_negative(i, j))
                near[anchors] = fmin(near[anchors], d);
        }
        anchors++;
    }
    return anchors;
}

static double triplet_hard(const double *at)
{
    double far[N], near[N], mean = 0, value = 0;
    int64_t n = extremes(at, far, near);
    for (int64_t i = 0; i < n; i++)
        mean += near[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        value += fmax(0, (far[i] - near[i]) / fmax(1e-6, mean) + 0.5) / (double)n;
    return value;
}

static double triplet_soft(const double *at)
{
    double far[N], near[N], value = 0;
    int64_t n = extremes(at, far, near);
    for (int64_t i = 0; i < n; i++)
        value += log1p(exp(far[i] - near[i])) / (double)n;
    return value;
}

static double triplet_semi_hard(const double *at)
{
    double value = 0, pairs = 0;
    for (int64_t i = 0; i < N; i++)
        for (int64_t p = 0; p < M; p++) {
            double chosen = INFINITY, farthest = -INFINITY;
            if (!is_positive(i, p) || !count(i, is_negative))
                continue;
            double positive = 1 - cosine(at + i * D, units + p * D);
            for (int64_t j = 0; j < M; j++) {
                double d = 1 - cosine(at + i * D, units + j * D);
                if (is_negative(i, j) && d > positive)
                    chosen = fmin(chosen, d);
                if (is_negative(i, j))
                    farthest = fmax(farthest, d);
            }
            value += fmax(0, positive - (isinf(chosen) ? farthest : chosen) + 0.5);
            pairs++;
        }
    return value / pairs;
}

static bool known_positive(int64_t a, int64_t b)
{
    for (int64_t k = start[a]; k < start[a + 1]; k++)
        if (positives[k] == b)
            return true;
    for (int64_t i = 0; i < N; i++)
        if (content[i] == a && content[N + i] == b && score[i] > 0.5f)
            return true;
    return false;
}

static bool has_subgroups;

static bool is_further_negative(int64_t i, int64_t j)
{
    bool said = false;
    for (int64_t k = 0; k < N; k++)
        said |= content[k] == content[i] && content[N + k] == memory_content[j] && score[k] <= 0.5f;
    if (content[i] == memory_content[j] || known_positive(content[i], memory_content[j]))
        return false;
    return said || !has_subgroups || subgroup[i] != memory_group[j];
}

static double ranking(const double *at)
{
    double value = 0, anchors = 0;
    for (int64_t i = 0; i < N; i++) {
        double own = 20 * cosine(at + i * D, at + (N + i) * D), sum = exp(own);
        for (int64_t j = 0; j < M; j++)
            if (is_further_negative(i, j))
                sum += exp(20 * cosine(at + i * D, units + j * D));
        anchors += score[i] > 0.5f;
        value += score[i] > 0.5f ? log(sum) - own : 0;
    }
    return value / anchors;
}

typedef struct setting {
    const char *type, *options;
    double (*reference)(const double *at);
    bool pairs, subgroups;
} setting;

static const setting settings[] = {
    {"supcon", NULL, supcon, false, false},
    {"multi_similarity", NULL, multi_similarity, false, false},
    {"triplet", NULL, triplet_hard, false, false},
    {"triplet", "{soft: true}", triplet_soft, false, false},
    {"triplet", "{mining: semi_hard}", triplet_semi_hard, false, false},
    {"multiple_negatives_ranking", NULL, ranking, true, false},
    {"multiple_negatives_ranking", "{symmetric: true}", ranking, true, true},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* ---- running ---- */

static int set_up(void **state)
{
    (void)state;
    return ak_arena_create(&arena, NULL) || akin_context_create(&context, NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    akin_context_free(context);
    ak_arena_free(arena);
    return 0;
}

static akin_matrix floats(const double *from, int64_t rows)
{
    akin_matrix out = ak_matrix_new(arena, rows, D);
    assert_non_null(out.data);
    for (int64_t i = 0; i < rows * D; i++)
        out.data[i] = (float)from[i];
    return out;
}

static akin_labels labels_of(const setting *s)
{
    return (akin_labels){.size = sizeof(akin_labels),
                         .kind = s->pairs ? AKIN_PAIRS : AKIN_GROUPS,
                         .count = N,
                         .content = content,
                         .group = group,
                         .groups = 10,
                         .score = score,
                         .subgroup = s->subgroups ? subgroup : NULL,
                         .positive_start = start,
                         .positives = positives};
}

static akin_memory memory_of(const setting *s)
{
    return (akin_memory){.size = sizeof(akin_memory),
                         .units = floats(units, M),
                         .content = memory_content,
                         .group = s->pairs ? NULL : memory_group,
                         .subgroup = s->subgroups ? memory_group : NULL};
}

static akin_loss *open_loss(const char *type, const char *options)
{
    akin_loss *loss;
    if (akin_loss_create(&loss, context, type, options, &error) ||
        ak_loss_open(loss, D, 10, 5, &error))
        fail_msg("%s %s: %s", type, options ? options : "", error.message);
    return loss;
}

static akin_matrix against_memory(const setting *s, const akin_loss *loss, double *value)
{
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true};
    akin_labels labels = labels_of(s);
    akin_memory memory = memory_of(s);
    akin_matrix at = floats(x, s->pairs ? 2 * N : N), dx = floats(x, at.rows);
    if (loss->type->compute_memory(loss->self, &pass, &labels, at, &memory, dx, value, &error))
        fail_msg("%s", error.message);
    return dx;
}

static void check_near(double got, double want, double tolerance, const char *what)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s: got %.9g, expected %.9g", what, got, want);
}

static void losses_against_a_memory_are_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < SETTINGS; i++) {
        const setting *s = &settings[i];
        make_scene(s->subgroups);
        has_subgroups = s->subgroups;
        for (int64_t k = 0; k < MOST * D; k++)
            x[k] = (double)(float)x[k];
        double value;
        akin_loss *loss = open_loss(s->type, s->options);
        akin_matrix dx = against_memory(s, loss, &value);
        check_near(value, s->reference(x), 3e-6, s->type);
        assert_true(value > 0);
        for (int64_t k = 0; k < dx.rows * D; k++) {
            double old = x[k], h = 1e-6;
            x[k] = old + h;
            double up = s->reference(x);
            x[k] = old - h;
            double down = s->reference(x);
            x[k] = old;
            check_near(dx.data[k], (up - down) / (2 * h), 2e-5, s->type);
        }
        akin_loss_free(loss);
    }
}

/* Hard negatives repeat an a: their rows say nothing, whatever is in them. */
static void repeated_anchors_have_no_rows(void **state)
{
    (void)state;
    const setting *s = &settings[5];
    make_scene(false);
    score[N - 2] = score[N - 1] = 0;
    akin_loss *loss = open_loss(s->type, s->options);
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true};
    akin_labels labels = labels_of(s);
    akin_memory memory = memory_of(s);
    akin_matrix at = floats(x, 2 * N), dx[2];
    double value[2];
    for (int i = 0; i < 2; i++) {
        labels.repeated = 2 * i;
        dx[i] = floats(x, 2 * N);
        assert_int_equal(loss->type->compute_memory(loss->self, &pass, &labels, at, &memory, dx[i],
                                                    &value[i], &error),
                         AKIN_OK);
    }
    check_near(value[1], value[0], 1e-12, "value");
    for (int64_t k = 0; k < 2 * N * D; k++)
        check_near(dx[1].data[k], dx[0].data[k], 1e-6, "gradient");
    akin_loss_free(loss);
}

static void threads_do_not_show(void **state)
{
    (void)state;
    for (int i = 0; i < SETTINGS; i++) {
        const setting *s = &settings[i];
        make_scene(s->subgroups);
        double one, more;
        akin_loss *loss = open_loss(s->type, s->options);
        omp_set_num_threads(1);
        akin_matrix dx = against_memory(s, loss, &one);
        for (int threads = 2; threads < 4; threads++) {
            omp_set_num_threads(threads);
            akin_matrix again = against_memory(s, loss, &more);
            assert_true(one == more);
            assert_memory_equal(dx.data, again.data, (size_t)(dx.rows * D) * sizeof(float));
        }
        omp_set_num_threads(1);
        akin_loss_free(loss);
    }
}

static void a_memory_without_positives_is_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        make_scene(false);
        for (int64_t j = 0; j < M; j++)
            memory_group[j] = 77;
        double value;
        akin_loss *loss = open_loss(settings[i].type, settings[i].options);
        akin_matrix dx = against_memory(&settings[i], loss, &value);
        assert_true(value == 0);
        for (int64_t k = 0; k < N * D; k++)
            assert_true(dx.data[k] == 0);
        akin_loss_free(loss);
    }
}

/* ---- the ring ---- */

/* Batch number `step`: its own objects and contents, 4 groups. */
static double step_of(akin_loss *xbm, const setting *s, uint64_t step, bool training,
                      akin_matrix *dx)
{
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = training, .step = step};
    akin_labels labels = labels_of(s);
    for (int64_t i = 0; i < MOST; i++) {
        content[i] = (int64_t)step * MOST + i;
        x[i * D] = cos((double)i + (double)step);
    }
    labels.positive_start = NULL;
    akin_matrix at = floats(x, s->pairs ? 2 * N : N);
    double value;
    *dx = floats(x, at.rows);
    if (xbm->type->compute(xbm->self, &pass, &labels, at, *dx, &value, &error))
        fail_msg("%s", error.message);
    return value;
}

static void memories_fill_from_step_0_and_contribute_from_the_start(void **state)
{
    (void)state;
    static const char *const options[] = {"{loss: %s, start_iteration: 0}",
                                          "{loss: %s, start_iteration: 2}",
                                          "{loss: %s, start_iteration: 0, buffer_size: 20}",
                                          "{loss: %s, start_iteration: 0, buffer_size: 9}",
                                          "{loss: %s, start_iteration: 0, weight: 0}"};
    static const int64_t first_used[] = {1, 2, 1, 1, 99};
    for (int i = 0; i < SETTINGS; i++)
        for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
            const setting *s = &settings[i];
            char text[128], inner[96];
            snprintf(inner, sizeof inner, "{type: %s%s%s", s->type, s->options ? ", " : "}",
                     s->options ? s->options + 1 : "");
            snprintf(text, sizeof text, options[o], inner);
            make_scene(s->subgroups);
            akin_loss *xbm = open_loss("xbm", text), *alone = open_loss(s->type, s->options);
            for (int64_t step = 0; step < 4; step++) {
                akin_matrix with, without;
                double validation = step_of(xbm, s, (uint64_t)step, false, &with);
                double value = step_of(xbm, s, (uint64_t)step, true, &with);
                double batch = step_of(alone, s, (uint64_t)step, true, &without);
                bool same =
                    !memcmp(with.data, without.data, (size_t)(with.rows * D) * sizeof(float));
                assert_true(validation == batch); /* no memory there, and nothing is kept */
                if ((step >= first_used[o]) != (value > batch) || same != (value == batch))
                    fail_msg("%s, step %d: %g after %g", text, (int)step, value, batch);
            }
            akin_loss_free(xbm);
            akin_loss_free(alone);
        }
}

/* What the third step adds is the loss against the first two batches, or the end of them. */
static void memories_hold_the_last_embeddings(void **state)
{
    (void)state;
    static const int64_t sizes[] = {100, 20, 5};
    const setting *s = &settings[0];
    for (int t = 0; t < 3; t++) {
        char text[96];
        snprintf(text, sizeof text,
                 "{loss: supcon, start_iteration: 0, weight: 0.5, buffer_size: %d}", (int)sizes[t]);
        make_scene(false);
        akin_loss *xbm = open_loss("xbm", text), *alone = open_loss("supcon", NULL);
        akin_matrix dx;
        for (int64_t step = 0; step < 2; step++) {
            (void)step_of(xbm, s, (uint64_t)step, true, &dx);
            for (int64_t i = 0; i < N; i++) {
                int64_t j = step * N + i;
                double norm = sqrt(cosine(x + i * D, x + i * D)), length = 0;
                for (int k = 0; k < D; k++)
                    length += x[i * D + k] * x[i * D + k];
                for (int k = 0; k < D; k++)
                    units[j * D + k] = x[i * D + k] / sqrt(length) * norm;
                memory_content[j] = content[i];
                memory_group[j] = group[i];
            }
        }
        for (int64_t j = 0; j < M; j++) /* what was overwritten, and what never was there */
            if (j >= 2 * N || j < 2 * N - sizes[t])
                memory_content[j] = memory_group[j] = -5;
        double value = step_of(xbm, s, 2, true, &dx), batch = step_of(alone, s, 2, true, &dx);
        double sum = 0, anchors = 0;
        for (int64_t i = 0; i < N; i++) {
            double exps = 0, mean = 0, p = (double)count(i, is_positive);
            for (int64_t j = 0; j < M && p > 0; j++) {
                double l = cosine(x + i * D, units + j * D) / 0.1;
                exps += memory_content[j] >= 0 ? exp(l) : 0;
                mean += is_positive(i, j) ? l / p : 0;
            }
            anchors += p > 0;
            sum += p > 0 ? log(exps) - mean : 0;
        }
        assert_true(anchors > 0);
        check_near(value - batch, 0.5 * sum / anchors, 1e-5, text);
        akin_loss_free(xbm);
        akin_loss_free(alone);
    }
}

/* ---- who may have one ---- */

static void losses_without_use_for_a_memory_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {"{loss: arcface}",
                                          "{loss: circle}",
                                          "{loss: cosent}",
                                          "{loss: {type: triplet, mining: all}}",
                                          "{loss: {type: triplet, distance: euclidean}}",
                                          "{loss: {type: xbm, loss: supcon}}",
                                          "{loss: {type: sum, losses: [supcon]}}"};
    akin_loss *loss;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_equal(akin_loss_create(&loss, context, "xbm", refused[i], &error),
                         AKIN_ERR_ARGUMENT);
        assert_says(&error, "has no use for a memory");
    }
    assert_int_equal(akin_loss_create(&loss, context, "xbm", NULL, &error), AKIN_ERR_ARGUMENT);
    assert_says(&error, "\"loss\" holds 0 losses");
    assert_int_equal(
        akin_loss_create(&loss, context, "xbm", "{loss: supcon, buffer_size: 0}", &error),
        AKIN_ERR_ARGUMENT);
    assert_says(&error, "\"buffer_size\" is 0");
}

static akin_status one_step(void *user, akin_error *told)
{
    akin_loss *loss = user;
    akin_arena *own;
    AK_TRY(ak_arena_create(&own, told));
    akin_pass pass = {.size = sizeof pass, .arena = own, .training = true, .step = 5};
    akin_labels labels = labels_of(&settings[0]);
    akin_matrix at = floats(x, N), dx = floats(x, N);
    double value;
    akin_status status = loss->type->compute(loss->self, &pass, &labels, at, dx, &value, told);
    ak_arena_free(own);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const inner[] = {"supcon", "multi_similarity", "triplet",
                                        "{type: triplet, mining: semi_hard}"};
    make_scene(false);
    for (int i = 0; i < 4; i++) {
        char text[96];
        akin_matrix dx;
        snprintf(text, sizeof text, "{loss: %s, start_iteration: 0}", inner[i]);
        akin_loss *loss = open_loss("xbm", text);
        (void)step_of(loss, &settings[0], 0, true, &dx);
        (void)fail_each_allocation(one_step, loss);
        akin_loss_free(loss);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(losses_against_a_memory_are_the_reference, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(repeated_anchors_have_no_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_do_not_show, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_memory_without_positives_is_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memories_fill_from_step_0_and_contribute_from_the_start,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(memories_hold_the_last_embeddings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_without_use_for_a_memory_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
    };
    omp_set_num_threads(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
