/* Tiles: see tile.h. The body is written once for a constant number of rows, so that the compiler
   keeps the accumulators in registers; a switch picks the height.

   Why not a library. A row is a text's token: its bits must not depend on how many rows there are.
   oneDNN's dnnl_sgemm does not keep them, and the assembly of oneDNN 2.6's keeps data below the
   stack pointer, where a signal handler writes (a Ctrl-C while training corrupted the heap). oneDNN
   2.6.3's matmul primitive with packed weights was tried at 159 numbers of rows, 2 to 140 and some
   up to 520, and five shapes. With AVX-512 the bits held and 5,600 signals did no harm. With
   AVX2 it falls back to sgemm and all shapes lost their bits (159 numbers of rows, 86 at k = 32);
   bfloat16 without AVX512_BF16 falls back likewise, at 30 GFLOP/s. The tile would have to stay for
   those processors, for attention and for transposed products. Where both work, bench/README.md
   compares them: a second way would gain 3 to 14 percent at 512 rows, and lose below 140. */
#include "kernels/tile.h"

#include <string.h>

#define AK_INLINE static inline __attribute__((always_inline))

AK_INLINE void fetch_ahead(const char *line)
{
    __builtin_prefetch(line, 0, 2);
    __builtin_prefetch(line + 64, 0, 2);
}

/* `vectors` of 16 columns each: one broadcast of x meets them all. */
AK_INLINE void tile_f32(const int rows, const int vectors, const float *x, int64_t ldx,
                        const float *w, int64_t ldw, int64_t k, ak_ahead ahead, float *out,
                        int64_t ldo)
{
    ak_v16 sum[AK_TILE_ROWS][2] = {0};
    const char *next = ahead.from;
    for (int64_t p = 0; p < k; p++, w += ldw, next += ahead.stride) {
        ak_v16 left = *(const ak_v16 *)w;
        ak_v16 right = vectors > 1 ? *(const ak_v16 *)(w + 16) : left;
        __builtin_prefetch(w + AK_NEAR * ldw);
        __builtin_prefetch(w + AK_NEAR * ldw + 16);
        fetch_ahead(next);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            ak_v16 value = x[i * ldx + p] - (ak_v16){0};
            sum[i][0] += value * left;
            if (vectors > 1)
                sum[i][1] += value * right;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        *(ak_v16 *)(out + i * ldo) = sum[i][0];
        if (vectors > 1)
            *(ak_v16 *)(out + i * ldo + 16) = sum[i][1];
    }
}

/* Halves of 16 pairs as floats: bfloat16 is the upper half of a float32. */
#define LOW_HALF(pairs) ((ak_v16)((pairs) << 16))
#define HIGH_HALF(pairs) ((ak_v16)((pairs) & (int32_t)0xffff0000))

AK_INLINE int32_t load_pair(const uint16_t *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return pair;
}

/* 16 columns; bfloat16 is the upper half of a float32, so products are exact before they are added.
 */
AK_INLINE void tile_bf16(const int rows, const uint16_t *x, int64_t ldx, const uint16_t *w,
                         int64_t k, ak_ahead ahead, float *out, int64_t ldo)
{
    ak_v16 sum[AK_TILE_ROWS] = {0};
    const char *next = ahead.from;
    for (int64_t p = 0; p < k; p += 2, w += 2 * AK_PANEL, next += ahead.stride) {
        fetch_ahead(next);
        ak_v16i pairs = *(const ak_v16i *)w;
        ak_v16 even = LOW_HALF(pairs), odd = HIGH_HALF(pairs);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            ak_v16i value = load_pair(x + i * ldx + p) - (ak_v16i){0};
            sum[i] += HIGH_HALF(value) * odd;
            sum[i] += LOW_HALF(value) * even;
        }
    }
    for (int i = 0; i < rows; i++)
        *(ak_v16 *)(out + i * ldo) = sum[i];
}

AK_KERNEL static void portable_f32(int rows, const float *x, int64_t ldx, const float *w,
                                   int64_t ldw, int64_t k, ak_ahead ahead, float *out, int64_t ldo)
{
    for (int half = 0; half < AK_PANEL; half += 16) {
#define AK_ROWS(R)                                                                                 \
    case R:                                                                                        \
        tile_f32(R, 1, x, ldx, w + half, ldw, k, ahead, out + half, ldo);                          \
        break;
        switch (rows) {
            AK_ROWS(1) AK_ROWS(2) AK_ROWS(3) AK_ROWS(4) AK_ROWS(5) AK_ROWS(6)
        }
#undef AK_ROWS
    }
}

