/* Cross-entropy over a matrix of similarities whose diagonal holds the right answers. */
#ifndef AK_LOSS_ENTROPY_H
#define AK_LOSS_ENTROPY_H

#include "loss/exclusions.h"
#include "nn/nn.h"

/*  l_ij = scale * s_ij
    value = sum_i w_i (log sum_j exp l_ij - l_ii), and where `symmetric` the mean of that and of
            sum_j w_j (log sum_i exp l_ij - l_jj)   (j < rows)
    Sums leave excluded columns out. Similarities lie in -1 .. 1. */
typedef struct ak_entropy {
    akin_matrix s; /* rows x columns, columns >= rows: further columns are negatives only */
    double scale;
    bool symmetric;
    const float *weight; /* w: rows */
    const ak_exclusions *exclusions;
    akin_arena *arena;
    float *row_shift, *column_shift; /* what was subtracted before exp */
    float *row_factor,
        *column_factor; /* d value / d sum, over the sum: times exp is the gradient */
    bool shared;        /* one shift for all: s holds the exponentials, else the logits */
    float *scratch;     /* two rows per block of rows, unless shared */
} ak_entropy;

/* Fills in the lower half of `entropy` and uses up s. */
akin_status ak_entropy_forward(ak_entropy *entropy, double *value, akin_error *error);
/* After forward: s becomes d value / d s. */
void ak_entropy_backward(ak_entropy *entropy);

#endif
