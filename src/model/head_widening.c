/* widening: y = f(x W_0ᵀ + b_0) W_1ᵀ + b_1, where W_0 makes the vector e times as wide and W_1 as
   narrow as it was, after Quaterion's WideningHead: the block between a transformer's attentions,
   without the sum. */
#include "model/heads.h"
#include "model/stack.h"

#include <math.h>

typedef struct options {
    double dropout, expansion_factor;
    int activation;
} options;

static const akin_option rows[] = {
    AK_HEAD_DROPOUT(options),
    {"expansion_factor", AKIN_OPTION_FLOAT, offsetof(options, expansion_factor), "4",
     "times the input's width: width of the middle", .minimum = 1.0 / 64, .maximum = 64},
    AK_STACK_ACTIVATION_ROW(options),
    {NULL},
};

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    const options *o = given;
    int64_t wide = (int64_t)floor((double)input_dim * o->expansion_factor);
    const int64_t widths[] = {wide > 1 ? wide : 1, input_dim};
    *output_dim = input_dim;
    return ak_stack_create(self, input_dim, widths, 2, o->activation, o->dropout, parameters,
                           error);
}

const akin_head_class ak_head_widening = {
    .size = sizeof(akin_head_class),
    .name = "widening",
    .summary = "two linear layers, the middle wider than the ends",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = ak_stack_forward,
    .backward = ak_stack_backward,
};
