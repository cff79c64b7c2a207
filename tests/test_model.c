/* Models and their directory: what is saved is what is loaded, bit for bit, and what is not whole
   is refused with the file's name. */
#include "data_files.h"
#include "numbers_encoder.h"
#include "tiny_model.h"

#include "model/bert.h"
#include "text/tokenizer.h"

#include <math.h>
#include <pthread.h>
#include <sys/stat.h>

static akin_context *context;

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return remove_test_folder(state);
}

static const char *const texts[] = {"the red cat",   "a small dog in the house", "",
                                    "two birds fly", "query: old trees",         "zebra!",
                                    "THE RED CAT"};
enum { TEXTS = sizeof texts / sizeof *texts };

static void encode(const akin_model *model, float *out)
{
    akin_object objects[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        objects[i] = akin_text(texts[i]);
    assert_ok(akin_model_encode(model, objects, TEXTS, out, told));
}

static akin_encoder *make_encoder(const char *type, const char *format, const char *path)
{
    akin_encoder *encoder;
    char options[512];
    snprintf(options, sizeof options, format, path);
    assert_ok(akin_encoder_create(&encoder, context, type, options, told));
    return encoder;
}

static akin_model *load(const char *path)
{
    akin_model *model;
    assert_ok(akin_model_load(&model, context, path, AKIN_AS_SAVED, told));
    return model;
}

/* ---- round trips ---- */

static void test_round_trip(void **state)
{
    (void)state;
    enum { D = TINY_DENSE };
    static float before[TEXTS * D], after[TEXTS * D];
    akin_model *model, *again;
    akin_head *head;
    akin_hash first, second;
    const char *path = test_path("round");
    tiny_model(test_path("tiny"), &(tiny_options){.dense = true, .normalize = true});
    akin_named_encoder named = {"text", make_encoder("transformer",
                                                     "{path: %s, max_length: 9, prompt: 'query: '}",
                                                     test_path("tiny"))};
    assert_ok(akin_head_create(&head, context, "skip_connection", "{init: pytorch, n_layers: 2}", D,
                               told));
    assert_ok(akin_model_create(&model, context, &named, 1, head, told));
    assert_int_equal(akin_model_dim(model), D);
    assert_ok(akin_model_save(model, path, false, told));
    encode(model, before);
    /* an empty object without an address is the empty text */
    akin_object nothing = {0}, empty = akin_text("");
    assert_ok(akin_model_encode(model, &nothing, 1, after, told));
    assert_ok(akin_model_encode(model, &empty, 1, after + D, told));
    assert_memory_equal(after, after + D, D * sizeof *after);
    assert_int_equal(akin_model_load(&again, context, path, (akin_precision)77, NULL),
                     AKIN_ERR_ARGUMENT);
    again = load(path);
    encode(again, after);
    assert_memory_equal(before, after, sizeof before);
    assert_ok(akin_model_fingerprint(model, &first, told));
    assert_ok(akin_model_fingerprint(again, &second, told));
    assert_memory_equal(&first, &second, sizeof first);
    /* over itself: the files it reads are those it replaces */
    assert_int_equal(akin_model_save(again, path, false, NULL), AKIN_ERR_EXISTS);
    assert_ok(akin_model_save(again, path, true, told));
    akin_model_free(again);
    again = load(path);
    encode(again, after);
    assert_memory_equal(before, after, sizeof before);
    akin_model_free(again);
    akin_model_free(model);
}

static void test_names_give_the_order(void **state)
{
    (void)state;
    enum { A = TINY_DENSE, B = TINY_HIDDEN };
    static float joined[TEXTS * (A + B)], a[TEXTS * A], b[TEXTS * B];
    tiny_model(test_path("a"), &(tiny_options){.seed = 1, .dense = true});
    tiny_model(test_path("b"), &(tiny_options){.seed = 2});
    akin_named_encoder named[] = {
        {"zz", make_encoder("transformer", "{path: %s}", test_path("b"))},
        {"aa", make_encoder("transformer", "{path: %s}", test_path("a"))}};
    akin_model *model, *one = load(test_path("a")), *other = load(test_path("b"));
    assert_ok(akin_model_create(&model, context, named, 2, NULL, told));
    encode(one, a);
    encode(other, b);
    for (int round = 0; round < 2; round++) {
        encode(model, joined);
        for (int i = 0; i < TEXTS; i++) {
            assert_memory_equal(joined + i * (A + B), a + i * A, A * sizeof *a);
            assert_memory_equal(joined + i * (A + B) + A, b + i * B, B * sizeof *b);
        }
        if (!round)
            assert_ok(akin_model_save(model, test_path("both"), false, told));
        akin_model_free(model);
        model = round ? NULL : load(test_path("both"));
    }
    akin_model_free(one);
    akin_model_free(other);
}

static akin_error refused;

static void refuse(akin_status status, const char *part)
{
    assert_int_equal(status, AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(refused.message, part));
}

static double no_rank(const void *options, const akin_ranking *ranking)
{
    (void)options, (void)ranking;
    return 0;
}

/* What is called without asking must be there. */
static void test_unfinished_classes_are_refused(void **state)
{
    (void)state;
    akin_encoder_class encoder = numbers_class;
    encoder.name = "another";
    encoder.collate = NULL;
    refuse(akin_register_encoder(context, &encoder, &refused),
           "the encoder class \"another\" has no \"collate\"");
    encoder = numbers_class;
    encoder.name = "another";
    encoder.backward = NULL; /* but it says when it is trainable */
    refuse(akin_register_encoder(context, &encoder, &refused), "no \"backward\"");
    refuse(akin_register_encoder(context, NULL, &refused), "is NULL");
    akin_head_class head = {.size = sizeof head, .name = "mine"};
    refuse(akin_register_head(context, &head, &refused),
           "the head class \"mine\" has no \"create\"");
    akin_loss_class loss = {.size = sizeof loss, .name = "mine"};
    refuse(akin_register_loss(context, &loss, &refused),
           "the loss class \"mine\" has no \"compute\"");
    loss.name = "";
    refuse(akin_register_loss(context, &loss, &refused), "needs its \"size\"");
    akin_metric_class metric = {
        .size = sizeof metric, .name = "mine", .kind = AKIN_METRIC_SCORED, .rank = no_rank};
    refuse(akin_register_metric(context, &metric, &refused), "no \"score\"");
    metric.size = 0;
    refuse(akin_register_metric(context, &metric, &refused), "needs its \"size\"");
    metric = (akin_metric_class){.size = sizeof metric, .name = "mine", .rank = no_rank};
    assert_int_equal(akin_register_metric(context, &metric, &refused), AKIN_OK);
}

static void test_users_encoder(void **state)
{
    (void)state;
    akin_model *model, *again;
    akin_error error;
    akin_object objects[] = {{"1 2 3", 5}, {"-4 5.5 6", 8}};
    float out[6], back[6];
    akin_named_encoder named = {"n", make_encoder("numbers", "{dim: 3, trainable: true}", "")};
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    akin_parameters_get(numbers_parameters(akin_encoder_self(named.encoder)), 0)->value[1] = 0.5f;
    assert_ok(akin_model_encode(model, objects, 2, out, told));
    assert_true(out[0] == 1 && out[1] == 2.5f && out[2] == 3 && out[3] == -4 && out[4] == 3.5f);
    assert_ok(akin_model_save(model, test_path("numbers"), false, told));
    again = load(test_path("numbers"));
    assert_ok(akin_model_encode(again, objects, 2, back, told));
    assert_memory_equal(out, back, sizeof out);
    akin_model_free(again);
    akin_model_free(model);
    objects[1] = akin_text("4 inf 6");
    again = load(test_path("numbers"));
    assert_int_equal(akin_model_encode(again, objects, 2, back, &error), AKIN_ERR_FORMAT);
    assert_non_null(
        strstr(error.message, "\"n\" gave a vector that is not finite for \"4 inf 6\""));
    akin_model_free(again);
    assert_int_equal(akin_register_encoder(context, &numbers_class, &error), AKIN_ERR_EXISTS);
    akin_encoder *encoder;
    assert_int_equal(akin_encoder_create(&encoder, context, "numbrs", NULL, &error),
                     AKIN_ERR_ARGUMENT);
    assert_null(encoder);
    assert_non_null(strstr(error.message, "did you mean \"numbers\""));
    /* a context that does not know the class says so */
    akin_context *bare;
    assert_ok(akin_context_create(&bare, told));
    assert_ok(akin_context_set_cache(bare, NULL, told));
    assert_int_equal(akin_model_load(&again, bare, test_path("numbers"), AKIN_AS_SAVED, &error),
                     AKIN_ERR_ARGUMENT);
    assert_null(again);
    assert_non_null(strstr(error.message, "numbers"));
    akin_context_free(bare);
}

static void test_bad_parts(void **state)
{
    (void)state;
    akin_model *model;
    akin_head *head;
    akin_error error;
    akin_named_encoder two[] = {{"n", make_encoder("numbers", "{}", "")},
                                {"n", make_encoder("numbers", "{}", "")}};
    assert_int_equal(akin_model_create(&model, context, two, 0, NULL, &error), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_model_create(&model, context, two, 2, NULL, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "two encoders are named \"n\""));
    two[1].name = NULL;
    assert_int_equal(akin_model_create(&model, context, two, 2, NULL, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "encoder 2 of 2 has no name"));
    two[1].name = "../n";
    assert_int_equal(akin_model_create(&model, context, two, 2, NULL, &error), AKIN_ERR_ARGUMENT);
    assert_ok(akin_head_create(&head, context, "empty", NULL, 3, told));
    assert_int_equal(akin_model_create(&model, context, two, 1, head, &error), AKIN_ERR_MISMATCH);
    assert_null(model);
    akin_named_encoder many[AK_MAX_ENCODERS + 1];
    static char names[AK_MAX_ENCODERS + 1][8];
    for (int i = 0; i <= AK_MAX_ENCODERS; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        many[i] = (akin_named_encoder){names[i], two[0].encoder};
    }
    assert_int_equal(akin_model_create(&model, context, many, AK_MAX_ENCODERS + 1, NULL, &error),
                     AKIN_ERR_ARGUMENT);
    akin_encoder *encoder;
    assert_int_equal(akin_encoder_create(&encoder, context, "numbers", "just text", &error),
                     AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_encoder_create(&encoder, context, "numbers", "{dime: 3}", &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "did you mean \"dim\""));
    assert_int_equal(
        akin_encoder_create(&encoder, context, "transformer", "{trainable: true}", &error),
        AKIN_ERR_ARGUMENT);
    assert_null(encoder);
    akin_head_free(head);
    akin_encoder_free(two[0].encoder);
    akin_encoder_free(two[1].encoder);
}

/* ---- directories that are not whole ---- */

static void cut_file(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size / 2), 0);
}

