/* akin evaluate MODEL --data FILE --samples pairs|groups|scored|beir */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char *data, *samples, *fields, *metrics, *base, *precision;
    char *run, *qrels;
    int sample_size, repeats, depth, json, micro, no_distinguish, force;
    long long seed;
} options = {.repeats = 1, .depth = 1000, .seed = 42};

static struct poptOption rows[] = {
    {"data", 'd', POPT_ARG_STRING, &options.data, 0, "the labelled data, or a BEIR folder", "PATH"},
    {"samples", 's', POPT_ARG_STRING, &options.samples, 0,
     "what the data holds: pairs, groups, scored (pairs with graded scores) or beir", "KIND"},
    {"fields", 0, POPT_ARG_STRING, &options.fields, 0,
     "which columns hold what, as in a=question,b=answer", "NAME=COLUMN,..."},
    {"metrics", 'm', POPT_ARG_STRING, &options.metrics, 0,
     "as in precision@1,reciprocal_rank (default: the usual ones)", "NAME,..."},
    {"base", 'b', POPT_ARG_STRING, &options.base, 0,
     "compare with this model (default: what the model was before it was tuned)", "MODEL"},
    {"sample-size", 0, POPT_ARG_INT, &options.sample_size, 0,
     "evaluate so many queries (scored: pairs), drawn by the seed (default: all)", "N"},
    {"repeats", 0, POPT_ARG_INT, &options.repeats, 0,
     "so many passes, each over another sample; shows mean and standard deviation", "N"},
    {"seed", 0, POPT_ARG_LONGLONG, &options.seed, 0, "of samples and of the interval (default: 42)",
     "N"},
    {"no-distinguish", 0, POPT_ARG_NONE, &options.no_distinguish, 0,
     "pairs: every object is query and candidate (default: a's are queries, b's candidates)", NULL},
    {"micro", 0, POPT_ARG_NONE, &options.micro, 0, "also the pooled figures that Quaterion prints",
     NULL},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "TYPE"},
    {"run", 0, POPT_ARG_STRING, &options.run, 0,
     "write the model's rankings, as trec_eval reads them", "FILE"},
    {"qrels", 0, POPT_ARG_STRING, &options.qrels, 0,
     "write what is relevant, as trec_eval reads it", "FILE"},
    {"depth", 0, POPT_ARG_INT, &options.depth, 0,
     "candidates a query in the run file (default: 1000; 0: all)", "N"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace existing files", NULL},
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print one JSON object", NULL},
    POPT_TABLEEND};

/* ---- printing ---- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static bool repeated(const akin_evaluation *e)
{
    return e->count && !isnan(e->rows[0].deviation);
}

static void add_row(const akin_evaluation_row *row, json_t *metrics, json_t *base,
                    json_t *difference)
{
    json_object_set_new(metrics, row->name, number(row->value));
    if (isnan(row->base))
        return;
    json_object_set_new(base, row->name, number(row->base));
    json_object_set_new(
        difference, row->name,
        json_pack("[o, o, o]", number(row->difference), number(row->low), number(row->high)));
}

static void add_deviations(const akin_evaluation *e, json_t *root)
{
    json_t *metrics = json_object(), *base = json_object(), *difference = json_object();
    for (int64_t i = 0; i < e->count; i++) {
        const akin_evaluation_row *row = &e->rows[i];
        json_object_set_new(metrics, row->name, number(row->deviation));
        json_object_set_new(base, row->name, number(row->base_deviation));
        json_object_set_new(difference, row->name, number(row->difference_deviation));
    }
    json_object_set_new(root, "repeats", json_integer(options.repeats));
    json_object_set_new(
        root, "deviation",
        json_pack("{s:o, s:o, s:o}", "metrics", metrics, "base", base, "difference", difference));
}

/* What no row filled is null: there is no base. */
static json_t *filled(json_t *map)
{
    if (json_object_size(map))
        return map;
    json_decref(map);
    return json_null();
}

