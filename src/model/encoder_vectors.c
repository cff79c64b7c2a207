/* The vectors encoder: vectors made elsewhere, to train a head on. An object, or its member
   `field`, is the vector itself (a list of numbers), or names one in a file: by its row number, or
   by its name where the file has names (model/vector_file.h).

   A saved model does not hold the file, which is data and may be huge, but its path and its hash.
   Without the file it loads and takes vectors themselves; only an object that names one fails. */
#include "model/model.h"
#include "model/vector_file.h"

#include <stdio.h>
#include <string.h>

typedef struct vectors_options {
    const char *path, *ids, *tensor, *id, *vector, *field;
    int64_t dim;
} vectors_options;

#define ROW(member, type, otherwise, help)                                                         \
#member, type, offsetof(vectors_options, member), otherwise, help
static const akin_option options[] = {
    {ROW(path, AKIN_OPTION_STRING, NULL, "the file of vectors: .npy, .safetensors or .jsonl")},
    {ROW(ids, AKIN_OPTION_STRING, NULL, "the file of their names, a line or record a vector")},
    {ROW(tensor, AKIN_OPTION_STRING, NULL,
         "safetensors: which tensor; else \"vectors\" or the only one")},
    {ROW(id, AKIN_OPTION_STRING, "id", "the member of a file's records that holds the name")},
    {ROW(vector, AKIN_OPTION_STRING, "vector",
         "the member of a file's records that holds the list")},
    {ROW(field, AKIN_OPTION_STRING, NULL, "the member of an object that is or names the vector")},
    {ROW(dim, AKIN_OPTION_INT, "0", "width of the vectors; 0: the file's"), .maximum = 1 << 20},
    {NULL}};

typedef struct vectors {
    ak_vector_file *file;     /* NULL: none, or it cannot be used: see why */
    char *path, *ids, *field; /* absolute; NULL: none */
    int64_t dim;
    ak_hash hash; /* of the file */
    akin_error why;
} vectors;

static void vectors_free(void *self)
{
    vectors *v = self;
    ak_vector_file_free(v->file);
    ak_free(v->path);
    ak_free(v->ids);
    ak_free(v->field);
    ak_free(v);
}

static akin_status open_file(vectors *v, const vectors_options *o, const akin_place *place,
                             akin_error *error)
{
    ak_vector_file_options file = {
        .path = v->path,
        .ids = v->ids,
        .tensor = o->tensor,
        .id = o->id,
        .vector = o->vector,
        .cache_folder = place->context ? place->context->cache_folder : NULL,
    };
    return ak_vector_file_open(&v->file, &file, error);
}

/* ---- create ---- */

static akin_status place_path(char **out, const char *folder, const char *path, akin_error *error)
{
    char *joined = path ? ak_path_join(folder, path) : NULL;
    *out = joined ? ak_path_absolute(joined) : NULL;
    ak_free(joined);
    return *out || !path ? AKIN_OK : ak_fail_memory(error);
}

static akin_status start(vectors *v, const vectors_options *o, const akin_place *place,
                         akin_error *error)
{
    v->dim = o->dim;
    AK_TRY(ak_copy_option(&v->field, o->field, error));
    if (!o->path && !o->dim)
        return ak_fail(
            error, AKIN_ERR_ARGUMENT,
            "a vectors encoder needs \"path\", a file of vectors, or \"dim\", the width of "
            "the vectors that the objects are");
    if (!o->path)
        return AKIN_OK;
    AK_TRY(place_path(&v->path, place->folder, o->path, error));
    AK_TRY(place_path(&v->ids, place->folder, o->ids, error));
    AK_TRY(open_file(v, o, place, error));
    v->dim = ak_vector_file_dim(v->file);
    v->hash = ak_vector_file_hash(v->file);
    if (o->dim && o->dim != v->dim)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, v->path, 0,
                          "its vectors have %lld numbers, \"dim\" says %lld", (long long)v->dim,
                          (long long)o->dim);
    return AKIN_OK;
}

/* ---- save and load: vectors.json ---- */

