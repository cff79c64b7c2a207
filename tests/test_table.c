/* The sample table: numbers by first appearance, known positives, files of it. */
#include "data_files.h"

#include <omp.h>

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

#define assert_numbers(array, ...)                                                                 \
    do {                                                                                           \
        static const int64_t wanted_[] = {__VA_ARGS__};                                            \
        assert_memory_equal(array, wanted_, sizeof wanted_);                                       \
    } while (0)

static void test_pairs(void **state)
{
    (void)state;
    /* x y: positive twice; y x: again; x z: negative; x w: just not positive; w w: of itself */
    akin_dataset *dataset = open_text(
        "p.csv", "a,b,score,subgroup\nx,y,1,s\nx,y,0.6,7\ny,x,1,s\nx,z,0,t\nx,w,0.5,7\nw,w,1,t\n",
        AKIN_PAIRS);
    ak_table *t = build(dataset);
    assert_int_equal(t->count, 6);
    assert_int_equal(t->objects, 2);
    assert_int_equal(t->contents, 4);
    assert_numbers(t->content, 0, 1, 0, 1, 1, 0, 0, 2, 0, 3, 3, 3);
    assert_numbers(t->first_sample, 0, 0, 3, 4);
    assert_true(ak_hash_equal(t->keys[2], ak_hash_text("z")));
    assert_numbers(t->subgroup, 0, 1, 0, 2, 1, 2);
    assert_int_equal(t->subgroups, 3);
    assert_true(t->score[1] == 0.6f && t->score[3] == 0);
    assert_numbers(t->positive_start, 0, 1, 2, 2, 3);
    assert_numbers(t->positives, 1, 0, 3);
    assert_null(t->group);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static void test_groups(void **state)
{
    (void)state;
    akin_dataset *dataset = open_text("g.csv", "object,group\nx,b\ny,a\nx,a\nz,b\n", AKIN_GROUPS);
    ak_table *t = build(dataset);
    assert_numbers(t->content, 0, 1, 0, 2);
    assert_numbers(t->group, 0, 1, 1, 0);
    assert_int_equal(t->groups, 2);
    assert_null(t->positive_start);
    assert_null(t->score);
    assert_null(t->subgroup);
    ak_table_free(t);
    akin_dataset_free(dataset);
    ak_table_free(NULL);
}

static void test_no_positives(void **state)
{
    (void)state;
    akin_dataset *dataset = open_text("n.csv", "a,b,score\nx,y,0\n", AKIN_PAIRS);
    ak_table *t = build(dataset);
    assert_null(t->positive_start);
    assert_null(t->subgroup);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static void test_mixed_subgroups(void **state)
{
    (void)state;
    static const char *const texts[] = {"a,b,subgroup\nx,y,1\n\nx,z,2\nz,z,0\nz,y,\n",
                                        "a,b,subgroup\nx,y,0\nx,z,0\n\nz,z,2\nz,y,\n"};
    for (int i = 0; i < 2; i++) {
        akin_dataset *dataset = open_text("s.csv", texts[i], AKIN_PAIRS);
        akin_error error;
        ak_table *t;
        assert_int_equal(ak_table_build(&t, dataset, NULL, NULL, NULL, &error), AKIN_ERR_FORMAT);
        assert_null(t);
        assert_int_equal(error.line, 5);
        assert_non_null(strstr(error.message, i ? "s.csv:5: a subgroup" : "s.csv:5: no subgroup"));
        akin_dataset_free(dataset);
    }
}

/* ---- many samples, several threads ---- */

#define MANY 20000

static akin_dataset *many_pairs(void)
{
    akin_pair *pairs = ak_calloc(MANY, sizeof *pairs);
    char(*texts)[16] = ak_calloc(2 * MANY, sizeof *texts);
    akin_dataset *dataset;
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[2 * i], 16, "%d", (int)ak_random_below(1, 2, (uint64_t)i, MANY));
        snprintf(texts[2 * i + 1], 16, "%d", (int)ak_random_below(1, 3, (uint64_t)i, MANY));
        pairs[i] = (akin_pair){.a = akin_text(texts[2 * i]),
                               .b = akin_text(texts[2 * i + 1]),
                               .score = i % 3 ? 1.0f : 0.0f,
                               .subgroup = 1 + i % 7};
    }
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, MANY, told));
    ak_free(pairs);
    ak_free(texts);
    return dataset;
}

