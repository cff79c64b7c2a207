/* gated: y = x ∘ tanh(g), one gate per column, g = 2 at first (tanh 2 = 0.96). After Quaterion's
   GatedHead. */
#include "model/heads.h"

#include <math.h>
#include <string.h>

typedef struct options {
    double dropout;
} options;

static const akin_option rows[] = {AK_HEAD_DROPOUT(options), {NULL}};

typedef struct head {
    options options;
    const akin_parameters *parameters;
    int gate;
} head;

typedef struct record_of {
    akin_matrix dropped; /* the input, what dropout left of it */
    float *factors;      /* tanh(g) */
} record_of;

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    head h = {.options = *(const options *)given, .parameters = parameters};
    *self = NULL;
    *output_dim = input_dim;
    AK_TRY(akin_parameters_add(parameters, &h.gate, "gate", 1, input_dim, AKIN_INIT_CONSTANT, 2,
                               false, error));
    if (!(*self = ak_alloc(sizeof h)))
        return ak_fail_memory(error);
    memcpy(*self, &h, sizeof h);
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const head *h = self;
    const float *gate = akin_parameters_get(h->parameters, h->gate)->value;
    *record = NULL;
    record_of *kept = ak_arena_new(pass->arena, record_of, 1);
    float *factors = ak_arena_new(pass->arena, float, x.columns);
    if (!kept || !factors)
        return ak_fail_memory(error);
    for (int64_t j = 0; j < x.columns; j++)
        factors[j] = tanhf(gate[j]);
    kept->factors = factors;
    AK_TRY(
        ak_dropout_new(&kept->dropped, x, h->options.dropout, pass, AK_STREAM_HEAD_INPUT, error));
    ak_scale_columns(kept->dropped, factors, y);
    if (pass->training)
        *record = kept;
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const head *h = self;
    const record_of *kept = record;
    float *dgate = akin_parameters_get(h->parameters, h->gate)->grad;
    float *dots = ak_arena_new(pass->arena, float, x.columns);
    if (!dots)
        return ak_fail_memory(error);
    memset(dots, 0, (size_t)x.columns * sizeof *dots);
    ak_column_dots(dy, kept->dropped, dots);
    for (int64_t j = 0; j < x.columns; j++)
        dgate[j] += (1 - kept->factors[j] * kept->factors[j]) * dots[j];
    if (dx.data) {
        ak_scale_columns(dy, kept->factors, dx);
        ak_dropout(dx, dx, h->options.dropout, pass, AK_STREAM_HEAD_INPUT);
    }
    return AKIN_OK;
}

const akin_head_class ak_head_gated = {
    .size = sizeof(akin_head_class),
    .name = "gated",
    .summary = "every column of the encoders' output times a learned gate",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = forward,
    .backward = backward,
};
