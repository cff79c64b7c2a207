/* Files: maps, the writer, logs, locks, stamps.

   The writer collects bytes in a buffer and writes a temporary file beside its target; commit syncs
   the file, renames it and syncs the folder, so that after a crash there is the old file or the
   whole new one. A target that is a device or a pipe is written directly: renaming over /dev/null
   would replace the device. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE (256 * 1024)
#define MAX_WRITE (1 << 30) /* Linux writes at most 2 GB at once */
#define MAX_TRIES 10000     /* of names for a temporary */

static akin_status fail(akin_error *error, const char *verb, const char *path)
{
    return errno == ENOMEM ? ak_fail_memory(error) : ak_fail_errno(error, verb, path);
}

static int close_keeping_errno(int file)
{
    int kept = errno, result = close(file);
    errno = kept;
    return result;
}

/* ---- maps ---- */

/* A pipe has no pages to map: its bytes are collected in anonymous ones. */
static akin_status map_stream(ak_map *out, int file, const char *path, akin_error *error)
{
    size_t capacity = BUFFER_SIZE, size = 0;
    char *data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return fail(error, "read", path);
    for (;;) {
        ssize_t got = read(file, data + size, capacity - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got == 0)
                break;
            int kept = errno;
            munmap(data, capacity);
            errno = kept;
            return fail(error, "read", path);
        }
        size += (size_t)got;
        if (size < capacity)
            continue;
        char *grown = mremap(data, capacity, 2 * capacity, MREMAP_MAYMOVE);
        if (grown == MAP_FAILED) {
            munmap(data, capacity);
            return ak_fail_memory(error);
        }
        data = grown;
        capacity *= 2;
    }
    if (size == 0)
        munmap(data, capacity);
    else
        *out = (ak_map){.data = mremap(data, capacity, size, 0), .size = size};
    return AKIN_OK;
}

akin_status ak_map_open(ak_map *out, const char *path, akin_error *error)
{
    *out = (ak_map){.data = ""};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return fail(error, "read", path);
    struct stat info;
    akin_status status = AKIN_OK;
    if (fstat(file, &info)) {
        status = fail(error, "read", path);
    } else if (S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        status = ak_fail_errno(error, "read", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = map_stream(out, file, path, error);
    } else if (info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED)
            status = fail(error, "map", path);
        else
            *out = (ak_map){.data = data, .size = (size_t)info.st_size, .of_file = true};
    }
    close(file);
    return status;
}

void ak_map_forget(const ak_map *map)
{
    if (map->of_file)
        (void)madvise((void *)map->data, map->size, MADV_DONTNEED);
}

void ak_map_close(ak_map *map)
{
    if (map->size)
        munmap((void *)map->data, map->size);
    *map = (ak_map){.data = ""};
}

/* ---- writer ---- */

struct ak_writer {
    char *path;      /* the target, symbolic links resolved; also the name in messages */
    char *temporary; /* NULL: the target is written directly */
    int file;
    int failure; /* errno of the first write that failed */
    size_t used;
    char buffer[BUFFER_SIZE];
};

static void writer_free(ak_writer *w)
{
    if (w->file >= 0)
        close_keeping_errno(w->file);
    ak_free(w->temporary);
    ak_free(w->path);
    ak_free(w);
}

/* O_EXCL makes the name ours even if another thread or a killed run of the same number used it. */
static akin_status open_temporary(ak_writer *w, akin_error *error)
{
    ak_remove_stale(w->path);
    for (int n = 0; n < MAX_TRIES; n++) {
        w->temporary = ak_format("%s.tmp.%ld.%d", w->path, (long)getpid(), n);
        if (!w->temporary)
            return ak_fail_memory(error);
        w->file = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->file >= 0)
            return AKIN_OK;
        ak_free(w->temporary);
        w->temporary = NULL;
        if (errno != EEXIST)
            break;
    }
    return fail(error, "write", w->path);
}

/* Where a link points, so that the link stays one. */
static akin_status resolve(ak_writer *w, const char *path, akin_error *error)
{
    char *real = realpath(path, NULL);
    w->path = ak_strdup(real ? real : path);
    free(real);
    return w->path ? AKIN_OK : ak_fail_memory(error);
}

static akin_status open_target(ak_writer *w, const char *path, akin_error *error)
{
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return ak_fail_errno(error, "write", path);
    }
    if (!exists || S_ISREG(info.st_mode)) {
        AK_TRY(resolve(w, path, error));
        return open_temporary(w, error);
    }
    if (!(w->path = ak_strdup(path)))
        return ak_fail_memory(error);
    w->file = open(path, O_WRONLY | O_CLOEXEC);
    return w->file >= 0 ? AKIN_OK : fail(error, "write", path);
}

