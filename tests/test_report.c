/* Reports: principal components against NumPy's, text made safe, and whole pages of vectors that
   are known. */
#include "data_files.h"
#include "numbers_encoder.h"

#include "data/pca_golden.h"
#include "eval/html.h"
#include "eval/pca.h"

#include <math.h>

static akin_context *context;
static akin_model *model;
static akin_arena *arena;

static int set_up(void **state)
{
    akin_named_encoder named = {"n", NULL};
    akin_head *head;
    ak_memory_fail_at(0); /* a failed test may have left it on */
    if (make_test_folder(state) || akin_context_create(&context, NULL) ||
        ak_arena_create(&arena, NULL))
        return -1;
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL) ||
                   akin_encoder_create(&named.encoder, context, "numbers", NULL, NULL) ||
                   akin_head_create(&head, context, "linear", NULL, 2, NULL) ||
                   akin_model_create(&model, context, &named, 1, head, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_model_free(model);
    akin_context_free(context);
    ak_arena_free(arena);
    return remove_test_folder(state);
}

/* ---- principal components ---- */

static void test_pca_golden(void **state)
{
    (void)state;
    float points[2 * PCA_ROWS];
    double shares[2];
    akin_matrix x = ak_matrix(pca_x, PCA_ROWS, PCA_COLUMNS);
    assert_ok(ak_pca(points, shares, x, arena, told));
    for (int i = 0; i < 2 * PCA_ROWS; i++)
        assert_float_equal(points[i], pca_points[i], 1e-4);
    for (int k = 0; k < 2; k++)
        assert_float_equal(shares[k], pca_shares[k], 1e-9);
}

/* More columns than directions are followed: the variance must be found all the same. */
static void test_pca_of_many_columns(void **state)
{
    (void)state;
    enum { N = 60, D = 40 };
    float x[N * D], points[2 * N];
    double shares[2];
    for (int i = 0; i < N; i++)
        for (int c = 0; c < D; c++)
            x[i * D + c] = (float)((c == 17   ? 3 * sin(i)
                                    : c == 31 ? 2 * cos(2.5 * i)
                                              : 0) +
                                   0.02 * ak_random_normal(2, (uint64_t)i, (uint64_t)c));
    assert_ok(ak_pca(points, shares, ak_matrix(x, N, D), arena, told));
    assert_true(shares[0] > 0.6 && shares[1] > 0.25 && shares[0] + shares[1] < 1);
    for (int i = 0; i < N; i++) {
        assert_float_equal(points[2 * i], 3 * sin(i), 0.2);
        assert_float_equal(points[2 * i + 1], 2 * cos(2.5 * i), 0.2);
    }
}

static void test_pca_of_little(void **state)
{
    (void)state;
    float one[] = {3, 4}, line[] = {0, 1, 2, 4, 4, 7}, same[] = {2, 2, 2, 2},
          bad[] = {1, NAN, 2, 3};
    float points[12];
    double shares[2];
    assert_ok(ak_pca(points, shares, ak_matrix(one, 0, 2), arena, told));
    assert_ok(ak_pca(points, shares, ak_matrix(one, 1, 2), arena, told));
    assert_true(points[0] == 0 && points[1] == 0 && shares[0] == 0);
    assert_ok(ak_pca(points, shares, ak_matrix(same, 2, 2), arena, told));
    assert_true(points[0] == 0 && points[3] == 0 && shares[1] == 0);
    assert_ok(ak_pca(points, shares, ak_matrix(line, 3, 2), arena, told)); /* all on one line */
    assert_float_equal(shares[0], 1, 1e-9);
    assert_float_equal(fabsf(points[4] - points[0]), sqrt(16 + 36), 1e-5);
    assert_float_equal(points[1], 0, 1e-6);
    assert_ok(ak_pca(points, shares, ak_matrix(line, 6, 1), arena, told)); /* one column */
    assert_float_equal(shares[0], 1, 1e-9);
    assert_ok(ak_pca(points, shares, ak_matrix(bad, 2, 2), arena, told));
    assert_true(points[0] == 0 && shares[0] == 0);
}

/* ---- text ---- */

