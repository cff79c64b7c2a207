/* What is known of the static encoder beside its class. */
#ifndef AK_MODEL_ENCODER_STATIC_H
#define AK_MODEL_ENCODER_STATIC_H

#include "model/model.h"

/* One that is made, not read, and gives vectors of unit length: *table is a row of `dim` zeros for
   every id of the tokenizer in `folder`, for the caller to fill. field: NULL or as in its options.
 */
akin_status ak_static_make(void **self, float **table, const char *folder, int64_t dim,
                           const char *field, akin_error *error);

/* See ak_encoder_token_reader. */
void ak_static_token_reader(const void *self, ak_token_reader *reader);

#endif
