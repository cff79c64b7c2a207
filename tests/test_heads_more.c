/* heads of several layers: against float64 references, all gradients by central differences, and
   through a saved model. */
#include "support.h"

#include "heads_scene.h"

#include "model/model.h"
#include "model/stack.h"

/* ---- references in float64: a row at a time ---- */

static double activated(int choice, double z)
{
    switch (choice) {
    case 0:
        return z > 0 ? z : 0;
    case 1:
        return z * (1 + erf(z / sqrt(2))) / 2;
    case 2:
        return z * (1 + tanh(sqrt(2 / M_PI) * (z + .044715 * z * z * z))) / 2;
    case 3:
        return z / (1 + exp(-z));
    case 4:
        return tanh(z);
    default:
        return 1 / (1 + exp(-z));
    }
}

/* widths: of the layers' outputs. */
static void row_stack(const reference *r, const int64_t *widths, int count, int choice, double *x,
                      double *y)
{
    const double *w = r->p;
    double in[128];
    int64_t d = r->in;
    memcpy(in, x, (size_t)d * sizeof *in);
    for (int k = 0; k < count; k++) {
        const double *b = w + widths[k] * d;
        for (int64_t o = 0; o < widths[k]; o++) {
            y[o] = b[o];
            for (int64_t j = 0; j < d; j++)
                y[o] += w[o * d + j] * in[j];
        }
        for (int64_t o = 0; o < widths[k] && k + 1 < count; o++)
            in[o] = activated(choice, y[o]);
        d = widths[k];
        w = b + d;
    }
}

/* `layers` of a case is the number of its activation, `rank` the width in the middle. */
static void row_widening(const reference *r, int64_t i, double *x, double *y)
{
    double wide[128];
    (void)i;
    row_stack(r, (int64_t[]){r->rank, r->in}, 2, r->layers, x, wide);
    memcpy(y, wide, (size_t)r->in * sizeof *y);
}

static void row_one_layer(const reference *r, int64_t i, double *x, double *y)
{
    (void)i;
    row_stack(r, &r->out, 1, 0, x, y);
}

static void row_projection(const reference *r, int64_t i, double *x, double *y)
{
    double wide[128];
    (void)i;
    row_stack(r, (int64_t[]){11, 4, 6}, 3, r->layers, x, wide);
    memcpy(y, wide, (size_t)r->out * sizeof *y);
}

/* `layers` of a case is the number of groups, `rank` their size. */
static void row_softmax(const reference *r, int64_t i, double *x, double *y)
{
    (void)i;
    row_stack(r, &r->out, 1, 0, x, y);
    for (int g = 0; g < r->layers; g++, y += r->rank) {
        double sum = 0;
        for (int k = 0; k < r->rank; k++)
            sum += y[k] = exp(y[k]);
        for (int k = 0; k < r->rank; k++)
            y[k] /= sum;
    }
}

static const head_case cases[] = {
    {"widening", "widening", {{0}}, 6, 7, row_widening, 0, 28},
    {"widening, dropout", "widening", {{"dropout", "0.3"}}, 6, 7, row_widening, 0, 28},
    {"widening, gelu", "widening", {{"activation", "gelu"}}, 6, 7, row_widening, 1, 28},
    {"widening, gelu_tanh", "widening", {{"activation", "gelu_tanh"}}, 6, 7, row_widening, 2, 28},
    {"widening, 1.5",
     "widening",
     {{"expansion_factor", "1.5"}, {"activation", "silu"}},
     6,
     9,
     row_widening,
     3,
     13},
    {"widening, tanh",
     "widening",
     {{"expansion_factor", "2"}, {"activation", "tanh"}},
     6,
     9,
     row_widening,
     4,
     18},
    {"widening, narrower",
     "widening",
     {{"expansion_factor", "0.05"}, {"activation", "sigmoid"}},
     6,
     9,
     row_widening,
     5,
     1},
    {"stacked_projection", "stacked_projection", {{0}}, 6, 8, row_one_layer, 0, 0},
    {"stacked_projection, one layer",
     "stacked_projection",
     {{"output_sizes", "5"}, {"dropout", "0.2"}},
     6,
     8,
     row_one_layer,
     0,
     0},
    {"stacked_projection, three layers",
     "stacked_projection",
     {{"output_sizes", "11,4,6"}},
     6,
     8,
     row_projection,
     0,
     0},
    {"stacked_projection, silu, dropout",
     "stacked_projection",
     {{"output_sizes", "[11, 4, 6]"}, {"activation", "silu"}, {"dropout", "0.3"}},
     6,
     8,
     row_projection,
     3,
     0},
    {"softmax_embeddings",
     "softmax_embeddings",
     {{"groups", "3"}, {"size", "5"}},
     6,
     8,
     row_softmax,
     3,
     5},
    {"softmax_embeddings, dropout",
     "softmax_embeddings",
     {{"groups", "1"}, {"size", "19"}, {"dropout", "0.3"}},
     6,
     8,
     row_softmax,
     1,
     19},
    {"softmax_embeddings, pairs",
     "softmax_embeddings",
     {{"groups", "9"}, {"size", "2"}},
     6,
     8,
     row_softmax,
     9,
     2},
};
enum { CASES = sizeof cases / sizeof *cases };

