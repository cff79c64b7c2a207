#include "eval/trial.h"

#include "kernels/similarity.h"

#include <stdlib.h>
#include <string.h>

/* A relevant or excluded candidate of a query, before they are gathered into lists. */
typedef struct link {
    int64_t query, candidate;
    float gain;
} link;

typedef struct builder {
    akin_arena *arena;
    int64_t *query_of, *candidate_of; /* per content: its number, -1: none */
    int64_t *query_row, *candidate_row;
    int64_t queries, candidates;
    link *links;
    int64_t link_count;
} builder;

static int by_query(const void *a, const void *b)
{
    const link *x = a, *y = b;
    if (x->query != y->query)
        return x->query < y->query ? -1 : 1;
    if (x->candidate != y->candidate)
        return x->candidate < y->candidate ? -1 : 1;
    return (x->gain < y->gain) - (x->gain > y->gain); /* the larger gain first */
}

static akin_status start(builder *b, int64_t contents, int64_t links, akin_arena *arena,
                         akin_error *error)
{
    *b = (builder){.arena = arena};
    b->query_of = ak_arena_new(arena, int64_t, contents);
    b->candidate_of = ak_arena_new(arena, int64_t, contents);
    b->query_row = ak_arena_new(arena, int64_t, contents);
    b->candidate_row = ak_arena_new(arena, int64_t, contents);
    b->links = ak_arena_new(arena, link, links);
    if (!b->query_of || !b->candidate_of || !b->query_row || !b->candidate_row || !b->links)
        return ak_fail_memory(error);
    for (int64_t c = 0; c < contents; c++)
        b->query_of[c] = b->candidate_of[c] = -1;
    return AKIN_OK;
}

static void add_query(builder *b, int64_t content)
{
    if (b->query_of[content] < 0) {
        b->query_row[b->queries] = content;
        b->query_of[content] = b->queries++;
    }
}

static void add_candidate(builder *b, int64_t content)
{
    if (b->candidate_of[content] < 0) {
        b->candidate_row[b->candidates] = content;
        b->candidate_of[content] = b->candidates++;
    }
}

/* Keeps `sample` of the queries, in their order. */
static akin_status sample_queries(builder *b, int64_t sample, uint64_t seed, akin_error *error)
{
    if (sample <= 0 || sample >= b->queries)
        return AKIN_OK;
    int64_t *order = ak_arena_new(b->arena, int64_t, b->queries), kept = 0;
    bool *chosen = ak_arena_new(b->arena, bool, b->queries);
    if (!order || !chosen)
        return ak_fail_memory(error);
    ak_random_permutation(seed, 0x7269a1, order, b->queries);
    memset(chosen, 0, (size_t)b->queries * sizeof *chosen);
    for (int64_t i = 0; i < sample; i++)
        chosen[order[i]] = true;
    for (int64_t q = 0; q < b->queries; q++) {
        int64_t content = b->query_row[q];
        b->query_of[content] = chosen[q] ? kept : -1;
        if (chosen[q])
            b->query_row[kept++] = content;
    }
    b->queries = kept;
    return AKIN_OK;
}

static void add_link(builder *b, int64_t query, int64_t candidate, float gain)
{
    int64_t q = b->query_of[query], c = b->candidate_of[candidate];
    if (q >= 0 && c >= 0)
        b->links[b->link_count++] = (link){q, c, gain};
}

/* Sorted, one of each: the lists of an ak_relevance. */
static akin_status gather(builder *b, ak_relevance *out, akin_error *error)
{
    int64_t *first = ak_arena_new(b->arena, int64_t, b->queries + 1), n = 0;
    int64_t *candidate = ak_arena_new(b->arena, int64_t, b->link_count);
    float *gain = ak_arena_new(b->arena, float, b->link_count);
    if (!first || !candidate || !gain)
        return ak_fail_memory(error);
    qsort(b->links, (size_t)b->link_count, sizeof *b->links, by_query);
    int64_t q = 0;
    for (int64_t i = 0; i < b->link_count; i++) {
        const link *l = &b->links[i];
        if (i && l->query == l[-1].query && l->candidate == l[-1].candidate)
            continue;
        while (q <= l->query)
            first[q++] = n;
        candidate[n] = l->candidate;
        gain[n++] = l->gain;
    }
    while (q <= b->queries)
        first[q++] = n;
    out->queries = b->queries;
    out->start = first;
    out->candidate = candidate;
    out->gain = gain;
    return AKIN_OK;
}

