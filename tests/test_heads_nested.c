/* Heads made of heads: the same bits as their parts one by one, random numbers of their own, saved
   and loaded, every mistake told, every allocation may fail. */
#include "support.h"

#include "model/heads.h"
#include "numbers_encoder.h"
#include "train/train.h"

#include <math.h>

enum { ROWS = 6, WIDTH = 5 };

static akin_error error;
static akin_context *context;
static akin_arena *arena;

static int set_up(void **state)
{
    if (scratch_make(state) || ak_arena_create(&arena, NULL) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    ak_arena_free(arena);
    return scratch_remove(state);
}

static akin_matrix noise(uint64_t stream, int64_t rows, int64_t columns)
{
    akin_matrix x = ak_matrix_new(arena, rows, columns);
    assert_non_null(x.data);
    for (int64_t i = 0; i < rows * columns; i++)
        x.data[i] = (float)(2 * ak_random_uniform(11, stream, (uint64_t)i) - 1);
    return x;
}

static akin_head *make(const char *type, const char *options, int64_t in)
{
    akin_head *head;
    if (akin_head_create(&head, context, type, options, in, &error))
        fail_msg("%s", error.message);
    assert_int_equal(ak_parameters_train(head->parameters, &error), AKIN_OK);
    return head;
}

static akin_pass training_pass(void)
{
    return (akin_pass){
        .size = sizeof(akin_pass), .arena = arena, .training = true, .seed = 3, .step = 7};
}

static akin_parameter *find(const akin_head *head, const char *name)
{
    for (int p = 0; p < ak_parameters_count(head->parameters); p++)
        if (strcmp(akin_parameters_get(head->parameters, p)->name, name) == 0)
            return akin_parameters_get(head->parameters, p);
    fail_msg("no parameter %s", name);
    return NULL;
}

/* Values away from those that heads start with, the same under either name. */
static void shake(akin_head *part, akin_head *whole, const char *scope)
{
    for (int p = 0; p < ak_parameters_count(part->parameters); p++) {
        akin_parameter *one = akin_parameters_get(part->parameters, p);
        char name[128];
        snprintf(name, sizeof name, "%s.%s", scope, one->name);
        akin_parameter *other = find(whole, name);
        assert_true(other->rows == one->rows && other->columns == one->columns);
        assert_true(other->decay == one->decay);
        for (int64_t i = 0; i < one->rows * one->columns; i++)
            other->value[i] = one->value[i] =
                (float)ak_random_normal(5, ak_hash_text(name).low, (uint64_t)i);
    }
}

static void assert_same_grads(const akin_head *part, const akin_head *whole, const char *scope)
{
    for (int p = 0; p < ak_parameters_count(part->parameters); p++) {
        const akin_parameter *one = akin_parameters_get(part->parameters, p);
        char name[128];
        snprintf(name, sizeof name, "%s.%s", scope, one->name);
        assert_memory_equal(one->grad, find(whole, name)->grad,
                            (size_t)(one->rows * one->columns) * sizeof(float));
    }
}

static akin_matrix forward(const akin_head *head, const akin_pass *pass, akin_matrix x,
                           void **record)
{
    akin_matrix y = ak_matrix_new(arena, x.rows, head->output_dim);
    assert_int_equal(head->type->forward(head->self, pass, x, y, record, &error), AKIN_OK);
    return y;
}

static akin_matrix backward(akin_head *head, const akin_pass *pass, const void *record,
                            akin_matrix x, akin_matrix dy)
{
    akin_matrix dx = ak_matrix_new(arena, x.rows, x.columns);
    assert_int_equal(head->type->backward(head->self, pass, record, x, dy, dx, &error), AKIN_OK);
    return dx;
}

static void assert_same(akin_matrix x, akin_matrix y)
{
    assert_true(x.rows == y.rows && x.columns == y.columns);
    for (int64_t i = 0; i < x.rows; i++)
        assert_memory_equal(x.data + i * x.stride, y.data + i * y.stride,
                            (size_t)x.columns * sizeof(float));
}

/* ---- sequential ---- */

static void test_sequential_is_its_layers(void **state)
{
    (void)state;
    static const struct {
        const char *type, *options;
    } layers[] = {{"linear", "{output_dim: 8}"},
                  {"stacked_projection", "{output_sizes: [7, 4], activation: tanh}"},
                  {"gated", NULL}};
    akin_head *whole = make("sequential",
                            "{layers: [{type: linear, output_dim: 8}, {type: stacked_projection, "
                            "output_sizes: [7, 4], activation: tanh}, gated]}",
                            WIDTH);
    akin_head *part[3];
    void *records[3], *record;
    akin_matrix x[4] = {noise(1, ROWS, WIDTH)};
    const akin_pass pass = training_pass();
    for (int k = 0; k < 3; k++) {
        char scope[16];
        snprintf(scope, sizeof scope, "layers.%d", k);
        part[k] = make(layers[k].type, layers[k].options, x[k].columns);
        shake(part[k], whole, scope);
        x[k + 1] = forward(part[k], &pass, x[k], &records[k]);
    }
    assert_int_equal(whole->output_dim, 4);
    assert_same(x[3], forward(whole, &pass, x[0], &record));
    akin_matrix dy = noise(2, ROWS, 4), dx = backward(whole, &pass, record, x[0], dy);
    for (int k = 2; k >= 0; k--) {
        char scope[16];
        snprintf(scope, sizeof scope, "layers.%d", k);
        dy = backward(part[k], &pass, records[k], x[k], dy);
        assert_same_grads(part[k], whole, scope);
        akin_head_free(part[k]);
    }
    assert_same(dx, dy);
    akin_head_free(whole);
}

/* Two layers that drop half each leave a quarter; with one mask for both, a half. */
static void test_layers_drop_by_themselves(void **state)
{
    (void)state;
    akin_head *head = make(
        "sequential", "{layers: [{type: empty, dropout: 0.5}, {type: empty, dropout: 0.5}]}", 50);
    akin_matrix x = ak_matrix_new(arena, 200, 50);
    for (int64_t i = 0; i < 200 * 50; i++)
        x.data[i] = 1;
    const akin_pass pass = training_pass();
    void *record;
    akin_matrix y = forward(head, &pass, x, &record), dx = backward(head, &pass, record, x, x);
    int64_t left = 0;
    for (int64_t i = 0; i < 200 * 50; i++) {
        left += y.data[i] != 0;
        assert_true(y.data[i] == dx.data[i]);
    }
    assert_true(left > 2300 && left < 2700);
    akin_head_free(head);
}

/* ---- query_adapter ---- */

static void test_queries_alone_are_adapted(void **state)
{
    (void)state;
    akin_head *whole = make("query_adapter", "{head: {type: linear, dropout: 0.3}}", WIDTH);
    akin_head *part = make("linear", "{dropout: 0.3}", WIDTH);
    shake(part, whole, "head");
    akin_matrix x = noise(1, ROWS, WIDTH), dy = noise(2, ROWS, WIDTH);
    for (int64_t documents = 0; documents <= ROWS; documents++) {
        int64_t queries = ROWS - documents;
        akin_pass pass = training_pass(), own = pass;
        void *record, *part_record;
        ak_parameters_zero_grads(part->parameters);
        ak_parameters_zero_grads(whole->parameters);
        pass.documents = documents;
        own.seed = ak_random(pass.seed, AK_STREAM_HEAD_INNER, 0);
        akin_matrix y = forward(whole, &pass, x, &record);
        akin_matrix asked = forward(part, &own, ak_matrix_rows(x, 0, queries), &part_record);
        assert_same(ak_matrix_rows(y, 0, queries), asked);
        assert_same(ak_matrix_rows(y, queries, documents), ak_matrix_rows(x, queries, documents));
        akin_matrix dx = backward(whole, &pass, record, x, dy);
        assert_same(ak_matrix_rows(dx, 0, queries),
                    backward(part, &own, part_record, ak_matrix_rows(x, 0, queries),
                             ak_matrix_rows(dy, 0, queries)));
        assert_same(ak_matrix_rows(dx, queries, documents), ak_matrix_rows(dy, queries, documents));
        assert_same_grads(part, whole, "head");
    }
    akin_head_free(part);
    akin_head_free(whole);
}

/* ---- saved models ---- */

static akin_model *model_of(const char *type, const char *options, int64_t dim)
{
    akin_named_encoder encoder = {.name = "n"};
    char text[32];
    akin_head *head = make(type, options, dim);
    akin_model *model;
    snprintf(text, sizeof text, "{dim: %d}", (int)dim);
    assert_int_equal(akin_encoder_create(&encoder.encoder, context, "numbers", text, &error), 0);
    if (akin_model_create(&model, context, &encoder, 1, head, &error))
        fail_msg("%s", error.message);
    return model;
}

static void test_saved_models(void **state)
{
    (void)state;
    static const char *const options[] = {
        "{layers: gated}",
        "{layers: [{type: stacked_projection, output_sizes: [4, 3]}, normalize]}",
        "{layers: [{type: sequential, layers: [skip_connection, {type: widening}]}, "
        "{type: linear, output_dim: 3}]}",
    };
    const akin_object objects[] = {akin_text("1 2 3"), akin_text("-4 0.5 2")};
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        akin_model *model = model_of("sequential", options[k], 3), *again;
        akin_hash before, after;
        float y[6], z[6];
        assert_int_equal(akin_model_encode(model, objects, 2, y, &error), AKIN_OK);
        assert_int_equal(akin_model_save(model, scratch_path("model"), true, &error), AKIN_OK);
        if (akin_model_load(&again, context, scratch_path("model"), AKIN_AS_SAVED, &error))
            fail_msg("%s", error.message);
        assert_int_equal(akin_model_encode(again, objects, 2, z, &error), AKIN_OK);
        assert_memory_equal(y, z, sizeof y);
        assert_int_equal(akin_model_fingerprint(model, &before, &error), AKIN_OK);
        assert_int_equal(akin_model_fingerprint(again, &after, &error), AKIN_OK);
        assert_true(ak_hash_equal(before, after));
        akin_model_free(model);
        akin_model_free(again);
    }
}

