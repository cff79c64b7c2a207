/* Data sets over files. A file is mapped; one pass notes where its records start (8 bytes each),
   and a sample is parsed when it is asked for, by any thread. Nothing else is kept. A file must not
   be shortened while it is open. */
#include "data/source.h"

#include "data/dataset.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const ak_reader *const formats[] = {&ak_reader_jsonl, &ak_reader_csv, &ak_reader_tsv,
                                           &ak_reader_fasttext};
#define FORMATS (int)(sizeof formats / sizeof *formats)

/* ---- records ---- */

static akin_object raw_record(const ak_source *source, int64_t index)
{
    const char *problem, *where, *end = source->map.data + source->map.size;
    const char *text = source->map.data + source->offset[index + source->header];
    const char *stop = source->format->record_end(text, end, &problem, &where);
    while (stop > text && stop[-1] == '\r')
        stop--;
    return (akin_object){.data = text, .size = (size_t)(stop - text)};
}

static int64_t line_of(const ak_source *source, const char *where)
{
    int64_t line = source->first_line;
    const char *text = source->map.data, *newline;
    while (text < where && (newline = memchr(text, '\n', (size_t)(where - text)))) {
        line++;
        text = newline + 1;
    }
    return line;
}

int64_t ak_source_line(const ak_source *source, int64_t index)
{
    return line_of(source, source->map.data + source->offset[index + source->header]);
}

static void count_replaced(ak_source *source, int64_t index, int64_t replaced)
{
    unsigned char bit = (unsigned char)(1u << (index & 7));
    if (index < 0 || atomic_fetch_or(&source->counted[index >> 3], bit) & bit)
        return;
    atomic_fetch_add(&source->replaced, replaced);
}

akin_status ak_source_read(ak_source *source, int64_t index, akin_arena *arena, akin_object *record,
                           akin_error *error)
{
    akin_object raw = raw_record(source, index);
    size_t size = raw.size;
    int64_t replaced = 0;
    const char *valid = ak_utf8_repair(raw.data, raw.size, &size, &replaced, arena);
    if (!valid)
        return ak_fail_memory(error);
    *record = (akin_object){.data = valid, .size = size};
    if (replaced)
        count_replaced(source, index, replaced);
    return AKIN_OK;
}

const char *ak_line_end(const char *text, const char *end, const char **problem, const char **where)
{
    (void)problem;
    (void)where;
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    return newline ? newline : end;
}

bool ak_source_blank(const ak_reader *format, const char *text, const char *end)
{
    bool spaces = format->spaces_are_blank;
    while (text < end && (*text == '\r' || (spaces && (*text == ' ' || *text == '\t'))))
        text++;
    return text == end && !format->keeps_blank;
}

static akin_status find_records(ak_source *source, akin_error *error)
{
    const char *text = source->map.data, *end = text + source->map.size;
    int64_t count = 0;
    if (source->map.size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        text += 3;
    while (text < end) {
        const char *problem = "", *where = text;
        const char *stop = source->format->record_end(text, end, &problem, &where);
        if (!stop)
            return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, line_of(source, where), "%s",
                              problem);
        if (!ak_source_blank(source->format, text, stop)) {
            AK_TRY(
                ak_grow(&source->offset, count, &source->capacity, sizeof *source->offset, error));
            source->offset[count++] = text - source->map.data;
        }
        text = stop + 1;
    }
    source->count = count - source->header;
    if (source->count <= 0)
        return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, 0, "holds no samples%s",
                          source->header && count ? ", only a header" : "");
    size_t size = (size_t)count * sizeof *source->offset; /* give back what doubling took */
    int64_t *fitting = ak_resize(source->offset, size, size);
    if (!fitting)
        return ak_fail_memory(error);
    source->offset = fitting;
    source->capacity = count;
    return AKIN_OK;
}

