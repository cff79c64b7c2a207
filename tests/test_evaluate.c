/* Evaluation of vectors that are known: every figure here was worked out by hand. */
#include "data_files.h"
#include "numbers_encoder.h"

#include <math.h>

static akin_context *context;
static akin_model *model;

static int set_up(void **state)
{
    akin_named_encoder named = {"n", NULL};
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL) ||
                   akin_encoder_create(&named.encoder, context, "numbers", NULL, NULL) ||
                   akin_model_create(&model, context, &named, 1, NULL, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_model_free(model);
    akin_context_free(context);
    return remove_test_folder(state);
}

typedef struct figure {
    const char *name;
    double value;
} figure;

static void assert_figures(akin_evaluation *evaluation, const figure *figures, int count, bool base)
{
    assert_int_equal(evaluation->count, count);
    for (int i = 0; i < count; i++) {
        const akin_evaluation_row *row = &evaluation->rows[i];
        assert_string_equal(row->name, figures[i].name);
        if (fabs(row->value - figures[i].value) > 1e-6)
            fail_msg("%s: %.9g, expected %.9g", row->name, row->value, figures[i].value);
        assert_true(base ? row->base == row->value : isnan(row->base));
        assert_true(base ? row->difference == 0 && row->low == 0 && row->high == 0
                         : isnan(row->difference) && isnan(row->low) && isnan(row->high));
    }
    akin_evaluation_free(evaluation);
}

#define SECOND 0.63092975357145743 /* 1 / log2(3): the second place's discount */

/* cosines:  b0 (.5,1)  b1 (1,.2)  b2 (-1,0)
   a0 (1,0)     .447       .981       -1       its b is b0: second
   a1 (0,1)     .894       .196        0       its b is b1: second
   a2 (-1,0)   -.447      -.981        1       its b is b2: first */
static akin_dataset *three_pairs(void)
{
    akin_dataset *dataset;
    const akin_pair pairs[] = {{akin_text("1 0"), akin_text("0.5 1"), 1, 0},
                               {akin_text("0 1"), akin_text("1 0.2"), 1, 0},
                               {akin_text("-1 0"), akin_text("-1 0 "), 1, 0}};
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, 3, told));
    return dataset;
}

static void test_pairs(void **state)
{
    (void)state;
    static const figure figures[] = {{"precision@1", 1 / 3.},
                                     {"recall@10", 1},
                                     {"ndcg@10", (1 + 2 * SECOND) / 3},
                                     {"reciprocal_rank", 2 / 3.}};
    akin_evaluation *evaluation;
    akin_dataset *dataset = three_pairs();
    assert_ok(akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, NULL, told));
    assert_int_equal(evaluation->queries, 3);
    assert_int_equal(evaluation->candidates, 3);
    assert_figures(evaluation, figures, 4, false);
    /* beside itself: no difference at all */
    assert_ok(akin_evaluate(&evaluation, model, model, AKIN_EVALUATE_PAIRS, dataset, NULL, told));
    assert_figures(evaluation, figures, 4, true);
    static const char *const wanted[] = {"recall@1", "{type: hit_rate, k: 2}"};
    static const figure chosen[] = {{"recall@1", 1 / 3.}, {"hit_rate@2", 1}};
    akin_evaluator_options options = akin_evaluator_defaults();
    options.metrics = (akin_metric_list){wanted, 2};
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, &options, told));
    assert_figures(evaluation, chosen, 2, false);
    options.sample_size = 2;
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, &options, told));
    assert_int_equal(evaluation->queries, 2);
    assert_int_equal(evaluation->candidates, 3);
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
}

/* x0 (1,0) and x1 (1,.1) are alike, x2 (0,1), x3 (.1,1) and x4 (1,-.05) are. By falling cosine:
   x0: x4 x1* x3 x2    x1: x0* x4 x3 x2    x2: x3* x1 x0 x4*    x3: x2* x1 x0 x4*
   x4: x0 x1 x3* x2* */
