/* The fasttext encoder: word vectors of a fastText .bin, pooled over the words of a text. Frozen;
   the file is mapped, so that a large model costs the pages it touches. */
#include "model/fasttext.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { AVERAGE, SENTENCE, MIN, MAX };

typedef struct fasttext_options {
    const char *path, *field;
    int pooling;
} fasttext_options;

#define ROW(member, type, otherwise, help)                                                         \
#member, type, offsetof(fasttext_options, member), otherwise, help
static const akin_option options[] = {
    {ROW(path, AKIN_OPTION_STRING, NULL, "the .bin")},
    {ROW(pooling, AKIN_OPTION_CHOICE, "average", "what is made of the vectors of a text's words"),
     .choices = "average|sentence|min|max"},
    {ROW(field, AKIN_OPTION_STRING, NULL, "the member of a JSON record that holds the text")},
    {NULL}};

typedef struct fasttext {
    char *path, *cache_folder, *field;
    int pooling;
    ak_fasttext *model;
} fasttext;

static void fasttext_free(void *self)
{
    fasttext *f = self;
    ak_fasttext_free(f->model);
    ak_free(f->path);
    ak_free(f->cache_folder);
    ak_free(f->field);
    ak_free(f);
}

static akin_status open_file(fasttext *f, const fasttext_options *o, const char *path,
                             const akin_place *place, akin_error *error)
{
    f->pooling = o->pooling;
    AK_TRY(ak_copy_option(&f->field, o->field, error));
    AK_TRY(ak_copy_option(&f->cache_folder, place->context ? place->context->cache_folder : NULL,
                          error));
    if (!(f->path = ak_path_absolute(path)))
        return ak_fail_memory(error);
    return ak_fasttext_open(&f->model, f->path, error);
}

static akin_status make(void **self, const fasttext_options *o, const char *name,
                        const akin_place *place, akin_error *error)
{
    *self = NULL;
    fasttext *f = ak_calloc(1, sizeof *f);
    char *path = f ? ak_path_join(place->folder, name) : NULL;
    akin_status status = path ? open_file(f, o, path, place, error) : ak_fail_memory(error);
    ak_free(path);
    if (status && f)
        fasttext_free(f);
    if (!status)
        *self = f;
    return status;
}

static akin_status fasttext_create(void **self, const void *given, const akin_place *place,
                                   akin_error *error)
{
    const fasttext_options *o = given;
    *self = NULL;
    if (!o->path)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a fasttext encoder needs \"path\", a .bin");
    return make(self, o, o->path, place, error);
}

#define SAVED "model.bin"

static akin_status fasttext_load(void **self, const void *given, const akin_place *place,
                                 akin_error *error)
{
    return make(self, given, SAVED, place, error);
}

static akin_status fasttext_save(const void *self, const char *folder, akin_error *error)
{
    char *path = ak_path_join(folder, SAVED);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_copy_file(((const fasttext *)self)->path, path, error);
    ak_free(path);
    return status;
}

static int64_t fasttext_dim(const void *self)
{
    return ak_fasttext_dim(((const fasttext *)self)->model);
}

static akin_status fasttext_key(const void *self, akin_object object, akin_hash *key,
                                akin_error *error)
{
    return ak_field_key(((const fasttext *)self)->field, object, key, error);
}

static akin_status fasttext_fingerprint(const void *self, akin_hash *fingerprint, akin_error *error)
{
    const fasttext *f = self;
    static const char *const names[] = {"fasttext|average", "fasttext|sentence", "fasttext|min",
                                        "fasttext|max"};
    ak_hash file;
    AK_TRY(ak_file_hash(&file, f->path, f->cache_folder, error));
    *fingerprint = ak_hash_combine(ak_hash_text(names[f->pooling]), file);
    return AKIN_OK;
}

static akin_status fasttext_collate(const void *self, const akin_object *objects, int64_t count,
                                    akin_arena *arena, void **batch, akin_error *error)
{
    akin_object *texts;
    *batch = NULL;
    AK_TRY(ak_field_texts(((const fasttext *)self)->field, objects, count, arena, &texts, error));
    *batch = texts;
    return AKIN_OK;
}

/* ---- pooling ---- */

static void add_scaled(const float *x, float factor, float *y, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        y[j] += x[j] * factor;
}

/* Word n, from 0, into y. Returns how many words it counts for: fastText's sentences leave zeros
 * out.
 */
static int pool(int pooling, const float *word, int64_t n, float *y, int64_t d)
{
    if (n == 0 && pooling != SENTENCE) {
        memcpy(y, word, (size_t)d * sizeof *y);
    } else if (pooling == AVERAGE) {
        add_scaled(word, 1, y, d);
    } else if (pooling == SENTENCE) {
        double squares = 0;
        for (int64_t j = 0; j < d; j++)
            squares += (double)word[j] * (double)word[j];
        if (!(squares > 0))
            return 0;
        add_scaled(word, (float)(1 / sqrt(squares)), y, d);
    } else {
        for (int64_t j = 0; j < d; j++)
            y[j] = pooling == MIN ? fminf(y[j], word[j]) : fmaxf(y[j], word[j]);
    }
    return 1;
}

/* What fastText takes for the end of a word. */
static bool ends_word(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0;
}

/* word: scratch of the width. */
static void encode_text(const fasttext *f, akin_object text, float *word, float *y)
{
    int64_t d = ak_fasttext_dim(f->model), count = 0;
    const char *at = text.data, *end = at + text.size;
    memset(y, 0, (size_t)d * sizeof *y);
    while (at < end) {
        const char *start = at;
        while (at < end && !ends_word(*at))
            at++;
        if (at > start && ak_fasttext_word(f->model, start, (size_t)(at - start), word))
            count += pool(f->pooling, word, count, y, d);
        at++;
    }
    for (int64_t j = 0; j < d && count && f->pooling <= SENTENCE; j++)
        y[j] /= (float)count;
}

static akin_status fasttext_forward(const void *self, const akin_pass *pass, const void *batch,
                                    akin_matrix y, void **record, akin_error *error)
{
    const fasttext *f = self;
    const akin_object *texts = batch;
    enum { SHARE = 64 }; /* texts a thread takes at once, with one scratch row */
    int64_t shares = (y.rows + SHARE - 1) / SHARE;
    akin_matrix words = ak_matrix_new(pass->arena, shares, y.columns);
    *record = NULL;
    if (!words.data)
        return ak_fail_memory(error);
#pragma omp parallel for schedule(dynamic)
    for (int64_t s = 0; s < shares; s++)
        for (int64_t i = s * SHARE; i < y.rows && i < (s + 1) * SHARE; i++)
            encode_text(f, texts[i], words.data + s * words.stride, y.data + i * y.stride);
    return AKIN_OK;
}

const akin_encoder_class ak_encoder_fasttext = {
    .size = sizeof(akin_encoder_class),
    .name = "fasttext",
    .summary = "word vectors of a fastText .bin, pooled (Bojanowski et al., 2017)",
    .options = options,
    .options_size = sizeof(fasttext_options),
    .create = fasttext_create,
    .load = fasttext_load,
    .save = fasttext_save,
    .free = fasttext_free,
    .dim = fasttext_dim,
    .key = fasttext_key,
    .fingerprint = fasttext_fingerprint,
    .collate = fasttext_collate,
    .forward = fasttext_forward,
};
