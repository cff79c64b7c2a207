/* Encoders and heads of either side: what they are, trained, resumed, and what they refuse. */
#include "sides_scene.h"

#define TRAINED "{type: transformer, path: tiny, trainable: true, dropout: 0}"
#define FROZEN "{type: transformer, path: other}"
#define WORDS "{type: ngrams, dim: 12, buckets: 64}"
#define TOWERS(query, document) "{type: two_towers, query: " query ", document: " document "}"

static void test_towers_are_their_encoders(void **state)
{
    (void)state;
    char options[1200];
    float x[TEXTS * MOST], y[TEXTS * MOST];
    akin_model *model, *again, *query = transformer_of("tiny", ""),
                               *document = transformer_of("other", "");
    snprintf(options, sizeof options,
             "{query: {type: transformer, path: '%s'}, document: {type: transformer, path: '%s'}}",
             scratch_path("tiny"), scratch_path("other"));
    assert_ok(make_model(&model, "two_towers", options, told));
    assert_true(akin_model_has_sides(model) && akin_model_base_has_sides(model));
    encode(model, AKIN_SPACE_QUERY, x);
    encode(query, AKIN_SPACE_MODEL, y);
    assert_memory_equal(x, y, TEXTS * TINY_HIDDEN * sizeof *x);
    encode(model, AKIN_SPACE_DOCUMENT, x);
    encode(document, AKIN_SPACE_MODEL, y);
    assert_memory_equal(x, y, TEXTS * TINY_HIDDEN * sizeof *x);
    assert_true(
        ak_hash_equal(space_of(model, AKIN_SPACE_QUERY), space_of(query, AKIN_SPACE_MODEL)));
    assert_true(
        ak_hash_equal(space_of(model, AKIN_SPACE_DOCUMENT), space_of(document, AKIN_SPACE_MODEL)));
    assert_ok(akin_model_save(model, scratch_path("towers"), true, told));
    assert_ok(akin_model_load(&again, context, scratch_path("towers"), AKIN_AS_SAVED, told));
    assert_same_vectors(model, again);
    check_evaluation(model);
    akin_model_free(again);
    akin_model_free(model);
    akin_model_free(query);
    akin_model_free(document);
}

static void test_towers_cached_or_not(void **state)
{
    (void)state;
    check_cached_or_not(TOWERS("{type: transformer, path: tiny}", FROZEN),
                        "{type: two_towers, query: {type: linear}, document: {type: linear}}");
    check_cached_or_not(TOWERS(FROZEN, "{type: ngrams, dim: 12, trainable: false}"),
                        "{type: two_towers, query: {type: linear, output_dim: 9}, "
                        "document: {type: linear, output_dim: 9}}");
}

/* Documents stay in the space of the encoder they went through, whatever queries learn. */
static void test_queries_alone_are_trained(void **state)
{
    (void)state;
    akin_model *model, *again, *documents = transformer_of("other", "");
    akin_fit_summary summary;
    assert_ok(train(&model, write_recipe(TOWERS(TRAINED, FROZEN), "empty", ""), (plan){0}, &summary,
                    told));
    assert_true(summary.best_epoch > 0);
    assert_true(
        ak_hash_equal(space_of(model, AKIN_SPACE_DOCUMENT), space_of(documents, AKIN_SPACE_MODEL)));
    assert_true(summary.encoded > 0); /* documents, once */
    assert_ok(akin_model_save(model, scratch_path("towers"), true, told));
    assert_ok(akin_model_load(&again, context, scratch_path("towers"), AKIN_AS_SAVED, told));
    assert_true(
        ak_hash_equal(space_of(again, AKIN_SPACE_DOCUMENT), space_of(documents, AKIN_SPACE_MODEL)));
    assert_true(same_space(model, again, AKIN_SPACE_QUERY));
    check_evaluation(again);
    akin_model_free(documents);
    akin_model_free(again);
    akin_model_free(model);
}

static void test_towers_resumed(void **state)
{
    (void)state;
    check_resumed(TOWERS(TRAINED, TRAINED), "empty");
    check_resumed(TOWERS(WORDS, TRAINED),
                  "{type: two_towers, query: {type: linear, output_dim: 7}, "
                  "document: {type: linear, output_dim: 7}}");
}

/* A side of the head has a fingerprint of its own. */
static void test_heads_of_sides(void **state)
{
    (void)state;
    akin_model *model;
    assert_ok(make_with_head(&model, "ngrams", "{dim: 12, buckets: 64}", "two_towers",
                             "{query: linear, document: gated}", told));
    ak_hash query = space_of(model, AKIN_SPACE_QUERY);
    ak_hash document = space_of(model, AKIN_SPACE_DOCUMENT);
    for (int i = 0; i < ak_parameters_count(model->head->parameters); i++) {
        akin_parameter *p = akin_parameters_get(model->head->parameters, i);
        bool of_query = strncmp(p->name, "query.", 6) == 0;
        assert_true(of_query || strncmp(p->name, "document.", 9) == 0);
        p->value[0] += 1;
        assert_int_equal(ak_hash_equal(space_of(model, AKIN_SPACE_QUERY), query), !of_query);
        assert_int_equal(ak_hash_equal(space_of(model, AKIN_SPACE_DOCUMENT), document), of_query);
        query = space_of(model, AKIN_SPACE_QUERY);
        document = space_of(model, AKIN_SPACE_DOCUMENT);
    }
    akin_model_free(model);
}

