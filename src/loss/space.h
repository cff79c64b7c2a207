/* The space a loss measures in: the rows that distances are computed from, all distances of a block
   of rows, and the way back from a gradient by distance to a gradient by embedding. */
#ifndef AK_LOSS_SPACE_H
#define AK_LOSS_SPACE_H

#include "kernels/kernels.h"
#include "nn/nn.h"

enum { AK_PARALLEL_FROM = 1 << 14 }; /* numbers to work on: fewer are done sooner by one thread */

typedef struct ak_space {
    ak_distance distance;
    akin_precision precision;
    akin_arena *arena;
    akin_matrix x;    /* n x d, as the loss was given it */
    akin_matrix rows; /* n x d: unit rows for cosine, else x */
    float *norms;     /* n: lengths of the rows of x; cosine only */
    /* Matrices of distances hold distance - offset: for cosine they are plain negated products
       (D = 1 - s), and what only compares distances never needs the pass that adds the 1. */
    float offset;
    bool finite; /* false: a NaN or an infinity among the embeddings; the loss is NaN then */
} ak_space;

akin_status ak_space_init(ak_space *space, ak_distance distance, const akin_pass *pass,
                          akin_matrix x, akin_error *error);

/* distance(x_i, x_j) itself, offset included. */
float ak_space_distance(const ak_space *space, int64_t i, int64_t j);

/* d: count x n, the distances - offset of rows first .. first + count - 1 to all rows. */
akin_status ak_space_distances(const ak_space *space, int64_t first, int64_t count, akin_matrix d,
                               akin_error *error);

/* Writes dx from factor * dd, dd: n x n, the gradient by every distance; dd is used up. d: the
   distances - offset; only euclidean and manhattan read it. */
akin_status ak_space_backward(const ak_space *space, akin_matrix d, akin_matrix dd, float factor,
                              akin_matrix dx, akin_error *error);

/* For losses that make the gradient by `rows` themselves: where to write it (data NULL when out of
   memory), and what turns it into dx afterwards. */
akin_matrix ak_space_gradient(const ak_space *space, akin_matrix dx);
void ak_space_finish(const ak_space *space, akin_matrix drows, akin_matrix dx);

void ak_matrix_zero(akin_matrix x);

#endif
