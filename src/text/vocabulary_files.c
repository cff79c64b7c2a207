/* Vocabularies from files. tokenizer.json holds 30,000 members in one object: a general parser
   builds 30,000 nodes for them, which costs more than everything else of a start, so the object is
   read here, straight into the vocabulary. As strict as JSON; numbers are ids, 0 or more. */
#include "text/vocabulary.h"

#include <math.h>
#include <string.h>

typedef struct reader {
    ak_vocabulary *vocabulary;
    const char *text; /* the whole document, for line numbers */
    size_t at, end;
    const char *name;
    akin_error *error;
} reader;

static int64_t line_of(const char *text, size_t at)
{
    int64_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return line;
}

static akin_status fail(const reader *r, const char *expected)
{
    return ak_fail_at(r->error, AKIN_ERR_FORMAT, r->name, line_of(r->text, r->at),
                      "expected %s in \"vocab\"", expected);
}

static akin_status add(reader *r, size_t length, int32_t id)
{
    const ak_vocabulary *v = r->vocabulary;
    const char *token = ak_vocabulary_room(r->vocabulary);
    switch (ak_vocabulary_add(r->vocabulary, length, id)) {
    case AK_VOCABULARY_ADDED:
        return AKIN_OK;
    case AK_VOCABULARY_TWICE:
        return ak_fail_at(r->error, AKIN_ERR_FORMAT, r->name, line_of(r->text, r->at),
                          "token \"%.60s\" is there twice, as id %d and as id %d", token,
                          ak_vocabulary_find(v, token), id);
    case AK_VOCABULARY_ID_TAKEN:
        return ak_fail_at(r->error, AKIN_ERR_FORMAT, r->name, line_of(r->text, r->at),
                          "id %d is given to \"%.60s\" and to \"%.60s\"", id,
                          ak_vocabulary_token(v, id), token);
    default:
        return ak_fail_memory(r->error);
    }
}

