/* Fuzz target: akin.json, the description of a model directory. There are no other files in it, so
   that only a model of parts without weights comes out whole. */
#include "fuzz.h"

#include "model/model.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* An encoder without weights: an object is its size. */
typedef struct sized {
    int64_t dim;
} sized;

static const akin_option rows[] = {
    {"dim", AKIN_OPTION_INT, offsetof(sized, dim), "2", "width", .minimum = 1, .maximum = 8},
    {NULL}};

static akin_status sized_load(void **self, const void *options, const akin_place *place,
                              akin_error *error)
{
    (void)place;
    sized *s = ak_alloc(sizeof *s);
    *self = s;
    if (!s)
        return ak_fail_memory(error);
    *s = *(const sized *)options;
    return AKIN_OK;
}

static int64_t sized_dim(const void *self)
{
    return ((const sized *)self)->dim;
}

static akin_status sized_collate(const void *self, const akin_object *objects, int64_t count,
                                 akin_arena *arena, void **batch, akin_error *error)
{
    (void)self;
    (void)count;
    (void)arena;
    (void)error;
    *batch = (void *)objects;
    return AKIN_OK;
}

static akin_status sized_forward(const void *self, const akin_pass *pass, const void *batch,
                                 akin_matrix y, void **record, akin_error *error)
{
    const akin_object *objects = batch;
    (void)self;
    (void)pass;
    (void)error;
    *record = NULL;
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t c = 0; c < y.columns; c++)
            y.data[i * y.stride + c] = (float)objects[i].size;
    return AKIN_OK;
}

static const akin_encoder_class sized_class = {.size = sizeof sized_class,
                                               .name = "sized",
                                               .summary = "the object's size",
                                               .options = rows,
                                               .options_size = sizeof(sized),
                                               .create = sized_load,
                                               .load = sized_load,
                                               .free = ak_free,
                                               .dim = sized_dim,
                                               .collate = sized_collate,
                                               .forward = sized_forward};

static akin_context *context;
static char folder[64];
static int file = -1;

static void clean_up(void)
{
    ak_remove_tree(folder);
}

/* folder/akin.json is a file that never reaches a disk. */
static void set_up(void)
{
    char target[64], path[96];
    strcpy(folder, "/tmp/akin-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(folder));
    atexit(clean_up);
    file = memfd_create("fuzz", MFD_CLOEXEC);
    snprintf(target, sizeof target, "/proc/self/fd/%d", file);
    snprintf(path, sizeof path, "%s/akin.json", folder);
    FUZZ_CHECK(symlink(target, path) == 0);
    FUZZ_CHECK(!akin_context_create(&context, NULL));
    FUZZ_CHECK(!akin_register_encoder(context, &sized_class, NULL));
}

static void use(const akin_model *model)
{
    int64_t dim = akin_model_dim(model);
    akin_object object = akin_text("abc");
    akin_hash fingerprint;
    FUZZ_CHECK(dim > 0 && akin_model_base_dim(model) > 0);
    float *out = ak_calloc((size_t)dim, sizeof *out);
    FUZZ_CHECK(out && !akin_model_encode(model, &object, 1, out, NULL));
    FUZZ_CHECK(!akin_model_fingerprint(model, &fingerprint, NULL));
    ak_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    akin_model *model;
    akin_error error = {0};
    if (!context)
        set_up();
    FUZZ_CHECK(ftruncate(file, 0) == 0);
    FUZZ_CHECK(pwrite(file, data, size, 0) == (ssize_t)size);
    if (akin_model_load(&model, context, folder, AKIN_AS_SAVED, &error)) {
        FUZZ_CHECK(!model && error.status && *error.message);
        return 0;
    }
    use(model);
    akin_model_free(model);
    return 0;
}
