/* The run's curves: losses and metrics of every epoch, as the model's training record keeps them
   ("history": a list of {epoch, step, lr, FIGURE...}). Epoch 0 is the base. */
#include "eval/report.h"

#include <math.h>
#include <string.h>

enum { MOST_FIGURES = 12 };

typedef struct history {
    const ak_value *epochs;
    const char *names[MOST_FIGURES]; /* the figures, losses first */
    int losses, count;
    int64_t best; /* -1: not known */
} history;

static bool is_loss(const char *name)
{
    size_t length = strlen(name);
    return length >= 5 && strcmp(name + length - 5, "_loss") == 0;
}

/* No figure of the epoch: its place, or what the last batch had. */
static bool is_other(const char *name)
{
    return !strcmp(name, "epoch") || !strcmp(name, "step") || !strcmp(name, "lr") ||
           !strncmp(name, "step_", 5);
}

/* Losses, then the rest, as the last epoch has them. */
static void find_names(history *h)
{
    for (int losses = 1; losses >= 0; losses--) {
        for (const ak_value *one = h->epochs->last->first; one; one = one->next)
            if (!is_other(one->key) && is_loss(one->key) == losses && h->count < MOST_FIGURES)
                h->names[h->count++] = one->key;
        if (losses)
            h->losses = h->count;
    }
}

static akin_status read_history(ak_report *r, history *h, akin_error *error)
{
    ak_value *record;
    const char *json = r->evaluator.model->training_json;
    *h = (history){.best = -1};
    if (!json)
        return AKIN_OK;
    AK_TRY(ak_json_parse(&record, r->arena, json, strlen(json), "training record", error));
    h->epochs = ak_value_get(record, "history");
    if (!h->epochs || h->epochs->kind != AK_LIST || h->epochs->count < 2) {
        h->epochs = NULL;
        return AKIN_OK;
    }
    h->best = ak_value_get_int(record, "best_epoch", -1);
    find_names(h);
    return AKIN_OK;
}

/* A title between gnuplot's single quotes, in which only they mean something. */
static void add_quoted(ak_text *script, const char *text)
{
    ak_text_add(script, "'", 1);
    for (; *text; text++)
        ak_text_add(script,
                    *text == '\''                ? "''"
                    : (unsigned char)*text < ' ' ? " "
                                                 : text,
                    *text == '\'' ? 2 : 1);
    ak_text_add(script, "'", 1);
}

static void add_data(ak_text *script, const history *h)
{
    ak_text_printf(script, "$epochs << EOD\n");
    for (const ak_value *one = h->epochs->first; one; one = one->next) {
        ak_text_printf(script, "%lld", (long long)ak_value_get_int(one, "epoch", 0));
        for (int i = 0; i < h->count; i++) {
            char number[32];
            double value = ak_value_get_number(one, h->names[i], NAN);
            ak_double_to_text(value, number);
            ak_text_printf(script, " %s", isfinite(value) ? number : "NaN");
        }
        ak_text_printf(script, "\n");
    }
    ak_text_printf(script, "EOD\n");
}

/* Figures first .. last - 1 as lines over the epochs, the best epoch marked. */
static bool draw(ak_report *r, const history *h, int first, int last, const char *caption)
{
    static const char *const colours[] = {AK_BLUE, AK_AMBER,  AK_GREEN,
                                          AK_RED,  "#a855f7", "#14b8a6"};
    ak_text script = {0};
    if (first == last)
        return true;
    ak_text_printf(&script, "set xlabel 'epoch'\nset grid ytics\nset key above\n");
    ak_text_printf(&script, "set offsets 0, 0, graph 0.05, graph 0.05\n");
    if (h->best >= 0)
        ak_text_printf(
            &script, "set arrow from %lld, graph 0 to %lld, graph 1 nohead dt 2 lc rgb '#8b95a3'\n",
            (long long)h->best, (long long)h->best);
    add_data(&script, h);
    for (int i = first; i < last; i++) {
        ak_text_printf(&script, "%s $epochs using 1:%d with %s lw 2 pt 7 ps 0.4 lc rgb '%s' title ",
                       i == first ? "plot" : ",", i + 2,
                       h->epochs->count > 40 ? "lines" : "linespoints", colours[(i - first) % 6]);
        add_quoted(&script, h->names[i]);
    }
    ak_text_printf(&script, "\n");
    bool drawn = ak_html_chart(&r->page, &script, 520, 340, caption);
    ak_free(script.data);
    return drawn;
}

static void add_table(ak_report *r, const history *h, bool open)
{
    ak_page *page = &r->page;
    ak_html_printf(page, "<details%s><summary>Every epoch</summary>\n<table><tr><th class=n>epoch",
                   open ? " open" : "");
    for (int i = 0; i < h->count; i++) {
        ak_html_printf(page, "<th class=n>");
        ak_html_text(page, h->names[i], strlen(h->names[i]), 0);
    }
    for (const ak_value *one = h->epochs->first; one; one = one->next) {
        int64_t epoch = ak_value_get_int(one, "epoch", 0);
        ak_html_printf(page, "\n<tr><td class=n>%lld%s", (long long)epoch,
                       epoch == h->best ? " (best)" : "");
        for (int i = 0; i < h->count; i++)
            ak_html_number(page, ak_value_get_number(one, h->names[i], NAN), 4, false);
    }
    ak_html_printf(page, "\n</table></details>\n");
}

akin_status ak_report_curves(ak_report *r, akin_error *error)
{
    history h;
    AK_TRY(read_history(r, &h, error));
    if (!h.epochs)
        return AKIN_OK;
    ak_html_printf(&r->page,
                   "<h2>The run</h2>\n<p class=soft>Epoch 0 is the base%s.</p>\n"
                   "<div class=row>\n",
                   h.best >= 0 ? "; the dashed line marks the epoch that was kept" : "");
    bool drawn = draw(r, &h, 0, h.losses, "Losses: small is good");
    drawn &= draw(r, &h, h.losses, h.count, "Metrics on the validation set: large is good");
    ak_html_printf(&r->page, "</div>\n");
    add_table(r, &h, !drawn);
    return ak_report_check(r, error);
}
