#include "model/transformer_train.h"

#include <stdio.h>
#include <string.h>

/* A Dense module: y = activation(x W^T + b). */
enum { WEIGHT, BIAS };
static const char *const stems[] = {"linear.weight", "linear.bias"};

typedef struct dense {
    const ak_dense_config *config;
    ak_safetensors *file;
    const float *value[2]; /* of WEIGHT and BIAS, in the file or the parameters; NULL: no bias */
    int number[2];         /* parameters; -1: frozen, or no bias */
} dense;

struct ak_transformer_train {
    akin_arena *arena;
    const ak_sentence_folder *folder;
    akin_parameters *parameters;
    ak_bert_train *bert;
    bool adapter;         /* it is trained by bert_lora.c */
    ak_safetensors *file; /* BERT's */
    dense dense[AK_MAX_DENSE];
};

/* What backward needs of one forward. */
typedef struct train_record {
    void *bert;
    akin_matrix x[AK_MAX_DENSE], u[AK_MAX_DENSE]; /* what enters a Dense module; its product */
    akin_matrix y;                                /* normalised */
    float *norms;                                 /* before that */
} train_record;

/* ---- life ---- */

/* Under LoRA nothing but A and B is trained, so that the adapter is all that changed. */
static akin_status add_dense(ak_transformer_train *train, dense *d, int which,
                             const ak_bert_train_options *options, akin_error *error)
{
    bool matrix = which == WEIGHT;
    int64_t rows = matrix ? d->config->out : 1, columns = matrix ? d->config->in : d->config->out;
    const int64_t shape[] = {matrix ? rows : columns, columns};
    const ak_tensor *tensor;
    AK_TRY(ak_safetensors_expect(&tensor, d->file, stems[which], matrix ? 2 : 1, shape, error));
    AK_TRY(ak_tensor_floats(&d->value[which], d->file, tensor, train->arena, error));
    AK_TRY(ak_tensor_check_finite(ak_safetensors_path(d->file), stems[which], d->value[which],
                                  tensor->count, error));
    const char *name = ak_arena_format(train->arena, "%s/%s", d->config->module, stems[which]);
    if (!name)
        return ak_fail_memory(error);
    if (options->lora_rank || ak_bert_matches(options->freeze, name))
        return AKIN_OK;
    return akin_parameters_add(train->parameters, &d->number[which], name, rows, columns,
                               AKIN_INIT_ZERO, 0, matrix, error);
}

static akin_status open_dense(ak_transformer_train *train, int number,
                              const ak_bert_train_options *options, akin_error *error)
{
    dense *d = &train->dense[number];
    *d = (dense){.config = &train->folder->dense[number], .number = {-1, -1}};
    AK_TRY(ak_weights_open(&d->file, d->config->folder, error));
    AK_TRY(add_dense(train, d, WEIGHT, options, error));
    return d->config->bias ? add_dense(train, d, BIAS, options, error) : AKIN_OK;
}

static float *gradient(const ak_transformer_train *train, const dense *d, int which)
{
    return d->number[which] < 0 ? NULL
                                : akin_parameters_get(train->parameters, d->number[which])->grad;
}

static void start_dense(ak_transformer_train *train, dense *d)
{
    for (int i = 0; i < 2; i++) {
        if (d->number[i] < 0)
            continue;
        akin_parameter *p = akin_parameters_get(train->parameters, d->number[i]);
        memcpy(p->value, d->value[i], (size_t)(p->rows * p->columns) * sizeof(float));
        d->value[i] = p->value;
    }
}

static bool freezes_something(const ak_transformer_train *train, const char *pattern)
{
    char name[256];
    if (ak_bert_train_has(train->bert, pattern))
        return true;
    for (int i = 0; i < 2 * train->folder->dense_count; i++) {
        const ak_dense_config *d = &train->folder->dense[i / 2];
        snprintf(name, sizeof name, "%s/%s", d->module, stems[i % 2]);
        if ((i % 2 == 0 || d->bias) && ak_bert_matches(pattern, name))
            return true;
    }
    return false;
}

static akin_status check_freeze(const ak_transformer_train *train, const char *patterns,
                                akin_error *error)
{
    char pattern[128];
    while (patterns && *patterns) {
        size_t length = strcspn(patterns, ",");
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, patterns);
        if (pattern[strspn(pattern, " ")] && !freezes_something(train, pattern))
            return ak_fail(error, AKIN_ERR_ARGUMENT, "\"freeze\": \"%s\" fits no tensor of %s",
                           pattern + strspn(pattern, " "), train->folder->transformer);
        patterns += length + (patterns[length] == ',');
    }
    return AKIN_OK;
}

