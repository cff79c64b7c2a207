/* The static encoder: vectors as sentence-transformers makes them (tests/data/static/make.py),
   gradients through the unit length, training, saved folders and broken ones. */
#include "data_files.h"

#include <math.h>

#include "base/safetensors.h"
#include "model/model.h"
#include "model/static_folder.h"
#include "train/recipe.h"

#include "data/static/golden.h"

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

static char *data_folder(const char *name)
{
    const char *folder = getenv("AKIN_TEST_DATA");
    assert_non_null(folder);
    return ak_format("%s/static/%s", folder, name);
}

static akin_encoder *make(const char *name, const char *more)
{
    char options[512], *path = data_folder(name);
    akin_encoder *encoder;
    snprintf(options, sizeof options, "{path: %s%s}", path, more);
    ak_free(path);
    assert_ok(akin_encoder_create(&encoder, context, "static", options, told));
    return encoder;
}

static akin_model *model_of(const char *name, const char *more)
{
    akin_named_encoder named = {"text", make(name, more)};
    akin_model *model;
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    return model;
}

static void encode(const akin_model *model, float *out)
{
    akin_object texts[STATIC_TEXTS];
    for (int i = 0; i < STATIC_TEXTS; i++)
        texts[i] = akin_text(static_texts[i]);
    assert_int_equal(akin_model_dim(model), STATIC_DIM);
    assert_ok(akin_model_encode(model, texts, STATIC_TEXTS, out, told));
}

static void check(const akin_model *model, const double expected[STATIC_TEXTS][STATIC_DIM])
{
    float out[STATIC_TEXTS * STATIC_DIM];
    encode(model, out);
    for (int i = 0; i < STATIC_TEXTS * STATIC_DIM; i++)
        if (fabs((double)out[i] - expected[i / STATIC_DIM][i % STATIC_DIM]) > 1e-6)
            fail_msg("\"%s\": number %d is %f, expected %f", static_texts[i / STATIC_DIM],
                     i % STATIC_DIM, (double)out[i], expected[i / STATIC_DIM][i % STATIC_DIM]);
}

static void test_vectors(void **state)
{
    (void)state;
    akin_model *model = model_of("sentence", "");
    check(model, static_sentence);
    akin_model_free(model);
    model = model_of("model2vec", "");
    check(model, static_model2vec);
    akin_model_free(model);
}

/* A folder of sentence-transformers is a model without further words. */
static void test_plain_folder(void **state)
{
    (void)state;
    char *path = data_folder("sentence");
    akin_model *model, *made = model_of("sentence", "");
    ak_hash a, b;
    assert_ok(akin_model_load(&model, context, path, AKIN_AS_SAVED, told));
    check(model, static_sentence);
    assert_ok(akin_model_fingerprint(model, &a, told));
    assert_ok(akin_model_fingerprint(made, &b, told));
    assert_true(ak_hash_equal(a, b));
    akin_model_free(model);
    akin_model_free(made);
    ak_free(path);
}

static void test_unknown_tokens(void **state)
{
    (void)state;
    akin_model *model = model_of("sentence", ", skip_unknown: true, field: t"), *all;
    akin_object objects[] = {akin_text("{\"t\": \"red zebra cat\"}"),
                             akin_text("{\"t\": \"zebra\"}"), akin_text("{\"t\": \"red cat\"}")};
    float out[3 * STATIC_DIM];
    ak_hash a, b;
    assert_ok(akin_model_encode(model, objects, 3, out, told));
    assert_memory_equal(out, out + 2 * STATIC_DIM, STATIC_DIM * sizeof(float));
    for (int j = 0; j < STATIC_DIM; j++)
        assert_true(out[STATIC_DIM + j] == 0);
    all = model_of("sentence", ", field: t");
    assert_ok(akin_model_fingerprint(model, &a, told));
    assert_ok(akin_model_fingerprint(all, &b, told));
    assert_false(ak_hash_equal(a, b));
    akin_model_free(model);
    akin_model_free(all);
}

