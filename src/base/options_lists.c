/* Option rows of several numbers: [512, 256], or one number that stands for a list of itself. */
#include "base/options_lists.h"

#include <stdio.h>
#include <string.h>

#define FAIL AK_OPTION_FAIL

/* Whole numbers or any, the other is NULL. */
typedef struct list {
    int64_t *whole, count;
    double *real;
} list;

static akin_status list_init(list *l, const akin_option *row, int64_t count, akin_arena *arena,
                             akin_error *error)
{
    *l = (list){.count = count};
    if (!count)
        return AKIN_OK;
    if (row->type == AKIN_OPTION_INTS)
        l->whole = ak_arena_new(arena, int64_t, count);
    else
        l->real = ak_arena_new(arena, double, count);
    return l->whole || l->real ? AKIN_OK : ak_fail_memory(error);
}

static akin_status list_set(const list *l, const akin_option *row, void *options,
                            const ak_option_source *from, akin_error *error)
{
    const akin_ints whole = {l->whole, l->count};
    const akin_floats real = {l->real, l->count};
    bool ints = row->type == AKIN_OPTION_INTS;
    void *member = (char *)options + row->offset;
    AK_TRY(ak_option_list_check(row, ints ? (const void *)&whole : &real, from, error));
    if (ints)
        *(akin_ints *)member = whole;
    else
        *(akin_floats *)member = real;
    return AKIN_OK;
}

static bool set_item(const list *l, int64_t i, const ak_value *item)
{
    bool numeric = item->kind == AK_INT || item->kind == AK_FLOAT;
    if (l->whole)
        return ak_option_value_to_int(item, &l->whole[i]);
    l->real[i] = numeric ? item->number : 0;
    return numeric;
}

akin_status ak_option_list_value(const akin_option *row, void *options, const ak_value *v,
                                 const ak_option_source *from, akin_arena *arena, akin_error *error)
{
    bool several = v->kind == AK_LIST;
    int64_t i = 0;
    list l;
    AK_TRY(list_init(&l, row, several ? v->count : 1, arena, error));
    for (const ak_value *item = several ? v->first : v; item; item = several ? item->next : NULL)
        if (!set_item(&l, i++, item))
            return FAIL(row, from, error, "item %lld of \"%s\" is %.80s, must be %s", (long long)i,
                        row->name,
                        item->kind == AK_STRING ? item->string : ak_value_kind_name(item->kind),
                        l.whole ? "a whole number" : "a number");
    return list_set(&l, row, options, from, error);
}

akin_status ak_option_list_text(const akin_option *row, void *options, const char *text,
                                const ak_option_source *from, akin_arena *arena, akin_error *error)
{
    const char *end = text + strlen(text);
    if (*text == '[' && end[-1] == ']') {
        text++;
        end--;
    }
    list l;
    int64_t count = 0;
    bool empty = text + strspn(text, " ") >= end;
    for (const char *p = text; !empty && p < end; p++)
        count += *p == ',' || p == text;
    AK_TRY(list_init(&l, row, count, arena, error));
    for (int64_t i = 0; i < count; i++) {
        char number[32];
        text += strspn(text, " ");
        size_t size = strcspn(text, ", ]"), after = size + strspn(text + size, " ");
        bool short_enough = size < sizeof number && (text[after] == ',' || text + after == end);
        snprintf(number, sizeof number, "%.*s", (int)(short_enough ? size : 0), text);
        if (!(l.whole ? ak_text_to_int(number, &l.whole[i])
                      : ak_text_to_double(number, &l.real[i])))
            return FAIL(row, from, error, "\"%s\" has \"%.*s\", must be %s", row->name,
                        (int)(size < 80 ? size : 80), text, ak_option_type_name(row->type));
        text += after + 1;
    }
    return list_set(&l, row, options, from, error);
}

akin_status ak_option_list_check(const akin_option *row, const void *member,
                                 const ak_option_source *from, akin_error *error)
{
    const akin_ints *whole = member;
    const akin_floats *real = member;
    bool ints = row->type == AKIN_OPTION_INTS;
    for (int64_t i = 0; i < (ints ? whole->count : real->count); i++)
        if (!ints || ak_option_has_limits(row))
            AK_TRY(ak_option_check_limits(row, ints ? (double)whole->items[i] : real->items[i],
                                          from, error));
    return AKIN_OK;
}

const ak_value *ak_option_list_write(const akin_option *row, const void *member, ak_value *map,
                                     akin_arena *arena)
{
    const akin_ints *whole = member;
    const akin_floats *real = member;
    bool ints = row->type == AKIN_OPTION_INTS;
    ak_value *written = ak_value_add(arena, map, row->name, AK_LIST);
    for (int64_t i = 0; i < (ints ? whole->count : real->count); i++)
        if (!(ints ? ak_value_add_int(arena, written, NULL, whole->items[i])
                   : ak_value_add_number(arena, written, NULL, real->items[i])))
            return NULL;
    return written;
}
