/* The forward pass of training: all tokens of the batch go through a layer together, so that every
   product is one large one. What backward reads is kept in the record; a pass that does not train
   uses the same code on one layer's memory, a part of the texts at a time. */
#include "model/bert_train.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    SERVED = 4096,  /* tokens at a time when not training */
    FEW = 16,       /* rows that are not worth a thread */
    GROW = 1 << 20, /* bytes: memory is asked for in powers of two from here on */
};

/* ---- memory ---- */

/* Hands memory out, or only counts it (NULL). */
typedef struct plan {
    float *memory;
    int64_t used; /* floats */
} plan;

static float *take(plan *p, int64_t floats)
{
    float *at = p->memory ? p->memory + p->used : NULL;
    p->used += (floats + 15) / 16 * 16;
    return at;
}

static ak_bert_kept take_kept(plan *p, int64_t count, akin_precision precision)
{
    if (precision == AKIN_BF16)
        return (ak_bert_kept){.halves = (uint16_t *)take(p, (count + 1) / 2)};
    return (ak_bert_kept){.floats = take(p, count)};
}

/* outputs: the part that stays when the rest is computed again. */
static void plan_outputs(plan *p, ak_bert_layer_record *layer, int64_t t, const ak_bert_config *c)
{
    layer->normal2 = take(p, t * c->hidden);
    layer->factors2 = take(p, t);
}

static void plan_inside(plan *p, ak_bert_layer_record *layer, int64_t t, const ak_bert_config *c,
                        akin_precision precision)
{
    layer->qkv = take_kept(p, t * 3 * c->hidden, precision);
    layer->mixed = take(p, t * c->hidden);
    layer->lse = take(p, t * c->heads);
    layer->up = take_kept(p, t * c->intermediate, precision);
    layer->normal1 = take(p, t * c->hidden);
    layer->factors1 = take(p, t);
}

/* Layers below the first trained one share their memory with it. */
static void plan_layers(plan *p, const ak_bert_train *bert, ak_bert_record *r,
                        const akin_pass *pass)
{
    const ak_bert_config *c = &bert->config;
    ak_bert_layer_record shared = {0};
    for (int i = 0; i < c->layers; i++) {
        bool fresh = i == 0 || (pass->training && i > bert->first_layer);
        if (fresh)
            plan_outputs(p, &shared, r->tokens, c);
        if (i == 0 || (fresh && !bert->options.recompute))
            plan_inside(p, &shared, r->tokens, c, pass->precision);
        r->layers[i] = shared;
    }
}

static void plan_record(plan *p, const ak_bert_train *bert, ak_bert_record *r,
                        const akin_pass *pass)
{
    bool training = pass->training;
    const ak_bert_config *c = &bert->config;
    int64_t t = r->tokens, d = c->hidden, dim = d / c->heads;
    int64_t forward = ak_attention_scratch(r->longest, dim);
    int64_t backward = training ? ak_attention_backward_scratch(r->longest, dim) : 0;
    r->x = take(p, t * d);
    r->z = take(p, t * d);
    r->wide = take(p, t * (c->intermediate > 3 * d ? c->intermediate : 3 * d));
    r->normal = take(p, t * d);
    r->factors = take(p, t);
    if (bert->buckets)
        r->positions = take(p, c->heads * (2 * c->positions - 1));
    if (training && bert->weights[DISTANCES].number >= 0)
        r->dpositions = take(p, r->texts * c->heads * AK_BUCKETS);
    r->scratch_size = ((forward > backward ? forward : backward) + ak_bert_bits_size(r) +
                       ak_bert_diagonals_size(bert, r) + 15) /
                      16 * 16;
    r->scratch = take(p, r->threads * r->scratch_size);
    plan_layers(p, bert, r, pass);
    if (!training)
        return;
    r->places = (uint64_t *)take(p, 2 * t);
    r->entry = take(p, t * d);
    r->slope = take(p, t * d);
    r->dropped = c->hidden_dropout > 0 ? take(p, t * d) : r->slope;
    r->dwide = take(p, t * c->intermediate);
    r->dqkv = take(p, t * 3 * d);
    if (bert->options.lora_rank)
        r->dweight = take(p, d * (c->intermediate > d ? c->intermediate : d));
}

