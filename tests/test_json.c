/* JSON: what is read, what is refused and where, what is written, lines of data sets, memory. */
#include "support.h"

#include <math.h>

static akin_arena *arena;

static int arena_make(void **state)
{
    (void)state;
    return ak_arena_create(&arena, NULL);
}

static int arena_free(void **state)
{
    (void)state;
    ak_arena_free(arena);
    return 0;
}

static ak_value *parse(const char *text)
{
    ak_value *value;
    akin_error e = {0};
    if (ak_json_parse(&value, arena, text, strlen(text), "x.json", &e))
        fail_msg("%s", e.message);
    return value;
}

/* ---- read and written ---- */

static void documents_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
    } rows[] = {
        {"{\"b\":1,\"a\":[true,false,null]}", "{\"b\": 1, \"a\": [true, false, null]}"},
        {" 5 ", "5"},
        {"\"x\"", "\"x\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[[],{},[[]]]", "[[], {}, [[]]]"},
        {"[1.0,0.1,-0.0,1e300,1E5]", "[1.0, 0.1, -0.0, 1e+300, 100000.0]"},
        {"[9223372036854775807,-9223372036854775808]",
         "[9223372036854775807, -9223372036854775808]"},
        {"\"\\u0000\\u001f\\n\\t\\b\\f\\r\\\"\\\\\\/\"",
         "\"\\u0000\\u001f\\n\\t\\b\\f\\r\\\"\\\\/\""},
        {"\"caf\\u00e9 \\ud83d\\ude00\"", "\"café 😀\""},
        {"\xef\xbb\xbf[1]", "[1]"},
        {"[1000000000000000019884624838656, 7]", "[1e+30, 7]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *written = ak_json_write(parse(rows[i].text), 0);
        assert_string_equal(written, rows[i].written);
        ak_free(written);
    }
}

static void indented_documents_have_a_line_a_member(void **state)
{
    (void)state;
    char *written = ak_json_write(parse("{\"a\":[1,{}],\"b\":{\"c\":2}}"), 2);
    assert_string_equal(written, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": 2\n  "
                                 "}\n}");
    ak_free(written);
}

static void kinds_and_sizes_are_kept(void **state)
{
    (void)state;
    const ak_value *v = parse("{\"i\": 5, \"f\": 5.0, \"s\": \"a\\u0000b\", \"n\": null}");
    assert_int_equal(v->count, 4);
    assert_int_equal(ak_value_get(v, "i")->kind, AK_INT);
    assert_true(ak_value_get(v, "i")->number == 5);
    assert_int_equal(ak_value_get(v, "f")->kind, AK_FLOAT);
    assert_int_equal(ak_value_get(v, "s")->size, 3);
    assert_memory_equal(ak_value_get(v, "s")->string, "a\0b", 4);
    assert_int_equal(ak_value_get(v, "n")->kind, AK_NULL);
}

static void what_json_cannot_say_is_written_as_null(void **state)
{
    (void)state;
    ak_value *list = ak_value_new_list(arena);
    ak_value_add_number(arena, list, NULL, NAN);
    ak_value_add_number(arena, list, NULL, -INFINITY);
    ak_value_add_string(arena, list, NULL, "a\xff\xc3");
    char *written = ak_json_write(list, 0);
    assert_string_equal(written, "[null, null, \"a\uFFFD\uFFFD\"]");
    ak_free(written);
}

/* A member that is written alone must not drag its neighbours along. */
static void a_part_of_a_tree_is_written_alone(void **state)
{
    (void)state;
    const ak_value *v = parse("{\"a\": [1, 2], \"b\": 3}");
    char *written = ak_json_write(ak_value_get(v, "a"), 0);
    assert_string_equal(written, "[1, 2]");
    ak_free(written);
}

/* ---- refused ---- */

static char *repeat(const char *text, int times)
{
    char *out = calloc((size_t)times + 1, strlen(text));
    for (int i = 0; i < times; i++)
        strcat(out + (size_t)i * strlen(text), text);
    return out;
}

