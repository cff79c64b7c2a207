/* Supervised contrastive loss (Khosla et al., 2020; "L_out"). With cosines s and temperature T, the
   mean over the objects i that have a positive of

       log sum_j exp(s_ij / T) - mean over positives p of s_ip / T

   The sum runs over all other objects of the batch but those of another group whose content is
   equal to i's. */
#include "loss/group_rows.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>

typedef struct options {
    double temperature;
    int mining;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, temperature, "0.1", 1e-3, 1e3,
                         "divides the cosines: small ones look at the nearest objects only"),
    AK_LOSS_MINING_OPTION(options, mining),
    {0},
};

static double row_loss(void *loss, const ak_group_row *row)
{
    const options *o = loss;
    float scale = (float)(1 / o->temperature);
    if (!row->positives)
        return ak_group_row_nothing(row);
    float most =
        fmaxf(ak_maximum(row->negative, row->n), ak_maximum(row->positive, row->positives));
    float shift = most * scale;
    double mean = (double)ak_sum(row->positive, row->positives) / (double)row->positives;
    ak_scale_shift(row->negative, scale, shift, row->negative, row->n);
    ak_scale_shift(row->positive, scale, shift, row->positive, row->positives);
    ak_exp(row->negative, row->negative, row->n);
    ak_exp(row->positive, row->positive, row->positives);
    double sum =
        (double)ak_sum(row->negative, row->n) + (double)ak_sum(row->positive, row->positives);
    float factor = (float)((double)scale / sum);
    ak_scale(factor, row->negative, row->n);
    ak_scale_shift(row->positive, factor, scale / (float)row->positives, row->positive,
                   row->positives);
    return log(sum) + (double)shift - mean * (double)scale;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init(&rows, AK_COSINE, pass, labels, x, error));
    if (!rows.space.finite || !rows.anchors)
        return ak_loss_nothing(&rows.space, dx, value);
    AK_TRY(ak_group_rows_mine(&rows, (ak_mining)((const options *)self)->mining, pass, error));
    *value = ak_group_rows_run(&rows, row_loss, self) / (double)rows.anchors;
    return ak_group_rows_backward(&rows, (float)(1 / (double)rows.anchors), dx, error);
}

static akin_status compute_memory(void *self, const akin_pass *pass, const akin_labels *labels,
                                  akin_matrix x, const akin_memory *memory, akin_matrix dx,
                                  double *value, akin_error *error)
{
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init_memory(&rows, pass, labels, x, memory, error));
    AK_TRY(ak_group_rows_mine(&rows, (ak_mining)((const options *)self)->mining, pass, error));
    return ak_group_rows_run_memory(&rows, row_loss, self, 1 / (double)rows.anchors, dx, value,
                                    error);
}

const akin_loss_class ak_loss_supcon = {
    .size = sizeof(akin_loss_class),
    .name = "supcon",
    .summary = "groups: all positives at once against the whole batch (supervised contrastive)",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
    .compute_memory = compute_memory,
};
