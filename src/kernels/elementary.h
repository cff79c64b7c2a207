/* Elementary functions of one float, written without branches so that loops over them vectorise.
   Errors are of the whole float32 range and checked in tests/test_kernels.c. */
#ifndef AK_KERNELS_ELEMENTARY_H
#define AK_KERNELS_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

#define AK_ELEMENTARY static inline __attribute__((always_inline)) float

AK_ELEMENTARY ak_clamp(float x, float low, float high) /* NaN stays NaN */
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

AK_ELEMENTARY ak_power_of_two(int32_t exponent) /* -126 .. 127 */
{
    uint32_t bits = (uint32_t)(exponent + 127) << 23; /* garbage for NaN, which stays NaN */
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* exp(x) = 2^n exp(r), |r| <= ln 2 / 2; polynomial of Cephes' expf (Moshier), within 2 ulp.
   2^n goes in by halves, so that the result may be subnormal, and overflows to infinity.
   n is rounded by adding 1.5 * 2^23; -ffast-math would remove that. */
AK_ELEMENTARY ak_elementary_exp(float x)
{
    const float magic = 12582912.0f;
    x = ak_clamp(x, -104.5f, 89.5f);
    float shifted = x * 1.44269504f + magic;
    float n = shifted - magic;
    int32_t bits, magic_bits;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&magic_bits, &magic, sizeof magic_bits);
    int32_t exponent = (int32_t)((uint32_t)bits - (uint32_t)magic_bits), half = exponent >> 1;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * ak_power_of_two(half) * ak_power_of_two(exponent - half);
}

/* exp of the distance x <= 0 to the largest score. What is below 2e-35 counts as 0: a subnormal
   weight changes nothing but takes a hundred cycles in every product it enters. */
AK_ELEMENTARY ak_elementary_weight(float x)
{
    float weight = ak_elementary_exp(x < -80.0f ? -80.0f : x);
    return x < -80.0f ? 0.0f : weight;
}

/* Rational approximations as in Eigen; erf is 1 beyond 4, tanh beyond 7.9, in float32. */
AK_ELEMENTARY ak_elementary_erf(float x)
{
    x = ak_clamp(x, -4.0f, 4.0f);
    float s = x * x;
    float p = -2.72614225801306e-10f;
    p = p * s + 2.77068142495902e-08f;
    p = p * s - 2.10102402082508e-06f;
    p = p * s - 5.69250639462346e-05f;
    p = p * s - 7.34990630326855e-04f;
    p = p * s - 2.95459980854025e-03f;
    p = p * s - 1.60960333262415e-02f;
    float q = -1.45660718464996e-05f;
    q = q * s - 2.13374055278905e-04f;
    q = q * s - 1.68282697438203e-03f;
    q = q * s - 7.37332916720468e-03f;
    q = q * s - 1.42647390514189e-02f;
    return x * p / q;
}

AK_ELEMENTARY ak_elementary_tanh(float x)
{
    x = ak_clamp(x, -7.90531110763549805f, 7.90531110763549805f);
    float s = x * x;
    float p = -2.76076847742355e-16f;
    p = p * s + 2.00018790482477e-13f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

AK_ELEMENTARY ak_elementary_sigmoid(float x)
{
    return 1.0f / (1.0f + ak_elementary_exp(-x));
}

AK_ELEMENTARY ak_elementary_gelu(float x)
{
    return 0.5f * x * (1.0f + ak_elementary_erf(x * 0.70710678f));
}

AK_ELEMENTARY ak_gelu_tanh_argument(float x)
{
    return 0.79788456f * (x + 0.044715f * x * x * x);
}

AK_ELEMENTARY ak_elementary_gelu_tanh(float x)
{
    return 0.5f * x * (1.0f + ak_elementary_tanh(ak_gelu_tanh_argument(x)));
}

#endif
