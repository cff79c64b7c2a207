/* Logs of a run: log.csv has a row an epoch, log.jsonl has a line an epoch and, when metrics are
   computed per step, a line a step. */
#include "train/train.h"

#include <math.h>

struct ak_run_log {
    ak_log *csv, *jsonl;
    bool header; /* of the CSV file still to be written */
};

static akin_status open_one(ak_log **out, const char *folder, const char *name, bool append,
                            akin_error *error)
{
    char *path = ak_path_join(folder, name);
    if (!path)
        return ak_fail_memory(error);
    akin_status status = ak_log_open(out, path, append, error);
    ak_free(path);
    return status;
}

/* A resumed run goes on with its log, unless it had none. */
static bool has_rows(const char *folder)
{
    int64_t size = 0, time;
    char *path = ak_path_join(folder, "log.csv");
    bool rows = path && !ak_file_stamp(path, &size, &time, NULL) && size > 0;
    ak_free(path);
    return rows;
}

akin_status ak_run_log_open(ak_run_log **out, const char *folder, bool append, akin_error *error)
{
    *out = NULL;
    AK_TRY(ak_make_folders(folder, error));
    ak_run_log *log = ak_calloc(1, sizeof *log);
    if (!log)
        return ak_fail_memory(error);
    log->header = !append || !has_rows(folder);
    akin_status status = open_one(&log->csv, folder, "log.csv", append, error);
    if (!status)
        status = open_one(&log->jsonl, folder, "log.jsonl", append, error);
    if (status) {
        ak_run_log_close(log);
        return status;
    }
    *out = log;
    return AKIN_OK;
}

void ak_run_log_close(ak_run_log *log)
{
    if (!log)
        return;
    ak_log_close(log->csv);
    ak_log_close(log->jsonl);
    ak_free(log);
}

static akin_status send(ak_log *log, ak_text *text, akin_error *error)
{
    akin_status status = text->failed ? ak_fail_memory(error) : ak_log_line(log, text->data, error);
    ak_free(text->data);
    return status;
}

static akin_status csv_header(ak_run_log *log, const akin_training *t, akin_error *error)
{
    ak_text line = {0};
    ak_text_printf(&line, "epoch,step,seconds,lr");
    for (int i = 0; i < t->figure_count; i++)
        ak_text_printf(&line, ",%s", t->figures[i].name);
    log->header = false;
    return send(log->csv, &line, error);
}

static akin_status csv_row(ak_run_log *log, const akin_training *t, akin_error *error)
{
    ak_text line = {0};
    char number[32];
    ak_double_to_text(t->lr, number);
    long long milliseconds = (long long)(1e3 * (ak_seconds() - t->started));
    ak_text_printf(&line, "%lld,%lld,%lld.%03lld,%s", (long long)t->epoch, (long long)t->step,
                   milliseconds / 1000, milliseconds % 1000, number);
    for (int i = 0; i < t->figure_count; i++) {
        ak_double_to_text(t->figures[i].value, number);
        ak_text_printf(&line, ",%s", isnan(t->figures[i].value) ? "" : number);
    }
    return send(log->csv, &line, error);
}

static akin_status json_line(ak_run_log *log, const akin_training *t, bool step,
                             akin_error *error)
{
    ak_text line = {0};
    char number[32];
    ak_double_to_text(t->lr, number);
    ak_text_printf(&line, "{\"epoch\": %lld, \"step\": %lld, \"lr\": %s", (long long)t->epoch,
                   (long long)t->step, number);
    if (step && isfinite(t->loss_value)) {
        ak_double_to_text(t->loss_value, number);
        ak_text_printf(&line, ", \"loss\": %s", number);
    }
    for (int i = 0; i < t->figure_count; i++) {
        ak_double_to_text(t->figures[i].value, number);
        ak_text_printf(&line, ", \"%s\": %s", t->figures[i].name,
                       isfinite(t->figures[i].value) ? number : "null");
    }
    ak_text_printf(&line, "}");
    return send(log->jsonl, &line, error);
}

akin_status ak_run_log_epoch(ak_run_log *log, const akin_training *t, akin_error *error)
{
    if (log->header)
        AK_TRY(csv_header(log, t, error));
    AK_TRY(csv_row(log, t, error));
    return json_line(log, t, false, error);
}

akin_status ak_run_log_step(ak_run_log *log, const akin_training *t, akin_error *error)
{
    return json_line(log, t, true, error);
}
