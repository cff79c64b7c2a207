/* akin_mine: hard negatives of a data set into a file of pairs: every positive pair with score 1,
   and behind it its negatives with score 0. Groups become pairs too: an object and the positive
   that the margin was measured by, then its negatives. */
#include "eval/evaluator.h"
#include "kernels/similarity.h"
#include "train/mining.h"

#include <string.h>

typedef struct mine {
    const akin_model *model, *base;
    const akin_dataset *dataset;
    ak_table *table;
    int64_t k, *negatives, *positives;
    int64_t *place; /* where a content is the b; NULL: subgroups are not given */
    akin_arena *arena;
} mine;

/* Unit vectors of all contents, the model's or (base) its encoders'. */
static akin_status embed(const mine *m, const akin_model *model, const ak_contents *contents,
                         bool base, ak_sides *y, akin_error *error)
{
    AK_TRY(ak_embed_sides(model, base, contents, m->arena, y, error));
    ak_unit_sides(y);
    return AKIN_OK;
}

static akin_status embed_base(const mine *m, const ak_contents *contents, ak_sides *y,
                              akin_error *error)
{
    if (!m->base)
        return embed(m, m->model, contents, true, y, error);
    ak_contents own = *contents;
    ak_hash *keys = ak_arena_new(m->arena, ak_hash, contents->count * m->base->encoder_count);
    if (!keys)
        return ak_fail_memory(error);
    AK_TRY(ak_contents_make_keys(contents, m->base, keys, error));
    own.keys = keys;
    return embed(m, m->base, &own, false, y, error);
}

static akin_status search(mine *m, const akin_mining_options *options, akin_mining_report *report,
                          akin_error *error)
{
    bool reused;
    AK_TRY(ak_labels_table(&m->table, m->model, m->dataset, &reused, error));
    ak_table_source source = {m->table, m->dataset};
    ak_contents contents = ak_table_contents(&source);
    ak_mining mining = {.table = m->table, .options = options};
    m->k = options->k;
    m->negatives = ak_arena_new(m->arena, int64_t, m->table->count * m->k);
    m->positives = ak_arena_new(m->arena, int64_t, m->table->count);
    if (!m->negatives || !m->positives)
        return ak_fail_memory(error);
    if (m->table->subgroup)
        AK_TRY(ak_mining_places(&m->place, m->table, error));
    AK_TRY(embed(m, m->model, &contents, false, &mining.tuned, error));
    AK_TRY(embed_base(m, &contents, &mining.base, error));
    return ak_mine(&mining, m->negatives, m->positives, report, error);
}

/* ---- the file ---- */

typedef struct output {
    const mine *mine;
    ak_contents contents;
    ak_writer *writer;
    akin_arena *arena; /* of one sample's lines */
    ak_text line;
} output;

static void add_member(ak_text *line, const char *name, akin_object object)
{
    ak_text_printf(line, "%s\"%s\": ", line->size ? ", " : "{", name);
    ak_json_write_string(line, object.data, object.size);
}

/* The subgroup that the data set gives the sample in which a content stands as b. */
static akin_status subgroup_of(output *o, int64_t content, int64_t *subgroup, akin_error *error)
{
    akin_sample sample;
    AK_TRY(akin_dataset_get(o->mine->dataset, o->mine->place[content], o->arena, &sample, error));
    *subgroup = sample.pair.subgroup;
    return AKIN_OK;
}

static akin_status put_pair(output *o, akin_object a, int64_t b, int score, akin_error *error)
{
    akin_object object;
    o->line.size = 0;
    AK_TRY(o->contents.object(o->contents.user, b, o->arena, &object, error));
    add_member(&o->line, "a", a);
    add_member(&o->line, "b", object);
    ak_text_printf(&o->line, ", \"score\": %d", score);
    if (o->mine->place) {
        int64_t subgroup;
        AK_TRY(subgroup_of(o, b, &subgroup, error));
        ak_text_printf(&o->line, ", \"subgroup\": %lld", (long long)subgroup);
    }
    ak_text_add(&o->line, "}\n", 2);
    return o->line.failed ? ak_fail_memory(error)
                          : ak_writer_put(o->writer, o->line.data, o->line.size, error);
}

static akin_status put_sample(output *o, int64_t sample, akin_error *error)
{
    const mine *m = o->mine;
    akin_object a;
    ak_arena_reset(o->arena);
    AK_TRY(o->contents.object(o->contents.user, m->table->content[sample * m->table->objects],
                              o->arena, &a, error));
    AK_TRY(put_pair(o, a, m->positives[sample], 1, error));
    for (int64_t j = 0; j < m->k && m->negatives[sample * m->k + j] >= 0; j++)
        AK_TRY(put_pair(o, a, m->negatives[sample * m->k + j], 0, error));
    return AKIN_OK;
}

static akin_status write_pairs(const mine *m, const char *path, akin_error *error)
{
    ak_table_source source = {m->table, m->dataset};
    output o = {.mine = m, .contents = ak_table_contents(&source)};
    AK_TRY(ak_arena_create(&o.arena, error));
    akin_status status = ak_writer_open(&o.writer, path, error);
    for (int64_t i = 0; i < m->table->count && !status; i++)
        if (m->positives[i] >= 0)
            status = put_sample(&o, i, error);
    ak_free(o.line.data);
    ak_arena_free(o.arena);
    if (!status)
        return ak_writer_commit(o.writer, error);
    if (o.writer)
        ak_writer_abort(o.writer);
    return status;
}

akin_status akin_mine(akin_mining_report *report, const akin_model *model, const akin_model *base,
                      const akin_dataset *dataset, const akin_mining_options *options,
                      const char *path, bool replace, akin_error *error)
{
    akin_mining_options usual = akin_mining_defaults();
    akin_mining_report own;
    mine m = {.model = model, .base = base, .dataset = dataset};
    AK_TRY(ak_mining_check(options ? options : &usual, error));
    if (!ak_path_has_suffix(path, ".jsonl"))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: mined pairs are written as .jsonl", path);
    if (!replace && ak_path_what(path) != AK_PATH_NONE)
        return ak_fail(error, AKIN_ERR_EXISTS, "%s exists already", path);
    AK_TRY(ak_arena_create(&m.arena, error));
    akin_status status = search(&m, options ? options : &usual, report ? report : &own, error);
    if (!status)
        status = write_pairs(&m, path, error);
    ak_free(m.place);
    ak_table_free(m.table);
    ak_arena_free(m.arena);
    return status;
}
