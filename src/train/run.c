/* A run: asks the trainable model for its parts and puts them together. */
#include "train/train.h"

#include <math.h>
#include <string.h>
#include <time.h>

double ak_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

ak_figure *ak_run_figure(akin_training *t, const char *name)
{
    for (int i = 0; i < t->figure_count; i++)
        if (strcmp(t->figures[i].name, name) == 0)
            return &t->figures[i];
    if (t->figure_count == AK_MAX_VALUES)
        return NULL;
    ak_figure *figure = &t->figures[t->figure_count++];
    *figure = (ak_figure){.name = name, .value = NAN, .base = NAN, .best = NAN};
    return figure;
}

/* ---- configure_* ---- */

static akin_status configure_head(akin_training *t, int64_t input_dim, akin_head **head,
                                  akin_error *error)
{
    const akin_trainable *trainable = t->trainable;
    if (trainable->configure_head)
        return trainable->configure_head(trainable->user, t->context, input_dim, head, error);
    return akin_head_create(head, t->context, "skip_connection", NULL, input_dim, error);
}

static akin_status make_model(akin_training *t, const akin_named_encoder *encoders, int count,
                              akin_error *error)
{
    akin_head *head = NULL;
    int64_t width = 0;
    for (int i = 0; i < count; i++)
        width += akin_encoder_dim(encoders[i].encoder);
    AK_TRY(configure_head(t, width, &head, error));
    if (!head)
        AK_TRY(akin_head_create(&head, t->context, "empty", NULL, width, error));
    akin_status status = akin_model_create(&t->model, t->context, encoders, count, head, error);
    if (status)
        akin_head_free(head);
    return status;
}

static akin_status configure_model(akin_training *t, akin_error *error)
{
    const akin_trainable *trainable = t->trainable;
    akin_named_encoder encoders[AK_MAX_ENCODERS] = {{NULL, NULL}};
    int count = 0;
    if (!trainable->configure_encoders)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the trainable model has no configure_encoders");
    akin_status status = trainable->configure_encoders(trainable->user, t->context, encoders,
                                                       AK_MAX_ENCODERS, &count, error);
    if (!status && (count < 1 || count > AK_MAX_ENCODERS))
        status = ak_fail(error, AKIN_ERR_ARGUMENT,
                         "configure_encoders gave %d encoders, expected 1 to %d", count,
                         AK_MAX_ENCODERS);
    if (!status)
        status = make_model(t, encoders, count, error);
    if (status)
        for (int i = 0; i < AK_MAX_ENCODERS; i++)
            akin_encoder_free(encoders[i].encoder);
    return status;
}

static const char *kind_name(akin_sample_kind kind)
{
    return kind == AKIN_PAIRS ? "pairs" : "groups";
}

static akin_status check_kind(const akin_training *t, const akin_loader *loader, const char *what,
                              akin_error *error)
{
    akin_sample_kind have = akin_dataset_kind(akin_loader_dataset(loader));
    akin_sample_kind want = t->loss->traits.kind;
    if (have == want || t->loss->traits.any_kind)
        return AKIN_OK;
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "the loss \"%s\" learns from %s, but the %s data (%s) holds %s",
                   t->loss->type->name, kind_name(want), what,
                   ak_dataset_name(akin_loader_dataset(loader)), kind_name(have));
}

/* Objects of groups are neither queries nor documents. */
static akin_status refuse_groups(const akin_training *t, const akin_loader *train,
                                 akin_error *error)
{
    const akin_model *model = t->model;
    const char *what = "head", *name = model->head->type->name;
    for (int e = 0; e < model->encoder_count; e++)
        if (ak_encoder_has_sides(model->encoders[e].encoder)) {
            what = "encoder";
            name = model->encoders[e].name;
        }
    return ak_fail(error, AKIN_ERR_MISMATCH,
                   "the %s \"%s\" has a query and a document side and learns from pairs, but the "
                   "training data (%s) holds groups",
                   what, name, ak_dataset_name(akin_loader_dataset(train)));
}

