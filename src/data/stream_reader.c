#include "data/stream.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define BUFFER_STREAM UINT64_C(0x6275666665720000) /* "buffer", then the pass */

/* A place of the buffer: a sample and the bytes it points into. */
typedef struct place {
    akin_sample sample;
    char *bytes;
    size_t capacity;
} place;

struct ak_stream_reader {
    akin_stream *stream;
    akin_loader_options options;
    akin_arena *arena; /* of the sample that the stream gives */
    place *places;
    int64_t place_count, filled;
    int64_t pass;   /* of the stream, which ends inside an epoch where an epoch has its steps */
    uint64_t drawn; /* samples of this pass */
    int64_t read;   /* samples that the stream gave in this pass */
    bool fresh;     /* nothing was read yet */
    bool dry;       /* the stream has ended this pass */
    bool has_subgroups, subgroups_known;
    int64_t at; /* batches read since the pass (epoch_steps 0) or the first one began */
    akin_arena *skipped;
    /* Batches are read in order, whichever threads ask. */
    pthread_mutex_t mutex;
    pthread_cond_t next_turn;
    int64_t turn;
    bool ended; /* of this epoch, by its end or by an error */
};

/* ---- the buffer ---- */

static akin_object keep_object(akin_object object, char **bytes)
{
    akin_object copy = {*bytes, object.size};
    if (object.size)
        memcpy(*bytes, object.data, object.size);
    *bytes += object.size;
    return copy;
}

static akin_sample copy_sample(const akin_sample *sample, akin_sample_kind kind, char *bytes)
{
    akin_sample copy = *sample;
    if (kind == AKIN_GROUPS) {
        copy.group.object = keep_object(sample->group.object, &bytes);
    } else {
        copy.pair.a = keep_object(sample->pair.a, &bytes);
        copy.pair.b = keep_object(sample->pair.b, &bytes);
    }
    return copy;
}

static size_t sample_size(const akin_sample *sample, akin_sample_kind kind)
{
    return kind == AKIN_GROUPS ? sample->group.object.size
                               : sample->pair.a.size + sample->pair.b.size;
}

static akin_status keep(place *p, const akin_sample *sample, akin_sample_kind kind,
                        akin_error *error)
{
    size_t size = sample_size(sample, kind);
    if (size > p->capacity) {
        ak_free(p->bytes);
        p->capacity = 0;
        p->bytes = ak_alloc(size + size / 4);
        if (!p->bytes)
            return ak_fail_memory(error);
        p->capacity = size + size / 4;
    }
    p->sample = copy_sample(sample, kind, p->bytes);
    return AKIN_OK;
}

/* ---- the stream ---- */

static akin_status fail(const ak_stream_reader *r, akin_error *error, akin_status status,
                        const char *text)
{
    const char *file = NULL;
    int64_t line = 0;
    if (r->stream->place)
        r->stream->place(r->stream->self, &file, &line);
    if (file)
        return ak_fail_at(error, status, file, line, "%s", text);
    return ak_fail(error, status, "%s: sample %lld: %s", r->stream->shell.type.name,
                   (long long)r->read, text);
}

/* A user's callback is believed after this only. */
static akin_status check_sample(ak_stream_reader *r, const akin_sample *sample, akin_error *error)
{
    bool pairs = r->stream->type.kind == AKIN_PAIRS;
    const akin_object *first = pairs ? &sample->pair.a : &sample->group.object;
    if ((first->size && !first->data) || (pairs && sample->pair.b.size && !sample->pair.b.data))
        return fail(r, error, AKIN_ERR_ARGUMENT, "an object has a size but no data");
    if (!pairs)
        return AKIN_OK;
    if (!isfinite(sample->pair.score))
        return fail(r, error, AKIN_ERR_FORMAT, "the score is not a finite number");
    bool given = sample->pair.subgroup != 0;
    if (r->subgroups_known && given != r->has_subgroups)
        return fail(r, error, AKIN_ERR_FORMAT,
                    given ? "a subgroup, but the samples before it have none; give every sample a "
                            "subgroup or none"
                          : "no subgroup, but the samples before it have one; give every sample a "
                            "subgroup or none");
    r->subgroups_known = true;
    r->has_subgroups = given;
    return AKIN_OK;
}

