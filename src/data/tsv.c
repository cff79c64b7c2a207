/* TSV: a header line, then fields cut at tabs; no quoting at all, for texts hold loose quotes (the
   STS benchmark's do). Fields after those that are needed may be absent, and more than the header
   names are ignored, as in the STS benchmark's files. */
#include "data/source.h"

static akin_status split(akin_object record, akin_arena *arena, akin_object **pieces,
                         int64_t *count, akin_error *error)
{
    return ak_columns_cut(record, '\t', arena, pieces, count, error);
}

static akin_status open_header(ak_source *source, akin_error *error)
{
    return ak_columns_open(source, split, error);
}

static akin_status fields(ak_source *source, int64_t index, akin_arena *arena, ak_value *found,
                          akin_error *error)
{
    return ak_columns_fields(source, index, split, false, arena, found, error);
}

static akin_status whole(ak_source *source, int64_t index, akin_arena *arena, akin_object *object,
                         akin_error *error)
{
    return ak_columns_whole(source, index, split, arena, object, error);
}

const ak_reader ak_reader_tsv = {.suffix = ".tsv",
                                 .columns = true,
                                 .record_end = ak_line_end,
                                 .open = open_header,
                                 .fields = fields,
                                 .whole = whole,
                                 .missing = ak_columns_missing};
