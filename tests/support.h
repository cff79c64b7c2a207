/* What every test program needs: cmocka, a scratch folder, allocations that fail one by one. */
#ifndef AK_TESTS_SUPPORT_H
#define AK_TESTS_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define UNUSED __attribute__((unused))

/* A folder of this program's own, removed at its end. */
UNUSED static char scratch[256];

UNUSED static int scratch_make(void **state)
{
    (void)state;
    ak_memory_fail_at(0); /* a failed test may have left it on */
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/akin-test-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

UNUSED static int scratch_remove(void **state)
{
    (void)state;
    ak_remove_tree(scratch);
    return 0;
}

/* A name in the scratch folder; good until the eighth call after. */
UNUSED static const char *scratch_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

UNUSED static void write_text(const char *path, const char *text)
{
    assert_int_equal(ak_file_write(path, text, strlen(text), NULL), AKIN_OK);
}

UNUSED static void assert_file_holds(const char *path, const char *text)
{
    ak_map map;
    assert_int_equal(ak_map_open(&map, path, NULL), AKIN_OK);
    assert_int_equal(map.size, strlen(text));
    assert_memory_equal(map.data, text, map.size);
    ak_map_close(&map);
}

UNUSED static void assert_says(const akin_error *error, const char *part)
{
    if (!strstr(error->message, part))
        fail_msg("message \"%s\" lacks \"%s\"", error->message, part);
}

/* Runs `attempt` with the first allocation failing, then the second, ... until it succeeds. Each
   failure must be AKIN_ERR_MEMORY with a message. Returns how many allocations were made to fail.
 */
typedef akin_status attempt(void *user, akin_error *error);

UNUSED static int64_t fail_each_allocation(attempt *run, void *user)
{
    for (int64_t n = 1;; n++) {
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = run(user, &error);
        ak_memory_fail_at(0);
        if (status == AKIN_OK)
            return n - 1;
        if (status != AKIN_ERR_MEMORY || error.status != status || !*error.message)
            fail_msg("allocation %lld failing gave \"%s\" (%s)", (long long)n,
                     akin_status_name(status), error.message);
        assert_true(n < 100000);
    }
}

#endif
