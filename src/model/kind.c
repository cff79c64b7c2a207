/* What a file is, in a word for messages and for `akin inspect`. */
#include "model/model.h"

#include "base/safetensors.h"

#include <string.h>

/* Files of akin's own say what they are in "format". */
static const char *kind_of_tensors(const char *path)
{
    static const struct {
        const char *format, *kind;
    } known[] = {{"akin index", "index"},
                 {"akin-vectors", "vectors"},
                 {"akin-checkpoint", "checkpoint"},
                 {"akin-parameters", "parameters"},
                 {"akin-features", "features"}};
    ak_safetensors *file;
    const char *kind = "tensors";
    if (ak_safetensors_open(&file, path, NULL))
        return "file";
    const char *format = ak_safetensors_metadata(file, "format");
    for (size_t i = 0; i < sizeof known / sizeof *known && format; i++)
        if (strcmp(known[i].format, format) == 0)
            kind = known[i].kind;
    ak_safetensors_free(file);
    return kind;
}

const char *ak_file_kind(const char *path)
{
    if (ak_path_has_suffix(path, ".npy"))
        return "vectors";
    if (ak_path_has_suffix(path, ".yaml") || ak_path_has_suffix(path, ".yml"))
        return "recipe";
    return ak_corpus_is_known(path) ? "data" : kind_of_tensors(path);
}
