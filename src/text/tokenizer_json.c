/* tokenizer.json of Hugging Face's `tokenizers`: the document, its post-processor and added
   tokens; tokenizer_models.c reads what belongs to a kind of model. "vocab" inside "model" is cut
   out for vocabulary_files.c; what is left is small and goes through the JSON parser, with the
   lines kept for its messages. */
#include "text/tokenizer_json.h"

#include <string.h>

typedef ak_json_source source;

akin_status ak_json_bad(const source *s, const ak_value *at, const char *expected)
{
    return ak_fail_at(s->error, AKIN_ERR_FORMAT, s->path, at ? at->line : 0, "expected %s",
                      expected);
}

akin_status ak_json_unsupported(const source *s, const ak_value *at, const char *what,
                                const char *type, const char *expected)
{
    return ak_fail_at(s->error, AKIN_ERR_UNSUPPORTED, s->path, at ? at->line : 0,
                      "the %s is of type \"%.60s\", akin reads %s", what, type, expected);
}

/* End of the string that opens at text[at], after its closing quote. */
static size_t skip_string(const char *text, size_t size, size_t at)
{
    for (at++; at < size && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at < size ? at + 1 : size;
}

/* The bytes of the object or list at model.vocab, { to }; false when there is none. */
static bool find_vocabulary(const char *text, size_t size, size_t *begin, size_t *end)
{
    int64_t depth = 0;
    bool in_model = false, found = false;
    size_t key = 0, key_size = 0; /* the last string at depth 1 or 2 */
    for (size_t at = 0; at < size; at++) {
        char c = text[at];
        if (c == '"') {
            size_t stop = skip_string(text, size, at);
            if (depth <= 2) {
                key = at;
                key_size = stop - at;
            }
            at = stop - 1;
        } else if (c == '{' || c == '[') {
            if (depth == 1)
                in_model = c == '{' && key_size == 7 && !memcmp(text + key, "\"model\"", 7);
            if (depth == 2 && in_model && key_size == 7 && !memcmp(text + key, "\"vocab\"", 7)) {
                *begin = at;
                found = true;
            }
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if (depth == 2 && found) {
                *end = at + 1;
                return true;
            }
        }
    }
    return false;
}

/* The document with {} for the vocabulary and as many lines as before. */
static akin_status parse_rest(ak_value **out, akin_arena *arena, const ak_map *map, size_t begin,
                              size_t end, const char *path, akin_error *error)
{
    if (begin == end)
        return ak_json_parse(out, arena, map->data, map->size, path, error);
    char *rest = akin_arena_alloc(arena, map->size);
    if (!rest)
        return ak_fail_memory(error);
    memcpy(rest, map->data, begin);
    size_t used = begin;
    rest[used++] = '{';
    const char *at = map->data + begin;
    while ((at = memchr(at, '\n', (size_t)(map->data + end - at)))) {
        rest[used++] = '\n';
        at++;
    }
    rest[used++] = '}';
    memcpy(rest + used, map->data + end, map->size - end);
    return ak_json_parse(out, arena, rest, used + map->size - end, path, error);
}

akin_status ak_json_read_bool(const source *s, const ak_value *map, const char *key, bool *out)
{
    const ak_value *value = ak_value_get(map, key);
    if (!value || value->kind == AK_NULL)
        return AKIN_OK;
    if (value->kind != AK_BOOL)
        return ak_fail_at(s->error, AKIN_ERR_FORMAT, s->path, value->line,
                          "\"%s\" is %s, expected true or false", key,
                          ak_value_kind_name(value->kind));
    *out = value->boolean;
    return AKIN_OK;
}

static akin_status put_id(const source *s, const ak_value *id, int32_t *list, int *count)
{
    if (!id || id->kind != AK_INT || id->integer < 0 || id->integer >= s->tokenizer->size)
        return ak_fail_at(s->error, AKIN_ERR_FORMAT, s->path, id ? id->line : 0,
                          "expected an id from 0 to %d in \"post_processor\"",
                          s->tokenizer->size - 1);
    if (*count == AK_TEMPLATE_LIMIT)
        return ak_fail_at(s->error, AKIN_ERR_UNSUPPORTED, s->path, id->line,
                          "more than %d special tokens around a text", AK_TEMPLATE_LIMIT);
    list[(*count)++] = (int32_t)id->integer;
    return AKIN_OK;
}

/* {"SpecialToken": {"id": "[CLS]"}}, whose ids are listed in special_tokens. */
static akin_status put_special(const source *s, const ak_value *processor, const ak_value *special,
                               int32_t *list, int *count)
{
    const char *name = ak_value_get_string(special, "id", NULL);
    const ak_value *known = ak_value_get(processor, "special_tokens");
    const ak_value *ids = name ? ak_value_get(ak_value_get(known, name), "ids") : NULL;
    if (!ids || ids->kind != AK_LIST)
        return ak_fail_at(s->error, AKIN_ERR_FORMAT, s->path, special->line,
                          "expected \"ids\" of \"%.60s\" in \"special_tokens\"", name ? name : "");
    for (const ak_value *id = ids->first; id; id = id->next)
        AK_TRY(put_id(s, id, list, count));
    return AKIN_OK;
}

static akin_status read_template(const source *s, const ak_value *processor)
{
    ak_template *t = &s->tokenizer->template;
    const ak_value *single = ak_value_get(processor, "single");
    if (!single || single->kind != AK_LIST)
        return ak_json_bad(s, processor, "a list \"single\" in \"post_processor\"");
    bool after = false;
    for (const ak_value *piece = single->first; piece; piece = piece->next) {
        const ak_value *special = ak_value_get(piece, "SpecialToken");
        if (special && after)
            AK_TRY(put_special(s, processor, special, t->after, &t->after_count));
        else if (special)
            AK_TRY(put_special(s, processor, special, t->before, &t->before_count));
        else if (ak_value_get(piece, "Sequence") && !after)
            after = true;
        else
            return ak_json_bad(s, piece, "special tokens and one Sequence in \"single\"");
    }
    return after ? AKIN_OK : ak_json_bad(s, single, "a Sequence in \"single\"");
}

/* "cls": ["[CLS]", 101] */
static akin_status read_pair(const source *s, const ak_value *processor, const char *key,
                             int32_t *list, int *count)
{
    const ak_value *pair = ak_value_get(processor, key);
    if (!pair || pair->kind != AK_LIST || pair->count != 2)
        return ak_json_bad(s, pair ? pair : processor, "a token and its id in \"cls\" and \"sep\"");
    return put_id(s, pair->last, list, count);
}

static akin_status read_one_processor(const source *s, const ak_value *map)
{
    ak_template *t = &s->tokenizer->template;
    const char *type = ak_value_get_string(map, "type", "");
    if (!strcmp(type, "ByteLevel")) /* moves offsets, adds no ids */
        return AKIN_OK;
    if (!strcmp(type, "TemplateProcessing"))
        return read_template(s, map);
    if (strcmp(type, "BertProcessing") != 0 && strcmp(type, "RobertaProcessing") != 0)
        return ak_json_unsupported(s, map, "post_processor", type, "\"TemplateProcessing\"");
    AK_TRY(read_pair(s, map, "cls", t->before, &t->before_count));
    return read_pair(s, map, "sep", t->after, &t->after_count);
}

static akin_status read_post_processor(const source *s, const ak_value *root)
{
    const ak_value *map = ak_value_get(root, "post_processor");
    if (!map || map->kind == AK_NULL)
        return AKIN_OK;
    if (strcmp(ak_value_get_string(map, "type", ""), "Sequence") != 0)
        return read_one_processor(s, map);
    const ak_value *list = ak_value_get(map, "processors");
    for (const ak_value *one = list ? list->first : NULL; one; one = one->next) {
        if (s->tokenizer->template.before_count + s->tokenizer->template.after_count > 0)
            return ak_json_bad(s, one, "one post_processor that adds tokens, and nothing after it");
        AK_TRY(read_one_processor(s, one));
    }
    return AKIN_OK;
}

akin_status ak_tokenizer_read_flags(ak_added *token, const ak_value *map, const char *name,
                                    akin_error *error)
{
    const source s = {NULL, name, error, NULL};
    AK_TRY(ak_json_read_bool(&s, map, "single_word", &token->single_word));
    AK_TRY(ak_json_read_bool(&s, map, "lstrip", &token->lstrip));
    AK_TRY(ak_json_read_bool(&s, map, "rstrip", &token->rstrip));
    AK_TRY(ak_json_read_bool(&s, map, "normalized", &token->normalized));
    return ak_json_read_bool(&s, map, "special", &token->special);
}

static akin_status read_added_token(const source *s, const ak_value *map)
{
    const ak_value *id = ak_value_get(map, "id");
    const char *content = ak_value_get_string(map, "content", NULL);
    if (!content || !id || id->kind != AK_INT || id->integer < 0 || id->integer >= AK_ID_LIMIT)
        return ak_json_bad(s, map, "\"content\" and \"id\" in every one of \"added_tokens\"");
    ak_added token = {.content = content, .id = (int32_t)id->integer, .normalized = true};
    AK_TRY(ak_tokenizer_read_flags(&token, map, s->path, s->error));
    return ak_tokenizer_add(s->tokenizer, &token, s->path, map->line, s->error);
}

/* Special tokens come before others: of two that match alike, the first wins. */
static akin_status read_added_tokens(const source *s, const ak_value *root)
{
    const ak_value *list = ak_value_get(root, "added_tokens");
    if (!list || list->kind == AK_NULL)
        return AKIN_OK;
    if (list->kind != AK_LIST)
        return ak_json_bad(s, list, "a list \"added_tokens\"");
    for (int special = 1; special >= 0; special--)
        for (const ak_value *map = list->first; map; map = map->next)
            if (ak_value_get_bool(map, "special", false) == special)
                AK_TRY(read_added_token(s, map));
    return AKIN_OK;
}

static akin_status read_document(const source *s, const ak_map *map, akin_arena *arena)
{
    size_t begin = 0, end = 0;
    if (!find_vocabulary(map->data, map->size, &begin, &end))
        begin = end = 0;
    ak_value *root;
    AK_TRY(parse_rest(&root, arena, map, begin, end, s->path, s->error));
    AK_TRY(ak_json_read_model(s, root, map->data, begin, end));
    AK_TRY(read_added_tokens(s, root));
    return read_post_processor(s, root);
}

akin_status ak_tokenizer_read_json(ak_tokenizer *tokenizer, const char *path,
                                   const ak_value *config, akin_error *error)
{
    ak_map map;
    AK_TRY(ak_map_open(&map, path, error));
    source s = {tokenizer, path, error, config};
    akin_arena *arena;
    akin_status status = ak_arena_create(&arena, error);
    if (!status) {
        status = read_document(&s, &map, arena);
        ak_arena_free(arena);
    }
    ak_map_close(&map);
    return status;
}
