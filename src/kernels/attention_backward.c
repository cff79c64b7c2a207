/* Gradients of the attention of one sequence and one head (Dao et al., 2022, without their blocks:
   a text is short). With P = exp(scale q k^T - lse), M the mask of dropout and its scale, O = (P M)
   v:

       delta_i = dO_i . O_i                          (= sum_j P_ij M_ij dO_i . v_j)
       dv = (P M)^T dO
       dS = P (M (dO v^T) - delta) scale,  dq = dS k,  dk = dS^T q

   The weights are computed again, transposed (a row is a key), a tile of keys at a time: then P M
   and dS^T are the left sides of dv and dk as they are. dS^T is kept, tokens x tokens of one head,
   and goes through a tile of queries at a time for dq. */
#include "kernels/attention.h"

#include "kernels/drop.h"
#include "kernels/elementary.h"

#include <math.h>
#include <string.h>

typedef struct buffers {
    float *queries, *outputs;           /* panels of q and dO, transposed */
    float *rest_dout, *rest_q, *rest_k; /* their last columns, see ak_pack_rest */
    float *lse, *delta;                 /* of all queries, of `width` columns */
    float *slopes;                      /* dS^T, tokens x width */
    float *weights, *tile;              /* rows of a tile x width */
    uint32_t *before, *within;          /* halves of the queries' random bits, see drop.h */
} buffers;

/* Lays the buffers out from `memory`, or only counts (NULL): floats. */
static int64_t lay_out(int64_t tokens, int64_t head_dim, float *memory, buffers *b)
{
    int64_t width = ak_panel_width(tokens), rest = head_dim % AK_PANEL ? width * AK_PANEL : 0;
    float **const place[] = {&b->queries, &b->outputs, &b->rest_dout, &b->rest_q,  &b->rest_k,
                             &b->lse,     &b->delta,   &b->slopes,    &b->weights, &b->tile};
    const int64_t size[] = {
        width * head_dim,     width * head_dim,    rest, rest, rest, width, width, tokens * width,
        AK_TILE_ROWS * width, AK_TILE_ROWS * width};
    int64_t used = 0;
    for (int i = 0; i < 10; i++) {
        if (memory)
            *place[i] = memory + used;
        used += size[i];
    }
    if (memory) {
        b->before = (uint32_t *)(memory + used);
        b->within = b->before + width;
    }
    return used + 2 * width;
}

int64_t ak_attention_backward_scratch(int64_t tokens, int64_t head_dim)
{
    buffers unused;
    return lay_out(tokens, head_dim, NULL, &unused);
}

/* Rows of scores become P M in `weights`; rows of dO v^T become dS^T in `slopes`. First key
 * `first`.
 */
AK_KERNEL static void slopes_of_tile(const ak_attention_gradient *a, const buffers *b,
                                     int64_t first, int64_t rows, int64_t width)
{
    const float *restrict lse = b->lse, *restrict delta = b->delta;
    for (int64_t r = 0; r < rows; r++) {
        float *restrict weight = b->weights + r * width;
        float *restrict slope = b->slopes + (first + r) * width;
        for (int64_t i = 0; i < width; i++) {
            float p = ak_elementary_weight(weight[i] * a->scale - lse[i]);
            slope[i] = p * (slope[i] - delta[i]) * a->scale;
            weight[i] = p;
        }
    }
}

/* The same with dropout. */
AK_KERNEL static void dropped_slopes_of_tile(const ak_attention_gradient *a, const buffers *b,
                                             int64_t first, int64_t rows, int64_t width)
{
    const float *restrict lse = b->lse, *restrict delta = b->delta;
    const uint32_t *restrict before = b->before, *restrict within = b->within;
    const uint32_t threshold = a->drop->threshold;
    const float kept = a->drop->scale;
    for (int64_t r = 0; r < rows; r++) {
        float *restrict weight = b->weights + r * width;
        float *restrict slope = b->slopes + (first + r) * width;
        for (int64_t i = 0; i < width; i++) {
            float p = ak_elementary_weight(weight[i] * a->scale - lse[i]);
            uint32_t hash = ak_drop_hash((uint32_t)(first + r), before[i], within[i]);
            float keep = hash >= threshold ? kept : 0;
            slope[i] = p * (keep * slope[i] - delta[i]) * a->scale;
            weight[i] = p * keep;
        }
    }
}

