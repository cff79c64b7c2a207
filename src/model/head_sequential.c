/* sequential: heads one after the other, y = h_n(... h_2(h_1(x))), after Quaterion's
   SequentialHead. Any head may be a layer, sequential too. The parameters are those of the layers,
   as layers.K.NAME. */
#include "model/inner_head.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 64 };

typedef struct options {
    akin_classes layers;
} options;

static const akin_option rows[] = {
    {"layers", AKIN_OPTION_CLASSES, offsetof(options, layers), NULL,
     "the heads, as [{type: linear, output_dim: 64}, {type: gated}]"},
    {NULL},
};

typedef struct head {
    const ak_inner_head *tagged; /* the layer that goes by tags; NULL: none */
    int64_t count;
    ak_inner_head layers[MAX_LAYERS];
} head;

/* Of each layer: its input and its own record. */
typedef struct layer_record {
    akin_matrix x;
    void *record;
} layer_record;

static void sequential_free(void *self)
{
    head *h = self;
    for (int64_t k = 0; k < h->count; k++)
        ak_inner_head_free(&h->layers[k]);
    ak_free(h);
}

static akin_status add_layers(head *h, const akin_classes *layers, int64_t input_dim,
                              akin_parameters *parameters, akin_error *error)
{
    for (int64_t k = 0; k < layers->count; k++) {
        char scope[32];
        snprintf(scope, sizeof scope, "layers.%lld", (long long)k);
        int64_t in = k ? h->layers[k - 1].output_dim : input_dim;
        AK_TRY(ak_inner_head_create(&h->layers[k], &layers->items[k], scope, (uint64_t)k, in,
                                    parameters, error));
        h->count++;
        if (!ak_inner_head_tags(&h->layers[k], &(int64_t){0}))
            continue;
        if (h->tagged)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "sequential head: two layers go by tags, one may");
        h->tagged = &h->layers[k];
    }
    return AKIN_OK;
}

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    const akin_classes *layers = &((const options *)given)->layers;
    *self = NULL;
    if (layers->count < 1 || layers->count > MAX_LAYERS)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "sequential head: \"layers\" has %lld heads, must have 1 to %d",
                       (long long)layers->count, MAX_LAYERS);
    head *h = ak_calloc(1, sizeof *h);
    if (!h)
        return ak_fail_memory(error);
    akin_status status = add_layers(h, layers, input_dim, parameters, error);
    if (status) {
        sequential_free(h);
        return status;
    }
    *output_dim = h->layers[h->count - 1].output_dim;
    *self = h;
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const head *h = self;
    *record = NULL;
    layer_record *kept = ak_arena_new(pass->arena, layer_record, h->count);
    if (!kept)
        return ak_fail_memory(error);
    for (int64_t k = 0; k < h->count; k++) {
        const ak_inner_head *layer = &h->layers[k];
        akin_matrix next =
            k + 1 == h->count ? y : ak_matrix_new(pass->arena, x.rows, layer->output_dim);
        if (x.rows && !next.data)
            return ak_fail_memory(error);
        kept[k].x = x;
        AK_TRY(ak_inner_head_forward(layer, pass, x, next, &kept[k].record, error));
        x = next;
    }
    if (pass->training)
        *record = kept;
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const head *h = self;
    const layer_record *kept = record;
    (void)x;
    for (int64_t k = h->count - 1; k >= 0; k--) {
        akin_matrix in = kept[k].x;
        akin_matrix before = k ? ak_matrix_new(pass->arena, in.rows, in.columns) : dx;
        if (k && in.rows && !before.data)
            return ak_fail_memory(error);
        AK_TRY(ak_inner_head_backward(&h->layers[k], pass, kept[k].record, in, dy, before, error));
        dy = before;
    }
    return AKIN_OK;
}

/* The last layer's. */
static bool confidence(const void *self, akin_matrix y, float *out)
{
    const head *h = self;
    const ak_inner_head *last = &h->layers[h->count - 1];
    return ak_head_confidence(last->type, last->self, y, out);
}

static const char *const *tags(const void *self, int64_t *count)
{
    const head *h = self;
    return h->tagged ? ak_inner_head_tags(h->tagged, count) : NULL;
}

const akin_head_class ak_head_sequential = {
    .size = sizeof(akin_head_class),
    .name = "sequential",
    .summary = "any heads, one after the other",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = sequential_free,
    .forward = forward,
    .backward = backward,
    .confidence = confidence,
    .tags = tags,
};