/* Batches differ in size: an arena that is asked for powers of two does not grow with each larger
   one, and memory that is not used is not there. */
static size_t rounded(size_t bytes)
{
    size_t size = GROW;
    while (size < bytes)
        size *= 2;
    return bytes < GROW ? bytes : size;
}

static akin_status make_record(ak_bert_record **out, const ak_bert_train *bert,
                               const akin_pass *pass, int64_t texts, int64_t tokens,
                               int64_t longest, akin_error *error)
{
    ak_bert_record *r = ak_arena_new(pass->arena, ak_bert_record, 1);
    ak_bert_layer_record *layers =
        ak_arena_new(pass->arena, ak_bert_layer_record, bert->config.layers + 1);
    if (!r || !layers)
        return ak_fail_memory(error);
    *r = (ak_bert_record){.texts = texts,
                          .tokens = tokens,
                          .longest = longest,
                          .threads = omp_in_parallel() ? 1 : omp_get_max_threads(),
                          .layers = layers};
    plan p = {NULL, 0};
    plan_record(&p, bert, r, pass);
    p.memory = akin_arena_alloc(pass->arena, rounded((size_t)p.used * sizeof(float)));
    if (!p.memory)
        return ak_fail_memory(error);
    p.used = 0;
    plan_record(&p, bert, r, pass);
    *out = r;
    return AKIN_OK;
}

/* ---- dropout ---- */

static void set_places(const ak_bert_run *run)
{
    const int64_t *start = run->tokens->start, *numbers = run->pass->numbers;
    for (int64_t text = 0; text < run->tokens->texts; text++) {
        uint64_t number = (uint64_t)(numbers ? numbers[text] : text);
        for (int64_t i = start[text]; i < start[text + 1]; i++)
            run->record->places[i - start[0]] = number << 32 | (uint64_t)(i - start[text]);
    }
}

ak_bert_drop ak_bert_drop_of(const ak_bert_run *run, int layer, int which)
{
    const ak_bert_config *c = &run->bert->config;
    double p = which == DROP_ATTENTION ? c->attention_dropout : c->hidden_dropout;
    if (which == DROP_MIX && c->architecture == AK_DISTILBERT)
        p = 0;                                  /* it has none there */
    bool stem = layer < run->bert->first_layer; /* where embeddings are trained there is none */
    if (!run->pass->training || p <= 0 || (stem && !run->bert->embeddings))
        return (ak_bert_drop){0};
    uint64_t stream = AK_BERT_STREAM + (uint64_t)(layer * DROPS_OF_A_LAYER + which);
    return (ak_bert_drop){.key = ak_random(run->pass->seed, stream, run->pass->step),
                          .places = run->record->places,
                          .threshold = (uint32_t)(p * 0x1p32),
                          .scale = (float)(1 / (1 - p))};
}

void ak_bert_drop_row(const ak_bert_drop *drop, int64_t row, const float *x, float *y, int64_t d)
{
    if (drop->threshold)
        ak_drop_row(x, y, d, ak_random(drop->key, 0, drop->places[row]), drop->threshold,
                    drop->scale);
    else if (x != y)
        memcpy(y, x, (size_t)d * sizeof *y);
}

const uint64_t *ak_bert_drop_bits(const ak_bert_run *run, const ak_bert_drop *drop, int64_t text,
                                  int64_t head, float *scratch)
{
    const int64_t *start = run->tokens->start;
    uint64_t *bits = (uint64_t *)scratch, key = drop->key + (uint64_t)head;
    for (int64_t i = start[text]; drop->threshold && i < start[text + 1]; i++)
        bits[i - start[text]] = ak_random(key, 0, drop->places[i - start[0]]);
    return bits;
}

/* ---- a layer ---- */