#include "heads_checks.h"

/* ---- shapes, first values, what a recipe may not say ---- */

static void test_initial_values(void **state)
{
    (void)state;
    fixture f;
    must_open(&f, "widening", NULL, 100);
    assert_int_equal(f.out, 100);
    static const struct {
        const char *name;
        int64_t rows, columns;
        float bound;
    } expected[] = {{"layers.0.weight", 400, 100, .1f},
                    {"layers.0.bias", 1, 400, .1f},
                    {"layers.1.weight", 100, 400, .05f},
                    {"layers.1.bias", 1, 100, .05f}};
    assert_int_equal(ak_parameters_count(f.parameters), 4);
    for (int p = 0; p < 4; p++) {
        akin_parameter *one = akin_parameters_get(f.parameters, p);
        assert_string_equal(one->name, expected[p].name);
        assert_int_equal(one->rows, expected[p].rows);
        assert_int_equal(one->columns, expected[p].columns);
        assert_int_equal(one->decay, p % 2 == 0);
        float largest = ak_maximum(one->value, one->rows * one->columns);
        assert_true(largest <= expected[p].bound && largest > .9f * expected[p].bound);
    }
    fixture_close(&f);
}

static void test_option_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *type, *options, *message;
    } bad[] = {
        {"widening", "{expansion_factor: 0}", "must be between 0.015625 and 64"},
        {"widening", "{expansion_factor: 65}", "must be between"},
        {"widening", "{activation: none}", "must be relu, gelu, gelu_tanh, silu, tanh or sigmoid"},
        {"widening", "{dropout: 2}", "must be between 0 and 1"},
        {"widening", "{expansion: 4}", "\"expansion\" is not known"},
        {"stacked_projection", "{output_sizes: [8, 0]}",
         "\"output_sizes\" is 0, must be between 1"},
        {"stacked_projection", "{output_sizes: [8, wide]}", "item 2 of \"output_sizes\" is wide"},
        {"stacked_projection", "{output_sizes: {a: 8}}", "must be a list of whole numbers"},
        {"stacked_projection", "{activation: swish}", "must be relu, gelu"},
        {"softmax_embeddings", "{groups: 0}", "\"groups\" is 0, must be between 1"},
        {"softmax_embeddings", "{size: 1}", "\"size\" is 1, must be between 2"},
        {"softmax_embeddings", "{dropout: 1.5}", "must be between 0 and 1"},
        {"stacked_projection", "{dropout: -1}", "must be between 0 and 1"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        akin_head *head;
        akin_status status = akin_head_create(&head, NULL, bad[k].type, bad[k].options, 8, &error);
        if (status != AKIN_ERR_ARGUMENT || head || !strstr(error.message, bad[k].message))
            fail_msg("%s: %s: \"%s\" lacks \"%s\"", bad[k].type, bad[k].options, error.message,
                     bad[k].message);
    }
}

/* 64 layers are what there is room for. */
static void test_many_layers(void **state)
{
    (void)state;
    akin_head *head;
    char list[300] = "{output_sizes: [1";
    for (int k = 1; k < AK_MAX_STACK; k++)
        strcat(list, ",1");
    char *end = list + strlen(list);
    strcpy(end, "]}");
    assert_int_equal(akin_head_create(&head, NULL, "stacked_projection", list, 8, &error), 0);
    assert_int_equal(ak_parameters_count(head->parameters), 2 * AK_MAX_STACK);
    akin_head_free(head);
    strcpy(end, ",1]}");
    assert_int_equal(akin_head_create(&head, NULL, "stacked_projection", list, 8, &error),
                     AKIN_ERR_ARGUMENT);
    assert_says(&error, "output_sizes has 65 layers, must be at most 64");
    assert_null(head);
}

