/* A tree of values: what a JSON document or a YAML recipe says, with the place of every node.
   Lives in an arena; jansson and libfyaml stay behind json.c and yaml.c. */
#ifndef AK_BASE_VALUE_H
#define AK_BASE_VALUE_H

#include "base/text.h"

typedef enum ak_value_kind {
    AK_NULL,
    AK_BOOL,
    AK_INT,
    AK_FLOAT,
    AK_STRING,
    AK_LIST,
    AK_MAP,
} ak_value_kind;

typedef struct ak_value ak_value;
struct ak_value {
    ak_value_kind kind;
    int line, column;   /* 1-based; 0 where the format does not tell */
    bool boolean;       /* AK_BOOL */
    int64_t integer;    /* AK_INT */
    double number;      /* AK_INT and AK_FLOAT */
    const char *string; /* AK_STRING: NUL-terminated, `size` bytes */
    size_t size;
    const char *key; /* of this node in its map, else NULL */
    int64_t count;   /* children of AK_LIST and AK_MAP */
    ak_value *first, *last, *next;
};

const char *ak_value_kind_name(ak_value_kind kind); /* "a list", "a number", ... for messages */

/* A map's member, NULL if absent (or if `map` is NULL or no map). */
const ak_value *ak_value_get(const ak_value *map, const char *key);
const char *ak_value_get_string(const ak_value *map, const char *key, const char *otherwise);
int64_t ak_value_get_int(const ak_value *map, const char *key, int64_t otherwise);
double ak_value_get_number(const ak_value *map, const char *key, double otherwise);
bool ak_value_get_bool(const ak_value *map, const char *key, bool otherwise);

/* Builders. NULL when out of memory; each accepts a NULL parent and then returns NULL, so that a
   chain is checked once. A NULL key appends to a list. Keys and texts are copied. */
ak_value *ak_value_new_map(akin_arena *arena);
ak_value *ak_value_new_list(akin_arena *arena);
ak_value *ak_value_add(akin_arena *arena, ak_value *parent, const char *key, ak_value_kind kind);
ak_value *ak_value_add_string(akin_arena *arena, ak_value *parent, const char *key,
                              const char *text);
ak_value *ak_value_add_int(akin_arena *arena, ak_value *parent, const char *key, int64_t number);
ak_value *ak_value_add_number(akin_arena *arena, ak_value *parent, const char *key, double number);
ak_value *ak_value_add_bool(akin_arena *arena, ak_value *parent, const char *key, bool boolean);
/* Puts an existing tree into a parent (the tree is shared, not copied). */
ak_value *ak_value_attach(akin_arena *arena, ak_value *parent, const char *key,
                          const ak_value *tree);

/* json.c. `name` is what messages call the source. Refused: duplicate keys, invalid UTF-8, depth
   over 2048, anything after the document. */
akin_status ak_json_parse(ak_value **out, akin_arena *arena, const char *text, size_t size,
                          const char *name, akin_error *error);
akin_status ak_json_read(ak_value **out, akin_arena *arena, const char *path, akin_error *error);
/* Keys in their order; numbers round-trip; indent 0 is one line. NaN and infinity become null.
   NULL when out of memory; the caller frees with ak_free. */
char *ak_json_write(const ak_value *value, int indent);

/* Members of one JSON object (a JSONL line), for the readers of data sets: no tree is built.
   fields[i] NULL is skipped. found[i].kind is AK_NULL where the member is absent; a list or map
   comes as AK_STRING with its compact JSON text. */
akin_status ak_json_fields(const char *text, size_t size, const char *const *fields, int n,
                           ak_value *found, akin_arena *arena, const char *name, int64_t line,
                           akin_error *error);

/* One JSON string, with its quotes. */
void ak_json_write_string(ak_text *out, const char *text, size_t size);

/* jansson's allocator belongs to the whole process, so only tests may do this. */
void ak_json_route_allocations(bool through_akin);

/* yaml.c: YAML 1.2 (`no` stays text). A number, true, false and null keep their text in `string`. A
   member has the place of its key. Refused: duplicate keys, aliases, tags but !!str, directives, a
   second document, depth over 100, more than 256 kB. `name` NULL: the text is no file's, nodes get
   no places. */
akin_status ak_yaml_parse(ak_value **out, akin_arena *arena, const char *text, size_t size,
                          const char *name, akin_error *error);
akin_status ak_yaml_read(ak_value **out, akin_arena *arena, const char *path, akin_error *error);
/* "train.epochs=5": sets a member by its path, making maps on the way; the right side is YAML. */
akin_status ak_yaml_set(ak_value *root, akin_arena *arena, const char *assignment,
                        akin_error *error);

#endif
