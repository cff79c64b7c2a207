/* Exact top-k by tiles. A thread takes a few rows of base at a time and scores them against all
   queries of a block with float32 products. Every query has a heap per thread of its k best rows by
   ak_similarity; a row enters only if its score comes within the error bound of the heap's worst,
   so few are computed twice (about k ln(n / k) of n) and none is missed (similarity.h). Finally the
   threads' heaps become one, sorted. */
#include "kernels/topk.h"

#include "kernels/score.h"
#include "kernels/similarity.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    BLOCK_QUERIES = 256,
    BLOCK_MEMORY = 1 << 28, /* bytes of all heaps; above it blocks have fewer queries */
};

typedef struct block {
    const float *queries, *panels, *base;
    const double *slack; /* of the queries */
    int64_t count, n, dim, k;
} block;

/* One thread's: a heap for each query of the block. */
typedef struct heaps {
    akin_hit *hits;    /* query i: hits + i * k, the worst first */
    int64_t *counts;   /* hits in the heap */
    float *thresholds; /* a lower score cannot enter */
    float *scores;     /* AK_SCORE_ROWS x AK_SCORE_QUERIES */
} heaps;

int ak_hit_compare(akin_hit a, akin_hit b)
{
    bool a_nan = isnan(a.similarity), b_nan = isnan(b.similarity);
    if (a_nan != b_nan)
        return a_nan ? 1 : -1;
    if (!a_nan && a.similarity != b.similarity)
        return a.similarity > b.similarity ? -1 : 1;
    return a.id < b.id ? -1 : a.id > b.id;
}

static void sift_down(akin_hit *hits, int64_t count)
{
    akin_hit moving = hits[0];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && ak_hit_compare(hits[child + 1], hits[child]) > 0)
            child++;
        if (ak_hit_compare(hits[child], moving) <= 0)
            break;
        hits[i] = hits[child];
    }
    hits[i] = moving;
}

static void sift_up(akin_hit *hits, int64_t i)
{
    akin_hit moving = hits[i];
    for (int64_t parent; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (ak_hit_compare(hits[parent], moving) >= 0)
            break;
        hits[i] = hits[parent];
    }
    hits[i] = moving;
}

static void push(akin_hit *hits, int64_t *count, int64_t k, akin_hit hit)
{
    if (*count < k) {
        hits[*count] = hit;
        sift_up(hits, (*count)++);
    } else if (ak_hit_compare(hit, hits[0]) < 0) {
        hits[0] = hit;
        sift_down(hits, k);
    }
}

/* A NaN lets everything through: with a NaN as worst hit, whatever is a number is better. An
   infinite one is taken for the largest number, because its score may still be finite. */
static float threshold_of(float worst, double slack)
{
    double least = (worst > FLT_MAX ? (double)FLT_MAX : (double)worst) - slack;
    return nextafterf((float)least, -INFINITY);
}

/* Row `id` scored well enough with query i. */
static void offer(const block *b, heaps *h, int64_t i, int64_t id)
{
    float similarity = ak_similarity(b->queries + i * b->dim, b->base + id * b->dim, b->dim);
    akin_hit *hits = h->hits + i * b->k;
    push(hits, h->counts + i, b->k, (akin_hit){id, similarity});
    if (h->counts[i] == b->k)
        h->thresholds[i] = threshold_of(hits[0].similarity, b->slack[i]);
}

static void scan_panel(const block *b, heaps *h, int64_t query, int64_t count, int64_t first,
                       int64_t rows)
{
    const float *thresholds = h->thresholds + query;
    int64_t j = ak_score_next(h->scores, 0, rows, thresholds);
    for (; j < rows; j = ak_score_next(h->scores, j + 1, rows, thresholds)) {
        const float *scores = h->scores + j * AK_SCORE_QUERIES;
        for (int64_t i = 0; i < count; i++)
            if (!(scores[i] < thresholds[i]))
                offer(b, h, query + i, first + j);
    }
}

static void scan_rows(const block *b, heaps *h, int64_t first, int64_t rows)
{
    const float *base = b->base + first * b->dim;
    for (int64_t i = 0; i < b->count; i += AK_SCORE_QUERIES) {
        int64_t count = b->count - i < AK_SCORE_QUERIES ? b->count - i : AK_SCORE_QUERIES;
        ak_score(b->queries + i * b->dim, count, b->panels + i * b->dim, base, rows, b->dim,
                 h->scores);
        scan_panel(b, h, i, count, first, rows);
    }
}

/* All threads' hits of query i in the first thread's heap, sorted: the worst leaves a heap first.
 */
