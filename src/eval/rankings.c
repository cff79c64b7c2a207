/* Exact ranks of the relevant candidates. First the similarity of each relevant candidate, exactly;
   then all candidates pass by in tiles, and for each relevant one those that come before it are
   counted: by the fast score where that lies outside the error bound, by ak_similarity within it
   (kernels/similarity.h). So ranks are those of a complete sort by (similarity, number), the same
   as a search gives, without ever holding queries x candidates. */
#include "eval/eval.h"

#include "kernels/score.h"
#include "kernels/similarity.h"
#include "kernels/topk.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_QUERIES = 256, LANES = AK_SCORE_QUERIES };

/* A relevant candidate; `before` counts the candidates that come before it. */
typedef struct entry {
    akin_hit hit;
    float gain;
    int64_t before;
} entry;

typedef struct ranking_work {
    akin_matrix queries, candidates;
    const ak_relevance *relevance;
    entry *entries;     /* query q's: from relevance->start[q] on, the worst first */
    int64_t *kept;      /* how many of them take part */
    int64_t *excluded;  /* distinct candidates that do not take part */
    int64_t *exclude;   /* sorted copy of relevance->exclude */
    float **units;      /* per thread: AK_SCORE_ROWS unit rows of candidates */
    float **queries_of; /* per thread: one unit query */
    float **scores;     /* per thread: AK_SCORE_ROWS x LANES */
} ranking_work;

/* Up to BLOCK_QUERIES queries, in panels of 32. For panel p and step w, lane i holds the bounds of
   the w-th worst relevant candidate of query 32 p + i, infinity where it has fewer. */
typedef struct query_block {
    int64_t first, count, dim;
    float *units, *panels;
    int64_t steps[BLOCK_QUERIES / LANES];
    float *low[BLOCK_QUERIES / LANES], *high[BLOCK_QUERIES / LANES];
} query_block;

/* ---- the relevant candidates, exactly ---- */

static void unit_row(akin_matrix m, int64_t row, float *out)
{
    ak_unit_rows(m.data + row * m.stride, 1, m.columns, m.stride, out);
}

static int worst_first(const void *a, const void *b)
{
    return ak_hit_compare(((const entry *)b)->hit, ((const entry *)a)->hit);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void sort_excluded(ranking_work *w, int64_t q)
{
    const ak_relevance *r = w->relevance;
    if (!r->exclude_start)
        return;
    int64_t *ids = w->exclude + r->exclude_start[q], distinct = 0;
    int64_t count = r->exclude_start[q + 1] - r->exclude_start[q];
    if (count == 0)
        return;
    memcpy(ids, r->exclude + r->exclude_start[q], (size_t)count * sizeof *ids);
    qsort(ids, (size_t)count, sizeof *ids, ascending);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            ids[distinct++] = ids[i];
    w->excluded[q] = distinct;
}

static bool is_excluded(const ranking_work *w, int64_t q, int64_t id)
{
    if (!w->excluded[q])
        return false;
    const int64_t *ids = w->exclude + w->relevance->exclude_start[q];
    return bsearch(&id, ids, (size_t)w->excluded[q], sizeof *ids, ascending) != NULL;
}

/* Entries of query q: relevant, not excluded, each candidate once. */
static void find_entries(ranking_work *w, int64_t q, float *query, float *row)
{
    const ak_relevance *r = w->relevance;
    entry *entries = w->entries + r->start[q];
    int64_t count = 0, kept = 0;
    sort_excluded(w, q);
    unit_row(w->queries, q, query);
    for (int64_t i = r->start[q]; i < r->start[q + 1]; i++) {
        float gain = r->gain ? r->gain[i] : 1;
        if (!(gain > 0) || is_excluded(w, q, r->candidate[i]))
            continue;
        unit_row(w->candidates, r->candidate[i], row);
        float similarity = ak_similarity(query, row, w->candidates.columns);
        entries[count++] = (entry){{r->candidate[i], similarity}, gain, 0};
    }
    if (count)
        qsort(entries, (size_t)count, sizeof *entries, worst_first);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || entries[i].hit.id != entries[i - 1].hit.id)
            entries[kept++] = entries[i];
    w->kept[q] = kept;
}

/* Every candidate is counted; the excluded ones are taken away again. */
static void uncount_excluded(ranking_work *w, int64_t q, float *query, float *row)
{
    if (!w->excluded[q] || !w->kept[q])
        return;
    entry *entries = w->entries + w->relevance->start[q];
    const int64_t *ids = w->exclude + w->relevance->exclude_start[q];
    unit_row(w->queries, q, query);
    for (int64_t i = 0; i < w->excluded[q]; i++) {
        unit_row(w->candidates, ids[i], row);
        akin_hit hit = {ids[i], ak_similarity(query, row, w->candidates.columns)};
        for (int64_t e = 0; e < w->kept[q] && ak_hit_compare(hit, entries[e].hit) < 0; e++)
            entries[e].before--;
    }
}

/* ---- counting, tile by tile ---- */

