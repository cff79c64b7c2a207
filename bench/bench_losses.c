/* Time of one loss with its gradient, in milliseconds: the median of many calls, on random batches
   of the shapes that training uses. `products` is the time of the matrix products alone, the floor.

   Those "on memory" are what xbm adds to a step: the loss of a batch against so many rows.

       bench_losses [width [f32|bf16 [part of a name]]]      (default 384 f32) */
#include "base/memory.h"
#include "base/random.h"
#include "loss/loss.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLS = 61, WARM_UP = 5 };

typedef struct entry {
    const char *name;
    const akin_loss_class *loss;
    int64_t samples, groups; /* groups 0: pairs without subgroups */
    const char *options[2][2];
    int64_t memory; /* rows; 0: the loss of the batch */
} entry;

#define RANKING &ak_loss_multiple_negatives_ranking
static const entry entries[] = {
    {"ranking", RANKING, 128, 0, {{0}}},
    {"ranking", RANKING, 1024, 0, {{0}}},
    {"ranking symmetric", RANKING, 128, 0, {{"symmetric", "1"}}},
    {"ranking symmetric", RANKING, 1024, 0, {{"symmetric", "1"}}},
    {"ranking symmetric, 8 subgroups", RANKING, 1024, 8, {{"symmetric", "1"}}},
    {"ranking symmetric, scale 100", RANKING, 1024, 0, {{"symmetric", "1"}, {"scale", "100"}}},
    {"contrastive", &ak_loss_contrastive, 1024, 0, {{0}}},
    {"contrastive, 100 subgroups", &ak_loss_contrastive, 1024, 100, {{0}}},
    {"triplet hard", &ak_loss_triplet, 128, 30, {{0}}},
    {"triplet hard", &ak_loss_triplet, 1024, 150, {{0}}},
    {"triplet semi-hard", &ak_loss_triplet, 1024, 150, {{"mining", "1"}}},
    {"triplet all", &ak_loss_triplet, 128, 30, {{"mining", "2"}}},
    {"triplet all", &ak_loss_triplet, 1024, 150, {{"mining", "2"}}},
    {"arcface", &ak_loss_arcface, 1024, 150, {{0}}},
    {"center", &ak_loss_center, 1024, 150, {{0}}},
    {"circle", &ak_loss_circle, 1024, 150, {{0}}},
    {"cosent", &ak_loss_cosent, 1024, 0, {{0}}},
    {"cosface", &ak_loss_cosface, 1024, 150, {{0}}},
    {"cosine_similarity", &ak_loss_cosine_similarity, 1024, 0, {{0}}},
    {"fastap", &ak_loss_fastap, 1024, 150, {{0}}},
    {"multi_similarity", &ak_loss_multi_similarity, 1024, 150, {{0}}},
    {"online_contrastive", &ak_loss_online_contrastive, 1024, 150, {{0}}},
    {"proxy_anchor", &ak_loss_proxy_anchor, 1024, 150, {{0}}},
    {"softmax", &ak_loss_softmax, 1024, 150, {{0}}},
    {"supcon", &ak_loss_supcon, 1024, 150, {{0}}},
    {"ranking on memory", RANKING, 128, 0, {{0}}, 10000},
    {"ranking on memory", RANKING, 1024, 0, {{0}}, 10000},
    {"supcon on memory", &ak_loss_supcon, 128, 150, {{0}}, 10000},
    {"supcon on memory", &ak_loss_supcon, 1024, 150, {{0}}, 10000},
    {"multi_similarity on memory", &ak_loss_multi_similarity, 1024, 150, {{0}}, 10000},
    {"triplet hard on memory", &ak_loss_triplet, 128, 150, {{0}}, 10000},
    {"triplet hard on memory", &ak_loss_triplet, 1024, 150, {{0}}, 10000},
    {"triplet semi-hard on memory", &ak_loss_triplet, 128, 150, {{"mining", "1"}}, 10000},
    {"triplet semi-hard on memory", &ak_loss_triplet, 1024, 150, {{"mining", "1"}}, 10000},
    {"triplet all, 2 groups", &ak_loss_triplet, 1024, 2, {{"mining", "2"}}},
};

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

