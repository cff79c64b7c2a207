/* General products: C = alpha op(A) op(B) + beta C, A and B packed block by block on the way.

   A thread owns a range of rows or of columns of C. For each block of k it packs a panel of 32
   columns of B (first-level cache) and runs all tiles of a block of rows over it (Goto and van de
   Geijn, 2008, the packed parts on the stack). C is the sum over the blocks of k, in their order,
   of alpha times a tile; blocks of rows and threads do not show in the bits. */
#include "kernels/tile.h"

#include <omp.h>

enum {
    BLOCK_STEPS = 384,
    BLOCK_ROWS = 16 * AK_TILE_ROWS, /* when A must be copied */
    PLAIN_ROWS = 24 * AK_TILE_ROWS, /* when it is read where it is */
};

typedef struct product {
    akin_precision precision;
    int64_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    int64_t a_row, a_step, b_step, b_column; /* strides of op(A)[i][p] and op(B)[p][j] */
    float *c;
    int64_t ldc;
} product;

typedef struct scratch {
    union {
        float f32[BLOCK_ROWS * BLOCK_STEPS];
        uint16_t bf16[BLOCK_ROWS * BLOCK_STEPS];
    } rows;
    float transposed[AK_TILE_ROWS * BLOCK_STEPS]; /* on the way to rows.bf16 */
    union {
        float f32[BLOCK_STEPS * AK_PANEL];
        uint16_t bf16[BLOCK_STEPS * AK_PANEL];
    } panel;
    float out[AK_TILE_ROWS * AK_PANEL];
} scratch;

/* C block = alpha out + beta C block; beta 0 must not read C, which may be uninitialised. */
AK_KERNEL static void merge_tile(float alpha, const float *out, float beta, float *c, int64_t ldc,
                                 int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++, out += AK_PANEL, c += ldc) {
        if (beta == 0)
            for (int64_t j = 0; j < columns; j++)
                c[j] = alpha * out[j];
        else
            for (int64_t j = 0; j < columns; j++)
                c[j] = alpha * out[j] + beta * c[j];
    }
}

/* Rows of op(A) in bfloat16, an even number of elements each. */
static void narrow_rows(const product *u, const float *a, int64_t rows, int64_t k, scratch *s)
{
    int64_t even = k + (k & 1);
    for (int64_t first = 0; first < rows; first += AK_TILE_ROWS) {
        int64_t count = rows - first < AK_TILE_ROWS ? rows - first : AK_TILE_ROWS;
        const float *from = a + first * u->a_row;
        int64_t stride = u->a_row;
        if (u->a_step != 1) {
            ak_transpose_f32(from, u->a_step, k, count, s->transposed, k);
            from = s->transposed;
            stride = k;
        }
        for (int64_t i = 0; i < count; i++) {
            uint16_t *row = s->rows.bf16 + (first + i) * even;
            ak_bf16_from(from + i * stride, row, k);
            if (k & 1)
                row[k] = 0;
        }
    }
}

/* Rows first .. first + rows and steps p .. p + k of op(A): where they are, and their stride. */
static const void *block_of_a(const product *u, int64_t first, int64_t rows, int64_t p, int64_t k,
                              scratch *s, int64_t *stride)
{
    const float *a = u->a + first * u->a_row + p * u->a_step;
    if (u->precision == AKIN_BF16) {
        narrow_rows(u, a, rows, k, s);
        *stride = k + (k & 1);
        return s->rows.bf16;
    }
    *stride = u->a_row;
    if (u->a_step == 1)
        return a;
    ak_transpose_f32(a, u->a_step, k, rows, s->rows.f32, k);
    *stride = k;
    return s->rows.f32;
}

