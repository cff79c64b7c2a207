/* YAML 1.2 in: libfyaml's events become a value tree with the place of every node (a map's member
   has the place of its key, which is what messages point at). Scalars follow the core schema
   (yaml.org/spec/1.2.2, 10.3.2): `no` is text, so is anything in quotes.

   Stricter than YAML, because a recipe is written by hand: one document, no aliases (they make
   small files huge), keys are plain text and unique. */
#include "base/text.h"
#include "base/value.h"

#include "base/file.h"

#include <libfyaml.h>
#include <limits.h>
#include <string.h>

#define MAX_DEPTH 100
#define MAX_SIZE (256 << 10)
#define MAX_MEMBERS 10000 /* of one map: looking for duplicates costs the square */

typedef struct place {
    int line, column;
} place;

typedef struct builder {
    akin_arena *arena;
    akin_error *error;
    const char *name;
    ak_value *root;
    ak_value *stack[MAX_DEPTH];
    int depth;
    const char *key; /* read, its value not yet */
    place at;        /* of the pending key, or of the node */
    bool finished;
} builder;

static akin_status fail(const builder *b, const char *text)
{
    return ak_fail_place(b->error, AKIN_ERR_FORMAT, b->name, b->at.line, b->at.column, "%s", text);
}

/* ---- scalars ---- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* 0o17 or 0x1F, without a sign. */
static bool based_integer(const char *text, int64_t *out)
{
    int base = text[0] != '0' ? 0 : text[1] == 'o' ? 8 : text[1] == 'x' ? 16 : 0;
    uint64_t value = 0;
    if (!base || !text[2])
        return false;
    for (const char *p = text + 2; *p; p++) {
        int digit = *p >= '0' && *p <= '9'   ? *p - '0'
                    : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
                    : *p >= 'A' && *p <= 'F' ? *p - 'A' + 10
                                             : base;
        if (digit >= base || value > (INT64_MAX - (uint64_t)digit) / (uint64_t)base)
            return false;
        value = value * (uint64_t)base + (uint64_t)digit;
    }
    *out = (int64_t)value;
    return true;
}

static bool special_number(const char *text, double *out)
{
    static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    const char *p = text + (*text == '-' || *text == '+');
    if (is_one_of(p, infinities))
        *out = *text == '-' ? -__builtin_inf() : __builtin_inf();
    else if (is_one_of(text, nans))
        *out = __builtin_nan("");
    else
        return false;
    return true;
}

/* "inf" and "nan" without the point are text in YAML. */
static bool decimal_number(const char *text, double *out)
{
    const char *p = text + (*text == '-' || *text == '+');
    return ((*p >= '0' && *p <= '9') || *p == '.') && ak_text_to_double(text, out);
}

static void resolve_plain(ak_value *v)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    bool yes = is_one_of(v->string, trues);
    if (strlen(v->string) != v->size) {
        v->kind = AK_STRING;
    } else if (is_one_of(v->string, nulls)) {
        v->kind = AK_NULL;
    } else if (yes || is_one_of(v->string, falses)) {
        v->kind = AK_BOOL;
        v->boolean = yes;
    } else if (ak_text_to_int(v->string, &v->integer) || based_integer(v->string, &v->integer)) {
        v->kind = AK_INT;
        v->number = (double)v->integer;
    } else if (decimal_number(v->string, &v->number) || special_number(v->string, &v->number)) {
        v->kind = AK_FLOAT;
    } else {
        v->kind = AK_STRING;
    }
}

/* ---- events ---- */

static const char *copy_token(builder *b, struct fy_token *token, size_t *size)
{
    const char *text = token ? fy_token_get_text(token, size) : NULL;
    if (!text) {
        text = "";
        *size = 0;
    }
    return ak_arena_copy(b->arena, text, *size);
}

static bool expects_key(const builder *b)
{
    return b->depth && b->stack[b->depth - 1]->kind == AK_MAP && !b->key;
}

static akin_status take_key(builder *b, struct fy_token *token)
{
    const ak_value *map = b->stack[b->depth - 1];
    size_t size;
    const char *key = copy_token(b, token, &size);
    if (!key)
        return ak_fail_memory(b->error);
    if (strlen(key) != size)
        return fail(b, "a key with a NUL character");
    const ak_value *before = ak_value_get(map, key);
    if (before)
        return ak_fail_place(b->error, AKIN_ERR_FORMAT, b->name, b->at.line, b->at.column,
                             "\"%.80s\" is given twice, first in line %d", key, before->line);
    if (map->count >= MAX_MEMBERS)
        return fail(b, "a map with more than 10000 members");
    b->key = key;
    return AKIN_OK;
}

