/* akin encode MODEL [FILE|-] */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static struct {
    char *field, *output, *precision;
    int force, base;
} options;

static struct poptOption rows[] = {
    {"output", 'o', POPT_ARG_STRING, &options.output, 0,
     "vectors.npy, .safetensors or .jsonl (default: lines of JSON on standard output)", "FILE"},
    {"field", 0, POPT_ARG_STRING, &options.field, 0, "the member or column that is the object",
     "NAME"},
    {"base", 0, POPT_ARG_NONE, &options.base, 0, "encode without the head", NULL},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "TYPE"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace an existing output", NULL},
    POPT_TABLEEND};

typedef struct sink {
    akin_vector_writer *writer; /* NULL: standard output */
    int64_t dim;
} sink;

static akin_status put(void *user, int64_t first, int64_t count, const float *vectors,
                       akin_error *error)
{
    const sink *to = user;
    (void)first;
    if (to->writer)
        return akin_vector_writer_put(to->writer, vectors, count, error);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < to->dim; j++)
            printf("%s%.9g%s", j ? ", " : "[", (double)vectors[i * to->dim + j],
                   j + 1 == to->dim ? "]\n" : "");
    return AKIN_OK;
}

static akin_status encode(const akin_model *model, const akin_corpus *corpus, akin_error *error)
{
    sink to = {.dim = akin_model_dim(model)};
    akin_hash fingerprint;
    akin_status status = akin_model_fingerprint(model, &fingerprint, error);
    if (!status && options.output)
        status = akin_vector_writer_open(&to.writer, options.output, akin_corpus_count(corpus),
                                         to.dim, fingerprint, options.force, error);
    if (!status)
        status = akin_encode_corpus(model, options.base, corpus, put, &to, error);
    if (!status && to.writer)
        return akin_vector_writer_commit(to.writer, error);
    akin_vector_writer_abort(to.writer);
    return status;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_precision precision;
    akin_model *model = NULL;
    akin_corpus *corpus = NULL;
    char notes[1024] = "";
    if (count < 1 || count > 2)
        return cli_usage("encode", "encode wants a model and a file, found %d arguments", count);
    akin_status status = cli_precision(options.precision, &precision, &error);
    if (!status)
        status = akin_model_load(&model, context, arguments[0], precision, &error);
    if (!status)
        status = akin_corpus_open(&corpus, context, model, count > 1 ? arguments[1] : "-",
                                  options.field, &error);
    if (!status)
        status = encode(model, corpus, &error);
    if (!status)
        akin_model_notes(model, notes, sizeof notes);
    if (*notes)
        cli_say("%s", notes);
    akin_corpus_free(corpus);
    akin_model_free(model);
    return status ? cli_fail(&error) : CLI_DONE;
}

const cli_command cli_encode = {
    .name = "encode",
    .arguments = "MODEL [FILE|-]",
    .summary = "turn texts or records into vectors",
    .description = "Reads .jsonl, .csv, .tsv or .txt (a text a line), or lines of standard input, "
                   "and writes a vector for each, in order.",
    .example = "akin encode faq-model questions.jsonl --field question --output questions.npy",
    .options = rows,
    .run = run};
