#include "indexing.h"

#include <stdlib.h>
#include <string.h>

#define MOST_SHOWN 8

typedef struct filling {
    akin_index *index;
    const akin_corpus *corpus;
    akin_corpus
        *shown[MOST_SHOWN]; /* members of the records that are kept in place of the objects */
    int shown_count;
} filling;

static akin_status open_shown(filling *to, akin_context *context, const akin_model *model,
                              const char *path, const char *names, akin_error *error)
{
    char *copy = names ? strdup(names) : NULL, *save = NULL;
    akin_status status = AKIN_OK;
    if (names && !copy)
        cli_out_of_memory();
    if (names && strcmp(path, "-") == 0) {
        *error = (akin_error){.status = AKIN_ERR_ARGUMENT,
                              .message = "--show needs a file: standard input is read once"};
        status = AKIN_ERR_ARGUMENT;
    }
    for (char *name = copy ? strtok_r(copy, ",", &save) : NULL;
         name && !status && to->shown_count < MOST_SHOWN; name = strtok_r(NULL, ",", &save)) {
        status = akin_corpus_open(&to->shown[to->shown_count], context, model, path, name, error);
        to->shown_count += !status;
    }
    free(copy);
    return status;
}

/* "imagemagick: image manipulation programs"; *document points into *text. */
static akin_status join_shown(const filling *to, int64_t i, char **text, akin_object *document,
                              akin_error *error)
{
    size_t size = 0;
    for (int n = 0; n < to->shown_count; n++) {
        akin_object piece;
        void *memory;
        akin_status status = akin_corpus_get(to->shown[n], i, &memory, &piece, error);
        if (status)
            return status;
        *text = realloc(*text, size + piece.size + 2);
        if (!*text)
            cli_out_of_memory();
        memcpy(*text + size, ": ", 2);
        size += n ? 2 : 0;
        memcpy(*text + size, piece.data, piece.size);
        size += piece.size;
        akin_memory_free(memory);
    }
    *document = (akin_object){*text, size};
    return AKIN_OK;
}

static akin_status add_block(void *user, int64_t first, int64_t count, const float *vectors,
                             akin_error *error)
{
    filling *to = user;
    akin_object *documents = calloc((size_t)count, sizeof *documents);
    void **memory = calloc((size_t)count, sizeof *memory);
    char **text = calloc((size_t)count, sizeof *text);
    if (!documents || !memory || !text)
        cli_out_of_memory();
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++)
        status = to->shown_count
                     ? join_shown(to, first + i, &text[i], &documents[i], error)
                     : akin_corpus_get(to->corpus, first + i, &memory[i], &documents[i], error);
    if (!status)
        status = akin_index_add(to->index, vectors, documents, count, error);
    for (int64_t i = 0; i < count; i++) {
        akin_memory_free(memory[i]);
        free(text[i]);
    }
    free(text);
    free(memory);
    free(documents);
    return status;
}

akin_status cli_build_index(akin_index **out, akin_context *context, const akin_model *model,
                            akin_space space, const char *path, const char *field, const char *show,
                            akin_error *error)
{
    akin_corpus *corpus = NULL;
    akin_hash fingerprint;
    char notes[1024];
    bool base = space == AKIN_SPACE_BASE_DOCUMENT;
    *out = NULL;
    akin_status status = akin_corpus_open(&corpus, context, model, path, field, error);
    if (!status)
        status = akin_model_space_fingerprint(model, space, &fingerprint, error);
    if (!status)
        status = akin_index_create(out, base ? akin_model_base_dim(model) : akin_model_dim(model),
                                   fingerprint, error);
    filling to = {.index = *out, .corpus = corpus};
    if (!status)
        status = open_shown(&to, context, model, path, show, error);
    if (!status)
        status = akin_encode_corpus(model, space, corpus, add_block, &to, error);
    if (!status && !base) { /* with the base vectors the same texts come again */
        akin_model_notes(model, notes, sizeof notes);
        if (*notes)
            cli_say("%s", notes);
    }
    for (int n = 0; n < to.shown_count; n++)
        akin_corpus_free(to.shown[n]);
    akin_corpus_free(corpus);
    if (status) {
        akin_index_free(*out);
        *out = NULL;
    }
    return status;
}
