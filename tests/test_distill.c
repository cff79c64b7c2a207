/* akin_distill: eigenvalues, principal axes, the table of tokens, its weights, what is refused. */
#include "data_files.h"

#include <math.h>
#include <omp.h>

#include "data/pca_golden.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "tiny_model.h"

static akin_context *context;
static akin_arena *arena;

static int set_up(void **state)
{
    ak_memory_fail_at(0); /* a failed test may have left it on */
    if (make_test_folder(state) || akin_context_create(&context, NULL) ||
        ak_arena_create(&arena, NULL) || akin_context_set_cache(context, NULL, NULL))
        return -1;
    tiny_model(test_path("tiny"), &(tiny_options){.seed = 3, .normalize = true});
    tiny_model(test_path("raw"), &(tiny_options){.seed = 3});
    return 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    ak_arena_free(arena);
    return remove_test_folder(state);
}

/* ---- eigenvalues and axes ---- */

static void check_eigen(const double *a, int64_t n)
{
    int64_t square = n * n;
    double *kept = ak_arena_new(arena, double, square), *v = ak_arena_new(arena, double, square);
    double *values = ak_arena_new(arena, double, n), *scratch = ak_arena_new(arena, double, 4 * n);
    double size = 1e-300, trace = 0;
    memcpy(kept, a, (size_t)(n * n) * sizeof *a);
    for (int64_t i = 0; i < n * n; i++)
        size = fmax(size, fabs(a[i]));
    ak_eigen(kept, n, values, v, scratch);
    for (int64_t i = 0; i < n; i++) {
        assert_true(i == 0 || values[i] <= values[i - 1]);
        trace += values[i] - a[i * n + i];
        for (int64_t j = 0; j < n; j++) {
            double product = ak_dot_double(a + j * n, v + i * n, n);
            double unit = ak_dot_double(v + i * n, v + j * n, n);
            assert_true(fabs(product - values[i] * v[i * n + j]) < 1e-12 * size * (double)n);
            assert_true(fabs(unit - (i == j)) < 1e-12);
        }
    }
    assert_true(fabs(trace) < 1e-12 * size * (double)(n * n));
}

static void test_eigen(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 8, 33, 100};
    static const double zero[9] = {0}, same[9] = {2, 0, 0, 0, 2, 0, 0, 0, 2},
                        ranked[9] = {1, 2, 3, 2, 4, 6, 3, 6, 9};
    check_eigen(zero, 3);
    check_eigen(same, 3);
    check_eigen(ranked, 3); /* of rank one */
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s], square = n * n;
        double *a = ak_arena_new(arena, double, square);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j <= i; j++)
                a[i * n + j] = a[j * n + i] = ak_random_normal(7, (uint64_t)i, (uint64_t)j);
        check_eigen(a, n);
        for (int64_t i = 0; i < n * n; i++)
            a[i] *= 1e-150;
        check_eigen(a, n);
    }
}

/* Large enough to be shared out. */
static void test_eigen_of_any_number_of_threads(void **state)
{
    (void)state;
    enum { N = 530 };
    double *a = ak_arena_new(arena, double, N *N), *scratch = ak_arena_new(arena, double, 4 * N);
    double *v[2], *values[2];
    for (int t = 0; t < 2; t++) {
        v[t] = ak_arena_new(arena, double, N *N);
        values[t] = ak_arena_new(arena, double, N);
        for (int64_t i = 0; i < N; i++)
            for (int64_t j = 0; j <= i; j++)
                a[i * N + j] = a[j * N + i] = ak_random_normal(7, (uint64_t)i, (uint64_t)j);
        omp_set_num_threads(1 + 2 * t);
        ak_eigen(a, N, values[t], v[t], scratch);
    }
    omp_set_num_threads(2);
    assert_memory_equal(values[0], values[1], N * sizeof(double));
    assert_memory_equal(v[0], v[1], N * N * sizeof(double));
}

