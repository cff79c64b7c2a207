/* Losses with class rows. One product makes all similarities of objects to classes, one pass over
   its rows the cross-entropy and its gradient, and two products the way back: to the objects and to
   the class rows, whose order of summation depends on nothing but the shape. */
#include "loss/classes.h"
#include "loss/tools.h"

#include <math.h>
#include <string.h>

akin_status ak_class_loss_create(void **self, const char *name, const void *options, int64_t dim,
                                 int64_t groups, double deviation, double lr_factor,
                                 akin_parameters *parameters, akin_error *error)
{
    *self = NULL;
    if (groups < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: has a row for every group, but the training set has no groups", name);
    ak_class_loss *loss = ak_calloc(1, sizeof *loss);
    if (!loss)
        return ak_fail_memory(error);
    *loss = (ak_class_loss){.parameters = parameters, .options = options};
    akin_status status = akin_parameters_add(parameters, &loss->number, "classes", groups, dim,
                                             AKIN_INIT_NORMAL, deviation, false, error);
    if (status) {
        ak_free(loss);
        return status;
    }
    akin_parameters_get(parameters, loss->number)->lr_factor = lr_factor;
    *self = loss;
    return AKIN_OK;
}

bool ak_is_member(const ak_classes *c, const akin_labels *labels, int64_t i)
{
    return labels->group[i] >= 0 && labels->group[i] < c->classes.rows;
}

akin_status ak_classes_init(ak_classes *c, const ak_class_loss *loss, ak_distance distance,
                            const akin_pass *pass, const akin_labels *labels, akin_matrix x,
                            akin_error *error)
{
    akin_parameter *p = akin_parameters_get(loss->parameters, loss->number);
    *c = (ak_classes){.parameter = p, .classes = ak_matrix(p->value, p->rows, p->columns)};
    AK_TRY(ak_space_init(&c->space, distance, pass, x, error));
    if (x.columns != p->columns) { /* the base model's vectors may be of another width */
        c->space.finite = false;
        return AKIN_OK;
    }
    for (int64_t i = 0; i < labels->count; i++)
        c->members += ak_is_member(c, labels, i);
    if (distance != AK_COSINE)
        return AKIN_OK;
    akin_matrix units = ak_matrix_new(pass->arena, p->rows, p->columns);
    c->norms = ak_arena_new(pass->arena, float, p->rows);
    if (!units.data || !c->norms)
        return ak_fail_memory(error);
    ak_normalize_forward(c->classes, units, c->norms);
    c->classes = units;
    return AKIN_OK;
}

/* rows x d, written over or, with beta 1, added to. */
static void product(const ak_classes *c, ak_transpose transpose, akin_matrix dz, akin_matrix y,
                    float beta, akin_matrix out)
{
    ak_gemm(c->space.precision, transpose, AK_PLAIN, out.rows, out.columns, y.rows, 1, dz.data,
            dz.stride, y.data, y.stride, beta, out.data, out.stride);
}

akin_status ak_classes_backward(const ak_classes *c, akin_matrix dz, bool by_class, akin_matrix dx,
                                akin_error *error)
{
    ak_transpose to_objects = by_class ? AK_TRANSPOSED : AK_PLAIN;
    ak_transpose to_classes = by_class ? AK_PLAIN : AK_TRANSPOSED;
    akin_matrix drows = ak_space_gradient(&c->space, dx);
    akin_matrix grad = ak_matrix(c->parameter->grad, c->classes.rows, c->classes.columns);
    if (!drows.data)
        return ak_fail_memory(error);
    product(c, to_objects, dz, c->classes, 0, drows);
    ak_space_finish(&c->space, drows, dx);
    if (!grad.data)
        return AKIN_OK;
    if (!c->norms) {
        product(c, to_classes, dz, c->space.rows, 1, grad);
        return AKIN_OK;
    }
    akin_matrix dunits = ak_matrix_new(c->space.arena, grad.rows, grad.columns);
    if (!dunits.data)
        return ak_fail_memory(error);
    product(c, to_classes, dz, c->space.rows, 0, dunits);
    ak_normalize_backward(c->classes, c->norms, dunits, grad);
    return AKIN_OK;
}

/* ---- cross-entropy ---- */

typedef struct entropy {
    const ak_class_loss *loss;
    ak_target_function *target;
    double scale, part; /* part: of the mean */
    akin_matrix z;
    double *values; /* per row */
} entropy;

/* The row becomes its derivatives. */
static double entropy_row(const entropy *e, float *z, int64_t own)
{
    int64_t n = e->z.columns;
    double slope = 1, target = (double)z[own];
    float scale = (float)e->scale;
    if (e->target)
        target = e->target(e->loss->options, target, &slope);
    z[own] = (float)target;
    float shift = ak_maximum(z, n) * scale;
    ak_scale_shift(z, scale, shift, z, n);
    double logit = (double)z[own]; /* the number that exp sees, rounded as it is */
    ak_exp(z, z, n);
    double sum = (double)ak_sum(z, n), rest = sum - (double)z[own];
    ak_scale((float)(e->scale * e->part / sum), z, n);
    z[own] = (float)(-e->scale * e->part * slope * rest / sum);
    return log(sum) - logit;
}

static double run_rows(const entropy *e, const ak_classes *c, const akin_labels *labels)
{
    int64_t n = e->z.rows, columns = e->z.columns;
    double sum = 0;
#pragma omp parallel for schedule(static) if (n * columns >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++) {
        float *z = e->z.data + i * e->z.stride;
        e->values[i] = 0;
        if (ak_is_member(c, labels, i))
            e->values[i] = entropy_row(e, z, labels->group[i]);
        else
            memset(z, 0, (size_t)columns * sizeof *z);
    }
    for (int64_t i = 0; i < n; i++)
        sum += e->values[i];
    return sum * e->part;
}

akin_status ak_class_entropy(const ak_class_loss *loss, ak_distance distance, double scale,
                             ak_target_function *target, const akin_pass *pass,
                             const akin_labels *labels, akin_matrix x, akin_matrix dx,
                             double *value, akin_error *error)
{
    ak_classes c;
    AK_TRY(ak_classes_init(&c, loss, distance, pass, labels, x, error));
    if (!c.space.finite || !c.members)
        return ak_loss_nothing(&c.space, dx, value);
    akin_matrix rows = c.space.rows, classes = c.classes;
    entropy e = {.loss = loss,
                 .target = target,
                 .scale = scale,
                 .part = 1 / (double)c.members,
                 .z = ak_matrix_new(pass->arena, x.rows, classes.rows),
                 .values = ak_arena_new(pass->arena, double, x.rows)};
    if (!e.z.data || !e.values)
        return ak_fail_memory(error);
    ak_gemm(pass->precision, AK_PLAIN, AK_TRANSPOSED, x.rows, classes.rows, x.columns, 1, rows.data,
            rows.stride, classes.data, classes.stride, 0, e.z.data, e.z.stride);
    *value = run_rows(&e, &c, labels);
    return dx.data ? ak_classes_backward(&c, e.z, false, dx, error) : AKIN_OK;
}
