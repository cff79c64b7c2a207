/* Tokenizers: ids of golden.json and treatment of every code point as Hugging Face's `tokenizers`
   gives them (tests/data/tokenizer/make.py), and memory that runs out. */
#include "tokenizer_scene.h"

#include <stdio.h>

#include "text/forms.h"
#include "text/normalizer.h"

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

static void check_golden(const scene *s, const char *file, const char *name)
{
    ak_tokenizer *t = load_golden(s, name);
    const ak_value *rows = read_golden(s, file);
    int number = 0, checked = 0;
    for (const ak_value *row = rows->first; row; row = row->next) {
        number++;
        if (strcmp(ak_value_get_string(row, "tokenizer", ""), name) != 0)
            continue;
        check_row(t, row, number, s->arena);
        checked++;
    }
    assert_true(checked > 100);
    ak_tokenizer_free(t);
}

static void test_uncased(void **state)
{
    check_golden(*state, "golden.json", "uncased");
}

static void test_cased_with_added_tokens(void **state)
{
    check_golden(*state, "golden.json", "cased");
}

static void test_byte_level(void **state)
{
    check_golden(*state, "golden_bytes.json", "bytes");
}

static void test_byte_level_with_a_space_before(void **state)
{
    check_golden(*state, "golden_bytes.json", "prefix");
}

static void test_unigram(void **state)
{
    check_golden(*state, "golden_unigram.json", "words");
}

static void test_unigram_of_whole_pieces(void **state)
{
    check_golden(*state, "golden_unigram.json", "pieces");
}

static void test_nasty_lines(void **state)
{
    check_golden(*state, "golden_nasty.json", "modern");
    check_golden(*state, "golden_nasty.json", "rules");
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static void check_hash(const ak_value *expected, uint64_t value, uint32_t first)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)value);
    if (!expected || strcmp(hex, expected->string) != 0)
        fail_msg("code points U+%04X to U+%04X differ", first, first + 4095);
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
        check_hash(hash, value, first);
    }
    assert_null(hash);
}

/* As make.py does: after two marks that sort, and before two of which one may compose. */
static void test_forms_of_every_code_point(void **state)
{
    scene *s = *state;
    const ak_value *hash = read_golden(s, "forms.json")->first;
    akin_arena *arena;
    assert_int_equal(ak_arena_create(&arena, NULL), AKIN_OK);
    for (uint32_t first = 0; first < 0x110000; first += 4096, hash = hash->next) {
        uint64_t value = UINT64_C(0xCBF29CE484222325);
        for (uint32_t point = first; point < first + 4096; point++) {
            if (point >= 0xD800 && point < 0xE000)
                continue;
            char text[16] = "e\xCC\x81\xCC\xA7";
            size_t size = 5 + (size_t)ak_utf8_encode(point, text + 5);
            memcpy(text + size, "\xCC\xA3\xCC\x81", 4);
            for (int form = 0; form < 4; form++) {
                size_t used;
                const char *out = ak_form_apply((ak_form)form, text, size + 4, &used, arena);
                assert_non_null(out);
                value = hash_bytes(value, out, used);
                value = hash_bytes(value, "\xff", 1);
            }
            ak_arena_reset(arena);
        }
        check_hash(hash, value, first);
    }
    assert_null(hash);
    ak_arena_free(arena);
}

/* A syllable takes its final consonant, U+11A8 the first of them. */
static void test_hangul(void **state)
{
    scene *s = *state;
    size_t size;
    const char *out = ak_form_apply(AK_NFC, "\u110e\u1170\u11a7", 9, &size, s->arena);
    assert_int_equal(size, 6);
    assert_memory_equal(out, "\ucdcc\u11a7", 6);
    out = ak_form_apply(AK_NFC, "\u110e\u1170\u11a8", 9, &size, s->arena);
    assert_int_equal(size, 3);
    assert_memory_equal(out, "\ucdcd", 3);
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

static void fail_every_allocation(const scene *s, const char *name)
{
    ak_tokenizer *t = load_golden(s, name);
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

static void test_no_memory_to_encode(void **state)
{
    fail_every_allocation(*state, "cased");
    fail_every_allocation(*state, "bytes");
    fail_every_allocation(*state, "words");
    fail_every_allocation(*state, "rules");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_uncased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cased_with_added_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_byte_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_byte_level_with_a_space_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unigram, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unigram_of_whole_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nasty_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_code_point, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forms_of_every_code_point, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hangul, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_accessors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory_to_encode, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
