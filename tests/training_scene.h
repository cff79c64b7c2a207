/* Training on data whose answer is known: an object is three numbers that tell its partner and
   three that only disturb, so a head that learns beats the base. A plan is a whole trainable model.
 */
#ifndef AK_TESTS_TRAINING_SCENE_H
#define AK_TESTS_TRAINING_SCENE_H

#include "data_files.h"
#include "numbers_encoder.h"

#include "train/train.h"

#include <math.h>

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
    const akin_optimizer_options *options; /* NULL: the next three */
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
    if (p->options) {
        *options = *p->options;
        return AKIN_OK;
    }
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

__attribute__((unused)) static void vectors_of(const akin_model *model, float *out)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
