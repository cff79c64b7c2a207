#include "model/adapter.h"

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

struct ak_adapter {
    akin_arena *arena;
    ak_safetensors *file;
    double alpha;
    bool rank_stable;
    bool *used;   /* of every tensor */
    ak_hash base; /* of the matrices that were seen */
};

/* ---- reading ---- */

/* Members that must be as plain LoRA has them: absent, null, false, empty or `otherwise`. */
static akin_status refuse(const ak_value *config, const char *key, const char *otherwise,
                          const char *path, akin_error *error)
{
    const ak_value *value = ak_value_get(config, key);
    bool plain = !value || value->kind == AK_NULL || (value->kind == AK_BOOL && !value->boolean) ||
                 ((value->kind == AK_MAP || value->kind == AK_LIST) && !value->count) ||
                 (value->kind == AK_STRING && strcmp(value->string, otherwise) == 0);
    if (plain)
        return AKIN_OK;
    return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, path, value->line,
                      "\"%s\" is set, akin reads LoRA adapters without it", key);
}

static akin_status read_config(ak_adapter *adapter, const char *path, akin_error *error)
{
    static const char *const plain[][2] = {
        {"peft_type", "LORA"}, {"bias", "none"},       {"use_dora", ""},       {"rank_pattern", ""},
        {"alpha_pattern", ""}, {"fan_in_fan_out", ""}, {"modules_to_save", ""}};
    ak_value *config;
    AK_TRY(ak_json_read(&config, adapter->arena, path, error));
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        AK_TRY(refuse(config, plain[i][0], plain[i][1], path, error));
    adapter->alpha = ak_value_get_number(config, "lora_alpha", 0);
    adapter->rank_stable = ak_value_get_bool(config, "use_rslora", false);
    if (!(adapter->alpha > 0))
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0,
                          "expected a positive number \"lora_alpha\"");
    return AKIN_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && strcmp(text + size - tail, end) == 0;
}

static akin_status check_tensors(const ak_adapter *adapter, akin_error *error)
{
    int64_t count = ak_safetensors_count(adapter->file);
    const char *path = ak_safetensors_path(adapter->file);
    for (int64_t i = 0; i < count; i++) {
        const char *name = ak_safetensors_at(adapter->file, i)->name;
        if (!ends_with(name, ".lora_A.weight") && !ends_with(name, ".lora_B.weight"))
            return ak_fail_at(error, AKIN_ERR_UNSUPPORTED, path, 0,
                              "the tensor \"%.100s\" is no lora_A or lora_B", name);
    }
    return count ? AKIN_OK
                 : ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "there are no tensors in it");
}

static akin_status read_adapter(ak_adapter *adapter, const char *folder, akin_error *error)
{
    AK_TRY(ak_arena_create(&adapter->arena, error));
    const char *config = ak_arena_format(adapter->arena, "%s/adapter_config.json", folder);
    const char *weights = ak_arena_format(adapter->arena, "%s/adapter_model.safetensors", folder);
    if (!config || !weights)
        return ak_fail_memory(error);
    if (ak_path_what(config) != AK_PATH_FILE || ak_path_what(weights) != AK_PATH_FILE)
        return ak_fail(error, AKIN_ERR_IO,
                       "%s: expected a LoRA adapter, adapter_config.json and "
                       "adapter_model.safetensors",
                       folder);
    AK_TRY(read_config(adapter, config, error));
    AK_TRY(ak_safetensors_open(&adapter->file, weights, error));
    AK_TRY(check_tensors(adapter, error));
    int64_t count = ak_safetensors_count(adapter->file);
    adapter->used = ak_arena_new(adapter->arena, bool, count);
    if (!adapter->used)
        return ak_fail_memory(error);
    memset(adapter->used, 0, (size_t)count * sizeof *adapter->used);
    return AKIN_OK;
}

