/* Hard negatives: what is mined against a plain search of all, the file of akin_mine, the batches
   and runs that have them. */
#include "training_scene.h"

#include "kernels/similarity.h"
#include "train/mining.h"

#include <omp.h>

/* ---- a plain reference ---- */

enum { MANY = 90, WIDTH = 4, MOST = 8 };

typedef struct scene {
    ak_table *table;
    akin_dataset *dataset;
    akin_matrix tuned, base;
    float tuned_data[2 * MANY * WIDTH], base_data[2 * MANY * WIDTH];
} scene;

static void random_units(float *x, int64_t rows, uint64_t stream)
{
    for (int64_t i = 0; i < rows * WIDTH; i++)
        x[i] = (float)ak_random_normal(5, stream, (uint64_t)i);
    ak_unit_rows(x, rows, WIDTH, WIDTH, x);
}

/* Pairs over few objects, so that equal contents, several positives and negatives by score occur.
 */
static void open_scene(scene *s, akin_sample_kind kind, bool subgroups, int objects)
{
    static char text[MANY * 2][16];
    static akin_pair pairs[MANY];
    static akin_group groups[MANY];
    for (int i = 0; i < MANY; i++) {
        int a = (int)(ak_random(3, 1, (uint64_t)i) % (uint64_t)objects);
        int b = (int)(ak_random(3, 2, (uint64_t)i) % (uint64_t)objects);
        snprintf(text[2 * i], sizeof text[0], "%d", a);
        snprintf(text[2 * i + 1], sizeof text[0], "%d", b + objects / 2);
        pairs[i] = (akin_pair){akin_text(text[2 * i]), akin_text(text[2 * i + 1]), i % 7 ? 1 : 0,
                               subgroups ? 1 + i % 9 : 0};
        groups[i] = (akin_group){akin_text(text[2 * i]), a % 11 + (i % 30 == 0)};
    }
    if (kind == AKIN_PAIRS)
        assert_ok(akin_dataset_from_pairs(&s->dataset, pairs, MANY, told));
    else
        assert_ok(akin_dataset_from_groups(&s->dataset, groups, MANY, told));
    assert_ok(ak_table_build(&s->table, s->dataset, NULL, NULL, NULL, told));
    random_units(s->tuned_data, s->table->contents, 1);
    random_units(s->base_data, s->table->contents, 2);
    s->tuned = ak_matrix(s->tuned_data, s->table->contents, WIDTH);
    s->base = ak_matrix(s->base_data, s->table->contents, WIDTH);
}

static void close_scene(scene *s)
{
    ak_table_free(s->table);
    akin_dataset_free(s->dataset);
}

static float similarity(akin_matrix x, int64_t a, int64_t b)
{
    return ak_similarity(x.data + a * WIDTH, x.data + b * WIDTH, WIDTH);
}

static bool alike(const ak_table *t, int64_t a, int64_t b)
{
    for (int64_t i = 0; t->kind == AKIN_PAIRS && i < t->count; i++)
        if (t->score[i] > 0.5f && ((t->content[2 * i] == a && t->content[2 * i + 1] == b) ||
                                   (t->content[2 * i] == b && t->content[2 * i + 1] == a)))
            return true;
    return false;
}

/* Does content c stand in this group or, as a b, in this subgroup or in several? */
static bool same_label(const ak_table *t, int64_t c, int64_t label)
{
    const int64_t *labels = t->kind == AKIN_PAIRS ? t->subgroup : t->group;
    int64_t first = -1;
    for (int64_t i = 0; labels && i < t->count; i++) {
        if (t->content[i * t->objects + t->objects - 1] != c)
            continue;
        if (labels[i] == label || (first >= 0 && labels[i] != first))
            return true;
        first = labels[i];
    }
    return false;
}

static bool is_candidate(const ak_table *t, int64_t c)
{
    for (int64_t i = 0; i < t->count; i++)
        if (t->content[i * t->objects + t->objects - 1] == c)
            return true;
    return false;
}

