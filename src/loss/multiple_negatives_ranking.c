/* Multiple negatives ranking (Henderson et al., 2017; "InfoNCE", "in-batch softmax"). With cosines
   s and l_ij = scale * s(a_i, b_j), over the pairs i of score > .5:

       L = mean_i [ log sum over j in J_i of exp l_ij - l_ii ]

   J_i holds i and every other b of the batch, those of pairs of score <= .5 too, but no known
   positive of a_i, no equal content, and none of i's own subgroup where subgroups are given, unless
   a pair of the batch says by a score <= .5 that a_i and b_j are not alike. `symmetric`: the mean
   of that and of the same with the b's asking for their a (an a that hard negatives repeat is asked
   for once). Quaterion's scale of 20 acts as 10 here: its similarities are (1 + s) / 2. */
#include "loss/entropy.h"
#include "loss/loss.h"
#include "loss/memory.h"
#include "loss/tools.h"

#include <math.h>
#include <string.h>

typedef struct options {
    double scale;
    bool symmetric;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, scale, "20", 1e-3, 1e4,
                         "factor on the cosines, the inverse of a temperature"),
    {.name = "symmetric",
     .type = AKIN_OPTION_BOOL,
     .offset = offsetof(options, symmetric),
     .default_text = "false",
     .help = "also rank the a's for every b, and take the mean of both"},
    {0},
};

/* 1 / anchors for the pairs of score > .5, 0 for the others; returns the number of anchors. */
static int64_t weigh_anchors(const akin_labels *labels, float *weight)
{
    int64_t anchors = 0;
    for (int64_t i = 0; i < labels->count; i++)
        anchors += labels->score[i] > 0.5f;
    for (int64_t i = 0; i < labels->count; i++)
        weight[i] = labels->score[i] > 0.5f ? 1.0f / (float)anchors : 0.0f;
    return anchors;
}

/* d value / d a and b by two products, then through the normalisation. g: d value / d s, of the a's
   that are not repeated by all b's. */
static akin_status backward(const ak_space *space, akin_matrix g, akin_matrix dx, akin_error *error)
{
    int64_t r = g.rows, n = g.columns, d = dx.columns;
    akin_matrix rows = space->rows, drows = ak_space_gradient(space, dx);
    if (!drows.data)
        return ak_fail_memory(error);
    const float *a = rows.data, *b = rows.data + n * rows.stride;
    float *da = drows.data, *db = drows.data + n * drows.stride;
    ak_gemm(space->precision, AK_PLAIN, AK_PLAIN, r, d, n, 1, g.data, g.stride, b, rows.stride, 0,
            da, drows.stride);
    for (int64_t i = r; i < n; i++)
        memset(da + i * drows.stride, 0, (size_t)d * sizeof *da);
    ak_gemm(space->precision, AK_TRANSPOSED, AK_PLAIN, n, d, r, 1, g.data, g.stride, a, rows.stride,
            0, db, drows.stride);
    ak_space_finish(space, drows, dx);
    return AKIN_OK;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const options *o = self;
    int64_t n = labels->count, r = n - labels->repeated;
    ak_space space;
    ak_exclusions exclusions;
    float *weight = ak_arena_new(pass->arena, float, n);
    akin_matrix s = ak_matrix_new(pass->arena, r, n);
    if (!weight || !s.data)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&space, AK_COSINE, pass, x, error));
    int64_t anchors = weigh_anchors(labels, weight);
    if (!anchors || !space.finite)
        return ak_loss_nothing(&space, dx, value);
    AK_TRY(ak_exclude_pairs(&exclusions, labels, pass->arena, error));

    akin_matrix rows = space.rows;
    ak_gemm(pass->precision, AK_PLAIN, AK_TRANSPOSED, r, n, x.columns, 1, rows.data, rows.stride,
            rows.data + n * rows.stride, rows.stride, 0, s.data, s.stride);
    ak_entropy entropy = {.s = s,
                          .scale = o->scale,
                          .symmetric = o->symmetric,
                          .weight = weight,
                          .exclusions = &exclusions,
                          .arena = pass->arena};
    AK_TRY(ak_entropy_forward(&entropy, value, error));
    if (!dx.data)
        return AKIN_OK;
    ak_entropy_backward(&entropy);
    return backward(&space, s, dx, error);
}

/* ---- against a memory of b's: further negatives ---- */

