/* Option rows: defaults, maps, flags, limits, what is said about mistakes, writing back. */
#include "support.h"

#include <math.h>

typedef struct settings {
    int64_t epochs, any;
    double dropout, lr, margin;
    bool shuffle;
    const char *path, *none;
    int miner;
    akin_ints sizes, dims;
    akin_floats weights;
} settings;

static const akin_option rows[] = {
    {"epochs", AKIN_OPTION_INT, offsetof(settings, epochs), "3", "epochs", NULL, 1, INFINITY},
    {"any", AKIN_OPTION_INT, offsetof(settings, any), "-7", "any number", NULL, 0, 0},
    {"dropout", AKIN_OPTION_FLOAT, offsetof(settings, dropout), "0", "share", NULL, 0, 1},
    {"lr", AKIN_OPTION_FLOAT, offsetof(settings, lr), "1e-3", "learning rate", NULL, 0, 0},
    {"margin", AKIN_OPTION_FLOAT, offsetof(settings, margin), "0.5", "margin", NULL, -1, 2},
    {"shuffle", AKIN_OPTION_BOOL, offsetof(settings, shuffle), "true", "shuffle", NULL, 0, 0},
    {"path", AKIN_OPTION_STRING, offsetof(settings, path), "minilm/", "path", NULL, 0, 0},
    {"none", AKIN_OPTION_STRING, offsetof(settings, none), NULL, "nothing", NULL, 0, 0},
    {"miner", AKIN_OPTION_CHOICE, offsetof(settings, miner), "semi_hard", "miner",
     "hard|semi_hard|all", 0, 0},
    {"sizes", AKIN_OPTION_INTS, offsetof(settings, sizes), NULL, "sizes", NULL, 1, 1000},
    {"dims", AKIN_OPTION_INTS, offsetof(settings, dims), "64, 32", "dims", NULL, 0, 0},
    {"weights", AKIN_OPTION_FLOATS, offsetof(settings, weights), NULL, "weights", NULL, 0, 9},
    {0},
};
static const char *const also[] = {"type", NULL};

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

static akin_status parse(settings *out, const char *yaml, akin_error *error)
{
    ak_value *map;
    memset(out, 0xA5, sizeof *out);
    assert_int_equal(ak_yaml_parse(&map, arena, yaml, strlen(yaml), "r.yaml", error), AKIN_OK);
    return ak_options_parse(rows, out, map, also, arena, "r.yaml", error);
}

static void assert_defaults(const settings *s)
{
    assert_int_equal(s->epochs, 3);
    assert_int_equal(s->any, -7);
    assert_true(s->dropout == 0 && s->lr == 1e-3 && s->margin == 0.5);
    assert_true(s->shuffle);
    assert_string_equal(s->path, "minilm/");
    assert_null(s->none);
    assert_int_equal(s->miner, 1);
    assert_int_equal(s->sizes.count, 0);
    assert_null(s->sizes.items);
    assert_int_equal(s->dims.count, 2);
    assert_true(s->dims.items[0] == 64 && s->dims.items[1] == 32);
    assert_true(s->weights.count == 0 && !s->weights.items);
}

static void rows_without_values_have_their_defaults(void **state)
{
    (void)state;
    settings s;
    akin_error e;
    memset(&s, 0xA5, sizeof s);
    assert_int_equal(ak_options_defaults(rows, &s, arena, NULL), AKIN_OK);
    assert_defaults(&s);
    memset(&s, 0xA5, sizeof s);
    assert_int_equal(ak_options_parse(rows, &s, NULL, NULL, arena, "r.yaml", NULL), AKIN_OK);
    assert_defaults(&s);
    assert_int_equal(parse(&s, "", &e), AKIN_OK);
    assert_defaults(&s);
    assert_int_equal(ak_options_defaults(NULL, &s, arena, NULL), AKIN_OK);
}

