/* Metrics against reference values (data/metrics_reference.py), ranks against a complete sort, the
   bootstrap against what must hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "eval/eval.h"
#include "kernels/similarity.h"
#include "kernels/topk.h"

static akin_arena *arena;

static int make_arena(void **state)
{
    (void)state;
    return (int)ak_arena_create(&arena, NULL);
}

static int free_arena(void **state)
{
    (void)state;
    ak_arena_free(arena);
    return 0;
}

static ak_metric metric_of(const char *text)
{
    ak_metric metric;
    akin_error error;
    if (ak_metric_create(&metric, text, ak_metrics, arena, &error))
        fail_msg("%s", error.message);
    return metric;
}

static bool near(double a, double b, double tolerance)
{
    return isnan(a) ? isnan(b) : fabs(a - b) <= tolerance;
}

/* ---- reference values ---- */

enum { MOST = 256 };

/* Numbers up to '|' or the end; *text moves behind it. */
static int64_t read_numbers(char **text, float *out)
{
    int64_t n = 0;
    char *word, *field = strsep(text, "|");
    while ((word = strsep(&field, " "))) {
        double number;
        if (*word) {
            assert_true(n < MOST && ak_text_to_double(word, &number));
            out[n++] = (float)number;
        }
    }
    return n;
}

static akin_ranking ranking_of(const float *gains, int64_t n)
{
    akin_ranking ranking = {.size = sizeof ranking, .candidates = n};
    int64_t *ranks = ak_arena_new(arena, int64_t, n);
    float *found = ak_arena_new(arena, float, n), *ideal = ak_arena_new(arena, float, n);
    for (int64_t i = 0; i < n; i++) {
        if (gains[i] <= 0)
            continue;
        int64_t place = ranking.relevant++;
        ranks[place] = i + 1;
        found[place] = gains[i];
        for (; place > 0 && ideal[place - 1] < gains[i]; place--)
            ideal[place] = ideal[place - 1];
        ideal[place] = gains[i];
    }
    ranking.ranks = ranks;
    ranking.gains = found;
    ranking.ideal = ideal;
    return ranking;
}

static void check_line(char *line)
{
    float x[MOST], y[MOST];
    char *kind = strsep(&line, " ");
    bool scored = !strcmp(kind, "scored");
    strsep(&line, "|");
    int64_t n = read_numbers(&line, x);
    if (scored)
        assert_int_equal(read_numbers(&line, y), n);
    akin_ranking ranking = ranking_of(x, n);
    for (char *name; (name = strsep(&line, " "));) {
        double expected, value;
        if (!*name)
            continue;
        assert_true(ak_text_to_double(strsep(&line, " "), &expected));
        ak_metric metric = metric_of(name);
        assert_string_equal(metric.name, name);
        if (scored)
            assert_int_equal(ak_metric_score(&metric, x, y, n, arena, &value, NULL), AKIN_OK);
        else
            ak_metric_values(&metric, &ranking, 1, &value);
        if (!near(value, expected, 1e-12))
            fail_msg("%s of %lld: %.17g, expected %.17g", name, (long long)n, value, expected);
    }
}

static void test_reference(void **state)
{
    (void)state;
    char *path = ak_path_join(getenv("AKIN_TEST_DATA"), "metrics_reference.txt");
    ak_map map;
    assert_int_equal(ak_map_open(&map, path, NULL), AKIN_OK);
    char *text = ak_arena_copy(arena, map.data, map.size);
    int lines = 0;
    for (char *line; (line = strsep(&text, "\n"));) {
        if (*line) {
            check_line(line);
            lines++;
        }
    }
    assert_true(lines == 19);
    ak_map_close(&map);
    ak_free(path);
}

/* ---- eight vectors in three groups: every one a query, itself excluded ---- */

static float golden_x[8][4] = {{.9f, .1f, -.3f, .2f}, {.7f, .4f, -.1f, .3f},  {-.2f, .8f, .5f, .1f},
                               {.1f, .9f, .3f, -.4f}, {.8f, -.2f, -.4f, .5f}, {.3f, .6f, -.5f, .2f},
                               {-.5f, .7f, .6f, .3f}, {.2f, .5f, .9f, -.6f}};