akin_status ak_writer_open(ak_writer **out, const char *path, akin_error *error)
{
    *out = NULL;
    ak_writer *w = ak_alloc(sizeof *w);
    if (!w)
        return ak_fail_memory(error);
    memset(w, 0, offsetof(ak_writer, buffer));
    w->file = -1;
    akin_status status = open_target(w, path, error);
    if (status) {
        writer_free(w);
        return status;
    }
    *out = w;
    return AKIN_OK;
}

/* False with errno set. */
static bool write_all(int file, const char *data, size_t size)
{
    while (size) {
        ssize_t done = write(file, data, size < MAX_WRITE ? size : MAX_WRITE);
        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            data += done;
            size -= (size_t)done;
        }
    }
    return true;
}

static bool write_out(ak_writer *w, const char *data, size_t size)
{
    if (!w->failure && !write_all(w->file, data, size))
        w->failure = errno;
    return !w->failure;
}

static akin_status writer_failed(const ak_writer *w, akin_error *error)
{
    errno = w->failure;
    return fail(error, "write", w->path);
}

akin_status ak_writer_put(ak_writer *w, const void *data, size_t size, akin_error *error)
{
    if (size > BUFFER_SIZE - w->used) {
        bool ok = write_out(w, w->buffer, w->used);
        w->used = 0;
        if (ok && size >= BUFFER_SIZE) {
            ok = write_out(w, data, size);
            size = 0;
        }
        if (!ok)
            return writer_failed(w, error);
    }
    if (size)
        memcpy(w->buffer + w->used, data, size);
    w->used += size;
    return w->failure ? writer_failed(w, error) : AKIN_OK;
}

akin_status ak_writer_printf(ak_writer *w, akin_error *error, const char *format, ...)
{
    char line[512], *text = line;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof line && (text = ak_alloc((size_t)length + 1)))
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    if (length < 0 || !text)
        return ak_fail_memory(error);
    akin_status status = ak_writer_put(w, text, (size_t)length, error);
    if (text != line)
        ak_free(text);
    return status;
}

int ak_parent_open(const char *path)
{
    char *parent = ak_path_parent(path);
    if (!parent) {
        errno = ENOMEM;
        return -1;
    }
    int folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 && errno == EACCES) /* one may write into a folder that one may not read */
        folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ak_free(parent);
    return folder;
}

bool ak_parent_sync(int folder)
{
    bool ok = fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EBADF;
    close_keeping_errno(folder);
    return ok;
}

/* Everything that can fail before the rename is done before it. */
static bool rename_and_sync(const char *from, const char *to)
{
    int folder = ak_parent_open(to);
    if (folder < 0)
        return false;
    if (rename(from, to)) {
        close_keeping_errno(folder);
        return false;
    }
    return ak_parent_sync(folder);
}

