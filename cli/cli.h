/* The command akin: a client of akin.h and nothing else of the library. One file per command.
   Results go to stdout, everything else to stderr. Exit status: 0 done, 1 failed, 2 usage,
   130 interrupted. */
#ifndef AKIN_CLI_H
#define AKIN_CLI_H

#include <akin.h>
#include <popt.h>
#include <stdbool.h>
#include <stdio.h>

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

typedef struct cli_command {
    const char *name;
    const char *arguments; /* "MODEL [FILE|-]" */
    const char *summary;
    const char *description; /* paragraphs of the manual */
    const char *example;
    struct poptOption *options; /* its own; the common ones are added */
    bool prints;                /* --output - is standard output */
    int (*run)(akin_context *context, const char **arguments, int count);
} cli_command;

extern const cli_command cli_train, cli_tune, cli_evaluate, cli_report, cli_encode, cli_index,
    cli_search, cli_inspect, cli_list, cli_cache, cli_mine, cli_distill;
extern const cli_command *const cli_commands[]; /* NULL-terminated */

/* ---- common.c: options every command has, errors, progress ---- */

extern struct poptOption cli_common_options[];

akin_status cli_open_context(akin_context **context, akin_error *error);
void cli_end_progress(void); /* clears the progress line of a terminal */
int cli_fail(const akin_error *error); /* prints it; CLI_FAILED or CLI_INTERRUPTED */
int cli_usage(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* CLI_USAGE */
bool cli_quiet(void);
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* to stderr */

/* ---- gnuplot.c ---- */

/* An akin_chart_function: runs gnuplot, if it is there. user: a bool that becomes true where it was
   not, so that it can be told once. */
bool cli_gnuplot(void *user, const char *script, akin_arena *arena, akin_object *svg);

/* ---- figures.c ---- */

/* Base, tuned, difference and its interval; repeated: with deviations in place of intervals. */
void cli_print_figures(const akin_evaluation *e, bool repeated);

/* ---- shared ---- */

/* --precision of commands that load a model. */
akin_status cli_precision(const char *text, akin_precision *precision, akin_error *error);
/* "a=question,b=answer" into the struct; the pieces point into `text`, which is cut up. */
akin_status cli_fields(char *text, akin_fields *fields, akin_error *error);
char *cli_default_output(const char *path);                /* "dir/faq.yaml": "faq-model" */
char *cli_beside(const char *path, const char *ending);    /* "faq-model/": "faq-model.ending" */
_Noreturn void cli_out_of_memory(void);
bool cli_is_folder(const char *path);
bool cli_has_suffix(const char *path, const char *suffix);
bool cli_is_recipe(const char *path); /* by its name; else it is data */

#endif
