/* The backward pass of training, layer by layer from the top. With s the gradient of a layer's
   output:

       s = LayerNorm'(s);  z = dropout(s);  dWd = z^T g(u);  du = (z Wd) g'(u);  dWu = du^T x1
       s = s + du Wu
       s = LayerNorm'(s);  z = dropout(s);  dWm = z^T a;  da = z Wm;  dq, dk, dv = attention'(da)
       dWqkv = dqkv^T x0;  s = s + dqkv Wqkv

   x1 and x0, inputs of products, are computed again from what the norms kept. */
#include "model/bert_train.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { FEW = 16, COLUMNS = 64 };

static akin_matrix rows_of(const ak_bert_run *run, float *data, int64_t columns)
{
    return ak_matrix(data, run->record->tokens, columns);
}

/* dw += dy^T x; dbias += the sums of dy. dy: `rows` columns at stride ldy. */
static void weight_gradient(const ak_bert_run *run, const ak_bert_weight *w, int64_t rows,
                            const float *dy, int64_t ldy, const float *x)
{
    float *grad = w->sum ? run->record->dweight : ak_bert_gradient(run->bert, w);
    if (!grad)
        return;
    ak_gemm(run->pass->precision, AK_TRANSPOSED, AK_PLAIN, rows, w->columns, run->record->tokens, 1,
            dy, ldy, x, w->columns, w->sum ? 0 : 1, grad, w->columns);
    if (w->sum)
        ak_bert_lora_gradient(run->bert, w, grad);
}

static void bias_gradient(const ak_bert_run *run, const ak_bert_weight *bias, akin_matrix dy)
{
    float *grad = ak_bert_gradient(run->bert, bias);
    if (grad)
        ak_column_sums(dy, grad);
}

/* dx = beta dx + dy w. */
static void input_gradient(const ak_bert_run *run, const ak_bert_weight *w, int64_t rows,
                           const float *dy, int64_t ldy, float beta, float *dx)
{
    ak_gemm(run->pass->precision, AK_PLAIN, AK_PLAIN, run->record->tokens, w->columns, rows, 1, dy,
            ldy, w->value, w->columns, beta, dx, w->columns);
}

/* slope: of the norm's output, becomes that of its input; dropped: the same behind the dropout.
   w: gain, shift. */
static void norm_backward(const ak_bert_run *run, const ak_bert_weight *w, ak_bert_drop drop,
                          const float *normal, const float *factors)
{
    ak_bert_record *r = run->record;
    int64_t d = run->bert->config.hidden;
    float *gain = ak_bert_gradient(run->bert, &w[0]);
    if (gain)
        ak_column_dots(rows_of(run, r->slope, d), rows_of(run, (float *)normal, d), gain);
    bias_gradient(run, &w[1], rows_of(run, r->slope, d));
#pragma omp parallel for schedule(static) if (r->tokens > FEW)
    for (int64_t i = 0; i < r->tokens; i++) {
        float *slope = r->slope + i * d;
        ak_layer_norm_backward(normal + i * d, factors + i, w[0].value, slope, 1, d, slope);
        ak_bert_drop_row(&drop, i, slope, r->dropped + i * d, d);
    }
}

/* x = the output of a norm again. */
static void norm_output(const ak_bert_run *run, const ak_bert_weight *gain, const float *normal)
{
    ak_bert_record *r = run->record;
    int64_t d = run->bert->config.hidden;
#pragma omp parallel for schedule(static) if (r->tokens > FEW)
    for (int64_t i = 0; i < r->tokens; i++)
        ak_layer_norm_output(normal + i * d, gain[0].value, gain[1].value, 1, d, r->x + i * d);
}

/* x = what entered the layer. */
static void layer_input(const ak_bert_run *run, int number)
{
    ak_bert_record *r = run->record;
    if (number > run->bert->first_layer)
        norm_output(run, ak_bert_layer_weights(run->bert, number - 1) + DOWN_GAIN,
                    r->layers[number - 1].normal2);
    else
        memcpy(r->x, r->entry, (size_t)(r->tokens * run->bert->config.hidden) * sizeof *r->x);
}

static void wide_backward(const ak_bert_run *run, int number)
{
    const ak_bert_config *c = &run->bert->config;
    const ak_bert_weight *w = ak_bert_layer_weights(run->bert, number);
    ak_bert_record *r = run->record;
    const ak_bert_layer_record *layer = &r->layers[number];
    int64_t d = c->hidden, wide = c->intermediate;
    norm_backward(run, &w[DOWN_GAIN], ak_bert_drop_of(run, number, DROP_DOWN), layer->normal2,
                  layer->factors2);
    bias_gradient(run, &w[DOWN_BIAS], rows_of(run, r->dropped, d));
    input_gradient(run, &w[DOWN], d, r->dropped, d, 0, r->dwide);
#pragma omp parallel for schedule(static) if (r->tokens > FEW)
    for (int64_t i = 0; i < r->tokens; i++) {
        const float *up = ak_bert_recall(run, layer->up, i * wide, wide);
        ak_activate_backward(c->activation, up, r->dwide + i * wide, r->dwide + i * wide, wide);
        ak_activate(c->activation, up, r->wide + i * wide, wide);
    }
    weight_gradient(run, &w[DOWN], d, r->dropped, d, r->wide);
    bias_gradient(run, &w[UP_BIAS], rows_of(run, r->dwide, wide));
    norm_output(run, &w[MIX_GAIN], layer->normal1);
    weight_gradient(run, &w[UP], wide, r->dwide, wide, r->x);
    input_gradient(run, &w[UP], wide, r->dwide, wide, 1, r->slope);
}

