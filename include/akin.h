/* akin: similarity learning in C. Objects that are alike get close vectors.

   The order of this header is the order of the flow:

     files -> dataset -> loader -> batch -> encoders -> features -> head -> embeddings -> loss
                                                                                      -> index

   Conventions. Functions that can fail return akin_status and fill an optional trailing akin_error.
   An out-parameter comes first and is NULL on failure. _create, _open and _load pair with _free,
   which accepts NULL. The library never exits, aborts or prints. Unless a comment says otherwise an
   object is used by one thread at a time, and different objects are independent. Structs whose first
   member is `size` are filled with sizeof, so that later versions can add members. */
#ifndef AKIN_H
#define AKIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AKIN_API __attribute__((visibility("default")))
#define AKIN_VERSION "0.1.0"

/* ---- 1. Errors ------------------------------------------------------------------------------ */

#define AKIN_STATUSES(X)                                                                           \
    X(AKIN_OK, "ok")                                                                               \
    X(AKIN_ERR_ARGUMENT, "bad argument")          /* the caller's value or option */               \
    X(AKIN_ERR_IO, "input or output failed")      /* the system refused: missing file, full disk */\
    X(AKIN_ERR_FORMAT, "bad format")              /* a file is not what it should be */            \
    X(AKIN_ERR_MEMORY, "out of memory")                                                            \
    X(AKIN_ERR_MISMATCH, "mismatch")              /* two things that do not fit each other */      \
    X(AKIN_ERR_EXISTS, "exists already")          /* the output is there; nothing was touched */   \
    X(AKIN_ERR_UNSUPPORTED, "not supported")                                                       \
    X(AKIN_ERR_DIVERGED, "training diverged")     /* a loss that is not finite */                  \
    X(AKIN_ERR_INTERRUPTED, "interrupted")        /* stopped on request, checkpoint written */

typedef enum akin_status {
#define AKIN_STATUS_MEMBER(name, text) name,
    AKIN_STATUSES(AKIN_STATUS_MEMBER)
#undef AKIN_STATUS_MEMBER
} akin_status;

typedef struct akin_error {
    akin_status status;
    int64_t line;      /* of the file the message names, 0 if none */
    char message[512]; /* "faq.jsonl:17: "score" is nan, expected a finite number" */
} akin_error;

AKIN_API const char *akin_status_name(akin_status status);

AKIN_API const char *akin_version(void); /* AKIN_VERSION of the library that runs */

/* One paragraph: version, matrix engine and instruction set of this processor. */
AKIN_API void akin_describe(char *out, size_t size);

/* ---- 2. Context: the registry of classes, the cache folder, where messages go ---------------- */

typedef struct akin_context akin_context;

AKIN_API akin_status akin_context_create(akin_context **out, akin_error *error);
AKIN_API void akin_context_free(akin_context *context); /* after everything made with it */

typedef enum akin_message_kind {
    AKIN_MESSAGE_NOTE,     /* a fact worth a line */
    AKIN_MESSAGE_WARNING,  /* something is odd but work goes on */
    AKIN_MESSAGE_PROGRESS, /* replaces the line before it; fraction is 0..1, or -1 if unknown */
    AKIN_MESSAGE_EPOCH,    /* a finished epoch: one line of its values */
    AKIN_MESSAGE_TABLE,    /* a few finished lines: model summary, profile */
} akin_message_kind;
typedef void akin_message_function(void *user, akin_message_kind kind, double fraction,
                                   const char *text);

/* Without a function messages are dropped. It may be called from the thread that called akin. */
AKIN_API void akin_context_on_message(akin_context *context, akin_message_function *function,
                                      void *user);

/* Where frozen encoders' outputs are kept (default: $XDG_CACHE_HOME/akin, or ~/.cache/akin). NULL
   switches the store off. The text is copied. */
AKIN_API akin_status akin_context_set_cache(akin_context *context, const char *folder,
                                            akin_error *error);

/* Long work looks at *flag between steps and stops with AKIN_ERR_INTERRUPTED when it is not 0: a
   signal handler may set it. Training writes its checkpoint first. NULL: never. */
AKIN_API void akin_context_on_interrupt(akin_context *context, const volatile int *flag);

/* Classes of the user's own become usable by name wherever built-in ones are. The struct and what
   it points to must outlive the context. A name that exists already is AKIN_ERR_EXISTS, a struct
   without its size, its name or a function it needs AKIN_ERR_ARGUMENT: a loss needs compute; a head
   create, forward and backward; an encoder create and dim, and collate and forward or side, one that
   says when it is trainable backward and parameters; a metric rank or score, as its kind says. */
typedef struct akin_encoder_class akin_encoder_class;
typedef struct akin_head_class akin_head_class;
typedef struct akin_loss_class akin_loss_class;
typedef struct akin_metric_class akin_metric_class;
AKIN_API akin_status akin_register_encoder(akin_context *context, const akin_encoder_class *type,
                                           akin_error *error);
AKIN_API akin_status akin_register_head(akin_context *context, const akin_head_class *type,
                                        akin_error *error);
AKIN_API akin_status akin_register_loss(akin_context *context, const akin_loss_class *type,
                                        akin_error *error);
AKIN_API akin_status akin_register_metric(akin_context *context, const akin_metric_class *type,
                                          akin_error *error);

/* Opens a shared object and calls its `akin_status akin_plugin(akin_context *, akin_error *)`. */
AKIN_API akin_status akin_context_load_plugin(akin_context *context, const char *path,
                                              akin_error *error);

/* What there is: kind "encoders", "heads", "losses", "metrics", "optimizers", "samplers", or
   "sections": the maps of a recipe that are no class's; false past the end. */
typedef struct akin_class_info {
    const char *name, *summary;
    const struct akin_option *options; /* may be NULL */
} akin_class_info;
AKIN_API bool akin_list(const akin_context *context, const char *kind, int64_t number,
                        akin_class_info *info);

/* ---- 3. Options: one row parses recipes, flags and saved models, and prints help -------------- */

typedef enum akin_option_type {
    AKIN_OPTION_INT,    /* int64_t */
    AKIN_OPTION_FLOAT,  /* double */
    AKIN_OPTION_BOOL,   /* bool */
    AKIN_OPTION_STRING, /* const char *, NULL when the default is NULL */
    AKIN_OPTION_CHOICE, /* int: index in `choices` */
    AKIN_OPTION_INTS,   /* akin_ints: a list "[512, 256]", or one number; NULL default: no items */
    AKIN_OPTION_FLOATS,  /* akin_floats: the same of any numbers */
    AKIN_OPTION_CLASSES, /* akin_classes; a default is one class's name; NULL default: none */
} akin_option_type;

typedef struct akin_ints {
    const int64_t *items; /* NULL when there are none */
    int64_t count;
} akin_ints;

typedef struct akin_floats {
    const double *items; /* NULL when there are none */
    int64_t count;
} akin_floats;

/* Classes among a class's options, of its own kind: heads of a head, losses of a loss. A recipe gives
   one ("gated" or "{type: gated, dropout: 0.1}"), a list of them, or a map of them by names. */
typedef struct akin_class_given {
    const char *name;                  /* its key in the map; NULL in a list */
    const char *type_name;
    const void *type;                  /* the class struct: akin_head_class, ... */
    const void *options;               /* parsed, as its `create` wants them */
    const struct akin_option *rows;    /* of the options; may be NULL */
} akin_class_given;

typedef struct akin_classes {
    const akin_class_given *items; /* NULL when there are none */
    int64_t count;
} akin_classes;

typedef struct akin_option {
    const char *name; /* NULL ends the rows */
    akin_option_type type;
    size_t offset;              /* offsetof in the options struct */
    const char *default_text;   /* as it would be written in a recipe */
    const char *help;           /* one line, lower case, no full stop */
    const char *choices;        /* AKIN_OPTION_CHOICE: "hard|semi_hard|all" */
    double minimum, maximum;    /* INT, FLOAT, every item of a list; both 0: no limits */
} akin_option;

/* ---- 4. Objects, samples, data sets ----------------------------------------------------------- */

