#include "text/ngrams.h"

#include <string.h>

#define FNV_BASIS 0xCBF29CE484222325u
#define FNV_PRIME 0x100000001B3u
#define WORD_BASIS (FNV_BASIS ^ 0x9E3779B97F4A7C15u) /* the word "<ca" is no part of "<cat>" */

void ak_ngrams_prepare(ak_ngrams *ngrams, int32_t buckets, int word_ngrams, int min_n, int max_n,
                       bool lowercase)
{
    *ngrams =
        (ak_ngrams){.buckets = buckets, .word_ngrams = word_ngrams, .min_n = min_n, .max_n = max_n};
    ngrams->normalizer.clean_text = true;
    ngrams->normalizer.handle_chinese_chars = true;
    ngrams->normalizer.strip_accents = lowercase;
    ngrams->normalizer.lowercase = lowercase;
    ak_normalizer_prepare(&ngrams->normalizer);
}

static inline uint64_t fnv(uint64_t hash, char byte)
{
    return (hash ^ (unsigned char)byte) * FNV_PRIME;
}

/* FNV's high bits depend on the last bytes alone: mixed as MurmurHash3 does at its end. */
static inline int32_t row_of(uint64_t hash, int32_t buckets)
{
    hash ^= hash >> 33;
    hash *= 0xFF51AFD7ED558CCDu;
    hash ^= hash >> 33;
    return (int32_t)((hash & 0xFFFFFFFFu) * (uint64_t)buckets >> 32);
}

static akin_status make_room(ak_rows *rows, int64_t more, akin_arena *arena, akin_error *error)
{
    if (rows->count + more <= rows->capacity)
        return AKIN_OK;
    int64_t capacity = 2 * (rows->count + more) + 1024;
    int32_t *items = ak_arena_new(arena, int32_t, capacity);
    if (!items)
        return ak_fail_memory(error);
    if (rows->count)
        memcpy(items, rows->items, (size_t)rows->count * sizeof *items);
    rows->items = items;
    rows->capacity = capacity;
    return AKIN_OK;
}

/* Words read so far: the hashes of the last ones. */
typedef struct words {
    uint64_t last[AK_MAX_WORD_NGRAMS]; /* newest first */
    int count;
} words;

static void add_words(const ak_ngrams *n, words *w, const char *word, size_t size, ak_rows *rows)
{
    uint64_t hash = WORD_BASIS;
    for (size_t i = 0; i < size; i++)
        hash = fnv(hash, word[i]);
    memmove(w->last + 1, w->last, (AK_MAX_WORD_NGRAMS - 1) * sizeof *w->last);
    w->last[0] = hash;
    w->count += w->count < AK_MAX_WORD_NGRAMS;
    for (int k = 0; k < n->word_ngrams && k < w->count; k++) {
        if (k)
            hash = hash * FNV_PRIME + w->last[k];
        rows->items[rows->count++] = row_of(hash, n->buckets);
    }
}

static inline bool starts_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

/* `word` has a byte of room before and after. */
static void add_characters(const ak_ngrams *n, char *word, size_t size, ak_rows *rows)
{
    char before = word[-1], after = word[size];
    const char *start = word - 1, *end = word + size + 1;
    word[-1] = '<';
    word[size] = '>';
    for (const char *from = start; from < end; from++) {
        uint64_t hash = FNV_BASIS;
        const char *at = from;
        if (!starts_character(*from))
            continue;
        for (int length = 1; length <= n->max_n && at < end; length++) {
            do
                hash = fnv(hash, *at++);
            while (at < end && !starts_character(*at));
            if (length >= n->min_n && (from > start || at < end))
                rows->items[rows->count++] = row_of(hash, n->buckets);
        }
    }
    word[-1] = before;
    word[size] = after;
}

/* Length of the word at text + at: a run of letters, or one character of punctuation. */
static size_t word_length(const ak_normalizer *normalizer, const char *text, size_t at, size_t size,
                          ak_char_kind *kind)
{
    int length;
    size_t end = at;
    *kind = ak_normalizer_kind(normalizer, text + at, &length);
    do
        end += (size_t)length;
    while (*kind == AK_CHAR_WORD && end < size &&
           ak_normalizer_kind(normalizer, text + end, &length) == AK_CHAR_WORD);
    return end - at;
}

akin_status ak_ngrams_add(const ak_ngrams *ngrams, const char *text, size_t size, ak_rows *rows,
                          akin_arena *arena, akin_error *error)
{
    int64_t replaced;
    text = ak_utf8_repair(text, size, &size, &replaced, arena);
    char *room = text ? ak_arena_new(arena, char, AK_NORMALIZED(size) + 2) : NULL;
    if (!room)
        return ak_fail_memory(error);
    char *normal = room + 1;
    size = ak_normalize(&ngrams->normalizer, text, size, normal);
    words seen = {.count = 0};
    for (size_t at = 0, length; at < size; at += length) {
        ak_char_kind kind;
        length = word_length(&ngrams->normalizer, normal, at, size, &kind);
        if (kind == AK_CHAR_SPACE)
            continue;
        AK_TRY(make_room(rows, (int64_t)(length + 2) * ngrams->max_n + ngrams->word_ngrams, arena,
                         error));
        add_words(ngrams, &seen, normal + at, length, rows);
        if (kind == AK_CHAR_WORD && ngrams->max_n)
            add_characters(ngrams, normal + at, length, rows);
    }
    return AKIN_OK;
}
