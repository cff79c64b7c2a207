/* Attention of one sequence and one head, fused: out = softmax(scale q k^T + position) v.

   Keys are packed into panels of 32 (their transposition), then a tile of queries at a time goes
   through scores, softmax and values, so that scores (14 x tokens) stay in the first-level cache
   and tokens x tokens is never stored. Values are read where they are: a row of v is a step of the
   product. */
#include "kernels/attention.h"

#include "kernels/drop.h"
#include "kernels/elementary.h"
#include "kernels/reduce.h"

#include <math.h>

int64_t ak_attention_scratch(int64_t tokens, int64_t head_dim)
{
    int64_t width = ak_panel_width(tokens); /* keys, scores, one partial panel of values */
    return width * head_dim + width * AK_TILE_ROWS + width * AK_PANEL;
}

/* Scores (rows of `width`, a multiple of 16) become weights, exp(score - largest), 0 past `tokens`;
   factors[i] is one over the sum of row i's; lse[i] (unless NULL) scale times the largest score.
   The rows of the output, being shorter, take it. position: the first row's. */
AK_KERNEL static void weigh_scores(float *scores, int64_t rows, int64_t tokens, int64_t width,
                                   float scale, const float *position, float *factors, float *lse)
{
    float unscaled = 1 / scale;
    for (int64_t i = 0; i < rows; i++, scores += width) {
        float lanes[16], largest = -INFINITY;
        for (int l = 0; l < 16; l++)
            lanes[l] = -INFINITY;
        for (int64_t j = tokens; j < width; j++)
            scores[j] = -INFINITY;
        if (position)
            for (int64_t j = 0; j < tokens; j++)
                scores[j] += position[j - i] * unscaled;
        for (int64_t j = 0; j < width; j += 16)
            for (int l = 0; l < 16; l++)
                lanes[l] = scores[j + l] > lanes[l] ? scores[j + l] : lanes[l];
        for (int l = 0; l < 16; l++)
            largest = lanes[l] > largest ? lanes[l] : largest;
        for (int64_t j = 0; j < width; j++)
            scores[j] = ak_elementary_weight((scores[j] - largest) * scale);
        if (lse)
            lse[i] = largest * scale;
        ak_v16 sum = {0};
        for (int64_t j = 0; j < width; j += 16)
            sum += AK_LOAD(scores + j);
        factors[i] = 1.0f / ak_add_lanes(&sum);
    }
}

/* For training: lse[i] = log(sum of exp(scale score)), and some of the weights become 0. The sums
   in `factors` are of all weights. */
AK_KERNEL static void drop_weights(float *scores, int64_t rows, int64_t tokens, int64_t width,
                                   const float *factors, const ak_drop *drop, float *lse)
{
    for (int64_t i = 0; i < rows; i++, scores += width) {
        lse[i] -= logf(factors[i]);
        if (!drop)
            continue;
        uint32_t before = (uint32_t)drop->bits[i], within = (uint32_t)(drop->bits[i] >> 32);
        uint32_t threshold = drop->threshold;
        float kept = drop->scale;
        for (int64_t j = 0; j < tokens; j++)
            scores[j] *= ak_drop_hash((uint32_t)j, before, within) >= threshold ? kept : 0;
    }
}

AK_KERNEL static void scale_rows(float *out, int64_t ldo, int64_t rows, int64_t columns,
                                 const float *factors)
{
    for (int64_t i = 0; i < rows; i++, out += ldo)
        for (int64_t j = 0; j < columns; j++)
            out[j] *= factors[i];
}

void ak_tiles_of_columns(const ak_tile_kernel *kernel, const float *x, int64_t ldx, int64_t rows,
                         int64_t steps, const float *w, int64_t ldw, int64_t columns,
                         const float *last_panel, float *out, int64_t ldo)
{
    float partial[AK_TILE_ROWS * AK_PANEL];
    const ak_ahead nothing = {x, 0};
    for (int64_t c = 0; c < columns; c += AK_PANEL) {
        int64_t rest = columns - c;
        if (rest >= AK_PANEL) {
            kernel->f32((int)rows, x, ldx, w + c, ldw, steps, nothing, out + c, ldo);
            continue;
        }
        kernel->f32((int)rows, x, ldx, last_panel, AK_PANEL, steps, nothing, partial, AK_PANEL);
        for (int64_t i = 0; i < rows; i++)
            memcpy(out + i * ldo + c, partial + i * AK_PANEL, (size_t)rest * sizeof *out);
    }
}

