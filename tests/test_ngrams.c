/* The ngrams encoder: features against a plain reference, vectors against the mean of rows,
   gradients against differences, and runs: one that learns from nothing, one that is resumed, one
   beside another encoder. */
#include "data_files.h"

#include <math.h>
#include <omp.h>

#include "text/ngrams.h"
#include "base/safetensors.h"
#include "train/recipe.h"

static akin_context *context;

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, NULL, NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return remove_test_folder(state);
}

/* ---- features, by a reference that only knows lists of texts ---- */

static uint64_t plain_hash(const char *text, uint64_t basis)
{
    uint64_t hash = basis;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return hash;
}

static int32_t plain_row(uint64_t hash, int32_t buckets)
{
    hash ^= hash >> 33;
    hash *= 0xFF51AFD7ED558CCDu;
    hash ^= hash >> 33;
    return (int32_t)((hash & 0xFFFFFFFFu) * (uint64_t)buckets >> 32);
}

#define WORDS (0xCBF29CE484222325u ^ 0x9E3779B97F4A7C15u)
#define CHARACTERS 0xCBF29CE484222325u

/* words: "a b" is a run of two; texts end with NULL */
typedef struct feature_row {
    const char *text;
    int word_ngrams, min_n, max_n;
    const char *words[8], *characters[16];
} feature_row;

static const feature_row features[] = {
    {"", 1, 3, 4, {NULL}, {NULL}},
    {" \t\n ", 2, 3, 4, {NULL}, {NULL}},
    {"cat", 1, 3, 4, {"cat"}, {"<ca", "<cat", "cat", "cat>", "at>"}},
    {"cat", 1, 3, 5, {"cat"}, {"<ca", "<cat", "cat", "cat>", "at>"}}, /* "<cat>" is the word */
    {"cat", 1, 4, 4, {"cat"}, {"<cat", "cat>"}},
    {"cat", 1, 3, 0, {"cat"}, {NULL}},
    {"a", 1, 3, 4, {"a"}, {NULL}},
    {"CAT", 1, 4, 4, {"cat"}, {"<cat", "cat>"}},
    {"b\xC3\xA9"
     "b",
     1,
     4,
     4,
     {"beb"},
     {"<beb", "beb>"}}, /* accents go */
    {"\xD0\x94\xD0\xB0", 1, 3, 3, {"\xD0\xB4\xD0\xB0"}, {"<\xD0\xB4\xD0\xB0", "\xD0\xB4\xD0\xB0>"}},
    {"no, a b", 2, 4, 4, {"no", ",", "no ,", "a", ", a", "b", "a b"}, {NULL}}, /* "<no>": the word
                                                                                */
    {"x y z", 3, 3, 0, {"x", "y", "x y", "z", "y z", "x y z"}, {NULL}},
    {"\xE4\xBD\xA0\xE5\xA5\xBD", 1, 3, 3, {"\xE4\xBD\xA0", "\xE5\xA5\xBD"}, {NULL}},
    {"a\xFF", 1, 9, 9, {"a"}, {NULL}}, /* U+FFFD is dropped */
};

static uint64_t words_hash(const char *run)
{
    char words[8][32], text[128];
    int count = 0;
    snprintf(text, sizeof text, "%s", run);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        snprintf(words[count++], sizeof words[0], "%s", word);
    uint64_t hash = plain_hash(words[count - 1], WORDS);
    for (int i = count - 2; i >= 0; i--)
        hash = hash * 0x100000001B3u + plain_hash(words[i], WORDS);
    return hash;
}

static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void test_features(void **state)
{
    (void)state;
    enum { BUCKETS = 1000003 };
    akin_arena *arena;
    assert_ok(ak_arena_create(&arena, told));
    for (size_t k = 0; k < sizeof features / sizeof *features; k++) {
        const feature_row *f = &features[k];
        static ak_ngrams splitter;
        ak_rows rows = {NULL, 0, 0};
        int32_t expected[32];
        int64_t count = 0;
        ak_ngrams_prepare(&splitter, BUCKETS, f->word_ngrams, f->min_n, f->max_n, true);
        assert_ok(ak_ngrams_add(&splitter, f->text, strlen(f->text), &rows, arena, told));
        for (int i = 0; f->words[i]; i++)
            expected[count++] = plain_row(words_hash(f->words[i]), BUCKETS);
        for (int i = 0; f->characters[i]; i++)
            expected[count++] = plain_row(plain_hash(f->characters[i], CHARACTERS), BUCKETS);
        if (rows.count != count)
            fail_msg("\"%s\": %d features, expected %d", f->text, (int)rows.count, (int)count);
        qsort(expected, (size_t)count, sizeof *expected, by_value);
        if (count)
            qsort(rows.items, (size_t)count, sizeof *rows.items, by_value);
        for (int64_t i = 0; i < count; i++)
            if (rows.items[i] != expected[i])
                fail_msg("\"%s\": other features", f->text);
    }
    ak_arena_free(arena);
}

