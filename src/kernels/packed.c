/* Layers with packed weights: W (out x in) becomes panels of 32 outputs, [in][32] each, once. */
#include "kernels/tile.h"

#include <string.h>

enum { LINES_OF_A_STEP = 128 }; /* bytes of a panel that a step reads, in either precision */

struct ak_packed {
    int64_t out_dim, in_dim, panels;
    size_t panel_size; /* elements */
    ak_activation activation;
    akin_precision precision;
    void *weight; /* panels x panel_size floats or bfloat16 */
    void *own;    /* the same, unless it lies in the caller's place */
    float *bias;  /* panels x 32, zeros if there is none */
};

static void pack_panel(const ak_packed *packed, const float *weight, int64_t panel)
{
    int64_t first = panel * AK_PANEL, k = packed->in_dim;
    int64_t columns = packed->out_dim - first < AK_PANEL ? packed->out_dim - first : AK_PANEL;
    size_t offset = (size_t)panel * packed->panel_size;
    weight += first * k;
    if (packed->precision == AKIN_BF16)
        ak_pack_bf16(weight, 1, k, k, columns, (uint16_t *)packed->weight + offset);
    else
        ak_pack_f32(weight, 1, k, k, columns, (float *)packed->weight + offset);
}

static size_t element_size(akin_precision precision)
{
    return precision == AKIN_BF16 ? sizeof(uint16_t) : sizeof(float);
}

static int64_t panel_count(int64_t out_dim)
{
    return (out_dim + AK_PANEL - 1) / AK_PANEL;
}

static size_t panel_elements(int64_t in_dim, akin_precision precision)
{
    int64_t even = in_dim + (in_dim & 1);
    return (size_t)((precision == AKIN_BF16 ? even : in_dim) * AK_PANEL);
}

size_t ak_packed_size(int64_t out_dim, int64_t in_dim, akin_precision precision)
{
    return (size_t)panel_count(out_dim) * panel_elements(in_dim, precision) *
           element_size(precision);
}

akin_status ak_packed_create(ak_packed **out, int64_t out_dim, int64_t in_dim, const float *weight,
                             const float *bias, ak_activation activation, akin_precision precision,
                             void *place, akin_error *error)
{
    *out = NULL;
    ak_packed *packed = ak_calloc(1, sizeof *packed);
    if (!packed)
        return ak_fail_memory(error);
    int64_t panels = panel_count(out_dim);
    *packed = (ak_packed){
        .out_dim = out_dim,
        .in_dim = in_dim,
        .panels = panels,
        .activation = activation,
        .precision = precision,
        .panel_size = panel_elements(in_dim, precision),
    };
    if (!place)
        place = packed->own = ak_alloc(ak_packed_size(out_dim, in_dim, precision));
    packed->weight = place;
    packed->bias = ak_calloc((size_t)panels, AK_PANEL * sizeof(float));
    if (!packed->weight || !packed->bias) {
        ak_packed_free(packed);
        return ak_fail_memory(error);
    }
    if (bias)
        memcpy(packed->bias, bias, (size_t)out_dim * sizeof *bias);
#pragma omp parallel for
    for (int64_t panel = 0; panel < panels; panel++)
        pack_panel(packed, weight, panel);
    *out = packed;
    return AKIN_OK;
}

void ak_packed_free(ak_packed *packed)
{
    if (!packed)
        return;
    ak_free(packed->own);
    ak_free(packed->bias);
    ak_free(packed);
}

/* y (rows x columns) = out (rows x 32) + bias. */
AK_KERNEL static void add_bias(const float *out, const float *bias, int64_t rows, int64_t columns,
                               float *y, int64_t ldy)
{
    for (int64_t i = 0; i < rows; i++, out += AK_PANEL, y += ldy)
        for (int64_t j = 0; j < columns; j++)
            y[j] = out[j] + bias[j];
}

static void finish_tile(const ak_packed *packed, float *out, int64_t panel, int64_t rows, float *y,
                        int64_t ldy)
{
    const float *bias = packed->bias + panel * AK_PANEL;
    int64_t left = packed->out_dim - panel * AK_PANEL, columns = left < AK_PANEL ? left : AK_PANEL;
    if (packed->activation == AK_NO_ACTIVATION) {
        add_bias(out, bias, rows, columns, y, ldy);
        return;
    }
    add_bias(out, bias, rows, AK_PANEL, out, AK_PANEL); /* in place, one call for the whole tile */
    ak_activate(packed->activation, out, out, rows * AK_PANEL);
    for (int64_t i = 0; i < rows; i++)
        memcpy(y + i * ldy, out + i * AK_PANEL, (size_t)columns * sizeof *y);
}

static void run_panel(const ak_packed *packed, const ak_tile_kernel *kernel, const void *x,
                      int64_t ldx, int64_t rows, float *y, int64_t ldy, int64_t panel)
{
    _Alignas(64) float out[AK_TILE_ROWS * AK_PANEL];
    size_t size = packed->panel_size * element_size(packed->precision);
    const char *weight = (const char *)packed->weight + (size_t)panel * size;
    int64_t tiles = ak_tile_count(rows, kernel->rows);
    ak_ahead ahead = {.stride = LINES_OF_A_STEP / tiles};
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i = rows * t / tiles, count = rows * (t + 1) / tiles - i;
        ahead.from = weight + size + size * (size_t)t / (size_t)tiles; /* its share of the next */
        if (packed->precision == AKIN_BF16)
            kernel->bf16((int)count, (const uint16_t *)x + i * ldx, ldx, (const uint16_t *)weight,
                         packed->in_dim, ahead, out, AK_PANEL);
        else
            kernel->f32((int)count, (const float *)x + i * ldx, ldx, (const float *)weight,
                        AK_PANEL, packed->in_dim, ahead, out, AK_PANEL);
        finish_tile(packed, out, panel, count, y + i * ldy, ldy);
    }
}

void ak_packed_run(const ak_packed *packed, const void *x, int64_t ldx, int64_t rows, float *y,
                   int64_t ldy, int part, int parts)
{
    const ak_tile_kernel *kernel = ak_tile_kernel_get();
    int64_t first = packed->panels * part / parts, last = packed->panels * (part + 1) / parts;
    for (int64_t panel = first; panel < last; panel++)
        run_panel(packed, kernel, x, ldx, rows, y + panel * AK_PANEL, ldy, panel);
}
