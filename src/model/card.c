/* The model card: a README.md that says what the model is, how it was made, how good it is and how
   to use it. */
#include "model/model.h"

#include <string.h>

static void add_parts(ak_text *card, const akin_model *model)
{
    ak_text_printf(card, "| part | what | width |\n|---|---|---|\n");
    for (int i = 0; i < model->encoder_count; i++) {
        const akin_encoder *encoder = model->encoders[i].encoder;
        ak_text_printf(card, "| encoder `%s` | %s, %s | %lld |\n", model->encoders[i].name,
                       encoder->type->name, ak_encoder_trainable(encoder) ? "trainable" : "frozen",
                       (long long)akin_encoder_dim(encoder));
    }
    if (model->head) {
        char *options = ak_json_write(model->head->given, 0);
        ak_text_printf(card, "| head | `%s` | %lld |\n",
                       options ? options : model->head->type->name, (long long)model->dim);
        ak_free(options);
    } else {
        ak_text_printf(card, "| head | none | %lld |\n", (long long)model->dim);
    }
}

/* {"base": {name: value}, "tuned": {...}} as a table. */
static void add_metrics(ak_text *card, const ak_value *metrics)
{
    const ak_value *tuned = ak_value_get(metrics, "tuned"), *base = ak_value_get(metrics, "base");
    if (!tuned || !tuned->first)
        return;
    ak_text_printf(card,
                   "\n## On the validation set\n\n| metric | base | tuned |\n|---|---|---|\n");
    for (const ak_value *one = tuned->first; one; one = one->next)
        ak_text_printf(card, "| %s | %.4f | %.4f |\n", one->key,
                       ak_value_get_number(base, one->key, 0), one->number);
}

static void add_training(ak_text *card, const ak_value *training)
{
    if (!training || !training->first)
        return;
    ak_text_printf(card, "\n## How it was trained\n\n| | |\n|---|---|\n");
    for (const ak_value *one = training->first; one; one = one->next) {
        if (strcmp(one->key, "history") == 0 || strcmp(one->key, "recipe") == 0)
            continue; /* long; akin report shows the one, akin inspect both */
        char *value = ak_json_write(one, 0);
        ak_text_printf(card, "| %s | `%s` |\n", one->key, value ? value : "");
        ak_free(value);
    }
}

static void add_usage(ak_text *card)
{
    ak_text_printf(card, "\n## How to use it\n\n```sh\n"
                         "akin encode this-folder texts.txt --output vectors.npy\n"
                         "akin search this-folder corpus.jsonl \"a query\"\n```\n");
}

static void add_json_part(ak_text *card, const char *json, void (*add)(ak_text *, const ak_value *))
{
    akin_arena *arena;
    ak_value *value;
    if (!json || ak_arena_create(&arena, NULL))
        return;
    if (!ak_json_parse(&value, arena, json, strlen(json), "record", NULL))
        add(card, value);
    ak_arena_free(arena);
}

char *ak_model_card(const akin_model *model)
{
    ak_text card = {0};
    ak_text_printf(&card,
                   "# A similarity model\n\nMade by akin %s: objects that are alike get "
                   "close vectors of %lld numbers (cosine similarity).\n\n",
                   AKIN_VERSION, (long long)model->dim);
    add_parts(&card, model);
    if (model->base_path)
        ak_text_printf(&card, "\nBase: `%s`\n", ak_path_base(model->base_path));
    add_json_part(&card, model->metrics_json, add_metrics);
    add_json_part(&card, model->training_json, add_training);
    add_usage(&card);
    if (card.failed) {
        ak_free(card.data);
        return NULL;
    }
    return card.data;
}
