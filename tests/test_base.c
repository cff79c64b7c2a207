/* base: errors, memory, arenas, hashes, random numbers, text, UTF-8 and the value tree. */
#include "support.h"

#include <float.h>
#include <math.h>

/* ---- errors ---- */

static void errors_name_file_line_and_column(void **state)
{
    (void)state;
    akin_error e = {0};
    assert_int_equal(ak_fail_place(&e, AKIN_ERR_FORMAT, "r.yaml", 3, 9, "no %s", "x"),
                     AKIN_ERR_FORMAT);
    assert_string_equal(e.message, "r.yaml:3:9: no x");
    assert_int_equal(e.line, 3);
    ak_fail_at(&e, AKIN_ERR_FORMAT, "r.yaml", 3, "no");
    assert_string_equal(e.message, "r.yaml:3: no");
    ak_fail_at(&e, AKIN_ERR_FORMAT, "r.yaml", 0, "no");
    assert_string_equal(e.message, "r.yaml: no");
    ak_fail_place(&e, AKIN_ERR_FORMAT, NULL, 0, 0, "no");
    assert_string_equal(e.message, "no");
    assert_int_equal(ak_fail_memory(NULL), AKIN_ERR_MEMORY);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    akin_error e = {0};
    char name[2000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    ak_fail_place(&e, AKIN_ERR_FORMAT, name, 1, 1, "%s", name);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
}

static void every_status_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i <= AKIN_ERR_INTERRUPTED; i++)
        assert_string_not_equal(akin_status_name(i), "unknown status");
    assert_string_equal(akin_status_name((akin_status)99), "unknown status");
    assert_string_equal(akin_status_name((akin_status)-1), "unknown status");
}

/* ---- memory ---- */

static void memory_is_aligned_and_bounded(void **state)
{
    (void)state;
    for (size_t size = 0; size < 200; size += 7) {
        char *p = ak_alloc(size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 1, size);
        ak_free(p);
    }
    assert_null(ak_alloc(SIZE_MAX));
    assert_null(ak_alloc((size_t)PTRDIFF_MAX));
    assert_null(ak_calloc(SIZE_MAX / 2, 3));
    ak_free(NULL);
}

static void the_nth_allocation_fails_and_all_after(void **state)
{
    (void)state;
    ak_memory_fail_at(2);
    void *first = ak_alloc(8), *second = ak_alloc(8), *third = ak_alloc(8);
    assert_int_equal(ak_memory_fail_at(0), 3);
    assert_non_null(first);
    assert_null(second);
    assert_null(third);
    ak_free(first);
}

static void arrays_grow(void **state)
{
    (void)state;
    int64_t *numbers = NULL, capacity = 0;
    for (int64_t i = 0; i < 1000; i++) {
        assert_int_equal(ak_grow(&numbers, i, &capacity, sizeof *numbers, NULL), AKIN_OK);
        numbers[i] = i;
    }
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i);
    ak_memory_fail_at(1);
    akin_status status = ak_grow(&numbers, capacity, &capacity, sizeof *numbers, NULL);
    ak_memory_fail_at(0);
    assert_int_equal(status, AKIN_ERR_MEMORY);
    assert_int_equal(numbers[999], 999);
    ak_free(numbers);
}

static void arenas_align_keep_and_reuse(void **state)
{
    (void)state;
    akin_arena *arena;
    assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
    for (int round = 0; round < 3; round++) {
        ak_memory_fail_at(0);
        char *pieces[300];
        for (int i = 0; i < 300; i++) {
            pieces[i] = i % 3 == 0   ? akin_arena_alloc(arena, (size_t)i)
                        : i % 3 == 1 ? ak_arena_small(arena, (size_t)i)
                                     : ak_arena_copy(arena, "text", 4);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % (i % 3 == 0 ? 64 : i % 3 == 1 ? 8 : 1), 0);
            if (i % 3 == 2)
                assert_string_equal(pieces[i], "text");
            else
                memset(pieces[i], i & 127, (size_t)i);
        }
        for (int i = 0; i < 300; i++)
            for (int k = 0; k < i && i % 3 != 2; k++)
                assert_int_equal(pieces[i][k], i & 127);
        if (round == 2)
            assert_int_equal(ak_memory_fail_at(0), 0);
        ak_arena_reset(arena);
        assert_int_equal(ak_arena_used(arena), 0);
    }
    assert_string_equal(ak_arena_format(arena, "%d-%s", 5, "x"), "5-x");
    assert_null(akin_arena_alloc(arena, SIZE_MAX));
    assert_null(ak_arena_small(arena, SIZE_MAX - 3));
    assert_null(ak_arena_copy(arena, "", SIZE_MAX));
    assert_null(ak_arena_new(arena, double, INT64_MAX));
    assert_null(ak_arena_new(arena, double, -1));
    ak_arena_free(arena);
    ak_arena_free(NULL);
}

