/* The losses over whole batches and those with class rows, in double precision, written from their
   definitions for reading. */
#ifndef AK_TESTS_LOSSES_MORE_REFERENCE_H
#define AK_TESTS_LOSSES_MORE_REFERENCE_H

#include "loss/loss.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_ROWS = 256 };

typedef struct scene {
    int64_t samples, objects, width, groups; /* pairs: objects = 2 samples */
    int64_t content[MAX_ROWS], group[MAX_ROWS];
    float score[MAX_ROWS];
    const double *detached; /* where weights without gradient are computed (circle) */
} scene;

typedef struct settings { /* what options say; each loss reads its own */
    double margin, scale, temperature, alpha, beta, lambda;
    int bins, distance; /* distance 1: euclidean */
    bool all, normalize;
} settings;

typedef double reference(const scene *p, const settings *o, const double *x, const double *w);

static double dot_of(const double *a, const double *b, int64_t d)
{
    double sum = 0;
    for (int64_t k = 0; k < d; k++)
        sum += a[k] * b[k];
    return sum;
}

static double cos_of(const double *a, const double *b, int64_t d)
{
    double norms = sqrt(dot_of(a, a, d) * dot_of(b, b, d));
    return norms > 0 ? dot_of(a, b, d) / norms : 0;
}

static double s_of(const scene *p, const double *x, int64_t i, int64_t j)
{
    return cos_of(x + i * p->width, x + j * p->width, p->width);
}

static double relu(double z)
{
    return z > 0 ? z : 0;
}

static bool is_positive(const scene *p, int64_t i, int64_t j)
{
    return i != j && p->group[i] == p->group[j];
}

static bool is_negative(const scene *p, int64_t i, int64_t j)
{
    return p->group[i] != p->group[j] && p->content[i] != p->content[j];
}

typedef struct counts {
    int64_t positives, negatives;
} counts;

static counts count_of(const scene *p, int64_t i)
{
    counts c = {0, 0};
    for (int64_t j = 0; j < p->objects; j++) {
        c.positives += is_positive(p, i, j);
        c.negatives += is_negative(p, i, j);
    }
    return c;
}

static double ref_supcon(const scene *p, const settings *o, const double *x, const double *w)
{
    double total = 0, anchors = 0;
    (void)w;
    for (int64_t i = 0; i < p->objects; i++) {
        double sum = 0, mean = 0, positives = (double)count_of(p, i).positives;
        for (int64_t j = 0; j < p->objects; j++) {
            double logit = s_of(p, x, i, j) / o->temperature;
            sum += is_positive(p, i, j) || is_negative(p, i, j) ? exp(logit) : 0;
            mean += is_positive(p, i, j) ? logit / positives : 0;
        }
        total += positives > 0 ? log(sum) - mean : 0;
        anchors += positives > 0;
    }
    return anchors > 0 ? total / anchors : 0;
}

static double ref_multi_similarity(const scene *p, const settings *o, const double *x,
                                   const double *w)
{
    double total = 0;
    bool any = false;
    (void)w;
    for (int64_t i = 0; i < p->objects; i++) {
        double near = 1, far = 1;
        for (int64_t j = 0; j < p->objects; j++) {
            double s = s_of(p, x, i, j) - o->lambda;
            near += is_positive(p, i, j) ? exp(-o->alpha * s) : 0;
            far += is_negative(p, i, j) ? exp(o->beta * s) : 0;
            any = any || is_positive(p, i, j);
        }
        total += log(near) / o->alpha + log(far) / o->beta;
    }
    return any ? total / (double)p->objects : 0;
}

/* A logarithm of a sum of exponentials that grows term by term; -infinity: none yet. */
static void add_term(double *log_sum, double term)
{
    double high = fmax(*log_sum, term), low = fmin(*log_sum, term);
    *log_sum = isinf(low) ? high : high + log1p(exp(low - high));
}

static double ref_circle(const scene *p, const settings *o, const double *x, const double *w)
{
    double total = 0, queries = 0, m = o->margin;
    (void)w;
    for (int64_t i = 0; i < p->objects; i++) {
        counts c = count_of(p, i);
        double near = -INFINITY, far = -INFINITY;
        if (!c.positives || !c.negatives)
            continue;
        for (int64_t j = 0; j < p->objects; j++) {
            double s = s_of(p, x, i, j), fixed = s_of(p, p->detached ? p->detached : x, i, j);
            if (is_positive(p, i, j))
                add_term(&near, -o->scale * relu(1 + m - fixed) * (s - 1 + m));
            if (is_negative(p, i, j))
                add_term(&far, o->scale * relu(fixed + m) * (s - m));
        }
        total += relu(near + far) + log1p(exp(-fabs(near + far)));
        queries++;
    }
    return queries > 0 ? total / queries : 0;
}

static double ref_fastap(const scene *p, const settings *o, const double *x, const double *w)
{
    double total = 0, queries = 0, cell = 4.0 / o->bins;
    (void)w;
    for (int64_t i = 0; i < p->objects; i++) {
        double positives = 0, all = 0, sum = 0, count = (double)count_of(p, i).positives;
        for (int b = 0; b <= o->bins; b++) {
            double near = 0, far = 0;
            for (int64_t j = 0; j < p->objects; j++) {
                double pulse = relu(1 - fabs(2 - 2 * s_of(p, x, i, j) - b * cell) / cell);
                near += is_positive(p, i, j) ? pulse : 0;
                far += is_negative(p, i, j) ? pulse : 0;
            }
            positives += near;
            all += near + far;
            sum += all > 0 ? near * positives / all : 0;
        }
        total += count > 0 ? sum / count : 0;
        queries += count > 0;
    }
    return queries > 0 ? 1 - total / queries : 0;
}

