/* The encoders of BERT's family, each a small random model: vectors, gradients and ten steps as
   transformers and PyTorch make them (bert_golden.h), central differences with dropout, what
   training promises, and mistakes in folders, which are told. */
#include "bert_scene.h"

#include "data/bert_golden.h"
#include "model/bert_internal.h"
#include "model/model.h"
#include "train/train.h"

#include <omp.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct family {
    const char *model_type;
    ak_architecture architecture;
    const float *vectors;
    const golden_gradient *gradients;
    size_t gradient_count;
    const double *losses;
    const char *queries, *values; /* of layer 0: what LoRA changes */
} family;

static const family families[] = {
    {"bert", AK_BERT, bert_vectors, bert_gradients, COUNT(bert_gradients), bert_losses,
     "encoder.layer.0.attention.self.query", "encoder.layer.0.attention.self.value"},
    {"distilbert", AK_DISTILBERT, distilbert_vectors, distilbert_gradients,
     COUNT(distilbert_gradients), distilbert_losses, "transformer.layer.0.attention.q_lin",
     "transformer.layer.0.attention.v_lin"},
    {"mpnet", AK_MPNET, mpnet_vectors, mpnet_gradients, COUNT(mpnet_gradients), mpnet_losses,
     "encoder.layer.0.attention.attn.q", "encoder.layer.0.attention.attn.v"},
};
enum { FAMILIES = COUNT(families) };

/* The scene is of this family from now on. */
static void choose(const family *f)
{
    architecture = f->architecture;
    first_position = tiny_first_position(f->model_type);
    snprintf(path, sizeof path, "%s", scratch_path(f->model_type));
    strcat(path, "/model.safetensors");
}

/* ---- transformers and PyTorch ---- */

static void check_vectors(const family *f, const float *y, const char *how)
{
    for (int i = 0; i < TEXTS * TINY_HIDDEN; i++)
        if (fabsf(y[i] - f->vectors[i]) > 1e-5f)
            fail_msg("%s, %s, number %d: %.8g, expected %.8g", f->model_type, how, i, (double)y[i],
                     (double)f->vectors[i]);
}

static void test_vectors(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++) {
        float y[TEXTS * TINY_HIDDEN];
        akin_matrix out = ak_matrix(y, TEXTS, TINY_HIDDEN);
        choose(f);
        ak_bert_config config = tiny_config(AK_GELU);
        ak_safetensors *weights;
        ak_bert *bert;
        assert_int_equal(ak_safetensors_open(&weights, path, NULL), AKIN_OK);
        assert_int_equal(ak_bert_create(&bert, &config, weights, path, AKIN_F32, NULL), AKIN_OK);
        assert_int_equal(ak_bert_forward(bert, &texts, AK_POOLING_MEAN, out, NULL), AKIN_OK);
        check_vectors(f, y, "served");
        ak_bert_free(bert);
        ak_safetensors_free(weights);
        scene s = make_scene(&everything, AK_GELU);
        run(&s, &texts, AK_POOLING_MEAN, out, (akin_matrix){0});
        check_vectors(f, y, "trained");
        drop_scene(&s);
    }
}

/* Checkpoints with a head have the architecture's name before all tensors of the encoder. */
static void test_prefixes(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++) {
        ak_safetensors *weights;
        ak_tensor tensors[TINY_TENSORS];
        char names[TINY_TENSORS][128];
        float y[TEXTS * TINY_HIDDEN];
        choose(f);
        assert_int_equal(ak_safetensors_open(&weights, path, NULL), AKIN_OK);
        int64_t count = ak_safetensors_count(weights);
        assert_true(count <= TINY_TENSORS);
        for (int64_t i = 0; i < count; i++) {
            tensors[i] = *ak_safetensors_at(weights, i);
            snprintf(names[i], sizeof names[i], "%s.%s", f->model_type, tensors[i].name);
            tensors[i].name = names[i];
        }
        const char *file = scratch_path("prefixed.safetensors");
        assert_int_equal(ak_safetensors_write(file, tensors, count, NULL, NULL), AKIN_OK);
        ak_safetensors_free(weights);
        scene s;
        ak_bert_config config = tiny_config(AK_GELU);
        assert_int_equal(try_make(&s, &config, file, &everything, NULL), AKIN_OK);
        assert_non_null(strstr(akin_parameters_get(s.parameters, 0)->name, f->model_type));
        run(&s, &texts, AK_POOLING_MEAN, ak_matrix(y, TEXTS, TINY_HIDDEN), (akin_matrix){0});
        check_vectors(f, y, "with a prefix");
        drop_scene(&s);
    }
}

