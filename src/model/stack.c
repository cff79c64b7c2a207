/* Linear layers with an activation between them, see stack.h. */
#include "model/stack.h"

#include "model/heads.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PARALLEL_FROM = 1 << 14 };

/* Of each layer: its input, and what it gave, before the activation. The last output is the
   caller's. */
typedef struct layer_record {
    akin_matrix x, z;
} layer_record;

ak_activation ak_stack_activation(int choice)
{
    static const ak_activation numbers[] = {AK_RELU, AK_GELU, AK_GELU_TANH,
                                            AK_SILU, AK_TANH, AK_SIGMOID};
    return numbers[choice];
}

static akin_status add_layer(ak_stack_layer *layer, int64_t number, int64_t in, int64_t out,
                             akin_parameters *parameters, akin_error *error)
{
    char name[64];
    double bound = 1 / sqrt((double)in);
    layer->out = out;
    snprintf(name, sizeof name, "layers.%lld.weight", (long long)number);
    AK_TRY(akin_parameters_add(parameters, &layer->weight, name, out, in, AKIN_INIT_UNIFORM, bound,
                               true, error));
    snprintf(name, sizeof name, "layers.%lld.bias", (long long)number);
    return akin_parameters_add(parameters, &layer->bias, name, 1, out, AKIN_INIT_UNIFORM, bound,
                               false, error);
}

akin_status ak_stack_create(void **out, int64_t input_dim, const int64_t *widths, int64_t count,
                            int activation, double dropout, akin_parameters *parameters,
                            akin_error *error)
{
    *out = NULL;
    ak_stack stack = {.parameters = parameters,
                      .activation = ak_stack_activation(activation),
                      .dropout = dropout,
                      .count = count};
    for (int64_t k = 0; k < count; k++)
        AK_TRY(add_layer(&stack.layers[k], k, k ? widths[k - 1] : input_dim, widths[k], parameters,
                         error));
    if (!(*out = ak_alloc(sizeof stack)))
        return ak_fail_memory(error);
    memcpy(*out, &stack, sizeof stack);
    return AKIN_OK;
}

static akin_parameter *parameter(const ak_stack *stack, int number)
{
    return akin_parameters_get(stack->parameters, number);
}

static void activate(ak_activation activation, akin_matrix z, akin_matrix y)
{
#pragma omp parallel for schedule(static) if (z.rows * z.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < z.rows; i++)
        ak_activate(activation, z.data + i * z.stride, y.data + i * y.stride, z.columns);
}

/* In place: dy becomes dz. */
static void activate_backward(ak_activation activation, akin_matrix z, akin_matrix dy)
{
#pragma omp parallel for schedule(static) if (z.rows * z.columns >= PARALLEL_FROM)
    for (int64_t i = 0; i < z.rows; i++) {
        float *row = dy.data + i * dy.stride;
        ak_activate_backward(activation, z.data + i * z.stride, row, row, z.columns);
    }
}

akin_status ak_stack_forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                             void **record, akin_error *error)
{
    const ak_stack *stack = self;
    *record = NULL;
    layer_record *kept = ak_arena_new(pass->arena, layer_record, stack->count);
    if (!kept)
        return ak_fail_memory(error);
    AK_TRY(ak_dropout_new(&x, x, stack->dropout, pass, AK_STREAM_HEAD_INPUT, error));
    for (int64_t k = 0; k < stack->count; k++) {
        const ak_stack_layer *layer = &stack->layers[k];
        bool last = k + 1 == stack->count;
        akin_matrix z = last ? y : ak_matrix_new(pass->arena, x.rows, layer->out), next = z;
        if (!last && pass->training) /* backward wants z as it is */
            next = ak_matrix_new(pass->arena, x.rows, layer->out);
        if (!last && (!z.data || !next.data))
            return ak_fail_memory(error);
        ak_linear_forward(x, parameter(stack, layer->weight)->value,
                          parameter(stack, layer->bias)->value, z, pass->precision);
        kept[k] = (layer_record){x, z};
        if (!last)
            activate(stack->activation, z, next);
        x = next;
    }
    if (pass->training)
        *record = kept;
    return AKIN_OK;
}

akin_status ak_stack_backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                              akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const ak_stack *stack = self;
    const layer_record *kept = record;
    (void)x;
    for (int64_t k = stack->count - 1; k >= 0; k--) {
        akin_parameter *weight = parameter(stack, stack->layers[k].weight);
        akin_matrix in = kept[k].x;
        akin_matrix before = k ? ak_matrix_new(pass->arena, in.rows, in.columns) : dx;
        if (k && !before.data)
            return ak_fail_memory(error);
        ak_linear_backward(in, weight->value, dy, weight->grad,
                           parameter(stack, stack->layers[k].bias)->grad, before, pass->precision);
        if (k)
            activate_backward(stack->activation, kept[k - 1].z, before);
        dy = before;
    }
    if (dx.data)
        ak_dropout(dx, dx, stack->dropout, pass, AK_STREAM_HEAD_INPUT);
    return AKIN_OK;
}