static void bad_documents_are_refused_with_their_place(void **state)
{
    (void)state;
    char *deep = repeat("[", 3000), *deeper = repeat("{\"a\":", 100000);
    const struct {
        const char *text;
        int64_t line;
        const char *part;
    } rows[] = {
        {"", 1, "x.json:1: not valid JSON"},
        {"{\"a\": 1,\n \"a\": 2}", 2, "duplicate object key near '\"a\"'"},
        {"{\"a\":\n1,}", 2, "x.json:2:3"},
        {"[1] x", 1, "end of file expected near 'x'"},
        {"[1,\n\n2", 3, "']' expected"},
        {"\"\xff\"", 1, "byte 0xff"},
        {"\"\xed\xa0\x80\"", 1, "unable to decode byte"},
        {"\"\\ud800\"", 1, "invalid Unicode"},
        {"{\"a\\u0000\": 1}", 1, "NUL byte"},
        {"nan", 1, "invalid token near 'nan'"},
        {"[01]", 1, "invalid token"},
        {"[1e999]", 1, "real number overflow"},
        {"'x'", 1, "invalid token"},
        {"[1, // no\n2]", 1, "not valid JSON"},
        {deep, 1, "maximum parsing depth"},
        {deeper, 1, "maximum parsing depth"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ak_value *value = (void *)1;
        akin_error e = {0};
        akin_status status =
            ak_json_parse(&value, arena, rows[i].text, strlen(rows[i].text), "x.json", &e);
        assert_int_equal(status, AKIN_ERR_FORMAT);
        assert_int_equal(e.line, rows[i].line);
        assert_says(&e, rows[i].part);
        assert_null(value);
    }
    free(deep);
    free(deeper);
}

static void the_deepest_document_passes(void **state)
{
    (void)state;
    char *text = repeat("[", 4096);
    memset(text + 2047, ']', 2047);
    text[2 * 2047] = 0;
    char *written = ak_json_write(parse(text), 0);
    assert_string_equal(written, text);
    ak_free(written);
    free(text);
}

static void files_are_read_and_named(void **state)
{
    (void)state;
    ak_value *value;
    akin_error e = {0};
    write_text(scratch_path("good.json"), "{\"a\": 1}\n");
    write_text(scratch_path("bad.json"), "{\"a\": 1\n");
    assert_int_equal(ak_json_read(&value, arena, scratch_path("good.json"), &e), AKIN_OK);
    assert_int_equal(ak_value_get_int(value, "a", 0), 1);
    assert_int_equal(ak_json_read(&value, arena, scratch_path("bad.json"), &e), AKIN_ERR_FORMAT);
    assert_says(&e, "bad.json:2");
    assert_null(value);
    assert_int_equal(ak_json_read(&value, arena, scratch_path("none.json"), &e), AKIN_ERR_IO);
    assert_says(&e, "none.json: No such file");
}

/* ---- lines of data sets ---- */

static void lines_give_their_members(void **state)
{
    (void)state;
    static const char line[] = "{\"skipped\": [1], \"a\": \"x\\u0000y\", \"n\": 2.5, \"i\": -3, "
                               "\"t\": true, \"o\": {\"k\": [1, \"é\", null]}, \"l\": []}";
    static const char *const fields[] = {"a", "n", "i", "t", "o", "l", NULL, "absent"};
    ak_value v[8];
    assert_int_equal(ak_json_fields(line, strlen(line), fields, 8, v, arena, "x", 1, NULL), 0);
    assert_int_equal(v[0].kind, AK_STRING);
    assert_int_equal(v[0].size, 3);
    assert_true(v[1].kind == AK_FLOAT && v[1].number == 2.5);
    assert_true(v[2].kind == AK_INT && v[2].integer == -3 && v[2].number == -3);
    assert_true(v[3].kind == AK_BOOL && v[3].boolean);
    assert_int_equal(v[4].kind, AK_STRING);
    assert_string_equal(v[4].string, "{\"k\":[1,\"é\",null]}");
    assert_int_equal(v[4].size, strlen(v[4].string));
    assert_string_equal(v[5].string, "[]");
    assert_int_equal(v[6].kind, AK_NULL);
    assert_int_equal(v[7].kind, AK_NULL);
}

static void bad_lines_are_refused_with_their_number(void **state)
{
    (void)state;
    static const char *const fields[] = {"a"};
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"{\"a\": ", "faq.jsonl:17:"},
        {"[1]", "faq.jsonl:17: expected a JSON object"},
        {"5", "expected a JSON object"},
        {"", "not valid JSON"},
        {"{\"a\": 1} {", "end of file expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_error e = {0};
        ak_value found;
        akin_status status = ak_json_fields(rows[i].text, strlen(rows[i].text), fields, 1, &found,
                                            arena, "faq.jsonl", 17, &e);
        assert_int_equal(status, AKIN_ERR_FORMAT);
        assert_int_equal(e.line, 17);
        assert_says(&e, rows[i].part);
        assert_int_equal(found.kind, AK_NULL);
    }
}

/* ---- memory ---- */

static const char sample[] =
    "{\"a\": [1, 2.5, \"a text that is longer than a small buffer of the parser would be\", "
    "{\"b\": null, \"caf\\u00e9\": [[[[\"\\ud83d\\ude00\"]]]]}], \"score\": 0.75, \"k\": true}";

static akin_status parse_and_write(void *user, akin_error *error)
{
    (void)user;
    akin_arena *own;
    ak_value *value;
    AK_TRY(ak_arena_create(&own, error));
    akin_status status = ak_json_parse(&value, own, sample, strlen(sample), "x", error);
    assert_true(status == AKIN_OK || !value);
    char *written = status ? NULL : ak_json_write(value, 2);
    if (!status && !written)
        status = ak_fail_memory(error);
    ak_free(written);
    ak_arena_free(own);
    return status;
}

static akin_status read_fields(void *user, akin_error *error)
{
    (void)user;
    static const char *const fields[] = {"a", "score"};
    akin_arena *own;
    ak_value found[2];
    AK_TRY(ak_arena_create(&own, error));
    akin_status status =
        ak_json_fields(sample, strlen(sample), fields, 2, found, own, "x", 3, error);
    ak_arena_free(own);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    ak_json_route_allocations(true);
    int64_t failures = fail_each_allocation(parse_and_write, NULL);
    int64_t more = fail_each_allocation(read_fields, NULL);
    ak_json_route_allocations(false);
    assert_true(failures > 30 && more > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_come_back_as_they_were),
        cmocka_unit_test(indented_documents_have_a_line_a_member),
        cmocka_unit_test(kinds_and_sizes_are_kept),
        cmocka_unit_test(what_json_cannot_say_is_written_as_null),
        cmocka_unit_test(a_part_of_a_tree_is_written_alone),
        cmocka_unit_test(bad_documents_are_refused_with_their_place),
        cmocka_unit_test(the_deepest_document_passes),
        cmocka_unit_test_setup_teardown(files_are_read_and_named, scratch_make, scratch_remove),
        cmocka_unit_test(lines_give_their_members),
        cmocka_unit_test(bad_lines_are_refused_with_their_number),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, arena_make, arena_free);
}
