/* A recipe: the built-in trainable model, from YAML. */
#ifndef AK_TRAIN_RECIPE_H
#define AK_TRAIN_RECIPE_H

#include "train/train.h"

typedef struct ak_data_options {
    int samples; /* akin_sample_kind */
    int by;      /* akin_split_by */
    bool streaming;
    int64_t shuffle_buffer;
} ak_data_options;

/* One of the files that the training data is mixed of. */
typedef struct ak_data_file {
    const char *path; /* as the recipe has it */
    double weight;
    akin_fields fields;
    akin_dataset *dataset; /* NULL: not open */
} ak_data_file;

/* How batches are made. The other keys of "train" are the trainer's: see ak_trainer_rows. */
typedef struct ak_batch_options {
    int64_t batch_size, seed, workers, epoch_steps;
    bool drop_last;
} ak_batch_options;

extern const akin_option ak_data_rows[], ak_field_rows[], ak_file_rows[], ak_batch_rows[];

struct akin_recipe {
    akin_context *context;
    akin_arena *arena;
    const char *name;   /* of the file, for messages */
    char *folder;       /* relative paths start here */
    ak_value *root;
    ak_data_options data;
    akin_fields fields;
    ak_data_file *files;
    int64_t file_count;
    ak_sampler sampler;
    ak_batch_options batch;
    akin_trainer trainer;
    akin_optimizer_options optimizer;
    bool cache;
    const char **metrics;
    int metric_count; /* -1: the default ones */
    akin_dataset *mixed; /* of the files, when there are several */
    akin_dataset *train_set, *validation_set; /* a split, or a validation file */
    akin_stream *stream; /* instead of the files' data sets */
    akin_loader *train_loader, *validation_loader;
    const char *validation_hash; /* a model's recipe: of the data it had; NULL: not known */
    char *json;
};

/* recipe_options.c: every section into its struct, unknown keys refused. */
akin_status ak_recipe_parse(akin_recipe *recipe, akin_error *error);
/* recipe_files.c: the value of data.train (a path, or a list of paths and maps), and back. */
akin_status ak_recipe_parse_files(akin_recipe *recipe, const ak_value *train, akin_error *error);
akin_status ak_recipe_write_files(const akin_recipe *recipe, ak_value *data, akin_error *error);
/* recipe_classes.c: encoders, head, loss and metrics are looked up and their options parsed, so that
   a mistake does not wait for the data to be read; recipe->json gets everything, with defaults. */
akin_status ak_recipe_check(akin_recipe *recipe, akin_error *error);
/* Without a section "loss": the usual one of the samples. */
akin_status ak_recipe_make_loss(akin_loss **out, const akin_recipe *recipe, akin_error *error);
/* recipe.c: the encoders alone; the seed draws what is fresh in them. */
akin_status ak_recipe_base(akin_model **out, akin_recipe *recipe, akin_error *error);
/* recipe_data.c */
akin_status ak_recipe_open_data(akin_recipe *recipe, akin_error *error);
void ak_recipe_close_data(akin_recipe *recipe);
/* What the recipe trains on, once its data is open. */
const akin_dataset *ak_recipe_train_set(const akin_recipe *recipe);
/* A loader of any data set, with the recipe's batch size, sampler and seed. */
akin_status ak_recipe_make_loader(const akin_recipe *recipe, const akin_dataset *dataset,
                                  bool training, akin_loader **out, akin_error *error);

#endif
