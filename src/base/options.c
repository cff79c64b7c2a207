/* Option rows: defaults, parsing from a map or from a flag's text, and writing back. */
#include "base/options_lists.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef ak_option_source source;
#define FAIL AK_OPTION_FAIL

static void *member(const akin_option *row, void *options)
{
    return (char *)options + row->offset;
}

/* ---- what a row accepts ---- */

bool ak_option_has_limits(const akin_option *row)
{
    return row->minimum != 0 || row->maximum != 0;
}

akin_status ak_option_check_limits(const akin_option *row, double number, const source *from,
                                   akin_error *error)
{
    char value[32], low[32], high[32];
    if (isfinite(number) &&
        (!ak_option_has_limits(row) || (number >= row->minimum && number <= row->maximum)))
        return AKIN_OK;
    ak_double_to_text(number, value);
    ak_double_to_text(row->minimum, low);
    ak_double_to_text(row->maximum, high);
    if (!ak_option_has_limits(row) || isnan(number))
        return FAIL(row, from, error, "\"%s\" is %s, must be a finite number", row->name, value);
    if (isinf(row->maximum) || row->maximum >= 0x1p62)
        return FAIL(row, from, error, "\"%s\" is %s, must be at least %s", row->name, value, low);
    return FAIL(row, from, error, "\"%s\" is %s, must be between %s and %s", row->name, value, low,
                high);
}

/* Number of the choice `text` in "first|second|third", -1 if it is none. */
static int find_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (int i = 0;; i++) {
        const char *end = strchrnul(choices, '|');
        if ((size_t)(end - choices) == length && memcmp(choices, text, length) == 0)
            return i;
        if (!*end)
            return -1;
        choices = end + 1;
    }
}

/* "first, second or third" */
static void list_choices(const char *choices, ak_text *out)
{
    for (;;) {
        const char *end = strchrnul(choices, '|');
        ak_text_add(out, choices, (size_t)(end - choices));
        if (!*end)
            return;
        choices = end + 1;
        ak_text_printf(out, "%s", strchr(choices, '|') ? ", " : " or ");
    }
}

static akin_status set_choice(const akin_option *row, void *options, const char *text,
                              const source *from, akin_error *error)
{
    int found = find_choice(row->choices, text);
    if (found >= 0) {
        *(int *)member(row, options) = found;
        return AKIN_OK;
    }
    ak_text list = {0};
    list_choices(row->choices, &list);
    akin_status status = list.failed ? ak_fail_memory(error)
                                     : FAIL(row, from, error, "\"%s\" is \"%s\", must be %s",
                                            row->name, text, list.data);
    ak_free(list.data);
    return status;
}

static akin_status set_int(const akin_option *row, void *options, int64_t number,
                           const source *from, akin_error *error)
{
    if (ak_option_has_limits(row))
        AK_TRY(ak_option_check_limits(row, (double)number, from, error));
    *(int64_t *)member(row, options) = number;
    return AKIN_OK;
}

static akin_status set_float(const akin_option *row, void *options, double number,
                             const source *from, akin_error *error)
{
    AK_TRY(ak_option_check_limits(row, number, from, error));
    *(double *)member(row, options) = number;
    return AKIN_OK;
}

static akin_status set_string(const akin_option *row, void *options, const char *text,
                              akin_arena *arena, akin_error *error)
{
    const char *copy = ak_arena_copy(arena, text, strlen(text));
    if (!copy)
        return ak_fail_memory(error);
    *(const char **)member(row, options) = copy;
    return AKIN_OK;
}

const char *ak_option_type_name(akin_option_type type)
{
    switch (type) {
    case AKIN_OPTION_INT:
        return "a whole number";
    case AKIN_OPTION_FLOAT:
        return "a number";
    case AKIN_OPTION_BOOL:
        return "true or false";
    case AKIN_OPTION_INTS:
        return "a list of whole numbers";
    case AKIN_OPTION_FLOATS:
        return "a list of numbers";
    case AKIN_OPTION_CLASSES:
        return "a class, a list or a map of classes";
    default:
        return "text";
    }
}

