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

static void assert_file_holds(const char *name, const char *text)
{
    ak_map map;
    assert_ok(ak_map_open(&map, test_path(name), told));
    if (map.size != strlen(text) || memcmp(map.data, text, map.size))
        fail_msg("%s holds:\n%.*s", name, (int)map.size, map.data);
    ak_map_close(&map);
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
        {(akin_evaluation_kind)9, NULL, AKIN_ERR_ARGUMENT, "kind of evaluation is 9"},
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

static void test_bad_options(void **state)
{
    (void)state;
    const struct {
        akin_evaluator_options options;
        akin_evaluation_kind kind;
        akin_status status;
        const char *told;
    } rows[] = {
        {{.sample_size = -1, .repeats = 1}, AKIN_EVALUATE_PAIRS, AKIN_ERR_ARGUMENT, "sample_size"},
        {{.resamples = -1, .repeats = 1}, AKIN_EVALUATE_PAIRS, AKIN_ERR_ARGUMENT, "resamples"},
        {{.run_depth = -1, .repeats = 1}, AKIN_EVALUATE_PAIRS, AKIN_ERR_ARGUMENT, "run_depth"},
        {{.repeats = 0}, AKIN_EVALUATE_PAIRS, AKIN_ERR_ARGUMENT, "repeats at least 1"},
        {{.repeats = 2}, AKIN_EVALUATE_PAIRS, AKIN_ERR_ARGUMENT, "give a sample_size"},
        {{.repeats = 2, .sample_size = 1, .run = "r"},
         AKIN_EVALUATE_PAIRS,
         AKIN_ERR_ARGUMENT,
         "no repeats"},
        {{.repeats = 1, .qrels = "/dev/null"}, AKIN_EVALUATE_PAIRS, AKIN_ERR_EXISTS, "/dev/null"},
        {{.repeats = 1, .run = "/nowhere/r"}, AKIN_EVALUATE_PAIRS, AKIN_ERR_IO, "/nowhere/r"},
        {{.repeats = 1, .run = "r"}, AKIN_EVALUATE_SCORED, AKIN_ERR_ARGUMENT, "no rankings"},
    };
    akin_dataset *dataset = three_pairs();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_evaluation *evaluation;
        akin_error error;
        akin_evaluator_options options = rows[i].options;
        options.size = sizeof options;
        akin_status status =
            akin_evaluate(&evaluation, model, NULL, rows[i].kind, dataset, &options, &error);
        if (status != rows[i].status || !strstr(error.message, rows[i].told) || evaluation)
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
    akin_dataset_free(dataset);
}

/* Nothing to find is an error, not a row of zeros. */
static void test_nothing_relevant(void **state)
{
    (void)state;
    const akin_pair pairs[] = {{akin_text("1 0"), akin_text("0.5 1"), 0.5f, 0},
                               {akin_text("0 1"), akin_text("1 0.2"), 0, 0}};
    const akin_group groups[] = {{akin_text("1 0"), 1}, {akin_text("0 1"), 2}};
    akin_evaluation *evaluation;
    akin_error error;
    akin_dataset *dataset;
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, 2, told));
    assert_int_equal(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, NULL, &error),
        AKIN_ERR_MISMATCH);
    assert_non_null(strstr(error.message, "none of the 2 queries has a relevant candidate"));
    akin_dataset_free(dataset);
    assert_ok(akin_dataset_from_groups(&dataset, groups, 2, told));
    assert_int_equal(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_GROUPS, dataset, NULL, &error),
        AKIN_ERR_MISMATCH);
    akin_dataset_free(dataset);
}

/* ---- samples and passes ---- */

/* Queries 0 .. 9 at angles of their own, candidates turned by more and more: half are found first.
 */
static akin_dataset *ten_pairs(void)
{
    static char texts[20][48];
    akin_pair pairs[10];
    akin_dataset *dataset;
    for (int i = 0; i < 10; i++) {
        double angle = 0.6 * i, turned = angle + 0.06 * i;
        snprintf(texts[2 * i], sizeof texts[0], "%.6f %.6f", cos(angle), sin(angle));
        snprintf(texts[2 * i + 1], sizeof texts[0], "%.6f %.6f", cos(turned), sin(turned));
        pairs[i] =
            (akin_pair){akin_text(texts[2 * i]), akin_text(texts[2 * i + 1]), i % 2 ? 1 : 0.75f, 0};
    }
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, 10, told));
    return dataset;
}