static void check_gradients(const family *f, const scene *s)
{
    assert_int_equal(f->gradient_count, ak_parameters_count(s->parameters));
    for (size_t i = 0; i < f->gradient_count; i++) {
        const golden_gradient *golden = &f->gradients[i];
        const akin_parameter *p = find(s, golden->name);
        assert_non_null(p);
        double squares = 0, projection = 0;
        for (int64_t j = 0; j < p->rows * p->columns; j++) {
            squares += (double)p->grad[j] * (double)p->grad[j];
            projection += (double)p->grad[j] * cos((double)j);
        }
        double tolerance = 2e-5 * golden->norm + 2e-6;
        if (fabs(sqrt(squares) - golden->norm) > tolerance ||
            fabs(projection - golden->projection) > 4 * tolerance)
            fail_msg("%s: norm %.9g, projection %.9g", p->name, sqrt(squares), projection);
    }
}

static double step_loss(scene *s, akin_loss *loss)
{
    static const int64_t content[TEXTS] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const float score[PAIRS] = {1, 1, 1, 1};
    const akin_labels labels = {.size = sizeof labels,
                                .kind = AKIN_PAIRS,
                                .count = PAIRS,
                                .content = content,
                                .score = score};
    float y[TEXTS * TINY_HIDDEN], dy[TEXTS * TINY_HIDDEN];
    akin_matrix out = ak_matrix(y, TEXTS, TINY_HIDDEN), slope = ak_matrix(dy, TEXTS, TINY_HIDDEN);
    void *record;
    double value;
    assert_int_equal(
        ak_bert_train_forward(s->bert, &s->pass, &texts, AK_POOLING_MEAN, out, &record, NULL),
        AKIN_OK);
    assert_int_equal(loss->type->compute(loss->self, &s->pass, &labels, out, slope, &value, NULL),
                     AKIN_OK);
    ak_bert_train_backward(s->bert, &s->pass, &texts, AK_POOLING_MEAN, record, slope);
    ak_arena_reset(s->arena);
    return value;
}

static void ten_steps(const family *f, akin_loss *loss)
{
    ak_optimizer *optimizer;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAMW);
    choose(f);
    scene s = make_scene(&everything, AK_GELU);
    assert_int_equal(ak_optimizer_create(&optimizer, &options, s.parameters, NULL), AKIN_OK);
    for (int step = 0; step <= 10; step++) {
        double value = step_loss(&s, loss);
        if (fabs(value - f->losses[step]) > 1e-4)
            fail_msg("%s, step %d: the loss is %.9g, expected %.9g", f->model_type, step, value,
                     f->losses[step]);
        if (step == 0)
            check_gradients(f, &s);
        ak_optimizer_step(optimizer, step, 0);
    }
    assert_false(ak_bert_train_is_base(s.bert));
    ak_optimizer_free(optimizer);
    drop_scene(&s);
}

