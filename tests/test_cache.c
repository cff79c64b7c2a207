/* The cache as its users see it: what keys vectors, what is kept in which precision, and the folder
   listed, verified and cleaned. */
#include "data_files.h"
#include "numbers_encoder.h"
#include "tiny_model.h"

#include "features/features.h"
#include "features/row.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static akin_context *context;

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    numbers_encoded = 0;
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

/* ---- rows ---- */

static void test_precisions(void **state)
{
    (void)state;
    enum { DIM = 37 };
    static const double bounds[] = {0, 0x1p-8, 0.5 / 127};
    for (int p = AKIN_CACHE_F32; p <= AKIN_CACHE_INT8; p++) {
        unsigned char row[4 * DIM + 8];
        float x[DIM], y[DIM], again[DIM], most = 0;
        for (int i = 0; i < DIM; i++) {
            x[i] = sinf((float)i) * (i == 7 ? 3 : 1);
            most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        }
        assert_true(ak_row_size(p, DIM) <= sizeof row);
        ak_row_encode(p, x, DIM, row);
        ak_row_decode(p, row, DIM, y);
        double worst = 0;
        for (int i = 0; i < DIM; i++)
            worst = fmax(worst, fabs((double)y[i] - x[i]) / most);
        assert_true(worst <= bounds[p] * 1.0001);
        ak_row_encode(p, y, DIM, row); /* what was read is kept as it is */
        ak_row_decode(p, row, DIM, again);
        assert_memory_equal(y, again, sizeof y);
    }
    assert_int_equal(ak_row_size(AKIN_CACHE_F32, 384), 1536);
    assert_int_equal(ak_row_size(AKIN_CACHE_BF16, 384), 768);
    assert_int_equal(ak_row_size(AKIN_CACHE_INT8, 384), 388);
}

static void test_int8_extremes(void **state)
{
    (void)state;
    static const float rows[][3] = {
        {0, -0.0f, 0}, {1e38f, -3e38f, 0}, {1e-44f, 1e-40f, -1e-40f}, {127, -127, 1}};
    unsigned char row[8];
    float y[3];
    for (int r = 0; r < 4; r++) {
        ak_row_encode(AKIN_CACHE_INT8, rows[r], 3, row);
        ak_row_decode(AKIN_CACHE_INT8, row, 3, y);
        for (int i = 0; i < 3; i++)
            assert_true(fabsf(y[i] - rows[r][i]) <= fmaxf(2e-38f, fabsf(rows[r][1]) / 250));
    }
    static const float broken[3] = {1, INFINITY, 2};
    ak_row_encode(AKIN_CACHE_INT8, broken, 3, row);
    ak_row_decode(AKIN_CACHE_INT8, row, 3, y);
    assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[2]));
}

/* ---- collecting ---- */

static akin_encoder *make_encoder(const char *type, const char *options)
{
    akin_encoder *encoder;
    assert_ok(akin_encoder_create(&encoder, context, type, options, told));
    return encoder;
}

static akin_model *make_model(akin_encoder *a, akin_encoder *b)
{
    akin_model *model;
    akin_named_encoder named[2] = {{"a", a}, {"b", b}};
    assert_ok(akin_model_create(&model, context, named, b ? 2 : 1, NULL, told));
    return model;
}

static akin_status text_object(void *user, int64_t i, akin_arena *arena, akin_object *object,
                               akin_error *error)
{
    (void)arena;
    (void)error;
    *object = akin_text(((const char *const *)user)[i]);
    return AKIN_OK;
}

/* The features of texts, by a model that goes with them. */
static ak_features *collect(akin_model *model, const char *const *texts, int64_t count,
                            bool training)
{
    ak_features *features;
    ak_contents contents = {.count = count, .object = text_object, .user = (void *)texts};
    ak_hash *keys = ak_calloc((size_t)(count * model->encoder_count), sizeof *keys);
    assert_non_null(keys);
    contents.keys = keys;
    assert_ok(ak_contents_make_keys(&contents, model, keys, told));
    assert_ok(ak_features_collect(&features, model, &contents, training, told));
    ak_free(keys);
    return features;
}

