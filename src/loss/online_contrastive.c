/* Online contrastive loss on groups (hard pairs as in sentence-transformers'
   OnlineContrastiveLoss), with distances D and margin m over the pairs of a batch:

       sum over positives of D^2 / their number + sum over negatives of [m - D]+^2 / their number

   hard: only negatives nearer than the farthest positive and positives farther than the nearest
   negative. all: every pair. A batch without a positive is 0. Quaterion's negatives are objects
   themselves (distance 0), so that its negative half is a constant; ours are what they are called.
   Every pair is met from both its ends, which changes neither of the two means. */
#include "loss/group_rows.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>

typedef enum mining { HARD, ALL } mining;

typedef struct options {
    double margin;
    int mining;
    int distance;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, margin, "0.5", 0, 1e6,
                         "objects of other groups are pushed apart until they are this far"),
    {.name = "mining",
     .type = AKIN_OPTION_CHOICE,
     .offset = offsetof(options, mining),
     .default_text = "hard",
     .choices = "hard|all",
     .help = "which pairs of a batch count"},
    AK_LOSS_DISTANCE_OPTION(options, distance),
    {0},
};

/* What one row found, and, for all rows alike, which similarities count. */
typedef struct tally {
    double sum, count;
} tally;

typedef struct search {
    float margin, offset;                 /* distance = offset - similarity */
    float positive_below, negative_above; /* similarities that count */
    float *lowest, *highest;              /* per row: of positives, of negatives */
    tally *positives, *negatives;         /* per row */
    float positive_factor, negative_factor;
} search;

static double find_extremes(void *loss, const ak_group_row *row)
{
    search *s = loss;
    s->lowest[row->query] = ak_minimum(row->positive, row->positives);
    s->highest[row->query] = ak_maximum(row->negative, row->n);
    return 0;
}

enum { LANES = 16 };

/* Sum and number of [margin + s - offset]+^2 over s > above; minus infinity never is. */
static AK_KERNEL tally count_negatives(const float *x, float above, float gap, int64_t n)
{
    float sums[LANES] = {0}, counts[LANES] = {0};
    tally t = {0, 0};
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int k = 0; k < LANES; k++) {
            float missing = x[j + k] + gap > 0 ? x[j + k] + gap : 0.0f;
            sums[k] += x[j + k] > above ? missing * missing : 0.0f;
            counts[k] += x[j + k] > above ? 1.0f : 0.0f;
        }
    for (; j < n; j++) {
        double missing = x[j] + gap > 0 ? (double)(x[j] + gap) : 0;
        t.sum += x[j] > above ? missing * missing : 0;
        t.count += x[j] > above;
    }
    for (int k = 0; k < LANES; k++) {
        t.sum += (double)sums[k];
        t.count += (double)counts[k];
    }
    return t;
}

static double count_pairs(void *loss, const ak_group_row *row)
{
    search *s = loss;
    tally t = {0, 0};
    for (int64_t j = 0; j < row->positives; j++) {
        double d = (double)s->offset - (double)row->positive[j];
        t.sum += row->positive[j] < s->positive_below ? d * d : 0;
        t.count += row->positive[j] < s->positive_below;
    }
    s->positives[row->query] = t;
    s->negatives[row->query] =
        count_negatives(row->negative, s->negative_above, s->margin - s->offset, row->n);
    return 0;
}

static AK_KERNEL void negative_derivatives(float *x, float above, float gap, float factor,
                                           int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float missing = x[j] + gap > 0 ? x[j] + gap : 0.0f;
        x[j] = x[j] > above ? factor * missing : 0.0f;
    }
}

static double differentiate(void *loss, const ak_group_row *row)
{
    const search *s = loss;
    for (int64_t j = 0; j < row->positives; j++)
        row->positive[j] = row->positive[j] < s->positive_below
                               ? -s->positive_factor * (s->offset - row->positive[j])
                               : 0;
    negative_derivatives(row->negative, s->negative_above, s->margin - s->offset,
                         s->negative_factor, row->n);
    return 0;
}

static tally add_up(const tally *rows, int64_t n)
{
    tally t = {0, 0};
    for (int64_t i = 0; i < n; i++) {
        t.sum += rows[i].sum;
        t.count += rows[i].count;
    }
    return t;
}

static void choose(search *s, ak_group_rows *rows, int64_t n)
{
    s->positive_below = -INFINITY;
    s->negative_above = INFINITY;
    ak_group_rows_run(rows, find_extremes, s);
    for (int64_t i = 0; i < n; i++) {
        s->positive_below = fmaxf(s->positive_below, s->highest[i]);
        s->negative_above = fminf(s->negative_above, s->lowest[i]);
    }
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const options *o = self;
    int64_t n = labels->count;
    ak_group_rows rows;
    AK_TRY(ak_group_rows_init(&rows, (ak_distance)o->distance, pass, labels, x, error));
    if (!rows.space.finite || !rows.anchors)
        return ak_loss_nothing(&rows.space, dx, value);
    search s = {.margin = (float)o->margin,
                .offset = rows.space.offset,
                .positive_below = INFINITY,
                .negative_above = -INFINITY,
                .lowest = ak_arena_new(pass->arena, float, n),
                .highest = ak_arena_new(pass->arena, float, n),
                .positives = ak_arena_new(pass->arena, tally, n),
                .negatives = ak_arena_new(pass->arena, tally, n)};
    if (!s.lowest || !s.highest || !s.positives || !s.negatives)
        return ak_fail_memory(error);
    if (o->mining == HARD)
        choose(&s, &rows, n);
    ak_group_rows_run(&rows, count_pairs, &s);
    tally positives = add_up(s.positives, n), negatives = add_up(s.negatives, n);
    *value = (positives.count > 0 ? positives.sum / positives.count : 0) +
             (negatives.count > 0 ? negatives.sum / negatives.count : 0);
    if (!dx.data)
        return AKIN_OK;
    s.positive_factor = positives.count > 0 ? (float)(2 / positives.count) : 0;
    s.negative_factor = negatives.count > 0 ? (float)(2 / negatives.count) : 0;
    ak_group_rows_run(&rows, differentiate, &s);
    return ak_group_rows_backward(&rows, 1, dx, error);
}

const akin_loss_class ak_loss_online_contrastive = {
    .size = sizeof(akin_loss_class),
    .name = "online_contrastive",
    .summary = "groups: contrastive over the pairs of a batch that are wrong",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
};