static void maps_set_every_type(void **state)
{
    (void)state;
    settings s;
    akin_error e = {0};
    assert_int_equal(parse(&s,
                           "{epochs: 1e2, any: 9007199254740993, dropout: 1, lr: -0.25, "
                           "shuffle: false, path: 2024, none: \"\", miner: all, type: x}",
                           &e),
                     AKIN_OK);
    assert_int_equal(s.epochs, 100);
    assert_int_equal(s.any, 9007199254740993);
    assert_true(s.dropout == 1 && s.lr == -0.25 && s.margin == 0.5);
    assert_false(s.shuffle);
    assert_string_equal(s.path, "2024");
    assert_string_equal(s.none, "");
    assert_int_equal(s.miner, 2);
    assert_int_equal(parse(&s, "path: null", &e), AKIN_OK);
    assert_null(s.path);
}

static void lists_come_in_every_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        int64_t count, items[3];
    } table[] = {
        {"sizes: [512, 256]", 2, {512, 256}},
        {"sizes: [1e2]", 1, {100}},
        {"sizes: []", 0, {0}},
        {"sizes: 7", 1, {7}},
        {"sizes: 1, 2,3", 3, {1, 2, 3}},
        {"sizes: \"[1 ,2 , 3 ]\"", 3, {1, 2, 3}},
        {"sizes: \"[]\"", 0, {0}},
        {"sizes: \" \"", 0, {0}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        settings s;
        akin_error e = {0};
        assert_int_equal(parse(&s, table[i].yaml, &e), AKIN_OK);
        assert_int_equal(s.sizes.count, table[i].count);
        for (int64_t k = 0; k < s.sizes.count; k++)
            assert_int_equal(s.sizes.items[k], table[i].items[k]);
    }
}

static void mistakes_are_named_with_place_and_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        int64_t line;
        const char *part;
    } table[] = {
        {"epochs: 0", 1, "r.yaml:1:1: \"epochs\" is 0, must be at least 1"},
        {"\ndropout: 1.7", 2, "r.yaml:2:1: \"dropout\" is 1.7, must be between 0 and 1"},
        {"margin: -2", 1, "must be between -1 and 2"},
        {"lr: .nan", 1, "\"lr\" is nan, must be a finite number"},
        {"lr: .inf", 1, "\"lr\" is inf, must be a finite number"},
        {"dropout: .nan", 1, "\"dropout\" is nan"},
        {"epochs: 1.5", 1, "\"epochs\" is a number, must be a whole number"},
        {"epochs: 1e300", 1, "must be a whole number"},
        {"epochs: many", 1, "\"epochs\" is \"many\", must be a whole number"},
        {"epochs: \"5\"", 1, "\"epochs\" is \"5\", must be a whole number"},
        {"epochs:", 1, "\"epochs\" is nothing (null), must be a whole number"},
        {"shuffle: no", 1, "\"shuffle\" is \"no\", must be true or false"},
        {"shuffle: 1", 1, "\"shuffle\" is a whole number, must be true or false"},
        {"path: [a]", 1, "\"path\" is a list, must be text"},
        {"path: \"a\\0b\"", 1, "must be text"},
        {"miner: soft", 1, "\"miner\" is \"soft\", must be hard, semi_hard or all"},
        {"miner: {}", 1, "\"miner\" is a map, must be text"},
        {"sizes: [512, 0]", 1, "r.yaml:1:1: \"sizes\" is 0, must be between 1 and 1000"},
        {"sizes: [512, x]", 1, "item 2 of \"sizes\" is x, must be a whole number"},
        {"sizes: [[512]]", 1, "item 1 of \"sizes\" is a list, must be a whole number"},
        {"sizes: 1.5", 1, "item 1 of \"sizes\" is a number, must be a whole number"},
        {"sizes: {a: 1}", 1, "\"sizes\" is a map, must be a list of whole numbers"},
        {"sizes:", 1, "\"sizes\" is nothing (null), must be a list of whole numbers"},
        {"sizes: 1,,2", 1, "\"sizes\" has \"\", must be a list of whole numbers"},
        {"sizes: \"1,2,\"", 1, "\"sizes\" has \"\", must be a list of whole numbers"},
        {"sizes: 1 2", 1, "\"sizes\" has \"1\", must be a list of whole numbers"},
        {"sizes: \"[1\"", 1, "\"sizes\" has \"[1\", must be"},
        {"sizes: \"1]\"", 1, "\"sizes\" has \"1\", must be"},
        {"weights: [1, x]", 1, "item 2 of \"weights\" is x, must be a number"},
        {"weights: [1, -0.5]", 1, "\"weights\" is -0.5, must be between 0 and 9"},
        {"weights: [.nan]", 1, "\"weights\" is nan, must be a finite number"},
        {"weights: 1;2", 1, "\"weights\" has \"1;2\", must be a list of numbers"},
        {"a: 1", 1, "r.yaml:1:1: \"a\" is not known, there are epochs, any, dropout"},
        {"x: {}\n", 1, "weights and type"},
        {"lr: 1\nepoch: 3", 2, "r.yaml:2:1: \"epoch\" is not known, did you mean \"epochs\"?"},
        {"tpye: x", 1, "did you mean \"type\"?"},
        {"- epochs", 1, "r.yaml:1:1: expected a map of options, found a list"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        settings s;
        akin_error e = {0};
        assert_int_equal(parse(&s, table[i].yaml, &e), AKIN_ERR_ARGUMENT);
        assert_int_equal(e.line, table[i].line);
        assert_says(&e, table[i].part);
    }
}

