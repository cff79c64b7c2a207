/* The loss that a model was trained with: loss.safetensors beside head.safetensors, named in
   akin.json as {"loss": {"file": ..., "groups": n, "given": {type and options}}}. */
#include "model/model.h"

#include <string.h>

#define FILE_NAME "loss.safetensors"

void ak_model_loss_free(ak_model_loss *loss)
{
    if (!loss)
        return;
    akin_parameters_free(loss->parameters);
    ak_free(loss->given);
    ak_free(loss->labels);
    ak_free(loss);
}

static akin_status set_loss(akin_model *model, const ak_value *given, const char *labels,
                            akin_error *error)
{
    ak_model_loss *loss = ak_calloc(1, sizeof *loss);
    if (!loss)
        return ak_fail_memory(error);
    loss->given = ak_json_write(given, 0);
    loss->labels = labels ? ak_strdup(labels) : NULL;
    if (!loss->given || (labels && !loss->labels)) {
        ak_model_loss_free(loss);
        return ak_fail_memory(error);
    }
    ak_model_loss_free(model->loss);
    model->loss = loss;
    return AKIN_OK;
}

akin_status ak_model_set_loss(akin_model *model, const ak_value *given, const char *labels,
                              akin_parameters *parameters, akin_error *error)
{
    AK_TRY(set_loss(model, given, labels, error));
    model->loss->parameters = parameters;
    return AKIN_OK;
}

akin_status ak_model_loss_describe(const akin_model *model, akin_arena *arena, ak_value *root,
                                   akin_error *error)
{
    ak_value *given;
    if (!model->loss)
        return ak_value_add(arena, root, "loss", AK_NULL) ? AKIN_OK : ak_fail_memory(error);
    const char *text = model->loss->given;
    AK_TRY(ak_json_parse(&given, arena, text, strlen(text), "loss", error));
    ak_value *loss = ak_value_add(arena, root, "loss", AK_MAP);
    ak_value *file = ak_value_add_string(arena, loss, "file", FILE_NAME);
    return file && ak_value_attach(arena, loss, "given", given) ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_model_loss_recall(akin_model *model, const ak_value *root, akin_error *error)
{
    const ak_value *given = ak_value_get(ak_value_get(root, "loss"), "given");
    return given ? set_loss(model, given, NULL, error) : AKIN_OK;
}

/* What an earlier save wrote, byte for byte. A model whose loss was deleted is still a model. */
static akin_status copy_file(const char *from, const char *to, akin_error *error)
{
    ak_map map;
    char *path = ak_path_join(from, FILE_NAME);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = AKIN_OK;
    if (ak_path_what(path) == AK_PATH_FILE) {
        status = ak_map_open(&map, path, error);
        if (!status) {
            status = ak_file_write(to, map.data, map.size, error);
            ak_map_close(&map);
        }
    }
    ak_free(path);
    return status;
}

akin_status ak_model_loss_write(const akin_model *model, const char *folder, akin_error *error)
{
    const ak_model_loss *loss = model->loss;
    if (!loss || (!loss->parameters && !model->path))
        return AKIN_OK;
    char *path = ak_path_join(folder, FILE_NAME);
    if (!path)
        return ak_fail_memory(error);
    const char *const metadata[] = {"format",
                                    "akin-parameters",
                                    "loss",
                                    loss->given,
                                    loss->labels ? "labels" : NULL,
                                    loss->labels,
                                    NULL};
    akin_status status = loss->parameters
                             ? ak_parameters_write_with(loss->parameters, path, metadata, error)
                             : copy_file(model->path, path, error);
    ak_free(path);
    return status;
}
