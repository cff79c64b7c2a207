/* Losses made of losses: what they compute is what their parts do, and every mistake is told. */
#include "support.h"

#include "train/train.h"

#include <math.h>

enum { ROWS = 12, WIDTH = 8, GROUPS = 4 };

static akin_context *context;
static akin_arena *arena;
static akin_error error;

static int set_up(void **state)
{
    (void)state;
    return ak_arena_create(&arena, NULL) || akin_context_create(&context, NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    akin_context_free(context);
    ak_arena_free(arena);
    return 0;
}

static int64_t numbers[2 * ROWS], groups[ROWS];
static float scores[ROWS];

static akin_labels labels_of(akin_sample_kind kind)
{
    bool pairs = kind == AKIN_PAIRS;
    for (int64_t i = 0; i < 2 * ROWS; i++)
        numbers[i] = i;
    for (int64_t i = 0; i < ROWS; i++) {
        groups[i] = i % GROUPS;
        scores[i] = (float)(i % 3) / 2;
    }
    return (akin_labels){.size = sizeof(akin_labels),
                         .kind = kind,
                         .count = pairs ? ROWS / 2 : ROWS,
                         .content = numbers,
                         .group = groups,
                         .groups = GROUPS,
                         .score = scores};
}

static akin_matrix noise(int64_t rows, int64_t columns)
{
    akin_matrix x = ak_matrix_new(arena, rows, columns);
    assert_non_null(x.data);
    for (int64_t i = 0; i < rows * columns; i++)
        x.data[i] = (float)ak_random_normal(3, 1, (uint64_t)i);
    return x;
}

static akin_loss *open_loss(const char *type, const char *options, int64_t dim)
{
    akin_loss *loss;
    if (akin_loss_create(&loss, context, type, options, &error) ||
        ak_loss_open(loss, dim, GROUPS, 5, &error) || ak_parameters_train(loss->parameters, &error))
        fail_msg("%s %s: %s", type, options, error.message);
    return loss;
}

typedef struct outcome {
    double value;
    akin_matrix dx;
} outcome;

static outcome compute(const akin_loss *loss, akin_matrix x)
{
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true, .seed = 1};
    akin_labels labels = labels_of(loss->traits.kind);
    outcome out = {.dx = ak_matrix_new(arena, x.rows, x.columns)};
    memset(out.dx.data, 0xff, (size_t)(x.rows * x.columns) * sizeof(float));
    if (loss->type->compute(loss->self, &pass, &labels, x, out.dx, &out.value, &error))
        fail_msg("%s", error.message);
    return out;
}

static void check_near(double got, double want, const char *what)
{
    if (!(fabs(got - want) <= 2e-6 * (1 + fabs(want))))
        fail_msg("%s: got %.9g, expected %.9g", what, got, want);
}

static akin_parameter *parameter(const akin_loss *loss, const char *name)
{
    for (int p = 0; p < ak_parameters_count(loss->parameters); p++)
        if (!strcmp(akin_parameters_get(loss->parameters, p)->name, name))
            return akin_parameters_get(loss->parameters, p);
    fail_msg("there is no parameter \"%s\"", name);
    return NULL;
}

/* ---- sum ---- */

static void sums_are_weighted(void **state)
{
    (void)state;
    static const struct {
        const char *sum, *first, *second, *first_options, *second_options;
        double weight[2];
    } table[] = {
        {"{losses: [supcon, {type: triplet, mining: all}], weights: [0.7, 0.25]}",
         "supcon",
         "triplet",
         NULL,
         "{mining: all}",
         {0.7, 0.25}},
        {"{losses: [{type: circle}, supcon]}", "circle", "supcon", NULL, NULL, {1, 1}},
        {"{losses: [cosent, cosine_similarity], weights: [0, 3]}",
         "cosent",
         "cosine_similarity",
         NULL,
         NULL,
         {0, 3}},
        {"{losses: {type: sum, losses: [circle, supcon], weights: [2, 2]}}",
         "circle",
         "supcon",
         NULL,
         NULL,
         {2, 2}},
    };
    akin_matrix x = noise(ROWS, WIDTH);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        akin_loss *sum = open_loss("sum", table[i].sum, WIDTH);
        akin_loss *parts[] = {open_loss(table[i].first, table[i].first_options, WIDTH),
                              open_loss(table[i].second, table[i].second_options, WIDTH)};
        outcome whole = compute(sum, x), part[] = {compute(parts[0], x), compute(parts[1], x)};
        const double *w = table[i].weight;
        check_near(whole.value, w[0] * part[0].value + w[1] * part[1].value, table[i].sum);
        for (int64_t k = 0; k < ROWS * WIDTH; k++)
            check_near(whole.dx.data[k], w[0] * part[0].dx.data[k] + w[1] * part[1].dx.data[k],
                       table[i].sum);
        akin_loss_free(sum);
        akin_loss_free(parts[0]);
        akin_loss_free(parts[1]);
    }
}

