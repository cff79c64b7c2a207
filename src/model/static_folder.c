#include "model/static_folder.h"

#include "base/base.h"

#include <string.h>

#define MODULE "0_StaticEmbedding"

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* NULL, without an error: there is no such file. */
static akin_status read_json(ak_value **out, akin_arena *arena, const char *folder,
                             const char *name, akin_error *error)
{
    char *path = ak_path_join(folder, name);
    *out = NULL;
    if (!path)
        return ak_fail_memory(error);
    akin_status status =
        ak_path_what(path) == AK_PATH_FILE ? ak_json_read(out, arena, path, error) : AKIN_OK;
    ak_free(path);
    return status;
}

/* ---- modules ---- */

static akin_status read_modules(ak_static_folder *out, const ak_value *modules, const char *folder,
                                akin_error *error)
{
    const ak_value *first = modules->kind == AK_LIST ? modules->first : NULL;
    const char *type = ak_value_get_string(first, "type", "");
    const char *path = ak_value_get_string(first, "path", "");
    if (!ends_with(type, ".StaticEmbedding"))
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "%s/modules.json: the first module is \"%s\", expected a StaticEmbedding",
                       folder, type);
    for (const ak_value *next = first->next; next; next = next->next) {
        type = ak_value_get_string(next, "type", "");
        if (!ends_with(type, ".Normalize"))
            return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                           "%s/modules.json: the module \"%s\" is not supported after a "
                           "StaticEmbedding, only Normalize is",
                           folder, type);
        out->normalize = true;
    }
    out->module = *path ? ak_path_join(folder, path) : ak_strdup(folder);
    return out->module ? AKIN_OK : ak_fail_memory(error);
}

static akin_status read_folder(ak_static_folder *out, akin_arena *arena, const char *folder,
                               akin_error *error)
{
    ak_value *modules, *config;
    if (ak_path_what(folder) != AK_PATH_FOLDER)
        return ak_fail(error, AKIN_ERR_IO,
                       ak_path_what(folder) == AK_PATH_FILE
                           ? "%s: is a file, expected the folder of an encoder"
                           : "%s: there is no such folder",
                       folder);
    AK_TRY(read_json(&modules, arena, folder, "modules.json", error));
    if (modules)
        return read_modules(out, modules, folder, error);
    AK_TRY(read_json(&config, arena, folder, "config.json", error));
    out->normalize = ak_value_get_bool(config, "normalize", false);
    out->module = ak_strdup(folder);
    return out->module ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_static_folder_read(ak_static_folder *out, const char *folder, akin_error *error)
{
    akin_arena *arena;
    *out = (ak_static_folder){0};
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = read_folder(out, arena, folder, error);
    ak_arena_free(arena);
    if (status)
        ak_static_folder_free(out);
    return status;
}

void ak_static_folder_free(ak_static_folder *folder)
{
    ak_free(folder->module);
    *folder = (ak_static_folder){0};
}

bool ak_is_static_folder(const char *folder)
{
    akin_arena *arena;
    ak_value *modules;
    if (ak_arena_create(&arena, NULL))
        return false;
    bool found = !read_json(&modules, arena, folder, "modules.json", NULL) && modules &&
                 modules->kind == AK_LIST &&
                 ends_with(ak_value_get_string(modules->first, "type", ""), ".StaticEmbedding");
    ak_arena_free(arena);
    return found;
}

/* ---- the table ---- */

/* Model2Vec's names come after sentence-transformers'. */
static akin_status find_table(const ak_tensor **table, const ak_safetensors *file,
                              akin_error *error)
{
    static const int64_t any[2] = {-1, -1};
    const char *name = ak_safetensors_find(file, "embeddings") ? "embeddings" : "embedding.weight";
    AK_TRY(ak_safetensors_expect(table, file, name, 2, any, error));
    if ((*table)->dtype <= AK_DTYPE_BF16 && (*table)->count > 0)
        return AKIN_OK;
    return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, ak_safetensors_path(file), 0,
                      "\"%s\" is %s, %lld numbers; expected some floats", name,
                      ak_dtype_name((*table)->dtype), (long long)(*table)->count);
}

akin_status ak_static_table_shape(const ak_safetensors *file, int64_t *rows, int64_t *columns,
                                  akin_error *error)
{
    const ak_tensor *table;
    AK_TRY(find_table(&table, file, error));
    const ak_tensor *mapping = ak_safetensors_find(file, "mapping");
    *rows = mapping && mapping->rank == 1 ? mapping->count : table->shape[0];
    *columns = table->shape[1];
    return AKIN_OK;
}

/* mapping[token], or -1 if it is not a row. */
static int64_t mapped(const ak_tensor *mapping, int64_t token, int64_t rows)
{
    int64_t row = token;
    int32_t narrow;
    if (mapping && mapping->dtype == AK_DTYPE_I64) {
        memcpy(&row, (const char *)mapping->data + token * 8, sizeof row);
    } else if (mapping) {
        memcpy(&narrow, (const char *)mapping->data + token * 4, sizeof narrow);
        row = narrow;
    }
    return row >= 0 && row < rows ? row : -1;
}

static akin_status find_folded(const ak_tensor **mapping, const ak_tensor **weights, int64_t rows,
                               const ak_safetensors *file, akin_error *error)
{
    *mapping = *weights = NULL;
    if (ak_safetensors_find(file, "mapping"))
        AK_TRY(ak_safetensors_expect(mapping, file, "mapping", 1, (int64_t[]){rows}, error));
    if (ak_safetensors_find(file, "weights"))
        AK_TRY(ak_safetensors_expect(weights, file, "weights", 1, (int64_t[]){rows}, error));
    if (*mapping && (*mapping)->dtype != AK_DTYPE_I64 && (*mapping)->dtype != AK_DTYPE_I32)
        return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, ak_safetensors_path(file), 0,
                          "\"mapping\" is %s, expected I64 or I32",
                          ak_dtype_name((*mapping)->dtype));
    return AKIN_OK;
}