akin_status ak_adapter_open(ak_adapter **out, const char *folder, akin_error *error)
{
    *out = NULL;
    ak_adapter *adapter = ak_calloc(1, sizeof *adapter);
    if (!adapter)
        return ak_fail_memory(error);
    akin_status status = read_adapter(adapter, folder, error);
    if (status) {
        ak_adapter_free(adapter);
        return status;
    }
    *out = adapter;
    return AKIN_OK;
}

void ak_adapter_free(ak_adapter *adapter)
{
    if (!adapter)
        return;
    ak_safetensors_free(adapter->file);
    ak_arena_free(adapter->arena);
    ak_free(adapter);
}

/* ---- looking up ---- */

/* Is one of the names, of `size` and `other_size` characters, the other's end behind a dot? */
static bool same_module(const char *name, size_t size, const char *other, size_t other_size)
{
    size_t both = size < other_size ? size : other_size;
    const char *longer = size < other_size ? other : name;
    size_t before = (size < other_size ? other_size : size) - both;
    return memcmp(name + size - both, other + other_size - both, both) == 0 &&
           (!before || longer[before - 1] == '.');
}

/* The tensor "....lora_A.weight" (or lora_B) of the matrix; NULL: there is none. */
static const ak_tensor *find_factor(ak_adapter *adapter, const char *which, const char *name)
{
    size_t size = strlen(name) - strlen(".weight");
    for (int64_t i = 0; i < ak_safetensors_count(adapter->file); i++) {
        const ak_tensor *tensor = ak_safetensors_at(adapter->file, i);
        if (!ends_with(tensor->name, which) ||
            !same_module(tensor->name, strlen(tensor->name) - strlen(which), name, size))
            continue;
        adapter->used[i] = true;
        return tensor;
    }
    return NULL;
}

static akin_status read_factor(const float **out, const ak_adapter *adapter,
                               const ak_tensor *tensor, int64_t rows, int64_t columns,
                               akin_error *error)
{
    const int64_t shape[] = {rows, columns};
    const ak_tensor *same;
    AK_TRY(ak_safetensors_expect(&same, adapter->file, tensor->name, 2, shape, error));
    AK_TRY(ak_tensor_floats(out, adapter->file, tensor, adapter->arena, error));
    return ak_tensor_check_finite(ak_safetensors_path(adapter->file), tensor->name, *out,
                                  tensor->count, error);
}

akin_status ak_adapter_find(ak_adapter_pair *out, ak_adapter *adapter, const char *name,
                            int64_t rows, int64_t columns, akin_error *error)
{
    *out = (ak_adapter_pair){0};
    if (!ends_with(name, ".weight"))
        return AKIN_OK;
    const ak_tensor *a = find_factor(adapter, ".lora_A.weight", name);
    const ak_tensor *b = find_factor(adapter, ".lora_B.weight", name);
    if (!a && !b)
        return AKIN_OK;
    if (!a || !b)
        return ak_fail_at(error, AKIN_ERR_FORMAT, ak_safetensors_path(adapter->file), 0,
                          "\"%.100s\" has no lora_%c beside it", (a ? a : b)->name, a ? 'B' : 'A');
    out->rank = a->shape[0];
    AK_TRY(read_factor(&out->a, adapter, a, -1, columns, error));
    AK_TRY(read_factor(&out->b, adapter, b, rows, out->rank, error));
    double rank = (double)out->rank;
    out->factor = (float)(adapter->alpha / (adapter->rank_stable ? sqrt(rank) : rank));
    return AKIN_OK;
}

akin_status ak_adapter_check_used(const ak_adapter *adapter, akin_error *error)
{
    for (int64_t i = 0; i < ak_safetensors_count(adapter->file); i++)
        if (!adapter->used[i])
            return ak_fail_at(error, AKIN_ERR_MISMATCH, ak_safetensors_path(adapter->file), 0,
                              "\"%.100s\" changes no matrix of this model, or none that is "
                              "trained (\"lora_targets\", \"trainable_layers\", \"freeze\")",
                              ak_safetensors_at(adapter->file, i)->name);
    return AKIN_OK;
}

