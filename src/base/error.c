#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(akin_error *error, akin_status status, const char *file, int64_t line,
                 int64_t column, const char *format, va_list arguments)
{
    if (!error)
        return;
    error->status = status;
    error->line = line;
    size_t size = sizeof error->message, used = 0;
    if (file && line > 0 && column > 0)
        used = (size_t)snprintf(error->message, size, "%s:%lld:%lld: ", file, (long long)line,
                                (long long)column);
    else if (file && line > 0)
        used = (size_t)snprintf(error->message, size, "%s:%lld: ", file, (long long)line);
    else if (file)
        used = (size_t)snprintf(error->message, size, "%s: ", file);
    if (used < size)
        vsnprintf(error->message + used, size - used, format, arguments);
}

akin_status ak_fail(akin_error *error, akin_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, status, NULL, 0, 0, format, arguments);
    va_end(arguments);
    return status;
}

akin_status ak_fail_at(akin_error *error, akin_status status, const char *file, int64_t line,
                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, status, file, line, 0, format, arguments);
    va_end(arguments);
    return status;
}

akin_status ak_fail_place(akin_error *error, akin_status status, const char *file, int64_t line,
                          int64_t column, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, status, file, line, column, format, arguments);
    va_end(arguments);
    return status;
}

akin_status ak_fail_memory(akin_error *error)
{
    return ak_fail(error, AKIN_ERR_MEMORY, "out of memory");
}

akin_status ak_fail_errno(akin_error *error, const char *verb, const char *path)
{
    return ak_fail(error, AKIN_ERR_IO, "cannot %s %s: %s", verb, path, strerror(errno));
}

const char *akin_status_name(akin_status status)
{
    static const char *const names[] = {
#define AKIN_STATUS_NAME(name, text) text,
        AKIN_STATUSES(AKIN_STATUS_NAME)
#undef AKIN_STATUS_NAME
    };
    size_t count = sizeof names / sizeof *names;
    return (size_t)status < count ? names[status] : "unknown status";
}
