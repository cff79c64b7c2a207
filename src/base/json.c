/* JSON in: jansson parses (it refuses duplicate keys, invalid UTF-8 and a depth over 2048), and its
   tree becomes ak_values or, for the lines of data sets, single members. No recursion here. */
#include "base/text.h"
#include "base/value.h"

#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY)
#define EXACT_INTEGERS 0x1p53

void ak_json_route_allocations(bool through_akin)
{
    if (through_akin)
        json_set_alloc_funcs(ak_alloc, ak_free);
    else
        json_set_alloc_funcs(malloc, free);
}

/* ---- parse ---- */

static akin_status parse_failed(const json_error_t *e, const char *name, int64_t line,
                                akin_error *error)
{
    enum json_error_code code = json_error_code(e);
    if (code == json_error_out_of_memory || !*e->text)
        return ak_fail_memory(error);
    return ak_fail_place(error, AKIN_ERR_FORMAT, name, line ? line : e->line, e->column,
                         "not valid JSON: %s", e->text);
}

/* A failure is looked at twice, for two reasons. Hugging Face writes "no limit" as the whole number
   10^30, which jansson refuses: such a document is read with its whole numbers as doubles, and
   those that are exact are made whole again (which 1.0 becomes too in such a document). And jansson
   calls some failures of its allocator bad syntax: bad syntax is still bad the second time. */
static json_t *load(const char *text, size_t size, bool *oversized, json_error_t *e)
{
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        size -= 3;
    }
    json_t *root = json_loadb(text, size, FLAGS, e);
    *oversized = !root && json_error_code(e) == json_error_numeric_overflow;
    if (!root)
        root = json_loadb(text, size, FLAGS | (*oversized ? JSON_DECODE_INT_AS_REAL : 0), e);
    return root;
}

static bool copy_string(ak_value *v, const json_t *node, akin_arena *arena)
{
    v->size = json_string_length(node);
    v->string = ak_arena_copy(arena, json_string_value(node), v->size);
    return v->string;
}

/* Everything but what a list or a map holds. */
static bool copy_scalar(ak_value *v, const json_t *node, akin_arena *arena)
{
    switch (json_typeof(node)) {
    case JSON_STRING:
        v->kind = AK_STRING;
        return copy_string(v, node, arena);
    case JSON_INTEGER:
        v->kind = AK_INT;
        v->integer = json_integer_value(node);
        v->number = (double)v->integer;
        return true;
    case JSON_REAL:
        v->kind = AK_FLOAT;
        v->number = json_real_value(node);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        v->kind = AK_BOOL;
        v->boolean = json_is_true(node);
        return true;
    case JSON_OBJECT:
        v->kind = AK_MAP;
        return true;
    case JSON_ARRAY:
        v->kind = AK_LIST;
        return true;
    default:
        v->kind = AK_NULL;
        return true;
    }
}

static void make_whole(ak_value *v)
{
    if (v->kind != AK_FLOAT || !(fabs(v->number) < EXACT_INTEGERS) || v->number != rint(v->number))
        return;
    v->kind = AK_INT;
    v->integer = (int64_t)v->number;
}

/* A list or map whose children are being copied. */
typedef struct frame {
    json_t *node;
    ak_value *value;
    void *member; /* the next one of a map */
    size_t index; /* the next one of a list */
} frame;

typedef struct frames {
    frame *at;
    int64_t depth, capacity;
} frames;

static akin_status push(frames *stack, json_t *node, ak_value *value, akin_error *error)
{
    AK_TRY(ak_grow(&stack->at, stack->depth, &stack->capacity, sizeof(frame), error));
    void *member = json_is_object(node) ? json_object_iter(node) : NULL;
    stack->at[stack->depth++] = (frame){.node = node, .value = value, .member = member};
    return AKIN_OK;
}

/* The next child of the frame and its key (NULL in a list); NULL when there are no more. */
static json_t *next_child(frame *f, const char **key)
{
    *key = NULL;
    if (json_is_array(f->node))
        return json_array_get(f->node, f->index++);
    if (!f->member)
        return NULL;
    *key = json_object_iter_key(f->member);
    json_t *child = json_object_iter_value(f->member);
    f->member = json_object_iter_next(f->node, f->member);
    return child;
}

