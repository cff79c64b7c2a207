/* Paths as text, and what stands at them. */
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ak_path_kind ak_path_what(const char *path)
{
    struct stat info;
    if (stat(path, &info))
        return AK_PATH_NONE;
    return S_ISDIR(info.st_mode) ? AK_PATH_FOLDER : AK_PATH_FILE;
}

bool ak_path_is_pipe(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISFIFO(info.st_mode);
}

bool ak_path_holds(const char *folder, const char *path)
{
    char *outer = realpath(folder, NULL), *inner = realpath(path, NULL);
    size_t length = outer ? strlen(outer) : 0;
    if (length && outer[length - 1] == '/') /* the root */
        length--;
    bool held = outer && inner && strncmp(inner, outer, length) == 0 &&
                (inner[length] == '/' || !inner[length]);
    free(outer);
    free(inner);
    return held;
}

bool ak_path_has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && strcmp(path + length - tail, suffix) == 0;
}

/* Without the slashes at the end; the root stays "/". */
static size_t trimmed_length(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

char *ak_path_trim(const char *path)
{
    return ak_strndup(path, trimmed_length(path));
}

char *ak_path_join(const char *folder, const char *name)
{
    if (*name == '/' || !*folder)
        return ak_strdup(name);
    bool slash = folder[strlen(folder) - 1] == '/';
    return ak_format("%s%s%s", folder, slash ? "" : "/", name);
}

char *ak_path_parent(const char *path)
{
    size_t length = trimmed_length(path);
    while (length && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length ? ak_strndup(path, length) : ak_strdup(".");
}

char *ak_path_absolute(const char *path)
{
    if (*path == '/')
        return ak_strdup(path);
    while (path[0] == '.' && path[1] == '/')
        for (path += 2; *path == '/'; path++)
            ;
    char *here = getcwd(NULL, 0); /* glibc: of the length it needs */
    if (!here)                    /* the folder one stands in is gone: the name stays what it was */
        return ak_strdup(path);
    char *whole = !*path || strcmp(path, ".") == 0 ? ak_strdup(here) : ak_path_join(here, path);
    free(here);
    return whole;
}

const char *ak_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The specification of XDG_CACHE_HOME says that a relative one is ignored. */
char *ak_cache_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    if (cache && *cache == '/')
        return ak_path_join(cache, "akin");
    const char *home = getenv("HOME");
    return home && *home ? ak_format("%s/.cache/akin", home) : NULL;
}
