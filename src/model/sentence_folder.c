#include "model/sentence_folder.h"

#include "model/bert_config.h"

#include <string.h>

/* ---- small readers ---- */

/* folder/name as a map; *out NULL when the file is not there and `required` is false. */
static akin_status read_json(const ak_value **out, akin_arena *arena, const char *folder,
                             const char *name, bool required, akin_error *error)
{
    *out = NULL;
    char *path = ak_path_join(folder, name);
    if (!path)
        return ak_fail_memory(error);
    ak_value *value = NULL;
    akin_status status = AKIN_OK;
    if (required || ak_path_what(path) == AK_PATH_FILE)
        status = ak_json_read(&value, arena, path, error);
    if (!status && value && value->kind != AK_MAP && value->kind != AK_LIST)
        status = ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "expected an object or a list");
    ak_free(path);
    *out = value;
    return status;
}

/* sentence_bert_config.json, else the tokenizer's own limit, never more than there are positions.
 */
static akin_status read_max_length(ak_sentence_folder *out, akin_arena *arena, akin_error *error)
{
    const ak_value *sentence, *tokenizer;
    AK_TRY(
        read_json(&sentence, arena, out->transformer, "sentence_bert_config.json", false, error));
    AK_TRY(read_json(&tokenizer, arena, out->transformer, "tokenizer_config.json", false, error));
    double length = ak_value_get_number(sentence, "max_seq_length", 0);
    if (length < 1)
        length = ak_value_get_number(tokenizer, "model_max_length", 0);
    if (length < 1 || length > (double)out->bert.positions)
        length = (double)out->bert.positions;
    out->max_length = (int32_t)length;
    if (out->max_length < 2)
        return ak_fail(error, AKIN_ERR_FORMAT,
                       "%s: the maximum length is %d, expected room for at least [CLS] and [SEP]",
                       out->transformer, (int)out->max_length);
    return AKIN_OK;
}

/* ---- modules ---- */

/* In the order in which sentence-transformers concatenates them. */
static const struct {
    const char *name, *old_key;
    ak_pooling bit;
} poolings[] = {
    {"cls", "pooling_mode_cls_token", AK_POOLING_CLS},
    {"max", "pooling_mode_max_tokens", AK_POOLING_MAX},
    {"mean", "pooling_mode_mean_tokens", AK_POOLING_MEAN},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", AK_POOLING_MEAN_SQRT_LENGTH},
    {"weightedmean", "pooling_mode_weightedmean_tokens", AK_POOLING_WEIGHTED_MEAN},
    {"lasttoken", "pooling_mode_lasttoken", AK_POOLING_LAST_TOKEN},
};
#define POOLINGS (sizeof poolings / sizeof *poolings)

static akin_status add_pooling(int *bits, const ak_value *mode, const char *folder,
                               akin_error *error)
{
    for (size_t i = 0; i < POOLINGS; i++)
        if (mode->kind == AK_STRING && strcmp(mode->string, poolings[i].name) == 0) {
            if (*bits >= (int)poolings[i].bit)
                return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                               "%s/config.json: pooling modes in an order other than cls, max, "
                               "mean, mean_sqrt_len_tokens, weightedmean, lasttoken",
                               folder);
            *bits |= poolings[i].bit;
            return AKIN_OK;
        }
    return ak_fail(error, AKIN_ERR_UNSUPPORTED, "%s/config.json: unknown pooling mode \"%s\"",
                   folder, mode->kind == AK_STRING ? mode->string : "?");
}

static akin_status read_pooling(ak_sentence_folder *out, akin_arena *arena, const char *folder,
                                akin_error *error)
{
    const ak_value *config;
    AK_TRY(read_json(&config, arena, folder, "config.json", true, error));
    int64_t width = ak_value_get_int(config, "word_embedding_dimension", 0);
    width = ak_value_get_int(config, "embedding_dimension", width);
    if (width && width != out->bert.hidden)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "%s/config.json: pools vectors of %lld numbers, but the transformer gives "
                       "%lld",
                       folder, (long long)width, (long long)out->bert.hidden);
    out->include_prompt = ak_value_get_bool(config, "include_prompt", true);
    out->pooling = 0;
    const ak_value *mode = ak_value_get(config, "pooling_mode");
    if (mode && mode->kind == AK_LIST)
        for (const ak_value *one = mode->first; one; one = one->next)
            AK_TRY(add_pooling(&out->pooling, one, folder, error));
    else if (mode)
        AK_TRY(add_pooling(&out->pooling, mode, folder, error));
    else
        for (size_t i = 0; i < POOLINGS; i++)
            if (ak_value_get_bool(config, poolings[i].old_key, false))
                out->pooling |= poolings[i].bit;
    if (!out->pooling)
        out->pooling = AK_POOLING_MEAN;
    return AKIN_OK;
}

