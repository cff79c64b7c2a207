/* bench_tokenizer FOLDER TEXTS [ROUNDS]: texts (one a line) and tokens a second, the median of
   ROUNDS passes with OMP_NUM_THREADS threads, and the time to load. tokenizer_peer.py does the same
   with Hugging Face's `tokenizers`. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text/tokenizer.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int64_t split_lines(const ak_map *map, akin_object **out)
{
    int64_t count = 0, capacity = 0;
    akin_object *lines = NULL;
    for (size_t at = 0; at < map->size;) {
        const char *end = memchr(map->data + at, '\n', map->size - at);
        size_t length = end ? (size_t)(end - map->data) - at : map->size - at;
        if (ak_grow(&lines, count, &capacity, sizeof *lines, NULL))
            exit(1);
        lines[count++] = (akin_object){map->data + at, length};
        at += length + 1;
    }
    *out = lines;
    return count;
}

static int64_t encode_all(const ak_tokenizer *t, const akin_object *texts, int64_t count)
{
    int64_t tokens = 0;
#pragma omp parallel reduction(+ : tokens)
    {
        akin_arena *arena;
        if (ak_arena_create(&arena, NULL))
            exit(1);
#pragma omp for schedule(dynamic, 64)
        for (int64_t i = 0; i < count; i++) {
            int32_t *ids, n;
            bool cut;
            if (i % 64 == 0)
                ak_arena_reset(arena);
            if (ak_tokenizer_encode(t, texts[i].data, texts[i].size, INT32_MAX, arena, &ids, &n,
                                    &cut, NULL))
                exit(1);
            tokens += n;
        }
        ak_arena_free(arena);
    }
    return tokens;
}

int main(int argc, char **argv)
{
    akin_error error;
    ak_tokenizer *t;
    ak_map map;
    double start = now();
    if (argc < 3 || ak_tokenizer_load(&t, argv[1], &error) || ak_map_open(&map, argv[2], &error)) {
        fprintf(stderr, "%s\n",
                argc < 3 ? "usage: bench_tokenizer FOLDER TEXTS [ROUNDS]" : error.message);
        return argc < 3 ? 2 : 1;
    }
    double loaded = now() - start, seconds[99];
    akin_object *texts;
    int64_t count = split_lines(&map, &texts), tokens = 0;
    int rounds = argc > 3 ? atoi(argv[3]) : 9;
    if (rounds < 1 || rounds > 99)
        rounds = 9;
    for (int r = 0; r < rounds; r++) {
        start = now();
        tokens = encode_all(t, texts, count);
        seconds[r] = now() - start;
    }
    qsort(seconds, (size_t)rounds, sizeof *seconds, by_value);
    double median = seconds[rounds / 2];
    printf("load %.2f ms; %d threads: %lld texts, %.1f tokens each, %.0f texts/s, %.0f tokens/s, "
           "%.1f MB/s\n",
           1e3 * loaded, omp_get_max_threads(), (long long)count, (double)tokens / (double)count,
           (double)count / median, (double)tokens / median, (double)map.size / median / 1e6);
    ak_free(texts);
    ak_map_close(&map);
    ak_tokenizer_free(t);
    return 0;
}
