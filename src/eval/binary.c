/* Pairs that are alike (score > 0.5) or not, told apart by a threshold on the similarity: alike if
   similarity >= threshold. Accuracy and F1 are those of their best threshold; equal similarities
   are never parted. Average precision: sum over the thresholds of (recall - recall before)
   precision, as scikit-learn defines it. */
#include "eval/order.h"

#include <math.h>

/* The first `count` pairs in the order of falling similarity are called alike; `alike` of them are.
 */
typedef struct cut {
    int64_t count, alike, last; /* last: the `alike` of the cut before */
    double threshold;
} cut;

typedef struct pairs {
    const float *similarity, *label;
    const uint32_t *order;
    int64_t n, alike;
} pairs;

static akin_status sort_pairs(pairs *p, const float *similarity, const float *label, int64_t n,
                              akin_arena *arena, akin_error *error)
{
    uint32_t *order;
    AK_TRY(ak_order_falling(&order, similarity, n, arena, error));
    *p = (pairs){.similarity = similarity, .label = label, .order = order, .n = n};
    for (int64_t i = 0; i < n; i++)
        p->alike += label[i] > 0.5f;
    return AKIN_OK;
}

/* To the next cut; false after the last. The threshold lies half-way to the next similarity. */
static bool next_cut(const pairs *p, cut *c)
{
    if (c->count == p->n)
        return false;
    float here = p->similarity[p->order[c->count]];
    c->last = c->alike;
    for (; c->count < p->n && p->similarity[p->order[c->count]] == here; c->count++)
        c->alike += p->label[p->order[c->count]] > 0.5f;
    c->threshold = here;
    if (c->count < p->n)
        c->threshold = ((double)here + (double)p->similarity[p->order[c->count]]) / 2;
    return true;
}

/* The best accuracy and the highest threshold that has it; the cut before the first one calls
   nothing alike. */
static double best_accuracy(const pairs *p, double *threshold)
{
    cut c = {0};
    int64_t best = p->n - p->alike;
    *threshold = nextafter(p->similarity[p->order[0]], INFINITY);
    while (next_cut(p, &c)) {
        int64_t right = c.alike + (p->n - p->alike) - (c.count - c.alike);
        if (right > best) {
            best = right;
            *threshold = c.threshold;
        }
    }
    return (double)best / (double)p->n;
}

static bool undefined(const float *similarity, const float *label, int64_t n)
{
    return n == 0 || ak_any_nan(similarity, n) || ak_any_nan(label, n);
}

static akin_status accuracy(const void *options, const float *similarity, const float *label,
                            int64_t n, akin_arena *arena, double *value, akin_error *error)
{
    (void)options;
    pairs p;
    double threshold;
    *value = NAN;
    if (undefined(similarity, label, n))
        return AKIN_OK;
    AK_TRY(sort_pairs(&p, similarity, label, n, arena, error));
    *value = best_accuracy(&p, &threshold);
    return AKIN_OK;
}

static akin_status threshold_of_accuracy(const void *options, const float *similarity,
                                         const float *label, int64_t n, akin_arena *arena,
                                         double *value, akin_error *error)
{
    (void)options;
    pairs p;
    *value = NAN;
    if (undefined(similarity, label, n))
        return AKIN_OK;
    AK_TRY(sort_pairs(&p, similarity, label, n, arena, error));
    best_accuracy(&p, value);
    return AKIN_OK;
}

static akin_status f1(const void *options, const float *similarity, const float *label, int64_t n,
                      akin_arena *arena, double *value, akin_error *error)
{
    (void)options;
    pairs p;
    *value = NAN;
    if (undefined(similarity, label, n))
        return AKIN_OK;
    AK_TRY(sort_pairs(&p, similarity, label, n, arena, error));
    if (p.alike == 0)
        return AKIN_OK;
    *value = 0;
    for (cut c = {0}; next_cut(&p, &c);)
        *value = fmax(*value, 2.0 * (double)c.alike / (double)(c.count + p.alike));
    return AKIN_OK;
}

static akin_status average_precision(const void *options, const float *similarity,
                                     const float *label, int64_t n, akin_arena *arena,
                                     double *value, akin_error *error)
{
    (void)options;
    pairs p;
    *value = NAN;
    if (undefined(similarity, label, n))
        return AKIN_OK;
    AK_TRY(sort_pairs(&p, similarity, label, n, arena, error));
    if (p.alike == 0)
        return AKIN_OK;
    double sum = 0;
    for (cut c = {0}; next_cut(&p, &c);)
        sum += (double)(c.alike - c.last) * (double)c.alike / (double)c.count;
    *value = sum / (double)p.alike;
    return AKIN_OK;
}

#define BINARY_METRIC(variable, name_text, summary_text, function)                                 \
    const akin_metric_class variable = {.size = sizeof(akin_metric_class),                         \
                                        .name = name_text,                                         \
                                        .summary = summary_text,                                   \
                                        .kind = AKIN_METRIC_SCORED,                                \
                                        .score = function};

BINARY_METRIC(ak_metric_accuracy, "accuracy", "share of pairs told right by the best threshold",
              accuracy)
BINARY_METRIC(ak_metric_threshold, "threshold", "the similarity threshold of the best accuracy",
              threshold_of_accuracy)
BINARY_METRIC(ak_metric_f1, "f1", "best harmonic mean of precision and recall", f1)
BINARY_METRIC(ak_metric_average_precision, "average_precision",
              "area under precision over recall, pairs by falling similarity", average_precision)
