/* CoSENT (Su, 2022): pairs of higher score are to have the higher cosine, whatever the numbers are.
   With cosines s_i, scores y_i and a scale,

       log(1 + sum over i, j with y_i < y_j of exp(scale (s_i - s_j)))

   The pairs of pairs are never listed: sorted by score, every i meets the sum of exp(-scale s_j)
   over all higher scores, which is a running one. Running sums are kept as logarithms, so that no
   scale overflows: O(n log n). */
#include "loss/edges.h"
#include "loss/loss.h"
#include "loss/tools.h"
#include "loss/triplet_rows.h"

#include <math.h>
#include <string.h>

typedef struct options {
    double scale;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, scale, "20", 1e-3, 1e4,
                         "factor on the cosines, the inverse of a temperature"),
    {0},
};

typedef struct order {
    int64_t n;
    const float *score;
    ak_keyed *items; /* ascending by score */
    double *logit;   /* n: scale * s */
    double *less;    /* n: log of the sum over lower scores of exp(logit_i - own) */
    double *more;    /* n: log of the sum over higher scores of exp(own - logit_j) */
} order;

/* Unsigned numbers in the order of the floats; both zeros are one. */
static uint32_t key_of(float x)
{
    uint32_t bits;
    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static double add_logarithms(double a, double b)
{
    double high = fmax(a, b), low = fmin(a, b);
    return isinf(low) ? high : high + log1p(exp(low - high));
}

/* Walks the items in one direction; pairs of one score meet the same running sum. */
static void running(const order *o, bool rising, double *out)
{
    double sum = -INFINITY, sign = rising ? 1 : -1;
    for (int64_t first = 0, end; first < o->n; first = end) {
        end = first;
#define ITEM(k) (o->items[rising ? (k) : o->n - 1 - (k)])
        for (; end < o->n && ITEM(end).key == ITEM(first).key; end++)
            out[ITEM(end).at] = sum - sign * o->logit[ITEM(end).at];
        for (int64_t k = first; k < end; k++)
            sum = add_logarithms(sum, sign * o->logit[ITEM(k).at]);
#undef ITEM
    }
}

static akin_status order_init(order *o, const akin_labels *labels, akin_arena *arena,
                              akin_error *error)
{
    int64_t n = labels->count;
    ak_keyed *spare = ak_arena_new(arena, ak_keyed, n);
    *o = (order){.n = n,
                 .score = labels->score,
                 .items = ak_arena_new(arena, ak_keyed, n),
                 .logit = ak_arena_new(arena, double, n),
                 .less = ak_arena_new(arena, double, n),
                 .more = ak_arena_new(arena, double, n)};
    if (!spare || !o->items || !o->logit || !o->less || !o->more)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++)
        o->items[i] = (ak_keyed){key_of(labels->score[i]), (int32_t)i};
    ak_sort_keyed(o->items, spare, n);
    return AKIN_OK;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const options *own = self;
    int64_t n = labels->count;
    double total = 0; /* logarithm, the 1 included */
    ak_space space;
    order o;
    ak_edge *edges = ak_arena_new(pass->arena, ak_edge, n);
    if (!edges)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&space, AK_COSINE, pass, x, error));
    if (!space.finite)
        return ak_loss_nothing(&space, dx, value);
    AK_TRY(order_init(&o, labels, pass->arena, error));
    for (int64_t i = 0; i < n; i++) {
        edges[i] = (ak_edge){i, i + n, ak_space_distance(&space, i, i + n), 0};
        o.logit[i] = own->scale * (1 - (double)edges[i].distance);
    }
    running(&o, true, o.less);
    running(&o, false, o.more);
    for (int64_t i = 0; i < n; i++)
        total = add_logarithms(total, o.more[i]);
    *value = total;
    if (!dx.data)
        return AKIN_OK;
    for (int64_t i = 0; i < n; i++) {
        double up = exp(o.more[i] - total), down = exp(o.less[i] - total);
        edges[i].weight = (float)(-own->scale * (up - down));
    }
    return ak_edges_backward(&space, edges, n, dx, error);
}

const akin_loss_class ak_loss_cosent = {
    .size = sizeof(akin_loss_class),
    .name = "cosent",
    .summary = "pairs: higher scores get higher cosines, only the order counts",
    .kind = AKIN_PAIRS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
};
