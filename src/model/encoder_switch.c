/* switch: each record goes through the encoder that one of its members names, after Quaterion's
   SwitchEncoder: questions through one encoder and code through another, into one space of
   features.

     {type: switch, by: kind, encoders: {question: {...}, code: {...}}}

   The encoders are equally wide. The name that the member holds is the object's tag, which a switch
   head may go by. */
#include "model/inner_encoder.h"

#include <stdio.h>
#include <string.h>

enum { MAX_ENCODERS = 64 };

typedef struct options {
    const char *by;
    akin_classes encoders;
} options;

static const akin_option rows[] = {
    {"by", AKIN_OPTION_STRING, offsetof(options, by), NULL,
     "the member of a record that names its encoder"},
    {"encoders", AKIN_OPTION_CLASSES, offsetof(options, encoders), NULL,
     "the encoders by name, as {question: {type: transformer, path: a/}, code: {...}}"},
    {NULL},
};

typedef struct chooser {
    char *by;
    int64_t count;
    char *names[MAX_ENCODERS];
    ak_inner_encoder encoders[MAX_ENCODERS];
} chooser;

/* What one encoder gets of a batch. */
typedef struct share {
    int64_t count;
    int64_t *rows;
    void *batch;
} share;

static void chooser_free(void *self)
{
    chooser *c = self;
    for (int64_t k = 0; k < MAX_ENCODERS; k++) {
        ak_inner_encoder_free(&c->encoders[k]);
        ak_free(c->names[k]);
    }
    ak_free(c->by);
    ak_free(c);
}

/* ---- opening ---- */

static akin_status check(const options *o, akin_error *error)
{
    const akin_classes *e = &o->encoders;
    if (!o->by)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "switch encoder: \"by\" is missing: the member that names the encoder");
    if (e->count < 1 || e->count > MAX_ENCODERS || !e->items[0].name)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "switch encoder: \"encoders\" must be a map of 1 to %d encoders",
                       MAX_ENCODERS);
    for (int64_t k = 0; k < e->count; k++) {
        const char *name = e->items[k].name;
        if (!*name || strchr(name, '/') || *name == '.')
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "switch encoder: \"%s\" is no name for an encoder's folder", name);
    }
    return AKIN_OK;
}

static akin_status open_inner(chooser *c, int64_t k, const akin_class_given *given,
                              const akin_place *place, bool load, akin_error *error)
{
    if (!(c->names[k] = ak_strdup(given->name)))
        return ak_fail_memory(error);
    return ak_inner_encoder_open(&c->encoders[k], given, c->names[k], "switch", place, load, error);
}

static akin_status check_inner(chooser *c, int64_t k, akin_error *error)
{
    long long first = ak_inner_encoder_dim(&c->encoders[0]);
    long long width = ak_inner_encoder_dim(&c->encoders[k]);
    if (width != first)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "switch encoder: \"%s\" gives %lld numbers and \"%s\" %lld, must be equal",
                       c->names[0], first, c->names[k], width);
    return AKIN_OK;
}

static akin_status fill(chooser *c, const options *o, const akin_place *place, bool load,
                        akin_error *error)
{
    if (!(c->by = ak_strdup(o->by)))
        return ak_fail_memory(error);
    for (int64_t k = 0; k < o->encoders.count; k++) {
        AK_TRY(open_inner(c, k, &o->encoders.items[k], place, load, error));
        c->count++;
        AK_TRY(check_inner(c, k, error));
    }
    return AKIN_OK;
}

static akin_status open_chooser(void **self, const void *given, const akin_place *place, bool load,
                                akin_error *error)
{
    *self = NULL;
    AK_TRY(check(given, error));
    chooser *c = ak_calloc(1, sizeof *c);
    if (!c)
        return ak_fail_memory(error);
    akin_status status = fill(c, given, place, load, error);
    if (status) {
        chooser_free(c);
        return status;
    }
    *self = c;
    return AKIN_OK;
}

static akin_status create(void **self, const void *given, const akin_place *place,
                          akin_error *error)
{
    return open_chooser(self, given, place, false, error);
}

static akin_status load(void **self, const void *given, const akin_place *place, akin_error *error)
{
    return open_chooser(self, given, place, true, error);
}

