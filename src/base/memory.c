/* The allocator. Every block is 64-byte aligned (a cache line, an AVX-512 register). */
#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

static atomic_llong allocations;
static atomic_llong fail_at;

int64_t ak_memory_fail_at(int64_t n)
{
    atomic_store(&fail_at, n);
    return atomic_exchange(&allocations, 0);
}

static bool refused(void)
{
    long long number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    long long limit = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return limit > 0 && number >= limit;
}

void *ak_alloc(size_t size)
{
    if (refused() || size > PTRDIFF_MAX - ALIGNMENT)
        return NULL;
    size_t rounded = (size + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    return aligned_alloc(ALIGNMENT, rounded);
}

void *ak_alloc_large(size_t size)
{
    if (size < HUGE_PAGE || size > PTRDIFF_MAX - HUGE_PAGE)
        return ak_alloc(size);
    if (refused())
        return NULL;
    void *memory; /* aligned_alloc would want whole pages */
    if (posix_memalign(&memory, HUGE_PAGE, size))
        return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(memory, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* only a wish */
#endif
    return memory;
}

void *ak_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *memory = ak_alloc(bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void *ak_resize(void *memory, size_t old_size, size_t new_size)
{
    void *fresh = ak_alloc(new_size);
    if (!fresh)
        return NULL;
    if (memory)
        memcpy(fresh, memory, old_size < new_size ? old_size : new_size);
    ak_free(memory);
    return fresh;
}

char *ak_strndup(const char *text, size_t length)
{
    char *copy = ak_alloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

char *ak_strdup(const char *text)
{
    return ak_strndup(text, strlen(text));
}

void ak_free(void *memory)
{
    free(memory);
}

char *ak_format(const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : ak_alloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

akin_status ak_grow(void *array_pointer, int64_t count, int64_t *capacity, size_t element,
                    akin_error *error)
{
    if (count < *capacity)
        return AKIN_OK;
    void *old;
    memcpy(&old, array_pointer, sizeof old);
    int64_t wanted = *capacity < 16 ? 16 : *capacity * 2;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)wanted, element, &bytes))
        return ak_fail_memory(error);
    void *fresh = ak_resize(old, (size_t)*capacity * element, bytes);
    if (!fresh)
        return ak_fail_memory(error);
    memcpy(array_pointer, &fresh, sizeof fresh);
    *capacity = wanted;
    return AKIN_OK;
}