AK_KERNEL static void portable_bf16(int rows, const uint16_t *x, int64_t ldx, const uint16_t *w,
                                    int64_t k, ak_ahead ahead, float *out, int64_t ldo)
{
    for (int half = 0; half < AK_PANEL; half += 16) {
#define AK_ROWS(R)                                                                                 \
    case R:                                                                                        \
        tile_bf16(R, x, ldx, w + 2 * half, k, ahead, out + half, ldo);                             \
        break;
        switch (rows) {
            AK_ROWS(1) AK_ROWS(2) AK_ROWS(3) AK_ROWS(4) AK_ROWS(5) AK_ROWS(6)
        }
#undef AK_ROWS
    }
}

const ak_tile_kernel ak_tile_portable = {"portable", 6, portable_f32, portable_bf16, false};

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AK_ALL_ROWS                                                                                \
    AK_ROWS(1)                                                                                     \
    AK_ROWS(2)                                                                                     \
    AK_ROWS(3)                                                                                     \
    AK_ROWS(4)                                                                                     \
    AK_ROWS(5)                                                                                     \
    AK_ROWS(6)                                                                                     \
    AK_ROWS(7) AK_ROWS(8) AK_ROWS(9) AK_ROWS(10) AK_ROWS(11) AK_ROWS(12) AK_ROWS(13) AK_ROWS(14)

__attribute__((target("arch=x86-64-v4"), optimize("O3"))) static void
avx512_f32(int rows, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t k,
           ak_ahead ahead, float *out, int64_t ldo)
{
#define AK_ROWS(R)                                                                                 \
    case R:                                                                                        \
        tile_f32(R, 2, x, ldx, w, ldw, k, ahead, out, ldo);                                        \
        break;
    switch (rows) {
        AK_ALL_ROWS
    }
#undef AK_ROWS
}

#define AK_BF16_TARGET target("arch=x86-64-v4,avx512bf16")

static inline __attribute__((always_inline, AK_BF16_TARGET)) void
tile_dpbf16(const int rows, const uint16_t *x, int64_t ldx, const uint16_t *w, int64_t k,
            ak_ahead ahead, float *out, int64_t ldo)
{
    __m512 sum[AK_TILE_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    const char *next = ahead.from;
    for (int64_t p = 0; p < k; p += 2, w += 2 * AK_PANEL, next += ahead.stride) {
        __m512bh left = (__m512bh)_mm512_loadu_si512(w);
        __m512bh right = (__m512bh)_mm512_loadu_si512(w + 32);
        __builtin_prefetch(w + 2 * AK_NEAR * AK_PANEL);
        __builtin_prefetch(w + 2 * AK_NEAR * AK_PANEL + 32);
        fetch_ahead(next);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            __m512bh value = (__m512bh)_mm512_set1_epi32(load_pair(x + i * ldx + p));
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], value, left);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], value, right);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        _mm512_storeu_ps(out + i * ldo, sum[i][0]);
        _mm512_storeu_ps(out + i * ldo + 16, sum[i][1]);
    }
}

__attribute__((AK_BF16_TARGET, optimize("O3"))) static void
avx512_bf16(int rows, const uint16_t *x, int64_t ldx, const uint16_t *w, int64_t k, ak_ahead ahead,
            float *out, int64_t ldo)
{
#define AK_ROWS(R)                                                                                 \
    case R:                                                                                        \
        tile_dpbf16(R, x, ldx, w, k, ahead, out, ldo);                                             \
        break;
    switch (rows) {
        AK_ALL_ROWS
    }
#undef AK_ROWS
}

/* Without vdpbf16ps: the portable tile, a few rows at a time. */
static void avx512_emulated_bf16(int rows, const uint16_t *x, int64_t ldx, const uint16_t *w,
                                 int64_t k, ak_ahead ahead, float *out, int64_t ldo)
{
    int most = ak_tile_portable.rows;
    for (int first = 0; first < rows; first += most) {
        int count = rows - first < most ? rows - first : most;
        portable_bf16(count, x + first * ldx, ldx, w, k, ahead, out + first * ldo, ldo);
    }
}

static const ak_tile_kernel avx512 = {"avx512", AK_TILE_ROWS, avx512_f32, avx512_emulated_bf16,
                                      false};
static const ak_tile_kernel avx512_with_bf16 = {"avx512+bf16", AK_TILE_ROWS, avx512_f32,
                                                avx512_bf16, true};

const ak_tile_kernel *ak_tile_kernel_get(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return &ak_tile_portable;
    return __builtin_cpu_supports("avx512bf16") ? &avx512_with_bf16 : &avx512;
}
#else
const ak_tile_kernel *ak_tile_kernel_get(void)
{
    return &ak_tile_portable;
}
#endif

bool ak_bf16_is_native(void)
{
    return ak_tile_kernel_get()->bf16_is_native;
}

const char *ak_kernel_name(void)
{
    return ak_tile_kernel_get()->name;
}
