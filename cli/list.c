/* akin list KIND */
#include "cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int json;
} options;

static struct poptOption rows[] = {
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print one JSON list", NULL}, POPT_TABLEEND};

static const char *const kinds[] = {"encoders",   "heads",    "losses",   "metrics",
                                    "optimizers", "samplers", "sections", NULL};

static void print_class(const akin_class_info *info)
{
    printf("%-28s %s\n", info->name, info->summary ? info->summary : "");
    for (const akin_option *o = info->options; o && o->name; o++)
        printf("    %-24s %s%s%s%s%s\n", o->name, o->help ? o->help : "", o->choices ? ": " : "",
               o->choices ? o->choices : "", o->default_text ? "; default " : "",
               o->default_text ? o->default_text : "");
}

static json_t *class_json(const akin_class_info *info)
{
    json_t *list = json_array();
    for (const akin_option *o = info->options; o && o->name; o++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s?, s:s?, s:s?}", "name", o->name, "help", o->help,
                                        "default", o->default_text, "choices", o->choices));
    return json_pack("{s:s, s:s?, s:o}", "name", info->name, "summary", info->summary, "options",
                     list);
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_class_info info;
    int known = 0;
    if (count != 1)
        return cli_usage("list", "list wants one of encoders, heads, losses, metrics, optimizers, "
                                 "samplers, sections");
    while (kinds[known] && strcmp(kinds[known], arguments[0]) != 0)
        known++;
    if (!kinds[known])
        return cli_usage("list",
                         "list knows encoders, heads, losses, metrics, optimizers, "
                         "samplers and sections, not \"%s\"",
                         arguments[0]);
    json_t *list = json_array();
    for (int64_t i = 0; akin_list(context, arguments[0], i, &info); i++) {
        if (options.json)
            json_array_append_new(list, class_json(&info));
        else
            print_class(&info);
    }
    char *text = options.json ? json_dumps(list, JSON_PRESERVE_ORDER) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(list);
    return CLI_DONE;
}

const cli_command cli_list = {.name = "list",
                              .arguments =
                                  "encoders|heads|losses|metrics|optimizers|samplers|sections",
                              .summary = "show what there is, with options and defaults",
                              .description = "Every row works in a recipe by its name. Plug-ins "
                                             "show too. Sections are the maps of a recipe "
                                             "and their keys.",
                              .example = "akin list losses",
                              .options = rows,
                              .run = run};