/* z: the gradient of attention's result, becomes dqkv. */
static void attention_backward(const ak_bert_run *run, int number, int64_t text, int64_t head,
                               const ak_bert_drop *drop, float *scratch)
{
    const ak_bert_config *c = &run->bert->config;
    const ak_bert_record *r = run->record;
    const ak_bert_layer_record *layer = &r->layers[number];
    const int64_t *start = run->tokens->start;
    int64_t d = c->hidden, dim = d / c->heads, row = start[text] - start[0];
    int64_t n = start[text + 1] - start[text], count = 2 * n - 1;
    int64_t wide = row * 3 * d + head * dim, narrow = row * d + head * dim;
    const float *qkv = ak_bert_kept_floats(run, layer->qkv) + wide;
    float *diagonals = scratch + ak_bert_bits_size(r);
    ak_drop one = {.bits = ak_bert_drop_bits(run, drop, text, head, scratch),
                   .threshold = drop->threshold,
                   .scale = drop->scale};
    const ak_attention_gradient a = {
        .q = qkv,
        .k = qkv + d,
        .v = qkv + 2 * d,
        .ld = 3 * d,
        .out = layer->mixed + narrow,
        .dout = r->z + narrow,
        .ldo = d,
        .lse = layer->lse + head * r->tokens + row,
        .tokens = n,
        .head_dim = dim,
        .scale = 1.0f / sqrtf((float)dim),
        .position = ak_bert_head_positions(r->positions, c, head),
        .drop = drop->threshold ? &one : NULL,
        .dq = r->dqkv + wide,
        .dk = r->dqkv + wide + d,
        .dv = r->dqkv + wide + 2 * d,
        .ldg = 3 * d,
        .dposition = r->dpositions ? diagonals + n - 1 : NULL,
    };
    if (r->dpositions)
        memset(diagonals, 0, (size_t)count * sizeof *diagonals);
    ak_attention_backward(&a, diagonals + ak_bert_diagonals_size(run->bert, r));
    if (r->dpositions)
        ak_bert_sum_buckets(diagonals, run->bert->buckets + c->positions - n, count,
                            r->dpositions + (text * c->heads + head) * AK_BUCKETS);
}

/* A layer's part of the gradient of the numbers of distances, in the order of the texts. */
static void distances_backward(const ak_bert_run *run)
{
    const ak_bert_record *r = run->record;
    int64_t heads = run->bert->config.heads;
    float *grad = ak_bert_gradient(run->bert, &run->bert->weights[DISTANCES]);
    for (int64_t i = 0; grad && i < run->tokens->texts * heads; i++)
        for (int64_t bucket = 0; bucket < AK_BUCKETS; bucket++)
            grad[bucket * heads + i % heads] += r->dpositions[i * AK_BUCKETS + bucket];
}

static void recall_projections(const ak_bert_run *run, ak_bert_kept qkv)
{
    int64_t wide = 3 * run->bert->config.hidden, t = run->record->tokens;
    if (!qkv.halves)
        return;
#pragma omp parallel for schedule(static) if (t > FEW)
    for (int64_t i = 0; i < t; i++)
        (void)ak_bert_recall(run, qkv, i * wide, wide);
}

static void mix_backward(const ak_bert_run *run, int number)
{
    const ak_bert_config *c = &run->bert->config;
    const ak_bert_weight *w = ak_bert_layer_weights(run->bert, number);
    ak_bert_record *r = run->record;
    const ak_bert_layer_record *layer = &r->layers[number];
    int64_t d = c->hidden, work = run->tokens->texts * c->heads;
    norm_backward(run, &w[MIX_GAIN], ak_bert_drop_of(run, number, DROP_MIX), layer->normal1,
                  layer->factors1);
    bias_gradient(run, &w[MIX_BIAS], rows_of(run, r->dropped, d));
    weight_gradient(run, &w[MIX], d, r->dropped, d, layer->mixed);
    input_gradient(run, &w[MIX], d, r->dropped, d, 0, r->z);
    recall_projections(run, layer->qkv);
    ak_bert_drop drop = ak_bert_drop_of(run, number, DROP_ATTENTION);
#pragma omp parallel for schedule(dynamic, 4) num_threads(r->threads)
    for (int64_t i = 0; i < work; i++)
        attention_backward(run, number, i / c->heads, i % c->heads, &drop,
                           r->scratch + omp_get_thread_num() * r->scratch_size);
    distances_backward(run);
}

