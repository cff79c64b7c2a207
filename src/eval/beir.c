/* akin_evaluate_beir: a folder as BEIR (Thakur et al., 2021) has them: corpus.jsonl with _id, title
   and text, queries.jsonl with _id and text, qrels/test.tsv with query-id, corpus-id and score. */
#include "eval/evaluator.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Queries first, then documents, in one numbering of contents. */
typedef struct beir {
    akin_corpus *queries, *documents;
    int64_t query_count, document_count;
    ak_names *query_names, *document_names;
    ak_hash *keys;       /* queries + documents, x encoders */
    ak_hash *whole_keys; /* of all encoders together */
    uint8_t *sides;      /* queries + documents: what each is */
} beir;

static akin_status content(void *user, int64_t i, akin_arena *arena, akin_object *object,
                           akin_error *error)
{
    const beir *b = user;
    if (i < b->query_count)
        return ak_corpus_get(b->queries, i, arena, object, error);
    return ak_corpus_get(b->documents, i - b->query_count, arena, object, error);
}

static akin_status open_part(akin_corpus **corpus, ak_names **names, const char *folder,
                             const char *file, const char *const *fields,
                             const akin_context *context, akin_error *error)
{
    char *path = ak_path_join(folder, file);
    if (!path)
        return ak_fail_memory(error);
    akin_status status =
        ak_corpus_open(corpus, path, fields, "_id", context ? context->cache_folder : NULL, error);
    if (!status)
        status = ak_corpus_names(names, *corpus, error);
    ak_free(path);
    return status;
}

static ak_contents contents_of(const beir *b)
{
    return (ak_contents){.count = b->query_count + b->document_count,
                         .keys = b->keys,
                         .sides = b->sides,
                         .object = content,
                         .user = (void *)b};
}

static akin_status make_keys(beir *b, const akin_model *model, akin_error *error)
{
    int encoders = model->encoder_count;
    size_t count = (size_t)(b->query_count + b->document_count);
    b->keys = ak_calloc(count + 1, (size_t)encoders * sizeof *b->keys);
    b->whole_keys = ak_calloc(count + 1, sizeof *b->whole_keys);
    b->sides = ak_alloc(count + 1);
    if (!b->keys || !b->whole_keys || !b->sides)
        return ak_fail_memory(error);
    memset(b->sides, AK_ON_DOCUMENTS, count);
    memset(b->sides, AK_ON_QUERIES, (size_t)b->query_count);
    ak_contents contents = contents_of(b);
    AK_TRY(ak_contents_make_keys(&contents, model, b->keys, error));
    for (int64_t i = 0; i < contents.count; i++)
        b->whole_keys[i] = ak_hash_combine_all(b->keys + i * encoders, encoders);
    return AKIN_OK;
}

/* ---- qrels ---- */

typedef struct qrels {
    int64_t count, capacity;
    int64_t *query, *document;
    float *score;
} qrels;

static void free_qrels(qrels *q)
{
    ak_free(q->query);
    ak_free(q->document);
    ak_free(q->score);
}

/* One line: query-id TAB corpus-id TAB score. */
static akin_status read_line(qrels *q, const beir *b, char *line, const char *path, int64_t number,
                             akin_error *error)
{
    char *document = strchr(line, '\t');
    char *score = document ? strchr(document + 1, '\t') : NULL;
    double gain;
    if (!score)
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, number,
                          "expected query-id, corpus-id and score, separated by tabs");
    *document++ = 0;
    *score++ = 0;
    bool known = ak_text_to_double(score, &gain) && fabs(gain) <= FLT_MAX;
    if (number == 1 && !known)
        return AKIN_OK; /* the header */
    if (!known)
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, number, "the score \"%s\" is no number",
                          score);
    int64_t query = ak_names_find(b->query_names, line);
    int64_t found = ak_names_find(b->document_names, document);
    if (query < 0 || found < 0)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, path, number, "there is no %s \"%s\"",
                          query < 0 ? "query" : "document", query < 0 ? line : document);
    int64_t capacity = q->capacity;
    AK_TRY(ak_grow(&q->query, q->count, &capacity, sizeof *q->query, error));
    capacity = q->capacity;
    AK_TRY(ak_grow(&q->document, q->count, &capacity, sizeof *q->document, error));
    AK_TRY(ak_grow(&q->score, q->count, &q->capacity, sizeof *q->score, error));
    q->query[q->count] = query;
    q->document[q->count] = found;
    q->score[q->count++] = (float)gain;
    return AKIN_OK;
}