/* What was in the gradient before is not weighted. */
static void parameters_of_parts_are_weighted_too(void **state)
{
    (void)state;
    akin_matrix x = noise(ROWS, WIDTH);
    akin_loss *sum =
        open_loss("sum", "{losses: [{type: cosface, scale: 4}, center], weights: [0.5, 3]}", WIDTH);
    akin_loss *cosface = open_loss("cosface", "{scale: 4}", WIDTH);
    akin_loss *center = open_loss("center", NULL, WIDTH);
    akin_parameter *own[] = {parameter(sum, "0.classes"), parameter(sum, "1.classes")};
    akin_parameter *alone[] = {parameter(cosface, "classes"), parameter(center, "classes")};
    for (int p = 0; p < 2; p++) {
        memcpy(alone[p]->value, own[p]->value, GROUPS * WIDTH * sizeof(float));
        for (int k = 0; k < GROUPS * WIDTH; k++)
            own[p]->grad[k] = 10;
    }
    double value = compute(sum, x).value;
    check_near(value, 0.5 * compute(cosface, x).value + 3 * compute(center, x).value, "value");
    for (int k = 0; k < GROUPS * WIDTH; k++) {
        check_near(own[0]->grad[k], 10 + 0.5 * (double)alone[0]->grad[k], "cosface");
        check_near(own[1]->grad[k], 10 + 3 * (double)alone[1]->grad[k], "center");
    }
    akin_loss_free(sum);
    akin_loss_free(cosface);
    akin_loss_free(center);
}

/* ---- matryoshka ---- */

static void prefixes_are_losses_of_their_own(void **state)
{
    (void)state;
    static const struct {
        const char *type, *options, *matryoshka;
    } table[] = {
        {"supcon", NULL, "{loss: supcon, dims: [8, 3], weights: [1, 0.5]}"},
        {"multiple_negatives_ranking", "{symmetric: true}",
         "{loss: {type: multiple_negatives_ranking, symmetric: true}, dims: [8, 3], "
         "weights: [1, 0.5]}"},
    };
    akin_matrix x = noise(ROWS, WIDTH), cut = ak_matrix_columns(x, 0, 3);
    for (size_t i = 0; i < 2; i++) {
        akin_loss *whole = open_loss("matryoshka", table[i].matryoshka, WIDTH);
        akin_loss *part = open_loss(table[i].type, table[i].options, WIDTH);
        outcome got = compute(whole, x), full = compute(part, x), prefix = compute(part, cut);
        check_near(got.value, full.value + 0.5 * prefix.value, table[i].type);
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t c = 0; c < WIDTH; c++)
                check_near(got.dx.data[r * WIDTH + c],
                           full.dx.data[r * WIDTH + c] +
                               (c < 3 ? 0.5 * prefix.dx.data[r * 3 + c] : 0),
                           table[i].type);
        akin_loss_free(whole);
        akin_loss_free(part);
    }
}

static void matryoshka_has_classes_for_every_prefix(void **state)
{
    (void)state;
    akin_loss *loss =
        open_loss("matryoshka", "{loss: {type: cosface, scale: 4}, dims: [8, 2]}", WIDTH);
    assert_int_equal(parameter(loss, "0.classes")->columns, 8);
    assert_int_equal(parameter(loss, "1.classes")->columns, 2);
    outcome got = compute(loss, noise(ROWS, WIDTH));
    assert_true(got.value > 0 && parameter(loss, "1.classes")->grad[0] != 0);
    /* the base of a head that widens has shorter vectors: there is no loss */
    assert_true(isnan(compute(loss, noise(ROWS, 5)).value));
    akin_loss_free(loss);
}

/* ---- traits and mistakes ---- */

