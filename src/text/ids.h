/* The ids of one text while they are found: a list in an arena, up to a limit. */
#ifndef AK_TEXT_IDS_H
#define AK_TEXT_IDS_H

#include "base/base.h"

#include <string.h>

typedef struct ak_ids {
    akin_arena *arena;
    int32_t *items;
    int64_t count, capacity;
    int64_t limit; /* more ids than that need not be found */
    bool failed;   /* out of memory */
} ak_ids;

static inline bool ak_ids_done(const ak_ids *ids)
{
    return ids->failed || ids->count > ids->limit;
}

/* Room for `wanted` more ids. */
static inline bool ak_ids_room(ak_ids *ids, size_t wanted)
{
    if (ids->capacity - ids->count >= (int64_t)wanted)
        return true;
    int64_t capacity = ids->capacity * 2 + (int64_t)wanted;
    int32_t *fresh = ak_arena_new(ids->arena, int32_t, capacity);
    if (!fresh) {
        ids->failed = true;
        return false;
    }
    memcpy(fresh, ids->items, (size_t)ids->count * sizeof *fresh);
    ids->items = fresh;
    ids->capacity = capacity;
    return true;
}

static inline void ak_ids_put(ak_ids *ids, int32_t id)
{
    if (ak_ids_room(ids, 1))
        ids->items[ids->count++] = id;
}

#endif
