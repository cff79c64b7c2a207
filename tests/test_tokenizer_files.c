/* Files of tokenizers: which of a folder's are read and win, what is wrong with them and where, and
   memory that runs out. */
#include "tokenizer_scene.h"

/* The vocabulary of a tokenizer as vocab.txt, each line with `end`. */
static void put_vocabulary(const scene *s, const ak_tokenizer *t, int32_t count, const char *end)
{
    ak_text text = {0};
    for (int32_t id = 0; id < count; id++)
        ak_text_printf(&text, "%s%s", ak_tokenizer_token(t, id), end);
    assert_false(text.failed);
    put_file(s, "vocab.txt", text.data, text.size);
    ak_free(text.data);
}

static void assert_same_ids(const ak_tokenizer *a, const ak_tokenizer *b, const char *text,
                            bool same, akin_arena *arena)
{
    int32_t *x, *y, n, m;
    bool cut;
    assert_int_equal(ak_tokenizer_encode(a, text, strlen(text), 512, arena, &x, &n, &cut, NULL), 0);
    assert_int_equal(ak_tokenizer_encode(b, text, strlen(text), 512, arena, &y, &m, &cut, NULL), 0);
    assert_int_equal(n == m && !memcmp(x, y, (size_t)n * sizeof *x), same);
}

static void test_vocabulary_of_lines(void **state)
{
    scene *s = *state;
    static const char *const ends[] = {"\n", "\r\n"};
    for (int i = 0; i < 2; i++) {
        ak_tokenizer *json = load_golden(s, "uncased");
        put_vocabulary(s, json, ak_tokenizer_vocabulary(json), ends[i]);
        remove_file(s, "tokenizer.json");
        ak_tokenizer *lines = load(s);
        assert_int_equal(ak_tokenizer_vocabulary(lines), ak_tokenizer_vocabulary(json));
        assert_same_ids(json, lines, "The Fox [SEP] jumps über [MASK]東京 naïve", true, s->arena);
        ak_tokenizer_free(lines);
        put_file(s, "tokenizer_config.json", "{\"do_lower_case\": false}", 24);
        lines = load(s);
        assert_same_ids(json, lines, "the fox", true, s->arena);
        assert_same_ids(json, lines, "The Fox", false, s->arena);
        assert_false(
            ak_hash_equal(ak_tokenizer_fingerprint(lines), ak_tokenizer_fingerprint(json)));
        ak_tokenizer_free(lines);
        ak_tokenizer_free(json);
        remove_file(s, "tokenizer_config.json");
        remove_file(s, "vocab.txt");
    }
}

