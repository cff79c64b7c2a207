/* What a path is and holds, as JSON: for `akin inspect`. */
#include "train/recipe.h"

#include "base/safetensors.h"
#include "model/sentence_folder.h"
#include "model/transformer.h"

#include <string.h>

typedef struct inspection {
    akin_context *context;
    const char *path;
    akin_arena *arena;
    ak_value *root;
    akin_model *model; /* `root` points into it */
} inspection;

static bool add_hash(inspection *i, const char *key, ak_hash hash)
{
    char hex[AK_HASH_HEX];
    ak_hash_to_hex(hash, hex);
    return ak_value_add_string(i->arena, i->root, key, hex) != NULL;
}

static bool add_kind(inspection *i, const char *kind)
{
    return ak_value_add_string(i->arena, i->root, "path", i->path) &&
           ak_value_add_string(i->arena, i->root, "kind", kind);
}

/* ---- models ---- */

static bool add_encoder(inspection *i, ak_value *map, const char *name, const akin_encoder *encoder)
{
    ak_value *one = ak_value_add(i->arena, map, name, AK_MAP);
    const char *prompt = encoder->type == &ak_encoder_transformer && !ak_encoder_has_sides(encoder)
                             ? ak_transformer_prompt(encoder->self)
                             : "";
    return ak_value_add_string(i->arena, one, "type", encoder->type->name) &&
           ak_value_add_int(i->arena, one, "dim", akin_encoder_dim(encoder)) &&
           ak_value_add_bool(i->arena, one, "trainable", ak_encoder_trainable(encoder)) &&
           (!*prompt || ak_value_add_string(i->arena, one, "prompt", prompt)) &&
           (!ak_encoder_has_sides(encoder) ||
            (add_encoder(i, one, ak_tower_names[0], encoder->towers[AK_QUERY_TOWER]) &&
             add_encoder(i, one, ak_tower_names[1], encoder->towers[AK_DOCUMENT_TOWER])));
}

static bool add_encoders(inspection *i, const akin_model *model)
{
    ak_value *map = ak_value_add(i->arena, i->root, "encoders", AK_MAP);
    for (int e = 0; e < model->encoder_count; e++)
        if (!add_encoder(i, map, model->encoders[e].name, model->encoders[e].encoder))
            return false;
    return map != NULL;
}

static akin_status add_record(inspection *i, const char *key, const char *json, akin_error *error)
{
    ak_value *value;
    if (!json)
        return AKIN_OK;
    AK_TRY(ak_json_parse(&value, i->arena, json, strlen(json), key, error));
    return ak_value_attach(i->arena, i->root, key, value) ? AKIN_OK : ak_fail_memory(error);
}

static akin_status inspect_loaded(inspection *i, const akin_model *model, const char *kind,
                                  akin_error *error)
{
    ak_hash fingerprint;
    AK_TRY(akin_model_fingerprint(model, &fingerprint, error));
    bool made = add_kind(i, kind) && add_hash(i, "fingerprint", fingerprint) &&
                ak_value_add_int(i->arena, i->root, "dim", model->dim) && add_encoders(i, model);
    if (made && akin_model_has_sides(model)) {
        AK_TRY(akin_model_space_fingerprint(model, AKIN_SPACE_DOCUMENT, &fingerprint, error));
        made = add_hash(i, "document_fingerprint", fingerprint);
    }
    if (made && model->head)
        made = ak_value_attach(i->arena, i->root, "head", model->head->given) &&
               ak_value_add_int(i->arena, i->root, "head_parameters",
                                ak_parameters_size(model->head->parameters));
    if (!made)
        return ak_fail_memory(error);
    if (model->loss)
        AK_TRY(ak_model_loss_describe(model, i->arena, i->root, error));
    if (model->base_path)
        made = ak_value_add_string(i->arena, i->root, "base", model->base_path);
    if (!made)
        return ak_fail_memory(error);
    AK_TRY(add_record(i, "metrics", model->metrics_json, error));
    return add_record(i, "training", model->training_json, error);
}

static akin_status inspect_folder(inspection *i, akin_error *error)
{
    char *mark = ak_path_join(i->path, "akin.json");
    if (!mark)
        return ak_fail_memory(error);
    bool own = ak_path_what(mark) == AK_PATH_FILE;
    ak_free(mark);
    AK_TRY(akin_model_load(&i->model, i->context, i->path, AKIN_AS_SAVED, error));
    return inspect_loaded(i, i->model, own ? "model" : "sentence-transformers folder", error);
}

/* ---- files ---- */

