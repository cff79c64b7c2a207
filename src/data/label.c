/* Labels: anything a file calls a group becomes an int64_t. A label is its text; a canonical whole
   number ("7", "-3", not "07" or "+7": a post code is not a number) stands for itself, so that what
   the user wrote is what akin_dataset_get gives; other text for 64 bits of its hash. Two of a
   million different texts meet with probability 3e-8. */
#include "data/source.h"

#include <string.h>

static bool canonical(const char *text, size_t size)
{
    size_t sign = size && text[0] == '-';
    if (size == sign || size - sign > 19)
        return false;
    if (text[sign] == '0' && size > 1)
        return false;
    for (size_t i = sign; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

static int64_t text_label(const char *text, size_t size)
{
    char digits[24];
    int64_t number;
    if (canonical(text, size)) {
        memcpy(digits, text, size);
        digits[size] = 0;
        if (ak_text_to_int(digits, &number))
            return number;
    }
    uint64_t low = ak_hash_bytes(text, size).low;
    memcpy(&number, &low, sizeof number);
    return number ? number : 1; /* 0 is "not given" among subgroups */
}

int64_t ak_label(const ak_value *value)
{
    char digits[32];
    switch (value->kind) {
    case AK_NULL:
        return 0;
    case AK_INT:
        return value->integer;
    case AK_BOOL:
        return value->boolean ? text_label("true", 4) : text_label("false", 5);
    case AK_STRING:
        return text_label(value->string, value->size);
    default:
        if (value->number >= -0x1p63 && value->number < 0x1p63 &&
            (double)(int64_t)value->number == value->number)
            return (int64_t)value->number;
        ak_double_to_text(value->number, digits);
        return text_label(digits, strlen(digits));
    }
}

/* ---- the label map ---- */

static akin_status add_label(ak_value *list, const akin_dataset *dataset, int64_t sample,
                             akin_arena *scratch, akin_arena *arena, akin_error *error)
{
    ak_value label = {0}, *kept = ak_value_add(arena, list, NULL, AK_NULL);
    ak_arena_reset(scratch);
    AK_TRY(ak_dataset_label(dataset, sample, scratch, &label, error));
    const char *text = label.string ? ak_arena_copy(arena, label.string, label.size) : NULL;
    if (!kept || (label.string && !text))
        return ak_fail_memory(error);
    kept->kind = label.kind;
    kept->boolean = label.boolean;
    kept->integer = label.integer;
    kept->number = label.number;
    kept->string = text;
    kept->size = label.size;
    return AKIN_OK;
}

/* Groups are numbered by first appearance, so the samples say when a new one begins. */
static akin_status add_labels(ak_value *list, const ak_table *table, const akin_dataset *dataset,
                              akin_arena *scratch, akin_arena *arena, akin_error *error)
{
    if (!list)
        return ak_fail_memory(error);
    for (int64_t i = 0; i < table->count; i++)
        if (table->group[i] == list->count)
            AK_TRY(add_label(list, dataset, i, scratch, arena, error));
    return AKIN_OK;
}

akin_status ak_table_labels(char **json, const ak_table *table, const akin_dataset *dataset,
                            akin_error *error)
{
    akin_arena *arena, *scratch = NULL;
    *json = NULL;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *list = ak_value_new_list(arena);
    akin_status status = ak_arena_create(&scratch, error);
    if (!status)
        status = add_labels(list, table, dataset, scratch, arena, error);
    if (!status && !(*json = ak_json_write(list, 0)))
        status = ak_fail_memory(error);
    ak_arena_free(scratch);
    ak_arena_free(arena);
    return status;
}
