/* Every kernel against ref at all tail lengths and extremes, and the promise about bits. */
#include "kernels/ref.h"
#include "kernels/tile.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float *numbers(uint64_t stream, int64_t n)
{
    float *x = ak_alloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(2 * ak_random_uniform(7, stream, (uint64_t)i) - 1);
    return x;
}

static void check_near(const float *x, const float *y, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)x[i] - (double)y[i]) <= tolerance))
            fail_msg("element %lld: %.9g, expected %.9g", (long long)i, (double)x[i], (double)y[i]);
}

static void check_gemm(akin_precision precision, int ta, int tb, int64_t m, int64_t n, int64_t k,
                       float alpha, float beta)
{
    int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
    float *a = numbers(1, lda * ((ta ? k : m) + 1)), *b = numbers(2, ldb * ((tb ? n : k) + 1));
    float *c = numbers(3, ldc * (m + 1)), *d = numbers(3, ldc * (m + 1));
    for (int64_t i = 0; beta == 0 && i < m; i++)
        c[i * ldc] = d[i * ldc] = NAN; /* must not be read */
    ak_gemm(precision, (ak_transpose)ta, (ak_transpose)tb, m, n, k, alpha, a, lda, b, ldb, beta, c,
            ldc);
    ak_ref_gemm(precision, (ak_transpose)ta, (ak_transpose)tb, m, n, k, alpha, a, lda, b, ldb, beta,
                d, ldc);
    check_near(c, d, ldc * m, 2e-6 * sqrt((double)k + 1) + 1e-6);
    ak_free(a);
    ak_free(b);
    ak_free(c);
    ak_free(d);
}

static void test_gemm_shapes(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 13, 15, 31, 33, 64}, steps[] = {0, 1, 2, 17, 384, 401};
    for (int t = 0; t < 8; t++)
        for (size_t i = 0; i < 7; i++)
            for (size_t j = 0; j < 7; j++)
                for (size_t p = 0; p < 6; p++)
                    check_gemm(t & 4 ? AKIN_BF16 : AKIN_F32, t & 1, t >> 1 & 1, sizes[i], sizes[j],
                               steps[p], i & 1 ? 1.0f : -0.5f, j & 1 ? 0.0f : 0.75f);
}

static void test_gemm_blocks(void **state)
{
    (void)state;
    for (int t = 0; t < 8; t++) {
        check_gemm(t & 4 ? AKIN_BF16 : AKIN_F32, t & 1, t >> 1 & 1, 480, 70, 801, 1, 1);
        check_gemm(t & 4 ? AKIN_BF16 : AKIN_F32, t & 1, t >> 1 & 1, 20, 500, 900, 1, 0);
    }
}

static void test_gemm_bits(void **state)
{
    (void)state;
    enum { M = 300, N = 100, K = 500 };
    for (int precision = AKIN_F32; precision <= AKIN_BF16; precision++) {
        float *a = numbers(1, M * K), *b = numbers(2, K * N);
        float *all = numbers(3, M * N), *some = numbers(4, M * N);
        ak_gemm((akin_precision)precision, AK_PLAIN, AK_PLAIN, M, N, K, 1, a, K, b, N, 0, all, N);
        for (int64_t rows = 1; rows < 60; rows++)
            for (int64_t first = 0; first < 40; first += 13) {
                ak_gemm_single((akin_precision)precision, AK_PLAIN, AK_PLAIN, rows, N, K, 1,
                               a + first * K, K, b, N, 0, some, N);
                assert_memory_equal(some, all + first * N, (size_t)(rows * N) * sizeof *some);
            }
        ak_free(a);
        ak_free(b);
        ak_free(all);
        ak_free(some);
    }
}

