/* safetensors: what is written is read back; every damage is an error that names what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/safetensors.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/akin-safetensors-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    ak_remove_tree(folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Header length, header text, `data` bytes of 1, 2, 3, ... */
static size_t build(char *out, const char *header, size_t data)
{
    uint64_t length = strlen(header);
    memcpy(out, &length, 8);
    memcpy(out + 8, header, length);
    for (size_t i = 0; i < data; i++)
        out[8 + length + i] = (char)(i + 1);
    return 8 + length + data;
}

/* ---- round trip ---- */

static const float weights[6] = {1, -2, 3.5f, 0, 1e-30f, 6};
static const int64_t numbers[2] = {-1, INT64_MAX};
static const ak_tensor declared[] = {
    {.name = "numbers", .dtype = AK_DTYPE_I64, .rank = 1, .shape = {2}, .data = numbers},
    {.name = "layer.weight", .dtype = AK_DTYPE_F32, .rank = 2, .shape = {2, 3}, .data = weights},
    {.name = "none", .dtype = AK_DTYPE_U8, .rank = 2, .shape = {0, 7}, .data = ""},
    {.name = "t\"ext\xc3\xa9", .dtype = AK_DTYPE_U8, .rank = 1, .shape = {5}, .data = "hello"},
};
static const char *const metadata[] = {"format", "pt", "path", "a \"b\"\n", NULL};

static void check_round_trip(const ak_safetensors *file)
{
    assert_int_equal(ak_safetensors_count(file), 4);
    assert_string_equal(ak_safetensors_metadata(file, "format"), "pt");
    assert_string_equal(ak_safetensors_metadata(file, "path"), "a \"b\"\n");
    assert_null(ak_safetensors_metadata(file, "pat"));
    assert_int_equal(ak_safetensors_metadata_map(file)->count, 2);
    const void *data;
    const ak_tensor *tensor;
    assert_int_equal(ak_safetensors_view(&data, &tensor, file, "numbers", AK_DTYPE_I64, 1,
                                         (int64_t[]){-1}, NULL),
                     AKIN_OK);
    assert_int_equal((uintptr_t)data % 64, 0);
    assert_memory_equal(data, numbers, sizeof numbers);
    assert_ptr_equal(ak_safetensors_at(file, 0), tensor);
    assert_int_equal(ak_safetensors_view(&data, NULL, file, "layer.weight", AK_DTYPE_F32, 2,
                                         (int64_t[]){2, 3}, NULL),
                     AKIN_OK);
    assert_memory_equal(data, weights, sizeof weights);
    tensor = ak_safetensors_find(file, "t\"ext\xc3\xa9");
    assert_non_null(tensor);
    assert_int_equal(tensor->size, 5);
    assert_memory_equal(tensor->data, "hello", 5);
    assert_int_equal(ak_safetensors_find(file, "none")->count, 0);
    assert_null(ak_safetensors_find(file, "nope"));
}

static void test_round_trip(void **state)
{
    (void)state;
    akin_error error;
    const char *path = in_folder("round.safetensors");
    if (ak_safetensors_write(path, declared, 4, metadata, &error))
        fail_msg("%s", error.message);
    ak_safetensors *file;
    if (ak_safetensors_open(&file, path, &error))
        fail_msg("%s", error.message);
    check_round_trip(file);
    assert_string_equal(ak_safetensors_path(file), path);
    ak_safetensors_free(file);
    ak_safetensors_free(NULL);
}

static void test_pieces(void **state)
{
    (void)state;
    const char *path = in_folder("pieces.safetensors");
    ak_safetensors_writer *writer;
    assert_int_equal(ak_safetensors_create(&writer, path, declared, 4, metadata, NULL), AKIN_OK);
    char bytes[16 + 24 + 5];
    memcpy(bytes, numbers, 16);
    memcpy(bytes + 16, weights, 24);
    memcpy(bytes + 40, "hello", 5);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(ak_safetensors_put(writer, bytes + i, 1, NULL), AKIN_OK);
    assert_int_equal(ak_path_what(path), AK_PATH_NONE);
    assert_int_equal(ak_safetensors_put(writer, bytes, 1, NULL), AKIN_ERR_ARGUMENT);
    assert_int_equal(ak_safetensors_commit(writer, NULL), AKIN_OK);
    ak_safetensors *file;
    assert_int_equal(ak_safetensors_open(&file, path, NULL), AKIN_OK);
    check_round_trip(file);
    ak_safetensors_free(file);
}

