/* A weighted sum of losses on the same embeddings: w_1 L_1 + w_2 L_2 + ... */
#include "loss/inner_loss.h"
#include "loss/space.h"

typedef struct options {
    akin_classes losses;
    akin_floats weights;
} options;

static const akin_option option_rows[] = {
    {.name = "losses",
     .type = AKIN_OPTION_CLASSES,
     .offset = offsetof(options, losses),
     .help = "the losses, as [supcon, {type: center, lambda: 1}]"},
    AK_LOSS_WEIGHTS_OPTION(options, weights),
    {0},
};

static const char *kind_name(akin_sample_kind kind)
{
    return kind == AKIN_PAIRS ? "pairs" : "groups";
}

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    const options *o = given;
    const akin_class_given *items = o->losses.items;
    const char *first = NULL; /* that wants one kind */
    AK_TRY(ak_check_weights("sum", "losses", o->losses.count, &o->weights, error));
    for (int64_t i = 0; i < o->losses.count; i++) {
        akin_loss_traits own;
        AK_TRY(ak_loss_describe(items[i].type, items[i].options, &own, error));
        if (!own.any_kind && first && own.kind != traits->kind)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "sum: the loss \"%s\" learns from %s, but \"%s\" from %s",
                           items[i].type_name, kind_name(own.kind), first, kind_name(traits->kind));
        if (!own.any_kind) {
            traits->kind = own.kind;
            first = items[i].type_name;
        }
        traits->teacher |= own.teacher;
        traits->collapses = own.collapses && (i == 0 || traits->collapses);
        traits->remembers |= own.remembers;
    }
    traits->any_kind = !first;
    return AKIN_OK;
}

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const akin_classes *losses = &((const options *)given)->losses;
    ak_inner_losses *s;
    akin_status status = ak_inner_losses_new(&s, given, losses->count, error);
    for (int64_t i = 0; i < losses->count && !status; i++)
        status = ak_inner_losses_add(s, &losses->items[i], dim, groups, parameters, error);
    if (status)
        ak_inner_losses_free(s);
    *self = status ? NULL : s;
    return status;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const ak_inner_losses *s = self;
    const options *o = s->options;
    *value = 0;
    if (dx.data)
        ak_matrix_zero(dx);
    for (int64_t i = 0; i < s->count; i++)
        AK_TRY(ak_inner_loss_add(&s->items[i], ak_weight_at(&o->weights, i), pass, labels, x, dx,
                                 value, error));
    return AKIN_OK;
}

const akin_loss_class ak_loss_sum = {
    .size = sizeof(akin_loss_class),
    .name = "sum",
    .summary = "a weighted sum of losses, all on pairs or all on groups",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_inner_losses_free,
    .compute = compute,
    .describe = describe,
    .state = ak_inner_losses_state,
};
