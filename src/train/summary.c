/* What a run tells: its parts, its epochs, and the record that goes into the model directory. */
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_INTERVAL 0.1 /* seconds between progress messages */

static void add_part_line(ak_text *text, const char *part, const char *type, const char *how,
                          int64_t dim, int64_t parameters)
{
    ak_text_printf(text, "%-20s %-28s %-10s %6lld %12lld\n", part, type, how, (long long)dim,
                   (long long)parameters);
}

/* Groups of one sample: a loss can only push it away. */
static void tell_lonely(const akin_training *t, const ak_side *side, const char *what)
{
    int64_t lonely = ak_table_lonely_groups(side->table);
    if (lonely)
        ak_note(t->context, "%s: %lld of %lld groups have one sample, which has no positive", what,
                (long long)lonely, (long long)side->table->groups);
}

static void tell_replaced(const akin_training *t, const akin_dataset *dataset)
{
    int64_t replaced = ak_dataset_replaced(dataset);
    if (replaced)
        ak_warn(t->context, "%s: %lld byte sequences were not UTF-8 and were replaced",
                ak_dataset_name(dataset), (long long)replaced);
}

void ak_tell_stream(const akin_training *t)
{
    if (ak_loader_is_stream(t->train.loader))
        tell_replaced(t, t->train.dataset);
}

static void tell_side(const akin_training *t, const ak_side *side, const char *what)
{
    if (!side->loader)
        return;
    const char *name = ak_dataset_name(side->dataset);
    bool told = side != &t->train && !strcmp(name, ak_dataset_name(t->train.dataset));
    if (!told && !ak_loader_is_stream(side->loader))
        tell_replaced(t, side->dataset);
    if (ak_loader_is_stream(side->loader)) {
        ak_note(t->context, "%s: a stream, %s; frozen encoders run in every step", what, name);
        return;
    }
    tell_lonely(t, side, what);
    ak_note(t->context, "%s: %lld %s, %lld objects%s; %lld vectors reused, %lld encoded", what,
            (long long)side->table->count, side->table->kind == AKIN_PAIRS ? "pairs" : "samples",
            (long long)side->table->contents, side->features ? "" : " (not cached)",
            (long long)(side->features ? side->features->reused : 0),
            (long long)(side->features ? side->features->encoded : 0));
}

static void tell_teacher(const akin_training *t)
{
    const ak_features *own[] = {t->train.teacher_features, t->validation.teacher_features};
    long long reused = 0, encoded = 0;
    for (int i = 0; i < 2; i++) {
        reused += own[i] ? own[i]->reused : 0;
        encoded += own[i] ? own[i]->encoded : 0;
    }
    if (t->teacher)
        ak_note(t->context, "teacher: %s, %lld numbers; %lld vectors reused, %lld encoded",
                t->trainer.teacher, (long long)akin_model_dim(t->teacher), reused, encoded);
}

static bool any_alike(const ak_table *table)
{
    for (int64_t i = 0; i < table->count; i++)
        if (table->score[i] > 0.5f)
            return true;
    return false;
}

/* One b that is right for every a: whatever the model, it ranks first. */
static bool one_answer(const ak_table *table)
{
    for (int64_t i = 0; i < table->count; i++)
        if (table->content[2 * i + 1] != table->content[1] || !(table->score[i] > 0.5f))
            return false;
    return true;
}

/* Why nothing can be learnt from these samples, nor measured on them; NULL: it can. */
static const char *doubt_of(const ak_table *table)
{
    bool pairs = table->kind == AKIN_PAIRS;
    if (pairs && !any_alike(table))
        return "no pair has a score above 0.5, so none is alike";
    if (pairs && one_answer(table))
        return "there is one b, and it fits every a, so none are unlike";
    if (!pairs && table->groups == 1)
        return "all samples are of one group, so none are unlike";
    if (!pairs && ak_table_lonely_groups(table) == table->groups)
        return "every group has one sample, so none are alike";
    return NULL;
}

void ak_tell_doubts(const akin_training *t)
{
    const char *name = ak_dataset_name(t->train.dataset);
    if (t->loss->traits.teacher && t->loss->traits.any_kind)
        return; /* labels are not looked at */
    const char *doubt = ak_loader_is_stream(t->train.loader) ? NULL : doubt_of(t->train.table);
    if (doubt)
        ak_warn(t->context, "%s: %s; there may be nothing to learn", name, doubt);
    if (!t->validation.loader || ak_loader_is_stream(t->validation.loader))
        return;
    doubt = doubt_of(t->validation.table);
    if (doubt)
        ak_warn(
            t->context,
            "%s, the validation data (%lld samples): %s; it can hardly tell a better model from a "
            "worse one",
            ak_dataset_name(t->validation.dataset), (long long)t->validation.table->count, doubt);
}

