/* General products: C = alpha op(A) op(B) + beta C, A and B packed block by block on the way.

   A thread owns a range of rows or of columns of C. For each block of k it packs a panel of 32
   columns of B (first-level cache) and runs all tiles of a block of rows over it (Goto and van de
   Geijn, 2008, the packed parts on the stack). C is the sum over the blocks of k, in their order,
   of alpha times a tile; blocks of rows and threads do not show in the bits. */
#include "kernels/tile.h"

#include <omp.h>

enum {
    BLOCK_STEPS = 384,
    BLOCK_ROWS = 37 * AK_TILE_ROWS,  /* 0.8 MB of A: second-level cache */
    COPIED_ROWS = 16 * AK_TILE_ROWS, /* the same where A is copied, on the stack */
    GROUP = 4,                       /* panels of B packed at a time: 512 bytes of a row */
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
        float f32[COPIED_ROWS * BLOCK_STEPS];
        uint16_t bf16[COPIED_ROWS * BLOCK_STEPS];
    } rows;
    float transposed[AK_TILE_ROWS * BLOCK_STEPS]; /* on the way to rows.bf16 */
    union {
        float f32[GROUP * BLOCK_STEPS * AK_PANEL];
        uint16_t bf16[GROUP * BLOCK_STEPS * AK_PANEL];
    } panels;
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

/* A block of the work: rows first .. first + rows of C, steps p .. p + k of the sum, and that part
   of op(A) as the tiles read it, `stride` elements a row. */
typedef struct block {
    int64_t first, rows, p, k;
    const void *a;
    int64_t stride;
} block;

static bool copies_a(const product *u)
{
    return u->precision == AKIN_BF16 || u->a_step != 1;
}

static void take_a(const product *u, block *now, scratch *s)
{
    const float *a = u->a + now->first * u->a_row + now->p * u->a_step;
    now->a = &s->rows;
    if (u->precision == AKIN_BF16) {
        now->stride = now->k + (now->k & 1);
        narrow_rows(u, a, now->rows, now->k, s);
    } else if (copies_a(u)) {
        now->stride = now->k;
        ak_transpose_f32(a, u->a_step, now->k, now->rows, s->rows.f32, now->k);
    } else {
        now->stride = u->a_row;
        now->a = a;
    }
}

/* Packs the block's steps of columns j .. j + columns of op(B), at most GROUP panels. */
static void pack_group(const product *u, const block *now, int64_t j, int64_t columns, scratch *s)
{
    const float *b = u->b + now->p * u->b_step + j * u->b_column;
    if (u->precision == AKIN_F32) {
        ak_pack_panels_f32(b, u->b_step, u->b_column, now->k, columns, s->panels.f32);
        return;
    }
    uint16_t *panel = s->panels.bf16;
    for (int64_t c = 0; c < columns; c += AK_PANEL, b += AK_PANEL * u->b_column) {
        int64_t count = columns - c < AK_PANEL ? columns - c : AK_PANEL;
        ak_pack_bf16(b, u->b_step, u->b_column, now->k, count, panel);
        panel += (now->k + (now->k & 1)) * AK_PANEL;
    }
}

/* C's rows i .. i + rows of the block, `columns` of a panel: straight into C where that is all. */
static void run_tile(const product *u, const ak_tile_kernel *kernel, const block *now, int64_t i,
                     int64_t rows, const void *panel, float *c, int64_t columns, scratch *s)
{
    bool direct = columns == AK_PANEL && now->p == 0 && u->alpha == 1 && u->beta == 0;
    float *out = direct ? c : s->out;
    int64_t ldo = direct ? u->ldc : AK_PANEL;
    const ak_ahead nothing = {s->out, 0};
    for (int64_t r = 0; r < rows; r++) { /* each row of C is on a page of its own */
        __builtin_prefetch(c + r * u->ldc, 1);
        __builtin_prefetch(c + r * u->ldc + columns - 1, 1);
    }
    if (u->precision == AKIN_BF16)
        kernel->bf16((int)rows, (const uint16_t *)now->a + i * now->stride, now->stride, panel,
                     now->k, nothing, out, ldo);
    else
        kernel->f32((int)rows, (const float *)now->a + i * now->stride, now->stride, panel,
                    AK_PANEL, now->k, nothing, out, ldo);
    if (!direct)
        merge_tile(u->alpha, out, now->p == 0 ? u->beta : 1, c, u->ldc, rows, columns);
}

/* The block's tiles over columns j .. j + columns, at most GROUP panels. */
static void run_group(const product *u, const ak_tile_kernel *kernel, const block *now, int64_t j,
                      int64_t columns, scratch *s)
{
    pack_group(u, now, j, columns, s);
    int64_t tiles = ak_tile_count(now->rows, kernel->rows);
    for (int64_t column = 0; column < columns; column += AK_PANEL) {
        int64_t width = columns - column < AK_PANEL ? columns - column : AK_PANEL;
        const void *panel = u->precision == AKIN_BF16
                                ? (void *)(s->panels.bf16 + column * (now->k + (now->k & 1)))
                                : (void *)(s->panels.f32 + column * now->k);
        for (int64_t t = 0; t < tiles; t++) {
            int64_t i = now->rows * t / tiles, rows = now->rows * (t + 1) / tiles - i;
            run_tile(u, kernel, now, i, rows, panel, u->c + (now->first + i) * u->ldc + j + column,
                     width, s);
        }
    }
}

/* Rows first .. last and columns left .. right of C. How k is cut into blocks depends on k alone:
   the order of a sum must not depend on the share. k = 0 is one block: C = beta C. */
static void run_range(const product *u, int64_t first, int64_t last, int64_t left, int64_t right)
{
    const ak_tile_kernel *kernel = ak_tile_kernel_get();
    int64_t most = copies_a(u) ? COPIED_ROWS : BLOCK_ROWS;
    int64_t blocks = (last - first + most - 1) / most;
    int64_t cuts = u->k > BLOCK_STEPS ? (u->k + BLOCK_STEPS - 1) / BLOCK_STEPS : 1;
    _Alignas(64) scratch s;
    for (int64_t z = 0; z < blocks; z++)
        for (int64_t cut = 0; cut < cuts; cut++) {
            block now = {.first = first + (last - first) * z / blocks, .p = u->k * cut / cuts};
            now.rows = first + (last - first) * (z + 1) / blocks - now.first;
            now.k = u->k * (cut + 1) / cuts - now.p;
            take_a(u, &now, &s);
            for (int64_t j = left; j < right; j += GROUP * AK_PANEL)
                run_group(u, kernel, &now, j,
                          right - j < GROUP * AK_PANEL ? right - j : GROUP * AK_PANEL, &s);
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
