/* Matryoshka (Kusupati et al., 2022): a loss on prefixes of the vectors, sum_k w_k L(x[:d_k]), so
   that a vector cut to its first d_k numbers is of use by itself. A loss with parameters has its
   own for every prefix. */
#include "loss/inner_loss.h"
#include "loss/space.h"

#include <math.h>

typedef struct options {
    akin_classes loss;
    akin_ints dims;
    akin_floats weights;
} options;

static const akin_option option_rows[] = {
    {.name = "loss",
     .type = AKIN_OPTION_CLASSES,
     .offset = offsetof(options, loss),
     .help = "the loss on every prefix, as {type: supcon}"},
    {.name = "dims",
     .type = AKIN_OPTION_INTS,
     .offset = offsetof(options, dims),
     .help = "lengths of the prefixes, as [384, 128, 32]",
     .minimum = 1,
     .maximum = 1e9},
    AK_LOSS_WEIGHTS_OPTION(options, weights),
    {0},
};

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    const options *o = given;
    AK_TRY(ak_check_weights("matryoshka", "dims", o->dims.count, &o->weights, error));
    AK_TRY(ak_describe_only("matryoshka", &o->loss, traits, error));
    traits->memory = false; /* a memory goes into it, not around it */
    return AKIN_OK;
}

static akin_status check_dims(const akin_ints *dims, int64_t dim, akin_error *error)
{
    for (int64_t k = 0; k < dims->count; k++)
        if (dims->items[k] > dim)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "matryoshka: item %lld of \"dims\" is %lld, but the vectors are %lld "
                           "wide",
                           (long long)k + 1, (long long)dims->items[k], (long long)dim);
    return AKIN_OK;
}

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    ak_inner_losses *m = NULL;
    akin_status status = check_dims(&o->dims, dim, error);
    if (!status)
        status = ak_inner_losses_new(&m, o, o->dims.count, error);
    for (int64_t k = 0; k < o->dims.count && !status; k++)
        status = ak_inner_losses_add(m, o->loss.items, o->dims.items[k], groups, parameters, error);
    if (status)
        ak_inner_losses_free(m);
    *self = status ? NULL : m;
    return status;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const ak_inner_losses *m = self;
    const options *o = m->options;
    *value = 0;
    if (dx.data)
        ak_matrix_zero(dx);
    for (int64_t k = 0; k < m->count; k++) {
        int64_t dim = o->dims.items[k];
        if (dim > x.columns) { /* the base model's vectors may be of another width */
            *value = NAN;
            return AKIN_OK;
        }
        AK_TRY(ak_inner_loss_add(&m->items[k], ak_weight_at(&o->weights, k), pass, labels,
                                 ak_matrix_columns(x, 0, dim), ak_matrix_columns(dx, 0, dim), value,
                                 error));
    }
    return AKIN_OK;
}

const akin_loss_class ak_loss_matryoshka = {
    .size = sizeof(akin_loss_class),
    .name = "matryoshka",
    .summary = "a loss on prefixes of the vectors too, which may then be cut there",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_inner_losses_free,
    .compute = compute,
    .describe = describe,
    .state = ak_inner_losses_state,
};