static akin_status open_all(ak_transformer_train *train, const ak_bert_train_options *options,
                            uint64_t seed, akin_error *error)
{
    const ak_sentence_folder *folder = train->folder;
    AK_TRY(ak_arena_create(&train->arena, error));
    AK_TRY(akin_parameters_create(&train->parameters, error));
    AK_TRY(ak_weights_open(&train->file, folder->transformer, error));
    AK_TRY(ak_bert_train_create(&train->bert, &folder->bert, train->file, options,
                                train->parameters, error));
    for (int i = 0; i < folder->dense_count; i++)
        AK_TRY(open_dense(train, i, options, error));
    AK_TRY(check_freeze(train, options->freeze, error));
    if (!ak_parameters_count(train->parameters))
        return ak_fail(
            error, AKIN_ERR_ARGUMENT,
            "%s: \"trainable\" is true, but nothing is left to train: see \"freeze\" and "
            "\"trainable_layers\"",
            folder->transformer);
    AK_TRY(akin_parameters_seal(train->parameters, seed, error));
    ak_bert_train_start(train->bert);
    for (int i = 0; i < folder->dense_count; i++)
        start_dense(train, &train->dense[i]);
    return AKIN_OK;
}

akin_status ak_transformer_train_create(ak_transformer_train **out,
                                        const ak_sentence_folder *folder,
                                        const ak_bert_train_options *options, uint64_t seed,
                                        akin_error *error)
{
    *out = NULL;
    ak_transformer_train *train = ak_calloc(1, sizeof *train);
    if (!train)
        return ak_fail_memory(error);
    train->folder = folder;
    train->adapter = options->lora_rank > 0;
    akin_status status = open_all(train, options, seed, error);
    if (status) {
        ak_transformer_train_free(train);
        return status;
    }
    *out = train;
    return AKIN_OK;
}

void ak_transformer_train_free(ak_transformer_train *train)
{
    if (!train)
        return;
    for (int i = 0; i < AK_MAX_DENSE; i++)
        ak_safetensors_free(train->dense[i].file);
    ak_bert_train_free(train->bert);
    ak_safetensors_free(train->file);
    akin_parameters_free(train->parameters);
    ak_arena_free(train->arena);
    ak_free(train);
}

akin_parameters *ak_transformer_train_parameters(ak_transformer_train *train)
{
    return train->parameters;
}

/* ---- passes ---- */

static akin_status dense_forward(const ak_transformer_train *train, int number,
                                 const akin_pass *pass, train_record *record, akin_matrix *x,
                                 akin_error *error)
{
    const dense *d = &train->dense[number];
    akin_matrix u = ak_matrix_new(pass->arena, x->rows, d->config->out);
    akin_matrix y = ak_matrix_new(pass->arena, x->rows, d->config->out);
    if (!u.data || !y.data)
        return ak_fail_memory(error);
    ak_linear_forward(*x, d->value[WEIGHT], d->value[BIAS], u, pass->precision);
    ak_activate(d->config->activation, u.data, y.data, u.rows * u.columns);
    record->x[number] = *x;
    record->u[number] = u;
    *x = y;
    return AKIN_OK;
}

/* What leaves the last module: as it is, or normalised and kept. */
static akin_status finish_forward(const ak_transformer_train *train, const akin_pass *pass,
                                  train_record *record, akin_matrix x, akin_matrix y,
                                  akin_error *error)
{
    if (!train->folder->normalize) {
        ak_matrix_copy(x, y);
        return AKIN_OK;
    }
    record->norms = ak_arena_new(pass->arena, float, x.rows);
    if (!record->norms)
        return ak_fail_memory(error);
    ak_normalize_forward(x, x, record->norms);
    record->y = x;
    ak_matrix_copy(x, y);
    return AKIN_OK;
}

akin_status ak_transformer_train_forward(const ak_transformer_train *train, const akin_pass *pass,
                                         const ak_tokens *tokens, akin_matrix y, void **record,
                                         akin_error *error)
{
    const ak_sentence_folder *folder = train->folder;
    int64_t width = folder->bert.hidden * __builtin_popcount((unsigned)folder->pooling);
    train_record *made = ak_arena_new(pass->arena, train_record, 1);
    akin_matrix x = ak_matrix_new(pass->arena, y.rows, width);
    *record = NULL;
    if (!made || !x.data)
        return ak_fail_memory(error);
    AK_TRY(
        ak_bert_train_forward(train->bert, pass, tokens, folder->pooling, x, &made->bert, error));
    for (int i = 0; i < folder->dense_count; i++)
        AK_TRY(dense_forward(train, i, pass, made, &x, error));
    AK_TRY(finish_forward(train, pass, made, x, y, error));
    *record = pass->training ? made : NULL;
    return AKIN_OK;
}

/* dy of the module's output becomes that of its input. */
static akin_status dense_backward(ak_transformer_train *train, int number, const akin_pass *pass,
                                  const train_record *record, akin_matrix *dy, akin_error *error)
{
    const dense *d = &train->dense[number];
    akin_matrix x = record->x[number], u = record->u[number];
    akin_matrix dx = ak_matrix_new(pass->arena, x.rows, x.columns);
    if (!dx.data)
        return ak_fail_memory(error);
    ak_activate_backward(d->config->activation, u.data, dy->data, dy->data, u.rows * u.columns);
    ak_linear_backward(x, d->value[WEIGHT], *dy, gradient(train, d, WEIGHT),
                       gradient(train, d, BIAS), dx, pass->precision);
    *dy = dx;
    return AKIN_OK;
}

