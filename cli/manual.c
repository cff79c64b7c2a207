#include "manual.h"

#include "cli.h"

/* scdoc reads _ and * as marks: they are escaped. */
static void print_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '_' || *text == '*' || *text == '\\' || *text == '#' || *text == '<')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_option(FILE *out, const struct poptOption *option)
{
    fputc('*', out);
    if (option->shortName)
        fprintf(out, "-%c*, *", option->shortName);
    fprintf(out, "--%s*", option->longName);
    if (option->argDescrip) {
        fputs(" _", out);
        print_escaped(out, option->argDescrip);
        fputc('_', out);
    }
    fputs("\n\t", out);
    print_escaped(out, option->descrip);
    fputs("\n\n", out);
}

static void print_options(FILE *out, const struct poptOption *options)
{
    for (; options->longName; options++)
        print_option(out, options);
}

static void print_command(FILE *out, const cli_command *command)
{
    fprintf(out, "## akin %s ", command->name);
    print_escaped(out, command->arguments);
    fputs("\n\n", out);
    print_escaped(out, command->description);
    fputs("\n\n", out);
    print_options(out, command->options);
    fputs("Example:\n\n```\n", out);
    fputs(command->example, out);
    fputs("\n```\n\n", out);
}

int cli_print_manual(FILE *out)
{
    fputs("akin(1)\n\n# NAME\n\nakin - similarity learning: train, evaluate, encode, search\n\n"
          "# SYNOPSIS\n\n*akin* _COMMAND_ [_OPTION_]... [_ARGUMENT_]...\n\n"
          "# DESCRIPTION\n\nakin fine-tunes similarity models (objects that are alike get close "
          "vectors), evaluates them and searches with them, on an ordinary processor. Results go "
          "to standard output, everything else to standard error.\n\n# COMMANDS\n\n",
          out);
    for (int i = 0; cli_commands[i]; i++)
        print_command(out, cli_commands[i]);
    fputs("# COMMON OPTIONS\n\n", out);
    print_options(out, cli_common_options);
    fputs("# EXIT STATUS\n\n0 done; 1 failed; 2 wrong usage; 130 interrupted (a training run has "
          "written its checkpoint).\n\n# ENVIRONMENT\n\n*OMP_NUM_THREADS*\n\tthreads to use "
          "(default: all processors)\n\n*XDG_CACHE_HOME*\n\tthe cache is in its folder akin "
          "(default: ~/.cache)\n",
          out);
    return ferror(out) ? CLI_FAILED : CLI_DONE;
}
