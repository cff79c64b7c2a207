/* Bytes of a file, a pipe or standard input, one after the other; gzip (RFC 1952) is unpacked as
   it is read, by zlib's gzread, which tells packed from plain bytes by the first two. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define BUFFER (256 * 1024)
#define MOST (1 << 30) /* gzread counts by int */

struct ak_input {
    char *name;
    gzFile file;
    bool regular;
};

static akin_status open_file(ak_input *input, const char *path, akin_error *error)
{
    struct stat about;
    int file = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &about)) {
        akin_status status = ak_fail_errno(error, "read", path);
        if (file >= 0)
            close(file);
        return status;
    }
    if (S_ISDIR(about.st_mode)) {
        close(file);
        return ak_fail_at(error, AKIN_ERR_IO, path, 0, "is a folder, expected a file");
    }
    input->regular = S_ISREG(about.st_mode);
    input->file = gzdopen(file, "rb");
    if (!input->file) {
        close(file);
        return ak_fail_memory(error);
    }
    return gzbuffer(input->file, BUFFER) ? ak_fail_memory(error) : AKIN_OK;
}

akin_status ak_input_open(ak_input **out, const char *path, akin_error *error)
{
    *out = NULL;
    ak_input *input = ak_calloc(1, sizeof *input);
    if (!input)
        return ak_fail_memory(error);
    input->name = ak_strdup(strcmp(path, "-") ? path : "standard input");
    akin_status status = input->name ? open_file(input, path, error) : ak_fail_memory(error);
    if (status)
        ak_input_close(input);
    else
        *out = input;
    return status;
}

static akin_status failed(const ak_input *input, akin_error *error)
{
    int number;
    const char *text = gzerror(input->file, &number);
    if (number == Z_ERRNO)
        return ak_fail_errno(error, "read", input->name);
    if (number == Z_MEM_ERROR)
        return ak_fail_memory(error);
    if (number == Z_BUF_ERROR)
        return ak_fail_at(error, AKIN_ERR_FORMAT, input->name, 0, "the gzip data ends too early");
    return ak_fail_at(error, AKIN_ERR_FORMAT, input->name, 0, "bad gzip data: %s", text);
}

akin_status ak_input_read(ak_input *input, void *data, size_t size, size_t *got, akin_error *error)
{
    int number, read = gzread(input->file, data, size < MOST ? (unsigned)size : MOST);
    *got = 0;
    if (read < 0)
        return failed(input, error);
    if (read == 0 && size) {
        gzerror(input->file, &number);
        if (number != Z_OK && number != Z_STREAM_END)
            return failed(input, error);
    }
    *got = (size_t)read;
    return AKIN_OK;
}

bool ak_input_is_file(const ak_input *input)
{
    return input->regular;
}

akin_status ak_input_rewind(ak_input *input, akin_error *error)
{
    return gzrewind(input->file) ? failed(input, error) : AKIN_OK;
}

void ak_input_close(ak_input *input)
{
    if (!input)
        return;
    if (input->file)
        gzclose_r(input->file);
    ak_free(input->name);
    ak_free(input);
}
