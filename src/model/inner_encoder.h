/* An encoder inside another: what switch and two_towers are made of. It is saved in a folder of its
   own in the outer one's. */
#ifndef AK_MODEL_INNER_ENCODER_H
#define AK_MODEL_INNER_ENCODER_H

#include "model/model.h"

typedef struct ak_inner_encoder {
    const char *name; /* of its folder; the outer encoder's */
    const akin_encoder_class *type;
    void *self; /* NULL: not opened */
} ak_inner_encoder;

/* outer: the class it is in, for messages. place->folder is the outer encoder's; load: what its
   save wrote. An encoder that has sides or tags, or no fingerprint, cannot be inside another. */
akin_status ak_inner_encoder_open(ak_inner_encoder *out, const akin_class_given *given,
                                  const char *name, const char *outer, const akin_place *place,
                                  bool load, akin_error *error);
void ak_inner_encoder_free(ak_inner_encoder *encoder);
akin_status ak_inner_encoder_save(const ak_inner_encoder *encoder, const char *folder,
                                  akin_error *error);
int64_t ak_inner_encoder_dim(const ak_inner_encoder *encoder);
bool ak_inner_encoder_trainable(const ak_inner_encoder *encoder);
/* The lines that several have to tell; see akin_encoder_class. */
void ak_inner_encoder_notes(const ak_inner_encoder *encoders, int64_t count, char *out,
                            size_t size);

#endif
