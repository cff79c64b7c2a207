/* Byte-pair encoding: see bpe.h. Merges are a hash table from two ids to one; a word's symbols are
   a linked list, and a heap holds the merges that are possible, so that a word of n bytes costs n
   log n. */
#include "text/bpe.h"

#include "text/unicode.h"

#include <string.h>

enum { LOCAL_BYTES = 128 }; /* words up to that are cut on the stack */

typedef struct merge {
    int32_t left, right;
    int32_t rank, id; /* id: of the two together */
} merge;

struct ak_bpe {
    int32_t letter[256]; /* id of each byte, -1: none */
    bool prefix_space;
    int32_t unknown;
    merge *table; /* open addressing; empty: id -1 */
    uint32_t mask;
    ak_hash hash;
};

/* ---- merges ---- */

static uint32_t slot_of(const ak_bpe *bpe, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (uint32_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 32) & bpe->mask;
}

/* The merge of two symbols, or the empty slot where it would be. */
static merge *find(const ak_bpe *bpe, int32_t left, int32_t right)
{
    uint32_t slot = slot_of(bpe, left, right);
    while (bpe->table[slot].id >= 0 &&
           (bpe->table[slot].left != left || bpe->table[slot].right != right))
        slot = (slot + 1) & bpe->mask;
    return &bpe->table[slot];
}

/* GPT-2's letter of a byte: printable ones are themselves, the others follow U+0100 in order. */
static void letters(uint32_t points[256])
{
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; byte++) {
        bool printable =
            (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        points[byte] = printable ? byte : next++;
    }
}

static void find_letters(ak_bpe *bpe, const ak_vocabulary *vocabulary)
{
    uint32_t points[256];
    letters(points);
    for (int byte = 0; byte < 256; byte++) {
        char letter[5];
        letter[ak_utf8_encode(points[byte], letter)] = 0;
        bpe->letter[byte] = ak_vocabulary_find(vocabulary, letter);
    }
}

typedef struct reader {
    ak_bpe *bpe;
    const ak_vocabulary *vocabulary;
    akin_arena *arena; /* scratch */
    const char *name;
    akin_error *error;
} reader;

/* The two symbols of a line, and both together. */
static bool parts_of(const reader *r, const ak_value *line, const char **left, const char **right,
                     const char **both)
{
    if (line->kind == AK_LIST && line->count == 2 && line->first->kind == AK_STRING &&
        line->last->kind == AK_STRING) {
        *left = line->first->string;
        *right = line->last->string;
    } else if (line->kind == AK_STRING && strchr(line->string, ' ')) {
        const char *space = strchr(line->string, ' ');
        *left = ak_arena_copy(r->arena, line->string, (size_t)(space - line->string));
        *right = space + 1;
    } else {
        return false;
    }
    *both = *left ? ak_arena_format(r->arena, "%s%s", *left, *right) : NULL;
    return true;
}

static akin_status add_merge(const reader *r, const ak_value *line, int32_t rank)
{
    const char *left, *right, *both;
    if (!parts_of(r, line, &left, &right, &both))
        return ak_fail_at(r->error, AKIN_ERR_FORMAT, r->name, 0,
                          "expected two tokens in number %d of \"merges\"", rank + 1);
    if (!both)
        return ak_fail_memory(r->error);
    merge m = {.left = ak_vocabulary_find(r->vocabulary, left),
               .right = ak_vocabulary_find(r->vocabulary, right),
               .rank = rank,
               .id = ak_vocabulary_find(r->vocabulary, both)};
    if (m.left < 0 || m.right < 0 || m.id < 0)
        return ak_fail_at(r->error, AKIN_ERR_FORMAT, r->name, 0,
                          "\"%.60s\" is not in \"vocab\", but in number %d of \"merges\"",
                          m.left < 0    ? left
                          : m.right < 0 ? right
                                        : both,
                          rank + 1);
    r->bpe->hash = ak_hash_combine(r->bpe->hash, ak_hash_bytes(&m, sizeof m));
    merge *place = find(r->bpe, m.left, m.right);
    *place = m; /* as in `tokenizers`, the last one of equal pairs holds */
    return AKIN_OK;
}

