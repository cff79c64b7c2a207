/* Known positives: for every content the contents it stands in a pair of score > .5 with, as rows
   of ascending numbers (CSR). The graph is symmetric, so writing every row's number into its
   members' rows, in ascending order, gives the same graph with sorted rows: two linear passes, no
   sort. */
#include "data/table.h"

static bool positive(const ak_table *t, int64_t pair)
{
    return t->score[pair] > 0.5f;
}

/* start[c + 1] becomes the end of c's row when rows are filled from start[c]. */
static int64_t count_degrees(const ak_table *t, int64_t *start)
{
    int64_t edges = 0;
    for (int64_t i = 0; i < t->count; i++) {
        if (!positive(t, i))
            continue;
        start[t->content[2 * i] + 1]++;
        start[t->content[2 * i + 1] + 1]++;
        edges += 2;
    }
    for (int64_t c = 0; c < t->contents; c++)
        start[c + 1] += start[c];
    return edges;
}

static void fill_rows(const ak_table *t, const int64_t *start, int64_t *next, int64_t *rows)
{
    for (int64_t c = 0; c < t->contents; c++)
        next[c] = start[c];
    for (int64_t i = 0; i < t->count; i++) {
        if (!positive(t, i))
            continue;
        int64_t a = t->content[2 * i], b = t->content[2 * i + 1];
        rows[next[a]++] = b;
        rows[next[b]++] = a;
    }
}

static void transpose(const ak_table *t, const int64_t *start, int64_t *next, const int64_t *rows,
                      int64_t *sorted)
{
    for (int64_t c = 0; c < t->contents; c++)
        next[c] = start[c];
    for (int64_t c = 0; c < t->contents; c++)
        for (int64_t e = start[c]; e < start[c + 1]; e++)
            sorted[next[rows[e]]++] = c;
}

/* A pair that stands twice in the data is one positive: closes the gaps, in place. */
static void make_unique(const ak_table *t, int64_t *start, int64_t *sorted)
{
    int64_t used = 0, from = 0;
    for (int64_t c = 0; c < t->contents; c++) {
        int64_t to = start[c + 1], row = used;
        for (int64_t e = from; e < to; e++)
            if (used == row || sorted[used - 1] != sorted[e])
                sorted[used++] = sorted[e];
        from = to;
        start[c] = row;
    }
    start[t->contents] = used;
}

akin_status ak_table_find_positives(ak_table *t, akin_error *error)
{
    if (t->kind != AKIN_PAIRS)
        return AKIN_OK;
    int64_t *start = ak_calloc((size_t)t->contents + 1, sizeof *start);
    int64_t edges = start ? count_degrees(t, start) : 0;
    if (start && edges == 0) {
        ak_free(start);
        return AKIN_OK;
    }
    int64_t *next = ak_calloc((size_t)t->contents, sizeof *next);
    int64_t *rows = ak_calloc((size_t)edges, sizeof *rows);
    int64_t *sorted = ak_calloc((size_t)edges, sizeof *sorted);
    akin_status status = AKIN_OK;
    if (start && next && rows && sorted) {
        fill_rows(t, start, next, rows);
        transpose(t, start, next, rows, sorted);
        make_unique(t, start, sorted);
        t->positive_start = start;
        t->positives = sorted;
        start = sorted = NULL;
    } else {
        status = ak_fail_memory(error);
    }
    ak_free(start);
    ak_free(next);
    ak_free(rows);
    ak_free(sorted);
    return status;
}
