/* Options of optimizers and schedules: rows, defaults, what does not fit together. */
#include "nn/nn.h"

#define BELOW_ONE (1 - 0x1p-53)

const akin_option ak_optimizer_options[] = {
    {"type", AKIN_OPTION_CHOICE, offsetof(akin_optimizer_options, type), "adam",
     "how gradients become updates", .choices = "sgd|adam|adamw"},
    {"lr", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, lr), "0.001", "learning rate",
     .maximum = 1e6},
    {"momentum", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, momentum), "0",
     "sgd: how much of the last update is kept", .maximum = 1},
    {"beta1", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, beta1), "0.9",
     "adam: decay of the mean of gradients", .maximum = BELOW_ONE},
    {"beta2", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, beta2), "0.999",
     "adam: decay of the mean of squared gradients", .maximum = BELOW_ONE},
    {"epsilon", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, epsilon), "1e-8",
     "adam: added to the divisor", .maximum = 1},
    {"weight_decay", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, weight_decay), "0",
     "pull of weights towards zero; adamw: 0.01 if not given", .maximum = 1e6},
    {"schedule", AKIN_OPTION_CHOICE, offsetof(akin_optimizer_options, schedule), "constant",
     "learning rate after the warm-up",
     .choices = "constant|linear|cosine|step|plateau|cosine_restarts|one_cycle"},
    {"warmup_steps", AKIN_OPTION_INT, offsetof(akin_optimizer_options, warmup_steps), "0",
     "steps over which the learning rate rises from 0", .maximum = 1e15},
    {"clip_norm", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, clip_norm), "0",
     "longest gradient; 0: not clipped", .maximum = 1e30},
    {"clip_value", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, clip_value), "0",
     "largest element of the gradient, before clip_norm; 0: not clipped", .maximum = 1e30},
    {"min_lr", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, min_lr), "0",
     "where schedules end", .maximum = 1e6},
    {"period", AKIN_OPTION_INT, offsetof(akin_optimizer_options, period), "0",
     "step: steps between two drops; cosine_restarts: steps of the first cycle", .maximum = 1e15},
    {"cycle_growth", AKIN_OPTION_INT, offsetof(akin_optimizer_options, cycle_growth), "1",
     "cosine_restarts: how many times as long as the last one a cycle is", .maximum = 1e6},
    {"gamma", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, gamma), "0.1",
     "step, plateau: what a drop multiplies lr by", .maximum = 1},
    {"plateau_patience", AKIN_OPTION_INT, offsetof(akin_optimizer_options, plateau_patience), "1",
     "plateau: validations without a better value before the one that makes lr drop",
     .maximum = 1 << 30},
    {"rise", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, rise), "0.3",
     "one_cycle: the part of all steps in which lr rises", .maximum = 1},
    {"start_factor", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, start_factor), "0.04",
     "one_cycle: the first lr is so much of lr", .maximum = 1},
    {"end_factor", AKIN_OPTION_FLOAT, offsetof(akin_optimizer_options, end_factor), "4e-6",
     "one_cycle: the last lr is so much of lr", .maximum = 1},
    {NULL},
};

const akin_option ak_group_options[] = {
    {"match", AKIN_OPTION_STRING, offsetof(akin_parameter_group, match), NULL,
     "a pattern of PART/PARAMETER, as head/*"},
    {"lr_factor", AKIN_OPTION_FLOAT, offsetof(akin_parameter_group, lr_factor), "1",
     "times the learning rate; 0: not trained", .maximum = 1e6},
    {"weight_decay", AKIN_OPTION_FLOAT, offsetof(akin_parameter_group, weight_decay), "0",
     "in place of the optimizer's, which is taken if not given", .maximum = 1e6},
    {NULL},
};

akin_optimizer_options akin_optimizer_defaults(akin_optimizer_type type)
{
    akin_optimizer_options options = {.size = sizeof options};
    ak_options_defaults(ak_optimizer_options, &options, NULL, NULL); /* cannot fail: no texts */
    options.type = type;
    options.weight_decay = type == AKIN_ADAMW ? 0.01 : 0;
    return options;
}

static akin_status check_groups(const akin_optimizer_options *o, akin_error *error)
{
    for (int i = 0; i < o->group_count; i++) {
        if (!o->groups[i].match)
            return ak_fail(error, AKIN_ERR_ARGUMENT, "group %d of parameters has no \"match\"",
                           i + 1);
        AK_TRY(ak_options_check(ak_group_options, &o->groups[i], error));
    }
    return AKIN_OK;
}

akin_status ak_optimizer_check(const akin_optimizer_options *options, akin_error *error)
{
    const akin_optimizer_options *o = options;
    bool periodic = o->schedule == AKIN_STEP || o->schedule == AKIN_COSINE_RESTARTS;
    AK_TRY(ak_options_check(ak_optimizer_options, o, error));
    if (periodic && !o->period)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "the schedule \"%s\" needs \"period\", a number of steps",
                       o->schedule == AKIN_STEP ? "step" : "cosine_restarts");
    if (o->schedule == AKIN_ONE_CYCLE && o->warmup_steps)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "the schedule \"one_cycle\" has a rise of its own: \"warmup_steps\" must be "
                       "0");
    if (o->min_lr > o->lr)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "\"min_lr\" is %g, above \"lr\", which is %g",
                       o->min_lr, o->lr);
    return check_groups(o, error);
}
