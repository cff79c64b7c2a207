/* WordPiece (Wu et al., 2016): a word is cut from the left into the longest tokens of the
   vocabulary; tokens after the first are those that start with a prefix, "##". Hashes of all
   prefixes of the rest of a word come from one pass over its bytes, and an open-addressing table is
   asked from the longest to the shortest, so that a word that is a token itself (most are) costs
   one look. A bit filter in front of the table turns most misses away. */
#include "text/vocabulary.h"

#include <string.h>

typedef struct entry {
    uint32_t start, length; /* in `text` */
    int32_t id;
} entry;

typedef struct slot {
    uint32_t tag;   /* low bits of the hash */
    uint32_t value; /* 0: free, else 2 * (1 + number of the entry) + whether without its prefix */
} slot;

struct ak_vocabulary {
    akin_arena *arena;
    char *text; /* all tokens, each with a NUL */
    size_t text_size;
    entry *entries;
    int64_t count;
    slot *slots;
    uint64_t *filter;
    int slot_shift, filter_shift;
    uint32_t *by_id; /* 1 + number of the entry, 0: none */
    int64_t by_id_capacity;
    int32_t size;
    const char *prefix;
    size_t prefix_size;
    size_t longest[2]; /* bytes of the longest token, [1] of those that continue, without prefix */
};

/* One step of a multiplicative hash; its high bits are the good ones. */
#define HASH_STEP(hash, byte) (((hash) ^ (unsigned char)(byte)) * UINT64_C(0x9E3779B97F4A7C15))
static const uint64_t seeds[2] = {UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344)};

akin_status ak_vocabulary_create(ak_vocabulary **out, akin_arena *arena, int64_t entries,
                                 size_t bytes, const char *prefix, akin_error *error)
{
    *out = NULL;
    if (bytes > UINT32_MAX || entries > INT32_MAX / 4)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "a vocabulary of %zu bytes is too large",
                       bytes);
    int bits = 10; /* every token may be in the table twice, though few are */
    while (INT64_C(1) << bits < entries * 2 + entries / 8)
        bits++;
    ak_vocabulary *v = ak_arena_new(arena, ak_vocabulary, 1);
    if (!v)
        return ak_fail_memory(error);
    int64_t slots = INT64_C(1) << bits, words = slots * 4 / 64;
    *v = (ak_vocabulary){
        .arena = arena,
        .text = ak_arena_new(arena, char, (int64_t)bytes + 1),
        .entries = ak_arena_new(arena, entry, entries + 1),
        .slots = ak_arena_new(arena, slot, slots),
        .filter = ak_arena_new(arena, uint64_t, words),
        .slot_shift = 64 - bits,
        .filter_shift = 64 - bits - 2,
        .by_id = ak_arena_new(arena, uint32_t, entries + 1),
        .by_id_capacity = entries + 1,
        .prefix = ak_arena_copy(arena, prefix, strlen(prefix)),
        .prefix_size = strlen(prefix),
    };
    if (!v->text || !v->entries || !v->slots || !v->filter || !v->by_id || !v->prefix)
        return ak_fail_memory(error);
    memset(v->slots, 0, (size_t)slots * sizeof *v->slots);
    memset(v->filter, 0, (size_t)words * sizeof *v->filter);
    memset(v->by_id, 0, (size_t)v->by_id_capacity * sizeof *v->by_id);
    *out = v;
    return AKIN_OK;
}

/* The slot of a token's bytes (without its prefix when `continues`), or the free one for it. */
static inline slot *look(const ak_vocabulary *v, uint64_t hash, const char *bytes, size_t length,
                         int continues)
{
    size_t mask = ((size_t)1 << (64 - v->slot_shift)) - 1;
    for (size_t i = (size_t)(hash >> v->slot_shift);; i = (i + 1) & mask) {
        slot *s = &v->slots[i];
        if (!s->value)
            return s;
        if (s->tag != (uint32_t)hash || (int)(s->value & 1) != continues)
            continue;
        const entry *e = &v->entries[(s->value >> 1) - 1];
        size_t skip = continues ? v->prefix_size : 0;
        if (e->length - skip == length && !memcmp(v->text + e->start + skip, bytes, length))
            return s;
    }
}

static inline bool filtered(const ak_vocabulary *v, uint64_t hash)
{
    uint64_t bit = hash >> v->filter_shift;
    return !(v->filter[bit >> 6] >> (bit & 63) & 1);
}

static uint64_t hash_of(const char *bytes, size_t length, int continues)
{
    uint64_t hash = seeds[continues];
    for (size_t i = 0; i < length; i++)
        hash = HASH_STEP(hash, bytes[i]);
    return hash;
}

