/* Tokenizers: ids of golden.json and treatment of every code point as Hugging Face's `tokenizers`
   gives them (tests/data/tokenizer/make.py), files that are not as they should be, memory that runs
   out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/normalizer.h"
#include "text/tokenizer.h"

typedef struct scene {
    char folder[64]; /* temporary */
    akin_arena *arena;
} scene;

static char *data_path(const char *name)
{
    const char *root = getenv("AKIN_TEST_DATA");
    return ak_format("%s/tokenizer/%s", root ? root : "tests/data", name);
}

static int set_up(void **state)
{
    scene *s = calloc(1, sizeof *s);
    strcpy(s->folder, "/tmp/akin-tokenizer-XXXXXX");
    if (!mkdtemp(s->folder) || ak_arena_create(&s->arena, NULL))
        return -1;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    scene *s = *state;
    ak_memory_fail_at(0);
    ak_remove_tree(s->folder);
    ak_arena_free(s->arena);
    free(s);
    return 0;
}

static void put_file(const scene *s, const char *name, const char *text, size_t size)
{
    akin_error error = {0};
    char *path = ak_path_join(s->folder, name);
    if (ak_file_write(path, text, size, &error))
        fail_msg("%s", error.message);
    ak_free(path);
}

/* A golden tokenizer.json as the only file of the temporary folder. */
static ak_tokenizer *load_golden(const scene *s, const char *name)
{
    akin_error error = {0};
    char *file = ak_format("%s.json", name), *path = data_path(file);
    ak_map map;
    assert_int_equal(ak_map_open(&map, path, &error), AKIN_OK);
    put_file(s, "tokenizer.json", map.data, map.size);
    ak_map_close(&map);
    ak_free(path);
    ak_free(file);
    ak_tokenizer *t;
    if (ak_tokenizer_load(&t, s->folder, &error))
        fail_msg("%s", error.message);
    return t;
}

static const ak_value *read_golden(const scene *s, const char *name)
{
    akin_error error = {0};
    char *path = data_path(name);
    ak_value *root;
    if (ak_json_read(&root, s->arena, path, &error))
        fail_msg("%s", error.message);
    ak_free(path);
    return root;
}

static size_t from_hex(const char *hex, char *out)
{
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (char)byte;
    }
    return size;
}

static void check_row(const ak_tokenizer *t, const ak_value *row, int number, akin_arena *arena)
{
    const ak_value *expected = ak_value_get(row, "ids"), *text = ak_value_get(row, "text");
    const char *hex = ak_value_get_string(row, "hex", NULL);
    char bytes[256];
    const char *data = hex ? bytes : text->string;
    size_t size = hex ? from_hex(hex, bytes) : text->size;
    int32_t longest = (int32_t)ak_value_get_int(row, "max_length", 0);
    int32_t *ids, count;
    bool cut;
    akin_error error = {0};
    if (ak_tokenizer_encode(t, data, size, longest ? longest : INT32_MAX, arena, &ids, &count, &cut,
                            &error))
        fail_msg("row %d: %s", number, error.message);
    if (count != expected->count)
        fail_msg("row %d: %d ids, expected %lld", number, count, (long long)expected->count);
    const ak_value *id = expected->first;
    for (int32_t i = 0; i < count; i++, id = id->next)
        if (ids[i] != id->integer)
            fail_msg("row %d: id %d is %d, expected %lld", number, i, ids[i],
                     (long long)id->integer);
    if (!longest)
        assert_false(cut);
}

static void check_golden(const scene *s, const char *name)
{
    ak_tokenizer *t = load_golden(s, name);
    const ak_value *rows = read_golden(s, "golden.json");
    int number = 0, checked = 0;
    for (const ak_value *row = rows->first; row; row = row->next) {
        number++;
        if (strcmp(ak_value_get_string(row, "tokenizer", ""), name) != 0)
            continue;
        check_row(t, row, number, s->arena);
        checked++;
    }
    assert_true(checked > 300);
    ak_tokenizer_free(t);
}

static void test_uncased(void **state)
{
    check_golden(*state, "uncased");
}