static akin_status read_lines(qrels *q, const beir *b, const ak_map *map, const char *path,
                              akin_error *error)
{
    const char *text = map->data, *end = text + map->size;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = AKIN_OK;
    for (int64_t number = 1; text < end && !status; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t size = (size_t)((stop ? stop : end) - text);
        size_t trimmed = size && text[size - 1] == '\r' ? size - 1 : size;
        ak_arena_reset(arena);
        char *line = ak_arena_copy(arena, text, trimmed);
        if (!line)
            status = ak_fail_memory(error);
        else if (trimmed)
            status = read_line(q, b, line, path, number, error);
        text += size + 1;
    }
    ak_arena_free(arena);
    if (!status && !q->count)
        status = ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "holds no judgements");
    return status;
}

static akin_status read_qrels(qrels *q, const beir *b, const char *folder, akin_error *error)
{
    ak_map map;
    char *path = ak_path_join(folder, "qrels/test.tsv");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_map_open(&map, path, error);
    if (!status) {
        status = read_lines(q, b, &map, path, error);
        ak_map_close(&map);
    }
    ak_free(path);
    return status;
}

/* ---- the whole ---- */

typedef struct judged {
    const beir *folder;
    const qrels *judgements;
    const char *name;
} judged;

static const char *own_name(const void *user, int64_t content, akin_arena *arena)
{
    const beir *b = user;
    (void)arena;
    return content < b->query_count ? ak_names_at(b->query_names, content)
                                    : ak_names_at(b->document_names, content - b->query_count);
}

static akin_status pass(ak_evaluator *e, void *user, uint64_t seed, akin_error *error)
{
    const judged *data = user;
    const beir *b = data->folder;
    const qrels *q = data->judgements;
    ak_ids ids = {own_name, b};
    ak_judgements judgements = {.count = q->count,
                                .queries = b->query_count,
                                .documents = b->document_count,
                                .query = q->query,
                                .document = q->document,
                                .score = q->score,
                                .keys = b->whole_keys};
    AK_TRY(ak_trial_of_judgements(&e->trial, &judgements, e->options.sample_size, seed, e->scratch,
                                  error));
    return ak_evaluator_rank(e, data->name, &ids, error);
}

static akin_status evaluate(ak_evaluator *e, judged *data, akin_error *error)
{
    static const char *const usual[] = {"ndcg@10", "recall@100", "map@100", "reciprocal_rank@10",
                                        "precision@1"};
    const beir *b = data->folder;
    ak_contents contents = contents_of(b);
    AK_TRY(ak_evaluator_metrics(e, usual, 5, AKIN_METRIC_RANKING, error));
    AK_TRY(ak_evaluator_embed(e, &contents, error));
    return ak_evaluator_run(e, pass, data, error);
}

static akin_status open_folder(beir *b, const akin_model *model, const char *folder,
                               akin_error *error)
{
    static const char *const query_fields[] = {"text", NULL};
    static const char *const document_fields[] = {"title", "text", NULL};
    if (ak_path_what(folder) != AK_PATH_FOLDER)
        return ak_fail(
            error, AKIN_ERR_ARGUMENT,
            "%s: BEIR data is a folder, of corpus.jsonl, queries.jsonl and qrels/test.tsv", folder);
    AK_TRY(open_part(&b->queries, &b->query_names, folder, "queries.jsonl", query_fields,
                     model->context, error));
    AK_TRY(open_part(&b->documents, &b->document_names, folder, "corpus.jsonl", document_fields,
                     model->context, error));
    b->query_count = akin_corpus_count(b->queries);
    b->document_count = akin_corpus_count(b->documents);
    return make_keys(b, model, error);
}

akin_status akin_evaluate_beir(akin_evaluation **out, const akin_model *model,
                               const akin_model *base, const char *folder,
                               const akin_evaluator_options *options, akin_error *error)
{
    ak_evaluator e;
    beir b = {0};
    qrels q = {0};
    judged data = {&b, &q, folder};
    *out = NULL;
    akin_status status = ak_evaluation_begin(&e, model, base, options, error);
    if (!status)
        status = open_folder(&b, model, folder, error);
    if (!status)
        status = read_qrels(&q, &b, folder, error);
    if (!status)
        status = evaluate(&e, &data, error);
    free_qrels(&q);
    ak_names_table_free(b.query_names);
    ak_names_table_free(b.document_names);
    akin_corpus_free(b.queries);
    akin_corpus_free(b.documents);
    ak_free(b.keys);
    ak_free(b.whole_keys);
    ak_free(b.sides);
    return ak_evaluation_end(out, &e, status, error);
}
