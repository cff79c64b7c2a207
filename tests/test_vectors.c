/* The vectors encoder: files of vectors in every format, names and row numbers, vectors that
   objects are themselves, what a saved model needs, and every mistake. */
#include "data_files.h"

#include "base/npy.h"
#include "model/model.h"
#include "model/vector_file.h"

#include <math.h>

static akin_context *context;

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    return akin_context_set_cache(context, NULL, NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return remove_test_folder(state);
}

/* ---- .npy ---- */

static size_t npy(char *out, int version, const char *header, const void *data, size_t size)
{
    size_t length = strlen(header), start = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY\x01\x00\x00\x00\x00\x00", 12);
    out[6] = (char)version;
    out[8] = (char)(length & 0xff);
    out[9] = (char)(length >> 8);
    memcpy(out + start, header, length);
    memcpy(out + start + length, data, size);
    return start + length + size;
}

static const float rows_of_two[] = {1, 2, 3, 4, 5, 6};

#define HEADER(type, order, shape)                                                                 \
    "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }  \n"

static const struct {
    const char *header;
    int version;
    size_t bytes; /* of rows_of_two */
    akin_status status;
    const char *told; /* AKIN_OK: the shape */
} arrays[] = {
    {HEADER("<f4", "False", "(3, 2)"), 1, 24, AKIN_OK, "3 2"},
    {HEADER("<f4", "False", "(3, 2)"), 2, 24, AKIN_OK, "3 2"},
    {HEADER("<f4", "False", "(3,2)"), 3, 24, AKIN_OK, "3 2"},
    {"{'shape': (6,), 'fortran_order': False, 'descr': '<f4'}", 1, 24, AKIN_OK, "6"},
    {HEADER("<f4", "False", "()"), 1, 4, AKIN_OK, ""},
    {HEADER("<f8", "False", "(3,)"), 1, 24, AKIN_OK, "3"},
    {HEADER("<f2", "False", "(4, 3)"), 1, 24, AKIN_OK, "4 3"},
    {HEADER("<f4", "True", "(3, 2)"), 1, 24, AKIN_ERR_UNSUPPORTED, "column after column"},
    {HEADER(">f4", "False", "(3, 2)"), 1, 24, AKIN_ERR_UNSUPPORTED, "\">f4\", expected \"<f4\""},
    {HEADER("<i8", "False", "(3,)"), 1, 24, AKIN_ERR_UNSUPPORTED, "\"<i8\""},
    {HEADER("<f4", "False", "(3, 2)"), 1, 20, AKIN_ERR_FORMAT, "cut short"},
    {HEADER("<f4", "False", "(2, 2)"), 1, 24, AKIN_ERR_FORMAT, "announces 4 numbers, but 24 bytes"},
    {HEADER("<f4", "False", "(4611686018427387904, 4)"), 1, 24, AKIN_ERR_FORMAT, "announces"},
    {HEADER("<f4", "False", "(99999999999999999999,)"), 1, 24, AKIN_ERR_FORMAT, "rows that can be"},
    {HEADER("<f4", "False", "(3 2)"), 1, 24, AKIN_ERR_FORMAT, "a comma or the end of the shape"},
    {HEADER("<f4", "False", "(1,1,1,1,1,1,1,1,1)"), 1, 24, AKIN_ERR_FORMAT, "the end of the shape"},
    {HEADER("<f4", "Maybe", "(3, 2)"), 1, 24, AKIN_ERR_FORMAT, "True or False"},
    {"{'descr': '<f4', 'shape': (6,), }", 1, 24, AKIN_ERR_FORMAT, "descr, fortran_order and shape"},
    {"{'dtype': '<f4', }", 1, 24, AKIN_ERR_FORMAT, "descr, fortran_order or shape"},
    {"{'descr': [('a', '<f4')], }", 1, 24, AKIN_ERR_FORMAT, "a text in single quotes"},
    {"{'descr", 1, 0, AKIN_ERR_FORMAT, "the name of a member"},
    {"", 1, 24, AKIN_ERR_FORMAT, "a dictionary"},
    {HEADER("<f4", "False", "(3, 2)"), 4, 24, AKIN_ERR_FORMAT, "version 1, 2 or 3"},
};

