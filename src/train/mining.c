#include "train/mining.h"

#include "base/options.h"
#include "kernels/similarity.h"
#include "kernels/topk.h"

#include <string.h>

#define BLOCK 512     /* anchors that are ranked at once */
#define WITNESSES 100 /* members of a group that are looked at for the nearest one */

enum { NO_LABEL = -1, SEVERAL = -2 };

#define MINING(member) #member, .offset = offsetof(akin_mining_options, member)
const akin_option ak_mining_rows[] = {
    {.name = MINING(k),
     .type = AKIN_OPTION_INT,
     .default_text = "5",
     .minimum = 1,
     .maximum = 1000,
     .help = "hard negatives of a sample, at most"},
    {.name = MINING(margin),
     .type = AKIN_OPTION_FLOAT,
     .default_text = "0.05",
     .minimum = -2,
     .maximum = 2,
     .help = "a negative is so much less similar to the anchor than its positive, to the base"},
    {.name = MINING(first_rank),
     .type = AKIN_OPTION_INT,
     .default_text = "1",
     .minimum = 1,
     .maximum = 1e9,
     .help = "the nearest rank that is looked at"},
    {.name = MINING(last_rank),
     .type = AKIN_OPTION_INT,
     .default_text = "100",
     .minimum = 1,
     .maximum = 1e9,
     .help = "the farthest rank that is looked at"},
    {NULL}};

akin_mining_options akin_mining_defaults(void)
{
    akin_mining_options options = {.size = sizeof options};
    ak_options_defaults(ak_mining_rows, &options, NULL, NULL); /* numbers only: cannot fail */
    return options;
}

akin_status ak_mining_check(const akin_mining_options *options, akin_error *error)
{
    AK_TRY(ak_options_check(ak_mining_rows, options, error));
    if (options->first_rank <= options->last_rank)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_ARGUMENT, "first_rank %lld is behind last_rank %lld",
                   (long long)options->first_rank, (long long)options->last_rank);
}

/* Numbers 0 .. n - 1 by a value they have: members[start[v] .. start[v + 1]). */
typedef struct lists {
    int64_t *start, *members;
} lists;

typedef struct miner {
    const ak_mining *mining;
    const ak_table *table;
    int64_t *label; /* per content: its group or subgroup; NULL: there are none */
    lists samples;  /* by the content of their anchor */
    lists labelled; /* contents by label */
    int64_t *anchors, anchor_count;
    int64_t *candidates, candidate_count; /* contents */
    int64_t several;                      /* candidates with more than one label */
    float *near;                          /* candidates x width */
    int64_t *negatives, *positives;
    akin_arena *arena;
} miner;

/* ---- what the table says ---- */

static bool is_pairs(const miner *m)
{
    return m->table->kind == AKIN_PAIRS;
}

static bool is_asked(const miner *m, int64_t sample)
{
    return !is_pairs(m) || m->table->score[sample] > 0.5f;
}

static int64_t anchor_of(const miner *m, int64_t sample)
{
    return m->table->content[sample * m->table->objects];
}

static int64_t label_of(const miner *m, int64_t sample)
{
    return is_pairs(m) ? m->table->subgroup[sample] : m->table->group[sample];
}

static bool is_positive(const miner *m, int64_t a, int64_t b)
{
    const int64_t *start = m->table->positive_start;
    if (!start)
        return false;
    int64_t low = start[a], high = start[a + 1];
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (m->table->positives[middle] < b)
            low = middle + 1;
        else
            high = middle;
    }
    return low < start[a + 1] && m->table->positives[low] == b;
}

/* Sorts the numbers 0 .. n - 1 into lists by value; NO_LABEL and SEVERAL stand in none. */
static akin_status make_lists(lists *out, const int64_t *value, int64_t n, int64_t values,
                              akin_arena *arena, akin_error *error)
{
    out->start = ak_arena_new(arena, int64_t, values + 2);
    out->members = ak_arena_new(arena, int64_t, n + 1);
    if (!out->start || !out->members)
        return ak_fail_memory(error);
    memset(out->start, 0, (size_t)(values + 2) * sizeof *out->start);
    for (int64_t i = 0; i < n; i++)
        if (value[i] >= 0)
            out->start[value[i] + 2]++;
    for (int64_t v = 0; v <= values; v++)
        out->start[v + 1] += out->start[v];
    for (int64_t i = 0; i < n; i++)
        if (value[i] >= 0)
            out->members[out->start[value[i] + 1]++] = i;
    return AKIN_OK;
}

/* A content's label is that of the samples it stands in as a candidate. */
static akin_status find_labels(miner *m, akin_error *error)
{
    const ak_table *t = m->table;
    int64_t values = is_pairs(m) ? t->subgroups : t->groups;
    if (is_pairs(m) && !t->subgroup)
        return AKIN_OK;
    m->label = ak_arena_new(m->arena, int64_t, t->contents + 1);
    if (!m->label)
        return ak_fail_memory(error);
    for (int64_t c = 0; c < t->contents; c++)
        m->label[c] = NO_LABEL;
    for (int64_t i = 0; i < t->count; i++) {
        int64_t c = t->content[i * t->objects + t->objects - 1], label = label_of(m, i);
        m->label[c] = m->label[c] == NO_LABEL || m->label[c] == label ? label : SEVERAL;
    }
    return make_lists(&m->labelled, m->label, t->contents, values, m->arena, error);
}

