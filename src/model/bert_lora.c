/* LoRA (Hu et al., 2021): a matrix W of the checkpoint stays, and W + (alpha / rank) B A takes its
   place; only A (rank x in, uniform in +-1 / sqrt(in)) and B (out x rank, zero at first) are
   trained.

   The sum is made once whenever A or B changed, so that forward and backward are those of any
   matrix. With G the gradient of the sum: dB = s G A^T, dA = s B^T G. That costs G's product, which
   a method without the sum would save, but no further products over the tokens. */
#include "model/bert_train.h"

#include <math.h>
#include <string.h>

static float factor(const ak_bert_train *bert)
{
    return (float)(bert->options.lora_alpha / bert->options.lora_rank);
}

/* "....query.weight" -> "....query.lora_A.weight", the name that PEFT gives it. */
static akin_status add_factor(ak_bert_train *bert, const ak_bert_weight *w, const char *which,
                              int64_t rows, int64_t columns, akin_init init, double constant,
                              double lr_factor, int *number, akin_error *error)
{
    int stem = (int)(strlen(w->name) - strlen(".weight"));
    char *name = ak_format("%.*s.%s.weight", stem, w->name, which);
    if (!name)
        return ak_fail_memory(error);
    akin_status status = akin_parameters_add(bert->parameters, number, name, rows, columns, init,
                                             constant, true, error);
    ak_free(name);
    if (!status)
        akin_parameters_get(bert->parameters, *number)->lr_factor = lr_factor;
    return status;
}

/* The adapter goes on only as what it is. */
static akin_status find_start(ak_bert_train *bert, ak_bert_weight *w, akin_error *error)
{
    ak_adapter_pair pair;
    if (!bert->adapter)
        return AKIN_OK;
    AK_TRY(ak_adapter_find(&pair, bert->adapter, w->name, w->rows, w->columns, error));
    if (!pair.a)
        return ak_fail(
            error, AKIN_ERR_MISMATCH,
            "the adapter of \"lora\" has nothing for \"%.100s\", one of \"lora_targets\"", w->name);
    if (pair.rank != bert->options.lora_rank)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "\"lora_rank\" is %d, but the adapter of \"lora\" has rank %lld",
                       bert->options.lora_rank, (long long)pair.rank);
    if (fabsf(pair.factor - factor(bert)) > 1e-5f * pair.factor)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "\"lora_alpha\" is %g, but the adapter of \"lora\" has %g",
                       bert->options.lora_alpha, (double)pair.factor * (double)pair.rank);
    ak_adapter_saw(bert->adapter, w->base, w->rows * w->columns);
    w->start_a = pair.a;
    w->start_b = pair.b;
    return AKIN_OK;
}

bool ak_bert_lora_has(const ak_bert_train *bert, const ak_bert_weight *w)
{
    ak_adapter_pair pair; /* what is wrong with it is told when it is added */
    return ak_adapter_find(&pair, bert->adapter, w->name, w->rows, w->columns, NULL) || pair.a;
}

void ak_bert_lora_start(ak_bert_train *bert, ak_bert_weight *w)
{
    if (!w->start_a)
        return;
    akin_parameter *a = akin_parameters_get(bert->parameters, w->lora_a);
    akin_parameter *b = akin_parameters_get(bert->parameters, w->lora_b);
    memcpy(a->value, w->start_a, (size_t)(a->rows * a->columns) * sizeof(float));
    memcpy(b->value, w->start_b, (size_t)(b->rows * b->columns) * sizeof(float));
}

akin_status ak_bert_lora_add(ak_bert_train *bert, ak_bert_weight *w, double lr_factor,
                             akin_error *error)
{
    int rank = bert->options.lora_rank;
    int64_t side = w->rows < w->columns ? w->rows : w->columns;
    if (rank > side)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "\"lora_rank\" is %d, but \"%.100s\" is %lld x %lld, of rank %lld at most",
                       rank, w->name, (long long)w->rows, (long long)w->columns, (long long)side);
    w->sum = ak_arena_new(bert->arena, float, w->rows * w->columns);
    if (!w->sum)
        return ak_fail_memory(error);
    memcpy(w->sum, w->base, (size_t)(w->rows * w->columns) * sizeof *w->sum);
    w->value = w->sum;
    AK_TRY(find_start(bert, w, error));
    AK_TRY(add_factor(bert, w, "lora_A", rank, w->columns, AKIN_INIT_UNIFORM,
                      1 / sqrt((double)w->columns), lr_factor, &w->lora_a, error));
    return add_factor(bert, w, "lora_B", w->rows, rank, AKIN_INIT_ZERO, 0, lr_factor, &w->lora_b,
                      error);
}

