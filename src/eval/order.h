/* Sorting similarities. */
#ifndef AK_EVAL_ORDER_H
#define AK_EVAL_ORDER_H

#include "eval/eval.h"

/* order[0 .. n): the numbers of the values, by falling value, equal ones by number. n < 2^32. */
akin_status ak_order_falling(uint32_t **order, const float *values, int64_t n, akin_arena *arena,
                             akin_error *error);
bool ak_any_nan(const float *values, int64_t n);

#endif
