/* The base of a tuned model. Frozen encoders under a head are their own base. Encoders that were
   trained are not: then it is the folder that akin.json names, read with the model's own options
   (field, maximum length), so that nothing differs but the weights. */
#include "eval/evaluator.h"

#include <string.h>

/* Trained in this process, or loaded and trained before. */
static bool any_trained(const akin_model *model)
{
    bool trained = false;
    for (int i = 0; i < model->encoder_count; i++)
        trained |= ak_encoder_trainable(model->encoders[i].encoder) ||
                   ak_value_get_bool(model->encoders[i].encoder->given, "trainable", false);
    return trained;
}

static akin_status load(akin_model **out, const akin_model *model, akin_error *error)
{
    const akin_encoder *tuned = model->encoders[0].encoder;
    akin_named_encoder named = {model->encoders[0].name, NULL};
    AK_TRY(ak_encoder_make(&named.encoder, model->context, tuned->given, model->base_path,
                           model->base_path, tuned->precision, true, error));
    akin_status status = akin_model_create(out, model->context, &named, 1, NULL, error);
    if (status)
        akin_encoder_free(named.encoder);
    return status;
}

akin_status ak_find_base(akin_model **loaded, bool *without_head, const akin_model *model,
                         akin_error *error)
{
    akin_error why = {0};
    *loaded = NULL;
    *without_head = false;
    if (!any_trained(model)) {
        *without_head = model->head && strcmp(model->head->type->name, "empty") != 0;
        return AKIN_OK;
    }
    if (!model->base_path || model->encoder_count > 1) {
        ak_note(model->context, "no base: encoders were trained, and %s",
                model->base_path ? "there are several" : "the model names no base");
        return AKIN_OK;
    }
    akin_status status = load(loaded, model, &why);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    if (status)
        ak_note(model->context, "no base: %s", why.message);
    return AKIN_OK;
}