static void finish(const block *b, heaps *all, int threads, int64_t i, akin_hit *out,
                   int64_t wanted)
{
    akin_hit *hits = all->hits + i * b->k;
    int64_t *count = all->counts + i;
    for (heaps *h = all + 1; h < all + threads; h++)
        for (int64_t r = 0; r < h->counts[i]; r++)
            push(hits, count, b->k, h->hits[i * b->k + r]);
    for (int64_t r = b->k; r < wanted; r++)
        out[r] = (akin_hit){-1, 0};
    for (int64_t left = *count; left > 0; left--) {
        out[left - 1] = hits[0];
        hits[0] = hits[left - 1];
        sift_down(hits, left - 1);
    }
}

static void run_block(const block *b, heaps *all, int threads, akin_hit *out, int64_t wanted)
{
    int64_t pieces = (b->n + AK_SCORE_ROWS - 1) / AK_SCORE_ROWS;
#pragma omp parallel num_threads(threads)
    {
        heaps *mine = all + omp_get_thread_num();
        for (int64_t i = 0; i < BLOCK_QUERIES; i++) {
            mine->counts[i] = 0;
            mine->thresholds[i] = i < b->count ? -INFINITY : INFINITY;
        }
#pragma omp for schedule(dynamic, 16)
        for (int64_t piece = 0; piece < pieces; piece++) {
            int64_t first = piece * AK_SCORE_ROWS, left = b->n - first;
            scan_rows(b, mine, first, left < AK_SCORE_ROWS ? left : AK_SCORE_ROWS);
        }
#pragma omp for
        for (int64_t i = 0; i < b->count; i++)
            finish(b, all, threads, i, out + i * wanted, wanted);
    }
}

static akin_status make_heaps(heaps **out, int threads, int64_t queries, int64_t k,
                              akin_arena *arena, akin_error *error)
{
    heaps *all = ak_arena_new(arena, heaps, threads);
    for (int t = 0; all && t < threads; t++) {
        all[t].hits = ak_arena_new(arena, akin_hit, queries * k);
        all[t].counts = ak_arena_new(arena, int64_t, BLOCK_QUERIES);
        all[t].thresholds = ak_arena_new(arena, float, BLOCK_QUERIES);
        all[t].scores = ak_arena_new(arena, float, AK_SCORE_ROWS *AK_SCORE_QUERIES);
        if (!all[t].hits || !all[t].counts || !all[t].thresholds || !all[t].scores)
            all = NULL;
        else /* columns without a query are looked at, never used */
            memset(all[t].scores, 0, AK_SCORE_ROWS * AK_SCORE_QUERIES * sizeof(float));
    }
    *out = all;
    return all ? AKIN_OK : ak_fail_memory(error);
}

/* Queries at a time: as many as share a pass over base without heaps that outgrow memory. */
static int64_t block_queries(int64_t q, int64_t k, int threads)
{
    int64_t most = BLOCK_MEMORY / (int64_t)sizeof(akin_hit) / threads / k;
    most = most > BLOCK_QUERIES ? BLOCK_QUERIES : most < 1 ? 1 : most;
    return q < most ? q : most;
}

static akin_status run(akin_hit *hits, int64_t q, int64_t wanted, double norm, block b,
                       akin_arena *arena, akin_error *error)
{
    int threads = omp_get_max_threads();
    int64_t most = block_queries(q, b.k, threads);
    int64_t panels = (most + AK_SCORE_QUERIES - 1) / AK_SCORE_QUERIES;
    float *panel = ak_arena_new(arena, float, panels *AK_SCORE_QUERIES *b.dim);
    double *slack = ak_arena_new(arena, double, most);
    heaps *all;
    AK_TRY(make_heaps(&all, threads, most, b.k, arena, error));
    if (!panel || !slack)
        return ak_fail_memory(error);
    b.panels = panel;
    b.slack = slack;
    for (int64_t first = 0; first < q; first += most) {
        b.count = q - first < most ? q - first : most;
        ak_score_pack(b.queries, b.count, b.dim, panel);
        for (int64_t i = 0; i < b.count; i++)
            slack[i] = ak_similarity_slack(b.queries + i * b.dim, b.dim, norm);
        run_block(&b, all, threads, hits + first * wanted, wanted);
        b.queries += b.count * b.dim;
    }
    return AKIN_OK;
}

akin_status ak_topk(akin_hit *hits, const float *queries, int64_t q, const float *base, int64_t n,
                    int64_t dim, int64_t k, double norm, akin_error *error)
{
    if (n == 0 || k == 0) {
        for (int64_t i = 0; i < q * k; i++)
            hits[i] = (akin_hit){-1, 0};
        return AKIN_OK;
    }
    if (q == 0)
        return AKIN_OK;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    block b = {.queries = queries, .base = base, .n = n, .dim = dim, .k = k < n ? k : n};
    akin_status status = run(hits, q, k, norm, b, arena, error);
    ak_arena_free(arena);
    return status;
}
