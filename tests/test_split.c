/* Validation splits: nothing equal on both sides, the right share, or a clear refusal. */
#include "data_files.h"

#include <math.h>

/* The contents (as numbers in texts) and labels of a side; every object of the tests is a number.
 */
typedef struct side {
    bool *has;       /* by number */
    int64_t *groups; /* samples by group */
    int64_t count;
} side;

#define NUMBERS 5000

static int number_of(akin_object object)
{
    char text[16] = "";
    memcpy(text, object.data, object.size);
    return atoi(text);
}

static side look(const akin_dataset *view)
{
    side s = {.has = ak_calloc(NUMBERS, sizeof(bool)),
              .groups = ak_calloc(NUMBERS, sizeof(int64_t)),
              .count = akin_dataset_count(view)};
    akin_arena *arena;
    assert_ok(ak_arena_create(&arena, told));
    for (int64_t i = 0; i < s.count; i++) {
        akin_sample sample;
        assert_ok(akin_dataset_get(view, i, arena, &sample, told));
        if (akin_dataset_kind(view) == AKIN_PAIRS) {
            s.has[number_of(sample.pair.a)] = s.has[number_of(sample.pair.b)] = true;
        } else {
            s.has[number_of(sample.group.object)] = true;
            s.groups[sample.group.group]++;
        }
    }
    ak_arena_free(arena);
    return s;
}

static void forget(side *s)
{
    ak_free(s->has);
    ak_free(s->groups);
}

static void assert_apart(const side *train, const side *validation)
{
    for (int i = 0; i < NUMBERS; i++)
        assert_false(train->has[i] && validation->has[i]);
}

/* count samples of objects drawn from `objects` numbers, in `groups` groups (0: pairs). */
static akin_dataset *random_set(int64_t count, uint64_t objects, uint64_t groups, uint64_t seed)
{
    akin_pair *pairs = ak_calloc((size_t)count, sizeof *pairs);
    akin_group *samples = ak_calloc((size_t)count, sizeof *samples);
    char(*texts)[16] = ak_calloc((size_t)count * 2, sizeof *texts);
    akin_dataset *dataset;
    for (int64_t i = 0; i < 2 * count; i++)
        snprintf(texts[i], 16, "%d", (int)ak_random_below(seed, 1, (uint64_t)i, objects));
    for (int64_t i = 0; i < count; i++) {
        pairs[i] =
            (akin_pair){.a = akin_text(texts[2 * i]), .b = akin_text(texts[2 * i + 1]), .score = 1};
        samples[i] = (akin_group){
            .object = akin_text(texts[2 * i]),
            .group = groups ? (int64_t)ak_random_below(seed, 2, (uint64_t)i, groups) : 0};
    }
    assert_ok(groups ? akin_dataset_from_groups(&dataset, samples, count, told)
                     : akin_dataset_from_pairs(&dataset, pairs, count, told));
    ak_free(pairs);
    ak_free(samples);
    ak_free(texts);
    return dataset;
}

static void test_pairs(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        akin_dataset *dataset = random_set(1000, 4000, 0, seed), *train, *validation;
        assert_ok(akin_dataset_split(&train, &validation, dataset, 0.1, AKIN_SPLIT_BY_SAMPLE, seed,
                                     told));
        side t = look(train), v = look(validation);
        assert_apart(&t, &v);
        assert_int_equal(t.count + v.count, 1000);
        assert_int_equal(v.count, 100); /* small components fill every gap */
        forget(&t);
        forget(&v);
        akin_dataset_free(train);
        akin_dataset_free(validation);
        akin_dataset_free(dataset);
    }
}

static void test_groups_stratified(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        akin_dataset *dataset = random_set(3000, NUMBERS, 20, seed), *train, *validation;
        assert_ok(akin_dataset_split(&train, &validation, dataset, 0.2, AKIN_SPLIT_BY_SAMPLE, seed,
                                     told));
        side t = look(train), v = look(validation);
        assert_apart(&t, &v);
        assert_int_equal(t.count + v.count, 3000);
        assert_true(labs(v.count - 600) <= 6);
        for (int g = 0; g < 20; g++) { /* 20 %, but for the equal objects in other groups */
            double share = (double)v.groups[g] / (double)(v.groups[g] + t.groups[g]);
            assert_true(fabs(share - 0.2) < 0.1);
        }
        forget(&t);
        forget(&v);
        akin_dataset_free(train);
        akin_dataset_free(validation);
        akin_dataset_free(dataset);
    }
}

