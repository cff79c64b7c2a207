/* akin index MODEL CORPUS --output INDEX */
#include "cli.h"
#include "indexing.h"

static struct {
    char *field, *show, *output, *precision;
    int force;
} options;

static struct poptOption rows[] = {
    {"output", 'o', POPT_ARG_STRING, &options.output, 0, "the index file to write", "FILE"},
    {"field", 0, POPT_ARG_STRING, &options.field, 0, "the member or column that is the object",
     "NAME"},
    {"show", 0, POPT_ARG_STRING, &options.show, 0,
     "what is shown of a record, as in name,title (default: the object)", "NAME,..."},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "TYPE"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace an existing output", NULL},
    POPT_TABLEEND};

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_precision precision;
    akin_model *model = NULL;
    akin_index *index = NULL;
    if (count != 2)
        return cli_usage("index", "index wants a model and a corpus, found %d arguments", count);
    if (!options.output)
        return cli_usage("index", "--output is missing: the index file to write");
    akin_status status = cli_precision(options.precision, &precision, &error);
    if (!status)
        status = akin_model_load(&model, context, arguments[0], precision, &error);
    if (!status)
        status = cli_build_index(&index, context, model, AKIN_SPACE_DOCUMENT, arguments[1],
                                 options.field, options.show, &error);
    if (!status)
        status = akin_index_set_model(index, arguments[0], &error);
    if (!status)
        status = akin_index_save(index, options.output, options.force, &error);
    if (!status)
        cli_say("%lld vectors of %lld numbers in %s", (long long)akin_index_count(index),
                (long long)akin_index_dim(index), options.output);
    akin_index_free(index);
    akin_model_free(model);
    return status ? cli_fail(&error) : CLI_DONE;
}

const cli_command cli_index = {
    .name = "index",
    .arguments = "MODEL CORPUS",
    .summary = "encode a corpus into an index file to search in",
    .description = "The index keeps vectors, documents, the model's path and its fingerprint: it "
                   "refuses queries from another vector space.",
    .example = "akin index faq-model answers.jsonl --field answer --output answers.akin",
    .options = rows,
    .run = run};
