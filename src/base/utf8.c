/* UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF (Unicode 15, table
   3-7). An invalid sequence is replaced as the WHATWG decoder does: one U+FFFD for each maximal
   part that could have begun a character, so that the result equals Python's errors="replace". */
#include "base/text.h"

#include <string.h>

/* Length of the sequence that a lead byte announces, and the range of its second byte. */
static int lead_byte(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    return c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* *used: bytes of the character, or of the part to replace when the result is false. */
static bool decode(const unsigned char *text, size_t size, uint32_t *point, int *used)
{
    static const unsigned char mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    unsigned char low, high;
    int length = lead_byte(text[0], &low, &high);
    *used = 1;
    if (length == 0)
        return false;
    uint32_t value = text[0] & mask[length];
    while (*used < length) {
        if ((size_t)*used >= size || text[*used] < low || text[*used] > high)
            return false;
        value = value << 6 | (text[*used] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
        ++*used;
    }
    *point = value;
    return true;
}

int ak_utf8_decode(const char *text, size_t size, uint32_t *point)
{
    int used;
    return decode((const unsigned char *)text, size, point, &used) ? used : 0;
}

int ak_utf8_encode(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

size_t ak_utf8_valid(const char *text, size_t size)
{
    size_t i = 0;
    while (i < size) {
        uint64_t word;
        if (size - i >= sizeof word) {
            memcpy(&word, text + i, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                i += sizeof word;
                continue;
            }
        }
        uint32_t point;
        int length = ak_utf8_decode(text + i, size - i, &point);
        if (!length)
            break;
        i += (size_t)length;
    }
    return i;
}

/* Counts the replacements and the bytes of the result; writes it when `out` is given. */
static size_t repair(const char *text, size_t size, char *out, int64_t *replaced)
{
    size_t written = 0;
    *replaced = 0;
    for (size_t i = 0; i < size;) {
        uint32_t point;
        int used;
        bool valid = decode((const unsigned char *)text + i, size - i, &point, &used);
        int length = valid ? used : 3;
        if (out)
            memcpy(out + written, valid ? text + i : "\xEF\xBF\xBD", (size_t)length);
        *replaced += !valid;
        written += (size_t)length;
        i += (size_t)used;
    }
    return written;
}

const char *ak_utf8_repair(const char *text, size_t size, size_t *new_size, int64_t *replaced,
                           akin_arena *arena)
{
    *replaced = 0;
    *new_size = size;
    if (ak_utf8_valid(text, size) == size)
        return text;
    size_t wanted = repair(text, size, NULL, replaced);
    char *out = ak_arena_array(arena, (int64_t)wanted + 1, 1);
    if (!out)
        return NULL;
    *new_size = repair(text, size, out, replaced);
    out[wanted] = 0;
    return out;
}
