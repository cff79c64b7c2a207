/* Distillation of the similarities within a batch (Hinton, Vinyals and Dean, "Distilling the
   knowledge in a neural network", 2015): to every anchor i the teacher's distances T to the
   candidates j, and the student's D, are distributions, and the one is to be as the other:

       q_i = softmax_j(-T_ij / temperature),   p_i = softmax_j(-D_ij / temperature),
       L = mean_i KL(q_i | p_i) = mean_i sum_j q_ij (log q_ij - log p_ij).

   Pairs: anchors are the a's, candidates all b's; groups: all objects are both. A candidate that is
   the anchor, or equal to it, is left out. */
#include "loss/loss.h"
#include "loss/taught.h"

#include <math.h>
#include <string.h>

typedef struct options {
    double temperature;
    int distance;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, temperature, "0.05", 1e-4, 1e4,
                         "what distances are divided by: a small one sees the nearest alone"),
    AK_LOSS_DISTANCE_OPTION(options, distance),
    {0},
};

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    (void)given, (void)error;
    traits->teacher = traits->any_kind = true;
    return AKIN_OK;
}

/* Distances become logarithms of probabilities; false: there is no candidate. */
static bool log_softmax(const ak_taught *t, int64_t anchor, double temperature, float *row)
{
    int64_t n = t->student.columns;
    ak_scale_shift(row, (float)(-1 / temperature), 0, row, n);
    for (int64_t j = 0; j < n; j++)
        row[j] = ak_taught_is_anchor(t, anchor, j) ? -INFINITY : row[j];
    float all = ak_log_sum_exp(row, n);
    if (!(all > -INFINITY))
        return false;
    ak_scale_shift(row, 1, all, row, n);
    return true;
}

/* Row i of the teacher's distances becomes the gradient by the student's, but for the factor;
   returns the divergence. */
static double compare_row(const ak_taught *t, double temperature, int64_t i, float *own)
{
    int64_t n = t->student.columns;
    float *teacher = t->teacher.data + i * t->teacher.stride;
    double sum = 0;
    memcpy(own, t->student.data + i * t->student.stride, (size_t)n * sizeof *own);
    if (!log_softmax(t, i, temperature, own) || !log_softmax(t, i, temperature, teacher)) {
        memset(teacher, 0, (size_t)n * sizeof *teacher);
        return 0;
    }
    for (int64_t j = 0; j < n; j++) {
        double q = exp((double)teacher[j]), p = exp((double)own[j]);
        sum += q > 0 ? q * ((double)teacher[j] - (double)own[j]) : 0;
        teacher[j] = (float)(q - p);
    }
    return sum;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const options *o = self;
    ak_taught t;
    ak_space space;
    AK_TRY(ak_taught_check(ak_loss_kl.name, labels, x, error));
    AK_TRY(ak_space_init(&space, AK_DOT_PRODUCT, pass, x, error));
    if (!space.finite || !x.rows)
        return ak_loss_nothing(&space, dx, value);
    AK_TRY(ak_taught_distances(&t, (ak_distance)o->distance, pass, labels, x, error));
    int64_t rows = t.student.rows, columns = t.student.columns;
    double sum = 0, *divergence = ak_arena_new(pass->arena, double, rows);
    akin_matrix own = ak_matrix_new(pass->arena, rows, columns);
    if (!divergence || !own.data)
        return ak_fail_memory(error);
#pragma omp parallel for schedule(static) if (rows * columns >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < rows; i++) {
        divergence[i] = compare_row(&t, o->temperature, i, own.data + i * own.stride);
        ak_scale((float)(1 / (o->temperature * (double)rows)),
                 t.teacher.data + i * t.teacher.stride, columns);
    }
    for (int64_t i = 0; i < rows; i++)
        sum += divergence[i];
    *value = sum / (double)rows;
    return dx.data ? ak_taught_backward(&t, t.teacher, x, dx, error) : AKIN_OK;
}

const akin_loss_class ak_loss_kl = {
    .size = sizeof(akin_loss_class),
    .name = "kl",
    .summary = "pairs or groups: similarities within a batch are shared out as the teacher's",
    .kind = AKIN_PAIRS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
    .describe = describe,
};
