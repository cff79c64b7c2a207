/* Similarities that are decided exactly. A product of matrices is fast, but its last bits depend on
   the order of its additions. So fast scores only choose candidates: whoever comes within the error
   bound of a decision is computed again by ak_similarity, whose bits depend on nothing but the two
   rows. Search and evaluation therefore agree with each other, for any number of queries, tiles and
   threads, on any processor. */
#ifndef AK_KERNELS_SIMILARITY_H
#define AK_KERNELS_SIMILARITY_H

#include "kernels/kernels.h"

/* x . y: products and sums in float64 in a fixed order, rounded once. Every instruction set gives
   the same bits (a product of two float32 is exact in float64, with or without fma). */
float ak_similarity(const float *x, const float *y, int64_t dim);

/* y = x / |x| row by row, in float64 and rounded once; a zero row stays zero. In place is allowed.
 */
void ak_unit_rows(const float *x, int64_t rows, int64_t dim, int64_t stride, float *y);

/* An upper bound of |score - ak_similarity| for any float32 order of the additions, where `x` is
   one of the rows and `norm` bounds the Euclidean norm of the other (1 for unit rows). */
double ak_similarity_slack(const float *x, int64_t dim, double norm);

#endif
