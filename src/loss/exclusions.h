/* Exclusions: which rows of a batch are no negatives of which, as sparse lists. Equal contents are
   never negatives of each other, nor are known positives (pairs of score > .5 anywhere in the
   training set). Content numbers are those of the whole training set, far more than the batch has:
   a hash of the batch's contents finds them in O(rows + known positives of the batch's contents).
 */
#ifndef AK_LOSS_EXCLUSIONS_H
#define AK_LOSS_EXCLUSIONS_H

#include "base/base.h"

/* Numbers of the batch: equal values share a chain. */
typedef struct ak_value_index {
    const int64_t *values; /* count */
    int64_t count;
    int64_t slots; /* a power of two */
    int32_t *head; /* slots: the first position that holds the slot's value, -1 if none */
    int32_t *next; /* count: the next position with the same value, -1 at the end */
} ak_value_index;

akin_status ak_value_index_build(ak_value_index *index, const int64_t *values, int64_t count,
                                 akin_arena *arena, akin_error *error);
/* The first (lowest) position that holds `value`, -1 if none does. */
int32_t ak_value_index_find(const ak_value_index *index, int64_t value);

/* numbers[i]: the first position whose value is values[i]'s; small equal numbers for equal values.
 */
akin_status ak_renumber(int32_t *numbers, const int64_t *values, int64_t count, akin_arena *arena,
                        akin_error *error);

typedef struct ak_exclusions {
    int64_t *start;   /* rows + 1 */
    int32_t *columns; /* of row i: columns[start[i] .. start[i + 1]), each once, in no order */
} ak_exclusions;

/* Rows and columns are the batch's `count` objects: row i excludes the objects of its own content
   (itself too) and, with `known_positives`, those of its known positives. */
akin_status ak_exclude_objects(ak_exclusions *out, const akin_labels *labels, int64_t count,
                               bool known_positives, akin_arena *arena, akin_error *error);

/* Rows are the a's and columns the b's of a batch of pairs: a_i excludes equal contents, known
   positives and, where subgroups are given, the b's of its own subgroup, unless a pair of the batch
   says by a score <= .5 that they are not alike. The diagonal is never excluded. */
akin_status ak_exclude_pairs(ak_exclusions *out, const akin_labels *labels, akin_arena *arena,
                             akin_error *error);

/* Columns are the rows of a memory: an object, or a pair's a, excludes its equals there; of pairs,
   the rest of ak_exclude_pairs holds as well. */
akin_status ak_exclude_memory(ak_exclusions *out, const akin_labels *labels,
                              const akin_memory *memory, akin_arena *arena, akin_error *error);

#endif
