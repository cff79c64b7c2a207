/* Quick start: learn from descriptions and labels which things are alike.

       ./quick_start MINILM_FOLDER things.jsonl validation.jsonl OUTPUT_FOLDER

   The data is JSON records, {"description": "the thing I use for soup", "label": "spoon"}. */
#include "example.h"

/* ---- the trainable model: what is trained, and how ---- */

typedef struct settings {
    const char *encoder; /* a sentence-transformers folder */
    double lr;
} settings;

/* The encoder reads the member "description" of a record; it is frozen, so its outputs are computed
   once and cached. */
static akin_status configure_encoders(void *user, akin_context *context,
                                      akin_named_encoder *encoders, int capacity, int *count,
                                      akin_error *error)
{
    const settings *s = user;
    char options[1024];
    (void)capacity;
    snprintf(options, sizeof options, "{path: '%s', field: description}", s->encoder);
    encoders[0].name = "description";
    *count = 1;
    return akin_encoder_create(&encoders[0].encoder, context, "transformer", options, error);
}

static akin_status configure_head(void *user, akin_context *context, int64_t input_dim,
                                  akin_head **head, akin_error *error)
{
    (void)user;
    return akin_head_create(head, context, "skip_connection", NULL, input_dim, error);
}

static akin_status configure_loss(void *user, akin_context *context, akin_loss **loss,
                                  akin_error *error)
{
    (void)user;
    return akin_loss_create(loss, context, "triplet", NULL, error);
}

static akin_status configure_optimizer(void *user, akin_optimizer_options *options,
                                       akin_error *error)
{
    const settings *s = user;
    (void)error;
    *options = akin_optimizer_defaults(AKIN_ADAM);
    options->lr = s->lr;
    return AKIN_OK;
}

/* ---- a callback of our own ---- */

static void after_epoch(void *user, akin_training *training)
{
    int *epochs = user;
    (*epochs)++;
    if (akin_training_metric(training, "train_loss") < 0.01)
        akin_training_stop(training);
}

/* ---- training ---- */

static void train(akin_context *context, const akin_trainable *model, akin_loader *training,
                  akin_loader *validation, const char *output)
{
    akin_error error = {0};
    akin_model *tuned;
    int epochs = 0;

    /* In the simplest case the default trainer will do. */
    CHECK(akin_fit(&tuned, context, model, NULL, training, validation, NULL, &error));
    akin_model_free(tuned);

    /* Or change what it does by default, and append a callback. */
    akin_trainer trainer = akin_trainer_defaults();
    akin_callback callback = {
        .size = sizeof callback, .user = &epochs, .on_epoch_end = after_epoch};
    trainer.min_epochs = 10;
    CHECK(akin_trainer_add_callback(&trainer, callback, &error));
    CHECK(akin_fit(&tuned, context, model, &trainer, training, validation, NULL, &error));
    printf("%d epochs\n", epochs);

    CHECK(akin_model_save(tuned, output, true, &error));
    akin_model_free(tuned);
}

/* ---- serving: needs nothing of the above ---- */

static void serve(akin_context *context, const char *folder)
{
    akin_error error = {0};
    akin_model *model;
    CHECK(akin_model_load(&model, context, folder, AKIN_AS_SAVED, &error));
    akin_object record = akin_text("{\"description\": \"I stir my coffee with it\"}");
    float *vector = malloc((size_t)akin_model_dim(model) * sizeof *vector);
    CHECK(akin_model_encode(model, &record, 1, vector, &error));
    printf("%lld numbers: %.4f %.4f ...\n", (long long)akin_model_dim(model), (double)vector[0],
           (double)vector[1]);
    free(vector);
    akin_model_free(model);
}

int main(int argc, char **argv)
{
    akin_error error = {0};
    akin_context *context;
    akin_dataset *training_set, *validation_set;
    akin_loader *training, *validation;
    if (argc != 5) {
        fprintf(stderr, "usage: %s MINILM_FOLDER TRAIN.jsonl VALIDATION.jsonl OUTPUT\n", argv[0]);
        return 2;
    }
    CHECK(akin_context_create(&context, &error));
    akin_context_on_message(context, show_message, NULL);

    /* The whole record is the object, its label the group. */
    akin_fields fields = {.group = "label"};
    akin_loader_options batches = akin_loader_defaults();
    batches.batch_size = 128;
    CHECK(akin_dataset_open(&training_set, context, argv[2], AKIN_GROUPS, &fields, &error));
    CHECK(akin_dataset_open(&validation_set, context, argv[3], AKIN_GROUPS, &fields, &error));
    CHECK(akin_group_loader_create(&training, training_set, &batches, &error));
    CHECK(akin_group_loader_create(&validation, validation_set, &batches, &error));

    settings s = {.encoder = argv[1], .lr = 0.01};
    akin_trainable model = {.size = sizeof model,
                            .user = &s,
                            .configure_encoders = configure_encoders,
                            .configure_head = configure_head,
                            .configure_loss = configure_loss,
                            .configure_optimizer = configure_optimizer};
    train(context, &model, training, validation, argv[4]);
    serve(context, argv[4]);

    akin_loader_free(training);
    akin_loader_free(validation);
    akin_dataset_free(training_set);
    akin_dataset_free(validation_set);
    akin_context_free(context);
    return 0;
}