static void test_rows_in_range(void **state)
{
    (void)state;
    static ak_ngrams splitter;
    akin_arena *arena;
    char text[4096];
    ak_rows rows = {NULL, 0, 0};
    assert_ok(ak_arena_create(&arena, told));
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)ak_random_below(1, 1, i, 256);
    for (int32_t buckets = 1; buckets < 100; buckets += 7) {
        rows.count = 0;
        ak_ngrams_prepare(&splitter, buckets, 3, 1, 6, buckets % 2);
        assert_ok(ak_ngrams_add(&splitter, text, sizeof text, &rows, arena, told));
        assert_true(rows.count > 1000);
        for (int64_t i = 0; i < rows.count; i++)
            assert_in_range(rows.items[i], 0, buckets - 1);
    }
    ak_arena_free(arena);
}

/* ---- vectors ---- */

static const char *const texts[] = {
    "a small red cat",     "the red cat sleeps", "",
    "blue bird, blue sky", "{\"t\": 1}",         "a small red cat",
};
enum { TEXTS = sizeof texts / sizeof *texts };

static akin_encoder *make(const char *options)
{
    akin_encoder *encoder;
    assert_ok(akin_encoder_create(&encoder, context, "ngrams", options, told));
    return encoder;
}

static akin_matrix encode(const akin_encoder *encoder, akin_arena *arena, void **batch)
{
    akin_object objects[TEXTS];
    akin_matrix y = ak_matrix_new(arena, TEXTS, akin_encoder_dim(encoder));
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true};
    void *record;
    for (int i = 0; i < TEXTS; i++)
        objects[i] = akin_text(texts[i]);
    assert_ok(encoder->type->collate(encoder->self, objects, TEXTS, arena, batch, told));
    assert_ok(encoder->type->forward(encoder->self, &pass, *batch, y, &record, told));
    return y;
}

/* What is served and what is trained are the same bits, the mean of the rows. */
static void test_vectors(void **state)
{
    (void)state;
    akin_arena *arena;
    void *batch;
    static ak_ngrams splitter;
    akin_encoder *encoder = make("{dim: 19, buckets: 500}");
    akin_parameters *parameters = ak_encoder_parameters(encoder);
    const float *table = akin_parameters_get(parameters, 0)->value;
    assert_ok(ak_arena_create(&arena, told));
    akin_matrix served = encode(encoder, arena, &batch);
    assert_ok(ak_parameters_train(parameters, told));
    akin_matrix trained = encode(encoder, arena, &batch);
    assert_memory_equal(served.data, trained.data, TEXTS * 19 * sizeof(float));
    assert_memory_equal(served.data, served.data + 5 * 19, 19 * sizeof(float));
    ak_ngrams_prepare(&splitter, 500, 1, 4, 4, true);
    for (int i = 0; i < TEXTS; i++) {
        ak_rows rows = {NULL, 0, 0};
        assert_ok(ak_ngrams_add(&splitter, texts[i], strlen(texts[i]), &rows, arena, told));
        for (int j = 0; j < 19; j++) {
            double sum = 0;
            for (int64_t k = 0; k < rows.count; k++)
                sum += (double)table[rows.items[k] * 19 + j];
            double mean = rows.count ? sum / (double)rows.count : 0;
            assert_true(fabs((double)served.data[i * 19 + j] - mean) < 1e-6);
        }
    }
    ak_arena_free(arena);
    akin_encoder_free(encoder);
}

