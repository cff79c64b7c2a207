/* akin_report_write: evaluates, then writes the page section by section. */
#include "eval/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

akin_report_options akin_report_defaults(void)
{
    return (akin_report_options){.size = sizeof(akin_report_options), .worst = 20, .points = 800};
}

/* ---- shared ---- */

akin_status ak_report_object(ak_report *r, int64_t content, int64_t most, akin_error *error)
{
    akin_object object;
    ak_arena_reset(r->page.arena);
    AK_TRY(r->contents.object(r->contents.user, content, r->page.arena, &object, error));
    ak_html_text(&r->page, object.data, object.size, most);
    return AKIN_OK;
}

akin_status ak_report_check(const ak_report *r, akin_error *error)
{
    return r->page.html.failed ? ak_fail_memory(error) : AKIN_OK;
}

/* ---- head and figures ---- */

static void add_parts(ak_report *r)
{
    const akin_model *model = r->evaluator.model;
    ak_page *page = &r->page;
    ak_html_printf(page, "<p>");
    for (int i = 0; i < model->encoder_count; i++)
        ak_html_printf(page, "%s%.200s encoder <b>%.200s</b>", i ? ", " : "",
                       model->encoders[i].encoder->type->name, model->encoders[i].name);
    ak_html_printf(page, ", head <b>%.200s</b>, %" PRId64 " numbers an object.",
                   model->head ? model->head->type->name : "none", model->dim);
    ak_html_printf(page, " Measured on %" PRId64 " queries and %" PRId64 " candidates.</p>\n",
                   r->evaluator.queries, r->evaluator.candidates);
}

/* What the first figure says, in a sentence. */
static void add_verdict(ak_report *r)
{
    const akin_evaluation_row *row = &r->evaluator.rows[0];
    if (!r->evaluator.row_count || isnan(row->base) || isnan(row->low))
        return;
    const char *what = row->low > 0    ? "<b class=good>better than its base</b>"
                       : row->high < 0 ? "<b class=bad>worse than its base</b>"
                                       : "<b>not to be told from its base</b>";
    ak_html_printf(&r->page, "<p>By ");
    ak_html_text(&r->page, row->name, strlen(row->name), 0);
    ak_html_printf(&r->page,
                   " the tuned model is %s: the 95&thinsp;%% interval of the difference "
                   "%s zero.</p>\n",
                   what, row->low > 0 || row->high < 0 ? "leaves out" : "contains");
}

static void add_figures(ak_report *r)
{
    ak_page *page = &r->page;
    bool base = r->evaluator.base.queries.data != NULL;
    ak_html_printf(page, "<h2>Figures</h2>\n");
    add_verdict(r);
    ak_html_printf(page, "<table><tr><th>metric%s<th class=n>%s%s\n",
                   base ? "<th class=n>base" : "", base ? "tuned" : "value",
                   base ? "<th class=n>difference<th class=n>from<th class=n>to (95&thinsp;%)"
                        : "");
    for (int64_t i = 0; i < r->evaluator.row_count; i++) {
        const akin_evaluation_row *row = &r->evaluator.rows[i];
        ak_html_printf(page, "<tr><td>");
        ak_html_text(page, row->name, strlen(row->name), 0);
        if (base)
            ak_html_number(page, row->base, 4, false);
        ak_html_number(page, row->value, 4, false);
        if (base) {
            ak_html_number(page, row->difference, 4, true);
            ak_html_number(page, row->low, 4, true);
            ak_html_number(page, row->high, 4, true);
        }
        ak_html_printf(page, "\n");
    }
    ak_html_printf(page, "</table>\n");
}

/* ---- the training record ---- */

/* Long ones have no place in a table, history is drawn. */
static bool is_long(const ak_value *value)
{
    return strcmp(value->key, "history") == 0 || strcmp(value->key, "recipe") == 0;
}

static akin_status add_member(ak_page *page, const ak_value *one, akin_error *error)
{
    char *value = ak_json_write(one, 0);
    if (!value)
        return ak_fail_memory(error);
    ak_html_printf(page, "<tr><td>");
    ak_html_text(page, one->key, strlen(one->key), 0);
    ak_html_printf(page, "<td class=t>");
    ak_html_text(page, value, strlen(value), 4000);
    ak_html_printf(page, "\n");
    ak_free(value);
    return AKIN_OK;
}

