/* Lists of numbers as JSON writes them; a tree of values would take a hundred bytes a number. */
#include "model/vector_file.h"

#include <math.h>
#include <string.h>

static void skip_spaces(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r'))
        (*at)++;
}

static bool take_number(const char **at, const char *end, float *out)
{
    char text[48];
    double number;
    size_t length = 0;
    while (*at + length < end && (*at)[length] && strchr("+-.0123456789eE", (*at)[length]))
        length++;
    if (!length || length >= sizeof text)
        return false;
    memcpy(text, *at, length);
    text[length] = 0;
    *at += length;
    if (!ak_text_to_double(text, &number))
        return false;
    *out = (float)number;
    return isfinite(*out);
}

bool ak_number_list(const char *text, size_t size, float *out, int64_t capacity, int64_t *count)
{
    const char *at = text, *end = text + size;
    *count = 0;
    skip_spaces(&at, end);
    if (at == end || *at++ != '[')
        return false;
    for (bool more = true; more; (*count)++) {
        float number;
        skip_spaces(&at, end);
        if (!take_number(&at, end, &number))
            return false;
        if (*count < capacity)
            out[*count] = number;
        skip_spaces(&at, end);
        if (at == end || (*at != ',' && *at != ']'))
            return false;
        more = *at++ == ',';
    }
    skip_spaces(&at, end);
    return at == end;
}
