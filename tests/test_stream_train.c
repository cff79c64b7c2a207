/* Training from a stream: resumed in the same bits, as good as from the data set, what is refused,
   and what is told. */
#include "data_files.h"
#include "numbers_encoder.h"

#include "train/recipe.h"

static akin_context *context;
static volatile int interrupt;
static int64_t stop_after;
static char warnings[512];

static void keep_warning(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user, (void)fraction;
    size_t used = strlen(warnings);
    if (kind == AKIN_MESSAGE_WARNING)
        snprintf(warnings + used, sizeof warnings - used, "%s\n", text);
}

static void maybe_interrupt(void *user, akin_training *training)
{
    (void)user;
    if (akin_training_step(training) == stop_after)
        interrupt = 1;
}

static const char *const recipe_text =
    "data: {train: train.jsonl, validation: held.jsonl}\n"
    "encoders: {n: {type: numbers, dim: 6}}\n"
    "optimizer: {lr: 0.02}\n"
    "metrics: []\n"
    "cache: false\n"
    "train: {batch_size: 16, epochs: 3, early_stopping: false}\n";

enum { DIM = 6, SIGNAL = 3 }; /* three numbers that a pair shares, three that disturb */

static void write_numbers(const char *name, int count, uint64_t seed)
{
    ak_text text = {0};
    for (int i = 0; i < count; i++)
        for (int side = 0; side < 2; side++) {
            ak_text_printf(&text, side ? ", \"b\": \"" : "{\"a\": \"");
            for (int c = 0; c < DIM; c++) {
                double own = ak_random_normal(seed, 1, (uint64_t)((2 * i + side) * DIM + c));
                double shared = ak_random_normal(seed, 2, (uint64_t)(i * DIM + c));
                ak_text_printf(&text, "%.4f ", c < SIGNAL ? shared + 0.2 * own : 1.5 * own);
            }
            ak_text_printf(&text, side ? "\"}\n" : "\"");
        }
    write_bytes(name, text.data, text.size);
    ak_free(text.data);
}

