/* The door of data: data sets, splits, the table of a set's labels and contents, and the loader
   that turns samples into batches. Knows no numbers but labels: no matrix is seen here. */
#ifndef AK_DATA_DATA_H
#define AK_DATA_DATA_H

#include "base/base.h"

/* ---- data sets ---- */

/* A file by its suffix: .jsonl, .csv, .tsv, each also .gz. It is mapped and never loaded whole; a
   .gz is unpacked once into `cache_folder` (NULL: into a temporary file that is gone when the data
   set is freed). `fields` may be NULL.

   A label (group, subgroup) is its text: the number 1, the number 1.0 and the text "1" are one
   label, so that a CSV and a JSONL file of the same data agree. Whole numbers stand for themselves,
   any other text for its hash. A subgroup that is absent, null, empty or 0 is not given; a group
   must be given. A score that is absent, null or empty is 1; true and false are 1 and 0. A field
   named in `fields` must be there in every record, a default name only where akin.h says so. */
akin_status ak_dataset_open_file(akin_dataset **out, const char *path, akin_sample_kind kind,
                                 const akin_fields *fields, const char *cache_folder,
                                 akin_error *error);

/* A hash of everything a data set holds (for a file: content hash, memoised by path, size and time,
   fields and kind), so that its labels can be kept. false: it cannot name itself (a
   user's callbacks, a file that was replaced since it was opened). */
bool ak_dataset_fingerprint(const akin_dataset *dataset, ak_hash *fingerprint);
const char *ak_dataset_name(const akin_dataset *dataset); /* "faq.jsonl", for messages */

/* Samples first .. first + count - 1 of a mix come from one data set. */
typedef struct ak_data_part {
    int64_t first, count;
    double weight; /* how often an epoch draws each */
} ak_data_part;
#define AK_MAX_WEIGHT 10000
/* In the order of the samples; 0: no mix. They live as long as the data set. */
int64_t ak_dataset_parts(const akin_dataset *dataset, const ak_data_part **parts);
/* Invalid UTF-8 sequences replaced so far; a record that is read again is not counted again. */
int64_t ak_dataset_replaced(const akin_dataset *dataset);
/* The label of a sample of groups as the file has it: a text, a number, true or false. */
akin_status ak_dataset_label(const akin_dataset *dataset, int64_t index, akin_arena *arena,
                             ak_value *label, akin_error *error);
