/* What reads tokenizer.json: the document (tokenizer_json.c), its model (tokenizer_models.c) and its
   normalizer (tokenizer_steps.c). */
#ifndef AK_TEXT_TOKENIZER_JSON_H
#define AK_TEXT_TOKENIZER_JSON_H

#include "text/tokenizer_parts.h"

typedef struct ak_json_source {
    ak_tokenizer *tokenizer;
    const char *path;
    akin_error *error;
    const ak_value *config; /* tokenizer_config.json if its options win, else NULL */
} ak_json_source;

/* "expected ...", at a value of the document. */
akin_status ak_json_bad(const ak_json_source *s, const ak_value *at, const char *expected);
/* "the WHAT is of type "TYPE", akin reads EXPECTED" */
akin_status ak_json_unsupported(const ak_json_source *s, const ak_value *at, const char *what,
                                const char *type, const char *expected);
/* A member that is true or false; absent or null: *out stays. */
akin_status ak_json_read_bool(const ak_json_source *s, const ak_value *map, const char *key,
                              bool *out);

/* Model, normalizer and pre-tokenizer. The vocabulary is text[begin .. end) of the document; equal:
   there is none. */
akin_status ak_json_read_model(const ak_json_source *s, const ak_value *root, const char *text,
                               size_t begin, size_t end);

/* The steps of "normalizer" (NULL: none), into the tokenizer. */
akin_status ak_json_read_steps(const ak_json_source *s, const ak_value *normalizer);

#endif
