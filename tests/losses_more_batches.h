/* Running the losses of losses_more_reference.h, each with some options, on batches of many kinds.
 */
#ifndef AK_TESTS_LOSSES_MORE_BATCHES_H
#define AK_TESTS_LOSSES_MORE_BATCHES_H

#include "losses_more_reference.h"

#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct setting {
    const char *name;
    const akin_loss_class *loss;
    reference *reference;
    settings values;
    const char *options[3][2];  /* the same, where they are not the defaults */
    double golden, gradient[2]; /* on the scene of eight: the value, d / d x[0][0], d / d x[5][2] */
    bool classes;               /* has class rows */
} setting;

static const setting all_settings[] = {
#include "data/losses_more.inc"
};
enum { SETTINGS = sizeof all_settings / sizeof *all_settings };

static void check_near(double got, double want, double tolerance, const char *name)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s: got %.9g, expected %.9g", name, got, want);
}

/* ---- running a loss ---- */

static int choice_of(const char *choices, const char *text)
{
    const char *found = strstr(choices, text);
    int number = 0;
    assert_non_null(found);
    for (const char *c = choices; c < found; c++)
        number += *c == '|';
    return number;
}

static void set_option(const akin_option *row, void *options, const char *text)
{
    char *place = (char *)options + row->offset;
    if (row->type == AKIN_OPTION_FLOAT)
        *(double *)place = strtod(text, NULL);
    else if (row->type == AKIN_OPTION_INT)
        *(int64_t *)place = strtoll(text, NULL, 10);
    else if (row->type == AKIN_OPTION_BOOL)
        *(bool *)place = !strcmp(text, "true");
    else
        *(int *)place = choice_of(row->choices, text);
}

static void *options_of(const setting *s)
{
    void *options = calloc(1, s->loss->options_size + 1);
    for (const akin_option *row = s->loss->options; row->name; row++) {
        set_option(row, options, row->default_text);
        for (int i = 0; i < 3 && s->options[i][0]; i++)
            if (!strcmp(s->options[i][0], row->name))
                set_option(row, options, s->options[i][1]);
    }
    return options;
}

typedef struct run {
    const setting *setting;
    akin_parameters *parameters;
    void *self, *options;
    akin_pass pass;
    akin_labels labels;
    int64_t stride;
    float *x, *dx;
    const float *dw; /* groups x width, NULL without class rows */
    double value;
} run;

static void open_run(run *r, const setting *s, const scene *p, const double *x, const double *w,
                     int64_t padding)
{
    void *options = options_of(s);
    *r = (run){.setting = s, .options = options, .pass = {.size = sizeof r->pass}, .stride = p->width + padding};
    r->labels = (akin_labels){.size = sizeof r->labels,
                              .kind = s->loss->kind,
                              .count = p->samples,
                              .content = p->content,
                              .group = p->group,
                              .groups = p->groups,
                              .score = p->score};
    assert_int_equal(ak_arena_create(&r->pass.arena, NULL), AKIN_OK);
    assert_int_equal(akin_parameters_create(&r->parameters, NULL), AKIN_OK);
    assert_int_equal(ak_loss_object(&r->self, s->loss, options, p->width, p->groups, r->parameters,
                                    NULL),
                     AKIN_OK);
    assert_int_equal(akin_parameters_seal(r->parameters, 1, NULL), AKIN_OK);
    assert_int_equal(ak_parameters_train(r->parameters, NULL), AKIN_OK);
    assert_int_equal(ak_parameters_count(r->parameters), s->classes);
    if (s->classes) {
        akin_parameter *classes = akin_parameters_get(r->parameters, 0);
        for (int64_t i = 0; i < p->groups * p->width; i++)
            classes->value[i] = (float)w[i];
        r->dw = classes->grad;
    }
    r->x = calloc((size_t)(p->objects * r->stride), sizeof(float));
    r->dx = calloc((size_t)(p->objects * r->stride), sizeof(float));
    for (int64_t i = 0; i < p->objects * r->stride; i++) {
        r->dx[i] = 77; /* must be written over, but not between rows */
        if (i % r->stride < p->width)
            r->x[i] = (float)x[i / r->stride * p->width + i % r->stride];
    }
}

static akin_status compute(run *r, const scene *p, bool gradient)
{
    akin_matrix x = {r->x, p->objects, p->width, r->stride}, dx = x;
    dx.data = gradient ? r->dx : NULL;
    return r->setting->loss->compute(r->self, &r->pass, &r->labels, x, dx, &r->value, NULL);
}

