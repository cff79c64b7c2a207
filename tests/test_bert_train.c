/* Training a small random BERT: gradients and ten steps as PyTorch makes them (bert_golden.h),
   central differences for every pooling and activation with dropout, and what training promises:
   the same bits for any number of threads and when activations are computed again, frozen parts
   that stay frozen, errors that name the tensor, memory that may run out. */
#include "support.h"

#include "data/bert_golden.h"
#include "model/bert.h"
#include "nn/nn.h"
#include "tiny_model.h"
#include "train/train.h"

#include <math.h>
#include <omp.h>

enum { PAIRS = 4, TEXTS = 2 * PAIRS, ALL = 63 }; /* ALL: every pooling */

/* The texts of make_bert_golden.py: a_0 .. a_3, b_0 .. b_3. */
static const int32_t ids[] = {2,  23, 28, 3,  2,  2,  40, 41, 42, 43, 10, 11, 12, 13, 3,
                              2,  5,  6,  3,  2,  23, 29, 30, 31, 3,  2,  50, 51, 3,  2,
                              44, 45, 46, 47, 48, 49, 3,  2,  7,  8,  9,  20, 21, 22, 23,
                              24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 3};
static const int64_t start[] = {0, 4, 5, 15, 19, 25, 29, 37, 57};
static const ak_tokens texts = {.texts = TEXTS, .ids = ids, .start = start};

static char path[300];

/* A BERT in training, with what it needs. */
typedef struct scene {
    ak_bert_train *bert;
    akin_parameters *parameters;
    akin_arena *arena;
    akin_pass pass;
} scene;

static const ak_bert_train_options everything = {
    .tables = true, .layers = -1, .dropout = 0, .lr_factor = 1, .layer_decay = 1};

static ak_bert_config tiny_config(ak_activation activation)
{
    return (ak_bert_config){.vocabulary = TINY_WORDS,
                            .hidden = TINY_HIDDEN,
                            .intermediate = TINY_WIDE,
                            .positions = TINY_POSITIONS,
                            .types = 2,
                            .layers = TINY_LAYERS,
                            .heads = TINY_HEADS,
                            .layer_norm_epsilon = 1e-12,
                            .activation = activation,
                            .hidden_dropout = 0.1,
                            .attention_dropout = 0.1};
}

static akin_status try_make(scene *s, const ak_bert_config *config, const char *file,
                            const ak_bert_train_options *options, akin_error *error)
{
    ak_safetensors *weights = NULL;
    *s = (scene){0};
    AK_TRY(ak_safetensors_open(&weights, file, error));
    akin_status status = ak_arena_create(&s->arena, error);
    if (!status)
        status = akin_parameters_create(&s->parameters, error);
    if (!status)
        status = ak_bert_train_create(&s->bert, config, weights, options, s->parameters, error);
    if (!status)
        status = akin_parameters_seal(s->parameters, 1, error);
    if (!status)
        status = ak_parameters_train(s->parameters, error);
    ak_safetensors_free(weights);
    if (!status)
        ak_bert_train_start(s->bert);
    s->pass = (akin_pass){
        .size = sizeof s->pass, .arena = s->arena, .training = true, .seed = 5, .step = 3};
    return status;
}

static void drop_scene(scene *s)
{
    ak_bert_train_free(s->bert);
    akin_parameters_free(s->parameters);
    ak_arena_free(s->arena);
}

static scene make_scene(const ak_bert_train_options *options, ak_activation activation)
{
    scene s;
    akin_error error = {0};
    ak_bert_config config = tiny_config(activation);
    if (try_make(&s, &config, path, options, &error))
        fail_msg("%s", error.message);
    return s;
}

static akin_parameter *find(const scene *s, const char *name)
{
    for (int i = 0; i < ak_parameters_count(s->parameters); i++)
        if (strcmp(akin_parameters_get(s->parameters, i)->name, name) == 0)
            return akin_parameters_get(s->parameters, i);
    return NULL;
}

