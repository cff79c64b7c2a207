/* Models whose queries go one way and whose documents another: prompts of each. What a side reads
   must reach training, validation, evaluation, the cache and saved models. Two towers:
   test_two_towers.c. */
#include "sides_scene.h"

/* ---- prompts ---- */

#define NAMED(query, document, more)                                                               \
    "{\"prompts\": {\"query\": \"" query "\", \"" document                                         \
    "\": \"passage \", \"corpus\": \"in \"" more "}"

static void test_which_prompts(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *options, *query, *document;
    } rows[] = {
        {NULL, ", query_prompt: 'query : ', document_prompt: 'old '", "query : ", "old "},
        {NULL, ", query_prompt: 'query : '", "query : ", ""},
        {NULL, ", document_prompt: 'old '", "", "old "},
        {NULL, ", query_prompt: 'old ', document_prompt: 'old '", "old ", NULL},
        {NAMED("query : ", "passage", "") "}", "", "query : ", "passage "},
        {NAMED("query : ", "document", "") "}", "", "query : ", "passage "},
        {NAMED("query : ", "other", "") "}", "", "query : ", "in "},
        {NAMED("query : ", "passage", "") "}", ", document_prompt: ''", "query : ", ""},
        {NAMED("query : ", "passage", "") "}", ", prompt: 'new '", "new ", NULL},
        {NAMED("query : ", "passage", "") "}", ", prompt: ''", "", NULL},
        {NAMED("query : ", "passage", "") "}", ", prompt_name: corpus", "in ", NULL},
        {"{\"prompts\": {\"query\": \"\", \"document\": \"\"}, \"default_prompt_name\": null}", "",
         "", NULL},
        {"{\"prompts\": {\"query\": \"query : \", \"new\": \"new \"}, "
         "\"default_prompt_name\": \"new\"}",
         "", "query : ", ""},
        {"{\"prompts\": {\"new\": \"new \"}, \"default_prompt_name\": \"new\"}", "", "new ", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float x[TEXTS * MOST], y[TEXTS * MOST];
        char prompt[2][64];
        ak_remove_tree(scratch_path("which"));
        tiny_model(scratch_path("which"),
                   &(tiny_options){.seed = 1, .normalize = true, .prompts = rows[i].folder});
        *last_note = 0;
        akin_model *model = transformer_of("which", rows[i].options);
        assert_int_equal(akin_model_has_sides(model), rows[i].document != NULL);
        bool by_itself = !*rows[i].options && rows[i].document;
        assert_int_equal(strstr(last_note, "queries begin with") != NULL, by_itself);
        snprintf(prompt[0], sizeof *prompt, ", prompt: '%s'", rows[i].query);
        snprintf(prompt[1], sizeof *prompt, ", prompt: '%s'",
                 rows[i].document ? rows[i].document : rows[i].query);
        for (int side = 0; side < 2; side++) {
            akin_space space = side ? AKIN_SPACE_DOCUMENT : AKIN_SPACE_QUERY;
            akin_model *plain = transformer_of("tiny", prompt[side]);
            encode(model, space, x);
            encode(plain, AKIN_SPACE_MODEL, y);
            assert_memory_equal(x, y, TEXTS * TINY_HIDDEN * sizeof *x);
            assert_true(ak_hash_equal(space_of(model, space), space_of(plain, AKIN_SPACE_MODEL)));
            akin_model_free(plain);
        }
        assert_folder_says_it(model);
        akin_model_free(model);
    }
}

static void test_frozen_options_are_in_the_folder(void **state)
{
    (void)state;
    static const char *const rows[] = {", max_length: 4", ", max_length: 4, prompt: 'new '",
                                       ", max_length: 5, query_prompt: 'query : '"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_model *model = transformer_of("tiny", rows[i]);
        assert_folder_says_it(model);
        akin_model_free(model);
    }
}

#define SIDES "{type: transformer, path: tiny, query_prompt: 'query : ', document_prompt: 'old '"