/* An object is bytes: a text, a path, or a JSON record. What they mean is the encoder's business. */
typedef struct akin_object {
    const void *data;
    size_t size;
} akin_object;

AKIN_API akin_object akin_text(const char *text); /* without the final NUL */

typedef enum akin_sample_kind { AKIN_PAIRS, AKIN_GROUPS } akin_sample_kind;

/* score 1: alike, 0: not alike. subgroup 0: not given; samples of other subgroups are negatives. */
typedef struct akin_pair {
    akin_object a, b;
    float score;
    int64_t subgroup;
} akin_pair;

/* Objects of one group are alike, objects of different groups are not. */
typedef struct akin_group {
    akin_object object;
    int64_t group;
} akin_group;

typedef union akin_sample {
    akin_pair pair;
    akin_group group;
} akin_sample;

typedef struct akin_arena akin_arena;
/* 64-byte aligned memory that lives as long as the arena's owner says; NULL when out of memory. */
AKIN_API void *akin_arena_alloc(akin_arena *arena, size_t size);

/* A data set of the user's own: map style, `count` samples fetched by number. */
typedef struct akin_dataset_class {
    size_t size;
    const char *name; /* what messages call it */
    akin_sample_kind kind;
    akin_status (*count)(void *self, int64_t *count, akin_error *error);
    /* Called by several threads at once. Bytes that do not outlive the call come from the arena. */
    akin_status (*get)(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                       akin_error *error);
    void (*free)(void *self); /* may be NULL */
} akin_dataset_class;

typedef struct akin_dataset akin_dataset;

AKIN_API akin_status akin_dataset_create(akin_dataset **out, const akin_dataset_class *type,
                                         void *self, akin_error *error);
/* Arrays in memory; the bytes are copied. */
AKIN_API akin_status akin_dataset_from_pairs(akin_dataset **out, const akin_pair *pairs,
                                             int64_t count, akin_error *error);
AKIN_API akin_status akin_dataset_from_groups(akin_dataset **out, const akin_group *groups,
                                              int64_t count, akin_error *error);

/* Which member (JSONL) or column (CSV, TSV) holds what. NULL: the default names a, b, score,
   subgroup, object, group; score and subgroup may be absent from a file. Without a member named
   `object` the object of a group sample is the whole record as JSON. */
typedef struct akin_fields {
    const char *a, *b, *score, *subgroup;
    const char *object, *group;
    bool no_header; /* CSV, TSV: the first line is a record; columns are named "1", "2", ... */
} akin_fields;

/* A .jsonl, .csv or .tsv file, mapped, never loaded whole; groups also from fastText's .txt, a line
   of __label__NAME and a text (all of them .gz too), or from a folder of LABEL/NAME.txt. Labels of
   any type; a label is its text. */
AKIN_API akin_status akin_dataset_open(akin_dataset **out, akin_context *context, const char *path,
                                       akin_sample_kind kind, const akin_fields *fields,
                                       akin_error *error);
AKIN_API void akin_dataset_free(akin_dataset *dataset);

AKIN_API akin_sample_kind akin_dataset_kind(const akin_dataset *dataset);
AKIN_API int64_t akin_dataset_count(const akin_dataset *dataset);
/* Threads: yes. */
AKIN_API akin_status akin_dataset_get(const akin_dataset *dataset, int64_t index,
                                      akin_arena *arena, akin_sample *sample, akin_error *error);

/* Several data sets of one kind as one; they must outlive it. A group or subgroup of one is the
   same as that of another with the same label, and known positives are those of all. weights[i]
   says how often an epoch of a shuffling loader draws the samples of sets[i] (0.5: half of them,
   others in every epoch); NULL: each once. A split keeps the weights; validation goes through
   each once. */
AKIN_API akin_status akin_dataset_mix(akin_dataset **out, const akin_dataset *const *sets,
                                      const double *weights, int count, akin_error *error);

/* A stream of the user's own: samples that come one after the other, more than one wants to
   count. */
typedef struct akin_stream_class {
    size_t size;
    const char *name; /* what messages call it */
    akin_sample_kind kind;
    /* To the first sample of a pass (0, 1, ...), the first one too. A resumed run relies on its
       giving the same samples again. NULL: the stream can be read once, and training ends with
       it. */
    akin_status (*rewind)(void *self, int64_t pass, akin_error *error);
    /* The next sample, or *end. Called by one thread at a time, not always the same. The bytes must
       live until the next call, or come from the arena. */
    akin_status (*next)(void *self, akin_arena *arena, akin_sample *sample, bool *end,
                        akin_error *error);
    void (*free)(void *self); /* may be NULL */
} akin_stream_class;

typedef struct akin_stream akin_stream;

AKIN_API akin_status akin_stream_create(akin_stream **out, const akin_stream_class *type,
                                        void *self, akin_error *error);
/* What akin_dataset_open opens but folders, read as it comes and never kept; also a pipe of such
   a name, or "-": JSONL from standard input. A pipe can be read once. */
AKIN_API akin_status akin_stream_open(akin_stream **out, const char *path, akin_sample_kind kind,
                                      const akin_fields *fields, akin_error *error);
AKIN_API void akin_stream_free(akin_stream *stream);

typedef enum akin_split_by {
    AKIN_SPLIT_BY_SAMPLE, /* pairs: components of equal contents; groups: each group in proportion,
                             but no sample alone where two can be had */
    AKIN_SPLIT_BY_GROUP,  /* groups: whole groups on one side */
} akin_split_by;

/* Two views of `dataset`, which must outlive them. Equal objects never stand on both sides; a split
   that cannot come near `fraction` is AKIN_ERR_ARGUMENT. */
AKIN_API akin_status akin_dataset_split(akin_dataset **train, akin_dataset **validation,
                                        const akin_dataset *dataset, double fraction,
                                        akin_split_by by, uint64_t seed, akin_error *error);

/* ---- 5. Loader: samples become batches -------------------------------------------------------- */

typedef struct akin_loader_options {
    size_t size;
    int64_t batch_size; /* 128 */
    bool shuffle;       /* true */
    uint64_t seed;      /* 42 */
    bool drop_last;     /* false: the last batch may be smaller */
    int workers;        /* 1: threads that read and collate while the model computes; 0: none */
    /* Which samples stand together in a batch: one of akin_list "samplers", by name or as YAML,
       "{type: groups, samples_per_group: 4}". NULL: shuffle. Its batches are a function of (seed,
       epoch), their number is the same in every epoch; it needs shuffle. */
    const char *sampler;
    int64_t shuffle_buffer; /* streams: 10000 samples in memory, of which one is drawn at random */
    int64_t epoch_steps;    /* streams: batches of an epoch; 0: a pass over the stream */
} akin_loader_options;

AKIN_API akin_loader_options akin_loader_defaults(void);

typedef struct akin_loader akin_loader;

/* A loader of pairs or of groups; a data set of the other kind is AKIN_ERR_MISMATCH. NULL options:
   the defaults. The data set must outlive the loader. */
AKIN_API akin_status akin_pair_loader_create(akin_loader **out, const akin_dataset *dataset,
                                             const akin_loader_options *options,
                                             akin_error *error);
AKIN_API akin_status akin_group_loader_create(akin_loader **out, const akin_dataset *dataset,
                                              const akin_loader_options *options,
                                              akin_error *error);
/* Of either kind, as the stream is. Batches are shuffled by a buffer; what is not known of a
   stream is done without: known positives are those of the batch, frozen encoders run in every
   step, a loss with parameters for each group and a schedule that counts to the end of the run
   are refused (the latter unless epoch_steps or max_steps say where that is). The stream must
   outlive the loader. */
AKIN_API akin_status akin_stream_loader_create(akin_loader **out, akin_stream *stream,
                                               const akin_loader_options *options,
                                               akin_error *error);
AKIN_API void akin_loader_free(akin_loader *loader);
AKIN_API const akin_dataset *akin_loader_dataset(const akin_loader *loader);

/* ---- 6. What encoders, heads and losses see: matrices, parameters, passes ---------------------- */

/* Row-major float32; row i starts at data + i * stride. */
typedef struct akin_matrix {
    float *data;
    int64_t rows, columns, stride;
} akin_matrix;