/* All tiles of the rows over the columns j .. j + columns (at most 32). */
static void run_panel(const product *u, const ak_tile_kernel *kernel, const void *a, int64_t stride,
                      int64_t first, int64_t rows, int64_t p, int64_t k, int64_t j, int64_t columns,
                      scratch *s)
{
    const float *b = u->b + p * u->b_step + j * u->b_column;
    if (u->precision == AKIN_BF16)
        ak_pack_bf16(b, u->b_step, u->b_column, k, columns, s->panel.bf16);
    else
        ak_pack_f32(b, u->b_step, u->b_column, k, columns, s->panel.f32);
    const ak_ahead nothing = {s->out, 0};
    int64_t tiles = ak_tile_count(rows, kernel->rows);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i = rows * t / tiles, count = rows * (t + 1) / tiles - i;
        float *c = u->c + (first + i) * u->ldc + j;
        for (int64_t r = 0; r < count; r++) { /* each row of C is on a page of its own */
            __builtin_prefetch(c + r * u->ldc, 1);
            __builtin_prefetch(c + r * u->ldc + columns - 1, 1);
        }
        if (u->precision == AKIN_BF16)
            kernel->bf16((int)count, (const uint16_t *)a + i * stride, stride, s->panel.bf16, k,
                         nothing, s->out, AK_PANEL);
        else
            kernel->f32((int)count, (const float *)a + i * stride, stride, s->panel.f32, AK_PANEL,
                        k, nothing, s->out, AK_PANEL);
        merge_tile(u->alpha, s->out, p == 0 ? u->beta : 1, c, u->ldc, count, columns);
    }
}

/* Rows first .. last and columns left .. right of C. */
static void run_range(const product *u, int64_t first, int64_t last, int64_t left, int64_t right)
{
    const ak_tile_kernel *kernel = ak_tile_kernel_get();
    bool copied = u->precision == AKIN_BF16 || u->a_step != 1;
    int64_t block = copied ? BLOCK_ROWS : PLAIN_ROWS;
    _Alignas(64) scratch s;
    for (int64_t i = first; i < last; i += block) {
        int64_t rows = last - i < block ? last - i : block;
        int64_t p = 0;
        do { /* once even if k is 0: then C = beta C */
            int64_t k = u->k - p < BLOCK_STEPS ? u->k - p : BLOCK_STEPS, stride;
            const void *a = block_of_a(u, i, rows, p, k, &s, &stride);
            for (int64_t j = left; j < right; j += AK_PANEL) {
                int64_t columns = right - j < AK_PANEL ? right - j : AK_PANEL;
                run_panel(u, kernel, a, stride, i, rows, p, k, j, columns, &s);
            }
            p += BLOCK_STEPS;
        } while (p < u->k);
    }
}

static product product_of(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m,
                          int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    return (product){
        .precision = precision,
        .m = m,
        .n = n,
        .k = k,
        .alpha = alpha,
        .beta = beta,
        .a = a,
        .b = b,
        .a_row = ta == AK_PLAIN ? lda : 1,
        .a_step = ta == AK_PLAIN ? 1 : lda,
        .b_step = tb == AK_PLAIN ? ldb : 1,
        .b_column = tb == AK_PLAIN ? 1 : ldb,
        .c = c,
        .ldc = ldc,
    };
}

void ak_gemm_single(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m,
                    int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                    int64_t ldb, float beta, float *c, int64_t ldc)
{
    product u = product_of(precision, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    run_range(&u, 0, m, 0, n);
}

/* A share of `count` units of `unit` elements out of `total`, for thread `part` of `parts`. */
static int64_t share_begin(int64_t total, int64_t unit, int part, int parts)
{
    int64_t begin = (total + unit - 1) / unit * part / parts * unit;
    return begin < total ? begin : total;
}

void ak_gemm(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m, int64_t n,
             int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
             float beta, float *c, int64_t ldc)
{
    product u = product_of(precision, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    bool by_rows = m >= n; /* a copy of B's panel, or of A's rows, is what threads repeat */
    bool worth_threads = m * n * (k + 1) > 1 << 18; /* about 5 microseconds */
#pragma omp parallel if (worth_threads && !omp_in_parallel())
    {
        int part = omp_get_thread_num(), parts = omp_get_num_threads();
        if (by_rows)
            run_range(&u, share_begin(m, 1, part, parts), share_begin(m, 1, part + 1, parts), 0, n);
        else
            run_range(&u, 0, m, share_begin(n, AK_PANEL, part, parts),
                      share_begin(n, AK_PANEL, part + 1, parts));
    }
}
