/* akin mine MODEL DATA --output FILE.jsonl */
#include "cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char *output, *samples, *fields, *base, *precision;
    double margin;
    int k, first_rank, last_rank, force, json;
} options = {.margin = 0.05, .k = 5, .first_rank = 1, .last_rank = 100};

static struct poptOption rows[] = {
    {"output", 'o', POPT_ARG_STRING, &options.output, 0, "where the pairs are written",
     "FILE.jsonl"},
    {"samples", 0, POPT_ARG_STRING, &options.samples, 0,
     "what a line of the data is (default: pairs)", "pairs|groups"},
    {"fields", 0, POPT_ARG_STRING, &options.fields, 0,
     "which member or column holds what, as in a=question,b=answer", "NAME=COLUMN,..."},
    {"k", 'k', POPT_ARG_INT, &options.k, 0, "negatives of a sample, at most (default: 5)", "N"},
    {"margin", 0, POPT_ARG_DOUBLE, &options.margin, 0,
     "leave out what is more similar to the anchor than its positive less so much, to the base "
     "(default: 0.05)",
     "X"},
    {"first-rank", 0, POPT_ARG_INT, &options.first_rank, 0,
     "the nearest rank that is looked at (default: 1)", "N"},
    {"last-rank", 0, POPT_ARG_INT, &options.last_rank, 0,
     "the farthest rank that is looked at (default: 100)", "N"},
    {"base", 0, POPT_ARG_STRING, &options.base, 0,
     "the model whose similarities the margin is about (default: MODEL without its head)", "MODEL"},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "NAME"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace the output if it exists", NULL},
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print one JSON object", NULL},
    POPT_TABLEEND};

static void print_report(const akin_mining_report *r)
{
    const struct {
        const char *name, *text;
        int64_t value;
    } lines[] = {{"samples", "samples asked for", r->samples},
                 {"candidates", "candidates searched", r->candidates},
                 {"mined", "negatives mined", r->mined},
                 {"incomplete", "samples with fewer than k", r->incomplete},
                 {"masked_equal", "left out: the anchor itself", r->masked_equal},
                 {"masked_positive", "left out: known positives", r->masked_positive},
                 {"masked_label", "left out: of the same group", r->masked_label},
                 {"masked_margin", "left out: by the margin", r->masked_margin}};
    json_t *root = options.json ? json_object() : NULL;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (root)
            json_object_set_new(root, lines[i].name, json_integer(lines[i].value));
        else
            printf("%-28s %lld\n", lines[i].text, (long long)lines[i].value);
    char *text = root ? json_dumps(root, JSON_PRESERVE_ORDER) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(root);
}

static akin_status mine(akin_context *context, const char **paths, akin_sample_kind kind,
                        akin_mining_report *report, akin_error *error)
{
    akin_mining_options mining = akin_mining_defaults();
    akin_fields fields = {0};
    akin_precision precision;
    akin_model *model = NULL, *base = NULL;
    akin_dataset *dataset = NULL;
    mining.k = options.k;
    mining.margin = options.margin;
    mining.first_rank = options.first_rank;
    mining.last_rank = options.last_rank;
    akin_status status = cli_precision(options.precision, &precision, error);
    if (!status)
        status = cli_fields(options.fields, &fields, error);
    if (!status)
        status = akin_model_load(&model, context, paths[0], precision, error);
    if (!status && options.base)
        status = akin_model_load(&base, context, options.base, precision, error);
    if (!status)
        status = akin_dataset_open(&dataset, context, paths[1], kind, &fields, error);
    if (!status)
        status =
            akin_mine(report, model, base, dataset, &mining, options.output, options.force, error);
    akin_dataset_free(dataset);
    akin_model_free(base);
    akin_model_free(model);
    return status;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_mining_report report;
    bool groups = options.samples && strcmp(options.samples, "groups") == 0;
    if (count != 2)
        return cli_usage("mine", "mine wants a model and a data file, found %d arguments", count);
    if (!options.output)
        return cli_usage("mine", "mine wants --output FILE.jsonl");
    if (options.samples && !groups && strcmp(options.samples, "pairs") != 0)
        return cli_usage("mine", "--samples knows pairs and groups, not \"%s\"", options.samples);
    if (mine(context, arguments, groups ? AKIN_GROUPS : AKIN_PAIRS, &report, &error))
        return cli_fail(&error);
    print_report(&report);
    return CLI_DONE;
}

const cli_command cli_mine = {
    .name = "mine",
    .arguments = "MODEL DATA",
    .summary = "find hard negatives and write them as pairs",
    .description =
        "Searches the whole data set, exactly, for objects that the model takes for alike although "
        "nothing says so, and writes each positive pair with score 1 and behind it its negatives "
        "with score 0: training data. Left out are equal objects, known positives, members of the "
        "same group or subgroup, and what is so similar to the anchor, to the base, that it is "
        "likely alike. Mine the training data only, and validate with a file of its own.",
    .example =
        "akin mine minilm train.jsonl --fields a=question,b=answer -k 5 --output mined.jsonl",
    .options = rows,
    .run = run};
