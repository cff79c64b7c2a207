/* A map of the embeddings: unit vectors of a sample of objects along their two principal
   components, before and after. Pairs are joined by a line; of groups the largest have a colour
   each. The axes of the second map are turned over where that makes it more like the first: signs
   mean nothing. */
#include "eval/report.h"

#include "eval/pca.h"
#include "kernels/similarity.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLOURS = 8, MOST_PAIRS = 200, STREAM = 0x6d6170 };

static const char *const palette[COLOURS] = {AK_BLUE,   AK_AMBER,  AK_GREEN,  AK_RED,
                                             "#a855f7", "#14b8a6", "#ec4899", "#84cc16"};

/* What is shown: contents, a colour each (COLOURS: none of its own). Pairs: rows 2i and 2i + 1. */
typedef struct map {
    int64_t *content;
    int *colour;
    int64_t count;
    int64_t example[COLOURS]; /* groups: a content of each colour's, -1: none */
} map;

/* ---- what is shown ---- */

static akin_status make_map(map *m, int64_t most, akin_arena *arena, akin_error *error)
{
    *m = (map){.content = ak_arena_new(arena, int64_t, most),
               .colour = ak_arena_new(arena, int, most)};
    for (int c = 0; c < COLOURS; c++)
        m->example[c] = -1;
    return m->content && m->colour ? AKIN_OK : ak_fail_memory(error);
}

static void add_point(map *m, int64_t content, int colour)
{
    m->content[m->count] = content;
    m->colour[m->count++] = colour;
}

/* Positive pairs, drawn by a fixed seed. */
static akin_status choose_pairs(map *m, const ak_report *r, akin_error *error)
{
    const ak_table *t = r->table;
    int64_t most = r->options.points / 2 < MOST_PAIRS ? r->options.points / 2 : MOST_PAIRS;
    int64_t *order = ak_arena_new(r->arena, int64_t, t->count);
    if (!order)
        return ak_fail_memory(error);
    AK_TRY(make_map(m, 2 * most, r->arena, error));
    ak_random_permutation(1, STREAM, order, t->count);
    for (int64_t i = 0; i < t->count && m->count < 2 * most; i++) {
        if (t->score[order[i]] <= .5f)
            continue;
        add_point(m, t->content[2 * order[i]], 0);
        add_point(m, t->content[2 * order[i] + 1], 1);
    }
    return AKIN_OK;
}

typedef struct group_size {
    int64_t group, size;
} group_size;

static int largest_first(const void *a, const void *b)
{
    const group_size *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->group < y->group ? -1 : 1;
}

/* colour_of[g]: of the largest groups, as far as colours go. */
static akin_status colour_groups(int **colour_of, const ak_report *r, akin_error *error)
{
    const ak_table *t = r->table;
    group_size *sizes = ak_arena_new(r->arena, group_size, t->groups + 1);
    *colour_of = ak_arena_new(r->arena, int, t->groups + 1);
    if (!sizes || !*colour_of)
        return ak_fail_memory(error);
    for (int64_t g = 0; g < t->groups; g++) {
        sizes[g] = (group_size){g, 0};
        (*colour_of)[g] = COLOURS;
    }
    for (int64_t i = 0; i < t->count; i++)
        sizes[t->group[i]].size++;
    qsort(sizes, (size_t)t->groups, sizeof *sizes, largest_first);
    for (int c = 0; c < COLOURS && c < t->groups; c++)
        (*colour_of)[sizes[c].group] = c;
    return AKIN_OK;
}

/* Samples, drawn by a fixed seed. Those of coloured groups come first: a map of 150 grey groups
   would show nothing. */
