/* make_tiny_model FOLDER [FAMILY]: a sentence-transformers folder for tests of programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tiny_model.h"

int main(int argc, char **argv)
{
    tiny_options options = {.seed = 1, .normalize = true};
    if (argc < 2 || argc > 3)
        return 2;
    options.family = argv[2]; /* NULL where there is none */
    tiny_model(argv[1], &options);
    return 0;
}
