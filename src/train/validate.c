/* Validation: the loss over its batches and the metrics over the whole set. */
#include "train/train.h"

#include <math.h>
#include <string.h>

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
static akin_status run_encoders(const ak_side *side, ak_tower tower, const int64_t *numbers,
                                akin_matrix features, const akin_pass *pass, akin_error *error)
{
    const akin_model *model = side->model;
    ak_table_source source = {side->table, side->dataset};
    ak_contents contents = ak_table_contents(&source);
    akin_object *objects = ak_arena_new(pass->arena, akin_object, features.rows);
    if (!objects)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < features.rows; i++)
        AK_TRY(contents.object(contents.user, numbers[i], pass->arena, &objects[i], error));
    for (int e = 0; e < model->encoder_count; e++) {
        const akin_encoder *encoder = ak_encoder_tower(model->encoders[e].encoder, tower);
        void *batch, *record;
        if (side->features && ak_features_have(side->features, e, tower))
            continue;
        AK_TRY(encoder->type->collate(encoder->self, objects, features.rows, pass->arena, &batch,
                                      error));
        AK_TRY(ak_stems_give(side->stems, e, tower, contents.keys, numbers, features.rows, batch,
                             pass->arena, error));
        AK_TRY(encoder->type->forward(encoder->self, pass, batch,
                                      ak_model_columns(model, e, tower, features), &record, error));
        ak_model_pad(model, e, tower, features);
    }
    return AKIN_OK;
}

/* Of `numbers`, a row each. */
static akin_status embed_contents(akin_training *t, const ak_side *side, const int64_t *numbers,
                                  ak_way way, akin_matrix y, akin_error *error)
{
    akin_pass pass = {.size = sizeof pass,
                      .arena = t->chunk_arena,
                      .precision = t->trainer.precision,
                      .documents = way.tower == AK_DOCUMENT_TOWER ? y.rows : 0};
    akin_matrix features =
        way.head ? ak_matrix_new(t->chunk_arena, y.rows, t->model->input_dim) : y;
    if (!features.data)
        return ak_fail_memory(error);
    if (side->features)
        ak_features_gather(side->features, way.tower, numbers, y.rows, features);
    if (side->reads_objects)
        AK_TRY(run_encoders(side, way.tower, numbers, features, &pass, error));
    if (!way.head)
        return AKIN_OK;
    AK_TRY(ak_model_key_tags(t->model, ak_side_keys(side), numbers, y.rows, t->chunk_arena,
                             &pass.tags, error));
    return ak_model_head_forward(t->model, &pass, features, y, error);
}

/* The first rows of y are those of contents numbers[i], ascending, which belong into rows
   numbers[i] - first; the others become zeros. */
static void spread(akin_matrix y, const int64_t *numbers, int64_t n, int64_t first)
{
    for (int64_t row = y.rows - 1; row >= 0 && n < y.rows; row--) {
        akin_matrix to = ak_matrix_rows(y, row, 1);
        bool there = n && numbers[n - 1] - first == row;
        if (there)
            ak_matrix_copy(ak_matrix_rows(y, --n, 1), to);
        else
            memset(to.data, 0, (size_t)to.columns * sizeof *to.data);
        if (n == row)
            return;
    }
}

static akin_status embed_chunk(akin_training *t, const ak_side *side, int64_t first, ak_way way,
                               akin_matrix y, akin_error *error)
{
    ak_table_source source = {side->table, side->dataset};
    ak_contents contents = ak_table_contents(&source);
    bool sides = akin_model_base_has_sides(t->model);
    ak_arena_reset(t->chunk_arena);
    int64_t *numbers = ak_arena_new(t->chunk_arena, int64_t, y.rows), n = 0;
    if (!numbers)
        return ak_fail_memory(error);
    for (int64_t i = first; i < first + y.rows; i++)
        if (!sides || ak_content_is_on(&contents, i, way.tower))
            numbers[n++] = i;
    if (n)
        AK_TRY(embed_contents(t, side, numbers, way, ak_matrix_rows(y, 0, n), error));
    spread(y, numbers, n, first);
    return AKIN_OK;
}

static akin_status embed(akin_training *t, const ak_side *side, ak_way way, akin_matrix y,
                         akin_error *error)
{
    int64_t most = side->reads_objects ? TEXTS : CHUNK;
    for (int64_t i = 0; i < y.rows; i += most) {
        int64_t n = y.rows - i < most ? y.rows - i : most;
        AK_TRY(ak_check_interrupt(t->context, error));
        AK_TRY(embed_chunk(t, side, i, way, ak_matrix_rows(y, i, n), error));
    }
    return AKIN_OK;
}

/* Figures of ranks are not of vectors that cannot be compared. */
static akin_status check_finite(akin_training *t, akin_matrix y, akin_error *error)
{
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t j = 0; j < y.columns; j++)
            if (!isfinite(y.data[i * y.stride + j])) {
                t->diverged = true;
                return ak_fail(
                    error, AKIN_ERR_DIVERGED,
                    "vectors are not finite after step %lld, in epoch %lld; a smaller lr "
                    "may help",
                    (long long)t->step, (long long)t->epoch);
            }
    return AKIN_OK;
}

akin_status ak_side_embed(akin_training *t, const ak_side *side, bool base, akin_arena *arena,
                          ak_sides *out, akin_error *error)
{
    akin_matrix *y[AK_TOWERS] = {&out->queries, &out->documents};
    int towers = ak_model_two_ways(t->model, base) ? AK_TOWERS : 1;
    for (int tower = 0; tower < towers; tower++) {
        ak_way way = ak_model_side_way(t->model, base, (ak_tower)tower);
        *y[tower] = ak_matrix_new(arena, side->table->contents, ak_model_way_dim(t->model, way));
        if (!y[tower]->data)
            return ak_fail_memory(error);
        AK_TRY(embed(t, side, way, *y[tower], error));
        AK_TRY(check_finite(t, *y[tower], error));
    }
    if (towers == 1)
        out->documents = out->queries;
    return AKIN_OK;
}

static akin_status metrics(akin_training *t, bool base, akin_error *error)
{
    akin_arena *arena;
    ak_sides sides;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_side_embed(t, &t->validation, base, arena, &sides, error);
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
