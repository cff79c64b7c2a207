/* A loss of one's own (margin_loss.c) in training.

       ./own_loss MINILM_FOLDER */
#include "example.h"
#include "margin_loss.h"

static akin_status encoders(void *user, akin_context *context, akin_named_encoder *out,
                            int capacity, int *count, akin_error *error)
{
    char options[1024];
    (void)capacity;
    snprintf(options, sizeof options, "{path: '%s'}", (const char *)user);
    out[0].name = "text";
    *count = 1;
    return akin_encoder_create(&out[0].encoder, context, "transformer", options, error);
}

/* By its name, as a built-in one: options are YAML. */
static akin_status loss(void *user, akin_context *context, akin_loss **out, akin_error *error)
{
    (void)user;
    return akin_loss_create(out, context, "margin", "{margin: 0.95}", error);
}

int main(int argc, char **argv)
{
    static const char *const foods[][2] = {{"cheesecake", "muffins"}, {"cheesecake", "macaroons"},
                                           {"cheesecake", "candies"}, {"lemon", "lime"},
                                           {"lemon", "orange"},       {"bread", "toast"}};
    enum { COUNT = sizeof foods / sizeof *foods };
    akin_error error = {0};
    akin_context *context;
    akin_pair pairs[COUNT];
    akin_dataset *dataset;
    akin_loader *loader;
    akin_model *model;
    if (argc != 2) {
        fprintf(stderr, "usage: %s MINILM_FOLDER\n", argv[0]);
        return 2;
    }
    CHECK(akin_context_create(&context, &error));
    akin_context_on_message(context, show_message, NULL);
    CHECK(akin_register_loss(context, &margin_loss, &error));

    for (int i = 0; i < COUNT; i++)
        pairs[i] = (akin_pair){akin_text(foods[i][0]), akin_text(foods[i][1]), 1, 0};
    CHECK(akin_dataset_from_pairs(&dataset, pairs, COUNT, &error));
    CHECK(akin_pair_loader_create(&loader, dataset, NULL, &error));

    akin_trainable trainable = {.size = sizeof trainable,
                                .user = argv[1],
                                .configure_encoders = encoders,
                                .configure_loss = loss};
    akin_trainer trainer = akin_trainer_defaults();
    trainer.max_epochs = 20;
    CHECK(akin_fit(&model, context, &trainable, &trainer, loader, NULL, NULL, &error));

    akin_model_free(model);
    akin_loader_free(loader);
    akin_dataset_free(dataset);
    akin_context_free(context);
    return 0;
}
