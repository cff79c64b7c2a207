/* The transformer encoder class. */
#ifndef AK_MODEL_TRANSFORMER_H
#define AK_MODEL_TRANSFORMER_H

#include "base/base.h"

extern const akin_encoder_class ak_encoder_transformer;

/* The folder its weights came from: the base that a tuned model names. */
const char *ak_transformer_path(const void *self);

#endif
