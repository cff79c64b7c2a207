/* Exact ranks of the relevant candidates. First the similarity of each relevant candidate, exactly;
   then all candidates pass by in tiles. One that reaches the worst relevant candidate of a query is
   placed among that query's relevant ones by binary search: by its fast score where that lies
   outside the error bound, by ak_similarity within it (kernels/similarity.h). So ranks are those of
   a complete sort by (similarity, number), the same as a search gives, without ever holding
   queries x candidates. */
#include "eval/eval.h"

#include "kernels/score.h"
#include "kernels/similarity.h"
#include "kernels/topk.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_QUERIES = 256, LANES = AK_SCORE_QUERIES };

/* A relevant candidate. */
typedef struct entry {
    akin_hit hit;
    float gain;
} entry;

typedef struct ranking_work {
    akin_matrix queries, candidates;
    const ak_relevance *relevance;
    int threads;
    entry *entries;    /* query q's: from relevance->start[q] on, the worst first */
    float *low, *high; /* of each entry: a higher score is surely better, a lower one worse */
    int64_t *kept;     /* how many of them take part */
    int64_t *excluded; /* distinct candidates that do not take part */
    int64_t *exclude;  /* sorted copy of relevance->exclude */
    /* Per thread and entry: candidates that come before this one and not before the next; in the
       end, in the first thread's array: that come before this one. */
    int64_t **before;
    float **units;      /* per thread: AK_SCORE_ROWS unit rows of candidates */
    float **queries_of; /* per thread: one unit query */
    float **scores;     /* per thread: AK_SCORE_ROWS x LANES */
} ranking_work;

/* Up to BLOCK_QUERIES queries, in panels of 32. */
typedef struct query_block {
    int64_t first, count, dim;
    float *units, *panels;
    float thresholds[BLOCK_QUERIES]; /* a lower score comes before no relevant candidate */
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

/* Every number is better than a NaN. */
static void set_bounds(ranking_work *w, int64_t q, double slack)
{
    for (int64_t e = w->relevance->start[q]; e < w->relevance->start[q] + w->kept[q]; e++) {
        double similarity = w->entries[e].hit.similarity;
        bool number = !isnan(similarity);
        w->low[e] = number ? nextafterf((float)(similarity - slack), -INFINITY) : -INFINITY;
        w->high[e] = number ? nextafterf((float)(similarity + slack), INFINITY) : -INFINITY;
    }
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
        entries[count++] = (entry){{r->candidate[i], similarity}, gain};
    }
    if (count)
        qsort(entries, (size_t)count, sizeof *entries, worst_first);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || entries[i].hit.id != entries[i - 1].hit.id)
            entries[kept++] = entries[i];
    w->kept[q] = kept;
    set_bounds(w, q, ak_similarity_slack(query, w->queries.columns, 1));
}

/* ---- counting, tile by tile ---- */

/* Entries first .. first + count are sorted: how many at their beginning have high < score. The
   comparison becomes a conditional move: a branch would be mispredicted every second time. */
static int64_t surely_passed(const float *high, int64_t count, float score)
{
    int64_t base = 0;
    for (int64_t half; count > 1; count -= half) {
        half = count / 2;
        base += score > high[base + half - 1] ? half : 0;
    }
    return base + (score > high[base]);
}

/* How many of query q's entries the candidate comes before: the first ones, for they are the worst.
   query, row: the unit rows, which are looked at if the score does not decide. */
static int64_t find_place(const ranking_work *w, int64_t q, float score, int64_t id,
                          const float *query, const float *row)
{
    int64_t start = w->relevance->start[q], count = w->kept[q];
    int64_t place = surely_passed(w->high + start, count, score);
    if (place == count || score < w->low[start + place])
        return place;
    akin_hit hit = {id, ak_similarity(query, row, w->queries.columns)};
    while (place < count && ak_hit_compare(hit, w->entries[start + place].hit) < 0)
        place++;
    return place;
}

/* Candidates first .. first + rows, whose unit rows and scores are given, against the panel that
   begins with query i of the block. */
