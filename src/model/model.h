/* The door of model: encoders, heads, the model that joins them, its directory. */
#ifndef AK_MODEL_MODEL_H
#define AK_MODEL_MODEL_H

#include "data/data.h"
#include "model/context.h"
#include "model/encoders.h"
#include "nn/nn.h"
#include "text/tokenizer.h"

#include <stdatomic.h>

/* Queries and documents: the a's and the b's of pairs. What has no sides has the first tower alone. */
typedef enum ak_tower { AK_QUERY_TOWER, AK_DOCUMENT_TOWER, AK_TOWERS } ak_tower;

/* ---- encoder.c: a class, its object and its options ---- */

struct akin_encoder {
    const akin_encoder_class *type;
    void *self;
    void *options;
    const ak_value *given; /* the options as they were written, for akin.json */
    akin_precision precision;
    akin_arena *arena; /* holds options and given */
    akin_cache_options cache;
    bool cache_is_set;     /* by the caller or by `given` */
    const char *key_field; /* the member of a record that is the key; NULL: none */
    atomic_llong keyless;  /* objects without it, which are known by what is read of them */
    akin_encoder *towers[AK_TOWERS]; /* NULL: it has no sides */
    bool keys_apart; /* a tower: its keys are never those of the queries' */
};

/* The encoder's rows of some objects. Numbers that are not finite (its weights hold some, which loading
   did not read) are AKIN_ERR_FORMAT with `name`, the encoder's, and the object. */
akin_status ak_encoder_run(const akin_encoder *encoder, const char *name, const akin_pass *pass,
                           const akin_object *objects, akin_matrix y, akin_error *error);

/* ---- towers.c: the ways of queries and of documents through an encoder ---- */

extern const char *const ak_tower_names[AK_TOWERS]; /* "query", "document" */
bool ak_encoder_has_sides(const akin_encoder *encoder);
/* Are its towers encoders of their own? Else they are the same one with two prompts. */
bool ak_encoder_is_two(const akin_encoder *encoder);
/* Where there are none: the encoder itself, whatever the tower. */
const akin_encoder *ak_encoder_tower(const akin_encoder *encoder, ak_tower tower);
/* The place of a tower among the 2 x encoders of a model: 2 x number + 0 where it has no sides. */
int ak_tower_place(const akin_encoder *encoder, int number, ak_tower tower);
akin_status ak_encoder_open_towers(akin_encoder *encoder, akin_error *error);
void ak_encoder_free_towers(akin_encoder *encoder);

/* An ak_class_finder: the encoder class of that name; `context` may be NULL. */
akin_status ak_encoder_find(const void *context, const char *name, ak_found_class *out,
                            akin_error *error);
/* `map` is the encoder's part of a recipe or of akin.json: type, precision and the class's options.
   load: the folder that the class's save wrote; else folder is what relative paths start from. */
akin_status ak_encoder_make(akin_encoder **out, akin_context *context, const ak_value *map,
                            const char *name, const char *folder, akin_precision precision,
                            bool load, akin_error *error);
/* The same around an object of the class that there is already, taken on success. */
akin_status ak_encoder_around(akin_encoder **out, akin_context *context, const ak_value *map,
                              void *self, akin_error *error);
bool ak_encoder_trainable(const akin_encoder *encoder); /* with sides: one of them */
akin_parameters *ak_encoder_parameters(const akin_encoder *encoder); /* NULL: none */
/* The same of one made of several, whose names they have; of any other the first, *name NULL. */
akin_parameters *ak_encoder_part(const akin_encoder *encoder, int number, const char **name);
/* false: the class has none, and nothing of it may be cached. */
akin_status ak_encoder_fingerprint(const akin_encoder *encoder, bool *has, ak_hash *fingerprint,
                                   akin_error *error);
akin_status ak_encoder_key(const akin_encoder *encoder, akin_object object, ak_hash *key,
                           akin_error *error);

/* ---- tags.c: what an encoder that chooses by the record tells the head ---- */

bool ak_encoder_class_has_tags(const akin_encoder_class *type);
bool ak_encoder_has_tags(const akin_encoder *encoder);
/* Puts the object's tag into its key, where the encoder gives tags. */
akin_status ak_encoder_tag_key(const akin_encoder *encoder, akin_object object, ak_hash *key,
                               akin_error *error);