static void test_ten_steps(void **state)
{
    (void)state;
    akin_context *context;
    akin_loss *loss;
    assert_int_equal(akin_context_create(&context, NULL), AKIN_OK);
    assert_int_equal(akin_loss_create(&loss, context, "multiple_negatives_ranking", NULL, NULL),
                     AKIN_OK);
    assert_int_equal(ak_loss_open(loss, TINY_HIDDEN, 0, 1, NULL), AKIN_OK);
    for (const family *f = families; f < families + FAMILIES; f++)
        ten_steps(f, loss);
    akin_loss_free(loss);
    akin_context_free(context);
}

/* What MPNetEncoder.relative_position_bucket of transformers gives: the first distance of each. */
static void test_buckets(void **state)
{
    (void)state;
    enum { MOST = 600 };
    static const struct {
        int distance, bucket;
    } begins[] = {{-MOST, 15}, {-90, 14}, {-63, 13}, {-45, 12}, {-31, 11}, {-22, 10}, {-15, 9},
                  {-11, 8},    {-7, 7},   {-6, 6},   {-5, 5},   {-4, 4},   {-3, 3},   {-2, 2},
                  {-1, 1},     {0, 0},    {1, 17},   {2, 18},   {3, 19},   {4, 20},   {5, 21},
                  {6, 22},     {7, 23},   {8, 24},   {12, 25},  {16, 26},  {23, 27},  {32, 28},
                  {46, 29},    {64, 30},  {91, 31}};
    int32_t buckets[2 * MOST + 1];
    size_t at = 0;
    ak_bert_buckets(MOST + 1, buckets);
    for (int distance = -MOST; distance <= MOST; distance++) {
        at += at + 1 < COUNT(begins) && begins[at + 1].distance == distance;
        assert_int_equal(buckets[distance + MOST], begins[at].bucket);
    }
}

/* ---- promises ---- */

static void test_differences(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++) {
        choose(f);
        check_differences(&texts, AK_POOLING_MEAN, AK_GELU, 0.2);
        check_differences(&texts, AK_POOLING_CLS, AK_GELU, 0);
    }
}

static void test_same_bits(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++) {
        float *first = NULL;
        choose(f);
        for (int variant = 0; variant < 3; variant++) {
            ak_bert_train_options options = everything;
            options.dropout = -1; /* the config's */
            options.recompute = variant == 2;
            omp_set_num_threads(variant + 1);
            scene s = make_scene(&options, AK_GELU);
            weighted_sum(&s, &texts, AK_POOLING_MEAN, true);
            size_t size = (size_t)ak_parameters_size(s.parameters) * sizeof(float);
            if (!first) {
                first = malloc(size);
                assert_non_null(first);
                memcpy(first, ak_parameters_grads(s.parameters), size);
            }
            assert_memory_equal(first, ak_parameters_grads(s.parameters), size);
            drop_scene(&s);
        }
        free(first);
    }
}

/* What a stem gives can stand for the layers below, to the bit. */
static void test_stems(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++) {
        enum { TOKENS = 57 };
        float rows[TOKENS * TINY_HIDDEN];
        ak_bert_train_options options = everything;
        options.layers = 1;
        choose(f);
        scene s = make_scene(&options, AK_GELU);
        assert_int_equal(ak_parameters_count(s.parameters), 16);
        assert_true(ak_bert_train_has_stem(s.bert));
        double sum = weighted_sum(&s, &texts, AK_POOLING_MEAN, true);
        assert_int_equal(ak_bert_train_stem(s.bert, &s.pass, &texts, rows, NULL), AKIN_OK);
        ak_tokens given = texts;
        given.entry = rows;
        assert_true(weighted_sum(&s, &given, AK_POOLING_MEAN, true) == sum);
        drop_scene(&s);
    }
}

