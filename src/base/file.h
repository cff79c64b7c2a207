/* Files: the only module that opens them. Reading is mmap; writing goes to a temporary name beside
   the target, is synced and renamed, so that a reader sees the old file or the whole new one. */
#ifndef AK_BASE_FILE_H
#define AK_BASE_FILE_H

#include "base/memory.h"

typedef struct ak_map {
    const char *data; /* never NULL; `size` may be 0 */
    size_t size;
    bool of_file; /* a pipe's bytes are nowhere else */
} ak_map;

/* A pipe or device is read to its end. */
akin_status ak_map_open(ak_map *out, const char *path, akin_error *error);
/* The pages that were read leave memory; whoever reads them again gets them from the file. */
void ak_map_forget(const ak_map *map);
void ak_map_close(ak_map *map);

typedef struct ak_writer ak_writer;
akin_status ak_writer_open(ak_writer **out, const char *path, akin_error *error);
akin_status ak_writer_put(ak_writer *writer, const void *data, size_t size, akin_error *error);
akin_status ak_writer_printf(ak_writer *writer, akin_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
akin_status ak_writer_commit(ak_writer *writer, akin_error *error); /* frees the writer, always */
void ak_writer_abort(ak_writer *writer);                            /* removes the temporary */
akin_status ak_file_write(const char *path, const void *data, size_t size, akin_error *error);

/* Log files grow piece by piece and are not renamed. `keep`: how many bytes of an existing file stay;
   -1: all of them, a torn last line closed. */
typedef struct ak_log ak_log;
akin_status ak_log_open(ak_log **out, const char *path, int64_t keep, akin_error *error);
akin_status ak_log_line(ak_log *log, const char *text, akin_error *error); /* flushed */
akin_status ak_log_put(ak_log *log, const void *data, size_t size, akin_error *error);
int64_t ak_log_size(const ak_log *log);
void ak_log_close(ak_log *log);

/* A folder is written under a temporary name beside its target and renamed by commit; with
   `replace` an existing target is exchanged first and removed after. Without it an existing target
   is AKIN_ERR_EXISTS. *temporary is freed by both commit and abort. */
akin_status ak_folder_begin(char **temporary, const char *path, bool replace, akin_error *error);
akin_status ak_folder_commit(char *temporary, const char *path, bool replace, akin_error *error);
void ak_folder_abort(char *temporary);

/* file_stale.c: removes what killed processes left of writing this path, file or folder. The writer and
   ak_folder_begin call it. */
void ak_remove_stale(const char *path);

typedef enum ak_path_kind { AK_PATH_NONE, AK_PATH_FILE, AK_PATH_FOLDER } ak_path_kind;
ak_path_kind ak_path_what(const char *path);
bool ak_path_is_pipe(const char *path); /* opening one waits for who writes it */
/* Is `path` the folder itself or in it, links followed? No where either is not there. */
bool ak_path_holds(const char *folder, const char *path);
bool ak_path_has_suffix(const char *path, const char *suffix);
/* Fresh memory (ak_free), NULL when out of memory. An absolute `name` stands alone. */
char *ak_path_join(const char *folder, const char *name);
char *ak_path_parent(const char *path); /* "." for a bare name */
char *ak_path_absolute(const char *path);
char *ak_path_trim(const char *path);                             /* without slashes at the end */
const char *ak_path_base(const char *path);                       /* points into path */
akin_status ak_make_folders(const char *path, akin_error *error); /* mkdir -p */
akin_status ak_copy_folder(const char *from, const char *to, akin_error *error);
akin_status ak_copy_file(const char *from, const char *to, akin_error *error);
void ak_remove_tree(const char *path);
/* A fresh folder in $TMPDIR or /tmp; the caller removes it and frees the name. */
akin_status ak_temporary_folder(char **out, akin_error *error);
/* A file that is not there is removed already. */
akin_status ak_file_remove(const char *path, akin_error *error);

/* The folder of `path`, opened before a rename and synced after it. -1 and false with errno set;
   the sync closes the folder. */
int ak_parent_open(const char *path);
bool ak_parent_sync(int folder);

/* Names in a folder, sorted, without . and ..; free with ak_names_free. */
akin_status ak_list_folder(char ***names, int64_t *count, const char *path, akin_error *error);
void ak_names_free(char **names, int64_t count);

/* Size and time of the last change (which, unlike mtime, nobody can set back), for memoised hashes. */
akin_status ak_file_change(const char *path, int64_t *size, int64_t *ctime_ns, akin_error *error);
/* Size and modification time. */
akin_status ak_file_stamp(const char *path, int64_t *size, int64_t *mtime_ns, akin_error *error);

/* $XDG_CACHE_HOME/akin or ~/.cache/akin; NULL when neither is known or out of memory. */
char *ak_cache_folder(void);

/* Advisory lock on a file (created); one writer at a time. *lock is -1 on failure, which is
   AKIN_ERR_EXISTS when another one holds it and `wait` is false. */
akin_status ak_lock(int *lock, const char *path, bool wait, akin_error *error);
/* Waits until nobody holds ak_lock on the file (created), then keeps others from getting it; any
   number may share it. The file's time becomes now. */
akin_status ak_lock_shared(int *lock, const char *path, akin_error *error);
/* On a folder, which stays as it is; where folders cannot be locked *lock is -1 and that is no error. */
akin_status ak_lock_folder(int *lock, const char *path, akin_error *error);
void ak_unlock(int lock);
/* The file's modification time becomes now: it was used. What cannot be touched is left alone. */
void ak_touch(const char *path);

/* Bytes one after the other, for what is too large to be mapped or comes through a pipe; gzip is
   unpacked as it is read. path "-": standard input. */
typedef struct ak_input ak_input;
akin_status ak_input_open(ak_input **out, const char *path, akin_error *error);
/* *got: how many of `size` bytes were read; 0: the end. */
akin_status ak_input_read(ak_input *input, void *data, size_t size, size_t *got,
                          akin_error *error);
bool ak_input_is_file(const ak_input *input); /* not a pipe or device: it can be read again */
akin_status ak_input_rewind(ak_input *input, akin_error *error);
void ak_input_close(ak_input *input);

/* gzip: unpacks `path` to `target` (written atomically). */
akin_status ak_gunzip(const char *path, const char *target, akin_error *error);

#endif