static void projections_backward(const ak_bert_run *run, int number)
{
    const ak_bert_weight *w = ak_bert_layer_weights(run->bert, number);
    const ak_bert_record *r = run->record;
    int64_t d = run->bert->config.hidden;
    int parts = ak_bert_projections(run, number);
    layer_input(run, number);
    for (int i = 0; i < 3; i++)
        bias_gradient(run, &w[QUERY_BIAS + i],
                      ak_matrix_columns(rows_of(run, r->dqkv, 3 * d), i * d, d));
    for (int i = 0; i < parts; i++)
        weight_gradient(run, &w[QUERY + i], 3 * d / parts, r->dqkv + i * d, 3 * d, r->x);
    if (number == run->bert->first_layer && !run->bert->embeddings)
        return;
    for (int i = 0; i < parts; i++)
        input_gradient(run, &w[QUERY + i], 3 * d / parts, r->dqkv + i * d, 3 * d, 1, r->slope);
}

/* ---- embeddings ---- */

/* Adds rows of dx to the rows of a table, in the order of the tokens; threads share columns. */
static void add_rows(const ak_bert_run *run, const ak_bert_weight *table, const int32_t *numbers)
{
    float *grad = ak_bert_gradient(run->bert, table);
    int64_t d = table->columns, t = run->record->tokens;
    if (!grad)
        return;
#pragma omp parallel for schedule(static) if (t > FEW)
    for (int64_t first = 0; first < d; first += COLUMNS) {
        int64_t count = d - first < COLUMNS ? d - first : COLUMNS;
        for (int64_t i = 0; i < t; i++)
            ak_add_scaled(1, run->record->slope + i * d + first,
                          grad + (int64_t)numbers[i] * d + first, count);
    }
}

static void embeddings_backward(const ak_bert_run *run)
{
    const ak_bert_weight *w = run->bert->weights;
    ak_bert_record *r = run->record;
    const int64_t *start = run->tokens->start;
    int64_t d = run->bert->config.hidden;
    ak_bert_drop drop = ak_bert_drop_of(run, -1, DROPS_OF_A_LAYER + DROP_EMBEDDINGS);
#pragma omp parallel for schedule(static) if (r->tokens > FEW)
    for (int64_t i = 0; i < r->tokens; i++)
        ak_bert_drop_row(&drop, i, r->slope + i * d, r->slope + i * d, d);
    norm_backward(run, &w[EMBED_GAIN], (ak_bert_drop){0}, r->normal, r->factors);
    add_rows(run, &w[WORDS], run->tokens->ids + start[0]);
    float *types = ak_bert_gradient(run->bert, &w[TYPES]); /* every token is of type 0 */
    if (types)
        ak_column_sums(rows_of(run, r->slope, d), types);
    int32_t *places = (int32_t *)r->z;
    for (int64_t text = 0; text < run->tokens->texts; text++)
        for (int64_t i = start[text]; i < start[text + 1]; i++)
            places[i - start[0]] = (int32_t)(run->bert->config.first_position + i - start[text]);
    add_rows(run, &w[PLACES], places);
}

/* ---- all of it ---- */

static void pool_backward(const ak_bert_run *run, int pooling, akin_matrix dy)
{
    const int64_t *start = run->tokens->start;
    ak_bert_record *r = run->record;
    int64_t d = run->bert->config.hidden;
    layer_input(run, run->bert->config.layers); /* the last layer's output: only the maximum asks */
#pragma omp parallel for schedule(static) if (r->tokens > FEW)
    for (int64_t text = 0; text < run->tokens->texts; text++) {
        int64_t row = start[text] - start[0];
        ak_bert_pool_backward(
            pooling, r->x + row * d, dy.data + text * dy.stride, start[text + 1] - start[text],
            run->tokens->skip ? run->tokens->skip[text] : 0, d, r->slope + row * d);
    }
}

void ak_bert_train_backward(ak_bert_train *bert, const akin_pass *pass, const ak_tokens *tokens,
                            int pooling, void *record, akin_matrix dy)
{
    ak_bert_run run = {bert, pass, tokens, record};
    if (!record || (bert->first_layer == bert->config.layers && !bert->embeddings))
        return;
    pool_backward(&run, pooling, dy);
    for (int i = bert->config.layers - 1; i >= bert->first_layer; i--) {
        if (bert->options.recompute) {
            layer_input(&run, i);
            ak_bert_train_layer(&run, i);
        }
        wide_backward(&run, i);
        mix_backward(&run, i);
        projections_backward(&run, i);
    }
    if (bert->embeddings)
        embeddings_backward(&run);
}
