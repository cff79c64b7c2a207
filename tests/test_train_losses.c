/* Losses within runs on groups: what is saved with the model, what is told, what is resumed. */
#include "data_files.h"
#include "numbers_encoder.h"

#include "train/train.h"

#include <math.h>

enum { DIM = 6, SAMPLES = 80, GROUPS = 5 };

static akin_context *context;
static char told_lines[4096]; /* warnings */
static int stop_at;           /* the step after which the run is interrupted; 0: none */
static volatile int interrupt;

static void listen(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user, (void)fraction;
    size_t used = strlen(told_lines);
    if (kind == AKIN_MESSAGE_WARNING)
        snprintf(told_lines + used, sizeof told_lines - used, "%s\n", text);
}

/* Labels of any type; three numbers that tell the group and three that disturb. */
static const char *write_samples(const char *name, uint64_t seed)
{
    static const char *const labels[GROUPS] = {"\"cat\"", "7", "true", "\"a \\\"dog\\\"\"", "2.5"};
    ak_text text = {0};
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t group = (uint64_t)i % GROUPS;
        ak_text_printf(&text, "{\"label\": %s, \"text\": \"", labels[group]);
        for (uint64_t c = 0; c < DIM; c++) {
            double own = ak_random_normal(seed, 1, (uint64_t)i * DIM + c);
            double shared = ak_random_normal(7, 2, group * DIM + c);
            ak_text_printf(&text, "%.4f ", c < 3 ? shared + 0.3 * own : 1.5 * own);
        }
        ak_text_printf(&text, "\"}\n");
    }
    const char *path = write_text(name, text.data);
    ak_free(text.data);
    return path;
}

static const char *const usual_data = "{train: train.jsonl, validation: validation.jsonl, "
                                      "samples: groups,\n  fields: {object: text, group: label}}";
static const char *data;

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL) ||
        akin_context_set_cache(context, NULL, NULL) ||
        akin_register_encoder(context, &numbers_class, NULL))
        return -1;
    akin_context_on_message(context, listen, NULL);
    *told_lines = 0;
    stop_at = interrupt = 0;
    data = usual_data;
    write_samples("train.jsonl", 1);
    write_samples("validation.jsonl", 2);
    return 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return remove_test_folder(state);
}

static akin_status open_recipe(akin_recipe **out, const char *loss, akin_error *error)
{
    char text[1024], path[300];
    snprintf(text, sizeof text,
             "data: %s\n"
             "encoders: {n: {type: numbers, dim: 6}}\n"
             "optimizer: {lr: 0.02}\n"
             "train: {batch_size: 20, epochs: 4, early_stopping: false}\n"
             "metrics: []\n"
             "loss: %s\n",
             data, loss);
    snprintf(path, sizeof path, "%s", write_text("recipe.yaml", text));
    return akin_recipe_open(out, context, path, NULL, 0, error);
}

static void count_steps(void *user, akin_training *t)
{
    (void)user;
    interrupt = akin_training_step(t) == stop_at;
}