/* A query's equal takes no part, unless it is relevant. */
static akin_status exclude_equals(const builder *b, ak_relevance *out, akin_error *error)
{
    int64_t *first = ak_arena_new(b->arena, int64_t, b->queries + 1), n = 0;
    int64_t *excluded = ak_arena_new(b->arena, int64_t, b->queries);
    if (!first || !excluded)
        return ak_fail_memory(error);
    for (int64_t q = 0; q < b->queries; q++) {
        int64_t self = b->candidate_of[b->query_row[q]];
        first[q] = n;
        bool relevant = false;
        for (int64_t i = out->start[q]; i < out->start[q + 1]; i++)
            relevant |= out->candidate[i] == self;
        if (self >= 0 && !relevant)
            excluded[n++] = self;
    }
    first[b->queries] = n;
    out->exclude_start = first;
    out->exclude = excluded;
    return AKIN_OK;
}

static akin_status finish(builder *b, ak_trial *trial, akin_error *error)
{
    *trial = (ak_trial){
        .candidates = b->candidates, .query_row = b->query_row, .candidate_row = b->candidate_row};
    AK_TRY(gather(b, &trial->relevance, error));
    return exclude_equals(b, &trial->relevance, error);
}

/* ---- pairs ---- */

/* Contents of pair i: first[i * stride] and second[i * stride]. */
typedef struct pair_contents {
    int64_t count, stride, contents;
    const int64_t *first, *second;
    const float *score;
} pair_contents;

static akin_status trial_of_pairs(ak_trial *trial, const pair_contents *p, bool distinguish,
                                  int64_t sample, uint64_t seed, akin_arena *arena,
                                  akin_error *error)
{
    builder b;
    AK_TRY(start(&b, p->contents, 2 * p->count, arena, error));
    for (int64_t i = 0; i < p->count; i++) {
        int64_t first = p->first[i * p->stride], second = p->second[i * p->stride];
        add_query(&b, first);
        add_candidate(&b, second);
        if (!distinguish) {
            add_query(&b, second);
            add_candidate(&b, first);
        }
    }
    AK_TRY(sample_queries(&b, sample, seed, error));
    for (int64_t i = 0; i < p->count; i++) {
        int64_t first = p->first[i * p->stride], second = p->second[i * p->stride];
        if (p->score[i] <= .5f || (!distinguish && first == second))
            continue;
        add_link(&b, first, second, p->score[i]);
        if (!distinguish)
            add_link(&b, second, first, p->score[i]);
    }
    return finish(&b, trial, error);
}

/* ---- groups ---- */

#define MOST_LINKS ((int64_t)1 << 25) /* relevant candidates of all queries together */

typedef struct group_contents {
    int64_t count, contents, groups;
    const int64_t *content, *group;
} group_contents;

/* Members of every group, as lists: members[first[g] .. first[g + 1]). */
static akin_status list_members(const group_contents *g, const builder *b, const int64_t *group_of,
                                int64_t **first, int64_t **members, akin_error *error)
{
    *first = ak_arena_new(b->arena, int64_t, g->groups + 2);
    *members = ak_arena_new(b->arena, int64_t, b->candidates);
    if (!*first || !*members)
        return ak_fail_memory(error);
    memset(*first, 0, (size_t)(g->groups + 2) * sizeof **first);
    for (int64_t i = 0; i < b->candidates; i++)
        (*first)[group_of[b->candidate_row[i]] + 2]++;
    for (int64_t i = 0; i <= g->groups; i++)
        (*first)[i + 1] += (*first)[i];
    for (int64_t i = 0; i < b->candidates; i++)
        (*members)[(*first)[group_of[b->candidate_row[i]] + 1]++] = b->candidate_row[i];
    return AKIN_OK;
}

static int64_t count_links(const builder *b, const int64_t *group_of, const int64_t *first)
{
    int64_t links = 0;
    for (int64_t q = 0; q < b->queries; q++) {
        int64_t group = group_of[b->query_row[q]];
        links += first[group + 1] - first[group];
    }
    return links;
}