static akin_status read_merges(const reader *r, const ak_value *merges)
{
    int32_t rank = 0;
    for (const ak_value *line = merges->first; line; line = line->next)
        AK_TRY(add_merge(r, line, rank++));
    return AKIN_OK;
}

akin_status ak_bpe_create(ak_bpe **out, akin_arena *arena, const ak_vocabulary *vocabulary,
                          const ak_value *merges, bool prefix_space, int32_t unknown,
                          const char *name, akin_error *error)
{
    *out = NULL;
    if (!merges || merges->kind != AK_LIST || merges->count > AK_ID_LIMIT)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, merges ? merges->line : 0,
                          "expected a list \"merges\" in \"model\"");
    ak_bpe *bpe = ak_arena_new(arena, ak_bpe, 1);
    uint32_t slots = 16;
    while (slots < 2 * (uint32_t)merges->count)
        slots *= 2;
    merge *table = ak_arena_new(arena, merge, slots);
    if (!bpe || !table)
        return ak_fail_memory(error);
    *bpe = (ak_bpe){
        .prefix_space = prefix_space, .unknown = unknown, .table = table, .mask = slots - 1};
    for (uint32_t i = 0; i < slots; i++)
        table[i].id = -1;
    const int32_t about[] = {prefix_space, unknown};
    bpe->hash = ak_hash_bytes(about, sizeof about);
    find_letters(bpe, vocabulary);
    reader r = {bpe, vocabulary, NULL, name, error};
    AK_TRY(ak_arena_create(&r.arena, error));
    akin_status status = read_merges(&r, merges);
    ak_arena_free(r.arena);
    if (!status)
        *out = bpe;
    return status;
}

ak_hash ak_bpe_hash(const ak_bpe *bpe)
{
    return bpe->hash;
}

/* ---- a word ---- */

typedef struct symbol {
    int32_t id;             /* -1: taken by its left neighbour */
    int32_t before, behind; /* -1: none */
} symbol;

typedef struct candidate {
    int32_t rank, at, id; /* at: the left symbol; id: what the two become */
} candidate;

typedef struct word {
    const ak_bpe *bpe;
    symbol *symbols;
    candidate *heap; /* the earliest merge first, of equal ones the leftmost */
    int32_t count;   /* of the heap */
} word;

