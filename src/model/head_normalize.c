/* normalize: y = x / |x|. For models that serve unit vectors. */
#include "model/heads.h"

#include <string.h>

typedef struct options {
    double dropout;
} options;

static const akin_option rows[] = {AK_HEAD_DROPOUT(options), {NULL}};

/* What backward needs: the unit rows and the lengths they had. */
typedef struct record_of {
    akin_matrix y;
    float *norms;
} record_of;

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

/* The unit rows are copied: what the caller does with y afterwards is not our business. */
static akin_status keep(record_of **out, const akin_pass *pass, akin_matrix x, akin_error *error)
{
    record_of *record = ak_arena_new(pass->arena, record_of, 1);
    if (!record)
        return ak_fail_memory(error);
    record->y = ak_matrix_new(pass->arena, x.rows, x.columns);
    record->norms = ak_arena_new(pass->arena, float, x.rows);
    if (!record->y.data || !record->norms)
        return ak_fail_memory(error);
    *out = record;
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const options *head = self;
    *record = NULL;
    if (!pass->training) {
        ak_normalize_forward(x, y, NULL);
        return AKIN_OK;
    }
    record_of *kept = NULL;
    AK_TRY(keep(&kept, pass, x, error));
    ak_dropout(x, kept->y, head->dropout, pass, AK_STREAM_HEAD_INPUT);
    ak_normalize_forward(kept->y, kept->y, kept->norms);
    ak_matrix_copy(kept->y, y);
    *record = kept;
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const options *head = self;
    const record_of *kept = record;
    (void)x, (void)error;
    if (!dx.data)
        return AKIN_OK;
    for (int64_t i = 0; i < dx.rows; i++)
        memset(dx.data + i * dx.stride, 0, (size_t)dx.columns * sizeof(float));
    ak_normalize_backward(kept->y, kept->norms, dy, dx);
    ak_dropout(dx, dx, head->dropout, pass, AK_STREAM_HEAD_INPUT);
    return AKIN_OK;
}

const akin_head_class ak_head_normalize = {
    .size = sizeof(akin_head_class),
    .name = "normalize",
    .summary = "the encoders' output, scaled to unit length",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = forward,
    .backward = backward,
};