int ak_bert_projections(const ak_bert_run *run, int layer)
{
    const ak_bert_weight *w = ak_bert_layer_weights(run->bert, layer);
    int64_t square = w[QUERY].rows * w[QUERY].columns;
    bool together =
        w[KEY].value == w[QUERY].value + square && w[VALUE].value == w[KEY].value + square;
    return together && w[QUERY].number >= 0 && w[KEY].number >= 0 && w[VALUE].number >= 0 ? 1 : 3;
}

/* y (t x rows of w) = x w^T, without the bias. */
static void multiply(const ak_bert_run *run, const float *x, const ak_bert_weight *w, int64_t rows,
                     float *y, int64_t ldy)
{
    ak_gemm(run->pass->precision, AK_PLAIN, AK_TRANSPOSED, run->record->tokens, rows, w->columns, 1,
            x, w->columns, w->value, w->columns, 0, y, ldy);
}

static void project(const ak_bert_run *run, const ak_bert_weight *w, int parts,
                    const ak_bert_layer_record *layer)
{
    int64_t d = run->bert->config.hidden, t = run->record->tokens;
    float *qkv = ak_bert_kept_floats(run, layer->qkv);
    for (int i = 0; i < parts; i++)
        multiply(run, run->record->x, &w[QUERY + i], 3 * d / parts, qkv + i * d, 3 * d);
#pragma omp parallel for schedule(static) if (t > FEW)
    for (int64_t i = 0; i < t; i++) {
        for (int b = 0; b < 3; b++)
            ak_add_scaled(1, w[QUERY_BIAS + b].value, qkv + (3 * i + b) * d, d);
        ak_bert_keep(run, layer->qkv, 3 * i * d, 3 * d);
    }
}

/* Head `head` of text `text`. */
static void attend_one(const ak_bert_run *run, const ak_bert_layer_record *layer,
                       const ak_bert_drop *drop, int64_t text, int64_t head, float *scratch)
{
    const ak_bert_config *c = &run->bert->config;
    const int64_t *start = run->tokens->start;
    int64_t d = c->hidden, dim = d / c->heads, row = start[text] - start[0];
    const float *q = ak_bert_kept_floats(run, layer->qkv) + row * 3 * d + head * dim;
    ak_drop one = {.bits = ak_bert_drop_bits(run, drop, text, head, scratch),
                   .threshold = drop->threshold,
                   .scale = drop->scale};
    ak_attention_train(
        q, q + d, q + 2 * d, 3 * d, start[text + 1] - start[text], dim, 1.0f / sqrtf((float)dim),
        ak_bert_head_positions(run->record->positions, c, head), drop->threshold ? &one : NULL,
        layer->mixed + row * d + head * dim, d, layer->lse + head * run->record->tokens + row,
        scratch + ak_bert_bits_size(run->record));
}

static void attend(const ak_bert_run *run, const ak_bert_layer_record *layer, int number)
{
    int64_t heads = run->bert->config.heads, work = run->tokens->texts * heads;
    ak_bert_drop drop = ak_bert_drop_of(run, number, DROP_ATTENTION);
#pragma omp parallel for schedule(dynamic, 4) num_threads(run->record->threads)
    for (int64_t i = 0; i < work; i++)
        attend_one(run, layer, &drop, i / heads, i % heads,
                   run->record->scratch + omp_get_thread_num() * run->record->scratch_size);
}

/* x = LayerNorm(x + dropout(z + bias)); w: bias, gain, shift. */
static void close_block(const ak_bert_run *run, const ak_bert_weight *w, ak_bert_drop drop,
                        float *normal, float *factors)
{
    int64_t t = run->record->tokens, d = run->bert->config.hidden;
    float epsilon = (float)run->bert->config.layer_norm_epsilon;
#pragma omp parallel for schedule(static) if (t > FEW)
    for (int64_t i = 0; i < t; i++) {
        float *z = run->record->z + i * d, *x = run->record->x + i * d;
        ak_add_scaled(1, w[0].value, z, d);
        ak_bert_drop_row(&drop, i, z, z, d);
        ak_layer_norm_train(z, x, w[1].value, w[2].value, epsilon, 1, d, normal + i * d,
                            factors + i, x);
    }
}

