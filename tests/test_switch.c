/* Encoders and heads that are chosen by the record: the tag goes with the object through keys,
   caches, training, evaluation and saved models. And several encoders in one model, frozen and
   trainable. */
#include "support.h"

#include "model/heads.h"
#include "train/train.h"

#include <math.h>

static akin_error error;
static akin_context *context;

static int set_up(void **state)
{
    if (scratch_make(state) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, scratch_path("cache"), NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return scratch_remove(state);
}

/* "kind" chooses: of an "old" record the vector is the member v, of a "new" one w. */
#define CHOOSER                                                                                    \
    "{by: kind, encoders: {old: {type: vectors, field: v, dim: 2}, "                               \
    "new: {type: vectors, field: w, dim: 2}}}"

#define RECORD(kind) "{\"kind\": \"" kind "\", \"v\": [1, 2], \"w\": [5, 6]}"
static const akin_object old_record = {RECORD("old"), sizeof RECORD("old") - 1};
static const akin_object new_record = {RECORD("new"), sizeof RECORD("new") - 1};

static akin_status make_model(akin_model **model, const char *encoder, const char *options,
                              const char *head_type, const char *head_options, akin_error *e)
{
    akin_named_encoder named = {"x", NULL};
    akin_head *head = NULL;
    *model = NULL;
    AK_TRY(akin_encoder_create(&named.encoder, context, encoder, options, e));
    akin_status status = AKIN_OK;
    if (head_type)
        status = akin_head_create(&head, context, head_type, head_options,
                                  akin_encoder_dim(named.encoder), e);
    if (!status)
        status = akin_model_create(model, context, &named, 1, head, e);
    if (status) {
        akin_head_free(head);
        akin_encoder_free(named.encoder);
    }
    return status;
}

static akin_model *must_make(const char *head_type, const char *head_options)
{
    akin_model *model;
    if (make_model(&model, "switch", CHOOSER, head_type, head_options, &error))
        fail_msg("%s", error.message);
    return model;
}

static void assert_encodes(const akin_model *model, akin_object object, float u, float v)
{
    float y[2];
    if (akin_model_encode(model, &object, 1, y, &error))
        fail_msg("%s", error.message);
    if (!(y[0] == u && y[1] == v))
        fail_msg("%.*s: %g %g, expected %g %g", (int)object.size, (const char *)object.data,
                 (double)y[0], (double)y[1], (double)u, (double)v);
}

static void test_the_record_chooses(void **state)
{
    (void)state;
    akin_model *model = must_make(NULL, NULL);
    assert_encodes(model, old_record, 1, 2);
    assert_encodes(model, new_record, 5, 6);
    static const struct {
        const char *record, *message;
    } bad[] = {{"{\"kind\": \"odd\", \"v\": [1, 2]}",
                "the member \"kind\" is \"odd\", expected one of \"old\", \"new\""},
               {"{\"v\": [1, 2]}", "the member \"kind\" is missing, expected one of"},
               {"{\"kind\": 3}", "the member \"kind\" is a whole number, expected one of"}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        float y[2];
        akin_object object = akin_text(bad[k].record);
        assert_int_equal(akin_model_encode(model, &object, 1, y, &error), AKIN_ERR_FORMAT);
        assert_says(&error, bad[k].message);
    }
    akin_model_free(model);
}

/* ---- heads by the tag ---- */

/* Swaps the numbers of old records, doubles those of new ones. */
static akin_model *swap_or_double(const char *order)
{
    akin_model *model = must_make("switch", order);
    for (int p = 0; p < ak_parameters_count(model->head->parameters); p++) {
        akin_parameter *one = akin_parameters_get(model->head->parameters, p);
        bool swap = strcmp(one->name, "heads.old.weight") == 0;
        assert_true(swap || strcmp(one->name, "heads.new.weight") == 0);
        for (int i = 0; i < 4; i++)
            one->value[i] = swap ? i == 1 || i == 2 : 2 * (i == 0 || i == 3);
    }
    return model;
}

static akin_status take(void *user, int64_t first, int64_t count, const float *vectors,
                        akin_error *e)
{
    (void)e;
    memcpy((float *)user + 2 * first, vectors, (size_t)count * 2 * sizeof *vectors);
    return AKIN_OK;
}

static void test_the_tag_reaches_the_head(void **state)
{
    (void)state;
    static const char *const orders[] = {
        "{heads: {old: {type: linear, bias: false}, new: {type: linear, bias: false}}}",
        "{heads: {new: {type: linear, bias: false}, old: {type: linear, bias: false}}}"};
    for (int i = 0; i < 2; i++) { /* heads and encoders may stand in different orders */
        akin_model *model = swap_or_double(orders[i]), *again;
        assert_encodes(model, old_record, 2, 1);
        assert_encodes(model, new_record, 10, 12);
        assert_int_equal(akin_model_save(model, scratch_path("model"), true, &error), AKIN_OK);
        if (akin_model_load(&again, context, scratch_path("model"), AKIN_AS_SAVED, &error))
            fail_msg("%s", error.message);
        assert_encodes(again, old_record, 2, 1);
        assert_encodes(again, new_record, 10, 12);
        for (int pass = 0; pass < 2; pass++) { /* computed, then found in the store */
            akin_corpus *corpus;
            float y[6];
            write_text(scratch_path("c.jsonl"),
                       "{\"kind\": \"new\", \"w\": [3, 4]}\n{\"kind\": \"old\", \"v\": [3, 4]}\n"
                       "{\"kind\": \"new\", \"w\": [3, 4]}\n");
            assert_int_equal(
                akin_corpus_open(&corpus, context, again, scratch_path("c.jsonl"), NULL, &error),
                AKIN_OK);
            if (akin_encode_corpus(again, AKIN_SPACE_MODEL, corpus, take, y, &error))
                fail_msg("%s", error.message);
            const float expected[] = {6, 8, 4, 3, 6, 8};
            assert_memory_equal(y, expected, sizeof y);
            akin_corpus_free(corpus);
        }
        akin_model_free(again);
        akin_model_free(model);
    }
}

static void test_switches_inside(void **state)
{
    (void)state;
    akin_model *model = must_make("sequential", "{layers: [gated, {type: switch, heads: {old: "
                                                "{type: normalize}, new: {type: empty}}}]}");
    float y[2];
    assert_int_equal(akin_model_encode(model, &old_record, 1, y, &error), AKIN_OK);
    assert_true(fabsf(y[0] * y[0] + y[1] * y[1] - 1) < 1e-5f);
    assert_int_equal(akin_model_encode(model, &new_record, 1, y, &error), AKIN_OK);
    assert_true(y[0] > 4);
    akin_model_free(model);
    model =
        must_make("query_adapter", "{head: {type: switch, heads: {old: normalize, new: empty}}}");
    assert_int_equal(akin_model_encode_in(model, AKIN_SPACE_QUERY, &new_record, 1, y, &error), 0);
    assert_true(y[0] == 5);
    akin_model_free(model);
}

static void test_bad_switches(void **state)
{
    (void)state;
    static const struct {
        const char *encoder, *options, *head, *head_options, *message;
        akin_status status;
    } bad[] = {
        {"switch", "{encoders: {a: vectors}}", NULL, NULL, "\"by\" is missing", AKIN_ERR_ARGUMENT},
        {"switch", "{by: k}", NULL, NULL, "\"encoders\" must be a map", AKIN_ERR_ARGUMENT},
        {"switch", "{by: k, encoders: [vectors]}", NULL, NULL, "must be a map", AKIN_ERR_ARGUMENT},
        {"switch", "{by: k, encoders: {a/b: {type: vectors, dim: 2}}}", NULL, NULL,
         "\"a/b\" is no name", AKIN_ERR_ARGUMENT},
        {"switch", "{by: k, encoders: {a: {type: vector}}}", NULL, NULL, "did you mean \"vectors\"",
         AKIN_ERR_ARGUMENT},
        {"switch", "{by: k, encoders: {a: {type: vectors, dim: 2}, b: {type: vectors, dim: 3}}}",
         NULL, NULL, "\"a\" gives 2 numbers and \"b\" 3, must be equal", AKIN_ERR_ARGUMENT},
        {"switch", "{by: k, encoders: {a: " CHOOSER "}}", NULL, NULL, "does not say its \"type\"",
         AKIN_ERR_ARGUMENT},
        {"switch", CHOOSER, "switch", "{heads: [gated]}", "\"heads\" must be a map",
         AKIN_ERR_ARGUMENT},
        {"switch", CHOOSER, "switch", "{heads: {old: gated, new: {type: linear, output_dim: 3}}}",
         "\"old\" makes 2 numbers and \"new\" 3", AKIN_ERR_ARGUMENT},
        {"switch", CHOOSER, "switch", "{heads: {old: gated, now: gated}}",
         "the head switch knows a tag \"now\" that the encoder \"x\" never gives",
         AKIN_ERR_MISMATCH},
        {"switch", CHOOSER, "switch", "{heads: {old: gated}}",
         "the encoder \"x\" gives the tag \"new\", which the head switch does not know",
         AKIN_ERR_MISMATCH},
        {"vectors", "{dim: 2}", "switch", "{heads: {old: gated}}",
         "goes by tags (\"old\", ...), but no encoder gives any", AKIN_ERR_MISMATCH},
        {"switch", CHOOSER, "switch",
         "{heads: {old: {type: switch, heads: {old: gated, new: gated}}, new: gated}}",
         "\"old\" goes by tags itself", AKIN_ERR_ARGUMENT},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        akin_model *model;
        akin_status status = make_model(&model, bad[k].encoder, bad[k].options, bad[k].head,
                                        bad[k].head_options, &error);
        if (status != bad[k].status || model || !strstr(error.message, bad[k].message))
            fail_msg("row %d: %s: \"%s\" lacks \"%s\"", (int)k, akin_status_name(status),
                     error.message, bad[k].message);
    }
}

/* ---- recipes ---- */

#define START "data: {train: d.jsonl}\nencoders:\n"

static void test_mistakes_have_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        int64_t line;
    } bad[] = {
        {START "  t: {type: vectors, dim: 2}\nhead:\n  type: switch\n  heads:\n    a: gated\n",
         "the head of the tag \"a\": no encoder gives tags", 7},
        {START "  t: {type: switch, by: k, encoders: {a: {type: vectors, dim: 2}}}\nhead:\n"
               "  type: switch\n  heads:\n    a: gated\n    b: gated\n",
         "the head of the tag \"b\": the switch encoder has no encoder of that name", 8},
        {START "  t: {type: switch, by: k, encoders: {a: {type: vectors, dm: 2}}}\n",
         "did you mean \"dim\"", 3},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        akin_recipe *recipe;
        write_text(scratch_path("r.yaml"), bad[k].text);
        akin_status status =
            akin_recipe_open(&recipe, context, scratch_path("r.yaml"), NULL, 0, &error);
        if (status == AKIN_OK || error.line != bad[k].line ||
            !strstr(error.message, bad[k].message))
            fail_msg("row %d: line %d: %s", (int)k, (int)error.line, error.message);
    }
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

