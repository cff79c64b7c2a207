/* A charsmap is the size of a trie in bytes, the trie (a double array of Yata's, as in darts-clone:
   32 bits a unit) and the texts that its leaves point at, each with a NUL. As in `tokenizers`, a
   grapheme of up to five bytes is looked up whole, else character by character, and the shortest
   match of a lookup replaces all of it. */
#include "text/charsmap.h"

#include "text/builder.h"
#include "text/unicode.h"

#include <utf8proc.h>

struct ak_charsmap {
    const uint32_t *units;
    size_t unit_count;
    const char *texts; /* ends with a NUL */
    size_t texts_size;
    ak_hash hash;
};

/* ---- reading ---- */

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Returns the number of bytes; SIZE_MAX when it is no base64. */
static size_t decode_base64(const char *text, unsigned char *out)
{
    size_t used = 0;
    uint32_t bits = 0;
    int held = 0;
    for (; *text && *text != '='; text++) {
        int digit = digit_of(*text);
        if (digit < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[used++] = (unsigned char)(bits >> held);
        }
    }
    return used;
}

akin_status ak_charsmap_create(ak_charsmap **out, akin_arena *arena, const char *base64,
                               const char *name, akin_error *error)
{
    *out = NULL;
    ak_charsmap *map = ak_arena_new(arena, ak_charsmap, 1);
    unsigned char *bytes = akin_arena_alloc(arena, strlen(base64) + 8);
    if (!map || !bytes)
        return ak_fail_memory(error);
    size_t size = decode_base64(base64, bytes);
    uint32_t trie = 0;
    if (size != SIZE_MAX && size >= 4)
        memcpy(&trie, bytes, 4);
    if (size == SIZE_MAX || size < 8 || trie < 4 || trie % 4 || trie > size - 4)
        return ak_fail_at(
            error, AKIN_ERR_FORMAT, name, 0,
            "\"precompiled_charsmap\" is damaged: expected base64 of a trie and texts");
    memmove(bytes, bytes + 4, size - 4); /* the units are aligned there */
    bytes[size - 4] = 0;
    *map = (ak_charsmap){.units = (const uint32_t *)(void *)bytes,
                         .unit_count = trie / 4,
                         .texts = (const char *)bytes + trie,
                         .texts_size = size - 4 - trie,
                         .hash = ak_hash_bytes(bytes, size - 4)};
    if (ak_utf8_valid(map->texts, map->texts_size) != map->texts_size)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0,
                          "\"precompiled_charsmap\" holds texts that are not UTF-8");
    *out = map;
    return AKIN_OK;
}

ak_hash ak_charsmap_hash(const ak_charsmap *map)
{
    return map->hash;
}

/* ---- looking up ---- */

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* What the shortest prefix of the key becomes; NULL: no prefix is there. */
static const char *find(const ak_charsmap *map, const char *key, size_t size)
{
    size_t at = offset_of(map->units[0]);
    for (size_t i = 0; i < size && key[i]; i++) {
        unsigned char byte = (unsigned char)key[i];
        at ^= byte;
        if (at >= map->unit_count)
            return NULL;
        uint32_t unit = map->units[at];
        if ((unit & (1u << 31 | 0xFF)) != byte)
            return NULL;
        at ^= offset_of(unit);
        if (unit >> 8 & 1) {
            size_t text = at < map->unit_count ? map->units[at] & 0x7FFFFFFF : SIZE_MAX;
            return text < map->texts_size && ((unsigned char)map->texts[text] & 0xC0) != 0x80
                       ? map->texts + text
                       : NULL;
        }
    }
    return NULL;
}

static void put_grapheme(const ak_charsmap *map, ak_builder *w, const char *text, size_t size)
{
    const char *whole = size < 6 ? find(map, text, size) : NULL;
    if (whole) {
        ak_builder_put(w, whole, strlen(whole));
        return;
    }
    for (size_t at = 0; at < size;) {
        uint32_t point;
        size_t length = (size_t)ak_char_read(text + at, &point);
        const char *one = find(map, text + at, length);
        ak_builder_put(w, one ? one : text + at, one ? strlen(one) : length);
        at += length;
    }
}

/* `tokenizers` parts graphemes by Unicode 17: marks that utf8proc 2.8 does not know yet. */
static const uint32_t young_marks[][2] = {
    {0x897, 0x897},     {0x1ACF, 0x1ADD},   {0x1AE0, 0x1AEB},   {0x10D69, 0x10D6D},
    {0x10EFA, 0x10EFC}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5},
    {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2}, {0x113E1, 0x113E2},
    {0x11B60, 0x11B67}, {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F}, {0x1E5EE, 0x1E5EF},
    {0x1E6E3, 0x1E6E3}, {0x1E6E6, 0x1E6E6}, {0x1E6EE, 0x1E6EF}, {0x1E6F5, 0x1E6F5},
};

/* A code point that utf8proc treats as Unicode 17 does this one. */
static utf8proc_int32_t stand_in(uint32_t point)
{
    if (point == 0x113D1) /* it stands before what it belongs to */
        return 0x600;
    if (point == 0x11A3A) /* it does so no longer */
        return 'a';
    for (size_t i = 0; i < sizeof young_marks / sizeof *young_marks; i++)
        if (point >= young_marks[i][0] && point <= young_marks[i][1])
            return 0x300;
    return (utf8proc_int32_t)point;
}

/* End of the grapheme at `at`. */
static size_t grapheme_end(const char *text, size_t size, size_t at)
{
    uint32_t point, next;
    utf8proc_int32_t state = 0;
    at += (size_t)ak_char_read(text + at, &point);
    while (at < size) {
        size_t length = (size_t)ak_char_read(text + at, &next);
        if (utf8proc_grapheme_break_stateful(stand_in(point), stand_in(next), &state))
            break;
        point = next;
        at += length;
    }
    return at;
}

char *ak_charsmap_apply(const ak_charsmap *map, const char *text, size_t size, size_t *new_size,
                        akin_arena *arena)
{
    ak_builder w = ak_builder_new(arena, size + size / 4 + 16);
    for (size_t at = 0; w.out && at < size;) {
        size_t end = grapheme_end(text, size, at);
        put_grapheme(map, &w, text + at, end - at);
        at = end;
    }
    *new_size = w.size;
    return w.out;
}
