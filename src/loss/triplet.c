/* Triplet losses on groups, with distances D and margin m.

   hard (Hermans, Beyer, Leibe, 2017, with the divisor of Quaterion): over the anchors that have a
   positive and a negative, d+ their farthest positive and d- their nearest negative,

       mean [ (d+ - d-) / max(1e-6, mean d-) + m ]+         soft: mean log(1 + exp(d+ - d-))

   The gradient goes through the divisor: making every distance smaller does not make the loss
   smaller, and that keeps the vectors from falling into one point. Without scale, too.

   semi_hard (Schroff et al., 2015): for every anchor and positive the nearest negative that is
   farther than the positive, else the farthest one; mean [D_ap - D_an + m]+.
   all: the mean of D_ap - D_an + m over the triplets where it is positive.
   distance_weighted (Wu et al., 2017): for every anchor and positive a drawn negative (miner.c);
   mean [D_ap - D_an + m]+.

   Objects of equal content are never negatives of each other, whatever their groups. */
#include "loss/edges.h"
#include "loss/group_rows.h"
#include "loss/loss.h"
#include "loss/mining.h"
#include "loss/tools.h"
#include "loss/triplet.h"
#include "loss/triplet_rows.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef ak_triplet_options options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, margin, "0.5", 0, 1e6,
                         "how much farther than the positive the negative should be"),
    {.name = "mining",
     .type = AKIN_OPTION_CHOICE,
     .offset = offsetof(options, mining),
     .default_text = "hard",
     .choices = "hard|semi_hard|all|distance_weighted",
     .help = "which triplets of a batch count"},
    {.name = "soft",
     .type = AKIN_OPTION_BOOL,
     .offset = offsetof(options, soft),
     .default_text = "false",
     .help = "mining hard: log(1 + exp) in place of the margin"},
    AK_LOSS_DISTANCE_OPTION(options, distance),
    {0},
};

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    static const char *const names[] = {"hard", "semi_hard", "all", "distance_weighted"};
    const options *o = given;
    traits->memory = o->mining <= AK_TRIPLET_SEMI_HARD && o->distance == AK_COSINE;
    if (o->mining == AK_TRIPLET_WEIGHTED && o->distance != AK_COSINE)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "triplet: mining distance_weighted knows the distances on the unit sphere; "
                       "expected distance cosine");
    if (o->soft && o->mining != AK_TRIPLET_HARD)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "triplet: \"soft\" goes with mining hard, not with %s", names[o->mining]);
    if (o->mining == AK_TRIPLET_HARD && !o->soft && o->distance == AK_DOT_PRODUCT)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "triplet: mining hard divides by the mean distance, which dot_product makes "
                       "negative; expected another distance, another mining, or soft");
    return AKIN_OK;
}

/* ---- hard ---- */

typedef struct divisor {
    double value;
    bool fixed; /* at its least value: no gradient goes through it */
} divisor;

/* The loss of the gathered anchors and its gradient by each d+ and d-: `edges` holds them in turns.
 */
static double margin_loss(const options *o, ak_edge *edges, int64_t anchors)
{
    double sum = 0, through = 0, mean = 0, n = (double)anchors;
    for (int64_t i = 0; i < anchors; i++)
        mean += (double)edges[2 * i + 1].distance / n;
    divisor by = {.value = mean > 1e-6 ? mean : 1e-6, .fixed = !(mean > 1e-6)};
    for (int64_t i = 0; i < anchors; i++) {
        double difference = (double)edges[2 * i].distance - (double)edges[2 * i + 1].distance;
        double loss = difference / by.value + o->margin;
        bool active = loss > 0;
        sum += active ? loss / n : 0;
        through += active ? difference / (by.value * by.value) / n : 0;
        edges[2 * i].weight = active ? (float)(1 / (by.value * n)) : 0;
    }
    for (int64_t i = 0; i < anchors; i++)
        edges[2 * i + 1].weight = -edges[2 * i].weight - (by.fixed ? 0 : (float)(through / n));
    return sum;
}

