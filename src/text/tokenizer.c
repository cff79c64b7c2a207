/* A text becomes ids in four steps: added tokens are taken out, the rest is normalised, parted into
   words and punctuation, and each word is cut into tokens of the vocabulary (for WordPiece here;
   bpe.c and unigram.c have theirs). The normalised text
   lives in a buffer of a few kB, refilled at spaces, so that a long text costs no memory and stops
   being read where `max_length` cuts it. */
#include "text/tokenizer_parts.h"

#include <string.h>

#define STRETCH 1024 /* bytes of text normalised at once, plus what follows up to a space */
#define LOCAL_IDS 1024

typedef struct encoder {
    const ak_tokenizer *tokenizer;
    ak_ids ids;
    char *scratch; /* for stretches that are too long for the one on the stack */
    size_t scratch_size;
} encoder;

static size_t count_characters(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static void cut_word(encoder *e, const char *word, size_t size)
{
    const ak_tokenizer *t = e->tokenizer;
    bool too_long = size > t->word_limit && count_characters(word, size) > t->word_limit;
    ak_ids *ids = &e->ids;
    if (!ak_ids_room(ids, too_long ? 1 : size))
        return;
    int32_t found =
        too_long ? 0 : ak_vocabulary_cut(t->vocabulary, word, size, ids->items + ids->count);
    if (found)
        ids->count += found;
    else
        ids->items[ids->count++] = t->unknown;
}

/* BertPreTokenizer over normalised text. */
static void split_words(encoder *e, const char *text, size_t size)
{
    const ak_normalizer *n = &e->tokenizer->normalizer;
    size_t at = 0;
    while (at < size && !ak_ids_done(&e->ids)) {
        int length;
        ak_char_kind kind = ak_normalizer_kind(n, text + at, &length);
        size_t stop = at + (size_t)length;
        while (kind == AK_CHAR_WORD && stop < size) {
            if (ak_normalizer_kind(n, text + stop, &length) != AK_CHAR_WORD)
                break;
            stop += (size_t)length;
        }
        if (kind != AK_CHAR_SPACE)
            cut_word(e, text + at, stop - at);
        at = stop;
    }
}

/* Normalises into the local buffer when it is large enough, else into the arena's. */
static const char *normalize(encoder *e, const char *text, size_t size, char *local,
                             size_t local_size, size_t *new_size)
{
    char *out = local;
    if (AK_NORMALIZED(size) > local_size) {
        if (AK_NORMALIZED(size) > e->scratch_size) {
            e->scratch_size = AK_NORMALIZED(size) * 2;
            e->scratch = akin_arena_alloc(e->ids.arena, e->scratch_size);
        }
        out = e->scratch;
    }
    if (!out) {
        e->ids.failed = true;
        return NULL;
    }
    *new_size = ak_normalize(&e->tokenizer->normalizer, text, size, out);
    return out;
}

static void cut_piece(encoder *e, const char *text, size_t size)
{
    if (e->tokenizer->bpe)
        ak_bpe_cut(e->tokenizer->bpe, text, size, &e->ids);
    else if (e->tokenizer->unigram)
        ak_unigram_cut(e->tokenizer->unigram, text, size, &e->ids);
    else
        split_words(e, text, size);
}

/* Normalised added tokens may span spaces, so this piece is normalised whole. */
static void split_normalized(encoder *e, const char *text, size_t size)
{
    size_t new_size = size, scan = 0, done = 0;
    const ak_tokenizer *t = e->tokenizer;
    const char *normal = t->bpe || t->unigram
                             ? ak_steps_apply(t->steps, text, size, &new_size, e->ids.arena)
                             : normalize(e, text, size, NULL, 0, &new_size);
    e->ids.failed |= !normal;
    ak_added_match match;
    while (normal && !ak_ids_done(&e->ids) &&
           ak_added_next(&t->normalized, normal, new_size, &scan, done, &match)) {
        if (done < match.start)
            cut_piece(e, normal + done, match.start - done);
        ak_ids_put(&e->ids, match.token->id);
        done = match.stop;
    }
    if (!ak_ids_done(&e->ids) && done < new_size)
        cut_piece(e, normal + done, new_size - done);
}

/* Spaces with every option of the normalizer, unlike other control characters. */
static bool is_ascii_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void split_piece(encoder *e, const char *text, size_t size)
{
    const ak_tokenizer *t = e->tokenizer;
    if (t->bpe || t->unigram || t->normalized.first) {
        split_normalized(e, text, size);
        return;
    }
    char local[AK_NORMALIZED(STRETCH + 256)];
    while (size > 0 && !ak_ids_done(&e->ids)) {
        size_t stretch = size < STRETCH ? size : STRETCH, new_size;
        while (stretch < size && !is_ascii_space(text[stretch]))
            stretch++;
        const char *normal = normalize(e, text, stretch, local, sizeof local, &new_size);
        if (normal)
            split_words(e, normal, new_size);
        text += stretch;
        size -= stretch;
    }
}

static void split_text(encoder *e, const char *text, size_t size)
{
    size_t scan = 0, done = 0;
    ak_added_match match;
    while (!ak_ids_done(&e->ids) &&
           ak_added_next(&e->tokenizer->raw, text, size, &scan, done, &match)) {
        if (done < match.start)
            split_piece(e, text + done, match.start - done);
        ak_ids_put(&e->ids, match.token->id);
        done = match.stop;
    }
    if (!ak_ids_done(&e->ids) && done < size)
        split_piece(e, text + done, size - done);
}

static bool is_ascii(const char *text, size_t size)
{
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, 8);
        if (word & UINT64_C(0x8080808080808080))
            return false;
    }
    for (; i < size; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

akin_status ak_tokenizer_encode(const ak_tokenizer *tokenizer, const char *text, size_t size,
                                int32_t max_length, akin_arena *arena, int32_t **ids,
                                int32_t *count, bool *cut, akin_error *error)
{
    *ids = NULL;
    *count = 0;
    *cut = false;
    const ak_template *around = &tokenizer->template;
    int32_t around_count = around->before_count + around->after_count;
    if (max_length < around_count)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the maximum length is %d, must be %d or more",
                       max_length, around_count);
    int32_t own = max_length - around_count;
    int64_t replaced;
    if (!is_ascii(text, size))
        text = ak_utf8_repair(text, size, &size, &replaced, arena);
    if (!text)
        return ak_fail_memory(error);
    int32_t local[LOCAL_IDS];
    encoder e = {tokenizer, {arena, local, .capacity = LOCAL_IDS, .limit = own}, NULL, 0};
    split_text(&e, text, size);
    *cut = e.ids.count > own;
    int64_t kept = *cut ? own : e.ids.count;
    int64_t total = kept + around_count;
    int32_t *out = e.ids.failed ? NULL : ak_arena_new(arena, int32_t, total);
    if (!out)
        return ak_fail_memory(error);
    memcpy(out, around->before, (size_t)around->before_count * sizeof *out);
    memcpy(out + around->before_count, e.ids.items, (size_t)kept * sizeof *out);
    memcpy(out + around->before_count + kept, around->after,
           (size_t)around->after_count * sizeof *out);
    *ids = out;
    *count = (int32_t)total;
    return AKIN_OK;
}

