/* Mean squared error to a teacher's vectors (Reimers and Gurevych, "Making monolingual sentence
   embeddings multilingual using knowledge distillation", 2020): over objects x_i and the teacher's
   t_i, both of d numbers, L = mean_i |x_i - t_i|^2 / d. */
#include "loss/loss.h"
#include "loss/taught.h"

#include <math.h>

static const akin_option option_rows[] = {{0}};

static akin_status describe(const void *options, akin_loss_traits *traits, akin_error *error)
{
    (void)options, (void)error;
    traits->teacher = traits->any_kind = true;
    return AKIN_OK;
}

AK_KERNEL static void subtract(const float *x, const float *t, float factor, float *dx, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        dx[j] = factor * (x[j] - t[j]);
}

/* The base's vectors may be of another width: there is no value then, but no mistake either. */
static akin_status other_width(akin_matrix x, akin_matrix teacher, akin_matrix dx, double *value,
                               akin_error *error)
{
    *value = (double)NAN;
    if (!dx.data)
        return AKIN_OK;
    return ak_fail(
        error, AKIN_ERR_MISMATCH,
        "mse compares numbers one by one: the model gives %lld, the teacher %lld; a head "
        "such as {type: linear, output_dim: %lld} makes them as many; margin_mse and kl compare "
        "similarities, and only they go inside matryoshka, whose prefixes are shorter",
        (long long)x.columns, (long long)teacher.columns, (long long)teacher.columns);
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    akin_matrix teacher = labels->teacher;
    double *squares = ak_arena_new(pass->arena, double, x.rows), sum = 0;
    ak_space space;
    (void)self;
    AK_TRY(ak_taught_check(ak_loss_mse.name, labels, x, error));
    if (x.columns != teacher.columns)
        return other_width(x, teacher, dx, value, error);
    if (!squares)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&space, AK_EUCLIDEAN, pass, x, error));
    if (!space.finite || !x.rows)
        return ak_loss_nothing(&space, dx, value);
    float factor = (float)(2 / ((double)x.rows * (double)x.columns));
#pragma omp parallel for schedule(static) if (x.rows * x.columns >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < x.rows; i++) {
        const float *own = x.data + i * x.stride, *t = teacher.data + i * teacher.stride;
        squares[i] = (double)ak_squared_distance(own, t, x.columns);
        if (dx.data)
            subtract(own, t, factor, dx.data + i * dx.stride, x.columns);
    }
    for (int64_t i = 0; i < x.rows; i++)
        sum += squares[i];
    *value = sum / ((double)x.rows * (double)x.columns);
    return AKIN_OK;
}

const akin_loss_class ak_loss_mse = {
    .size = sizeof(akin_loss_class),
    .name = "mse",
    .summary = "pairs or groups: the vectors are to be the teacher's",
    .kind = AKIN_PAIRS,
    .options = option_rows,
    .compute = compute,
    .describe = describe,
};
