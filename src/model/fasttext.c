#include "model/fasttext.h"

#include <string.h>

#define MAGIC 793712314
#define END_OF_SENTENCE "</s>"

/* Rows begin wherever the words before them end. */
typedef float loose_float __attribute__((aligned(1), may_alias));

typedef struct word {
    const char *text; /* NUL-terminated, in the file */
    size_t size;
} word;

struct ak_fasttext {
    ak_map map;                             /* data NULL: memory of the caller */
    int32_t dim, bucket, shortest, longest; /* n-grams: longest 0: none */
    int64_t count, words;                   /* in the dictionary; without labels */
    word *dictionary;
    int32_t *slots; /* by hash: 1 + a word's number, 0: free */
    uint32_t mask;  /* slots - 1 */
    int64_t rows;
    const loose_float *input; /* rows x dim */
};

void ak_fasttext_free(ak_fasttext *model)
{
    if (!model)
        return;
    if (model->map.data)
        ak_map_close(&model->map);
    ak_free(model->dictionary);
    ak_free(model->slots);
    ak_free(model);
}

int64_t ak_fasttext_dim(const ak_fasttext *model)
{
    return model->dim;
}

int64_t ak_fasttext_words(const ak_fasttext *model)
{
    return model->count;
}

/* FNV-1a, but for bytes being signed, as in every published model. */
static uint32_t hash_byte(uint32_t hash, char byte)
{
    return (hash ^ (uint32_t)(int8_t)byte) * 16777619u;
}

static uint32_t hash_bytes(const char *text, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = hash_byte(hash, text[i]);
    return hash;
}

int64_t ak_fasttext_find(const ak_fasttext *model, const char *text, size_t size)
{
    uint32_t at = hash_bytes(text, size) & model->mask;
    for (; model->slots[at]; at = (at + 1) & model->mask) {
        const word *known = &model->dictionary[model->slots[at] - 1];
        if (known->size == size && memcmp(known->text, text, size) == 0)
            return model->slots[at] - 1;
    }
    return -1;
}

/* ---- reading ---- */

typedef struct reader {
    const char *at, *end, *name;
} reader;

static akin_status take(reader *r, void *out, size_t size, const char *what, akin_error *error)
{
    if ((size_t)(r->end - r->at) < size)
        return ak_fail_at(error, AKIN_ERR_FORMAT, r->name, 0, "the file ends within %s", what);
    memcpy(out, r->at, size);
    r->at += size;
    return AKIN_OK;
}

static akin_status check_range(const reader *r, const char *what, int64_t value, int64_t low,
                               int64_t high, akin_error *error)
{
    if (value >= low && value <= high)
        return AKIN_OK;
    return ak_fail_at(error, AKIN_ERR_FORMAT, r->name, 0,
                      "\"%s\" is %lld, must be between %lld and %lld", what, (long long)value,
                      (long long)low, (long long)high);
}

static akin_status read_head(ak_fasttext *m, reader *r, akin_error *error)
{
    enum { DIM, MODEL = 7, BUCKET = 8, MINN, MAXN, ARGUMENTS = 12, SUPERVISED = 3 };
    int32_t head[2], a[ARGUMENTS];
    double t;
    AK_TRY(take(r, head, sizeof head, "its first bytes", error));
    if (head[0] != MAGIC)
        return ak_fail_at(error, AKIN_ERR_FORMAT, r->name, 0, "not a fastText .bin");
    if (head[1] != 11 && head[1] != 12)
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, r->name, 0,
                          "version %d of fastText's format, expected 11 or 12", (int)head[1]);
    AK_TRY(take(r, a, sizeof a, "its arguments", error));
    AK_TRY(take(r, &t, sizeof t, "its arguments", error));
    AK_TRY(check_range(r, "dim", a[DIM], 1, 1 << 20, error));
    AK_TRY(check_range(r, "bucket", a[BUCKET], 0, INT32_MAX, error));
    AK_TRY(check_range(r, "minn", a[MINN], 0, 1 << 20, error));
    AK_TRY(check_range(r, "maxn", a[MAXN], 0, 1 << 20, error));
    m->dim = a[DIM];
    m->bucket = a[BUCKET];
    m->shortest = a[MINN];
    m->longest = a[MAXN];
    if (!m->bucket || (head[1] == 11 && a[MODEL] == SUPERVISED))
        m->longest = 0; /* old supervised models had none */
    return AKIN_OK;
}

static akin_status read_word(reader *r, word *out, akin_error *error)
{
    char rest[sizeof(int64_t) + 1];
    const char *end = memchr(r->at, 0, (size_t)(r->end - r->at));
    if (!end)
        return ak_fail_at(error, AKIN_ERR_FORMAT, r->name, 0, "the file ends within its words");
    *out = (word){r->at, (size_t)(end - r->at)};
    r->at = end + 1;
    return take(r, rest, sizeof rest, "its words", error);
}

static akin_status make_slots(ak_fasttext *m, akin_error *error)
{
    uint32_t slots = 16;
    while ((int64_t)slots < 2 * m->count)
        slots *= 2;
    m->mask = slots - 1;
    m->slots = ak_calloc(slots, sizeof *m->slots);
    if (!m->slots)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < m->count; i++) {
        uint32_t at = hash_bytes(m->dictionary[i].text, m->dictionary[i].size) & m->mask;
        while (m->slots[at])
            at = (at + 1) & m->mask;
        m->slots[at] = (int32_t)i + 1;
    }
    return AKIN_OK;
}

