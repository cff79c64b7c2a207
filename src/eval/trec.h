/* Files for trec_eval (https://github.com/usnistgov/trec_eval). */
#ifndef AK_EVAL_TREC_H
#define AK_EVAL_TREC_H

#include "eval/trial.h"

/* How contents are called in a file; the text lives in the arena or longer. */
typedef struct ak_ids {
    const char *(*name)(const void *user, int64_t content, akin_arena *arena); /* NULL: no memory */
    const void *user;
} ak_ids;

/* Queries' first `depth` candidates (0: all) by falling similarity, those that take no part left
   out: "qid Q0 docid rank score akin". embeddings: as in ak_trial_rank. */
akin_status ak_trec_write_run(const char *path, const ak_trial *trial, const ak_sides *embeddings,
                              int64_t depth, const ak_ids *ids, akin_arena *arena,
                              akin_error *error);
/* The relevant candidates: "qid 0 docid gain", gains as whole numbers. */
akin_status ak_trec_write_qrels(const char *path, const ak_trial *trial, const ak_ids *ids,
                                akin_error *error);

#endif
