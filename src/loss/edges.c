/* The gradient of a sparse sum of distances. The edges are dealt to their two ends first, so that
   rows can be worked on in parallel and a row's edges are always added in the same order. */
#include "loss/edges.h"

#include <string.h>

typedef struct ends {
    int64_t *start; /* rows + 1 */
    int64_t *edge;  /* 2 x edges: numbers of the edges that end in row i, ascending */
} ends;

static akin_status deal_edges(ends *out, const ak_edge *edges, int64_t count, int64_t rows,
                              akin_arena *arena, akin_error *error)
{
    out->start = ak_arena_new(arena, int64_t, rows + 2);
    out->edge = ak_arena_new(arena, int64_t, 2 * count);
    if (!out->start || !out->edge)
        return ak_fail_memory(error);
    int64_t *fill = out->start + 1; /* one ahead: after filling, fill[i] is the end of row i */
    memset(out->start, 0, (size_t)(rows + 2) * sizeof *fill);
    for (int64_t e = 0; e < count; e++) {
        fill[edges[e].a + 1]++;
        fill[edges[e].b + 1]++;
    }
    for (int64_t i = 1; i <= rows; i++)
        fill[i] += fill[i - 1];
    for (int64_t e = 0; e < count; e++) {
        out->edge[fill[edges[e].a]++] = e;
        out->edge[fill[edges[e].b]++] = e;
    }
    return AKIN_OK;
}

static AK_KERNEL void add_signs(float weight, const float *x, const float *y, float *g, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        float difference = x[k] - y[k];
        float sign = difference > 0 ? weight : 0.0f;
        g[k] += difference < 0 ? -weight : sign;
    }
}

/* g = sum over the edges of row i of weight * d distance / d row. A euclidean distance of zero has
   no direction: it adds nothing. */
static void row_gradient(const ak_space *space, const ak_edge *edges, const int64_t *list,
                         int64_t count, int64_t i, float *g)
{
    int64_t d = space->rows.columns, stride = space->rows.stride;
    const float *rows = space->rows.data, *own = rows + i * stride;
    float of_own = 0;
    memset(g, 0, (size_t)d * sizeof *g);
    for (int64_t l = 0; l < count; l++) {
        const ak_edge *e = &edges[list[l]];
        const float *other = rows + (e->a == i ? e->b : e->a) * stride;
        switch (space->distance) {
        case AK_COSINE:
        case AK_DOT_PRODUCT:
            ak_add_scaled(-e->weight, other, g, d);
            break;
        case AK_EUCLIDEAN:
            if (e->distance > 0) {
                ak_add_scaled(-e->weight / e->distance, other, g, d);
                of_own += e->weight / e->distance;
            }
            break;
        case AK_MANHATTAN:
            add_signs(e->weight, own, other, g, d);
            break;
        }
    }
    if (of_own != 0)
        ak_add_scaled(of_own, own, g, d);
}

akin_status ak_edges_backward(const ak_space *space, const ak_edge *edges, int64_t count,
                              akin_matrix dx, akin_error *error)
{
    ends to;
    akin_matrix drows = ak_space_gradient(space, dx);
    if (!drows.data)
        return ak_fail_memory(error);
    AK_TRY(deal_edges(&to, edges, count, dx.rows, space->arena, error));
#pragma omp parallel for schedule(static) if (count * dx.columns >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < dx.rows; i++)
        row_gradient(space, edges, to.edge + to.start[i], to.start[i + 1] - to.start[i], i,
                     drows.data + i * drows.stride);
    ak_space_finish(space, drows, dx);
    return AKIN_OK;
}