/* y, and with dy the gradients of the parameters. */
static void run(scene *s, const ak_tokens *tokens, int pooling, akin_matrix y, akin_matrix dy)
{
    void *record;
    assert_int_equal(ak_bert_train_forward(s->bert, &s->pass, tokens, pooling, y, &record, NULL),
                     AKIN_OK);
    if (dy.data)
        ak_bert_train_backward(s->bert, &s->pass, tokens, pooling, record, dy);
    assert_true(s->pass.training == (record != NULL));
    ak_arena_reset(s->arena);
}

/* ---- PyTorch ---- */

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

static void check_golden_gradients(const scene *s)
{
    size_t count = sizeof bert_gradients / sizeof *bert_gradients;
    assert_int_equal(count, ak_parameters_count(s->parameters));
    for (size_t i = 0; i < count; i++) {
        const akin_parameter *p = find(s, bert_gradients[i].name);
        assert_non_null(p);
        double squares = 0, projection = 0;
        for (int64_t j = 0; j < p->rows * p->columns; j++) {
            squares += (double)p->grad[j] * (double)p->grad[j];
            projection += (double)p->grad[j] * cos((double)j);
        }
        double tolerance = 2e-5 * bert_gradients[i].norm + 2e-6;
        if (fabs(sqrt(squares) - bert_gradients[i].norm) > tolerance ||
            fabs(projection - bert_gradients[i].projection) > 4 * tolerance)
            fail_msg("%s: norm %.9g, projection %.9g", p->name, sqrt(squares), projection);
    }
}

static void test_ten_steps_as_pytorch(void **state)
{
    (void)state;
    scene s = make_scene(&everything, AK_GELU);
    akin_context *context;
    akin_loss *loss;
    ak_optimizer *optimizer;
    akin_optimizer_options options = akin_optimizer_defaults(AKIN_ADAMW);
    assert_int_equal(akin_context_create(&context, NULL), AKIN_OK);
    assert_int_equal(akin_loss_create(&loss, context, "multiple_negatives_ranking", NULL, NULL),
                     AKIN_OK);
    assert_int_equal(ak_loss_open(loss, TINY_HIDDEN, 0, 1, NULL), AKIN_OK);
    assert_int_equal(ak_optimizer_create(&optimizer, &options, s.parameters, NULL), AKIN_OK);
    for (int step = 0; step <= 10; step++) {
        double value = step_loss(&s, loss);
        if (fabs(value - bert_losses[step]) > 1e-4)
            fail_msg("step %d: the loss is %.9g, expected %.9g", step, value, bert_losses[step]);
        if (step == 0)
            check_golden_gradients(&s);
        ak_optimizer_step(optimizer, step, 0);
    }
    assert_false(ak_bert_train_is_base(s.bert));
    ak_optimizer_free(optimizer);
    akin_loss_free(loss);
    akin_context_free(context);
    drop_scene(&s);
}

/* ---- central differences ---- */

static float weight_of(int64_t i)
{
    return (float)ak_random_normal(7, 1, (uint64_t)i);
}

/* The sum of y with fixed weights: its gradient is those. */
static double weighted_sum(scene *s, const ak_tokens *tokens, int pooling, bool backward)
{
    float y[TEXTS * 6 * TINY_HIDDEN], dy[TEXTS * 6 * TINY_HIDDEN];
    int64_t columns = TINY_HIDDEN * __builtin_popcount((unsigned)pooling);
    for (int64_t i = 0; i < tokens->texts * columns; i++)
        dy[i] = weight_of(i);
    akin_matrix out = ak_matrix(y, tokens->texts, columns);
    akin_matrix slope = ak_matrix(dy, tokens->texts, columns);
    run(s, tokens, pooling, out, backward ? slope : (akin_matrix){0});
    double sum = 0;
    for (int64_t i = 0; i < tokens->texts * columns; i++)
        sum += (double)y[i] * (double)dy[i];
    return sum;
}

/* Along a random direction of every tensor. Maxima and ReLU have kinks, which only small steps pass
   by, and small steps have few digits. */
