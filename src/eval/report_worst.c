/* The queries that fared worst: those whose first relevant candidate has the highest rank, with the
   candidates that came before it. What is wrong with a model, or with the data, is seen here first.
 */
#include "eval/report.h"

#include "kernels/topk.h"

#include <inttypes.h>
#include <stdlib.h>

enum { RIVALS = 3, TEXT = 300 };

typedef struct worst {
    int64_t query, rank;
} worst;

static int highest_rank_first(const void *a, const void *b)
{
    const worst *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    return x->query < y->query ? -1 : 1;
}

/* Queries whose first relevant candidate is not the first of all. */
static akin_status find_worst(const ak_report *r, worst **out, int64_t *count, akin_error *error)
{
    const ak_evaluator *e = &r->evaluator;
    *out = ak_arena_new(r->arena, worst, e->queries);
    *count = 0;
    if (!*out)
        return ak_fail_memory(error);
    for (int64_t q = 0; q < e->queries; q++)
        if (e->tuned_rankings[q].relevant && e->tuned_rankings[q].ranks[0] > 1)
            (*out)[(*count)++] = (worst){q, e->tuned_rankings[q].ranks[0]};
    if (*count)
        qsort(*out, (size_t)*count, sizeof **out, highest_rank_first);
    return AKIN_OK;
}

/* ---- one query ---- */

typedef struct nearest {
    akin_matrix candidates; /* unit rows */
    akin_hit *hits;         /* all candidates, the most similar first */
} nearest;

static akin_status add_hit(ak_report *r, int64_t rank, const akin_hit *hit, bool relevant,
                           akin_error *error)
{
    ak_html_printf(&r->page, "<tr><td class=n>%" PRId64, rank);
    ak_html_number(&r->page, (double)hit->similarity, 3, false);
    ak_html_printf(&r->page, "<td>%s<td class=t dir=auto>",
                   relevant ? "<span class=good>relevant</span>" : "");
    AK_TRY(ak_report_object(r, r->evaluator.trial.candidate_row[hit->id], TEXT, error));
    ak_html_printf(&r->page, "\n");
    return AKIN_OK;
}

/* The first few of what came before, and the first relevant one. */
static akin_status add_hits(ak_report *r, const worst *w, const nearest *near, akin_error *error)
{
    const ak_relevance *relevance = &r->evaluator.trial.relevance;
    int64_t rank = 0;
    ak_html_printf(&r->page, "<table><tr><th class=n>rank<th class=n>similarity<th><th>\n");
    for (int64_t i = 0; i < near->candidates.rows && rank < w->rank; i++) {
        const akin_hit *hit = &near->hits[i];
        if (ak_is_excluded(relevance, w->query, hit->id))
            continue;
        rank++;
        if (rank <= RIVALS || rank == w->rank)
            AK_TRY(add_hit(r, rank, hit, rank == w->rank, error));
    }
    ak_html_printf(&r->page, "</table>");
    return AKIN_OK;
}

static akin_status add_query(ak_report *r, const worst *w, const nearest *near, akin_error *error)
{
    const ak_evaluator *e = &r->evaluator;
    int64_t content = e->trial.query_row[w->query], n = near->candidates.rows;
    akin_matrix query;
    AK_TRY(ak_trial_units(&query, e->tuned.queries, &content, 1, r->arena, error));
    AK_TRY(
        ak_topk(near->hits, query.data, 1, near->candidates.data, n, query.columns, n, 1, error));
    ak_html_printf(&r->page, "<div class=query><p dir=auto><b>");
    AK_TRY(ak_report_object(r, content, TEXT, error));
    ak_html_printf(&r->page, "</b></p><p class=soft>first relevant at rank %" PRId64, w->rank);
    if (e->base_rankings && e->base_rankings[w->query].relevant)
        ak_html_printf(&r->page, " (base: %" PRId64 ")", e->base_rankings[w->query].ranks[0]);
    ak_html_printf(&r->page, "</p>");
    AK_TRY(add_hits(r, w, near, error));
    ak_html_printf(&r->page, "</div>\n");
    return AKIN_OK;
}

akin_status ak_report_worst(ak_report *r, akin_error *error)
{
    const ak_trial *trial = &r->evaluator.trial;
    worst *list;
    int64_t count;
    nearest near;
    AK_TRY(find_worst(r, &list, &count, error));
    ak_html_printf(&r->page,
                   "<h2>Worst queries</h2>\n<p class=soft>%" PRId64 " of %" PRId64
                   " queries have another candidate before the first relevant one.</p>\n",
                   count, r->evaluator.queries);
    if (!count)
        return AKIN_OK;
    AK_TRY(ak_trial_units(&near.candidates, r->evaluator.tuned.documents, trial->candidate_row,
                          trial->candidates, r->arena, error));
    near.hits = ak_arena_new(r->arena, akin_hit, trial->candidates);
    if (!near.hits)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count && i < r->options.worst; i++)
        AK_TRY(add_query(r, &list[i], &near, error));
    return ak_report_check(r, error);
}
