/* A small random BERT, or another of its family, in training: for tests of gradients and of what
   training promises. */
#ifndef AK_TESTS_BERT_SCENE_H
#define AK_TESTS_BERT_SCENE_H

#include "support.h"

#include "model/bert.h"
#include "nn/nn.h"
#include "tiny_model.h"

#include <math.h>

enum { PAIRS = 4, TEXTS = 2 * PAIRS, ALL = 63 }; /* ALL: every pooling */

/* The texts of make_bert_golden.py: a_0 .. a_3, b_0 .. b_3. */
static const int32_t ids[] = {2,  23, 28, 3,  2,  2,  40, 41, 42, 43, 10, 11, 12, 13, 3,
                              2,  5,  6,  3,  2,  23, 29, 30, 31, 3,  2,  50, 51, 3,  2,
                              44, 45, 46, 47, 48, 49, 3,  2,  7,  8,  9,  20, 21, 22, 23,
                              24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 3};
static const int64_t start[] = {0, 4, 5, 15, 19, 25, 29, 37, 57};
static const ak_tokens texts = {.texts = TEXTS, .ids = ids, .start = start};

static char path[300]; /* the checkpoint, and what its config.json says */
static ak_architecture architecture;
static int64_t first_position;

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
    return (ak_bert_config){.architecture = architecture,
                            .vocabulary = TINY_WORDS,
                            .hidden = TINY_HIDDEN,
                            .intermediate = TINY_WIDE,
                            .positions = TINY_POSITIONS,
                            .first_position = first_position,
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
    double width = kinks ? 2e-4 : 1e-3, tolerance = kinks ? 0.05 : 0.01;
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

#endif