typedef enum akin_precision {
    AKIN_AS_SAVED = -1, /* only when loading: what the model says */
    AKIN_F32,
    AKIN_BF16,
} akin_precision;

typedef struct akin_hash {
    uint64_t low, high;
} akin_hash;
AKIN_API akin_hash akin_hash_bytes(const void *data, size_t size); /* XXH3-128 */

/* Parameters are named matrices in one block; gradients and optimizer state mirror the block. */
typedef struct akin_parameters akin_parameters;
typedef struct akin_parameter {
    const char *name;
    int64_t rows, columns;
    float *value, *grad; /* rows x columns, contiguous; grad is NULL while serving */
    bool decay;          /* weight decay applies (not to biases and gates) */
    double lr_factor;    /* times the optimizer's learning rate */
} akin_parameter;

typedef enum akin_init {
    AKIN_INIT_ZERO,
    AKIN_INIT_CONSTANT, /* of `constant` */
    AKIN_INIT_IDENTITY, /* ones on the diagonal */
    AKIN_INIT_UNIFORM,  /* in +-constant */
    AKIN_INIT_NORMAL,   /* standard deviation `constant` */
} akin_init;

/* For a trainable encoder of one's own: create, add, then seal, which draws the initial values by
   the seed; after it value pointers are stable. Heads and losses are given theirs. */
AKIN_API akin_status akin_parameters_create(akin_parameters **out, akin_error *error);
AKIN_API akin_status akin_parameters_seal(akin_parameters *parameters, uint64_t seed,
                                          akin_error *error);
AKIN_API void akin_parameters_free(akin_parameters *parameters);

/* In create functions only. The name is copied; *number finds the parameter later. */
AKIN_API akin_status akin_parameters_add(akin_parameters *parameters, int *number,
                                         const char *name, int64_t rows, int64_t columns,
                                         akin_init init, double constant, bool decay,
                                         akin_error *error);
AKIN_API akin_parameter *akin_parameters_get(const akin_parameters *parameters, int number);

/* One forward or backward pass. */
typedef struct akin_pass {
    size_t size;
    akin_arena *arena; /* lives until the step (training) or the call (serving) ends */
    bool training;     /* dropout applies; records are wanted */
    uint64_t seed;     /* random numbers are a function of (seed, step, what they are for) */
    uint64_t step;
    akin_precision precision; /* of matrix products' inputs; accumulation is float32 */
    int64_t documents; /* for heads with sides: the last so many rows; the others are queries */
    const int32_t *tags; /* for heads with tags: of each row, its place among the head's tags */
    /* For encoders, whose batch may be a part of the step's: of each row, the number of its object in
       the whole, which is what its random numbers are for. NULL: 0, 1, 2, ... */
    const int64_t *numbers;
} akin_pass;

/* Functions given an arena may run out of memory, hence the status. Several threads may run forward
   of one encoder or head at the same time, with passes of their own. */

/* Where an encoder is made. */
typedef struct akin_place {
    size_t size;
    akin_context *context;
    const char *folder; /* create: relative paths start here; load: what `save` wrote is here */
    akin_precision precision;
} akin_place;

struct akin_encoder_class {
    size_t size;
    const char *name, *summary;
    const akin_option *options; /* may be NULL; "type" and "precision" are read for every class */
    size_t options_size;
    /* A fresh encoder from its options. */
    akin_status (*create)(void **self, const void *options, const akin_place *place,
                          akin_error *error);
    /* The encoder that `save` wrote into place->folder. */
    akin_status (*load)(void **self, const void *options, const akin_place *place,
                        akin_error *error);
    akin_status (*save)(const void *self, const char *folder, akin_error *error);
    void (*free)(void *self);
    int64_t (*dim)(const void *self);     /* width of the output */
    bool (*trainable)(const void *self);  /* NULL: frozen */
    /* Hash of what is really read of the object (a field, a file's content). NULL: its bytes. */
    akin_status (*key)(const void *self, akin_object object, akin_hash *key, akin_error *error);
    /* Everything the output depends on but the object. NULL: never cached, space unknown. */
    akin_status (*fingerprint)(const void *self, akin_hash *fingerprint, akin_error *error);
    /* Objects to whatever `forward` reads, in the arena. Called by loader threads. */
    akin_status (*collate)(const void *self, const akin_object *objects, int64_t count,
                           akin_arena *arena, void **batch, akin_error *error);
    /* y: count x dim, written. *record is what backward needs (training only). Where a step is run
       in chunks it is called again before backward, and must give the same. */
    akin_status (*forward)(const void *self, const akin_pass *pass, const void *batch,
                           akin_matrix y, void **record, akin_error *error);
    /* Trainable encoders: adds to the gradients of `parameters`. */
    akin_status (*backward)(void *self, const akin_pass *pass, const void *batch,
                            const void *record, akin_matrix dy, akin_error *error);
    akin_parameters *(*parameters)(void *self);
    /* May be NULL. What is worth telling after some work ("3 texts were longer than 256 tokens and
       cut there"), or "". */
    void (*notes)(const void *self, char *out, size_t size);
    /* Encoders that choose by the record: the names of the choices, at most 256, which become the
       objects' tags, and an object's place among them. NULL: no tags. */
    const char *const *(*tags)(const void *self, int64_t *count);
    akin_status (*tag)(const void *self, akin_object object, int64_t *tag, akin_error *error);
    /* Encoders with sides, where queries go one way and documents another: the encoder that this
       side goes through, as a class and its object, which belongs to `self` (and may be it). What
       takes objects (key, collate, forward, ...), fingerprint, trainable and parameters are then
       asked of the two alone, each with batches of its own. dim is that of the wider one. NULL, or
       false: one way for all. */
    bool (*side)(const void *self, bool document, const akin_encoder_class **type, void **inner);
    /* Encoders made of several that are trained, in place of `parameters`: those of the number-th,
       and its name; NULL past the last. */
    akin_parameters *(*parts)(void *self, int number, const char **name);
};

struct akin_head_class {
    size_t size;
    const char *name, *summary;
    const akin_option *options;
    size_t options_size;
    akin_status (*create)(void **self, const void *options, int64_t input_dim,
                          akin_parameters *parameters, int64_t *output_dim, akin_error *error);
    void (*free)(void *self);
    /* x: n x input_dim, y: n x output_dim (never the same memory). */
    akin_status (*forward)(const void *self, const akin_pass *pass, akin_matrix x, akin_matrix y,
                           void **record, akin_error *error);
    /* Adds to the parameters' gradients; dx is written unless dx.data is NULL. */
    akin_status (*backward)(void *self, const akin_pass *pass, const void *record, akin_matrix x,
                            akin_matrix dy, akin_matrix dx, akin_error *error);
    /* How sure the head is of each row of y, what forward gave: 0 .. 1. NULL, or false: it cannot
       tell. */
    bool (*confidence)(const void *self, akin_matrix y, float *confidence);
    /* The head has sides: queries go through it, documents (pass->documents) stay what the encoders
       gave, as wide, unless both_sides. Such a head learns from pairs: a is the query, b the
       document. */
    bool sides;
    /* Heads that go by the encoder's tag: the names they know. NULL: no tags. */
    const char *const *(*tags)(const void *self, int64_t *count);
    /* With `sides`: documents go through it too. A side's vectors depend on the option "query" or
       "document" and on the parameters whose names begin with that and a dot. */
    bool both_sides;
};

/* What a loss knows of a batch. Objects of a batch of n pairs are a_0 .. a_n-1, b_0 .. b_n-1. */
typedef struct akin_labels {
    size_t size;
    akin_sample_kind kind;
    int64_t count;            /* samples */
    const int64_t *content;   /* per object; equal contents have equal numbers */
    const int64_t *group;     /* groups: per sample, 0 .. groups - 1 */
    int64_t groups;           /* of the whole training set */
    const float *score;       /* pairs: per sample */
    const int64_t *subgroup;  /* pairs: per sample; NULL when not given */
    /* Known positives of content c, in the whole training set, both directions, ascending:
       positives[positive_start[c] .. positive_start[c + 1]). NULL when there are none. */
    const int64_t *positive_start, *positives;
    /* Pairs: so many at the end, of score 0, are hard negatives of earlier ones, whose a they repeat. */
    int64_t repeated;
    /* A row per object: its vector by the run's teacher (akin_trainer.teacher), as wide as that
       makes it, never in the space of the embeddings. data NULL: there is no teacher. */
    akin_matrix teacher;
} akin_labels;

