/* stacked_projection: linear layers of the widths in output_sizes, an activation between them and
   none after the last, after Quaterion's StackedProjectionHead. Without sizes it is one layer as
   wide as its input. */
#include "model/heads.h"
#include "model/stack.h"

typedef struct options {
    double dropout;
    akin_ints output_sizes;
    int activation;
} options;

static const akin_option rows[] = {
    AK_HEAD_DROPOUT(options),
    {"output_sizes", AKIN_OPTION_INTS, offsetof(options, output_sizes), NULL,
     "widths of the layers, as [512, 256]; without them one, as wide as the input", .minimum = 1,
     .maximum = 1 << 20},
    AK_STACK_ACTIVATION_ROW(options),
    {NULL},
};

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    const options *o = given;
    akin_ints sizes = o->output_sizes.count ? o->output_sizes : (akin_ints){&input_dim, 1};
    *self = NULL;
    if (sizes.count > AK_MAX_STACK)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "stacked_projection head: output_sizes has %lld layers, must be at most %d",
                       (long long)sizes.count, AK_MAX_STACK);
    *output_dim = sizes.items[sizes.count - 1];
    return ak_stack_create(self, input_dim, sizes.items, sizes.count, o->activation, o->dropout,
                           parameters, error);
}

const akin_head_class ak_head_stacked_projection = {
    .size = sizeof(akin_head_class),
    .name = "stacked_projection",
    .summary = "linear layers of any widths, an activation between them",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = ak_stack_forward,
    .backward = ak_stack_backward,
};
