/* The static encoder: a text is the mean of its tokens' rows, y = 1/n Σ E[token], and perhaps of
   unit length. Reads folders of sentence-transformers (StaticEmbedding) and of Model2Vec, frozen or
   to be trained, and writes what sentence-transformers reads. No special tokens are added, and
   texts are never cut. */
#include "model/encoder_static.h"

#include "model/static_folder.h"
#include "text/tokenizer.h"

#include <string.h>

typedef struct static_options {
    const char *path, *field;
    bool skip_unknown, trainable;
} static_options;

#define ROW(member, type, otherwise, help)                                                         \
#member, type, offsetof(static_options, member), otherwise, help
static const akin_option options[] = {
    {ROW(path, AKIN_OPTION_STRING, NULL, "the folder of a StaticEmbedding or of Model2Vec")},
    {ROW(field, AKIN_OPTION_STRING, NULL, "the member of a JSON record that holds the text")},
    {ROW(skip_unknown, AKIN_OPTION_BOOL, "false", "leave unknown tokens out, as model2vec does")},
    {ROW(trainable, AKIN_OPTION_BOOL, "false", "frozen encoders are computed once and cached")},
    {NULL}};

typedef struct embedding {
    ak_static_folder folder;
    ak_tokenizer *tokenizer;
    akin_parameters *parameters;
    int table;
    int64_t rows, dim;
    char *field;
    bool skip_unknown, trainable;
    int32_t before, after; /* special tokens, which are left out */
} embedding;

static void static_free(void *self)
{
    embedding *e = self;
    akin_parameters_free(e->parameters);
    ak_tokenizer_free(e->tokenizer);
    ak_static_folder_free(&e->folder);
    ak_free(e->field);
    ak_free(e);
}

/* ---- opening ---- */

static akin_status make_table(embedding *e, akin_error *error)
{
    AK_TRY(akin_parameters_create(&e->parameters, error));
    AK_TRY(ak_parameters_add_table(e->parameters, &e->table, "embedding.weight", e->rows, e->dim,
                                   AKIN_INIT_ZERO, 0, error));
    return akin_parameters_seal(e->parameters, 0, error);
}

static akin_status fill_table(embedding *e, const ak_safetensors *file, akin_error *error)
{
    AK_TRY(ak_static_table_shape(file, &e->rows, &e->dim, error));
    if (ak_tokenizer_vocabulary(e->tokenizer) > e->rows)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, ak_safetensors_path(file), 0,
                          "%lld rows for the %d tokens of the tokenizer", (long long)e->rows,
                          (int)ak_tokenizer_vocabulary(e->tokenizer));
    AK_TRY(make_table(e, error));
    return ak_static_table_copy(file, akin_parameters_get(e->parameters, e->table)->value, error);
}

static akin_status open_table(embedding *e, akin_error *error)
{
    char *path = ak_path_join(e->folder.module, "model.safetensors");
    ak_safetensors *file = NULL;
    akin_status status = path ? ak_safetensors_open(&file, path, error) : ak_fail_memory(error);
    if (!status)
        status = fill_table(e, file, error);
    ak_safetensors_free(file);
    ak_free(path);
    return status;
}

static akin_status open_tokenizer(embedding *e, akin_error *error)
{
    AK_TRY(ak_tokenizer_load(&e->tokenizer, e->folder.module, error));
    ak_tokenizer_special(e->tokenizer, &e->before, &e->after);
    return AKIN_OK;
}

static akin_status open_folder(embedding *e, const static_options *o, const char *folder,
                               akin_error *error)
{
    e->skip_unknown = o->skip_unknown;
    e->trainable = o->trainable;
    AK_TRY(ak_copy_option(&e->field, o->field, error));
    char *whole = ak_path_absolute(folder);
    if (!whole)
        return ak_fail_memory(error);
    akin_status status = ak_static_folder_read(&e->folder, whole, error);
    ak_free(whole);
    AK_TRY(status);
    AK_TRY(open_tokenizer(e, error));
    return open_table(e, error);
}

static akin_status make(void **self, const static_options *o, const char *folder, akin_error *error)
{
    *self = NULL;
    embedding *e = ak_calloc(1, sizeof *e);
    if (!e)
        return ak_fail_memory(error);
    akin_status status = open_folder(e, o, folder, error);
    if (status) {
        static_free(e);
        return status;
    }
    *self = e;
    return AKIN_OK;
}

