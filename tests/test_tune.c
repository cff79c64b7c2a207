/* The search of settings: which combinations are tried, that the best is found and the base is kept
   when nothing is better, that a search which was stopped ends as one that was not. */
#include "support.h"

#include "numbers_encoder.h"
#include "train/tune.h"

#include <math.h>

static akin_error error;
static akin_context *context;
static akin_arena *arena;

static int set_up(void **state)
{
    if (scratch_make(state) || ak_arena_create(&arena, NULL) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, scratch_path("cache"), NULL) ||
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

/* ---- the grid ---- */

#define START "data: {train: d.jsonl}\nencoders: {n: {type: numbers}}\n"

static akin_status open_grid(ak_tune_points *points, const char *tune, int64_t trials,
                             const char *set)
{
    akin_recipe *recipe;
    char text[1000];
    snprintf(text, sizeof text, START "%s", tune);
    write_text(scratch_path("r.yaml"), text);
    AK_TRY(akin_recipe_open(&recipe, context, scratch_path("r.yaml"), &set, set != NULL, &error));
    akin_status status = ak_tune_grid(points, recipe, trials, 5, arena, &error);
    akin_recipe_free(recipe);
    return status;
}

static void test_points(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "head.type=gated optimizer.lr=1e-3", "head.type=gated optimizer.lr=0.5",
        "head.type=linear optimizer.lr=1e-3", "head.type=linear optimizer.lr=0.5"};
    ak_tune_points points;
    const char *grids[] = {"tune: {head.type: [gated, linear], optimizer.lr: [1e-3, 0.5]}\n",
                           "tune: {head: {type: [gated, linear]}, optimizer: {lr: [1e-3, 0.5]}}\n",
                           "tune: {head.type: [gated, linear]}\n",
                           "tune: {head.type: [gated, linear], optimizer.lr: [3, 0.7, 0.1]}\n"};
    for (int g = 0; g < 4; g++) {
        assert_int_equal(
            open_grid(&points, grids[g], 0, g >= 2 ? "tune.optimizer.lr=[1e-3, 0.5]" : NULL), 0);
        assert_int_equal(points.count, 4);
        for (int i = 0; i < 4; i++)
            assert_string_equal(points.items[i].text, expected[i]);
    }
    assert_int_equal(points.items[0].count, 2);
    assert_string_equal(points.items[0].sets[0], "head.type=\"gated\"");

    assert_int_equal(open_grid(&points, "tune: {head: [{type: linear, rank: 3}]}\n", 0, NULL), 0);
    assert_string_equal(points.items[0].sets[0], "head={\"type\": \"linear\", \"rank\": 3}");
    assert_int_equal(open_grid(&points, "", 0, NULL), AKIN_OK);
    assert_int_equal(points.count, 18); /* the usual ones */
    assert_int_equal(open_grid(&points, "tune: null\n", 50, NULL), AKIN_OK);
    assert_int_equal(points.count, 18);
}

/* Some of the grid: always the same ones, in its order. */
static void test_drawn_points(void **state)
{
    (void)state;
    ak_tune_points all, some, again;
    const char grid[] = "tune: {train.epochs: [1, 2, 3, 4, 5], train.batch_size: [2, 3, 4, 5]}\n";
    assert_int_equal(open_grid(&all, grid, 0, NULL), AKIN_OK);
    assert_int_equal(open_grid(&some, grid, 6, NULL), AKIN_OK);
    assert_int_equal(open_grid(&again, grid, 6, NULL), AKIN_OK);
    assert_true(all.count == 20 && some.count == 6 && again.count == 6);
    int64_t at = 0;
    for (int64_t i = 0; i < 6; i++) {
        assert_string_equal(some.items[i].text, again.items[i].text);
        while (at < 20 && strcmp(all.items[at].text, some.items[i].text) != 0)
            at++;
        assert_true(at++ < 20);
    }
    assert_true(strcmp(some.items[5].text, all.items[5].text) != 0);
}

