/* skip_connection, per layer: y = (W·drop(x) + b) ∘ σ(g) + x, after Quaterion's
   SkipConnectionHead. g = -4 at first: the layers start near the identity, and exactly at it with
   init zero (W = b = 0).

   Backward needs neither the product z = W·x + b nor a matrix of dy ∘ σ(g). With G = dyᵀ·x and the
   column sums S of dy, all of it follows from the rows of G, which are few:

     dW_j = σ_j G_j     db_j = σ_j S_j     dg_j = σ_j (1 - σ_j) (W_j·G_j + b_j S_j)
     dx = dy + dy·(diag(σ) W)

   because sum_i dy_ij z_ij = W_j·G_j + b_j S_j. */
#include "model/heads.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 64 };

typedef enum init_choice { INIT_ZERO_WEIGHTS, INIT_AS_PYTORCH } init_choice;

typedef struct options {
    double dropout, skip_dropout;
    int64_t n_layers;
    int init;
} options;

static const akin_option rows[] = {
    AK_HEAD_DROPOUT(options),
    {"n_layers", AKIN_OPTION_INT, offsetof(options, n_layers), "1", "layers, one after the other",
     .minimum = 1, .maximum = MAX_LAYERS},
    {"skip_dropout", AKIN_OPTION_FLOAT, offsetof(options, skip_dropout), "0",
     "share of a layer's input that is dropped on the way through its weights", .maximum = 1},
    {"init", AKIN_OPTION_CHOICE, offsetof(options, init), "zero",
     "weights at first: zero is exactly the identity, pytorch is random",
     .choices = "zero|pytorch"},
    {NULL},
};

typedef struct layer {
    int weight, bias, gate;
} layer;

typedef struct head {
    options options;
    const akin_parameters *parameters;
    layer layers[MAX_LAYERS];
} head;

typedef struct layer_record {
    akin_matrix dropped; /* the layer's input, what skip_dropout left of it */
    float *sigma;        /* σ(g) */
} layer_record;

static akin_status add_layer(layer *l, int64_t number, bool zero, int64_t d,
                             akin_parameters *parameters, akin_error *error)
{
    char name[64];
    akin_init init = zero ? AKIN_INIT_ZERO : AKIN_INIT_UNIFORM;
    double bound = 1 / sqrt((double)d);
    snprintf(name, sizeof name, "layers.%lld.weight", (long long)number);
    AK_TRY(akin_parameters_add(parameters, &l->weight, name, d, d, init, bound, true, error));
    snprintf(name, sizeof name, "layers.%lld.bias", (long long)number);
    AK_TRY(akin_parameters_add(parameters, &l->bias, name, 1, d, init, bound, false, error));
    snprintf(name, sizeof name, "layers.%lld.gate", (long long)number);
    return akin_parameters_add(parameters, &l->gate, name, 1, d, AKIN_INIT_CONSTANT, -4, false,
                               error);
}

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    head h = {.options = *(const options *)given, .parameters = parameters};
    *self = NULL;
    *output_dim = input_dim;
    for (int64_t l = 0; l < h.options.n_layers; l++)
        AK_TRY(add_layer(&h.layers[l], l, h.options.init == INIT_ZERO_WEIGHTS, input_dim,
                         parameters, error));
    if (!(*self = ak_alloc(sizeof h)))
        return ak_fail_memory(error);
    memcpy(*self, &h, sizeof h);
    return AKIN_OK;
}

