/* Metrics by name: the built-in ones and the user's. */
#include "eval/registry.h"

akin_status akin_register_metric(akin_context *context, const akin_metric_class *type,
                                 akin_error *error)
{
    static const ak_member ranking[] = {AK_MEMBER(akin_metric_class, rank), {NULL}},
                           scored[] = {AK_MEMBER(akin_metric_class, score), {NULL}};
    bool scores =
        type && type->size > offsetof(akin_metric_class, kind) && type->kind == AKIN_METRIC_SCORED;
    return ak_class_register(context, AK_METRIC_CLASS, (const void *const *)ak_metrics, "metric",
                             type, scores ? scored : ranking, error);
}

static akin_status all_classes(const akin_metric_class *const **out, const akin_context *context,
                               akin_arena *arena, akin_error *error)
{
    int64_t count = 0;
    while (ak_class_at(context, AK_METRIC_CLASS, (const void *const *)ak_metrics, count))
        count++;
    const akin_metric_class **classes = ak_arena_new(arena, const akin_metric_class *, count + 1);
    if (!classes)
        return ak_fail_memory(error);
    for (int64_t i = 0; i <= count; i++)
        classes[i] = ak_class_at(context, AK_METRIC_CLASS, (const void *const *)ak_metrics, i);
    *out = classes;
    return AKIN_OK;
}

akin_status ak_metric_make(ak_metric *out, const akin_context *context, const char *text,
                           akin_arena *arena, akin_error *error)
{
    const akin_metric_class *const *classes = NULL;
    AK_TRY(all_classes(&classes, context, arena, error));
    return ak_metric_create(out, text, classes, arena, error);
}

akin_status ak_metric_make_parsed(ak_metric *out, const akin_context *context,
                                  const ak_value *value, const char *source, akin_arena *arena,
                                  akin_error *error)
{
    const akin_metric_class *const *classes = NULL;
    AK_TRY(all_classes(&classes, context, arena, error));
    return ak_metric_parse(out, value, source, classes, arena, error);
}
