/* LoRA adapters from a folder: merged they give the vectors and the files that training gave,
   training goes on from them, and what does not fit is told. */
#include "support.h"

#include "assert_ok.h"

#include "model/model.h"
#include "tiny_model.h"

#include <math.h>

enum { RANK = 3, TEXTS = 4, TENSORS = 4 };

static akin_context *context;

/* A pair of factors for the queries of layer 0 and one for the wide product of layer 1, as PEFT
   names them. */
typedef struct adapter {
    ak_tensor tensors[TENSORS];
    float values[TENSORS][TINY_WIDE * RANK];
} adapter;

static void make_adapter(adapter *a)
{
    static const struct {
        const char *name;
        int64_t rows, columns;
    } shapes[TENSORS] = {
        {"base_model.model.encoder.layer.0.attention.self.query.lora_A.weight", RANK, TINY_HIDDEN},
        {"base_model.model.encoder.layer.0.attention.self.query.lora_B.weight", TINY_HIDDEN, RANK},
        {"base_model.model.encoder.layer.1.intermediate.dense.lora_A.weight", RANK, TINY_HIDDEN},
        {"base_model.model.encoder.layer.1.intermediate.dense.lora_B.weight", TINY_WIDE, RANK},
    };
    for (int i = 0; i < TENSORS; i++) {
        int64_t count = shapes[i].rows * shapes[i].columns;
        for (int64_t j = 0; j < count; j++)
            a->values[i][j] = 0.3f * (float)ak_random_normal(5, (uint64_t)i, (uint64_t)j);
        a->tensors[i] = (ak_tensor){.name = shapes[i].name,
                                    .dtype = AK_DTYPE_F32,
                                    .rank = 2,
                                    .shape = {shapes[i].rows, shapes[i].columns},
                                    .count = count,
                                    .size = (size_t)count * sizeof(float),
                                    .data = a->values[i]};
    }
}

static void write_adapter(const adapter *a, int64_t count, const char *config)
{
    assert_ok(ak_make_folders(scratch_path("lora"), told));
    write_text(scratch_path("lora/adapter_config.json"), config);
    assert_ok(ak_safetensors_write(scratch_path("lora/adapter_model.safetensors"), a->tensors,
                                   count, NULL, told));
}

#define CONFIG "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"bias\": \"none\""

