/* The losses in double precision, written from their definitions for reading, triplet by triplet
   and pair by pair: what the library's losses and their gradients are compared with. */
#ifndef AK_TESTS_LOSSES_REFERENCE_H
#define AK_TESTS_LOSSES_REFERENCE_H

#include "loss/loss.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_OBJECTS = 256, MAX_KNOWN = 4096 };

typedef struct problem {
    const akin_loss_class *loss;
    double scale, margin;
    bool symmetric, size_average, soft;
    int mining, distance;
    int64_t objects, width;
    int64_t content[MAX_OBJECTS], group[MAX_OBJECTS];
    float score[MAX_OBJECTS];
    bool has_subgroup;
    int64_t subgroup[MAX_OBJECTS];
    int64_t known[MAX_KNOWN][2]; /* pairs of contents */
    int64_t known_count;
} problem;

static double ref_dot(const double *a, const double *b, int64_t d)
{
    double sum = 0;
    for (int64_t k = 0; k < d; k++)
        sum += a[k] * b[k];
    return sum;
}

static double ref_cosine(const double *a, const double *b, int64_t d)
{
    double norms = sqrt(ref_dot(a, a, d) * ref_dot(b, b, d));
    return norms > 0 ? ref_dot(a, b, d) / norms : 0;
}

static double ref_distance(const problem *p, const double *x, int64_t i, int64_t j)
{
    const double *a = x + i * p->width, *b = x + j * p->width;
    double sum = 0;
    if (p->distance == AK_COSINE)
        return 1 - ref_cosine(a, b, p->width);
    if (p->distance == AK_DOT_PRODUCT)
        return -ref_dot(a, b, p->width);
    for (int64_t k = 0; k < p->width; k++)
        sum += p->distance == AK_EUCLIDEAN ? (a[k] - b[k]) * (a[k] - b[k]) : fabs(a[k] - b[k]);
    return p->distance == AK_EUCLIDEAN ? sqrt(sum) : sum;
}

static bool ref_alike(const problem *p, int64_t c, int64_t d)
{
    for (int64_t k = 0; k < p->known_count; k++)
        if ((p->known[k][0] == c && p->known[k][1] == d) ||
            (p->known[k][0] == d && p->known[k][1] == c))
            return true;
    return c == d;
}

static double ref_relu(double z)
{
    return z > 0 ? z : 0;
}

static bool ref_is_negative(const problem *p, int64_t i, int64_t j)
{
    int64_t n = p->objects / 2, a = p->content[i], b = p->content[n + j];
    bool same_subgroup = p->has_subgroup && p->subgroup[i] == p->subgroup[j], said_no = false;
    for (int64_t k = 0; k < n; k++) {
        if (p->content[k] != a || p->content[n + k] != b)
            continue;
        if (p->score[k] > 0.5f)
            return false;
        said_no = true;
    }
    return !ref_alike(p, a, b) && (said_no || !same_subgroup);
}

static double ref_ranking(const problem *p, const double *x)
{
    int64_t n = p->objects / 2, d = p->width, anchors = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(p->score[i] > 0.5f))
            continue;
        anchors++;
        double rows = 1, columns = 1, own = ref_cosine(x + i * d, x + (n + i) * d, d);
        for (int64_t j = 0; j < n; j++) {
            double to_b = ref_cosine(x + i * d, x + (n + j) * d, d);
            double to_a = ref_cosine(x + j * d, x + (n + i) * d, d);
            if (j != i && ref_is_negative(p, i, j))
                rows += exp(p->scale * (to_b - own));
            if (j != i && ref_is_negative(p, j, i))
                columns += exp(p->scale * (to_a - own));
        }
        sum += p->symmetric ? (log(rows) + log(columns)) / 2 : log(rows);
    }
    return anchors ? sum / (double)anchors : 0;
}

static double ref_contrastive(const problem *p, const double *x)
{
    int64_t n = p->objects / 2;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double y = (double)p->score[i], d = ref_distance(p, x, i, n + i);
        sum += y * d * d + (1 - y) * pow(ref_relu(p->margin - d), 2);
    }
    for (int64_t i = 0; p->has_subgroup && i < 2 * n; i++) {
        double nearest = INFINITY;
        for (int64_t j = 0; j < 2 * n; j++) {
            double d = ref_distance(p, x, i, j);
            if (p->subgroup[i % n] != p->subgroup[j % n] && d < nearest &&
                !ref_alike(p, p->content[i], p->content[j]))
                nearest = d;
        }
        sum += pow(ref_relu(p->margin - nearest), 2);
    }
    return sum / 2 / (p->size_average ? (double)n : 1);
}

typedef struct ref_sum {
    double terms[MAX_OBJECTS * MAX_OBJECTS], total, near;
    int64_t count;
} ref_sum;

/* Hard: gathers the differences; the others: adds to the total. */
static void ref_anchor(const problem *p, const double *x, int64_t a, ref_sum *sum)
{
    double farthest_positive = -INFINITY, nearest = INFINITY, farthest = -INFINITY;
    int64_t n = p->objects;
#define POSITIVE(j) ((j) != a && p->group[j] == p->group[a])
#define NEGATIVE(j) (p->group[j] != p->group[a] && p->content[j] != p->content[a])
    for (int64_t j = 0; j < n; j++) {
        double d = ref_distance(p, x, a, j);
        if (POSITIVE(j))
            farthest_positive = fmax(farthest_positive, d);
        if (NEGATIVE(j)) {
            nearest = fmin(nearest, d);
            farthest = fmax(farthest, d);
        }
    }
    if (isinf(farthest_positive) || isinf(nearest))
        return;
    if (p->mining == 0) {
        sum->terms[sum->count++] = farthest_positive - nearest;
        sum->near += nearest;
        return;
    }
    for (int64_t j = 0; j < n; j++) {
        double d = ref_distance(p, x, a, j), next = INFINITY;
        for (int64_t k = 0; POSITIVE(j) && k < n; k++) {
            double e = ref_distance(p, x, a, k);
            if (!NEGATIVE(k))
                continue;
            next = e > d ? fmin(next, e) : next;
            if (p->mining == 2 && d - e + p->margin > 0) {
                sum->total += d - e + p->margin;
                sum->count++;
            }
        }
        if (p->mining == 1 && POSITIVE(j)) {
            sum->total += ref_relu(d - (isinf(next) ? farthest : next) + p->margin);
            sum->count++;
        }
    }
#undef POSITIVE
#undef NEGATIVE
}

static double ref_triplet(const problem *p, const double *x)
{
    ref_sum *sum = calloc(1, sizeof *sum);
    for (int64_t a = 0; a < p->objects; a++)
        ref_anchor(p, x, a, sum);
    double n = (double)sum->count, mean = fmax(1e-6, sum->near / n);
    for (int64_t i = 0; p->mining == 0 && i < sum->count; i++)
        sum->total +=
            p->soft ? log1p(exp(sum->terms[i])) : ref_relu(sum->terms[i] / mean + p->margin);
    double value = sum->count ? sum->total / n : 0;
    free(sum);
    return value;
}

static double ref_loss(const problem *p, const double *x)
{
    if (p->loss == &ak_loss_multiple_negatives_ranking)
        return ref_ranking(p, x);
    return p->loss == &ak_loss_contrastive ? ref_contrastive(p, x) : ref_triplet(p, x);
}

#endif
