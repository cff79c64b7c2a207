/* train.chunk_size: encoders that run a batch in chunks give the step of the whole batch. Forwards
   to the bit, dropout included; gradients to rounding, for every encoder and whatever else a run
   has. */
#include "support.h"

#include "assert_ok.h"

#include "tiny_model.h"
#include "train/recipe.h"
#include "train/train.h"

#include <math.h>

enum { PAIRS = 40, STEPS = 3, MOST = 128 * TINY_HIDDEN, EVERY = 1 << 19 };

static akin_context *context;
static volatile int interrupt;

/* ---- an encoder of the user's own: random numbers, and a record that takes memory ---- */

/* An object "12 ..." is a vector of its number; a weight for every column is learned. Elements are
   dropped by the numbers of pass->numbers, and a forward holds HUNGER bytes an object. */
enum { OWN_DIM = 8, HUNGER = 1 << 14 };

static size_t own_most; /* bytes of the pass's arena */

typedef struct own {
    akin_parameters *parameters;
    int weight;
} own;

static void own_free(void *self)
{
    akin_parameters_free(((own *)self)->parameters);
    ak_free(self);
}

static akin_status own_create(void **self, const void *options, const akin_place *place,
                              akin_error *error)
{
    (void)options;
    (void)place;
    own *o = *self = ak_calloc(1, sizeof *o);
    if (!o)
        return ak_fail_memory(error);
    akin_status status = akin_parameters_create(&o->parameters, error);
    if (!status)
        status = akin_parameters_add(o->parameters, &o->weight, "weight", 1, OWN_DIM,
                                     AKIN_INIT_NORMAL, 1, true, error);
    if (!status)
        status = akin_parameters_seal(o->parameters, 1, error);
    if (status) {
        own_free(o);
        *self = NULL;
    }
    return status;
}

static int64_t own_dim(const void *self)
{
    (void)self;
    return OWN_DIM;
}

static bool own_trainable(const void *self)
{
    (void)self;
    return true;
}

static akin_parameters *own_parameters(void *self)
{
    return ((own *)self)->parameters;
}

static akin_status own_collate(const void *self, const akin_object *objects, int64_t count,
                               akin_arena *arena, void **batch, akin_error *error)
{
    (void)self;
    uint64_t *hashes = ak_arena_new(arena, uint64_t, count);
    if (!hashes)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++)
        hashes[i] = akin_hash_bytes(objects[i].data, objects[i].size).low;
    *batch = hashes;
    return AKIN_OK;
}

static float own_input(const akin_pass *pass, const uint64_t *hashes, int64_t row, int64_t column)
{
    uint64_t number = (uint64_t)(pass->numbers ? pass->numbers[row] : row);
    bool dropped = pass->training &&
                   ak_random(pass->seed, pass->step, number * OWN_DIM + (uint64_t)column) % 4 == 0;
    return dropped ? 0 : (float)ak_random_normal(hashes[row], 1, (uint64_t)column);
}

static akin_status own_forward(const void *self, const akin_pass *pass, const void *batch,
                               akin_matrix y, void **record, akin_error *error)
{
    const own *o = self;
    const float *weight = akin_parameters_get(o->parameters, o->weight)->value;
    *record = ak_arena_new(pass->arena, char, y.rows *HUNGER);
    if (!*record)
        return ak_fail_memory(error);
    if (ak_arena_used(pass->arena) > own_most)
        own_most = ak_arena_used(pass->arena);
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t c = 0; c < OWN_DIM; c++)
            y.data[i * y.stride + c] = weight[c] * own_input(pass, batch, i, c);
    return AKIN_OK;
}

static akin_status own_backward(void *self, const akin_pass *pass, const void *batch,
                                const void *record, akin_matrix dy, akin_error *error)
{
    own *o = self;
    float *grad = akin_parameters_get(o->parameters, o->weight)->grad;
    (void)error;
    assert_non_null(record);
    for (int64_t i = 0; i < dy.rows; i++)
        for (int64_t c = 0; c < OWN_DIM; c++)
            grad[c] += dy.data[i * dy.stride + c] * own_input(pass, batch, i, c);
    return AKIN_OK;
}

static const akin_encoder_class own_class = {.size = sizeof own_class,
                                             .name = "own",
                                             .summary = "the user's own",
                                             .create = own_create,
                                             .free = own_free,
                                             .dim = own_dim,
                                             .trainable = own_trainable,
                                             .collate = own_collate,
                                             .forward = own_forward,
                                             .backward = own_backward,
                                             .parameters = own_parameters};

