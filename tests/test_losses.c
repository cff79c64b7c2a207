/* Losses: golden values, central differences of an independent double implementation, and what must
   hold for every loss whatever its formula. */
#include "losses_reference.h"

#include "base/memory.h"
#include "loss/triplet_rows.h"

#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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
        set_option(loss, options, row->name, row->default_text);
    return options;
}

static akin_status create(void **self, const akin_loss_class *loss, const char *const (*set)[2],
                          int count, akin_error *error)
{
    void *options = options_of(loss);
    for (int i = 0; i < count && set[i][0]; i++)
        set_option(loss, options, set[i][0], set[i][1]);
    akin_status status = loss->create(self, options, 4, 3, NULL, error);
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
    assert_int_equal(p->loss->create(&self, options, p->width, 0, NULL, NULL), AKIN_OK);
    free(options);
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
    p->loss->free(self);
    free(l);
}

/* ---- golden values ---- */

typedef struct golden {
    const char *name;
    const akin_loss_class *loss;
    const char *options[4][2];
    int64_t content[8], group[8];
    float score[4];
    bool has_subgroup, stretched;
    int64_t subgroup[4], known[4][2], known_count;
    double value, gradient[2]; /* d / d x[0][0] and d / d x[5][2] */
} golden;

static const golden goldens[] = {
#include "data/losses_golden.inc"
};

static const double eight[8 * 4] = {.9,  .1, -.3, .2, .7,  .4, -.1, .3,  -.2, .8, .5,
                                    .1,  .1, .9,  .3, -.4, .8, -.2, -.4, .5,  .3, .6,
                                    -.5, .2, -.5, .7, .6,  .3, .2,  .5,  .9,  -.6};

/* By column, for distances that would tie among vectors of round numbers. */
static const double stretch[4] = {1.01, .97, 1.03, .94};

static void check_near(double got, double want, double tolerance, const char *name)
{
    double bound = tolerance * (1 + fabs(want));
    if (!(fabs(got - want) <= bound))
        fail_msg("%s: got %.9g, expected %.9g", name, got, want);
}

static void golden_values_are_met(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof goldens / sizeof *goldens; c++) {
        const golden *g = &goldens[c];
        problem *p = calloc(1, sizeof *p);
        p->loss = g->loss;
        p->known_count = g->known_count;
        memcpy(p->content, g->content, sizeof g->content);
        memcpy(p->known, g->known, sizeof g->known);
        labelled *l = calloc(1, sizeof *l);
        label(l, p);
        l->labels.count = g->loss->kind == AKIN_PAIRS ? 4 : 8;
        l->labels.group = g->group;
        l->labels.score = g->score;
        l->labels.subgroup = g->has_subgroup ? g->subgroup : NULL;

        float x[32], dx[32];
        for (int i = 0; i < 32; i++)
            x[i] = (float)(eight[i] * (g->stretched ? stretch[i % 4] : 1));
        void *self;
        akin_pass pass = {.size = sizeof pass};
        double value;
        assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
        assert_int_equal(create(&self, g->loss, g->options, 4, NULL), AKIN_OK);
        akin_matrix mx = {x, 8, 4, 4}, mdx = {dx, 8, 4, 4};
        assert_int_equal(g->loss->compute(self, &pass, &l->labels, mx, mdx, &value, NULL), AKIN_OK);
        check_near(value, g->value, 2e-6, g->name);
        check_near(dx[0], g->gradient[0], 5e-6, g->name);
        check_near(dx[5 * 4 + 2], g->gradient[1], 5e-6, g->name);
        g->loss->free(self);
        ak_arena_free(pass.arena);
        free(l);
        free(p);
    }
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