/* Queries swap their two numbers; documents are what they were. */
static akin_model *swapping_model(void)
{
    akin_model *model = model_of("query_adapter", "{head: {type: linear, bias: false}}", 2);
    float *w = find(model->head, "head.weight")->value;
    w[0] = w[3] = 0;
    w[1] = w[2] = 1;
    return model;
}

static akin_hash space_of(const akin_model *model, akin_space space)
{
    akin_hash hash;
    assert_int_equal(akin_model_space_fingerprint(model, space, &hash, &error), AKIN_OK);
    return hash;
}

static void test_sides_of_a_model(void **state)
{
    (void)state;
    const akin_object object = akin_text("3 4");
    akin_model *model = swapping_model(), *again;
    float y[2];
    assert_true(akin_model_has_sides(model));
    assert_int_equal(akin_model_encode_in(model, AKIN_SPACE_QUERY, &object, 1, y, &error), 0);
    assert_true(y[0] == 4 && y[1] == 3);
    assert_int_equal(akin_model_encode_in(model, AKIN_SPACE_DOCUMENT, &object, 1, y, &error), 0);
    assert_true(y[0] == 3 && y[1] == 4);
    assert_int_equal(akin_model_encode(model, &object, 1, y, &error), AKIN_ERR_MISMATCH);
    assert_says(&error, "a query and a document side (its head is query_adapter): say which");
    akin_hash hash;
    assert_int_equal(akin_model_space_fingerprint(model, AKIN_SPACE_MODEL, &hash, &error),
                     AKIN_ERR_MISMATCH);
    assert_int_equal(akin_model_space_fingerprint(model, (akin_space)9, &hash, &error),
                     AKIN_ERR_ARGUMENT);

    akin_hash query = space_of(model, AKIN_SPACE_QUERY), base = space_of(model, AKIN_SPACE_BASE);
    assert_true(!ak_hash_equal(query, base));
    assert_true(ak_hash_equal(space_of(model, AKIN_SPACE_DOCUMENT), base));
    assert_int_equal(akin_model_save(model, scratch_path("sided"), true, &error), AKIN_OK);
    assert_int_equal(akin_model_load(&again, context, scratch_path("sided"), AKIN_AS_SAVED, &error),
                     AKIN_OK);
    assert_true(ak_hash_equal(space_of(again, AKIN_SPACE_QUERY), query));
    find(again->head, "head.weight")->value[0] = 7; /* trained again: queries moved, an index not */
    assert_true(!ak_hash_equal(space_of(again, AKIN_SPACE_QUERY), query));
    assert_true(ak_hash_equal(space_of(again, AKIN_SPACE_DOCUMENT), base));
    akin_model_free(again);
    akin_model_free(model);

    model = model_of("gated", NULL, 2);
    assert_true(!akin_model_has_sides(model));
    assert_true(
        ak_hash_equal(space_of(model, AKIN_SPACE_QUERY), space_of(model, AKIN_SPACE_MODEL)));
    assert_true(
        ak_hash_equal(space_of(model, AKIN_SPACE_DOCUMENT), space_of(model, AKIN_SPACE_MODEL)));
    akin_model_free(model);
}

