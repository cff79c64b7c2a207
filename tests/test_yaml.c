/* YAML: the core schema, places, what is refused, assignments. */
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
    if (ak_yaml_parse(&value, arena, text, strlen(text), "r.yaml", &e))
        fail_msg("%s", e.message);
    return value;
}

/* ---- what scalars mean ---- */

static void scalars_follow_the_core_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ak_value_kind kind;
        double number;
    } rows[] = {
        {"no", AK_STRING, 0},
        {"yes", AK_STRING, 0},
        {"on", AK_STRING, 0},
        {"true", AK_BOOL, 1},
        {"True", AK_BOOL, 1},
        {"FALSE", AK_BOOL, 0},
        {"tRUE", AK_STRING, 0},
        {"null", AK_NULL, 0},
        {"~", AK_NULL, 0},
        {"", AK_NULL, 0},
        {"Null", AK_NULL, 0},
        {"nil", AK_STRING, 0},
        {"5", AK_INT, 5},
        {"-5", AK_INT, -5},
        {"+5", AK_INT, 5},
        {"007", AK_INT, 7},
        {"0o17", AK_INT, 15},
        {"0x1F", AK_INT, 31},
        {"0o18", AK_STRING, 0},
        {"0xg", AK_STRING, 0},
        {"0x", AK_STRING, 0},
        {"1_000", AK_STRING, 0},
        {"1:30", AK_STRING, 0},
        {"1e3", AK_FLOAT, 1000},
        {"0.5", AK_FLOAT, 0.5},
        {".5", AK_FLOAT, 0.5},
        {"5.", AK_FLOAT, 5},
        {"-1e-3", AK_FLOAT, -1e-3},
        {".inf", AK_FLOAT, INFINITY},
        {"-.INF", AK_FLOAT, -INFINITY},
        {"inf", AK_STRING, 0},
        {"nan", AK_STRING, 0},
        {"1e999", AK_STRING, 0},
        {"1.2.3", AK_STRING, 0},
        {"2024-01-02", AK_STRING, 0},
        {"\"5\"", AK_STRING, 0},
        {"'true'", AK_STRING, 0},
        {"!!str 5", AK_STRING, 0},
        {"18446744073709551616", AK_FLOAT, 18446744073709551616.0},
        {"0x7fffffffffffffff", AK_INT, 9223372036854775807.0},
        {"0x8000000000000000", AK_STRING, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        snprintf(text, sizeof text, "a: %s\n", rows[i].text);
        const ak_value *v = ak_value_get(parse(text), "a");
        if (v->kind != rows[i].kind)
            fail_msg("%s was read as %s", rows[i].text, ak_value_kind_name(v->kind));
        if (v->kind == AK_BOOL)
            assert_int_equal(v->boolean, rows[i].number);
        else
            assert_true(v->number == rows[i].number);
    }
    assert_true(isnan(ak_value_get(parse("a: .nan"), "a")->number));
}

static void plain_scalars_keep_their_text(void **state)
{
    (void)state;
    const ak_value *v = parse("{a: 007, b: 1e3, c: True}");
    assert_string_equal(ak_value_get(v, "a")->string, "007");
    assert_string_equal(ak_value_get(v, "b")->string, "1e3");
    assert_string_equal(ak_value_get(v, "c")->string, "True");
}

static void structures_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"", "null"},
        {"# only a comment\n", "null"},
        {"---\n...\n", "null"},
        {"%YAML 1.2\n---\na: 50%\n", "{\"a\": \"50%\"}"},
        {"- 1\n- - 2\n  - 3\n- {a: [x, y]}\n", "[1, [2, 3], {\"a\": [\"x\", \"y\"]}]"},
        {"a:\n  b:\n    c: 1\nd: 2\n", "{\"a\": {\"b\": {\"c\": 1}}, \"d\": 2}"},
        {"a:\nb:\n- x\n", "{\"a\": null, \"b\": [\"x\"]}"},
        {"a: |\n  one\n   two\nb: >-\n  one\n  two\n",
         "{\"a\": \"one\\n two\\n\", \"b\": \"one two\"}"},
        {"a: 'it''s'\nb: \"\\u00e9\\n\"\n", "{\"a\": \"it's\", \"b\": \"é\\n\"}"},
        {"a: one\n  two\n", "{\"a\": \"one two\"}"},
        {"{\"a\": 1, \"b\": [true]}", "{\"a\": 1, \"b\": [true]}"},
        {"? a\n: 1\n", "{\"a\": 1}"},
        {"1: x\ntrue: y\n", "{\"1\": \"x\", \"true\": \"y\"}"},
        {"a: http://x/y#z\n", "{\"a\": \"http://x/y#z\"}"},
        {"a: 1\r\nb: 2\r\n", "{\"a\": 1, \"b\": 2}"},
        {"\xef\xbb\xbf"
         "a: 1\n",
         "{\"a\": 1}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *json = ak_json_write(parse(rows[i].text), 0);
        assert_string_equal(json, rows[i].json);
        ak_free(json);
    }
}

