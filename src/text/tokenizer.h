/* The door of text: tokenizers, exactly as Hugging Face's. */
#ifndef AK_TEXT_TOKENIZER_H
#define AK_TEXT_TOKENIZER_H

#include "base/base.h"

typedef struct ak_tokenizer ak_tokenizer;

/* Reads tokenizer.json, or vocab.txt with the options and special tokens of tokenizer_config.json
   and special_tokens_map.json, of a folder. WordPiece with the BERT normalizer and pre-tokenizer, and
   (from tokenizer.json) byte-level BPE and Unigram, each with the normalizers of steps.h; another
   kind is AKIN_ERR_UNSUPPORTED and named. As transformers does, do_lower_case, strip_accents and
   tokenize_chinese_chars of tokenizer_config.json win over tokenizer.json. Its truncation and
   padding are the caller's business and not read. */
akin_status ak_tokenizer_load(ak_tokenizer **out, const char *folder, akin_error *error);
void ak_tokenizer_free(ak_tokenizer *tokenizer);
int32_t ak_tokenizer_vocabulary(const ak_tokenizer *tokenizer); /* 1 + the largest id */

/* Ids of one text with [CLS] and [SEP], at most max_length of them, into the arena. *cut: whether
   the text was longer: its last tokens are left out, never [SEP]. A max_length without room for the
   special tokens is AKIN_ERR_ARGUMENT. "[SEP]" and other added tokens in the text become their ids.
   Invalid UTF-8 is replaced. The arena grows by the ids, and by a copy of a text that is repaired.
   Threads: yes, with arenas of their own. */
akin_status ak_tokenizer_encode(const ak_tokenizer *tokenizer, const char *text, size_t size,
                                int32_t max_length, akin_arena *arena, int32_t **ids,
                                int32_t *count, bool *cut, akin_error *error);

/* How many special tokens stand before and after a text's own. */
void ak_tokenizer_special(const ak_tokenizer *tokenizer, int32_t *before, int32_t *after);
int32_t ak_tokenizer_unknown(const ak_tokenizer *tokenizer); /* id of what has none; -1: no such */

/* The token's text, NULL if there is no such id. */
const char *ak_tokenizer_token(const ak_tokenizer *tokenizer, int32_t id);

/* Does it stand for some text? Not if it is special or a place that a vocabulary keeps free:
   "[unused12]". */
bool ak_tokenizer_is_text(const ak_tokenizer *tokenizer, int32_t id);

/* Hash of vocabulary and options, for fingerprints; made when the tokenizer is read. */
ak_hash ak_tokenizer_fingerprint(const ak_tokenizer *tokenizer);

#endif