/* d Σ w·y / d table against central differences. */
static void check_gradients(const char *name)
{
    akin_encoder *encoder = make(name, ", trainable: true");
    akin_parameters *parameters = ak_encoder_parameters(encoder);
    akin_parameter *table = akin_parameters_get(parameters, 0);
    akin_pass pass = {.size = sizeof pass, .training = true};
    akin_object texts[STATIC_TEXTS];
    void *batch, *record;
    assert_ok(ak_arena_create(&pass.arena, told));
    assert_ok(ak_parameters_train(parameters, told));
    akin_matrix y = ak_matrix_new(pass.arena, STATIC_TEXTS, STATIC_DIM),
                w = ak_matrix_new(pass.arena, STATIC_TEXTS, STATIC_DIM);
    for (int i = 0; i < STATIC_TEXTS * STATIC_DIM; i++)
        w.data[i] = (float)ak_random_normal(1, 1, (uint64_t)i);
    for (int i = 0; i < STATIC_TEXTS; i++)
        texts[i] = akin_text(static_texts[i]);
    assert_ok(encoder->type->collate(encoder->self, texts, STATIC_TEXTS, pass.arena, &batch, told));
    assert_ok(encoder->type->forward(encoder->self, &pass, batch, y, &record, told));
    assert_ok(encoder->type->backward(encoder->self, &pass, batch, record, w, told));
    int64_t count, size = table->rows * table->columns;
    double *grads = calloc((size_t)size, sizeof *grads);
    const ak_touched *touched = ak_parameters_touched(parameters, &count);
    assert_true(count > 4 && count < table->rows);
    for (int64_t t = 0; t < count; t++)
        for (int j = 0; j < STATIC_DIM; j++)
            grads[touched[t].row * STATIC_DIM + j] =
                (double)ak_parameters_grads(parameters)[touched[t].grad + j];
    for (int64_t k = 0; k < size; k++) {
        double sums[2] = {0, 0};
        float kept = table->value[k], step = 1.0f / 256;
        for (int side = 0; side < 2; side++) {
            table->value[k] = side ? kept + step : kept - step;
            assert_ok(encoder->type->forward(encoder->self, &pass, batch, y, &record, told));
            for (int i = 0; i < STATIC_TEXTS * STATIC_DIM; i++)
                sums[side] += (double)w.data[i] * (double)y.data[i];
        }
        table->value[k] = kept;
        assert_true(fabs((sums[1] - sums[0]) / (2.0 * (double)step) - grads[k]) < 1e-3);
    }
    free(grads);
    ak_arena_free(pass.arena);
    akin_encoder_free(encoder);
}

static void test_gradients(void **state)
{
    (void)state;
    check_gradients("sentence");
    check_gradients("model2vec");
}

/* ---- a run, and what it saves ---- */

static akin_model *train(akin_fit_summary *summary)
{
    char text[2048], *path = data_folder("model2vec");
    akin_recipe *recipe;
    akin_loader *training, *validation;
    akin_model *model;
    write_text("p.jsonl", "{\"a\": \"red\", \"b\": \"cat\"}\n{\"a\": \"blue\", \"b\": \"dog\"}\n"
                          "{\"a\": \"the\", \"b\": \"a\"}\n");
    snprintf(text, sizeof text,
             "data: {train: p.jsonl, validation: p.jsonl}\n"
             "encoders: {text: {type: static, path: %s, trainable: true}}\n"
             "head: {type: empty}\ntrain: {batch_size: 3, epochs: 6}\noptimizer: {lr: 0.05}\n",
             path);
    ak_free(path);
    write_text("r.yaml", text);
    assert_ok(akin_recipe_open(&recipe, context, test_path("r.yaml"), NULL, 0, told));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    assert_ok(akin_recipe_loaders(recipe, &training, &validation, told));
    assert_ok(akin_fit(&model, context, &trainable, &trainer, training, validation, summary, told));
    akin_recipe_free(recipe);
    return model;
}

static void test_trained_and_saved(void **state)
{
    (void)state;
    akin_fit_summary summary;
    akin_model *model = train(&summary), *loaded, *plain;
    float before[STATIC_TEXTS * STATIC_DIM], after[STATIC_TEXTS * STATIC_DIM];
    ak_hash a, b;
    assert_true(summary.best_epoch > 0 && summary.best_value < 0.8 * summary.base_value);
    encode(model, before);
    assert_ok(akin_model_fingerprint(model, &a, told));
    assert_ok(akin_model_save(model, test_path("model"), true, told));
    akin_model_free(model);
    assert_ok(akin_model_load(&loaded, context, test_path("model"), AKIN_AS_SAVED, told));
    encode(loaded, after);
    assert_ok(akin_model_fingerprint(loaded, &b, told));
    assert_memory_equal(before, after, sizeof before);
    assert_true(ak_hash_equal(a, b));
    akin_model_free(loaded);
    /* What is in the directory is a folder of sentence-transformers by itself. */
    assert_ok(
        akin_model_load(&plain, context, test_path("model/encoders/text"), AKIN_AS_SAVED, told));
    encode(plain, after);
    assert_memory_equal(before, after, sizeof before);
    akin_model_free(plain);
}

