/* Epochs: steps, validations when they are due, checkpoints when it is time. */
#include "train/train.h"

#include <math.h>
#include <string.h>

/* ---- validation ---- */

/* What is validated are the averaged parameters, where there are any. */
static akin_status judge(akin_training *t, bool base, akin_error *error)
{
    ak_stage before = ak_enter(t, AK_STAGE_VALIDATION);
    ak_average_swap(t);
    akin_status status = ak_validate(t, base, error);
    for (int i = 0; i < t->figure_count && base; i++)
        t->figures[i].base = t->figures[i].value;
    if (!status)
        status = ak_best_update(t, error);
    ak_average_swap(t);
    if (!status && !base)
        ak_plateau_update(t);
    t->judged = status ? t->judged : t->step;
    ak_enter(t, before);
    return status;
}

static void set_train_loss(akin_training *t)
{
    if (t->loss_samples)
        ak_run_figure(t, "train_loss")->value = t->loss_sum / (double)t->loss_samples;
}

static akin_status report(akin_training *t, akin_error *error)
{
    if (t->log)
        AK_TRY(ak_run_log_epoch(t->log, t, error));
    AK_TRY(ak_history_add(t, error));
    ak_tell_epoch(t);
    return AKIN_OK;
}

static bool due_in_epoch(const akin_training *t)
{
    const akin_trainer *o = &t->trainer;
    if (t->judged == t->step)
        return false;
    if (o->validation_steps)
        return t->step % o->validation_steps == 0;
    if (o->validation_epochs >= 1 || t->batch >= t->epoch_batches)
        return false;
    int64_t every = (int64_t)rint(o->validation_epochs * (double)t->epoch_batches);
    every = every < 1 ? 1 : every;
    return t->batch / every > (t->batch - o->accumulate) / every; /* since the last step */
}

static bool due_after_epoch(const akin_training *t)
{
    const akin_trainer *o = &t->trainer;
    if (t->stop || t->limited || t->epoch >= o->max_epochs)
        return true; /* the last parameters are judged in any case */
    if (o->validation_steps)
        return t->step % o->validation_steps == 0;
    return o->validation_epochs < 1 || t->epoch % (int64_t)o->validation_epochs == 0;
}

static akin_status validate_in_epoch(akin_training *t, akin_error *error)
{
    if (!due_in_epoch(t))
        return AKIN_OK;
    set_train_loss(t);
    AK_TRY(judge(t, false, error));
    return report(t, error);
}

/* An epoch without a validation has no values of one. */
static void forget_validation(akin_training *t)
{
    for (int i = 0; i < t->figure_count; i++)
        if (strcmp(t->figures[i].name, "train_loss") != 0 &&
            strncmp(t->figures[i].name, "step_", 5) != 0)
            t->figures[i].value = NAN;
}

static akin_status finish_epoch(akin_training *t, akin_error *error)
{
    set_train_loss(t);
    if (t->judged != t->step) {
        if (due_after_epoch(t))
            AK_TRY(judge(t, false, error));
        else
            forget_validation(t);
        AK_TRY(report(t, error));
    }
    AK_CALL(t, on_epoch_end);
    return AKIN_OK;
}

/* ---- steps ---- */

static bool at_limit(const akin_training *t)
{
    const akin_trainer *o = &t->trainer;
    return (o->max_steps && t->step >= o->max_steps) ||
           (o->max_seconds > 0 && ak_seconds() - t->started >= o->max_seconds);
}

/* After an update. batch: the last one, NULL: it is gone. */
static akin_status step_done(akin_training *t, ak_batch *batch, akin_error *error)
{
    const akin_trainer *o = &t->trainer;
    if (batch && o->metrics_per_step && t->metric_count)
        AK_TRY(ak_step_metrics(t, batch, error));
    if (t->log)
        AK_TRY(ak_run_log_step(t->log, t, error));
    AK_CALL(t, on_step_end);
    ak_tell_step(t);
    t->limited = at_limit(t);
    return AKIN_OK;
}

/* One batch; what follows a step waits for the update. */
static akin_status run_batch(akin_training *t, ak_batch *batch, akin_error *error)
{
    AK_TRY(ak_train_step(t, batch, error));
    ak_enter(t, AK_STAGE_OTHER);
    t->batch++;
    return t->accumulated ? AKIN_OK : step_done(t, batch, error);
}

static akin_status between_steps(akin_training *t, akin_error *error)
{
    if (t->accumulated)
        return AKIN_OK;
    AK_TRY(validate_in_epoch(t, error));
    AK_TRY(ak_checkpoint_at_step(t, error));
    return ak_check_interrupt(t->context, error);
}

static akin_status run_steps(akin_training *t, akin_error *error)
{
    akin_loader *loader = t->train.loader;
    int64_t order = t->trainer.overfit_batches ? 1 : t->epoch; /* the first epoch's, every time */
    AK_TRY(ak_loader_start(loader, order, t->batch, error));
    t->epoch_batches = t->endless ? INT64_MAX : t->epoch_batches;
    while (!t->stop && !t->limited && t->batch < t->epoch_batches) {
        ak_batch *batch;
        ak_enter(t, AK_STAGE_DATA);
        AK_TRY(ak_loader_next(loader, &batch, error));
        ak_enter(t, AK_STAGE_OTHER);
        if (!batch) {
            t->epoch_batches = t->batch;
            break;
        }
        akin_status status = run_batch(t, batch, error);
        ak_loader_release(loader, batch);
        AK_TRY(status);
        AK_TRY(between_steps(t, error));
    }
    t->stop = t->stop || ak_loader_exhausted(loader);
    ak_loader_stop(loader);
    if (!t->accumulated)
        return AKIN_OK;
    ak_train_update(t); /* of the batches that are left over */
    return step_done(t, NULL, error);
}

/* ---- epochs ---- */

static void next_epoch(akin_training *t)
{
    t->epoch++;
    t->batch = 0;
    t->loss_sum = 0;
    t->loss_samples = 0;
}

akin_status ak_run_epochs(akin_training *t, akin_error *error)
{
    bool middle = t->trainer.resume && t->epoch > 0 && t->batch > 0;
    if (t->epoch == 0) {
        AK_TRY(judge(t, true, error));
        AK_TRY(report(t, error));
    }
    if (middle) /* if the checkpoint was written in a validation that was due */
        AK_TRY(validate_in_epoch(t, error));
    t->limited = t->step && at_limit(t);
    while (middle || (t->epoch < t->trainer.max_epochs && !t->stop && !t->limited)) {
        if (!middle) {
            AK_TRY(ak_negatives_mine(t, error));
            next_epoch(t);
            AK_CALL(t, on_epoch_start);
        }
        middle = false;
        AK_TRY(run_steps(t, error));
        AK_TRY(finish_epoch(t, error));
        if (!t->stop && !t->limited)
            t->batch = 0; /* else it may be that the epoch is not over */
        AK_TRY(ak_checkpoint_at_epoch(t, error));
    }
    return AKIN_OK;
}
