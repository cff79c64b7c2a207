/* akin inspect PATH */
#include "cli.h"

#include <jansson.h>
#include <stdlib.h>

static struct {
    int json;
} options;

static struct poptOption rows[] = {
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print one JSON object", NULL}, POPT_TABLEEND};

static void print_value(const char *prefix, const char *key, const json_t *value)
{
    char name[256];
    const char *member;
    json_t *inner;
    snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
    if (json_is_object(value) && json_object_size(value)) {
        json_object_foreach((json_t *)value, member, inner) print_value(name, member, inner);
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(7));
    printf("%-32s %s\n", name, json_is_string(value) ? json_string_value(value) : text);
    free(text);
}

static int print_lines(const char *text)
{
    const char *key;
    json_t *root = json_loads(text, 0, NULL), *value;
    if (!root)
        cli_out_of_memory();
    json_object_foreach(root, key, value) print_value("", key, value);
    json_decref(root);
    return CLI_DONE;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    char *text;
    if (count != 1)
        return cli_usage("inspect", "inspect wants one path, found %d arguments", count);
    if (akin_inspect(&text, context, arguments[0], &error))
        return cli_fail(&error);
    int result = options.json ? (puts(text), CLI_DONE) : print_lines(text);
    akin_memory_free(text);
    return result;
}

const cli_command cli_inspect = {.name = "inspect",
                                 .arguments = "PATH",
                                 .summary = "say what a file or folder is and holds",
                                 .description =
                                     "Models, indexes, vectors, tensors, recipes and data files.",
                                 .example = "akin inspect faq-model",
                                 .options = rows,
                                 .run = run};