static akin_status make_bounds(const ranking_work *w, query_block *b, int64_t p, akin_arena *arena,
                               akin_error *error)
{
    int64_t first = p * LANES, count = b->count - first < LANES ? b->count - first : LANES;
    b->steps[p] = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t kept = w->kept[b->first + first + i];
        b->steps[p] = kept > b->steps[p] ? kept : b->steps[p];
    }
    float *low = ak_arena_new(arena, float, b->steps[p] * LANES);
    float *high = ak_arena_new(arena, float, b->steps[p] * LANES);
    if (!low || !high)
        return ak_fail_memory(error);
    for (int64_t j = 0; j < b->steps[p] * LANES; j++)
        low[j] = high[j] = INFINITY;
    for (int64_t i = 0; i < count; i++) {
        int64_t q = b->first + first + i;
        const entry *entries = w->entries + w->relevance->start[q];
        double slack = ak_similarity_slack(b->units + (first + i) * b->dim, b->dim, 1);
        for (int64_t e = 0; e < w->kept[q]; e++) {
            double similarity = entries[e].hit.similarity;
            low[e * LANES + i] = nextafterf((float)(similarity - slack), -INFINITY);
            high[e * LANES + i] = nextafterf((float)(similarity + slack), INFINITY);
        }
    }
    b->low[p] = low;
    b->high[p] = high;
    return AKIN_OK;
}

/* Per lane: scores surely above the bounds, and scores that are not surely below. */
AK_KERNEL static void count_lanes(const float *scores, int64_t rows, const float *low,
                                  const float *high, int32_t *above, int32_t *maybe)
{
    int32_t over[LANES] = {0}, not_under[LANES] = {0};
    for (int64_t j = 0; j < rows; j++, scores += LANES) {
        for (int i = 0; i < LANES; i++) {
            over[i] += scores[i] > high[i];
            not_under[i] += !(scores[i] < low[i]);
        }
    }
    memcpy(above, over, sizeof over);
    memcpy(maybe, not_under, sizeof not_under);
}

/* Candidates within the bounds, decided one by one. */
static int64_t decide(const query_block *b, int64_t lane, const float *scores, int64_t first,
                      int64_t rows, const float *units, float low, float high, akin_hit hit)
{
    int64_t before = 0;
    for (int64_t j = 0; j < rows; j++) {
        float score = scores[j * LANES + lane % LANES];
        if (score < low || score > high)
            continue;
        float similarity = ak_similarity(b->units + lane * b->dim, units + j * b->dim, b->dim);
        before += ak_hit_compare((akin_hit){first + j, similarity}, hit) < 0;
    }
    return before;
}

/* Candidates first .. first + rows against panel p. From the worst relevant candidates upwards,
   until nothing here reaches any of them. */
static void count_panel(ranking_work *w, const query_block *b, int64_t p, const float *scores,
                        int64_t first, int64_t rows, const float *units)
{
    int64_t lanes = b->count - p * LANES < LANES ? b->count - p * LANES : LANES;
    for (int64_t e = 0; e < b->steps[p]; e++) {
        int32_t above[LANES], maybe[LANES], reached = 0;
        const float *low = b->low[p] + e * LANES, *high = b->high[p] + e * LANES;
        count_lanes(scores, rows, low, high, above, maybe);
        for (int64_t i = 0; i < lanes; i++) {
            int64_t q = b->first + p * LANES + i, before = above[i];
            if (e >= w->kept[q] || !maybe[i])
                continue;
            reached = 1;
            entry *relevant = w->entries + w->relevance->start[q] + e;
            if (maybe[i] > above[i])
                before += decide(b, p * LANES + i, scores, first, rows, units, low[i], high[i],
                                 relevant->hit);
#pragma omp atomic
            relevant->before += before;
        }
        if (!reached)
            break;
    }
}

static akin_status make_block(const ranking_work *w, query_block *b, akin_arena *arena,
                              akin_error *error)
{
    int64_t panels = (b->count + LANES - 1) / LANES;
    b->units = ak_arena_new(arena, float, b->count * b->dim);
    b->panels = ak_arena_new(arena, float, panels *LANES * b->dim);
    if (!b->units || !b->panels)
        return ak_fail_memory(error);
    ak_unit_rows(w->queries.data + b->first * w->queries.stride, b->count, b->dim,
                 w->queries.stride, b->units);
    ak_score_pack(b->units, b->count, b->dim, b->panels);
    for (int64_t p = 0; p < panels; p++)
        AK_TRY(make_bounds(w, b, p, arena, error));
    return AKIN_OK;
}

static void count_block(ranking_work *w, const query_block *b)
{
    int64_t n = w->candidates.rows, pieces = (n + AK_SCORE_ROWS - 1) / AK_SCORE_ROWS;
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t piece = 0; piece < pieces; piece++) {
        float *units = w->units[omp_get_thread_num()], *scores = w->scores[omp_get_thread_num()];
        int64_t first = piece * AK_SCORE_ROWS;
        int64_t rows = n - first < AK_SCORE_ROWS ? n - first : AK_SCORE_ROWS;
        ak_unit_rows(w->candidates.data + first * w->candidates.stride, rows, b->dim,
                     w->candidates.stride, units);
        for (int64_t i = 0; i < b->count; i += LANES) {
            ak_score(b->units + i * b->dim, b->count - i < LANES ? b->count - i : LANES,
                     b->panels + i * b->dim, units, rows, b->dim, scores);
            count_panel(w, b, i / LANES, scores, first, rows, units);
        }
    }
}

