/* A data file as a stream: JSONL, CSV or TSV (.gz too) from a file, a pipe or standard input. A
   window of it is in memory, never the whole, and nothing is known of a record before it is
   reached. */
#include "data/source.h"
#include "data/stream.h"

#include <string.h>

#define WINDOW (256 * 1024)

typedef struct file_stream {
    ak_source *source; /* its map is the record that is being parsed */
    ak_input *input;
    char *window;
    size_t start, end, capacity; /* bytes start .. end - 1 of the window are not yet parsed */
    bool all;                    /* the window holds the input's last byte */
    int64_t line;                /* of window + start */
    int64_t record_line;         /* of the record that was given last */
    int64_t replaced;            /* as in akin_stream, of the passes before this one */
} file_stream;

static void stream_free(void *self)
{
    file_stream *s = self;
    if (!s)
        return;
    if (s->source)
        s->source->map = (ak_map){0};
    ak_source_free(s->source);
    ak_input_close(s->input);
    ak_free(s->window);
    ak_free(s);
}

/* More bytes behind those that are there; a record larger than the window makes it grow. */
static akin_status fill(file_stream *s, akin_error *error)
{
    size_t got, left = s->end - s->start;
    memmove(s->window, s->window + s->start, left);
    s->start = 0;
    s->end = left;
    if (s->end == s->capacity) {
        char *larger = ak_resize(s->window, s->capacity, 2 * s->capacity);
        if (!larger)
            return ak_fail_memory(error);
        s->window = larger;
        s->capacity *= 2;
    }
    AK_TRY(ak_input_read(s->input, s->window + s->end, s->capacity - s->end, &got, error));
    s->end += got;
    s->all = got == 0;
    return AKIN_OK;
}

static int64_t count_lines(const char *text, const char *end)
{
    int64_t lines = 0;
    for (; text < end && (text = memchr(text, '\n', (size_t)(end - text))); text++)
        lines++;
    return lines;
}

/* The next record as [text, *stop); NULL text: there is none. It stays in the window. */
static akin_status find_record(file_stream *s, const char **text, const char **stop,
                               akin_error *error)
{
    const char *problem, *where;
    for (;;) {
        *text = s->window + s->start;
        const char *end = s->window + s->end;
        problem = "", where = *text;
        *stop =
            s->start < s->end ? s->source->format->record_end(*text, end, &problem, &where) : end;
        if ((!*stop || *stop == end) && !s->all) {
            AK_TRY(fill(s, error));
            continue;
        }
        if (!*stop)
            return ak_fail_at(error, AKIN_ERR_FORMAT, s->source->path,
                              s->line + count_lines(*text, where), "%s", problem);
        if (s->start == s->end)
            *text = NULL;
        return AKIN_OK;
    }
}

static void pass_record(file_stream *s, const char *text, const char *stop)
{
    const char *end = s->window + s->end, *after = stop < end ? stop + 1 : end;
    s->line += count_lines(text, after);
    s->start = (size_t)(after - s->window);
}

/* The source's one record, and header. */
static void show_record(file_stream *s, const char *text, const char *stop)
{
    s->source->map = (ak_map){text, (size_t)(stop - text)};
    s->source->first_line = s->line;
    atomic_store(&s->source->counted[0], 0);
}

static akin_status find_sample(file_stream *s, const char **text, const char **stop,
                               akin_error *error)
{
    for (;;) {
        AK_TRY(find_record(s, text, stop, error));
        if (!*text || !ak_source_blank(s->source->format, *text, *stop))
            return AKIN_OK;
        pass_record(s, *text, *stop);
    }
}

static akin_status stream_next(void *self, akin_arena *arena, akin_sample *sample, bool *end,
                               akin_error *error)
{
    file_stream *s = self;
    const char *text, *stop;
    AK_TRY(find_sample(s, &text, &stop, error));
    *end = !text;
    if (*end)
        return AKIN_OK;
    show_record(s, text, stop);
    s->record_line = s->line;
    AK_TRY(ak_source_sample(s->source, 0, arena, sample, error));
    pass_record(s, text, stop);
    return AKIN_OK;
}

