/* The cache folder as a whole: what is in it, whether it is whole, removing what is not needed.
   What a run has open is never removed: it holds the lock of the store's file "used" (store.c).
   Labels and unpacked files are read at once or mapped: a run keeps what was removed under it. */
#include "features/features.h"

#include "features/row.h"
#include "features/segment.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct cache {
    akin_cache public; /* first: what the user sees is the whole */
    akin_arena *arena;
    akin_cache_entry *entries;
    int64_t capacity;
} cache;

void akin_cache_free(akin_cache *public)
{
    cache *c = (cache *)public;
    if (!c)
        return;
    ak_arena_free(c->arena);
    ak_free(c->entries);
    ak_free(c);
}

static akin_status add(cache *c, akin_cache_entry entry, akin_error *error)
{
    AK_TRY(ak_grow(&c->entries, c->public.count, &c->capacity, sizeof entry, error));
    c->entries[c->public.count++] = entry;
    c->public.entries = c->entries;
    c->public.bytes += entry.bytes;
    return AKIN_OK;
}

/* ---- a folder of the store ---- */

typedef struct scan {
    cache *cache;
    akin_cache_entry *entry;
    ak_store_kind kind;
    bool verify;
} scan;

static akin_status keep_text(cache *c, const char **out, const char *text, akin_error *error)
{
    *out = text ? ak_arena_copy(c->arena, text, strlen(text)) : NULL;
    return text && !*out ? ak_fail_memory(error) : AKIN_OK;
}

/* What the header of a segment tells, without its vectors. */
static akin_status read_header(scan *s, const char *path, akin_error *error)
{
    ak_safetensors *file;
    AK_TRY(ak_safetensors_open(&file, path, error));
    const ak_tensor *rows = ak_safetensors_find(file, "vectors");
    const ak_tensor *keys = ak_safetensors_find(file, "keys");
    const char *dim = ak_safetensors_metadata(file, "dim");
    akin_status status = AKIN_OK;
    if (keys && rows && keys->rank == 2 && rows->rank == 2) {
        s->entry->vectors += keys->shape[0];
        if (!dim || !ak_text_to_int(dim, &s->entry->dim))
            s->entry->dim = rows->shape[1];
    }
    if (!s->entry->encoder)
        status = keep_text(s->cache, &s->entry->encoder, ak_safetensors_metadata(file, "encoder"),
                           error);
    ak_safetensors_free(file);
    return status;
}

static akin_status check_segment(scan *s, const char *path, akin_error *error)
{
    ak_segment segment = {0};
    akin_status status = ak_segment_open(&segment, &s->kind, path, error);
    ak_segment_close(&segment);
    return status;
}

static akin_status take_segment(scan *s, const char *path, akin_error *error)
{
    akin_error why = {0};
    akin_status status = read_header(s, path, &why);
    if (!status && s->verify)
        status = check_segment(s, path, &why);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    if (status && !s->entry->broken++)
        return keep_text(s->cache, &s->entry->problem, why.message, error);
    return AKIN_OK;
}

static akin_status take_file(scan *s, const char *path, const char *name, akin_error *error)
{
    int64_t size, time;
    if (ak_file_stamp(path, &size, &time, NULL))
        return AKIN_OK; /* gone meanwhile */
    time /= 1000000000;
    s->entry->bytes += size;
    if (time > s->entry->last_used && strcmp(name, "lock") != 0)
        s->entry->last_used = time;
    return ak_segment_is(name) ? take_segment(s, path, error) : AKIN_OK;
}

