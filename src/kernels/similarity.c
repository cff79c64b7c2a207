#include "kernels/similarity.h"

#include <math.h>
#include <string.h>

typedef float v8 __attribute__((vector_size(32), aligned(4)));
typedef double v8d __attribute__((vector_size(64)));

#define WIDEN(x) __builtin_convertvector(*(const v8 *)(x), v8d)

/* Lane l of 32 sums the elements l, l + 32, ...; then a tree. */
AK_KERNEL static double dot(const float *x, const float *y, int64_t n)
{
    v8d sum[4] = {0};
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int g = 0; g < 4; g++)
            sum[g] += WIDEN(x + i + 8 * g) * WIDEN(y + i + 8 * g);
    if (i < n) {
        float tail[2][32] = {0};
        memcpy(tail[0], x + i, (size_t)(n - i) * sizeof *x);
        memcpy(tail[1], y + i, (size_t)(n - i) * sizeof *y);
        for (int g = 0; g < 4; g++)
            sum[g] += WIDEN(tail[0] + 8 * g) * WIDEN(tail[1] + 8 * g);
    }
    v8d all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    return ((all[0] + all[4]) + (all[2] + all[6])) + ((all[1] + all[5]) + (all[3] + all[7]));
}

float ak_similarity(const float *x, const float *y, int64_t dim)
{
    return (float)dot(x, y, dim);
}

AK_KERNEL static void scale_row(const float *x, int64_t n, double factor, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(x[i] * factor);
}

void ak_unit_rows(const float *x, int64_t rows, int64_t dim, int64_t stride, float *y)
{
    for (int64_t i = 0; i < rows; i++, x += stride, y += dim) {
        double square = dot(x, x, dim);
        scale_row(x, dim, square > 0 ? 1 / sqrt(square) : square == 0 ? 0 : NAN, y);
    }
}

/* |error| <= n u / (1 - n u) sum |x_p y_p| for any order of n products and sums with unit roundoff
   u (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), and the sum is at
   most |x| |y|. The 8 pays for the rounding of ak_similarity itself, of its float64 sum and of the
   norms; the last term for products below the smallest normal number. */
double ak_similarity_slack(const float *x, int64_t dim, double norm)
{
    double n = (double)(dim + 8) * 0x1p-24;
    if (n >= 0.5)
        return INFINITY;
    return n / (1 - n) * sqrt(dot(x, x, dim)) * norm * 1.001 + (double)dim * 0x1p-148;
}
