#include "eval/pairs.h"

enum { STREAM = 0x7061697273 };

static akin_status make(ak_scored_pairs *out, int64_t **a, int64_t **b, float **score, int64_t n,
                        akin_arena *arena, akin_error *error)
{
    *a = ak_arena_new(arena, int64_t, n);
    *b = ak_arena_new(arena, int64_t, n);
    *score = ak_arena_new(arena, float, n);
    *out = (ak_scored_pairs){n, *a, *b, *score};
    return *a && *b && *score ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_pairs_of_table(ak_scored_pairs *out, const ak_table *table, int64_t sample_size,
                              uint64_t seed, akin_arena *arena, akin_error *error)
{
    int64_t n = table->count, *a, *b;
    bool sampled = sample_size > 0 && sample_size < n;
    int64_t *order = ak_arena_new(arena, int64_t, sampled ? n : 0);
    float *score;
    if (!order)
        return ak_fail_memory(error);
    AK_TRY(make(out, &a, &b, &score, sampled ? sample_size : n, arena, error));
    if (sampled)
        ak_random_permutation(seed, STREAM, order, n);
    for (int64_t i = 0; i < out->count; i++) {
        int64_t sample = sampled ? order[i] : i;
        a[i] = table->content[2 * sample];
        b[i] = table->content[2 * sample + 1];
        score[i] = table->score[sample];
    }
    return AKIN_OK;
}

akin_status ak_pairs_of_labels(ak_scored_pairs *out, const akin_labels *labels, akin_arena *arena,
                               akin_error *error)
{
    int64_t *a, *b;
    float *score;
    AK_TRY(make(out, &a, &b, &score, labels->count, arena, error));
    for (int64_t i = 0; i < labels->count; i++) {
        a[i] = i;
        b[i] = labels->count + i;
        score[i] = labels->score[i];
    }
    return AKIN_OK;
}

akin_status ak_pairs_similarities(float **out, const ak_scored_pairs *pairs, const ak_sides *x,
                                  akin_arena *arena, akin_error *error)
{
    *out = ak_arena_new(arena, float, pairs->count);
    if (!*out)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < pairs->count; i++) {
        float distance;
        ak_distance_rows(AK_COSINE, ak_matrix_rows(x->queries, pairs->a[i], 1),
                         ak_matrix_rows(x->documents, pairs->b[i], 1), &distance);
        (*out)[i] = 1 - distance;
    }
    return AKIN_OK;
}
