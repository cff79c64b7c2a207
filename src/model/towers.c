/* Towers: an encoder with sides is two, the one that queries go through and the one that documents
   do. Each is an encoder like any other, with the cache options of the whole; everything that runs,
   keeps or trains encoders asks for the tower and knows nothing else of sides. */
#include "model/model.h"

#include <string.h>

const char *const ak_tower_names[AK_TOWERS] = {"query", "document"};

bool ak_encoder_has_sides(const akin_encoder *encoder)
{
    return encoder->towers[AK_QUERY_TOWER] != NULL;
}

bool ak_encoder_is_two(const akin_encoder *encoder)
{
    return ak_encoder_has_sides(encoder) && encoder->towers[AK_QUERY_TOWER]->type != encoder->type;
}

const akin_encoder *ak_encoder_tower(const akin_encoder *encoder, ak_tower tower)
{
    return ak_encoder_has_sides(encoder) ? encoder->towers[tower] : encoder;
}

int ak_tower_place(const akin_encoder *encoder, int number, ak_tower tower)
{
    return AK_TOWERS * number + (ak_encoder_has_sides(encoder) ? (int)tower : 0);
}

/* Equal keys are one content. That of what documents read must not be that of what queries read,
   unless the two read objects alike: one object stands for all samples of a content. */
static bool read_alike(const akin_encoder *a, const akin_encoder *b)
{
    const char *x = ak_value_get_string(a->given, "field", "");
    const char *y = ak_value_get_string(b->given, "field", "");
    return (!a->type->key && !b->type->key) || (a->type->key == b->type->key && strcmp(x, y) == 0);
}

/* What it was given, where that is a map of the two; else what the whole was given. */
static const ak_value *given_to(const akin_encoder *encoder, ak_tower tower)
{
    const ak_value *own = ak_value_get(encoder->given, ak_tower_names[tower]);
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
    AK_TRY(open_tower(encoder, AK_DOCUMENT_TOWER, error));
    akin_encoder *const *towers = encoder->towers;
    if (ak_encoder_has_sides(encoder))
        towers[AK_DOCUMENT_TOWER]->keys_apart =
            !read_alike(towers[AK_QUERY_TOWER], towers[AK_DOCUMENT_TOWER]);
    return AKIN_OK;
}

void ak_encoder_free_towers(akin_encoder *encoder)
{
    for (int t = 0; t < AK_TOWERS; t++)
        ak_free(encoder->towers[t]);
}
