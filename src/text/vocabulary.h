/* The tokens of a WordPiece vocabulary and the longest match among them. Built once, then only
   read: threads may share it. */
#ifndef AK_TEXT_VOCABULARY_H
#define AK_TEXT_VOCABULARY_H

#include "base/base.h"

#define AK_WORD_LIMIT 1000             /* most characters of a word that is looked up */
#define AK_ID_LIMIT (INT32_C(1) << 24) /* ids are below: a table is indexed by them */

typedef struct ak_vocabulary ak_vocabulary;

/* Room for `entries` tokens of `bytes` bytes in all, each with a NUL. Tokens that start with
   `prefix` also continue words. */
akin_status ak_vocabulary_create(ak_vocabulary **out, akin_arena *arena, int64_t entries,
                                 size_t bytes, const char *prefix, akin_error *error);

/* A token is written at ak_vocabulary_room and then added by its length and id. */
typedef enum ak_vocabulary_result {
    AK_VOCABULARY_ADDED,
    AK_VOCABULARY_TWICE,    /* the token is there already */
    AK_VOCABULARY_ID_TAKEN, /* by another token */
    AK_VOCABULARY_NO_MEMORY,
} ak_vocabulary_result;
char *ak_vocabulary_room(ak_vocabulary *vocabulary);
ak_vocabulary_result ak_vocabulary_add(ak_vocabulary *vocabulary, size_t length, int32_t id);

int32_t ak_vocabulary_size(const ak_vocabulary *vocabulary);           /* 1 + the largest id */
int32_t ak_vocabulary_find(const ak_vocabulary *v, const char *token); /* -1: no such token */
const char *ak_vocabulary_token(const ak_vocabulary *vocabulary, int32_t id); /* NULL: none */

/* Over the tokens in the order of their ids, and the prefix. */
akin_status ak_vocabulary_hash(const ak_vocabulary *vocabulary, ak_hash *out, akin_error *error);

/* Cuts a word into the longest tokens from the left; returns how many ids it wrote (at most
   `size`), 0 when the word cannot be cut. size <= 4 * AK_WORD_LIMIT. */
int32_t ak_vocabulary_cut(const ak_vocabulary *vocabulary, const char *word, size_t size,
                          int32_t *ids);

/* vocabulary_files.c: fills a fresh vocabulary. `name` is what messages call the file. */

/* The "vocab" object of tokenizer.json, the bytes from { to } of the document `text`. */
akin_status ak_vocabulary_read_json(ak_vocabulary **out, akin_arena *arena, const char *text,
                                    size_t begin, size_t end, const char *prefix, const char *name,
                                    akin_error *error);
/* The same as a list of ["token", score]: a token's id is its place, scores[id] its score, in the
   arena. */
akin_status ak_vocabulary_read_scored(ak_vocabulary **out, double **scores, akin_arena *arena,
                                      const char *text, size_t begin, size_t end, const char *name,
                                      akin_error *error);
/* vocab.txt: one token a line, its number is its id. */
akin_status ak_vocabulary_read_lines(ak_vocabulary **out, akin_arena *arena, const char *text,
                                     size_t size, const char *prefix, const char *name,
                                     akin_error *error);

#endif
