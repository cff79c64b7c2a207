/* What every example shares: stop at the first error, and show progress. A program of yours handles
   errors as it likes: each call returns a status and fills an akin_error. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <akin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != AKIN_OK) {                                                                   \
            fprintf(stderr, "%s\n", error.message);                                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline void show_message(void *user, akin_message_kind kind, double fraction,
                                const char *text)
{
    (void)user, (void)fraction;
    if (kind != AKIN_MESSAGE_PROGRESS)
        fprintf(stderr, "%s\n", text);
}

#endif