static void test_prompts_refused(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error;
    float y[TINY_HIDDEN];
    akin_hash hash;
    const akin_object object = akin_text("red");
    static const char *const rows[][2] = {
        {"prompt: 'a ', query_prompt: 'b '", "\"prompt\" is of all texts, and \"query_prompt\""},
        {"prompt_name: a, document_prompt: b", "\"document_prompt\" of some"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[600];
        tiny_model(scratch_path("refused"),
                   &(tiny_options){.seed = 1, .prompts = "{\"prompts\": {\"a\": \"a\"}}"});
        snprintf(text, sizeof text, "{path: '%s', %s}", scratch_path("refused"), rows[i][0]);
        assert_int_equal(make_model(&model, "transformer", text, &error), AKIN_ERR_ARGUMENT);
        assert_says(&error, rows[i][1]);
        ak_remove_tree(scratch_path("refused"));
    }
    model = transformer_of("tiny", ", query_prompt: 'query : '");
    assert_int_equal(akin_model_encode(model, &object, 1, y, &error), AKIN_ERR_MISMATCH);
    assert_says(&error, "has a query and a document side (its encoder \"text\"");
    assert_int_equal(akin_model_encode_base(model, &object, 1, y, &error), AKIN_ERR_MISMATCH);
    assert_int_equal(akin_model_space_fingerprint(model, AKIN_SPACE_BASE, &hash, &error),
                     AKIN_ERR_MISMATCH);
    assert_int_equal(akin_model_encode_in(model, (akin_space)6, &object, 1, y, &error),
                     AKIN_ERR_ARGUMENT);
    akin_model_free(model);
}

static akin_status take(void *user, int64_t first, int64_t count, const float *vectors,
                        akin_error *error)
{
    (void)error;
    memcpy((float *)user + TINY_HIDDEN * first, vectors,
           (size_t)count * TINY_HIDDEN * sizeof *vectors);
    return AKIN_OK;
}

/* Computed, then found: never what the other side put there. */
static void test_the_cache_keeps_sides_apart(void **state)
{
    (void)state;
    char lines[200] = "";
    float x[TEXTS * MOST], y[TEXTS * MOST];
    for (int i = 1; i < TEXTS; i++)
        strcat(strcat(lines, texts[i]), "\n");
    write_text(scratch_path("texts.txt"), lines);
    assert_ok(akin_context_set_cache(context, scratch_path("cache"), told));
    for (int pass = 0; pass < 2; pass++)
        for (akin_space space = AKIN_SPACE_QUERY; space <= AKIN_SPACE_DOCUMENT; space++) {
            akin_corpus *corpus;
            akin_model *model =
                transformer_of("tiny", ", query_prompt: 'query : ', document_prompt: 'old '");
            assert_ok(
                akin_corpus_open(&corpus, context, model, scratch_path("texts.txt"), NULL, told));
            assert_ok(akin_encode_corpus(model, space, corpus, take, x, told));
            encode(model, space, y);
            assert_memory_equal(x, y + TINY_HIDDEN, (TEXTS - 1) * TINY_HIDDEN * sizeof *x);
            akin_corpus_free(corpus);
            akin_model_free(model);
        }
    akin_cache *cache;
    assert_ok(akin_cache_list(&cache, context, told));
    int64_t vectors = 0, stores = 0;
    for (int64_t i = 0; i < cache->count; i++)
        if (strcmp(cache->entries[i].kind, "vectors") == 0) {
            vectors += cache->entries[i].vectors;
            stores++;
        }
    assert_int_equal(stores, 2);
    assert_int_equal(vectors, 2 * (TEXTS - 1));
    akin_cache_free(cache);
    assert_ok(akin_context_set_cache(context, NULL, told));
}

/* ---- training ---- */

static void test_cached_or_not(void **state)
{
    (void)state;
    check_cached_or_not(SIDES "}", "{type: linear}");
    check_cached_or_not(SIDES "}", "{type: query_adapter, head: {type: linear}}");
}

/* What was trained is saved, serves the same, and the encoder's folder says all by itself. */
static void test_trained_prompts_are_saved(void **state)
{
    (void)state;
    akin_model *model, *again, *plain;
    akin_fit_summary summary;
    assert_ok(train(&model, write_recipe(SIDES ", trainable: true}", "empty", ""), (plan){0},
                    &summary, told));
    assert_true(summary.best_epoch > 0);
    assert_ok(akin_model_save(model, scratch_path("tuned"), true, told));
    assert_ok(akin_model_load(&again, context, scratch_path("tuned"), AKIN_AS_SAVED, told));
    assert_true(same_space(model, again, AKIN_SPACE_QUERY));
    assert_ok(
        akin_model_load(&plain, context, scratch_path("tuned/encoders/text"), AKIN_F32, told));
    assert_same_vectors(again, plain);
    assert_false(
        ak_hash_equal(space_of(again, AKIN_SPACE_QUERY), space_of(again, AKIN_SPACE_DOCUMENT)));
    akin_model_free(plain);
    akin_model_free(again);
    akin_model_free(model);
}

/* A folder that names prompts, trained with one for all: it names that one. */
static void test_one_prompt_is_saved(void **state)
{
    (void)state;
    akin_model *model, *plain;
    akin_fit_summary summary;
    float x[TEXTS * MOST], y[TEXTS * MOST];
    tiny_model(
        scratch_path("named"),
        &(tiny_options){.seed = 1, .normalize = true, .prompts = NAMED("a ", "passage", "") "}"});
    assert_ok(
        train(&model,
              write_recipe("{type: transformer, path: named, prompt: 'new ', trainable: true}",
                           "empty", ""),
              (plan){0}, &summary, told));
    assert_ok(akin_model_save(model, scratch_path("one"), true, told));
    assert_ok(akin_model_load(&plain, context, scratch_path("one/encoders/text"), AKIN_F32, told));
    assert_false(akin_model_has_sides(plain));
    encode(model, AKIN_SPACE_MODEL, x);
    encode(plain, AKIN_SPACE_MODEL, y);
    for (int i = 0; i < TEXTS * TINY_HIDDEN; i++)
        assert_true(fabsf(x[i] - y[i]) < 1e-5f);
    akin_model_free(plain);
    akin_model_free(model);
}

static void test_resumed(void **state)
{
    (void)state;
    check_resumed(SIDES ", trainable: true}", "empty");
    check_resumed(SIDES ", trainable: true, trainable_layers: 1}", "{type: linear}");
}

static void test_samples_without_sides(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error;
    akin_dataset *groups, *pairs;
    akin_evaluation *evaluation;
    akin_evaluator_options options = akin_evaluator_defaults();
    const akin_group members[] = {{akin_text("red"), 1}, {akin_text("blue"), 1}};
    const akin_pair few[] = {{akin_text("red"), akin_text("blue"), 1, 0}};
    write_text(scratch_path("groups.jsonl"), "{\"object\": \"red\", \"group\": 1}\n");
    write_text(
        scratch_path("groups.yaml"),
        "data: {train: groups.jsonl, samples: groups, validation: false}\nencoders: {text: " SIDES
        "}}\n");
    akin_status status = train(&model, scratch_path("groups.yaml"), (plan){0}, NULL, &error);
    assert_says(&error,
                "the encoder \"text\" has a query and a document side and learns from pairs");
    assert_int_equal(status, AKIN_ERR_MISMATCH);
    assert_int_equal(train(&model,
                           write_recipe(SIDES "}", "linear", ", metrics_distinguish: false"),
                           (plan){0}, NULL, &error),
                     AKIN_ERR_MISMATCH);
    assert_says(&error, "without metrics_distinguish every object is both");
    model = transformer_of("tiny", ", query_prompt: 'query : '");
    assert_ok(akin_dataset_from_groups(&groups, members, 2, told));
    assert_ok(akin_dataset_from_pairs(&pairs, few, 1, told));
    assert_int_equal(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_GROUPS, groups, NULL, &error),
        AKIN_ERR_MISMATCH);
    assert_says(&error, "objects of groups are neither");
    options.distinguish = false;
    assert_int_equal(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, pairs, &options, &error),
        AKIN_ERR_MISMATCH);
    assert_says(&error, "without distinguish every object is both");
    akin_dataset_free(groups);
    akin_dataset_free(pairs);
    akin_model_free(model);
}

