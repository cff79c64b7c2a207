/* akin: the commands of cli_commands below. */
#include "cli.h"
#include "manual.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const cli_command *const cli_commands[] = {
    &cli_train,   &cli_tune, &cli_evaluate, &cli_report, &cli_encode,  &cli_index, &cli_search,
    &cli_inspect, &cli_list, &cli_cache,    &cli_mine,   &cli_distill, NULL};

static int print_help(FILE *out)
{
    fprintf(out,
            "akin %s: similarity learning in C\n\nusage: akin COMMAND [OPTION]... "
            "[ARGUMENT]...\n\n",
            akin_version());
    for (int i = 0; cli_commands[i]; i++)
        fprintf(out, "  %-9s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fprintf(out, "\nakin COMMAND --help shows a command's options; akin --version what this akin "
                 "is.\n");
    return out == stdout ? CLI_DONE : CLI_USAGE;
}

static int print_version(void)
{
    char text[1024];
    akin_describe(text, sizeof text);
    puts(text);
    return CLI_DONE;
}

static int unknown_command(const char *name)
{
    char names[256] = "";
    size_t used = 0;
    for (int i = 0; cli_commands[i]; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                 i == 0                ? ""
                                 : cli_commands[i + 1] ? ", "
                                                       : " and ",
                                 cli_commands[i]->name);
    return cli_usage(NULL, "there is no command \"%s\", there are %s", name, names);
}

/* An option that is none may be a key of the recipe. */
static int bad_option(const cli_command *command, const char *option, int code)
{
    bool recipe = command == &cli_train || command == &cli_tune;
    return cli_usage(command->name, "%s: %s%s", option, poptStrerror(code),
                     recipe && code == POPT_ERROR_BADOPT
                         ? "; what a recipe says is changed by --set, as in --set train.epochs=5"
                         : "");
}

/* Is --output standard output, for a command whose output is a file or folder? */
static bool misses_output(const cli_command *command)
{
    for (const struct poptOption *row = command->options; row->longName; row++)
        if (strcmp(row->longName, "output") == 0) {
            const char *value = *(char *const *)row->arg;
            return !command->prints && value && strcmp(value, "-") == 0;
        }
    return false;
}

static int run_command(const cli_command *command, poptContext parser)
{
    akin_context *context = NULL;
    akin_error error = {0};
    const char **arguments = poptGetArgs(parser);
    int count = 0;
    while (arguments && arguments[count])
        count++;
    int result = cli_open_context(&context, &error) ? cli_fail(&error)
                                                    : command->run(context, arguments, count);
    cli_end_progress();
    akin_context_free(context);
    return result;
}

static int start_command(const cli_command *command, int argc, const char **argv)
{
    static int help;
    struct poptOption table[] = {
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, command->options, 0, "Options:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, cli_common_options, 0, "Common options:", NULL},
        {"help", 'h', POPT_ARG_NONE, &help, 0, "show this help", NULL},
        POPT_TABLEEND};
    char usage[256], name[32];
    snprintf(usage, sizeof usage, "[OPTION]... %s", command->arguments);
    snprintf(name, sizeof name, "akin %s", command->name);
    argv[0] = name; /* what popt calls the program */
    poptContext parser = poptGetContext(command->name, argc, argv, table, 0);
    poptSetOtherOptionHelp(parser, usage);
    int code = poptGetNextOpt(parser), result;
    if (code < -1) {
        result = bad_option(command, poptBadOption(parser, POPT_BADOPTION_NOALIAS), code);
    } else if (help) {
        printf("%s\n\n", command->summary);
        poptPrintHelp(parser, stdout, 0);
        printf("\nExample:\n  %s\n", command->example);
        result = CLI_DONE;
    } else if (misses_output(command)) {
        result = cli_usage(command->name,
                           "--output wants a name: %s does not write to standard "
                           "output (./- is a file named -)",
                           command->name);
    } else {
        result = run_command(command, parser);
    }
    poptFreeContext(parser);
    return result;
}

/* OpenMP threads that wait spin, for 14 ms with GNU's default: on a processor that others use too,
   training is then three times slower than on one thread. A short spin costs an idle machine
   nothing. GNU's library reads this before main, so the program starts itself once more. */
static void limit_spinning(char *const *argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    setenv("GOMP_SPINCOUNT", "10000", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, const char **argv)
{
    limit_spinning((char *const *)argv);
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name)
        return print_help(stderr);
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
        return print_help(stdout);
    if (!strcmp(name, "--version"))
        return print_version();
    if (!strcmp(name, "--manual"))
        return cli_print_manual(stdout);
    for (int i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0) {
            int result = start_command(cli_commands[i], argc - 1, argv + 1);
            return fflush(stdout) == 0 ? result : (perror("akin: standard output"), CLI_FAILED);
        }
    return unknown_command(name);
}
