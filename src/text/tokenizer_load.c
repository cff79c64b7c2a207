/* Which files of a folder make its tokenizer, and vocab.txt with the options beside it. As
   transformers does: tokenizer.json is preferred for the vocabulary, but do_lower_case,
   strip_accents and tokenize_chinese_chars of tokenizer_config.json win over its normalizer (absent
   ones too, by their defaults), unless the class named there is a generic one. */
#include "text/tokenizer_parts.h"

#include <string.h>

static akin_status read_if_there(const ak_value **out, akin_arena *arena, const char *folder,
                                 const char *name, akin_error *error)
{
    *out = NULL;
    char *path = ak_path_join(folder, name);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = AKIN_OK;
    ak_value *value = NULL;
    if (ak_path_what(path) == AK_PATH_FILE)
        status = ak_json_read(&value, arena, path, error);
    if (!status && value && value->kind != AK_MAP)
        status = ak_fail_at(error, AKIN_ERR_FORMAT, path, value->line, "expected an object");
    ak_free(path);
    *out = status ? NULL : value;
    return status;
}

void ak_tokenizer_configure(ak_tokenizer *t, const ak_value *config)
{
    ak_normalizer *n = &t->normalizer;
    n->lowercase = ak_value_get_bool(config, "do_lower_case", true);
    n->strip_accents = ak_value_get_bool(config, "strip_accents", n->lowercase);
    n->handle_chinese_chars = ak_value_get_bool(config, "tokenize_chinese_chars", true);
}

static bool is_generic(const ak_value *config)
{
    const char *name = ak_value_get_string(config, "tokenizer_class", "");
    return !strcmp(name, "PreTrainedTokenizerFast") || !strcmp(name, "TokenizersBackend");
}

static akin_status check_added(const ak_tokenizer *t, const ak_added *token, const char *name,
                               int64_t line, akin_error *error)
{
    int32_t known = ak_vocabulary_find(t->vocabulary, token->content);
    if (known >= 0 && known != token->id)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, line,
                          "added token \"%.60s\" has id %d, but %d in the vocabulary",
                          token->content, token->id, known);
    const char *other = known < 0 ? ak_tokenizer_token(t, token->id) : NULL;
    if (other && strcmp(other, token->content) != 0)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, line,
                          "id %d is given to \"%.60s\" and to \"%.60s\"", token->id, other,
                          token->content);
    return AKIN_OK;
}

/* What a normalised token is searched as; NULL when out of memory. */
static const char *normal_pattern(const ak_tokenizer *t, const char *content, size_t *size)
{
    if (t->bpe || t->unigram)
        return ak_steps_apply(t->steps, content, *size, size, t->arena);
    char *pattern = akin_arena_alloc(t->arena, AK_NORMALIZED(*size));
    if (pattern)
        *size = ak_normalize(&t->normalizer, content, *size, pattern);
    return pattern;
}

akin_status ak_tokenizer_add(ak_tokenizer *t, const ak_added *token, const char *name, int64_t line,
                             akin_error *error)
{
    size_t size = strlen(token->content);
    if (!size)
        return AKIN_OK;
    AK_TRY(check_added(t, token, name, line, error));
    ak_added *copy = ak_arena_new(t->arena, ak_added, 1);
    char *content = copy ? ak_arena_copy(t->arena, token->content, size) : NULL;
    const char *pattern =
        content && token->normalized ? normal_pattern(t, content, &size) : content;
    if (!pattern)
        return ak_fail_memory(error);
    *copy = *token;
    copy->content = content;
    copy->pattern = pattern;
    copy->size = size;
    if (size) /* a token that normalises to nothing is never found */
        ak_added_append(token->normalized ? &t->normalized : &t->raw, copy);
    if (t->size <= token->id)
        t->size = token->id + 1;
    return AKIN_OK;
}