static void run_loss(run *r, const setting *s, const scene *p, const double *x, const double *w)
{
    open_run(r, s, p, x, w, 3);
    assert_int_equal(compute(r, p, false), AKIN_OK);
    double alone = r->value;
    for (int64_t i = 0; r->dw && i < p->groups * p->width; i++)
        assert_true(r->dw[i] == 0); /* looking on teaches nothing */
    ak_arena_reset(r->pass.arena);
    assert_int_equal(compute(r, p, true), AKIN_OK);
    assert_memory_equal(&alone, &r->value, sizeof alone);
    for (int64_t i = 0; i < p->objects * r->stride; i++)
        if (i % r->stride >= p->width)
            assert_true(r->dx[i] == 77);
}

static void close_run(run *r)
{
    ak_loss_object_free(r->self, r->setting->loss);
    free(r->options);
    akin_parameters_free(r->parameters);
    ak_arena_free(r->pass.arena);
    free(r->x);
    free(r->dx);
}

/* ---- scenes ---- */

static const double eight[8 * 4] = {.9,  .1, -.3, .2, .7,  .4, -.1, .3,  -.2, .8, .5,
                                    .1,  .1, .9,  .3, -.4, .8, -.2, -.4, .5,  .3, .6,
                                    -.5, .2, -.5, .7, .6,  .3, .2,  .5,  .9,  -.6};
static const double three[3 * 4] = {.5, .2, -.1, .3, -.3, .6, .4, .1, .2, .3, -.7, .2};

static scene scene_of_eight(const setting *s)
{
    scene p = {.samples = s->loss->kind == AKIN_PAIRS ? 4 : 8,
               .objects = 8,
               .width = 4,
               .groups = 3,
               .content = {0, 1, 2, 3, 4, 5, 6, 7},
               .group = {0, 0, 1, 1, 0, 2, 1, 2},
               .score = {.9f, .1f, .6f, .3f}};
    return p;
}

typedef struct masks {
    const char *name;
    uint64_t contents, groups; /* contents 0: all different */
    int64_t known;             /* groups that the training set has */
} masks;

static const masks every_mask[] = {{"plain", 0, 4, 4},
                                   {"equal contents", 20, 3, 3},
                                   {"lonely", 0, 200, 200},
                                   {"one group", 0, 1, 1},
                                   {"groups of validation only", 30, 9, 6}};
enum { MASKS = sizeof every_mask / sizeof *every_mask };

typedef struct stage {
    scene p;
    double *x, *w;
} stage;

static void fill_stage(stage *t, const setting *s, const masks *m, int64_t objects, int64_t width,
                       uint64_t seed)
{
    *t = (stage){.p = {.samples = s->loss->kind == AKIN_PAIRS ? objects / 2 : objects,
                       .objects = objects,
                       .width = width,
                       .groups = m->known}};
    t->x = calloc((size_t)(objects * width), sizeof(double));
    t->w = calloc((size_t)(m->known * width), sizeof(double));
    for (int64_t i = 0; i < objects; i++) {
        uint64_t at = (uint64_t)i;
        t->p.content[i] = m->contents ? (int64_t)ak_random_below(seed, 1, at, m->contents) : i;
        t->p.group[i] = (int64_t)ak_random_below(seed, 2, at, m->groups);
        t->p.score[i] = 0.25f * (float)ak_random_below(seed, 3, at, 5);
        for (int64_t k = 0; k < width; k++) {
            double centre = ak_random_normal(5, (uint64_t)(t->p.group[i] % 5), (uint64_t)k);
            double own = ak_random_normal(seed, 6 + at, (uint64_t)k);
            t->x[i * width + k] = (double)(float)(0.5 * centre + 0.8 * own);
        }
    }
    for (int64_t i = 0; i < m->known * width; i++)
        t->w[i] = (double)(float)ak_random_normal(seed, 4, (uint64_t)i);
}

static void clear_stage(stage *t)
{
    free(t->x);
    free(t->w);
}

typedef void check_function(const setting *s, stage *t, const char *name);

static void for_every_stage(int64_t objects, int64_t width, check_function *check)
{
    for (int m = 0; m < MASKS; m++)
        for (int s = 0; s < SETTINGS; s++) {
            stage t;
            char name[128];
            snprintf(name, sizeof name, "%s, %s, %d objects", all_settings[s].name,
                     every_mask[m].name, (int)objects);
            fill_stage(&t, &all_settings[s], &every_mask[m], objects, width,
                       (uint64_t)(s * 100 + m));
            check(&all_settings[s], &t, name);
            clear_stage(&t);
        }
}

#endif
