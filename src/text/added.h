/* Added tokens: found as they are in the text, before it is cut into words ("[SEP]", "[MASK]"). */
#ifndef AK_TEXT_ADDED_H
#define AK_TEXT_ADDED_H

#include "base/base.h"

typedef struct ak_added ak_added;
struct ak_added {
    const char *content; /* as the file names it */
    const char *pattern; /* what is searched: the content, normalised when `normalized` */
    size_t size;         /* of the pattern */
    int32_t id;
    bool single_word;    /* only where no word character is beside it */
    bool lstrip, rstrip; /* takes the spaces before, after it */
    bool normalized;     /* searched in the normalised text, else in the raw one */
    bool special;
    ak_added *next;
};

/* The tokens of one kind (raw or normalized), in the order of their precedence. */
typedef struct ak_added_set {
    ak_added *first, *last;
    bool starts[256]; /* bytes that a pattern starts with */
} ak_added_set;

void ak_added_append(ak_added_set *set, ak_added *token);

typedef struct ak_added_match {
    size_t start, stop;
    const ak_added *token;
} ak_added_match;

/* The next match of text[0..size). *scan: where to look from, moves past the match. `done`: what
   matches before took, spaces included. False when there is none. */
bool ak_added_next(const ak_added_set *set, const char *text, size_t size, size_t *scan,
                   size_t done, ak_added_match *match);

#endif