void ak_tiles_of_panels(const ak_tile_kernel *kernel, const float *x, int64_t ldx, int64_t rows,
                        int64_t steps, const float *panels, int64_t width, float *out)
{
    const ak_ahead nothing = {x, 0};
    for (int64_t j = 0; j < width; j += AK_PANEL)
        kernel->f32((int)rows, x, ldx, panels + j * steps, AK_PANEL, steps, nothing, out + j,
                    width);
}

void ak_pack_transposed(const float *x, int64_t ld, int64_t tokens, int64_t head_dim, float *panels)
{
    for (int64_t j = 0; j < tokens; j += AK_PANEL)
        ak_pack_f32(x + j * ld, 1, ld, head_dim, tokens - j < AK_PANEL ? tokens - j : AK_PANEL,
                    panels + j * head_dim);
}

void ak_pack_rest(const float *x, int64_t ld, int64_t tokens, int64_t head_dim, float *panel)
{
    int64_t rest = head_dim % AK_PANEL;
    if (rest)
        ak_pack_f32(x + head_dim - rest, ld, 1, tokens, rest, panel);
}

typedef struct attention {
    const float *q, *k, *v;
    int64_t ld, tokens, head_dim;
    float scale;
    const float *position;
    const ak_drop *drop;
    float *out;
    int64_t ldo;
    float *lse; /* NULL: not training */
} attention;

/* Queries i .. i + rows. */
static void attend_tile(const attention *a, const ak_tile_kernel *kernel, int64_t i, int64_t rows,
                        const float *keys, float *scores, const float *last_panel)
{
    int64_t width = ak_panel_width(a->tokens);
    float factors[AK_TILE_ROWS], *out = a->out + i * a->ldo;
    ak_tiles_of_panels(kernel, a->q + i * a->ld, a->ld, rows, a->head_dim, keys, width, scores);
    weigh_scores(scores, rows, a->tokens, width, a->scale, a->position ? a->position - i : NULL,
                 factors, a->lse ? a->lse + i : NULL);
    if (a->lse) {
        ak_drop drop = a->drop ? *a->drop : (ak_drop){0};
        drop.bits = a->drop ? drop.bits + i : NULL;
        drop_weights(scores, rows, a->tokens, width, factors, a->drop ? &drop : NULL, a->lse + i);
    }
    ak_tiles_of_columns(kernel, scores, width, rows, a->tokens, a->v, a->ld, a->head_dim,
                        last_panel, out, a->ldo);
    scale_rows(out, a->ldo, rows, a->head_dim, factors);
}

static void attend(const attention *a, float *scratch)
{
    const ak_tile_kernel *kernel = ak_tile_kernel_get();
    int64_t width = ak_panel_width(a->tokens);
    float *keys = scratch, *scores = keys + width * a->head_dim;
    float *last_panel = scores + width * AK_TILE_ROWS;
    ak_pack_transposed(a->k, a->ld, a->tokens, a->head_dim, keys);
    ak_pack_rest(a->v, a->ld, a->tokens, a->head_dim, last_panel);
    int64_t tiles = ak_tile_count(a->tokens, kernel->rows);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i = a->tokens * t / tiles, rows = a->tokens * (t + 1) / tiles - i;
        attend_tile(a, kernel, i, rows, keys, scores, last_panel);
    }
}

void ak_attention_train(const float *q, const float *k, const float *v, int64_t ld, int64_t tokens,
                        int64_t head_dim, float scale, const float *position, const ak_drop *drop,
                        float *out, int64_t ldo, float *lse, float *scratch)
{
    const attention a = {.q = q,
                         .k = k,
                         .v = v,
                         .ld = ld,
                         .tokens = tokens,
                         .head_dim = head_dim,
                         .scale = scale,
                         .position = position,
                         .drop = drop,
                         .out = out,
                         .ldo = ldo,
                         .lse = lse};
    attend(&a, scratch);
}

void ak_attention(const float *q, const float *k, const float *v, int64_t ld, int64_t tokens,
                  int64_t head_dim, float scale, const float *position, float *out, int64_t ldo,
                  float *scratch)
{
    ak_attention_train(q, k, v, ld, tokens, head_dim, scale, position, NULL, out, ldo, NULL,
                       scratch);
}
