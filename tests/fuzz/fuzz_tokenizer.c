/* Fuzz target: files of a tokenizer, and texts for it. An input is a line with a file's name
   (tokenizer.json, vocab.txt, tokenizer_config.json), the file, a line "----" and a text; any other
   first line belongs to a text for a tokenizer with everything in it. Where `max_length` cuts, the
   ids must be the first ones of the whole text. */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

static const char json[] =
    "{\"added_tokens\": [{\"id\": 2, \"content\": \"[CLS]\", \"normalized\": false, \"special\": "
    "true}, {\"id\": 13, \"content\": \"Foo b\", \"single_word\": true, \"lstrip\": true}, "
    "{\"id\": 14, \"content\": \"<x>\", \"normalized\": false, \"rstrip\": true}],\n"
    "\"normalizer\": {\"type\": \"BertNormalizer\"}, \"pre_tokenizer\": {\"type\": "
    "\"BertPreTokenizer\"}, \"post_processor\": {\"type\": \"BertProcessing\", \"cls\": "
    "[\"[CLS]\", "
    "2], \"sep\": [\"[SEP]\", 3]},\n"
    "\"model\": {\"type\": \"WordPiece\", \"max_input_chars_per_word\": 20, \"vocab\": {\"[UNK]\": "
    "1, \"[CLS]\": 2, \"[SEP]\": 3, \"a\": 4, \"##a\": 5, \"##ab\": 6, \"b\": 7, \"##b\": 8, "
    "\",\": "
    "9, \"\\u1112\": 10, \"##\\u1161\": 11, \"\\u302e\": 12}}}";
static const char lines[] = "[UNK]\n[CLS]\n[SEP]\na\n##a\n##ab\nb\n##b\n";

static char folder[] = "/tmp/akin-fuzz-XXXXXX";

static void remove_folder(void)
{
    ak_remove_tree(folder);
}

static void make_folder(void)
{
    static bool made;
    if (!made)
        FUZZ_CHECK(mkdtemp(folder) && !atexit(remove_folder));
    made = true;
}

static void path_of(const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", folder, name);
}

static void put_file(const char *name, const void *data, size_t size)
{
    char path[128];
    path_of(name, path);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(data, 1, size, file) == size && !fclose(file));
}

static void check_text(const ak_tokenizer *t, const char *text, size_t size)
{
    akin_arena *arena;
    akin_error error;
    int32_t *all, *some, count, some_count;
    bool cut;
    FUZZ_CHECK(!ak_arena_create(&arena, NULL));
    FUZZ_CHECK(!ak_tokenizer_encode(t, text, size, INT32_MAX, arena, &all, &count, &cut, &error));
    FUZZ_CHECK(!cut);
    for (int32_t i = 0; i < count; i++)
        FUZZ_CHECK(all[i] >= 0 && all[i] < ak_tokenizer_vocabulary(t));
    akin_status status =
        ak_tokenizer_encode(t, text, size, 7, arena, &some, &some_count, &cut, &error);
    FUZZ_CHECK(status == AKIN_OK || status == AKIN_ERR_ARGUMENT);
    if (!status) {
        FUZZ_CHECK(some_count == (count < 7 ? count : 7) && cut == (count > 7));
        if (!cut)
            FUZZ_CHECK(!memcmp(all, some, (size_t)count * sizeof *all));
    }
    ak_arena_free(arena);
}

static void check_folder(const char *text, size_t size)
{
    ak_tokenizer *t;
    akin_error error = {0};
    akin_status status = ak_tokenizer_load(&t, folder, &error);
    FUZZ_CHECK(!status == !!t && error.status == status);
    if (status)
        FUZZ_CHECK(*error.message);
    else
        check_text(t, text, size);
    ak_tokenizer_free(t);
}

static void clear_folder(void)
{
    static const char *const names[] = {"tokenizer.json", "vocab.txt", "tokenizer_config.json"};
    for (int i = 0; i < 3; i++) {
        char path[128];
        path_of(names[i], path);
        unlink(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"tokenizer.json\n", "vocab.txt\n",
                                        "tokenizer_config.json\n"};
    static const char mark[] = "\n----\n";
    make_folder();
    clear_folder();
    for (size_t i = 0; i < 3; i++) {
        size_t skip = strlen(names[i]);
        if (size < skip || memcmp(data, names[i], skip) != 0)
            continue;
        const uint8_t *file = data + skip, *end = data + size, *text = end;
        const uint8_t *found = memmem(file, size - skip, mark, strlen(mark));
        if (found)
            text = found + strlen(mark);
        if (i == 2)
            put_file("vocab.txt", lines, strlen(lines));
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)skip - 1, names[i]);
        put_file(name, file, (size_t)((found ? found : end) - file));
        check_folder((const char *)text, (size_t)(end - text));
        return 0;
    }
    put_file("tokenizer.json", json, strlen(json));
    check_folder((const char *)data, size);
    return 0;
}
