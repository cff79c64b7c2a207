/* Parameters: named matrices in one block of values, mirrored by one block of gradients (and by the
   optimizer's moments), so that an update, a save or a sum over all of them is one call. Every
   matrix starts on a cache line; the floats between two matrices are zero and stay zero.

   Tables, of which a step reads few rows, come last in the block of values, and no gradient mirrors
   them: the gradients of touched rows are put one after the other behind the dense ones, in the
   order of touching. So what goes over all gradients goes over the rows of this step alone.

     values, moments   [ dense ........ ][ table ................................ ][ table .... ]
     gradients         [ dense ........ ][ row ][ row ][ row ]

   Fresh values are a function of (seed, name, element): adding a parameter does not change the
   others, and threads may draw them in any order. */
#include "nn/nn.h"

#include <math.h>
#include <string.h>

enum { ALIGN = 16, SHARES = 256, PARALLEL_FROM = 1 << 15, SCOPE = 256 };

typedef struct entry {
    akin_parameter view;
    akin_init init;
    double constant;
    int64_t offset; /* in the block */
    bool table;
    int64_t first_slot; /* table: of its row 0 */
} entry;

struct akin_parameters {
    entry *entries;
    int64_t count, capacity;
    int64_t size, dense;   /* floats; dense: before the tables */
    float *values, *grads; /* NULL before seal and train */
    char scope[SCOPE];     /* "layers.0.": put before names */
    /* Tables: */
    int64_t rows;       /* of all of them */
    int64_t row_floats; /* gradients of all of their rows */
    int64_t grad_size;  /* floats of gradients there are */
    int32_t *slot;      /* per row: its number in `touched`, -1: none */
    ak_touched *touched;
    int64_t touched_count;
};

static int64_t aligned(int64_t floats)
{
    return (floats + ALIGN - 1) / ALIGN * ALIGN;
}

akin_status akin_parameters_create(akin_parameters **out, akin_error *error)
{
    *out = ak_calloc(1, sizeof **out);
    return *out ? AKIN_OK : ak_fail_memory(error);
}

void akin_parameters_free(akin_parameters *parameters)
{
    if (!parameters)
        return;
    for (int64_t i = 0; i < parameters->count; i++)
        ak_free((char *)parameters->entries[i].view.name);
    ak_free(parameters->entries);
    ak_free(parameters->values);
    ak_free(parameters->grads);
    ak_free(parameters->slot);
    ak_free(parameters->touched);
    ak_free(parameters);
}

akin_status ak_parameters_enter(akin_parameters *parameters, const char *name, size_t *mark,
                                akin_error *error)
{
    *mark = strlen(parameters->scope);
    if (*mark + strlen(name) + 2 > SCOPE)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the parameters' names become too long: \"%s%s\"",
                       parameters->scope, name);
    strcat(strcat(parameters->scope, name), ".");
    return AKIN_OK;
}

void ak_parameters_leave(akin_parameters *parameters, size_t mark)
{
    parameters->scope[mark] = 0;
}

static akin_status check_new(const akin_parameters *parameters, const char *name, int64_t rows,
                             int64_t columns, int64_t *size, akin_error *error)
{
    if (parameters->values)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "parameter \"%s\" comes too late, the parameters are in use", name);
    if (rows < 1 || columns < 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "parameter \"%s\" has shape %lld x %lld, both must be at least 1", name,
                       (long long)rows, (long long)columns);
    for (int64_t i = 0; i < parameters->count; i++)
        if (strcmp(parameters->entries[i].view.name, name) == 0)
            return ak_fail(error, AKIN_ERR_ARGUMENT, "there are two parameters \"%s\"", name);
    int64_t floats, bytes;
    if (parameters->count == INT32_MAX || __builtin_mul_overflow(rows, columns, &floats) ||
        __builtin_add_overflow(parameters->size, floats, size) ||
        __builtin_add_overflow(*size, ALIGN - 1, size) ||
        __builtin_mul_overflow(*size, (int64_t)sizeof(float), &bytes))
        return ak_fail_memory(error);
    *size = *size / ALIGN * ALIGN;
    return AKIN_OK;
}

/* Takes the name. */
static akin_status add(akin_parameters *parameters, int *number, char *name, int64_t rows,
                       int64_t columns, akin_init init, double constant, bool decay,
                       akin_error *error)
{
    int64_t size = 0;
    AK_TRY(check_new(parameters, name, rows, columns, &size, error));
    AK_TRY(ak_grow(&parameters->entries, parameters->count, &parameters->capacity, sizeof(entry),
                   error));
    parameters->entries[parameters->count] = (entry){
        .view = {.name = name, .rows = rows, .columns = columns, .decay = decay, .lr_factor = 1},
        .init = init,
        .constant = constant,
    };
    parameters->size = size;
    *number = (int)parameters->count++;
    return AKIN_OK;
}

