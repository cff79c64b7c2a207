/* Losses with a row of parameters for every class (group): what they share. */
#ifndef AK_LOSS_CLASSES_H
#define AK_LOSS_CLASSES_H

#include "loss/space.h"

/* What a loss object is: its options behind the parameters' place. */
typedef struct ak_class_loss {
    akin_parameters *parameters;
    int number; /* of the parameter "classes", groups x dim */
    const void *options;
} ak_class_loss;

/* The class rows are normal of standard deviation `deviation`, without weight decay. `name` is for
   messages. Freed by ak_free. */
akin_status ak_class_loss_create(void **self, const char *name, const void *options, int64_t dim,
                                 int64_t groups, double deviation, double lr_factor,
                                 akin_parameters *parameters, akin_error *error);

typedef struct ak_classes {
    ak_space space;
    akin_parameter *parameter;
    akin_matrix classes; /* groups x d: as they are, or unit rows */
    float *norms;        /* NULL: as they are */
    int64_t members;     /* objects of the batch whose group is one of the classes */
} ak_classes;

/* Cosine: unit rows on both sides; dot product: rows as they are. Where space.finite is false or
   there are no members, nothing can be learnt. Vectors of another width than the class rows count
   as not finite: the loss of a base model whose head changes the width is NaN, there is none. */
akin_status ak_classes_init(ak_classes *c, const ak_class_loss *loss, ak_distance distance,
                            const akin_pass *pass, const akin_labels *labels, akin_matrix x,
                            akin_error *error);

/* Whether object i's group is a class: groups that only a validation set has are not. */
bool ak_is_member(const ak_classes *c, const akin_labels *labels, int64_t i);

/* dz: d value / d (object row i . class row j), `by_class`: transposed, a row per class. Writes dx
   and adds to the classes' gradient. */
akin_status ak_classes_backward(const ak_classes *c, akin_matrix dz, bool by_class, akin_matrix dx,
                                akin_error *error);

/* How an object's own class differs from the others. Returns the logit of `cosine`, without scale,
   and its derivative. */
typedef double ak_target_function(const void *options, double cosine, double *slope);

/* Cross-entropy with logits scale * z_ij, and scale * target(z_iy) for the object's own class y, as
   a mean over the members of the batch. target NULL: as the others. */
akin_status ak_class_entropy(const ak_class_loss *loss, ak_distance distance, double scale,
                             ak_target_function *target, const akin_pass *pass,
                             const akin_labels *labels, akin_matrix x, akin_matrix dx,
                             double *value, akin_error *error);

#define AK_LOSS_LR_FACTOR_OPTION(type_, member)                                                    \
    {                                                                                              \
        .name = "lr_factor", .type = AKIN_OPTION_FLOAT, .offset = offsetof(type_, member),         \
        .default_text = "1", .help = "the class rows learn this much faster than the model",       \
        .minimum = 0, .maximum = 1e6                                                               \
    }

#endif
