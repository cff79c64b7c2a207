/* Vector spaces of a model: which encoders objects go through on the way into one, whether the head
   comes then, and the fingerprint of all that, by which vectors of two spaces are told apart. */
#include "model/model.h"

#include "model/heads.h"

#include <string.h>

bool akin_model_base_has_sides(const akin_model *model)
{
    for (int i = 0; i < model->encoder_count; i++)
        if (ak_encoder_has_sides(model->encoders[i].encoder))
            return true;
    return false;
}

bool akin_model_has_sides(const akin_model *model)
{
    return akin_model_base_has_sides(model) ||
           (model->head && ak_head_has_sides(model->head->type));
}

bool ak_model_two_ways(const akin_model *model, bool base)
{
    return base ? akin_model_base_has_sides(model) : akin_model_has_sides(model);
}

/* ---- the way ---- */

ak_way ak_model_side_way(const akin_model *model, bool base, ak_tower tower)
{
    const akin_head *head = model->head;
    bool past = head && tower == AK_DOCUMENT_TOWER && ak_head_has_sides(head->type) &&
                !ak_head_has_both_sides(head->type);
    return (ak_way){tower, head && !base && !past};
}

int64_t ak_model_way_dim(const akin_model *model, ak_way way)
{
    return way.head ? model->dim : model->input_dim;
}

static akin_status ambiguous(const akin_model *model, akin_error *error)
{
    for (int i = 0; i < model->encoder_count; i++)
        if (ak_encoder_has_sides(model->encoders[i].encoder))
            return ak_fail(
                error, AKIN_ERR_MISMATCH,
                "the model has a query and a document side (its encoder \"%s\" is one "
                "of two, or has a prompt for each): say which of the two the objects are",
                model->encoders[i].name);
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "the model has a query and a document side (its head is %s): say which of "
                   "the two the objects are",
                   model->head->type->name);
}

akin_status ak_model_way(const akin_model *model, akin_space space, ak_way *way, akin_error *error)
{
    bool base = space == AKIN_SPACE_BASE || space == AKIN_SPACE_BASE_QUERY ||
                space == AKIN_SPACE_BASE_DOCUMENT;
    bool document = space == AKIN_SPACE_DOCUMENT || space == AKIN_SPACE_BASE_DOCUMENT;
    *way = ak_model_side_way(model, base, document ? AK_DOCUMENT_TOWER : AK_QUERY_TOWER);
    if (space < AKIN_SPACE_MODEL || space > AKIN_SPACE_BASE_DOCUMENT)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%d is no akin_space", (int)space);
    if ((space == AKIN_SPACE_MODEL || space == AKIN_SPACE_BASE) && ak_model_two_ways(model, base))
        return ambiguous(model, error);
    return AKIN_OK;
}

/* ---- fingerprints ---- */

static akin_status encoders_fingerprint(const akin_model *model, ak_tower tower,
                                        ak_hash *fingerprint, akin_error *error)
{
    for (int i = 0; i < model->encoder_count; i++) {
        bool has;
        ak_hash one;
        AK_TRY(ak_encoder_fingerprint(ak_encoder_tower(model->encoders[i].encoder, tower), &has,
                                      &one, error));
        *fingerprint = i ? ak_hash_combine(*fingerprint, one) : one;
    }
    return AKIN_OK;
}

akin_status ak_model_encoders_hash(const akin_model *model, ak_hash *out, akin_error *error)
{
    ak_hash documents;
    AK_TRY(encoders_fingerprint(model, AK_QUERY_TOWER, out, error));
    if (!akin_model_base_has_sides(model))
        return AKIN_OK;
    AK_TRY(encoders_fingerprint(model, AK_DOCUMENT_TOWER, &documents, error));
    *out = ak_hash_combine(*out, documents);
    return AKIN_OK;
}

/* side NULL: all of them. */
static ak_hash parameters_hash(const akin_parameters *parameters, const char *side)
{
    if (!side)
        return ak_hash_bytes(ak_parameters_values(parameters),
                             (size_t)ak_parameters_size(parameters) * sizeof(float));
    ak_hash hash = ak_hash_text(side);
    size_t length = strlen(side);
    for (int i = 0; i < ak_parameters_count(parameters); i++) {
        const akin_parameter *p = akin_parameters_get(parameters, i);
        if (strncmp(p->name, side, length) == 0 && p->name[length] == '.')
            hash = ak_hash_combine(
                hash, ak_hash_bytes(p->value, (size_t)(p->rows * p->columns) * sizeof *p->value));
    }
    return hash;
}

static akin_status add_head(ak_hash *fingerprint, const akin_head *head, ak_tower tower,
                            akin_error *error)
{
    const char *side = ak_head_has_both_sides(head->type) ? ak_tower_names[tower] : NULL;
    char *options = ak_json_write(side ? ak_value_get(head->given, side) : head->given, 0);
    if (!options)
        return ak_fail_memory(error);
    ak_hash values = parameters_hash(head->parameters, side);
    *fingerprint = ak_hash_combine(*fingerprint, ak_hash_combine(ak_hash_text(options), values));
    ak_free(options);
    return AKIN_OK;
}

static akin_status way_fingerprint(const akin_model *model, ak_way way, ak_hash *fingerprint,
                                   akin_error *error)
{
    AK_TRY(encoders_fingerprint(model, way.tower, fingerprint, error));
    bool changed = way.head && strcmp(model->head->type->name, "empty") != 0;
    return changed ? add_head(fingerprint, model->head, way.tower, error) : AKIN_OK;
}

akin_status akin_model_fingerprint(const akin_model *model, akin_hash *fingerprint,
                                   akin_error *error)
{
    return way_fingerprint(model, ak_model_side_way(model, false, AK_QUERY_TOWER), fingerprint,
                           error);
}

akin_status akin_model_space_fingerprint(const akin_model *model, akin_space space,
                                         akin_hash *fingerprint, akin_error *error)
{
    ak_way way;
    AK_TRY(ak_model_way(model, space, &way, error));
    return way_fingerprint(model, way, fingerprint, error);
}