/* transformers' rule: tokenizer_config.json wins, but for generic classes. */
static void test_config_wins(void **state)
{
    scene *s = *state;
    ak_tokenizer *plain = load_golden(s, "uncased");
    static const struct {
        const char *config;
        bool same;
    } cases[] = {
        {"{\"do_lower_case\": false}", false},
        {"{\"do_lower_case\": true, \"tokenizer_class\": \"BertTokenizer\"}", true},
        {"{\"do_lower_case\": false, \"tokenizer_class\": \"PreTrainedTokenizerFast\"}", true},
        {"{\"strip_accents\": false}", false},
        {"{\"tokenize_chinese_chars\": false}", false},
        {"{}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_file(s, "tokenizer_config.json", cases[i].config, strlen(cases[i].config));
        ak_tokenizer *other = load(s);
        assert_same_ids(plain, other, "The über 这是 Fox", cases[i].same, s->arena);
        assert_int_equal(
            ak_hash_equal(ak_tokenizer_fingerprint(plain), ak_tokenizer_fingerprint(other)),
            cases[i].same);
        ak_tokenizer_free(other);
    }
    ak_tokenizer_free(plain);
}

#define MODEL(vocab) "{\"model\": {\"type\": \"WordPiece\", \"vocab\": " vocab "},\n"
#define BYTES(vocab, more)                                                                         \
    "{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "               \
    "\"vocab\": " vocab ", " more "}"
#define PIECES(vocab, unknown)                                                                     \
    "{\"model\": {\"type\": \"Unigram\", \"unk_id\": " unknown ", \"vocab\": " vocab "},\n"
#define METASPACE "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\xE2\x96\x81\"}"
#define BERT "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}"
#define GOOD MODEL("{\"[UNK]\": 0, \"a\": 1}") BERT

typedef struct bad_file {
    const char *name, *text;
    akin_status status;
    int64_t line; /* -1: not checked */
    const char *part;
} bad_file;

static const bad_file bad_files[] = {
    {"other.txt", "", AKIN_ERR_IO, 0, "neither tokenizer.json nor vocab.txt"},
    {"tokenizer.json", "", AKIN_ERR_FORMAT, -1, "tokenizer.json"},
    {"tokenizer.json", "{\"model\": {\"vocab\": {\"a\": 1", AKIN_ERR_FORMAT, -1, "tokenizer.json"},
    {"tokenizer.json", "[1]", AKIN_ERR_FORMAT, -1, "\"model\""},
    {"tokenizer.json", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}",
     AKIN_ERR_UNSUPPORTED, -1, "akin reads \"ByteLevel\""},
    {"tokenizer.json", BYTES("{\"a\": 0}", "\"x\": 0") "}", AKIN_ERR_FORMAT, -1, "\"merges\""},
    {"tokenizer.json", BYTES("{\"a\": 0}", "\n\"merges\": [\"a a\"]") "}", AKIN_ERR_FORMAT, -1,
     "\"aa\" is not in \"vocab\", but in number 1 of \"merges\""},
    {"tokenizer.json", BYTES("{\"a\": 0, \"aa\": 1}", "\n\"merges\": [\"aa\"]") "}",
     AKIN_ERR_FORMAT, -1, "two tokens in number 1"},
    {"tokenizer.json", BYTES("{\"a\": 0, \"aa\": 1}", "\n\"merges\": [[\"a\", \"a\", \"a\"]]") "}",
     AKIN_ERR_FORMAT, -1, "two tokens in number 1"},
    {"tokenizer.json", BYTES("{\"a\": 0}", "\"merges\": [],\n\"byte_fallback\": true") "}",
     AKIN_ERR_UNSUPPORTED, -1, "\"byte_fallback\" is set"},
    {"tokenizer.json",
     BYTES("{\"a\": 0}", "\"merges\": []") ", \"normalizer\": {\"type\": \"Nmt\"}}",
     AKIN_ERR_UNSUPPORTED, -1, "\"Nmt\""},
    {"tokenizer.json",
     BYTES("{\"a\": 0}", "\"merges\": []") ", \"normalizer\": {\"type\": \"Sequence\", "
                                           "\"normalizers\": [{\"type\": \"NFC\"}, {}]}}",
     AKIN_ERR_UNSUPPORTED, -1, "the normalizer is of type \"\""},
    {"tokenizer.json",
     BYTES("{\"a\": 0}", "\"merges\": []") ", \"normalizer\": {\"type\": \"Replace\", "
                                           "\"pattern\": {\"Regex\": \"a+\"}}}",
     AKIN_ERR_UNSUPPORTED, -1, "\"a+\""},
    {"tokenizer.json", "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}}}",
     AKIN_ERR_UNSUPPORTED, -1, "\"WordLevel\""},
    {"tokenizer.json", "{\"model\": {\"type\": \"Unigram\", \"vocab\": {\"a\": -1.5}}}",
     AKIN_ERR_FORMAT, -1, "a list \"vocab\""},
    {"tokenizer.json", PIECES("[[\"a\", -1.5]]", "1") METASPACE "}", AKIN_ERR_FORMAT, -1, "unk_id"},
    {"tokenizer.json", PIECES("[\n[\"a\"]]", "0") METASPACE "}", AKIN_ERR_FORMAT, 2, "a comma"},
    {"tokenizer.json", PIECES("[\n[\"a\", 1e999]]", "0") METASPACE "}", AKIN_ERR_FORMAT, 2,
     "a score"},
    {"tokenizer.json", PIECES("[\n[\"a\", \"b\"]]", "0") METASPACE "}", AKIN_ERR_FORMAT, 2,
     "a score"},
    {"tokenizer.json", PIECES("[[\"a\", 0],\n[\"a\", 0]]", "0") METASPACE "}", AKIN_ERR_FORMAT, 2,
     "twice"},
    {"tokenizer.json", PIECES("[[\"a\", 0]]", "0") BERT "}", AKIN_ERR_UNSUPPORTED, -1,
     "akin reads \"Metaspace\""},
    {"tokenizer.json",
     PIECES("[[\"a\", 0]]", "0") METASPACE ", \"normalizer\": {\"type\": \"Precompiled\", "
                                           "\"precompiled_charsmap\": \"AAAA?\"}}",
     AKIN_ERR_FORMAT, -1, "\"precompiled_charsmap\" is damaged"},
    {"tokenizer.json",
     PIECES("[[\"a\", 0]]", "0") METASPACE ", \"normalizer\": {\"type\": \"StripAccents\"}}",
     AKIN_ERR_UNSUPPORTED, -1, "\"StripAccents\""},
    {"tokenizer.json",
     PIECES("[[\"a\", 0]]", "0") "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": "
                                 "\"\xE2\x96\x81\", \"prepend_scheme\": \"first\"}}",
     AKIN_ERR_FORMAT, -1, "before all pieces or none"},
    {"tokenizer.json", "{\"model\": {\"type\": \"WordPiece\"}}", AKIN_ERR_FORMAT, -1, "\"vocab\""},
    {"tokenizer.json", MODEL("{\"a\": 0}") BERT "}", AKIN_ERR_FORMAT, -1, "\"[UNK]\""},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"a\": -1}") BERT "}", AKIN_ERR_FORMAT, 2, "an id"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\n\"a\": 1.5}") BERT "}", AKIN_ERR_FORMAT, 3,
     "a comma or }"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"a\": 99999999999}") BERT "}", AKIN_ERR_FORMAT, 2,
     "below 16777216"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"a\": 1,\n\"a\": 2}") BERT "}", AKIN_ERR_FORMAT, 3,
     "twice"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"a\": 0}") BERT "}", AKIN_ERR_FORMAT, 2,
     "id 0 is given to \"[UNK]\" and to \"a\""},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"\\q\": 1}") BERT "}", AKIN_ERR_FORMAT, 2, "escape"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"\\ud800\": 1}") BERT "}", AKIN_ERR_FORMAT, 2,
     "escape"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"\\udc00\": 1}") BERT "}", AKIN_ERR_FORMAT, 2,
     "escape"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"a\": 1\n}") "\"x\" 1}", AKIN_ERR_FORMAT, 4, "':'"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"\\u0000\": 1}") BERT "}", AKIN_ERR_FORMAT, 2,
     "escape"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"\xff\": 1}") BERT "}", AKIN_ERR_FORMAT, 2, "UTF-8"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n1: 1}") BERT "}", AKIN_ERR_FORMAT, 2, "quotes"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,\n\"a\" 1}") BERT "}", AKIN_ERR_FORMAT, 2, "a colon"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0,}") BERT "}", AKIN_ERR_FORMAT, 1, "quotes"},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0}") "\"pre_tokenizer\": {\"type\": \"Whitespace\"}}",
     AKIN_ERR_UNSUPPORTED, -1, "\"Whitespace\""},
    {"tokenizer.json", MODEL("{\"[UNK]\": 0}") "\"pre_tokenizer\": null}", AKIN_ERR_UNSUPPORTED, -1,
     "pre_tokenizer"},
    {"tokenizer.json", GOOD ", \"normalizer\": {\"type\": \"NFKC\"}}", AKIN_ERR_UNSUPPORTED, -1,
     "\"NFKC\""},
    {"tokenizer.json", GOOD ", \"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": 1}}",
     AKIN_ERR_FORMAT, -1, "\"lowercase\""},
    {"tokenizer.json", GOOD ", \"post_processor\": {\"type\": \"Other\"}}", AKIN_ERR_UNSUPPORTED,
     -1, "\"Other\""},
    {"tokenizer.json",
     GOOD ", \"post_processor\": {\"type\": \"Sequence\", \"processors\": [{\"type\": "
          "\"BertProcessing\", \"cls\": [\"a\", 1], \"sep\": [\"a\", 1]}, {\"type\": "
          "\"ByteLevel\"}]}}",
     AKIN_ERR_FORMAT, -1, "nothing after it"},
    {"tokenizer.json", GOOD ", \"post_processor\": {\"type\": \"TemplateProcessing\"}}",
     AKIN_ERR_FORMAT, -1, "\"single\""},
    {"tokenizer.json",
     GOOD ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": []}}",
     AKIN_ERR_FORMAT, -1, "a Sequence"},
    {"tokenizer.json",
     GOOD ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
          "[{\"SpecialToken\": {\"id\": \"x\"}}, {\"Sequence\": {\"id\": \"A\"}}]}}",
     AKIN_ERR_FORMAT, -1, "special_tokens"},
    {"tokenizer.json",
     GOOD ", \"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"a\", 1], "
          "\"sep\": [\"b\", 2]}}",
     AKIN_ERR_FORMAT, -1, "an id from 0 to 1"},
    {"tokenizer.json", GOOD ", \"post_processor\": {\"type\": \"BertProcessing\"}}",
     AKIN_ERR_FORMAT, -1, "\"cls\" and \"sep\""},
    {"tokenizer.json", GOOD ", \"added_tokens\": {}}", AKIN_ERR_FORMAT, -1, "\"added_tokens\""},
    {"tokenizer.json", GOOD ", \"added_tokens\": [{\"content\": \"b\"}]}", AKIN_ERR_FORMAT, -1,
     "\"added_tokens\""},
    {"tokenizer.json", GOOD ", \"added_tokens\": [{\"content\": \"b\", \"id\": 99999999}]}",
     AKIN_ERR_FORMAT, -1, "\"added_tokens\""},
    {"tokenizer.json", GOOD ", \"added_tokens\": [{\"content\": \"b\", \"id\": 1}]}",
     AKIN_ERR_FORMAT, -1, "id 1 is given to \"a\" and to \"b\""},
    {"tokenizer.json", GOOD ", \"added_tokens\": [{\"content\": \"a\", \"id\": 7}]}",
     AKIN_ERR_FORMAT, -1, "has id 7, but 1"},
    {"tokenizer.json",
     "{\"model\": {\"type\": \"WordPiece\", \"max_input_chars_per_word\": 0, "
     "\"vocab\": {\"[UNK]\": 0}}}",
     AKIN_ERR_FORMAT, -1, "max_input_chars_per_word"},
    {"tokenizer.json",
     "{\"model\": {\"type\": \"WordPiece\", \"max_input_chars_per_word\": 1001, "
     "\"vocab\": {\"[UNK]\": 0}}}",
     AKIN_ERR_UNSUPPORTED, -1, "1001"},
    {"vocab.txt", "", AKIN_ERR_FORMAT, 0, "\"[UNK]\" is missing"},
    {"vocab.txt", "[UNK]\n[SEP]\n", AKIN_ERR_FORMAT, 0, "\"[CLS]\" is missing"},
    {"vocab.txt", "[UNK]\n[CLS]\na", AKIN_ERR_FORMAT, 0, "\"[SEP]\" is missing"},
    {"vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\nb\na\n", AKIN_ERR_FORMAT, 6, "\"a\" is there twice"},
    {"vocab.txt", "[UNK]\n[CLS]\n[SEP]\n\xff\n", AKIN_ERR_FORMAT, 4, "invalid UTF-8"},
    {"vocab.txt", "[UNK]\r[CLS]\r[SEP]\r", AKIN_ERR_FORMAT, 1, "a control character"},
};

