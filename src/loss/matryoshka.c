/* Matryoshka (Kusupati et al., 2022): a loss on prefixes of the vectors, sum_k w_k L(x[:d_k]), so
   that a vector cut to its first d_k numbers is of use by itself. A loss with parameters has its own
   for every prefix. */
#include "loss/inner_loss.h"
#include "loss/space.h"

#include <math.h>
#include <stdio.h>

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
    {.name = "weights",
     .type = AKIN_OPTION_FLOATS,
     .offset = offsetof(options, weights),
     .help = "a factor for each of them; none: 1",
     .minimum = 0,
     .maximum = 1e6},
    {0},
};

typedef struct matryoshka {
    const options *options;
    int64_t count;
    ak_inner_loss parts[];
} matryoshka;

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    const options *o = given;
    AK_TRY(ak_check_weights("matryoshka", "dims", o->dims.count, &o->weights, error));
    return ak_describe_only("matryoshka", &o->loss, traits, error);
}

static void matryoshka_free(void *self)
{
    matryoshka *m = self;
    for (int64_t k = 0; m && k < m->count; k++)
        ak_inner_loss_free(&m->parts[k]);
    ak_free(m);
}

static akin_status add_part(matryoshka *m, int64_t k, int64_t dim, int64_t groups,
                            akin_parameters *parameters, akin_error *error)
{
    char scope[32];
    int64_t own = m->options->dims.items[k];
    if (own > dim)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "matryoshka: item %lld of \"dims\" is %lld, but the vectors are %lld wide",
                       (long long)k + 1, (long long)own, (long long)dim);
    snprintf(scope, sizeof scope, "%lld", (long long)k);
    AK_TRY(ak_inner_loss_create(&m->parts[k], m->options->loss.items, scope, own, groups,
                                parameters, error));
    m->count++;
    return AKIN_OK;
}

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    *self = NULL;
    matryoshka *m = ak_calloc(1, sizeof *m + (size_t)o->dims.count * sizeof *m->parts);
    if (!m)
        return ak_fail_memory(error);
    m->options = o;
    for (int64_t k = 0; k < o->dims.count; k++) {
        akin_status status = add_part(m, k, dim, groups, parameters, error);
        if (status) {
            matryoshka_free(m);
            return status;
        }
    }
    *self = m;
    return AKIN_OK;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const matryoshka *m = self;
    *value = 0;
    if (dx.data)
        ak_matrix_zero(dx);
    for (int64_t k = 0; k < m->count; k++) {
        int64_t dim = m->options->dims.items[k];
        if (dim > x.columns) { /* the base model's vectors may be of another width */
            *value = NAN;
            return AKIN_OK;
        }
        AK_TRY(ak_inner_loss_add(&m->parts[k], ak_weight_at(&m->options->weights, k), pass, labels,
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
    .free = matryoshka_free,
    .compute = compute,
    .describe = describe,
};