/* ---- hashes and random numbers ---- */

static void hashes_are_xxh3(void **state)
{
    (void)state;
    char hex[AK_HASH_HEX];
    ak_hash back;
    ak_hash_to_hex(akin_hash_bytes("", 0), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f"); /* `xxhsum -H128` of nothing */
    assert_true(ak_hash_from_hex(hex, &back));
    assert_true(ak_hash_equal(back, ak_hash_text("")));
    assert_false(ak_hash_from_hex("99aa06d3014798d86001c324468d497", &back));
    assert_false(ak_hash_from_hex("99aa06d3014798d86001c324468d497ff", &back));
    assert_false(ak_hash_from_hex("99AA06d3014798d86001c324468d497f", &back));
    ak_hash a = ak_hash_text("a"), b = ak_hash_text("b");
    assert_false(ak_hash_equal(ak_hash_combine(a, b), ak_hash_combine(b, a)));
    assert_int_equal(ak_hash_compare(a, b), -ak_hash_compare(b, a));
    assert_int_equal(ak_hash_compare(a, a), 0);
}

static void random_numbers_are_spread_and_repeatable(void **state)
{
    (void)state;
    double sum = 0, square = 0, uniform = 0;
    int64_t n = 100000, below[10] = {0};
    for (int64_t i = 0; i < n; i++) {
        double z = ak_random_normal(1, 2, (uint64_t)i), u = ak_random_uniform(1, 2, (uint64_t)i);
        assert_true(u >= 0 && u < 1);
        sum += z;
        square += z * z;
        uniform += u;
        below[ak_random_below(3, 4, (uint64_t)i, 10)]++;
    }
    assert_true(fabs(sum / (double)n) < 0.015);
    assert_true(fabs(square / (double)n - 1) < 0.02);
    assert_true(fabs(uniform / (double)n - 0.5) < 0.005);
    for (int i = 0; i < 10; i++)
        assert_true(below[i] > n / 10 - 500 && below[i] < n / 10 + 500);
    assert_true(ak_random(1, 2, 3) == ak_random(1, 2, 3));
    assert_true(ak_random(1, 2, 3) != ak_random(1, 2, 4));
    assert_true(ak_random(1, 2, 3) != ak_random(1, 3, 3));
    assert_true(ak_random(1, 2, 3) != ak_random(2, 2, 3));
}

static void permutations_hold_every_number_once(void **state)
{
    (void)state;
    int64_t order[257], seen[257] = {0}, moved = 0;
    ak_random_permutation(5, 6, order, 257);
    for (int i = 0; i < 257; i++) {
        seen[order[i]]++;
        moved += order[i] != i;
    }
    for (int i = 0; i < 257; i++)
        assert_int_equal(seen[i], 1);
    assert_true(moved > 200);
    ak_random_permutation(5, 6, order, 0);
}

/* ---- numbers as text ---- */

static void whole_numbers_are_read_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t number;
    } rows[] = {
        {"0", true, 0},
        {"-17", true, -17},
        {"+17", true, 17},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
        {"--1", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t number = 0;
        assert_int_equal(ak_text_to_int(rows[i].text, &number), rows[i].ok);
        assert_int_equal(number, rows[i].number);
    }
}

