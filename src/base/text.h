/* Text and numbers without the locale. */
#ifndef AK_BASE_TEXT_H
#define AK_BASE_TEXT_H

#include "base/memory.h"

/* Whole text to number; false when there is anything else in it, or on overflow. */
bool ak_text_to_int(const char *text, int64_t *out);
bool ak_text_to_double(const char *text, double *out); /* also nan, inf: the caller judges */
/* Shortest text that reads back as the same double; `out` has room for 32 bytes. */
void ak_double_to_text(double number, char out[32]);
void ak_float_to_text(float number, char out[32]); /* the same for float32 */

/* UTF-8. Decodes one code point at text[0..size), size > 0; returns its length, or 0 when invalid.
 */
int ak_utf8_decode(const char *text, size_t size, uint32_t *point);
int ak_utf8_encode(uint32_t point, char out[4]);     /* point: a valid one */
size_t ak_utf8_valid(const char *text, size_t size); /* bytes before the first invalid sequence */
/* Copies text with every invalid byte sequence replaced by U+FFFD (as the WHATWG decoder does);
 *replaced is how many. Returns the text itself when it was valid. NULL when out of memory. */
const char *ak_utf8_repair(const char *text, size_t size, size_t *new_size, int64_t *replaced,
                           akin_arena *arena);

/* Growing text; free with ak_free(text->data). Failure is kept and told once by `failed`. */
typedef struct ak_text {
    char *data; /* NUL-terminated, NULL while empty */
    size_t size, capacity;
    bool failed;
} ak_text;
void ak_text_add(ak_text *text, const char *data, size_t size);
void ak_text_printf(ak_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
