/* Mixed data sets: samples and labels of several files, and how often an epoch draws them. */
#include "data_files.h"

#include "train/recipe.h"

#include "numbers_encoder.h"

static akin_dataset *open_text(const char *name, const char *text, akin_sample_kind kind)
{
    akin_dataset *dataset;
    assert_ok(ak_dataset_open_file(&dataset, write_text(name, text), kind, NULL, NULL, told));
    return dataset;
}

static ak_table *build(const akin_dataset *dataset)
{
    ak_table *table;
    assert_ok(ak_table_build(&table, dataset, NULL, NULL, NULL, told));
    return table;
}

/* n pairs of objects of their own. */
static akin_dataset *make_pairs(const char *prefix, int64_t n)
{
    static akin_pair pairs[1000];
    static char texts[2000][24];
    akin_dataset *dataset;
    for (int64_t i = 0; i < n; i++) {
        snprintf(texts[2 * i], 24, "%s%da", prefix, (int)i);
        snprintf(texts[2 * i + 1], 24, "%s%db", prefix, (int)i);
        pairs[i] = (akin_pair){akin_text(texts[2 * i]), akin_text(texts[2 * i + 1]), 1, 0};
    }
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, n, told));
    return dataset;
}

/* ---- samples and labels ---- */

static void test_samples(void **state)
{
    (void)state;
    akin_dataset *sets[3], *mixed;
    sets[0] = open_text(
        "a.jsonl", "{\"a\": \"q1\", \"b\": \"r1\"}\n{\"a\": \"q2\", \"b\": \"r2\"}\n", AKIN_PAIRS);
    sets[1] = open_text("b.csv", "a,b,score\nq1,r3,0.25\n", AKIN_PAIRS);
    sets[2] = open_text("c.tsv", "a\tb\nq1\tr4\n", AKIN_PAIRS);
    const akin_dataset *const all[] = {sets[0], sets[1], sets[2]};
    assert_ok(akin_dataset_mix(&mixed, all, NULL, 3, told));
    assert_int_equal(akin_dataset_count(mixed), 4);
    char *text = dataset_text(mixed);
    assert_string_equal(text, "q1|r1|1|0\nq2|r2|1|0\nq1|r3|0.25|0\nq1|r4|1|0\n");
    ak_free(text);
    /* Known positives of q1 are those of all files. */
    ak_table *t = build(mixed);
    assert_int_equal(t->contents, 6);
    int64_t q1 = t->content[0];
    assert_int_equal(t->content[4], q1);
    assert_int_equal(t->content[6], q1);
    assert_int_equal(t->positive_start[q1 + 1] - t->positive_start[q1], 2);
    ak_table_free(t);
    ak_hash one, two;
    assert_true(ak_dataset_fingerprint(mixed, &one));
    akin_dataset_free(mixed);
    assert_ok(akin_dataset_mix(&mixed, all, NULL, 2, told));
    assert_true(ak_dataset_fingerprint(mixed, &two));
    assert_false(ak_hash_equal(one, two));
    akin_dataset_free(mixed);
    for (int i = 0; i < 3; i++)
        akin_dataset_free(sets[i]);
}

/* A label is its text, whichever file it stands in. */
static void test_labels(void **state)
{
    (void)state;
    akin_dataset *one = open_text("a.jsonl",
                                  "{\"object\": \"x\", \"group\": 1}\n"
                                  "{\"object\": \"y\", \"group\": \"cat\"}\n",
                                  AKIN_GROUPS);
    akin_dataset *two = open_text("b.csv", "object,group\nz,cat\nw,1\nv,dog\n", AKIN_GROUPS);
    const akin_dataset *const sets[] = {one, two};
    akin_dataset *mixed;
    assert_ok(akin_dataset_mix(&mixed, sets, NULL, 2, told));
    ak_table *t = build(mixed);
    static const int64_t expected[] = {0, 1, 1, 0, 2};
    assert_memory_equal(t->group, expected, sizeof expected);
    char *labels;
    assert_ok(ak_table_labels(&labels, t, mixed, told));
    assert_string_equal(labels, "[1, \"cat\", \"dog\"]");
    ak_free(labels);
    ak_table_free(t);
    akin_dataset_free(mixed);
    akin_dataset_free(one);
    akin_dataset_free(two);
}