/* The tiles for other processors than this one. */
static void test_portable_tiles(void **state)
{
    (void)state;
    enum { K = 77 };
    const ak_tile_kernel *best = ak_tile_kernel_get(), *portable = &ak_tile_portable;
    float *x = numbers(1, AK_TILE_ROWS * K), *w = numbers(2, K * AK_PANEL);
    float y[AK_TILE_ROWS * AK_PANEL], z[AK_TILE_ROWS * AK_PANEL];
    uint16_t narrow[AK_TILE_ROWS * (K + 1)] = {0}, pairs[(K + 1) * AK_PANEL];
    for (int i = 0; i < AK_TILE_ROWS; i++)
        ak_bf16_from(x + i * K, narrow + i * (K + 1), K);
    ak_pack_bf16(w, AK_PANEL, 1, K, AK_PANEL, pairs);
    const ak_ahead nothing = {x, 0};
    for (int rows = 1; rows <= portable->rows; rows++) {
        best->f32(rows, x, K, w, AK_PANEL, K, nothing, y, AK_PANEL);
        portable->f32(rows, x, K, w, AK_PANEL, K, nothing, z, AK_PANEL);
        check_near(z, y, rows * AK_PANEL, 1e-5);
        best->bf16(rows, narrow, K + 1, pairs, K, nothing, y, AK_PANEL);
        portable->bf16(rows, narrow, K + 1, pairs, K, nothing, z, AK_PANEL);
        check_near(z, y, rows * AK_PANEL, 1e-5);
    }
    ak_free(x);
    ak_free(w);
}

static void check_packed(akin_precision precision, int64_t out_dim, int64_t in_dim,
                         ak_activation activation)
{
    enum { ROWS = 37 };
    int64_t ldx = in_dim + (in_dim & 1);
    float *w = numbers(1, out_dim * in_dim), *bias = numbers(2, out_dim),
          *x = numbers(3, ROWS * ldx);
    float *y = numbers(4, ROWS * out_dim), *z = numbers(5, ROWS * out_dim);
    float *one = numbers(6, out_dim);
    uint16_t *narrow = ak_calloc((size_t)(ROWS * ldx), sizeof *narrow);
    for (int64_t i = 0; i < ROWS; i++)
        ak_bf16_from(x + i * ldx, narrow + i * ldx, in_dim);
    const void *input = precision == AKIN_BF16 ? (const void *)narrow : x;
    size_t row = (size_t)ldx * (precision == AKIN_BF16 ? sizeof *narrow : sizeof *x);
    ak_packed *packed;
    size_t size = ak_packed_size(out_dim, in_dim, precision);
    void *place = in_dim & 1 ? ak_alloc(size) : NULL; /* both ways */
    assert_int_equal(
        ak_packed_create(&packed, out_dim, in_dim, w, bias, activation, precision, place, NULL),
        AKIN_OK);
    for (int part = 0; part < 3; part++)
        ak_packed_run(packed, input, ldx, ROWS, y, out_dim, part, 3);
    ak_ref_gemm(precision, AK_PLAIN, AK_TRANSPOSED, ROWS, out_dim, in_dim, 1, x, ldx, w, in_dim, 0,
                z, out_dim);
    for (int64_t i = 0; i < ROWS * out_dim; i++)
        z[i] = (float)ak_ref_activate(activation, (double)z[i] + (double)bias[i % out_dim]);
    check_near(y, z, ROWS * out_dim, 2e-6 * sqrt((double)in_dim) + 2e-6);
    for (int64_t i = 0; i < ROWS; i++) { /* a row alone has the same bits */
        ak_packed_run(packed, (const char *)input + (size_t)i * row, ldx, 1, one, out_dim, 0, 1);
        assert_memory_equal(one, y + i * out_dim, (size_t)out_dim * sizeof *one);
    }
    ak_packed_free(packed);
    ak_free(place);
    ak_free(narrow);
    float *buffers[] = {w, bias, x, y, z, one};
    for (size_t i = 0; i < 6; i++)
        ak_free(buffers[i]);
}

static void test_packed(void **state)
{
    (void)state;
    static const int64_t dims[][2] = {{1, 1}, {5, 31}, {32, 384}, {33, 100}, {96, 65}, {70, 800}};
    for (size_t i = 0; i < 6; i++)
        for (int activation = AK_NO_ACTIVATION; activation <= AK_SIGMOID; activation++) {
            check_packed(AKIN_F32, dims[i][0], dims[i][1], (ak_activation)activation);
            check_packed(AKIN_BF16, dims[i][0], dims[i][1], (ak_activation)activation);
        }
}

