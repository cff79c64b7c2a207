/* What the tests of tokenizers share: a temporary folder with files of a tokenizer. */
#ifndef AK_TESTS_TOKENIZER_SCENE_H
#define AK_TESTS_TOKENIZER_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

typedef struct scene {
    char folder[64]; /* temporary */
    akin_arena *arena;
} scene;

static inline char *data_path(const char *name)
{
    const char *root = getenv("AKIN_TEST_DATA");
    return ak_format("%s/tokenizer/%s", root ? root : "tests/data", name);
}

static inline int set_up(void **state)
{
    scene *s = calloc(1, sizeof *s);
    strcpy(s->folder, "/tmp/akin-tokenizer-XXXXXX");
    if (!mkdtemp(s->folder) || ak_arena_create(&s->arena, NULL))
        return -1;
    *state = s;
    return 0;
}

static inline int tear_down(void **state)
{
    scene *s = *state;
    ak_memory_fail_at(0);
    ak_remove_tree(s->folder);
    ak_arena_free(s->arena);
    free(s);
    return 0;
}

static inline void put_file(const scene *s, const char *name, const char *text, size_t size)
{
    akin_error error = {0};
    char *path = ak_path_join(s->folder, name);
    if (ak_file_write(path, text, size, &error))
        fail_msg("%s", error.message);
    ak_free(path);
}

static inline void remove_file(const scene *s, const char *name)
{
    char *path = ak_path_join(s->folder, name);
    assert_int_equal(ak_file_remove(path, NULL), AKIN_OK);
    ak_free(path);
}

/* A golden tokenizer.json as the only file of the temporary folder. */
static inline ak_tokenizer *load_golden(const scene *s, const char *name)
{
    akin_error error = {0};
    char *file = ak_format("%s.json", name), *path = data_path(file);
    ak_map map;
    assert_int_equal(ak_map_open(&map, path, &error), AKIN_OK);
    put_file(s, "tokenizer.json", map.data, map.size);
    ak_map_close(&map);
    ak_free(path);
    ak_free(file);
    ak_tokenizer *t;
    if (ak_tokenizer_load(&t, s->folder, &error))
        fail_msg("%s", error.message);
    return t;
}

static inline ak_tokenizer *load(const scene *s)
{
    akin_error error = {0};
    ak_tokenizer *t;
    if (ak_tokenizer_load(&t, s->folder, &error))
        fail_msg("%s", error.message);
    return t;
}

#endif
