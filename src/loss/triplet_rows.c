/* Triplets of one anchor. With P positives and N negatives there are P N of them, but only ranks
   matter. The positives' thresholds are sorted (P log P) and every negative finds its rank among
   them (N log P); then

     all:       a negative of rank r is nearer than the P - r thresholds above it, and the positive
                of place k has as many active negatives as there are ranks <= k;
     semi-hard: the negatives of rank > k are those farther than the positive of place k; the
   nearest of them is a running minimum over buckets.

   The gradient by a distance is a count of active triplets. */
#include "loss/triplet_rows.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- sorting ---- */

static void insertion_sort(ak_keyed *items, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        ak_keyed item = items[i];
        int64_t j = i;
        for (; j > 0 && items[j - 1].key > item.key; j--)
            items[j] = items[j - 1];
        items[j] = item;
    }
}

static void radix_pass(const ak_keyed *from, ak_keyed *to, int64_t n, int shift)
{
    int64_t start[256] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i++)
        start[from[i].key >> shift & 255]++;
    for (int digit = 0; digit < 256; digit++) {
        int64_t count = start[digit];
        start[digit] = sum;
        sum += count;
    }
    for (int64_t i = 0; i < n; i++)
        to[start[from[i].key >> shift & 255]++] = from[i];
}

void ak_sort_keyed(ak_keyed *items, ak_keyed *scratch, int64_t n)
{
    if (n <= 48) {
        insertion_sort(items, n);
        return;
    }
    for (int shift = 0; shift < 32; shift += 16) {
        radix_pass(items, scratch, n, shift);
        radix_pass(scratch, items, n, shift + 8);
    }
}

uint32_t ak_sort_key(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* ---- ranks ---- */

akin_status ak_triplet_scratch_init(ak_triplet_scratch *scratch, int64_t n, akin_arena *arena,
                                    akin_error *error)
{
    int64_t size = 16;
    while (size < 2 * (n + 1))
        size *= 2;
    *scratch = (ak_triplet_scratch){.distance = ak_arena_new(arena, float, n),
                                    .table = ak_arena_new(arena, float, size),
                                    .threshold = ak_arena_new(arena, double, n),
                                    .rank = ak_arena_new(arena, int32_t, n),
                                    .bucket = ak_arena_new(arena, int32_t, n + 1),
                                    .positives = ak_arena_new(arena, ak_keyed, n),
                                    .spare = ak_arena_new(arena, ak_keyed, n)};
    bool all = scratch->distance && scratch->table && scratch->threshold && scratch->rank &&
               scratch->bucket && scratch->positives && scratch->spare;
    return all ? AKIN_OK : ak_fail_memory(error);
}

/* The anchor's positives by rising distance; returns how many there are. */
static int64_t sort_positives(const ak_triplet_row *row, ak_triplet_scratch *scratch)
{
    int64_t count = 0;
    for (int64_t g = 0; g < row->group_size; g++)
        if (row->group[g] != row->anchor)
            scratch->positives[count++] =
                (ak_keyed){ak_sort_key(row->distance[row->group[g]]), row->group[g]};
    ak_sort_keyed(scratch->positives, scratch->spare, count);
    return count;
}

/* The row's distances, with `instead` for whatever is no negative. */
static void copy_negatives(const ak_triplet_row *row, float instead, float *out)
{
    memcpy(out, row->distance, (size_t)row->n * sizeof *out);
    for (int64_t g = 0; g < row->group_size; g++)
        out[row->group[g]] = instead;
    for (int64_t e = 0; e < row->excluded_count; e++)
        out[row->excluded[e]] = instead;
}

/* rank[j] = how many of the table's ascending entries are below d[j]. Few: counted, many: searched
   by halves, all columns in step. The table is padded to a power of two, less one. */
static AK_KERNEL void find_ranks(float *table, int64_t count, const float *d, int64_t n,
                                 int32_t *rank)
{
    int32_t size = 1, most = (int32_t)count;
    while (size <= most)
        size *= 2;
    for (int32_t k = most; k < size; k++)
        table[k] = FLT_MAX;
    memset(rank, 0, (size_t)n * sizeof *rank);
    if (most <= 16) {
        for (int32_t k = 0; k < most; k++)
            for (int64_t j = 0; j < n; j++)
                rank[j] += table[k] < d[j];
        return;
    }
    for (int32_t step = size / 2; step > 0; step /= 2)
        for (int64_t j = 0; j < n; j++)
            rank[j] += table[rank[j] + step - 1] < d[j] ? step : 0;
    for (int64_t j = 0; j < n; j++)
        rank[j] = rank[j] < most ? rank[j] : most;
}

/* ---- all ---- */

/* weight_j = -(number of thresholds above d_j); returns -sum weight_j d_j. */
static AK_KERNEL double weigh_negatives(const float *d, const int32_t *rank, int32_t positives,
                                        int64_t n, float *weight)
{
    enum { LANES = 8 };
    double lanes[LANES] = {0}, sum = 0;
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int k = 0; k < LANES; k++) {
            float above = (float)(positives - rank[j + k]);
            lanes[k] += (double)above * (double)d[j + k];
            weight[j + k] = -above;
        }
    for (; j < n; j++) {
        float above = (float)(positives - rank[j]);
        sum += (double)above * (double)d[j];
        weight[j] = -above;
    }
    for (int k = 0; k < LANES; k++)
        sum += lanes[k];
    return sum;
}