/* Three passes are the mean and the standard deviation of three evaluations with those seeds. */
static void test_repeats(void **state)
{
    (void)state;
    static const akin_evaluation_kind kinds[] = {AKIN_EVALUATE_PAIRS, AKIN_EVALUATE_SCORED};
    akin_dataset *dataset = ten_pairs();
    for (int k = 0; k < 2; k++) {
        akin_evaluation *evaluation;
        double single[3], mean = 0, squares = 0;
        akin_evaluator_options options = akin_evaluator_defaults();
        options.sample_size = 4;
        for (uint64_t i = 0; i < 3; i++) {
            options.seed = 7 + i;
            assert_ok(akin_evaluate(&evaluation, model, model, kinds[k], dataset, &options, told));
            assert_int_equal(evaluation->queries, 4);
            assert_true(isnan(evaluation->rows[0].deviation));
            mean += (single[i] = evaluation->rows[0].value) / 3;
            akin_evaluation_free(evaluation);
        }
        for (int i = 0; i < 3; i++)
            squares += (single[i] - mean) * (single[i] - mean);
        assert_true(squares > 0); /* the samples differ, or this test shows nothing */
        options.seed = 7;
        options.repeats = 3;
        assert_ok(akin_evaluate(&evaluation, model, model, kinds[k], dataset, &options, told));
        const akin_evaluation_row *row = &evaluation->rows[0];
        assert_float_equal(row->value, mean, 1e-12);
        assert_float_equal(row->deviation, sqrt(squares / 2), 1e-12);
        assert_true(row->base == row->value && row->base_deviation == row->deviation);
        assert_true(row->difference == 0 && row->difference_deviation == 0 && isnan(row->low));
        akin_evaluation_free(evaluation);
    }
    akin_dataset_free(dataset);
}

/* Every object is query and candidate. a0 (1,0): b1 .98, b0* .45, a1 0, a2 (= b2) -1; ... */
static void test_no_distinguishing(void **state)
{
    (void)state;
    akin_evaluation *evaluation;
    akin_dataset *dataset = three_pairs();
    akin_evaluator_options options = akin_evaluator_defaults();
    options.distinguish = false;
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, &options, told));
    assert_int_equal(evaluation->queries, 6);
    assert_int_equal(evaluation->candidates, 6);
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
}

/* ---- TREC files ---- */

/* As in test_pairs: a0: b1 .981 b0 .447 b2 -1;  a1: b0 .894 b1 .196 b2 0;  a2: b2 1 b0 b1 */
static void test_trec_files(void **state)
{
    (void)state;
    akin_evaluation *evaluation;
    akin_dataset *dataset = three_pairs();
    akin_evaluator_options options = akin_evaluator_defaults();
    options.run = test_path("run.txt");
    options.qrels = test_path("qrels.txt");
    options.run_depth = 2;
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, &options, told));
    akin_evaluation_free(evaluation);
    assert_file_holds("run.txt", "a1 Q0 b2 1 0.9805807 akin\na1 Q0 b1 2 0.4472136 akin\n"
                                 "a2 Q0 b1 1 0.8944272 akin\na2 Q0 b2 2 0.19611613 akin\n"
                                 "a3 Q0 b3 1 1 akin\na3 Q0 b1 2 -0.4472136 akin\n");
    assert_file_holds("qrels.txt", "a1 0 b1 1\na2 0 b2 1\na3 0 b3 1\n");
    akin_dataset_free(dataset);
    dataset = ten_pairs(); /* gains of .75 and 1 become whole; a file that exists is replaced */
    options.replace = true;
    options.run = NULL;
    options.sample_size = 9;
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, &options, told));
    akin_evaluation_free(evaluation);
    ak_map map;
    assert_ok(ak_map_open(&map, test_path("qrels.txt"), told));
    assert_true(map.size > 80 && memmem(map.data, map.size, " 75\n", 4) &&
                memmem(map.data, map.size, " 100\n", 5));
    ak_map_close(&map);
    akin_dataset_free(dataset);
}

/* A query that is a candidate too is not its own; depth 0 shows all others. */
static void test_trec_of_groups(void **state)
{
    (void)state;
    const akin_group groups[] = {
        {akin_text("1 0"), 7}, {akin_text("0 1"), 7}, {akin_text("1 1"), 8}};
    akin_evaluation *evaluation;
    akin_dataset *dataset;
    akin_evaluator_options options = akin_evaluator_defaults();
    options.run = test_path("run.txt");
    options.run_depth = 0;
    assert_ok(akin_dataset_from_groups(&dataset, groups, 3, told));
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_GROUPS, dataset, &options, told));
    akin_evaluation_free(evaluation);
    assert_file_holds("run.txt", "1 Q0 3 1 0.70710677 akin\n1 Q0 2 2 0 akin\n"
                                 "2 Q0 3 1 0.70710677 akin\n2 Q0 1 2 0 akin\n"
                                 "3 Q0 1 1 0.70710677 akin\n3 Q0 2 2 0.70710677 akin\n");
    akin_dataset_free(dataset);
}