static bool insert(ak_vocabulary *v, const char *bytes, size_t length, int continues)
{
    uint64_t hash = hash_of(bytes, length, continues);
    slot *s = look(v, hash, bytes, length, continues);
    if (s->value)
        return false;
    *s = (slot){.tag = (uint32_t)hash, .value = (uint32_t)(v->count + 1) * 2 + (uint32_t)continues};
    uint64_t bit = hash >> v->filter_shift;
    v->filter[bit >> 6] |= UINT64_C(1) << (bit & 63);
    if (v->longest[continues] < length)
        v->longest[continues] = length;
    return true;
}

static bool grow_ids(ak_vocabulary *v, int32_t id)
{
    if (id < v->by_id_capacity)
        return true;
    int64_t wanted = v->by_id_capacity * 2 > id + 1 ? v->by_id_capacity * 2 : id + 1;
    uint32_t *fresh = ak_arena_new(v->arena, uint32_t, wanted);
    if (!fresh)
        return false;
    memset(fresh, 0, (size_t)wanted * sizeof *fresh);
    memcpy(fresh, v->by_id, (size_t)v->size * sizeof *fresh);
    v->by_id = fresh;
    v->by_id_capacity = wanted;
    return true;
}

char *ak_vocabulary_room(ak_vocabulary *v)
{
    return v->text + v->text_size;
}

ak_vocabulary_result ak_vocabulary_add(ak_vocabulary *v, size_t length, int32_t id)
{
    char *token = v->text + v->text_size;
    token[length] = 0;
    if (!grow_ids(v, id))
        return AK_VOCABULARY_NO_MEMORY;
    if (v->by_id[id])
        return AK_VOCABULARY_ID_TAKEN;
    v->entries[v->count] =
        (entry){.start = (uint32_t)v->text_size, .length = (uint32_t)length, .id = id};
    if (!insert(v, token, length, 0))
        return AK_VOCABULARY_TWICE;
    if (length > v->prefix_size && !memcmp(token, v->prefix, v->prefix_size))
        insert(v, token + v->prefix_size, length - v->prefix_size, 1);
    v->by_id[id] = (uint32_t)++v->count;
    v->text_size += length + 1;
    if (v->size <= id)
        v->size = id + 1;
    return AK_VOCABULARY_ADDED;
}

int32_t ak_vocabulary_size(const ak_vocabulary *v)
{
    return v->size;
}

int32_t ak_vocabulary_find(const ak_vocabulary *v, const char *token)
{
    size_t length = strlen(token);
    const slot *s = look(v, hash_of(token, length, 0), token, length, 0);
    return s->value ? v->entries[(s->value >> 1) - 1].id : -1;
}

const char *ak_vocabulary_token(const ak_vocabulary *v, int32_t id)
{
    if (id < 0 || id >= v->size || !v->by_id[id])
        return NULL;
    return v->text + v->entries[v->by_id[id] - 1].start;
}

akin_status ak_vocabulary_hash(const ak_vocabulary *v, ak_hash *out, akin_error *error)
{
    bool in_order = v->size == v->count; /* then `text` is what we would write */
    for (int64_t i = 0; in_order && i < v->count; i++)
        in_order = v->entries[i].id == i;
    if (in_order) {
        *out = ak_hash_bytes(v->text, v->text_size);
    } else {
        size_t used = 0;
        char *ordered = ak_alloc(v->text_size + (size_t)v->size);
        if (!ordered)
            return ak_fail_memory(error);
        for (int32_t id = 0; id < v->size; id++) {
            const char *token = ak_vocabulary_token(v, id);
            size_t length = token ? v->entries[v->by_id[id] - 1].length : 0;
            memcpy(ordered + used, token ? token : "", length + 1);
            used += length + 1;
        }
        *out = ak_hash_bytes(ordered, used);
        ak_free(ordered);
    }
    *out = ak_hash_combine(*out, ak_hash_text(v->prefix));
    return AKIN_OK;
}

int32_t ak_vocabulary_cut(const ak_vocabulary *v, const char *word, size_t size, int32_t *ids)
{
    uint64_t hashes[4 * AK_WORD_LIMIT];
    int32_t count = 0;
    int continues = 0;
    for (size_t start = 0; start < size; continues = 1) {
        const char *rest = word + start;
        size_t length = size - start;
        if (length > v->longest[continues])
            length = v->longest[continues];
        uint64_t hash = seeds[continues];
        for (size_t i = 0; i < length; i++)
            hashes[i] = hash = HASH_STEP(hash, rest[i]);
        for (; length > 0; length--) {
            hash = hashes[length - 1];
            if (filtered(v, hash))
                continue;
            const slot *s = look(v, hash, rest, length, continues);
            if (!s->value)
                continue;
            ids[count++] = v->entries[(s->value >> 1) - 1].id;
            break;
        }
        if (!length)
            return 0;
        start += length;
    }
    return count;
}
