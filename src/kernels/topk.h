/* Exact nearest rows. */
#ifndef AK_KERNELS_TOPK_H
#define AK_KERNELS_TOPK_H

#include "kernels/kernels.h"

/* hits[i * k + r]: the r-th row of base (n x dim) by falling ak_similarity with query i (q x dim),
   equal ones by number, NaN after every number; {-1, 0} from r = n on. `norm` bounds the Euclidean
   norms of base's rows: 1 for unit rows. The bits depend on nothing but the query and base.
   Runs on all threads of OpenMP. Fails only for want of memory, which is of the order of
   threads x min(q, 256) x k. */
akin_status ak_topk(akin_hit *hits, const float *queries, int64_t q, const float *base, int64_t n,
                    int64_t dim, int64_t k, double norm, akin_error *error);

/* The order of hits: -1 if a comes before b, 1 if after, 0 if they are the same hit. */
int ak_hit_compare(akin_hit a, akin_hit b);

#endif