static void test_bad_grids(void **state)
{
    (void)state;
    static const struct {
        const char *tune, *message;
        int64_t line;
    } bad[] = {
        {"tune: 3\n", "\"tune\" is a whole number", 3},
        {"tune: {}\n", "\"tune\" names nothing to try", 3},
        {"tune:\n  optimizer.lr: 3\n", "\"optimizer.lr\" is a whole number, expected a list", 4},
        {"tune:\n  optimizer.lr: []\n", "\"optimizer.lr\" is empty, expected a list", 4},
        {"tune:\n  data.validation: [0.1]\n", "\"data.validation\" must be the same in all", 4},
        {"tune:\n  data:\n    validation: [0.1]\n", "\"data.validation\" must be the same", 5},
        {"tune: {a: {b: {c: {d: {e: {f: {g: {h: {i: [1]}}}}}}}}}\n", "nested too deeply", 3},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        ak_tune_points points;
        akin_status status = open_grid(&points, bad[k].tune, 0, NULL);
        if (status != AKIN_ERR_ARGUMENT || error.line != bad[k].line ||
            !strstr(error.message, bad[k].message))
            fail_msg("%s: line %d: %s", bad[k].tune, (int)error.line, error.message);
    }
}

/* ---- the search ---- */

/* b is a with its numbers swapped, or (noise) has nothing to do with it. */
static void write_pairs(const char *name, int count, bool noise)
{
    char *text = ak_calloc((size_t)count, 64);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        uint64_t n = (uint64_t)i;
        double u = ak_random_normal(1, 1, n), v = ak_random_normal(1, 2, n);
        double p = noise ? ak_random_normal(1, 3, n) : v, q = noise ? ak_random_normal(1, 4, n) : u;
        used += (size_t)snprintf(text + used, 64, "{\"a\": \"%.2f %.2f\", \"b\": \"%.2f %.2f\"}\n",
                                 u, v, p, q);
    }
    write_text(scratch_path(name), text);
    ak_free(text);
}

typedef struct search {
    const char *sets[8];
    int count;
    char data[300];
    akin_tune_options options;
    akin_tune_result *result;
    akin_model *model;
} search;

static void new_search(search *s, const char *data, const char *tune)
{
    *s = (search){.options = akin_tune_defaults()};
    snprintf(s->data, sizeof s->data, "data.train=%s", scratch_path(data));
    const char *sets[] = {s->data,           "data.validation=0.4", "encoders.n={type: numbers}",
                          "train.epochs=20", "train.batch_size=32", tune};
    memcpy(s->sets, sets, sizeof sets);
    s->count = 6;
}

static akin_status run(search *s)
{
    return akin_tune(&s->result, &s->model, context, NULL, s->sets, s->count, &s->options, &error);
}

static void must_run(search *s)
{
    if (run(s))
        fail_msg("%s", error.message);
}

static void close_search(search *s)
{
    akin_tune_result_free(s->result);
    akin_model_free(s->model);
    s->result = NULL;
    s->model = NULL;
}

static void assert_same_result(const akin_tune_result *x, const akin_tune_result *y)
{
    assert_true(x->count == y->count && x->base == y->base && x->better == y->better);
    for (int64_t i = 0; i < x->count; i++) {
        assert_string_equal(x->trials[i].settings, y->trials[i].settings);
        assert_true(x->trials[i].value == y->trials[i].value);
        assert_int_equal(x->trials[i].best_epoch, y->trials[i].best_epoch);
    }
    assert_true(x->outer && y->outer);
    assert_true(x->outer->rows[0].value == y->outer->rows[0].value);
    assert_true(x->outer->rows[0].low == y->outer->rows[0].low);
}

static void test_the_best_is_found(void **state)
{
    (void)state;
    search s, again;
    write_pairs("swapped.jsonl", 200, false);
    new_search(&s, "swapped.jsonl",
               "tune={head: [{type: gated}, {type: query_adapter, head: "
               "linear}], optimizer.lr: [1e-4, 0.1]}");
    must_run(&s);
    const akin_tune_result *r = s.result;
    assert_int_equal(r->count, 4);
    assert_string_equal(r->metric, "reciprocal_rank");
    assert_non_null(strstr(r->trials[0].settings, "query_adapter"));
    assert_non_null(strstr(r->trials[0].settings, "optimizer.lr=0.1"));
    for (int64_t i = 1; i < r->count; i++)
        assert_true(r->trials[i - 1].value >= r->trials[i].value);
    assert_true(r->trials[0].value > r->base && r->trials[0].best_epoch > 0);
    assert_true(r->better && r->outer->rows[0].low > 0 && r->outer->queries == 80);
    assert_true(r->queries == 24); /* a fifth of the other 120 */
    assert_true(akin_model_has_sides(s.model));
    new_search(&again, "swapped.jsonl", s.sets[5]);
    must_run(&again);
    assert_same_result(s.result, again.result);
    assert_true(!again.result->trials[0].reused);
    close_search(&again);
    close_search(&s);
}

