/* Cosine similarities of queries with what is relevant to them and with what is not, before and
   after. A model is good where the two kinds do not overlap. Of many a fixed sample is taken: the
   same pairs for base and tuned. */
#include "eval/report.h"

#include "kernels/similarity.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MOST = 20000, NEGATIVES = 10, BINS = 50, STREAM = 0x686973 };

typedef struct pair {
    int64_t query, candidate;
} pair;

/* Of one kind: relevant pairs, or others. */
typedef struct kind {
    pair *pairs;
    int64_t count;
} kind;

typedef struct histogram {
    double share[BINS]; /* of the pairs, over -1 .. 1 */
    double mean, deviation;
} histogram;

/* ---- the pairs ---- */

/* Evenly spread where there are too many. */
static akin_status find_relevant(kind *k, const ak_relevance *r, akin_arena *arena,
                                 akin_error *error)
{
    int64_t total = r->start[r->queries], taken = total < MOST ? total : MOST, q = 0;
    k->pairs = ak_arena_new(arena, pair, taken);
    if (!k->pairs)
        return ak_fail_memory(error);
    for (k->count = 0; k->count < taken; k->count++) {
        int64_t i = (int64_t)((double)k->count * (double)total / (double)taken);
        while (r->start[q + 1] <= i)
            q++;
        k->pairs[k->count] = (pair){q, r->candidate[i]};
    }
    return AKIN_OK;
}

/* A few random candidates a query that are not relevant. */
static akin_status find_others(kind *k, const ak_trial *trial, akin_arena *arena, akin_error *error)
{
    const ak_relevance *r = &trial->relevance;
    int64_t queries = r->queries < MOST / NEGATIVES ? r->queries : MOST / NEGATIVES;
    k->pairs = ak_arena_new(arena, pair, queries * NEGATIVES);
    k->count = 0;
    if (!k->pairs)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < queries * NEGATIVES; i++) {
        int64_t q = (int64_t)((double)(i / NEGATIVES) * (double)r->queries / (double)queries);
        int64_t candidate =
            (int64_t)(ak_random(1, STREAM, (uint64_t)i) % (uint64_t)trial->candidates);
        if (!ak_is_relevant(r, q, candidate) && !ak_is_excluded(r, q, candidate))
            k->pairs[k->count++] = (pair){q, candidate};
    }
    return AKIN_OK;
}

/* ---- histograms ---- */

static void unit_row(akin_matrix x, int64_t row, akin_matrix out)
{
    ak_unit_rows(x.data + row * x.stride, 1, x.columns, x.stride, out.data);
}

static akin_status count_pairs(histogram *out, const ak_report *r, const ak_sides *x, const kind *k,
                               akin_error *error)
{
    const ak_trial *trial = &r->evaluator.trial;
    int64_t d = x->queries.columns;
    akin_matrix a = ak_matrix_new(r->arena, 1, d), b = ak_matrix_new(r->arena, 1, d);
    double sum = 0, squares = 0;
    *out = (histogram){.mean = NAN, .deviation = NAN};
    if (!a.data || !b.data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < k->count; i++) {
        unit_row(x->queries, trial->query_row[k->pairs[i].query], a);
        unit_row(x->documents, trial->candidate_row[k->pairs[i].candidate], b);
        double s = fmin(1, fmax(-1, (double)ak_similarity(a.data, b.data, d))); /* NaN: -1 */
        int bin = (int)((s + 1) / 2 * BINS);
        out->share[bin < BINS ? bin : BINS - 1] += 1 / (double)k->count;
        sum += s;
        squares += s * s;
    }
    if (k->count) {
        out->mean = sum / (double)k->count;
        out->deviation = sqrt(fmax(0, squares / (double)k->count - out->mean * out->mean));
    }
    return AKIN_OK;
}

/* ---- the page ---- */

/* The bins that any histogram uses: first .. last - 1. */
static void used_bins(const histogram *h, int count, int *first, int *last)
{
    *first = BINS;
    *last = 0;
    for (int i = 0; i < count; i++)
        for (int b = 0; b < BINS; b++)
            if (h[i].share[b] > 0) {
                *first = b < *first ? b : *first;
                *last = b + 1 > *last ? b + 1 : *last;
            }
}

/* The largest share, in %: both charts have one scale. */
static double tallest(const histogram *h, int count)
{
    double most = 0;
    for (int i = 0; i < count; i++)
        for (int b = 0; b < BINS; b++)
            most = fmax(most, h[i].share[b]);
    return 100 * most;
}

