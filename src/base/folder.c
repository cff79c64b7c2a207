/* Folders: written whole or not at all, copied, removed, listed. Trees are walked by fts, which
   needs no recursion of ours. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TRIES 10000

static akin_status fail(akin_error *error, const char *verb, const char *path)
{
    return errno == ENOMEM ? ak_fail_memory(error) : ak_fail_errno(error, verb, path);
}

static akin_status fail_exists(akin_error *error, const char *path)
{
    return ak_fail(error, AKIN_ERR_EXISTS, "%s exists already", path);
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

akin_status ak_temporary_folder(char **out, akin_error *error)
{
    const char *parent = getenv("TMPDIR");
    char *folder = ak_format("%s/akin-XXXXXX", parent && *parent ? parent : "/tmp");
    *out = NULL;
    if (!folder)
        return ak_fail_memory(error);
    if (!mkdtemp(folder)) {
        akin_status failed = ak_fail_errno(error, "create the folder", folder);
        ak_free(folder);
        return failed;
    }
    *out = folder;
    return AKIN_OK;
}

/* ---- written whole or not at all ---- */

/* A fresh folder "PATH.tmp.PROCESS.N"; NULL with errno set. */
static char *make_beside(const char *path)
{
    for (int n = 0; n < MAX_TRIES; n++) {
        char *name = ak_format("%s.tmp.%ld.%d", path, (long)getpid(), n);
        if (!name)
            errno = ENOMEM;
        if (!name || mkdir(name, 0777) == 0)
            return name;
        ak_free(name);
        if (errno != EEXIST)
            return NULL;
    }
    return NULL;
}

akin_status ak_folder_begin(char **temporary, const char *path, bool replace, akin_error *error)
{
    *temporary = NULL;
    if (!replace && exists(path))
        return fail_exists(error, path);
    char *target = ak_path_trim(path);
    if (!target)
        return ak_fail_memory(error);
    ak_remove_stale(target);
    *temporary = make_beside(target);
    ak_free(target);
    return *temporary ? AKIN_OK : fail(error, "create", path);
}

/* For file systems without exchange: between the two renames there is no target for a moment. */
static bool replace_in_two_steps(const char *temporary, const char *target)
{
    char *old = ak_format("%s.old", temporary);
    if (!old) {
        errno = ENOMEM;
        return false;
    }
    bool ok = rename(target, old) == 0;
    if (ok && rename(temporary, target)) {
        int kept = errno;
        rename(old, target);
        errno = kept;
        ok = false;
    }
    if (ok)
        ak_remove_tree(old);
    ak_free(old);
    return ok;
}

static bool put_in_place(const char *temporary, const char *target, bool replace)
{
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_NOREPLACE) == 0)
        return true;
    bool lacking = errno == EINVAL || errno == ENOSYS;
    if (lacking && !exists(target))
        return rename(temporary, target) == 0;
    if (lacking)
        errno = EEXIST;
    if (errno != EEXIST || !replace)
        return false;
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_EXCHANGE) == 0) {
        ak_remove_tree(temporary); /* which holds the old folder now */
        return true;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    return replace_in_two_steps(temporary, target);
}

static bool sync_folder(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return false;
    bool ok = fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP;
    int kept = errno;
    close(folder);
    errno = kept;
    return ok;
}

akin_status ak_folder_commit(char *temporary, const char *path, bool replace, akin_error *error)
{
    char *target = ak_path_trim(path);
    int parent = target ? ak_parent_open(target) : -1;
    akin_status status = AKIN_OK;
    if (!target)
        status = ak_fail_memory(error);
    else if (parent < 0 || !sync_folder(temporary) || !put_in_place(temporary, target, replace))
        status = errno == EEXIST ? fail_exists(error, path) : fail(error, "write", path);
    if (status)
        ak_remove_tree(temporary);
    if (parent >= 0 && !ak_parent_sync(parent) && !status)
        status = fail(error, "write", path);
    ak_free(target);
    ak_free(temporary);
    return status;
}

void ak_folder_abort(char *temporary)
{
    if (!temporary)
        return;
    ak_remove_tree(temporary);
    ak_free(temporary);
}

