/* A data set of one's own: any source that can count its samples and give the i-th, here the words
   of a made-up language. Training on it takes no file.

       ./own_dataset MINILM_FOLDER */
#include "example.h"

typedef struct words {
    int64_t count;
} words;

static akin_status count_words(void *self, int64_t *count, akin_error *error)
{
    (void)error;
    *count = ((const words *)self)->count;
    return AKIN_OK;
}

/* Called by several threads at once: it changes nothing, and what it makes is the arena's. */
static akin_status get_word(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                            akin_error *error)
{
    (void)self;
    char *text = akin_arena_alloc(arena, 64);
    if (!text) {
        *error = (akin_error){.status = AKIN_ERR_MEMORY, .message = "out of memory"};
        return AKIN_ERR_MEMORY;
    }
    static const char *const roots[] = {"water", "fire", "stone", "wind"};
    static const char *const endings[] = {"a small", "a big", "an old", "a new", "the first"};
    int64_t group = index % 4;
    snprintf(text, 64, "%s %s", endings[index / 4 % 5], roots[group]);
    sample->group = (akin_group){.object = akin_text(text), .group = group};
    return AKIN_OK;
}

static const akin_dataset_class word_class = {
    .size = sizeof(akin_dataset_class),
    .name = "words",
    .kind = AKIN_GROUPS,
    .count = count_words,
    .get = get_word,
};

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

int main(int argc, char **argv)
{
    akin_error error = {0};
    akin_context *context;
    akin_dataset *dataset, *train, *validation;
    akin_loader *train_loader, *validation_loader;
    akin_model *model;
    akin_fit_summary summary;
    words source = {.count = 20};
    if (argc != 2) {
        fprintf(stderr, "usage: %s MINILM_FOLDER\n", argv[0]);
        return 2;
    }
    CHECK(akin_context_create(&context, &error));
    akin_context_on_message(context, show_message, NULL);
    CHECK(akin_dataset_create(&dataset, &word_class, &source, &error));
    CHECK(akin_dataset_split(&train, &validation, dataset, 0.4, AKIN_SPLIT_BY_SAMPLE, 1, &error));
    CHECK(akin_group_loader_create(&train_loader, train, NULL, &error));
    CHECK(akin_group_loader_create(&validation_loader, validation, NULL, &error));

    akin_trainable trainable = {
        .size = sizeof trainable, .user = argv[1], .configure_encoders = encoders};
    CHECK(akin_fit(&model, context, &trainable, NULL, train_loader, validation_loader, &summary,
                   &error));
    printf("best epoch %lld of %lld\n", (long long)summary.best_epoch, (long long)summary.epochs);

    akin_model_free(model);
    akin_loader_free(train_loader);
    akin_loader_free(validation_loader);
    akin_dataset_free(train);
    akin_dataset_free(validation);
    akin_dataset_free(dataset);
    akin_context_free(context);
    return 0;
}
