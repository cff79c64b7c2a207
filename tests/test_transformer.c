/* MiniLM-L6-v2: the reference token ids and vectors of 16 texts (data/minilm_golden.json), among
   them the empty one, one longer than the model reads and several in other scripts; and the same
   bits however they are run. */
#include "data_files.h"

#include "model/model.h"
#include "text/tokenizer.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>

enum { DIM = 384, MAX_TEXTS = 32, COPIES = 5 };
enum { SKIPPED = 77 }; /* what meson takes for a skipped test */

static akin_context *context;
static akin_model *model;
static akin_arena *arena;
static char *folder;
static const ak_value *golden[MAX_TEXTS];
static akin_object objects[MAX_TEXTS];
static int count;
static float vectors[MAX_TEXTS * DIM];

static void read_golden(void)
{
    char path[512];
    ak_value *list;
    snprintf(path, sizeof path, "%s/minilm_golden.json", getenv("AKIN_TEST_DATA"));
    assert_ok(ak_json_read(&list, arena, path, told));
    for (const ak_value *one = list->first; one; one = one->next) {
        const ak_value *text = ak_value_get(one, "text");
        assert_true(count < MAX_TEXTS);
        objects[count] = (akin_object){text->string, text->size};
        golden[count++] = one;
    }
    assert_int_equal(count, 16);
}

static int set_up(void **state)
{
    (void)state;
    assert_ok(ak_arena_create(&arena, told));
    assert_ok(akin_context_create(&context, told));
    assert_ok(akin_context_set_cache(context, NULL, told));
    read_golden();
    assert_ok(akin_model_load(&model, context, folder, AKIN_F32, told));
    assert_int_equal(akin_model_dim(model), DIM);
    assert_ok(akin_model_encode(model, objects, count, vectors, told));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    akin_model_free(model);
    akin_context_free(context);
    ak_arena_free(arena);
    ak_free(folder);
    return 0;
}

static void test_ids(void **state)
{
    (void)state;
    ak_tokenizer *tokenizer;
    assert_ok(ak_tokenizer_load(&tokenizer, folder, told));
    for (int i = 0; i < count; i++) {
        const ak_value *list = ak_value_get(golden[i], "ids"), *id = list->first;
        int32_t *ids, length;
        bool cut;
        assert_ok(ak_tokenizer_encode(tokenizer, objects[i].data, objects[i].size, 256, arena, &ids,
                                      &length, &cut, told));
        assert_int_equal(length, list->count);
        for (int j = 0; j < length; j++, id = id->next)
            assert_int_equal(ids[j], id->integer);
    }
    ak_tokenizer_free(tokenizer);
}

static void test_vectors(void **state)
{
    (void)state;
    for (int i = 0; i < count; i++) {
        const ak_value *list = ak_value_get(golden[i], "embedding"), *number = list->first;
        double dot = 0, length = 0;
        assert_int_equal(list->count, DIM);
        for (int j = 0; j < DIM; j++, number = number->next) {
            double value = (double)vectors[i * DIM + j];
            if (fabs(value - number->number) > 1e-4)
                fail_msg("text %d, number %d: %g, expected %g", i, j, value, number->number);
            dot += value * number->number;
            length += number->number * number->number;
        }
        assert_true(dot / sqrt(length) > 0.99999);
    }
}

static void test_bits_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    static akin_object many[MAX_TEXTS * COPIES];
    static float out[MAX_TEXTS * COPIES * DIM];
    for (int threads = 1; threads <= 2; threads++) {
        omp_set_num_threads(threads);
        for (int i = 0; i < count; i++) {
            assert_ok(akin_model_encode(model, &objects[i], 1, out, told));
            assert_memory_equal(out, vectors + i * DIM, DIM * sizeof *out);
        }
        for (int i = 0; i < count * COPIES; i++)
            many[i] = objects[i * 7 % count];
        assert_ok(akin_model_encode(model, many, count * COPIES, out, told));
        for (int i = 0; i < count * COPIES; i++)
            assert_memory_equal(out + i * DIM, vectors + i * 7 % count * DIM, DIM * sizeof *out);
    }
}

static void *encode_all(void *user)
{
    float *out = user;
    return akin_model_encode(model, objects, count, out, NULL) ? NULL : out;
}

static void test_threads_share_a_model(void **state)
{
    (void)state;
    static float out[4][MAX_TEXTS * DIM];
    pthread_t threads[4];
    omp_set_num_threads(1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_all, out[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *done;
        pthread_join(threads[i], &done);
        assert_non_null(done);
        assert_memory_equal(out[i], vectors, (size_t)(count * DIM) * sizeof(float));
    }
}

static void test_the_long_text_is_told(void **state)
{
    (void)state;
    char notes[256];
    akin_model_notes(model, notes, sizeof notes);
    assert_non_null(strstr(notes, "longer than 256 tokens and cut there"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_bits_do_not_depend_on_the_batch),
        cmocka_unit_test(test_threads_share_a_model),
        cmocka_unit_test(test_the_long_text_is_told),
    };
    char *cache = ak_cache_folder();
    folder = cache ? ak_path_join(cache, "minilm") : NULL;
    ak_free(cache);
    if (!folder || ak_path_what(folder) != AK_PATH_FOLDER) {
        puts("MiniLM is not in the cache folder; ./bootstrap fetches it");
        ak_free(folder);
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
