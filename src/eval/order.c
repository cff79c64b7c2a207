/* Radix sort of float32 by their bits: a bootstrap sorts thousands of times. */
#include "eval/order.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { DIGIT = 11, PASSES = 3, BUCKETS = 1 << DIGIT };

typedef struct item {
    uint32_t key, number;
} item;

/* Falling values become rising keys. -0 and 0 are equal. */
static uint32_t key_of(float value)
{
    uint32_t bits;
    value += 0.0f;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? bits : 0x7fffffffu - bits;
}

static void sort_by_digit(const item *from, item *to, int64_t n, int shift)
{
    uint32_t starts[BUCKETS] = {0}, total = 0;
    for (int64_t i = 0; i < n; i++)
        starts[from[i].key >> shift & (BUCKETS - 1)]++;
    for (int b = 0; b < BUCKETS; b++) {
        uint32_t count = starts[b];
        starts[b] = total;
        total += count;
    }
    for (int64_t i = 0; i < n; i++)
        to[starts[from[i].key >> shift & (BUCKETS - 1)]++] = from[i];
}

akin_status ak_order_falling(uint32_t **order, const float *values, int64_t n, akin_arena *arena,
                             akin_error *error)
{
    *order = NULL;
    if (n >= UINT32_MAX)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "%" PRId64 " scored pairs: at most 2^32 - 2",
                       n);
    item *items = ak_arena_new(arena, item, n), *other = ak_arena_new(arena, item, n);
    uint32_t *out = ak_arena_new(arena, uint32_t, n);
    if (!items || !other || !out)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++)
        items[i] = (item){key_of(values[i]), (uint32_t)i};
    for (int pass = 0; pass < PASSES; pass++) {
        sort_by_digit(items, other, n, pass * DIGIT);
        item *swap = items;
        items = other;
        other = swap;
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = items[i].number;
    *order = out;
    return AKIN_OK;
}

bool ak_any_nan(const float *values, int64_t n)
{
    bool any = false;
    for (int64_t i = 0; i < n; i++)
        any |= isnan(values[i]);
    return any;
}
