#include "data/stream.h"

static akin_status no_samples(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                              akin_error *error)
{
    (void)self, (void)index, (void)arena, (void)sample;
    return ak_fail(error, AKIN_ERR_UNSUPPORTED, "a stream's samples have no numbers");
}

static bool no_fingerprint(const void *self, ak_hash *fingerprint)
{
    (void)self, (void)fingerprint;
    return false;
}

static int64_t shell_replaced(const void *self)
{
    const akin_stream *stream = self;
    return stream->replaced ? stream->replaced(stream->self) : 0;
}

akin_status ak_stream_new(akin_stream **out, const akin_stream_class *type, void *self,
                          akin_error *error)
{
    static const ak_dataset_extra extra = {no_fingerprint, shell_replaced, NULL, NULL, NULL};
    *out = NULL;
    akin_stream *stream = ak_calloc(1, sizeof *stream);
    if (!stream)
        return ak_fail_memory(error);
    stream->type = *type;
    stream->self = self;
    stream->shell.type = (akin_dataset_class){.size = sizeof(akin_dataset_class),
                                              .name = type->name ? type->name : "stream",
                                              .kind = type->kind,
                                              .get = no_samples};
    stream->shell.extra = &extra;
    stream->shell.self = stream;
    *out = stream;
    return AKIN_OK;
}

akin_status akin_stream_create(akin_stream **out, const akin_stream_class *type, void *self,
                               akin_error *error)
{
    *out = NULL;
    if (!type || type->size < sizeof(akin_stream_class))
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a stream's class must give its size as sizeof(akin_stream_class)");
    if (!type->next)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a stream's class needs `next`");
    if (type->kind != AKIN_PAIRS && type->kind != AKIN_GROUPS)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a stream's kind must be AKIN_PAIRS or AKIN_GROUPS");
    return ak_stream_new(out, type, self, error);
}

void akin_stream_free(akin_stream *stream)
{
    if (!stream)
        return;
    if (stream->type.free)
        stream->type.free(stream->self);
    ak_free(stream);
}
