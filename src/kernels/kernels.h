/* The door of kernels: float rows and matrices. Functions allocate nothing and report no errors,
   except where they return akin_status. Matrices are row-major; ld* is the distance of two rows in
   elements. Inputs must not be misaligned; outputs may not overlap inputs unless it says "in
   place".

   Bits: every result is computed in a fixed order that depends on nothing but its own row (and, for
   products, column). A row's result is therefore the same in any batch, at any position, with any
   number of threads, and with AVX2 and AVX-512. The exception is ak_gemm with a transposed A, whose
   result is a sum over a batch. ref.h holds the specification. */
#ifndef AK_KERNELS_KERNELS_H
#define AK_KERNELS_KERNELS_H

#include "base/base.h"

typedef enum ak_activation {
    AK_NO_ACTIVATION,
    AK_GELU,      /* x (1 + erf(x / sqrt 2)) / 2 */
    AK_GELU_TANH, /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
    AK_RELU,
    AK_SILU, /* x sigmoid(x) */
    AK_TANH,
    AK_SIGMOID,
} ak_activation;

/* ---- gemm.c: C (m x n) = alpha op(A) (m x k) op(B) (k x n) + beta C ---- */

typedef enum ak_transpose { AK_PLAIN, AK_TRANSPOSED } ak_transpose;

/* Runs on all threads of OpenMP, or on the calling one inside a parallel region. AKIN_BF16 rounds
   A and B to bfloat16 and accumulates in float32. beta 0: C is not read. Uses 0.5 MB of stack. */
void ak_gemm(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m, int64_t n,
             int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
             float beta, float *c, int64_t ldc);

/* The same on the calling thread, whatever OpenMP says: for callers that are threads of their own.
 */
void ak_gemm_single(akin_precision precision, ak_transpose ta, ak_transpose tb, int64_t m,
                    int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                    int64_t ldb, float beta, float *c, int64_t ldc);

bool ak_bf16_is_native(void);     /* false: AKIN_BF16 is emulated and slower than AKIN_F32 */
const char *ak_kernel_name(void); /* "avx512+bf16", "avx512", "portable": for --version */

/* ---- packed.c: y = activation(x W^T + b) with W reordered once: for inference ---- */

typedef struct ak_packed ak_packed;

size_t ak_packed_size(int64_t out_dim, int64_t in_dim, akin_precision precision); /* bytes */

/* weight: out x in, bias: out floats or NULL; both are copied. Packing uses all threads. place:
   ak_packed_size bytes, 64-byte aligned, that outlive the layer; NULL: memory of its own. Layers
   that run one after the other should lie one after the other: each fetches ahead. */
akin_status ak_packed_create(ak_packed **out, int64_t out_dim, int64_t in_dim, const float *weight,
                             const float *bias, ak_activation activation, akin_precision precision,
                             void *place, akin_error *error);
void ak_packed_free(ak_packed *packed);

/* x: rows x in, y: rows x out. For AKIN_BF16 layers x points to bfloat16 rows, see ak_bf16_from;
   with an odd in_dim they end in a zero. The columns of y are dealt out in `parts` shares, and this
   call computes share `part` on the calling thread: several threads may each compute one. */
void ak_packed_run(const ak_packed *packed, const void *x, int64_t ldx, int64_t rows, float *y,
                   int64_t ldy, int part, int parts);

/* Rounds to nearest even; NaN stays NaN. */
void ak_bf16_from(const float *x, uint16_t *y, int64_t n);
void ak_bf16_to(const uint16_t *x, float *y, int64_t n);
void ak_bf16_round(const float *x, float *y, int64_t n); /* bfloat16 values in float32 */

/* ---- attention.c ---- */

/* Floats of scratch memory that ak_attention wants. */
int64_t ak_attention_scratch(int64_t tokens, int64_t head_dim);

/* One sequence and one head: out = softmax(scale q k^T + position) v, scale > 0. q, k, v: tokens x
   head_dim at stride ld (columns of one projection, say), out at stride ldo. position[j - i] is
   added to the score of query i and key j, so it points to the middle of 2 tokens - 1 numbers;
   NULL: nothing is. scratch: 64-byte aligned. */
void ak_attention(const float *q, const float *k, const float *v, int64_t ld, int64_t tokens,
                  int64_t head_dim, float scale, const float *position, float *out, int64_t ldo,
                  float *scratch);

/* Which attention weights are dropped while training: key j of query i where a hash of j and
   bits[i] is below `threshold`; the others are multiplied by `scale`. */