static void no_rows_know_no_member(void **state)
{
    (void)state;
    ak_value *map = ak_value_new_map(arena);
    akin_error e = {0};
    ak_value_add_int(arena, map, "x", 1);
    assert_int_equal(ak_options_parse(NULL, NULL, map, NULL, arena, "r", &e), AKIN_ERR_ARGUMENT);
    assert_says(&e, "\"x\" is not known: there are no options here");
}

static void flags_set_one_row(void **state)
{
    (void)state;
    static const struct {
        int row;
        const char *text, *message;
    } table[] = {
        {0, "12", NULL},
        {0, "1.0", "\"epochs\" is \"1.0\", must be a whole number"},
        {0, "-1", "\"epochs\" is -1, must be at least 1"},
        {2, "0.25", NULL},
        {2, "2", "must be between 0 and 1"},
        {2, "nan", "\"dropout\" is nan"},
        {2, "", "\"dropout\" is \"\", must be a number"},
        {5, "false", NULL},
        {5, "no", "must be true or false"},
        {6, "any thing", NULL},
        {8, "hard", NULL},
        {8, "har", "must be hard, semi_hard or all"},
        {8, "hard|all", "must be hard, semi_hard or all"},
        {9, "5,6", NULL},
        {9, "5,1001", "\"sizes\" is 1001, must be between 1 and 1000"},
        {11, "0.5, 1e-1", NULL},
        {9, "five", "\"sizes\" has \"five\", must be a list of whole numbers"},
    };
    settings s = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        akin_error e = {0};
        akin_status status = ak_option_set(&rows[table[i].row], &s, table[i].text, arena, &e);
        assert_int_equal(status, table[i].message ? AKIN_ERR_ARGUMENT : AKIN_OK);
        if (table[i].message)
            assert_says(&e, table[i].message);
    }
    assert_int_equal(s.epochs, 12);
    assert_true(s.dropout == 0.25);
    assert_false(s.shuffle);
    assert_string_equal(s.path, "any thing");
    assert_int_equal(s.miner, 0);
    assert_true(s.sizes.count == 2 && s.sizes.items[1] == 6);
    assert_true(s.weights.count == 2 && s.weights.items[0] == 0.5 && s.weights.items[1] == 0.1);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    settings s, back;
    akin_error e = {0};
    parse(&s,
          "{any: -9223372036854775808, lr: 0.1, path: null, miner: all, sizes: [3, 2], "
          "weights: [0.5, 2]}",
          &e);
    ak_value *map = ak_value_new_map(arena);
    assert_int_equal(ak_options_write(rows, &s, map, arena, NULL), AKIN_OK);
    char *json = ak_json_write(map, 0);
    assert_string_equal(json, "{\"epochs\": 3, \"any\": -9223372036854775808, \"dropout\": 0.0, "
                              "\"lr\": 0.1, \"margin\": 0.5, \"shuffle\": true, \"path\": null, "
                              "\"none\": null, \"miner\": \"all\", \"sizes\": [3, 2], "
                              "\"dims\": [64, 32], \"weights\": [0.5, 2.0]}");
    assert_int_equal(parse(&back, json, &e), AKIN_OK);
    assert_true(back.any == s.any && back.lr == s.lr && back.miner == 2 && !back.path);
    assert_true(back.sizes.count == 2 && back.sizes.items[1] == 2 && back.dims.count == 2);
    ak_free(json);
}

