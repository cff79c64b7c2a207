/* Pooling: the rows of a text become one vector, as in sentence-transformers; and its gradient. The
   first rows, a prompt's, may be left out. */
#include "model/bert_internal.h"

#include <math.h>
#include <string.h>

/* x: the n rows that take part, of which `before` more stand in front. */
static void pool_weighted(const float *x, int64_t before, int64_t n, int64_t d, float *y)
{
    float total = 0; /* weights are 1 for the text's first token, 2 for the second, ... */
    memset(y, 0, (size_t)d * sizeof *y);
    for (int64_t i = 0; i < n; i++) {
        ak_add_scaled((float)(before + i + 1), x + i * d, y, d);
        total += (float)(before + i + 1);
    }
    ak_scale(1 / total, y, d);
}

static void pool_one(ak_pooling kind, const float *x, int64_t before, int64_t n, int64_t d,
                     float *y)
{
    switch (kind) {
    case AK_POOLING_CLS: /* also when the prompt is left out: as sentence-transformers */
        memcpy(y, x - before * d, (size_t)d * sizeof *y);
        break;
    case AK_POOLING_MAX:
        ak_max_rows(x, n, d, d, y);
        break;
    case AK_POOLING_MEAN:
        ak_mean_rows(x, n, d, d, y);
        break;
    case AK_POOLING_MEAN_SQRT_LENGTH:
        ak_mean_rows(x, n, d, d, y);
        ak_scale(sqrtf((float)n), y, d);
        break;
    case AK_POOLING_WEIGHTED_MEAN:
        pool_weighted(x, before, n, d, y);
        break;
    case AK_POOLING_LAST_TOKEN:
        memcpy(y, x + (n - 1) * d, (size_t)d * sizeof *y);
        break;
    }
}

void ak_bert_pool(int kinds, const float *x, int64_t n, int64_t skip, int64_t d, float *y)
{
    for (int kind = AK_POOLING_CLS; kind <= AK_POOLING_LAST_TOKEN; kind <<= 1)
        if (kinds & kind) {
            pool_one((ak_pooling)kind, x + skip * d, skip, n - skip, d, y);
            y += d;
        }
}

/* The first largest of each column takes its gradient. */
static void spread_maximum(const float *x, const float *dy, int64_t n, int64_t d, float *dx)
{
    for (int64_t j = 0; j < d; j++) {
        int64_t best = 0;
        for (int64_t i = 1; i < n; i++)
            if (x[i * d + j] > x[best * d + j])
                best = i;
        dx[best * d + j] += dy[j];
    }
}

static void spread_one(ak_pooling kind, const float *x, const float *dy, int64_t before, int64_t n,
                       int64_t d, float *dx)
{
    float total = (float)(n * before) + (float)(n * (n + 1)) / 2;
    switch (kind) {
    case AK_POOLING_CLS:
        ak_add_scaled(1, dy, dx - before * d, d);
        break;
    case AK_POOLING_MAX:
        spread_maximum(x, dy, n, d, dx);
        break;
    case AK_POOLING_MEAN:
        for (int64_t i = 0; i < n; i++)
            ak_add_scaled(1 / (float)n, dy, dx + i * d, d);
        break;
    case AK_POOLING_MEAN_SQRT_LENGTH:
        for (int64_t i = 0; i < n; i++)
            ak_add_scaled(1 / sqrtf((float)n), dy, dx + i * d, d);
        break;
    case AK_POOLING_WEIGHTED_MEAN:
        for (int64_t i = 0; i < n; i++)
            ak_add_scaled((float)(before + i + 1) / total, dy, dx + i * d, d);
        break;
    case AK_POOLING_LAST_TOKEN:
        ak_add_scaled(1, dy, dx + (n - 1) * d, d);
        break;
    }
}

void ak_bert_pool_backward(int kinds, const float *x, const float *dy, int64_t n, int64_t skip,
                           int64_t d, float *dx)
{
    memset(dx, 0, (size_t)(n * d) * sizeof *dx);
    for (int kind = AK_POOLING_CLS; kind <= AK_POOLING_LAST_TOKEN; kind <<= 1)
        if (kinds & kind) {
            spread_one((ak_pooling)kind, x + skip * d, dy, skip, n - skip, d, dx + skip * d);
            dy += d;
        }
}
