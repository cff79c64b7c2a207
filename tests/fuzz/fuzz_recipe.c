/* Fuzz target: recipes, and assignments as --set has them. What was read must, as JSON, be a recipe
   that says the same. */
#include "fuzz.h"

#include "train/recipe.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file that never reaches a disk. */
static const char *write_file(int *file, const void *data, size_t size)
{
    static char path[64];
    if (*file < 0)
        *file = memfd_create("fuzz", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", *file);
    FUZZ_CHECK(ftruncate(*file, 0) == 0);
    FUZZ_CHECK(pwrite(*file, data, size, 0) == (ssize_t)size);
    return path;
}

static akin_context *context;
static int file = -1;

static char *json_of(const void *data, size_t size, const char *const *sets, int count)
{
    akin_recipe *recipe;
    akin_error error = {0};
    const char *path = write_file(&file, data, size);
    if (akin_recipe_open(&recipe, context, path, sets, count, &error)) {
        FUZZ_CHECK(!recipe && error.status && *error.message);
        return NULL;
    }
    char *json = ak_strdup(akin_recipe_json(recipe));
    FUZZ_CHECK(json && akin_recipe_trainer(recipe).max_epochs >= 1);
    akin_recipe_free(recipe);
    return json;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char whole[] = "data: {train: d.jsonl}\nencoders: {t: {path: m}}\n";
    if (!context)
        FUZZ_CHECK(!akin_context_create(&context, NULL));
    char *once = json_of(data, size, NULL, 0);
    char *twice = once ? json_of(once, strlen(once), NULL, 0) : NULL;
    FUZZ_CHECK(!once || (twice && strcmp(once, twice) == 0));
    ak_free(once);
    ak_free(twice);
    char *set = ak_strndup((const char *)data, size < 4096 ? size : 4096);
    FUZZ_CHECK(set);
    ak_free(json_of(whole, sizeof whole - 1, (const char *const *)&set, 1));
    ak_free(set);
    return 0;
}
