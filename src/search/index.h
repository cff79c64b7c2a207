/* What index.c and index_file.c share. */
#ifndef AK_SEARCH_INDEX_H
#define AK_SEARCH_INDEX_H

#include "base/safetensors.h"
#include "search/search.h"

/* Document i is documents[starts[i] .. starts[i + 1]). An opened index points into its file until
   something is added; then everything is copied into memory of its own. */
struct akin_index {
    int64_t dim, count;
    akin_hash fingerprint;
    char *model;           /* or NULL */
    const float *vectors;  /* count x dim, unit rows (or zero, or NaN) */
    const int64_t *starts; /* count + 1 */
    const char *documents;
    ak_safetensors *file; /* not NULL: the three above are its tensors */
    int64_t capacity;     /* rows */
    size_t text_capacity; /* bytes of documents */
};

#endif