static bool is_zero(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

static void make_sum(const ak_bert_train *bert, const ak_bert_weight *w)
{
    const akin_parameter *a = akin_parameters_get(bert->parameters, w->lora_a);
    const akin_parameter *b = akin_parameters_get(bert->parameters, w->lora_b);
    memcpy(w->sum, w->base, (size_t)(w->rows * w->columns) * sizeof *w->sum);
    if (!is_zero(b->value, b->rows * b->columns)) /* else exactly the base, zeros' signs too */
        ak_gemm(AKIN_F32, AK_PLAIN, AK_PLAIN, w->rows, w->columns, b->columns, factor(bert),
                b->value, b->columns, a->value, w->columns, 1, w->sum, w->columns);
}

static ak_hash hash_factors(const ak_bert_train *bert)
{
    ak_hash hash = {0};
    for (int i = 0; i < ak_parameters_count(bert->parameters); i++) {
        const akin_parameter *p = akin_parameters_get(bert->parameters, i);
        size_t size = (size_t)(p->rows * p->columns) * sizeof(float);
        hash = ak_hash_combine(hash, ak_hash_bytes(p->value, size));
    }
    return hash;
}

void ak_bert_lora_update(const ak_bert_train *bert)
{
    ak_bert_train *own = (ak_bert_train *)bert; /* the sums are a cache of what is const */
    if (!bert->options.lora_rank)
        return;
    pthread_mutex_lock(&own->lock);
    ak_hash hash = hash_factors(bert);
    for (int i = 0; i < bert->count && !ak_hash_equal(hash, bert->factors); i++)
        if (bert->weights[i].sum)
            make_sum(bert, &bert->weights[i]);
    own->factors = hash;
    pthread_mutex_unlock(&own->lock);
}

void ak_bert_lora_gradient(const ak_bert_train *bert, const ak_bert_weight *w, const float *grad)
{
    const akin_parameter *a = akin_parameters_get(bert->parameters, w->lora_a);
    const akin_parameter *b = akin_parameters_get(bert->parameters, w->lora_b);
    ak_gemm(AKIN_F32, AK_PLAIN, AK_TRANSPOSED, w->rows, b->columns, w->columns, factor(bert), grad,
            w->columns, a->value, w->columns, 1, b->grad, b->columns);
    ak_gemm(AKIN_F32, AK_TRANSPOSED, AK_PLAIN, b->columns, w->columns, w->rows, factor(bert),
            b->value, b->columns, grad, w->columns, 1, a->grad, w->columns);
}

/* ---- the adapter, apart ---- */

/* PEFT names modules as transformers does, without what stands before all names of some files. */
static const char *bare(const ak_bert_train *bert, const char *name)
{
    return name + strlen(bert->prefix);
}

static bool add_adapter_tensor(const ak_bert_train *bert, int number, akin_arena *arena,
                               ak_tensor *tensor)
{
    const akin_parameter *p = akin_parameters_get(bert->parameters, number);
    *tensor =
        (ak_tensor){.name = ak_arena_format(arena, "base_model.model.%s", bare(bert, p->name)),
                    .dtype = AK_DTYPE_F32,
                    .rank = 2,
                    .shape = {p->rows, p->columns},
                    .count = p->rows * p->columns,
                    .data = p->value};
    tensor->size = (size_t)tensor->count * sizeof(float);
    return tensor->name != NULL;
}

static akin_status write_adapter_config(const ak_bert_train *bert, akin_arena *arena,
                                        const char *folder, akin_error *error)
{
    ak_value *root = ak_value_new_map(arena);
    bool made = ak_value_add_string(arena, root, "peft_type", "LORA") &&
                ak_value_add_string(arena, root, "task_type", "FEATURE_EXTRACTION") &&
                ak_value_add_int(arena, root, "r", bert->options.lora_rank) &&
                ak_value_add_number(arena, root, "lora_alpha", bert->options.lora_alpha) &&
                ak_value_add_string(arena, root, "bias", "none");
    ak_value *targets = ak_value_add(arena, root, "target_modules", AK_LIST);
    for (int i = 0; i < bert->count; i++) {
        const char *name = bert->weights[i].name;
        if (!bert->weights[i].sum)
            continue;
        const char *module = bare(bert, name);
        int length = (int)(strlen(module) - strlen(".weight"));
        const char *stem = ak_arena_format(arena, "%.*s", length, module);
        made &= stem && ak_value_add_string(arena, targets, NULL, stem);
    }
    const char *path = ak_arena_format(arena, "%s/adapter_config.json", folder);
    char *text = made && path ? ak_json_write(root, 2) : NULL;
    if (!text)
        return ak_fail_memory(error);
    akin_status status = ak_file_write(path, text, strlen(text), error);
    ak_free(text);
    return status;
}

/* The sum of the matrices that the adapter changes, as they are without it. */
static void hash_base(const ak_bert_train *bert, char hex[AK_HASH_HEX])
{
    ak_hash sum = {0};
    for (int i = 0; i < bert->count; i++) {
        const ak_bert_weight *w = &bert->weights[i];
        if (w->sum)
            ak_adapter_add_base(&sum, w->base, w->rows * w->columns);
    }
    ak_hash_to_hex(sum, hex);
}

akin_status ak_bert_lora_save(const ak_bert_train *bert, const char *folder, akin_error *error)
{
    char base[AK_HASH_HEX];
    const char *const metadata[] = {"format", "pt", AK_ADAPTER_BASE, base, NULL};
    akin_arena *arena;
    int64_t count = 0;
    hash_base(bert, base);
    AK_TRY(ak_make_folders(folder, error));
    AK_TRY(ak_arena_create(&arena, error));
    ak_tensor *tensors = ak_arena_new(arena, ak_tensor, 2 * bert->count);
    const char *path = ak_arena_format(arena, "%s/adapter_model.safetensors", folder);
    bool made = tensors && path;
    for (int i = 0; i < bert->count && made; i++)
        if (bert->weights[i].sum) {
            made = add_adapter_tensor(bert, bert->weights[i].lora_a, arena, &tensors[count]) &&
                   add_adapter_tensor(bert, bert->weights[i].lora_b, arena, &tensors[count + 1]);
            count += 2;
        }
    akin_status status =
        made ? ak_safetensors_write(path, tensors, count, metadata, error) : ak_fail_memory(error);
    if (!status)
        status = write_adapter_config(bert, arena, folder, error);
    ak_arena_free(arena);
    return status;
}