static void add_encoder_line(ak_text *text, const char *name, const akin_encoder *encoder)
{
    const akin_parameters *part;
    const char *inner;
    int64_t size = 0;
    for (int k = 0; (part = ak_encoder_part(encoder, k, &inner)); k++)
        size += ak_parameters_size(part);
    add_part_line(text, name, encoder->type->name,
                  ak_encoder_trainable(encoder) ? "trainable" : "frozen", akin_encoder_dim(encoder),
                  size);
}

/* Two towers are two encoders, two prompts one. */
static void add_encoder_lines(ak_text *text, const ak_model_encoder *named)
{
    const akin_encoder *whole = named->encoder;
    if (!ak_encoder_is_two(whole)) {
        add_encoder_line(text, named->name, whole);
        return;
    }
    for (int tower = 0; tower < AK_TOWERS; tower++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", named->name, ak_tower_names[tower]);
        add_encoder_line(text, name, whole->towers[tower]);
    }
}

void ak_tell_parts(const akin_training *t)
{
    ak_text text = {0};
    ak_text_printf(&text, "%-20s %-28s %-10s %6s %12s\n", "part", "type", "", "width",
                   "parameters");
    for (int e = 0; e < t->model->encoder_count; e++)
        add_encoder_lines(&text, &t->model->encoders[e]);
    add_part_line(&text, "head", t->model->head->type->name, "trainable", t->model->dim,
                  ak_parameters_size(t->model->head->parameters));
    add_part_line(&text, "loss", t->loss->type->name, "", t->model->dim,
                  ak_parameters_size(t->loss->parameters));
    if (!text.failed)
        ak_message(t->context, AKIN_MESSAGE_TABLE, text.data);
    ak_free(text.data);
    tell_side(t, &t->train, "training");
    tell_side(t, &t->validation, "validation");
    tell_teacher(t);
    char notes[512];
    akin_model_notes(t->model, notes, sizeof notes);
    if (*notes)
        ak_note(t->context, "%s", notes);
}

bool ak_names_have(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; at && (at = strstr(at, name)); at += length)
        if ((at == names || at[-1] == ',') && (at[length] == ',' || !at[length]))
            return true;
    return false;
}

static void add_progress(ak_text *text, const akin_training *t, const char *name, double value)
{
    if (ak_names_have(t->trainer.progress_metrics, name) && !isnan(value))
        ak_text_printf(text, strcmp(name, "lr") ? ", %s %.4f" : ", %s %.2e", name, value);
}

void ak_tell_step(akin_training *t)
{
    double now = ak_seconds();
    ak_text text = {0};
    if (!t->trainer.progress || now - t->told < PROGRESS_INTERVAL)
        return;
    t->told = now;
    int64_t batches = t->epoch_batches;
    ak_text_printf(&text, "epoch %lld: step %lld", (long long)t->epoch, (long long)t->batch);
    if (!t->endless)
        ak_text_printf(&text, " of %lld", (long long)batches);
    add_progress(&text, t, "loss", t->loss_value);
    add_progress(&text, t, "lr", t->lr);
    for (int i = 0; i < t->figure_count; i++)
        add_progress(&text, t, t->figures[i].name, t->figures[i].value);
    if (!text.failed)
        ak_progress(t->context,
                    t->endless ? -1 : (double)t->batch / (double)(batches ? batches : 1), "%s",
                    text.data);
    ak_free(text.data);
}

/* Once: the numbers differ little from epoch to epoch. */
static void tell_left_out(const akin_training *t)
{
    int64_t left_out = ak_loader_left_out(t->train.loader);
    if (t->epoch == 1 && left_out)
        ak_note(
            t->context,
            "the sampler found no batch for %lld samples of the first epoch; other epochs leave "
            "out others",
            (long long)left_out);
}

void ak_tell_epoch(const akin_training *t)
{
    ak_text text = {0};
    tell_left_out(t);
    if (!t->trainer.progress)
        return;
    ak_text_printf(&text, "epoch %lld%s", (long long)t->epoch, t->epoch ? "" : " (base)");
    for (int i = 0; i < t->figure_count; i++)
        if (!isnan(t->figures[i].value))
            ak_text_printf(&text, "  %s %.4f", t->figures[i].name, t->figures[i].value);
    if (t->epoch && t->batch && t->batch < t->epoch_batches)
        ak_text_printf(&text, "  (step %lld)", (long long)t->step);
    if (t->best_step == t->step && t->epoch && t->best_epoch == t->epoch)
        ak_text_printf(&text, "  *");
    if (!text.failed)
        ak_message(t->context, AKIN_MESSAGE_EPOCH, text.data);
    ak_free(text.data);
}

/* ---- the record ---- */