static bool add_tensor(inspection *i, ak_value *list, const ak_tensor *tensor)
{
    ak_value *one = ak_value_add(i->arena, list, tensor->name, AK_MAP);
    ak_value *type = ak_value_add_string(i->arena, one, "dtype", ak_dtype_name(tensor->dtype));
    ak_value *shape = ak_value_add(i->arena, one, "shape", AK_LIST);
    for (int d = 0; d < tensor->rank; d++)
        if (!ak_value_add_int(i->arena, shape, NULL, tensor->shape[d]))
            return false;
    return type && shape;
}

static akin_status inspect_tensors(inspection *i, akin_error *error)
{
    ak_safetensors *file;
    AK_TRY(ak_safetensors_open(&file, i->path, error));
    bool made = add_kind(i, ak_file_kind(i->path));
    const ak_value *metadata = ak_safetensors_metadata_map(file);
    for (const ak_value *one = metadata ? metadata->first : NULL; one && made; one = one->next) {
        const char *text = ak_arena_copy(i->arena, one->string, one->size);
        const char *key = ak_arena_copy(i->arena, one->key, strlen(one->key));
        made = text && key && ak_value_add_string(i->arena, i->root, key, text);
    }
    ak_value *list = made ? ak_value_add(i->arena, i->root, "tensors", AK_MAP) : NULL;
    made = list != NULL;
    for (int64_t n = 0; n < ak_safetensors_count(file) && made; n++)
        made = add_tensor(i, list, ak_safetensors_at(file, n));
    ak_safetensors_free(file);
    return made ? AKIN_OK : ak_fail_memory(error);
}

/* "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }" as it stands in the file. */
static akin_status inspect_npy(inspection *i, akin_error *error)
{
    ak_map map;
    AK_TRY(ak_map_open(&map, i->path, error));
    akin_status status = AKIN_OK;
    const unsigned char *bytes = (const unsigned char *)map.data;
    size_t length = map.size >= 10 ? bytes[8] + 256u * bytes[9] : 0;
    if (map.size < 10 || memcmp(map.data, "\x93NUMPY", 6) != 0 || 10 + length > map.size)
        status = ak_fail_at(error, AKIN_ERR_FORMAT, i->path, 0, "not a NumPy file");
    else if (!add_kind(i, "vectors") ||
             !ak_value_add_string(i->arena, i->root, "header",
                                  ak_arena_copy(i->arena, map.data + 10, length - 1)))
        status = ak_fail_memory(error);
    ak_map_close(&map);
    return status;
}

static akin_status inspect_recipe(inspection *i, akin_error *error)
{
    akin_recipe *recipe;
    AK_TRY(akin_recipe_open(&recipe, i->context, i->path, NULL, 0, error));
    akin_status status = add_kind(i, "recipe")
                             ? add_record(i, "recipe", akin_recipe_json(recipe), error)
                             : ak_fail_memory(error);
    akin_recipe_free(recipe);
    return status;
}

static akin_status inspect_data(inspection *i, akin_error *error)
{
    akin_corpus *corpus;
    akin_object first;
    AK_TRY(ak_corpus_open(&corpus, i->path, NULL, NULL,
                          i->context ? i->context->cache_folder : NULL, error));
    akin_status status = ak_corpus_get(corpus, 0, i->arena, &first, error);
    if (!status) {
        const char *text = ak_arena_copy(i->arena, first.data, first.size < 200 ? first.size : 200);
        if (!text || !add_kind(i, "data") ||
            !ak_value_add_int(i->arena, i->root, "records", akin_corpus_count(corpus)) ||
            !ak_value_add_string(i->arena, i->root, "first", text))
            status = ak_fail_memory(error);
    }
    akin_corpus_free(corpus);
    return status;
}

static akin_status inspect(inspection *i, akin_error *error)
{
    ak_path_kind what = ak_path_what(i->path);
    if (what == AK_PATH_NONE)
        return ak_fail(error, AKIN_ERR_IO, "%s: there is no such file or folder", i->path);
    if (what == AK_PATH_FOLDER)
        return inspect_folder(i, error);
    if (ak_path_has_suffix(i->path, ".npy"))
        return inspect_npy(i, error);
    const char *kind = ak_file_kind(i->path);
    if (strcmp(kind, "recipe") == 0)
        return inspect_recipe(i, error);
    if (strcmp(kind, "data") == 0)
        return inspect_data(i, error);
    return inspect_tensors(i, error); /* an index is one too */
}

akin_status akin_inspect(char **json, akin_context *context, const char *path, akin_error *error)
{
    inspection i = {.context = context, .path = path};
    *json = NULL;
    AK_TRY(ak_arena_create(&i.arena, error));
    i.root = ak_value_new_map(i.arena);
    akin_status status = i.root ? inspect(&i, error) : ak_fail_memory(error);
    if (!status && !(*json = ak_json_write(i.root, 2)))
        status = ak_fail_memory(error);
    akin_model_free(i.model);
    ak_arena_free(i.arena);
    return status;
}
