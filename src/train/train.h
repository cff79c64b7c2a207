/* The door of train: a run, from loaders to the best model. */
#ifndef AK_TRAIN_TRAIN_H
#define AK_TRAIN_TRAIN_H

#include "eval/registry.h"
#include "eval/trial.h"
#include "features/features.h"
#include "loss/loss.h"

/* ---- loss.c: a loss by name; opened when widths and groups are known ---- */

struct akin_loss {
    const akin_loss_class *type;
    void *self; /* NULL until opened */
    void *options;
    const ak_value *given;
    akin_loss_traits traits;
    akin_parameters *parameters;
    akin_arena *arena;
};

/* An ak_class_finder: the loss class of that name; `context` may be NULL. */
akin_status ak_loss_find(const void *context, const char *name, ak_found_class *out,
                         akin_error *error);
akin_status ak_loss_make(akin_loss **out, akin_context *context, const ak_value *map,
                         const char *name, akin_error *error);
akin_status ak_loss_open(akin_loss *loss, int64_t dim, int64_t groups, uint64_t seed,
                         akin_error *error);

/* ---- negatives.c: hard negatives of the training set's samples, near groups ---- */

typedef struct ak_negatives {
    int64_t k, count;
    /* Pairs: samples x k contents; groups: groups x k groups near to each. -1 behind the last; NULL:
       none are wanted. */
    int64_t *numbers;
    int64_t *place;   /* per content: a sample whose b it is; NULL: subgroups are not given */
} ak_negatives;

extern const akin_option ak_mining_rows[], ak_hard_rows[]; /* over akin_mining_options, akin_trainer */

/* ---- side.c: one data set of a run (training or validation), ready to be iterated ---- */

typedef struct ak_side {
    const akin_model *model;
    akin_loader *loader; /* NULL: there is no such side */
    const akin_dataset *dataset;
    ak_table *table;
    ak_features *features; /* NULL: nothing is cached */
    ak_stems *stems;       /* NULL: no frozen layers are */
    const ak_negatives *negatives; /* that the batches get besides; NULL: none */
    int64_t chunk_size;    /* objects that encoders run at once; 0: a whole batch */
    bool reads_objects;    /* an encoder runs in every step */
    int64_t *group_map;    /* the training set's number of each group; NULL: this is that set */
    int64_t groups;        /* with group_map: of the training set and of this one */
    const akin_model *teacher;     /* NULL: none; of a stream it runs with every batch */
    ak_features *teacher_features; /* by teacher_keys, contents x the teacher's encoders */
    ak_hash *teacher_keys;
} ak_side;

/* An encoder that runs in a step and the rows of the features that it makes: all of a chunk, or those
   of queries or documents where it has sides. */
typedef struct ak_step_run {
    const akin_encoder *encoder; /* the tower */
    int number;                  /* of the encoder in the model */
    ak_tower tower;
    int64_t first, count; /* rows */
    void *batch;
} ak_step_run;

#define AK_MAX_RUNS (AK_TOWERS * AK_MAX_ENCODERS)

/* Objects of a batch that encoders run at once. */
typedef struct ak_chunk {
    int64_t first, count; /* rows */
    ak_step_run *runs;
    int run_count; /* others' columns came from the cache */
} ak_chunk;

/* What the loader's threads make of a batch. */
typedef struct ak_step_input {
    akin_matrix features; /* objects x input_dim; columns of running encoders are not set yet */
    ak_chunk *chunks;
    int64_t chunk_count;
    const int32_t *tags;  /* NULL: the head wants none */
} ak_step_input;

/* training: the table whose numbers of groups are used (losses have a row for each); NULL: its own. */
akin_status ak_side_open(ak_side *side, const akin_model *model, akin_loader *loader, bool cache,
                         int64_t chunk_size, const ak_table *training, akin_error *error);
void ak_side_close(ak_side *side);
const ak_hash *ak_side_keys(const ak_side *side); /* contents x encoders: see ak_contents */

/* ---- teacher.c: vectors of another model, which losses learn from ---- */

