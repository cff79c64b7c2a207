/* Hashes of files' contents, kept in the cache folder so that a start does not read a large file
   again: hashes/<hash of the absolute path> holds "akin-hash 1 SIZE MTIME HASH\n". A file changed
   less than two seconds ago is hashed but not kept: it might change within the clock's grain. */
#include "data/data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RACY_NS 2000000000

/* The path of the note about `path`; NULL when out of memory. */
static char *note_path(const char *path, const char *cache_folder)
{
    char hex[AK_HASH_HEX];
    char *absolute = ak_path_absolute(path);
    if (!absolute)
        return NULL;
    ak_hash_to_hex(ak_hash_text(absolute), hex);
    ak_free(absolute);
    return ak_format("%s/hashes/%s", cache_folder, hex);
}

static bool read_note(ak_hash *out, const char *note, int64_t size, int64_t changed)
{
    ak_map map;
    char text[128], hex[AK_HASH_HEX] = "";
    if (ak_path_what(note) != AK_PATH_FILE || ak_map_open(&map, note, NULL))
        return false;
    bool fits = map.size < sizeof text;
    size_t length = fits ? map.size : 0;
    memcpy(text, map.data, length);
    text[length] = 0;
    ak_map_close(&map);
    int64_t old_size, old_changed;
    if (sscanf(text, "akin-hash 1 %" SCNd64 " %" SCNd64 " %32[0-9a-f]\n", &old_size, &old_changed,
               hex) != 3)
        return false;
    return old_size == size && old_changed == changed && ak_hash_from_hex(hex, out);
}

/* A note that cannot be written costs time at the next start and nothing else: no error. */
static void write_note(const char *note, const char *cache_folder, ak_hash hash, int64_t size,
                       int64_t changed)
{
    struct timespec now;
    char text[128], hex[AK_HASH_HEX];
    clock_gettime(CLOCK_REALTIME, &now);
    if ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec - changed < RACY_NS)
        return;
    char *folder = ak_format("%s/hashes", cache_folder);
    if (folder && !ak_make_folders(folder, NULL)) {
        ak_hash_to_hex(hash, hex);
        int length = snprintf(text, sizeof text, "akin-hash 1 %" PRId64 " %" PRId64 " %s\n", size,
                              changed, hex);
        (void)ak_file_write(note, text, (size_t)length, NULL);
    }
    ak_free(folder);
}

akin_status ak_file_hash(ak_hash *out, const char *path, const char *cache_folder,
                         akin_error *error)
{
    int64_t size, changed;
    *out = (ak_hash){0};
    AK_TRY(ak_file_change(path, &size, &changed, error));
    char *note = NULL;
    if (cache_folder) {
        note = note_path(path, cache_folder);
        if (!note)
            return ak_fail_memory(error);
    }
    ak_map map;
    akin_status status = AKIN_OK;
    if (!note || !read_note(out, note, size, changed)) {
        status = ak_map_open(&map, path, error);
        if (!status) {
            *out = ak_hash_bytes(map.data, map.size);
            ak_map_close(&map);
            if (note)
                write_note(note, cache_folder, *out, size, changed);
        }
    }
    ak_free(note);
    return status;
}
