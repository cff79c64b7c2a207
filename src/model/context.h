/* The context: classes of the user's own, the cache folder, where messages go. */
#ifndef AK_MODEL_CONTEXT_H
#define AK_MODEL_CONTEXT_H

#include "base/base.h"

typedef enum ak_class_kind {
    AK_ENCODER_CLASS,
    AK_HEAD_CLASS,
    AK_LOSS_CLASS,
    AK_METRIC_CLASS,
    AK_CLASS_KINDS,
} ak_class_kind;

struct akin_context {
    const void **classes[AK_CLASS_KINDS]; /* registered by the user */
    int64_t count[AK_CLASS_KINDS], capacity[AK_CLASS_KINDS];
    void **plugins; /* dlopen handles */
    int64_t plugin_count, plugin_capacity;
    char *cache_folder; /* NULL: no store */
    uint64_t seed;      /* of fresh parameters; a run sets its own */
    const volatile int *interrupt; /* NULL: never */
    akin_message_function *message;
    void *message_user;
};

/* Every class struct starts with these members. */
typedef struct ak_class {
    size_t size;
    const char *name, *summary;
} ak_class;

/* The class of that name among `built_in` (NULL-terminated) and the context's own; an unknown name is
   an error that says "did you mean". `what` is the word for messages: "loss". */
akin_status ak_class_find(const void **out, const akin_context *context, ak_class_kind kind,
                          const void *const *built_in, const char *what, const char *name,
                          akin_error *error);
/* A member of a class struct that must not be NULL. */
typedef struct ak_member {
    const char *name; /* NULL ends a list */
    size_t offset;
} ak_member;
#define AK_MEMBER(type, member) {#member, offsetof(type, member)}
/* AKIN_ERR_ARGUMENT if a class lacks its size, its name or one of `needed`. */
akin_status ak_class_check(const void *type, const char *what, const ak_member *needed,
                           akin_error *error);
akin_status ak_class_register(akin_context *context, ak_class_kind kind,
                              const void *const *built_in, const char *what, const void *type,
                              const ak_member *needed, akin_error *error);
/* The number-th class, built-in ones first; NULL past the end. */
const void *ak_class_at(const akin_context *context, ak_class_kind kind,
                        const void *const *built_in, int64_t number);

/* "{path: x}" of a C caller, with the type beside it, as the map that a recipe would have. */
akin_status ak_class_options(ak_value **out, akin_arena *arena, const char *type,
                             const char *options, const char *name, akin_error *error);

/* AKIN_ERR_INTERRUPTED when the user's flag is up. */
akin_status ak_check_interrupt(const akin_context *context, akin_error *error);

void ak_note(const akin_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ak_warn(const akin_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* fraction: 0..1, or -1 when unknown. */
void ak_progress(const akin_context *context, double fraction, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void ak_message(const akin_context *context, akin_message_kind kind, const char *text);

#endif