/* What is known of a loss by its options, before there is any data. */
typedef struct akin_loss_traits {
    size_t size;
    akin_sample_kind kind; /* what it learns from */
    bool collapses;        /* it only pulls: standing alone it makes all vectors one */
    bool memory;           /* it can be computed against a memory of earlier batches */
    bool remembers;        /* it has such a memory: numbers must mean the same in every batch */
    bool teacher;          /* it learns from akin_labels.teacher: a run without one is refused */
    bool any_kind;         /* from pairs as well as from groups, whatever `kind` says */
} akin_loss_traits;

/* Objects of earlier batches of a run, constants by now: objects of groups, or the b's of pairs. */
typedef struct akin_memory {
    size_t size;
    akin_matrix units;       /* their embeddings at that time, a unit row each */
    const int64_t *content;  /* as in akin_labels, a number per row */
    const int64_t *group;    /* groups */
    const int64_t *subgroup; /* pairs; NULL when not given */
} akin_memory;

/* Is shown a block of a loss's state; resuming a run writes into it. */
typedef akin_status akin_state_function(void *user, const char *name, void *data, size_t size,
                                        akin_error *error);

struct akin_loss_class {
    size_t size;
    const char *name, *summary;
    akin_sample_kind kind;
    const akin_option *options;
    size_t options_size;
    /* `options` outlive the object. `groups`: how many the training set has (0 for pairs). Both may
       be NULL: `self` is then the options, which must not be changed. */
    akin_status (*create)(void **self, const void *options, int64_t dim, int64_t groups,
                          akin_parameters *parameters, akin_error *error);
    void (*free)(void *self);
    /* x: embeddings, a row per object. Writes *value and dx = d value / d x (data NULL: not wanted).
       Adds to the gradients of its own parameters. */
    akin_status (*compute)(void *self, const akin_pass *pass, const akin_labels *labels,
                           akin_matrix x, akin_matrix dx, double *value, akin_error *error);
    /* May be NULL. Refuses options that do not go together, and changes of the traits what the
       options decide; they start as {kind, false, whether there is a compute_memory}. */
    akin_status (*describe)(const void *options, akin_loss_traits *traits, akin_error *error);
    /* May be NULL: xbm cannot be around it. As compute, for the batch's objects as anchors and the
       memory's rows as what is near or far; the memory has the width of x and is not empty. */
    akin_status (*compute_memory)(void *self, const akin_pass *pass, const akin_labels *labels,
                                  akin_matrix x, const akin_memory *memory, akin_matrix dx,
                                  double *value, akin_error *error);
    /* May be NULL: it has none but its parameters. Shows every block of what a checkpoint must
       hold, of the same sizes and in the same order each time. */
    akin_status (*state)(void *self, akin_state_function *show, void *user, akin_error *error);
};

/* One query's outcome. Ranks are 1-based positions among the candidates, by falling similarity, ties
   by the candidate's number. */
typedef struct akin_ranking {
    size_t size;
    int64_t candidates;
    int64_t relevant;
    const int64_t *ranks; /* of the relevant candidates, ascending */
    const float *gains;   /* of the relevant candidates, in the order of `ranks` */
    const float *ideal;   /* the same gains, descending */
} akin_ranking;

typedef enum akin_metric_kind {
    AKIN_METRIC_RANKING, /* mean over queries of `rank` */
    AKIN_METRIC_SCORED,  /* over all pairs, of `score` */
} akin_metric_kind;

struct akin_metric_class {
    size_t size;
    const char *name, *summary;
    akin_metric_kind kind;
    const akin_option *options; /* the option `k`, where there is one, becomes part of the name */
    size_t options_size;
    /* RANKING: NaN leaves the query out of the mean. */
    double (*rank)(const void *options, const akin_ranking *ranking);
    /* SCORED: similarities and labels of n pairs. `arena` is scratch. */
    akin_status (*score)(const void *options, const float *similarity, const float *label,
                         int64_t n, akin_arena *arena, double *value, akin_error *error);
};

/* ---- 7. Model: encoders, concatenated, and a head ---------------------------------------------- */

typedef struct akin_encoder akin_encoder;
typedef struct akin_head akin_head;
typedef struct akin_loss akin_loss;
typedef struct akin_model akin_model;

/* A class by name; `options` is YAML or JSON ("{path: minilm/, max_length: 128}"), NULL: defaults. */
AKIN_API akin_status akin_encoder_create(akin_encoder **out, akin_context *context,
                                         const char *type, const char *options,
                                         akin_error *error);
AKIN_API void akin_encoder_free(akin_encoder *encoder);
AKIN_API int64_t akin_encoder_dim(const akin_encoder *encoder);
/* The class and its object, for an encoder that wraps another. */
AKIN_API const akin_encoder_class *akin_encoder_type(const akin_encoder *encoder);
AKIN_API void *akin_encoder_self(const akin_encoder *encoder);

typedef enum akin_cache_precision {
    AKIN_CACHE_F32,
    AKIN_CACHE_BF16, /* half the room; cosine with the vector itself >= 0.99999 */
    AKIN_CACHE_INT8, /* a quarter of it; a scale for each vector */
} akin_cache_precision;

/* How a frozen encoder's outputs are kept. Vectors are found by a key: the hash of what the encoder
   reads of the object, or what `key` says. Equal keys are one object, to the losses too. */
typedef struct akin_cache_options {
    size_t size;
    bool enabled;                   /* true: computed once and kept */
    akin_cache_precision precision; /* AKIN_CACHE_F32 */
    /* NULL: as said. Called by several threads at once; it and `user` outlive the encoder. Labels
       of data sets are not kept for encoders that have it: nobody knows what it reads. */
    akin_status (*key)(void *user, akin_object object, akin_hash *key, akin_error *error);
    void *user;
} akin_cache_options;
AKIN_API akin_cache_options akin_cache_defaults(void);
/* Before the encoder becomes part of a model. In recipes: cache, cache_precision, cache_key (the
   member of a record that is the key). */
AKIN_API akin_status akin_encoder_set_cache(akin_encoder *encoder,
                                            const akin_cache_options *options, akin_error *error);

AKIN_API akin_status akin_head_create(akin_head **out, akin_context *context, const char *type,
                                      const char *options, int64_t input_dim, akin_error *error);
AKIN_API void akin_head_free(akin_head *head);

AKIN_API akin_status akin_loss_create(akin_loss **out, akin_context *context, const char *type,
                                      const char *options, akin_error *error);
AKIN_API void akin_loss_free(akin_loss *loss);

typedef struct akin_named_encoder {
    const char *name;
    akin_encoder *encoder;
} akin_named_encoder;

/* A model takes encoders and head (NULL: none, the concatenation is the vector). On failure they
   still belong to the caller. Encoders are concatenated in the order of their names. */
AKIN_API akin_status akin_model_create(akin_model **out, akin_context *context,
                                       const akin_named_encoder *encoders, int count,
                                       akin_head *head, akin_error *error);
/* An akin model directory or a plain sentence-transformers folder. */
AKIN_API akin_status akin_model_load(akin_model **out, akin_context *context, const char *path,
                                     akin_precision precision, akin_error *error);
/* Writes a model directory, whole or not at all. An existing one is AKIN_ERR_EXISTS unless
   `replace`. What serves needs no training code. */
AKIN_API akin_status akin_model_save(const akin_model *model, const char *path, bool replace,
                                     akin_error *error);
/* Whether akin_model_save may write there, to be asked before hours of work: nothing is there, or
   `replace` and an empty folder or a model. AKIN_ERR_EXISTS too where `path` holds `source`, a folder
   the work reads, which would be replaced with it; NULL: none. */