/* Replaces the first `from` of a file. */
static void change_file(const char *path, const char *from, const char *to)
{
    ak_map map;
    assert_ok(ak_map_open(&map, path, told));
    size_t out = strlen(from), in = strlen(to);
    char *text = calloc(1, map.size + in + 1);
    const char *at = memmem(map.data, map.size, from, out);
    assert_non_null(at);
    size_t before = (size_t)(at - map.data), after = map.size - before - out;
    memcpy(text, map.data, before);
    memcpy(text + before, to, in);
    memcpy(text + before + in, at + out, after);
    ak_map_close(&map);
    assert_ok(ak_file_write(path, text, before + in + after, told));
    free(text);
}

static const struct {
    const char *file, *from, *to; /* to NULL: the file is cut in half; from NULL too: removed */
    akin_status status;
    const char *told;
} broken[] = {
    {"akin.json", "\"format\": 1", "\"format\": 2", AKIN_ERR_FORMAT, "this akin reads format 1"},
    {"akin.json", "", NULL, AKIN_ERR_FORMAT, "akin.json"},
    {"akin.json", "\"encoders\"", "\"encodes\"", AKIN_ERR_FORMAT, "\"encoders\""},
    {"akin.json", "\"transformer\"", "\"transformers\"", AKIN_ERR_ARGUMENT, "did you mean"},
    {"akin.json", "\"skip_connection\"", "\"skip\"", AKIN_ERR_ARGUMENT, "skip"},
    {"akin.json", "\"n_layers\": 1", "\"n_layers\": 2", AKIN_ERR_FORMAT, "layers.1.weight"},
    {"akin.json", "\"max_length\": 9", "\"max_length\": 900", AKIN_ERR_ARGUMENT, "max_length"},
    {"akin.json", "\"max_length\"", "\"max_lenght\"", AKIN_ERR_ARGUMENT, "did you mean"},
    {"head.safetensors", NULL, NULL, AKIN_ERR_IO, "head.safetensors"},
    {"head.safetensors", "", NULL, AKIN_ERR_FORMAT, "head.safetensors"},
    {"head.safetensors", "layers.0.weight", "layers.0.Weight", AKIN_ERR_FORMAT, "layers.0.weight"},
    {"encoders/text/model.safetensors", NULL, NULL, AKIN_ERR_IO, "model.safetensors"},
    {"encoders/text/model.safetensors", "", NULL, AKIN_ERR_FORMAT, "model.safetensors"},
    {"encoders/text/config.json", NULL, NULL, AKIN_ERR_IO, "config.json"},
    {"encoders/text/config.json", "\"hidden_size\": 32", "\"hidden_size\": 64", AKIN_ERR_MISMATCH,
     "1_Pooling"},
    {"encoders/text/config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
     AKIN_ERR_FORMAT, "encoder.layer.2"},
    {"encoders/text/config.json", "\"bert\"", "\"gpt2\"", AKIN_ERR_UNSUPPORTED, "gpt2"},
    {"encoders/text/config.json", "\"gelu\"", "\"mish\"", AKIN_ERR_UNSUPPORTED, "mish"},
    {"encoders/text/config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 3",
     AKIN_ERR_FORMAT, "num_attention_heads"},
    {"encoders/text/vocab.txt", NULL, NULL, AKIN_ERR_IO, "text"},
    {"encoders/text/vocab.txt", "9\n", "9\nnine\n", AKIN_ERR_MISMATCH, "embeddings"},
    {"encoders/text/modules.json", ".Transformer", ".CLIPModel", AKIN_ERR_UNSUPPORTED, "CLIPModel"},
    {"encoders/text/modules.json", "2_Dense", "4_Dense", AKIN_ERR_IO, "4_Dense"},
    {"encoders/text/modules.json", ".Dense", ".LSTM", AKIN_ERR_UNSUPPORTED, "LSTM"},
    {"encoders/text/modules.json", "[", "{", AKIN_ERR_FORMAT, "modules.json"},
    {"encoders/text/2_Dense/config.json", "\"in_features\": 32", "\"in_features\": 31",
     AKIN_ERR_MISMATCH, "2_Dense"},
    {"encoders/text/2_Dense/model.safetensors", "linear.bias", "linear.bios", AKIN_ERR_FORMAT,
     "linear.bias"},
    {"encoders/text/1_Pooling/config.json", "\"word_embedding_dimension\": 32",
     "\"word_embedding_dimension\": 33", AKIN_ERR_MISMATCH, "33"},
};

