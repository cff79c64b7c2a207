/* The specification of the kernels, in plain C and double precision, written for reading. Tests
   compare the fast versions with it; nothing else calls it. */
#ifndef AK_KERNELS_REF_H
#define AK_KERNELS_REF_H

#include "kernels/kernels.h"

void ak_ref_gemm(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m, int64_t n,
                 int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                 float beta, float *c, int64_t ldc);
void ak_ref_attention(const float *q, const float *k, const float *v, int64_t ld, int64_t tokens,
                      int64_t head_dim, float scale, const float *position, float *out,
                      int64_t ldo);
/* out and lse of `a` are not read: it knows them from the rest. */
void ak_ref_attention_backward(const ak_attention_gradient *a);
void ak_ref_layer_norm(const float *x, const float *residual, const float *gain, const float *shift,
                       float eps, int64_t n, int64_t d, float *y);
void ak_ref_softmax_row(const float *x, int64_t d, float *y);
double ak_ref_dot(const float *x, const float *y, int64_t n);
double ak_ref_activate(ak_activation activation, double x);
double ak_ref_activate_slope(ak_activation activation, double x);
float ak_ref_bf16(float x); /* rounded to bfloat16 */

#endif