static bool add_hash(akin_arena *arena, ak_value *map, const char *key, const ak_side *side)
{
    ak_hash hash;
    char hex[AK_HASH_HEX];
    if (!side->loader || !ak_dataset_fingerprint(side->dataset, &hash))
        return ak_value_add(arena, map, key, AK_NULL) != NULL;
    ak_hash_to_hex(hash, hex);
    return ak_value_add_string(arena, map, key, hex) != NULL;
}

/* The recipe, where there is one, so that its data can be found again. */
static akin_status add_recipe(const akin_training *t, akin_arena *arena, ak_value *root,
                              akin_error *error)
{
    const char *text = ak_settings_recipe(t), *from = text ? t->trainable->recipe_folder : NULL;
    ak_value *recipe;
    if (!text)
        return AKIN_OK;
    AK_TRY(ak_json_parse(&recipe, arena, text, strlen(text), "recipe", error));
    char *folder = ak_path_absolute(from ? from : ".");
    bool added = folder && ak_value_attach(arena, root, "recipe", recipe) &&
                 ak_value_add_string(arena, root, "recipe_folder", folder);
    ak_free(folder);
    return added ? AKIN_OK : ak_fail_memory(error);
}

static akin_status training_record(const akin_training *t, akin_arena *arena, char **out,
                                   akin_error *error)
{
    ak_value *root = ak_value_new_map(arena);
    bool made = ak_value_attach(arena, root, "loss", t->loss->given) &&
                ak_value_add_int(arena, root, "seed", (int64_t)t->trainer.seed) &&
                ak_value_add_int(arena, root, "batch_size",
                                 ak_loader_options_of(t->train.loader)->batch_size) &&
                ak_value_add_int(arena, root, "samples", t->train.table->count) &&
                ak_value_add_int(arena, root, "epochs", t->epoch) &&
                ak_value_add_int(arena, root, "steps", t->step) &&
                ak_value_add_int(arena, root, "best_epoch", t->best_epoch) &&
                ak_value_add_int(arena, root, "best_step", t->best_step) &&
                ak_value_add_string(arena, root, "data", ak_dataset_name(t->train.dataset)) &&
                add_hash(arena, root, "data_hash", &t->train) &&
                add_hash(arena, root, "validation_hash", &t->validation);
    ak_value *optimizer = ak_value_add(arena, root, "optimizer", AK_MAP);
    if (!made || !optimizer)
        return ak_fail_memory(error);
    AK_TRY(ak_optimizer_write(&t->optimizer_options, optimizer, arena, error));
    AK_TRY(add_recipe(t, arena, root, error));
    AK_TRY(ak_history_record(t, arena, root, error));
    *out = ak_json_write(root, 0);
    return *out ? AKIN_OK : ak_fail_memory(error);
}

static akin_status metrics_record(const akin_training *t, akin_arena *arena, char **out,
                                  akin_error *error)
{
    ak_value *root = ak_value_new_map(arena);
    ak_value *base = ak_value_add(arena, root, "base", AK_MAP);
    ak_value *tuned = ak_value_add(arena, root, "tuned", AK_MAP);
    for (int i = 0; i < t->figure_count; i++) {
        const ak_figure *f = &t->figures[i];
        if (strcmp(f->name, "train_loss") == 0 || strncmp(f->name, "step_", 5) == 0)
            continue;
        if (!ak_value_add_number(arena, base, f->name, f->base) ||
            !ak_value_add_number(arena, tuned, f->name, f->best))
            return ak_fail_memory(error);
    }
    *out = ak_json_write(root, 0);
    return *out ? AKIN_OK : ak_fail_memory(error);
}

/* A loss with parameters, and the labels of the groups that its rows stand for. The base has learnt
   nothing, nor has its loss. */
static akin_status record_loss(akin_training *t, akin_error *error)
{
    akin_parameters *parameters = t->loss->parameters;
    char *labels = NULL;
    if (t->best_epoch < 1 || !ak_parameters_size(parameters))
        return AKIN_OK;
    if (t->train.table->kind == AKIN_GROUPS)
        AK_TRY(ak_table_labels(&labels, t->train.table, t->train.dataset, error));
    akin_status status = ak_model_set_loss(t->model, t->loss->given, labels, parameters, error);
    ak_free(labels);
    if (!status)
        t->loss->parameters = NULL; /* the model's now */
    return status;
}

akin_status ak_record_run(akin_training *t, akin_error *error)
{
    akin_arena *arena;
    char *training = NULL, *metrics = NULL;
    AK_TRY(ak_arena_create(&arena, error));
    akin_status status = training_record(t, arena, &training, error);
    if (!status)
        status = metrics_record(t, arena, &metrics, error);
    t->model->base = t->base;
    if (!status)
        status = ak_model_name_base(t->model, error);
    if (!status)
        status = ak_model_set_record(t->model, NULL, training, metrics, error);
    if (!status)
        status = record_loss(t, error);
    ak_free(training);
    ak_free(metrics);
    ak_arena_free(arena);
    return status;
}
