/* What CSV and TSV share: a header that names columns, records that are pieces. */
#include "data/source.h"

#include <string.h>

akin_status ak_columns_cut(akin_object record, char separator, akin_arena *arena,
                           akin_object **pieces, int64_t *count, akin_error *error)
{
    const char *text = record.data, *end = text + record.size;
    int64_t n = 1, i = 0;
    for (const char *c = text; c < end; c++)
        n += *c == separator;
    akin_object *all = ak_arena_new(arena, akin_object, n);
    if (!all)
        return ak_fail_memory(error);
    while (i < n - 1) {
        const char *stop = memchr(text, separator, (size_t)(end - text));
        all[i++] = (akin_object){.data = text, .size = (size_t)(stop - text)};
        text = stop + 1;
    }
    all[i] = (akin_object){.data = text, .size = (size_t)(end - text)};
    *pieces = all;
    *count = n;
    return AKIN_OK;
}

/* ---- the header ---- */

static int64_t find_column(const ak_source *source, const char *name)
{
    for (int64_t i = 0; i < source->columns; i++)
        if (!strcmp(source->column[i], name))
            return i;
    return -1;
}

/* The line that tells the columns. */
static int64_t first_line(const ak_source *source)
{
    return ak_source_line(source, source->header ? -1 : 0);
}

static akin_status no_column(ak_source *source, const char *name, akin_error *error)
{
    ak_text columns = {0};
    for (int64_t i = 0; i < source->columns; i++)
        ak_text_printf(&columns, "%s\"%s\"", i ? ", " : "", source->column[i]);
    const char *near = ak_nearest_name(name, source->column);
    akin_status status;
    if (columns.failed)
        status = ak_fail_memory(error);
    else
        status = ak_fail_at(error, AKIN_ERR_FORMAT, source->path, first_line(source),
                            "no column \"%s\"%s%s%s; %s %s%s", name,
                            near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "",
                            source->header ? "the header has" : "the first line has the columns",
                            columns.data, ak_source_advice(source, source->column));
    ak_free(columns.data);
    return status;
}

/* Two columns of one name: which is meant? All must differ where the whole record is the object,
   which would else be JSON with a key twice. */
static akin_status check_twice(ak_source *source, bool all, akin_error *error)
{
    for (int64_t i = 0; i < source->columns; i++) {
        bool used = all;
        for (int f = 0; f < AK_FIELDS && !used; f++)
            used = source->name[f] && !strcmp(source->name[f], source->column[i]);
        if (used && find_column(source, source->column[i]) != i)
            return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, first_line(source),
                              "two columns are named \"%s\"", source->column[i]);
    }
    return AKIN_OK;
}

static akin_status read_header(ak_source *source, ak_split_function *split, akin_error *error)
{
    akin_object header, *pieces;
    AK_TRY(ak_source_read(source, source->header ? -1 : 0, source->arena, &header, error));
    AK_TRY(split(header, source->arena, &pieces, &source->columns, error));
    source->column = ak_arena_new(source->arena, const char *, source->columns + 1);
    if (!source->column)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < source->columns; i++) {
        source->column[i] = source->header
                                ? ak_arena_copy(source->arena, pieces[i].data, pieces[i].size)
                                : ak_arena_format(source->arena, "%lld", (long long)i + 1);
        if (!source->column[i])
            return ak_fail_memory(error);
    }
    source->column[source->columns] = NULL;
    return AKIN_OK;
}

akin_status ak_columns_open(ak_source *source, ak_split_function *split, akin_error *error)
{
    AK_TRY(read_header(source, split, error));
    for (int f = 0; f < AK_FIELDS; f++) {
        source->place[f] = source->name[f] ? find_column(source, source->name[f]) : -1;
        if (source->required[f] && source->place[f] < 0)
            return no_column(source, source->name[f], error);
    }
    bool whole = source->kind == AKIN_GROUPS && source->place[AK_OBJECT] < 0;
    return check_twice(source, whole, error);
}

/* ---- records ---- */

static akin_status wrong_count(ak_source *source, int64_t index, int64_t count, akin_error *error)
{
    return ak_fail_at(
        error, AKIN_ERR_FORMAT, source->path, ak_source_line(source, index),
        "%lld field%s, expected %lld as in the %s%s", (long long)count, count == 1 ? "" : "s",
        (long long)source->columns, source->header ? "header" : "first line",
        count > source->columns ? " (is a field that holds a comma not quoted?)" : "");
}

akin_status ak_columns_fields(ak_source *source, int64_t index, ak_split_function *split,
                              bool strict, akin_arena *arena, ak_value *found, akin_error *error)
{
    akin_object record, *pieces;
    int64_t count;
    AK_TRY(ak_source_read(source, index, arena, &record, error));
    AK_TRY(split(record, arena, &pieces, &count, error));
    if (strict && count != source->columns)
        return wrong_count(source, index, count, error);
    for (int f = 0; f < AK_FIELDS; f++) {
        int64_t place = source->place[f];
        found[f] = (ak_value){.kind = AK_NULL};
        if (place < 0 || place >= count)
            continue;
        found[f] =
            (ak_value){.kind = AK_STRING, .string = pieces[place].data, .size = pieces[place].size};
    }
    return AKIN_OK;
}

akin_status ak_columns_missing(ak_source *source, int64_t index, int field, akin_arena *arena,
                               akin_error *error)
{
    (void)arena;
    if (source->place[field] < 0)
        return no_column(source, source->name[field], error);
    return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, ak_source_line(source, index),
                      "no \"%s\", which is column %lld", source->name[field],
                      (long long)source->place[field] + 1);
}

/* ---- a record as JSON ---- */

static size_t escaped_size(akin_object text)
{
    const unsigned char *c = text.data;
    size_t size = text.size;
    for (size_t i = 0; i < text.size; i++)
        size += c[i] == '"' || c[i] == '\\' ? 1 : c[i] < 0x20 ? 5 : 0;
    return size;
}

static char *put_escaped(char *out, akin_object text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *c = text.data;
    *out++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        if (c[i] == '"' || c[i] == '\\') {
            *out++ = '\\';
            *out++ = (char)c[i];
        } else if (c[i] < 0x20) {
            memcpy(out, "\\u00", 4);
            out[4] = digits[c[i] >> 4];
            out[5] = digits[c[i] & 15];
            out += 6;
        } else {
            *out++ = (char)c[i];
        }
    }
    *out++ = '"';
    return out;
}

akin_status ak_columns_whole(ak_source *source, int64_t index, ak_split_function *split,
                             akin_arena *arena, akin_object *object, akin_error *error)
{
    akin_object record, *pieces;
    int64_t count;
    size_t size = 2;
    AK_TRY(ak_source_read(source, index, arena, &record, error));
    AK_TRY(split(record, arena, &pieces, &count, error));
    if (count > source->columns)
        return wrong_count(source, index, count, error);
    for (int64_t i = 0; i < count; i++) {
        akin_object name = akin_text(source->column[i]);
        size += escaped_size(name) + escaped_size(pieces[i]) + 8;
    }
    char *text = akin_arena_alloc(arena, size), *out = text;
    if (!text)
        return ak_fail_memory(error);
    *out++ = '{';
    for (int64_t i = 0; i < count; i++) {
        if (i)
            out = (char *)memcpy(out, ", ", 2) + 2;
        out = put_escaped(out, akin_text(source->column[i]));
        out = (char *)memcpy(out, ": ", 2) + 2;
        out = put_escaped(out, pieces[i]);
    }
    *out++ = '}';
    *object = (akin_object){.data = text, .size = (size_t)(out - text)};
    return AKIN_OK;
}
