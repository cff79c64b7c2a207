/* Option rows (akin_option of akin.h): one table parses recipes, flags and saved models, prints
   help and feeds the manual. */
#ifndef AK_BASE_OPTIONS_H
#define AK_BASE_OPTIONS_H

#include "base/value.h"

/* Writes every row's default into `options`. Strings point into the rows or the arena. */
akin_status ak_options_defaults(const akin_option *rows, void *options, akin_arena *arena,
                                akin_error *error);

/* Defaults, then the members of `map` (may be NULL). Members named in `also` (NULL-terminated, may
   be NULL) are somebody else's and skipped. An unknown member is an error that names the nearest
   row; a wrong type or a value out of range names the line. `name` is the source for messages. */
akin_status ak_options_parse(const akin_option *rows, void *options, const ak_value *map,
                             const char *const *also, akin_arena *arena, const char *name,
                             akin_error *error);

/* One row from text (a flag's argument). */
akin_status ak_option_set(const akin_option *row, void *options, const char *text,
                          akin_arena *arena, akin_error *error);

/* The options as a map, for akin.json. */
akin_status ak_options_write(const akin_option *rows, const void *options, ak_value *map,
                             akin_arena *arena, akin_error *error);

/* The nearest of `names` (NULL-terminated) to `text` by edit distance, NULL if none is near. */
const char *ak_nearest_name(const char *text, const char *const *names);

#endif
