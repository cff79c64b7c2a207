/* What the rows of one value (options.c) and those of several numbers (options_lists.c) share. */
#ifndef AK_BASE_OPTIONS_LISTS_H
#define AK_BASE_OPTIONS_LISTS_H

#include "base/options.h"

/* Where a value came from, for messages. */
typedef struct ak_option_source {
    const char *name;
    int line, column;
} ak_option_source;

#define AK_OPTION_FAIL(row, from, error, ...)                                                      \
    ak_fail_place(error, AKIN_ERR_ARGUMENT, (from)->name, (from)->line, (from)->column, __VA_ARGS__)

bool ak_option_has_limits(const akin_option *row);
akin_status ak_option_check_limits(const akin_option *row, double number,
                                   const ak_option_source *from, akin_error *error);
const char *ak_option_type_name(akin_option_type type); /* "a whole number" */
bool ak_option_value_to_int(const ak_value *value, int64_t *number);

/* ---- options_lists.c: AKIN_OPTION_INTS and AKIN_OPTION_FLOATS ---- */

/* A list, or a number that stands for a list of itself. */
akin_status ak_option_list_value(const akin_option *row, void *options, const ak_value *value,
                                 const ak_option_source *from, akin_arena *arena,
                                 akin_error *error);
/* "512,256", also in brackets and with spaces. */
akin_status ak_option_list_text(const akin_option *row, void *options, const char *text,
                                const ak_option_source *from, akin_arena *arena, akin_error *error);
/* `member` is the row's place in the options. */
akin_status ak_option_list_check(const akin_option *row, const void *member,
                                 const ak_option_source *from, akin_error *error);
/* NULL: out of memory. */
const ak_value *ak_option_list_write(const akin_option *row, const void *member, ak_value *map,
                                     akin_arena *arena);

#endif