static akin_status static_create(void **self, const void *given, const akin_place *place,
                                 akin_error *error)
{
    const static_options *o = given;
    *self = NULL;
    if (!o->path)
        return ak_fail(
            error, AKIN_ERR_ARGUMENT,
            "a static encoder needs \"path\", a folder of static embeddings; without any "
            "weights there is the encoder \"ngrams\"");
    char *folder = ak_path_join(place->folder, o->path);
    if (!folder)
        return ak_fail_memory(error);
    akin_status status = make(self, o, folder, error);
    ak_free(folder);
    return status;
}

static akin_status static_load(void **self, const void *given, const akin_place *place,
                               akin_error *error)
{
    return make(self, given, place->folder, error);
}

static akin_status static_save(const void *self, const char *folder, akin_error *error)
{
    const embedding *e = self;
    char *module, *path;
    AK_TRY(ak_static_folder_write(&e->folder, folder, &module, error));
    path = ak_path_join(module, "model.safetensors");
    akin_status status =
        path ? ak_parameters_write(e->parameters, path, error) : ak_fail_memory(error);
    ak_free(path);
    ak_free(module);
    return status;
}

static akin_status make_empty(embedding *e, const char *folder, int64_t dim, const char *field,
                              akin_error *error)
{
    e->folder = (ak_static_folder){.module = ak_path_absolute(folder), .normalize = true};
    if (!e->folder.module)
        return ak_fail_memory(error);
    AK_TRY(ak_copy_option(&e->field, field, error));
    AK_TRY(open_tokenizer(e, error));
    e->rows = ak_tokenizer_vocabulary(e->tokenizer);
    e->dim = dim;
    return make_table(e, error);
}

akin_status ak_static_make(void **self, float **table, const char *folder, int64_t dim,
                           const char *field, akin_error *error)
{
    *self = NULL;
    embedding *e = ak_calloc(1, sizeof *e);
    if (!e)
        return ak_fail_memory(error);
    akin_status status = make_empty(e, folder, dim, field, error);
    if (status) {
        static_free(e);
        return status;
    }
    *table = akin_parameters_get(e->parameters, e->table)->value;
    *self = e;
    return AKIN_OK;
}

/* ---- what it is ---- */

static int64_t static_dim(const void *self)
{
    return ((const embedding *)self)->dim;
}

static bool static_trainable(const void *self)
{
    return ((const embedding *)self)->trainable;
}

static akin_parameters *static_parameters(void *self)
{
    return ((embedding *)self)->parameters;
}

static akin_status static_key(const void *self, akin_object object, akin_hash *key,
                              akin_error *error)
{
    return ak_field_key(((const embedding *)self)->field, object, key, error);
}

static akin_status static_fingerprint(const void *self, akin_hash *fingerprint, akin_error *error)
{
    const embedding *e = self;
    char settings[] = "static|00";
    (void)error;
    settings[7] += e->folder.normalize;
    settings[8] += e->skip_unknown;
    *fingerprint = ak_hash_combine(ak_hash_text(settings), ak_tokenizer_fingerprint(e->tokenizer));
    *fingerprint = ak_hash_combine(
        *fingerprint, ak_hash_bytes(akin_parameters_get(e->parameters, e->table)->value,
                                    (size_t)(e->rows * e->dim) * sizeof(float)));
    return AKIN_OK;
}

/* ---- batches ---- */

/* The text's own tokens, appended to rows[0 .. count). */
static akin_status add_tokens(const embedding *e, akin_object text, int32_t **rows, int64_t *count,
                              int64_t *capacity, akin_arena *arena, akin_error *error)
{
    int32_t *ids, n, unknown = e->skip_unknown ? ak_tokenizer_unknown(e->tokenizer) : -1;
    bool cut;
    AK_TRY(ak_tokenizer_encode(e->tokenizer, text.data, text.size, INT32_MAX, arena, &ids, &n, &cut,
                               error));
    if (*count + n > *capacity) {
        int64_t more = 2 * (*count + n) + 1024;
        int32_t *fresh = ak_arena_new(arena, int32_t, more);
        if (!fresh)
            return ak_fail_memory(error);
        if (*count)
            memcpy(fresh, *rows, (size_t)*count * sizeof *fresh);
        *rows = fresh;
        *capacity = more;
    }
    for (int32_t i = e->before; i < n - e->after; i++)
        if (ids[i] != unknown || unknown < 0)
            (*rows)[(*count)++] = ids[i];
    return AKIN_OK;
}

