/* What is known of the transformer encoder beside its class. */
#ifndef AK_MODEL_TRANSFORMER_H
#define AK_MODEL_TRANSFORMER_H

#include "base/base.h"

/* The folder its weights came from: the base that a tuned model names. */
const char *ak_transformer_path(const void *self);

#endif
