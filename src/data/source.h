/* A data file: mapped bytes, the offset of every record, and the format that reads one record. */
#ifndef AK_DATA_SOURCE_H
#define AK_DATA_SOURCE_H

#include "data/data.h"

#include <pthread.h>
#include <stdatomic.h>

enum { AK_A, AK_B, AK_SCORE, AK_SUBGROUP, AK_OBJECT = 0, AK_GROUP = 1, AK_FIELDS = 4 };

typedef struct ak_reader ak_reader;

typedef struct ak_source {
    const char *path; /* as the user gave it */
    const ak_reader *format;
    akin_sample_kind kind;
    bool plain;        /* no data set: objects without labels */
    akin_arena *arena; /* lives as long as the source */

    const char *name[AK_FIELDS]; /* of the member or column; NULL: this kind has no such field */
    bool required[AK_FIELDS];

    ak_map map;         /* of the file, or of a stream's one record */
    int64_t first_line; /* of the map, from 1 */
    int64_t *offset; /* of a record's first byte, count + 1 with a header */
    int64_t count, capacity;

    bool header;         /* the first record names the columns */
    const char **column; /* CSV, TSV: names in the header, or numbers; NULL after the last */
    int64_t columns;
    int64_t place[AK_FIELDS]; /* the field's column, -1: absent */

    atomic_uchar *counted; /* bit i: the replaced bytes of record i are in `replaced` */
    atomic_llong replaced;

    char *cache_folder;
    int64_t file_size, file_mtime; /* when it was opened */
    pthread_mutex_t mutex;         /* guards the two below */
    bool hashed;
    ak_hash hash;
} ak_source;

/* One format: a file of this folder and a row in source.c's table. */
struct ak_reader {
    const char *suffix;
    bool columns;          /* its records are columns, which a first one may name */
    bool spaces_are_blank; /* a line of white space holds no record */
    bool keeps_blank;      /* every line holds one */
    /* Where the record that starts at `text` ends: its line end or `end`. NULL: it cannot be told,
     *problem says why and *where is the byte it is about. */
    const char *(*record_end)(const char *text, const char *end, const char **problem,
                              const char **where);
    /* Reads the header, or the first record; called with offset[0] at it. May be NULL. */
    akin_status (*open)(ak_source *source, akin_error *error);
    /* Values of the named fields, AK_NULL where the record has none. */
    akin_status (*fields)(ak_source *source, int64_t index, akin_arena *arena, ak_value *found,
                          akin_error *error);
    /* The whole record as JSON. */
    akin_status (*whole)(ak_source *source, int64_t index, akin_arena *arena, akin_object *object,
                         akin_error *error);
    /* A required field is not in a record: the format knows what there is instead. */
    akin_status (*missing)(ak_source *source, int64_t index, int field, akin_arena *arena,
                           akin_error *error);
};

extern const ak_reader ak_reader_jsonl, ak_reader_csv, ak_reader_tsv, ak_reader_fasttext;

/* The format that a file's name tells, NULL if none. */
const ak_reader *ak_source_format(const char *path);
/* A source that is no data set: names[] are read where they are there. format NULL: by the name. */
akin_status ak_source_open(ak_source **out, const char *path, const ak_reader *format,
                           const char *const names[AK_FIELDS], const char *cache_folder,
                           akin_error *error);
/* A source without a map yet: its format and names are known. format NULL: by the name. */
akin_status ak_source_begin(ak_source **out, const char *path, const ak_reader *format,
                            akin_sample_kind kind, const akin_fields *fields,
                            const char *cache_folder, akin_error *error);
akin_status ak_source_sample(ak_source *source, int64_t index, akin_arena *arena,
                             akin_sample *sample, akin_error *error);
/* Is it no record: a line of nothing? */
bool ak_source_blank(const ak_reader *format, const char *text, const char *end);
/* What may be meant when a field is missing and the record has these names: the other kind of samples,
   another field; "" where nothing is known. */
const char *ak_source_advice(const ak_source *source, const char *const *names);
void ak_source_free(ak_source *source);
/* A value as an object's bytes; an absent one is an error that says what there is. */
akin_status ak_source_object(ak_source *source, int64_t index, int field, const ak_value *value,
                             akin_arena *arena, akin_object *object, akin_error *error);

/* The record without its line end, as valid UTF-8: repaired in the arena if need be, which is
   counted once a record. index -1: the header. */
akin_status ak_source_read(ak_source *source, int64_t index, akin_arena *arena, akin_object *record,
                           akin_error *error);
/* Its line, found by counting: for messages only. */
int64_t ak_source_line(const ak_source *source, int64_t index);

/* record_end of JSONL and TSV. */
const char *ak_line_end(const char *text, const char *end, const char **problem,
                        const char **where);

/* columns.c: what CSV and TSV share once a record is split. A splitter gives the pieces of a
   record; their bytes are the record's or the arena's. */
typedef akin_status ak_split_function(akin_object record, akin_arena *arena, akin_object **pieces,
                                      int64_t *count, akin_error *error);
akin_status ak_columns_open(ak_source *source, ak_split_function *split, akin_error *error);
/* strict: a record with more or fewer pieces than the header is an error. */
akin_status ak_columns_fields(ak_source *source, int64_t index, ak_split_function *split,
                              bool strict, akin_arena *arena, ak_value *found, akin_error *error);
akin_status ak_columns_whole(ak_source *source, int64_t index, ak_split_function *split,
                             akin_arena *arena, akin_object *object, akin_error *error);
akin_status ak_columns_missing(ak_source *source, int64_t index, int field, akin_arena *arena,
                               akin_error *error);

/* Cuts a record at every `separator`. */
akin_status ak_columns_cut(akin_object record, char separator, akin_arena *arena,
                           akin_object **pieces, int64_t *count, akin_error *error);

/* label.c */
int64_t ak_label(const ak_value *value);

/* unpack.c: a map of the file's bytes, unpacked if `path` ends in .gz. */
akin_status ak_unpack_open(ak_map *out, const char *path, const char *cache_folder,
                           akin_error *error);

#endif