/* Groups of two, of which a tenth is less than one sample each, still give a tenth. */
static void test_small_groups(void **state)
{
    (void)state;
    akin_group groups[400];
    char texts[400][16];
    akin_dataset *dataset, *train, *validation;
    for (int i = 0; i < 400; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        groups[i] = (akin_group){.object = akin_text(texts[i]), .group = i / 2};
    }
    assert_ok(akin_dataset_from_groups(&dataset, groups, 400, told));
    assert_ok(akin_dataset_split(&train, &validation, dataset, 0.1, AKIN_SPLIT_BY_SAMPLE, 1, told));
    side t = look(train), v = look(validation);
    assert_int_equal(v.count, 40);
    for (int g = 0; g < 200; g++)
        assert_true(t.groups[g] >= 1); /* no group is lost for training */
    forget(&t);
    forget(&v);
    akin_dataset_free(train);
    akin_dataset_free(validation);
    akin_dataset_free(dataset);
}

/* A tenth of nine samples is about one, which alone would be like nothing: every other group gives
   two, and every held-out sample has a neighbour. */
static void test_no_sample_alone(void **state)
{
    (void)state;
    akin_group groups[450];
    char texts[450][16];
    akin_dataset *dataset, *train, *validation;
    for (int i = 0; i < 450; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        groups[i] = (akin_group){.object = akin_text(texts[i]), .group = i / 9};
    }
    assert_ok(akin_dataset_from_groups(&dataset, groups, 450, told));
    assert_ok(akin_dataset_split(&train, &validation, dataset, 0.1, AKIN_SPLIT_BY_SAMPLE, 1, told));
    side t = look(train), v = look(validation);
    assert_in_range(v.count, 44, 46);
    for (int g = 0; g < 50; g++)
        assert_true(v.groups[g] == 0 || v.groups[g] >= 2);
    forget(&t);
    forget(&v);
    akin_dataset_free(train);
    akin_dataset_free(validation);
    akin_dataset_free(dataset);
}

static void test_whole_groups(void **state)
{
    (void)state;
    int split = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        akin_dataset *dataset = random_set(200, NUMBERS, 60, seed), *train, *validation;
        akin_error error;
        akin_status status = akin_dataset_split(&train, &validation, dataset, 0.3,
                                                AKIN_SPLIT_BY_GROUP, seed, &error);
        split += !status;
        if (status) { /* equal objects may tie most groups into one */
            assert_int_equal(status, AKIN_ERR_ARGUMENT);
            akin_dataset_free(dataset);
            continue;
        }
        side t = look(train), v = look(validation);
        assert_apart(&t, &v);
        for (int g = 0; g < 60; g++)
            assert_false(t.groups[g] && v.groups[g]);
        assert_true(v.count >= 30 && v.count <= 90);
        forget(&t);
        forget(&v);
        akin_dataset_free(train);
        akin_dataset_free(validation);
        akin_dataset_free(dataset);
    }
    assert_true(split > 15);
}

static void test_whole_groups_exact(void **state)
{
    (void)state;
    akin_group groups[100];
    char texts[100][16];
    akin_dataset *dataset, *train, *validation;
    for (int i = 0; i < 100; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        groups[i] = (akin_group){.object = akin_text(texts[i]), .group = i / 10};
    }
    assert_ok(akin_dataset_from_groups(&dataset, groups, 100, told));
    assert_ok(akin_dataset_split(&train, &validation, dataset, 0.3, AKIN_SPLIT_BY_GROUP, 3, told));
    side t = look(train), v = look(validation);
    assert_int_equal(v.count, 30);
    for (int g = 0; g < 10; g++)
        assert_true((t.groups[g] == 10) != (v.groups[g] == 10));
    forget(&t);
    forget(&v);
    akin_dataset_free(train);
    akin_dataset_free(validation);
    akin_dataset_free(dataset);
}

/* The same seed, the same split; another seed, another; views name themselves and their lines. */
static void test_seed(void **state)
{
    (void)state;
    akin_dataset *dataset = random_set(500, NUMBERS, 0, 7), *train[3], *validation[3];
    static const uint64_t seeds[] = {1, 1, 2};
    ak_hash hash[3], other;
    for (int i = 0; i < 3; i++) {
        assert_ok(akin_dataset_split(&train[i], &validation[i], dataset, 0.1, AKIN_SPLIT_BY_SAMPLE,
                                     seeds[i], told));
        assert_true(ak_dataset_fingerprint(validation[i], &hash[i]));
    }
    assert_true(ak_hash_equal(hash[0], hash[1]));
    assert_false(ak_hash_equal(hash[0], hash[2]));
    assert_true(ak_dataset_fingerprint(train[0], &other));
    assert_false(ak_hash_equal(hash[0], other));
    assert_string_equal(ak_dataset_name(train[0]), "arrays in memory");
    for (int i = 0; i < 3; i++) {
        akin_dataset_free(train[i]);
        akin_dataset_free(validation[i]);
    }
    akin_dataset_free(dataset);
}