/* ---- a problem for two ---- */

enum { RING = 12 };

/* What follows a word is its document: "w3" -> "w4". One encoder cannot tell what follows from what
   goes before, for similarity has no direction. */
static double ring(const char *encoder, const char *a, const char *b)
{
    char text[RING * 80] = "";
    size_t used = 0;
    akin_model *model;
    akin_fit_summary summary;
    akin_dataset *dataset;
    for (int i = 0; i < RING; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, a, i);
        used += (size_t)snprintf(text + used, sizeof text - used, b, (i + 1) % RING);
    }
    write_text(scratch_path("ring.jsonl"), text);
    snprintf(text, sizeof text,
             "data: {train: ring.jsonl, validation: false}\nencoders: {text: %s}\nhead: empty\n"
             "optimizer: {lr: 0.05}\ntrain: {batch_size: %d, epochs: 60}\n",
             encoder, RING);
    write_text(scratch_path("ring.yaml"), text);
    assert_ok(train(&model, scratch_path("ring.yaml"), (plan){0}, &summary, told));
    assert_ok(
        akin_dataset_open(&dataset, context, scratch_path("ring.jsonl"), AKIN_PAIRS, NULL, told));
    double found = reciprocal_rank(model, dataset);
    akin_dataset_free(dataset);
    akin_model_free(model);
    return found;
}

static void test_only_two_towers_solve_it(void **state)
{
    (void)state;
    const char *two =
        TOWERS("{type: ngrams, field: q, dim: 12}", "{type: ngrams, field: d, dim: 12}");
    double both = ring(two, "{\"a\": {\"q\": \"w%d\"}, ", "\"b\": {\"d\": \"w%d\"}}\n");
    double one = ring("{type: ngrams, dim: 12}", "{\"a\": \"w%d\", ", "\"b\": \"w%d\"}\n");
    if (both < .99 || one > .8)
        fail_msg("reciprocal rank of two towers %g, of one encoder %g", both, one);
}

/* ---- gradients ---- */

enum { CHECKED = 3 };

typedef struct probe {
    int part;
    int64_t element; /* -1: none is moved */
    double by;
    double loss;             /* of the first step */
    float *before[2];        /* values at the start, of both parts */
    akin_training *training; /* at the end */
} probe;

static void move(void *user, akin_training *t)
{
    probe *p = user;
    assert_int_equal(t->part_count, 2);
    assert_string_equal(t->parts[0].name, "text/query");
    assert_string_equal(t->parts[1].name, "text/document");
    if (p->element >= 0)
        ak_parameters_values(t->parts[p->part].parameters)[p->element] += (float)p->by;
    for (int i = 0; i < 2 && p->before[i]; i++)
        memcpy(p->before[i], ak_parameters_values(t->parts[i].parameters),
               (size_t)ak_parameters_size(t->parts[i].parameters) * sizeof(float));
}

/* The largest gradients, of what SGD with a rate of 1 took off. */
static void stepped(void *user, akin_training *t)
{
    probe *p = user;
    p->loss = akin_training_loss(t);
    for (int i = 0; i < 2 && p->before[i]; i++) {
        const float *after = ak_parameters_values(t->parts[i].parameters);
        for (int64_t k = 0; k < ak_parameters_size(t->parts[i].parameters); k++)
            p->before[i][k] -= after[k];
    }
}

static void one_step(probe *p)
{
    akin_recipe *recipe;
    akin_loader *loader, *validation;
    akin_model *model;
    assert_ok(akin_recipe_open(&recipe, context, scratch_path("recipe.yaml"), NULL, 0, told));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    trainer.max_steps = 1;
    const akin_callback callback = {
        .size = sizeof callback, .user = p, .on_fit_start = move, .on_step_end = stepped};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    assert_ok(akin_recipe_loaders(recipe, &loader, &validation, told));
    assert_ok(akin_fit(&model, context, &trainable, &trainer, loader, NULL, NULL, told));
    akin_model_free(model);
    akin_recipe_free(recipe);
}

static void check_part(int part, float *gradient, int64_t count)
{
    const double step = 2e-3;
    for (int n = 0; n < CHECKED; n++) {
        probe up = {part, 0, step, 0, {NULL}, NULL};
        for (int64_t k = 1; k < count; k++)
            if (fabsf(gradient[k]) > fabsf(gradient[up.element]))
                up.element = k;
        double found = (double)gradient[up.element];
        probe down = up;
        down.by = -step;
        one_step(&up);
        one_step(&down);
        double slope = (up.loss - down.loss) / (2 * step);
        if (fabs(found) < 1e-3 || fabs(slope - found) > .02 * fabs(found))
            fail_msg("part %d, element %d: %g, by differences %g", part, (int)up.element, found,
                     slope);
        gradient[up.element] = 0;
    }
}