static void decimal_numbers_are_read_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        double number;
    } rows[] = {
        {"0.1", true, 0.1},      {"-1e-3", true, -1e-3},
        {".5", true, 0.5},       {"5.", true, 5},
        {"1E+2", true, 100},     {"1e-400", true, 0},
        {"inf", true, INFINITY}, {"-inf", true, -INFINITY},
        {"1e400", false, 0},     {".", false, 0},
        {"", false, 0},          {"e5", false, 0},
        {"1e", false, 0},        {"1e+", false, 0},
        {"0x1p3", false, 0},     {" 1", false, 0},
        {"1 ", false, 0},        {"1,5", false, 0},
        {"infinity", false, 0},  {"1.2.3", false, 0},
        {"+-1", false, 0},
    };
    double number;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        number = 0;
        if (ak_text_to_double(rows[i].text, &number) != rows[i].ok || number != rows[i].number)
            fail_msg("\"%s\" was read as %g", rows[i].text, number);
    }
    assert_true(ak_text_to_double("nan", &number) && isnan(number));
}

static void doubles_become_their_shortest_text(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } rows[] = {
        {0, "0"},
        {0.1, "0.1"},
        {-1.5, "-1.5"},
        {1e22, "1e+22"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
    };
    char text[32];
    double back;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ak_double_to_text(rows[i].number, text);
        assert_string_equal(text, rows[i].text);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bits = ak_random(7, 8, i);
        double number;
        memcpy(&number, &bits, sizeof number);
        ak_double_to_text(number, text);
        assert_true(ak_text_to_double(text, &back));
        assert_true(back == number || (isnan(back) && isnan(number)));
    }
}

static void floats_become_their_shortest_text(void **state)
{
    (void)state;
    char text[32];
    double back;
    ak_float_to_text(0.1f, text);
    assert_string_equal(text, "0.1");
    ak_float_to_text(1e-45f, text);
    assert_string_equal(text, "1e-45");
    for (uint64_t i = 0; i < 20000; i++) {
        uint32_t bits = (uint32_t)ak_random(9, 8, i);
        float number;
        memcpy(&number, &bits, sizeof number);
        ak_float_to_text(number, text);
        assert_true(ak_text_to_double(text, &back));
        assert_true((float)back == number || (isnan(back) && isnan(number)));
    }
}

static void growing_text_remembers_its_failure(void **state)
{
    (void)state;
    ak_text text = {0};
    for (int i = 0; i < 100; i++)
        ak_text_printf(&text, "%d,", i);
    ak_text_add(&text, "\0end", 4);
    assert_false(text.failed);
    assert_int_equal(text.size, 294);
    assert_memory_equal(text.data + 284, "98,99,", 6);
    assert_string_equal(text.data + 291, "end");
    ak_memory_fail_at(1);
    for (int i = 0; i < 100 && !text.failed; i++)
        ak_text_printf(&text, "%d,", i);
    ak_memory_fail_at(0);
    assert_true(text.failed);
    size_t size = text.size;
    ak_text_add(&text, "more", 4);
    assert_int_equal(text.size, size);
    ak_free(text.data);
}

/* ---- UTF-8 ---- */

static void every_code_point_survives_utf8(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        char bytes[4];
        uint32_t back = 0;
        int length = ak_utf8_encode(point, bytes);
        int decoded = ak_utf8_decode(bytes, (size_t)length, &back);
        bool surrogate = point >= 0xD800 && point <= 0xDFFF;
        assert_int_equal(decoded, surrogate ? 0 : length);
        assert_int_equal(back, surrogate ? 0 : point);
        if (length > 1)
            assert_int_equal(ak_utf8_decode(bytes, (size_t)length - 1, &back), 0);
    }
}