static bool is_added(const ak_tokenizer *t, const char *content)
{
    for (const ak_added *a = t->raw.first; a; a = a->next)
        if (!strcmp(a->content, content))
            return true;
    for (const ak_added *a = t->normalized.first; a; a = a->next)
        if (!strcmp(a->content, content))
            return true;
    return false;
}

/* vocab.txt and what stands beside it. */
typedef struct plain {
    ak_tokenizer *tokenizer;
    const char *path;
    const ak_value *config, *special; /* tokenizer_config.json, special_tokens_map.json */
    akin_error *error;
} plain;

/* A token's text from a string, or from an object with "content". */
static const char *text_of(const ak_value *value)
{
    if (value && value->kind == AK_STRING)
        return value->string;
    return ak_value_get_string(value, "content", NULL);
}

static const char *name_of(const plain *p, const char *key, const char *otherwise)
{
    const char *name = text_of(ak_value_get(p->config, key));
    if (!name)
        name = text_of(ak_value_get(p->special, key));
    return name ? name : otherwise;
}

/* A special token that the vocabulary has is also found in raw text. *id: -1 when it is absent. */
static akin_status add_special(const plain *p, const char *content, int32_t *id)
{
    *id = ak_vocabulary_find(p->tokenizer->vocabulary, content);
    if (*id < 0 || is_added(p->tokenizer, content))
        return AKIN_OK;
    const ak_added token = {.content = content, .id = *id, .special = true};
    return ak_tokenizer_add(p->tokenizer, &token, p->path, 0, p->error);
}

static akin_status need_special(const plain *p, const char *key, const char *otherwise, int32_t *id)
{
    const char *content = name_of(p, key, otherwise);
    AK_TRY(add_special(p, content, id));
    if (*id < 0)
        return ak_fail_at(p->error, AKIN_ERR_FORMAT, p->path, 0,
                          "\"%.60s\" is missing, the %s of a WordPiece vocabulary", content, key);
    return AKIN_OK;
}

/* "added_tokens_decoder": {"103": {"content": "[MASK]", "special": true, ...}} */
static akin_status add_decoder(const plain *p)
{
    const ak_value *decoder = ak_value_get(p->config, "added_tokens_decoder");
    for (const ak_value *map = decoder ? decoder->first : NULL; map; map = map->next) {
        int64_t id;
        const char *content = text_of(map);
        if (!content || !map->key || !ak_text_to_int(map->key, &id) || id < 0 || id >= AK_ID_LIMIT)
            return ak_fail_at(p->error, AKIN_ERR_FORMAT, "tokenizer_config.json", map->line,
                              "expected an id and its \"content\" in \"added_tokens_decoder\"");
        ak_added token = {.content = content, .id = (int32_t)id, .normalized = true};
        AK_TRY(ak_tokenizer_read_flags(&token, map, "tokenizer_config.json", p->error));
        AK_TRY(
            ak_tokenizer_add(p->tokenizer, &token, "tokenizer_config.json", map->line, p->error));
    }
    return AKIN_OK;
}

static akin_status add_plain_tokens(const plain *p)
{
    ak_tokenizer *t = p->tokenizer;
    ak_template *around = &t->template;
    int32_t id;
    AK_TRY(add_decoder(p));
    AK_TRY(need_special(p, "unk_token", "[UNK]", &t->unknown));
    AK_TRY(need_special(p, "cls_token", "[CLS]", &around->before[0]));
    AK_TRY(need_special(p, "sep_token", "[SEP]", &around->after[0]));
    around->before_count = around->after_count = 1;
    AK_TRY(add_special(p, name_of(p, "pad_token", "[PAD]"), &id));
    AK_TRY(add_special(p, name_of(p, "mask_token", "[MASK]"), &id));
    const ak_value *more = ak_value_get(p->config, "additional_special_tokens");
    for (const ak_value *one = more ? more->first : NULL; one; one = one->next)
        if (text_of(one))
            AK_TRY(add_special(p, text_of(one), &id));
    return AKIN_OK;
}