/* The nearest member of the group to the base that stands in no other group. */
static int64_t group_positive(const scene *s, int64_t a, int64_t group)
{
    const ak_table *t = s->table;
    int64_t best = -1;
    for (int64_t c = 0; c < t->contents; c++) {
        bool member = false, alone = true;
        for (int64_t i = 0; i < t->count; i++)
            if (t->content[i] == c) {
                member |= t->group[i] == group;
                alone &= t->group[i] == group;
            }
        if (c != a && member && alone &&
            (best < 0 || similarity(s->base, a, c) > similarity(s->base, a, best)))
            best = c;
    }
    return best;
}

static int64_t plain_mine(const scene *s, int64_t sample, const akin_mining_options *o,
                          int64_t *out)
{
    const ak_table *t = s->table;
    bool pairs = t->kind == AKIN_PAIRS, done[2 * MANY] = {false};
    int64_t a = t->content[sample * t->objects], rank = 0, taken = 0;
    int64_t label = !pairs ? t->group[sample] : t->subgroup ? t->subgroup[sample] : -1;
    int64_t p = pairs ? t->content[2 * sample + 1] : group_positive(s, a, label);
    if (p < 0 || (pairs && t->score[sample] <= 0.5f))
        return 0;
    while (taken < o->k && rank < o->last_rank) {
        int64_t c = -1;
        for (int64_t i = 0; i < t->contents; i++)
            if (!done[i] && is_candidate(t, i) &&
                (c < 0 || similarity(s->tuned, a, i) > similarity(s->tuned, a, c)))
                c = i;
        if (c < 0)
            break;
        done[c] = true;
        if (c == a || alike(t, a, c) || same_label(t, c, label) || ++rank < o->first_rank)
            continue;
        if (similarity(s->base, a, c) <= similarity(s->base, a, p) - (float)o->margin)
            out[taken++] = c;
    }
    return taken;
}

static void compare(const scene *s, const akin_mining_options *o)
{
    static int64_t mined[MANY * MOST], positives[MANY];
    akin_mining_report report;
    ak_mining mining = {s->table, o, {s->tuned, s->tuned}, {s->base, s->base}};
    assert_ok(ak_mine(&mining, mined, positives, &report, told));
    int64_t all = 0, samples = 0, incomplete = 0;
    for (int64_t i = 0; i < MANY; i++) {
        int64_t expected[MOST], count = plain_mine(s, i, o, expected);
        for (int64_t j = 0; j < o->k; j++)
            assert_int_equal(mined[i * o->k + j], j < count ? expected[j] : -1);
        samples += positives[i] >= 0;
        incomplete += positives[i] >= 0 && count < o->k;
        all += count;
    }
    assert_int_equal(report.mined, all);
    assert_int_equal(report.samples, samples);
    assert_int_equal(report.incomplete, incomplete);
    assert_true(all > 0 && samples > MANY / 2);
}

static void test_against_plain_search(void **state)
{
    (void)state;
    static const akin_mining_options options[] = {
        {.k = 5, .margin = 0.05, .first_rank = 1, .last_rank = 100},
        {.k = 3, .margin = -2, .first_rank = 4, .last_rank = 9},
        {.k = 8, .margin = 0.5, .first_rank = 1, .last_rank = 12},
        {.k = 1, .margin = 0, .first_rank = 1, .last_rank = 1}};
    for (int shape = 0; shape < 4; shape++)
        for (int i = 0; i < 4; i++) {
            scene s;
            open_scene(&s, shape < 3 ? AKIN_PAIRS : AKIN_GROUPS, shape == 1, shape == 2 ? 12 : 60);
            compare(&s, &options[i]);
            close_scene(&s);
        }
}

static void test_same_for_any_threads(void **state)
{
    (void)state;
    static int64_t mined[2][MANY * 5];
    akin_mining_options o = akin_mining_defaults();
    akin_mining_report reports[2];
    scene s;
    int threads = omp_get_max_threads();
    open_scene(&s, AKIN_PAIRS, true, 60);
    ak_mining mining = {s.table, &o, {s.tuned, s.tuned}, {s.base, s.base}};
    for (int i = 0; i < 2; i++) {
        omp_set_num_threads(i ? 4 : 1);
        assert_ok(ak_mine(&mining, mined[i], NULL, &reports[i], told));
    }
    omp_set_num_threads(threads);
    assert_memory_equal(mined[0], mined[1], sizeof mined[0]);
    assert_memory_equal(&reports[0], &reports[1], sizeof reports[0]);
    assert_true(reports[0].masked_label > 0 && reports[0].masked_positive > 0 &&
                reports[0].masked_margin > 0 && reports[0].masked_equal > 0);
    close_scene(&s);
}

