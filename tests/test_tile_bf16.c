/* The tile of processors with AVX512_BF16, run without one: vdpbf16ps is replaced by a model of the
   instruction (Intel's manual: two products in float32, the odd one first, subnormals are zero),
   and all layers and products of this program go through that tile. What is checked is the order in
   which panels and rows are packed; bits must be those of the portable tile. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

static inline __attribute__((always_inline, target("arch=x86-64-v4,avx512bf16"))) __m512
model_of_dpbf16(__m512 sum, __m512bh a, __m512bh b)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    __m512i x = (__m512i)a, y = (__m512i)b;
    sum = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, high)),
                          _mm512_castsi512_ps(_mm512_and_si512(y, high)), sum);
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                           _mm512_castsi512_ps(_mm512_slli_epi32(y, 16)), sum);
}
#define _mm512_dpbf16_ps model_of_dpbf16

#include "kernels/tile.h"
const ak_tile_kernel *the_usual_tile(void);
#define ak_tile_kernel_get the_usual_tile
#include "kernels/tile.c"
#undef ak_tile_kernel_get

#include "kernels/ref.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

const ak_tile_kernel *ak_tile_kernel_get(void)
{
    return &avx512_with_bf16;
}

static void fill(float *x, int64_t n, uint32_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

static void check_tile(int rows, int64_t k)
{
    enum { MOST = 80 };
    float x[AK_TILE_ROWS * MOST], w[MOST * AK_PANEL];
    float y[AK_TILE_ROWS * AK_PANEL], z[AK_TILE_ROWS * AK_PANEL];
    uint16_t narrow[AK_TILE_ROWS * MOST] = {0}, panel[MOST * AK_PANEL];
    const ak_ahead nothing = {x, 0};
    fill(x, AK_TILE_ROWS * MOST, 1);
    fill(w, MOST * AK_PANEL, 2);
    for (int i = 0; i < rows; i++)
        ak_bf16_from(x + i * MOST, narrow + i * MOST, k);
    ak_pack_bf16(w, AK_PANEL, 1, k, AK_PANEL, panel);
    avx512_bf16(rows, narrow, MOST, panel, k, nothing, y, AK_PANEL);
    avx512_emulated_bf16(rows, narrow, MOST, panel, k, nothing, z, AK_PANEL);
    assert_memory_equal(y, z, (size_t)(rows * AK_PANEL) * sizeof *y);
}

static void test_tile(void **state)
{
    (void)state;
    for (int rows = 1; rows <= AK_TILE_ROWS; rows++)
        for (int64_t k = 1; k < 80; k += k < 5 ? 1 : 7)
            check_tile(rows, k);
}

static void check_near(const float *y, const float *z, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        assert_float_equal(y[i], z[i], 1e-4f);
}

enum { ROWS = 31, IN = 77, OUT = 70 };

static void test_products(void **state)
{
    (void)state;
    static float a[ROWS * IN], b[IN * OUT], y[ROWS * OUT], z[ROWS * OUT];
    fill(a, ROWS * IN, 3);
    fill(b, IN * OUT, 4);
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            int64_t lda = ta ? ROWS : IN, ldb = tb ? IN : OUT;
            ak_gemm(AKIN_BF16, (ak_transpose)ta, (ak_transpose)tb, ROWS, OUT, IN, 1, a, lda, b, ldb,
                    0, y, OUT);
            ak_ref_gemm(AKIN_BF16, (ak_transpose)ta, (ak_transpose)tb, ROWS, OUT, IN, 1, a, lda, b,
                        ldb, 0, z, OUT);
            check_near(y, z, ROWS * OUT);
        }
}

static void test_layer(void **state)
{
    (void)state;
    static float w[OUT * IN], x[ROWS * IN], y[ROWS * OUT], z[ROWS * OUT];
    static uint16_t narrow[ROWS * (IN + 1)];
    fill(w, OUT * IN, 5);
    fill(x, ROWS * IN, 6);
    for (int i = 0; i < ROWS; i++)
        ak_bf16_from(x + i * IN, narrow + i * (IN + 1), IN);
    ak_packed *packed;
    assert_int_equal(
        ak_packed_create(&packed, OUT, IN, w, NULL, AK_NO_ACTIVATION, AKIN_BF16, NULL, NULL),
        AKIN_OK);
    ak_packed_run(packed, narrow, IN + 1, ROWS, y, OUT, 0, 1);
    ak_ref_gemm(AKIN_BF16, AK_PLAIN, AK_TRANSPOSED, ROWS, OUT, IN, 1, x, IN, w, IN, 0, z, OUT);
    check_near(y, z, ROWS * OUT);
    ak_packed_free(packed);
}

int main(void)
{
    if (strcmp(the_usual_tile()->name, "portable") == 0) {
        printf("1..0 # skipped: a processor without AVX-512\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 77; /* skipped */
}
#endif
