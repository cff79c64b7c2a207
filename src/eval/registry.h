/* Metrics by name, the user's included. */
#ifndef AK_EVAL_REGISTRY_H
#define AK_EVAL_REGISTRY_H

#include "eval/eval.h"
#include "model/context.h"

/* As ak_metric_create, in the context's registry. */
akin_status ak_metric_make(ak_metric *out, const akin_context *context, const char *text,
                           akin_arena *arena, akin_error *error);

/* As ak_metric_parse, in the context's registry. */
akin_status ak_metric_make_parsed(ak_metric *out, const akin_context *context,
                                  const ak_value *value, const char *source, akin_arena *arena,
                                  akin_error *error);

#endif
