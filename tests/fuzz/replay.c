/* Feeds every file of the folders given as arguments to a fuzz target: as it is, cut short, and
   with single bits flipped (at fixed places, so that a failure comes again). Needs no clang. */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

#define CUTS 64
#define FLIPS 128

static long inputs;

/* A block of exactly `size` bytes, so that a sanitizer sees a read beyond it. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    FUZZ_CHECK(copy);
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

static void feed_variants(uint8_t *data, size_t size)
{
    size_t step = size / CUTS + 1;
    feed(data, size);
    for (size_t length = 0; length < size; length += step)
        feed(data, length);
    for (size_t i = 0; i < FLIPS && size; i++) {
        size_t bit = i * 2654435761u % (size * 8);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        feed(data, size);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file);
    FUZZ_CHECK(fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    FUZZ_CHECK(size >= 0);
    rewind(file);
    uint8_t *data = malloc((size_t)size + 1);
    FUZZ_CHECK(data && fread(data, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    feed_variants(data, (size_t)size);
    free(data);
}

static void replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    FUZZ_CHECK(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        replay_file(name);
    }
    closedir(folder);
}

int main(int count, char **folders)
{
    for (int i = 1; i < count; i++)
        replay_folder(folders[i]);
    printf("%ld inputs\n", inputs);
    return inputs ? 0 : 1;
}
