/* The collapse of triplet losses, and that the division by the mean negative distance prevents it.

   32 random vectors in groups that mean nothing, through y = x W + b, trained by gradient descent.
   Nothing true can be learnt: the farthest positive stays farther than the nearest negative, and
   bringing everything to one point, which makes d+ - d- + m equal to m, is the easy way out. */
#include "base/options.h"
#include "base/random.h"
#include "loss/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OBJECTS = 32, WIDTH = 4, STEPS = 1500 };

static double collapse_distance(const float *y, int64_t i, int64_t j)
{
    double ab = 0, aa = 0, bb = 0;
    for (int k = 0; k < WIDTH; k++) {
        ab += (double)y[i * WIDTH + k] * (double)y[j * WIDTH + k];
        aa += pow((double)y[i * WIDTH + k], 2);
        bb += pow((double)y[j * WIDTH + k], 2);
    }
    return 1 - ab / sqrt(aa * bb);
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
    void *options = calloc(1, ak_loss_triplet.options_size);
    assert_int_equal(ak_arena_create(&pass.arena, NULL), AKIN_OK);
    assert_int_equal(ak_options_defaults(ak_loss_triplet.options, options, pass.arena, NULL),
                     AKIN_OK);
    assert_int_equal(ak_loss_triplet.compute(options, &pass, &labels, ak_matrix(y, OBJECTS, WIDTH),
                                             ak_matrix(dy, OBJECTS, WIDTH), &value, NULL),
                     AKIN_OK);
    free(options);
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
            x[i * (WIDTH + 1) + k] =
                k < WIDTH ? (float)(2 * ak_random_uniform(7, 1, counter++) - 1) : 1;
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
        cmocka_unit_test(the_divisor_keeps_vectors_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