static void check_differences(const ak_tokens *tokens, int pooling, ak_activation activation,
                              double dropout)
{
    bool kinks = activation == AK_RELU || pooling == AK_POOLING_MAX;
    double width = kinks ? 2e-4 : 4e-3, tolerance = kinks ? 0.05 : 0.01;
    ak_bert_train_options options = everything;
    options.dropout = dropout;
    scene s = make_scene(&options, activation);
    weighted_sum(&s, tokens, pooling, true);
    for (int i = 0; i < ak_parameters_count(s.parameters); i++) {
        akin_parameter *p = akin_parameters_get(s.parameters, i);
        int64_t size = p->rows * p->columns;
        double sums[2], slope = 0, length = 0;
        for (int side = 0; side < 2; side++) {
            double sign = side ? -1 : 1;
            for (int64_t j = 0; j < size; j++)
                p->value[j] += (float)(sign * width) * weight_of(j + i);
            sums[side] = weighted_sum(&s, tokens, pooling, false);
            ak_bert_train_start(s.bert);
        }
        for (int64_t j = 0; j < size; j++) {
            slope += (double)p->grad[j] * (double)weight_of(j + i);
            length += (double)p->grad[j] * (double)p->grad[j];
        }
        double difference = (sums[0] - sums[1]) / (2 * width);
        if (fabs(difference - slope) > tolerance * (sqrt(length) + 1))
            fail_msg("pooling %d, activation %d, %s: slope %g, difference %g", pooling,
                     (int)activation, p->name, slope, difference);
    }
    drop_scene(&s);
}

static void test_differences(void **state)
{
    (void)state;
    static const int32_t skip[TEXTS] = {1, 0, 2, 0, 3, 1, 0, 4};
    ak_tokens prompted = texts;
    prompted.skip = skip;
    for (int kind = 1; kind <= AK_POOLING_LAST_TOKEN; kind <<= 1)
        check_differences(&prompted, kind, AK_GELU, 0);
    check_differences(&texts, AK_POOLING_MEAN | AK_POOLING_CLS, AK_GELU_TANH, 0);
    check_differences(&texts, AK_POOLING_MEAN, AK_SILU, 0.2);
    check_differences(&texts, AK_POOLING_MEAN, AK_GELU, 0.2);
    check_differences(&texts, AK_POOLING_MEAN, AK_RELU, 0);
}

/* ---- promises ---- */

static float *gradients(const ak_bert_train_options *options, int64_t *size)
{
    scene s = make_scene(options, AK_GELU);
    weighted_sum(&s, &texts, AK_POOLING_MEAN, true);
    *size = ak_parameters_size(s.parameters);
    float *copy = malloc((size_t)*size * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, ak_parameters_grads(s.parameters), (size_t)*size * sizeof *copy);
    drop_scene(&s);
    return copy;
}

static void test_same_bits(void **state)
{
    (void)state;
    ak_bert_train_options options = everything;
    int64_t size;
    options.dropout = -1; /* the config's */
    omp_set_num_threads(1);
    float *one = gradients(&options, &size);
    for (int variant = 0; variant < 3; variant++) {
        omp_set_num_threads(variant == 1 ? 3 : 2);
        options.recompute = variant == 2;
        float *other = gradients(&options, &size);
        assert_memory_equal(one, other, (size_t)size * sizeof *one);
        free(other);
    }
    options.dropout = 0;
    float *undropped = gradients(&options, &size);
    assert_memory_not_equal(one, undropped, (size_t)size * sizeof *one);
    free(undropped);
    free(one);
}