static void check_gradient(const problem *p, double *x, const char *name, uint64_t *counter)
{
    run r = {.padding = 3};
    run_loss(&r, p, x);
    assert_int_equal(r.status, AKIN_OK);
    check_near(r.value, ref_loss(p, x), 2e-6, name);
    int64_t stride = p->width + r.padding;
    for (int64_t i = 0; i < p->objects * stride; i++)
        if (i % stride >= p->width)
            assert_true(r.dx[i] == 77);
    for (int64_t probe = 0; probe < 12; probe++) {
        int64_t i = below(counter, (uint64_t)p->objects), k = below(counter, (uint64_t)p->width);
        double *place = &x[i * p->width + k], old = *place, h = 1e-6;
        *place = old + h;
        double up = ref_loss(p, x);
        *place = old - h;
        double down = ref_loss(p, x);
        *place = old;
        check_near(r.dx[i * stride + k], (up - down) / (2 * h), 2e-5, name);
    }
    run_free(&r);
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

static void gradients_are_central_differences(void **state)
{
    (void)state;
    for_every_problem(4, 3, check_gradient);
    for_every_problem(38, 5, check_gradient);
}

static void many_rows_too(void **state)
{
    (void)state;
    uint64_t counter = 1;
    for (int s = 0; s < SETTINGS; s++) {
        problem *p = random_problem(&every_mask[s % 2 ? 2 : 5], 150, 16, &counter);
        apply(p, &every_setting[s], 0);
        double *x = random_vectors(p, &counter);
        check_gradient(p, x, every_setting[s].name, &counter);
        free(x);
        free(p);
    }
}

/* ---- what holds for every loss ---- */

static void check_permutation(const problem *p, double *x, const char *name, uint64_t *counter)
{
    problem *q = malloc(sizeof *q);
    int64_t order[MAX_OBJECTS], n = p->objects, half = p->loss->kind == AKIN_PAIRS ? n / 2 : n;
    double *y = malloc((size_t)(n * p->width) * sizeof *y);
    *q = *p;
    ak_random_permutation(5, (*counter)++, order, half);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = order[i % half] + i / half * half;
        q->content[i] = p->content[from];
        memcpy(y + i * p->width, x + from * p->width, (size_t)p->width * sizeof *y);
    }
    for (int64_t i = 0; i < half; i++) {
        q->group[i] = p->group[order[i]];
        q->score[i] = p->score[order[i]];
        q->subgroup[i] = p->subgroup[order[i]];
    }
    run a = {0}, b = {0};
    run_loss(&a, p, x);
    run_loss(&b, q, y);
    check_near(b.value, a.value, 1e-6, name);
    for (int64_t i = 0; i < n * p->width; i++) {
        int64_t row = i / p->width, from = order[row % half] + row / half * half;
        check_near(b.dx[i], a.dx[from * p->width + i % p->width], 5e-6, name);
    }
    run_free(&a);
    run_free(&b);
    free(y);
    free(q);
}

static void order_of_the_batch_is_no_matter(void **state)
{
    (void)state;
    for_every_problem(38, 5, check_permutation);
}

static void check_threads(const problem *p, double *x, const char *name)
{
    run one = {0};
    omp_set_num_threads(1);
    run_loss(&one, p, x);
    for (int threads = 2; threads < 5; threads++) {
        run more = {0};
        omp_set_num_threads(threads);
        run_loss(&more, p, x);
        size_t bytes = (size_t)(p->objects * p->width) * sizeof(float);
        if (memcmp(&one.value, &more.value, sizeof one.value) || memcmp(one.dx, more.dx, bytes))
            fail_msg("%s: %d threads give other bits", name, threads);
        run_free(&more);
    }
    run_free(&one);
    omp_set_num_threads(1);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    uint64_t counter = 3;
    for (int s = 0; s < SETTINGS; s++)
        for (int d = 0; d < DISTANCES; d++) {
            problem *p = random_problem(&every_mask[5], 200, 24, &counter);
            if (apply(p, &every_setting[s], d)) {
                double *x = random_vectors(p, &counter);
                check_threads(p, x, every_setting[s].name);
                free(x);
            }
            free(p);
        }
}

static void check_memory(const problem *p, double *x, const char *name, uint64_t *counter)
{
    (void)counter;
    labelled *l = calloc(1, sizeof *l);
    float *fx = calloc((size_t)(p->objects * p->width), sizeof *fx), *dx = calloc(1, 1);
    label(l, p);
    dx = realloc(dx, (size_t)(p->objects * p->width) * sizeof *dx);
    for (int64_t i = 0; i < p->objects * p->width; i++)
        fx[i] = (float)x[i];
    akin_matrix mx = ak_matrix(fx, p->objects, p->width), mdx = ak_matrix(dx, mx.rows, mx.columns);
    void *self = create_for(p);
    double value;
    int64_t n = 1;
    for (akin_status status = AKIN_ERR_MEMORY; status; n++) {
        akin_pass pass = {.size = sizeof pass};
        akin_error error = {0};
        assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
        ak_memory_fail_at(n);
        status = p->loss->compute(self, &pass, &l->labels, mx, mdx, &value, &error);
        ak_memory_fail_at(0);
        assert_true(status == AKIN_OK || status == AKIN_ERR_MEMORY);
        assert_int_equal(error.status, status);
        if (!status) { /* a steady state allocates nothing */
            ak_arena_reset(pass.arena);
            ak_memory_fail_at(1);
            status = p->loss->compute(self, &pass, &l->labels, mx, mdx, &value, &error);
            ak_memory_fail_at(0);
            if (status)
                fail_msg("%s: allocates in the second step", name);
        }
        ak_arena_free(pass.arena);
    }
    assert_true(n > 2);
    p->loss->free(self);
    free(l);
    free(fx);
    free(dx);
}

