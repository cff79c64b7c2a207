/* The forward pass of a small random BERT against one written for reading, and its promises: a
   text's bits depend on nothing but the text, errors name the tensor, memory may run out. */
#include "model/bert.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    WORDS = 50,
    D = 40, /* neither this nor a head's 20 is a multiple of a vector */
    WIDE = 70,
    PLACES = 200,
    LAYERS = 2,
    HEADS = 2,
    TENSORS = 5 + 16 * LAYERS,
    TEXTS = 60,
};

static const ak_bert_config config = {
    .vocabulary = WORDS,
    .hidden = D,
    .intermediate = WIDE,
    .positions = PLACES,
    .types = 2,
    .layers = LAYERS,
    .heads = HEADS,
    .layer_norm_epsilon = 1e-12,
    .activation = AK_GELU,
};

static char folder[64], path[128];
static char names[TENSORS][96];
static ak_tensor tensors[TENSORS];
static int tensor_count;
static int64_t first_position; /* 2: a RoBERTa */

static void add_tensor(const char *prefix, const char *stem, const char *end, int64_t rows,
                       int64_t columns)
{
    int number = tensor_count++;
    snprintf(names[number], sizeof names[number], "%s%s.%s", prefix, stem, end);
    ak_tensor *tensor = &tensors[number];
    *tensor = (ak_tensor){.name = names[number],
                          .dtype = AK_DTYPE_F32,
                          .rank = columns ? 2 : 1,
                          .shape = {rows, columns},
                          .count = rows * (columns ? columns : 1)};
    float *data = malloc((size_t)tensor->count * sizeof *data);
    assert_non_null(data);
    bool gain = strstr(stem, "LayerNorm") && strcmp(end, "weight") == 0;
    for (int64_t i = 0; i < tensor->count; i++)
        data[i] = (gain ? 1 : 0) + 0.3f * (float)ak_random_normal(3, (uint64_t)number, (uint64_t)i);
    tensor->data = data;
    tensor->size = (size_t)tensor->count * sizeof *data;
}

static void add_pair(const char *prefix, const char *stem, int64_t rows, int64_t columns)
{
    add_tensor(prefix, stem, "weight", rows, columns);
    add_tensor(prefix, stem, "bias", rows, 0);
}

static void make_tensors(const char *prefix)
{
    static const struct {
        const char *stem;
        int64_t rows, columns;
    } parts[] = {
        {"attention.self.query", D, D},
        {"attention.self.key", D, D},
        {"attention.self.value", D, D},
        {"attention.output.dense", D, D},
        {"attention.output.LayerNorm", D, 0},
        {"intermediate.dense", WIDE, D},
        {"output.dense", D, WIDE},
        {"output.LayerNorm", D, 0},
    };
    tensor_count = 0;
    add_tensor(prefix, "embeddings.word_embeddings", "weight", WORDS, D);
    add_tensor(prefix, "embeddings.position_embeddings", "weight", first_position + PLACES, D);
    add_tensor(prefix, "embeddings.token_type_embeddings", "weight", 2, D);
    add_pair(prefix, "embeddings.LayerNorm", D, 0);
    for (int layer = 0; layer < LAYERS; layer++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            char stem[64];
            snprintf(stem, sizeof stem, "encoder.layer.%d.%s", layer, parts[i].stem);
            add_pair(prefix, stem, parts[i].rows, parts[i].columns);
        }
}

static void free_tensors(void)
{
    for (int i = 0; i < tensor_count; i++)
        free((void *)tensors[i].data);
    tensor_count = 0;
}

static akin_status make_bert(ak_bert **out, akin_precision precision, akin_error *error)
{
    ak_safetensors *file;
    akin_status status = ak_safetensors_open(&file, path, error);
    if (status)
        return status;
    ak_bert_config here = config;
    here.first_position = first_position;
    status = ak_bert_create(out, &here, file, path, precision, error);
    ak_safetensors_free(file); /* the model does not need it any more */
    return status;
}

