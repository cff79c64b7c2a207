/* Hashed n-grams of a text: numbers of rows in a table, without a vocabulary.

   A text is normalised as BERT's are (controls dropped; with `lowercase`, lower case and no
   accents) and split into words at spaces; punctuation and ideographs are words of their own. Its
   features are
     - every run of 1 .. word_ngrams words, and
     - every run of min_n .. max_n characters in "<word>", but "<word>" itself (Bojanowski et al.,
   2017; max_n 0: none). A feature's row is a 64-bit FNV-1a hash of its bytes, mixed and scaled to 0
   .. buckets - 1: features may share a row (Weinberger et al., 2009), equal ones always do. */
#ifndef AK_TEXT_NGRAMS_H
#define AK_TEXT_NGRAMS_H

#include "text/normalizer.h"

#define AK_MAX_WORD_NGRAMS 8

typedef struct ak_ngrams {
    int32_t buckets;
    int word_ngrams, min_n, max_n;
    ak_normalizer normalizer;
} ak_ngrams;

/* Of one text after the other. */
typedef struct ak_rows {
    int32_t *items;
    int64_t count, capacity;
} ak_rows;

void ak_ngrams_prepare(ak_ngrams *ngrams, int32_t buckets, int word_ngrams, int min_n, int max_n,
                       bool lowercase);
/* Appends the rows of a text, repeated as often as their features are there; the arrays are in the
   arena, and so is scratch. Invalid UTF-8 is replaced. Threads: yes. */
akin_status ak_ngrams_add(const ak_ngrams *ngrams, const char *text, size_t size, ak_rows *rows,
                          akin_arena *arena, akin_error *error);

#endif