static void test_bad_files(void **state)
{
    scene *s = *state;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        const bad_file *b = &bad_files[i];
        put_file(s, b->name, b->text, strlen(b->text));
        akin_error error = {0};
        ak_tokenizer *t = (ak_tokenizer *)s;
        akin_status status = ak_tokenizer_load(&t, s->folder, &error);
        if (status != b->status || t || error.status != status ||
            (b->line >= 0 && error.line != b->line) || !strstr(error.message, b->part))
            fail_msg("case %zu (%s): status %d, line %lld, \"%s\"", i, b->text, status,
                     (long long)error.line, error.message);
        assert_int_equal(ak_tokenizer_load(&t, s->folder, NULL), status);
        remove_file(s, b->name);
    }
}

static void test_bad_neighbours(void **state)
{
    scene *s = *state;
    static const char lines[] = "[UNK]\n[CLS]\n[SEP]\na\n";
    static const bad_file files[] = {
        {"tokenizer_config.json", "{", AKIN_ERR_FORMAT, -1, "tokenizer_config.json"},
        {"tokenizer_config.json", "[]", AKIN_ERR_FORMAT, -1, "an object"},
        {"tokenizer_config.json", "{\"cls_token\": \"<s>\"}", AKIN_ERR_FORMAT, 0,
         "\"<s>\" is missing, the cls_token"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"b\"}}}",
         AKIN_ERR_FORMAT, -1, "added_tokens_decoder"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"3\": {\"content\": \"b\"}}}",
         AKIN_ERR_FORMAT, -1, "id 3 is given to \"a\" and to \"b\""},
        {"special_tokens_map.json", "{\"unk_token\": {\"content\": \"<unk>\"}}", AKIN_ERR_FORMAT, 0,
         "\"<unk>\" is missing"},
        {"added_tokens.json", "{\"b\": 4}", AKIN_ERR_UNSUPPORTED, -1, "added_tokens.json"},
    };
    put_file(s, "vocab.txt", lines, strlen(lines));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const bad_file *b = &files[i];
        put_file(s, b->name, b->text, strlen(b->text));
        akin_error error = {0};
        ak_tokenizer *t;
        akin_status status = ak_tokenizer_load(&t, s->folder, &error);
        if (status != b->status || t || (b->line >= 0 && error.line != b->line) ||
            !strstr(error.message, b->part))
            fail_msg("case %zu (%s): status %d, \"%s\"", i, b->text, status, error.message);
        remove_file(s, b->name);
    }
    ak_tokenizer_free(load(s));
}