static void test_bad_options(void **state)
{
    (void)state;
    static const struct {
        akin_mining_options options;
        const char *message;
    } rows[] = {
        {{.k = 0, .first_rank = 1, .last_rank = 2}, "\"k\" is 0"},
        {{.k = 1, .first_rank = 0, .last_rank = 2}, "\"first_rank\" is 0"},
        {{.k = 1, .first_rank = 3, .last_rank = 2}, "first_rank 3 is behind last_rank 2"},
        {{.k = 1, .first_rank = 1, .last_rank = 2, .margin = NAN}, "\"margin\" is nan"},
    };
    for (int i = 0; i < 4; i++) {
        akin_error error = {0};
        assert_int_equal(ak_mining_check(&rows[i].options, &error), AKIN_ERR_ARGUMENT);
        assert_non_null(strstr(error.message, rows[i].message));
    }
}

static void test_mining_without_memory(void **state)
{
    (void)state;
    static int64_t mined[MANY * 5];
    akin_mining_options o = akin_mining_defaults();
    akin_mining_report report;
    akin_error error;
    scene s;
    open_scene(&s, AKIN_GROUPS, false, 60);
    ak_mining mining = {s.table, &o, {s.tuned, s.tuned}, {s.base, s.base}};
    ak_memory_fail_at(0);
    assert_ok(ak_mine(&mining, mined, NULL, &report, told));
    int64_t count = ak_memory_fail_at(0);
    for (int64_t n = 1; n <= count; n++) {
        ak_memory_fail_at(n);
        akin_status status = ak_mine(&mining, mined, NULL, &report, &error);
        ak_memory_fail_at(0);
        assert_int_equal(status, AKIN_ERR_MEMORY);
    }
    close_scene(&s);
}

/* ---- the file ---- */

static akin_model *numbers_model(void)
{
    akin_model *model;
    akin_named_encoder named = {"n", NULL};
    assert_ok(akin_encoder_create(&named.encoder, context, "numbers", "{dim: 2}", told));
    assert_ok(akin_model_create(&model, context, &named, 1, NULL, told));
    return model;
}

/* Directions on a circle. The nearest b of another pair is the hard negative, unless it is as near
   to a as its own b. */
static void test_file(void **state)
{
    (void)state;
    akin_dataset *dataset;
    akin_mining_report report;
    akin_mining_options o = akin_mining_defaults();
    akin_error error;
    ak_map map;
    akin_model *model = numbers_model();
    write_text("p.jsonl", "{\"q\": \"100 0\", \"r\": \"100 1\", \"s\": 1}\n"
                          "{\"q\": \"0 100\", \"r\": \"1 100\", \"s\": 2}\n"
                          "{\"q\": \"100 90\", \"r\": \"90 100\", \"s\": 3}\n"
                          "{\"q\": \"100 0\", \"r\": \"100 2\", \"s\": 1}\n");
    akin_fields fields = {.a = "q", .b = "r", .subgroup = "s"};
    assert_ok(
        akin_dataset_open(&dataset, context, test_path("p.jsonl"), AKIN_PAIRS, &fields, told));
    o.k = 1;
    o.margin = 0.1;
    const char *path = test_path("mined.jsonl");
    assert_ok(akin_mine(&report, model, NULL, dataset, &o, path, false, told));
    assert_int_equal(report.samples, 4);
    assert_int_equal(report.candidates, 4);
    assert_int_equal(report.mined, 4);
    assert_ok(ak_map_open(&map, path, told));
    static const char expected[] =
        "{\"a\": \"100 0\", \"b\": \"100 1\", \"score\": 1, \"subgroup\": 1}\n"
        "{\"a\": \"100 0\", \"b\": \"90 100\", \"score\": 0, \"subgroup\": 3}\n"
        "{\"a\": \"0 100\", \"b\": \"1 100\", \"score\": 1, \"subgroup\": 2}\n"
        "{\"a\": \"0 100\", \"b\": \"90 100\", \"score\": 0, \"subgroup\": 3}\n"
        "{\"a\": \"100 90\", \"b\": \"90 100\", \"score\": 1, \"subgroup\": 3}\n"
        "{\"a\": \"100 90\", \"b\": \"100 2\", \"score\": 0, \"subgroup\": 1}\n"
        "{\"a\": \"100 0\", \"b\": \"100 2\", \"score\": 1, \"subgroup\": 1}\n"
        "{\"a\": \"100 0\", \"b\": \"90 100\", \"score\": 0, \"subgroup\": 3}\n";
    assert_int_equal(map.size, sizeof expected - 1);
    assert_memory_equal(map.data, expected, map.size);
    ak_map_close(&map);
    assert_int_equal(akin_mine(NULL, model, NULL, dataset, NULL, path, false, &error),
                     AKIN_ERR_EXISTS);
    assert_int_equal(akin_mine(NULL, model, NULL, dataset, NULL, test_path("x.csv"), true, &error),
                     AKIN_ERR_ARGUMENT);
    assert_ok(akin_mine(NULL, model, model, dataset, NULL, path, true, told));
    akin_dataset_free(dataset);
    assert_ok(akin_dataset_open(&dataset, context, path, AKIN_PAIRS, NULL, told)); /* reads back */
    assert_true(akin_dataset_count(dataset) >= 4);
    akin_dataset_free(dataset);
    akin_model_free(model);
}

