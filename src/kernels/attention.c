/* Attention of one sequence and one head, fused: out = softmax(scale q k^T + position) v.

   Keys are packed into panels of 32 (their transposition), then a tile of queries at a time goes
   through scores, softmax and values, so that scores (14 x tokens) stay in the first-level cache
   and tokens x tokens is never stored. Values are read where they are: a row of v is a step of the
   product. */
#include "kernels/reduce.h"

#include "kernels/elementary.h"

#include <math.h>

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

int64_t ak_attention_scratch(int64_t tokens, int64_t head_dim)
{
    int64_t width = round_up(tokens, AK_PANEL); /* keys, scores, one partial panel of values */
    return width * head_dim + width * AK_TILE_ROWS + width * AK_PANEL;
}

/* Scores (rows of `width`, a multiple of 16) become weights, exp(score - largest), 0 past `tokens`;
   factors[i] is one over the sum of row i's. The rows of the output, being shorter, take it. */
AK_KERNEL static void weigh_scores(float *scores, int64_t rows, int64_t tokens, int64_t width,
                                   float scale, const float *position, float *factors)
{
    for (int64_t i = 0; i < rows; i++, scores += width) {
        float lanes[16], largest = -INFINITY;
        for (int l = 0; l < 16; l++)
            lanes[l] = -INFINITY;
        for (int64_t j = tokens; j < width; j++)
            scores[j] = -INFINITY;
        if (position)
            for (int64_t j = 0; j < tokens; j++)
                scores[j] += position[i * tokens + j] / scale;
        for (int64_t j = 0; j < width; j += 16)
            for (int l = 0; l < 16; l++)
                lanes[l] = scores[j + l] > lanes[l] ? scores[j + l] : lanes[l];
        for (int l = 0; l < 16; l++)
            largest = lanes[l] > largest ? lanes[l] : largest;
        for (int64_t j = 0; j < width; j++)
            scores[j] = ak_elementary_weight((scores[j] - largest) * scale);
        ak_v16 sum = {0};
        for (int64_t j = 0; j < width; j += 16)
            sum += AK_LOAD(scores + j);
        factors[i] = 1.0f / ak_add_lanes(&sum);
    }
}

AK_KERNEL static void scale_rows(float *out, int64_t ldo, int64_t rows, int64_t columns,
                                 const float *factors)
{
    for (int64_t i = 0; i < rows; i++, out += ldo)
        for (int64_t j = 0; j < columns; j++)
            out[j] *= factors[i];
}

static void weigh_values(const ak_tile_kernel *kernel, const float *scores, int64_t rows,
                         int64_t tokens, int64_t width, const float *v, int64_t ld,
                         int64_t head_dim, const float *last_panel, float *out, int64_t ldo)
{
    float partial[AK_TILE_ROWS * AK_PANEL];
    const ak_ahead nothing = {scores, 0};
    for (int64_t c = 0; c < head_dim; c += AK_PANEL) {
        int64_t columns = head_dim - c;
        if (columns >= AK_PANEL) {
            kernel->f32((int)rows, scores, width, v + c, ld, tokens, nothing, out + c, ldo);
            continue;
        }
        kernel->f32((int)rows, scores, width, last_panel, AK_PANEL, tokens, nothing, partial,
                    AK_PANEL);
        for (int64_t i = 0; i < rows; i++)
            memcpy(out + i * ldo + c, partial + i * AK_PANEL, (size_t)columns * sizeof *out);
    }
}

void ak_attention(const float *q, const float *k, const float *v, int64_t ld, int64_t tokens,
                  int64_t head_dim, float scale, const float *position, float *out, int64_t ldo,
                  float *scratch)
{
    const ak_tile_kernel *kernel = ak_tile_kernel_get();
    int64_t width = round_up(tokens, AK_PANEL), rest = head_dim % AK_PANEL;
    float *keys = scratch, *scores = keys + width * head_dim;
    float *last_panel = scores + width * AK_TILE_ROWS;
    for (int64_t j = 0; j < tokens; j += AK_PANEL)
        ak_pack_f32(k + j * ld, 1, ld, head_dim, tokens - j < AK_PANEL ? tokens - j : AK_PANEL,
                    keys + j * head_dim);
    if (rest)
        ak_pack_f32(v + head_dim - rest, ld, 1, tokens, rest, last_panel);
    const ak_ahead nothing = {scores, 0};
    int64_t tiles = ak_tile_count(tokens, kernel->rows);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i = tokens * t / tiles, rows = tokens * (t + 1) / tiles - i;
        for (int64_t j = 0; j < width; j += AK_PANEL)
            kernel->f32((int)rows, q + i * ld, ld, keys + j * head_dim, AK_PANEL, head_dim, nothing,
                        scores + j, width);
        float factors[AK_TILE_ROWS];
        weigh_scores(scores, rows, tokens, width, scale, position ? position + i * tokens : NULL,
                     factors);
        weigh_values(kernel, scores, rows, tokens, width, v, ld, head_dim, last_panel,
                     out + i * ldo, ldo);
        scale_rows(out + i * ldo, ldo, rows, head_dim, factors);
    }
}