/* Without patterns LoRA changes queries and values, whatever they are called. */
static void test_lora_targets(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++) {
        ak_bert_train_options options = everything;
        char name[128];
        options.lora_rank = 2;
        options.lora_alpha = 4;
        choose(f);
        scene s = make_scene(&options, AK_GELU);
        assert_int_equal(ak_parameters_count(s.parameters), 2 * 2 * TINY_LAYERS);
        snprintf(name, sizeof name, "%s.lora_A.weight", f->queries);
        assert_non_null(find(&s, name));
        snprintf(name, sizeof name, "%s.lora_B.weight", f->values);
        assert_non_null(find(&s, name));
        weighted_sum(&s, &texts, AK_POOLING_MEAN, true);
        assert_true(ak_parameters_grad_norm(s.parameters) > 0);
        drop_scene(&s);
    }
}

/* A text of one token, and a batch of one pair of them. */
static void test_smallest_batches(void **state)
{
    (void)state;
    static const int64_t begin[] = {0, 1, 2};
    static const int32_t two[] = {2, 9};
    for (const family *f = families; f < families + FAMILIES; f++) {
        choose(f);
        scene s = make_scene(&everything, AK_GELU);
        for (int count = 1; count <= 2; count++) {
            ak_tokens few = {.texts = count, .ids = two, .start = begin};
            ak_parameters_zero_grads(s.parameters);
            assert_true(isfinite(weighted_sum(&s, &few, AK_POOLING_MEAN, true)));
            double norm = ak_parameters_grad_norm(s.parameters);
            assert_true(isfinite(norm) && norm > 0);
        }
        drop_scene(&s);
    }
}

/* ---- folders ---- */

/* The folder of the first family's tokenizer and modules with another config.json. */
static akin_status open_folder(const char *folder, bool trainable, akin_error *error)
{
    akin_context *context;
    akin_encoder *encoder;
    char options[400];
    snprintf(options, sizeof options, "{path: '%s', trainable: %s}", folder,
             trainable ? "true" : "false");
    assert_int_equal(akin_context_create(&context, NULL), AKIN_OK);
    akin_status status = akin_encoder_create(&encoder, context, "transformer", options, error);
    akin_encoder_free(encoder);
    akin_context_free(context);
    return status;
}

static void check_config(const char *text, akin_status status, const char *part)
{
    akin_error error = {0};
    const tiny_options options = {.seed = 1};
    tiny_model(scratch_path("other"), &options);
    write_text(scratch_path("other/config.json"), text);
    assert_int_equal(open_folder(scratch_path("other"), false, &error), status);
    assert_says(&error, part);
}