static void widen(const ak_bert_run *run, const ak_bert_weight *w,
                  const ak_bert_layer_record *layer)
{
    const ak_bert_config *c = &run->bert->config;
    int64_t t = run->record->tokens, wide = c->intermediate;
    float *up = ak_bert_kept_floats(run, layer->up);
    multiply(run, run->record->x, &w[UP], wide, up, wide);
#pragma omp parallel for schedule(static) if (t > FEW)
    for (int64_t i = 0; i < t; i++) {
        ak_add_scaled(1, w[UP_BIAS].value, up + i * wide, wide);
        ak_bert_keep(run, layer->up, i * wide, wide);
        ak_activate(c->activation, up + i * wide, run->record->wide + i * wide, wide);
    }
}

void ak_bert_train_layer(const ak_bert_run *run, int number)
{
    const ak_bert_weight *w = ak_bert_layer_weights(run->bert, number);
    const ak_bert_layer_record *layer = &run->record->layers[number];
    int64_t d = run->bert->config.hidden;
    project(run, w, ak_bert_projections(run, number), layer);
    attend(run, layer, number);
    multiply(run, layer->mixed, &w[MIX], d, run->record->z, d);
    close_block(run, &w[MIX_BIAS], ak_bert_drop_of(run, number, DROP_MIX), layer->normal1,
                layer->factors1);
    widen(run, w, layer);
    multiply(run, run->record->wide, &w[DOWN], d, run->record->z, d);
    close_block(run, &w[DOWN_BIAS], ak_bert_drop_of(run, number, DROP_DOWN), layer->normal2,
                layer->factors2);
}

/* ---- all of it ---- */

static void embed(const ak_bert_run *run)
{
    const ak_bert_train *bert = run->bert;
    const ak_bert_weight *w = bert->weights;
    const int64_t *start = run->tokens->start;
    ak_bert_record *r = run->record;
    int64_t d = bert->config.hidden;
    const float *places = w[PLACES].value + bert->config.first_position * d;
    ak_bert_drop drop = ak_bert_drop_of(run, -1, DROPS_OF_A_LAYER + DROP_EMBEDDINGS);
#pragma omp parallel for schedule(static) if (r->tokens > FEW)
    for (int64_t text = 0; text < run->tokens->texts; text++) {
        int64_t row = start[text] - start[0], n = start[text + 1] - start[text];
        float *x = r->x + row * d;
        ak_embed_rows(w[WORDS].value, run->tokens->ids + start[text], places, NULL, w[TYPES].value,
                      n, d, x);
        ak_layer_norm_train(x, NULL, w[EMBED_GAIN].value, w[EMBED_SHIFT].value,
                            (float)bert->config.layer_norm_epsilon, n, d, r->normal + row * d,
                            r->factors + row, x);
        for (int64_t i = 0; i < n; i++)
            ak_bert_drop_row(&drop, row + i, x + i * d, x + i * d, d);
    }
}

/* run->record->x through the layers first .. end. */
static void run_layers(const ak_bert_run *run, int first, int end)
{
    for (int i = first; i < end; i++)
        ak_bert_train_layer(run, i);
}

/* x becomes what enters the first trained layer. */
static void enter(const ak_bert_run *run)
{
    ak_bert_record *r = run->record;
    const ak_bert_config *c = &run->bert->config;
    size_t size = (size_t)(r->tokens * c->hidden) * sizeof *r->x;
    if (r->positions)
        ak_bert_spread_buckets(run->bert->weights[DISTANCES].value, run->bert->buckets,
                               2 * c->positions - 1, c->heads, r->positions);
    if (run->tokens->entry) {
        memcpy(r->x, run->tokens->entry, size);
    } else {
        embed(run);
        run_layers(run, 0, run->bert->first_layer);
    }
    if (run->pass->training)
        memcpy(r->entry, r->x, size);
}

