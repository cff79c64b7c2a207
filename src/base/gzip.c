/* gzip (RFC 1952) through zlib's inflate: several members in a row, each checked by its CRC; a file
   that ends early, or has bytes that are no member after the last one, is refused. */
#include "base/file.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#define CHUNK (256 * 1024)
#define GZIP_ONLY (15 + 16) /* inflateInit2: window of 2^15, gzip's header and no other */

typedef struct unpacking {
    const char *name;
    ak_map map;
    size_t position;
    ak_writer *writer;
    z_stream stream;
    unsigned char *chunk;
} unpacking;

static voidpf zlib_alloc(voidpf user, uInt count, uInt size)
{
    (void)user;
    return ak_calloc(count, size);
}

static void zlib_free(voidpf user, voidpf memory)
{
    (void)user;
    ak_free(memory);
}

static akin_status inflate_failed(const unpacking *u, int result, akin_error *error)
{
    if (result == Z_MEM_ERROR)
        return ak_fail_memory(error);
    if (result == Z_BUF_ERROR)
        return ak_fail_at(error, AKIN_ERR_FORMAT, u->name, 0, "the gzip data ends too early");
    return ak_fail_at(error, AKIN_ERR_FORMAT, u->name, 0, "bad gzip data: %s",
                      u->stream.msg ? u->stream.msg : "corrupt");
}

/* One member: from its header to its checksum. */
static akin_status unpack_member(unpacking *u, akin_error *error)
{
    int result = inflateReset(&u->stream);
    while (result != Z_STREAM_END) {
        size_t left = u->map.size - u->position;
        uInt given = left < UINT_MAX ? (uInt)left : UINT_MAX;
        u->stream.next_in = (z_const Bytef *)u->map.data + u->position;
        u->stream.avail_in = given;
        u->stream.next_out = u->chunk;
        u->stream.avail_out = CHUNK;
        result = inflate(&u->stream, Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END)
            return inflate_failed(u, result, error);
        u->position += given - u->stream.avail_in;
        AK_TRY(ak_writer_put(u->writer, u->chunk, CHUNK - u->stream.avail_out, error));
    }
    return AKIN_OK;
}

/* Tapes and some tools pad with zeros. */
static bool only_padding_left(const unpacking *u)
{
    size_t i = u->position;
    while (i < u->map.size && u->map.data[i] == 0)
        i++;
    return i == u->map.size;
}

static akin_status unpack(unpacking *u, akin_error *error)
{
    if (u->map.size < 2 || memcmp(u->map.data, "\x1f\x8b", 2) != 0)
        return ak_fail_at(error, AKIN_ERR_FORMAT, u->name, 0,
                          "not a gzip file: expected it to begin with the bytes 1f 8b");
    do
        AK_TRY(unpack_member(u, error));
    while (!only_padding_left(u));
    return AKIN_OK;
}

akin_status ak_gunzip(const char *path, const char *target, akin_error *error)
{
    unpacking u = {.name = path, .stream = {.zalloc = zlib_alloc, .zfree = zlib_free}};
    AK_TRY(ak_map_open(&u.map, path, error));
    akin_status status = AKIN_OK;
    bool started = false;
    u.chunk = ak_alloc(CHUNK);
    if (!u.chunk || inflateInit2(&u.stream, GZIP_ONLY) != Z_OK)
        status = ak_fail_memory(error);
    else
        started = true;
    if (!status)
        status = ak_writer_open(&u.writer, target, error);
    if (!status)
        status = unpack(&u, error);
    if (status)
        ak_writer_abort(u.writer);
    else
        status = ak_writer_commit(u.writer, error);
    if (started)
        inflateEnd(&u.stream);
    ak_free(u.chunk);
    ak_map_close(&u.map);
    return status;
}
