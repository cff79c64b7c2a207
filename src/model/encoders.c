/* The built-in encoders by name. */
#include "model/encoders.h"

const akin_encoder_class *const ak_encoders[] = {
    &ak_encoder_fasttext,    &ak_encoder_ngrams,     &ak_encoder_static,  &ak_encoder_switch,
    &ak_encoder_transformer, &ak_encoder_two_towers, &ak_encoder_vectors, NULL,
};