/* Loads the model that the trainer names, if the loss wants one it must. */
akin_status ak_teacher_open(akin_training *t, akin_sample_kind kind, akin_error *error);
/* Finds or computes its vectors of an open side's contents. */
akin_status ak_side_teach(ak_side *side, const akin_model *teacher, akin_error *error);
/* Into the batch's labels. Any thread. */
akin_status ak_teacher_gather(const ak_side *side, ak_batch *batch, akin_error *error);

/* ---- profile.c: where the time goes ---- */

typedef enum ak_stage {
    AK_STAGE_PREPARATION, /* until the first step: data sets, cached features */
    AK_STAGE_DATA,
    AK_STAGE_ENCODERS,
    AK_STAGE_HEAD,
    AK_STAGE_LOSS,
    AK_STAGE_HEAD_BACKWARD,
    AK_STAGE_ENCODERS_BACKWARD,
    AK_STAGE_OPTIMIZER,
    AK_STAGE_VALIDATION,
    AK_STAGE_CHECKPOINT,
    AK_STAGE_OTHER,
    AK_STAGES,
} ak_stage;

typedef struct ak_profile {
    ak_stage stage;  /* that time is charged to now */
    double since;    /* seconds */
    double seconds[AK_STAGES];
} ak_profile;

/* From now on time is charged to `stage`; returns what it was charged to. */
ak_stage ak_enter(akin_training *t, ak_stage stage);
void ak_tell_profile(akin_training *t); /* as a table, where it is wanted */

/* ---- trainer.c: options of a run ---- */

/* Rows over akin_trainer: of the recipe's "train", "early_stopping" and "checkpoint". */
extern const akin_option ak_trainer_rows[], ak_stopping_rows[], ak_checkpoint_rows[];
akin_status ak_trainer_check(const akin_trainer *trainer, akin_error *error);

/* The options of an optimizer with its groups, into `map`. */
akin_status ak_optimizer_write(const akin_optimizer_options *options, ak_value *map,
                               akin_arena *arena, akin_error *error);

/* ---- run.c: everything a run holds ---- */

#define AK_MAX_METRICS 15
#define AK_MAX_VALUES (2 + 2 * AK_MAX_METRICS) /* two losses; metrics per epoch and per step */
#define AK_MAX_PARTS (AK_TOWERS * AK_MAX_ENCODERS + 2)
#define AK_MAX_KEPT 64 /* copies of the checkpoint */

/* A named figure of an epoch: train_loss, validation_loss, metrics. */
typedef struct ak_figure {
    const char *name;
    double value, base, best; /* NaN: not known */
} ak_figure;

/* Parameters that are trained together: the head's, the loss's, an encoder's. */
typedef struct ak_part {
    const char *name;
    akin_parameters *parameters;
    ak_optimizer *optimizer;
    float *best; /* values of the best epoch; NULL: none yet */
    float *average; /* moving average of the values; NULL: not wanted */
    bool of_model; /* false: the loss's, not part of what is served */
} ak_part;

/* How much of each log a run has written, for one that goes on from its checkpoint. */
typedef struct ak_log_sizes {
    int64_t csv, jsonl, events;
} ak_log_sizes;

/* A copy of the checkpoint, with the monitored figure's value. */
typedef struct ak_kept {
    int64_t step;
    double value;
} ak_kept;

