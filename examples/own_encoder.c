/* An encoder of one's own that wraps a built-in one: it reads "description" of a JSON record and
   adds its length as one more number. Trained under a head, saved, and loaded by a second process:

       ./own_encoder train MINILM_FOLDER things.jsonl OUTPUT
       ./own_encoder encode OUTPUT '{"description": "a cup"}' */
#include "example.h"

#include <math.h>

/* ---- the encoder ---- */

typedef struct description_options {
    const char *path;
} description_options;

static const akin_option rows[] = {{.name = "path",
                                    .type = AKIN_OPTION_STRING,
                                    .offset = offsetof(description_options, path),
                                    .help = "the sentence-transformers folder to wrap"},
                                   {.name = NULL}};

typedef struct description {
    akin_encoder *text; /* the wrapped transformer */
} description;

/* What collate makes of a batch and forward reads. */
typedef struct batch {
    void *texts; /* the transformer's own batch */
    float *lengths;
} batch;

static const akin_encoder_class *text_type(const description *d)
{
    return akin_encoder_type(d->text);
}

static akin_status wrap(void **self, const char *folder, const akin_place *place, akin_error *error)
{
    char options[1024];
    description *d = calloc(1, sizeof *d);
    if (!d)
        return AKIN_ERR_MEMORY;
    snprintf(options, sizeof options, "{path: '%s', field: description}", folder);
    akin_status status =
        akin_encoder_create(&d->text, place->context, "transformer", options, error);
    if (status)
        free(d);
    else
        *self = d;
    return status;
}

static akin_status create(void **self, const void *options, const akin_place *place,
                          akin_error *error)
{
    return wrap(self, ((const description_options *)options)->path, place, error);
}

static akin_status load(void **self, const void *options, const akin_place *place,
                        akin_error *error)
{
    (void)options; /* the wrapped folder is where save put it */
    return wrap(self, place->folder, place, error);
}

static akin_status save(const void *self, const char *folder, akin_error *error)
{
    const description *d = self;
    return text_type(d)->save(akin_encoder_self(d->text), folder, error);
}

static void destroy(void *self)
{
    description *d = self;
    akin_encoder_free(d->text);
    free(d);
}

static int64_t dim(const void *self)
{
    return akin_encoder_dim(((const description *)self)->text) + 1;
}

/* Two objects with one key have one vector. */
static akin_status key(const void *self, akin_object object, akin_hash *out, akin_error *error)
{
    (void)self, (void)error;
    *out = akin_hash_bytes(object.data, object.size);
    return AKIN_OK;
}

static akin_status fingerprint(const void *self, akin_hash *out, akin_error *error)
{
    const description *d = self;
    akin_status status = text_type(d)->fingerprint(akin_encoder_self(d->text), out, error);
    out->low ^= 0x6c656e677468; /* another space than the transformer's own */
    return status;
}

static akin_status collate(const void *self, const akin_object *objects, int64_t count,
                           akin_arena *arena, void **out, akin_error *error)
{
    const description *d = self;
    batch *b = akin_arena_alloc(arena, sizeof *b);
    float *lengths = akin_arena_alloc(arena, (size_t)count * sizeof *lengths);
    if (!b || !lengths)
        return AKIN_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        lengths[i] = 0.01f * logf(1 + (float)objects[i].size);
    b->lengths = lengths;
    *out = b;
    return text_type(d)->collate(akin_encoder_self(d->text), objects, count, arena, &b->texts,
                                 error);
}

static akin_status forward(const void *self, const akin_pass *pass, const void *data, akin_matrix y,
                           void **record, akin_error *error)
{
    const description *d = self;
    const batch *b = data;
    akin_matrix text = y; /* all columns but the last are the transformer's */
    text.columns = y.columns - 1;
    for (int64_t i = 0; i < y.rows; i++)
        y.data[i * y.stride + y.columns - 1] = b->lengths[i];
    return text_type(d)->forward(akin_encoder_self(d->text), pass, b->texts, text, record, error);
}

static const akin_encoder_class description_class = {
    .size = sizeof(akin_encoder_class),
    .name = "description",
    .summary = "the text of \"description\", and how long the record is",
    .options = rows,
    .options_size = sizeof(description_options),
    .create = create,
    .load = load,
    .save = save,
    .free = destroy,
    .dim = dim, /* no .trainable: frozen, so that outputs are cached */
    .key = key,
    .fingerprint = fingerprint,
    .collate = collate,
    .forward = forward,
};

/* ---- training and serving ---- */

static akin_status encoders(void *user, akin_context *context, akin_named_encoder *out,
                            int capacity, int *count, akin_error *error)
{
    char options[1024];
    (void)capacity;
    snprintf(options, sizeof options, "{path: '%s'}", (const char *)user);
    out[0].name = "thing";
    *count = 1;
    return akin_encoder_create(&out[0].encoder, context, "description", options, error);
}

static void print_vector(const akin_model *model, const char *record)
{
    akin_error error = {0};
    akin_object object = akin_text(record);
    float *vector = malloc((size_t)akin_model_dim(model) * sizeof *vector);
    CHECK(akin_model_encode(model, &object, 1, vector, &error));
    for (int64_t i = 0; i < akin_model_dim(model); i++)
        printf("%.9g%c", (double)vector[i], i + 1 < akin_model_dim(model) ? ' ' : '\n');
    free(vector);
}

static void train(akin_context *context, char **argv)
{
    akin_error error = {0};
    akin_dataset *dataset;
    akin_loader *loader;
    akin_model *model;
    akin_fields fields = {.group = "label"};
    akin_trainer trainer = akin_trainer_defaults();
    trainer.max_epochs = 5;
    CHECK(akin_dataset_open(&dataset, context, argv[3], AKIN_GROUPS, &fields, &error));
    CHECK(akin_group_loader_create(&loader, dataset, NULL, &error));
    akin_trainable trainable = {
        .size = sizeof trainable, .user = argv[2], .configure_encoders = encoders};
    CHECK(akin_fit(&model, context, &trainable, &trainer, loader, NULL, NULL, &error));
    CHECK(akin_model_save(model, argv[4], true, &error));
    print_vector(model, "{\"description\": \"a cup\"}");
    akin_model_free(model);
    akin_loader_free(loader);
    akin_dataset_free(dataset);
}

int main(int argc, char **argv)
{
    akin_error error = {0};
    akin_context *context;
    akin_model *model;
    if (argc < 4 || (strcmp(argv[1], "train") == 0 && argc < 5)) {
        fprintf(stderr, "usage: %s train MINILM_FOLDER DATA.jsonl OUTPUT | encode MODEL RECORD\n",
                argv[0]);
        return 2;
    }
    CHECK(akin_context_create(&context, &error));
    akin_context_on_message(context, show_message, NULL);
    CHECK(akin_register_encoder(context, &description_class, &error)); /* in every process */
    if (strcmp(argv[1], "train") == 0) {
        train(context, argv);
    } else {
        CHECK(akin_model_load(&model, context, argv[2], AKIN_AS_SAVED, &error));
        print_vector(model, argv[3]);
        akin_model_free(model);
    }
    akin_context_free(context);
    return 0;
}
