/* Percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13):
   draw n queries with replacement, take the mean of the paired differences, repeat; the interval is
   from the 2.5th to the 97.5th percentile. Draw i of resample r is a function of (seed, r, i), so
   all metrics of a report see the same resamples, and threads change nothing. */
#include "eval/eval.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

enum { STREAM = 0x626f6f74 };

/* SplitMix64's i-th number for a key, scaled to 0 .. n - 1 by its upper half. */
static inline uint64_t draw(uint64_t key, uint64_t i, uint64_t n)
{
    uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((z ^ (z >> 31)) >> 32) * n >> 32;
}

/* Eight sums side by side, in a fixed order, so that the loop becomes vectors. */
AK_KERNEL static double resampled_mean(const double *values, int64_t n, uint64_t key)
{
    enum { LANES = 8 };
    double sums[LANES] = {0}, total = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int64_t l = 0; l < LANES; l++)
            sums[l] += values[draw(key, (uint64_t)(i + l), (uint64_t)n)];
    for (; i < n; i++)
        total += values[draw(key, (uint64_t)i, (uint64_t)n)];
    for (int l = 0; l < LANES; l++)
        total += sums[l];
    return total / (double)n;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Between the two nearest of the sorted values, linearly. */
static double percentile(const double *sorted, int64_t n, double share)
{
    double place = share * (double)(n - 1);
    int64_t below = (int64_t)place, above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

/* Sorts the resampled values; those that are NaN do not count. */
static void set_interval(ak_interval *out, double *values, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(values[i]))
            values[count++] = values[i];
    out->low = out->high = out->difference;
    if (count == 0)
        return;
    qsort(values, (size_t)count, sizeof *values, rising);
    out->low = percentile(values, count, 0.025);
    out->high = percentile(values, count, 0.975);
}

static akin_status check_size(int64_t n, int64_t resamples, akin_error *error)
{
    if (resamples < 0 || n > UINT32_MAX)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "cannot draw %" PRId64 " resamples of %" PRId64 " values", resamples, n);
    return AKIN_OK;
}

akin_status ak_bootstrap(ak_interval *out, const double *tuned, const double *base, int64_t n,
                         int64_t resamples, uint64_t seed, akin_error *error)
{
    *out = (ak_interval){NAN, NAN, NAN};
    AK_TRY(check_size(n, resamples, error));
    double *differences = ak_calloc((size_t)n, sizeof *differences);
    double *means = ak_calloc((size_t)resamples, sizeof *means);
    if (!differences || !means) {
        ak_free(differences);
        ak_free(means);
        return ak_fail_memory(error);
    }
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = tuned[i] - (base ? base[i] : 0);
        if (!isnan(difference))
            differences[count++] = difference;
    }
    if (count > 0) {
        out->difference = ak_mean(differences, count);
#pragma omp parallel for
        for (int64_t r = 0; r < resamples; r++)
            means[r] = resampled_mean(differences, count, ak_random(seed, STREAM, (uint64_t)r));
        set_interval(out, means, resamples);
    }
    ak_free(differences);
    ak_free(means);
    return AKIN_OK;
}

/* ---- scored metrics: the metric itself is computed for every resample ---- */

typedef struct scored {
    const ak_metric *metric;
    const float *tuned, *base, *label;
    int64_t n;
} scored;

static akin_status difference_of(const scored *s, akin_arena *arena, double *value,
                                 akin_error *error)
{
    double base = 0;
    AK_TRY(ak_metric_score(s->metric, s->tuned, s->label, s->n, arena, value, error));
    if (s->base)
        AK_TRY(ak_metric_score(s->metric, s->base, s->label, s->n, arena, &base, error));
    *value -= base;
    return AKIN_OK;
}

static akin_status resample(const scored *s, uint64_t key, akin_arena *arena, double *value,
                            akin_error *error)
{
    float *tuned = ak_arena_new(arena, float, s->n), *base = ak_arena_new(arena, float, s->n);
    float *label = ak_arena_new(arena, float, s->n);
    if (!tuned || !base || !label)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < s->n; i++) {
        uint64_t from = draw(key, (uint64_t)i, (uint64_t)s->n);
        tuned[i] = s->tuned[from];
        base[i] = s->base ? s->base[from] : 0;
        label[i] = s->label[from];
    }
    scored drawn = {s->metric, tuned, s->base ? base : NULL, label, s->n};
    return difference_of(&drawn, arena, value, error);
}

/* All resamples, on all threads; an arena each. */
static akin_status resample_all(const scored *s, double *values, int64_t resamples, uint64_t seed,
                                akin_error *error)
{
    akin_status status = AKIN_OK;
#pragma omp parallel
    {
        akin_arena *arena = NULL;
        akin_error own = {0};
        akin_status mine = ak_arena_create(&arena, &own);
#pragma omp for
        for (int64_t r = 0; r < resamples; r++) {
            if (mine)
                continue;
            ak_arena_reset(arena);
            mine = resample(s, ak_random(seed, STREAM, (uint64_t)r), arena, values + r, &own);
        }
#pragma omp critical
        if (mine && !status)
            status = ak_fail(error, mine, "%s", own.message);
        ak_arena_free(arena);
    }
    return status;
}

akin_status ak_bootstrap_scored(ak_interval *out, const ak_metric *metric, const float *tuned,
                                const float *base, const float *label, int64_t n, int64_t resamples,
                                uint64_t seed, akin_error *error)
{
    *out = (ak_interval){NAN, NAN, NAN};
    AK_TRY(check_size(n, resamples, error));
    scored s = {metric, tuned, base, label, n};
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    double *values = ak_arena_new(arena, double, resamples);
    double difference = NAN;
    akin_status status = values ? AKIN_OK : ak_fail_memory(error);
    if (!status)
        status = difference_of(&s, arena, &difference, error);
    if (!status)
        status = resample_all(&s, values, resamples, seed, error);
    if (!status) {
        out->difference = difference;
        set_interval(out, values, resamples);
    }
    ak_arena_free(arena);
    return status;
}
