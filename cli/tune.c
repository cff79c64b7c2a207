/* akin tune RECIPE */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char **sets;
    char *output;
    double inner;
    int trials, force, json;
} options = {.inner = 0.2};

static struct poptOption rows[] = {
    {"set", 's', POPT_ARG_ARGV, &options.sets, 0,
     "change a recipe key, as in tune.optimizer.lr=[1e-3,3e-4] (repeatable)", "KEY=VALUE"},
    {"trials", 't', POPT_ARG_INT, &options.trials, 0,
     "try so many combinations, drawn by the recipe's seed (default: 0, all)", "N"},
    {"inner", 0, POPT_ARG_DOUBLE | POPT_ARGFLAG_SHOW_DEFAULT, &options.inner, 0,
     "share of the training data that is held out to choose by", "SHARE"},
    {"output", 'o', POPT_ARG_STRING, &options.output, 0,
     "the model directory to write (default: the recipe's name and -model)", "FOLDER"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace an existing output", NULL},
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print one JSON object", NULL},
    POPT_TABLEEND};

/* ---- printing ---- */

static void print_row(const char *name, double value, const akin_tune_trial *trial)
{
    char number[32] = "diverged";
    if (!isnan(value))
        snprintf(number, sizeof number, "%.4f", value);
    if (trial)
        printf("%5s  %-10s  %5lld  %7.1f  %s\n", name, number, (long long)trial->best_epoch,
               trial->seconds, trial->settings);
    else
        printf("%5s  %-10s  %5s  %7s  the base\n", name, number, "-", "-");
}

static void print_outer(const akin_tune_result *r)
{
    if (!r->outer)
        return;
    printf("\nthe first, trained on all training data, on the validation data (%lld queries):\n",
           (long long)r->outer->queries);
    cli_print_figures(r->outer, false);
}

static void print_table(const akin_tune_result *r)
{
    bool base_told = false;
    char place[24];
    printf("%s on the inner validation (%lld queries)\n", r->metric, (long long)r->queries);
    printf("%5s  %-10s  %5s  %7s  %s\n", "place", "value", "epoch", "seconds", "settings");
    for (int64_t i = 0; i < r->count; i++) {
        const akin_tune_trial *trial = &r->trials[i];
        if (!base_told && !(trial->value > r->base)) {
            print_row("-", r->base, NULL);
            base_told = true;
        }
        snprintf(place, sizeof place, "%lld", (long long)i + 1);
        print_row(place, trial->value, trial);
    }
    if (!base_told)
        print_row("-", r->base, NULL);
    print_outer(r);
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *outer_json(const akin_evaluation *e)
{
    json_t *root = json_object();
    for (int64_t i = 0; e && i < e->count; i++) {
        const akin_evaluation_row *row = &e->rows[i];
        json_object_set_new(root, row->name,
                            json_pack("{s:o, s:o, s:[o, o, o]}", "base", number(row->base), "tuned",
                                      number(row->value), "difference", number(row->difference),
                                      number(row->low), number(row->high)));
    }
    return e ? root : (json_decref(root), json_null());
}

static void print_json(const akin_tune_result *r, const char *output)
{
    json_t *trials = json_array();
    for (int64_t i = 0; i < r->count; i++) {
        const akin_tune_trial *trial = &r->trials[i];
        json_array_append_new(trials, json_pack("{s:s, s:o, s:I, s:I, s:f, s:b}", "settings",
                                                trial->settings, "value", number(trial->value),
                                                "best_epoch", (json_int_t)trial->best_epoch,
                                                "epochs", (json_int_t)trial->epochs, "seconds",
                                                trial->seconds, "reused", trial->reused));
    }
    json_t *root = json_pack("{s:s, s:o, s:I, s:o, s:o, s:s, s:s}", "metric", r->metric, "base",
                             number(r->base), "queries", (json_int_t)r->queries, "trials", trials,
                             "validation", outer_json(r->outer), "kept",
                             r->better ? "tuned" : "base", "output", output);
    char *text = root ? json_dumps(root, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(root);
    if (!text)
        cli_out_of_memory();
    puts(text);
    free(text);
}

static void tell(const akin_tune_result *r, const char *output)
{
    if (r->better)
        cli_say("the first trial's settings beat the base: %s", output);
    else if (r->outer)
        cli_say("the difference may be chance (its interval is not above 0): the base is kept, %s",
                output);
    else
        cli_say("no trial beat the base on the inner validation: the base is kept, %s", output);
}

/* ---- the work ---- */

static void remove_trials(const char *folder)
{
    char *file = cli_beside(folder, "/trials.jsonl");
    unlink(file);
    rmdir(folder);
    free(file);
}

/* Before hours of trials: may the model be saved there? */
static akin_status may_save(akin_context *context, const char *path, int sets, const char *output,
                            akin_error *error)
{
    akin_recipe *recipe;
    akin_status status =
        akin_recipe_open(&recipe, context, path, (const char *const *)options.sets, sets, error);
    if (!status)
        status = akin_recipe_may_save(recipe, output, options.force, error);
    akin_recipe_free(recipe);
    return status;
}

static int tune(akin_context *context, const char *recipe, const char *output, const char *folder)
{
    akin_error error = {0};
    akin_tune_options o = akin_tune_defaults();
    akin_tune_result *result;
    akin_model *model;
    int sets = 0;
    while (options.sets && options.sets[sets])
        sets++;
    if (may_save(context, recipe, sets, output, &error))
        return cli_fail(&error);
    o.trials = options.trials;
    o.inner = options.inner;
    o.folder = folder;
    if (akin_tune(&result, &model, context, recipe, (const char *const *)options.sets, sets, &o,
                  &error)) {
        int failed = cli_fail(&error);
        if (failed == CLI_INTERRUPTED)
            cli_say("the same command goes on: finished trials are in %s", folder);
        return failed;
    }
    akin_status status = akin_model_save(model, output, options.force, &error);
    cli_end_progress();
    if (!status && options.json)
        print_json(result, output);
    else if (!status)
        print_table(result);
    if (!status) {
        tell(result, output);
        remove_trials(folder);
    }
    akin_tune_result_free(result);
    akin_model_free(model);
    return status ? cli_fail(&error) : CLI_DONE;
}

static int run(akin_context *context, const char **arguments, int count)
{
    if (count != 1)
        return cli_usage("tune", "tune wants one recipe, found %d arguments", count);
    if (!cli_is_recipe(arguments[0]))
        return cli_usage("tune",
                         "tune wants a recipe (.yaml), which names the data and what to try; "
                         "found %s",
                         arguments[0]);
    if (options.trials < 0)
        return cli_usage("tune", "--trials is %d, must be at least 0 (all)", options.trials);
    char *output = options.output ? strdup(options.output) : cli_default_output(arguments[0]);
    if (!output)
        cli_out_of_memory();
    char *folder = cli_beside(output, ".tune");
    int result;
    if (access(output, F_OK) == 0 && !options.force)
        result = cli_usage("tune", "%s exists already; --force replaces it, --output names another",
                           output);
    else
        result = tune(context, arguments[0], output, folder);
    free(folder);
    free(output);
    return result;
}

const cli_command cli_tune = {
    .name = "tune",
    .arguments = "RECIPE.yaml",
    .summary = "search for the best settings of a recipe",
    .description =
        "Trains every combination of the values that the recipe's section \"tune\" lists on a part "
        "of the training data and ranks them by the recipe's first metric on the rest. The best "
        "one "
        "is trained again on all of it and compared with the base on the recipe's validation data: "
        "where the 95 % interval of the difference is not above 0, the base is kept. Ctrl-C keeps "
        "the finished trials; the same command goes on.",
    .example = "akin tune faq.yaml --set 'tune.optimizer.lr=[1e-3,3e-4]' --output faq-model",
    .options = rows,
    .run = run};