static void test_broken_directories(void **state)
{
    (void)state;
    akin_model *model;
    akin_head *head;
    tiny_model(test_path("tiny"), &(tiny_options){.dense = true});
    akin_named_encoder named = {
        "text", make_encoder("transformer", "{path: %s, max_length: 9}", test_path("tiny"))};
    assert_ok(akin_head_create(&head, context, "skip_connection", NULL, TINY_DENSE, told));
    assert_ok(akin_model_create(&model, context, &named, 1, head, told));
    assert_ok(akin_model_save(model, test_path("whole"), false, told));
    akin_model_free(model);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        akin_error error = {0};
        char path[512];
        ak_remove_tree(test_path("broken"));
        assert_ok(ak_copy_folder(test_path("whole"), test_path("broken"), told));
        snprintf(path, sizeof path, "%s/%s", test_path("broken"), broken[i].file);
        if (!broken[i].from)
            assert_int_equal(unlink(path), 0);
        else if (!broken[i].to)
            cut_file(path);
        else
            change_file(path, broken[i].from, broken[i].to);
        akin_status status =
            akin_model_load(&model, context, test_path("broken"), AKIN_AS_SAVED, &error);
        if (status != broken[i].status || !strstr(error.message, broken[i].told) ||
            error.status != status || model)
            fail_msg("row %d (%s, %s): %s: %s", (int)i, broken[i].file,
                     broken[i].to ? broken[i].to : "-", akin_status_name(status), error.message);
    }
}

