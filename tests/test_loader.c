/* The loader: order, epochs, resume, errors in order, no allocation in a steady state. */
#include "data_files.h"

#include <stdatomic.h>
#include <unistd.h>

#define COUNT 1003

static akin_dataset *make_pairs(int64_t count)
{
    akin_pair *pairs = ak_calloc((size_t)count, sizeof *pairs);
    char(*texts)[32] = ak_calloc((size_t)count * 2, sizeof *texts);
    akin_dataset *dataset;
    for (int64_t i = 0; i < count; i++) {
        snprintf(texts[2 * i], 32, "a%lld", (long long)i);
        snprintf(texts[2 * i + 1], 32, "b%lld", (long long)(i / 2));
        pairs[i] = (akin_pair){.a = akin_text(texts[2 * i]),
                               .b = akin_text(texts[2 * i + 1]),
                               .score = i % 5 ? 1.0f : 0.25f,
                               .subgroup = 100 + i % 3};
    }
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, count, told));
    ak_free(pairs);
    ak_free(texts);
    return dataset;
}

static akin_dataset *make_groups(int64_t count)
{
    akin_group *groups = ak_calloc((size_t)count, sizeof *groups);
    char(*texts)[32] = ak_calloc((size_t)count, sizeof *texts);
    akin_dataset *dataset;
    for (int64_t i = 0; i < count; i++) {
        snprintf(texts[i], 32, "o%lld", (long long)i);
        groups[i] = (akin_group){.object = akin_text(texts[i]), .group = 50 - i % 5};
    }
    assert_ok(akin_dataset_from_groups(&dataset, groups, count, told));
    ak_free(groups);
    ak_free(texts);
    return dataset;
}

static ak_table *build(const akin_dataset *dataset)
{
    ak_table *table;
    assert_ok(ak_table_build(&table, dataset, NULL, NULL, NULL, told));
    return table;
}

/* What a collate leaves for the test to see. */
typedef struct made {
    int64_t number, objects;
    uint64_t hash; /* of the objects' bytes, in order */
} made;

typedef struct collating {
    int64_t bad_a, bad_b; /* batches that fail; -1: none */
    atomic_int calls;
    bool slow;
} collating;

static akin_status collate(void *user, ak_batch *batch, akin_error *error)
{
    collating *c = user;
    atomic_fetch_add(&c->calls, 1);
    if (c->slow)
        usleep((unsigned)ak_random_below(1, 1, (uint64_t)batch->number, 300));
    if (batch->number == c->bad_a || batch->number == c->bad_b)
        return ak_fail(error, AKIN_ERR_FORMAT, "batch %d", (int)batch->number);
    made *m = akin_arena_alloc(batch->arena, sizeof *m);
    if (!m)
        return ak_fail_memory(error);
    *m = (made){.number = batch->number, .objects = batch->object_count};
    ak_hash hash = {0};
    for (int64_t i = 0; batch->objects && i < batch->object_count; i++)
        hash = ak_hash_combine(hash, ak_hash_bytes(batch->objects[i].data, batch->objects[i].size));
    m->hash = hash.low;
    batch->collated = m;
    return AKIN_OK;
}

static bool same_bytes(akin_object object, const char *text)
{
    return object.size == strlen(text) && !memcmp(object.data, text, object.size);
}

/* Everything in the batch fits the samples it says it holds. */
static void check_pairs(const ak_batch *b, const ak_table *t, bool objects)
{
    assert_int_equal(b->object_count, 2 * b->count);
    assert_int_equal(b->labels.kind, AKIN_PAIRS);
    assert_int_equal(b->labels.size, sizeof(akin_labels));
    assert_int_equal(b->labels.count, b->count);
    assert_null(b->labels.group);
    assert_ptr_equal(b->labels.positives, t->positives);
    for (int64_t i = 0; i < b->count; i++) {
        int64_t s = b->samples[i];
        char text[32];
        assert_int_equal(b->labels.content[i], t->content[2 * s]);
        assert_int_equal(b->labels.content[b->count + i], t->content[2 * s + 1]);
        assert_true(b->labels.score[i] == (s % 5 ? 1.0f : 0.25f));
        assert_int_equal(b->labels.subgroup[i], s % 3);
        if (!objects)
            continue;
        snprintf(text, sizeof text, "a%lld", (long long)s);
        assert_true(same_bytes(b->objects[i], text));
        snprintf(text, sizeof text, "b%lld", (long long)(s / 2));
        assert_true(same_bytes(b->objects[b->count + i], text));
    }
}

