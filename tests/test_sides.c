/* Models whose queries go one way and whose documents another: prompts of each, two towers. What a
   side reads must reach training, validation, evaluation, mining, the cache and saved models. */
#include "support.h"

#include "eval/evaluator.h"
#include "model/heads.h"
#include "model/transformer.h"
#include "tiny_model.h"
#include "train/train.h"

#include <math.h>

static akin_context *context;
static volatile int interrupt;
static akin_error error_space, *told = &error_space;
static char last_note[1024];

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        akin_status status_ = (call);                                                              \
        if (status_)                                                                               \
            fail_msg("%s: %s", akin_status_name(status_), error_space.message);                    \
    } while (0)

enum { PAIRS = 40, TEXTS = 5, MOST = 64 };
static const char *const texts[TEXTS] = {"", "the red cat", "cat of a red", "run and walk",
                                         "apple cherry tree"};

/* ---- scene ---- */

/* a and b share a word; one text stands on both sides. */
static void write_pairs(const char *path)
{
    static const char *const things[] = {"cat",  "dog",  "bird", "fish",  "horse",
                                         "pear", "plum", "road", "river", "house"};
    static const char *const kinds[] = {"red", "blue", "green", "white"};
    char text[PAIRS * 80] = "";
    size_t used = 0;
    for (int i = 0; i < PAIRS; i++)
        used += (size_t)snprintf(
            text + used, sizeof text - used, "{\"a\": \"the %s %s\", \"b\": \"%s%s of a %s\"}\n",
            kinds[i % 4], things[i / 4], i == 3 ? "the red cat " : "", things[i / 4], kinds[i % 4]);
    write_text(path, text);
}

/* encoder: the map of "text"; head and rest: in YAML. */
static const char *write_recipe(const char *encoder, const char *head, const char *rest)
{
    char text[2048];
    snprintf(text, sizeof text,
             "data: {train: pairs.jsonl, validation: 0.3, samples: pairs}\n"
             "encoders: {text: %s}\n"
             "head: %s\n"
             "optimizer: {type: adamw, lr: 1e-3}\n"
             "train: {batch_size: 8, epochs: 2, min_epochs: 2%s}\n",
             encoder, head, rest);
    const char *path = scratch_path("recipe.yaml");
    write_text(path, text);
    return path;
}

/* How a run goes on or stops; all members may be 0. */
typedef struct plan {
    const char *checkpoint;
    bool resume;
    int64_t steps; /* interrupted after so many */
} plan;

static void stop_after(void *user, akin_training *training)
{
    const plan *p = user;
    interrupt = p->steps && akin_training_step(training) == p->steps;
}