/* Errors name the file and line of the part. */
static void test_errors(void **state)
{
    (void)state;
    akin_dataset *one = open_text("a.jsonl", "{\"a\": \"1\", \"b\": \"2\"}\n", AKIN_PAIRS);
    akin_dataset *two = open_text("b.jsonl",
                                  "{\"a\": \"1\", \"b\": \"2\"}\n"
                                  "\n{\"a\": \"1\", \"b\": \"2\", \"subgroup\": 4}\n",
                                  AKIN_PAIRS);
    akin_dataset *groups = open_text("g.csv", "object,group\nz,cat\n", AKIN_GROUPS), *mixed;
    const akin_dataset *sets[] = {one, two, NULL};
    const double bad[] = {1, 0}, infinite[] = {1, 1.0 / 0.0};
    akin_error error = {0};
    ak_table *t;
    assert_ok(akin_dataset_mix(&mixed, sets, NULL, 2, told));
    assert_int_equal(ak_table_build(&t, mixed, NULL, NULL, NULL, &error), AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "b.jsonl:3: a subgroup, but the samples before it"));
    assert_int_equal(error.line, 3);
    akin_dataset_free(mixed);

    assert_int_equal(akin_dataset_mix(&mixed, sets, bad, 2, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "b.jsonl: a weight of 0"));
    assert_int_equal(akin_dataset_mix(&mixed, sets, infinite, 2, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_dataset_mix(&mixed, sets, NULL, 3, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_dataset_mix(&mixed, sets, NULL, 0, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_dataset_mix(&mixed, NULL, NULL, 1, NULL), AKIN_ERR_ARGUMENT);
    sets[1] = groups;
    assert_int_equal(akin_dataset_mix(&mixed, sets, NULL, 2, &error), AKIN_ERR_MISMATCH);
    assert_non_null(strstr(error.message, "one holds pairs, the other groups"));
    assert_null(mixed);
    akin_dataset_free(one);
    akin_dataset_free(two);
    akin_dataset_free(groups);
}

/* ---- weights ---- */

/* How often an epoch has each sample; its order goes to `order`, if that is wanted. */
static int64_t count_epoch(const akin_dataset *dataset, const char *sampler, int64_t epoch,
                           int *times, int64_t *order)
{
    akin_loader_options options = akin_loader_defaults();
    akin_loader *loader;
    ak_batch *batch;
    int64_t n = 0;
    options.batch_size = 16;
    options.sampler = sampler;
    ak_table *t = build(dataset);
    assert_ok(akin_pair_loader_create(&loader, dataset, &options, told));
    assert_ok(ak_loader_prepare(loader, t, false, NULL, NULL, told));
    memset(times, 0, (size_t)akin_dataset_count(dataset) * sizeof *times);
    assert_ok(ak_loader_start(loader, epoch, 0, told));
    for (;;) {
        assert_ok(ak_loader_next(loader, &batch, told));
        if (!batch)
            break;
        for (int64_t i = 0; i < batch->count; i++, n++) {
            times[batch->samples[i]]++;
            if (order)
                order[n] = batch->samples[i];
        }
        ak_loader_release(loader, batch);
    }
    n += ak_loader_left_out(loader);
    akin_loader_free(loader);
    ak_table_free(t);
    return n;
}

static int64_t sum(const int *times, int64_t first, int64_t end)
{
    int64_t n = 0;
    for (int64_t i = first; i < end; i++)
        n += times[i];
    return n;
}

static void test_weights(void **state)
{
    (void)state;
    akin_dataset *a = make_pairs("x", 100), *b = make_pairs("y", 40), *c = make_pairs("z", 60);
    const akin_dataset *const sets[] = {a, b, c};
    static const double weights[] = {0.3, 2.5, 1};
    static int times[200], before[200];
    static int64_t order[190], again[190];
    int seen[200] = {0};
    akin_dataset *mixed;
    assert_ok(akin_dataset_mix(&mixed, sets, weights, 3, told));
    for (int64_t epoch = 0; epoch < 40; epoch++) {
        assert_int_equal(count_epoch(mixed, NULL, epoch, times, order), 30 + 100 + 60);
        assert_int_equal(sum(times, 0, 100), 30);
        assert_int_equal(sum(times, 100, 140), 100);
        for (int i = 0; i < 200; i++) {
            int least = i < 100 ? 0 : i < 140 ? 2 : 1, most = i < 100 ? 1 : i < 140 ? 3 : 1;
            assert_in_range(times[i], least, most);
            seen[i] += times[i];
        }
        count_epoch(mixed, NULL, epoch, before, again);
        assert_memory_equal(order, again, sizeof order);
        count_epoch(mixed, NULL, epoch + 1, before, again);
        assert_memory_not_equal(times, before, sizeof times);
    }
    for (int i = 0; i < 100; i++) /* 12 expected of 40, standard deviation 2.9 */
        assert_in_range(seen[i], 1, 26);
    /* Files are mixed, not drawn one after the other. */
    int64_t first_half = 0;
    for (int i = 0; i < 95; i++)
        first_half += order[i] >= 100 && order[i] < 140;
    assert_in_range(first_half, 35, 65);
    /* A sampler sees what was drawn: a pair drawn three times stands in three batches. */
    assert_int_equal(count_epoch(mixed, "no_duplicates", 1, times, NULL), 190);
    akin_dataset_free(mixed);

    static const double whole[] = {1, 1, 1}; /* all once is the order of no weights */
    assert_ok(akin_dataset_mix(&mixed, sets, whole, 3, told));
    static int64_t plain[200], weighted[200];
    count_epoch(mixed, NULL, 3, times, weighted);
    akin_dataset_free(mixed);
    assert_ok(akin_dataset_mix(&mixed, sets, NULL, 3, told));
    count_epoch(mixed, NULL, 3, times, plain);
    assert_memory_equal(plain, weighted, sizeof plain);
    akin_dataset_free(mixed);
    akin_dataset_free(a);
    akin_dataset_free(b);
    akin_dataset_free(c);
}

/* Views keep the weights of the part a sample is of. */
static void test_split(void **state)
{
    (void)state;
    akin_dataset *a = make_pairs("x", 100), *b = make_pairs("y", 60), *mixed, *train, *held;
    const akin_dataset *const sets[] = {a, b};
    static const double weights[] = {1, 3};
    const ak_data_part *parts;
    int times[160];
    assert_ok(akin_dataset_mix(&mixed, sets, weights, 2, told));
    assert_ok(akin_dataset_split(&train, &held, mixed, 0.25, AKIN_SPLIT_BY_SAMPLE, 7, told));
    assert_int_equal(ak_dataset_parts(train, &parts), 2);
    int64_t n = parts[0].count, m = parts[1].count;
    assert_int_equal(n + m, 120);
    assert_true(n > 50 && n < 100 && parts[1].first == n && parts[1].weight == 3);
    assert_int_equal(count_epoch(train, NULL, 1, times, NULL), n + 3 * m);
    for (int64_t i = 0; i < n + m; i++)
        assert_int_equal(times[i], i < n ? 1 : 3);
    akin_dataset_free(train);
    akin_dataset_free(held);
    akin_dataset_free(mixed);
    akin_dataset_free(a);
    akin_dataset_free(b);
}

/* ---- from a recipe ---- */

static void test_recipe(void **state)
{
    (void)state;
    akin_context *context;
    akin_recipe *recipe;
    akin_loader *train, *validation;
    write_text("one.jsonl", "{\"q\": \"1\", \"r\": \"1\"}\n{\"q\": \"2\", \"r\": \"2\"}\n");
    write_text("two.csv", "a,b\n3,3\n4,4\n5,5\n6,6\n");
    const char *path =
        write_text("r.yaml", "data:\n"
                             "  train:\n"
                             "    - {path: one.jsonl, weight: 2, fields: {a: q, b: r}}\n"
                             "    - two.csv\n"
                             "  validation: false\n"
                             "encoders: {n: {type: numbers}}\n");
    assert_ok(akin_context_create(&context, told));
    assert_ok(akin_register_encoder(context, &numbers_class, told));
    assert_ok(akin_recipe_open(&recipe, context, path, NULL, 0, told));
    assert_ok(akin_recipe_loaders(recipe, &train, &validation, told));
    assert_null(validation);
    char *text = dataset_text(akin_loader_dataset(train));
    assert_string_equal(text, "1|1|1|0\n2|2|1|0\n3|3|1|0\n4|4|1|0\n5|5|1|0\n6|6|1|0\n");
    ak_free(text);
    int times[6];
    assert_int_equal(count_epoch(akin_loader_dataset(train), NULL, 1, times, NULL), 8);
    assert_int_equal(times[0], 2);
    assert_int_equal(times[5], 1);
    assert_non_null(strstr(akin_recipe_json(recipe), "\"weight\": 2"));
    akin_recipe_free(recipe);
    akin_context_free(context);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    akin_dataset *a = make_pairs("x", 100), *b = make_pairs("y", 60), *mixed = NULL;
    const akin_dataset *const sets[] = {a, b};
    static const double weights[] = {1, 3};
    akin_status status = AKIN_ERR_MEMORY;
    for (int64_t n = 1; status; n++) {
        akin_error error = {0};
        akin_loader *loader = NULL;
        ak_memory_fail_at(n);
        status = akin_dataset_mix(&mixed, sets, weights, 2, &error);
        ak_table *t = NULL;
        if (!status)
            status = ak_table_build(&t, mixed, NULL, NULL, NULL, &error);
        if (!status)
            status = akin_pair_loader_create(&loader, mixed, NULL, &error);
        if (!status)
            status = ak_loader_prepare(loader, t, false, NULL, NULL, &error);
        ak_memory_fail_at(0);
        assert_true(!status || (status == AKIN_ERR_MEMORY && *error.message));
        akin_loader_free(loader);
        ak_table_free(t);
        akin_dataset_free(mixed);
        mixed = NULL;
    }
    akin_dataset_free(a);
    akin_dataset_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),       cmocka_unit_test(test_labels),
        cmocka_unit_test(test_errors),        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_split),         cmocka_unit_test(test_recipe),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
