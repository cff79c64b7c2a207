/* The kinds of models in tokenizer.json: WordPiece, byte-level BPE and Unigram, each with the
   normalizer and the pre-tokenizer that belong to it. */
#include "text/tokenizer_json.h"

#include <string.h>

typedef ak_json_source source;

/* ---- WordPiece ---- */

static akin_status read_normalizer(const source *s, const ak_value *root)
{
    ak_normalizer *n = &s->tokenizer->normalizer;
    const ak_value *map = ak_value_get(root, "normalizer");
    if (!map || map->kind == AK_NULL)
        return AKIN_OK;
    const char *type = ak_value_get_string(map, "type", "");
    if (strcmp(type, "BertNormalizer") != 0)
        return ak_json_unsupported(s, map, "normalizer", type, "\"BertNormalizer\"");
    n->clean_text = n->handle_chinese_chars = n->lowercase = true;
    AK_TRY(ak_json_read_bool(s, map, "clean_text", &n->clean_text));
    AK_TRY(ak_json_read_bool(s, map, "handle_chinese_chars", &n->handle_chinese_chars));
    AK_TRY(ak_json_read_bool(s, map, "lowercase", &n->lowercase));
    n->strip_accents = n->lowercase;
    return ak_json_read_bool(s, map, "strip_accents", &n->strip_accents);
}

static akin_status read_pre_tokenizer(const source *s, const ak_value *root)
{
    const ak_value *map = ak_value_get(root, "pre_tokenizer");
    const char *type = ak_value_get_string(map, "type", "null");
    if (strcmp(type, "BertPreTokenizer") != 0)
        return ak_json_unsupported(s, map, "pre_tokenizer", type, "\"BertPreTokenizer\"");
    return AKIN_OK;
}

/* What stands in "model" of WordPiece but the vocabulary. */
static akin_status read_word_limit(const source *s, const ak_value *model)
{
    const ak_value *limit = ak_value_get(model, "max_input_chars_per_word");
    if (limit && (limit->kind != AK_INT || limit->integer < 1))
        return ak_json_bad(s, limit, "a number of characters in \"max_input_chars_per_word\"");
    if (limit && limit->integer > AK_WORD_LIMIT)
        return ak_fail_at(s->error, AKIN_ERR_UNSUPPORTED, s->path, limit->line,
                          "\"max_input_chars_per_word\" is %lld, akin reads up to %d",
                          (long long)limit->integer, AK_WORD_LIMIT);
    s->tokenizer->word_limit = limit ? (size_t)limit->integer : 100;
    return AKIN_OK;
}

static akin_status read_word_piece(const source *s, const ak_value *root)
{
    ak_tokenizer *t = s->tokenizer;
    AK_TRY(read_normalizer(s, root));
    if (s->config)
        ak_tokenizer_configure(t, s->config);
    ak_normalizer_prepare(&t->normalizer);
    return read_pre_tokenizer(s, root);
}

/* An option of a byte-level model that akin does not have: absent, null, "" or false. */
static akin_status refuse_option(const source *s, const ak_value *map, const char *key)
{
    const ak_value *value = ak_value_get(map, key);
    if (!value || value->kind == AK_NULL || (value->kind == AK_BOOL && !value->boolean) ||
        (value->kind == AK_STRING && !*value->string))
        return AKIN_OK;
    return ak_fail_at(s->error, AKIN_ERR_UNSUPPORTED, s->path, value->line,
                      "\"%s\" is set, akin reads byte-level models without it", key);
}

/* GPT-2's, RoBERTa's and ModernBERT's: the pre-tokenizer ByteLevel. */
static akin_status read_bpe(const source *s, const ak_value *root)
{
    ak_tokenizer *t = s->tokenizer;
    const ak_value *model = ak_value_get(root, "model");
    const ak_value *level = ak_value_get(root, "pre_tokenizer");
    const char *type = ak_value_get_string(level, "type", "null");
    bool prefix_space = true, pattern = true;
    static const char *const unknown_options[] = {"dropout", "continuing_subword_prefix",
                                                  "end_of_word_suffix", "byte_fallback",
                                                  "ignore_merges"};
    for (size_t i = 0; i < sizeof unknown_options / sizeof *unknown_options; i++)
        AK_TRY(refuse_option(s, model, unknown_options[i]));
    AK_TRY(ak_json_read_steps(s, ak_value_get(root, "normalizer")));
    if (strcmp(type, "ByteLevel") != 0)
        return ak_json_unsupported(s, level, "pre_tokenizer", type, "\"ByteLevel\"");
    AK_TRY(ak_json_read_bool(s, level, "add_prefix_space", &prefix_space));
    AK_TRY(ak_json_read_bool(s, level, "use_regex", &pattern));
    if (!pattern)
        return ak_json_bad(s, level, "\"use_regex\" to be true");
    return ak_bpe_create(&t->bpe, t->arena, t->vocabulary, ak_value_get(model, "merges"),
                         prefix_space, t->unknown, s->path, s->error);
}

/* ---- Unigram ---- */

