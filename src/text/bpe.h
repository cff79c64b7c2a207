/* Byte-level byte-pair encoding (Sennrich et al., 2016; Radford et al., 2019), as RoBERTa and
   ModernBERT have it: a text is parted into words by GPT-2's pattern, a word's bytes are symbols,
   and the pair of neighbours that was merged earliest while the vocabulary was learnt becomes one
   symbol, until none is left. Built once, then only read: threads may share it. */
#ifndef AK_TEXT_BPE_H
#define AK_TEXT_BPE_H

#include "text/ids.h"
#include "text/vocabulary.h"

typedef struct ak_bpe ak_bpe;

/* `merges`: the list of tokenizer.json, "a b" or ["a", "b"], the earliest first. prefix_space: a
   piece that does not begin with a space gets one. Bytes whose letter is not in the vocabulary
   become `unknown`, or nothing if that is -1. `name` is what messages call the file. */
akin_status ak_bpe_create(ak_bpe **out, akin_arena *arena, const ak_vocabulary *vocabulary,
                          const ak_value *merges, bool prefix_space, int32_t unknown,
                          const char *name, akin_error *error);

/* Adds the ids of a piece of valid UTF-8. */
void ak_bpe_cut(const ak_bpe *bpe, const char *text, size_t size, ak_ids *ids);

ak_hash ak_bpe_hash(const ak_bpe *bpe); /* of merges and options */

#endif