static void test_packed_without_memory(void **state)
{
    (void)state;
    float *w = numbers(1, 64);
    for (int64_t n = 1; n <= 3; n++) {
        akin_error error;
        ak_packed *packed = (ak_packed *)w;
        ak_memory_fail_at(n);
        akin_status status =
            ak_packed_create(&packed, 8, 8, w, NULL, AK_RELU, AKIN_F32, NULL, &error);
        ak_memory_fail_at(0);
        assert_int_equal(status, AKIN_ERR_MEMORY);
        assert_null(packed);
    }
    ak_free(w);
}

static void check_attention(int64_t tokens, int64_t dim, bool biased)
{
    int64_t ld = 3 * dim + 5, ldo = dim + 3;
    float *qkv = numbers(1, tokens * ld), *y = numbers(2, tokens * ldo),
          *z = numbers(2, tokens * ldo);
    float *biases = numbers(3, 2 * tokens - 1), *bias = biased ? biases + tokens - 1 : NULL;
    float *scratch = ak_alloc((size_t)ak_attention_scratch(tokens, dim) * sizeof *scratch);
    float scale = 3 / sqrtf((float)dim);
    ak_attention(qkv, qkv + dim, qkv + 2 * dim, ld, tokens, dim, scale, bias, y, ldo, scratch);
    ak_ref_attention(qkv, qkv + dim, qkv + 2 * dim, ld, tokens, dim, scale, bias, z, ldo);
    check_near(y, z, tokens * ldo, 3e-6); /* the gaps between rows are untouched too */
    ak_free(qkv);
    ak_free(y);
    ak_free(z);
    ak_free(biases);
    ak_free(scratch);
}

static void test_attention(void **state)
{
    (void)state;
    static const int64_t dims[] = {1, 16, 32, 40, 64, 128};
    for (size_t d = 0; d < 6; d++)
        for (int64_t tokens = 1; tokens <= 520; tokens += tokens < 70 ? 1 : 149)
            check_attention(tokens, dims[d], tokens & 1);
    check_attention(1500, 32, false);
}

enum { QKV = 3, MOST_TOKENS = 140, MOST_DIM = 64 };

/* The forward pass that is trained, and its gradients; kinds: bit 0 positions, bit 1 dropout. */
static void check_attention_backward(int64_t tokens, int64_t dim, int kinds)
{
    static float dqkv[2][MOST_TOKENS * QKV * MOST_DIM], dposition[2][2 * MOST_TOKENS];
    static float out[MOST_TOKENS * MOST_DIM], lse[MOST_TOKENS];
    static uint64_t bits[MOST_TOKENS];
    int64_t ld = QKV * dim, size = ak_attention_scratch(tokens, dim);
    int64_t backward = ak_attention_backward_scratch(tokens, dim);
    float *qkv = numbers(1, tokens * ld), *dout = numbers(2, tokens * dim);
    float *positions = numbers(3, 2 * tokens - 1);
    float *scratch = ak_alloc((size_t)(size > backward ? size : backward) * sizeof *scratch);
    const ak_drop drop = {.bits = bits, .threshold = 1u << 30, .scale = 4.0f / 3};
    for (int64_t i = 0; i < tokens; i++)
        bits[i] = ak_random(9, 0, (uint64_t)i);
    ak_attention_gradient a = {.q = qkv,
                               .k = qkv + dim,
                               .v = qkv + 2 * dim,
                               .ld = ld,
                               .out = out,
                               .dout = dout,
                               .ldo = dim,
                               .lse = lse,
                               .tokens = tokens,
                               .head_dim = dim,
                               .scale = 2 / sqrtf((float)dim),
                               .position = kinds & 1 ? positions + tokens - 1 : NULL,
                               .drop = kinds & 2 ? &drop : NULL,
                               .ldg = ld};
    ak_attention_train(a.q, a.k, a.v, ld, tokens, dim, a.scale, a.position, a.drop, out, dim, lse,
                       scratch);
    memset(dposition, 0, sizeof dposition);
    for (int side = 0; side < 2; side++) {
        a.dq = dqkv[side];
        a.dk = a.dq + dim;
        a.dv = a.dk + dim;
        a.dposition = kinds & 1 ? dposition[side] + tokens - 1 : NULL;
        side ? ak_ref_attention_backward(&a) : ak_attention_backward(&a, scratch);
    }
    check_near(dqkv[0], dqkv[1], tokens * ld, 2e-5);
    check_near(dposition[0], dposition[1], 2 * tokens - 1, 2e-5);
    ak_free(qkv);
    ak_free(dout);
    ak_free(positions);
    ak_free(scratch);
}