static void test_gradients_of_both_towers(void **state)
{
    (void)state;
    enum { FLOATS = 1 << 16 };
    static float gradients[2][FLOATS];
    probe first = {.element = -1, .before = {gradients[0], gradients[1]}};
    char text[1200];
    snprintf(text, sizeof text,
             "data: {train: pairs.jsonl, validation: false}\n"
             "encoders: {text: %s}\nhead: empty\noptimizer: {type: sgd, lr: 1}\n"
             "train: {batch_size: 8, epochs: 1}\n",
             TOWERS(TRAINED, "{type: transformer, path: other, trainable: true, dropout: 0}"));
    write_text(scratch_path("recipe.yaml"), text);
    one_step(&first);
    check_part(0, gradients[0], FLOATS);
    check_part(1, gradients[1], FLOATS);
}

/* ---- mistakes ---- */

static void test_bad_towers(void **state)
{
    (void)state;
#define VECTORS(d) "{type: vectors, dim: " #d "}"
    static const struct {
        const char *encoder, *options, *head, *head_options, *message;
        akin_status status;
    } rows[] = {
        {"two_towers", "{document: " VECTORS(2) "}", NULL, NULL,
         "two_towers encoder: \"query\" is missing, must be one encoder", AKIN_ERR_ARGUMENT},
        {"two_towers", "{query: " VECTORS(2) "}", NULL, NULL, "\"document\" is missing",
         AKIN_ERR_ARGUMENT},
        {"two_towers", "{query: [vectors, vectors], document: vectors}", NULL, NULL,
         "\"query\" is several", AKIN_ERR_ARGUMENT},
        {"two_towers", "{query: " VECTORS(2) ", answer: " VECTORS(2) "}", NULL, NULL,
         "\"answer\" is not known, there are query, document", AKIN_ERR_ARGUMENT},
        {"two_towers", "{query: " VECTORS(2) ", document: " VECTORS(3) "}", NULL, NULL,
         "the encoder \"text\" gives queries 2 numbers and documents 3", AKIN_ERR_MISMATCH},
        {"two_towers", "{query: " VECTORS(2) ", document: " VECTORS(3) "}", "linear", NULL,
         "must bring them to one width", AKIN_ERR_MISMATCH},
        {"two_towers",
         "{query: " VECTORS(2) ", document: {type: switch, by: k, encoders: {a: vectors}}}", NULL,
         NULL, "\"document\" is a switch, which cannot be inside another", AKIN_ERR_ARGUMENT},
        {"two_towers",
         "{query: " VECTORS(2) ", document: {type: two_towers, query: vectors, document: vectors}}",
         NULL, NULL, "is a two_towers, which cannot be inside another", AKIN_ERR_ARGUMENT},
        {"vectors", "{dim: 4}", "two_towers", "{query: [gated, gated]}",
         "two_towers head: \"query\" has 2 heads, must be one", AKIN_ERR_ARGUMENT},
        {"vectors", "{dim: 4}", "two_towers", "{document: {type: linear, output_dim: 3}}",
         "\"query\" makes 4 numbers and \"document\" 3, must be equal", AKIN_ERR_ARGUMENT},
        {"vectors", "{dim: 4}", "two_towers", "{document: query_adapter}",
         "the head query_adapter cannot be inside another head", AKIN_ERR_ARGUMENT},
        {"vectors", "{dim: 4}", "two_towers", "{query: {type: switch, heads: {a: gated}}}",
         "\"query\" goes by tags", AKIN_ERR_ARGUMENT},
        {"vectors", "{dim: 4}", "two_towers", "{answer: gated}",
         "\"answer\" is not known, there are query, document", AKIN_ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_model *model;
        akin_error error = {0};
        akin_status status = make_with_head(&model, rows[i].encoder, rows[i].options, rows[i].head,
                                            rows[i].head_options, &error);
        if (status != rows[i].status || model || !strstr(error.message, rows[i].message))
            fail_msg("row %d: %s: \"%s\" lacks \"%s\"", (int)i, akin_status_name(status),
                     error.message, rows[i].message);
    }
    akin_model *model;
    akin_error error = {0};
    char options[600];
    snprintf(options, sizeof options,
             "{query: {type: transformer, path: '%s', query_prompt: a}, document: {type: ngrams}}",
             scratch_path("tiny"));
    assert_int_equal(make_model(&model, "two_towers", options, &error), AKIN_ERR_ARGUMENT);
    assert_says(&error, "\"query\" has a prompt for queries and one for documents");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_towers_are_their_encoders),
        cmocka_unit_test(test_towers_cached_or_not),
        cmocka_unit_test(test_queries_alone_are_trained),
        cmocka_unit_test(test_towers_resumed),
        cmocka_unit_test(test_heads_of_sides),
        cmocka_unit_test(test_only_two_towers_solve_it),
        cmocka_unit_test(test_gradients_of_both_towers),
        cmocka_unit_test(test_bad_towers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