static double soft_loss(ak_edge *edges, int64_t anchors)
{
    double sum = 0, n = (double)anchors;
    for (int64_t i = 0; i < anchors; i++) {
        double z = (double)edges[2 * i].distance - (double)edges[2 * i + 1].distance;
        sum += ((z > 0 ? z : 0) + log1p(exp(-fabs(z)))) / n;
        edges[2 * i].weight = (float)(1 / (1 + exp(-z)) / n);
        edges[2 * i + 1].weight = -edges[2 * i].weight;
    }
    return sum;
}

double ak_triplet_hard_loss(const ak_triplet_options *o, ak_edge *edges, int64_t anchors)
{
    return o->soft ? soft_loss(edges, anchors) : margin_loss(o, edges, anchors);
}

int64_t ak_triplet_hard_edges(const ak_hardest *hardest, int64_t n, ak_edge *edges)
{
    int64_t anchors = 0;
    for (int64_t i = 0; i < n; i++) {
        const ak_hardest *h = &hardest[i];
        if (h->positive < 0 || h->negative < 0)
            continue;
        edges[2 * anchors] = (ak_edge){i, h->positive, h->positive_distance, 0};
        edges[2 * anchors + 1] = (ak_edge){i, h->negative, h->negative_distance, 0};
        anchors++;
    }
    return anchors;
}

static akin_status compute_hard(const options *o, const ak_space *space, const int32_t *group,
                                const ak_exclusions *exclusions, akin_matrix dx, double *value,
                                akin_error *error)
{
    int64_t n = space->rows.rows;
    ak_hardest *hardest = ak_arena_new(space->arena, ak_hardest, n);
    ak_edge *edges = ak_arena_new(space->arena, ak_edge, 2 * n);
    if (!hardest || !edges)
        return ak_fail_memory(error);
    AK_TRY(ak_mine_hardest(space, group, exclusions, hardest, error));
    int64_t anchors = ak_triplet_hard_edges(hardest, n, edges);
    if (!anchors)
        return ak_loss_nothing(space, dx, value);
    *value = ak_triplet_hard_loss(o, edges, anchors);
    return dx.data ? ak_edges_backward(space, edges, 2 * anchors, dx, error) : AKIN_OK;
}

/* ---- semi-hard and all ---- */

typedef struct counting {
    const options *o;
    const int32_t *group;
    const ak_exclusions *exclusions;
    ak_members members;
    akin_matrix d, weight;       /* n x n, one and the same where d is not needed later */
    ak_triplet_scratch *scratch; /* per thread */
    ak_triplet_sum *sums;        /* per row */
} counting;

static akin_status counting_init(counting *c, const ak_space *space, akin_error *error)
{
    int64_t n = space->rows.rows;
    int threads = omp_get_max_threads();
    bool keep = space->distance == AK_EUCLIDEAN || space->distance == AK_MANHATTAN;
    c->d = ak_square_new(space->arena, n);
    c->weight = keep ? ak_square_new(space->arena, n) : c->d;
    c->sums = ak_arena_new(space->arena, ak_triplet_sum, n);
    c->scratch = ak_arena_new(space->arena, ak_triplet_scratch, threads);
    if (!c->d.data || !c->weight.data || !c->sums || !c->scratch)
        return ak_fail_memory(error);
    for (int t = 0; t < threads; t++)
        AK_TRY(ak_triplet_scratch_init(&c->scratch[t], n, space->arena, error));
    return ak_list_members(&c->members, c->group, n, n, space->arena, error);
}

