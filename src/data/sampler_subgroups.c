/* Sampler "subgroups". Where subgroups are given, pairs of other subgroups are the only implied
   negatives (multiple_negatives_ranking, contrastive): a batch of one subgroup teaches nothing.

     apart     the pairs of a subgroup are dealt over the batches like cards, so that every batch
               mixes as many subgroups as it can: the most implied negatives
     together  the pairs of a subgroup stand in one batch, at most half a batch of them, so that
               pairs of score 0, which are negatives inside a subgroup too, meet what they are not
               like; a batch's end may cut a subgroup in two

   Either way an epoch draws every pair once. */
#include "data/sampler.h"

enum { APART, TOGETHER };

typedef struct options {
    int keep;
} options;

static const akin_option rows[] = {
    {.name = "keep",
     .type = AKIN_OPTION_CHOICE,
     .default_text = "apart",
     .offset = offsetof(options, keep),
     .choices = "apart|together",
     .help = "the pairs of a subgroup: spread over batches, or in one"},
    {NULL}};

typedef struct sampler {
    int keep;
    ak_dealer *dealer;
    int64_t *chunk_start, *chunk_size, *order; /* together: pieces of subgroups */
    int64_t *drawing;
} sampler;

static void free_sampler(void *self)
{
    sampler *s = self;
    ak_dealer_free(s->dealer);
    ak_free(s->chunk_start);
    ak_free(s->chunk_size);
    ak_free(s->order);
    ak_free(s->drawing);
    ak_free(s);
}

static int64_t largest_chunk(const ak_plan *plan)
{
    return plan->batch_size < 2 ? 1 : plan->batch_size / 2;
}

static akin_status make_room(sampler *s, const ak_plan *plan, akin_error *error)
{
    int64_t labels = plan->table->subgroups;
    AK_TRY(ak_dealer_create(&s->dealer, plan, plan->table->subgroup, labels, error));
    if (s->keep == APART)
        return AKIN_OK;
    size_t chunks = (size_t)(labels + plan->drawn / largest_chunk(plan));
    s->chunk_start = ak_calloc(chunks, sizeof *s->chunk_start);
    s->chunk_size = ak_calloc(chunks, sizeof *s->chunk_size);
    s->order = ak_calloc(chunks, sizeof *s->order);
    s->drawing = ak_calloc((size_t)plan->drawn, sizeof *s->drawing);
    bool whole = s->chunk_start && s->chunk_size && s->order && s->drawing;
    return whole ? AKIN_OK : ak_fail_memory(error);
}

static akin_status open_sampler(void **self, const void *given, ak_plan *plan, akin_error *error)
{
    const options *o = given;
    if (plan->table->subgroups < 2)
        return ak_fail(
            error, AKIN_ERR_ARGUMENT,
            plan->table->subgroups
                ? "%s: all pairs are of one subgroup, so there is nothing for the sampler "
                  "subgroups to mix"
                : "%s: the pairs have no subgroups, which the sampler subgroups needs",
            plan->name);
    sampler *s = ak_calloc(1, sizeof *s);
    if (!s)
        return ak_fail_memory(error);
    s->keep = o->keep;
    akin_status status = make_room(s, plan, error);
    if (status)
        free_sampler(s);
    else
        *self = s;
    return status;
}

/* Cuts every subgroup into pieces of at most half a batch. */
static int64_t cut(sampler *s, const ak_plan *plan, const int64_t *start)
{
    int64_t chunks = 0, most = largest_chunk(plan);
    for (int64_t u = 0; u < plan->table->subgroups; u++) {
        int64_t at = start[u], n = start[u + 1] - at, pieces = (n + most - 1) / most;
        for (int64_t p = 0; p < pieces; p++) {
            s->chunk_start[chunks] = at;
            s->chunk_size[chunks] = n / pieces + (p < n % pieces);
            at += s->chunk_size[chunks++];
        }
    }
    return chunks;
}

static void keep_together(sampler *s, ak_plan *plan, ak_draws *draws)
{
    int64_t chunks = cut(s, plan, ak_dealer_sort(s->dealer, plan)), at = 0;
    for (int64_t c = 0; c < chunks; c++)
        s->order[c] = c;
    ak_draw_shuffle(draws, s->order, chunks);
    for (int64_t c = 0; c < chunks; c++)
        for (int64_t i = 0; i < s->chunk_size[s->order[c]]; i++)
            s->drawing[at++] = plan->drawing[s->chunk_start[s->order[c]] + i];
    for (int64_t i = 0; i < plan->drawn; i++) {
        int64_t batch = i / plan->batch_size;
        plan->drawing[i] = s->drawing[i];
        plan->batch_of[i] = batch < plan->batches ? batch : -1;
    }
}

static void assign(void *self, ak_plan *plan, ak_draws *draws)
{
    sampler *s = self;
    if (s->keep == TOGETHER)
        keep_together(s, plan, draws);
    else
        ak_deal(s->dealer, plan, 1, plan->batch_size, false, draws);
}

const ak_sampler_class ak_sampler_subgroups = {.name = "subgroups",
                                               .summary = "pairs of many subgroups in every batch",
                                               .pairs = true,
                                               .options = rows,
                                               .options_size = sizeof(options),
                                               .open = open_sampler,
                                               .assign = assign,
                                               .free = free_sampler};
