/* A model: encoders side by side, then a head. */
#include "model/model.h"

#include "model/heads.h"
#include "model/transformer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Objects that go through the model at once: bounds the memory of a call, and is enough to keep all
   cores busy. */
#define CHUNK 2048

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ak_model_encoder *)a)->name, ((const ak_model_encoder *)b)->name);
}

static akin_status check_names(const akin_model *model, akin_error *error)
{
    for (int i = 0; i < model->encoder_count; i++) {
        const char *name = model->encoders[i].name;
        if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "_-") != strlen(name))
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "an encoder's name must be letters, digits, _ or -, not \"%s\"", name);
        if (i && strcmp(model->encoders[i - 1].name, name) == 0)
            return ak_fail(error, AKIN_ERR_ARGUMENT, "two encoders are named \"%s\"", name);
    }
    return AKIN_OK;
}

static akin_status take_encoders(akin_model *model, const akin_named_encoder *encoders, int count,
                                 akin_error *error)
{
    model->encoders = ak_calloc((size_t)count, sizeof *model->encoders);
    if (!model->encoders)
        return ak_fail_memory(error);
    for (int i = 0; i < count; i++) {
        if (!encoders[i].name || !encoders[i].encoder)
            return ak_fail(error, AKIN_ERR_ARGUMENT, "encoder %d of %d has no %s", i + 1, count,
                           encoders[i].name ? "object" : "name");
        model->encoders[i] =
            (ak_model_encoder){ak_strdup(encoders[i].name), encoders[i].encoder, 0};
        model->encoder_count = i + 1;
        if (!model->encoders[i].name)
            return ak_fail_memory(error);
    }
    qsort(model->encoders, (size_t)count, sizeof *model->encoders, by_name);
    AK_TRY(check_names(model, error));
    for (int i = 0; i < count; i++) {
        model->encoders[i].offset = model->input_dim;
        model->input_dim += akin_encoder_dim(model->encoders[i].encoder);
    }
    return AKIN_OK;
}

/* Vectors of two widths cannot be compared, unless a head has a way for each. */
static akin_status check_widths(const akin_model *model, akin_error *error)
{
    if (model->head && ak_head_has_sides(model->head->type))
        return AKIN_OK;
    for (int i = 0; i < model->encoder_count; i++) {
        const akin_encoder *encoder = model->encoders[i].encoder;
        long long query = akin_encoder_dim(ak_encoder_tower(encoder, AK_QUERY_TOWER));
        long long document = akin_encoder_dim(ak_encoder_tower(encoder, AK_DOCUMENT_TOWER));
        if (query != document)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "the encoder \"%s\" gives queries %lld numbers and documents %lld: a "
                           "head with sides, such as two_towers, must bring them to one width",
                           model->encoders[i].name, query, document);
    }
    return AKIN_OK;
}

/* Gives back what the caller still owns, then frees the rest. */
static void drop(akin_model *model)
{
    for (int i = 0; i < model->encoder_count; i++)
        model->encoders[i].encoder = NULL;
    model->head = NULL;
    akin_model_free(model);
}

akin_status akin_model_create(akin_model **out, akin_context *context,
                              const akin_named_encoder *encoders, int count, akin_head *head,
                              akin_error *error)
{
    *out = NULL;
    if (count < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a model needs at least one encoder");
    if (count > AK_MAX_ENCODERS)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "more than %d encoders", AK_MAX_ENCODERS);
    akin_model *model = ak_calloc(1, sizeof *model);
    if (!model)
        return ak_fail_memory(error);
    model->context = context;
    akin_status status = take_encoders(model, encoders, count, error);
    if (!status && head && head->input_dim != model->input_dim)
        status = ak_fail(error, AKIN_ERR_MISMATCH,
                         "the encoders give %lld numbers an object, but the head takes %lld",
                         (long long)model->input_dim, (long long)head->input_dim);
    model->head = head;
    if (!status)
        status = check_widths(model, error);
    if (!status)
        status = ak_model_match_tags(model, error);
    if (status) {
        drop(model);
        return status;
    }
    model->dim = head ? head->output_dim : model->input_dim;
    *out = model;
    return AKIN_OK;
}

