/* What losses that learn from a teacher share: its vectors beside the student's. The two are never
   compared with each other unless a loss is of vectors of one width; distances are each one's own.
 */
#ifndef AK_LOSS_TAUGHT_H
#define AK_LOSS_TAUGHT_H

#include "loss/tools.h"

/* AKIN_ERR_ARGUMENT without a teacher; `name` is the loss's. */
akin_status ak_taught_check(const char *name, const akin_labels *labels, akin_matrix x,
                            akin_error *error);

/* The distances of anchors to candidates, the student's and the teacher's: pairs: of the a's that
   are not repeated to all b's; groups: of all objects to all. Candidate j is object `first` + j. */
typedef struct ak_taught {
    ak_distance distance;
    int64_t first;                   /* object of the first candidate; anchor i is object i */
    akin_matrix anchors, candidates; /* the student's rows */
    akin_matrix student, teacher;    /* anchors x candidates */
    const akin_labels *labels;
    akin_arena *arena;
} ak_taught;

akin_status ak_taught_distances(ak_taught *out, ak_distance distance, const akin_pass *pass,
                                const akin_labels *labels, akin_matrix x, akin_error *error);
/* Is the candidate the anchor itself, or equal to it? */
bool ak_taught_is_anchor(const ak_taught *t, int64_t anchor, int64_t candidate);
/* Writes dx from dd, the gradient by the student's distances. */
akin_status ak_taught_backward(const ak_taught *t, akin_matrix dd, akin_matrix x, akin_matrix dx,
                               akin_error *error);

#endif
