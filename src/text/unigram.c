/* Unigram: see unigram.h. The best cut is found by Viterbi's algorithm over the ends of tokens; the
   tokens that begin at a place are found by narrowing a range of the sorted vocabulary byte by
   byte. A character that no token begins with costs 10 more than the worst token; runs of them are
   one unknown token, all as in `tokenizers`. */
#include "text/unigram.h"

#include "text/unicode.h"

#include <stdlib.h>

#define METASPACE "\xE2\x96\x81"
enum { LOCAL_BYTES = 128, METASPACE_SIZE = 3 };
static const double unknown_penalty = 10;

struct ak_unigram {
    ak_unigram_options options;
    const ak_vocabulary *vocabulary;
    const double *scores;
    double unknown_score;
    const char **tokens; /* sorted */
    int32_t *ids;        /* of tokens */
    int32_t count;
    int32_t first[257]; /* tokens whose first byte is b: first[b] .. first[b + 1] */
    ak_hash hash;
};

/* ---- building ---- */

typedef struct entry {
    const char *token;
    int32_t id;
} entry;

static int by_token(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->token, ((const entry *)b)->token);
}

static void index_tokens(ak_unigram *u, entry *entries)
{
    qsort(entries, (size_t)u->count, sizeof *entries, by_token);
    int32_t at = 0;
    for (int byte = 0; byte < 256; byte++) {
        u->first[byte] = at;
        while (at < u->count && (unsigned char)entries[at].token[0] == byte)
            at++;
    }
    u->first[256] = u->count;
    for (int32_t i = 0; i < u->count; i++) {
        u->tokens[i] = entries[i].token;
        u->ids[i] = entries[i].id;
    }
}

static ak_hash hash_of(const ak_unigram *u, int32_t size)
{
    const ak_unigram_options *o = &u->options;
    const int32_t flags[] = {o->split_spaces, o->prefix_space, o->unknown};
    ak_hash hash = ak_hash_bytes(flags, sizeof flags);
    return ak_hash_combine(hash, ak_hash_bytes(u->scores, (size_t)size * sizeof *u->scores));
}

akin_status ak_unigram_create(ak_unigram **out, akin_arena *arena, const ak_vocabulary *vocabulary,
                              const double *scores, const ak_unigram_options *options,
                              akin_error *error)
{
    *out = NULL;
    int32_t size = ak_vocabulary_size(vocabulary);
    ak_unigram *u = ak_arena_new(arena, ak_unigram, 1);
    entry *entries = ak_alloc((size_t)size * sizeof *entries + 1);
    if (u)
        *u = (ak_unigram){.options = *options,
                          .vocabulary = vocabulary,
                          .scores = scores,
                          .tokens = ak_arena_new(arena, const char *, size),
                          .ids = ak_arena_new(arena, int32_t, size)};
    if (!u || !entries || !u->tokens || !u->ids) {
        ak_free(entries);
        return ak_fail_memory(error);
    }
    double worst = 0;
    for (int32_t id = 0; id < size; id++) {
        const char *token = ak_vocabulary_token(vocabulary, id);
        worst = scores[id] < worst ? scores[id] : worst;
        if (token && *token)
            entries[u->count++] = (entry){token, id};
    }
    u->unknown_score = worst - unknown_penalty;
    index_tokens(u, entries);
    ak_free(entries);
    u->hash = hash_of(u, size);
    *out = u;
    return AKIN_OK;
}

ak_hash ak_unigram_hash(const ak_unigram *unigram)
{
    return unigram->hash;
}

/* ---- one word ---- */

/* The best way to an end. */
typedef struct node {
    double score;
    int32_t id, start; /* of the last token on the way; start -1: no way yet */
} node;

static void offer(node *end, double score, int32_t id, int32_t start)
{
    if (end->start < 0 || score > end->score)
        *end = (node){score, id, start};
}

/* Tokens of [low, high) whose byte at `depth` is `byte`. */
static void narrow(const ak_unigram *u, int32_t *low, int32_t *high, size_t depth,
                   unsigned char byte)
{
    int32_t begin = *low, end = *high;
    while (begin < end) {
        int32_t middle = begin + (end - begin) / 2;
        if ((unsigned char)u->tokens[middle][depth] < byte)
            begin = middle + 1;
        else
            end = middle;
    }
    *low = begin;
    end = *high;
    while (begin < end) {
        int32_t middle = begin + (end - begin) / 2;
        if ((unsigned char)u->tokens[middle][depth] <= byte)
            begin = middle + 1;
        else
            end = middle;
    }
    *high = begin;
}