static akin_status read_dense(ak_sentence_folder *out, akin_arena *arena, const char *folder,
                              const char *path, akin_error *error)
{
    const ak_value *config;
    if (out->dense_count == AK_MAX_DENSE)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "%s: more than %d Dense modules", folder,
                       AK_MAX_DENSE);
    if (out->normalize)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "%s: a Dense module after Normalize is not supported", folder);
    AK_TRY(read_json(&config, arena, folder, "config.json", true, error));
    ak_dense_config *dense = &out->dense[out->dense_count];
    AK_TRY(ak_config_count(&dense->in, config, "in_features", folder, error));
    AK_TRY(ak_config_count(&dense->out, config, "out_features", folder, error));
    dense->bias = ak_value_get_bool(config, "bias", true);
    if (ak_value_get_bool(config, "use_residual", false))
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "%s/config.json: a Dense module with use_residual is not supported", folder);
    const char *name =
        ak_value_get_string(config, "activation_function", "torch.nn.modules.activation.Tanh");
    const char *last = strrchr(name, '.');
    AK_TRY(ak_config_activation(&dense->activation, last ? last + 1 : name, folder, error));
    out->dense_count++;
    dense->folder = ak_strdup(folder);
    dense->module = ak_strdup(path);
    if (!dense->folder || !dense->module)
        return ak_fail_memory(error);
    return AKIN_OK;
}

static akin_status read_module(ak_sentence_folder *out, akin_arena *arena, const char *type,
                               const char *folder, const char *path, akin_error *error)
{
    const char *last = strrchr(type, '.');
    const char *kind = last ? last + 1 : type;
    if (strcmp(kind, "Pooling") == 0)
        return read_pooling(out, arena, folder, error);
    if (strcmp(kind, "Dense") == 0)
        return read_dense(out, arena, folder, path, error);
    if (strcmp(kind, "Normalize") == 0) {
        out->normalize = true;
        return AKIN_OK;
    }
    if (strcmp(kind, "Dropout") == 0)
        return AKIN_OK; /* does nothing while serving */
    return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                   "%s: the module \"%s\" is not supported; there are Transformer, Pooling, Dense, "
                   "Normalize",
                   folder, type);
}

/* The first module is the transformer; sets its folder. */
static akin_status find_transformer(ak_sentence_folder *out, const ak_value *modules,
                                    const char *folder, akin_error *error)
{
    const char *path = "";
    if (modules) {
        const ak_value *first = modules->first;
        const char *type = ak_value_get_string(first, "type", "");
        size_t length = strlen(type);
        if (length < 12 || strcmp(type + length - 12, ".Transformer") != 0)
            return ak_fail(
                error, AKIN_ERR_UNSUPPORTED,
                "%s/modules.json: the first module is \"%s\", expected a Transformer (the "
                "encoder class \"static\" reads a StaticEmbedding)",
                folder, type);
        path = ak_value_get_string(first, "path", "");
    }
    out->module = ak_strdup(path);
    out->transformer = *path ? ak_path_join(folder, path) : ak_strdup(folder);
    return out->module && out->transformer ? AKIN_OK : ak_fail_memory(error);
}

static akin_status read_modules(ak_sentence_folder *out, akin_arena *arena, const ak_value *modules,
                                const char *folder, akin_error *error)
{
    const ak_value *module = modules && modules->first ? modules->first->next : NULL;
    for (; module; module = module->next) {
        const char *path = ak_value_get_string(module, "path", NULL);
        const char *type = ak_value_get_string(module, "type", NULL);
        if (!path || !type)
            return ak_fail(error, AKIN_ERR_FORMAT,
                           "%s/modules.json: a module without \"path\" or \"type\"", folder);
        char *place = ak_path_join(folder, path);
        akin_status status =
            place ? read_module(out, arena, type, place, path, error) : ak_fail_memory(error);
        ak_free(place);
        AK_TRY(status);
    }
    return AKIN_OK;
}

/* Widths from module to module must fit. */
static akin_status check_widths(const ak_sentence_folder *out, akin_error *error)
{
    int64_t width = out->bert.hidden * __builtin_popcount((unsigned)out->pooling);
    for (int i = 0; i < out->dense_count; i++) {
        if (out->dense[i].in != width)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "%s/config.json: in_features is %lld, but the module before gives %lld",
                           out->dense[i].folder, (long long)out->dense[i].in, (long long)width);
        width = out->dense[i].out;
    }
    return AKIN_OK;
}

/* The first that there is of several names, the last of which is NULL. */
static akin_status copy_prompt(char **out, const ak_value *prompts, const char *const *names,
                               akin_error *error)
{
    const char *found = NULL;
    for (int i = 0; names[i] && !found; i++)
        found = ak_value_get_string(prompts, names[i], NULL);
    *out = found ? ak_strdup(found) : NULL;
    return found && !*out ? ak_fail_memory(error) : AKIN_OK;
}

