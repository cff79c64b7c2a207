/* empty: y = x. The embedding is what the encoders say. */
#include "model/heads.h"

typedef struct options {
    double dropout;
} options;

static const akin_option rows[] = {AK_HEAD_DROPOUT(options), {NULL}};

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    (void)parameters;
    *output_dim = input_dim;
    options *head = ak_alloc(sizeof *head);
    *self = head;
    if (!head)
        return ak_fail_memory(error);
    *head = *(const options *)given;
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    (void)error;
    *record = NULL;
    ak_dropout(x, y, ((const options *)self)->dropout, pass, AK_STREAM_HEAD_INPUT);
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    (void)record, (void)x, (void)error;
    if (dx.data)
        ak_dropout(dy, dx, ((options *)self)->dropout, pass, AK_STREAM_HEAD_INPUT);
    return AKIN_OK;
}

const akin_head_class ak_head_empty = {
    .size = sizeof(akin_head_class),
    .name = "empty",
    .summary = "the encoders' output as it is",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = forward,
    .backward = backward,
};
