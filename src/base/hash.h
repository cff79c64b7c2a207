/* 128-bit content hashes (XXH3-128): keys of the cache, fingerprints. Not for secrets. */
#ifndef AK_BASE_HASH_H
#define AK_BASE_HASH_H

#include "base/error.h"

typedef akin_hash ak_hash; /* two 64-bit words, see akin.h */

ak_hash ak_hash_bytes(const void *data, size_t size);
ak_hash ak_hash_text(const char *text);
ak_hash ak_hash_combine(ak_hash a, ak_hash b); /* depends on the order */
ak_hash ak_hash_combine_all(const ak_hash *hashes, int64_t count); /* of one: itself */
bool ak_hash_equal(ak_hash a, ak_hash b);
int ak_hash_compare(ak_hash a, ak_hash b);

/* The hash of bytes that come in pieces: the same as ak_hash_bytes of them together. */
typedef struct ak_hasher ak_hasher;
akin_status ak_hasher_create(ak_hasher **out, akin_error *error);
void ak_hasher_put(ak_hasher *hasher, const void *data, size_t size);
ak_hash ak_hasher_end(ak_hasher *hasher); /* frees; NULL: zero */

#define AK_HASH_HEX 33 /* 32 digits and the final NUL */
void ak_hash_to_hex(ak_hash hash, char hex[AK_HASH_HEX]);
bool ak_hash_from_hex(const char *hex, ak_hash *out); /* false unless 32 hex digits */

#endif