/* a: a new record; b: an old one with its numbers swapped, and a word for ngrams. */
static const char *write_pairs(void)
{
    static char data[300];
    char *text = ak_calloc(80, 200);
    size_t used = 0;
    for (int i = 0; i < 80; i++) {
        double u = ak_random_normal(1, 1, (uint64_t)i), v = ak_random_normal(1, 2, (uint64_t)i);
        used += (size_t)snprintf(
            text + used, 200,
            "{\"a\": {\"kind\": \"new\", \"w\": [%.2f, %.2f], \"t\": \"word%d\"}, "
            "\"b\": {\"kind\": \"old\", \"v\": [%.2f, %.2f], \"t\": \"word%d\"}}\n",
            u, v, i, v, u, i);
    }
    write_text(scratch_path("pairs.jsonl"), text);
    ak_free(text);
    snprintf(data, sizeof data, "data.train=%s", scratch_path("pairs.jsonl"));
    return data;
}

static void test_heads_by_tag_learn(void **state)
{
    (void)state;
    for (int cache = 0; cache < 2; cache++) {
        const char *sets[] = {write_pairs(),
                              "data.validation=0.3",
                              "encoders.x.type=switch",
                              "encoders.x.by=kind",
                              "encoders.x.encoders={old: {type: vectors, field: v, dim: 2}, "
                              "new: {type: vectors, field: w, dim: 2}}",
                              "head={type: switch, heads: {old: empty, new: linear}}",
                              "optimizer.lr=0.05",
                              "train.epochs=30",
                              "train.batch_size=16",
                              cache ? "cache=true" : "cache=false"};
        akin_model *model;
        akin_fit_summary summary;
        float y[2];
        if (fit(&model, &summary, sets, 10))
            fail_msg("%s", error.message);
        assert_true(summary.best_epoch > 0 && summary.best_value < .8 * summary.base_value);
        assert_encodes(model, old_record, 1, 2);
        assert_int_equal(akin_model_encode(model, &new_record, 1, y, &error), AKIN_OK);
        assert_true(y[0] > y[1]);
        akin_model_free(model);
    }
}