static void assert_encodes(akin_model *model, const char *const *texts, int64_t count,
                           int64_t encoded)
{
    ak_features *features = collect(model, texts, count, true);
    assert_int_equal(features->encoded, encoded);
    ak_features_free(features);
    akin_model_free(model);
}

/* The first or the last number of "3 4". */
static akin_status number_key(void *user, akin_object object, akin_hash *key, akin_error *error)
{
    const char *text = object.data, *space = memchr(text, ' ', object.size);
    (void)error;
    if (user)
        *key = akin_hash_bytes(text, (size_t)(space - text));
    else
        *key = akin_hash_bytes(space, object.size - (size_t)(space - text));
    return AKIN_OK;
}

static akin_encoder *keyed(const char *options, void *user)
{
    akin_encoder *encoder = make_encoder("numbers", options);
    akin_cache_options cache = akin_cache_defaults();
    cache.key = number_key;
    cache.user = user;
    assert_ok(akin_encoder_set_cache(encoder, &cache, told));
    return encoder;
}

static akin_model *two_keyed(void)
{
    return make_model(keyed("{dim: 2}", context), keyed("{dim: 2, version: 2}", NULL));
}

/* Each of several encoders is keyed by what it reads itself: a change in what the second reads
   leaves the first one's vectors. */
static void test_keys_of_each_encoder(void **state)
{
    (void)state;
    static const char *const before[] = {"1 5", "2 6", "3 7"};
    static const char *const after[] = {"1 5", "2 9", "3 7", "3 5"};
    assert_encodes(two_keyed(), before, 3, 6);
    assert_encodes(two_keyed(), before, 3, 0);
    assert_encodes(two_keyed(), after, 4, 1);
}

static void test_key_of_a_caller(void **state)
{
    (void)state;
    static const char *const texts[] = {"1 5", "1 6", "1 7"};
    akin_encoder *encoder = make_encoder("numbers", NULL);
    akin_cache_options wrong = {.size = 4};
    akin_error error;
    assert_int_equal(akin_encoder_set_cache(encoder, &wrong, &error), AKIN_ERR_ARGUMENT);
    akin_encoder_free(encoder);
    assert_encodes(make_model(keyed("{dim: 2}", context), NULL), texts, 3, 1);
}

/* The labels of a data set are not kept where a caller's function says what an object is. */
static void test_no_labels_for_a_callers_key(void **state)
{
    (void)state;
    akin_dataset *dataset;
    ak_table *table;
    bool reused;
    write_text("p.jsonl", "{\"a\": \"1 5\", \"b\": \"2 5\"}\n{\"a\": \"1 6\", \"b\": \"3 5\"}\n");
    akin_model *model = two_keyed();
    for (int round = 0; round < 2; round++) {
        assert_ok(
            akin_dataset_open(&dataset, context, test_path("p.jsonl"), AKIN_PAIRS, NULL, told));
        assert_ok(ak_labels_table(&table, model, dataset, &reused, told));
        assert_false(reused);
        assert_int_equal(table->contents, 4);
        assert_int_equal(table->parts, 2);
        assert_true(ak_hash_equal(table->part_keys[0], table->part_keys[2 * 2])); /* "1" twice */
        ak_table_free(table);
        akin_dataset_free(dataset);
    }
    akin_model_free(model);
}

static akin_model *text_model(const char *words)
{
    char options[600];
    snprintf(options, sizeof options, "{path: %s, field: text%s}", test_path("tiny"), words);
    return make_model(make_encoder("transformer", options), NULL);
}

static void test_key_field(void **state)
{
    (void)state;
    static const char *const before[] = {"{\"sku\": 7, \"text\": \"cat\"}",
                                         "{\"sku\": \"x\", \"text\": \"dog\"}"};
    static const char *const after[] = {
        "{\"sku\": \"7\", \"text\": \"a cat\"}", "{\"sku\": \"y\", \"text\": \"dog\"}",
        "{\"text\": \"bird\"}", "{\"sku\": null, \"text\": \"bird\"}"};
    char notes[256];
    tiny_model(test_path("tiny"), NULL);
    akin_model *model = text_model(", cache_key: sku");
    ak_features_free(collect(model, before, 2, true));
    akin_model_notes(model, notes, sizeof notes);
    assert_string_equal(notes, "");
    ak_features *features = collect(model, after, 4, true);
    assert_int_equal(features->encoded, 2); /* y, and the bird by what is read of it */
    akin_model_notes(model, notes, sizeof notes);
    assert_non_null(strstr(notes, "2 objects without \"sku\""));
    ak_features_free(features);
    akin_model_free(model);
    assert_encodes(text_model(""), before, 2, 2); /* keys of another sort do not meet */
}