static akin_status link_groups(builder *b, const group_contents *g, const int64_t *group_of,
                               int64_t sample, uint64_t seed, akin_error *error)
{
    int64_t *first, *members;
    AK_TRY(list_members(g, b, group_of, &first, &members, error));
    AK_TRY(sample_queries(b, sample, seed, error));
    int64_t links = count_links(b, group_of, first);
    if (links > MOST_LINKS) /* few large groups: fewer queries, so that memory stays bounded */
        AK_TRY(sample_queries(b, (int64_t)((double)b->queries * MOST_LINKS / (double)links) + 1,
                              seed, error));
    links = count_links(b, group_of, first);
    b->links = ak_arena_new(b->arena, link, links);
    if (!b->links)
        return ak_fail_memory(error);
    for (int64_t q = 0; q < b->queries; q++) {
        int64_t content = b->query_row[q], group = group_of[content];
        for (int64_t i = first[group]; i < first[group + 1]; i++)
            if (members[i] != content)
                add_link(b, content, members[i], 1);
    }
    return AKIN_OK;
}

static akin_status trial_of_groups(ak_trial *trial, const group_contents *g, int64_t sample,
                                   uint64_t seed, akin_arena *arena, akin_error *error)
{
    builder b;
    AK_TRY(start(&b, g->contents, 0, arena, error));
    int64_t *group_of = ak_arena_new(arena, int64_t, g->contents);
    if (!group_of)
        return ak_fail_memory(error);
    for (int64_t i = g->count - 1; i >= 0; i--) /* the first sample of a content decides */
        group_of[g->content[i]] = g->group[i];
    for (int64_t i = 0; i < g->count; i++) {
        add_query(&b, g->content[i]);
        add_candidate(&b, g->content[i]);
    }
    AK_TRY(link_groups(&b, g, group_of, sample, seed, error));
    return finish(&b, trial, error);
}

/* ---- judgements ---- */

static int by_key(const void *a, const void *b, void *keys)
{
    const ak_hash *k = keys;
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    int order = ak_hash_compare(k[x], k[y]);
    return order ? order : (x > y) - (x < y);
}

static bool among(const int64_t *start, const int64_t *list, int64_t query, int64_t candidate)
{
    for (int64_t i = start[query]; i < start[query + 1]; i++)
        if (list[i] == candidate)
            return true;
    return false;
}

bool ak_is_relevant(const ak_relevance *r, int64_t query, int64_t candidate)
{
    return among(r->start, r->candidate, query, candidate);
}

bool ak_is_excluded(const ak_relevance *r, int64_t query, int64_t candidate)
{
    return r->exclude_start && among(r->exclude_start, r->exclude, query, candidate);
}

