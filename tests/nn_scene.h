/* What the tests of nn share: an arena for each test, noise, and numbers that are near. */
#ifndef AK_TESTS_NN_SCENE_H
#define AK_TESTS_NN_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"

static akin_arena *arena;
static akin_error error;

static int open_arena(void **state)
{
    (void)state;
    return ak_arena_create(&arena, &error);
}

static int close_arena(void **state)
{
    (void)state;
    ak_arena_free(arena);
    return 0;
}

static float noise(uint64_t stream, int64_t i)
{
    return (float)(2 * ak_random_uniform(7, stream, (uint64_t)i) - 1);
}

static void assert_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("got %.9g, expected %.9g", got, expected);
}

#endif
