/* The fasttext encoder: word vectors as fastText makes them (tests/data/fasttext/make.py), poolings
   against sums in float64, saved models, every way a file can be broken. */
#include "data_files.h"

#include <math.h>

#include "model/fasttext.h"
#include "model/model.h"

#include "data/fasttext/golden.h"

static akin_context *context;
static ak_map tiny;

static char *data_file(const char *name)
{
    const char *folder = getenv("AKIN_TEST_DATA");
    assert_non_null(folder);
    return ak_format("%s/fasttext/%s", folder, name);
}

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    char *path = data_file("tiny.bin");
    int failed = akin_context_set_cache(context, NULL, NULL) || ak_map_open(&tiny, path, NULL);
    ak_free(path);
    return failed ? -1 : 0;
}

static int tear_down(void **state)
{
    ak_map_close(&tiny);
    akin_context_free(context);
    return remove_test_folder(state);
}

static void check_words(const char *file, bool plain)
{
    ak_fasttext *model;
    char *path = data_file(file);
    assert_ok(ak_fasttext_open(&model, path, told));
    ak_free(path);
    assert_int_equal(ak_fasttext_dim(model), FASTTEXT_DIM);
    assert_int_equal(ak_fasttext_words(model), 5);
    assert_int_equal(ak_fasttext_find(model, "the", 3), 2);
    assert_int_equal(ak_fasttext_find(model, "th", 2), -1);
    for (int i = 0; i < FASTTEXT_ASKED; i++) {
        const double *expected = plain ? fasttext_golden[i].plain : fasttext_golden[i].tiny;
        const char *word = fasttext_golden[i].word;
        float out[FASTTEXT_DIM];
        bool has = ak_fasttext_word(model, word, strlen(word), out);
        assert_int_equal(has, !plain || ak_fasttext_find(model, word, strlen(word)) >= 0);
        for (int j = 0; j < FASTTEXT_DIM; j++)
            if (fabs((double)out[j] - expected[j]) > 1e-6)
                fail_msg("%s of %s: %f, expected %f", file, word, (double)out[j], expected[j]);
    }
    ak_fasttext_free(model);
}

static void test_words(void **state)
{
    (void)state;
    check_words("tiny.bin", false);
    check_words("plain.bin", true);
}

/* ---- poolings ---- */

static akin_model *model_of(const char *pooling, const char *more)
{
    akin_named_encoder named = {.name = "t"};
    akin_model *model;
    char options[512], *path = data_file("tiny.bin");
    snprintf(options, sizeof options, "{path: %s, pooling: %s%s}", path, pooling, more);
    ak_free(path);
    assert_ok(akin_encoder_create(&named.encoder, context, "fasttext", options, told));
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    return model;
}

static void test_poolings(void **state)
{
    (void)state;
    static const char *const names[] = {"average", "sentence", "min", "max"};
    static const int words[] = {0, 2, 6, 7}; /* of the golden list */
    for (int p = 0; p < 4; p++) {
        akin_model *model = model_of(names[p], "");
        akin_object texts[] = {akin_text(" cat the\tx\n y "), akin_text(""), akin_text("the")};
        float out[3 * FASTTEXT_DIM];
        assert_ok(akin_model_encode(model, texts, 3, out, told));
        double expected[FASTTEXT_DIM] = {0};
        for (int w = 0; w < 4; w++) {
            const double *v = fasttext_golden[words[w]].tiny;
            double norm = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
            for (int j = 0; j < FASTTEXT_DIM; j++) {
                if (p < 2)
                    expected[j] += v[j] / 4 / (p ? norm : 1);
                else if (w == 0 || (p == 2 ? v[j] < expected[j] : v[j] > expected[j]))
                    expected[j] = v[j];
            }
        }
        for (int j = 0; j < FASTTEXT_DIM; j++) {
            assert_true(fabs((double)out[j] - expected[j]) < 1e-6);
            assert_true(out[FASTTEXT_DIM + j] == 0);
            assert_true(p == 1 || fabs((double)out[2 * FASTTEXT_DIM + j] -
                                       fasttext_golden[2].tiny[j]) < 1e-6);
        }
        akin_model_free(model);
    }
}

