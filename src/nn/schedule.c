/* Learning rates over steps, as Hugging Face's get_{constant,linear,cosine}_schedule_with_warmup:
   a linear rise from 0 over warmup_steps, then constant, a straight line to 0 at total_steps, or
   half a cosine to 0 there (Loshchilov and Hutter, 2017). We differ after total_steps, where their
   cosine rises again and ours stays at 0. */
#include "nn/nn.h"

#include <math.h>

double ak_schedule_lr(const akin_optimizer_options *options, int64_t step, int64_t total_steps)
{
    int64_t warmup = options->warmup_steps;
    if (step < warmup)
        return options->lr * ((double)step / (double)warmup);
    if (options->schedule == AKIN_CONSTANT || total_steps <= 0)
        return options->lr;
    if (step >= total_steps)
        return 0;
    double left = (double)(total_steps - step) / (double)(total_steps - warmup);
    if (options->schedule == AKIN_LINEAR)
        return options->lr * left;
    return options->lr * 0.5 * (1 + cos(3.141592653589793 * (1 - left)));
}