bool ak_option_value_to_int(const ak_value *v, int64_t *number)
{
    bool whole = v->kind == AK_INT || /* 1e3 is a whole number too */
                 (v->kind == AK_FLOAT && fabs(v->number) <= 0x1p53 && v->number == rint(v->number));
    if (whole)
        *number = v->kind == AK_INT ? v->integer : (int64_t)v->number;
    return whole;
}

/* ---- defaults, and values given as text ---- */

static akin_status set_text(const akin_option *row, void *options, const char *text,
                            const source *from, akin_arena *arena, akin_error *error)
{
    int64_t whole;
    double number;
    bool yes = strcmp(text, "true") == 0, no = strcmp(text, "false") == 0;
    switch (row->type) {
    case AKIN_OPTION_INT:
        if (ak_text_to_int(text, &whole))
            return set_int(row, options, whole, from, error);
        break;
    case AKIN_OPTION_FLOAT:
        if (ak_text_to_double(text, &number))
            return set_float(row, options, number, from, error);
        break;
    case AKIN_OPTION_BOOL:
        if (yes || no) {
            *(bool *)member(row, options) = yes;
            return AKIN_OK;
        }
        break;
    case AKIN_OPTION_STRING:
        return set_string(row, options, text, arena, error);
    case AKIN_OPTION_CHOICE:
        return set_choice(row, options, text, from, error);
    case AKIN_OPTION_INTS:
    case AKIN_OPTION_FLOATS:
        return ak_option_list_text(row, options, text, from, arena, error);
    case AKIN_OPTION_CLASSES:
        break; /* only a tree says what they are */
    }
    return FAIL(row, from, error, "\"%s\" is \"%s\", must be %s", row->name, text,
                ak_option_type_name(row->type));
}

akin_status ak_option_set(const akin_option *row, void *options, const char *text,
                          akin_arena *arena, akin_error *error)
{
    source from = {0};
    return set_text(row, options, text, &from, arena, error);
}

akin_status ak_options_defaults(const akin_option *rows, void *options, akin_arena *arena,
                                akin_error *error)
{
    for (const akin_option *row = rows; row && row->name; row++) {
        if (row->type == AKIN_OPTION_STRING)
            *(const char **)member(row, options) = row->default_text;
        else if (row->type == AKIN_OPTION_INTS && !row->default_text)
            *(akin_ints *)member(row, options) = (akin_ints){0};
        else if (row->type == AKIN_OPTION_FLOATS && !row->default_text)
            *(akin_floats *)member(row, options) = (akin_floats){0};
        else if (row->type == AKIN_OPTION_CLASSES) /* of a default: by ak_options_read */
            *(akin_classes *)member(row, options) = (akin_classes){0};
        else
            AK_TRY(ak_option_set(row, options, row->default_text, arena, error));
    }
    return AKIN_OK;
}

/* ---- values given as a tree ---- */

static akin_status wrong_kind(const akin_option *row, const ak_value *v, const source *from,
                              akin_error *error)
{
    if (v->kind == AK_STRING)
        return FAIL(row, from, error, "\"%s\" is \"%.80s\", must be %s", row->name, v->string,
                    ak_option_type_name(row->type));
    return FAIL(row, from, error, "\"%s\" is %s, must be %s", row->name,
                ak_value_kind_name(v->kind), ak_option_type_name(row->type));
}

