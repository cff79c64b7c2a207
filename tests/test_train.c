/* Training on data whose answer is known: an object is three numbers that tell its partner and
   three that only disturb, so a head that learns beats the base. */
#include "data_files.h"
#include "numbers_encoder.h"

#include "train/train.h"

#include <math.h>
#include <time.h>

enum { SIGNAL = 3, DIM = 6, TRAIN = 60, VALIDATION = 30, BATCH = 16, STEPS = 4 };

static akin_context *context;
static akin_dataset *train_set, *validation_set;
static volatile int interrupt;

static akin_dataset *make_pairs(int count, uint64_t seed)
{
    akin_dataset *dataset;
    static char text[2 * TRAIN][128];
    static akin_pair pairs[TRAIN];
    for (int i = 0; i < 2 * count; i++) {
        size_t used = 0;
        for (int c = 0; c < DIM; c++) {
            double own = ak_random_normal(seed, 1, (uint64_t)(i * DIM + c));
            double shared = ak_random_normal(seed, 2, (uint64_t)(i / 2 * DIM + c));
            used += (size_t)snprintf(text[i] + used, sizeof text[i] - used, "%.4f ",
                                     c < SIGNAL ? shared + 0.2 * own : 1.5 * own);
        }
    }
    for (int i = 0; i < count; i++)
        pairs[i] = (akin_pair){akin_text(text[2 * i]), akin_text(text[2 * i + 1]), 1, 0};
    assert_ok(akin_dataset_from_pairs(&dataset, pairs, count, told));
    return dataset;
}

/* ---- losses of the user's own ---- */

static int64_t broken_step; /* the step whose loss is NaN; 0: never */
static const akin_parameter *shift;

static akin_status shifted_create(void **self, const void *options, int64_t dim, int64_t groups,
                                  akin_parameters *parameters, akin_error *error)
{
    (void)options;
    (void)dim;
    int number;
    assert_int_equal(groups, 0);
    AK_TRY(
        akin_parameters_add(parameters, &number, "shift", 1, 1, AKIN_INIT_ZERO, 0, false, error));
    *self = parameters;
    return AKIN_OK;
}

/* Mean squared distance of a pair plus (shift - 3)². */
static akin_status shifted_compute(void *self, const akin_pass *pass, const akin_labels *labels,
                                   akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    akin_parameter *p = akin_parameters_get(self, 0);
    int64_t n = labels->count;
    double sum = 0;
    (void)error;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < x.columns; c++) {
            float d = x.data[i * x.stride + c] - x.data[(n + i) * x.stride + c];
            sum += (double)d * (double)d / (double)n;
            if (!dx.data)
                continue;
            dx.data[i * dx.stride + c] = 2 * d / (float)n;
            dx.data[(n + i) * dx.stride + c] = -2 * d / (float)n;
        }
    double off = (double)p->value[0] - 3;
    *value = sum + off * off;
    if (dx.data)
        p->grad[0] += (float)(2 * off);
    if (broken_step && pass->training && (int64_t)pass->step + 1 == broken_step)
        *value = NAN;
    shift = p;
    return AKIN_OK;
}

static const akin_loss_class shifted_class = {.size = sizeof shifted_class,
                                              .name = "shifted",
                                              .summary = "distance and a parameter",
                                              .kind = AKIN_PAIRS,
                                              .create = shifted_create,
                                              .compute = shifted_compute};

/* ---- a run ---- */

typedef struct plan {
    const char *encoder; /* options of the numbers; NULL: frozen */
    const char *second;  /* of a second one; NULL: none */
    const char *head, *head_options, *loss, *loss_options;
    akin_optimizer_type optimizer;
    double lr;
    int schedule;
    int workers, batch;
    bool uncached, no_validation, no_shuffle;
    int nudged; /* 1 + the weight of the encoder that is moved by `nudge` */
    float nudge;
    int64_t train_results, validation_results;
    double first_loss;
} plan;

