/* Fuzz target: JSON in and out. What was read must be written as JSON that says the same. */
#include "fuzz.h"

#include "base/base.h"

#include <string.h>

static void round_trip(akin_arena *arena, const uint8_t *data, size_t size)
{
    ak_value *value;
    akin_error error;
    if (ak_json_parse(&value, arena, (const char *)data, size, "fuzz", &error)) {
        FUZZ_CHECK(!value && error.status && *error.message);
        return;
    }
    char *once = ak_json_write(value, 0);
    FUZZ_CHECK(once);
    FUZZ_CHECK(!ak_json_parse(&value, arena, once, strlen(once), "fuzz", &error));
    char *twice = ak_json_write(value, 0);
    FUZZ_CHECK(twice && strcmp(once, twice) == 0);
    ak_free(once);
    ak_free(twice);
}

static void read_fields(akin_arena *arena, const uint8_t *data, size_t size)
{
    static const char *const fields[] = {"a", NULL, "b", "score"};
    ak_value found[4];
    akin_error error;
    if (ak_json_fields((const char *)data, size, fields, 4, found, arena, "fuzz", 1, &error))
        FUZZ_CHECK(error.status && *error.message);
    for (int i = 0; i < 4; i++)
        FUZZ_CHECK(found[i].kind != AK_LIST && found[i].kind != AK_MAP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    akin_arena *arena;
    FUZZ_CHECK(!ak_arena_create(&arena, NULL));
    round_trip(arena, data, size);
    read_fields(arena, data, size);
    ak_arena_free(arena);
    return 0;
}
