/* Samplers: what stands together in a batch, what is left out, and that an epoch is a function of
   (seed, epoch). */
#include "data_files.h"

#include "data/sampler.h"

/* ---- scenes ---- */

/* object i of group g(i); groups of sizes[0], sizes[1], ... */
static akin_dataset *make_groups(const int *sizes, int groups)
{
    akin_group samples[4096];
    static char texts[4096][24];
    int64_t n = 0;
    akin_dataset *dataset;
    for (int g = 0; g < groups; g++)
        for (int i = 0; i < sizes[g]; i++, n++) {
            snprintf(texts[n], sizeof texts[n], "o%lld", (long long)n);
            samples[n] = (akin_group){akin_text(texts[n]), 100 + g};
        }
    assert_ok(akin_dataset_from_groups(&dataset, samples, n, told));
    return dataset;
}

/* question i, answer i % answers; subgroup 1 + i / each (each 0: none). */
static akin_dataset *make_pairs(int64_t n, int64_t answers, int64_t each)
{
    static akin_pair pairs[4096];
    static char texts[8192][24];
    akin_dataset *dataset;
    for (int64_t i = 0; i < n; i++) {
        snprintf(texts[2 * i], 24, "q%lld", (long long)i);
        snprintf(texts[2 * i + 1], 24, "a%lld", (long long)(i % answers));
        pairs[i] = (akin_pair){akin_text(texts[2 * i]), akin_text(texts[2 * i + 1]), 1,
                               each ? 1 + i / each : 0};
    }
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, n, told));
    return dataset;
}

static ak_table *build(const akin_dataset *dataset)
{
    ak_table *table;
    assert_ok(ak_table_build(&table, dataset, NULL, NULL, NULL, told));
    return table;
}

/* Batches of an epoch as the loader gives them. */
typedef struct epoch {
    int64_t batches, samples, left_out;
    int64_t start[1025], sample[8192];
} epoch;

static akin_status make_loader(akin_loader **out, const akin_dataset *dataset, const ak_table *t,
                               const char *sampler, int64_t batch_size, bool drop_last,
                               akin_error *error)
{
    akin_loader_options options = akin_loader_defaults();
    options.batch_size = batch_size;
    options.sampler = sampler;
    options.drop_last = drop_last;
    options.workers = 2;
    AK_TRY(t->kind == AKIN_PAIRS ? akin_pair_loader_create(out, dataset, &options, error)
                                 : akin_group_loader_create(out, dataset, &options, error));
    akin_status status = ak_loader_prepare(*out, t, false, NULL, NULL, error);
    if (status) {
        akin_loader_free(*out);
        *out = NULL;
    }
    return status;
}

static void run_epoch(akin_loader *loader, int64_t number, int64_t first, epoch *e)
{
    ak_batch *batch;
    *e = (epoch){.batches = first};
    assert_ok(ak_loader_start(loader, number, first, told));
    for (;;) {
        assert_ok(ak_loader_next(loader, &batch, told));
        if (!batch)
            break;
        e->start[e->batches++] = e->samples;
        for (int64_t i = 0; i < batch->count; i++)
            e->sample[e->samples++] = batch->samples[i];
        ak_loader_release(loader, batch);
    }
    e->start[e->batches] = e->samples;
    e->left_out = ak_loader_left_out(loader);
    assert_int_equal(e->batches, ak_loader_batches(loader));
}

/* Nothing twice; what is not there is what was left out. */
static void check_each_once(const epoch *e, const ak_table *t)
{
    static char seen[4096];
    memset(seen, 0, sizeof seen);
    for (int64_t i = 0; i < e->samples; i++)
        assert_int_equal(seen[e->sample[i]]++, 0);
    assert_int_equal(e->samples + e->left_out, t->count);
}

/* Samples of a label in batch b. */
static int64_t count_label(const epoch *e, int64_t b, const int64_t *label_of, int64_t label)
{
    int64_t n = 0;
    for (int64_t i = e->start[b]; i < e->start[b + 1]; i++)
        n += label_of[e->sample[i]] == label;
    return n;
}