/* Pairs: the b's. Groups: every object. */
static akin_status find_candidates(miner *m, akin_error *error)
{
    const ak_table *t = m->table;
    bool *there = ak_arena_new(m->arena, bool, t->contents + 1);
    m->candidates = ak_arena_new(m->arena, int64_t, t->contents + 1);
    if (!there || !m->candidates)
        return ak_fail_memory(error);
    memset(there, 0, (size_t)t->contents * sizeof *there);
    for (int64_t i = 0; i < t->count; i++)
        there[t->content[i * t->objects + t->objects - 1]] = true;
    for (int64_t c = 0; c < t->contents; c++)
        if (there[c]) {
            m->candidates[m->candidate_count++] = c;
            m->several += m->label && m->label[c] == SEVERAL;
        }
    akin_matrix documents = m->mining->tuned.documents;
    int64_t width = documents.columns;
    m->near = ak_arena_new(m->arena, float, m->candidate_count *width + 1);
    if (!m->near)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < m->candidate_count; i++)
        memcpy(m->near + i * width, documents.data + m->candidates[i] * documents.stride,
               (size_t)width * sizeof(float));
    return AKIN_OK;
}

static akin_status find_anchors(miner *m, akin_error *error)
{
    const ak_table *t = m->table;
    int64_t *anchor = ak_arena_new(m->arena, int64_t, t->count + 1);
    m->anchors = ak_arena_new(m->arena, int64_t, t->contents + 1);
    if (!anchor || !m->anchors)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < t->count; i++)
        anchor[i] = is_asked(m, i) ? anchor_of(m, i) : NO_LABEL;
    AK_TRY(make_lists(&m->samples, anchor, t->count, t->contents, m->arena, error));
    for (int64_t c = 0; c < t->contents; c++)
        if (m->samples.start[c] < m->samples.start[c + 1])
            m->anchors[m->anchor_count++] = c;
    return AKIN_OK;
}

void ak_unit_sides(ak_sides *y)
{
    bool two = y->documents.data != y->queries.data;
    akin_matrix x[] = {y->queries, y->documents};
    for (int i = 0; i < 1 + two; i++)
        ak_unit_rows(x[i].data, x[i].rows, x[i].columns, x[i].stride, x[i].data);
}

akin_status ak_mining_places(int64_t **out, const ak_table *table, akin_error *error)
{
    int64_t *place = ak_calloc((size_t)table->contents, sizeof *place);
    *out = place;
    if (!place)
        return ak_fail_memory(error);
    for (int64_t c = 0; c < table->contents; c++)
        place[c] = -1;
    for (int64_t i = table->count - 1; i >= 0; i--)
        place[table->content[i * table->objects + table->objects - 1]] = i;
    return AKIN_OK;
}

/* ---- one anchor ---- */

static float base_similarity(const miner *m, int64_t a, int64_t b)
{
    akin_matrix x = m->mining->base.queries, y = m->mining->base.documents;
    return ak_similarity(x.data + a * x.stride, y.data + b * y.stride, x.columns);
}

/* The positive of a sample: its b, or the nearest of some members of its group; -1: there is none.
 */
static int64_t positive_of(const miner *m, int64_t sample)
{
    int64_t a = anchor_of(m, sample), best = -1;
    float best_similarity = -2;
    if (is_pairs(m))
        return m->table->content[2 * sample + 1];
    int64_t group = m->table->group[sample];
    int64_t first = m->labelled.start[group], end = m->labelled.start[group + 1];
    int64_t stride = 1 + (end - first) / WITNESSES;
    for (int64_t i = first; i < end; i += stride) {
        int64_t c = m->labelled.members[i];
        float similarity = c == a ? -2 : base_similarity(m, a, c);
        if (similarity > best_similarity) {
            best = c;
            best_similarity = similarity;
        }
    }
    return best;
}

/* How many candidates may stand before the ranks begin. */
static int64_t most_excluded(const miner *m, int64_t a)
{
    const int64_t *start = m->table->positive_start;
    int64_t positives = start ? start[a + 1] - start[a] : 0, most = 0;
    for (int64_t s = m->samples.start[a]; m->label && s < m->samples.start[a + 1]; s++) {
        int64_t label = label_of(m, m->samples.members[s]);
        int64_t members = m->labelled.start[label + 1] - m->labelled.start[label];
        most = members > most ? members : most;
    }
    return 1 + positives + most + m->several;
}

typedef enum verdict { TAKEN, EQUAL, POSITIVE, LABEL, RANK, MARGIN, VERDICTS } verdict;