static akin_status choose_of_groups(map *m, const ak_report *r, akin_error *error)
{
    const ak_table *t = r->table;
    int64_t most = t->count < r->options.points ? t->count : r->options.points, *order;
    int *colour_of;
    AK_TRY(colour_groups(&colour_of, r, error));
    order = ak_arena_new(r->arena, int64_t, t->count);
    if (!order)
        return ak_fail_memory(error);
    AK_TRY(make_map(m, most, r->arena, error));
    ak_random_permutation(1, STREAM, order, t->count);
    int64_t others = 0;
    for (int64_t i = 0; i < t->count; i++)
        others += colour_of[t->group[i]] == COLOURS;
    int64_t coloured = most - (others < most / 2 ? others : most / 2);
    for (int grey = 0; grey < 2; grey++)
        for (int64_t i = 0; i < t->count; i++) {
            int colour = colour_of[t->group[order[i]]];
            if ((colour == COLOURS) != grey || m->count >= (grey ? most : coloured))
                continue;
            add_point(m, t->content[order[i]], colour);
            if (!grey && m->example[colour] < 0)
                m->example[colour] = t->content[order[i]];
        }
    return AKIN_OK;
}

/* ---- maps ---- */

static void turn_like(float *points, const float *other, int64_t n)
{
    for (int k = 0; k < 2; k++) {
        double together = 0;
        for (int64_t i = 0; i < n; i++)
            together += (double)points[2 * i + k] * (double)other[2 * i + k];
        for (int64_t i = 0; i < n && together < 0; i++)
            points[2 * i + k] = -points[2 * i + k];
    }
}

/* The b's of pairs are documents, all else queries. */
static akin_status locate(float **points, double shares[2], const ak_report *r, const map *m,
                          const ak_sides *x, akin_error *error)
{
    akin_matrix units = ak_matrix_new(r->arena, m->count, x->queries.columns);
    *points = ak_arena_new(r->arena, float, 2 * m->count);
    if (!*points || !units.data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < m->count; i++) {
        akin_matrix from = r->table->kind == AKIN_PAIRS && i % 2 ? x->documents : x->queries;
        ak_unit_rows(from.data + m->content[i] * from.stride, 1, from.columns, from.stride,
                     units.data + i * units.stride);
    }
    return ak_pca(*points, shares, units, r->arena, error);
}

static void add_place(ak_text *script, const float *point)
{
    char x[32], y[32];
    ak_float_to_text(point[0], x);
    ak_float_to_text(point[1], y);
    ak_text_printf(script, "%s %s", x, y);
}

static void add_points(ak_text *script, const map *m, const float *points)
{
    ak_text_printf(script, "$points << EOD\n");
    for (int64_t i = 0; i < m->count; i++) {
        add_place(script, points + 2 * i);
        ak_text_printf(script, " %d\n", m->colour[i]);
    }
    ak_text_printf(script, "EOD\n");
}

/* Lines between the objects of pairs; blank lines part them. */
static void add_lines(ak_text *script, const map *m, const float *points)
{
    ak_text_printf(script, "$lines << EOD\n");
    for (int64_t i = 0; i < m->count; i++) {
        add_place(script, points + 2 * i);
        ak_text_printf(script, i % 2 ? "\n\n" : "\n");
    }
    ak_text_printf(script, "EOD\n");
}

static void add_plot(ak_text *script, bool pairs)
{
    if (pairs) {
        ak_text_printf(script,
                       "plot $lines using 1:2 with lines lw 0.6 lc rgb '#8b95a3' title '', $points "
                       "using 1:($3==0?$2:NaN) with points pt 7 ps 0.45 lc rgb '" AK_BLUE
                       "' title 'a', $points using 1:($3==1?$2:NaN) with points pt 7 ps 0.45 lc "
                       "rgb '" AK_AMBER "' title 'b'\n");
        return;
    }
    ak_text_printf(script,
                   "plot $points using 1:($3==%d?$2:NaN) with points pt 7 ps 0.3 lc rgb "
                   "'#8b95a3' title ''",
                   COLOURS);
    for (int c = 0; c < COLOURS; c++)
        ak_text_printf(script,
                       ", $points using 1:($3==%d?$2:NaN) with points pt 7 ps 0.5 lc rgb '%s' "
                       "title ''",
                       c, palette[c]);
    ak_text_printf(script, "\n");
}

