/* General products: C = alpha op(A) op(B) + beta C, A and B packed block by block on the way.

   A thread owns a range of rows or of columns of C. For each block of k it packs up to 12 panels of
   B (second-level cache), once; then the rows of a tile, copied where A is transposed (first-level
   cache), meet all of them. Packed B streams past the tile, which fetches it ahead (Goto and van de
   Geijn, 2008, with the operands' places exchanged: a tile of 14 rows is small, and so is its share
   of copying A). C is the sum over the blocks of k, in their order, of alpha times a tile; groups
   of columns and threads do not show in the bits. */
#include "kernels/tile.h"

#include <omp.h>

enum {
    BLOCK_STEPS = 384,
    WIDE = 12 * AK_PANEL, /* columns of B packed at a time: 0.6 MB, second-level cache */
    COPIED_ROWS = (AK_TILE_ROWS + 7) / 8 * 8, /* transpositions are of 8 x 8 */
};

typedef struct product {
    akin_precision precision; /* of the tile */
    bool rounds; /* bfloat16 by a processor without: floats that are rounded to it, same products */
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
        uint16_t bf16[AK_TILE_ROWS * BLOCK_STEPS];
    } rows;
    float transposed[COPIED_ROWS * BLOCK_STEPS]; /* on the way to rows.bf16 */
    union {
        float f32[WIDE * BLOCK_STEPS];
        uint16_t bf16[WIDE * BLOCK_STEPS];
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

/* A block of the work: steps p .. p + k of the sum, columns `first` .. first + columns of C. */
typedef struct block {
    int64_t p, k, first, columns;
} block;

/* Rows of op(A) as a tile reads them: k steps (in bfloat16 an even number) at `data`. */
typedef struct operand {
    const void *data;
    int64_t stride; /* elements from row to row */
} operand;

/* Rows i .. i + rows. The copy of a transposed A is in the first-level cache. */
static operand take_a(const product *u, const block *now, int64_t i, int64_t rows, scratch *s)
{
    const float *a = u->a + i * u->a_row + now->p * u->a_step;
    int64_t stride = u->a_row, even = now->k + (now->k & 1);
    if (u->a_step != 1) {
        float *copy = u->precision == AKIN_BF16 ? s->transposed : s->rows.f32;
        int64_t whole = (rows + 7) / 8 * 8; /* some of the next rows, where there are any */
        ak_transpose_f32(a, u->a_step, now->k, i + whole <= u->m ? whole : rows, copy, now->k);
        a = copy;
        stride = now->k;
    }
    if (u->rounds) {
        for (int64_t r = 0; r < rows; r++)
            ak_bf16_round(a + r * stride, s->rows.f32 + r * now->k, now->k);
        return (operand){s->rows.f32, now->k};
    }
    if (u->precision != AKIN_BF16)
        return (operand){a, stride};
    for (int64_t r = 0; r < rows; r++) {
        ak_bf16_from(a + r * stride, s->rows.bf16 + r * even, now->k);
        if (now->k & 1)
            s->rows.bf16[r * even + now->k] = 0;
    }
    return (operand){s->rows.bf16, even};
}

/* Packs the block's part of op(B). */
static void pack_b(const product *u, const block *now, scratch *s)
{
    const float *b = u->b + now->p * u->b_step + now->first * u->b_column;
    if (u->precision == AKIN_F32) {
        ak_pack_panels_f32(b, u->b_step, u->b_column, now->k, now->columns, s->panels.f32);
        if (u->rounds)
            ak_bf16_round(s->panels.f32, s->panels.f32,
                          (now->columns + AK_PANEL - 1) / AK_PANEL * AK_PANEL * now->k);
        return;
    }
    uint16_t *panel = s->panels.bf16;
    for (int64_t c = 0; c < now->columns; c += AK_PANEL, b += AK_PANEL * u->b_column) {
        int64_t count = now->columns - c < AK_PANEL ? now->columns - c : AK_PANEL;
        ak_pack_bf16(b, u->b_step, u->b_column, now->k, count, panel);
        panel += (now->k + (now->k & 1)) * AK_PANEL;
    }
}

/* One tile, `columns` of a panel: straight into C where that is all. */
static void run_tile(const product *u, const ak_tile_kernel *kernel, const block *now,
                     const operand *a, int64_t rows, const void *panel, ak_ahead ahead, float *c,
                     int64_t columns, scratch *s)
{
    bool direct = columns == AK_PANEL && now->p == 0 && u->alpha == 1 && u->beta == 0;
    float *out = direct ? c : s->out;
    int64_t ldo = direct ? u->ldc : AK_PANEL;
    for (int64_t r = 0; r < rows; r++) { /* each row of C is on a page of its own */
        __builtin_prefetch(c + r * u->ldc, 1);
        __builtin_prefetch(c + r * u->ldc + columns - 1, 1);
    }
    if (u->precision == AKIN_BF16)
        kernel->bf16((int)rows, a->data, a->stride, panel, now->k, ahead, out, ldo);
    else
        kernel->f32((int)rows, a->data, a->stride, panel, AK_PANEL, now->k, ahead, out, ldo);
    if (!direct)
        merge_tile(u->alpha, out, now->p == 0 ? u->beta : 1, c, u->ldc, rows, columns);
}

/* All tiles of rows i .. i + rows of the block. */
static void run_rows(const product *u, const ak_tile_kernel *kernel, const block *now, int64_t i,
                     int64_t rows, scratch *s)
{
    operand a = take_a(u, now, i, rows, s);
    float *c = u->c + i * u->ldc + now->first;
    ak_ahead ahead = {s->out, 0};
    if (u->a_step != 1) /* the next rows' lines are a page apart each */
        ahead = (ak_ahead){u->a + (i + rows) * u->a_row + now->p * u->a_step,
                           u->a_step * (int64_t)sizeof(float)};
    for (int64_t column = 0; column < now->columns; column += AK_PANEL) {
        int64_t width = now->columns - column < AK_PANEL ? now->columns - column : AK_PANEL;
        const void *panel = u->precision == AKIN_BF16
                                ? (void *)(s->panels.bf16 + column * (now->k + (now->k & 1)))
                                : (void *)(s->panels.f32 + column * now->k);
        run_tile(u, kernel, now, &a, rows, panel, ahead, c + column, width, s);
        ahead = (ak_ahead){s->out, 0};
    }
}

/* Share `part` of `parts` of `total`, in whole `unit`s. */
static int64_t share_begin(int64_t total, int64_t unit, int64_t part, int64_t parts)
{
    int64_t begin = (total + unit - 1) / unit * part / parts * unit;
    return begin < total ? begin : total;
}

/* Rows top .. bottom and columns left .. right of C. How k is cut into blocks depends on k alone:
   the order of a sum must not depend on the share. k = 0 is one block: C = beta C. */
static void run_range(const product *u, int64_t top, int64_t bottom, int64_t left, int64_t right)
{
    const ak_tile_kernel *kernel = ak_tile_kernel_get();
    int64_t rows = bottom - top, tiles = ak_tile_count(rows, kernel->rows);
    int64_t groups = (right - left + WIDE - 1) / WIDE;
    int64_t cuts = u->k > BLOCK_STEPS ? (u->k + BLOCK_STEPS - 1) / BLOCK_STEPS : 1;
    _Alignas(64) scratch s;
    for (int64_t g = 0; g < groups; g++)
        for (int64_t cut = 0; cut < cuts; cut++) {
            block now = {.p = u->k * cut / cuts, .first = left};
            now.first += share_begin(right - left, AK_PANEL, g, groups);
            now.columns = left + share_begin(right - left, AK_PANEL, g + 1, groups) - now.first;
            now.k = u->k * (cut + 1) / cuts - now.p;
            pack_b(u, &now, &s);
            for (int64_t t = 0; t < tiles; t++) {
                int64_t i = rows * t / tiles;
                run_rows(u, kernel, &now, top + i, rows * (t + 1) / tiles - i, &s);
            }
        }
}

static product product_of(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m,
                          int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    bool rounds = precision == AKIN_BF16 && !ak_tile_kernel_get()->bf16_is_native;
    return (product){
        .precision = rounds ? AKIN_F32 : precision,
        .rounds = rounds,
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
