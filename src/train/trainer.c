/* The options of a run: rows over akin_trainer, which are its defaults, its limits, the recipe's
   keys and what a checkpoint remembers. */
#include "train/mining.h"
#include "train/train.h"

#include <math.h>

/* clang-format off */
#define TRAINER(name, member) #name, .offset = offsetof(akin_trainer, member)
const akin_option ak_trainer_rows[] = {
    {.name = TRAINER(epochs, max_epochs), .type = AKIN_OPTION_INT, .default_text = "100",
     .minimum = 1, .maximum = 1 << 30, .help = "passes over the training data, at most"},
    {.name = TRAINER(min_epochs, min_epochs), .type = AKIN_OPTION_INT, .default_text = "1",
     .minimum = 1, .maximum = 1 << 30, .help = "passes before early stopping may stop"},
    {.name = TRAINER(max_steps, max_steps), .type = AKIN_OPTION_INT, .default_text = "0",
     .maximum = 1e15, .help = "steps, at most; 0: no limit"},
    {.name = TRAINER(min_steps, min_steps), .type = AKIN_OPTION_INT, .default_text = "0",
     .maximum = 1e15, .help = "steps before early stopping may stop"},
    {.name = TRAINER(max_seconds, max_seconds), .type = AKIN_OPTION_FLOAT, .default_text = "0",
     .maximum = 1e12, .help = "the run ends after the step that reaches it; 0: no limit"},
    {.name = TRAINER(limit_batches, limit_batches), .type = AKIN_OPTION_INT, .default_text = "0",
     .maximum = 1e15, .help = "batches of an epoch, at most; 0: all"},
    {.name = TRAINER(limit_validation_batches, limit_validation_batches), .type = AKIN_OPTION_INT,
     .default_text = "0", .maximum = 1e15, .help = "batches of a validation, at most; 0: all"},
    {.name = TRAINER(overfit_batches, overfit_batches), .type = AKIN_OPTION_INT,
     .default_text = "0", .maximum = 1e15,
     .help = "train on the same so many batches in every epoch; 0: on all"},
    {.name = TRAINER(validation_steps, validation_steps), .type = AKIN_OPTION_INT,
     .default_text = "0", .maximum = 1e15, .help = "steps between validations; 0: by epochs"},
    {.name = TRAINER(validation_epochs, validation_epochs), .type = AKIN_OPTION_FLOAT,
     .default_text = "1", .minimum = 1e-6, .maximum = 1 << 30,
     .help = "epochs between validations; a fraction: several in one"},
    {.name = TRAINER(accumulate, accumulate), .type = AKIN_OPTION_INT, .default_text = "1",
     .minimum = 1, .maximum = 1 << 20, .help = "batches whose gradients' mean makes a step"},
    {.name = TRAINER(chunk_size, chunk_size), .type = AKIN_OPTION_INT, .default_text = "0",
     .maximum = 1e15,
     .help = "objects that encoders run at once, for large batches in small memory; 0: all"},
    {.name = TRAINER(average, average), .type = AKIN_OPTION_FLOAT, .default_text = "0",
     .maximum = 1 - 0x1p-53,
     .help = "decay of a moving average of the parameters, which is what is kept; 0: none"},
    {.name = TRAINER(metrics_per_step, metrics_per_step), .type = AKIN_OPTION_BOOL,
     .default_text = "false", .help = "compute the metrics on every training batch too"},
    {.name = TRAINER(metrics_sample_size, metrics_sample_size), .type = AKIN_OPTION_INT,
     .default_text = "0", .maximum = 1e15,
     .help = "queries that the metrics are computed on after an epoch; 0: all"},
    {.name = TRAINER(metrics_distinguish, metrics_distinguish), .type = AKIN_OPTION_BOOL,
     .default_text = "true",
     .help = "pairs: queries are the a's, candidates the b's; false: every object is both"},
    {.name = TRAINER(log_folder, log_folder), .type = AKIN_OPTION_STRING,
     .help = "where log.csv and log.jsonl are written"},
    {.name = TRAINER(tensorboard, tensorboard), .type = AKIN_OPTION_BOOL, .default_text = "false",
     .help = "event files for TensorBoard in the log folder"},
    {.name = TRAINER(progress_metrics, progress_metrics), .type = AKIN_OPTION_STRING,
     .default_text = "loss",
     .help = "what the progress line shows: loss, lr and names of figures, with commas"},
    {.name = TRAINER(teacher, teacher), .type = AKIN_OPTION_STRING,
     .help = "the folder of a model that the loss learns from (mse, margin_mse, kl)"},
    {.name = TRAINER(profile, profile), .type = AKIN_OPTION_BOOL, .default_text = "false",
     .help = "tell where the time went, at the end"},
    {.name = TRAINER(precision, precision), .type = AKIN_OPTION_CHOICE, .default_text = "f32",
     .choices = "f32|bf16", .help = "of matrix products' inputs"},
    {NULL}};