static void test_groups(void **state)
{
    (void)state;
    static const figure figures[] = {
        {"precision@1", 3 / 5.},
        {"r_precision", (0 + 1 + 0.5 + 0.5 + 0) / 5},
        {"map", (0.5 + 1 + 0.75 + 0.75 + (1 / 3. + 2 / 4.) / 2) / 5},
        {"reciprocal_rank", (0.5 + 1 + 1 + 1 + 1 / 3.) / 5},
    };
    const akin_group groups[] = {{akin_text("1 0"), 7},
                                 {akin_text("1 0.1"), 7},
                                 {akin_text("0 1"), -3},
                                 {akin_text("0.1 1"), -3},
                                 {akin_text("1 -0.05"), -3}};
    akin_dataset *dataset;
    akin_evaluation *evaluation;
    assert_ok(akin_dataset_from_groups(&dataset, groups, 5, told));
    assert_ok(akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_GROUPS, dataset, NULL, told));
    assert_int_equal(evaluation->queries, 5);
    assert_figures(evaluation, figures, 4, false);
    akin_evaluator_options options = akin_evaluator_defaults();
    options.micro = true; /* 3 of 8 first places; the mean over all 8 relevant ones */
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_GROUPS, dataset, &options, told));
    assert_int_equal(evaluation->count, 6);
    assert_string_equal(evaluation->rows[4].name, "micro_r_precision");
    assert_float_equal(evaluation->rows[4].value, 3 / 8., 1e-9);
    assert_string_equal(evaluation->rows[5].name, "micro_reciprocal_rank");
    assert_float_equal(evaluation->rows[5].value,
                       (0.5 + 1 + 1 + 0.25 + 1 + 0.25 + 1 / 3. + 0.25) / 8, 1e-9);
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
}

static void test_scored(void **state)
{
    (void)state;
    static const float graded[] = {1, 0.5f, 0.2f, 0.1f}, binary[] = {1, 0, 1, 0};
    static const char *const others[] = {"1 0", "1 1", "0 1", "-1 0"}; /* cosines 1 .707 0 -1 */
    akin_evaluation *evaluation;
    akin_dataset *dataset;
    akin_pair pairs[4];
    for (int i = 0; i < 4; i++)
        pairs[i] = (akin_pair){akin_text("1 0"), akin_text(others[i]), graded[i], 0};
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, 4, told));
    assert_ok(akin_evaluate(&evaluation, model, model, AKIN_EVALUATE_SCORED, dataset, NULL, told));
    assert_int_equal(evaluation->count, 2);
    assert_string_equal(evaluation->rows[0].name, "spearman");
    assert_float_equal(evaluation->rows[0].value, 1, 1e-9);
    assert_true(evaluation->rows[0].base == evaluation->rows[0].value);
    assert_true(evaluation->rows[0].difference == 0);
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
    for (int i = 0; i < 4; i++)
        pairs[i].score = binary[i];
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, 4, told));
    assert_ok(akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_SCORED, dataset, NULL, told));
    assert_int_equal(evaluation->count, 6);
    assert_string_equal(evaluation->rows[2].name, "accuracy");
    assert_float_equal(evaluation->rows[2].value, 3 / 4., 1e-9);
    assert_string_equal(evaluation->rows[5].name, "average_precision");
    assert_float_equal(evaluation->rows[5].value, (1 + 2 / 3.) / 2, 1e-9);
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
}

/* A head is measured beside the encoders alone. */
static void test_head_beside_its_base(void **state)
{
    (void)state;
    akin_named_encoder named = {"n", NULL};
    akin_head *head;
    akin_model *tuned;
    akin_evaluation *evaluation;
    akin_dataset *dataset = three_pairs();
    assert_ok(akin_encoder_create(&named.encoder, context, "numbers", NULL, told));
    assert_ok(akin_head_create(&head, context, "linear", "{output_dim: 2}", 2, told));
    assert_ok(akin_model_create(&tuned, context, &named, 1, head, told));
    float *w = ak_parameters_values(head->parameters); /* the second number, turned round */
    memset(w, 0, (size_t)ak_parameters_size(head->parameters) * sizeof *w);
    w[0] = 1;
    w[3] = -1;
    assert_ok(akin_evaluate(&evaluation, tuned, NULL, AKIN_EVALUATE_PAIRS, dataset, NULL, told));
    for (int i = 0; i < evaluation->count; i++) /* a mirror changes no cosine */
        assert_float_equal(evaluation->rows[i].value, evaluation->rows[i].base, 1e-9);
    akin_evaluation_free(evaluation);
    w[3] = 0; /* the second number is gone: a0 finds b0 and b1 alike, a1 nothing */
    assert_ok(akin_evaluate(&evaluation, tuned, NULL, AKIN_EVALUATE_PAIRS, dataset, NULL, told));
    const akin_evaluation_row *row = &evaluation->rows[0];
    assert_float_equal(row->base, 1 / 3., 1e-9);
    assert_float_equal(row->difference, row->value - row->base, 1e-9);
    assert_true(row->low <= row->difference && row->difference <= row->high);
    akin_evaluation_free(evaluation);
    akin_model_free(tuned);
    akin_dataset_free(dataset);
}