akin_status akin_parameters_add(akin_parameters *parameters, int *number, const char *name,
                                int64_t rows, int64_t columns, akin_init init, double constant,
                                bool decay, akin_error *error)
{
    char *full = ak_format("%s%s", parameters->scope, name);
    *number = -1;
    if (!full)
        return ak_fail_memory(error);
    akin_status status = add(parameters, number, full, rows, columns, init, constant, decay, error);
    if (status)
        ak_free(full);
    return status;
}

akin_status ak_parameters_add_table(akin_parameters *parameters, int *number, const char *name,
                                    int64_t rows, int64_t columns, akin_init init, double constant,
                                    akin_error *error)
{
    if (rows > INT32_MAX - parameters->rows)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "table \"%s\" has %lld rows, at most %d can be",
                       name, (long long)rows, INT32_MAX);
    AK_TRY(
        akin_parameters_add(parameters, number, name, rows, columns, init, constant, false, error));
    entry *e = &parameters->entries[*number];
    e->table = true;
    e->first_slot = parameters->rows;
    parameters->rows += rows;
    parameters->row_floats += rows * aligned(columns);
    return AKIN_OK;
}

akin_parameter *akin_parameters_get(const akin_parameters *parameters, int number)
{
    return &parameters->entries[number].view;
}

static double fresh_value(const entry *e, uint64_t seed, uint64_t stream, int64_t i)
{
    switch (e->init) {
    case AKIN_INIT_ZERO:
        return 0;
    case AKIN_INIT_CONSTANT:
        return e->constant;
    case AKIN_INIT_IDENTITY:
        return i / e->view.columns == i % e->view.columns;
    case AKIN_INIT_UNIFORM:
        return e->constant * (2 * ak_random_uniform(seed, stream, (uint64_t)i) - 1);
    case AKIN_INIT_NORMAL:
        return e->constant * ak_random_normal(seed, stream, (uint64_t)i);
    }
    return 0;
}

/* Tables last. */
static void place_entries(akin_parameters *parameters)
{
    int64_t next = 0;
    for (int tables = 0; tables < 2; tables++) {
        for (int64_t p = 0; p < parameters->count; p++) {
            entry *e = &parameters->entries[p];
            if (e->table != tables)
                continue;
            e->offset = next;
            next += aligned(e->view.rows * e->view.columns);
        }
        if (!tables)
            parameters->dense = next;
    }
}

akin_status akin_parameters_seal(akin_parameters *parameters, uint64_t seed, akin_error *error)
{
    if (parameters->values)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the parameters are sealed already");
    size_t bytes = (size_t)parameters->size * sizeof(float);
    parameters->values = ak_alloc_large(bytes);
    if (!parameters->values)
        return ak_fail_memory(error);
    memset(parameters->values, 0, bytes);
    place_entries(parameters);
    for (int64_t p = 0; p < parameters->count; p++) {
        entry *e = &parameters->entries[p];
        float *value = e->view.value = parameters->values + e->offset;
        uint64_t stream = ak_hash_text(e->view.name).low;
        int64_t size = e->view.rows * e->view.columns;
#pragma omp parallel for schedule(static) if (size >= PARALLEL_FROM)
        for (int64_t i = 0; i < size; i++)
            value[i] = (float)fresh_value(e, seed, stream, i);
    }
    return AKIN_OK;
}

/* Room for the gradient of every row; pages that no row comes to are never made. */
static akin_status train_tables(akin_parameters *parameters, akin_error *error)
{
    size_t rows = (size_t)parameters->rows;
    if (!rows)
        return AKIN_OK;
    parameters->slot = ak_alloc(rows * sizeof *parameters->slot);
    parameters->touched = ak_alloc(rows * sizeof *parameters->touched);
    if (!parameters->slot || !parameters->touched)
        return ak_fail_memory(error);
    memset(parameters->slot, -1, rows * sizeof *parameters->slot);
    return AKIN_OK;
}

