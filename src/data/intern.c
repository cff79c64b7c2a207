#include "data/intern.h"

#define NUMBER_BITS 44
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)
#define FIRST_SLOTS 1024

void ak_intern_free(ak_intern *map)
{
    ak_free(map->keys);
    ak_free(map->slots);
    *map = (ak_intern){0};
}

static uint64_t make_slot(ak_hash key, int64_t number)
{
    return (key.high & ~NUMBER_MASK) | (uint64_t)(number + 1);
}

static void put(uint64_t *slots, uint64_t mask, ak_hash key, int64_t number)
{
    uint64_t i = key.low & mask;
    while (slots[i])
        i = (i + 1) & mask;
    slots[i] = make_slot(key, number);
}

static akin_status grow_slots(ak_intern *map, akin_error *error)
{
    uint64_t size = map->slots ? 2 * (map->mask + 1) : FIRST_SLOTS;
    uint64_t *slots = ak_calloc(size, sizeof *slots);
    if (!slots)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < map->count; i++)
        put(slots, size - 1, map->keys[i], i);
    ak_free(map->slots);
    map->slots = slots;
    map->mask = size - 1;
    return AKIN_OK;
}

akin_status ak_intern_add(ak_intern *map, ak_hash key, int64_t *number, akin_error *error)
{
    if (!map->slots || (uint64_t)map->count * 2 > map->mask)
        AK_TRY(grow_slots(map, error));
    uint64_t i = key.low & map->mask;
    for (uint64_t slot; (slot = map->slots[i]); i = (i + 1) & map->mask) {
        int64_t n = (int64_t)(slot & NUMBER_MASK) - 1;
        if (slot == make_slot(key, n) && ak_hash_equal(map->keys[n], key)) {
            *number = n;
            return AKIN_OK;
        }
    }
    AK_TRY(ak_grow(&map->keys, map->count, &map->capacity, sizeof *map->keys, error));
    map->keys[map->count] = key;
    map->slots[i] = make_slot(key, map->count);
    *number = map->count++;
    return AKIN_OK;
}

void ak_intern_prefetch(const ak_intern *map, ak_hash key)
{
    if (map->slots)
        __builtin_prefetch(&map->slots[key.low & map->mask]);
}