static void assert_same_table(const ak_table *a, const ak_table *b)
{
    int64_t n = a->count, c = a->contents, p = a->positive_start[c];
    assert_int_equal(n, b->count);
    assert_int_equal(c, b->contents);
    assert_int_equal(a->subgroups, b->subgroups);
    assert_memory_equal(a->content, b->content, (size_t)n * 2 * sizeof *a->content);
    assert_memory_equal(a->keys, b->keys, (size_t)c * sizeof *a->keys);
    assert_memory_equal(a->first_sample, b->first_sample, (size_t)c * sizeof *a->first_sample);
    assert_memory_equal(a->bytes, b->bytes, (size_t)c * sizeof *a->bytes);
    assert_memory_equal(a->score, b->score, (size_t)n * sizeof *a->score);
    assert_memory_equal(a->subgroup, b->subgroup, (size_t)n * sizeof *a->subgroup);
    assert_memory_equal(a->positive_start, b->positive_start,
                        (size_t)(c + 1) * sizeof *a->positive_start);
    assert_memory_equal(a->positives, b->positives, (size_t)p * sizeof *a->positives);
}

static void test_threads_agree(void **state)
{
    (void)state;
    akin_dataset *dataset = many_pairs();
    int threads = omp_get_max_threads();
    ak_table *tables[2];
    for (int i = 0; i < 2; i++) {
        omp_set_num_threads(i ? 7 : 1);
        tables[i] = build(dataset);
    }
    omp_set_num_threads(threads);
    assert_same_table(tables[0], tables[1]);
    ak_table_free(tables[1]);
    ak_table *t = tables[0];

    /* Every row ascends, every pair of score 1 is in both rows, and nothing else is. */
    int64_t found = 0;
    for (int64_t c = 0; c < t->contents; c++)
        for (int64_t e = t->positive_start[c]; e < t->positive_start[c + 1]; e++)
            assert_true(e == t->positive_start[c] || t->positives[e - 1] < t->positives[e]);
    for (int64_t i = 0; i < t->count; i++) {
        for (int side = 0; side < 2; side++) {
            int64_t a = t->content[2 * i + side], b = t->content[2 * i + 1 - side], e;
            for (e = t->positive_start[a]; e < t->positive_start[a + 1]; e++)
                if (t->positives[e] == b)
                    break;
            bool in = e < t->positive_start[a + 1];
            found += in;
            assert_true(in || t->score[i] < 0.5f);
        }
    }
    assert_true(found >= t->positive_start[t->contents]);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

typedef struct key_user {
    int64_t bad; /* the text that fails */
    int64_t last_done;
} key_user;

/* The key of a text is its first byte; of one text there is none. */
static akin_status first_byte(void *user, akin_object object, bool document, ak_hash *key,
                              akin_error *error)
{
    const key_user *u = user;
    (void)error;
    (void)document;
    char text[16] = "";
    memcpy(text, object.data, object.size);
    if (atoi(text) == u->bad)
        return AKIN_ERR_IO; /* a callback that gives no reason */
    *key = ak_hash_bytes(object.data, 1);
    return AKIN_OK;
}

static void on_progress(void *user, int64_t done, int64_t total)
{
    key_user *u = user;
    assert_int_equal(total, MANY);
    assert_true(done > u->last_done);
    u->last_done = done;
}

static void test_keys_progress_errors(void **state)
{
    (void)state;
    akin_dataset *dataset = many_pairs();
    ak_table *t;
    key_user user = {.bad = -1};
    ak_key_rule rule = {first_byte, &user, 1};
    assert_ok(ak_table_build(&t, dataset, &rule, on_progress, &user, told));
    assert_int_equal(t->contents, 10);
    assert_int_equal(user.last_done, MANY);
    ak_table_free(t);

    /* The first bad sample is told, whichever thread came upon which first. */
    for (int round = 0; round < 5; round++) {
        akin_error error = {0};
        int64_t first = -1;
        akin_arena *arena;
        user = (key_user){.bad = 100 + round, .last_done = -1};
        assert_ok(ak_arena_create(&arena, told));
        for (int64_t i = 0; i < MANY && first < 0; i++) {
            akin_sample s;
            char a[16] = "", b[16] = "";
            assert_ok(akin_dataset_get(dataset, i, arena, &s, told));
            memcpy(a, s.pair.a.data, s.pair.a.size);
            memcpy(b, s.pair.b.data, s.pair.b.size);
            if (atoi(a) == user.bad || atoi(b) == user.bad)
                first = i;
        }
        ak_arena_free(arena);
        akin_status status = ak_table_build(&t, dataset, &rule, NULL, NULL, &error);
        if (first < 0) {
            assert_int_equal(status, AKIN_OK);
            ak_table_free(t);
            continue;
        }
        char expected[100];
        snprintf(expected, sizeof expected, "sample %lld: input or output failed",
                 (long long)first);
        assert_int_equal(status, AKIN_ERR_IO);
        assert_non_null(strstr(error.message, expected));
    }
    akin_dataset_free(dataset);
}

/* ---- files ---- */

static void test_save_load(void **state)
{
    (void)state;
    akin_dataset *dataset = many_pairs();
    ak_table *t = build(dataset), *loaded;
    const char *path = test_path("table");
    assert_ok(ak_table_save(t, path, told));
    assert_ok(ak_table_load(&loaded, path, told));
    assert_int_equal(loaded->kind, AKIN_PAIRS);
    assert_int_equal(loaded->objects, 2);
    assert_null(loaded->group);
    assert_same_table(t, loaded);
    ak_table_free(loaded);
    ak_table_free(t);
    akin_dataset_free(dataset);

    dataset = open_text("g.csv", "object,group\nx,b\ny,a\nx,a\n", AKIN_GROUPS);
    t = build(dataset);
    assert_ok(ak_table_save(t, path, told));
    assert_ok(ak_table_load(&loaded, path, told));
    assert_numbers(loaded->group, 0, 1, 1);
    assert_numbers(loaded->content, 0, 1, 0);
    assert_int_equal(loaded->groups, 2);
    assert_null(loaded->score);
    assert_null(loaded->positive_start);
    ak_table_free(loaded);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

/* Any byte changed or cut off is noticed. */
static void test_damaged_file(void **state)
{
    (void)state;
    akin_dataset *dataset = open_text("d.csv", "a,b,subgroup\nx,y,1\nx,z,2\n", AKIN_PAIRS);
    ak_table *t = build(dataset), *loaded;
    char bytes[2048];
    assert_ok(ak_table_save(t, test_path("whole"), told));
    ak_map map;
    assert_ok(ak_map_open(&map, test_path("whole"), told));
    size_t size = map.size;
    assert_true(size < sizeof bytes);
    memcpy(bytes, map.data, size);
    ak_map_close(&map);
    int64_t padding = 0;
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x40;
        akin_status status = ak_table_load(&loaded, write_bytes("bad", bytes, size), NULL);
        if (!status) { /* padding between arrays is not part of the table */
            padding++;
            assert_same_table(t, loaded);
            ak_table_free(loaded);
        } else {
            assert_int_equal(status, AKIN_ERR_FORMAT);
            assert_null(loaded);
        }
        bytes[i] ^= 0x40;
    }
    assert_true(padding < 8 * 64);
    for (size_t n = 0; n < size; n += 5)
        assert_int_equal(ak_table_load(&loaded, write_bytes("bad", bytes, n), NULL),
                         AKIN_ERR_FORMAT);
    assert_int_equal(ak_table_load(&loaded, test_path("none"), NULL), AKIN_ERR_IO);
    ak_table_free(t);
    akin_dataset_free(dataset);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    akin_dataset *dataset = many_pairs();
    akin_status status = AKIN_ERR_MEMORY;
    int64_t n = 0;
    while (status == AKIN_ERR_MEMORY && n < 1000) {
        ak_table *t, *loaded;
        ak_memory_fail_at(++n);
        status = ak_table_build(&t, dataset, NULL, NULL, NULL, NULL);
        if (!status) {
            status = ak_table_save(t, test_path("memory"), NULL);
            if (!status)
                status = ak_table_load(&loaded, test_path("memory"), NULL);
            if (!status)
                ak_table_free(loaded);
            ak_table_free(t);
        }
    }
    ak_memory_fail_at(0);
    assert_int_equal(status, AKIN_OK);
    assert_true(n > 10);
    akin_dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),         cmocka_unit_test(test_groups),
        cmocka_unit_test(test_no_positives),  cmocka_unit_test(test_mixed_subgroups),
        cmocka_unit_test(test_threads_agree), cmocka_unit_test(test_keys_progress_errors),
        cmocka_unit_test(test_save_load),     cmocka_unit_test(test_damaged_file),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
