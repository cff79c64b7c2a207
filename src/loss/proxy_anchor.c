/* Proxy anchor (Kim et al., 2020). Every group has a learnt proxy p; with cosines s of objects to
   proxies, over the proxies P and those P+ that have objects in the batch,

       1/|P+| sum over P+ of log(1 + sum over its objects of     exp(-alpha (s - delta)))
     + 1/|P|  sum over P  of log(1 + sum over other objects of   exp( alpha (s + delta)))

   The proxies start as normal numbers of standard deviation sqrt(2 / groups), as published
   (Kaiming, fan out); only their directions matter. */
#include "loss/classes.h"
#include "loss/loss.h"
#include "loss/tools.h"

#include <math.h>

typedef struct options {
    double alpha, delta, lr_factor;
} options;

static const akin_option option_rows[] = {
    AK_LOSS_FLOAT_OPTION(options, alpha, "32", 1e-3, 1e4, "sharpness"),
    AK_LOSS_FLOAT_OPTION(options, delta, "0.1", -2, 2, "margin of the cosines"),
    AK_LOSS_LR_FACTOR_OPTION(options, lr_factor),
    {0},
};

static akin_status create(void **self, const void *given, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error)
{
    const options *o = given;
    return ak_class_loss_create(self, "proxy_anchor", given, dim, groups, sqrt(2 / (double)groups),
                                o->lr_factor, parameters, error);
}

typedef struct proxies {
    const options *o;
    akin_matrix s;              /* groups x n */
    ak_members objects;         /* by proxy */
    int32_t *number;            /* n: the proxy, -1: none */
    float *positive;            /* n: the places that list has, too */
    double *values;             /* per proxy */
    double with_objects, count; /* |P+|, |P| */
} proxies;

static akin_status list_objects(proxies *p, const ak_classes *c, const akin_labels *labels,
                                akin_arena *arena, akin_error *error)
{
    int64_t n = labels->count, groups = c->classes.rows;
    p->number = ak_arena_new(arena, int32_t, n);
    p->positive = ak_arena_new(arena, float, n);
    p->values = ak_arena_new(arena, double, groups);
    p->s = ak_matrix_new(arena, groups, n);
    if (!p->number || !p->positive || !p->values || !p->s.data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++)
        p->number[i] = ak_is_member(c, labels, i) ? (int32_t)labels->group[i] : -1;
    AK_TRY(ak_list_members(&p->objects, p->number, n, groups, arena, error));
    for (int64_t g = 0; g < groups; g++)
        p->with_objects += p->objects.start[g + 1] > p->objects.start[g];
    p->count = (double)groups;
    return AKIN_OK;
}

/* Objects of no class are nobody's negatives. */
static void leave_out(const int32_t *number, float *s, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        s[j] = number[j] < 0 ? -INFINITY : s[j];
}

/* s becomes part times the derivatives of log(1 + sum exp(scale s + add)), which is returned. */
static double softly(float *s, int64_t n, float scale, float add, double part)
{
    ak_scale_shift(s, scale, -add, s, n);
    float shift = fmaxf(0, ak_maximum(s, n));
    ak_scale_shift(s, 1, shift, s, n);
    ak_exp(s, s, n);
    double sum = exp(-(double)shift) + (double)ak_sum(s, n);
    ak_scale((float)((double)scale * part / sum), s, n);
    return (log(sum) + (double)shift) * part;
}

static double proxy_row(const proxies *p, int64_t proxy)
{
    int64_t first = p->objects.start[proxy], end = p->objects.start[proxy + 1];
    float *s = p->s.data + proxy * p->s.stride, *positive = p->positive + first;
    const int32_t *list = p->objects.list;
    float alpha = (float)p->o->alpha, add = (float)(p->o->alpha * p->o->delta);
    double value = 0;
    for (int64_t m = first; m < end; m++) {
        p->positive[m] = s[list[m]];
        s[list[m]] = -INFINITY;
    }
    leave_out(p->number, s, p->s.columns);
    if (end > first)
        value += softly(positive, end - first, -alpha, add, 1 / p->with_objects);
    value += softly(s, p->s.columns, alpha, add, 1 / p->count);
    for (int64_t m = first; m < end; m++)
        s[list[m]] = p->positive[m];
    return value;
}

static double run_rows(proxies *p)
{
    double sum = 0;
#pragma omp parallel for schedule(static) if (p->s.rows * p->s.columns >= AK_PARALLEL_FROM)
    for (int64_t g = 0; g < p->s.rows; g++)
        p->values[g] = proxy_row(p, g);
    for (int64_t g = 0; g < p->s.rows; g++)
        sum += p->values[g];
    return sum;
}

static akin_status compute(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error)
{
    const ak_class_loss *loss = self;
    proxies p = {.o = loss->options};
    ak_classes c;
    AK_TRY(ak_classes_init(&c, loss, AK_COSINE, pass, labels, x, error));
    if (!c.space.finite || !c.members)
        return ak_loss_nothing(&c.space, dx, value);
    AK_TRY(list_objects(&p, &c, labels, pass->arena, error));
    akin_matrix rows = c.space.rows;
    ak_gemm(pass->precision, AK_PLAIN, AK_TRANSPOSED, p.s.rows, x.rows, x.columns, 1,
            c.classes.data, c.classes.stride, rows.data, rows.stride, 0, p.s.data, p.s.stride);
    *value = run_rows(&p);
    return dx.data ? ak_classes_backward(&c, p.s, true, dx, error) : AKIN_OK;
}

const akin_loss_class ak_loss_proxy_anchor = {
    .size = sizeof(akin_loss_class),
    .name = "proxy_anchor",
    .summary = "groups: every group's learnt proxy draws its objects and repels the others",
    .kind = AKIN_GROUPS,
    .options = option_rows,
    .options_size = sizeof(options),
    .create = create,
    .free = ak_free,
    .compute = compute,
};