static int print_json(const akin_evaluation *e)
{
    json_t *root = json_object(), *metrics = json_object(), *base = json_object(),
           *difference = json_object();
    for (int64_t i = 0; i < e->count; i++)
        add_row(&e->rows[i], metrics, base, difference);
    json_object_set_new(root, "metrics", metrics);
    json_object_set_new(root, "base", filled(base));
    json_object_set_new(root, "difference", filled(difference));
    json_object_set_new(root, "queries", json_integer(e->queries));
    json_object_set_new(root, "candidates", json_integer(e->candidates));
    if (repeated(e))
        add_deviations(e, root);
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
    printf("%lld queries, %lld candidates", (long long)e->queries, (long long)e->candidates);
    if (repeated(e))
        printf("; mean ± standard deviation of %d passes", options.repeats);
    putchar('\n');
    cli_print_figures(e, repeated(e));
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

/* The pieces of --metrics; -1: more than there is room for. */
static int split_metrics(const char **names)
{
    char *save = NULL;
    int count = 0;
    char *name = options.metrics ? strtok_r(options.metrics, ",", &save) : NULL;
    for (; name; name = strtok_r(NULL, ",", &save)) {
        if (count == MAX_METRICS)
            return -1;
        names[count++] = name;
    }
    return count;
}

static akin_evaluator_options make_options(const char *const *names, int count)
{
    akin_evaluator_options o = akin_evaluator_defaults();
    o.metrics = (akin_metric_list){names, count};
    o.sample_size = options.sample_size;
    o.repeats = options.repeats;
    o.seed = (uint64_t)options.seed;
    o.distinguish = !options.no_distinguish;
    o.micro = options.micro;
    o.run = options.run;
    o.qrels = options.qrels;
    o.run_depth = options.depth;
    o.replace = options.force;
    return o;
}

static akin_status evaluate(akin_evaluation **out, akin_context *context, const akin_model *model,
                            const akin_model *base, int kind, const akin_evaluator_options *o,
                            akin_error *error)
{
    if (kind == AKIN_EVALUATE_BEIR)
        return akin_evaluate_beir(out, model, base, options.data, o, error);
    akin_fields fields = {0};
    akin_dataset *dataset = NULL;
    akin_status status = cli_fields(options.fields, &fields, error);
    if (!status)
        status = akin_dataset_open(&dataset, context, options.data,
                                   kind == AKIN_EVALUATE_GROUPS ? AKIN_GROUPS : AKIN_PAIRS, &fields,
                                   error);
    if (!status)
        status = akin_evaluate(out, model, base, (akin_evaluation_kind)kind, dataset, o, error);
    akin_dataset_free(dataset);
    return status;
}

static int check_usage(int count, int kind, int metric_count)
{
    if (count != 1)
        return cli_usage("evaluate", "evaluate wants one model, found %d arguments", count);
    if (!options.data)
        return cli_usage("evaluate", "--data is missing: the labelled data to evaluate on");
    if (kind < 0)
        return cli_usage("evaluate", "--samples must be pairs, groups, scored or beir");
    if (metric_count < 0)
        return cli_usage("evaluate", "--metrics names more than %d", MAX_METRICS);
    if (options.sample_size < 0)
        return cli_usage("evaluate", "--sample-size is %d, must be at least 1 (0: all)",
                         options.sample_size);
    if (options.repeats < 1 || (options.repeats > 1 && !options.sample_size))
        return cli_usage("evaluate",
                         "--repeats is %d, must be at least 1 and, above that, stand "
                         "with a --sample-size: else all passes are equal",
                         options.repeats);
    if (options.depth < 0)
        return cli_usage("evaluate", "--depth is %d, must be at least 1 (0: all)", options.depth);
    return CLI_DONE;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_precision precision;
    const char *names[MAX_METRICS];
    int kind = kind_of(options.samples), metric_count = split_metrics(names);
    int usage = check_usage(count, kind, metric_count);
    if (usage)
        return usage;
    akin_evaluator_options o = make_options(names, metric_count);
    akin_model *model = NULL, *base = NULL;
    akin_evaluation *evaluation = NULL;
    akin_status status = cli_precision(options.precision, &precision, &error);
    if (!status)
        status = akin_model_load(&model, context, arguments[0], precision, &error);
    if (!status && options.base)
        status = akin_model_load(&base, context, options.base, precision, &error);
    if (!status)
        status = evaluate(&evaluation, context, model, base, kind, &o, &error);
    cli_end_progress();
    int result = status         ? cli_fail(&error)
                 : options.json ? print_json(evaluation)
                                : print_table(evaluation);
    akin_evaluation_free(evaluation);
    akin_model_free(base);
    akin_model_free(model);
    return result;
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .arguments = "MODEL",
    .summary = "measure a model on labelled data, beside its base",
    .description = "Computes retrieval metrics (pairs, groups, beir) or correlations (scored) of "
                   "the model and "
                   "of its base, their difference and a bootstrap 95 % interval over queries. "
                   "--run and --qrels "
                   "write what trec_eval reads.",
    .example = "akin evaluate faq-model --data faq-test.jsonl --samples pairs",
    .options = rows,
    .run = run};