static bool has_name(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

const char *ak_source_advice(const ak_source *source, const char *const *names)
{
    if (source->plain)
        return ": \"field\" names the one that holds the text";
    if (source->kind == AKIN_PAIRS && has_name(names, "group"))
        return ": are these groups (samples: groups)?";
    if (source->kind == AKIN_GROUPS && has_name(names, "a") && has_name(names, "b"))
        return ": are these pairs (samples: pairs)?";
    return "";
}

/* ---- values to samples ---- */

static akin_status no_value(ak_source *source, int64_t index, int field, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = source->format->missing(source, index, field, arena, error);
    ak_arena_free(arena);
    return status;
}

akin_status ak_source_object(ak_source *source, int64_t index, int field, const ak_value *value,
                             akin_arena *arena, akin_object *object, akin_error *error)
{
    char digits[32];
    const char *text = NULL;
    switch (value->kind) {
    case AK_NULL:
        return no_value(source, index, field, error);
    case AK_STRING:
        *object = (akin_object){.data = value->string, .size = value->size};
        return AKIN_OK;
    case AK_BOOL:
        text = value->boolean ? "true" : "false";
        break;
    case AK_INT:
        text = ak_arena_format(arena, "%lld", (long long)value->integer);
        break;
    default:
        ak_double_to_text(value->number, digits);
        text = ak_arena_copy(arena, digits, strlen(digits));
    }
    if (!text)
        return ak_fail_memory(error);
    *object = (akin_object){.data = text, .size = strlen(text)};
    return AKIN_OK;
}

static akin_status bad_score(ak_source *source, int64_t index, const char *text, size_t size,
                             akin_error *error)
{
    int shown = size < 40 ? (int)size : 40;
    return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, ak_source_line(source, index),
                      "\"%s\" is \"%.*s\", expected a finite number", source->name[AK_SCORE], shown,
                      text);
}

static akin_status to_score(ak_source *source, int64_t index, const ak_value *value, float *score,
                            akin_error *error)
{
    char text[64] = "";
    double number = 0;
    bool empty = value->kind == AK_STRING && value->size == 0 && source->format->columns;
    if (value->kind == AK_NULL || empty) {
        *score = 1;
        return source->required[AK_SCORE] ? no_value(source, index, AK_SCORE, error) : AKIN_OK;
    }
    if (value->kind == AK_STRING) {
        /* In CSV and TSV everything is text; in JSON a text is no number. */
        bool fits = source->format->columns && value->size < sizeof text;
        memcpy(text, value->string, fits ? value->size : 0);
        if (!fits || strlen(text) != value->size || !ak_text_to_double(text, &number) ||
            !isfinite((float)number))
            return bad_score(source, index, value->string, value->size, error);
    } else {
        number = value->kind == AK_BOOL ? value->boolean : value->number;
        ak_double_to_text(number, text);
        if (!isfinite((float)number))
            return bad_score(source, index, text, strlen(text), error);
    }
    *score = (float)number;
    return AKIN_OK;
}

static bool empty_label(const ak_value *value)
{
    return value->kind == AK_NULL || (value->kind == AK_STRING && value->size == 0);
}

static akin_status to_pair(ak_source *source, int64_t index, const ak_value *found,
                           akin_arena *arena, akin_pair *pair, akin_error *error)
{
    AK_TRY(ak_source_object(source, index, AK_A, &found[AK_A], arena, &pair->a, error));
    AK_TRY(ak_source_object(source, index, AK_B, &found[AK_B], arena, &pair->b, error));
    AK_TRY(to_score(source, index, &found[AK_SCORE], &pair->score, error));
    const ak_value *subgroup = &found[AK_SUBGROUP];
    if (source->required[AK_SUBGROUP] && subgroup->kind == AK_NULL)
        return no_value(source, index, AK_SUBGROUP, error);
    pair->subgroup = empty_label(subgroup) ? 0 : ak_label(subgroup);
    return AKIN_OK;
}

