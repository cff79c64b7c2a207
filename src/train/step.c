/* The training step: the flow of akin.h, forwards and back. Its number, from which random numbers
   are drawn, counts batches; akin_training's step counts updates.

   Encoders run the batch in chunks, one or (train.chunk_size) several. Of several only the features
   are kept, which is all that head and loss ask for; backward runs each chunk again for what it
   needs of it: the batch's gradients in the memory of a chunk (GradCache: Gao et al., Scaling Deep
   Contrastive Learning Batch Size under Memory Limited Setup, 2021). */
#include "train/train.h"

#include <math.h>

/* What one step holds; memory of the step's arena. */
typedef struct step {
    akin_pass pass;
    ak_batch *batch;
    ak_step_input *input;
    akin_matrix embeddings;
    akin_matrix d_embeddings, d_features;
    int64_t *numbers; /* of the objects: 0, 1, 2, ... */
    void *head_record;
    void *run_record[AK_MAX_RUNS]; /* of the last chunk that ran */
    double loss;
} step;

static akin_status begin(akin_training *t, step *s, ak_batch *batch, bool training,
                         akin_error *error)
{
    ak_arena_reset(t->arena);
    *s = (step){.batch = batch, .input = batch->collated};
    s->pass = (akin_pass){.size = sizeof s->pass,
                          .arena = t->arena,
                          .training = training,
                          .seed = t->trainer.seed,
                          .step = (uint64_t)(t->step * t->trainer.accumulate + t->accumulated),
                          .precision = t->trainer.precision,
                          .documents = batch->labels.kind == AKIN_PAIRS ? batch->count : 0,
                          .tags = s->input->tags};
    s->embeddings = ak_matrix_new(t->arena, batch->object_count, t->model->dim);
    s->numbers = ak_arena_new(t->arena, int64_t, batch->object_count);
    if (!s->embeddings.data || !s->numbers)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < batch->object_count; i++)
        s->numbers[i] = i;
    return AKIN_OK;
}

/* A validation's time is its own, whatever it does. */
static void enter(akin_training *t, const step *s, ak_stage stage)
{
    if (s->pass.training)
        ak_enter(t, stage);
}

/* The step's pass over some of the objects, in the arena of their chunk. */
static akin_pass run_pass(const akin_training *t, const step *s, const ak_step_run *run)
{
    akin_pass own = s->pass;
    own.arena = t->chunk_arena;
    own.numbers = s->numbers + run->first;
    return own;
}

static akin_matrix run_rows(const akin_training *t, const ak_step_run *run, akin_matrix features)
{
    return ak_model_columns(t->model, run->number, run->tower,
                            ak_matrix_rows(features, run->first, run->count));
}

/* Nothing is left of the chunk before. again: for backward, which wants the records of the encoders
   that are trained. */
static akin_status chunk_forward(akin_training *t, step *s, const ak_chunk *chunk, bool again,
                                 akin_error *error)
{
    enter(t, s, AK_STAGE_ENCODERS);
    ak_arena_reset(t->chunk_arena);
    for (int i = 0; i < chunk->run_count; i++) {
        const ak_step_run *run = &chunk->runs[i];
        const akin_encoder *encoder = run->encoder;
        akin_pass pass = run_pass(t, s, run);
        if (!again || ak_encoder_trainable(encoder))
            AK_TRY(encoder->type->forward(encoder->self, &pass, run->batch,
                                          run_rows(t, run, s->input->features), &s->run_record[i],
                                          error));
    }
    return AKIN_OK;
}

static akin_status chunk_backward(akin_training *t, step *s, const ak_chunk *chunk,
                                  akin_error *error)
{
    enter(t, s, AK_STAGE_ENCODERS_BACKWARD);
    for (int i = 0; i < chunk->run_count; i++) {
        const ak_step_run *run = &chunk->runs[i];
        const akin_encoder *encoder = run->encoder;
        akin_pass pass = run_pass(t, s, run);
        if (ak_encoder_trainable(encoder))
            AK_TRY(encoder->type->backward(encoder->self, &pass, run->batch, s->run_record[i],
                                           run_rows(t, run, s->d_features), error));
    }
    return AKIN_OK;
}

