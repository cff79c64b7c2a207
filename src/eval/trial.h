/* A retrieval trial: which objects of a labelled set are queries, which are candidates, and which
   candidates are relevant to which query. */
#ifndef AK_EVAL_TRIAL_H
#define AK_EVAL_TRIAL_H

#include "data/data.h"
#include "eval/eval.h"

/* The embeddings that a trial ranks: the same matrix twice where the model has no sides. */
typedef struct ak_sides {
    akin_matrix queries, documents;
} ak_sides;

typedef struct ak_trial {
    ak_relevance relevance;
    int64_t candidates;
    const int64_t *query_row, *candidate_row; /* rows of the embeddings */
} ak_trial;

/* Embeddings are a row per content of the table.
   Pairs, distinguish: queries are the distinct a's, candidates the distinct b's, relevant the b's of
   positive pairs (score > .5, which is the gain) with that a. Not distinguish: every object is both.
   Groups: every object is both, relevant are the others of its group (of its first sample).
   A candidate equal to the query takes no part, unless it is relevant.
   sample_size > 0: so many queries, drawn by `seed`; candidates are always all. */
akin_status ak_trial_of_table(ak_trial *trial, const ak_table *table, bool distinguish,
                              int64_t sample_size, uint64_t seed, akin_arena *arena,
                              akin_error *error);
/* The same of one batch; embeddings are a row per object of the batch. */
akin_status ak_trial_of_labels(ak_trial *trial, const akin_labels *labels, akin_arena *arena,
                               akin_error *error);
/* Judgements (query, document, score) as BEIR has them; embeddings are a row per query, then one per
   document, and keys are theirs. Queries without a judgement are left out; a document equal to the
   query takes no part, unless it is relevant. */
typedef struct ak_judgements {
    int64_t count, queries, documents;
    const int64_t *query, *document;
    const float *score;
    const ak_hash *keys; /* queries + documents */
} ak_judgements;
akin_status ak_trial_of_judgements(ak_trial *trial, const ak_judgements *judgements,
                                   int64_t sample_size, uint64_t seed, akin_arena *arena,
                                   akin_error *error);
/* Rows of x as unit vectors, in the arena: of the trial's queries or candidates, say. */
akin_status ak_trial_units(akin_matrix *out, akin_matrix x, const int64_t *rows, int64_t n,
                           akin_arena *arena, akin_error *error);
bool ak_is_relevant(const ak_relevance *r, int64_t query, int64_t candidate);
bool ak_is_excluded(const ak_relevance *r, int64_t query, int64_t candidate);
akin_status ak_trial_rank(const ak_trial *trial, const ak_sides *embeddings, akin_arena *arena,
                          akin_ranking **rankings, akin_error *error);

#endif
