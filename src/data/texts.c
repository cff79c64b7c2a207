/* A folder of texts: FOLDER/LABEL/NAME.txt. A file is an object, the folder it lies in its
   group. Only names are kept; a text is read when it is asked for. */
#include "data/dataset.h"
#include "data/source.h"

#include <stdatomic.h>
#include <string.h>

typedef struct texts {
    akin_arena *arena; /* of the names */
    const char *path;
    const char **label, **file; /* per text: its folder's name, its whole path */
    int64_t count, label_capacity, file_capacity;
    ak_hash hash;         /* of labels, paths, sizes and times */
    atomic_bool *counted; /* per text: its replaced bytes are in `replaced` */
    atomic_llong replaced;
} texts;

static void texts_free(void *self)
{
    texts *t = self;
    ak_free(t->counted);
    ak_free(t->label);
    ak_free(t->file);
    ak_arena_free(t->arena);
    ak_free(t);
}

static akin_status texts_count(void *self, int64_t *count, akin_error *error)
{
    (void)error;
    *count = ((texts *)self)->count;
    return AKIN_OK;
}

static ak_value label_of(const texts *t, int64_t index)
{
    const char *label = t->label[index];
    return (ak_value){.kind = AK_STRING, .string = label, .size = strlen(label)};
}

/* The text without the line ends that editors put behind it. */
static akin_status read_text(texts *t, int64_t index, const ak_map *map, akin_arena *arena,
                             akin_object *object, akin_error *error)
{
    size_t size = map->size;
    int64_t replaced = 0;
    while (size && (map->data[size - 1] == '\n' || map->data[size - 1] == '\r'))
        size--;
    const char *copy = ak_arena_copy(arena, map->data, size);
    const char *valid = copy ? ak_utf8_repair(copy, size, &size, &replaced, arena) : NULL;
    if (!valid)
        return ak_fail_memory(error);
    *object = (akin_object){valid, size};
    if (replaced && !atomic_exchange(&t->counted[index], true))
        atomic_fetch_add(&t->replaced, replaced);
    return AKIN_OK;
}

static akin_status texts_get(void *self, int64_t index, akin_arena *arena, akin_sample *sample,
                             akin_error *error)
{
    texts *t = self;
    ak_map map;
    ak_value label = label_of(t, index);
    AK_TRY(ak_map_open(&map, t->file[index], error));
    akin_status status = read_text(t, index, &map, arena, &sample->group.object, error);
    ak_map_close(&map);
    sample->group.group = ak_label(&label);
    return status;
}

static bool texts_fingerprint(const void *self, ak_hash *fingerprint)
{
    *fingerprint = ((const texts *)self)->hash;
    return true;
}

static int64_t texts_replaced(const void *self)
{
    return atomic_load(&((texts *)self)->replaced);
}

static void texts_place(const void *self, int64_t index, const char **file, int64_t *line)
{
    *file = ((const texts *)self)->file[index];
    *line = 0;
}

static akin_status texts_label(void *self, int64_t index, akin_arena *arena, ak_value *label,
                               akin_error *error)
{
    (void)arena, (void)error;
    *label = label_of(self, index);
    return AKIN_OK;
}

/* ---- finding them ---- */

static akin_status add_text(texts *t, const char *label, const char *path, akin_error *error)
{
    int64_t stamp[2];
    AK_TRY(ak_file_change(path, &stamp[0], &stamp[1], error));
    AK_TRY(ak_grow(&t->label, t->count, &t->label_capacity, sizeof *t->label, error));
    AK_TRY(ak_grow(&t->file, t->count, &t->file_capacity, sizeof *t->file, error));
    t->label[t->count] = label;
    t->file[t->count] = path;
    t->count++;
    t->hash = ak_hash_combine(t->hash, ak_hash_text(path));
    t->hash = ak_hash_combine(t->hash, ak_hash_bytes(stamp, sizeof stamp));
    return AKIN_OK;
}

static akin_status add_names(texts *t, const char *label, const char *folder, char **names,
                             int64_t count, akin_error *error)
{
    for (int64_t i = 0; i < count; i++) {
        if (!ak_path_has_suffix(names[i], ".txt"))
            continue;
        const char *path = ak_arena_format(t->arena, "%s/%s", folder, names[i]);
        if (!path)
            return ak_fail_memory(error);
        if (ak_path_what(path) == AK_PATH_FILE)
            AK_TRY(add_text(t, label, path, error));
    }
    return AKIN_OK;
}

static akin_status add_folder(texts *t, const char *name, akin_error *error)
{
    char **names;
    int64_t count;
    const char *label = ak_arena_copy(t->arena, name, strlen(name));
    const char *folder = ak_arena_format(t->arena, "%s/%s", t->path, name);
    if (!label || !folder)
        return ak_fail_memory(error);
    if (ak_path_what(folder) != AK_PATH_FOLDER)
        return AKIN_OK;
    AK_TRY(ak_list_folder(&names, &count, folder, error));
    akin_status status = add_names(t, label, folder, names, count, error);
    ak_names_free(names, count);
    return status;
}

static akin_status find_texts(texts *t, const char *path, akin_error *error)
{
    char **names;
    int64_t count;
    AK_TRY(ak_arena_create(&t->arena, error));
    t->path = ak_arena_copy(t->arena, path, strlen(path));
    if (!t->path)
        return ak_fail_memory(error);
    AK_TRY(ak_list_folder(&names, &count, path, error));
    akin_status status = AKIN_OK;
    for (int64_t i = 0; i < count && !status; i++)
        status = add_folder(t, names[i], error);
    ak_names_free(names, count);
    if (!status && !t->count)
        return ak_fail_at(error, AKIN_ERR_FORMAT, path, 0,
                          "a folder without texts, expected LABEL/NAME.txt in it");
    if (!status && !(t->counted = ak_calloc((size_t)t->count, sizeof *t->counted)))
        return ak_fail_memory(error);
    return status;
}

akin_status ak_dataset_open_texts(akin_dataset **out, const char *path, akin_sample_kind kind,
                                  const akin_fields *fields, akin_error *error)
{
    static const ak_dataset_extra extra = {texts_fingerprint, texts_replaced, texts_place,
                                           texts_label, NULL};
    *out = NULL;
    if (kind != AKIN_GROUPS)
        return ak_fail_at(error, AKIN_ERR_MISMATCH, path, 0,
                          "a folder holds groups (LABEL/NAME.txt), not pairs");
    if (fields && (fields->object || fields->group || fields->no_header))
        return ak_fail_at(error, AKIN_ERR_ARGUMENT, path, 0, "a folder has no fields to name");
    texts *t = ak_calloc(1, sizeof *t);
    if (!t)
        return ak_fail_memory(error);
    t->hash = ak_hash_text("texts");
    akin_status status = find_texts(t, path, error);
    if (!status) {
        akin_dataset_class type = {.size = sizeof type,
                                   .name = t->path,
                                   .kind = AKIN_GROUPS,
                                   .count = texts_count,
                                   .get = texts_get,
                                   .free = texts_free};
        status = ak_dataset_new(out, &type, &extra, t, error);
    }
    if (status)
        texts_free(t);
    return status;
}
