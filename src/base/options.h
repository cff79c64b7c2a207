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

/* A class by its name, for rows that hold classes. */
typedef struct ak_found_class {
    const void *type;
    const char *name;
    const akin_option *rows; /* NULL: it has no options */
    size_t options_size;
} ak_found_class;
typedef akin_status ak_class_finder(const void *user, const char *name, ak_found_class *out,
                                    akin_error *error);

/* What ak_options_parse is told, and who knows the classes that rows may hold. */
typedef struct ak_option_reader {
    const char *name;
    const char *const *also;
    akin_arena *arena;
    ak_class_finder *find;
    const void *user; /* of find */
    int depth;        /* classes within classes; start with 0 */
} ak_option_reader;

/* ak_options_parse for rows that hold classes too. */
akin_status ak_options_read(const ak_option_reader *reader, const akin_option *rows, void *options,
                            const ak_value *map, akin_error *error);

/* options_classes.c: one row of classes, read and written back. */
akin_status ak_option_classes_read(const ak_option_reader *reader, const akin_option *row,
                                   akin_classes *out, const ak_value *value, akin_error *error);
akin_status ak_option_classes_write(const char *key, const akin_classes *classes, ak_value *map,
                                    akin_arena *arena, akin_error *error);

/* Whether a class has a function that came after its struct's first version. */
#define AK_CLASS_HAS(type, member)                                                                 \
    ((type)->size >= offsetof(__typeof__(*(type)), member) + sizeof (type)->member && (type)->member)

/* One row from text (a flag's argument). */
akin_status ak_option_set(const akin_option *row, void *options, const char *text,
                          akin_arena *arena, akin_error *error);

/* The limits of every row, for options that a caller filled by hand. */
akin_status ak_options_check(const akin_option *rows, const void *options, akin_error *error);

/* The options as a map, for akin.json. */
akin_status ak_options_write(const akin_option *rows, const void *options, ak_value *map,
                             akin_arena *arena, akin_error *error);

/* The nearest of `names` (NULL-terminated) to `text` by edit distance, NULL if none is near. */
const char *ak_nearest_name(const char *text, const char *const *names);

#endif