static akin_status configure_loss(akin_training *t, akin_loader *train, akin_loader *validation,
                                  akin_error *error)
{
    const akin_trainable *trainable = t->trainable;
    bool pairs = akin_dataset_kind(akin_loader_dataset(train)) == AKIN_PAIRS;
    if (trainable->configure_loss)
        AK_TRY(trainable->configure_loss(trainable->user, t->context, &t->loss, error));
    else
        AK_TRY(akin_loss_create(&t->loss, t->context,
                                pairs ? "multiple_negatives_ranking" : "triplet", NULL, error));
    if (!t->loss)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "configure_loss gave no loss");
    if (akin_model_has_sides(t->model) && !pairs)
        return refuse_groups(t, train, error);
    AK_TRY(check_kind(t, train, "training", error));
    if (t->loss->traits.collapses)
        ak_warn(t->context,
                "the loss \"%s\" only pulls, alone it makes all vectors one; give it company: "
                "{type: sum, losses: [supcon, %s]}",
                t->loss->type->name, t->loss->type->name);
    return validation ? check_kind(t, validation, "validation", error) : AKIN_OK;
}

static akin_status configure_optimizer(akin_training *t, akin_error *error)
{
    const akin_trainable *trainable = t->trainable;
    t->optimizer_options = akin_optimizer_defaults(AKIN_ADAM);
    if (trainable->configure_optimizer)
        AK_TRY(trainable->configure_optimizer(trainable->user, &t->optimizer_options, error));
    t->base_lr = t->optimizer_options.lr;
    return ak_optimizer_check(&t->optimizer_options, error);
}

static akin_status configure_metrics(akin_training *t, akin_error *error)
{
    const akin_trainable *trainable = t->trainable;
    static const char *const usual[] = {"reciprocal_rank"};
    akin_metric_list list = {usual, 1};
    if (trainable->configure_metrics)
        AK_TRY(trainable->configure_metrics(trainable->user, &list, error));
    if (!t->validation.loader && !t->trainer.metrics_per_step)
        return AKIN_OK;
    if (akin_model_base_has_sides(t->model) && !t->trainer.metrics_distinguish)
        return ak_fail(error, AKIN_ERR_MISMATCH,
                       "the encoders have a query and a document side, but without "
                       "metrics_distinguish every object is both");
    for (int i = 0; i < list.count; i++) {
        if (t->metric_count == AK_MAX_METRICS)
            return ak_fail(error, AKIN_ERR_ARGUMENT, "more than %d metrics", AK_MAX_METRICS);
        ak_metric *metric = &t->metrics[t->metric_count];
        AK_TRY(ak_metric_make(metric, t->context, list.metrics[i], t->run_arena, error));
        if (metric->type->kind == AKIN_METRIC_SCORED &&
            akin_dataset_kind(t->train.dataset) != AKIN_PAIRS)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "the metric \"%s\" is of scored pairs, but %s holds groups",
                           metric->name, ak_dataset_name(t->train.dataset));
        t->metric_count++;
    }
    return AKIN_OK;
}

static akin_status configure_cache(akin_training *t, bool *enabled, akin_error *error)
{
    akin_cache_options options = akin_cache_defaults();
    if (t->trainable->configure_cache)
        AK_TRY(t->trainable->configure_cache(t->trainable->user, &options, error));
    *enabled = options.enabled;
    ak_model_set_cache(t->model, &options);
    if (t->teacher)
        ak_model_set_cache(t->teacher, &options);
    return AKIN_OK;
}

/* ---- parts ---- */

static akin_status add_part(akin_training *t, const char *name, akin_parameters *parameters,
                            bool of_model, akin_error *error)
{
    if (!parameters || !ak_parameters_size(parameters))
        return AKIN_OK;
    ak_part *part = &t->parts[t->part_count++];
    *part = (ak_part){.name = name, .parameters = parameters, .of_model = of_model};
    akin_optimizer_options options = t->optimizer_options;
    options.clip_norm = options.clip_value = 0; /* all parts are clipped as one: see update.c */
    AK_TRY(ak_parameters_train(parameters, error));
    AK_TRY(ak_optimizer_create(&part->optimizer, &options, parameters, error));
    if (t->trainer.average <= 0)
        return AKIN_OK;
    size_t bytes = (size_t)ak_parameters_size(parameters) * sizeof(float);
    part->average = ak_alloc(bytes);
    if (!part->average)
        return ak_fail_memory(error);
    memcpy(part->average, ak_parameters_values(parameters), bytes);
    return AKIN_OK;
}