static void test_configs(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        akin_status status;
        const char *part;
    } cases[] = {
        {"{\"model_type\": \"t5\"}", AKIN_ERR_UNSUPPORTED,
         "other/config.json: model_type \"t5\" is not read, expected one of bert, roberta, "
         "xlm-roberta, camembert, distilbert, mpnet"},
        {"{\"model_type\": \"modernbert\", \"vocab_size\": 71, \"hidden_size\": 32}",
         AKIN_ERR_UNSUPPORTED, "model_type \"modernbert\" is not read"},
        {"{\"model_type\": \"distilbert\", \"vocab_size\": 71, \"hidden_size\": 32}",
         AKIN_ERR_FORMAT, "other/config.json: \"dim\" must be a positive number, found 0"},
        {"{\"model_type\": \"distilbert\", \"vocab_size\": 71, \"dim\": 32, \"hidden_dim\": 48,"
         " \"n_layers\": 2, \"n_heads\": 5, \"max_position_embeddings\": 24}",
         AKIN_ERR_FORMAT, "dim 32 is no multiple of n_heads 5"},
        {"{\"model_type\": \"distilbert\", \"vocab_size\": 71, \"dim\": 32, \"hidden_dim\": 48,"
         " \"n_layers\": 2, \"n_heads\": 2, \"max_position_embeddings\": 24,"
         " \"activation\": \"maxout\"}",
         AKIN_ERR_UNSUPPORTED, "the activation \"maxout\" is not supported"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_config(cases[i].text, cases[i].status, cases[i].part);
}

/* One family's config.json over another's weights. */
static void test_another_architecture(void **state)
{
    (void)state;
    static const char *const names[] = {
        [AK_BERT] = "BERT", [AK_DISTILBERT] = "DistilBERT", [AK_MPNET] = "MPNet"};
    for (int i = 0; i < FAMILIES; i++)
        for (int j = 0; j < FAMILIES; j++) {
            char expected[128];
            akin_error error = {0};
            const tiny_options described = {.seed = 1, .family = families[i].model_type};
            const tiny_options weights = {.seed = 1, .family = families[j].model_type};
            tiny_model(scratch_path("other"), &described);
            tiny_weights(scratch_path("other"), &weights);
            akin_status status = open_folder(scratch_path("other"), j % 2, &error);
            assert_int_equal(status, i == j ? AKIN_OK : AKIN_ERR_MISMATCH);
            snprintf(expected, sizeof expected,
                     "other/model.safetensors: the tensors are those of %s, but config.json "
                     "describes %s",
                     names[families[j].architecture], names[families[i].architecture]);
            assert_says(&error, i == j ? "" : expected);
        }
}

/* The tensor `name` is left out, or has a row less, or another is added to it. */
static void write_changed(const char *file, const char *name, int change)
{
    ak_safetensors *weights;
    ak_tensor tensors[TINY_TENSORS + 1];
    int64_t count = 0;
    assert_int_equal(ak_safetensors_open(&weights, path, NULL), AKIN_OK);
    for (int64_t i = 0; i < ak_safetensors_count(weights); i++) {
        ak_tensor *tensor = &tensors[count++];
        *tensor = *ak_safetensors_at(weights, i);
        if (strcmp(tensor->name, name) != 0)
            continue;
        count -= change == 0;
        if (change == 1) {
            tensor->shape[0]--;
            tensor->count -= tensor->shape[1];
            tensor->size = (size_t)tensor->count * sizeof(float);
        } else if (change == 2) {
            tensors[count] = *tensor;
            tensors[count++].name = "another.weight";
        }
    }
    assert_int_equal(ak_safetensors_write(file, tensors, count, NULL, NULL), AKIN_OK);
    ak_safetensors_free(weights);
}

static void test_damaged_checkpoints(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++)
        for (int change = 0; change < 3; change++) {
            scene s;
            char name[96];
            akin_error error = {0};
            choose(f);
            const char *file = scratch_path("changed.safetensors");
            snprintf(name, sizeof name, "%s.weight", f->values);
            write_changed(file, name, change);
            ak_bert_config config = tiny_config(AK_GELU);
            akin_status status = try_make(&s, &config, file, &everything, &error);
            assert_int_equal(status, change == 2 ? AKIN_ERR_MISMATCH : AKIN_ERR_FORMAT);
            assert_says(&error, file);
            assert_says(&error, change == 2 ? "another.weight" : name);
            if (change == 1)
                assert_says(&error, "32"); /* rows that were expected */
            drop_scene(&s);
        }
}

static akin_status open_for_training(void *user, akin_error *error)
{
    scene s;
    ak_bert_config config = tiny_config(AK_GELU);
    akin_status status = try_make(&s, &config, user, &everything, error);
    drop_scene(&s);
    return status;
}

static void test_without_memory(void **state)
{
    (void)state;
    for (const family *f = families; f < families + FAMILIES; f++) {
        choose(f);
        assert_true(fail_each_allocation(open_for_training, path) > 20);
    }
}

static int set_up(void **state)
{
    if (scratch_make(state))
        return -1;
    for (const family *f = families; f < families + FAMILIES; f++) {
        const tiny_options options = {.seed = 1, .normalize = true, .family = f->model_type};
        tiny_model(scratch_path(f->model_type), &options);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_ten_steps),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_stems),
        cmocka_unit_test(test_lora_targets),
        cmocka_unit_test(test_smallest_batches),
        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_another_architecture),
        cmocka_unit_test(test_damaged_checkpoints),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_remove);
}