static void traits_are_those_of_the_parts(void **state)
{
    (void)state;
    static const struct {
        const char *type, *options;
        akin_sample_kind kind;
        bool collapses;
    } table[] = {
        {"center", NULL, AKIN_GROUPS, true},
        {"supcon", NULL, AKIN_GROUPS, false},
        {"sum", "{losses: [center, supcon]}", AKIN_GROUPS, false},
        {"sum", "{losses: [supcon, center]}", AKIN_GROUPS, false},
        {"sum", "{losses: center}", AKIN_GROUPS, true},
        {"sum", "{losses: [cosent, contrastive]}", AKIN_PAIRS, false},
        {"matryoshka", "{loss: center, dims: 4}", AKIN_GROUPS, true},
        {"matryoshka", "{loss: {type: sum, losses: [cosent]}, dims: 4}", AKIN_PAIRS, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        akin_loss *loss;
        assert_int_equal(akin_loss_create(&loss, context, table[i].type, table[i].options, &error),
                         AKIN_OK);
        assert_int_equal(loss->traits.kind, table[i].kind);
        assert_int_equal(loss->traits.collapses, table[i].collapses);
        akin_loss_free(loss);
    }
}

static void mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *type, *options, *part;
        akin_status status;
    } table[] = {
        {"sum", NULL, "sum: \"losses\" is empty", AKIN_ERR_ARGUMENT},
        {"sum", "{losses: []}", "sum: \"losses\" is empty", AKIN_ERR_ARGUMENT},
        {"sum", "{losses: [supcon], weights: [1, 2]}", "sum: 1 \"losses\" but 2 \"weights\"",
         AKIN_ERR_ARGUMENT},
        {"sum", "{losses: [supcon], weights: -1}", "\"weights\" is -1", AKIN_ERR_ARGUMENT},
        {"sum", "{losses: [supcon, cosent]}",
         "the loss \"cosent\" learns from pairs, but \"supcon\" from groups", AKIN_ERR_MISMATCH},
        {"sum", "{losses: [supcom]}", "did you mean \"supcon\"?", AKIN_ERR_ARGUMENT},
        {"sum", "{losses: [{type: supcon, temprature: 1}]}", "did you mean \"temperature\"?",
         AKIN_ERR_ARGUMENT},
        {"sum", "{losses: [{type: triplet, soft: true, mining: all}]}", "not with all",
         AKIN_ERR_ARGUMENT},
        {"matryoshka", "{loss: supcon}", "matryoshka: \"dims\" is empty", AKIN_ERR_ARGUMENT},
        {"matryoshka", "{dims: 4}", "\"loss\" holds 0 losses", AKIN_ERR_ARGUMENT},
        {"matryoshka", "{loss: [supcon, circle], dims: 4}", "\"loss\" holds 2 losses",
         AKIN_ERR_ARGUMENT},
        {"matryoshka", "{loss: supcon, dims: 0}", "\"dims\" is 0", AKIN_ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        akin_loss *loss;
        assert_int_equal(akin_loss_create(&loss, context, table[i].type, table[i].options, &error),
                         table[i].status);
        assert_null(loss);
        assert_says(&error, table[i].part);
    }
    akin_loss *loss;
    assert_int_equal(
        akin_loss_create(&loss, context, "matryoshka", "{loss: supcon, dims: [4, 9]}", &error),
        AKIN_OK);
    assert_int_equal(ak_loss_open(loss, WIDTH, GROUPS, 1, &error), AKIN_ERR_ARGUMENT);
    assert_says(&error, "item 2 of \"dims\" is 9, but the vectors are 8 wide");
    akin_loss_free(loss);
}

static akin_status whole_life(void *user, akin_error *told)
{
    akin_loss *loss;
    AK_TRY(akin_loss_create(&loss, context, "sum", user, told));
    akin_status status = ak_loss_open(loss, WIDTH, GROUPS, 1, told);
    if (!status)
        status = ak_parameters_train(loss->parameters, told);
    akin_loss_free(loss);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    char options[] = "{losses: [center, {type: matryoshka, loss: cosface, dims: [8, 4]}]}";
    assert_true(fail_each_allocation(whole_life, options) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sums_are_weighted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parameters_of_parts_are_weighted_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prefixes_are_losses_of_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(matryoshka_has_classes_for_every_prefix, set_up, tear_down),
        cmocka_unit_test_setup_teardown(traits_are_those_of_the_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