static int set_up(void **state)
{
    const tiny_options options = {.seed = 1, .dense = true, .normalize = true};
    if (scratch_make(state) || akin_context_create(&context, NULL))
        return -1;
    tiny_model(scratch_path("tiny"), &options);
    return akin_context_set_cache(context, NULL, NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return scratch_remove(state);
}

static akin_status try_encoder(akin_encoder **out, const char *more, akin_error *error)
{
    char options[600];
    snprintf(options, sizeof options, "{path: '%s', lora: '%s'%s}", scratch_path("tiny"),
             scratch_path("lora"), more);
    return akin_encoder_create(out, context, "transformer", options, error);
}

static akin_model *model_of(akin_encoder *encoder)
{
    akin_named_encoder named = {"text", encoder};
    akin_model *model;
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    return model;
}

static akin_model *adapted(const char *more)
{
    akin_encoder *encoder;
    assert_ok(try_encoder(&encoder, more, told));
    return model_of(encoder);
}

static void encode(const akin_model *model, float y[TEXTS * TINY_DENSE])
{
    const akin_object texts[TEXTS] = {akin_text(""), akin_text("the red cat"),
                                      akin_text("one two three four five six"), akin_text("a b")};
    assert_ok(akin_model_encode(model, texts, TEXTS, y, told));
}

static void assert_close(const float *a, const float *b, float tolerance)
{
    for (int i = 0; i < TEXTS * TINY_DENSE; i++)
        if (fabsf(a[i] - b[i]) > tolerance)
            fail_msg("number %d: %g, expected %g", i, (double)a[i], (double)b[i]);
}

static bool same_spaces(const akin_model *a, const akin_model *b)
{
    akin_hash x, y;
    assert_ok(akin_model_fingerprint(a, &x, told));
    assert_ok(akin_model_fingerprint(b, &y, told));
    return ak_hash_equal(x, y);
}

/* W + (alpha / rank) B A, put into the checkpoint by hand. */
static void write_sums(const adapter *a)
{
    static const char *const names[] = {"encoder.layer.0.attention.self.query.weight",
                                        "encoder.layer.1.intermediate.dense.weight"};
    char *base = ak_strdup(scratch_path("tiny/model.safetensors"));
    ak_safetensors *file;
    ak_tensor tensors[TINY_TENSORS];
    static float sums[2][TINY_WIDE * TINY_HIDDEN];
    assert_ok(ak_safetensors_open(&file, base, told));
    for (int64_t i = 0; i < ak_safetensors_count(file); i++) {
        tensors[i] = *ak_safetensors_at(file, i);
        for (int p = 0; p < 2; p++) {
            if (strcmp(tensors[i].name, names[p]) != 0)
                continue;
            assert_true(ak_tensor_convert(&tensors[i], sums[p]));
            for (int64_t r = 0; r < tensors[i].shape[0]; r++)
                for (int64_t c = 0; c < TINY_HIDDEN; c++)
                    for (int64_t k = 0; k < RANK; k++)
                        sums[p][r * TINY_HIDDEN + c] += 2 * a->values[2 * p + 1][r * RANK + k] *
                                                        a->values[2 * p][k * TINY_HIDDEN + c];
            ak_tensor_replace(&tensors[i], sums[p]);
        }
    }
    assert_ok(ak_safetensors_write(scratch_path("by_hand/model.safetensors"), tensors,
                                   ak_safetensors_count(file), NULL, told));
    ak_safetensors_free(file);
    ak_free(base);
}

static void test_merged(void **state)
{
    (void)state;
    adapter a;
    akin_model *hand, *again;
    float expected[TEXTS * TINY_DENSE], y[TEXTS * TINY_DENSE], base[TEXTS * TINY_DENSE];
    const tiny_options options = {.seed = 1, .dense = true, .normalize = true};
    make_adapter(&a);
    write_adapter(&a, TENSORS, CONFIG "}");
    tiny_model(scratch_path("by_hand"), &options);
    assert_ok(akin_model_load(&again, context, scratch_path("tiny"), AKIN_F32, told));
    encode(again, base);
    akin_model_free(again);
    write_sums(&a);
    assert_ok(akin_model_load(&hand, context, scratch_path("by_hand"), AKIN_F32, told));
    encode(hand, expected);
    assert_true(fabsf(base[TINY_DENSE] - expected[TINY_DENSE]) > 1e-3f);
    static const char *const ways[] = {"", ", trainable: true, dropout: 0",
                                       ", trainable: true, trainable_layers: 0",
                                       ", trainable: true, lora_rank: 3, lora_alpha: 6"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        akin_model *model = adapted(ways[i]);
        encode(model, y);
        assert_close(y, expected, 1e-5f);
        assert_ok(akin_model_save(model, scratch_path("saved"), true, told));
        assert_ok(akin_model_load(&again, context, scratch_path("saved"), AKIN_AS_SAVED, told));
        assert_true(same_spaces(model, again));
        encode(again, y);
        assert_close(y, expected, 1e-5f);
        akin_model_free(again);
        akin_model_free(model);
    }
    akin_model_free(hand);
}

/* The adapter goes on as A and B of the same targets; nothing else is trained, Dense neither. */
static void test_trained_on(void **state)
{
    (void)state;
    adapter a;
    akin_encoder *encoder;
    make_adapter(&a);
    write_adapter(&a, TENSORS, CONFIG "}");
    assert_ok(try_encoder(&encoder, ", trainable: true, lora_rank: 3, lora_alpha: 6", told));
    akin_parameters *parameters = ak_encoder_parameters(encoder);
    assert_int_equal(ak_parameters_count(parameters), TENSORS);
    for (int i = 0; i < TENSORS; i++) {
        const akin_parameter *p = akin_parameters_get(parameters, i);
        assert_non_null(strstr(a.tensors[i].name, p->name));
        assert_memory_equal(p->value, a.values[i], a.tensors[i].size);
    }
    assert_ok(encoder->type->save(encoder->self, scratch_path("saved"), told));
    ak_safetensors *file;
    assert_ok(
        ak_safetensors_open(&file, scratch_path("saved/lora/adapter_model.safetensors"), told));
    for (int i = 0; i < TENSORS; i++) {
        const ak_tensor *tensor = ak_safetensors_find(file, a.tensors[i].name);
        assert_non_null(tensor);
        assert_memory_equal(tensor->data, a.values[i], a.tensors[i].size);
    }
    ak_safetensors_free(file);
    akin_encoder_free(encoder);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *config, *more; /* of the adapter, of the encoder */
        const char *rename;        /* the first tensor; NULL: as it is */
        int64_t columns, count;    /* of the first tensor, of tensors; 0: as they are */
        akin_status status;
        const char *part;
    } rows[] = {
        {CONFIG "}", ", trainable: true, lora_rank: 2, lora_alpha: 6", NULL, 0, 0,
         AKIN_ERR_MISMATCH, "\"lora_rank\" is 2, but the adapter of \"lora\" has rank 3"},
        {CONFIG "}", ", trainable: true, lora_rank: 3", NULL, 0, 0, AKIN_ERR_MISMATCH,
         "\"lora_alpha\" is 16, but the adapter of \"lora\" has 6"},
        {CONFIG "}",
         ", trainable: true, lora_rank: 3, lora_alpha: 6, lora_targets: '*query.weight'", NULL, 0,
         0, AKIN_ERR_MISMATCH, "nothing for \"encoder.layer.1.attention.self.query.weight\""},
        {CONFIG "}", ", trainable: true, lora_rank: 3, lora_alpha: 6, freeze: '*layer.1*'", NULL, 0,
         0, AKIN_ERR_MISMATCH, "layer.1.intermediate.dense.lora_A.weight\" changes no matrix"},
        {CONFIG "}", ", trainable: true, lora_rank: 3, lora_alpha: 6, trainable_layers: 1", NULL, 0,
         0, AKIN_ERR_MISMATCH, "or none that is trained (\"lora_targets\", \"trainable_layers\""},
        {CONFIG "}", "", "base_model.model.encoder.layer.7.output.dense.lora_A.weight", 0, 0,
         AKIN_ERR_FORMAT,
         "\"base_model.model.encoder.layer.0.attention.self.query.lora_B.weight\" "
         "has no lora_A"},
        {CONFIG "}", "", "base_model.model.encoder.layer.0.output.bias", 0, 0, AKIN_ERR_UNSUPPORTED,
         "\"base_model.model.encoder.layer.0.output.bias\" is no lora_A or lora_B"},
        {CONFIG "}", "", NULL, 8, 0, AKIN_ERR_FORMAT, "has shape [3, 8], expected [*, 32]"},
        {CONFIG "}", "", NULL, 0, 1, AKIN_ERR_FORMAT, "has no lora_B beside it"},
        {"{\"lora_alpha\": 0}", "", NULL, 0, 0, AKIN_ERR_FORMAT, "\"lora_alpha\""},
        {"{", "", NULL, 0, 0, AKIN_ERR_FORMAT, "adapter_config.json"},
        {CONFIG ", \"use_dora\": true}", "", NULL, 0, 0, AKIN_ERR_UNSUPPORTED,
         "\"use_dora\" is set"},
        {CONFIG ", \"modules_to_save\": [\"dense\"]}", "", NULL, 0, 0, AKIN_ERR_UNSUPPORTED,
         "\"modules_to_save\""},
        {"{\"peft_type\": \"IA3\", \"lora_alpha\": 1}", "", NULL, 0, 0, AKIN_ERR_UNSUPPORTED,
         "\"peft_type\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        adapter a;
        akin_encoder *encoder;
        akin_error error = {0};
        make_adapter(&a);
        if (rows[i].rename)
            a.tensors[0].name = rows[i].rename;
        if (rows[i].columns) {
            a.tensors[0].shape[1] = rows[i].columns;
            a.tensors[0].size = (size_t)(RANK * rows[i].columns) * sizeof(float);
        }
        write_adapter(&a, rows[i].count ? rows[i].count : TENSORS, rows[i].config);
        if (try_encoder(&encoder, rows[i].more, &error) != rows[i].status || encoder)
            fail_msg("row %zu: %s", i, error.message);
        assert_says(&error, rows[i].part);
    }
    akin_encoder *encoder;
    akin_error error = {0};
    char options[300];
    snprintf(options, sizeof options, "{path: '%s'}", scratch_path("lora"));
    assert_int_equal(akin_encoder_create(&encoder, context, "transformer", options, &error),
                     AKIN_ERR_ARGUMENT);
    assert_says(&error, "is a LoRA adapter without its base");
    ak_remove_tree(scratch_path("lora"));
    assert_int_equal(try_encoder(&encoder, "", &error), AKIN_ERR_IO);
    assert_says(&error, "expected a LoRA adapter");
}

/* What akin saved says what it was trained on: that, not its own sums and nothing else. */
static void test_another_base(void **state)
{
    (void)state;
    static const char *const ways[] = {"", ", trainable: true",
                                       ", trainable: true, lora_rank: 3, lora_alpha: 6"};
    const tiny_options other = {.seed = 2, .dense = true, .normalize = true};
    adapter a;
    char *lora = ak_strdup(scratch_path("saved/lora")), *tiny = ak_strdup(scratch_path("tiny")),
         *stranger = ak_strdup(scratch_path("stranger")), *saved = ak_strdup(scratch_path("saved"));
    const char *const bases[] = {tiny, stranger, saved};
    akin_encoder *encoder;
    make_adapter(&a);
    write_adapter(&a, TENSORS, CONFIG "}");
    ak_remove_tree(saved);
    tiny_model(stranger, &other);
    assert_ok(try_encoder(&encoder, ways[2], told));
    assert_ok(encoder->type->save(encoder->self, saved, told));
    akin_encoder_free(encoder);
    for (int i = 0; i < 9; i++) {
        char options[900];
        akin_error error = {0};
        snprintf(options, sizeof options, "{path: '%s', lora: '%s'%s}", bases[i % 3], lora,
                 ways[i / 3]);
        akin_status status = akin_encoder_create(&encoder, context, "transformer", options, &error);
        assert_int_equal(status, i % 3 ? AKIN_ERR_MISMATCH : AKIN_OK);
        if (status)
            assert_says(&error, "was trained on other weights");
        akin_encoder_free(encoder);
    }
    ak_free(lora);
    ak_free(tiny);
    ak_free(stranger);
    ak_free(saved);
}

static akin_status open_and_save(void *user, akin_error *error)
{
    akin_encoder *encoder;
    akin_hash hash;
    AK_TRY(try_encoder(&encoder, user, error));
    akin_status status = encoder->type->fingerprint(encoder->self, &hash, error);
    if (!status)
        status = encoder->type->save(encoder->self, scratch_path("saved"), error);
    akin_encoder_free(encoder);
    return status;
}

static void test_without_memory(void **state)
{
    (void)state;
    adapter a;
    make_adapter(&a);
    write_adapter(&a, TENSORS, CONFIG "}");
    ak_json_route_allocations(true);
    char merged[] = "", trained[] = ", trainable: true, lora_rank: 3, lora_alpha: 6";
    assert_true(fail_each_allocation(open_and_save, merged) > 50);
    assert_true(fail_each_allocation(open_and_save, trained) > 50);
    ak_json_route_allocations(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merged),         cmocka_unit_test(test_trained_on),
        cmocka_unit_test(test_mistakes),       cmocka_unit_test(test_another_base),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