static void check_part(const ak_bert_train_options *options, int count, const char *const *absent)
{
    scene part = make_scene(options, AK_GELU), whole = make_scene(&everything, AK_GELU);
    weighted_sum(&part, &texts, AK_POOLING_MEAN, true);
    weighted_sum(&whole, &texts, AK_POOLING_MEAN, true);
    assert_int_equal(ak_parameters_count(part.parameters), count);
    for (; *absent; absent++)
        assert_null(find(&part, *absent));
    for (int i = 0; i < count; i++) {
        const akin_parameter *p = akin_parameters_get(part.parameters, i);
        const akin_parameter *q = find(&whole, p->name);
        for (int64_t j = 0; j < p->rows * p->columns; j++)
            if (fabsf(p->grad[j] - q->grad[j]) > 1e-4f * (1 + fabsf(q->grad[j])))
                fail_msg("%s[%lld]: %g, not %g", p->name, (long long)j, (double)p->grad[j],
                         (double)q->grad[j]);
    }
    drop_scene(&part);
    drop_scene(&whole);
}

static void test_parts(void **state)
{
    (void)state;
    ak_bert_train_options options = everything;
    options.tables = false;
    check_part(&options, 2 + 16 * TINY_LAYERS,
               (const char *[]){"embeddings.word_embeddings.weight", NULL});
    options.layers = 1;
    check_part(
        &options, 16,
        (const char *[]){"embeddings.LayerNorm.bias", "encoder.layer.0.output.dense.weight", NULL});
    options.recompute = true;
    check_part(&options, 16, (const char *[]){NULL});
    options = everything;
    options.freeze = "*.bias, *.key.weight,embeddings.*";
    check_part(&options, 14,
               (const char *[]){"encoder.layer.1.attention.self.key.weight",
                                "embeddings.LayerNorm.weight", NULL});
    options.freeze = "*";
    check_part(&options, 0, (const char *[]){NULL});
}

/* Only A and B are trained; at first the sums are exactly the base; gradients by differences. */
static void test_lora(void **state)
{
    (void)state;
    ak_bert_train_options options = everything;
    options.lora_rank = 3;
    options.lora_alpha = 6;
    options.lora_targets = "*.query.weight,*.output.dense.weight";
    scene s = make_scene(&options, AK_GELU), plain = make_scene(&everything, AK_GELU);
    assert_int_equal(ak_parameters_count(s.parameters), 3 * 2 * TINY_LAYERS);
    assert_true(ak_bert_train_is_base(s.bert));
    assert_true(weighted_sum(&s, &texts, AK_POOLING_MEAN, false) ==
                weighted_sum(&plain, &texts, AK_POOLING_MEAN, false));
    float *values = ak_parameters_values(s.parameters);
    for (int64_t i = 0; i < ak_parameters_size(s.parameters); i++)
        values[i] += 0.1f * weight_of(i);
    assert_false(ak_bert_train_is_base(s.bert));
    weighted_sum(&s, &texts, AK_POOLING_MEAN, true);
    for (int i = 0; i < ak_parameters_count(s.parameters); i++) {
        akin_parameter *p = akin_parameters_get(s.parameters, i);
        double sums[2], slope = 0;
        for (int side = 0; side < 2; side++) {
            for (int64_t j = 0; j < p->rows * p->columns; j++)
                p->value[j] += (side ? -8e-3f : 4e-3f) * weight_of(j + i);
            sums[side] = weighted_sum(&s, &texts, AK_POOLING_MEAN, false);
        }
        for (int64_t j = 0; j < p->rows * p->columns; j++) {
            p->value[j] += 4e-3f * weight_of(j + i);
            slope += (double)p->grad[j] * (double)weight_of(j + i);
        }
        double difference = (sums[0] - sums[1]) / 8e-3;
        if (fabs(difference - slope) > 0.02 * (fabs(slope) + 1))
            fail_msg("%s: slope %g, difference %g", p->name, slope, difference);
    }
    drop_scene(&s);
    drop_scene(&plain);
}