/* ---- runs ---- */

/* What the first steps of a run did. */
typedef struct outcome {
    double base_loss, losses[STEPS];
    float embeddings[MOST]; /* of the first step */
    int64_t embedding_count;
    float values[EVERY]; /* all parameters after the first step and after the last */
    int64_t value_count;
    int steps;
    int64_t stop_after; /* steps; 0: never */
} outcome;

static void see(void *user, akin_training *t)
{
    outcome *o = user;
    if (o->steps == 0) {
        o->base_loss = akin_training_metric(t, "validation_loss");
        o->embedding_count = t->embeddings.rows * t->embeddings.columns;
        assert_true(o->embedding_count <= MOST);
        ak_matrix_copy(t->embeddings,
                       ak_matrix(o->embeddings, t->embeddings.rows, t->embeddings.columns));
    }
    if (o->steps < STEPS)
        o->losses[o->steps++] = akin_training_loss(t);
    for (int i = 0; i < t->part_count && (o->steps == 1 || o->steps == STEPS); i++) {
        int64_t size = ak_parameters_size(t->parts[i].parameters);
        assert_true(o->value_count + size <= EVERY);
        memcpy(o->values + o->value_count, ak_parameters_values(t->parts[i].parameters),
               (size_t)size * sizeof(float));
        o->value_count += size;
    }
    interrupt = o->stop_after && akin_training_step(t) == o->stop_after;
}