typedef struct memory_rows {
    double scale;
    int64_t columns; /* rows of the memory */
    const float *weight;
    const ak_exclusions *exclusions;
    akin_matrix rows; /* unit a's, then unit b's */
    float *own;       /* per pair: s_ii, then d value / d s_ii */
    double *values;   /* per pair */
} memory_rows;

/* w_i [ log(exp l_ii + sum over the memory of exp l_ij) - l_ii ] */
static void memory_row(void *user, int64_t i, float *s)
{
    const memory_rows *m = user;
    const ak_exclusions *e = m->exclusions;
    int64_t n = m->columns;
    double weight = (double)m->weight[i], own = (double)m->own[i] * m->scale;
    m->values[i] = 0;
    m->own[i] = 0;
    if (weight == 0) {
        memset(s, 0, (size_t)n * sizeof *s);
        return;
    }
    for (int64_t k = e->start[i]; k < e->start[i + 1]; k++)
        s[e->columns[k]] = -INFINITY;
    float scale = (float)m->scale, shift = fmaxf(ak_maximum(s, n) * scale, (float)own);
    ak_scale_shift(s, scale, shift, s, n);
    ak_exp(s, s, n);
    double first = exp(own - (double)shift), sum = first + (double)ak_sum(s, n);
    m->values[i] = weight * (log(sum) + (double)shift - own);
    m->own[i] = (float)(weight * m->scale * (first / sum - 1));
    ak_scale((float)(weight * m->scale / sum), s, n);
}

/* d value / d s_ii goes to both objects of the pair; the memory's share is in the first r rows of
   drows already, and no other row has one. */
static void add_own(const memory_rows *m, int64_t r, int64_t n, akin_matrix drows)
{
    ak_matrix_zero(ak_matrix_rows(drows, r, 2 * n - r));
    for (int64_t i = 0; i < r; i++) {
        const float *a = m->rows.data + i * m->rows.stride, *b = a + n * m->rows.stride;
        float *da = drows.data + i * drows.stride, *db = da + n * drows.stride;
        ak_add_scaled(m->own[i], b, da, drows.columns);
        ak_add_scaled(m->own[i], a, db, drows.columns);
    }
}

static akin_status compute_memory(void *self, const akin_pass *pass, const akin_labels *labels,
                                  akin_matrix x, const akin_memory *memory, akin_matrix dx,
                                  double *value, akin_error *error)
{
    const options *o = self;
    int64_t n = labels->count, r = n - labels->repeated;
    ak_space space;
    ak_exclusions exclusions;
    float *weight = ak_arena_new(pass->arena, float, n);
    memory_rows m = {.scale = o->scale,
                     .columns = memory->units.rows,
                     .weight = weight,
                     .exclusions = &exclusions,
                     .own = ak_arena_new(pass->arena, float, n),
                     .values = ak_arena_new(pass->arena, double, n)};
    if (!weight || !m.own || !m.values)
        return ak_fail_memory(error);
    AK_TRY(ak_space_init(&space, AK_COSINE, pass, x, error));
    if (!weigh_anchors(labels, weight) || !space.finite)
        return ak_loss_nothing(&space, dx, value);
    AK_TRY(ak_exclude_memory(&exclusions, labels, memory, pass->arena, error));
    m.rows = space.rows;
    for (int64_t i = 0; i < r; i++)
        m.own[i] = ak_dot(m.rows.data + i * m.rows.stride, m.rows.data + (n + i) * m.rows.stride,
                          x.columns);
    akin_matrix drows = dx.data ? ak_space_gradient(&space, dx) : dx;
    if (dx.data && !drows.data)
        return ak_fail_memory(error);
    AK_TRY(ak_memory_products(&space, r, memory, memory_row, &m, 1, drows, error));
    *value = 0;
    for (int64_t i = 0; i < r; i++)
        *value += m.values[i];
    if (!dx.data)
        return AKIN_OK;
    add_own(&m, r, n, drows);
    ak_space_finish(&space, drows, dx);
    return AKIN_OK;
}

const akin_loss_class ak_loss_multiple_negatives_ranking = {
    .size = sizeof(akin_loss_class),
    .name = "multiple_negatives_ranking",
    .summary = "pairs: every b ranks first for its a, before the other b's of the batch",
    .kind = AKIN_PAIRS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
    .compute_memory = compute_memory,
};