static void test_incomplete_is_not_written(void **state)
{
    (void)state;
    const char *path = in_folder("short.safetensors");
    akin_error error;
    ak_safetensors_writer *writer;
    assert_int_equal(ak_safetensors_create(&writer, path, declared, 4, NULL, NULL), AKIN_OK);
    assert_int_equal(ak_safetensors_put(writer, numbers, 16, NULL), AKIN_OK);
    assert_int_equal(ak_safetensors_commit(writer, &error), AKIN_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "16 bytes written, the declared tensors have 45"));
    assert_int_equal(ak_safetensors_create(&writer, path, declared, 4, NULL, NULL), AKIN_OK);
    ak_safetensors_abort(writer);
    assert_int_equal(ak_path_what(path), AK_PATH_NONE);
    ak_tensor huge = {
        .name = "huge", .dtype = AK_DTYPE_F32, .rank = 2, .shape = {1LL << 40, 1 << 30}};
    assert_int_equal(ak_safetensors_create(&writer, path, &huge, 1, NULL, NULL), AKIN_ERR_ARGUMENT);
    assert_null(writer);
}

static void test_empty(void **state)
{
    (void)state;
    const char *path = in_folder("empty.safetensors");
    assert_int_equal(ak_safetensors_write(path, NULL, 0, NULL, NULL), AKIN_OK);
    ak_safetensors *file;
    assert_int_equal(ak_safetensors_open(&file, path, NULL), AKIN_OK);
    assert_int_equal(ak_safetensors_count(file), 0);
    assert_null(ak_safetensors_find(file, "x"));
    assert_null(ak_safetensors_metadata(file, "x"));
    assert_null(ak_safetensors_metadata_map(file));
    ak_safetensors_free(file);
}

/* Header order is free; only the offsets must tile the data. A scalar has an empty shape. */
static void test_order_of_header(void **state)
{
    (void)state;
    char bytes[512];
    size_t size = build(bytes,
                        "{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]},"
                        "\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}   ",
                        7);
    ak_safetensors *file;
    akin_error error;
    if (ak_safetensors_parse(&file, bytes, size, "mem", &error))
        fail_msg("%s", error.message);
    assert_string_equal(ak_safetensors_at(file, 0)->name, "a");
    assert_int_equal(ak_safetensors_at(file, 0)->count, 1);
    assert_string_equal(ak_safetensors_at(file, 1)->name, "b");
    ak_safetensors_free(file);
}

/* ---- damage ---- */

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static const struct {
    const char *header;
    size_t data;
    const char *message;
} damages[] = {
    {"{\"a\":" T("F32", "2", "0,8") "}", 4, "\"a\": data_offsets [0, 8] must lie in the 4 bytes"},
    {"{\"a\":" T("F32", "2", "-8,0") "}", 8, "must lie in"},
    {"{\"a\":" T("F32", "2", "8,0") "}", 8, "must lie in"},
    {"{\"a\":" T("F32", "3", "0,8") "}", 8, "need 12 bytes, data_offsets hold 8"},
    {"{\"a\":" T("F32", "1", "0,4") "}", 5, "1 bytes after the last tensor"},
    {"{\"a\":" T("U8", "2", "0,2") ",\"b\":" T("U8", "2", "1,3") "}", 3, "overlap"},
    {"{\"a\":" T("U8", "2", "0,2") ",\"b\":" T("U8", "2", "0,2") "}", 2, "overlap"},
    {"{\"a\":" T("U8", "2", "0,2") ",\"b\":" T("U8", "2", "3,5") "}", 5, "hole"},
    {"{\"a\":" T("U8", "2", "1,3") "}", 3, "hole"},
    {"{\"a\":" T("U8", "4", "0,4") ",\"b\":" T("U8", "0", "2,2") "}", 4, "overlap"},
    {"{\"a\":" T("F32", "9223372036854775807,2", "0,8") "}", 8, "overflows 63 bits"},
    {"{\"a\":" T("F32", "9223372036854775807", "0,8") "}", 8, "overflows 64 bits of bytes"},
    {"{\"a\":" T("F32", "4611686018427387904", "0,0") "}", 0, "overflows 64 bits of bytes"},
    {"{\"a\":" T("F32", "9223372036854775808", "0,0") "}", 0, "whole numbers"},
    {"{\"a\":" T("F32", "4294967296,4294967296", "0,0") "}", 0, "overflows 63 bits"},
    {"{\"a\":" T("F32", "-1", "0,4") "}", 4, "whole numbers"},
    {"{\"a\":" T("F32", "1.5", "0,4") "}", 4, "whole numbers"},
    {"{\"a\":" T("F32", "1,1,1,1,1,1,1,1,1", "0,4") "}", 4, "more than 8 dimensions"},
    {"{\"a\":" T("F32", "1", "0") "}", 4, "two whole numbers"},
    {"{\"a\":" T("F32", "1", "0,4,8") "}", 4, "two whole numbers"},
    {"{\"a\":" T("F32", "1", "0,4.5") "}", 4, "two whole numbers"},
    {"{\"a\":" T("F31", "1", "0,4") "}", 4, "dtype \"F31\" is not one of"},
    {"{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "\"shape\" must be a list"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "\"data_offsets\" must be"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype"},
    {"{\"a\":[]}", 0, "must be {"},
    {"{\"a\":" T("U8", "1", "0,1") ",\"a\":" T("U8", "1", "1,2") "}", 2, "header"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\" must be a text"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ must be a map"},
    {"[]", 0, "must be a map"},
    {"{\"a\":", 0, "header"},
    {"", 0, "header"},
    {"{\"a\xff\":" T("U8", "1", "0,1") "}", 1, "header"},
};

static void test_damages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char bytes[512];
        size_t size = build(bytes, damages[i].header, damages[i].data);
        ak_safetensors *file = (ak_safetensors *)bytes;
        akin_error error = {0};
        akin_status status = ak_safetensors_parse(&file, bytes, size, "mem", &error);
        if (status != AKIN_ERR_FORMAT || !strstr(error.message, damages[i].message) ||
            strncmp(error.message, "mem", 3))
            fail_msg("row %zu: status %d, \"%s\"", i, status, error.message);
        assert_null(file);
    }
}

