/* akin_fit: epochs of steps, validation between them, the best epoch at the end. */
#include "train/train.h"

#include <math.h>
#include <string.h>

/* ---- what callbacks see ---- */

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

#define CALL(t, event)                                                                             \
    for (int i_ = 0; i_ < (t)->trainer.callback_count; i_++)                                       \
        if ((t)->trainer.callbacks[i_].event)                                                      \
    (t)->trainer.callbacks[i_].event((t)->trainer.callbacks[i_].user, (t))

/* ---- epochs ---- */

/* After an update. batch: the last one, NULL: it is gone. */
static akin_status step_done(akin_training *t, ak_batch *batch, akin_error *error)
{
    if (batch && t->trainer.metrics_per_step && t->metric_count)
        AK_TRY(ak_step_metrics(t, batch, error));
    if (t->log && t->trainer.metrics_per_step)
        AK_TRY(ak_run_log_step(t->log, t, error));
    CALL(t, on_step_end);
    ak_tell_step(t);
    if (t->trainer.max_steps && t->step >= t->trainer.max_steps)
        t->stop = true;
    return AKIN_OK;
}

/* One batch; an interruption waits for the update. */
static akin_status run_batch(akin_training *t, ak_batch *batch, akin_error *error)
{
    AK_TRY(ak_train_step(t, batch, error));
    t->batch++;
    return t->accumulated ? AKIN_OK : step_done(t, batch, error);
}

static akin_status run_steps(akin_training *t, akin_error *error)
{
    akin_loader *loader = t->train.loader;
    AK_TRY(ak_loader_start(loader, t->epoch, t->batch, error));
    while (!t->stop) {
        ak_batch *batch;
        AK_TRY(ak_loader_next(loader, &batch, error));
        if (!batch)
            break;
        akin_status status = run_batch(t, batch, error);
        ak_loader_release(loader, batch);
        AK_TRY(status);
        if (t->accumulated)
            continue;
        AK_TRY(ak_checkpoint_at_step(t, error));
        AK_TRY(ak_check_interrupt(t->context, error));
    }
    ak_loader_stop(loader);
    if (!t->accumulated)
        return AKIN_OK;
    ak_train_update(t); /* of the batches that are left over */
    return step_done(t, NULL, error);
}

/* Validation, and what follows from it. */
static akin_status judge(akin_training *t, akin_error *error)
{
    ak_average_swap(t);
    akin_status status = ak_validate(t, false, error);
    if (!status)
        status = ak_best_update(t, error);
    ak_average_swap(t);
    if (!status)
        ak_plateau_update(t);
    return status;
}

static akin_status finish_epoch(akin_training *t, akin_error *error)
{
    if (t->loss_samples)
        ak_run_figure(t, "train_loss")->value = t->loss_sum / (double)t->loss_samples;
    AK_TRY(judge(t, error));
    if (t->log)
        AK_TRY(ak_run_log_epoch(t->log, t, error));
    AK_TRY(ak_history_add(t, error));
    ak_tell_epoch(t);
    CALL(t, on_epoch_end);
    return AKIN_OK;
}

static void next_epoch(akin_training *t)
{
    t->epoch++;
    t->batch = 0;
    t->loss_sum = 0;
    t->loss_samples = 0;
}

/* The base: validation without a head, before the first step. */
static akin_status run_base(akin_training *t, akin_error *error)
{
    AK_TRY(ak_validate(t, true, error));
    for (int i = 0; i < t->figure_count; i++)
        t->figures[i].base = t->figures[i].value;
    AK_TRY(ak_best_update(t, error));
    if (t->log)
        AK_TRY(ak_run_log_epoch(t->log, t, error));
    AK_TRY(ak_history_add(t, error));
    ak_tell_epoch(t);
    return AKIN_OK;
}

static akin_status run_epochs(akin_training *t, akin_error *error)
{
    bool middle = t->trainer.resume && t->epoch > 0 && t->batch > 0;
    while (middle || (t->epoch < t->trainer.max_epochs && !t->stop)) {
        if (!middle) {
            next_epoch(t);
            CALL(t, on_epoch_start);
        }
        middle = false;
        AK_TRY(run_steps(t, error));
        AK_TRY(finish_epoch(t, error));
        t->batch = 0;
        AK_TRY(ak_checkpoint_at_epoch(t, error));
    }
    return AKIN_OK;
}

static akin_status run(akin_training *t, akin_error *error)
{
    if (t->trainer.summary)
        ak_tell_parts(t);
    CALL(t, on_fit_start);
    akin_status status = t->trainer.resume ? ak_checkpoint_read(t, error) : AKIN_OK;
    if (!status && t->epoch == 0)
        status = run_base(t, error);
    if (!status)
        status = run_epochs(t, error);
    ak_loader_stop(t->train.loader);
    if (t->trainer.checkpoint && (!status || status == AKIN_ERR_INTERRUPTED)) {
        akin_status written = ak_checkpoint_write(t, status ? NULL : error);
        status = status ? status : written;
    }
    CALL(t, on_fit_end);
    return status;
}

/* ---- the result ---- */

static void summarize(const akin_training *t, akin_fit_summary *summary)
{
    const ak_features *sides[] = {t->train.features, t->validation.features};
    const ak_figure *monitored = NULL;
    for (int i = 0; i < t->figure_count; i++)
        if (strcmp(t->figures[i].name, t->trainer.monitor) == 0)
            monitored = &t->figures[i];
    *summary = (akin_fit_summary){.epochs = t->epoch,
                                  .steps = t->step,
                                  .best_epoch = t->best_epoch,
                                  .base_value = monitored ? monitored->base : NAN,
                                  .best_value = monitored ? monitored->best : NAN,
                                  .seconds = ak_seconds() - t->started,
                                  .stopped_early = t->stopped_early};
    for (int i = 0; i < 2; i++) {
        summary->reused += sides[i] ? sides[i]->reused : 0;
        summary->encoded += sides[i] ? sides[i]->encoded : 0;
    }
}

/* The best model leaves the run. */
static akin_status take_model(akin_training *t, akin_model **model, akin_error *error)
{
    AK_TRY(ak_best_restore(t, error));
    AK_TRY(ak_record_run(t, error));
    *model = t->model;
    t->model = NULL;
    return AKIN_OK;
}

akin_status akin_fit(akin_model **model, akin_context *context, const akin_trainable *trainable,
                     const akin_trainer *trainer, akin_loader *train, akin_loader *validation,
                     akin_fit_summary *summary, akin_error *error)
{
    akin_trainer defaults = akin_trainer_defaults();
    akin_training *t = ak_calloc(1, sizeof *t);
    *model = NULL;
    if (!t)
        return ak_fail_memory(error);
    if (!trainer)
        trainer = &defaults;
    akin_status status = ak_run_open(t, context, trainable, trainer, train, validation, error);
    if (!status) {
        status = run(t, error);
        if (summary)
            summarize(t, summary);
        bool usable = !status || ((status == AKIN_ERR_DIVERGED || status == AKIN_ERR_INTERRUPTED) &&
                                  t->best_epoch >= 0);
        akin_status taken = usable ? take_model(t, model, status ? NULL : error) : AKIN_OK;
        status = status ? status : taken;
    }
    ak_run_close(t);
    ak_free(t);
    return status;
}