static akin_status read_prompts(ak_sentence_folder *out, akin_arena *arena, const char *folder,
                                const char *name, akin_error *error)
{
    static const char *const of_queries[] = {"query", NULL};
    static const char *const of_documents[] = {"document", "passage", "corpus", NULL};
    const ak_value *config;
    AK_TRY(read_json(&config, arena, folder, "config_sentence_transformers.json", false, error));
    const ak_value *prompts = ak_value_get(config, "prompts");
    const char *chosen = name ? name : ak_value_get_string(config, "default_prompt_name", NULL);
    const char *prompt = chosen ? ak_value_get_string(prompts, chosen, NULL) : "";
    if (!prompt)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s/config_sentence_transformers.json: there is no prompt \"%s\"", folder,
                       chosen);
    out->prompt = ak_strdup(prompt);
    if (!out->prompt)
        return ak_fail_memory(error);
    AK_TRY(copy_prompt(&out->query_prompt, prompts, of_queries, error));
    return copy_prompt(&out->document_prompt, prompts, of_documents, error);
}

/* What PEFT saves is no encoder without the one that it was made for. */
static akin_status refuse_adapter(akin_arena *arena, const char *folder, akin_error *error)
{
    const char *adapter = ak_arena_format(arena, "%s/adapter_config.json", folder);
    const char *weights = ak_arena_format(arena, "%s/model.safetensors", folder);
    if (!adapter || !weights)
        return ak_fail_memory(error);
    if (ak_path_what(adapter) != AK_PATH_FILE || ak_path_what(weights) == AK_PATH_FILE)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_ARGUMENT,
                   "%s: is a LoRA adapter without its base; give the base's folder as \"path\" and "
                   "this one as \"lora\"",
                   folder);
}

akin_status ak_weights_open(ak_safetensors **out, const char *folder, akin_error *error)
{
    *out = NULL;
    char *path = ak_path_join(folder, "model.safetensors");
    if (!path)
        return ak_fail_memory(error);
    akin_status status =
        ak_path_what(path) == AK_PATH_FILE
            ? ak_safetensors_open(out, path, error)
            : ak_fail_at(error, AKIN_ERR_IO, path, 0,
                         "there is no such file; akin reads weights as safetensors");
    ak_free(path);
    return status;
}

static akin_status read_all(ak_sentence_folder *out, akin_arena *arena, const char *folder,
                            const char *prompt_name, akin_error *error)
{
    const ak_value *modules, *config;
    if (ak_path_what(folder) != AK_PATH_FOLDER)
        return ak_fail(error, AKIN_ERR_IO,
                       ak_path_what(folder) == AK_PATH_FILE
                           ? "%s: is a file, expected the folder of an encoder"
                           : "%s: there is no such folder",
                       folder);
    AK_TRY(read_json(&modules, arena, folder, "modules.json", false, error));
    if (modules && (modules->kind != AK_LIST || !modules->first))
        return ak_fail(error, AKIN_ERR_FORMAT, "%s/modules.json: expected a list of modules",
                       folder);
    AK_TRY(find_transformer(out, modules, folder, error));
    AK_TRY(refuse_adapter(arena, out->transformer, error));
    AK_TRY(read_json(&config, arena, out->transformer, "config.json", true, error));
    AK_TRY(ak_bert_config_read(&out->bert, config, out->transformer, error));
    AK_TRY(read_max_length(out, arena, error));
    AK_TRY(read_modules(out, arena, modules, folder, error));
    AK_TRY(check_widths(out, error));
    return read_prompts(out, arena, folder, prompt_name, error);
}

akin_status ak_sentence_folder_read(ak_sentence_folder *out, const char *folder,
                                    const char *prompt_name, akin_error *error)
{
    *out = (ak_sentence_folder){.pooling = AK_POOLING_MEAN, .include_prompt = true};
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = read_all(out, arena, folder, prompt_name, error);
    ak_arena_free(arena);
    if (status)
        ak_sentence_folder_free(out);
    return status;
}

void ak_sentence_folder_free(ak_sentence_folder *folder)
{
    for (int i = 0; i < folder->dense_count; i++) {
        ak_free(folder->dense[i].folder);
        ak_free(folder->dense[i].module);
    }
    ak_free(folder->module);
    ak_free(folder->transformer);
    ak_free(folder->prompt);
    ak_free(folder->query_prompt);
    ak_free(folder->document_prompt);
    *folder = (ak_sentence_folder){0};
}

ak_prompts ak_sentence_folder_prompts(const ak_sentence_folder *f)
{
    if (!f->query_prompt && !f->document_prompt)
        return (ak_prompts){f->prompt, f->prompt};
    return (ak_prompts){f->query_prompt ? f->query_prompt : "",
                        f->document_prompt ? f->document_prompt : ""};
}

akin_status ak_is_sentence_folder(bool *is, const char *path, akin_error *error)
{
    static const char *const marks[] = {"modules.json", "config.json"};
    *is = false;
    for (int i = 0; i < 2 && !*is; i++) {
        char *mark = ak_path_join(path, marks[i]);
        if (!mark)
            return ak_fail_memory(error);
        *is = ak_path_what(mark) == AK_PATH_FILE;
        ak_free(mark);
    }
    return AKIN_OK;
}