static void failing_allocations_come_out(void **state)
{
    (void)state;
    for_every_problem(38, 5, check_memory);
}

static void check_silence(const problem *given, double *x, const char *name, uint64_t *counter)
{
    problem *p = malloc(sizeof *p);
    run r = {0}, bad = {0};
    *p = *given;
    p->has_subgroup = false;
    for (int64_t i = 0; i < p->objects; i++) {
        p->group[i] = i;
        p->score[i] = 0;
        p->content[i] = i;
    }
    p->margin = p->loss == &ak_loss_contrastive ? 0 : p->margin;
    p->distance = p->loss == &ak_loss_contrastive ? AK_EUCLIDEAN : p->distance;
    run_loss(&r, p, x);
    if (r.value != 0)
        fail_msg("%s: %g without a positive", name, r.value);
    for (int64_t i = 0; i < p->objects * p->width; i++)
        assert_true(r.dx[i] == 0);

    double *place = &x[below(counter, (uint64_t)(p->objects * p->width))];
    *place = below(counter, 2) ? (double)NAN : (double)INFINITY;
    run_loss(&bad, given, x);
    assert_int_equal(bad.status, AKIN_OK);
    if (!isnan(bad.value))
        fail_msg("%s: %g for embeddings that are not finite", name, bad.value);
    run_free(&r);
    run_free(&bad);
    free(p);
}

static void nothing_to_learn_is_zero_and_nan_is_nan(void **state)
{
    (void)state;
    for_every_problem(22, 5, check_silence);
}

/* Two of each group, all at one point and one elsewhere: no division by zero, no NaN. */
static void check_degenerate(const problem *p, double *x, const char *name, uint64_t *counter)
{
    run r = {0};
    (void)counter;
    for (int64_t i = p->width; i < p->objects * p->width; i++)
        x[i] = i < 3 * p->width ? 0 : x[i % p->width];
    run_loss(&r, p, x);
    bool finite = isfinite(r.value);
    for (int64_t i = 0; i < p->objects * p->width; i++)
        finite = finite && isfinite(r.dx[i]);
    if (!finite)
        fail_msg("%s: not finite", name);
    run_free(&r);
}

static void equal_and_zero_rows_are_finite(void **state)
{
    (void)state;
    for_every_problem(22, 5, check_degenerate);
    for_every_problem(2, 3, check_degenerate);
}

static void check_bf16(const problem *p, double *x, const char *name, uint64_t *counter)
{
    run exact = {0}, rounded = {.precision = AKIN_BF16};
    (void)counter;
    run_loss(&exact, p, x);
    run_loss(&rounded, p, x);
    check_near(rounded.value, exact.value, 0.05, name);
    run_free(&exact);
    run_free(&rounded);
}

static void bf16_is_near(void **state)
{
    (void)state;
    for_every_problem(38, 16, check_bf16);
}

/* ---- one by one ---- */