/* A new node in its place: member, item or root. */
static ak_value *add_node(builder *b, ak_value_kind kind)
{
    ak_value *v;
    if (b->depth) {
        v = ak_value_add(b->arena, b->stack[b->depth - 1], NULL, kind);
    } else {
        v = ak_value_new_map(b->arena);
        b->root = v;
    }
    if (!v)
        return NULL;
    v->kind = kind;
    v->key = b->key;
    v->line = b->name ? b->at.line : 0;
    v->column = b->name ? b->at.column : 0;
    b->key = NULL;
    return v;
}

static akin_status take_parent(builder *b, ak_value_kind kind)
{
    if (expects_key(b))
        return fail(b, "a key must be text, not a list or a map");
    if (b->depth == MAX_DEPTH)
        return fail(b, "nested deeper than 100 levels");
    ak_value *v = add_node(b, kind);
    if (!v)
        return ak_fail_memory(b->error);
    b->stack[b->depth++] = v;
    return AKIN_OK;
}

static akin_status take_scalar(builder *b, struct fy_event *event)
{
    struct fy_token *token = event->scalar.value;
    bool plain = !event->scalar.tag && (!token || fy_token_scalar_style(token) == FYSS_PLAIN);
    if (expects_key(b))
        return take_key(b, token);
    ak_value *v = add_node(b, AK_STRING);
    if (!v || !(v->string = copy_token(b, token, &v->size)))
        return ak_fail_memory(b->error);
    if (plain)
        resolve_plain(v);
    return AKIN_OK;
}

/* Of tags only !!str has a use: it makes a number text. */
static akin_status check_tag(const builder *b, struct fy_event *event)
{
    struct fy_token *tag = event->type == FYET_SCALAR           ? event->scalar.tag
                           : event->type == FYET_MAPPING_START  ? event->mapping_start.tag
                           : event->type == FYET_SEQUENCE_START ? event->sequence_start.tag
                                                                : NULL;
    size_t size;
    const char *text = tag ? fy_token_get_text(tag, &size) : NULL;
    static const char string[] = "tag:yaml.org,2002:str";
    if (!tag || (event->type == FYET_SCALAR && text && size == strlen(string) &&
                 memcmp(text, string, size) == 0))
        return AKIN_OK;
    return ak_fail_place(b->error, AKIN_ERR_UNSUPPORTED, b->name, b->at.line, b->at.column,
                         "tags are not supported, except !!str");
}

/* A member keeps the place of its key. */
static void take_place(builder *b, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (b->key || !mark)
        return;
    b->at = (place){.line = mark->line + 1, .column = mark->column + 1};
}

static akin_status take_event(builder *b, struct fy_event *event)
{
    take_place(b, event);
    AK_TRY(check_tag(b, event));
    switch (event->type) {
    case FYET_DOCUMENT_START:
        return b->finished ? fail(b, "a second document: expected the end of the file") : AKIN_OK;
    case FYET_DOCUMENT_END:
        b->finished = true;
        return AKIN_OK;
    case FYET_MAPPING_START:
        return take_parent(b, AK_MAP);
    case FYET_SEQUENCE_START:
        return take_parent(b, AK_LIST);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        b->depth--;
        return AKIN_OK;
    case FYET_SCALAR:
        return take_scalar(b, event);
    case FYET_ALIAS:
        return ak_fail_place(b->error, AKIN_ERR_UNSUPPORTED, b->name, b->at.line, b->at.column,
                             "aliases (*name) are not supported: write the value again");
    default:
        return AKIN_OK;
    }
}

/* ---- libfyaml's parser ---- */

static void print_nothing(struct fy_diag *diag, void *user, const char *text, size_t size)
{
    (void)diag;
    (void)user;
    (void)text;
    (void)size;
}

static struct fy_diag *collect_messages(void)
{
    struct fy_diag_cfg config;
    fy_diag_cfg_default(&config);
    config.fp = NULL;
    config.output_fn = print_nothing;
    config.colorize = false;
    struct fy_diag *diag = fy_diag_create(&config);
    if (diag)
        fy_diag_set_collect_errors(diag, true);
    return diag;
}