static bool is_earlier(candidate a, candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void push(word *w, candidate c)
{
    int32_t i = w->count++;
    for (; i > 0 && is_earlier(c, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static candidate pop(word *w)
{
    candidate top = w->heap[0], last = w->heap[--w->count];
    int32_t i = 0;
    for (;;) {
        int32_t child = 2 * i + 1;
        if (child + 1 < w->count && is_earlier(w->heap[child + 1], w->heap[child]))
            child++;
        if (child >= w->count || !is_earlier(w->heap[child], last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* The merge of the symbol at `at` with the one behind it, if there is one. */
static void propose(word *w, int32_t at)
{
    int32_t behind = at < 0 ? -1 : w->symbols[at].behind;
    if (behind < 0)
        return;
    const merge *m = find(w->bpe, w->symbols[at].id, w->symbols[behind].id);
    if (m->id >= 0)
        push(w, (candidate){m->rank, at, m->id});
}

static void merge_all(word *w, int32_t count)
{
    for (int32_t i = 0; i + 1 < count; i++)
        propose(w, i);
    while (w->count > 0) {
        candidate c = pop(w);
        symbol *left = &w->symbols[c.at];
        if (left->id < 0 || left->behind < 0)
            continue;
        symbol *right = &w->symbols[left->behind];
        const merge *m = find(w->bpe, left->id, right->id);
        if (m->id != c.id || m->rank != c.rank)
            continue; /* a neighbour has changed since */
        right->id = -1;
        left->id = m->id;
        left->behind = right->behind;
        if (left->behind >= 0)
            w->symbols[left->behind].before = c.at;
        propose(w, left->before);
        propose(w, c.at);
    }
}

/* The word's bytes as symbols, after a space if `space`; returns their number. */
static int32_t spell(const ak_bpe *bpe, const char *text, size_t size, bool space, symbol *symbols)
{
    int32_t count = 0;
    for (size_t i = 0; i < size + space; i++) {
        unsigned char byte =
            space ? (i ? (unsigned char)text[i - 1] : ' ') : (unsigned char)text[i];
        int32_t id = bpe->letter[byte] >= 0 ? bpe->letter[byte] : bpe->unknown;
        if (id < 0)
            continue;
        symbols[count] = (symbol){id, count - 1, count + 1};
        count++;
    }
    if (count)
        symbols[count - 1].behind = -1;
    return count;
}

/* A heap entry is made for every pair at first, and for two pairs in every merge. */
static void cut_word(const ak_bpe *bpe, const char *text, size_t size, bool space, ak_ids *ids)
{
    symbol local_symbols[LOCAL_BYTES];
    candidate local_heap[3 * LOCAL_BYTES];
    int64_t bytes = (int64_t)size + space;
    word w = {bpe, local_symbols, local_heap, 0};
    if (bytes > LOCAL_BYTES) {
        w.symbols = ak_arena_new(ids->arena, symbol, bytes);
        w.heap = ak_arena_new(ids->arena, candidate, 3 * bytes);
    }
    if (!w.symbols || !w.heap || bytes > INT32_MAX / 4) {
        ids->failed = true;
        return;
    }
    int32_t count = spell(bpe, text, size, space, w.symbols);
    merge_all(&w, count);
    if (count && ak_ids_room(ids, (size_t)count))
        for (int32_t i = 0; i >= 0; i = w.symbols[i].behind)
            ids->items[ids->count++] = w.symbols[i].id;
}

/* ---- words of a piece ---- */

typedef enum kind { LETTER, NUMBER, SPACE, OTHER, END } kind;

static kind kind_at(const char *text, size_t size, size_t at, int *length)
{
    uint32_t point;
    *length = 0;
    if (at >= size)
        return END;
    *length = ak_char_read(text + at, &point);
    if (point < 0x80) {
        if ((point | 0x20) >= 'a' && (point | 0x20) <= 'z')
            return LETTER;
        return point >= '0' && point <= '9' ? NUMBER : ak_char_is_space(point) ? SPACE : OTHER;
    }
    return ak_char_is_letter(point)   ? LETTER
           : ak_char_is_number(point) ? NUMBER
           : ak_char_is_space(point)  ? SPACE
                                      : OTHER;
}

/* End of the run of one kind from `at` on; *last: where its last character begins. */
static size_t run_end(const char *text, size_t size, size_t at, kind wanted, size_t *last)
{
    int length;
    *last = at;
    while (kind_at(text, size, at, &length) == wanted) {
        *last = at;
        at += (size_t)length;
    }
    return at;
}

/* 's 't 're 've 'm 'll 'd; 0: none. */
static size_t contraction(const char *text, size_t size)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings && text[0] == '\''; i++) {
        size_t length = strlen(endings[i]);
        if (size > length && !memcmp(text + 1, endings[i], length))
            return length + 1;
    }
    return 0;
}

/* One match of GPT-2's pattern,
     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
   at the start of the text; `space`: as if a space stood before it. */
static size_t word_end(const char *text, size_t size, bool space)
{
    size_t last, found = space ? 0 : contraction(text, size);
    if (found)
        return found;
    int length;
    size_t begin = !space && text[0] == ' ';
    kind k = kind_at(text, size, begin, &length);
    if (k != SPACE && k != END)
        return run_end(text, size, begin, k, &last);
    size_t stop = run_end(text, size, 0, SPACE, &last);
    return stop < size && (last > 0 || space) ? last : stop;
}

void ak_bpe_cut(const ak_bpe *bpe, const char *text, size_t size, ak_ids *ids)
{
    bool space = bpe->prefix_space && size && text[0] != ' ';
    for (size_t at = 0; at < size && !ak_ids_done(ids);) {
        size_t length = word_end(text + at, size - at, space);
        cut_word(bpe, text + at, length, space, ids);
        space = false;
        at += length;
    }
}