/* ---- the whole ---- */

static akin_status make_work(ranking_work *w, akin_arena *arena, akin_error *error)
{
    int64_t queries = w->relevance->queries, dim = w->queries.columns;
    int64_t excluded = w->relevance->exclude_start ? w->relevance->exclude_start[queries] : 0;
    int threads = omp_get_max_threads();
    w->entries = ak_arena_new(arena, entry, w->relevance->start[queries]);
    w->kept = ak_arena_new(arena, int64_t, queries);
    w->excluded = ak_arena_new(arena, int64_t, queries);
    w->exclude = ak_arena_new(arena, int64_t, excluded);
    w->units = ak_arena_new(arena, float *, threads);
    w->queries_of = ak_arena_new(arena, float *, threads);
    w->scores = ak_arena_new(arena, float *, threads);
    if (!w->entries || !w->kept || !w->excluded || !w->exclude || !w->units || !w->queries_of ||
        !w->scores)
        return ak_fail_memory(error);
    for (int t = 0; t < threads; t++) {
        w->units[t] = ak_arena_new(arena, float, AK_SCORE_ROWS *dim);
        w->queries_of[t] = ak_arena_new(arena, float, dim);
        w->scores[t] = ak_arena_new(arena, float, AK_SCORE_ROWS *LANES);
        if (!w->units[t] || !w->queries_of[t] || !w->scores[t])
            return ak_fail_memory(error);
    }
    if (queries)
        memset(w->excluded, 0, (size_t)queries * sizeof *w->excluded);
    return AKIN_OK;
}

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

static akin_status make_rankings(const ranking_work *w, akin_arena *arena, akin_ranking **out,
                                 akin_error *error)
{
    int64_t queries = w->relevance->queries, total = w->relevance->start[queries];
    akin_ranking *rankings = ak_arena_new(arena, akin_ranking, queries);
    int64_t *ranks = ak_arena_new(arena, int64_t, total);
    float *gains = ak_arena_new(arena, float, total), *ideal = ak_arena_new(arena, float, total);
    if (!rankings || !ranks || !gains || !ideal)
        return ak_fail_memory(error);
    for (int64_t q = 0; q < queries; q++) {
        int64_t start = w->relevance->start[q], kept = w->kept[q];
        for (int64_t i = 0; i < kept; i++) {
            const entry *e = w->entries + start + kept - 1 - i;
            ranks[start + i] = e->before + 1;
            gains[start + i] = ideal[start + i] = e->gain;
        }
        if (kept)
            qsort(ideal + start, (size_t)kept, sizeof *ideal, falling);
        rankings[q] = (akin_ranking){.size = sizeof(akin_ranking),
                                     .candidates = w->candidates.rows - w->excluded[q],
                                     .relevant = kept,
                                     .ranks = ranks + start,
                                     .gains = gains + start,
                                     .ideal = ideal + start};
    }
    *out = rankings;
    return AKIN_OK;
}

static akin_status rank_all(ranking_work *w, akin_arena *work, akin_arena *blocks,
                            akin_error *error)
{
    int64_t queries = w->relevance->queries;
    AK_TRY(make_work(w, work, error));
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t q = 0; q < queries; q++)
        find_entries(w, q, w->queries_of[omp_get_thread_num()], w->units[omp_get_thread_num()]);
    for (int64_t first = 0; first < queries; first += BLOCK_QUERIES) {
        query_block b = {.first = first, .dim = w->queries.columns};
        b.count = queries - first < BLOCK_QUERIES ? queries - first : BLOCK_QUERIES;
        ak_arena_reset(blocks);
        AK_TRY(make_block(w, &b, blocks, error));
        count_block(w, &b);
    }
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t q = 0; q < queries; q++)
        uncount_excluded(w, q, w->queries_of[omp_get_thread_num()], w->units[omp_get_thread_num()]);
    return AKIN_OK;
}

akin_status ak_rank(akin_matrix queries, akin_matrix candidates, const ak_relevance *relevance,
                    akin_arena *arena, akin_ranking **rankings, akin_error *error)
{
    *rankings = NULL;
    if (queries.columns != candidates.columns)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "queries have %lld dimensions, candidates have %lld",
                       (long long)queries.columns, (long long)candidates.columns);
    ranking_work w = {.queries = queries, .candidates = candidates, .relevance = relevance};
    akin_arena *work = NULL, *blocks = NULL;
    akin_status status = ak_arena_create(&work, error);
    if (!status)
        status = ak_arena_create(&blocks, error);
    if (!status)
        status = rank_all(&w, work, blocks, error);
    if (!status)
        status = make_rankings(&w, arena, rankings, error);
    ak_arena_free(blocks);
    ak_arena_free(work);
    return status;
}
