/* BertNormalizer: text to the normalised text that is split into words. */
#ifndef AK_TEXT_NORMALIZER_H
#define AK_TEXT_NORMALIZER_H

#include "text/unicode.h"

#define AK_TABLED 0x800 /* code points of one or two bytes are looked up */

typedef struct ak_normalizer {
    bool clean_text;           /* drops controls, makes every space ' ' */
    bool handle_chinese_chars; /* spaces around ideographs */
    bool strip_accents;        /* NFD without nonspacing marks */
    bool lowercase;
    uint16_t fold[AK_TABLED]; /* what a code point becomes, see normalizer.c */
    uint8_t kind[AK_TABLED];  /* ak_char_kind of normalised text */
} ak_normalizer;

/* Fills the tables from the four options. */
void ak_normalizer_prepare(ak_normalizer *normalizer);

/* Normalises valid UTF-8 into `out`, which has room for AK_NORMALIZED(size); returns the size. */
#define AK_NORMALIZED(size) ((size)*3 + 16)
size_t ak_normalize(const ak_normalizer *normalizer, const char *text, size_t size, char *out);

/* Kind of the character at text, and its length. */
static inline ak_char_kind ak_normalizer_kind(const ak_normalizer *normalizer, const char *text,
                                              int *length)
{
    uint32_t point;
    *length = ak_char_read(text, &point);
    return point < AK_TABLED ? (ak_char_kind)normalizer->kind[point] : ak_char_kind_of(point);
}

#endif
