/* Miners: what they choose from a row, and losses on what was chosen, by a plain double reference.
 */
#include "support.h"

#include "loss/miner.h"
#include "train/train.h"

#include <math.h>
#include <omp.h>

enum { N = 16, D = 6, COLUMNS = 40, POSITIVES = 5 };

static akin_context *context;
static akin_arena *arena;
static akin_error error;
static ak_mined mined;

static int set_up(void **state)
{
    (void)state;
    return ak_arena_create(&arena, NULL) || akin_context_create(&context, NULL) ||
                   ak_mined_init(&mined, COLUMNS, arena, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    (void)state;
    akin_context_free(context);
    ak_arena_free(arena);
    return 0;
}

static akin_pass pass_of(uint64_t step, bool training)
{
    return (akin_pass){
        .size = sizeof(akin_pass), .arena = arena, .training = training, .seed = 7, .step = step};
}

/* ---- one row ---- */

static float negative[COLUMNS], positive[POSITIVES];

static void random_row(uint64_t stream)
{
    for (uint64_t j = 0; j < COLUMNS; j++)
        negative[j] = j % 5 == 0 ? -INFINITY : (float)(2 * ak_random_uniform(1, stream, j) - 1);
    for (uint64_t p = 0; p < POSITIVES; p++)
        positive[p] = (float)(2 * ak_random_uniform(2, stream, p) - 1);
}

static void mine(ak_mining mining, uint64_t step)
{
    akin_pass pass = pass_of(step, true);
    ak_miner miner = ak_miner_for(mining, &pass, D);
    ak_miner_choose(&miner, 3, negative, COLUMNS, positive, POSITIVES, &mined);
}

static int32_t extreme(bool nearest, float below)
{
    int32_t best = -1;
    for (int32_t j = 0; j < COLUMNS; j++)
        if (negative[j] > -INFINITY && negative[j] < below &&
            (best < 0 || (nearest ? negative[j] > negative[best] : negative[j] < negative[best])))
            best = j;
    return best;
}

static void hard_is_the_worst_of_both(void **state)
{
    (void)state;
    for (uint64_t stream = 0; stream < 50; stream++) {
        random_row(stream);
        int32_t worst = 0;
        for (int32_t p = 1; p < POSITIVES; p++)
            worst = positive[p] < positive[worst] ? p : worst;
        mine(AK_MINE_HARD, 0);
        assert_int_equal(mined.positives, 1);
        assert_int_equal(mined.negatives, 1);
        assert_int_equal(mined.positive[0], worst);
        assert_int_equal(mined.negative[0], extreme(true, INFINITY));
    }
}

static void semi_hard_is_the_nearest_that_is_farther(void **state)
{
    (void)state;
    for (uint64_t stream = 0; stream < 50; stream++) {
        random_row(stream);
        positive[0] = stream % 2 ? -1.5f : 1.5f; /* nearer than all negatives, farther than all */
        mine(AK_MINE_SEMI_HARD, 0);
        assert_int_equal(mined.positives, POSITIVES);
        for (int32_t p = 0; p < POSITIVES; p++) {
            int32_t expected = extreme(true, positive[p]);
            if (expected < 0)
                expected = extreme(false, INFINITY);
            assert_int_equal(mined.positive[p], p);
            assert_int_equal(mined.negative[mined.partner[p]], expected);
        }
        for (int64_t a = 0; a < mined.negatives; a++) /* each once */
            for (int64_t b = 0; b < a; b++)
                assert_true(mined.negative[a] != mined.negative[b]);
    }
}

/* P(n) ~ 1 / q(D_n), cut at distances 0.5 and 1.4. */
static void weighted_draws_follow_the_density(void **state)
{
    (void)state;
    enum { DRAWS = 4000 };
    double expected[COLUMNS], sum = 0, drawn[COLUMNS] = {0};
    random_row(1);
    negative[1] = 0.99f; /* nearer than 0.5 */
    negative[2] = -0.9f; /* farther than 1.4 */
    for (int j = 0; j < COLUMNS; j++) {
        double distance = fmax(0.5, sqrt(2 - 2 * (double)negative[j]));
        expected[j] = negative[j] > -INFINITY && distance < 1.4
                          ? pow(distance, 2 - D) * pow(1 - distance * distance / 4, (3 - D) / 2.0)
                          : 0;
        sum += expected[j];
    }
    assert_true(expected[1] > 0 && expected[2] == 0);
    for (uint64_t step = 0; step < DRAWS; step++) {
        mine(AK_MINE_WEIGHTED, step);
        assert_int_equal(mined.positives, POSITIVES);
        for (int p = 0; p < POSITIVES; p++)
            drawn[mined.negative[mined.partner[p]]]++;
    }
    for (int j = 0; j < COLUMNS; j++) {
        double mean = DRAWS * POSITIVES * expected[j] / sum;
        if (fabs(drawn[j] - mean) > 5 * sqrt(mean))
            fail_msg("column %d was drawn %g times, expected %g", j, drawn[j], mean);
    }
}

static void weighted_draws_are_functions_of_the_step(void **state)
{
    (void)state;
    int32_t first[POSITIVES], columns = 0;
    random_row(1);
    mine(AK_MINE_WEIGHTED, 5);
    for (int p = 0; p < POSITIVES; p++)
        first[p] = mined.negative[mined.partner[p]];
    mine(AK_MINE_WEIGHTED, 6);
    for (int p = 0; p < POSITIVES; p++)
        columns += mined.negative[mined.partner[p]] != first[p];
    assert_true(columns > 0);
    mine(AK_MINE_WEIGHTED, 5);
    for (int p = 0; p < POSITIVES; p++)
        assert_int_equal(mined.negative[mined.partner[p]], first[p]);
    akin_pass validation[] = {pass_of(5, false), pass_of(6, false)};
    assert_int_equal(ak_miner_for(AK_MINE_WEIGHTED, &validation[0], D).seed,
                     ak_miner_for(AK_MINE_WEIGHTED, &validation[1], D).seed);
}

static void far_negatives_are_drawn_at_random(void **state)
{
    (void)state;
    int seen = 0;
    bool drawn[COLUMNS] = {false};
    for (int j = 0; j < COLUMNS; j++)
        negative[j] = j < 30 ? -INFINITY : -0.95f - 0.001f * (float)j;
    for (uint64_t step = 0; step < 200; step++) {
        mine(AK_MINE_WEIGHTED, step);
        for (int p = 0; p < POSITIVES; p++)
            drawn[mined.negative[mined.partner[p]]] = true;
    }
    for (int j = 0; j < COLUMNS; j++) {
        assert_true(!drawn[j] || j >= 30);
        seen += drawn[j];
    }
    assert_int_equal(seen, 10);
}

static void rows_without_both_give_nothing(void **state)
{
    (void)state;
    for (ak_mining mining = AK_MINE_HARD; mining <= AK_MINE_WEIGHTED; mining++) {
        akin_pass pass = pass_of(0, true);
        ak_miner miner = ak_miner_for(mining, &pass, D);
        random_row(1);
        ak_miner_choose(&miner, 3, negative, COLUMNS, positive, 0, &mined);
        assert_true(!mined.positives && !mined.negatives);
        for (int j = 0; j < COLUMNS; j++)
            negative[j] = -INFINITY;
        ak_miner_choose(&miner, 3, negative, COLUMNS, positive, POSITIVES, &mined);
        assert_true(!mined.positives && !mined.negatives);
    }
}

/* ---- losses ---- */

static double x[N * D];
static int64_t content[N], group[N];
static int32_t chosen_positive[N][N], chosen_negative[N][N], chosen_partner[N][N];
static int64_t positives[N], negatives[N];

static void make_scene(void)
{
    for (int64_t i = 0; i < N; i++) {
        content[i] = i == 9 ? 2 : i;
        group[i] = i == 15 ? 99 : i % 4; /* 9 equals 2, of another group; 15 is alone */
    }
    for (int64_t k = 0; k < N * D; k++)
        x[k] = (double)(float)ak_random_normal(3, 1, (uint64_t)k);
}

static double cosine(const double *at, int64_t i, int64_t j)
{
    double dot = 0, aa = 0, bb = 0;
    for (int k = 0; k < D; k++) {
        dot += at[i * D + k] * at[j * D + k];
        aa += at[i * D + k] * at[i * D + k];
        bb += at[j * D + k] * at[j * D + k];
    }
    return dot / sqrt(aa * bb);
}

/* The choice at x, which perturbed embeddings keep. */
static void choose(ak_mining mining)
{
    akin_pass pass = pass_of(4, true);
    ak_miner miner = ak_miner_for(mining, &pass, D);
    for (int64_t i = 0; i < N; i++) {
        float far[N], near[N];
        int32_t at[N];
        int64_t count = 0;
        for (int64_t j = 0; j < N; j++) {
            bool other = group[j] != group[i] && content[j] != content[i];
            far[j] = other ? (float)cosine(x, i, j) : -INFINITY;
            if (j != i && group[j] == group[i]) {
                at[count] = (int32_t)j;
                near[count++] = (float)cosine(x, i, j);
            }
        }
        ak_miner_choose(&miner, i, far, N, near, count, &mined);
        positives[i] = mined.positives;
        negatives[i] = mined.negatives;
        for (int64_t k = 0; k < mined.positives; k++) {
            chosen_positive[i][k] = at[mined.positive[k]];
            chosen_partner[i][k] = mined.partner[k];
        }
        memcpy(chosen_negative[i], mined.negative, (size_t)mined.negatives * sizeof(int32_t));
    }
}

static double supcon(const double *at)
{
    double value = 0, anchors = 0;
    for (int64_t i = 0; i < N; i++) {
        double sum = 0, mean = 0;
        for (int64_t k = 0; k < positives[i]; k++) {
            sum += exp(10 * cosine(at, i, chosen_positive[i][k]));
            mean += 10 * cosine(at, i, chosen_positive[i][k]) / (double)positives[i];
        }
        for (int64_t k = 0; k < negatives[i]; k++)
            sum += exp(10 * cosine(at, i, chosen_negative[i][k]));
        anchors += positives[i] > 0;
        value += positives[i] ? log(sum) - mean : 0;
    }
    return value / anchors;
}

static double multi_similarity(const double *at)
{
    double value = 0;
    for (int64_t i = 0; i < N; i++) {
        double near = 1, far = 1;
        for (int64_t k = 0; k < positives[i]; k++)
            near += exp(-2 * (cosine(at, i, chosen_positive[i][k]) - 0.5));
        for (int64_t k = 0; k < negatives[i]; k++)
            far += exp(50 * (cosine(at, i, chosen_negative[i][k]) - 0.5));
        value += log(near) / 2 + log(far) / 50;
    }
    return value / N;
}

static double triplet(const double *at)
{
    double value = 0, pairs = 0;
    for (int64_t i = 0; i < N; i++)
        for (int64_t k = 0; k < positives[i]; k++) {
            int64_t n = chosen_negative[i][chosen_partner[i][k]];
            value += fmax(0, cosine(at, i, n) - cosine(at, i, chosen_positive[i][k]) + 0.5);
            pairs++;
        }
    return value / pairs;
}

/* Weights alpha are constants: they are taken at x. */
static double circle(const double *at)
{
    double value = 0, queries = 0, m = 0.25, gamma = 4;
    for (int64_t i = 0; i < N; i++) {
        double near = 0, far = 0;
        for (int64_t k = 0; k < positives[i]; k++) {
            int64_t p = chosen_positive[i][k];
            near += exp(-gamma * fmax(0, 1 + m - cosine(x, i, p)) * (cosine(at, i, p) - 1 + m));
        }
        for (int64_t k = 0; k < negatives[i]; k++) {
            int64_t n = chosen_negative[i][k];
            far += exp(gamma * fmax(0, cosine(x, i, n) + m) * (cosine(at, i, n) - m));
        }
        queries += positives[i] > 0;
        value += positives[i] ? log1p(near * far) : 0;
    }
    return value / queries;
}

static const struct {
    const char *type, *options;
    double (*reference)(const double *at);
    ak_mining first;
} settings[] = {
    {"supcon", "{mining: %s}", supcon, AK_MINE_HARD},
    {"multi_similarity", "{mining: %s}", multi_similarity, AK_MINE_HARD},
    {"circle", "{gamma: 4, mining: %s}", circle, AK_MINE_HARD},
    {"triplet", "{mining: %s}", triplet, AK_MINE_WEIGHTED}, /* hard has a divisor: test_losses.c */
};

static akin_status compute(const akin_loss *loss, float *dx, double *value)
{
    float at[N * D];
    akin_pass pass = pass_of(4, true);
    const akin_labels labels = {.size = sizeof labels,
                                .kind = AKIN_GROUPS,
                                .count = N,
                                .content = content,
                                .group = group,
                                .groups = 100};
    for (int k = 0; k < N * D; k++)
        at[k] = (float)x[k];
    return loss->type->compute(loss->self, &pass, &labels, ak_matrix(at, N, D), ak_matrix(dx, N, D),
                               value, &error);
}

static void losses_see_what_was_chosen(void **state)
{
    (void)state;
    static const char *const names[] = {"all", "hard", "semi_hard", "distance_weighted"};
    make_scene();
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
        for (ak_mining mining = settings[s].first; mining <= AK_MINE_WEIGHTED; mining++) {
            char options[64];
            akin_loss *loss;
            float dx[N * D], again[N * D];
            double value, more;
            snprintf(options, sizeof options, settings[s].options, names[mining]);
            choose(mining);
            if (akin_loss_create(&loss, context, settings[s].type, options, &error) ||
                ak_loss_open(loss, D, 100, 1, &error) || compute(loss, dx, &value))
                fail_msg("%s", error.message);
            double expected = settings[s].reference(x);
            if (!(value > 0 && fabs(value - expected) <= 3e-6 * (1 + expected)))
                fail_msg("%s %s: %.9g, expected %.9g", settings[s].type, options, value, expected);
            for (int k = 0; k < N * D; k++) {
                double old = x[k], moved[N * D];
                memcpy(moved, x, sizeof moved);
                moved[k] = old + 1e-6;
                double up = settings[s].reference(moved);
                moved[k] = old - 1e-6;
                double slope = (up - settings[s].reference(moved)) / 2e-6;
                if (fabs((double)dx[k] - slope) > 3e-5 * (1 + fabs(slope)))
                    fail_msg("%s %s: slope %g, expected %g", settings[s].type, options,
                             (double)dx[k], slope);
            }
            omp_set_num_threads(3);
            assert_int_equal(compute(loss, again, &more), AKIN_OK);
            omp_set_num_threads(1);
            assert_true(more == value && !memcmp(dx, again, sizeof dx));
            akin_loss_free(loss);
        }
}

static void miners_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *type, *options, *part;
    } table[] = {
        {"triplet", "{mining: distance_weighted, distance: euclidean}", "expected distance cosine"},
        {"triplet", "{mining: distance_weighted, soft: true}", "not with distance_weighted"},
        {"supcon", "{mining: easy}", "must be all, hard, semi_hard or distance_weighted"},
        {"fastap", "{mining: hard}", "\"mining\" is not known"},
        {"arcface", "{mining: hard}", "\"mining\" is not known"},
        {"online_contrastive", "{mining: semi_hard}", "must be hard or all"},
        {"xbm", "{loss: {type: triplet, mining: distance_weighted}}", "has no use for a memory"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        akin_loss *loss;
        assert_int_equal(akin_loss_create(&loss, context, table[i].type, table[i].options, &error),
                         AKIN_ERR_ARGUMENT);
        assert_says(&error, table[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hard_is_the_worst_of_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(semi_hard_is_the_nearest_that_is_farther, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(weighted_draws_follow_the_density, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weighted_draws_are_functions_of_the_step, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(far_negatives_are_drawn_at_random, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_without_both_give_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_see_what_was_chosen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(miners_that_do_not_fit_are_refused, set_up, tear_down),
    };
    omp_set_num_threads(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
