/* Data sets and corpora of a context: its cache folder holds unpacked files and memoised hashes. */
#include "model/model.h"

akin_status akin_dataset_open(akin_dataset **out, akin_context *context, const char *path,
                              akin_sample_kind kind, const akin_fields *fields, akin_error *error)
{
    return ak_dataset_open_file(out, path, kind, fields, context ? context->cache_folder : NULL,
                                error);
}

static bool reads_a_member(const akin_encoder *encoder)
{
    return ak_value_get_string(encoder->given, "field", NULL) || ak_encoder_has_tags(encoder) ||
           encoder->type == &ak_encoder_vectors;
}

/* Does an encoder pick a member of the record itself, or take a list for one? A corpus is of
   documents. */
static bool reads_records(const akin_model *model)
{
    for (int i = 0; i < model->encoder_count; i++)
        if (reads_a_member(ak_encoder_tower(model->encoders[i].encoder, AK_DOCUMENT_TOWER)))
            return true;
    return false;
}

akin_status akin_corpus_open(akin_corpus **out, akin_context *context, const akin_model *model,
                             const char *path, const char *field, akin_error *error)
{
    static const char *const usual[] = {"title", "text", NULL};
    const char *one[] = {field, NULL};
    const char *const *fields = field ? one : usual;
    if (!field && (ak_corpus_is_lines(path) || (model && reads_records(model))))
        fields = NULL;
    return ak_corpus_open(out, path, fields, NULL, context ? context->cache_folder : NULL, error);
}