static void *make_options(const entry *e)
{
    void *options = calloc(1, e->loss->options_size + 1);
    for (const akin_option *row = e->loss->options; row->name; row++) {
        const char *text = row->default_text;
        for (int i = 0; i < 2; i++)
            if (e->options[i][0] && !strcmp(e->options[i][0], row->name))
                text = e->options[i][1];
        void *place = (char *)options + row->offset;
        if (row->type == AKIN_OPTION_FLOAT)
            *(double *)place = strtod(text, NULL);
        else if (row->type == AKIN_OPTION_INT)
            *(int64_t *)place = atoi(text);
        else if (row->type == AKIN_OPTION_BOOL)
            *(bool *)place = !strcmp(text, "true") || !strcmp(text, "1");
        else
            *(int *)place = atoi(text); /* choices by number; the first is the default */
    }
    return options;
}

/* b's near their a's, objects near their groups' centres. */
static void fill(const entry *e, akin_matrix x, akin_labels *labels, int64_t *numbers, float *score)
{
    int64_t n = e->samples, *label = numbers + x.rows;
    for (int64_t i = 0; i < x.rows; i++)
        numbers[i] = i * 37; /* contents of a training set larger than the batch */
    for (int64_t i = 0; i < n; i++) {
        score[i] = 1;
        label[i] = (int64_t)ak_random_below(1, 1, (uint64_t)i, e->groups ? (uint64_t)e->groups : 1);
    }
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t k = 0; k < x.columns; k++) {
            uint64_t centre = e->groups ? (uint64_t)label[i % n] : (uint64_t)(i % n);
            x.data[i * x.stride + k] = (float)(ak_random_normal(2, centre, (uint64_t)k) +
                                               ak_random_normal(3, (uint64_t)i, (uint64_t)k));
        }
    *labels = (akin_labels){.size = sizeof *labels,
                            .kind = e->loss->kind,
                            .count = n,
                            .content = numbers,
                            .group = label,
                            .groups = e->groups,
                            .score = score,
                            .subgroup = e->groups ? label : NULL};
}

/* Earlier objects of the same groups. */
static void fill_memory(const entry *e, akin_memory *memory, int64_t *numbers)
{
    akin_matrix units = memory->units;
    for (int64_t j = 0; j < units.rows; j++) {
        uint64_t groups = e->groups ? (uint64_t)e->groups : 1;
        uint64_t group = ak_random_below(1, 2, (uint64_t)j, groups);
        numbers[j] = 1000000 + j;
        numbers[units.rows + j] = (int64_t)group;
        for (int64_t k = 0; k < units.columns; k++)
            units.data[j * units.columns + k] =
                (float)(ak_random_normal(2, e->groups ? group : (uint64_t)j, (uint64_t)k) +
                        ak_random_normal(4, (uint64_t)j, (uint64_t)k));
    }
    ak_normalize_forward(units, units, NULL);
    memory->content = numbers;
    memory->group = numbers + units.rows;
}

static double median_of_memory_products(const entry *e, const akin_memory *memory, akin_matrix x,
                                        akin_matrix dx, akin_precision precision)
{
    double times[CALLS];
    int64_t n = e->samples, m = memory->units.rows, d = x.columns;
    float *s = ak_alloc((size_t)(n * m) * sizeof *s);
    for (int i = 0; i < CALLS; i++) {
        double start = now();
        ak_gemm(precision, AK_PLAIN, AK_TRANSPOSED, n, m, d, 1, x.data, d, memory->units.data, d, 0,
                s, m);
        ak_gemm(precision, AK_PLAIN, AK_PLAIN, n, d, m, 1, s, m, memory->units.data, d, 0, dx.data,
                d);
        times[i] = now() - start;
    }
    ak_free(s);
    qsort(times, CALLS, sizeof *times, by_value);
    return times[CALLS / 2];
}