akin_status ak_parameters_train(akin_parameters *parameters, akin_error *error)
{
    if (parameters->grads) {
        ak_parameters_zero_grads(parameters);
        return AKIN_OK;
    }
    size_t floats = (size_t)(parameters->dense + parameters->row_floats);
    AK_TRY(train_tables(parameters, error));
    parameters->grads = ak_alloc_large(floats * sizeof(float));
    if (!parameters->grads)
        return ak_fail_memory(error);
    parameters->grad_size = parameters->dense;
    ak_parameters_zero_grads(parameters);
    for (int64_t p = 0; p < parameters->count; p++)
        if (!parameters->entries[p].table)
            parameters->entries[p].view.grad = parameters->grads + parameters->entries[p].offset;
    return AKIN_OK;
}

int ak_parameters_count(const akin_parameters *parameters)
{
    return (int)parameters->count;
}

int64_t ak_parameters_size(const akin_parameters *parameters)
{
    return parameters->size;
}

float *ak_parameters_values(const akin_parameters *parameters)
{
    return parameters->values;
}

float *ak_parameters_grads(const akin_parameters *parameters)
{
    return parameters->grads;
}

int64_t ak_parameters_dense(const akin_parameters *parameters)
{
    return parameters->dense;
}

int64_t ak_parameters_grad_size(const akin_parameters *parameters)
{
    return parameters->grad_size;
}

void ak_parameters_zero_grads(akin_parameters *parameters)
{
    memset(parameters->grads, 0, (size_t)parameters->dense * sizeof(float));
    ak_parameters_forget(parameters);
}

/* ---- touched rows ---- */

void ak_parameters_touch(akin_parameters *parameters, int number, const int32_t *rows,
                         int64_t count, float **grads, bool *fresh)
{
    const entry *e = &parameters->entries[number];
    int64_t columns = e->view.columns, padded = aligned(columns);
    int32_t *slot = parameters->slot + e->first_slot;
    for (int64_t i = 0; i < count; i++) {
        fresh[i] = slot[rows[i]] < 0;
        if (fresh[i]) {
            slot[rows[i]] = (int32_t)parameters->touched_count;
            parameters->touched[parameters->touched_count++] =
                (ak_touched){.parameter = number,
                             .row = rows[i],
                             .value = e->offset + rows[i] * columns,
                             .grad = parameters->grad_size};
            float *end = parameters->grads + parameters->grad_size + padded;
            for (int64_t k = columns; k < padded; k++)
                end[k - padded] = 0; /* lengths are taken over the padding too */
            parameters->grad_size += padded;
        }
        grads[i] = parameters->grads + parameters->touched[slot[rows[i]]].grad;
    }
}

const ak_touched *ak_parameters_touched(const akin_parameters *parameters, int64_t *count)
{
    *count = parameters->touched_count;
    return parameters->touched;
}

void ak_parameters_forget(akin_parameters *parameters)
{
    for (int64_t i = 0; i < parameters->touched_count; i++) {
        const ak_touched *t = &parameters->touched[i];
        parameters->slot[parameters->entries[t->parameter].first_slot + t->row] = -1;
    }
    parameters->touched_count = 0;
    parameters->grad_size = parameters->dense;
}

/* Eight partial sums in double. */
AK_KERNEL static double sum_of_squares(const float *x, int64_t n)
{
    typedef double doubles __attribute__((vector_size(64)));
    doubles sums = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++)
            sums[l] += (double)x[i + l] * (double)x[i + l];
    double total = 0;
    for (; i < n; i++)
        total += (double)x[i] * (double)x[i];
    for (int l = 0; l < 8; l++)
        total += sums[l];
    return total;
}

double ak_parameters_grad_norm(const akin_parameters *parameters)
{
    double part[SHARES];
    const float *grads = parameters->grads;
    int64_t blocks = parameters->grad_size / ALIGN;
    /* The shares depend on the size alone, and so does the order of the sum. */
#pragma omp parallel for schedule(static) if (blocks * ALIGN >= PARALLEL_FROM)
    for (int64_t s = 0; s < SHARES; s++) {
        int64_t first = blocks * s / SHARES * ALIGN, end = blocks * (s + 1) / SHARES * ALIGN;
        part[s] = sum_of_squares(grads + first, end - first);
    }
    double total = 0;
    for (int s = 0; s < SHARES; s++)
        total += part[s];
    return sqrt(total);
}

void ak_parameters_scale_grads(akin_parameters *parameters, float factor)
{
    float *grads = parameters->grads;
    int64_t size = parameters->grad_size;
#pragma omp parallel for simd schedule(static) if (size >= PARALLEL_FROM)
    for (int64_t i = 0; i < size; i++)
        grads[i] *= factor;
}
