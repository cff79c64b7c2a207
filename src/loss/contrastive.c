/* Contrastive loss (Hadsell, Chopra, LeCun, 2006), with distances D, score y and margin m:

       L = 1/2 mean_i { y_i D_i^2 + (1 - y_i) [m - D_i]+^2 + [m - N(a_i)]+^2 + [m - N(b_i)]+^2 }

   D_i is the distance of a_i to b_i. N(x) is the distance of x to the nearest object of another
   subgroup; without subgroups, or where there is none, its term is absent: then there are no
   implied negatives. Objects of equal content and known positives are never taken. `size_average`
   false: the sum in place of the mean. Quaterion mixes two scales of the cosine distance here, ours
   is 1 - s. */
#include "loss/edges.h"
#include "loss/loss.h"
#include "loss/mining.h"
#include "loss/tools.h"

#include <string.h>

typedef struct options {
    double margin;
    bool size_average;
    int distance;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, margin, "0.5", 0, 1e6,
                         "objects that are not alike are pushed apart until they are this far"),
    {.name = "size_average",
     .type = AKIN_OPTION_BOOL,
     .offset = offsetof(options, size_average),
     .default_text = "true",
     .help = "the mean over the batch's pairs; false: the sum"},
    AK_LOSS_DISTANCE_OPTION(options, distance),
    {0},
};

static double gap(double margin, double distance)
{
    return distance < margin ? margin - distance : 0;
}

/* The n given pairs: returns twice their part of the sum. */
static double given_pairs(const ak_space *space, const options *o, const akin_labels *labels,
                          ak_edge *edges)
{
    int64_t n = labels->count;
    double sum = 0;
#pragma omp parallel for schedule(static) if (n * space->x.columns >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        edges[i] = (ak_edge){.a = i, .b = i + n, .distance = ak_space_distance(space, i, i + n)};
    for (int64_t i = 0; i < n; i++) {
        double y = (double)labels->score[i], d = (double)edges[i].distance;
        double missing = gap(o->margin, d);
        sum += y * d * d + (1 - y) * missing * missing;
        edges[i].weight = (float)(y * d - (1 - y) * missing);
    }
    return sum;
}

/* The nearest object of another subgroup, for each of the 2 n objects. Adds edges and to the sum.
 */
static akin_status implied_pairs(const ak_space *space, const options *o, const akin_labels *labels,
                                 ak_edge *edges, int64_t *count, double *sum, akin_error *error)
{
    int64_t n = labels->count;
    int32_t *subgroup = ak_arena_new(space->arena, int32_t, 2 * n);
    ak_hardest *hardest = ak_arena_new(space->arena, ak_hardest, 2 * n);
    ak_exclusions exclusions;
    if (!subgroup || !hardest)
        return ak_fail_memory(error);
    AK_TRY(ak_renumber(subgroup, labels->subgroup, n, space->arena, error));
    memcpy(subgroup + n, subgroup, (size_t)n * sizeof *subgroup);
    AK_TRY(ak_exclude_objects(&exclusions, labels, 2 * n, true, space->arena, error));
    AK_TRY(ak_mine_hardest(space, subgroup, &exclusions, hardest, error));
    for (int64_t i = 0; i < 2 * n; i++) {
        double missing = gap(o->margin, (double)hardest[i].negative_distance);
        if (hardest[i].negative < 0 || missing == 0)
            continue;
        *sum += missing * missing;
        edges[(*count)++] = (ak_edge){.a = i,
                                      .b = hardest[i].negative,
                                      .distance = hardest[i].negative_distance,
                                      .weight = (float)-missing};
    }
    return AKIN_OK;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const options *o = self;
    int64_t n = labels->count, count = n;
    double sum, factor = o->size_average && n > 0 ? 1 / (double)n : 1;
    ak_space space;
    ak_edge *edges = ak_arena_new(pass->arena, ak_edge, 3 * n);
    if (!edges)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&space, (ak_distance)o->distance, pass, x, error));
    if (!space.finite)
        return ak_loss_nothing(&space, dx, value);
    sum = given_pairs(&space, o, labels, edges);
    if (labels->subgroup)
        AK_TRY(implied_pairs(&space, o, labels, edges, &count, &sum, error));
    *value = 0.5 * factor * sum;
    if (!dx.data)
        return AKIN_OK;
    for (int64_t e = 0; e < count; e++)
        edges[e].weight *= (float)factor;
    return ak_edges_backward(&space, edges, count, dx, error);
}

const akin_loss_class ak_loss_contrastive = {
    .size = sizeof(akin_loss_class),
    .name = "contrastive",
    .summary = "pairs: alike ones meet, others keep a margin",
    .kind = AKIN_PAIRS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
};
