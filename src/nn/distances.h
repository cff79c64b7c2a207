/* What distances.c and distances_backward.c share. */
#ifndef AK_NN_DISTANCES_H
#define AK_NN_DISTANCES_H

#include "nn/nn.h"

/* Rows of unit length, and the lengths they had. */
typedef struct ak_units {
    akin_matrix rows;
    float *norms;
} ak_units;

akin_status ak_units_new(ak_units *out, akin_matrix x, akin_arena *arena, akin_error *error);

/* Below this share of |a|² + |b|², |a|² + |b|² - 2ab has cancelled too many digits of |a - b|², and
   a - b itself is used. */
#define AK_CANCELLED 0.015625f

/* |x_i|² of every row; NULL when out of memory. */
float *ak_squared_norms(akin_matrix x, akin_arena *arena);

#endif