#define STOPPING(name, member) #name, .offset = offsetof(akin_trainer, member)
const akin_option ak_stopping_rows[] = {
    {.name = STOPPING(metric, monitor), .type = AKIN_OPTION_STRING,
     .default_text = "validation_loss", .help = "what tells the best epoch"},
    {.name = STOPPING(patience, patience), .type = AKIN_OPTION_INT, .default_text = "3",
     .maximum = 1 << 30, .help = "validations without a better value before the end; 0: never"},
    {.name = STOPPING(min_delta, min_delta), .type = AKIN_OPTION_FLOAT, .default_text = "0",
     .maximum = 1e30, .help = "how much better counts as better"},
    {NULL}};

#define CHECKPOINT(name, member) #name, .offset = offsetof(akin_trainer, member)
const akin_option ak_checkpoint_rows[] = {
    {.name = CHECKPOINT(seconds, checkpoint_seconds), .type = AKIN_OPTION_FLOAT,
     .default_text = "10", .maximum = 1e9,
     .help = "write the checkpoint so long after the last one; 0: not by time"},
    {.name = CHECKPOINT(steps, checkpoint_steps), .type = AKIN_OPTION_INT, .default_text = "0",
     .maximum = 1e15, .help = "write it after every so many steps; 0: not by steps"},
    {.name = CHECKPOINT(epochs, checkpoint_epochs), .type = AKIN_OPTION_INT, .default_text = "0",
     .maximum = 1 << 30, .help = "write it after every so many epochs; 0: not by epochs"},
    {.name = CHECKPOINT(keep, checkpoint_keep), .type = AKIN_OPTION_INT, .default_text = "0",
     .maximum = AK_MAX_KEPT, .help = "copies to keep beside it, checkpoint-STEP.safetensors"},
    {.name = CHECKPOINT(keep_by, checkpoint_keep_by), .type = AKIN_OPTION_CHOICE,
     .default_text = "newest", .choices = "newest|best",
     .help = "which copies: the newest, or those with the best early_stopping.metric"},
    {NULL}};
/* clang-format on */

akin_trainer akin_trainer_defaults(void)
{
    akin_trainer trainer = {.size = sizeof trainer, .seed = 42, .summary = true, .progress = true};
    /* Rows of these types need no memory, so this cannot fail. */
    ak_options_defaults(ak_trainer_rows, &trainer, NULL, NULL);
    ak_options_defaults(ak_stopping_rows, &trainer, NULL, NULL);
    ak_options_defaults(ak_checkpoint_rows, &trainer, NULL, NULL);
    trainer.hard_negatives = akin_mining_defaults(); /* of which there are none: every is 0 */
    return trainer;
}

akin_status akin_trainer_add_callback(akin_trainer *trainer, akin_callback callback,
                                      akin_error *error)
{
    if (trainer->callback_count == AKIN_MAX_CALLBACKS)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "more than %d callbacks", AKIN_MAX_CALLBACKS);
    trainer->callbacks[trainer->callback_count++] = callback;
    return AKIN_OK;
}

akin_status ak_trainer_check(const akin_trainer *trainer, akin_error *error)
{
    if (!trainer->monitor)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "\"monitor\" must name a metric, found NULL");
    if (trainer->resume && !trainer->checkpoint && !trainer->resume_from)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "to resume, \"checkpoint\" or \"resume_from\" must name the folder");
    if (!trainer->resume && trainer->resume_from)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "\"resume_from\" is %s, but \"resume\" is false",
                       trainer->resume_from);
    if (trainer->checkpoint && ak_path_has_suffix(trainer->checkpoint, ".safetensors"))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"checkpoint\" is %s, must be a folder; a copy to resume from is named by "
                       "\"resume_from\"",
                       trainer->checkpoint);
    if (trainer->callback_count < 0 || trainer->callback_count > AKIN_MAX_CALLBACKS)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%d callbacks, must be between 0 and %d",
                       trainer->callback_count, AKIN_MAX_CALLBACKS);
    AK_TRY(ak_options_check(ak_trainer_rows, trainer, error));
    double epochs = trainer->validation_epochs;
    if (epochs > 1 && epochs != rint(epochs))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"validation_epochs\" is %g, must be a fraction up to 1 or a whole number",
                       epochs);
    if (trainer->tensorboard && !trainer->log_folder)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "\"tensorboard\" needs \"log_folder\"");
    AK_TRY(ak_options_check(ak_stopping_rows, trainer, error));
    AK_TRY(ak_options_check(ak_hard_rows, trainer, error));
    AK_TRY(ak_mining_check(&trainer->hard_negatives, error));
    return ak_options_check(ak_checkpoint_rows, trainer, error);
}

akin_status ak_optimizer_write(const akin_optimizer_options *options, ak_value *map,
                               akin_arena *arena, akin_error *error)
{
    AK_TRY(ak_options_write(ak_optimizer_options, options, map, arena, error));
    if (!options->group_count)
        return AKIN_OK;
    ak_value *groups = ak_value_add(arena, map, "groups", AK_LIST);
    for (int i = 0; i < options->group_count; i++) {
        ak_value *group = ak_value_add(arena, groups, NULL, AK_MAP);
        if (!group)
            return ak_fail_memory(error);
        AK_TRY(ak_options_write(ak_group_options, &options->groups[i], group, arena, error));
    }
    return AKIN_OK;
}