/* Nothing can be learned: what seems best on the inner validation is luck, and the base is kept. */
static void test_the_base_is_kept(void **state)
{
    (void)state;
    search s;
    akin_hash before, after;
    akin_model *base;
    akin_named_encoder encoder = {"n", NULL};
    write_pairs("noise.jsonl", 200, true);
    new_search(&s, "noise.jsonl",
               "tune={head: [{type: gated}, {type: linear}, {type: "
               "skip_connection}], optimizer.lr: [1e-3, 0.01, 0.1]}");
    must_run(&s);
    assert_int_equal(s.result->count, 9);
    assert_true(!s.result->better);
    assert_true(!s.result->outer || s.result->outer->rows[0].low <= 0);
    assert_int_equal(akin_encoder_create(&encoder.encoder, context, "numbers", NULL, &error), 0);
    assert_int_equal(akin_model_create(&base, context, &encoder, 1, NULL, &error), AKIN_OK);
    assert_int_equal(akin_model_fingerprint(base, &before, &error), AKIN_OK);
    assert_int_equal(akin_model_fingerprint(s.model, &after, &error), AKIN_OK);
    assert_true(ak_hash_equal(before, after));
    assert_int_equal(akin_model_save(s.model, scratch_path("kept"), true, &error), AKIN_OK);
    akin_model_free(base);
    close_search(&s);
}

static volatile int interrupt;

static void interrupt_third(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user, (void)kind, (void)fraction;
    if (kind == AKIN_MESSAGE_PROGRESS && strncmp(text, "trial 3 of 4", 12) == 0)
        interrupt = 1;
}

static void test_a_stopped_search_goes_on(void **state)
{
    (void)state;
    const char grid[] = "tune={head: [{type: gated}, {type: query_adapter, head: linear}], "
                        "optimizer.lr: [1e-4, 0.1]}";
    search whole, stopped;
    write_pairs("swapped.jsonl", 200, false);
    new_search(&whole, "swapped.jsonl", grid);
    must_run(&whole);
    new_search(&stopped, "swapped.jsonl", grid);
    stopped.options.folder = scratch_path("search.tune");
    akin_context_on_message(context, interrupt_third, NULL);
    akin_context_on_interrupt(context, &interrupt);
    assert_int_equal(run(&stopped), AKIN_ERR_INTERRUPTED);
    assert_true(!stopped.result && !stopped.model);
    interrupt = 0;
    assert_int_equal(run(&stopped), AKIN_ERR_INTERRUPTED); /* and again, with two trials kept */
    akin_context_on_message(context, NULL, NULL);
    interrupt = 0;
    must_run(&stopped);
    int reused = 0;
    for (int64_t i = 0; i < 4; i++)
        reused += stopped.result->trials[i].reused;
    assert_int_equal(reused, 2);
    assert_same_result(whole.result, stopped.result);
    close_search(&stopped);

    stopped.sets[3] = "train.epochs=2"; /* other settings: nothing is reused */
    must_run(&stopped);
    for (int64_t i = 0; i < 4; i++)
        assert_true(!stopped.result->trials[i].reused && stopped.result->trials[i].epochs <= 2);
    close_search(&stopped);
    close_search(&whole);
}

static void test_a_diverging_trial_comes_last(void **state)
{
    (void)state;
    search s;
    write_pairs("swapped.jsonl", 200, false);
    new_search(&s, "swapped.jsonl", "tune.optimizer.lr=[1e6, 0.1]");
    s.sets[s.count++] = "optimizer={type: sgd, weight_decay: 1}";
    s.sets[s.count++] = "train.early_stopping=false";
    must_run(&s);
    assert_true(isnan(s.result->trials[1].value) && !isnan(s.result->trials[0].value));
    assert_string_equal(s.result->trials[1].settings, "optimizer.lr=1e6");
    close_search(&s);
}