/* The first place in `order` whose key is not below `key`. */
static int64_t first_place(const ak_hash *keys, const int64_t *order, int64_t n, ak_hash key)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (ak_hash_compare(keys[order[middle]], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* excluded NULL: only counts. */
static int64_t list_equals(const builder *b, const ak_judgements *j, const int64_t *order,
                           const ak_relevance *r, int64_t *first, int64_t *excluded)
{
    int64_t n = 0;
    for (int64_t q = 0; q < b->queries; q++) {
        ak_hash key = j->keys[b->query_row[q]];
        first[q] = n;
        for (int64_t i = first_place(j->keys, order, j->documents, key);
             i < j->documents && ak_hash_equal(j->keys[order[i]], key); i++) {
            int64_t candidate = order[i] - j->queries;
            if (ak_is_relevant(r, q, candidate))
                continue;
            if (excluded)
                excluded[n] = candidate;
            n++;
        }
    }
    first[b->queries] = n;
    return n;
}

static akin_status exclude_equal_documents(const builder *b, const ak_judgements *j,
                                           ak_relevance *r, akin_error *error)
{
    int64_t *order = ak_arena_new(b->arena, int64_t, j->documents);
    int64_t *first = ak_arena_new(b->arena, int64_t, b->queries + 1);
    if (!order || !first)
        return ak_fail_memory(error);
    for (int64_t d = 0; d < j->documents; d++)
        order[d] = j->queries + d;
    qsort_r(order, (size_t)j->documents, sizeof *order, by_key, (void *)j->keys);
    int64_t count = list_equals(b, j, order, r, first, NULL);
    int64_t *excluded = ak_arena_new(b->arena, int64_t, count);
    if (!excluded)
        return ak_fail_memory(error);
    list_equals(b, j, order, r, first, excluded);
    r->exclude_start = first;
    r->exclude = excluded;
    return AKIN_OK;
}

akin_status ak_trial_of_judgements(ak_trial *trial, const ak_judgements *j, int64_t sample_size,
                                   uint64_t seed, akin_arena *arena, akin_error *error)
{
    builder b;
    AK_TRY(start(&b, j->queries + j->documents, j->count, arena, error));
    for (int64_t i = 0; i < j->count; i++)
        add_query(&b, j->query[i]);
    for (int64_t d = 0; d < j->documents; d++)
        add_candidate(&b, j->queries + d);
    AK_TRY(sample_queries(&b, sample_size, seed, error));
    for (int64_t i = 0; i < j->count; i++)
        if (j->score[i] > 0)
            add_link(&b, j->query[i], j->queries + j->document[i], j->score[i]);
    *trial = (ak_trial){
        .candidates = b.candidates, .query_row = b.query_row, .candidate_row = b.candidate_row};
    AK_TRY(gather(&b, &trial->relevance, error));
    return exclude_equal_documents(&b, j, &trial->relevance, error);
}

/* ---- of tables and batches ---- */

akin_status ak_trial_of_table(ak_trial *trial, const ak_table *table, bool distinguish,
                              int64_t sample_size, uint64_t seed, akin_arena *arena,
                              akin_error *error)
{
    if (table->kind == AKIN_PAIRS) {
        pair_contents p = {.count = table->count,
                           .stride = 2,
                           .contents = table->contents,
                           .first = table->content,
                           .second = table->content + 1,
                           .score = table->score};
        return trial_of_pairs(trial, &p, distinguish, sample_size, seed, arena, error);
    }
    group_contents g = {.count = table->count,
                        .contents = table->contents,
                        .groups = table->groups,
                        .content = table->content,
                        .group = table->group};
    return trial_of_groups(trial, &g, sample_size, seed, arena, error);
}

static int by_content(const void *a, const void *b, void *content)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    const int64_t *c = content;
    if (c[x] != c[y])
        return c[x] < c[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* local[i]: the first row of the batch with the same content as row i. */
static akin_status first_rows(const akin_labels *labels, int64_t rows, akin_arena *arena,
                              int64_t **local, akin_error *error)
{
    int64_t *order = ak_arena_new(arena, int64_t, rows);
    *local = ak_arena_new(arena, int64_t, rows);
    if (!order || !*local)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < rows; i++)
        order[i] = i;
    qsort_r(order, (size_t)rows, sizeof *order, by_content, (void *)labels->content);
    for (int64_t i = 0; i < rows; i++) {
        bool same = i && labels->content[order[i]] == labels->content[order[i - 1]];
        (*local)[order[i]] = same ? (*local)[order[i - 1]] : order[i];
    }
    return AKIN_OK;
}

akin_status ak_trial_of_labels(ak_trial *trial, const akin_labels *labels, akin_arena *arena,
                               akin_error *error)
{
    int64_t n = labels->count, rows = labels->kind == AKIN_PAIRS ? 2 * n : n, *local;
    AK_TRY(first_rows(labels, rows, arena, &local, error));
    if (labels->kind == AKIN_PAIRS) {
        pair_contents p = {.count = n,
                           .stride = 1,
                           .contents = rows,
                           .first = local,
                           .second = local + n,
                           .score = labels->score};
        return trial_of_pairs(trial, &p, true, 0, 0, arena, error);
    }
    group_contents g = {.count = n,
                        .contents = rows,
                        .groups = labels->groups,
                        .content = local,
                        .group = labels->group};
    return trial_of_groups(trial, &g, 0, 0, arena, error);
}

static akin_matrix pick_rows(akin_matrix x, const int64_t *rows, int64_t n, akin_arena *arena)
{
    akin_matrix y = ak_matrix_new(arena, n, x.columns);
    for (int64_t i = 0; i < n && y.data; i++)
        memcpy(y.data + i * y.stride, x.data + rows[i] * x.stride,
               (size_t)x.columns * sizeof(float));
    return y;
}

akin_status ak_trial_units(akin_matrix *out, akin_matrix x, const int64_t *rows, int64_t n,
                           akin_arena *arena, akin_error *error)
{
    *out = pick_rows(x, rows, n, arena);
    if (!out->data)
        return ak_fail_memory(error);
    ak_unit_rows(out->data, n, out->columns, out->stride, out->data);
    return AKIN_OK;
}

akin_status ak_trial_rank(const ak_trial *trial, const ak_sides *embeddings, akin_arena *arena,
                          akin_ranking **rankings, akin_error *error)
{
    akin_matrix queries =
        pick_rows(embeddings->queries, trial->query_row, trial->relevance.queries, arena);
    akin_matrix candidates =
        pick_rows(embeddings->documents, trial->candidate_row, trial->candidates, arena);
    if (!queries.data || !candidates.data)
        return ak_fail_memory(error);
    return ak_rank(queries, candidates, &trial->relevance, arena, rankings, error);
}
