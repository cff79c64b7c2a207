#include "margin_loss.h"

#include <stdlib.h>

typedef struct margin_options {
    double margin;
} margin_options;

static const akin_option rows[] = {{.name = "margin",
                                    .type = AKIN_OPTION_FLOAT,
                                    .offset = offsetof(margin_options, margin),
                                    .default_text = "0.9",
                                    .help = "the dot product a pair should reach",
                                    .minimum = 0,
                                    .maximum = 1e6},
                                   {.name = NULL}};

/* The object of the class is its options; they live as long as the loss. */
static akin_status create(void **self, const void *options, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    (void)dim, (void)groups, (void)parameters, (void)error;
    *self = (void *)options;
    return AKIN_OK;
}

/* Rows of x: the a's of all pairs, then their b's. dx is written; dx.data is NULL in validation. */
static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const margin_options *options = self;
    int64_t n = labels->count;
    (void)pass, (void)error;
    *value = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *a = x.data + i * x.stride, *b = x.data + (n + i) * x.stride;
        float *da = dx.data ? dx.data + i * dx.stride : NULL;
        float *db = dx.data ? dx.data + (n + i) * dx.stride : NULL;
        double dot = 0;
        for (int64_t j = 0; j < x.columns; j++)
            dot += (double)a[j] * b[j];
        double missing = options->margin - dot;
        if (missing > 0)
            *value += missing / (double)n;
        float slope = missing > 0 ? -1.0f / (float)n : 0;
        for (int64_t j = 0; da && j < x.columns; j++) {
            da[j] = slope * b[j];
            db[j] = slope * a[j];
        }
    }
    return AKIN_OK;
}

const akin_loss_class margin_loss = {
    .size = sizeof(akin_loss_class),
    .name = "margin",
    .summary = "pairs: the dot product reaches a margin",
    .kind = AKIN_PAIRS,
    .options = rows,
    .options_size = sizeof(margin_options),
    .create = create,
    .compute = compute,
};