/* What a stem gives can stand for the layers below, to the bit; and it is really used. */
static void test_stems(void **state)
{
    (void)state;
    enum { TOKENS = 57 };
    ak_bert_train_options options = everything;
    float rows[TOKENS * TINY_HIDDEN];
    options.layers = 1;
    options.dropout = 0.3; /* of what is trained */
    scene s = make_scene(&options, AK_GELU);
    assert_true(ak_bert_train_has_stem(s.bert));
    double sum = weighted_sum(&s, &texts, AK_POOLING_MEAN, true);
    int64_t size = ak_parameters_size(s.parameters);
    float *grads = malloc((size_t)size * sizeof *grads);
    assert_non_null(grads);
    memcpy(grads, ak_parameters_grads(s.parameters), (size_t)size * sizeof *grads);
    assert_int_equal(ak_bert_train_stem(s.bert, &s.pass, &texts, rows, NULL), AKIN_OK);
    ak_tokens given = texts;
    given.entry = rows;
    ak_parameters_zero_grads(s.parameters);
    assert_true(weighted_sum(&s, &given, AK_POOLING_MEAN, true) == sum);
    assert_memory_equal(ak_parameters_grads(s.parameters), grads, (size_t)size * sizeof *grads);
    rows[5] += 1;
    assert_true(weighted_sum(&s, &given, AK_POOLING_MEAN, false) != sum);
    free(grads);
    drop_scene(&s);
    s = make_scene(&everything, AK_GELU);
    assert_false(ak_bert_train_has_stem(s.bert));
    drop_scene(&s);
}

static void test_learning_rates(void **state)
{
    (void)state;
    ak_bert_train_options options = everything;
    options.lr_factor = 0.5;
    options.layer_decay = 0.8;
    scene s = make_scene(&options, AK_GELU);
    assert_float_equal(find(&s, "encoder.layer.1.output.dense.weight")->lr_factor, 0.5, 1e-12);
    assert_float_equal(find(&s, "encoder.layer.0.output.dense.bias")->lr_factor, 0.4, 1e-12);
    assert_float_equal(find(&s, "embeddings.LayerNorm.bias")->lr_factor, 0.32, 1e-12);
    assert_true(find(&s, "encoder.layer.1.output.dense.weight")->decay);
    assert_false(find(&s, "encoder.layer.1.output.dense.bias")->decay);
    assert_false(find(&s, "encoder.layer.1.output.LayerNorm.weight")->decay);
    drop_scene(&s);
}

/* What serves and what validates agree, one text at a time as well. */
static void test_forward_as_served(void **state)
{
    (void)state;
    scene s = make_scene(&everything, AK_GELU);
    ak_safetensors *weights;
    ak_bert *bert;
    ak_bert_config config = tiny_config(AK_GELU);
    float y[TEXTS * 6 * TINY_HIDDEN], z[TEXTS * 6 * TINY_HIDDEN];
    int64_t columns = 6 * TINY_HIDDEN;
    assert_int_equal(ak_safetensors_open(&weights, path, NULL), AKIN_OK);
    assert_int_equal(ak_bert_create(&bert, &config, weights, "tiny", AKIN_F32, NULL), AKIN_OK);
    ak_safetensors_free(weights);
    assert_int_equal(ak_bert_forward(bert, &texts, ALL, ak_matrix(y, TEXTS, columns), NULL),
                     AKIN_OK);
    s.pass.training = false;
    run(&s, &texts, ALL, ak_matrix(z, TEXTS, columns), (akin_matrix){0});
    for (int64_t i = 0; i < TEXTS * columns; i++)
        assert_true(fabsf(y[i] - z[i]) < 2e-5f);
    for (int64_t i = 0; i < TEXTS; i++) {
        ak_tokens one = {.texts = 1, .ids = ids, .start = start + i};
        run(&s, &one, ALL, ak_matrix(y, 1, columns), (akin_matrix){0});
        assert_memory_equal(y, z + i * columns, (size_t)columns * sizeof *y);
    }
    ak_bert_free(bert);
    drop_scene(&s);
}

