/* akin train RECIPE | akin train PAIRS.jsonl [--encoder FOLDER] */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char **sets;
    char *encoder, *output, *resume, *samples, *fields;
    int force;
} options;

static struct poptOption rows[] = {
    {"set", 's', POPT_ARG_ARGV, &options.sets, 0,
     "change a recipe key, as in train.epochs=5 (repeatable)", "KEY=VALUE"},
    {"output", 'o', POPT_ARG_STRING, &options.output, 0,
     "the model directory to write (default: the recipe's or file's name and -model)", "FOLDER"},
    {"force", 'f', POPT_ARG_NONE, &options.force, 0, "replace an existing output", NULL},
    {"resume", 0, POPT_ARG_STRING, &options.resume, 0,
     "go on from the checkpoint in this folder (OUTPUT.checkpoint of the stopped run), or from a "
     "copy in it; the run's own are written to OUTPUT.checkpoint",
     "FOLDER"},
    {"encoder", 'e', POPT_ARG_STRING, &options.encoder, 0,
     "without a recipe: the sentence-transformers folder, or fastText's .bin, to tune on top of "
     "(default: none, a model of n-grams learns from the data alone)",
     "FOLDER"},
    {"samples", 0, POPT_ARG_STRING, &options.samples, 0,
     "without a recipe: pairs or groups (default: pairs)", "KIND"},
    {"fields", 0, POPT_ARG_STRING, &options.fields, 0,
     "without a recipe: which columns hold what, as in a=question,b=answer", "NAME=COLUMN,..."},
    POPT_TABLEEND};

/* ---- the recipe, or assignments that stand for one ---- */

#define MAX_SETS 256

typedef struct assignments {
    const char *text[MAX_SETS];
    char *owned[16];
    int count, owned_count;
} assignments;

/* KEY='VALUE' with YAML's quoting. */
static void assign(assignments *list, const char *key, const char *value)
{
    size_t size = strlen(key) + 2 * strlen(value) + 8;
    char *text = malloc(size), *at = text;
    if (!text || list->owned_count == 16)
        cli_out_of_memory();
    at += sprintf(at, "%s='", key);
    for (; *value; value++) {
        if (*value == '\'')
            *at++ = '\'';
        *at++ = *value;
    }
    strcpy(at, "'");
    list->owned[list->owned_count++] = text;
    list->text[list->count++] = text;
}

static akin_status assign_fields(assignments *list, akin_error *error)
{
    akin_fields fields = {0};
    akin_status status = cli_fields(options.fields, &fields, error);
    struct {
        const char *key, *value;
    } known[] = {{"data.fields.a", fields.a},           {"data.fields.b", fields.b},
                 {"data.fields.score", fields.score},   {"data.fields.subgroup", fields.subgroup},
                 {"data.fields.object", fields.object}, {"data.fields.group", fields.group}};
    for (size_t i = 0; i < sizeof known / sizeof *known && !status; i++)
        if (known[i].value)
            assign(list, known[i].key, known[i].value);
    if (fields.no_header)
        list->text[list->count++] = "data.fields.no_header=true";
    return status;
}

static akin_status too_many_sets(akin_error *error)
{
    *error = (akin_error){.status = AKIN_ERR_ARGUMENT};
    snprintf(error->message, sizeof error->message, "--set is there more than %d times", MAX_SETS);
    return AKIN_ERR_ARGUMENT;
}

/* Without one there is nothing to keep: n-grams learn from the data alone. A head on top of them
   would add nothing but ways to learn the data by heart, which its dropout hinders. */
static void assign_encoder(assignments *list)
{
    static const char *const usual[] = {"encoders.text.type=ngrams", "head.type=empty",
                                        "head.dropout=0.3"};
    if (options.encoder) {
        assign(list, "encoders.text.path", options.encoder);
        if (cli_has_suffix(options.encoder, ".bin"))
            assign(list, "encoders.text.type", "fasttext");
        return;
    }
    for (int i = 0; i < 3; i++)
        list->text[list->count++] = usual[i];
    cli_say("without --encoder a model of n-grams learns from the data alone (akin list encoders)");
}

static akin_status open_recipe(akin_recipe **recipe, akin_context *context, const char *path,
                               assignments *list, akin_error *error)
{
    akin_status status = AKIN_OK;
    if (!cli_is_recipe(path)) {
        assign(list, "data.train", path);
        assign_encoder(list);
        if (options.samples)
            assign(list, "data.samples", options.samples);
        status = assign_fields(list, error);
    }
    for (char **set = options.sets; set && *set && !status; set++) {
        if (list->count == MAX_SETS)
            status = too_many_sets(error);
        else
            list->text[list->count++] = *set;
    }
    if (!status)
        status = akin_recipe_open(recipe, context, cli_is_recipe(path) ? path : NULL, list->text,
                                  list->count, error);
    return status;
}

/* ---- names ---- */

/* Where a checkpoint stands that --resume may name: a folder's, or that of a copy in it. */
static char *folder_of(const char *place)
{
    size_t length = strlen(place);
    if (cli_has_suffix(place, ".safetensors"))
        while (length && place[length - 1] != '/')
            length--;
    char *folder = length ? strndup(place, length) : strdup(".");
    if (!folder)
        cli_out_of_memory();
    return folder;
}

static bool has_checkpoint(const char *folder)
{
    char *file = cli_beside(folder, "/checkpoint.safetensors");
    bool there = access(file, F_OK) == 0;
    free(file);
    return there;
}

