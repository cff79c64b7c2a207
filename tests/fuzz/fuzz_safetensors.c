/* Fuzz target: safetensors. Whatever is accepted must lie inside the bytes, tile them, and be found
   by name; numbers must be convertible wherever they start. */
#include "fuzz.h"

#include "base/base.h"
#include "base/safetensors.h"

#include <string.h>

static void read_tensor(const ak_safetensors *file, const ak_tensor *tensor, akin_arena *arena)
{
    akin_error error;
    const float *floats;
    FUZZ_CHECK(ak_safetensors_find(file, tensor->name) == tensor);
    if (ak_tensor_floats(&floats, file, tensor, arena, &error)) {
        FUZZ_CHECK(!floats && *error.message && tensor->dtype > AK_DTYPE_BF16);
        return;
    }
    float sum = 0;
    for (int64_t i = 0; i < tensor->count; i++)
        sum += floats[i];
    FUZZ_CHECK(sum == sum || sum != sum);
    const void *data;
    const ak_tensor *again;
    if (!ak_safetensors_view(&data, &again, file, tensor->name, tensor->dtype, tensor->rank,
                             tensor->shape, &error))
        FUZZ_CHECK(data == tensor->data && again == tensor);
}

static void read_all(const ak_safetensors *file, const char *end, akin_arena *arena)
{
    size_t total = 0;
    for (int64_t i = 0; i < ak_safetensors_count(file); i++)
        total += ak_safetensors_at(file, i)->size;
    const char *next = end - total;
    for (int64_t i = 0; i < ak_safetensors_count(file); i++) {
        const ak_tensor *tensor = ak_safetensors_at(file, i);
        FUZZ_CHECK((const char *)tensor->data == next);
        FUZZ_CHECK(tensor->size == (size_t)tensor->count * ak_dtype_size(tensor->dtype));
        next += tensor->size;
        read_tensor(file, tensor, arena);
    }
    const ak_value *map = ak_safetensors_metadata_map(file);
    for (const ak_value *v = map ? map->first : NULL; v; v = v->next)
        FUZZ_CHECK(ak_safetensors_metadata(file, v->key) == v->string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    akin_arena *arena;
    akin_error error;
    ak_safetensors *file;
    FUZZ_CHECK(!ak_arena_create(&arena, NULL));
    if (ak_safetensors_parse(&file, data, size, "fuzz", &error))
        FUZZ_CHECK(!file && error.status && *error.message);
    else
        read_all(file, (const char *)data + size, arena);
    ak_safetensors_free(file);
    ak_arena_free(arena);
    return 0;
}
