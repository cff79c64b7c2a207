/* fastText's training files (Joulin and others, 2016): a line is "__label__NAME" and a text,
   which is a sample of the group NAME. A line with several labels belongs to several groups,
   which a sample of groups cannot. */
#include "data/source.h"

#include <string.h>

#define PREFIX "__label__"
#define PREFIX_SIZE (sizeof PREFIX - 1)

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_label(const char *text, const char *end)
{
    return (size_t)(end - text) > PREFIX_SIZE && !memcmp(text, PREFIX, PREFIX_SIZE) &&
           !is_space(text[PREFIX_SIZE]);
}

static const char *skip_spaces(const char *text, const char *end)
{
    while (text < end && is_space(*text))
        text++;
    return text;
}

/* Lines have no members to choose from. */
static akin_status open_lines(ak_source *source, akin_error *error)
{
    if (source->kind == AKIN_PAIRS)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, source->path, 0,
                          "a .txt file holds groups (__label__NAME and a text a line), not pairs");
    if (strcmp(source->name[AK_OBJECT], "object") || strcmp(source->name[AK_GROUP], "group"))
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, source->path, 0,
                          "the lines of a .txt file have no fields to name");
    return AKIN_OK;
}

static akin_status fields(ak_source *source, int64_t index, akin_arena *arena, ak_value *found,
                          akin_error *error)
{
    akin_object line;
    AK_TRY(ak_source_read(source, index, arena, &line, error));
    const char *end = (const char *)line.data + line.size, *label = skip_spaces(line.data, end);
    if (!is_label(label, end))
        return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, ak_source_line(source, index),
                          "expected a line of __label__NAME and a text");
    label += PREFIX_SIZE;
    const char *label_end = label;
    while (label_end < end && !is_space(*label_end))
        label_end++;
    const char *text = skip_spaces(label_end, end);
    if (is_label(text, end))
        return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, ak_source_line(source, index),
                          "several labels; a sample is of one group");
    found[AK_OBJECT] = (ak_value){.kind = AK_STRING, .string = text, .size = (size_t)(end - text)};
    found[AK_GROUP] =
        (ak_value){.kind = AK_STRING, .string = label, .size = (size_t)(label_end - label)};
    return AKIN_OK;
}

static akin_status missing(ak_source *source, int64_t index, int field, akin_arena *arena,
                           akin_error *error)
{
    (void)arena;
    return ak_fail_at(error, AKIN_ERR_FORMAT, source->path, ak_source_line(source, index),
                      "no \"%s\"", source->name[field]);
}

const ak_reader ak_reader_fasttext = {.suffix = ".txt",
                                      .spaces_are_blank = true,
                                      .record_end = ak_line_end,
                                      .open = open_lines,
                                      .fields = fields,
                                      .whole = ak_source_read,
                                      .missing = missing};
