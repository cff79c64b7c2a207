/* JSONL: one JSON object a line (jsonlines.org). Lines of white space hold no record. */
#include "data/source.h"

#include <string.h>

static akin_status fields(ak_source *source, int64_t index, akin_arena *arena, ak_value *found,
                          akin_error *error)
{
    akin_object record;
    AK_TRY(ak_source_read(source, index, arena, &record, error));
    akin_status status = ak_json_fields(record.data, record.size, source->name, AK_FIELDS, found,
                                        arena, source->path, 0, NULL);
    if (!status)
        return AKIN_OK;
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    /* Counting lines is slow: only now, for the message. */
    return ak_json_fields(record.data, record.size, source->name, AK_FIELDS, found, arena,
                          source->path, ak_source_line(source, index), error);
}

static akin_status whole(ak_source *source, int64_t index, akin_arena *arena, akin_object *object,
                         akin_error *error)
{
    return ak_source_read(source, index, arena, object, error);
}

/* "a", "question", "answer" */
static void list_members(const ak_value *record, ak_text *text)
{
    for (const ak_value *m = record->first; m; m = m->next)
        ak_text_printf(text, "%s\"%s\"", text->size ? ", " : "", m->key);
}

static const char **member_names(const ak_value *record, akin_arena *arena)
{
    const char **names = ak_arena_new(arena, const char *, record->count + 1);
    int64_t n = 0;
    if (!names)
        return NULL;
    for (const ak_value *m = record->first; m; m = m->next)
        names[n++] = m->key;
    names[n] = NULL;
    return names;
}

static akin_status missing(ak_source *source, int64_t index, int field, akin_arena *arena,
                           akin_error *error)
{
    akin_object line;
    ak_value *record;
    ak_text members = {0};
    int64_t number = ak_source_line(source, index);
    const char *name = source->name[field];
    AK_TRY(ak_source_read(source, index, arena, &line, error));
    AK_TRY(ak_json_parse(&record, arena, line.data, line.size, source->path, error));
    if (ak_value_get(record, name))
        return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, number,
                          "\"%s\" is null, expected a value", name);
    const char **names = member_names(record, arena);
    const char *near = names ? ak_nearest_name(name, names) : NULL;
    list_members(record, &members);
    akin_status status;
    if (members.failed || !names)
        status = ak_fail_memory(error);
    else
        status = ak_fail_at(error, AKIN_ERR_FORMAT, source->path, number,
                            "no member \"%s\"%s%s%s; the record has %s%s", name,
                            near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "",
                            members.data ? members.data : "none", ak_source_advice(source, names));
    ak_free(members.data);
    return status;
}

const ak_reader ak_reader_jsonl = {.suffix = ".jsonl",
                                   .spaces_are_blank = true,
                                   .record_end = ak_line_end,
                                   .fields = fields,
                                   .whole = whole,
                                   .missing = missing};
