/* Fuzz target: YAML, what may be done with its tree, and assignments to a member. */
#include "fuzz.h"

#include "base/base.h"

#include <string.h>

/* libfyaml 0.7 loses up to 2 kB when a text with '' in it is where an error is. */
AKIN_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so";
}

typedef struct settings {
    int64_t epochs;
    double lr;
    bool shuffle;
    const char *path;
    int kind;
    akin_ints sizes;
} settings;

static const akin_option rows[] = {
    {"epochs", AKIN_OPTION_INT, offsetof(settings, epochs), "3", "", NULL, 1, 1e6},
    {"lr", AKIN_OPTION_FLOAT, offsetof(settings, lr), "1e-3", "", NULL, 0, 0},
    {"shuffle", AKIN_OPTION_BOOL, offsetof(settings, shuffle), "true", "", NULL, 0, 0},
    {"path", AKIN_OPTION_STRING, offsetof(settings, path), NULL, "", NULL, 0, 0},
    {"kind", AKIN_OPTION_CHOICE, offsetof(settings, kind), "hard", "", "hard|all", 0, 0},
    {"sizes", AKIN_OPTION_INTS, offsetof(settings, sizes), "3, 2", "", NULL, 1, 1e6},
    {0},
};

static void parse(akin_arena *arena, const uint8_t *data, size_t size)
{
    ak_value *value;
    akin_error error;
    settings options;
    if (ak_yaml_parse(&value, arena, (const char *)data, size, "fuzz", &error)) {
        FUZZ_CHECK(!value && error.status && *error.message);
        return;
    }
    FUZZ_CHECK(value->line > 0 && value->column > 0);
    char *json = ak_json_write(value, 1);
    FUZZ_CHECK(json);
    FUZZ_CHECK(!ak_json_parse(&value, arena, json, strlen(json), "fuzz", &error));
    ak_free(json);
    if (!ak_options_parse(rows, &options, value, NULL, arena, "fuzz", &error))
        FUZZ_CHECK(options.epochs >= 1 && options.kind >= 0 && options.kind <= 1);
}

static void assign(akin_arena *arena, const uint8_t *data, size_t size)
{
    ak_value *root = ak_value_new_map(arena);
    const char *text = ak_arena_copy(arena, data, size);
    akin_error error;
    FUZZ_CHECK(root && text);
    if (ak_yaml_set(root, arena, text, &error))
        FUZZ_CHECK(error.status && *error.message);
    char *json = ak_json_write(root, 0);
    FUZZ_CHECK(json);
    ak_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    akin_arena *arena;
    FUZZ_CHECK(!ak_arena_create(&arena, NULL));
    parse(arena, data, size);
    assign(arena, data, size);
    ak_arena_free(arena);
    return 0;
}
