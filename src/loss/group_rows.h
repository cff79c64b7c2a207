/* Group losses row by row: every object of a batch in turn is the query, and the loss sees its
   positives and its negatives as two plain arrays of similarities. */
#ifndef AK_LOSS_GROUP_ROWS_H
#define AK_LOSS_GROUP_ROWS_H

#include "loss/exclusions.h"
#include "loss/memory.h"
#include "loss/miner.h"
#include "loss/tools.h"

/* One query's row. A loss may put d value / d similarity in the place of every similarity. */
typedef struct ak_group_row {
    int64_t query, n;
    float
        *negative; /* n: -infinity where an object is no negative; what is left there is dropped */
    int64_t negatives;
    float *positive; /* the first `positives` places */
    int64_t positives;
    float *scratch; /* 2 n */
    const int32_t
        *partner; /* mined: per positive the place of the negative chosen for it; else NULL */
} ak_group_row;

/* Returns the row's part of the value. Runs on several threads. */
typedef double ak_group_row_function(void *loss, const ak_group_row *row);

/* For a row that has nothing to say: its derivatives are zero. Returns 0. */
double ak_group_row_nothing(const ak_group_row *row);

/* Columns are the batch again, or a memory's rows. */
typedef struct ak_group_rows {
    ak_space space;
    const akin_memory *memory; /* NULL: columns are the batch */
    akin_matrix similarity;    /* n x n: offset - distance, so that near is large; no memory */
    akin_matrix distance;      /* n x n; euclidean and manhattan only */
    int64_t columns;
    int32_t *group;           /* n: numbers of the batch */
    int32_t *column_group;    /* columns: in the same numbers, -1 for a group not in the batch */
    ak_members members;       /* columns by group */
    ak_exclusions exclusions; /* the query itself, and columns that are neither near nor far */
    float *scratch;           /* 3 x columns for each thread */
    double *values;           /* n */
    int64_t anchors, lonely;  /* objects with a positive; those of them without a negative */
    int64_t pairs;            /* of an anchor that is not lonely and a positive */
    ak_miner miner;
    ak_mined *mined;      /* per thread; NULL: nothing is mined */
    float *mined_scratch; /* 2 x columns for each thread */
} ak_group_rows;

/* Fills in everything. Where space.finite is false, or anchors is 0, nothing can be learnt and
   there are no similarities. A row's positives are the other objects of its group, its negatives
   those of other groups whose content is another. */
akin_status ak_group_rows_init(ak_group_rows *rows, ak_distance distance, const akin_pass *pass,
                               const akin_labels *labels, akin_matrix x, akin_error *error);

/* Before a run: it sees only what the miner chooses, as a row of that alone. AK_MINE_ALL:
 * everything. */
akin_status ak_group_rows_mine(ak_group_rows *rows, ak_mining mining, const akin_pass *pass,
                               akin_error *error);

/* Calls `function` for every row and sums the values up, in the order of the rows. A function that
   leaves its similarities alone may be followed by another run. */
double ak_group_rows_run(ak_group_rows *rows, ak_group_row_function *function, void *loss);

/* After a run that left derivatives: writes dx (data NULL: nothing), factor times the gradient. */
akin_status ak_group_rows_backward(ak_group_rows *rows, float factor, akin_matrix dx,
                                   akin_error *error);

/* The same against a memory. An object's equals there are neither positives nor negatives of it. */
akin_status ak_group_rows_init_memory(ak_group_rows *rows, const akin_pass *pass,
                                      const akin_labels *labels, akin_matrix x,
                                      const akin_memory *memory, akin_error *error);
/* Run and backward in one, block by block of rows. Writes part times the sum of the rows, and dx
   (data NULL: not wanted) in its gradient. */
akin_status ak_group_rows_run_memory(ak_group_rows *rows, ak_group_row_function *function,
                                     void *loss, double part, akin_matrix dx, double *value,
                                     akin_error *error);

#endif