static akin_status to_group(ak_source *source, int64_t index, const ak_value *found,
                            akin_arena *arena, akin_group *group, akin_error *error)
{
    if (found[AK_OBJECT].kind == AK_NULL && !source->required[AK_OBJECT])
        AK_TRY(source->format->whole(source, index, arena, &group->object, error));
    else
        AK_TRY(ak_source_object(source, index, AK_OBJECT, &found[AK_OBJECT], arena, &group->object,
                                error));
    if (found[AK_GROUP].kind == AK_NULL)
        return no_value(source, index, AK_GROUP, error);
    if (empty_label(&found[AK_GROUP]))
        return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, ak_source_line(source, index),
                          "\"%s\" is empty, expected a label", source->name[AK_GROUP]);
    group->group = ak_label(&found[AK_GROUP]);
    return AKIN_OK;
}

/* ---- the data set's class ---- */

static akin_status source_count(void *self, int64_t *count, akin_error *error)
{
    (void)error;
    *count = ((ak_source *)self)->count;
    return AKIN_OK;
}

akin_status ak_source_sample(ak_source *source, int64_t index, akin_arena *arena,
                             akin_sample *sample, akin_error *error)
{
    ak_value found[AK_FIELDS] = {0};
    AK_TRY(source->format->fields(source, index, arena, found, error));
    if (source->kind == AKIN_PAIRS)
        return to_pair(source, index, found, arena, &sample->pair, error);
    return to_group(source, index, found, arena, &sample->group, error);
}

static akin_status source_label(void *self, int64_t index, akin_arena *arena, ak_value *label,
                                akin_error *error)
{
    ak_source *source = self;
    ak_value found[AK_FIELDS] = {0};
    AK_TRY(source->format->fields(source, index, arena, found, error));
    *label = found[AK_GROUP];
    return AKIN_OK;
}

static akin_status source_get(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                              akin_error *error)
{
    return ak_source_sample(self, index, arena, sample, error);
}

static void source_free(void *self)
{
    ak_source *source = self;
    if (!source)
        return;
    if (source->map.data)
        ak_map_close(&source->map);
    pthread_mutex_destroy(&source->mutex);
    ak_arena_free(source->arena);
    ak_free(source->offset);
    ak_free(source->counted);
    ak_free(source->cache_folder);
    ak_free(source);
}

/* A file that was replaced since it was opened has another content than what is mapped. */
static bool hash_source(ak_source *source)
{
    int64_t size, mtime;
    return !ak_file_hash(&source->hash, source->path, source->cache_folder, NULL) &&
           !ak_file_change(source->path, &size, &mtime, NULL) && size == source->file_size &&
           mtime == source->file_mtime;
}

static bool source_fingerprint(const void *self, ak_hash *fingerprint)
{
    ak_source *source = (ak_source *)self; /* the hash is kept: a memory, not a change */
    pthread_mutex_lock(&source->mutex);
    if (!source->hashed)
        source->hashed = hash_source(source);
    bool known = source->hashed;
    ak_hash hash = source->hash;
    pthread_mutex_unlock(&source->mutex);
    hash = ak_hash_combine(hash, ak_hash_text(source->format->suffix));
    hash = ak_hash_combine(hash, ak_hash_text(source->kind == AKIN_PAIRS ? "pairs" : "groups"));
    hash = ak_hash_combine(hash, ak_hash_text(source->header ? "header" : ""));
    for (int i = 0; i < AK_FIELDS; i++) {
        hash = ak_hash_combine(hash, ak_hash_text(source->name[i] ? source->name[i] : ""));
        hash = ak_hash_combine(hash, ak_hash_text(source->required[i] ? "required" : ""));
    }
    *fingerprint = hash;
    return known;
}

static int64_t source_replaced(const void *self)
{
    return atomic_load(&((ak_source *)self)->replaced);
}

static void source_place(const void *self, int64_t index, const char **file, int64_t *line)
{
    const ak_source *source = self;
    *file = source->path;
    *line = ak_source_line(source, index);
}

