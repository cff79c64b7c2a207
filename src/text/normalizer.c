/* BertNormalizer of Hugging Face's `tokenizers`, in its order: clean, part ideographs, NFD and drop
   nonspacing marks, lower case. All of it is a function of single code points but for one thing,
   the canonical order of combining marks (UAX 15, D109), which is restored in the output: a run of
   kept marks is sorted by class when it ends. Every step at most triples the bytes (a Hangul
   syllable, three bytes, becomes three letters of three bytes). */
#include "text/normalizer.h"

#include <string.h>

#define FOLD_DROP 0xFFFF    /* becomes nothing */
#define FOLD_COMPLEX 0xFFFE /* becomes more than one code point, or has a combining class */

/* Longer runs are left as they are: no word of so many characters is looked up (AK_WORD_LIMIT). */
#define RUN_LIMIT 1024

typedef struct writer {
    char *out;
    size_t size;
    size_t run_start; /* the current run of marks with a combining class */
    int run_class;    /* of its last mark, 0: no run */
    bool unordered;
} writer;

static void sort_run(char *run, size_t size)
{
    uint32_t points[RUN_LIMIT];
    uint8_t classes[RUN_LIMIT];
    int count = 0;
    for (size_t at = 0; at < size; count++) {
        if (count == RUN_LIMIT)
            return;
        uint32_t point;
        at += (size_t)ak_char_read(run + at, &point);
        int combining = ak_char_combining_class(point), i = count;
        for (; i > 0 && classes[i - 1] > combining; i--) {
            points[i] = points[i - 1];
            classes[i] = classes[i - 1];
        }
        points[i] = point;
        classes[i] = (uint8_t)combining;
    }
    for (int i = 0; i < count; i++)
        run += ak_utf8_encode(points[i], run);
}

static void end_run(writer *w)
{
    if (w->unordered)
        sort_run(w->out + w->run_start, w->size - w->run_start);
    w->run_class = 0;
    w->unordered = false;
}

static void put(writer *w, uint32_t point, int combining)
{
    if (!combining) {
        end_run(w);
    } else {
        if (!w->run_class)
            w->run_start = w->size;
        w->unordered |= combining < w->run_class;
        w->run_class = combining;
    }
    w->size += (size_t)ak_utf8_encode(point, w->out + w->size);
}

static void put_cased(const ak_normalizer *n, writer *w, uint32_t point, int combining)
{
    uint32_t cased[2] = {point};
    int count = n->lowercase ? ak_char_lower(point, cased) : 1;
    for (int i = 0; i < count; i++)
        put(w, cased[i], combining);
}

static void fold_point(const ak_normalizer *n, writer *w, uint32_t point)
{
    if (n->clean_text) {
        if (ak_char_is_dropped(point))
            return;
        if (ak_char_is_space(point))
            point = ' ';
    }
    bool chinese = n->handle_chinese_chars && ak_char_is_chinese(point);
    if (chinese)
        put(w, ' ', 0);
    if (n->strip_accents) {
        uint32_t parts[AK_CHAR_PARTS];
        int count = ak_char_decompose(point, false, parts);
        for (int i = 0; i < count; i++) {
            int combining = ak_char_combining_class(parts[i]);
            if (!ak_char_is_mark(parts[i]))
                put_cased(n, w, parts[i], combining);
            else if (!combining)
                end_run(w); /* marks do not move past it, though it is dropped */
        }
    } else {
        put_cased(n, w, point, 0);
    }
    if (chinese)
        put(w, ' ', 0);
}

void ak_normalizer_prepare(ak_normalizer *n)
{
    for (uint32_t point = 0; point < AK_TABLED; point++) {
        n->kind[point] = (uint8_t)ak_char_kind_of(point);
        char out[AK_NORMALIZED(2)];
        writer w = {.out = out};
        fold_point(n, &w, point);
        uint32_t folded;
        if (w.size == 0)
            n->fold[point] = FOLD_DROP;
        else if (w.run_class || (size_t)ak_char_read(out, &folded) != w.size || folded >= 0x800)
            n->fold[point] = FOLD_COMPLEX;
        else
            n->fold[point] = (uint16_t)folded;
    }
}

/* Folds by the table as far as that goes; returns how many bytes of the text it read. */
static size_t fold_tabled(const ak_normalizer *n, writer *w, const char *text, size_t size)
{
    const unsigned char *in = (const unsigned char *)text;
    size_t i = 0, o = w->size;
    while (i < size) {
        if (in[i] < 0x80) {
            uint16_t folded = n->fold[in[i++]];
            w->out[o] = (char)folded;
            o += folded != FOLD_DROP;
            continue;
        }
        if (in[i] >= 0xE0)
            break;
        uint16_t folded = n->fold[(in[i] & 0x1Fu) << 6 | (in[i + 1] & 0x3Fu)];
        if (folded == FOLD_COMPLEX)
            break;
        i += 2;
        if (folded != FOLD_DROP)
            o += (size_t)ak_utf8_encode(folded, w->out + o);
    }
    w->size = o;
    return i;
}

size_t ak_normalize(const ak_normalizer *n, const char *text, size_t size, char *out)
{
    writer w = {.out = out};
    size_t i = 0;
    while (i < size) {
        if (!w.run_class) /* what the table drops may be part of a run */
            i += fold_tabled(n, &w, text + i, size - i);
        if (i < size) {
            uint32_t point;
            i += (size_t)ak_char_read(text + i, &point);
            fold_point(n, &w, point);
        }
    }
    end_run(&w);
    return w.size;
}