static void skip_space(reader *r)
{
    for (; r->at < r->end; r->at++) {
        char c = r->text[r->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return;
    }
}

static bool take(reader *r, char wanted)
{
    skip_space(r);
    if (r->at >= r->end || r->text[r->at] != wanted)
        return false;
    r->at++;
    return true;
}

/* \uXXXX, the four digits; false unless they are digits. */
static bool read_hex(reader *r, uint32_t *out)
{
    if (r->end - r->at < 4)
        return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = r->text[r->at++];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

/* After a backslash; writes what it stands for, returns the bytes, 0 when it is no escape. */
static int read_escape(reader *r, char *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (r->at >= r->end)
        return 0;
    char c = r->text[r->at++];
    const char *known = c ? strchr(names, c) : NULL;
    if (known) {
        *out = values[known - names];
        return 1;
    }
    uint32_t point, low;
    if (c != 'u' || !read_hex(r, &point) || !point || (point >= 0xDC00 && point < 0xE000))
        return 0;
    if (point >= 0xD800 && point < 0xDC00) {
        if (r->end - r->at < 6 || r->text[r->at] != '\\' || r->text[r->at + 1] != 'u')
            return 0;
        r->at += 2;
        if (!read_hex(r, &low) || low < 0xDC00 || low >= 0xE000)
            return 0;
        point = 0x10000 + ((point - 0xD800) << 10 | (low - 0xDC00));
    }
    return ak_utf8_encode(point, out);
}

/* A string into the vocabulary's room, which holds as many bytes as the document does. */
static akin_status read_string(reader *r, size_t *length)
{
    if (!take(r, '"'))
        return fail(r, "a token in double quotes");
    char *out = ak_vocabulary_room(r->vocabulary);
    size_t used = 0;
    for (;;) {
        if (r->at >= r->end || (unsigned char)r->text[r->at] < 0x20)
            return fail(r, "a closing quote");
        unsigned char c = (unsigned char)r->text[r->at];
        int bytes = 1;
        uint32_t point;
        if (c == '"') {
            r->at++;
            break;
        } else if (c == '\\') {
            r->at++;
            bytes = read_escape(r, out + used);
            if (!bytes)
                return fail(r, "an escape of JSON other than \\u0000");
        } else if (c < 0x80) {
            out[used] = (char)c;
            r->at++;
        } else {
            bytes = ak_utf8_decode(r->text + r->at, r->end - r->at, &point);
            if (!bytes)
                return fail(r, "valid UTF-8");
            memcpy(out + used, r->text + r->at, (size_t)bytes);
            r->at += (size_t)bytes;
        }
        used += (size_t)bytes;
    }
    *length = used;
    return AKIN_OK;
}

static akin_status read_id(reader *r, int32_t *id)
{
    skip_space(r);
    size_t start = r->at;
    int64_t number = 0;
    for (; r->at < r->end && r->text[r->at] >= '0' && r->text[r->at] <= '9'; r->at++)
        number = number < AK_ID_LIMIT ? number * 10 + (r->text[r->at] - '0') : number;
    if (r->at == start || (r->text[start] == '0' && r->at - start > 1))
        return fail(r, "an id (a whole number, 0 or more)");
    if (number >= AK_ID_LIMIT)
        return fail(r, "an id below 16777216");
    *id = (int32_t)number;
    return AKIN_OK;
}

/* Every token is a string of the object, so the quotes bound their number. */
static int64_t count_byte(const char *text, size_t begin, size_t end, char byte)
{
    int64_t count = 0;
    for (size_t i = begin; i < end; i++)
        count += text[i] == byte;
    return count;
}

akin_status ak_vocabulary_read_json(ak_vocabulary **out, akin_arena *arena, const char *text,
                                    size_t begin, size_t end, const char *prefix, const char *name,
                                    akin_error *error)
{
    AK_TRY(ak_vocabulary_create(out, arena, count_byte(text, begin, end, '"') / 2, end - begin,
                                prefix, error));
    reader r = {*out, text, begin, end, name, error};
    *out = NULL;
    if (!take(&r, '{'))
        return fail(&r, "{");
    bool more = !take(&r, '}');
    while (more) {
        size_t length = 0;
        int32_t id = 0;
        AK_TRY(read_string(&r, &length));
        if (!take(&r, ':'))
            return fail(&r, "a colon");
        AK_TRY(read_id(&r, &id));
        AK_TRY(add(&r, length, id));
        more = take(&r, ',');
        if (!more && !take(&r, '}'))
            return fail(&r, "a comma or }");
    }
    *out = r.vocabulary;
    return AKIN_OK;
}

/* A number of JSON, as far as its characters go. */
static akin_status read_score(reader *r, double *score)
{
    skip_space(r);
    char number[64];
    size_t length = 0;
    while (length + 1 < sizeof number && r->at < r->end && r->text[r->at] &&
           strchr("+-.0123456789eE", r->text[r->at]))
        number[length++] = r->text[r->at++];
    number[length] = 0;
    if (!length || !ak_text_to_double(number, score) || !isfinite(*score))
        return fail(r, "a score (a finite number)");
    return AKIN_OK;
}

static akin_status read_scored(reader *r, double *scores)
{
    if (!take(r, '['))
        return fail(r, "[");
    bool more = !take(r, ']');
    for (int32_t id = 0; more; id++) {
        size_t length = 0;
        if (!take(r, '['))
            return fail(r, "a list of a token and its score");
        AK_TRY(read_string(r, &length));
        AK_TRY(add(r, length, id));
        if (!take(r, ','))
            return fail(r, "a comma");
        AK_TRY(read_score(r, &scores[id]));
        if (!take(r, ']'))
            return fail(r, "]");
        more = take(r, ',');
        if (!more && !take(r, ']'))
            return fail(r, "a comma or ]");
    }
    return AKIN_OK;
}

akin_status ak_vocabulary_read_scored(ak_vocabulary **out, double **scores, akin_arena *arena,
                                      const char *text, size_t begin, size_t end, const char *name,
                                      akin_error *error)
{
    *out = NULL;
    ak_vocabulary *v;
    int64_t most = count_byte(text, begin, end, '"') / 2;
    AK_TRY(ak_vocabulary_create(&v, arena, most, end - begin, "", error));
    *scores = ak_arena_new(arena, double, most);
    if (!*scores)
        return ak_fail_memory(error);
    reader r = {v, text, begin, end, name, error};
    AK_TRY(read_scored(&r, *scores));
    *out = v;
    return AKIN_OK;
}

/* One line without its end, LF or CR LF. */
static akin_status add_line(reader *r, const char *line, size_t length, int64_t number)
{
    if (length && line[length - 1] == '\r')
        length--;
    for (size_t i = 0; i < length;) {
        uint32_t point;
        int bytes = ak_utf8_decode(line + i, length - i, &point);
        if (!bytes || !point || point == '\r')
            return ak_fail_at(r->error, AKIN_ERR_FORMAT, r->name, number, "%s, expected a token",
                              bytes ? "a control character" : "invalid UTF-8");
        i += (size_t)bytes;
    }
    if (number > AK_ID_LIMIT)
        return ak_fail_at(r->error, AKIN_ERR_FORMAT, r->name, number, "too many tokens");
    memcpy(ak_vocabulary_room(r->vocabulary), line, length);
    return add(r, length, (int32_t)(number - 1));
}

akin_status ak_vocabulary_read_lines(ak_vocabulary **out, akin_arena *arena, const char *text,
                                     size_t size, const char *prefix, const char *name,
                                     akin_error *error)
{
    AK_TRY(ak_vocabulary_create(out, arena, count_byte(text, 0, size, '\n') + 1, size + 1, prefix,
                                error));
    reader r = {*out, text, 0, size, name, error};
    *out = NULL;
    for (int64_t number = 1; r.at < size; number++) {
        const char *line = text + r.at;
        const char *end = memchr(line, '\n', size - r.at);
        size_t length = end ? (size_t)(end - line) : size - r.at;
        AK_TRY(add_line(&r, line, length, number));
        r.at += length + 1;
    }
    *out = r.vocabulary;
    return AKIN_OK;
}