/* The vector of an object, by the model of a run. */
static akin_status train(const char *const *sets, int count, bool resume, float *vector,
                         akin_fit_summary *summary, akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *training, *validation;
    akin_model *model = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s", write_text("recipe.yaml", recipe_text));
    AK_TRY(akin_recipe_open(&recipe, context, path, sets, count, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    const akin_callback callback = {.size = sizeof callback, .on_step_end = maybe_interrupt};
    trainer.checkpoint = test_path("run");
    trainer.resume = resume;
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    akin_status status = akin_recipe_loaders(recipe, &training, &validation, error);
    if (!status)
        status =
            akin_fit(&model, context, &trainable, &trainer, training, validation, summary, error);
    if (model) {
        akin_object object = akin_text("0.3 0.7 1 2 3 4");
        assert_ok(akin_model_encode(model, &object, 1, vector, told));
    }
    akin_model_free(model);
    akin_recipe_free(recipe);
    return status;
}

static int start_training(void **state)
{
    (void)state;
    interrupt = 0;
    stop_after = 0;
    *warnings = 0;
    write_numbers("train.jsonl", 100, 1);
    write_numbers("held.jsonl", 40, 2);
    if (akin_context_create(&context, NULL))
        return -1;
    akin_context_on_interrupt(context, &interrupt);
    akin_context_on_message(context, keep_warning, NULL);
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL)
               ? -1
               : 0;
}

static int end_training(void **state)
{
    (void)state;
    akin_context_free(context);
    return 0;
}

/* Killed and resumed ends in the same bits, in epochs of a pass and of so many steps. */
static void test_resumes(void **state)
{
    (void)state;
    static const char *const sets[] = {"data.streaming=true", "data.shuffle_buffer=30",
                                       "train.epoch_steps=5"};
    for (int count = 2; count <= 3; count++) {
        float whole[DIM], parts[DIM];
        akin_fit_summary summary;
        akin_error error = {0};
        stop_after = 0;
        assert_ok(train(sets, count, false, whole, &summary, told));
        assert_int_equal(summary.steps, count == 2 ? 21 : 15);
        assert_int_equal(summary.best_epoch, 3);
        stop_after = 9;
        assert_int_equal(train(sets, count, false, parts, &summary, &error), AKIN_ERR_INTERRUPTED);
        interrupt = 0;
        stop_after = 0;
        assert_ok(train(sets, count, true, parts, &summary, told));
        assert_memory_equal(whole, parts, sizeof whole);
        const char *const other[] = {"data.streaming=true", "data.shuffle_buffer=31",
                                     "train.epoch_steps=5"};
        assert_int_equal(train(other, count, true, parts, &summary, &error), AKIN_ERR_MISMATCH);
        if (!strstr(error.message, "shuffle_buffer was 30, this run's is 31"))
            fail_msg("%s", error.message);
    }
}

/* With a buffer for all of it a stream trains as well as the data set; a step sees the same kind of
   batch. */
static void test_learns(void **state)
{
    (void)state;
    static const char *const streaming[] = {"data.streaming=true"};
    float vector[DIM];
    akin_fit_summary set, stream;
    assert_ok(train(NULL, 0, false, vector, &set, told));
    assert_ok(train(streaming, 1, false, vector, &stream, told));
    assert_true(set.best_value < set.base_value);
    assert_true(stream.base_value == set.base_value);
    double gain = (stream.base_value - stream.best_value) / (set.base_value - set.best_value);
    assert_true(gain > 0.8 && gain < 1.25);
    assert_int_equal(stream.steps, set.steps);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sets[4];
        akin_status status;
        const char *told;
    } bad[] = {
        {{"data.validation=0.1"},
         AKIN_ERR_ARGUMENT,
         "no validation set can be drawn from a stream"},
        {{"data.train=[train.jsonl, held.jsonl]"}, AKIN_ERR_ARGUMENT, "reads one file"},
        {{"optimizer.schedule=cosine"}, AKIN_ERR_ARGUMENT, "set epoch_steps or max_steps"},
        {{"optimizer.schedule=cosine", "train.epoch_steps=4"}, AKIN_OK, ""},
        {{"optimizer.schedule=linear", "train.max_steps=8"}, AKIN_OK, ""},
        {{"train.sampler=no_duplicates"}, AKIN_ERR_ARGUMENT, "needs the whole data set"},
        {{"data.samples=groups", "data.fields={object: a, group: b}", "loss.type=cosface"},
         AKIN_ERR_UNSUPPORTED,
         "the groups of a stream are not known beforehand"},
        {{"data.samples=groups", "data.fields={object: a, group: b}",
          "loss={type: sum, losses: [{type: xbm, loss: supcon}]}"},
         AKIN_ERR_UNSUPPORTED,
         "remembers earlier batches"},
        {{"data.samples=groups", "data.fields={object: a, group: b}", "loss.type=triplet"},
         AKIN_OK,
         ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *sets[5] = {"data.streaming=true"};
        int count = 1;
        float vector[DIM];
        akin_fit_summary summary;
        akin_error error = {0};
        for (int k = 0; k < 4 && bad[i].sets[k]; k++)
            sets[count++] = bad[i].sets[k];
        akin_status status = train(sets, count, false, vector, &summary, &error);
        if (status != bad[i].status || !strstr(error.message, bad[i].told))
            fail_msg("%s: %d %s", bad[i].sets[0], (int)status, error.message);
    }
    const char *const steps[] = {"train.epoch_steps=4"}; /* without streaming */
    float vector[DIM];
    akin_fit_summary summary;
    assert_int_equal(train(steps, 1, false, vector, &summary, NULL), AKIN_ERR_ARGUMENT);
}

/* Told once, with the number of one pass. */
static void test_replaced(void **state)
{
    (void)state;
    static const char *const streaming[] = {"data.streaming=true"};
    static const char bad[] =
        "{\"a\": \"1 2 3 4 5 6\", \"b\": \"1 2 3 4 5 6\", \"note\": \"\xff.\xfe\"}\n"
        "{\"a\": \"6 5 4 3 2 1\", \"b\": \"6 5 4 3 2 1\", \"note\": \"\xff\"}\n";
    float vector[DIM];
    akin_fit_summary summary;
    write_bytes("train.jsonl", bad, sizeof bad - 1);
    assert_ok(train(streaming, 1, false, vector, &summary, told));
    assert_int_equal(summary.epochs, 3);
    const char *line = strstr(warnings, "train.jsonl: 3 byte sequences were not UTF-8");
    if (!line || strstr(strchr(line, '\n'), "not UTF-8"))
        fail_msg("told: %s", warnings);
}

#define TRAINING(test) cmocka_unit_test_setup_teardown(test, start_training, end_training)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAINING(test_resumes),
        TRAINING(test_learns),
        TRAINING(test_refused),
        TRAINING(test_replaced),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
