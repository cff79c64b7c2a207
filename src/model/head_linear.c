/* linear: y = x W^T + b. A square W starts as the identity and b as zero, so that training starts
   from what the encoders say; another shape starts as PyTorch's Linear (uniform in +-1/sqrt(in)).

   rank r > 0: y = x + (x A^T) B^T + b, a correction of low rank (LoRA, Hu et al., 2021) with B = 0
   at first: 2 d r weights in place of d². */
#include "model/heads.h"

#include <math.h>
#include <string.h>

typedef struct options {
    double dropout;
    int64_t output_dim, rank;
    bool bias;
} options;

static const akin_option rows[] = {
    AK_HEAD_DROPOUT(options),
    {"output_dim", AKIN_OPTION_INT, offsetof(options, output_dim), "0",
     "width of the embedding; 0: as wide as the input", .maximum = 1 << 20},
    {"rank", AKIN_OPTION_INT, offsetof(options, rank), "0",
     "rank of the correction to the identity; 0: a full matrix", .maximum = 1 << 20},
    {"bias", AKIN_OPTION_BOOL, offsetof(options, bias), "true", "adds a learned vector"},
    {NULL},
};

typedef struct head {
    options options;
    const akin_parameters *parameters;
    int weight;   /* full: output x input */
    int down, up; /* low rank: A, rank x input, and B, output x rank */
    int bias;     /* -1: none */
} head;

typedef struct record_of {
    akin_matrix dropped; /* the input, what dropout left of it */
    akin_matrix low;     /* low rank: x A^T */
} record_of;

static float *value_of(const head *h, int number)
{
    return number < 0 ? NULL : akin_parameters_get(h->parameters, number)->value;
}

static float *grad_of(const head *h, int number)
{
    return number < 0 ? NULL : akin_parameters_get(h->parameters, number)->grad;
}

static akin_status check(const options *o, int64_t input_dim, int64_t output_dim, akin_error *error)
{
    if (o->rank && output_dim != input_dim)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "linear head: with a rank the output is as wide as the input, %lld, "
                       "but output_dim is %lld",
                       (long long)input_dim, (long long)output_dim);
    if (o->rank > input_dim)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "linear head: rank is %lld, must be at most the input's width, %lld",
                       (long long)o->rank, (long long)input_dim);
    return AKIN_OK;
}

static akin_status add_parameters(head *h, int64_t in, int64_t out, akin_parameters *parameters,
                                  akin_error *error)
{
    int64_t rank = h->options.rank;
    double bound = 1 / sqrt((double)in);
    bool square = in == out;
    if (rank) {
        AK_TRY(akin_parameters_add(parameters, &h->down, "down.weight", rank, in, AKIN_INIT_UNIFORM,
                                   bound, true, error));
        AK_TRY(akin_parameters_add(parameters, &h->up, "up.weight", out, rank, AKIN_INIT_ZERO, 0,
                                   true, error));
    } else {
        akin_init init = square ? AKIN_INIT_IDENTITY : AKIN_INIT_UNIFORM;
        AK_TRY(akin_parameters_add(parameters, &h->weight, "weight", out, in, init, bound, true,
                                   error));
    }
    if (!h->options.bias)
        return AKIN_OK;
    akin_init init = square ? AKIN_INIT_ZERO : AKIN_INIT_UNIFORM;
    return akin_parameters_add(parameters, &h->bias, "bias", 1, out, init, bound, false, error);
}

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    const options *o = given;
    head h = {.options = *o, .parameters = parameters, .bias = -1};
    *self = NULL;
    *output_dim = o->output_dim ? o->output_dim : input_dim;
    AK_TRY(check(o, input_dim, *output_dim, error));
    AK_TRY(add_parameters(&h, input_dim, *output_dim, parameters, error));
    if (!(*self = ak_alloc(sizeof h)))
        return ak_fail_memory(error);
    memcpy(*self, &h, sizeof h);
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const head *h = self;
    const float *bias = value_of(h, h->bias);
    *record = NULL;
    record_of *kept = ak_arena_new(pass->arena, record_of, 1);
    if (!kept)
        return ak_fail_memory(error);
    AK_TRY(ak_dropout_new(&x, x, h->options.dropout, pass, AK_STREAM_HEAD_INPUT, error));
    kept->dropped = x;
    if (h->options.rank) {
        kept->low = ak_matrix_new(pass->arena, x.rows, h->options.rank);
        if (!kept->low.data)
            return ak_fail_memory(error);
        ak_linear_forward(x, value_of(h, h->down), NULL, kept->low, pass->precision);
        ak_linear_forward(kept->low, value_of(h, h->up), NULL, y, pass->precision);
        ak_residual(y, bias, NULL, x);
    } else {
        ak_linear_forward(x, value_of(h, h->weight), bias, y, pass->precision);
    }
    if (pass->training)
        *record = kept;
    return AKIN_OK;
}

static akin_status low_rank_backward(const head *h, const akin_pass *pass, const record_of *kept,
                                     akin_matrix dy, akin_matrix dx, akin_error *error)
{
    akin_matrix dlow = ak_matrix_new(pass->arena, dy.rows, h->options.rank);
    if (!dlow.data)
        return ak_fail_memory(error);
    ak_linear_backward(kept->low, value_of(h, h->up), dy, grad_of(h, h->up), grad_of(h, h->bias),
                       dlow, pass->precision);
    ak_linear_backward(kept->dropped, value_of(h, h->down), dlow, grad_of(h, h->down), NULL, dx,
                       pass->precision);
    if (dx.data)
        ak_residual(dx, NULL, NULL, dy);
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const head *h = self;
    const record_of *kept = record;
    (void)x;
    if (h->options.rank)
        AK_TRY(low_rank_backward(h, pass, kept, dy, dx, error));
    else
        ak_linear_backward(kept->dropped, value_of(h, h->weight), dy, grad_of(h, h->weight),
                           grad_of(h, h->bias), dx, pass->precision);
    if (dx.data)
        ak_dropout(dx, dx, h->options.dropout, pass, AK_STREAM_HEAD_INPUT);
    return AKIN_OK;
}

const akin_head_class ak_head_linear = {
    .size = sizeof(akin_head_class),
    .name = "linear",
    .summary = "a linear map, the identity at first where it is square",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .forward = forward,
    .backward = backward,
};
