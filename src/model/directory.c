/* The model directory:

     akin.json            format, fingerprint, encoders, head, base, training record, metrics
     head.safetensors     the head's parameters, if it has any
     loss.safetensors     those of the loss it was trained with, if it had any, and the labels
     encoders/NAME/       what the encoder's class saves
     README.md            model card

   Written under a temporary name and renamed, so that there is a whole model or none. A plain
   sentence-transformers folder is a model too: one encoder, "text", a transformer or a static one,
   and no head. */
#include "model/model.h"

#include "base/safetensors.h"
#include "model/encoders.h"
#include "model/sentence_folder.h"
#include "model/static_folder.h"
#include "model/transformer.h"

#include <string.h>

#define FORMAT 1

/* ---- writing ---- */

static akin_status attach_json(akin_arena *arena, ak_value *root, const char *key, const char *text,
                               akin_error *error)
{
    ak_value *value;
    if (!text)
        return ak_value_add(arena, root, key, AK_NULL) ? AKIN_OK : ak_fail_memory(error);
    AK_TRY(ak_json_parse(&value, arena, text, strlen(text), key, error));
    return ak_value_attach(arena, root, key, value) ? AKIN_OK : ak_fail_memory(error);
}

static akin_status describe_encoders(const akin_model *model, akin_arena *arena, ak_value *root,
                                     akin_error *error)
{
    ak_value *map = ak_value_add(arena, root, "encoders", AK_MAP);
    for (int i = 0; i < model->encoder_count; i++) {
        const akin_encoder *encoder = model->encoders[i].encoder;
        ak_value *one = ak_value_add(arena, map, model->encoders[i].name, AK_MAP);
        ak_value *type = ak_value_add_string(arena, one, "type", encoder->type->name);
        ak_value *precision = ak_value_add_string(arena, one, "precision",
                                                  encoder->precision == AKIN_BF16 ? "bf16" : "f32");
        if (!type || !precision)
            return ak_fail_memory(error);
        const ak_value *option = encoder->given ? encoder->given->first : NULL;
        for (; option; option = option->next) {
            bool ours = !strcmp(option->key, "type") || !strcmp(option->key, "precision") ||
                        !strcmp(option->key, "path"); /* the weights are in encoders/NAME */
            if (!ours && !ak_value_attach(arena, one, option->key, option))
                return ak_fail_memory(error);
        }
    }
    return AKIN_OK;
}

static akin_status describe_base(const akin_model *model, akin_arena *arena, ak_value *root,
                                 akin_error *error)
{
    char hex[AK_HASH_HEX];
    ak_hash fingerprint = model->base;
    if (!model->base_path)
        return ak_value_add(arena, root, "base", AK_NULL) ? AKIN_OK : ak_fail_memory(error);
    if (ak_hash_equal(fingerprint, (ak_hash){0}))
        AK_TRY(ak_model_encoders_hash(model, &fingerprint, error));
    ak_hash_to_hex(fingerprint, hex);
    ak_value *base = ak_value_add(arena, root, "base", AK_MAP);
    ak_value *path = ak_value_add_string(arena, base, "path", model->base_path);
    bool lora =
        !model->base_lora || ak_value_add_string(arena, base, "lora", model->base_lora) != NULL;
    ak_value *print = ak_value_add_string(arena, base, "fingerprint", hex);
    return path && lora && print ? AKIN_OK : ak_fail_memory(error);
}

static ak_hash head_checksum(const akin_head *head)
{
    return ak_hash_bytes(ak_parameters_values(head->parameters),
                         (size_t)ak_parameters_size(head->parameters) * sizeof(float));
}

static akin_status describe(const akin_model *model, akin_arena *arena, ak_value **out,
                            akin_error *error)
{
    char hex[AK_HASH_HEX];
    ak_hash fingerprint;
    AK_TRY(akin_model_fingerprint(model, &fingerprint, error));
    ak_hash_to_hex(fingerprint, hex);
    ak_value *root = ak_value_new_map(arena);
    ak_value *format = ak_value_add_int(arena, root, "format", FORMAT);
    ak_value *version = ak_value_add_string(arena, root, "akin", AKIN_VERSION);
    ak_value *print = ak_value_add_string(arena, root, "fingerprint", hex);
    ak_value *dim = ak_value_add_int(arena, root, "dim", model->dim);
    if (!format || !version || !print || !dim)
        return ak_fail_memory(error);
    if (akin_model_has_sides(model)) { /* "fingerprint" is of queries then */
        AK_TRY(akin_model_space_fingerprint(model, AKIN_SPACE_DOCUMENT, &fingerprint, error));
        ak_hash_to_hex(fingerprint, hex);
        if (!ak_value_add_string(arena, root, "document_fingerprint", hex))
            return ak_fail_memory(error);
    }
    AK_TRY(describe_encoders(model, arena, root, error));
    ak_value *head = model->head ? ak_value_attach(arena, root, "head", model->head->given)
                                 : ak_value_add(arena, root, "head", AK_NULL);
    if (model->head)
        ak_hash_to_hex(head_checksum(model->head), hex);
    if (!head || (model->head && !ak_value_add_string(arena, root, "head_checksum", hex)))
        return ak_fail_memory(error);
    AK_TRY(describe_base(model, arena, root, error));
    AK_TRY(ak_model_loss_describe(model, arena, root, error));
    AK_TRY(attach_json(arena, root, "training", model->training_json, error));
    AK_TRY(attach_json(arena, root, "metrics", model->metrics_json, error));
    *out = root;
    return AKIN_OK;
}