static void count_row(const counting *c, int64_t i)
{
    const int64_t *start = c->members.start + c->group[i], *excluded = c->exclusions->start + i;
    ak_triplet_row row = {.distance = c->d.data + i * c->d.stride,
                          .n = c->d.rows,
                          .anchor = i,
                          .group = c->members.list + start[0],
                          .group_size = start[1] - start[0],
                          .excluded = c->exclusions->columns + excluded[0],
                          .excluded_count = excluded[1] - excluded[0]};
    ak_triplet_scratch *scratch = &c->scratch[omp_get_thread_num()];
    float *weight = c->weight.data + i * c->weight.stride;
    c->sums[i] = c->o->mining == AK_TRIPLET_ALL
                     ? ak_triplet_row_all(&row, c->o->margin, scratch, weight)
                     : ak_triplet_row_semi_hard(&row, c->o->margin, scratch, weight);
}

static akin_status compute_counting(const options *o, const ak_space *space, const int32_t *group,
                                    const ak_exclusions *exclusions, akin_matrix dx, double *value,
                                    akin_error *error)
{
    int64_t n = space->rows.rows;
    double loss = 0, count = 0;
    counting c = {.o = o, .group = group, .exclusions = exclusions};
    AK_TRY(counting_init(&c, space, error));
    AK_TRY(ak_space_distances(space, 0, n, c.d, error));
#pragma omp parallel for schedule(dynamic, 16) if (n * n >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        count_row(&c, i);
    for (int64_t i = 0; i < n; i++) {
        loss += c.sums[i].loss;
        count += c.sums[i].count;
    }
    if (count == 0)
        return ak_loss_nothing(space, dx, value);
    *value = loss / count;
    if (!dx.data)
        return AKIN_OK;
    return ak_space_backward(space, c.d, c.weight, (float)(1 / count), dx, error);
}

/* ---- distance weighted ---- */

static double drawn_row(void *loss, const ak_group_row *row)
{
    const options *o = loss;
    double value = 0;
    const float *s = row->negative;
    float *slope = row->scratch; /* by the negatives */
    memset(slope, 0, (size_t)row->n * sizeof *slope);
    for (int64_t p = 0; p < row->positives; p++) {
        double hinge = (double)s[row->partner[p]] - (double)row->positive[p] + o->margin;
        value += hinge > 0 ? hinge : 0;
        slope[row->partner[p]] += hinge > 0 ? 1.0f : 0.0f;
        row->positive[p] = hinge > 0 ? -1.0f : 0.0f;
    }
    memcpy(row->negative, slope, (size_t)row->n * sizeof *slope);
    return value;
}

static akin_status compute_drawn(const options *o, const akin_pass *pass, const akin_labels *labels,
                                 akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init(&rows, AK_COSINE, pass, labels, x, error));
    if (!rows.space.finite || !rows.pairs)
        return ak_loss_nothing(&rows.space, dx, value);
    AK_TRY(ak_group_rows_mine(&rows, AK_MINE_WEIGHTED, pass, error));
    *value = ak_group_rows_run(&rows, drawn_row, (void *)o) / (double)rows.pairs;
    return ak_group_rows_backward(&rows, (float)(1 / (double)rows.pairs), dx, error);
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const options *o = self;
    ak_space space;
    ak_exclusions exclusions;
    if (o->mining == AK_TRIPLET_WEIGHTED)
        return compute_drawn(o, pass, labels, x, dx, value, error);
    int32_t *group = ak_arena_new(pass->arena, int32_t, labels->count);
    if (!group)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&space, (ak_distance)o->distance, pass, x, error));
    if (!space.finite)
        return ak_loss_nothing(&space, dx, value);
    AK_TRY(ak_renumber(group, labels->group, labels->count, pass->arena, error));
    AK_TRY(ak_exclude_objects(&exclusions, labels, labels->count, false, pass->arena, error));
    return o->mining == AK_TRIPLET_HARD
               ? compute_hard(o, &space, group, &exclusions, dx, value, error)
               : compute_counting(o, &space, group, &exclusions, dx, value, error);
}

const akin_loss_class ak_loss_triplet = {
    .size = sizeof(akin_loss_class),
    .name = "triplet",
    .summary = "groups: the positive is nearer than the negative by a margin",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
    .describe = describe,
    .compute_memory = ak_triplet_compute_memory,
};
