/* Linear layers one after the other, an activation between them and none after the last: what the
   heads widening and stacked_projection are made of.

     z_0 = x W_0ᵀ + b_0,   z_k = f(z_k-1) W_kᵀ + b_k,   y = z_last

   Weights start as PyTorch's Linear: uniform in ±1/sqrt(input width of the layer). */
#ifndef AK_MODEL_STACK_H
#define AK_MODEL_STACK_H

#include "kernels/kernels.h"
#include "nn/nn.h"

enum { AK_MAX_STACK = 64 };

typedef struct ak_stack_layer {
    int64_t out;
    int weight, bias;
} ak_stack_layer;

typedef struct ak_stack {
    const akin_parameters *parameters;
    ak_activation activation;
    double dropout; /* of the input */
    int64_t count;
    ak_stack_layer layers[AK_MAX_STACK];
} ak_stack;

/* The names of activations, for an option row, and what their numbers mean. */
#define AK_STACK_ACTIVATIONS "relu|gelu|gelu_tanh|silu|tanh|sigmoid"
#define AK_STACK_ACTIVATION_ROW(options_type)                                                      \
    {                                                                                              \
        "activation", AKIN_OPTION_CHOICE, offsetof(options_type, activation), "relu",              \
            "function between the layers", .choices = AK_STACK_ACTIVATIONS                         \
    }
ak_activation ak_stack_activation(int choice);

/* A stack in memory of its own, its parameters added as layers.K.weight and layers.K.bias.
   1 <= count <= AK_MAX_STACK; ak_free. */
akin_status ak_stack_create(void **out, int64_t input_dim, const int64_t *widths, int64_t count,
                            int activation, double dropout, akin_parameters *parameters,
                            akin_error *error);
/* As a head class wants them; `self` is the ak_stack. */
akin_status ak_stack_forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                             void **record, akin_error *error);
akin_status ak_stack_backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                              akin_matrix dy, akin_matrix dx, akin_error *error);

#endif