/* ---- evaluation ---- */

static void test_evaluation(void **state)
{
    (void)state;
    akin_model *model =
        transformer_of("tiny", ", query_prompt: 'query : ', document_prompt: 'old '");
    check_evaluation(model);
    akin_model_free(model);
}

/* ---- memory ---- */

static akin_status encode_both(void *user, akin_error *error)
{
    const akin_object objects[] = {akin_text("the red cat"), akin_text("a dog")};
    const char *const *what = user;
    float y[2 * MOST];
    akin_model *model;
    AK_TRY(make_with_head(&model, what[0], what[1], what[2], what[3], error));
    akin_status status = akin_model_encode_in(model, AKIN_SPACE_QUERY, objects, 2, y, error);
    if (!status)
        status = akin_model_encode_in(model, AKIN_SPACE_DOCUMENT, objects, 2, y, error);
    akin_model_free(model);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    char options[600];
    snprintf(options, sizeof options, "{path: '%s', query_prompt: 'a ', document_prompt: 'b '}",
             scratch_path("tiny"));
    const char *prompts[] = {"transformer", options, NULL, NULL};
    const char *towers[] = {"two_towers",
                            "{query: {type: ngrams, dim: 3, buckets: 8}, "
                            "document: {type: ngrams, dim: 4, buckets: 8}}",
                            "two_towers", "{query: linear, document: gated}"};
    ak_json_route_allocations(true);
    assert_true(fail_each_allocation(encode_both, prompts) > 100);
    assert_true(fail_each_allocation(encode_both, towers) > 30);
    akin_model *model;
    assert_ok(make_with_head(&model, towers[0], towers[1], towers[2], towers[3], told));
    for (int64_t n = 1; n < 200; n += 7) { /* a save waits for the disk */
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = akin_model_save(model, scratch_path("memory"), true, &error);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
    }
    akin_model_free(model);
    ak_json_route_allocations(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_prompts),
        cmocka_unit_test(test_frozen_options_are_in_the_folder),
        cmocka_unit_test(test_prompts_refused),
        cmocka_unit_test(test_the_cache_keeps_sides_apart),
        cmocka_unit_test(test_cached_or_not),
        cmocka_unit_test(test_trained_prompts_are_saved),
        cmocka_unit_test(test_one_prompt_is_saved),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_samples_without_sides),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