static void test_header_length(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        size_t size;
        const char *message;
    } rows[] = {
        {2, 7, "7 bytes are too few"},
        {0, 0, "0 bytes are too few"},
        {3, 10, "header of 3 bytes goes beyond the file's 10"},
        {UINT64_MAX, 10, "goes beyond"},
        {UINT64_MAX - 7, 10, "goes beyond"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char bytes[16] = "........{}";
        memcpy(bytes, &rows[i].length, 8);
        ak_safetensors *file;
        akin_error error = {0};
        assert_int_equal(ak_safetensors_parse(&file, bytes, rows[i].size, "mem", &error),
                         AKIN_ERR_FORMAT);
        assert_non_null(strstr(error.message, rows[i].message));
    }
    ak_safetensors *file;
    assert_int_equal(ak_safetensors_open(&file, in_folder("missing"), NULL), AKIN_ERR_IO);
    assert_null(file);
}

/* A file cut at any byte is an error, never a crash. */
static void test_truncation(void **state)
{
    (void)state;
    char bytes[512];
    size_t size =
        build(bytes, "{\"a\":" T("F32", "2", "0,8") ",\"b\":" T("U8", "2", "8,10") "}", 10);
    for (size_t cut = 0; cut < size; cut++) {
        char *exact = malloc(cut ? cut : 1);
        memcpy(exact, bytes, cut);
        ak_safetensors *file;
        assert_int_equal(ak_safetensors_parse(&file, exact, cut, "mem", NULL), AKIN_ERR_FORMAT);
        free(exact);
    }
}

static void test_expectations(void **state)
{
    (void)state;
    const char *path = in_folder("expect.safetensors");
    assert_int_equal(ak_safetensors_write(path, declared, 4, NULL, NULL), AKIN_OK);
    ak_safetensors *file;
    assert_int_equal(ak_safetensors_open(&file, path, NULL), AKIN_OK);
    const ak_tensor *tensor;
    const void *data;
    akin_error error;
    assert_int_equal(
        ak_safetensors_expect(&tensor, file, "layer.weight", 2, (int64_t[]){-1, 4}, &error),
        AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "\"layer.weight\" has shape [2, 3], expected [*, 4]"));
    assert_int_equal(ak_safetensors_expect(&tensor, file, "numbers", 0, NULL, &error),
                     AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "has shape [2], expected []"));
    assert_int_equal(ak_safetensors_expect(&tensor, file, "bias", 1, (int64_t[]){2}, &error),
                     AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "expect.safetensors: has no tensor \"bias\""));
    assert_int_equal(
        ak_safetensors_view(&data, NULL, file, "numbers", AK_DTYPE_F32, 1, (int64_t[]){2}, &error),
        AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "has dtype I64, expected F32"));
    akin_arena *arena;
    assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
    const float *floats;
    assert_int_equal(
        ak_tensor_floats(&floats, file, ak_safetensors_find(file, "numbers"), arena, &error),
        AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "has dtype I64, expected F32, F16"));
    ak_arena_free(arena);
    ak_safetensors_free(file);
}

