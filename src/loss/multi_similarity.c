/* Multi-similarity loss (Wang et al., 2019), the loss without its mining. With cosines s, the mean
   over all objects i of

       1/alpha log(1 + sum over positives exp(-alpha (s_ip - lambda)))
     + 1/beta  log(1 + sum over negatives exp( beta  (s_in - lambda)))

   A batch without a single positive is 0: pushing alone would teach nothing about likeness. */
#include "loss/group_rows.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>

typedef struct options {
    double alpha, beta, lambda;
    int mining;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, alpha, "2", 1e-3, 1e4, "sharpness among positives"),
    AK_LOSS_FLOAT_OPTION(options, beta, "50", 1e-3, 1e4, "sharpness among negatives"),
    AK_LOSS_FLOAT_OPTION(options, lambda, "0.5", -1, 1,
                         "the cosine that parts positives from negatives"),
    AK_LOSS_MINING_OPTION(options, mining),
    {0},
};

/* s becomes the derivatives of log(1 + sum exp(scale (s - base))) / |scale|, which is returned.
   most: the largest of scale s. The 1 is exp(0 - shift) once everything is shifted. */
static double softly(float *s, int64_t n, float scale, float base, float most)
{
    float shift = fmaxf(0, most - scale * base);
    ak_scale_shift(s, scale, scale * base + shift, s, n);
    ak_exp(s, s, n);
    double sum = exp(-(double)shift) + (double)ak_sum(s, n);
    ak_scale((float)((scale > 0 ? 1 : -1) / sum), s, n);
    return (log(sum) + (double)shift) / fabs((double)scale);
}

static double row_loss(void *loss, const ak_group_row *row)
{
    const options *o = loss;
    float alpha = (float)o->alpha, beta = (float)o->beta, base = (float)o->lambda;
    double value = 0;
    if (row->positives)
        value += softly(row->positive, row->positives, -alpha, base,
                        -alpha * ak_minimum(row->positive, row->positives));
    if (!row->negatives) {
        ak_group_row negatives = *row;
        negatives.positives = 0;
        return value + ak_group_row_nothing(&negatives);
    }
    return value +
           softly(row->negative, row->n, beta, base, beta * ak_maximum(row->negative, row->n));
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init(&rows, AK_COSINE, pass, labels, x, error));
    if (!rows.space.finite || !rows.anchors)
        return ak_loss_nothing(&rows.space, dx, value);
    double part = 1 / (double)labels->count;
    AK_TRY(ak_group_rows_mine(&rows, (ak_mining)((const options *)self)->mining, pass, error));
    *value = ak_group_rows_run(&rows, row_loss, self) * part;
    return ak_group_rows_backward(&rows, (float)part, dx, error);
}

static akin_status compute_memory(void *self, const akin_pass *pass, const akin_labels *labels,
                                  akin_matrix x, const akin_memory *memory, akin_matrix dx,
                                  double *value, akin_error *error)
{
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init_memory(&rows, pass, labels, x, memory, error));
    AK_TRY(ak_group_rows_mine(&rows, (ak_mining)((const options *)self)->mining, pass, error));
    return ak_group_rows_run_memory(&rows, row_loss, self, 1 / (double)labels->count, dx, value,
                                    error);
}

const akin_loss_class ak_loss_multi_similarity = {
    .size = sizeof(akin_loss_class),
    .name = "multi_similarity",
    .summary = "groups: positives and negatives weighed by how near they are",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
    .compute_memory = compute_memory,
};