/* Calls `take_file` for every file of a folder. */
static akin_status take_files(scan *s, const char *folder, akin_error *error)
{
    char **names;
    int64_t count;
    AK_TRY(ak_list_folder(&names, &count, folder, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        char *path = ak_path_join(folder, names[i]);
        status = path ? take_file(s, path, names[i], error) : ak_fail_memory(error);
        ak_free(path);
    }
    ak_names_free(names, count);
    return status;
}

/* Holds the folder against everybody, if nobody has it open. */
static bool hold(int *lock, const char *folder)
{
    char *path = ak_path_join(folder, "used");
    *lock = -1;
    bool held = path && (ak_path_what(path) != AK_PATH_FILE || !ak_lock(lock, path, false, NULL));
    ak_free(path);
    return held;
}

/* An encoder that names its folder is reachable while that is there. */
static bool encoder_is_there(const char *json)
{
    akin_arena *arena;
    ak_value *root;
    if (!json || ak_arena_create(&arena, NULL))
        return true;
    bool there = true;
    if (!ak_json_parse(&root, arena, json, strlen(json), "encoder", NULL)) {
        const char *path = ak_value_get_string(root, "path", NULL);
        there = !path || path[0] != '/' || ak_path_what(path) != AK_PATH_NONE;
    }
    ak_arena_free(arena);
    return there;
}

static akin_status take_store(cache *c, const char *path, const char *name, bool verify,
                              akin_error *error)
{
    akin_cache_entry entry = {.kind = "vectors"};
    scan s = {.cache = c, .entry = &entry, .verify = verify};
    int lock;
    if (!ak_store_parse_name(name, &s.kind))
        return AKIN_OK;
    entry.path = ak_arena_format(c->arena, "features/%s", name);
    entry.precision = ak_row_name(s.kind.precision);
    if (!entry.path)
        return ak_fail_memory(error);
    AK_TRY(take_files(&s, path, error));
    entry.in_use = !hold(&lock, path);
    ak_unlock(lock);
    entry.reachable = entry.vectors && encoder_is_there(entry.encoder);
    return add(c, entry, error);
}

/* ---- the other folders ---- */

static akin_status take_labels(cache *c, const char *path, const char *name, bool verify,
                               akin_error *error)
{
    akin_cache_entry entry = {.kind = "labels", .reachable = true};
    scan s = {.cache = c, .entry = &entry};
    akin_error why = {0};
    ak_table *table = NULL;
    entry.path = ak_arena_format(c->arena, "labels/%s", name);
    if (!entry.path)
        return ak_fail_memory(error);
    AK_TRY(take_file(&s, path, "", error));
    akin_status status = verify ? ak_table_load(&table, path, &why) : AKIN_OK;
    ak_table_free(table);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    if (status) {
        entry.broken = 1;
        AK_TRY(keep_text(c, &entry.problem, why.message, error));
    }
    return add(c, entry, error);
}

static akin_status take_unpacked(cache *c, const char *path, const char *name, bool verify,
                                 akin_error *error)
{
    akin_cache_entry entry = {.kind = "unpacked", .reachable = true};
    scan s = {.cache = c, .entry = &entry};
    (void)verify; /* its name is the hash of the packed file */
    entry.path = ak_arena_format(c->arena, "unpacked/%s", name);
    if (!entry.path)
        return ak_fail_memory(error);
    AK_TRY(take_file(&s, path, "", error));
    return add(c, entry, error);
}

typedef akin_status take_function(cache *c, const char *path, const char *name, bool verify,
                                  akin_error *error);

static akin_status each(cache *c, const char *part, take_function *take, bool verify,
                        akin_error *error)
{
    char **names, *folder = ak_path_join(c->public.folder, part);
    int64_t count;
    if (!folder)
        return ak_fail_memory(error);
    akin_status status = AKIN_OK;
    if (ak_path_what(folder) == AK_PATH_FOLDER &&
        !(status = ak_list_folder(&names, &count, folder, error))) {
        for (int64_t i = 0; i < count && !status; i++) {
            char *path = ak_path_join(folder, names[i]);
            status = path ? take(c, path, names[i], verify, error) : ak_fail_memory(error);
            ak_free(path);
        }
        ak_names_free(names, count);
    }
    ak_free(folder);
    return status;
}

/* Hundreds of notes of a few bytes are one entry. */
static akin_status take_hashes(cache *c, akin_error *error)
{
    akin_cache_entry entry = {.kind = "hashes", .path = "hashes", .reachable = true};
    scan s = {.cache = c, .entry = &entry};
    char *folder = ak_path_join(c->public.folder, "hashes");
    if (!folder)
        return ak_fail_memory(error);
    akin_status status = AKIN_OK;
    if (ak_path_what(folder) == AK_PATH_FOLDER) {
        status = take_files(&s, folder, error);
        if (!status && entry.bytes)
            status = add(c, entry, error);
    }
    ak_free(folder);
    return status;
}

/* ---- the whole ---- */

static akin_status fill(cache *c, bool verify, akin_error *error)
{
    if (!*c->public.folder)
        return AKIN_OK;
    AK_TRY(each(c, "features", take_store, verify, error));
    AK_TRY(take_hashes(c, error));
    AK_TRY(each(c, "labels", take_labels, verify, error));
    return each(c, "unpacked", take_unpacked, verify, error);
}

static akin_status make(cache **out, const akin_context *context, akin_error *error)
{
    *out = NULL;
    cache *c = ak_calloc(1, sizeof *c);
    if (!c)
        return ak_fail_memory(error);
    akin_status status = ak_arena_create(&c->arena, error);
    if (!status)
        status = keep_text(c, &c->public.folder, context->cache_folder ? context->cache_folder : "",
                           error);
    if (status) {
        akin_cache_free(&c->public);
        return status;
    }
    *out = c;
    return AKIN_OK;
}

static akin_status look(cache **out, const akin_context *context, bool verify, akin_error *error)
{
    AK_TRY(make(out, context, error));
    akin_status status = fill(*out, verify, error);
    if (status) {
        akin_cache_free(&(*out)->public);
        *out = NULL;
    }
    return status;
}

akin_status akin_cache_list(akin_cache **out, akin_context *context, akin_error *error)
{
    return look((cache **)out, context, false, error);
}

akin_status akin_cache_verify(akin_cache **out, akin_context *context, akin_error *error)
{
    return look((cache **)out, context, true, error);
}

/* ---- gc ---- */

akin_cache_gc_options akin_cache_gc_defaults(void)
{
    return (akin_cache_gc_options){
        .size = sizeof(akin_cache_gc_options), .max_bytes = -1, .older_than = -1};
}

/* false: somebody opened it meanwhile. */
static bool remove_entry(const cache *c, const akin_cache_entry *entry)
{
    char *path = ak_path_join(c->public.folder, entry->path);
    int lock = -1;
    bool store = strcmp(entry->kind, "vectors") == 0;
    bool free_now = path && (!store || hold(&lock, path));
    if (free_now)
        ak_remove_tree(path);
    ak_unlock(lock);
    bool gone = free_now && ak_path_what(path) == AK_PATH_NONE;
    ak_free(path);
    return gone;
}

static int by_last_use(const void *a, const void *b)
{
    const akin_cache_entry *x = a, *y = b;
    if (x->last_used != y->last_used)
        return x->last_used < y->last_used ? -1 : 1;
    return strcmp(x->path, y->path);
}

static bool is_wanted(const akin_cache_entry *entry, const akin_cache_gc_options *o, int64_t now,
                      int64_t bytes)
{
    bool old = o->older_than >= 0 && now - entry->last_used >= o->older_than;
    bool lost = o->unreachable && !entry->reachable;
    bool too_much = o->max_bytes >= 0 && bytes > o->max_bytes;
    return !old && !lost && !too_much;
}

/* From the least recently used one on, so that what is over the size goes first. */
static void collect_garbage(cache *c, const akin_cache_gc_options *options)
{
    int64_t bytes = c->public.bytes, kept = 0, now = time(NULL);
    qsort(c->entries, (size_t)c->public.count, sizeof *c->entries, by_last_use);
    c->public.bytes = 0;
    for (int64_t i = 0; i < c->public.count; i++) {
        akin_cache_entry entry = c->entries[i];
        if (entry.in_use || is_wanted(&entry, options, now, bytes) ||
            (!options->dry_run && !remove_entry(c, &entry)))
            continue;
        bytes -= entry.bytes;
        c->public.bytes += entry.bytes;
        c->entries[kept++] = entry;
    }
    c->public.count = kept;
}

akin_status akin_cache_gc(akin_cache **out, akin_context *context,
                          const akin_cache_gc_options *options, akin_error *error)
{
    *out = NULL;
    if (options->max_bytes < 0 && options->older_than < 0 && !options->unreachable)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "say what to remove: max_bytes, older_than or unreachable");
    cache *c;
    AK_TRY(look(&c, context, false, error));
    if (c->public.count)
        collect_garbage(c, options);
    *out = &c->public;
    return AKIN_OK;
}