static verdict judge(const miner *m, int64_t sample, int64_t a, int64_t c, float limit,
                     int64_t *rank)
{
    if (c == a)
        return EQUAL;
    if (is_positive(m, a, c))
        return POSITIVE;
    if (m->label && (m->label[c] == SEVERAL || m->label[c] == label_of(m, sample)))
        return LABEL;
    if (++*rank < m->mining->options->first_rank)
        return RANK;
    return base_similarity(m, a, c) > limit ? MARGIN : TAKEN;
}

static void mine_sample(const miner *m, int64_t sample, int64_t a, const akin_hit *hits,
                        int64_t count, akin_mining_report *report)
{
    const akin_mining_options *o = m->mining->options;
    int64_t *out = m->negatives + sample * o->k, taken = 0, rank = 0, seen[VERDICTS] = {0};
    int64_t positive = positive_of(m, sample);
    if (m->positives)
        m->positives[sample] = positive;
    if (positive < 0)
        return;
    float limit = base_similarity(m, a, positive) - (float)o->margin;
    for (int64_t i = 0; i < count && taken < o->k && rank < o->last_rank; i++) {
        int64_t c = hits[i].id < 0 ? a : m->candidates[hits[i].id];
        verdict v = judge(m, sample, a, c, limit, &rank);
        seen[v]++;
        if (v == TAKEN)
            out[taken++] = c;
    }
    report->samples++;
    report->mined += taken;
    report->incomplete += taken < o->k;
    report->masked_equal += seen[EQUAL];
    report->masked_positive += seen[POSITIVE];
    report->masked_label += seen[LABEL];
    report->masked_margin += seen[MARGIN];
}

/* ---- blocks of anchors ---- */

static void add_report(akin_mining_report *sum, const akin_mining_report *part)
{
    sum->samples += part->samples;
    sum->mined += part->mined;
    sum->incomplete += part->incomplete;
    sum->masked_equal += part->masked_equal;
    sum->masked_positive += part->masked_positive;
    sum->masked_label += part->masked_label;
    sum->masked_margin += part->masked_margin;
}

static void mine_block(const miner *m, const int64_t *anchors, int64_t n, const akin_hit *hits,
                       int64_t count, akin_mining_report *report)
{
#pragma omp parallel
    {
        akin_mining_report mine = {0};
#pragma omp for schedule(dynamic, 8)
        for (int64_t i = 0; i < n; i++)
            for (int64_t s = m->samples.start[anchors[i]]; s < m->samples.start[anchors[i] + 1];
                 s++)
                mine_sample(m, m->samples.members[s], anchors[i], hits + i * count, count, &mine);
#pragma omp critical
        add_report(report, &mine); /* whole numbers: any order gives the same sum */
    }
}

static akin_status rank_block(const miner *m, const int64_t *anchors, int64_t n, float *queries,
                              akin_mining_report *report, akin_error *error)
{
    akin_matrix tuned = m->mining->tuned.queries;
    int64_t most = 0, k = m->mining->options->last_rank;
    for (int64_t i = 0; i < n; i++) {
        int64_t excluded = most_excluded(m, anchors[i]);
        most = excluded > most ? excluded : most;
        memcpy(queries + i * tuned.columns, tuned.data + anchors[i] * tuned.stride,
               (size_t)tuned.columns * sizeof(float));
    }
    k = k + most < m->candidate_count ? k + most : m->candidate_count;
    akin_hit *hits = ak_calloc((size_t)(n * k), sizeof *hits);
    if (!hits)
        return ak_fail_memory(error);
    akin_status status =
        ak_topk(hits, queries, n, m->near, m->candidate_count, tuned.columns, k, 1.0001, error);
    if (!status)
        mine_block(m, anchors, n, hits, k, report);
    ak_free(hits);
    return status;
}

static akin_status run(miner *m, akin_mining_report *report, akin_error *error)
{
    AK_TRY(find_labels(m, error));
    AK_TRY(find_candidates(m, error));
    AK_TRY(find_anchors(m, error));
    float *queries = ak_arena_new(m->arena, float, BLOCK * m->mining->tuned.queries.columns);
    if (!queries)
        return ak_fail_memory(error);
    report->candidates = m->candidate_count;
    for (int64_t i = 0; i < m->anchor_count; i += BLOCK) {
        int64_t n = m->anchor_count - i < BLOCK ? m->anchor_count - i : BLOCK;
        AK_TRY(rank_block(m, m->anchors + i, n, queries, report, error));
    }
    return AKIN_OK;
}

akin_status ak_mine(const ak_mining *mining, int64_t *negatives, int64_t *positives,
                    akin_mining_report *report, akin_error *error)
{
    const ak_table *table = mining->table;
    miner m = {.mining = mining, .table = table, .negatives = negatives, .positives = positives};
    *report = (akin_mining_report){0};
    AK_TRY(ak_mining_check(mining->options, error));
    for (int64_t i = 0; i < table->count * mining->options->k; i++)
        negatives[i] = -1;
    for (int64_t i = 0; positives && i < table->count; i++)
        positives[i] = -1;
    AK_TRY(ak_arena_create(&m.arena, error));
    akin_status status = run(&m, report, error);
    ak_arena_free(m.arena);
    return status;
}