static void test_switched_off(void **state)
{
    (void)state;
    static const char *const texts[] = {"1 5", "2 6"};
    for (int round = 0; round < 2; round++) {
        akin_model *model = make_model(make_encoder("numbers", "{dim: 2, cache: false}"),
                                       make_encoder("numbers", "{dim: 2, version: 2}"));
        ak_features *features = collect(model, texts, 2, true);
        assert_null(features->rows[0]); /* it runs in every step */
        assert_int_equal(features->encoded, round ? 0 : 2);
        ak_features_free(features);
        features = collect(model, texts, 2, false); /* where nothing is trained: each time anew */
        assert_int_equal(features->encoded, 2);
        ak_features_free(features);
        akin_model_free(model);
    }
}

static void assert_reads(akin_model *model, const char *const *texts, int64_t encoded, float *out)
{
    ak_features *features = collect(model, texts, 2, true);
    assert_int_equal(features->encoded, encoded);
    assert_ok(ak_features_embed(features, (ak_way){AK_QUERY_TOWER, false}, 0, ak_matrix(out, 2, 3),
                                told));
    ak_features_free(features);
    akin_model_free(model);
}

/* A precision has a folder of its own; what a run computes is what the next one reads. */
static void test_precision_of_a_store(void **state)
{
    (void)state;
    static const char *const texts[] = {"1.0625 -3.3 2", "0.001 1000 7"};
    static const char *const words[] = {"{dim: 3}", "{dim: 3, cache_precision: bf16}",
                                        "{dim: 3, cache_precision: int8}"};
    float exact[6], first[6], second[6];
    assert_reads(make_model(make_encoder("numbers", words[0]), NULL), texts, 2, exact);
    for (int p = 1; p < 3; p++) {
        assert_reads(make_model(make_encoder("numbers", words[p]), NULL), texts, 2, first);
        assert_reads(make_model(make_encoder("numbers", words[p]), NULL), texts, 0, second);
        assert_memory_equal(first, second, sizeof first);
        assert_true(memcmp(first, exact, sizeof first) != 0);
        assert_true(fabsf(first[4] - 1000) < 4);
    }
    akin_error error;
    akin_encoder *none;
    assert_int_equal(
        akin_encoder_create(&none, context, "numbers", "{cache_precision: int4}", &error),
        AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "f32, bf16 or int8"));
}

/* ---- a run over what is cached ---- */

/* A mapped file that was cut to nothing ends the process when it is read. */
static void cut_file(void *user, akin_training *training)
{
    (void)training;
    assert_int_equal(truncate(user, 0), 0);
}

static void write_pairs(const char *name, int count)
{
    FILE *file = fopen(test_path(name), "w");
    assert_non_null(file);
    for (int i = 0; i < count; i++)
        fprintf(file, "{\"a\": \"%d %d\", \"b\": \"%d %d\"}\n", i, i * i % 17, i, 20 + i % 5);
    fclose(file);
}

/* Epochs whose features are cached read no data file: it may as well be gone. */
static void test_epochs_read_no_file(void **state)
{
    (void)state;
    char train[300];
    const char *sets[] = {"encoders.n.type=numbers", "train.batch_size=8", "train.epochs=3", train};
    snprintf(train, sizeof train, "data.train=%s", test_path("train.jsonl"));
    for (int round = 0; round < 2; round++) {
        akin_recipe *recipe;
        akin_loader *loader, *validation;
        akin_model *model;
        akin_fit_summary summary;
        write_pairs("train.jsonl", 64);
        assert_ok(akin_recipe_open(&recipe, context, NULL, sets, 4, told));
        assert_ok(akin_recipe_loaders(recipe, &loader, &validation, told));
        akin_trainable trainable = akin_recipe_trainable(recipe);
        akin_trainer trainer = akin_recipe_trainer(recipe);
        akin_callback cut = {
            .size = sizeof cut, .user = (void *)test_path("train.jsonl"), .on_fit_start = cut_file};
        assert_ok(akin_trainer_add_callback(&trainer, cut, told));
        assert_ok(
            akin_fit(&model, context, &trainable, &trainer, loader, validation, &summary, told));
        assert_int_equal(summary.epochs, 3);
        assert_int_equal(summary.encoded, round ? 0 : 128);
        akin_model_free(model);
        akin_recipe_free(recipe);
    }
}