static void test_no_directory(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error;
    assert_int_equal(akin_model_load(&model, context, test_path("absent"), AKIN_F32, &error),
                     AKIN_ERR_IO);
    assert_null(model);
    assert_int_equal(akin_model_load(&model, context, test_folder, AKIN_F32, &error),
                     AKIN_ERR_FORMAT);
    tiny_model(test_path("few"), &(tiny_options){.fewer_embeddings = 1});
    assert_int_equal(akin_model_load(&model, context, test_path("few"), AKIN_F32, &error),
                     AKIN_ERR_MISMATCH);
    assert_non_null(strstr(error.message, "tokens, but the weights hold"));
    assert_null(model);
}

/* ---- what the transformer reads ---- */

static void vector_of(const char *path, const char *options, const char *object, float *out)
{
    akin_model *model;
    char format[256];
    snprintf(format, sizeof format, "{path: %%s%s}", options);
    akin_named_encoder named = {"t", make_encoder("transformer", format, path)};
    akin_object one = akin_text(object);
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    assert_ok(akin_model_encode(model, &one, 1, out, told));
    akin_model_free(model);
}

#define PROMPTS                                                                                    \
    "{\"prompts\": {\"q\": \"query: \", \"p\": \"old \"}, \"default_prompt_name\": \"p\"}"

