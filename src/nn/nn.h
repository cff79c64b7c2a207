/* The door of nn: parameters, layers with forward and backward, distances, optimizers, schedules.

   Layers are parallel over rows and take any stride. Every result has the same bits for any number
   of threads. Matrices may have no rows; parameters always have some. Inputs and outputs do not
   overlap unless it says "in place". */
#ifndef AK_NN_NN_H
#define AK_NN_NN_H

#include "base/base.h"

/* ---- parameters.c: named matrices in one block ---- */

/* create, add, seal and free are public. `train` makes room for gradients and zeroes them; later
   calls zero them again. */
akin_status ak_parameters_train(akin_parameters *parameters, akin_error *error);
/* Names added until leave get "NAME." put before them, within what was entered before: for parts that
   know their own names alone. A name too long is AKIN_ERR_ARGUMENT. */
akin_status ak_parameters_enter(akin_parameters *parameters, const char *name, size_t *mark,
                                akin_error *error);
void ak_parameters_leave(akin_parameters *parameters, size_t mark);
int ak_parameters_count(const akin_parameters *parameters);
/* Floats in the block: the sum of rows * columns, and some zeros between, because every matrix
   starts on a cache line. */
int64_t ak_parameters_size(const akin_parameters *parameters);
float *ak_parameters_values(const akin_parameters *parameters); /* 64-byte aligned */
float *ak_parameters_grads(const akin_parameters *parameters);  /* grad_size; NULL before train */
void ak_parameters_zero_grads(akin_parameters *parameters);
/* Euclidean norm of all gradients, in double, in a fixed order. */
double ak_parameters_grad_norm(const akin_parameters *parameters);
void ak_parameters_scale_grads(akin_parameters *parameters, float factor);

/* Tables: large parameters of which a step reads few rows. They are the last ones in the block of
   values; only touched rows have gradients, behind the dense ones, and only these are updated. Never
   decayed; the parameter's `grad` stays NULL. */
akin_status ak_parameters_add_table(akin_parameters *parameters, int *number, const char *name,
                                    int64_t rows, int64_t columns, akin_init init, double constant,
                                    akin_error *error);
int64_t ak_parameters_dense(const akin_parameters *parameters);     /* floats before the tables */
int64_t ak_parameters_grad_size(const akin_parameters *parameters); /* floats of gradients now */
/* grads[i]: where the gradient of rows[i] is to be added; where fresh[i], written, since it holds
   nothing yet. rows: distinct. */
void ak_parameters_touch(akin_parameters *parameters, int number, const int32_t *rows,
                         int64_t count, float **grads, bool *fresh);
typedef struct ak_touched {
    int32_t parameter, row;
    int64_t value, grad; /* where they are in their blocks */
} ak_touched;
/* Since gradients were zeroed, in the order of touching. */
const ak_touched *ak_parameters_touched(const akin_parameters *parameters, int64_t *count);
void ak_parameters_forget(akin_parameters *parameters); /* touched rows have no gradient any more */

/* ---- matrix.c ---- */

akin_matrix ak_matrix(float *data, int64_t rows, int64_t columns); /* stride = columns */
akin_matrix ak_matrix_rows(akin_matrix x, int64_t first, int64_t count);
akin_matrix ak_matrix_columns(akin_matrix x, int64_t first, int64_t count);
/* Uninitialised; data NULL when out of memory. */
akin_matrix ak_matrix_new(akin_arena *arena, int64_t rows, int64_t columns);
void ak_matrix_copy(akin_matrix x, akin_matrix y);

/* ---- columns.c: gradients of biases and gates ---- */

void ak_column_sums(akin_matrix x, float *sums);                /* sums[j] += sum_i x_ij */
void ak_column_dots(akin_matrix x, akin_matrix y, float *dots); /* dots[j] += sum_i x_ij y_ij */
void ak_scale_columns(akin_matrix x, const float *factors, akin_matrix y); /* in place too */

/* ---- linear.c: y = x W^T + b, W: out x in as in PyTorch ---- */

void ak_linear_forward(akin_matrix x, const float *weight, const float *bias, akin_matrix y,
                       akin_precision precision);
/* dweight, dbias: added to unless NULL; dx written unless dx.data is NULL. */
void ak_linear_backward(akin_matrix x, const float *weight, akin_matrix dy, float *dweight,
                        float *dbias, akin_matrix dx, akin_precision precision);
/* y = (y + bias) * gate + x in one pass; bias and gate: a float per column, gate NULL: 1, and with
   bias NULL no gate either. */
void ak_residual(akin_matrix y, const float *bias, const float *gate, akin_matrix x);

/* ---- normalize.c: x̂ = x / |x| row by row, a zero row stays zero ---- */

/* norms: n floats, may be NULL. In place is allowed. */
void ak_normalize_forward(akin_matrix x, akin_matrix y, float *norms);
/* dx = (dy - ŷ (ŷ·dy)) / |x|, added to dx; 0 for a zero row. */
void ak_normalize_backward(akin_matrix y, const float *norms, akin_matrix dy, akin_matrix dx);
float ak_row_norm(const float *x, int64_t d);

/* ---- dropout.c ---- */

/* Inverted dropout: y = x * mask / (1 - p); the mask is a function of (seed, step, stream, row,
   column). y = x unless the pass is training. In place is allowed. backward is the same call on
   dy. */
void ak_dropout(akin_matrix x, akin_matrix y, double p, const akin_pass *pass, uint64_t stream);
/* *y = x itself where nothing is dropped, else a dropped copy in the pass's arena. */
akin_status ak_dropout_new(akin_matrix *y, akin_matrix x, double p, const akin_pass *pass,
                           uint64_t stream, akin_error *error);