/* ---- the folder ---- */

static const ak_store_kind kinds[] = {
    {.fingerprint = {1, 1}, .dim = 3, .encoder = "{\"type\": \"numbers\"}"},
    {.fingerprint = {2, 2},
     .dim = 3,
     .precision = AKIN_CACHE_INT8,
     .encoder = "{\"type\": \"transformer\", \"path\": \"/no/such/folder\"}"}};

static ak_store *write_store(int kind, int count)
{
    ak_store *store;
    assert_ok(ak_store_open(&store, context, context->cache_folder, &kinds[kind], told));
    assert_ok(ak_store_begin(store, told));
    for (int i = 0; i < count; i++) {
        float vector[3] = {(float)i, 1, 2};
        ak_hash key = ak_hash_bytes(&i, sizeof i);
        assert_ok(ak_store_put(store, &key, vector, 1, told));
    }
    assert_ok(ak_store_end(store, told));
    return store;
}

/* A store last used so many seconds ago. */
static void write_old(int kind, int count, int seconds)
{
    static const char *const files[] = {"used", "000000.safetensors"};
    char path[600], hex[AK_HASH_HEX];
    struct timespec times[2];
    ak_store_close(write_store(kind, count));
    ak_hash_to_hex(kinds[kind].fingerprint, hex);
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/features/%s%s/%s", test_folder, hex, kind ? "-int8" : "",
                 files[i]);
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
}

static void test_list(void **state)
{
    (void)state;
    akin_cache *cache;
    assert_ok(akin_cache_list(&cache, context, told));
    assert_int_equal(cache->count, 0);
    akin_cache_free(cache);
    write_old(1, 10, 1000);
    ak_store *open = write_store(0, 20);
    write_text("p.jsonl", "{\"a\": \"1 5\", \"b\": \"2 5\"}\n");
    akin_dataset *dataset;
    ak_table *table;
    bool reused;
    akin_model *model = make_model(make_encoder("numbers", NULL), NULL);
    assert_ok(akin_dataset_open(&dataset, context, test_path("p.jsonl"), AKIN_PAIRS, NULL, told));
    assert_ok(ak_labels_table(&table, model, dataset, &reused, told));
    ak_table_free(table);
    akin_dataset_free(dataset);
    akin_model_free(model);

    assert_ok(akin_cache_list(&cache, context, told));
    assert_string_equal(cache->folder, test_folder);
    const akin_cache_entry *e = cache->entries;
    assert_int_equal(cache->count, 3);
    assert_string_equal(e[0].kind, "vectors");
    assert_string_equal(e[0].precision, "f32");
    assert_string_equal(e[0].encoder, "{\"type\": \"numbers\"}");
    assert_int_equal(e[0].vectors, 20);
    assert_int_equal(e[0].dim, 3);
    assert_true(e[0].in_use && e[0].reachable && e[0].bytes > 20 * 28);
    assert_string_equal(e[1].precision, "int8");
    assert_int_equal(e[1].vectors, 10);
    assert_int_equal(e[1].dim, 3);
    assert_true(!e[1].in_use && !e[1].reachable && e[1].last_used < e[0].last_used - 900);
    assert_string_equal(e[2].kind, "labels");
    assert_int_equal(cache->bytes, e[0].bytes + e[1].bytes + e[2].bytes);
    akin_cache_free(cache);
    ak_store_close(open);
}

