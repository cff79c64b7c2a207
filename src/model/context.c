#include "model/context.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

akin_status akin_context_create(akin_context **out, akin_error *error)
{
    *out = NULL;
    akin_context *context = ak_calloc(1, sizeof *context);
    if (!context)
        return ak_fail_memory(error);
    context->seed = 42;
    context->cache_folder = ak_cache_folder();
    *out = context;
    return AKIN_OK;
}

void akin_context_free(akin_context *context)
{
    if (!context)
        return;
    for (int kind = 0; kind < AK_CLASS_KINDS; kind++)
        ak_free(context->classes[kind]);
    for (int64_t i = 0; i < context->plugin_count; i++)
        dlclose(context->plugins[i]);
    ak_free(context->plugins);
    ak_free(context->cache_folder);
    ak_free(context);
}

akin_status akin_context_set_cache(akin_context *context, const char *folder, akin_error *error)
{
    char *copy = NULL;
    if (folder && !(copy = ak_strdup(folder)))
        return ak_fail_memory(error);
    ak_free(context->cache_folder);
    context->cache_folder = copy;
    return AKIN_OK;
}

void akin_context_on_message(akin_context *context, akin_message_function *function, void *user)
{
    context->message = function;
    context->message_user = user;
}

void akin_context_on_interrupt(akin_context *context, const volatile int *flag)
{
    context->interrupt = flag;
}

akin_status ak_class_options(ak_value **out, akin_arena *arena, const char *type,
                             const char *options, const char *name, akin_error *error)
{
    *out = NULL;
    ak_value *map = NULL;
    if (options)
        AK_TRY(ak_yaml_parse(&map, arena, options, strlen(options), name, error));
    if (map && map->kind != AK_NULL && map->kind != AK_MAP)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "%s: found %s, expected a map such as {key: value}", name,
                       ak_value_kind_name(map->kind));
    if (ak_value_get(map, "type"))
        return ak_fail(error, AKIN_ERR_ARGUMENT, "%s: the type is given already: \"%s\"", name,
                       type);
    if (!map || map->kind == AK_NULL)
        map = ak_value_new_map(arena);
    if (!ak_value_add_string(arena, map, "type", type))
        return ak_fail_memory(error);
    *out = map;
    return AKIN_OK;
}

akin_status ak_check_interrupt(const akin_context *context, akin_error *error)
{
    if (context && context->interrupt && *context->interrupt)
        return ak_fail(error, AKIN_ERR_INTERRUPTED, "interrupted");
    return AKIN_OK;
}

akin_status akin_context_load_plugin(akin_context *context, const char *path, akin_error *error)
{
    typedef akin_status plugin_function(akin_context *, akin_error *);
    AK_TRY(ak_grow(&context->plugins, context->plugin_count, &context->plugin_capacity,
                   sizeof *context->plugins, error));
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return ak_fail(error, AKIN_ERR_IO, "cannot load the plugin %s: %s", path, dlerror());
    plugin_function *start;
    *(void **)&start = dlsym(handle, "akin_plugin");
    if (!start) {
        dlclose(handle);
        return ak_fail(error, AKIN_ERR_FORMAT,
                       "%s: not a plugin, expected a function "
                       "\"akin_status akin_plugin(akin_context *, akin_error *)\"",
                       path);
    }
    context->plugins[context->plugin_count++] = handle;
    return start(context, error);
}

const void *ak_class_at(const akin_context *context, ak_class_kind kind,
                        const void *const *built_in, int64_t number)
{
    int64_t i = 0;
    for (; built_in && built_in[i]; i++)
        if (i == number)
            return built_in[i];
    number -= i;
    return context && number < context->count[kind] ? context->classes[kind][number] : NULL;
}

#define MAX_NAMES 128

akin_status ak_class_find(const void **out, const akin_context *context, ak_class_kind kind,
                          const void *const *built_in, const char *what, const char *name,
                          akin_error *error)
{
    const char *names[MAX_NAMES + 1];
    int count = 0;
    *out = NULL;
    const ak_class *type;
    for (int64_t i = 0; (type = ak_class_at(context, kind, built_in, i)); i++) {
        if (strcmp(type->name, name) == 0) {
            *out = type;
            return AKIN_OK;
        }
        if (count < MAX_NAMES)
            names[count++] = type->name;
    }
    names[count] = NULL;
    const char *near = ak_nearest_name(name, names);
    if (near)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "there is no %s \"%s\"; did you mean \"%s\"?",
                       what, name, near);
    char list[256] = "";
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, i ? ", %s" : "%s", names[i]);
    return ak_fail(error, AKIN_ERR_ARGUMENT, "there is no %s \"%s\"; there are: %s", what, name,
                   list);
}

/* A class that lacks what is called without asking would crash later, in a thread of its own. */
akin_status ak_class_check(const void *type, const char *what, const ak_member *needed,
                           akin_error *error)
{
    const ak_class *fresh = type;
    if (!fresh)
        return ak_fail(error, AKIN_ERR_ARGUMENT, "the %s class to register is NULL", what);
    if (fresh->size < sizeof *fresh || !fresh->name || !*fresh->name)
        return ak_fail(error, AKIN_ERR_ARGUMENT,
                       "a %s class needs its \"size\" (sizeof the struct) and a \"name\"", what);
    for (; needed->name; needed++) {
        const void *member = NULL;
        if (needed->offset + sizeof member <= fresh->size)
            memcpy(&member, (const char *)fresh + needed->offset, sizeof member);
        if (!member)
            return ak_fail(error, AKIN_ERR_ARGUMENT, "the %s class \"%s\" has no \"%s\"", what,
                           fresh->name, needed->name);
    }
    return AKIN_OK;
}

akin_status ak_class_register(akin_context *context, ak_class_kind kind,
                              const void *const *built_in, const char *what, const void *type,
                              const ak_member *needed, akin_error *error)
{
    const ak_class *fresh = type, *other;
    AK_TRY(ak_class_check(type, what, needed, error));
    for (int64_t i = 0; (other = ak_class_at(context, kind, built_in, i)); i++)
        if (strcmp(other->name, fresh->name) == 0)
            return ak_fail(error, AKIN_ERR_EXISTS, "there is a %s \"%s\" already", what,
                           fresh->name);
    AK_TRY(ak_grow(&context->classes[kind], context->count[kind], &context->capacity[kind],
                   sizeof *context->classes[kind], error));
    context->classes[kind][context->count[kind]++] = type;
    return AKIN_OK;
}

static void send(const akin_context *context, akin_message_kind kind, double fraction,
                 const char *format, va_list arguments)
{
    char text[1024];
    if (!context || !context->message)
        return;
    vsnprintf(text, sizeof text, format, arguments);
    context->message(context->message_user, kind, fraction, text);
}

void ak_note(const akin_context *context, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send(context, AKIN_MESSAGE_NOTE, -1, format, arguments);
    va_end(arguments);
}

void ak_warn(const akin_context *context, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send(context, AKIN_MESSAGE_WARNING, -1, format, arguments);
    va_end(arguments);
}

void ak_progress(const akin_context *context, double fraction, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send(context, AKIN_MESSAGE_PROGRESS, fraction, format, arguments);
    va_end(arguments);
}

void ak_message(const akin_context *context, akin_message_kind kind, const char *text)
{
    if (context && context->message)
        context->message(context->message_user, kind, -1, text);
}