static akin_status write_text(const char *folder, const char *name, const char *text,
                              akin_error *error)
{
    char *path = text ? ak_path_join(folder, name) : NULL;
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_file_write(path, text, strlen(text), error);
    ak_free(path);
    return status;
}

static akin_status write_description(const akin_model *model, const char *folder, akin_error *error)
{
    akin_arena *arena;
    ak_value *root = NULL;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = describe(model, arena, &root, error);
    if (!status) {
        char *text = ak_json_write(root, 2);
        status = write_text(folder, "akin.json", text, error);
        ak_free(text);
    }
    ak_arena_free(arena);
    return status;
}

akin_status ak_parameters_write_with(const akin_parameters *parameters, const char *path,
                                     const char *const *metadata, akin_error *error)
{
    int count = ak_parameters_count(parameters);
    ak_tensor *tensors = ak_calloc((size_t)count + 1, sizeof *tensors);
    if (!tensors)
        return ak_fail_memory(error);
    for (int i = 0; i < count; i++) {
        const akin_parameter *p = akin_parameters_get(parameters, i);
        tensors[i] = (ak_tensor){.name = p->name,
                                 .dtype = AK_DTYPE_F32,
                                 .rank = 2,
                                 .shape = {p->rows, p->columns},
                                 .count = p->rows * p->columns,
                                 .size = (size_t)(p->rows * p->columns) * sizeof(float),
                                 .data = p->value};
    }
    akin_status status = ak_safetensors_write(path, tensors, count, metadata, error);
    ak_free(tensors);
    return status;
}

akin_status ak_parameters_write(const akin_parameters *parameters, const char *path,
                                akin_error *error)
{
    static const char *const metadata[] = {"format", "akin-parameters", NULL};
    return ak_parameters_write_with(parameters, path, metadata, error);
}

static akin_status write_head(const akin_model *model, const char *folder, akin_error *error)
{
    if (!model->head || !ak_parameters_count(model->head->parameters))
        return AKIN_OK;
    char *path = ak_path_join(folder, "head.safetensors");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_parameters_write(model->head->parameters, path, error);
    ak_free(path);
    return status;
}

static akin_status write_encoder(const ak_model_encoder *named, const char *folder,
                                 akin_error *error)
{
    const akin_encoder *encoder = named->encoder;
    if (!encoder->type->save)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "the encoder class \"%s\" of \"%s\" cannot be saved", encoder->type->name,
                       named->name);
    char *path = ak_format("%s/encoders/%s", folder, named->name);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_make_folders(path, error);
    if (!status)
        status = encoder->type->save(encoder->self, path, error);
    ak_free(path);
    return status;
}

static akin_status write_all(const akin_model *model, const char *folder, akin_error *error)
{
    for (int i = 0; i < model->encoder_count; i++)
        AK_TRY(write_encoder(&model->encoders[i], folder, error));
    AK_TRY(write_head(model, folder, error));
    AK_TRY(ak_model_loss_write(model, folder, error));
    AK_TRY(write_description(model, folder, error));
    char *card = ak_model_card(model);
    akin_status status = write_text(folder, "README.md", card, error);
    ak_free(card);
    return status;
}

/* What `replace` may remove: a model or an empty folder. A slip of the hand must not cost a home.
 */
