/* Scores, see score.h. The tile is that of tile.h (rows x 32 sums in registers) with the roles for
   streaming: what is broadcast comes from memory and is fetched one tile ahead, line by line
   between the multiplications; fetched all at once, the lines would fill the queue of outstanding
   loads and the products would wait for memory. */
#include "kernels/score.h"

#include "kernels/tile.h"

_Static_assert((int)AK_SCORE_QUERIES == AK_PANEL && AK_SCORE_ROWS % AK_TILE_ROWS == 0, "one shape");

#define LOAD(x) (*(const ak_v16 *)(x))
#define AK_INLINE static inline __attribute__((always_inline))

void ak_score_pack(const float *queries, int64_t count, int64_t dim, float *panels)
{
    for (int64_t i = 0; i < count; i += AK_SCORE_QUERIES) {
        int64_t columns = count - i < AK_SCORE_QUERIES ? count - i : AK_SCORE_QUERIES;
        ak_pack_f32(queries + i * dim, 1, dim, dim, columns, panels + i * dim);
    }
}

/* ---- many queries: `rows` rows of base against 16 or 32 columns of the panel ---- */

AK_INLINE void tile(const int rows, const int vectors, const float *base, int64_t dim,
                    const float *panel, float *scores)
{
    enum { LINE = 16 };
    ak_v16 sum[AK_TILE_ROWS][2] = {0};
    for (int64_t p = 0; p < dim; p++, panel += AK_SCORE_QUERIES) {
        int64_t step = p % LINE;
        __builtin_prefetch(base + (rows + (step < rows ? step : 0)) * dim + p - step);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            ak_v16 value = base[i * dim + p] - (ak_v16){0};
            sum[i][0] += value * LOAD(panel);
            if (vectors > 1)
                sum[i][1] += value * LOAD(panel + 16);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            *(ak_v16 *)(scores + i * AK_SCORE_QUERIES + 16 * v) = sum[i][v];
}

enum { PORTABLE_ROWS = 4 }; /* 4 x 2 vectors of 8 */

AK_KERNEL static void portable_tile(const float *base, int64_t dim, const float *panel,
                                    float *scores)
{
    tile(PORTABLE_ROWS, 1, base, dim, panel, scores);
    tile(PORTABLE_ROWS, 1, base, dim, panel + 16, scores + 16);
}

typedef void tile_function(const float *base, int64_t dim, const float *panel, float *scores);

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("arch=x86-64-v4"))) static void avx512_tile(const float *base, int64_t dim,
                                                                  const float *panel, float *scores)
{
    tile(AK_TILE_ROWS, 2, base, dim, panel, scores);
}
#endif

static tile_function *best_tile(int *rows)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (ak_tile_kernel_get()->rows == AK_TILE_ROWS) {
        *rows = AK_TILE_ROWS;
        return avx512_tile;
    }
#endif
    *rows = PORTABLE_ROWS;
    return portable_tile;
}

/* ---- few queries ---- */

enum { FETCH_ROWS = 8 }; /* ahead */

typedef float v4 __attribute__((vector_size(16)));
typedef float v8 __attribute__((vector_size(32)));

#define HALVES(x)                                                                                  \
    (__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +                                       \
     __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15))

/* The sums of the lanes of four vectors at once. */
AK_INLINE v4 add_lanes(const ak_v16 sum[4])
{
    v8 a = HALVES(sum[0]), b = HALVES(sum[1]), c = HALVES(sum[2]), d = HALVES(sum[3]);
    v8 ab = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
            __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    v8 cd = __builtin_shufflevector(c, d, 0, 8, 2, 10, 4, 12, 6, 14) +
            __builtin_shufflevector(c, d, 1, 9, 3, 11, 5, 13, 7, 15);
    v8 all = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) +
             __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    return __builtin_shufflevector(all, all, 0, 1, 2, 3) +
           __builtin_shufflevector(all, all, 4, 5, 6, 7);
}

/* Four rows against one query: enough sums to hide the additions' latency; for one query memory is
   the limit. `first`: the query that brings the rows in. */
AK_KERNEL static void score_rows(const float *x, const float *const row[4], int64_t rows,
                                 int64_t dim, bool first, float *scores)
{
    int64_t whole = dim & ~(int64_t)15;
    ak_v16 sum[4] = {0};
    for (int64_t p = 0; p < whole; p += 16) {
        ak_v16 value = LOAD(x + p);
        for (int r = 0; r < 4; r++) {
            if (first)
                __builtin_prefetch(row[r] + FETCH_ROWS * dim + p);
            sum[r] += value * LOAD(row[r] + p);
        }
    }
    v4 total = add_lanes(sum);
    for (int64_t r = 0; r < rows; r++) {
        float tail = 0;
        for (int64_t p = whole; p < dim; p++)
            tail += x[p] * row[r][p];
        scores[r * AK_SCORE_QUERIES] = total[r] + tail;
    }
}

static void score_few(const float *queries, int64_t count, const float *base, int64_t rows,
                      int64_t dim, float *scores)
{
    for (int64_t j = 0; j < rows; j += 4) {
        const float *row[4];
        int64_t left = rows - j < 4 ? rows - j : 4;
        for (int64_t r = 0; r < 4; r++) /* past the end: the last row again */
            row[r] = base + (j + (r < left ? r : left - 1)) * dim;
        for (int64_t i = 0; i < count; i++)
            score_rows(queries + i * dim, row, left, dim, i == 0,
                       scores + j * AK_SCORE_QUERIES + i);
    }
}

/* ---- */

/* A panel costs the same for 1 query and for 32; up to this many go one by one. */
enum { FEW = 8 };

void ak_score(const float *queries, int64_t count, const float *panel, const float *base,
              int64_t rows, int64_t dim, float *scores)
{
    int height;
    tile_function *run = best_tile(&height);
    int64_t j = 0;
    for (; count > FEW && j + height <= rows; j += height)
        run(base + j * dim, dim, panel, scores + j * AK_SCORE_QUERIES);
    score_few(queries, count, base + j * dim, rows - j, dim, scores + j * AK_SCORE_QUERIES);
}

AK_KERNEL int64_t ak_score_next(const float *scores, int64_t row, int64_t rows,
                                const float *thresholds)
{
    for (; row < rows; row++) {
        int reached = 0;
        for (int i = 0; i < AK_SCORE_QUERIES; i++)
            reached |= !(scores[row * AK_SCORE_QUERIES + i] < thresholds[i]);
        if (reached)
            break;
    }
    return row;
}