static void write_file(const char *prefix, int count)
{
    make_tensors(prefix);
    assert_int_equal(ak_safetensors_write(path, tensors, count ? count : tensor_count, NULL, NULL),
                     AKIN_OK);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/akin-bert-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    write_file("", 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free_tensors();
    unlink(path);
    return rmdir(folder);
}

/* ---- the forward pass for reading: one text, double precision ---- */

static const float *find(const char *stem, const char *end)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", stem, end);
    for (int i = 0; i < tensor_count; i++)
        if (strcmp(names[i], name) == 0)
            return tensors[i].data;
    fail_msg("no tensor %s", name);
    return NULL;
}

static void plain_norm(double *x, int64_t n, const char *stem)
{
    const float *gain = find(stem, "weight"), *shift = find(stem, "bias");
    for (int64_t i = 0; i < n; i++, x += D) {
        double mean = 0, variance = 0;
        for (int j = 0; j < D; j++)
            mean += x[j] / D;
        for (int j = 0; j < D; j++)
            variance += (x[j] - mean) * (x[j] - mean) / D;
        for (int j = 0; j < D; j++)
            x[j] = (x[j] - mean) / sqrt(variance + config.layer_norm_epsilon) * (double)gain[j] +
                   (double)shift[j];
    }
}

static void plain_linear(const double *x, int64_t n, int in, int out, int layer, const char *part,
                         double *y)
{
    char stem[96];
    snprintf(stem, sizeof stem, "encoder.layer.%d.%s", layer, part);
    const float *weight = find(stem, "weight"), *bias = find(stem, "bias");
    for (int64_t i = 0; i < n; i++)
        for (int o = 0; o < out; o++) {
            double sum = (double)bias[o];
            for (int j = 0; j < in; j++)
                sum += x[i * in + j] * (double)weight[o * in + j];
            y[i * out + o] = sum;
        }
}

static void plain_attention(const double *q, const double *k, const double *v, int64_t n, double *y)
{
    enum { DIM = D / HEADS };
    for (int64_t i = 0; i < n; i++)
        for (int head = 0; head < HEADS; head++) {
            double total = 0, *out = y + i * D + head * DIM;
            memset(out, 0, DIM * sizeof *out);
            for (int64_t j = 0; j < n; j++) {
                double score = 0;
                for (int c = head * DIM; c < (head + 1) * DIM; c++)
                    score += q[i * D + c] * k[j * D + c] / sqrt(DIM);
                double weight = exp(score);
                total += weight;
                for (int c = 0; c < DIM; c++)
                    out[c] += weight * v[j * D + head * DIM + c];
            }
            for (int c = 0; c < DIM; c++)
                out[c] /= total;
        }
}

/* x: n x D, filled with the last layer's output. */
static void plain_forward(const int32_t *ids, int64_t n, double *x)
{
    enum { MOST = PLACES };
    static double q[MOST * D], k[MOST * D], v[MOST * D], y[MOST * D], wide[MOST * WIDE];
    const float *words = find("embeddings.word_embeddings", "weight");
    const float *places =
        (const float *)find("embeddings.position_embeddings", "weight") + first_position * D;
    const float *types = find("embeddings.token_type_embeddings", "weight");
    char stem[96];
    for (int64_t i = 0; i < n * D; i++)
        x[i] = (double)words[ids[i / D] * D + i % D] + (double)places[i] + (double)types[i % D];
    plain_norm(x, n, "embeddings.LayerNorm");
    for (int layer = 0; layer < LAYERS; layer++) {
        plain_linear(x, n, D, D, layer, "attention.self.query", q);
        plain_linear(x, n, D, D, layer, "attention.self.key", k);
        plain_linear(x, n, D, D, layer, "attention.self.value", v);
        plain_attention(q, k, v, n, y);
        plain_linear(y, n, D, D, layer, "attention.output.dense", q);
        for (int64_t i = 0; i < n * D; i++)
            x[i] += q[i];
        snprintf(stem, sizeof stem, "encoder.layer.%d.attention.output.LayerNorm", layer);
        plain_norm(x, n, stem);
        plain_linear(x, n, D, WIDE, layer, "intermediate.dense", wide);
        for (int64_t i = 0; i < n * WIDE; i++)
            wide[i] = 0.5 * wide[i] * (1 + erf(wide[i] / sqrt(2)));
        plain_linear(wide, n, WIDE, D, layer, "output.dense", q);
        for (int64_t i = 0; i < n * D; i++)
            x[i] += q[i];
        snprintf(stem, sizeof stem, "encoder.layer.%d.output.LayerNorm", layer);
        plain_norm(x, n, stem);
    }
}