/* Groups in their order, so that the last one that fits a parameter counts. */
static akin_status apply_groups(akin_training *t, akin_error *error)
{
    for (int g = 0; g < t->optimizer_options.group_count; g++) {
        const akin_parameter_group *group = &t->optimizer_options.groups[g];
        const akin_parameter *example = NULL;
        int fitting = 0;
        for (int i = 0; i < t->part_count; i++) {
            const ak_part *part = &t->parts[i];
            AK_TRY(ak_optimizer_apply(part->optimizer, part->name, group, &fitting, error));
            example = akin_parameters_get(part->parameters, 0);
        }
        if (!fitting)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "no trained parameter fits \"%s\"; one of them is \"%s/%s\"",
                           group->match, t->parts[t->part_count - 1].name, example->name);
    }
    return AKIN_OK;
}

/* NAME, NAME/query, NAME/PART, ...: what groups of the optimizer match. */
static akin_status add_named(akin_training *t, const char *name, const char *inner,
                             akin_parameters *parameters, akin_error *error)
{
    if (t->part_count == AK_MAX_PARTS)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED, "more than %d encoders are trained",
                       AK_MAX_PARTS - 2);
    if (inner)
        name = ak_arena_format(t->run_arena, "%s/%s", name, inner);
    return name ? add_part(t, name, parameters, true, error) : ak_fail_memory(error);
}

/* Two prompts of one encoder are one part, two towers are two. */
static akin_status add_encoder(akin_training *t, const ak_model_encoder *named, akin_error *error)
{
    bool two = ak_encoder_is_two(named->encoder);
    for (int i = 0; i < (two ? AK_TOWERS : 1); i++) {
        const akin_encoder *tower = ak_encoder_tower(named->encoder, (ak_tower)i);
        akin_parameters *own;
        const char *inner;
        for (int k = 0; ak_encoder_trainable(tower) && (own = ak_encoder_part(tower, k, &inner));
             k++)
            AK_TRY(add_named(t, named->name, two ? ak_tower_names[i] : inner, own, error));
    }
    return AKIN_OK;
}

static akin_status add_parts(akin_training *t, akin_error *error)
{
    AK_TRY(add_part(t, "head", t->model->head->parameters, true, error));
    AK_TRY(add_part(t, "loss", t->loss->parameters, false, error));
    for (int e = 0; e < t->model->encoder_count; e++)
        AK_TRY(add_encoder(t, &t->model->encoders[e], error));
    if (!t->part_count)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "there is nothing to train: the head \"%s\" has no parameters and every "
                       "encoder is frozen",
                       t->model->head->type->name);
    return apply_groups(t, error);
}

static akin_status make_figures(akin_training *t, akin_error *error)
{
    ak_run_figure(t, "train_loss");
    if (t->validation.loader) {
        ak_run_figure(t, "validation_loss");
        for (int i = 0; i < t->metric_count; i++)
            ak_run_figure(t, t->metrics[i].name);
    }
    for (int i = 0; i < t->metric_count && t->trainer.metrics_per_step; i++) {
        const char *name = ak_arena_format(t->run_arena, "step_%s", t->metrics[i].name);
        if (!name)
            return ak_fail_memory(error);
        t->step_figures[i] = ak_run_figure(t, name);
    }
    return AKIN_OK;
}

static akin_status check_monitor(akin_training *t, akin_error *error)
{
    const char *names[AK_MAX_VALUES + 1];
    for (int i = 0; i < t->figure_count; i++) {
        names[i] = t->figures[i].name;
        if (strcmp(names[i], t->trainer.monitor) == 0)
            return AKIN_OK;
    }
    names[t->figure_count] = NULL;
    const char *near = ak_nearest_name(t->trainer.monitor, names);
    return ak_fail(error, AKIN_ERR_ARGUMENT,
                   "there is no metric \"%s\" to monitor in this run%s%s%s; add it to the metrics",
                   t->trainer.monitor, near ? " (did you mean \"" : "", near ? near : "",
                   near ? "\"?)" : "");
}