static float change(const akin_model *before, const akin_model *after, akin_object object,
                    int64_t first, int64_t count)
{
    float x[16], y[16], most = 0;
    assert_true(before->input_dim <= 16);
    assert_int_equal(akin_model_encode_base(before, &object, 1, x, &error), AKIN_OK);
    assert_int_equal(akin_model_encode_base(after, &object, 1, y, &error), AKIN_OK);
    for (int64_t i = first; i < first + count; i++)
        most = fmaxf(most, fabsf(x[i] - y[i]));
    return most;
}

/* Before the first step: the same recipe, trained for one with a rate of nearly nothing. */
static void fit_twice(akin_model **before, akin_model **after, const char **sets, int count)
{
    akin_fit_summary summary;
    for (int i = 0; i < 2; i++) {
        sets[count - 1] = i ? "optimizer.lr=0.05" : "optimizer.lr=1e-12";
        if (fit(i ? after : before, &summary, sets, count))
            fail_msg("%s", error.message);
    }
}

static void test_one_of_a_switch_is_trained(void **state)
{
    (void)state;
    const char *sets[] = {write_pairs(),
                          "data.validation=false",
                          "encoders.x.type=switch",
                          "encoders.x.by=kind",
                          "encoders.x.encoders={old: {type: vectors, field: v, dim: 2}, "
                          "new: {type: ngrams, field: t, dim: 2}}",
                          "head.type=empty",
                          "train.epochs=2",
                          "train.batch_size=16",
                          NULL};
    akin_model *before, *after, *again;
    const akin_object word = akin_text("{\"kind\": \"new\", \"t\": \"word3\"}");
    fit_twice(&before, &after, sets, 9);
    assert_true(change(before, after, old_record, 0, 2) == 0);
    assert_true(change(before, after, word, 0, 2) > 1e-4f);
    assert_int_equal(akin_model_save(after, scratch_path("trained"), true, &error), AKIN_OK);
    if (akin_model_load(&again, context, scratch_path("trained"), AKIN_AS_SAVED, &error))
        fail_msg("%s", error.message);
    assert_true(change(after, again, word, 0, 2) == 0);
    assert_true(change(after, again, old_record, 0, 2) == 0);
    akin_model_free(again);
    akin_model_free(before);
    akin_model_free(after);
}

