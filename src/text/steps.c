#include "text/steps.h"

#include "text/builder.h"
#include "text/unicode.h"

/* Each step gives its text: `size` becomes the new one; NULL when out of memory. */

static const char *lowercase(const char *text, size_t *size, akin_arena *arena)
{
    ak_builder w = ak_builder_new(arena, *size + 16);
    for (size_t at = 0; at < *size && w.out;) {
        uint32_t point, lower[2];
        at += (size_t)ak_char_read(text + at, &point);
        int count = ak_char_lower(point, lower);
        for (int i = 0; i < count; i++) {
            char bytes[4];
            ak_builder_put(&w, bytes, (size_t)ak_utf8_encode(lower[i], bytes));
        }
    }
    *size = w.size;
    return w.out;
}

static bool is_space_at(const char *text, size_t *length)
{
    uint32_t point;
    *length = (size_t)ak_char_read(text, &point);
    return ak_char_is_space(point);
}

static const char *strip(const ak_step *step, const char *text, size_t *size)
{
    size_t length, begin = 0, end = *size;
    while (step->left && begin < end && is_space_at(text + begin, &length))
        begin += length;
    while (step->right && end > begin) {
        size_t last = end - 1;
        while (last > begin && ((unsigned char)text[last] & 0xC0) == 0x80)
            last--;
        if (!is_space_at(text + last, &length))
            break;
        end = last;
    }
    *size = end - begin;
    return text + begin;
}

static const char *replace(const ak_step *step, const char *text, size_t *size, akin_arena *arena)
{
    size_t from = strlen(step->from), done = 0, at = 0;
    ak_builder w = ak_builder_new(arena, *size + 16);
    while (w.out && from && at + from <= *size) {
        if (memcmp(text + at, step->from, from) != 0) {
            at++;
            continue;
        }
        ak_builder_put(&w, text + done, at - done);
        ak_builder_put(&w, step->to, strlen(step->to));
        done = at += from;
    }
    ak_builder_put(&w, text + done, *size - done);
    *size = w.size;
    return w.out;
}

static const char *join_spaces(const ak_step *step, const char *text, size_t *size,
                               akin_arena *arena)
{
    size_t done = 0;
    ak_builder w = ak_builder_new(arena, *size + 16);
    for (size_t at = 0; at < *size && w.out; at++) {
        size_t end = at;
        while (end < *size && text[end] == ' ')
            end++;
        if (end - at < 2)
            continue;
        ak_builder_put(&w, text + done, at - done);
        ak_builder_put(&w, step->to, strlen(step->to));
        done = end;
        at = end - 1;
    }
    ak_builder_put(&w, text + done, *size - done);
    *size = w.size;
    return w.out;
}

static const char *apply(const ak_step *step, const char *text, size_t *size, akin_arena *arena)
{
    switch (step->kind) {
    case AK_STEP_FORM:
        return ak_form_apply(step->form, text, *size, size, arena);
    case AK_STEP_CHARSMAP:
        return ak_charsmap_apply(step->charsmap, text, *size, size, arena);
    case AK_STEP_LOWERCASE:
        return lowercase(text, size, arena);
    case AK_STEP_STRIP:
        return strip(step, text, size);
    case AK_STEP_REPLACE:
        return replace(step, text, size, arena);
    case AK_STEP_JOIN_SPACES:
        return join_spaces(step, text, size, arena);
    }
    return text;
}

const char *ak_steps_apply(const ak_step *first, const char *text, size_t size, size_t *new_size,
                           akin_arena *arena)
{
    *new_size = size;
    for (const ak_step *step = first; step && text; step = step->next)
        text = apply(step, text, new_size, arena);
    return text;
}

ak_hash ak_steps_hash(const ak_step *first)
{
    ak_hash hash = ak_hash_text("steps");
    for (const ak_step *step = first; step; step = step->next) {
        const int32_t flags[] = {(int32_t)step->kind, (int32_t)step->form, step->left, step->right};
        hash = ak_hash_combine(hash, ak_hash_bytes(flags, sizeof flags));
        if (step->charsmap)
            hash = ak_hash_combine(hash, ak_charsmap_hash(step->charsmap));
        hash = ak_hash_combine(hash, ak_hash_text(step->from ? step->from : ""));
        hash = ak_hash_combine(hash, ak_hash_text(step->to ? step->to : ""));
    }
    return hash;
}