/* ---- the base ---- */

/* Trained encoders are not their own base: it is what akin.json names, or there is none. */
static void test_base_of_trained_encoders(void **state)
{
    (void)state;
    akin_named_encoder named = {"n", NULL};
    akin_model *trained;
    akin_evaluation *evaluation;
    akin_dataset *dataset = three_pairs();
    assert_ok(akin_encoder_create(&named.encoder, context, "numbers", "trainable: true", told));
    assert_ok(akin_model_create(&trained, context, &named, 1, NULL, told));
    assert_ok(ak_make_folders(test_path("base"), told)); /* where the untrained weights are */
    assert_ok(numbers_save(named.encoder->self, test_path("base"), told));
    float *w = ak_parameters_values(ak_encoder_parameters(named.encoder));
    w[3] = 0; /* the second number is gone */
    assert_ok(akin_evaluate(&evaluation, trained, NULL, AKIN_EVALUATE_PAIRS, dataset, NULL, told));
    assert_true(isnan(evaluation->rows[0].base));
    akin_evaluation_free(evaluation);
    assert_ok(ak_model_set_record(trained, test_path("base"), NULL, NULL, told));
    assert_ok(akin_evaluate(&evaluation, trained, NULL, AKIN_EVALUATE_PAIRS, dataset, NULL, told));
    assert_float_equal(evaluation->rows[0].base, 1 / 3., 1e-9);
    assert_float_equal(evaluation->rows[3].base, 2 / 3., 1e-9);
    assert_true(evaluation->rows[3].value != evaluation->rows[3].base);
    akin_evaluation_free(evaluation);
    ak_remove_tree(test_path("base")); /* gone: told, and none */
    assert_ok(akin_evaluate(&evaluation, trained, NULL, AKIN_EVALUATE_PAIRS, dataset, NULL, told));
    assert_true(isnan(evaluation->rows[0].base));
    akin_evaluation_free(evaluation);
    akin_model_free(trained);
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

/* A run of BEIR has its ids; an id with a space has no place in one. */
static void test_beir_files(void **state)
{
    (void)state;
    akin_evaluation *evaluation;
    akin_error error;
    akin_evaluator_options options = akin_evaluator_defaults();
    char run[256], qrels[256]; /* test_path's own are used again and again */
    options.run = strcpy(run, test_path("run.txt"));
    options.qrels = strcpy(qrels, test_path("qrels.txt"));
    options.run_depth = 1;
    write_beir(JUDGED);
    assert_ok(akin_evaluate_beir(&evaluation, model, NULL, test_folder, &options, told));
    akin_evaluation_free(evaluation);
    assert_file_holds("run.txt", "q1 Q0 d3 1 0.99875236 akin\nq2 Q0 d2 1 1 akin\n");
    assert_file_holds("qrels.txt", "q1 0 d1 1\nq1 0 d3 2\nq2 0 d1 1\n");
    write_text("queries.jsonl", "{\"_id\": \"q1\", \"text\": \"1 0\"}\n"
                                "{\"_id\": \"q 2\", \"text\": \"0 1\"}\n");
    write_text("qrels/test.tsv", "q 2\td1\t1\n");
    options.replace = true;
    assert_int_equal(akin_evaluate_beir(&evaluation, model, NULL, test_folder, &options, &error),
                     AKIN_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "\"q 2\""));
    write_text("qrels/test.tsv", "q1\td1\t0\n");
    assert_int_equal(akin_evaluate_beir(&evaluation, model, NULL, test_folder, NULL, &error),
                     AKIN_ERR_MISMATCH);
    assert_non_null(strstr(error.message, "none of the 1 queries"));
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
    akin_evaluator_options options = akin_evaluator_defaults();
    options.run = test_path("run.txt");
    options.qrels = test_path("qrels.txt");
    options.replace = true;
    akin_pair pair = {akin_text("1 0"), akin_text("0.5 1"), 1, 0};
    AK_TRY(akin_dataset_from_pairs(&dataset, &pair, 1, error));
    akin_status status =
        akin_evaluate(&evaluation, model, model, AKIN_EVALUATE_PAIRS, dataset, &options, error);
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
        TEST(test_bad_options),    TEST(test_nothing_relevant),
        TEST(test_repeats),        TEST(test_no_distinguishing),
        TEST(test_trec_files),     TEST(test_trec_of_groups),
        TEST(test_beir_files),     TEST(test_base_of_trained_encoders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