static akin_status encoders(void *user, akin_context *c, akin_named_encoder *out, int capacity,
                            int *count, akin_error *error)
{
    plan *p = user;
    assert_true(capacity >= 2);
    *count = 0;
    out[0].name = "n";
    AK_TRY(akin_encoder_create(&out[0].encoder, c, "numbers", p->encoder ? p->encoder : "{dim: 6}",
                               error));
    (*count)++;
    if (p->nudged)
        akin_parameters_get(numbers_parameters(akin_encoder_self(out[0].encoder)), 0)
            ->value[p->nudged - 1] += p->nudge;
    if (!p->second)
        return AKIN_OK;
    out[1].name = "m";
    AK_TRY(akin_encoder_create(&out[1].encoder, c, "numbers", p->second, error));
    (*count)++;
    return AKIN_OK;
}

static akin_status head(void *user, akin_context *c, int64_t input_dim, akin_head **out,
                        akin_error *error)
{
    const plan *p = user;
    return akin_head_create(out, c, p->head ? p->head : "skip_connection", p->head_options,
                            input_dim, error);
}

static akin_status loss(void *user, akin_context *c, akin_loss **out, akin_error *error)
{
    const plan *p = user;
    return akin_loss_create(out, c, p->loss ? p->loss : "multiple_negatives_ranking",
                            p->loss_options, error);
}

static akin_status optimizer(void *user, akin_optimizer_options *options, akin_error *error)
{
    const plan *p = user;
    (void)error;
    *options = akin_optimizer_defaults(p->optimizer);
    options->lr = p->lr;
    options->schedule = p->schedule;
    return AKIN_OK;
}

static akin_status cache(void *user, akin_cache_options *options, akin_error *error)
{
    (void)error;
    assert_true(options->enabled);
    options->enabled = !((const plan *)user)->uncached;
    return AKIN_OK;
}

static void results(void *user, const akin_results *results)
{
    plan *p = user;
    assert_int_equal(results->embeddings.rows, 2 * results->labels->count);
    if (!results->validation && !p->train_results)
        p->first_loss = results->loss;
    *(results->validation ? &p->validation_results : &p->train_results) += 1;
}

static akin_status fit(akin_model **model, plan *p, const akin_trainer *trainer,
                       akin_fit_summary *summary, akin_error *error)
{
    akin_loader *train, *validation;
    akin_loader_options options = akin_loader_defaults();
    options.batch_size = p->batch ? p->batch : BATCH;
    options.workers = p->workers;
    options.shuffle = !p->no_shuffle;
    p->train_results = p->validation_results = 0;
    akin_trainable trainable = {.size = sizeof trainable,
                                .user = p,
                                .configure_encoders = encoders,
                                .configure_head = head,
                                .configure_loss = loss,
                                .configure_optimizer = optimizer,
                                .configure_cache = cache,
                                .process_results = results};
    *model = NULL;
    AK_TRY(akin_pair_loader_create(&train, train_set, &options, error));
    options.shuffle = false;
    akin_status status = akin_pair_loader_create(&validation, validation_set, &options, error);
    if (!status)
        status = akin_fit(model, context, &trainable, trainer, train,
                          p->no_validation ? NULL : validation, summary, error);
    akin_loader_free(train);
    akin_loader_free(validation);
    return status;
}

static akin_trainer trainer_of(int64_t epochs)
{
    akin_trainer trainer = akin_trainer_defaults();
    trainer.max_epochs = epochs;
    trainer.patience = 0;
    trainer.summary = trainer.progress = false;
    return trainer;
}

static void vectors_of(const akin_model *model, float *out)
{
    akin_object objects[VALIDATION];
    akin_arena *arena;
    assert_ok(ak_arena_create(&arena, told));
    for (int i = 0; i < VALIDATION; i++) {
        akin_sample sample;
        assert_ok(akin_dataset_get(validation_set, i, arena, &sample, told));
        objects[i] = sample.pair.a;
    }
    assert_ok(akin_model_encode(model, objects, VALIDATION, out, told));
    ak_arena_free(arena);
}

static int set_up(void **state)
{
    if (make_test_folder(state) || akin_context_create(&context, NULL))
        return -1;
    akin_context_on_interrupt(context, &interrupt);
    interrupt = 0;
    broken_step = 0;
    train_set = make_pairs(TRAIN, 1);
    validation_set = make_pairs(VALIDATION, 2);
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &numbers_class, NULL) ||
                   akin_register_loss(context, &shifted_class, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_dataset_free(train_set);
    akin_dataset_free(validation_set);
    akin_context_free(context);
    return remove_test_folder(state);
}