/* The columns of encoders that are not cached; cached ones were gathered by the loader. */
static akin_status encoders_forward(akin_training *t, step *s, akin_error *error)
{
    for (int64_t i = 0; i < s->input->chunk_count; i++)
        AK_TRY(chunk_forward(t, s, &s->input->chunks[i], false, error));
    return AKIN_OK;
}

static akin_status head_forward(akin_training *t, step *s, akin_error *error)
{
    const akin_head *head = t->model->head;
    enter(t, s, AK_STAGE_HEAD);
    return head->type->forward(head->self, &s->pass, s->input->features, s->embeddings,
                               &s->head_record, error);
}

static akin_status loss_compute(akin_training *t, step *s, akin_error *error)
{
    enter(t, s, AK_STAGE_LOSS);
    s->d_embeddings = ak_matrix_new(t->arena, s->embeddings.rows, s->embeddings.columns);
    if (!s->d_embeddings.data)
        return ak_fail_memory(error);
    AK_TRY(t->loss->type->compute(t->loss->self, &s->pass, &s->batch->labels, s->embeddings,
                                  s->d_embeddings, &s->loss, error));
    if (!isfinite(s->loss)) {
        t->diverged = true;
        return ak_fail(error, AKIN_ERR_DIVERGED,
                       "the loss is %f at step %lld of epoch %lld; a smaller lr may help", s->loss,
                       (long long)t->step + 1, (long long)t->epoch);
    }
    return AKIN_OK;
}

static akin_status head_backward(akin_training *t, step *s, akin_error *error)
{
    const akin_head *head = t->model->head;
    akin_matrix features = s->input->features;
    bool wanted = t->train.reads_objects;
    enter(t, s, AK_STAGE_HEAD_BACKWARD);
    if (wanted)
        s->d_features = ak_matrix_new(t->arena, features.rows, features.columns);
    if (wanted && !s->d_features.data)
        return ak_fail_memory(error);
    return head->type->backward(head->self, &s->pass, s->head_record, features, s->d_embeddings,
                                s->d_features, error);
}

/* From the last chunk, whose records are still there; the others run forwards again. */
static akin_status encoders_backward(akin_training *t, step *s, akin_error *error)
{
    int64_t last = s->input->chunk_count - 1;
    for (int64_t i = last; i >= 0; i--) {
        if (i < last)
            AK_TRY(chunk_forward(t, s, &s->input->chunks[i], true, error));
        AK_TRY(chunk_backward(t, s, &s->input->chunks[i], error));
    }
    return AKIN_OK;
}

static void results(akin_training *t, const step *s, bool validation)
{
    if (!t->trainable->process_results)
        return;
    akin_results results = {.size = sizeof results,
                            .validation = validation,
                            .epoch = t->epoch,
                            .step = t->step,
                            .labels = &s->batch->labels,
                            .embeddings = s->embeddings,
                            .loss = s->loss};
    t->trainable->process_results(t->trainable->user, &results);
}

akin_status ak_train_step(akin_training *t, ak_batch *batch, akin_error *error)
{
    step s;
    AK_TRY(begin(t, &s, batch, true, error));
    AK_TRY(encoders_forward(t, &s, error)); /* batch -> features */
    AK_TRY(head_forward(t, &s, error));     /* features -> embeddings */
    AK_TRY(loss_compute(t, &s, error));     /* embeddings -> loss */
    AK_TRY(head_backward(t, &s, error));    /* loss -> gradients */
    AK_TRY(encoders_backward(t, &s, error));
    if (++t->accumulated >= t->trainer.accumulate)
        ak_train_update(t); /* gradients -> parameters */
    t->embeddings = s.embeddings;
    t->loss_value = s.loss;
    t->loss_sum += s.loss * (double)batch->count;
    t->loss_samples += batch->count;
    results(t, &s, false);
    return AKIN_OK;
}

akin_status ak_validation_step(akin_training *t, ak_batch *batch, bool base, double *value,
                               akin_error *error)
{
    step s;
    AK_TRY(begin(t, &s, batch, false, error));
    AK_TRY(encoders_forward(t, &s, error));
    if (base)
        s.embeddings = s.input->features;
    else
        AK_TRY(head_forward(t, &s, error));
    AK_TRY(t->loss->type->compute(t->loss->self, &s.pass, &batch->labels, s.embeddings,
                                  (akin_matrix){0}, &s.loss, error));
    *value = s.loss;
    results(t, &s, true);
    return AKIN_OK;
}
