/* The store of frozen encoders' outputs and what is collected through it: found again, never mixed,
   and never in the way: what is broken is computed again, a disk that fails costs only time. */
#include "data_files.h"
#include "numbers_encoder.h"

#include "features/features.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { DIM = 3 };

static akin_context *context;
static int warnings, notes;
static char last_message[1024];

static void on_message(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user;
    (void)fraction;
    warnings += kind == AKIN_MESSAGE_WARNING;
    notes += kind == AKIN_MESSAGE_NOTE;
    if (kind == AKIN_MESSAGE_WARNING || kind == AKIN_MESSAGE_NOTE)
        snprintf(last_message, sizeof last_message, "%s", text);
}

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    akin_context_on_message(context, on_message, NULL);
    warnings = notes = 0;
    return akin_context_set_cache(context, test_folder, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return remove_test_folder(state);
}

/* ---- the store ---- */

static ak_hash print_of(int number)
{
    return ak_hash_bytes(&number, sizeof number);
}

static ak_hash key_of(int number)
{
    return ak_hash_combine(print_of(number), print_of(7));
}

static ak_store *open_store(int fingerprint)
{
    ak_store *store;
    ak_store_kind kind = {.fingerprint = print_of(fingerprint), .dim = DIM};
    assert_ok(ak_store_open(&store, context, context->cache_folder, &kind, told));
    return store;
}

static void put(ak_store *store, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        float vector[DIM] = {(float)i, (float)-i, 0.5f};
        ak_hash key = key_of(i);
        assert_ok(ak_store_put(store, &key, vector, 1, told));
    }
}

static void write_some(int fingerprint, int first, int count)
{
    ak_store *store = open_store(fingerprint);
    assert_ok(ak_store_begin(store, told));
    put(store, first, count);
    assert_ok(ak_store_end(store, told));
    ak_store_close(store);
}

static void assert_holds(const ak_store *store, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        const float *vector = ak_store_find(store, key_of(i)); /* float32 lies as it is */
        assert_non_null(vector);
        assert_true(vector[0] == (float)i && vector[1] == (float)-i && vector[2] == 0.5f);
    }
}

/* Segments of a fingerprint; *path is one of them. */
static int64_t segments(int fingerprint, char *path, size_t size)
{
    char folder[300], hex[AK_HASH_HEX];
    char **names;
    int64_t count, found = 0;
    ak_hash_to_hex(print_of(fingerprint), hex);
    snprintf(folder, sizeof folder, "%s/features/%s", test_folder, hex);
    assert_ok(ak_list_folder(&names, &count, folder, told));
    for (int64_t i = 0; i < count; i++)
        if (ak_path_has_suffix(names[i], ".safetensors")) {
            found++;
            if (path)
                snprintf(path, size, "%s/%s", folder, names[i]);
        }
    ak_names_free(names, count);
    return found;
}

static void test_found_again(void **state)
{
    (void)state;
    write_some(1, 0, 100);
    ak_store *store = open_store(1);
    assert_int_equal(ak_store_count(store), 100);
    assert_holds(store, 0, 100);
    assert_null(ak_store_find(store, key_of(100)));
    ak_store_close(store);
    store = open_store(2); /* another encoder's is never taken */
    assert_int_equal(ak_store_count(store), 0);
    assert_null(ak_store_find(store, key_of(0)));
    ak_store_close(store);
    write_some(1, 100, 1);
    store = open_store(1);
    assert_holds(store, 0, 101);
    ak_store_close(store);
    assert_int_equal(warnings, 0);
}

static void test_more_than_a_segment(void **state)
{
    (void)state;
    write_some(1, 0, 20000);
    assert_int_equal(segments(1, NULL, 0), 2);
    ak_store *store = open_store(1);
    assert_int_equal(ak_store_count(store), 20000);
    assert_holds(store, 0, 20000);
    ak_store_close(store);
}