static akin_status check_progress(const akin_training *t, akin_error *error)
{
    const char *known[AK_MAX_VALUES + 3] = {"loss", "lr"};
    const char *names = t->trainer.progress_metrics ? t->trainer.progress_metrics : "";
    for (int i = 0; i < t->figure_count; i++)
        known[i + 2] = t->figures[i].name;
    for (size_t length; *names; names += length + (names[length] == ',')) {
        length = strcspn(names, ",");
        bool found = false;
        for (int i = 0; known[i] && !found; i++)
            found = strlen(known[i]) == length && strncmp(known[i], names, length) == 0;
        if (!found)
            return ak_fail(error, AKIN_ERR_ARGUMENT,
                           "\"progress_metrics\" has \"%.*s\", which is none of loss, lr, %s%s",
                           (int)length, names, known[2], known[3] ? " and the metrics" : "");
    }
    return AKIN_OK;
}

/* What counts in shares of an epoch or of the run cannot be had from a stream of unknown length. */
static akin_status check_endless(const akin_training *t, akin_error *error)
{
    int schedule = t->optimizer_options.schedule;
    bool counts = schedule == AKIN_LINEAR || schedule == AKIN_COSINE || schedule == AKIN_ONE_CYCLE;
    const char *name = ak_dataset_name(t->train.dataset);
    if (counts && !t->total_steps)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: how many steps a stream gives is not known, which the schedule counts "
                       "to: set epoch_steps or max_steps, or schedule: constant",
                       name);
    if (t->trainer.validation_epochs < 1 && !t->trainer.validation_steps)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: how long an epoch of a stream is is not known, so that it has no parts "
                       "to validate after: set epoch_steps or validation_steps",
                       name);
    return AKIN_OK;
}

static akin_status count_steps(akin_training *t, akin_error *error)
{
    int64_t accumulate = t->trainer.accumulate;
    int64_t limit =
        t->trainer.overfit_batches ? t->trainer.overfit_batches : t->trainer.limit_batches;
    t->epoch_batches = ak_loader_batches(t->train.loader);
    if (limit && (limit < t->epoch_batches || !t->epoch_batches))
        t->epoch_batches = limit;
    t->endless = !t->epoch_batches;
    t->total_steps = (t->epoch_batches + accumulate - 1) / accumulate * t->trainer.max_epochs;
    if (t->trainer.max_steps && t->trainer.max_steps < t->total_steps)
        t->total_steps = t->trainer.max_steps;
    if (!t->endless)
        return AKIN_OK;
    t->total_steps = t->trainer.max_steps;
    return check_endless(t, error);
}

/* Groups of a stream are not known beforehand, a validation stream could not be ranked. */
static akin_status check_stream(const akin_training *t, akin_error *error)
{
    if (t->validation.loader && ak_loader_is_stream(t->validation.loader))
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "%s: validation needs the whole data set, which a stream is not",
                       ak_dataset_name(t->validation.dataset));
    bool rows = t->loss->traits.kind == AKIN_GROUPS && t->loss->parameters &&
                ak_parameters_size(t->loss->parameters);
    if (!ak_loader_is_stream(t->train.loader) || !(rows || t->loss->traits.remembers))
        return AKIN_OK;
    if (!rows)
        return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                       "%s: the loss \"%s\" remembers earlier batches, but the batches of a stream "
                       "number contents and groups each for itself: read it as a data set, or take "
                       "another loss",
                       ak_dataset_name(t->train.dataset), t->loss->type->name);
    return ak_fail(error, AKIN_ERR_UNSUPPORTED,
                   "%s: the loss \"%s\" has parameters for each group, and the groups of a stream "
                   "are not known beforehand: read it as a data set, or take another loss",
                   ak_dataset_name(t->train.dataset), t->loss->type->name);
}

