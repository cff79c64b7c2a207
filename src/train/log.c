/* Logs of a run: log.csv has a row a validation or epoch, log.jsonl has a line for each and, when
   metrics are computed per step, a line a step; events for TensorBoard have loss and lr of every
   step and what log.csv has. A resumed run cuts them to what they were at its checkpoint; those of
   another run stay as they are. */
#include "train/train.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define CSV "log.csv"
#define JSONL "log.jsonl"
#define EVENTS "events.out.tfevents.0000000000.akin" /* TensorBoard looks for "tfevents" */

struct ak_run_log {
    ak_log *csv, *jsonl, *events; /* events: NULL where not wanted */
};

static akin_status open_one(ak_log **out, const char *folder, const char *name, int64_t keep,
                            akin_error *error)
{
    int64_t size = 0, time;
    char *path = ak_path_join(folder, name);
    if (!path)
        return ak_fail_memory(error);
    /* A file that lost its end, or is not there, starts anew. */
    if (keep && (ak_file_stamp(path, &size, &time, NULL) || size < keep))
        keep = 0;
    akin_status status = ak_log_open(out, path, keep, error);
    ak_free(path);
    return status;
}

static double seconds_since_1970(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static akin_status put_event(ak_run_log *log, const ak_event *event, akin_error *error)
{
    ak_text record = {0};
    ak_event_write(&record, event, seconds_since_1970());
    akin_status status = record.failed ? ak_fail_memory(error)
                                       : ak_log_put(log->events, record.data, record.size, error);
    ak_free(record.data);
    return status;
}

static akin_status open_events(ak_run_log *log, const akin_training *t, akin_error *error)
{
    AK_TRY(open_one(&log->events, t->trainer.log_folder, EVENTS, t->log_sizes.events, error));
    return ak_log_size(log->events) ? AKIN_OK : put_event(log, NULL, error);
}

/* Where log.csv stands, which tells a run's own logs from those of another. */
static char *csv_path(const akin_training *t)
{
    char *path = ak_path_join(t->trainer.log_folder, CSV);
    char *whole = path ? ak_path_absolute(path) : NULL;
    ak_free(path);
    return whole;
}

static akin_status refuse_existing(const char *folder, const char *name, akin_error *error)
{
    int64_t size = 0, time;
    akin_status status = AKIN_OK;
    char *path = ak_path_join(folder, name);
    if (!path)
        return ak_fail_memory(error);
    if (ak_file_stamp(path, &size, &time, NULL) == AKIN_OK && size)
        status = ak_fail(error, AKIN_ERR_EXISTS,
                         "%s exists already: \"log_folder\" has the logs of another run", path);
    ak_free(path);
    return status;
}

akin_status ak_run_log_check(const akin_training *t, akin_error *error)
{
    const char *folder = t->trainer.log_folder;
    if (!folder || t->trainer.replace_logs)
        return AKIN_OK;
    char *csv = csv_path(t);
    if (!csv)
        return ak_fail_memory(error);
    bool own = t->log_csv && strcmp(t->log_csv, csv) == 0;
    ak_free(csv);
    if (own)
        return AKIN_OK;
    AK_TRY(refuse_existing(folder, CSV, error));
    AK_TRY(refuse_existing(folder, JSONL, error));
    return refuse_existing(folder, EVENTS, error);
}

static akin_status keep_csv_path(akin_training *t, akin_error *error)
{
    char *csv = csv_path(t);
    t->log_csv = csv ? ak_arena_copy(t->run_arena, csv, strlen(csv)) : NULL;
    ak_free(csv);
    return t->log_csv ? AKIN_OK : ak_fail_memory(error);
}

akin_status ak_run_log_open(akin_training *t, akin_error *error)
{
    const char *folder = t->trainer.log_folder;
    if (!folder)
        return AKIN_OK;
    AK_TRY(ak_run_log_check(t, error));
    AK_TRY(ak_make_folders(folder, error));
    AK_TRY(keep_csv_path(t, error));
    t->log = ak_calloc(1, sizeof *t->log);
    if (!t->log)
        return ak_fail_memory(error);
    AK_TRY(open_one(&t->log->csv, folder, CSV, t->log_sizes.csv, error));
    AK_TRY(open_one(&t->log->jsonl, folder, JSONL, t->log_sizes.jsonl, error));
    return t->trainer.tensorboard ? open_events(t->log, t, error) : AKIN_OK;
}

void ak_run_log_close(ak_run_log *log)
{
    if (!log)
        return;
    ak_log_close(log->csv);
    ak_log_close(log->jsonl);
    ak_log_close(log->events);
    ak_free(log);
}

ak_log_sizes ak_run_log_sizes(const ak_run_log *log)
{
    ak_log_sizes sizes = {0};
    if (log)
        sizes = (ak_log_sizes){ak_log_size(log->csv), ak_log_size(log->jsonl),
                               log->events ? ak_log_size(log->events) : 0};
    return sizes;
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

static akin_status json_line(ak_run_log *log, const akin_training *t, bool step, akin_error *error)
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

static void add_scalar(ak_event *event, const char *tag, double value)
{
    if (!isfinite(value) || event->count == AK_EVENT_SCALARS)
        return;
    event->tags[event->count] = tag;
    event->values[event->count++] = (float)value;
}

akin_status ak_run_log_epoch(ak_run_log *log, const akin_training *t, akin_error *error)
{
    ak_event event = {.step = t->step};
    if (!ak_log_size(log->csv))
        AK_TRY(csv_header(log, t, error));
    AK_TRY(csv_row(log, t, error));
    AK_TRY(json_line(log, t, false, error));
    for (int i = 0; i < t->figure_count; i++)
        add_scalar(&event, t->figures[i].name, t->figures[i].value);
    return log->events && event.count ? put_event(log, &event, error) : AKIN_OK;
}

akin_status ak_run_log_step(ak_run_log *log, const akin_training *t, akin_error *error)
{
    ak_event event = {.step = t->step};
    if (t->trainer.metrics_per_step)
        AK_TRY(json_line(log, t, true, error));
    if (!log->events)
        return AKIN_OK;
    add_scalar(&event, "loss", t->loss_value);
    add_scalar(&event, "lr", t->lr);
    return put_event(log, &event, error);
}
