/* Eigenvalues and eigenvectors of a symmetric matrix, in float64: Householder's reduction to three
   diagonals, then implicit QR steps with Wilkinson's shift (Golub and Van Loan, Matrix
   Computations, 4th ed., algorithms 8.3.1 to 8.3.3). Only rows are walked along: reflections and
   rotations are applied to the rows of the matrix and of the transposed eigenvectors. */
#include "nn/nn.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LANES = 8, PARALLEL = 512, STRIP = 32, MOST_SWEEPS = 60 };

/* Eight sums side by side, in a fixed order, so that the loop becomes vectors. */
AK_KERNEL double ak_dot_double(const double *a, const double *b, int64_t n)
{
    double sums[LANES] = {0}, total = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            sums[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        total += a[i] * b[i];
    for (int l = 0; l < LANES; l++)
        total += sums[l];
    return total;
}

/* y -= alpha v + beta w */
AK_KERNEL static void subtract_two(double *y, double alpha, const double *v, double beta,
                                   const double *w, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] -= alpha * v[i] + beta * w[i];
}

/* ---- to three diagonals ---- */

/* The Householder vector of x, in place: (1 - factor v v') x = (*length, 0, ..., 0). */
static double reflector(double *x, int64_t n, double *length)
{
    double tail = ak_dot_double(x + 1, x + 1, n - 1), norm = sqrt(x[0] * x[0] + tail);
    *length = x[0] > 0 ? -norm : norm;
    if (!(tail > 0)) {
        *length = x[0];
        return 0;
    }
    x[0] -= *length;
    return 2 / (x[0] * x[0] + tail);
}

/* The rest of the matrix, m rows of it from `rest` on, seen from both sides of the reflection. */
static void reflect(double *rest, int64_t stride, int64_t m, const double *v, double factor,
                    double *w)
{
#pragma omp parallel for schedule(static) if (m > PARALLEL)
    for (int64_t i = 0; i < m; i++)
        w[i] = factor * ak_dot_double(rest + i * stride, v, m);
    double half = factor * ak_dot_double(w, v, m) / 2;
    for (int64_t i = 0; i < m; i++)
        w[i] -= half * v[i];
#pragma omp parallel for schedule(static) if (m > PARALLEL)
    for (int64_t i = 0; i < m; i++)
        subtract_two(rest + i * stride, v[i], w, w[i], v, m);
}

/* diagonal[k], beside[k] = T(k, k + 1). Row k of a keeps the k-th reflection, from column k + 1 on.
 */
static void reduce(double *a, int64_t n, double *diagonal, double *beside, double *factors,
                   double *w)
{
    for (int64_t k = 0; k + 1 < n; k++) {
        double *v = a + k * n + k + 1;
        diagonal[k] = a[k * n + k];
        factors[k] = reflector(v, n - k - 1, &beside[k]);
        if (factors[k] > 0)
            reflect(a + (k + 1) * n + k + 1, n, n - k - 1, v, factors[k], w);
    }
    diagonal[n - 1] = a[n * n - 1];
}

/* ---- to one ---- */

/* One QR step on rows low .. high of the three diagonals; cosines and sines of its rotations. */
static void step(double *diagonal, double *beside, int64_t low, int64_t high, double *rotations)
{
    double last = beside[high - 1], delta = (diagonal[high - 1] - diagonal[high]) / 2;
    double x = diagonal[low] - diagonal[high] +
               last * (last / (delta + copysign(hypot(delta, last), delta)));
    double z = beside[low];
    for (int64_t k = low; k < high; k++) {
        double r = hypot(x, z), c = r > 0 ? x / r : 1, s = r > 0 ? z / r : 0;
        double first = diagonal[k], second = diagonal[k + 1], off = beside[k];
        if (k > low)
            beside[k - 1] = r;
        diagonal[k] = c * c * first + 2 * c * s * off + s * s * second;
        diagonal[k + 1] = s * s * first - 2 * c * s * off + c * c * second;
        beside[k] = c * s * (second - first) + (c * c - s * s) * off;
        rotations[2 * k] = c;
        rotations[2 * k + 1] = s;
        if (k + 1 < high) {
            x = beside[k];
            z = s * beside[k + 1];
            beside[k + 1] *= c;
        }
    }
}

AK_KERNEL static void rotate(double *a, double *b, double c, double s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double x = a[i], y = b[i];
        a[i] = c * x + s * y;
        b[i] = c * y - s * x;
    }
}

/* All rotations of a step, strip by strip of columns, which stay in the cache. */
static void rotate_rows(double *z, int64_t n, int64_t low, int64_t high, const double *rotations)
{
#pragma omp parallel for schedule(static) if (n > PARALLEL)
    for (int64_t column = 0; column < n; column += STRIP) {
        int64_t width = n - column < STRIP ? n - column : STRIP;
        for (int64_t k = low; k < high; k++)
            rotate(z + k * n + column, z + (k + 1) * n + column, rotations[2 * k],
                   rotations[2 * k + 1], width);
    }
}

static void solve(double *z, int64_t n, double *diagonal, double *beside, double *rotations)
{
    int64_t high = n - 1;
    for (int64_t left = MOST_SWEEPS * n; high > 0 && left > 0; left--) {
        int64_t low;
        for (int64_t k = 0; k < high; k++)
            if (fabs(beside[k]) <= DBL_EPSILON * (fabs(diagonal[k]) + fabs(diagonal[k + 1])))
                beside[k] = 0;
        while (high > 0 && beside[high - 1] == 0)
            high--;
        for (low = high; low > 0 && beside[low - 1] != 0; low--)
            continue;
        if (low == high)
            continue;
        step(diagonal, beside, low, high, rotations);
        rotate_rows(z, n, low, high, rotations);
    }
}

/* Eigenvectors of the three diagonals become those of the matrix. */
static void turn_back(double *z, const double *a, int64_t n, const double *factors)
{
#pragma omp parallel for schedule(static) if (n > PARALLEL)
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = n - 2; k >= 0; k--) {
            const double *v = a + k * n + k + 1;
            double *row = z + i * n + k + 1, share;
            if (!(factors[k] > 0))
                continue;
            share = factors[k] * ak_dot_double(row, v, n - k - 1);
            subtract_two(row, share, v, 0, v, n - k - 1);
        }
}

/* The largest first. */
static void order(double *z, int64_t n, double *values, double *row)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t j = i + 1; j < n; j++)
            best = values[j] > values[best] ? j : best;
        if (best == i)
            continue;
        double value = values[i];
        values[i] = values[best];
        values[best] = value;
        memcpy(row, z + i * n, (size_t)n * sizeof *row);
        memcpy(z + i * n, z + best * n, (size_t)n * sizeof *row);
        memcpy(z + best * n, row, (size_t)n * sizeof *row);
    }
}

void ak_eigen(double *a, int64_t n, double *values, double *vectors, double *scratch)
{
    double *beside = scratch, *factors = scratch + n, *rest = scratch + 2 * n;
    memset(scratch, 0, (size_t)(4 * n) * sizeof *scratch);
    memset(vectors, 0, (size_t)(n * n) * sizeof *vectors);
    for (int64_t i = 0; i < n; i++)
        vectors[i * n + i] = 1;
    reduce(a, n, values, beside, factors, rest);
    solve(vectors, n, values, beside, rest);
    turn_back(vectors, a, n, factors);
    order(vectors, n, values, rest);
}
