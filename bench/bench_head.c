/* Time of whole training steps of a head on cached vectors, through akin_fit: gather, head, loss,
   gradients, optimizer. Prints the median and the best of all steps but the first ones; no
   validation, no checkpoint. Vectors are random, loosely in groups or pairs.

       bench_head [f32|bf16 [part of a name]]                  (default f32, every row) */
#include "base/base.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 384, BATCHES = 24, MOST_STEPS = 4000 };

typedef struct work {
    const char *name, *loss, *options;
    akin_sample_kind kind;
    int64_t batch_size, groups, epochs;
} work;

static const work rows[] = {
    {"symmetric ranking", "multiple_negatives_ranking", "{symmetric: true}", AKIN_PAIRS, 1024, 0,
     8},
    {"triplet hard", "triplet", "{mining: hard}", AKIN_GROUPS, 128, 30, 80},
    {"triplet hard", "triplet", "{mining: hard}", AKIN_GROUPS, 1024, 150, 8},
    {"triplet all", "triplet", "{mining: all}", AKIN_GROUPS, 1024, 150, 8},
};

/* ---- an encoder whose objects are vectors ---- */

static akin_status create(void **self, const void *options, const akin_place *place,
                          akin_error *error)
{
    static int there; /* nothing to keep, but not NULL */
    (void)options, (void)place, (void)error;
    *self = &there;
    return AKIN_OK;
}

static void forget(void *self)
{
    (void)self;
}

static int64_t width(const void *self)
{
    (void)self;
    return WIDTH;
}

static akin_status fingerprint(const void *self, akin_hash *hash, akin_error *error)
{
    (void)self, (void)error;
    *hash = akin_hash_bytes("bench_head", 10);
    return AKIN_OK;
}

static akin_status collate(const void *self, const akin_object *objects, int64_t count,
                           akin_arena *arena, void **batch, akin_error *error)
{
    (void)self, (void)error;
    float *vectors = akin_arena_alloc(arena, (size_t)count * WIDTH * sizeof *vectors);
    if (!vectors)
        return AKIN_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        memcpy(vectors + i * WIDTH, objects[i].data, WIDTH * sizeof *vectors);
    *batch = vectors;
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, const void *batch,
                           akin_matrix y, void **record, akin_error *error)
{
    (void)self, (void)pass, (void)record, (void)error;
    for (int64_t i = 0; i < y.rows; i++)
        memcpy(y.data + i * y.stride, (const float *)batch + i * WIDTH, WIDTH * sizeof(float));
    return AKIN_OK;
}

static const akin_encoder_class vectors_class = {
    .size = sizeof vectors_class,
    .name = "bench_vectors",
    .summary = "the object's bytes",
    .create = create,
    .load = create,
    .free = forget,
    .dim = width,
    .fingerprint = fingerprint,
    .collate = collate,
    .forward = forward,
};

/* ---- the data ---- */

static akin_object vector_object(float *at, uint64_t centre, uint64_t number)
{
    for (uint64_t k = 0; k < WIDTH; k++)
        at[k] = (float)(0.2 * ak_random_normal(2, centre, k) + ak_random_normal(3, number, k));
    return (akin_object){at, WIDTH * sizeof *at};
}

static akin_status make_data(akin_dataset **out, const work *w, akin_error *error)
{
    int64_t n = w->batch_size * BATCHES;
    float *vectors = malloc((size_t)n * 2 * WIDTH * sizeof *vectors);
    akin_pair *pairs = calloc((size_t)n, sizeof *pairs);
    akin_group *groups = calloc((size_t)n, sizeof *groups);
    for (int64_t i = 0; i < n; i++) {
        float *at = vectors + i * 2 * WIDTH;
        uint64_t number = (uint64_t)i;
        if (w->kind == AKIN_GROUPS)
            groups[i] = (akin_group){vector_object(at, number % (uint64_t)w->groups, number),
                                     i % w->groups};
        else
            pairs[i] = (akin_pair){vector_object(at, number, 2 * number),
                                   vector_object(at + WIDTH, number, 2 * number + 1), 1, 0};
    }
    akin_status status = w->kind == AKIN_GROUPS ? akin_dataset_from_groups(out, groups, n, error)
                                                : akin_dataset_from_pairs(out, pairs, n, error);
    free(vectors);
    free(pairs);
    free(groups);
    return status;
}

