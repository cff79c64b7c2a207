/* See ref.h. */
#include "kernels/ref.h"

#include "kernels/drop.h"

#include <math.h>
#include <string.h>

float ak_ref_bf16(float x)
{
    if (isnan(x))
        return x;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t below = bits & 0xffff, kept = bits >> 16;
    if (below > 0x8000 || (below == 0x8000 && (kept & 1)))
        kept++;
    bits = kept << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double element(const float *x, int64_t ld, ak_transpose t, int64_t i, int64_t j,
                      akin_precision precision)
{
    float value = t == AK_PLAIN ? x[i * ld + j] : x[j * ld + i];
    return (double)(precision == AKIN_BF16 ? ak_ref_bf16(value) : value);
}

void ak_ref_gemm(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m, int64_t n,
                 int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                 float beta, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++)
                sum += element(a, lda, ta, i, p, precision) * element(b, ldb, tb, p, j, precision);
            double before = beta == 0 ? 0 : (double)beta * (double)c[i * ldc + j];
            c[i * ldc + j] = (float)((double)alpha * sum + before);
        }
}

void ak_ref_attention(const float *q, const float *k, const float *v, int64_t ld, int64_t tokens,
                      int64_t head_dim, float scale, const float *position, float *out, int64_t ldo)
{
    for (int64_t i = 0; i < tokens; i++) {
        double largest = -INFINITY, sum = 0;
        double value[256] = {0}; /* head_dim is at most that */
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0; j < tokens; j++) {
                double score = (double)scale * ak_ref_dot(q + i * ld, k + j * ld, head_dim);
                score += position ? (double)position[j - i] : 0;
                if (pass == 0) {
                    largest = score > largest ? score : largest;
                    continue;
                }
                double weight = exp(score - largest);
                sum += weight;
                for (int64_t c = 0; c < head_dim; c++)
                    value[c] += weight * (double)v[j * ld + c];
            }
        for (int64_t c = 0; c < head_dim; c++)
            out[i * ldo + c] = (float)(value[c] / sum);
    }
}

static double score(const ak_attention_gradient *a, int64_t i, int64_t j)
{
    double product = ak_ref_dot(a->q + i * a->ld, a->k + j * a->ld, a->head_dim);
    return (double)a->scale * product + (a->position ? (double)a->position[j - i] : 0);
}

/* What dropout multiplies the weight of query i and key j by. */
static double kept(const ak_drop *drop, int64_t i, int64_t j)
{
    if (!drop)
        return 1;
    uint32_t hash = ak_drop_hash((uint32_t)j, (uint32_t)drop->bits[i], drop->bits[i] >> 32);
    return hash >= drop->threshold ? (double)drop->scale : 0;
}

/* The gradients that query i and key j share; weight: theirs, delta: see attention_backward.c. */
static void add_gradients(const ak_attention_gradient *a, int64_t i, int64_t j, double weight,
                          double delta)
{
    const float *dout = a->dout + i * a->ldo, *q = a->q + i * a->ld, *k = a->k + j * a->ld;
    double keep = kept(a->drop, i, j);
    double slope = weight * (keep * ak_ref_dot(dout, a->v + j * a->ld, a->head_dim) - delta);
    for (int64_t c = 0; c < a->head_dim; c++) {
        a->dv[j * a->ldg + c] += (float)(weight * keep * (double)dout[c]);
        a->dq[i * a->ldg + c] += (float)(slope * (double)a->scale * (double)k[c]);
        a->dk[j * a->ldg + c] += (float)(slope * (double)a->scale * (double)q[c]);
    }
    if (a->dposition)
        a->dposition[j - i] += (float)slope;
}

void ak_ref_attention_backward(const ak_attention_gradient *a)
{
    for (int64_t i = 0; i < a->tokens; i++)
        for (int64_t c = 0; c < a->head_dim; c++)
            a->dq[i * a->ldg + c] = a->dk[i * a->ldg + c] = a->dv[i * a->ldg + c] = 0;
    for (int64_t i = 0; i < a->tokens; i++) {
        double largest = -INFINITY, sum = 0, delta = 0;
        for (int64_t j = 0; j < a->tokens; j++)
            largest = fmax(largest, score(a, i, j));
        for (int64_t j = 0; j < a->tokens; j++)
            sum += exp(score(a, i, j) - largest);
        for (int64_t j = 0; j < a->tokens; j++)
            delta += exp(score(a, i, j) - largest) / sum * kept(a->drop, i, j) *
                     ak_ref_dot(a->dout + i * a->ldo, a->v + j * a->ld, a->head_dim);
        for (int64_t j = 0; j < a->tokens; j++)
            add_gradients(a, i, j, exp(score(a, i, j) - largest) / sum, delta);
    }
}

void ak_ref_layer_norm(const float *x, const float *residual, const float *gain, const float *shift,
                       float eps, int64_t n, int64_t d, float *y)
{
    for (int64_t i = 0; i < n; i++, x += d, y += d) {
        double mean = 0, variance = 0;
        for (int64_t j = 0; j < d; j++)
            mean += ((double)x[j] + (residual ? (double)residual[i * d + j] : 0)) / (double)d;
        for (int64_t j = 0; j < d; j++) {
            double centred = (double)x[j] + (residual ? (double)residual[i * d + j] : 0) - mean;
            variance += centred * centred / (double)d;
        }
        for (int64_t j = 0; j < d; j++) {
            double centred = (double)x[j] + (residual ? (double)residual[i * d + j] : 0) - mean;
            y[j] = (float)(centred / sqrt(variance + (double)eps) * (double)gain[j] +
                           (shift ? (double)shift[j] : 0));
        }
    }
}

void ak_ref_softmax_row(const float *x, int64_t d, float *y)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < d; j++)
        largest = (double)x[j] > largest ? (double)x[j] : largest;
    for (int64_t j = 0; j < d; j++)
        sum += exp((double)x[j] - largest);
    for (int64_t j = 0; j < d; j++)
        y[j] = (float)(exp((double)x[j] - largest) / sum);
}

double ak_ref_dot(const float *x, const float *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

double ak_ref_activate(ak_activation activation, double x)
{
    switch (activation) {
    case AK_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case AK_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case AK_RELU:
        return x > 0 ? x : 0;
    case AK_SILU:
        return x / (1 + exp(-x));
    case AK_TANH:
        return tanh(x);
    case AK_SIGMOID:
        return 1 / (1 + exp(-x));
    case AK_NO_ACTIVATION:
        break;
    }
    return x;
}

double ak_ref_activate_slope(ak_activation activation, double x)
{
    if (activation == AK_RELU)
        return x > 0 ? 1 : 0;
    double h = 1e-5 * (1 + fabs(x));
    return (ak_ref_activate(activation, x + h) - ak_ref_activate(activation, x - h)) / (2 * h);
}
