/* Numbers for 128-bit keys, by first appearance: open addressing with linear probing over the keys'
   own bits (they are hashes already). A slot holds a number and 20 bits of its key, so that a wrong
   slot is nearly always passed without a look at the key. */
#ifndef AK_DATA_INTERN_H
#define AK_DATA_INTERN_H

#include "base/base.h"

typedef struct ak_intern {
    ak_hash *keys; /* of number 0 .. count - 1 */
    int64_t count, capacity;
    uint64_t *slots; /* tag << 44 | number + 1; 0: free */
    uint64_t mask;
} ak_intern;

void ak_intern_free(ak_intern *map); /* a zeroed map is empty */
/* The key's number; a new key gets the next one. */
akin_status ak_intern_add(ak_intern *map, ak_hash key, int64_t *number, akin_error *error);
/* Brings the key's slot into the processor's cache, a few keys before it is added. */
void ak_intern_prefetch(const ak_intern *map, ak_hash key);

#endif
