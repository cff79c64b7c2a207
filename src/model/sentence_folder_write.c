/* Writing a sentence-transformers folder: a copy, and what of it a tuned encoder changes. */
#include "model/sentence_folder.h"

#include <string.h>

/* ---- copy ---- */

static bool wanted(const char *name, bool weights)
{
    return ak_path_has_suffix(name, ".json") || ak_path_has_suffix(name, ".txt") ||
           (weights && ak_path_has_suffix(name, ".safetensors")) ||
           strcmp(name, "README.md") == 0 || strcmp(name, "LICENSE") == 0;
}

/* A folder, and the module folders right in it (`deeper`). */
static akin_status copy_level(const char *from, const char *to, bool weights, bool deeper,
                              akin_error *error)
{
    char **names;
    int64_t count;
    AK_TRY(ak_make_folders(to, error));
    AK_TRY(ak_list_folder(&names, &count, from, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        char *source = ak_path_join(from, names[i]), *target = ak_path_join(to, names[i]);
        if (!source || !target)
            status = ak_fail_memory(error);
        else if (ak_path_what(source) == AK_PATH_FILE && wanted(names[i], weights))
            status = ak_copy_file(source, target, error);
        else if (deeper && ak_path_what(source) == AK_PATH_FOLDER && names[i][0] >= '0' &&
                 names[i][0] <= '9') /* 1_Pooling, 2_Dense: modules begin with their number */
            status = copy_level(source, target, weights, false, error);
        ak_free(source);
        ak_free(target);
    }
    ak_names_free(names, count);
    return status;
}

akin_status ak_sentence_folder_copy(const char *from, const char *to, bool weights,
                                    akin_error *error)
{
    return copy_level(from, to, weights, true, error);
}

/* ---- what the encoder reads otherwise than the folder says ---- */

/* A copy of the map without one member. NULL when out of memory, and for NULL. */
static ak_value *without(akin_arena *arena, const ak_value *map, const char *key)
{
    ak_value *fresh = ak_value_new_map(arena);
    for (const ak_value *one = map ? map->first : NULL; one && fresh; one = one->next)
        if (strcmp(one->key, key) != 0 && !ak_value_attach(arena, fresh, one->key, one))
            return NULL;
    return fresh;
}

static akin_status write_json(const char *path, const ak_value *value, akin_error *error)
{
    char *text = value ? ak_json_write(value, 2) : NULL;
    if (!text)
        return ak_fail_memory(error);
    akin_status status = ak_file_write(path, text, strlen(text), error);
    ak_free(text);
    return status;
}

/* {"max_seq_length": n, ...} */
static akin_status set_length(akin_arena *arena, const char *path, int32_t length,
                              akin_error *error)
{
    ak_value *old = NULL;
    if (ak_path_what(path) == AK_PATH_FILE)
        AK_TRY(ak_json_read(&old, arena, path, error));
    ak_value *fresh = without(arena, old, "max_seq_length");
    if (!ak_value_add_int(arena, fresh, "max_seq_length", length))
        return ak_fail_memory(error);
    return write_json(path, fresh, error);
}

/* One prompt for all: {"prompts": {"akin": prompt, ...}, "default_prompt_name": "akin", ...}; "":
   null, no prompt. And under the names that queries and documents would get theirs by. */
static bool put_prompt(akin_arena *arena, const ak_sentence_folder *was, const char *prompt,
                       ak_value *root, ak_value *prompts)
{
    bool named = was->query_prompt || was->document_prompt;
    ak_value *put = *prompt ? ak_value_add_string(arena, prompts, "akin", prompt) : prompts;
    ak_value *name = *prompt ? ak_value_add_string(arena, root, "default_prompt_name", "akin")
                             : ak_value_add(arena, root, "default_prompt_name", AK_NULL);
    return put && name &&
           (!named || (ak_value_add_string(arena, prompts, "query", prompt) &&
                       ak_value_add_string(arena, prompts, "document", prompt)));
}

/* {"prompts": {"query": ..., "document": ..., ...}, ...}; the default is what it was. */
static bool put_prompts(akin_arena *arena, const ak_value *old, ak_prompts p, ak_value *root,
                        ak_value *prompts)
{
    const ak_value *name = ak_value_get(old, "default_prompt_name");
    return ak_value_add_string(arena, prompts, "query", p.query) &&
           ak_value_add_string(arena, prompts, "document", p.document) &&
           (!name || ak_value_attach(arena, root, "default_prompt_name", name));
}

static akin_status set_prompts(akin_arena *arena, const char *path, const ak_sentence_folder *was,
                               ak_prompts p, akin_error *error)
{
    bool one = strcmp(p.query, p.document) == 0;
    ak_value *old = NULL;
    if (ak_path_what(path) == AK_PATH_FILE)
        AK_TRY(ak_json_read(&old, arena, path, error));
    const ak_value *others = ak_value_get(old, "prompts");
    static const char *const ours[] = {"prompts", "default_prompt_name"};
    static const char *const names[] = {"akin", "query", "document"};
    ak_value *root = old, *prompts = NULL;
    for (int i = 0; i < 2; i++)
        root = i && !root ? NULL : without(arena, root, ours[i]);
    for (int i = 0; i < 3; i++)
        others = prompts = i && !prompts ? NULL : without(arena, others, names[i]);
    if (!root || !prompts ||
        !(one ? put_prompt(arena, was, p.query, root, prompts)
              : put_prompts(arena, old, p, root, prompts)) ||
        !ak_value_attach(arena, root, "prompts", prompts))
        return ak_fail_memory(error);
    return write_json(path, root, error);
}

/* What reads the folder alone would put other texts before some. Two prompts are always written, by
   the names that every release knows. */
static bool reads_otherwise(const ak_sentence_folder *was, ak_prompts p)
{
    ak_prompts theirs = ak_sentence_folder_prompts(was);
    return strcmp(p.query, p.document) || strcmp(theirs.query, p.query) ||
           strcmp(theirs.document, p.document) || strcmp(was->prompt, p.query);
}

static akin_status adapt(akin_arena *arena, const ak_sentence_folder *was, const char *to,
                         int32_t max_length, ak_prompts prompts, akin_error *error)
{
    const char *length = ak_arena_format(arena, "%s/%s%ssentence_bert_config.json", to, was->module,
                                         *was->module ? "/" : "");
    const char *settings = ak_arena_format(arena, "%s/config_sentence_transformers.json", to);
    if (!length || !settings)
        return ak_fail_memory(error);
    if (max_length != was->max_length)
        AK_TRY(set_length(arena, length, max_length, error));
    return reads_otherwise(was, prompts) ? set_prompts(arena, settings, was, prompts, error)
                                         : AKIN_OK;
}

akin_status ak_sentence_folder_adapt(const ak_sentence_folder *was, const char *to,
                                     int32_t max_length, ak_prompts prompts, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = adapt(arena, was, to, max_length, prompts, error);
    ak_arena_free(arena);
    return status;
}