/* An error about one sample: "faq.jsonl:17: ..." where it has a line, or "name: sample 16: ...". */
akin_status ak_dataset_fail(const akin_dataset *dataset, int64_t index, akin_error *error,
                            akin_status status, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Hash of a file's bytes. Where `cache_folder` is not NULL the hash is kept there under the file's
   path and believed while size and time are the same. */
akin_status ak_file_hash(ak_hash *out, const char *path, const char *cache_folder,
                         akin_error *error);

/* ---- corpora: objects without labels (akin.h, part 9) ---- */

/* fields: members that are joined by a space (NULL-terminated, at most 3; only the last must be
   there); NULL: the whole record. id NULL: records have none. path "-": lines of standard input. */
akin_status ak_corpus_open(akin_corpus **out, const char *path, const char *const *fields,
                           const char *id, const char *cache_folder, akin_error *error);
bool ak_corpus_is_known(const char *path); /* does the name tell a format? */
bool ak_corpus_is_lines(const char *path); /* text, an object a line: .txt, standard input */
/* Threads: yes. */
akin_status ak_corpus_get(const akin_corpus *corpus, int64_t index, akin_arena *arena,
                          akin_object *object, akin_error *error);
int64_t ak_corpus_replaced(const akin_corpus *corpus);
int64_t ak_corpus_line(const akin_corpus *corpus, int64_t index); /* of its file, from 1 */

/* Ids of a corpus; one that is there twice is an error. find: -1 if there is none. */
typedef struct ak_names ak_names;
akin_status ak_corpus_names(ak_names **out, const akin_corpus *corpus, akin_error *error);
int64_t ak_names_find(const ak_names *names, const char *name);
const char *ak_names_at(const ak_names *names, int64_t number);
void ak_names_table_free(ak_names *names);

/* ---- sample table: labels and content numbers of a whole data set, read once ---- */

/* What an object is, for equality: hashes of what each of its readers reads of it. `keys` gets
   `parts` of them; document: the object is the b of a pair. Called by several threads at once. */
typedef struct ak_key_rule {
    akin_status (*keys)(void *user, akin_object object, bool document, ak_hash *keys,
                        akin_error *error);
    void *user;
    int parts;
} ak_key_rule;
typedef void ak_progress_function(void *user, int64_t done, int64_t total);

/* Where a content stands: as the a of a pair, as the b of one, or both. */
enum { AK_ON_QUERIES = 1, AK_ON_DOCUMENTS = 2 };

typedef struct ak_table {
    akin_sample_kind kind;
    int64_t count;         /* samples */
    int64_t objects;       /* per sample: 2 for pairs (a, b), 1 for groups */
    int64_t *content;      /* count x objects: number of the content, 0 .. contents - 1 */
    int64_t contents;      /* numbered by first appearance: a_0, b_0, a_1, b_1, ... */
    ak_hash *keys;         /* per content: of all its parts */
    int64_t parts;         /* keys that the rule gives for an object */
    ak_hash *part_keys;    /* contents x parts; NULL when parts is 1: `keys` are the same */
    int64_t *first_sample; /* per content: the first sample that holds it */
    uint32_t *bytes;       /* per content: the size of its object there */
    uint8_t *sides;        /* pairs: per content, AK_ON_QUERIES | AK_ON_DOCUMENTS; groups: NULL */
    float *score;          /* pairs */
    int64_t *subgroup;     /* pairs; NULL when no sample gives one. 0 .. subgroups - 1 */
    int64_t subgroups;
    int64_t *group; /* groups: 0 .. groups - 1, numbered by first appearance */
    int64_t groups;
    ak_hash *group_keys; /* groups: hash of each one's label */
    int64_t *positive_start; /* contents + 1; see akin_labels; NULL when there are none */
    int64_t *positives;
} ak_table;

/* Reads every sample once (several threads; the result does not depend on how many). Mixing
   given and absent subgroups is an error. Interns by the rule's keys (NULL: the hash of the
   object's bytes); known positives are the pairs with score > .5. Progress (may be NULL) is told
   on the calling thread. */
akin_status ak_table_build(ak_table **out, const akin_dataset *dataset, const ak_key_rule *rule,
                           ak_progress_function *progress, void *progress_user,
                           akin_error *error);
/* A table of no samples: a stream's. */
akin_status ak_table_empty(ak_table **out, akin_sample_kind kind, akin_error *error);
void ak_table_free(ak_table *table);
/* Groups that hold one sample; 0 when there is no memory to count them. */
int64_t ak_table_lonely_groups(const ak_table *table);
/* map[g]: the number in `other` of the label that is group g here; labels that `other` has not get
   numbers from other->groups on. *map: table->groups numbers, freed by ak_free. */
akin_status ak_table_match_groups(int64_t **map, const ak_table *table, const ak_table *other,
                                  akin_error *error);
/* The label map: a JSON list whose place g has the label of group g, as its first sample has it.
   `table` is the data set's. *json is freed by ak_free. */
akin_status ak_table_labels(char **json, const ak_table *table, const akin_dataset *dataset,
                            akin_error *error);
/* As bytes, for the cache (a private format with a version and a checksum). A loaded table is
   mapped and must not be written to. */
akin_status ak_table_save(const ak_table *table, const char *path, akin_error *error);
akin_status ak_table_load(ak_table **out, const char *path, akin_error *error);

/* akin_dataset_split with a say in what equal objects are: two views by a table of the data set.
   The held-out part is at least half and at most one and a half times what `fraction` asks for,
   else the split is refused; where there are many small parts it is exact. */
akin_status ak_dataset_split(akin_dataset **train, akin_dataset **validation,
                             const akin_dataset *dataset, const ak_table *table, double fraction,
                             akin_split_by by, uint64_t seed, akin_error *error);

/* ---- samplers: which samples stand together in a batch ---- */

/* A sampler that was asked for: its class and options. Lives in the arena it was parsed into. */
typedef struct ak_sampler {
    const struct ak_sampler_class *type;
    void *options;
    const char *text; /* JSON, defaults filled in */
} ak_sampler;

/* A name, a map with a type, or null (NULL too): shuffle. `source` is for messages. */
akin_status ak_sampler_parse(ak_sampler *out, const ak_value *value, const char *source,
                             akin_arena *arena, akin_error *error);
/* The same from YAML, as akin_loader_options has it; NULL: shuffle. */
akin_status ak_sampler_read(ak_sampler *out, const char *text, akin_arena *arena,
                            akin_error *error);
/* AKIN_ERR_MISMATCH if it cannot sample such samples; `name` of the data set is for the message. */
akin_status ak_sampler_check(const ak_sampler *sampler, akin_sample_kind kind, const char *name,
                             akin_error *error);
bool ak_sampler_at(int64_t number, akin_class_info *info); /* false past the end */

/* ---- loader ---- */

/* Samples of one step. Memory belongs to the batch's arena. */
typedef struct ak_batch {
    int64_t number;       /* in the epoch, from 0 */
    int64_t count;        /* samples */
    int64_t object_count; /* count x table->objects; pairs: a_0..a_n-1, b_0..b_n-1 */
    int64_t *samples;     /* numbers in the data set */
    akin_labels labels;   /* content, group, ... of the whole set's numbering */
    akin_object *objects; /* NULL unless the loader reads objects */
    void *collated;       /* whatever the collate made */
    akin_arena *arena;
} ak_batch;

/* The trainer's part of making a batch: runs on loader threads, may fail. NULL objects mean that
   nothing of this data set needs its bytes (everything is cached). */
typedef akin_status ak_collate_function(void *user, ak_batch *batch, akin_error *error);

const akin_loader_options *ak_loader_options_of(const akin_loader *loader);
const char *ak_loader_sampler(const akin_loader *loader); /* JSON; "" when nothing is shuffled */

/* Ties a loader to a table before the first epoch; again to change what is tied. read_objects
   false: the data set is not touched. `collate` may be NULL. The table must outlive the loader or
   the next prepare; no batch may be held across a prepare. */
akin_status ak_loader_prepare(akin_loader *loader, const ak_table *table, bool read_objects,
                              ak_collate_function *collate, void *user, akin_error *error);
/* For a loader of a stream, which has no table: contents and labels have numbers of the batch's
   own, equal by the rule (NULL: the bytes), known positives are the batch's, `samples` are -1. */
akin_status ak_loader_prepare_stream(akin_loader *loader, const ak_key_rule *rule,
                                     ak_collate_function *collate, void *user, akin_error *error);
bool ak_loader_is_stream(const akin_loader *loader);
/* A stream that can be read once has ended: there is no further epoch. */
bool ak_loader_exhausted(const akin_loader *loader);
/* Per epoch, once prepared. 0: not known, for it is a stream without epoch_steps. */
int64_t ak_loader_batches(const akin_loader *loader);
/* groups x count, -1 behind the last: the groups near to each, which the sampler "groups" puts
   into the same batches from the next epoch on; another sampler is an error. `near` must outlive
   that. */
akin_status ak_loader_set_near(akin_loader *loader, const int64_t *near, int64_t count,
                               akin_error *error);
/* Samples that the epoch that was started drew and the sampler put into no batch. */
int64_t ak_loader_left_out(const akin_loader *loader);
/* Starts an epoch: the order is a function of (seed, epoch). `first` batch to deliver (resume). */
akin_status ak_loader_start(akin_loader *loader, int64_t epoch, int64_t first, akin_error *error);
/* The next batch in order, whatever the number of workers; *batch NULL at the end. It is the
   caller's until ak_loader_release; at most two may be held. Errors of workers come out here, in
   order, and end the epoch. */
akin_status ak_loader_next(akin_loader *loader, ak_batch **batch, akin_error *error);
void ak_loader_release(akin_loader *loader, ak_batch *batch);
void ak_loader_stop(akin_loader *loader); /* ends the epoch early: no worker is at work after it */

#endif