static void test_attention_backward(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 2, 13, 14, 15, 31, 32, 33, 65, 140},
                         dims[] = {1, 20, 32, 64};
    for (int kinds = 0; kinds < 4; kinds++)
        for (int l = 0; l < 10; l++)
            for (int d = 0; d < 4; d++)
                check_attention_backward(lengths[l], dims[d], kinds);
}

static void test_layer_norm(void **state)
{
    (void)state;
    for (int64_t d = 1; d <= 400; d += d < 140 ? 1 : 61)
        for (int kind = 0; kind < 4; kind++) {
            float *x = numbers(1, 3 * d), *r = numbers(2, 3 * d), *g = numbers(3, d);
            float *s = numbers(4, d), *y = numbers(5, 3 * d), *z = numbers(6, 3 * d);
            const float *residual = kind & 1 ? r : NULL, *shift = kind & 2 ? s : NULL;
            ak_layer_norm(x, residual, g, shift, 1e-5f, 3, d, y);
            ak_ref_layer_norm(x, residual, g, shift, 1e-5f, 3, d, z);
            check_near(y, z, 3 * d, 1e-5);
            ak_layer_norm(x, residual, g, shift, 1e-5f, 3, d, residual ? r : x); /* in place */
            assert_memory_equal(residual ? r : x, y, (size_t)(3 * d) * sizeof *y);
            float *buffers[] = {x, r, g, s, y, z};
            for (size_t i = 0; i < 6; i++)
                ak_free(buffers[i]);
        }
}

static void test_softmax(void **state)
{
    (void)state;
    for (int64_t d = 1; d <= 300; d += d < 140 ? 1 : 61) {
        float *x = numbers(1, d), *y = numbers(2, d);
        for (int64_t i = 0; i < d; i++)
            x[i] = i % 7 == 3 ? -INFINITY : 200 * x[i];
        ak_ref_softmax_row(x, d, y);
        ak_softmax_rows(x, 1, d, d);
        check_near(x, y, d, 2e-6);
        ak_free(x);
        ak_free(y);
    }
}

static void test_reductions(void **state)
{
    (void)state;
    for (int64_t n = 0; n <= 300; n++) {
        float *x = numbers(1, n + 1), *y = numbers(2, n + 1);
        double sum = 0, square = 0, absolute = 0, largest = -INFINITY, exponentials = 0;
        for (int64_t i = 0; i < n; i++) {
            double difference = (double)x[i] - (double)y[i];
            sum += (double)x[i];
            square += difference * difference;
            absolute += fabs(difference);
            largest = fmax(largest, (double)x[i]);
            exponentials += exp((double)x[i]);
        }
        assert_float_equal(ak_dot(x, y, n), ak_ref_dot(x, y, n), 1e-5);
        assert_float_equal(ak_sum(x, n), sum, 1e-5);
        assert_float_equal(ak_squared_distance(x, y, n), square, 1e-4);
        assert_float_equal(ak_manhattan_distance(x, y, n), absolute, 1e-4);
        assert_true((double)ak_maximum(x, n) == largest);
        if (n > 0)
            assert_float_equal(ak_log_sum_exp(x, n), log(exponentials), 2e-6);
        ak_free(x);
        ak_free(y);
    }
    float infinite[] = {-INFINITY, -INFINITY}, big[] = {1e30f, 1e30f};
    assert_true(ak_log_sum_exp(infinite, 2) == -INFINITY && ak_log_sum_exp(big, 2) == 1e30f);
    assert_true(ak_log_sum_exp(NULL, 0) == -INFINITY);
}

static void test_exp(void **state)
{
    (void)state;
    enum { N = 200001 };
    float *x = numbers(1, N), *y = numbers(2, N);
    for (int64_t i = 0; i < N; i++)
        x[i] = -105 + 194.5f * (float)i / (N - 1);
    ak_exp(x, y, N);
    for (int64_t i = 0; i < N; i++) {
        double expected = exp((double)x[i]), tolerance = 3e-7 * expected + 1.5e-45;
        if (expected > 3.4028234e38)
            assert_true(y[i] == INFINITY || (double)y[i] > 3.4e38);
        else if (fabs((double)y[i] - expected) > tolerance)
            fail_msg("exp(%.9g) = %.9g", (double)x[i], (double)y[i]);
    }
    float extreme[] = {-INFINITY, INFINITY, NAN, 0, -0.0f, 1e30f, -1e30f};
    ak_exp(extreme, extreme, 7);
    assert_true(extreme[0] == 0 && extreme[1] == INFINITY && isnan(extreme[2]));
    assert_true(extreme[3] == 1 && extreme[4] == 1 && extreme[5] == INFINITY && extreme[6] == 0);
    ak_free(x);
    ak_free(y);
}

