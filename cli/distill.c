/* akin distill MODEL --output FOLDER */
#include "cli.h"

#include <limits.h>
#include <stdio.h>

enum { NOT_GIVEN = INT_MIN };

static struct {
    char *output, *corpus, *field, *precision;
    double sif;
    int dim, force;
} options = {.sif = 1e-4, .dim = NOT_GIVEN};

static struct poptOption rows[] = {
    {"output", 'o', POPT_ARG_STRING, &options.output, 0, "the folder of the new model", "FOLDER"},
    {"dim", 'd', POPT_ARG_INT, &options.dim, 0,
     "numbers of a vector (default: 256, or what MODEL gives if that is less)", "N"},
    {"sif", 0, POPT_ARG_DOUBLE, &options.sif, 0,
     "a token that comes with probability p weighs X / (X + p); 0: all weigh the same (default: "
     "1e-4)",
     "X"},
    {"corpus", 0, POPT_ARG_STRING, &options.corpus, 0,
     "texts to count tokens in (default: p by Zipf's law from the vocabulary's order)", "FILE"},
    {"field", 0, POPT_ARG_STRING, &options.field, 0,
     "the member or column of the corpus that is the text", "NAME"},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "TYPE"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace the output if it exists", NULL},
    POPT_TABLEEND};

static akin_status distill(akin_context *context, const char *path, akin_distill_report *report,
                           akin_error *error)
{
    akin_distill_options how = akin_distill_defaults();
    akin_precision precision;
    akin_model *model = NULL, *distilled = NULL;
    akin_corpus *corpus = NULL;
    if (options.dim != NOT_GIVEN)
        how.dim = options.dim;
    how.sif = options.sif;
    akin_status status = cli_precision(options.precision, &precision, error);
    if (!status)
        status = akin_model_may_save(options.output, path, options.force, error);
    if (!status)
        status = akin_model_load(&model, context, path, precision, error);
    if (!status && options.corpus)
        status = akin_corpus_open(&corpus, context, model, options.corpus, options.field, error);
    how.corpus = corpus;
    if (!status)
        status = akin_distill(&distilled, report, model, &how, error);
    if (!status)
        status = akin_model_save(distilled, options.output, options.force, error);
    akin_model_free(distilled);
    akin_corpus_free(corpus);
    akin_model_free(model);
    return status;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_distill_report report;
    if (count != 1)
        return cli_usage("distill", "distill wants one model, found %d arguments", count);
    if (!options.output)
        return cli_usage("distill", "distill wants --output FOLDER");
    if (options.field && !options.corpus)
        return cli_usage("distill", "--field is of the --corpus, which is missing");
    if (options.dim != NOT_GIVEN && options.dim < 1)
        return cli_usage("distill", "--dim must be at least 1");
    if (distill(context, arguments[0], &report, &error))
        return cli_fail(&error);
    cli_say("%lld tokens, %lld of %lld numbers, %.1f %% of the variance", (long long)report.tokens,
            (long long)report.dim, (long long)report.width, 100 * report.variance);
    cli_say("how near it is: akin evaluate %s --base %s --data FILE --samples pairs",
            options.output, arguments[0]);
    printf("%s\n", options.output);
    return CLI_DONE;
}

const cli_command cli_distill = {
    .name = "distill",
    .arguments = "MODEL",
    .summary = "make a static model, which only looks tokens up, out of any other",
    .description =
        "Encodes every token of the model's vocabulary alone, keeps the principal axes of their "
        "vectors and weighs each token by how rare it is, as Model2Vec does. What comes out is a "
        "model of the encoder \"static\": hundreds of times faster, less exact, and a base that "
        "akin train can fine-tune. Wants a transformer (with a head or without one); seconds for "
        "a vocabulary of 30,000 tokens.",
    .example = "akin distill minilm --output minilm-static",
    .options = rows,
    .run = run};
