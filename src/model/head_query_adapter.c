/* query_adapter: queries go through a head, documents stay what the encoders gave:

     a -> h(a),   b -> b

   so that a corpus that is encoded once stays valid whatever the adapter learns, as in LlamaIndex's
   adapter fine-tuning (2023). h is as wide as its input. */
#include "model/inner_head.h"

#include <string.h>

typedef struct options {
    akin_classes head;
} options;

static const akin_option rows[] = {
    {"head", AKIN_OPTION_CLASSES, offsetof(options, head), "skip_connection",
     "the head that queries go through, as wide as its input"},
    {NULL},
};

static void adapter_free(void *self)
{
    ak_inner_head_free(self);
    ak_free(self);
}

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    const akin_classes *head = &((const options *)given)->head;
    *self = NULL;
    *output_dim = input_dim;
    if (head->count != 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "query_adapter head: \"head\" has %lld heads, must be one",
                       (long long)head->count);
    ak_inner_head *inner = ak_calloc(1, sizeof *inner);
    if (!inner)
        return ak_fail_memory(error);
    akin_status status =
        ak_inner_head_create(inner, &head->items[0], "head", 0, input_dim, parameters, error);
    if (!status && inner->output_dim != input_dim)
        status = ak_fail(error, AKIN_ERR_ARGUMENT,
                         "query_adapter head: %s makes %lld numbers of %lld, but documents keep "
                         "theirs, so that it must be as wide as its input",
                         inner->type->name, (long long)inner->output_dim, (long long)input_dim);
    if (status) {
        adapter_free(inner);
        return status;
    }
    *self = inner;
    return AKIN_OK;
}

/* Queries come first. */
static akin_matrix queries_of(akin_matrix x, const akin_pass *pass)
{
    return x.data ? ak_matrix_rows(x, 0, x.rows - pass->documents) : x;
}

static akin_matrix documents_of(akin_matrix x, const akin_pass *pass)
{
    return ak_matrix_rows(x, x.rows - pass->documents, pass->documents);
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    ak_matrix_copy(documents_of(x, pass), documents_of(y, pass));
    return ak_inner_head_forward(self, pass, queries_of(x, pass), queries_of(y, pass), record,
                                 error);
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    if (dx.data)
        ak_matrix_copy(documents_of(dy, pass), documents_of(dx, pass));
    return ak_inner_head_backward(self, pass, record, queries_of(x, pass), queries_of(dy, pass),
                                  queries_of(dx, pass), error);
}

static const char *const *tags(const void *self, int64_t *count)
{
    return ak_inner_head_tags(self, count);
}

const akin_head_class ak_head_query_adapter = {
    .size = sizeof(akin_head_class),
    .name = "query_adapter",
    .summary = "a head for queries alone; documents keep the encoders' vectors",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = adapter_free,
    .forward = forward,
    .backward = backward,
    .sides = true,
    .tags = tags,
};