/* Ids may leave gaps; a neighbour of the vocabulary adds ids after it. */
static void test_gaps(void **state)
{
    scene *s = *state;
    static const char text[] = MODEL("{\"[UNK]\": 7, \"a\\u00e9\\ud83d\\ude00\": 3}") BERT
        ", \"added_tokens\": [{\"content\": \"b\", \"id\": 20}]}";
    put_file(s, "tokenizer.json", text, strlen(text));
    ak_tokenizer *t = load(s);
    assert_int_equal(ak_tokenizer_vocabulary(t), 21);
    assert_null(ak_tokenizer_token(t, 0));
    assert_null(ak_tokenizer_token(t, 19));
    assert_string_equal(ak_tokenizer_token(t, 3), "a\xC3\xA9\xF0\x9F\x98\x80");
    assert_string_equal(ak_tokenizer_token(t, 20), "b");
    int32_t *ids, count;
    bool cut;
    assert_int_equal(ak_tokenizer_encode(t, "a\xC3\xA9\xF0\x9F\x98\x80 x b", 11, 9, s->arena, &ids,
                                         &count, &cut, NULL),
                     AKIN_OK);
    assert_int_equal(count, 3);
    assert_int_equal(ids[0], 3);
    assert_int_equal(ids[1], 7);
    assert_int_equal(ids[2], 20);
    ak_tokenizer_free(t);
}