static void test_view_keeps_lines(void **state)
{
    (void)state;
    akin_dataset *dataset, *train, *validation;
    akin_arena *arena;
    ak_text text = {0};
    ak_text_printf(&text, "a,b\n");
    for (int i = 0; i < 20; i++)
        ak_text_printf(&text, "x%d,y%d\n", i, i);
    const char *path = write_text("v.csv", text.data);
    assert_ok(ak_dataset_open_file(&dataset, path, AKIN_PAIRS, NULL, NULL, told));
    assert_ok(akin_dataset_split(&train, &validation, dataset, 0.2, AKIN_SPLIT_BY_SAMPLE, 3, told));
    assert_ok(ak_arena_create(&arena, told));
    assert_int_equal(akin_dataset_count(validation), 4);
    for (int64_t i = 0; i < 4; i++) {
        akin_sample sample;
        akin_error error;
        assert_ok(akin_dataset_get(validation, i, arena, &sample, told));
        ak_dataset_fail(validation, i, &error, AKIN_ERR_FORMAT, "so");
        assert_int_equal(error.line, 2 + atoi((const char *)sample.pair.a.data + 1));
    }
    ak_arena_free(arena);
    akin_dataset_free(validation);
    akin_dataset_free(train);
    akin_dataset_free(dataset);
    ak_free(text.data);
}

/* ---- refusals ---- */

static void refuse(const akin_dataset *dataset, double fraction, akin_split_by by,
                   const char *message)
{
    akin_dataset *train, *validation;
    akin_error error = {0};
    assert_int_equal(akin_dataset_split(&train, &validation, dataset, fraction, by, 1, &error),
                     AKIN_ERR_ARGUMENT);
    assert_null(train);
    assert_null(validation);
    if (!strstr(error.message, message))
        fail_msg("expected \"%s\" in \"%s\"", message, error.message);
}

static void test_refused(void **state)
{
    (void)state;
    akin_dataset *pairs = random_set(100, 20, 0, 1), *groups = random_set(100, NUMBERS, 1, 1);
    akin_dataset *one = random_set(1, 10, 0, 1);
    refuse(pairs, 0.1, AKIN_SPLIT_BY_SAMPLE,
           "10 of 100 samples cannot be held out: equal objects must stay on one side, and equal "
           "objects tie the samples into 1 part, the largest of 100 samples");
    refuse(groups, 0.1, AKIN_SPLIT_BY_GROUP, "whole groups and equal objects tie");
    refuse(pairs, 0.1, AKIN_SPLIT_BY_GROUP, "pairs have no groups");
    refuse(one, 0.1, AKIN_SPLIT_BY_SAMPLE, "one sample cannot be split; give a validation file");
    const akin_group small[] = {{akin_text("x"), 1}, {akin_text("y"), 1}, {akin_text("z"), 2}};
    akin_dataset *few;
    assert_ok(akin_dataset_from_groups(&few, small, 3, told));
    refuse(few, 0.1, AKIN_SPLIT_BY_SAMPLE, "a group gives two samples at least");
    akin_dataset_free(few);
    static const double fractions[] = {0, 1, -0.1, 2, NAN, INFINITY};
    for (int i = 0; i < 6; i++)
        refuse(pairs, fractions[i], AKIN_SPLIT_BY_SAMPLE, "must lie between 0 and 1");
    akin_dataset_free(one);
    akin_dataset_free(pairs);
    akin_dataset_free(groups);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    akin_dataset *sets[2] = {random_set(50, NUMBERS, 0, 1), random_set(50, NUMBERS, 5, 1)};
    for (int i = 0; i < 2; i++) {
        akin_status status = AKIN_ERR_MEMORY;
        int64_t n = 0;
        while (status == AKIN_ERR_MEMORY && n < 1000) {
            akin_dataset *train, *validation;
            ak_memory_fail_at(++n);
            status = akin_dataset_split(&train, &validation, sets[i], 0.2, AKIN_SPLIT_BY_SAMPLE, 1,
                                        NULL);
            akin_dataset_free(train);
            akin_dataset_free(validation);
        }
        ak_memory_fail_at(0);
        assert_int_equal(status, AKIN_OK);
        assert_true(n > 10);
        akin_dataset_free(sets[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_groups_stratified),
        cmocka_unit_test(test_no_sample_alone),
        cmocka_unit_test(test_small_groups),
        cmocka_unit_test(test_whole_groups),
        cmocka_unit_test(test_whole_groups_exact),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_view_keeps_lines),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