/* Other programs would cut texts where tokenizer.json says so; akin never does. */
static void test_saved_without_limits(void **state)
{
    (void)state;
    ak_value *root;
    akin_arena *arena;
    akin_model *model = model_of("sentence", ""), *limited, *saved;
    ak_hash a, b;
    assert_ok(ak_arena_create(&arena, told));
    assert_ok(akin_model_save(model, test_path("free"), true, told));
    char *path = ak_strdup(test_path("free/encoders/text/0_StaticEmbedding/tokenizer.json"));
    assert_ok(ak_json_read(&root, arena, path, told));
    ak_value *cut = (ak_value *)ak_value_get(root, "truncation");
    if (!cut)
        cut = ak_value_add(arena, root, "truncation", AK_NULL);
    *cut = (ak_value){.kind = AK_INT, .key = cut->key, .next = cut->next, .integer = 2};
    char *text = ak_json_write(root, 0);
    assert_ok(ak_file_write(path, text, strlen(text), told));
    assert_ok(akin_model_load(&limited, context, test_path("free"), AKIN_AS_SAVED, told));
    assert_ok(akin_model_save(limited, test_path("saved"), true, told));
    ak_free(path);
    path = ak_strdup(test_path("saved/encoders/text/0_StaticEmbedding/tokenizer.json"));
    assert_ok(ak_json_read(&root, arena, path, told));
    assert_true(ak_value_get(root, "truncation")->kind == AK_NULL);
    assert_ok(akin_model_load(&saved, context, test_path("saved"), AKIN_AS_SAVED, told));
    assert_ok(akin_model_fingerprint(model, &a, told));
    assert_ok(akin_model_fingerprint(saved, &b, told));
    assert_true(ak_hash_equal(a, b));
    ak_free(text);
    ak_free(path);
    akin_model_free(saved);
    akin_model_free(limited);
    akin_model_free(model);
    ak_arena_free(arena);
}

/* ---- mistakes and memory ---- */