/* ---- places ---- */

static void assert_at(const ak_value *v, int line, int column)
{
    assert_non_null(v);
    assert_int_equal(v->line, line);
    assert_int_equal(v->column, column);
}

static void nodes_know_their_place(void **state)
{
    (void)state;
    const ak_value *v = parse("data: {train: x,\n       é: y, z: [1,\n 2]}\nloss:\n  type: t\n"
                              "list:\n  - a\n  - b: 1\n    c: 2\n");
    assert_at(v, 1, 1);
    const ak_value *data = ak_value_get(v, "data");
    assert_at(data, 1, 1);
    assert_at(ak_value_get(data, "train"), 1, 8);
    assert_at(ak_value_get(data, "é"), 2, 8);
    assert_at(ak_value_get(data, "z"), 2, 14);
    assert_at(ak_value_get(data, "z")->first, 2, 18);
    assert_at(ak_value_get(data, "z")->last, 3, 2);
    assert_at(ak_value_get(v, "loss"), 4, 1);
    assert_at(ak_value_get(ak_value_get(v, "loss"), "type"), 5, 3);
    const ak_value *list = ak_value_get(v, "list");
    assert_at(list->first, 7, 5);
    assert_at(list->last, 8, 5);
    assert_at(ak_value_get(list->last, "b"), 8, 5);
    assert_at(ak_value_get(list->last, "c"), 9, 5);
}

/* ---- refused ---- */

static void bad_documents_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        akin_status status;
        int64_t line;
        const char *part;
    } rows[] = {
        {"a: 1\n  b: 2\n", AKIN_ERR_FORMAT, 1, "r.yaml:1:4: not valid YAML"},
        {"a: [1, 2\n", AKIN_ERR_FORMAT, 2, "without a closing bracket"},
        {"a: }\n", AKIN_ERR_FORMAT, 1, "r.yaml:1:4"},
        {"a: \"x\n", AKIN_ERR_FORMAT, 1, "without closing quote"},
        {"a: 1\nb: 2\na: 3\n", AKIN_ERR_FORMAT, 3,
         "r.yaml:3:1: \"a\" is given twice, first in line 1"},
        {"x: {a: 1, a: 2}\n", AKIN_ERR_FORMAT, 1, "r.yaml:1:11: \"a\" is given twice"},
        {"a:\n\t- b\n", AKIN_ERR_FORMAT, 2, "tab"},
        {"---\na\n---\nb\n", AKIN_ERR_FORMAT, 3, "a second document"},
        {"a: &x 1\nb: *x\n", AKIN_ERR_UNSUPPORTED, 2, "aliases"},
        {"? [a]\n: 1\n", AKIN_ERR_FORMAT, 1, "a key must be text"},
        {"a: 1\nb: !!int 5\n", AKIN_ERR_UNSUPPORTED, 2, "tags are not supported"},
        {"a: !x [1]\n", AKIN_ERR_UNSUPPORTED, 1, "tags are not supported"},
        {"a: 1\nb: \xff\n", AKIN_ERR_FORMAT, 2, "not valid UTF-8 (byte ff)"},
        {"a: \"\\0\"\n\"\\0\": 1\n", AKIN_ERR_FORMAT, 2, "NUL"},
        {"%%%\n", AKIN_ERR_UNSUPPORTED, 1, "directives (%...) are not supported"},
        {"\n%YAML 1.1\n---\n", AKIN_ERR_UNSUPPORTED, 2, "except %YAML 1.2"},
        {"a: @x\n", AKIN_ERR_FORMAT, 1, "r.yaml:1:4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ak_value *value = (void *)1;
        akin_error e = {0};
        akin_status status =
            ak_yaml_parse(&value, arena, rows[i].text, strlen(rows[i].text), "r.yaml", &e);
        if (status != rows[i].status || e.line != rows[i].line)
            fail_msg("\"%s\" gave line %d: %s", rows[i].text, (int)e.line, e.message);
        assert_says(&e, rows[i].part);
        assert_null(value);
    }
}

static void refuse(const char *text, size_t size, const char *part)
{
    ak_value *value;
    akin_error e = {0};
    assert_int_equal(ak_yaml_parse(&value, arena, text, size, "r.yaml", &e), AKIN_ERR_FORMAT);
    assert_says(&e, part);
    assert_null(value);
}