akin_status ak_transformer_train_backward(ak_transformer_train *train, const akin_pass *pass,
                                          const ak_tokens *tokens, const void *record,
                                          akin_matrix dy, akin_error *error)
{
    const train_record *made = record;
    const ak_sentence_folder *folder = train->folder;
    akin_matrix slope = ak_matrix_new(pass->arena, dy.rows, dy.columns);
    if (!slope.data)
        return ak_fail_memory(error);
    if (folder->normalize) {
        memset(slope.data, 0, (size_t)(dy.rows * dy.columns) * sizeof(float));
        ak_normalize_backward(made->y, made->norms, dy, slope);
    } else {
        ak_matrix_copy(dy, slope);
    }
    for (int i = folder->dense_count - 1; i >= 0; i--)
        AK_TRY(dense_backward(train, i, pass, made, &slope, error));
    ak_bert_train_backward(train->bert, pass, tokens, folder->pooling, made->bert, slope);
    return AKIN_OK;
}

const ak_bert_train *ak_transformer_train_stem(const ak_transformer_train *train)
{
    return ak_bert_train_has_stem(train->bert) ? train->bert : NULL;
}

/* ---- files ---- */

/* The tensors of a Dense module's file, with the values of the parameters. */
static akin_status dense_tensors(const dense *d, akin_arena *arena, ak_tensor **tensors,
                                 int64_t *count, akin_error *error)
{
    *count = ak_safetensors_count(d->file);
    *tensors = ak_arena_new(arena, ak_tensor, *count);
    if (!*tensors)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < *count; i++) {
        ak_tensor *tensor = *tensors + i;
        *tensor = *ak_safetensors_at(d->file, i);
        for (int j = 0; j < 2; j++)
            if (d->number[j] >= 0 && strcmp(tensor->name, stems[j]) == 0)
                ak_tensor_replace(tensor, d->value[j]);
    }
    return AKIN_OK;
}

static akin_status module_tensors(const ak_transformer_train *train, int module, akin_arena *arena,
                                  ak_tensor **tensors, int64_t *count, akin_error *error)
{
    if (module < 0)
        return ak_bert_train_tensors(train->bert, arena, tensors, count, error);
    return dense_tensors(&train->dense[module], arena, tensors, count, error);
}

/* {"format": "pt"} is what transformers asks for. */
static const char *const metadata[] = {"format", "pt", NULL};

bool ak_transformer_train_is_base(const ak_transformer_train *train)
{
    for (int i = 0; i < train->folder->dense_count; i++) {
        const dense *d = &train->dense[i];
        for (int j = 0; j < 2; j++)
            if (d->number[j] >= 0 &&
                !ak_tensor_holds(ak_safetensors_find(d->file, stems[j]), d->value[j]))
                return false;
    }
    return ak_bert_train_is_base(train->bert);
}

akin_status ak_transformer_train_hash(const ak_transformer_train *train, int module, ak_hash *hash,
                                      akin_error *error)
{
    akin_arena *arena;
    ak_tensor *tensors = NULL;
    int64_t count = 0;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = module_tensors(train, module, arena, &tensors, &count, error);
    if (!status)
        status = ak_safetensors_hash(hash, tensors, count, metadata, error);
    ak_arena_free(arena);
    return status;
}

static akin_status save_module(const ak_transformer_train *train, int module, akin_arena *arena,
                               const char *folder, akin_error *error)
{
    const ak_sentence_folder *f = train->folder;
    const char *name = module < 0 ? f->module : f->dense[module].module;
    ak_tensor *tensors = NULL;
    int64_t count = 0;
    AK_TRY(module_tensors(train, module, arena, &tensors, &count, error));
    char *path = ak_format("%s/%s%smodel.safetensors", folder, name, *name ? "/" : "");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_safetensors_write(path, tensors, count, metadata, error);
    ak_free(path);
    return status;
}

/* The weights hold the sums already; lora/ is for whoever wants to carry the difference alone. */
static akin_status save_adapter(const ak_transformer_train *train, const char *folder,
                                akin_error *error)
{
    if (!train->adapter)
        return AKIN_OK;
    char *place = ak_path_join(folder, "lora");
    if (!place)
        return ak_fail_memory(error);
    akin_status status = ak_bert_lora_save(train->bert, place, error);
    ak_free(place);
    return status;
}

akin_status ak_transformer_train_save(const ak_transformer_train *train, const char *folder,
                                      akin_error *error)
{
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = AKIN_OK;
    for (int i = -1; i < train->folder->dense_count && !status; i++)
        status = save_module(train, i, arena, folder, error);
    if (!status)
        status = save_adapter(train, folder, error);
    ak_arena_free(arena);
    return status;
}