static void test_cased_with_added_tokens(void **state)
{
    check_golden(*state, "cased");
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

/* As make.py does: what each of the four steps makes of the code point, and how it splits. */
static void test_every_code_point(void **state)
{
    scene *s = *state;
    const ak_value *hash = read_golden(s, "points.json")->first;
    ak_normalizer *four = ak_arena_new(s->arena, ak_normalizer, 4);
    for (int i = 0; i < 4; i++) {
        four[i] = (ak_normalizer){.clean_text = i == 0,
                                  .handle_chinese_chars = i == 1,
                                  .strip_accents = i == 2,
                                  .lowercase = i == 3};
        ak_normalizer_prepare(&four[i]);
    }
    for (uint32_t first = 0; first < 0x110000; first += 4096, hash = hash->next) {
        uint64_t value = UINT64_C(0xCBF29CE484222325);
        for (uint32_t point = first; point < first + 4096; point++) {
            if (point >= 0xD800 && point < 0xE000)
                continue;
            char text[4], out[AK_NORMALIZED(4)];
            size_t size = (size_t)ak_utf8_encode(point, text);
            for (int i = 0; i < 4; i++) {
                size_t used = ak_normalize(&four[i], text, size, out);
                assert_true(used <= 3 * size);
                value = hash_bytes(value, out, used);
                value = hash_bytes(value, "\xff", 1);
            }
            static const char pieces[] = {1, 2, 3}; /* word, space, punctuation */
            value = hash_bytes(value, &pieces[ak_char_kind_of(point)], 1);
        }
        char hex[17];
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)value);
        if (!hash || strcmp(hex, hash->string) != 0)
            fail_msg("code points U+%04X to U+%04X differ", first, first + 4095);
    }
    assert_null(hash);
}

static void test_accessors(void **state)
{
    scene *s = *state;
    ak_tokenizer *t = load_golden(s, "cased");
    int32_t size = ak_tokenizer_vocabulary(t);
    assert_string_equal(ak_tokenizer_token(t, 0), "[PAD]");
    assert_string_equal(ak_tokenizer_token(t, size - 1), "[MASK][MASK]");
    assert_null(ak_tokenizer_token(t, size));
    assert_null(ak_tokenizer_token(t, -1));
    int32_t *ids, count;
    bool cut;
    akin_error error = {0};
    assert_int_equal(ak_tokenizer_encode(t, "fox dog", 7, 1, s->arena, &ids, &count, &cut, &error),
                     AKIN_ERR_ARGUMENT);
    assert_null(ids);
    assert_int_equal(ak_tokenizer_encode(t, "fox dog", 7, 2, s->arena, &ids, &count, &cut, &error),
                     AKIN_OK);
    assert_int_equal(count, 2);
    assert_true(cut);
    ak_tokenizer_free(t);
    ak_tokenizer_free(NULL);
}

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

static void remove_file(const scene *s, const char *name)
{
    char *path = ak_path_join(s->folder, name);
    assert_int_equal(ak_file_remove(path, NULL), AKIN_OK);
    ak_free(path);
}

static ak_tokenizer *load(const scene *s)
{
    akin_error error = {0};
    ak_tokenizer *t;
    if (ak_tokenizer_load(&t, s->folder, &error))
        fail_msg("%s", error.message);
    return t;
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
     AKIN_ERR_UNSUPPORTED, -1, "\"BPE\""},
    {"tokenizer.json", "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -1.5]]}}",
     AKIN_ERR_UNSUPPORTED, -1, "\"Unigram\""},
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
    {"tokenizer.json", GOOD ", \"post_processor\": {\"type\": \"ByteLevel\"}}",
     AKIN_ERR_UNSUPPORTED, -1, "\"ByteLevel\""},
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
}

static void test_no_memory_to_encode(void **state)
{
    scene *s = *state;
    ak_tokenizer *t = load_golden(s, "cased");
    size_t size = 30000; /* more ids than fit the stack, a normalised added token, invalid UTF-8 */
    char *text = ak_alloc(size);
    for (size_t i = 0; i < size; i++)
        text[i] = " fox\xff,\xC3\xA9"[i % 8];
    int64_t n = 1;
    for (;; n++) {
        akin_arena *arena;
        akin_error error = {0};
        int32_t *ids, count;
        bool cut;
        assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
        ak_memory_fail_at(n);
        akin_status status =
            ak_tokenizer_encode(t, text, size, INT32_MAX, arena, &ids, &count, &cut, &error);
        ak_memory_fail_at(0);
        ak_arena_free(arena);
        if (!status)
            break;
        assert_int_equal(status, AKIN_ERR_MEMORY);
        assert_null(ids);
    }
    assert_true(n > 3);
    ak_free(text);
    ak_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_uncased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cased_with_added_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_code_point, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_accessors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_vocabulary_of_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_config_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_neighbours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gaps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory_to_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory_to_encode, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
