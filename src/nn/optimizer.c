/* Optimizers with PyTorch's definitions: SGD with momentum (torch.optim.SGD, no dampening), Adam
   (Kingma and Ba, 2015; weight decay is added to the gradient) and AdamW (Loshchilov and Hutter,
   2019; weight decay shrinks the value). Gradients are clipped by their global norm first, as
   clip_grad_norm_ does.

   One pass over the block reads value, gradient and moments and writes all of them, the gradient as
   zero for the next step. Segments of at most 4096 floats of one parameter are what threads share;
   no element depends on another, so the bits do not depend on the threads. */
#include "nn/nn.h"

#include <math.h>

enum { SEGMENT = 4096, PARALLEL_FROM = 1 << 15, MAX_STATES = 2 };

typedef struct segment {
    int parameter;
    int64_t first, count; /* in the block */
} segment;

struct ak_optimizer {
    akin_optimizer_options options;
    akin_parameters *parameters;
    segment *segments;
    int64_t segment_count;
    int states;
    float *state[MAX_STATES];
};

const akin_option ak_optimizer_options[] = {
    {"type", AKIN_OPTION_CHOICE, offsetof(akin_optimizer_options, type), "adam",
     "how gradients become updates", .choices = "sgd|adam|adamw"},
    {"lr", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, lr), "0.001", "learning rate",
     .maximum = 1e6},
    {"momentum", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, momentum), "0",
     "sgd: how much of the last update is kept", .maximum = 1},
    {"beta1", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, beta1), "0.9",
     "adam: decay of the mean of gradients", .maximum = 1},
    {"beta2", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, beta2), "0.999",
     "adam: decay of the mean of squared gradients", .maximum = 1},
    {"epsilon", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, epsilon), "1e-8",
     "adam: added to the divisor", .maximum = 1},
    {"weight_decay", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, weight_decay), "-1",
     "pull of weights towards zero; -1: 0.01 for adamw, else 0", .minimum = -1, .maximum = 1e6},
    {"schedule", AKIN_OPTION_CHOICE, offsetof(akin_optimizer_options, schedule), "constant",
     "learning rate after the warm-up", .choices = "constant|linear|cosine"},
    {"warmup_steps", AKIN_OPTION_INT, offsetof(akin_optimizer_options, warmup_steps), "0",
     "steps over which the learning rate rises from 0", .maximum = 1e15},
    {"clip_norm", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, clip_norm), "0",
     "longest gradient; 0: not clipped", .maximum = 1e30},
    {NULL},
};

akin_optimizer_options akin_optimizer_defaults(akin_optimizer_type type)
{
    return (akin_optimizer_options){
        .size = sizeof(akin_optimizer_options),
        .type = type,
        .lr = 1e-3,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-8,
        .weight_decay = type == AKIN_ADAMW ? 0.01 : 0,
        .schedule = AKIN_CONSTANT,
    };
}

/* NaN is outside of every range. */
static akin_status check(const char *name, double value, double low, double high, akin_error *error)
{
    if (value >= low && value <= high)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_ARGUMENT, "optimizer: %s is %g, must be between %g and %g", name,
                   value, low, high);
}

static akin_status check_options(const akin_optimizer_options *o, akin_error *error)
{
    const double below_one = 1 - 0x1p-53;
    AK_TRY(check("type", o->type, AKIN_SGD, AKIN_ADAMW, error));
    AK_TRY(check("schedule", o->schedule, AKIN_CONSTANT, AKIN_COSINE, error));
    AK_TRY(check("lr", o->lr, 0, 1e6, error));
    AK_TRY(check("momentum", o->momentum, 0, 1, error));
    AK_TRY(check("beta1", o->beta1, 0, below_one, error));
    AK_TRY(check("beta2", o->beta2, 0, below_one, error));
    AK_TRY(check("epsilon", o->epsilon, 0, 1, error));
    AK_TRY(check("weight_decay", o->weight_decay, -1, 1e6, error));
    AK_TRY(check("warmup_steps", (double)o->warmup_steps, 0, 1e15, error));
    return check("clip_norm", o->clip_norm, 0, 1e30, error);
}

static akin_status make_segments(ak_optimizer *optimizer, akin_error *error)
{
    const float *values = ak_parameters_values(optimizer->parameters);
    int64_t capacity = 0;
    for (int p = 0; p < ak_parameters_count(optimizer->parameters); p++) {
        const akin_parameter *parameter = akin_parameters_get(optimizer->parameters, p);
        int64_t start = parameter->value - values, size = parameter->rows * parameter->columns;
        for (int64_t first = 0; first < size; first += SEGMENT) {
            AK_TRY(ak_grow(&optimizer->segments, optimizer->segment_count, &capacity,
                           sizeof(segment), error));
            optimizer->segments[optimizer->segment_count++] = (segment){
                .parameter = p,
                .first = start + first,
                .count = size - first < SEGMENT ? size - first : SEGMENT,
            };
        }
    }
    return AKIN_OK;
}

static akin_status open_optimizer(ak_optimizer *optimizer, akin_error *error)
{
    AK_TRY(ak_parameters_train(optimizer->parameters, error));
    AK_TRY(make_segments(optimizer, error));
    size_t size = (size_t)ak_parameters_size(optimizer->parameters);
    for (int s = 0; s < optimizer->states; s++) {
        optimizer->state[s] = ak_calloc(size, sizeof(float));
        if (!optimizer->state[s])
            return ak_fail_memory(error);
    }
    return AKIN_OK;
}

