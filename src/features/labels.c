/* The sample table of a data set, kept in the cache folder by the data set's own name (its content
   hash) and by what the encoders read of an object, so that a run over cached features starts
   without reading its file. */
#include "features/features.h"

#include <string.h>

/* What decides the content keys: the encoders' classes and options. A caller's function for keys is
   not known by name. */
static bool keys_have_a_name(const akin_model *model)
{
    for (int i = 0; i < model->encoder_count; i++)
        if (model->encoders[i].encoder->cache.key)
            return false;
    return true;
}

static akin_status key_rules(const akin_model *model, ak_hash *out, akin_error *error)
{
    *out = ak_hash_text("labels 1");
    for (int i = 0; i < model->encoder_count; i++) {
        const akin_encoder *encoder = model->encoders[i].encoder;
        char *options = encoder->given ? ak_json_write(encoder->given, 0) : ak_strdup("");
        if (!options)
            return ak_fail_memory(error);
        *out = ak_hash_combine(*out, ak_hash_text(encoder->type->name));
        *out = ak_hash_combine(*out, ak_hash_text(options));
        ak_free(options);
    }
    return AKIN_OK;
}

/* NULL: the table cannot be kept (no cache folder, or a data set without a name), or no memory. */
static char *table_path(const akin_model *model, const akin_dataset *dataset)
{
    ak_hash name, rules;
    char hex[AK_HASH_HEX];
    const char *folder = model->context ? model->context->cache_folder : NULL;
    if (!folder || !keys_have_a_name(model) || !ak_dataset_fingerprint(dataset, &name) ||
        key_rules(model, &rules, NULL))
        return NULL;
    ak_hash_to_hex(ak_hash_combine(name, rules), hex);
    return ak_format("%s/labels/%s", folder, hex);
}

static void progress(void *user, int64_t done, int64_t total)
{
    const akin_model *model = user;
    ak_progress(model->context, (double)done / (double)(total ? total : 1),
                "reading: %lld of %lld samples", (long long)done, (long long)total);
}

/* A table that cannot be kept only costs time. */
static void keep(const ak_table *table, const char *path)
{
    char *folder = ak_path_parent(path);
    if (folder && !ak_make_folders(folder, NULL))
        (void)ak_table_save(table, path, NULL);
    ak_free(folder);
}

akin_status ak_labels_table(ak_table **out, const akin_model *model, const akin_dataset *dataset,
                            bool *reused, akin_error *error)
{
    *out = NULL;
    *reused = false;
    char *path = table_path(model, dataset);
    if (path && ak_path_what(path) == AK_PATH_FILE && !ak_table_load(out, path, NULL)) {
        *reused = true;
        ak_touch(path);
        ak_free(path);
        return AKIN_OK;
    }
    const ak_key_rule rule = {ak_model_rule_keys, (void *)model, model->encoder_count};
    akin_status status = ak_table_build(out, dataset, &rule, progress, (void *)model, error);
    if (!status && path)
        keep(*out, path);
    ak_free(path);
    return status;
}

static akin_status content_object(void *user, int64_t i, akin_arena *arena, akin_object *object,
                                  akin_error *error)
{
    const ak_table_source *source = user;
    const ak_table *table = source->table;
    akin_sample sample;
    int64_t number = table->first_sample[i];
    AK_TRY(akin_dataset_get(source->dataset, number, arena, &sample, error));
    if (table->kind == AKIN_GROUPS)
        *object = sample.group.object;
    else
        *object = table->content[2 * number] == i ? sample.pair.a : sample.pair.b;
    return AKIN_OK;
}

ak_contents ak_table_contents(ak_table_source *source)
{
    return (ak_contents){.count = source->table->contents,
                         .keys = source->table->part_keys ? source->table->part_keys
                                                          : source->table->keys,
                         .sides = source->table->sides,
                         .object = content_object,
                         .user = source};
}
