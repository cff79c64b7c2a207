/* A head with its options and parameters, and what a case of a head's table is. heads_checks.h has
   the tests every such table goes through. */
#ifndef AKIN_TEST_HEADS_SCENE_H
#define AKIN_TEST_HEADS_SCENE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "model/heads.h"

static akin_error error;

static float noise(uint64_t stream, int64_t i)
{
    return (float)(2 * ak_random_uniform(11, stream, (uint64_t)i) - 1);
}

/* ---- a head with its options and parameters ---- */

typedef struct setting {
    const char *name, *text;
} setting;

typedef struct fixture {
    const akin_head_class *type;
    void *self, *options;
    akin_parameters *parameters;
    akin_arena *arena;
    int64_t in, out;
} fixture;

static void fixture_close(fixture *f)
{
    if (f->self)
        f->type->free(f->self);
    akin_parameters_free(f->parameters);
    ak_free(f->options);
    ak_arena_free(f->arena);
    memset(f, 0, sizeof *f);
}

static akin_status fixture_open(fixture *f, const char *name, const setting *settings, int64_t in)
{
    memset(f, 0, sizeof *f);
    for (int i = 0; ak_heads[i]; i++)
        if (strcmp(ak_heads[i]->name, name) == 0)
            f->type = ak_heads[i];
    assert_non_null(f->type);
    f->in = in;
    AK_TRY(ak_arena_create(&f->arena, &error));
    if (!(f->options = ak_calloc(1, f->type->options_size)))
        return AKIN_ERR_MEMORY;
    AK_TRY(ak_options_defaults(f->type->options, f->options, f->arena, &error));
    for (; settings && settings->name; settings++)
        for (const akin_option *row = f->type->options; row->name; row++)
            if (strcmp(row->name, settings->name) == 0)
                AK_TRY(ak_option_set(row, f->options, settings->text, f->arena, &error));
    AK_TRY(akin_parameters_create(&f->parameters, &error));
    AK_TRY(f->type->create(&f->self, f->options, in, f->parameters, &f->out, &error));
    AK_TRY(akin_parameters_seal(f->parameters, 42, &error));
    return ak_parameters_train(f->parameters, &error);
}

static void must_open(fixture *f, const char *name, const setting *settings, int64_t in)
{
    assert_int_equal(fixture_open(f, name, settings, in), AKIN_OK);
}

/* Away from the special values that heads start with. */
static void shake(fixture *f)
{
    for (int p = 0; p < ak_parameters_count(f->parameters); p++) {
        akin_parameter *one = akin_parameters_get(f->parameters, p);
        for (int64_t i = 0; i < one->rows * one->columns; i++)
            one->value[i] = noise(100 + (uint64_t)p, i);
    }
}

static akin_matrix new_matrix(akin_arena *arena, uint64_t stream, int64_t rows, int64_t columns)
{
    akin_matrix x = ak_matrix_columns(ak_matrix_new(arena, rows, columns + 5), 0, columns);
    assert_non_null(x.data);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            x.data[i * x.stride + j] = noise(stream, i * columns + j);
    return x;
}

static const akin_pass training = {
    .size = sizeof(akin_pass), .training = true, .seed = 9, .step = 4};

static akin_pass pass_of(const fixture *f, bool is_training)
{
    akin_pass pass = training;
    pass.arena = f->arena;
    pass.training = is_training;
    return pass;
}

static akin_matrix serve(const fixture *f, akin_matrix x)
{
    akin_pass pass = pass_of(f, false);
    void *record = &pass;
    akin_matrix y = new_matrix(f->arena, 77, x.rows, f->out);
    assert_int_equal(f->type->forward(f->self, &pass, x, y, &record, &error), AKIN_OK);
    assert_null(record);
    return y;
}

/* ---- what a reference in float64 works on ---- */

typedef struct reference {
    int64_t n, in, out;
    int layers;            /* skip_connection */
    int rank;              /* linear */
    const float *masks[4]; /* of the input, then of the layers: n x in, what ones become */
    const double *p;       /* parameters, one after the other as they were added */
} reference;

typedef void row_function(const reference *r, int64_t i, double *x, double *y);

typedef struct head_case {
    const char *title, *type;
    setting settings[5];
    int64_t n, in;
    row_function *row;
    int layers, rank;
} head_case;

#endif