/* ---- opening ---- */

const ak_reader *ak_source_format(const char *path)
{
    const char *base = ak_path_base(path);
    size_t length = strlen(base);
    if (ak_path_has_suffix(base, ".gz"))
        length -= 3;
    for (int i = 0; i < FORMATS; i++) {
        size_t n = strlen(formats[i]->suffix);
        if (length >= n && !memcmp(base + length - n, formats[i]->suffix, n))
            return formats[i];
    }
    return NULL;
}

static akin_status choose_format(const ak_reader **out, const char *path, akin_error *error)
{
    *out = ak_source_format(path);
    if (*out)
        return AKIN_OK;
    if (ak_path_what(path) == AK_PATH_FOLDER)
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, path, 0, "is a folder, expected a file");
    return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, path, 0,
                      "the name must end in .jsonl, .csv, .tsv or .txt (or one of them and .gz) to "
                      "tell the format");
}

static akin_status set_name(ak_source *source, int field, const char *given, const char *otherwise,
                            bool required, akin_error *error)
{
    const char *name = given ? given : otherwise;
    source->name[field] = ak_arena_copy(source->arena, name, strlen(name));
    source->required[field] = given || required;
    return source->name[field] ? AKIN_OK : ak_fail_memory(error);
}

/* Without a header columns are named by their numbers, from 1; which is which must be said but for
   the two objects of a pair. */
static akin_status set_numbers(ak_source *source, const akin_fields *f, akin_error *error)
{
    bool pairs = source->kind == AKIN_PAIRS;
    if (!source->format->columns)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, source->path, 0,
                          "\"no_header\" is for .csv and .tsv files");
    if (!pairs && (!f->object || !f->group))
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, source->path, 0,
                          "without a header \"object\" and \"group\" must be numbers of columns, "
                          "from 1");
    AK_TRY(set_name(source, AK_A, pairs ? f->a : f->object, "1", true, error));
    AK_TRY(set_name(source, AK_B, pairs ? f->b : f->group, "2", true, error));
    if (pairs && f->score)
        AK_TRY(set_name(source, AK_SCORE, f->score, NULL, true, error));
    return pairs && f->subgroup ? set_name(source, AK_SUBGROUP, f->subgroup, NULL, true, error)
                                : AKIN_OK;
}

static akin_status set_names(ak_source *source, const akin_fields *fields, akin_error *error)
{
    const akin_fields none = {0}, *f = fields ? fields : &none;
    source->header = source->format->columns && !f->no_header;
    if (f->no_header)
        return set_numbers(source, f, error);
    if (source->kind == AKIN_PAIRS) {
        AK_TRY(set_name(source, AK_A, f->a, "a", true, error));
        AK_TRY(set_name(source, AK_B, f->b, "b", true, error));
        AK_TRY(set_name(source, AK_SCORE, f->score, "score", false, error));
        return set_name(source, AK_SUBGROUP, f->subgroup, "subgroup", false, error);
    }
    AK_TRY(set_name(source, AK_OBJECT, f->object, "object", false, error));
    return set_name(source, AK_GROUP, f->group, "group", true, error);
}

static akin_status new_source(ak_source **out, const char *path, akin_sample_kind kind,
                              const char *cache_folder, akin_error *error)
{
    ak_source *source = ak_calloc(1, sizeof *source);
    *out = NULL;
    if (!source)
        return ak_fail_memory(error);
    if (pthread_mutex_init(&source->mutex, NULL)) {
        ak_free(source);
        return ak_fail_memory(error);
    }
    source->kind = kind;
    source->first_line = 1;
    akin_status status = ak_arena_create(&source->arena, error);
    if (!status) {
        source->path = ak_arena_copy(source->arena, path, strlen(path));
        source->cache_folder = cache_folder ? ak_strdup(cache_folder) : NULL;
        if (!source->path || (cache_folder && !source->cache_folder))
            status = ak_fail_memory(error);
    }
    if (status)
        source_free(source);
    else
        *out = source;
    return status;
}