static double ref_distance(const scene *p, const settings *o, const double *x, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t k = 0; k < p->width; k++)
        sum += pow(x[i * p->width + k] - x[j * p->width + k], 2);
    return o->distance ? sqrt(sum) : 1 - s_of(p, x, i, j);
}

static double ref_online(const scene *p, const settings *o, const double *x, const double *w)
{
    double far = -INFINITY, near = INFINITY, sum[2] = {0, 0}, count[2] = {0, 0};
    bool any = false;
    (void)w;
    for (int64_t i = 0; i < p->objects; i++)
        for (int64_t j = 0; j < i; j++) {
            double d = ref_distance(p, o, x, i, j);
            far = is_positive(p, i, j) ? fmax(far, d) : far;
            near = is_negative(p, i, j) ? fmin(near, d) : near;
            any = any || is_positive(p, i, j);
        }
    for (int64_t i = 0; i < p->objects; i++)
        for (int64_t j = 0; j < i; j++) {
            double d = ref_distance(p, o, x, i, j);
            if (is_positive(p, i, j) && (o->all || d > near)) {
                sum[0] += d * d;
                count[0]++;
            }
            if (is_negative(p, i, j) && (o->all || d < far)) {
                sum[1] += pow(relu(o->margin - d), 2);
                count[1]++;
            }
        }
    return any ? sum[0] / fmax(1, count[0]) + sum[1] / fmax(1, count[1]) : 0;
}

/* ---- class rows ---- */

typedef double target_function(const settings *o, double z);

static double cross_entropy(const scene *p, const settings *o, const double *x, const double *w,
                            bool unit, double scale, target_function *target)
{
    double total = 0, members = 0;
    for (int64_t i = 0; i < p->objects; i++) {
        double sum = 0, own = 0;
        for (int64_t g = 0; g < p->groups && p->group[i] < p->groups; g++) {
            const double *a = x + i * p->width, *b = w + g * p->width;
            double z = unit ? cos_of(a, b, p->width) : dot_of(a, b, p->width);
            double logit = scale * (g == p->group[i] ? target(o, z) : z);
            sum += exp(logit);
            own = g == p->group[i] ? logit : own;
        }
        total += p->group[i] < p->groups ? log(sum) - own : 0;
        members += p->group[i] < p->groups;
    }
    return members > 0 ? total / members : 0;
}

static double same(const settings *o, double z)
{
    (void)o;
    return z;
}

static double by_angle(const settings *o, double z)
{
    double c = fmin(1 - 1e-7, fmax(-1 + 1e-7, z)), m = o->margin;
    return c > cos(M_PI - m) ? cos(acos(c) + m) : c - m * sin(M_PI - m);
}

static double less_margin(const settings *o, double z)
{
    return z - o->margin;
}

static double ref_softmax(const scene *p, const settings *o, const double *x, const double *w)
{
    return cross_entropy(p, o, x, w, o->normalize, 1 / o->temperature, same);
}

static double ref_arcface(const scene *p, const settings *o, const double *x, const double *w)
{
    return cross_entropy(p, o, x, w, true, o->scale, by_angle);
}

static double ref_cosface(const scene *p, const settings *o, const double *x, const double *w)
{
    return cross_entropy(p, o, x, w, true, o->scale, less_margin);
}

static double ref_center(const scene *p, const settings *o, const double *x, const double *w)
{
    double total = 0, members = 0;
    for (int64_t i = 0; i < p->objects; i++) {
        const double *a = x + i * p->width, *c = w + p->group[i] * p->width;
        double norm = sqrt(dot_of(a, a, p->width));
        for (int64_t k = 0; k < p->width && p->group[i] < p->groups; k++)
            total += pow(a[k] / norm - c[k], 2);
        members += p->group[i] < p->groups;
    }
    return members > 0 ? o->lambda / 2 * total / members : 0;
}

static double ref_proxy_anchor(const scene *p, const settings *o, const double *x, const double *w)
{
    double near = 0, far = 0, with_objects = 0;
    for (int64_t g = 0; g < p->groups; g++) {
        double own = 0, others = 0;
        for (int64_t i = 0; i < p->objects; i++) {
            double s = cos_of(x + i * p->width, w + g * p->width, p->width);
            own += p->group[i] == g ? exp(-o->alpha * (s - o->margin)) : 0;
            others +=
                p->group[i] != g && p->group[i] < p->groups ? exp(o->alpha * (s + o->margin)) : 0;
        }
        near += log1p(own);
        far += log1p(others);
        with_objects += own > 0;
    }
    return with_objects > 0 ? near / with_objects + far / (double)p->groups : 0;
}

/* ---- pairs ---- */

static double ref_cosent(const scene *p, const settings *o, const double *x, const double *w)
{
    double sum = 1;
    int64_t n = p->samples;
    (void)w;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (p->score[i] < p->score[j])
                sum += exp(o->scale * (s_of(p, x, i, i + n) - s_of(p, x, j, j + n)));
    return log(sum);
}

static double ref_cosine_similarity(const scene *p, const settings *o, const double *x,
                                    const double *w)
{
    double sum = 0;
    int64_t n = p->samples;
    (void)o, (void)w;
    for (int64_t i = 0; i < n; i++)
        sum += pow(s_of(p, x, i, i + n) - (double)p->score[i], 2) / (double)n;
    return sum;
}

#endif