AKIN_API akin_status akin_model_may_save(const char *path, const char *source, bool replace,
                                         akin_error *error);
AKIN_API void akin_model_free(akin_model *model);

AKIN_API int64_t akin_model_dim(const akin_model *model);
AKIN_API int64_t akin_model_base_dim(const akin_model *model); /* of the encoders alone */
/* The vector space: equal only if the same objects get the same vectors. */
AKIN_API akin_status akin_model_fingerprint(const akin_model *model, akin_hash *fingerprint,
                                            akin_error *error);

/* Vector spaces of a model. An encoder or a head with sides (two_towers, prompts of queries and
   documents, query_adapter) gives queries a space of their own, which is compared with the
   documents'. Other models have one space for both. */
typedef enum akin_space {
    AKIN_SPACE_MODEL, /* AKIN_ERR_MISMATCH where queries and documents differ */
    AKIN_SPACE_BASE,  /* of the encoders, without the head; AKIN_ERR_MISMATCH where they have sides */
    AKIN_SPACE_QUERY,
    AKIN_SPACE_DOCUMENT,
    AKIN_SPACE_BASE_QUERY,
    AKIN_SPACE_BASE_DOCUMENT,
} akin_space;
/* Are there two, with the head or (base) without it? */
AKIN_API bool akin_model_has_sides(const akin_model *model);
AKIN_API bool akin_model_base_has_sides(const akin_model *model);
/* The space's own fingerprint, of what that side goes through: of documents under a query_adapter
   it is the base's, so that an index stays valid when queries are trained again. */
AKIN_API akin_status akin_model_space_fingerprint(const akin_model *model, akin_space space,
                                                  akin_hash *fingerprint, akin_error *error);
/* out: count x akin_model_dim(model), or of the base x akin_model_base_dim(model). */
AKIN_API akin_status akin_model_encode_in(const akin_model *model, akin_space space,
                                          const akin_object *objects, int64_t count, float *out,
                                          akin_error *error);

/* out: count x akin_model_dim(model) float32: AKIN_SPACE_MODEL. Threads: yes, on one model. */
AKIN_API akin_status akin_model_encode(const akin_model *model, const akin_object *objects,
                                       int64_t count, float *out, akin_error *error);

/* What a model was before it was tuned, by what it tells of itself: its own encoders without the
   head (*without_head), or where they were trained the model that they began as (*loaded, the
   caller's), or neither: there is none, and a note of the context says why. */
AKIN_API akin_status akin_model_base(akin_model **loaded, bool *without_head,
                                     const akin_model *model, akin_error *error);

/* AKIN_SPACE_BASE; out: count x akin_model_base_dim(model). */
AKIN_API akin_status akin_model_encode_base(const akin_model *model, const akin_object *objects,
                                            int64_t count, float *out, akin_error *error);

/* How sure the head is of embeddings that akin_model_encode gave (count x akin_model_dim(model)):
   count numbers of 0 .. 1. AKIN_ERR_MISMATCH if the head cannot tell, for count 0 as well; of the
   built-in ones softmax_embeddings can. Threads: yes. */
AKIN_API akin_status akin_model_confidence(const akin_model *model, const float *embeddings,
                                           int64_t count, float *confidence, akin_error *error);

/* What the encoders have to tell after encoding (texts cut, bytes replaced), a line each; "" if
   nothing. */
AKIN_API void akin_model_notes(const akin_model *model, char *out, size_t size);

/* ---- 8. Training -------------------------------------------------------------------------------- */

typedef enum akin_optimizer_type { AKIN_SGD, AKIN_ADAM, AKIN_ADAMW } akin_optimizer_type;
/* docs/training.md has the formulas. */
typedef enum akin_schedule_type {
    AKIN_CONSTANT,
    AKIN_LINEAR,
    AKIN_COSINE,
    AKIN_STEP,
    AKIN_PLATEAU,
    AKIN_COSINE_RESTARTS,
    AKIN_ONE_CYCLE,
} akin_schedule_type;

/* Parameters that are trained in their own way. A name is PART/PARAMETER, where the part is "head",
   "loss" or an encoder's name: "head/weight.0". Of several groups that fit the last one counts; a
   pattern that fits nothing is AKIN_ERR_ARGUMENT. */
typedef struct akin_parameter_group {
    const char *match;   /* a pattern as in a shell, whose * fits a slash too */
    double lr_factor;    /* times the learning rate; 0: the parameters stay as they are */
    double weight_decay; /* of those that decay at all: biases and gates never do */
} akin_parameter_group;

typedef struct akin_optimizer_options {
    size_t size;
    int type;     /* akin_optimizer_type */
    double lr;    /* 1e-3 */
    double momentum;                /* sgd: 0 */
    double beta1, beta2, epsilon;   /* adam, adamw: 0.9, 0.999, 1e-8 */
    double weight_decay;            /* 0; adamw 0.01 */
    int schedule;                   /* akin_schedule_type */
    int64_t warmup_steps;           /* 0 */
    double clip_norm;               /* 0: the gradient may have any length */
    double clip_value;              /* 0: its elements may have any size; clipped before the norm */
    double min_lr;                  /* 0: no schedule goes below it after the warm-up */
    int64_t period;                 /* step: steps between two drops; cosine_restarts: of the first
                                       cycle */
    int64_t cycle_growth;           /* 1: each cycle is so many times as long as the one before */
    double gamma;                   /* 0.1: step, plateau: what a drop multiplies lr by */
    int64_t plateau_patience;       /* 1: plateau: so many validations without a better value are
                                       borne, the next one makes lr drop */
    double rise;                    /* 0.3: one_cycle: the part of all steps in which lr rises */
    double start_factor;            /* 0.04: one_cycle: the first lr is so much of lr */
    double end_factor;              /* 4e-6: one_cycle: the last one */
    const akin_parameter_group *groups; /* outlive training */
    int group_count;                /* 0 */
} akin_optimizer_options;

AKIN_API akin_optimizer_options akin_optimizer_defaults(akin_optimizer_type type);

/* A metric to compute while training: "reciprocal_rank", "{type: precision, k: 1}". */
typedef struct akin_metric_list {
    const char *const *metrics;
    int count;
} akin_metric_list;

typedef struct akin_results {
    size_t size;
    bool validation;
    int64_t epoch, step;
    const akin_labels *labels;
    akin_matrix embeddings;
    double loss;
} akin_results;

/* A trainable model: what the model is and how it is trained. Functions that are NULL mean the
   default said beside them. What configure_* makes belongs to akin_fit. */
typedef struct akin_trainable {
    size_t size;
    void *user;
    /* Required. Fills up to `capacity` encoders; the names must outlive the call. */
    akin_status (*configure_encoders)(void *user, akin_context *context,
                                      akin_named_encoder *encoders, int capacity, int *count,
                                      akin_error *error);
    /* Default: skip_connection. */
    akin_status (*configure_head)(void *user, akin_context *context, int64_t input_dim,
                                  akin_head **head, akin_error *error);
    /* Default: multiple_negatives_ranking for pairs, triplet for groups. */
    akin_status (*configure_loss)(void *user, akin_context *context, akin_loss **loss,
                                  akin_error *error);
    /* Default: Adam, lr 1e-3. */
    akin_status (*configure_optimizer)(void *user, akin_optimizer_options *options,
                                       akin_error *error);
    akin_status (*configure_metrics)(void *user, akin_metric_list *metrics, akin_error *error);
    /* Gets the defaults. They hold for encoders that akin_encoder_set_cache was not called for;
       `enabled` false holds for all. Default: akin_cache_defaults(). */
    akin_status (*configure_cache)(void *user, akin_cache_options *options, akin_error *error);
    /* After every training and validation step. */
    void (*process_results)(void *user, const akin_results *results);
    /* NULL, or a recipe as JSON, and the folder that its relative paths start from: kept in the
       model's directory and in checkpoints, which name what differs when another run wants to go on
       from them. */
    const char *recipe, *recipe_folder;
} akin_trainable;

typedef struct akin_training akin_training; /* a run, as callbacks see it */

