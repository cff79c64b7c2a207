/* What the tests of data share: a folder of their own, small files in it, and a data set as text.
 */
#ifndef AKIN_TEST_DATA_FILES_H
#define AKIN_TEST_DATA_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "assert_ok.h"
#include "data/data.h"

static char test_folder[64];

static inline int make_test_folder(void **state)
{
    (void)state;
    strcpy(test_folder, "/tmp/akin-test-XXXXXX");
    return mkdtemp(test_folder) ? 0 : -1;
}

static inline int remove_test_folder(void **state)
{
    (void)state;
    ak_remove_tree(test_folder);
    return 0;
}

/* The path of a file in the test's folder; valid until the call after the next three. */
static inline const char *test_path(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", test_folder, name);
    return path;
}

static inline const char *write_bytes(const char *name, const void *data, size_t size)
{
    const char *path = test_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline const char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, strlen(text));
}

/* "a|b|score|subgroup\n" or "object|group\n" for every sample; NUL bytes are shown as ~. */
static inline char *dataset_text(const akin_dataset *dataset)
{
    ak_text text = {0};
    akin_arena *arena;
    assert_ok(ak_arena_create(&arena, told));
    for (int64_t i = 0; i < akin_dataset_count(dataset); i++) {
        akin_sample s;
        ak_arena_reset(arena);
        assert_ok(akin_dataset_get(dataset, i, arena, &s, told));
        if (akin_dataset_kind(dataset) == AKIN_PAIRS) {
            ak_text_add(&text, s.pair.a.data, s.pair.a.size);
            ak_text_add(&text, "|", 1);
            ak_text_add(&text, s.pair.b.data, s.pair.b.size);
            ak_text_printf(&text, "|%g|%lld\n", (double)s.pair.score, (long long)s.pair.subgroup);
        } else {
            ak_text_add(&text, s.group.object.data, s.group.object.size);
            ak_text_printf(&text, "|%lld\n", (long long)s.group.group);
        }
    }
    ak_arena_free(arena);
    for (size_t i = 0; i < text.size; i++)
        if (!text.data[i])
            text.data[i] = '~';
    return text.data;
}

/* Opens and reads to the first error. */
static inline akin_status read_whole(const char *path, akin_sample_kind kind,
                                     const akin_fields *fields, const char *cache,
                                     akin_error *error)
{
    akin_dataset *dataset;
    akin_arena *arena;
    akin_status status = ak_dataset_open_file(&dataset, path, kind, fields, cache, error);
    if (status) {
        assert_null(dataset);
        return status;
    }
    status = ak_arena_create(&arena, error);
    for (int64_t i = 0; !status && i < akin_dataset_count(dataset); i++) {
        akin_sample sample;
        status = akin_dataset_get(dataset, i, arena, &sample, error);
    }
    ak_arena_free(arena);
    akin_dataset_free(dataset);
    return status;
}

#endif