static void test_merged(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++)
        write_some(1, 10 * i, 10);
    assert_int_equal(segments(1, NULL, 0), 1);
    /* one store over many rounds, whose old segments stay mapped */
    ak_store *store = open_store(1);
    const float *kept = ak_store_find(store, key_of(0));
    for (int i = 9; i < 30; i++) {
        assert_ok(ak_store_begin(store, told));
        put(store, 10 * i, 10);
        assert_ok(ak_store_end(store, told));
        assert_holds(store, 0, 10 * (i + 1));
        assert_int_equal(ak_store_count(store), 10 * (i + 1));
        assert_true(segments(1, NULL, 0) <= 9);
    }
    assert_true(kept[2] == 0.5f);
    ak_store_close(store);
    store = open_store(1);
    assert_holds(store, 0, 300);
    ak_store_close(store);
    char path[512]; /* nothing is there twice */
    ak_safetensors *file;
    segments(1, path, sizeof path);
    int64_t rows = 0, count;
    char **names;
    char *folder = ak_path_parent(path);
    assert_ok(ak_list_folder(&names, &count, folder, told));
    for (int64_t i = 0; i < count; i++) {
        if (!ak_path_has_suffix(names[i], ".safetensors"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_ok(ak_safetensors_open(&file, path, told));
        rows += ak_safetensors_find(file, "keys")->shape[0];
        ak_safetensors_free(file);
    }
    assert_int_equal(rows, 300);
    ak_names_free(names, count);
    ak_free(folder);
}

static void test_broken_segments(void **state)
{
    (void)state;
    char path[512], other[512];
    struct stat info;
    for (int i = 0; i < 4; i++) {
        write_some(1, 0, 10);
        assert_int_equal(segments(1, path, sizeof path), 1);
        assert_int_equal(stat(path, &info), 0);
        if (i == 0)
            assert_int_equal(truncate(path, info.st_size - 1), 0);
        else if (i == 1)
            assert_int_equal(truncate(path, 0), 0);
        else if (i == 2)
            assert_ok(ak_file_write(path, "not a segment at all", 20, told));
        else { /* vectors of another encoder under this one's name */
            write_some(2, 0, 10);
            segments(2, other, sizeof other);
            assert_int_equal(rename(other, path), 0);
        }
        warnings = 0;
        ak_store *store = open_store(1);
        assert_int_equal(ak_store_count(store), 0);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(last_message, "computed again"));
        ak_store_close(store);
        assert_int_equal(segments(1, NULL, 0), 0);
    }
}

/* Everything is found until the store closes, and one warning tells. */
static void use_failing_store(int count)
{
    ak_store *store = open_store(1);
    warnings = notes = 0;
    for (int round = 0; round < 2; round++) {
        assert_ok(ak_store_begin(store, told));
        put(store, round * count, count);
        assert_ok(ak_store_end(store, told));
        assert_holds(store, 0, (round + 1) * count);
    }
    assert_int_equal(warnings, 1);
    assert_int_equal(notes, 0);
    assert_non_null(strstr(last_message, "cannot be written"));
    ak_store_close(store);
}

static void test_no_disk(void **state)
{
    (void)state;
    write_text("features", "a file where the folder should be");
    use_failing_store(10);
    assert_int_equal(unlink(test_path("features")), 0);
    char hex[AK_HASH_HEX], lock[300];
    ak_hash_to_hex(print_of(1), hex);
    snprintf(lock, sizeof lock, "%s/features/%s/lock", test_folder, hex);
    assert_ok(ak_make_folders(lock, told)); /* what cannot be locked is not another run's */
    use_failing_store(10);
    ak_store *store;
    ak_store_kind kind = {.fingerprint = print_of(1), .dim = DIM};
    assert_ok(ak_store_open(&store, context, NULL, &kind, told)); /* no folder at all */
    assert_ok(ak_store_begin(store, told));
    put(store, 0, 10);
    assert_ok(ak_store_end(store, told));
    assert_holds(store, 0, 10);
    ak_store_close(store);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    use_failing_store(17000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(segments(1, NULL, 0), 0); /* no half segment, no temporary file */
    ak_store *store = open_store(1);
    assert_int_equal(ak_store_count(store), 0);
    ak_store_close(store);
}

static void test_one_writer(void **state)
{
    (void)state;
    int ready[2], status;
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ak_store *store = open_store(1);
        int failed = ak_store_begin(store, NULL) != AKIN_OK;
        failed |= write(ready[1], "x", 1) != 1;
        usleep(200000);
        put(store, 0, 10);
        failed |= ak_store_end(store, NULL) != AKIN_OK;
        ak_store_close(store);
        _exit(failed);
    }
    ak_store *store = open_store(1);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_ok(ak_store_begin(store, told)); /* waits, and then sees what was written */
    assert_int_equal(notes, 1);
    assert_non_null(strstr(last_message, "waiting"));
    assert_holds(store, 0, 10);
    assert_ok(ak_store_end(store, told));
    ak_store_close(store);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(ready[0]);
    close(ready[1]);
}