akin_status ak_optimizer_create(ak_optimizer **out, const akin_optimizer_options *options,
                                akin_parameters *parameters, akin_error *error)
{
    *out = NULL;
    AK_TRY(check_options(options, error));
    ak_optimizer *optimizer = ak_calloc(1, sizeof *optimizer);
    if (!optimizer)
        return ak_fail_memory(error);
    optimizer->options = *options;
    optimizer->parameters = parameters;
    if (options->weight_decay < 0)
        optimizer->options.weight_decay = options->type == AKIN_ADAMW ? 0.01 : 0;
    optimizer->states = options->type != AKIN_SGD ? 2 : options->momentum > 0;
    akin_status status = open_optimizer(optimizer, error);
    if (status) {
        ak_optimizer_free(optimizer);
        return status;
    }
    *out = optimizer;
    return AKIN_OK;
}

void ak_optimizer_free(ak_optimizer *optimizer)
{
    if (!optimizer)
        return;
    for (int s = 0; s < optimizer->states; s++)
        ak_free(optimizer->state[s]);
    ak_free(optimizer->segments);
    ak_free(optimizer);
}

int ak_optimizer_state_count(const ak_optimizer *optimizer)
{
    return optimizer->states;
}

const char *ak_optimizer_state_name(const ak_optimizer *optimizer, int number)
{
    static const char *const names[] = {"first_moment", "second_moment"};
    return optimizer->options.type == AKIN_SGD ? "momentum" : names[number];
}

float *ak_optimizer_state(const ak_optimizer *optimizer, int number)
{
    return optimizer->state[number];
}

/* What one parameter's update needs, computed in double. */
typedef struct update {
    float clip;   /* times the gradient */
    float decay;  /* times the value, added to the gradient */
    float shrink; /* times the value (AdamW) */
    float lr;     /* Adam: over 1 - beta1^t */
    float momentum;
    float keep1, take1, keep2, take2; /* beta and 1 - beta */
    float root;                       /* 1 / sqrt(1 - beta2^t) */
    float epsilon;
} update;

AK_KERNEL static void sgd(update u, float *restrict value, float *restrict grad, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        value[i] -= u.lr * (grad[i] * u.clip + u.decay * value[i]);
        grad[i] = 0;
    }
}

AK_KERNEL static void sgd_momentum(update u, float *restrict value, float *restrict grad,
                                   float *restrict momentum, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        momentum[i] = u.momentum * momentum[i] + (grad[i] * u.clip + u.decay * value[i]);
        value[i] -= u.lr * momentum[i];
        grad[i] = 0;
    }
}

AK_KERNEL static void adam(update u, float *restrict value, float *restrict grad,
                           float *restrict first, float *restrict second, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * u.clip + u.decay * value[i];
        float m = u.keep1 * first[i] + u.take1 * g;
        float v = u.keep2 * second[i] + u.take2 * g * g;
        value[i] = value[i] * u.shrink - u.lr * m / (sqrtf(v) * u.root + u.epsilon);
        first[i] = m;
        second[i] = v;
        grad[i] = 0;
    }
}

static update make_update(const akin_optimizer_options *o, const akin_parameter *parameter,
                          double lr, double clip, int64_t step)
{
    double decay = parameter->decay ? o->weight_decay : 0, t = (double)step + 1;
    double own_lr = lr * parameter->lr_factor;
    update u = {
        .clip = (float)clip,
        .decay = (float)decay,
        .shrink = 1,
        .lr = (float)own_lr,
        .momentum = (float)o->momentum,
    };
    if (o->type == AKIN_SGD)
        return u;
    if (o->type == AKIN_ADAMW) {
        u.decay = 0;
        u.shrink = (float)(1 - own_lr * decay);
    }
    u.lr = (float)(own_lr / (1 - pow(o->beta1, t)));
    u.keep1 = (float)o->beta1;
    u.take1 = (float)(1 - o->beta1);
    u.keep2 = (float)o->beta2;
    u.take2 = (float)(1 - o->beta2);
    u.root = (float)(1 / sqrt(1 - pow(o->beta2, t)));
    u.epsilon = (float)o->epsilon;
    return u;
}

static void run_segment(const ak_optimizer *optimizer, const segment *s, const update *u)
{
    float *value = ak_parameters_values(optimizer->parameters) + s->first;
    float *grad = ak_parameters_grads(optimizer->parameters) + s->first;
    if (!optimizer->states) {
        sgd(*u, value, grad, s->count);
        return;
    }
    float *first = optimizer->state[0] + s->first;
    if (optimizer->states == 1)
        sgd_momentum(*u, value, grad, first, s->count);
    else
        adam(*u, value, grad, first, optimizer->state[1] + s->first, s->count);
}

/* PyTorch's factor: at most 1, and not a number when the norm is not finite. */
static double clip_factor(const ak_optimizer *optimizer)
{
    if (optimizer->options.clip_norm <= 0)
        return 1;
    double norm = ak_parameters_grad_norm(optimizer->parameters);
    double factor = optimizer->options.clip_norm / (norm + 1e-6);
    return factor > 1 ? 1 : factor;
}

double ak_optimizer_step(ak_optimizer *optimizer, int64_t step, int64_t total_steps)
{
    double lr = ak_schedule_lr(&optimizer->options, step, total_steps);
    double clip = clip_factor(optimizer);
    int64_t size = ak_parameters_size(optimizer->parameters);
#pragma omp parallel for schedule(static) if (size >= PARALLEL_FROM)
    for (int64_t i = 0; i < optimizer->segment_count; i++) {
        const segment *s = &optimizer->segments[i];
        const akin_parameter *parameter = akin_parameters_get(optimizer->parameters, s->parameter);
        update u = make_update(&optimizer->options, parameter, lr, clip, step);
        run_segment(optimizer, s, &u);
    }
    return lr;
}