static akin_status parser_failed(const builder *b, struct fy_diag *diag)
{
    void *position = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(diag, &position);
    if (!first)
        return ak_fail_memory(b->error);
    return ak_fail_place(b->error, AKIN_ERR_FORMAT, b->name, first->line, first->column,
                         "not valid YAML: %s", first->msg);
}

static akin_status take_events(builder *b, struct fy_parser *parser, struct fy_diag *diag)
{
    akin_status status = AKIN_OK;
    struct fy_event *event = NULL;
    bool ended = false;
    while (!status && !ended && (event = fy_parser_parse(parser))) {
        ended = event->type == FYET_STREAM_END;
        status = take_event(b, event);
        fy_parser_event_free(parser, event);
    }
    return !status && !ended ? parser_failed(b, diag) : status;
}

static akin_status run_parser(builder *b, const char *text, size_t size)
{
    struct fy_diag *diag = collect_messages();
    if (!diag)
        return ak_fail_memory(b->error);
    struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 |
                                           FYPCF_JSON_NONE | FYPCF_DISABLE_MMAP_OPT,
                                  .diag = diag};
    struct fy_parser *parser = fy_parser_create(&config);
    akin_status status = AKIN_OK;
    if (!parser || fy_parser_set_string(parser, text, size))
        status = ak_fail_memory(b->error);
    else
        status = take_events(b, parser, diag);
    if (parser)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

static int64_t line_of(const char *text, size_t position)
{
    int64_t line = 1;
    for (size_t i = 0; i < position; i++)
        line += text[i] == '\n';
    return line;
}

/* libfyaml passes over directives that it does not know, in the square of their length. */
static akin_status check_directives(const builder *b, const char *text, size_t size)
{
    static const char known[] = "%YAML 1.2", mark[] = "\xEF\xBB\xBF";
    for (size_t i = 0; i < size; i++) {
        bool first = i == 0 || text[i - 1] == '\n' || text[i - 1] == '\r' ||
                     (i >= 3 && memcmp(text + i - 3, mark, 3) == 0);
        if (text[i] != '%' || !first ||
            (size - i >= strlen(known) && memcmp(text + i, known, strlen(known)) == 0))
            continue;
        return ak_fail_at(b->error, AKIN_ERR_UNSUPPORTED, b->name, line_of(text, i),
                          "directives (%%...) are not supported, except %%YAML 1.2");
    }
    return AKIN_OK;
}

/* What libfyaml need not see. */
static akin_status check_text(const builder *b, const char *text, size_t size)
{
    if (size > MAX_SIZE)
        return ak_fail_at(b->error, AKIN_ERR_FORMAT, b->name, 0,
                          "larger than 256 kB, which no recipe is");
    size_t valid = ak_utf8_valid(text, size);
    const char *nul = memchr(text, 0, size);
    if (nul && (size_t)(nul - text) < valid)
        return ak_fail_at(b->error, AKIN_ERR_FORMAT, b->name, line_of(text, (size_t)(nul - text)),
                          "a NUL byte");
    if (valid < size)
        return ak_fail_at(b->error, AKIN_ERR_FORMAT, b->name, line_of(text, valid),
                          "not valid UTF-8 (byte %02x)", (unsigned char)text[valid]);
    return check_directives(b, text, size);
}

akin_status ak_yaml_parse(ak_value **out, akin_arena *arena, const char *text, size_t size,
                          const char *name, akin_error *error)
{
    *out = NULL;
    builder b = {.arena = arena, .error = error, .name = name, .at = {1, 1}};
    AK_TRY(check_text(&b, text, size));
    if (size)
        AK_TRY(run_parser(&b, text, size));
    if (!b.root && !add_node(&b, AK_NULL))
        return ak_fail_memory(error);
    *out = b.root;
    return AKIN_OK;
}

akin_status ak_yaml_read(ak_value **out, akin_arena *arena, const char *path, akin_error *error)
{
    *out = NULL;
    ak_map map;
    AK_TRY(ak_map_open(&map, path, error));
    akin_status status = ak_yaml_parse(out, arena, map.data, map.size, path, error);
    ak_map_close(&map);
    return status;
}
