/* What every loss needs. */
#ifndef AK_LOSS_TOOLS_H
#define AK_LOSS_TOOLS_H

#include "loss/space.h"

/* *self: a copy of the options, for losses that have nothing else; freed by ak_free. */
akin_status ak_loss_keep_options(void **self, const void *options, size_t size, akin_error *error);

/* A batch that has nothing to say (value 0), or whose embeddings are not finite (value NaN, which
   stops the training): writes a gradient of 0. */
akin_status ak_loss_nothing(const ak_space *space, akin_matrix dx, double *value);

#define AK_LOSS_DISTANCE_OPTION(type_, member)                                                     \
    {                                                                                              \
        .name = "distance", .type = AKIN_OPTION_CHOICE, .offset = offsetof(type_, member),         \
        .default_text = "cosine", .choices = AK_DISTANCE_CHOICES, .help = "what near means"        \
    }

#endif