static void test_text_is_safe(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t most;
        const char *html;
    } rows[] = {
        {"plain", 0, "plain"},
        {"<script>\"a\" & 'b'</script>", 0,
         "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;"},
        {"zwölf Boxkämpfer", 5, "zwölf…"},
        {"five!", 5, "five!"},
        {"a\nb\tc\x01"
         "d\x7f",
         0, "a b c\uFFFDd\uFFFD"},
        {"\xff\xc3", 0, "\uFFFD\uFFFD"},
        {"", 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ak_page page = {.arena = arena};
        ak_html_text(&page, rows[i].text, strlen(rows[i].text), rows[i].most);
        const char *html = page.html.data ? page.html.data : "";
        if (strcmp(html, rows[i].html))
            fail_msg("row %d: %s", (int)i, html);
        ak_free(page.html.data);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        int digits;
        bool sign;
        const char *html;
    } rows[] = {
        {0.12345, 4, false, "0.1235"}, {-0.05, 2, false, "−0.05"}, {0.5, 1, true, "+0.5"},
        {-0.00001, 4, true, "0.0000"}, {12, 0, false, "12"},       {NAN, 4, true, "–"},
        {INFINITY, 4, false, "–"},     {1e300, 4, false, "–"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ak_page page = {.arena = arena};
        char wanted[64];
        snprintf(wanted, sizeof wanted, "<td class=n>%s", rows[i].html);
        ak_html_number(&page, rows[i].value, rows[i].digits, rows[i].sign);
        if (strncmp(page.html.data, wanted, strlen(wanted)))
            fail_msg("row %d: %s", (int)i, page.html.data);
        ak_free(page.html.data);
    }
}

/* ---- pages ---- */

/* Draws nothing, but keeps the scripts. */
static ak_text scripts;

static bool keep_script(void *user, const char *script, akin_arena *memory, akin_object *svg)
{
    static const char drawn[] = "<?xml?>\n<svg><title>Gnuplot</title>\n<desc>x</desc><g/></svg>";
    (void)memory;
    ++*(int *)user;
    ak_text_add(&scripts, script, strlen(script));
    *svg = akin_text(drawn);
    return true;
}

static bool cannot_draw(void *user, const char *script, akin_arena *memory, akin_object *svg)
{
    (void)script;
    (void)memory;
    (void)svg;
    ++*(int *)user;
    return false;
}

#define HISTORY                                                                                    \
    "{\"best_epoch\": 1, \"history\": [{\"epoch\": 0, \"step\": 0, \"lr\": 0, \"own's\": 0.5,"     \
    " \"validation_loss\": 2}, {\"epoch\": 1, \"step\": 9, \"lr\": 0.1, \"own's\": 0.75,"          \
    " \"validation_loss\": 1.25}], \"note\": \"<b>\", \"recipe\": {\"data\": \"x > y\"}}"

/* Three pairs; the first's b is behind the second's, and its text is dangerous. */
static akin_dataset *three_pairs(void)
{
    akin_dataset *dataset;
    const akin_pair pairs[] = {{akin_text("1 0 <script>"), akin_text("0.5 1"), 1, 0},
                               {akin_text("0 1"), akin_text("1 0.2"), 1, 0},
                               {akin_text("-1 0"), akin_text("-1 0 &"), 1, 0}};
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, 3, told));
    return dataset;
}

static char *page_of(const akin_dataset *dataset, akin_evaluation_kind kind,
                     akin_report_options options)
{
    ak_map map;
    char path[256];
    strcpy(path, test_path("page.html"));
    options.replace = true;
    assert_ok(akin_report_write(path, model, NULL, kind, dataset, &options, told));
    assert_ok(ak_map_open(&map, path, told));
    char *page = ak_arena_copy(arena, map.data, map.size);
    ak_map_close(&map);
    return page;
}

static void assert_has(const char *page, const char *piece)
{
    if (!strstr(page, piece))
        fail_msg("no \"%s\" in:\n%s", piece, page);
}

static void test_page_of_pairs(void **state)
{
    (void)state;
    int drawn = 0;
    akin_report_options options = akin_report_defaults();
    akin_dataset *dataset = three_pairs();
    assert_ok(ak_model_set_record(model, NULL, HISTORY, NULL, told));
    options.title = "a < b";
    options.draw = keep_script;
    options.draw_user = &drawn;
    char *page = page_of(dataset, AKIN_EVALUATE_PAIRS, options);
    assert_int_equal(drawn, 6); /* losses, metrics; before and after of similarities and map */
    assert_has(page, "<title>a &lt; b</title>");
    assert_has(page, "<tr><td>precision@1<td class=n>0.3333</td><td class=n>0.3333</td>");
    assert_has(page, "<svg><g/></svg>"); /* without prolog and title */
    assert_has(page, "<td class=n>1 (best)<td class=n>1.2500</td><td class=n>0.7500</td>");
    assert_has(page, "2 of 3 queries have another candidate");
    assert_has(page, "1 0 &lt;script&gt;");
    assert_has(page, "first relevant at rank 2 (base: 2)");
    assert_has(page, "<pre>{\n  &quot;data&quot;: &quot;x &gt; y&quot;\n}\n</pre>");
    assert_has(page, "<td>note<td class=t>&quot;&lt;b&gt;&quot;");
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "http:"));
    assert_has(scripts.data, "title 'own''s'");
    assert_has(scripts.data, "$lines << EOD");
    ak_free(scripts.data);
    scripts = (ak_text){0};
    akin_dataset_free(dataset);
}