/* Offers the tokens that begin at `at`; whether one of them is `character` bytes long. */
static bool offer_tokens(const ak_unigram *u, const char *word, size_t size, size_t at,
                         size_t character, node *ends)
{
    unsigned char byte = (unsigned char)word[at];
    int32_t low = u->first[byte], high = u->first[byte + 1];
    bool single = false;
    for (size_t length = 1; low < high; length++) {
        if (!u->tokens[low][length]) { /* the shortest of the range is sorted first */
            int32_t id = u->ids[low];
            offer(&ends[at + length], u->scores[id] + ends[at].score, id, (int32_t)at);
            single |= length == character;
            low++;
        }
        if (at + length >= size || !word[at + length])
            break;
        narrow(u, &low, &high, length, (unsigned char)word[at + length]);
    }
    return single;
}

/* From the last token to the first; runs of unknown ones are one. */
static void collect(const ak_unigram *u, const node *ends, size_t size, ak_ids *ids)
{
    int64_t first = ids->count;
    bool unknown = false;
    if (!ak_ids_room(ids, size))
        return;
    for (int32_t at = (int32_t)size; at > 0; at = ends[at].start) {
        bool again = unknown && ends[at].id == u->options.unknown;
        unknown = ends[at].id == u->options.unknown;
        if (!again)
            ids->items[ids->count++] = ends[at].id;
    }
    for (int64_t i = first, j = ids->count - 1; i < j; i++, j--) {
        int32_t id = ids->items[i];
        ids->items[i] = ids->items[j];
        ids->items[j] = id;
    }
}

static void cut_word(const ak_unigram *u, const char *word, size_t size, ak_ids *ids)
{
    node local[LOCAL_BYTES + 1];
    node *ends = local;
    if (size > LOCAL_BYTES)
        ends = size < INT32_MAX ? ak_arena_new(ids->arena, node, (int64_t)size + 1) : NULL;
    if (!ends) {
        ids->failed = true;
        return;
    }
    ends[0] = (node){0, 0, 0};
    for (size_t i = 1; i <= size; i++)
        ends[i].start = -1;
    for (size_t at = 0; at < size;) {
        uint32_t point;
        size_t character = (size_t)ak_char_read(word + at, &point);
        if (!offer_tokens(u, word, size, at, character, ends))
            offer(&ends[at + character], u->unknown_score + ends[at].score, u->options.unknown,
                  (int32_t)at);
        at += character;
    }
    collect(u, ends, size, ids);
}

/* ---- words of a piece ---- */

/* A word without U+2581 in it, but at its begin; `prefix`: it gets one there. */
static void cut_prefixed(const ak_unigram *u, const char *text, size_t size, bool prefix,
                         ak_ids *ids)
{
    char local[LOCAL_BYTES];
    char *word = local;
    if (!prefix) {
        cut_word(u, text, size, ids);
        return;
    }
    if (size + METASPACE_SIZE > sizeof local)
        word = akin_arena_alloc(ids->arena, size + METASPACE_SIZE);
    if (!word) {
        ids->failed = true;
        return;
    }
    memcpy(word, METASPACE, METASPACE_SIZE);
    memcpy(word + METASPACE_SIZE, text, size);
    cut_word(u, word, size + METASPACE_SIZE, ids);
}

static bool is_metaspace(const char *text, size_t size)
{
    return size >= METASPACE_SIZE && !memcmp(text, METASPACE, METASPACE_SIZE);
}

/* Parts text at spaces and at U+2581, each the begin of what follows it. `prefix`: the text gets
   one unless it begins with one. */
static void cut_metaspaces(const ak_unigram *u, const char *text, size_t size, bool prefix,
                           ak_ids *ids)
{
    size_t at = 0;
    bool space = prefix && size && text[0] != ' ' && !is_metaspace(text, size);
    while (at < size && !ak_ids_done(ids)) {
        if (!space && text[at] == ' ') {
            space = true;
            at++;
        }
        size_t end = at;
        if (!space && is_metaspace(text + at, size - at))
            end += METASPACE_SIZE;
        while (end < size && text[end] != ' ' && !is_metaspace(text + end, size - end))
            end++;
        cut_prefixed(u, text + at, end - at, space, ids);
        space = false;
        at = end;
    }
}

/* End of the run of spaces, or of other characters, at `at`. */
static size_t run_end(const char *text, size_t size, size_t at, bool spaces)
{
    while (at < size) {
        uint32_t point;
        size_t length = (size_t)ak_char_read(text + at, &point);
        if (ak_char_is_space(point) != spaces)
            break;
        at += length;
    }
    return at;
}

void ak_unigram_cut(const ak_unigram *u, const char *text, size_t size, ak_ids *ids)
{
    if (!u->options.split_spaces) {
        cut_metaspaces(u, text, size, u->options.prefix_space, ids);
        return;
    }
    for (size_t at = run_end(text, size, 0, true); at < size && !ak_ids_done(ids);) {
        size_t end = run_end(text, size, at, false);
        cut_metaspaces(u, text + at, end - at, u->options.prefix_space, ids);
        at = run_end(text, size, end, true);
    }
}
