/* akin_fit: a run from its first message to the model. */
#include "train/train.h"

#include <math.h>
#include <string.h>

static akin_status make_checkpoint_folder(akin_training *t, akin_error *error)
{
    const char *folder = t->trainer.checkpoint;
    if (!folder)
        return AKIN_OK;
    AK_TRY(ak_make_folders(folder, error));
    akin_status status = ak_lock_folder(&t->lock, folder, error);
    return status ? ak_fail(error, status, "%s is in use: another run writes its checkpoint there",
                            folder)
                  : AKIN_OK;
}

/* Where files will be written is known to be good before the first step, not after hours. */
static akin_status make_places(akin_training *t, akin_error *error)
{
    if (t->trainer.resume)
        AK_TRY(ak_checkpoint_read(t, error));
    AK_TRY(make_checkpoint_folder(t, error));
    return ak_run_log_open(t, error);
}

static akin_status run(akin_training *t, akin_error *error)
{
    if (t->trainer.summary)
        ak_tell_parts(t);
    AK_CALL(t, on_fit_start);
    ak_enter(t, AK_STAGE_OTHER);
    akin_status status = make_places(t, error);
    if (!status)
        status = ak_run_epochs(t, error);
    ak_loader_stop(t->train.loader);
    ak_tell_stream(t);
    if (t->trainer.checkpoint && (!status || status == AKIN_ERR_INTERRUPTED)) {
        akin_status written = ak_checkpoint_write(t, status ? NULL : error);
        status = status ? status : written;
    }
    AK_CALL(t, on_fit_end);
    ak_tell_profile(t);
    return status;
}

/* ---- the result ---- */

static void summarize(const akin_training *t, akin_fit_summary *summary)
{
    const ak_features *of[] = {t->train.features, t->train.teacher_features, t->validation.features,
                               t->validation.teacher_features};
    const ak_figure *monitored = NULL;
    for (int i = 0; i < t->figure_count; i++)
        if (strcmp(t->figures[i].name, t->trainer.monitor) == 0)
            monitored = &t->figures[i];
    *summary = (akin_fit_summary){.epochs = t->epoch,
                                  .steps = t->step,
                                  .best_epoch = t->best_epoch,
                                  .best_step = t->best_step,
                                  .base_value = monitored ? monitored->base : NAN,
                                  .best_value = monitored ? monitored->best : NAN,
                                  .seconds = ak_seconds() - t->started,
                                  .stopped_early = t->stopped_early};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        summary->reused += of[i] ? of[i]->reused : 0;
        summary->encoded += of[i] ? of[i]->encoded : 0;
    }
}

/* Is there a model to give? What is kept without validation is the last epoch's, and if the very
   next step fails it is what failed. */
static bool has_model(const akin_training *t, akin_status status)
{
    if (status == AKIN_ERR_DIVERGED && t->best_epoch > 0 && t->best_step == t->step)
        return false;
    return !status ||
           ((status == AKIN_ERR_DIVERGED || status == AKIN_ERR_INTERRUPTED) && t->best_epoch >= 0);
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
        akin_status taken =
            has_model(t, status) ? take_model(t, model, status ? NULL : error) : AKIN_OK;
        status = status ? status : taken;
    }
    ak_run_close(t);
    ak_free(t);
    return status;
}