static akin_status read_metaspace(const source *s, const ak_value *map, ak_unigram_options *o)
{
    bool split = true;
    o->prefix_space = true;
    AK_TRY(ak_json_read_bool(s, map, "add_prefix_space", &o->prefix_space));
    AK_TRY(ak_json_read_bool(s, map, "split", &split));
    const char *scheme = ak_value_get_string(map, "prepend_scheme", NULL);
    if (scheme)
        o->prefix_space = !strcmp(scheme, "always");
    if (!split || strcmp(ak_value_get_string(map, "replacement", ""), "\xE2\x96\x81") != 0 ||
        (scheme && strcmp(scheme, "always") != 0 && strcmp(scheme, "never") != 0))
        return ak_json_bad(s, map,
                           "a Metaspace that splits at U+2581, put before all pieces or none");
    return AKIN_OK;
}

/* Metaspace, alone or after WhitespaceSplit. */
static akin_status read_spaces(const source *s, const ak_value *map, ak_unigram_options *o)
{
    const char *type = ak_value_get_string(map, "type", "null");
    const ak_value *list = ak_value_get(map, "pretokenizers");
    const ak_value *first = list ? list->first : NULL;
    if (!strcmp(type, "Sequence") && first) {
        o->split_spaces = !strcmp(ak_value_get_string(first, "type", ""), "WhitespaceSplit");
        map = o->split_spaces ? first->next : first;
        type = ak_value_get_string(map, "type", "null");
        if (map && map->next)
            return ak_json_bad(s, list, "WhitespaceSplit and Metaspace alone");
    }
    if (strcmp(type, "Metaspace") != 0)
        return ak_json_unsupported(s, map, "pre_tokenizer", type, "\"Metaspace\"");
    return read_metaspace(s, map, o);
}

static akin_status read_unigram(const source *s, const ak_value *root, const double *scores)
{
    ak_tokenizer *t = s->tokenizer;
    const ak_value *model = ak_value_get(root, "model");
    ak_unigram_options o = {.unknown = t->unknown};
    AK_TRY(refuse_option(s, model, "byte_fallback"));
    AK_TRY(ak_json_read_steps(s, ak_value_get(root, "normalizer")));
    AK_TRY(read_spaces(s, ak_value_get(root, "pre_tokenizer"), &o));
    return ak_unigram_create(&t->unigram, t->arena, t->vocabulary, scores, &o, s->error);
}

/* ---- which ---- */

typedef enum kind { WORD_PIECE, BPE, UNIGRAM } kind;

static akin_status read_kind(const source *s, const ak_value *root, kind *out)
{
    static const char *const names[] = {"WordPiece", "BPE", "Unigram"};
    const ak_value *model = ak_value_get(root, "model");
    if (!model || model->kind != AK_MAP)
        return ak_json_bad(s, root, "an object \"model\"");
    const char *guess = ak_value_get(model, "max_input_chars_per_word") ? "WordPiece"
                        : ak_value_get(model, "merges")                 ? "BPE"
                        : ak_value_get(model, "unk_id")                 ? "Unigram"
                                                                        : "";
    const char *type = ak_value_get_string(model, "type", guess);
    for (int i = 0; i < 3; i++)
        if (!strcmp(type, names[i])) {
            *out = (kind)i;
            return AKIN_OK;
        }
    return ak_json_unsupported(s, model, "model", type, "\"WordPiece\", \"BPE\" and \"Unigram\"");
}

/* WordPiece and Unigram need an unknown token; a byte-level model can spell everything. */
static akin_status find_unknown(const source *s, const ak_value *model, kind k)
{
    ak_tokenizer *t = s->tokenizer;
    if (k == UNIGRAM) {
        int64_t id = ak_value_get_int(model, "unk_id", -1);
        if (id < 0 || id >= t->size)
            return ak_json_bad(s, model, "\"unk_id\" to be a place in \"vocab\"");
        t->unknown = (int32_t)id;
        return AKIN_OK;
    }
    const char *name = ak_value_get_string(model, "unk_token", k == BPE ? NULL : "[UNK]");
    t->unknown = name ? ak_vocabulary_find(t->vocabulary, name) : -1;
    if (name && t->unknown < 0)
        return ak_fail_at(s->error, AKIN_ERR_FORMAT, s->path, model->line,
                          "the unknown token \"%.60s\" is not in \"vocab\"", name);
    return AKIN_OK;
}

akin_status ak_json_read_model(const source *s, const ak_value *root, const char *text,
                               size_t begin, size_t end)
{
    ak_tokenizer *t = s->tokenizer;
    kind k = WORD_PIECE;
    AK_TRY(read_kind(s, root, &k));
    const ak_value *model = ak_value_get(root, "model");
    if (begin == end || text[begin] != (k == UNIGRAM ? '[' : '{'))
        return ak_json_bad(s, model,
                           k == UNIGRAM ? "a list \"vocab\" in \"model\""
                                        : "an object \"vocab\" in \"model\"");
    double *scores = NULL;
    if (k == UNIGRAM)
        AK_TRY(ak_vocabulary_read_scored(&t->vocabulary, &scores, t->arena, text, begin, end,
                                         s->path, s->error));
    else
        AK_TRY(ak_vocabulary_read_json(
            &t->vocabulary, t->arena, text, begin, end,
            ak_value_get_string(model, "continuing_subword_prefix", k == BPE ? "" : "##"), s->path,
            s->error));
    t->size = ak_vocabulary_size(t->vocabulary);
    if (k == WORD_PIECE)
        AK_TRY(read_word_limit(s, model));
    AK_TRY(find_unknown(s, model, k));
    return k == UNIGRAM ? read_unigram(s, root, scores)
           : k == BPE   ? read_bpe(s, root)
                        : read_word_piece(s, root);
}