static void test_file_of_groups(void **state)
{
    (void)state;
    akin_dataset *dataset;
    akin_mining_report report;
    akin_mining_options o = akin_mining_defaults();
    ak_map map;
    akin_model *model = numbers_model();
    write_text("g.csv", "object,group\n100 0,x\n100 5,x\n50 100,y\n55 100,y\n0 -100,z\n");
    assert_ok(akin_dataset_open(&dataset, context, test_path("g.csv"), AKIN_GROUPS, NULL, told));
    o.k = 1;
    assert_ok(akin_mine(&report, model, NULL, dataset, &o, test_path("m.jsonl"), false, told));
    assert_int_equal(report.samples, 4); /* z stands alone */
    assert_ok(ak_map_open(&map, test_path("m.jsonl"), told));
    static const char expected[] = "{\"a\": \"100 0\", \"b\": \"100 5\", \"score\": 1}\n"
                                   "{\"a\": \"100 0\", \"b\": \"55 100\", \"score\": 0}\n"
                                   "{\"a\": \"100 5\", \"b\": \"100 0\", \"score\": 1}\n"
                                   "{\"a\": \"100 5\", \"b\": \"55 100\", \"score\": 0}\n"
                                   "{\"a\": \"50 100\", \"b\": \"55 100\", \"score\": 1}\n"
                                   "{\"a\": \"50 100\", \"b\": \"100 5\", \"score\": 0}\n"
                                   "{\"a\": \"55 100\", \"b\": \"50 100\", \"score\": 1}\n"
                                   "{\"a\": \"55 100\", \"b\": \"100 5\", \"score\": 0}\n";
    assert_int_equal(map.size, sizeof expected - 1);
    assert_memory_equal(map.data, expected, map.size);
    ak_map_close(&map);
    akin_dataset_free(dataset);
    akin_model_free(model);
}

/* ---- the loss ---- */

enum { ASKED = 5, EXTRA = 4, OBJECTS = 2 * (ASKED + EXTRA) };

static double cosine_of(const float *x, int64_t i, int64_t j)
{
    double dot = 0, a = 0, b = 0;
    for (int c = 0; c < WIDTH; c++) {
        dot += (double)x[i * WIDTH + c] * x[j * WIDTH + c];
        a += (double)x[i * WIDTH + c] * x[i * WIDTH + c];
        b += (double)x[j * WIDTH + c] * x[j * WIDTH + c];
    }
    return 20 * dot / sqrt(a * b);
}

/* The formula: b's of all pairs for the a's that are not repeated, and only those a's for the b's.
 */
static double plain_loss(const float *x, bool symmetric)
{
    double sum = 0;
    for (int i = 0; i < ASKED; i++) {
        double to_b = 0, to_a = 0, own = cosine_of(x, i, ASKED + EXTRA + i);
        for (int j = 0; j < ASKED + EXTRA; j++)
            to_b += exp(cosine_of(x, i, ASKED + EXTRA + j) - own);
        for (int j = 0; j < ASKED; j++)
            to_a += exp(cosine_of(x, j, ASKED + EXTRA + i) - own);
        sum += symmetric ? 0.5 * (log(to_b) + log(to_a)) : log(to_b);
    }
    return sum / ASKED;
}

