/* The one inner loop of all products: a tile of up to AK_TILE_ROWS x 32 outputs, held in registers.

       out[i][j] = sum over p of x[i][p] * w[p][j]          i < rows, j < 32

   in float32, each output one chain of fused multiply-adds in the order of p. That order is the
   same for every tile height and instruction set with fma, which is why a row's bits do not depend
   on its neighbours. The height only decides how many rows share the loads of w: 14 x 2 vectors of
   16 fill the 32 registers of AVX-512, 6 x 2 vectors of 8 the 16 of AVX2.

   bfloat16: w holds pairs, [p / 2][j][p % 2], and x has an even number of columns, so that one
   32-bit broadcast and one vdpbf16ps make two steps of p. */
#ifndef AK_KERNELS_TILE_H
#define AK_KERNELS_TILE_H

#include "kernels/kernels.h"

/* Vectors are passed between inlined functions only; GCC warns as if they crossed an interface. */
#pragma GCC diagnostic ignored "-Wpsabi"

enum {
    AK_PANEL = 32,      /* columns of a tile and of a packed panel */
    AK_TILE_ROWS = 14,  /* of the tallest tile */
    AK_NEAR = 16,       /* steps ahead of the multiplication, about 200 cycles */
};

typedef float ak_v16 __attribute__((vector_size(64), aligned(4)));
typedef int32_t ak_v16i __attribute__((vector_size(64), aligned(4)));

/* What a tile fetches into the second-level cache while it multiplies: the lines at `from`, and
   `stride` bytes further with every step (two in bfloat16). Weights stream from the third level or
   from memory, where a line takes as long as 10 steps: tiles in turn fetch the next panel's lines,
   evenly. Without it MiniLM's products run at 120 instead of 150 GFLOP/s at 100 tokens, and at 47
   instead of 83 at 12. Nothing to fetch: some address that is in use, and 0. */
typedef struct ak_ahead {
    const void *from;
    int64_t stride;
} ak_ahead;

typedef struct ak_tile_kernel {
    const char *name;
    int rows; /* the tallest tile it makes */
    /* k: steps; ldx, ldw in elements, ldw (of a step) is ignored in bfloat16: panels are packed. */
    void (*f32)(int rows, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t k,
                ak_ahead ahead, float *out, int64_t ldo);
    void (*bf16)(int rows, const uint16_t *x, int64_t ldx, const uint16_t *w, int64_t k,
                 ak_ahead ahead, float *out, int64_t ldo);
    bool bf16_is_native;
} ak_tile_kernel;

extern const ak_tile_kernel ak_tile_portable;
const ak_tile_kernel *ak_tile_kernel_get(void); /* the best one for this processor */

/* Number of tiles for m rows of at most `tallest`; tile t starts at row m * t / count, so that
   heights differ by one at most (14 rows and 2 rows would cost more than 8 and 8). */
static inline int64_t ak_tile_count(int64_t m, int tallest)
{
    return (m + tallest - 1) / tallest;
}

/* ---- pack.c: w (k x n, n <= 32, element p, j at w[p * step + j * column]) into a panel; missing
   columns are zero. One of step and column is 1. */
void ak_pack_f32(const float *w, int64_t step, int64_t column, int64_t k, int64_t n, float *panel);
/* Any n: (n + 31) / 32 panels, one behind the other. */
void ak_pack_panels_f32(const float *w, int64_t step, int64_t column, int64_t k, int64_t n,
                        float *panels);
/* (k + 1) / 2 * 64 elements; an odd k ends in zeros. */
void ak_pack_bf16(const float *w, int64_t step, int64_t column, int64_t k, int64_t n,
                  uint16_t *panel);
/* y (n x m, stride ldy) = x (m x n, stride ldx) transposed. */
void ak_transpose_f32(const float *x, int64_t ldx, int64_t m, int64_t n, float *y, int64_t ldy);

#endif
