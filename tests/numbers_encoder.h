/* An encoder of the user's own, with vectors that a test can know: the object "3 4" is the vector
   (3, 4). With `trainable: true` it is multiplied by a matrix, the identity at first. Counts what
   it reads. Needs cmocka's header before it. */
#ifndef AKIN_TEST_NUMBERS_ENCODER_H
#define AKIN_TEST_NUMBERS_ENCODER_H

#include "base/safetensors.h"
#include "model/model.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_llong numbers_encoded; /* objects so far */

typedef struct numbers_options {
    int64_t dim, version;
    bool trainable;
} numbers_options;

static const akin_option numbers_rows[] = {
    {"dim", AKIN_OPTION_INT, offsetof(numbers_options, dim), "2", "numbers an object has",
     .minimum = 1, .maximum = 4096},
    {"version", AKIN_OPTION_INT, offsetof(numbers_options, version), "1", "a part of the space",
     .maximum = 100},
    {"trainable", AKIN_OPTION_BOOL, offsetof(numbers_options, trainable), "false", "learn"},
    {NULL}};

typedef struct numbers {
    numbers_options options;
    akin_parameters *parameters;
    int weight;
} numbers;

static void numbers_free(void *self)
{
    akin_parameters_free(((numbers *)self)->parameters);
    ak_free(self);
}

static akin_status numbers_open(numbers *n, akin_error *error)
{
    int64_t d = n->options.dim;
    AK_TRY(akin_parameters_create(&n->parameters, error));
    if (n->options.trainable)
        AK_TRY(akin_parameters_add(n->parameters, &n->weight, "weight", d, d, AKIN_INIT_IDENTITY, 0,
                                   true, error));
    return akin_parameters_seal(n->parameters, 1, error);
}

static akin_status numbers_create(void **self, const void *options, const akin_place *place,
                                  akin_error *error)
{
    (void)place;
    *self = NULL;
    numbers *n = ak_calloc(1, sizeof *n);
    if (!n)
        return ak_fail_memory(error);
    n->options = *(const numbers_options *)options;
    akin_status status = numbers_open(n, error);
    if (status) {
        numbers_free(n);
        return status;
    }
    *self = n;
    return AKIN_OK;
}

static char *numbers_path(const char *folder)
{
    return ak_path_join(folder, "numbers.safetensors");
}

static akin_status numbers_load(void **self, const void *options, const akin_place *place,
                                akin_error *error)
{
    AK_TRY(numbers_create(self, options, place, error));
    numbers *n = *self;
    char *path = numbers_path(place->folder);
    akin_status status = path ? AKIN_OK : ak_fail_memory(error);
    if (!status && n->options.trainable)
        status = ak_parameters_read(n->parameters, path, error);
    ak_free(path);
    if (status) {
        numbers_free(n);
        *self = NULL;
    }
    return status;
}

static akin_status numbers_save(const void *self, const char *folder, akin_error *error)
{
    char *path = numbers_path(folder);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_parameters_write(((const numbers *)self)->parameters, path, error);
    ak_free(path);
    return status;
}

static int64_t numbers_dim(const void *self)
{
    return ((const numbers *)self)->options.dim;
}

static bool numbers_trainable(const void *self)
{
    return ((const numbers *)self)->options.trainable;
}

static akin_parameters *numbers_parameters(void *self)
{
    return ((numbers *)self)->parameters;
}

static akin_status numbers_fingerprint(const void *self, akin_hash *fingerprint, akin_error *error)
{
    const numbers *n = self;
    (void)error;
    *fingerprint = akin_hash_bytes(&n->options, sizeof n->options);
    if (n->options.trainable)
        *fingerprint = ak_hash_combine(
            *fingerprint, akin_hash_bytes(ak_parameters_values(n->parameters),
                                          (size_t)ak_parameters_size(n->parameters) * 4));
    return AKIN_OK;
}

static akin_status numbers_collate(const void *self, const akin_object *objects, int64_t count,
                                   akin_arena *arena, void **batch, akin_error *error)
{
    const numbers *n = self;
    akin_matrix *x = ak_arena_new(arena, akin_matrix, 1);
    if (!x)
        return ak_fail_memory(error);
    *x = ak_matrix_new(arena, count, n->options.dim);
    if (!x->data)
        return ak_fail_memory(error);
    atomic_fetch_add(&numbers_encoded, count);
    for (int64_t i = 0; i < count; i++) {
        char text[512];
        size_t size = objects[i].size < 511 ? objects[i].size : 511;
        memcpy(text, objects[i].data, size);
        text[size] = 0;
        char *at = text, *end;
        for (int64_t c = 0; c < n->options.dim; c++, at = end) {
            x->data[i * x->stride + c] = strtof(at, &end);
            if (end == at)
                return ak_fail(error, AKIN_ERR_FORMAT, "\"%s\" has too few numbers", text);
        }
    }
    *batch = x;
    return AKIN_OK;
}

/* y = x W, in order and in double: exact for the identity. */
static akin_status numbers_forward(const void *self, const akin_pass *pass, const void *batch,
                                   akin_matrix y, void **record, akin_error *error)
{
    const numbers *n = self;
    const akin_matrix *x = batch;
    int64_t d = n->options.dim;
    const float *w = NULL;
    (void)pass;
    (void)error;
    *record = NULL;
    if (n->options.trainable)
        w = akin_parameters_get(n->parameters, n->weight)->value;
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t c = 0; c < d; c++) {
            double sum = w ? 0 : (double)x->data[i * x->stride + c];
            for (int64_t k = 0; k < d && w; k++)
                sum += (double)x->data[i * x->stride + k] * (double)w[k * d + c];
            y.data[i * y.stride + c] = (float)sum;
        }
    return AKIN_OK;
}

static akin_status numbers_backward(void *self, const akin_pass *pass, const void *batch,
                                    const void *record, akin_matrix dy, akin_error *error)
{
    numbers *n = self;
    const akin_matrix *x = batch;
    int64_t d = n->options.dim;
    float *dw = akin_parameters_get(n->parameters, n->weight)->grad;
    (void)pass;
    (void)record;
    (void)error;
    for (int64_t k = 0; k < d; k++)
        for (int64_t c = 0; c < d; c++) {
            double sum = 0;
            for (int64_t i = 0; i < dy.rows; i++)
                sum += (double)x->data[i * x->stride + k] * (double)dy.data[i * dy.stride + c];
            dw[k * d + c] += (float)sum;
        }
    return AKIN_OK;
}

static const akin_encoder_class numbers_class = {
    .size = sizeof numbers_class,
    .name = "numbers",
    .summary = "the object's own numbers",
    .options = numbers_rows,
    .options_size = sizeof(numbers_options),
    .create = numbers_create,
    .load = numbers_load,
    .save = numbers_save,
    .free = numbers_free,
    .dim = numbers_dim,
    .trainable = numbers_trainable,
    .fingerprint = numbers_fingerprint,
    .collate = numbers_collate,
    .forward = numbers_forward,
    .backward = numbers_backward,
    .parameters = numbers_parameters,
};

#endif
