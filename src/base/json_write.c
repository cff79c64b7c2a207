/* JSON out. Numbers read back as the same numbers (a float keeps a point or an exponent, so that it
   stays one), text that is not UTF-8 gets U+FFFD, and the walk needs no recursion. */
#include "base/text.h"
#include "base/value.h"

#include <math.h>
#include <string.h>

static void add(ak_text *out, const char *text)
{
    ak_text_add(out, text, strlen(text));
}

static void write_number(ak_text *out, double number)
{
    char text[32];
    if (!isfinite(number)) {
        add(out, "null");
        return;
    }
    ak_double_to_text(number, text);
    add(out, text);
    if (!strpbrk(text, ".e"))
        add(out, ".0");
}

static void write_control(ak_text *out, unsigned char c)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (c >= 32)
        ak_text_printf(out, "\\%c", c);
    else if (letters[c])
        ak_text_printf(out, "\\%c", letters[c]);
    else
        ak_text_printf(out, "\\u%04x", c);
}

void ak_json_write_string(ak_text *out, const char *text, size_t size)
{
    size_t start = 0, i = 0;
    add(out, "\"");
    while (i < size) {
        unsigned char c = (unsigned char)text[i];
        uint32_t point;
        int length = ak_utf8_decode(text + i, size - i, &point);
        if (length && c >= 32 && c != '"' && c != '\\') {
            i += (size_t)length;
            continue;
        }
        ak_text_add(out, text + start, i - start);
        if (length)
            write_control(out, c);
        else
            add(out, "\xEF\xBF\xBD");
        start = ++i;
    }
    ak_text_add(out, text + start, size - start);
    add(out, "\"");
}

static void write_scalar(ak_text *out, const ak_value *v)
{
    switch (v->kind) {
    case AK_BOOL:
        add(out, v->boolean ? "true" : "false");
        break;
    case AK_INT:
        ak_text_printf(out, "%lld", (long long)v->integer);
        break;
    case AK_FLOAT:
        write_number(out, v->number);
        break;
    case AK_STRING:
        ak_json_write_string(out, v->string, v->size);
        break;
    case AK_LIST:
        add(out, "[]");
        break;
    case AK_MAP:
        add(out, "{}");
        break;
    default:
        add(out, "null");
    }
}

typedef struct writing {
    ak_text out;
    int indent;
    const ak_value **parents;
    int64_t depth, capacity;
} writing;

static void new_line(writing *w)
{
    if (!w->indent)
        return;
    add(&w->out, "\n");
    for (int64_t i = 0; i < w->depth * w->indent; i++)
        add(&w->out, " ");
}

static void open_parent(writing *w, const ak_value *v)
{
    if (ak_grow(&w->parents, w->depth, &w->capacity, sizeof *w->parents, NULL)) {
        w->out.failed = true;
        return;
    }
    add(&w->out, v->kind == AK_MAP ? "{" : "[");
    w->parents[w->depth++] = v;
    new_line(w);
}

static void close_parent(writing *w)
{
    const ak_value *v = w->parents[--w->depth];
    new_line(w);
    add(&w->out, v->kind == AK_MAP ? "}" : "]");
}

static void write_key(writing *w, const ak_value *v)
{
    if (!w->depth || w->parents[w->depth - 1]->kind != AK_MAP)
        return;
    ak_json_write_string(&w->out, v->key, strlen(v->key));
    add(&w->out, ": ");
}

static void write_tree(writing *w, const ak_value *v)
{
    while (!w->out.failed) {
        write_key(w, v);
        if (v->first) {
            open_parent(w, v);
            v = v->first;
            continue;
        }
        write_scalar(&w->out, v);
        while (w->depth && !v->next) {
            v = w->parents[w->depth - 1];
            close_parent(w);
        }
        if (!w->depth)
            return;
        add(&w->out, w->indent ? "," : ", ");
        new_line(w);
        v = v->next;
    }
}

char *ak_json_write(const ak_value *value, int indent)
{
    writing w = {.indent = indent};
    write_tree(&w, value);
    ak_free(w.parents);
    if (w.out.failed) {
        ak_free(w.out.data);
        return NULL;
    }
    return w.out.data;
}
