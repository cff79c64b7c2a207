/* What every loss needs. */
#ifndef AK_LOSS_TOOLS_H
#define AK_LOSS_TOOLS_H

#include "loss/space.h"

/* A batch that has nothing to say (value 0), or whose embeddings are not finite (value NaN, which
   stops the training): writes a gradient of 0. */
akin_status ak_loss_nothing(const ak_space *space, akin_matrix dx, double *value);

/* n x n with rows that do not lie a power of two apart, where adding the transposed matrix would
   find all of a column in the same few lines of the cache. data NULL when out of memory. */
akin_matrix ak_square_new(akin_arena *arena, int64_t n);

/* Rows by number: those of number g are list[start[g] .. start[g + 1]), ascending. Rows of a number
   outside 0 .. numbers - 1 are in no list. */
typedef struct ak_members {
    int64_t *start;
    int32_t *list;
} ak_members;

akin_status ak_list_members(ak_members *out, const int32_t *number, int64_t rows, int64_t numbers,
                            akin_arena *arena, akin_error *error);

/* y = x * scale - shift; in place is allowed. */
void ak_scale_shift(const float *x, float scale, float shift, float *y, int64_t n);
float ak_minimum(const float *x, int64_t n); /* inf when n is 0 */

#define AK_LOSS_FLOAT_OPTION(type_, member, default_, minimum_, maximum_, help_)                   \
    {                                                                                              \
        .name = #member, .type = AKIN_OPTION_FLOAT, .offset = offsetof(type_, member),             \
        .default_text = default_, .help = help_, .minimum = minimum_, .maximum = maximum_          \
    }

#define AK_LOSS_DISTANCE_OPTION(type_, member)                                                     \
    {                                                                                              \
        .name = "distance", .type = AKIN_OPTION_CHOICE, .offset = offsetof(type_, member),         \
        .default_text = "cosine", .choices = AK_DISTANCE_CHOICES, .help = "what near means"        \
    }

#endif
