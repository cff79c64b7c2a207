/* Data sets: gzip, counting, fingerprints, arrays in memory, callbacks, failing memory. */
#include "data_files.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <zlib.h>

static void test_index_out_of_range(void **state)
{
    (void)state;
    akin_dataset *dataset;
    akin_sample sample;
    akin_pair pair = {.a = akin_text("x"), .b = akin_text("y"), .score = 1};
    assert_ok(akin_dataset_from_pairs(&dataset, &pair, 1, told));
    assert_int_equal(akin_dataset_get(dataset, 1, NULL, &sample, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_dataset_get(dataset, -1, NULL, &sample, NULL), AKIN_ERR_ARGUMENT);
    akin_dataset_free(dataset);
    akin_dataset_free(NULL);
}

/* ---- gzip, counting, fingerprints ---- */

static const char *write_gzip(const char *name, const char *text)
{
    const char *path = test_path(name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

static int64_t files_in(const char *folder)
{
    char **names;
    int64_t count;
    if (ak_list_folder(&names, &count, folder, NULL))
        return 0;
    ak_names_free(names, count);
    return count;
}

static void test_gzip(void **state)
{
    (void)state;
    const char *path = write_gzip("z.csv.gz", "a,b\nx,y\n");
    char cache[256], unpacked[300];
    snprintf(cache, sizeof cache, "%s/cache", test_folder);
    snprintf(unpacked, sizeof unpacked, "%s/unpacked", cache);
    for (int i = 0; i < 4; i++) { /* 0, 1: unpacked once; 2: other bytes; 3: no cache folder */
        akin_dataset *dataset;
        if (i == 2)
            path = write_gzip("z.csv.gz", "a,b\nX,y\n");
        assert_ok(
            ak_dataset_open_file(&dataset, path, AKIN_PAIRS, NULL, i < 3 ? cache : NULL, told));
        char *text = dataset_text(dataset);
        assert_string_equal(text, i < 2 ? "x|y|1|0\n" : "X|y|1|0\n");
        ak_free(text);
        akin_dataset_free(dataset);
        assert_int_equal(files_in(unpacked), i < 2 ? 1 : 2);
    }
    akin_error error;
    path = write_gzip("z.csv.gz", "a,b\nx,y\nx\n");
    assert_int_equal(read_whole(path, AKIN_PAIRS, NULL, NULL, &error), AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "z.csv.gz:3: 1 field"));
}

/* The temporary copy of a .gz is gone as soon as it is mapped. */
static void test_gzip_leaves_nothing(void **state)
{
    (void)state;
    const char *path = write_gzip("t.tsv.gz", "a\tb\nx\ty\n");
    char folder[256];
    snprintf(folder, sizeof folder, "%s/tmp", test_folder);
    assert_ok(ak_make_folders(folder, told));
    setenv("TMPDIR", folder, 1);
    akin_dataset *dataset;
    assert_ok(ak_dataset_open_file(&dataset, path, AKIN_PAIRS, NULL, NULL, told));
    unsetenv("TMPDIR");
    assert_int_equal(files_in(folder), 0);
    akin_dataset_free(dataset);
}

static void test_replaced_is_counted_once(void **state)
{
    (void)state;
    akin_dataset *dataset;
    const char *path = write_text("r.csv", "a,b\nx\xff,\xfe y\nx,y\n\x80,z\n");
    assert_ok(ak_dataset_open_file(&dataset, path, AKIN_PAIRS, NULL, NULL, told));
    for (int i = 0; i < 3; i++)
        ak_free(dataset_text(dataset));
    assert_int_equal(ak_dataset_replaced(dataset), 3);
    assert_string_equal(ak_dataset_name(dataset), path);
    akin_dataset_free(dataset);
}

static ak_hash fingerprint(const char *name, const char *content, akin_sample_kind kind,
                           const akin_fields *fields)
{
    akin_dataset *dataset;
    ak_hash hash;
    const char *path = write_text(name, content);
    assert_ok(ak_dataset_open_file(&dataset, path, kind, fields, test_folder, told));
    assert_true(ak_dataset_fingerprint(dataset, &hash));
    akin_dataset_free(dataset);
    return hash;
}

static void test_fingerprint(void **state)
{
    (void)state;
    static const char csv[] = "a,b,c,group\nx,y,z,1\n", other[] = "a,b,c,group\nx,y,z,2\n";
    const akin_fields mapped = {.a = "c"}, named = {.a = "a"};
    ak_hash hashes[] = {
        fingerprint("p.csv", csv, AKIN_PAIRS, NULL),
        fingerprint("p.csv", other, AKIN_PAIRS, NULL),
        fingerprint("p.csv", csv, AKIN_GROUPS, NULL),
        fingerprint("p.csv", csv, AKIN_PAIRS, &mapped),
    };
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_false(ak_hash_equal(hashes[i], hashes[j]));
    assert_true(ak_hash_equal(hashes[0], fingerprint("q.csv", csv, AKIN_PAIRS, NULL)));
    assert_true(ak_hash_equal(hashes[0], fingerprint("p.csv", csv, AKIN_PAIRS, &named)));
}

static void test_replaced_file_has_no_fingerprint(void **state)
{
    (void)state;
    akin_dataset *dataset;
    ak_hash hash;
    const char *path = write_text("old.csv", "a,b\nx,y\n");
    assert_ok(ak_dataset_open_file(&dataset, path, AKIN_PAIRS, NULL, NULL, told));
    write_text("new.csv", "a,b\nx,other\n");
    assert_int_equal(rename(test_path("new.csv"), path), 0);
    assert_false(ak_dataset_fingerprint(dataset, &hash));
    char *text = dataset_text(dataset);
    assert_string_equal(text, "x|y|1|0\n");
    ak_free(text);
    akin_dataset_free(dataset);
}

/* A hash is kept of a file that has not just been written, and not believed after any change, with
   whatever size and modification time. */
static void test_file_hash_is_kept(void **state)
{
    (void)state;
    const char *path = write_text("h.txt", "one");
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char cache[256], hashes[300], **names;
    int64_t count;
    ak_hash first, changed;
    snprintf(cache, sizeof cache, "%s/kept", test_folder);
    snprintf(hashes, sizeof hashes, "%s/hashes", cache);
    sleep(3);
    assert_ok(ak_file_hash(&first, path, cache, told));
    assert_true(ak_hash_equal(first, ak_hash_text("one")));
    assert_ok(ak_list_folder(&names, &count, hashes, told));
    assert_int_equal(count, 1);
    ak_names_free(names, count);
    write_text("h.txt", "two");
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_ok(ak_file_hash(&changed, path, cache, told));
    assert_true(ak_hash_equal(changed, ak_hash_text("two")));
}

/* ---- in memory, callbacks ---- */

static void test_arrays(void **state)
{
    (void)state;
    char bytes[] = "xy";
    akin_pair pairs[] = {{.a = {bytes, 1}, .b = {bytes + 1, 1}, .score = 0.5f, .subgroup = 3},
                         {.a = {NULL, 0}, .b = {bytes, 2}, .score = 1}};
    akin_group groups[] = {{.object = {bytes, 2}, .group = -5}};
    akin_dataset *p, *g;
    ak_hash before, after;
    assert_ok(akin_dataset_from_pairs(&p, pairs, 2, told));
    assert_ok(akin_dataset_from_groups(&g, groups, 1, told));
    assert_true(ak_dataset_fingerprint(p, &before));
    bytes[0] = 'z'; /* the bytes were copied */
    assert_true(ak_dataset_fingerprint(p, &after));
    assert_true(ak_hash_equal(before, after));
    char *text = dataset_text(p);
    assert_string_equal(text, "x|y|0.5|3\n|xy|1|0\n");
    ak_free(text);
    text = dataset_text(g);
    assert_string_equal(text, "xy|-5\n");
    ak_free(text);
    akin_dataset_free(p);
    akin_dataset_free(g);

    akin_error error;
    pairs[1].score = NAN;
    assert_int_equal(akin_dataset_from_pairs(&p, pairs, 2, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "sample 1: the score is"));
    assert_null(p);
    assert_int_equal(akin_dataset_from_pairs(&p, pairs, 0, &error), AKIN_ERR_FORMAT);
    assert_int_equal(akin_dataset_from_pairs(&p, NULL, 1, &error), AKIN_ERR_ARGUMENT);
    groups[0].object.data = NULL;
    assert_int_equal(akin_dataset_from_groups(&g, groups, 1, &error), AKIN_ERR_ARGUMENT);
}

typedef struct own_set {
    int64_t count;
    bool freed;
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
    (void)self;
    (void)error;
    sample->pair.a = sample->pair.b = akin_text(ak_arena_format(arena, "%d", (int)index));
    if (index == 1)
        sample->pair.score = INFINITY;
    if (index == 2)
        sample->pair.a = (akin_object){.data = NULL, .size = 1};
    return index == 3 ? AKIN_ERR_IO : AKIN_OK;
}

static void own_free(void *self)
{
    ((own_set *)self)->freed = true;
}

static void test_callbacks(void **state)
{
    (void)state;
    akin_dataset_class type = {.size = sizeof type,
                               .name = "mine",
                               .kind = AKIN_PAIRS,
                               .count = own_count,
                               .get = own_get,
                               .free = own_free};
    own_set self = {.count = 4};
    akin_dataset *dataset;
    akin_arena *arena;
    akin_sample sample;
    akin_error error = {0};
    ak_hash hash;
    assert_ok(akin_dataset_create(&dataset, &type, &self, told));
    assert_ok(ak_arena_create(&arena, told));
    assert_ok(akin_dataset_get(dataset, 0, arena, &sample, told));
    assert_true(sample.pair.score == 1); /* what a callback that knows no scores leaves */
    assert_int_equal(akin_dataset_get(dataset, 1, arena, &sample, &error), AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "mine: sample 1: the score is inf"));
    assert_int_equal(akin_dataset_get(dataset, 2, arena, &sample, &error), AKIN_ERR_ARGUMENT);
    assert_int_equal(akin_dataset_get(dataset, 3, arena, &sample, &error), AKIN_ERR_IO);
    assert_string_equal(error.message, "mine: sample 3: input or output failed");
    assert_false(ak_dataset_fingerprint(dataset, &hash));
    ak_arena_free(arena);
    akin_dataset_free(dataset);
    assert_true(self.freed);

    self = (own_set){.count = 0};
    assert_int_equal(akin_dataset_create(&dataset, &type, &self, &error), AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "mine: holds no samples"));
    assert_false(self.freed); /* it stays the caller's */
    self.count = -1;
    assert_int_equal(akin_dataset_create(&dataset, &type, &self, NULL), AKIN_ERR_ARGUMENT);
    type.size = 8;
    assert_int_equal(akin_dataset_create(&dataset, &type, &self, NULL), AKIN_ERR_ARGUMENT);
    type.size = sizeof type;
    type.get = NULL;
    assert_int_equal(akin_dataset_create(&dataset, &type, &self, NULL), AKIN_ERR_ARGUMENT);
}

