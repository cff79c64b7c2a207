#include "features/features.h"

#include "base/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING 16384 /* vectors gathered before a segment is written */
#define SEGMENTS 8    /* more are merged when the store closes */

typedef struct segment {
    char *path;
    ak_safetensors *file;
    const ak_hash *keys;
    const float *vectors;
    int64_t count;
} segment;

typedef struct slot {
    ak_hash key;
    const float *vector; /* NULL: free */
} slot;

struct ak_store {
    const akin_context *context;
    char *folder; /* NULL: in memory only */
    ak_hash fingerprint;
    int64_t dim;
    segment *segments;
    int64_t segment_count, segment_capacity;
    slot *slots;
    int64_t slot_count, used; /* slot_count: a power of two, 0 while empty */
    float **blocks;           /* vectors kept in memory */
    int64_t block_count, block_capacity;
    ak_hash *pending_keys;
    float *pending;
    int64_t pending_count;
    int lock;        /* -1: not the writer */
    int64_t next;    /* number of the next segment file */
    bool disk_fails;
};

/* ---- the table from keys to vectors ---- */

static int64_t place_of(const ak_store *store, ak_hash key)
{
    int64_t mask = store->slot_count - 1, i = (int64_t)(key.low & (uint64_t)mask);
    while (store->slots[i].vector && !ak_hash_equal(store->slots[i].key, key))
        i = (i + 1) & mask;
    return i;
}

static akin_status reserve(ak_store *store, int64_t more, akin_error *error)
{
    int64_t wanted = store->slot_count ? store->slot_count : 1024;
    while (wanted < 2 * (store->used + more))
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
        if (old[i].vector)
            store->slots[place_of(store, old[i].key)] = old[i];
    ak_free(old);
    return AKIN_OK;
}

/* Room must have been reserved. A key that is there already now points to the newer vector. */
static void insert(ak_store *store, ak_hash key, const float *vector)
{
    slot *s = &store->slots[place_of(store, key)];
    if (!s->vector)
        store->used++;
    *s = (slot){key, vector};
}

const float *ak_store_find(const ak_store *store, ak_hash key)
{
    return store->slot_count ? store->slots[place_of(store, key)].vector : NULL;
}

int64_t ak_store_count(const ak_store *store)
{
    return store->used;
}

/* ---- segments ---- */

/* The sum of the hashes of all rows, whatever parts they stand in. */
static void checksum(const segment *parts, int64_t count, int64_t dim, char hex[AK_HASH_HEX])
{
    ak_hash sum = {0};
    for (int64_t p = 0; p < count; p++)
        for (int64_t i = 0; i < parts[p].count; i++) {
            ak_hash row = ak_hash_bytes(parts[p].vectors + i * dim, (size_t)dim * sizeof(float));
            row = ak_hash_combine(parts[p].keys[i], row);
            sum.low += row.low;
            sum.high += row.high;
        }
    ak_hash_to_hex(sum, hex);
}

static akin_status open_segment(segment *out, const ak_store *store, const char *path,
                                akin_error *error)
{
    char hex[AK_HASH_HEX];
    const ak_tensor *keys;
    int64_t key_shape[2] = {-1, 2};
    AK_TRY(ak_safetensors_open(&out->file, path, error));
    AK_TRY(ak_safetensors_view((const void **)&out->keys, &keys, out->file, "keys", AK_DTYPE_U64, 2,
                               key_shape, error));
    out->count = keys->shape[0];
    int64_t shape[2] = {out->count, store->dim};
    AK_TRY(ak_safetensors_view((const void **)&out->vectors, NULL, out->file, "vectors",
                               AK_DTYPE_F32, 2, shape, error));
    const char *name = ak_safetensors_metadata(out->file, "fingerprint");
    ak_hash_to_hex(store->fingerprint, hex);
    if (!name || strcmp(name, hex) != 0)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, path, 0, "holds vectors of another encoder");
    const char *sum = ak_safetensors_metadata(out->file, "checksum");
    checksum(out, 1, store->dim, hex);
    if (!sum || strcmp(sum, hex) != 0)
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "its checksum is wrong");
    out->path = ak_strdup(path);
    return out->path ? AKIN_OK : ak_fail_memory(error);
}

static void close_segment(segment *s)
{
    ak_safetensors_free(s->file);
    ak_free(s->path);
}