/* ---- the run ---- */

typedef struct bench {
    const work *work;
    double last, times[MOST_STEPS]; /* milliseconds */
    int64_t count;
    double loss;
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void step_end(void *user, akin_training *training)
{
    bench *b = user;
    double time = now();
    if (akin_training_step(training) > BATCHES && b->count < MOST_STEPS)
        b->times[b->count++] = time - b->last;
    b->last = now();
    b->loss = akin_training_loss(training);
}

static akin_status configure_encoders(void *user, akin_context *context,
                                      akin_named_encoder *encoders, int capacity, int *count,
                                      akin_error *error)
{
    (void)user, (void)capacity;
    encoders[0].name = "vector";
    *count = 1;
    return akin_encoder_create(&encoders[0].encoder, context, "bench_vectors", NULL, error);
}

static akin_status configure_loss(void *user, akin_context *context, akin_loss **loss,
                                  akin_error *error)
{
    const work *w = ((bench *)user)->work;
    return akin_loss_create(loss, context, w->loss, w->options, error);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static akin_status measure(akin_context *context, const work *w, akin_precision precision,
                           akin_error *error)
{
    bench *b = calloc(1, sizeof *b);
    b->work = w;
    akin_trainable trainable = {.size = sizeof trainable,
                                .user = b,
                                .configure_encoders = configure_encoders,
                                .configure_loss = configure_loss};
    akin_trainer trainer = akin_trainer_defaults();
    trainer.max_epochs = w->epochs;
    trainer.precision = precision;
    akin_callback callback = {.size = sizeof callback, .user = b, .on_step_end = step_end};
    akin_loader_options options = akin_loader_defaults();
    options.batch_size = w->batch_size;
    akin_dataset *data = NULL;
    akin_loader *loader = NULL;
    akin_model *model = NULL;
    akin_status status = akin_trainer_add_callback(&trainer, callback, error);
    if (!status)
        status = make_data(&data, w, error);
    if (!status)
        status = w->kind == AKIN_GROUPS ? akin_group_loader_create(&loader, data, &options, error)
                                        : akin_pair_loader_create(&loader, data, &options, error);
    if (!status)
        status = akin_fit(&model, context, &trainable, &trainer, loader, NULL, NULL, error);
    if (!status) {
        qsort(b->times, (size_t)b->count, sizeof *b->times, by_value);
        printf("%-18s %5d  %8.3f ms a step, best %8.3f   %d steps, loss %.4f\n", w->name,
               (int)w->batch_size, b->times[b->count / 2], b->times[0], (int)b->count, b->loss);
    }
    akin_model_free(model);
    akin_loader_free(loader);
    akin_dataset_free(data);
    free(b);
    return status;
}

static akin_status run(const char *cache, akin_precision precision, const char *part,
                       akin_error *error)
{
    akin_context *context;
    akin_status status = akin_context_create(&context, error);
    if (!status)
        status = akin_context_set_cache(context, cache, error);
    if (!status)
        status = akin_register_encoder(context, &vectors_class, error);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !status; i++)
        if (strstr(rows[i].name, part))
            status = measure(context, &rows[i], precision, error);
    akin_context_free(context);
    return status;
}

int main(int argc, char **argv)
{
    char cache[] = "/tmp/akin-bench-XXXXXX", command[64];
    akin_error error = {0};
    if (!mkdtemp(cache))
        return 1;
    bool bf16 = argc > 1 && !strcmp(argv[1], "bf16");
    akin_status status = run(cache, bf16 ? AKIN_BF16 : AKIN_F32, argc > 2 ? argv[2] : "", &error);
    if (status)
        fprintf(stderr, "bench_head: %s\n", error.message);
    snprintf(command, sizeof command, "rm -r '%s'", cache);
    return system(command) != 0 || status != AKIN_OK;
}