static akin_status layer_forward(const head *h, int64_t l, const akin_pass *pass, akin_matrix x,
                                 akin_matrix y, layer_record *record, akin_error *error)
{
    const layer *at = &h->layers[l];
    const float *gate = akin_parameters_get(h->parameters, at->gate)->value;
    float *sigma = ak_arena_new(pass->arena, float, x.columns);
    if (!sigma)
        return ak_fail_memory(error);
    for (int64_t j = 0; j < x.columns; j++)
        sigma[j] = 1 / (1 + expf(-gate[j]));
    record->sigma = sigma;
    AK_TRY(ak_dropout_new(&record->dropped, x, h->options.skip_dropout, pass,
                          AK_STREAM_HEAD_LAYER + (uint64_t)l, error));
    ak_linear_forward(record->dropped, akin_parameters_get(h->parameters, at->weight)->value, NULL,
                      y, pass->precision);
    ak_residual(y, akin_parameters_get(h->parameters, at->bias)->value, sigma, x);
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const head *h = self;
    int64_t layers = h->options.n_layers;
    *record = NULL;
    layer_record *kept = ak_arena_new(pass->arena, layer_record, layers);
    if (!kept)
        return ak_fail_memory(error);
    AK_TRY(ak_dropout_new(&x, x, h->options.dropout, pass, AK_STREAM_HEAD_INPUT, error));
    for (int64_t l = 0; l < layers; l++) {
        akin_matrix next = l + 1 < layers ? ak_matrix_new(pass->arena, y.rows, y.columns) : y;
        if (!next.data && y.data)
            return ak_fail_memory(error);
        AK_TRY(layer_forward(h, l, pass, x, next, &kept[l], error));
        x = next;
    }
    if (pass->training)
        *record = kept;
    return AKIN_OK;
}

/* Row j of G becomes σ_j W_j on the way, which is what dx is made with. */
AK_KERNEL static void spread_row(const float *weight, float sigma, float *dweight, float *g,
                                 int64_t d)
{
    for (int64_t k = 0; k < d; k++) {
        dweight[k] += sigma * g[k];
        g[k] = sigma * weight[k];
    }
}

static void spread(const head *h, const layer *at, const float *sigma, const float *sums,
                   akin_matrix g)
{
    const akin_parameter *weight = akin_parameters_get(h->parameters, at->weight);
    const akin_parameter *bias = akin_parameters_get(h->parameters, at->bias);
    const akin_parameter *gate = akin_parameters_get(h->parameters, at->gate);
#pragma omp parallel for schedule(static) if (g.rows >= 64)
    for (int64_t j = 0; j < g.rows; j++) {
        float *row = g.data + j * g.stride;
        const float *w = weight->value + j * g.columns;
        float along = ak_dot(w, row, g.columns) + bias->value[j] * sums[j];
        gate->grad[j] += sigma[j] * (1 - sigma[j]) * along;
        bias->grad[j] += sigma[j] * sums[j];
        spread_row(w, sigma[j], weight->grad + j * g.columns, row, g.columns);
    }
}

static akin_status layer_backward(const head *h, int64_t l, const akin_pass *pass,
                                  const layer_record *record, akin_matrix dy, akin_matrix dx,
                                  akin_error *error)
{
    akin_matrix x = record->dropped, g = ak_matrix_new(pass->arena, x.columns, x.columns);
    float *sums = ak_arena_new(pass->arena, float, x.columns);
    if (!g.data || !sums)
        return ak_fail_memory(error);
    memset(sums, 0, (size_t)x.columns * sizeof *sums);
    ak_column_sums(dy, sums);
    ak_gemm(pass->precision, AK_TRANSPOSED, AK_PLAIN, g.rows, g.columns, x.rows, 1, dy.data,
            dy.stride, x.data, x.stride, 0, g.data, g.stride);
    spread(h, &h->layers[l], record->sigma, sums, g);
    if (!dx.data)
        return AKIN_OK;
    ak_gemm(pass->precision, AK_PLAIN, AK_PLAIN, dx.rows, dx.columns, g.rows, 1, dy.data, dy.stride,
            g.data, g.stride, 0, dx.data, dx.stride);
    ak_dropout(dx, dx, h->options.skip_dropout, pass, AK_STREAM_HEAD_LAYER + (uint64_t)l);
    ak_residual(dx, NULL, NULL, dy);
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const head *h = self;
    const layer_record *kept = record;
    if (!x.rows)
        return AKIN_OK;
    for (int64_t l = h->options.n_layers - 1; l >= 0; l--) {
        akin_matrix before = l ? ak_matrix_new(pass->arena, x.rows, x.columns) : dx;
        if (l && !before.data)
            return ak_fail_memory(error);
        AK_TRY(layer_backward(h, l, pass, &kept[l], dy, before, error));
        dy = before;
    }
    if (dx.data)
        ak_dropout(dx, dx, h->options.dropout, pass, AK_STREAM_HEAD_INPUT);
    return AKIN_OK;
}

const akin_head_class ak_head_skip_connection = {
    .size = sizeof(akin_head_class),
    .name = "skip_connection",
    .summary = "gated linear layers, each added to its input",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = forward,
    .backward = backward,
};