struct akin_training {
    akin_context *context;
    const akin_trainable *trainable;
    akin_trainer trainer;
    akin_optimizer_options optimizer_options;
    akin_model *model;
    akin_loss *loss;
    ak_part parts[AK_MAX_PARTS];
    int part_count;
    ak_side train, validation;
    ak_negatives negatives; /* of train */
    ak_metric metrics[AK_MAX_VALUES];
    int metric_count;
    ak_figure figures[AK_MAX_VALUES];
    int figure_count;
    ak_figure *step_figures[AK_MAX_VALUES]; /* of the metrics, when computed per step */
    akin_arena *arena;      /* of a step */
    akin_arena *chunk_arena; /* of a chunk of its objects, while encoders run */
    akin_arena *run_arena;  /* of the run: names, metrics */
    int64_t epoch, step, batch; /* batch: delivered in this epoch */
    int64_t accumulated;    /* batches whose gradients wait for an update */
    int64_t epoch_batches, total_steps; /* 0: total_steps not known */
    bool endless; /* a stream: an epoch's batches are known when it has ended, INT64_MAX till then */
    akin_matrix embeddings; /* of the last step, in the step's arena */
    double loss_value;      /* of the last step */
    double loss_sum;        /* of this epoch, over samples */
    int64_t loss_samples;
    double lr, base_lr;     /* of the last step; what the schedule multiplies */
    double plateau_best;    /* the schedule "plateau": the best value, NaN: none yet */
    int64_t plateau_bad;    /* validations since it */
    int64_t best_epoch;     /* -1: none yet */
    double best_value;
    int64_t best_step;
    int64_t since_best;
    int64_t judged;         /* the step of the last validation */
    ak_profile profile;
    ak_kept kept[AK_MAX_KEPT + 1];
    int kept_count;
    bool stop, stopped_early, diverged;
    bool limited;           /* max_steps or max_seconds is reached; a resumed run may have others */
    bool identity_base;     /* the base has the tuned model's width: epoch 0 can win */
    struct ak_run_log *log;
    ak_text history;        /* of every epoch, see history.c */
    ak_log_sizes log_sizes; /* at the last checkpoint */
    const char *log_csv;    /* where these logs stand: log.csv's absolute path; NULL: nowhere */
    int lock;               /* of the checkpoint's folder, -1: none */
    double started, told;   /* seconds: of the run, of the last progress message */
    double checkpointed, checkpoint_cost; /* seconds: of the last checkpoint, what it took */
    ak_hash base;           /* the encoders' space before the first step */
    akin_model *teacher;    /* NULL: none */
    ak_hash teacher_space;
};

/* configure_* in their order; then sides, parts, metrics. `summary` gets what was reused. */
akin_status ak_run_open(akin_training *t, akin_context *context, const akin_trainable *trainable,
                        const akin_trainer *trainer, akin_loader *train, akin_loader *validation,
                        akin_error *error);
void ak_run_close(akin_training *t);
ak_figure *ak_run_figure(akin_training *t, const char *name); /* made when new; NULL: no room */
double ak_seconds(void); /* monotonic */

/* ---- step.c ---- */

/* A batch forwards and back; every `accumulate` batches an update. */
akin_status ak_train_step(akin_training *t, ak_batch *batch, akin_error *error);
/* Forward and loss only. base: the encoders alone, without the head. */
akin_status ak_validation_step(akin_training *t, ak_batch *batch, bool base, double *value,
                               akin_error *error);

/* ---- update.c: gradients to parameters ---- */

void ak_train_update(akin_training *t);
/* Exchanges the parameters and their moving average, where there is one. */
void ak_average_swap(akin_training *t);

/* ---- negatives.c ---- */

akin_status ak_negatives_open(akin_training *t, akin_error *error); /* the training side is open */
void ak_negatives_close(ak_negatives *negatives);
/* Before the next epoch: mines if it is one of those. */
akin_status ak_negatives_mine(akin_training *t, akin_error *error);
/* Appends the pairs (a, negative) of score 0 to a batch of pairs. Any thread. */
akin_status ak_negatives_extend(const ak_side *side, ak_batch *batch, akin_error *error);

/* ---- validate.c ---- */

/* Embeddings of all contents of a side, by the model or (base) its encoders alone, as they are. Where
   queries and documents go different ways, a content that is not one of them is zeros there. */
akin_status ak_side_embed(akin_training *t, const ak_side *side, bool base, akin_arena *arena,
                          ak_sides *out, akin_error *error);

/* validation_loss and the metrics, into the figures' values. */
akin_status ak_validate(akin_training *t, bool base, akin_error *error);

/* ---- metrics.c: the metrics that are computed while training ---- */

/* Of the validation set, whose contents' embeddings are given, into the figures' values. */
akin_status ak_table_metrics(akin_training *t, const ak_sides *x, akin_arena *arena,
                             akin_error *error);
/* The metrics of the training batch whose step was just made, into "step_NAME". */
akin_status ak_step_metrics(akin_training *t, const ak_batch *batch, akin_error *error);

/* ---- best.c: the best epoch, early stopping ---- */

akin_status ak_best_update(akin_training *t, akin_error *error);
/* Lowers the learning rate where the monitored figure has stopped getting better. */
void ak_plateau_update(akin_training *t);
/* Puts the best epoch's values into the model; epoch 0: takes the head away. */
akin_status ak_best_restore(akin_training *t, akin_error *error);
bool ak_larger_is_better(const char *figure);

