/* What a process that was killed left of a file or folder it was writing: NAME.tmp.PROCESS.N. It
   goes when NAME is written again. Another host's or container's process cannot be seen, but it
   writes on: what was changed a moment ago stays. Nothing here allocates or fails: what cannot be
   removed is left. */
#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STILL 60 /* seconds */

/* The process in "NAME.tmp.PROCESS.N"; 0: the entry is something else. */
static long process_of(const char *entry, const char *name)
{
    static const char middle[] = ".tmp.";
    size_t length = strlen(name);
    if (strncmp(entry, name, length) != 0 ||
        strncmp(entry + length, middle, sizeof middle - 1) != 0)
        return 0;
    char *end;
    const char *digits = entry + length + sizeof middle - 1;
    long process = strtol(digits, &end, 10);
    if (!isdigit((unsigned char)*digits) || *end != '.')
        return 0;
    size_t number = strspn(end + 1, "0123456789");
    return number && !end[1 + number] ? process : 0;
}

static bool is_stale(const char *path, long process)
{
    struct stat info;
    if (getpgid((pid_t)process) >= 0 || errno != ESRCH || lstat(path, &info))
        return false;
    return time(NULL) - info.st_mtim.tv_sec >= STILL;
}

void ak_remove_stale(const char *path)
{
    const char *name = ak_path_base(path);
    char parent[PATH_MAX], entry_path[PATH_MAX];
    size_t length = (size_t)(name - path);
    if (length >= sizeof parent)
        return;
    memcpy(parent, path, length);
    parent[length] = 0;
    DIR *folder = opendir(length ? parent : ".");
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        long process = process_of(entry->d_name, name);
        if (process <= 0 || snprintf(entry_path, sizeof entry_path, "%s%s", parent,
                                     entry->d_name) >= (int)sizeof entry_path)
            continue;
        if (is_stale(entry_path, process))
            ak_remove_tree(entry_path);
    }
    if (folder)
        closedir(folder);
}