typedef struct ak_drop {
    const uint64_t *bits; /* per query */
    uint32_t threshold;   /* the probability times 2^32 */
    float scale;          /* 1 / (1 - probability) */
} ak_drop;

/* The same while training. drop NULL: nothing is dropped. lse: tokens floats, the logarithm of each
   query's sum of exponentials, which backward reads. */
void ak_attention_train(const float *q, const float *k, const float *v, int64_t ld, int64_t tokens,
                        int64_t head_dim, float scale, const float *position, const ak_drop *drop,
                        float *out, int64_t ldo, float *lse, float *scratch);

/* attention_backward.c: gradients of q, k, v (written, stride ldg) from that of out. */
typedef struct ak_attention_gradient {
    const float *q, *k, *v; /* stride ld */
    int64_t ld;
    const float *out, *dout; /* stride ldo */
    int64_t ldo;
    const float *lse;
    int64_t tokens, head_dim;
    float scale;
    const float *position; /* as in the forward pass */
    const ak_drop *drop;
    float *dq, *dk, *dv;
    int64_t ldg;
    float *dposition; /* added to, position's layout; NULL: not wanted */
} ak_attention_gradient;
int64_t ak_attention_backward_scratch(int64_t tokens, int64_t head_dim); /* floats */
void ak_attention_backward(const ak_attention_gradient *a, float *scratch);

/* ---- drop.c: inverted dropout of a row (Srivastava et al., 2014) ---- */

/* y = x * scale where a hash of the column and `bits` is not below `threshold`, else 0. In place is
   allowed. */
void ak_drop_row(const float *x, float *y, int64_t d, uint64_t bits, uint32_t threshold,
                 float scale);

/* ---- rows.c: n rows of d floats ---- */

/* y = (x + residual - mean) / sqrt(variance + eps) * gain + shift. residual, shift: may be NULL.
   In place (y == x or y == residual) is allowed. */
void ak_layer_norm(const float *x, const float *residual, const float *gain, const float *shift,
                   float eps, int64_t n, int64_t d, float *y);
/* The same while training; normal = (x + residual - mean) / deviation and factors[i] =
   1 / deviation are what backward reads. */
void ak_layer_norm_train(const float *x, const float *residual, const float *gain,
                         const float *shift, float eps, int64_t n, int64_t d, float *normal,
                         float *factors, float *y);
/* dx = factor (dn - mean(dn) - normal mean(dn normal)), dn = dy gain. In place is allowed. */
void ak_layer_norm_backward(const float *normal, const float *factors, const float *gain,
                            const float *dy, int64_t n, int64_t d, float *dx);
/* y = normal gain + shift: the norm's output again. */
void ak_layer_norm_output(const float *normal, const float *gain, const float *shift, int64_t n,
                          int64_t d, float *y);
/* y[i] = words[ids[i]] + positions[i's place] + type: the sum that enters a BERT's first LayerNorm.
   places: NULL means 0, 1, ... ; positions, type: may be NULL. */
void ak_embed_rows(const float *words, const int32_t *ids, const float *positions,
                   const int32_t *places, const float *type, int64_t n, int64_t d, float *y);
void ak_softmax_rows(float *x, int64_t n, int64_t d, int64_t ld);       /* in place; -inf gives 0 */
void ak_normalize_rows(const float *x, int64_t n, int64_t d, float *y); /* zero stays zero */
void ak_mean_rows(const float *x, int64_t n, int64_t d, int64_t ld, float *y); /* y: d floats */
void ak_max_rows(const float *x, int64_t n, int64_t d, int64_t ld, float *y);

/* ---- vector.c ---- */

float ak_dot(const float *x, const float *y, int64_t n);
float ak_squared_distance(const float *x, const float *y, int64_t n);
float ak_manhattan_distance(const float *x, const float *y, int64_t n);
float ak_sum(const float *x, int64_t n);
float ak_maximum(const float *x, int64_t n);                          /* -inf when n is 0 */
void ak_add_scaled(float alpha, const float *x, float *y, int64_t n); /* y += alpha x */
void ak_scale(float alpha, float *x, int64_t n);
void ak_exp(const float *x, float *y, int64_t n); /* in place is allowed, here and below */
/* log of the sum of exp(x), without overflow; -inf when n is 0. */
float ak_log_sum_exp(const float *x, int64_t n);
void ak_activate(ak_activation activation, const float *x, float *y, int64_t n);
/* dx = dy * activation'(x). */
void ak_activate_backward(ak_activation activation, const float *x, const float *dy, float *dx,
                          int64_t n);

#endif
