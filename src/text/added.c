/* The leftmost match, of several there the longest, as Hugging Face's added vocabulary finds it.
   There are few added tokens and fewer first bytes, so a table of those is all the automaton. */
#include "text/added.h"

#include <string.h>

#include "text/unicode.h"

void ak_added_append(ak_added_set *set, ak_added *token)
{
    token->next = NULL;
    if (set->last)
        set->last->next = token;
    else
        set->first = token;
    set->last = token;
    set->starts[(unsigned char)token->pattern[0]] = true;
}

static const ak_added *longest_at(const ak_added_set *set, const char *text, size_t size)
{
    const ak_added *best = NULL;
    for (const ak_added *t = set->first; t; t = t->next)
        if (t->size <= size && (!best || t->size > best->size) &&
            !memcmp(t->pattern, text, t->size))
            best = t;
    return best;
}

/* Start of the character that ends at text[at]. */
static size_t step_back(const char *text, size_t at)
{
    do
        at--;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

static bool stands_alone(const char *text, size_t size, size_t start, size_t stop)
{
    uint32_t point;
    if (start > 0) {
        ak_char_read(text + step_back(text, start), &point);
        if (ak_char_is_word(point))
            return false;
    }
    if (stop < size) {
        ak_char_read(text + stop, &point);
        if (ak_char_is_word(point))
            return false;
    }
    return true;
}

static size_t spaces_before(const char *text, size_t at)
{
    while (at > 0) {
        size_t before = step_back(text, at);
        uint32_t point;
        ak_char_read(text + before, &point);
        if (!ak_char_is_space(point))
            break;
        at = before;
    }
    return at;
}

static size_t spaces_after(const char *text, size_t size, size_t at)
{
    while (at < size) {
        uint32_t point;
        int length = ak_char_read(text + at, &point);
        if (!ak_char_is_space(point))
            break;
        at += (size_t)length;
    }
    return at;
}

bool ak_added_next(const ak_added_set *set, const char *text, size_t size, size_t *scan,
                   size_t done, ak_added_match *match)
{
    size_t at = *scan;
    while (set->first && at < size) {
        if (!set->starts[(unsigned char)text[at]]) {
            at++;
            continue;
        }
        const ak_added *token = longest_at(set, text + at, size - at);
        if (!token) {
            at++;
            continue;
        }
        size_t start = at, stop = at + token->size;
        at = stop;
        if (token->single_word && !stands_alone(text, size, start, stop))
            continue;
        if (token->lstrip) {
            start = spaces_before(text, start);
            start = start > done ? start : done;
        }
        if (token->rstrip)
            stop = spaces_after(text, size, stop);
        *match = (ak_added_match){start, stop, token};
        *scan = at;
        return true;
    }
    *scan = size;
    return false;
}
