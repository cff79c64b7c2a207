/* A loss inside another, see inner_loss.h. A class's compute adds to the gradients of its
   parameters as if it stood alone, so those of a weighted part are put aside first: what other
   steps or parts added must not be weighted again. */
#include "loss/inner_loss.h"

#include "loss/space.h"

#include <stdio.h>

akin_status ak_inner_loss_create(ak_inner_loss *out, const akin_class_given *given,
                                 const char *scope, int64_t dim, int64_t groups,
                                 akin_parameters *parameters, akin_error *error)
{
    size_t mark = 0;
    *out = (ak_inner_loss){
        .type = given->type, .parameters = parameters, .first = ak_parameters_count(parameters)};
    if (scope)
        AK_TRY(ak_parameters_enter(parameters, scope, &mark, error));
    akin_status status =
        ak_loss_object(&out->self, out->type, given->options, dim, groups, parameters, error);
    if (scope)
        ak_parameters_leave(parameters, mark);
    out->end = ak_parameters_count(parameters);
    return status;
}

void ak_inner_loss_free(ak_inner_loss *loss)
{
    ak_loss_object_free(loss->self, loss->type);
    loss->self = NULL;
}

void ak_matrix_add_scaled(double weight, akin_matrix x, akin_matrix y)
{
    for (int64_t i = 0; i < x.rows; i++)
        ak_add_scaled((float)weight, x.data + i * x.stride, y.data + i * y.stride, x.columns);
}

static akin_matrix gradient_of(const ak_inner_loss *loss, int number)
{
    const akin_parameter *p = akin_parameters_get(loss->parameters, number);
    return ak_matrix(p->grad, p->rows, p->columns);
}

/* kept: a matrix for every parameter, with what its gradient was; the gradients become 0. */
static akin_status put_aside(const ak_inner_loss *loss, akin_matrix *kept, akin_arena *arena,
                             akin_error *error)
{
    for (int i = loss->first; i < loss->end; i++) {
        akin_matrix grad = gradient_of(loss, i), *copy = &kept[i - loss->first];
        *copy = ak_matrix_new(arena, grad.rows, grad.columns);
        if (!copy->data)
            return ak_fail_memory(error);
        ak_matrix_copy(grad, *copy);
        ak_matrix_zero(grad);
    }
    return AKIN_OK;
}

static void bring_back(const ak_inner_loss *loss, double weight, const akin_matrix *kept)
{
    for (int i = loss->first; i < loss->end; i++) {
        akin_matrix grad = gradient_of(loss, i);
        for (int64_t row = 0; row < grad.rows; row++)
            ak_scale((float)weight, grad.data + row * grad.stride, grad.columns);
        ak_matrix_add_scaled(1, kept[i - loss->first], grad);
    }
}

akin_status ak_inner_loss_add(const ak_inner_loss *loss, double weight, const akin_pass *pass,
                              const akin_labels *labels, akin_matrix x, akin_matrix dx,
                              double *value, akin_error *error)
{
    double own = 0;
    akin_matrix d = dx, *kept = ak_arena_new(pass->arena, akin_matrix, loss->end - loss->first);
    bool learns = loss->end > loss->first && gradient_of(loss, loss->first).data;
    bool weighted = learns && dx.data && weight != 1;
    if (dx.data)
        d = ak_matrix_new(pass->arena, dx.rows, dx.columns);
    if ((dx.data && !d.data) || !kept)
        return ak_fail_memory(error);
    if (weighted)
        AK_TRY(put_aside(loss, kept, pass->arena, error));
    AK_TRY(loss->type->compute(loss->self, pass, labels, x, d, &own, error));
    if (weighted)
        bring_back(loss, weight, kept);
    if (dx.data)
        ak_matrix_add_scaled(weight, d, dx);
    *value += weight * own;
    return AKIN_OK;
}

/* ---- several ---- */

akin_status ak_inner_losses_new(ak_inner_losses **out, const void *options, int64_t most,
                                akin_error *error)
{
    ak_inner_losses *losses = ak_calloc(1, sizeof *losses + (size_t)most * sizeof *losses->items);
    *out = losses;
    if (!losses)
        return ak_fail_memory(error);
    losses->options = options;
    return AKIN_OK;
}

akin_status ak_inner_losses_add(ak_inner_losses *losses, const akin_class_given *given, int64_t dim,
                                int64_t groups, akin_parameters *parameters, akin_error *error)
{
    char scope[32];
    snprintf(scope, sizeof scope, "%lld", (long long)losses->count);
    AK_TRY(ak_inner_loss_create(&losses->items[losses->count], given, scope, dim, groups,
                                parameters, error));
    losses->count++;
    return AKIN_OK;
}

void ak_inner_losses_free(void *self)
{
    ak_inner_losses *losses = self;
    for (int64_t i = 0; losses && i < losses->count; i++)
        ak_inner_loss_free(&losses->items[i]);
    ak_free(losses);
}

typedef struct numbered {
    int64_t number;
    akin_state_function *show;
    void *user;
} numbered;

static akin_status show_numbered(void *user, const char *name, void *data, size_t size,
                                 akin_error *error)
{
    const numbered *n = user;
    char *full = ak_format("%lld.%s", (long long)n->number, name);
    akin_status status = full ? n->show(n->user, full, data, size, error) : ak_fail_memory(error);
    ak_free(full);
    return status;
}

akin_status ak_inner_losses_state(void *self, akin_state_function *show, void *user,
                                  akin_error *error)
{
    const ak_inner_losses *losses = self;
    for (int64_t i = 0; i < losses->count; i++) {
        const ak_inner_loss *one = &losses->items[i];
        numbered n = {i, show, user};
        if (AK_CLASS_HAS(one->type, state))
            AK_TRY(one->type->state(one->self, show_numbered, &n, error));
    }
    return AKIN_OK;
}

/* ---- options ---- */

akin_status ak_check_weights(const char *name, const char *what, int64_t count,
                             const akin_floats *weights, akin_error *error)
{
    if (count < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: \"%s\" is empty, expected one or more", name,
                       what);
    if (weights->count && weights->count != count)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: %lld \"%s\" but %lld \"weights\"", name,
                       (long long)count, what, (long long)weights->count);
    return AKIN_OK;
}

double ak_weight_at(const akin_floats *weights, int64_t number)
{
    return weights->count ? weights->items[number] : 1;
}

akin_status ak_describe_only(const char *name, const akin_classes *classes,
                             akin_loss_traits *traits, akin_error *error)
{
    if (classes->count != 1)
        return ak_fail(
            error, AKIN_ERR_ARGUMENT,
            "%s: \"loss\" holds %lld losses, expected one: {type: %s, loss: {type: ...}}", name,
            (long long)classes->count, name);
    return ak_loss_describe(classes->items->type, classes->items->options, traits, error);
}
