/* FastAP (Cakir et al., 2019): average precision, made smooth by histograms of squared distances
   D^2 = 2 - 2 s of unit vectors, 0 .. 4, in `bins` cells of width w. A distance belongs to the two
   bounds of its cell, more to the nearer one (triangular pulses). With h+ the histogram of the
   positives, H+ and H the cumulated ones of positives and of everything,

       1 - mean over queries with a positive of  (sum over b of h+_b H+_b / H_b) / number of
   positives

   Histograms are made bound by bound, each a vectorised pass over the row: no scattered writes. */
#include "loss/group_rows.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>

enum { MAX_BINS = 100 };

typedef struct options {
    int64_t bins;
} options;

static const akin_option option_rows[] = {
    {.name = "bins",
     .type = AKIN_OPTION_INT,
     .offset = offsetof(options, bins),
     .default_text = "10",
     .help = "cells of the histogram of distances",
     .minimum = 2,
     .maximum = MAX_BINS},
    {0},
};

/* Similarities to places among the bounds, 0 .. bins; minus infinity lies beyond all pulses. */
static AK_KERNEL void places(const float *s, float per_unit, float *u, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        u[j] = (1 - s[j]) * per_unit;
}

static AK_KERNEL double pulse_sum(const float *u, float bound, int64_t n)
{
    enum { LANES = 32 };
    float lanes[LANES] = {0};
    double sum = 0;
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int k = 0; k < LANES; k++) {
            float pulse = 1 - fabsf(u[j + k] - bound);
            lanes[k] += pulse > 0 ? pulse : 0;
        }
    for (; j < n; j++) {
        float pulse = 1 - fabsf(u[j] - bound);
        sum += pulse > 0 ? (double)pulse : 0;
    }
    for (int k = 0; k < LANES; k++)
        sum += (double)lanes[k];
    return sum;
}

/* out = the step of its cell. Steps are added up cell by cell: step[c] - step[c - 1] from bound c
   on. */
static AK_KERNEL void derivatives(const float *u, const float *step, int64_t bins, float *out,
                                  int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        out[j] = step[0];
    for (int64_t c = 1; c < bins; c++) {
        float bound = (float)c, value = step[c];
        for (int64_t j = 0; j < n; j++)
            out[j] = u[j] >= bound ? value : out[j];
    }
}

typedef struct histogram {
    double positive[MAX_BINS + 1], all[MAX_BINS + 1];
    /* -d precision / d similarity of a distance in cell c, times the number of positives */
    float positive_step[MAX_BINS], negative_step[MAX_BINS];
} histogram;

/* Fills in the steps; returns the sum over bounds. */
static double precision(histogram *h, int64_t bins, double per_unit)
{
    double cumulated[MAX_BINS + 1], total[MAX_BINS + 1], by_positive[MAX_BINS + 1],
        by_negative[MAX_BINS + 1], sum = 0, p = 0, a = 0, later_positive = 0, later = 0;
    for (int64_t b = 0; b <= bins; b++) {
        cumulated[b] = p += h->positive[b];
        total[b] = a += h->all[b];
        sum += a > 0 ? h->positive[b] * p / a : 0;
    }
    for (int64_t b = bins; b >= 0; b--) {
        double share = total[b] > 0 ? 1 / total[b] : 0;
        later_positive += h->positive[b] * share;
        later += h->positive[b] * cumulated[b] * share * share;
        by_negative[b] = -later;
        by_positive[b] = cumulated[b] * share + later_positive - later;
    }
    for (int64_t c = 0; c < bins; c++) {
        h->positive_step[c] = (float)((by_positive[c + 1] - by_positive[c]) * per_unit);
        h->negative_step[c] = (float)((by_negative[c + 1] - by_negative[c]) * per_unit);
    }
    return sum;
}

static double row_loss(void *loss, const ak_group_row *row)
{
    const options *o = loss;
    double per_unit = (double)o->bins / 2, positives = (double)row->positives; /* 2 (1 - s) / w */
    float *u = row->scratch, *v = row->scratch + row->n;
    histogram h;
    if (!row->positives)
        return ak_group_row_nothing(row);
    places(row->negative, (float)per_unit, u, row->n);
    places(row->positive, (float)per_unit, v, row->positives);
    for (int64_t b = 0; b <= o->bins; b++) {
        h.positive[b] = pulse_sum(v, (float)b, row->positives);
        h.all[b] = h.positive[b] + pulse_sum(u, (float)b, row->n);
    }
    double sum = precision(&h, o->bins, per_unit / positives);
    derivatives(u, h.negative_step, o->bins, row->negative, row->n);
    derivatives(v, h.positive_step, o->bins, row->positive, row->positives);
    return 1 - sum / positives;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init(&rows, AK_COSINE, pass, labels, x, error));
    if (!rows.space.finite || !rows.anchors)
        return ak_loss_nothing(&rows.space, dx, value);
    *value = ak_group_rows_run(&rows, row_loss, self) / (double)rows.anchors;
    return ak_group_rows_backward(&rows, (float)(1 / (double)rows.anchors), dx, error);
}

const akin_loss_class ak_loss_fastap = {
    .size = sizeof(akin_loss_class),
    .name = "fastap",
    .summary = "groups: average precision itself, over a histogram of distances",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
};
