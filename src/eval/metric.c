/* Metrics by name, with options: "precision@1" is {type: precision, k: 1}. */
#include "eval/eval.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

const akin_metric_class *const ak_metrics[] = {
    &ak_metric_reciprocal_rank,
    &ak_metric_precision,
    &ak_metric_recall,
    &ak_metric_map,
    &ak_metric_ndcg,
    &ak_metric_hit_rate,
    &ak_metric_r_precision,
    &ak_metric_spearman,
    &ak_metric_pearson,
    &ak_metric_accuracy,
    &ak_metric_threshold,
    &ak_metric_f1,
    &ak_metric_average_precision,
    NULL,
};

typedef struct source {
    const char *name;
    int line;
} source;

static akin_status unknown(const char *name, const akin_metric_class *const *classes, source at,
                           akin_arena *arena, akin_error *error)
{
    int64_t count = 0;
    while (classes[count])
        count++;
    const char **names = ak_arena_new(arena, const char *, count + 1);
    if (!names)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++)
        names[i] = classes[i]->name;
    names[count] = NULL;
    const char *near = ak_nearest_name(name, names);
    return ak_fail_at(error, AKIN_ERR_ARGUMENT, at.name, at.line,
                      "no metric is called \"%.60s\"%s%s%s", name, near ? ", did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
}

static akin_status find_class(const akin_metric_class **out, const char *name,
                              const akin_metric_class *const *classes, source at, akin_arena *arena,
                              akin_error *error)
{
    const akin_metric_class *const *found = classes;
    while (*found && strcmp((*found)->name, name))
        found++;
    *out = *found;
    return *out ? AKIN_OK : unknown(name, classes, at, arena, error);
}

static const akin_option *find_cut(const akin_metric_class *type)
{
    for (const akin_option *row = type->options; row && row->name; row++)
        if (!strcmp(row->name, "k") && row->type == AKIN_OPTION_INT)
            return row;
    return NULL;
}

/* The class name, and @k where there is a cut. */
static const char *full_name(const akin_metric_class *type, const void *options, akin_arena *arena)
{
    const akin_option *row = find_cut(type);
    int64_t k = 0;
    if (row)
        memcpy(&k, (const char *)options + row->offset, sizeof k);
    return k > 0 ? ak_arena_format(arena, "%s@%" PRId64, type->name, k) : type->name;
}

/* `name` may be "precision@1"; `map` (or NULL) holds further options. */
static akin_status make(ak_metric *out, const char *name, const ak_value *map, source at,
                        const akin_metric_class *const *classes, akin_arena *arena,
                        akin_error *error)
{
    static const akin_option no_rows[] = {{0}};
    static const char *const also[] = {"type", NULL};
    const char *sign = strchr(name, '@');
    const char *bare = ak_arena_copy(arena, name, sign ? (size_t)(sign - name) : strlen(name));
    if (!bare)
        return ak_fail_memory(error);
    const akin_metric_class *type;
    AK_TRY(find_class(&type, bare, classes, at, arena, error));
    const akin_option *rows = type->options ? type->options : no_rows;
    void *options = akin_arena_alloc(arena, type->options_size);
    if (!options)
        return ak_fail_memory(error);
    memset(options, 0, type->options_size);
    AK_TRY(ak_options_parse(rows, options, map, also, arena, at.name, error));
    if (sign && !find_cut(type))
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, at.name, at.line,
                          "\"%.60s\": the metric %s has no k", name, type->name);
    if (sign)
        AK_TRY(ak_option_set(find_cut(type), options, sign + 1, arena, error));
    *out = (ak_metric){type, options, full_name(type, options, arena)};
    return out->name ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_metric_parse(ak_metric *out, const ak_value *value, const char *source_name,
                            const akin_metric_class *const *classes, akin_arena *arena,
                            akin_error *error)
{
    source at = {source_name, value->line};
    *out = (ak_metric){0};
    if (value->kind == AK_STRING)
        return make(out, value->string, NULL, at, classes, arena, error);
    const char *type = ak_value_get_string(value, "type", NULL);
    if (!type)
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, at.name, at.line,
                          "a metric must be a name or {type: NAME, ...}, is %s",
                          value->kind == AK_MAP ? "a map without a type"
                                                : ak_value_kind_name(value->kind));
    return make(out, type, value, at, classes, arena, error);
}

akin_status ak_metric_create(ak_metric *out, const char *text,
                             const akin_metric_class *const *classes, akin_arena *arena,
                             akin_error *error)
{
    ak_value *value;
    *out = (ak_metric){0};
    AK_TRY(ak_yaml_parse(&value, arena, text, strlen(text), "metric", error));
    return ak_metric_parse(out, value, "metric", classes, arena, error);
}

void ak_metric_values(const ak_metric *metric, const akin_ranking *rankings, int64_t queries,
                      double *values)
{
    for (int64_t q = 0; q < queries; q++)
        values[q] = metric->type->rank(metric->options, rankings + q);
}

akin_status ak_metric_score(const ak_metric *metric, const float *similarity, const float *label,
                            int64_t n, akin_arena *arena, double *value, akin_error *error)
{
    return metric->type->score(metric->options, similarity, label, n, arena, value, error);
}

double ak_mean(const double *values, int64_t n)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isnan(values[i])) {
            sum += values[i];
            count++;
        }
    }
    return count ? sum / (double)count : NAN;
}