static void test_axes(void **state)
{
    (void)state;
    ak_axes axes;
    float y[2 * PCA_ROWS];
    akin_matrix x = ak_matrix(pca_x, PCA_ROWS, PCA_COLUMNS), points = ak_matrix(y, PCA_ROWS, 2);
    assert_ok(ak_axes_find(&axes, x, 2, arena, told));
    ak_linear_forward(x, axes.weight, axes.bias, points, AKIN_F32);
    for (int i = 0; i < 2 * PCA_ROWS; i++)
        assert_float_equal(y[i], pca_points[i], 1e-4);
    assert_float_equal(axes.share, pca_shares[0] + pca_shares[1], 1e-6);
}

/* ---- the table ---- */

static akin_model *load(const char *name)
{
    akin_model *model;
    assert_ok(akin_model_load(&model, context, test_path(name), AKIN_AS_SAVED, told));
    return model;
}

static akin_model *distil(const akin_model *model, int64_t dim, double sif,
                          const akin_corpus *corpus)
{
    akin_distill_options options = akin_distill_defaults();
    akin_distill_report report = {0};
    akin_model *distilled;
    options.dim = dim;
    options.sif = sif;
    options.corpus = corpus;
    assert_ok(akin_distill(&distilled, &report, model, &options, told));
    assert_int_equal(report.tokens, TINY_WORDS - 5);
    assert_int_equal(report.dim, akin_model_dim(distilled));
    assert_int_equal(report.width, akin_model_dim(model));
    return distilled;
}

/* The row of one token. */
static const float *row_of(const akin_model *model, const char *word)
{
    const akin_parameter *table =
        akin_parameters_get(ak_encoder_parameters(model->encoders[0].encoder), 0);
    assert_int_equal(table->rows, TINY_WORDS);
    for (int i = 0; i < TINY_WORDS; i++)
        if (strcmp(tiny_words[i], word) == 0)
            return table->value + i * table->columns;
    fail_msg("no word %s", word);
    return NULL;
}

static double distance(const float *a, const float *b, int64_t d)
{
    return sqrt((double)ak_squared_distance(a, b, d));
}

static const char *const words[] = {"red", "blue", "cat", "sea", "walk", "9"};
enum { WORDS = sizeof words / sizeof *words };

/* All axes and no weights: rows stand to each other as the model's own vectors of the words do. */
static void check_turned(const akin_model *model, const akin_model *vectors)
{
    float own[WORDS * 128];
    int64_t d = akin_model_dim(model);
    akin_object texts[WORDS];
    akin_model *distilled = distil(model, d, 0, NULL);
    for (int i = 0; i < WORDS; i++)
        texts[i] = akin_text(words[i]);
    assert_ok(akin_model_encode(vectors, texts, WORDS, own, told));
    for (int i = 0; i < WORDS; i++)
        for (int j = 0; j < i; j++)
            assert_float_equal(
                distance(own + i * d, own + j * d, d),
                distance(row_of(distilled, words[i]), row_of(distilled, words[j]), d), 2e-5);
    akin_model_free(distilled);
}

static void test_rows_are_the_models_vectors(void **state)
{
    (void)state;
    akin_model *raw = load("raw"), *tiny = load("tiny");
    check_turned(raw, raw);
    check_turned(tiny, raw); /* what comes before unit length is what a token has to say */
    akin_model_free(raw);
    akin_model_free(tiny);
}

static akin_model *of_encoder(const char *type, const char *options)
{
    akin_named_encoder named = {"n", NULL};
    akin_model *model;
    assert_ok(akin_encoder_create(&named.encoder, context, type, options, told));
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    return model;
}

/* With prompts, of all texts or of either side, the table is that without. */
static void test_prompts_are_left_out(void **state)
{
    (void)state;
    static const char *const rows[] = {"", ", prompt: 'red '",
                                       ", query_prompt: 'red ', document_prompt: 'sea '"};
    enum { DIM = 16, SIZE = TINY_WORDS * DIM };
    float plain[SIZE];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char options[600];
        snprintf(options, sizeof options, "{path: %s%s}", test_path("tiny"), rows[i]);
        akin_model *model = of_encoder("transformer", options);
        akin_model *distilled = distil(model, DIM, 0, NULL);
        const float *table = row_of(distilled, tiny_words[0]);
        if (i == 0)
            memcpy(plain, table, sizeof plain);
        assert_false(akin_model_has_sides(distilled));
        assert_memory_equal(plain, table, sizeof plain);
        akin_model_free(distilled);
        akin_model_free(model);
    }
}