static void test_prompts(void **state)
{
    (void)state;
    float with[TINY_HIDDEN], without[TINY_HIDDEN];
    akin_encoder *encoder;
    akin_error error;
    const char *path = test_path("prompts");
    tiny_model(path, &(tiny_options){.prompts = PROMPTS});
    tiny_model(test_path("plain"), NULL);
    static const struct {
        const char *options, *whole;
    } rows[] = {{"", "old red cat"},
                {", prompt_name: q", "query: red cat"},
                {", prompt: 'the '", "the red cat"},
                {", prompt: ''", "red cat"}};
    for (int i = 0; i < 4; i++) {
        vector_of(path, rows[i].options, "red cat", with);
        vector_of(test_path("plain"), "", rows[i].whole, without);
        assert_memory_equal(with, without, sizeof with);
    }
    char options[300];
    snprintf(options, sizeof options, "{path: %s, prompt_name: none}", path);
    assert_int_equal(akin_encoder_create(&encoder, context, "transformer", options, &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "there is no prompt \"none\""));
}

/* A prompt that is left out of pooling: [CLS], "query" and ":" are, nothing else is. */
static void test_prompt_left_out(void **state)
{
    (void)state;
    float out[TINY_HIDDEN], expected[TINY_HIDDEN];
    const char *path = test_path("out");
    tiny_model(path, &(tiny_options){.pooling = "{\"pooling_mode\": \"mean\", "
                                                "\"embedding_dimension\": 32, "
                                                "\"include_prompt\": false}",
                                     .prompts = PROMPTS});
    vector_of(path, ", prompt_name: q", "red cat", out);
    const ak_bert_config config = {.vocabulary = TINY_WORDS,
                                   .hidden = TINY_HIDDEN,
                                   .intermediate = TINY_WIDE,
                                   .positions = TINY_POSITIONS,
                                   .types = 2,
                                   .layers = TINY_LAYERS,
                                   .heads = TINY_HEADS,
                                   .layer_norm_epsilon = 1e-12,
                                   .activation = AK_GELU};
    ak_safetensors *file;
    ak_bert *bert;
    char weights[512];
    snprintf(weights, sizeof weights, "%s/model.safetensors", path);
    assert_ok(ak_safetensors_open(&file, weights, told));
    assert_ok(ak_bert_create(&bert, &config, file, weights, AKIN_F32, told));
    int32_t ids[] = {2, 59, 60, 24, 29, 3}, skip = 3; /* [CLS] query : red cat [SEP] */
    int64_t start[] = {0, 6};
    ak_tokens tokens = {.texts = 1, .ids = ids, .start = start, .skip = &skip};
    assert_ok(
        ak_bert_forward(bert, &tokens, AK_POOLING_MEAN, ak_matrix(expected, 1, TINY_HIDDEN), told));
    assert_memory_equal(out, expected, sizeof out);
    ak_bert_free(bert);
    ak_safetensors_free(file);
}