/* Without charts there are the same numbers as tables. */
static void test_page_without_charts(void **state)
{
    (void)state;
    int asked = 0;
    akin_dataset *dataset = three_pairs();
    assert_ok(ak_model_set_record(model, NULL, HISTORY, NULL, told));
    akin_report_options options = akin_report_defaults();
    options.worst = 1;
    for (int i = 0; i < 2; i++) {
        char *page = page_of(dataset, AKIN_EVALUATE_PAIRS, options);
        assert_null(strstr(page, "<svg"));
        assert_has(page, "<details open><summary>Every epoch");
        assert_has(page, "<details open><summary>Shares in numbers");
        assert_has(page, "<details open><summary>Places of 6 objects");
        assert_null(strstr(strstr(page, "class=query") + 1, "class=query")); /* one, as asked */
        options.draw = cannot_draw;
        options.draw_user = &asked;
    }
    assert_true(asked > 0);
    akin_dataset_free(dataset);
}

static void test_page_of_groups(void **state)
{
    (void)state;
    int drawn = 0;
    akin_group groups[40];
    static char texts[40][32];
    akin_dataset *dataset;
    for (int i = 0; i < 40; i++) {
        double angle = 6.28 * (i % 10) / 10 + 0.01 * i;
        snprintf(texts[i], sizeof texts[i], "%.4f %.4f", cos(angle), sin(angle));
        groups[i] = (akin_group){akin_text(texts[i]), i % 10};
    }
    assert_ok(akin_dataset_from_groups(&dataset, groups, 40, told));
    akin_report_options options = akin_report_defaults();
    options.draw = keep_script;
    options.draw_user = &drawn;
    options.points = 30;
    char *page = page_of(dataset, AKIN_EVALUATE_GROUPS, options);
    assert_int_equal(drawn, 4); /* no history, no curves */
    assert_has(page, "r_precision");
    assert_has(page, "30 objects");
    assert_has(page, "class=dot");
    assert_null(strstr(page, "The run"));
    ak_free(scripts.data);
    scripts = (ak_text){0};
    akin_dataset_free(dataset);
}

static void test_mistakes(void **state)
{
    (void)state;
    const struct {
        akin_evaluation_kind kind;
        int64_t worst, repeats;
        const char *path;
        akin_status status;
        const char *told;
    } rows[] = {
        {AKIN_EVALUATE_GROUPS, 1, 1, "new.html", AKIN_ERR_MISMATCH, "holds pairs"},
        {AKIN_EVALUATE_SCORED, 1, 1, "new.html", AKIN_ERR_ARGUMENT, "of pairs or of groups"},
        {AKIN_EVALUATE_PAIRS, -1, 1, "new.html", AKIN_ERR_ARGUMENT, "at least 0"},
        {AKIN_EVALUATE_PAIRS, 1, 2, "new.html", AKIN_ERR_ARGUMENT, "no repeats"},
        {AKIN_EVALUATE_PAIRS, 1, 1, "there.html", AKIN_ERR_EXISTS, "there.html exists"},
        {AKIN_EVALUATE_PAIRS, 1, 1, "no/new.html", AKIN_ERR_IO, "no/new.html"},
    };
    akin_dataset *dataset = three_pairs();
    write_text("there.html", "mine");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_error error = {0};
        akin_evaluator_options evaluation = akin_evaluator_defaults();
        akin_report_options options = akin_report_defaults();
        evaluation.repeats = rows[i].repeats;
        evaluation.sample_size = 1;
        options.evaluation = &evaluation;
        options.worst = rows[i].worst;
        akin_status status = akin_report_write(test_path(rows[i].path), model, NULL, rows[i].kind,
                                               dataset, &options, &error);
        if (status != rows[i].status || !strstr(error.message, rows[i].told))
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
    assert_int_equal(ak_path_what(test_path("new.html")), AK_PATH_NONE);
    akin_dataset_free(dataset);
}

static akin_status write_a_page(const akin_dataset *dataset, akin_error *error)
{
    int drawn = 0;
    char path[256];
    akin_report_options options = akin_report_defaults();
    options.replace = true;
    options.draw = cannot_draw;
    options.draw_user = &drawn;
    return akin_report_write(strcpy(path, test_path("page.html")), model, NULL, AKIN_EVALUATE_PAIRS,
                             dataset, &options, error);
}

static void test_without_memory(void **state)
{
    (void)state;
    akin_dataset *dataset = three_pairs();
    assert_ok(ak_model_set_record(model, NULL, HISTORY, NULL, told));
    ak_memory_fail_at(0);
    assert_ok(write_a_page(dataset, told));
    int64_t count = ak_memory_fail_at(0);
    assert_true(count > 50);
    for (int64_t n = 1; n <= count; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = write_a_page(dataset, &error);
        ak_memory_fail_at(0);
        if (status != AKIN_ERR_MEMORY)
            fail_msg("allocation %lld of %lld: %s: %s", (long long)n, (long long)count,
                     akin_status_name(status), error.message);
    }
    akin_dataset_free(dataset);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pca_golden),     TEST(test_pca_of_many_columns),
        TEST(test_pca_of_little),  TEST(test_text_is_safe),
        TEST(test_numbers),        TEST(test_page_of_pairs),
        TEST(test_page_of_groups), TEST(test_page_without_charts),
        TEST(test_mistakes),       TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
