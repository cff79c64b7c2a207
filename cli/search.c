/* akin search INDEX "query"... | akin search MODEL CORPUS "query"... */
#include "cli.h"
#include "indexing.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char *field, *show, *model, *precision;
    int k, json, base;
} options = {.k = 10};

static struct poptOption rows[] = {
    {"k", 'k', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &options.k, 0, "hits a query", "N"},
    {"field", 0, POPT_ARG_STRING, &options.field, 0,
     "the member or column of the corpus that is the object", "NAME"},
    {"show", 0, POPT_ARG_STRING, &options.show, 0,
     "what is shown of a record, as in name,title (default: the object)", "NAME,..."},
    {"model", 0, POPT_ARG_STRING, &options.model, 0,
     "the model of an index (default: the path it was made with)", "FOLDER"},
    {"base", 0, POPT_ARG_NONE, &options.base, 0,
     "with a model and a corpus: the base model's hits beside the tuned ones", NULL},
    {"precision", 0, POPT_ARG_STRING, &options.precision, 0, "f32 or bf16 (default: as saved)",
     "TYPE"},
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print a JSON object a query", NULL},
    POPT_TABLEEND};

/* An index and the vectors of all queries in its space. */
typedef struct space {
    akin_index *index;
    float *queries;
    akin_hit *hits; /* count x k */
} space;

static void free_space(space *s)
{
    akin_index_free(s->index);
    free(s->queries);
    free(s->hits);
}

static akin_status search_space(space *s, const akin_model *model, akin_space side,
                                const char **queries, int count, akin_error *error)
{
    int64_t dim =
        side == AKIN_SPACE_BASE_QUERY ? akin_model_base_dim(model) : akin_model_dim(model);
    akin_object *objects = calloc((size_t)count, sizeof *objects);
    s->queries = malloc((size_t)(count * dim) * sizeof(float));
    s->hits = malloc((size_t)(count * options.k) * sizeof(akin_hit));
    if (!objects || !s->queries || !s->hits)
        cli_out_of_memory();
    for (int i = 0; i < count; i++)
        objects[i] = akin_text(queries[i]);
    akin_status status = akin_model_encode_in(model, side, objects, count, s->queries, error);
    free(objects);
    return status ? status
                  : akin_index_search(s->index, s->queries, count, options.k, s->hits, error);
}

/* ---- printing ---- */