/* "3 1" is the question of "1 3", though "2.9 1" is nearer to it where nothing is adapted. */
static void test_evaluation_knows_sides(void **state)
{
    (void)state;
    const akin_pair pairs[] = {{akin_text("3 1"), akin_text("1 3"), 1, 0},
                               {akin_text("1 3.1"), akin_text("2.9 1"), 1, 0},
                               {akin_text("3 1"), akin_text("2.9 1"), 0, 0}};
    akin_dataset *set;
    akin_evaluation *e;
    akin_model *model = swapping_model();
    const char *names[] = {"precision@1", "reciprocal_rank"};
    akin_evaluator_options options = akin_evaluator_defaults();
    options.metrics = (akin_metric_list){names, 2};
    assert_int_equal(akin_dataset_from_pairs(&set, pairs, 3, &error), AKIN_OK);
    assert_int_equal(akin_evaluate(&e, model, NULL, AKIN_EVALUATE_PAIRS, set, &options, &error),
                     AKIN_OK);
    assert_true(e->rows[0].value == 1 && e->rows[0].base == 0);
    assert_true(e->rows[1].value == 1 && e->rows[1].base == .5);
    akin_evaluation_free(e);
    names[0] = "average_precision";
    options.metrics.count = 1;
    assert_int_equal(akin_evaluate(&e, model, NULL, AKIN_EVALUATE_SCORED, set, &options, &error),
                     AKIN_OK);
    assert_true(e->rows[0].value == 1 && e->rows[0].base < .9);
    akin_evaluation_free(e);
    akin_dataset_free(set);
    akin_model_free(model);
}