/* Both are, each by its own gradients: a group of the optimizer finds one of them alone. */
static void test_two_of_a_switch_are_trained(void **state)
{
    (void)state;
    static const char *const groups[] = {"optimizer.groups=[]",
                                         "optimizer.groups=[{match: 'x/old/*', lr_factor: 0}]"};
    const akin_object new_word = akin_text("{\"kind\": \"new\", \"t\": \"word3\"}");
    const akin_object old_word = akin_text("{\"kind\": \"old\", \"t\": \"word3\"}");
    for (int i = 0; i < 2; i++) {
        const char *sets[] = {
            write_pairs(),
            "data.validation=false",
            "encoders.x.type=switch",
            "encoders.x.by=kind",
            "encoders.x.encoders={old: {type: ngrams, field: t, dim: 4, seed: 1}, "
            "new: {type: ngrams, field: t, dim: 4, seed: 2}}",
            "head.type=empty",
            "train.epochs=2",
            "train.batch_size=16",
            groups[i],
            NULL};
        akin_model *before, *after;
        fit_twice(&before, &after, sets, 10);
        assert_true(change(before, after, new_word, 0, 4) > 1e-4f);
        assert_int_equal(change(before, after, old_word, 0, 4) > 1e-4f, i == 0);
        akin_model_free(before);
        akin_model_free(after);
    }
}

