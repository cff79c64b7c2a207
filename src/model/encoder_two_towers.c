/* two_towers: queries go through one encoder and documents through another, into one space that a
   run makes of both:

     {type: two_towers, query: {type: transformer, path: small/, trainable: true},
                        document: {type: transformer, path: large/}}

   as DSSM (Huang et al., 2013) and DPR (Karpukhin et al., 2020) have them. The two are encoders
   like any other, each frozen and cached or trained; this one only opens, names and saves them.
   Where one is narrower, its vectors end in zeros, and a head with sides brings both to one width.
 */
#include "model/inner_encoder.h"

typedef struct options {
    akin_classes query, document;
} options;

static const akin_option rows[] = {
    {"query", AKIN_OPTION_CLASSES, offsetof(options, query), NULL,
     "the encoder that queries go through, as {type: transformer, path: small/}"},
    {"document", AKIN_OPTION_CLASSES, offsetof(options, document), NULL,
     "the encoder that documents go through"},
    {NULL},
};

typedef struct pair {
    ak_inner_encoder encoders[AK_TOWERS];
} pair;

static void pair_free(void *self)
{
    pair *p = self;
    for (int t = 0; t < AK_TOWERS; t++)
        ak_inner_encoder_free(&p->encoders[t]);
    ak_free(p);
}

static akin_status open_both(pair *p, const options *o, const akin_place *place, bool load,
                             akin_error *error)
{
    const char *const *names = ak_tower_names;
    const akin_classes *given[AK_TOWERS] = {&o->query, &o->document};
    for (int t = 0; t < AK_TOWERS; t++) {
        if (given[t]->count != 1)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "two_towers encoder: \"%s\" %s, must be one encoder", names[t],
                           given[t]->count ? "is several" : "is missing");
        AK_TRY(ak_inner_encoder_open(&p->encoders[t], given[t]->items, names[t], "two_towers",
                                     place, load, error));
    }
    return AKIN_OK;
}

static akin_status open_pair(void **self, const void *given, const akin_place *place, bool load,
                             akin_error *error)
{
    *self = NULL;
    pair *p = ak_calloc(1, sizeof *p);
    if (!p)
        return ak_fail_memory(error);
    akin_status status = open_both(p, given, place, load, error);
    if (status) {
        pair_free(p);
        return status;
    }
    *self = p;
    return AKIN_OK;
}

static akin_status create(void **self, const void *given, const akin_place *place,
                          akin_error *error)
{
    return open_pair(self, given, place, false, error);
}

static akin_status load(void **self, const void *given, const akin_place *place, akin_error *error)
{
    return open_pair(self, given, place, true, error);
}

static akin_status save(const void *self, const char *folder, akin_error *error)
{
    const pair *p = self;
    for (int t = 0; t < AK_TOWERS; t++)
        AK_TRY(ak_inner_encoder_save(&p->encoders[t], folder, error));
    return AKIN_OK;
}

static int64_t dim(const void *self)
{
    const pair *p = self;
    int64_t query = ak_inner_encoder_dim(&p->encoders[AK_QUERY_TOWER]);
    int64_t document = ak_inner_encoder_dim(&p->encoders[AK_DOCUMENT_TOWER]);
    return query > document ? query : document;
}

static bool side(const void *self, bool document, const akin_encoder_class **type, void **inner)
{
    const ak_inner_encoder *e =
        &((const pair *)self)->encoders[document ? AK_DOCUMENT_TOWER : AK_QUERY_TOWER];
    *type = e->type;
    *inner = e->self;
    return true;
}

static void notes(const void *self, char *out, size_t size)
{
    ak_inner_encoder_notes(((const pair *)self)->encoders, AK_TOWERS, out, size);
}

const akin_encoder_class ak_encoder_two_towers = {
    .size = sizeof(akin_encoder_class),
    .name = "two_towers",
    .summary = "one encoder for queries and another for documents (Huang et al., 2013)",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .load = load,
    .save = save,
    .free = pair_free,
    .dim = dim,
    .notes = notes,
    .side = side,
};
