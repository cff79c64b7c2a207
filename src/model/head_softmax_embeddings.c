/* softmax_embeddings: z = x Wᵀ + b, G·S numbers in G groups, y = the softmax inside each group,
   after Quaterion's SoftmaxEmbeddingsHead. A group is a choice among S: its largest number says how
   sure it is, and the mean over the groups is the confidence of the embedding, between 1/S and 1.

     dz = y ∘ (dy - y·dy)   in each group */
#include "model/heads.h"

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { PARALLEL_FROM = 1 << 13 };

typedef struct options {
    double dropout;
    int64_t groups, size;
} options;

static const akin_option rows[] = {
    AK_HEAD_DROPOUT(options),
    {"groups", AKIN_OPTION_INT, offsetof(options, groups), "32",
     "groups; the embedding is groups times size wide", .minimum = 1, .maximum = 1 << 16},
    {"size", AKIN_OPTION_INT, offsetof(options, size), "16", "numbers in a group, which sum to 1",
     .minimum = 2, .maximum = 1 << 12},
    {NULL},
};

typedef struct head {
    options options;
    const akin_parameters *parameters;
    int weight, bias;
} head;

typedef struct record_of {
    akin_matrix dropped; /* the input, what dropout left of it */
    akin_matrix y;       /* a copy: what the caller does with y is not our business */
} record_of;

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    head h = {.options = *(const options *)given, .parameters = parameters};
    double bound = 1 / sqrt((double)input_dim);
    *self = NULL;
    *output_dim = h.options.groups * h.options.size;
    AK_TRY(akin_parameters_add(parameters, &h.weight, "weight", *output_dim, input_dim,
                               AKIN_INIT_UNIFORM, bound, true, error));
    AK_TRY(akin_parameters_add(parameters, &h.bias, "bias", 1, *output_dim, AKIN_INIT_UNIFORM,
                               bound, false, error));
    if (!(*self = ak_alloc(sizeof h)))
        return ak_fail_memory(error);
    memcpy(*self, &h, sizeof h);
    return AKIN_OK;
}

static void softmax(const head *h, akin_matrix y)
{
    int64_t size = h->options.size;
#pragma omp parallel for schedule(static) if (y.rows * y.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < y.rows; i++)
        ak_softmax_rows(y.data + i * y.stride, h->options.groups, size, size);
}

static akin_status keep(record_of **out, const akin_pass *pass, akin_matrix dropped, akin_matrix y,
                        akin_error *error)
{
    record_of *kept = ak_arena_new(pass->arena, record_of, 1);
    if (!kept)
        return ak_fail_memory(error);
    *kept = (record_of){dropped, ak_matrix_new(pass->arena, y.rows, y.columns)};
    if (!kept->y.data)
        return ak_fail_memory(error);
    ak_matrix_copy(y, kept->y);
    *out = kept;
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const head *h = self;
    record_of *kept = NULL;
    *record = NULL;
    AK_TRY(ak_dropout_new(&x, x, h->options.dropout, pass, AK_STREAM_HEAD_INPUT, error));
    ak_linear_forward(x, akin_parameters_get(h->parameters, h->weight)->value,
                      akin_parameters_get(h->parameters, h->bias)->value, y, pass->precision);
    softmax(h, y);
    if (pass->training)
        AK_TRY(keep(&kept, pass, x, y, error));
    *record = kept;
    return AKIN_OK;
}

/* One row: dz from y and dy, group by group. */
static void group_gradients(const float *y, const float *dy, float *dz, int64_t groups,
                            int64_t size)
{
    for (int64_t g = 0; g < groups; g++, y += size, dy += size, dz += size) {
        float mean = ak_dot(y, dy, size);
        for (int64_t j = 0; j < size; j++)
            dz[j] = y[j] * (dy[j] - mean);
    }
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const head *h = self;
    const record_of *kept = record;
    akin_parameter *weight = akin_parameters_get(h->parameters, h->weight);
    akin_matrix y = kept->y, dz = ak_matrix_new(pass->arena, y.rows, y.columns);
    (void)x;
    if (!dz.data)
        return ak_fail_memory(error);
#pragma omp parallel for schedule(static) if (y.rows * y.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < y.rows; i++)
        group_gradients(y.data + i * y.stride, dy.data + i * dy.stride, dz.data + i * dz.stride,
                        h->options.groups, h->options.size);
    ak_linear_backward(kept->dropped, weight->value, dz, weight->grad,
                       akin_parameters_get(h->parameters, h->bias)->grad, dx, pass->precision);
    if (dx.data)
        ak_dropout(dx, dx, h->options.dropout, pass, AK_STREAM_HEAD_INPUT);
    return AKIN_OK;
}

static bool confidence(const void *self, akin_matrix y, float *out)
{
    const head *h = self;
    int64_t groups = h->options.groups, size = h->options.size;
    for (int64_t i = 0; i < y.rows; i++) {
        float sum = 0;
        for (int64_t g = 0; g < groups; g++)
            sum += ak_maximum(y.data + i * y.stride + g * size, size);
        out[i] = sum / (float)groups;
    }
    return true;
}

const akin_head_class ak_head_softmax_embeddings = {
    .size = sizeof(akin_head_class),
    .name = "softmax_embeddings",
    .summary = "groups of probabilities, which tell how sure an embedding is",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = forward,
    .backward = backward,
    .confidence = confidence,
};
