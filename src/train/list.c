/* What there is, by kind: for `akin list`. */
#include "train/recipe.h"

#include "model/heads.h"

#include <string.h>

static const akin_class_info optimizers[] = {
    {"sgd", "stochastic gradient descent with momentum", ak_optimizer_options},
    {"adam", "Adam (Kingma and Ba, 2015)", ak_optimizer_options},
    {"adamw", "Adam with decoupled weight decay (Loshchilov and Hutter, 2019)",
     ak_optimizer_options},
};

/* Two rows of a name share a map. */
static const akin_class_info sections[] = {
    {"data", "what is learned from", ak_data_rows},
    {"data.fields", "which member or column holds what", ak_field_rows},
    {"data.train", "one of several files", ak_file_rows},
    {"encoders", "of every encoder, beside the options of its type", ak_encoder_cache_rows},
    {"train", "batches", ak_batch_rows},
    {"train", "the run (docs/training.md)", ak_trainer_rows},
    {"train.early_stopping", "what is best, and when to stop", ak_stopping_rows},
    {"train.checkpoint", "when it is written, what is kept", ak_checkpoint_rows},
    {"train.hard_negatives", "when they are mined", ak_hard_rows},
    {"train.hard_negatives", "which they are", ak_mining_rows},
    {"optimizer.groups", "parameters that are trained in their own way", ak_group_options},
};

#define COUNT(list) ((int64_t)(sizeof(list) / sizeof *(list)))

static bool one_of(const akin_class_info *list, int64_t count, int64_t number,
                   akin_class_info *info)
{
    if (number >= count)
        return false;
    *info = list[number];
    return true;
}

bool akin_list(const akin_context *context, const char *kind, int64_t number, akin_class_info *info)
{
    const void *type;
    if (number < 0)
        return false;
    if (strcmp(kind, "optimizers") == 0)
        return one_of(optimizers, COUNT(optimizers), number, info);
    if (strcmp(kind, "sections") == 0)
        return one_of(sections, COUNT(sections), number, info);
    if (strcmp(kind, "samplers") == 0)
        return ak_sampler_at(number, info);
    if (strcmp(kind, "encoders") == 0 &&
        (type = ak_class_at(context, AK_ENCODER_CLASS, (const void *const *)ak_encoders, number))) {
        const akin_encoder_class *c = type;
        *info = (akin_class_info){c->name, c->summary, c->options};
        return true;
    }
    if (strcmp(kind, "heads") == 0 &&
        (type = ak_class_at(context, AK_HEAD_CLASS, (const void *const *)ak_heads, number))) {
        const akin_head_class *c = type;
        *info = (akin_class_info){c->name, c->summary, c->options};
        return true;
    }
    if (strcmp(kind, "losses") == 0 &&
        (type = ak_class_at(context, AK_LOSS_CLASS, (const void *const *)ak_losses, number))) {
        const akin_loss_class *c = type;
        *info = (akin_class_info){c->name, c->summary, c->options};
        return true;
    }
    if (strcmp(kind, "metrics") == 0 &&
        (type = ak_class_at(context, AK_METRIC_CLASS, (const void *const *)ak_metrics, number))) {
        const akin_metric_class *c = type;
        *info = (akin_class_info){c->name, c->summary, c->options};
        return true;
    }
    return false;
}