static akin_status add_recipe(ak_page *page, const ak_value *recipe, akin_error *error)
{
    char *text = ak_json_write(recipe, 2);
    if (!text)
        return ak_fail_memory(error);
    ak_html_printf(page, "<details><summary>The recipe, defaults filled in</summary>\n<pre>");
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        ak_html_text(page, line, length, 0);
        ak_html_printf(page, "\n");
        line += length + (line[length] == '\n');
    }
    ak_html_printf(page, "</pre></details>\n");
    ak_free(text);
    return AKIN_OK;
}

static akin_status add_record(ak_report *r, akin_error *error)
{
    ak_value *record;
    ak_page *page = &r->page;
    const char *json = r->evaluator.model->training_json;
    if (!json)
        return AKIN_OK;
    AK_TRY(ak_json_parse(&record, r->arena, json, strlen(json), "training record", error));
    ak_html_printf(page, "<h2>How it was trained</h2>\n<table>\n");
    for (const ak_value *one = record->first; one; one = one->next)
        if (!is_long(one))
            AK_TRY(add_member(page, one, error));
    ak_html_printf(page, "</table>\n");
    const ak_value *recipe = ak_value_get(record, "recipe");
    return recipe ? add_recipe(page, recipe, error) : AKIN_OK;
}

/* ---- the whole ---- */

static akin_status write_page(ak_report *r, akin_error *error)
{
    ak_html_begin(&r->page, r->title);
    ak_html_printf(&r->page, "<h1>");
    ak_html_text(&r->page, r->title, strlen(r->title), 0);
    ak_html_printf(&r->page, "</h1>\n");
    add_parts(r);
    add_figures(r);
    AK_TRY(ak_report_curves(r, error));
    AK_TRY(ak_report_similarities(r, error));
    AK_TRY(ak_report_map(r, error));
    AK_TRY(ak_report_worst(r, error));
    AK_TRY(add_record(r, error));
    ak_html_end(&r->page);
    return ak_report_check(r, error);
}

static akin_status check_call(const ak_report *r, const char *path, akin_evaluation_kind kind,
                              const akin_dataset *dataset, akin_error *error)
{
    const akin_report_options *o = &r->options;
    AK_TRY(ak_check_evaluation(kind, dataset, error));
    if (kind == AKIN_EVALUATE_SCORED)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a report is of pairs or of groups");
    if (o->evaluation && o->evaluation->repeats > 1)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a report is of one pass: no repeats");
    if (o->worst < 0 || o->points < 0)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "a report's worst and points must be at least 0");
    if (!o->replace && ak_path_what(path) != AK_PATH_NONE)
        return ak_fail(error, AKIN_ERR_EXISTS, "%s exists already", path);
    return AKIN_OK;
}

static akin_status make_report(ak_report *r, const akin_model *base, akin_evaluation_kind kind,
                               const akin_dataset *dataset, akin_error *error)
{
    ak_table *table = NULL;
    akin_evaluation *evaluation = NULL;
    bool reused;
    const akin_model *model = r->evaluator.model;
    akin_status status =
        ak_evaluation_begin(&r->evaluator, model, base, r->options.evaluation, error);
    if (!status)
        status = ak_labels_table(&table, model, dataset, &reused, error);
    if (!status)
        status = ak_evaluate_table(&r->evaluator, kind, table, dataset, error);
    ak_table_source source = {table, dataset};
    r->table = table;
    if (!status) {
        r->contents = ak_table_contents(&source);
        status = write_page(r, error);
    }
    ak_table_free(table);
    status = ak_evaluation_end(&evaluation, &r->evaluator, status, error);
    akin_evaluation_free(evaluation);
    return status;
}

static void set_title(ak_report *r)
{
    const char *path = r->evaluator.model->path;
    r->title = r->options.title ? r->options.title : path ? ak_path_base(path) : "A model";
    r->page.draw = r->options.draw;
    r->page.draw_user = r->options.draw_user;
}

akin_status akin_report_write(const char *path, const akin_model *model, const akin_model *base,
                              akin_evaluation_kind kind, const akin_dataset *dataset,
                              const akin_report_options *options, akin_error *error)
{
    ak_report r = {.evaluator.model = model, .options = akin_report_defaults()};
    if (options)
        memcpy(&r.options, options,
               options->size < sizeof r.options ? options->size : sizeof r.options);
    AK_TRY(check_call(&r, path, kind, dataset, error));
    set_title(&r);
    akin_status status = ak_arena_create(&r.arena, error);
    if (!status)
        status = ak_arena_create(&r.page.arena, error);
    if (!status)
        status = make_report(&r, base, kind, dataset, error);
    if (!status)
        status = ak_file_write(path, r.page.html.data, r.page.html.size, error);
    ak_free(r.page.html.data);
    ak_arena_free(r.page.arena);
    ak_arena_free(r.arena);
    return status;
}