/* ---- made, copied, removed ---- */

static bool make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return true;
    int kept = errno;
    bool there = ak_path_what(path) == AK_PATH_FOLDER;
    errno = kept;
    return there;
}

akin_status ak_make_folders(const char *path, akin_error *error)
{
    char *part = ak_strdup(path);
    if (!part)
        return ak_fail_memory(error);
    akin_status status = AKIN_OK;
    for (char *p = part; *p && !status; p++) {
        if (*p != '/' || p == part)
            continue;
        *p = 0;
        if (!make_folder(part))
            status = fail(error, "create", part);
        *p = '/';
    }
    if (!status && !make_folder(part))
        status = fail(error, "create", part);
    ak_free(part);
    return status;
}

static akin_status copy_entry(const FTSENT *entry, const char *to, akin_error *error)
{
    switch (entry->fts_info) {
    case FTS_D:
        return make_folder(to) ? AKIN_OK : fail(error, "create", to);
    case FTS_F:
        return ak_copy_file(entry->fts_path, to, error);
    case FTS_DP:
        return AKIN_OK;
    case FTS_DC:
        return ak_fail(error, AKIN_ERR_FORMAT, "%s is a link to a folder around it",
                       entry->fts_path);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        errno = entry->fts_errno;
        return fail(error, "read", entry->fts_path);
    default:
        return ak_fail(error, AKIN_ERR_FORMAT, "%s is neither a file nor a folder",
                       entry->fts_path);
    }
}

/* Links are followed: a model in Hugging Face's cache is a folder of links. */
akin_status ak_copy_folder(const char *from, const char *to, akin_error *error)
{
    char *source = ak_path_trim(from);
    if (!source)
        return ak_fail_memory(error);
    char *const roots[] = {source, NULL};
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    akin_status status = walk ? AKIN_OK : fail(error, "read", from);
    FTSENT *entry;
    while (!status && (errno = 0, entry = fts_read(walk))) {
        char *target = ak_format("%s%s", to, entry->fts_path + strlen(source));
        status = target ? copy_entry(entry, target, error) : ak_fail_memory(error);
        ak_free(target);
    }
    if (!status && errno)
        status = fail(error, "read", from);
    if (walk)
        fts_close(walk);
    ak_free(source);
    return status;
}

void ak_remove_tree(const char *path)
{
    char *const roots[] = {(char *)path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    if (!walk)
        return;
    FTSENT *entry;
    while ((entry = fts_read(walk))) {
        if (entry->fts_info == FTS_D)
            continue;
        if (entry->fts_info == FTS_DP || entry->fts_info == FTS_DNR)
            rmdir(entry->fts_path);
        else
            unlink(entry->fts_path);
    }
    fts_close(walk);
}

/* ---- listed ---- */

void ak_names_free(char **names, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        ak_free(names[i]);
    ak_free(names);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static akin_status add_name(char ***names, int64_t *count, int64_t *capacity, const char *name,
                            akin_error *error)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return AKIN_OK;
    AK_TRY(ak_grow(names, *count, capacity, sizeof **names, error));
    char *copy = ak_strdup(name);
    if (!copy)
        return ak_fail_memory(error);
    (*names)[(*count)++] = copy;
    return AKIN_OK;
}

akin_status ak_list_folder(char ***names, int64_t *count, const char *path, akin_error *error)
{
    int64_t capacity = 0;
    *names = NULL;
    *count = 0;
    DIR *folder = opendir(path);
    if (!folder)
        return fail(error, "read", path);
    akin_status status = AKIN_OK;
    struct dirent *entry;
    while (!status && (errno = 0, entry = readdir(folder)))
        status = add_name(names, count, &capacity, entry->d_name, error);
    if (!status && errno)
        status = fail(error, "read", path);
    closedir(folder);
    if (status) {
        ak_names_free(*names, *count);
        *names = NULL;
        *count = 0;
    } else if (*count) {
        qsort(*names, (size_t)*count, sizeof **names, by_name);
    }
    return status;
}