/* Of recipe.yaml. */
static akin_status run(akin_model **model, const char *const *sets, int set_count,
                       const char *checkpoint, bool resume, outcome *out, akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *loader, *validation;
    *model = NULL;
    AK_TRY(akin_recipe_open(&recipe, context, scratch_path("recipe.yaml"), sets, set_count, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    const akin_callback seer = {.size = sizeof seer, .user = out, .on_step_end = see};
    trainer.checkpoint = checkpoint;
    trainer.resume = resume;
    interrupt = 0;
    akin_status status = akin_trainer_add_callback(&trainer, seer, error);
    if (!status)
        status = akin_recipe_loaders(recipe, &loader, &validation, error);
    if (!status)
        status = akin_fit(model, context, &trainable, &trainer, loader, validation, NULL, error);
    akin_recipe_free(recipe);
    return status;
}

static outcome *outcome_of(const char *recipe, int chunk_size)
{
    char set[64];
    const char *sets[] = {set};
    akin_model *model;
    outcome *o = calloc(1, sizeof *o);
    assert_non_null(o);
    snprintf(set, sizeof set, "train.chunk_size=%d", chunk_size);
    write_text(scratch_path("recipe.yaml"), recipe);
    assert_ok(run(&model, sets, 1, NULL, false, o, told));
    assert_int_equal(o->steps, STEPS);
    akin_model_free(model);
    return o;
}

/* The first step's gradients are lr times what the parameters moved by. */
static void assert_same_run(const char *recipe, int chunk_size, const outcome *whole)
{
    outcome *o = outcome_of(recipe, chunk_size);
    assert_true(o->base_loss == whole->base_loss);
    assert_true(o->losses[0] == whole->losses[0]);
    assert_int_equal(o->embedding_count, whole->embedding_count);
    assert_memory_equal(o->embeddings, whole->embeddings,
                        (size_t)o->embedding_count * sizeof(float));
    assert_int_equal(o->value_count, whole->value_count);
    for (int64_t i = 0; i < o->value_count; i++) {
        double tolerance = (i < o->value_count / 2 ? 2e-6 : 2e-5) * (1 + fabs(whole->values[i]));
        if (fabs((double)o->values[i] - (double)whole->values[i]) > tolerance)
            fail_msg("chunks of %d, %s\nparameter %lld: %.9g, whole %.9g", chunk_size, recipe,
                     (long long)i, (double)o->values[i], (double)whole->values[i]);
    }
    for (int i = 1; i < STEPS; i++)
        if (fabs(o->losses[i] - whole->losses[i]) > 1e-4 * (1 + fabs(whole->losses[i])))
            fail_msg("chunks of %d, %s\nstep %d: %.9g, whole %.9g", chunk_size, recipe, i + 1,
                     o->losses[i], whole->losses[i]);
    free(o);
}

#define DATA "data: {train: pairs.jsonl, validation: pairs.jsonl, samples: pairs}\n"
#define OPTIMIZER "optimizer: {type: sgd, lr: 0.2}\n"
#define TRAIN(more) "train: {batch_size: 12, epochs: 4, max_steps: 3" more "}\nmetrics: []\n"
#define TINY "{type: transformer, path: tiny, trainable: true, dropout: 0.2"

static const char *const recipes[] = {
    DATA "encoders: {t: " TINY ", train_embeddings: true}}\n"
         "head: {type: skip_connection, dropout: 0.2}\n" OPTIMIZER TRAIN(""),
    DATA "encoders: {t: " TINY ", recompute: true, freeze: '*.bias'}}\n"
         "head: {type: empty}\n" OPTIMIZER TRAIN(""),
    DATA "encoders: {t: " TINY ", lora_rank: 4}}\nhead: {type: empty}\n" OPTIMIZER TRAIN(""),
    DATA "encoders: {t: " TINY ", trainable_layers: 1}}\nhead: {type: empty}\n" OPTIMIZER TRAIN(""),
    /* a cached, a frozen and a trained one */
    DATA "encoders: {a: {type: transformer, path: tiny}, b: {type: transformer, path: tiny, "
         "cache: false}, c: " TINY "}}\nhead: {type: skip_connection}\n" OPTIMIZER TRAIN(""),
    DATA "encoders: {n: {type: ngrams, trainable: true, dim: 16, buckets: 256}}\n"
         "head: {type: empty}\n" OPTIMIZER TRAIN(""),
    DATA "encoders: {o: {type: own}}\nhead: {type: empty}\n" OPTIMIZER TRAIN(""),
    /* nothing but a head is trained */
    DATA "encoders: {t: {type: transformer, path: tiny, cache: false}}\n" OPTIMIZER TRAIN(""),
    "data: {train: records.jsonl, validation: records.jsonl, samples: pairs}\n"
    "encoders: {s: {type: switch, by: kind, encoders: {x: " TINY ", field: t}, "
    "y: {type: transformer, path: tiny, field: t}}}}\nhead: {type: empty}\n" OPTIMIZER TRAIN(""),
    /* queries and documents apart: a chunk has some of each */
    DATA "encoders: {t: " TINY ", query_prompt: 'query : ', document_prompt: 'a '}}\n"
         "head: {type: empty}\n" OPTIMIZER TRAIN(""),
    DATA "encoders: {t: {type: two_towers, query: " TINY "}, document: " TINY ", lora_rank: 2}}}\n"
         "head: {type: two_towers, query: linear, document: linear}\n" OPTIMIZER TRAIN(""),
    DATA "encoders: {t: {type: two_towers, query: " TINY "}, document: {type: transformer, path: "
         "tiny}}}\nhead: {type: empty}\n" OPTIMIZER TRAIN(""),
    /* other steps */
    DATA
    "encoders: {t: " TINY "}}\nhead: {type: empty}\nloss: {type: xbm, loss: "
    "{type: multiple_negatives_ranking}, start_iteration: 0, buffer_size: 20}\n" OPTIMIZER TRAIN(
        ""),
    DATA "encoders: {t: " TINY "}}\nhead: {type: empty}\n" OPTIMIZER TRAIN(
        ", accumulate: 2, hard_negatives: {k: 2, margin: 0}"),
    "data: {train: groups.jsonl, samples: groups}\n"
    "encoders: {t: " TINY
    "}}\nhead: {type: empty}\nloss: {type: triplet, mining: semi_hard}\n" OPTIMIZER TRAIN(
        ", sampler: groups"),
    "data: {train: pairs.jsonl, validation: pairs.jsonl, samples: pairs, streaming: true}\n"
    "encoders: {t: " TINY "}}\nhead: {type: empty}\n" OPTIMIZER TRAIN(""),
};

static void test_same_steps(void **state)
{
    (void)state;
    static const int sizes[] = {1, 5, 12, 1000};
    assert_ok(akin_context_set_cache(context, scratch_path("cache"), told));
    for (size_t r = 0; r < sizeof recipes / sizeof *recipes; r++) {
        outcome *whole = outcome_of(recipes[r], 0);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            assert_same_run(recipes[r], sizes[i], whole);
        free(whole);
    }
}

/* 24 objects of a batch, 3 at a time. */
static void test_less_memory(void **state)
{
    (void)state;
    own_most = 0;
    free(outcome_of(recipes[6], 0));
    size_t whole = own_most;
    own_most = 0;
    free(outcome_of(recipes[6], 3));
    assert_true(whole >= 24 * HUNGER);
    assert_true(own_most >= 3 * HUNGER && own_most < 4 * HUNGER);
}

static void test_resumed_bits(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.chunk_size=5"};
    static const char *const others[] = {"train.chunk_size=6"};
    char folder[300];
    outcome *o = calloc(1, sizeof *o);
    akin_model *whole, *half, *resumed;
    akin_error error = {0};
    akin_hash a, b;
    assert_non_null(o);
    snprintf(folder, sizeof folder, "%s/run", scratch);
    write_text(scratch_path("recipe.yaml"), recipes[0]);
    assert_ok(run(&whole, sets, 1, NULL, false, o, told));
    *o = (outcome){.stop_after = 2};
    assert_int_equal(run(&half, sets, 1, folder, false, o, NULL), AKIN_ERR_INTERRUPTED);
    *o = (outcome){0};
    assert_int_equal(run(&resumed, others, 1, folder, true, o, &error), AKIN_ERR_MISMATCH);
    assert_says(&error, "chunk_size");
    assert_ok(run(&resumed, sets, 1, folder, true, o, told));
    assert_ok(akin_model_fingerprint(whole, &a, told));
    assert_ok(akin_model_fingerprint(resumed, &b, told));
    assert_true(ak_hash_equal(a, b));
    akin_model_free(whole);
    akin_model_free(half);
    akin_model_free(resumed);
    free(o);
}

static akin_status a_run(void *user, akin_error *error)
{
    static const char *const sets[] = {"train.chunk_size=9", "train.max_steps=1"};
    akin_model *model;
    memset(user, 0, sizeof(outcome));
    akin_status status = run(&model, sets, 2, NULL, false, user, error);
    akin_model_free(model);
    return status;
}

static void test_without_memory(void **state)
{
    (void)state;
    outcome *o = calloc(1, sizeof *o);
    assert_non_null(o);
    write_text(scratch_path("recipe.yaml"), recipes[6]);
    assert_true(fail_each_allocation(a_run, o) > 100);
    free(o);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const char *const wrong[] = {"train.chunk_size=-1", "train.chunk_size=some"};
    write_text(scratch_path("recipe.yaml"), recipes[0]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        akin_model *model;
        akin_error error = {0};
        assert_int_equal(run(&model, &wrong[i], 1, NULL, false, NULL, &error), AKIN_ERR_ARGUMENT);
        assert_says(&error, "chunk_size");
    }
}

/* ---- data ---- */

/* Texts of different lengths that share a word. */
static void write_data(void)
{
    static const char *const things[] = {"cat",  "dog",  "bird", "fish",  "horse",
                                         "pear", "plum", "road", "river", "house"};
    static const char *const kinds[] = {"red", "blue", "green", "white"};
    char pairs[PAIRS * 128] = "", records[PAIRS * 160] = "", groups[PAIRS * 80] = "";
    for (int i = 0; i < PAIRS; i++) {
        const char *kind = kinds[i % 4], *thing = things[i / 4];
        const char *more = i % 3 ? "" : " and the old tree of the new sea";
        snprintf(pairs + strlen(pairs), 128, "{\"a\": \"%s %s\", \"b\": \"the %s is a %s%s\"}\n",
                 kind, thing, thing, kind, more);
        snprintf(records + strlen(records), 160,
                 "{\"a\": {\"kind\": \"%c\", \"t\": \"%s %s%s\"}, "
                 "\"b\": {\"kind\": \"%c\", \"t\": \"%s of a %s\"}}\n",
                 "xyx"[i % 3], kind, thing, more, "xxy"[i % 3], thing, kind);
        snprintf(groups + strlen(groups), 80, "{\"object\": \"a %s %s\", \"group\": \"%s\"}\n",
                 kind, thing, thing);
    }
    write_text(scratch_path("pairs.jsonl"), pairs);
    write_text(scratch_path("records.jsonl"), records);
    write_text(scratch_path("groups.jsonl"), groups);
}

static int set_up(void **state)
{
    const tiny_options options = {.seed = 1, .normalize = true};
    if (scratch_make(state) || akin_context_create(&context, NULL))
        return -1;
    akin_context_on_interrupt(context, &interrupt);
    tiny_model(scratch_path("tiny"), &options);
    write_data();
    return akin_context_set_cache(context, NULL, NULL) ||
                   akin_register_encoder(context, &own_class, NULL)
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    akin_context_free(context);
    return scratch_remove(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_same_steps),     TEST(test_less_memory), TEST(test_resumed_bits),
        TEST(test_without_memory), TEST(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