static akin_status read_dictionary(ak_fasttext *m, reader *r, akin_error *error)
{
    int32_t sizes[3];  /* all, words, labels */
    int64_t counts[2]; /* tokens, pruned n-grams: -1 none, else they are listed */
    AK_TRY(take(r, sizes, sizeof sizes, "its dictionary", error));
    AK_TRY(take(r, counts, sizeof counts, "its dictionary", error));
    AK_TRY(check_range(r, "size", sizes[0], 0, 1 << 30, error));
    AK_TRY(check_range(r, "nwords", sizes[1], 0, sizes[0], error));
    if (counts[1] > 0)
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, r->name, 0,
                          "its n-grams are pruned, which is not supported");
    if (counts[1] == 0)
        m->longest = 0; /* all of them are */
    m->count = sizes[0];
    m->words = sizes[1];
    if (m->count > (r->end - r->at) / 10) /* a word takes ten bytes at least */
        return ak_fail_at(error, AKIN_ERR_FORMAT, r->name, 0, "the file ends within its words");
    m->dictionary = ak_calloc((size_t)m->count + 1, sizeof *m->dictionary);
    if (!m->dictionary)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < m->count; i++)
        AK_TRY(read_word(r, &m->dictionary[i], error));
    return make_slots(m, error);
}

static akin_status read_matrix(ak_fasttext *m, reader *r, akin_error *error)
{
    char quantised = 0;
    int64_t shape[2], floats;
    size_t bytes;
    AK_TRY(take(r, &quantised, 1, "its matrix", error));
    if (quantised)
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, r->name, 0,
                          "a quantised model (.ftz); akin reads the .bin it was made from");
    AK_TRY(take(r, shape, sizeof shape, "its matrix", error));
    int64_t needed = m->words + (m->longest ? m->bucket : 0);
    AK_TRY(check_range(r, "the matrix's width", shape[1], m->dim, m->dim, error));
    AK_TRY(check_range(r, "the number of rows", shape[0], needed, INT64_MAX, error));
    if (__builtin_mul_overflow(shape[0], shape[1], &floats) ||
        __builtin_mul_overflow((size_t)floats, sizeof(float), &bytes) ||
        bytes > (size_t)(r->end - r->at))
        return ak_fail_at(error, AKIN_ERR_FORMAT, r->name, 0, "the file ends within its matrix");
    m->rows = shape[0];
    m->input = (const loose_float *)r->at;
    return AKIN_OK;
}

akin_status ak_fasttext_parse(ak_fasttext **out, const void *data, size_t size, const char *name,
                              akin_error *error)
{
    *out = NULL;
    reader r = {data, (const char *)data + size, name};
    ak_fasttext *m = ak_calloc(1, sizeof *m);
    if (!m)
        return ak_fail_memory(error);
    akin_status status = read_head(m, &r, error);
    if (!status)
        status = read_dictionary(m, &r, error);
    if (!status)
        status = read_matrix(m, &r, error);
    if (status) {
        ak_fasttext_free(m);
        return status;
    }
    *out = m;
    return AKIN_OK;
}

akin_status ak_fasttext_open(ak_fasttext **out, const char *path, akin_error *error)
{
    ak_map map;
    *out = NULL;
    AK_TRY(ak_map_open(&map, path, error));
    akin_status status = ak_fasttext_parse(out, map.data, map.size, path, error);
    if (status)
        ak_map_close(&map);
    else
        (*out)->map = map;
    return status;
}

/* ---- vectors ---- */

AK_KERNEL static void add_row(const loose_float *restrict row, float *restrict sum, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        sum[j] += row[j];
}

static int add(const ak_fasttext *m, int64_t row, float *sum)
{
    if (row >= m->rows) /* a label's number may be beyond */
        return 0;
    add_row(m->input + row * m->dim, sum, m->dim);
    return 1;
}

/* Byte i of "<word>". */
static char marked(const char *text, size_t size, size_t i)
{
    return i == 0 ? '<' : i > size ? '>' : text[i - 1];
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* Adds the rows of all n-grams; returns how many. A single "<" or ">" is none. */
static int add_ngrams(const ak_fasttext *m, const char *text, size_t size, float *sum)
{
    int count = 0;
    size_t end = size + 2;
    for (size_t from = 0; from < end; from++) {
        uint32_t hash = 2166136261u;
        size_t at = from;
        if (continues(marked(text, size, from)))
            continue;
        for (int32_t n = 1; at < end && n <= m->longest; n++) {
            do
                hash = hash_byte(hash, marked(text, size, at++));
            while (at < end && continues(marked(text, size, at)));
            if (n >= m->shortest && !(n == 1 && (from == 0 || at == end)))
                count += add(m, m->words + hash % (uint32_t)m->bucket, sum);
        }
    }
    return count;
}

bool ak_fasttext_word(const ak_fasttext *model, const char *text, size_t size, float *out)
{
    int64_t number = ak_fasttext_find(model, text, size);
    bool end = size == strlen(END_OF_SENTENCE) && memcmp(text, END_OF_SENTENCE, size) == 0;
    int count = 0;
    memset(out, 0, (size_t)model->dim * sizeof *out);
    if (number >= 0)
        count += add(model, number, out);
    if (!end)
        count += add_ngrams(model, text, size, out);
    for (int32_t j = 0; j < model->dim && count; j++)
        out[j] /= (float)count;
    return count > 0;
}