/* All six poolings side by side, as sentence-transformers defines them. */
static void plain_pooling(const double *x, int64_t n, int64_t skip, double *y)
{
    for (int j = 0; j < D; j++) {
        double most = -INFINITY, sum = 0, weighted = 0, weights = 0;
        for (int64_t i = skip; i < n; i++) {
            double value = x[i * D + j];
            most = fmax(most, value);
            sum += value;
            weighted += (double)(i + 1) * value;
            weights += (double)(i + 1);
        }
        double count = (double)(n - skip);
        const double all[] = {
            x[j], most, sum / count, sum / sqrt(count), weighted / weights, x[(n - 1) * D + j]};
        for (int kind = 0; kind < 6; kind++)
            y[kind * D + j] = all[kind];
    }
}

/* ---- texts of many lengths ---- */

enum { ALL_POOLINGS = 63, WIDTH = 6 * D };

static int32_t ids[TEXTS * PLACES], skips[TEXTS];
static int64_t starts[TEXTS + 1];
static float vectors[TEXTS * WIDTH];

static ak_tokens make_texts(void)
{
    static const int64_t lengths[] = {1, 14, 2, 33, 5, PLACES, 8, 17, 12, 64, 3, 129};
    for (int i = 0; i < TEXTS; i++) {
        starts[i + 1] = starts[i] + lengths[i % 12];
        skips[i] = lengths[i % 12] > 4 ? i % 3 : 0;
    }
    for (int64_t i = 0; i < starts[TEXTS]; i++)
        ids[i] = (int32_t)ak_random_below(5, 0, (uint64_t)i, WORDS);
    return (ak_tokens){.texts = TEXTS, .ids = ids, .start = starts, .skip = skips};
}

static akin_matrix matrix(float *data, int64_t rows)
{
    return (akin_matrix){.data = data, .rows = rows, .columns = WIDTH, .stride = WIDTH};
}

static void check_values(akin_precision precision, double tolerance)
{
    ak_bert *bert;
    ak_tokens tokens = make_texts();
    assert_int_equal(make_bert(&bert, precision, NULL), AKIN_OK);
    assert_int_equal(ak_bert_forward(bert, &tokens, ALL_POOLINGS, matrix(vectors, TEXTS), NULL),
                     AKIN_OK);
    static double x[PLACES * D], expected[WIDTH];
    for (int i = 0; i < TEXTS; i++) {
        int64_t n = starts[i + 1] - starts[i];
        plain_forward(ids + starts[i], n, x);
        plain_pooling(x, n, skips[i], expected);
        for (int j = 0; j < WIDTH; j++) {
            double scale = j / D == 3 ? sqrt((double)n) : 1; /* mean_sqrt_length grows */
            if (!(fabs((double)vectors[i * WIDTH + j] - expected[j]) <= tolerance * scale))
                fail_msg("text %d column %d: %.8g, expected %.8g", i, j,
                         (double)vectors[i * WIDTH + j], expected[j]);
        }
    }
    ak_bert_free(bert);
}

static void test_values(void **state)
{
    (void)state;
    check_values(AKIN_F32, 3e-5);
    check_values(AKIN_BF16, 0.15); /* inputs have 8 bits; the values are about 1 */
}

static void test_positions_behind_padding(void **state)
{
    (void)state;
    free_tensors();
    first_position = 2;
    write_file("", 0);
    check_values(AKIN_F32, 3e-5);
    free_tensors();
    first_position = 0;
    write_file("", 0);
}

