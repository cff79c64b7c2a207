/* Gradient clipping as PyTorch's clip_grad_value_ and clip_grad_norm_ (Pascanu, Mikolov and Bengio,
   2013): the length is that of all gradients together, whatever block they stand in. */
#include "nn/nn.h"

#include <math.h>

enum { PARALLEL_FROM = 1 << 15 };

/* Not a number stays what it is. */
static void clip_values(akin_parameters *parameters, float limit)
{
    float *grads = ak_parameters_grads(parameters);
    int64_t size = ak_parameters_grad_size(parameters);
#pragma omp parallel for simd schedule(static) if (size >= PARALLEL_FROM)
    for (int64_t i = 0; i < size; i++) {
        float g = grads[i] > limit ? limit : grads[i];
        grads[i] = g < -limit ? -limit : g;
    }
}

void ak_clip_grads(akin_parameters *const *parameters, int count, double clip_value,
                   double clip_norm)
{
    double squares = 0;
    for (int i = 0; i < count && clip_value > 0; i++)
        clip_values(parameters[i], (float)clip_value);
    for (int i = 0; i < count && clip_norm > 0; i++) {
        double norm = ak_parameters_grad_norm(parameters[i]);
        squares += norm * norm;
    }
    double factor = clip_norm > 0 ? clip_norm / (sqrt(squares) + 1e-6) : 1;
    for (int i = 0; i < count && !(factor >= 1); i++)
        ak_parameters_scale_grads(parameters[i], (float)factor);
}
