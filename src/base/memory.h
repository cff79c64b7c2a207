/* Memory: one allocator (so that a test can make the n-th allocation fail) and arenas. */
#ifndef AK_BASE_MEMORY_H
#define AK_BASE_MEMORY_H

#include "base/error.h"

/* 64-byte aligned, freed by ak_free. NULL when out of memory; size 0 gives a valid pointer. */
void *ak_alloc(size_t size);
/* The same, on huge pages if the system grants them: for what is read all over, again and again. */
void *ak_alloc_large(size_t size);
void *ak_calloc(size_t count, size_t size); /* zeroed, NULL on overflow too */
void *ak_resize(void *memory, size_t old_size, size_t new_size);
char *ak_strdup(const char *text);
char *ak_strndup(const char *text, size_t length);
void ak_free(void *memory);

/* A printf into fresh memory; NULL when out of memory. */
char *ak_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for one more element in a growing array: doubles `capacity` when `count` reached it.
 */
akin_status ak_grow(void *array_pointer, int64_t count, int64_t *capacity, size_t element,
                    akin_error *error);

/* Test hook: the n-th allocation from now (1-based) and every later one fails; 0 switches it off.
   Returns how many allocations were made since the last call. The library's only changing global.
 */
int64_t ak_memory_fail_at(int64_t n);

/* Arena (akin_arena of akin.h): allocations live until reset or free. Not thread-safe.
   After reset its memory is kept, so a steady state allocates nothing. */
akin_status ak_arena_create(akin_arena **out, akin_error *error);
void ak_arena_free(akin_arena *arena);
void ak_arena_reset(akin_arena *arena);
size_t ak_arena_used(const akin_arena *arena);
/* Aligned for pointers only: for the many small nodes of trees. Texts are not aligned at all. */
void *ak_arena_small(akin_arena *arena, size_t size);
char *ak_arena_copy(akin_arena *arena, const void *data, size_t size); /* adds a final NUL */
char *ak_arena_format(akin_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Typed: ak_arena_new(arena, float, n). Uninitialised; NULL when out of memory or n overflows. */
void *ak_arena_array(akin_arena *arena, int64_t count, size_t element);
#define ak_arena_new(arena, type, count) ((type *)ak_arena_array((arena), (count), sizeof(type)))

#endif
