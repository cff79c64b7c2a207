/* Training a small random BERT: central differences for every pooling and activation with dropout
   (test_family.c has PyTorch's gradients), and what training promises:
   the same bits for any number of threads and when activations are computed again, frozen parts
   that stay frozen, errors that name the tensor, memory that may run out. */
#include "bert_scene.h"

#include <omp.h>

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

static float *gradients(const ak_bert_train_options *options, akin_precision precision,
                        int64_t *size)
{
    scene s = make_scene(options, AK_GELU);
    s.pass.precision = precision;
    weighted_sum(&s, &texts, AK_POOLING_MEAN, true);
    *size = ak_parameters_size(s.parameters);
    float *copy = malloc((size_t)*size * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, ak_parameters_grads(s.parameters), (size_t)*size * sizeof *copy);
    drop_scene(&s);
    return copy;
}

static void check_same_bits(akin_precision precision)
{
    ak_bert_train_options options = everything;
    int64_t size;
    options.dropout = -1; /* the config's */
    omp_set_num_threads(1);
    float *one = gradients(&options, precision, &size);
    for (int variant = 0; variant < 3; variant++) {
        omp_set_num_threads(variant == 1 ? 3 : 2);
        options.recompute = variant == 2;
        float *other = gradients(&options, precision, &size);
        assert_memory_equal(one, other, (size_t)size * sizeof *one);
        free(other);
    }
    options.dropout = 0;
    float *undropped = gradients(&options, precision, &size);
    assert_memory_not_equal(one, undropped, (size_t)size * sizeof *one);
    free(undropped);
    free(one);
}

static void test_same_bits(void **state)
{
    (void)state;
    check_same_bits(AKIN_F32);
    check_same_bits(AKIN_BF16);
}

/* bfloat16 has 8 bits: a gradient goes the same way, and nearly as far. */
static void check_near(const float *near, const float *exact, int64_t size)
{
    double difference = 0, length = 0;
    for (int64_t i = 0; i < size; i++) {
        difference += ((double)near[i] - (double)exact[i]) * ((double)near[i] - (double)exact[i]);
        length += (double)exact[i] * (double)exact[i];
    }
    if (!(difference < 0.03 * 0.03 * length) || difference == 0)
        fail_msg("the gradient is off by %g of its length", sqrt(difference / length));
}

static int64_t memory_of_forward(akin_precision precision)
{
    scene s = make_scene(&everything, AK_GELU);
    float y[TEXTS * TINY_HIDDEN];
    void *record;
    s.pass.precision = precision;
    assert_int_equal(ak_bert_train_forward(s.bert, &s.pass, &texts, AK_POOLING_MEAN,
                                           ak_matrix(y, TEXTS, TINY_HIDDEN), &record, NULL),
                     AKIN_OK);
    int64_t used = (int64_t)ak_arena_used(s.arena);
    drop_scene(&s);
    return used;
}

static void test_bf16(void **state)
{
    (void)state;
    ak_bert_train_options options = everything;
    int64_t size;
    options.dropout = 0.1;
    float *exact = gradients(&options, AKIN_F32, &size);
    float *near = gradients(&options, AKIN_BF16, &size);
    check_near(near, exact, size);
    free(exact);
    free(near);
    assert_true(memory_of_forward(AKIN_BF16) < memory_of_forward(AKIN_F32));
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
         "\"encoder.layer.2.output.dense.bias\" is no part of BERT with 2 layers"},
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

/* The checkpoint with one number of a tensor that is not finite. */
static void write_poisoned(const char *file, const char *name, float poison)
{
    ak_safetensors *weights;
    ak_tensor tensors[TINY_TENSORS];
    float *values = NULL;
    assert_int_equal(ak_safetensors_open(&weights, path, NULL), AKIN_OK);
    int64_t count = ak_safetensors_count(weights);
    for (int64_t i = 0; i < count; i++) {
        tensors[i] = *ak_safetensors_at(weights, i);
        if (strcmp(tensors[i].name, name) != 0)
            continue;
        values = ak_alloc((size_t)tensors[i].count * sizeof *values);
        assert_true(ak_tensor_convert(&tensors[i], values));
        values[7] = poison;
        ak_tensor_replace(&tensors[i], values);
    }
    assert_non_null(values);
    assert_int_equal(ak_safetensors_write(file, tensors, count, NULL, NULL), AKIN_OK);
    ak_free(values);
    ak_safetensors_free(weights);
}

static void test_poisoned_checkpoints(void **state)
{
    (void)state;
    static const struct {
        const char *name, *part;
        float poison;
        bool serves; /* tables are not read as a whole to serve */
    } cases[] = {
        {"embeddings.word_embeddings.weight", "holds nan (its number 7)", NAN, true},
        {"embeddings.LayerNorm.bias", "holds nan (its number 7)", NAN, false},
        {"encoder.layer.1.output.dense.weight", "holds an infinity", -INFINITY, false},
    };
    const char *file = scratch_path("poisoned.safetensors");
    ak_bert_config config = tiny_config(AK_GELU);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene s;
        ak_bert *bert;
        ak_safetensors *weights;
        akin_error error = {0};
        write_poisoned(file, cases[i].name, cases[i].poison);
        assert_int_equal(try_make(&s, &config, file, &everything, &error), AKIN_ERR_FORMAT);
        assert_says(&error, cases[i].name);
        assert_says(&error, cases[i].part);
        drop_scene(&s);
        assert_int_equal(ak_safetensors_open(&weights, file, NULL), AKIN_OK);
        akin_status status = ak_bert_create(&bert, &config, weights, file, AKIN_F32, &error);
        assert_int_equal(status, cases[i].serves ? AKIN_OK : AKIN_ERR_FORMAT);
        ak_bert_free(bert);
        ak_safetensors_free(weights);
    }
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
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_learning_rates),
        cmocka_unit_test(test_stems),
        cmocka_unit_test(test_lora),
        cmocka_unit_test(test_forward_as_served),
        cmocka_unit_test(test_smallest_batches),
        cmocka_unit_test(test_other_checkpoints),
        cmocka_unit_test(test_poisoned_checkpoints),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_remove);
}