static void check_bits(akin_precision precision)
{
    static float one[WIDTH], some[TEXTS * WIDTH];
    int threads = omp_get_max_threads();
    ak_bert *bert;
    ak_tokens all = make_texts();
    assert_int_equal(make_bert(&bert, precision, NULL), AKIN_OK);
    assert_int_equal(ak_bert_forward(bert, &all, ALL_POOLINGS, matrix(vectors, TEXTS), NULL),
                     AKIN_OK);
    for (int count = 1; count <= 4; count++) {
        omp_set_num_threads(count);
        assert_int_equal(ak_bert_forward(bert, &all, ALL_POOLINGS, matrix(some, TEXTS), NULL),
                         AKIN_OK);
        assert_memory_equal(some, vectors, sizeof vectors);
        for (int i = 0; i < TEXTS; i++) { /* alone: all threads are one team */
            ak_tokens text = {.texts = 1, .ids = ids, .start = starts + i, .skip = skips + i};
            assert_int_equal(ak_bert_forward(bert, &text, ALL_POOLINGS, matrix(one, 1), NULL),
                             AKIN_OK);
            assert_memory_equal(one, vectors + i * WIDTH, sizeof one);
        }
    }
    omp_set_num_threads(threads);
    ak_bert_free(bert);
}

static void test_bits(void **state)
{
    (void)state;
    check_bits(AKIN_F32);
    check_bits(AKIN_BF16);
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    ak_bert *bert;
    ak_tokens tokens = make_texts();
    assert_int_equal(make_bert(&bert, AKIN_F32, NULL), AKIN_OK);
    assert_int_equal(ak_bert_forward(bert, &tokens, ALL_POOLINGS, matrix(vectors, TEXTS), NULL),
                     AKIN_OK);
    ak_memory_fail_at(0);
    assert_int_equal(ak_bert_forward(bert, &tokens, ALL_POOLINGS, matrix(vectors, TEXTS), NULL),
                     AKIN_OK);
    assert_int_equal(ak_memory_fail_at(0), 0);
    ak_bert_free(bert);
}

static void test_without_memory(void **state)
{
    (void)state;
    akin_error error;
    ak_tokens tokens = make_texts();
    for (int64_t n = 1; n < 10000; n++) {
        ak_bert *bert = NULL;
        ak_memory_fail_at(n);
        akin_status status = make_bert(&bert, AKIN_F32, &error);
        if (status == AKIN_OK)
            status = ak_bert_forward(bert, &tokens, AK_POOLING_MEAN,
                                     (akin_matrix){vectors, TEXTS, D, D}, &error);
        ak_memory_fail_at(0);
        ak_bert_free(bert);
        if (status == AKIN_OK)
            return;
        assert_int_equal(status, AKIN_ERR_MEMORY);
    }
    fail_msg("never enough memory");
}

static void test_bad_input(void **state)
{
    (void)state;
    akin_error error;
    ak_bert *bert;
    assert_int_equal(make_bert(&bert, AKIN_F32, NULL), AKIN_OK);
    static const int64_t start[] = {0, PLACES + 1}, empty[] = {0, 0};
    ak_tokens too_long = {.texts = 1, .ids = ids, .start = start};
    ak_tokens no_token = {.texts = 1, .ids = ids, .start = empty}, nothing = {.start = empty};
    akin_matrix y = matrix(vectors, 1);
    assert_int_equal(ak_bert_forward(bert, &too_long, ALL_POOLINGS, y, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "201 tokens"));
    assert_int_equal(ak_bert_forward(bert, &no_token, ALL_POOLINGS, y, &error), AKIN_ERR_ARGUMENT);
    assert_int_equal(ak_bert_forward(bert, &nothing, ALL_POOLINGS, y, &error), AKIN_OK);
    ak_bert_free(bert);
    ak_bert_free(NULL);
}

static void test_names(void **state)
{
    (void)state;
    akin_error error;
    ak_bert *bert;
    free_tensors();
    static const char *const prefixes[] = {"bert.", "roberta."};
    for (int i = 0; i < 2; i++) { /* as checkpoints of a task on top name them */
        write_file(prefixes[i], 0);
        assert_int_equal(make_bert(&bert, AKIN_F32, &error), AKIN_OK);
        ak_bert_free(bert);
        free_tensors();
    }
    write_file("", 20);
    assert_int_equal(make_bert(&bert, AKIN_F32, &error), AKIN_ERR_FORMAT);
    assert_null(bert);
    assert_non_null(strstr(error.message, "encoder.layer.0.output.LayerNorm"));
    free_tensors();
    write_file("", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_positions_behind_padding),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
