/* Numbers and growing text without the locale: strtod and printf would read and write "1,5" in a
   host program that calls setlocale. newlocale of "C" hands out a constant object of the C library,
   so it costs nothing. */
#include "base/text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

akin_object akin_text(const char *text)
{
    return (akin_object){.data = text, .size = text ? strlen(text) : 0};
}

bool ak_text_to_int(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    const char *p = text + (*text == '-' || *text == '+');
    int64_t value = 0;
    if (!*p)
        return false;
    for (; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        int digit = negative ? '0' - *p : *p - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static const char *skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* [+-] digits [. digits] [e [+-] digits]: strtod alone would take spaces and hexadecimal too. */
static bool is_decimal(const char *p)
{
    p += *p == '-' || *p == '+';
    const char *whole = skip_digits(p);
    const char *end = *whole == '.' ? skip_digits(whole + 1) : whole;
    if (end - p - (*whole == '.') == 0)
        return false;
    if (*end == 'e' || *end == 'E') {
        p = end + 1;
        p += *p == '-' || *p == '+';
        end = skip_digits(p);
        if (end == p)
            return false;
    }
    return !*end;
}

static bool is_special(const char *p)
{
    p += *p == '-' || *p == '+';
    return strcmp(p, "nan") == 0 || strcmp(p, "inf") == 0;
}

bool ak_text_to_double(const char *text, double *out)
{
    if (!is_decimal(text) && !is_special(text))
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return false;
    double number = strtod_l(text, NULL, c);
    freelocale(c);
    if (isinf(number) && !is_special(text))
        return false;
    *out = number;
    return true;
}

/* %.{digits}g, whatever the locale. */
static void print_number(char out[32], int digits, double number)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = c ? uselocale(c) : (locale_t)0;
    snprintf(out, 32, "%.*g", digits, number);
    if (c) {
        uselocale(before);
        freelocale(c);
    }
}

static bool print_special(double number, char out[32])
{
    if (isfinite(number))
        return false;
    strcpy(out, isnan(number) ? "nan" : number < 0 ? "-inf" : "inf");
    return true;
}

/* 15 digits always survive text -> double -> text, so if the number has a text that short %.15g
   finds it (zeros at the end are dropped). Subnormal numbers have fewer digits to begin with. */
void ak_double_to_text(double number, char out[32])
{
    if (print_special(number, out))
        return;
    for (int digits = fabs(number) < 0x1p-1022 ? 1 : 15; digits <= 17; digits++) {
        double back;
        print_number(out, digits, number);
        if (ak_text_to_double(out, &back) && back == number)
            return;
    }
}

void ak_float_to_text(float number, char out[32])
{
    if (print_special((double)number, out))
        return;
    for (int digits = fabsf(number) < 0x1p-126f ? 1 : 6; digits <= 9; digits++) {
        double back;
        print_number(out, digits, (double)number);
        if (ak_text_to_double(out, &back) && (float)back == number)
            return;
    }
}

/* Room for `extra` more bytes and the final NUL. */
static bool reserve(ak_text *text, size_t extra)
{
    size_t needed;
    if (text->failed)
        return false;
    if (__builtin_add_overflow(text->size, extra, &needed) || needed >= PTRDIFF_MAX) {
        text->failed = true;
        return false;
    }
    if (needed < text->capacity)
        return true;
    size_t capacity = text->capacity < 64 ? 64 : text->capacity * 2;
    if (capacity <= needed)
        capacity = needed + 1;
    char *data = ak_resize(text->data, text->size, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void ak_text_add(ak_text *text, const char *data, size_t size)
{
    if (!reserve(text, size))
        return;
    if (size)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

void ak_text_printf(ak_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length >= 0 && reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->size, (size_t)length + 1, format, again);
        text->size += (size_t)length;
    } else {
        text->failed = true;
    }
    va_end(again);
}