/* Repeated a's are no candidates of the b's, and get no gradient. */
static void test_repeated_anchors(void **state)
{
    (void)state;
    int64_t content[OBJECTS];
    float x[OBJECTS * WIDTH], dx[OBJECTS * WIDTH], score[ASKED + EXTRA] = {0};
    akin_arena *arena;
    for (int i = 0; i < OBJECTS * WIDTH; i++)
        x[i] = (float)ak_random_normal(8, 1, (uint64_t)i);
    for (int i = 0; i < OBJECTS; i++)
        content[i] = i;
    for (int i = 0; i < ASKED; i++)
        score[i] = 1;
    for (int i = 0; i < EXTRA; i++) {
        content[ASKED + i] = i / 2;
        memcpy(x + (ASKED + i) * WIDTH, x + i / 2 * WIDTH, WIDTH * sizeof *x);
    }
    akin_labels labels = {.size = sizeof labels,
                          .kind = AKIN_PAIRS,
                          .count = ASKED + EXTRA,
                          .content = content,
                          .score = score,
                          .repeated = EXTRA};
    assert_ok(ak_arena_create(&arena, told));
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true};
    for (int symmetric = 0; symmetric < 2; symmetric++) {
        akin_loss *loss;
        double value;
        assert_ok(akin_loss_create(&loss, context, "multiple_negatives_ranking",
                                   symmetric ? "{symmetric: true}" : NULL, told));
        assert_ok(ak_loss_open(loss, WIDTH, 0, 1, told));
        assert_ok(loss->type->compute(loss->self, &pass, &labels, ak_matrix(x, OBJECTS, WIDTH),
                                      ak_matrix(dx, OBJECTS, WIDTH), &value, told));
        assert_float_equal(value, plain_loss(x, symmetric), 1e-5);
        for (int i = 0; i < OBJECTS * WIDTH; i++) {
            float kept = x[i];
            x[i] = kept + 1e-3f;
            double up = plain_loss(x, symmetric);
            x[i] = kept - 1e-3f;
            double down = plain_loss(x, symmetric);
            x[i] = kept;
            assert_float_equal(dx[i], (up - down) / 2e-3, 2e-3);
        }
        akin_loss_free(loss);
    }
    ak_arena_free(arena);
}

/* ---- runs ---- */

static int64_t interrupt_at;

static void raise_flag(void *user, akin_training *t)
{
    (void)user;
    if (akin_training_step(t) == interrupt_at)
        interrupt = 1;
}

/* Batches hold the samples' negatives behind them, as pairs of score 0 that the table knows. */
static int64_t seen_negatives, seen_anchors;

static void look(void *user, const akin_results *r)
{
    const akin_labels *l = r->labels;
    (void)user;
    if (r->validation)
        return;
    for (int64_t i = 0; i < l->count; i++) {
        int64_t a = l->content[i], b = l->content[l->count + i];
        if (l->score[i] > 0.5f) {
            seen_anchors++;
            continue;
        }
        bool anchored = false;
        for (int64_t j = 0; j < i; j++)
            anchored |= l->content[j] == a && l->score[j] > 0.5f;
        assert_true(anchored);
        for (int64_t p = l->positive_start[a]; p < l->positive_start[a + 1]; p++)
            assert_int_not_equal(l->positives[p], b);
        seen_negatives++;
    }
    /* rows of one content are equal, wherever they stand */
    for (int64_t i = 1; i < l->count; i++)
        if (l->content[i] == l->content[0])
            assert_memory_equal(r->embeddings.data, r->embeddings.data + i * r->embeddings.stride,
                                (size_t)r->embeddings.columns * sizeof(float));
}

