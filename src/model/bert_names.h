/* The tensors of a transformer of BERT's family: what a checkpoint of each architecture calls them,
   and their shapes. Serving and training number them alike and find them here. */
#ifndef AK_MODEL_BERT_NAMES_H
#define AK_MODEL_BERT_NAMES_H

#include "model/adapter.h"
#include "model/bert.h"

/* The tensors before the layers, and those of a layer. The three projections stand together, so
   that they are one product where all of them are trained. */
enum { WORDS, PLACES, TYPES, EMBED_GAIN, EMBED_SHIFT, DISTANCES, TABLE_TENSORS };
enum {
    QUERY,
    KEY,
    VALUE,
    QUERY_BIAS,
    KEY_BIAS,
    VALUE_BIAS,
    MIX,
    MIX_BIAS,
    MIX_GAIN,
    MIX_SHIFT,
    UP,
    UP_BIAS,
    DOWN,
    DOWN_BIAS,
    DOWN_GAIN,
    DOWN_SHIFT,
    LAYER_TENSORS
};

/* "BERT", "DistilBERT", ...: for messages. */
const char *ak_bert_architecture(const ak_bert_config *config);

/* A tensor's number: one of the first enumeration, or this one's. */
static inline int ak_bert_number(int layer, int part)
{
    return TABLE_TENSORS + LAYER_TENSORS * layer + part;
}

/* -1: it stands before the layers. */
static inline int ak_bert_layer_of(int number)
{
    return number < TABLE_TENSORS ? -1 : (number - TABLE_TENSORS) / LAYER_TENSORS;
}

/* A file of weights, and how tensors are named there. */
typedef struct ak_bert_source {
    const ak_bert_config *config;
    const ak_safetensors *file;
    akin_arena *arena;  /* of names, and of tensors that are not float32 */
    const char *prefix; /* before the architecture's own names: "", "bert.", ... */
    ak_adapter *adapter; /* the config's; NULL: none */
} ak_bert_source;

/* All members must outlive *out. AKIN_ERR_MISMATCH: the file is of another architecture. To be closed
   in any case. */
akin_status ak_bert_source_open(ak_bert_source *out, const ak_bert_config *config,
                                const ak_safetensors *file, akin_arena *arena, akin_error *error);

/* `status`: how reading went. If well, an adapter of which something was not read is an error. */
akin_status ak_bert_source_close(ak_bert_source *source, akin_status status, akin_error *error);

typedef struct ak_bert_tensor {
    const char *name;      /* in the file; "": the architecture has none, all else is 0 */
    const float *data;     /* lives as long as the file is open and the arena is there */
    int64_t rows, columns; /* rows 1: a vector */
    bool adapted;          /* by the adapter */
} ak_bert_tensor;

/* Missing tensors and wrong shapes are named. */
akin_status ak_bert_find(ak_bert_tensor *out, const ak_bert_source *from, int number,
                         akin_error *error);

/* Does a tensor stand beside the encoder's (a pooler, a head, a buffer), so that it does not change
   a token's vector? */
bool ak_bert_is_beside(const ak_bert_source *from, const char *name);

#endif
