/* What a tokenizer is made of; its loader and its encoder share it. */
#ifndef AK_TEXT_TOKENIZER_PARTS_H
#define AK_TEXT_TOKENIZER_PARTS_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/steps.h"
#include "text/tokenizer.h"
#include "text/unigram.h"
#include "text/vocabulary.h"

#define AK_TEMPLATE_LIMIT 16 /* ids before, or after, the text's own */

typedef struct ak_template {
    int32_t before[AK_TEMPLATE_LIMIT], after[AK_TEMPLATE_LIMIT];
    int before_count, after_count;
} ak_template;

struct ak_tokenizer {
    akin_arena *arena; /* holds everything below */
    ak_vocabulary *vocabulary;
    ak_bpe *bpe; /* at most one of these two; none: WordPiece */
    ak_unigram *unigram;
    ak_normalizer normalizer; /* WordPiece's */
    ak_step *steps;           /* the normalizers of the other two, the first one */
    ak_added_set raw, normalized; /* added tokens */
    ak_template template;
    int32_t unknown;   /* id of a word that cannot be cut */
    int32_t size;      /* 1 + the largest id */
    size_t word_limit; /* characters; longer words are unknown */
    ak_hash fingerprint;
};

/* tokenizer_load.c: tokenizer.json or vocab.txt of a folder. */
akin_status ak_tokenizer_read_folder(ak_tokenizer *tokenizer, const char *folder,
                                     akin_error *error);

/* Copies an added token into its set; name and line say where it was read. The normalizer and the
   vocabulary are ready before. */
akin_status ak_tokenizer_add(ak_tokenizer *tokenizer, const ak_added *token, const char *name,
                             int64_t line, akin_error *error);

/* The normalizer's options as tokenizer_config.json (a map) has them, absent ones by default. */
void ak_tokenizer_configure(ak_tokenizer *tokenizer, const ak_value *config);

/* tokenizer_json.c. `config`: tokenizer_config.json if its options win, else NULL. */
akin_status ak_tokenizer_read_json(ak_tokenizer *tokenizer, const char *path,
                                   const ak_value *config, akin_error *error);

/* The flags of an added token, from its JSON object; absent ones stay. */
akin_status ak_tokenizer_read_flags(ak_added *token, const ak_value *map, const char *name,
                                    akin_error *error);

#endif