/* Class, options and folder as JSON (ak_free); NULL when out of memory. */
char *ak_encoder_describe(const akin_encoder *encoder);
/* "cache", "cache_precision", "cache_key", which every encoder has in a recipe and in akin.json. */
extern const akin_option ak_encoder_cache_rows[];
void ak_encoder_cache_as(akin_encoder *encoder, const akin_cache_options *options);
extern const char *const ak_encoder_shared[]; /* these and what else every class has; NULL ends */

/* ---- stems: the frozen lower part of a trainable encoder, whose output is worth keeping ---- */

/* It gives `dim` numbers for every token (or whatever an object falls into). */
typedef struct ak_stem {
    int64_t dim;
    /* Everything its output depends on but the object. */
    akin_status (*fingerprint)(const void *self, ak_hash *fingerprint, akin_error *error);
    /* The rows of object i of a collated batch are starts[i] .. starts[i + 1]; starts[0] is 0. */
    const int64_t *(*starts)(const void *batch);
    akin_status (*compute)(const void *self, const akin_pass *pass, const void *batch, float *rows,
                           akin_error *error);
    /* forward takes these rows instead of computing them; they must live as long as the batch. */
    void (*give)(void *batch, const float *rows);
} ak_stem;

/* false: the encoder has none. */
bool ak_encoder_stem(const akin_encoder *encoder, ak_stem *stem);

/* ---- token readers: encoders that read texts token by token ---- */

typedef struct ak_token_reader {
    const ak_tokenizer *tokenizer;
    const char *folder; /* of the tokenizer's files */
    const char *field;  /* the member of a record that holds the text; NULL: the object is it */
    /* A batch for `forward`: text i is the token ids[i], with the special ones that stand around
       any text. */
    akin_status (*collate)(const void *self, const int32_t *ids, int64_t count, akin_arena *arena,
                           void **batch, akin_error *error);
    /* As the class's, but vectors are not made unit ones where that is the last step. */
    akin_status (*forward)(const void *self, const akin_pass *pass, const void *batch,
                           akin_matrix y, akin_error *error);
} ak_token_reader;

/* false: the encoder is none. */
bool ak_encoder_token_reader(const akin_encoder *encoder, ak_token_reader *reader);

/* ---- head.c ---- */

struct akin_head {
    const akin_head_class *type;
    void *self;
    void *options;
    const ak_value *given;
    akin_parameters *parameters;
    int64_t input_dim, output_dim;
    akin_arena *arena;
};

/* An ak_class_finder: the head class of that name; `context` may be NULL. */
akin_status ak_head_find(const void *context, const char *name, ak_found_class *out,
                         akin_error *error);
akin_status ak_head_make(akin_head **out, akin_context *context, const ak_value *map,
                         const char *name, int64_t input_dim, akin_error *error);

/* ---- model_loss.c: the loss that a model was trained with, kept beside it ---- */

/* loss.safetensors: parameters by name, metadata "loss" (type and options) and "labels" (a list: the
   label of every group, in the order of the parameters' rows). Whoever trains on may want it; what
   serves does not. A loaded model does not read it, it is copied when the model is saved again. */
typedef struct ak_model_loss {
    char *given, *labels;        /* JSON; labels NULL: of no groups */
    akin_parameters *parameters; /* NULL: in the folder that the model was loaded from */
} ak_model_loss;

/* Takes the parameters on success only. */
akin_status ak_model_set_loss(akin_model *model, const ak_value *given, const char *labels,
                              akin_parameters *parameters, akin_error *error);
void ak_model_loss_free(ak_model_loss *loss);
/* The member "loss" of akin.json, and back. */
akin_status ak_model_loss_describe(const akin_model *model, akin_arena *arena, ak_value *root,
                                   akin_error *error);
akin_status ak_model_loss_recall(akin_model *model, const ak_value *root, akin_error *error);
akin_status ak_model_loss_write(const akin_model *model, const char *folder, akin_error *error);

/* ---- model.c ---- */

typedef struct ak_model_encoder {
    char *name;
    akin_encoder *encoder;
    int64_t offset; /* its first column in the concatenation */
} ak_model_encoder;

