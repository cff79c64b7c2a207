/* SentencePiece's normalisation (Kudo and Richardson, 2018), which tokenizer.json carries as
   "precompiled_charsmap": a trie from sequences of characters to what they become. */
#ifndef AK_TEXT_CHARSMAP_H
#define AK_TEXT_CHARSMAP_H

#include "base/base.h"

typedef struct ak_charsmap ak_charsmap;

/* From base64. Text that is no charsmap is AKIN_ERR_FORMAT, with `name`. */
akin_status ak_charsmap_create(ak_charsmap **out, akin_arena *arena, const char *base64,
                               const char *name, akin_error *error);

/* Valid UTF-8 to its normal form, in the arena; NULL when out of memory. */
char *ak_charsmap_apply(const ak_charsmap *map, const char *text, size_t size, size_t *new_size,
                        akin_arena *arena);

ak_hash ak_charsmap_hash(const ak_charsmap *map);

#endif
