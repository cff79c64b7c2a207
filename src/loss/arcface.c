/* ArcFace (Deng et al., 2019): softmax over cosines to class rows, where an object's own class must
   win by an angle m. With scale s, c the cosine to the own class, kept off +-1 by 1e-7,

       phi = cos(angle + m) = c cos m - sqrt(1 - c^2) sin m     where c > cos(pi - m)
             c - m sin(pi - m)                                  else, so that it stays monotonous

   and the loss is the mean cross-entropy of s phi for the own class, s cos for the others. The
   class rows start as normal numbers of standard deviation 0.01, as in insightface. */
#include "loss/classes.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>

typedef struct options {
    double scale, margin, lr_factor;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, scale, "64", 1e-3, 1e4,
                         "factor on the cosines, the inverse of a temperature"),
    AK_LOSS_FLOAT_OPTION(options, margin, "0.5", 0, 1.57,
                         "the own class must win by this angle (radians)"),
    AK_LOSS_LR_FACTOR_OPTION(options, lr_factor),
    {0},
};

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    return ak_class_loss_create(self, "arcface", given, dim, groups, 0.01, o->lr_factor, parameters,
                                error);
}

static double target(const void *given, double cosine, double *slope)
{
    const options *o = given;
    double limit = 1 - 1e-7, m = o->margin, c = fmin(limit, fmax(-limit, cosine));
    bool inside = c == cosine;
    if (!(c > cos(M_PI - m))) {
        *slope = inside;
        return c - m * sin(M_PI - m);
    }
    double sine = sqrt(1 - c * c);
    *slope = inside ? cos(m) + c / sine * sin(m) : 0;
    return c * cos(m) - sine * sin(m);
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const ak_class_loss *loss = self;
    const options *o = loss->options;
    return ak_class_entropy(loss, AK_COSINE, o->scale, target, pass, labels, x, dx, value, error);
}

const akin_loss_class ak_loss_arcface = {
    .size = sizeof(akin_loss_class),
    .name = "arcface",
    .summary = "groups: a classifier whose right class must win by an angle",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .compute = compute,
};
