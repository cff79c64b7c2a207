#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

ak_hash ak_hash_bytes(const void *data, size_t size)
{
    XXH128_hash_t h = XXH3_128bits(data, size);
    return (ak_hash){.low = h.low64, .high = h.high64};
}

akin_hash akin_hash_bytes(const void *data, size_t size)
{
    return ak_hash_bytes(data, size);
}

struct ak_hasher {
    XXH3_state_t state;
};

akin_status ak_hasher_create(ak_hasher **out, akin_error *error)
{
    *out = ak_calloc(1, sizeof **out);
    if (!*out)
        return ak_fail_memory(error);
    XXH3_128bits_reset(&(*out)->state);
    return AKIN_OK;
}

void ak_hasher_put(ak_hasher *hasher, const void *data, size_t size)
{
    XXH3_128bits_update(&hasher->state, data, size);
}

ak_hash ak_hasher_end(ak_hasher *hasher)
{
    if (!hasher)
        return (ak_hash){0};
    XXH128_hash_t h = XXH3_128bits_digest(&hasher->state);
    ak_free(hasher);
    return (ak_hash){.low = h.low64, .high = h.high64};
}

ak_hash ak_hash_text(const char *text)
{
    return ak_hash_bytes(text, strlen(text));
}

ak_hash ak_hash_combine(ak_hash a, ak_hash b)
{
    uint64_t words[4] = {a.low, a.high, b.low, b.high};
    return ak_hash_bytes(words, sizeof words);
}

ak_hash ak_hash_combine_all(const ak_hash *hashes, int64_t count)
{
    ak_hash all = hashes[0];
    for (int64_t i = 1; i < count; i++)
        all = ak_hash_combine(all, hashes[i]);
    return all;
}

bool ak_hash_equal(ak_hash a, ak_hash b)
{
    return a.low == b.low && a.high == b.high;
}

int ak_hash_compare(ak_hash a, ak_hash b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low < b.low ? -1 : a.low > b.low;
}

void ak_hash_to_hex(ak_hash hash, char hex[AK_HASH_HEX])
{
    snprintf(hex, AK_HASH_HEX, "%016llx%016llx", (unsigned long long)hash.high,
             (unsigned long long)hash.low);
}

bool ak_hash_from_hex(const char *hex, ak_hash *out)
{
    uint64_t words[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        char c = hex[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        words[i / 16] = words[i / 16] << 4 | (uint64_t)digit;
    }
    if (hex[32])
        return false;
    *out = (ak_hash){.high = words[0], .low = words[1]};
    return true;
}