static void test_golden_groups(void **state)
{
    (void)state;
    static const int group[8] = {0, 0, 1, 1, 0, 2, 1, 2};
    int64_t start[9], candidate[64], exclude_start[9], exclude[8], count = 0;
    for (int q = 0; q < 8; q++) {
        start[q] = count;
        for (int c = 0; c < 8; c++)
            if (c != q && group[c] == group[q])
                candidate[count++] = c;
        exclude_start[q] = q;
        exclude[q] = q;
    }
    start[8] = count;
    exclude_start[8] = 8;
    ak_relevance relevance = {8, start, candidate, NULL, exclude_start, exclude};
    akin_matrix x = {golden_x[0], 8, 4, 4};
    akin_ranking *rankings;
    assert_int_equal(ak_rank(x, x, &relevance, arena, &rankings, NULL), AKIN_OK);
    assert_int_equal(rankings[0].candidates, 7);
    ak_metric r_precision = metric_of("r_precision"), mrr = metric_of("reciprocal_rank");
    double values[8];
    ak_metric_values(&r_precision, rankings, 8, values);
    assert_true(near(ak_mean(values, 8), 0.625, 1e-12));
    ak_metric_values(&mrr, rankings, 8, values);
    assert_true(near(ak_mean(values, 8), 0.788690476190, 1e-12));
    assert_true(near(ak_micro_r_precision(rankings, 8), 0.714285714286, 1e-12));
    assert_true(near(ak_micro_reciprocal_rank(rankings, 8), 0.641156462585, 1e-12));
    assert_true(isnan(ak_micro_r_precision(rankings, 0)));
}

/* ---- ranks ---- */

typedef struct problem {
    akin_matrix queries, candidates;
    ak_relevance relevance;
} problem;

static float *random_rows(uint64_t stream, int64_t rows, int64_t stride)
{
    float *x = ak_arena_new(arena, float, rows *stride);
    for (int64_t i = 0; i < rows * stride; i++)
        x[i] = (float)ak_random_normal(3, stream, (uint64_t)i);
    return x;
}

/* Candidates with twins, near twins, zeros and NaN; relevant ones drawn with repetitions, some of
   no gain, some excluded. */
static problem make_problem(int64_t q, int64_t n, int64_t dim, int64_t relevant)
{
    int64_t stride = dim + 3, *start = ak_arena_new(arena, int64_t, q + 1);
    int64_t *candidate = ak_arena_new(arena, int64_t, q * relevant);
    int64_t *exclude_start = ak_arena_new(arena, int64_t, q + 1);
    int64_t *exclude = ak_arena_new(arena, int64_t, 2 * q);
    float *gain = ak_arena_new(arena, float, q *relevant);
    problem p = {.queries = {random_rows(1, q, stride), q, dim, stride},
                 .candidates = {random_rows(2, n, stride), n, dim, stride}};
    for (int64_t j = 1; j < n; j += 3)
        for (int64_t i = 0; i < dim; i++)
            p.candidates.data[j * stride + i] =
                p.candidates.data[(j - 1) * stride + i] * (j % 2 ? 1 : 1.0000001f);
    if (n > 20) {
        memset(p.candidates.data + 9 * stride, 0, (size_t)dim * sizeof(float));
        p.candidates.data[11 * stride] = NAN;
        p.candidates.data[12 * stride] = NAN;
    }
    for (int64_t i = 0; i < q; i++) {
        start[i] = i * relevant;
        exclude_start[i] = 2 * i;
        for (int64_t r = 0; r < relevant; r++) {
            candidate[start[i] + r] =
                (int64_t)ak_random_below(3, 5, (uint64_t)(start[i] + r), (uint64_t)n);
            gain[start[i] + r] = (float)(r % 4);
        }
        exclude[2 * i] = (int64_t)ak_random_below(3, 6, (uint64_t)i, (uint64_t)n);
        exclude[2 * i + 1] = i % 2 || !relevant ? exclude[2 * i] : candidate[start[i]];
    }
    start[q] = q * relevant;
    exclude_start[q] = 2 * q;
    p.relevance = (ak_relevance){q, start, candidate, gain, exclude_start, exclude};
    return p;
}

static bool excluded(const problem *p, int64_t q, int64_t id)
{
    const ak_relevance *r = &p->relevance;
    for (int64_t i = r->exclude_start[q]; i < r->exclude_start[q + 1]; i++)
        if (r->exclude[i] == id)
            return true;
    return false;
}

static float gain_of(const problem *p, int64_t q, int64_t id)
{
    const ak_relevance *r = &p->relevance;
    for (int64_t i = r->start[q]; i < r->start[q + 1]; i++)
        if (r->candidate[i] == id && r->gain[i] > 0)
            return r->gain[i];
    return 0;
}

static int by_rank(const void *a, const void *b)
{
    return ak_hit_compare(*(const akin_hit *)a, *(const akin_hit *)b);
}