static int64_t count_labels(const epoch *e, int64_t b, const int64_t *label_of, int64_t labels)
{
    int64_t n = 0;
    for (int64_t l = 0; l < labels; l++)
        n += count_label(e, b, label_of, l) > 0;
    return n;
}

static void free_scene(akin_loader *loader, ak_table *t, akin_dataset *dataset)
{
    akin_loader_free(loader);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

/* ---- groups ---- */

static void test_groups_exact(void **state)
{
    (void)state;
    static int sizes[60];
    for (int g = 0; g < 60; g++)
        sizes[g] = 12;
    akin_dataset *dataset = make_groups(sizes, 60);
    ak_table *t = build(dataset);
    akin_loader *loader;
    static epoch e, before;
    assert_ok(
        make_loader(&loader, dataset, t, "{type: groups, groups_per_batch: 9}", 7, false, told));
    assert_int_equal(ak_loader_batches(loader), 20); /* 180 hands of 4, 9 a batch */
    for (int64_t number = 1; number < 30; number++) {
        before = e;
        run_epoch(loader, number, 0, &e);
        check_each_once(&e, t);
        assert_int_equal(e.left_out, 0);
        for (int64_t b = 0; b < e.batches; b++) {
            assert_int_equal(e.start[b + 1] - e.start[b], 36);
            for (int64_t g = 0; g < 60; g++) {
                int64_t n = count_label(&e, b, t->group, g);
                assert_true(n == 0 || n == 4);
            }
        }
        assert_memory_not_equal(e.sample, before.sample, sizeof e.sample);
    }
    free_scene(loader, t, dataset);
}

/* Sizes that do not divide, one of one, and one larger than there are batches for. */
static void test_groups_uneven(void **state)
{
    (void)state;
    static const int sizes[] = {1, 5, 3, 2, 7, 60, 4, 4};
    akin_dataset *dataset = make_groups(sizes, 8);
    ak_table *t = build(dataset);
    akin_loader *loader;
    static epoch e;
    assert_int_equal(ak_table_lonely_groups(t), 1);
    assert_ok(
        make_loader(&loader, dataset, t, "{type: groups, groups_per_batch: 4}", 7, false, told));
    assert_int_equal(ak_loader_batches(loader), 6); /* 1+2+1+1+2+15+1+1 hands, 4 a batch */
    for (int64_t number = 0; number < 50; number++) {
        run_epoch(loader, number, 0, &e);
        check_each_once(&e, t);
        assert_int_equal(e.left_out, 60 - 6 * 4); /* 15 hands, 6 batches */
        for (int64_t g = 0; g < 8; g++) {
            int64_t batches = 0;
            for (int64_t b = 0; b < e.batches; b++) {
                int64_t n = count_label(&e, b, t->group, g);
                assert_in_range(n, 0, 4);
                assert_true(n == 0 || n >= sizes[g] / ((sizes[g] + 3) / 4));
                batches += n > 0;
            }
            int64_t hands = (sizes[g] + 3) / 4;
            assert_int_equal(batches, hands < 6 ? hands : 6);
        }
        for (int64_t b = 0; b < e.batches; b++)
            assert_in_range(count_labels(&e, b, t->group, 8), 2, 4);
    }
    free_scene(loader, t, dataset);
}

/* Which groups meet is drawn anew: over epochs every two of ten do. */
static void test_groups_mix(void **state)
{
    (void)state;
    static const int sizes[] = {4, 4, 4, 4, 4, 4, 4, 4, 4, 4};
    akin_dataset *dataset = make_groups(sizes, 10);
    ak_table *t = build(dataset);
    akin_loader *loader;
    static epoch e;
    int met[10][10] = {{0}};
    assert_ok(
        make_loader(&loader, dataset, t, "{type: groups, groups_per_batch: 2}", 8, true, told));
    for (int64_t number = 0; number < 200; number++) {
        run_epoch(loader, number, 0, &e);
        assert_int_equal(e.batches, 5);
        for (int64_t b = 0; b < 5; b++)
            met[t->group[e.sample[8 * b]]][t->group[e.sample[8 * b + 7]]]++;
    }
    for (int i = 0; i < 10; i++)
        for (int j = i + 1; j < 10; j++) /* 22 expected, standard deviation 4.4 */
            assert_in_range(met[i][j] + met[j][i], 6, 45);
    free_scene(loader, t, dataset);
}

static void test_groups_drop_last(void **state)
{
    (void)state;
    static const int sizes[] = {4, 4, 4, 4, 4, 4, 4};
    akin_dataset *dataset = make_groups(sizes, 7);
    ak_table *t = build(dataset);
    akin_loader *loader;
    static epoch e;
    assert_ok(
        make_loader(&loader, dataset, t, "{type: groups, groups_per_batch: 3}", 8, true, told));
    run_epoch(loader, 3, 0, &e);
    assert_int_equal(e.batches, 2);
    assert_int_equal(e.left_out, 4);
    check_each_once(&e, t);
    assert_int_equal(e.start[1], 12);
    free_scene(loader, t, dataset);
}

/* ---- no_duplicates ---- */

static void check_no_duplicates(const epoch *e, const ak_table *t)
{
    static int64_t in_batch[8192];
    for (int64_t c = 0; c < t->contents; c++)
        in_batch[c] = -1;
    for (int64_t b = 0; b < e->batches; b++)
        for (int64_t i = e->start[b]; i < e->start[b + 1]; i++) {
            const int64_t *content = t->content + e->sample[i] * t->objects;
            int64_t last = content[t->objects - 1];
            assert_true(in_batch[content[0]] != b && in_batch[last] != b);
            in_batch[content[0]] = in_batch[last] = b;
        }
}

static void test_no_duplicates(void **state)
{
    (void)state;
    static const int64_t answers[] = {1000, 100, 16, 3, 1};
    for (int k = 0; k < 5; k++) {
        akin_dataset *dataset = make_pairs(1000, answers[k], 0);
        ak_table *t = build(dataset);
        akin_loader *loader;
        static epoch e;
        assert_ok(make_loader(&loader, dataset, t, "no_duplicates", 64, false, told));
        assert_int_equal(ak_loader_batches(loader), 16);
        for (int64_t number = 1; number < 20; number++) {
            run_epoch(loader, number, 0, &e);
            check_each_once(&e, t);
            check_no_duplicates(&e, t);
            if (answers[k] == 1000)
                assert_int_equal(e.left_out, 0);
            if (answers[k] == 100) /* ten of each, 16 batches: next to nothing finds no place */
                assert_in_range(e.left_out, 0, 40);
            if (answers[k] < 16)
                assert_int_equal(e.samples, 16 * answers[k]);
            for (int64_t b = 0; b < e.batches; b++)
                assert_true(e.start[b + 1] > e.start[b]);
        }
        free_scene(loader, t, dataset);
    }
}

/* A pair of equal objects is one content, which may stand once; groups have one object. */
static void test_no_duplicates_alike(void **state)
{
    (void)state;
    akin_pair pairs[6];
    akin_group groups[6];
    akin_dataset *dataset;
    akin_loader *loader;
    static epoch e;
    for (int i = 0; i < 6; i++) {
        akin_object same = akin_text(i % 2 ? "x" : "y");
        pairs[i] = (akin_pair){same, same, 1, 0};
        groups[i] = (akin_group){same, i};
    }
    for (int kind = 0; kind < 2; kind++) {
        assert_ok(kind ? akin_dataset_from_groups(&dataset, groups, 6, told)
                       : akin_dataset_from_pairs(&dataset, pairs, 6, told));
        ak_table *t = build(dataset);
        assert_ok(make_loader(&loader, dataset, t, "{type: no_duplicates}", 2, false, told));
        run_epoch(loader, 1, 0, &e);
        assert_int_equal(e.batches, 3);
        assert_int_equal(e.left_out, 0);
        check_no_duplicates(&e, t);
        free_scene(loader, t, dataset);
    }
}

/* ---- subgroups ---- */

static void test_subgroups_apart(void **state)
{
    (void)state;
    akin_dataset *dataset = make_pairs(1000, 1000, 250); /* 4 subgroups */
    ak_table *t = build(dataset);
    akin_loader *loader;
    static epoch e;
    assert_ok(make_loader(&loader, dataset, t, "subgroups", 64, false, told));
    for (int64_t number = 0; number < 20; number++) {
        run_epoch(loader, number, 0, &e);
        check_each_once(&e, t);
        assert_int_equal(e.left_out, 0);
        for (int64_t b = 0; b < e.batches; b++) {
            assert_in_range(e.start[b + 1] - e.start[b], 62, 63);
            for (int64_t u = 0; u < 4; u++) /* 250 over 16 batches */
                assert_in_range(count_label(&e, b, t->subgroup, u), 14, 17);
        }
    }
    free_scene(loader, t, dataset);

    dataset = make_pairs(1000, 1000, 8); /* 125 subgroups of 8, 16 batches: each in 8 of them */
    t = build(dataset);
    assert_ok(make_loader(&loader, dataset, t, "{type: subgroups, keep: apart}", 64, false, told));
    run_epoch(loader, 1, 0, &e);
    for (int64_t b = 0; b < e.batches; b++)
        for (int64_t u = 0; u < 125; u++)
            assert_in_range(count_label(&e, b, t->subgroup, u), 0, 1);
    free_scene(loader, t, dataset);
}

static void test_subgroups_together(void **state)
{
    (void)state;
    akin_dataset *dataset = make_pairs(1000, 1000, 8);
    ak_table *t = build(dataset);
    akin_loader *loader;
    static epoch e;
    assert_ok(
        make_loader(&loader, dataset, t, "{type: subgroups, keep: together}", 60, false, told));
    for (int64_t number = 0; number < 20; number++) {
        run_epoch(loader, number, 0, &e);
        check_each_once(&e, t);
        assert_int_equal(e.left_out, 0);
        for (int64_t b = 0; b < e.batches; b++) {
            int64_t cut = 0;
            for (int64_t u = 0; u < 125; u++) {
                int64_t n = count_label(&e, b, t->subgroup, u);
                cut += n > 0 && n < 8;
            }
            assert_in_range(cut, 0, 2); /* at its two ends */
        }
    }
    free_scene(loader, t, dataset);

    dataset = make_pairs(100, 100, 50); /* larger than half a batch */
    t = build(dataset);
    assert_ok(
        make_loader(&loader, dataset, t, "{type: subgroups, keep: together}", 40, true, told));
    run_epoch(loader, 1, 0, &e);
    assert_int_equal(e.batches, 2);
    assert_int_equal(e.left_out, 20);
    check_each_once(&e, t);
    free_scene(loader, t, dataset);
}

/* ---- length_buckets ---- */

/* Pairs of 2 .. 1001 bytes; the last 60 are as long as one another. */
static akin_dataset *make_lengths(int64_t n)
{
    static char text[1024];
    static akin_pair pairs[4096];
    akin_dataset *dataset;
    memset(text, 'x', sizeof text);
    for (int64_t i = 0; i < n; i++) {
        int64_t length = 2 + (i < n - 60 ? i * 389 % 1000 : 500);
        pairs[i] = (akin_pair){{text, (size_t)(length / 3 + i % 2)},
                               {text, (size_t)(length - length / 3 - i % 2)},
                               1,
                               0};
    }
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, n, told));
    return dataset;
}

