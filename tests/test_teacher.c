/* Runs with a teacher: whose vectors the losses see, of pairs, groups, streams and two sides; what
   is cached, resumed, refused. */
#include "data_files.h"

#include <math.h>

#include "tiny_model.h"
#include "train/train.h"

enum { COLOURS = 5, THINGS = 9 };
static const char *const colours[COLOURS] = {"red", "blue", "green", "white", "black"};
static const char *const things[THINGS] = {"cat",   "dog",  "bird", "fish", "horse",
                                           "apple", "pear", "plum", "tree"};

static akin_context *context;
static volatile int interrupt;
static int64_t stop_at;       /* the step after which the run is interrupted; 0: none */
static char told_lines[2048]; /* warnings */
static double losses[2];      /* of validation: of the base, of the last epoch */
static akin_fit_summary summary;
static const akin_model *known; /* whose vectors the labels must have; NULL: not looked at */
static int64_t looked_at;

static void listen(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user, (void)fraction;
    size_t used = strlen(told_lines);
    if (kind == AKIN_MESSAGE_WARNING)
        snprintf(told_lines + used, sizeof told_lines - used, "%s\n", text);
}

static void write_data(void)
{
    ak_text pairs = {0}, groups = {0};
    for (int c = 0; c < COLOURS; c++)
        for (int t = 0; t < THINGS; t++) {
            ak_text_printf(&pairs, "{\"a\": \"%s %s\", \"b\": \"the %s is %s\"}\n", colours[c],
                           things[t], things[t], colours[c]);
            ak_text_printf(&groups, "{\"object\": \"the %s %s\", \"group\": \"%s\"}\n", colours[c],
                           things[t], things[t]);
        }
    write_text("pairs.jsonl", pairs.data);
    write_text("groups.jsonl", groups.data);
    ak_free(pairs.data);
    ak_free(groups.data);
}

static int set_up(void **state)
{
    ak_memory_fail_at(0); /* a failed test may have left it on */
    if (make_test_folder(state) || akin_context_create(&context, NULL) ||
        akin_context_set_cache(context, NULL, NULL))
        return -1;
    akin_context_on_message(context, listen, NULL);
    akin_context_on_interrupt(context, &interrupt);
    *told_lines = 0;
    interrupt = stop_at = looked_at = 0;
    known = NULL;
    tiny_model(test_path("tiny"), &(tiny_options){.seed = 3, .normalize = true});
    tiny_model(test_path("other"), &(tiny_options){.seed = 4});
    write_data();
    return 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return remove_test_folder(state);
}

/* ---- a run ---- */

static void count_steps(void *user, akin_training *t)
{
    (void)user;
    interrupt = stop_at && akin_training_step(t) == stop_at;
}

static void count_epochs(void *user, akin_training *t)
{
    (void)user;
    double value = akin_training_metric(t, "validation_loss");
    if (akin_training_epoch(t) == 1)
        losses[0] = t->figures[1].base;
    losses[1] = value;
}

/* Row i of the validation's batches (in the file's order): a_i, then b_i, or object i. */
static void look(const akin_results *results, const char *const *texts, int64_t first, int64_t n,
                 akin_space space)
{
    const akin_labels *labels = results->labels;
    for (int64_t i = 0; i < n; i++) {
        float y[256];
        akin_object object = akin_text(texts[i]);
        assert_int_equal(labels->teacher.columns, akin_model_dim(known));
        assert_ok(akin_model_encode_in(known, space, &object, 1, y, told));
        const float *row = labels->teacher.data + (first + i) * labels->teacher.stride;
        for (int64_t c = 0; c < labels->teacher.columns; c++)
            assert_true(fabsf(row[c] - y[c]) < 1e-6f);
        looked_at++;
    }
}

