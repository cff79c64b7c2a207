/* Center loss (Wen et al., 2016): (lambda / 2) mean |x/|x| - c_y|^2, with a learnt centre c_g for
   every group. It only pulls: alone it is least when all vectors are one, so it is an add-on to
   another loss. The centres start as normal numbers of standard deviation 1 / sqrt(width): they are
   about as long as the unit vectors that they are to meet (the published code draws the coordinates
   from a standard normal distribution, far off the sphere). */
#include "loss/classes.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>
#include <string.h>

typedef struct options {
    double lambda, lr_factor;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, lambda, "0.5", 0, 1e6,
                         "its weight; standing alone this loss collapses, all vectors become one"),
    AK_LOSS_LR_FACTOR_OPTION(options, lr_factor),
    {0},
};

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    return ak_class_loss_create(self, "center", given, dim, groups, 1 / sqrt((double)dim),
                                o->lr_factor, parameters, error);
}

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    (void)given, (void)error;
    traits->collapses = true;
    return AKIN_OK;
}

static AK_KERNEL void subtract(const float *x, const float *y, float *difference, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        difference[k] = x[k] - y[k];
}

/* The row becomes x - c of its object, 0 without a class. Returns its square. */
static double difference(const ak_classes *c, const akin_labels *labels, akin_matrix out, int64_t i)
{
    int64_t d = out.columns;
    float *row = out.data + i * out.stride;
    if (!ak_is_member(c, labels, i)) {
        memset(row, 0, (size_t)d * sizeof *row);
        return 0;
    }
    subtract(c->space.rows.data + i * c->space.rows.stride,
             c->parameter->value + labels->group[i] * d, row, d);
    return (double)ak_dot(row, row, d);
}

/* Every centre's objects are added in the order of the batch. */
static void to_centres(const ak_classes *c, const akin_labels *labels, akin_matrix rows)
{
    for (int64_t i = 0; i < rows.rows && c->parameter->grad; i++)
        if (ak_is_member(c, labels, i))
            ak_add_scaled(-1, rows.data + i * rows.stride,
                          c->parameter->grad + labels->group[i] * rows.columns, rows.columns);
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const ak_class_loss *loss = self;
    const options *o = loss->options;
    ak_classes c;
    AK_TRY(ak_classes_init(&c, loss, AK_COSINE, pass, labels, x, error));
    if (!c.space.finite || !c.members)
        return ak_loss_nothing(&c.space, dx, value);
    double part = o->lambda / (double)c.members, sum = 0;
    akin_matrix rows = ak_matrix_new(pass->arena, x.rows, x.columns);
    if (!rows.data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < x.rows; i++)
        sum += difference(&c, labels, rows, i);
    *value = part / 2 * sum;
    if (!dx.data)
        return AKIN_OK;
    for (int64_t i = 0; i < x.rows; i++)
        ak_scale((float)part, rows.data + i * rows.stride, x.columns);
    to_centres(&c, labels, rows);
    ak_space_finish(&c.space, rows, dx);
    return AKIN_OK;
}

const akin_loss_class ak_loss_center = {
    .size = sizeof(akin_loss_class),
    .name = "center",
    .summary =
        "groups: objects move to their group's centre; only beside another loss, it collapses "
        "alone",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .compute = compute,
    .describe = describe,
};