/* ---- conversions ---- */

static void check_convert(ak_dtype dtype, const void *data, int64_t n, const float *expected)
{
    ak_tensor tensor = {.name = "x",
                        .dtype = dtype,
                        .count = n,
                        .size = (size_t)n * ak_dtype_size(dtype),
                        .data = data};
    float out[16];
    assert_true(ak_tensor_convert(&tensor, out));
    for (int64_t i = 0; i < n; i++) {
        if (isnan(expected[i]))
            assert_true(isnan(out[i]));
        else
            assert_memory_equal(out + i, expected + i, 4);
    }
}

static void test_convert(void **state)
{
    (void)state;
    /* 1, -2, max, smallest normal, smallest and largest subnormal, -0, inf, -inf, NaN, 1/3 */
    const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x03ff,
                               0x8000, 0x7c00, 0xfc00, 0x7e01, 0x3555};
    const float of_half[] = {1,    -2,       65504,     0x1p-14f, 0x1p-24f,      0x1.ff8p-15f,
                             -0.f, INFINITY, -INFINITY, NAN,      0.33325195312f};
    check_convert(AK_DTYPE_F16, halves, 11, of_half);
    const uint16_t brains[] = {0x3f80, 0xc040, 0x7f80, 0x7fc0, 0x0001};
    const float of_brain[] = {1, -3, INFINITY, NAN, 0x1p-133f};
    check_convert(AK_DTYPE_BF16, brains, 5, of_brain);
    const double doubles[] = {0.1, -1e300, 3};
    const float of_double[] = {0.1f, -INFINITY, 3};
    check_convert(AK_DTYPE_F64, doubles, 3, of_double);
    char odd[13];
    memcpy(odd + 1, of_double, 12);
    check_convert(AK_DTYPE_F32, odd + 1, 3, of_double);
    ak_tensor bytes = {.dtype = AK_DTYPE_U8};
    assert_false(ak_tensor_convert(&bytes, NULL));
}

/* A float tensor behind an odd byte is copied, not read in place. */
static void test_misaligned(void **state)
{
    (void)state;
    const float values[] = {1.5f, -2};
    ak_tensor tensors[] = {
        {.name = "byte", .dtype = AK_DTYPE_U8, .rank = 1, .shape = {1}, .data = "x"},
        {.name = "floats", .dtype = AK_DTYPE_F32, .rank = 1, .shape = {2}, .data = values},
    };
    const char *path = in_folder("odd.safetensors");
    assert_int_equal(ak_safetensors_write(path, tensors, 2, NULL, NULL), AKIN_OK);
    ak_safetensors *file;
    assert_int_equal(ak_safetensors_open(&file, path, NULL), AKIN_OK);
    akin_arena *arena;
    assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
    const float *floats;
    assert_int_equal(
        ak_tensor_floats(&floats, file, ak_safetensors_find(file, "floats"), arena, NULL), AKIN_OK);
    assert_true(floats[0] == 1.5f && floats[1] == -2);
    const void *data;
    akin_error error;
    assert_int_equal(
        ak_safetensors_view(&data, NULL, file, "floats", AK_DTYPE_F32, 1, (int64_t[]){2}, &error),
        AKIN_ERR_FORMAT);
    assert_non_null(strstr(error.message, "does not start at a multiple"));
    ak_arena_free(arena);
    ak_safetensors_free(file);
}

/* ---- memory ---- */

static void test_memory(void **state)
{
    (void)state;
    const char *path = in_folder("memory.safetensors");
    akin_status status = AKIN_ERR_MEMORY;
    int64_t n = 1;
    for (; status && n < 1000; n++) {
        ak_memory_fail_at(n);
        status = ak_safetensors_write(path, declared, 4, metadata, NULL);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
        ak_safetensors *file;
        akin_status reading = ak_safetensors_open(&file, path, NULL);
        assert_true(reading == AKIN_OK || (status && reading == AKIN_ERR_IO)); /* whole or absent */
        ak_safetensors_free(file);
    }
    assert_true(n > 3 && !status);
    status = AKIN_ERR_MEMORY;
    for (n = 1; status && n < 1000; n++) {
        ak_safetensors *file;
        ak_memory_fail_at(n);
        status = ak_safetensors_open(&file, path, NULL);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
        assert_true((file == NULL) == (status != AKIN_OK));
        ak_safetensors_free(file);
    }
    assert_true(n > 3 && !status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_incomplete_is_not_written),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_order_of_header),
        cmocka_unit_test(test_damages),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_convert),
        cmocka_unit_test(test_misaligned),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