static void test_verify(void **state)
{
    (void)state;
    akin_cache *cache;
    ak_store_close(write_store(0, 20));
    ak_store_close(write_store(1, 20));
    assert_ok(akin_cache_verify(&cache, context, told));
    assert_int_equal(cache->count, 2);
    assert_int_equal(cache->entries[0].broken + cache->entries[1].broken, 0);
    char path[600];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s/000000.safetensors", test_folder, cache->entries[1].path);
    akin_cache_free(cache);
    assert_int_equal(stat(path, &info), 0);
    FILE *file = fopen(path, "r+b"); /* one bit of a vector */
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    fputc(byte ^ 1, file);
    fclose(file);
    for (int round = 0; round < 2; round++) {
        assert_ok(akin_cache_verify(&cache, context, told));
        assert_int_equal(cache->entries[0].broken, 0);
        assert_int_equal(cache->entries[1].broken, 1);
        assert_non_null(strstr(cache->entries[1].problem, round ? "" : "its checksum is wrong"));
        akin_cache_free(cache);
        assert_int_equal(truncate(path, info.st_size - 2), 0); /* and cut short */
    }
    assert_int_equal(stat(path, &info), 0); /* only told */
}

static int64_t collect_garbage(akin_cache_gc_options options, const char *removed)
{
    akin_cache *cache;
    assert_ok(akin_cache_gc(&cache, context, &options, told));
    int64_t count = cache->count;
    if (removed)
        assert_string_equal(cache->entries[0].precision, removed);
    akin_cache_free(cache);
    return count;
}

static void test_gc(void **state)
{
    (void)state;
    akin_error error;
    akin_cache *cache;
    akin_cache_gc_options o = akin_cache_gc_defaults();
    assert_int_equal(akin_cache_gc(&cache, context, &o, &error), AKIN_ERR_ARGUMENT);
    assert_null(cache);

    write_old(0, 10, 5000);
    write_old(1, 10, 1000);
    o.older_than = 3000;
    o.dry_run = true;
    assert_int_equal(collect_garbage(o, "f32"), 1);
    o.dry_run = false;
    assert_int_equal(collect_garbage(o, "f32"), 1);
    assert_int_equal(collect_garbage(o, NULL), 0);
    assert_int_equal(rmdir(test_path("features/01000000000000000100000000000000")), -1);

    write_old(0, 10, 5000); /* the least recently used goes first */
    o = akin_cache_gc_defaults();
    assert_ok(akin_cache_list(&cache, context, told));
    o.max_bytes = cache->bytes - 1;
    akin_cache_free(cache);
    assert_int_equal(collect_garbage(o, "f32"), 1);

    o = akin_cache_gc_defaults();
    o.unreachable = true;
    ak_store_close(write_store(0, 10));
    assert_int_equal(collect_garbage(o, "int8"), 1);
    assert_int_equal(collect_garbage(o, NULL), 0);
}

/* What a run has open stays, and what it goes on writing is kept. */
static void test_gc_beside_a_run(void **state)
{
    (void)state;
    akin_cache_gc_options all = akin_cache_gc_defaults();
    all.max_bytes = 0;
    ak_store *store = write_store(0, 10);
    ak_store_close(write_store(1, 10));
    assert_int_equal(collect_garbage(all, "int8"), 1);
    float vector[3] = {4, 5, 6};
    ak_hash key = {7, 8};
    assert_ok(ak_store_begin(store, told));
    assert_ok(ak_store_put(store, &key, vector, 1, told));
    assert_ok(ak_store_end(store, told));
    ak_store_close(store);
    store = write_store(0, 0);
    assert_int_equal(ak_store_count(store), 11);
    ak_store_close(store);
    assert_int_equal(collect_garbage(all, "f32"), 1);
    store = write_store(0, 3); /* a folder that was removed is made again */
    ak_store_close(store);
    assert_int_equal(collect_garbage(all, "f32"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precisions),
        cmocka_unit_test(test_int8_extremes),
        TEST(test_keys_of_each_encoder),
        TEST(test_key_of_a_caller),
        TEST(test_no_labels_for_a_callers_key),
        TEST(test_key_field),
        TEST(test_switched_off),
        TEST(test_precision_of_a_store),
        TEST(test_epochs_read_no_file),
        TEST(test_list),
        TEST(test_verify),
        TEST(test_gc),
        TEST(test_gc_beside_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
