/* The ngrams encoder: a text is the mean of the rows of a table that its word and character n-grams
   hash to (text/ngrams.h). It needs no weights to start with: fresh rows are random, which makes
   the cosine of two texts grow with the n-grams they share (random indexing; Kanerva et al., 2000),
   and training moves the rows of the n-grams it meets, as fastText does (Joulin et al., 2017). */
#include "model/model.h"
#include "text/ngrams.h"

#include <math.h>
#include <string.h>

enum { SHARE = 128 }; /* texts a thread takes at once */

typedef struct ngrams_options {
    int64_t dim, buckets, word_ngrams, min_n, max_n, seed;
    const char *field;
    bool lowercase, trainable;
} ngrams_options;

#define ROW(member, type, otherwise, help)                                                         \
#member, type, offsetof(ngrams_options, member), otherwise, help
static const akin_option options[] = {
    {ROW(dim, AKIN_OPTION_INT, "256", "width of the vectors"), .minimum = 1, .maximum = 1 << 16},
    {ROW(buckets, AKIN_OPTION_INT, "32768", "rows of the table, which all n-grams share"),
     .minimum = 1, .maximum = 1 << 30},
    {ROW(word_ngrams, AKIN_OPTION_INT, "1", "longest run of words"), .minimum = 1,
     .maximum = AK_MAX_WORD_NGRAMS},
    {ROW(min_n, AKIN_OPTION_INT, "4", "shortest run of characters"), .minimum = 1, .maximum = 32},
    {ROW(max_n, AKIN_OPTION_INT, "4", "longest run of characters; 0: none, only words"),
     .maximum = 32},
    {ROW(lowercase, AKIN_OPTION_BOOL, "true", "upper case and accents make no difference")},
    {ROW(seed, AKIN_OPTION_INT, "0", "of the fresh table; 0: the run's"), .maximum = 9e15},
    {ROW(field, AKIN_OPTION_STRING, NULL, "the member of a JSON record that holds the text")},
    {ROW(trainable, AKIN_OPTION_BOOL, "true", "false: the table stays random")},
    {NULL}};

typedef struct ngrams {
    ngrams_options options;
    char *field;
    ak_ngrams splitter;
    akin_parameters *parameters;
    int table;
} ngrams;

static void ngrams_free(void *self)
{
    ngrams *n = self;
    akin_parameters_free(n->parameters);
    ak_free(n->field);
    ak_free(n);
}

/* fresh: with random rows, else they are about to be read. */
static akin_status open_table(ngrams *n, const akin_place *place, bool fresh, akin_error *error)
{
    const ngrams_options *o = &n->options;
    uint64_t seed = o->seed ? (uint64_t)o->seed : place->context ? place->context->seed : 42;
    if (o->max_n && o->max_n < o->min_n)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"max_n\" is %lld, below \"min_n\", which is %lld; 0 leaves characters out",
                       (long long)o->max_n, (long long)o->min_n);
    AK_TRY(ak_copy_option(&n->field, o->field, error));
    ak_ngrams_prepare(&n->splitter, (int32_t)o->buckets, (int)o->word_ngrams, (int)o->min_n,
                      (int)o->max_n, o->lowercase);
    AK_TRY(akin_parameters_create(&n->parameters, error));
    AK_TRY(ak_parameters_add_table(n->parameters, &n->table, "table", o->buckets, o->dim,
                                   fresh ? AKIN_INIT_UNIFORM : AKIN_INIT_ZERO,
                                   1 / sqrt((double)o->dim), error));
    return akin_parameters_seal(n->parameters, seed, error);
}

static akin_status make(void **self, const void *given, const akin_place *place, bool fresh,
                        akin_error *error)
{
    *self = NULL;
    ngrams *n = ak_calloc(1, sizeof *n);
    if (!n)
        return ak_fail_memory(error);
    n->options = *(const ngrams_options *)given;
    akin_status status = open_table(n, place, fresh, error);
    if (status) {
        ngrams_free(n);
        return status;
    }
    *self = n;
    return AKIN_OK;
}

static akin_status ngrams_create(void **self, const void *given, const akin_place *place,
                                 akin_error *error)
{
    return make(self, given, place, true, error);
}

static akin_status ngrams_load(void **self, const void *given, const akin_place *place,
                               akin_error *error)
{
    AK_TRY(make(self, given, place, false, error));
    char *path = ak_path_join(place->folder, "table.safetensors");
    akin_status status = path ? ak_parameters_read(((ngrams *)*self)->parameters, path, error)
                              : ak_fail_memory(error);
    ak_free(path);
    if (status) {
        ngrams_free(*self);
        *self = NULL;
    }
    return status;
}

static akin_status ngrams_save(const void *self, const char *folder, akin_error *error)
{
    char *path = ak_path_join(folder, "table.safetensors");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_parameters_write(((const ngrams *)self)->parameters, path, error);
    ak_free(path);
    return status;
}

static int64_t ngrams_dim(const void *self)
{
    return ((const ngrams *)self)->options.dim;
}

static bool ngrams_trainable(const void *self)
{
    return ((const ngrams *)self)->options.trainable;
}

static akin_parameters *ngrams_parameters(void *self)
{
    return ((ngrams *)self)->parameters;
}

static akin_status ngrams_key(const void *self, akin_object object, akin_hash *key,
                              akin_error *error)
{
    return ak_field_key(((const ngrams *)self)->field, object, key, error);
}