static void range_of(const epoch *e, int64_t b, const ak_table *t, int64_t *low, int64_t *high)
{
    *low = INT64_MAX;
    *high = 0;
    for (int64_t i = e->start[b]; i < e->start[b + 1]; i++) {
        const int64_t *content = t->content + 2 * e->sample[i];
        int64_t length = (int64_t)t->bytes[content[0]] + t->bytes[content[1]];
        *low = length < *low ? length : *low;
        *high = length > *high ? length : *high;
    }
}

/* Bytes that the pairs lack to the longest of their batch. */
static int64_t padding(const epoch *e, const ak_table *t, int64_t full)
{
    int64_t sum = 0, low, high;
    for (int64_t b = 0; b < full; b++) {
        range_of(e, b, t, &low, &high);
        for (int64_t i = e->start[b]; i < e->start[b + 1]; i++) {
            const int64_t *content = t->content + 2 * e->sample[i];
            sum += high - (int64_t)t->bytes[content[0]] - (int64_t)t->bytes[content[1]];
        }
    }
    return sum;
}

/* With the whole epoch as the window no two batches' lengths mix. */
static void check_apart(const epoch *e, const ak_table *t, int64_t full)
{
    int64_t rising = 0, low, high, other_low, other_high;
    for (int64_t b = 0; b < full; b++)
        for (int64_t c = 0; c < b; c++) {
            range_of(e, b, t, &low, &high);
            range_of(e, c, t, &other_low, &other_high);
            assert_true(high <= other_low || other_high <= low);
            rising += c == b - 1 && low >= other_high;
        }
    assert_true(rising > 0 && rising < full - 1); /* nor do they stand in order */
}

