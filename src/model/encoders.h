/* Encoders: what turns objects into features. One file each; the class struct is in akin.h. And what
   encoders of texts share: the part of an object that they read. */
#ifndef AK_MODEL_ENCODERS_H
#define AK_MODEL_ENCODERS_H

#include "base/base.h"

extern const akin_encoder_class ak_encoder_fasttext;
extern const akin_encoder_class ak_encoder_ngrams;
extern const akin_encoder_class ak_encoder_static;
extern const akin_encoder_class ak_encoder_switch;
extern const akin_encoder_class ak_encoder_transformer;
extern const akin_encoder_class ak_encoder_two_towers;
extern const akin_encoder_class ak_encoder_vectors;

/* NULL-terminated: what the registry starts with. */
extern const akin_encoder_class *const ak_encoders[];

/* ---- field.c ---- */

/* A copy of an option's text, NULL of NULL; ak_free. */
akin_status ak_copy_option(char **out, const char *text, akin_error *error);

/* The object's text, or (field not NULL) that of the record's member, which must be a text. It lives
   as long as the object or the arena. */
akin_status ak_field_text(const char *field, akin_object object, akin_arena *arena,
                          akin_object *text, akin_error *error);
/* The same of many, into the arena. */
akin_status ak_field_texts(const char *field, const akin_object *objects, int64_t count,
                           akin_arena *arena, akin_object **texts, akin_error *error);
/* The hash of that of one. */
akin_status ak_field_key(const char *field, akin_object object, ak_hash *key, akin_error *error);

#endif