static akin_status save(const void *self, const char *folder, akin_error *error)
{
    const chooser *c = self;
    for (int64_t k = 0; k < c->count; k++)
        AK_TRY(ak_inner_encoder_save(&c->encoders[k], folder, error));
    return AKIN_OK;
}

/* ---- which encoder ---- */

static akin_status unknown(const chooser *c, akin_object object, const ak_value *found,
                           akin_error *error)
{
    char names[256] = "";
    size_t used = 0;
    for (int64_t k = 0; k < c->count && used < sizeof names; k++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s\"%s\"", k ? ", " : "",
                                 c->names[k]);
    return ak_fail(error, AKIN_ERR_FORMAT,
                   "record %.*s: the member \"%s\" is %s%.60s%s, expected one of %s",
                   object.size < 80 ? (int)object.size : 80, (const char *)object.data, c->by,
                   found->kind == AK_STRING ? "\"" : "",
                   found->kind == AK_STRING ? found->string
                   : found->kind == AK_NULL ? "missing"
                                            : ak_value_kind_name(found->kind),
                   found->kind == AK_STRING ? "\"" : "", names);
}

static akin_status tag_in(const chooser *c, akin_object object, akin_arena *arena, int64_t *tag,
                          akin_error *error)
{
    const char *fields[] = {c->by};
    ak_value found;
    AK_TRY(ak_json_fields(object.data, object.size, fields, 1, &found, arena, "record", 0, error));
    for (*tag = 0; *tag < c->count && found.kind == AK_STRING; (*tag)++)
        if (strcmp(c->names[*tag], found.string) == 0)
            return AKIN_OK;
    return unknown(c, object, &found, error);
}

static akin_status tag(const void *self, akin_object object, int64_t *out, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = tag_in(self, object, arena, out, error);
    ak_arena_free(arena);
    return status;
}

static const char *const *tags(const void *self, int64_t *count)
{
    const chooser *c = self;
    *count = c->count;
    return (const char *const *)c->names;
}

/* ---- what it depends on ---- */

static akin_status key(const void *self, akin_object object, akin_hash *out, akin_error *error)
{
    const chooser *c = self;
    int64_t k;
    AK_TRY(tag(self, object, &k, error));
    const ak_inner_encoder *e = &c->encoders[k];
    *out = ak_hash_bytes(object.data, object.size);
    if (e->type->key)
        AK_TRY(e->type->key(e->self, object, out, error));
    *out = ak_hash_combine(ak_hash_text(c->names[k]), *out);
    return AKIN_OK;
}

static akin_status fingerprint(const void *self, akin_hash *out, akin_error *error)
{
    const chooser *c = self;
    *out = ak_hash_text(c->by);
    for (int64_t k = 0; k < c->count; k++) {
        akin_hash one;
        AK_TRY(c->encoders[k].type->fingerprint(c->encoders[k].self, &one, error));
        *out = ak_hash_combine(*out, ak_hash_combine(ak_hash_text(c->names[k]), one));
    }
    return AKIN_OK;
}

static int64_t dim(const void *self)
{
    const chooser *c = self;
    return ak_inner_encoder_dim(&c->encoders[0]);
}

static bool trainable(const void *self)
{
    const chooser *c = self;
    for (int64_t k = 0; k < c->count; k++)
        if (ak_inner_encoder_trainable(&c->encoders[k]))
            return true;
    return false;
}

static akin_parameters *parts(void *self, int number, const char **name)
{
    chooser *c = self;
    for (int64_t k = 0; k < c->count; k++) {
        const ak_inner_encoder *e = &c->encoders[k];
        if (!ak_inner_encoder_trainable(e) || number--)
            continue;
        *name = e->name;
        return e->type->parameters(e->self);
    }
    return NULL;
}

static void notes(const void *self, char *out, size_t size)
{
    const chooser *c = self;
    ak_inner_encoder_notes(c->encoders, c->count, out, size);
}

/* ---- passes ---- */

static akin_status collate_share(const ak_inner_encoder *e, const akin_object *objects, share *s,
                                 akin_arena *arena, akin_error *error)
{
    akin_object *own = ak_arena_new(arena, akin_object, s->count);
    if (!own)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < s->count; i++)
        own[i] = objects[s->rows[i]];
    return e->type->collate(e->self, own, s->count, arena, &s->batch, error);
}