/* A run of the recipe; `steps` 0: to its end. */
static akin_status run(akin_model **model, const char *loss, const char *checkpoint, bool resume,
                       int64_t steps, akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *train, *validation;
    akin_fit_summary summary;
    *model = NULL;
    AK_TRY(open_recipe(&recipe, loss, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    trainer.summary = trainer.progress = false;
    trainer.checkpoint = checkpoint;
    trainer.resume = resume;
    trainer.max_steps = steps ? steps : trainer.max_steps;
    const akin_callback callback = {.size = sizeof callback, .on_step_end = count_steps};
    AK_TRY(akin_trainer_add_callback(&trainer, callback, error));
    akin_status status = akin_recipe_loaders(recipe, &train, &validation, error);
    if (!status)
        status = akin_fit(model, context, &trainable, &trainer, train, validation, &summary, error);
    akin_recipe_free(recipe);
    return status;
}

/* ---- loss.safetensors ---- */

static void check_loss_file(const char *folder, const char *loss, const char *parameter)
{
    ak_safetensors *file;
    char path[300];
    const int64_t shape[2] = {GROUPS, DIM};
    const void *values;
    snprintf(path, sizeof path, "%s/loss.safetensors", test_path(folder));
    assert_ok(ak_safetensors_open(&file, path, told));
    assert_string_equal(ak_safetensors_metadata(file, "labels"),
                        "[\"cat\", 7, true, \"a \\\"dog\\\"\", 2.5]");
    assert_non_null(strstr(ak_safetensors_metadata(file, "loss"), loss));
    assert_ok(ak_safetensors_view(&values, NULL, file, parameter, AK_DTYPE_F32, 2, shape, told));
    ak_safetensors_free(file);
}

static void losses_are_saved_with_their_labels(void **state)
{
    (void)state;
    akin_model *model;
    char *json, path[300];
    assert_ok(run(&model, "{type: cosface, scale: 8}", NULL, false, 0, told));
    assert_ok(akin_model_save(model, test_path("model"), false, told));
    akin_model_free(model);
    check_loss_file("model", "cosface", "classes");
    assert_ok(akin_inspect(&json, context, test_path("model"), told));
    assert_non_null(strstr(json, "\"file\": \"loss.safetensors\""));
    akin_memory_free(json);

    /* saved again from what was loaded, and without the file */
    assert_ok(akin_model_load(&model, context, test_path("model"), AKIN_AS_SAVED, told));
    assert_ok(akin_model_save(model, test_path("again"), false, told));
    check_loss_file("again", "cosface", "classes");
    akin_model_free(model);
    snprintf(path, sizeof path, "%s/loss.safetensors", test_path("again"));
    assert_int_equal(unlink(path), 0);
    assert_ok(akin_model_load(&model, context, test_path("again"), AKIN_AS_SAVED, told));
    assert_ok(akin_model_save(model, test_path("third"), false, told));
    akin_model_free(model);
}

static void losses_without_parameters_leave_no_file(void **state)
{
    (void)state;
    akin_model *model;
    char path[300], *json;
    assert_ok(run(&model, "{type: supcon}", NULL, false, 0, told));
    assert_ok(akin_model_save(model, test_path("model"), false, told));
    akin_model_free(model);
    snprintf(path, sizeof path, "%s/loss.safetensors", test_path("model"));
    assert_int_equal(ak_path_what(path), AK_PATH_NONE);
    assert_ok(akin_inspect(&json, context, test_path("model"), told));
    assert_null(strstr(json, "loss.safetensors"));
    akin_memory_free(json);
}

static void parts_of_a_sum_are_saved_by_their_place(void **state)
{
    (void)state;
    akin_model *model;
    assert_ok(run(&model, "{type: sum, losses: [supcon, center], weights: [1, 0.1]}", NULL, false,
                  0, told));
    assert_ok(akin_model_save(model, test_path("model"), false, told));
    akin_model_free(model);
    check_loss_file("model", "center", "1.classes");
    assert_string_equal(told_lines, "");
}

/* ---- what is told ---- */

static void losses_that_collapse_alone_are_told(void **state)
{
    (void)state;
    static const char *const losses[] = {"{type: center}", "{type: sum, losses: center}",
                                         "{type: matryoshka, loss: center, dims: [6, 2]}"};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        akin_model *model;
        *told_lines = 0;
        assert_ok(run(&model, losses[i], NULL, false, 1, told));
        assert_non_null(strstr(told_lines, "alone it makes all vectors one"));
        akin_model_free(model);
    }
}

static void data_without_anything_to_learn_is_told(void **state)
{
    (void)state;
    static const char *const groups = "{train: odd.jsonl, validation: false, samples: groups, "
                                      "fields: {object: text, group: label}}";
    static const struct {
        const char *data, *text, *loss, *part;
    } table[] = {
        {groups,
         "{\"text\": \"1 2 3 4 5 6\", \"label\": 1}\n{\"text\": \"2 2 3 4 5 6\", \"label\": 1}\n",
         "{type: supcon}", "all samples are of one group"},
        {groups,
         "{\"text\": \"1 2 3 4 5 6\", \"label\": 1}\n{\"text\": \"2 2 3 4 5 6\", \"label\": 2}\n",
         "{type: triplet}", "every group has one sample"},
        {"{train: odd.jsonl, validation: false}\n",
         "{\"a\": \"1 2 3 4 5 6\", \"b\": \"2 2 3 4 5 6\", \"score\": 0}\n"
         "{\"a\": \"1 2 4 4 5 6\", \"b\": \"2 2 9 4 5 6\", \"score\": 0.5}\n",
         "{type: multiple_negatives_ranking}", "no pair has a score above 0.5"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        akin_model *model;
        *told_lines = 0;
        data = table[i].data;
        write_text("odd.jsonl", table[i].text);
        assert_ok(run(&model, table[i].loss, NULL, false, 0, told)); /* 0, not NaN */
        akin_model_free(model);
        if (!strstr(told_lines, table[i].part))
            fail_msg("\"%s\" lacks \"%s\"", told_lines, table[i].part);
    }
}

static void mistakes_in_recipes_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *loss, *part;
    } table[] = {
        {"{type: sum, losses: [supcon, cosent]}", "recipe.yaml:7: sum: the loss \"cosent\" learns"},
        {"{type: sum, losses: [supcon, nonsense]}", "recipe.yaml:7:36: there is no loss"},
        {"{type: sum, losses: [cosent]}", "recipe.yaml:7: the loss \"sum\" learns from pairs"},
        {"{type: matryoshka, loss: supcon}", "recipe.yaml:7: matryoshka: \"dims\" is empty"},
        {"{type: tripletts}", "recipe.yaml:7: there is no loss \"tripletts\"; did you mean"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        akin_recipe *recipe;
        akin_error error = {0};
        assert_int_not_equal(open_recipe(&recipe, table[i].loss, &error), AKIN_OK);
        if (!strstr(error.message, table[i].part))
            fail_msg("message \"%s\" lacks \"%s\"", error.message, table[i].part);
        assert_int_equal(error.line, 7);
    }
}

/* ---- resumed ---- */

static void vectors_of(const akin_model *model, float *out)
{
    const akin_object objects[] = {akin_text("1 2 3 4 5 6"), akin_text("-1 0.5 0 0 2 1")};
    assert_int_equal(akin_model_dim(model), DIM);
    assert_ok(akin_model_encode(model, objects, 2, out, told));
}

static void interrupted_runs_go_on_as_if_they_were_not(void **state)
{
    (void)state;
    static const char *const losses[] = {
        "{type: sum, losses: [supcon, center], weights: [1, 0.1]}",
        "{type: matryoshka, loss: {type: cosface, scale: 8}, dims: [6, 3]}",
        "{type: xbm, loss: supcon, start_iteration: 3, buffer_size: 50}",
        "{type: sum, losses: [{type: xbm, loss: triplet, start_iteration: 0}, center]}",
    };
    akin_context_on_interrupt(context, &interrupt);
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        akin_model *model;
        float whole[2 * DIM], resumed[2 * DIM];
        stop_at = 0;
        assert_ok(run(&model, losses[i], NULL, false, 0, told));
        vectors_of(model, whole);
        akin_model_free(model);
        for (stop_at = 1; stop_at < 14; stop_at += 6) {
            akin_error error = {0};
            ak_remove_tree(test_path("kept"));
            assert_int_equal(run(&model, losses[i], test_path("kept"), false, 0, &error),
                             AKIN_ERR_INTERRUPTED);
            akin_model_free(model);
            interrupt = 0;
            int before = stop_at;
            stop_at = 0;
            assert_ok(run(&model, losses[i], test_path("kept"), true, 0, told));
            stop_at = before;
            vectors_of(model, resumed);
            akin_model_free(model);
            if (memcmp(whole, resumed, sizeof whole))
                fail_msg("%s: other bits after %d steps", losses[i], stop_at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(losses_are_saved_with_their_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_without_parameters_leave_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_of_a_sum_are_saved_by_their_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_that_collapse_alone_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_without_anything_to_learn_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_in_recipes_have_their_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(interrupted_runs_go_on_as_if_they_were_not, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