/* d Σ w·y / d table, against differences; linear, so they are exact but for rounding. */
static void test_gradients(void **state)
{
    (void)state;
    enum { D = 5, BUCKETS = 30 };
    akin_arena *arena;
    void *batch;
    akin_encoder *encoder = make("{dim: 5, buckets: 30, word_ngrams: 2, min_n: 2}");
    akin_parameters *parameters = ak_encoder_parameters(encoder);
    float *table = akin_parameters_get(parameters, 0)->value;
    assert_ok(ak_arena_create(&arena, told));
    assert_ok(ak_parameters_train(parameters, told));
    (void)encode(encoder, arena, &batch);
    akin_matrix w = ak_matrix_new(arena, TEXTS, D);
    for (int i = 0; i < TEXTS * D; i++)
        w.data[i] = (float)ak_random_normal(1, 1, (uint64_t)i);
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true};
    assert_ok(encoder->type->backward(encoder->self, &pass, batch, NULL, w, told));
    double grads[BUCKETS * D] = {0};
    int64_t count;
    const ak_touched *touched = ak_parameters_touched(parameters, &count);
    for (int64_t t = 0; t < count; t++)
        for (int j = 0; j < D; j++)
            grads[touched[t].row * D + j] =
                (double)ak_parameters_grads(parameters)[touched[t].grad + j];
    for (int k = 0; k < BUCKETS * D; k++) {
        double sums[2];
        float kept = table[k];
        for (int side = 0; side < 2; side++) {
            table[k] = kept + (side ? 0.5f : -0.5f);
            akin_matrix y = encode(encoder, arena, &batch);
            sums[side] = 0;
            for (int i = 0; i < TEXTS * D; i++)
                sums[side] += (double)w.data[i] * (double)y.data[i];
        }
        table[k] = kept;
        assert_true(fabs(sums[1] - sums[0] - grads[k]) < 1e-5);
    }
    ak_arena_free(arena);
    akin_encoder_free(encoder);
}

/* ---- runs ---- */

/* Pairs that share no word: question i and answer i have words of their own topic, one of 12. */
static void write_pairs(const char *name)
{
    char *text = malloc(1 << 20);
    size_t used = 0;
    for (int i = 0; i < 360; i++) {
        int topic = i % 12;
        unsigned own = (unsigned)ak_random_below(5, 1, (uint64_t)i, 1000);
        used += (size_t)sprintf(
            text + used, "{\"a\": \"%c%c%c%c q%u zz%d\", \"b\": \"%c%c%c%c r%u\", \"v\": 1}\n",
            'a' + topic, 'q', 'd' + topic, 'x', own, i % 5, 'b' + topic, 'w', 'm', 'c' + topic,
            own + 1000);
    }
    write_text(name, text);
    free(text);
}

#define RECIPE                                                                                     \
    "data: {train: p.jsonl}\nencoders: {t: {type: ngrams, dim: 32, buckets: 2000}}\n"              \
    "head: {type: empty}\ntrain: {batch_size: 24, epochs: 4}\noptimizer: {lr: 0.01}\n"

typedef struct outcome {
    akin_status status;
    akin_fit_summary summary;
    ak_hash fingerprint;
    akin_model *model; /* the caller's */
} outcome;

static volatile int interrupt;
static int64_t interrupt_at;

static void on_step(void *user, akin_training *training)
{
    (void)user;
    if (akin_training_step(training) == interrupt_at)
        interrupt = 1;
}

static outcome run(const char *recipe_text, bool checkpoint, bool resume)
{
    akin_recipe *recipe;
    akin_loader *train, *validation;
    akin_error error = {0};
    outcome out = {0};
    write_text("r.yaml", recipe_text);
    assert_ok(akin_recipe_open(&recipe, context, test_path("r.yaml"), NULL, 0, told));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    char folder[256];
    snprintf(folder, sizeof folder, "%s/checkpoint", test_folder);
    trainer.checkpoint = checkpoint ? folder : NULL;
    trainer.resume = resume;
    akin_callback callback = {.size = sizeof callback, .on_step_end = on_step};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    assert_ok(akin_recipe_loaders(recipe, &train, &validation, told));
    out.status = akin_fit(&out.model, context, &trainable, &trainer, train, validation,
                          &out.summary, &error);
    if (out.status && out.status != AKIN_ERR_INTERRUPTED)
        fail_msg("%s", error.message);
    if (!out.status)
        assert_ok(akin_model_fingerprint(out.model, &out.fingerprint, told));
    akin_recipe_free(recipe);
    return out;
}

