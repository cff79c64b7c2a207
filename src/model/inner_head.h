/* A head inside another: what sequential, switch and query_adapter are made of. Its parameters are
   the outer head's, under a name of their own. */
#ifndef AK_MODEL_INNER_HEAD_H
#define AK_MODEL_INNER_HEAD_H

#include "model/heads.h"

typedef struct ak_inner_head {
    const akin_head_class *type;
    void *self;
    int64_t input_dim, output_dim;
    uint64_t number; /* among its siblings, which draw other random numbers */
} ak_inner_head;

/* The parameters are added as SCOPE.NAME. On failure there is nothing to free. */
akin_status ak_inner_head_create(ak_inner_head *out, const akin_class_given *given,
                                 const char *scope, uint64_t number, int64_t input_dim,
                                 akin_parameters *parameters, akin_error *error);
void ak_inner_head_free(ak_inner_head *head);

/* The tags it goes by; NULL: none. */
const char *const *ak_inner_head_tags(const ak_inner_head *head, int64_t *count);

/* As the class's functions. */
akin_status ak_inner_head_forward(const ak_inner_head *head, const akin_pass *pass, akin_matrix x,
                                  akin_matrix y, void **record, akin_error *error);
akin_status ak_inner_head_backward(const ak_inner_head *head, const akin_pass *pass,
                                   const void *record, akin_matrix x, akin_matrix dy,
                                   akin_matrix dx, akin_error *error);

#endif
