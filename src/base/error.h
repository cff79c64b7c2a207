/* Errors: a status that is returned and an akin_error that is filled on the way out. */
#ifndef AK_BASE_ERROR_H
#define AK_BASE_ERROR_H

#include "akin.h"

/* Fills `error` (may be NULL) and returns `status`, so that a function can `return ak_fail(...)`.
 */
akin_status ak_fail(akin_error *error, akin_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a place: the message starts "file:line: " (or "file: " when line is 0). */
akin_status ak_fail_at(akin_error *error, akin_status status, const char *file, int64_t line,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

/* With a column too, "file:line:column: "; parts that are 0 (file: NULL) are left out. */
akin_status ak_fail_place(akin_error *error, akin_status status, const char *file, int64_t line,
                          int64_t column, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

akin_status ak_fail_memory(akin_error *error);

/* "cannot VERB PATH: strerror(errno)": AKIN_ERR_IO. */
akin_status ak_fail_errno(akin_error *error, const char *verb, const char *path);

#define AK_TRY(expression)                                                                         \
    do {                                                                                           \
        akin_status ak_status_ = (expression);                                                     \
        if (ak_status_)                                                                            \
            return ak_status_;                                                                     \
    } while (0)

#endif
