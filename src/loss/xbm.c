/* Cross-batch memory (Wang et al., 2020): embeddings change slowly, so those of the last batches
   are nearly what they would be now. A ring keeps the newest buffer_size of them as constants, and

       L(batch) + weight * L(batch against the ring)

   with the ring filled from the first step on and used from start_iteration on. A step sees the
   ring as the steps before it left it. While validating there is no ring: validation losses can be
   compared with the base's and with each other, whatever the ring holds.

   Groups: every object of a batch is kept. Pairs: every b, as a further negative. */
#include "loss/inner_loss.h"
#include "loss/space.h"
#include "loss/tools.h"

#include <math.h>
#include <string.h>

typedef struct options {
    akin_classes loss;
    double weight;
    int64_t buffer_size, start_iteration;
} options;

static const akin_option option_rows[] = {
    {.name = "loss",
     .type = AKIN_OPTION_CLASSES,
     .offset = offsetof(options, loss),
     .help = "the loss that gets a memory, as {type: supcon}"},
    AK_LOSS_FLOAT_OPTION(options, weight, "1", 0, 1e6, "factor on the loss against the memory"),
    {.name = "buffer_size",
     .type = AKIN_OPTION_INT,
     .offset = offsetof(options, buffer_size),
     .default_text = "10000",
     .help = "embeddings the memory holds",
     .minimum = 1,
     .maximum = 1e8},
    {.name = "start_iteration",
     .type = AKIN_OPTION_INT,
     .offset = offsetof(options, start_iteration),
     .default_text = "1000",
     .help = "steps before the memory is used: at first embeddings change too fast",
     .minimum = 0,
     .maximum = 1e15},
    {0},
};

/* The ring: places 0 .. filled - 1 hold something, the next one to be written is `next`. */
typedef struct ring {
    int64_t dim, size;
    float *units;
    int64_t *content, *label; /* label: group or subgroup */
    int64_t filled, next;
    int64_t has_label; /* pairs: subgroups are given */
} ring;

typedef struct xbm {
    const options *options;
    ak_inner_loss loss;
    ring ring;
} xbm;

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    const options *o = given;
    AK_TRY(ak_describe_only("xbm", &o->loss, traits, error));
    if (!traits->memory)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "xbm: the loss \"%s\" with these options has no use for a memory; of the "
                       "built-in ones have: triplet (mining hard or semi_hard, distance cosine), "
                       "supcon, multi_similarity and multiple_negatives_ranking",
                       o->loss.items->type_name);
    traits->memory = false; /* one is enough */
    traits->remembers = true;
    return AKIN_OK;
}

static void xbm_free(void *self)
{
    xbm *x = self;
    if (!x)
        return;
    ak_inner_loss_free(&x->loss);
    ak_free(x->ring.units);
    ak_free(x->ring.content);
    ak_free(x->ring.label);
    ak_free(x);
}

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    size_t size = (size_t)o->buffer_size;
    *self = NULL;
    xbm *x = ak_calloc(1, sizeof *x);
    if (!x)
        return ak_fail_memory(error);
    *x = (xbm){.options = o,
               .ring = {.dim = dim,
                        .size = o->buffer_size,
                        .units = ak_calloc(size, (size_t)dim * sizeof(float)),
                        .content = ak_calloc(size, sizeof(int64_t)),
                        .label = ak_calloc(size, sizeof(int64_t))}};
    akin_status status =
        x->ring.units && x->ring.content && x->ring.label
            ? ak_inner_loss_create(&x->loss, o->loss.items, NULL, dim, groups, parameters, error)
            : ak_fail_memory(error);
    if (status) {
        xbm_free(x);
        return status;
    }
    *self = x;
    return AKIN_OK;
}

/* ---- the ring ---- */

static akin_memory memory_of(const ring *r, akin_sample_kind kind)
{
    return (akin_memory){.size = sizeof(akin_memory),
                         .units = ak_matrix(r->units, r->filled, r->dim),
                         .content = r->content,
                         .group = kind == AKIN_GROUPS ? r->label : NULL,
                         .subgroup = kind == AKIN_PAIRS && r->has_label ? r->label : NULL};
}

static void push(ring *r, const akin_labels *labels, akin_matrix x)
{
    bool pairs = labels->kind == AKIN_PAIRS;
    const int64_t *label = pairs ? labels->subgroup : labels->group;
    int64_t n = labels->count, skipped = pairs ? n : 0; /* of pairs the b's */
    r->has_label = label != NULL;
    for (int64_t i = n > r->size ? n - r->size : 0; i < n; i++) {
        akin_matrix place = ak_matrix(r->units + r->next * r->dim, 1, r->dim);
        ak_normalize_forward(ak_matrix_rows(x, skipped + i, 1), place, NULL);
        r->content[r->next] = labels->content[skipped + i];
        r->label[r->next] = label ? label[i] : 0;
        r->next = (r->next + 1) % r->size;
        r->filled += r->filled < r->size;
    }
}

static akin_status state(void *self, akin_state_function *show, void *user, akin_error *error)
{
    xbm *x = self;
    ring *r = &x->ring;
    size_t size = (size_t)r->size;
    AK_TRY(show(user, "memory.units", r->units, size * (size_t)r->dim * sizeof(float), error));
    AK_TRY(show(user, "memory.content", r->content, size * sizeof(int64_t), error));
    AK_TRY(show(user, "memory.label", r->label, size * sizeof(int64_t), error));
    AK_TRY(show(user, "memory.filled", &r->filled, sizeof r->filled, error));
    AK_TRY(show(user, "memory.next", &r->next, sizeof r->next, error));
    return show(user, "memory.has_label", &r->has_label, sizeof r->has_label, error);
}

/* ---- the loss ---- */

static akin_status add_memory(const xbm *x, const akin_pass *pass, const akin_labels *labels,
                              akin_matrix embeddings, akin_matrix dx, double *value,
                              akin_error *error)
{
    const akin_memory memory = memory_of(&x->ring, labels->kind);
    double own = 0;
    akin_matrix d = dx.data ? ak_matrix_new(pass->arena, dx.rows, dx.columns) : dx;
    if (dx.data && !d.data)
        return ak_fail_memory(error);
    AK_TRY(x->loss.type->compute_memory(x->loss.self, pass, labels, embeddings, &memory, d, &own,
                                        error));
    if (dx.data)
        ak_matrix_add_scaled(x->options->weight, d, dx);
    *value += x->options->weight * own;
    return AKIN_OK;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    xbm *m = self;
    AK_TRY(m->loss.type->compute(m->loss.self, pass, labels, x, dx, value, error));
    if (!pass->training || !isfinite(*value))
        return AKIN_OK;
    if (m->ring.filled && (int64_t)pass->step >= m->options->start_iteration)
        AK_TRY(add_memory(m, pass, labels, x, dx, value, error));
    push(&m->ring, labels, x);
    return AKIN_OK;
}

const akin_loss_class ak_loss_xbm = {
    .size = sizeof(akin_loss_class),
    .name = "xbm",
    .summary = "a loss on the batch and against a memory of earlier batches (cross-batch memory)",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = xbm_free,
    .compute = compute,
    .describe = describe,
    .state = state,
};