/* The ranking of one query by sorting everything. */
static void check_ranking(const problem *p, int64_t q, const akin_ranking *ranking)
{
    int64_t n = p->candidates.rows, dim = p->candidates.columns, count = 0, found = 0;
    float *query = ak_calloc((size_t)dim, 4), *row = ak_calloc((size_t)dim, 4);
    akin_hit *hits = ak_calloc((size_t)n, sizeof *hits);
    ak_unit_rows(p->queries.data + q * p->queries.stride, 1, dim, dim, query);
    for (int64_t j = 0; j < n; j++) {
        ak_unit_rows(p->candidates.data + j * p->candidates.stride, 1, dim, dim, row);
        if (!excluded(p, q, j))
            hits[count++] = (akin_hit){j, ak_similarity(query, row, dim)};
    }
    qsort(hits, (size_t)count, sizeof *hits, by_rank);
    assert_int_equal(ranking->candidates, count);
    for (int64_t i = 0; i < count; i++) {
        if (gain_of(p, q, hits[i].id) <= 0)
            continue;
        assert_true(found < ranking->relevant);
        assert_int_equal(ranking->ranks[found], i + 1);
        if (p->relevance.gain[0] != p->relevance.gain[1]) /* repeated ones may differ in gain */
            assert_true(ranking->gains[found] > 0);
        found++;
    }
    assert_int_equal(found, ranking->relevant);
    for (int64_t i = 1; i < found; i++)
        assert_true(ranking->ideal[i] <= ranking->ideal[i - 1]);
    ak_free(query);
    ak_free(row);
    ak_free(hits);
}

static void test_ranks(void **state)
{
    (void)state;
    static const int64_t rows[][4] = {{1, 1, 1, 2},     {5, 30, 3, 4},      {40, 300, 17, 1},
                                      {300, 130, 8, 6}, {20, 1000, 64, 50}, {33, 113, 5, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        problem p = make_problem(rows[i][0], rows[i][1], rows[i][2], rows[i][3]);
        akin_ranking *rankings;
        assert_int_equal(ak_rank(p.queries, p.candidates, &p.relevance, arena, &rankings, NULL),
                         AKIN_OK);
        for (int64_t q = 0; q < p.relevance.queries; q++)
            check_ranking(&p, q, rankings + q);
    }
}

static void test_ranks_are_the_same_for_any_threads(void **state)
{
    (void)state;
    problem p = make_problem(70, 900, 20, 9);
    int threads = omp_get_max_threads();
    akin_ranking *first, *other;
    omp_set_num_threads(1);
    assert_int_equal(ak_rank(p.queries, p.candidates, &p.relevance, arena, &first, NULL), AKIN_OK);
    omp_set_num_threads(4);
    assert_int_equal(ak_rank(p.queries, p.candidates, &p.relevance, arena, &other, NULL), AKIN_OK);
    omp_set_num_threads(threads);
    for (int64_t q = 0; q < 70; q++)
        assert_memory_equal(first[q].ranks, other[q].ranks,
                            (size_t)first[q].relevant * sizeof(int64_t));
}

static void test_rank_errors(void **state)
{
    (void)state;
    problem p = make_problem(3, 30, 4, 2);
    akin_ranking *rankings;
    akin_error error;
    akin_matrix narrow = p.queries;
    narrow.columns = 3;
    assert_int_equal(ak_rank(narrow, p.candidates, &p.relevance, arena, &rankings, &error),
                     AKIN_ERR_MISMATCH);
    assert_null(rankings);
    assert_non_null(strstr(error.message, "3 dimensions, candidates have 4"));
    akin_status status = AKIN_ERR_MEMORY;
    int64_t n = 1;
    for (; status && n < 100; n++) {
        akin_arena *own;
        assert_int_equal(ak_arena_create(&own, NULL), AKIN_OK);
        ak_memory_fail_at(n);
        status = ak_rank(p.queries, p.candidates, &p.relevance, own, &rankings, NULL);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || (status == AKIN_ERR_MEMORY && !rankings));
        ak_arena_free(own);
    }
    assert_true(n > 3 && !status);
}

/* ---- names ---- */

static void test_names(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"reciprocal_rank", "reciprocal_rank"},
        {"reciprocal_rank@10", "reciprocal_rank@10"},
        {"precision", "precision@1"},
        {"{type: precision, k: 3}", "precision@3"},
        {"{\"type\": \"ndcg\"}", "ndcg@10"},
        {"{type: ndcg, k: 0}", "ndcg"},
        {"map", "map"},
        {"spearman", "spearman"},
        {"{type: recall@5}", "recall@5"},
        {"r_precision", "r_precision"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(metric_of(rows[i][0]).name, rows[i][1]);
}

