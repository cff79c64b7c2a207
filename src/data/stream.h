/* Streams: samples that come one after the other, and how batches are made of them. */
#ifndef AK_DATA_STREAM_H
#define AK_DATA_STREAM_H

#include "data/dataset.h"

struct akin_stream {
    akin_stream_class type; /* a copy */
    void *self;
    /* Place of the sample that `next` gave last, for messages. NULL: it has none. */
    void (*place)(const void *self, const char **file, int64_t *line);
    /* Byte sequences of a pass, the most of any, that were no UTF-8. NULL: it does not know. */
    int64_t (*replaced)(const void *self);
    akin_dataset shell; /* its name and kind, for whoever asks a loader; it has no samples */
};

/* Takes `self` on success only. */
akin_status ak_stream_new(akin_stream **out, const akin_stream_class *type, void *self,
                          akin_error *error);

/* stream_reader.c: shuffles a stream by a buffer and cuts it into batches. The buffer is filled,
   then a random sample of it is given and its place gets the next one of the stream, until both
   are empty (TensorFlow's Dataset.shuffle): a sample comes at most `shuffle_buffer` places
   early, however late. The order is a function of (seed, pass). */
typedef struct ak_stream_reader ak_stream_reader;
akin_status ak_stream_reader_create(ak_stream_reader **out, akin_stream *stream,
                                    const akin_loader_options *options, akin_error *error);
void ak_stream_reader_free(ak_stream_reader *reader);
/* Before batch `first` of an epoch (from 1) is read: goes on where the epoch before ended, or goes
   there from the start. No batch is being read. */
akin_status ak_stream_reader_seek(ak_stream_reader *reader, int64_t epoch, int64_t first,
                                  akin_error *error);
/* Waits until batch number - 1 was read, then reads this one; any thread. Bytes come from the
   arena. *samples: up to batch_size of them; *count 0: the epoch has ended. */
akin_status ak_stream_reader_read(ak_stream_reader *reader, int64_t number, akin_arena *arena,
                                  akin_sample **samples, int64_t *count, akin_error *error);
bool ak_stream_reader_exhausted(const ak_stream_reader *reader);

/* stream_labels.c: numbers for the contents and labels of one batch, and its own known
   positives. */
akin_status ak_stream_labels(ak_batch *batch, akin_sample_kind kind, const akin_sample *samples,
                             const ak_key_rule *rule, akin_error *error);

#endif
