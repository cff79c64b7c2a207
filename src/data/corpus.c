/* Corpora: objects without labels, from the files that data sets are read from, and from plain text
   (an object a line, blank lines too). */
#include "data/source.h"

#include <stdlib.h>
#include <string.h>

struct akin_corpus {
    ak_source *source;
    int fields; /* joined by a space; 0: the whole record */
    bool has_id;
};

/* ---- .txt: a line is a text ---- */

static akin_status line_fields(ak_source *source, int64_t index, akin_arena *arena, ak_value *found,
                               akin_error *error)
{
    (void)source, (void)index, (void)arena, (void)error;
    memset(found, 0, AK_FIELDS * sizeof *found);
    return AKIN_OK;
}

static akin_status line_missing(ak_source *source, int64_t index, int field, akin_arena *arena,
                                akin_error *error)
{
    (void)arena;
    return ak_fail_at(error, AKIN_ERR_ARGUMENT, source->path, ak_source_line(source, index),
                      "a line of text has no member \"%s\"", source->name[field]);
}

static const ak_reader text_lines = {.suffix = ".txt",
                                     .keeps_blank = true,
                                     .record_end = ak_line_end,
                                     .fields = line_fields,
                                     .whole = ak_source_read,
                                     .missing = line_missing};

/* ---- opening ---- */

#define ID (AK_FIELDS - 1) /* the last field is the id, those before it are the object */

bool ak_corpus_is_lines(const char *path)
{
    return strcmp(path, "-") == 0 || ak_path_has_suffix(path, ".txt") ||
           ak_path_has_suffix(path, ".txt.gz");
}

bool ak_corpus_is_known(const char *path)
{
    return ak_source_format(path) || ak_corpus_is_lines(path);
}

akin_status ak_corpus_open(akin_corpus **out, const char *path, const char *const *fields,
                           const char *id, const char *cache_folder, akin_error *error)
{
    const char *names[AK_FIELDS] = {NULL};
    const ak_reader *format = ak_corpus_is_lines(path) ? &text_lines : NULL;
    *out = NULL;
    akin_corpus *corpus = ak_calloc(1, sizeof *corpus);
    if (!corpus)
        return ak_fail_memory(error);
    for (; fields && fields[corpus->fields] && corpus->fields < ID; corpus->fields++)
        names[corpus->fields] = fields[corpus->fields];
    names[ID] = id;
    corpus->has_id = id != NULL;
    akin_status status = ak_source_open(&corpus->source, strcmp(path, "-") ? path : "/dev/stdin",
                                        format, names, cache_folder, error);
    if (status) {
        akin_corpus_free(corpus);
        return status;
    }
    *out = corpus;
    return AKIN_OK;
}

void akin_corpus_free(akin_corpus *corpus)
{
    if (!corpus)
        return;
    ak_source_free(corpus->source);
    ak_free(corpus);
}

int64_t akin_corpus_count(const akin_corpus *corpus)
{
    return corpus->source->count;
}

int64_t ak_corpus_replaced(const akin_corpus *corpus)
{
    return atomic_load(&corpus->source->replaced);
}

int64_t ak_corpus_line(const akin_corpus *corpus, int64_t index)
{
    return ak_source_line(corpus->source, index);
}

/* ---- objects ---- */

/* Fields that are there, with a space between: title and text of a document. */
static akin_status join(const akin_object *parts, int count, akin_arena *arena, akin_object *object,
                        akin_error *error)
{
    size_t size = 0, used = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].size + 1;
    char *text = ak_arena_new(arena, char, size + 1);
    if (!text)
        return ak_fail_memory(error);
    for (int i = 0; i < count; i++) {
        if (!parts[i].size)
            continue;
        if (used)
            text[used++] = ' ';
        memcpy(text + used, parts[i].data, parts[i].size);
        used += parts[i].size;
    }
    *object = (akin_object){.data = text, .size = used};
    return AKIN_OK;
}