static akin_status collate(const void *self, const akin_object *objects, int64_t count,
                           akin_arena *arena, void **batch, akin_error *error)
{
    const chooser *c = self;
    share *shares = ak_arena_new(arena, share, c->count);
    if (!shares)
        return ak_fail_memory(error);
    for (int64_t k = 0; k < c->count; k++) {
        shares[k] = (share){.rows = ak_arena_new(arena, int64_t, count)};
        if (!shares[k].rows)
            return ak_fail_memory(error);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t k;
        AK_TRY(tag_in(c, objects[i], arena, &k, error));
        shares[k].rows[shares[k].count++] = i;
    }
    for (int64_t k = 0; k < c->count; k++)
        if (shares[k].count)
            AK_TRY(collate_share(&c->encoders[k], objects, &shares[k], arena, error));
    *batch = shares;
    return AKIN_OK;
}

/* The pass as one encoder sees it: its objects keep their numbers. */
static akin_status own_pass(akin_pass *own, const akin_pass *pass, const share *s,
                            akin_error *error)
{
    int64_t *numbers = ak_arena_new(pass->arena, int64_t, s->count);
    if (!numbers)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < s->count; i++)
        numbers[i] = pass->numbers ? pass->numbers[s->rows[i]] : s->rows[i];
    *own = *pass;
    own->numbers = numbers;
    return AKIN_OK;
}

static akin_status forward(const void *self, const akin_pass *pass, const void *batch,
                           akin_matrix y, void **record, akin_error *error)
{
    const chooser *c = self;
    const share *shares = batch;
    void **records = ak_arena_new(pass->arena, void *, c->count);
    *record = records;
    if (!records)
        return ak_fail_memory(error);
    for (int64_t k = 0; k < c->count; k++) {
        const share *s = &shares[k];
        akin_pass own;
        if (!s->count)
            continue;
        akin_matrix part = ak_matrix_new(pass->arena, s->count, y.columns);
        if (!part.data)
            return ak_fail_memory(error);
        AK_TRY(own_pass(&own, pass, s, error));
        AK_TRY(c->encoders[k].type->forward(c->encoders[k].self, &own, s->batch, part, &records[k],
                                            error));
        for (int64_t i = 0; i < s->count; i++)
            ak_matrix_copy(ak_matrix_rows(part, i, 1), ak_matrix_rows(y, s->rows[i], 1));
    }
    return AKIN_OK;
}

static akin_status backward_share(const ak_inner_encoder *e, const share *s, const akin_pass *pass,
                                  const void *record, akin_matrix dy, akin_error *error)
{
    akin_pass own;
    AK_TRY(own_pass(&own, pass, s, error));
    akin_matrix part = ak_matrix_new(pass->arena, s->count, dy.columns);
    if (!part.data)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < s->count; i++)
        ak_matrix_copy(ak_matrix_rows(dy, s->rows[i], 1), ak_matrix_rows(part, i, 1));
    return e->type->backward(e->self, &own, s->batch, record, part, error);
}

static akin_status backward(void *self, const akin_pass *pass, const void *batch,
                            const void *record, akin_matrix dy, akin_error *error)
{
    chooser *c = self;
    const share *shares = batch;
    void *const *records = record;
    for (int64_t k = 0; k < c->count; k++)
        if (shares[k].count && ak_inner_encoder_trainable(&c->encoders[k]))
            AK_TRY(backward_share(&c->encoders[k], &shares[k], pass, records[k], dy, error));
    return AKIN_OK;
}

const akin_encoder_class ak_encoder_switch = {
    .size = sizeof(akin_encoder_class),
    .name = "switch",
    .summary = "one of several encoders for each record, chosen by a member of it",
    .options = rows,
    .options_size = sizeof(options),
    .create = create,
    .load = load,
    .save = save,
    .free = chooser_free,
    .dim = dim,
    .trainable = trainable,
    .key = key,
    .fingerprint = fingerprint,
    .collate = collate,
    .forward = forward,
    .backward = backward,
    .parts = parts,
    .notes = notes,
    .tags = tags,
    .tag = tag,
};