/* Rows of scores, first key `first`, before they become weights. */
AK_KERNEL static void add_positions(const ak_attention_gradient *a, float *scores, int64_t first,
                                    int64_t rows, int64_t width)
{
    float unscaled = 1 / a->scale;
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict position = a->position + first + r;
        float *restrict score = scores + r * width;
        for (int64_t i = 0; i < a->tokens; i++)
            score[i] += position[-i] * unscaled;
    }
}

/* A position's gradient is that of the scores it was added to: a diagonal of dS^T. */
AK_KERNEL static void add_diagonals(const ak_attention_gradient *a, const float *slopes,
                                    int64_t first, int64_t rows, int64_t width)
{
    float unscaled = 1 / a->scale;
    for (int64_t r = 0; r < rows; r++) {
        float *restrict dposition = a->dposition + first + r;
        const float *restrict slope = slopes + r * width;
        for (int64_t i = 0; i < a->tokens; i++)
            dposition[-i] += slope[i] * unscaled;
    }
}

static void prepare(const ak_attention_gradient *a, const buffers *b, int64_t width)
{
    ak_pack_transposed(a->q, a->ld, a->tokens, a->head_dim, b->queries);
    ak_pack_transposed(a->dout, a->ldo, a->tokens, a->head_dim, b->outputs);
    ak_pack_rest(a->dout, a->ldo, a->tokens, a->head_dim, b->rest_dout);
    ak_pack_rest(a->q, a->ld, a->tokens, a->head_dim, b->rest_q);
    ak_pack_rest(a->k, a->ld, a->tokens, a->head_dim, b->rest_k);
    for (int64_t i = 0; i < width; i++) {
        bool real = i < a->tokens;
        b->lse[i] = real ? a->lse[i] : INFINITY; /* weight 0 */
        b->delta[i] = real ? ak_dot(a->dout + i * a->ldo, a->out + i * a->ldo, a->head_dim) : 0;
        uint64_t bits = real && a->drop ? a->drop->bits[i] : 0;
        b->before[i] = (uint32_t)bits;
        b->within[i] = (uint32_t)(bits >> 32);
    }
}

/* dk and dv of keys first .. first + rows. */
static void key_tile(const ak_attention_gradient *a, const buffers *b, const ak_tile_kernel *kernel,
                     int64_t first, int64_t rows, int64_t width)
{
    float *slopes = b->slopes + first * width;
    ak_tiles_of_panels(kernel, a->k + first * a->ld, a->ld, rows, a->head_dim, b->queries, width,
                       b->weights);
    ak_tiles_of_panels(kernel, a->v + first * a->ld, a->ld, rows, a->head_dim, b->outputs, width,
                       slopes);
    if (a->position)
        add_positions(a, b->weights, first, rows, width);
    if (a->drop)
        dropped_slopes_of_tile(a, b, first, rows, width);
    else
        slopes_of_tile(a, b, first, rows, width);
    if (a->dposition)
        add_diagonals(a, slopes, first, rows, width);
    ak_tiles_of_columns(kernel, b->weights, width, rows, a->tokens, a->dout, a->ldo, a->head_dim,
                        b->rest_dout, a->dv + first * a->ldg, a->ldg);
    ak_tiles_of_columns(kernel, slopes, width, rows, a->tokens, a->q, a->ld, a->head_dim, b->rest_q,
                        a->dk + first * a->ldg, a->ldg);
}

void ak_attention_backward(const ak_attention_gradient *a, float *scratch)
{
    const ak_tile_kernel *kernel = ak_tile_kernel_get();
    int64_t width = ak_panel_width(a->tokens);
    int64_t tiles = ak_tile_count(a->tokens, kernel->rows);
    buffers b;
    lay_out(a->tokens, a->head_dim, scratch, &b);
    prepare(a, &b, width);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t first = a->tokens * t / tiles, rows = a->tokens * (t + 1) / tiles - first;
        key_tile(a, &b, kernel, first, rows, width);
    }
    for (int64_t t = 0; t < tiles; t++) {
        int64_t first = a->tokens * t / tiles, rows = a->tokens * (t + 1) / tiles - first;
        ak_transpose_f32(b.slopes + first, width, a->tokens, rows, b.tile, width);
        ak_tiles_of_columns(kernel, b.tile, width, rows, a->tokens, a->k, a->ld, a->head_dim,
                            b.rest_k, a->dq + first * a->ldg, a->ldg);
    }
}
