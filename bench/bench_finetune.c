/* bench_finetune FOLDER A B [OPTIONS [f32|bf16 [STEPS [PAIRS]]]]: the time of an optimizer step
   that trains a sentence-transformers folder on PAIRS (32) pairs, line i of A with line i of B:
   forward, symmetric ranking loss, backward, AdamW; the texts are tokenised before. OPTIONS are the
   encoder's
   ("max_length: 128, train_embeddings: true" is the default). Printed are the median over STEPS
   (12) steps of different pairs, after two, and of their processor time, which alone is worth
   comparing on a busy machine; tokens a second; what part of a step its matrix products alone would
   take; and the process's largest memory. */
#include "kernels/kernels.h"
#include "model/bert.h"
#include "train/train.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { MOST_STEPS = 200, WARM = 2 };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(akin_status status, const akin_error *error)
{
    if (!status)
        return;
    fprintf(stderr, "bench_finetune: %s\n", error->message);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* The first `count` lines. */
static akin_object *read_lines(const char *path, int64_t count)
{
    akin_error error;
    ak_map map; /* stays open: the lines point into it */
    check(ak_map_open(&map, path, &error), &error);
    akin_object *lines = calloc((size_t)count, sizeof *lines);
    size_t at = 0;
    for (int64_t i = 0; lines && i < count; i++) {
        const char *end = at < map.size ? memchr(map.data + at, '\n', map.size - at) : NULL;
        if (!end) {
            fprintf(stderr, "bench_finetune: %s has fewer than %lld lines\n", path,
                    (long long)count);
            exit(1);
        }
        lines[i] = (akin_object){map.data + at, (size_t)(end - map.data) - at};
        at = (size_t)(end - map.data) + 1;
    }
    return lines;
}

typedef struct bench {
    akin_context *context;
    akin_encoder *encoder;
    akin_loss *loss;
    ak_optimizer *optimizer;
    akin_arena *arena, *batches;
    akin_precision precision;
    int64_t pairs, dim, tokens; /* tokens: of the last step */
} bench;

static void make(bench *b, const char *folder, const char *options)
{
    akin_error error;
    akin_optimizer_options o = akin_optimizer_defaults(AKIN_ADAMW);
    char text[5000];
    snprintf(text, sizeof text, "{path: '%s', trainable: true, %s}", folder, options);
    o.lr = 2e-5;
    check(akin_context_create(&b->context, &error), &error);
    check(akin_encoder_create(&b->encoder, b->context, "transformer", text, &error), &error);
    b->dim = akin_encoder_dim(b->encoder);
    check(akin_loss_create(&b->loss, b->context, "multiple_negatives_ranking", "{symmetric: true}",
                           &error),
          &error);
    check(ak_loss_open(b->loss, b->dim, 0, 1, &error), &error);
    check(ak_optimizer_create(&b->optimizer, &o, ak_encoder_parameters(b->encoder), &error),
          &error);
    check(ak_arena_create(&b->arena, &error), &error);
    check(ak_arena_create(&b->batches, &error), &error);
}

/* Frozen lower layers are computed once for all epochs: not a part of the step. */
static void give_stem(const bench *b, void *batch)
{
    akin_error error;
    ak_stem stem;
    if (!ak_encoder_stem(b->encoder, &stem))
        return;
    akin_pass pass = {.size = sizeof pass, .arena = b->batches};
    float *rows = ak_arena_new(b->batches, float, stem.starts(batch)[2 * b->pairs] * stem.dim);
    check(stem.compute(b->encoder->self, &pass, batch, rows, &error), &error);
    stem.give(batch, rows);
}

static ak_tokens *collate(bench *b, const akin_object *first, const akin_object *second)
{
    akin_error error;
    akin_object *objects = ak_arena_new(b->batches, akin_object, 2 * b->pairs);
    void *batch;
    memcpy(objects, first, (size_t)b->pairs * sizeof *objects);
    memcpy(objects + b->pairs, second, (size_t)b->pairs * sizeof *objects);
    check(b->encoder->type->collate(b->encoder->self, objects, 2 * b->pairs, b->batches, &batch,
                                    &error),
          &error);
    give_stem(b, batch);
    return batch;
}

static void train_step(bench *b, const ak_tokens *tokens, int step)
{
    akin_error error;
    const akin_encoder_class *type = b->encoder->type;
    int64_t n = 2 * b->pairs;
    ak_arena_reset(b->arena);
    akin_pass pass = {.size = sizeof pass,
                      .arena = b->arena,
                      .training = true,
                      .step = (uint64_t)step,
                      .precision = b->precision};
    akin_matrix y = ak_matrix_new(b->arena, n, b->dim), dy = ak_matrix_new(b->arena, n, b->dim);
    int64_t *content = ak_arena_new(b->arena, int64_t, n);
    float *score = ak_arena_new(b->arena, float, n);
    for (int64_t i = 0; i < n; i++) {
        content[i] = i;
        score[i] = 1;
    }
    akin_labels labels = {.size = sizeof labels,
                          .kind = AKIN_PAIRS,
                          .count = b->pairs,
                          .content = content,
                          .score = score};
    void *record;
    double value;
    check(type->forward(b->encoder->self, &pass, tokens, y, &record, &error), &error);
    check(b->loss->type->compute(b->loss->self, &pass, &labels, y, dy, &value, &error), &error);
    check(type->backward(b->encoder->self, &pass, tokens, record, dy, &error), &error);
    ak_optimizer_step(b->optimizer, step, 0);
    b->tokens = tokens->start[n];
}

/* x (t x in) W^T, and both products of its backward. */
static void products_of(akin_precision precision, int64_t t, int64_t out, int64_t in,
                        const float *a, const float *c, float *d)
{
    ak_gemm(precision, AK_PLAIN, AK_TRANSPOSED, t, out, in, 1, a, in, c, in, 0, d, out);
    ak_gemm(precision, AK_PLAIN, AK_PLAIN, t, in, out, 1, a, out, c, in, 0, d, in);
    ak_gemm(precision, AK_TRANSPOSED, AK_PLAIN, out, in, t, 1, a, out, c, in, 1, d, in);
}

/* The products of training all layers with this many tokens (MiniLM's shapes). */
static double time_products(const bench *b, int64_t t)
{
    const int64_t d = 384, wide = 1536;
    size_t most = (size_t)((t > d ? t : d) * wide);
    float *a = ak_calloc(most, sizeof *a), *c = ak_calloc(most, sizeof *c);
    float *out = ak_calloc(most, sizeof *out);
    double times[3];
    for (int i = 0; i < 3; i++) {
        double start = now(CLOCK_MONOTONIC);
        for (int layer = 0; layer < 6; layer++) {
            products_of(b->precision, t, 3 * d, d, a, c, out);
            products_of(b->precision, t, d, d, a, c, out);
            products_of(b->precision, t, wide, d, a, c, out);
            products_of(b->precision, t, d, wide, a, c, out);
        }
        times[i] = now(CLOCK_MONOTONIC) - start;
    }
    ak_free(a);
    ak_free(c);
    ak_free(out);
    return median(times, 3);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench_finetune FOLDER A B [OPTIONS [f32|bf16 [STEPS [PAIRS]]]]\n");
        return 2;
    }
    const char *options =
        argc > 4 && *argv[4] ? argv[4] : "max_length: 128, train_embeddings: true";
    const char *precision = argc > 5 ? argv[5] : "f32";
    int steps = argc > 6 ? atoi(argv[6]) : 12;
    bench b = {.pairs = argc > 7 ? atoi(argv[7]) : 32,
               .precision = strcmp(precision, "bf16") ? AKIN_F32 : AKIN_BF16};
    if (steps < 1 || steps > MOST_STEPS || b.pairs < 1 || b.pairs > 1024)
        return 2;
    akin_object *first = read_lines(argv[2], (steps + WARM) * b.pairs);
    akin_object *second = read_lines(argv[3], (steps + WARM) * b.pairs);
    make(&b, argv[1], options);
    double times[MOST_STEPS], busy[MOST_STEPS];
    int64_t tokens = 0;
    for (int i = 0; i < steps + WARM; i++) {
        ak_tokens *batch = collate(&b, first + i * b.pairs, second + i * b.pairs);
        double start = now(CLOCK_MONOTONIC), busy_start = now(CLOCK_PROCESS_CPUTIME_ID);
        train_step(&b, batch, i);
        if (i >= WARM) {
            times[i - WARM] = now(CLOCK_MONOTONIC) - start;
            busy[i - WARM] = now(CLOCK_PROCESS_CPUTIME_ID) - busy_start;
            tokens += b.tokens;
        }
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double seconds = median(times, steps), mean = (double)tokens / steps;
    ak_stem stem;
    printf("%s, %d threads: %lld pairs of %.0f tokens together, %.3f s a step (%.3f s of processor "
           "time), %.0f tokens/s, %ld MB",
           precision, omp_get_max_threads(), (long long)b.pairs, mean, seconds, median(busy, steps),
           mean / seconds, usage.ru_maxrss / 1024);
    if (ak_encoder_stem(b.encoder, &stem)) /* not all layers are trained */
        printf("\n");
    else
        printf(", its products alone %.0f %%\n", 100 * time_products(&b, (int64_t)mean) / seconds);
    return 0;
}