static akin_status train(akin_model **model, const char *path, plan how, akin_fit_summary *summary,
                         akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *loader, *validation;
    *model = NULL;
    AK_TRY(akin_recipe_open(&recipe, context, path, NULL, 0, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    trainer.checkpoint = how.checkpoint;
    trainer.resume = how.resume;
    interrupt = 0;
    const akin_callback stopper = {.size = sizeof stopper, .user = &how, .on_step_end = stop_after};
    assert_ok(akin_trainer_add_callback(&trainer, stopper, told));
    akin_status status = akin_recipe_loaders(recipe, &loader, &validation, error);
    if (!status)
        status = akin_fit(model, context, &trainable, &trainer, loader, validation, summary, error);
    akin_recipe_free(recipe);
    return status;
}

/* head NULL: none. */
static akin_status make_with_head(akin_model **out, const char *type, const char *options,
                                  const char *head_type, const char *head_options,
                                  akin_error *error)
{
    akin_named_encoder named = {"text", NULL};
    akin_head *head = NULL;
    *out = NULL;
    AK_TRY(akin_encoder_create(&named.encoder, context, type, options, error));
    akin_status status = AKIN_OK;
    if (head_type)
        status = akin_head_create(&head, context, head_type, head_options,
                                  akin_encoder_dim(named.encoder), error);
    if (!status)
        status = akin_model_create(out, context, &named, 1, head, error);
    if (status) {
        akin_head_free(head);
        akin_encoder_free(named.encoder);
    }
    return status;
}

static akin_status make_model(akin_model **out, const char *type, const char *options,
                              akin_error *error)
{
    return make_with_head(out, type, options, NULL, NULL, error);
}

/* format has a %s for the folder "tiny". */
static akin_model *transformer_of(const char *folder, const char *options)
{
    akin_model *model;
    char text[600];
    snprintf(text, sizeof text, "{path: '%s'%s}", scratch_path(folder), options);
    assert_ok(make_model(&model, "transformer", text, told));
    return model;
}

static void encode(const akin_model *model, akin_space space, float *out)
{
    akin_object objects[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        objects[i] = akin_text(texts[i]);
    assert_ok(akin_model_encode_in(model, space, objects, TEXTS, out, told));
}

static ak_hash space_of(const akin_model *model, akin_space space)
{
    ak_hash hash;
    assert_ok(akin_model_space_fingerprint(model, space, &hash, told));
    return hash;
}

static bool same_space(const akin_model *a, const akin_model *b, akin_space space)
{
    return ak_hash_equal(space_of(a, space), space_of(b, space));
}

/* Bits, on both sides. */
static void assert_same_vectors(const akin_model *a, const akin_model *b)
{
    float x[TEXTS * MOST], y[TEXTS * MOST];
    assert_int_equal(akin_model_dim(a), akin_model_dim(b));
    for (akin_space space = AKIN_SPACE_QUERY; space <= AKIN_SPACE_DOCUMENT; space++) {
        encode(a, space, x);
        encode(b, space, y);
        assert_memory_equal(x, y, (size_t)(TEXTS * akin_model_dim(a)) * sizeof *x);
        assert_true(same_space(a, b, space));
    }
}

/* Saved, and the encoder's folder alone: a sentence-transformers folder that says it all. */
static void assert_folder_says_it(const akin_model *model)
{
    const char *folders[] = {scratch_path("kept"), scratch_path("kept/encoders/text")};
    ak_remove_tree(folders[0]);
    assert_ok(akin_model_save(model, folders[0], false, told));
    for (int i = 0; i < 2; i++) {
        akin_model *again;
        assert_ok(akin_model_load(&again, context, folders[i], AKIN_AS_SAVED, told));
        assert_same_vectors(model, again);
        akin_model_free(again);
    }
}

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

/* A head over frozen encoders: features from the cache, or computed in every step. */
static void check_cached_or_not(const char *encoder, const char *head)
{
    akin_model *models[2];
    akin_fit_summary summary[2];
    char uncached[300];
    snprintf(uncached, sizeof uncached, "%s\ncache: false", head);
    for (int i = 0; i < 2; i++)
        assert_ok(train(&models[i], write_recipe(encoder, i ? uncached : head, ""), (plan){0},
                        &summary[i], told));
    assert_true(summary[0].best_epoch > 0 && summary[0].best_value == summary[1].best_value);
    assert_true(summary[0].encoded > 0 && summary[1].encoded == 0);
    assert_same_vectors(models[0], models[1]);
    akin_model_free(models[0]);
    akin_model_free(models[1]);
}

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

static void check_resumed(const char *encoder, const char *head)
{
    akin_model *whole, *half, *resumed;
    akin_fit_summary summary;
    const char *recipe = write_recipe(encoder, head, ", hard_negatives: {every: 1, k: 2}");
    const char *folder = scratch_path("run");
    ak_remove_tree(folder);
    assert_ok(train(&whole, recipe, (plan){0}, &summary, told));
    assert_int_equal(train(&half, recipe, (plan){.checkpoint = folder, .steps = 5}, &summary, NULL),
                     AKIN_ERR_INTERRUPTED);
    assert_ok(
        train(&resumed, recipe, (plan){.checkpoint = folder, .resume = true}, &summary, told));
    assert_same_vectors(whole, resumed);
    akin_model_free(whole);
    akin_model_free(half);
    akin_model_free(resumed);
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

static double cosine(const float *x, const float *y, int64_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < n; i++) {
        xy += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return xy / sqrt(xx * yy);
}

/* The mean reciprocal rank of b_i for a_i, from vectors made one by one. */
static double reciprocal_rank(const akin_model *model, const akin_dataset *dataset)
{
    int64_t n = akin_dataset_count(dataset), dim = akin_model_dim(model);
    float *x = ak_calloc((size_t)(2 * n * dim), sizeof *x), *y = x + n * dim;
    akin_arena *arena;
    double sum = 0;
    assert_ok(ak_arena_create(&arena, told));
    for (int64_t i = 0; i < n; i++) {
        akin_sample s;
        assert_ok(akin_dataset_get(dataset, i, arena, &s, told));
        assert_ok(akin_model_encode_in(model, AKIN_SPACE_QUERY, &s.pair.a, 1, x + i * dim, told));
        assert_ok(
            akin_model_encode_in(model, AKIN_SPACE_DOCUMENT, &s.pair.b, 1, y + i * dim, told));
    }
    for (int64_t i = 0; i < n; i++) {
        int rank = 1;
        double own = cosine(x + i * dim, y + i * dim, dim);
        for (int64_t j = 0; j < n; j++)
            rank += j != i && cosine(x + i * dim, y + j * dim, dim) > own;
        sum += 1. / rank;
    }
    ak_arena_free(arena);
    ak_free(x);
    return sum / (double)n;
}

static void check_evaluation(const akin_model *model)
{
    akin_dataset *dataset;
    akin_evaluation *evaluation;
    akin_evaluator_options options = akin_evaluator_defaults();
    options.metrics = (akin_metric_list){(const char *const[]){"reciprocal_rank"}, 1};
    assert_ok(
        akin_dataset_open(&dataset, context, scratch_path("pairs.jsonl"), AKIN_PAIRS, NULL, told));
    assert_ok(
        akin_evaluate(&evaluation, model, NULL, AKIN_EVALUATE_PAIRS, dataset, &options, told));
    double expected = reciprocal_rank(model, dataset);
    if (fabs(evaluation->rows[0].value - expected) > 1e-6)
        fail_msg("reciprocal rank %g, by hand %g", evaluation->rows[0].value, expected);
    akin_evaluation_free(evaluation);
    akin_dataset_free(dataset);
}

static void test_evaluation(void **state)
{
    (void)state;
    akin_model *model =
        transformer_of("tiny", ", query_prompt: 'query : ', document_prompt: 'old '");
    check_evaluation(model);
    akin_model_free(model);
}

/* ---- two towers ---- */

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

/* ---- all ---- */

static void keep_note(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user;
    (void)fraction;
    if (kind == AKIN_MESSAGE_NOTE)
        snprintf(last_note, sizeof last_note, "%s", text);
}

static int set_up(void **state)
{
    if (scratch_make(state))
        return -1;
    tiny_model(scratch_path("tiny"), &(tiny_options){.seed = 1, .normalize = true});
    tiny_model(scratch_path("other"), &(tiny_options){.seed = 2, .normalize = true});
    write_pairs(scratch_path("pairs.jsonl"));
    assert_ok(akin_context_create(&context, told));
    akin_context_on_interrupt(context, &interrupt);
    akin_context_on_message(context, keep_note, NULL);
    return akin_context_set_cache(context, NULL, told) != AKIN_OK;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return scratch_remove(state);
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
        cmocka_unit_test(test_towers_are_their_encoders),
        cmocka_unit_test(test_towers_cached_or_not),
        cmocka_unit_test(test_queries_alone_are_trained),
        cmocka_unit_test(test_towers_resumed),
        cmocka_unit_test(test_heads_of_sides),
        cmocka_unit_test(test_only_two_towers_solve_it),
        cmocka_unit_test(test_gradients_of_both_towers),
        cmocka_unit_test(test_bad_towers),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
