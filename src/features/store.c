/* The store: a table from keys to rows that lie in mapped segments or, without a disk, in memory.
   Everybody who has a store open shares a lock on its file "used", whose time tells the last use;
   who writes holds "lock" besides. */
#include "features/features.h"

#include "features/row.h"
#include "features/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING 16384 /* vectors gathered before a segment is written */
#define SEGMENTS 8    /* more are merged when the store closes */

typedef struct slot {
    ak_hash key;
    const void *row; /* NULL: free */
} slot;

struct ak_store {
    const akin_context *context;
    char *folder; /* NULL: in memory only */
    ak_store_kind kind;
    char *encoder; /* kind.encoder, a copy */
    size_t row_size;
    ak_segment *segments;
    int64_t segment_count, segment_capacity;
    slot *slots;
    int64_t slot_count, filled; /* slot_count: a power of two, 0 while empty */
    unsigned char **blocks;     /* rows kept in memory */
    int64_t block_count, block_capacity;
    ak_hash *pending_keys;
    unsigned char *pending; /* rows */
    int64_t pending_count;
    int used;     /* the shared lock, -1: none */
    int lock;     /* -1: not the writer */
    int64_t next; /* number of the next segment file */
    bool disk_fails;
};

/* ---- the table from keys to vectors ---- */

static int64_t place_of(const ak_store *store, ak_hash key)
{
    int64_t mask = store->slot_count - 1, i = (int64_t)(key.low & (uint64_t)mask);
    while (store->slots[i].row && !ak_hash_equal(store->slots[i].key, key))
        i = (i + 1) & mask;
    return i;
}

static akin_status reserve(ak_store *store, int64_t more, akin_error *error)
{
    int64_t wanted = store->slot_count ? store->slot_count : 1024;
    while (wanted < 2 * (store->filled + more))
        wanted *= 2;
    if (wanted == store->slot_count)
        return AKIN_OK;
    slot *old = store->slots, *fresh = ak_calloc((size_t)wanted, sizeof *fresh);
    int64_t old_count = store->slot_count;
    if (!fresh)
        return ak_fail_memory(error);
    store->slots = fresh;
    store->slot_count = wanted;
    for (int64_t i = 0; i < old_count; i++)
        if (old[i].row)
            store->slots[place_of(store, old[i].key)] = old[i];
    ak_free(old);
    return AKIN_OK;
}

/* Room must have been reserved. A key that is there already now points to the newer row. */
static void insert(ak_store *store, ak_hash key, const void *row)
{
    slot *s = &store->slots[place_of(store, key)];
    if (!s->row)
        store->filled++;
    *s = (slot){key, row};
}

const void *ak_store_find(const ak_store *store, ak_hash key)
{
    return store->slot_count ? store->slots[place_of(store, key)].row : NULL;
}

void ak_store_read(const ak_store *store, const void *row, float *vector)
{
    ak_row_decode(store->kind.precision, row, store->kind.dim, vector);
}

int64_t ak_store_count(const ak_store *store)
{
    return store->filled;
}

/* ---- segments ---- */

static akin_status index_segment(ak_store *store, const ak_segment *s, akin_error *error)
{
    AK_TRY(reserve(store, s->count, error));
    for (int64_t i = 0; i < s->count; i++)
        insert(store, s->keys[i], s->rows + (size_t)i * store->row_size);
    return AKIN_OK;
}

static bool is_open(const ak_store *store, const char *path)
{
    for (int64_t i = 0; i < store->segment_count; i++)
        if (strcmp(store->segments[i].path, path) == 0)
            return true;
    return false;
}

static akin_status add_segment(ak_store *store, const char *path, akin_error *error)
{
    ak_segment s = {0};
    AK_TRY(
        ak_grow(&store->segments, store->segment_count, &store->segment_capacity, sizeof s, error));
    akin_status status = ak_segment_open(&s, &store->kind, path, error);
    if (!status)
        status = index_segment(store, &s, error);
    if (status) {
        ak_segment_close(&s);
        return status;
    }
    store->segments[store->segment_count++] = s;
    return AKIN_OK;
}

