/* CosFace (Wang et al., 2018): softmax over cosines to class rows, where an object's own class must
   win by a margin m: the mean cross-entropy of s (cos - m) for the own class, s cos for the others.
   Quaterion takes the cosine of that cosine; its numbers differ. The class rows start as normal
   numbers of standard deviation 0.01. */
#include "loss/classes.h"
#include "loss/loss.h"
#include "loss/tools.h"

typedef struct options {
    double scale, margin, lr_factor;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, scale, "64", 1e-3, 1e4,
                         "factor on the cosines, the inverse of a temperature"),
    AK_LOSS_FLOAT_OPTION(options, margin, "0.35", 0, 2,
                         "the own class must win by this much of a cosine"),
    AK_LOSS_LR_FACTOR_OPTION(options, lr_factor),
    {0},
};

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    return ak_class_loss_create(self, "cosface", given, dim, groups, 0.01, o->lr_factor, parameters,
                                error);
}

static double target(const void *given, double cosine, double *slope)
{
    const options *o = given;
    *slope = 1;
    return cosine - o->margin;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const ak_class_loss *loss = self;
    const options *o = loss->options;
    return ak_class_entropy(loss, AK_COSINE, o->scale, target, pass, labels, x, dx, value, error);
}

const akin_loss_class ak_loss_cosface = {
    .size = sizeof(akin_loss_class),
    .name = "cosface",
    .summary = "groups: a classifier whose right class must win by a margin",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .compute = compute,
};