/* Each of several encoders reads a member of its own; one is frozen and cached, one is trained. */
static void test_frozen_and_trainable_mixed(void **state)
{
    (void)state;
    char *text = ak_calloc(60, 100), data[300];
    size_t used = 0;
    for (int i = 0; i < 60; i++) {
        double u = ak_random_normal(1, 1, (uint64_t)i);
        used += (size_t)snprintf(text + used, 100,
                                 "{\"a\": {\"v\": [%.2f, 1], \"t\": \"ask%d\"}, \"b\": {\"v\": "
                                 "[%.2f, 1], \"t\": \"tell%d\"}}\n",
                                 u, i, u, i);
    }
    write_text(scratch_path("mixed.jsonl"), text);
    ak_free(text);
    snprintf(data, sizeof data, "data.train=%s", scratch_path("mixed.jsonl"));
    const char *sets[] = {data,
                          "data.validation=false",
                          "encoders={frozen: {type: vectors, field: v, dim: 2}, "
                          "trained: {type: ngrams, field: t, dim: 8}}",
                          "head.type=gated",
                          "train.epochs=2",
                          "train.batch_size=16",
                          NULL};
    akin_model *before, *after, *again;
    const akin_object object = akin_text("{\"v\": [3, 4], \"t\": \"ask7\"}");
    float x[10], y[10];
    fit_twice(&before, &after, sets, 7);
    assert_int_equal(before->input_dim, 10);
    assert_true(change(before, after, object, 0, 2) == 0);
    assert_true(change(before, after, object, 2, 8) > 1e-4f);
    assert_int_equal(akin_model_encode_base(after, &object, 1, x, &error), AKIN_OK);
    assert_true(x[0] == 3 && x[1] == 4);
    assert_int_equal(akin_model_save(after, scratch_path("mixed"), true, &error), AKIN_OK);
    if (akin_model_load(&again, context, scratch_path("mixed"), AKIN_AS_SAVED, &error))
        fail_msg("%s", error.message);
    assert_int_equal(akin_model_encode(after, &object, 1, x, &error), AKIN_OK);
    assert_int_equal(akin_model_encode(again, &object, 1, y, &error), AKIN_OK);
    assert_memory_equal(x, y, sizeof x);
    akin_model_free(again);
    akin_model_free(before);
    akin_model_free(after);
}

/* ---- memory ---- */

static akin_status encode_both(void *user, akin_error *e)
{
    const akin_object objects[] = {old_record, new_record};
    float y[4];
    akin_model *model;
    (void)user;
    AK_TRY(make_model(&model, "switch", CHOOSER, "switch",
                      "{heads: {old: skip_connection, new: gated}}", e));
    akin_status status = akin_model_encode(model, objects, 2, y, e);
    akin_model_free(model);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(encode_both, NULL) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_record_chooses),
        cmocka_unit_test(test_the_tag_reaches_the_head),
        cmocka_unit_test(test_switches_inside),
        cmocka_unit_test(test_bad_switches),
        cmocka_unit_test(test_mistakes_have_lines),
        cmocka_unit_test(test_heads_by_tag_learn),
        cmocka_unit_test(test_one_of_a_switch_is_trained),
        cmocka_unit_test(test_two_of_a_switch_are_trained),
        cmocka_unit_test(test_frozen_and_trainable_mixed),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