akin_status akin_model_may_save(const char *path, const char *source, bool replace,
                                akin_error *error)
{
    char **names;
    int64_t count;
    ak_path_kind what = ak_path_what(path);
    if (what == AK_PATH_NONE)
        return AKIN_OK;
    if (!replace)
        return ak_fail(error, AKIN_ERR_EXISTS, "%s exists already", path);
    if (what == AK_PATH_FILE)
        return ak_fail(error, AKIN_ERR_EXISTS, "%s is a file, not a model to replace", path);
    AK_TRY(ak_list_folder(&names, &count, path, error));
    bool ours = count == 0;
    for (int64_t i = 0; i < count; i++)
        ours |= strcmp(names[i], "akin.json") == 0;
    ak_names_free(names, count);
    if (!ours)
        return ak_fail(error, AKIN_ERR_EXISTS,
                       "%s is not a model (it has no akin.json) and is not replaced", path);
    if (source && ak_path_holds(path, source))
        return ak_fail(error, AKIN_ERR_EXISTS, "%s is not replaced: it holds %s, which is read",
                       path, source);
    return AKIN_OK;
}

akin_status akin_model_save(const akin_model *model, const char *path, bool replace,
                            akin_error *error)
{
    char *temporary;
    if (replace)
        AK_TRY(akin_model_may_save(path, NULL, true, error));
    AK_TRY(ak_folder_begin(&temporary, path, replace, error));
    akin_status status = write_all(model, temporary, error);
    if (status) {
        ak_folder_abort(temporary);
        return status;
    }
    return ak_folder_commit(temporary, path, replace, error);
}

/* ---- reading ---- */

akin_status ak_parameters_read(akin_parameters *parameters, const char *path, akin_error *error)
{
    ak_safetensors *file;
    AK_TRY(ak_safetensors_open(&file, path, error));
    akin_status status = AKIN_OK;
    for (int i = 0; i < ak_parameters_count(parameters) && !status; i++) {
        const akin_parameter *p = akin_parameters_get(parameters, i);
        int64_t shape[2] = {p->rows, p->columns};
        const void *data;
        status = ak_safetensors_view(&data, NULL, file, p->name, AK_DTYPE_F32, 2, shape, error);
        if (!status)
            memcpy(p->value, data, (size_t)(p->rows * p->columns) * sizeof(float));
    }
    ak_safetensors_free(file);
    return status;
}

static akin_status load_encoders(akin_named_encoder *encoders, int *count, akin_context *context,
                                 const ak_value *map, const char *folder, const char *name,
                                 akin_precision precision, akin_error *error)
{
    for (const ak_value *one = map->first; one; one = one->next) {
        if (*count == AK_MAX_ENCODERS)
            return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0, "more than %d encoders",
                              AK_MAX_ENCODERS);
        char *place = ak_format("%s/encoders/%s", folder, one->key);
        if (!place)
            return ak_fail_memory(error);
        encoders[*count].name = one->key;
        akin_status status = ak_encoder_make(&encoders[*count].encoder, context, one, name, place,
                                             precision, true, error);
        ak_free(place);
        AK_TRY(status);
        (*count)++;
    }
    return *count ? AKIN_OK : ak_fail_at(error, AKIN_ERR_FORMAT, name, 0, "no \"encoders\"");
}

static akin_status load_head(akin_head **head, akin_context *context, const ak_value *root,
                             int64_t input_dim, const char *folder, const char *name,
                             akin_error *error)
{
    const ak_value *map = ak_value_get(root, "head");
    const char *checksum = ak_value_get_string(root, "head_checksum", NULL);
    if (!map || map->kind != AK_MAP)
        return AKIN_OK;
    AK_TRY(ak_head_make(head, context, map, name, input_dim, error));
    if (!ak_parameters_count((*head)->parameters))
        return AKIN_OK;
    char *path = ak_path_join(folder, "head.safetensors");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_parameters_read((*head)->parameters, path, error);
    char hex[AK_HASH_HEX];
    ak_hash_to_hex(head_checksum(*head), hex);
    if (!status && checksum && strcmp(checksum, hex) != 0)
        status = ak_fail_at(error, AKIN_ERR_FORMAT, path, 0,
                            "its values are not those that %s was saved with", name);
    ak_free(path);
    return status;
}

static akin_status keep_record(akin_model *model, const ak_value *root, akin_error *error)
{
    static const char *const keys[] = {"training", "metrics"};
    char *texts[2] = {NULL, NULL};
    akin_status status = AKIN_OK;
    for (int i = 0; i < 2 && !status; i++) {
        const ak_value *value = ak_value_get(root, keys[i]);
        if (value && value->kind == AK_MAP && !(texts[i] = ak_json_write(value, 0)))
            status = ak_fail_memory(error);
    }
    const char *base = ak_value_get_string(ak_value_get(root, "base"), "path", NULL);
    const char *lora = ak_value_get_string(ak_value_get(root, "base"), "lora", NULL);
    const char *print = ak_value_get_string(ak_value_get(root, "base"), "fingerprint", "");
    if (!ak_hash_from_hex(print, &model->base))
        model->base = (ak_hash){0};
    if (!status)
        status = ak_copy_option(&model->base_lora, lora, error);
    if (!status)
        status = ak_model_loss_recall(model, root, error);
    if (!status)
        status = ak_model_set_record(model, base, texts[0], texts[1], error);
    ak_free(texts[0]);
    ak_free(texts[1]);
    return status;
}

