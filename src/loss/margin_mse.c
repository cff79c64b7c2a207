/* Margin-MSE (Hofstätter et al., "Improving efficient neural ranking models with cross-architecture
   knowledge distillation", 2020): what is nearer, and by how much, is to be as it is to the
   teacher. With distances D of the student and T of the teacher, over pairs i of score > .5 and
   their negatives j,

       L = mean_ij ((D_ij - D_ii) - (T_ij - T_ii))^2,   D_ij = D(a_i, b_j).

   Negatives are the other b's of the batch but those equal to a_i or b_i; or (given) only those of
   pairs (a_i, b_j) of score <= .5. */
#include "loss/loss.h"
#include "loss/taught.h"

#include <string.h>

enum { BATCH, GIVEN };

typedef struct options {
    int distance, negatives;
} options;

static const akin_option option_rows[] = {
    {.name = "negatives",
     .type = AKIN_OPTION_CHOICE,
     .offset = offsetof(options, negatives),
     .default_text = "batch",
     .choices = "batch|given",
     .help = "all other b's of the batch, or those that pairs of score 0 give the same a"},
    AK_LOSS_DISTANCE_OPTION(options, distance),
    {0},
};

static akin_status describe(const void *given, akin_loss_traits *traits, akin_error *error)
{
    (void)given, (void)error;
    traits->teacher = true;
    return AKIN_OK;
}

static bool is_negative(const ak_taught *t, int negatives, int64_t i, int64_t j)
{
    const akin_labels *l = t->labels;
    const int64_t *content = l->content;
    if (content[t->first + i] == content[t->first + j] || ak_taught_is_anchor(t, i, j))
        return false;
    return negatives == BATCH || (l->score[j] <= 0.5f && content[i] == content[j]);
}

/* Row i of the teacher's distances becomes the gradient by the student's, but for the factor;
   returns the sum of squares, and how many there are. */
static double compare_row(const ak_taught *t, int negatives, int64_t i, int64_t *count)
{
    const float *own = t->student.data + i * t->student.stride;
    float *teacher = t->teacher.data + i * t->teacher.stride;
    double positive = (double)own[i] - (double)teacher[i], squares = 0, sum = 0;
    *count = 0;
    for (int64_t j = 0; j < t->student.columns; j++) {
        bool counts = t->labels->score[i] > 0.5f && is_negative(t, negatives, i, j);
        double off = counts ? (double)own[j] - (double)teacher[j] - positive : 0;
        *count += counts;
        squares += off * off;
        sum += off;
        teacher[j] = (float)off;
    }
    teacher[i] = (float)-sum; /* a pair is no negative of itself */
    return squares;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const options *o = self;
    ak_taught t;
    ak_space space;
    AK_TRY(ak_taught_check(ak_loss_margin_mse.name, labels, x, error));
    AK_TRY(ak_space_init(&space, AK_DOT_PRODUCT, pass, x, error));
    if (!space.finite)
        return ak_loss_nothing(&space, dx, value);
    AK_TRY(ak_taught_distances(&t, (ak_distance)o->distance, pass, labels, x, error));
    int64_t rows = t.student.rows, all = 0, *counts = ak_arena_new(pass->arena, int64_t, rows);
    double sum = 0, *squares = ak_arena_new(pass->arena, double, rows);
    if (!counts || !squares)
        return ak_fail_memory(error);
#pragma omp parallel for schedule(static) if (rows * t.student.columns >= AK_PARALLEL_FROM)
    for (int64_t i = 0; i < rows; i++)
        squares[i] = compare_row(&t, o->negatives, i, &counts[i]);
    for (int64_t i = 0; i < rows; i++) {
        sum += squares[i];
        all += counts[i];
    }
    if (!all)
        return ak_loss_nothing(&space, dx, value);
    *value = sum / (double)all;
    if (!dx.data)
        return AKIN_OK;
    for (int64_t i = 0; i < rows; i++)
        ak_scale((float)(2 / (double)all), t.teacher.data + i * t.teacher.stride,
                 t.teacher.columns);
    return ak_taught_backward(&t, t.teacher, x, dx, error);
}

const akin_loss_class ak_loss_margin_mse = {
    .size = sizeof(akin_loss_class),
    .name = "margin_mse",
    .summary = "pairs: a b is nearer than another by as much as to the teacher",
    .kind = AKIN_PAIRS,
    .options = option_rows,
    .options_size = sizeof(options),
    .compute = compute,
    .describe = describe,
};