static akin_model *with_head(const char *type, const char *options)
{
    char text[256];
    akin_named_encoder named = {"text", NULL};
    akin_head *head;
    akin_model *model;
    snprintf(text, sizeof text, "{path: %s}", test_path("tiny"));
    assert_ok(akin_encoder_create(&named.encoder, context, "transformer", text, told));
    assert_ok(akin_head_create(&head, context, type, options, TINY_HIDDEN, told));
    assert_ok(akin_model_create(&model, context, &named, 1, head, told));
    return model;
}

static void test_head_is_distilled_too(void **state)
{
    (void)state;
    akin_model *model = with_head("linear", "{output_dim: 40}");
    check_turned(model, model);
    akin_model_free(model);
}

/* A static model is one of tokens already: nothing but the axes changes. */
static void test_static_is_distilled(void **state)
{
    (void)state;
    akin_model *raw = load("raw"), *first = distil(raw, 12, 1e-3, NULL),
               *second = distil(first, 12, 0, NULL);
    for (int i = 0; i < WORDS; i++)
        assert_float_equal(distance(row_of(first, words[i]), row_of(first, "of"), 12),
                           distance(row_of(second, words[i]), row_of(second, "of"), 12), 2e-5);
    akin_model_free(raw);
    akin_model_free(first);
    akin_model_free(second);
}

static void test_special_tokens_are_nothing(void **state)
{
    (void)state;
    static const float zeros[TINY_HIDDEN] = {0};
    akin_model *raw = load("raw"), *distilled = distil(raw, 16, 1e-4, NULL);
    for (int i = 0; i < 5; i++)
        assert_memory_equal(row_of(distilled, tiny_words[i]), zeros, 16 * sizeof(float));
    float y[3 * 16];
    akin_object texts[] = {akin_text("red cat"), akin_text("red zzz cat"), akin_text("zzz")};
    assert_ok(akin_model_encode(distilled, texts, 3, y, told));
    assert_float_equal(ak_dot(y, y, 16), 1, 1e-5);
    assert_float_equal(ak_dot(y, y + 16, 16), 1, 1e-5); /* what is unknown changes nothing */
    assert_float_equal(ak_dot(y + 32, y + 32, 16), 0, 1e-12);
    akin_model_free(raw);
    akin_model_free(distilled);
}

/* Row of the weighted table over row of the plain one. */
static double weight(const akin_model *weighted, const akin_model *plain, const char *word)
{
    const float *a = row_of(weighted, word), *b = row_of(plain, word);
    return sqrt((double)(ak_dot(a, a, TINY_HIDDEN) / ak_dot(b, b, TINY_HIDDEN)));
}

static void test_weights(void **state)
{
    (void)state;
    akin_model *raw = load("raw"), *plain = distil(raw, TINY_HIDDEN, 0, NULL);
    akin_model *zipf = distil(raw, TINY_HIDDEN, 0.01, NULL), *counted;
    double sum = 0;
    for (int i = 0; i < TINY_WORDS - 5; i++)
        sum += 1.0 / (i + 2);
    assert_float_equal(weight(zipf, plain, "a"), 0.01 / (0.01 + 1.0 / 2 / sum), 1e-5);
    assert_float_equal(weight(zipf, plain, "9"), 0.01 / (0.01 + 1.0 / (TINY_WORDS - 4) / sum),
                       1e-5);
    akin_corpus *corpus;
    write_text("c.txt", "red red zzz cat\nthe red\n");
    assert_ok(akin_corpus_open(&corpus, context, raw, test_path("c.txt"), NULL, told));
    counted = distil(raw, TINY_HIDDEN, 0.1, corpus);
    assert_float_equal(weight(counted, plain, "red"), 0.1 / (0.1 + 3.0 / 5), 1e-5);
    assert_float_equal(weight(counted, plain, "the"), 0.1 / (0.1 + 1.0 / 5), 1e-5);
    assert_float_equal(weight(counted, plain, "sea"), 1, 1e-5);
    akin_corpus_free(corpus);
    akin_model_free(counted);
    akin_model_free(zipf);
    akin_model_free(plain);
    akin_model_free(raw);
}