static void test_smallest_batches(void **state)
{
    (void)state;
    scene s = make_scene(&everything, AK_GELU);
    ak_tokens one = {.texts = 1, .ids = ids, .start = start + 1}, none = {.texts = 0};
    assert_true(isfinite(weighted_sum(&s, &one, AK_POOLING_MEAN, true)));
    assert_true(ak_parameters_grad_norm(s.parameters) > 0);
    void *record;
    assert_int_equal(
        ak_bert_train_forward(s.bert, &s.pass, &none, 1, (akin_matrix){0}, &record, NULL), AKIN_OK);
    ak_bert_train_backward(s.bert, &s.pass, &none, 1, record, (akin_matrix){0});
    drop_scene(&s);
}

/* ---- errors ---- */

static void write_changed(const char *file, const char *from, const char *to, bool leave_out)
{
    ak_safetensors *weights;
    ak_tensor tensors[TINY_TENSORS + 1];
    int64_t count = 0;
    assert_int_equal(ak_safetensors_open(&weights, path, NULL), AKIN_OK);
    for (int64_t i = 0; i < ak_safetensors_count(weights); i++) {
        tensors[count] = *ak_safetensors_at(weights, i);
        if (strcmp(tensors[count].name, from) == 0) {
            tensors[count + 1] = tensors[count];
            count += !leave_out;
            tensors[count].name = to;
        }
        count++;
    }
    assert_int_equal(ak_safetensors_write(file, tensors, count, NULL, NULL), AKIN_OK);
    ak_safetensors_free(weights);
}

static void test_other_checkpoints(void **state)
{
    (void)state;
    static const char bias[] = "encoder.layer.1.output.dense.bias";
    static const struct {
        const char *to;
        bool leave_out;
        akin_status status;
        const char *part;
    } cases[] = {
        {"pooler.dense.bias", false, AKIN_OK, ""},
        {"cls.predictions.bias", false, AKIN_OK, ""},
        {"encoder.layer.2.output.dense.bias", false, AKIN_ERR_MISMATCH,
         "\"encoder.layer.2.output.dense.bias\" is no part of a BERT of 2 layers"},
        {"other", true, AKIN_ERR_FORMAT, bias},
    };
    const char *file = scratch_path("changed.safetensors");
    ak_bert_config config = tiny_config(AK_GELU);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene s;
        akin_error error = {0};
        write_changed(file, bias, cases[i].to, cases[i].leave_out);
        assert_int_equal(try_make(&s, &config, file, &everything, &error), cases[i].status);
        assert_says(&error, cases[i].part);
        drop_scene(&s);
    }
    scene s;
    akin_error error = {0};
    ak_bert_train_options options = everything;
    options.layers = 3;
    assert_int_equal(try_make(&s, &config, path, &options, &error), AKIN_ERR_ARGUMENT);
    assert_says(&error, "\"trainable_layers\" is 3, but the checkpoint has 2 layers");
    drop_scene(&s);
}

static akin_status a_step(void *user, akin_error *error)
{
    (void)user;
    scene s;
    float y[TEXTS * TINY_HIDDEN];
    void *record;
    ak_bert_config config = tiny_config(AK_GELU);
    akin_status status = try_make(&s, &config, path, &everything, error);
    if (!status)
        status = ak_bert_train_forward(s.bert, &s.pass, &texts, AK_POOLING_MEAN,
                                       ak_matrix(y, TEXTS, TINY_HIDDEN), &record, error);
    if (!status)
        ak_bert_train_backward(s.bert, &s.pass, &texts, AK_POOLING_MEAN, record,
                               ak_matrix(y, TEXTS, TINY_HIDDEN));
    drop_scene(&s);
    return status;
}

static void test_without_memory(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(a_step, NULL) > 20);
}

static int set_up(void **state)
{
    const tiny_options options = {.seed = 1, .normalize = true};
    if (scratch_make(state))
        return -1;
    tiny_model(scratch_path("tiny"), &options);
    snprintf(path, sizeof path, "%s/tiny/model.safetensors", scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_steps_as_pytorch),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_learning_rates),
        cmocka_unit_test(test_stems),
        cmocka_unit_test(test_lora),
        cmocka_unit_test(test_forward_as_served),
        cmocka_unit_test(test_smallest_batches),
        cmocka_unit_test(test_other_checkpoints),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_remove);
}
