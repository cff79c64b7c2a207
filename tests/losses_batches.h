/* Batches for tests of losses: running a loss on one, and random ones with every kind of label. */
#ifndef AK_TESTS_LOSSES_BATCHES_H
#define AK_TESTS_LOSSES_BATCHES_H

#include "losses_reference.h"

#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check_near(double got, double want, double tolerance, const char *name)
{
    double bound = tolerance * (1 + fabs(want));
    if (!(fabs(got - want) <= bound))
        fail_msg("%s: got %.9g, expected %.9g", name, got, want);
}

/* ---- running a loss ---- */

static const akin_option *find_option(const akin_loss_class *loss, const char *name)
{
    for (const akin_option *row = loss->options; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

static int choice_of(const char *choices, const char *text)
{
    int number = 0;
    size_t size = strlen(text);
    for (;; number++) {
        const char *end = strchrnul(choices, '|');
        if ((size_t)(end - choices) == size && !memcmp(choices, text, size))
            return number;
        if (!*end)
            return -1;
        choices = end + 1;
    }
}

static void set_option(const akin_loss_class *loss, void *options, const char *name,
                       const char *text)
{
    const akin_option *row = find_option(loss, name);
    assert_non_null(row);
    char *place = (char *)options + row->offset;
    if (row->type == AKIN_OPTION_FLOAT)
        *(double *)place = strtod(text, NULL);
    else if (row->type == AKIN_OPTION_INT)
        *(int64_t *)place = strtoll(text, NULL, 10);
    else if (row->type == AKIN_OPTION_BOOL)
        *(bool *)place = !strcmp(text, "true") || !strcmp(text, "1");
    else
        *(int *)place = choice_of(row->choices, text);
}

/* Defaults. */
static void *options_of(const akin_loss_class *loss)
{
    void *options = calloc(1, loss->options_size);
    for (const akin_option *row = loss->options; row->name; row++)
        if (row->default_text) /* else nothing, which is all zeros */
            set_option(loss, options, row->name, row->default_text);
    return options;
}

/* These losses are their options: free frees them. */
static akin_status create(void **self, const akin_loss_class *loss, const char *const (*set)[2],
                          int count, akin_error *error)
{
    void *options = options_of(loss);
    for (int i = 0; i < count && set[i][0]; i++)
        set_option(loss, options, set[i][0], set[i][1]);
    akin_loss_traits traits;
    *self = NULL;
    akin_status status = ak_loss_describe(loss, options, &traits, error);
    if (!status)
        status = ak_loss_object(self, loss, options, 4, 3, NULL, error);
    if (status)
        free(options);
    return status;
}

static void *create_for(const problem *p)
{
    static const char *const mining[] = {"hard", "semi_hard", "all"};
    static const char *const distance[] = {"cosine", "euclidean", "manhattan", "dot_product"};
    char scale[32], margin[32];
    snprintf(scale, sizeof scale, "%.17g", p->scale);
    snprintf(margin, sizeof margin, "%.17g", p->margin);
    const char *const all[][2] = {
        {"scale", scale},
        {"margin", margin},
        {"symmetric", p->symmetric ? "true" : "false"},
        {"size_average", p->size_average ? "true" : "false"},
        {"soft", p->soft ? "true" : "false"},
        {"mining", mining[p->mining]},
        {"distance", distance[p->distance]},
    };
    void *self, *options = options_of(p->loss);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (find_option(p->loss, all[i][0]))
            set_option(p->loss, options, all[i][0], all[i][1]);
    assert_int_equal(ak_loss_object(&self, p->loss, options, p->width, 0, NULL, NULL), AKIN_OK);
    return self;
}

enum { MAX_CONTENTS = 1024 };

/* The labels of a problem with the lists of known positives that akin.h describes. */
typedef struct labelled {
    akin_labels labels;
    int64_t start[MAX_CONTENTS + 1], list[2 * MAX_KNOWN];
} labelled;

static void label(labelled *out, const problem *p)
{
    bool pairs = p->loss->kind == AKIN_PAIRS;
    int64_t count = 0;
    for (int64_t c = 0; c < MAX_CONTENTS; c++) {
        bool seen[MAX_CONTENTS] = {false};
        out->start[c] = count;
        for (int64_t k = 0; k < p->known_count; k++)
            for (int side = 0; side < 2; side++)
                if (p->known[k][side] == c)
                    seen[p->known[k][!side]] = true;
        for (int64_t d = 0; d < MAX_CONTENTS && p->known_count; d++)
            if (seen[d])
                out->list[count++] = d;
    }
    out->start[MAX_CONTENTS] = count;
    out->labels = (akin_labels){.size = sizeof(akin_labels),
                                .kind = p->loss->kind,
                                .count = pairs ? p->objects / 2 : p->objects,
                                .content = p->content,
                                .group = p->group,
                                .groups = 1000,
                                .score = p->score,
                                .subgroup = p->has_subgroup ? p->subgroup : NULL,
                                .positive_start = count ? out->start : NULL,
                                .positives = count ? out->list : NULL};
}

typedef struct run {
    akin_arena *arena;
    akin_precision precision;
    int64_t padding; /* columns between the rows of x and dx */
    akin_status status;
    double value;
    float *x, *dx;
} run;

static void run_free(run *r)
{
    ak_arena_free(r->arena);
    free(r->x);
    free(r->dx);
}

static void run_loss(run *r, const problem *p, const double *x)
{
    labelled *l = calloc(1, sizeof *l);
    int64_t stride = p->width + r->padding;
    void *self = create_for(p);
    assert_int_equal(ak_arena_create(&r->arena, NULL), AKIN_OK);
    label(l, p);
    r->x = calloc((size_t)(p->objects * stride), sizeof(float));
    r->dx = malloc((size_t)(p->objects * stride) * sizeof(float));
    for (int64_t i = 0; i < p->objects * stride; i++) {
        r->dx[i] = 77; /* must be written over, but not between rows */
        if (i % stride < p->width)
            r->x[i] = (float)x[i / stride * p->width + i % stride];
    }
    akin_pass pass = {.size = sizeof pass, .arena = r->arena, .precision = r->precision};
    akin_matrix mx = {r->x, p->objects, p->width, stride},
                mdx = {r->dx, mx.rows, mx.columns, stride};
    double alone = 0;
    r->status = p->loss->compute(self, &pass, &l->labels, mx, mdx, &r->value, NULL);
    ak_arena_reset(r->arena);
    mdx.data = NULL;
    assert_int_equal(p->loss->compute(self, &pass, &l->labels, mx, mdx, &alone, NULL), AKIN_OK);
    assert_memory_equal(&alone, &r->value, sizeof alone);
    free(self);
    free(l);
}

/* ---- random problems of every kind ---- */

static double uniform(uint64_t *counter)
{
    return 2 * ak_random_uniform(7, 1, (*counter)++) - 1;
}

static int64_t below(uint64_t *counter, uint64_t limit)
{
    return (int64_t)ak_random_below(7, 2, (*counter)++, limit);
}

/* Vectors near few centres, so that groups, margins and ties of content mean something. */
static double *random_vectors(const problem *p, uint64_t *counter)
{
    double *x = malloc((size_t)(p->objects * p->width) * sizeof *x);
    for (int64_t i = 0; i < p->objects; i++)
        for (int64_t k = 0; k < p->width; k++) {
            double centre = 2 * ak_random_uniform(9, (uint64_t)(p->group[i] % 5), (uint64_t)k) - 1;
            x[i * p->width + k] = (double)(float)(0.4 * centre + 0.6 * uniform(counter));
        }
    return x;
}

typedef struct masks {
    const char *name;
    int contents; /* 0: all different */
    int groups;
    bool scores, subgroups, known;
} masks;

static const masks every_mask[] = {
    {"plain", 0, 4, false, false, false},          {"scores", 0, 2, true, false, false},
    {"equal contents", 20, 3, true, false, false}, {"subgroups", 0, 7, false, true, false},
    {"known", 30, 30, true, false, true},          {"everything", 25, 9, true, true, true},
    {"one group", 0, 1, true, true, false},        {"lonely", 0, 900, true, true, true},
};
enum { MASKS = sizeof every_mask / sizeof *every_mask };

static problem *random_problem(const masks *m, int64_t objects, int64_t width, uint64_t *counter)
{
    problem *p = calloc(1, sizeof *p);
    *p = (problem){.scale = 20,
                   .margin = .5,
                   .size_average = true,
                   .objects = objects,
                   .width = width,
                   .has_subgroup = m->subgroups};
    for (int64_t i = 0; i < objects; i++) {
        p->content[i] = m->contents ? below(counter, (uint64_t)m->contents) : i;
        p->group[i] = below(counter, (uint64_t)m->groups);
        p->score[i] = m->scores ? (float)(0.25 * (double)below(counter, 5)) : 1.0f;
        p->subgroup[i] = 1000000007 * below(counter, (uint64_t)m->groups);
    }
    p->known_count = m->known ? 40 : 0;
    for (int64_t k = 0; k < p->known_count; k++) {
        p->known[k][0] = p->content[below(counter, (uint64_t)objects)];
        p->known[k][1] = p->content[below(counter, (uint64_t)objects)];
    }
    return p;
}

/* One loss with one set of options. */
typedef struct setting {
    const char *name;
    const akin_loss_class *loss;
    double scale, margin;
    bool symmetric, sum, soft;
    int mining;
    bool distances; /* has the option `distance` */
} setting;

static const setting every_setting[] = {
    {"ranking", &ak_loss_multiple_negatives_ranking, 20, 0, false, false, false, 0, false},
    {"ranking, symmetric", &ak_loss_multiple_negatives_ranking, 20, 0, true, false, false, 0,
     false},
    {"ranking, 80", &ak_loss_multiple_negatives_ranking, 80, 0, false, false, false, 0, false},
    {"ranking, 80, both", &ak_loss_multiple_negatives_ranking, 80, 0, true, false, false, 0, false},
    {"contrastive", &ak_loss_contrastive, 0, .8, false, false, false, 0, true},
    {"contrastive, sum", &ak_loss_contrastive, 0, 1.2, false, true, false, 0, true},
    {"triplet hard", &ak_loss_triplet, 0, .5, false, false, false, 0, true},
    {"triplet soft", &ak_loss_triplet, 0, .5, false, false, true, 0, true},
    {"triplet semi-hard", &ak_loss_triplet, 0, .3, false, false, false, 1, true},
    {"triplet all", &ak_loss_triplet, 0, .3, false, false, false, 2, true},
};
enum { SETTINGS = sizeof every_setting / sizeof *every_setting, DISTANCES = 4 };

static bool apply(problem *p, const setting *s, int distance)
{
    p->loss = s->loss;
    p->scale = s->scale;
    p->margin = s->margin;
    p->symmetric = s->symmetric;
    p->size_average = !s->sum;
    p->soft = s->soft;
    p->mining = s->mining;
    p->distance = distance;
    bool refused =
        s->loss == &ak_loss_triplet && !s->soft && s->mining == 0 && distance == AK_DOT_PRODUCT;
    return (distance == 0 || s->distances) && !refused;
}

static void for_every_problem(int64_t objects, int64_t width,
                              void (*what)(const problem *, double *x, const char *, uint64_t *))
{
    uint64_t counter = (uint64_t)(objects * 1000 + width) << 20;
    for (int m = 0; m < MASKS; m++)
        for (int s = 0; s < SETTINGS; s++)
            for (int d = 0; d < DISTANCES; d++) {
                problem *p = random_problem(&every_mask[m], objects, width, &counter);
                if (apply(p, &every_setting[s], d)) {
                    char name[128];
                    snprintf(name, sizeof name, "%s, %s, distance %d, %d objects",
                             every_setting[s].name, every_mask[m].name, d, (int)objects);
                    double *x = random_vectors(p, &counter);
                    what(p, x, name, &counter);
                    free(x);
                }
                free(p);
            }
}

#endif