static void depth_and_size_have_limits(void **state)
{
    (void)state;
    static char text[(256 << 10) + 2];
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    text[200] = 0;
    assert_int_equal(parse(text)->kind, AK_LIST);
    memset(text, '[', 101);
    refuse(text, 101, "r.yaml:1:101: nested deeper than 100 levels");
    memset(text, '[', sizeof text);
    refuse(text, 256 << 10, "nested deeper");
    for (size_t i = 0; i < 256 << 10; i++)
        text[i] = i % 2 ? ' ' : '-';
    refuse(text, 256 << 10, "nested deeper");
    memset(text, '{', sizeof text);
    refuse(text, 256 << 10, "r.yaml:1:");
    memset(text, '#', sizeof text);
    refuse(text, sizeof text, "larger than 256 kB");
    refuse("a: 1\n\0b", 7, "r.yaml:2: a NUL byte");
    size_t used = 0;
    for (int i = 0; i <= 10000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "k%d: 1\n", i);
    refuse(text, used, "more than 10000 members");
}

static void files_are_read_and_named(void **state)
{
    (void)state;
    ak_value *value;
    akin_error e = {0};
    write_text(scratch_path("good.yaml"), "a: 1\n");
    write_text(scratch_path("bad.yaml"), "a: 1\nb: [\n");
    assert_int_equal(ak_yaml_read(&value, arena, scratch_path("good.yaml"), &e), AKIN_OK);
    assert_int_equal(ak_value_get_int(value, "a", 0), 1);
    assert_int_equal(ak_yaml_read(&value, arena, scratch_path("bad.yaml"), &e), AKIN_ERR_FORMAT);
    assert_says(&e, "bad.yaml:3");
    assert_null(value);
    assert_int_equal(ak_yaml_read(&value, arena, scratch, &e), AKIN_ERR_IO);
    assert_says(&e, "Is a directory");
}

/* ---- assignments ---- */

static void assignments_change_the_tree(void **state)
{
    (void)state;
    ak_value *root = parse("train: {epochs: 3, lr: 1}\nmetrics: [a]\nempty:\n");
    static const char *const assignments[] = {
        "train.epochs=5", "train.seed=7", "metrics=[b, {k: 1}]", "empty.x.y=a=b", "path=", "s='5'",
        "in=-",           NULL,
    };
    akin_error e = {0};
    for (int i = 0; assignments[i]; i++)
        assert_int_equal(ak_yaml_set(root, arena, assignments[i], &e), AKIN_OK);
    char *json = ak_json_write(root, 0);
    assert_string_equal(json, "{\"train\": {\"epochs\": 5, \"lr\": 1, \"seed\": 7}, \"metrics\": "
                              "[\"b\", {\"k\": 1}], \"empty\": {\"x\": {\"y\": \"a=b\"}}, "
                              "\"path\": null, \"s\": \"5\", \"in\": \"-\"}");
    ak_free(json);
    assert_int_equal(ak_value_get(ak_value_get(root, "train"), "epochs")->line, 0);
    assert_int_equal(root->count, 6);
}

static void bad_assignments_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"train", "\"train\" has no \"=\", expected NAME=VALUE"},
        {"=3", "empty name"},
        {".a=1", "empty name"},
        {"a..b=1", "empty name"},
        {"a.b=1", "\"b\" would be a member of a whole number, expected a map"},
        {"l.0=1", "\"0\" would be a member of a list, expected a map"},
        {"x=[", "\"x=[\": not valid YAML"},
        {"x=*y", "aliases"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_error e = {0};
        ak_value *root = parse("a: 1\nl: []\n");
        assert_int_equal(ak_yaml_set(root, arena, rows[i].text, &e), AKIN_ERR_ARGUMENT);
        assert_says(&e, rows[i].part);
    }
}

/* ---- memory ---- */

static akin_status parse_and_set(void *user, akin_error *error)
{
    (void)user;
    akin_arena *own;
    ak_value *root = NULL;
    char text[3000];
    int used = 0;
    for (int i = 0; i < 100; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "k%d: [1, {x: text}]\n", i);
    AK_TRY(ak_arena_create(&own, error));
    akin_status status = ak_yaml_parse(&root, own, text, (size_t)used, "x", error);
    assert_true(status == AKIN_OK || !root);
    if (!status)
        status = ak_yaml_set(root, own, "a.b.c=[1, 2]", error);
    ak_arena_free(own);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(parse_and_set, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_follow_the_core_schema),
        cmocka_unit_test(plain_scalars_keep_their_text),
        cmocka_unit_test(structures_are_read),
        cmocka_unit_test(nodes_know_their_place),
        cmocka_unit_test(bad_documents_are_refused_with_their_place),
        cmocka_unit_test(depth_and_size_have_limits),
        cmocka_unit_test_setup_teardown(files_are_read_and_named, scratch_make, scratch_remove),
        cmocka_unit_test(assignments_change_the_tree),
        cmocka_unit_test(bad_assignments_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, arena_make, arena_free);
}
