/* Softmax over class rows w_g (the last layer of a classifier, without bias). With temperature T,
   the mean over the objects x of class y of the cross-entropy of x . w_g / T at y. `normalize`:
   cosines in place of x . w_g (Zhai and Wu, 2019, "NormSoftmax"; T 0.05). The class rows start as
   normal numbers of standard deviation 0.01; lengths are no matter where they are normalised. */
#include "loss/classes.h"
#include "loss/loss.h"
#include "loss/tools.h"

typedef struct options {
    double temperature, lr_factor;
    bool normalize;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, temperature, "0.05", 1e-3, 1e3, "divides the logits"),
    {.name = "normalize",
     .type = AKIN_OPTION_BOOL,
     .offset = offsetof(options, normalize),
     .default_text = "false",
     .help = "cosines in place of dot products"},
    AK_LOSS_LR_FACTOR_OPTION(options, lr_factor),
    {0},
};

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    return ak_class_loss_create(self, "softmax", given, dim, groups, 0.01, o->lr_factor, parameters,
                                error);
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const ak_class_loss *loss = self;
    const options *o = loss->options;
    return ak_class_entropy(loss, o->normalize ? AK_COSINE : AK_DOT_PRODUCT, 1 / o->temperature,
                            NULL, pass, labels, x, dx, value, error);
}

const akin_loss_class ak_loss_softmax = {
    .size = sizeof(akin_loss_class),
    .name = "softmax",
    .summary = "groups: a classifier over all groups of the training set",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .compute = compute,
};
