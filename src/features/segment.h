/* A file of the store: vectors of one encoder in one precision, by the hash of what it read. */
#ifndef AK_FEATURES_SEGMENT_H
#define AK_FEATURES_SEGMENT_H

#include "base/safetensors.h"
#include "features/features.h"

typedef struct ak_segment {
    char *path;
    ak_safetensors *file;
    const ak_hash *keys;       /* count */
    const unsigned char *rows; /* count rows of ak_row_size bytes */
    int64_t count;
} ak_segment;

/* Maps a segment and checks that it is whole and holds what `kind` says (dim 0: of any width; it
   is written into kind). */
akin_status ak_segment_open(ak_segment *out, ak_store_kind *kind, const char *path,
                            akin_error *error);
void ak_segment_close(ak_segment *segment);
/* Keys and rows of several parts as one file. */
akin_status ak_segment_write(const char *path, const ak_store_kind *kind, const ak_segment *parts,
                             int64_t count, akin_error *error);

/* The name of a kind's folder: the fingerprint, "-bf16" or "-int8" after it. `out`: 48 bytes. */
#define AK_STORE_NAME 48
void ak_store_name(const ak_store_kind *kind, char out[AK_STORE_NAME]);
bool ak_store_parse_name(const char *name, ak_store_kind *kind);
bool ak_segment_is(const char *name); /* is the file's name one of a segment? */

#endif
