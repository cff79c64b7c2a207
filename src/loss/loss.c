/* The built-in losses, and what all of them need. */
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>
#include <string.h>

const akin_loss_class *const ak_losses[] = {
    &ak_loss_contrastive,
    &ak_loss_multiple_negatives_ranking,
    &ak_loss_triplet,
    NULL,
};

akin_status ak_loss_keep_options(void **self, const void *options, size_t size, akin_error *error)
{
    *self = ak_alloc(size);
    if (!*self)
        return ak_fail_memory(error);
    memcpy(*self, options, size);
    return AKIN_OK;
}

akin_status ak_loss_nothing(const ak_space *space, akin_matrix dx, double *value)
{
    *value = space->finite ? 0 : (double)NAN;
    if (dx.data)
        ak_matrix_zero(dx);
    return AKIN_OK;
}
