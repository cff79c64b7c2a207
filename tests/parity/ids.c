/* ids FOLDER: the token ids of texts, a line each, for token_ids.py. The folder is a tokenizer's;
   standard input holds texts, each after its size in bytes (4 bytes, little-endian), so that any
   bytes can be in them. The second argument, if given, is the maximum length. */
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

static char text[1 << 24];

static int print_ids(const ak_tokenizer *tokenizer, size_t size, int32_t longest, akin_arena *arena)
{
    akin_error error = {0};
    int32_t *ids, count;
    bool cut;
    if (ak_tokenizer_encode(tokenizer, text, size, longest, arena, &ids, &count, &cut, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (int32_t i = 0; i < count; i++)
        printf(i ? " %d" : "%d", ids[i]);
    putchar('\n');
    ak_arena_reset(arena);
    return 0;
}

int main(int count, char **arguments)
{
    akin_error error = {0};
    ak_tokenizer *tokenizer = NULL;
    akin_arena *arena = NULL;
    if (count < 2 || ak_tokenizer_load(&tokenizer, arguments[1], &error) ||
        ak_arena_create(&arena, &error)) {
        fprintf(stderr, "%s\n", count < 2 ? "usage: ids FOLDER [LENGTH]" : error.message);
        return 1;
    }
    int32_t longest = count > 2 ? atoi(arguments[2]) : INT32_MAX;
    unsigned char head[4];
    int status = 0;
    while (!status && fread(head, 1, 4, stdin) == 4) {
        size_t size =
            head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        status = size > sizeof text || fread(text, 1, size, stdin) != size
                     ? 1
                     : print_ids(tokenizer, size, longest, arena);
    }
    ak_arena_free(arena);
    ak_tokenizer_free(tokenizer);
    return status;
}