/* ---- learning ---- */

static void test_learns(void **state)
{
    (void)state;
    static const plan plans[] = {
        {.lr = 0.05},
        {.lr = 0.05, .workers = 2, .uncached = true},
        {.lr = 0.05, .encoder = "{dim: 6, trainable: true}", .head = "empty"},
        {.lr = 0.05, .encoder = "{dim: 6, trainable: true}", .second = "{dim: 4}", .workers = 1},
        {.lr = 0.05, .head = "linear", .head_options = "{output_dim: 4}", .optimizer = AKIN_ADAMW},
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        plan p = plans[i];
        akin_model *model;
        akin_fit_summary s;
        akin_trainer trainer = trainer_of(15);
        if (p.optimizer == AKIN_SGD)
            p.optimizer = AKIN_ADAM;
        assert_ok(fit(&model, &p, &trainer, &s, told));
        if (!(s.best_epoch > 0 && s.best_value < 0.8 * s.base_value))
            fail_msg("plan %d: %g after %g", (int)i, s.best_value, s.base_value);
        assert_int_equal(s.epochs, 15);
        assert_int_equal(s.steps, 15 * STEPS);
        assert_int_equal(p.train_results, 15 * STEPS);
        assert_int_equal(p.validation_results, 16 * 2);
        assert_non_null(strstr(model->metrics_json, "validation_loss"));
        akin_model_free(model);
    }
}

static void test_never_worse_than_the_base(void **state)
{
    (void)state;
    static float tuned[VALIDATION * DIM], base[VALIDATION * DIM], loaded[VALIDATION * DIM];
    akin_model *model, *bare;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(50);
    trainer.patience = 3;
    plan p = {.lr = 500, .optimizer = AKIN_ADAM, .head_options = "{init: pytorch}"};
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.best_epoch, 0);
    assert_int_equal(s.epochs, 3);
    assert_true(s.stopped_early && s.best_value == s.base_value);
    akin_named_encoder named = {"n", NULL};
    assert_ok(akin_encoder_create(&named.encoder, context, "numbers", "{dim: 6}", told));
    assert_ok(akin_model_create(&bare, context, &named, 1, NULL, told));
    vectors_of(model, tuned);
    vectors_of(bare, base);
    assert_memory_equal(tuned, base, sizeof base);
    akin_hash a, b;
    assert_ok(akin_model_fingerprint(model, &a, told));
    assert_ok(akin_model_fingerprint(bare, &b, told));
    assert_memory_equal(&a, &b, sizeof a);
    assert_ok(akin_model_save(model, test_path("model"), false, told));
    akin_model_free(model);
    assert_ok(akin_model_load(&model, context, test_path("model"), AKIN_AS_SAVED, told));
    vectors_of(model, loaded);
    assert_memory_equal(loaded, base, sizeof base);
    akin_model_free(model);
    akin_model_free(bare);
    /* an encoder that learned goes back too */
    p = (plan){
        .lr = 500, .optimizer = AKIN_ADAM, .head = "empty", .encoder = "{dim: 6, trainable: true}"};
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.best_epoch, 0);
    vectors_of(model, tuned);
    assert_memory_equal(tuned, base, sizeof base);
    akin_model_free(model);
}

static void test_without_validation(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(6);
    trainer.patience = 1;
    plan p = {.lr = 500, .optimizer = AKIN_ADAM, .no_validation = true};
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.epochs, 6);
    assert_int_equal(s.best_epoch, 6); /* the last one, whatever its loss */
    assert_int_equal(p.validation_results, 0);
    assert_string_equal(model->head->type->name, "skip_connection");
    akin_model_free(model);
}

static void test_loss_with_parameters(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(1);
    plan p = {.lr = 0.1, .optimizer = AKIN_SGD, .loss = "shifted", .no_validation = true};
    trainer.max_steps = 1;
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_int_equal(s.steps, 1);
    assert_non_null(shift);
    akin_model_free(model); /* 9 is the parameter's share of the first loss */
    trainer.max_steps = 0;
    trainer.max_epochs = 30;
    double first = p.first_loss;
    p.lr = 0.01;
    assert_ok(fit(&model, &p, &trainer, &s, told));
    assert_true(first > 9 && s.best_value < first - 8);
    akin_model_free(model);
}

