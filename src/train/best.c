/* Never worse than the base: the best epoch's parameters are kept, epoch 0 included. */
#include "train/train.h"

#include <math.h>
#include <string.h>

bool ak_larger_is_better(const char *figure)
{
    size_t length = strlen(figure);
    return length < 5 || strcmp(figure + length - 5, "_loss") != 0;
}

/* `best` NaN: there is none yet. */
static bool better(const akin_training *t, double value, double best)
{
    if (isnan(value) || isnan(best))
        return !isnan(value);
    double gain = ak_larger_is_better(t->trainer.monitor) ? value - best : best - value;
    return gain > t->trainer.min_delta;
}

static akin_status keep(akin_training *t, akin_error *error)
{
    for (int i = 0; i < t->part_count; i++) {
        ak_part *part = &t->parts[i];
        size_t bytes = (size_t)ak_parameters_size(part->parameters) * sizeof(float);
        if (!part->best && !(part->best = ak_alloc(bytes)))
            return ak_fail_memory(error);
        memcpy(part->best, ak_parameters_values(part->parameters), bytes);
    }
    for (int i = 0; i < t->figure_count; i++)
        t->figures[i].best = t->figures[i].value;
    return AKIN_OK;
}

static bool may_stop(const akin_training *t)
{
    int64_t finished = t->batch < t->epoch_batches ? t->epoch - 1 : t->epoch;
    return finished >= t->trainer.min_epochs && t->step >= t->trainer.min_steps;
}

akin_status ak_best_update(akin_training *t, akin_error *error)
{
    double value = ak_run_figure(t, t->trainer.monitor)->value;
    if (t->epoch == 0 && (!t->identity_base || !t->validation.loader))
        return AKIN_OK; /* the base has another width: shown, but it cannot win */
    bool last = !t->validation.loader && t->epoch > 0; /* nothing to judge by: the last one */
    if (last ||
        (t->validation.loader && better(t, value, t->best_epoch < 0 ? NAN : t->best_value))) {
        t->best_epoch = t->epoch;
        t->best_step = t->step;
        t->best_value = value;
        t->since_best = 0;
        return keep(t, error);
    }
    t->since_best++;
    if (t->trainer.patience && t->since_best >= t->trainer.patience && may_stop(t)) {
        t->stop = true;
        t->stopped_early = true;
    }
    return AKIN_OK;
}

/* As torch.optim.lr_scheduler.ReduceLROnPlateau, with min_delta as its threshold. */
void ak_plateau_update(akin_training *t)
{
    double value = ak_run_figure(t, t->trainer.monitor)->value;
    const akin_optimizer_options *o = &t->optimizer_options;
    if (o->schedule != AKIN_PLATEAU)
        return;
    if (better(t, value, t->plateau_best)) {
        t->plateau_best = value;
        t->plateau_bad = 0;
    } else if (++t->plateau_bad > o->plateau_patience) {
        t->base_lr = fmax(t->base_lr * o->gamma, o->min_lr);
        t->plateau_bad = 0;
    }
}

/* A base of another width cannot be what is kept, however good it is. */
static void tell_if_worse(const akin_training *t)
{
    const char *monitor = t->trainer.monitor;
    for (int i = 0; i < t->figure_count && !t->identity_base && t->best_epoch > 0; i++)
        if (strcmp(t->figures[i].name, monitor) == 0 &&
            better(t, t->figures[i].base, t->best_value))
            ak_warn(t->context,
                    "no epoch reached the base's %s, %.4f: the model saved is worse than its base, "
                    "which has another width and cannot be kept in its place",
                    monitor, t->figures[i].base);
}

akin_status ak_best_restore(akin_training *t, akin_error *error)
{
    if (t->best_epoch < 0)
        return AKIN_OK;
    tell_if_worse(t);
    for (int i = 0; i < t->part_count; i++) {
        ak_part *part = &t->parts[i];
        memcpy(ak_parameters_values(part->parameters), part->best,
               (size_t)ak_parameters_size(part->parameters) * sizeof(float));
    }
    if (t->best_epoch > 0)
        return AKIN_OK;
    akin_head *empty; /* the base exactly, whatever the head starts as */
    AK_TRY(akin_head_create(&empty, t->context, "empty", NULL, t->model->input_dim, error));
    for (int i = 0; i < t->part_count; i++)
        if (t->parts[i].parameters == t->model->head->parameters)
            t->parts[i].parameters = NULL;
    akin_head_free(t->model->head);
    t->model->head = empty;
    return AKIN_OK;
}