static void run_epoch(akin_loader *loader, const ak_table *t, int64_t epoch, int64_t first,
                      int64_t *order)
{
    int64_t at = first * ak_loader_options_of(loader)->batch_size;
    ak_batch *batch;
    assert_ok(ak_loader_start(loader, epoch, first, told));
    for (int64_t number = first;; number++) {
        assert_ok(ak_loader_next(loader, &batch, told));
        if (!batch) {
            assert_int_equal(number, ak_loader_batches(loader));
            return;
        }
        assert_int_equal(batch->number, number);
        assert_int_equal(((made *)batch->collated)->number, number);
        check_pairs(batch, t, true);
        for (int64_t i = 0; i < batch->count; i++)
            order[at++] = batch->samples[i];
        ak_loader_release(loader, batch);
    }
}

static akin_loader *make_loader(const akin_dataset *dataset, const ak_table *t, int workers,
                                uint64_t seed, collating *user)
{
    akin_loader_options options = akin_loader_defaults();
    akin_loader *loader;
    options.batch_size = 64;
    options.workers = workers;
    options.seed = seed;
    assert_ok(akin_pair_loader_create(&loader, dataset, &options, told));
    assert_ok(ak_loader_prepare(loader, t, true, collate, user, told));
    return loader;
}

/* ---- order ---- */