/* One step of plain descent with rate 1 moves a weight by its gradient. */
static void test_gradient_reaches_the_encoder(void **state)
{
    (void)state;
    akin_trainer trainer = trainer_of(1);
    akin_model *model;
    plan p = {.lr = 1,
              .optimizer = AKIN_SGD,
              .head = "empty",
              .batch = TRAIN,
              .no_shuffle = true,
              .no_validation = true,
              .encoder = "{dim: 6, trainable: true}"};
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    float moved[DIM * DIM];
    memcpy(moved, ak_parameters_values(ak_encoder_parameters(model->encoders[0].encoder)),
           sizeof moved);
    akin_model_free(model);
    for (int i = 0; i < DIM * DIM; i += 5) {
        double side[2];
        for (int k = 0; k < 2; k++) {
            plan q = p;
            q.nudged = i + 1;
            q.nudge = k ? 0.01f : -0.01f;
            assert_ok(fit(&model, &q, &trainer, NULL, told));
            side[k] = q.first_loss;
            akin_model_free(model);
        }
        double slope = (side[1] - side[0]) / 0.02;
        double step = (double)moved[i] - (i % (DIM + 1) == 0);
        if (fabs(slope + step) > 2e-3 * (1 + fabs(slope)))
            fail_msg("weight %d: slope %g, moved by %g", i, slope, step);
    }
}

/* ---- callbacks, logs ---- */

typedef struct journal {
    char text[512];
    int64_t stop_at;
} journal;

static void note(journal *j, char what)
{
    size_t length = strlen(j->text);
    assert_true(length + 1 < sizeof j->text);
    j->text[length] = what;
}

static void fit_start(void *user, akin_training *t)
{
    assert_int_equal(akin_training_step(t), 0);
    note(user, '<');
}
static void epoch_start(void *user, akin_training *t)
{
    (void)t;
    note(user, '(');
}
static void step_end(void *user, akin_training *t)
{
    journal *j = user;
    note(j, '.');
    assert_true(isfinite(akin_training_loss(t)) && akin_training_lr(t) > 0);
    if (j->stop_at && akin_training_step(t) == j->stop_at)
        akin_training_stop(t);
}
static void epoch_end(void *user, akin_training *t)
{
    note(user, ')');
    assert_true(isfinite(akin_training_metric(t, "train_loss")));
    assert_true(isfinite(akin_training_metric(t, "validation_loss")));
    assert_true(akin_training_metric(t, "reciprocal_rank") > 0);
    assert_true(isnan(akin_training_metric(t, "absent")));
}
static void fit_end(void *user, akin_training *t)
{
    (void)t;
    note(user, '>');
}

static akin_callback journal_callback(journal *j)
{
    return (akin_callback){
        sizeof(akin_callback), j, fit_start, epoch_start, step_end, epoch_end, fit_end};
}

static void test_callbacks(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_trainer trainer = trainer_of(2);
    journal all = {{0}, 0}, stopping = {{0}, 6};
    plan p = {.lr = 0.01};
    assert_ok(akin_trainer_add_callback(&trainer, journal_callback(&all), told));
    assert_ok(fit(&model, &p, &trainer, &s, told));
    akin_model_free(model);
    assert_string_equal(all.text, "<(....)(....)>");
    assert_ok(akin_trainer_add_callback(&trainer, journal_callback(&stopping), told));
    trainer.max_epochs = 9;
    assert_ok(fit(&model, &p, &trainer, &s, told));
    akin_model_free(model);
    assert_string_equal(stopping.text, "<(....)(..)>");
    assert_int_equal(s.steps, 6);
    assert_false(s.stopped_early);
    trainer.callback_count = 0;
    for (int i = 0; i < AKIN_MAX_CALLBACKS; i++)
        assert_ok(akin_trainer_add_callback(&trainer, journal_callback(&all), told));
    assert_int_equal(akin_trainer_add_callback(&trainer, journal_callback(&all), NULL),
                     AKIN_ERR_ARGUMENT);
}