static void test_lengths_apart(void **state)
{
    (void)state;
    akin_dataset *dataset = make_lengths(660);
    ak_table *t = build(dataset);
    akin_loader *loader;
    static epoch e;
    bool others = false;
    assert_ok(
        make_loader(&loader, dataset, t, "{type: length_buckets, window: 0}", 25, false, told));
    for (int64_t number = 0; number < 5; number++) {
        int64_t rest = e.sample[650], low, high;
        run_epoch(loader, number, 0, &e);
        check_each_once(&e, t);
        assert_int_equal(e.batches, 27);
        assert_int_equal(e.start[27] - e.start[26], 10);
        check_apart(&e, t, 26);
        range_of(&e, 26, t, &low, &high);
        assert_true(high - low > 100); /* what is left over is of any length */
        others = others || (number && e.sample[650] != rest);
    }
    assert_true(others);
    free_scene(loader, t, dataset);
}

/* The longer the window the less is padded; the equally long meet others every time. */
static void test_lengths_windows(void **state)
{
    (void)state;
    static const char *const samplers[] = {"shuffle", "{type: length_buckets, window: 2}",
                                           "{type: length_buckets, window: 8}", "length_buckets"};
    akin_dataset *dataset = make_lengths(660);
    ak_table *t = build(dataset);
    int64_t before = 1 << 30;
    for (int i = 0; i < 4; i++) {
        static epoch e, next;
        akin_loader *loader;
        assert_ok(make_loader(&loader, dataset, t, samplers[i], 25, true, told));
        run_epoch(loader, 1, 0, &e);
        run_epoch(loader, 2, 0, &next);
        check_each_once(&e, t);
        assert_int_equal(e.batches, 26);
        assert_int_equal(e.left_out, 10);
        assert_memory_not_equal(e.sample, next.sample, sizeof e.sample);
        int64_t padded = padding(&e, t, 26);
        if (4 * padded > 3 * before)
            fail_msg("%s pads %lld, after %lld", samplers[i], (long long)padded, (long long)before);
        before = padded;
        akin_loader_free(loader);
    }
    ak_table_free(t);
    akin_dataset_free(dataset);
}

