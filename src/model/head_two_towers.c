/* two_towers: queries go through one head and documents through another, equally wide:

     a -> h(a),   b -> g(b)

   Their parameters are query.NAME and document.NAME. A side's vectors depend on its own alone, so
   that an index of documents stays valid while queries are trained. */
#include "model/inner_head.h"

enum { QUERY, DOCUMENT, SIDES };
static const char *const names[SIDES] = {"query", "document"};

typedef struct options {
    akin_classes heads[SIDES];
} options;

static const akin_option rows[] = {
    {"query", AKIN_OPTION_CLASSES, offsetof(options, heads[QUERY]), "skip_connection",
     "the head that queries go through"},
    {"document", AKIN_OPTION_CLASSES, offsetof(options, heads[DOCUMENT]), "skip_connection",
     "the head that documents go through, as wide as the other"},
    {NULL},
};

typedef struct pair {
    ak_inner_head heads[SIDES];
} pair;

/* Of each side's rows. */
typedef struct pair_record {
    void *of[SIDES];
} pair_record;

static void pair_free(void *self)
{
    pair *p = self;
    for (int s = 0; s < SIDES; s++)
        ak_inner_head_free(&p->heads[s]);
    ak_free(p);
}

static akin_status add_head(pair *p, int side, const akin_classes *given, int64_t input_dim,
                            akin_parameters *parameters, akin_error *error)
{
    if (given->count != 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "two_towers head: \"%s\" has %lld heads, must be one", names[side],
                       (long long)given->count);
    AK_TRY(ak_inner_head_create(&p->heads[side], given->items, names[side], (uint64_t)side,
                                input_dim, parameters, error));
    if (!ak_inner_head_tags(&p->heads[side], &(int64_t){0}))
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_ARGUMENT,
                   "two_towers head: \"%s\" goes by tags, which a side has not", names[side]);
}

static akin_status add_heads(pair *p, const options *o, int64_t input_dim,
                             akin_parameters *parameters, akin_error *error)
{
    for (int s = 0; s < SIDES; s++)
        AK_TRY(add_head(p, s, &o->heads[s], input_dim, parameters, error));
    if (p->heads[QUERY].output_dim == p->heads[DOCUMENT].output_dim)
        return AKIN_OK;
    return ak_fail(
        error, AKIN_ERR_ARGUMENT,
        "two_towers head: \"query\" makes %lld numbers and \"document\" %lld, must be equal",
        (long long)p->heads[QUERY].output_dim, (long long)p->heads[DOCUMENT].output_dim);
}

static akin_status create(void **self, const void *given, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error)
{
    *self = NULL;
    pair *p = ak_calloc(1, sizeof *p);
    if (!p)
        return ak_fail_memory(error);
    akin_status status = add_heads(p, given, input_dim, parameters, error);
    if (status) {
        pair_free(p);
        return status;
    }
    *output_dim = p->heads[QUERY].output_dim;
    *self = p;
    return AKIN_OK;
}

/* Queries come first. */
static akin_matrix rows_of(int side, akin_matrix x, const akin_pass *pass)
{
    int64_t queries = x.rows - pass->documents;
    if (!x.data)
        return x;
    return side == QUERY ? ak_matrix_rows(x, 0, queries)
                         : ak_matrix_rows(x, queries, pass->documents);
}

static akin_status forward(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error)
{
    const pair *p = self;
    pair_record *kept = ak_arena_new(pass->arena, pair_record, 1);
    *record = kept;
    if (!kept)
        return ak_fail_memory(error);
    for (int s = 0; s < SIDES; s++) {
        akin_matrix own = rows_of(s, x, pass);
        if (own.rows)
            AK_TRY(ak_inner_head_forward(&p->heads[s], pass, own, rows_of(s, y, pass), &kept->of[s],
                                         error));
    }
    return AKIN_OK;
}

static akin_status backward(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error)
{
    const pair *p = self;
    const pair_record *kept = record;
    for (int s = 0; s < SIDES; s++) {
        akin_matrix own = rows_of(s, x, pass);
        if (own.rows)
            AK_TRY(ak_inner_head_backward(&p->heads[s], pass, kept->of[s], own,
                                          rows_of(s, dy, pass), rows_of(s, dx, pass), error));
    }
    return AKIN_OK;
}

const akin_head_class ak_head_two_towers = {
    .size = sizeof(akin_head_class),
    .name = "two_towers",
    .summary = "a head for queries and another for documents",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .free = pair_free,
    .forward = forward,
    .backward = backward,
    .sides = true,
    .both_sides = true,
};
