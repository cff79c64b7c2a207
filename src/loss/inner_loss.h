/* A loss inside another: what sum, matryoshka and xbm are made of. */
#ifndef AK_LOSS_INNER_LOSS_H
#define AK_LOSS_INNER_LOSS_H

#include "loss/loss.h"

typedef struct ak_inner_loss {
    const akin_loss_class *type;
    void *self;
    akin_parameters *parameters; /* of the outer loss; its own are numbers first .. end - 1 */
    int first, end;
} ak_inner_loss;

/* The parameters are added as SCOPE.NAME; scope NULL: as NAME. On failure there is nothing to free.
 */
akin_status ak_inner_loss_create(ak_inner_loss *out, const akin_class_given *given,
                                 const char *scope, int64_t dim, int64_t groups,
                                 akin_parameters *parameters, akin_error *error);
void ak_inner_loss_free(ak_inner_loss *loss);

/* Adds weight times the value, the gradient (dx.data NULL: not wanted) and the gradients of the
   parameters to what is there. */
akin_status ak_inner_loss_add(const ak_inner_loss *loss, double weight, const akin_pass *pass,
                              const akin_labels *labels, akin_matrix x, akin_matrix dx,
                              double *value, akin_error *error);

/* Several, as the object of a loss: parameters and state have their numbers before them,
   "0.classes", "1.classes". */
typedef struct ak_inner_losses {
    const void *options;
    int64_t count;
    ak_inner_loss items[];
} ak_inner_losses;

/* Of room for `most`; the options are the caller's. */
akin_status ak_inner_losses_new(ak_inner_losses **out, const void *options, int64_t most,
                                akin_error *error);
akin_status ak_inner_losses_add(ak_inner_losses *losses, const akin_class_given *given, int64_t dim,
                                int64_t groups, akin_parameters *parameters, akin_error *error);
/* As the class's free and state. */
void ak_inner_losses_free(void *losses);
akin_status ak_inner_losses_state(void *losses, akin_state_function *show, void *user,
                                  akin_error *error);

#define AK_LOSS_WEIGHTS_OPTION(type_, member)                                                      \
    {                                                                                              \
        .name = "weights", .type = AKIN_OPTION_FLOATS, .offset = offsetof(type_, member),          \
        .help = "a factor for each of them; none: 1", .minimum = 0, .maximum = 1e6                 \
    }

/* y += weight * x */
void ak_matrix_add_scaled(double weight, akin_matrix x, akin_matrix y);

/* For describe: `what` is "losses", as many as there are; NULL weights are all 1. */
akin_status ak_check_weights(const char *name, const char *what, int64_t count,
                             const akin_floats *weights, akin_error *error);
double ak_weight_at(const akin_floats *weights, int64_t number);
/* The one loss that `name` is around. */
akin_status ak_describe_only(const char *name, const akin_classes *classes,
                             akin_loss_traits *traits, akin_error *error);

#endif