/* ---- collecting ---- */

static akin_model *make_model(const char *first, const char *second)
{
    akin_model *model;
    akin_named_encoder named[2] = {{"b", NULL}, {"a", NULL}};
    assert_ok(akin_encoder_create(&named[0].encoder, context, "numbers", first, told));
    if (second)
        assert_ok(akin_encoder_create(&named[1].encoder, context, "numbers", second, told));
    assert_ok(akin_model_create(&model, context, named, second ? 2 : 1, NULL, told));
    return model;
}

static akin_status number_object(void *user, int64_t i, akin_arena *arena, akin_object *object,
                                 akin_error *error)
{
    int64_t distinct = *(const int64_t *)user;
    char *text = ak_arena_format(arena, "%lld 5 6", (long long)(i % distinct));
    if (!text)
        return ak_fail_memory(error);
    *object = akin_text(text);
    return AKIN_OK;
}

static ak_features *collect(const akin_model *model, int64_t count, int64_t distinct, ak_hash *keys)
{
    ak_features *features;
    akin_arena *arena;
    ak_contents contents = {
        .count = count, .keys = keys, .object = number_object, .user = &distinct};
    assert_ok(ak_arena_create(&arena, told));
    for (int64_t i = 0; i < count; i++) {
        akin_object object;
        assert_ok(number_object(&distinct, i, arena, &object, told));
        assert_ok(
            ak_model_keys(model, AK_QUERY_TOWER, object, keys + i * model->encoder_count, told));
    }
    ak_arena_free(arena);
    assert_ok(ak_features_collect(&features, model, &contents, true, told));
    return features;
}

static void assert_collected(akin_model *model, int64_t count, int64_t distinct, int64_t encoded)
{
    static ak_hash keys[2 * 3000];
    static float out[3000 * 5];
    int64_t width = akin_model_base_dim(model);
    numbers_encoded = 0;
    ak_features *features = collect(model, count, distinct, keys);
    assert_int_equal(features->encoded, encoded);
    assert_int_equal(numbers_encoded, encoded);
    assert_ok(ak_features_embed(features, (ak_way){AK_QUERY_TOWER, false}, 0,
                                ak_matrix(out, count, width), told));
    for (int64_t i = 0; i < count; i++) {
        assert_true(out[i * width] == (float)(i % distinct));
        if (width == 5)
            assert_true(out[i * width + 2] == (float)(i % distinct) && out[i * width + 4] == 6);
    }
    ak_features_free(features);
    akin_model_free(model);
}

static void test_only_what_is_missing(void **state)
{
    (void)state;
    assert_collected(make_model("{dim: 3}", NULL), 2000, 2000, 2000);
    assert_collected(make_model("{dim: 3}", NULL), 2000, 2000, 0);
    assert_collected(make_model("{dim: 3}", NULL), 2020, 2020, 20);
    assert_collected(make_model("{dim: 3, version: 2}", NULL), 100, 100, 100);
    assert_collected(make_model("{dim: 3}", NULL), 100, 100, 0);
}

static void test_equal_objects_once(void **state)
{
    (void)state;
    assert_collected(make_model("{dim: 3}", NULL), 3000, 7, 7);
    assert_collected(make_model("{dim: 3}", NULL), 3000, 9, 2);
    assert_ok(akin_context_set_cache(context, NULL, told));
    assert_collected(make_model("{dim: 3}", NULL), 3000, 1500, 1500);
}

static void test_several_encoders(void **state)
{
    (void)state; /* a, two wide, stands before b */
    assert_collected(make_model("{dim: 3}", "{dim: 2}"), 50, 50, 100);
    assert_collected(make_model("{dim: 3}", "{dim: 2}"), 60, 60, 20);
    assert_collected(make_model("{dim: 3}", "{dim: 2, version: 3}"), 60, 60, 60);
}