static void test_learns(void **state)
{
    (void)state;
    write_pairs("p.jsonl");
    outcome out = run(RECIPE, false, false);
    assert_true(out.summary.best_epoch > 0);
    assert_true(out.summary.best_value < 0.7 * out.summary.base_value);

    /* Saved and loaded it is the same space, and gives the same bits. */
    akin_model *loaded;
    akin_object object = akin_text("aqdx q5");
    ak_hash again;
    float before[32], after[32];
    assert_ok(akin_model_encode(out.model, &object, 1, before, told));
    assert_ok(akin_model_save(out.model, test_path("model"), true, told));
    akin_model_free(out.model);
    assert_ok(akin_model_load(&loaded, context, test_path("model"), AKIN_AS_SAVED, told));
    assert_ok(akin_model_encode(loaded, &object, 1, after, told));
    assert_ok(akin_model_fingerprint(loaded, &again, told));
    assert_memory_equal(before, after, sizeof before);
    assert_true(ak_hash_equal(out.fingerprint, again));
    akin_model_free(loaded);
}

/* The base of a fresh encoder is its random table: a run that only makes worse gives that back. */
static void test_falls_back(void **state)
{
    (void)state;
    write_pairs("p.jsonl");
    akin_model *fresh;
    akin_named_encoder named = {"t", make("{dim: 32, buckets: 2000, seed: 42}")};
    ak_hash base;
    assert_ok(akin_model_create(&fresh, context, &named, 1, NULL, told));
    assert_ok(akin_model_fingerprint(fresh, &base, told));
    akin_model_free(fresh);
    outcome out = run(RECIPE, false, false);
    akin_model_free(out.model);
    assert_false(ak_hash_equal(out.fingerprint, base));
    out = run("data: {train: p.jsonl}\nencoders: {t: {type: ngrams, dim: 32, buckets: 2000}}\n"
              "head: {type: empty}\ntrain: {batch_size: 24, epochs: 2}\n"
              "optimizer: {type: sgd, lr: 100000}\n",
              false, false);
    assert_int_equal(out.summary.best_epoch, 0);
    assert_true(ak_hash_equal(out.fingerprint, base));
    akin_model_free(out.model);
}

static void test_threads(void **state)
{
    (void)state;
    int threads = omp_get_max_threads();
    ak_hash first = {0};
    write_pairs("p.jsonl");
    for (int k = 0; k < 3; k++) {
        omp_set_num_threads(k + 1);
        outcome out = run(k == 2 ? RECIPE "cache: false\n" : RECIPE, false, false);
        first = k ? first : out.fingerprint;
        assert_true(ak_hash_equal(first, out.fingerprint));
        akin_model_free(out.model);
    }
    omp_set_num_threads(threads);
}

static void test_resumed(void **state)
{
    (void)state;
    write_pairs("p.jsonl");
    outcome whole = run(RECIPE, false, false);
    akin_model_free(whole.model);
    interrupt = 0;
    interrupt_at = 20; /* the second epoch's sixth step */
    akin_context_on_interrupt(context, &interrupt);
    outcome part = run(RECIPE, true, false);
    assert_int_equal(part.status, AKIN_ERR_INTERRUPTED);
    akin_model_free(part.model);
    interrupt = 0;
    interrupt_at = 0;
    part = run(RECIPE, true, true);
    akin_context_on_interrupt(context, NULL);
    assert_int_equal(part.status, AKIN_OK);
    assert_true(ak_hash_equal(part.fingerprint, whole.fingerprint));
    akin_model_free(part.model);
}

/* A trainable encoder beside a frozen one, each with its field; and both frozen under a head. */
static void test_mixed(void **state)
{
    (void)state;
    char text[8192];
    size_t used = 0;
    for (int i = 0; i < 60; i++)
        used += (size_t)sprintf(text + used,
                                "{\"title\": \"t%d word%d\", \"v\": [%d, 1, %d.5], "
                                "\"group\": %d}\n",
                                i % 6, i, i % 6, i, i % 6);
    write_text("g.jsonl", text);
    static const char *const trainable[] = {"true", "false"};
    for (int k = 0; k < 2; k++) {
        char recipe[1024];
        snprintf(recipe, sizeof recipe,
                 "data: {train: g.jsonl, samples: groups}\n"
                 "encoders:\n"
                 "  title: {type: ngrams, dim: 16, buckets: 300, field: title, trainable: %s}\n"
                 "  numbers: {type: vectors, dim: 3, field: v}\n"
                 "loss: {type: triplet}\ntrain: {batch_size: 20, epochs: 2}\n",
                 trainable[k]);
        outcome out = run(recipe, false, false);
        assert_int_equal(akin_model_base_dim(out.model), 19);
        assert_int_equal(out.summary.encoded, k ? 120 : 60); /* trained ones are not kept */
        akin_object object = akin_text("{\"title\": \"t1 word1\", \"v\": [1, 1, 1.5]}");
        float base[19];
        assert_ok(akin_model_encode_base(out.model, &object, 1, base, told));
        assert_true(base[0] == 1 && base[1] == 1 && base[2] == 1.5f); /* "numbers" < "title" */
        akin_model *loaded;
        ak_hash again;
        assert_ok(akin_model_save(out.model, test_path("mixed"), true, told));
        akin_model_free(out.model);
        assert_ok(akin_model_load(&loaded, context, test_path("mixed"), AKIN_AS_SAVED, told));
        assert_ok(akin_model_fingerprint(loaded, &again, told));
        assert_true(ak_hash_equal(out.fingerprint, again));
        akin_model_free(loaded);
    }
}

