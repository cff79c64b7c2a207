/* Cosine similarity (the regression of Sentence-BERT; Reimers and Gurevych, 2019): over pairs
   with cosine s and score y, the mean of (s - y)^2. */
#include "loss/edges.h"
#include "loss/loss.h"
#include "loss/tools.h"

static const akin_option option_rows[] = {{0}};

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    int64_t n = labels->count;
    double sum = 0;
    ak_space space;
    ak_edge *edges = ak_arena_new(pass->arena, ak_edge, n);
    (void)self;
    if (!edges)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&space, AK_COSINE, pass, x, error));
    if (!space.finite || !n)
        return ak_loss_nothing(&space, dx, value);
    for (int64_t i = 0; i < n; i++) {
        float distance = ak_space_distance(&space, i, i + n);
        double off = 1 - (double)distance - (double)labels->score[i];
        sum += off * off;
        edges[i] = (ak_edge){i, i + n, distance, (float)(-2 * off / (double)n)};
    }
    *value = sum / (double)n;
    return dx.data ? ak_edges_backward(&space, edges, n, dx, error) : AKIN_OK;
}

const akin_loss_class ak_loss_cosine_similarity = {
    .size = sizeof(akin_loss_class),
    .name = "cosine_similarity",
    .summary = "pairs: the cosine is to be the score",
    .kind = AKIN_PAIRS,
    .options = option_rows,
    .compute = compute,
};