/* ---- through a saved model ---- */

enum { BYTES_DIM = 12 };

/* An encoder without weights: the bytes of the object. */
static akin_status bytes_create(void **self, const void *options, const akin_place *place,
                                akin_error *e)
{
    (void)options, (void)place;
    *self = ak_alloc(1);
    return *self ? AKIN_OK : ak_fail_memory(e);
}

static akin_status bytes_save(const void *self, const char *folder, akin_error *e)
{
    (void)self;
    return ak_make_folders(folder, e);
}

static int64_t bytes_dim(const void *self)
{
    (void)self;
    return BYTES_DIM;
}

static akin_status bytes_fingerprint(const void *self, akin_hash *fingerprint, akin_error *e)
{
    (void)self, (void)e;
    *fingerprint = akin_hash_bytes("bytes", 5);
    return AKIN_OK;
}

static akin_status bytes_collate(const void *self, const akin_object *objects, int64_t count,
                                 akin_arena *arena, void **batch, akin_error *e)
{
    (void)self;
    akin_object *copy = akin_arena_alloc(arena, (size_t)count * sizeof *copy);
    if (!copy)
        return ak_fail_memory(e);
    memcpy(copy, objects, (size_t)count * sizeof *copy);
    *batch = copy;
    return AKIN_OK;
}

static akin_status bytes_forward(const void *self, const akin_pass *pass, const void *batch,
                                 akin_matrix y, void **record, akin_error *e)
{
    (void)self, (void)pass, (void)e;
    const akin_object *objects = batch;
    *record = NULL;
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t j = 0; j < y.columns; j++) {
            const unsigned char *data = objects[i].data;
            size_t at = (size_t)j;
            y.data[i * y.stride + j] = at < objects[i].size ? (float)data[at] / 128 - 1 : 0;
        }
    return AKIN_OK;
}

static const akin_encoder_class bytes_encoder = {
    .size = sizeof(akin_encoder_class),
    .name = "bytes",
    .summary = "the bytes",
    .create = bytes_create,
    .load = bytes_create,
    .save = bytes_save,
    .free = ak_free,
    .dim = bytes_dim,
    .fingerprint = bytes_fingerprint,
    .collate = bytes_collate,
    .forward = bytes_forward,
};

static akin_model *model_of(akin_context *context, const char *type, const char *options)
{
    akin_named_encoder encoder = {.name = "bytes"};
    akin_head *head;
    akin_model *model;
    assert_int_equal(akin_encoder_create(&encoder.encoder, context, "bytes", NULL, &error), 0);
    if (akin_head_create(&head, context, type, options, BYTES_DIM, &error))
        fail_msg("%s", error.message);
    assert_int_equal(akin_model_create(&model, context, &encoder, 1, head, &error), AKIN_OK);
    return model;
}

typedef struct saved_case {
    const char *type, *options;
    int64_t dim;
} saved_case;

static const saved_case saved[] = {
    {"widening", "{expansion_factor: 1.5, activation: gelu, dropout: 0.2}", BYTES_DIM},
    {"stacked_projection", "{output_sizes: [24, 9]}", 9},
    {"stacked_projection", "{output_sizes: 24, activation: tanh}", 24},
    {"softmax_embeddings", "{groups: 3, size: 7}", 21},
};

static void check_saved(akin_context *context, const char *folder, const saved_case *t)
{
    const akin_object objects[] = {akin_text("one text"), akin_text("another, longer text")};
    akin_model *model = model_of(context, t->type, t->options), *again;
    akin_hash before, after;
    float *y = ak_alloc((size_t)(4 * t->dim) * sizeof *y), *z = y + 2 * t->dim;
    assert_int_equal(akin_model_dim(model), t->dim);
    assert_int_equal(akin_model_encode(model, objects, 2, y, &error), AKIN_OK);
    assert_int_equal(akin_model_save(model, folder, true, &error), AKIN_OK);
    if (akin_model_load(&again, context, folder, AKIN_AS_SAVED, &error))
        fail_msg("%s", error.message);
    assert_int_equal(akin_model_encode(again, objects, 2, z, &error), AKIN_OK);
    assert_memory_equal(y, z, (size_t)(2 * t->dim) * sizeof *y);
    assert_true(memcmp(y, y + t->dim, (size_t)t->dim * sizeof *y) != 0);
    assert_int_equal(akin_model_fingerprint(model, &before, &error), AKIN_OK);
    assert_int_equal(akin_model_fingerprint(again, &after, &error), AKIN_OK);
    assert_true(ak_hash_equal(before, after));
    ak_free(y);
    akin_model_free(model);
    akin_model_free(again);
}