/* A broken segment is dropped: what it held is computed again. Memory is another matter. */
static akin_status try_segment(ak_store *store, const char *name, akin_error *error)
{
    akin_error why = {0};
    char *path = ak_path_join(store->folder, name);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = is_open(store, path) ? AKIN_OK : add_segment(store, path, &why);
    if (status == AKIN_ERR_MEMORY) {
        ak_free(path);
        return ak_fail_memory(error);
    }
    if (status == AKIN_ERR_FORMAT || status == AKIN_ERR_MISMATCH) { /* IO: it may be whole */
        ak_warn(store->context, "the cache segment is broken and will be computed again: %s",
                why.message);
        ak_file_remove(path, NULL);
    }
    int64_t number;
    char digits[32];
    snprintf(digits, sizeof digits, "%.*s", (int)strspn(name, "0123456789"), name);
    if (ak_text_to_int(digits, &number) && number >= store->next)
        store->next = number + 1;
    ak_free(path);
    return AKIN_OK;
}

static akin_status scan(ak_store *store, akin_error *error)
{
    char **names;
    int64_t count;
    if (!store->folder || ak_path_what(store->folder) != AK_PATH_FOLDER)
        return AKIN_OK;
    AK_TRY(ak_list_folder(&names, &count, store->folder, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++)
        if (ak_segment_is(names[i]))
            status = try_segment(store, names[i], error);
    ak_names_free(names, count);
    return status;
}

/* ---- open, close ---- */

/* A cache that may not be written to is used without a trace. */
static void share(ak_store *store)
{
    char *path = ak_path_join(store->folder, "used");
    if (path && store->used < 0)
        (void)ak_lock_shared(&store->used, path, NULL);
    ak_free(path);
}

static akin_status open_folder(ak_store *store, const char *cache_folder, akin_error *error)
{
    char name[AK_STORE_NAME];
    ak_store_name(&store->kind, name);
    store->folder = ak_format("%s/features/%s", cache_folder, name);
    if (!store->folder)
        return ak_fail_memory(error);
    if (ak_path_what(store->folder) == AK_PATH_FOLDER)
        share(store);
    return scan(store, error);
}

akin_status ak_store_open(ak_store **out, const akin_context *context, const char *cache_folder,
                          const ak_store_kind *kind, akin_error *error)
{
    *out = NULL;
    ak_store *store = ak_calloc(1, sizeof *store);
    if (!store)
        return ak_fail_memory(error);
    *store = (ak_store){.context = context, .kind = *kind, .used = -1, .lock = -1};
    store->row_size = ak_row_size(kind->precision, kind->dim);
    store->encoder = kind->encoder ? ak_strdup(kind->encoder) : NULL;
    store->kind.encoder = store->encoder;
    akin_status status = kind->encoder && !store->encoder ? ak_fail_memory(error) : AKIN_OK;
    if (!status && cache_folder)
        status = open_folder(store, cache_folder, error);
    if (status) {
        ak_store_close(store);
        return status;
    }
    *out = store;
    return AKIN_OK;
}

static char *next_path(ak_store *store)
{
    return ak_format("%s/%06lld.safetensors", store->folder, (long long)store->next++);
}

static void merge_parts(ak_store *store, const ak_segment *parts, int64_t count)
{
    char *path = next_path(store);
    if (path && !ak_segment_write(path, &store->kind, parts, count, NULL))
        for (int64_t i = 0; i < count; i++)
            ak_file_remove(parts[i].path, NULL);
    ak_free(path);
}

/* Many segments become one; readers that have the old ones mapped keep them. Those whose file is
   gone were merged before, and what they hold is in a newer one. */
static void merge(ak_store *store)
{
    ak_segment *parts = ak_calloc((size_t)store->segment_count + 1, sizeof *parts);
    int64_t count = 0;
    for (int64_t i = 0; parts && i < store->segment_count; i++)
        if (ak_path_what(store->segments[i].path) == AK_PATH_FILE)
            parts[count++] = store->segments[i];
    if (count > SEGMENTS)
        merge_parts(store, parts, count);
    ak_free(parts);
}

void ak_store_close(ak_store *store)
{
    if (!store)
        return;
    if (store->lock >= 0)
        (void)ak_store_end(store, NULL);
    for (int64_t i = 0; i < store->segment_count; i++)
        ak_segment_close(&store->segments[i]);
    for (int64_t i = 0; i < store->block_count; i++)
        ak_free(store->blocks[i]);
    ak_free(store->blocks);
    ak_free(store->segments);
    ak_free(store->slots);
    ak_free(store->pending);
    ak_free(store->pending_keys);
    ak_unlock(store->used);
    ak_free(store->encoder);
    ak_free(store->folder);
    ak_free(store);
}

/* ---- writing ---- */

static void disk_failed(ak_store *store, const akin_error *why)
{
    if (!store->disk_fails)
        ak_warn(store->context, "the cache cannot be written, going on without it: %s",
                why->message);
    store->disk_fails = true;
}

static akin_status lock_folder(ak_store *store, akin_error *error)
{
    AK_TRY(ak_make_folders(store->folder, error));
    share(store);
    if (store->used < 0 && ak_path_what(store->folder) != AK_PATH_FOLDER) { /* just collected */
        AK_TRY(ak_make_folders(store->folder, error));
        share(store);
    }
    char *path = ak_path_join(store->folder, "lock");
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_lock(&store->lock, path, false, error);
    if (status == AKIN_ERR_EXISTS) {
        ak_note(store->context, "another run is encoding with this encoder; waiting for it");
        status = ak_lock(&store->lock, path, true, error);
    }
    ak_free(path);
    return status;
}

akin_status ak_store_begin(ak_store *store, akin_error *error)
{
    akin_error why = {0};
    if (!store->folder || store->disk_fails)
        return AKIN_OK;
    akin_status status = lock_folder(store, &why);
    if (status == AKIN_ERR_MEMORY)
        return ak_fail_memory(error);
    if (status)
        disk_failed(store, &why);
    return status ? AKIN_OK : scan(store, error);
}

/* Keeps the pending vectors in memory, for a store without a disk. */
static akin_status keep_pending(ak_store *store, akin_error *error)
{
    AK_TRY(ak_grow(&store->blocks, store->block_count, &store->block_capacity,
                   sizeof *store->blocks, error));
    AK_TRY(reserve(store, store->pending_count, error));
    for (int64_t i = 0; i < store->pending_count; i++)
        insert(store, store->pending_keys[i], store->pending + (size_t)i * store->row_size);
    store->blocks[store->block_count++] = store->pending;
    store->pending = NULL;
    store->pending_count = 0;
    return AKIN_OK;
}

static akin_status save_pending(ak_store *store, akin_error *error)
{
    ak_segment part = {
        .keys = store->pending_keys, .rows = store->pending, .count = store->pending_count};
    char *path = next_path(store);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_segment_write(path, &store->kind, &part, 1, error);
    if (!status)
        status = add_segment(store, path, error);
    ak_free(path);
    if (!status)
        store->pending_count = 0;
    return status;
}

static akin_status flush(ak_store *store, akin_error *error)
{
    akin_error why = {0};
    if (!store->pending_count)
        return AKIN_OK;
    if (store->lock >= 0 && !store->disk_fails) {
        akin_status status = save_pending(store, &why);
        if (!status)
            return AKIN_OK;
        if (status == AKIN_ERR_MEMORY)
            return ak_fail_memory(error);
        disk_failed(store, &why);
    }
    return keep_pending(store, error);
}

static akin_status make_pending(ak_store *store, akin_error *error)
{
    if (!store->pending_keys)
        store->pending_keys = ak_calloc(PENDING, sizeof *store->pending_keys);
    if (!store->pending)
        store->pending = ak_calloc(PENDING, store->row_size);
    return store->pending && store->pending_keys ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_store_put(ak_store *store, const ak_hash *keys, const float *vectors, int64_t n,
                         akin_error *error)
{
    while (n > 0) {
        AK_TRY(make_pending(store, error));
        int64_t room = PENDING - store->pending_count, take = n < room ? n : room;
        memcpy(store->pending_keys + store->pending_count, keys, (size_t)take * sizeof *keys);
        for (int64_t i = 0; i < take; i++)
            ak_row_encode(store->kind.precision, vectors + i * store->kind.dim, store->kind.dim,
                          store->pending + (size_t)(store->pending_count + i) * store->row_size);
        store->pending_count += take;
        keys += take;
        vectors += take * store->kind.dim;
        n -= take;
        if (store->pending_count == PENDING)
            AK_TRY(flush(store, error));
    }
    return AKIN_OK;
}

akin_status ak_store_end(ak_store *store, akin_error *error)
{
    akin_status status = flush(store, error);
    if (store->lock >= 0) {
        if (!status && store->segment_count > SEGMENTS && !store->disk_fails)
            merge(store);
        ak_unlock(store->lock);
        store->lock = -1;
    }
    return status;
}