/* The first record is read at once: a wrong field or format shows before anything is computed. */
static akin_status try_first(ak_source *source, akin_error *error)
{
    akin_sample sample = {0};
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_source_sample(source, 0, arena, &sample, error);
    ak_arena_free(arena);
    return status;
}

/* Maps the file and finds its records; `format` and names are set. */
static akin_status map_source(ak_source *source, akin_error *error)
{
    AK_TRY(ak_file_change(source->path, &source->file_size, &source->file_mtime, error));
    AK_TRY(ak_unpack_open(&source->map, source->path, source->cache_folder, error));
    AK_TRY(find_records(source, error));
    source->counted = ak_calloc((size_t)source->count / 8 + 1, sizeof *source->counted);
    if (!source->counted)
        return ak_fail_memory(error);
    return source->format->open ? source->format->open(source, error) : AKIN_OK;
}

akin_status ak_source_begin(ak_source **out, const char *path, const ak_reader *format,
                            akin_sample_kind kind, const akin_fields *fields,
                            const char *cache_folder, akin_error *error)
{
    *out = NULL;
    if (!path)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the path of a data set is NULL");
    if (kind != AKIN_PAIRS && kind != AKIN_GROUPS)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a data set's kind must be AKIN_PAIRS or AKIN_GROUPS");
    AK_TRY(new_source(out, path, kind, cache_folder, error));
    (*out)->format = format;
    akin_status status = format ? AKIN_OK : choose_format(&(*out)->format, path, error);
    if (!status)
        status = set_names(*out, fields, error);
    if (status) {
        source_free(*out);
        *out = NULL;
    }
    return status;
}

static akin_status fill_plain(ak_source *source, const ak_reader *format,
                              const char *const names[AK_FIELDS], akin_error *error)
{
    source->plain = true;
    source->format = format;
    if (!format)
        AK_TRY(choose_format(&source->format, source->path, error));
    source->header = source->format->columns;
    for (int i = 0; i < AK_FIELDS; i++)
        if (names[i])
            AK_TRY(set_name(source, i, NULL, names[i], false, error));
    return map_source(source, error);
}

akin_status ak_source_open(ak_source **out, const char *path, const ak_reader *format,
                           const char *const names[AK_FIELDS], const char *cache_folder,
                           akin_error *error)
{
    AK_TRY(new_source(out, path, AKIN_GROUPS, cache_folder, error));
    akin_status status = fill_plain(*out, format, names, error);
    if (status) {
        source_free(*out);
        *out = NULL;
    }
    return status;
}

void ak_source_free(ak_source *source)
{
    source_free(source);
}

akin_status ak_dataset_open_file(akin_dataset **out, const char *path, akin_sample_kind kind,
                                 const akin_fields *fields, const char *cache_folder,
                                 akin_error *error)
{
    static const ak_dataset_extra extra = {source_fingerprint, source_replaced, source_place,
                                           source_label, NULL};
    *out = NULL;
    ak_source *source;
    if (path && ak_path_what(path) == AK_PATH_FOLDER)
        return ak_dataset_open_texts(out, path, kind, fields, error);
    if (path && ak_path_is_pipe(path))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: is a pipe, which can be read only once; training data may be one with "
                       "\"data.streaming\"",
                       path);
    AK_TRY(ak_source_begin(&source, path, NULL, kind, fields, cache_folder, error));
    akin_status status = map_source(source, error);
    if (!status)
        status = try_first(source, error);
    if (!status) {
        akin_dataset_class type = {.size = sizeof type,
                                   .name = source->path,
                                   .kind = kind,
                                   .count = source_count,
                                   .get = source_get,
                                   .free = source_free};
        status = ak_dataset_new(out, &type, &extra, source, error);
    }
    if (status)
        source_free(source);
    return status;
}
