/* Hardest positives and negatives ("batch hard": Hermans, Beyer, Leibe, 2017). One pass over each
   row of distances finds both extremes and where they are, 16 columns at a time. */
#include "loss/mining.h"

#include <math.h>

typedef float v16 __attribute__((vector_size(64), aligned(4)));
typedef int32_t v16i __attribute__((vector_size(64), aligned(4)));

enum { LANES = 16, BLOCK = 256 };

typedef struct extremes {
    float farthest, nearest; /* -inf and inf: none */
    int32_t farthest_at, nearest_at;
} extremes;

static void take(extremes *best, float d, int32_t at, bool same)
{
    if (same && (d > best->farthest || (d == best->farthest && at < best->farthest_at))) {
        best->farthest = d;
        best->farthest_at = at;
    }
    if (!same && (d < best->nearest || (d == best->nearest && at < best->nearest_at))) {
        best->nearest = d;
        best->nearest_at = at;
    }
}

#define SELECT(mask, yes, no) ((v16)(((v16i)(yes) & (mask)) | ((v16i)(no) & ~(mask))))
#define SELECT_INT(mask, yes, no) (((yes) & (mask)) | ((no) & ~(mask)))

static AK_KERNEL void scan_row(const float *d, const int32_t *group, int32_t own, int64_t n,
                               extremes *best)
{
    const v16 none_far = (v16){0} - INFINITY, none_near = (v16){0} + INFINITY;
    v16 far = none_far, near = none_near;
    v16i far_at = (v16i){0} - 1, near_at = far_at;
    v16i at = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES, at += LANES) {
        v16 x = *(const v16 *)(d + j);
        v16i same = *(const v16i *)(group + j) == own;
        v16 positive = SELECT(same, x, none_far), negative = SELECT(same, none_near, x);
        v16i farther = positive > far, nearer = negative < near;
        far = SELECT(farther, positive, far);
        far_at = SELECT_INT(farther, at, far_at);
        near = SELECT(nearer, negative, near);
        near_at = SELECT_INT(nearer, at, near_at);
    }
    for (int k = 0; k < LANES; k++) {
        if (far_at[k] >= 0)
            take(best, far[k], far_at[k], true);
        if (near_at[k] >= 0)
            take(best, near[k], near_at[k], false);
    }
    for (; j < n; j++)
        if (d[j] > -INFINITY && d[j] < INFINITY)
            take(best, d[j], (int32_t)j, group[j] == own);
}

static ak_hardest hardest_of(const float *d, int64_t n, const int32_t *group, int32_t own,
                             float offset)
{
    extremes best = {-INFINITY, INFINITY, -1, -1};
    scan_row(d, group, own, n, &best);
    return (ak_hardest){.positive = best.farthest_at,
                        .negative = best.nearest_at,
                        .positive_distance = best.farthest + offset,
                        .negative_distance = best.nearest + offset};
}

ak_hardest ak_mine_row(float *d, int64_t n, const int32_t *group, int32_t own, const int32_t *holes,
                       int64_t hole_count, float offset)
{
    for (int64_t k = 0; k < hole_count; k++)
        d[holes[k]] = group[holes[k]] == own ? -INFINITY : INFINITY;
    return hardest_of(d, n, group, own, offset);
}

/* d: the distances of row i, changed where it must not look. */
static void mine_row(float *d, int64_t i, const int32_t *group, const ak_exclusions *exclusions,
                     int64_t n, float offset, ak_hardest *out)
{
    for (int64_t e = exclusions->start[i]; e < exclusions->start[i + 1]; e++)
        if (group[exclusions->columns[e]] != group[i])
            d[exclusions->columns[e]] = INFINITY;
    d[i] = -INFINITY;
    *out = hardest_of(d, n, group, group[i], offset);
}

akin_status ak_mine_hardest(const ak_space *space, const int32_t *group,
                            const ak_exclusions *exclusions, ak_hardest *out, akin_error *error)
{
    int64_t n = space->rows.rows, block = n < BLOCK ? n : BLOCK;
    akin_matrix d = ak_matrix_new(space->arena, block, n);
    if (!d.data)
        return ak_fail_memory(error);
    for (int64_t first = 0; first < n; first += block) {
        int64_t count = n - first < block ? n - first : block;
        AK_TRY(ak_space_distances(space, first, count, ak_matrix_rows(d, 0, count), error));
#pragma omp parallel for schedule(static) if (count * n >= AK_PARALLEL_FROM)
        for (int64_t i = first; i < first + count; i++)
            mine_row(d.data + (i - first) * d.stride, i, group, exclusions, n, space->offset,
                     &out[i]);
    }
    return AKIN_OK;
}
