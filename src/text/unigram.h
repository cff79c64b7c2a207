/* Unigram tokenizers (Kudo, 2018), as XLM-R and its relatives have them: of all ways to cut a word
   into tokens, the one with the largest sum of their scores. Words begin with U+2581 where a space
   was. Built once, then only read: threads may share it. */
#ifndef AK_TEXT_UNIGRAM_H
#define AK_TEXT_UNIGRAM_H

#include "text/ids.h"
#include "text/vocabulary.h"

typedef struct ak_unigram_options {
    bool split_spaces; /* WhitespaceSplit: all spaces part words, and are gone */
    bool prefix_space; /* a piece (with split_spaces a word) begins with U+2581 */
    int32_t unknown;
} ak_unigram_options;

typedef struct ak_unigram ak_unigram;

/* scores: of every id of the vocabulary, in the arena. */
akin_status ak_unigram_create(ak_unigram **out, akin_arena *arena, const ak_vocabulary *vocabulary,
                              const double *scores, const ak_unigram_options *options,
                              akin_error *error);

/* Adds the ids of a normalised piece. */
void ak_unigram_cut(const ak_unigram *unigram, const char *text, size_t size, ak_ids *ids);

ak_hash ak_unigram_hash(const ak_unigram *unigram); /* of scores and options */

#endif
