/* What the fuzz targets of the readers share: the input becomes a file, which is opened as pairs
   and as groups and read to its end. Whatever the bytes, it is read or refused with a message. */
#ifndef AKIN_DATA_FUZZ_H
#define AKIN_DATA_FUZZ_H

#include "fuzz.h"

#include "data/data.h"

#include <unistd.h>

static bool is_utf8(akin_object object)
{
    const char *text = object.data;
    uint32_t point;
    for (size_t at = 0; at < object.size;) {
        int length = ak_utf8_decode(text + at, object.size - at, &point);
        if (length == 0)
            return false;
        at += (size_t)length;
    }
    return true;
}

static void check_refused(akin_status status, const akin_error *error)
{
    FUZZ_CHECK(status == AKIN_ERR_FORMAT && error->status == status && error->message[0]);
}

static void read_samples(const akin_dataset *dataset)
{
    akin_arena *arena;
    FUZZ_CHECK(ak_arena_create(&arena, NULL) == AKIN_OK);
    for (int64_t i = 0; i < akin_dataset_count(dataset); i++) {
        akin_sample s;
        akin_error error = {0};
        ak_arena_reset(arena);
        akin_status status = akin_dataset_get(dataset, i, arena, &s, &error);
        if (status)
            check_refused(status, &error);
        else if (akin_dataset_kind(dataset) == AKIN_PAIRS)
            FUZZ_CHECK(is_utf8(s.pair.a) && is_utf8(s.pair.b) && s.pair.score == s.pair.score);
        else
            FUZZ_CHECK(is_utf8(s.group.object));
    }
    ak_arena_free(arena);
}

static void fuzz_reader(const char *suffix, const uint8_t *data, size_t size)
{
    char path[128];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.80s/akin-fuzz-%ld%s", folder ? folder : "/tmp", (long)getpid(),
             suffix);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    for (int kind = AKIN_PAIRS; kind <= AKIN_GROUPS; kind++) {
        akin_dataset *dataset;
        akin_error error = {0};
        akin_status status =
            ak_dataset_open_file(&dataset, path, (akin_sample_kind)kind, NULL, NULL, &error);
        if (status)
            check_refused(status, &error);
        else
            read_samples(dataset);
        akin_dataset_free(dataset);
    }
    unlink(path);
}

#endif
