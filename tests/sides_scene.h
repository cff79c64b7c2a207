/* What tests of models with sides share: pairs, recipes, models, spaces, vectors. */
#ifndef AK_TESTS_SIDES_SCENE_H
#define AK_TESTS_SIDES_SCENE_H

#include "support.h"

#include "eval/evaluator.h"
#include "model/heads.h"
#include "model/transformer.h"
#include "recipe_run.h"
#include "tiny_model.h"
#include "train/train.h"

#include <math.h>

static char last_note[1024];

enum { PAIRS = 40, TEXTS = 5, MOST = 64 };
static const char *const texts[TEXTS] = {"", "the red cat", "cat of a red", "run and walk",
                                         "apple cherry tree"};

/* ---- scene ---- */

/* a and b share a word; one text stands on both sides. */
UNUSED static void write_pairs(const char *path)
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
UNUSED static const char *write_recipe(const char *encoder, const char *head, const char *rest)
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

/* head NULL: none. */
UNUSED static akin_status make_with_head(akin_model **out, const char *type, const char *options,
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

UNUSED static akin_status make_model(akin_model **out, const char *type, const char *options,
                                     akin_error *error)
{
    return make_with_head(out, type, options, NULL, NULL, error);
}

/* format has a %s for the folder "tiny". */
UNUSED static akin_model *transformer_of(const char *folder, const char *options)
{
    akin_model *model;
    char text[600];
    snprintf(text, sizeof text, "{path: '%s'%s}", scratch_path(folder), options);
    assert_ok(make_model(&model, "transformer", text, told));
    return model;
}

UNUSED static void encode(const akin_model *model, akin_space space, float *out)
{
    akin_object objects[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        objects[i] = akin_text(texts[i]);
    assert_ok(akin_model_encode_in(model, space, objects, TEXTS, out, told));
}

UNUSED static ak_hash space_of(const akin_model *model, akin_space space)
{
    ak_hash hash;
    assert_ok(akin_model_space_fingerprint(model, space, &hash, told));
    return hash;
}

UNUSED static bool same_space(const akin_model *a, const akin_model *b, akin_space space)
{
    return ak_hash_equal(space_of(a, space), space_of(b, space));
}

/* Bits, on both sides. */
UNUSED static void assert_same_vectors(const akin_model *a, const akin_model *b)
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
UNUSED static void assert_folder_says_it(const akin_model *model)
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

/* A head over frozen encoders: features from the cache, or computed in every step. */
UNUSED static void check_cached_or_not(const char *encoder, const char *head)
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

UNUSED static void check_resumed(const char *encoder, const char *head)
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

/* ---- evaluation ---- */

UNUSED static double cosine(const float *x, const float *y, int64_t n)
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
UNUSED static double reciprocal_rank(const akin_model *model, const akin_dataset *dataset)
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

UNUSED static void check_evaluation(const akin_model *model)
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

UNUSED static void keep_note(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user;
    (void)fraction;
    if (kind == AKIN_MESSAGE_NOTE)
        snprintf(last_note, sizeof last_note, "%s", text);
}

UNUSED static int set_up(void **state)
{
    if (scratch_make(state))
        return -1;
    tiny_model(scratch_path("tiny"), &(tiny_options){.seed = 1, .normalize = true});
    tiny_model(scratch_path("other"), &(tiny_options){.seed = 2, .normalize = true});
    write_pairs(scratch_path("pairs.jsonl"));
    assert_ok(akin_context_create(&context, told));
    akin_context_on_interrupt(context, &interrupt);
    akin_context_on_message(context, keep_note, NULL);
    assert_ok(akin_context_set_cache(context, NULL, told));
    return 0;
}

UNUSED static int tear_down(void **state)
{
    akin_context_free(context);
    return scratch_remove(state);
}

#endif
