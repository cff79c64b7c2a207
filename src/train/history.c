/* The history of a run: the figures of every epoch, kept in its checkpoint and in the model's
   training record, where a report finds them. */
#include "train/train.h"

#include <math.h>
#include <string.h>

akin_status ak_history_add(akin_training *t, akin_error *error)
{
    ak_text *text = &t->history;
    char number[32];
    ak_double_to_text(t->lr, number);
    ak_text_printf(text, "%s{\"epoch\": %lld, \"step\": %lld, \"lr\": %s", text->size ? ", " : "",
                   (long long)t->epoch, (long long)t->step, number);
    for (int i = 0; i < t->figure_count; i++) {
        if (!isfinite(t->figures[i].value))
            continue;
        ak_double_to_text(t->figures[i].value, number);
        ak_text_printf(text, ", ");
        ak_json_write_string(text, t->figures[i].name, strlen(t->figures[i].name));
        ak_text_printf(text, ": %s", number);
    }
    ak_text_printf(text, "}");
    return text->failed ? ak_fail_memory(error) : AKIN_OK;
}

akin_status ak_history_record(const akin_training *t, akin_arena *arena, ak_value *map,
                              akin_error *error)
{
    ak_value *list;
    const char *whole = ak_arena_format(arena, "[%s]", t->history.data ? t->history.data : "");
    if (!whole)
        return ak_fail_memory(error);
    AK_TRY(ak_json_parse(&list, arena, whole, strlen(whole), "history", error));
    return ak_value_attach(arena, map, "history", list) ? AKIN_OK : ak_fail_memory(error);
}