void akin_model_free(akin_model *model)
{
    if (!model)
        return;
    for (int i = 0; i < model->encoder_count; i++) {
        akin_encoder_free(model->encoders[i].encoder);
        ak_free(model->encoders[i].name);
    }
    ak_free(model->encoders);
    ak_free(model->tag_map);
    akin_head_free(model->head);
    ak_free(model->path);
    ak_free(model->base_path);
    ak_free(model->base_lora);
    ak_free(model->training_json);
    ak_free(model->metrics_json);
    ak_model_loss_free(model->loss);
    ak_free(model);
}

int64_t akin_model_dim(const akin_model *model)
{
    return model->dim;
}

int64_t akin_model_base_dim(const akin_model *model)
{
    return model->input_dim;
}

/* ---- what an object and a space are ---- */

akin_status ak_model_keys(const akin_model *model, ak_tower tower, akin_object object,
                          ak_hash *keys, akin_error *error)
{
    for (int i = 0; i < model->encoder_count; i++)
        AK_TRY(ak_encoder_key(ak_encoder_tower(model->encoders[i].encoder, tower), object, &keys[i],
                              error));
    return AKIN_OK;
}

akin_status ak_model_rule_keys(void *user, akin_object object, bool document, ak_hash *keys,
                               akin_error *error)
{
    return ak_model_keys(user, document ? AK_DOCUMENT_TOWER : AK_QUERY_TOWER, object, keys, error);
}

void ak_model_set_cache(akin_model *model, const akin_cache_options *options)
{
    for (int i = 0; i < model->encoder_count; i++)
        if (!model->encoders[i].encoder->cache_is_set)
            ak_encoder_cache_as(model->encoders[i].encoder, options);
}

akin_matrix ak_model_columns(const akin_model *model, int e, ak_tower tower, akin_matrix features)
{
    return ak_matrix_columns(features, model->encoders[e].offset,
                             akin_encoder_dim(ak_encoder_tower(model->encoders[e].encoder, tower)));
}

void ak_model_pad(const akin_model *model, int e, ak_tower tower, akin_matrix features)
{
    const akin_encoder *encoder = model->encoders[e].encoder;
    int64_t own = akin_encoder_dim(ak_encoder_tower(encoder, tower));
    int64_t more = akin_encoder_dim(encoder) - own;
    float *first = features.data + model->encoders[e].offset + own;
    for (int64_t i = 0; i < features.rows && more; i++)
        memset(first + i * features.stride, 0, (size_t)more * sizeof *first);
}

/* ---- encoding ---- */

static akin_status encode_features(const akin_model *model, ak_tower tower, const akin_pass *pass,
                                   const akin_object *objects, akin_matrix features,
                                   akin_error *error)
{
    for (int i = 0; i < model->encoder_count; i++) {
        const akin_encoder *encoder = ak_encoder_tower(model->encoders[i].encoder, tower);
        AK_TRY(ak_encoder_run(encoder, model->encoders[i].name, pass, objects,
                              ak_model_columns(model, i, tower, features), error));
        ak_model_pad(model, i, tower, features);
    }
    return AKIN_OK;
}

akin_status ak_model_head_forward(const akin_model *model, const akin_pass *pass,
                                  akin_matrix features, akin_matrix y, akin_error *error)
{
    if (model->head) {
        void *record;
        return model->head->type->forward(model->head->self, pass, features, y, &record, error);
    }
    for (int64_t i = 0; i < features.rows; i++)
        memcpy(y.data + i * y.stride, features.data + i * features.stride,
               (size_t)features.columns * sizeof(float));
    return AKIN_OK;
}

static akin_status encode_chunk(const akin_model *model, ak_way way, akin_arena *arena,
                                const akin_object *objects, akin_matrix y, akin_error *error)
{
    akin_pass pass = {.size = sizeof pass,
                      .arena = arena,
                      .documents = way.tower == AK_DOCUMENT_TOWER ? y.rows : 0};
    if (!way.head)
        return encode_features(model, way.tower, &pass, objects, y, error);
    akin_matrix features = ak_matrix_new(arena, y.rows, model->input_dim);
    if (!features.data)
        return ak_fail_memory(error);
    AK_TRY(encode_features(model, way.tower, &pass, objects, features, error));
    AK_TRY(ak_model_tags(model, objects, y.rows, arena, &pass.tags, error));
    return ak_model_head_forward(model, &pass, features, y, error);
}