/* Encoders and head until the model takes them. */
typedef struct parts {
    akin_named_encoder encoders[AK_MAX_ENCODERS];
    int count;
    akin_head *head;
} parts;

static void free_parts(parts *p)
{
    for (int i = 0; i < p->count; i++)
        akin_encoder_free(p->encoders[i].encoder);
    akin_head_free(p->head);
}

static akin_status check_format(const ak_value *root, const char *name, akin_error *error)
{
    int64_t format = ak_value_get_int(root, "format", 0);
    const ak_value *encoders = ak_value_get(root, "encoders");
    if (format != FORMAT)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0,
                          "\"format\" is %lld, this akin reads format %d", (long long)format,
                          FORMAT);
    if (!encoders || encoders->kind != AK_MAP)
        return ak_fail_at(error, AKIN_ERR_FORMAT, name, 0, "expected a member \"encoders\"");
    return AKIN_OK;
}

static akin_status load_parts(parts *p, akin_context *context, const ak_value *root,
                              const char *folder, const char *name, akin_precision precision,
                              akin_error *error)
{
    AK_TRY(check_format(root, name, error));
    AK_TRY(load_encoders(p->encoders, &p->count, context, ak_value_get(root, "encoders"), folder,
                         name, precision, error));
    int64_t width = 0;
    for (int i = 0; i < p->count; i++)
        width += akin_encoder_dim(p->encoders[i].encoder);
    return load_head(&p->head, context, root, width, folder, name, error);
}

static akin_status load_described(akin_model **out, akin_context *context, const char *folder,
                                  const char *name, akin_precision precision, akin_error *error)
{
    akin_arena *arena;
    ak_value *root;
    parts p = {.count = 0};
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_json_read(&root, arena, name, error);
    if (!status)
        status = load_parts(&p, context, root, folder, name, precision, error);
    if (!status)
        status = akin_model_create(out, context, p.encoders, p.count, p.head, error);
    if (status)
        free_parts(&p);
    else
        status = keep_record(*out, root, error);
    ak_arena_free(arena);
    return status;
}

static akin_status load_plain(akin_model **out, akin_context *context, const char *folder,
                              akin_precision precision, akin_error *error)
{
    akin_arena *arena;
    akin_encoder *encoder = NULL;
    bool known;
    AK_TRY(ak_is_sentence_folder(&known, folder, error));
    if (!known)
        return ak_fail(error, AKIN_ERR_FORMAT,
                       "%s: neither a model (akin.json) nor a sentence-transformers folder "
                       "(modules.json or config.json)",
                       folder);
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *map = ak_value_new_map(arena);
    const char *type = ak_is_static_folder(folder) ? "static" : "transformer";
    akin_status status =
        ak_value_add_string(arena, map, "type", type) ? AKIN_OK : ak_fail_memory(error);
    if (!status)
        status = ak_encoder_make(&encoder, context, map, folder, folder, precision, true, error);
    ak_arena_free(arena);
    AK_TRY(status);
    akin_named_encoder named = {"text", encoder};
    status = akin_model_create(out, context, &named, 1, NULL, error);
    if (status)
        akin_encoder_free(encoder);
    return status;
}

akin_status akin_model_load(akin_model **out, akin_context *context, const char *path,
                            akin_precision precision, akin_error *error)
{
    *out = NULL;
    if (precision < AKIN_AS_SAVED || precision > AKIN_BF16)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "precision is %d, must be AKIN_AS_SAVED, AKIN_F32 or AKIN_BF16",
                       (int)precision);
    char *name = ak_path_join(path, "akin.json");
    if (!name)
        return ak_fail_memory(error);
    akin_status status;
    ak_path_kind what = ak_path_what(path);
    if (what == AK_PATH_NONE)
        status = ak_fail(error, AKIN_ERR_IO, "%s: there is no such model folder", path);
    else if (what == AK_PATH_FILE)
        status = ak_fail(error, AKIN_ERR_FORMAT, "%s: a model is a folder, this is a file (%s)",
                         path, ak_file_kind(path));
    else if (ak_path_what(name) == AK_PATH_FILE)
        status = load_described(out, context, path, name, precision, error);
    else
        status = load_plain(out, context, path, precision, error);
    ak_free(name);
    if (!status && !((*out)->path = ak_path_absolute(path)))
        status = ak_fail_memory(error);
    if (status) {
        akin_model_free(*out);
        *out = NULL;
    }
    return status;
}