/* Copies that the run was told to keep stay. */
static void remove_checkpoint(const char *folder)
{
    char *file = cli_beside(folder, "/checkpoint.safetensors");
    unlink(file);
    rmdir(folder);
    free(file);
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Does --resume name the output's own checkpoint, and not a folder of the user's? */
static bool resumes_own(const char *checkpoint)
{
    char *from = options.resume ? folder_of(options.resume) : NULL;
    bool own = from && same_folder(from, checkpoint);
    free(from);
    return own;
}

/* ---- what came out ---- */

static void tell(const akin_fit_summary *s, const char *output, const char *monitor)
{
    cli_end_progress();
    if (s->best_epoch == 0)
        cli_say("the base was not beaten in %lld epochs: the model saved is the base, unchanged",
                (long long)s->epochs);
    else if (isnan(s->base_value)) /* no validation data */
        cli_say("epoch %lld of %lld: %s %.4f", (long long)s->best_epoch, (long long)s->epochs,
                monitor, s->best_value);
    else
        cli_say("best epoch %lld of %lld%s: %s %.4f (base %.4f)", (long long)s->best_epoch,
                (long long)s->epochs, s->stopped_early ? " (stopped early)" : "", monitor,
                s->best_value, s->base_value);
    cli_say("%lld steps in %.1f s; %lld vectors reused, %lld encoded", (long long)s->steps,
            s->seconds, (long long)s->reused, (long long)s->encoded);
    printf("%s\n", output);
}

static int save(akin_model *model, const char *output, const akin_fit_summary *summary,
                const char *monitor, const char *checkpoint)
{
    akin_error error = {0};
    if (akin_model_save(model, output, options.force, &error)) {
        int result = cli_fail(&error);
        cli_say("what was trained is in %s: save it with --resume %s", checkpoint, checkpoint);
        return result;
    }
    tell(summary, output, monitor);
    remove_checkpoint(checkpoint);
    return CLI_DONE;
}

/* A run that ended badly: the checkpoint is kept, and told. */
static int stopped(const akin_error *error, akin_model *model, const char *output,
                   const char *checkpoint)
{
    akin_error saving = {0};
    int result = cli_fail(error);
    bool kept = has_checkpoint(checkpoint);
    if (error->status == AKIN_ERR_INTERRUPTED && model && kept)
        cli_say("go on with --resume %s", checkpoint);
    else if (error->status == AKIN_ERR_INTERRUPTED && model)
        cli_say("no checkpoint could be written to %s", checkpoint);
    if (!kept && error->status != AKIN_ERR_EXISTS) /* of another run's */
        remove_checkpoint(checkpoint); /* the folder, made before the first step, if it is empty */
    if (error->status == AKIN_ERR_DIVERGED && model &&
        akin_model_save(model, output, options.force, &saving) == AKIN_OK)
        cli_say("the best epoch before that is in %s", output);
    else if (error->status == AKIN_ERR_DIVERGED && !model)
        cli_say("nothing was saved: no epoch before that is known to be good%s",
                kept ? ", and the checkpoint is of this run's last steps" : "");
    return result;
}

static int train(akin_context *context, akin_recipe *recipe, const char *output,
                 const char *checkpoint)
{
    akin_error error = {0};
    akin_loader *training, *validation;
    akin_model *model = NULL;
    akin_fit_summary summary;
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    trainer.checkpoint = checkpoint;
    trainer.resume = options.resume != NULL;
    trainer.resume_from = options.resume;
    trainer.replace_logs = options.force;
    if (options.resume && !resumes_own(checkpoint))
        cli_say("goes on from %s, which stays as it is; the run's own checkpoint is %s",
                options.resume, checkpoint);
    akin_status status = akin_recipe_loaders(recipe, &training, &validation, &error);
    if (!status)
        status =
            akin_fit(&model, context, &trainable, &trainer, training, validation, &summary, &error);
    int result = status ? stopped(&error, model, output, checkpoint)
                        : save(model, output, &summary, validation ? trainer.monitor : "train_loss",
                               checkpoint);
    akin_model_free(model);
    return result;
}

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    if (count != 1)
        return cli_usage("train", "train wants one recipe or data file, found %d arguments", count);
    char *output = options.output ? strdup(options.output) : cli_default_output(arguments[0]);
    if (!output)
        cli_out_of_memory();
    char *checkpoint = cli_beside(output, ".checkpoint");
    assignments list = {.count = 0};
    akin_recipe *recipe = NULL;
    int result;
    if (access(output, F_OK) == 0 && !options.force)
        result = cli_usage(
            "train", "%s exists already; --force replaces it, --output names another", output);
    else if (!options.force && has_checkpoint(checkpoint) && !resumes_own(checkpoint))
        result = cli_usage("train",
                           "%s holds a run that was not finished: --resume %s goes on with it, "
                           "--force begins anew",
                           checkpoint, checkpoint);
    else if (open_recipe(&recipe, context, arguments[0], &list, &error) ||
             akin_recipe_may_save(recipe, output, options.force, &error))
        result = cli_fail(&error);
    else
        result = train(context, recipe, output, checkpoint);
    akin_recipe_free(recipe);
    for (int i = 0; i < list.owned_count; i++)
        free(list.owned[i]);
    free(output);
    free(checkpoint);
    return result;
}

const cli_command cli_train = {
    .name = "train",
    .arguments = "RECIPE.yaml | DATA.jsonl",
    .summary = "fine-tune a model on pairs or groups",
    .description =
        "Trains the model that a recipe describes and writes its directory. Frozen encoders are "
        "computed once and their outputs kept, so that a second run starts at once. Validation "
        "runs "
        "before the first step: a model that does not beat its base is the base. Ctrl-C finishes "
        "the step and writes a checkpoint.",
    .example = "akin train faq.jsonl --encoder minilm/ --output faq-model",
    .options = rows,
    .run = run};
