/* What stands behind an akin_dataset: the class struct of akin.h, which the user fills as our own
   readers do, and what only our own can tell besides. */
#ifndef AK_DATA_DATASET_H
#define AK_DATA_DATASET_H

#include "data/data.h"

typedef struct ak_dataset_extra {
    bool (*fingerprint)(const void *self, ak_hash *fingerprint);
    int64_t (*replaced)(const void *self); /* NULL: 0 */
    /* File and line of a sample, for messages. NULL: it has none. */
    void (*place)(const void *self, int64_t index, const char **file, int64_t *line);
    /* The label of a sample of groups as it was written. NULL: it is the number that `get`
       gives. */
    akin_status (*label)(void *self, int64_t index, akin_arena *arena, ak_value *label,
                         akin_error *error);
    int64_t (*parts)(const void *self, const ak_data_part **parts); /* NULL: no mix */
} ak_dataset_extra;

struct akin_dataset {
    akin_dataset_class type;       /* a copy */
    const ak_dataset_extra *extra; /* NULL: a data set of the user's */
    void *self;
    int64_t count;
};

/* Takes `self` on success only. */
akin_status ak_dataset_new(akin_dataset **out, const akin_dataset_class *type,
                           const ak_dataset_extra *extra, void *self, akin_error *error);

/* texts.c: a folder of LABEL/NAME.txt. */
akin_status ak_dataset_open_texts(akin_dataset **out, const char *path, akin_sample_kind kind,
                                  const akin_fields *fields, akin_error *error);

/* A data set made of samples index[0..count) of `parent`, which must outlive it. Takes `index`,
   which ascends and ak_free frees, on success only. */
akin_status ak_dataset_view(akin_dataset **out, const akin_dataset *parent, int64_t *index,
                            int64_t count, akin_error *error);

#endif
