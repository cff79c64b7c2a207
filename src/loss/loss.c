/* The built-in losses, and what all of them need. */
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>
#include <string.h>

const akin_loss_class *const ak_losses[] = {
    &ak_loss_arcface,
    &ak_loss_center,
    &ak_loss_circle,
    &ak_loss_contrastive,
    &ak_loss_cosent,
    &ak_loss_cosface,
    &ak_loss_cosine_similarity,
    &ak_loss_fastap,
    &ak_loss_kl,
    &ak_loss_margin_mse,
    &ak_loss_matryoshka,
    &ak_loss_mse,
    &ak_loss_multi_similarity,
    &ak_loss_multiple_negatives_ranking,
    &ak_loss_online_contrastive,
    &ak_loss_proxy_anchor,
    &ak_loss_softmax,
    &ak_loss_sum,
    &ak_loss_supcon,
    &ak_loss_triplet,
    &ak_loss_xbm,
    NULL,
};

akin_status ak_loss_describe(const akin_loss_class *type, const void *options,
                             akin_loss_traits *traits, akin_error *error)
{
    *traits = (akin_loss_traits){
        .size = sizeof *traits, .kind = type->kind, .memory = AK_CLASS_HAS(type, compute_memory)};
    return AK_CLASS_HAS(type, describe) ? type->describe(options, traits, error) : AKIN_OK;
}

akin_status ak_loss_object(void **self, const akin_loss_class *type, const void *options,
                           int64_t dim, int64_t groups, akin_parameters *parameters,
                           akin_error *error)
{
    *self = NULL;
    if (type->create)
        return type->create(self, options, dim, groups, parameters, error);
    *self = (void *)options;
    return AKIN_OK;
}

void ak_loss_object_free(void *self, const akin_loss_class *type)
{
    if (self && type->create && type->free)
        type->free(self);
}

akin_status ak_loss_nothing(const ak_space *space, akin_matrix dx, double *value)
{
    *value = space->finite ? 0 : (double)NAN;
    if (dx.data)
        ak_matrix_zero(dx);
    return AKIN_OK;
}

akin_matrix ak_square_new(akin_arena *arena, int64_t n)
{
    return ak_matrix_columns(ak_matrix_new(arena, n, (n + 15) / 16 * 16 + 16), 0, n);
}

akin_status ak_list_members(ak_members *out, const int32_t *number, int64_t rows, int64_t numbers,
                            akin_arena *arena, akin_error *error)
{
    out->start = ak_arena_new(arena, int64_t, numbers + 2);
    out->list = ak_arena_new(arena, int32_t, rows);
    if (!out->start || !out->list)
        return ak_fail_memory(error);
    int64_t *fill = out->start + 1; /* one ahead: after filling, fill[g] is the end of g */
    memset(out->start, 0, (size_t)(numbers + 2) * sizeof *fill);
    for (int64_t i = 0; i < rows; i++)
        if (number[i] >= 0 && number[i] < numbers)
            fill[number[i] + 1]++;
    for (int64_t g = 1; g <= numbers; g++)
        fill[g] += fill[g - 1];
    for (int64_t i = 0; i < rows; i++)
        if (number[i] >= 0 && number[i] < numbers)
            out->list[fill[number[i]]++] = (int32_t)i;
    return AKIN_OK;
}

AK_KERNEL void ak_scale_shift(const float *x, float scale, float shift, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = x[j] * scale - shift;
}

AK_KERNEL float ak_minimum(const float *x, int64_t n)
{
    float least = INFINITY;
    for (int64_t j = 0; j < n; j++)
        least = x[j] < least ? x[j] : least;
    return least;
}