typedef struct akin_callback {
    size_t size;
    void *user;
    void (*on_fit_start)(void *user, akin_training *training);
    void (*on_epoch_start)(void *user, akin_training *training);
    void (*on_step_end)(void *user, akin_training *training);
    void (*on_epoch_end)(void *user, akin_training *training);
    void (*on_fit_end)(void *user, akin_training *training);
} akin_callback;

AKIN_API int64_t akin_training_epoch(const akin_training *training); /* 1-based; 0 is the base */
AKIN_API int64_t akin_training_step(const akin_training *training);  /* steps done */
AKIN_API double akin_training_lr(const akin_training *training);
AKIN_API double akin_training_loss(const akin_training *training);   /* of the last step */
/* "train_loss", "validation_loss" or a metric's name; NaN if there is no such value yet. */
AKIN_API double akin_training_metric(const akin_training *training, const char *name);
AKIN_API void akin_training_stop(akin_training *training); /* after this step */
/* What the schedule multiplies, from the next step on; kept in the checkpoint. Not a number and what
   is below 0 are ignored. */
AKIN_API void akin_training_set_lr(akin_training *training, double lr);
/* The model as it is now (with train.average: the average) as a model directory, as akin_model_save. */
AKIN_API akin_status akin_training_save(akin_training *training, const char *path, bool replace,
                                        akin_error *error);

/* Hard negatives: objects a model takes for alike although nothing in the data says so, found by an
   exact search of the whole data set. Pairs: the b's are searched for each a of score > .5; groups:
   every object. What is known to be alike takes no rank. */
typedef struct akin_mining_options {
    size_t size;
    int64_t k;                     /* 5: of a sample, at most */
    double margin;                 /* 0.05: left out are those that are more similar to the anchor
                                      than its positive less so much, to the base encoders: they are
                                      likely alike (Moreira et al., 2024) */
    int64_t first_rank, last_rank; /* 1, 100: the ranks that are looked at */
} akin_mining_options;
AKIN_API akin_mining_options akin_mining_defaults(void);

typedef struct akin_mining_report {
    int64_t samples;    /* that were asked for: positive pairs, or members of a group of several */
    int64_t candidates; /* distinct objects that were searched */
    int64_t mined;      /* negatives found */
    int64_t incomplete; /* samples with fewer than k */
    /* Left out before the k-th was found: the anchor itself or an equal object, known positives,
       members of its group or subgroup, and those too similar for the margin. */
    int64_t masked_equal, masked_positive, masked_label, masked_margin;
} akin_mining_report;

#define AKIN_MAX_CALLBACKS 16

typedef enum akin_keep_by { AKIN_KEEP_NEWEST, AKIN_KEEP_BEST } akin_keep_by;

typedef struct akin_trainer {
    size_t size;
    int64_t min_epochs, max_epochs;  /* 1, 100 */
    int64_t max_steps;               /* 0: no limit */
    uint64_t seed;                   /* 42 */
    akin_precision precision;        /* AKIN_F32 */
    const char *monitor;             /* "validation_loss": what best epoch means */
    int64_t patience;                /* 3: stop after so many validations without a better value; 0:
                                        off */
    double min_delta;                /* 0: how much better counts as better */
    bool metrics_per_step;           /* metrics on every training batch as well as per epoch */
    int64_t metrics_sample_size;     /* 0; else metrics of an epoch are of so many queries (scored
                                        ones: pairs), the same in every epoch */
    bool metrics_distinguish;        /* true: as in akin_evaluator_options */
    bool summary;                    /* true: a table of the model's parts before the first step */
    bool progress;                   /* true */
    const char *log_folder;          /* NULL, or where log.csv and log.jsonl are written; logs of
                                        another run there are AKIN_ERR_EXISTS, see replace_logs */
    const char *checkpoint;          /* NULL, or the folder that holds the run's checkpoint */
    bool resume;                     /* continue from `checkpoint`, or what resume_from names;
                                        bit-equal to never stopping */
    akin_callback callbacks[AKIN_MAX_CALLBACKS];
    int callback_count;
    /* When the checkpoint is written, besides the end of the run and an interruption. */
    double checkpoint_seconds;       /* 10: so long after the last one, or 20 times what writing it
                                        took, whichever is more; 0: not by time */
    int64_t checkpoint_steps;        /* 0: not after so many steps */
    int64_t checkpoint_epochs;       /* 0: not after so many epochs */
    int64_t accumulate;              /* 1: batches whose gradients' mean makes a step */
    int64_t checkpoint_keep;         /* 0: copies that are kept beside it, checkpoint-STEP.safetensors */
    int checkpoint_keep_by;          /* akin_keep_by */
    int64_t min_steps;               /* 0: no early stopping before */
    double max_seconds;              /* 0: no limit, else the run ends with the step after */
    int64_t limit_batches;           /* 0: all batches of an epoch are trained on */
    int64_t limit_validation_batches; /* 0: all are validated */
    int64_t overfit_batches;         /* 0; else the same so many batches in every epoch */
    int64_t validation_steps;        /* 0: validation by epochs, else after so many steps */
    double validation_epochs;        /* 1: after each epoch; 0.25: four times in it; 2: every other */
    bool profile;                    /* false; a table of where the time went, at the end */
    bool tensorboard;                /* false; event files beside log.csv, for TensorBoard */
    const char *progress_metrics;    /* "loss": what the progress line shows, names with commas */
    double average;                  /* 0, or the decay (0.999) of a moving average of the
                                        parameters, which is then what is validated and saved */
    /* Hard negatives, mined anew by the model in training before every so many epochs (0: never).
       Losses on pairs get them as pairs (a, negative) of score 0 in the batch of their sample; of
       groups, those whose samples are taken for each other meet in batches of the sampler "groups". */
    int64_t hard_negatives_every;
    akin_mining_options hard_negatives;
    bool replace_logs;               /* false; true: logs of another run are written over */
    const char *resume_from;         /* NULL, or the folder of a checkpoint, or the file of a copy,
                                        that is read instead of `checkpoint` and left as it is */
    /* 0; else encoders run so many objects at a time, and those that are trained run them twice: the
       gradients of the whole batch in the memory of a chunk (GradCache: Gao et al., 2021). */
    int64_t chunk_size;
    /* NULL, or the folder of a model (akin_model_load) that the losses learn from: its vectors of
       all objects are computed once, through the cache, and stand in akin_labels.teacher. A
       checkpoint knows its vector space: a run with another teacher does not go on from it. */
    const char *teacher;
} akin_trainer;

AKIN_API akin_trainer akin_trainer_defaults(void);
AKIN_API akin_status akin_trainer_add_callback(akin_trainer *trainer, akin_callback callback,
                                               akin_error *error);

typedef struct akin_fit_summary {
    int64_t epochs, steps;
    int64_t best_epoch; /* 0: the base was never beaten, and the model is the base */
    int64_t best_step;  /* the steps that the best model has made */
    double base_value, best_value; /* of the monitored metric */
    int64_t reused, encoded;       /* vectors found in the cache, vectors computed */
    double seconds;
    bool stopped_early;
} akin_fit_summary;

/* Trains and gives the best epoch's model, epoch 0 (the base) included. trainer NULL: the defaults;
   validation NULL: the last epoch is taken. On AKIN_ERR_DIVERGED and AKIN_ERR_INTERRUPTED *model is
   still the best so far if there is one (else NULL: also when training diverged in the step right
   after the last epoch, and there is no validation that knew that epoch to be good). `summary` may be NULL. */
AKIN_API akin_status akin_fit(akin_model **model, akin_context *context,
                              const akin_trainable *trainable, const akin_trainer *trainer,
                              akin_loader *train, akin_loader *validation,
                              akin_fit_summary *summary, akin_error *error);

/* A recipe (YAML): the built-in trainable model. `sets` are assignments such as "train.epochs=5";
   path NULL: only they. Relative paths start from the recipe's folder. */
typedef struct akin_recipe akin_recipe;
AKIN_API akin_status akin_recipe_open(akin_recipe **out, akin_context *context, const char *path,
                                      const char *const *sets, int set_count, akin_error *error);
