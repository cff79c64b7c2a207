/* The ngrams encoder: texts a second while encoding, and a step of training (forward, backward,
   update of the touched rows) beside its memory floor: touched rows x width x 12 bytes over the
   bandwidth of this machine, which a copy of 256 MB measures (read and written bytes). Medians.

       bench_static [OPTIONS [TEXTS [pairs a batch]]]
       bench_static '{dim: 128}' short.txt 1024     a text a line; without TEXTS random ones */
#include "base/random.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEPS = 41, COPIES = 9, BLOCK = 2048 };
#define COPY_BYTES ((size_t)128 << 20)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(akin_status status, const akin_error *error)
{
    if (!status)
        return;
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, int count)
{
    qsort(times, (size_t)count, sizeof *times, by_value);
    return times[count / 2];
}

/* Bytes a second, all threads. */
static double bandwidth(void)
{
    float *from = ak_alloc_large(COPY_BYTES), *to = ak_alloc_large(COPY_BYTES);
    int64_t n = (int64_t)(COPY_BYTES / sizeof *from);
    double times[COPIES];
    memset(from, 1, COPY_BYTES);
    memset(to, 1, COPY_BYTES);
    for (int i = 0; i < COPIES; i++) {
        double start = now();
#pragma omp parallel for simd schedule(static)
        for (int64_t k = 0; k < n; k++)
            to[k] = from[k] + 1;
        times[i] = now() - start;
    }
    ak_free(from);
    ak_free(to);
    return 2 * (double)COPY_BYTES / median(times, COPIES);
}

/* Short texts of words that fall off as in a language: about 50 bytes. */
static akin_object *make_texts(int64_t count, char *room)
{
    akin_object *texts = calloc((size_t)count, sizeof *texts);
    for (int64_t i = 0; i < count; i++) {
        char *text = room;
        for (int w = 0; w < 8; w++) {
            double u = ak_random_uniform(1, (uint64_t)i, (uint64_t)w);
            uint64_t word = (uint64_t)(30000 * u * u * u);
            int length = 3 + (int)ak_random_below(2, word, 0, 6);
            for (int c = 0; c < length; c++)
                *room++ = (char)('a' + ak_random_below(3, word, (uint64_t)c, 26));
            *room++ = ' ';
        }
        texts[i] = (akin_object){text, (size_t)(room - text - 1)};
    }
    return texts;
}

static akin_object *read_texts(const char *path, int64_t *count)
{
    ak_map map;
    akin_error error = {0};
    check(ak_map_open(&map, path, &error), &error);
    *count = 0;
    for (size_t i = 0; i < map.size; i++)
        *count += map.data[i] == '\n';
    akin_object *texts = calloc((size_t)*count + 1, sizeof *texts);
    const char *at = map.data;
    for (int64_t i = 0; i < *count; i++) {
        const char *end = memchr(at, '\n', (size_t)(map.data + map.size - at));
        texts[i] = (akin_object){at, (size_t)(end - at)};
        at = end + 1;
    }
    return texts;
}

/* The whole way of akin_model_encode, but for the head. */
static double texts_a_second(akin_model *model, const akin_object *texts, int64_t count)
{
    akin_error error = {0};
    float *out = ak_alloc((size_t)(count * akin_model_dim(model)) * sizeof *out);
    double times[9];
    for (int i = 0; i < 9; i++) {
        double start = now();
        check(akin_model_encode(model, texts, count, out, &error), &error);
        times[i] = now() - start;
    }
    ak_free(out);
    return (double)count / median(times, 9);
}

typedef struct step_times {
    double collate[STEPS], forward[STEPS], backward[STEPS], update[STEPS], all[STEPS];
} step_times;

static int64_t one_step(const akin_encoder *encoder, ak_optimizer *optimizer,
                        const akin_object *texts, int64_t count, akin_arena *arena, int step,
                        step_times *t)
{
    akin_error error = {0};
    akin_pass pass = {.size = sizeof pass, .arena = arena, .training = true};
    akin_matrix y = ak_matrix_new(arena, count, akin_encoder_dim(encoder));
    akin_parameters *parameters = ak_encoder_parameters(encoder);
    void *batch, *record;
    int64_t rows;
    double start = now();
    check(encoder->type->collate(encoder->self, texts, count, arena, &batch, &error), &error);
    double collated = now();
    check(encoder->type->forward(encoder->self, &pass, batch, y, &record, &error), &error);
    double forward = now();
    check(encoder->type->backward(encoder->self, &pass, batch, record, y, &error), &error);
    double backward = now();
    (void)ak_parameters_touched(parameters, &rows);
    ak_optimizer_step(optimizer, step, 0);
    double end = now();
    t->collate[step] = collated - start;
    t->forward[step] = forward - collated;
    t->backward[step] = backward - forward;
    t->update[step] = end - backward;
    t->all[step] = end - collated;
    ak_arena_reset(arena);
    return rows;
}

static void measure_steps(const akin_encoder *encoder, akin_optimizer_type type, const char *name,
                          const akin_object *texts, int64_t count, int64_t batch, double bytes)
{
    akin_error error = {0};
    akin_arena *arena;
    ak_optimizer *optimizer;
    step_times times;
    akin_optimizer_options options = akin_optimizer_defaults(type);
    int64_t rows = 0, batches = count / batch;
    check(ak_arena_create(&arena, &error), &error);
    check(ak_optimizer_create(&optimizer, &options, ak_encoder_parameters(encoder), &error),
          &error);
    for (int i = 0; i < STEPS; i++)
        rows += one_step(encoder, optimizer, texts + i % batches * batch, batch, arena, i, &times);
    rows /= STEPS;
    double floor = (double)rows * (double)akin_encoder_dim(encoder) * 12 / bytes;
    double all = median(times.all, STEPS);
    printf("step (%s), %lld texts, %lld rows: %.3f ms (forward %.3f, backward %.3f, update %.3f), "
           "%.0f %% of the floor %.3f ms; collate, in another thread, %.3f ms\n",
           name, (long long)batch, (long long)rows, all * 1e3, median(times.forward, STEPS) * 1e3,
           median(times.backward, STEPS) * 1e3, median(times.update, STEPS) * 1e3,
           100 * floor / all, floor * 1e3, median(times.collate, STEPS) * 1e3);
    ak_optimizer_free(optimizer);
    ak_arena_free(arena);
}

int main(int argc, char **argv)
{
    akin_error error = {0};
    akin_context *context;
    akin_named_encoder named = {.name = "text"};
    akin_model *model;
    int64_t count = 32 * BLOCK, batch = argc > 3 ? 2 * atoll(argv[3]) : BLOCK;
    akin_object *texts =
        argc > 2 ? read_texts(argv[2], &count) : make_texts(count, malloc((size_t)count * 80));
    if (batch > count)
        batch = count;
    check(akin_context_create(&context, &error), &error);
    check(akin_encoder_create(&named.encoder, context, "ngrams", argc > 1 ? argv[1] : NULL, &error),
          &error);
    check(akin_model_create(&model, context, &named, 1, NULL, &error), &error);
    double bytes = bandwidth();
    printf("ngrams, %lld numbers; memory %.1f GB/s\n", (long long)akin_model_dim(model),
           bytes * 1e-9);
    printf("encoding: %.0f texts/s\n", texts_a_second(model, texts, count));
    measure_steps(named.encoder, AKIN_SGD, "sgd", texts, count, batch, bytes);
    measure_steps(named.encoder, AKIN_ADAM, "adam", texts, count, batch, bytes);
    akin_model_free(model);
    akin_context_free(context);
    free(texts);
    return 0;
}