/* One line of a document: a record shows as it is. */
static void one_line(akin_object document, char *out, size_t size)
{
    const char *text = document.data;
    size_t length = document.size < size - 1 ? document.size : size - 1;
    while (length && length < document.size && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--; /* not in the middle of a character */
    for (size_t i = 0; i < length; i++)
        out[i] = text[i] == '\n' || text[i] == '\t' || text[i] == '\r' ? ' ' : text[i];
    out[length] = 0;
}

static void print_hits(const space *s, int query, const char *title)
{
    char text[512];
    if (title)
        printf("%s\n", title);
    for (int r = 0; r < options.k; r++) {
        const akin_hit *hit = &s->hits[query * options.k + r];
        if (hit->id < 0)
            break;
        one_line(akin_index_document(s->index, hit->id), text, sizeof text);
        printf("%3d  %.4f  %s\n", r + 1, (double)hit->similarity, text);
    }
}

static json_t *hits_json(const space *s, int query)
{
    json_t *list = json_array();
    for (int r = 0; r < options.k; r++) {
        const akin_hit *hit = &s->hits[query * options.k + r];
        if (hit->id < 0)
            break;
        akin_object document = akin_index_document(s->index, hit->id);
        json_t *text = json_stringn(document.data ? document.data : "", document.size);
        json_array_append_new(list, json_pack("{s:I, s:f, s:o}", "id", (json_int_t)hit->id,
                                              "similarity", (double)hit->similarity, "document",
                                              text ? text : json_null()));
    }
    return list;
}

static void print_json(const space *tuned, const space *base, int query, const char *text)
{
    json_t *root = json_object();
    json_object_set_new(root, "query", json_string(text));
    json_object_set_new(root, "hits", hits_json(tuned, query));
    if (base)
        json_object_set_new(root, "base", hits_json(base, query));
    char *line = json_dumps(root, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(7));
    json_decref(root);
    if (!line)
        cli_out_of_memory();
    puts(line);
    free(line);
}

static void print_all(const space *tuned, const space *base, const char **queries, int count)
{
    for (int i = 0; i < count; i++) {
        if (options.json) {
            print_json(tuned, base, i, queries[i]);
            continue;
        }
        printf("%s\"%s\"\n", i ? "\n" : "", queries[i]);
        if (base)
            print_hits(base, i, "  base");
        print_hits(tuned, i, base ? "  tuned" : NULL);
    }
}

/* ---- the two forms ---- */

/* An index of the corpus, and the hits in it. */
static akin_status search_model(space *s, akin_context *context, const akin_model *model,
                                bool without_head, const char **arguments, int count,
                                akin_error *error)
{
    akin_status status = cli_build_index(
        &s->index, context, model, without_head ? AKIN_SPACE_BASE_DOCUMENT : AKIN_SPACE_DOCUMENT,
        arguments[1], options.field, options.show, error);
    return status ? status
                  : search_space(s, model, without_head ? AKIN_SPACE_BASE_QUERY : AKIN_SPACE_QUERY,
                                 arguments + 2, count - 2, error);
}

static akin_status search_base(space *s, akin_context *context, const akin_model *model,
                               const char **arguments, int count, akin_error *error)
{
    akin_model *loaded;
    bool without_head;
    akin_status status = akin_model_base(&loaded, &without_head, model, error);
    if (!status && !loaded && !without_head) {
        *error = (akin_error){.status = AKIN_ERR_MISMATCH};
        snprintf(error->message, sizeof error->message, "%s has no base beside it to search with",
                 arguments[0]);
        status = AKIN_ERR_MISMATCH;
    }
    if (!status)
        status = search_model(s, context, loaded ? loaded : model, without_head, arguments, count,
                              error);
    akin_model_free(loaded);
    return status;
}

static int search_corpus(akin_context *context, const char **arguments, int count,
                         akin_precision precision)
{
    akin_error error = {0};
    akin_model *model = NULL;
    space tuned = {0}, base = {0};
    if (count < 3)
        return cli_usage("search", "a model wants a corpus and at least one query");
    akin_status status = akin_model_load(&model, context, arguments[0], precision, &error);
    if (!status)
        status = search_model(&tuned, context, model, false, arguments, count, &error);
    if (!status && options.base)
        status = search_base(&base, context, model, arguments, count, &error);
    cli_end_progress();
    if (!status)
        print_all(&tuned, options.base ? &base : NULL, arguments + 2, count - 2);
    free_space(&tuned);
    free_space(&base);
    akin_model_free(model);
    return status ? cli_fail(&error) : CLI_DONE;
}

static akin_status check_space(const akin_index *index, const akin_model *model, akin_error *error)
{
    akin_hash fingerprint, stored = akin_index_fingerprint(index);
    akin_status status =
        akin_model_space_fingerprint(model, AKIN_SPACE_DOCUMENT, &fingerprint, error);
    if (status || (fingerprint.low == stored.low && fingerprint.high == stored.high))
        return status;
    *error = (akin_error){.status = AKIN_ERR_MISMATCH};
    snprintf(
        error->message, sizeof error->message,
        "the index was made in the vector space %016llx%016llx, the model's is %016llx%016llx; "
        "make the index again, or name %s model with --model",
        (unsigned long long)stored.high, (unsigned long long)stored.low,
        (unsigned long long)fingerprint.high, (unsigned long long)fingerprint.low,
        options.model ? "another" : "its");
    return AKIN_ERR_MISMATCH;
}

static bool is_corpus(const char *path)
{
    static const char *const suffixes[] = {".jsonl", ".csv", ".tsv", ".txt", ".gz"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (cli_has_suffix(path, suffixes[i]))
            return true;
    return false;
}

static int search_index(akin_context *context, const char **arguments, int count,
                        akin_precision precision)
{
    akin_error error = {0};
    akin_model *model = NULL;
    space s = {0};
    if (count < 2)
        return cli_usage("search", "an index wants at least one query");
    if (is_corpus(arguments[1]) && access(arguments[1], F_OK) == 0)
        cli_say("%s is taken for a query: an index has its corpus", arguments[1]);
    akin_status status = akin_index_open(&s.index, arguments[0], &error);
    const char *path = options.model ? options.model : s.index ? akin_index_model(s.index) : NULL;
    if (!status && !path)
        return free_space(&s), cli_usage("search", "%s names no model; use --model", arguments[0]);
    if (!status)
        status = akin_model_load(&model, context, path, precision, &error);
    if (!status)
        status = check_space(s.index, model, &error);
    if (!status)
        status = search_space(&s, model, AKIN_SPACE_QUERY, arguments + 1, count - 1, &error);
    if (!status)
        print_all(&s, NULL, arguments + 1, count - 1);
    free_space(&s);
    akin_model_free(model);
    return status ? cli_fail(&error) : CLI_DONE;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_precision precision;
    if (count < 1)
        return cli_usage("search", "search wants an index, or a model and a corpus, and a query");
    if (options.k < 1)
        return cli_usage("search", "-k must be at least 1");
    if (cli_precision(options.precision, &precision, &error))
        return cli_fail(&error);
    if (cli_is_folder(arguments[0]))
        return search_corpus(context, arguments, count, precision);
    if (is_corpus(arguments[0]))
        return cli_usage("search",
                         "%s is a corpus and wants a model before it: akin search MODEL %s "
                         "\"query\", or make an index of it with akin index",
                         arguments[0], arguments[0]);
    if (options.base)
        return cli_usage("search", "--base needs a model and a corpus, not an index");
    return search_index(context, arguments, count, precision);
}

const cli_command cli_search = {
    .name = "search",
    .arguments = "INDEX | MODEL CORPUS \"QUERY\"...",
    .summary = "find what is nearest to a query",
    .description = "Exact search by cosine similarity, in an index file or straight in a corpus, "
                   "whose vectors are kept: the second search is fast.",
    .example = "akin search faq-model answers.jsonl --field answer \"how do I pay?\"",
    .options = rows,
    .run = run};
