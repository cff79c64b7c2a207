/* Where a run stands, as JSON in its checkpoint; the floats are tensors beside it. Seconds are
   those of the whole run, logs the bytes that were written. */
#include "train/train.h"

#include <math.h>
#include <string.h>

/* A member of akin_training that is a number: written and read alike. */
typedef struct row {
    const char *name;
    enum { INTEGER, NUMBER, FLAG } kind;
    size_t offset;
} row;

#define ROW(member, kind)                                                                          \
    {                                                                                              \
#member, kind, offsetof(akin_training, member)                                             \
    }
static const row rows[] = {
    ROW(epoch, INTEGER),
    ROW(step, INTEGER),
    ROW(batch, INTEGER),
    ROW(loss_sum, NUMBER),
    ROW(loss_samples, INTEGER),
    ROW(base_lr, NUMBER),
    ROW(lr, NUMBER),
    ROW(plateau_best, NUMBER),
    ROW(plateau_bad, INTEGER),
    ROW(best_epoch, INTEGER),
    ROW(best_step, INTEGER),
    ROW(best_value, NUMBER),
    ROW(since_best, INTEGER),
    ROW(judged, INTEGER),
    ROW(stop, FLAG),
    ROW(stopped_early, FLAG),
    ROW(log_sizes.csv, INTEGER),
    ROW(log_sizes.jsonl, INTEGER),
    ROW(log_sizes.events, INTEGER),
};
enum { ROWS = sizeof rows / sizeof *rows };

static bool add_row(const row *r, const akin_training *t, akin_arena *arena, ak_value *root)
{
    const void *member = (const char *)t + r->offset;
    if (r->kind == INTEGER)
        return ak_value_add_int(arena, root, r->name, *(const int64_t *)member);
    if (r->kind == NUMBER)
        return ak_value_add_number(arena, root, r->name, *(const double *)member);
    return ak_value_add_bool(arena, root, r->name, *(const bool *)member);
}

static void read_row(const row *r, akin_training *t, const ak_value *root)
{
    void *member = (char *)t + r->offset;
    if (r->kind == INTEGER)
        *(int64_t *)member = ak_value_get_int(root, r->name, 0);
    else if (r->kind == NUMBER) /* one that is not a number was written as null */
        *(double *)member = ak_value_get_number(root, r->name, NAN);
    else
        *(bool *)member = ak_value_get_bool(root, r->name, false);
}

static bool add_figures(const akin_training *t, akin_arena *arena, ak_value *root)
{
    ak_value *figures = ak_value_add(arena, root, "figures", AK_MAP);
    for (int i = 0; i < t->figure_count; i++) {
        const ak_figure *f = &t->figures[i];
        ak_value *one = ak_value_add(arena, figures, f->name, AK_MAP);
        if (!ak_value_add_number(arena, one, "value", f->value) ||
            !ak_value_add_number(arena, one, "base", f->base) ||
            !ak_value_add_number(arena, one, "best", f->best))
            return false;
    }
    return true;
}

static bool add_kept(const akin_training *t, akin_arena *arena, ak_value *root)
{
    ak_value *kept = ak_value_add(arena, root, "kept", AK_LIST);
    for (int i = 0; i < t->kept_count; i++) {
        ak_value *one = ak_value_add(arena, kept, NULL, AK_MAP);
        if (!ak_value_add_int(arena, one, "step", t->kept[i].step) ||
            !ak_value_add_number(arena, one, "value", t->kept[i].value))
            return false;
    }
    return kept != NULL;
}

static bool add_all(const akin_training *t, akin_arena *arena, ak_value *root)
{
    for (int i = 0; i < ROWS; i++)
        if (!add_row(&rows[i], t, arena, root))
            return false;
    return ak_value_add_number(arena, root, "seconds", ak_seconds() - t->started) &&
           (!t->log_csv || ak_value_add_string(arena, root, "log_csv", t->log_csv)) &&
           ak_value_add_string(arena, root, "history", t->history.data ? t->history.data : "") &&
           add_kept(t, arena, root) && add_figures(t, arena, root);
}

akin_status ak_state_json(akin_training *t, char **out, akin_error *error)
{
    akin_arena *arena;
    *out = NULL;
    AK_TRY(ak_arena_create(&arena, error));
    ak_value *root = ak_value_new_map(arena);
    t->log_sizes = ak_run_log_sizes(t->log);
    if (add_all(t, arena, root))
        *out = ak_json_write(root, 0);
    ak_arena_free(arena);
    return *out ? AKIN_OK : ak_fail_memory(error);
}

static void read_kept(akin_training *t, const ak_value *list)
{
    t->kept_count = 0;
    for (const ak_value *one = list ? list->first : NULL; one && t->kept_count < AK_MAX_KEPT;
         one = one->next)
        t->kept[t->kept_count++] =
            (ak_kept){ak_value_get_int(one, "step", 0), ak_value_get_number(one, "value", NAN)};
}

akin_status ak_state_read(akin_training *t, const ak_value *root, akin_error *error)
{
    const char *history = ak_value_get_string(root, "history", "");
    const char *csv = ak_value_get_string(root, "log_csv", NULL);
    t->log_csv = csv ? ak_arena_copy(t->run_arena, csv, strlen(csv)) : NULL;
    for (int i = 0; i < ROWS; i++)
        read_row(&rows[i], t, root);
    t->started -= ak_value_get_number(root, "seconds", 0);
    ak_text_add(&t->history, history, strlen(history));
    read_kept(t, ak_value_get(root, "kept"));
    for (int i = 0; i < t->figure_count; i++) {
        const ak_value *one = ak_value_get(ak_value_get(root, "figures"), t->figures[i].name);
        t->figures[i].value = ak_value_get_number(one, "value", NAN);
        t->figures[i].base = ak_value_get_number(one, "base", NAN);
        t->figures[i].best = ak_value_get_number(one, "best", NAN);
    }
    return t->history.failed || (csv && !t->log_csv) ? ak_fail_memory(error) : AKIN_OK;
}