/* ---- bags.c: y_i = the mean of some rows of a table, 0 of none ---- */

typedef struct ak_bags {
    int64_t count;        /* bags */
    const int64_t *start; /* count + 1 */
    const int32_t *rows;  /* of bag i: start[i] .. start[i + 1] - 1 */
    /* The list turned round, for backward: which bags use a row, a bag as often as it does. */
    int64_t distinct;
    const int32_t *row;       /* distinct, in the order of appearance */
    const int64_t *use_start; /* distinct + 1 */
    const int32_t *use;       /* bags of row n: use_start[n] .. use_start[n + 1] - 1 */
} ak_bags;

/* table: rows of d floats. */
void ak_bag_mean(const float *table, const int32_t *rows, int64_t count, float *y, int64_t d);
void ak_bags_forward(const ak_bags *bags, const float *table, akin_matrix y);
akin_status ak_bags_turn(ak_bags *bags, int64_t table_rows, akin_arena *arena, akin_error *error);
/* Adds to the gradients of the table `number`. The bags must have been turned. */
akin_status ak_bags_backward(const ak_bags *bags, akin_matrix dy, akin_parameters *parameters,
                             int number, akin_arena *arena, akin_error *error);

/* ---- distances.c, distances_backward.c (maths.md): aligned rows and matrices ---- */

typedef enum ak_distance { AK_COSINE, AK_EUCLIDEAN, AK_MANHATTAN, AK_DOT_PRODUCT } ak_distance;
#define AK_DISTANCE_CHOICES "cosine|euclidean|manhattan|dot_product"
/* d[i] = distance(a_i, b_i). */
void ak_distance_rows(ak_distance distance, akin_matrix a, akin_matrix b, float *d);
/* d[i][j] = distance(a_i, b_j). a and b may be the same. The arena holds scratch. */
akin_status ak_distance_matrix(ak_distance distance, akin_matrix a, akin_matrix b, akin_matrix d,
                               akin_arena *arena, akin_error *error);
/* Gradients: given dd (as d), adds to da and db, which may be the same matrix (where a and b are)
   or have data NULL: not wanted. */
void ak_distance_rows_backward(ak_distance distance, akin_matrix a, akin_matrix b, const float *dd,
                               akin_matrix da, akin_matrix db);
akin_status ak_distance_matrix_backward(ak_distance distance, akin_matrix a, akin_matrix b,
                                        akin_matrix d, akin_matrix dd, akin_matrix da,
                                        akin_matrix db, akin_arena *arena, akin_error *error);

/* ---- eigen.c, axes.c ---- */

/* Of a symmetric n x n matrix, which is overwritten: eigenvalues, the largest first, and a row of
   `vectors` (n x n) for each, of unit length. scratch: 4 n numbers. */
void ak_eigen(double *a, int64_t n, double *values, double *vectors, double *scratch);
double ak_dot_double(const double *a, const double *b, int64_t n);

/* The directions of largest variance around the mean, as a layer: y = x W^T + b has the mean 0. An
   axis points to where its direction's largest element is positive. */
typedef struct ak_axes {
    int64_t width, dim;
    float *weight, *bias; /* dim x width, dim; in the arena */
    double share;         /* of the whole variance */
} ak_axes;
/* dim <= x.columns; rows must be finite, and there must be some. Scratch in the arena: 2 d^2 doubles
   and more. */
akin_status ak_axes_find(ak_axes *out, akin_matrix x, int64_t dim, akin_arena *arena,
                         akin_error *error);
double ak_axis_sign(const double *direction, int64_t d); /* of its largest element */

/* ---- clip.c ---- */

/* Clips gradients of several blocks as one: every element to +-clip_value, then the length of all of
   them to clip_norm; 0: not. */
void ak_clip_grads(akin_parameters *const *parameters, int count, double clip_value,
                   double clip_norm);

/* ---- optimizer.c, schedule.c ---- */

/* Rows over akin_optimizer_options, and over a group of it. Parsed options have weight_decay 0 where
   nothing was given, also for adamw. */
extern const akin_option ak_optimizer_options[], ak_group_options[];
/* Options out of range, or that the schedule lacks, are AKIN_ERR_ARGUMENT. */
akin_status ak_optimizer_check(const akin_optimizer_options *options, akin_error *error);

typedef struct ak_optimizer ak_optimizer;
/* Checks the options and calls ak_parameters_train. */
akin_status ak_optimizer_create(ak_optimizer **out, const akin_optimizer_options *options,
                                akin_parameters *parameters, akin_error *error);
void ak_optimizer_free(ak_optimizer *optimizer); /* before the parameters */
/* Gives the parameters whose "PART/NAME" fits the group its rates; *fitting grows by how many. */
akin_status ak_optimizer_apply(ak_optimizer *optimizer, const char *part,
                               const akin_parameter_group *group, int *fitting, akin_error *error);
/* The learning rate that the schedule starts from, from the next step on. */
void ak_optimizer_set_lr(ak_optimizer *optimizer, double lr);
/* Clips if asked, updates the values, zeroes the gradients. step counts from 0; total_steps is what
   the schedule runs to (0: unknown, constant after warm-up). Returns the learning rate used. */
double ak_optimizer_step(ak_optimizer *optimizer, int64_t step, int64_t total_steps);
double ak_schedule_lr(const akin_optimizer_options *options, int64_t step, int64_t total_steps);
/* The state (moments), as named float blocks, for checkpoints: with the values and the number of
   steps it is everything a resumed run needs. */
int ak_optimizer_state_count(const ak_optimizer *optimizer);
const char *ak_optimizer_state_name(const ak_optimizer *optimizer, int number);
float *ak_optimizer_state(const ak_optimizer *optimizer, int number); /* parameters_size floats */

#endif