static akin_status static_collate(const void *self, const akin_object *objects, int64_t count,
                                  akin_arena *arena, void **batch, akin_error *error)
{
    const embedding *e = self;
    ak_bags *bags = ak_arena_new(arena, ak_bags, 1);
    int64_t *start = ak_arena_new(arena, int64_t, count + 1), capacity = 0;
    int32_t *rows = NULL;
    akin_object *texts;
    if (!bags || !start)
        return ak_fail_memory(error);
    AK_TRY(ak_field_texts(e->field, objects, count, arena, &texts, error));
    start[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        start[i + 1] = start[i];
        AK_TRY(add_tokens(e, texts[i], &rows, &start[i + 1], &capacity, arena, error));
    }
    *bags = (ak_bags){.count = count, .start = start, .rows = rows};
    *batch = bags;
    bool trained = ak_parameters_grads(e->parameters) != NULL;
    return trained ? ak_bags_turn(bags, e->rows, arena, error) : AKIN_OK;
}

/* Every text is a token. */
static akin_status collate_tokens(const void *self, const int32_t *ids, int64_t count,
                                  akin_arena *arena, void **batch, akin_error *error)
{
    (void)self;
    ak_bags *bags = ak_arena_new(arena, ak_bags, 1);
    int64_t *start = ak_arena_new(arena, int64_t, count + 1);
    if (!bags || !start)
        return ak_fail_memory(error);
    for (int64_t i = 0; i <= count; i++)
        start[i] = i;
    *bags = (ak_bags){.count = count, .start = start, .rows = ids};
    *batch = bags;
    return AKIN_OK;
}

/* What normalising needs to go back. */
typedef struct unit_rows {
    akin_matrix y;
    float *norms;
} unit_rows;

static akin_status static_forward(const void *self, const akin_pass *pass, const void *batch,
                                  akin_matrix y, void **record, akin_error *error)
{
    const embedding *e = self;
    *record = NULL;
    ak_bags_forward(batch, akin_parameters_get(e->parameters, e->table)->value, y);
    if (!e->folder.normalize)
        return AKIN_OK;
    unit_rows *kept = ak_arena_new(pass->arena, unit_rows, 1);
    float *norms = ak_arena_new(pass->arena, float, y.rows);
    if (!kept || !norms)
        return ak_fail_memory(error);
    ak_normalize_forward(y, y, norms);
    *kept = (unit_rows){y, norms};
    *record = kept;
    return AKIN_OK;
}

static akin_status forward_tokens(const void *self, const akin_pass *pass, const void *batch,
                                  akin_matrix y, akin_error *error)
{
    const embedding *e = self;
    (void)pass;
    (void)error;
    ak_bags_forward(batch, akin_parameters_get(e->parameters, e->table)->value, y);
    return AKIN_OK;
}

void ak_static_token_reader(const void *self, ak_token_reader *reader)
{
    const embedding *e = self;
    *reader = (ak_token_reader){.tokenizer = e->tokenizer,
                                .folder = e->folder.module,
                                .field = e->field,
                                .collate = collate_tokens,
                                .forward = forward_tokens};
}

static akin_status static_backward(void *self, const akin_pass *pass, const void *batch,
                                   const void *record, akin_matrix dy, akin_error *error)
{
    const embedding *e = self;
    const unit_rows *kept = record;
    if (kept) {
        akin_matrix dx = ak_matrix_new(pass->arena, dy.rows, dy.columns);
        if (!dx.data)
            return ak_fail_memory(error);
        memset(dx.data, 0, (size_t)(dx.rows * dx.stride) * sizeof *dx.data);
        ak_normalize_backward(kept->y, kept->norms, dy, dx);
        dy = dx;
    }
    return ak_bags_backward(batch, dy, e->parameters, e->table, pass->arena, error);
}

const akin_encoder_class ak_encoder_static = {
    .size = sizeof(akin_encoder_class),
    .name = "static",
    .summary = "a vector a token, averaged: StaticEmbedding and Model2Vec folders",
    .options = options,
    .options_size = sizeof(static_options),
    .create = static_create,
    .load = static_load,
    .save = static_save,
    .free = static_free,
    .dim = static_dim,
    .trainable = static_trainable,
    .key = static_key,
    .fingerprint = static_fingerprint,
    .collate = static_collate,
    .forward = static_forward,
    .backward = static_backward,
    .parameters = static_parameters,
};
