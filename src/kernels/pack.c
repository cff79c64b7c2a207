/* Rearranging matrices for the tiles: transposition, panels, bfloat16. See tile.h. */
#include "kernels/tile.h"

#include <string.h>

typedef float v8 __attribute__((vector_size(32), aligned(4)));

/* 8 x 8 in registers: interleave neighbours, then pairs, then halves. */
static inline __attribute__((always_inline)) void transpose_8x8(const float *x, int64_t ldx,
                                                                float *y, int64_t ldy)
{
    v8 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = *(const v8 *)(x + i * ldx);
    for (int i = 0; i < 8; i += 2) {
        b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            a[i + j] = __builtin_shufflevector(b[i + j], b[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            a[i + j + 2] =
                __builtin_shufflevector(b[i + j], b[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        *(v8 *)(y + i * ldy) = __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(v8 *)(y + (i + 4) * ldy) =
            __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

AK_KERNEL void ak_transpose_f32(const float *x, int64_t ldx, int64_t m, int64_t n, float *y,
                                int64_t ldy)
{
    int64_t whole_m = m & ~(int64_t)7, whole_n = n & ~(int64_t)7;
    for (int64_t i = 0; i < whole_m; i += 8)
        for (int64_t j = 0; j < whole_n; j += 8)
            transpose_8x8(x + i * ldx + j, ldx, y + j * ldy + i, ldy);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = i < whole_m ? whole_n : 0; j < n; j++)
            y[j * ldy + i] = x[i * ldx + j];
}

void ak_pack_f32(const float *w, int64_t step, int64_t column, int64_t k, int64_t n, float *panel)
{
    if (n < AK_PANEL)
        memset(panel, 0, (size_t)(k * AK_PANEL) * sizeof *panel);
    if (column != 1) {
        ak_transpose_f32(w, column, n, k, panel, AK_PANEL);
        return;
    }
    if (n == AK_PANEL) { /* a constant size is four moves instead of a call */
        for (int64_t p = 0; p < k; p++)
            memcpy(panel + p * AK_PANEL, w + p * step, AK_PANEL * sizeof *panel);
        return;
    }
    for (int64_t p = 0; p < k; p++)
        memcpy(panel + p * AK_PANEL, w + p * step, (size_t)n * sizeof *panel);
}

void ak_pack_panels_f32(const float *w, int64_t step, int64_t column, int64_t k, int64_t n,
                        float *panels)
{
    int64_t size = k * AK_PANEL, whole = n / AK_PANEL;
    if (column == 1)
        for (int64_t p = 0; p < k; p++)
            for (int64_t g = 0; g < whole; g++) {
                const float *from = w + p * step + g * AK_PANEL;
                __builtin_prefetch(from + 12 * step);
                __builtin_prefetch(from + 12 * step + 16);
                memcpy(panels + g * size + p * AK_PANEL, from, AK_PANEL * sizeof *w);
            }
    for (int64_t g = column == 1 ? whole : 0; g * AK_PANEL < n; g++)
        ak_pack_f32(w + g * AK_PANEL * column, step, column, k,
                    n - g * AK_PANEL < AK_PANEL ? n - g * AK_PANEL : AK_PANEL, panels + g * size);
}

static inline uint16_t round_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    uint32_t nan = bits >> 16 | 0x40; /* rounding could turn a NaN into an infinity */
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

AK_KERNEL void ak_bf16_from(const float *x, uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = round_bf16(x[i]);
}

AK_KERNEL void ak_bf16_round(const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)round_bf16(x[i]) << 16;
        memcpy(y + i, &bits, sizeof bits);
    }
}

AK_KERNEL void ak_bf16_to(const uint16_t *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(y + i, &bits, sizeof bits);
    }
}

/* Two rows of a float32 panel become one row of pairs. */
AK_KERNEL static void interleave_bf16(const float *rows, uint16_t *pairs)
{
    for (int j = 0; j < AK_PANEL; j++) {
        pairs[2 * j] = round_bf16(rows[j]);
        pairs[2 * j + 1] = round_bf16(rows[AK_PANEL + j]);
    }
}

void ak_pack_bf16(const float *w, int64_t step, int64_t column, int64_t k, int64_t n,
                  uint16_t *panel)
{
    float rows[16 * AK_PANEL];
    for (int64_t p = 0; p < k; p += 16) {
        int64_t count = k - p < 16 ? k - p : 16;
        if (count < 16)
            memset(rows, 0, sizeof rows);
        ak_pack_f32(w + p * step, step, column, count, n, rows);
        for (int64_t q = 0; q < count; q += 2)
            interleave_bf16(rows + q * AK_PANEL, panel + (p + q) * AK_PANEL);
    }
}
