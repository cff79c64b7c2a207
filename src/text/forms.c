/* Normal forms, by the three steps of UAX 15: decompose every code point, sort runs of marks by
   their combining class, and (NFC, NFKC) compose again. ASCII characters begin a new stretch:
   nothing before one changes with what comes after. */
#include "text/forms.h"

#include "text/builder.h"
#include "text/unicode.h"

/* The code points of a stretch. */
typedef struct points {
    akin_arena *arena;
    uint32_t *items; /* NULL: out of memory */
    size_t count, capacity;
} points;

static void add(points *p, const uint32_t *parts, int count)
{
    if (p->items && p->capacity - p->count < (size_t)count) {
        p->capacity = 2 * p->capacity + (size_t)count;
        uint32_t *fresh = ak_arena_new(p->arena, uint32_t, (int64_t)p->capacity);
        if (fresh)
            memcpy(fresh, p->items, p->count * sizeof *fresh);
        p->items = fresh;
    }
    if (!p->items)
        return;
    memcpy(p->items + p->count, parts, (size_t)count * sizeof *parts);
    p->count += (size_t)count;
}

/* Merge sort, since a run may be as long as the text: stable, and linear where it is sorted. */
static void sort_marks(uint32_t *marks, size_t count, uint32_t *scratch)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t begin = 0; begin + width < count; begin += 2 * width) {
            size_t middle = begin + width, end = middle + width < count ? middle + width : count;
            size_t i = begin, j = middle, k = begin;
            if (ak_char_combining_class(marks[middle - 1]) <=
                ak_char_combining_class(marks[middle]))
                continue;
            while (k < end)
                scratch[k++] = j == end || (i < middle && ak_char_combining_class(marks[i]) <=
                                                              ak_char_combining_class(marks[j]))
                                   ? marks[i++]
                                   : marks[j++];
            memcpy(marks + begin, scratch + begin, (end - begin) * sizeof *marks);
        }
    }
}

static void order(points *p)
{
    uint32_t *scratch = p->items ? ak_arena_new(p->arena, uint32_t, (int64_t)p->count + 1) : NULL;
    if (!scratch) {
        p->items = NULL;
        return;
    }
    for (size_t begin = 0; begin < p->count; begin++) {
        size_t end = begin;
        while (end < p->count && ak_char_combining_class(p->items[end]))
            end++;
        sort_marks(p->items + begin, end - begin, scratch);
        begin = end;
    }
}

/* A code point joins the last one of class 0 before it, unless one of as high a class stands
 * between. */
static void compose(points *p)
{
    size_t used = 0, starter = SIZE_MAX;
    int last = 0; /* class of what stands before */
    for (size_t i = 0; i < p->count; i++) {
        uint32_t point = p->items[i], both = 0;
        int combining = ak_char_combining_class(point);
        if (starter != SIZE_MAX && (used == starter + 1 || last < combining))
            both = ak_char_compose(p->items[starter], point);
        if (both) {
            p->items[starter] = both;
            continue;
        }
        if (!combining)
            starter = used;
        last = combining;
        p->items[used++] = point;
    }
    p->count = used;
}

/* The stretch's bytes from `at` on: one ASCII character at most, and what follows up to the next.
 */
static size_t stretch_end(const char *text, size_t size, size_t at)
{
    do
        at++;
    while (at < size && (unsigned char)text[at] >= 0x80);
    return at;
}

static void put_stretch(ak_builder *w, points *p, ak_form form, const char *text, size_t size)
{
    bool compatible = form == AK_NFKC || form == AK_NFKD;
    p->count = 0;
    for (size_t at = 0; at < size;) {
        uint32_t point, parts[AK_CHAR_PARTS];
        at += (size_t)ak_char_read(text + at, &point);
        add(p, parts, ak_char_decompose(point, compatible, parts));
    }
    order(p);
    if (p->items && (form == AK_NFC || form == AK_NFKC))
        compose(p);
    for (size_t i = 0; p->items && i < p->count; i++) {
        char bytes[4];
        ak_builder_put(w, bytes, (size_t)ak_utf8_encode(p->items[i], bytes));
    }
}

const char *ak_form_apply(ak_form form, const char *text, size_t size, size_t *new_size,
                          akin_arena *arena)
{
    size_t plain = 0; /* bytes that stay: an ASCII character before another, or at the end */
    while (plain < size && (unsigned char)text[plain] < 0x80)
        plain++;
    *new_size = size;
    if (plain == size)
        return text;
    enum { FEW = 64 };
    points p = {arena, ak_arena_new(arena, uint32_t, FEW), 0, FEW};
    ak_builder w = ak_builder_new(arena, size + size / 2 + 16);
    for (size_t at = 0, end; at < size && p.items && w.out; at = end) {
        end = stretch_end(text, size, at);
        if (end == at + 1)
            ak_builder_put(&w, text + at, 1);
        else
            put_stretch(&w, &p, form, text + at, end - at);
    }
    *new_size = w.size;
    return p.items ? w.out : NULL;
}
