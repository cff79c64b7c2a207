/* An ordered pipeline: several threads produce items 0, 1, 2, ... into a fixed number of slots, one
   consumer takes them in order. What comes out, errors included, is the same for every number of
   threads. Threads sleep between runs; a run allocates nothing. */
#ifndef AK_DATA_PIPELINE_H
#define AK_DATA_PIPELINE_H

#include "base/base.h"

typedef struct ak_pipeline ak_pipeline;

/* Makes item `number` in `slot`. Called by several threads at once, each with a slot of its own. */
typedef akin_status ak_produce_function(void *user, int64_t number, void *slot, akin_error *error);

/* slots[0..count) belong to the caller and must outlive the pipeline. workers 0: items are made by
   the thread that asks for them. Fewer threads than asked for are no error. */
akin_status ak_pipeline_create(ak_pipeline **out, int workers, void *const *slots, int count,
                               ak_produce_function *produce, void *user, akin_error *error);
void ak_pipeline_free(ak_pipeline *pipeline);

/* Starts a run over items first .. end - 1; a run before it is stopped. */
void ak_pipeline_start(ak_pipeline *pipeline, int64_t first, int64_t end);
/* The next item's slot, the caller's until released; NULL at the end. An error stops the run and
   comes again until the next start. */
akin_status ak_pipeline_next(ak_pipeline *pipeline, void **slot, akin_error *error);
void ak_pipeline_release(ak_pipeline *pipeline, void *slot);
/* Ends the run: when it returns no thread is producing. Slots that are held stay held. */
void ak_pipeline_stop(ak_pipeline *pipeline);

#endif
