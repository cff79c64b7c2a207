/* Towers: an encoder with sides is two, the one that queries go through and the one that documents
   do. Each is an encoder like any other, with the cache options of the whole; everything that runs,
   keeps or trains encoders asks for the tower and knows nothing else of sides. */
#include "model/model.h"

bool ak_encoder_has_sides(const akin_encoder *encoder)
{
    return encoder->towers[AK_QUERY_TOWER] != NULL;
}

const akin_encoder *ak_encoder_tower(const akin_encoder *encoder, ak_tower tower)
{
    return ak_encoder_has_sides(encoder) ? encoder->towers[tower] : encoder;
}

int ak_tower_place(const akin_encoder *encoder, int number, ak_tower tower)
{
    return AK_TOWERS * number + (ak_encoder_has_sides(encoder) ? (int)tower : 0);
}

/* What it was given, where that is a map of the two; else what the whole was given. */
static const ak_value *given_to(const akin_encoder *encoder, ak_tower tower)
{
    const ak_value *own =
        ak_value_get(encoder->given, tower == AK_DOCUMENT_TOWER ? "document" : "query");
    return own && own->kind == AK_MAP ? own : encoder->given;
}

static akin_status open_tower(akin_encoder *encoder, ak_tower tower, akin_error *error)
{
    const akin_encoder_class *type;
    void *self;
    if (!encoder->type->side(encoder->self, tower == AK_DOCUMENT_TOWER, &type, &self))
        return AKIN_OK;
    akin_encoder *own = encoder->towers[tower] = ak_calloc(1, sizeof *own);
    if (!own)
        return ak_fail_memory(error);
    own->type = type;
    own->self = self;
    own->given = given_to(encoder, tower);
    own->precision = encoder->precision;
    own->key_field = encoder->key_field;
    own->cache = encoder->cache;
    return AKIN_OK;
}

akin_status ak_encoder_open_towers(akin_encoder *encoder, akin_error *error)
{
    if (!AK_CLASS_HAS(encoder->type, side))
        return AKIN_OK;
    AK_TRY(open_tower(encoder, AK_QUERY_TOWER, error));
    return open_tower(encoder, AK_DOCUMENT_TOWER, error);
}

void ak_encoder_free_towers(akin_encoder *encoder)
{
    for (int t = 0; t < AK_TOWERS; t++)
        ak_free(encoder->towers[t]);
}
