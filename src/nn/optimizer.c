/* Optimizers with PyTorch's definitions: SGD with momentum (torch.optim.SGD, no dampening), Adam
   (Kingma and Ba, 2015; weight decay is added to the gradient) and AdamW (Loshchilov and Hutter,
   2019; weight decay shrinks the value).

   One pass over the block reads value, gradient and moments and writes all of them; the gradient is
   then zero for the next step. Segments of at most 4096 floats of one parameter are what threads
   share; no element depends on another, so the bits do not depend on the threads. Of tables only
   the rows that have gradients are updated, as torch.optim.SparseAdam does: the moments of other
   rows wait. */
#include "nn/nn.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

enum { SEGMENT = 4096, PARALLEL_FROM = 1 << 15, MAX_STATES = 2 };

typedef struct segment {
    int parameter;
    int64_t first, count; /* in the block */
} segment;

/* Of one parameter. */
typedef struct rates {
    double lr_factor, weight_decay;
} rates;

struct ak_optimizer {
    akin_optimizer_options options;
    akin_parameters *parameters;
    rates *rates; /* per parameter */
    segment *segments;
    int64_t segment_count;
    int states;
    float *state[MAX_STATES];
};

static akin_status make_segments(ak_optimizer *optimizer, akin_error *error)
{
    const float *values = ak_parameters_values(optimizer->parameters);
    int64_t capacity = 0;
    for (int p = 0; p < ak_parameters_count(optimizer->parameters); p++) {
        const akin_parameter *parameter = akin_parameters_get(optimizer->parameters, p);
        int64_t start = parameter->value - values, size = parameter->rows * parameter->columns;
        if (start >= ak_parameters_dense(optimizer->parameters))
            continue; /* a table */
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

static akin_status make_rates(ak_optimizer *optimizer, akin_error *error)
{
    int count = ak_parameters_count(optimizer->parameters);
    optimizer->rates = ak_calloc((size_t)count, sizeof(rates));
    if (!optimizer->rates)
        return ak_fail_memory(error);
    for (int p = 0; p < count; p++) {
        const akin_parameter *parameter = akin_parameters_get(optimizer->parameters, p);
        optimizer->rates[p].lr_factor = parameter->lr_factor;
        optimizer->rates[p].weight_decay = parameter->decay ? optimizer->options.weight_decay : 0;
    }
    return AKIN_OK;
}

static akin_status open_optimizer(ak_optimizer *optimizer, akin_error *error)
{
    AK_TRY(ak_parameters_train(optimizer->parameters, error));
    AK_TRY(make_segments(optimizer, error));
    AK_TRY(make_rates(optimizer, error));
    size_t size = (size_t)ak_parameters_size(optimizer->parameters);
    for (int s = 0; s < optimizer->states; s++) {
        optimizer->state[s] = ak_alloc_large(size * sizeof(float));
        if (!optimizer->state[s])
            return ak_fail_memory(error);
        memset(optimizer->state[s], 0, size * sizeof(float));
    }
    return AKIN_OK;
}

akin_status ak_optimizer_create(ak_optimizer **out, const akin_optimizer_options *options,
                                akin_parameters *parameters, akin_error *error)
{
    *out = NULL;
    AK_TRY(ak_optimizer_check(options, error));
    ak_optimizer *optimizer = ak_calloc(1, sizeof *optimizer);
    if (!optimizer)
        return ak_fail_memory(error);
    optimizer->options = *options;
    optimizer->parameters = parameters;
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
    ak_free(optimizer->rates);
    ak_free(optimizer);
}

akin_status ak_optimizer_apply(ak_optimizer *optimizer, const char *part,
                               const akin_parameter_group *group, int *fitting, akin_error *error)
{
    for (int p = 0; p < ak_parameters_count(optimizer->parameters); p++) {
        const akin_parameter *parameter = akin_parameters_get(optimizer->parameters, p);
        char *name = ak_format("%s/%s", part, parameter->name);
        if (!name)
            return ak_fail_memory(error);
        bool fits = fnmatch(group->match, name, 0) == 0;
        ak_free(name);
        if (!fits)
            continue;
        optimizer->rates[p].lr_factor = parameter->lr_factor * group->lr_factor;
        optimizer->rates[p].weight_decay = parameter->decay ? group->weight_decay : 0;
        ++*fitting;
    }
    return AKIN_OK;
}

void ak_optimizer_set_lr(ak_optimizer *optimizer, double lr)
{
    optimizer->options.lr = lr;
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
    float decay;  /* times the value, added to the gradient */
    float shrink; /* times the value (AdamW) */
    float lr;     /* Adam: over 1 - beta1^t */
    float momentum;
    float keep1, take1, keep2, take2; /* beta and 1 - beta */
    float root;                       /* 1 / sqrt(1 - beta2^t) */
    float epsilon;
} update;

AK_KERNEL static void sgd(update u, float *restrict value, const float *restrict grad, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        value[i] -= u.lr * (grad[i] + u.decay * value[i]);
}

AK_KERNEL static void sgd_momentum(update u, float *restrict value, const float *restrict grad,
                                   float *restrict momentum, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        momentum[i] = u.momentum * momentum[i] + (grad[i] + u.decay * value[i]);
        value[i] -= u.lr * momentum[i];
    }
}

AK_KERNEL static void adam(update u, float *restrict value, const float *restrict grad,
                           float *restrict first, float *restrict second, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] + u.decay * value[i];
        float m = u.keep1 * first[i] + u.take1 * g;
        float v = u.keep2 * second[i] + u.take2 * g * g;
        value[i] = value[i] * u.shrink - u.lr * m / (sqrtf(v) * u.root + u.epsilon);
        first[i] = m;
        second[i] = v;
    }
}

