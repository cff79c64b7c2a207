/* akin cache ls|verify|gc */
#include "cli.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    char *max_size, *older_than;
    int unreachable, dry_run, json;
} options;

static struct poptOption rows[] = {
    {"max-size", 0, POPT_ARG_STRING, &options.max_size, 0,
     "gc: remove the least recently used until the rest fits (500M, 2G)", "SIZE"},
    {"older-than", 0, POPT_ARG_STRING, &options.older_than, 0,
     "gc: remove what was not used for that long (30m, 12h, 5d, 4w)", "TIME"},
    {"unreachable", 0, POPT_ARG_NONE, &options.unreachable, 0,
     "gc: remove vectors of encoders whose folder is gone", NULL},
    {"dry-run", 0, POPT_ARG_NONE, &options.dry_run, 0, "gc: only say what would be removed", NULL},
    {"json", 'j', POPT_ARG_NONE, &options.json, 0, "print one JSON object", NULL},
    POPT_TABLEEND};

/* ---- "2G", "30d" ---- */

typedef struct unit {
    char letter;
    double factor;
} unit;

/* A number and one of the units' letters, which the last unit, if it is a factor alone, does
   without; false: not that. */
static bool parse(const char *text, const unit *units, int64_t *out)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || !(number >= 0) || number > 1e15)
        return false;
    while (units->letter && toupper((unsigned char)*end) != units->letter)
        units++;
    end += units->letter != 0;
    number *= units->factor;
    *out = (int64_t)number;
    return !*end && units->factor > 0 && number < 9e18;
}

static bool read_options(akin_cache_gc_options *gc)
{
    static const unit sizes[] = {{'K', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}, {0, 1}};
    static const unit times[] = {{'S', 1},     {'M', 60},        {'H', 3600},
                                 {'D', 86400}, {'W', 7 * 86400}, {0, 0}};
    *gc = akin_cache_gc_defaults();
    gc->unreachable = options.unreachable;
    gc->dry_run = options.dry_run;
    return (!options.max_size || parse(options.max_size, sizes, &gc->max_bytes)) &&
           (!options.older_than || parse(options.older_than, times, &gc->older_than));
}

/* ---- what is printed ---- */

static void size_text(int64_t bytes, char out[16])
{
    static const char letters[] = " kMGT";
    double size = (double)bytes;
    int i = 0;
    while (size >= 999.5 && letters[i + 1]) {
        size /= 1000;
        i++;
    }
    snprintf(out, 16, i && size < 10 ? "%.1f%c" : "%.0f%c", size, letters[i]);
}

static void print_entry(const akin_cache_entry *e)
{
    char size[16], when[32] = "-";
    time_t used = (time_t)e->last_used;
    struct tm parts;
    size_text(e->bytes, size);
    if (localtime_r(&used, &parts))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &parts);
    printf("%7s  %s  %-8s  %s", size, when, e->kind, e->path);
    if (e->precision)
        printf("  %lld x %lld %s", (long long)e->vectors, (long long)e->dim, e->precision);
    printf("%s%s\n", e->in_use ? "  in use" : "", e->reachable ? "" : "  unreachable");
    if (e->encoder)
        printf("%37s%s\n", "", e->encoder);
    if (e->broken)
        printf("%37sbroken: %lld; %s\n", "", (long long)e->broken, e->problem);
}

static json_t *entry_json(const akin_cache_entry *e)
{
    json_t *encoder = e->encoder ? json_loads(e->encoder, 0, NULL) : NULL;
    return json_pack("{s:s, s:s, s:o, s:s?, s:I, s:I, s:I, s:I, s:b, s:b, s:I, s:s?}", "kind",
                     e->kind, "path", e->path, "encoder", encoder ? encoder : json_null(),
                     "precision", e->precision, "vectors", (json_int_t)e->vectors, "dim",
                     (json_int_t)e->dim, "bytes", (json_int_t)e->bytes, "last_used",
                     (json_int_t)e->last_used, "in_use", e->in_use, "reachable", e->reachable,
                     "broken", (json_int_t)e->broken, "problem", e->problem);
}

static void print_json(const akin_cache *cache)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < cache->count; i++)
        json_array_append_new(list, entry_json(&cache->entries[i]));
    json_t *root = json_pack("{s:s, s:I, s:o}", "folder", cache->folder, "bytes",
                             (json_int_t)cache->bytes, "entries", list);
    char *text = root ? json_dumps(root, JSON_PRESERVE_ORDER) : NULL;
    if (!text)
        cli_out_of_memory();
    puts(text);
    free(text);
    json_decref(root);
}

static void print(const akin_cache *cache, const char *what)
{
    char size[16];
    if (options.json) {
        print_json(cache);
        return;
    }
    for (int64_t i = 0; i < cache->count; i++)
        print_entry(&cache->entries[i]);
    size_text(cache->bytes, size);
    printf("%7s  %s%s\n", size, *cache->folder ? cache->folder : "no cache folder", what);
}

static int64_t count_broken(const akin_cache *cache)
{
    int64_t broken = 0;
    for (int64_t i = 0; i < cache->count; i++)
        broken += cache->entries[i].broken;
    return broken;
}

static int fail_broken(int64_t broken)
{
    akin_error error = {.status = AKIN_ERR_FORMAT};
    snprintf(error.message, sizeof error.message, "%lld broken file%s in the cache",
             (long long)broken, broken == 1 ? "" : "s");
    return cli_fail(&error);
}

/* ---- the command ---- */

static int run(akin_context *context, const char **arguments, int count)
{
    akin_error error = {0};
    akin_cache_gc_options gc;
    akin_cache *cache = NULL;
    const char *word = count == 1 ? arguments[0] : "";
    akin_status status;
    if (!read_options(&gc))
        return cli_usage("cache", "--max-size wants a size such as 500M or 2G, --older-than a time "
                                  "with its unit, such as 30m, 12h or 5d");
    bool cleans = strcmp(word, "gc") == 0;
    if (cleans && !options.max_size && !options.older_than && !options.unreachable)
        return cli_usage("cache", "gc wants --max-size, --older-than or --unreachable, which say "
                                  "what to remove");
    if (!strcmp(word, "ls"))
        status = akin_cache_list(&cache, context, &error);
    else if (!strcmp(word, "verify"))
        status = akin_cache_verify(&cache, context, &error);
    else if (cleans)
        status = akin_cache_gc(&cache, context, &gc, &error);
    else
        return cli_usage("cache", "cache wants one of ls, verify and gc");
    if (status)
        return cli_fail(&error);
    print(cache, !cleans ? "" : gc.dry_run ? ": would be removed" : ": removed");
    int64_t broken = count_broken(cache);
    akin_cache_free(cache);
    if (broken && cleans)
        cli_say("%lld of the files that %s removed %s broken", (long long)broken,
                gc.dry_run ? "would be" : "were", broken == 1 ? "is" : "are");
    return broken && !cleans ? fail_broken(broken) : CLI_DONE;
}

const cli_command cli_cache = {
    .name = "cache",
    .arguments = "ls|verify|gc",
    .summary = "show, check and clean the folder of kept vectors",
    .description =
        "ls shows what the cache folder holds: size, last use, what it is, and for vectors their "
        "number, width, precision and encoder. verify computes every checksum too and fails if a "
        "file is broken; a run that meets one computes it again. gc removes what --max-size, "
        "--older-than or --unreachable say, but nothing that a running akin has open.",
    .example = "akin cache gc --max-size 2G",
    .options = rows,
    .run = run};
