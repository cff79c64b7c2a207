/* Products of a batch with a memory (akin_memory): see xbm.c. */
#ifndef AK_LOSS_MEMORY_H
#define AK_LOSS_MEMORY_H

#include "loss/space.h"

/* s: the cosines of row i and every row of the memory, to be replaced by d value / d s where a
   gradient is wanted. Runs on several threads. */
typedef void ak_memory_row_function(void *user, int64_t i, float *s);

/* Calls `function` for the first `rows` rows of a cosine space and writes factor * ds * units into
   the rows of drows (data NULL: not wanted). No more than a block of rows of s is ever held. */
akin_status ak_memory_products(const ak_space *space, int64_t rows, const akin_memory *memory,
                               ak_memory_row_function *function, void *user, float factor,
                               akin_matrix drows, akin_error *error);

#endif