/* Whatever allocation fails, it comes out as such and nothing leaks (the sanitizer build looks). */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const char *const files[] = {"m.jsonl", "m.csv", "m.tsv.gz"};
    char cache[256];
    snprintf(cache, sizeof cache, "%s/memory", test_folder);
    write_text(files[0], "{\"t\": \"x\xff\", \"group\": 1}\n{\"object\": \"y\", \"group\": 1}\n");
    write_text(files[1], "t,group\n\"x\xff\",1\n");
    write_gzip(files[2], "t\tgroup\nx\t1\n");
    for (int f = 0; f < 3; f++) {
        akin_status status = AKIN_ERR_MEMORY;
        int64_t n = 0;
        while (status == AKIN_ERR_MEMORY && n < 1000) {
            ak_memory_fail_at(++n);
            status = read_whole(test_path(files[f]), AKIN_GROUPS, NULL, n & 1 ? cache : NULL, NULL);
        }
        ak_memory_fail_at(0);
        assert_int_equal(status, AKIN_OK);
        assert_true(n > 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_out_of_range),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_gzip_leaves_nothing),
        cmocka_unit_test(test_replaced_is_counted_once),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_replaced_file_has_no_fingerprint),
        cmocka_unit_test(test_file_hash_is_kept),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_callbacks),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