static void test_wrong_names(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"precison@1", "no metric is called \"precison\", did you mean \"precision\"?"},
        {"zzzzzzzzzz", "no metric is called \"zzzzzzzzzz\""},
        {"precision@", "k"},
        {"precision@0", "k"},
        {"precision@-1", "k"},
        {"precision@one", "k"},
        {"precision@1@2", "k"},
        {"spearman@3", "the metric spearman has no k"},
        {"{type: spearman, k: 3}", "k"},
        {"{type: precision, kk: 3}", "kk"},
        {"{k: 3}", "a map without a type"},
        {"[precision]", "must be a name or {type: NAME, ...}, is a list"},
        {"3", "must be a name"},
        {"@3", ""},
        {"", ""},
        {"{", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ak_metric metric;
        akin_error error = {0};
        akin_status status = ak_metric_create(&metric, rows[i][0], ak_metrics, arena, &error);
        if (status == AKIN_OK || !strstr(error.message, rows[i][1]))
            fail_msg("\"%s\": status %d, \"%s\"", rows[i][0], status, error.message);
    }
}

static double half(const void *options, const akin_ranking *ranking)
{
    (void)options;
    (void)ranking;
    return 0.5;
}

static void test_own_class(void **state)
{
    (void)state;
    const akin_metric_class own = {.size = sizeof own, .name = "half", .rank = half};
    const akin_metric_class *const classes[] = {&own, NULL};
    ak_metric metric;
    assert_int_equal(ak_metric_create(&metric, "half", classes, arena, NULL), AKIN_OK);
    akin_ranking ranking = {0};
    double value;
    ak_metric_values(&metric, &ranking, 1, &value);
    assert_true(value == 0.5);
    for (int i = 0; ak_metrics[i]; i++) {
        assert_true(ak_metrics[i]->size == sizeof(akin_metric_class));
        assert_true((ak_metrics[i]->kind == AKIN_METRIC_RANKING) == (ak_metrics[i]->rank != NULL));
        assert_true((ak_metrics[i]->kind == AKIN_METRIC_SCORED) == (ak_metrics[i]->score != NULL));
        assert_non_null(ak_metrics[i]->summary);
    }
}

static void test_metric_memory(void **state)
{
    (void)state;
    const float x[3] = {1, 2, 3};
    akin_status status = AKIN_ERR_MEMORY;
    for (int64_t n = 1; status && n < 200; n++) {
        akin_arena *own;
        ak_metric metric;
        double value;
        assert_int_equal(ak_arena_create(&own, NULL), AKIN_OK);
        ak_memory_fail_at(n);
        status = ak_metric_create(&metric, "spearman", ak_metrics, own, NULL);
        if (!status)
            status = ak_metric_score(&metric, x, x, 3, own, &value, NULL);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
        ak_arena_free(own);
    }
    assert_int_equal(status, AKIN_OK);
}

static void test_nan_is_undefined(void **state)
{
    (void)state;
    const float x[3] = {1, NAN, 3}, y[3] = {0, 1, 1};
    static const char *const names[] = {"spearman",  "pearson", "accuracy",
                                        "threshold", "f1",      "average_precision"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ak_metric metric = metric_of(names[i]);
        double value = 0;
        assert_int_equal(ak_metric_score(&metric, x, y, 3, arena, &value, NULL), AKIN_OK);
        assert_true(isnan(value));
        value = 0;
        assert_int_equal(ak_metric_score(&metric, y, y, 0, arena, &value, NULL), AKIN_OK);
        assert_true(isnan(value));
    }
}

static void test_mean(void **state)
{
    (void)state;
    const double values[] = {1, NAN, 3};
    assert_true(ak_mean(values, 3) == 2);
    assert_true(isnan(ak_mean(values + 1, 1)));
    assert_true(isnan(ak_mean(NULL, 0)));
}

/* ---- bootstrap ---- */