/* The stream's next sample into a place, or r->dry. */
static akin_status refill(ak_stream_reader *r, place *p, akin_error *error)
{
    akin_sample sample = {0};
    const akin_stream_class *type = &r->stream->type;
    akin_error found = {0};
    if (type->kind == AKIN_PAIRS)
        sample.pair.score = 1;
    ak_arena_reset(r->arena);
    r->fresh = false;
    akin_status status = type->next(r->stream->self, r->arena, &sample, &r->dry, &found);
    if (status) {
        if (!found.status) /* a callback that gives no reason */
            return fail(r, error, status, akin_status_name(status));
        if (error)
            *error = found;
        return status;
    }
    if (r->dry)
        return AKIN_OK;
    AK_TRY(check_sample(r, &sample, error));
    r->read++;
    return keep(p, &sample, type->kind, error);
}

/* *found false: the pass has ended. */
static akin_status take_sample(ak_stream_reader *r, akin_arena *arena, akin_sample *sample,
                               bool *found, akin_error *error)
{
    akin_sample_kind kind = r->stream->type.kind;
    while (r->filled < r->place_count && !r->dry) {
        AK_TRY(refill(r, &r->places[r->filled], error));
        r->filled += !r->dry;
    }
    *found = r->filled > 0;
    if (!*found)
        return AKIN_OK;
    int64_t i = (int64_t)ak_random_below(r->options.seed, BUFFER_STREAM + (uint64_t)r->pass,
                                         r->drawn++, (uint64_t)r->filled);
    place *p = &r->places[i];
    char *bytes = akin_arena_alloc(arena, sample_size(&p->sample, kind));
    if (!bytes)
        return ak_fail_memory(error);
    *sample = copy_sample(&p->sample, kind, bytes);
    if (!r->dry)
        AK_TRY(refill(r, p, error));
    if (r->dry) {
        place last = r->places[--r->filled];
        r->places[r->filled] = *p;
        *p = last;
    }
    return AKIN_OK;
}

static akin_status rewind_to(ak_stream_reader *r, int64_t pass, akin_error *error)
{
    const akin_stream_class *type = &r->stream->type;
    if (!r->fresh && !type->rewind)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "%s: can be read only once, so that a run cannot go back in it",
                       r->stream->shell.type.name);
    if (type->rewind)
        AK_TRY(type->rewind(r->stream->self, pass, error));
    r->pass = pass;
    r->drawn = 0;
    r->read = 0;
    r->filled = 0;
    r->dry = false;
    return AKIN_OK;
}

/* ---- batches ---- */

/* An epoch of epoch_steps batches goes on with the next pass where one ends. */
static akin_status take_batch(ak_stream_reader *r, akin_arena *arena, akin_sample *samples,
                              int64_t *count, akin_error *error)
{
    int64_t n = 0, size = r->options.batch_size;
    bool found = true;
    while (n < size && found) {
        AK_TRY(take_sample(r, arena, &samples[n], &found, error));
        n += found;
        if (found || !r->options.epoch_steps || !r->stream->type.rewind)
            continue;
        if (!r->read)
            return ak_fail(error, AKIN_ERR_FORMAT, "%s: holds no samples",
                           r->stream->shell.type.name);
        AK_TRY(rewind_to(r, r->pass + 1, error));
        found = true;
    }
    *count = r->options.drop_last && n < size ? 0 : n;
    r->at++;
    return AKIN_OK;
}