static void run_texts(const ak_bert_run *run, int pooling, akin_matrix y)
{
    const int64_t *start = run->tokens->start;
    ak_bert_record *r = run->record;
    int64_t d = run->bert->config.hidden;
    enter(run);
    run_layers(run, run->bert->first_layer, run->bert->config.layers);
#pragma omp parallel for schedule(static) if (r->tokens > FEW)
    for (int64_t text = 0; text < run->tokens->texts; text++)
        ak_bert_pool(pooling, r->x + (start[text] - start[0]) * d, start[text + 1] - start[text],
                     run->tokens->skip ? run->tokens->skip[text] : 0, d, y.data + text * y.stride);
}

/* Texts from `first` on: as many as fit into SERVED tokens, at least one. */
static ak_tokens part_of_texts(const ak_tokens *all, int64_t first, int64_t d)
{
    int64_t count = 1;
    while (first + count < all->texts &&
           all->start[first + count + 1] - all->start[first] <= SERVED)
        count++;
    return (ak_tokens){
        .texts = count,
        .ids = all->ids,
        .start = all->start + first,
        .skip = all->skip ? all->skip + first : NULL,
        .entry = all->entry ? all->entry + (all->start[first] - all->start[0]) * d : NULL,
    };
}

/* A pass that does not train: the vectors of the texts into y, or (rows not NULL) the stem's
 * output. */
static akin_status serve(const ak_bert_train *bert, const akin_pass *pass, const ak_tokens *tokens,
                         int64_t longest, int pooling, akin_matrix y, float *rows,
                         akin_error *error)
{
    int64_t all = tokens->start[tokens->texts] - tokens->start[0], d = bert->config.hidden;
    int64_t most = longest > SERVED ? longest : SERVED;
    ak_bert_record *record;
    AK_TRY(make_record(&record, bert, pass, 0, all < most ? all : most, longest, error));
    for (int64_t first = 0; first < tokens->texts;) {
        ak_tokens part = part_of_texts(tokens, first, d);
        ak_bert_run run = {bert, pass, &part, record};
        int64_t row = part.start[0] - tokens->start[0];
        record->tokens = part.start[part.texts] - part.start[0];
        if (rows) {
            enter(&run);
            memcpy(rows + row * d, record->x, (size_t)(record->tokens * d) * sizeof *rows);
        } else {
            run_texts(&run, pooling, ak_matrix_rows(y, first, part.texts));
        }
        first += part.texts;
    }
    return AKIN_OK;
}

akin_status ak_bert_train_stem(const ak_bert_train *bert, const akin_pass *pass,
                               const ak_tokens *tokens, float *rows, akin_error *error)
{
    int64_t longest;
    akin_pass serving = *pass;
    serving.training = false;
    AK_TRY(ak_bert_check_tokens(&bert->config, tokens, &longest, error));
    if (tokens->texts == 0)
        return AKIN_OK;
    return serve(bert, &serving, tokens, longest, 0, (akin_matrix){0}, rows, error);
}

akin_status ak_bert_train_forward(const ak_bert_train *bert, const akin_pass *pass,
                                  const ak_tokens *tokens, int pooling, akin_matrix y,
                                  void **record, akin_error *error)
{
    int64_t longest;
    *record = NULL;
    ak_bert_lora_update(bert);
    AK_TRY(ak_bert_check_tokens(&bert->config, tokens, &longest, error));
    if (tokens->texts == 0)
        return AKIN_OK;
    if (!pass->training)
        return serve(bert, pass, tokens, longest, pooling, y, NULL, error);
    ak_bert_record *made;
    AK_TRY(make_record(&made, bert, pass, tokens->texts,
                       tokens->start[tokens->texts] - tokens->start[0], longest, error));
    ak_bert_run run = {bert, pass, tokens, made};
    set_places(&run);
    run_texts(&run, pooling, y);
    *record = made;
    return AKIN_OK;
}