/* ---- all ---- */

static const struct {
    const char *text;
    bool pairs;
} all[] = {{"shuffle", true},
           {"shuffle", false},
           {"no_duplicates", true},
           {"no_duplicates", false},
           {"{type: groups, samples_per_group: 3}", false},
           {"{type: subgroups, keep: apart}", true},
           {"{type: subgroups, keep: together}", true},
           {"{type: length_buckets, window: 3}", true},
           {"length_buckets", false}};
#define ALL (int)(sizeof all / sizeof *all)

static akin_dataset *scene_of(int k)
{
    static const int sizes[] = {40, 3, 9, 17, 8, 22, 1};
    return all[k].pairs ? make_pairs(100, 30, 20) : make_groups(sizes, 7);
}

/* The same in another loader, whatever epochs it went through; resumed in the middle too. */
static void test_reproducible(void **state)
{
    (void)state;
    for (int k = 0; k < ALL; k++) {
        akin_dataset *dataset = scene_of(k);
        ak_table *t = build(dataset);
        akin_loader *one, *two;
        static epoch e, again, rest, other;
        assert_ok(make_loader(&one, dataset, t, all[k].text, 16, false, told));
        assert_ok(make_loader(&two, dataset, t, all[k].text, 16, false, told));
        run_epoch(one, 4, 0, &e);
        run_epoch(two, 9, 0, &other);
        assert_memory_not_equal(&e, &other, sizeof e);
        run_epoch(two, 4, 0, &again);
        assert_memory_equal(&e, &again, sizeof e);
        run_epoch(two, 4, 2, &rest);
        assert_int_equal(rest.samples, e.samples - e.start[2]);
        assert_memory_equal(rest.sample, e.sample + e.start[2],
                            (size_t)rest.samples * sizeof *e.sample);
        akin_loader_free(two);
        free_scene(one, t, dataset);
    }
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    for (int k = 0; k < ALL; k++) {
        akin_dataset *dataset = scene_of(k);
        ak_table *t = build(dataset);
        akin_loader *loader;
        static epoch e;
        assert_ok(make_loader(&loader, dataset, t, all[k].text, 16, false, told));
        for (int64_t number = 0; number < 5; number++)
            run_epoch(loader, number, 0, &e);
        ak_memory_fail_at(0);
        for (int64_t number = 5; number < 10; number++)
            run_epoch(loader, number, 0, &e);
        assert_int_equal(ak_memory_fail_at(0), 0);
        free_scene(loader, t, dataset);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (int k = 0; k < ALL; k++) {
        akin_dataset *dataset = scene_of(k);
        ak_table *t = build(dataset);
        akin_status status = AKIN_ERR_MEMORY;
        for (int64_t n = 1; status; n++) {
            akin_loader *loader;
            akin_error error = {0};
            ak_memory_fail_at(n);
            status = make_loader(&loader, dataset, t, all[k].text, 16, false, &error);
            ak_memory_fail_at(0);
            assert_true(!status || (status == AKIN_ERR_MEMORY && *error.message));
            assert_true(status ? loader == NULL : n > 5);
            akin_loader_free(loader);
        }
        ak_table_free(t);
        akin_dataset_free(dataset);
    }
}

/* ---- what is refused ---- */

static void test_bad(void **state)
{
    (void)state;
    static const int sizes[] = {4, 4, 4}, single[] = {9};
    akin_dataset *sets[] = {make_groups(sizes, 3), make_groups(single, 1), make_pairs(10, 10, 0),
                            make_pairs(10, 10, 10)};
    const struct {
        int set;
        const char *sampler;
        bool drop_last;
        akin_status status;
        const char *message;
    } bad[] = {
        {0, "group", false, AKIN_ERR_ARGUMENT, "no sampler \"group\" (did you mean \"groups\"?)"},
        {0, "[groups]", false, AKIN_ERR_ARGUMENT, "a sampler is a list, expected a name or a map"},
        {0, "{samples_per_group: 4}", false, AKIN_ERR_ARGUMENT, "a map without a \"type\""},
        {0, "{type: groups, groups: 4}", false, AKIN_ERR_ARGUMENT, "groups"},
        {0, "{type: groups, samples_per_group: 1}", false, AKIN_ERR_ARGUMENT, "samples_per_group"},
        {0, "{type: groups, groups_per_batch: 4}", false, AKIN_ERR_ARGUMENT,
         "groups_per_batch is 4, but there are 3 groups"},
        {0, "{type: groups, groups_per_batch: 1}", false, AKIN_ERR_ARGUMENT, "has no negatives"},
        {0, "{type: groups, samples_per_group: 8}", false, AKIN_ERR_ARGUMENT,
         "must be at least 2 (or batch_size 16)"},
        {0, "{type: groups, samples_per_group: 4, groups_per_batch: 3}", true, AKIN_OK, ""},
        {0, "{type: groups, samples_per_group: 5, groups_per_batch: 3}", true, AKIN_OK, ""},
        {1, "{type: groups, samples_per_group: 2}", false, AKIN_ERR_ARGUMENT,
         "all samples are of one group"},
        {2, "groups", false, AKIN_ERR_MISMATCH, "the sampler groups is for groups, not for pairs"},
        {0, "subgroups", false, AKIN_ERR_MISMATCH, "subgroups is for pairs, not for groups"},
        {2, "subgroups", false, AKIN_ERR_ARGUMENT, "the pairs have no subgroups"},
        {3, "subgroups", false, AKIN_ERR_ARGUMENT, "all pairs are of one subgroup"},
        {3, "{type: subgroups, keep: near}", false, AKIN_ERR_ARGUMENT, "keep"},
        {2, "{type: no_duplicates, k: 1}", false, AKIN_ERR_ARGUMENT, "k"},
        {2, "{type: length_buckets, window: -1}", false, AKIN_ERR_ARGUMENT, "window"},
        {2, "{", false, AKIN_ERR_FORMAT, ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        akin_loader *loader;
        akin_error error = {0};
        ak_table *t = build(sets[bad[i].set]);
        akin_status status =
            make_loader(&loader, sets[bad[i].set], t, bad[i].sampler, 8, bad[i].drop_last, &error);
        if (status != bad[i].status || !strstr(error.message, bad[i].message))
            fail_msg("%s: %d \"%s\"", bad[i].sampler, (int)status, error.message);
        akin_loader_free(loader);
        ak_table_free(t);
    }
    akin_loader_options options = akin_loader_defaults();
    akin_error error = {0};
    akin_loader *loader;
    options.sampler = "no_duplicates";
    options.shuffle = false;
    assert_int_equal(akin_pair_loader_create(&loader, sets[2], &options, &error),
                     AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "\"shuffle\" must be true"));
    for (int i = 0; i < 4; i++)
        akin_dataset_free(sets[i]);
}

/* ---- near groups ---- */

/* How many of the groups in a batch have their partner (g ^ 1) there, of all. */
static double partners(const epoch *e, const ak_table *t, int64_t together)
{
    int64_t met = 0, placed = 0;
    for (int64_t b = 0; b < e->batches; b++)
        for (int64_t g = 0; g < t->groups; g++) {
            int64_t n = count_label(e, b, t->group, g);
            assert_true(n <= together);
            met += n && count_label(e, b, t->group, g ^ 1);
            placed += n > 0;
        }
    return (double)met / (double)placed;
}

static void test_near_groups(void **state)
{
    (void)state;
    enum { GROUPS = 40 };
    static epoch e, again, far;
    int64_t near[GROUPS];
    int sizes[GROUPS];
    akin_loader *loader;
    for (int g = 0; g < GROUPS; g++) {
        sizes[g] = 10 + g / 2 % 5;
        near[g] = g ^ 1;
    }
    akin_dataset *dataset = make_groups(sizes, GROUPS);
    ak_table *t = build(dataset);
    assert_ok(
        make_loader(&loader, dataset, t, "{type: groups, samples_per_group: 4}", 32, false, told));
    run_epoch(loader, 1, 0, &far);
    assert_ok(ak_loader_set_near(loader, near, 1, told));
    run_epoch(loader, 1, 0, &e);
    run_epoch(loader, 2, 0, &again);
    assert_true(memcmp(e.sample, again.sample, sizeof e.sample) != 0);
    run_epoch(loader, 1, 0, &again);
    assert_memory_equal(&e, &again, sizeof e);
    check_each_once(&e, t);
    assert_true(e.left_out <= t->count / 20);
    assert_true(partners(&far, t, 4) < 0.4);
    assert_true(partners(&e, t, 4) > 0.9);
    for (int g = 0; g < GROUPS; g++) /* all near to one: the others are dealt all the same */
        near[g] = g ? 0 : -1;
    run_epoch(loader, 1, 0, &e);
    check_each_once(&e, t);
    assert_true(e.left_out <= t->count / 20);
    partners(&e, t, 4);
    akin_loader_free(loader);
    akin_error error;
    assert_ok(make_loader(&loader, dataset, t, NULL, 32, false, told));
    assert_int_equal(ak_loader_set_near(loader, near, 1, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "not of \"shuffle\""));
    akin_loader_free(loader);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_groups),
        cmocka_unit_test(test_groups_exact),
        cmocka_unit_test(test_groups_uneven),
        cmocka_unit_test(test_groups_mix),
        cmocka_unit_test(test_groups_drop_last),
        cmocka_unit_test(test_no_duplicates),
        cmocka_unit_test(test_no_duplicates_alike),
        cmocka_unit_test(test_subgroups_apart),
        cmocka_unit_test(test_subgroups_together),
        cmocka_unit_test(test_lengths_apart),
        cmocka_unit_test(test_lengths_windows),
        cmocka_unit_test(test_reproducible),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