static akin_status read_lines(const plain *p)
{
    ak_tokenizer *t = p->tokenizer;
    ak_map map;
    AK_TRY(ak_map_open(&map, p->path, p->error));
    akin_status status = ak_vocabulary_read_lines(&t->vocabulary, t->arena, map.data, map.size,
                                                  "##", p->path, p->error);
    ak_map_close(&map);
    if (status)
        return status;
    t->size = ak_vocabulary_size(t->vocabulary);
    t->word_limit = 100;
    t->normalizer.clean_text = true;
    ak_tokenizer_configure(t, p->config);
    ak_normalizer_prepare(&t->normalizer);
    return add_plain_tokens(p);
}

static akin_status read_plain(ak_tokenizer *t, const char *folder, const char *path,
                              const ak_value *config, akin_arena *arena, akin_error *error)
{
    const ak_value *special, *added;
    AK_TRY(read_if_there(&special, arena, folder, "special_tokens_map.json", error));
    AK_TRY(read_if_there(&added, arena, folder, "added_tokens.json", error));
    if (added)
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, folder, 0,
                          "has added_tokens.json but no tokenizer.json, which akin needs for it");
    plain p = {t, path, config, special, error};
    return read_lines(&p);
}

static akin_status hash_options(ak_tokenizer *t, akin_error *error)
{
    ak_hash hash;
    AK_TRY(ak_vocabulary_hash(t->vocabulary, &hash, error));
    const ak_normalizer *n = &t->normalizer;
    const int32_t flags[] = {
        n->clean_text, n->handle_chinese_chars, n->strip_accents,         n->lowercase,
        t->unknown,    (int32_t)t->word_limit,  t->template.before_count, t->template.after_count};
    hash = ak_hash_combine(hash, ak_hash_bytes(flags, sizeof flags));
    hash = ak_hash_combine(hash, ak_hash_bytes(&t->template, sizeof t->template));
    if (t->steps)
        hash = ak_hash_combine(hash, ak_steps_hash(t->steps));
    if (t->unigram)
        hash = ak_hash_combine(hash, ak_unigram_hash(t->unigram));
    if (t->bpe)
        hash = ak_hash_combine(hash, ak_bpe_hash(t->bpe));
    const ak_added_set *sets[] = {&t->raw, &t->normalized};
    for (int i = 0; i < 2; i++) {
        for (const ak_added *a = sets[i]->first; a; a = a->next) {
            const int32_t about[] = {i, a->id, a->single_word, a->lstrip, a->rstrip};
            hash = ak_hash_combine(hash, ak_hash_text(a->content));
            hash = ak_hash_combine(hash, ak_hash_bytes(about, sizeof about));
        }
    }
    t->fingerprint = hash;
    return AKIN_OK;
}

static akin_status read_files(ak_tokenizer *t, const char *folder, const char *json,
                              const char *lines, akin_arena *arena, akin_error *error)
{
    const ak_value *config;
    AK_TRY(read_if_there(&config, arena, folder, "tokenizer_config.json", error));
    if (ak_path_what(json) == AK_PATH_FILE)
        AK_TRY(ak_tokenizer_read_json(t, json, is_generic(config) ? NULL : config, error));
    else if (ak_path_what(lines) == AK_PATH_FILE)
        AK_TRY(read_plain(t, folder, lines, config, arena, error));
    else
        return ak_fail(error, AKIN_ERR_IO, "%s: has neither tokenizer.json nor vocab.txt", folder);
    return hash_options(t, error);
}

akin_status ak_tokenizer_read_folder(ak_tokenizer *t, const char *folder, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    char *json = ak_path_join(folder, "tokenizer.json");
    char *lines = ak_path_join(folder, "vocab.txt");
    akin_status status =
        json && lines ? read_files(t, folder, json, lines, arena, error) : ak_fail_memory(error);
    ak_free(json);
    ak_free(lines);
    ak_arena_free(arena);
    return status;
}