static void test_npy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        char file[512], shape[64] = "";
        akin_error error = {0};
        ak_tensor tensor;
        size_t size = npy(file, arrays[i].version, arrays[i].header, rows_of_two, arrays[i].bytes);
        akin_status status = ak_npy_parse(&tensor, file, size, "x.npy", &error);
        for (int k = 0; k < tensor.rank && !status; k++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), k ? " %d" : "%d",
                     (int)tensor.shape[k]);
        const char *said = status ? strstr(error.message, arrays[i].told) : shape;
        if (status != arrays[i].status || !said || (!status && strcmp(shape, arrays[i].told)))
            fail_msg("row %d: %s, %s, shape %s", (int)i, akin_status_name(status), error.message,
                     shape);
        if (!status)
            assert_memory_equal(tensor.data, rows_of_two, arrays[i].bytes);
    }
    char file[512];
    size_t size = npy(file, 1, HEADER("<f4", "False", "(3, 2)"), rows_of_two, 24);
    for (size_t cut = 0; cut < size; cut++) {
        ak_tensor tensor;
        assert_int_equal(ak_npy_parse(&tensor, file, cut, "x.npy", NULL), AKIN_ERR_FORMAT);
    }
}

/* ---- lists ---- */

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int count; /* -1: refused */
    } lists[] = {{"[1]", 1},
                 {" [ 1 , -2.5e0,\t3 ] ", 3},
                 {"[]", -1},
                 {"[1,]", -1},
                 {"[1 2]", -1},
                 {"[1", -1},
                 {"1", -1},
                 {"", -1},
                 {"[1] 2", -1},
                 {"[\"1\"]", -1},
                 {"[nan]", -1},
                 {"[1e99]", -1},
                 {"[0x10]", -1},
                 {"[null]", -1},
                 {"[1e400]", -1},
                 {"[[1]]", -1},
                 {"[0.1,0.2,0.3,0.4]", 4}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        float numbers[3] = {0};
        int64_t count;
        bool is = ak_number_list(lists[i].text, strlen(lists[i].text), numbers, 3, &count);
        if (is != (lists[i].count > 0) || (is && count != lists[i].count))
            fail_msg("%s: %d, %d", lists[i].text, is, (int)count);
    }
}

/* ---- files: three formats, one content ---- */

static void write_npy(const char *name)
{
    char file[512];
    size_t size = npy(file, 1, HEADER("<f4", "False", "(3, 2)"), rows_of_two, 24);
    write_bytes(name, file, size);
}

static void write_tensors(const char *name, const char *first, const char *second)
{
    static const float other[] = {7, 8};
    ak_tensor tensors[] = {
        {.name = first, .dtype = AK_DTYPE_F32, .rank = 2, .shape = {3, 2}, .data = rows_of_two},
        {.name = second, .dtype = AK_DTYPE_F32, .rank = 2, .shape = {1, 2}, .data = other}};
    assert_ok(ak_safetensors_write(test_path(name), tensors, second ? 2 : 1, NULL, told));
}

static void write_files(void)
{
    write_npy("v.npy");
    write_tensors("v.safetensors", "vectors", "other");
    write_tensors("one.safetensors", "anything", NULL);
    write_text("lists.jsonl", "[1, 2]\n\n[3, 4]\n[5.0, 6e0]\n");
    write_text("records.jsonl", "{\"id\": \"x\", \"vector\": [1, 2]}\n"
                                "{\"id\": 17, \"vector\": [3, 4]}\n"
                                "{\"id\": \"z y\", \"vector\": [5, 6], \"more\": 1}\n");
    write_text("plain.jsonl", "{\"v\": [1, 2]}\n{\"v\": [3, 4]}\n{\"v\": [5, 6]}\n");
    write_text("names.txt", "x\n17\nz y\n");
    write_text("names.jsonl", "{\"key\": \"x\"}\n{\"key\": 17}\n{\"key\": \"z y\"}\n");
}

static akin_status make(akin_encoder **out, const char *options, akin_error *error)
{
    char full[1024]; /* every % is the folder */
    size_t used = 0;
    for (const char *c = options; *c; c++)
        used += (size_t)(*c == '%' ? snprintf(full + used, sizeof full - used, "%s", test_folder)
                                   : snprintf(full + used, sizeof full - used, "%c", *c));
    return akin_encoder_create(out, context, "vectors", full, error);
}