/* The byte order mark and the header. `open`: the header is read, not only passed. */
static akin_status begin(file_stream *s, bool open, akin_error *error)
{
    const char *text, *stop;
    s->line = 1;
    while (s->end - s->start < 3 && !s->all)
        AK_TRY(fill(s, error));
    if (s->end - s->start >= 3 && !memcmp(s->window + s->start, "\xef\xbb\xbf", 3))
        s->start += 3;
    const ak_reader *format = s->source->format;
    if (!format->columns)
        return open && format->open ? format->open(s->source, error) : AKIN_OK;
    if (!s->source->header && !open)
        return AKIN_OK;
    AK_TRY(find_sample(s, &text, &stop, error));
    if (!text)
        return ak_fail_at(error, AKIN_ERR_FORMAT, s->source->path, 0, "holds no samples");
    show_record(s, text, stop);
    if (open)
        AK_TRY(format->open(s->source, error));
    if (s->source->header)
        pass_record(s, text, stop);
    return AKIN_OK;
}

static int64_t stream_replaced(const void *self)
{
    const file_stream *s = self;
    int64_t now = atomic_load(&s->source->replaced);
    return now > s->replaced ? now : s->replaced;
}

static akin_status stream_rewind(void *self, int64_t pass, akin_error *error)
{
    file_stream *s = self;
    (void)pass;
    s->replaced = stream_replaced(s);
    atomic_store(&s->source->replaced, 0);
    AK_TRY(ak_input_rewind(s->input, error));
    s->start = s->end = 0;
    s->all = false;
    return begin(s, false, error);
}

static void stream_place(const void *self, const char **file, int64_t *line)
{
    const file_stream *s = self;
    *file = s->source->path;
    *line = s->record_line;
}

/* ---- opening ---- */

/* What names no format is JSONL: standard input and devices. */
static akin_status open_source(file_stream *s, const char *path, akin_sample_kind kind,
                               const akin_fields *fields, akin_error *error)
{
    bool unnamed = strcmp(path, "-") == 0 || strncmp(path, "/dev/", 5) == 0;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    const ak_reader *format = unnamed ? &ak_reader_jsonl : NULL;
    AK_TRY(ak_source_begin(&s->source, name, format, kind, fields, NULL, error));
    s->source->offset = ak_calloc(2, sizeof *s->source->offset);
    s->source->counted = ak_calloc(1, sizeof *s->source->counted);
    s->window = ak_alloc(WINDOW);
    s->capacity = WINDOW;
    return s->source->offset && s->source->counted && s->window ? AKIN_OK : ak_fail_memory(error);
}

/* A wrong field or format shows before anything is computed. */
static akin_status try_first(file_stream *s, akin_error *error)
{
    const char *text, *stop;
    akin_sample sample = {0};
    akin_arena *arena;
    AK_TRY(find_sample(s, &text, &stop, error));
    if (!text)
        return ak_fail_at(error, AKIN_ERR_FORMAT, s->source->path, 0, "holds no samples");
    AK_TRY(ak_arena_create(&arena, error));
    show_record(s, text, stop);
    akin_status status = ak_source_sample(s->source, 0, arena, &sample, error);
    atomic_store(&s->source->replaced, 0); /* the first pass will count it */
    ak_arena_free(arena);
    return status;
}

static akin_status open_all(file_stream *s, const char *path, akin_sample_kind kind,
                            const akin_fields *fields, akin_error *error)
{
    AK_TRY(open_source(s, path, kind, fields, error));
    AK_TRY(ak_input_open(&s->input, path, error));
    AK_TRY(begin(s, true, error));
    return try_first(s, error);
}

akin_status akin_stream_open(akin_stream **out, const char *path, akin_sample_kind kind,
                             const akin_fields *fields, akin_error *error)
{
    *out = NULL;
    if (!path)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the path of a stream is NULL");
    file_stream *s = ak_calloc(1, sizeof *s);
    if (!s)
        return ak_fail_memory(error);
    akin_status status = open_all(s, path, kind, fields, error);
    if (!status) {
        akin_stream_class type = {.size = sizeof type,
                                  .name = s->source->path,
                                  .kind = kind,
                                  .rewind = ak_input_is_file(s->input) ? stream_rewind : NULL,
                                  .next = stream_next,
                                  .free = stream_free};
        status = ak_stream_new(out, &type, s, error);
    }
    if (status)
        stream_free(s);
    if (!status) {
        (*out)->place = stream_place;
        (*out)->replaced = stream_replaced;
    }
    return status;
}
