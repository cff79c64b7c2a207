/* Arena: a list of blocks, each at least twice the one before. A reset after growth joins them into
   one block of the total size, so that the next round of the same work allocates nothing. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ALIGNMENT 64
#define FIRST_BLOCK 4096

typedef struct block block;
struct block {
    block *next;
    size_t size; /* of the bytes after the header */
    size_t used;
};

#define HEADER ((sizeof(block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

struct akin_arena {
    block *blocks; /* the newest first */
    size_t total;  /* bytes of all blocks */
};

static char *block_bytes(block *b)
{
    return (char *)b + HEADER;
}

akin_status ak_arena_create(akin_arena **out, akin_error *error)
{
    *out = ak_calloc(1, sizeof **out);
    return *out ? AKIN_OK : ak_fail_memory(error);
}

static block *add_block(akin_arena *arena, size_t size)
{
    if (size > PTRDIFF_MAX - HEADER)
        return NULL;
    block *b = ak_alloc_large(HEADER + size);
    if (!b)
        return NULL;
    *b = (block){.next = arena->blocks, .size = size};
    arena->blocks = b;
    arena->total += size;
    return b;
}

/* `alignment` is a power of two up to 64. */
static void *take(akin_arena *arena, size_t size, size_t alignment)
{
    if (size > PTRDIFF_MAX - ALIGNMENT)
        return NULL;
    block *b = arena->blocks;
    size_t start = b ? (b->used + alignment - 1) & ~(alignment - 1) : 0;
    if (!b || start > b->size || b->size - start < size) {
        size_t wanted = arena->total > FIRST_BLOCK ? arena->total : FIRST_BLOCK;
        b = add_block(arena, size > wanted ? size : wanted);
        if (!b)
            return NULL;
        start = 0;
    }
    b->used = start + size;
    return block_bytes(b) + start;
}

void *akin_arena_alloc(akin_arena *arena, size_t size)
{
    return take(arena, size, ALIGNMENT);
}

void *ak_arena_small(akin_arena *arena, size_t size)
{
    return take(arena, size, sizeof(void *));
}

static void free_blocks(akin_arena *arena)
{
    while (arena->blocks) {
        block *next = arena->blocks->next;
        ak_free(arena->blocks);
        arena->blocks = next;
    }
    arena->total = 0;
}

void ak_arena_reset(akin_arena *arena)
{
    if (arena->blocks && arena->blocks->next) {
        size_t total = arena->total;
        free_blocks(arena);
        add_block(arena, total); /* if this fails the next allocation tries again */
    }
    if (arena->blocks)
        arena->blocks->used = 0;
}

void ak_arena_free(akin_arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena);
    ak_free(arena);
}

size_t ak_arena_used(const akin_arena *arena)
{
    size_t used = 0;
    for (const block *b = arena->blocks; b; b = b->next)
        used += b->used;
    return used;
}

void *ak_arena_array(akin_arena *arena, int64_t count, size_t element)
{
    size_t bytes;
    if (count < 0 || __builtin_mul_overflow((size_t)count, element, &bytes))
        return NULL;
    return akin_arena_alloc(arena, bytes);
}

char *ak_arena_copy(akin_arena *arena, const void *data, size_t size)
{
    char *copy = size < PTRDIFF_MAX ? take(arena, size + 1, 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, data, size);
    copy[size] = 0;
    return copy;
}

char *ak_arena_format(akin_arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : take(arena, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
