/* What attention forward and backward share: tiles over panels and over the columns of a head. */
#ifndef AK_KERNELS_ATTENTION_H
#define AK_KERNELS_ATTENTION_H

#include "kernels/tile.h"

/* Tokens as the columns of panels: the next multiple of 32. */
static inline int64_t ak_panel_width(int64_t tokens)
{
    return (tokens + AK_PANEL - 1) / AK_PANEL * AK_PANEL;
}

/* x (tokens x head_dim) as panels of its transposition: [token / 32][head_dim][32], zero past the
   last token. */
void ak_pack_transposed(const float *x, int64_t ld, int64_t tokens, int64_t head_dim,
                        float *panels);

/* The last head_dim % 32 columns of x as a panel of 32, the rest zero; nothing if there are none.
 */
void ak_pack_rest(const float *x, int64_t ld, int64_t tokens, int64_t head_dim, float *panel);

/* out (rows x width) = x (rows x steps) times all panels. rows: at most a tile's. */
void ak_tiles_of_panels(const ak_tile_kernel *kernel, const float *x, int64_t ldx, int64_t rows,
                        int64_t steps, const float *panels, int64_t width, float *out);

/* out (rows x columns) = x (rows x steps) w (steps x columns), w where it is but for the columns
   that ak_pack_rest packed. */
void ak_tiles_of_columns(const ak_tile_kernel *kernel, const float *x, int64_t ldx, int64_t rows,
                         int64_t steps, const float *w, int64_t ldw, int64_t columns,
                         const float *last_panel, float *out, int64_t ldo);

#endif