/* ---- the model ---- */

static void test_saved_and_read(void **state)
{
    (void)state;
    akin_model *tiny = load("tiny"), *distilled = distil(tiny, 0, 1e-4, NULL), *plain;
    float before[2 * TINY_HIDDEN], after[2 * TINY_HIDDEN];
    akin_object texts[] = {akin_text("the red cat"), akin_text("eating fish in the sea")};
    ak_hash a, b;
    akin_model_free(tiny);
    assert_int_equal(akin_model_dim(distilled), TINY_HIDDEN);
    assert_ok(akin_model_encode(distilled, texts, 2, before, told));
    assert_ok(akin_model_fingerprint(distilled, &a, told));
    assert_ok(akin_model_save(distilled, test_path("saved"), true, told));
    akin_model_free(distilled);
    distilled = load("saved");
    assert_ok(akin_model_encode(distilled, texts, 2, after, told));
    assert_ok(akin_model_fingerprint(distilled, &b, told));
    assert_memory_equal(before, after, sizeof before);
    assert_true(ak_hash_equal(a, b));
    assert_true(strstr(distilled->base_path, "tiny") && strstr(distilled->training_json, "tokens"));
    akin_model_free(distilled);
    plain = load("saved/encoders/text");
    assert_ok(akin_model_encode(plain, texts, 2, after, told));
    assert_memory_equal(before, after, sizeof before);
    akin_model_free(plain);
}

static void test_any_number_of_threads(void **state)
{
    (void)state;
    akin_model *tiny = load("tiny");
    ak_hash prints[3];
    int most = omp_get_max_threads();
    for (int i = 0; i < 3; i++) {
        omp_set_num_threads(i + 1);
        akin_model *distilled = distil(tiny, 24, 1e-4, NULL);
        assert_ok(akin_model_fingerprint(distilled, &prints[i], told));
        akin_model_free(distilled);
    }
    omp_set_num_threads(most);
    assert_true(ak_hash_equal(prints[0], prints[1]) && ak_hash_equal(prints[0], prints[2]));
    akin_model_free(tiny);
}

/* ---- mistakes and memory ---- */

static akin_model *of_two(void)
{
    char text[256];
    akin_named_encoder named[] = {{"a", NULL}, {"b", NULL}};
    akin_model *model;
    snprintf(text, sizeof text, "{path: %s}", test_path("tiny"));
    for (int i = 0; i < 2; i++)
        assert_ok(akin_encoder_create(&named[i].encoder, context, "transformer", text, told));
    assert_ok(akin_model_create(&model, context, named, 2, NULL, told));
    return model;
}

/* Takes the model. */
static void check_refused(akin_model *model, int64_t dim, double sif, akin_status expected,
                          const char *says)
{
    akin_distill_options options = akin_distill_defaults();
    akin_model *distilled = model;
    akin_error error = {0};
    options.dim = dim;
    options.sif = sif;
    akin_status status = akin_distill(&distilled, NULL, model, &options, &error);
    if (status != expected || distilled || !strstr(error.message, says))
        fail_msg("expected \"%s\": %s: %s", says, akin_status_name(status), error.message);
    akin_model_free(model);
}