static akin_status fit_looking(akin_model **model, plan *p, const akin_trainer *trainer)
{
    akin_loader *train, *validation;
    akin_loader_options options = akin_loader_defaults();
    options.batch_size = BATCH;
    akin_trainable trainable = {.size = sizeof trainable,
                                .user = p,
                                .configure_encoders = encoders,
                                .configure_cache = cache,
                                .process_results = look};
    assert_ok(akin_pair_loader_create(&train, train_set, &options, told));
    assert_ok(akin_pair_loader_create(&validation, validation_set, &options, told));
    akin_status status =
        akin_fit(model, context, &trainable, trainer, train, validation, NULL, NULL);
    akin_loader_free(train);
    akin_loader_free(validation);
    return status;
}

static void test_batches(void **state)
{
    (void)state;
    for (int uncached = 0; uncached < 2; uncached++) {
        akin_model *model;
        plan p = {.lr = 0.01, .uncached = uncached};
        akin_trainer trainer = trainer_of(2);
        trainer.hard_negatives_every = 1;
        trainer.hard_negatives.k = 3;
        trainer.hard_negatives.margin = -2;
        seen_negatives = seen_anchors = 0;
        assert_int_equal(fit_looking(&model, &p, &trainer), AKIN_OK);
        assert_int_equal(seen_anchors, 2 * TRAIN);
        assert_int_equal(seen_negatives, 2 * TRAIN * 3);
        akin_model_free(model);
    }
}

/* A run that was interrupted anywhere ends in the bits of one that was not, although what it mined
   came from parameters that are gone. */
static void test_resume(void **state)
{
    (void)state;
    static float expected[VALIDATION * DIM], other[VALIDATION * DIM], out[VALIDATION * DIM];
    static const int64_t steps[] = {1, 4, 6, 8, 13, 19};
    akin_model *model;
    akin_error error;
    plan p = {.lr = 0.05, .optimizer = AKIN_ADAM};
    akin_trainer trainer = trainer_of(5);
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    vectors_of(model, other);
    akin_model_free(model);
    trainer.hard_negatives_every = 3;
    trainer.hard_negatives.k = 2;
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    vectors_of(model, expected);
    akin_model_free(model);
    assert_memory_not_equal(other, expected, sizeof expected);
    akin_callback callback = {.size = sizeof callback, .on_step_end = raise_flag};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    trainer.checkpoint = test_path("run");
    for (int i = 0; i < 6; i++) {
        interrupt_at = steps[i];
        trainer.resume = false;
        p.workers = i % 3;
        ak_remove_tree(trainer.checkpoint);
        assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_INTERRUPTED);
        akin_model_free(model);
        interrupt = 0;
        interrupt_at = 0;
        trainer.resume = true;
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        vectors_of(model, out);
        assert_memory_equal(out, expected, sizeof out);
        akin_model_free(model);
    }
    trainer.hard_negatives.margin = 0.5;
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_MISMATCH);
    assert_non_null(strstr(error.message, "hard_negatives"));
}

static void test_near_groups(void **state)
{
    (void)state;
    static const akin_group samples[] = {
        {{"a", 1}, 1}, {{"b", 1}, 1}, {{"c", 1}, 2}, {{"d", 1}, 3}, {{"e", 1}, 4}};
    static const int64_t negatives[] = {3, 4, 3, 2, 0, 1, 4, -1, -1, -1};
    static const int64_t expected[] = {2, 1, 0, -1, 3, -1, -1, -1};
    int64_t near[8];
    akin_dataset *dataset;
    ak_table *table;
    assert_ok(akin_dataset_from_groups(&dataset, samples, 5, told));
    assert_ok(ak_table_build(&table, dataset, NULL, NULL, NULL, told));
    assert_ok(ak_near_groups(near, 2, table, negatives, told));
    assert_memory_equal(near, expected, sizeof near);
    ak_table_free(table);
    akin_dataset_free(dataset);
}

static void write_groups(void)
{
    FILE *file = fopen(test_path("groups.csv"), "w");
    assert_non_null(file);
    fprintf(file, "object,group\n");
    for (int i = 0; i < 120; i++) {
        double angle = i % 12 * 0.5 + 0.2 * ak_random_normal(1, 1, (uint64_t)i);
        fprintf(file, "%.4f %.4f %.4f,%d\n", cos(angle), sin(angle),
                ak_random_normal(1, 2, (uint64_t)i), i % 12);
    }
    fclose(file);
}

