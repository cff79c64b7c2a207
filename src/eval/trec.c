/* Run and judgement files as trec_eval reads them. It knows whole gains only: if any is not whole,
   all are written in hundredths, which changes no nDCG. It sorts by score and then by document
   name, so its figures are akin's wherever similarities differ; scores have all digits of a
   float32. */
#include "eval/trec.h"

#include "kernels/topk.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 256, BLOCK_HITS = 1 << 22 }; /* queries searched at once, and their hits */

typedef struct output {
    ak_writer *writer;
    const ak_ids *ids;
    akin_arena *arena; /* of names, emptied query by query */
} output;

/* A name in the file, which parts its columns by white space. */
static akin_status name_of(const output *out, int64_t content, const char **name, akin_error *error)
{
    *name = out->ids->name(out->ids->user, content, out->arena);
    if (!*name)
        return ak_fail_memory(error);
    if (**name && !strpbrk(*name, " \t\r\n\v\f"))
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                   "the id \"%.60s\" cannot stand in a TREC file: it is empty or has a space",
                   *name);
}

typedef akin_status content_function(const output *out, void *user, akin_error *error);

static akin_status write_file(const char *path, const ak_ids *ids, content_function *content,
                              void *user, akin_error *error)
{
    output out = {.ids = ids};
    AK_TRY(ak_arena_create(&out.arena, error));
    akin_status status = ak_writer_open(&out.writer, path, error);
    if (!status) {
        status = content(&out, user, error);
        if (status)
            ak_writer_abort(out.writer);
        else
            status = ak_writer_commit(out.writer, error);
    }
    ak_arena_free(out.arena);
    return status;
}

/* ---- runs ---- */

typedef struct run {
    const ak_trial *trial;
    akin_matrix queries, candidates; /* unit rows */
    int64_t depth, k;                /* k: depth and as many as may have to be left out */
    int64_t block;
    akin_hit *hits; /* block x k */
} run;

static int64_t most_excluded(const ak_relevance *r)
{
    int64_t most = 0;
    for (int64_t q = 0; q < r->queries && r->exclude_start; q++) {
        int64_t count = r->exclude_start[q + 1] - r->exclude_start[q];
        most = count > most ? count : most;
    }
    return most;
}

static akin_status write_query(const output *out, const run *r, int64_t query, const akin_hit *hits,
                               akin_error *error)
{
    const char *query_name, *name;
    char score[32];
    ak_arena_reset(out->arena);
    AK_TRY(name_of(out, r->trial->query_row[query], &query_name, error));
    int64_t rank = 0;
    for (int64_t i = 0; i < r->k && hits[i].id >= 0 && rank < r->depth; i++) {
        if (ak_is_excluded(&r->trial->relevance, query, hits[i].id))
            continue;
        AK_TRY(name_of(out, r->trial->candidate_row[hits[i].id], &name, error));
        ak_float_to_text(hits[i].similarity, score);
        AK_TRY(ak_writer_printf(out->writer, error, "%s Q0 %s %" PRId64 " %s akin\n", query_name,
                                name, ++rank, score));
    }
    return AKIN_OK;
}

static akin_status write_queries(const output *out, void *user, akin_error *error)
{
    const run *r = user;
    for (int64_t first = 0; first < r->queries.rows; first += r->block) {
        int64_t left = r->queries.rows - first, n = left < r->block ? left : r->block;
        AK_TRY(ak_topk(r->hits, r->queries.data + first * r->queries.stride, n, r->candidates.data,
                       r->candidates.rows, r->queries.columns, r->k, 1, error));
        for (int64_t i = 0; i < n; i++)
            AK_TRY(write_query(out, r, first + i, r->hits + i * r->k, error));
    }
    return AKIN_OK;
}

akin_status ak_trec_write_run(const char *path, const ak_trial *trial, const ak_sides *embeddings,
                              int64_t depth, const ak_ids *ids, akin_arena *arena,
                              akin_error *error)
{
    int64_t most = trial->candidates;
    run r = {.trial = trial, .depth = depth > 0 && depth < most ? depth : most};
    int64_t wanted = r.depth + most_excluded(&trial->relevance);
    r.k = wanted < most ? wanted : most;
    AK_TRY(ak_trial_units(&r.queries, embeddings->queries, trial->query_row,
                          trial->relevance.queries, arena, error));
    AK_TRY(ak_trial_units(&r.candidates, embeddings->documents, trial->candidate_row, most, arena,
                          error));
    r.block = r.k * BLOCK > BLOCK_HITS ? BLOCK_HITS / r.k + 1 : BLOCK;
    r.hits = ak_arena_new(arena, akin_hit, r.block * r.k);
    return r.hits ? write_file(path, ids, write_queries, &r, error) : ak_fail_memory(error);
}

/* ---- judgements ---- */

static bool whole_gains(const ak_relevance *r)
{
    bool whole = true;
    for (int64_t i = 0; i < r->start[r->queries] && r->gain; i++)
        whole &= r->gain[i] == rintf(r->gain[i]);
    return whole;
}

static akin_status write_judgements(const output *out, void *user, akin_error *error)
{
    const ak_trial *trial = user;
    const ak_relevance *r = &trial->relevance;
    double scale = whole_gains(r) ? 1 : 100;
    for (int64_t q = 0; q < r->queries; q++) {
        const char *query, *candidate;
        ak_arena_reset(out->arena);
        AK_TRY(name_of(out, trial->query_row[q], &query, error));
        for (int64_t i = r->start[q]; i < r->start[q + 1]; i++) {
            double gain = rint(scale * (r->gain ? (double)r->gain[i] : 1));
            AK_TRY(name_of(out, trial->candidate_row[r->candidate[i]], &candidate, error));
            AK_TRY(ak_writer_printf(out->writer, error, "%s 0 %s %.0f\n", query, candidate, gain));
        }
    }
    return AKIN_OK;
}

akin_status ak_trec_write_qrels(const char *path, const ak_trial *trial, const ak_ids *ids,
                                akin_error *error)
{
    return write_file(path, ids, write_judgements, (void *)trial, error);
}