static akin_status open_sides(akin_training *t, akin_loader *train, akin_loader *validation,
                              akin_error *error)
{
    bool cache;
    int64_t chunk = t->trainer.chunk_size;
    AK_TRY(configure_cache(t, &cache, error));
    AK_TRY(ak_side_open(&t->train, t->model, train, cache, chunk, NULL, error));
    AK_TRY(ak_side_open(&t->validation, t->model, validation, cache, chunk, t->train.table, error));
    AK_TRY(ak_side_teach(&t->train, t->teacher, error));
    AK_TRY(ak_side_teach(&t->validation, t->teacher, error));
    return count_steps(t, error);
}

static akin_status open_all(akin_training *t, akin_loader *train, akin_loader *validation,
                            akin_error *error)
{
    AK_TRY(ak_arena_create(&t->arena, error));
    AK_TRY(ak_arena_create(&t->chunk_arena, error));
    AK_TRY(ak_arena_create(&t->run_arena, error));
    AK_TRY(configure_model(t, error));
    AK_TRY(configure_loss(t, train, validation, error));
    AK_TRY(ak_teacher_open(t, akin_dataset_kind(akin_loader_dataset(train)), error));
    AK_TRY(configure_optimizer(t, error));
    AK_TRY(open_sides(t, train, validation, error));
    ak_tell_doubts(t);
    AK_TRY(ak_negatives_open(t, error));
    AK_TRY(configure_metrics(t, error));
    /* A stream's groups are not known: a loss that has a row for each says so by having one. */
    int64_t groups = ak_loader_is_stream(train) ? 1 : t->train.table->groups;
    AK_TRY(ak_loss_open(t->loss, t->model->dim, groups, t->trainer.seed, error));
    AK_TRY(check_stream(t, error));
    AK_TRY(add_parts(t, error));
    AK_TRY(make_figures(t, error));
    AK_TRY(ak_model_encoders_hash(t->model, &t->base, error));
    t->identity_base = t->model->dim == t->model->input_dim;
    if (!validation)
        t->trainer.monitor = "train_loss";
    AK_TRY(check_monitor(t, error));
    return check_progress(t, error);
}

akin_status ak_run_open(akin_training *t, akin_context *context, const akin_trainable *trainable,
                        const akin_trainer *trainer, akin_loader *train, akin_loader *validation,
                        akin_error *error)
{
    *t = (akin_training){.context = context,
                         .trainable = trainable,
                         .trainer = akin_trainer_defaults(),
                         .best_epoch = -1,
                         .plateau_best = NAN,
                         .lock = -1,
                         .started = ak_seconds()};
    t->checkpointed = t->profile.since = t->started;
    if (!train)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "training needs a loader, found NULL");
    if (!trainer->size)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "the trainer's size is 0: it is filled by akin_trainer_defaults");
    /* What a caller built for another version does not have is the default. */
    memcpy(&t->trainer, trainer,
           trainer->size < sizeof t->trainer ? trainer->size : sizeof t->trainer);
    trainer = &t->trainer;
    AK_TRY(ak_trainer_check(trainer, error));
    if (!trainer->resume)
        AK_TRY(ak_run_log_check(t, error));
    uint64_t seed = context->seed;
    context->seed = trainer->seed; /* fresh parameters are drawn by the run's seed */
    akin_status status = open_all(t, train, validation, error);
    context->seed = seed;
    return status;
}

void ak_run_close(akin_training *t)
{
    for (int i = 0; i < t->part_count; i++) {
        ak_optimizer_free(t->parts[i].optimizer);
        ak_free(t->parts[i].best);
        ak_free(t->parts[i].average);
    }
    ak_side_close(&t->train);
    ak_side_close(&t->validation);
    ak_negatives_close(&t->negatives);
    akin_loss_free(t->loss);
    akin_model_free(t->model);
    akin_model_free(t->teacher);
    ak_run_log_close(t->log);
    ak_unlock(t->lock);
    ak_free(t->history.data);
    ak_arena_free(t->arena);
    ak_arena_free(t->chunk_arena);
    ak_arena_free(t->run_arena);
}