/* The head's parameters after a run of the recipe; stop_at 0: to the end. */
static akin_status fit_groups(const char *hard, int64_t stop_at, bool resume, float *out,
                              akin_error *error)
{
    char data[300], every[100];
    const char *sets[] = {"encoders.n={type: numbers, dim: 3}",
                          "data.samples=groups",
                          data,
                          "train.batch_size=16",
                          "train.epochs=4",
                          every,
                          "train.sampler={type: groups, samples_per_group: 4}",
                          "train.early_stopping=false",
                          "data.validation=0.2"};
    akin_recipe *recipe;
    akin_loader *train, *validation;
    akin_model *model = NULL;
    snprintf(data, sizeof data, "data.train=%s", test_path("groups.csv"));
    snprintf(every, sizeof every, "train.hard_negatives=%s", hard);
    AK_TRY(akin_recipe_open(&recipe, context, NULL, sets, 9, error));
    akin_status status = akin_recipe_loaders(recipe, &train, &validation, error);
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    akin_callback callback = {.size = sizeof callback, .on_step_end = raise_flag};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    trainer.checkpoint = test_path("run");
    trainer.resume = resume;
    trainer.summary = false;
    interrupt_at = stop_at;
    interrupt = 0;
    if (!status)
        status = akin_fit(&model, context, &trainable, &trainer, train, validation, NULL, error);
    if (!status)
        status = akin_model_encode(model, (akin_object[]){akin_text("1 2 3")}, 1, out, error);
    akin_model_free(model);
    akin_recipe_free(recipe);
    return status;
}

static void test_runs_of_groups(void **state)
{
    (void)state;
    static const int64_t steps[] = {2, 7, 12};
    float plain[3], whole[3], parts[3];
    akin_error error;
    write_groups();
    assert_ok(fit_groups("false", 0, false, plain, told));
    assert_ok(fit_groups("{every: 2, k: 3}", 0, false, whole, told));
    assert_memory_not_equal(plain, whole, sizeof whole);
    for (int i = 0; i < 3; i++) {
        ak_remove_tree(test_path("run"));
        assert_int_equal(fit_groups("{every: 2, k: 3}", steps[i], false, parts, &error),
                         AKIN_ERR_INTERRUPTED);
        assert_ok(fit_groups("{every: 2, k: 3}", 0, true, parts, told));
        assert_memory_equal(whole, parts, sizeof whole);
    }
}

static void test_recipe_keys(void **state)
{
    (void)state;
    static const char *const words[] = {"", "train.hard_negatives=true",
                                        "train.hard_negatives=false",
                                        "train.hard_negatives={every: 4, k: 7, margin: 0.1}"};
    static const int64_t every[] = {0, 1, 0, 4}, k[] = {5, 5, 5, 7};
    for (int i = 0; i < 4; i++) {
        akin_recipe *recipe;
        const char *sets[] = {"data.train=none.jsonl", "encoders.n.type=numbers", words[i]};
        assert_ok(akin_recipe_open(&recipe, context, NULL, sets, i ? 3 : 2, told));
        akin_trainer trainer = akin_recipe_trainer(recipe);
        assert_int_equal(trainer.hard_negatives_every, every[i]);
        assert_int_equal(trainer.hard_negatives.k, k[i]);
        assert_true(trainer.hard_negatives.margin == (i == 3 ? 0.1 : 0.05));
        assert_non_null(strstr(akin_recipe_json(recipe), "\"last_rank\": 100"));
        akin_recipe_free(recipe);
    }
    static const char *const bad[] = {"train.hard_negatives={kk: 1}", "train.hard_negatives=5"};
    for (int i = 0; i < 2; i++) {
        akin_recipe *recipe;
        akin_error error;
        const char *sets[] = {"data.train=none.jsonl", "encoders.n.type=numbers", bad[i]};
        assert_int_equal(akin_recipe_open(&recipe, context, NULL, sets, 3, &error),
                         AKIN_ERR_ARGUMENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_against_plain_search),
        TEST(test_same_for_any_threads),
        cmocka_unit_test(test_bad_options),
        TEST(test_mining_without_memory),
        TEST(test_file),
        TEST(test_file_of_groups),
        TEST(test_repeated_anchors),
        TEST(test_batches),
        TEST(test_resume),
        cmocka_unit_test(test_near_groups),
        TEST(test_runs_of_groups),
        TEST(test_recipe_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