static void test_mistakes(void **state)
{
    (void)state;
    search s;
    write_pairs("swapped.jsonl", 40, false);
    new_search(&s, "swapped.jsonl", "tune.head=[{type: gated}, {type: gaited}]");
    assert_int_equal(run(&s), AKIN_ERR_ARGUMENT);
    assert_says(&error, "head={type: gaited}: ");
    assert_says(&error, "did you mean \"gated\"");
    s.sets[5] = "tune.head=[{type: gated}]";
    s.sets[1] = "data.validation=false";
    assert_int_equal(run(&s), AKIN_ERR_ARGUMENT);
    assert_says(&error, "\"data.validation\" is false");
    char file[300];
    snprintf(file, sizeof file, "data.validation=%s", scratch_path("swapped.jsonl"));
    s.sets[1] = file;
    s.sets[s.count++] = "data.streaming=true";
    assert_int_equal(run(&s), AKIN_ERR_ARGUMENT);
    assert_says(&error, "\"data.streaming\" is true");
    s.count--;
    s.sets[1] = "metrics=[]";
    assert_int_equal(run(&s), AKIN_ERR_ARGUMENT);
    assert_says(&error, "\"metrics\" is empty");
    s.sets[1] = "data.validation=0.4";
    s.options.inner = 1;
    assert_int_equal(run(&s), AKIN_ERR_ARGUMENT);
    assert_says(&error, "inner must be a share between 0 and 1");
    s.options.inner = .2;
    s.options.trials = -1;
    assert_int_equal(run(&s), AKIN_ERR_ARGUMENT);
    assert_says(&error, "trials is -1");
    s.options.trials = 0;
    s.sets[5] = "tune.head=[{type: linear, rank: 9}]";
    assert_int_equal(run(&s), AKIN_ERR_ARGUMENT);
    assert_says(&error, "rank is 9");
    assert_true(!s.result && !s.model);
}

/* ---- memory ---- */

static akin_status make_grid(void *user, akin_error *e)
{
    ak_tune_points points;
    akin_arena *own;
    AK_TRY(ak_arena_create(&own, e));
    akin_status status = ak_tune_grid(&points, user, 3, 1, own, e);
    ak_arena_free(own);
    return status;
}

static akin_status keep_trial(void *user, akin_error *e)
{
    ak_tune_log *log;
    ak_remove_tree(user); /* every attempt starts with an empty file */
    akin_tune_trial trial = {.settings = "a=\"b\"", .value = .1 + .2, .best_epoch = 3},
                    back = trial;
    AK_TRY(ak_tune_log_open(&log, user, e));
    akin_status status = ak_tune_log_add(log, ak_hash_text("k"), &trial, e);
    ak_tune_log_close(log);
    AK_TRY(status);
    AK_TRY(ak_tune_log_open(&log, user, e));
    assert_true(ak_tune_log_find(log, ak_hash_text("k"), &back));
    assert_true(back.value == trial.value && back.best_epoch == 3 && back.reused);
    assert_true(!ak_tune_log_find(log, ak_hash_text("l"), &back));
    ak_tune_log_close(log);
    return AKIN_OK;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    akin_recipe *recipe;
    write_text(scratch_path("r.yaml"), START "tune: {head: {type: [gated, linear]}, optimizer.lr: "
                                             "[1, 2, 3]}\n");
    assert_int_equal(akin_recipe_open(&recipe, context, scratch_path("r.yaml"), NULL, 0, &error),
                     0);
    ak_json_route_allocations(true);
    assert_true(fail_each_allocation(make_grid, recipe) > 8);
    char folder[512];
    strcpy(folder, scratch_path("kept.tune"));
    assert_true(fail_each_allocation(keep_trial, folder) > 8);
    ak_json_route_allocations(false);
    akin_recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_drawn_points),
        cmocka_unit_test(test_bad_grids),
        cmocka_unit_test(test_the_best_is_found),
        cmocka_unit_test(test_the_base_is_kept),
        cmocka_unit_test(test_a_stopped_search_goes_on),
        cmocka_unit_test(test_a_diverging_trial_comes_last),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