static int64_t count_lines(const char *path, const char *first, bool json)
{
    ak_map map;
    akin_arena *arena;
    int64_t lines = 0;
    assert_ok(ak_map_open(&map, path, told));
    assert_ok(ak_arena_create(&arena, told));
    assert_true(map.size > strlen(first) && memcmp(map.data, first, strlen(first)) == 0);
    const char *at = map.data, *end = at + map.size;
    for (; at < end; lines++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        ak_value *value;
        assert_non_null(stop);
        if (json)
            assert_ok(ak_json_parse(&value, arena, at, (size_t)(stop - at), "line", told));
        at = stop + 1;
    }
    ak_arena_free(arena);
    ak_map_close(&map);
    return lines;
}

static void test_logs(void **state)
{
    (void)state;
    akin_model *model;
    akin_trainer trainer = trainer_of(3);
    plan p = {.lr = 0.01};
    trainer.log_folder = test_path("logs/deep");
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    const char *header = "epoch,step,seconds,lr,train_loss,validation_loss,reciprocal_rank\n0,0,";
    assert_int_equal(count_lines(test_path("logs/deep/log.csv"), header, false), 5);
    assert_int_equal(count_lines(test_path("logs/deep/log.jsonl"), "{\"epoch\": 0", true), 4);
    trainer.metrics_per_step = true; /* a new run starts its log anew */
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    assert_int_equal(count_lines(test_path("logs/deep/log.csv"), "epoch,", false), 5);
    assert_int_equal(count_lines(test_path("logs/deep/log.jsonl"), "{\"epoch\": 0", true), 16);
}

/* ---- what goes wrong ---- */

static void test_divergence(void **state)
{
    (void)state;
    akin_model *model;
    akin_fit_summary s;
    akin_error error;
    akin_trainer trainer = trainer_of(9);
    plan p = {.lr = 0.01, .loss = "shifted"};
    broken_step = 2 * STEPS + 2;
    assert_int_equal(fit(&model, &p, &trainer, &s, &error), AKIN_ERR_DIVERGED);
    assert_non_null(strstr(error.message, "step 10 of epoch 3"));
    assert_non_null(model); /* the last good one */
    assert_int_equal(s.best_epoch, 2);
    static float vectors[VALIDATION * DIM];
    vectors_of(model, vectors);
    for (int i = 0; i < VALIDATION * DIM; i++)
        assert_true(isfinite(vectors[i]));
    akin_model_free(model);
    broken_step = 1;
    p.no_validation = true;
    assert_int_equal(fit(&model, &p, &trainer, &s, &error), AKIN_ERR_DIVERGED);
    assert_null(model);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        plan plan;
        const char *monitor;
        akin_status status;
        const char *told;
    } rows[] = {
        {{.loss = "triplet"}, NULL, AKIN_ERR_MISMATCH, "learns from groups, but the training data"},
        {{.head = "empty"}, NULL, AKIN_ERR_ARGUMENT, "nothing to train"},
        {{.lr = -1}, NULL, AKIN_ERR_ARGUMENT, "lr"},
        {{.lr = 1}, "validation_los", AKIN_ERR_ARGUMENT, "did you mean \"validation_loss\""},
        {{.encoder = "{dim: 9}"}, NULL, AKIN_ERR_FORMAT, "too few numbers"},
        {{.encoder = "{dim: 9}", .uncached = true, .workers = 2},
         NULL,
         AKIN_ERR_FORMAT,
         "too few numbers"},
        {{.head = "hed"}, NULL, AKIN_ERR_ARGUMENT, "hed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        plan p = rows[i].plan;
        akin_model *model;
        akin_error error = {0};
        akin_trainer trainer = trainer_of(2);
        if (rows[i].monitor)
            trainer.monitor = rows[i].monitor;
        if (!p.lr)
            p.lr = 0.1;
        akin_status status = fit(&model, &p, &trainer, NULL, &error);
        if (status != rows[i].status || !strstr(error.message, rows[i].told) || model)
            fail_msg("row %d: %s: %s", (int)i, akin_status_name(status), error.message);
    }
}

