/* A vector as the store keeps it, in one of three precisions:

     f32    dim x float32
     bf16   dim x bfloat16, rounded to nearest even
     int8   float32 scale, dim x int8, zeros up to a multiple of 4 bytes: x_i = scale * q_i with
            scale = max |x| / 127, so that no number is wrong by more than half a scale. A vector
            with a number that is not finite comes back as NaN. */
#ifndef AK_FEATURES_ROW_H
#define AK_FEATURES_ROW_H

#include "kernels/kernels.h"

const char *ak_row_name(akin_cache_precision precision); /* "bf16" */
bool ak_row_parse(const char *name, akin_cache_precision *precision);
size_t ak_row_size(akin_cache_precision precision, int64_t dim); /* bytes */
void ak_row_encode(akin_cache_precision precision, const float *x, int64_t dim, void *row);
void ak_row_decode(akin_cache_precision precision, const void *row, int64_t dim, float *x);

#endif