static akin_model *model_of(const char *options)
{
    akin_named_encoder named = {.name = "v"};
    akin_model *model;
    assert_ok(make(&named.encoder, options, told));
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    return model;
}

static void assert_gives(const akin_model *model, const char *object, float first, float second)
{
    float out[2];
    akin_object one = akin_text(object);
    assert_ok(akin_model_encode(model, &one, 1, out, told));
    if (out[0] != first || out[1] != second)
        fail_msg("%s: %f %f", object, (double)out[0], (double)out[1]);
}

static void test_formats(void **state)
{
    (void)state;
    write_files();
    static const struct {
        const char *options, *object; /* the object that is (3, 4) */
    } ways[] = {
        {"{path: %/v.npy}", "1"},
        {"{path: %/v.safetensors}", "1"},
        {"{path: %/one.safetensors}", "1"},
        {"{path: %/v.safetensors, tensor: vectors, dim: 2}", "1"},
        {"{path: %/lists.jsonl}", "1"},
        {"{path: %/records.jsonl}", "17"},
        {"{path: %/plain.jsonl, vector: v}", "1"},
        {"{path: %/v.npy, ids: %/names.txt}", "17"},
        {"{path: %/lists.jsonl, ids: %/names.jsonl, id: key}", "17"},
        {"{path: %/v.npy, field: row}", "{\"row\": 1}"},
        {"{path: %/v.npy, field: row}", "{\"row\": \"1\"}"},
        {"{path: %/v.npy, ids: %/names.txt, field: row}", "{\"row\": 17}"},
        {"{path: %/v.npy, field: row}", "{\"row\": [3, 4]}"},
        {"{path: %/v.npy}", "[3, 4]"},
        {"{dim: 2}", " [3,4]"},
        {"{dim: 2, field: v}", "{\"v\": [3, 4.0], \"w\": 1}"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        akin_model *model = model_of(ways[i].options);
        assert_int_equal(akin_model_dim(model), 2);
        assert_gives(model, ways[i].object, 3, 4);
        akin_model_free(model);
    }
    akin_model *model = model_of("{path: %/records.jsonl}");
    assert_gives(model, "z y", 5, 6);
    akin_model_free(model);
}

/* Two names of equal vectors are one content; the file's content is the space. */
static void test_keys_and_fingerprints(void **state)
{
    (void)state;
    write_text("twice.jsonl", "[1, 2]\n[3, 4]\n[1, 2]\n");
    akin_model *model = model_of("{path: %/twice.jsonl}");
    ak_hash a, b, c, d, space, other;
    assert_ok(ak_model_keys(model, AK_QUERY_TOWER, akin_text("0"), &a, told));
    assert_ok(ak_model_keys(model, AK_QUERY_TOWER, akin_text("2"), &b, told));
    assert_ok(ak_model_keys(model, AK_QUERY_TOWER, akin_text("[1,2]"), &c, told));
    assert_ok(ak_model_keys(model, AK_QUERY_TOWER, akin_text("1"), &d, told));
    assert_true(ak_hash_equal(a, b) && ak_hash_equal(a, c) && !ak_hash_equal(a, d));
    assert_ok(akin_model_fingerprint(model, &space, told));
    akin_model_free(model);
    write_text("twice.jsonl", "[1, 2]\n[3, 5]\n[1, 2]\n");
    model = model_of("{path: %/twice.jsonl}");
    assert_ok(akin_model_fingerprint(model, &other, told));
    assert_false(ak_hash_equal(space, other));
    akin_model_free(model);
}

/* ---- mistakes ---- */

static const struct {
    const char *options, *object; /* NULL: creating fails */
    akin_status status;
    const char *told;
} mistakes[] = {
    {"{}", NULL, AKIN_ERR_ARGUMENT, "needs \"path\", a file of vectors, or \"dim\""},
    {"{path: %/none.npy}", NULL, AKIN_ERR_IO, "none.npy"},
    {"{path: %/v.csv}", NULL, AKIN_ERR_ARGUMENT, ".npy, .safetensors or .jsonl"},
    {"{path: %/v.npy, dim: 3}", NULL, AKIN_ERR_MISMATCH, "have 2 numbers, \"dim\" says 3"},
    {"{path: %/flat.npy}", NULL, AKIN_ERR_FORMAT, "an array of 1 dimensions"},
    {"{path: %/v.safetensors, tensor: x}", NULL, AKIN_ERR_FORMAT, "no tensor \"x\""},
    {"{path: %/two.safetensors}", NULL, AKIN_ERR_FORMAT, "\"tensor\" names the one"},
    {"{path: %/whole.safetensors}", NULL, AKIN_ERR_FORMAT, "is I64, expected floats"},
    {"{path: %/ragged.jsonl}", NULL, AKIN_ERR_FORMAT, "ragged.jsonl:2: a list of 3 numbers"},
    {"{path: %/nan.jsonl}", NULL, AKIN_ERR_FORMAT, "nan.jsonl:2: expected a list of finite"},
    {"{path: %/plain.jsonl}", NULL, AKIN_ERR_FORMAT, "no member \"vector\""},
    {"{path: %/v.npy, ids: %/few.txt}", NULL, AKIN_ERR_MISMATCH, "2 names for the 3 vectors"},
    {"{path: %/v.npy, ids: %/same.txt}", NULL, AKIN_ERR_FORMAT,
     "vectors 0 and 2 (from 0) have the same name"},
    {"{path: %/v.npy, pathh: 1}", NULL, AKIN_ERR_ARGUMENT, "did you mean \"path\""},
    {"{path: %/v.npy}", "3", AKIN_ERR_FORMAT, "\"3\" is no row of"},
    {"{path: %/v.npy}", "-1", AKIN_ERR_FORMAT, "counted from 0"},
    {"{path: %/v.npy}", "", AKIN_ERR_FORMAT, "\"\" is no row"},
    {"{path: %/v.npy}", "1.5", AKIN_ERR_FORMAT, "is no row"},
    {"{path: %/v.npy}", "{\"row\": 1}", AKIN_ERR_FORMAT, "\"field\" says which member"},
    {"{path: %/v.npy, field: row}", "{\"raw\": 1}", AKIN_ERR_FORMAT, "\"row\" is missing"},
    {"{path: %/v.npy, field: row}", "{\"row\": 1.5}", AKIN_ERR_FORMAT, "\"row\" is a number"},
    {"{path: %/v.npy, field: row}", "1", AKIN_ERR_FORMAT, "record"},
    {"{path: %/v.npy, ids: %/names.txt}", "0", AKIN_ERR_FORMAT, "no vector named \"0\""},
    {"{path: %/v.npy}", "[1, 2, 3]", AKIN_ERR_MISMATCH, "of 3 numbers, expected 2"},
    {"{path: %/v.npy}", "[1, x]", AKIN_ERR_FORMAT, "not a list of finite numbers"},
    {"{path: %/inf.npy}", "0", AKIN_ERR_FORMAT, "row 0: number 1 is not finite"},
    {"{dim: 2}", "1", AKIN_ERR_FORMAT, "the encoder has no file"},
};

static void write_bad_files(void)
{
    static const float bad[] = {1, INFINITY};
    static const int64_t whole[] = {1, 2};
    char file[512];
    ak_tensor tensor = {
        .name = "w", .dtype = AK_DTYPE_I64, .rank = 2, .shape = {1, 2}, .data = whole};
    write_files();
    write_bytes("flat.npy", file, npy(file, 1, HEADER("<f4", "False", "(6,)"), rows_of_two, 24));
    write_bytes("inf.npy", file, npy(file, 1, HEADER("<f4", "False", "(1, 2)"), bad, sizeof bad));
    write_tensors("two.safetensors", "a", "b");
    assert_ok(ak_safetensors_write(test_path("whole.safetensors"), &tensor, 1, NULL, told));
    write_text("v.csv", "a,b\n1,2\n");
    write_text("ragged.jsonl", "[1, 2]\n[1, 2, 3]\n");
    write_text("nan.jsonl", "[1, 2]\n[1, NaN]\n");
    write_text("few.txt", "x\ny\n");
    write_text("same.txt", "x\ny\nx\n");
}

static void test_mistakes(void **state)
{
    (void)state;
    write_bad_files();
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        akin_error error = {0};
        akin_encoder *encoder;
        float out[2];
        akin_status status = make(&encoder, mistakes[i].options, &error);
        if (!status && mistakes[i].object) {
            akin_named_encoder named = {"v", encoder};
            akin_object object = akin_text(mistakes[i].object);
            akin_model *model;
            assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
            status = akin_model_encode(model, &object, 1, out, &error);
            akin_model_free(model);
        }
        if (status != mistakes[i].status || !strstr(error.message, mistakes[i].told))
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
}

/* ---- saved models ---- */

static akin_model *save_and_load(akin_model *model)
{
    const char *path = test_path("model");
    assert_ok(akin_model_save(model, path, true, told));
    akin_model_free(model);
    assert_ok(akin_model_load(&model, context, path, AKIN_AS_SAVED, told));
    return model;
}

static void assert_cannot(const akin_model *model, const char *object, const char *says)
{
    float out[2];
    akin_error error = {0};
    akin_object one = akin_text(object);
    assert_int_not_equal(akin_model_encode(model, &one, 1, out, &error), AKIN_OK);
    if (!strstr(error.message, says))
        fail_msg("%s: %s", object, error.message);
}

static void test_saved(void **state)
{
    (void)state;
    write_files();
    ak_hash before, after;
    akin_model *model = model_of("{path: %/v.npy, ids: %/names.txt}");
    assert_ok(akin_model_fingerprint(model, &before, told));
    model = save_and_load(model);
    assert_gives(model, "17", 3, 4);
    assert_ok(akin_model_fingerprint(model, &after, told));
    assert_true(ak_hash_equal(before, after));

    write_text("names.txt", "17\nx\nz y\n"); /* changed: names mean other vectors now */
    model = save_and_load(model);
    assert_cannot(model, "17", "not what it was when the model was made");
    assert_gives(model, "[3, 4]", 3, 4);

    unlink(test_path("v.npy"));
    model = save_and_load(model);
    assert_cannot(model, "17", "cannot be read");
    assert_gives(model, "[3, 4]", 3, 4);
    assert_ok(akin_model_fingerprint(model, &after, told));
    assert_true(ak_hash_equal(before, after));
    akin_model_free(model);

    model = save_and_load(model_of("{dim: 2, field: v}"));
    assert_gives(model, "{\"v\": [3, 4]}", 3, 4);
    akin_model_free(model);
}

static void test_broken_description(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "{\"dim\": 0}", "[", "{\"dim\": 2, \"path\": \"x\"}",
                                        "{\"dim\": 2, \"path\": \"x\", \"hash\": \"zz\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        akin_model *model = model_of("{dim: 2}");
        akin_error error = {0};
        assert_ok(akin_model_save(model, test_path("model"), true, told));
        akin_model_free(model);
        write_text("model/encoders/v/vectors.json", texts[i]);
        assert_int_equal(
            akin_model_load(&model, context, test_path("model"), AKIN_AS_SAVED, &error),
            AKIN_ERR_FORMAT);
        assert_non_null(strstr(error.message, "vectors.json"));
    }
}

/* ---- memory ---- */

static akin_status attempt(akin_error *error)
{
    akin_encoder *encoder = NULL;
    void *batch;
    akin_arena *arena = NULL;
    akin_hash key;
    akin_object object = akin_text("{\"row\": \"17\"}");
    akin_status status = make(&encoder, "{path: %/records.jsonl, field: row}", error);
    if (!status)
        status = ak_encoder_key(encoder, object, &key, error);
    if (!status)
        status = ak_arena_create(&arena, error);
    if (!status)
        status = encoder->type->collate(encoder->self, &object, 1, arena, &batch, error);
    ak_arena_free(arena);
    akin_encoder_free(encoder);
    return status;
}

static void test_memory(void **state)
{
    (void)state;
    write_files();
    akin_status status = AKIN_ERR_MEMORY;
    for (int64_t n = 1; status == AKIN_ERR_MEMORY && n < 1000; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        status = attempt(&error);
        ak_memory_fail_at(0);
        if (status && (status != AKIN_ERR_MEMORY || error.status != status))
            fail_msg("allocation %d: %s: %s", (int)n, akin_status_name(status), error.message);
    }
    assert_int_equal(status, AKIN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_npy),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_keys_and_fingerprints),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_broken_description),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