static double median_of_products(const entry *e, akin_matrix x, akin_matrix dx, float *square,
                                 akin_precision precision)
{
    double times[CALLS];
    bool pairs = e->loss->kind == AKIN_PAIRS;
    int64_t n = e->samples, d = x.columns, twice = pairs ? n * x.stride : 0;
    for (int i = 0; i < CALLS; i++) {
        double start = now();
        ak_gemm(precision, AK_PLAIN, AK_TRANSPOSED, n, n, d, 1, x.data, d, x.data + twice, d, 0,
                square, n);
        ak_gemm(precision, AK_PLAIN, AK_PLAIN, n, d, n, 1, square, n, x.data + twice, d, 0, dx.data,
                d);
        if (pairs)
            ak_gemm(precision, AK_TRANSPOSED, AK_PLAIN, n, d, n, 1, square, n, x.data, d, 0,
                    dx.data + twice, d);
        times[i] = now() - start;
    }
    qsort(times, CALLS, sizeof *times, by_value);
    return times[CALLS / 2];
}

static void measure(const entry *e, int64_t width, akin_precision precision)
{
    int64_t rows = e->loss->kind == AKIN_PAIRS ? 2 * e->samples : e->samples;
    akin_matrix x = ak_matrix(ak_alloc((size_t)(rows * width) * sizeof(float)), rows, width);
    akin_matrix dx = ak_matrix(ak_alloc((size_t)(rows * width) * sizeof(float)), rows, width);
    int64_t *numbers = ak_alloc((size_t)(2 * rows) * sizeof *numbers);
    int64_t *memory_numbers = ak_alloc((size_t)(2 * e->memory + 1) * sizeof *memory_numbers);
    akin_memory memory = {.size = sizeof memory};
    memory.units =
        ak_matrix(ak_alloc((size_t)(e->memory * width + 1) * sizeof(float)), e->memory, width);
    float *score = ak_alloc((size_t)rows * sizeof *score);
    float *square = ak_alloc((size_t)(e->samples * e->samples) * sizeof *square);
    void *self, *options = make_options(e);
    akin_labels labels;
    akin_pass pass = {.size = sizeof pass, .training = true, .precision = precision};
    akin_status status = ak_arena_create(&pass.arena, NULL);
    akin_parameters *parameters;
    status = status ? status : akin_parameters_create(&parameters, NULL);
    status = status ? status
                    : ak_loss_object(&self, e->loss, options, width, e->groups, parameters, NULL);
    status = status ? status : akin_parameters_seal(parameters, 1, NULL);
    status = status ? status : ak_parameters_train(parameters, NULL);
    double value = 0, times[CALLS];
    size_t used = 0;
    fill(e, x, &labels, numbers, score);
    fill_memory(e, &memory, memory_numbers);
    for (int i = -WARM_UP; i < CALLS && !status; i++) {
        ak_arena_reset(pass.arena);
        double start = now();
        status = e->memory
                     ? e->loss->compute_memory(self, &pass, &labels, x, &memory, dx, &value, NULL)
                     : e->loss->compute(self, &pass, &labels, x, dx, &value, NULL);
        times[i < 0 ? 0 : i] = now() - start;
        used = ak_arena_used(pass.arena);
    }
    qsort(times, CALLS, sizeof *times, by_value);
    printf("%-34s %5d  %8.3f ms   products %7.3f ms   %6.1f MB   loss %.6f\n", e->name,
           (int)e->samples, times[CALLS / 2],
           e->memory ? median_of_memory_products(e, &memory, x, dx, precision)
                     : median_of_products(e, x, dx, square, precision),
           (double)used / 1e6, value);
    ak_loss_object_free(self, e->loss);
    akin_parameters_free(parameters);
    ak_arena_free(pass.arena);
    free(options);
    ak_free(x.data);
    ak_free(dx.data);
    ak_free(numbers);
    ak_free(memory_numbers);
    ak_free(memory.units.data);
    ak_free(score);
    ak_free(square);
}

int main(int argc, char **argv)
{
    int64_t width = argc > 1 ? atoi(argv[1]) : 384;
    bool bf16 = argc > 2 && !strcmp(argv[2], "bf16");
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (argc < 4 || strstr(entries[i].name, argv[3]))
            measure(&entries[i], width, bf16 ? AKIN_BF16 : AKIN_F32);
    return 0;
}