/* ---- the base ---- */

void ak_adapter_add_base(ak_hash *sum, const float *base, int64_t count)
{
    ak_hash one = ak_hash_bytes(base, (size_t)count * sizeof *base);
    sum->low += one.low;
    sum->high += one.high;
}

void ak_adapter_saw(ak_adapter *adapter, const float *base, int64_t count)
{
    ak_adapter_add_base(&adapter->base, base, count);
}

akin_status ak_adapter_check_base(const ak_adapter *adapter, akin_error *error)
{
    const char *text = ak_safetensors_metadata(adapter->file, AK_ADAPTER_BASE);
    ak_hash trained;
    if (!text || !ak_hash_from_hex(text, &trained) || ak_hash_equal(trained, adapter->base))
        return AKIN_OK;
    return ak_fail_at(error, AKIN_ERR_MISMATCH, ak_safetensors_path(adapter->file), 0,
                      "the adapter was trained on other weights than those it is added to: another "
                      "base, or one that holds it already");
}

/* ---- merging ---- */

akin_status ak_adapter_add(const float **sum, const ak_adapter_pair *pair, const float *base,
                           int64_t rows, int64_t columns, akin_arena *arena, akin_error *error)
{
    float *out = ak_arena_new(arena, float, rows *columns);
    if (!out)
        return ak_fail_memory(error);
    memcpy(out, base, (size_t)(rows * columns) * sizeof *out);
    ak_gemm(AKIN_F32, AK_PLAIN, AK_PLAIN, rows, columns, pair->rank, pair->factor, pair->b,
            pair->rank, pair->a, columns, 1, out, columns);
    *sum = out;
    return AKIN_OK;
}

static akin_status merge_tensor(ak_tensor *tensor, ak_adapter *adapter, const ak_safetensors *from,
                                akin_arena *arena, akin_error *error)
{
    ak_adapter_pair pair;
    const float *base = NULL, *sum = NULL;
    if (tensor->rank != 2)
        return AKIN_OK;
    AK_TRY(
        ak_adapter_find(&pair, adapter, tensor->name, tensor->shape[0], tensor->shape[1], error));
    if (!pair.a)
        return AKIN_OK;
    AK_TRY(ak_tensor_floats(&base, from, tensor, arena, error));
    AK_TRY(ak_adapter_add(&sum, &pair, base, tensor->shape[0], tensor->shape[1], arena, error));
    ak_tensor_replace(tensor, sum);
    return AKIN_OK;
}

static akin_status merge(ak_adapter *adapter, const ak_safetensors *from, const char *to,
                         ak_hash *hash, akin_arena *arena, akin_error *error)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    int64_t count = ak_safetensors_count(from);
    ak_tensor *tensors = ak_arena_new(arena, ak_tensor, count);
    if (!tensors)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < count; i++) {
        tensors[i] = *ak_safetensors_at(from, i);
        AK_TRY(merge_tensor(&tensors[i], adapter, from, arena, error));
    }
    return to ? ak_safetensors_write(to, tensors, count, metadata, error)
              : ak_safetensors_hash(hash, tensors, count, metadata, error);
}

akin_status ak_adapter_merge(const char *folder, const char *from, const char *to, ak_hash *hash,
                             akin_error *error)
{
    ak_adapter *adapter;
    ak_safetensors *file = NULL;
    akin_arena *arena = NULL;
    AK_TRY(ak_adapter_open(&adapter, folder, error));
    akin_status status = ak_safetensors_open(&file, from, error);
    if (!status)
        status = ak_arena_create(&arena, error);
    if (!status)
        status = merge(adapter, file, to, hash, arena, error);
    ak_arena_free(arena);
    ak_safetensors_free(file);
    ak_adapter_free(adapter);
    return status;
}
