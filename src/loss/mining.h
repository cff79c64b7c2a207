/* Mining: for every row of a batch the farthest row of its own group and the nearest of another. */
#ifndef AK_LOSS_MINING_H
#define AK_LOSS_MINING_H

#include "loss/exclusions.h"
#include "loss/space.h"

typedef struct ak_hardest {
    int32_t positive, negative; /* row numbers, -1 where there is none; of equals the lowest */
    float positive_distance, negative_distance; /* offset included */
} ak_hardest;

/* group: a number per row. A row is never its own positive; rows that `exclusions` lists are no
   negatives. out: a place per row. Distances are made block by block: O(rows) memory. */
akin_status ak_mine_hardest(const ak_space *space, const int32_t *group,
                            const ak_exclusions *exclusions, ak_hardest *out, akin_error *error);

/* One row: d holds its n distances - offset and is changed. group: a number per column; own: the
   row's. Columns of `holes` are neither positives nor negatives. */
ak_hardest ak_mine_row(float *d, int64_t n, const int32_t *group, int32_t own, const int32_t *holes,
                       int64_t hole_count, float offset);

#endif