/* The first batch of the validation data, which comes in the order of the file. */
static void process(void *user, const akin_results *results)
{
    static const char *const a[] = {"red cat", "red dog"},
                             *const b[] = {"the cat is red", "the dog is red"},
                             *const objects[] = {"the red cat", "the red dog"};
    const akin_labels *labels = results->labels;
    (void)user;
    assert_int_equal(labels->teacher.rows, results->embeddings.rows);
    if (!known || !results->validation || labels->content[0] != 0)
        return;
    bool sides = akin_model_has_sides(known);
    if (labels->kind == AKIN_GROUPS) {
        look(results, objects, 0, 2, AKIN_SPACE_MODEL);
        return;
    }
    look(results, a, 0, 2, sides ? AKIN_SPACE_QUERY : AKIN_SPACE_MODEL);
    look(results, b, labels->count, 2, sides ? AKIN_SPACE_DOCUMENT : AKIN_SPACE_MODEL);
}

typedef struct plan {
    const char *loss, *data, *more; /* recipe text; NULL: the usual */
    const char *teacher, *checkpoint;
    bool resume;
} plan;

static akin_status run(akin_model **model, const plan *p, akin_error *error)
{
    char text[1536], path[300];
    akin_recipe *recipe;
    akin_loader *train, *validation;
    *model = NULL;
    snprintf(text, sizeof text,
             "data: %s\nencoders: {n: {type: ngrams, dim: 32, buckets: 512}}\n"
             "head: {type: empty}\nloss: %s\noptimizer: {lr: 0.05}\nmetrics: []\n"
             "train: {batch_size: 16, epochs: 4%s%s, early_stopping: false%s}\n",
             p->data ? p->data : "{train: pairs.jsonl, validation: pairs.jsonl}", p->loss,
             p->teacher ? ", teacher: " : "", p->teacher ? p->teacher : "", p->more ? p->more : "");
    snprintf(path, sizeof path, "%s", write_text("r.yaml", text));
    AK_TRY(akin_recipe_open(&recipe, context, path, NULL, 0, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    const akin_callback callback = {
        .size = sizeof callback, .on_step_end = count_steps, .on_epoch_end = count_epochs};
    trainable.process_results = p->teacher ? process : NULL;
    trainer.summary = trainer.progress = false;
    trainer.checkpoint = p->checkpoint ? test_path(p->checkpoint) : NULL;
    trainer.resume = p->resume;
    akin_status status = akin_trainer_add_callback(&trainer, callback, error);
    if (!status)
        status = akin_recipe_loaders(recipe, &train, &validation, error);
    if (!status)
        status = akin_fit(model, context, &trainable, &trainer, train, validation, &summary, error);
    akin_recipe_free(recipe);
    return status;
}

static akin_hash print_of(const plan *p)
{
    akin_model *model;
    akin_hash print;
    assert_ok(run(&model, p, told));
    assert_ok(akin_model_fingerprint(model, &print, told));
    akin_model_free(model);
    return print;
}

static akin_model *load(const char *name)
{
    akin_model *model;
    assert_ok(akin_model_load(&model, context, test_path(name), AKIN_AS_SAVED, told));
    return model;
}

#define GROUPS "{train: groups.jsonl, validation: groups.jsonl, samples: groups}"

static void students_come_near_their_teacher(void **state)
{
    (void)state;
    static const struct {
        const char *loss, *data, *more;
        double part; /* of the base's loss that is left, at most */
    } rows[] = {
        {"mse", NULL, NULL, 0.4},
        {"mse", GROUPS, NULL, 0.4},
        {"margin_mse", NULL, NULL, 0.6},
        {"kl", NULL, NULL, 0.6},
        {"kl", GROUPS, ", sampler: {type: groups, samples_per_group: 2}", 0.6},
        {"{type: sum, losses: [multiple_negatives_ranking, margin_mse], weights: [1, 0.5]}", NULL,
         NULL, 0.9},
        {"{type: sum, losses: [supcon, mse]}", GROUPS, NULL, 0.9},
        {"{type: matryoshka, dims: [32, 8], loss: kl}", NULL, NULL, 0.8},
        {"{type: margin_mse, negatives: given}", NULL, ", hard_negatives: {k: 2, margin: -2}", 0},
    };
    known = load("tiny");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_model *model;
        const plan p = {rows[i].loss, rows[i].data, rows[i].more, "tiny", NULL, false};
        looked_at = 0;
        assert_ok(run(&model, &p, told));
        assert_true(looked_at >= 2);
        if (rows[i].part > 0 && !(losses[1] < rows[i].part * losses[0]))
            fail_msg("%s: %g, the base %g", rows[i].loss, losses[1], losses[0]);
        akin_model_free(model);
    }
    assert_string_equal(told_lines, "");
    akin_model_free((akin_model *)known);
}

/* Queries and documents go different ways through a teacher with sides. */
static void a_teacher_may_have_sides_and_a_head(void **state)
{
    (void)state;
    static const char *const heads[] = {"query_adapter", "linear"};
    for (int i = 0; i < 2; i++) {
        char text[256];
        akin_named_encoder named = {"text", NULL};
        akin_head *head;
        akin_model *teacher, *student;
        snprintf(text, sizeof text, "{path: %s}", test_path("tiny"));
        assert_ok(akin_encoder_create(&named.encoder, context, "transformer", text, told));
        assert_ok(akin_head_create(&head, context, heads[i], NULL, TINY_HIDDEN, told));
        float *values = ak_parameters_values(head->parameters);
        for (int64_t k = 0; k < ak_parameters_size(head->parameters); k++)
            values[k] += 0.2f * (float)ak_random_normal(1, 2, (uint64_t)k);
        assert_ok(akin_model_create(&teacher, context, &named, 1, head, told));
        assert_ok(akin_model_save(teacher, test_path("taught"), true, told));
        known = teacher;
        looked_at = 0;
        assert_ok(run(&student, &(plan){.loss = "margin_mse", .teacher = "taught"}, told));
        assert_true(looked_at >= 4);
        akin_model_free(student);
        if (i == 0) {
            akin_error error = {0};
            const plan groups = {.loss = "kl", .data = GROUPS, .teacher = "taught"};
            assert_int_equal(run(&student, &groups, &error), AKIN_ERR_MISMATCH);
            assert_non_null(strstr(error.message, "query and a document side"));
        }
        akin_model_free(teacher);
    }
}

/* The same steps, whether the teacher's vectors were kept or made on the way. */
static void streams_are_taught_on_the_way(void **state)
{
    (void)state;
    akin_model *model;
    known = load("tiny");
    const plan p = {.loss = "kl",
                    .data = "{train: pairs.jsonl, validation: pairs.jsonl, streaming: true}",
                    .teacher = "tiny"};
    assert_ok(run(&model, &p, told));
    assert_true(losses[1] < 0.6 * losses[0]);
    akin_model_free(model);
    akin_model_free((akin_model *)known);
}

/* Texts alone, without any label: each is a group of its own. */
static void texts_need_no_labels(void **state)
{
    (void)state;
    akin_model *model;
    known = load("tiny");
    const plan p = {.loss = "mse",
                    .data = "{train: groups.jsonl, validation: groups.jsonl, samples: groups, "
                            "fields: {object: object, group: object}}",
                    .teacher = "tiny"};
    assert_ok(run(&model, &p, told));
    assert_true(losses[1] < 0.4 * losses[0] && looked_at >= 2);
    assert_string_equal(told_lines, "");
    akin_model_free(model);
    akin_model_free((akin_model *)known);
}

static void vectors_are_kept_in_the_cache(void **state)
{
    (void)state;
    akin_cache *cache;
    const plan p = {.loss = "kl", .teacher = "tiny"};
    akin_hash without = print_of(&p), with[2];
    assert_ok(akin_context_set_cache(context, test_path("cache"), told));
    for (int i = 0; i < 2; i++) {
        with[i] = print_of(&p);
        assert_true(ak_hash_equal(with[i], without));
        assert_int_equal(summary.reused + summary.encoded, 4 * COLOURS * THINGS);
        assert_int_equal(summary.encoded, i ? 0 : 2 * COLOURS * THINGS);
        assert_ok(akin_cache_list(&cache, context, told));
        int64_t vectors = 0;
        for (int64_t e = 0; e < cache->count; e++)
            vectors += cache->entries[e].vectors;
        assert_int_equal(vectors, 2 * COLOURS * THINGS);
        akin_cache_free(cache);
    }
}

/* ---- resuming ---- */

static void resumed_runs_have_the_same_bits(void **state)
{
    (void)state;
    static const char *const tried[] = {"mse", "margin_mse", "kl"};
    for (int i = 0; i < 3; i++) {
        akin_model *model;
        akin_error error = {0};
        plan p = {.loss = tried[i], .teacher = "tiny"};
        akin_hash whole = print_of(&p);
        p.checkpoint = "checkpoint";
        stop_at = 5;
        assert_int_equal(run(&model, &p, &error), AKIN_ERR_INTERRUPTED);
        akin_model_free(model);
        stop_at = interrupt = 0;
        p.resume = true;
        if (i == 0) { /* another teacher is another run, the same one elsewhere is not */
            p.teacher = "other";
            assert_int_equal(run(&model, &p, &error), AKIN_ERR_MISMATCH);
            if (!strstr(error.message, "teacher was"))
                fail_msg("%s", error.message);
            assert_ok(ak_copy_folder(test_path("tiny"), test_path("elsewhere"), told));
            p.teacher = "elsewhere";
        }
        assert_true(ak_hash_equal(print_of(&p), whole));
        ak_remove_tree(test_path("checkpoint"));
    }
}

/* ---- mistakes and memory ---- */

static void mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *loss, *data, *more, *teacher;
        akin_status status;
        const char *says;
    } rows[] = {
        {"kl", NULL, NULL, NULL, AKIN_ERR_ARGUMENT, "the loss \"kl\" learns from a teacher"},
        {"{type: sum, losses: [cosent, mse]}", NULL, NULL, NULL, AKIN_ERR_ARGUMENT,
         "\"train.teacher\" must name"},
        {"kl", NULL, NULL, "nowhere", AKIN_ERR_IO, "nowhere: there is no such model folder"},
        {"kl", NULL, NULL, "pairs.jsonl", AKIN_ERR_FORMAT, "a model is a folder"},
        {"margin_mse", GROUPS, NULL, "tiny", AKIN_ERR_MISMATCH, "learns from pairs"},
        {"{type: matryoshka, dims: [32, 8], loss: mse}", NULL, NULL, "tiny", AKIN_ERR_MISMATCH,
         "the model gives 8, the teacher 32"},
        {"{type: matryoshka, dims: [32, 8], loss: mse}", NULL, NULL, "tiny", AKIN_ERR_MISMATCH,
         "only they go inside matryoshka"},
    };
    akin_model *model;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_error error = {0};
        const plan p = {rows[i].loss, rows[i].data, rows[i].more, rows[i].teacher, NULL, false};
        akin_status status = run(&model, &p, &error);
        if (status != rows[i].status || !strstr(error.message, rows[i].says))
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
    assert_string_equal(told_lines, "");
    assert_ok(run(&model, &(plan){.loss = "cosent", .teacher = "tiny"}, told));
    assert_non_null(strstr(told_lines, "does not learn from it"));
    akin_model_free(model);
}

static void without_memory(void **state)
{
    (void)state;
    const plan p = {.loss = "kl", .more = ", workers: 0", .teacher = "tiny"};
    write_text("pairs.jsonl", "{\"a\": \"red cat\", \"b\": \"the cat is red\"}\n"
                              "{\"a\": \"red dog\", \"b\": \"the dog is red\"}\n");
    int64_t step = 1;
    for (int64_t n = 1;; n += step) { /* a run makes thousands: every one at first, then some */
        akin_model *model;
        akin_error error = {0};
        ak_memory_fail_at(n);
        akin_status status = run(&model, &p, &error);
        ak_memory_fail_at(0);
        akin_model_free(model);
        if (!status)
            break;
        if (status != AKIN_ERR_MEMORY)
            fail_msg("allocation %d: %s: %s", (int)n, akin_status_name(status), error.message);
        step = 1 + n / 16;
        assert_true(n < 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(students_come_near_their_teacher, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_teacher_may_have_sides_and_a_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_are_taught_on_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_need_no_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(vectors_are_kept_in_the_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resumed_runs_have_the_same_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
