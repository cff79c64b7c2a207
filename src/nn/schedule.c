/* Learning rates over steps. After a linear rise from 0 over warmup_steps:
     constant, linear, cosine   Hugging Face's get_{constant,linear,cosine}_schedule_with_warmup: a
                                straight line or half a cosine to the end (Loshchilov and Hutter,
                                2017). After it, where their cosine rises again, ours stays.
     step                       torch.optim.lr_scheduler.StepLR
     plateau                    constant here: the trainer lowers lr, as ReduceLROnPlateau
     cosine_restarts            CosineAnnealingWarmRestarts (SGDR, Loshchilov and Hutter, 2017)
     one_cycle                  OneCycleLR in two phases of cosines (Smith and Topin, 2018), without
                                its cycle of momentum
   All end at min_lr, but one_cycle, which says itself where it starts and ends. */
#include "nn/nn.h"

#include <math.h>

/* From `high` at 0 to `low` at 1 along half a cosine. */
static double half_cosine(double high, double low, double part)
{
    return low + (high - low) * (0.5 * (1 + cos(3.141592653589793 * part)));
}

static double cosine_restarts(const akin_optimizer_options *o, int64_t step)
{
    double length = (double)o->period, at = (double)step;
    if (o->cycle_growth < 2)
        return half_cosine(o->lr, o->min_lr, fmod(at, length) / length);
    for (; at >= length; length *= (double)o->cycle_growth)
        at -= length;
    return half_cosine(o->lr, o->min_lr, at / length);
}

static double one_cycle(const akin_optimizer_options *o, int64_t step, int64_t total_steps)
{
    double top = o->rise * (double)total_steps - 1, end = (double)total_steps - 1;
    double at = fmin((double)step, end);
    if (at <= top && top > 0)
        return half_cosine(o->lr * o->start_factor, o->lr, at / top);
    return end > top ? half_cosine(o->lr, o->lr * o->end_factor, (at - top) / (end - top)) : o->lr;
}

double ak_schedule_lr(const akin_optimizer_options *options, int64_t step, int64_t total_steps)
{
    const akin_optimizer_options *o = options;
    int64_t warmup = o->warmup_steps;
    if (step < warmup)
        return o->lr * ((double)step / (double)warmup);
    if (o->schedule == AKIN_STEP)
        return fmax(o->min_lr, o->lr * pow(o->gamma, (double)((step - warmup) / o->period)));
    if (o->schedule == AKIN_COSINE_RESTARTS)
        return cosine_restarts(o, step - warmup);
    if (o->schedule == AKIN_CONSTANT || o->schedule == AKIN_PLATEAU || total_steps <= 0)
        return o->lr;
    if (o->schedule == AKIN_ONE_CYCLE)
        return one_cycle(o, step, total_steps);
    if (step >= total_steps)
        return o->min_lr;
    double left = (double)(total_steps - step) / (double)(total_steps - warmup);
    if (o->schedule == AKIN_LINEAR)
        return o->min_lr + (o->lr - o->min_lr) * left;
    return half_cosine(o->lr, o->min_lr, 1 - left);
}