static bool draw(ak_report *r, const map *m, const float *points, const double shares[2],
                 const char *what)
{
    ak_text script = {0};
    char *caption = ak_format("%s: the two axes hold %d %% and %d %% of the variance", what,
                              (int)lround(100 * shares[0]), (int)lround(100 * shares[1]));
    bool pairs = r->table->kind == AKIN_PAIRS;
    ak_text_printf(
        &script, "set size ratio -1\nunset border\nset key above\nset format ''\nset tics scale 0\n"
                 "set offsets graph 0.03, graph 0.03, graph 0.03, graph 0.03\n");
    add_points(&script, m, points);
    if (pairs)
        add_lines(&script, m, points);
    add_plot(&script, pairs);
    bool drawn = caption && ak_html_chart(&r->page, &script, 520, 460, caption);
    ak_free(script.data);
    ak_free(caption);
    return drawn;
}

/* ---- the page ---- */

static akin_status add_legend(ak_report *r, const map *m, akin_error *error)
{
    ak_page *page = &r->page;
    ak_html_printf(page, "<p class=soft>The largest groups, by an object of each; grey: all others."
                         "</p>\n<table>\n");
    for (int c = 0; c < COLOURS && m->example[c] >= 0; c++) {
        ak_html_printf(page,
                       "<tr><td><span class=dot style=\"background:%s\"></span>"
                       "<td class=t dir=auto>",
                       palette[c]);
        AK_TRY(ak_report_object(r, m->example[c], 80, error));
        ak_html_printf(page, "\n");
    }
    ak_html_printf(page, "</table>\n");
    return AKIN_OK;
}

/* Instead of charts: the places of the first objects. */
static akin_status add_places(ak_report *r, const map *m, const float *tuned, const float *base,
                              akin_error *error)
{
    ak_page *page = &r->page;
    ak_html_printf(page,
                   "<details open><summary>Places of %d objects</summary>\n<table><tr>"
                   "<th>object%s<th class=n>x<th class=n>y\n",
                   (int)(m->count < 50 ? m->count : 50),
                   base ? "<th class=n>x before<th class=n>y before" : "");
    for (int64_t i = 0; i < m->count && i < 50; i++) {
        ak_html_printf(page, "<tr><td class=t dir=auto>");
        AK_TRY(ak_report_object(r, m->content[i], 80, error));
        for (int k = 0; k < 2 && base; k++)
            ak_html_number(page, (double)base[2 * i + k], 3, false);
        for (int k = 0; k < 2; k++)
            ak_html_number(page, (double)tuned[2 * i + k], 3, false);
        ak_html_printf(page, "\n");
    }
    ak_html_printf(page, "</table></details>\n");
    return AKIN_OK;
}

akin_status ak_report_map(ak_report *r, akin_error *error)
{
    const ak_evaluator *e = &r->evaluator;
    map m;
    float *tuned, *base = NULL;
    double tuned_shares[2], base_shares[2];
    bool pairs = r->table->kind == AKIN_PAIRS;
    AK_TRY(pairs ? choose_pairs(&m, r, error) : choose_of_groups(&m, r, error));
    if (!m.count)
        return AKIN_OK;
    AK_TRY(locate(&tuned, tuned_shares, r, &m, &e->tuned, error));
    if (e->base.queries.data) {
        AK_TRY(locate(&base, base_shares, r, &m, &e->base, error));
        turn_like(tuned, base, m.count);
    }
    ak_html_printf(&r->page, "<h2>Map</h2>\n<p class=soft>%" PRId64 " %s.</p>\n<div class=row>\n",
                   pairs ? m.count / 2 : m.count,
                   pairs ? "pairs, their objects joined by a line" : "objects");
    bool drawn = !base || draw(r, &m, base, base_shares, "Before");
    drawn = draw(r, &m, tuned, tuned_shares, base ? "After" : "The model") && drawn;
    ak_html_printf(&r->page, "</div>\n");
    if (!drawn)
        AK_TRY(add_places(r, &m, tuned, base, error));
    else if (!pairs)
        AK_TRY(add_legend(r, &m, error));
    return ak_report_check(r, error);
}
