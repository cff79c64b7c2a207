/* The door of nn: parameters, layers with forward and backward, distances, optimizers, schedules. */
#ifndef AK_NN_NN_H
#define AK_NN_NN_H

#include "base/base.h"

/* ---- parameters.c: named matrices in one block ---- */

/* Life: create, add (by encoders, heads and losses), seal; then value pointers are stable.
   `train` makes room for gradients and zeroes them. */
akin_status ak_parameters_create(akin_parameters **out, akin_error *error);
void ak_parameters_free(akin_parameters *parameters);
akin_status ak_parameters_seal(akin_parameters *parameters, uint64_t seed, akin_error *error);
akin_status ak_parameters_train(akin_parameters *parameters, akin_error *error);
int ak_parameters_count(const akin_parameters *parameters);
int64_t ak_parameters_size(const akin_parameters *parameters); /* floats in the block */
float *ak_parameters_values(const akin_parameters *parameters);
float *ak_parameters_grads(const akin_parameters *parameters);
void ak_parameters_zero_grads(akin_parameters *parameters);
/* Euclidean norm of all gradients, in double, in a fixed order. */
double ak_parameters_grad_norm(const akin_parameters *parameters);
void ak_parameters_scale_grads(akin_parameters *parameters, float factor);

/* ---- matrix.c ---- */

akin_matrix ak_matrix(float *data, int64_t rows, int64_t columns); /* stride = columns */
akin_matrix ak_matrix_rows(akin_matrix x, int64_t first, int64_t count);
akin_matrix ak_matrix_columns(akin_matrix x, int64_t first, int64_t count);
/* data NULL when out of memory */
akin_matrix ak_matrix_new(akin_arena *arena, int64_t rows, int64_t columns);

/* ---- layers: y = x W^T + b, W: out x in as in PyTorch ---- */

void ak_linear_forward(akin_matrix x, const float *weight, const float *bias, akin_matrix y,
                       akin_precision precision);
/* dweight, dbias: added to (dbias may be NULL); dx written unless dx.data is NULL. */
void ak_linear_backward(akin_matrix x, const float *weight, akin_matrix dy, float *dweight,
                        float *dbias, akin_matrix dx, akin_precision precision);

/* x̂ = x / |x| row by row, a zero row stays zero; norms: n floats. */
void ak_normalize_forward(akin_matrix x, akin_matrix y, float *norms);
/* dx = (dy - ŷ (ŷ·dy)) / |x|, added to dx. */
void ak_normalize_backward(akin_matrix y, const float *norms, akin_matrix dy, akin_matrix dx);

/* Inverted dropout: y = x * mask / (1 - p); the mask is a function of (seed, step, stream, element).
   In place is allowed. backward is the same call on dy. */
void ak_dropout(akin_matrix x, akin_matrix y, double p, const akin_pass *pass, uint64_t stream);

/* ---- distances.c (maths.md): aligned rows and matrices ---- */

typedef enum ak_distance { AK_COSINE, AK_EUCLIDEAN, AK_MANHATTAN, AK_DOT_PRODUCT } ak_distance;
#define AK_DISTANCE_CHOICES "cosine|euclidean|manhattan|dot_product"
/* d[i] = distance(a_i, b_i). */
void ak_distance_rows(ak_distance distance, akin_matrix a, akin_matrix b, float *d);
/* d[i][j] = distance(a_i, b_j). */
akin_status ak_distance_matrix(ak_distance distance, akin_matrix a, akin_matrix b, akin_matrix d,
                               akin_arena *arena, akin_error *error);
/* Gradients: given dd (as d), adds to da and db. */
akin_status ak_distance_rows_backward(ak_distance distance, akin_matrix a, akin_matrix b,
                                      const float *dd, akin_matrix da, akin_matrix db,
                                      akin_arena *arena, akin_error *error);
akin_status ak_distance_matrix_backward(ak_distance distance, akin_matrix a, akin_matrix b,
                                        akin_matrix d, akin_matrix dd, akin_matrix da,
                                        akin_matrix db, akin_arena *arena, akin_error *error);

/* ---- optimizer.c, schedule.c ---- */

extern const akin_option ak_optimizer_options[]; /* rows over akin_optimizer_options */

typedef struct ak_optimizer ak_optimizer;
akin_status ak_optimizer_create(ak_optimizer **out, const akin_optimizer_options *options,
                                akin_parameters *parameters, akin_error *error);
void ak_optimizer_free(ak_optimizer *optimizer);
/* Clips if asked, updates the values, zeroes the gradients. step counts from 0; total_steps is what
   the schedule runs to (0: unknown, constant after warm-up). Returns the learning rate used. */
double ak_optimizer_step(ak_optimizer *optimizer, int64_t step, int64_t total_steps);
double ak_schedule_lr(const akin_optimizer_options *options, int64_t step, int64_t total_steps);
/* The state (moments), as named float blocks, for checkpoints. */
int ak_optimizer_state_count(const ak_optimizer *optimizer);
const char *ak_optimizer_state_name(const ak_optimizer *optimizer, int number);
float *ak_optimizer_state(const ak_optimizer *optimizer, int number); /* parameters_size floats */

#endif