static void count_panel(const ranking_work *w, const query_block *b, int64_t i, const float *scores,
                        int64_t first, int64_t rows, const float *units, int64_t *before)
{
    int64_t lanes = b->count - i < LANES ? b->count - i : LANES;
    const float *thresholds = b->thresholds + i;
    int64_t j = ak_score_next(scores, 0, rows, thresholds);
    for (; j < rows; j = ak_score_next(scores, j + 1, rows, thresholds)) {
        for (int64_t lane = 0; lane < lanes; lane++) {
            int64_t q = b->first + i + lane, start = w->relevance->start[q];
            float score = scores[j * LANES + lane];
            if (score < thresholds[lane] || !w->kept[q])
                continue;
            int64_t place = find_place(w, q, score, first + j, b->units + (i + lane) * b->dim,
                                       units + j * b->dim);
            if (place > 0)
                before[start + place - 1]++;
        }
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
    for (int64_t i = 0; i < BLOCK_QUERIES; i++) {
        int64_t q = b->first + i;
        bool any = i < b->count && w->kept[q] > 0;
        b->thresholds[i] = any ? w->low[w->relevance->start[q]] : INFINITY;
    }
    return AKIN_OK;
}

static void count_block(const ranking_work *w, const query_block *b)
{
    int64_t n = w->candidates.rows, pieces = (n + AK_SCORE_ROWS - 1) / AK_SCORE_ROWS;
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int thread = omp_get_thread_num();
        float *units = w->units[thread], *scores = w->scores[thread];
        int64_t first = piece * AK_SCORE_ROWS;
        int64_t rows = n - first < AK_SCORE_ROWS ? n - first : AK_SCORE_ROWS;
        ak_unit_rows(w->candidates.data + first * w->candidates.stride, rows, b->dim,
                     w->candidates.stride, units);
        for (int64_t i = 0; i < b->count; i += LANES) {
            ak_score(b->units + i * b->dim, b->count - i < LANES ? b->count - i : LANES,
                     b->panels + i * b->dim, units, rows, b->dim, scores);
            count_panel(w, b, i, scores, first, rows, units, w->before[thread]);
        }
    }
}

/* The threads' counts of query q together, and from "before this one and not the next" to "before
   this one". */
static void sum_counts(const ranking_work *w, int64_t q)
{
    int64_t start = w->relevance->start[q], running = 0;
    for (int64_t e = start + w->kept[q] - 1; e >= start; e--) {
        for (int t = 0; t < w->threads; t++)
            running += w->before[t][e];
        w->before[0][e] = running;
    }
}

/* Every candidate was counted; the excluded ones are taken away again. */
static void uncount_excluded(const ranking_work *w, int64_t q, float *query, float *row)
{
    if (!w->excluded[q] || !w->kept[q])
        return;
    int64_t start = w->relevance->start[q];
    const int64_t *ids = w->exclude + w->relevance->exclude_start[q];
    unit_row(w->queries, q, query);
    for (int64_t i = 0; i < w->excluded[q]; i++) {
        unit_row(w->candidates, ids[i], row);
        int64_t place = find_place(w, q, NAN, ids[i], query, row); /* always exactly */
        for (int64_t e = 0; e < place; e++)
            w->before[0][start + e]--;
    }
}

/* ---- the whole ---- */

static akin_status make_work(ranking_work *w, akin_arena *arena, akin_error *error)
{
    int64_t queries = w->relevance->queries, dim = w->queries.columns;
    int64_t total = w->relevance->start[queries];
    int64_t excluded = w->relevance->exclude_start ? w->relevance->exclude_start[queries] : 0;
    w->threads = omp_get_max_threads();
    w->entries = ak_arena_new(arena, entry, total);
    w->low = ak_arena_new(arena, float, total);
    w->high = ak_arena_new(arena, float, total);
    w->kept = ak_arena_new(arena, int64_t, queries);
    w->excluded = ak_arena_new(arena, int64_t, queries);
    w->exclude = ak_arena_new(arena, int64_t, excluded);
    w->before = ak_arena_new(arena, int64_t *, w->threads);
    w->units = ak_arena_new(arena, float *, w->threads);
    w->queries_of = ak_arena_new(arena, float *, w->threads);
    w->scores = ak_arena_new(arena, float *, w->threads);
    if (!w->entries || !w->low || !w->high || !w->kept || !w->excluded || !w->exclude ||
        !w->before || !w->units || !w->queries_of || !w->scores)
        return ak_fail_memory(error);
    memset(w->excluded, 0, (size_t)queries * sizeof *w->excluded);
    for (int t = 0; t < w->threads; t++) {
        w->before[t] = ak_arena_new(arena, int64_t, total);
        w->units[t] = ak_arena_new(arena, float, AK_SCORE_ROWS *dim);
        w->queries_of[t] = ak_arena_new(arena, float, dim);
        w->scores[t] = ak_arena_new(arena, float, AK_SCORE_ROWS *LANES);
        if (!w->before[t] || !w->units[t] || !w->queries_of[t] || !w->scores[t])
            return ak_fail_memory(error);
        memset(w->before[t], 0, (size_t)total * sizeof(int64_t));
        memset(w->scores[t], 0, AK_SCORE_ROWS * LANES * sizeof(float));
    }
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
            int64_t e = start + kept - 1 - i;
            ranks[start + i] = w->before[0][e] + 1;
            gains[start + i] = ideal[start + i] = w->entries[e].gain;
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
    for (int64_t q = 0; q < queries; q++) {
        sum_counts(w, q);
        uncount_excluded(w, q, w->queries_of[omp_get_thread_num()], w->units[omp_get_thread_num()]);
    }
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