static void near_names_are_found(void **state)
{
    (void)state;
    static const char *const names[] = {"epochs", "batch_size", "patience", "lr", "k", NULL};
    static const struct {
        const char *text, *name;
    } table[] = {
        {"epoch", "epochs"},
        {"epohcs", "epochs"},
        {"bach-size", "batch_size"},
        {"BATCH_SIZE", "batch_size"},
        {"patients", "patience"},
        {"rl", "lr"},
        {"lrr", "lr"},
        {"xyz", NULL},
        {"batch", NULL},
        {"", NULL},
        {"kk", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *found = ak_nearest_name(table[i].text, names);
        if (table[i].name ? !found || strcmp(found, table[i].name) : found != NULL)
            fail_msg("\"%s\" is near \"%s\"", table[i].text, found ? found : "nothing");
    }
    char endless[1000];
    memset(endless, 'e', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    assert_null(ak_nearest_name(endless, names));
}

static void filled_structs_are_held_to_the_limits(void **state)
{
    (void)state;
    settings good;
    assert_int_equal(ak_options_defaults(rows, &good, arena, NULL), AKIN_OK);
    assert_int_equal(ak_options_check(rows, &good, NULL), AKIN_OK);
    assert_int_equal(ak_options_check(NULL, &good, NULL), AKIN_OK);
    settings bad[] = {good, good, good, good, good, good};
    static const int64_t sizes[] = {3, 0};
    bad[0].epochs = -4;
    bad[1].dropout = NAN;
    bad[2].margin = 3;
    bad[3].lr = INFINITY;
    bad[4].miner = 3;
    bad[5].sizes = (akin_ints){sizes, 2};
    static const char *const told[] = {
        "\"epochs\" is -4, must be at least 1",
        "\"dropout\" is nan",
        "\"margin\" is 3, must be between -1 and 2",
        "\"lr\" is inf",
        "\"miner\" is 3, must be between 0 and 2 (hard|semi_hard|all)",
        "\"sizes\" is 0"};
    for (int i = 0; i < 6; i++) {
        akin_error error = {0};
        assert_int_equal(ak_options_check(rows, &bad[i], &error), AKIN_ERR_ARGUMENT);
        assert_says(&error, told[i]);
    }
}

/* ---- memory ---- */

static akin_status parse_and_write(void *user, akin_error *error)
{
    akin_arena *own;
    settings s;
    AK_TRY(ak_arena_create(&own, error));
    akin_status status = ak_options_parse(rows, &s, user, also, own, "r.yaml", error);
    ak_value *map = status ? NULL : ak_value_new_map(own);
    if (!status)
        status = ak_options_write(rows, &s, map, own, error);
    ak_arena_free(own);
    return status;
}

/* A mistake is told even if it takes memory to tell it, or it is out of memory. */
static akin_status tell_mistake(void *user, akin_error *error)
{
    settings s;
    akin_status status = ak_options_parse(rows, &s, user, also, arena, "r.yaml", error);
    return status == AKIN_ERR_ARGUMENT ? AKIN_OK : status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    ak_value *good = ak_value_new_map(arena), *bad = ak_value_new_map(arena);
    ak_value *choice = ak_value_new_map(arena);
    char path[5000];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = 0;
    ak_value_add_string(arena, good, "path", path);
    ak_value_add_int(arena, bad, "zzzzz", 1);
    ak_value_add_string(arena, choice, "miner", "none");
    assert_true(fail_each_allocation(parse_and_write, good) >= 3);
    assert_true(fail_each_allocation(tell_mistake, bad) >= 1);
    assert_true(fail_each_allocation(tell_mistake, choice) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_without_values_have_their_defaults),
        cmocka_unit_test(maps_set_every_type),
        cmocka_unit_test(lists_come_in_every_spelling),
        cmocka_unit_test(mistakes_are_named_with_place_and_remedy),
        cmocka_unit_test(no_rows_know_no_member),
        cmocka_unit_test(flags_set_one_row),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(near_names_are_found),
        cmocka_unit_test(filled_structs_are_held_to_the_limits),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, arena_make, arena_free);
}