static akin_status set_value(const ak_option_reader *reader, const akin_option *row, void *options,
                             const ak_value *v, akin_error *error)
{
    const source at = {reader->name, v->line, v->column}, *from = &at;
    akin_arena *arena = reader->arena;
    bool numeric = v->kind == AK_INT || v->kind == AK_FLOAT;
    int64_t whole;
    switch (row->type) {
    case AKIN_OPTION_INT:
        if (ak_option_value_to_int(v, &whole))
            return set_int(row, options, whole, from, error);
        break;
    case AKIN_OPTION_FLOAT:
        if (numeric)
            return set_float(row, options, v->number, from, error);
        break;
    case AKIN_OPTION_BOOL:
        if (v->kind == AK_BOOL) {
            *(bool *)member(row, options) = v->boolean;
            return AKIN_OK;
        }
        break;
    case AKIN_OPTION_STRING:
        if (v->kind == AK_NULL) {
            *(const char **)member(row, options) = NULL;
            return AKIN_OK;
        }
        if (v->string && strlen(v->string) == v->size) /* of a YAML number too: `field: 2024` */
            return set_string(row, options, v->string, arena, error);
        break;
    case AKIN_OPTION_CHOICE:
        if (v->string)
            return set_choice(row, options, v->string, from, error);
        break;
    case AKIN_OPTION_INTS:
    case AKIN_OPTION_FLOATS:
        if (v->kind == AK_STRING && strlen(v->string) == v->size)
            return ak_option_list_text(row, options, v->string, from, arena, error);
        if (v->kind == AK_LIST || numeric)
            return ak_option_list_value(row, options, v, from, arena, error);
        break;
    case AKIN_OPTION_CLASSES:
        return ak_option_classes_read(reader, row, member(row, options), v, error);
    }
    return wrong_kind(row, v, from, error);
}

