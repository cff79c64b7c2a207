/* What is known of the transformer encoder beside its class. */
#ifndef AK_MODEL_TRANSFORMER_H
#define AK_MODEL_TRANSFORMER_H

#include "model/model.h"

/* The folder its weights came from: the base that a tuned model names. */
const char *ak_transformer_path(const void *self);

/* The folder of the adapter that was added to them, NULL: none. */
const char *ak_transformer_lora(const void *self);

/* See ak_encoder_token_reader. Prompts are left out. */
void ak_transformer_token_reader(const void *self, ak_token_reader *reader);

/* What it puts before texts, "": nothing; of an encoder with sides: before queries. */
const char *ak_transformer_prompt(const void *self);

/* See ak_encoder_stem. */
bool ak_transformer_stem(const void *self, ak_stem *stem);

#endif