static double bin_start(int bin)
{
    return 2.0 * bin / BINS - 1;
}

/* Relevant and others of one model, on the axis that both models share. */
static bool draw(ak_report *r, const histogram *h, int first, int last, double height,
                 const char *caption)
{
    ak_text script = {0};
    char from[32], to[32], top[32], share[2][32];
    ak_double_to_text(ceil(1.05 * height), top);
    ak_double_to_text(bin_start(first), from);
    ak_double_to_text(bin_start(last), to);
    ak_text_printf(
        &script,
        "set xlabel 'cosine similarity'\nset ylabel 'share of pairs, %%'\nset grid ytics\n"
        "set key above\nset xrange [%s:%s]\nset yrange [0:%s]\n"
        "set boxwidth 0.95 relative\nset style fill transparent solid 0.5 noborder\n"
        "$bins << EOD\n",
        from, to, top);
    for (int b = first; b < last; b++) {
        ak_double_to_text(bin_start(b) + 1.0 / BINS, from);
        for (int k = 0; k < 2; k++)
            ak_double_to_text(100 * h[k].share[b], share[k]);
        ak_text_printf(&script, "%s %s %s\n", from, share[0], share[1]);
    }
    ak_text_printf(&script, "EOD\nplot $bins using 1:3 with boxes lc rgb '" AK_AMBER
                            "' title 'not relevant', $bins using 1:2 with boxes lc rgb '" AK_BLUE
                            "' title 'relevant'\n");
    bool drawn = ak_html_chart(&r->page, &script, 520, 320, caption);
    ak_free(script.data);
    return drawn;
}

static const char *const columns[] = {"relevant, tuned", "not relevant, tuned", "relevant, base",
                                      "not relevant, base"};

static void add_means(ak_report *r, const histogram *h, int count)
{
    ak_page *page = &r->page;
    ak_html_printf(page, "<table><tr><th>pairs<th class=n>mean<th class=n>standard deviation\n");
    for (int i = 0; i < count; i++) {
        ak_html_printf(page, "<tr><td>%s", columns[i]);
        ak_html_number(page, h[i].mean, 3, false);
        ak_html_number(page, h[i].deviation, 3, false);
        ak_html_printf(page, "\n");
    }
    ak_html_printf(page, "</table>\n");
}

static void add_bins(ak_report *r, const histogram *h, int count, int first, int last, bool open)
{
    ak_page *page = &r->page;
    ak_html_printf(page,
                   "<details%s><summary>Shares in numbers, %%</summary>\n"
                   "<table><tr><th class=n>from<th class=n>to",
                   open ? " open" : "");
    for (int i = 0; i < count; i++)
        ak_html_printf(page, "<th class=n>%s", columns[i]);
    for (int b = first; b < last; b++) {
        ak_html_printf(page, "\n<tr>");
        ak_html_number(page, bin_start(b), 2, false);
        ak_html_number(page, bin_start(b + 1), 2, false);
        for (int i = 0; i < count; i++)
            ak_html_number(page, 100 * h[i].share[b], 1, false);
    }
    ak_html_printf(page, "\n</table></details>\n");
}

akin_status ak_report_similarities(ak_report *r, akin_error *error)
{
    const ak_evaluator *e = &r->evaluator;
    kind kinds[2];
    histogram h[4];
    int count = e->base.queries.data ? 4 : 2, first, last;
    AK_TRY(find_relevant(&kinds[0], &e->trial.relevance, r->arena, error));
    AK_TRY(find_others(&kinds[1], &e->trial, r->arena, error));
    for (int i = 0; i < count; i++)
        AK_TRY(count_pairs(&h[i], r, i < 2 ? &e->tuned : &e->base, &kinds[i % 2], error));
    used_bins(h, count, &first, &last);
    ak_html_printf(&r->page,
                   "<h2>Similarities</h2>\n<p class=soft>%" PRId64 " pairs of a query and "
                   "a relevant candidate, %" PRId64 " of a query and another.</p>\n"
                   "<div class=row>\n",
                   kinds[0].count, kinds[1].count);
    double height = tallest(h, count);
    bool drawn = count == 2 || draw(r, h + 2, first, last, height, "Before: the base");
    drawn = draw(r, h, first, last, height, count == 2 ? "The model" : "After: the tuned model") &&
            drawn;
    ak_html_printf(&r->page, "</div>\n");
    add_means(r, h, count);
    add_bins(r, h, count, first, last, !drawn);
    return ak_report_check(r, error);
}