AKIN_API void akin_recipe_free(akin_recipe *recipe);
AKIN_API akin_trainable akin_recipe_trainable(akin_recipe *recipe);
AKIN_API akin_trainer akin_recipe_trainer(const akin_recipe *recipe); /* to edit */
/* The recipe's data; loaders belong to it. *validation is NULL when the recipe names none. */
AKIN_API akin_status akin_recipe_loaders(akin_recipe *recipe, akin_loader **train,
                                         akin_loader **validation, akin_error *error);
/* As akin_model_may_save, and AKIN_ERR_EXISTS too where `path` holds what the recipe reads: an
   encoder, an adapter, the teacher or a file of data, which would be replaced with it. */
AKIN_API akin_status akin_recipe_may_save(const akin_recipe *recipe, const char *path, bool replace,
                                          akin_error *error);
/* The recipe as JSON, defaults filled in: what a model directory keeps. Valid until it is freed. */
AKIN_API const char *akin_recipe_json(const akin_recipe *recipe);
/* Of the recipe that a model was trained by, data and encoders: akin_recipe_loaders gives the same
   training and validation data again. AKIN_ERR_UNSUPPORTED: its directory keeps none. */
AKIN_API akin_status akin_recipe_of_model(akin_recipe **out, akin_context *context,
                                          const akin_model *model, akin_error *error);

/* ---- 9. Corpora: many objects in a file, encoded through the store of features -------------------- */

/* A .jsonl (.gz too), .csv, .tsv or .txt file (a text a line); path "-": lines of standard input.
   field: the member or column that is the object; NULL: the whole record if an encoder of `model`
   reads a field of it, else the member "text" (with "title" before it, as in BEIR corpora). */
typedef struct akin_corpus akin_corpus;
AKIN_API akin_status akin_corpus_open(akin_corpus **out, akin_context *context,
                                      const akin_model *model, const char *path, const char *field,
                                      akin_error *error);
AKIN_API void akin_corpus_free(akin_corpus *corpus);
AKIN_API int64_t akin_corpus_count(const akin_corpus *corpus);
/* The bytes live as long as the arena-like `*memory`, which akin_memory_free frees. Threads: yes. */
AKIN_API akin_status akin_corpus_get(const akin_corpus *corpus, int64_t index, void **memory,
                                     akin_object *object, akin_error *error);
AKIN_API void akin_memory_free(void *memory);

/* Gets vectors first .. first + count - 1; anything but AKIN_OK ends the encoding with it. */
typedef akin_status akin_vectors_function(void *user, int64_t first, int64_t count,
                                          const float *vectors, akin_error *error);
/* All vectors of a corpus in order, in blocks; frozen encoders' outputs come from the store where it
   has them. */
AKIN_API akin_status akin_encode_corpus(const akin_model *model, akin_space space,
                                        const akin_corpus *corpus,
                                        akin_vectors_function *function, void *user,
                                        akin_error *error);

/* A file of vectors, written as a stream under a temporary name: .npy, .safetensors (with the
   fingerprint) or .jsonl (a list a line). */
typedef struct akin_vector_writer akin_vector_writer;
AKIN_API akin_status akin_vector_writer_open(akin_vector_writer **out, const char *path,
                                             int64_t count, int64_t dim, akin_hash fingerprint,
                                             bool replace, akin_error *error);
AKIN_API akin_status akin_vector_writer_put(akin_vector_writer *writer, const float *vectors,
                                            int64_t count, akin_error *error);
AKIN_API akin_status akin_vector_writer_commit(akin_vector_writer *writer, akin_error *error);
AKIN_API void akin_vector_writer_abort(akin_vector_writer *writer); /* removes what was written */

/* A static model out of a model of one encoder with tokens (a transformer, or a static one) and
   perhaps a head: every token of its vocabulary is encoded alone, turned to the principal axes of
   all of them and weighted by how rare it is (Model2Vec: Tulkens and van Dongen, 2024). A text's
   vector is the mean of its tokens', of unit length. */
typedef struct akin_distill_options {
    size_t size;
    int64_t dim; /* 0: 256, or what the model gives if that is less; else so many, at most that */
    /* 1e-4: a token's vector is multiplied by sif / (sif + p), where p is how often it comes (Arora
       et al., 2017); 0: by 1. */
    double sif;
    const akin_corpus *corpus; /* what p is counted in; NULL: p follows from the order of the
                                  vocabulary by Zipf's law */
} akin_distill_options;
AKIN_API akin_distill_options akin_distill_defaults(void);

typedef struct akin_distill_report {
    int64_t tokens;     /* that got a vector; special ones and free places have 0 */
    int64_t width, dim; /* of the model's vectors and of the new ones */
    double variance;    /* the share of the tokens' variance that `dim` axes keep */
} akin_distill_report;

/* options NULL: the defaults; report may be NULL. The model may be freed before *out. A model of
   other encoders, of several or of two sides is AKIN_ERR_UNSUPPORTED, too small a vocabulary
   AKIN_ERR_MISMATCH. Takes tokens x width floats of memory and the new table. */
AKIN_API akin_status akin_distill(akin_model **out, akin_distill_report *report,
                                  const akin_model *model, const akin_distill_options *options,
                                  akin_error *error);

/* Mines a data set into a .jsonl file of pairs that training reads: each positive pair (score 1) and
   behind it its hard negatives (score 0). base NULL: the model without its head judges by the margin.
   options NULL: the defaults; report may be NULL. */
AKIN_API akin_status akin_mine(akin_mining_report *report, const akin_model *model,
                               const akin_model *base, const akin_dataset *dataset,
                               const akin_mining_options *options, const char *path, bool replace,
                               akin_error *error);

/* ---- 10. Evaluation ------------------------------------------------------------------------------ */

typedef struct akin_evaluation_row {
    const char *name;   /* "precision@1" */
    double value;       /* of the model */
    double base;        /* NaN where there is no base */
    double difference, low, high; /* value - base and its bootstrap 95 % interval */
    /* Of repeated passes, whose means are above: standard deviations between them, without an
       interval. NaN for one pass. */
    double deviation, base_deviation, difference_deviation;
} akin_evaluation_row;

typedef struct akin_evaluation {
    int64_t queries, candidates;
    int64_t count;
    const akin_evaluation_row *rows;
} akin_evaluation;

typedef enum akin_evaluation_kind {
    AKIN_EVALUATE_PAIRS,
    AKIN_EVALUATE_GROUPS,
    AKIN_EVALUATE_SCORED,
    AKIN_EVALUATE_BEIR,
} akin_evaluation_kind;

typedef struct akin_evaluator_options {
    size_t size;
    akin_metric_list metrics; /* count 0: the kind's usual ones */
    int64_t sample_size;      /* so many queries (scored: pairs), drawn by `seed`; 0: everything */
    bool distinguish;         /* pairs, true: queries are the a's, candidates the b's */
    bool micro;               /* r_precision and reciprocal rank pooled, as Quaterion prints them */
    int64_t resamples;        /* 1000, of the bootstrap */
    uint64_t seed;            /* 42 */
    int64_t repeats;          /* 1: passes, each over a sample of its own (seed, seed + 1, ...) */
    /* NULL, or where files for trec_eval are written: the model's candidates ("qid Q0 docid rank
       score tag") and the relevant ones ("qid 0 docid gain"). One pass; not for scored pairs. */
    const char *run, *qrels;
    int64_t run_depth;        /* 1000 candidates a query at most; 0: all */
    bool replace;             /* false: a file that exists is AKIN_ERR_EXISTS */
} akin_evaluator_options;

AKIN_API akin_evaluator_options akin_evaluator_defaults(void);

/* `base` NULL: the model without its head; where encoders were trained, the base that its directory
   names, if that can be loaded. A model that is no tuned one has no base. A data set without any
   relevant candidate is AKIN_ERR_MISMATCH. */
AKIN_API akin_status akin_evaluate(akin_evaluation **out, const akin_model *model,
                                   const akin_model *base, akin_evaluation_kind kind,
                                   const akin_dataset *dataset,
                                   const akin_evaluator_options *options, akin_error *error);