static const akin_option *find_row(const akin_option *rows, const char *name)
{
    for (const akin_option *row = rows; row && row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

#define MOST_NAMES 128

static akin_status unknown_member(const akin_option *rows, const char *const *also,
                                  const source *from, const char *key, akin_error *error)
{
    const char *names[MOST_NAMES + 1];
    int count = 0;
    for (; rows && rows->name && count < MOST_NAMES; rows++)
        names[count++] = rows->name;
    for (; also && *also && count < MOST_NAMES; also++)
        names[count++] = *also;
    names[count] = NULL;
    const char *nearest = ak_nearest_name(key, names);
    if (nearest)
        return FAIL(rows, from, error, "\"%.80s\" is not known, did you mean \"%s\"?", key,
                    nearest);
    if (count == 0)
        return FAIL(rows, from, error, "\"%.80s\" is not known: there are no options here", key);
    ak_text list = {0};
    for (int i = 0; i < count; i++)
        ak_text_printf(&list, "%s%s", i == 0 ? "" : i == count - 1 ? " and " : ", ", names[i]);
    akin_status status = list.failed ? ak_fail_memory(error)
                                     : FAIL(rows, from, error,
                                            "\"%.80s\" is not known, there are %s", key, list.data);
    ak_free(list.data);
    return status;
}

/* Rows of classes have a name for a default, which is looked up like a given one. */
static akin_status default_classes(const ak_option_reader *reader, const akin_option *rows,
                                   void *options, const ak_value *map, akin_error *error)
{
    for (const akin_option *row = rows; row && row->name; row++) {
        if (row->type != AKIN_OPTION_CLASSES || !row->default_text || ak_value_get(map, row->name))
            continue;
        const ak_value name = {
            .kind = AK_STRING, .string = row->default_text, .size = strlen(row->default_text)};
        AK_TRY(ak_option_classes_read(reader, row, member(row, options), &name, error));
    }
    return AKIN_OK;
}

akin_status ak_options_read(const ak_option_reader *reader, const akin_option *rows, void *options,
                            const ak_value *map, akin_error *error)
{
    AK_TRY(ak_options_defaults(rows, options, reader->arena, error));
    AK_TRY(default_classes(reader, rows, options, map, error));
    if (!map || map->kind == AK_NULL)
        return AKIN_OK;
    source from = {.name = reader->name, .line = map->line, .column = map->column};
    if (map->kind != AK_MAP)
        return FAIL(rows, &from, error, "expected a map of options, found %s",
                    ak_value_kind_name(map->kind));
    for (const ak_value *v = map->first; v; v = v->next) {
        const akin_option *row = find_row(rows, v->key);
        from = (source){reader->name, v->line, v->column};
        if (row)
            AK_TRY(set_value(reader, row, options, v, error));
        else if (!is_listed(reader->also, v->key))
            return unknown_member(rows, reader->also, &from, v->key, error);
    }
    return AKIN_OK;
}

akin_status ak_options_parse(const akin_option *rows, void *options, const ak_value *map,
                             const char *const *also, akin_arena *arena, const char *name,
                             akin_error *error)
{
    const ak_option_reader reader = {.name = name, .also = also, .arena = arena};
    return ak_options_read(&reader, rows, options, map, error);
}

/* ---- values given by a struct ---- */

static akin_status check_choice(const akin_option *row, int number, akin_error *error)
{
    int count = 1;
    for (const char *c = row->choices; *c; c++)
        count += *c == '|';
    if (number >= 0 && number < count)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_ARGUMENT, "\"%s\" is %d, must be between 0 and %d (%s)",
                   row->name, number, count - 1, row->choices);
}

akin_status ak_options_check(const akin_option *rows, const void *options, akin_error *error)
{
    source from = {0};
    for (const akin_option *row = rows; row && row->name; row++) {
        const void *p = (const char *)options + row->offset;
        if (row->type == AKIN_OPTION_INT && ak_option_has_limits(row))
            AK_TRY(ak_option_check_limits(row, (double)*(const int64_t *)p, &from, error));
        else if (row->type == AKIN_OPTION_FLOAT)
            AK_TRY(ak_option_check_limits(row, *(const double *)p, &from, error));
        else if (row->type == AKIN_OPTION_CHOICE)
            AK_TRY(check_choice(row, *(const int *)p, error));
        else if (row->type == AKIN_OPTION_INTS || row->type == AKIN_OPTION_FLOATS)
            AK_TRY(ak_option_list_check(row, p, &from, error));
    }
    return AKIN_OK;
}

/* ---- written back ---- */

static const ak_value *write_choice(const akin_option *row, int number, ak_value *map,
                                    akin_arena *arena)
{
    const char *start = row->choices;
    for (int i = 0; i < number && *strchrnul(start, '|'); i++)
        start = strchrnul(start, '|') + 1;
    const char *text = ak_arena_copy(arena, start, (size_t)(strchrnul(start, '|') - start));
    return text ? ak_value_add_string(arena, map, row->name, text) : NULL;
}

akin_status ak_options_write(const akin_option *rows, const void *options, ak_value *map,
                             akin_arena *arena, akin_error *error)
{
    for (const akin_option *row = rows; row && row->name; row++) {
        const void *p = (const char *)options + row->offset;
        const ak_value *written = NULL;
        switch (row->type) {
        case AKIN_OPTION_INT:
            written = ak_value_add_int(arena, map, row->name, *(const int64_t *)p);
            break;
        case AKIN_OPTION_FLOAT:
            written = ak_value_add_number(arena, map, row->name, *(const double *)p);
            break;
        case AKIN_OPTION_BOOL:
            written = ak_value_add_bool(arena, map, row->name, *(const bool *)p);
            break;
        case AKIN_OPTION_STRING:
            written = ak_value_add_string(arena, map, row->name, *(const char *const *)p);
            break;
        case AKIN_OPTION_CHOICE:
            written = write_choice(row, *(const int *)p, map, arena);
            break;
        case AKIN_OPTION_INTS:
        case AKIN_OPTION_FLOATS:
            written = ak_option_list_write(row, p, map, arena);
            break;
        case AKIN_OPTION_CLASSES:
            AK_TRY(ak_option_classes_write(row->name, p, map, arena, error));
            continue;
        }
        if (!written)
            return ak_fail_memory(error);
    }
    return AKIN_OK;
}