/* ---- mistakes and memory ---- */

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *options, *told;
    } rows[] = {
        {"{min_n: 5, max_n: 4}", "\"max_n\" is 4, below \"min_n\""},
        {"{dim: 0}", "dim"},
        {"{buckets: 0}", "buckets"},
        {"{word_ngrams: 9}", "word_ngrams"},
        {"{bucket: 5}", "did you mean \"buckets\""},
        {"{trainable: maybe}", "trainable"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_encoder *encoder;
        akin_error error = {0};
        akin_status status =
            akin_encoder_create(&encoder, context, "ngrams", rows[i].options, &error);
        if (status != AKIN_ERR_ARGUMENT || encoder || !strstr(error.message, rows[i].told))
            fail_msg("%s: %s", rows[i].options, error.message);
    }
}

/* A saved table that is gone, cut short or of another shape. */
static void test_broken_table(void **state)
{
    (void)state;
    static const char *const said[] = {"table.safetensors", "table.safetensors", "[6, 4]"};
    for (int i = 0; i < 3; i++) {
        akin_named_encoder named = {"t", make("{dim: 4, buckets: 5}")};
        akin_model *model;
        akin_error error = {0};
        assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
        assert_ok(akin_model_save(model, test_path("model"), true, told));
        akin_model_free(model);
        const char *table = test_path("model/encoders/t/table.safetensors");
        const float values[24] = {0};
        ak_tensor other = {
            .name = "table", .dtype = AK_DTYPE_F32, .rank = 2, .shape = {6, 4}, .data = values};
        if (i == 0)
            unlink(table);
        else if (i == 1)
            assert_int_equal(truncate(table, 100), 0);
        else
            assert_ok(ak_safetensors_write(table, &other, 1, NULL, told));
        assert_int_not_equal(
            akin_model_load(&model, context, test_path("model"), AKIN_AS_SAVED, &error), AKIN_OK);
        if (!strstr(error.message, said[i]))
            fail_msg("%d: %s", i, error.message);
    }
}

static akin_status attempt(bool train, akin_error *error)
{
    akin_encoder *encoder;
    akin_object object = akin_text("some words");
    akin_pass pass = {.size = sizeof pass, .training = train};
    void *batch, *record;
    float out[4];
    akin_status status =
        akin_encoder_create(&encoder, context, "ngrams", "{dim: 4, buckets: 64}", error);
    if (!status && train)
        status = ak_parameters_train(ak_encoder_parameters(encoder), error);
    if (!status)
        status = ak_arena_create(&pass.arena, error);
    if (!status)
        status = encoder->type->collate(encoder->self, &object, 1, pass.arena, &batch, error);
    if (!status)
        status = encoder->type->forward(encoder->self, &pass, batch, ak_matrix(out, 1, 4), &record,
                                        error);
    if (!status && train)
        status = encoder->type->backward(encoder->self, &pass, batch, record, ak_matrix(out, 1, 4),
                                         error);
    ak_arena_free(pass.arena);
    akin_encoder_free(encoder);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    for (int train = 0; train < 2; train++) {
        akin_status status = AKIN_ERR_MEMORY;
        for (int64_t n = 1; status == AKIN_ERR_MEMORY && n < 1000; n++) {
            akin_error error = {0};
            ak_memory_fail_at(n);
            status = attempt(train, &error);
            ak_memory_fail_at(0);
            if (status && (status != AKIN_ERR_MEMORY || error.status != status))
                fail_msg("allocation %d: %s: %s", (int)n, akin_status_name(status), error.message);
        }
        assert_int_equal(status, AKIN_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features),     cmocka_unit_test(test_rows_in_range),
        cmocka_unit_test(test_vectors),      cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_learns),       cmocka_unit_test(test_falls_back),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_mixed),        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_broken_table), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
