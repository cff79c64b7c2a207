/* Sampler "groups": P groups in a batch, K samples of each (Hermans et al., 2017, "In Defense of
   the Triplet Loss": PK batches), so that every sample meets its like and many others. An epoch
   draws every sample once: a group is cut into hands of K (5 by 4: 3 and 2) and the hands are
   dealt over the batches, each to another one. Hands of a group that has more of them than there
   are batches wait for another epoch. Where it is known which groups are near, they meet in a
   batch: see near.c. */
#include "data/sampler.h"

typedef struct options {
    int64_t groups_per_batch, samples_per_group;
} options;

static const akin_option rows[] = {
    {.name = "groups_per_batch",
     .type = AKIN_OPTION_INT,
     .default_text = "0",
     .offset = offsetof(options, groups_per_batch),
     .minimum = 0,
     .maximum = 1 << 20,
     .help = "groups in a batch; 0: batch_size / samples_per_group"},
    {.name = "samples_per_group",
     .type = AKIN_OPTION_INT,
     .default_text = "4",
     .offset = offsetof(options, samples_per_group),
     .minimum = 2,
     .maximum = 1 << 20,
     .help = "samples of a group in a batch, fewer where its size does not divide"},
    {NULL}};

typedef struct sampler {
    int64_t places, together;
    ak_dealer *dealer;
    ak_near *near;
} sampler;

/* Hands of an epoch; where samples are drawn more or less than once, about as many. */
static akin_status count_hands(const ak_plan *plan, int64_t together, int64_t *hands,
                               akin_error *error)
{
    const ak_table *t = plan->table;
    int64_t *size = ak_calloc((size_t)t->groups, sizeof *size);
    if (!size)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < t->count; i++)
        size[t->group[i]]++;
    *hands = 0;
    for (int64_t g = 0; g < t->groups; g++) {
        double drawn = (double)size[g] * (double)plan->drawn / (double)t->count;
        *hands += ((int64_t)(drawn + 0.5) + together - 1) / together;
    }
    ak_free(size);
    return AKIN_OK;
}

static akin_status choose_places(const options *o, const ak_plan *plan, int64_t *places,
                                 akin_error *error)
{
    int64_t groups = plan->table->groups;
    *places = o->groups_per_batch;
    if (!*places) {
        *places = plan->batch_size / o->samples_per_group;
        *places = *places < groups ? *places : groups;
    }
    if (groups < 2)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: all samples are of one group, and no batch would hold two", plan->name);
    if (*places > groups)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: groups_per_batch is %lld, but there are %lld groups", plan->name,
                       (long long)*places, (long long)groups);
    if (*places < 2)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: a batch of %lld group%s of %lld has no negatives; groups_per_batch "
                       "must be at least 2 (or batch_size %lld)",
                       plan->name, (long long)*places, *places == 1 ? "" : "s",
                       (long long)o->samples_per_group, 2 * (long long)o->samples_per_group);
    return AKIN_OK;
}

static void free_sampler(void *self)
{
    sampler *s = self;
    ak_near_free(s->near);
    ak_dealer_free(s->dealer);
    ak_free(s);
}

static akin_status open_sampler(void **self, const void *given, ak_plan *plan, akin_error *error)
{
    const options *o = given;
    int64_t places, hands = 0;
    AK_TRY(choose_places(o, plan, &places, error));
    AK_TRY(count_hands(plan, o->samples_per_group, &hands, error));
    plan->batch_size = places * o->samples_per_group;
    plan->batches = plan->drop_last ? hands / places : (hands + places - 1) / places;
    if (plan->batches < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: there are fewer than %lld groups of %lld for one batch, and drop_last "
                       "leaves no smaller one",
                       plan->name, (long long)places, (long long)o->samples_per_group);
    sampler *s = ak_alloc(sizeof *s);
    if (!s)
        return ak_fail_memory(error);
    *s = (sampler){.places = places, .together = o->samples_per_group};
    akin_status status =
        ak_dealer_create(&s->dealer, plan, plan->table->group, plan->table->groups, error);
    if (!status)
        status = ak_near_create(&s->near, plan->table->groups, error);
    if (status)
        free_sampler(s);
    else
        *self = s;
    return status;
}

static void assign(void *self, ak_plan *plan, ak_draws *draws)
{
    const sampler *s = self;
    if (plan->near)
        ak_near_deal(s->near, s->dealer, plan, s->together, s->places, draws);
    else
        ak_deal(s->dealer, plan, s->together, s->places, true, draws);
}

const ak_sampler_class ak_sampler_groups = {
    .name = "groups",
    .summary = "several groups in a batch, several samples of each",
    .groups = true,
    .options = rows,
    .options_size = sizeof(options),
    .open = open_sampler,
    .assign = assign,
    .free = free_sampler};
