/* Fuzz target: fastText's .bin. Words of whatever is accepted must be found, and vectors of known
   and unknown words lie inside the bytes. */
#include "fuzz.h"

#include "model/fasttext.h"

#include <string.h>

static void check_vector(const ak_fasttext *model, const char *word, float *out)
{
    bool has = ak_fasttext_word(model, word, strlen(word), out);
    for (int64_t j = 0; j < ak_fasttext_dim(model) && !has; j++)
        FUZZ_CHECK(out[j] == 0);
    int64_t number = ak_fasttext_find(model, word, strlen(word));
    FUZZ_CHECK(number >= -1 && number < ak_fasttext_words(model));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"", "a", "cat", "</s>", "\xC3\xA9t\xC3\xA9", "\xFF\x80"};
    akin_error error = {0};
    ak_fasttext *model;
    if (ak_fasttext_parse(&model, data, size, "fuzz", &error)) {
        FUZZ_CHECK(!model && error.status && *error.message);
        return 0;
    }
    float *out = malloc((size_t)ak_fasttext_dim(model) * sizeof *out);
    FUZZ_CHECK(out);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        check_vector(model, words[i], out);
    free(out);
    ak_fasttext_free(model);
    return 0;
}
