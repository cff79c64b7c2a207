/* A text that grows in an arena. */
#ifndef AK_TEXT_BUILDER_H
#define AK_TEXT_BUILDER_H

#include "base/base.h"

#include <string.h>

typedef struct ak_builder {
    akin_arena *arena;
    char *out; /* NULL: out of memory */
    size_t size, capacity;
} ak_builder;

static inline ak_builder ak_builder_new(akin_arena *arena, size_t capacity)
{
    return (ak_builder){arena, akin_arena_alloc(arena, capacity), 0, capacity};
}

static inline void ak_builder_put(ak_builder *w, const char *text, size_t size)
{
    if (w->out && w->capacity - w->size < size) {
        w->capacity = 2 * w->capacity + size;
        char *fresh = akin_arena_alloc(w->arena, w->capacity);
        if (fresh)
            memcpy(fresh, w->out, w->size);
        w->out = fresh;
    }
    if (w->out)
        memcpy(w->out + w->size, text, size);
    w->size += size;
}

#endif