/* ---- training ---- */

/* a is b with its numbers swapped: what a linear adapter can learn, and the base cannot know. */
static void write_swapped(const char *path)
{
    char text[64 * 64];
    size_t used = 0;
    for (int i = 0; i < 60; i++) {
        double u = ak_random_normal(1, 1, (uint64_t)i), v = ak_random_normal(1, 2, (uint64_t)i);
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "{\"a\": \"%.3f %.3f\", \"b\": \"%.3f %.3f\"}\n", u, v, v, u);
    }
    write_text(path, text);
}

static akin_status fit(akin_model **model, akin_fit_summary *summary, const char *const *sets,
                       int count)
{
    akin_recipe *recipe;
    akin_loader *train, *validation;
    if (akin_recipe_open(&recipe, context, NULL, sets, count, &error))
        fail_msg("%s", error.message);
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    akin_status status = akin_recipe_loaders(recipe, &train, &validation, &error);
    if (!status)
        status = akin_fit(model, context, &trainable, &trainer, train, validation, summary, &error);
    akin_recipe_free(recipe);
    return status;
}

static void test_an_adapter_learns(void **state)
{
    (void)state;
    char data[300];
    snprintf(data, sizeof data, "data.train=%s", scratch_path("swapped.jsonl"));
    write_swapped(scratch_path("swapped.jsonl"));
    const char *sets[] = {data,
                          "data.validation=0.3",
                          "encoders.n={type: numbers}",
                          "head={type: query_adapter, head: linear}",
                          "optimizer.lr=0.05",
                          "train.epochs=30",
                          "train.batch_size=16",
                          "train.metrics_per_step=true"};
    akin_model *model;
    akin_fit_summary summary;
    const akin_object object = akin_text("3 4");
    float y[2];
    if (fit(&model, &summary, sets, 8))
        fail_msg("%s", error.message);
    assert_true(summary.best_epoch > 0 && summary.best_value < .8 * summary.base_value);
    assert_int_equal(akin_model_encode_in(model, AKIN_SPACE_QUERY, &object, 1, y, &error), 0);
    assert_true(y[0] > y[1]);
    assert_int_equal(akin_model_encode_in(model, AKIN_SPACE_DOCUMENT, &object, 1, y, &error), 0);
    assert_true(y[0] == 3 && y[1] == 4);
    akin_model_free(model);

    write_text(scratch_path("swapped.jsonl"),
               "{\"object\": \"1 2\", \"group\": 1}\n{\"object\": \"1 3\", \"group\": 1}\n"
               "{\"object\": \"2 2\", \"group\": 2}\n{\"object\": \"2 3\", \"group\": 2}\n");
    sets[1] = "data.samples=groups";
    sets[6] = "data.validation=false";
    assert_int_equal(fit(&model, NULL, sets, 7), AKIN_ERR_MISMATCH);
    assert_says(&error, "learns from pairs, but the training data");
}

