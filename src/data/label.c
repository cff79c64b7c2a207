/* Labels: anything a file calls a group becomes an int64_t. A label is its text; a canonical whole
   number ("7", "-3", not "07" or "+7": a post code is not a number) stands for itself, so that what
   the user wrote is what akin_dataset_get gives; other text for 64 bits of its hash. Two of a
   million different texts meet with probability 3e-8. */
#include "data/source.h"

#include <string.h>

static bool canonical(const char *text, size_t size)
{
    size_t sign = size && text[0] == '-';
    if (size == sign || size - sign > 19)
        return false;
    if (text[sign] == '0' && size > 1)
        return false;
    for (size_t i = sign; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

static int64_t text_label(const char *text, size_t size)
{
    char digits[24];
    int64_t number;
    if (canonical(text, size)) {
        memcpy(digits, text, size);
        digits[size] = 0;
        if (ak_text_to_int(digits, &number))
            return number;
    }
    uint64_t low = ak_hash_bytes(text, size).low;
    memcpy(&number, &low, sizeof number);
    return number ? number : 1; /* 0 is "not given" among subgroups */
}

int64_t ak_label(const ak_value *value)
{
    char digits[32];
    switch (value->kind) {
    case AK_NULL:
        return 0;
    case AK_INT:
        return value->integer;
    case AK_BOOL:
        return value->boolean ? text_label("true", 4) : text_label("false", 5);
    case AK_STRING:
        return text_label(value->string, value->size);
    default:
        if (value->number >= -0x1p63 && value->number < 0x1p63 &&
            (double)(int64_t)value->number == value->number)
            return (int64_t)value->number;
        ak_double_to_text(value->number, digits);
        return text_label(digits, strlen(digits));
    }
}