static void a_batch_of_one_pair_many_times(void **state)
{
    (void)state;
    enum { PAIRS = 3000, COLUMNS = 8 };
    int64_t *content = malloc(2 * PAIRS * sizeof *content);
    float *score = malloc(PAIRS * sizeof *score), *x = malloc(2 * PAIRS * COLUMNS * sizeof *x);
    for (int i = 0; i < PAIRS; i++) {
        content[i] = 5;
        content[PAIRS + i] = 6;
        score[i] = 1;
    }
    for (int i = 0; i < 2 * PAIRS * COLUMNS; i++)
        x[i] = (float)(i % 7 - 3);
    akin_labels labels = {.size = sizeof labels,
                          .kind = AKIN_PAIRS,
                          .count = PAIRS,
                          .content = content,
                          .score = score};
    akin_pass pass = {.size = sizeof pass};
    void *self;
    double value = 1;
    assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
    assert_int_equal(create(&self, &ak_loss_multiple_negatives_ranking, NULL, 0, NULL), AKIN_OK);
    assert_int_equal(ak_loss_multiple_negatives_ranking.compute(self, &pass, &labels,
                                                                ak_matrix(x, 2 * PAIRS, COLUMNS),
                                                                (akin_matrix){0}, &value, NULL),
                     AKIN_OK);
    check_near(value, 0, 1e-6, "nothing but known positives"); /* and it takes no cubic time */
    ak_loss_multiple_negatives_ranking.free(self);
    ak_arena_free(pass.arena);
    free(content);
    free(score);
    free(x);
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *options[3][2];
        const char *part; /* NULL: accepted */
    } rows[] = {
        {{{"distance", "dot_product"}}, "dot_product"},
        {{{"distance", "dot_product"}, {"mining", "semi_hard"}}, NULL},
        {{{"distance", "dot_product"}, {"soft", "true"}}, NULL},
        {{{"soft", "true"}, {"mining", "all"}}, "not with all"},
        {{{"soft", "true"}, {"mining", "semi_hard"}}, "not with semi_hard"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *self = &self;
        akin_error error = {0};
        akin_status status = create(&self, &ak_loss_triplet, rows[i].options, 3, &error);
        assert_int_equal(status, rows[i].part ? AKIN_ERR_ARGUMENT : AKIN_OK);
        if (rows[i].part) {
            assert_null(self);
            assert_non_null(strstr(error.message, rows[i].part));
        } else {
            ak_loss_triplet.free(self);
        }
    }
}

static void every_listed_loss_is_whole(void **state)
{
    (void)state;
    int count = 0;
    for (; ak_losses[count]; count++) {
        const akin_loss_class *loss = ak_losses[count];
        void *self = &self, *options = options_of(loss);
        assert_int_equal(loss->size, sizeof *loss);
        assert_true(loss->name && loss->summary && loss->compute && loss->free);
        if (count)
            assert_true(strcmp(ak_losses[count - 1]->name, loss->name) < 0);
        ak_memory_fail_at(1);
        assert_int_equal(loss->create(&self, options, 4, 2, NULL, NULL), AKIN_ERR_MEMORY);
        ak_memory_fail_at(0);
        assert_null(self);
        free(options);
    }
    assert_int_equal(count, 3);
}

static void sorting_is_stable_and_right(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 47, 48, 49, 300, 1000};
    ak_keyed items[1000], scratch[1000];
    uint64_t counter = 99;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int64_t i = 0; i < sizes[s]; i++) {
            uint32_t key = (uint32_t)below(&counter, i % 3 ? 1ull << 32 : 10);
            items[i] = (ak_keyed){key, (int32_t)i};
        }
        ak_sort_keyed(items, scratch, sizes[s]);
        for (int64_t i = 1; i < sizes[s]; i++)
            assert_true(items[i - 1].key < items[i].key ||
                        (items[i - 1].key == items[i].key && items[i - 1].at < items[i].at));
    }
}

/* ---- the collapse ---- */

/* 32 random vectors in groups that mean nothing, through y = x W + b, trained by gradient descent.
   Nothing true can be learnt: the farthest positive stays farther than the nearest negative, and
   bringing everything to one point, which makes d+ - d- + m equal to m, is the easy way out. */
enum { OBJECTS = 32, WIDTH = 4, STEPS = 1500 };

static double collapse_distance(const float *y, int64_t i, int64_t j)
{
    double a[WIDTH], b[WIDTH];
    for (int k = 0; k < WIDTH; k++) {
        a[k] = (double)y[i * WIDTH + k];
        b[k] = (double)y[j * WIDTH + k];
    }
    return 1 - ref_cosine(a, b, WIDTH);
}

/* dy += weight * d distance(y_i, y_j) / d y_i */
static void pull(const float *y, int64_t i, int64_t j, double weight, float *dy)
{
    double s = 1 - collapse_distance(y, i, j), own = 0, other = 0;
    for (int k = 0; k < WIDTH; k++) {
        own += pow((double)y[i * WIDTH + k], 2);
        other += pow((double)y[j * WIDTH + k], 2);
    }
    own = sqrt(own);
    other = sqrt(other);
    for (int k = 0; k < WIDTH; k++)
        dy[i * WIDTH + k] -=
            (float)(weight / own *
                    ((double)y[j * WIDTH + k] / other - s * (double)y[i * WIDTH + k] / own));
}

