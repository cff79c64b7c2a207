/* Charts by the program gnuplot, which is looked for when a chart is wanted: a script goes into a
   temporary file, SVG comes out of another. Its own settings files are not read. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_SVG (16 << 20) /* bytes; a chart has some hundred thousand */

extern char **environ;

/* Standard input from `in`, standard output to `out`, complaints nowhere. */
static bool run(FILE *in, FILE *out)
{
    char name[] = "gnuplot", defaults[] = "-d", *const arguments[] = {name, defaults, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    if (posix_spawn_file_actions_init(&actions))
        return false;
    bool started =
        !posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO) &&
        !posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO) &&
        !posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) &&
        !posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (!started)
        return false;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool read_all(FILE *file, akin_arena *arena, akin_object *svg)
{
    long size = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    if (size <= 0 || size > MOST_SVG)
        return false;
    char *text = akin_arena_alloc(arena, (size_t)size);
    rewind(file);
    if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
        return false;
    *svg = (akin_object){text, (size_t)size};
    return true;
}

bool cli_gnuplot(void *user, const char *script, akin_arena *arena, akin_object *svg)
{
    bool *missing = user, drawn = false;
    FILE *in = tmpfile(), *out = tmpfile();
    if (in && out && fputs(script, in) >= 0 && fflush(in) == 0) {
        rewind(in);
        drawn = run(in, out) && read_all(out, arena, svg);
    }
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    *missing |= !drawn;
    return drawn;
}