static void test_bootstrap(void **state)
{
    (void)state;
    enum { N = 1001 };
    static double tuned[N], base[N];
    for (int i = 0; i < N; i++) {
        base[i] = ak_random_normal(1, 1, (uint64_t)i);
        tuned[i] = base[i] + 0.5 + 0.2 * ak_random_normal(1, 2, (uint64_t)i);
    }
    tuned[7] = NAN;
    ak_interval paired, again, alone;
    assert_int_equal(ak_bootstrap(&paired, tuned, base, N, 1000, 42, NULL), AKIN_OK);
    /* Paired: the spread of the base cancels. Normal theory: 1.96 * 0.2 / sqrt(1000) = 0.0124. */
    assert_true(near(paired.difference, 0.5, 0.02));
    assert_true(near(paired.difference - paired.low, 0.0124, 0.0012));
    assert_true(near(paired.high - paired.difference, 0.0124, 0.0012));
    assert_int_equal(ak_bootstrap(&alone, tuned, NULL, N, 1000, 42, NULL), AKIN_OK);
    assert_true(near(alone.high - alone.low, 2 * 1.96 * 1.02 / sqrt(1000), 0.012));
    int threads = omp_get_max_threads();
    omp_set_num_threads(3);
    assert_int_equal(ak_bootstrap(&again, tuned, base, N, 1000, 42, NULL), AKIN_OK);
    omp_set_num_threads(threads);
    assert_memory_equal(&paired, &again, sizeof paired);
    assert_int_equal(ak_bootstrap(&again, tuned, base, N, 1000, 43, NULL), AKIN_OK);
    assert_true(again.difference == paired.difference && again.low != paired.low);
}

static void test_bootstrap_edges(void **state)
{
    (void)state;
    const double tuned[3] = {1, 2, NAN}, base[3] = {0.5, 1.5, 1};
    ak_interval out;
    assert_int_equal(ak_bootstrap(&out, tuned, base, 3, 100, 1, NULL), AKIN_OK);
    assert_true(out.difference == 0.5 && out.low == 0.5 && out.high == 0.5);
    assert_int_equal(ak_bootstrap(&out, tuned, base, 3, 0, 1, NULL), AKIN_OK);
    assert_true(out.difference == 0.5 && out.low == 0.5 && out.high == 0.5);
    assert_int_equal(ak_bootstrap(&out, tuned + 2, base, 1, 100, 1, NULL), AKIN_OK);
    assert_true(isnan(out.difference) && isnan(out.low) && isnan(out.high));
    assert_int_equal(ak_bootstrap(&out, tuned, base, 0, 100, 1, NULL), AKIN_OK);
    assert_true(isnan(out.difference));
    assert_int_equal(ak_bootstrap(&out, tuned, base, 3, -1, 1, NULL), AKIN_ERR_ARGUMENT);
}

static void test_bootstrap_scored(void **state)
{
    (void)state;
    enum { N = 200 };
    float tuned[N], base[N], label[N];
    for (uint64_t i = 0; i < N; i++) {
        label[i] = (float)ak_random_uniform(1, 1, i);
        tuned[i] = label[i] + 0.1f * (float)ak_random_normal(1, 2, i);
        base[i] = label[i] + 0.5f * (float)ak_random_normal(1, 3, i);
    }
    ak_metric spearman = metric_of("spearman");
    double of_tuned, of_base;
    assert_int_equal(ak_metric_score(&spearman, tuned, label, N, arena, &of_tuned, NULL), AKIN_OK);
    assert_int_equal(ak_metric_score(&spearman, base, label, N, arena, &of_base, NULL), AKIN_OK);
    ak_interval out, again;
    assert_int_equal(ak_bootstrap_scored(&out, &spearman, tuned, base, label, N, 400, 42, NULL),
                     AKIN_OK);
    assert_true(out.difference == of_tuned - of_base);
    assert_true(0 < out.low && out.low < out.difference && out.difference < out.high);
    omp_set_num_threads(3);
    assert_int_equal(ak_bootstrap_scored(&again, &spearman, tuned, base, label, N, 400, 42, NULL),
                     AKIN_OK);
    assert_memory_equal(&out, &again, sizeof out);
    omp_set_num_threads(1);
    akin_status status = AKIN_ERR_MEMORY;
    for (int64_t n = 1; status && n < 500; n++) {
        ak_memory_fail_at(n);
        status = ak_bootstrap_scored(&out, &spearman, tuned, NULL, label, N, 3, 42, NULL);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
    }
    assert_int_equal(status, AKIN_OK);
    assert_true(out.difference == of_tuned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_golden_groups),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_ranks_are_the_same_for_any_threads),
        cmocka_unit_test(test_rank_errors),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_wrong_names),
        cmocka_unit_test(test_own_class),
        cmocka_unit_test(test_metric_memory),
        cmocka_unit_test(test_nan_is_undefined),
        cmocka_unit_test(test_mean),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_bootstrap_edges),
        cmocka_unit_test(test_bootstrap_scored),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