/* A BEIR folder: corpus.jsonl, queries.jsonl, qrels/test.tsv. */
AKIN_API akin_status akin_evaluate_beir(akin_evaluation **out, const akin_model *model,
                                        const akin_model *base, const char *folder,
                                        const akin_evaluator_options *options, akin_error *error);
AKIN_API void akin_evaluation_free(akin_evaluation *evaluation);

/* A report: one self-contained HTML page about a tuned model. Figures beside the base's, the run's
   curves, similarities of what is alike and what is not, a map (principal components), and the
   queries that fared worst with what beat them. */

/* Draws `script`, which is gnuplot's (its first command sets the SVG terminal), into memory of the
   arena. false: it cannot, and the page shows the table alone. */
typedef bool akin_chart_function(void *user, const char *script, akin_arena *arena,
                                 akin_object *svg);

typedef struct akin_report_options {
    size_t size;
    const akin_evaluator_options *evaluation; /* NULL: the defaults; `repeats` must be 1 */
    const char *title;                        /* NULL: the name of the model's directory */
    int64_t worst;                            /* 20 queries, at most */
    int64_t points;                           /* 800 objects on the map, at most */
    akin_chart_function *draw;                /* NULL: tables instead of charts */
    void *draw_user;
    bool replace;                             /* false: a file that exists is AKIN_ERR_EXISTS */
} akin_report_options;

AKIN_API akin_report_options akin_report_defaults(void);
/* Writes the page to `path`. kind: AKIN_EVALUATE_PAIRS or _GROUPS; base: as akin_evaluate's. */
AKIN_API akin_status akin_report_write(const char *path, const akin_model *model,
                                       const akin_model *base, akin_evaluation_kind kind,
                                       const akin_dataset *dataset,
                                       const akin_report_options *options, akin_error *error);

/* A search of settings. Every combination of the values that a recipe's section "tune" lists, or the
   usual ones without it, is trained on a part of the training data and judged on the rest (the inner
   validation) by the recipe's first metric. The best one is trained again on all of it and compared
   with the base on the recipe's own validation data, which chose nothing. */
typedef struct akin_tune_options {
    size_t size;
    int64_t trials;     /* 0: every combination; else so many, drawn by the recipe's seed */
    double inner;       /* 0.2: share of the training data that is held out to choose by */
    const char *folder; /* NULL, or where finished trials are kept: a search that was stopped goes on
                           from there, and ends in the same result */
    int64_t resamples;  /* 1000, of the bootstrap */
} akin_tune_options;

AKIN_API akin_tune_options akin_tune_defaults(void);

typedef struct akin_tune_trial {
    const char *settings; /* "head.type=gated optimizer.lr=0.001" */
    double value;         /* of the metric on the inner validation; NaN: the training diverged */
    int64_t best_epoch;   /* 0: the base was never beaten, and the trial's model is the base */
    int64_t epochs;
    double seconds;
    bool reused;          /* found in the folder */
} akin_tune_trial;

typedef struct akin_tune_result {
    const char *metric;
    const akin_tune_trial *trials; /* by falling value, equal ones in the grid's order */
    int64_t count;
    double base;    /* the base's value of the metric on the inner validation */
    int64_t queries; /* of the inner validation */
    /* The first trial, trained again, beside the base on the recipe's validation data; NULL: no trial
       was better than the base on the inner validation. Its first row is the metric. */
    const akin_evaluation *outer;
    bool better;    /* the whole 95 % interval of the metric's difference is above 0 */
} akin_tune_result;

/* *model is the first trial's, trained again, if it is better; else the base. Path and sets as for
   akin_recipe_open; a recipe without validation data is AKIN_ERR_ARGUMENT. */
AKIN_API akin_status akin_tune(akin_tune_result **out, akin_model **model, akin_context *context,
                               const char *path, const char *const *sets, int set_count,
                               const akin_tune_options *options, akin_error *error);
AKIN_API void akin_tune_result_free(akin_tune_result *result);

/* ---- 11. Search ---------------------------------------------------------------------------------- */

typedef struct akin_index akin_index;

typedef struct akin_hit {
    int64_t id;       /* in the order of adding */
    float similarity; /* cosine */
} akin_hit;

AKIN_API akin_status akin_index_create(akin_index **out, int64_t dim, akin_hash fingerprint,
                                       akin_error *error);
AKIN_API akin_status akin_index_open(akin_index **out, const char *path, akin_error *error);
/* vectors: count x dim, finite; documents (may be NULL) are kept to be shown. */
AKIN_API akin_status akin_index_add(akin_index *index, const float *vectors,
                                    const akin_object *documents, int64_t count,
                                    akin_error *error);
AKIN_API akin_status akin_index_save(const akin_index *index, const char *path, bool replace,
                                     akin_error *error);
AKIN_API void akin_index_free(akin_index *index);

/* The path of the model that made the vectors, kept with them; NULL: not known. */
AKIN_API akin_status akin_index_set_model(akin_index *index, const char *path, akin_error *error);
AKIN_API const char *akin_index_model(const akin_index *index);

AKIN_API int64_t akin_index_count(const akin_index *index);
AKIN_API int64_t akin_index_dim(const akin_index *index);
AKIN_API akin_hash akin_index_fingerprint(const akin_index *index);
AKIN_API akin_object akin_index_document(const akin_index *index, int64_t id);

/* Exact: hits[q * k + r] is the r-th nearest of query q; equal similarities by id; id -1 where the
   index has fewer than k. Threads: yes, while nothing is added. */
AKIN_API akin_status akin_index_search(const akin_index *index, const float *queries,
                                       int64_t count, int64_t k, akin_hit *hits,
                                       akin_error *error);

/* ---- 12. The cache folder ------------------------------------------------------------------------ */

/* Something of the cache folder. Everything in it can be removed: it is computed again. */
typedef struct akin_cache_entry {
    const char *kind;      /* "vectors", "labels", "unpacked", "hashes" */
    const char *path;      /* in the folder: "features/0123..." */
    const char *encoder;   /* vectors: what made them, as JSON; NULL: not known */
    const char *precision; /* vectors: "f32", "bf16", "int8"; else NULL */
    int64_t vectors, dim;  /* vectors; else 0 */
    int64_t bytes;
    int64_t last_used;     /* seconds since 1970 */
    bool in_use;           /* a run has it open; it is not removed */
    bool reachable;        /* false: empty, or the encoder's folder is gone */
    int64_t broken;        /* akin_cache_verify: files that are not whole */
    const char *problem;   /* of the first of them, NULL: none */
} akin_cache_entry;

typedef struct akin_cache {
    const char *folder;
    int64_t count, bytes;
    const akin_cache_entry *entries; /* by path */
} akin_cache;

/* What there is. An empty list where the context has no cache folder or it does not exist. */
AKIN_API akin_status akin_cache_list(akin_cache **out, akin_context *context, akin_error *error);
/* The same, and every file's checksum is computed. Nothing is removed: a run that meets a broken
   file computes it again. */
AKIN_API akin_status akin_cache_verify(akin_cache **out, akin_context *context, akin_error *error);

typedef struct akin_cache_gc_options {
    size_t size;
    int64_t max_bytes;  /* -1; else the least recently used are removed until the rest fits */
    int64_t older_than; /* -1; else what was not used for so many seconds is removed */
    bool unreachable;   /* false; true: what is not reachable is removed */
    bool dry_run;       /* false; true: nothing is removed */
} akin_cache_gc_options;
AKIN_API akin_cache_gc_options akin_cache_gc_defaults(void);
/* Removes what the options say, but nothing that is in use: a run keeps what it has. *out: what was
   removed. */
AKIN_API akin_status akin_cache_gc(akin_cache **out, akin_context *context,
                                   const akin_cache_gc_options *options, akin_error *error);
AKIN_API void akin_cache_free(akin_cache *cache);

/* What a path is (model, index, vectors, tensors, recipe, data) and holds, as JSON; free *json with
   akin_memory_free. */
AKIN_API akin_status akin_inspect(char **json, akin_context *context, const char *path,
                                  akin_error *error);

#ifdef __cplusplus
}
#endif
#endif