akin_status ak_tokenizer_load(ak_tokenizer **out, const char *folder, akin_error *error)
{
    *out = NULL;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_tokenizer *t = ak_arena_new(arena, ak_tokenizer, 1);
    akin_status status = AKIN_OK;
    if (t) {
        memset(t, 0, sizeof *t);
        t->arena = arena;
        status = ak_tokenizer_read_folder(t, folder, error);
    } else {
        status = ak_fail_memory(error);
    }
    if (status)
        ak_arena_free(arena);
    else
        *out = t;
    return status;
}

void ak_tokenizer_free(ak_tokenizer *tokenizer)
{
    if (tokenizer)
        ak_arena_free(tokenizer->arena);
}

int32_t ak_tokenizer_vocabulary(const ak_tokenizer *tokenizer)
{
    return tokenizer->size;
}

void ak_tokenizer_special(const ak_tokenizer *tokenizer, int32_t *before, int32_t *after)
{
    *before = tokenizer->template.before_count;
    *after = tokenizer->template.after_count;
}

int32_t ak_tokenizer_unknown(const ak_tokenizer *tokenizer)
{
    return tokenizer->unknown;
}

const char *ak_tokenizer_token(const ak_tokenizer *t, int32_t id)
{
    const char *token = ak_vocabulary_token(t->vocabulary, id);
    for (const ak_added *a = t->raw.first; a && !token; a = a->next)
        token = a->id == id ? a->content : NULL;
    for (const ak_added *a = t->normalized.first; a && !token; a = a->next)
        token = a->id == id ? a->content : NULL;
    return token;
}

static bool is_special(const ak_added_set *set, int32_t id)
{
    for (const ak_added *a = set->first; a; a = a->next)
        if (a->id == id && a->special)
            return true;
    return false;
}

bool ak_tokenizer_is_text(const ak_tokenizer *t, int32_t id)
{
    static const char unused[] = "[unused";
    const char *token = ak_tokenizer_token(t, id);
    if (!token || id == t->unknown || is_special(&t->raw, id) || is_special(&t->normalized, id))
        return false;
    if (strncmp(token, unused, sizeof unused - 1) != 0)
        return true;
    size_t digits = strspn(token + sizeof unused - 1, "0123456789");
    return !digits || strcmp(token + sizeof unused - 1 + digits, "]") != 0;
}

ak_hash ak_tokenizer_fingerprint(const ak_tokenizer *tokenizer)
{
    return tokenizer->fingerprint;
}
