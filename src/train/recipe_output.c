/* Where a recipe's model may be saved: a folder that is replaced must hold nothing that the run
   reads. */
#include "train/recipe.h"

#include <string.h>

enum { MAX_DEPTH = 128 }; /* yaml.c refuses what is deeper than 100 */

/* input: a path as the recipe has it, NULL: none. */
static akin_status check_input(const akin_recipe *recipe, const char *output, const char *input,
                               const char *what, akin_error *error)
{
    if (!input || !*input)
        return AKIN_OK;
    char *full = ak_path_join(recipe->folder, input);
    if (!full)
        return ak_fail_memory(error);
    akin_status status = AKIN_OK;
    if (ak_path_holds(output, full))
        status = ak_fail(error, AKIN_ERR_EXISTS, "%s is not replaced: it holds %s, %s of this run",
                         output, full, what);
    ak_free(full);
    return status;
}

/* What an option of an encoder names, NULL: no path. */
static const char *path_of(const char *key)
{
    if (!key)
        return NULL;
    if (strcmp(key, "lora") == 0)
        return "an adapter";
    return strcmp(key, "path") == 0 || strcmp(key, "ids") == 0 ? "an encoder" : NULL;
}

/* Encoders have others inside them, at any depth. */
static akin_status check_encoders(const akin_recipe *recipe, const char *output, akin_error *error)
{
    const ak_value *outer[MAX_DEPTH];
    int depth = 0;
    const ak_value *encoders = ak_value_get(recipe->root, "encoders");
    const ak_value *v = encoders ? encoders->first : NULL;
    while (v) {
        if (v->kind == AK_STRING && path_of(v->key))
            AK_TRY(check_input(recipe, output, v->string, path_of(v->key), error));
        if (v->kind == AK_MAP && v->first && depth < MAX_DEPTH) {
            outer[depth++] = v;
            v = v->first;
            continue;
        }
        while (depth && !v->next)
            v = outer[--depth];
        v = v->next;
    }
    return AKIN_OK;
}

akin_status akin_recipe_may_save(const akin_recipe *recipe, const char *path, bool replace,
                                 akin_error *error)
{
    const ak_value *validation = ak_value_get(ak_value_get(recipe->root, "data"), "validation");
    AK_TRY(akin_model_may_save(path, NULL, replace, error));
    AK_TRY(check_encoders(recipe, path, error));
    AK_TRY(check_input(recipe, path, recipe->trainer.teacher, "the teacher", error));
    for (int64_t i = 0; i < recipe->file_count; i++)
        AK_TRY(check_input(recipe, path, recipe->files[i].path, "training data", error));
    if (!validation || validation->kind != AK_STRING)
        return AKIN_OK;
    return check_input(recipe, path, validation->string, "the validation data", error);
}
