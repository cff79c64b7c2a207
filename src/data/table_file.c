/* The sample table as a file of the cache: a header, the arrays one after another, each padded to
   64 bytes, and the XXH3-128 of all before it. Native byte order; the file never leaves the
   machine. It is mapped when it is loaded. */
#include "data/table.h"

#include <string.h>

#define MAGIC "akin-tb4"
#define ALIGNMENT 64
#define ARRAYS 11

typedef struct header {
    char magic[8];
    int64_t kind, count, contents, groups, subgroups;
    int64_t has_subgroups, has_positives, positives, parts;
    uint64_t order; /* 0x0102030405060708 as this machine writes it */
    uint64_t unused[5];
} header;
_Static_assert(sizeof(header) % ALIGNMENT == 0, "arrays must start aligned");

#define BYTE_ORDER_MARK UINT64_C(0x0102030405060708)

typedef struct part {
    void **array; /* member of the table */
    int64_t count;
    size_t element;
} part;

/* The arrays in the order of the file; count 0: not there. */
static void list_parts(ak_table *t, const header *h, part parts[ARRAYS])
{
    bool pairs = h->kind == AKIN_PAIRS;
    int64_t n = h->count;
    part all[ARRAYS] = {
        {(void **)&t->content, pairs ? 2 * n : n, sizeof *t->content},
        {(void **)&t->keys, h->contents, sizeof *t->keys},
        {(void **)&t->part_keys, h->parts > 1 ? h->contents * h->parts : 0, sizeof *t->part_keys},
        {(void **)&t->first_sample, h->contents, sizeof *t->first_sample},
        {(void **)&t->bytes, h->contents, sizeof *t->bytes},
        {(void **)&t->score, pairs ? n : 0, sizeof *t->score},
        {(void **)&t->subgroup, pairs && h->has_subgroups ? n : 0, sizeof *t->subgroup},
        {(void **)&t->group, pairs ? 0 : n, sizeof *t->group},
        {(void **)&t->group_keys, pairs ? 0 : h->groups, sizeof *t->group_keys},
        {(void **)&t->positive_start, h->has_positives ? h->contents + 1 : 0,
         sizeof *t->positive_start},
        {(void **)&t->positives, h->positives, sizeof *t->positives},
    };
    memcpy(parts, all, sizeof all);
}

static size_t padding(size_t size)
{
    return (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
}

/* ---- saving ---- */

/* The checksum is that of the parts' own: a file is never in memory twice. */
typedef struct sink {
    ak_writer *writer;
    ak_hash hash;
} sink;

static akin_status put(sink *s, const void *data, size_t size, akin_error *error)
{
    static const char zeros[ALIGNMENT] = {0};
    s->hash = ak_hash_combine(s->hash, ak_hash_bytes(data, size));
    AK_TRY(ak_writer_put(s->writer, data, size, error));
    return ak_writer_put(s->writer, zeros, padding(size), error);
}

static akin_status put_all(sink *s, const ak_table *table, akin_error *error)
{
    ak_table copy = *table;
    part parts[ARRAYS];
    header h = {.magic = MAGIC,
                .kind = table->kind,
                .count = table->count,
                .contents = table->contents,
                .groups = table->groups,
                .subgroups = table->subgroups,
                .parts = table->parts,
                .has_subgroups = table->subgroup != NULL,
                .has_positives = table->positive_start != NULL,
                .order = BYTE_ORDER_MARK};
    if (h.has_positives)
        h.positives = table->positive_start[table->contents];
    AK_TRY(put(s, &h, sizeof h, error));
    list_parts(&copy, &h, parts);
    for (int i = 0; i < ARRAYS; i++)
        if (parts[i].count)
            AK_TRY(put(s, *parts[i].array, (size_t)parts[i].count * parts[i].element, error));
    return ak_writer_put(s->writer, &s->hash, sizeof s->hash, error);
}

akin_status ak_table_save(const ak_table *table, const char *path, akin_error *error)
{
    sink s = {0};
    AK_TRY(ak_writer_open(&s.writer, path, error));
    akin_status status = put_all(&s, table, error);
    if (!status)
        return ak_writer_commit(s.writer, error);
    ak_writer_abort(s.writer);
    return status;
}

/* ---- loading ---- */

static akin_status damaged(const char *path, akin_error *error)
{
    return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0, "not a whole sample table of this version");
}

static bool plausible(const header *h, size_t size)
{
    int64_t limit = (int64_t)(size / sizeof(int64_t));
    return !memcmp(h->magic, MAGIC, sizeof h->magic) && h->order == BYTE_ORDER_MARK &&
           (h->kind == AKIN_PAIRS || h->kind == AKIN_GROUPS) && h->count > 0 && h->count <= limit &&
           h->contents > 0 && h->contents <= limit && h->positives >= 0 && h->positives <= limit &&
           (h->has_positives || !h->positives) && h->groups >= 0 && h->groups <= h->count &&
           h->parts > 0 && h->parts <= limit / h->contents && h->subgroups >= 0 &&
           h->subgroups <= h->count;
}

/* Points the table's arrays into the map; false: it is not what its header and checksum say. */
static bool find_arrays(ak_table *t, const ak_map *map)
{
    header h;
    part parts[ARRAYS];
    ak_hash hash = {0}, written;
    if (map->size < sizeof h)
        return false;
    memcpy(&h, map->data, sizeof h);
    if (!plausible(&h, map->size))
        return false;
    *t = (ak_table){.kind = (akin_sample_kind)h.kind,
                    .count = h.count,
                    .objects = h.kind == AKIN_PAIRS ? 2 : 1,
                    .contents = h.contents,
                    .parts = h.parts,
                    .groups = h.groups,
                    .subgroups = h.subgroups};
    hash = ak_hash_combine(hash, ak_hash_bytes(map->data, sizeof h));
    size_t at = sizeof h;
    list_parts(t, &h, parts);
    for (int i = 0; i < ARRAYS; i++) {
        size_t size = (size_t)parts[i].count * parts[i].element;
        if (!size)
            continue;
        if (size + padding(size) > map->size - at)
            return false;
        *parts[i].array = (void *)(map->data + at);
        hash = ak_hash_combine(hash, ak_hash_bytes(map->data + at, size));
        at += size + padding(size);
    }
    if (map->size - at != sizeof written)
        return false;
    memcpy(&written, map->data + at, sizeof written);
    return ak_hash_equal(hash, written);
}

akin_status ak_table_load(ak_table **out, const char *path, akin_error *error)
{
    *out = NULL;
    ak_owned_table *owned = ak_calloc(1, sizeof *owned);
    if (!owned)
        return ak_fail_memory(error);
    akin_status status = ak_map_open(&owned->map, path, error);
    if (!status && !find_arrays(&owned->table, &owned->map)) {
        ak_map_close(&owned->map);
        status = damaged(path, error);
    }
    if (status) {
        ak_free(owned);
        return status;
    }
    status = ak_table_find_sides(&owned->table, error);
    if (status)
        ak_table_free(&owned->table);
    else
        *out = &owned->table;
    return status;
}