ak_triplet_sum ak_triplet_row_all(const ak_triplet_row *row, double margin,
                                  ak_triplet_scratch *scratch, float *weight)
{
    ak_triplet_sum sum = {0, 0};
    int64_t count = sort_positives(row, scratch), active = 0;
    ak_keyed *positives = scratch->positives;
    double *threshold = scratch->threshold;
    for (int64_t k = 0; k < count; k++) {
        threshold[k] = (double)row->distance[positives[k].at] + margin;
        /* a negative at the threshold is not nearer than it */
        scratch->table[k] = nextafterf((float)threshold[k], -FLT_MAX);
    }
    copy_negatives(row, FLT_MAX, scratch->distance);
    find_ranks(scratch->table, count, scratch->distance, row->n, scratch->rank);

    memset(scratch->bucket, 0, (size_t)(count + 1) * sizeof *scratch->bucket);
    for (int64_t j = 0; j < row->n; j++)
        scratch->bucket[scratch->rank[j]]++;
    sum.loss = -weigh_negatives(scratch->distance, scratch->rank, (int32_t)count, row->n, weight);
    for (int64_t k = 0; k < count; k++) {
        active += scratch->bucket[k];
        sum.count += (double)active;
        sum.loss += (double)active * threshold[k];
        weight[positives[k].at] = (float)active;
    }
    return sum;
}

/* ---- semi-hard ---- */

static int64_t farthest_negative(const float *d, int64_t n)
{
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        if (d[j] > d[best])
            best = j;
    return best;
}

ak_triplet_sum ak_triplet_row_semi_hard(const ak_triplet_row *row, double margin,
                                        ak_triplet_scratch *scratch, float *weight)
{
    ak_triplet_sum sum = {0, 0};
    const float *d = scratch->distance;
    int64_t count = sort_positives(row, scratch);
    for (int64_t k = 0; k < count; k++)
        scratch->table[k] = row->distance[scratch->positives[k].at];
    copy_negatives(row, -FLT_MAX, scratch->distance); /* rank 0: never farther than a positive */
    int64_t chosen = farthest_negative(d, row->n);
    if (!(d[chosen] > -FLT_MAX))
        count = 0;
    find_ranks(scratch->table, count, d, row->n, scratch->rank);

    memset(scratch->bucket, -1, (size_t)(count + 1) * sizeof *scratch->bucket);
    for (int64_t j = 0; j < row->n; j++) {
        int32_t *nearest = &scratch->bucket[scratch->rank[j]];
        if (*nearest < 0 || d[j] < d[*nearest])
            *nearest = (int32_t)j;
    }
    float nearest = FLT_MAX;
    memset(weight, 0, (size_t)row->n * sizeof *weight);
    for (int64_t k = count - 1; k >= 0; k--) {
        int32_t next = scratch->bucket[k + 1];
        if (next >= 0 && d[next] < nearest) {
            chosen = next;
            nearest = d[next];
        }
        double loss = (double)scratch->table[k] - (double)d[chosen] + margin;
        sum.count++;
        if (loss > 0) {
            sum.loss += loss;
            weight[scratch->positives[k].at] += 1;
            weight[chosen] -= 1;
        }
    }
    return sum;
}