akin_status ak_static_table_copy(const ak_safetensors *file, float *table, akin_error *error)
{
    const ak_tensor *source, *mapping, *weights;
    const float *factors = NULL;
    int64_t rows, d;
    akin_arena *arena;
    AK_TRY(ak_static_table_shape(file, &rows, &d, error));
    AK_TRY(find_table(&source, file, error));
    AK_TRY(find_folded(&mapping, &weights, rows, file, error));
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status =
        weights ? ak_tensor_floats(&factors, file, weights, arena, error) : AKIN_OK;
    for (int64_t t = 0; t < rows && !status; t++) {
        ak_tensor one = *source;
        int64_t row = mapped(mapping, t, source->shape[0]);
        one.count = d;
        one.size = (size_t)d * ak_dtype_size(one.dtype);
        one.data = (const char *)source->data + (size_t)(row < 0 ? 0 : row) * one.size;
        if (row < 0)
            status = ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(file), 0,
                                "\"mapping\" of token %lld is no row", (long long)t);
        else
            ak_tensor_convert(&one, table + t * d);
        for (int64_t j = 0; j < d && factors; j++)
            table[t * d + j] *= factors[t];
    }
    ak_arena_free(arena);
    return status ? status
                  : ak_tensor_check_finite(ak_safetensors_path(file), source->name, table, rows * d,
                                           error);
}

/* ---- writing ---- */

static akin_status write_file(const char *folder, const char *name, const char *text,
                              akin_error *error)
{
    char *path = ak_path_join(folder, name);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_file_write(path, text, strlen(text), error);
    ak_free(path);
    return status;
}

/* model2vec asks config_sentence_transformers.json whether vectors are made unit ones. */
static akin_status write_modules(const char *folder, bool normalize, akin_error *error)
{
    static const char module[] =
        "[\n  {\"idx\": 0, \"name\": \"0\", \"path\": \"" MODULE
        "\", \"type\": \"sentence_transformers.models.StaticEmbedding\"}\n]\n";
    static const char modules[] =
        "[\n  {\"idx\": 0, \"name\": \"0\", \"path\": \"" MODULE
        "\", \"type\": \"sentence_transformers.models.StaticEmbedding\"},\n"
        "  {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Normalize\", \"type\": "
        "\"sentence_transformers.models.Normalize\"}\n]\n";
    AK_TRY(write_file(folder, "modules.json", normalize ? modules : module, error));
    return write_file(folder, "config_sentence_transformers.json",
                      normalize ? "{\"prompts\": {}, \"normalize\": true}\n"
                                : "{\"prompts\": {}, \"normalize\": false}\n",
                      error);
}

static akin_status make_folder(char **out, const char *folder, const char *name, akin_error *error)
{
    *out = ak_path_join(folder, name);
    return *out ? ak_make_folders(*out, error) : ak_fail_memory(error);
}

/* A map in which two members are null. */
static ak_value *without_limits(akin_arena *arena, const ak_value *map)
{
    ak_value *fresh = ak_value_new_map(arena);
    for (const ak_value *one = map->first; one && fresh; one = one->next) {
        bool limit = !strcmp(one->key, "truncation") || !strcmp(one->key, "padding");
        if (!(limit ? ak_value_add(arena, fresh, one->key, AK_NULL)
                    : ak_value_attach(arena, fresh, one->key, one)))
            return NULL;
    }
    return fresh;
}

static bool is_null(const ak_value *value)
{
    return !value || value->kind == AK_NULL;
}

/* Static encoders never cut a text, but other programs would where tokenizer.json says so. */
static akin_status copy_unlimited(const char *source, const char *target, akin_error *error)
{
    akin_arena *arena;
    ak_value *root;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_json_read(&root, arena, source, error);
    if (status || root->kind != AK_MAP ||
        (is_null(ak_value_get(root, "truncation")) && is_null(ak_value_get(root, "padding")))) {
        ak_arena_free(arena);
        return status ? status : ak_copy_file(source, target, error);
    }
    root = without_limits(arena, root);
    char *text = root ? ak_json_write(root, 0) : NULL;
    status = text ? ak_file_write(target, text, strlen(text), error) : ak_fail_memory(error);
    ak_free(text);
    ak_arena_free(arena);
    return status;
}

static akin_status copy_tokenizer(const char *from, const char *to, akin_error *error)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "vocab.txt",
                                        "special_tokens_map.json"};
    akin_status status = AKIN_OK;
    for (int i = 0; i < 4 && !status; i++) {
        char *source = ak_path_join(from, names[i]), *target = ak_path_join(to, names[i]);
        if (!source || !target)
            status = ak_fail_memory(error);
        else if (ak_path_what(source) == AK_PATH_FILE)
            status = i == 0 ? copy_unlimited(source, target, error)
                            : ak_copy_file(source, target, error);
        ak_free(source);
        ak_free(target);
    }
    return status;
}

akin_status ak_static_folder_write(const ak_static_folder *from, const char *folder, char **module,
                                   akin_error *error)
{
    char *normalize = NULL;
    *module = NULL;
    akin_status status = write_modules(folder, from->normalize, error);
    if (!status)
        status = make_folder(module, folder, MODULE, error);
    if (!status && from->normalize) /* old releases want the folder, though it is empty */
        status = make_folder(&normalize, folder, "1_Normalize", error);
    if (!status)
        status = copy_tokenizer(from->module, *module, error);
    ak_free(normalize);
    if (status) {
        ak_free(*module);
        *module = NULL;
    }
    return status;
}