/* A trainer filled by hand, and no loader. */
static void test_bad_calls(void **state)
{
    (void)state;
    static const char *const told_of[] = {
        "checkpoint", "monitor", "17 callbacks", "\"epochs\" is -4, must be between 1 and",
        "\"max_steps\" is -1", "\"patience\" is -1", "\"min_delta\" is nan", "\"precision\" is 7",
        "\"steps\" is -1", "loader"};
    const int last = sizeof told_of / sizeof *told_of - 1;
    for (int i = 0; i <= last; i++) {
        plan p = {.lr = 0.1};
        akin_model *model;
        akin_error error = {0};
        akin_trainer trainer = trainer_of(2);
        akin_trainable nothing = {.size = sizeof nothing};
        trainer.resume = i == 0;
        if (i == 1)
            trainer.monitor = NULL;
        if (i == 2)
            trainer.callback_count = AKIN_MAX_CALLBACKS + 1;
        trainer.max_epochs = i == 3 ? -4 : 2;
        trainer.max_steps = -(i == 4);
        trainer.patience = -(i == 5);
        trainer.min_delta = i == 6 ? NAN : 0;
        trainer.precision = i == 7 ? 7 : AKIN_F32;
        trainer.checkpoint_steps = -(i == 8);
        akin_status status = i < last ? fit(&model, &p, &trainer, NULL, &error)
                                   : akin_fit(&model, context, &nothing, &trainer, NULL, NULL,
                                              NULL, &error);
        if (status != AKIN_ERR_ARGUMENT || !strstr(error.message, told_of[i]) || model)
            fail_msg("call %d: %s: %s", i, akin_status_name(status), error.message);
    }
}

/* ---- interrupted and resumed ---- */

static int64_t interrupt_at;

static void raise_flag(void *user, akin_training *t)
{
    (void)user;
    if (akin_training_step(t) == interrupt_at)
        interrupt = 1;
}

static void keep_checkpoint(void *user, akin_training *t)
{
    (void)user;
    if (akin_training_epoch(t) != 3)
        return; /* as if the process had died after two epochs */
    assert_ok(ak_copy_file(test_path("run/checkpoint.safetensors"),
                           test_path("kept/checkpoint.safetensors"), told));
}

static const plan resumed_plan = {
    .lr = 0.02, .optimizer = AKIN_ADAM, .schedule = AKIN_COSINE, .head_options = "{dropout: 0.2}"};

static void resume(plan *p, akin_trainer trainer, const float *expected,
                   const akin_fit_summary *whole)
{
    akin_model *model;
    akin_fit_summary s;
    static float out[VALIDATION * DIM];
    trainer.resume = true;
    trainer.callback_count = 0;
    interrupt = 0;
    assert_ok(fit(&model, p, &trainer, &s, told));
    vectors_of(model, out);
    assert_memory_equal(out, expected, sizeof out);
    assert_int_equal(s.steps, whole->steps);
    assert_int_equal(s.best_epoch, whole->best_epoch);
    assert_true(s.best_value == whole->best_value && s.base_value == whole->base_value);
    akin_model_free(model);
}

static void test_resume(void **state)
{
    (void)state;
    static float expected[VALIDATION * DIM];
    static const int64_t steps[] = {1, 6, 8, 19}; /* of 20; 8: the last of an epoch */
    akin_model *model;
    akin_fit_summary whole;
    akin_error error;
    plan p = resumed_plan;
    akin_trainer trainer = trainer_of(5);
    assert_ok(fit(&model, &p, &trainer, &whole, told));
    assert_true(whole.best_epoch > 0);
    vectors_of(model, expected);
    akin_model_free(model);
    for (int i = 0; i < 4; i++)
        for (int workers = 0; workers < 4; workers += workers + 1) {
            akin_trainer cut = trainer_of(5);
            cut.checkpoint = test_path("run");
            akin_callback callback = {.size = sizeof callback, .on_step_end = raise_flag};
            assert_ok(akin_trainer_add_callback(&cut, callback, told));
            interrupt_at = steps[i];
            p.workers = workers;
            ak_remove_tree(test_path("run"));
            assert_int_equal(fit(&model, &p, &cut, NULL, &error), AKIN_ERR_INTERRUPTED);
            assert_non_null(model); /* the best so far */
            akin_model_free(model);
            resume(&p, cut, expected, &whole);
        }
    /* between epochs, from the checkpoint that each of them leaves */
    trainer.checkpoint = test_path("run");
    trainer.checkpoint_epochs = 1;
    ak_remove_tree(trainer.checkpoint);
    assert_ok(ak_make_folders(test_path("kept"), told));
    akin_callback callback = {.size = sizeof callback, .on_epoch_start = keep_checkpoint};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    assert_ok(fit(&model, &p, &trainer, NULL, told));
    akin_model_free(model);
    trainer.checkpoint = test_path("kept");
    resume(&p, trainer, expected, &whole);
    resume(&p, trainer, expected, &whole); /* a run that has ended ends again */
}

