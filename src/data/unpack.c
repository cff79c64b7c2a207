/* .gz files cannot be read from the middle: they are unpacked once. In the cache folder the copy is
   named by the hash of the packed bytes (unpacked/<hash>), so that a changed file never meets an
   old copy; without a cache folder it lies in a temporary folder, removed once it is mapped. */
#include "data/source.h"

#include <string.h>

static akin_status open_cached(ak_map *out, const char *path, const char *cache_folder,
                               akin_error *error)
{
    ak_hash hash;
    char hex[AK_HASH_HEX];
    AK_TRY(ak_file_hash(&hash, path, cache_folder, error));
    ak_hash_to_hex(hash, hex);
    char *folder = ak_format("%s/unpacked", cache_folder);
    char *target = ak_format("%s/unpacked/%s", cache_folder, hex);
    akin_status status = AKIN_OK;
    if (!folder || !target)
        status = ak_fail_memory(error);
    if (!status && ak_path_what(target) != AK_PATH_FILE) {
        status = ak_make_folders(folder, error);
        if (!status)
            status = ak_gunzip(path, target, error);
    }
    if (!status)
        status = ak_map_open(out, target, error);
    ak_free(folder);
    ak_free(target);
    return status;
}

static akin_status open_temporary(ak_map *out, const char *path, akin_error *error)
{
    char *folder;
    AK_TRY(ak_temporary_folder(&folder, error));
    char *target = ak_path_join(folder, "unpacked");
    akin_status status = target ? ak_gunzip(path, target, error) : ak_fail_memory(error);
    if (!status)
        status = ak_map_open(out, target, error);
    ak_remove_tree(folder);
    ak_free(target);
    ak_free(folder);
    return status;
}

static akin_status open_plain(ak_map *out, const char *path, akin_error *error)
{
    AK_TRY(ak_map_open(out, path, error));
    if (out->size < 2 || memcmp(out->data, "\x1f\x8b", 2) != 0)
        return AKIN_OK;
    ak_map_close(out);
    return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "is gzip: its name must end in .gz");
}

akin_status ak_unpack_open(ak_map *out, const char *path, const char *cache_folder,
                           akin_error *error)
{
    if (!ak_path_has_suffix(path, ".gz"))
        return open_plain(out, path, error);
    if (!cache_folder)
        return open_temporary(out, path, error);
    akin_status status = open_cached(out, path, cache_folder, error);
    /* A cache that cannot be written (read-only, full) is no reason to refuse the data. */
    if (status == AKIN_ERR_IO && ak_path_what(path) == AK_PATH_FILE)
        status = open_temporary(out, path, error);
    return status;
}
