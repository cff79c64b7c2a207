/* Validation: the loss over its batches and the metrics over the whole set. */
#include "train/train.h"

#include <math.h>

#define CHUNK 4096 /* contents that go through the head at once */
#define TEXTS 512  /* through encoders, whose input may be large */

static akin_status validation_loss(akin_training *t, bool base, double *out, akin_error *error)
{
    akin_loader *loader = t->validation.loader;
    double sum = 0;
    int64_t samples = 0, limit = t->trainer.limit_validation_batches;
    AK_TRY(ak_loader_start(loader, 0, 0, error));
    for (int64_t i = 0; !limit || i < limit; i++) {
        ak_batch *batch;
        double value;
        AK_TRY(ak_loader_next(loader, &batch, error));
        if (!batch)
            break;
        int64_t count = batch->count;
        akin_status status = ak_validation_step(t, batch, base, &value, error);
        ak_loader_release(loader, batch);
        AK_TRY(status);
        sum += value * (double)count;
        samples += count;
    }
    ak_loader_stop(loader);
    *out = samples ? sum / (double)samples : NAN;
    return AKIN_OK;
}

/* ---- embeddings of every content ---- */

/* Columns of encoders that are not cached, a row a content. */
static akin_status run_encoders(const ak_side *side, const ak_contents *contents,
                                const int64_t *numbers, akin_matrix features,
                                const akin_pass *pass, akin_error *error)
{
    const akin_model *model = side->model;
    akin_object *objects = ak_arena_new(pass->arena, akin_object, features.rows);
    if (!objects)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < features.rows; i++)
        AK_TRY(contents->object(contents->user, numbers[i], pass->arena, &objects[i], error));
    for (int e = 0; e < model->encoder_count; e++) {
        const akin_encoder *encoder = model->encoders[e].encoder;
        void *batch, *record;
        if (side->features && side->features->rows[e])
            continue;
        AK_TRY(encoder->type->collate(encoder->self, objects, features.rows, pass->arena, &batch,
                                      error));
        AK_TRY(ak_stems_give(side->stems, e, contents->keys, numbers, features.rows, batch,
                             pass->arena, error));
        AK_TRY(encoder->type->forward(encoder->self, pass, batch,
                                      ak_matrix_columns(features, model->encoders[e].offset,
                                                        akin_encoder_dim(encoder)),
                                      &record, error));
    }
    return AKIN_OK;
}

static akin_status embed_chunk(akin_training *t, const ak_side *side, int64_t first, bool base,
                               akin_matrix y, akin_error *error)
{
    ak_table_source source = {side->table, side->dataset};
    ak_contents contents = ak_table_contents(&source);
    ak_arena_reset(t->arena);
    akin_pass pass = {.size = sizeof pass, .arena = t->arena, .precision = t->trainer.precision};
    akin_matrix features = base ? y : ak_matrix_new(t->arena, y.rows, t->model->input_dim);
    int64_t *numbers = ak_arena_new(t->arena, int64_t, y.rows);
    if (!features.data || !numbers)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < y.rows; i++)
        numbers[i] = first + i;
    if (side->features)
        ak_features_gather(side->features, numbers, y.rows, features);
    if (side->reads_objects)
        AK_TRY(run_encoders(side, &contents, numbers, features, &pass, error));
    if (base)
        return AKIN_OK;
    AK_TRY(ak_model_key_tags(t->model, contents.keys, numbers, y.rows, t->arena, &pass.tags,
                             error));
    return ak_model_head_forward(t->model, &pass, features, y, error);
}

akin_status ak_side_embed(akin_training *t, const ak_side *side, bool base, akin_matrix y,
                          akin_error *error)
{
    int64_t most = side->reads_objects ? TEXTS : CHUNK;
    for (int64_t i = 0; i < y.rows; i += most) {
        int64_t n = y.rows - i < most ? y.rows - i : most;
        AK_TRY(ak_check_interrupt(t->context, error));
        AK_TRY(embed_chunk(t, side, i, base, ak_matrix_rows(y, i, n), error));
    }
    return AKIN_OK;
}

static akin_status metrics(akin_training *t, bool base, akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    int64_t contents = t->validation.table->contents;
    int64_t width = base ? t->model->input_dim : t->model->dim;
    akin_matrix y = ak_matrix_new(arena, contents, width);
    ak_sides sides = {y, y};
    akin_status status =
        y.data ? ak_side_embed(t, &t->validation, base, y, error) : ak_fail_memory(error);
    if (!status && !base && akin_model_has_sides(t->model)) {
        sides.documents = ak_matrix_new(arena, contents, width);
        status = sides.documents.data
                     ? ak_side_embed(t, &t->validation, true, sides.documents, error)
                     : ak_fail_memory(error);
    }
    if (!status)
        status = ak_table_metrics(t, &sides, arena, error);
    ak_arena_free(arena);
    return status;
}

akin_status ak_validate(akin_training *t, bool base, akin_error *error)
{
    if (!t->validation.loader)
        return AKIN_OK;
    AK_TRY(validation_loss(t, base, &ak_run_figure(t, "validation_loss")->value, error));
    return t->metric_count ? metrics(t, base, error) : AKIN_OK;
}
