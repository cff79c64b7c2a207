/* CSV (RFC 4180): a header record, commas, fields in double quotes that may hold commas, line ends
   and doubled quotes. White space belongs to the field; a quote inside an unquoted field is an
   ordinary character. Records are found by a scan that knows quotes, and taken apart by libcsv. */
#include "data/source.h"

#include <csv.h>
#include <string.h>

/* The quote that closes a field whose text starts at `text`; NULL: there is none. */
static const char *closing_quote(const char *text, const char *end)
{
    for (;;) {
        const char *quote = memchr(text, '"', (size_t)(end - text));
        if (!quote || quote + 1 == end || quote[1] != '"')
            return quote;
        text = quote + 2;
    }
}

static bool ends_field(const char *text, const char *end)
{
    if (text < end && *text == ',')
        return true;
    while (text < end && *text == '\r')
        text++;
    return text == end || *text == '\n';
}

static const char *record_end(const char *text, const char *end, const char **problem,
                              const char **where)
{
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    const char *line_end = newline ? newline : end;
    if (!memchr(text, '"', (size_t)(line_end - text)))
        return line_end;
    bool starts = true;
    for (; text < end && *text != '\n'; text++) {
        if (*text == '"' && starts) {
            *where = text;
            text = closing_quote(text + 1, end);
            if (!text) {
                *problem = "a quoted field starts here and never ends";
                return NULL;
            }
            if (!ends_field(text + 1, end)) {
                *where = text;
                *problem = "expected a comma or the end of the line after a closing quote (a "
                           "quote inside a quoted field is written twice)";
                return NULL;
            }
        }
        starts = *text == ',';
    }
    return text;
}

/* ---- libcsv ---- */

typedef struct pieces_maker {
    akin_object *pieces;
    int64_t count;
    char *bytes; /* room for all of them */
} pieces_maker;

static void add_piece(void *data, size_t size, void *user)
{
    pieces_maker *maker = user;
    if (size)
        memcpy(maker->bytes, data, size);
    maker->pieces[maker->count++] = (akin_object){.data = maker->bytes, .size = size};
    maker->bytes += size;
}

static void end_record(int c, void *user)
{
    (void)c;
    (void)user;
}

static int is_space(unsigned char c)
{
    (void)c;
    return 0; /* else libcsv would cut white space off a field's ends */
}

static int is_line_end(unsigned char c)
{
    (void)c;
    return 0; /* the record is known: a line end in it is text */
}

static void *no_memory(void *memory, size_t size)
{
    (void)memory;
    (void)size;
    return NULL;
}

/* libcsv grows its buffer with realloc; here the record bounds every field, so that the arena can
   give it all at once and nothing grows. */
static akin_status split_quoted(akin_object record, akin_arena *arena, pieces_maker *maker,
                                akin_error *error)
{
    struct csv_parser parser;
    unsigned char *buffer = akin_arena_alloc(arena, record.size + 8);
    maker->bytes = akin_arena_alloc(arena, record.size + 8);
    if (!buffer || !maker->bytes || csv_init(&parser, 0))
        return ak_fail_memory(error);
    csv_set_space_func(&parser, is_space);
    csv_set_term_func(&parser, is_line_end);
    csv_set_realloc_func(&parser, no_memory);
    parser.entry_buf = buffer;
    parser.entry_size = record.size + 8;
    if (csv_parse(&parser, record.data, record.size, add_piece, end_record, maker) != record.size ||
        csv_fini(&parser, add_piece, end_record, maker))
        return ak_fail(error, AKIN_ERR_FORMAT, "%s", csv_strerror(csv_error(&parser)));
    return AKIN_OK;
}

static akin_status split(akin_object record, akin_arena *arena, akin_object **pieces,
                         int64_t *count, akin_error *error)
{
    const char *text = record.data;
    AK_TRY(ak_columns_cut(record, ',', arena, pieces, count, error));
    if (!memchr(text, '"', record.size))
        return AKIN_OK;
    /* Quotes can only make fewer pieces than the commas say. */
    pieces_maker maker = {.pieces = *pieces};
    AK_TRY(split_quoted(record, arena, &maker, error));
    *count = maker.count;
    return AKIN_OK;
}

/* ---- the format ---- */

static akin_status open_header(ak_source *source, akin_error *error)
{
    return ak_columns_open(source, split, error);
}

static akin_status fields(ak_source *source, int64_t index, akin_arena *arena, ak_value *found,
                          akin_error *error)
{
    return ak_columns_fields(source, index, split, true, arena, found, error);
}

static akin_status whole(ak_source *source, int64_t index, akin_arena *arena, akin_object *object,
                         akin_error *error)
{
    return ak_columns_whole(source, index, split, arena, object, error);
}

const ak_reader ak_reader_csv = {.suffix = ".csv",
                                 .columns = true,
                                 .record_end = record_end,
                                 .open = open_header,
                                 .fields = fields,
                                 .whole = whole,
                                 .missing = ak_columns_missing};