static akin_status copy_children(frames *stack, bool oversized, akin_arena *arena,
                                 akin_error *error)
{
    while (stack->depth) {
        frame *top = &stack->at[stack->depth - 1];
        const char *key;
        json_t *child = next_child(top, &key);
        if (!child) {
            stack->depth--;
            continue;
        }
        ak_value *v = ak_value_add(arena, top->value, key, AK_NULL);
        if (!v || !copy_scalar(v, child, arena))
            return ak_fail_memory(error);
        if (oversized)
            make_whole(v);
        if (v->kind == AK_LIST || v->kind == AK_MAP)
            AK_TRY(push(stack, child, v, error));
    }
    return AKIN_OK;
}

static akin_status copy_tree(ak_value **out, json_t *root, bool oversized, akin_arena *arena,
                             akin_error *error)
{
    frames stack = {0};
    ak_value *v = ak_arena_small(arena, sizeof *v);
    if (!v)
        return ak_fail_memory(error);
    *v = (ak_value){0};
    if (!copy_scalar(v, root, arena))
        return ak_fail_memory(error);
    akin_status status = push(&stack, root, v, error);
    if (!status && (v->kind == AK_LIST || v->kind == AK_MAP))
        status = copy_children(&stack, oversized, arena, error);
    ak_free(stack.at);
    if (!status)
        *out = v;
    return status;
}

akin_status ak_json_parse(ak_value **out, akin_arena *arena, const char *text, size_t size,
                          const char *name, akin_error *error)
{
    *out = NULL;
    json_error_t e;
    bool oversized;
    json_t *root = load(text, size, &oversized, &e);
    if (!root)
        return parse_failed(&e, name, 0, error);
    akin_status status = copy_tree(out, root, oversized, arena, error);
    json_decref(root);
    return status;
}

akin_status ak_json_read(ak_value **out, akin_arena *arena, const char *path, akin_error *error)
{
    *out = NULL;
    ak_map map;
    AK_TRY(ak_map_open(&map, path, error));
    akin_status status = ak_json_parse(out, arena, map.data, map.size, path, error);
    ak_map_close(&map);
    return status;
}

/* ---- lines of data sets ---- */

static int append(const char *data, size_t size, void *text)
{
    ak_text_add(text, data, size);
    return ((ak_text *)text)->failed ? -1 : 0;
}

/* A list or map as its compact JSON text. */
static bool copy_as_json(ak_value *v, const json_t *node, akin_arena *arena)
{
    ak_text text = {0};
    bool ok = json_dump_callback(node, append, &text, JSON_COMPACT) == 0;
    v->kind = AK_STRING;
    v->size = text.size;
    v->string = ok ? ak_arena_copy(arena, text.data, text.size) : NULL;
    ak_free(text.data);
    return v->string;
}

akin_status ak_json_fields(const char *text, size_t size, const char *const *fields, int n,
                           ak_value *found, akin_arena *arena, const char *name, int64_t line,
                           akin_error *error)
{
    json_error_t e;
    bool oversized;
    json_t *root = load(text, size, &oversized, &e);
    for (int i = 0; i < n; i++)
        found[i] = (ak_value){.kind = AK_NULL, .line = (int)line};
    if (!root)
        return parse_failed(&e, name, line, error);
    akin_status status = AKIN_OK;
    if (!json_is_object(root))
        status = ak_fail_at(error, AKIN_ERR_FORMAT, name, line,
                            "expected a JSON object such as {\"a\": ...}");
    for (int i = 0; i < n && !status; i++) {
        const json_t *member = fields[i] ? json_object_get(root, fields[i]) : NULL;
        bool whole = json_is_object(member) || json_is_array(member);
        if (member && !(whole ? copy_as_json : copy_scalar)(&found[i], member, arena))
            status = ak_fail_memory(error);
        if (oversized)
            make_whole(&found[i]);
    }
    json_decref(root);
    return status;
}