static void test_poolings(void **state)
{
    (void)state;
    static const char *const modes[][2] = {{"cls", "cls_token"},
                                           {"max", "max_tokens"},
                                           {"mean", "mean_tokens"},
                                           {"mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
                                           {"weightedmean", "weightedmean_tokens"},
                                           {"lasttoken", "lasttoken"}};
    float all[6 * TINY_HIDDEN], one[TINY_HIDDEN], old[TINY_HIDDEN];
    tiny_model(test_path("all"),
               &(tiny_options){.pooling = "{\"pooling_mode\": [\"cls\", \"max\", \"mean\", "
                                          "\"mean_sqrt_len_tokens\", \"weightedmean\", "
                                          "\"lasttoken\"]}"});
    vector_of(test_path("all"), "", "the red cat", all);
    for (int i = 0; i < 6; i++) {
        char pooling[128];
        snprintf(pooling, sizeof pooling, "{\"pooling_mode\": \"%s\"}", modes[i][0]);
        tiny_model(test_path("one"), &(tiny_options){.pooling = pooling});
        vector_of(test_path("one"), "", "the red cat", one);
        snprintf(pooling, sizeof pooling, "{\"pooling_mode_%s\": true}", modes[i][1]);
        tiny_model(test_path("one"), &(tiny_options){.pooling = pooling});
        vector_of(test_path("one"), "", "the red cat", old);
        assert_memory_equal(one, old, sizeof one);
        assert_memory_equal(one, all + i * TINY_HIDDEN, sizeof one);
    }
    /* five tokens: [CLS] the red cat [SEP] */
    for (int c = 0; c < TINY_HIDDEN; c++) {
        float mean = all[2 * TINY_HIDDEN + c], root = all[3 * TINY_HIDDEN + c];
        assert_float_equal(root, mean * sqrtf(5), 1e-5);
        assert_true(all[TINY_HIDDEN + c] >= mean && all[TINY_HIDDEN + c] >= all[c]);
    }
}

static void test_fields(void **state)
{
    (void)state;
    float out[TINY_HIDDEN], expected[TINY_HIDDEN];
    akin_model *model;
    akin_error error;
    const char *path = test_path("tiny");
    tiny_model(path, NULL);
    vector_of(path, "", "the red cat", expected);
    vector_of(path, ", field: body", "{\"n\": 1, \"body\": \"the red c\\u0061t\"}", out);
    assert_memory_equal(out, expected, sizeof out);
    static const struct {
        const char *record, *told;
    } rows[] = {{"{\"n\": 1}", "\"body\" is missing"},
                {"{\"body\": 5}", "\"body\" is a whole number"},
                {"text", "record"}};
    akin_named_encoder named = {"t", make_encoder("transformer", "{path: %s, field: body}", path)};
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    for (int i = 0; i < 3; i++) {
        akin_object one = akin_text(rows[i].record);
        assert_int_equal(akin_model_encode(model, &one, 1, out, &error), AKIN_ERR_FORMAT);
        if (!strstr(error.message, rows[i].told))
            fail_msg("%s: %s", rows[i].record, error.message);
    }
    /* equal texts in unlike records are one content */
    ak_hash a, b, c;
    assert_ok(
        ak_model_keys(model, AK_QUERY_TOWER, akin_text("{\"body\": \"x\", \"n\": 2}"), &a, told));
    assert_ok(ak_model_keys(model, AK_QUERY_TOWER, akin_text("{\"body\": \"x\"}"), &b, told));
    assert_ok(ak_model_keys(model, AK_QUERY_TOWER, akin_text("{\"body\": \"y\"}"), &c, told));
    assert_true(ak_hash_equal(a, b) && !ak_hash_equal(a, c));
    akin_model_free(model);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    float cut[TINY_HIDDEN], expected[TINY_HIDDEN];
    char notes[256];
    akin_model *model;
    tiny_model(test_path("tiny"), NULL);
    akin_named_encoder named = {
        "t", make_encoder("transformer", "{path: %s, max_length: 5}", test_path("tiny"))};
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    akin_object objects[] = {akin_text("the red cat"), akin_text("the red cat and the dog"),
                             akin_text("a b c d e")};
    static float out[3 * TINY_HIDDEN];
    akin_model_notes(model, notes, sizeof notes);
    assert_string_equal(notes, "");
    assert_ok(akin_model_encode(model, objects, 3, out, told));
    memcpy(expected, out, sizeof expected);
    memcpy(cut, out + TINY_HIDDEN, sizeof cut);
    assert_memory_equal(cut, expected, sizeof cut);
    akin_model_notes(model, notes, sizeof notes);
    assert_string_equal(notes, "2 texts were longer than 5 tokens and cut there");
    akin_model_free(model);
}

/* Everything that changes a vector changes the space's name. */
static void test_fingerprints(void **state)
{
    (void)state;
    enum { ROWS = 9 };
    akin_hash prints[ROWS];
    static const struct {
        tiny_options folder;
        const char *options, *from, *to; /* a change of config.json */
    } rows[ROWS] = {
        {{0}, "", NULL, NULL},
        {{.seed = 1}, "", NULL, NULL},
        {{.normalize = true}, "", NULL, NULL},
        {{.dense = true}, "", NULL, NULL},
        {{.pooling = "{\"pooling_mode\": \"cls\"}"}, "", NULL, NULL},
        {{0}, ", max_length: 7", NULL, NULL},
        {{0}, ", prompt: the", NULL, NULL},
        {{0}, "", "\"num_attention_heads\": 2", "\"num_attention_heads\": 4"},
        {{0}, "", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"},
    };
    for (int i = 0; i < ROWS; i++) {
        akin_model *model;
        char format[128];
        ak_remove_tree(test_path("print"));
        tiny_model(test_path("print"), &rows[i].folder);
        if (rows[i].from)
            change_file(test_path("print/config.json"), rows[i].from, rows[i].to);
        snprintf(format, sizeof format, "{path: %%s%s}", rows[i].options);
        akin_named_encoder named = {"t", make_encoder("transformer", format, test_path("print"))};
        assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
        assert_ok(akin_model_fingerprint(model, &prints[i], told));
        akin_model_free(model);
        for (int j = 0; j < i; j++)
            if (ak_hash_equal(prints[i], prints[j]))
                fail_msg("rows %d and %d have one fingerprint", i, j);
    }
}

/* ---- threads, memory ---- */

typedef struct job {
    const akin_model *model;
    float out[TEXTS * TINY_HIDDEN];
} job;

static void *run_job(void *user)
{
    job *j = user;
    akin_object objects[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        objects[i] = akin_text(texts[i]);
    for (int round = 0; round < 5; round++)
        if (akin_model_encode(j->model, objects, TEXTS, j->out, NULL))
            return NULL;
    return j;
}

static void test_threads_share_a_model(void **state)
{
    (void)state;
    static float expected[TEXTS * TINY_HIDDEN];
    static job jobs[4];
    pthread_t threads[4];
    tiny_model(test_path("tiny"), NULL);
    akin_model *model = load(test_path("tiny"));
    encode(model, expected);
    for (int i = 0; i < 4; i++) {
        jobs[i].model = model;
        assert_int_equal(pthread_create(&threads[i], NULL, run_job, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *done;
        pthread_join(threads[i], &done);
        assert_non_null(done);
        assert_memory_equal(jobs[i].out, expected, sizeof expected);
    }
    akin_model_free(model);
}

static akin_status load_and_encode(akin_error *error)
{
    static float out[TEXTS * TINY_DENSE];
    akin_object objects[TEXTS];
    akin_model *model;
    for (int i = 0; i < TEXTS; i++)
        objects[i] = akin_text(texts[i]);
    akin_status status = akin_model_load(&model, context, test_path("whole"), AKIN_AS_SAVED, error);
    if (status)
        assert_null(model);
    if (!status)
        status = akin_model_encode(model, objects, TEXTS, out, error);
    akin_model_free(model);
    return status;
}

static akin_model *saved;

static akin_status save_again(akin_error *error)
{
    return akin_model_save(saved, test_path("copy"), true, error);
}

/* Every n-th allocation fails once: the first ones, then one in `step`. */
static void fail_each(akin_status (*work)(akin_error *error), int64_t first, int64_t step)
{
    ak_memory_fail_at(0);
    assert_ok(work(told));
    int64_t count = ak_memory_fail_at(0);
    assert_true(count > 20);
    for (int64_t n = 1; n <= count; n += n < first ? 1 : step) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = work(&error);
        ak_memory_fail_at(0);
        if (status != AKIN_ERR_MEMORY)
            fail_msg("allocation %lld of %lld: %s: %s", (long long)n, (long long)count,
                     akin_status_name(status), error.message);
    }
}

static void test_without_memory(void **state)
{
    (void)state;
    akin_model *model;
    akin_head *head;
    tiny_model(test_path("tiny"), &(tiny_options){.dense = true, .prompts = PROMPTS});
    akin_named_encoder named = {"text",
                                make_encoder("transformer", "{path: %s}", test_path("tiny"))};
    assert_ok(akin_head_create(&head, context, "skip_connection", NULL, TINY_DENSE, told));
    assert_ok(akin_model_create(&model, context, &named, 1, head, told));
    assert_ok(akin_model_save(model, test_path("whole"), false, told));
    akin_model_free(model);
    ak_json_route_allocations(true);
    fail_each(load_and_encode, 400, 5);
    saved = load(test_path("whole"));
    fail_each(save_again, 30, 31); /* a save waits for the disk */
    akin_model_free(saved);
    ak_json_route_allocations(false);
    akin_model_free(load(test_path("copy")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_unfinished_classes_are_refused),
        TEST(test_round_trip),
        TEST(test_names_give_the_order),
        TEST(test_users_encoder),
        TEST(test_bad_parts),
        TEST(test_broken_directories),
        TEST(test_no_directory),
        TEST(test_prompts),
        TEST(test_prompt_left_out),
        TEST(test_poolings),
        TEST(test_fields),
        TEST(test_long_texts_are_cut),
        TEST(test_fingerprints),
        TEST(test_threads_share_a_model),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
