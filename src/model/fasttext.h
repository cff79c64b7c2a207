/* fastText's .bin (Bojanowski et al., 2017; facebookresearch/fastText, version 11 and 12), mapped.
   The file, little-endian and packed:

     int32    magic 793712314, version
     int32    dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate
     double   t
     int32    size nwords nlabels,  int64 ntokens pruneidx_size
     size x   word NUL, int64 count, int8 type
     bool     quantised (.ftz: not read)
     int64    rows, columns,  float rows x columns      word rows, then `bucket` rows of n-grams
     ...      the output matrix, which is not read

   A word's vector is the mean of its own row, if it is in the dictionary, and of the rows of the
   n-grams of minn .. maxn characters of "<word>". */
#ifndef AK_MODEL_FASTTEXT_H
#define AK_MODEL_FASTTEXT_H

#include "base/base.h"

typedef struct ak_fasttext ak_fasttext;

akin_status ak_fasttext_open(ak_fasttext **out, const char *path, akin_error *error);
/* The same from memory that outlives *out; `name` is what messages call it. */
akin_status ak_fasttext_parse(ak_fasttext **out, const void *data, size_t size, const char *name,
                              akin_error *error);
void ak_fasttext_free(ak_fasttext *model);
int64_t ak_fasttext_dim(const ak_fasttext *model);
int64_t ak_fasttext_words(const ak_fasttext *model); /* in the dictionary, labels too */
/* The number of a word, -1 if it is not in the dictionary. Threads: all from here. */
int64_t ak_fasttext_find(const ak_fasttext *model, const char *word, size_t size);
/* out: dim numbers. false, and zeros: neither the word nor an n-gram of it has a row. */
bool ak_fasttext_word(const ak_fasttext *model, const char *word, size_t size, float *out);

#endif
