#include "cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
    int quiet;
    char *cache;
    char **plugins;
} common;

struct poptOption cli_common_options[] = {
    {"quiet", 'q', POPT_ARG_NONE, &common.quiet, 0, "say nothing but errors", NULL},
    {"cache", 0, POPT_ARG_STRING, &common.cache, 0,
     "where frozen encoders' outputs are kept; none: nowhere", "FOLDER"},
    {"plugin", 0, POPT_ARG_ARGV, &common.plugins, 0,
     "load encoders, heads, losses or metrics of your own (repeatable)", "FILE.so"},
    POPT_TABLEEND};

bool cli_quiet(void)
{
    return common.quiet;
}

/* ---- progress ---- */

static bool line_open; /* a progress line is on the terminal */

void cli_end_progress(void)
{
    if (line_open)
        fputs("\r\033[K", stderr);
    line_open = false;
}

static void draw_progress(double fraction, const char *text)
{
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 100;
    if (fraction >= 0)
        fprintf(stderr, "\r\033[K%3d%% %.*s", (int)(100 * fraction), width > 20 ? width - 6 : 74,
                text);
    else
        fprintf(stderr, "\r\033[K%.*s", width > 20 ? width - 1 : 79, text);
    line_open = true;
}

static bool is_terminal(void)
{
    return isatty(STDERR_FILENO);
}

/* Where nothing can be redrawn: a line every ten seconds, so that long work is seen to go on. */
static void tell_now_and_then(double fraction, const char *text)
{
    static time_t told;
    time_t now = time(NULL);
    if (!told)
        told = now;
    if (now - told < 10)
        return;
    told = now;
    fprintf(stderr, "%3d%% %s\n", (int)(100 * (fraction > 0 ? fraction : 0)), text);
}

static void show(void *user, akin_message_kind kind, double fraction, const char *text)
{
    (void)user;
    if (common.quiet && kind != AKIN_MESSAGE_WARNING)
        return;
    if (kind == AKIN_MESSAGE_PROGRESS) {
        if (is_terminal())
            draw_progress(fraction, text);
        else
            tell_now_and_then(fraction, text);
        return;
    }
    cli_end_progress();
    if (kind == AKIN_MESSAGE_WARNING)
        fprintf(stderr, "warning: %s\n", text);
    else if (kind == AKIN_MESSAGE_TABLE)
        fputs(text, stderr);
    else
        fprintf(stderr, "%s\n", text);
}

void cli_say(const char *format, ...)
{
    va_list arguments;
    if (common.quiet)
        return;
    cli_end_progress();
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* ---- context ---- */

static volatile int interrupted;

static void on_signal(int number)
{
    interrupted = 1;
    signal(number, SIG_DFL); /* the second Ctrl-C ends the process at once */
}

akin_status cli_open_context(akin_context **context, akin_error *error)
{
    akin_status status = akin_context_create(context, error);
    if (!status && common.cache)
        status = akin_context_set_cache(
            *context, strcmp(common.cache, "none") == 0 ? NULL : common.cache, error);
    for (char **plugin = common.plugins; !status && plugin && *plugin; plugin++)
        status = akin_context_load_plugin(*context, *plugin, error);
    if (status)
        return status;
    akin_context_on_message(*context, show, NULL);
    akin_context_on_interrupt(*context, &interrupted);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    return AKIN_OK;
}

/* ---- errors ---- */

int cli_fail(const akin_error *error)
{
    cli_end_progress();
    fprintf(stderr, "akin: %s\n", error->message);
    return error->status == AKIN_ERR_INTERRUPTED ? CLI_INTERRUPTED : CLI_FAILED;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    cli_end_progress();
    fputs("akin: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\ntry: akin %s%s--help\n", command ? command : "", command ? " " : "");
    return CLI_USAGE;
}

/* ---- shared ---- */

static akin_status bad_argument(akin_error *error, const char *format, const char *text)
{
    *error = (akin_error){.status = AKIN_ERR_ARGUMENT};
    snprintf(error->message, sizeof error->message, format, text);
    return AKIN_ERR_ARGUMENT;
}

akin_status cli_precision(const char *text, akin_precision *precision, akin_error *error)
{
    *precision = AKIN_AS_SAVED;
    if (!text)
        return AKIN_OK;
    if (strcmp(text, "f32") == 0)
        *precision = AKIN_F32;
    else if (strcmp(text, "bf16") == 0)
        *precision = AKIN_BF16;
    else
        return bad_argument(error, "--precision must be f32 or bf16, not \"%s\"", text);
    return AKIN_OK;
}

akin_status cli_fields(char *text, akin_fields *fields, akin_error *error)
{
    struct {
        const char *name;
        const char **place;
    } known[] = {{"a", &fields->a},           {"b", &fields->b},
                 {"score", &fields->score},   {"subgroup", &fields->subgroup},
                 {"object", &fields->object}, {"group", &fields->group}};
    char *save = NULL;
    for (char *piece = text ? strtok_r(text, ",", &save) : NULL; piece;
         piece = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(piece, '=');
        size_t i = 0;
        if (strcmp(piece, "no_header") == 0) {
            fields->no_header = true;
            continue;
        }
        if (!equals)
            return bad_argument(error, "--fields wants NAME=COLUMN pieces, found \"%s\"", piece);
        *equals = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i].name, piece) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return bad_argument(error,
                                "--fields knows a, b, score, subgroup, object, group and "
                                "no_header, not \"%s\"",
                                piece);
        *known[i].place = equals + 1;
    }
    return AKIN_OK;
}

void cli_out_of_memory(void)
{
    fputs("akin: out of memory\n", stderr);
    exit(CLI_FAILED);
}

char *cli_default_output(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t length = strcspn(base, ".");
    char *name = malloc(length + sizeof "-model");
    if (!name)
        cli_out_of_memory();
    memcpy(name, base, length);
    strcpy(name + length, "-model");
    return name;
}

char *cli_beside(const char *path, const char *ending)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    char *name = malloc(length + strlen(ending) + 1);
    if (!name)
        cli_out_of_memory();
    memcpy(name, path, length);
    strcpy(name + length, ending);
    return name;
}

bool cli_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool cli_has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path), size = strlen(suffix);
    return length >= size && strcmp(path + length - size, suffix) == 0;
}

bool cli_is_recipe(const char *path)
{
    return cli_has_suffix(path, ".yaml") || cli_has_suffix(path, ".yml");
}
