/* Principal component analysis by subspace iteration (Golub and Van Loan, Matrix Computations, 4th
   ed., 8.2.4, with Rayleigh-Ritz as in 8.2.5): the covariance C = X'X / n of centred rows is never
   formed, only Y = X'(X Q) / n for a block Q of a few directions, in float64. The directions of
   largest variance are the eigenvectors of the small Q'CQ, turned back. */
#include "eval/pca.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 8, MOST_ROUNDS = 300 };

typedef struct pca {
    int64_t n, d;
    int block;     /* directions that are followed: up to BLOCK */
    double *x;     /* n x d, centred */
    double *q, *y; /* block x d: directions, and C times them */
    double *along; /* n: coordinates along one direction */
} pca;

static akin_status centre(pca *p, akin_matrix x, akin_arena *arena, akin_error *error)
{
    p->n = x.rows;
    p->d = x.columns;
    p->block = (int)(x.columns < BLOCK ? x.columns : BLOCK);
    p->x = ak_arena_new(arena, double, p->n * p->d);
    p->q = ak_arena_new(arena, double, p->block * p->d);
    p->y = ak_arena_new(arena, double, p->block * p->d);
    p->along = ak_arena_new(arena, double, p->n);
    if (!p->x || !p->q || !p->y || !p->along)
        return ak_fail_memory(error);
    for (int64_t c = 0; c < p->d; c++) {
        double mean = 0;
        for (int64_t i = 0; i < p->n; i++)
            mean += (double)x.data[i * x.stride + c];
        mean /= (double)p->n;
        for (int64_t i = 0; i < p->n; i++)
            p->x[i * p->d + c] = (double)x.data[i * x.stride + c] - mean;
    }
    return AKIN_OK;
}

/* Coordinates of all rows along one direction. */
static void project(const pca *p, const double *direction, double *along)
{
    for (int64_t i = 0; i < p->n; i++)
        along[i] = ak_dot_double(p->x + i * p->d, direction, p->d);
}

/* y = C q, direction by direction. */
static void multiply(const pca *p)
{
    memset(p->y, 0, (size_t)(p->block * p->d) * sizeof *p->y);
    for (int b = 0; b < p->block; b++) {
        double *y = p->y + b * p->d;
        project(p, p->q + b * p->d, p->along);
        for (int64_t i = 0; i < p->n; i++)
            for (int64_t c = 0; c < p->d; c++)
                y[c] += p->along[i] * p->x[i * p->d + c];
        for (int64_t c = 0; c < p->d; c++)
            y[c] /= (double)p->n;
    }
}

/* Gram-Schmidt, twice over, since once loses digits. What depends on the others becomes 0. */
static void orthonormalise(const pca *p, double *rows)
{
    for (int b = 0; b < p->block; b++) {
        double *row = rows + b * p->d, before = sqrt(ak_dot_double(row, row, p->d));
        for (int twice = 0; twice < 2; twice++)
            for (int other = 0; other < b; other++) {
                double share = ak_dot_double(row, rows + other * p->d, p->d);
                for (int64_t c = 0; c < p->d; c++)
                    row[c] -= share * rows[other * p->d + c];
            }
        double norm = sqrt(ak_dot_double(row, row, p->d));
        double factor = norm > 1e-12 * before && norm > DBL_MIN ? 1 / norm : 0;
        for (int64_t c = 0; c < p->d; c++)
            row[c] *= factor;
    }
}

/* Rayleigh-Ritz: from q and y = Cq the two best directions that q spans, with their variances. */
static void best_directions(const pca *p, double *directions, double variances[2])
{
    double small[BLOCK * BLOCK], values[BLOCK] = {0}, v[BLOCK * BLOCK], scratch[4 * BLOCK];
    for (int i = 0; i < p->block; i++)
        for (int j = 0; j < p->block; j++)
            small[i * p->block + j] = ak_dot_double(p->q + i * p->d, p->y + j * p->d, p->d);
    ak_eigen(small, p->block, values, v, scratch);
    memset(directions, 0, (size_t)(2 * p->d) * sizeof *directions);
    for (int k = 0; k < 2; k++) {
        variances[k] = values[k];
        for (int b = 0; b < p->block && k < p->block; b++)
            for (int64_t c = 0; c < p->d; c++)
                directions[k * p->d + c] += v[k * p->block + b] * p->q[b * p->d + c];
    }
}

static void find_directions(const pca *p, double *directions, double variances[2])
{
    double last[2] = {-1, -1};
    for (int b = 0; b < p->block; b++)
        for (int64_t c = 0; c < p->d; c++)
            p->q[b * p->d + c] = ak_random_normal(1, (uint64_t)b, (uint64_t)c);
    orthonormalise(p, p->q);
    for (int round = 0; round < MOST_ROUNDS; round++) {
        multiply(p);
        best_directions(p, directions, variances);
        double change = fabs(variances[0] - last[0]) + fabs(variances[1] - last[1]);
        if (change <= 1e-12 * variances[0])
            return;
        last[0] = variances[0];
        last[1] = variances[1];
        memcpy(p->q, p->y, (size_t)(p->block * p->d) * sizeof *p->q);
        orthonormalise(p, p->q);
    }
}

akin_status ak_pca(float *points, double shares[2], akin_matrix x, akin_arena *arena,
                   akin_error *error)
{
    pca p;
    double variances[2];
    memset(points, 0, (size_t)(2 * x.rows) * sizeof *points);
    shares[0] = shares[1] = 0;
    if (!x.rows || !x.columns)
        return AKIN_OK;
    AK_TRY(centre(&p, x, arena, error));
    double *directions = ak_arena_new(arena, double, 2 * p.d);
    if (!directions)
        return ak_fail_memory(error);
    double total = ak_dot_double(p.x, p.x, p.n * p.d) / (double)p.n;
    if (!(total > 0))
        return AKIN_OK;
    find_directions(&p, directions, variances);
    for (int k = 0; k < 2; k++) {
        double sign = ak_axis_sign(directions + k * p.d, p.d);
        shares[k] = fmax(0, variances[k] / total);
        project(&p, directions + k * p.d, p.along);
        for (int64_t i = 0; i < p.n; i++)
            points[2 * i + k] = (float)(sign * p.along[i]);
    }
    return AKIN_OK;
}