/* ---- settings.c: what must be the same for a run to be resumed ---- */

/* The run's settings as JSON; the caller frees *out. */
akin_status ak_settings_json(const akin_training *t, char **out, akin_error *error);
/* Settings, and the recipe that made them (NULL: not known). */
typedef struct ak_settings {
    const char *settings, *recipe;
} ak_settings;
/* The recipe that the trainable model is made of, NULL: none. */
const char *ak_settings_recipe(const akin_training *t);
/* AKIN_ERR_MISMATCH says what differs from the run that wrote `theirs` into `path`. */
akin_status ak_settings_compare(ak_settings ours, ak_settings theirs, const char *path,
                                akin_arena *arena, akin_error *error);

/* ---- state.c: where a run stands ---- */

akin_status ak_state_json(akin_training *t, char **out, akin_error *error); /* the caller frees */
akin_status ak_state_read(akin_training *t, const ak_value *root, akin_error *error);

/* ---- checkpoint.c ---- */

/* Writes the checkpoint if it is time to. */
akin_status ak_checkpoint_at_step(akin_training *t, akin_error *error);
akin_status ak_checkpoint_at_epoch(akin_training *t, akin_error *error);
akin_status ak_checkpoint_write(akin_training *t, akin_error *error);
akin_status ak_checkpoint_read(akin_training *t, akin_error *error);

/* ---- log.c: log.csv, log.jsonl and events for TensorBoard ---- */

typedef struct ak_run_log ak_run_log;
/* AKIN_ERR_EXISTS where the logs of another run would be written over. */
akin_status ak_run_log_check(const akin_training *t, akin_error *error);
/* In the trainer's log folder, if it names one; of what is there t->log_sizes stay. */
akin_status ak_run_log_open(akin_training *t, akin_error *error);
void ak_run_log_close(ak_run_log *log);
ak_log_sizes ak_run_log_sizes(const ak_run_log *log); /* NULL: zeros */
akin_status ak_run_log_epoch(ak_run_log *log, const akin_training *t, akin_error *error);
akin_status ak_run_log_step(ak_run_log *log, const akin_training *t, akin_error *error);

/* ---- history.c: the figures of every epoch ---- */

/* Of the epoch that has just ended, as JSON: "{...}, {...}". */
akin_status ak_history_add(akin_training *t, akin_error *error);
/* As the member "history" of a map, a list of maps. */
akin_status ak_history_record(const akin_training *t, akin_arena *arena, ak_value *map,
                              akin_error *error);

/* ---- events.c: TensorBoard's format ---- */

#define AK_EVENT_SCALARS AK_MAX_VALUES
typedef struct ak_event {
    int64_t step;
    int count;
    const char *tags[AK_EVENT_SCALARS];
    float values[AK_EVENT_SCALARS];
} ak_event;
/* Appends a framed record to `out`: the event, or what a file starts with (event NULL). wall_time:
   seconds since 1970. */
void ak_event_write(ak_text *out, const ak_event *event, double wall_time);

/* ---- epochs.c: steps and validations in their order ---- */

/* The base first, unless the run is resumed. */
akin_status ak_run_epochs(akin_training *t, akin_error *error);
/* Calls every callback's function at `offset` in akin_callback. */
void ak_call(akin_training *t, size_t offset);
#define AK_CALL(t, event) ak_call((t), offsetof(akin_callback, event))

/* ---- summary.c: what a run tells ---- */

/* Whether a list such as "loss,lr" has `name`. */
bool ak_names_have(const char *names, const char *name);

void ak_tell_parts(const akin_training *t);
/* Warns of data from which nothing can be learnt, or on which nothing can be measured. */
void ak_tell_doubts(const akin_training *t);
/* What a stream's samples were like is known at the end, when its loader has stopped. */
void ak_tell_stream(const akin_training *t);
void ak_tell_step(akin_training *t);
void ak_tell_epoch(const akin_training *t);
/* The training record, the metrics and the loss of the model directory. */
akin_status ak_record_run(akin_training *t, akin_error *error);

#endif
