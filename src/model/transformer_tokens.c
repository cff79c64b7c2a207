/* Objects to the tokens of a batch, with prompts; single tokens too, for distillation. */
#include "model/transformer_internal.h"

#include <string.h>

static akin_status with_prompt(const transformer *t, akin_arena *arena, akin_object *text,
                               akin_error *error)
{
    size_t length = strlen(t->prompt);
    if (!length)
        return AKIN_OK;
    char *joined = akin_arena_alloc(arena, length + text->size);
    if (!joined)
        return ak_fail_memory(error);
    memcpy(joined, t->prompt, length);
    memcpy(joined + length, text->data, text->size);
    *text = (akin_object){.data = joined, .size = length + text->size};
    return AKIN_OK;
}

/* One text's ids, into the arena. */
static akin_status tokenize(const transformer *t, akin_object object, akin_arena *arena,
                            int32_t **ids, int32_t *count, akin_error *error)
{
    akin_object text;
    bool cut;
    AK_TRY(ak_field_text(t->field, object, arena, &text, error));
    AK_TRY(with_prompt(t, arena, &text, error));
    AK_TRY(ak_tokenizer_encode(t->tokenizer, text.data, text.size, t->max_length, arena, ids, count,
                               &cut, error));
    if (cut)
        atomic_fetch_add_explicit(&((transformer *)t)->cut, 1, memory_order_relaxed);
    return AKIN_OK;
}

static akin_status join_tokens(const transformer *t, akin_arena *arena, int32_t **parts,
                               int64_t count, int64_t *start, ak_tokens **out, akin_error *error)
{
    ak_tokens *tokens = ak_arena_new(arena, ak_tokens, 1);
    int32_t *ids = ak_arena_new(arena, int32_t, start[count]);
    int32_t *skip = t->prompt_tokens ? ak_arena_new(arena, int32_t, count) : NULL;
    if (!tokens || !ids || (t->prompt_tokens && !skip))
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++) {
        int64_t length = start[i + 1] - start[i];
        memcpy(ids + start[i], parts[i], (size_t)length * sizeof *ids);
        if (skip) /* a text cut down to its prompt keeps its last token for pooling */
            skip[i] = t->prompt_tokens < length ? t->prompt_tokens : (int32_t)length - 1;
    }
    *tokens = (ak_tokens){.texts = count, .ids = ids, .start = start, .skip = skip};
    *out = tokens;
    return AKIN_OK;
}

akin_status ak_transformer_collate(const void *self, const akin_object *objects, int64_t count,
                                   akin_arena *arena, void **batch, akin_error *error)
{
    const transformer *t = self;
    int32_t **parts = ak_arena_new(arena, int32_t *, count);
    int64_t *start = ak_arena_new(arena, int64_t, count + 1);
    if (!parts || !start)
        return ak_fail_memory(error);
    start[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t length;
        AK_TRY(tokenize(t, objects[i], arena, &parts[i], &length, error));
        start[i + 1] = start[i] + length;
    }
    ak_tokens *tokens = NULL;
    AK_TRY(join_tokens(t, arena, parts, count, start, &tokens, error));
    *batch = tokens;
    return AKIN_OK;
}

akin_status ak_transformer_collate_tokens(const void *self, const int32_t *ids, int64_t count,
                                          akin_arena *arena, void **batch, akin_error *error)
{
    const transformer *t = self;
    ak_tokens *tokens = ak_arena_new(arena, ak_tokens, 1);
    int64_t *start = ak_arena_new(arena, int64_t, count + 1);
    int32_t *around, special, before, after;
    bool cut;
    AK_TRY(ak_tokenizer_encode(t->tokenizer, "", 0, t->max_length, arena, &around, &special, &cut,
                               error));
    ak_tokenizer_special(t->tokenizer, &before, &after);
    int32_t *all = ak_arena_new(arena, int32_t, count * (special + 1));
    if (!tokens || !start || !all)
        return ak_fail_memory(error);
    start[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t *own = all + start[i];
        memcpy(own, around, (size_t)before * sizeof *own);
        own[before] = ids[i];
        memcpy(own + before + 1, around + before, (size_t)after * sizeof *own);
        start[i + 1] = start[i] + special + 1;
    }
    *tokens = (ak_tokens){.texts = count, .ids = all, .start = start};
    *batch = tokens;
    return AKIN_OK;
}
