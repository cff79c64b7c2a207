/* What triplet.c and triplet_memory.c share. */
#ifndef AK_LOSS_TRIPLET_H
#define AK_LOSS_TRIPLET_H

#include "loss/edges.h"
#include "loss/mining.h"

typedef enum ak_triplet_mining {
    AK_TRIPLET_HARD,
    AK_TRIPLET_SEMI_HARD,
    AK_TRIPLET_ALL,
    AK_TRIPLET_WEIGHTED,
} ak_triplet_mining;

typedef struct ak_triplet_options {
    double margin;
    int mining;
    bool soft;
    int distance;
} ak_triplet_options;

/* Of the rows that have both ends, in turns: to the farthest positive, to the nearest negative.
   Returns how many these anchors are. */
int64_t ak_triplet_hard_edges(const ak_hardest *hardest, int64_t n, ak_edge *edges);
/* The loss of these, and each edge's weight. */
double ak_triplet_hard_loss(const ak_triplet_options *options, ak_edge *edges, int64_t anchors);

/* As akin_loss_class's compute_memory. */
akin_status ak_triplet_compute_memory(void *self, const akin_pass *pass, const akin_labels *labels,
                                      akin_matrix x, const akin_memory *memory, akin_matrix dx,
                                      double *value, akin_error *error);

#endif
