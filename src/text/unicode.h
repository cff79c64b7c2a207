/* Code points as BERT's tokenizers see them. Hugging Face's `tokenizers` (0.23) mixes three ages of
   Unicode: categories of 8.0, decomposition and combining classes of 9.0, lower case of 17,
   and 16.0 in regular expressions. We get the same from utf8proc and the short tables in unicode.c.
 */
#ifndef AK_TEXT_UNICODE_H
#define AK_TEXT_UNICODE_H

#include "base/base.h"

typedef enum ak_char_kind { AK_CHAR_WORD, AK_CHAR_SPACE, AK_CHAR_PUNCTUATION } ak_char_kind;

/* How the pre-tokenizer splits: spaces part words, punctuation (all ASCII symbols too) stands
   alone. */
ak_char_kind ak_char_kind_of(uint32_t point);

bool ak_char_is_space(uint32_t point);   /* White_Space */
bool ak_char_is_dropped(uint32_t point); /* clean_text: NUL, U+FFFD, Cc but \t\n\r, Cf, Co, Cs */
bool ak_char_is_chinese(uint32_t point); /* the blocks that BERT parts from their neighbours */
bool ak_char_is_mark(uint32_t point);    /* strip_accents: nonspacing mark (Mn) */
bool ak_char_is_word(uint32_t point);    /* \w of a regular expression, for single_word */
bool ak_char_is_letter(uint32_t point);  /* \p{L} */
bool ak_char_is_number(uint32_t point);  /* \p{N} */

/* Decomposition of one code point, canonical (NFD) or `compatible` (NFKD); returns its length. */
#define AK_CHAR_PARTS 18
int ak_char_decompose(uint32_t point, bool compatible, uint32_t parts[AK_CHAR_PARTS]);
/* The code point that the two become in NFC; 0: they stay two. */
uint32_t ak_char_compose(uint32_t first, uint32_t second);
int ak_char_combining_class(uint32_t point);

/* Full lower case without context; returns its length. */
int ak_char_lower(uint32_t point, uint32_t lower[2]);

/* One code point of valid UTF-8; returns its length. */
static inline int ak_char_read(const char *text, uint32_t *point)
{
    const unsigned char *b = (const unsigned char *)text;
    if (b[0] < 0x80) {
        *point = b[0];
        return 1;
    }
    if (b[0] < 0xE0) {
        *point = (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
        return 2;
    }
    if (b[0] < 0xF0) {
        *point = (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
        return 3;
    }
    *point = (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 | (b[3] & 0x3Fu);
    return 4;
}

#endif