static void test_mistakes(void **state)
{
    (void)state;
    akin_evaluation *evaluation;
    akin_error error;
    akin_dataset *dataset = three_pairs();
    akin_evaluator_options options = akin_evaluator_defaults();
    static const struct {
        akin_evaluation_kind kind;
        const char *metric;
        akin_status status;
        const char *told;
    } rows[] = {
        {AKIN_EVALUATE_GROUPS, NULL, AKIN_ERR_MISMATCH, "holds pairs"},
        {AKIN_EVALUATE_BEIR, NULL, AKIN_ERR_ARGUMENT, "akin_evaluate_beir"},
        {AKIN_EVALUATE_PAIRS, "spearman", AKIN_ERR_MISMATCH, "\"spearman\" is for scored pairs"},
        {AKIN_EVALUATE_SCORED, "recall@1", AKIN_ERR_MISMATCH, "is for retrieval"},
        {AKIN_EVALUATE_PAIRS, "precison@1", AKIN_ERR_ARGUMENT, "did you mean"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        options.metrics = (akin_metric_list){&rows[i].metric, rows[i].metric ? 1 : 0};
        akin_status status =
            akin_evaluate(&evaluation, model, NULL, rows[i].kind, dataset, &options, &error);
        if (status != rows[i].status || !strstr(error.message, rows[i].told) || evaluation)
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
    akin_dataset_free(dataset);
}

/* ---- BEIR ---- */

#define CORPUS                                                                                     \
    "{\"_id\": \"d1\", \"text\": \"1 0.2\"}\n{\"_id\": \"d2\", \"text\": \"0 2\"}\n"               \
    "{\"_id\": \"d3\", \"title\": \"2\", \"text\": \"0.1\"}\n"
#define QUERIES                                                                                    \
    "{\"_id\": \"q1\", \"text\": \"1 0\"}\n{\"_id\": \"q2\", \"text\": \"0 1\"}\n"                 \
    "{\"_id\": \"q3\", \"text\": \"5 5\"}\n"
#define JUDGED "query-id\tcorpus-id\tscore\nq1\td3\t2\nq1\td1\t1\nq2\td1\t1\n"

static void write_beir(const char *judgements)
{
    assert_ok(ak_make_folders(test_path("qrels"), told));
    write_text("corpus.jsonl", CORPUS);
    write_text("queries.jsonl", QUERIES);
    write_text("qrels/test.tsv", judgements);
}

/* q1 (1,0): d3* d1* d2; q2 (0,1): d2 d1* d3; q3 has no judgement and does not count. */
static void test_beir(void **state)
{
    (void)state;
    static const figure figures[] = {{"ndcg@10", (1 + SECOND) / 2},
                                     {"recall@100", 1},
                                     {"map@100", 0.75},
                                     {"reciprocal_rank@10", 0.75},
                                     {"precision@1", 0.5}};
    static const char *const files[] = {JUDGED, "q1\td3\t2\nq1\td1\t1\nq2\td1\t1",
                                        "query-id\tcorpus-id\tscore\r\nq1\td3\t2\r\n\r\n"
                                        "q1\td1\t1\r\nq2\td1\t1\r\n"};
    for (int i = 0; i < 3; i++) {
        akin_evaluation *evaluation;
        write_beir(files[i]);
        assert_ok(akin_evaluate_beir(&evaluation, model, NULL, test_folder, NULL, told));
        assert_int_equal(evaluation->queries, 2);
        assert_int_equal(evaluation->candidates, 3);
        assert_figures(evaluation, figures, 5, false);
        assert_ok(akin_evaluate_beir(&evaluation, model, model, test_folder, NULL, told));
        assert_figures(evaluation, figures, 5, true);
    }
}

static void test_bad_judgements(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t line;
        akin_status status;
        const char *told;
    } rows[] = {
        {"", 0, AKIN_ERR_FORMAT, "holds no judgements"},
        {"query-id\tcorpus-id\tscore\n", 0, AKIN_ERR_FORMAT, "holds no judgements"},
        {JUDGED "q1 d1 1\n", 5, AKIN_ERR_FORMAT, "separated by tabs"},
        {JUDGED "q1\td1\n", 5, AKIN_ERR_FORMAT, "separated by tabs"},
        {JUDGED "q1\td1\thigh\n", 5, AKIN_ERR_FORMAT, "\"high\" is no number"},
        {JUDGED "q1\td1\tnan\n", 5, AKIN_ERR_FORMAT, "\"nan\""},
        {JUDGED "\nq9\td1\t1\n", 6, AKIN_ERR_MISMATCH, "there is no query \"q9\""},
        {JUDGED "q1\td9\t1\n", 5, AKIN_ERR_MISMATCH, "there is no document \"d9\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_evaluation *evaluation;
        akin_error error = {0};
        write_beir(rows[i].text);
        akin_status status =
            akin_evaluate_beir(&evaluation, model, NULL, test_folder, NULL, &error);
        if (status != rows[i].status || error.line != rows[i].line ||
            !strstr(error.message, rows[i].told) || !strstr(error.message, "test.tsv") ||
            evaluation)
            fail_msg("row %d: %s, line %d: %s", (int)i, akin_status_name(status), (int)error.line,
                     error.message);
    }
    akin_evaluation *evaluation;
    akin_error error;
    write_beir(JUDGED);
    static const char *const files[] = {"corpus.jsonl", "queries.jsonl", "qrels/test.tsv"};
    for (int i = 0; i < 3; i++) {
        write_beir(JUDGED);
        assert_int_equal(unlink(test_path(files[i])), 0);
        assert_int_equal(akin_evaluate_beir(&evaluation, model, NULL, test_folder, NULL, &error),
                         AKIN_ERR_IO);
        assert_non_null(strstr(error.message, files[i]));
    }
    write_beir(JUDGED);
    write_text("corpus.jsonl", CORPUS "{\"_id\": \"d1\", \"text\": \"1 1\"}\n");
    assert_int_equal(akin_evaluate_beir(&evaluation, model, NULL, test_folder, NULL, &error),
                     AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "corpus.jsonl:4"));
}

/* ---- memory ---- */

static akin_status evaluate_all(akin_error *error)
{
    akin_evaluation *evaluation;
    akin_dataset *dataset;
    akin_pair pair = {akin_text("1 0"), akin_text("0.5 1"), 1, 0};
    AK_TRY(akin_dataset_from_pairs(&dataset, &pair, 1, error));
    akin_status status =
        akin_evaluate(&evaluation, model, model, AKIN_EVALUATE_PAIRS, dataset, NULL, error);
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
    if (!status)
        status = akin_evaluate_beir(&evaluation, model, NULL, test_folder, NULL, error);
    akin_evaluation_free(evaluation);
    return status;
}

static void test_without_memory(void **state)
{
    (void)state;
    write_beir(JUDGED);
    ak_memory_fail_at(0);
    assert_ok(evaluate_all(told));
    int64_t count = ak_memory_fail_at(0);
    assert_true(count > 100);
    for (int64_t n = 1; n <= count; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = evaluate_all(&error);
        ak_memory_fail_at(0);
        if (status != AKIN_ERR_MEMORY)
            fail_msg("allocation %lld of %lld: %s: %s", (long long)n, (long long)count,
                     akin_status_name(status), error.message);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pairs),          TEST(test_groups),
        TEST(test_scored),         TEST(test_head_beside_its_base),
        TEST(test_mistakes),       TEST(test_beir),
        TEST(test_bad_judgements), TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
