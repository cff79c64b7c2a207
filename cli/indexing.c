#include "indexing.h"

#include <stdlib.h>

typedef struct filling {
    akin_index *index;
    const akin_corpus *corpus;
} filling;

static akin_status add_block(void *user, int64_t first, int64_t count, const float *vectors,
                             akin_error *error)
{
    filling *to = user;
    akin_object *documents = calloc((size_t)count, sizeof *documents);
    void **memory = calloc((size_t)count, sizeof *memory);
    if (!documents || !memory)
        cli_out_of_memory();
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++)
        status = akin_corpus_get(to->corpus, first + i, &memory[i], &documents[i], error);
    if (!status)
        status = akin_index_add(to->index, vectors, documents, count, error);
    for (int64_t i = 0; i < count; i++)
        akin_memory_free(memory[i]);
    free(memory);
    free(documents);
    return status;
}

akin_status cli_build_index(akin_index **out, akin_context *context, const akin_model *model,
                            bool base, const char *path, const char *field, akin_error *error)
{
    akin_corpus *corpus = NULL;
    akin_hash fingerprint;
    char notes[1024];
    *out = NULL;
    akin_status status = akin_corpus_open(&corpus, context, model, path, field, error);
    if (!status)
        status = akin_model_fingerprint(model, &fingerprint, error);
    if (!status)
        status = akin_index_create(out, base ? akin_model_base_dim(model) : akin_model_dim(model),
                                   fingerprint, error);
    filling to = {*out, corpus};
    if (!status)
        status = akin_encode_corpus(model, base, corpus, add_block, &to, error);
    if (!status) {
        akin_model_notes(model, notes, sizeof notes);
        if (*notes)
            cli_say("%s", notes);
    }
    akin_corpus_free(corpus);
    if (status) {
        akin_index_free(*out);
        *out = NULL;
    }
    return status;
}
