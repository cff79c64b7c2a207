/* Edges: the few distances a loss really used, with the gradient by each. */
#ifndef AK_LOSS_EDGES_H
#define AK_LOSS_EDGES_H

#include "loss/space.h"

typedef struct ak_edge {
    int64_t a, b;
    float distance; /* offset included */
    float weight;   /* d loss / d distance */
} ak_edge;

/* Writes dx, the sum over edges of weight * d distance(x_a, x_b) / dx. */
akin_status ak_edges_backward(const ak_space *space, const ak_edge *edges, int64_t count,
                              akin_matrix dx, akin_error *error);

#endif
