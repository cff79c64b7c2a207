/* Exact search: medians of several rounds, each beside a plain loop that only reads the vectors
   with the same threads, so that the share of the memory's bandwidth is of one sitting.

       bench_search [rows [dim [rounds]]]      (default 1000000 384 9) */
#include "base/base.h"
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { K = 10, MOST_QUERIES = 256, PIECE = 10000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

static void fill(float *x, int64_t n, uint64_t stream)
{
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(ak_random_uniform(1, stream, (uint64_t)i) - 0.5);
}

static akin_index *make_index(int64_t rows, int64_t dim)
{
    akin_index *index;
    float *piece = ak_alloc((size_t)(PIECE * dim) * sizeof *piece);
    if (!piece || akin_index_create(&index, dim, (akin_hash){0}, NULL))
        return NULL;
    for (int64_t first = 0; first < rows; first += PIECE) {
        int64_t count = rows - first < PIECE ? rows - first : PIECE;
        fill(piece, count * dim, (uint64_t)first);
        if (akin_index_add(index, piece, NULL, count, NULL))
            return NULL;
    }
    ak_free(piece);
    return index;
}

/* 64 sums side by side: the loads are all there is. */
AK_KERNEL static double sum(const float *x, int64_t n)
{
    float sums[64] = {0};
    double total = 0;
    for (int64_t i = 0; i + 64 <= n; i += 64)
        for (int l = 0; l < 64; l++)
            sums[l] += x[i + l];
    for (int l = 0; l < 64; l++)
        total += (double)sums[l];
    return total;
}

static double read_all(const float *x, int64_t n)
{
    enum { CHUNK = 1 << 16 };
    double start = now(), total = 0;
#pragma omp parallel for reduction(+ : total) schedule(dynamic, 4)
    for (int64_t i = 0; i < n; i += CHUNK)
        total += sum(x + i, n - i < CHUNK ? n - i : CHUNK);
    volatile double keep = total;
    (void)keep;
    return now() - start;
}

static void measure(const akin_index *index, const float *queries, int64_t count, int rounds,
                    const float *plain)
{
    static akin_hit hits[MOST_QUERIES * K];
    double search[64], reading[64];
    int64_t n = akin_index_count(index) * akin_index_dim(index);
    for (int r = -1; r < rounds; r++) {
        double read_time = read_all(plain, n), start = now();
        if (akin_index_search(index, queries, count, K, hits, NULL))
            exit(1);
        if (r >= 0) {
            search[r] = now() - start;
            reading[r] = read_time;
        }
    }
    double ms = median(search, rounds), read_ms = median(reading, rounds);
    double gigabytes = (double)n * sizeof(float) * 1e-9;
    printf("%7lld %10.2f %12.1f %10.1f %10.1f %8.0f%%\n", (long long)count, ms,
           1e3 * (double)count / ms, 1e3 * gigabytes / ms, 1e3 * gigabytes / read_ms,
           100 * read_ms / ms);
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 1 ? atoll(argv[1]) : 1000000, dim = argc > 2 ? atoll(argv[2]) : 384;
    int rounds = argc > 3 ? atoi(argv[3]) : 9;
    static const int64_t counts[] = {1, 2, 8, 32, 100, 256};
    rounds = rounds < 1 ? 1 : rounds > 64 ? 64 : rounds;
    akin_index *index = make_index(rows, dim);
    float *queries = ak_alloc((size_t)(MOST_QUERIES * dim) * sizeof *queries);
    float *plain = ak_alloc((size_t)(rows * dim) * sizeof *plain);
    if (!index || !queries || !plain)
        return 1;
    fill(queries, MOST_QUERIES * dim, 1);
    fill(plain, rows * dim, 2);
    printf("%lld x %lld float32, k %d, %s\n", (long long)rows, (long long)dim, K, ak_kernel_name());
    printf("queries         ms    queries/s       GB/s  read GB/s    share\n");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        measure(index, queries, counts[i], rounds, plain);
    ak_free(plain);
    ak_free(queries);
    akin_index_free(index);
    return 0;
}