static void test_confidence_of_the_last_layer(void **state)
{
    (void)state;
    const float by_hand[] = {.5f, .25f, .25f, .125f, .125f, .75f};
    float got;
    akin_model *sure = model_of(
        "sequential", "{layers: [gated, {type: softmax_embeddings, groups: 2, size: 3}]}", 3);
    assert_int_equal(akin_model_confidence(sure, by_hand, 1, &got, &error), AKIN_OK);
    assert_true(got == .625f);
    akin_model *unsure = model_of(
        "sequential", "{layers: [{type: softmax_embeddings, groups: 1, size: 3}, gated]}", 3);
    assert_int_equal(akin_model_confidence(unsure, by_hand, 1, &got, &error), AKIN_ERR_MISMATCH);
    assert_says(&error, "the head is sequential: no confidence");
    akin_model_free(sure);
    akin_model_free(unsure);
}

/* ---- mistakes, memory ---- */

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *type, *options, *message;
    } bad[] = {
        {"sequential", NULL, "\"layers\" has 0 heads, must have 1 to 64"},
        {"sequential", "{layers: []}", "\"layers\" has 0 heads"},
        {"sequential", "{layers: null}", "\"layers\" has 0 heads"},
        {"sequential", "{layers: 3}", "\"layers\" is a whole number, must be a class, a list or"},
        {"sequential", "{layers: [3]}", "\"layers\" holds a whole number, expected a class"},
        {"sequential", "{layers: [{dropout: 0.1}]}", "in \"layers\" does not say its \"type\""},
        {"sequential", "{layers: [{type: 3}]}", "in \"layers\" does not say its \"type\""},
        {"sequential", "{layers: [gaited]}", "no head \"gaited\"; did you mean \"gated\"?"},
        {"sequential", "{layers: [gated, {type: linear, rnk: 2}]}", "did you mean \"rank\"?"},
        {"sequential", "{layers: [{type: linear, rank: 9}]}", "rank is 9, must be at most"},
        {"sequential", "{layer: [gated]}", "did you mean \"layers\"?"},
        {"sequential", "{layers: [query_adapter]}", "query_adapter cannot be inside another head"},
        {"query_adapter", "{head: []}", "\"head\" has 0 heads, must be one"},
        {"query_adapter", "{head: [gated, gated]}", "\"head\" has 2 heads, must be one"},
        {"query_adapter", "{head: {type: linear, output_dim: 3}}", "linear makes 3 numbers of 8"},
        {"query_adapter", "{head: query_adapter}", "cannot be inside another head"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        akin_head *head;
        akin_status status = akin_head_create(&head, NULL, bad[k].type, bad[k].options, 8, &error);
        if (status != AKIN_ERR_ARGUMENT || head || !strstr(error.message, bad[k].message))
            fail_msg("%s: %s: \"%s\" lacks \"%s\"", bad[k].type, bad[k].options, error.message,
                     bad[k].message);
    }
}

