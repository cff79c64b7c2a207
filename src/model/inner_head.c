/* A head inside another, see inner_head.h. */
#include "model/inner_head.h"

akin_status ak_inner_head_create(ak_inner_head *out, const akin_class_given *given,
                                 const char *scope, uint64_t number, int64_t input_dim,
                                 akin_parameters *parameters, akin_error *error)
{
    size_t mark;
    if (ak_head_has_sides(given->type))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the head %s cannot be inside another head",
                       given->type_name);
    *out = (ak_inner_head){.type = given->type, .input_dim = input_dim, .number = number};
    AK_TRY(ak_parameters_enter(parameters, scope, &mark, error));
    akin_status status = out->type->create(&out->self, given->options, input_dim, parameters,
                                           &out->output_dim, error);
    ak_parameters_leave(parameters, mark);
    return status;
}

void ak_inner_head_free(ak_inner_head *head)
{
    if (head->self && head->type->free)
        head->type->free(head->self);
    head->self = NULL;
}

const char *const *ak_inner_head_tags(const ak_inner_head *head, int64_t *count)
{
    return ak_head_class_tags(head->type, head->self, count);
}

/* Two layers of one kind must not drop the same columns. */
static akin_pass own_pass(const ak_inner_head *head, const akin_pass *pass)
{
    akin_pass own = *pass;
    own.seed = ak_random(pass->seed, AK_STREAM_HEAD_INNER, head->number);
    return own;
}

akin_status ak_inner_head_forward(const ak_inner_head *head, const akin_pass *pass, akin_matrix x,
                                  akin_matrix y, void **record, akin_error *error)
{
    const akin_pass own = own_pass(head, pass);
    return head->type->forward(head->self, &own, x, y, record, error);
}

akin_status ak_inner_head_backward(const ak_inner_head *head, const akin_pass *pass,
                                   const void *record, akin_matrix x, akin_matrix dy,
                                   akin_matrix dx, akin_error *error)
{
    const akin_pass own = own_pass(head, pass);
    return head->type->backward(head->self, &own, record, x, dy, dx, error);
}