/* Words without any vector are no words of the mean. */
static void test_unknown_words(void **state)
{
    (void)state;
    char options[512], *path = data_file("plain.bin");
    akin_named_encoder named = {.name = "t"};
    akin_model *model;
    float out[FASTTEXT_DIM];
    akin_object object = akin_text("{\"w\": \"cats the cats\"}");
    snprintf(options, sizeof options, "{path: %s, field: w}", path);
    ak_free(path);
    assert_ok(akin_encoder_create(&named.encoder, context, "fasttext", options, told));
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    assert_ok(akin_model_encode(model, &object, 1, out, told));
    for (int j = 0; j < FASTTEXT_DIM; j++)
        assert_true((double)out[j] == fasttext_golden[2].plain[j]);
    akin_model_free(model);
}

static void test_saved(void **state)
{
    (void)state;
    akin_model *model = model_of("max", ""), *loaded, *other = model_of("min", "");
    akin_object object = akin_text("cats and the x");
    float before[FASTTEXT_DIM], after[FASTTEXT_DIM];
    ak_hash space, again, third;
    assert_ok(akin_model_encode(model, &object, 1, before, told));
    assert_ok(akin_model_fingerprint(model, &space, told));
    assert_ok(akin_model_fingerprint(other, &third, told));
    assert_ok(akin_model_save(model, test_path("model"), false, told));
    assert_ok(akin_model_load(&loaded, context, test_path("model"), AKIN_AS_SAVED, told));
    assert_ok(akin_model_encode(loaded, &object, 1, after, told));
    assert_ok(akin_model_fingerprint(loaded, &again, told));
    assert_memory_equal(before, after, sizeof before);
    assert_true(ak_hash_equal(space, again) && !ak_hash_equal(space, third));
    akin_model_free(model);
    akin_model_free(loaded);
    akin_model_free(other);
}

/* ---- broken files ---- */

enum {
    ARGUMENTS = 8,
    DICTIONARY = 64,
    WORDS = 92,
    WORD_BYTES = 4 + 1 + 3 + 1 + 3 + 1 + 5 + 1 + 1 + 1 + 45
};
enum { MATRIX = WORDS + WORD_BYTES };

static const struct {
    size_t place;
    int32_t value; /* four bytes are set */
    akin_status status;
    const char *told;
} broken[] = {
    {0, 1, AKIN_ERR_FORMAT, "not a fastText .bin"},
    {4, 10, AKIN_ERR_UNSUPPORTED, "version 10"},
    {4, 11, AKIN_OK, ""},
    {ARGUMENTS, 0, AKIN_ERR_FORMAT, "\"dim\" is 0"},
    {ARGUMENTS, 4, AKIN_ERR_FORMAT, "the matrix's width"},
    {ARGUMENTS + 32, -1, AKIN_ERR_FORMAT, "\"bucket\" is -1"},
    {ARGUMENTS + 32, 8, AKIN_ERR_FORMAT, "the number of rows"},
    {ARGUMENTS + 36, -3, AKIN_ERR_FORMAT, "\"minn\" is -3"},
    {ARGUMENTS + 40, -3, AKIN_ERR_FORMAT, "\"maxn\" is -3"},
    {DICTIONARY, -1, AKIN_ERR_FORMAT, "\"size\" is -1"},
    {DICTIONARY, 1 << 30, AKIN_ERR_FORMAT, "ends within its words"},
    {DICTIONARY + 4, 6, AKIN_ERR_FORMAT, "\"nwords\" is 6"},
    {DICTIONARY + 24, 0x100, AKIN_ERR_FORMAT, ""}, /* beyond the fields: into the first word */
    {MATRIX, 1, AKIN_ERR_UNSUPPORTED, "quantised"},
    {MATRIX + 1, 13, AKIN_ERR_FORMAT, ""},
    {MATRIX + 1, 200, AKIN_ERR_FORMAT, "ends within its matrix"},
    {MATRIX + 5, 1 << 30, AKIN_ERR_FORMAT, "ends within its matrix"},
    {MATRIX + 9, 2, AKIN_ERR_FORMAT, "the matrix's width"},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        ak_fasttext *model;
        akin_error error = {0};
        char *copy = ak_alloc(tiny.size);
        memcpy(copy, tiny.data, tiny.size);
        memcpy(copy + broken[i].place, &broken[i].value, 4);
        akin_status status = ak_fasttext_parse(&model, copy, tiny.size, "x.bin", &error);
        bool any = !*broken[i].told; /* where only not crashing matters */
        if (!any && (status != broken[i].status || !strstr(error.message, broken[i].told)))
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
        if (status)
            assert_true(!model && strstr(error.message, "x.bin"));
        ak_fasttext_free(model);
        ak_free(copy);
    }
}