static akin_status ngrams_fingerprint(const void *self, akin_hash *fingerprint, akin_error *error)
{
    const ngrams *n = self;
    const ngrams_options *o = &n->options;
    char *settings = ak_format("ngrams|%lld|%lld|%lld|%lld|%lld|%d", (long long)o->dim,
                               (long long)o->buckets, (long long)o->word_ngrams,
                               (long long)o->min_n, (long long)o->max_n, o->lowercase);
    if (!settings)
        return ak_fail_memory(error);
    *fingerprint =
        ak_hash_combine(ak_hash_text(settings),
                        ak_hash_bytes(ak_parameters_values(n->parameters),
                                      (size_t)ak_parameters_size(n->parameters) * sizeof(float)));
    ak_free(settings);
    return AKIN_OK;
}

/* ---- batches ---- */

/* What a loader's thread makes: while training the rows, by text and turned round; else the texts,
   whose rows forward finds, so that all threads do. */
typedef struct batch {
    const akin_object *texts; /* NULL: see bags */
    ak_bags bags;
} batch;

static akin_status find_rows(const ngrams *n, const akin_object *texts, int64_t count,
                             akin_arena *arena, ak_bags *bags, akin_error *error)
{
    ak_rows rows = {NULL, 0, 0};
    int64_t *start = ak_arena_new(arena, int64_t, count + 1);
    if (!start)
        return ak_fail_memory(error);
    start[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        AK_TRY(ak_ngrams_add(&n->splitter, texts[i].data, texts[i].size, &rows, arena, error));
        start[i + 1] = rows.count;
    }
    *bags = (ak_bags){.count = count, .start = start, .rows = rows.items};
    return ak_bags_turn(bags, n->options.buckets, arena, error);
}

static akin_status ngrams_collate(const void *self, const akin_object *objects, int64_t count,
                                  akin_arena *arena, void **out, akin_error *error)
{
    const ngrams *n = self;
    akin_object *texts;
    batch *made = ak_arena_new(arena, batch, 1);
    if (!made)
        return ak_fail_memory(error);
    *out = made;
    AK_TRY(ak_field_texts(n->field, objects, count, arena, &texts, error));
    bool trained = ak_parameters_grads(n->parameters) != NULL;
    *made = (batch){.texts = trained ? NULL : texts};
    return trained ? find_rows(n, texts, count, arena, &made->bags, error) : AKIN_OK;
}

/* One thread's share of the texts, in memory of its own. */
static akin_status encode_share(const ngrams *n, const akin_object *texts, akin_matrix y,
                                akin_error *error)
{
    const float *table = akin_parameters_get(n->parameters, n->table)->value;
    akin_arena *arena;
    akin_status status = AKIN_OK;
    AK_TRY(ak_arena_create(&arena, error));
    for (int64_t i = 0; i < y.rows && !status; i++) {
        ak_rows rows = {NULL, 0, 0};
        ak_arena_reset(arena);
        status = ak_ngrams_add(&n->splitter, texts[i].data, texts[i].size, &rows, arena, error);
        if (!status)
            ak_bag_mean(table, rows.items, rows.count, y.data + i * y.stride, y.columns);
    }
    ak_arena_free(arena);
    return status;
}

static akin_status encode_texts(const ngrams *n, const akin_object *texts, akin_matrix y,
                                akin_error *error)
{
    akin_status failed = AKIN_OK; /* memory is all that can fail */
#pragma omp parallel for schedule(dynamic)
    for (int64_t first = 0; first < y.rows; first += SHARE) {
        int64_t count = y.rows - first < SHARE ? y.rows - first : SHARE;
        akin_status status = encode_share(n, texts + first, ak_matrix_rows(y, first, count), NULL);
        if (status)
#pragma omp atomic write
            failed = status;
    }
    return failed ? ak_fail_memory(error) : AKIN_OK;
}

static akin_status ngrams_forward(const void *self, const akin_pass *pass, const void *given,
                                  akin_matrix y, void **record, akin_error *error)
{
    const ngrams *n = self;
    const batch *b = given;
    (void)pass;
    *record = NULL;
    if (b->texts)
        return encode_texts(n, b->texts, y, error);
    ak_bags_forward(&b->bags, akin_parameters_get(n->parameters, n->table)->value, y);
    return AKIN_OK;
}

static akin_status ngrams_backward(void *self, const akin_pass *pass, const void *given,
                                   const void *record, akin_matrix dy, akin_error *error)
{
    const ngrams *n = self;
    (void)record;
    return ak_bags_backward(&((const batch *)given)->bags, dy, n->parameters, n->table, pass->arena,
                            error);
}

const akin_encoder_class ak_encoder_ngrams = {
    .size = sizeof(akin_encoder_class),
    .name = "ngrams",
    .summary = "hashed word and character n-grams, learned from nothing (Joulin et al., 2017)",
    .options = options,
    .options_size = sizeof(ngrams_options),
    .create = ngrams_create,
    .load = ngrams_load,
    .save = ngrams_save,
    .free = ngrams_free,
    .dim = ngrams_dim,
    .trainable = ngrams_trainable,
    .key = ngrams_key,
    .fingerprint = ngrams_fingerprint,
    .collate = ngrams_collate,
    .forward = ngrams_forward,
    .backward = ngrams_backward,
    .parameters = ngrams_parameters,
};