static akin_status vectors_save(const void *self, const char *folder, akin_error *error)
{
    const vectors *v = self;
    char hex[AK_HASH_HEX];
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_hash_to_hex(v->hash, hex);
    ak_value *root = ak_value_new_map(arena);
    bool made = ak_value_add_int(arena, root, "dim", v->dim);
    if (v->path)
        made = made && ak_value_add_string(arena, root, "path", v->path) &&
               ak_value_add_string(arena, root, "hash", hex);
    if (v->ids)
        made = made && ak_value_add_string(arena, root, "ids", v->ids);
    char *text = made ? ak_json_write(root, 2) : NULL;
    char *path = text ? ak_path_join(folder, "vectors.json") : NULL;
    akin_status status =
        path ? ak_file_write(path, text, strlen(text), error) : ak_fail_memory(error);
    ak_free(path);
    ak_free(text);
    ak_arena_free(arena);
    return status;
}

/* A file that is gone or has changed is no failure yet. */
static akin_status find_again(vectors *v, const vectors_options *o, const akin_place *place,
                              akin_error *error)
{
    akin_status status = open_file(v, o, place, &v->why);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    if (!status && !ak_hash_equal(ak_vector_file_hash(v->file), v->hash)) {
        ak_vector_file_free(v->file);
        v->file = NULL;
        ak_fail_at(&v->why, AKIN_ERR_MISMATCH, v->path, 0,
                   "not what it was when the model was made");
    }
    return AKIN_OK;
}

static akin_status read_description(vectors *v, const vectors_options *o, const akin_place *place,
                                    const ak_value *root, const char *name, akin_error *error)
{
    const char *path = ak_value_get_string(root, "path", NULL);
    const char *ids = ak_value_get_string(root, "ids", NULL);
    const char *hex = ak_value_get_string(root, "hash", NULL);
    v->dim = ak_value_get_int(root, "dim", 0);
    if (v->dim < 1 || v->dim > 1 << 24 || (path && (!hex || !ak_hash_from_hex(hex, &v->hash))))
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0,
                          "expected \"dim\", and with \"path\" its \"hash\"");
    AK_TRY(ak_copy_option(&v->field, o->field, error));
    AK_TRY(ak_copy_option(&v->path, path, error));
    AK_TRY(ak_copy_option(&v->ids, ids, error));
    return path ? find_again(v, o, place, error) : AKIN_OK;
}

static akin_status start_saved(vectors *v, const vectors_options *o, const akin_place *place,
                               akin_error *error)
{
    akin_arena *arena = NULL;
    ak_value *root;
    char *name = ak_path_join(place->folder, "vectors.json");
    akin_status status = name ? ak_arena_create(&arena, error) : ak_fail_memory(error);
    if (!status)
        status = ak_json_read(&root, arena, name, error);
    if (!status)
        status = read_description(v, o, place, root, name, error);
    ak_arena_free(arena);
    ak_free(name);
    return status;
}

typedef akin_status starter(vectors *v, const vectors_options *o, const akin_place *place,
                            akin_error *error);

static akin_status make(void **self, starter *begin, const void *given, const akin_place *place,
                        akin_error *error)
{
    *self = NULL;
    vectors *v = ak_calloc(1, sizeof *v);
    if (!v)
        return ak_fail_memory(error);
    akin_status status = begin(v, given, place, error);
    if (status) {
        vectors_free(v);
        return status;
    }
    *self = v;
    return AKIN_OK;
}

static akin_status vectors_create(void **self, const void *given, const akin_place *place,
                                  akin_error *error)
{
    return make(self, start, given, place, error);
}

static akin_status vectors_load(void **self, const void *given, const akin_place *place,
                                akin_error *error)
{
    return make(self, start_saved, given, place, error);
}

/* ---- what it is ---- */

static int64_t vectors_dim(const void *self)
{
    return ((const vectors *)self)->dim;
}

static akin_status vectors_fingerprint(const void *self, akin_hash *fingerprint, akin_error *error)
{
    const vectors *v = self;
    char text[48];
    (void)error;
    snprintf(text, sizeof text, "vectors|%lld", (long long)v->dim);
    *fingerprint = ak_hash_text(text);
    if (v->path)
        *fingerprint = ak_hash_combine(*fingerprint, v->hash);
    return AKIN_OK;
}

/* ---- objects to vectors ---- */

