/* "normalizer" of tokenizer.json where it is not BERT's: one step, or a Sequence of steps. */
#include "text/tokenizer_json.h"

#include <string.h>

typedef ak_json_source source;

static const char *copy_text(const source *s, const char *text)
{
    return ak_arena_copy(s->tokenizer->arena, text, strlen(text));
}

/* {"pattern": {"String": "``"}, "content": "\""}; of regular expressions only two spaces or more.
 */
static akin_status read_replace(const source *s, const ak_value *map, ak_step *step)
{
    const ak_value *pattern = ak_value_get(map, "pattern");
    const char *from = ak_value_get_string(pattern, "String", NULL);
    const char *regex = ak_value_get_string(pattern, "Regex", NULL);
    if (!from && (!regex || strcmp(regex, " {2,}") != 0))
        return ak_json_unsupported(s, map, "normalizer Replace", regex ? regex : "",
                                   "strings and the regular expression \" {2,}\"");
    step->kind = from ? AK_STEP_REPLACE : AK_STEP_JOIN_SPACES;
    step->from = copy_text(s, from ? from : "  ");
    step->to = copy_text(s, ak_value_get_string(map, "content", ""));
    return step->from && step->to ? AKIN_OK : ak_fail_memory(s->error);
}

static akin_status read_strip(const source *s, const ak_value *map, ak_step *step)
{
    step->kind = AK_STEP_STRIP;
    step->left = step->right = true;
    AK_TRY(ak_json_read_bool(s, map, "strip_left", &step->left));
    return ak_json_read_bool(s, map, "strip_right", &step->right);
}

static akin_status read_charsmap(const source *s, const ak_value *map, ak_step *step)
{
    ak_charsmap *charsmap;
    AK_TRY(ak_charsmap_create(&charsmap, s->tokenizer->arena,
                              ak_value_get_string(map, "precompiled_charsmap", ""), s->path,
                              s->error));
    step->kind = AK_STEP_CHARSMAP;
    step->charsmap = charsmap;
    return AKIN_OK;
}

static akin_status read_step(const source *s, const ak_value *map, ak_step *step)
{
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"}; /* ak_form's order */
    const char *type = ak_value_get_string(map, "type", "");
    for (int form = 0; form < 4; form++)
        if (!strcmp(type, forms[form])) {
            step->form = (ak_form)form;
            return AKIN_OK;
        }
    if (!strcmp(type, "Lowercase")) {
        step->kind = AK_STEP_LOWERCASE;
        return AKIN_OK;
    }
    if (!strcmp(type, "Replace"))
        return read_replace(s, map, step);
    if (!strcmp(type, "Strip"))
        return read_strip(s, map, step);
    if (!strcmp(type, "Precompiled"))
        return read_charsmap(s, map, step);
    return ak_json_unsupported(s, map, "normalizer", type,
                               "\"NFC\", \"NFD\", \"NFKC\", \"NFKD\", \"Lowercase\", "
                               "\"Precompiled\", \"Replace\" and \"Strip\"");
}

akin_status ak_json_read_steps(const source *s, const ak_value *map)
{
    ak_step **end = &s->tokenizer->steps;
    if (!map || map->kind == AK_NULL)
        return AKIN_OK;
    const ak_value *list = ak_value_get(map, "normalizers");
    bool sequence = !strcmp(ak_value_get_string(map, "type", ""), "Sequence");
    const ak_value *one = !sequence ? map : list ? list->first : NULL;
    for (; one; one = sequence ? one->next : NULL, end = &(*end)->next) {
        *end = ak_arena_new(s->tokenizer->arena, ak_step, 1);
        if (!*end)
            return ak_fail_memory(s->error);
        **end = (ak_step){.kind = AK_STEP_FORM};
        AK_TRY(read_step(s, one, *end));
    }
    return AKIN_OK;
}