static void fail_every_allocation(const scene *s)
{
    int64_t n = 1;
    for (;; n++) {
        akin_error error = {0};
        ak_tokenizer *t;
        ak_memory_fail_at(n);
        akin_status status = ak_tokenizer_load(&t, s->folder, &error);
        ak_memory_fail_at(0);
        if (!status) {
            ak_tokenizer_free(t);
            break;
        }
        assert_int_equal(status, AKIN_ERR_MEMORY);
        assert_int_equal(error.status, AKIN_ERR_MEMORY);
        assert_null(t);
    }
    assert_true(n > 5);
}

static void test_no_memory_to_load(void **state)
{
    scene *s = *state;
    ak_tokenizer *t = load_golden(s, "cased");
    put_vocabulary(s, t, 1000, "\n");
    ak_tokenizer_free(t);
    fail_every_allocation(s);
    static const char config[] = "{\"do_lower_case\": true, \"mask_token\": \"[MASK]\"}";
    put_file(s, "tokenizer_config.json", config, strlen(config));
    remove_file(s, "tokenizer.json");
    fail_every_allocation(s);
    remove_file(s, "tokenizer_config.json");
    ak_tokenizer_free(load_golden(s, "bytes"));
    fail_every_allocation(s);
    ak_tokenizer_free(load_golden(s, "words"));
    fail_every_allocation(s);
    ak_tokenizer_free(load_golden(s, "rules"));
    fail_every_allocation(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vocabulary_of_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_config_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_neighbours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gaps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory_to_load, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
