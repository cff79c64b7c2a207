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

/* ---- what akin list shows ---- */

static void print_class(FILE *out, const akin_class_info *info)
{
    fprintf(out, "*%s*\n\t", info->name);
    print_escaped(out, info->summary);
    fputs("\n\n", out);
    for (const akin_option *o = info->options; o && o->name; o++) {
        fprintf(out, "\t_%s_: ", o->name);
        print_escaped(out, o->help);
        if (o->choices)
            fprintf(out, " (%s)", o->choices);
        if (o->default_text)
            fprintf(out, "; default %s", o->default_text);
        fputs("\n\n", out);
    }
}

static int print_classes(FILE *out)
{
    static const char *const kinds[] = {"encoders",   "heads",    "losses",  "metrics",
                                        "optimizers", "samplers", "sections"};
    akin_context *context;
    akin_class_info info;
    akin_error error;
    if (akin_context_create(&context, &error))
        return cli_fail(&error);
    fputs("# WHAT A RECIPE NAMES\n\n", out);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        fprintf(out, "## %s\n\n", kinds[i]);
        for (int64_t n = 0; akin_list(context, kinds[i], n, &info); n++)
            print_class(out, &info);
    }
    akin_context_free(context);
    return CLI_DONE;
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
    if (print_classes(out) != CLI_DONE)
        return CLI_FAILED;
    fputs("# EXIT STATUS\n\n0 done; 1 failed; 2 wrong usage; 130 interrupted (a training run has "
          "written its checkpoint).\n\n# ENVIRONMENT\n\n*OMP_NUM_THREADS*\n\tthreads to use "
          "(default: all processors)\n\n*XDG_CACHE_HOME*\n\tthe cache is in its folder akin "
          "(default: ~/.cache)\n",
          out);
    return ferror(out) ? CLI_FAILED : CLI_DONE;
}
