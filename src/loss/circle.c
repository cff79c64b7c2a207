/* Circle loss (Sun et al., 2020). With cosines s, margin m and factor gamma, the mean over the
   objects that have a positive and a negative of

       log(1 + sum over n of exp(gamma a_n (s_n - m)) * sum over p of exp(-gamma a_p (s_p - 1 + m)))
       a_p = [1 + m - s_p]+    a_n = [s_n + m]+     (no gradient goes through a_p and a_n)

   Published for faces: m 0.25 and gamma 256, the defaults; for retrieval m 0.4 and gamma 80. */
#include "loss/group_rows.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>

typedef struct options {
    double margin, gamma;
    int mining;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(
        options, margin, "0.25", -1, 1,
        "cosines above 1 - margin and below margin are good enough; retrieval: 0.4"),
    AK_LOSS_FLOAT_OPTION(options, gamma, "256", 1e-3, 1e4, "sharpness; retrieval: 80"),
    AK_LOSS_MINING_OPTION(options, mining),
    {0},
};

/* Places that are no negatives hold minus infinity, and so must their logits. */
static AK_KERNEL void negative_logits(const float *s, float gamma, float margin, float *weight,
                                      float *logit, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float w = s[j] + margin > 0 ? gamma * (s[j] + margin) : 0.0f;
        weight[j] = w;
        logit[j] = s[j] > -2 ? w * (s[j] - margin) : -INFINITY;
    }
}

static AK_KERNEL void positive_logits(const float *s, float gamma, float margin, float *weight,
                                      float *logit, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float w = 1 + margin - s[j] > 0 ? -gamma * (1 + margin - s[j]) : -0.0f;
        weight[j] = w;
        logit[j] = w * (s[j] - 1 + margin);
    }
}

static AK_KERNEL void weigh(const float *weight, float factor, float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        x[j] *= weight[j] * factor;
}

/* x becomes exp(x - largest); returns the logarithm of the sum before. */
static double exponentials(float *x, int64_t n, double *sum)
{
    float shift = ak_maximum(x, n);
    ak_scale_shift(x, 1, shift, x, n);
    ak_exp(x, x, n);
    *sum = (double)ak_sum(x, n);
    return log(*sum) + (double)shift;
}

static double row_loss(void *loss, const ak_group_row *row)
{
    const options *o = loss;
    float gamma = (float)o->gamma, margin = (float)o->margin;
    float *of_negative = row->scratch, *of_positive = row->scratch + row->n;
    double negatives, positives;
    if (!row->positives || !row->negatives)
        return ak_group_row_nothing(row);
    negative_logits(row->negative, gamma, margin, of_negative, row->negative, row->n);
    positive_logits(row->positive, gamma, margin, of_positive, row->positive, row->positives);
    double z = exponentials(row->negative, row->n, &negatives) +
               exponentials(row->positive, row->positives, &positives);
    double slope = 1 / (1 + exp(-z));
    weigh(of_negative, (float)(slope / negatives), row->negative, row->n);
    weigh(of_positive, (float)(slope / positives), row->positive, row->positives);
    return (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init(&rows, AK_COSINE, pass, labels, x, error));
    double queries = (double)(rows.anchors - rows.lonely);
    if (!rows.space.finite || queries == 0)
        return ak_loss_nothing(&rows.space, dx, value);
    AK_TRY(ak_group_rows_mine(&rows, (ak_mining)((const options *)self)->mining, pass, error));
    *value = ak_group_rows_run(&rows, row_loss, self) / queries;
    return ak_group_rows_backward(&rows, (float)(1 / queries), dx, error);
}

const akin_loss_class ak_loss_circle = {
    .size = sizeof(akin_loss_class),
    .name = "circle",
    .summary = "groups: every similarity is pushed as hard as it is wrong",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
};