static akin_status index_segment(ak_store *store, const segment *s, akin_error *error)
{
    AK_TRY(reserve(store, s->count, error));
    for (int64_t i = 0; i < s->count; i++)
        insert(store, s->keys[i], s->vectors + i * store->dim);
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
    segment s = {0};
    AK_TRY(ak_grow(&store->segments, store->segment_count, &store->segment_capacity, sizeof s,
                   error));
    akin_status status = open_segment(&s, store, path, error);
    if (!status)
        status = index_segment(store, &s, error);
    if (status) {
        close_segment(&s);
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
        if (names[i][0] >= '0' && names[i][0] <= '9' && ak_path_has_suffix(names[i], ".safetensors"))
            status = try_segment(store, names[i], error);
    ak_names_free(names, count);
    return status;
}

/* ---- open, close ---- */

akin_status ak_store_open(ak_store **out, const akin_context *context, const char *cache_folder,
                          ak_hash fingerprint, int64_t dim, akin_error *error)
{
    char hex[AK_HASH_HEX];
    *out = NULL;
    ak_store *store = ak_calloc(1, sizeof *store);
    if (!store)
        return ak_fail_memory(error);
    *store = (ak_store){.context = context, .fingerprint = fingerprint, .dim = dim, .lock = -1};
    ak_hash_to_hex(fingerprint, hex);
    akin_status status = AKIN_OK;
    if (cache_folder && !(store->folder = ak_format("%s/features/%s", cache_folder, hex)))
        status = ak_fail_memory(error);
    if (!status)
        status = scan(store, error);
    if (status) {
        ak_store_close(store);
        return status;
    }
    *out = store;
    return AKIN_OK;
}

static akin_status write_rows(ak_safetensors_writer *writer, const ak_store *store,
                              const segment *parts, int64_t count, akin_error *error)
{
    for (int64_t i = 0; i < count; i++)
        AK_TRY(ak_safetensors_put(writer, parts[i].keys, (size_t)parts[i].count * sizeof(ak_hash),
                                  error));
    for (int64_t i = 0; i < count; i++)
        AK_TRY(ak_safetensors_put(writer, parts[i].vectors,
                                  (size_t)(parts[i].count * store->dim) * sizeof(float), error));
    return AKIN_OK;
}

/* Keys and vectors of several parts as one file. */
static akin_status write_segment(const ak_store *store, const char *path, const segment *parts,
                                 int64_t count, akin_error *error)
{
    char hex[AK_HASH_HEX], sum[AK_HASH_HEX];
    int64_t rows = 0;
    ak_hash_to_hex(store->fingerprint, hex);
    checksum(parts, count, store->dim, sum);
    for (int64_t i = 0; i < count; i++)
        rows += parts[i].count;
    const char *const metadata[] = {"format",   "akin-features", "fingerprint", hex,
                                    "checksum", sum,             NULL};
    ak_tensor tensors[2] = {
        {.name = "keys", .dtype = AK_DTYPE_U64, .rank = 2, .shape = {rows, 2}},
        {.name = "vectors", .dtype = AK_DTYPE_F32, .rank = 2, .shape = {rows, store->dim}}};
    ak_safetensors_writer *writer;
    AK_TRY(ak_safetensors_create(&writer, path, tensors, 2, metadata, error));
    akin_status status = write_rows(writer, store, parts, count, error);
    if (status) {
        ak_safetensors_abort(writer);
        return status;
    }
    return ak_safetensors_commit(writer, error);
}

static char *next_path(ak_store *store)
{
    return ak_format("%s/%06lld.safetensors", store->folder, (long long)store->next++);
}

static void merge_parts(ak_store *store, const segment *parts, int64_t count)
{
    char *path = next_path(store);
    if (path && !write_segment(store, path, parts, count, NULL))
        for (int64_t i = 0; i < count; i++)
            ak_file_remove(parts[i].path, NULL);
    ak_free(path);
}

/* Many segments become one; readers that have the old ones mapped keep them. Those whose file is
   gone were merged before, and what they hold is in a newer one. */
static void merge(ak_store *store)
{
    segment *parts = ak_calloc((size_t)store->segment_count + 1, sizeof *parts);
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
        close_segment(&store->segments[i]);
    for (int64_t i = 0; i < store->block_count; i++)
        ak_free(store->blocks[i]);
    ak_free(store->blocks);
    ak_free(store->segments);
    ak_free(store->slots);
    ak_free(store->pending);
    ak_free(store->pending_keys);
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
        insert(store, store->pending_keys[i], store->pending + i * store->dim);
    store->blocks[store->block_count++] = store->pending;
    store->pending = NULL;
    store->pending_count = 0;
    return AKIN_OK;
}

static akin_status save_pending(ak_store *store, akin_error *error)
{
    segment part = {.keys = store->pending_keys, .vectors = store->pending,
                    .count = store->pending_count};
    char *path = next_path(store);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = write_segment(store, path, &part, 1, error);
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
        store->pending = ak_calloc(PENDING, (size_t)store->dim * sizeof(float));
    return store->pending && store->pending_keys ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_store_put(ak_store *store, const ak_hash *keys, const float *vectors, int64_t n,
                         akin_error *error)
{
    while (n > 0) {
        AK_TRY(make_pending(store, error));
        int64_t room = PENDING - store->pending_count, take = n < room ? n : room;
        memcpy(store->pending_keys + store->pending_count, keys, (size_t)take * sizeof *keys);
        memcpy(store->pending + store->pending_count * store->dim, vectors,
               (size_t)(take * store->dim) * sizeof(float));
        store->pending_count += take;
        keys += take;
        vectors += take * store->dim;
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