static void test_mistakes(void **state)
{
    (void)state;
    char towers[1200];
    check_refused(of_encoder("ngrams", NULL), 0, 0, AKIN_ERR_UNSUPPORTED, "type ngrams");
    check_refused(of_two(), 0, 0, AKIN_ERR_UNSUPPORTED, "2 encoders");
    snprintf(towers, sizeof towers,
             "{query: {type: transformer, path: %s}, document: {type: transformer, path: %s}}",
             test_path("tiny"), test_path("raw"));
    check_refused(of_encoder("two_towers", towers), 0, 0, AKIN_ERR_UNSUPPORTED, "document side");
    check_refused(with_head("query_adapter", NULL), 0, 0, AKIN_ERR_UNSUPPORTED, "document side");
    check_refused(load("tiny"), 33, 0, AKIN_ERR_ARGUMENT, "33 numbers a vector");
    check_refused(load("tiny"), -1, 0, AKIN_ERR_ARGUMENT, "-1 numbers a vector");
    check_refused(load("tiny"), 0, -1, AKIN_ERR_ARGUMENT, "\"sif\" is -1");
    check_refused(load("tiny"), 0, 1, AKIN_ERR_ARGUMENT, "\"sif\" is 1");
    check_refused(load("tiny"), 0, NAN, AKIN_ERR_ARGUMENT, "\"sif\" is");
    check_refused(with_head("linear", "{output_dim: 100}"), 100, 0, AKIN_ERR_MISMATCH,
                  "more tokens than that");
}

static void test_bad_numbers_and_corpora(void **state)
{
    (void)state;
    akin_model *raw = load("raw"), *table = distil(raw, 8, 0, NULL), *none = table;
    akin_distill_options options = akin_distill_defaults();
    akin_error error = {0};
    ((float *)row_of(table, "sea"))[3] = INFINITY;
    assert_int_equal(akin_distill(&none, NULL, table, &options, &error), AKIN_ERR_MISMATCH);
    assert_true(!none && strstr(error.message, "\"sea\" is not finite"));
    akin_corpus *corpus;
    write_text("c.txt", "zzz\n[CLS]\n");
    assert_ok(akin_corpus_open(&corpus, context, raw, test_path("c.txt"), NULL, told));
    options.corpus = corpus;
    assert_int_equal(akin_distill(&none, NULL, raw, &options, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "no token of the vocabulary"));
    akin_corpus_free(corpus);
    options.size = 0;
    assert_int_equal(akin_distill(&none, NULL, raw, &options, &error), AKIN_ERR_ARGUMENT);
    akin_model_free(table);
    akin_model_free(raw);
}

static void test_interrupted(void **state)
{
    (void)state;
    static const volatile int up = 1;
    akin_model *raw = load("raw"), *none = raw;
    akin_context_on_interrupt(context, &up);
    akin_error error = {0};
    assert_int_equal(akin_distill(&none, NULL, raw, NULL, &error), AKIN_ERR_INTERRUPTED);
    assert_null(none);
    akin_context_on_interrupt(context, NULL);
    akin_model_free(raw);
}

static void test_without_memory(void **state)
{
    (void)state;
    akin_model *model = with_head("gated", NULL), *distilled;
    akin_distill_options options = akin_distill_defaults();
    write_text("c.txt", "the red cat\n");
    assert_ok(akin_corpus_open((akin_corpus **)&options.corpus, context, model, test_path("c.txt"),
                               NULL, told));
    for (int64_t n = 1;; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = akin_distill(&distilled, NULL, model, &options, &error);
        ak_memory_fail_at(0);
        if (!status)
            break;
        if (status != AKIN_ERR_MEMORY || distilled)
            fail_msg("allocation %d: %s: %s", (int)n, akin_status_name(status), error.message);
        assert_true(n < 10000);
    }
    akin_model_free(distilled);
    akin_corpus_free((akin_corpus *)options.corpus);
    akin_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eigen),
        cmocka_unit_test(test_eigen_of_any_number_of_threads),
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_rows_are_the_models_vectors),
        cmocka_unit_test(test_prompts_are_left_out),
        cmocka_unit_test(test_head_is_distilled_too),
        cmocka_unit_test(test_static_is_distilled),
        cmocka_unit_test(test_special_tokens_are_nothing),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_saved_and_read),
        cmocka_unit_test(test_any_number_of_threads),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_bad_numbers_and_corpora),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
