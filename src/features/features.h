/* The door of features: frozen encoders' outputs, computed once, kept in a content-addressed store
   that training, evaluation and search share. */
#ifndef AK_FEATURES_FEATURES_H
#define AK_FEATURES_FEATURES_H

#include "model/model.h"

/* ---- store.c: vectors of one encoder by the hash of what it read ----

   FOLDER/features/FINGERPRINT[-PRECISION]/NNNNNN.safetensors, immutable segments (segment.h),
   mapped, written by rename; one writer at a time; merged into one when a run closes. A segment
   that cannot be read is dropped and its vectors are computed again. */
typedef struct ak_store ak_store;

/* What a store holds. Another encoder's vectors, or another precision's, are in another folder. */
typedef struct ak_store_kind {
    ak_hash fingerprint; /* of the encoder */
    int64_t dim;
    akin_cache_precision precision;
    const char *encoder; /* what made them, as JSON, for people to read; NULL: not known */
} ak_store_kind;

/* cache_folder NULL: the store lives in memory only. */
akin_status ak_store_open(ak_store **out, const akin_context *context, const char *cache_folder,
                          const ak_store_kind *kind, akin_error *error);
/* The vector as it is kept, for ak_store_read, until the store closes; NULL when there is none.
   Threads: yes, while nothing is put. */
const void *ak_store_find(const ak_store *store, ak_hash key);
void ak_store_read(const ak_store *store, const void *row, float *vector); /* dim numbers */
/* Becomes the one writer (waits for another process, whose vectors are then found too). */
akin_status ak_store_begin(ak_store *store, akin_error *error);
/* vectors: n x dim. A disk that cannot be written is told once; the vectors stay in memory. */
akin_status ak_store_put(ak_store *store, const ak_hash *keys, const float *vectors, int64_t n,
                         akin_error *error);
/* Writes what is pending and lets the next writer in. */
akin_status ak_store_end(ak_store *store, akin_error *error);
int64_t ak_store_count(const ak_store *store);
void ak_store_close(ak_store *store);

/* ---- collect.c: the features of many contents ---- */

typedef struct ak_contents {
    int64_t count;
    const ak_hash *keys; /* count x encoders: ak_model_keys of each */
    const uint8_t *sides; /* where each stands, as in ak_table; NULL: everywhere */
    /* The object of content i; bytes from the arena where they do not outlive the call. */
    akin_status (*object)(void *user, int64_t i, akin_arena *arena, akin_object *object,
                          akin_error *error);
    void *user;
} ak_contents;

typedef struct ak_features {
    int64_t count;
    const akin_model *model;
    const ak_hash *keys;      /* the contents', which live as long as they do */
    ak_store **stores;        /* per tower (ak_tower_place); NULL: left out */
    const void ***rows;       /* [tower][content], see ak_store_find, NULL: it does not stand on that
                                 side; [tower] NULL: left out */
    int64_t reused, encoded;  /* vectors */
    double seconds;           /* spent encoding */
} ak_features;

/* Does content i stand on that side? */
bool ak_content_is_on(const ak_contents *contents, int64_t i, ak_tower tower);
/* keys[i * encoders + e]: fills what `contents` wants of keys by reading every object. */
akin_status ak_contents_make_keys(const ak_contents *contents, const akin_model *model,
                                  ak_hash *keys, akin_error *error);

/* Finds or computes the encoders' outputs; only missing vectors are computed, and only then objects
   are read. training: encoders that are being trained are left out. */
akin_status ak_features_collect(ak_features **out, const akin_model *model,
                                const ak_contents *contents, bool training, akin_error *error);
void ak_features_free(ak_features *features);
/* Are there rows of encoder e on that side? */
bool ak_features_have(const ak_features *features, int e, ak_tower tower);
/* y: n x input_dim; the columns of encoders that are not cached (trainable) are left alone. A content
   that does not stand on that side is zeros. */
void ak_features_gather(const ak_features *features, ak_tower tower, const int64_t *content,
                        int64_t n, akin_matrix y);

/* Vectors of contents first .. first + y.rows - 1; of those that do not stand on that side nothing
   is to be known. */
akin_status ak_features_embed(const ak_features *features, ak_way way, int64_t first,
                              akin_matrix y, akin_error *error);

/* Of contents content[0 .. y.rows), with scratch in the arena. Threads: yes, with their own arenas. */
akin_status ak_features_embed_some(const ak_features *features, ak_way way, const int64_t *content,
                                   akin_arena *arena, akin_matrix y, akin_error *error);

/* ---- stems.c: the frozen lower layers of encoders that are trained, a row a token ---- */

typedef struct ak_stems {
    const akin_model *model;
    ak_store **stores; /* per tower; NULL: it has no stem, or its cache is off */
    int count;         /* of stores */
    int64_t computed;  /* contents that no store had */
} ak_stems;

/* *out NULL: no encoder has a stem. Only missing contents are read and computed. */
akin_status ak_stems_collect(ak_stems **out, const akin_model *model, const ak_contents *contents,
                             akin_error *error);
void ak_stems_free(ak_stems *stems); /* accepts NULL */
/* Gives the rows of contents content[0 .. n) to `batch`, which the encoder's collate made of them
   and which lives as long as the arena. keys: as in ak_contents. stems NULL, or the encoder has no
   stem: nothing is done. Threads: yes. */
akin_status ak_stems_give(const ak_stems *stems, int encoder, ak_tower tower, const ak_hash *keys,
                          const int64_t *content, int64_t n, void *batch, akin_arena *arena,
                          akin_error *error);

/* ---- labels.c: the sample table of a data set, kept beside the features ---- */

/* A data set that can name itself is not read again. */
akin_status ak_labels_table(ak_table **out, const akin_model *model, const akin_dataset *dataset,
                            bool *reused, akin_error *error);
/* Contents of a table, read from its data set when they are needed. */
typedef struct ak_table_source {
    const ak_table *table;
    const akin_dataset *dataset;
} ak_table_source;
ak_contents ak_table_contents(ak_table_source *source);

#endif