static void test_saved_models(void **state)
{
    (void)state;
    akin_context *context;
    assert_int_equal(akin_context_create(&context, &error), AKIN_OK);
    assert_int_equal(akin_register_encoder(context, &bytes_encoder, &error), AKIN_OK);
    for (size_t k = 0; k < sizeof saved / sizeof *saved; k++)
        check_saved(context, scratch_path("model"), &saved[k]);
    akin_context_free(context);
}

/* ---- confidence ---- */

/* By hand: the mean over the groups of the largest number, also when the softmax is extreme. */
static void test_confidence(void **state)
{
    (void)state;
    akin_context *context;
    assert_int_equal(akin_context_create(&context, &error), AKIN_OK);
    assert_int_equal(akin_register_encoder(context, &bytes_encoder, &error), AKIN_OK);
    akin_model *model = model_of(context, "softmax_embeddings", "{groups: 2, size: 3}");
    const float by_hand[] = {.5f, .25f, .25f, .125f, .125f, .75f, 1, 0, 0, 0, 1, 0};
    float got[2] = {-1, -1};
    assert_int_equal(akin_model_confidence(model, by_hand, 2, got, &error), AKIN_OK);
    assert_true(got[0] == .625f && got[1] == 1);

    akin_parameter *weight = akin_parameters_get(model->head->parameters, 0);
    for (int64_t i = 0; i < weight->rows * weight->columns; i++)
        weight->value[i] *= 1e4f;
    const akin_object objects[] = {akin_text("one text"), akin_text("")};
    float y[12];
    assert_int_equal(akin_model_encode(model, objects, 2, y, &error), AKIN_OK);
    assert_int_equal(akin_model_confidence(model, y, 2, got, &error), AKIN_OK);
    assert_true(fabsf(got[0] - 1) < 1e-5f);         /* far apart: sure */
    assert_true(got[1] > 1.0f / 3 && got[1] < .6f); /* only the bias speaks */
    akin_model_free(model);
    akin_context_free(context);
}

/* A plug-in's class from before heads had it is shorter: what lies behind it is not read. */
static void test_no_confidence(void **state)
{
    (void)state;
    akin_context *context;
    assert_int_equal(akin_context_create(&context, &error), AKIN_OK);
    assert_int_equal(akin_register_encoder(context, &bytes_encoder, &error), AKIN_OK);
    akin_head_class old = ak_head_softmax_embeddings;
    old.name = "old";
    old.size = offsetof(akin_head_class, confidence);
    assert_int_equal(akin_register_head(context, &old, &error), AKIN_OK);
    const struct {
        const char *type, *message;
    } table[] = {{"empty", "the head is empty: no confidence"},
                 {"widening", "the head is widening: no confidence"},
                 {"old", "the head is old: no confidence"}};
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        akin_model *model = model_of(context, table[k].type, NULL);
        assert_int_equal(akin_model_confidence(model, NULL, 0, NULL, &error), AKIN_ERR_MISMATCH);
        assert_says(&error, table[k].message);
        akin_model_free(model);
    }
    akin_named_encoder encoder = {.name = "bytes"};
    akin_model *bare;
    assert_int_equal(akin_encoder_create(&encoder.encoder, context, "bytes", NULL, &error), 0);
    assert_int_equal(akin_model_create(&bare, context, &encoder, 1, NULL, &error), AKIN_OK);
    assert_int_equal(akin_model_confidence(bare, NULL, 0, NULL, &error), AKIN_ERR_MISMATCH);
    assert_says(&error, "the model has no head: no confidence");
    akin_model_free(bare);
    akin_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_backward_adds),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_option_ranges),
        cmocka_unit_test(test_many_layers),
        cmocka_unit_test(test_rows_are_independent),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_memory_fails),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_saved_models),
        cmocka_unit_test(test_confidence),
        cmocka_unit_test(test_no_confidence),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
