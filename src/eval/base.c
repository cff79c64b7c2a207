/* The base of a tuned model. Frozen encoders under a head are their own base. Encoders that were
   trained are not: then it is the folder that akin.json names, with the adapter it names, read with
   the model's own options (field, maximum length), so that nothing differs but the weights. */
#include "eval/evaluator.h"

#include <string.h>

static bool any_says_so(const ak_value *maps)
{
    bool says = false;
    for (const ak_value *one = maps ? maps->first : NULL; one; one = one->next)
        says |= ak_value_get_bool(one, "trainable", false);
    return says;
}

/* Trained in this process, or loaded and trained before; itself, or an encoder inside it. */
static bool is_trained(const akin_encoder *encoder)
{
    const ak_value *given = encoder->given;
    return ak_encoder_trainable(encoder) || ak_value_get_bool(given, "trainable", false) ||
           any_says_so(given) || any_says_so(ak_value_get(given, "encoders"));
}

static bool any_trained(const akin_model *model)
{
    bool trained = false;
    for (int i = 0; i < model->encoder_count; i++)
        trained |= is_trained(model->encoders[i].encoder);
    return trained;
}

/* Those that a transformer which is not trained refuses. */
static bool is_of_training(const char *key)
{
    static const char *const keys[] = {"trainable_layers", "train_embeddings", "lora_rank",
                                       "freeze", "recompute"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* A base with an adapter is none of the folders that akin saved: it is opened as it was before the
   training, with the tuned encoder's options but for those that train. */
static akin_status open_adapted(akin_encoder **out, const akin_model *model,
                                akin_precision precision, akin_error *error)
{
    const akin_encoder *tuned = model->encoders[0].encoder;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *map = ak_value_new_map(arena);
    bool whole = ak_value_add_string(arena, map, "path", model->base_path) &&
                 ak_value_add_string(arena, map, "lora", model->base_lora) &&
                 ak_value_add_bool(arena, map, "trainable", false);
    for (const ak_value *o = tuned->given->first; o && whole; o = o->next)
        if (!ak_value_get(map, o->key) && !is_of_training(o->key))
            whole = ak_value_attach(arena, map, o->key, o) != NULL;
    akin_status status = whole ? ak_encoder_make(out, model->context, map, model->base_path, ".",
                                                 precision, false, error)
                               : ak_fail_memory(error);
    ak_arena_free(arena);
    return status;
}

static akin_status open_encoder(akin_encoder **out, const akin_model *model,
                                akin_precision precision, akin_error *error)
{
    if (model->base_lora)
        return open_adapted(out, model, precision, error);
    return ak_encoder_make(out, model->context, model->encoders[0].encoder->given, model->base_path,
                           model->base_path, precision, true, error);
}

static akin_status open_base(akin_model **out, const akin_model *model, akin_precision precision,
                             akin_error *error)
{
    akin_named_encoder named = {model->encoders[0].name, NULL};
    AK_TRY(open_encoder(&named.encoder, model, precision, error));
    akin_status status = akin_model_create(out, model->context, &named, 1, NULL, error);
    if (status)
        akin_encoder_free(named.encoder);
    return status;
}

/* What is in the folder now may not be what the training began with. */
static akin_status check_same(const akin_model *base, const akin_model *model, akin_error *error)
{
    ak_hash now;
    char was[AK_HASH_HEX], is[AK_HASH_HEX];
    if (ak_hash_equal(model->base, (ak_hash){0}))
        return AKIN_OK;
    AK_TRY(ak_model_encoders_hash(base, &now, error));
    if (ak_hash_equal(now, model->base))
        return AKIN_OK;
    ak_hash_to_hex(model->base, was);
    ak_hash_to_hex(now, is);
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "it has changed since the training: it was %s, %s is %s; name a "
                   "base to compare with (--base)",
                   was, model->base_path, is);
}

/* The fingerprint is of the precision that was saved, in which the model need not be read. */
static akin_status load(akin_model **out, const akin_model *model, akin_error *error)
{
    akin_precision precision = model->encoders[0].encoder->precision;
    AK_TRY(open_base(out, model, model->path ? AKIN_AS_SAVED : precision, error));
    akin_status status = check_same(*out, model, error);
    if (!status && (*out)->encoders[0].encoder->precision == precision)
        return AKIN_OK;
    akin_model_free(*out);
    *out = NULL;
    return status ? status : open_base(out, model, precision, error);
}

akin_status akin_model_base(akin_model **loaded, bool *without_head, const akin_model *model,
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