static update make_update(const akin_optimizer_options *o, const rates *own, double lr,
                          int64_t step)
{
    double t = (double)step + 1, own_lr = lr * own->lr_factor;
    update u = {
        .decay = (float)own->weight_decay,
        .shrink = 1,
        .lr = (float)own_lr,
        .momentum = (float)o->momentum,
    };
    if (o->type == AKIN_SGD)
        return u;
    if (o->type == AKIN_ADAMW) {
        u.decay = 0;
        u.shrink = (float)(1 - own_lr * own->weight_decay);
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

/* value, grad: where `count` floats are in their blocks. */
static void run_floats(const ak_optimizer *optimizer, int64_t value_at, int64_t grad_at,
                       int64_t count, const update *u)
{
    float *value = ak_parameters_values(optimizer->parameters) + value_at;
    const float *grad = ak_parameters_grads(optimizer->parameters) + grad_at;
    if (!optimizer->states) {
        sgd(*u, value, grad, count);
        return;
    }
    float *first = optimizer->state[0] + value_at;
    if (optimizer->states == 1)
        sgd_momentum(*u, value, grad, first, count);
    else
        adam(*u, value, grad, first, optimizer->state[1] + value_at, count);
}

static void run_rows(const ak_optimizer *optimizer, double lr, int64_t step)
{
    int64_t count;
    const ak_touched *touched = ak_parameters_touched(optimizer->parameters, &count);
    for (int64_t first = 0, end = 0; first < count; first = end) { /* a table's rows are together */
        int number = touched[first].parameter;
        int64_t columns = akin_parameters_get(optimizer->parameters, number)->columns;
        update u = make_update(&optimizer->options, &optimizer->rates[number], lr, step);
        while (end < count && touched[end].parameter == number)
            end++;
#pragma omp parallel for schedule(static) if ((end - first) * columns >= PARALLEL_FROM)
        for (int64_t i = first; i < end; i++)
            run_floats(optimizer, touched[i].value, touched[i].grad, columns, &u);
    }
    ak_parameters_forget(optimizer->parameters);
}

double ak_optimizer_step(ak_optimizer *optimizer, int64_t step, int64_t total_steps)
{
    double lr = ak_schedule_lr(&optimizer->options, step, total_steps);
    ak_clip_grads(&optimizer->parameters, 1, optimizer->options.clip_value,
                  optimizer->options.clip_norm);
    int64_t size = ak_parameters_dense(optimizer->parameters);
#pragma omp parallel for schedule(static) if (size >= PARALLEL_FROM)
    for (int64_t i = 0; i < optimizer->segment_count; i++) {
        const segment *s = &optimizer->segments[i];
        update u = make_update(&optimizer->options, &optimizer->rates[s->parameter], lr, step);
        run_floats(optimizer, s->first, s->first, s->count, &u);
        memset(ak_parameters_grads(optimizer->parameters) + s->first, 0,
               (size_t)s->count * sizeof(float));
    }
    run_rows(optimizer, lr, step);
    return lr;
}
