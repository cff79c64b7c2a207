/* akin evaluate MODEL --data FILE --samples pairs|groups|scored|beir */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char *data, *samples, *fields, *metrics, *base, *precision;
    int sample_size, json, micro, together;
} options;

static struct poptOption rows[] = {
    {"data", 'd', POPT_ARG_STRING, &options.data, 0, "the labelled data, or a BEIR folder", "PATH"},
    {"samples", 's', POPT_ARG_STRING, &options.samples, 0,
     "what the data holds: pairs, groups, scored (pairs with graded scores) or beir", "KIND"},
    {"fields", 0, POPT_ARG_STRING, &options.fields, 0,
     "which columns hold what, as in a=question,b=answer", "NAME=COLUMN,..."},
    {"metrics", 'm', POPT_ARG_STRING, &options.metrics, 0,
     "as in precision@1,reciprocal_rank (default: the usual ones)", "NAME,..."},
    {"base", 'b', POPT_ARG_STRING, &options.base, 0,
     "compare with this model (default: the model without its head)", "MODEL"},
    {"sample-size", 0, POPT_ARG_INT, &options.sample_size, 0,
     "evaluate so many queries, drawn by a fixed seed (default: all)", "N"},
    {"together", 0, POPT_ARG_NONE, &options.together, 0,
     "pairs: every object is query and candidate (default: a's are queries, b's candidates)", NULL},
    {"micro", 0, POPT_ARG_NONE, &options.micro, 0,
     "also the pooled figures that Quaterion prints", NULL},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "TYPE"},
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print one JSON object", NULL},
    POPT_TABLEEND};

/* ---- printing ---- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static int print_json(const akin_evaluation *e)
{
    json_t *root = json_object(), *metrics = json_object(), *base = json_object(),
           *difference = json_object();
    bool has_base = false;
    for (int64_t i = 0; i < e->count; i++) {
        const akin_evaluation_row *row = &e->rows[i];
        json_object_set_new(metrics, row->name, number(row->value));
        if (isnan(row->base))
            continue;
        has_base = true;
        json_object_set_new(base, row->name, number(row->base));
        json_object_set_new(difference, row->name,
                            json_pack("[o, o, o]", number(row->difference), number(row->low),
                                      number(row->high)));
    }
    json_object_set_new(root, "metrics", metrics);
    json_object_set_new(root, "base", has_base ? base : (json_decref(base), json_null()));
    json_object_set_new(root, "difference",
                        has_base ? difference : (json_decref(difference), json_null()));
    json_object_set_new(root, "queries", json_integer(e->queries));
    json_object_set_new(root, "candidates", json_integer(e->candidates));
    char *text = json_dumps(root, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10));
    json_decref(root);
    if (!text)
        cli_out_of_memory();
    puts(text);
    free(text);
    return CLI_DONE;
}

static int print_table(const akin_evaluation *e)
{
    printf("%lld queries, %lld candidates\n", (long long)e->queries, (long long)e->candidates);
    printf("%-24s %8s %8s %11s   %s\n", "metric", "base", "tuned", "difference", "95 % interval");
    for (int64_t i = 0; i < e->count; i++) {
        const akin_evaluation_row *row = &e->rows[i];
        if (isnan(row->base))
            printf("%-24s %8s %8.4f\n", row->name, "-", row->value);
        else if (isnan(row->low))
            printf("%-24s %8.4f %8.4f %+11.4f\n", row->name, row->base, row->value,
                   row->difference);
        else
            printf("%-24s %8.4f %8.4f %+11.4f   %+.4f .. %+.4f\n", row->name, row->base,
                   row->value, row->difference, row->low, row->high);
    }
    return CLI_DONE;
}

/* ---- the work ---- */

static int kind_of(const char *text)
{
    static const char *const kinds[] = {"pairs", "groups", "scored", "beir"};
    for (int i = 0; i < 4; i++)
        if (text && strcmp(text, kinds[i]) == 0)
            return i;
    return -1;
}

#define MAX_METRICS 32

static akin_evaluator_options make_options(const char **names)
{
    akin_evaluator_options o = akin_evaluator_defaults();
    char *save = NULL;
    int count = 0;
    char *name = options.metrics ? strtok_r(options.metrics, ",", &save) : NULL;
    for (; name && count < MAX_METRICS; name = strtok_r(NULL, ",", &save))
        names[count++] = name;
    o.metrics = (akin_metric_list){names, count};
    o.sample_size = options.sample_size;
    o.distinguish = !options.together;
    o.micro = options.micro;
    return o;
}

static akin_status evaluate(akin_evaluation **out, akin_context *context, const akin_model *model,
                            const akin_model *base, int kind, akin_error *error)
{
    const char *names[MAX_METRICS];
    akin_evaluator_options o = make_options(names);
    if (kind == AKIN_EVALUATE_BEIR)
        return akin_evaluate_beir(out, model, base, options.data, &o, error);
    akin_fields fields = {0};
    akin_dataset *dataset = NULL;
    akin_status status = cli_fields(options.fields, &fields, error);
    if (!status)
        status = akin_dataset_open(&dataset, context, options.data,
                                   kind == AKIN_EVALUATE_GROUPS ? AKIN_GROUPS : AKIN_PAIRS,
                                   &fields, error);
    if (!status)
        status = akin_evaluate(out, model, base, (akin_evaluation_kind)kind, dataset, &o, error);
    akin_dataset_free(dataset);
    return status;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_precision precision;
    int kind = kind_of(options.samples);
    if (count != 1)
        return cli_usage("evaluate", "evaluate wants one model, found %d arguments", count);
    if (!options.data)
        return cli_usage("evaluate", "--data is missing: the labelled data to evaluate on");
    if (kind < 0)
        return cli_usage("evaluate", "--samples must be pairs, groups, scored or beir");
    if (options.sample_size < 0)
        return cli_usage("evaluate", "--sample-size is %d, must be at least 1 (0: all)",
                         options.sample_size);
    akin_model *model = NULL, *base = NULL;
    akin_evaluation *evaluation = NULL;
    akin_status status = cli_precision(options.precision, &precision, &error);
    if (!status)
        status = akin_model_load(&model, context, arguments[0], precision, &error);
    if (!status && options.base)
        status = akin_model_load(&base, context, options.base, precision, &error);
    if (!status)
        status = evaluate(&evaluation, context, model, base, kind, &error);
    cli_end_progress();
    int result = status ? cli_fail(&error)
                        : options.json ? print_json(evaluation) : print_table(evaluation);
    akin_evaluation_free(evaluation);
    akin_model_free(base);
    akin_model_free(model);
    return result;
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .arguments = "MODEL",
    .summary = "measure a model on labelled data, beside its base",
    .description =
        "Computes retrieval metrics (pairs, groups, beir) or correlations (scored) of the model and "
        "of its base, their difference and a bootstrap 95 % interval over queries.",
    .example = "akin evaluate faq-model --data faq-test.jsonl --samples pairs",
    .options = rows,
    .run = run};