/* False with errno set. Devices and pipes cannot be synced, which is no failure. */
static bool finish(ak_writer *w)
{
    if (!write_out(w, w->buffer, w->used)) {
        errno = w->failure;
        return false;
    }
    if (fsync(w->file) && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
        return false;
    int closed = close(w->file);
    w->file = -1;
    if (closed)
        return false;
    return !w->temporary || rename_and_sync(w->temporary, w->path);
}

akin_status ak_writer_commit(ak_writer *w, akin_error *error)
{
    akin_status status = AKIN_OK;
    if (!finish(w)) {
        status = fail(error, "write", w->path);
        if (w->temporary)
            unlink(w->temporary);
    }
    writer_free(w);
    return status;
}

void ak_writer_abort(ak_writer *w)
{
    if (!w)
        return;
    if (w->temporary)
        unlink(w->temporary);
    writer_free(w);
}

akin_status ak_file_write(const char *path, const void *data, size_t size, akin_error *error)
{
    ak_writer *w;
    AK_TRY(ak_writer_open(&w, path, error));
    akin_status status = ak_writer_put(w, data, size, error);
    if (status) {
        ak_writer_abort(w);
        return status;
    }
    return ak_writer_commit(w, error);
}

akin_status ak_copy_file(const char *from, const char *to, akin_error *error)
{
    ak_map map;
    AK_TRY(ak_map_open(&map, from, error));
    akin_status status = ak_file_write(to, map.data, map.size, error);
    ak_map_close(&map);
    return status;
}

akin_status ak_file_remove(const char *path, akin_error *error)
{
    return unlink(path) && errno != ENOENT ? ak_fail_errno(error, "remove", path) : AKIN_OK;
}

akin_status ak_file_change(const char *path, int64_t *size, int64_t *ctime_ns, akin_error *error)
{
    struct stat info;
    *size = *ctime_ns = 0;
    if (stat(path, &info))
        return ak_fail_errno(error, "read", path);
    *size = info.st_size;
    *ctime_ns = (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec;
    return AKIN_OK;
}

akin_status ak_file_stamp(const char *path, int64_t *size, int64_t *mtime_ns, akin_error *error)
{
    struct stat info;
    *size = *mtime_ns = 0;
    if (stat(path, &info))
        return ak_fail_errno(error, "read", path);
    *size = info.st_size;
    *mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return AKIN_OK;
}

/* ---- logs ---- */

struct ak_log {
    char *path;
    int file;
};

/* A run that was killed may have left half a line: it is closed, so that the next one stands alone.
 */
static bool close_torn_line(int file)
{
    char last = '\n';
    off_t end = lseek(file, 0, SEEK_END);
    if (end > 0 && pread(file, &last, 1, end - 1) != 1)
        return false;
    return last == '\n' || write_all(file, "\n", 1);
}

static bool keep_bytes(int file, int64_t keep)
{
    off_t end = lseek(file, 0, SEEK_END);
    if (keep < 0 || end < keep)
        return close_torn_line(file);
    return end == keep || ftruncate(file, keep) == 0;
}

akin_status ak_log_open(ak_log **out, const char *path, int64_t keep, akin_error *error)
{
    *out = NULL;
    ak_log *log = ak_calloc(1, sizeof *log);
    char *name = ak_strdup(path);
    if (!log || !name) {
        ak_free(name);
        ak_free(log);
        return ak_fail_memory(error);
    }
    *log = (ak_log){.path = name};
    log->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->file < 0 || !keep_bytes(log->file, keep)) {
        akin_status status = fail(error, "write", path);
        ak_log_close(log);
        return status;
    }
    *out = log;
    return AKIN_OK;
}

akin_status ak_log_line(ak_log *log, const char *text, akin_error *error)
{
    char *line = ak_format("%s\n", text); /* one write, so that a reader sees whole lines */
    if (!line)
        return ak_fail_memory(error);
    bool ok = write_all(log->file, line, strlen(line));
    ak_free(line);
    return ok ? AKIN_OK : fail(error, "write", log->path);
}

akin_status ak_log_put(ak_log *log, const void *data, size_t size, akin_error *error)
{
    return write_all(log->file, data, size) ? AKIN_OK : fail(error, "write", log->path);
}

int64_t ak_log_size(const ak_log *log)
{
    return lseek(log->file, 0, SEEK_END);
}

void ak_log_close(ak_log *log)
{
    if (!log)
        return;
    if (log->file >= 0)
        close_keeping_errno(log->file);
    ak_free(log->path);
    ak_free(log);
}

/* ---- locks ---- */

/* A file may be removed and made again while somebody waits for its lock: only the lock of the file
   that stands under the name counts. */
static bool is_still_there(int file, const char *path)
{
    struct stat held, named;
    return fstat(file, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

static akin_status lock_file(int *lock, const char *path, int how, akin_error *error)
{
    *lock = -1;
    for (;;) {
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666), result;
        if (file < 0)
            return fail(error, "lock", path);
        do
            result = flock(file, how);
        while (result && errno == EINTR);
        if (result) {
            akin_status status = errno == EWOULDBLOCK
                                     ? ak_fail(error, AKIN_ERR_EXISTS, "%s is in use", path)
                                     : fail(error, "lock", path);
            close(file);
            return status;
        }
        if (is_still_there(file, path)) {
            *lock = file;
            return AKIN_OK;
        }
        close(file);
    }
}

akin_status ak_lock(int *lock, const char *path, bool wait, akin_error *error)
{
    return lock_file(lock, path, LOCK_EX | (wait ? 0 : LOCK_NB), error);
}

akin_status ak_lock_shared(int *lock, const char *path, akin_error *error)
{
    AK_TRY(lock_file(lock, path, LOCK_SH, error));
    (void)futimens(*lock, NULL);
    return AKIN_OK;
}

akin_status ak_lock_folder(int *lock, const char *path, akin_error *error)
{
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return AKIN_OK;
    bool held = errno == EWOULDBLOCK;
    close(*lock);
    *lock = -1;
    return held ? ak_fail(error, AKIN_ERR_EXISTS, "%s is in use", path) : AKIN_OK;
}

void ak_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}

void ak_touch(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);
}
