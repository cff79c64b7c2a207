/* Gradients to parameters: the mean of accumulated batches, clipped as one vector over all parts,
   an optimizer's step, the moving average.

   The average a of the values w starts as they do; after step n (from 0) a = d a + (1 - d) w with
   d = min(average, (1 + n) / (10 + n)), as TensorFlow's ExponentialMovingAverage, so that early
   steps do not weigh on it (Polyak and Juditsky, 1992; Izmailov and others, 2018). */
#include "train/train.h"

#include <math.h>

enum { PARALLEL_FROM = 1 << 15 };

AK_KERNEL static void blend(float *restrict average, const float *restrict values, float take,
                            int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        average[i] += take * (values[i] - average[i]);
}

static void average_part(const ak_part *part, double decay, int64_t step)
{
    double early = (1. + (double)step) / (10. + (double)step);
    float take = (float)(1 - fmin(decay, early));
    const float *values = ak_parameters_values(part->parameters);
    int64_t size = ak_parameters_size(part->parameters), shares = size / PARALLEL_FROM + 1;
#pragma omp parallel for schedule(static) if (shares > 1)
    for (int64_t s = 0; s < shares; s++) {
        int64_t first = s * PARALLEL_FROM;
        int64_t n = size - first < PARALLEL_FROM ? size - first : PARALLEL_FROM;
        blend(part->average + first, values + first, take, n);
    }
}

void ak_average_swap(akin_training *t)
{
    for (int i = 0; i < t->part_count; i++) {
        float *average = t->parts[i].average, *values;
        if (!average)
            continue;
        values = ak_parameters_values(t->parts[i].parameters);
        for (int64_t k = 0; k < ak_parameters_size(t->parts[i].parameters); k++) {
            float value = values[k];
            values[k] = average[k];
            average[k] = value;
        }
    }
}

void ak_train_update(akin_training *t)
{
    akin_parameters *parameters[AK_MAX_PARTS];
    ak_enter(t, AK_STAGE_OPTIMIZER);
    for (int i = 0; i < t->part_count; i++) {
        parameters[i] = t->parts[i].parameters;
        if (t->accumulated > 1)
            ak_parameters_scale_grads(parameters[i], (float)(1 / (double)t->accumulated));
    }
    ak_clip_grads(parameters, t->part_count, t->optimizer_options.clip_value,
                  t->optimizer_options.clip_norm);
    for (int i = 0; i < t->part_count; i++) {
        ak_optimizer_set_lr(t->parts[i].optimizer, t->base_lr);
        t->lr = ak_optimizer_step(t->parts[i].optimizer, t->step, t->total_steps);
        if (t->parts[i].average)
            average_part(&t->parts[i], t->trainer.average, t->step);
    }
    t->step++;
    t->accumulated = 0;
}