static void test_activations(void **state)
{
    (void)state;
    enum { N = 20011 };
    float *x = numbers(1, N), *y = numbers(2, N), *dy = numbers(3, N), *dx = numbers(4, N);
    for (int64_t i = 0; i < N; i++)
        x[i] *= 12;
    for (int kind = AK_NO_ACTIVATION; kind <= AK_SIGMOID; kind++) {
        ak_activation activation = (ak_activation)kind;
        ak_activate(activation, x, y, N);
        ak_activate_backward(activation, x, dy, dx, N);
        for (int64_t i = 0; i < N; i++) {
            double value = (double)x[i];
            assert_float_equal(y[i], ak_ref_activate(activation, value), 2e-6 + 4e-7 * fabs(value));
            assert_float_equal(dx[i], (double)dy[i] * ak_ref_activate_slope(activation, value),
                               1e-5);
        }
        float nan = NAN;
        ak_activate(activation, &nan, y, 1);
        assert_true(isnan(y[0]));
    }
    float *buffers[] = {x, y, dy, dx};
    for (size_t i = 0; i < 4; i++)
        ak_free(buffers[i]);
}

static void test_bf16(void **state)
{
    (void)state;
    float x[7] = {1, 1.00390625f, 1.01171875f, -3.3e38f, INFINITY, -0.0f, NAN}, y[7];
    uint16_t narrow[7];
    ak_bf16_from(x, narrow, 7);
    ak_bf16_to(narrow, y, 7);
    for (int i = 0; i < 6; i++)
        assert_true(y[i] == ak_ref_bf16(x[i]));
    assert_true(isnan(y[6]) && signbit(y[5]));
}

static void test_rows(void **state)
{
    (void)state;
    enum { N = 5, D = 67 };
    float *x = numbers(1, N * D), *y = numbers(2, N * D), mean[D], largest[D];
    memset(x + D, 0, D * sizeof *x);
    ak_normalize_rows(x, N, D, y);
    for (int i = 0; i < N; i++)
        assert_float_equal(ak_dot(y + i * D, y + i * D, D), i == 1 ? 0 : 1, 1e-6);
    ak_mean_rows(x, N, D, D, mean);
    ak_max_rows(x, N, D, D, largest);
    for (int j = 0; j < D; j++) {
        double sum = 0, most = -INFINITY;
        for (int i = 0; i < N; i++) {
            sum += (double)x[i * D + j];
            most = fmax(most, (double)x[i * D + j]);
        }
        assert_float_equal(mean[j], sum / N, 1e-6);
        assert_true((double)largest[j] == most);
    }
    int32_t ids[3] = {4, 0, 4}, places[3] = {2, 1, 0};
    float sum[3 * D];
    ak_embed_rows(x, ids, y, places, mean, 3, D, sum);
    for (int i = 0; i < 3 * D; i++) {
        float word = x[ids[i / D] * D + i % D], position = y[places[i / D] * D + i % D];
        assert_float_equal(sum[i], word + position + mean[i % D], 1e-6);
    }
    ak_embed_rows(x, ids, NULL, NULL, NULL, 3, D, sum);
    assert_memory_equal(sum + 2 * D, x + 4 * D, D * sizeof *x);
    ak_free(x);
    ak_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm_shapes), cmocka_unit_test(test_gemm_blocks),
        cmocka_unit_test(test_gemm_bits),   cmocka_unit_test(test_portable_tiles),
        cmocka_unit_test(test_packed),      cmocka_unit_test(test_packed_without_memory),
        cmocka_unit_test(test_attention),   cmocka_unit_test(test_attention_backward),
        cmocka_unit_test(test_layer_norm),  cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_reductions),  cmocka_unit_test(test_exp),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
