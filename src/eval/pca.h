/* Principal components: a map of many-dimensional vectors on paper. */
#ifndef AK_EVAL_PCA_H
#define AK_EVAL_PCA_H

#include "nn/nn.h"

/* points: n x 2, the coordinates of x's rows along the two directions of largest variance around
   their mean; shares: of the whole variance. An axis points to where its direction's largest
   element is positive. Axes that do not exist (one column, equal rows) are 0. Rows must be finite.
   Scratch in the arena: n x d floats and more. */
akin_status ak_pca(float *points, double shares[2], akin_matrix x, akin_arena *arena,
                   akin_error *error);

#endif