static void copy_folder(const char *name)
{
    char *from = data_folder(name);
    ak_remove_tree(test_path("folder"));
    assert_ok(ak_copy_folder(from, test_path("folder"), told));
    ak_free(from);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *file, *text; /* text NULL: the file is removed */
        akin_status status;
        const char *told;
    } rows[] = {
        {"sentence", "modules.json", "{}", AKIN_ERR_UNSUPPORTED, "expected a StaticEmbedding"},
        {"sentence", "modules.json", "[]", AKIN_ERR_UNSUPPORTED, "expected a StaticEmbedding"},
        {"sentence", "modules.json", "[", AKIN_ERR_FORMAT, "modules.json"},
        {"sentence", "modules.json", "[{\"path\": \"\", \"type\": \"x.Transformer\"}]",
         AKIN_ERR_UNSUPPORTED, "is \"x.Transformer\""},
        {"sentence", "modules.json",
         "[{\"path\": \"\", \"type\": \"x.StaticEmbedding\"}, {\"path\": \"\", \"type\": "
         "\"x.Dense\"}]",
         AKIN_ERR_UNSUPPORTED, "the module \"x.Dense\""},
        {"sentence", "tokenizer.json", NULL, AKIN_ERR_IO, "tokenizer.json"},
        {"sentence", "model.safetensors", NULL, AKIN_ERR_IO, "model.safetensors"},
        {"sentence", "model.safetensors", "xx", AKIN_ERR_FORMAT, "model.safetensors"},
        {"model2vec", "config.json", "[", AKIN_ERR_FORMAT, "config.json"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char options[256], name[64];
        akin_encoder *encoder;
        akin_error error = {0};
        copy_folder(rows[i].folder);
        snprintf(name, sizeof name, "folder/%s", rows[i].file);
        if (rows[i].text)
            write_text(name, rows[i].text);
        else
            unlink(test_path(name));
        snprintf(options, sizeof options, "{path: %s}", test_path("folder"));
        akin_status status = akin_encoder_create(&encoder, context, "static", options, &error);
        if (status != rows[i].status || encoder || !strstr(error.message, rows[i].told))
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
    akin_encoder *encoder;
    akin_error error = {0};
    assert_int_equal(akin_encoder_create(&encoder, context, "static", NULL, &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "\"ngrams\""));
    assert_int_equal(akin_encoder_create(&encoder, context, "static", "{path: nowhere}", &error),
                     AKIN_ERR_IO);
}

static void test_bad_tables(void **state)
{
    (void)state;
    static const float values[40] = {0};
    static const float poisoned[39] = {[38] = NAN};
    static const int64_t beyond[13] = {0, 0, 0, 9};
    static const ak_tensor table = {
        .name = "embeddings", .dtype = AK_DTYPE_F32, .rank = 2, .shape = {5, 3}, .data = values};
    static const struct {
        ak_tensor tensors[2];
        int count;
        const char *told;
    } rows[] = {
        {{{.name = "other", .dtype = AK_DTYPE_F32, .rank = 1, .shape = {3}, .data = values}},
         1,
         "embedding.weight"},
        {{{.name = "embeddings", .dtype = AK_DTYPE_F32, .rank = 1, .shape = {3}, .data = values}},
         1,
         "embeddings"},
        {{{.name = "embeddings", .dtype = AK_DTYPE_I8, .rank = 2, .shape = {5, 3}, .data = values}},
         1,
         "is I8"},
        {{{.name = "embeddings",
           .dtype = AK_DTYPE_F32,
           .rank = 2,
           .shape = {5, 3},
           .data = values}},
         1,
         "5 rows for the 13 tokens"},
        {{{.name = "embeddings",
           .dtype = AK_DTYPE_F32,
           .rank = 2,
           .shape = {13, 3},
           .data = poisoned}},
         1,
         "\"embeddings\" holds nan (its number 38)"},
        {{{.name = "mapping", .dtype = AK_DTYPE_I64, .rank = 1, .shape = {13}, .data = beyond}},
         2,
         "\"mapping\" of token 3 is no row"},
        {{{.name = "mapping", .dtype = AK_DTYPE_F32, .rank = 1, .shape = {13}, .data = values}},
         2,
         "\"mapping\" is F32"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char options[256];
        akin_encoder *encoder;
        akin_error error = {0};
        ak_tensor tensors[2] = {rows[i].tensors[0], table};
        copy_folder("model2vec");
        assert_ok(ak_safetensors_write(test_path("folder/model.safetensors"), tensors,
                                       rows[i].count, NULL, told));
        snprintf(options, sizeof options, "{path: %s}", test_path("folder"));
        akin_status status = akin_encoder_create(&encoder, context, "static", options, &error);
        if (!status || !strstr(error.message, rows[i].told))
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
}

static akin_status attempt(const char *options, akin_error *error)
{
    akin_encoder *encoder;
    akin_object object = akin_text("the red cats");
    akin_pass pass = {.size = sizeof pass, .training = true};
    void *batch, *record;
    float out[STATIC_DIM];
    akin_matrix y = ak_matrix(out, 1, STATIC_DIM);
    akin_status status = akin_encoder_create(&encoder, context, "static", options, error);
    if (!status)
        status = ak_parameters_train(ak_encoder_parameters(encoder), error);
    if (!status)
        status = ak_arena_create(&pass.arena, error);
    if (!status)
        status = encoder->type->collate(encoder->self, &object, 1, pass.arena, &batch, error);
    if (!status)
        status = encoder->type->forward(encoder->self, &pass, batch, y, &record, error);
    if (!status)
        status = encoder->type->backward(encoder->self, &pass, batch, record, y, error);
    ak_arena_free(pass.arena);
    akin_encoder_free(encoder);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    char options[512], *path = data_folder("sentence");
    akin_status status = AKIN_ERR_MEMORY;
    snprintf(options, sizeof options, "{path: %s, trainable: true}", path);
    ak_free(path);
    for (int64_t n = 1; status == AKIN_ERR_MEMORY && n < 2000; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        status = attempt(options, &error);
        ak_memory_fail_at(0);
        if (status && (status != AKIN_ERR_MEMORY || error.status != status))
            fail_msg("allocation %d: %s: %s", (int)n, akin_status_name(status), error.message);
    }
    assert_int_equal(status, AKIN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_plain_folder),
        cmocka_unit_test(test_unknown_tokens),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_trained_and_saved),
        cmocka_unit_test(test_saved_without_limits),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
