/* switch: each record goes through the head of its tag, which the encoder (a switch too) gave it;
   after Quaterion's SwitchHead.

     y_i = h_tag(i)(x_i)

   All heads are equally wide. Their parameters are heads.TAG.NAME. */
#include "model/inner_head.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HEADS = 64, MAX_TAG = 64 };

typedef struct options {
    akin_classes heads;
} options;

static const akin_option rows[] = {
    {"heads", AKIN_OPTION_CLASSES, offsetof(options, heads), NULL,
     "the head of each tag, as {image: {type: linear}, text: {type: gated}}"},
    {NULL},
};

typedef struct head {
    int64_t count;
    ak_inner_head heads[MAX_HEADS];
    char names[MAX_HEADS][MAX_TAG + 1];
    const char *tags[MAX_HEADS]; /* point into names */
} head;

/* What one head saw of a batch: copies of its rows. */
typedef struct share {
    int64_t count;
    int64_t *rows;
    akin_matrix x;
    void *record;
} share;

static void switch_free(void *self)
{
    head *h = self;
    for (int64_t k = 0; k < h->count; k++)
        ak_inner_head_free(&h->heads[k]);
    ak_free(h);
}

static akin_status check(const akin_classes *heads, akin_error *error)
{
    if (heads->count < 1 || heads->count > MAX_HEADS || !heads->items[0].name)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "switch head: \"heads\" must be a map of 1 to %d heads by their tags",
                       MAX_HEADS);
    for (int64_t k = 0; k < heads->count; k++)
        if (strlen(heads->items[k].name) > MAX_TAG)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "switch head: the tag \"%.80s\" is longer than %d bytes",
                           heads->items[k].name, MAX_TAG);
    return AKIN_OK;
}

static akin_status add_heads(head *h, const akin_classes *heads, int64_t input_dim,
                             akin_parameters *parameters, akin_error *error)
{
    for (int64_t k = 0; k < heads->count; k++) {
        char scope[MAX_TAG + 16];
        snprintf(scope, sizeof scope, "heads.%s", heads->items[k].name);
        AK_TRY(ak_inner_head_create(&h->heads[k], &heads->items[k], scope, (uint64_t)k, input_dim,
                                    parameters, error));
        h->tags[k] = strcpy(h->names[k], heads->items[k].name);
        h->count++;
        if (ak_inner_head_tags(&h->heads[k], &(int64_t){0}))
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "switch head: \"%s\" goes by tags itself, which have led to it",
                           h->tags[k]);
        if (h->heads[k].output_dim != h->heads[0].output_dim)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "switch head: \"%s\" makes %lld numbers and \"%s\" %lld, must be equal",
                           h->tags[0], (long long)h->heads[0].output_dim, h->tags[k],
                           (long long)h->heads[k].output_dim);
    }
    return AKIN_OK;
}

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    const akin_classes *heads = &((const options *)given)->heads;
    *self = NULL;
    AK_TRY(check(heads, error));
    head *h = ak_calloc(1, sizeof *h);
    if (!h)
        return ak_fail_memory(error);
    akin_status status = add_heads(h, heads, input_dim, parameters, error);
    if (status) {
        switch_free(h);
        return status;
    }
    *output_dim = h->heads[0].output_dim;
    *self = h;
    return AKIN_OK;
}

/* Which rows go to head k. */
static akin_status choose_rows(share *s, const akin_pass *pass, int32_t k, int64_t n,
                               akin_error *error)
{
    *s = (share){.rows = ak_arena_new(pass->arena, int64_t, n)};
    if (!s->rows)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < n; i++)
        if (pass->tags[i] == k)
            s->rows[s->count++] = i;
    return AKIN_OK;
}

static akin_status take(const share *s, akin_matrix x, akin_arena *arena, akin_matrix *out,
                        akin_error *error)
{
    *out = ak_matrix_new(arena, s->count, x.columns);
    if (s->count && !out->data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < s->count; i++)
        ak_matrix_copy(ak_matrix_rows(x, s->rows[i], 1), ak_matrix_rows(*out, i, 1));
    return AKIN_OK;
}

static void put(const share *s, akin_matrix part, akin_matrix y)
{
    for (int64_t i = 0; i < s->count; i++)
        ak_matrix_copy(ak_matrix_rows(part, i, 1), ak_matrix_rows(y, s->rows[i], 1));
}

static akin_status forward_share(const ak_inner_head *inner, const akin_pass *pass, share *s,
                                 akin_matrix x, akin_matrix y, akin_error *error)
{
    AK_TRY(take(s, x, pass->arena, &s->x, error));
    akin_matrix part = ak_matrix_new(pass->arena, s->count, y.columns);
    if (!part.data)
        return ak_fail_memory(error);
    AK_TRY(ak_inner_head_forward(inner, pass, s->x, part, &s->record, error));
    put(s, part, y);
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const head *h = self;
    *record = NULL;
    if (!pass->tags && x.rows)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the switch head was given no tags");
    share *shares = ak_arena_new(pass->arena, share, h->count);
    if (!shares)
        return ak_fail_memory(error);
    for (int64_t k = 0; k < h->count; k++) {
        AK_TRY(choose_rows(&shares[k], pass, (int32_t)k, x.rows, error));
        if (shares[k].count)
            AK_TRY(forward_share(&h->heads[k], pass, &shares[k], x, y, error));
    }
    if (pass->training)
        *record = shares;
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const head *h = self;
    const share *shares = record;
    (void)x;
    for (int64_t k = 0; k < h->count; k++) {
        const share *s = &shares[k];
        akin_matrix part, before = {0};
        if (!s->count)
            continue;
        AK_TRY(take(s, dy, pass->arena, &part, error));
        if (dx.data && !(before = ak_matrix_new(pass->arena, s->count, dx.columns)).data)
            return ak_fail_memory(error);
        AK_TRY(ak_inner_head_backward(&h->heads[k], pass, s->record, s->x, part, before, error));
        if (dx.data)
            put(s, before, dx);
    }
    return AKIN_OK;
}

static const char *const *tags(const void *self, int64_t *count)
{
    const head *h = self;
    *count = h->count;
    return h->tags;
}

const akin_head_class ak_head_switch = {
    .size = sizeof(akin_head_class),
    .name = "switch",
    .summary = "a head for each kind of record, chosen by the encoder's tag",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = switch_free,
    .forward = forward,
    .backward = backward,
    .tags = tags,
};
