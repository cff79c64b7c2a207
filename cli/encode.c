/* akin encode MODEL [FILE|-] */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static struct {
    char *field, *output, *confidence, *precision, *side;
    int force, base;
} options;

static struct poptOption rows[] = {
    {"output", 'o', POPT_ARG_STRING, &options.output, 0,
     "vectors.npy, .safetensors or .jsonl (default: lines of JSON on standard output)", "FILE"},
    {"field", 0, POPT_ARG_STRING, &options.field, 0, "the member or column that is the object",
     "NAME"},
    {"base", 0, POPT_ARG_NONE, &options.base, 0, "encode without the head", NULL},
    {"side", 0, POPT_ARG_STRING, &options.side, 0,
     "query or document: which the objects are, for a model with two sides", "SIDE"},
    {"confidence", 0, POPT_ARG_STRING, &options.confidence, 0,
     "also write how sure the head is of each vector, as a column of numbers", "FILE"},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "TYPE"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace an existing output", NULL},
    POPT_TABLEEND};

typedef struct sink {
    const akin_model *model;
    akin_space space;
    akin_vector_writer *writer;     /* NULL: standard output */
    akin_vector_writer *confidence; /* NULL: not asked for */
    int64_t dim;
} sink;

static void print_vectors(const float *vectors, int64_t count, int64_t dim)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < dim; j++)
            printf("%s%.9g%s", j ? ", " : "[", (double)vectors[i * dim + j],
                   j + 1 == dim ? "]\n" : "");
}

static akin_status put_confidence(const sink *to, const float *vectors, int64_t count,
                                  akin_error *error)
{
    enum { BLOCK = 256 };
    float block[BLOCK];
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i += BLOCK) {
        int64_t n = count - i < BLOCK ? count - i : BLOCK;
        status = akin_model_confidence(to->model, vectors + i * to->dim, n, block, error);
        if (!status)
            status = akin_vector_writer_put(to->confidence, block, n, error);
    }
    return status;
}

static akin_status put(void *user, int64_t first, int64_t count, const float *vectors,
                       akin_error *error)
{
    const sink *to = user;
    (void)first;
    akin_status status = AKIN_OK;
    if (to->confidence)
        status = put_confidence(to, vectors, count, error);
    if (status)
        return status;
    if (to->writer)
        return akin_vector_writer_put(to->writer, vectors, count, error);
    print_vectors(vectors, count, to->dim);
    return AKIN_OK;
}

static akin_status open_writer(akin_vector_writer **out, const char *path, const sink *to,
                               int64_t count, int64_t dim, akin_error *error)
{
    akin_hash fingerprint;
    if (!path)
        return AKIN_OK; /* naming the space reads all weights once: only where it is kept */
    akin_status status = akin_model_space_fingerprint(to->model, to->space, &fingerprint, error);
    if (!status)
        status = akin_vector_writer_open(out, path, count, dim, fingerprint, options.force, error);
    return status;
}

static akin_status open_sink(sink *to, int64_t count, akin_error *error)
{
    akin_status status = AKIN_OK;
    if (options.confidence) /* a head that cannot tell is told before anything is encoded */
        status = akin_model_confidence(to->model, NULL, 0, NULL, error);
    if (!status)
        status = open_writer(&to->writer, options.output, to, count, to->dim, error);
    if (!status)
        status = open_writer(&to->confidence, options.confidence, to, count, 1, error);
    return status;
}

static akin_status commit(akin_vector_writer **writer, akin_error *error)
{
    akin_vector_writer *whole = *writer;
    *writer = NULL;
    return whole ? akin_vector_writer_commit(whole, error) : AKIN_OK;
}

static akin_status encode(const akin_model *model, akin_space space, const akin_corpus *corpus,
                          akin_error *error)
{
    sink to = {.model = model,
               .space = space,
               .dim = options.base ? akin_model_base_dim(model) : akin_model_dim(model)};
    akin_status status = open_sink(&to, akin_corpus_count(corpus), error);
    if (!status)
        status = akin_encode_corpus(model, space, corpus, put, &to, error);
    if (!status)
        status = commit(&to.confidence, error);
    if (!status)
        status = commit(&to.writer, error);
    akin_vector_writer_abort(to.writer);
    akin_vector_writer_abort(to.confidence);
    return status;
}

/* -1: --side says what there is not. */
static int space_asked(void)
{
    if (!options.side)
        return options.base ? AKIN_SPACE_BASE : AKIN_SPACE_MODEL;
    if (strcmp(options.side, "query") == 0)
        return options.base ? AKIN_SPACE_BASE_QUERY : AKIN_SPACE_QUERY;
    if (strcmp(options.side, "document") == 0)
        return options.base ? AKIN_SPACE_BASE_DOCUMENT : AKIN_SPACE_DOCUMENT;
    return -1;
}

/* NULL, or what is wrong with --side or its absence; of the model's path. */
static const char *wrong_side(const akin_model *model)
{
    bool wanted = options.base ? akin_model_base_has_sides(model) : akin_model_has_sides(model);
    if (wanted && !options.side)
        return "%s has a query and a document side: --side query or --side document";
    return options.side && !akin_model_has_sides(model) ? "%s has no sides: leave out --side"
                                                        : NULL;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_precision precision;
    akin_model *model = NULL;
    akin_corpus *corpus = NULL;
    char notes[1024] = "";
    int space = space_asked();
    if (options.output && strcmp(options.output, "-") == 0) {
        free(options.output); /* popt's copy */
        options.output = NULL;
    }
    if (count < 1 || count > 2)
        return cli_usage("encode", "encode wants a model and a file, found %d arguments", count);
    if (options.base && options.confidence)
        return cli_usage("encode", "--base leaves out the head, which --confidence asks");
    if (space < 0)
        return cli_usage("encode", "--side must be query or document, not \"%s\"", options.side);
    akin_status status = cli_precision(options.precision, &precision, &error);
    if (!status)
        status = akin_model_load(&model, context, arguments[0], precision, &error);
    const char *wrong = status ? NULL : wrong_side(model);
    if (wrong) {
        akin_model_free(model);
        return cli_usage("encode", wrong, arguments[0]);
    }
    if (!status)
        status = akin_corpus_open(&corpus, context, model, count > 1 ? arguments[1] : "-",
                                  options.field, &error);
    if (!status)
        status = encode(model, (akin_space)space, corpus, &error);
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
    .prints = true,
    .run = run};