/* Expected texts: Python 3, bytes.decode("utf-8", "replace"). */
static void invalid_utf8_is_replaced_as_python_does(void **state)
{
    (void)state;
    static const struct {
        const char *text, *repaired;
        int64_t replaced;
    } rows[] = {
        {"caf\xc3\xa9", "caf\xc3\xa9", 0},
        {"a\xff z", "a\uFFFD z", 1},
        {"\xc3", "\uFFFD", 1},
        {"\xe2\x82", "\uFFFD", 1},
        {"\xe2\x82 x", "\uFFFD x", 1},
        {"\xf0\x9f\x98", "\uFFFD", 1},
        {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD", 3},
        {"\xc0\xaf", "\uFFFD\uFFFD", 2},
        {"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD", 4},
        {"\xe0\x80\x80", "\uFFFD\uFFFD\uFFFD", 3},
        {"\xf8\x88", "\uFFFD\uFFFD", 2},
        {"0123456789abcde\x80", "0123456789abcde\uFFFD", 1},
        {"", "", 0},
    };
    akin_arena *arena;
    ak_arena_create(&arena, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size;
        int64_t replaced;
        const char *out =
            ak_utf8_repair(rows[i].text, strlen(rows[i].text), &size, &replaced, arena);
        assert_int_equal(replaced, rows[i].replaced);
        assert_int_equal(size, strlen(rows[i].repaired));
        assert_memory_equal(out, rows[i].repaired, size);
        assert_true(replaced ? out != rows[i].text : out == rows[i].text);
    }
    ak_arena_free(arena);
}

static void repair_without_memory_is_null(void **state)
{
    (void)state;
    akin_arena *arena;
    size_t size;
    int64_t replaced;
    ak_arena_create(&arena, NULL);
    ak_memory_fail_at(1);
    const char *out = ak_utf8_repair("\xff", 1, &size, &replaced, arena);
    ak_memory_fail_at(0);
    assert_null(out);
    ak_arena_free(arena);
}

/* ---- value tree ---- */

static void values_are_built_and_found(void **state)
{
    (void)state;
    akin_arena *arena;
    ak_arena_create(&arena, NULL);
    ak_value *map = ak_value_new_map(arena);
    ak_value_add_int(arena, map, "i", 5);
    ak_value_add_number(arena, map, "f", 0.5);
    ak_value_add_bool(arena, map, "b", true);
    ak_value_add_string(arena, map, "s", "x");
    assert_int_equal(ak_value_add_string(arena, map, "null", NULL)->kind, AK_NULL);
    ak_value *list = ak_value_new_list(arena);
    ak_value_add_int(arena, list, NULL, 1);
    ak_value_add_int(arena, list, NULL, 2);
    assert_ptr_not_equal(ak_value_attach(arena, map, "l", list), list);
    assert_int_equal(map->count, 6);
    assert_int_equal(ak_value_get(map, "l")->count, 2);
    assert_ptr_equal(ak_value_get(map, "l")->first, list->first);
    assert_int_equal(ak_value_get_int(map, "i", 0), 5);
    assert_true(ak_value_get_number(map, "i", 0) == 5);
    assert_true(ak_value_get_number(map, "f", 0) == 0.5);
    assert_int_equal(ak_value_get_int(map, "f", 7), 7);
    assert_true(ak_value_get_bool(map, "b", false));
    assert_string_equal(ak_value_get_string(map, "s", ""), "x");
    assert_string_equal(ak_value_get_string(map, "absent", "y"), "y");
    assert_null(ak_value_get(NULL, "x"));
    assert_null(ak_value_get(list, "x"));
    assert_null(ak_value_add_int(arena, NULL, "x", 1));
    assert_null(ak_value_attach(arena, map, "x", NULL));
    ak_arena_free(arena);
}

static void objects_are_texts_without_their_end(void **state)
{
    (void)state;
    assert_int_equal(akin_text("abc").size, 3);
    assert_int_equal(akin_text(NULL).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_file_line_and_column),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(every_status_has_a_name),
        cmocka_unit_test(memory_is_aligned_and_bounded),
        cmocka_unit_test(the_nth_allocation_fails_and_all_after),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(arenas_align_keep_and_reuse),
        cmocka_unit_test(hashes_are_xxh3),
        cmocka_unit_test(random_numbers_are_spread_and_repeatable),
        cmocka_unit_test(permutations_hold_every_number_once),
        cmocka_unit_test(whole_numbers_are_read_whole),
        cmocka_unit_test(decimal_numbers_are_read_whole),
        cmocka_unit_test(doubles_become_their_shortest_text),
        cmocka_unit_test(floats_become_their_shortest_text),
        cmocka_unit_test(growing_text_remembers_its_failure),
        cmocka_unit_test(every_code_point_survives_utf8),
        cmocka_unit_test(invalid_utf8_is_replaced_as_python_does),
        cmocka_unit_test(repair_without_memory_is_null),
        cmocka_unit_test(values_are_built_and_found),
        cmocka_unit_test(objects_are_texts_without_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