static void test_depth(void **state)
{
    (void)state;
    char text[500] = "{layers: gated}";
    for (int depth = 1; depth <= 9; depth++) {
        akin_head *head;
        char inner[500] = "{layers: {type: sequential, ";
        if (depth > 1)
            strcpy(text, strcat(strcat(inner, text + 1), "}"));
        akin_status status = akin_head_create(&head, NULL, "sequential", text, 4, &error);
        assert_int_equal(status, depth <= 8 ? AKIN_OK : AKIN_ERR_ARGUMENT);
        akin_head_free(head);
    }
    assert_says(&error, "deeper than 8 levels");
}

typedef struct described {
    const char *type, *options;
} described;

static akin_status make_and_run(void *user, akin_error *e)
{
    const described *d = user;
    akin_head *head;
    akin_arena *own;
    AK_TRY(akin_head_create(&head, NULL, d->type, d->options, WIDTH, e));
    akin_status status = ak_parameters_train(head->parameters, e);
    if (!status && (status = ak_arena_create(&own, e)) == AKIN_OK) {
        akin_pass pass = training_pass();
        pass.arena = own;
        pass.documents = 100;
        void *record;
        akin_matrix x = ak_matrix_new(own, 300, WIDTH), dx = ak_matrix_new(own, 300, WIDTH);
        akin_matrix y = ak_matrix_new(own, 300, head->output_dim);
        status = x.data && y.data && dx.data ? AKIN_OK : ak_fail_memory(e);
        if (!status) {
            memset(x.data, 0, 300 * WIDTH * sizeof(float));
            status = head->type->forward(head->self, &pass, x, y, &record, e);
        }
        if (!status)
            status = head->type->backward(head->self, &pass, record, x, y, dx, e);
        ak_arena_free(own);
    }
    akin_head_free(head);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    described heads[] = {
        {"sequential", "{layers: [{type: linear, output_dim: 2000}, {type: sequential, layers: "
                       "[skip_connection, normalize]}]}"},
        {"query_adapter", "{head: {type: stacked_projection, output_sizes: [2000, 5]}}"},
        {"query_adapter", NULL},
    };
    ak_json_route_allocations(true);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        assert_true(fail_each_allocation(make_and_run, &heads[i]) > 8);
    ak_json_route_allocations(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequential_is_its_layers),
        cmocka_unit_test(test_layers_drop_by_themselves),
        cmocka_unit_test(test_queries_alone_are_adapted),
        cmocka_unit_test(test_saved_models),
        cmocka_unit_test(test_sides_of_a_model),
        cmocka_unit_test(test_evaluation_knows_sides),
        cmocka_unit_test(test_an_adapter_learns),
        cmocka_unit_test(test_confidence_of_the_last_layer),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
