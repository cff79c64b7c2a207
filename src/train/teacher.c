/* The teacher of a run: a model whose vectors of the same objects stand beside the labels. They are
   computed once, through the store, and gathered with every batch; of a stream they are computed
   with the batch. */
#include "train/train.h"

akin_status ak_teacher_open(akin_training *t, akin_sample_kind kind, akin_error *error)
{
    const akin_loss_traits *loss = &t->loss->traits;
    const char *path = t->trainer.teacher;
    ak_hash documents;
    if (!path && loss->teacher)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "the loss \"%s\" learns from a teacher: \"train.teacher\" must name the "
                       "folder of a model",
                       t->loss->type->name);
    if (!path)
        return AKIN_OK;
    if (!loss->teacher)
        ak_warn(t->context, "there is a teacher, but the loss \"%s\" does not learn from it",
                t->loss->type->name);
    AK_TRY(akin_model_load(&t->teacher, t->context, path, AKIN_AS_SAVED, error));
    AK_TRY(akin_model_fingerprint(t->teacher, &t->teacher_space, error));
    if (!akin_model_has_sides(t->teacher))
        return AKIN_OK;
    if (kind == AKIN_GROUPS)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "%s: the teacher has a query and a document side, which objects of groups "
                       "have not",
                       path);
    AK_TRY(akin_model_space_fingerprint(t->teacher, AKIN_SPACE_DOCUMENT, &documents, error));
    t->teacher_space = ak_hash_combine(t->teacher_space, documents);
    return AKIN_OK;
}

akin_status ak_side_teach(ak_side *side, const akin_model *teacher, akin_error *error)
{
    side->teacher = side->loader ? teacher : NULL;
    if (!side->teacher || ak_loader_is_stream(side->loader))
        return AKIN_OK;
    ak_table_source source = {side->table, side->dataset};
    ak_contents contents = ak_table_contents(&source);
    side->teacher_keys = ak_calloc((size_t)contents.count + 1,
                                   (size_t)teacher->encoder_count * sizeof *side->teacher_keys);
    if (!side->teacher_keys)
        return ak_fail_memory(error);
    AK_TRY(ak_contents_make_keys(&contents, teacher, side->teacher_keys, error));
    contents.keys = side->teacher_keys;
    return ak_features_collect(&side->teacher_features, teacher, &contents, false, error);
}

/* Objects first .. first + count - 1 of a batch, which go that way. */
static akin_status embed(const ak_side *side, const ak_batch *batch, ak_tower tower, bool sides,
                         int64_t first, akin_matrix y, akin_error *error)
{
    static const akin_space spaces[AK_TOWERS] = {AKIN_SPACE_QUERY, AKIN_SPACE_DOCUMENT};
    ak_way way = ak_model_side_way(side->teacher, false, tower);
    if (side->teacher_features)
        return ak_features_embed_some(side->teacher_features, way, batch->labels.content + first,
                                      batch->arena, y, error);
    return akin_model_encode_in(side->teacher, sides ? spaces[tower] : AKIN_SPACE_MODEL,
                                batch->objects + first, y.rows, y.data, error);
}

akin_status ak_teacher_gather(const ak_side *side, ak_batch *batch, akin_error *error)
{
    bool sides = akin_model_has_sides(side->teacher);
    int64_t documents = sides ? batch->count : 0, queries = batch->object_count - documents;
    akin_matrix y = ak_matrix_new(batch->arena, batch->object_count, akin_model_dim(side->teacher));
    if (!y.data)
        return ak_fail_memory(error);
    AK_TRY(embed(side, batch, AK_QUERY_TOWER, sides, 0, ak_matrix_rows(y, 0, queries), error));
    if (documents)
        AK_TRY(embed(side, batch, AK_DOCUMENT_TOWER, sides, queries,
                     ak_matrix_rows(y, queries, documents), error));
    batch->labels.teacher = y;
    return AKIN_OK;
}