static void test_cut_short(void **state)
{
    (void)state;
    size_t needed = MATRIX + 17 + 12 * FASTTEXT_DIM * sizeof(float);
    for (size_t size = 0; size < tiny.size; size++) {
        ak_fasttext *model;
        char *copy = ak_alloc(size);
        memcpy(copy, tiny.data, size);
        akin_status status = ak_fasttext_parse(&model, copy, size, "x.bin", NULL);
        assert_int_equal(status, size < needed ? AKIN_ERR_FORMAT : AKIN_OK);
        ak_fasttext_free(model);
        ak_free(copy);
    }
}

static void test_pruned(void **state)
{
    (void)state;
    ak_fasttext *model;
    akin_error error = {0};
    int64_t pruned = 3;
    float out[FASTTEXT_DIM];
    char *copy = ak_alloc(tiny.size);
    memcpy(copy, tiny.data, tiny.size);
    memcpy(copy + DICTIONARY + 20, &pruned, sizeof pruned);
    assert_int_equal(ak_fasttext_parse(&model, copy, tiny.size, "x.bin", &error),
                     AKIN_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "pruned"));
    pruned = 0; /* every n-gram is gone */
    memcpy(copy + DICTIONARY + 20, &pruned, sizeof pruned);
    assert_ok(ak_fasttext_parse(&model, copy, tiny.size, "x.bin", told));
    assert_false(ak_fasttext_word(model, "cats", 4, out));
    ak_fasttext_free(model);
    ak_free(copy);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        akin_status status;
        const char *told;
    } rows[] = {
        {"{}", AKIN_ERR_ARGUMENT, "needs \"path\""},
        {"{path: none.bin}", AKIN_ERR_IO, "none.bin"},
        {"{path: ., pooling: average}", AKIN_ERR_IO, ""},
        {"{path: x.bin, pooling: mean}", AKIN_ERR_ARGUMENT, "average"},
        {"{path: x.bin, trainable: true}", AKIN_ERR_ARGUMENT, "trainable"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_encoder *encoder;
        akin_error error = {0};
        akin_status status =
            akin_encoder_create(&encoder, context, "fasttext", rows[i].options, &error);
        if (status != rows[i].status || encoder || !strstr(error.message, rows[i].told))
            fail_msg("%s: %s: %s", rows[i].options, akin_status_name(status), error.message);
    }
}

static akin_status attempt(akin_error *error)
{
    ak_fasttext *model;
    akin_status status = ak_fasttext_parse(&model, tiny.data, tiny.size, "x.bin", error);
    ak_fasttext_free(model);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    akin_status status = AKIN_ERR_MEMORY;
    for (int64_t n = 1; status == AKIN_ERR_MEMORY && n < 100; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        status = attempt(&error);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || error.status == AKIN_ERR_MEMORY);
    }
    assert_int_equal(status, AKIN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),         cmocka_unit_test(test_poolings),
        cmocka_unit_test(test_unknown_words), cmocka_unit_test(test_saved),
        cmocka_unit_test(test_broken),        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_pruned),        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
