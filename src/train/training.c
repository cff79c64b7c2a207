/* A run as callbacks see it. */
#include "train/train.h"

#include <math.h>
#include <string.h>

int64_t akin_training_epoch(const akin_training *training)
{
    return training->epoch;
}

int64_t akin_training_step(const akin_training *training)
{
    return training->step;
}

double akin_training_lr(const akin_training *training)
{
    return training->lr;
}

double akin_training_loss(const akin_training *training)
{
    return training->loss_value;
}

double akin_training_metric(const akin_training *training, const char *name)
{
    for (int i = 0; i < training->figure_count; i++)
        if (strcmp(training->figures[i].name, name) == 0)
            return training->figures[i].value;
    return NAN;
}

void akin_training_stop(akin_training *training)
{
    training->stop = true;
}

void akin_training_set_lr(akin_training *training, double lr)
{
    if (lr >= 0 && isfinite(lr))
        training->base_lr = lr;
}

akin_status akin_training_save(akin_training *training, const char *path, bool replace,
                               akin_error *error)
{
    ak_average_swap(training);
    akin_status status = ak_record_run(training, error);
    if (!status)
        status = akin_model_save(training->model, path, replace, error);
    ak_average_swap(training);
    return status;
}

void ak_call(akin_training *t, size_t offset)
{
    for (int i = 0; i < t->trainer.callback_count; i++) {
        const akin_callback *callback = &t->trainer.callbacks[i];
        void (*event)(void *user, akin_training *training);
        memcpy(&event, (const char *)callback + offset, sizeof event);
        if (event)
            event(callback->user, t);
    }
}