/* The part of the object that is or names a vector. */
static akin_status find_part(const vectors *v, akin_object object, akin_arena *arena,
                             akin_object *part, akin_error *error)
{
    *part = object;
    if (!object.size)
        part->data = "";
    if (!v->field)
        return AKIN_OK;
    const char *fields[] = {v->field};
    ak_value found;
    AK_TRY(ak_json_fields(object.data, object.size, fields, 1, &found, arena, "record", 0, error));
    const char *digits =
        found.kind == AK_INT ? ak_arena_format(arena, "%lld", (long long)found.integer) : NULL;
    if (found.kind == AK_STRING)
        *part = (akin_object){.data = found.string, .size = found.size};
    else if (digits)
        *part = akin_text(digits);
    else
        return found.kind == AK_INT
                   ? ak_fail_memory(error)
                   : ak_fail(
                         error, AKIN_ERR_FORMAT,
                         "record %.*s: the member \"%s\" is %s, expected a list, a row number or "
                         "a name",
                         object.size < 80 ? (int)object.size : 80, (const char *)object.data,
                         v->field,
                         found.kind == AK_NULL ? "missing" : ak_value_kind_name(found.kind));
    return AKIN_OK;
}

static akin_status read_own(const vectors *v, akin_object part, float *out, akin_error *error)
{
    int64_t count;
    int shown = part.size < 60 ? (int)part.size : 60;
    if (!ak_number_list(part.data, part.size, out, v->dim, &count))
        return ak_fail(error, AKIN_ERR_FORMAT, "\"%.*s\" is not a list of finite numbers", shown,
                       (const char *)part.data);
    if (count != v->dim)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "\"%.*s\" is a vector of %lld numbers, expected %lld", shown,
                       (const char *)part.data, (long long)count, (long long)v->dim);
    return AKIN_OK;
}

static akin_status read_vector(const vectors *v, akin_object object, akin_arena *arena, float *out,
                               akin_error *error)
{
    akin_object part;
    AK_TRY(find_part(v, object, arena, &part, error));
    const char *text = part.data;
    size_t first = 0;
    while (first < part.size && (text[first] == ' ' || text[first] == '\t'))
        first++;
    if (first < part.size && text[first] == '[')
        return read_own(v, part, out, error);
    if (first < part.size && text[first] == '{' && !v->field)
        return ak_fail(error, AKIN_ERR_FORMAT,
                       "the object %.*s is a record: \"field\" says which member is the vector",
                       part.size < 60 ? (int)part.size : 60, text);
    if (v->file)
        return ak_vector_file_read(v->file, part, out, error);
    if (v->path)
        return ak_fail(error, v->why.status, "the vectors this object names cannot be read: %s",
                       v->why.message);
    return ak_fail(error, AKIN_ERR_FORMAT,
                   "\"%.*s\" is no list of numbers, and the encoder has no file (\"path\")",
                   part.size < 60 ? (int)part.size : 60, text);
}

/* Objects with equal vectors are equal, whatever their names are. */
static akin_status vectors_key(const void *self, akin_object object, akin_hash *key,
                               akin_error *error)
{
    const vectors *v = self;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    float *row = ak_arena_new(arena, float, v->dim);
    akin_status status = row ? read_vector(v, object, arena, row, error) : ak_fail_memory(error);
    if (!status)
        *key = ak_hash_bytes(row, (size_t)v->dim * sizeof *row);
    ak_arena_free(arena);
    return status;
}

static akin_status vectors_collate(const void *self, const akin_object *objects, int64_t count,
                                   akin_arena *arena, void **batch, akin_error *error)
{
    const vectors *v = self;
    akin_matrix *rows = ak_arena_new(arena, akin_matrix, 1);
    if (!rows)
        return ak_fail_memory(error);
    *rows = ak_matrix_new(arena, count, v->dim);
    if (!rows->data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++)
        AK_TRY(read_vector(v, objects[i], arena, rows->data + i * rows->stride, error));
    *batch = rows;
    return AKIN_OK;
}

static akin_status vectors_forward(const void *self, const akin_pass *pass, const void *batch,
                                   akin_matrix y, void **record, akin_error *error)
{
    (void)self, (void)pass, (void)error;
    *record = NULL;
    ak_matrix_copy(*(const akin_matrix *)batch, y);
    return AKIN_OK;
}

const akin_encoder_class ak_encoder_vectors = {
    .size = sizeof(akin_encoder_class),
    .name = "vectors",
    .summary = "vectors made elsewhere: from a file, or what the objects are",
    .options = options,
    .options_size = sizeof(vectors_options),
    .create = vectors_create,
    .load = vectors_load,
    .save = vectors_save,
    .free = vectors_free,
    .dim = vectors_dim,
    .key = vectors_key,
    .fingerprint = vectors_fingerprint,
    .collate = vectors_collate,
    .forward = vectors_forward,
};