struct akin_model {
    akin_context *context;
    ak_model_encoder *encoders; /* by name */
    int encoder_count;
    akin_head *head;            /* NULL: none */
    int64_t input_dim, dim;
    int tag_encoder;    /* which encoder's tags the head goes by */
    int32_t *tag_map;   /* of its tags to the head's; NULL: the head wants none */
    char *path;          /* where it was loaded from, else NULL */
    char *base_path;     /* of the encoder it was tuned from, NULL: unknown */
    char *base_lora;     /* the folder of an adapter that is part of the base, NULL: none */
    ak_hash base;        /* the space of the encoders before they were tuned; 0: as they are */
    char *training_json; /* the training record, NULL: none */
    char *metrics_json;  /* base and tuned, NULL: none */
    ak_model_loss *loss; /* NULL: it had no parameters, or none is known */
};

/* Content keys of an object, one for each encoder: what it reads of it on that side. */
akin_status ak_model_keys(const akin_model *model, ak_tower tower, akin_object object,
                          ak_hash *keys, akin_error *error);
/* For ak_key_rule; user: the model. */
akin_status ak_model_rule_keys(void *user, akin_object object, bool document, ak_hash *keys,
                               akin_error *error);
/* The columns of encoder e in the features of objects of one side. A tower that is narrower than
   the other has zeros behind them. */
akin_matrix ak_model_columns(const akin_model *model, int e, ak_tower tower, akin_matrix features);
void ak_model_pad(const akin_model *model, int e, ak_tower tower, akin_matrix features);

/* What a run asks for, for encoders that say nothing of their own. */
void ak_model_set_cache(akin_model *model, const akin_cache_options *options);

/* features: n x input_dim -> y: n x dim; the head's pass, whose `documents` are set. */
akin_status ak_model_head_forward(const akin_model *model, const akin_pass *pass,
                                  akin_matrix features, akin_matrix y, akin_error *error);

/* tags.c. The head's and the encoders' tags must be the same ones. */
akin_status ak_model_match_tags(akin_model *model, akin_error *error);
/* For pass.tags: of n objects, or by the keys (as ak_model_keys makes them) of n contents. *out NULL
   where the head wants none. */
akin_status ak_model_tags(const akin_model *model, const akin_object *objects, int64_t n,
                          akin_arena *arena, const int32_t **out, akin_error *error);
akin_status ak_model_key_tags(const akin_model *model, const ak_hash *keys, const int64_t *content,
                              int64_t n, akin_arena *arena, const int32_t **out,
                              akin_error *error);

/* ---- space.c: the way into a vector space ---- */

typedef struct ak_way {
    ak_tower tower;
    bool head; /* through the head too; false: what the encoders give */
} ak_way;

/* Which of two spaces AKIN_SPACE_MODEL or _BASE means is an error. */
akin_status ak_model_way(const akin_model *model, akin_space space, ak_way *way,
                         akin_error *error);
/* base: without the head. */
ak_way ak_model_side_way(const akin_model *model, bool base, ak_tower tower);
int64_t ak_model_way_dim(const akin_model *model, ak_way way);
/* Have queries and documents different ways? */
bool ak_model_two_ways(const akin_model *model, bool base);
/* Of the encoders, both towers. */
akin_status ak_model_encoders_hash(const akin_model *model, ak_hash *out, akin_error *error);

/* The folder the first transformer came from, NULL if there is none: the base a run names. */
const char *ak_model_encoder_path(const akin_model *model);

/* Names what its first transformer was read from, folder and adapter, as the base. */
akin_status ak_model_name_base(akin_model *model, akin_error *error);

/* Sets the record of a run, as JSON text that is copied. NULL: leaves it. */
akin_status ak_model_set_record(akin_model *model, const char *base_path, const char *training,
                                const char *metrics, akin_error *error);

/* ---- directory.c ---- */

#define AK_MAX_ENCODERS 16

/* Named parameters as a safetensors file; reading demands every name and shape. */
akin_status ak_parameters_write(const akin_parameters *parameters, const char *path,
                                akin_error *error);
/* metadata: keys and values in turns, NULL at the end. */
akin_status ak_parameters_write_with(const akin_parameters *parameters, const char *path,
                                     const char *const *metadata, akin_error *error);
akin_status ak_parameters_read(akin_parameters *parameters, const char *path, akin_error *error);

/* ---- kind.c ---- */

/* "index", "vectors", "checkpoint", "parameters", "features", "tensors", "recipe" or "data", by the
   name or by what the file says of itself; "file": none of them. */
const char *ak_file_kind(const char *path);

/* ---- card.c ---- */
char *ak_model_card(const akin_model *model); /* ak_free; NULL when out of memory */

#endif