static void test_order(void **state)
{
    (void)state;
    akin_dataset *dataset = make_pairs(COUNT);
    ak_table *t = build(dataset);
    static int64_t order[4][3][COUNT];
    static const int workers[] = {0, 1, 2, 5};
    for (int w = 0; w < 4; w++) {
        collating user = {.bad_a = -1, .bad_b = -1, .slow = true};
        akin_loader *loader = make_loader(dataset, t, workers[w], 1, &user);
        assert_int_equal(ak_loader_batches(loader), 16);
        for (int64_t epoch = 0; epoch < 3; epoch++)
            run_epoch(loader, t, epoch, 0, order[w][epoch]);
        akin_loader_free(loader);
        assert_memory_equal(order[w], order[0], sizeof order[0]);
    }
    for (int epoch = 0; epoch < 3; epoch++) { /* a permutation, another one every epoch */
        static bool seen[COUNT];
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < COUNT; i++)
            seen[order[0][epoch][i]] = true;
        for (int i = 0; i < COUNT; i++)
            assert_true(seen[i]);
    }
    assert_memory_not_equal(order[0][0], order[0][1], sizeof order[0][0]);
    assert_memory_not_equal(order[0][1], order[0][2], sizeof order[0][0]);

    /* Resumed in the middle of epoch 1, and the same epoch of another seed. */
    collating user = {.bad_a = -1, .bad_b = -1};
    akin_loader *loader = make_loader(dataset, t, 2, 1, &user);
    run_epoch(loader, t, 1, 9, order[1][1]);
    assert_memory_equal(order[1][1] + 9 * 64, order[0][1] + 9 * 64, (COUNT - 9 * 64) * 8);
    run_epoch(loader, t, 1, 16, order[1][1]); /* nothing is left */
    assert_int_equal(ak_loader_start(loader, 1, 17, NULL), AKIN_ERR_ARGUMENT);
    akin_loader_free(loader);
    loader = make_loader(dataset, t, 2, 2, &user);
    run_epoch(loader, t, 1, 0, order[1][1]);
    assert_memory_not_equal(order[1][1], order[0][1], sizeof order[0][1]);
    akin_loader_free(loader);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static void test_unshuffled_drop_last(void **state)
{
    (void)state;
    akin_dataset *dataset = make_pairs(10);
    ak_table *t = build(dataset);
    akin_loader_options options = akin_loader_defaults();
    options.batch_size = 4;
    options.shuffle = false;
    for (int drop = 0; drop < 2; drop++) {
        akin_loader *loader;
        ak_batch *batch;
        int64_t next = 0;
        options.drop_last = drop;
        assert_ok(akin_pair_loader_create(&loader, dataset, &options, told));
        assert_ok(ak_loader_prepare(loader, t, false, NULL, NULL, told));
        assert_int_equal(ak_loader_batches(loader), drop ? 2 : 3);
        assert_ok(ak_loader_start(loader, 4, 0, told));
        for (;;) {
            assert_ok(ak_loader_next(loader, &batch, told));
            if (!batch)
                break;
            for (int64_t i = 0; i < batch->count; i++)
                assert_int_equal(batch->samples[i], next++);
            ak_loader_release(loader, batch);
        }
        assert_int_equal(next, drop ? 8 : 10);
        akin_loader_free(loader);
    }
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static void test_groups(void **state)
{
    (void)state;
    akin_dataset *dataset = make_groups(300);
    ak_table *t = build(dataset);
    akin_loader *loader;
    ak_batch *batch;
    assert_ok(akin_group_loader_create(&loader, dataset, NULL, told));
    assert_ptr_equal(akin_loader_dataset(loader), dataset);
    assert_ok(ak_loader_prepare(loader, t, true, NULL, NULL, told));
    assert_ok(ak_loader_start(loader, 0, 0, told));
    assert_ok(ak_loader_next(loader, &batch, told));
    assert_int_equal(batch->count, 128);
    assert_int_equal(batch->object_count, 128);
    assert_int_equal(batch->labels.groups, 5);
    assert_null(batch->labels.score);
    assert_null(batch->labels.subgroup);
    assert_null(batch->collated);
    for (int64_t i = 0; i < batch->count; i++) {
        char text[32];
        snprintf(text, sizeof text, "o%lld", (long long)batch->samples[i]);
        assert_true(same_bytes(batch->objects[i], text));
        assert_int_equal(batch->labels.group[i], batch->samples[i] % 5);
        assert_int_equal(batch->labels.content[i], batch->samples[i]);
    }
    ak_loader_release(loader, batch);
    akin_loader_free(loader); /* in the middle of an epoch */
    ak_table_free(t);
    akin_dataset_free(dataset);
}

/* ---- a data set that is read only when it must be ---- */

typedef struct own_set {
    atomic_int reads;
    int64_t count, bad;
} own_set;

static akin_status own_count(void *self, int64_t *count, akin_error *error)
{
    (void)error;
    *count = ((own_set *)self)->count;
    return AKIN_OK;
}

static akin_status own_get(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                           akin_error *error)
{
    own_set *set = self;
    atomic_fetch_add(&set->reads, 1);
    if (index == set->bad)
        return ak_fail(error, AKIN_ERR_IO, "sample %d is gone", (int)index);
    sample->group.object = akin_text(ak_arena_format(arena, "%d", (int)index));
    sample->group.group = index % 2;
    return AKIN_OK;
}

static void test_not_read_when_cached(void **state)
{
    (void)state;
    const akin_dataset_class type = {.size = sizeof type,
                                     .name = "mine",
                                     .kind = AKIN_GROUPS,
                                     .count = own_count,
                                     .get = own_get};
    own_set self = {.count = 500, .bad = -1};
    collating user = {.bad_a = -1, .bad_b = -1};
    akin_dataset *dataset;
    akin_loader *loader;
    ak_batch *batch;
    assert_ok(akin_dataset_create(&dataset, &type, &self, told));
    ak_table *t = build(dataset);
    assert_int_equal(self.reads, 500);
    assert_ok(akin_group_loader_create(&loader, dataset, NULL, told));
    for (int read = 0; read < 2; read++) {
        assert_ok(ak_loader_prepare(loader, t, read, collate, &user, told));
        assert_ok(ak_loader_start(loader, 0, 0, told));
        for (int i = 0; i < 4; i++) {
            assert_ok(ak_loader_next(loader, &batch, told));
            assert_true((batch->objects != NULL) == read);
            ak_loader_release(loader, batch);
        }
        assert_ok(ak_loader_next(loader, &batch, told));
        assert_null(batch);
        assert_int_equal(self.reads, read ? 1000 : 500);
    }
    akin_loader_free(loader);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

/* ---- errors ---- */

static void test_errors_in_order(void **state)
{
    (void)state;
    akin_dataset *dataset = make_pairs(COUNT);
    ak_table *t = build(dataset);
    for (int workers = 0; workers < 5; workers++) {
        collating user = {.bad_a = 5, .bad_b = 7, .slow = true};
        akin_loader *loader = make_loader(dataset, t, workers, 1, &user);
        for (int round = 0; round < 3; round++) {
            ak_batch *batch;
            akin_error error = {0};
            assert_ok(ak_loader_start(loader, round, 0, told));
            for (int i = 0; i < 5; i++) {
                assert_ok(ak_loader_next(loader, &batch, told));
                assert_int_equal(batch->number, i);
                ak_loader_release(loader, batch);
            }
            for (int again = 0; again < 2; again++) {
                assert_int_equal(ak_loader_next(loader, &batch, &error), AKIN_ERR_FORMAT);
                assert_string_equal(error.message, "batch 5");
                assert_null(batch);
            }
        }
        akin_loader_free(loader);
    }
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static void test_read_error(void **state)
{
    (void)state;
    const akin_dataset_class type = {.size = sizeof type,
                                     .name = "mine",
                                     .kind = AKIN_GROUPS,
                                     .count = own_count,
                                     .get = own_get};
    own_set self = {.count = 300, .bad = -1};
    akin_dataset *dataset;
    akin_loader *loader;
    ak_batch *batch;
    akin_error error = {0};
    akin_loader_options options = akin_loader_defaults();
    options.shuffle = false;
    assert_ok(akin_dataset_create(&dataset, &type, &self, told));
    ak_table *t = build(dataset);
    self.bad = 130;
    assert_ok(akin_group_loader_create(&loader, dataset, &options, told));
    assert_ok(ak_loader_prepare(loader, t, true, NULL, NULL, told));
    assert_ok(ak_loader_start(loader, 0, 0, told));
    assert_ok(ak_loader_next(loader, &batch, told));
    assert_int_equal(ak_loader_next(loader, &batch, &error), AKIN_ERR_IO);
    assert_string_equal(error.message, "sample 130 is gone");
    akin_loader_free(loader);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static void test_misuse(void **state)
{
    (void)state;
    akin_dataset *pairs = make_pairs(20), *groups = make_groups(20);
    ak_table *t = build(groups), *other = build(pairs);
    akin_loader *loader;
    ak_batch *batch;
    akin_error error = {0};
    assert_int_equal(akin_pair_loader_create(&loader, groups, NULL, &error), AKIN_ERR_MISMATCH);
    assert_null(loader);
    assert_non_null(strstr(error.message, "use akin_group_loader_create and a loss on groups"));
    assert_int_equal(akin_group_loader_create(&loader, pairs, NULL, &error), AKIN_ERR_MISMATCH);
    assert_non_null(strstr(error.message, "use akin_pair_loader_create and a loss on pairs"));

    akin_loader_options options = akin_loader_defaults(), bad = options;
    bad.batch_size = 0;
    assert_int_equal(akin_pair_loader_create(&loader, pairs, &bad, NULL), AKIN_ERR_ARGUMENT);
    bad = options;
    bad.workers = -1;
    assert_int_equal(akin_pair_loader_create(&loader, pairs, &bad, NULL), AKIN_ERR_ARGUMENT);
    bad = options;
    bad.size = 0;
    assert_int_equal(akin_pair_loader_create(&loader, pairs, &bad, NULL), AKIN_ERR_ARGUMENT);
    bad = options;
    bad.drop_last = true;
    assert_int_equal(akin_pair_loader_create(&loader, pairs, &bad, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "holds 20 samples, fewer than one batch of 128"));

    options.batch_size = 2;
    options.workers = 0;
    assert_ok(akin_pair_loader_create(&loader, pairs, &options, told));
    assert_int_equal(ak_loader_start(loader, 0, 0, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(ak_loader_next(loader, &batch, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(ak_loader_prepare(loader, t, true, NULL, NULL, NULL), AKIN_ERR_MISMATCH);
    ak_loader_stop(loader);
    assert_ok(ak_loader_prepare(loader, other, true, NULL, NULL, told));
    assert_ok(ak_loader_start(loader, 0, 0, told));
    akin_status status = AKIN_OK; /* holding every batch is refused, not waited on for ever */
    for (int i = 0; i < 10 && !status; i++)
        status = ak_loader_next(loader, &batch, &error);
    assert_int_equal(status, AKIN_ERR_ARGUMENT);
    akin_loader_free(loader);
    akin_loader_free(NULL);
    ak_table_free(t);
    ak_table_free(other);
    akin_dataset_free(pairs);
    akin_dataset_free(groups);
}

/* Held batches survive a stop and a new start. */
static void test_stop(void **state)
{
    (void)state;
    akin_dataset *dataset = make_pairs(COUNT);
    ak_table *t = build(dataset);
    collating user = {.bad_a = -1, .bad_b = -1, .slow = true};
    akin_loader *loader = make_loader(dataset, t, 3, 1, &user);
    for (int64_t round = 0; round < 20; round++) {
        ak_batch *one, *two;
        assert_ok(ak_loader_start(loader, round, round % 3, told));
        assert_ok(ak_loader_next(loader, &one, told));
        assert_ok(ak_loader_next(loader, &two, told));
        ak_loader_stop(loader);
        int calls = atomic_load(&user.calls);
        usleep(500);
        assert_int_equal(calls, atomic_load(&user.calls));
        check_pairs(one, t, true);
        check_pairs(two, t, true);
        ak_loader_release(loader, two);
        ak_loader_release(loader, one);
        ak_loader_release(loader, NULL);
        assert_ok(ak_loader_next(loader, &one, told));
        assert_null(one);
    }
    akin_loader_free(loader);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

/* ---- memory ---- */

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    ak_text text = {0};
    for (int i = 0; i < COUNT; i++)
        ak_text_printf(&text, "a%d\tb%d\t%s\t%d\n", i, i / 2, i % 5 ? "1" : "0.25", 100 + i % 3);
    ak_text file = {0};
    ak_text_printf(&file, "a\tb\tscore\tsubgroup\n");
    ak_text_add(&file, text.data, text.size);
    akin_dataset *dataset;
    assert_ok(ak_dataset_open_file(&dataset, write_bytes("s.tsv", file.data, file.size), AKIN_PAIRS,
                                   NULL, NULL, told));
    ak_free(text.data);
    ak_free(file.data);
    ak_table *t = build(dataset);
    static int64_t order[COUNT];
    for (int workers = 0; workers < 3; workers++) {
        collating user = {.bad_a = -1, .bad_b = -1};
        akin_loader *loader = make_loader(dataset, t, workers, 1, &user);
        /* Which worker takes which batch varies: after a few epochs every arena has seen the most.
         */
        for (int64_t epoch = 0; epoch < 6; epoch++)
            run_epoch(loader, t, epoch, 0, order);
        ak_memory_fail_at(0);
        for (int64_t epoch = 6; epoch < 12; epoch++)
            run_epoch(loader, t, epoch, 0, order);
        assert_int_equal(ak_memory_fail_at(0), 0);
        akin_loader_free(loader);
    }
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static akin_status load_all(const akin_dataset *dataset, const ak_table *t, int workers)
{
    collating user = {.bad_a = -1, .bad_b = -1};
    akin_loader_options options = akin_loader_defaults();
    akin_loader *loader;
    ak_batch *batch = NULL;
    options.batch_size = 16;
    options.workers = workers;
    AK_TRY(akin_pair_loader_create(&loader, dataset, &options, NULL));
    akin_status status = ak_loader_prepare(loader, t, true, collate, &user, NULL);
    if (!status)
        status = ak_loader_start(loader, 0, 0, NULL);
    do {
        if (!status)
            status = ak_loader_next(loader, &batch, NULL);
        if (!status)
            ak_loader_release(loader, batch);
    } while (!status && batch);
    akin_loader_free(loader);
    return status;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    akin_dataset *dataset = make_pairs(64);
    ak_table *t = build(dataset);
    for (int workers = 0; workers < 3; workers++) {
        akin_status status = AKIN_ERR_MEMORY;
        int64_t n = 0;
        while (status == AKIN_ERR_MEMORY && n < 1000) {
            ak_memory_fail_at(++n);
            status = load_all(dataset, t, workers);
        }
        ak_memory_fail_at(0);
        assert_int_equal(status, AKIN_OK);
        assert_true(n > 8);
    }
    ak_table_free(t);
    akin_dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_unshuffled_drop_last),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_not_read_when_cached),
        cmocka_unit_test(test_errors_in_order),
        cmocka_unit_test(test_read_error),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
