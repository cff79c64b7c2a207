/* akin report MODEL [--data FILE] */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static struct {
    char *data, *samples, *fields, *base, *output, *title;
    int sample_size, worst, force, tables;
} options = {.worst = 20};

static struct poptOption rows[] = {
    {"output", 'o', POPT_ARG_STRING, &options.output, 0,
     "the page to write (default: the model's name and -report.html)", "FILE"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace an existing page", NULL},
    {"data", 'd', POPT_ARG_STRING, &options.data, 0,
     "labelled data (default: the validation data of the model's training)", "PATH"},
    {"samples", 's', POPT_ARG_STRING, &options.samples, 0,
     "what --data holds: pairs or groups (default: pairs)", "KIND"},
    {"fields", 0, POPT_ARG_STRING, &options.fields, 0,
     "which columns of --data hold what, as in a=question,b=answer", "NAME=COLUMN,..."},
    {"base", 'b', POPT_ARG_STRING, &options.base, 0,
     "compare with this model (default: what the model was before it was tuned)", "MODEL"},
    {"sample-size", 0, POPT_ARG_INT, &options.sample_size, 0,
     "evaluate so many queries, drawn by a fixed seed (default: all)", "N"},
    {"worst", 0, POPT_ARG_INT, &options.worst, 0,
     "show so many of the queries that fared worst (default: 20)", "N"},
    {"title", 0, POPT_ARG_STRING, &options.title, 0, "of the page (default: the model's name)",
     "TEXT"},
    {"tables", 0, POPT_ARG_NONE, &options.tables, 0,
     "tables instead of charts, as where gnuplot is not installed", NULL},
    POPT_TABLEEND};

/* The data to report on, and what owns it. */
typedef struct source {
    akin_recipe *recipe;
    akin_dataset *opened;
    const akin_dataset *dataset;
} source;

static akin_status open_file(source *s, akin_context *context, akin_error *error)
{
    akin_fields fields = {0};
    bool groups = options.samples && strcmp(options.samples, "groups") == 0;
    akin_status status = cli_fields(options.fields, &fields, error);
    if (!status)
        status = akin_dataset_open(&s->opened, context, options.data,
                                   groups ? AKIN_GROUPS : AKIN_PAIRS, &fields, error);
    s->dataset = s->opened;
    return status;
}

/* The validation data of the run, split off again as it was. */
static akin_status open_validation(source *s, akin_context *context, const akin_model *model,
                                   akin_error *error)
{
    akin_loader *train, *validation = NULL;
    akin_status status = akin_recipe_of_model(&s->recipe, context, model, error);
    if (!status)
        status = akin_recipe_loaders(s->recipe, &train, &validation, error);
    if (!status && !validation) {
        *error = (akin_error){.status = AKIN_ERR_MISMATCH,
                              .message = "the model was trained without validation data: name some "
                                         "with --data"};
        return error->status;
    }
    s->dataset = validation ? akin_loader_dataset(validation) : NULL;
    return status;
}

/* "dir/faq-model/" -> "faq-model-report.html" */
static char *default_output(const char *model)
{
    size_t length = strlen(model);
    while (length > 1 && model[length - 1] == '/')
        length--;
    size_t start = length;
    while (start && model[start - 1] != '/')
        start--;
    char *name = malloc(length - start + sizeof "-report.html");
    if (!name)
        cli_out_of_memory();
    memcpy(name, model + start, length - start);
    strcpy(name + length - start, "-report.html");
    return name;
}

static akin_status write_report(const char *output, const akin_model *model, const akin_model *base,
                                const akin_dataset *dataset, akin_error *error)
{
    bool missing = false;
    akin_evaluator_options evaluation = akin_evaluator_defaults();
    akin_report_options o = akin_report_defaults();
    evaluation.sample_size = options.sample_size;
    o.evaluation = &evaluation;
    o.title = options.title;
    o.worst = options.worst;
    o.replace = options.force;
    o.draw = options.tables ? NULL : cli_gnuplot;
    o.draw_user = &missing;
    akin_status status = akin_report_write(
        output, model, base,
        akin_dataset_kind(dataset) == AKIN_GROUPS ? AKIN_EVALUATE_GROUPS : AKIN_EVALUATE_PAIRS,
        dataset, &o, error);
    if (!status && missing)
        cli_say("gnuplot is not there or failed: the page has tables instead of charts");
    return status;
}

static akin_status report(akin_context *context, const char *path, const char *output,
                          akin_error *error)
{
    akin_model *model = NULL, *base = NULL;
    source s = {0};
    akin_status status = akin_model_load(&model, context, path, AKIN_AS_SAVED, error);
    if (!status && options.base)
        status = akin_model_load(&base, context, options.base, AKIN_AS_SAVED, error);
    if (!status)
        status = options.data ? open_file(&s, context, error)
                              : open_validation(&s, context, model, error);
    if (!status)
        status = write_report(output, model, base, s.dataset, error);
    akin_dataset_free(s.opened);
    akin_recipe_free(s.recipe);
    akin_model_free(base);
    akin_model_free(model);
    return status;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    if (count != 1)
        return cli_usage("report", "report wants one model, found %d arguments", count);
    if (options.samples && strcmp(options.samples, "pairs") && strcmp(options.samples, "groups"))
        return cli_usage("report", "--samples must be pairs or groups");
    if (!options.data && (options.samples || options.fields))
        return cli_usage("report",
                         "--samples and --fields say what --data holds, which is missing");
    if (options.sample_size < 0 || options.worst < 0)
        return cli_usage("report", "--sample-size and --worst must be at least 0");
    char *output = options.output ? strdup(options.output) : default_output(arguments[0]);
    if (!output)
        cli_out_of_memory();
    akin_status status = report(context, arguments[0], output, &error);
    cli_end_progress();
    if (!status)
        printf("%s\n", output);
    free(output);
    return status ? cli_fail(&error) : CLI_DONE;
}

const cli_command cli_report = {
    .name = "report",
    .arguments = "MODEL",
    .summary = "write an HTML page about a model and its training",
    .description =
        "One page, which holds everything it shows: figures beside the base's, curves of the run, "
        "similarities of what is alike and what is not, a map of the vectors, and the queries that "
        "fared worst with what beat them. Charts are gnuplot's; without it there are tables.",
    .example = "akin report faq-model",
    .options = rows,
    .run = run};