static akin_status read_turn(ak_stream_reader *r, akin_arena *arena, akin_sample **samples,
                             int64_t *count, akin_error *error)
{
    *samples = ak_arena_new(arena, akin_sample, r->options.batch_size);
    if (!*samples)
        return ak_fail_memory(error);
    return take_batch(r, arena, *samples, count, error);
}

akin_status ak_stream_reader_read(ak_stream_reader *r, int64_t number, akin_arena *arena,
                                  akin_sample **samples, int64_t *count, akin_error *error)
{
    akin_status status = AKIN_OK;
    *samples = NULL;
    *count = 0;
    pthread_mutex_lock(&r->mutex);
    while (r->turn != number)
        pthread_cond_wait(&r->next_turn, &r->mutex);
    if (!r->ended)
        status = read_turn(r, arena, samples, count, error);
    r->ended = r->ended || status || *count == 0;
    r->turn++;
    pthread_cond_broadcast(&r->next_turn);
    pthread_mutex_unlock(&r->mutex);
    return status;
}

/* Batches that a run had before it was stopped: read, so that the buffer is what it was. */
static akin_status skip(ak_stream_reader *r, int64_t batches, akin_error *error)
{
    for (; batches > 0; batches--) {
        akin_sample *samples;
        int64_t count;
        ak_arena_reset(r->skipped);
        AK_TRY(read_turn(r, r->skipped, &samples, &count, error));
        if (!count)
            return ak_fail(error, AKIN_ERR_MISMATCH,
                           "%s: has fewer samples than when the run was stopped",
                           r->stream->shell.type.name);
    }
    return AKIN_OK;
}

akin_status ak_stream_reader_seek(ak_stream_reader *r, int64_t epoch, int64_t first,
                                  akin_error *error)
{
    int64_t steps = r->options.epoch_steps, target = first, pass = epoch > 0 ? epoch - 1 : 0;
    if (steps) {
        target += pass * steps;
        pass = 0;
    }
    bool there = steps && !r->fresh && !r->ended && r->at == target;
    r->turn = first;
    r->ended = false;
    if (there)
        return AKIN_OK;
    AK_TRY(rewind_to(r, pass, error));
    r->at = 0;
    return skip(r, target, error);
}

bool ak_stream_reader_exhausted(const ak_stream_reader *r)
{
    return !r->stream->type.rewind && r->dry && r->filled == 0;
}

/* ---- creating ---- */

static akin_status make_room(ak_stream_reader *r, akin_error *error)
{
    AK_TRY(ak_arena_create(&r->arena, error));
    AK_TRY(ak_arena_create(&r->skipped, error));
    r->places = ak_calloc((size_t)r->place_count, sizeof *r->places);
    return r->places ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_stream_reader_create(ak_stream_reader **out, akin_stream *stream,
                                    const akin_loader_options *options, akin_error *error)
{
    *out = NULL;
    ak_stream_reader *r = ak_calloc(1, sizeof *r);
    if (!r)
        return ak_fail_memory(error);
    r->stream = stream;
    r->options = *options;
    r->place_count = options->shuffle ? options->shuffle_buffer : 1;
    r->fresh = true;
    if (pthread_mutex_init(&r->mutex, NULL)) {
        ak_free(r);
        return ak_fail_memory(error);
    }
    if (pthread_cond_init(&r->next_turn, NULL)) {
        pthread_mutex_destroy(&r->mutex);
        ak_free(r);
        return ak_fail_memory(error);
    }
    akin_status status = make_room(r, error);
    if (status)
        ak_stream_reader_free(r);
    else
        *out = r;
    return status;
}

void ak_stream_reader_free(ak_stream_reader *r)
{
    if (!r)
        return;
    for (int64_t i = 0; r->places && i < r->place_count; i++)
        ak_free(r->places[i].bytes);
    ak_free(r->places);
    ak_arena_free(r->arena);
    ak_arena_free(r->skipped);
    pthread_cond_destroy(&r->next_turn);
    pthread_mutex_destroy(&r->mutex);
    ak_free(r);
}
