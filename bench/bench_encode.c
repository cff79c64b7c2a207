/* bench_encode FOLDER TEXTS [MAX_LENGTH [f32|bf16 [ROUNDS]]]: texts (one a line) and tokens a
   second through a sentence-transformers folder, tokenizing included, the median of ROUNDS passes
   with OMP_NUM_THREADS threads; and the time of one text, the median over the first hundred. On a
   busy machine only processor time is worth comparing, with one thread: tokens per second of it
   too. */
#include "base/base.h"
#include "text/tokenizer.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_ROUNDS = 99, SINGLE_TEXTS = 100 };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

static void check(akin_status status, const akin_error *error)
{
    if (!status)
        return;
    fprintf(stderr, "bench_encode: %s\n", error->message);
    exit(1);
}

static akin_object *read_lines(const char *path, int64_t *count)
{
    akin_error error;
    ak_map map; /* stays open: the lines point into it */
    check(ak_map_open(&map, path, &error), &error);
    int64_t capacity = 0;
    akin_object *lines = NULL;
    *count = 0;
    for (size_t at = 0; at < map.size;) {
        const char *end = memchr(map.data + at, '\n', map.size - at);
        size_t length = end ? (size_t)(end - map.data) - at : map.size - at;
        check(ak_grow(&lines, *count, &capacity, sizeof *lines, &error), &error);
        lines[(*count)++] = (akin_object){map.data + at, length};
        at += length + 1;
    }
    if (*count == 0)
        exit(2);
    return lines;
}

static int64_t count_tokens(const char *folder, const akin_object *texts, int64_t count,
                            int32_t max_length)
{
    akin_error error;
    ak_tokenizer *tokenizer;
    akin_arena *arena;
    int64_t tokens = 0;
    check(ak_tokenizer_load(&tokenizer, folder, &error), &error);
    check(ak_arena_create(&arena, &error), &error);
    for (int64_t i = 0; i < count; i++) {
        int32_t *ids, n;
        bool cut;
        check(ak_tokenizer_encode(tokenizer, texts[i].data, texts[i].size, max_length, arena, &ids,
                                  &n, &cut, &error),
              &error);
        tokens += n;
    }
    ak_arena_free(arena);
    ak_tokenizer_free(tokenizer);
    return tokens;
}

static akin_model *open_model(const char *folder, int max_length, const char *precision)
{
    akin_error error;
    akin_context *context;
    akin_encoder *encoder;
    akin_model *model;
    char options[5000];
    snprintf(options, sizeof options, "{path: '%s', max_length: %d, precision: %s}", folder,
             max_length, precision);
    check(akin_context_create(&context, &error), &error);
    check(akin_encoder_create(&encoder, context, "transformer", options, &error), &error);
    check(
        akin_model_create(&model, context, &(akin_named_encoder){"text", encoder}, 1, NULL, &error),
        &error);
    return model;
}

static double time_of(clockid_t clock, const akin_model *model, const akin_object *texts,
                      int64_t count, float *out)
{
    akin_error error;
    double start = now(clock);
    check(akin_model_encode(model, texts, count, out, &error), &error);
    return now(clock) - start;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_encode FOLDER TEXTS [MAX_LENGTH [f32|bf16 [ROUNDS]]]\n");
        return 2;
    }
    int max_length = argc > 3 ? atoi(argv[3]) : 128, rounds = argc > 5 ? atoi(argv[5]) : 5;
    const char *precision = argc > 4 ? argv[4] : "f32";
    if (rounds < 1 || rounds > MOST_ROUNDS)
        rounds = 5;
    int64_t count;
    akin_object *texts = read_lines(argv[2], &count);
    akin_model *model = open_model(argv[1], max_length, precision);
    float *out = malloc((size_t)(count * akin_model_dim(model)) * sizeof *out);
    double passes[MOST_ROUNDS], busy[MOST_ROUNDS], singles[3 * SINGLE_TEXTS];
    int64_t tokens = count_tokens(argv[1], texts, count, max_length);
    int64_t some = count < SINGLE_TEXTS ? count : SINGLE_TEXTS;
    time_of(CLOCK_MONOTONIC, model, texts, some,
            out); /* first calls start threads and find memory */
    for (int i = 0; i < rounds; i++)
        passes[i] = time_of(CLOCK_MONOTONIC, model, texts, count, out);
    for (int i = 0; i < rounds; i++)
        busy[i] = time_of(CLOCK_PROCESS_CPUTIME_ID, model, texts, count, out);
    for (int64_t i = 0; i < 3 * some; i++)
        singles[i] = time_of(CLOCK_MONOTONIC, model, texts + i % some, 1, out);
    double seconds = median(passes, rounds);
    printf("%s, %d threads: %lld texts of %.1f tokens, %.0f texts/s, %.0f tokens/s, %.0f tokens "
           "per processor second; one text %.2f ms\n",
           precision, omp_get_max_threads(), (long long)count, (double)tokens / (double)count,
           (double)count / seconds, (double)tokens / seconds, (double)tokens / median(busy, rounds),
           1e3 * median(singles, 3 * some));
    return 0;
}
