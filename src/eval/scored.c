/* Correlations of similarities and scores. Pearson: r = cov(x, y) / (sd(x) sd(y)); Spearman: the
   same of the ranks, where equal values share the mean of their ranks. */
#include "eval/order.h"

#include <math.h>

static double correlation(const double *x, const double *y, int64_t n)
{
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        mean_x += x[i];
        mean_y += y[i];
    }
    mean_x /= (double)n;
    mean_y /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        double dx = x[i] - mean_x, dy = y[i] - mean_y;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    return xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : NAN;
}

static akin_status mean_ranks(double *ranks, const float *values, int64_t n, akin_arena *arena,
                              akin_error *error)
{
    uint32_t *order;
    AK_TRY(ak_order_falling(&order, values, n, arena, error));
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && values[order[end]] == values[order[i]];)
            end++;
        for (int64_t j = i; j < end; j++)
            ranks[order[j]] = (double)(i + end - 1) / 2;
    }
    return AKIN_OK;
}

typedef akin_status spread_function(double *out, const float *values, int64_t n, akin_arena *arena,
                                    akin_error *error);

static akin_status copy_values(double *out, const float *values, int64_t n, akin_arena *arena,
                               akin_error *error)
{
    (void)arena;
    (void)error;
    for (int64_t i = 0; i < n; i++)
        out[i] = values[i];
    return AKIN_OK;
}

static akin_status correlate(spread_function *spread, const float *similarity, const float *label,
                             int64_t n, akin_arena *arena, double *value, akin_error *error)
{
    *value = NAN;
    if (n < 2 || ak_any_nan(similarity, n) || ak_any_nan(label, n))
        return AKIN_OK;
    double *x = ak_arena_new(arena, double, n), *y = ak_arena_new(arena, double, n);
    if (!x || !y)
        return ak_fail_memory(error);
    AK_TRY(spread(x, similarity, n, arena, error));
    AK_TRY(spread(y, label, n, arena, error));
    *value = correlation(x, y, n);
    return AKIN_OK;
}

static akin_status spearman(const void *options, const float *similarity, const float *label,
                            int64_t n, akin_arena *arena, double *value, akin_error *error)
{
    (void)options;
    return correlate(mean_ranks, similarity, label, n, arena, value, error);
}

static akin_status pearson(const void *options, const float *similarity, const float *label,
                           int64_t n, akin_arena *arena, double *value, akin_error *error)
{
    (void)options;
    return correlate(copy_values, similarity, label, n, arena, value, error);
}

const akin_metric_class ak_metric_spearman = {
    .size = sizeof(akin_metric_class),
    .name = "spearman",
    .summary = "rank correlation of similarities and scores",
    .kind = AKIN_METRIC_SCORED,
    .score = spearman,
};

const akin_metric_class ak_metric_pearson = {
    .size = sizeof(akin_metric_class),
    .name = "pearson",
    .summary = "linear correlation of similarities and scores",
    .kind = AKIN_METRIC_SCORED,
    .score = pearson,
};