/* The last of several fields must be there, those before it may be absent (a title). */
static akin_status read_parts(const akin_corpus *corpus, int64_t index, akin_arena *arena,
                              akin_object *parts, akin_error *error)
{
    ak_source *source = corpus->source;
    ak_value found[AK_FIELDS] = {0};
    AK_TRY(source->format->fields(source, index, arena, found, error));
    for (int i = 0; i < corpus->fields; i++) {
        bool optional = i < corpus->fields - 1 && found[i].kind == AK_NULL;
        parts[i] = (akin_object){.data = "", .size = 0};
        if (!optional)
            AK_TRY(ak_source_object(source, index, i, &found[i], arena, &parts[i], error));
    }
    return AKIN_OK;
}

akin_status ak_corpus_get(const akin_corpus *corpus, int64_t index, akin_arena *arena,
                          akin_object *object, akin_error *error)
{
    akin_object parts[AK_FIELDS];
    ak_source *source = corpus->source;
    if (index < 0 || index >= source->count)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "object %lld of %lld", (long long)index,
                       (long long)source->count);
    if (!corpus->fields)
        return source->format->whole(source, index, arena, object, error);
    AK_TRY(read_parts(corpus, index, arena, parts, error));
    if (corpus->fields > 1)
        return join(parts, corpus->fields, arena, object, error);
    *object = parts[0];
    return AKIN_OK;
}

akin_status akin_corpus_get(const akin_corpus *corpus, int64_t index, void **memory,
                            akin_object *object, akin_error *error)
{
    akin_arena *arena;
    akin_object read;
    *memory = NULL;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_corpus_get(corpus, index, arena, &read, error);
    if (!status && !(*memory = ak_strndup(read.data, read.size)))
        status = ak_fail_memory(error);
    ak_arena_free(arena);
    *object = (akin_object){.data = *memory, .size = status ? 0 : read.size};
    return status;
}

void akin_memory_free(void *memory)
{
    ak_free(memory);
}

/* ---- names ---- */

struct ak_names {
    akin_arena *arena;
    const char **name; /* by record */
    int64_t *order;    /* records by name */
    int64_t count;
};

static int by_name(const void *a, const void *b, void *names)
{
    const char **name = names;
    return strcmp(name[*(const int64_t *)a], name[*(const int64_t *)b]);
}

static akin_status read_names(ak_names *names, const akin_corpus *corpus, akin_error *error)
{
    ak_source *source = corpus->source;
    AK_TRY(ak_arena_create(&names->arena, error));
    names->name = ak_arena_new(names->arena, const char *, source->count);
    names->order = ak_arena_new(names->arena, int64_t, source->count);
    if (!names->name || !names->order)
        return ak_fail_memory(error);
    for (names->count = 0; names->count < source->count; names->count++) {
        ak_value found[AK_FIELDS] = {0};
        akin_object id;
        AK_TRY(source->format->fields(source, names->count, names->arena, found, error));
        AK_TRY(ak_source_object(source, names->count, ID, &found[ID], names->arena, &id, error));
        names->name[names->count] = ak_arena_copy(names->arena, id.data, id.size);
        names->order[names->count] = names->count;
        if (!names->name[names->count])
            return ak_fail_memory(error);
    }
    qsort_r(names->order, (size_t)names->count, sizeof *names->order, by_name, names->name);
    return AKIN_OK;
}

akin_status ak_corpus_names(ak_names **out, const akin_corpus *corpus, akin_error *error)
{
    *out = ak_calloc(1, sizeof **out);
    if (!*out)
        return ak_fail_memory(error);
    akin_status status = read_names(*out, corpus, error);
    for (int64_t i = 1; !status && i < (*out)->count; i++) {
        int64_t before = (*out)->order[i - 1], here = (*out)->order[i];
        if (strcmp((*out)->name[before], (*out)->name[here]) == 0)
            status = ak_fail_at(error, AKIN_ERR_FORMAT, corpus->source->path,
                                ak_source_line(corpus->source, before > here ? before : here),
                                "the id \"%s\" is there twice", (*out)->name[here]);
    }
    if (status) {
        ak_names_table_free(*out);
        *out = NULL;
    }
    return status;
}

int64_t ak_names_find(const ak_names *names, const char *name)
{
    int64_t low = 0, high = names->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        int order = strcmp(names->name[names->order[middle]], name);
        if (order == 0)
            return names->order[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const char *ak_names_at(const ak_names *names, int64_t number)
{
    return names->name[number];
}

void ak_names_table_free(ak_names *names)
{
    if (!names)
        return;
    ak_arena_free(names->arena);
    ak_free(names);
}
