/* Finished trials of a search: FOLDER/trials.jsonl, a line each,

     {"key": "32 hex digits", "settings": "...", "value": 0.91, "best_epoch": 7, "epochs": 10,
      "seconds": 1.2}

   The key says everything the outcome depends on (tune.c), so what is found may always be used. */
#include "train/tune.h"

#include <math.h>
#include <string.h>

typedef struct kept {
    ak_hash key;
    akin_tune_trial trial;
} kept;

struct ak_tune_log {
    ak_log *file; /* NULL: nothing is kept */
    kept *items;
    int64_t count, capacity;
};

static akin_status read_line(ak_tune_log *log, akin_arena *arena, const char *text, size_t size,
                             akin_error *error)
{
    ak_value *root;
    kept one;
    akin_error why = {0};
    akin_status status = ak_json_parse(&root, arena, text, size, "trials.jsonl", &why);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    const char *hex = status ? NULL : ak_value_get_string(root, "key", NULL);
    if (!hex || !ak_hash_from_hex(hex, &one.key))
        return AKIN_OK;
    one.trial = (akin_tune_trial){.value = ak_value_get_number(root, "value", NAN),
                                  .best_epoch = ak_value_get_int(root, "best_epoch", 0),
                                  .epochs = ak_value_get_int(root, "epochs", 0),
                                  .seconds = ak_value_get_number(root, "seconds", 0),
                                  .reused = true};
    AK_TRY(ak_grow(&log->items, log->count, &log->capacity, sizeof *log->items, error));
    log->items[log->count++] = one;
    return AKIN_OK;
}

static akin_status read_file(ak_tune_log *log, const char *path, akin_error *error)
{
    ak_map map;
    akin_arena *arena;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = ak_map_open(&map, path, error);
    if (!status) {
        const char *at = map.data, *end = at + map.size;
        while (at < end && !status) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            size_t size = (size_t)((stop ? stop : end) - at);
            ak_arena_reset(arena);
            status = read_line(log, arena, at, size, error);
            at += size + 1;
        }
        ak_map_close(&map);
    }
    ak_arena_free(arena);
    return status;
}

static akin_status open_file(ak_tune_log *log, const char *folder, akin_error *error)
{
    AK_TRY(ak_make_folders(folder, error));
    char *path = ak_path_join(folder, "trials.jsonl");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = AKIN_OK;
    if (ak_path_what(path) == AK_PATH_FILE)
        status = read_file(log, path, error);
    if (!status)
        status = ak_log_open(&log->file, path, -1, error);
    ak_free(path);
    return status;
}

akin_status ak_tune_log_open(ak_tune_log **out, const char *folder, akin_error *error)
{
    *out = NULL;
    ak_tune_log *log = ak_calloc(1, sizeof *log);
    if (!log)
        return ak_fail_memory(error);
    akin_status status = folder ? open_file(log, folder, error) : AKIN_OK;
    if (status) {
        ak_tune_log_close(log);
        return status;
    }
    *out = log;
    return AKIN_OK;
}

void ak_tune_log_close(ak_tune_log *log)
{
    if (!log)
        return;
    ak_log_close(log->file);
    ak_free(log->items);
    ak_free(log);
}

bool ak_tune_log_find(const ak_tune_log *log, ak_hash key, akin_tune_trial *trial)
{
    for (int64_t i = 0; i < log->count; i++)
        if (ak_hash_equal(log->items[i].key, key)) {
            const char *settings = trial->settings;
            *trial = log->items[i].trial;
            trial->settings = settings;
            return true;
        }
    return false;
}

akin_status ak_tune_log_add(ak_tune_log *log, ak_hash key, const akin_tune_trial *trial,
                            akin_error *error)
{
    ak_text line = {0};
    char hex[AK_HASH_HEX], value[32], seconds[32];
    if (!log->file)
        return AKIN_OK;
    ak_hash_to_hex(key, hex);
    ak_double_to_text(trial->value, value);
    ak_double_to_text(trial->seconds, seconds);
    ak_text_printf(&line, "{\"key\": \"%s\", \"settings\": ", hex);
    ak_json_write_string(&line, trial->settings, strlen(trial->settings));
    ak_text_printf(&line,
                   ", \"value\": %s, \"best_epoch\": %lld, \"epochs\": %lld, \"seconds\": %s}",
                   isfinite(trial->value) ? value : "null", (long long)trial->best_epoch,
                   (long long)trial->epochs, seconds);
    akin_status status =
        line.failed ? ak_fail_memory(error) : ak_log_line(log->file, line.data, error);
    ak_free(line.data);
    return status;
}