/* An encoder that is trained is left out, and its columns alone. */
static void test_trained_encoders_are_left_out(void **state)
{
    (void)state;
    ak_hash keys[8];
    float out[4 * 5];
    int64_t order[4] = {3, 2, 1, 0};
    akin_model *model = make_model("{dim: 3, trainable: true}", "{dim: 2}");
    ak_features *features = collect(model, 4, 4, keys);
    for (int i = 0; i < 20; i++)
        out[i] = -1;
    ak_features_gather(features, AK_QUERY_TOWER, order, 4, ak_matrix(out, 4, 5));
    for (int i = 0; i < 4; i++)
        assert_true(out[5 * i] == (float)(3 - i) && out[5 * i + 1] == 5 && out[5 * i + 2] == -1);
    ak_features_free(features);
    akin_model_free(model);
}

static akin_status take(void *user, int64_t first, int64_t count, const float *vectors,
                        akin_error *error)
{
    (void)error;
    memcpy((float *)user + first * DIM, vectors, (size_t)(count * DIM) * sizeof *vectors);
    return AKIN_OK;
}

static akin_status refuse(void *user, int64_t first, int64_t count, const float *vectors,
                          akin_error *error)
{
    (void)user;
    (void)first;
    (void)vectors;
    return ak_fail(error, AKIN_ERR_IO, "no room for %d", (int)count);
}

static void test_corpus(void **state)
{
    (void)state;
    static const float expected[5 * DIM] = {1, 2, 3, 4, 5, 6, 1, 2, 3, 7, 8, 9, 4, 5, 6};
    static float out[5 * DIM];
    akin_error error;
    akin_corpus *corpus;
    akin_model *model = make_model("{dim: 3}", NULL);
    write_text("c.txt", "1 2 3\n4 5 6\n1 2 3\n7 8 9\n4 5 6\n");
    assert_ok(akin_corpus_open(&corpus, context, model, test_path("c.txt"), NULL, told));
    assert_int_equal(akin_corpus_count(corpus), 5);
    numbers_encoded = 0;
    assert_ok(akin_encode_corpus(model, false, corpus, take, out, told));
    assert_int_equal(numbers_encoded, 3);
    assert_memory_equal(out, expected, sizeof out);
    assert_int_equal(akin_encode_corpus(model, false, corpus, refuse, NULL, &error), AKIN_ERR_IO);
    assert_string_equal(error.message, "no room for 5");
    assert_int_equal(numbers_encoded, 3);
    akin_corpus_free(corpus);
    akin_model_free(model);
}

/* The labels of a file are kept beside the vectors: a second run reads no sample. */
static void test_labels_are_kept(void **state)
{
    (void)state;
    akin_dataset *dataset;
    ak_table *table;
    bool reused;
    write_text("p.jsonl", "{\"a\": \"1 2 3\", \"b\": \"4 5 6\"}\n"
                          "{\"a\": \"1 2 3\", \"b\": \"7\"}\n");
    for (int round = 0; round < 4; round++) {
        akin_model *model = make_model("{dim: 3}", round == 2 ? "{dim: 2}" : NULL);
        if (round == 3) /* another content under the same name */
            write_text("p.jsonl", "{\"a\": \"x\", \"b\": \"y\"}\n");
        assert_ok(
            akin_dataset_open(&dataset, context, test_path("p.jsonl"), AKIN_PAIRS, NULL, told));
        assert_ok(ak_labels_table(&table, model, dataset, &reused, told));
        assert_int_equal(reused, round == 1);
        assert_int_equal(table->contents, round == 3 ? 2 : 3);
        assert_int_equal(table->count, round == 3 ? 1 : 2);
        ak_table_free(table);
        akin_dataset_free(dataset);
        akin_model_free(model);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_writer), /* first: it forks, which must come before any threads */
        TEST(test_found_again),
        TEST(test_more_than_a_segment),
        TEST(test_merged),
        TEST(test_broken_segments),
        TEST(test_no_disk),
        TEST(test_full_disk),
        TEST(test_only_what_is_missing),
        TEST(test_equal_objects_once),
        TEST(test_several_encoders),
        TEST(test_trained_encoders_are_left_out),
        TEST(test_corpus),
        TEST(test_labels_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