akin_status akin_model_encode_in(const akin_model *model, akin_space space,
                                 const akin_object *objects, int64_t count, float *out,
                                 akin_error *error)
{
    ak_way way;
    akin_arena *arena;
    AK_TRY(ak_model_way(model, space, &way, error));
    int64_t dim = ak_model_way_dim(model, way);
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i += CHUNK) {
        int64_t n = count - i < CHUNK ? count - i : CHUNK;
        status =
            encode_chunk(model, way, arena, objects + i, ak_matrix(out + i * dim, n, dim), error);
        ak_arena_reset(arena);
    }
    ak_arena_free(arena);
    return status;
}

akin_status akin_model_encode(const akin_model *model, const akin_object *objects, int64_t count,
                              float *out, akin_error *error)
{
    return akin_model_encode_in(model, AKIN_SPACE_MODEL, objects, count, out, error);
}

akin_status akin_model_encode_base(const akin_model *model, const akin_object *objects,
                                   int64_t count, float *out, akin_error *error)
{
    return akin_model_encode_in(model, AKIN_SPACE_BASE, objects, count, out, error);
}

akin_status akin_model_confidence(const akin_model *model, const float *embeddings, int64_t count,
                                  float *confidence, akin_error *error)
{
    const akin_head *head = model->head;
    akin_matrix y = {
        .data = (float *)embeddings, .rows = count, .columns = model->dim, .stride = model->dim};
    if (head && ak_head_confidence(head->type, head->self, y, confidence))
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "%s %s: no confidence; of the built-in heads softmax_embeddings tells one",
                   head ? "the head is" : "the model has", head ? head->type->name : "no head");
}

/* What it counts, its towers count for it. */
static long long keyless_objects(const akin_encoder *encoder)
{
    long long count = atomic_load(&encoder->keyless);
    for (int t = 0; t < AK_TOWERS && ak_encoder_has_sides(encoder); t++)
        count += atomic_load(&encoder->towers[t]->keyless);
    return count;
}

static void add_note(char *out, size_t size, size_t *used, const char *note)
{
    if (*note && *used < size)
        *used += (size_t)snprintf(out + *used, size - *used, *used ? "\n%s" : "%s", note);
}

void akin_model_notes(const akin_model *model, char *out, size_t size)
{
    size_t used = 0;
    *out = 0;
    for (int i = 0; i < model->encoder_count; i++) {
        const akin_encoder *encoder = model->encoders[i].encoder;
        char note[256] = "";
        if (encoder->type->notes)
            encoder->type->notes(encoder->self, note, sizeof note);
        add_note(out, size, &used, note);
        long long keyless = keyless_objects(encoder);
        snprintf(note, sizeof note, "%lld object%s without \"%s\" (cache_key): known by content",
                 keyless, keyless == 1 ? "" : "s", encoder->key_field ? encoder->key_field : "");
        if (keyless)
            add_note(out, size, &used, note);
    }
}

/* ---- the record of a run ---- */

static const void *first_transformer(const akin_model *model)
{
    for (int i = 0; i < model->encoder_count; i++)
        if (model->encoders[i].encoder->type == &ak_encoder_transformer)
            return model->encoders[i].encoder->self;
    return NULL;
}

const char *ak_model_encoder_path(const akin_model *model)
{
    const void *transformer = first_transformer(model);
    return transformer ? ak_transformer_path(transformer) : NULL;
}

static akin_status replace_text(char **place, const char *text, akin_error *error)
{
    if (!text)
        return AKIN_OK;
    char *copy = ak_strdup(text);
    if (!copy)
        return ak_fail_memory(error);
    ak_free(*place);
    *place = copy;
    return AKIN_OK;
}

akin_status ak_model_name_base(akin_model *model, akin_error *error)
{
    const void *transformer = first_transformer(model);
    const char *lora = transformer ? ak_transformer_lora(transformer) : NULL;
    char *adapter = lora ? ak_path_absolute(lora) : NULL;
    if (lora && !adapter)
        return ak_fail_memory(error);
    ak_free(model->base_lora);
    model->base_lora = adapter;
    return replace_text(&model->base_path, ak_model_encoder_path(model), error);
}

akin_status ak_model_set_record(akin_model *model, const char *base_path, const char *training,
                                const char *metrics, akin_error *error)
{
    AK_TRY(replace_text(&model->base_path, base_path, error));
    AK_TRY(replace_text(&model->training_json, training, error));
    return replace_text(&model->metrics_json, metrics, error);
}