/* The gradient of mean [d+ - d- + m]+: triplet hard without its divisor. */
static void undivided(const float *y, const int64_t *group, float *dy)
{
    memset(dy, 0, OBJECTS * WIDTH * sizeof *dy);
    for (int64_t i = 0; i < OBJECTS; i++) {
        int64_t p = -1, n = -1;
        for (int64_t j = 0; j < OBJECTS; j++) {
            double d = collapse_distance(y, i, j);
            if (j != i && group[j] == group[i] && (p < 0 || d > collapse_distance(y, i, p)))
                p = j;
            if (group[j] != group[i] && (n < 0 || d < collapse_distance(y, i, n)))
                n = j;
        }
        if (collapse_distance(y, i, p) - collapse_distance(y, i, n) + 0.5 <= 0)
            continue;
        pull(y, i, p, 1.0 / OBJECTS, dy);
        pull(y, p, i, 1.0 / OBJECTS, dy);
        pull(y, i, n, -1.0 / OBJECTS, dy);
        pull(y, n, i, -1.0 / OBJECTS, dy);
    }
}

static void divided(float *y, const int64_t *group, const int64_t *content, float *dy)
{
    akin_labels labels = {.size = sizeof labels,
                          .kind = AKIN_GROUPS,
                          .count = OBJECTS,
                          .content = content,
                          .group = group,
                          .groups = 8};
    akin_pass pass = {.size = sizeof pass};
    double value;
    void *self;
    assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
    assert_int_equal(create(&self, &ak_loss_triplet, NULL, 0, NULL), AKIN_OK);
    assert_int_equal(ak_loss_triplet.compute(self, &pass, &labels, ak_matrix(y, OBJECTS, WIDTH),
                                             ak_matrix(dy, OBJECTS, WIDTH), &value, NULL),
                     AKIN_OK);
    ak_loss_triplet.free(self);
    ak_arena_free(pass.arena);
}

static double mean_distance_after_training(bool divide)
{
    float x[OBJECTS * (WIDTH + 1)], y[OBJECTS * WIDTH], dy[OBJECTS * WIDTH];
    float weight[(WIDTH + 1) * WIDTH] = {0}; /* the last row is the bias */
    int64_t group[OBJECTS], content[OBJECTS];
    uint64_t counter = 12345;
    for (int i = 0; i < OBJECTS; i++) {
        group[i] = i % 8;
        content[i] = i;
        for (int k = 0; k <= WIDTH; k++)
            x[i * (WIDTH + 1) + k] = k < WIDTH ? (float)uniform(&counter) : 1;
    }
    for (int k = 0; k < WIDTH; k++)
        weight[k * WIDTH + k] = 1;
    for (int step = 0; step <= STEPS; step++) {
        ak_gemm(AKIN_F32, AK_PLAIN, AK_PLAIN, OBJECTS, WIDTH, WIDTH + 1, 1, x, WIDTH + 1, weight,
                WIDTH, 0, y, WIDTH);
        if (divide)
            divided(y, group, content, dy);
        else
            undivided(y, group, dy);
        ak_gemm(AKIN_F32, AK_TRANSPOSED, AK_PLAIN, WIDTH + 1, WIDTH, OBJECTS, -0.1f, x, WIDTH + 1,
                dy, WIDTH, 1, weight, WIDTH);
    }
    double sum = 0;
    for (int i = 0; i < OBJECTS; i++)
        for (int j = 0; j < OBJECTS; j++)
            sum += collapse_distance(y, i, j) / (OBJECTS * (OBJECTS - 1));
    return sum;
}

static void the_divisor_keeps_vectors_apart(void **state)
{
    (void)state;
    double without = mean_distance_after_training(false), with = mean_distance_after_training(true);
    assert_true(without < 0.05);
    assert_true(with > 0.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_values_are_met),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(many_rows_too),
        cmocka_unit_test(order_of_the_batch_is_no_matter),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(failing_allocations_come_out),
        cmocka_unit_test(nothing_to_learn_is_zero_and_nan_is_nan),
        cmocka_unit_test(equal_and_zero_rows_are_finite),
        cmocka_unit_test(bf16_is_near),
        cmocka_unit_test(a_batch_of_one_pair_many_times),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(every_listed_loss_is_whole),
        cmocka_unit_test(sorting_is_stable_and_right),
        cmocka_unit_test(the_divisor_keeps_vectors_apart),
    };
    omp_set_num_threads(1); /* thousands of tiny steps: threads would only wait for each other */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