/* ---- when checkpoints are written ---- */

typedef struct watched {
    char path[512];
    char text[64]; /* 'w' where the checkpoint is another file than before, '.' where it is not */
    int64_t time;
} watched;

static void watch(void *user, akin_training *t)
{
    watched *w = user;
    int64_t size = 0, time = 0;
    if (ak_file_stamp(w->path, &size, &time, NULL))
        time = 0;
    size_t at = strlen(w->text);
    assert_true(at + 1 < sizeof w->text);
    w->text[at] = time != w->time ? 'w' : '.';
    w->time = time;
    (void)t;
}

static void slow_down(void *user, akin_training *t)
{
    const struct timespec tick = {0, 3000000}; /* so that files have times of their own */
    (void)user;
    (void)t;
    nanosleep(&tick, NULL);
}

static void test_when_checkpoints_are_written(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        int64_t steps, epochs;
        const char *expected; /* before each of 8 steps and 2 epoch's ends */
    } rows[] = {
        {10, 0, 0, ".........."}, /* short runs are not held up by the disk */
        {0, 3, 0, "...w...w.."},
        {0, 0, 1, ".....w...."},
        {0, 1, 0, ".wwww.wwww"},
        {1e-9, 0, 0, "wwww"}, /* by time: the clock decides how many */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        akin_model *model;
        watched w = {0};
        plan p = {.lr = 0.01};
        akin_trainer trainer = trainer_of(2);
        akin_callback callback = {.size = sizeof callback, .user = &w, .on_step_end = watch,
                                  .on_epoch_end = watch};
        akin_callback slow = {.size = sizeof callback, .on_step_end = slow_down};
        assert_ok(akin_trainer_add_callback(&trainer, callback, told));
        assert_ok(akin_trainer_add_callback(&trainer, slow, told));
        char folder[512];
        snprintf(folder, sizeof folder, "%s", test_path("run"));
        snprintf(w.path, sizeof w.path, "%s", test_path("run/checkpoint.safetensors"));
        trainer.checkpoint = folder;
        trainer.checkpoint_seconds = rows[i].seconds;
        trainer.checkpoint_steps = rows[i].steps;
        trainer.checkpoint_epochs = rows[i].epochs;
        ak_remove_tree(trainer.checkpoint);
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        akin_model_free(model);
        assert_int_equal(ak_path_what(w.path), AK_PATH_FILE);
        if (rows[i].seconds == 1e-9 ? !strchr(w.text, 'w') : strcmp(w.text, rows[i].expected) != 0)
            fail_msg("row %d: %s", (int)i, w.text);
    }
}

