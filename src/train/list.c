/* What there is, by kind: for `akin list`. */
#include "train/train.h"

#include "model/heads.h"

#include <string.h>

static const akin_class_info optimizers[] = {
    {"sgd", "stochastic gradient descent with momentum", ak_optimizer_options},
    {"adam", "Adam (Kingma and Ba, 2015)", ak_optimizer_options},
    {"adamw", "Adam with decoupled weight decay (Loshchilov and Hutter, 2019)",
     ak_optimizer_options},
};

static bool optimizer_at(int64_t number, akin_class_info *info)
{
    if (number >= (int64_t)(sizeof optimizers / sizeof *optimizers))
        return false;
    *info = optimizers[number];
    return true;
}

bool akin_list(const akin_context *context, const char *kind, int64_t number,
               akin_class_info *info)
{
    const void *type;
    if (number < 0)
        return false;
    if (strcmp(kind, "optimizers") == 0)
        return optimizer_at(number, info);
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