static void test_resume_of_another_run(void **state)
{
    (void)state;
    akin_model *model;
    akin_error error;
    plan p = resumed_plan;
    akin_trainer trainer = trainer_of(5);
    trainer.checkpoint = test_path("run");
    akin_callback callback = {.size = sizeof callback, .on_step_end = raise_flag};
    assert_ok(akin_trainer_add_callback(&trainer, callback, told));
    interrupt_at = 6;
    assert_int_equal(fit(&model, &p, &trainer, NULL, &error), AKIN_ERR_INTERRUPTED);
    akin_model_free(model);
    static const struct {
        const char *what, *encoder, *head, *told;
        double lr;
        int batch;
        uint64_t seed;
        bool in_order, no_validation;
        const char *monitor;
    } rows[] = {
        {.what = "lr", .lr = 0.03, .told = "optimizer"},
        {.what = "head", .head = "{dropout: 0.3}", .told = "\"head\" was"},
        {.what = "batch size", .batch = 20, .told = "\"batch_size\" was 16, this run's is 20"},
        {.what = "seed", .seed = 7, .told = "\"seed\" was 42, this run's is 7"},
        {.what = "encoder", .encoder = "{dim: 6, version: 2}", .told = "\"encoders\""},
        {.what = "order", .in_order = true, .told = "\"shuffle\" was true"},
        {.what = "monitor", .monitor = "reciprocal_rank", .told = "\"monitor\" was"},
        {.what = "no validation", .no_validation = true, .told = "was"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        plan other = p;
        akin_trainer again = trainer_of(5);
        again.checkpoint = trainer.checkpoint;
        again.resume = true;
        again.seed = rows[i].seed ? rows[i].seed : 42;
        other.lr = rows[i].lr ? rows[i].lr : p.lr;
        other.head_options = rows[i].head ? rows[i].head : p.head_options;
        other.encoder = rows[i].encoder;
        other.batch = rows[i].batch;
        other.no_shuffle = rows[i].in_order;
        other.no_validation = rows[i].no_validation;
        if (rows[i].monitor)
            again.monitor = rows[i].monitor;
        interrupt = 0;
        error.message[0] = 0;
        akin_status status = fit(&model, &other, &again, NULL, &error);
        if (status != AKIN_ERR_MISMATCH || !strstr(error.message, rows[i].told) || model)
            fail_msg("%s: %s: %s", rows[i].what, akin_status_name(status), error.message);
    }
    akin_trainer none = trainer_of(5);
    none.checkpoint = test_path("nowhere");
    none.resume = true;
    interrupt = 0;
    assert_int_equal(fit(&model, &p, &none, NULL, &error), AKIN_ERR_IO);
    assert_non_null(strstr(error.message, "nowhere"));
}

/* ---- memory ---- */

static int64_t allocated;

static void count_allocations(void *user, akin_training *t)
{
    (void)user;
    int64_t count = ak_memory_fail_at(0);
    if (akin_training_epoch(t) > 2 && akin_training_step(t) % STEPS != 1)
        allocated += count; /* the first step of an epoch follows a validation */
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    static const plan plans[] = {
        {.lr = 0.01, .head_options = "{dropout: 0.1}"},
        {.lr = 0.01, .workers = 2},
        {.lr = 0.01, .uncached = true, .encoder = "{dim: 6, trainable: true}"},
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        plan p = plans[i];
        akin_model *model;
        akin_trainer trainer = trainer_of(6);
        akin_callback callback = {.size = sizeof callback, .on_step_end = count_allocations};
        assert_ok(akin_trainer_add_callback(&trainer, callback, told));
        allocated = 0;
        ak_memory_fail_at(0);
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        akin_model_free(model);
        if (allocated)
            fail_msg("plan %d: %lld allocations", (int)i, (long long)allocated);
    }
}

static void test_without_memory(void **state)
{
    (void)state;
    akin_trainer trainer = trainer_of(2);
    trainer.checkpoint = test_path("run");
    trainer.log_folder = test_path("log");
    for (int i = 0; i < 2; i++) {
        plan p = {.lr = 0.01,
                  .workers = i,
                  .uncached = i == 1,
                  .second = i ? "{dim: 2}" : NULL,
                  .encoder = i ? "{dim: 6, trainable: true}" : NULL};
        akin_model *model;
        if (i)
            trainer.checkpoint = trainer.log_folder = NULL; /* they wait for the disk */
        ak_memory_fail_at(0);
        assert_ok(fit(&model, &p, &trainer, NULL, told));
        int64_t count = ak_memory_fail_at(0);
        akin_model_free(model);
        assert_true(count > 100);
        for (int64_t n = 1; n <= count; n += n < 250 || i ? 1 : 17) {
            akin_error error = {0};
            ak_memory_fail_at(n);
            akin_status status = fit(&model, &p, &trainer, NULL, &error);
            int64_t made = ak_memory_fail_at(0);
            akin_model_free(model);
            if (status != AKIN_ERR_MEMORY && made >= n)
                fail_msg("run %d, allocation %lld of %lld: %s: %s", i, (long long)n,
                         (long long)count, akin_status_name(status), error.message);
            if (status)
                assert_null(model);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_learns),
        TEST(test_never_worse_than_the_base),
        TEST(test_without_validation),
        TEST(test_loss_with_parameters),
        TEST(test_gradient_reaches_the_encoder),
        TEST(test_callbacks),
        TEST(test_logs),
        TEST(test_divergence),
        TEST(test_mistakes),
        TEST(test_bad_calls),
        TEST(test_resume),
        TEST(test_when_checkpoints_are_written),
        TEST(test_resume_of_another_run),
        TEST(test_steady_state_allocates_nothing),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
